//! Checks: from a history to a verdict with evidence.

pub mod outcome;

mod distribution;
mod incidents;
mod invariants;
mod ledger;
mod logs;
mod progress;
mod routes;
mod trace;

pub use outcome::*;
pub use progress::WaitOptions;

//! Checks: from a history to a verdict with evidence.

pub mod outcome;

mod distribution;
mod incidents;
mod ledger;
mod logs;
mod progress;
mod routes;

pub use outcome::*;
pub use progress::WaitOptions;

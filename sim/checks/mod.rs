//! Checks: from a history to a verdict with evidence.
//!
//! [`Judge`] reads a history once and gives a [`RunOutcome`]; [`judge_cell`] weighs the runs of one cell over its seeds,
//! and [`judge_family`] cells against each other. Everything else here serves these three. A check sees the plan and the
//! history, never a machine; it prints nothing and draws nothing.
//!
//! Reading order: `routes` (who owes what), `trace` with `ledger`, `logs`, `progress` and `incidents` (what the history
//! tells), `fate`, `responsibility` and `causes` (what became of it, whose promise broke, and what struck), `standing` (how
//! far an event has come), `guarantees` and `invariants` (one file for each claim), `judge`, `signature`, `cell`; beside
//! them `chronicle` with `told`, which follows one event,
//! and `timeline`, which keeps one run for pictures.

pub mod baseline;
pub mod chronicle;
pub mod outcome;
pub mod standing;
pub mod sweep;
pub mod timeline;

mod causes;
mod cell;
mod closed_form;
mod coverage;
mod distribution;
mod fate;
mod guarantees;
mod incidents;
mod invariants;
mod judge;
mod ledger;
mod letters;
mod logs;
mod metrics;
mod progress;
mod relays;
mod responsibility;
mod routes;
mod signature;
mod told;
mod trace;

#[cfg(test)]
mod tests;

pub use cell::{CellJudge, Coverage, judge_cell, judge_family};
pub use closed_form::{Arriving, Moments, Source, arriving, moments_of};
pub use coverage::{State, StatesReached};
pub use judge::{Judge, word};
pub use outcome::*;
pub use progress::WaitOptions;
pub use routes::places_of_step;
pub use signature::{Broken, Signature};

//! Checks: from a history to a verdict with evidence.

pub mod outcome;

pub use outcome::*;

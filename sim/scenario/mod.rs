//! From a scenario file to plans.

pub mod plan;

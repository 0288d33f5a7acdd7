//! Many runs of one scenario: over cells and seeds, in parallel, in an order that does not depend on the threads.

pub mod difference;
pub mod explain;
pub mod guarantees;
pub mod library;
pub mod mutants;
pub mod replay;
pub mod review;
pub mod runs;
pub mod shrink;
pub mod size;
pub mod sweep;
pub mod validate;

pub use runs::{SeedRun, in_parallel, judge_runs, run_family, run_seed};

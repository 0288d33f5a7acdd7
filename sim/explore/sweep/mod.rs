//! The engine of sweeps: worker processes run the list, a journal keeps what they said, shards are joined.
//!
//! The one idea: the journal is the only state. Whatever dies, and whenever, what stands in the journal has been run and
//! what does not has not; the result is always read back from it, in the order of the list. See [`crate::checks::sweep`].
//!
//! This is the one part of the project, with the command line, that sees real time and real processes: a sweep has to end,
//! and a run that hangs has to be given up. Neither reaches a history or a file that is merged.

mod coordinator;
mod failures;
mod journal;
mod regressions;
mod seal;
mod shard;
mod worker;
mod workers;

pub use coordinator::{Ended, Limits, Observer, Setup, SweepError, sweep};
pub use failures::{Failures, folder, write as write_failure};
pub use journal::{FORMAT, Header, Journal, JournalError, write_whole};
pub use regressions::{KeptSeed, kept_seeds};
pub use shard::{MergeError, Merged, merge, shard_name, write_shard};
pub use worker::{load, serve};
pub use workers::WorkerCommand;

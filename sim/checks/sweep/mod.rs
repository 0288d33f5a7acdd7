//! Sweeps: what thousands of runs of several scenarios say together.
//!
//! The one idea: a sweep is one numbered list of runs, and its result is a fold over their records in the order of the
//! list. Who ran what, when, in which process, on which machine does not matter to the result; so a sweep that was killed
//! and resumed, or cut into shards and merged, gives the same files byte for byte. No value here comes from a clock.

mod baseline;
mod judge;
mod list;
mod record;
mod self_check;

pub use baseline::*;
pub use judge::*;
pub use list::*;
pub use record::*;
pub use self_check::Selection;

//! Queueing formulas: what a run is compared with, and what sizing inverts.
//!
//! Pure functions of plain numbers; rates are per second, lengths are seconds, headroom is capacity over arrival rate.
//! The one idea: theory is an independent witness. Nothing here looks at a run, and nothing in a run looks here.
//! Logarithms and exponentials come from `libm`, so that a verdict is the same on every platform.
//!
//! Sources: Kleinrock, *Queueing Systems* vol. 1 (1975); Newell, *Applications of Queueing Theory* (1971); Takacs,
//! *Introduction to the Theory of Queues* (1962); David and Nagaraja, *Order Statistics* (2003).

pub mod queues;
pub mod recovery;
pub mod sizing;
pub mod statistics;

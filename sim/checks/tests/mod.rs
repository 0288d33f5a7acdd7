//! Hand-written histories: for each check one that passes, one that fails with its exact evidence, and one that cannot
//! tell or proves nothing.
//!
//! The system is always the same: callers of `shop` publish to `orders` and answer; `billing` consumes, writes
//! `db.invoices` and commits. A history is told by [`Story`], one line for what happened.

mod calls;
mod cells;
mod coverage;
mod fates;
mod groups;
mod invariants;
mod metrics;
mod sends;
mod story;
mod transactions;

//! The one integration binary.

mod ablations;
mod bad_input;
mod common;
mod digests;
mod nondeterminism;
mod promises;
mod queueing;
mod shards;
mod tidy;

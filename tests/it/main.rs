//! The one integration binary.

mod ablations;
mod bad_input;
mod chaos;
mod common;
mod damage;
mod digests;
mod full_disk;
mod library;
mod limits;
mod live;
mod mutants;
mod nondeterminism;
mod promises;
mod queueing;
mod shards;
mod shrink;
mod sweep;
mod tidy;
mod transactions;

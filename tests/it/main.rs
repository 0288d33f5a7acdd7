//! The one integration binary.

mod ablations;
mod bad_input;
mod chaos;
mod common;
mod damage;
mod digests;
mod eligible;
mod explain;
mod follower_reads;
mod full_disk;
mod groups;
mod library;
mod limits;
mod live;
mod mutants;
mod nondeterminism;
mod producers;
mod promises;
mod queueing;
mod reassignment;
mod retention;
mod shards;
mod shrink;
mod sweep;
mod tidy;
mod transactions;

//! Machines of the queue, to Apache Kafka's rules. No I/O, no clock, no threads, no randomness but `Step::rng`.

mod assignor;
pub mod broker;
pub mod client;
pub mod consumer;
pub mod controller;
pub mod group;
pub mod log;
pub mod partition;
pub mod producer;
mod shards;
pub mod transaction;

//! The transaction coordinator: who may write under a transactional id, what its transaction has touched, how it ends.
//!
//! One [`TransactionCoordinator`] per broker serves every transactional id whose partition of the transactions topic this
//! broker leads. The one idea: **the log of that topic decides**. A transaction is committed from the moment its
//! `PrepareCommit` is on all in-sync replicas, before any partition knows; whoever coordinates then, now or after a
//! failover, only carries it out, by writing a marker into every partition the transaction has touched, again and again
//! until each has taken it.
//!
//! With `transaction.version` 2 (KIP-890) partitions are added by the brokers that are written to, and each end of a
//! transaction raises the producer epoch, so that nothing late can fall into the next one; with version 1 producers add
//! them, and the epoch stays. An epoch that is used up gives a new producer id.
//!
//! Kafka differs: transactional ids do not expire.
//!
//! Source: TransactionCoordinator, TransactionStateManager, TransactionMarkerChannelManager; KIP-98, KIP-360, KIP-588,
//! KIP-890.

mod coordinator;
mod entry;
mod markers;
#[cfg(test)]
mod tests;

pub use coordinator::{TransactionAppend, TransactionConfig, TransactionCoordinator, TransactionToken};

//! The group coordinator: who is in a group, who reads which partition, and what the group has committed.
//!
//! One [`Coordinator`] per broker serves every group whose partition of the offsets topic this broker leads. The one
//! idea: **the log of the offsets topic is the group**. What a coordinator answers as done is a record that is already
//! replicated, and a new coordinator is the replay of that log. So every change that must survive leaves as a
//! [`CoordinatorAppend`], and its answer waits for [`Coordinator::append_finished`].
//!
//! Two protocols, two rooms: in a classic group the member that leads it assigns, round by round (`classic`); in a consumer
//! group the coordinator does, and every member walks there on its own (`consumer`, KIP-848).
//!
//! Source: GroupCoordinatorService, GroupMetadataManager, OffsetMetadataManager, ClassicGroup; KIP-62, KIP-134,
//! KIP-211, KIP-394, KIP-848.

mod classic;
mod consumer;
mod coordinator;
mod load;
mod managed;
mod member;
mod offsets;
mod transactions;
mod turn;

pub use coordinator::{AppendToken, Coordinator, CoordinatorAppend, CoordinatorConfig};
pub use turn::Transaction;

#[cfg(test)]
pub(in crate::kafka) mod harness;
#[cfg(test)]
pub(in crate::kafka) mod tests;

//! The group coordinator: who is in a classic group, who reads which partition, and what the group has committed.
//!
//! One [`Coordinator`] per broker serves every group whose partition of the offsets topic this broker leads. The one
//! idea: **the log of the offsets topic is the group**. What a coordinator answers as done is a record that is already
//! replicated, and a new coordinator is the replay of that log. So every change that must survive leaves as a
//! [`CoordinatorAppend`], and its answer waits for [`Coordinator::append_finished`].
//!
//! Not here: static membership (KIP-345), cooperative and server-side assignment (KIP-429, KIP-848). Assignments
//! are made by the member that leads the group, as in every classic group.
//!
//! Source: GroupCoordinatorService, GroupMetadataManager, OffsetMetadataManager, ClassicGroup; KIP-62, KIP-134,
//! KIP-211, KIP-394.

mod classic;
mod coordinator;
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

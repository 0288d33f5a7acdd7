//! The steps of a service as they are meant.

use serde::{Deserialize, Serialize};

use crate::types::request::{Present, Stands};
use crate::types::*;

use super::CallPlan;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepPlan {
    /// As written, for people and for charts: `insert db.orders`.
    pub text: String,
    pub action: Action,
    /// Only for events of this origin.
    pub of: Option<ServiceId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Work {
        time: Spread,
        errors: Ratio,
        poison: Ratio,
    },
    /// One request to one store; a lone store step is a transaction of one operation.
    Store {
        store: u16,
        operations: Vec<StoreStep>,
    },
    /// `producer` is an index into the service's producers.
    Publish {
        topic: TopicId,
        producer: u16,
        wait: bool,
        key: PublishKey,
    },
    Call(CallPlan),
    Commit {
        every: CommitEvery,
        how: CommitHow,
    },
    /// The offset behind the event is what the client commits next, by its clock. librdkafka: rd_kafka_offset_store.
    StoreOffset,
    Respond,
    /// From here to the next `EndTransaction`, what the transactional producer is given is committed as one.
    BeginTransaction,
    /// The offset of the event is committed with the transaction.
    SendOffsets {
        /// The group learns who commits, and refuses who is not a member any more. KIP-447.
        group_metadata: bool,
    },
    /// Commits.
    EndTransaction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublishKey {
    Key,
    Id,
    None,
}

/// Who waits for the answer to a commit, and what is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitHow {
    /// The step does. Kafka: commitSync.
    Sync,
    /// Nobody does; a callback hears of it. Kafka: commitAsync.
    Async { retry: CommitRetry },
}

impl CommitHow {
    pub fn waits(self) -> bool {
        self == CommitHow::Sync
    }
}

/// What the callback of commitAsync does about a failure that might pass. Kafka: RetriableCommitFailedException.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitRetry {
    /// Nothing: a later commit covers it.
    #[default]
    Never,
    /// Commits the same again if no newer commit was made meanwhile.
    /// Source: Shapira et al., "Kafka: The Definitive Guide", 2nd edition (2021), chapter 4, "Retrying Async Commits".
    UnlessNewer,
    /// Commits the same again, behind whatever was committed meanwhile: the group's position goes back.
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitEvery {
    Record,
    /// In front of a batch when it is the first step, behind it otherwise.
    Batch,
    Records(u32),
    Interval(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreStep {
    Insert {
        table: PlaceId,
        row: RowBy,
    },
    InsertIfAbsent {
        table: PlaceId,
        row: RowBy,
        present: Present,
        stands: Stands,
    },
    Confirm {
        table: PlaceId,
        row: RowBy,
    },
    Check {
        table: PlaceId,
        row: RowBy,
        present: Present,
    },
    Upsert {
        table: PlaceId,
        version_guard: bool,
    },
    Add {
        table: PlaceId,
        by: i64,
    },
    /// The position behind the event, for the service and the partition: compared with what was read, and set.
    Commit {
        table: PlaceId,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowBy {
    #[default]
    Event,
    Offset,
}

impl StepPlan {
    /// It says that the event is done: to the group, or to a store that keeps the position.
    pub fn commits(&self) -> bool {
        match &self.action {
            Action::Commit { .. } | Action::SendOffsets { .. } => true,
            Action::Store { operations, .. } => {
                operations.iter().any(|operation| matches!(operation, StoreStep::Commit { .. }))
            }
            Action::Work { .. } | Action::Publish { .. } | Action::Call(_) | Action::Respond => false,
            Action::StoreOffset | Action::BeginTransaction | Action::EndTransaction => false,
        }
    }
}

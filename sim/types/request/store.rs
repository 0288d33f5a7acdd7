//! What a store is asked, and what it answers: transactions, polls of rows, positions that are kept.

use super::super::*;

/// One atomic transaction on one store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreRequest {
    pub message: Message,
    /// Who asks, for the record: service, instance node, and number of its step in the flow.
    pub service: ServiceId,
    pub step: u16,
    /// Which attempt of this process at this step this is, over all events: an identity for draws.
    pub attempt: u64,
    /// Of the process that asks, whose leases are its own.
    pub incarnation: Incarnation,
    pub operations: Vec<StoreOperation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoreOperation {
    /// A row by event id or offset; refuses the whole transaction if there is one.
    Insert {
        table: PlaceId,
        row: Row,
    },
    InsertIfAbsent {
        table: PlaceId,
        row: Row,
        present: Present,
        stands: Stands,
    },
    /// A row that was leased stands for good; refuses the whole transaction if the lease is somebody else's by now.
    Confirm {
        table: PlaceId,
        row: Row,
    },
    Check {
        table: PlaceId,
        row: Row,
        present: Present,
    },
    /// Overwrite by key; with the guard only if the version is newer.
    Upsert {
        table: PlaceId,
        version_guard: bool,
    },
    /// Adds to the row of the key; not idempotent.
    Add {
        table: PlaceId,
        by: i64,
    },
    /// Rows of a polled table are done with.
    MarkSent {
        table: PlaceId,
        rows: Vec<RowNumber>,
    },
    /// Rows of a polled table up to this one are done with, for the service that asks. Never goes back.
    MoveCursor {
        table: PlaceId,
        cursor: Cursor,
        to: RowNumber,
    },
    /// Position kept beside the data, for the service that asks: refuses the whole transaction unless it is `expected`.
    SetOffset {
        table: PlaceId,
        group: GroupId,
        partition: TopicPartition,
        expected: Option<Offset>,
        next: Offset,
    },
}

/// The next rows of a polled table, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PollRowsRequest {
    pub table: PlaceId,
    pub service: ServiceId,
    pub cursor: Cursor,
    /// Rows behind this one; `None`: behind the cursor that the store keeps for the service.
    pub after: Option<RowNumber>,
    pub limit: u32,
    /// Which poll of this process this is: an identity for draws.
    pub attempt: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeptPositionsRequest {
    pub table: PlaceId,
    pub service: ServiceId,
    pub partitions: Vec<TopicPartition>,
    /// Which such question of this process this is: an identity for draws.
    pub attempt: u64,
}

/// Which rows a poll finds, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cursor {
    /// Rows that are not marked, by number.
    #[default]
    Unsent,
    /// Rows whose number is above the highest one done. A row that is seen late has a lower one.
    HighestId,
    /// Rows that were seen after the last one done.
    CommitOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolledRow {
    /// In the order of the cursor.
    pub number: RowNumber,
    pub message: Message,
}

/// What names a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    Event(EventId),
    Offset(TopicPartition, Offset),
}

/// What to do when the row is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Present {
    /// Leave the list for its `commit` or `respond`.
    #[default]
    Skip,
    Continue,
    Fail,
}

/// How long a row stands, once it is inserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stands {
    #[default]
    ForGood,
    /// Then it is forgotten, as if it had never been there.
    For(Duration),
    /// Pending until it is confirmed: other processes fail meanwhile, and take it over when so much time has passed.
    Lease(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreResponse {
    Done,
    /// A row was present and the operation said `skip`: nothing was applied.
    Skipped,
    /// The position that is kept is another than the one expected, this one: nothing was applied.
    Superseded(Offset),
    /// A row was present and the operation refuses that: nothing was applied.
    Conflict,
    /// The store said no before it did anything.
    Refused,
}

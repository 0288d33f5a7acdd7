//! What a store keeps: rows by event or by offset, versions and counters by key. It outlives the store's process.
//!
//! Events and offsets are dense numbers, so a set of rows is a map of small bitmap pages: a million rows take about
//! 150 kB. Nothing is ever deleted.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::request::{Cursor, PollRowsRequest, PolledRow, Row, Stands};
use crate::types::*;

/// The content of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreRows {
    tables: BTreeMap<PlaceId, Table>,
    /// Positions kept beside the data, in a table, for a service: the next offset to process.
    positions: BTreeMap<(PlaceId, ServiceId, TopicPartition), Offset>,
    /// Tables that are polled, in the order in which their rows are polled.
    queues: BTreeMap<PlaceId, RowQueue>,
}

/// The rows of a polled table as its pollers find them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RowQueue {
    /// Numbers given so far, to transactions that were never seen too.
    numbered: u64,
    seen: BTreeMap<RowNumber, Message>,
    /// By rank: the order in which rows were seen.
    order: Vec<RowNumber>,
    unmarked: BTreeSet<RowNumber>,
    /// What rows are done with, for each service that moves a cursor.
    cursors: BTreeMap<ServiceId, RowNumber>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    rows: RowSet,
    versions: BTreeMap<Key, u32>,
    counters: BTreeMap<Key, i64>,
    /// Rows that do not simply stand: of all others the set above says all.
    passing: BTreeMap<Row, Passing>,
}

/// What a row is that does not stand for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    /// Forgotten from then on.
    Until(Time),
    /// Leased to a process, which alone may go on with it until then.
    Leased { holder: Holder, until: Time },
    /// The holder has confirmed it, and may say so again.
    Confirmed { holder: Holder },
}

/// A process that asks: a node, in one of its lives.
pub type Holder = (NodeId, Incarnation);

/// How a row stands to somebody who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    Absent,
    Present,
    /// Somebody else has it on lease.
    LeasedAway,
    /// On lease by who asks, or its lease has run out.
    Free,
}

impl StoreRows {
    /// True when the row is new. For `holder`, from now on.
    pub fn insert(&mut self, table: PlaceId, row: Row, stands: Stands, (holder, now): (Holder, Time)) -> bool {
        let table = self.tables.entry(table).or_default();
        let passing = match stands {
            Stands::ForGood => None,
            Stands::For(length) => Some(Passing::Until(now + length)),
            Stands::Lease(length) => Some(Passing::Leased { holder, until: now + length }),
        };
        let forgotten = matches!(table.passing.get(&row), Some(Passing::Until(until)) if *until <= now);
        let new = table.rows.insert(row);
        match passing {
            Some(passing) => table.passing.insert(row, passing),
            None => table.passing.remove(&row),
        };
        new || forgotten
    }

    /// The row stands for good, if this process may say so.
    pub fn confirm(&mut self, table: PlaceId, row: Row, holder: Holder) {
        if self.may_confirm(table, row, holder) {
            self.tables.entry(table).or_default().passing.insert(row, Passing::Confirmed { holder });
        }
    }

    /// The row is on lease by this process, and nobody has taken over.
    pub fn may_confirm(&self, table: PlaceId, row: Row, holder: Holder) -> bool {
        match self.tables.get(&table).and_then(|table| table.passing.get(&row)) {
            Some(Passing::Leased { holder: of, .. } | Passing::Confirmed { holder: of }) => *of == holder,
            Some(Passing::Until(_)) | None => false,
        }
    }

    pub fn state(&self, table: PlaceId, row: Row, (holder, now): (Holder, Time)) -> RowState {
        let Some(table) = self.tables.get(&table).filter(|table| table.rows.contains(row)) else {
            return RowState::Absent;
        };
        match table.passing.get(&row) {
            Some(Passing::Until(until)) if *until <= now => RowState::Absent,
            Some(Passing::Leased { holder: of, until }) if *of == holder || *until <= now => RowState::Free,
            Some(Passing::Leased { .. }) => RowState::LeasedAway,
            Some(Passing::Until(_) | Passing::Confirmed { .. }) | None => RowState::Present,
        }
    }

    /// Writes the version of a key and gives back the one that was there.
    pub fn overwrite(&mut self, table: PlaceId, key: Key, version: u32) -> Option<u32> {
        self.tables.entry(table).or_default().versions.insert(key, version)
    }

    pub fn add(&mut self, table: PlaceId, key: Key, by: i64) {
        let counter = self.tables.entry(table).or_default().counters.entry(key).or_default();
        *counter = counter.saturating_add(by);
    }

    pub fn set_position(&mut self, table: PlaceId, service: ServiceId, partition: TopicPartition, next: Offset) {
        self.positions.insert((table, service, partition), next);
    }

    pub fn version(&self, table: PlaceId, key: Key) -> Option<u32> {
        self.tables.get(&table)?.versions.get(&key).copied()
    }

    pub fn counter(&self, table: PlaceId, key: Key) -> i64 {
        self.tables.get(&table).and_then(|table| table.counters.get(&key).copied()).unwrap_or_default()
    }

    pub fn position(&self, table: PlaceId, service: ServiceId, partition: TopicPartition) -> Option<Offset> {
        self.positions.get(&(table, service, partition)).copied()
    }

    /// The number of a row whose transaction begins now.
    pub fn next_number(&mut self, table: PlaceId) -> RowNumber {
        let queue = self.queues.entry(table).or_default();
        queue.numbered += 1;
        RowNumber(queue.numbered)
    }

    /// The transaction that wrote a row has ended. Gives back its rank.
    pub fn see(&mut self, table: PlaceId, number: RowNumber, message: Message) -> RowNumber {
        let queue = self.queues.entry(table).or_default();
        queue.seen.insert(number, message);
        queue.unmarked.insert(number);
        queue.order.push(number);
        RowNumber(queue.order.len() as u64)
    }

    /// The rows that a poll finds.
    pub fn poll(&self, poll: &PollRowsRequest) -> Vec<PolledRow> {
        let Some(queue) = self.queues.get(&poll.table) else { return Vec::new() };
        let limit = poll.limit as usize;
        let kept = queue.cursors.get(&poll.service).copied().unwrap_or_default();
        let after = poll.after.unwrap_or(kept);
        let behind = RowNumber(after.0 + 1);
        let row = |number: RowNumber, of: RowNumber| PolledRow { number, message: queue.seen[&of] };
        match poll.cursor {
            Cursor::Unsent => queue.unmarked.iter().take(limit).map(|number| row(*number, *number)).collect(),
            Cursor::HighestId => {
                queue.seen.range(behind..).take(limit).map(|(number, _)| row(*number, *number)).collect()
            }
            Cursor::CommitOrder => {
                let ranked = queue.order.iter().zip(1u64..).skip(after.0 as usize).take(limit);
                ranked.map(|(of, rank)| row(RowNumber(rank), *of)).collect()
            }
        }
    }

    pub fn mark(&mut self, table: PlaceId, rows: &[RowNumber]) {
        let queue = self.queues.entry(table).or_default();
        for row in rows {
            queue.unmarked.remove(row);
        }
    }

    /// Gives back where the cursor stands then: it never goes back.
    pub fn move_cursor(&mut self, table: PlaceId, service: ServiceId, to: RowNumber) -> RowNumber {
        let cursor = self.queues.entry(table).or_default().cursors.entry(service).or_default();
        *cursor = to.max(*cursor);
        *cursor
    }

    /// Rows by event and by offset in a table.
    pub fn count(&self, table: PlaceId) -> u64 {
        self.tables.get(&table).map_or(0, |table| table.rows.count)
    }
}

/// A set of rows as bitmap pages of 1024.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RowSet {
    pages: BTreeMap<(u64, u64), [u64; 16]>,
    count: u64,
}

impl RowSet {
    fn insert(&mut self, row: Row) -> bool {
        let (page, word, bit) = place(row);
        let word = &mut self.pages.entry(page).or_default()[word];
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(new);
        new
    }

    fn contains(&self, row: Row) -> bool {
        let (page, word, bit) = place(row);
        self.pages.get(&page).is_some_and(|words| words[word] & bit != 0)
    }
}

/// Page, word and bit of a row. Events live in space 0, each partition in a space of its own.
fn place(row: Row) -> ((u64, u64), usize, u64) {
    let (space, number) = match row {
        Row::Event(event) => (0, event.0),
        Row::Offset(partition, offset) => (1 + partition.number(), offset.0),
    };
    ((space, number >> 10), (number >> 6 & 15) as usize, 1 << (number & 63))
}

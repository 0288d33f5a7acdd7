//! What a store keeps: rows by event or by offset, versions and counters by key. It outlives the store's process.
//!
//! Events and offsets are dense numbers, so a set of rows is a map of small bitmap pages: a million rows take about
//! 150 kB. Nothing is ever deleted.

use std::collections::BTreeMap;

use crate::types::request::Row;
use crate::types::*;

/// The content of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreRows {
    tables: BTreeMap<PlaceId, Table>,
    /// Positions kept beside the data: the next offset to process.
    positions: BTreeMap<TopicPartition, Offset>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    rows: RowSet,
    versions: BTreeMap<Key, u32>,
    counters: BTreeMap<Key, i64>,
}

impl StoreRows {
    /// True when the row is new.
    pub fn insert(&mut self, table: PlaceId, row: Row) -> bool {
        self.tables.entry(table).or_default().rows.insert(row)
    }

    /// Writes the version of a key and gives back the one that was there.
    pub fn overwrite(&mut self, table: PlaceId, key: Key, version: u32) -> Option<u32> {
        self.tables.entry(table).or_default().versions.insert(key, version)
    }

    pub fn add(&mut self, table: PlaceId, key: Key, by: i64) {
        let counter = self.tables.entry(table).or_default().counters.entry(key).or_default();
        *counter = counter.saturating_add(by);
    }

    pub fn set_position(&mut self, partition: TopicPartition, next: Offset) {
        self.positions.insert(partition, next);
    }

    pub fn contains(&self, table: PlaceId, row: Row) -> bool {
        self.tables.get(&table).is_some_and(|table| table.rows.contains(row))
    }

    pub fn version(&self, table: PlaceId, key: Key) -> Option<u32> {
        self.tables.get(&table)?.versions.get(&key).copied()
    }

    pub fn counter(&self, table: PlaceId, key: Key) -> i64 {
        self.tables.get(&table).and_then(|table| table.counters.get(&key).copied()).unwrap_or_default()
    }

    pub fn position(&self, partition: TopicPartition) -> Option<Offset> {
        self.positions.get(&partition).copied()
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

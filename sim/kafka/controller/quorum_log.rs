//! The metadata log of one voter: entries numbered from 0, epochs never going back.
//!
//! Pure memory; whoever changes it asks for the storage operation beside it. There are no snapshots (KIP-630): a run is
//! short, and the whole log is kept.

use crate::types::metadata::MetadataRecord;
use crate::types::request::QuorumEntry;
use crate::types::*;

#[derive(Clone, Debug)]
pub(super) struct QuorumLog {
    /// The entry at offset `n` is `entries[n]`.
    entries: Vec<QuorumEntry>,
}

impl QuorumLog {
    pub fn recover(entries: Vec<QuorumEntry>) -> QuorumLog {
        let mut log = QuorumLog { entries: Vec::with_capacity(entries.len()) };
        for entry in entries {
            log.append(entry);
        }
        log
    }

    pub fn append(&mut self, entry: QuorumEntry) {
        assert!(entry.offset == self.end_offset(), "gap in the metadata log");
        assert!(self.last_epoch() <= entry.epoch, "epoch of the metadata log went back");
        self.entries.push(entry);
    }

    pub fn truncate(&mut self, to: Offset) {
        assert!(to <= self.end_offset(), "truncation past the end of the metadata log");
        self.entries.truncate(to.0 as usize);
    }

    /// First offset not written yet.
    pub fn end_offset(&self) -> Offset {
        Offset(self.entries.len() as u64)
    }

    /// Epoch of the last entry; zero for an empty log.
    pub fn last_epoch(&self) -> QuorumEpoch {
        self.entries.last().map_or(QuorumEpoch(0), |entry| entry.epoch)
    }

    /// The largest epoch in the log that is not above `epoch`, and where it ends. Kafka: ReplicatedLog.endOffsetForEpoch.
    pub fn end_offset_for_epoch(&self, epoch: QuorumEpoch) -> (QuorumEpoch, Offset) {
        let end = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let floor = end.checked_sub(1).map_or(QuorumEpoch(0), |last| self.entries[last].epoch);
        (floor, Offset(end as u64))
    }

    /// The entries in `[from, below)`, as far as there are any.
    pub fn read(&self, from: Offset, below: Offset) -> &[QuorumEntry] {
        let below = below.min(self.end_offset()).0 as usize;
        let from = (from.0 as usize).min(below);
        &self.entries[from..below]
    }
}

/// An entry that is not written yet.
pub(super) fn entry(offset: Offset, epoch: QuorumEpoch, records: Vec<MetadataRecord>) -> QuorumEntry {
    QuorumEntry { offset, epoch, records }
}

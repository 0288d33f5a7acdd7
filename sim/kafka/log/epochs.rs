//! Where each leader epoch began in a log: the memory by which two replicas find the end of what they have in common.
//!
//! Kafka: LeaderEpochFileCache; KIP-101, KIP-279. It is derived from the batches, save for the entry that a leader
//! makes at the start of its term.

use crate::types::request::DivergingEpoch;
use crate::types::*;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    /// Epoch and its first offset, both strictly increasing.
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl EpochCache {
    /// `epoch` begins at `start` unless it is the newest already. Entries it contradicts go. An epoch without a record
    /// is replaced by the next one at the same offset.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.latest() == Some(epoch) {
            return;
        }
        while self.entries.last().is_some_and(|last| epoch <= last.0 || start <= last.1) {
            self.entries.pop();
        }
        self.entries.push((epoch, start));
    }

    pub fn truncate_from_end(&mut self, end: Offset) {
        while self.entries.last().is_some_and(|last| end <= last.1) {
            self.entries.pop();
        }
    }

    /// The epoch that covers `start` begins there now.
    pub fn truncate_from_start(&mut self, start: Offset) {
        let later = self.entries.partition_point(|entry| entry.1 <= start);
        if later > 0 {
            self.entries.drain(..later - 1);
            self.entries[0].1 = start;
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|last| last.0)
    }

    /// The largest epoch not above `requested`, and where it ends. `None`: nothing is known of so new an epoch.
    ///
    /// Without `floor` an unknown epoch is answered as if it were known, which is the bug of KAFKA-6361.
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end: Offset, floor: bool) -> Option<DivergingEpoch> {
        if self.latest() == Some(requested) {
            return Some(DivergingEpoch { epoch: requested, end_offset: log_end });
        }
        let higher = self.entries.partition_point(|entry| entry.0 <= requested);
        let (_, end_offset) = *self.entries.get(higher)?;
        let epoch = match higher.checked_sub(1) {
            Some(below) if floor => self.entries[below].0,
            Some(_) | None => requested,
        };
        Some(DivergingEpoch { epoch, end_offset })
    }
}

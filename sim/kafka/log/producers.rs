//! What a replica remembers of idempotent producers: for each its epoch and its last few batches.
//!
//! The idea: this map is a function of the log. Followers and recovering logs build it from what they append, and a
//! truncation takes back what it cut off; otherwise a new leader would take a retry for a new batch, or a new batch for
//! a retry of one that is gone. KIP-98; Kafka: ProducerStateManager, ProducerStateEntry, ProducerAppendInfo.
//!
//! No transactions, and no snapshots: the whole log is at hand when something must be rebuilt.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::types::record::ProducerStamp;
use crate::types::request::ErrorCode;
use crate::types::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerStates {
    retained: usize,
    producers: BTreeMap<ProducerId, ProducerEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProducerEntry {
    epoch: ProducerEpoch,
    /// Oldest first, all of `epoch`, never empty.
    batches: VecDeque<SequenceRange>,
    last_timestamp: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SequenceRange {
    first: Sequence,
    last: Sequence,
    base_offset: Offset,
    end_offset: Offset,
}

/// Whether a producer may append a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Next,
    Duplicate { base_offset: Offset, end_offset: Offset },
    Refused(ErrorCode),
}

impl ProducerStates {
    pub fn new(retained: usize) -> ProducerStates {
        ProducerStates { retained, producers: BTreeMap::new() }
    }

    /// A producer last heard of at or before `expiry` is unknown, and an unknown producer may begin anywhere.
    ///
    /// Kafka differs: it looks for idle producers every ten minutes instead of at the next append.
    pub fn admit(&self, stamp: ProducerStamp, last: Sequence, expiry: Option<Time>, guards: Guards) -> Admission {
        let Some(entry) = self.producers.get(&stamp.id).filter(|entry| Some(entry.last_timestamp) > expiry) else {
            return Admission::Next;
        };
        if stamp.epoch == entry.epoch && guards.stand(Guard::DuplicateBatch) {
            let same = |range: &&SequenceRange| range.first == stamp.base_sequence && range.last == last;
            if let Some(range) = entry.batches.iter().find(same) {
                return Admission::Duplicate { base_offset: range.base_offset, end_offset: range.end_offset };
            }
        }
        if stamp.epoch < entry.epoch {
            return Admission::Refused(ErrorCode::InvalidProducerEpoch);
        }
        let expected = if entry.epoch < stamp.epoch { Sequence(0) } else { entry.last_sequence().plus(1) };
        if guards.stand(Guard::SequenceCheck) && stamp.base_sequence != expected {
            return Admission::Refused(ErrorCode::OutOfOrderSequenceNumber);
        }
        Admission::Next
    }

    /// A batch is in the log; a replica believes it without checking.
    pub fn remember(&mut self, batch: &RecordBatch, timestamp: Time) {
        let Some(stamp) = batch.producer else { return };
        let range = SequenceRange::of(batch, stamp);
        let entry = self.producers.entry(stamp.id).or_insert_with(|| ProducerEntry {
            epoch: stamp.epoch,
            batches: VecDeque::with_capacity(self.retained),
            last_timestamp: timestamp,
        });
        if entry.epoch != stamp.epoch {
            entry.epoch = stamp.epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == self.retained {
            entry.batches.pop_front();
        }
        entry.batches.push_back(range);
        entry.last_timestamp = entry.last_timestamp.max(timestamp);
    }

    /// Takes back the producers of `removed` batches to what the `kept` ones say of them.
    pub fn truncate(&mut self, removed: &[RecordBatch], kept: &[RecordBatch]) {
        let mut affected: BTreeSet<ProducerId> = removed.iter().filter_map(|batch| Some(batch.producer?.id)).collect();
        for producer in &affected {
            self.producers.remove(producer);
        }
        for batch in kept.iter().rev() {
            if affected.is_empty() {
                break;
            }
            let Some(stamp) = batch.producer else { continue };
            if affected.contains(&stamp.id) && self.remember_earlier(batch, stamp) {
                affected.remove(&stamp.id);
            }
        }
    }

    /// Adds a batch in front of those known. True when the producer's memory is complete with it.
    fn remember_earlier(&mut self, batch: &RecordBatch, stamp: ProducerStamp) -> bool {
        let timestamp = batch.messages().iter().map(|record| record.timestamp).max().unwrap_or(Time::ZERO);
        let entry = self.producers.entry(stamp.id).or_insert_with(|| ProducerEntry {
            epoch: stamp.epoch,
            batches: VecDeque::with_capacity(self.retained),
            last_timestamp: timestamp,
        });
        if entry.epoch != stamp.epoch {
            return true;
        }
        entry.batches.push_front(SequenceRange::of(batch, stamp));
        entry.last_timestamp = entry.last_timestamp.max(timestamp);
        entry.batches.len() == self.retained
    }
}

impl ProducerEntry {
    fn last_sequence(&self) -> Sequence {
        self.batches.back().expect("a known producer has a batch").last
    }
}

impl SequenceRange {
    fn of(batch: &RecordBatch, stamp: ProducerStamp) -> SequenceRange {
        SequenceRange {
            first: stamp.base_sequence,
            last: batch.last_sequence().expect("a stamped batch has a last sequence"),
            base_offset: batch.base_offset,
            end_offset: batch.end_offset(),
        }
    }
}

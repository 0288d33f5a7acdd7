//! What a replica remembers of idempotent producers: for each its epoch and its last few batches.
//!
//! The idea: this map is a function of the log. Followers and recovering logs build it from what they append, and a
//! truncation takes back what it cut off; otherwise a new leader would take a retry for a new batch, or a new batch for
//! a retry of one that is gone. KIP-98; Kafka: ProducerStateManager, ProducerStateEntry, ProducerAppendInfo.
//!
//! Of transactions it knows the epochs that markers bring (KIP-890: a marker raises the epoch, so that whatever is late is
//! refused); which are open, `transactions.rs` knows. What retention takes away leaves a snapshot behind: each producer's last
//! batches below the start of the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::types::record::{Marker, ProducerStamp};
use crate::types::request::ErrorCode;
use crate::types::storage::{ProducerSnapshot, SequenceRange};
use crate::types::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerStates {
    retained: usize,
    guards: Guards,
    producers: BTreeMap<ProducerId, ProducerEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProducerEntry {
    epoch: ProducerEpoch,
    /// Oldest first, all of `epoch`; empty when a marker has raised the epoch.
    batches: VecDeque<SequenceRange>,
    /// Of the epoch before; kept only by the mutant of T17.
    former: VecDeque<SequenceRange>,
    last_timestamp: Time,
    /// Of the last marker.
    coordinator_epoch: Option<LeaderEpoch>,
}

/// Whether a producer may append a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Next,
    Duplicate { base_offset: Offset, end_offset: Offset },
    Refused(ErrorCode),
}

impl ProducerStates {
    pub fn from_snapshot(snapshot: &[ProducerSnapshot], retained: usize, guards: Guards) -> ProducerStates {
        let entry = |of: &ProducerSnapshot| ProducerEntry {
            epoch: of.epoch,
            batches: of.batches.iter().copied().collect(),
            former: VecDeque::new(),
            last_timestamp: of.last_timestamp,
            coordinator_epoch: of.coordinator_epoch,
        };
        let producers = snapshot.iter().map(|of| (of.producer, entry(of))).collect();
        ProducerStates { retained, guards, producers }
    }

    pub fn snapshot(&self) -> Vec<ProducerSnapshot> {
        let of = |(producer, entry): (&ProducerId, &ProducerEntry)| ProducerSnapshot {
            producer: *producer,
            epoch: entry.epoch,
            batches: entry.batches.iter().copied().collect(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
        };
        self.producers.iter().map(of).collect()
    }

    /// A producer last heard of at or before `expiry` is unknown, and an unknown producer may begin anywhere.
    ///
    /// Kafka differs: it looks for idle producers every ten minutes instead of at the next append.
    pub fn admit(&self, stamp: ProducerStamp, last: Option<Sequence>, expiry: Option<Time>) -> Admission {
        let guards = self.guards;
        let Some(entry) = self.producers.get(&stamp.id).filter(|entry| Some(entry.last_timestamp) > expiry) else {
            // A mutant is a leader from before KIP-360, which lets nobody begin in the middle.
            let begins = stamp.base_sequence == Sequence(0) || stamp.base_sequence == Sequence::NONE;
            return match begins || self.guards.stand(Guard::ProducerOutlivesRecords) {
                true => Admission::Next,
                false => Admission::Refused(ErrorCode::UnknownProducerId),
            };
        };
        if stamp.epoch == entry.epoch && guards.stand(Guard::DuplicateBatch) {
            let same = |range: &&SequenceRange| range.first == stamp.base_sequence && Some(range.last) == last;
            if stamp.base_sequence != Sequence::NONE
                && let Some(range) = entry.batches.iter().chain(&entry.former).find(same)
            {
                return Admission::Duplicate { base_offset: range.base_offset, end_offset: range.end_offset };
            }
        }
        if stamp.epoch < entry.epoch && (!stamp.transactional || guards.stand(Guard::ProducerEpochCheck)) {
            return Admission::Refused(ErrorCode::InvalidProducerEpoch);
        }
        if stamp.epoch < entry.epoch || stamp.base_sequence == Sequence::NONE {
            return Admission::Next;
        }
        let known = entry.last_sequence().filter(|_| entry.epoch == stamp.epoch);
        let expected = known.map_or(Sequence(0), |last| last.plus(1));
        if guards.stand(Guard::SequenceCheck) && stamp.base_sequence != expected {
            return Admission::Refused(ErrorCode::OutOfOrderSequenceNumber);
        }
        Admission::Next
    }

    /// Whether a coordinator may end a transaction here. A marker that comes again is welcome (KAFKA-19999); one of a
    /// coordinator or a producer that has a successor is not. Kafka: ProducerAppendInfo.appendEndTxnMarker.
    pub fn admit_marker(&self, stamp: ProducerStamp, marker: Marker) -> Result<(), ErrorCode> {
        let guards = self.guards;
        let Some(entry) = self.producers.get(&stamp.id) else { return Ok(()) };
        let is_stale = Some(marker.coordinator_epoch) < entry.coordinator_epoch;
        if is_stale && guards.stand(Guard::CoordinatorEpochCheck) {
            return Err(ErrorCode::TransactionCoordinatorFenced);
        }
        let is_repeated = stamp.epoch == entry.epoch && entry.coordinator_epoch.is_some() && entry.batches.is_empty();
        if stamp.epoch < entry.epoch || is_repeated && !guards.stand(Guard::RepeatedMarker) {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        Ok(())
    }

    /// A batch is in the log; a replica believes it without checking.
    pub fn remember(&mut self, batch: &RecordBatch, timestamp: Time) {
        let Some(stamp) = batch.producer else { return };
        let (retained, forgets) = (self.retained, self.guards.stand(Guard::EpochForgetsBatches));
        let entry = self.entry(stamp, timestamp);
        if entry.epoch < stamp.epoch {
            entry.epoch = stamp.epoch;
            let former = std::mem::take(&mut entry.batches);
            if !forgets && !former.is_empty() {
                entry.former = former;
            }
        }
        entry.last_timestamp = entry.last_timestamp.max(timestamp);
        if let Some(marker) = batch.marker() {
            entry.coordinator_epoch = entry.coordinator_epoch.max(Some(marker.coordinator_epoch));
        }
        if let Some(range) = SequenceRange::of(batch).filter(|_| stamp.epoch == entry.epoch) {
            if entry.batches.len() == retained {
                entry.batches.pop_front();
            }
            entry.batches.push_back(range);
        }
    }

    /// Retention removed what lies below. Only a mutant forgets whose batches these were.
    pub fn forget_below(&mut self, start: Offset) {
        let is_left = |entry: &ProducerEntry| entry.batches.back().is_none_or(|range| start < range.end_offset);
        self.producers.retain(|_, entry| is_left(entry));
    }

    /// Takes back the producers of `removed` batches to what the `kept` ones say of them, and what lay `below` those.
    pub fn truncate(&mut self, removed: &[RecordBatch], kept: &[RecordBatch], below: &ProducerStates) {
        let mut affected: BTreeSet<ProducerId> = removed.iter().filter_map(|batch| Some(batch.producer?.id)).collect();
        for producer in &affected {
            self.producers.remove(producer);
        }
        for batch in kept.iter().rev() {
            if affected.is_empty() {
                return;
            }
            let Some(stamp) = batch.producer else { continue };
            if affected.contains(&stamp.id) && self.remember_earlier(batch, stamp) {
                affected.remove(&stamp.id);
            }
        }
        for producer in affected {
            if let Some(earlier) = below.producers.get(&producer) {
                self.remember_below(producer, earlier);
            }
        }
    }

    /// Adds what is known of a producer from below the log, in front of what the log says.
    fn remember_below(&mut self, producer: ProducerId, earlier: &ProducerEntry) {
        let retained = self.retained;
        let entry = self.producers.entry(producer).or_insert_with(|| ProducerEntry {
            batches: VecDeque::new(),
            former: VecDeque::new(),
            ..earlier.clone()
        });
        if entry.epoch == earlier.epoch {
            let room = retained.saturating_sub(entry.batches.len());
            earlier.batches.iter().rev().take(room).for_each(|range| entry.batches.push_front(*range));
        }
        entry.last_timestamp = entry.last_timestamp.max(earlier.last_timestamp);
        entry.coordinator_epoch = entry.coordinator_epoch.max(earlier.coordinator_epoch);
    }

    /// Adds a batch in front of those known. True when the producer's memory is complete with it.
    fn remember_earlier(&mut self, batch: &RecordBatch, stamp: ProducerStamp) -> bool {
        let timestamp = batch.messages().iter().map(|record| record.timestamp).max().unwrap_or(Time::ZERO);
        let retained = self.retained;
        let entry = self.entry(stamp, timestamp);
        let is_current = entry.epoch == stamp.epoch;
        if let Some(range) = SequenceRange::of(batch).filter(|_| is_current && entry.batches.len() < retained) {
            entry.batches.push_front(range);
        }
        if let Some(marker) = batch.marker() {
            entry.coordinator_epoch = entry.coordinator_epoch.max(Some(marker.coordinator_epoch));
        }
        entry.last_timestamp = entry.last_timestamp.max(timestamp);
        // A marker has no timestamp: the last record tells when the producer was heard of.
        let is_full = (!is_current || entry.batches.len() == retained) && Time::ZERO < entry.last_timestamp;
        is_full && (!stamp.transactional || entry.coordinator_epoch.is_some())
    }

    fn entry(&mut self, stamp: ProducerStamp, timestamp: Time) -> &mut ProducerEntry {
        let retained = self.retained;
        self.producers.entry(stamp.id).or_insert_with(|| ProducerEntry {
            epoch: stamp.epoch,
            batches: VecDeque::with_capacity(retained),
            former: VecDeque::new(),
            last_timestamp: timestamp,
            coordinator_epoch: None,
        })
    }
}

impl ProducerEntry {
    fn last_sequence(&self) -> Option<Sequence> {
        self.batches.back().map(|range| range.last)
    }
}

impl SequenceRange {
    /// `None`: the batch has no place in a sequence.
    fn of(batch: &RecordBatch) -> Option<SequenceRange> {
        Some(SequenceRange {
            first: batch.producer?.base_sequence,
            last: batch.last_sequence()?,
            base_offset: batch.base_offset,
            end_offset: batch.end_offset(),
        })
    }
}

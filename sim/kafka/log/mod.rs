//! One replica's copy of a partition's log: pure memory, no disk, no role.
//!
//! The idea: everything that can be derived from the batches is kept beside them and cut with them: where each leader
//! epoch began (KIP-101, KIP-279), what each idempotent producer wrote last and which transactions are open (KIP-98), and
//! where segments end (retention). Whoever appends or truncates here asks the disk for the same thing.
//!
//! It deliberately does not know the high watermark, or index; a read is a slice of shared batches. What compaction has
//! removed is marked in its batch, and every offset stays where it was.
//!
//! Kafka: UnifiedLog, LeaderEpochFileCache, ProducerStateManager.

mod compaction;
mod epochs;
mod producers;
mod segments;
#[cfg(test)]
mod tests;
mod transactions;

pub use compaction::Compaction;
pub use epochs::EpochCache;
pub use producers::{Admission, ProducerStates};
pub use transactions::Transactions;

use segments::Segments;

use crate::types::request::{DivergingEpoch, ErrorCode};
use crate::types::settings::{BrokerSettings, CleanupPolicy, TopicSettings};
use crate::types::storage::LogImage;
use crate::types::*;

/// What a log has to know about its broker and topic.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    pub guards: Guards,
    pub producer_batches_retained: usize,
    pub producer_id_expiration: Duration,
    pub segment: Duration,
    pub segment_bytes: ByteCount,
    pub max_message_bytes: ByteCount,
    pub cleanup_policy: CleanupPolicy,
    pub retention: Option<Duration>,
    pub retention_bytes: Option<ByteCount>,
    pub min_cleanable_dirty_ratio: Ratio,
    pub min_compaction_lag: Duration,
}

impl LogSettings {
    pub fn new(broker: &BrokerSettings, topic: &TopicSettings, guards: Guards) -> LogSettings {
        LogSettings {
            guards,
            producer_batches_retained: match guards.stand(Guard::RetainedBatches) {
                true => usize::from(broker.producer_batches_retained).max(1),
                false => 1,
            },
            producer_id_expiration: broker.producer_id_expiration,
            segment: topic.segment,
            segment_bytes: topic.segment_bytes,
            max_message_bytes: topic.max_message_bytes,
            cleanup_policy: topic.cleanup_policy,
            retention: topic.retention,
            retention_bytes: topic.retention_bytes,
            min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
            min_compaction_lag: topic.min_compaction_lag,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Log {
    settings: LogSettings,
    start_offset: Offset,
    end_offset: Offset,
    /// Without gaps: each begins where the one before ends; the last ends at `end_offset`.
    batches: Vec<RecordBatch>,
    epochs: EpochCache,
    producers: ProducerStates,
    /// What the removed batches below the start said of producers: of each its last ones.
    producers_below: ProducerStates,
    transactions: Transactions,
    segments: Segments,
    /// Below it every key stands once. Kafka: the cleaner-offset-checkpoint.
    compacted_to: Offset,
}

/// What became of a batch that a producer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderAppend {
    /// Appended, with the header the leader stamped.
    New(RecordBatch),
    /// It is in the log already.
    Duplicate { base_offset: Offset, end_offset: Offset },
}

impl Log {
    /// The log as its disk has it.
    pub fn recover(image: LogImage, settings: LogSettings) -> Log {
        let known = match settings.guards.stand(Guard::ProducerStateFollowsLog) {
            true => &image.producers[..],
            false => &[],
        };
        let known = ProducerStates::from_snapshot(known, settings.producer_batches_retained, settings.guards);
        let mut log = Log {
            settings,
            start_offset: image.start_offset,
            end_offset: image.start_offset,
            batches: Vec::with_capacity(image.batches.len()),
            epochs: EpochCache::default(),
            producers: known.clone(),
            producers_below: known,
            transactions: Transactions::default(),
            segments: Segments::default(),
            compacted_to: image.compacted_to,
        };
        for batch in image.batches {
            assert!(batch.base_offset >= log.end_offset, "batches on disk overlap");
            // A log whose first batch lies above its start lost what was between; it then begins at the batch.
            if log.batches.is_empty() {
                log.start_offset = log.start_offset.max(batch.base_offset);
            }
            log.push(batch, log.follows_producers());
        }
        log.compacted_to = log.compacted_to.min(log.end_offset);
        log.check_invariants();
        log
    }

    /// Gives the batch its offsets and the leader's epoch, unless its producer may not write it.
    pub fn append_as_leader(
        &mut self,
        batch: &RecordBatch,
        epoch: LeaderEpoch,
        wall_clock: Time,
    ) -> Result<LeaderAppend, ErrorCode> {
        if batch.records.count() == 0 {
            return Err(ErrorCode::InvalidRequest);
        }
        if !batch.messages().is_empty() && self.settings.max_message_bytes < batch.size() {
            return Err(ErrorCode::MessageTooLarge);
        }
        if let Some((stamp, marker)) = batch.producer.zip(batch.marker()) {
            self.producers.admit_marker(stamp, marker)?;
        } else if let Some(stamp) = batch.producer {
            let last = batch.last_sequence();
            // A producer with an open transaction is not forgotten.
            let is_open = self.transactions.is_open(stamp.id, stamp.epoch)
                && self.settings.guards.stand(Guard::OpenProducerIsKept);
            let idle = Some(self.settings.producer_id_expiration.0).filter(|_| !is_open);
            let expiry = idle.and_then(|idle| wall_clock.0.checked_sub(idle)).map(Time);
            match self.producers.admit(stamp, last, expiry) {
                Admission::Next => {}
                Admission::Duplicate { base_offset, end_offset } => {
                    return Ok(LeaderAppend::Duplicate { base_offset, end_offset });
                }
                Admission::Refused(error) => return Err(error),
            }
        }
        let stamped = RecordBatch { base_offset: self.end_offset, leader_epoch: epoch, ..batch.clone() };
        self.push(stamped.clone(), true);
        Ok(LeaderAppend::New(stamped))
    }

    /// Whether a batch of a producer is in the log already, as far as the log remembers.
    pub fn knows(&self, batch: &RecordBatch) -> bool {
        let Some(stamp) = batch.producer else { return false };
        let admission = self.producers.admit(stamp, batch.last_sequence(), None);
        matches!(admission, Admission::Duplicate { .. })
    }

    /// Takes over a batch as the leader wrote it. A batch that does not begin at the end of this log is refused.
    pub fn append_as_follower(&mut self, batch: &RecordBatch) -> Result<(), ErrorCode> {
        if batch.base_offset != self.end_offset || batch.records.count() == 0 {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        self.push(batch.clone(), self.follows_producers());
        Ok(())
    }

    /// Cuts the log so that it ends at `to` or, when `to` lies inside a batch, before that batch. Returns the new end.
    pub fn truncate_to(&mut self, to: Offset) -> Offset {
        let kept = self.batches.partition_point(|batch| batch.end_offset() <= to);
        let removed = self.batches.split_off(kept);
        if !removed.is_empty() {
            self.end_offset = removed[0].base_offset;
            self.compacted_to = self.compacted_to.min(self.end_offset);
            self.segments.truncate(&self.batches);
            if self.follows_producers() {
                self.producers.truncate(&removed, &self.batches, &self.producers_below);
            }
            self.transactions.truncate(self.end_offset, &removed);
        }
        // Also when nothing was removed: an epoch in which this replica led and wrote nothing may stand at the end.
        self.epochs.truncate_from_end(to);
        self.check_invariants();
        self.end_offset
    }

    /// Forgets everything below `to`. What is known of producers stays, as in Kafka since KAFKA-7190. A log that ends before `to`
    /// begins anew there and knows nothing any more: what it knew may be behind what it has missed (Kafka:
    /// UnifiedLog.truncateFullyAndStartAt).
    pub fn start_at(&mut self, to: Offset) {
        if to <= self.start_offset {
            return;
        }
        let gone = self.batches.partition_point(|batch| batch.end_offset() <= to);
        for batch in self.batches.drain(..gone) {
            self.producers_below.remember(&batch, largest_timestamp(&batch));
        }
        self.start_offset = to;
        if self.end_offset < to {
            self.end_offset = to;
            self.epochs.clear();
            self.producers = self.no_producers();
            self.producers_below = self.no_producers();
        } else {
            self.epochs.truncate_from_start(to);
            if !self.settings.guards.stand(Guard::ProducerOutlivesRecords) {
                self.producers.forget_below(to);
                self.producers_below = self.no_producers();
            }
        }
        self.transactions.start_at(to, self.batches.is_empty());
        if self.batches.is_empty() {
            self.segments = Segments::default();
        } else {
            self.segments.start_at(to);
        }
        self.check_invariants();
    }

    fn no_producers(&self) -> ProducerStates {
        ProducerStates::from_snapshot(&[], self.settings.producer_batches_retained, self.settings.guards)
    }

    /// A leadership begins here, so that followers can truncate to it even before its first record.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.epochs.assign(epoch, self.end_offset);
    }

    pub fn reconfigure(&mut self, settings: LogSettings) {
        self.settings = settings;
    }

    /// Where the log would begin if retention ran now; never above `high_watermark`.
    pub fn retained_from(&self, wall_clock: Time, high_watermark: Offset) -> Offset {
        if !self.settings.cleanup_policy.deletes() {
            return self.start_offset;
        }
        self.segments.retained_from(&self.settings, wall_clock, high_watermark, self.end_offset).max(self.start_offset)
    }

    /// Batches from the one that holds `from` up to `below`: at most `max` bytes, but at least one batch if there is any.
    pub fn read(&self, from: Offset, below: Offset, max: ByteCount) -> &[RecordBatch] {
        let below = below.min(self.end_offset);
        if below <= from {
            return &[];
        }
        let first = self.position(from);
        let mut end = first;
        let mut bytes = 0;
        for batch in &self.batches[first..] {
            if batch.end_offset() > below {
                break;
            }
            bytes += batch.size().0;
            if bytes > max.0 && end > first {
                break;
            }
            end += 1;
        }
        &self.batches[first..end]
    }

    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }

    /// Log end offset: the next offset to be given (exclusive).
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// Epoch of the last record; a follower's fetch carries it. `None`: there never was one.
    ///
    /// Kafka differs: LeaderEpochFileCache.latestEpoch also counts an own term in which nothing was written.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        match self.batches.last() {
            Some(batch) => Some(batch.leader_epoch),
            None if self.start_offset > Offset::ZERO => self.epochs.latest(),
            None => None,
        }
    }

    /// Where the records of `requested` end, or of the largest epoch below it that this log has. KIP-101, KIP-279.
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Option<DivergingEpoch> {
        self.epochs.end_offset_for(requested, self.end_offset, self.settings.guards.stand(Guard::FloorEpoch))
    }

    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// What outlives the batches below the start.
    pub fn producers_below(&self) -> &ProducerStates {
        &self.producers_below
    }

    pub fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    /// The end of what is decided for good; never above the high watermark.
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        let unreplicated = self.settings.guards.stand(Guard::UnreplicatedMarker);
        self.transactions.last_stable_offset(high_watermark, unreplicated)
    }

    pub fn check_invariants(&self) {
        assert!(self.start_offset <= self.end_offset, "log starts after its end");
        let end = self.batches.last().map_or(self.end_offset, RecordBatch::end_offset);
        assert!(end == self.end_offset, "last batch does not end at the log end offset");
        assert!(self.compacted_to <= self.end_offset, "compacted behind the end");
    }

    fn follows_producers(&self) -> bool {
        self.settings.guards.stand(Guard::ProducerStateFollowsLog)
    }

    fn push(&mut self, batch: RecordBatch, remember_producer: bool) {
        let timestamp = largest_timestamp(&batch);
        self.epochs.assign(batch.leader_epoch, batch.base_offset);
        self.segments.append(&batch, timestamp, &self.settings);
        if remember_producer {
            self.producers.remember(&batch, timestamp);
        }
        self.transactions.append(&batch);
        self.end_offset = batch.end_offset();
        self.batches.push(batch);
    }

    /// Index of the first batch that ends after `from`. Most readers want the last one.
    fn position(&self, from: Offset) -> usize {
        let begins = |batch: &RecordBatch| batch.base_offset <= from;
        let begun = match self.batches.last() {
            Some(last) if begins(last) => self.batches.len(),
            Some(_) | None => self.batches.partition_point(begins),
        };
        begun - usize::from(0 < begun && from < self.batches[begun - 1].end_offset())
    }
}

/// `Time::ZERO` for a marker, which has none.
fn largest_timestamp(batch: &RecordBatch) -> Time {
    batch.messages().iter().map(|record| record.timestamp).max().unwrap_or(Time::ZERO)
}

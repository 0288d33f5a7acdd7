//! Segments of a log: Kafka deletes whole ones, and compacts none but those that are full, so where they end decides what is
//! kept.
//!
//! Kafka: LogSegment.shouldRoll, UnifiedLog.deleteOldSegments, LogCleanerManager.cleanableOffsets.

use super::LogSettings;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct Segments {
    /// Oldest first; the last one is active.
    list: Vec<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    base_offset: Offset,
    bytes: u64,
    first_timestamp: Time,
    largest_timestamp: Time,
}

impl Segments {
    /// `timestamp`: the largest of the batch.
    pub fn append(&mut self, batch: &RecordBatch, timestamp: Time, settings: &LogSettings) {
        let bytes = batch.size().0;
        if let Some(active) = self.list.last_mut() {
            let full = settings.segment_bytes.0 < active.bytes + bytes;
            let old = settings.segment < timestamp.since(active.first_timestamp);
            if !full && !old {
                active.bytes += bytes;
                active.largest_timestamp = active.largest_timestamp.max(timestamp);
                return;
            }
        }
        let base_offset = batch.base_offset;
        self.list.push(Segment { base_offset, bytes, first_timestamp: timestamp, largest_timestamp: timestamp });
    }

    /// After a truncation that left `kept`: the segment in which it fell is measured anew.
    pub fn truncate(&mut self, kept: &[RecordBatch]) {
        let end = kept.last().map_or(Offset::ZERO, RecordBatch::end_offset);
        while self.list.last().is_some_and(|segment| end <= segment.base_offset) {
            self.list.pop();
        }
        if let Some(active) = self.list.last_mut() {
            let first = kept.partition_point(|batch| batch.end_offset() <= active.base_offset);
            active.bytes = kept[first..].iter().map(|batch| batch.size().0).sum();
        }
    }

    /// Compaction has taken something out of `batches`.
    pub fn measure(&mut self, batches: &[RecordBatch]) {
        for number in 0..self.list.len() {
            let ends = self.list.get(number + 1).map(|next| next.base_offset);
            let from = batches.partition_point(|batch| batch.end_offset() <= self.list[number].base_offset);
            let own = batches[from..].iter().take_while(|batch| ends.is_none_or(|end| batch.base_offset < end));
            self.list[number].bytes = own.map(|batch| batch.size().0).sum();
        }
    }

    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Where the first segment begins that may not be compacted yet: one that has something newer than `newest`, or the active
    /// one.
    pub fn uncleanable_from(&self, newest: Time) -> Offset {
        let young = self.list.iter().find(|segment| newest < segment.largest_timestamp);
        young.or(self.list.last()).map_or(Offset::ZERO, |segment| segment.base_offset)
    }

    pub fn start_at(&mut self, to: Offset) {
        let covering = self.list.partition_point(|segment| segment.base_offset <= to);
        self.list.drain(..covering.saturating_sub(1));
    }

    /// First offset that retention keeps. The active segment goes too when it is old enough.
    pub fn retained_from(
        &self,
        settings: &LogSettings,
        wall_clock: Time,
        high_watermark: Offset,
        log_end: Offset,
    ) -> Offset {
        let mut bytes: u64 = self.list.iter().map(|segment| segment.bytes).sum();
        let mut from = Offset::ZERO;
        for (number, segment) in self.list.iter().enumerate() {
            let end = self.list.get(number + 1).map_or(log_end, |next| next.base_offset);
            let expired =
                settings.retention.is_some_and(|retention| retention < wall_clock.since(segment.largest_timestamp));
            let surplus = settings.retention_bytes.is_some_and(|most| most.0 + segment.bytes <= bytes);
            if high_watermark < end || !(expired || surplus) {
                break;
            }
            bytes -= segment.bytes;
            from = end;
        }
        from
    }
}

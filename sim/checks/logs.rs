//! The logs of all replicas as the notes tell them: contents once, and for each replica only which parts it holds.
//!
//! The one idea: by Kafka's log matching a leader epoch and an offset name one record, so that contents are kept once
//! for each (epoch, offset) and a replica's whole log is a short list of epoch ranges, exactly its leader-epoch cache
//! (KIP-101). The log that counts is the one of the leader with the highest epoch. Comparing and judging happens
//! elsewhere; here is only what is in which log.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use twox_hash::XxHash3_64;

use crate::types::record::{Marker, TransactionOutcome};
use crate::types::*;

/// One record of a leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// [`NO_EVENT`] for records that are no messages.
    pub event: EventId,
    /// Tells contents apart: the send of a message, a digest of anything else.
    pub content: u64,
    pub appended: Time,
}

pub const NO_EVENT: EventId = EventId(u64::MAX);

/// A stretch of a log that one leader wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochRange {
    pub epoch: LeaderEpoch,
    pub start: Offset,
    pub end: Offset,
}

/// Which records a replica holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaLog {
    pub start: Offset,
    /// Ascending, without gaps; below `start` what retention has removed.
    pub ranges: Vec<EpochRange>,
}

#[derive(Clone, Debug, Default)]
pub struct PartitionLog {
    contents: FewMap<LeaderEpoch, Segment>,
    /// Transactional batches and markers, by epoch and first offset.
    transactional: BTreeMap<(LeaderEpoch, Offset), TransactionalBatch>,
    pub replicas: FewMap<NodeId, ReplicaLog>,
    /// Those that ever were replicas, also while they are down.
    pub holders: BTreeSet<NodeId>,
    /// The log that counts, with its leader.
    pub counting: ReplicaLog,
    pub leader: Option<(LeaderEpoch, NodeId)>,
    /// Who has led, in order.
    pub leaderships: Vec<Leadership>,
    /// Everything below has been readable in the log that counts.
    pub visible_end: Offset,
}

/// The begin of a leader's term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    pub time: Time,
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub log_end_offset: Offset,
}

/// What one leader wrote in one epoch.
#[derive(Clone, Debug, Default)]
struct Segment {
    base: Offset,
    entries: Vec<Entry>,
}

/// A batch that counts only when its transaction is committed, or the marker that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionalBatch {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub end: Offset,
    pub marker: Option<Marker>,
}

/// Two contents at one (epoch, offset).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub epoch: LeaderEpoch,
    pub offset: Offset,
}

/// A new leader does not have what the log that counts had from `from` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    pub from: Offset,
    /// First offset that was not visible before.
    pub visible_end: Offset,
}

#[derive(Clone, Debug, Default)]
pub struct Logs {
    partitions: PartitionTable<PartitionLog>,
}

impl Logs {
    pub fn of(&self, partition: TopicPartition) -> Option<&PartitionLog> {
        self.partitions.get(partition)
    }

    pub fn of_mut(&mut self, partition: TopicPartition) -> &mut PartitionLog {
        self.partitions.or_insert_with(partition, PartitionLog::default)
    }

    pub fn partitions_of(&self, topic: TopicId) -> impl Iterator<Item = (TopicPartition, &PartitionLog)> {
        self.all().filter(move |(partition, _)| partition.topic == topic)
    }

    pub fn all(&self) -> impl Iterator<Item = (TopicPartition, &PartitionLog)> {
        self.partitions.iter()
    }

    /// A process starts: what it holds is what it will say it found on its disk.
    pub fn restart(&mut self, node: NodeId) {
        for (_, log) in self.partitions.iter_mut() {
            log.replicas.remove(&node);
        }
    }
}

impl PartitionLog {
    /// A replica appends a batch. Says where the contents differ from what another replica holds there.
    pub fn append(&mut self, node: NodeId, batch: &RecordBatch, now: Time) -> Option<Mismatch> {
        let mismatch = self.remember(batch, now);
        let range = EpochRange { epoch: batch.leader_epoch, start: batch.base_offset, end: batch.end_offset() };
        let replica = self.replicas.or_insert_with(node, ReplicaLog::default);
        if replica.ranges.is_empty() {
            self.holders.insert(node);
        }
        replica.append(range);
        // A leader that comes back from its disk before anybody else leads says again what it had appended.
        if self.leader == Some((batch.leader_epoch, node)) && self.counting.end() <= range.start {
            self.counting.append(range);
        }
        mismatch
    }

    /// Nobody cuts a log that he leads with: if it is the one that counts, another leader is about to say so, and is then
    /// compared with all that it had.
    pub fn truncate(&mut self, node: NodeId, to: Offset) {
        if let Some(replica) = self.replicas.get_mut(&node) {
            replica.truncate(to);
        }
    }

    pub fn move_start(&mut self, node: NodeId, to: Offset) {
        self.replicas.or_insert_with(node, ReplicaLog::default).move_start(to);
        if self.leader.is_some_and(|(_, leader)| leader == node) {
            self.counting.move_start(to);
        }
    }

    /// A replica begins to lead. Its log counts from now on, unless a later leader is known.
    pub fn lead(&mut self, node: NodeId, epoch: LeaderEpoch, log_end_offset: Offset) -> Option<Divergence> {
        if self.leader.is_some_and(|(known, _)| epoch < known) {
            return None;
        }
        self.leader = Some((epoch, node));
        self.holders.insert(node);
        let replica = self.replicas.or_insert_with(node, ReplicaLog::default);
        replica.truncate(log_end_offset);
        let from = replica.common_end(&self.counting);
        let mut counting = replica.clone();
        counting.remember_below_start(&self.counting);
        self.counting = counting;
        let visible_end = self.visible_end;
        if from < visible_end {
            self.visible_end = from;
            return Some(Divergence { from, visible_end });
        }
        None
    }

    /// Whoever led at an instant.
    pub fn leader_at(&self, time: Time) -> Option<NodeId> {
        let before = self.leaderships.partition_point(|led| led.time <= time);
        before.checked_sub(1).map(|last| self.leaderships[last].leader)
    }

    /// The leader's high watermark moved: returns the offsets that became readable.
    pub fn show(&mut self, node: NodeId, high_watermark: Offset) -> std::ops::Range<u64> {
        let shown = self.visible_end.0.max(self.counting.start.0)..high_watermark.0.min(self.counting.end().0);
        if self.leader.is_none_or(|(_, leader)| leader != node) || shown.is_empty() {
            return 0..0;
        }
        self.visible_end = Offset(shown.end);
        shown
    }

    /// The record at an offset of the log that counts.
    pub fn entry(&self, offset: Offset) -> Option<&Entry> {
        self.entry_in(self.counting.epoch_at(offset)?, offset)
    }

    /// The record that the leader of an epoch wrote at an offset, whether it still counts or not.
    pub fn entry_in(&self, epoch: LeaderEpoch, offset: Offset) -> Option<&Entry> {
        self.contents.get(&epoch)?.entry(offset)
    }

    /// Whether a leader of any epoch wrote this send at this offset.
    pub fn was_written(&self, offset: Offset, send: SendId) -> bool {
        let mut there = self.contents.values().filter_map(|segment| segment.entry(offset));
        there.any(|entry| entry.event != NO_EVENT && entry.content == send.0)
    }

    /// Every record of the log that counts, with its offset.
    pub fn entries(&self) -> impl Iterator<Item = (Offset, &Entry)> {
        self.counting
            .ranges
            .iter()
            .flat_map(|range| (range.start.0..range.end.0).map(move |offset| (range.epoch, Offset(offset))))
            .filter_map(|(epoch, offset)| self.entry_in(epoch, offset).map(|entry| (offset, entry)))
    }

    /// Where any leader ever wrote a message of this event: epoch, offset, record. A scan, for evidence only.
    pub fn written(&self, event: EventId) -> impl Iterator<Item = (LeaderEpoch, Offset, &Entry)> {
        self.contents.iter().flat_map(move |(epoch, segment)| {
            let entries = segment.entries.iter().enumerate();
            entries
                .filter(move |(_, entry)| entry.event == event)
                .map(move |(index, entry)| (epoch, segment.base.plus(index as u64), entry))
        })
    }

    /// Transactional batches of the log that counts, in order, each with its first offset.
    pub fn transactional(&self) -> impl Iterator<Item = (Offset, &TransactionalBatch)> {
        self.counting.ranges.iter().flat_map(|range| {
            let within = (range.epoch, range.start)..(range.epoch, range.end);
            self.transactional.range(within).map(|((_, offset), batch)| (*offset, batch))
        })
    }

    /// Where the log that counts holds records that are no effect: of aborted and of undecided transactions. In
    /// order. A pass over the transactional batches, for the end of a run.
    pub fn uncommitted(&self) -> Vec<std::ops::Range<Offset>> {
        let mut open: BTreeMap<ProducerId, Vec<std::ops::Range<Offset>>> = BTreeMap::new();
        let mut uncommitted = Vec::new();
        for (offset, batch) in self.transactional() {
            match batch.marker {
                None => open.entry(batch.producer).or_default().push(offset..batch.end),
                Some(marker) => {
                    let ended = open.remove(&batch.producer).unwrap_or_default();
                    if marker.outcome == TransactionOutcome::Abort {
                        uncommitted.extend(ended);
                    }
                }
            }
        }
        uncommitted.extend(open.into_values().flatten());
        uncommitted.sort_by_key(|range| range.start);
        uncommitted
    }

    pub fn high_end(&self) -> Offset {
        self.counting.end()
    }

    /// Keeps a batch's contents, once.
    fn remember(&mut self, batch: &RecordBatch, now: Time) -> Option<Mismatch> {
        if let Some(stamp) = batch.producer.filter(|stamp| stamp.transactional) {
            let (producer, epoch, end) = (stamp.id, stamp.epoch, batch.end_offset());
            let transactional = TransactionalBatch { producer, epoch, end, marker: batch.marker() };
            self.transactional.insert((batch.leader_epoch, batch.base_offset), transactional);
        }
        let segment = self
            .contents
            .or_insert_with(batch.leader_epoch, || Segment { base: batch.base_offset, entries: Vec::new() });
        match &*batch.records {
            Records::Messages(records) if records.is_empty() => None,
            Records::Messages(records) => {
                let known = segment.known(batch.base_offset, records.len() as u64);
                if known && segment.agrees_at_the_ends(batch.base_offset, records) {
                    return None;
                }
                segment.put(batch, records.iter().map(|record| (record.message.event, record.send.0)), now)
            }
            Records::Groups(records) => {
                segment.put(batch, records.iter().map(|record| (NO_EVENT, digest(record))), now)
            }
            Records::Metadata(records) => segment.put(batch, records.iter().map(|r| (NO_EVENT, digest(r))), now),
            Records::Marker(marker) => segment.put(batch, std::iter::once((NO_EVENT, digest(marker))), now),
            Records::Transactions(records) => segment.put(batch, records.iter().map(|r| (NO_EVENT, digest(r))), now),
        }
    }
}

impl Segment {
    fn entry(&self, offset: Offset) -> Option<&Entry> {
        self.entries.get(offset.0.checked_sub(self.base.0)? as usize)
    }

    fn known(&self, from: Offset, count: u64) -> bool {
        self.base <= from && from.0 + count <= self.base.0 + self.entries.len() as u64
    }

    /// Batches are never taken apart, so that equal ends mean equal batches.
    fn agrees_at_the_ends(&self, from: Offset, records: &[Record]) -> bool {
        let same = |index: usize| {
            self.entry(from.plus(index as u64)).is_some_and(|entry| {
                entry.content == records[index].send.0 && entry.event == records[index].message.event
            })
        };
        same(0) && same(records.len() - 1)
    }

    fn put(
        &mut self,
        batch: &RecordBatch,
        contents: impl Iterator<Item = (EventId, u64)>,
        now: Time,
    ) -> Option<Mismatch> {
        if batch.base_offset < self.base {
            // A replica recovered an older part of an epoch that was first heard of further on.
            let missing = (self.base.0 - batch.base_offset.0) as usize;
            self.entries.splice(0..0, std::iter::repeat_n(UNKNOWN, missing));
            self.base = batch.base_offset;
        }
        let mut mismatch = None;
        for (index, (event, content)) in contents.enumerate() {
            let offset = batch.base_offset.plus(index as u64);
            let place = (offset.0 - self.base.0) as usize;
            let entry = Entry { event, content, appended: now };
            if self.entries.len() <= place {
                self.entries.resize(place, UNKNOWN);
                self.entries.push(entry);
            } else if self.entries[place] == UNKNOWN {
                self.entries[place] = entry;
            } else if (self.entries[place].event, self.entries[place].content) != (event, content) {
                self.entries[place] = entry;
                mismatch = mismatch.or(Some(Mismatch { epoch: batch.leader_epoch, offset }));
            }
        }
        mismatch
    }
}

const UNKNOWN: Entry = Entry { event: NO_EVENT, content: u64::MAX, appended: Time::NEVER };

impl ReplicaLog {
    pub fn end(&self) -> Offset {
        self.ranges.last().map_or(self.start, |range| range.end.max(self.start))
    }

    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let index = self.ranges.partition_point(|range| range.end <= offset);
        self.ranges.get(index).filter(|range| range.start <= offset).map(|range| range.epoch)
    }

    /// First offset at which two logs differ, or the end of the shorter one. What is below the start of either, by
    /// retention, is taken as equal.
    pub fn common_end(&self, other: &ReplicaLog) -> Offset {
        let from = self.start.max(other.start);
        let shorter = self.end().min(other.end());
        if shorter <= from {
            return shorter.max(from.min(self.end().max(other.end())));
        }
        let (mut mine, mut theirs) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            let overlap = a.start.max(b.start).max(from);
            if a.end <= from || a.end <= b.start {
                mine.next();
            } else if b.end <= from || b.end <= a.start {
                theirs.next();
            } else if a.epoch != b.epoch {
                return overlap;
            } else if a.end <= b.end {
                mine.next();
            } else {
                theirs.next();
            }
        }
        shorter
    }

    fn append(&mut self, range: EpochRange) {
        if self.ranges.is_empty() && self.start < range.start {
            self.start = range.start;
        }
        if range.start < self.end() {
            self.truncate(range.start);
        }
        match self.ranges.last_mut() {
            Some(last) if last.epoch == range.epoch && last.end == range.start => last.end = range.end,
            Some(_) | None => self.ranges.push(range),
        }
    }

    fn truncate(&mut self, to: Offset) {
        self.ranges.retain(|range| range.start < to);
        if let Some(last) = self.ranges.last_mut() {
            last.end = last.end.min(to);
        }
        self.start = self.start.min(to);
    }

    /// The ranges below stay: what retention removed has been there.
    fn move_start(&mut self, to: Offset) {
        self.start = self.start.max(to);
    }

    /// Takes over what another log remembers from before the first range of this one.
    fn remember_below_start(&mut self, other: &ReplicaLog) {
        let first = self.ranges.first().map_or(self.start, |range| range.start);
        let below = other.ranges.iter().filter(|range| range.start < first);
        let mut ranges: Vec<EpochRange> =
            below.map(|range| EpochRange { end: range.end.min(first), ..*range }).collect();
        ranges.append(&mut self.ranges);
        self.ranges = ranges;
    }
}

fn digest(content: &impl Hash) -> u64 {
    let mut hasher = XxHash3_64::new();
    content.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(ranges: &[(u32, u64, u64)]) -> ReplicaLog {
        let mut log = ReplicaLog::default();
        for (epoch, start, end) in ranges {
            log.append(EpochRange { epoch: LeaderEpoch(*epoch), start: Offset(*start), end: Offset(*end) });
        }
        log
    }

    #[test]
    fn logs_agree_up_to_the_first_other_epoch_or_the_shorter_end() {
        let old = replica(&[(0, 0, 10)]);
        assert_eq!(old.common_end(&replica(&[(0, 0, 8)])), Offset(8));
        assert_eq!(old.common_end(&replica(&[(0, 0, 8), (1, 8, 12)])), Offset(8));
        assert_eq!(old.common_end(&replica(&[(0, 0, 10), (1, 10, 12)])), Offset(10));
        assert_eq!(replica(&[(0, 0, 4), (2, 4, 9)]).common_end(&replica(&[(0, 0, 4), (1, 4, 9)])), Offset(4));
        assert_eq!(replica(&[(0, 5, 9)]).common_end(&replica(&[(0, 0, 7)])), Offset(7));
        assert_eq!(replica(&[]).common_end(&old), Offset(0));
    }

    #[test]
    fn a_truncated_log_ends_where_it_was_cut() {
        let mut log = replica(&[(0, 0, 4), (1, 4, 9)]);
        log.truncate(Offset(4));
        assert_eq!(log, replica(&[(0, 0, 4)]));
        log.move_start(Offset(3));
        assert_eq!((log.start, log.end(), log.epoch_at(Offset(2))), (Offset(3), Offset(4), Some(LeaderEpoch(0))));
    }
}

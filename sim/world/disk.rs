//! The disk of one process: what is in the page cache, and what of it has reached the medium.
//!
//! A crash of the process keeps the page cache. A power loss keeps of each file what was flushed, or written back
//! unasked long enough ago, and an arbitrary prefix of the rest: the operating system writes pages when it likes.
//! A batch that is torn in the middle fails its checksum when the log is recovered, so a whole number of batches
//! survives. So it is with bits that rot: the page cache hides them, and what is read back after a power loss ends in front
//! of them. Truncations and the clean-shutdown marker are small and count as durable at once.

use std::collections::VecDeque;

use crate::scenario::plan::DiskSettings;
use crate::types::random::combine;
use crate::types::record::Compacted;
use crate::types::request::QuorumEntry;
use crate::types::storage::{LogImage, ProducerSnapshot, QuorumState, StorageImage, StorageOperation};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Disk {
    settings: DiskSettings,
    draws: Keyed,
    operations: u64,
    partitions: PartitionTable<LogFile>,
    quorum: QuorumFile,
    clean_shutdown: Option<BrokerEpoch>,
    /// When the operation that was begun will be done.
    busy: Option<Time>,
    /// Times as slow, in thousandths.
    pub slowness: u64,
    pub stalled: bool,
    /// No space is left.
    pub full: bool,
    pub failing: bool,
}

/// One partition's log. `written` holds the time of each batch that is not known to be on the medium yet.
#[derive(Clone, Debug, Default)]
struct LogFile {
    image: LogImage,
    /// Batches at the end that only the page cache has, oldest first, by the time they were written.
    written: VecDeque<Time>,
    durable_high_watermark: Offset,
    checkpointed: Time,
    /// The first batch whose bits on the medium are not those that were written.
    rotten: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct QuorumFile {
    entries: Vec<QuorumEntry>,
    durable_entries: usize,
    state: QuorumState,
    durable_state: QuorumState,
}

impl Disk {
    pub fn new(settings: DiskSettings, draws: Keyed) -> Disk {
        Disk {
            settings,
            draws,
            operations: 0,
            partitions: PartitionTable::default(),
            quorum: QuorumFile::default(),
            clean_shutdown: None,
            busy: None,
            slowness: 1000,
            stalled: false,
            full: false,
            failing: false,
        }
    }

    /// Until when this output of the process waits for the disk.
    #[inline(always)]
    pub fn holds_up(&mut self, output: &Output, now: Time) -> Option<Time> {
        match output {
            Output::Effect(Effect::Storage(operation)) => self.done_at(operation, now),
            Output::Effect(_) | Output::Note(_) => None,
        }
    }

    /// When an operation will be done, unless it is by now. Its time runs from the first question.
    fn done_at(&mut self, operation: &StorageOperation, now: Time) -> Option<Time> {
        if self.stalled {
            return Some(Time::NEVER);
        }
        let done = match self.busy {
            Some(done) => done,
            None => now + self.time_of(operation),
        };
        self.busy = (now < done).then_some(done);
        self.busy
    }

    /// The process died: what it had asked for is not done.
    pub fn forget_operation(&mut self) {
        self.busy = None;
    }

    /// How long an operation takes from the moment the disk is free for it.
    fn time_of(&mut self, operation: &StorageOperation) -> Duration {
        let spread = match operation {
            StorageOperation::Flush { .. } | StorageOperation::FlushQuorum => &self.settings.flush,
            StorageOperation::Append { .. } | StorageOperation::AppendQuorum { .. } => &self.settings.write,
            StorageOperation::Truncate { .. }
            | StorageOperation::StartAt { .. }
            | StorageOperation::Compact { .. }
            | StorageOperation::Delete { .. }
            | StorageOperation::Checkpoint { .. }
            | StorageOperation::TruncateQuorum { .. }
            | StorageOperation::WriteQuorumState(_)
            | StorageOperation::WriteCleanShutdown { .. } => return Duration::ZERO,
        };
        if let Spread::Constant(length) = spread {
            return Duration(length.0.saturating_mul(self.slowness) / 1000);
        }
        let identity = match operation {
            StorageOperation::Append { partition, batch } => combine(partition.number(), batch.base_offset.0),
            StorageOperation::AppendQuorum { entry } => combine(1 << 40, entry.offset.0),
            _ => {
                self.operations += 1;
                combine(1 << 41, self.operations)
            }
        };
        let drawn = self.draws.at(identity).draw(spread);
        Duration(drawn.0.saturating_mul(self.slowness) / 1000)
    }

    /// Whether an operation fails now.
    pub fn refuses(&self, operation: &StorageOperation) -> bool {
        self.failing || self.full && needs_room(operation)
    }

    /// The operation is done: the page cache has it.
    pub fn apply(&mut self, operation: StorageOperation, now: Time) {
        match operation {
            StorageOperation::Append { partition, batch } => {
                self.partitions.or_insert_with(partition, LogFile::default).append(batch, now, self.settings.write_back)
            }
            StorageOperation::Truncate { partition, to } => {
                self.partitions.or_insert_with(partition, LogFile::default).truncate(to)
            }
            StorageOperation::StartAt { partition, to, producers } => {
                self.partitions.or_insert_with(partition, LogFile::default).start_at(to, producers)
            }
            StorageOperation::Compact { partition, to, batches } => {
                self.partitions.or_insert_with(partition, LogFile::default).compact(to, batches)
            }
            StorageOperation::Delete { partition } => {
                self.partitions.insert(partition, LogFile::default());
            }
            StorageOperation::Checkpoint { high_watermarks } => {
                for (partition, offset) in high_watermarks {
                    let file = self.partitions.or_insert_with(partition, LogFile::default);
                    file.image.high_watermark = offset;
                    file.durable_high_watermark = offset;
                    file.checkpointed = now;
                }
            }
            StorageOperation::Flush { partition } => {
                self.partitions.or_insert_with(partition, LogFile::default).written.clear()
            }
            StorageOperation::AppendQuorum { entry } => {
                let expected = self.quorum.entries.last().map_or(0, |last| last.offset.0 + 1);
                assert!(entry.offset.0 == expected, "metadata log written with a gap at {}", entry.offset);
                self.quorum.entries.push(entry);
            }
            StorageOperation::TruncateQuorum { to } => {
                self.quorum.entries.retain(|entry| entry.offset < to);
                self.quorum.durable_entries = self.quorum.durable_entries.min(self.quorum.entries.len());
            }
            StorageOperation::FlushQuorum => {
                self.quorum.durable_entries = self.quorum.entries.len();
                self.quorum.durable_state = self.quorum.state;
            }
            StorageOperation::WriteQuorumState(state) => self.quorum.state = state,
            StorageOperation::WriteCleanShutdown { broker_epoch } => self.clean_shutdown = Some(broker_epoch),
        }
    }

    /// Cuts every file back to what the medium surely has plus an arbitrary part of the rest. Returns how many batches
    /// and entries are gone.
    pub fn lose_power(&mut self, now: Time, incarnation: Incarnation) -> u64 {
        let mut lost = 0;
        let settled = |written: Time, after: Option<Duration>| after.is_some_and(|after| written + after <= now);
        for (partition, file) in self.partitions.iter_mut() {
            while file.written.front().is_some_and(|written| settled(*written, self.settings.write_back)) {
                file.written.pop_front();
            }
            let unflushed = file.written.len() as u64;
            let mut draw = self.draws.at(combine(combine(1 << 42, partition.number()), u64::from(incarnation.0)));
            let survivors = draw.below(unflushed + 1);
            let before = file.image.batches.len();
            let whole = before - (unflushed - survivors) as usize;
            let whole = file.rotten.take().map_or(whole, |rotten| whole.min(rotten));
            file.image.batches.truncate(whole);
            file.cut_compaction();
            let gone = before - whole;
            file.written.clear();
            file.image.high_watermark = file.durable_high_watermark;
            lost += gone as u64;
        }
        lost += (self.quorum.entries.len() - self.quorum.durable_entries) as u64;
        self.quorum.entries.truncate(self.quorum.durable_entries);
        self.quorum.state = self.quorum.durable_state;
        lost
    }

    /// Changes one batch on the medium, any of them all, drawn for this firing.
    pub fn rot(&mut self, firing: u64) {
        let batches: u64 = self.partitions.iter().map(|(_, file)| file.image.batches.len() as u64).sum();
        if batches == 0 {
            return;
        }
        let mut place = self.draws.at(combine(1 << 43, firing)).below(batches);
        for (_, file) in self.partitions.iter_mut() {
            let own = file.image.batches.len() as u64;
            if place < own {
                let place = place as usize;
                file.rotten = Some(file.rotten.map_or(place, |known| known.min(place)));
                return;
            }
            place -= own;
        }
    }

    pub fn wipe(&mut self) {
        self.partitions.clear();
        self.quorum = QuorumFile::default();
        self.clean_shutdown = None;
    }

    /// What a starting process finds. The clean-shutdown marker is read once.
    pub fn image(&mut self) -> StorageImage {
        StorageImage {
            partitions: self.partitions.iter().map(|(partition, file)| (partition, file.image.clone())).collect(),
            quorum_log: self.quorum.entries.clone(),
            quorum_state: self.quorum.state,
            clean_shutdown: self.clean_shutdown.take(),
        }
    }
}

/// Files that grow, and small ones that are written anew beside themselves and renamed.
fn needs_room(operation: &StorageOperation) -> bool {
    match operation {
        StorageOperation::Append { .. }
        | StorageOperation::AppendQuorum { .. }
        | StorageOperation::Checkpoint { .. }
        | StorageOperation::Compact { .. }
        | StorageOperation::WriteQuorumState(_)
        | StorageOperation::WriteCleanShutdown { .. } => true,
        StorageOperation::Truncate { .. }
        | StorageOperation::StartAt { .. }
        | StorageOperation::Delete { .. }
        | StorageOperation::Flush { .. }
        | StorageOperation::TruncateQuorum { .. }
        | StorageOperation::FlushQuorum => false,
    }
}

impl LogFile {
    fn append(&mut self, batch: RecordBatch, now: Time, write_back: Option<Duration>) {
        if let Some(last) = self.image.batches.last() {
            assert!(last.end_offset() <= batch.base_offset, "log written out of order at {}", batch.base_offset);
        }
        // What was written back long ago needs no time stamp any more; this keeps the list short.
        while let (Some(written), Some(after)) = (self.written.front(), write_back) {
            if *written + after > now {
                break;
            }
            self.written.pop_front();
        }
        self.image.batches.push(batch);
        self.written.push_back(now);
    }

    fn truncate(&mut self, to: Offset) {
        while self.image.batches.last().is_some_and(|last| last.end_offset() > to) {
            self.image.batches.pop();
            self.written.pop_back();
        }
        self.rotten = self.rotten.filter(|rotten| *rotten < self.image.batches.len());
        self.cut_compaction();
        self.image.start_offset = self.image.start_offset.min(to);
        self.image.high_watermark = self.image.high_watermark.min(to);
        self.durable_high_watermark = self.durable_high_watermark.min(to);
    }

    /// What follows the end will be other records.
    fn cut_compaction(&mut self) {
        let end = self.image.batches.last().map_or(self.image.start_offset, RecordBatch::end_offset);
        self.image.compacted_to = self.image.compacted_to.min(end);
    }

    fn start_at(&mut self, to: Offset, producers: Vec<ProducerSnapshot>) {
        let below = self.image.batches.partition_point(|batch| batch.end_offset() <= to);
        self.image.batches.drain(..below);
        self.rotten = self.rotten.and_then(|rotten| rotten.checked_sub(below));
        while self.written.len() > self.image.batches.len() {
            self.written.pop_front();
        }
        (self.image.start_offset, self.image.producers) = (to, producers);
    }

    fn compact(&mut self, to: Offset, batches: Vec<(Offset, Compacted)>) {
        for (base_offset, compacted) in batches {
            let place = self.image.batches.binary_search_by_key(&base_offset, |batch| batch.base_offset);
            let place = place.expect("what is compacted is on disk");
            self.image.batches[place].compacted = compacted;
        }
        self.image.compacted_to = self.image.compacted_to.max(to);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const PARTITION: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };

    fn disk(write_back: Option<Duration>) -> Disk {
        let settings = DiskSettings { write: Spread::ZERO, flush: Spread::ZERO, write_back };
        Disk::new(settings, Seed(7).keyed("disk broker-1"))
    }

    fn append(disk: &mut Disk, offset: u64, now: Time) {
        let message = Message {
            event: EventId(offset),
            origin: ServiceId(0),
            key: Key(0),
            version: 1,
            size: 10,
            poison: false,
            attempt: 0,
            caller_attempt: 0,
        };
        let record = Record { send: SendId(offset), message, timestamp: now };
        let batch = RecordBatch {
            base_offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
            ..RecordBatch::new(None, Arc::new(Records::Messages(vec![record])))
        };
        disk.apply(StorageOperation::Append { partition: PARTITION, batch }, now);
    }

    fn count(disk: &mut Disk) -> usize {
        disk.image().partitions[&PARTITION].batches.len()
    }

    #[test]
    fn a_crash_keeps_the_page_cache_and_a_power_loss_a_prefix() {
        let mut survivors = std::collections::BTreeSet::new();
        for incarnation in 0..200 {
            let mut disk = disk(None);
            for offset in 0..4 {
                append(&mut disk, offset, Time(offset));
            }
            disk.apply(StorageOperation::Flush { partition: PARTITION }, Time(4));
            for offset in 4..8 {
                append(&mut disk, offset, Time(offset));
            }
            assert_eq!(count(&mut disk), 8);
            disk.lose_power(Time(100), Incarnation(incarnation));
            survivors.insert(count(&mut disk));
        }
        assert_eq!(survivors.into_iter().collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
    }

    #[test]
    fn what_was_written_back_survives() {
        let mut disk = disk(Some(Duration(50)));
        for offset in 0..8 {
            append(&mut disk, offset, Time(offset * 10));
        }
        disk.lose_power(Time(80), Incarnation(1));
        assert!(4 <= count(&mut disk), "batches of the first 30 ns were written back");
    }

    #[test]
    fn what_rots_is_found_when_power_was_lost_and_with_it_everything_behind_it() {
        let mut ends = std::collections::BTreeSet::new();
        for firing in 0..200 {
            let mut disk = disk(None);
            for offset in 0..8 {
                append(&mut disk, offset, Time(offset));
            }
            disk.apply(StorageOperation::Flush { partition: PARTITION }, Time(8));
            disk.rot(firing);
            assert_eq!(count(&mut disk), 8, "a crash reads the page cache");
            let lost = disk.lose_power(Time(100), Incarnation(1));
            ends.insert(count(&mut disk));
            assert_eq!(count(&mut disk) as u64 + lost, 8);
            append(&mut disk, 8, Time(101));
            disk.apply(StorageOperation::Flush { partition: PARTITION }, Time(102));
            assert_eq!(disk.lose_power(Time(103), Incarnation(2)), 0, "what is found is gone");
        }
        assert_eq!(ends.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_is_cut_off_or_retained_no_more_cannot_rot() {
        let mut disk = disk(None);
        for offset in 0..4 {
            append(&mut disk, offset, Time(offset));
        }
        disk.apply(StorageOperation::Flush { partition: PARTITION }, Time(8));
        disk.partitions.or_insert_with(PARTITION, LogFile::default).rotten = Some(3);
        disk.apply(StorageOperation::Truncate { partition: PARTITION, to: Offset(3) }, Time(9));
        disk.partitions.or_insert_with(PARTITION, LogFile::default).rotten = Some(0);
        disk.apply(StorageOperation::StartAt { partition: PARTITION, to: Offset(1), producers: Vec::new() }, Time(9));
        assert_eq!(disk.lose_power(Time(10), Incarnation(1)), 0);
    }

    #[test]
    fn a_full_disk_takes_nothing_more_and_gives_room_back() {
        let mut disk = disk(None);
        append(&mut disk, 0, Time(0));
        disk.full = true;
        let voted = QuorumState { epoch: QuorumEpoch(1), voted_for: None };
        assert!(disk.refuses(&StorageOperation::WriteQuorumState(voted)));
        assert!(disk.refuses(&StorageOperation::Checkpoint { high_watermarks: Vec::new() }));
        assert!(!disk.refuses(&StorageOperation::Flush { partition: PARTITION }));
        assert!(!disk.refuses(&StorageOperation::Truncate { partition: PARTITION, to: Offset(0) }));
        disk.failing = true;
        assert!(disk.refuses(&StorageOperation::Flush { partition: PARTITION }));
    }

    #[test]
    fn a_vote_without_flush_is_forgotten() {
        let mut disk = disk(None);
        let voted = |epoch| QuorumState { epoch: QuorumEpoch(epoch), voted_for: Some(NodeId(2)) };
        disk.apply(StorageOperation::WriteQuorumState(voted(1)), Time(0));
        disk.apply(StorageOperation::FlushQuorum, Time(0));
        disk.apply(StorageOperation::WriteQuorumState(voted(2)), Time(1));
        disk.lose_power(Time(2), Incarnation(1));
        assert_eq!(disk.image().quorum_state, voted(1));
    }
}

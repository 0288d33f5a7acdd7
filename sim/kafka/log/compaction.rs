//! Compaction: of each key only the newest record stays.
//!
//! The idea: a copy of a log marks in its batches what is gone. Every replica does that by itself, so two of them may differ in
//! what is left, and never in what stands at an offset. Only what is decided for good is touched: records of an aborted
//! transaction supersede nothing and go themselves, and nothing above the last stable offset is looked at.
//!
//! It deliberately keeps markers and emptied batches for ever. Kafka drops them after `delete.retention.ms`, a day; a reader
//! cannot tell. Tombstones are records like others: nothing here is published without a value.
//!
//! Source: LogCleaner (buildOffsetMap, cleanInto, shouldRetainRecord), CleanedTransactionMetadata,
//! LogCleanerManager.cleanableOffsets.

use std::collections::BTreeMap;

use super::Log;
use crate::types::record::{Compacted, ConsumerChange};
use crate::types::*;

/// What a compaction took from a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Below it every key stands once.
    pub to: Offset,
    /// Batches that lost something, by their base offset, with all that they have lost by now.
    pub batches: Vec<(Offset, Compacted)>,
    /// What this compaction removed, as stretches without an end in common.
    pub removed: Vec<(Offset, Offset)>,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Key(Key),
    Offset(GroupId, TopicPartition),
    ClassicGroup(GroupId),
    GroupEpoch(GroupId),
    Member(GroupId, MemberId),
    Target(GroupId),
    CurrentAssignment(GroupId, MemberId),
    Transaction(TransactionalId),
}

impl Log {
    pub fn is_compacted(&self) -> bool {
        self.settings.cleanup_policy.compacts()
    }

    pub fn has_closed_segments(&self) -> bool {
        1 < self.segments.count()
    }

    /// How far a compaction may go: no segment that is still written, and nothing that is younger than its lag allows.
    pub fn cleanable_to(&self, wall_clock: Time, last_stable_offset: Offset) -> Offset {
        let newest = Time(wall_clock.0.saturating_sub(self.settings.min_compaction_lag.0));
        self.segments.uncleanable_from(newest).min(last_stable_offset)
    }

    /// Enough has come since the last compaction. Kafka: LogToClean.cleanableRatio.
    pub fn is_dirty(&self, to: Offset) -> bool {
        if to <= self.compacted_to {
            return false;
        }
        let bytes = |from: Offset| {
            let within = self.batches.iter().filter(|batch| from <= batch.base_offset && batch.end_offset() <= to);
            within.map(|batch| batch.size().0).sum::<u64>()
        };
        self.settings.min_cleanable_dirty_ratio.of(bytes(self.start_offset)) <= bytes(self.compacted_to)
    }

    /// Below `to`, leaves of each key the newest record.
    pub fn compact(&mut self, to: Offset) -> Compaction {
        let to = to.min(self.end_offset);
        let cleanable = self.batches.partition_point(|batch| batch.end_offset() <= to);
        let newest = self.newest(cleanable);
        let mut compaction = Compaction { to, batches: Vec::new(), removed: Vec::new() };
        for index in 0..cleanable {
            let batch = &self.batches[index];
            let is_aborted = self.is_aborted(batch);
            let is_superseded = |place: &u32| {
                let offset = batch.base_offset.plus(u64::from(*place));
                let stands = |subject: &Subject| newest.get(subject).is_none_or(|newest| *newest <= offset);
                match Subjects::of(batch, *place) {
                    Subjects { of: [None, None], .. } => false,
                    _ if is_aborted => true,
                    Subjects { of, stays_for } => !of.iter().chain([&stays_for]).flatten().any(stands),
                }
            };
            let gone: Vec<u32> = left_in(batch).filter(is_superseded).collect();
            if gone.is_empty() {
                continue;
            }
            for place in &gone {
                let offset = batch.base_offset.plus(u64::from(*place));
                match compaction.removed.last_mut() {
                    Some((_, end)) if *end == offset => *end = offset.plus(1),
                    Some(_) | None => compaction.removed.push((offset, offset.plus(1))),
                }
            }
            let compacted = Compacted::at(batch.compacted.places().chain(gone).collect());
            compaction.batches.push((batch.base_offset, compacted.clone()));
            self.batches[index].compacted = compacted;
        }
        self.compacted_to = self.compacted_to.max(to);
        self.segments.measure(&self.batches);
        self.check_invariants();
        compaction
    }

    /// Where the newest record of each subject stands among the first batches.
    fn newest(&self, batches: usize) -> BTreeMap<Subject, Offset> {
        let counts = |batch: &&RecordBatch| {
            !self.is_aborted(batch) || !self.settings.guards.stand(Guard::AbortedSupersedesNothing)
        };
        let mut newest = BTreeMap::new();
        for batch in self.batches[..batches].iter().filter(counts) {
            for place in left_in(batch) {
                for subject in Subjects::of(batch, place).of.into_iter().flatten() {
                    newest.insert(subject, batch.base_offset.plus(u64::from(place)));
                }
            }
        }
        newest
    }

    fn is_aborted(&self, batch: &RecordBatch) -> bool {
        batch.marker().is_none()
            && batch.is_transactional()
            && batch.producer.is_some_and(|stamp| self.transactions.is_aborted(stamp.id, batch.base_offset))
    }
}

/// Places of the records that are still there.
fn left_in(batch: &RecordBatch) -> impl Iterator<Item = u32> + '_ {
    (0..batch.records.count() as u32).filter(|place| !batch.compacted.has(*place as usize))
}

/// Whom a record is about.
#[derive(Default)]
struct Subjects {
    /// A newer record of all of them supersedes it. None: it stays for ever.
    of: [Option<Subject>; 2],
    /// It takes something out of the newest record of this one, as long as that is older.
    stays_for: Option<Subject>,
}

impl Subjects {
    fn of(batch: &RecordBatch, place: u32) -> Subjects {
        let one = |subject| Subjects { of: [Some(subject), None], stays_for: None };
        match &*batch.records {
            Records::Messages(records) => one(Subject::Key(records[place as usize].message.key)),
            Records::Transactions(records) => one(Subject::Transaction(records[place as usize].id)),
            Records::Marker(_) | Records::Metadata(_) => Subjects::default(),
            Records::Groups(records) => match &records[place as usize] {
                Group::Offset { group, partition, .. } | Group::OffsetExpired { group, partition } => {
                    one(Subject::Offset(*group, *partition))
                }
                Group::Metadata { group, .. } => one(Subject::ClassicGroup(*group)),
                Group::Consumer { group, change } => match change {
                    ConsumerChange::Epoch { .. } => one(Subject::GroupEpoch(*group)),
                    ConsumerChange::Member { member, .. } => one(Subject::Member(*group, *member)),
                    ConsumerChange::Target { .. } => one(Subject::Target(*group)),
                    ConsumerChange::Current { member, .. } => one(Subject::CurrentAssignment(*group, *member)),
                    // Tombstones of a member, of what it owned, and of what it should own.
                    ConsumerChange::MemberGone { member } => Subjects {
                        of: [Some(Subject::Member(*group, *member)), Some(Subject::CurrentAssignment(*group, *member))],
                        stays_for: Some(Subject::Target(*group)),
                    },
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::kafka::log::LogSettings;
    use crate::types::random::Random;
    use crate::types::record::{Marker, ProducerStamp, Record, TransactionOutcome};
    use crate::types::settings::{BrokerSettings, CleanupPolicy, TopicSettings};
    use crate::types::storage::LogImage;

    fn settings(guards: Guards) -> LogSettings {
        let topic = TopicSettings {
            cleanup_policy: CleanupPolicy::Compact,
            segment_bytes: ByteCount(500),
            ..TopicSettings::default()
        };
        LogSettings::new(&BrokerSettings::default(), &topic, guards)
    }

    fn log(guards: Guards) -> Log {
        Log::recover(LogImage::default(), settings(guards))
    }

    fn records(keys: &[u64], at: u64) -> Arc<Records> {
        let record = |key: &u64| Record {
            send: SendId(0),
            message: Message {
                event: EventId(0),
                origin: ServiceId(0),
                key: Key(*key),
                version: 1,
                size: 100,
                poison: false,
                attempt: 0,
                caller_attempt: 0,
            },
            timestamp: Time(at),
        };
        Arc::new(Records::Messages(keys.iter().map(record).collect()))
    }

    fn append(log: &mut Log, batch: RecordBatch) {
        log.append_as_leader(&batch, LeaderEpoch(0), Time(0)).unwrap();
    }

    fn write(log: &mut Log, keys: &[u64]) {
        append(log, RecordBatch::new(None, records(keys, 0)));
    }

    fn in_transaction(log: &mut Log, producer: u64, keys: &[u64]) {
        append(log, RecordBatch::new(Some(stamp(producer)), records(keys, 0)));
    }

    fn end(log: &mut Log, producer: u64, outcome: TransactionOutcome) {
        let marker = Records::Marker(Marker { outcome, coordinator_epoch: LeaderEpoch(0) });
        append(log, RecordBatch::new(Some(stamp(producer)), Arc::new(marker)));
    }

    fn stamp(producer: u64) -> ProducerStamp {
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        ProducerStamp { id, epoch, base_sequence: Sequence::NONE, transactional: true }
    }

    /// What a reader of everything finds: offset and key.
    fn left(log: &Log) -> Vec<(u64, u64)> {
        let mut left = Vec::new();
        for batch in log.batches() {
            for (place, record) in batch.messages().iter().enumerate().filter(|(place, _)| !batch.compacted.has(*place))
            {
                left.push((batch.base_offset.0 + place as u64, record.message.key.0));
            }
        }
        left
    }

    #[test]
    fn of_each_key_the_newest_stays_where_it_was() {
        let mut log = log(Guards::ALL);
        write(&mut log, &[1, 2, 1]);
        write(&mut log, &[3, 2]);
        let compaction = log.compact(Offset(5));
        assert_eq!(left(&log), [(2, 1), (3, 3), (4, 2)]);
        assert_eq!(compaction.removed, [(Offset(0), Offset(2))]);
        assert_eq!(compaction.batches, [(Offset(0), Compacted::at([0, 1].into()))]);
        assert_eq!(log.batches()[0].size(), ByteCount(100));
        assert_eq!((log.start_offset(), log.end_offset()), (Offset(0), Offset(5)));
        assert_eq!(log.compact(Offset(5)).removed, [], "there is nothing more to do");
    }

    #[test]
    fn what_is_behind_the_end_of_a_compaction_supersedes_nothing() {
        let mut log = log(Guards::ALL);
        write(&mut log, &[1]);
        write(&mut log, &[1]);
        assert_eq!(log.compact(Offset(1)).removed, []);
        log.compact(Offset(2));
        assert_eq!(left(&log), [(1, 1)]);
    }

    #[test]
    fn aborted_records_go_and_supersede_nothing() {
        for (guards, is_kept) in [(Guards::ALL, true), (Guards::ALL.without(Guard::AbortedSupersedesNothing), false)] {
            let mut log = log(guards);
            write(&mut log, &[1, 2]);
            in_transaction(&mut log, 7, &[1]);
            in_transaction(&mut log, 8, &[2]);
            end(&mut log, 7, TransactionOutcome::Abort);
            end(&mut log, 8, TransactionOutcome::Commit);
            log.compact(log.last_stable_offset(log.end_offset()));
            let expected: &[(u64, u64)] = if is_kept { &[(0, 1), (3, 2)] } else { &[(3, 2)] };
            assert_eq!(left(&log), expected);
        }
    }

    #[test]
    fn only_closed_segments_are_compacted_and_only_when_enough_is_new() {
        let mut log = log(Guards::ALL);
        // A segment takes five records.
        write(&mut log, &[1, 1, 1, 1]);
        assert!(!log.has_closed_segments());
        assert_eq!(log.cleanable_to(Time(0), Offset(4)), Offset(0));
        write(&mut log, &[1, 1, 1]);
        assert!(log.has_closed_segments());
        assert_eq!(log.cleanable_to(Time(0), Offset(7)), Offset(4));
        assert_eq!(log.cleanable_to(Time(0), Offset(2)), Offset(2), "nothing that is not decided");
        assert!(log.is_dirty(Offset(4)) && !log.is_dirty(Offset(0)));
        log.compact(Offset(4));
        assert!(!log.is_dirty(Offset(4)));
        write(&mut log, &[1, 1, 1]);
        assert!(log.is_dirty(Offset(7)), "of four records one is old");
        let lazy = TopicSettings { min_cleanable_dirty_ratio: Ratio(900_000_000), ..TopicSettings::default() };
        log.reconfigure(LogSettings::new(&BrokerSettings::default(), &lazy, Guards::ALL));
        assert!(!log.is_dirty(Offset(7)));
    }

    #[test]
    fn what_is_young_is_spared() {
        let mut log = log(Guards::ALL);
        let lag = TopicSettings {
            segment_bytes: ByteCount(100),
            min_compaction_lag: Duration(50),
            ..TopicSettings::default()
        };
        log.reconfigure(LogSettings::new(&BrokerSettings::default(), &lag, Guards::ALL));
        for at in [0, 20, 40, 60] {
            append(&mut log, RecordBatch::new(None, records(&[1], at)));
        }
        assert_eq!(log.cleanable_to(Time(80), Offset(4)), Offset(2));
    }

    /// Whatever is written, ended and cut: of each key the newest committed record below the end stays, and a log that is read
    /// again from its disk is the same.
    #[test]
    fn a_compacted_log_says_the_same_of_each_key() {
        for seed in 0..60 {
            let mut rng = Seed(seed).stream("compaction");
            let mut log = log(Guards::ALL);
            for _ in 0..120 {
                let keys: Vec<u64> = (0..1 + rng.below(3)).map(|_| rng.below(6)).collect();
                match rng.below(10) {
                    0 => end(&mut log, rng.below(3), TransactionOutcome::Commit),
                    1 => end(&mut log, rng.below(3), TransactionOutcome::Abort),
                    2..=4 => in_transaction(&mut log, rng.below(3), &keys),
                    5 => {
                        let before = newest_committed(&log, log.last_stable_offset(log.end_offset()));
                        let to = log.last_stable_offset(log.end_offset());
                        log.compact(to);
                        assert_eq!(newest_committed(&log, to), before, "seed {seed}");
                        assert!(
                            left(&log).iter().filter(|(offset, _)| *offset < to.0).count() <= before.len(),
                            "seed {seed}"
                        );
                        let image =
                            LogImage { batches: log.batches().to_vec(), compacted_to: to, ..LogImage::default() };
                        let again = Log::recover(image, settings(Guards::ALL));
                        assert_eq!(again.batches(), log.batches());
                        assert_eq!(again.transactions(), log.transactions());
                    }
                    _ => write(&mut log, &keys),
                }
            }
        }
    }

    /// Looks at every batch.
    fn newest_committed(log: &Log, below: Offset) -> BTreeMap<u64, u64> {
        let aborted: BTreeSet<u64> = (0..log.batches().len())
            .filter(|at| {
                let batch = &log.batches()[*at];
                let Some(own) = batch.producer else { return false };
                let later = log.batches()[*at..].iter();
                let markers = later.filter(|batch| batch.producer.is_some_and(|stamp| stamp.id == own.id));
                let marker = markers.filter_map(RecordBatch::marker).next();
                marker.is_some_and(|marker| marker.outcome == TransactionOutcome::Abort)
            })
            .flat_map(|at| log.batches()[at].base_offset.0..log.batches()[at].end_offset().0)
            .collect();
        let committed = left(log).into_iter().filter(|(offset, _)| *offset < below.0 && !aborted.contains(offset));
        committed.map(|(offset, key)| (key, offset)).collect()
    }
}

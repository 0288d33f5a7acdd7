//! How far each consuming service is in each partition, by processed position, and the backlog that follows from it.
//!
//! The one idea: a record is unprocessed from the instant consumers can read it until its first flow is through, it is
//! passed over, or it is gone. Everything about waiting is counted at these two instants on the integer clock, so that
//! Little's law holds exactly. The committed offset moves nothing here; it only tells what would be delivered again.
//!
//! Source: Little (1961), Stidham (1974); the definition by processed position is ours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::distribution::Histogram;
use super::outcome::{BacklogSeries, DELAYED_FROM, Recovery, RecoveryTime, RemovedBy};
use crate::types::note::PositionReason;
use crate::types::*;

/// The waits to leave out, so that a steady state is measured without its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WaitOptions {
    /// Share of the load phase whose records are left out.
    pub warmup_fraction: f64,
}

#[derive(Clone, Debug)]
pub struct ServiceProgress {
    pub group: GroupId,
    pub partitions: PartitionTable<PartitionProgress>,
    /// Partitions by the instance they are assigned to.
    pub assigned: BTreeMap<NodeId, Vec<TopicPartition>>,
    pub unprocessed: u64,
    pub peak: u64,
    pub area: u128,
    pub sojourn: u128,
    pub waits: Histogram,
    pub sojourns: Histogram,
    pub delayed: u64,
    pub age_max: Duration,
    pub series: BacklogSeries,
    window: Window,
    window_area: u128,
    since: Time,
    /// Highest count in the step of the series that is being filled.
    highest: u64,
    healed: Option<Time>,
    load_ended: Option<Time>,
}

#[derive(Clone, Debug, Default)]
pub struct PartitionProgress {
    /// Everything below can be read.
    pub visible_end: u64,
    /// Through, passed over or gone.
    pub through: Frontier,
    /// First flow started.
    pub started: Frontier,
    pub commit: Option<Commit>,
    /// Handed out by poll().
    pub delivered: Ranges,
    pub passed: Vec<Passed>,
    pub set_back: Vec<SetBack>,
    /// Living instances that hold the partition, with the position they began at.
    pub owners: BTreeMap<NodeId, Offset>,
    pub unprocessed: u64,
    /// Records that became readable.
    pub arrivals: u64,
    recovered: Option<Duration>,
    /// Since when the records from an offset on can be read, ascending; forgotten behind the frontier.
    shown: VecDeque<(u64, Time)>,
}

/// A stretch that was never to be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub from: Offset,
    pub to: Offset,
    pub time: Time,
    pub node: NodeId,
    pub why: PassedWhy,
}

/// The last offset that a group committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub offset: Offset,
    /// Since when it is forgotten, and by which coordinator.
    pub expired: Option<(Time, NodeId)>,
}

/// A group was set back below what it had committed, so that what lies between was delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBack {
    pub from: Offset,
    pub commit: Commit,
    pub time: Time,
    pub by: SetBackBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBackBy {
    /// An instance began elsewhere than where the group had been.
    Reset(PositionReason),
    /// The group itself: an older commit came behind a newer one.
    Commit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedWhy {
    Position(PositionReason),
    /// It was removed from the front of the log.
    Expired(RemovedBy),
    /// Compaction removed it.
    Compacted,
}

/// Between the end of warm-up and the end of the load phase.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Time,
    to: Time,
}

const SERIES_STEPS: u64 = 400;

impl ServiceProgress {
    pub fn new(group: GroupId, duration: Duration, options: WaitOptions) -> ServiceProgress {
        assert!((0.0..1.0).contains(&options.warmup_fraction), "warm-up is a share below one");
        let warmup = Duration((duration.0 as f64 * options.warmup_fraction) as u64);
        let step = Duration((duration.0 / SERIES_STEPS).max(1_000_000));
        ServiceProgress {
            group,
            partitions: PartitionTable::default(),
            assigned: BTreeMap::new(),
            unprocessed: 0,
            peak: 0,
            area: 0,
            sojourn: 0,
            waits: Histogram::default(),
            sojourns: Histogram::default(),
            delayed: 0,
            age_max: Duration::ZERO,
            series: BacklogSeries { start: Time::LOAD_START, step, ..BacklogSeries::default() },
            window: Window { from: Time::LOAD_START + warmup, to: Time::LOAD_START + duration },
            window_area: 0,
            since: Time::ZERO,
            highest: 0,
            healed: None,
            load_ended: None,
        }
    }

    pub fn partition(&mut self, partition: TopicPartition) -> &mut PartitionProgress {
        self.partitions.or_insert_with(partition, PartitionProgress::default)
    }

    /// True when the group goes back.
    pub fn commit(&mut self, partition: TopicPartition, offset: Offset, now: Time) -> bool {
        let progress = self.partition(partition);
        let before = progress.commit.replace(Commit { offset, expired: None });
        let before = before.filter(|before| before.expired.is_none() && offset < before.offset);
        let set_back = before.map(|commit| SetBack { from: offset, commit, time: now, by: SetBackBy::Commit });
        progress.set_back.extend(set_back);
        set_back.is_some()
    }

    pub fn expire_offset(&mut self, partition: TopicPartition, coordinator: NodeId, now: Time) {
        if let Some(commit) = &mut self.partition(partition).commit {
            commit.expired = Some((now, coordinator));
        }
    }

    /// An instance begins at `offset`.
    pub fn set_position(
        &mut self,
        partition: TopicPartition,
        offset: Offset,
        node: NodeId,
        why: PositionReason,
        now: Time,
    ) {
        let progress = self.partition(partition);
        progress.owners.insert(node, offset);
        let is_reset = match why {
            PositionReason::ResetEarliest | PositionReason::ResetLatest | PositionReason::Truncated => true,
            // As far back as the group itself says, or as its store does.
            PositionReason::Committed | PositionReason::Stored => false,
        };
        if let Some(commit) = progress.commit.filter(|commit| is_reset && offset < commit.offset) {
            progress.set_back.push(SetBack { from: offset, commit, time: now, by: SetBackBy::Reset(why) });
        }
        self.pass_over(partition, offset, node, PassedWhy::Position(why), now);
    }

    /// Records `range` of a partition can be read from now on.
    pub fn show(&mut self, partition: TopicPartition, range: std::ops::Range<u64>, now: Time) {
        if self.partition(partition).visible_end < range.start {
            // A leader whose log starts further on: what lies between can never be read.
            self.pass_over(partition, Offset(range.start), NodeId(0), PassedWhy::Expired(RemovedBy::Retention), now);
        }
        self.advance(now);
        let progress = self.partition(partition);
        progress.shown.push_back((range.start, now));
        progress.visible_end = range.end;
        let count = progress.through.missing(range.start, range.end);
        progress.unprocessed += count;
        progress.arrivals += count;
        self.unprocessed += count;
        self.peak = self.peak.max(self.unprocessed);
        self.highest = self.highest.max(self.unprocessed);
    }

    /// A flow begins for a record. True when it had begun before: a redelivery.
    pub fn start(&mut self, partition: TopicPartition, offset: Offset, now: Time) -> bool {
        let from = self.window.from;
        let progress = self.partition(partition);
        if !progress.started.insert(offset.0) {
            return true;
        }
        if let Some(visible) = progress.visible_since(offset.0)
            && from <= visible
        {
            self.waits.add(now.since(visible));
            self.delayed += u64::from(DELAYED_FROM < now.since(visible));
        }
        false
    }

    /// A flow is through for a record.
    pub fn finish(&mut self, partition: TopicPartition, offset: Offset, now: Time) {
        self.advance(now);
        let from = self.window.from;
        let progress = self.partition(partition);
        if !progress.through.insert(offset.0) || progress.visible_end <= offset.0 {
            return;
        }
        let visible = progress.visible_since(offset.0).unwrap_or(now);
        if from <= visible {
            self.sojourns.add(now.since(visible));
        }
        self.remove(partition, visible, now);
    }

    /// Everything below `to` will not be processed by this service any more.
    pub fn pass_over(&mut self, partition: TopicPartition, to: Offset, node: NodeId, why: PassedWhy, now: Time) {
        self.advance(now);
        let progress = self.partition(partition);
        progress.started.jump(to.0);
        let from = progress.through.below;
        let skipped: Vec<u64> = progress.through.jump(to.0);
        if skipped.is_empty() {
            return;
        }
        progress.passed.push(Passed { from: Offset(from), to, time: now, node, why });
        self.drop_records(partition, &skipped, now);
    }

    /// Offsets that hold nothing for this service: markers, and records of aborted transactions.
    pub fn leave_out(&mut self, partition: TopicPartition, offsets: std::ops::Range<u64>, now: Time) {
        self.advance(now);
        let progress = self.partition(partition);
        progress.delivered.insert(offsets.start, offsets.end);
        let gone: Vec<u64> = offsets.filter(|offset| progress.through.insert(*offset)).collect();
        for offset in &gone {
            progress.started.insert(*offset);
        }
        self.drop_records(partition, &gone, now);
    }

    /// Compaction removed these records before the service was through with them.
    pub fn pass_compacted(
        &mut self,
        partition: TopicPartition,
        offsets: std::ops::Range<u64>,
        node: NodeId,
        now: Time,
    ) {
        self.advance(now);
        let progress = self.partition(partition);
        let (from, to) = (Offset(offsets.start), Offset(offsets.end));
        let gone: Vec<u64> = offsets.filter(|offset| progress.through.insert(*offset)).collect();
        if gone.is_empty() {
            return;
        }
        for offset in &gone {
            progress.started.insert(*offset);
        }
        progress.passed.push(Passed { from, to, time: now, node, why: PassedWhy::Compacted });
        self.drop_records(partition, &gone, now);
    }

    /// The log that counts lost its records from `from` on.
    pub fn diverge(&mut self, partition: TopicPartition, from: Offset, now: Time) {
        self.advance(now);
        let progress = self.partition(partition);
        let end = progress.visible_end;
        let gone: Vec<u64> =
            (from.0.max(progress.through.below)..end).filter(|offset| !progress.through.contains(*offset)).collect();
        self.drop_records(partition, &gone, now);
        let progress = self.partition(partition);
        progress.through.cut(from.0);
        progress.started.cut(from.0);
        progress.visible_end = progress.visible_end.min(from.0);
        while progress.shown.back().is_some_and(|(start, _)| from.0 <= *start) {
            progress.shown.pop_back();
        }
    }

    /// A process is gone, and with it what it held.
    pub fn stop(&mut self, node: NodeId) {
        self.assigned.remove(&node);
        for (_, progress) in self.partitions.iter_mut() {
            progress.owners.remove(&node);
        }
    }

    /// Something is healed: from here recovery is counted.
    pub fn heal(&mut self, now: Time) {
        // What the end of the load heals with everything else is not recovered from: nothing arrives any more.
        if self.load_ended.is_some() || self.window.to <= now {
            return;
        }
        self.healed = Some(now);
        for (_, progress) in self.partitions.iter_mut() {
            progress.recovered = (progress.unprocessed == 0).then_some(Duration::ZERO);
        }
    }

    pub fn end_load(&mut self, now: Time) {
        self.advance(now);
        self.load_ended = Some(now);
    }

    /// The end of the run: what is still unprocessed has waited until now.
    pub fn end(&mut self, now: Time) {
        self.advance(now);
        for (_, progress) in self.partitions.iter() {
            for offset in progress.through.holes(progress.visible_end) {
                let age = now.since(progress.visible_since(offset).unwrap_or(now));
                self.sojourn += u128::from(age.0);
                self.age_max = self.age_max.max(age);
            }
        }
        self.close_step(now);
    }

    pub fn recovery(&self, ended: Time) -> Recovery {
        let Some(healed) = self.healed else { return Recovery::default() };
        let observed = self.load_ended.unwrap_or(ended).since(healed);
        let partitions: Vec<(TopicPartition, RecoveryTime)> = self
            .partitions
            .iter()
            .map(|(partition, progress)| {
                let time = progress.recovered.map_or(RecoveryTime::Censored(observed), RecoveryTime::Recovered);
                (partition, time)
            })
            .collect();
        let slowest = partitions.iter().map(|(_, time)| *time).max_by_key(|time| match time {
            RecoveryTime::Recovered(after) => (0, *after),
            RecoveryTime::Censored(after) => (1, *after),
        });
        Recovery { healed: Some(healed), after: slowest, partitions }
    }

    /// Mean number of unprocessed records in the window that is measured, which ends at `ended` at the latest.
    pub fn mean_in_system(&self, ended: Time) -> f64 {
        let length = self.window.to.min(ended).since(self.window.from);
        if length.is_zero() { 0.0 } else { self.window_area as f64 / length.0 as f64 }
    }

    /// Records leave without having been processed.
    fn drop_records(&mut self, partition: TopicPartition, offsets: &[u64], now: Time) {
        let progress = self.partition(partition);
        let readable = offsets.iter().filter(|offset| **offset < progress.visible_end);
        let since: Vec<Time> = readable.map(|offset| progress.visible_since(*offset).unwrap_or(now)).collect();
        for visible in since {
            self.remove(partition, visible, now);
        }
    }

    fn remove(&mut self, partition: TopicPartition, visible: Time, now: Time) {
        let age = now.since(visible);
        self.sojourn += u128::from(age.0);
        self.age_max = self.age_max.max(age);
        self.unprocessed -= 1;
        let (healed, load_ended) = (self.healed, self.load_ended);
        let progress = self.partition(partition);
        progress.unprocessed -= 1;
        progress.forget_behind_frontier();
        if progress.unprocessed == 0
            && progress.recovered.is_none()
            && load_ended.is_none()
            && let Some(healed) = healed
        {
            progress.recovered = Some(now.since(healed));
        }
    }

    /// Brings integral and series up to `now`, before the count changes.
    fn advance(&mut self, now: Time) {
        if now <= self.since {
            return;
        }
        let count = u128::from(self.unprocessed);
        self.area += count * u128::from(now.since(self.since).0);
        let (from, to) = (self.since.max(self.window.from), now.min(self.window.to));
        self.window_area += count * u128::from(to.since(from).0);
        while self.step_end() <= now {
            self.close_step(self.step_end());
        }
        self.since = now;
    }

    fn step_end(&self) -> Time {
        self.series.start + self.series.step * (self.series.unprocessed.len() as u64 + 1)
    }

    fn close_step(&mut self, at: Time) {
        let heads = self.partitions.iter().map(|(_, progress)| progress).filter(|progress| 0 < progress.unprocessed);
        let oldest = heads.filter_map(|progress| progress.visible_since(progress.through.below)).min();
        self.series.unprocessed.push(self.highest);
        self.series.oldest_age.push(oldest.map_or(Duration::ZERO, |oldest| at.since(oldest)));
        self.highest = self.unprocessed;
    }
}

impl PartitionProgress {
    /// Why the record was never to be processed, if so.
    pub fn passed_over(&self, offset: Offset) -> Option<&Passed> {
        self.passed.iter().find(|passed| passed.from <= offset && offset < passed.to)
    }

    /// What the coordinator would tell a member.
    pub fn committed(&self) -> Option<Offset> {
        self.commit.filter(|commit| commit.expired.is_none()).map(|commit| commit.offset)
    }

    /// The last time in a stretch of time that the group was set back below a record that it had committed. What is committed
    /// before its effect is taken back before it, too, and only the next owner notices.
    pub fn set_back_below(&self, offset: Offset, since: Time, until: Time) -> Option<&SetBack> {
        let covers = |set_back: &&SetBack| set_back.from <= offset && offset < set_back.commit.offset;
        let within = |set_back: &&SetBack| {
            (since <= set_back.time || set_back.by == SetBackBy::Commit) && set_back.time <= until
        };
        self.set_back.iter().rev().filter(within).find(covers)
    }

    /// Whether a record that is not through may still be delivered: it is not behind the committed offset, or a living
    /// owner holds the partition from before it.
    pub fn may_still_come(&self, offset: Offset) -> bool {
        let committed = self.committed().is_none_or(|committed| committed <= offset);
        committed || self.owners.values().any(|start| *start <= offset)
    }

    fn visible_since(&self, offset: u64) -> Option<Time> {
        let after = self.shown.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1).and_then(|index| self.shown.get(index)).map(|(_, time)| *time)
    }

    fn forget_behind_frontier(&mut self) {
        while self.shown.get(1).is_some_and(|(start, _)| *start <= self.through.below) {
            self.shown.pop_front();
        }
    }
}

/// A set of offsets that mostly grows from its lower end.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    /// Everything below is in.
    pub below: u64,
    ahead: BTreeSet<u64>,
}

impl Frontier {
    /// False when it was in already.
    pub fn insert(&mut self, offset: u64) -> bool {
        if offset == self.below {
            // In order, as most are.
            self.below += 1;
        } else if offset < self.below || !self.ahead.insert(offset) {
            return false;
        }
        self.absorb();
        true
    }

    pub fn contains(&self, offset: u64) -> bool {
        offset < self.below || self.ahead.contains(&offset)
    }

    /// Everything below `to` is in from now on; returns what was not before.
    fn jump(&mut self, to: u64) -> Vec<u64> {
        if to <= self.below {
            return Vec::new();
        }
        let skipped = self.holes(to).collect();
        self.below = to;
        self.ahead = self.ahead.split_off(&to);
        self.absorb();
        skipped
    }

    /// Nothing from `from` on is in any more.
    fn cut(&mut self, from: u64) {
        self.below = self.below.min(from);
        self.ahead.split_off(&from);
    }

    /// How many of a range are not in.
    fn missing(&self, from: u64, to: u64) -> u64 {
        let from = from.max(self.below);
        if to <= from {
            return 0;
        }
        to - from - self.ahead.range(from..to).count() as u64
    }

    /// Offsets below `end` that are not in.
    pub fn holes(&self, end: u64) -> impl Iterator<Item = u64> + '_ {
        (self.below..end).filter(|offset| !self.ahead.contains(offset))
    }

    fn absorb(&mut self) {
        while self.ahead.first() == Some(&self.below) {
            self.ahead.pop_first();
            self.below += 1;
        }
    }
}

/// A set of offsets as few stretches.
#[derive(Clone, Debug, Default)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub fn insert(&mut self, from: u64, to: u64) {
        if to <= from {
            return;
        }
        let first = self.0.partition_point(|(_, end)| *end < from);
        let last = self.0.partition_point(|(start, _)| *start <= to);
        if first == last {
            self.0.insert(first, (from, to));
            return;
        }
        let joined = (self.0[first].0.min(from), self.0[last - 1].1.max(to));
        self.0.splice(first..last, [joined]);
    }

    pub fn contains(&self, offset: Offset) -> bool {
        let index = self.0.partition_point(|(_, end)| *end <= offset.0);
        self.0.get(index).is_some_and(|(start, _)| *start <= offset.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P0: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };

    fn at(milliseconds: u64) -> Time {
        Time::LOAD_START + Duration::from_millis(milliseconds)
    }

    fn progress(warmup_fraction: f64) -> ServiceProgress {
        ServiceProgress::new(GroupId(0), Duration::from_secs(1), WaitOptions { warmup_fraction })
    }

    fn assert_little(progress: &ServiceProgress) {
        assert_eq!(progress.area, progress.sojourn, "Little's law is an identity");
    }

    #[test]
    fn littles_law_holds_to_the_nanosecond_through_skips_truncation_and_an_unfinished_end() {
        let mut progress = progress(0.0);
        progress.show(P0, 0..4, at(0));
        progress.show(P0, 4..10, at(7));
        progress.finish(P0, Offset(2), at(11));
        progress.finish(P0, Offset(0), at(13));
        progress.finish(P0, Offset(0), at(14));
        progress.pass_over(P0, Offset(5), NodeId(9), PassedWhy::Position(PositionReason::ResetLatest), at(20));
        assert_eq!(progress.unprocessed, 5);
        progress.diverge(P0, Offset(8), at(30));
        assert_eq!(progress.unprocessed, 3);
        progress.show(P0, 8..9, at(31));
        progress.end(at(50));
        assert_little(&progress);
        assert_eq!(progress.peak, 10);
        assert_eq!(progress.age_max, Duration::from_millis(43));
    }

    #[test]
    fn offsets_without_a_record_for_the_service_do_not_wait() {
        let mut progress = progress(0.0);
        progress.show(P0, 0..4, at(0));
        progress.leave_out(P0, 1..3, at(5));
        progress.leave_out(P0, 1..3, at(6));
        assert_eq!(progress.unprocessed, 2);
        progress.finish(P0, Offset(0), at(11));
        progress.finish(P0, Offset(3), at(12));
        progress.end(at(20));
        assert_eq!((progress.unprocessed, progress.partition(P0).through.below), (0, 4));
        assert_little(&progress);
    }

    #[test]
    fn a_log_that_starts_further_on_leaves_nothing_waiting_in_between() {
        let mut progress = progress(0.0);
        progress.show(P0, 0..2, at(0));
        progress.show(P0, 5..6, at(10));
        assert_eq!(progress.unprocessed, 1);
        progress.finish(P0, Offset(3), at(11));
        progress.finish(P0, Offset(5), at(12));
        progress.end(at(20));
        assert_eq!(progress.unprocessed, 0);
        assert_little(&progress);
    }

    #[test]
    fn recovery_is_the_first_empty_instant_of_the_slowest_partition() {
        let p1 = TopicPartition { partition: 1, ..P0 };
        let mut progress = progress(0.0);
        progress.show(P0, 0..1, at(0));
        progress.show(p1, 0..2, at(0));
        progress.heal(at(100));
        progress.finish(P0, Offset(0), at(110));
        progress.show(P0, 1..2, at(115));
        progress.finish(p1, Offset(0), at(120));
        assert_eq!(progress.recovery(at(130)).after, Some(RecoveryTime::Censored(Duration::from_millis(30))));
        progress.finish(p1, Offset(1), at(140));
        let recovery = progress.recovery(at(200));
        assert_eq!(recovery.after, Some(RecoveryTime::Recovered(Duration::from_millis(40))));
        assert_eq!(recovery.partitions[0].1, RecoveryTime::Recovered(Duration::from_millis(10)));
    }

    #[test]
    fn after_the_load_nothing_recovers_any_more() {
        let mut progress = progress(0.0);
        progress.show(P0, 0..1, at(0));
        progress.heal(at(100));
        progress.end_load(at(1000));
        progress.finish(P0, Offset(0), at(1010));
        assert_eq!(progress.recovery(at(2000)).after, Some(RecoveryTime::Censored(Duration::from_millis(900))));
    }

    #[test]
    fn what_the_end_of_the_load_heals_is_not_recovered_from() {
        let mut progress = progress(0.0);
        progress.show(P0, 0..1, at(0));
        progress.heal(at(100));
        progress.finish(P0, Offset(0), at(110));
        progress.heal(at(1000));
        progress.end_load(at(1000));
        assert_eq!(progress.recovery(at(2000)).after, Some(RecoveryTime::Recovered(Duration::from_millis(10))));
    }

    #[test]
    fn warm_up_is_left_out_of_waits() {
        let mut progress = progress(0.5);
        progress.show(P0, 0..1, at(400));
        progress.show(P0, 1..2, at(600));
        assert!(!progress.start(P0, Offset(0), at(700)));
        assert!(!progress.start(P0, Offset(1), at(800)));
        assert!(progress.start(P0, Offset(1), at(900)), "a second start is a redelivery");
        assert_eq!(progress.waits.summary().count, 1);
        assert_eq!(progress.waits.summary().max, Duration::from_millis(200));
        progress.end(at(1000));
        // 500..600: one record; 600..1000: two.
        assert!((progress.mean_in_system(at(1000)) - 1.8).abs() < 1e-9);
    }

    #[test]
    fn the_series_keeps_peaks() {
        let mut progress = progress(0.0);
        progress.show(P0, 0..3, at(1));
        progress.finish(P0, Offset(0), at(2));
        progress.finish(P0, Offset(1), at(2));
        progress.finish(P0, Offset(2), at(2));
        progress.end(at(10));
        assert_eq!(progress.series.unprocessed.iter().max(), Some(&3));
        assert_eq!(progress.series.step, Duration::from_micros(2500));
    }

    #[test]
    fn stretches_join() {
        let mut ranges = Ranges::default();
        ranges.insert(5, 8);
        ranges.insert(0, 2);
        ranges.insert(2, 5);
        ranges.insert(20, 21);
        assert_eq!(ranges.0, vec![(0, 8), (20, 21)]);
        assert!(ranges.contains(Offset(7)));
        assert!(!ranges.contains(Offset(8)));
    }
}

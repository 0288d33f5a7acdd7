//! What a consuming service has done, and what it may therefore commit.
//!
//! A record counts as done when its list reaches `commit`, or its end. `contiguous`: a commit covers the records up to
//! the first one that is not done. `highest`: it covers everything below the highest one done, which loses whatever a
//! slower worker still had in hand. A position that was asked for is not asked for again unless its commit failed.

use std::collections::{BTreeMap, VecDeque};

use super::flow::Source;
use crate::scenario::plan::CommitOf;
use crate::types::*;

/// Names a commit between the interpreter and its consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitToken(pub u64);

#[derive(Clone, Debug)]
pub struct Commits {
    commit_of: CommitOf,
    partitions: BTreeMap<TopicPartition, Progress>,
    /// Counts assignments.
    round: u32,
    /// Records done since the last commit.
    since: u64,
    /// When the last commit was asked for.
    last: Time,
    /// Some position has moved since then.
    unsaved: bool,
    /// Polled batches with records that are not done, oldest first.
    batches: VecDeque<(u64, u32)>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    round: u32,
    /// Polled and not below the position, in order, with whether it is done.
    in_hand: VecDeque<(Offset, bool)>,
    /// The next record to process after a commit.
    position: Option<Offset>,
    /// The position last asked for.
    requested: Option<Offset>,
    /// Nobody has waited for the answer, and it is not here.
    unheard: bool,
}

impl Commits {
    pub fn new(commit_of: CommitOf) -> Commits {
        Commits {
            commit_of,
            partitions: BTreeMap::new(),
            round: 0,
            since: 0,
            last: Time::ZERO,
            unsaved: false,
            batches: VecDeque::new(),
        }
    }

    /// A new assignment begins.
    pub fn assign(&mut self, partitions: &[TopicPartition]) {
        self.round += 1;
        self.forget(partitions);
    }

    /// The partitions are not ours any more.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.partitions.remove(partition);
        }
    }

    /// A polled batch of this many records begins.
    pub fn begin_batch(&mut self, batch: u64, count: u32) {
        self.batches.push_back((batch, count));
    }

    /// A record was polled.
    pub fn hand_out(&mut self, source: Source) {
        let progress = self.partitions.entry(source.partition).or_default();
        progress.round = source.round;
        if self.commit_of == CommitOf::Contiguous {
            progress.in_hand.push_back((source.offset, false));
        }
    }

    /// A record is done. True when it was the last one of its batch.
    pub fn mark(&mut self, source: Source) -> bool {
        if let Some(progress) = self.partitions.get_mut(&source.partition).filter(|own| own.round == source.round) {
            self.unsaved |= match self.commit_of {
                CommitOf::Contiguous => progress.mark_contiguous(source.offset),
                CommitOf::Highest => progress.mark_highest(source.offset),
            };
            self.since += 1;
        }
        self.count_down(source.batch)
    }

    /// A record of this batch will not be marked again. True when it was the last one.
    pub fn count_down(&mut self, batch: u64) -> bool {
        let Some(entry) = self.batches.iter_mut().find(|entry| entry.0 == batch) else { return false };
        entry.1 -= 1;
        let complete = entry.1 == 0;
        while self.batches.front().is_some_and(|entry| entry.1 == 0) {
            self.batches.pop_front();
        }
        complete
    }

    /// The positions that moved since they were last asked for.
    pub fn take(&mut self, now: Time) -> Vec<(TopicPartition, Offset)> {
        self.take_where(now, |progress| progress.requested != progress.position)
    }

    /// The positions that are not known to be committed: whoever stops waits for them.
    pub fn take_last(&mut self, now: Time) -> Vec<(TopicPartition, Offset)> {
        self.take_where(now, |progress| progress.requested != progress.position || progress.unheard)
    }

    fn take_where(&mut self, now: Time, wanted: impl Fn(&Progress) -> bool) -> Vec<(TopicPartition, Offset)> {
        self.since = 0;
        self.last = now;
        self.unsaved = false;
        let mut offsets = Vec::new();
        for (partition, progress) in &mut self.partitions {
            if let Some(position) = progress.position
                && wanted(progress)
            {
                (progress.requested, progress.unheard) = (Some(position), false);
                offsets.push((*partition, position));
            }
        }
        offsets
    }

    /// Nobody waits for the answer to what was taken last.
    pub fn not_waited_for(&mut self, offsets: &[(TopicPartition, Offset)]) {
        for (partition, offset) in offsets {
            let own = self.partitions.get_mut(partition).filter(|own| own.requested == Some(*offset));
            own.into_iter().for_each(|progress| progress.unheard = true);
        }
    }

    /// The answer is here all the same: these are committed.
    pub fn heard(&mut self, offsets: &[(TopicPartition, Offset)]) {
        for (partition, offset) in offsets {
            let own = self.partitions.get_mut(partition).filter(|own| own.requested == Some(*offset));
            own.into_iter().for_each(|progress| progress.unheard = false);
        }
    }

    /// A commit failed: everything is asked for again next time, which does no harm to what was committed.
    pub fn failed(&mut self) {
        for progress in self.partitions.values_mut() {
            progress.requested = None;
            self.unsaved |= progress.position.is_some();
        }
    }

    /// Whether the record still belongs to an assignment that we hold.
    pub fn owns(&self, source: Source) -> bool {
        self.partitions.get(&source.partition).is_some_and(|progress| progress.round == source.round)
    }

    /// The assignment under which a record of the partition is handed out now. Whoever keeps a partition over a round keeps it.
    pub fn round_of(&self, partition: TopicPartition) -> u32 {
        self.partitions.get(&partition).map_or(self.round, |progress| progress.round)
    }

    pub fn since(&self) -> u64 {
        self.since
    }

    pub fn last(&self) -> Time {
        self.last
    }

    pub fn unsaved(&self) -> bool {
        self.unsaved
    }

    /// Something is done and not known to be committed.
    pub fn uncertain(&self) -> bool {
        self.unsaved || self.partitions.values().any(|progress| progress.unheard)
    }

    /// The partition is ours, and something of it was handed out.
    pub fn has(&self, partition: TopicPartition) -> bool {
        self.partitions.contains_key(&partition)
    }
}

impl Progress {
    /// True when the position moved.
    fn mark_contiguous(&mut self, offset: Offset) -> bool {
        // One thread works from the front.
        match self.in_hand.front_mut() {
            Some(first) if first.0 == offset => first.1 = true,
            Some(_) | None => match self.in_hand.binary_search_by_key(&offset, |entry| entry.0) {
                Ok(index) => self.in_hand[index].1 = true,
                Err(_) => return false,
            },
        }
        let before = self.position;
        while let Some((done, true)) = self.in_hand.front() {
            self.position = Some(done.plus(1));
            self.in_hand.pop_front();
        }
        self.position != before
    }

    fn mark_highest(&mut self, offset: Offset) -> bool {
        let before = self.position;
        self.position = self.position.max(Some(offset.plus(1)));
        self.position != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(offset: u64) -> Source {
        Source { partition: TopicPartition::default(), offset: Offset(offset), round: 0, batch: 1 }
    }

    fn commits(commit_of: CommitOf) -> Commits {
        let mut commits = Commits::new(commit_of);
        commits.begin_batch(1, 3);
        for offset in [10, 11, 13] {
            commits.hand_out(source(offset));
        }
        commits
    }

    fn position(commits: &mut Commits) -> Option<u64> {
        commits.take(Time::ZERO).first().map(|(_, offset)| offset.0)
    }

    #[test]
    fn contiguous_waits_for_the_gap_and_steps_over_missing_offsets() {
        let mut commits = commits(CommitOf::Contiguous);
        commits.mark(source(11));
        assert_eq!(position(&mut commits), None);
        commits.mark(source(10));
        assert_eq!(position(&mut commits), Some(12));
        assert!(commits.mark(source(13)), "the last of its batch");
        assert_eq!(position(&mut commits), Some(14));
        assert_eq!(position(&mut commits), None, "asked for once");
        commits.failed();
        assert_eq!(position(&mut commits), Some(14), "and again after a failure");
    }

    #[test]
    fn highest_covers_what_is_not_done() {
        let mut commits = commits(CommitOf::Highest);
        commits.mark(source(13));
        assert_eq!(position(&mut commits), Some(14));
        commits.mark(source(10));
        assert_eq!(position(&mut commits), None);
    }

    #[test]
    fn a_record_of_an_older_assignment_moves_nothing() {
        let mut commits = commits(CommitOf::Contiguous);
        commits.assign(&[TopicPartition::default()]);
        commits.mark(source(10));
        assert_eq!(position(&mut commits), None);
        assert!(!commits.owns(source(10)));
    }
}

//! Groups: one owner, commits of members, offsets that survive. Silent on what is legal, exact on what is not.

use std::sync::Arc;

use super::story::*;
use crate::checks::{Invariant, InvariantViolation};
use crate::history::Happening;
use crate::history::event::StopReason;
use crate::types::note::*;
use crate::types::record::{
    ConsumerChange, ConsumerMember, CurrentAssignment, GroupMember, MemberState, RecordBatch, Records,
};
use crate::types::settings::RemoteAssignor;
use crate::types::*;

const M1: MemberId = MemberId(1);
const M2: MemberId = MemberId(2);

/// A story with the log of the offsets topic.
struct Groups {
    story: Story,
    offsets: TopicPartition,
    leader: NodeId,
    epoch: u32,
    end: u64,
}

impl Groups {
    fn new() -> Groups {
        let plan = plan(Billing::Insert);
        let offsets = TopicPartition::new(plan.topics.last().expect("the offsets topic").id, 0);
        let mut groups = Groups { story: Story::new(&plan), offsets, leader: B1, epoch: 0, end: 0 };
        groups.lead(B1, 0, 0);
        groups
    }

    fn lead(&mut self, node: NodeId, epoch: u32, end: u64) {
        let (partition, log_end_offset) = (self.offsets, Offset(end));
        let (leader_epoch, high_watermark) = (LeaderEpoch(epoch), Offset(0));
        self.story.note(node, Note::BecameLeader { partition, leader_epoch, log_end_offset, high_watermark });
        (self.leader, self.epoch, self.end) = (node, epoch, end);
    }

    /// The other replica has it too.
    fn followed(&mut self, batch: RecordBatch) {
        let follower = if self.leader == B1 { B2 } else { B1 };
        self.story.note(follower, Note::BatchAppended { partition: self.offsets, role: AppendRole::Follower, batch });
    }

    fn append(&mut self, records: Vec<Group>) -> RecordBatch {
        let count = records.len() as u64;
        let batch = RecordBatch {
            base_offset: Offset(self.end),
            leader_epoch: LeaderEpoch(self.epoch),
            ..RecordBatch::new(None, Arc::new(Records::Groups(records)))
        };
        self.end += count;
        let (partition, role) = (self.offsets, AppendRole::Leader);
        self.story.note(self.leader, Note::BatchAppended { partition, role, batch: batch.clone() });
        batch
    }

    fn replicate(&mut self) {
        let (partition, leader_epoch, offset) = (self.offsets, LeaderEpoch(self.epoch), Offset(self.end));
        self.story.note(self.leader, Note::HighWatermark { partition, leader_epoch, offset, as_leader: true });
    }

    /// A round of a classic group in which each member is given what stands beside it.
    fn round(&mut self, generation: u32, members: &[(MemberId, &[TopicPartition])]) {
        self.append_round(generation, members);
        self.replicate();
    }

    fn append_round(&mut self, generation: u32, members: &[(MemberId, &[TopicPartition])]) -> RecordBatch {
        let member = |(member, assignment): &(MemberId, &[TopicPartition])| GroupMember {
            member: *member,
            instance: None,
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(10),
            topics: vec![TopicId(0)],
            assignment: assignment.to_vec(),
        };
        let members: Vec<GroupMember> = members.iter().map(member).collect();
        let leader = members.first().map(|member| member.member);
        let generation = Generation(generation);
        self.append(vec![Group::Metadata { group: GROUP, generation, leader, members, at: Time::ZERO }])
    }

    fn assigned(&mut self, node: NodeId, member: MemberId, generation: u32, partitions: &[TopicPartition]) {
        let (generation, partitions) = (Generation(generation), partitions.to_vec());
        self.story.note(node, Note::Assigned { group: GROUP, member, generation, partitions });
    }

    fn commit(&mut self, offset: u64) {
        let (partition, offset) = (P0, Offset(offset));
        self.append(vec![Group::Offset { group: GROUP, partition, offset, leader_epoch: None, at: Time::ZERO }]);
    }

    fn taken(&mut self, offset: u64, member: MemberId) {
        let (partition, offset) = (P0, Offset(offset));
        let member = Some(member);
        self.story.note(self.leader, Note::OffsetCommitted { group: GROUP, partition, offset, member, by: BILLING_1 });
    }

    fn one(&self) -> InvariantViolation {
        let violations = self.story.violations();
        assert_eq!(violations.len(), 1, "{violations:?}");
        violations[0].clone()
    }

    fn nothing(&self) {
        assert_eq!(self.story.violations(), []);
    }
}

fn consumer(change: ConsumerChange) -> Group {
    Group::Consumer { group: GROUP, change }
}

fn subscribes(member: MemberId) -> Group {
    let metadata = ConsumerMember {
        instance: None,
        topics: vec![TopicId(0)],
        assignor: RemoteAssignor::Uniform,
        rebalance_timeout: Duration::from_secs(10),
    };
    consumer(ConsumerChange::Member { member, metadata })
}

fn current(member: MemberId, epoch: u32, assigned: &[TopicPartition], pending: &[TopicPartition]) -> Group {
    let state = if pending.is_empty() { MemberState::Stable } else { MemberState::UnrevokedPartitions };
    let current = CurrentAssignment {
        epoch: Generation(epoch),
        previous_epoch: Generation(0),
        state,
        assigned: assigned.to_vec(),
        pending_revocation: pending.to_vec(),
    };
    consumer(ConsumerChange::Current { member, current })
}

fn epoch(epoch: u32, partitions: u16) -> Group {
    let topics = vec![(TopicId(0), partitions)];
    consumer(ConsumerChange::Epoch { epoch: Generation(epoch), topics, at: Time::ZERO })
}

#[test]
fn whoever_was_taken_out_may_not_know_it_yet() {
    let mut groups = Groups::new();
    groups.round(1, &[(M1, &[P0])]);
    groups.assigned(BILLING_1, M1, 1, &[P0]);
    groups.round(2, &[(M2, &[P0])]);
    groups.assigned(BILLING_2, M2, 2, &[P0]);
    groups.nothing();
}

/// The round that takes a member out is replicated by followers that have not heard of the next leader, which has it too; the
/// deposed coordinator answers. Where the next leader does not have it, nobody was taken out.
#[test]
fn a_round_that_a_deposed_coordinator_finishes_counts_if_its_successor_has_it() {
    for (has_it, is_legal) in [(true, true), (false, false)] {
        let mut groups = Groups::new();
        let first = groups.append_round(1, &[(M1, &[P0]), (M2, &[])]);
        groups.followed(first);
        groups.replicate();
        groups.assigned(BILLING_1, M1, 1, &[P0]);
        let second = groups.append_round(2, &[(M2, &[P0])]);
        if has_it {
            groups.followed(second);
        }
        let (partition, offset) = (groups.offsets, Offset(groups.end));
        groups.lead(B2, 1, 1 + u64::from(has_it));
        let late = Note::HighWatermark { partition, leader_epoch: LeaderEpoch(0), offset, as_leader: true };
        groups.story.note(B1, late);
        groups.assigned(BILLING_2, M2, 2, &[P0]);
        let violations = groups.story.violations();
        let of_it = violations.iter().filter(|found| found.invariant == Invariant::OneOwner).count();
        assert_eq!(of_it, usize::from(!is_legal), "{violations:?}");
    }
}

#[test]
fn a_member_that_holds_what_another_is_given_is_caught() {
    let mut groups = Groups::new();
    groups.round(1, &[(M1, &[P0]), (M2, &[])]);
    groups.assigned(BILLING_1, M1, 1, &[P0]);
    groups.round(2, &[(M1, &[]), (M2, &[P0])]);
    groups.assigned(BILLING_2, M2, 2, &[P0]);
    let violation = groups.one();
    assert_eq!((violation.invariant, violation.node), (Invariant::OneOwner, BILLING_2));
    assert_eq!((violation.other, violation.partition), (Some(BILLING_1), Some(P0)));
}

#[test]
fn whoever_takes_what_was_given_away_behind_its_back_is_legal_until_it_was_told() {
    let moved = |groups: &mut Groups| {
        groups.append(vec![current(M1, 2, &[], &[]), current(M2, 2, &[P0], &[])]);
        groups.replicate();
    };
    // (its epoch when it takes the partition, whether it takes it before the log moves it, whether that is a violation)
    for (epoch, took_before, is_caught) in [(1, false, false), (2, false, true), (1, true, true)] {
        let mut groups = Groups::new();
        groups.append(vec![self::epoch(2, 1), subscribes(M1), subscribes(M2), current(M1, 1, &[P0], &[])]);
        groups.replicate();
        if took_before {
            groups.assigned(BILLING_1, M1, epoch, &[P0]);
        }
        moved(&mut groups);
        groups.assigned(BILLING_2, M2, 2, &[P0]);
        if !took_before {
            groups.assigned(BILLING_1, M1, epoch, &[P0]);
        }
        assert_eq!(!groups.story.violations().is_empty(), is_caught, "{epoch} {took_before}");
    }
}

#[test]
fn whoever_gave_back_or_died_holds_nothing() {
    for gives_back in [true, false] {
        let mut groups = Groups::new();
        groups.round(1, &[(M1, &[P0]), (M2, &[])]);
        groups.assigned(BILLING_1, M1, 1, &[P0]);
        if gives_back {
            groups.story.note(BILLING_1, Note::Revoked { group: GROUP, member: M1, partitions: vec![P0] });
        } else {
            groups.story.stopped(BILLING_1, StopReason::Crash);
        }
        groups.round(2, &[(M1, &[]), (M2, &[P0])]);
        groups.assigned(BILLING_2, M2, 2, &[P0]);
        groups.nothing();
    }
}

#[test]
fn a_partition_that_stands_twice_in_the_log_is_caught() {
    let mut groups = Groups::new();
    groups.round(1, &[(M1, &[P0]), (M2, &[P0])]);
    assert_eq!(groups.one().invariant, Invariant::OneOwner);
    let mut groups = Groups::new();
    groups.append(vec![epoch(1, 1), subscribes(M1), subscribes(M2), current(M1, 1, &[], &[P0])]);
    groups.append(vec![current(M2, 1, &[P0], &[])]);
    groups.nothing();
    groups.replicate();
    assert_eq!(groups.one().partition, Some(P0));
}

#[test]
fn what_moves_within_one_advance_is_judged_record_by_record() {
    let mut groups = Groups::new();
    groups.append(vec![epoch(1, 1), subscribes(M1), subscribes(M2), current(M1, 1, &[P0], &[])]);
    groups.append(vec![current(M1, 1, &[], &[])]);
    groups.append(vec![current(M2, 1, &[P0], &[])]);
    groups.replicate();
    groups.nothing();
}

#[test]
fn a_target_gives_every_partition_once_and_no_member_is_ahead() {
    let target = |share: &[u16]| {
        let share = share.iter().map(|number| TopicPartition::new(TopicId(0), *number)).collect();
        consumer(ConsumerChange::Target { epoch: Generation(1), assignment: vec![(M1, share)] })
    };
    for (share, is_right) in [(&[0, 1][..], true), (&[0][..], false), (&[0, 1, 1][..], false)] {
        let mut groups = Groups::new();
        groups.append(vec![epoch(1, 2), subscribes(M1), target(share)]);
        groups.replicate();
        assert_eq!(groups.story.violations().is_empty(), is_right, "{share:?}");
    }
    let mut groups = Groups::new();
    groups.append(vec![epoch(1, 1), subscribes(M1), current(M1, 2, &[P0], &[])]);
    groups.replicate();
    assert_eq!(groups.one().invariant, Invariant::OneOwner);
}

#[test]
fn what_was_never_replicated_binds_nobody() {
    let mut groups = Groups::new();
    groups.append(vec![epoch(1, 1), subscribes(M1), current(M1, 1, &[P0], &[])]);
    groups.lead(B2, 1, 0);
    groups.nothing();
}

#[test]
fn a_commit_of_nobody_is_caught() {
    let mut groups = Groups::new();
    groups.round(1, &[(M1, &[P0])]);
    groups.commit(3);
    groups.replicate();
    groups.taken(3, M1);
    groups.nothing();
    groups.round(2, &[(M2, &[P0])]);
    groups.commit(5);
    groups.replicate();
    groups.taken(5, M1);
    let violation = groups.one();
    assert_eq!((violation.invariant, violation.offset), (Invariant::CommitsAreCurrent, Some(Offset(5))));
}

/// B2 leads for a term that nobody follows, and ends the group there. B1, which has more of the term before, leads next: what B2 wrote
/// never happened, and what B1 wrote has.
#[test]
fn who_leads_next_but_one_knows_nothing_of_the_term_between() {
    for (committer, violations) in [(M2, 0), (M1, 1)] {
        let mut groups = Groups::new();
        let first = groups.append_round(1, &[(M1, &[P0]), (M2, &[])]);
        groups.followed(first);
        groups.replicate();
        groups.lead(B2, 1, 1);
        groups.append_round(2, &[]);
        // B1 does not know of it yet.
        (groups.leader, groups.epoch, groups.end) = (B1, 0, 1);
        groups.append_round(2, &[(M2, &[P0])]);
        groups.lead(B1, 2, 2);
        groups.commit(5);
        groups.replicate();
        groups.taken(5, committer);
        assert_eq!(groups.story.violations().len(), violations, "{:?}", groups.story.violations());
    }
}

#[test]
fn a_commit_that_timed_out_may_be_made_again_by_another() {
    let mut groups = Groups::new();
    groups.round(1, &[(M1, &[P0])]);
    groups.commit(3);
    groups.round(2, &[(M2, &[P0])]);
    groups.commit(3);
    groups.taken(3, M2);
    groups.nothing();
}

#[test]
fn a_commit_that_was_appended_in_time_may_be_answered_late() {
    let mut groups = Groups::new();
    groups.round(1, &[(M1, &[P0])]);
    groups.commit(3);
    groups.round(2, &[(M2, &[P0])]);
    groups.taken(3, M1);
    groups.nothing();
}

/// Two commits, the first one acknowledged; then a member is assigned and begins.
fn begins(offset: u64, why: PositionReason, change: impl FnOnce(&mut Groups)) -> Groups {
    let mut groups = Groups::new();
    groups.round(1, &[(M1, &[P0])]);
    groups.commit(3);
    groups.replicate();
    groups.taken(3, M1);
    groups.commit(5);
    change(&mut groups);
    groups.assigned(BILLING_1, M1, 1, &[P0]);
    groups.story.position(BILLING_1, offset, why);
    groups
}

#[test]
fn a_group_goes_on_where_it_committed_last_or_may_have() {
    begins(3, PositionReason::Committed, |_| {}).nothing();
    begins(5, PositionReason::Committed, |_| {}).nothing();
    let acknowledged = |groups: &mut Groups| groups.taken(5, M1);
    begins(5, PositionReason::Committed, acknowledged).nothing();
    let violation = begins(3, PositionReason::Committed, acknowledged).one();
    assert_eq!((violation.invariant, violation.offset), (Invariant::CommittedOffsetsSurvive, Some(Offset(3))));
}

/// The leader of the older term goes on without knowing of the newer one, and leads again with what it wrote.
#[test]
fn a_commit_of_a_leader_that_did_not_count_counts_when_its_log_does() {
    let older = |leads_again: bool| {
        move |groups: &mut Groups| {
            groups.taken(5, M1);
            let end = groups.end;
            groups.lead(B2, 1, end);
            (groups.leader, groups.epoch) = (B1, 0);
            groups.commit(7);
            if leads_again {
                groups.lead(B1, 2, end + 1);
            }
        }
    };
    begins(7, PositionReason::Committed, older(true)).nothing();
    assert_eq!(begins(7, PositionReason::Committed, older(false)).one().invariant, Invariant::CommittedOffsetsSurvive);
}

/// It stands in the log of its successor as well, and newer ones behind it.
#[test]
fn what_a_deposed_coordinator_says_late_takes_nothing_back() {
    let late = |groups: &mut Groups| {
        groups.taken(5, M1);
        groups.leader = B2;
        groups.taken(3, M1);
        groups.leader = B1;
    };
    begins(5, PositionReason::Committed, late).nothing();
}

/// It was paused while its successor held a round, and gives its member the round and the offset that it remembers. Whoever
/// forgets rounds together with offsets does so in the log, and is caught.
#[test]
fn what_a_deposed_coordinator_remembers_of_a_round_that_is_over_is_not_judged() {
    let round = |generation: u32| {
        move |groups: &mut Groups| {
            groups.taken(5, M1);
            groups.round(generation, &[(M1, &[P0])]);
        }
    };
    begins(3, PositionReason::Committed, round(2)).nothing();
    assert_eq!(begins(3, PositionReason::Committed, round(1)).one().invariant, Invariant::CommittedOffsetsSurvive);
}

#[test]
fn what_was_answered_before_it_was_appended_is_not_forgotten() {
    let early = |groups: &mut Groups| groups.taken(9, M1);
    assert_eq!(begins(5, PositionReason::Committed, early).one().invariant, Invariant::CommittedOffsetsSurvive);
}

#[test]
fn a_reset_of_a_group_that_has_committed_is_caught_unless_it_expired_or_pages_were_lost() {
    for why in [PositionReason::ResetLatest, PositionReason::ResetEarliest] {
        assert_eq!(begins(9, why, |_| {}).one().invariant, Invariant::CommittedOffsetsSurvive);
        let expires = |groups: &mut Groups| {
            groups.story.note(B1, Note::OffsetExpired { group: GROUP, partition: P0 });
        };
        begins(9, why, expires).nothing();
        let loses = |groups: &mut Groups| {
            groups.story.happen(B2, Happening::PowerLost { lost: 1 });
        };
        begins(9, why, loses).nothing();
    }
}

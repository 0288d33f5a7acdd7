//! Invariants of the queue: silent on what is legal, exact on what is not.

use super::story::*;
use crate::checks::{Invariant, InvariantViolation, Verdict};
use crate::history::Happening;
use crate::history::event::StopReason;
use crate::types::note::*;
use crate::types::settings::{Acks, CleanupPolicy};
use crate::types::*;

fn one(story: &Story) -> InvariantViolation {
    let violations = story.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations[0].clone()
}

/// An acknowledged record on both replicas.
fn acknowledged() -> Story {
    let mut story = Story::new(&plan(Billing::Insert));
    story.partition_changed(Some(B1), 0, &[B1, B2], false);
    story.at(1000);
    story.ordered(message(0, 0, 1));
    story
}

#[test]
fn a_clean_failover_breaks_nothing() {
    let mut story = acknowledged();
    story.at(1100).stopped(B1, StopReason::Crash);
    story.at(2000).partition_changed(Some(B2), 1, &[B2], false).leads(B2, 1, 1);
    story.at(2100);
    story.ordered(message(1, 1, 1));
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn a_new_leader_without_an_acknowledged_record_is_caught() {
    let mut story = acknowledged();
    story.at(1100).stopped(B1, StopReason::Crash);
    story.at(1900).note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
    story.at(2000).leads(B2, 1, 0);
    let violation = one(&story);
    assert_eq!(violation.invariant, Invariant::AcknowledgedIsDurable);
    assert_eq!((violation.node, violation.other, violation.time), (B2, Some(B1), at(2000)));
    assert_eq!((violation.offset, violation.leader_epoch), (Some(Offset(0)), Some(LeaderEpoch(1))));
    assert_eq!(story.ends(true).verdict, Verdict::Violated);
}

/// A leader that is no replica any more deletes its log before its successor says that it leads.
#[test]
fn a_log_counts_until_the_next_leader_begins_whatever_becomes_of_it() {
    for (has_it, violations) in [(true, 0), (false, 1)] {
        let mut story = acknowledged();
        if !has_it {
            story.note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
        }
        story.at(1900).note(B1, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
        story.at(2000).leads(B2, 1, u64::from(has_it));
        assert_eq!(story.violations().len(), violations, "{:?}", story.violations());
    }
}

#[test]
fn an_unclean_election_may_lose_what_was_acknowledged() {
    let mut story = acknowledged();
    story.at(1900).note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
    story.at(2000).partition_changed(Some(B2), 1, &[B2], true).leads_uncleanly(B2, 1, 0);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

/// The controller hangs behind its commit, and says what it was only when the leader has heard of it.
#[test]
fn an_election_is_unclean_by_the_word_of_its_leader() {
    let lost = |story: &Story| {
        let of_it = |violation: &&InvariantViolation| violation.invariant == Invariant::AcknowledgedIsDurable;
        story.violations().iter().filter(of_it).count()
    };
    for (is_unclean, violations) in [(true, 0), (false, 1)] {
        let mut story = acknowledged();
        story.at(1900).note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
        match is_unclean {
            true => story.at(2000).leads_uncleanly(B2, 1, 0),
            false => story.at(2000).leads(B2, 1, 0),
        };
        assert_eq!(lost(&story), violations);
        // What is said late excuses no later election.
        story.partition_changed(Some(B2), 1, &[B2], true);
        story.appended(5, message(5, 5, 5), true);
        story.acknowledged(0, Acks::All);
        story.note(B1, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
        if is_unclean {
            // It has not recovered, and whoever leads says so. But somebody has begun in that epoch.
            story.note(B1, Note::ElectedUncleanly { partition: P0, leader_epoch: LeaderEpoch(1) });
        }
        story.at(3000).partition_changed(Some(B1), 2, &[B1], false).leads(B1, 2, 0);
        assert_eq!(lost(&story), violations + 1);
    }
}

/// It was cut off while it was the leader, and was elected once more, by then as the only one that is complete.
#[test]
fn an_unclean_election_that_nobody_heard_of_counts_for_the_next_leader() {
    let mut story = acknowledged();
    story.at(1900).note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
    story.at(2000).note(B2, Note::ElectedUncleanly { partition: P0, leader_epoch: LeaderEpoch(1) }).leads(B2, 3, 0);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn one_lossy_failure_too_many_may_lose_what_was_acknowledged() {
    // min.insync.replicas is two: one power loss must be survived, two need not.
    for (losses, violations) in [(vec![B1], 1), (vec![B1, B2], 0)] {
        let mut story = acknowledged();
        for node in losses {
            story.at(1100).stopped(node, StopReason::PowerLoss).happen(node, Happening::PowerLost { lost: 1 });
        }
        story.at(1900).note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
        story.at(2000).leads(B2, 1, 0);
        assert_eq!(story.violations().len(), violations);
    }
}

#[test]
fn an_acknowledgement_before_replication_is_caught_at_once_and_at_the_failover() {
    let mut story = acknowledged();
    let offset = story.appended(1, message(1, 1, 1), false);
    story.acknowledged(offset, Acks::All);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.offset), (Invariant::AcknowledgedIsDurable, Some(Offset(1))));
    assert_eq!(violation.message, "acknowledged up to 2, and the high watermark is 1");
    story.stopped(B1, StopReason::Crash);
    story.at(2000).leads(B2, 1, 1);
    assert_eq!(story.violations()[1].message, "the new leader lacks acknowledged offsets 1..2");
}

#[test]
fn a_deposed_leader_may_not_acknowledge_what_the_new_one_lacks() {
    let mut story = acknowledged();
    story.leads(B2, 1, 1);
    let batch = story.batch(9, message(9, 9, 1), 1, 0);
    story.note(B1, Note::BatchAppended { partition: P0, role: AppendRole::Leader, batch });
    story.acknowledged_by(B1, LeaderEpoch(0), 1, Acks::All);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.node), (Invariant::AcknowledgedIsDurable, B1));
}

/// Its followers had the record and lost it. It was cut off when the partition was given up, and hears of their copies late.
#[test]
fn a_deposed_leader_may_acknowledge_what_an_unclean_election_gave_up() {
    for (is_unclean, violations) in [(true, 0), (false, 1)] {
        let mut story = acknowledged();
        let offset = story.appended(1, message(1, 1, 1), true);
        story.at(1900).note(B2, Note::LogTruncated { partition: P0, from: Offset(2), to: Offset(1) });
        if is_unclean {
            story.at(2000).leads_uncleanly(B2, 1, 1);
        }
        // By now whoever leads was elected as it should be.
        story.at(2100).leads(B2, 2, 1);
        story.at(2200).acknowledged_by(B1, LeaderEpoch(0), offset, Acks::All);
        assert_eq!(story.violations().len(), violations, "{:?}", story.violations());
    }
}

#[test]
fn a_high_watermark_stays_in_the_log_and_never_goes_back() {
    let mut story = acknowledged();
    story.high_watermark(7);
    assert_eq!(one(&story).invariant, Invariant::OffsetsOrdered);
    let mut story = acknowledged();
    story.high_watermark(0);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.offset), (Invariant::OffsetsOrdered, Some(Offset(0))));
}

#[test]
fn a_candidate_without_committed_records_is_caught() {
    let mut story = acknowledged();
    let changed = |broker, epoch| Note::BrokerChanged {
        broker,
        broker_epoch: BrokerEpoch(epoch),
        fenced: false,
        shutting_down: false,
    };
    story.note(B1, changed(B1, 1)).note(B1, changed(B2, 2));
    story.partition_changed(Some(B1), 0, &[B1, B2], false);
    assert!(story.violations().is_empty());
    story.note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
    story.at(1500).partition_changed(Some(B1), 0, &[B1, B2], false);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.other), (Invariant::CandidatesComplete, Some(B2)));
    assert_eq!(violation.offset, Some(Offset(0)));
}

fn registered() -> Story {
    let mut story = acknowledged();
    for (broker, epoch) in [(B1, 1), (B2, 2)] {
        let broker_epoch = BrokerEpoch(epoch);
        story.note(B1, Note::BrokerChanged { broker, broker_epoch, fenced: false, shutting_down: false });
    }
    story
}

#[test]
fn a_high_watermark_that_a_candidate_has_not_reached_is_caught_when_it_moves() {
    let mut story = registered();
    story.partition_changed(Some(B1), 0, &[B1, B2], false);
    story.appended(1, message(1, 1, 1), false);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
    story.high_watermark(2);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.other), (Invariant::CandidatesComplete, Some(B2)));
}

/// Beside enough in sync nobody is eligible (KIP-966), also when the controller hangs before it says so; beside fewer somebody is.
#[test]
fn who_was_eligible_is_so_no_more_when_the_leader_has_heard_of_enough_in_sync() {
    const B3: NodeId = NodeId(3);
    for (in_sync_replicas, violations) in [(vec![B1, B2], 0), (vec![B1], 1)] {
        let mut story = registered();
        story.registered(B3, 3, false).candidates(&[B1], &[B3], false);
        story.at(1500).appended(1, message(1, 1, 1), false);
        let batch = story.batch(1, message(1, 1, 1), 1, 0);
        story.note(B2, Note::BatchAppended { partition: P0, role: AppendRole::Follower, batch });
        let before = incomplete(&story);
        let (leader_epoch, partition_epoch) = (LeaderEpoch(0), PartitionEpoch(1_000_000));
        story.note(B1, Note::InSyncCommitted { partition: P0, leader_epoch, partition_epoch, in_sync_replicas });
        story.high_watermark(2);
        assert_eq!(incomplete(&story) - before, violations);
    }
}

fn incomplete(story: &Story) -> usize {
    story.violations().iter().filter(|violation| violation.invariant == Invariant::CandidatesComplete).count()
}

/// KIP-279: what the follower kept of a leader in between is as long as what is committed, and is something else.
#[test]
fn a_candidate_that_is_as_long_and_was_written_by_another_leader_is_caught() {
    for (is_cut, violations) in [(false, 1), (true, 0)] {
        let mut story = registered();
        story.partition_changed(Some(B1), 0, &[B1, B2], false);
        story.appended(1, message(1, 1, 1), false);
        story.leads(B2, 1, 1).appended(2, message(2, 2, 2), false);
        story.leads(B1, 2, 2);
        if is_cut {
            story.note(B2, Note::LogTruncated { partition: P0, from: Offset(2), to: Offset(1) });
            let batch = story.batch(1, message(1, 1, 1), 1, 0);
            story.note(B2, Note::BatchAppended { partition: P0, role: AppendRole::Follower, batch });
        }
        assert!(story.violations().is_empty(), "{:?}", story.violations());
        story.appended(3, message(3, 3, 3), true);
        assert_eq!(story.violations().len(), violations);
        if let Some(violation) = story.violations().first() {
            assert_eq!((violation.invariant, violation.other), (Invariant::CandidatesComplete, Some(B2)));
            assert_eq!(violation.message, "a candidate's log is another leader's at 1, below the high watermark 3");
        }
    }
}

#[test]
fn who_is_admitted_must_be_complete_whatever_others_have_lost() {
    for (before, violations) in [(&[B1][..], 1), (&[B1, B2][..], 0)] {
        let mut story = registered();
        story.partition_changed(Some(B1), 0, before, false);
        for node in [B1, B2] {
            story.happen(node, Happening::PowerLost { lost: 1 });
        }
        story.note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
        story.partition_changed(Some(B1), 0, &[B1, B2], false);
        assert_eq!(story.violations().len(), violations, "{before:?}: {:?}", story.violations());
    }
}

#[test]
fn a_voter_votes_once_and_an_epoch_has_one_controller() {
    let vote = |epoch: u32, to: NodeId| Note::VoteGranted { epoch: QuorumEpoch(epoch), to };
    let mut story = acknowledged();
    story.note(B1, vote(3, B1)).note(B2, vote(3, B1)).note(B2, vote(3, B1)).note(B2, vote(4, B2));
    story.note(B1, Note::BecameController { epoch: QuorumEpoch(3) });
    story.note(B2, Note::BecameController { epoch: QuorumEpoch(4) });
    assert!(story.violations().is_empty(), "{:?}", story.violations());
    story.note(B2, vote(4, B1));
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.node, violation.other), (Invariant::QuorumRemembers, B2, Some(B1)));
    story.note(B1, Note::BecameController { epoch: QuorumEpoch(4) });
    assert_eq!(story.violations()[1].message, "a second controller in quorum epoch 4");
}

#[test]
fn what_the_quorum_has_committed_is_never_cut_nor_committed_otherwise() {
    let appended = |offset: u64, epoch: u32| Note::QuorumAppended { offset: Offset(offset), epoch: QuorumEpoch(epoch) };
    let committed = |offset: u64| Note::QuorumHighWatermark { epoch: QuorumEpoch(3), offset: Offset(offset) };
    let mut story = acknowledged();
    story.note(B1, appended(0, 3)).note(B2, appended(0, 3)).note(B1, appended(1, 3)).note(B2, appended(1, 2));
    // What it cuts lies below the high watermark and is not what was committed.
    story.note(B1, committed(2)).note(B2, Note::QuorumTruncated { to: Offset(1) });
    assert!(story.violations().is_empty(), "{:?}", story.violations());
    story.note(B1, Note::QuorumTruncated { to: Offset(1) });
    assert_eq!(one(&story).invariant, Invariant::QuorumRemembers);
    story.note(B2, appended(1, 4)).note(B2, committed(2));
    assert_eq!(story.violations()[1].message, "committed epoch 4 at 1, where epoch 3 was committed before");
}

#[test]
fn a_member_that_has_not_registered_again_is_not_judged() {
    let mut story = acknowledged();
    story.at(1100).stopped(B2, StopReason::PowerLoss);
    story.at(1200).happen(B2, Happening::Started { incarnation: Incarnation(2) });
    story.partition_changed(Some(B1), 0, &[B1, B2], false);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn two_records_at_one_epoch_and_offset_are_caught() {
    let mut story = acknowledged();
    let other = story.batch(77, message(7, 7, 1), 0, 0);
    story.note(B2, Note::LogTruncated { partition: P0, from: Offset(1), to: Offset(0) });
    story.note(B2, Note::BatchAppended { partition: P0, role: AppendRole::Follower, batch: other });
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.node, violation.offset), (Invariant::LogsMatch, B2, Some(Offset(0))));
}

#[test]
fn a_second_leader_of_one_epoch_is_caught() {
    let mut story = acknowledged();
    story.leads(B2, 0, 1);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.node, violation.other), (Invariant::OneLeaderPerEpoch, B2, Some(B1)));
}

#[test]
fn a_fenced_broker_is_in_no_set_and_leads_nothing() {
    let fence = Note::BrokerChanged { broker: B2, broker_epoch: BrokerEpoch(2), fenced: true, shutting_down: false };
    let mut story = acknowledged();
    story.note(B1, fence.clone()).partition_changed(Some(B1), 0, &[B1], false);
    assert!(story.violations().is_empty());
    story.partition_changed(Some(B1), 0, &[B1, B2], false);
    assert_eq!(one(&story).invariant, Invariant::FencedIsOut);

    let mut story = acknowledged();
    story.note(B1, fence).partition_changed(Some(B2), 1, &[B2], false);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.other), (Invariant::FencedIsOut, Some(B2)));
}

#[test]
fn epochs_never_go_back() {
    let mut story = acknowledged();
    story.partition_changed(Some(B2), 3, &[B1, B2], false).partition_changed(Some(B1), 2, &[B1, B2], false);
    assert_eq!(one(&story).invariant, Invariant::FencedIsOut);
}

#[test]
fn the_late_word_of_a_deposed_controller_counts_no_more() {
    let registered =
        |fenced: bool| Note::BrokerChanged { broker: B2, broker_epoch: BrokerEpoch(2), fenced, shutting_down: false };
    let told = |by: NodeId| {
        let mut story = acknowledged();
        story.note(B2, Note::BecameController { epoch: QuorumEpoch(1) });
        story.note(B1, Note::BecameController { epoch: QuorumEpoch(2) }).note(B1, registered(false));
        // It was paused before it could say that it had fenced the broker; the successor has let it back in.
        story.note(by, registered(true)).partition_changed(Some(B1), 0, &[B1, B2], false);
        story.violations().len()
    };
    assert_eq!(told(B2), 0);
    assert_eq!(told(B1), 1, "the controller's own word counts");
}

/// Both replicas in sync, then the second one silent and eligible.
fn one_left() -> Story {
    let mut story = Story::new(&plan(Billing::Insert));
    story.registered(B1, 1, false).registered(B2, 2, false);
    story.candidates(&[B1, B2], &[], false).at(1000).candidates(&[B1], &[B2], false);
    story
}

fn loses_power(story: &mut Story, node: NodeId) {
    story.stopped(node, StopReason::PowerLoss).happen(node, Happening::PowerLost { lost: 1 });
}

#[test]
fn a_replica_that_lost_something_leaves_and_comes_back_by_catching_up() {
    let mut story = one_left();
    story.at(1100);
    loses_power(&mut story, B1);
    story.at(2000).candidates(&[], &[B2, B1], false);
    story.at(3000).starts(B1).registered(B1, 7, true).candidates(&[], &[B2], false).registered(B1, 7, false);
    story.at(4000).candidates(&[B2], &[], false).at(5000).candidates(&[B2, B1], &[], false);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn a_replica_that_lost_something_and_stays_eligible_is_caught() {
    let mut story = one_left();
    story.at(1100);
    loses_power(&mut story, B2);
    story.at(3000).starts(B2).registered(B2, 7, true).registered(B2, 7, false);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.other), (Invariant::LossyIsOut, Some(B2)));
    // What it asked for before is no registration of the life that has lost something.
    let mut story = one_left();
    loses_power(&mut story, B2);
    story.at(1200).registered(B2, 7, true).registered(B2, 7, false);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
    story.at(3000).starts(B2).registered(B2, 8, true).registered(B2, 8, false);
    assert_eq!(one(&story).other, Some(B2));
    // The same when the next state still has it.
    let mut story = one_left();
    loses_power(&mut story, B1);
    story.at(3000).starts(B1).registered(B1, 7, true).candidates(&[], &[B2, B1], false);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.other), (Invariant::LossyIsOut, Some(B1)));
}

#[test]
fn a_replica_that_lost_nothing_may_stay_eligible() {
    let mut story = one_left();
    story.at(1100).stopped(B2, StopReason::Clean);
    story.at(3000).registered(B2, 7, true).registered(B2, 7, false);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn an_eligible_replica_that_is_forgotten_is_caught() {
    let mut story = one_left();
    story.at(2000).candidates(&[B1], &[], false);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.node), (Invariant::LossyIsOut, B1));
    // An unclean election gives it up on purpose, and with a registration it goes by itself.
    let mut story = one_left();
    story.at(2000).candidates(&[B1], &[], true);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
    let mut story = one_left();
    story.at(2000).registered(B2, 7, true).candidates(&[B1], &[], false);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn nobody_is_eligible_beside_enough_replicas_or_in_both_lists() {
    let mut story = one_left();
    story.at(2000).candidates(&[B1], &[B1, B2], false);
    assert_eq!((one(&story).invariant, one(&story).other), (Invariant::LossyIsOut, Some(B1)));
    let mut story = one_left();
    story.at(2000).candidates(&[B1, B2], &[NodeId(3)], false);
    assert_eq!(one(&story).invariant, Invariant::LossyIsOut);
}

#[test]
fn without_eligible_leader_replicas_the_last_replica_may_stay() {
    let mut plan = plan(Billing::Insert);
    plan.cluster.settings.eligible_leader_replicas_version = 0;
    let mut story = Story::new(&plan);
    story.registered(B1, 1, false).candidates(&[B1, B2], &[], false).at(1000).candidates(&[B1], &[], false);
    loses_power(&mut story, B1);
    story.at(3000).starts(B1).registered(B1, 7, true).registered(B1, 7, false).candidates(&[B1], &[], false);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn a_high_watermark_that_an_eligible_replica_lacks_is_caught() {
    let mut story = one_left();
    story.leads(B1, 0, 0);
    story.at(1500);
    let offset = story.appended(0, message(0, 0, 1), false);
    assert_eq!(offset, 0);
    story.high_watermark(1);
    let violation = one(&story);
    assert_eq!((violation.invariant, violation.other), (Invariant::CandidatesComplete, Some(B2)));
}

#[test]
fn a_leader_begins_with_a_high_watermark_in_its_log() {
    let begins = |high_watermark: u64, log_end_offset: u64| {
        let mut story = acknowledged();
        story.note(B2, Note::LogStartMoved { partition: P0, to: Offset(1) });
        let (high_watermark, log_end_offset) = (Offset(high_watermark), Offset(log_end_offset));
        let leader_epoch = LeaderEpoch(1);
        story.note(B2, Note::BecameLeader { partition: P0, leader_epoch, log_end_offset, high_watermark });
        story.violations().iter().filter(|found| found.invariant == Invariant::OffsetsOrdered).count()
    };
    assert_eq!(begins(1, 1), 0);
    assert_eq!(begins(0, 1), 1);
    assert_eq!(begins(2, 1), 1);
    assert_eq!(begins(4, 4), 0);
}

#[test]
fn what_was_read_and_is_gone_with_the_next_leader_is_caught() {
    // Nothing was acknowledged: only the reader can tell.
    let read = |losses: usize, unclean: bool| {
        let mut story = Story::new(&plan(Billing::Insert));
        story.partition_changed(Some(B1), 0, &[B1, B2], false);
        story.at(1000);
        let record = message(0, 0, 1);
        let offset = story.appended(0, record, false);
        story.flow(BILLING_1, record, offset);
        for node in [B1, B2].into_iter().take(losses) {
            story.at(1100);
            loses_power(&mut story, node);
        }
        story.at(2000).partition_changed(Some(B2), 1, &[B2], unclean);
        match unclean {
            true => story.leads_uncleanly(B2, 1, 0),
            false => story.leads(B2, 1, 0),
        };
        story.violations().into_iter().filter(|found| found.invariant == Invariant::ReadsAreConsistent).count()
    };
    assert_eq!(read(0, false), 1);
    assert_eq!(read(1, false), 1, "one loss must be survived");
    assert_eq!(read(2, false), 0);
    assert_eq!(read(0, true), 0);
}

#[test]
fn what_nobody_read_may_vanish() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).appended(0, message(0, 0, 1), false);
    story.at(2000).leads(B2, 1, 0);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

#[test]
fn what_was_fetched_before_a_loss_and_handed_out_after_it_may_vanish() {
    let mut plan = plan(Billing::Insert);
    plan.cluster.settings.eligible_leader_replicas_version = 0;
    let mut story = Story::new(&plan);
    story.at(1000);
    let record = message(0, 0, 1);
    let offset = story.appended(0, record, true);
    loses_power(&mut story, B1);
    story.at(1100).flow(BILLING_1, record, offset);
    story.at(2000).leads(B1, 1, 0);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
}

/// What a compaction removes of two keys: the older of the first may go, the only one of the second may not.
#[test]
fn compaction_that_takes_the_newest_of_a_key_is_caught() {
    let compacted = |removed: (u64, u64), to: u64| {
        let mut plan = plan(Billing::Insert);
        plan.topics[0].settings.cleanup_policy = CleanupPolicy::Compact;
        let mut story = Story::new(&plan);
        story.at(1000);
        for (event, key) in [(0, 1), (1, 2), (2, 1)] {
            story.appended(event, message(event, key, 1), true);
        }
        let removed = vec![(Offset(removed.0), Offset(removed.1))];
        story.at(2000).note(B1, Note::LogCompacted { partition: P0, to: Offset(to), removed });
        let of_it = |found: &&InvariantViolation| found.invariant == Invariant::CompactionKeepsTheNewest;
        let violations = story.violations();
        violations.iter().filter(of_it).map(|found| (found.node, found.offset)).collect::<Vec<_>>()
    };
    assert_eq!(compacted((0, 1), 3), []);
    assert_eq!(compacted((0, 2), 3), [(B1, Some(Offset(1)))]);
    assert_eq!(compacted((0, 3), 3).len(), 3);
    assert_eq!(compacted((0, 1), 2), [(B1, Some(Offset(0)))], "the newer one is not compacted yet");
}

/// A consumer that skips, that goes back untold, that commits what it was not given; and one that is told, or passes over nothing.
#[test]
fn a_consumer_that_jumps_or_commits_ahead_is_caught() {
    let partition = P0;
    let polled = |from: u64, to: u64| {
        let (from, to) = (Offset(from), Offset(to));
        Note::Polled { group: GROUP, partition, from, to, count: 1 }
    };
    let committed = |offset: u64| Note::CommitSent { group: GROUP, partition, offset: Offset(offset) };
    let left_out = Note::PassedOver { group: GROUP, partition, from: Offset(2), to: Offset(5) };
    let found = |notes: &[Note]| {
        let mut story = Story::new(&plan(Billing::Insert));
        story.at(1000).position(BILLING_1, 0, PositionReason::Committed);
        story.note(BILLING_1, polled(0, 2));
        notes.iter().for_each(|note| {
            story.note(BILLING_1, note.clone());
        });
        let of_it = |found: &&InvariantViolation| found.invariant == Invariant::ReadsAreContiguous;
        let violations = story.violations();
        violations.iter().filter(of_it).map(|found| found.offset.expect("a place").0).collect::<Vec<_>>()
    };
    assert_eq!(found(&[committed(2), polled(2, 3), committed(3)]), [0; 0]);
    assert_eq!(found(&[left_out, polled(5, 6), committed(6)]), [0; 0]);
    assert_eq!(found(&[polled(3, 4)]), [2], "a record is skipped");
    assert_eq!(found(&[polled(1, 2)]), [1], "a record comes again");
    assert_eq!(found(&[committed(3)]), [3], "nobody was given the third record");
    let told = Note::PositionSet { group: GROUP, partition, offset: Offset(0), why: PositionReason::ResetEarliest };
    assert_eq!(found(&[told.clone(), polled(0, 1), committed(2)]), [0; 0], "what it once had it may commit");
    assert_eq!(found(&[told, polled(2, 3)]), [0]);
}

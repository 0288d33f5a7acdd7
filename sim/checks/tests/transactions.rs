//! Invariants of transactions, and what an aborted record is to a place: nothing.

use std::sync::Arc;

use super::story::*;
use crate::checks::{Invariant, InvariantViolation};
use crate::history::Happening;
use crate::history::event::StopReason;
use crate::scenario::plan::{Plan, TRANSACTIONS, TopicPlan, Trigger};
use crate::types::note::*;
use crate::types::record::{Marker, ProducerStamp, TransactionOutcome, TransactionRecord, TransactionState};
use crate::types::settings::{IsolationLevel, TopicSettings, TransactionVersion};
use crate::types::*;

const COMMIT: TransactionOutcome = TransactionOutcome::Commit;
const ABORT: TransactionOutcome = TransactionOutcome::Abort;
const PRODUCER: ProducerId = ProducerId(5);

/// The same system, with transactions, and a consumer that reads what is committed.
fn transactional() -> Plan {
    let mut plan = plan(Billing::Insert);
    let (id, name) = (TopicId(plan.topics.len() as u16), TRANSACTIONS.to_string());
    let place = plan.topics.last().expect("the offsets topic").place;
    plan.topics.push(TopicPlan { id, name, place, owner: None, settings: TopicSettings::default() });
    for service in &mut plan.services {
        if let Trigger::Consume(consume) = &mut service.trigger {
            consume.consumer.isolation_level = IsolationLevel::ReadCommitted;
        }
    }
    plan
}

/// The log of `orders/0`, batch by batch.
struct Told {
    story: Story,
    end: u64,
}

impl Told {
    fn new() -> Told {
        let mut story = Story::new(&transactional());
        story.partition_changed(Some(B1), 0, &[B1, B2], false);
        Told { story, end: 0 }
    }

    fn append(&mut self, epoch: u16, records: Records) -> &mut Told {
        let stamp = ProducerStamp {
            id: PRODUCER,
            epoch: ProducerEpoch(epoch),
            base_sequence: Sequence::NONE,
            transactional: true,
        };
        let batch = RecordBatch {
            base_offset: Offset(self.end),
            leader_epoch: LeaderEpoch(0),
            ..RecordBatch::new(Some(stamp), Arc::new(records))
        };
        self.end += 1;
        for (node, role) in [(B1, AppendRole::Leader), (B2, AppendRole::Follower)] {
            self.story.note(node, Note::BatchAppended { partition: P0, role, batch: batch.clone() });
        }
        self
    }

    fn record(&mut self, number: u64, epoch: u16) -> &mut Told {
        let batch = self.story.batch(number, message(number, number, 1), 0, 0);
        self.append(epoch, (*batch.records).clone())
    }

    fn marker(&mut self, epoch: u16, outcome: TransactionOutcome) -> &mut Told {
        self.append(epoch, Records::Marker(Marker { outcome, coordinator_epoch: LeaderEpoch(0) }))
    }

    fn replicated(&mut self) -> &mut Told {
        self.story.high_watermark(self.end);
        self
    }

    fn polled(&mut self, from: u64, to: u64) -> &mut Told {
        let (from, to, count) = (Offset(from), Offset(to), (to - from) as u32);
        self.story.note(BILLING_1, Note::Polled { group: GROUP, partition: P0, from, to, count });
        self
    }

    fn passed_over(&mut self, from: u64, to: u64) -> &mut Told {
        let (from, to) = (Offset(from), Offset(to));
        self.story.note(BILLING_1, Note::PassedOver { group: GROUP, partition: P0, from, to });
        self
    }

    fn decided(&mut self, epoch: u16, state: TransactionState) -> &mut Told {
        let record = Box::new(TransactionRecord {
            id: TransactionalId(9),
            producer: PRODUCER,
            epoch: ProducerEpoch(epoch),
            timeout: Duration::from_secs(60),
            state,
            partitions: vec![P0],
            started: Time::ZERO,
            next_producer: None,
            replaced: None,
        });
        self.story.note(B1, Note::TransactionChanged { record, coordinator_epoch: LeaderEpoch(0) });
        self
    }

    fn initialized(&mut self, epoch: u16) -> &mut Told {
        let (transaction, producer, epoch) = (TransactionalId(9), PRODUCER, ProducerEpoch(epoch));
        self.story.note(B1, Note::ProducerInitialized { transaction, producer, epoch, to: SHOP_1 });
        self
    }

    fn is_silent(&self) {
        assert!(self.story.violations().is_empty(), "{:?}", self.story.violations());
    }

    fn one(&self) -> InvariantViolation {
        let violations = self.story.violations();
        assert_eq!(violations.len(), 1, "{violations:?}");
        violations[0].clone()
    }
}

#[test]
fn what_is_committed_is_read_and_what_is_aborted_is_left_out() {
    let mut told = Told::new();
    told.record(0, 0).marker(1, COMMIT).record(1, 1).marker(2, ABORT).record(2, 2).marker(3, COMMIT).replicated();
    told.polled(0, 1).passed_over(1, 4).polled(4, 5).passed_over(5, 6);
    told.is_silent();
}

#[test]
fn an_aborted_record_that_is_read_is_caught() {
    let mut told = Told::new();
    told.record(0, 0).record(1, 0).marker(1, ABORT).replicated().polled(0, 2);
    let violation = told.one();
    assert_eq!((violation.invariant, violation.offset), (Invariant::ReadsAreCommitted, Some(Offset(0))));
    assert_eq!((violation.node, violation.partition), (BILLING_1, Some(P0)));
    assert_eq!(violation.message, "read_committed returned offset 0, which is aborted");
}

#[test]
fn an_undecided_record_is_not_read_nor_one_whose_marker_may_go() {
    let mut told = Told::new();
    told.record(0, 0).replicated().polled(0, 1);
    assert_eq!(told.one().message, "read_committed returned offset 0, which is undecided");
    let mut told = Told::new();
    told.record(0, 0).replicated().marker(1, COMMIT).polled(0, 1);
    assert_eq!(told.one().message, "read_committed returned offset 0, which is not decided for good");
    let mut told = Told::new();
    told.record(0, 0).marker(1, COMMIT).replicated().polled(0, 1);
    told.is_silent();
}

#[test]
fn a_committed_record_that_is_left_out_is_caught() {
    let mut told = Told::new();
    told.record(0, 0).marker(1, COMMIT).replicated().passed_over(0, 2);
    let violation = told.one();
    assert_eq!((violation.invariant, violation.offset), (Invariant::ReadsAreCommitted, Some(Offset(0))));
    assert_eq!(violation.message, "read_committed left out offset 0, which is not aborted");
}

#[test]
fn after_lost_pages_nobody_can_tell_what_was_decided() {
    let mut told = Told::new();
    told.record(0, 0).marker(1, ABORT).replicated();
    told.story.stopped(B2, StopReason::PowerLoss).happen(B2, Happening::PowerLost { lost: 1 });
    told.polled(0, 1);
    told.is_silent();
}

#[test]
fn a_new_leader_decides_anew_what_its_log_holds() {
    let mut told = Told::new();
    told.record(0, 0).replicated().marker(1, COMMIT);
    told.story
        .stopped(B1, StopReason::Crash)
        .note(B2, Note::LogTruncated { partition: P0, from: Offset(2), to: Offset(1) });
    told.story.leads(B2, 1, 1);
    told.polled(0, 1);
    assert_eq!(told.one().message, "read_committed returned offset 0, which is undecided");
}

#[test]
fn a_predecessor_that_hears_late_decides_what_its_successor_has_too() {
    let story = |successor_has: u64, heard: bool| {
        let mut told = Told::new();
        told.record(0, 0).replicated().marker(1, COMMIT);
        if successor_has < told.end {
            let to = Offset(successor_has);
            told.story.note(B2, Note::LogTruncated { partition: P0, from: Offset(2), to });
        }
        let (log_end_offset, high_watermark) = (Offset(successor_has), Offset(1));
        let leader_epoch = LeaderEpoch(1);
        told.story.note(B2, Note::BecameLeader { partition: P0, leader_epoch, log_end_offset, high_watermark });
        if heard {
            let (leader_epoch, offset) = (LeaderEpoch(0), Offset(2));
            told.story.note(B1, Note::HighWatermark { partition: P0, leader_epoch, offset, as_leader: true });
        }
        told.polled(0, 1);
        told
    };
    story(2, true).is_silent();
    assert_eq!(story(2, false).one().message, "read_committed returned offset 0, which is not decided for good");
    assert_eq!(story(1, true).one().message, "read_committed returned offset 0, which is undecided");
}

#[test]
fn one_transaction_has_one_end() {
    let mut told = Told::new();
    told.decided(1, TransactionState::PrepareCommit).record(0, 0).marker(1, COMMIT).replicated();
    told.decided(1, TransactionState::CompleteCommit).decided(2, TransactionState::PrepareAbort);
    told.record(1, 1).marker(2, ABORT);
    told.is_silent();
    told.marker(2, COMMIT);
    let violation = told.one();
    assert_eq!((violation.invariant, violation.offset), (Invariant::TransactionsAreAtomic, Some(Offset(4))));
    assert_eq!(violation.message, "the transaction of producer 5 that ends with epoch 2 is a Abort and a Commit");
}

#[test]
fn a_record_behind_the_end_of_its_transaction_is_caught() {
    let mut told = Told::new();
    told.record(0, 0).decided(1, TransactionState::PrepareAbort).record(1, 0).marker(1, ABORT).record(2, 1);
    told.is_silent();
    told.record(3, 0);
    let violation = told.one();
    assert_eq!((violation.invariant, violation.offset), (Invariant::TransactionsAreAtomic, Some(Offset(4))));
    assert_eq!(violation.message, "producer 5 wrote with epoch 0 after that transaction had ended here");
}

#[test]
fn a_producer_is_not_told_another_end_than_was_decided() {
    let mut told = Told::new();
    told.decided(1, TransactionState::PrepareAbort);
    let (transaction, producer, epoch) = (TransactionalId(9), PRODUCER, ProducerEpoch(0));
    told.story.note(SHOP_1, Note::TransactionEnded { transaction, producer, epoch, outcome: COMMIT });
    assert_eq!(told.one().invariant, Invariant::TransactionsAreAtomic);
}

#[test]
fn a_producer_with_a_successor_writes_nothing() {
    let mut told = Told::new();
    told.initialized(0).record(0, 0).marker(1, ABORT).initialized(2).record(1, 2);
    told.is_silent();
    told.record(2, 1);
    let violation = told.one();
    assert_eq!((violation.invariant, violation.offset), (Invariant::FencedProducersAreSilent, Some(Offset(3))));
    assert_eq!(violation.message, "producer 5 wrote with epoch 1 after epoch 2 was given out");
}

#[test]
fn an_identity_is_given_out_once() {
    let mut told = Told::new();
    told.initialized(0).initialized(1).initialized(1);
    assert_eq!(told.one().message, "producer 5 with epoch 1 was given out twice");
}

/// A record that its producer knows to be at this offset.
fn acknowledged(told: &mut Told, number: u64, epoch: u16) {
    let offset = Offset(told.end);
    told.record(number, epoch);
    told.story.note(SHOP_1, Note::SendSucceeded { send: SendId(number), partition: P0, offset: Some(offset) });
}

fn ended(told: &mut Told, epoch: u16, outcome: TransactionOutcome) {
    let (transaction, producer, epoch) = (TransactionalId(9), PRODUCER, ProducerEpoch(epoch));
    told.story.note(SHOP_1, Note::TransactionEnded { transaction, producer, epoch, outcome });
}

#[test]
fn what_a_producer_was_told_becomes_of_its_records() {
    let mut told = Told::new();
    acknowledged(&mut told, 0, 0);
    ended(&mut told, 0, COMMIT);
    told.marker(1, COMMIT);
    acknowledged(&mut told, 1, 1);
    told.marker(2, ABORT);
    ended(&mut told, 1, ABORT);
    told.is_silent();
}

#[test]
fn a_record_that_ends_otherwise_than_its_producer_was_told_is_caught() {
    // The marker of somebody else's decision comes first, or behind what the producer was told.
    let mut told = Told::new();
    acknowledged(&mut told, 0, 0);
    acknowledged(&mut told, 1, 0);
    told.marker(3, COMMIT);
    ended(&mut told, 0, ABORT);
    let violations = told.story.violations();
    let places = violations.iter().map(|found| (found.invariant, found.offset));
    let expected = [0, 1].map(|offset| (Invariant::TransactionsEndAsTold, Some(Offset(offset))));
    assert_eq!(places.collect::<Vec<_>>(), expected);
    let mut told = Told::new();
    acknowledged(&mut told, 0, 0);
    ended(&mut told, 0, ABORT);
    told.is_silent();
    told.marker(4, COMMIT);
    let violation = told.one();
    assert_eq!((violation.invariant, violation.node), (Invariant::TransactionsEndAsTold, B1));
    assert_eq!(violation.message, "offset 0 ends with a Commit, and its producer was told of a Abort");
}

#[test]
fn what_a_failover_takes_is_decided_by_the_next_log() {
    let mut told = Told::new();
    acknowledged(&mut told, 0, 0);
    ended(&mut told, 0, COMMIT);
    told.marker(1, COMMIT);
    told.story
        .stopped(B1, StopReason::Crash)
        .note(B2, Note::LogTruncated { partition: P0, from: Offset(2), to: Offset(1) });
    told.story.leads(B2, 1, 1);
    told.is_silent();
}

#[test]
fn with_version_1_what_a_late_request_did_is_not_judged() {
    let mut plan = transactional();
    plan.cluster.settings.transaction_version = TransactionVersion::One;
    let mut story = Story::new(&plan);
    story.partition_changed(Some(B1), 0, &[B1, B2], false);
    let mut told = Told { story, end: 0 };
    acknowledged(&mut told, 0, 0);
    ended(&mut told, 0, ABORT);
    told.marker(0, COMMIT).marker(0, ABORT);
    told.is_silent();
}

/// A record of the transactions topic, as its leader writes it.
fn written(told: &mut Told, epoch: u16, state: TransactionState, next: Option<u64>) {
    let record = TransactionRecord {
        id: TransactionalId(9),
        producer: PRODUCER,
        epoch: ProducerEpoch(epoch),
        timeout: Duration::from_secs(60),
        state,
        partitions: Vec::new(),
        started: Time::ZERO,
        next_producer: next.map(ProducerId),
        replaced: None,
    };
    let batch = RecordBatch {
        base_offset: Offset(u64::from(epoch) * 2 + u64::from(next.is_none())),
        leader_epoch: LeaderEpoch(0),
        ..RecordBatch::new(None, Arc::new(Records::Transactions(vec![record])))
    };
    let partition = TopicPartition { topic: TopicId(2), partition: 0 };
    told.story.note(B1, Note::BatchAppended { partition, role: AppendRole::Leader, batch });
}

fn fenced(told: &mut Told, producer: ProducerId, epoch: u16) {
    let (transaction, epoch) = (TransactionalId(9), ProducerEpoch(epoch));
    told.story.note(SHOP_1, Note::ProducerFenced { transaction, producer, epoch });
}

#[test]
fn who_is_fenced_has_a_successor_or_took_too_long() {
    for (state, violations) in [
        (TransactionState::Empty, 0),
        (TransactionState::PrepareAbort, 0),
        (TransactionState::Ongoing, 1),
        (TransactionState::PrepareCommit, 1),
    ] {
        let mut told = Told::new();
        written(&mut told, 0, TransactionState::Empty, None);
        written(&mut told, 1, state, None);
        fenced(&mut told, PRODUCER, 0);
        assert_eq!(told.story.violations().len(), violations, "{state:?}");
    }
    let mut told = Told::new();
    written(&mut told, 2, TransactionState::PrepareCommit, Some(6));
    written(&mut told, 2, TransactionState::CompleteCommit, None);
    fenced(&mut told, ProducerId(6), 0);
    let violation = told.one();
    assert_eq!(violation.invariant, Invariant::FencedProducersHaveSuccessors);
    assert_eq!(violation.message, "producer 6 with epoch 0 was fenced and has no successor");
}

/// A coordinator that is deposed and does not know it refuses whoever went on with its successor.
#[test]
fn a_deposed_coordinator_may_fence_without_a_successor() {
    let led = |told: &mut Told, node, epoch| {
        let (partition, leader_epoch) = (TopicPartition { topic: TopicId(2), partition: 0 }, LeaderEpoch(epoch));
        let (log_end_offset, high_watermark) = (Offset::ZERO, Offset::ZERO);
        told.story.note(node, Note::BecameLeader { partition, leader_epoch, log_end_offset, high_watermark });
    };
    let follows = |told: &mut Told, node, epoch, leader| {
        let (partition, leader_epoch) = (TopicPartition { topic: TopicId(2), partition: 0 }, LeaderEpoch(epoch));
        told.story.note(node, Note::BecameFollower { partition, leader_epoch, leader: Some(leader) });
    };
    for (knows_before, violations) in [(true, 1), (false, 0)] {
        let mut told = Told::new();
        led(&mut told, B1, 0);
        led(&mut told, B2, 1);
        if knows_before {
            follows(&mut told, B1, 1, B2);
        }
        written(&mut told, 0, TransactionState::Empty, None);
        if !knows_before {
            follows(&mut told, B1, 1, B2);
        }
        fenced(&mut told, PRODUCER, 0);
        assert_eq!(told.story.violations().len(), violations, "it knew before: {knows_before}");
    }
}

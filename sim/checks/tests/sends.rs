//! Invariants about sends: once and in order, told truly, where they were sent.

use super::story::*;
use crate::checks::{Invariant, InvariantViolation};
use crate::types::note::*;
use crate::types::record::ProducerStamp;
use crate::types::request::ErrorCode;
use crate::types::*;

fn only(story: &Story) -> InvariantViolation {
    let violations = story.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations[0].clone()
}

/// Batches of an idempotent producer, one record each, appended by the leader of `orders/0` in this epoch.
fn idempotent(story: &mut Story, leader: NodeId, epoch: u32, sends: &[(u64, u64)]) {
    for (send, offset) in sends {
        let batch = story.batch(*send, message(*send, *send, 1), *offset, epoch);
        let stamp = ProducerStamp {
            id: ProducerId(3),
            epoch: ProducerEpoch(0),
            base_sequence: Sequence(*send as u32),
            transactional: false,
        };
        let batch = RecordBatch { producer: Some(stamp), ..batch };
        story.note(leader, Note::BatchAppended { partition: P0, role: AppendRole::Leader, batch });
    }
}

fn failed(story: &mut Story, send: u64, certain: bool) {
    story.note(SHOP_1, Note::SendFailed { send: SendId(send), error: ErrorCode::RequestTimedOut, certain });
}

#[test]
fn a_send_that_stands_in_the_log_twice_is_caught() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    idempotent(&mut story, B1, 0, &[(1, 0), (2, 1), (3, 2), (2, 3)]);
    let violation = only(&story);
    assert_eq!((violation.invariant, violation.offset), (Invariant::SendsLandOnce, Some(Offset(3))));
    assert_eq!((violation.node, violation.partition), (B1, Some(P0)));
}

#[test]
fn what_a_failover_took_away_may_be_sent_again() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    idempotent(&mut story, B1, 0, &[(1, 0), (2, 1), (3, 2)]);
    let first = story.batch(1, message(1, 1, 1), 0, 0);
    story.note(B2, Note::BatchAppended { partition: P0, role: AppendRole::Follower, batch: first });
    story.at(2000).leads(B2, 1, 1);
    idempotent(&mut story, B2, 1, &[(2, 1), (3, 2)]);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
    idempotent(&mut story, B2, 1, &[(1, 3)]);
    assert_eq!(only(&story).invariant, Invariant::SendsLandOnce);
}

#[test]
fn a_producer_that_brokers_may_have_forgotten_is_not_judged() {
    let mut plan = plan(Billing::Insert);
    plan.cluster.settings.producer_id_expiration = Duration::from_secs(10);
    for (again, violations) in [(10_999, 1), (11_000, 0)] {
        let mut story = Story::new(&plan);
        story.at(1000);
        idempotent(&mut story, B1, 0, &[(1, 0)]);
        story.at(again);
        idempotent(&mut story, B1, 0, &[(1, 1)]);
        assert_eq!(story.violations().len(), violations, "again after {again} ms");
    }
}

#[test]
fn brokers_told_to_remember_too_little_are_not_judged() {
    let mut plan = plan(Billing::Insert);
    plan.cluster.settings.producer_batches_retained = 1;
    let mut story = Story::new(&plan);
    story.at(1000);
    idempotent(&mut story, B1, 0, &[(1, 0), (1, 1)]);
    assert!(story.violations().is_empty());
}

#[test]
fn a_producer_without_idempotence_may_repeat() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    for offset in [0, 1] {
        let batch = story.batch(1, message(1, 1, 1), offset, 0);
        story.note(B1, Note::BatchAppended { partition: P0, role: AppendRole::Leader, batch });
    }
    assert!(story.violations().is_empty());
}

#[test]
fn an_acknowledged_offset_holds_the_send() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).sent(1, 1).sent(2, 2);
    let offset = story.appended(1, message(1, 1, 1), false);
    story.send_succeeded(1, Some(offset));
    assert!(story.violations().is_empty());
    story.send_succeeded(2, Some(offset));
    let violation = only(&story);
    assert_eq!((violation.invariant, violation.offset), (Invariant::SendsAreToldTruly, Some(Offset(offset))));
}

#[test]
fn an_acknowledgement_of_a_deposed_leader_names_what_it_wrote() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).sent(1, 1);
    let offset = story.appended(1, message(1, 1, 1), false);
    story.at(1100).leads(B2, 1, 0);
    story.appended(2, message(2, 2, 1), false);
    story.send_succeeded(1, Some(offset));
    assert!(story.violations().is_empty(), "acks=1 is answered before the failover");
}

#[test]
fn what_failed_for_certain_is_in_no_log() {
    for (certain, violations) in [(true, 1), (false, 0)] {
        let mut story = Story::new(&plan(Billing::Insert));
        story.at(1000).sent(1, 1);
        story.appended(1, message(1, 1, 1), false);
        failed(&mut story, 1, certain);
        assert_eq!(story.violations().len(), violations, "appended before");
        let mut story = Story::new(&plan(Billing::Insert));
        story.at(1000).sent(1, 1);
        failed(&mut story, 1, certain);
        story.appended(1, message(1, 1, 1), false);
        assert_eq!(story.violations().len(), violations, "appended after");
    }
}

#[test]
fn a_record_in_a_partition_it_was_not_sent_to_is_caught() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).sent(1, 1);
    let elsewhere = TopicPartition { partition: 1, ..P0 };
    let batch = story.batch(1, message(1, 1, 1), 0, 0);
    story.note(B1, Note::BatchAppended { partition: elsewhere, role: AppendRole::Leader, batch });
    let violation = only(&story);
    assert_eq!(violation.invariant, Invariant::RecordsAreWhereTheyWereSent);
    assert_eq!((violation.partition, violation.offset), (Some(elsewhere), Some(Offset(0))));
}

fn epoch_begins(story: &mut Story, epoch: u16) {
    story.note(SHOP_1, Note::ProducerStarted { id: ProducerId(3), epoch: ProducerEpoch(epoch) });
}

#[test]
fn a_new_epoch_has_a_reason() {
    let mut story = Story::new(&plan(Billing::Insert));
    epoch_begins(story.at(1000), 0);
    failed(&mut story, 1, false);
    epoch_begins(&mut story, 1);
    story.leads(B2, 1, 0);
    epoch_begins(&mut story, 2);
    assert!(story.violations().is_empty(), "{:?}", story.violations());
    epoch_begins(&mut story, 3);
    let violation = only(&story);
    assert_eq!((violation.invariant, violation.node), (Invariant::EpochsHaveReasons, SHOP_1));
}

#[test]
fn the_epochs_of_a_transactional_producer_are_its_coordinators() {
    let mut story = Story::new(&plan(Billing::Insert));
    let (transaction, producer) = (TransactionalId(9), ProducerId(3));
    for epoch in 0..3 {
        story.note(B1, Note::ProducerInitialized { transaction, producer, epoch: ProducerEpoch(epoch), to: SHOP_1 });
        epoch_begins(&mut story, epoch);
    }
    assert!(story.violations().is_empty());
}

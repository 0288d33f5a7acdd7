//! What becomes of a message that always fails: each answer differs from the others in its ladder, and the ladder decides.

use std::collections::BTreeMap;

use hikyaku::checks::{EvidenceKind, PlaceFates, WaitOptions};
use hikyaku::explore::run_seed;
use hikyaku::history::Happening;
use hikyaku::scenario::plan::{Boundary, Plan};
use hikyaku::types::note::{AppendRole, Note};
use hikyaku::types::{Duration, Offset, Seed, Time, TopicPartition};

use crate::common::{load, run};

const SCENARIO: &str = "scenarios/a_message_that_always_fails_blocks_is_lost_or_parked.toml";

fn plan(answer: &str, more: &[&str]) -> Plan {
    let answer = format!("answer={answer}");
    let sets: Vec<&str> = [answer.as_str()].into_iter().chain(more.iter().copied()).collect();
    load(SCENARIO, &sets).cells[0].plan(Seed(1))
}

fn fates(plan: &Plan, place: &str) -> PlaceFates {
    let place = plan.places.iter().find(|known| known.name == place).expect("a place of the scenario").id;
    let (outcome, _) = run(plan);
    outcome.places.into_iter().find(|fates| fates.place == place).expect("a judged place")
}

#[test]
fn the_ladder_decides_what_becomes_of_a_message_that_always_fails() {
    let of = |answer: &str| fates(&plan(answer, &[]), "db.bookings");
    let (block, skip, retry, park) = (of("block"), of("skip"), of("retry-topic"), of("park"));
    assert_eq!((block.lost, block.parked, block.reordered), (0, 0, 0), "what stands behind it waits");
    assert_eq!((skip.lost, skip.reordered), (3, 0));
    assert_eq!((retry.lost, retry.parked), (0, 0));
    assert!(0 < retry.reordered, "later events of its key go by");
    assert_eq!((park.lost, park.parked), (0, 3));
}

#[test]
fn a_dead_letter_that_expires_unread_is_a_loss_of_the_queue() {
    let expired = fates(&plan("expire", &[]), "db.bookings");
    assert_eq!((expired.lost, expired.parked), (3, 0));
    let blames = expired.evidence.iter().filter(|item| item.kind == EvidenceKind::Lost);
    for blame in blames.map(|item| item.blame.as_ref().expect("every loss has a boundary")) {
        assert_eq!(blame.boundary, Boundary::Queue, "{}", blame.message);
        assert!(blame.message.contains("its dead letter"), "{}", blame.message);
    }
    let mut kept = plan("expire", &[]);
    kept.topics.iter_mut().for_each(|topic| topic.settings.retention = None);
    let kept = fates(&kept, "db.bookings");
    assert_eq!((kept.lost, kept.parked), (0, 3));
}

#[test]
fn a_redrive_brings_each_letter_back_once_and_behind_later_ones() {
    let plan = plan("redrive", &[]);
    let (bookings, tries) = (fates(&plan, "db.bookings"), fates(&plan, "db.tries"));
    assert_eq!((bookings.lost, bookings.parked, bookings.repeated_harmful), (0, 0, 0));
    assert!(0 < bookings.reordered);
    assert_eq!(tries.repeated_harmful, 3, "what was done before the failure is done again");
    let mut sent_back = Vec::new();
    run_seed(&plan, WaitOptions::default(), |event| {
        if let Happening::Note(Note::Redriven { event, source, .. }) = &event.what {
            sent_back.push((*event, *source));
        }
    });
    let mut offsets: Vec<(TopicPartition, Offset)> = sent_back.iter().map(|(_, source)| *source).collect();
    assert!(offsets.is_sorted_by_key(|(_, offset)| *offset), "in their order: {offsets:?}");
    offsets.dedup();
    assert_eq!(offsets.len(), 3, "each once: {sent_back:?}");
}

/// Its producer has Kafka's `max.request.size`, whatever the services have.
#[test]
fn a_redrive_ends_at_a_letter_that_its_producer_does_not_take() {
    let large = ["service.shop.size=2MiB", "service.shop.rate=4/s", "client.max-request-size=8MiB"];
    let topics = ["topic.orders.max-message-bytes=8MiB", "topic.dead.max-message-bytes=8MiB"];
    let plan = plan("redrive", &[&large[..], &topics[..]].concat());
    let bookings = fates(&plan, "db.bookings");
    assert_eq!((bookings.lost, bookings.parked), (0, 3), "the letters stay where they are");
}

/// A retry topic is read by the same group, and no record of it before its time.
#[test]
fn a_retry_waits_for_its_delay_and_lets_the_others_pass() {
    let plan = plan("retry-topic", &[]);
    let retries = plan.topics.iter().find(|topic| topic.name == "retries").expect("a topic of the scenario").id;
    let mut made: BTreeMap<(TopicPartition, Offset), Time> = BTreeMap::new();
    let (mut waits, mut attempts, mut others) = (Vec::new(), Vec::new(), 0_u64);
    run_seed(&plan, WaitOptions::default(), |event| match &event.what {
        Happening::Note(Note::BatchAppended { partition, role: AppendRole::Leader, batch }) => {
            for (record, offset) in batch.messages().iter().zip(batch.base_offset.0..) {
                made.insert((*partition, Offset(offset)), record.timestamp);
            }
        }
        Happening::Note(Note::FlowStarted { message, source: Some(source), .. }) if source.0.topic == retries => {
            waits.push(event.time.since(made[source]));
            attempts.push(message.attempt);
        }
        Happening::Note(Note::FlowStarted { .. }) if !waits.is_empty() => others += 1,
        _ => {}
    });
    let delay = Duration::from_secs(3);
    assert!(waits.len() >= 3 * 4, "from 10 s to 25 s every 3 s: {}", waits.len());
    for wait in &waits {
        assert!(delay <= *wait, "read after {wait}");
        assert!(*wait < delay + Duration::from_millis(600), "read after {wait}");
    }
    assert_eq!(attempts.iter().min(), Some(&1));
    assert!(4 <= *attempts.iter().max().expect("retries"), "the record carries its attempt");
    assert!(1_000 < others, "the others pass: {others}");
}

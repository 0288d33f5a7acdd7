//! Fates, promises and responsibility.

use super::story::*;
use crate::checks::*;
use crate::history::Happening;
use crate::history::event::StopReason;
use crate::scenario::plan::*;
use crate::types::note::*;
use crate::types::request::{ErrorCode, Present, Stands};
use crate::types::settings::Acks;
use crate::types::*;

fn fates(outcome: &RunOutcome, place: PlaceId) -> &PlaceFates {
    outcome.places.iter().find(|fates| fates.place == place).expect("fates of the place")
}

fn result(outcome: &RunOutcome, promise: Promise) -> &ExpectationResult {
    let found = outcome.expectations.iter().find(|result| match result.subject {
        Subject::Place { promise: of, .. } => of == promise,
        Subject::Service { .. } | Subject::Delay { .. } | Subject::Run { .. } => false,
    });
    found.expect("a judged promise")
}

fn evidence(outcome: &RunOutcome, place: PlaceId, kind: EvidenceKind) -> Evidence {
    let found = fates(outcome, place).evidence.iter().find(|item| item.kind == kind);
    found.expect("evidence of the kind").clone()
}

fn blame(evidence: &Evidence) -> &Blame {
    evidence.blame.as_ref().expect("a bad fate has a blame")
}

#[test]
fn every_event_billed_once_holds() {
    let mut story = Story::new(&plan(Billing::Insert));
    for number in 0..5 {
        let message = message(number, number % 2, 1 + number as u32 / 2);
        story.at(1000 + number * 10);
        let offset = story.ordered(message);
        story.at(1005 + number * 10).billed(BILLING_1, message, offset, StoreEffect::Inserted);
    }
    let outcome = story.ends(true);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    assert_eq!(outcome.reasons, Vec::<String>::new());
    let invoices = fates(&outcome, INVOICES);
    assert_eq!((invoices.expected, invoices.once, invoices.applications), (5, 5, 5));
    assert_eq!(invoices.delay.p50, Duration::from_millis(5));
    assert_eq!((fates(&outcome, ORDERS).expected, fates(&outcome, ORDERS).once), (5, 5));
    assert_eq!(outcome.counters.accepted, 5);
}

#[test]
fn a_run_in_which_nothing_arrived_is_vacuous() {
    let outcome = Story::new(&plan(Billing::Insert)).ends(true);
    assert_eq!(outcome.verdict, Verdict::Vacuous);
}

#[test]
fn a_history_without_its_end_is_unknown() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    story.ordered(message(0, 0, 1));
    let outcome = story.cut_off();
    assert_eq!(outcome.verdict, Verdict::Unknown);
    assert_eq!(result(&outcome, Promise::Loss).verdict, Verdict::Unknown);
}

#[test]
fn a_machine_that_panics_is_a_violation_whatever_else_held() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).happen(B1, Happening::Panicked { message: "fetch past log end".to_string() });
    let outcome = story.cut_off();
    assert_eq!(outcome.verdict, Verdict::Violated);
    assert!(outcome.reasons[0].contains("fetch past log end"));
}

// --- loss, boundary by boundary ---

#[test]
fn accepted_and_never_sent_is_lost_at_the_caller() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).arrived(message(0, 0, 1)).settled(0, CallerOutcome::Accepted);
    story.at(1001).stopped(SHOP_1, StopReason::Crash);
    let outcome = story.ends(true);
    assert_eq!(outcome.verdict, Verdict::Violated);
    assert_eq!(result(&outcome, Promise::Loss).measured, Measured::Count { count: 1, of: 1 });
    let lost = evidence(&outcome, INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Caller);
    assert_eq!(blame(&lost).between, Some(Between { service: SHOP, node: SHOP_1, done: None, missing: Some(0) }));
    let cause = blame(&lost).cause.expect("the crash");
    assert_eq!((cause.node, cause.kind, cause.time), (SHOP_1, IncidentKind::Crashed, at(1001)));
}

#[test]
fn a_buffer_that_died_with_its_process_is_lost_at_the_producer() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).arrived(message(0, 0, 1)).sent(0, 0).settled(0, CallerOutcome::Accepted).shop_done(0);
    story.at(1002).stopped(SHOP_1, StopReason::Crash);
    let outcome = story.ends(true);
    let lost = evidence(&outcome, INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Producer);
    assert!(lost.sightings.contains(&Sighting { time: at(1000), node: SHOP_1, what: Seen::Sent { partition: P0 } }));
    assert_eq!(fates(&outcome, INVOICES).blamed, vec![(Boundary::Producer, 1)]);
}

#[test]
fn a_send_that_failed_behind_an_accepted_caller_is_lost_at_the_producer() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).arrived(message(0, 0, 1)).sent(0, 0).settled(0, CallerOutcome::Accepted).shop_done(0);
    let error = ErrorCode::RequestTimedOut;
    story.at(1500).note(SHOP_1, Note::SendFailed { send: SendId(0), error, certain: false });
    let lost = evidence(&story.ends(true), INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Producer);
    let what = Seen::SendFailed { partition: P0, certain: false };
    assert!(lost.sightings.contains(&Sighting { time: at(1500), node: SHOP_1, what }));
}

#[test]
fn acks_zero_into_the_void_is_lost_at_the_producer() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).arrived(message(0, 0, 1)).sent(0, 0).send_succeeded(0, None);
    story.settled(0, CallerOutcome::Accepted).shop_done(0);
    let lost = evidence(&story.ends(true), INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Producer);
}

#[test]
fn an_acknowledged_record_that_no_leader_has_is_lost_at_the_queue() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).arrived(message(0, 0, 1)).sent(0, 0);
    let offset = story.appended(0, message(0, 0, 1), false);
    story.acknowledged(offset, Acks::Leader).send_succeeded(0, Some(offset));
    story.settled(0, CallerOutcome::Accepted).shop_done(0);
    story.at(1010).stopped(B1, StopReason::Crash);
    story.at(2000).leads(B2, 1, 0);
    let outcome = story.ends(true);
    assert_eq!((fates(&outcome, ORDERS).lost, fates(&outcome, INVOICES).lost), (1, 1));
    let lost = evidence(&outcome, INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Queue);
    assert_eq!(blame(&lost).cause.map(|cause| (cause.node, cause.time)), Some((B1, at(1010))));
    let acknowledged = Seen::Acknowledged { partition: P0, offset: Some(Offset(0)) };
    assert!(lost.sightings.contains(&Sighting { time: at(1000), node: SHOP_1, what: acknowledged }));
    let truncated = Seen::Truncated { partition: P0, offset: Offset(0), leader_epoch: LeaderEpoch(1) };
    assert!(lost.sightings.iter().any(|sighting| sighting.what == truncated && sighting.node == B2));
    assert!(outcome.invariant_violations.is_empty(), "acks=1 promises nothing about later leaders");
}

/// The plan with a fault that slows the disks of both brokers, and one that takes the first one's power.
fn with_a_slow_disk_and_a_power_loss() -> Plan {
    let mut plan = plan(Billing::Insert);
    let both = Target::Nodes(vec![B1, B2]);
    let actions =
        [FaultAction::SlowDisk { target: both, thousandths: 3_000 }, FaultAction::LosePower(Target::Node(B1))];
    let faults = actions.into_iter().enumerate().map(|(index, action)| FaultPlan {
        id: FaultId(index as u16),
        name: ["slow", "power"][index].to_string(),
        text: String::new(),
        trigger: FaultTrigger::At(Duration::from_secs(1)),
        action,
        duration: Some(Duration::from_secs(1)),
        every: None,
        times: None,
    });
    plan.faults = faults.collect();
    plan
}

/// The fault named in what is told of the first lost invoice.
fn cause_of_loss(outcome: &RunOutcome) -> Option<FaultId> {
    blame(&evidence(outcome, INVOICES, EvidenceKind::Lost)).cause.and_then(|cause| cause.fault)
}

#[test]
fn a_slow_disk_takes_no_record_and_is_not_named_for_it() {
    let (slow, power) = (FaultId(0), FaultId(1));
    let fired =
        |fault: FaultId, nodes: &[NodeId]| Happening::FaultFired { fault, nodes: nodes.to_vec(), peers: Vec::new() };
    let lost_behind = |faults: &[(u64, FaultId)]| {
        let mut story = Story::new(&with_a_slow_disk_and_a_power_loss());
        story.at(1000).arrived(message(0, 0, 1)).sent(0, 0);
        let offset = story.appended(0, message(0, 0, 1), false);
        story.acknowledged(offset, Acks::Leader).send_succeeded(0, Some(offset));
        story.settled(0, CallerOutcome::Accepted).shop_done(0);
        for (time, fault) in faults {
            story.at(*time).happen(NodeId(0), fired(*fault, if *fault == slow { &[B1, B2] } else { &[B1] }));
            if *fault == power {
                story.stopped(B1, StopReason::PowerLoss);
            }
        }
        story.at(2000).leads(B2, 1, 0);
        cause_of_loss(&story.ends(true))
    };
    assert_eq!(lost_behind(&[(1010, power)]), Some(power));
    assert_eq!(lost_behind(&[(1010, slow), (1020, power)]), Some(power), "not the first that came, but what took it");
    assert_eq!(lost_behind(&[(1010, slow)]), None);
}

#[test]
fn a_slow_disk_is_named_where_time_ran_out_under_it_and_not_when_it_had_healed() {
    let failed_at = |healed: u64, time: u64| {
        let mut story = Story::new(&with_a_slow_disk_and_a_power_loss());
        story.at(1000).arrived(message(0, 0, 1)).sent(0, 0).settled(0, CallerOutcome::Accepted).shop_done(0);
        let nodes = vec![B1, B2];
        story.at(1010).happen(NodeId(0), Happening::FaultFired { fault: FaultId(0), nodes, peers: Vec::new() });
        if healed < time {
            story.at(healed).happen(NodeId(0), Happening::FaultHealed { fault: FaultId(0) });
        }
        let error = ErrorCode::RequestTimedOut;
        story.at(time).note(SHOP_1, Note::SendFailed { send: SendId(0), error, certain: false });
        cause_of_loss(&story.ends(true))
    };
    assert_eq!(failed_at(9_000, 2_000), Some(FaultId(0)));
    assert_eq!(failed_at(1_500, 2_000), None);
}

#[test]
fn a_log_that_begins_ahead_of_the_reader_loses_at_the_queue() {
    for by in [RemovedBy::Retention, RemovedBy::Operator] {
        let mut story = Story::new(&plan(Billing::Insert));
        story.at(1000);
        story.ordered(message(0, 0, 1));
        story.at(5000);
        // What a deposed leader does to its own log takes nothing from anybody.
        story.note(B2, Note::RecordsDeleted { partition: P0, to: Offset(1) });
        if by == RemovedBy::Operator {
            story.note(B1, Note::RecordsDeleted { partition: P0, to: Offset(1) });
        }
        story.note(B1, Note::LogStartMoved { partition: P0, to: Offset(1) });
        let outcome = story.ends(true);
        assert_eq!((fates(&outcome, ORDERS).once, fates(&outcome, INVOICES).lost), (1, 1), "it has been in the topic");
        let lost = evidence(&outcome, INVOICES, EvidenceKind::Lost);
        assert_eq!(blame(&lost).boundary, Boundary::Queue);
        let expired = Seen::Expired { partition: P0, offset: Offset(0), by };
        assert!(lost.sightings.contains(&Sighting { time: at(5000), node: B1, what: expired }));
    }
}

#[test]
fn compaction_ahead_of_the_reader_is_lost_at_the_queue() {
    for is_billed in [false, true] {
        let mut story = Story::new(&plan(Billing::Insert));
        story.at(1000);
        let first = message(0, 0, 1);
        let offset = story.ordered(first);
        if is_billed {
            story.at(1100).billed(BILLING_1, first, offset, StoreEffect::Inserted);
        }
        story.at(2000);
        let second = message(1, 0, 2);
        let newer = story.ordered(second);
        let removed = vec![(Offset(offset), Offset(newer))];
        story.at(5000).note(B1, Note::LogCompacted { partition: P0, to: Offset(2), removed });
        let (from, to) = (Offset(offset), Offset(newer));
        story.at(6000).note(BILLING_1, Note::PassedCompacted { group: GROUP, partition: P0, from, to });
        story.billed(BILLING_1, second, newer, StoreEffect::Inserted);
        let outcome = story.ends(true);
        let invoices = fates(&outcome, INVOICES);
        assert_eq!((invoices.once, invoices.lost), if is_billed { (2, 0) } else { (1, 1) });
        assert_eq!(fates(&outcome, ORDERS).once, 2, "it has been in the topic");
        if !is_billed {
            let lost = evidence(&outcome, INVOICES, EvidenceKind::Lost);
            assert_eq!(blame(&lost).boundary, Boundary::Queue);
            let compacted = Seen::Compacted { partition: P0, offset: Offset(0) };
            assert!(lost.sightings.contains(&Sighting { time: at(6000), node: BILLING_1, what: compacted }));
        }
    }
}

#[test]
fn a_position_reset_to_latest_is_lost_at_the_group() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    story.ordered(message(0, 0, 1));
    story.at(1001).stopped(BILLING_1, StopReason::Crash);
    story.at(1500).position(BILLING_2, 1, PositionReason::ResetLatest);
    let outcome = story.ends(true);
    let lost = evidence(&outcome, INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Group);
    let what = Seen::PassedOver { group: GROUP, partition: P0, offset: Offset(0), position: Offset(1) };
    assert!(lost.sightings.contains(&Sighting { time: at(1500), node: BILLING_2, what }));
}

#[test]
fn a_commit_before_processing_is_lost_at_the_group_between_the_steps() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.committed(BILLING_1, offset + 1).flow(BILLING_1, message(0, 0, 1), offset);
    story.at(1003).stopped(BILLING_1, StopReason::Crash);
    story.at(1500).position(BILLING_2, 1, PositionReason::Committed);
    let lost = evidence(&story.ends(true), INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Group);
    assert_eq!(blame(&lost).between, Some(Between { service: BILLING, node: BILLING_1, done: None, missing: Some(0) }));
}

#[test]
fn a_marker_before_the_work_is_lost_at_the_consumer() {
    let markers = PlaceId(3);
    let mut plan = plan(Billing::Insert);
    plan.places.push(PlacePlan { id: markers, name: "db.markers".to_string(), kind: PlaceKind::Table { store: 0 } });
    let marker = StoreStep::InsertIfAbsent {
        table: markers,
        row: RowBy::Event,
        present: Present::Skip,
        stands: Stands::ForGood,
    };
    let action = Action::Store { store: 0, operations: vec![marker] };
    plan.services[1].steps.insert(0, StepPlan { text: "insert-if-absent db.markers".to_string(), action, of: None });
    let mut story = Story::new(&plan);
    story.at(1000);
    let order = message(0, 0, 1);
    let offset = story.ordered(order);
    story.flow(BILLING_1, order, offset).note(
        DB,
        Note::EffectApplied {
            service: BILLING,
            step: 0,
            place: markers,
            message: order,
            effect: StoreEffect::Inserted,
            caller: BILLING_1,
        },
    );
    story.step_done(BILLING_1, 0, 0, StepOutcome::Done);
    story.at(1001).stopped(BILLING_1, StopReason::Crash);
    story.at(1500).position(BILLING_2, 0, PositionReason::Committed);
    story.at(1600).flow(BILLING_2, order, offset);
    story.step_done(BILLING_2, 0, 0, StepOutcome::Skipped).committed(BILLING_2, 1).flow_done(BILLING_2, 0, true);
    let outcome = story.ends(true);
    assert_eq!(outcome.counters.redeliveries, 1);
    let lost = evidence(&outcome, INVOICES, EvidenceKind::Lost);
    assert_eq!(blame(&lost).boundary, Boundary::Consumer);
    assert_eq!(blame(&lost).cause.map(|cause| cause.node), Some(BILLING_1));
}

#[test]
fn refused_and_unanswered_callers_are_owed_nothing() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    story.ordered(message(0, 0, 1));
    story.arrived(message(1, 1, 1)).settled(1, CallerOutcome::Refused).shop_done(1);
    story.arrived(message(2, 2, 1)).settled(2, CallerOutcome::Unknown).shop_done(2);
    let outcome = story.ends(true);
    let invoices = fates(&outcome, INVOICES);
    assert_eq!((invoices.expected, invoices.refused, invoices.unknown_absent, invoices.lost), (1, 1, 1, 0));
}

// --- duplicates ---

/// An order is given to an instance, and `told` what became of it there; then another begins with it, and bills it once more.
fn billed_again(why: PositionReason, told: impl FnOnce(&mut Story, u64)) -> Blame {
    let mut story = Story::new(&plan(Billing::Add));
    let offset = story.at(1000).ordered(message(0, 0, 1));
    story.flow(BILLING_1, message(0, 0, 1), offset);
    told(&mut story, offset);
    story.at(1500).position(BILLING_2, 0, why);
    story.at(1600).billed(BILLING_2, message(0, 0, 1), offset, StoreEffect::Added);
    blame(&evidence(&story.ends(true), INVOICES, EvidenceKind::RepeatedHarmful)).clone()
}

/// The first instance bills and stops before its commit; what is told behind that; then the group is reset.
fn billed_again_after(between: impl FnOnce(&mut Story)) -> Blame {
    billed_again(PositionReason::ResetEarliest, |story, _| {
        story.effect(BILLING_1, message(0, 0, 1), StoreEffect::Added).step_done(BILLING_1, 0, 0, StepOutcome::Done);
        between(story.at(1100).stopped(BILLING_1, StopReason::Crash).at(1400));
    })
}

#[test]
fn what_was_committed_and_comes_again_because_the_offset_expired_repeats_at_the_group() {
    let expired = billed_again_after(|story| {
        story.committed(BILLING_1, 1).note(B1, Note::OffsetExpired { group: GROUP, partition: P0 });
    });
    assert_eq!((expired.boundary, expired.whose), (Boundary::Group, Party::Service(BILLING)));
    assert_eq!(expired.cause.map(|cause| cause.node), Some(BILLING_1), "its group was without a member since");
    assert!(expired.message.contains("its offset had expired"), "{}", expired.message);
    let forgotten = billed_again_after(|story| {
        story.committed(BILLING_1, 1);
    });
    assert_eq!(forgotten.boundary, Boundary::Group);
    assert!(forgotten.message.contains("its offset was gone"), "{}", forgotten.message);
}

/// As in Kafka: whoever commits is believed, however late.
#[test]
fn what_an_older_commit_brings_again_repeats_at_the_consumer_and_is_not_said_to_be_uncommitted() {
    let behind_the_effect = billed_again(PositionReason::Committed, |story, offset| {
        story.effect(BILLING_1, message(0, 0, 1), StoreEffect::Added).committed(BILLING_1, offset + 1);
        story.at(1100).committed(BILLING_1, offset).stopped(BILLING_1, StopReason::Crash);
    });
    let in_front_of_it = billed_again(PositionReason::Committed, |story, offset| {
        story.committed(BILLING_1, offset + 1).committed(BILLING_1, offset);
        story.at(1100).effect(BILLING_1, message(0, 0, 1), StoreEffect::Added);
        story.at(1200).stopped(BILLING_1, StopReason::Crash);
    });
    for late in [behind_the_effect, in_front_of_it] {
        assert_eq!(late.boundary, Boundary::Consumer);
        assert!(late.message.contains("an older commit came late"), "{}", late.message);
    }
}

#[test]
fn what_was_not_committed_and_comes_again_repeats_at_the_consumer_wherever_its_group_begins() {
    let expired_before = billed_again_after(|story| {
        story.committed(BILLING_1, 0).note(B1, Note::OffsetExpired { group: GROUP, partition: P0 });
    });
    assert_eq!(expired_before.boundary, Boundary::Consumer);
    assert_eq!(billed_again_after(|_| {}).boundary, Boundary::Consumer);
}

#[test]
fn a_crash_between_effect_and_commit_repeats_at_the_consumer() {
    let mut story = Story::new(&plan(Billing::Add));
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.flow(BILLING_1, message(0, 0, 1), offset).effect(BILLING_1, message(0, 0, 1), StoreEffect::Added);
    story.step_done(BILLING_1, 0, 0, StepOutcome::Done);
    story.at(1100).stopped(BILLING_1, StopReason::Crash);
    story.at(1500).position(BILLING_2, 0, PositionReason::Committed);
    story.at(1600).billed(BILLING_2, message(0, 0, 1), offset, StoreEffect::Added);
    let outcome = story.ends(true);
    assert_eq!(outcome.verdict, Verdict::Violated);
    assert_eq!(result(&outcome, Promise::Duplicates).measured, Measured::Count { count: 1, of: 1 });
    let repeated = evidence(&outcome, INVOICES, EvidenceKind::RepeatedHarmful);
    assert_eq!(blame(&repeated).boundary, Boundary::Consumer);
    assert_eq!(
        blame(&repeated).between,
        Some(Between { service: BILLING, node: BILLING_1, done: Some(0), missing: Some(1) })
    );
    assert_eq!(blame(&repeated).cause.map(|cause| (cause.kind, cause.time)), Some((IncidentKind::Crashed, at(1100))));
    let applied: Vec<(Time, NodeId)> = repeated
        .sightings
        .iter()
        .filter(|sighting| sighting.what == Seen::Applied { place: INVOICES })
        .map(|sighting| (sighting.time, sighting.node))
        .collect();
    assert_eq!(applied, vec![(at(1000), BILLING_1), (at(1600), BILLING_2)]);
}

#[test]
fn a_repetition_that_a_row_recognised_is_harmless() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Inserted);
    story.at(1100).position(BILLING_1, offset, PositionReason::Committed).flow(BILLING_1, message(0, 0, 1), offset);
    story.step_done(BILLING_1, 0, 0, StepOutcome::Skipped).flow_done(BILLING_1, 0, true);
    let outcome = story.ends(true);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    assert_eq!((fates(&outcome, INVOICES).repeated_harmless, fates(&outcome, INVOICES).repeated_harmful), (1, 0));
}

#[test]
fn executed_unanswered_and_executed_again_repeats_downstream() {
    let mut story = Story::new(&plan(Billing::Add));
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.flow(BILLING_1, message(0, 0, 1), offset).effect(BILLING_1, message(0, 0, 1), StoreEffect::Added);
    story.note(DB, Note::AnswerLost { event: event_id(0) });
    story.at(31_000).step_done(BILLING_1, 0, 0, StepOutcome::Unknown);
    story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Added);
    let repeated = evidence(&story.ends(true), INVOICES, EvidenceKind::RepeatedHarmful);
    assert_eq!(blame(&repeated).boundary, Boundary::Downstream);
}

#[test]
fn one_send_at_two_offsets_repeats_at_the_producer() {
    let mut plan = plan(Billing::Add);
    plan.expectations.push(Expectation::Place(exactly_once(ORDERS)));
    let mut story = Story::new(&plan);
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.at(1200);
    let again = story.appended(0, message(0, 0, 1), true);
    story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Added);
    story.at(1300).billed(BILLING_1, message(0, 0, 1), again, StoreEffect::Added);
    let outcome = story.ends(true);
    for place in [ORDERS, INVOICES] {
        assert_eq!(fates(&outcome, place).repeated_harmful, 1);
        assert_eq!(blame(&evidence(&outcome, place, EvidenceKind::RepeatedHarmful)).boundary, Boundary::Producer);
    }
    let repeated = evidence(&outcome, ORDERS, EvidenceKind::RepeatedHarmful);
    let what = Seen::Appended { partition: P0, offset: Offset(1) };
    assert!(repeated.sightings.iter().any(|sighting| sighting.time == at(1200) && sighting.what == what));
}

// --- stale, phantoms, order ---

fn two_versions(second_again: bool) -> RunOutcome {
    let mut story = Story::new(&plan(Billing::Upsert));
    story.at(1000);
    let (one, two) = (message(0, 5, 1), message(1, 5, 2));
    let first = story.ordered(one);
    let second = story.ordered(two);
    story.at(1100).billed(BILLING_1, one, first, StoreEffect::Inserted);
    story.at(1200).billed(BILLING_1, two, second, StoreEffect::Overwrote { newer: true });
    story.at(1300).happen(BILLING_2, Happening::Resumed);
    story.billed(BILLING_2, one, first, StoreEffect::Overwrote { newer: false });
    if second_again {
        story.at(1400).billed(BILLING_2, two, second, StoreEffect::Overwrote { newer: true });
    }
    story.ends(true)
}

#[test]
fn an_old_version_for_good_is_stale() {
    let outcome = two_versions(false);
    assert_eq!(outcome.verdict, Verdict::Violated);
    assert_eq!(result(&outcome, Promise::Stale).measured, Measured::Count { count: 1, of: 2 });
    let stale = evidence(&outcome, INVOICES, EvidenceKind::Stale);
    assert_eq!((stale.event, stale.other, stale.key), (event_id(1), Some(event_id(0)), Key(5)));
    assert_eq!(blame(&stale).boundary, Boundary::Consumer);
}

#[test]
fn an_old_version_that_a_replay_repairs_is_only_a_regression() {
    let outcome = two_versions(true);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    assert_eq!((fates(&outcome, INVOICES).stale, fates(&outcome, INVOICES).regressions), (0, 1));
}

#[test]
fn an_effect_of_a_refused_event_is_a_phantom() {
    let mut plan = plan(Billing::Insert);
    expect(&mut plan, |expectation| expectation.phantoms = Tolerance::None);
    let mut story = Story::new(&plan);
    story.at(1000);
    story.ordered(message(1, 1, 1));
    story.billed(BILLING_1, message(1, 1, 1), 0, StoreEffect::Inserted);
    story.arrived(message(0, 0, 1)).sent(0, 0);
    let offset = story.appended(0, message(0, 0, 1), true);
    story.settled(0, CallerOutcome::Refused).shop_done(0);
    story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Inserted);
    let outcome = story.ends(true);
    assert_eq!(result(&outcome, Promise::Phantoms).verdict, Verdict::Violated);
    let phantom = evidence(&outcome, INVOICES, EvidenceKind::Phantom);
    assert_eq!((phantom.event, blame(&phantom).boundary), (event_id(0), Boundary::Caller));
    assert!(phantom.sightings.iter().any(|sighting| sighting.what == Seen::Refused));
}

#[test]
fn rows_owe_their_messages_whatever_the_caller_was_told() {
    // `orders` is owed by the rows of `db.invoices`: the direction does not matter to the check.
    let mut plan = plan(Billing::Insert);
    plan.expectations = vec![Expectation::Place(PlaceExpectation {
        of: Some(INVOICES),
        phantoms: Tolerance::None,
        ..exactly_once(ORDERS)
    })];
    let mut story = Story::new(&plan);
    story.at(1000);
    story.arrived(message(0, 0, 1)).settled(0, CallerOutcome::Unknown);
    story.effect(BILLING_1, message(0, 0, 1), StoreEffect::Inserted);
    story.stopped(SHOP_1, StopReason::Crash);
    story.ordered(message(1, 1, 1));
    let outcome = story.ends(true);
    let orders = fates(&outcome, ORDERS);
    assert_eq!((orders.expected, orders.lost, orders.phantoms), (1, 1, 1));
    assert_eq!(blame(&evidence(&outcome, ORDERS, EvidenceKind::Lost)).boundary, Boundary::Caller);
}

fn in_order(first_accepted_at: u64, second_arrived_at: u64) -> RunOutcome {
    let mut plan = plan(Billing::Insert);
    expect(&mut plan, |expectation| expectation.order = OrderExpectation::PerKey);
    let mut story = Story::new(&plan);
    let (one, two) = (message(0, 5, 1), message(1, 5, 2));
    story.at(1000).arrived(one).sent(0, 0);
    let mut second_arrived = false;
    if second_arrived_at < first_accepted_at {
        story.at(second_arrived_at).arrived(two).sent(1, 1);
        second_arrived = true;
    }
    story.at(first_accepted_at).settled(0, CallerOutcome::Accepted).shop_done(0);
    if !second_arrived {
        story.at(second_arrived_at).arrived(two).sent(1, 1);
    }
    story.at(3000);
    let second = story.appended(1, two, true);
    let first = story.appended(0, one, true);
    story.settled(1, CallerOutcome::Accepted).shop_done(1);
    story.at(3100).billed(BILLING_1, two, second, StoreEffect::Inserted);
    story.at(3200).billed(BILLING_1, one, first, StoreEffect::Inserted);
    story.ends(true)
}

#[test]
fn an_event_applied_after_a_later_one_breaks_the_order_of_its_key() {
    let outcome = in_order(1100, 1200);
    assert_eq!(result(&outcome, Promise::Order).verdict, Verdict::Violated);
    let reordered = evidence(&outcome, INVOICES, EvidenceKind::Reordered);
    assert_eq!((reordered.event, reordered.other), (event_id(0), Some(event_id(1))));
    assert_eq!(fates(&outcome, ORDERS).reordered, 1);
}

#[test]
fn events_that_overlapped_have_no_order() {
    let outcome = in_order(2000, 1500);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
}

// --- parked, pending, stuck ---

#[test]
fn an_event_given_up_is_parked_and_owed_to_the_dead_letter_topic() {
    let mut plan = plan(Billing::Insert);
    expect(&mut plan, |expectation| expectation.parked = Tolerance::None);
    let mut story = Story::new(&plan);
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.flow(BILLING_1, message(0, 0, 1), offset).step_done(BILLING_1, 0, 0, StepOutcome::Failed);
    story.note(BILLING_1, Note::RungReached { service: BILLING, rung: 1, event: event_id(0) });
    story.committed(BILLING_1, 1).flow_done(BILLING_1, 0, false);
    let outcome = story.ends(true);
    assert_eq!(result(&outcome, Promise::Parked).verdict, Verdict::Violated);
    assert_eq!((fates(&outcome, INVOICES).parked, fates(&outcome, INVOICES).lost), (1, 0));
    assert_eq!((fates(&outcome, DEAD).expected, fates(&outcome, DEAD).lost), (1, 1), "the dead letter never came");
    assert_eq!(outcome.counters.dead_letters, 1);
}

#[test]
fn a_backlog_at_the_horizon_is_stuck() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000);
    story.ordered(message(0, 0, 1));
    let outcome = story.ends(false);
    assert_eq!(outcome.verdict, Verdict::Violated);
    assert_eq!(result(&outcome, Promise::Pending).measured, Measured::Count { count: 1, of: 1 });
    assert_eq!((fates(&outcome, INVOICES).pending, fates(&outcome, INVOICES).lost), (1, 0));
    let stuck = outcome.stuck.expect("stuck");
    assert_eq!((stuck.pending, stuck.unprocessed, stuck.finding), (1, vec![(BILLING, 1)], true));
}

#[test]
fn a_backlog_that_is_expected_never_to_drain_is_no_finding() {
    let mut plan = plan(Billing::Insert);
    let never = Bound { text: "never".to_string(), over: Over::Each, limit: Limit::Never };
    let metric = ServiceMetric::Recovery;
    plan.expectations.push(Expectation::Service { service: BILLING, metric, bounds: vec![never] });
    plan.faults = vec![crash_fault("away")];
    let mut story = Story::new(&plan);
    story.at(1000);
    story.ordered(message(0, 0, 1));
    story.at(1500).fault(&[BILLING_1]).at(1600).healed();
    let outcome = story.ends(false);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    assert_eq!(outcome.stuck.map(|stuck| stuck.finding), Some(false));
}

#[test]
fn a_record_in_the_buffer_of_a_living_producer_is_pending() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).arrived(message(0, 0, 1)).sent(0, 0).settled(0, CallerOutcome::Accepted).shop_done(0);
    let outcome = story.ends(false);
    assert_eq!((fates(&outcome, INVOICES).pending, fates(&outcome, ORDERS).pending), (1, 1));
}

// --- blame, floors, faults ---

#[test]
fn a_bad_fate_at_another_boundary_than_the_scenario_names_is_a_violation() {
    for (named, verdict) in [(Boundary::Producer, Verdict::Holds), (Boundary::Consumer, Verdict::Violated)] {
        let mut plan = plan(Billing::Insert);
        expect(&mut plan, |expectation| {
            expectation.loss = Tolerance::Required;
            expectation.blame = Some(named);
        });
        let mut story = Story::new(&plan);
        story.at(1000).arrived(message(0, 0, 1)).sent(0, 0).send_succeeded(0, None);
        story.settled(0, CallerOutcome::Accepted).shop_done(0);
        let outcome = story.ends(true);
        assert_eq!(result(&outcome, Promise::Blame).verdict, verdict);
        assert_eq!(outcome.verdict, verdict, "{:?}", outcome.reasons);
    }
}

#[test]
fn a_missed_floor_and_a_fault_that_never_fired_make_a_run_vacuous() {
    let mut plan = plan(Billing::Insert);
    plan.faults = vec![crash_fault("away")];
    plan.floors = vec![FloorPlan { what: FloorMetric::Crashes, at_least: 1, over_all_seeds: false }];
    let mut story = Story::new(&plan);
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Inserted);
    let outcome = story.ends(true);
    assert_eq!(outcome.verdict, Verdict::Vacuous);
    assert_eq!(outcome.never_fired, vec![CRASH]);
    assert_eq!((outcome.floors[0].measured, outcome.reasons.len()), (0, 2));
}

#[test]
fn an_outcome_can_be_written_and_read_back() {
    let outcome = two_versions(false);
    let text = serde_json::to_string(&outcome).unwrap();
    assert_eq!(serde_json::from_str::<RunOutcome>(&text).unwrap(), outcome);
}

// --- signatures ---

#[test]
fn a_signature_names_promise_boundary_and_cause_and_no_text() {
    let at = |millis: u64, events: u64| {
        let mut story = Story::new(&plan(Billing::Insert));
        for number in 0..events {
            story
                .at(millis + number)
                .arrived(message(number, 0, 1 + number as u32))
                .settled(number, CallerOutcome::Accepted);
        }
        story.at(millis + 10).stopped(SHOP_1, StopReason::Crash);
        Signature::all(&story.ends(true))
    };
    let texts: Vec<String> = at(1000, 1).iter().map(Signature::to_string).collect();
    assert_eq!(texts, ["db.invoices loss · caller · crashed"]);
    assert_eq!(at(1000, 1), at(5000, 3), "when and how many do not matter");
    let holds = Story::new(&plan(Billing::Insert)).ends(true);
    assert_eq!(Signature::all(&holds), []);
}

#[test]
fn a_broken_machine_comes_before_a_broken_promise_and_is_known_by_its_place() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).happen(B1, Happening::Panicked { message: "offset 17 of 12 (sim/kafka/log/mod.rs:12)".to_string() });
    let first = Signature::all(&story.cut_off()).remove(0);
    assert_eq!(first.broken, Broken::Machine("sim/kafka/log/mod.rs:12".to_string()));
}

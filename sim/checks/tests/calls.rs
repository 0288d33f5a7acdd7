//! Calls of other people's systems: who is to blame for the second execution. Each story has a twin beside it: the same kind
//! of mishap at another event, which must not be taken for the cause, and must not change the boundary.

use super::story::*;
use crate::checks::*;
use crate::history::event::StopReason;
use crate::scenario::plan::*;
use crate::types::note::*;
use crate::types::*;

const BANK: PlaceId = PlaceId(3);
const BANK_NODE: NodeId = NodeId(15);
const RETRYING: u16 = 3;

/// Billing calls the bank and commits.
fn calling(keys: KeysHonoured) -> Plan {
    let mut plan = plan(Billing::Insert);
    plan.nodes.push(NodePlan {
        id: BANK_NODE,
        name: "bank".into(),
        kind: NodeKind::Endpoint { endpoint: 0 },
        rack: None,
    });
    plan.places.push(PlacePlan { id: BANK, name: "bank".into(), kind: PlaceKind::Endpoint { endpoint: 0 } });
    plan.endpoints.push(EndpointPlan {
        name: "bank".into(),
        node: BANK_NODE,
        owner: Some("the bank".into()),
        place: BANK,
        latency: Spread::Constant(Duration::from_millis(20)),
        errors: Ratio::ZERO,
        lost_requests: Ratio::ZERO,
        lost_answers: Ratio::ZERO,
        idempotency_keys: keys,
        capacity: None,
    });
    plan.services[1].steps[0] = StepPlan {
        text: "call bank timeout 1s attempts 3".into(),
        action: Action::Call(CallPlan {
            to: Callee::Endpoint(0),
            timeout: Duration::from_secs(1),
            attempts: RETRYING,
            backoff: Spread::ZERO,
            idempotency_key: None,
            breaker: None,
            optional: false,
        }),
        of: None,
    };
    plan.expectations = vec![Expectation::Place(exactly_once(BANK))];
    plan
}

/// One attempt that is executed.
fn executed(story: &mut Story, node: NodeId, message: Message, run: u64, attempt: u16) {
    let (service, step, event, run) = (BILLING, 0, message.event, CallRun(run));
    story.note(node, Note::CallAttempted { service, step, event, run, attempt, to: BANK_NODE });
    let effect = StoreEffect::Executed { run };
    story.note(BANK_NODE, Note::EffectApplied { service, step, place: BANK, message, effect, caller: node });
    story.note(BANK_NODE, Note::StepExecuted { service, step, event, caller: node });
}

fn timed_out(story: &mut Story, node: NodeId, message: Message, attempt: u16) {
    let (service, step, event, outcome) = (BILLING, 0, message.event, StepOutcome::Unknown);
    story.note(node, Note::CallFailed { service, step, event, attempt, outcome });
}

fn done(story: &mut Story, node: NodeId, message: Message, offset: u64) {
    let number = message.event.0;
    story.step_done(node, number, 0, StepOutcome::Done).committed(node, offset + 1).flow_done(node, number, false);
}

fn bank(outcome: &RunOutcome) -> &PlaceFates {
    outcome.places.iter().find(|fates| fates.place == BANK).expect("fates of the bank")
}

fn repeated(outcome: &RunOutcome, number: u64) -> Blame {
    let found = bank(outcome).evidence.iter().find(|item| item.kind == EvidenceKind::RepeatedHarmful);
    let found = found.expect("a repetition");
    assert_eq!(found.event, event_id(number));
    found.blame.clone().expect("a bad fate has a blame")
}

#[test]
fn one_call_that_timed_out_and_was_executed_twice_is_laid_to_downstream() {
    let mut plan = calling(KeysHonoured::Never);
    let mut silent = crash_fault("silent");
    silent.action = FaultAction::Set(LiveValue::EndpointLostAnswers { endpoint: 0, rate: Ratio::ONE });
    plan.faults.push(silent);
    let mut story = Story::new(&plan);
    story.at(900).fault(&[BANK_NODE]);
    story.at(1000);
    let (paid, twin) = (message(0, 0, 1), message(1, 1, 1));
    let (offset, next) = (story.ordered(paid), story.ordered(twin));
    story.flow(BILLING_1, paid, offset);
    executed(&mut story, BILLING_1, paid, 7, 1);
    story.note(BANK_NODE, Note::AnswerLost { event: paid.event });
    // The twin: another process dies at the same time, and has nothing to do with it.
    story.at(1500).stopped(BILLING_2, StopReason::Crash);
    story.at(2000);
    timed_out(&mut story, BILLING_1, paid, 1);
    executed(&mut story, BILLING_1, paid, 7, 2);
    done(&mut story, BILLING_1, paid, offset);
    story.flow(BILLING_1, twin, next);
    executed(&mut story, BILLING_1, twin, 8, 1);
    done(&mut story, BILLING_1, twin, next);
    let outcome = story.ends(true);
    assert_eq!((bank(&outcome).repeated_harmful, bank(&outcome).once), (1, 1));
    let blame = repeated(&outcome, 0);
    assert_eq!(blame.boundary, Boundary::Downstream);
    let cause = blame.cause.expect("the silence");
    assert_eq!((cause.node, cause.kind, cause.fault), (BANK_NODE, IncidentKind::Disturbed, Some(CRASH)));
    assert_eq!((outcome.counters.unknown_outcomes, outcome.counters.retries), (1, 1));
}

#[test]
fn a_call_that_was_made_again_after_a_crash_is_laid_to_the_consumer() {
    let mut story = Story::new(&calling(KeysHonoured::Never));
    story.at(1000);
    let (paid, twin) = (message(0, 0, 1), message(1, 1, 1));
    let (offset, next) = (story.ordered(paid), story.ordered(twin));
    story.flow(BILLING_1, paid, offset);
    executed(&mut story, BILLING_1, paid, 7, 1);
    // The twin: the answer to another event is lost just then, and its call was executed once.
    story.note(BANK_NODE, Note::AnswerLost { event: twin.event });
    story.at(1100).stopped(BILLING_1, StopReason::Crash);
    story.at(3000).position(BILLING_2, offset, PositionReason::Committed);
    story.flow(BILLING_2, paid, offset);
    executed(&mut story, BILLING_2, paid, 9, 1);
    done(&mut story, BILLING_2, paid, offset);
    story.flow(BILLING_2, twin, next);
    timed_out(&mut story, BILLING_2, twin, 1);
    executed(&mut story, BILLING_2, twin, 10, 2);
    done(&mut story, BILLING_2, twin, next);
    let outcome = story.ends(true);
    let blame = repeated(&outcome, 0);
    assert_eq!(blame.boundary, Boundary::Consumer);
    assert_eq!(blame.cause.expect("the crash").node, BILLING_1);
    assert_eq!(blame.between.expect("between effect and commit").missing, Some(1));
    assert_eq!(bank(&outcome).blamed, vec![(Boundary::Consumer, 1)]);
}

#[test]
fn a_call_that_the_ladder_made_again_is_laid_to_the_consumer() {
    let mut story = Story::new(&calling(KeysHonoured::Never));
    story.at(1000);
    let paid = message(0, 0, 1);
    let offset = story.ordered(paid);
    story.flow(BILLING_1, paid, offset);
    executed(&mut story, BILLING_1, paid, 7, 1);
    timed_out(&mut story, BILLING_1, paid, 1);
    story.at(2000).step_done(BILLING_1, 0, 0, StepOutcome::Unknown);
    story.note(BILLING_1, Note::RungReached { service: BILLING, rung: 0, event: paid.event });
    let source = Some((P0, Offset(offset)));
    story.note(BILLING_1, Note::FlowStarted { service: BILLING, message: paid, source, attempt: 2 });
    executed(&mut story, BILLING_1, paid, 8, 1);
    done(&mut story, BILLING_1, paid, offset);
    let outcome = story.ends(true);
    assert_eq!(repeated(&outcome, 0).boundary, Boundary::Consumer);
    // The silent attempt is one unknown outcome, not two.
    assert_eq!((outcome.counters.unknown_outcomes, outcome.counters.retries), (1, 1));
}

#[test]
fn a_call_of_two_owners_at_once_is_laid_to_the_consumer() {
    let mut story = Story::new(&calling(KeysHonoured::Never));
    story.at(1000);
    let paid = message(0, 0, 1);
    let offset = story.ordered(paid);
    story.flow(BILLING_1, paid, offset);
    story.at(1100).position(BILLING_2, offset, PositionReason::Committed);
    story.flow(BILLING_2, paid, offset);
    executed(&mut story, BILLING_2, paid, 9, 1);
    done(&mut story, BILLING_2, paid, offset);
    story.at(1200);
    executed(&mut story, BILLING_1, paid, 7, 1);
    let outcome = story.ends(true);
    assert_eq!(repeated(&outcome, 0).boundary, Boundary::Consumer);
}

#[test]
fn a_key_that_is_honoured_makes_the_repetition_harmless() {
    let mut story = Story::new(&calling(KeysHonoured::Always));
    story.at(1000);
    let paid = message(0, 0, 1);
    let offset = story.ordered(paid);
    story.flow(BILLING_1, paid, offset);
    executed(&mut story, BILLING_1, paid, 7, 1);
    story.at(2000);
    timed_out(&mut story, BILLING_1, paid, 1);
    let (service, step, effect, caller) = (BILLING, 0, StoreEffect::Unchanged, BILLING_1);
    story.note(BANK_NODE, Note::EffectApplied { service, step, place: BANK, message: paid, effect, caller });
    done(&mut story, BILLING_1, paid, offset);
    let outcome = story.ends(true);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    assert_eq!((bank(&outcome).repeated_harmless, bank(&outcome).repeated_harmful), (1, 0));
}

#[test]
fn an_answer_that_an_endpoint_lost_says_nothing_about_a_store() {
    let mut story = Story::new(&plan(Billing::Add));
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.flow(BILLING_1, message(0, 0, 1), offset).effect(BILLING_1, message(0, 0, 1), StoreEffect::Added);
    story.note(BANK_NODE, Note::AnswerLost { event: event_id(0) });
    story.at(1100).stopped(BILLING_1, StopReason::Crash);
    story.at(3000).position(BILLING_2, offset, PositionReason::Committed);
    story.billed(BILLING_2, message(0, 0, 1), offset, StoreEffect::Added);
    let outcome = story.ends(true);
    let invoices = outcome.places.iter().find(|fates| fates.place == INVOICES).expect("fates");
    assert_eq!(invoices.blamed, vec![(Boundary::Consumer, 1)]);
}

// --- services of our own that are called ---

const LEDGER: ServiceId = ServiceId(2);
const LEDGER_1: NodeId = NodeId(16);

/// Billing calls the ledger, which adds to the invoices.
fn with_ledger() -> Plan {
    let mut plan = calling(KeysHonoured::Never);
    let kind = NodeKind::Instance { service: LEDGER, number: 1 };
    plan.nodes.push(NodePlan { id: LEDGER_1, name: "ledger-1".into(), kind, rack: None });
    let step = |text: &str, action: Action| StepPlan { text: text.to_string(), action, of: None };
    let operations = vec![StoreStep::Add { table: INVOICES, by: 1 }];
    plan.services.push(ServicePlan {
        id: LEDGER,
        name: "ledger".into(),
        instances: vec![LEDGER_1],
        trigger: Trigger::Called(CalledPlan { max_waiting: 1_000 }),
        steps: vec![
            step("add db.invoices", Action::Store { store: 0, operations }),
            step("respond ok", Action::Respond),
        ],
        ladder: vec![Rung::Retry { times: 1, backoff: Spread::ZERO }, Rung::Refuse],
        ..plan.services[1].clone()
    });
    if let Action::Call(call) = &mut plan.services[1].steps[0].action {
        call.to = Callee::Service(LEDGER);
    }
    plan.expectations = vec![Expectation::Place(exactly_once(INVOICES))];
    plan
}

fn asks(story: &mut Story, node: NodeId, message: Message, run: u64, attempt: u16) {
    let (service, step, event, run) = (BILLING, 0, message.event, CallRun(run));
    story.note(node, Note::CallAttempted { service, step, event, run, attempt, to: LEDGER_1 });
}

/// The ledger begins its list, in its own right or again by its ladder, and adds.
fn adds(story: &mut Story, message: Message, attempt: u32) {
    story.note(LEDGER_1, Note::FlowStarted { service: LEDGER, message, source: None, attempt });
    story.note(LEDGER_1, Note::StepReached { service: LEDGER, step: 0, event: message.event });
    let (service, step, place, effect) = (LEDGER, 0, INVOICES, StoreEffect::Added);
    story.note(DB, Note::EffectApplied { service, step, place, message, effect, caller: LEDGER_1 });
}

fn blamed(outcome: &RunOutcome) -> &[(Boundary, u64)] {
    &outcome.places.iter().find(|fates| fates.place == INVOICES).expect("fates").blamed
}

#[test]
fn one_call_of_a_service_that_was_executed_twice_is_laid_to_downstream() {
    let mut story = Story::new(&with_ledger());
    story.at(1000);
    let booked = message(0, 0, 1);
    let offset = story.ordered(booked);
    story.flow(BILLING_1, booked, offset);
    asks(&mut story, BILLING_1, booked, 7, 1);
    adds(&mut story, booked, 1);
    // The twin: the other instance of billing dies, and has nothing to do with it.
    story.at(1500).stopped(BILLING_2, StopReason::Crash);
    story.at(2000);
    timed_out(&mut story, BILLING_1, booked, 1);
    asks(&mut story, BILLING_1, booked, 7, 2);
    adds(&mut story, booked, 1);
    done(&mut story, BILLING_1, booked, offset);
    assert_eq!(blamed(&story.ends(true)), [(Boundary::Downstream, 1)]);
}

#[test]
fn a_service_that_was_called_again_by_a_list_that_began_again_is_laid_to_the_consumer() {
    let mut story = Story::new(&with_ledger());
    story.at(1000);
    let booked = message(0, 0, 1);
    let offset = story.ordered(booked);
    story.flow(BILLING_1, booked, offset);
    asks(&mut story, BILLING_1, booked, 7, 1);
    story.at(1100).stopped(BILLING_1, StopReason::Crash);
    story.at(3000).position(BILLING_2, offset, PositionReason::Committed);
    story.flow(BILLING_2, booked, offset);
    asks(&mut story, BILLING_2, booked, 9, 1);
    // The ledger was busy all the while, and comes to both calls only now.
    adds(&mut story, booked, 1);
    adds(&mut story, booked, 1);
    done(&mut story, BILLING_2, booked, offset);
    assert_eq!(blamed(&story.ends(true)), [(Boundary::Consumer, 1)]);
}

#[test]
fn a_called_service_that_began_its_own_list_again_is_laid_to_the_consumer() {
    let mut story = Story::new(&with_ledger());
    story.at(1000);
    let booked = message(0, 0, 1);
    let offset = story.ordered(booked);
    story.flow(BILLING_1, booked, offset);
    asks(&mut story, BILLING_1, booked, 7, 1);
    adds(&mut story, booked, 1);
    adds(&mut story, booked, 2);
    done(&mut story, BILLING_1, booked, offset);
    assert_eq!(blamed(&story.ends(true)), [(Boundary::Consumer, 1)]);
}

#[test]
fn what_a_called_service_never_did_is_lost_at_the_head_of_the_calls() {
    let mut story = Story::new(&with_ledger());
    story.at(1000);
    let booked = message(0, 0, 1);
    let offset = story.ordered(booked);
    story.flow(BILLING_1, booked, offset);
    asks(&mut story, BILLING_1, booked, 7, 1);
    timed_out(&mut story, BILLING_1, booked, 1);
    // A failure that is swallowed: the list goes on to its commit.
    done(&mut story, BILLING_1, booked, offset);
    let outcome = story.ends(true);
    assert_eq!(blamed(&outcome), [(Boundary::Consumer, 1)]);
    let fates = outcome.places.iter().find(|fates| fates.place == INVOICES).expect("fates");
    assert_eq!((fates.expected, fates.lost), (1, 1));
}

#[test]
fn what_never_reached_the_head_of_the_calls_is_lost_before_it() {
    let mut story = Story::new(&with_ledger());
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.at(2000).position(BILLING_1, offset + 1, PositionReason::ResetLatest);
    let outcome = story.ends(true);
    assert_eq!(blamed(&outcome), [(Boundary::Group, 1)]);
}

#[test]
fn a_called_service_is_as_available_as_its_callers_see_it() {
    let mut story = Story::new(&with_ledger());
    story.at(1000);
    let (booked, refused) = (message(0, 0, 1), message(1, 1, 1));
    let (offset, next) = (story.ordered(booked), story.ordered(refused));
    story.flow(BILLING_1, booked, offset);
    asks(&mut story, BILLING_1, booked, 7, 1);
    adds(&mut story, booked, 1);
    story.at(1250);
    done(&mut story, BILLING_1, booked, offset);
    story.flow(BILLING_1, refused, next);
    asks(&mut story, BILLING_1, refused, 8, 1);
    story.step_done(BILLING_1, 1, 0, StepOutcome::Failed);
    let outcome = story.ends(true);
    let callers = &outcome.services[usize::from(LEDGER.0)].callers;
    assert_eq!((callers.arrived, callers.accepted, callers.refused), (2, 1, 1));
    assert_eq!((callers.availability, callers.latency.max), (Some(0.5), Duration::from_millis(250)));
    // What the outside world was told is another matter.
    assert_eq!((outcome.counters.arrived, outcome.counters.accepted), (2, 2));
}

#[test]
fn an_order_that_is_half_done_or_done_twice_is_unsettled_and_one_that_is_lost_or_done_is_told_apart() {
    let mut plan = with_ledger();
    plan.expectations.push(Expectation::Place(exactly_once(ORDERS)));
    plan.expectations.push(Expectation::Run { metric: RunMetric::Unsettled, bounds: Vec::new() });
    let mut story = Story::new(&plan);
    story.at(1000);
    // Done, done twice, lost behind an accepted answer; and one of which the caller knows nothing, in one place of two.
    for (number, times) in [(0, 1), (1, 2), (2, 0)] {
        let booked = message(number, number, 1);
        let offset = story.ordered(booked);
        story.flow(BILLING_1, booked, offset);
        asks(&mut story, BILLING_1, booked, 7 + number, 1);
        (0..times).for_each(|_| adds(&mut story, booked, 1));
        done(&mut story, BILLING_1, booked, offset);
    }
    let half = message(3, 3, 1);
    story.arrived(half).sent(3, 3);
    let offset = story.appended(3, half, true);
    story.send_succeeded(3, Some(offset)).settled(3, CallerOutcome::Unknown).shop_done(3);
    story.flow(BILLING_1, half, offset);
    done(&mut story, BILLING_1, half, offset);
    let outcome = story.ends(true);
    let unsettled =
        outcome.expectations.iter().find(|one| one.subject == Subject::Run { metric: RunMetric::Unsettled });
    assert_eq!(unsettled.expect("measured").measured, Measured::Value(3.0));
}

//! Metrics of services over whole histories.

use super::story::*;
use crate::checks::*;
use crate::history::event::StopReason;
use crate::scenario::plan::*;
use crate::types::note::*;
use crate::types::*;

fn consuming(outcome: &RunOutcome) -> &ConsumingMetrics {
    outcome.services[1].consuming.as_ref().expect("billing consumes")
}

fn bounded(metric: ServiceMetric, limit: Limit) -> Plan {
    let mut plan = plan(Billing::Insert);
    let bound = Bound { text: "the bound".to_string(), over: Over::Each, limit };
    plan.expectations.push(Expectation::Service { service: BILLING, metric, bounds: vec![bound] });
    plan.faults = vec![crash_fault("away")];
    plan
}

/// A crash at 2 s, back at 5 s; what came meanwhile is through 500 ms later, or not.
fn outage(plan: &Plan, through: bool) -> RunOutcome {
    let mut story = Story::new(plan);
    story.at(1000);
    let first = story.ordered(message(0, 0, 1));
    story.at(1100).billed(BILLING_1, message(0, 0, 1), first, StoreEffect::Inserted);
    story.at(2000).fault(&[BILLING_1]).stopped(BILLING_1, StopReason::Crash);
    story.at(3000);
    let second = story.ordered(message(1, 1, 1));
    story.at(5000).healed().position(BILLING_2, 1, PositionReason::Committed);
    if through {
        story.at(5400).flow(BILLING_2, message(1, 1, 1), second);
        story.at(5500).effect(BILLING_2, message(1, 1, 1), StoreEffect::Inserted);
        story.committed(BILLING_2, 2).flow_done(BILLING_2, 1, false);
    }
    story.ends(through)
}

#[test]
fn recovery_runs_from_the_heal_to_nothing_unprocessed() {
    let outcome = outage(&bounded(ServiceMetric::Recovery, Limit::Below(1.0)), true);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    let metrics = consuming(&outcome);
    assert_eq!(metrics.recovery.after, Some(RecoveryTime::Recovered(Duration::from_millis(500))));
    assert_eq!(metrics.wait.max, Duration::from_millis(2400));
    assert_eq!(metrics.age_max, Duration::from_millis(2500));
    assert_eq!(metrics.message_nanoseconds, 2_600_000_000);
    assert_eq!(metrics.message_nanoseconds, metrics.sojourn_nanoseconds);
    assert_eq!((metrics.peak_backlog, metrics.backlog_at_end, metrics.delayed), (1, 0, 2));
    assert_eq!(outcome.faults[0].healed, Some(at(5000)));
}

#[test]
fn too_slow_a_recovery_violates_its_bound() {
    let outcome = outage(&bounded(ServiceMetric::Recovery, Limit::Below(0.5)), true);
    assert_eq!(outcome.verdict, Verdict::Violated);
    assert_eq!(outcome.expectations.last().unwrap().measured, Measured::Value(0.5));
}

#[test]
fn no_recovery_is_censored_and_never_a_number() {
    let outcome = outage(&bounded(ServiceMetric::Recovery, Limit::Below(1000.0)), false);
    let result = outcome.expectations.last().unwrap();
    assert_eq!((result.measured, result.verdict), (Measured::Censored(95.0), Verdict::Unknown));
    let never = outage(&bounded(ServiceMetric::Recovery, Limit::Never), false);
    assert_eq!(never.expectations.last().unwrap().verdict, Verdict::Holds);
}

#[test]
fn without_a_fault_there_is_nothing_to_recover_from() {
    let mut plan = bounded(ServiceMetric::Recovery, Limit::Below(1.0));
    plan.faults.clear();
    let mut story = Story::new(&plan);
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Inserted);
    let outcome = story.ends(true);
    assert_eq!(outcome.verdict, Verdict::Unknown);
    assert_eq!(outcome.expectations.last().unwrap().measured, Measured::Nothing);
}

#[test]
fn the_time_before_the_first_fault_is_kept_apart() {
    let plan = bounded(ServiceMetric::WaitMax, Limit::Any);
    let outcome = outage(&plan, true);
    let result = outcome.expectations.last().unwrap();
    assert_eq!((result.before, result.measured), (Some(0.1), Measured::Value(2.4)));
}

#[test]
fn availability_counts_what_was_accepted() {
    let mut story = Story::new(&plan(Billing::Insert));
    story.at(1000).arrived(message(0, 0, 1)).at(1250).settled(0, CallerOutcome::Refused).shop_done(0);
    story.at(2000).arrived(message(1, 1, 1)).sent(1, 1);
    let offset = story.appended(1, message(1, 1, 1), true);
    story.at(2020).send_succeeded(1, Some(offset)).settled(1, CallerOutcome::Accepted).shop_done(1);
    story.billed(BILLING_1, message(1, 1, 1), offset, StoreEffect::Inserted);
    let outcome = story.ends(true);
    let callers = &outcome.services[0].callers;
    assert_eq!((callers.availability, callers.latency.count), (Some(0.5), 1));
    assert_eq!(callers.latency.max, Duration::from_millis(20));
}

#[test]
fn headroom_that_counts_is_that_of_the_most_loaded_instance() {
    let mut story = Story::new(&plan(Billing::Insert));
    let (group, member, generation) = (GROUP, MemberId(1), Generation(1));
    story.note(BILLING_1, Note::Assigned { group, member, generation, partitions: vec![P0] });
    story.at(1000);
    let offset = story.ordered(message(0, 0, 1));
    story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Inserted);
    // Two instances of 1.5 together, and one of them holds the only partition.
    assert_eq!(consuming(&story.ends(true)).effective_headroom, Some(0.75));
}

/// Billing as a queue of the textbook: exponential work, one worker an instance, partitions that divide.
fn textbook(partitions: u16) -> Plan {
    let mut plan = plan(Billing::Insert);
    plan.stores[0].latency = Spread::ZERO;
    plan.topics[0].settings.partitions = partitions;
    let time = Spread::Exponential { mean: Duration::from_millis(100) };
    let action = Action::Work { time, errors: Ratio::ZERO, poison: Ratio::ZERO };
    plan.services[1].steps.insert(0, StepPlan { text: "work".to_string(), action, of: None });
    plan
}

fn theory(plan: &Plan, metric: ServiceMetric, faults: &[FaultSpan]) -> Option<TheoryValue> {
    use crate::checks::{closed_form::closed_form, routes::Routes};
    closed_form(plan, &Routes::new(plan), &plan.services[1], metric, faults)
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected, "found {found}, expected {expected}");
}

#[test]
fn a_textbook_service_has_a_closed_form() {
    // Ten a second over two servers of ten a second each: load one half.
    let plan = textbook(2);
    assert_near(theory(&plan, ServiceMetric::WaitMean, &[]).unwrap().value, 0.1);
    assert_near(theory(&plan, ServiceMetric::WaitP99, &[]).unwrap().value, libm::log(50.0) / 5.0);
    assert_near(theory(&plan, ServiceMetric::EffectiveHeadroom, &[]).unwrap().value, 2.0);
    let span = FaultSpan { fault: CRASH, fired: at(0), healed: Some(at(60_000)), nodes: Vec::new(), peers: Vec::new() };
    let recovery = theory(&plan, ServiceMetric::Recovery, &[span]).unwrap();
    let variance = 5.0 * 60.0 * 0.02 / 0.125;
    assert_near(recovery.variance.unwrap(), variance);
    assert_near(recovery.value, 60.0 + libm::sqrt(variance) * crate::theory::statistics::normal_maximum(2));
}

#[test]
fn what_no_textbook_covers_has_none() {
    let mut uneven = textbook(3);
    assert_eq!(theory(&uneven, ServiceMetric::WaitMean, &[]), None);
    assert_eq!(theory(&uneven, ServiceMetric::Recovery, &[]), None, "no fault to recover from");
    uneven.services[1].workers = 4;
    assert_eq!(theory(&uneven, ServiceMetric::EffectiveHeadroom, &[]), None);
    assert_eq!(theory(&textbook(2), ServiceMetric::AgeMax, &[]), None);
}

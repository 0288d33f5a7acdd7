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
    assert_eq!((metrics.peak_backlog, metrics.backlog_at_end, metrics.delayed), (1, 0, 1));
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

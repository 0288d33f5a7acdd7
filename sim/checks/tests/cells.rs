//! Cells over seeds, and cells beside each other.

use super::story::*;
use crate::checks::*;
use crate::history::event::StopReason;
use crate::scenario::plan::*;
use crate::types::note::*;
use crate::types::*;

fn run(plan: &Plan, seed: u64, lost: bool) -> RunOutcome {
    let mut plan = plan.clone();
    plan.seed = Seed(seed);
    let mut story = Story::new(&plan);
    story.at(1000);
    if lost {
        story.arrived(message(0, 0, 1)).settled(0, CallerOutcome::Accepted).stopped(SHOP_1, StopReason::Crash);
    } else {
        let offset = story.ordered(message(0, 0, 1));
        story.billed(BILLING_1, message(0, 0, 1), offset, StoreEffect::Inserted);
    }
    story.ends(true)
}

fn hazard() -> Plan {
    let mut plan = plan(Billing::Insert);
    expect(&mut plan, |expectation| expectation.loss = Tolerance::Required);
    plan
}

#[test]
fn one_violating_seed_violates_the_cell() {
    let plan = plan(Billing::Insert);
    let runs = [run(&plan, 0, false), run(&plan, 1, true), run(&plan, 2, false)];
    let cell = judge_cell(&runs, Coverage::AllSeeds);
    assert_eq!((cell.verdict, cell.runs, cell.violated), (Verdict::Violated, 3, 1));
    assert_eq!(cell.worst_seed, Some(Seed(1)));
    assert_eq!(cell.expectations[0].worst_seed, Some(Seed(1)));
    assert_eq!((cell.expectations[0].seen_in, cell.expectations[0].of), (1, 3));
    assert!(cell.reasons[0].starts_with("seed 1: db.invoices loss"), "{:?}", cell.reasons);
    assert_eq!(cell.counters.accepted, 3);
}

#[test]
fn nothing_in_many_seeds_has_a_bound() {
    let plan = plan(Billing::Insert);
    let runs: Vec<RunOutcome> = (0..20).map(|seed| run(&plan, seed, false)).collect();
    let cell = judge_cell(&runs, Coverage::AllSeeds);
    assert_eq!(cell.verdict, Verdict::Holds, "{:?}", cell.reasons);
    assert!((cell.violated_share_at_most - 0.1611).abs() < 1e-3);
}

#[test]
fn a_required_hazard_must_show_in_one_seed() {
    let plan = hazard();
    let shown = [run(&plan, 0, false), run(&plan, 1, true)];
    assert_eq!(judge_cell(&shown, Coverage::AllSeeds).verdict, Verdict::Holds);
    let absent = [run(&plan, 0, false), run(&plan, 1, false)];
    assert_eq!(judge_cell(&absent, Coverage::AllSeeds).verdict, Verdict::Violated);
    assert_eq!(judge_cell(&absent, Coverage::SomeSeeds).verdict, Verdict::Unknown);
}

#[test]
fn a_floor_over_all_seeds_is_a_sum() {
    let mut plan = plan(Billing::Insert);
    plan.floors = vec![FloorPlan { what: FloorMetric::Accepted, at_least: 2, over_all_seeds: true }];
    let one = [run(&plan, 0, false)];
    assert_eq!(judge_cell(&one, Coverage::AllSeeds).verdict, Verdict::Vacuous);
    let two = [run(&plan, 0, false), run(&plan, 1, false)];
    assert_eq!(judge_cell(&two, Coverage::AllSeeds).verdict, Verdict::Holds);
}

/// A run with one metric of billing set to a value.
fn measured(bound: Bound, value: Measured, theory: Option<TheoryValue>, before: Option<f64>) -> RunOutcome {
    let mut outcome = run(&plan(Billing::Insert), 0, false);
    let subject = Subject::Service { service: BILLING, metric: ServiceMetric::Recovery };
    outcome.expectations = vec![ExpectationResult {
        name: String::new(),
        subject,
        demand: Demand::Bounds(vec![bound]),
        measured: value,
        verdict: Verdict::Holds,
        why: String::new(),
        evidence: Vec::new(),
        theory,
        before,
    }];
    outcome
}

fn bound(over: Over, limit: Limit) -> Bound {
    Bound { text: "the bound".to_string(), over, limit }
}

fn verdict_of(over: Over, limit: Limit, values: &[Measured], theory: Option<TheoryValue>) -> Verdict {
    let runs: Vec<RunOutcome> =
        values.iter().map(|value| measured(bound(over, limit.clone()), *value, theory, Some(10.0))).collect();
    judge_cell(&runs, Coverage::AllSeeds).verdict
}

#[test]
fn a_mean_is_judged_over_all_seeds() {
    let values = [Measured::Value(10.0), Measured::Value(30.0)];
    assert_eq!(verdict_of(Over::Mean, Limit::Below(21.0), &values, None), Verdict::Holds);
    assert_eq!(verdict_of(Over::Mean, Limit::Below(20.0), &values, None), Verdict::Violated);
    assert_eq!(verdict_of(Over::P95, Limit::AtMost(29.0), &values, None), Verdict::Violated);
    assert_eq!(verdict_of(Over::Mean, Limit::Below(21.0), &[Measured::Nothing], None), Verdict::Unknown);
}

#[test]
fn a_seed_that_did_not_recover_is_not_averaged_away() {
    let values = [Measured::Value(10.0), Measured::Censored(5.0)];
    assert_eq!(verdict_of(Over::Mean, Limit::Below(1000.0), &values, None), Verdict::Violated);
    assert_eq!(verdict_of(Over::P50, Limit::Below(1000.0), &values, None), Verdict::Holds);
}

#[test]
fn theory_agrees_within_four_standard_errors() {
    let theory = Some(TheoryValue { value: 120.0, variance: Some(16.0) });
    let limit = || Limit::Theory { tolerance: None };
    let near = vec![Measured::Value(123.0); 16];
    assert_eq!(verdict_of(Over::Mean, limit(), &near, theory), Verdict::Holds);
    let far = vec![Measured::Value(125.0); 16];
    assert_eq!(verdict_of(Over::Mean, limit(), &far, theory), Verdict::Violated);
    assert_eq!(verdict_of(Over::Mean, Limit::Theory { tolerance: Some(0.1) }, &far, theory), Verdict::Holds);
    assert_eq!(verdict_of(Over::Mean, limit(), &far, None), Verdict::Unknown);
}

#[test]
fn before_the_first_fault_is_a_yardstick() {
    let limit = || Limit::Before { tolerance: 0.1 };
    assert_eq!(verdict_of(Over::Mean, limit(), &[Measured::Value(10.9)], None), Verdict::Holds);
    assert_eq!(verdict_of(Over::Mean, limit(), &[Measured::Value(11.1)], None), Verdict::Violated);
}

#[test]
fn cells_are_compared_with_their_siblings() {
    let sibling =
        |factor: f64| Limit::Sibling { below: false, factor, axis: "style".to_string(), value: "pub-sub".to_string() };
    let cell = |id: &str, limit: Limit, value: f64| {
        let mut cell =
            judge_cell(&[measured(bound(Over::Mean, limit), Measured::Value(value), None, None)], Coverage::AllSeeds);
        cell.cell = id.to_string();
        cell
    };
    let verdict = |factor: f64| {
        let cells = vec![
            cell("acks=1,style=direct", sibling(factor), 50.0),
            cell("acks=1,style=pub-sub", Limit::Any, 10.0),
            cell("acks=all,style=pub-sub", Limit::Any, 1000.0),
        ];
        judge_family(cells)[0].verdict
    };
    assert_eq!(verdict(4.0), Verdict::Holds);
    assert_eq!(verdict(6.0), Verdict::Violated);
    let alone = judge_family(vec![cell("style=direct", sibling(4.0), 50.0)]);
    assert_eq!(alone[0].verdict, Verdict::Unknown);
}

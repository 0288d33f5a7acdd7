//! Small cases of queueing theory, through a real topic and a real consumer: what comes out is the closed form, and a
//! service that is 5 % slower than it says is found out. `hikyaku validate` runs the full set of `tests/queueing.json`.

use hikyaku::explore::validate::{CASES as ALL_CASES, Case, CaseFile, CompareResult, Compared, run_case, scenario_of};

use crate::common::parse;

const CASES: &str = include_str!("../data/queueing_small.json");

fn case(id: &str) -> Case {
    let file: CaseFile = serde_json::from_str(CASES).expect("the cases are JSON");
    file.cases.into_iter().find(|case| case.id == id).unwrap_or_else(|| panic!("no case `{id}`"))
}

fn compare(id: &str, service_factor: f64) -> Vec<Compared> {
    run_case(&case(id), service_factor, std::thread::available_parallelism().map_or(1, usize::from))
}

fn passes(compared: &Compared) -> bool {
    match &compared.result {
        CompareResult::Judged { passes, .. } => *passes,
        CompareResult::NotExpressible(why) => panic!("{} {}: {why}", compared.case, compared.metric),
        CompareResult::Invalid(why) => panic!("{} {}: {why}", compared.case, compared.metric),
        CompareResult::Reference => panic!("{} {} is not judged", compared.case, compared.metric),
    }
}

fn holds_and_a_slower_service_does_not(id: &str, telling: &[&str]) {
    let right = compare(id, 1.0);
    for metric in &right {
        assert!(passes(metric), "{metric:?}");
    }
    let slower = compare(id, 1.05);
    for name in telling {
        let metric = slower.iter().find(|metric| metric.metric == *name).expect("a metric of the case");
        assert!(!passes(metric), "a service 5 % slower passes: {metric:?}");
    }
}

#[test]
fn a_constant_backlog_drains_as_the_fluid_does() {
    let telling = ["recovery_time_from_restart", "message_seconds_of_backlog", "messages_delayed"];
    holds_and_a_slower_service_does_not("D/D/1 drain", &telling);
}

#[test]
fn a_random_backlog_drains_with_the_mean_and_spread_of_theory() {
    holds_and_a_slower_service_does_not("M/D/1 drain", &["mean_recovery_time"]);
}

#[test]
fn waiting_with_constant_service_is_pollaczek_and_khinchins() {
    holds_and_a_slower_service_does_not("M/D/1 wait", &["mean_wait_in_queue"]);
}

/// A case that has a scenario must have a valid one: otherwise it would only be called not expressible.
#[test]
fn every_case_that_becomes_a_scenario_becomes_a_valid_one() {
    let file: CaseFile = serde_json::from_str(ALL_CASES).expect("the cases are JSON");
    let scenarios: Vec<(&Case, String)> =
        file.cases.iter().filter_map(|case| Some((case, scenario_of(case, 1.0).ok()?))).collect();
    assert!(scenarios.len() >= 13, "{} of {} cases have a scenario", scenarios.len(), file.cases.len());
    for (case, text) in scenarios {
        let family = parse(&case.id, &text);
        assert!(family.warnings.is_empty(), "{}: {}", case.id, family.warnings.short());
    }
}

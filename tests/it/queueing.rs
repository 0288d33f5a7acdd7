//! Cases of queueing theory, through real topics and real consumers: what comes out is the closed form, and a service that is 5 % slower
//! than it says is found out. `hikyaku validate` runs the full set of `tests/queueing.json`; here are its cases with fewer records, and
//! cases that it does not have.

use std::fs;

use hikyaku::explore::validate::{
    CASES as ALL_CASES, Case, CaseFile, CaseResult, CompareResult, Compared, Tolerance, file_stem, run_case,
    scenario_of,
};

use crate::common::{Scratch, hikyaku, parse, stderr, stdout};

const CASES: &str = include_str!("../data/queueing_small.json");

fn cases(text: &str) -> Vec<Case> {
    let file: CaseFile = serde_json::from_str(text).expect("the cases are JSON");
    file.cases
}

fn run(case: &Case, service_factor: f64) -> CaseResult {
    run_case(case, service_factor, std::thread::available_parallelism().map_or(1, usize::from), &|_, _| {})
}

fn compare(id: &str, service_factor: f64) -> Vec<Compared> {
    let case = cases(CASES).into_iter().find(|case| case.id == id).unwrap_or_else(|| panic!("no case `{id}`"));
    run(&case, service_factor).compared
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

#[test]
fn cases_that_the_vendored_file_does_not_have_come_out_too() {
    holds_and_a_slower_service_does_not("D/D per consumer", &["effective_headroom", "group_recovery_time"]);
    holds_and_a_slower_service_does_not("two hot partitions", &["effective_headroom", "recovery_time_hot_partition"]);
    holds_and_a_slower_service_does_not("pauses", &["recovery_time_from_restart"]);
    holds_and_a_slower_service_does_not("objective", &["required_headroom"]);
}

/// The closed form of n attempts that fail each with 1-(1-a)(1-b): whoever is told that it failed may find it stored all the same.
#[test]
fn a_producer_whose_requests_and_answers_get_lost_repeats_as_the_geometric_distribution_says() {
    for compared in compare("lossy producer", 1.0) {
        assert!(passes(&compared), "{compared:?}");
    }
}

/// The same case with fewer records and runs, without what only many of them tell, and with room for what fewer scatter.
fn reduced(case: &Case) -> Case {
    let mut case = case.clone();
    let number = |case: &Case, key: &str| case.params.get(key).and_then(serde_json::Value::as_f64);
    let steady = case.params.contains_key("messages_min") && !case.params.contains_key("p_fail");
    for (key, most) in [("replicas", 3.0), ("messages_min", 100_000.0), ("crashes_min", 100.0)] {
        if number(&case, key).is_some_and(|stated| most < stated) {
            case.params.insert(key.into(), most.into());
        }
    }
    // A fluid is the same at any rate.
    let fluid = ["outage_s", "lambda_per_s"].iter().all(|key| case.params.contains_key(*key))
        && ["replicas", "retention_s", "horizon_s"].iter().all(|key| !case.params.contains_key(*key));
    if fluid {
        for key in ["lambda_per_s", "mu_per_s"] {
            if let Some(rate) = number(&case, key) {
                case.params.insert(key.into(), (rate / 8.0).into());
            }
        }
        case.expected.retain(|expected| expected.unit.starts_with('s'));
    }
    let takes_many = ["sd_", "cv_", "p99_", "partition_p", "partition_sd", "fraction_", "useful_", "mean_reprocessed"];
    case.expected.retain(|expected| !takes_many.iter().any(|start| expected.metric.starts_with(start)));
    if case.params.contains_key("mttf_s") {
        case.expected.clear();
    }
    // A share of many knows itself how much it scatters.
    for expected in case.expected.iter_mut().filter(|expected| steady && !expected.metric.starts_with("p_")) {
        expected.tol = Tolerance::Rel { value: 0.2 };
    }
    case
}

/// Whether all of what is judged passes, if anything is.
fn stands(result: &CaseResult) -> Option<bool> {
    let judged = result.compared.iter().filter_map(|one| match &one.result {
        CompareResult::Judged { passes, .. } => Some(*passes),
        CompareResult::Invalid(why) => panic!("{} {}: {why}", one.case, one.metric),
        CompareResult::NotExpressible(_) | CompareResult::Reference => None,
    });
    judged.reduce(|all, one| all && one)
}

#[test]
fn the_vendored_cases_pass_and_at_least_twenty_fail_when_every_service_takes_five_percent_longer() {
    const ENOUGH: u32 = 20;
    let (mut judged, mut found_out) = (0, 0);
    for case in cases(ALL_CASES).iter().map(reduced) {
        let right = run(&case, 1.0);
        let Some(passes) = stands(&right) else { continue };
        assert!(passes, "{:?}", right.compared);
        judged += 1;
        if found_out < ENOUGH {
            found_out += u32::from(stands(&run(&case, 1.05)) == Some(false));
        }
    }
    assert!(30 <= judged, "{judged} cases were judged");
    assert!(ENOUGH <= found_out, "only {found_out} of {judged} cases notice a service that is 5 % slower");
}

/// A case that has a scenario must have a valid one: otherwise it would only be called not expressible.
#[test]
fn every_case_that_becomes_a_scenario_becomes_a_valid_one() {
    let all = cases(ALL_CASES);
    let scenarios: Vec<(&Case, String)> =
        all.iter().map(|case| (case, scenario_of(case, 1.0).expect(&case.id))).collect();
    assert_eq!(scenarios.len(), all.len(), "every case has a scenario");
    for (case, text) in scenarios {
        let family = parse(&file_stem(case), &text);
        assert!(family.warnings.is_empty(), "{}: {}", case.id, family.warnings.short());
    }
}

#[test]
fn the_file_of_a_case_is_an_ordinary_scenario_with_the_same_digest() {
    let scratch = Scratch::new("validate");
    let out = scratch.path("cases");
    let output = hikyaku(&["validate", "--case", "Q09b,Q24a", "--out", &out, "--jobs", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("2 of 2 cases of queueing theory come out"), "{}", stdout(&output));
    let told: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{out}/validate.json")).unwrap()).unwrap();
    for case in told["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let run = hikyaku(&[
            "run",
            &format!("{out}/{id}.toml"),
            "--seed",
            "0",
            "--out",
            &scratch.path("run"),
            "--format",
            "json",
        ]);
        let verdict: serde_json::Value = serde_json::from_str(&stdout(&run)).unwrap();
        assert_eq!(verdict["runs"][0]["digest"], case["digest"], "{id}");
    }
    let page = fs::read_to_string(format!("{out}/validate.html")).unwrap();
    for part in ["2 of 2 cases", "group_recovery_time", "h_eff", "[topic.tasks-0]", "default-src 'none'"] {
        assert!(page.contains(part), "{part}");
    }
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    assert!(["http://", "https://", "<link", " src="].iter().all(|foreign| !elsewhere.contains(foreign)));
}

#[test]
fn what_cannot_be_expressed_is_said_and_is_no_success() {
    let scratch = Scratch::new("validate-beyond");
    let file = scratch.write("cases.json", CASES);
    let output = hikyaku(&["validate", "--cases", &file, "--case", "no such"]);
    assert_eq!(output.status.code(), Some(3), "{}\n{}", stdout(&output), stderr(&output));
    let said = stdout(&output);
    for part in [
        "no scenario is known for the model `M/G/k`",
        "nothing here measures `colour_of_the_queue`",
        "cannot be expressed",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let failing = hikyaku(&["validate", "--cases", &file, "--case", "pauses", "--slower", "5"]);
    assert_eq!(failing.status.code(), Some(1), "{}", stdout(&failing));
    assert!(stdout(&failing).contains("With every service time 5 % longer, 0 of 1 case"), "{}", stdout(&failing));
    assert_eq!(hikyaku(&["validate", "--case", "Q99"]).status.code(), Some(2));
}

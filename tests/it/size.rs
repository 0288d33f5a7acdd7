//! `hikyaku size`: stated problems, with the answer that the formula gives where the formula is exact, and the reason where it is not.

use serde_json::Value;

use crate::common::{hikyaku, stderr, stdout};

const RECOVER: &[&str] = &["--recover", "20s", "--losing", "0"];

/// Exit code and what a program reads.
fn size(file: &str, arguments: &[&str]) -> (i32, Value) {
    let path = format!("tests/data/size/{file}.toml");
    let mut all = vec!["size", path.as_str(), "--runs", "3", "--format", "json"];
    all.extend(arguments);
    let output = hikyaku(&all);
    let text = stdout(&output);
    let read = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", stderr(&output)));
    (output.status.code().expect("it ended by itself"), read)
}

/// Instances and partitions of the answer, which every run meets, and whose step below some run misses.
fn answer(study: &Value) -> (u64, u64) {
    let (instances, partitions) = (study["instances"].as_u64(), study["partitions"].as_u64());
    let (instances, partitions) = instances.zip(partitions).unwrap_or_else(|| panic!("no answer: {study:#}"));
    let points = study["points"].as_array().expect("points");
    let at = |point: &&Value| point["instances"] == instances && point["partitions"] == partitions;
    assert_eq!(points.iter().find(at).expect("the answer was run")["meets"], true);
    let below = points.iter().filter(|point| point["instances"].as_u64() == Some(instances - 1));
    let below: Vec<&Value> = below.collect();
    assert!(!below.is_empty() && below.iter().all(|point| point["meets"] == false), "one step below: {study:#}");
    (instances, partitions)
}

fn reasons(study: &Value) -> Vec<(Option<u64>, String)> {
    let steps = study["steps"].as_array().expect("steps");
    steps.iter().map(|step| (step["instances"].as_u64(), step["why"].as_str().expect("a reason").to_string())).collect()
}

#[test]
fn where_the_formula_is_exact_the_study_gives_its_answer() {
    let (exit, study) = size("even", RECOVER);
    assert_eq!((exit, answer(&study)), (0, (3, 6)));
    // 1 + 10/20 of 40/s at 25/s each is 2.4 instances.
    let steps = reasons(&study);
    assert!(steps.len() == 1 && steps[0].0 == Some(3) && steps[0].1.contains("1.50×"), "{steps:?}");
    let trial = &study["points"][0]["trials"][0];
    let number = |key: &str| trial[key].as_f64().expect("recovered");
    let (formula, theory, mean) = (number("formula"), number("theory"), number("mean"));
    assert!((formula - 10.0 / 0.875).abs() < 1e-9 && (theory - formula).abs() < 1e-9, "{trial:#}");
    assert!((mean - 10.0 / 0.875).abs() < 1.5, "{trial:#}");
}

#[test]
fn an_instance_that_may_be_lost_is_one_more() {
    let (exit, study) = size("even", &["--recover", "20s"]);
    assert_eq!((exit, answer(&study)), (0, (4, 6)));
    let steps = reasons(&study);
    assert!(steps.len() == 2 && steps[1].0 == Some(4) && steps[1].1.contains("may be lost"), "{steps:?}");
}

#[test]
fn partitions_that_cannot_be_dealt_evenly_take_more_and_the_study_says_so() {
    let kept = ["--recover", "20s", "--losing", "0", "--keep-partitions"];
    let (exit, study) = size("uneven", &kept);
    assert_eq!((exit, answer(&study)), (0, (4, 4)));
    let steps = reasons(&study);
    assert_eq!((steps[0].0, steps[1].0), (Some(3), Some(4)), "{steps:?}");
    assert!(steps[1].1.contains("evenly"), "{steps:?}");
    // Free to choose, the study takes as many partitions as instances, and says what those of the file would cost.
    let (_, study) = size("uneven", RECOVER);
    assert_eq!((answer(&study), &study["instances-with-stated-partitions"]), ((3, 3), &Value::from(4)));
}

#[test]
fn the_time_until_partitions_are_dealt_again_takes_more() {
    let (exit, study) = size("rejoin", &["--recover", "25s", "--outage", "10s", "--losing", "0"]);
    assert_eq!((exit, answer(&study).0), (0, 4));
    let steps = reasons(&study);
    assert_eq!((steps[0].0, steps[1].0), (Some(3), Some(4)), "{steps:?}");
    assert!(steps[1].1.contains("session timeout"), "{steps:?}");
}

#[test]
fn retries_take_more() {
    let (exit, study) = size("retries", RECOVER);
    assert_eq!((exit, answer(&study).0), (0, 4));
    assert!(reasons(&study).iter().any(|(count, why)| *count == Some(4) && why.contains("1.33 attempts")), "{study:#}");
}

#[test]
fn a_hot_key_is_not_served_by_any_number_of_instances() {
    let (exit, study) = size("hot_key", &["--recover", "20s", "--losing", "0", "--most-instances", "6"]);
    assert_eq!((exit, &study["met"]), (1, &Value::from(false)));
    assert!(
        reasons(&study).iter().any(|(count, why)| count.is_none() && why.contains("a key has one reader")),
        "{study:#}"
    );
}

#[test]
fn more_than_every_allowed_instance_can_do_is_an_answer_and_no_hang() {
    let (exit, study) =
        size("even", &["--recover", "20s", "--most-instances", "4", "--set", "service.shop.rate=200/s"]);
    assert_eq!((exit, &study["met"]), (1, &Value::from(false)));
    assert!(reasons(&study).iter().any(|(count, _)| count.is_none()), "{study:#}");
    assert!(!study["points"].as_array().expect("points").is_empty(), "the runs were asked too");
}

#[test]
fn a_wait_is_an_objective_too() {
    let poisson = ["--wait-p99", "200ms", "--losing", "0", "--set", "service.shop.arrivals=poisson"];
    let (exit, study) = size("even", &poisson);
    assert_eq!((exit, answer(&study).0), (0, 3));
}

#[test]
fn a_question_that_does_not_fit_the_file_is_refused_with_the_reason() {
    let refused = |arguments: &[&str]| {
        let output = hikyaku(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        stderr(&output)
    };
    let even = "tests/data/size/even.toml";
    assert!(refused(&["size", even]).contains("no objective"));
    assert!(refused(&["size", even, "--recover", "20s", "--service", "shop"]).contains("no consuming service"));
    assert!(refused(&["size", "tests/data/size/rejoin.toml", "--recover", "20s"]).contains("--outage"));
    assert!(
        refused(&["size", "scenarios/retries_repeats_and_hot_keys_eat_headroom.toml", "--recover", "20s"])
            .contains("pin one")
    );
}

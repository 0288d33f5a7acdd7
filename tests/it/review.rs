//! `hikyaku review`: one changed line is one "no", with a change that is shown to help; and on the shipped scenarios it says yes where the
//! cure is in and no where the hazard is.

use std::path::Path;

use serde_json::Value;

use crate::common::{Scratch, hikyaku, stderr, stdout};

/// Exit code and what a program reads.
fn review(file: &str, arguments: &[&str], out: &str) -> (i32, Value) {
    let mut all = vec!["review", file, "--runs", "2", "--format", "json", "--out", out];
    all.extend(arguments);
    let output = hikyaku(&all);
    let text = stdout(&output);
    let read = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}: {text}{}", stderr(&output)));
    (output.status.code().expect("it ended by itself"), read)
}

fn points(review: &Value) -> &Vec<Value> {
    review["points"].as_array().expect("points")
}

fn noes(review: &Value) -> Vec<&str> {
    points(review)
        .iter()
        .filter(|point| point["answer"] == "no")
        .map(|point| point["id"].as_str().expect("an id"))
        .collect()
}

/// The file of a point is one line beside base.toml: this point is a no, and no other; one change was shown to make it a yes; what was seen
/// lies in the folder that the evidence names.
fn one_line_is_one_no(id: &str) {
    let scratch = Scratch::new(&format!("review-{id}"));
    let (exit, review) = review(&format!("tests/data/review/{id}.toml"), &[], &scratch.path("out"));
    assert_eq!((exit, noes(&review)), (1, vec![id]), "{review:#}");
    let point = points(&review).iter().find(|point| point["id"] == id).expect("the point");
    assert!(point["change"].is_string() && point["proof"].is_string(), "{point:#}");
    for command in point["replay"].as_array().expect("commands") {
        let folder = command
            .as_str()
            .and_then(|text| text.strip_prefix("hikyaku replay "))
            .expect("a replay")
            .trim_matches('\'');
        assert!(Path::new(folder).join("plan.toml").is_file(), "{folder}");
    }
    if let Some(command) = point["replay"].as_array().and_then(|all| all.first()).and_then(Value::as_str) {
        let again = hikyaku(&["replay", command.trim_start_matches("hikyaku replay ").trim_matches('\'')]);
        assert!(matches!(again.status.code(), Some(0 | 1 | 3)), "{}{}", stdout(&again), stderr(&again));
    }
}

macro_rules! flips {
    ($($name:ident = $id:literal;)*) => {
        $(#[test]
        fn $name() {
            one_line_is_one_no($id);
        })*
    };
}

flips! {
    an_ok_before_the_publication_is_no_success = "producer-success";
    a_call_of_another_service_lets_its_failure_in = "consumer-failure";
    a_marker_that_is_only_looked_at_does_not_make_idempotent = "idempotent-consumers";
    a_message_that_is_skipped_is_not_handled = "dead-letters";
    a_second_system_is_a_second_duty = "one-duty";
    a_row_by_key_does_not_tell_which_events_are_done = "traced";
    slower_work_takes_the_headroom = "headroom";
    a_second_origin_is_a_neighbour = "own-queue";
    two_partitions_leave_no_room = "partition-count";
    latest_skips_what_a_forgotten_group_has_not_seen = "reset-policy";
    a_producer_without_idempotence_sends_twice = "deduplicated";
    a_timer_is_no_commit = "manual-commits";
    a_key_that_nobody_honours_pays_twice = "third-parties";
    three_consumers_do_not_divide_four_partitions = "divides-partitions";
    what_nobody_owns_is_named = "owners";
    a_commit_in_front_of_the_call_loses_it = "semantics";
    a_topic_that_nobody_reads_buys_nothing = "queue-buys";
}

#[test]
fn of_the_base_every_point_is_a_yes_and_all_three_forms_say_so() {
    let scratch = Scratch::new("review-base");
    let (exit, review) = review("tests/data/review/base.toml", &[], &scratch.path("out"));
    assert_eq!((exit, noes(&review)), (0, Vec::new()), "{review:#}");
    assert!(points(&review).len() == 17 && points(&review).iter().all(|point| point["answer"] == "yes"), "{review:#}");
    let struck =
        review["probes"].as_array().expect("probes").iter().filter(|probe| probe["struck"].as_u64() > Some(0)).count();
    assert!(20 < struck, "{review:#}");
    let text = |name: &str| std::fs::read_to_string(scratch.path(&format!("out/{name}"))).expect("it was written");
    assert!(text("review.md").contains("every point that applies is a yes"));
    let page = text("review.html");
    assert!(page.contains("every point that applies is a yes") && page.contains("kill-booking-before-step-1"));
    assert!(!page.contains("http://") && !page.contains("https://"), "a page loads nothing");
}

/// Scenario, the cell, and the answer to a point.
const SHIPPED: &[(&str, &[&str], &str, &str)] = &[
    ("marker_before_work_loses", &[], "semantics", "no"),
    ("marker_and_work_in_one_transaction_holds", &[], "semantics", "yes"),
    ("marker_and_work_in_one_transaction_holds", &[], "idempotent-consumers", "yes"),
    ("commit_before_loses", &[], "semantics", "no"),
    ("commit_after_repeats", &[], "semantics", "yes"),
    ("commit_after_repeats", &[], "idempotent-consumers", "no"),
    ("quickstart", &[], "idempotent-consumers", "yes"),
    ("quickstart", &[], "owners", "no"),
    ("latest_skips", &["offsets=expired"], "reset-policy", "no"),
    ("earliest_repeats", &["offsets=expired"], "reset-policy", "yes"),
    ("acks_0_loses", &["failure=crash"], "producer-success", "no"),
    ("outbox_makes_the_dual_write_one", &["way=row-first"], "producer-success", "no"),
    ("outbox_makes_the_dual_write_one", &["way=outbox"], "producer-success", "yes"),
    ("a_transaction_does_not_take_back_a_payment", &["idempotency-keys=false"], "third-parties", "no"),
    ("a_transaction_does_not_take_back_a_payment", &["idempotency-keys=true"], "third-parties", "yes"),
    ("many_duties_in_one_consumer_fail_together", &["duties=together", "outage=mail-away"], "one-duty", "no"),
    ("many_duties_in_one_consumer_fail_together", &["duties=apart", "outage=mail-away"], "one-duty", "yes"),
    ("direct_calls_fail_with_what_they_call", &["style=direct", "fails=none"], "consumer-failure", "no"),
    ("direct_calls_fail_with_what_they_call", &["style=pub-sub", "fails=none"], "consumer-failure", "yes"),
    ("consumers_should_divide_the_partitions", &["instances=4"], "divides-partitions", "no"),
    ("consumers_should_divide_the_partitions", &["instances=3"], "divides-partitions", "yes"),
    ("backlog_recovery_versus_headroom", &["headroom=1.2x", "service.shop.rate=20/s"], "headroom", "no"),
    ("backlog_recovery_versus_headroom", &["headroom=2x", "service.shop.rate=20/s"], "headroom", "yes"),
    ("a_message_that_always_fails_blocks_is_lost_or_parked", &["answer=skip"], "dead-letters", "no"),
    ("a_message_that_always_fails_blocks_is_lost_or_parked", &["answer=block"], "dead-letters", "no"),
    ("a_message_that_always_fails_blocks_is_lost_or_parked", &["answer=park"], "dead-letters", "yes"),
    ("a_shared_queue_shares_its_trouble", &["queues=shared"], "own-queue", "no"),
    ("a_shared_queue_shares_its_trouble", &["queues=split"], "own-queue", "yes"),
];

#[test]
fn shipped_scenarios_have_the_hazard_or_the_cure() {
    let scratch = Scratch::new("review-shipped");
    let mut wrong = Vec::new();
    for (number, (file, sets, id, answer)) in SHIPPED.iter().enumerate() {
        let mut arguments = vec!["--point", *id];
        sets.iter().for_each(|set| arguments.extend(["--set", *set]));
        let (_, review) = review(&format!("scenarios/{file}.toml"), &arguments, &scratch.path(&number.to_string()));
        let point = &points(&review)[0];
        if point["answer"] != *answer {
            wrong.push(format!("{file} {sets:?} {id}: {} instead of {answer}: {}", point["answer"], point["evidence"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_family_has_to_be_pinned_and_a_point_to_exist() {
    let family = hikyaku(&["review", "scenarios/acks_0_loses.toml"]);
    assert_eq!(family.status.code(), Some(2));
    assert!(stderr(&family).contains("pin one"), "{}", stderr(&family));
    let unknown = hikyaku(&["review", "scenarios/quickstart.toml", "--point", "owner"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("did you mean `owners`"), "{}", stderr(&unknown));
}

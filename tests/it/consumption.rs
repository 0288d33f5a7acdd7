//! What consumers cost and are owed: for each shipped scenario about them the one setting that decides, flipped.

use hikyaku::checks::{EvidenceKind, Measured, RunOutcome, Subject, Verdict};
use hikyaku::scenario::plan::{Boundary, Plan, RunMetric};
use hikyaku::types::Seed;

use crate::common::{load, lost, parse, repeated, run, run_all};

fn plan(scenario: &str, sets: &[&str]) -> Plan {
    load(&format!("scenarios/{scenario}.toml"), sets).cells[0].plan(Seed(1))
}

fn outcome(scenario: &str, sets: &[&str]) -> RunOutcome {
    run(&plan(scenario, sets)).0
}

#[test]
fn retention_decides_whether_a_consumer_that_is_away_loses() {
    let scenario = "a_consumer_that_is_down_does_not_hurt_the_producer";
    assert_eq!(lost(&outcome(scenario, &["topic.orders.retention=1h"])), 0);
    let short = outcome(scenario, &["topic.orders.retention=10s"]);
    assert!(0 < lost(&short));
    assert_eq!(short.counters.accepted, short.counters.arrived, "the producer does not notice");
    let evidence = short.places.iter().flat_map(|place| &place.evidence);
    for item in evidence.filter(|item| item.kind == EvidenceKind::Lost) {
        assert_eq!(item.blame.as_ref().map(|blame| blame.boundary), Some(Boundary::Queue), "{}", item.message);
    }
}

#[test]
fn a_commit_that_is_not_waited_for_repeats_more_and_a_final_one_nothing() {
    let scenario = "commits_that_are_not_waited_for_widen_the_window";
    let of = |commit: &str, stop: &str| {
        repeated(&outcome(scenario, &[&format!("commit={commit}"), &format!("stop={stop}")]))
    };
    let (waits, goes_on) = (of("sync", "crash"), of("async", "crash"));
    assert!(waits <= 3, "one for each of three crashes: {waits}");
    assert!(10 * waits.max(1) < goes_on, "{goes_on} against {waits}");
    assert_eq!(of("async", "in-order"), 0);
    assert!(0 < of("async", "abandoned"));
}

/// The last commit before the quiet is lost, or one that a newer one follows.
#[test]
fn a_failed_commit_is_made_again_if_no_newer_one_was_made() {
    let scenario = "commits_that_are_not_waited_for_widen_the_window";
    let family = load(&format!("scenarios/{scenario}.toml"), &["matrix.stop=[\"last-lost\", \"older-lost\"]"]);
    let runs = run_all(&family, 0..8);
    let of = |commit: &str, stop: &str| -> u64 {
        let cell = family.cells.iter().position(|cell| cell.id == format!("commit={commit},stop={stop}"));
        let runs = runs.iter().filter(|run| Some(run.cell) == cell);
        runs.map(|run| repeated(&run.outcome)).sum()
    };
    assert!(0 < of("async", "last-lost"));
    assert_eq!((of("retry", "last-lost"), of("retry-always", "last-lost")), (0, 0));
    assert_eq!((of("async", "older-lost"), of("retry", "older-lost")), (0, 0));
    assert!(0 < of("retry-always", "older-lost"), "it went back behind a newer one");
}

#[test]
fn a_static_member_that_comes_back_moves_nothing() {
    let scenario = "pauses_and_deployments_cost_what_the_group_is_set_to";
    assert!(0 < outcome(scenario, &["what=eager"]).counters.rebalances);
    assert_eq!(outcome(scenario, &["what=static"]).counters.rebalances, 0);
    let zombie = outcome(scenario, &["what=zombie"]);
    assert!(0 < repeated(&zombie));
    assert_eq!(repeated(&outcome(scenario, &["what=short-pause"])), 0);
}

/// Between two records of a batch: what commits by the batch does again what it had done of it, what commits each record nothing.
#[test]
fn a_crash_in_the_middle_of_a_batch_repeats_what_was_done_of_it() {
    let repeated_with = |commit: &str| {
        let text = format!(
            r#"
format   = 1
about    = "A consumer dies in the middle of a batch: is anything done again?"
duration = "30s"
[cluster]
brokers = 1
[topic.orders]
partitions = 1
[store.db]
tables = ["bookings"]
[service.shop]
on      = "requests"
rate    = "80/s"
workers = 16
steps   = ["publish orders", "respond ok"]
[service.booking]
on                = "consume orders"
auto-offset-reset = "earliest"
session-timeout   = "6s"
steps             = ["add db.bookings", "{commit}"]
[fault]
crash = "when any 3 mid-batch(booking) for 1s crash self"
[expect]
db.bookings = "may-repeat"
"#
        );
        let outcome = run(&parse("mid_batch", &text).cells[0].plan(Seed(1))).0;
        assert_eq!((outcome.counters.crashes, outcome.verdict), (3, Verdict::Holds), "{:?}", outcome.reasons);
        repeated(&outcome)
    };
    assert!(3 <= repeated_with("commit every batch"));
    assert_eq!(repeated_with("commit"), 0);
}

/// Work of brokers is what they are given: a commit for each record is a request for each.
#[test]
fn brokers_are_given_a_request_for_each_commit() {
    let bounds = ["expect.broker-requests=any", "expect.broker-bytes=any", "fault.crash=at 29s for 1s crash booking"];
    let work = |commit: &str| {
        let steps = format!("service.booking.steps=[\"insert-if-absent db.bookings\", \"{commit}\"]");
        let outcome = outcome("quickstart", &[&bounds[..], &[&steps]].concat());
        let value = |metric: RunMetric| {
            let found = outcome.expectations.iter().find(|one| one.subject == Subject::Run { metric });
            match found.map(|one| one.measured) {
                Some(Measured::Value(value)) => value,
                other => panic!("{metric:?}: {other:?}"),
            }
        };
        (value(RunMetric::BrokerRequests), value(RunMetric::BrokerBytes))
    };
    let ((each, bytes), (seldom, fewer_bytes)) = (work("commit"), work("commit every 100"));
    assert!(1_000.0 < each - seldom && each - seldom < 2_000.0, "{each} and {seldom} of some 1,500 records");
    assert!(1_500.0 * 1024.0 < fewer_bytes && fewer_bytes < bytes, "{bytes} and {fewer_bytes}");
}

//! The promise that carries all others: what the queue has acknowledged with acks=all survives crashes and partitions of
//! its leaders. The same plans lose records with acks=1, and with the guard taken out that makes the leader wait for its
//! followers: the check bites. `tests/data/acked_records_survive.toml` is the large form of it.

use std::collections::BTreeMap;

use hikyaku::checks::{Invariant, RunOutcome, Verdict, WaitOptions};
use hikyaku::explore::{SeedRun, run_seed};
use hikyaku::history::Happening;
use hikyaku::history::event::StopReason;
use hikyaku::scenario::Family;
use hikyaku::scenario::plan::Plan;
use hikyaku::types::note::{CallerOutcome, Note};
use hikyaku::types::{Guard, Seed};

use crate::common::{load, lost, parse, run_all};

const SCENARIO: &str = "tests/data/acked_records_survive.toml";
const SEEDS: u64 = 40;

fn family(sets: &[&str]) -> Family {
    load(SCENARIO, sets)
}

fn losing(runs: &[SeedRun]) -> u64 {
    runs.iter().filter(|run| lost(&run.outcome) > 0).count() as u64
}

/// Whether a partition got another leader while some record was with the producer and not settled.
fn leader_changed_under_way(plan: &Plan) -> (bool, RunOutcome) {
    let (mut under_way, mut changed, mut leading) = (0_u64, false, None);
    let (outcome, report) = run_seed(plan, WaitOptions::default(), |event| match &event.what {
        Happening::Note(Note::Sent { .. }) => under_way += 1,
        Happening::Note(Note::SendSucceeded { .. } | Note::SendFailed { .. }) => under_way -= 1,
        Happening::Note(Note::BecameLeader { partition, .. }) if partition.topic == plan.topics[0].id => {
            changed |= leading.is_some_and(|node| node != event.node) && under_way > 0;
            leading = Some(event.node);
        }
        _ => {}
    });
    assert_eq!(report.panic, None, "seed {}", plan.seed.0);
    assert_eq!(under_way, 0, "seed {}: every record is settled at the end", plan.seed.0);
    (changed, outcome)
}

#[test]
fn an_acknowledged_record_survives_crashes_and_partitions() {
    let family = family(&[]);
    let plans: Vec<Plan> = (0..SEEDS).map(|seed| family.cells[0].plan(Seed(seed))).collect();
    let (even, odd) = plans.split_at(plans.len() / 2);
    let half = |plans: &[Plan]| plans.iter().map(leader_changed_under_way).collect::<Vec<_>>();
    let results: Vec<(bool, RunOutcome)> = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(odd));
        let mut all = half(even);
        all.extend(other.join().unwrap());
        all
    });
    let changed = results.iter().filter(|(changed, _)| *changed).count() as u64;
    let accepted: u64 = results.iter().map(|(_, outcome)| outcome.counters.accepted).sum();
    println!("acks=all: {SEEDS} seeds, {accepted} acknowledged, leader changed under way in {changed}");
    for (_, outcome) in &results {
        assert_eq!(lost(outcome), 0, "seed {}: {:?}", outcome.seed.0, outcome.reasons);
        assert_eq!(outcome.invariant_violations, [], "seed {}", outcome.seed.0);
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {}: {:?}", outcome.seed.0, outcome.reasons);
        assert!(outcome.counters.leader_changes > 0 && outcome.never_fired.is_empty(), "seed {}", outcome.seed.0);
    }
    assert!(accepted > SEEDS * 3000, "{accepted} acknowledged records are too few to prove anything");
    assert!(2 * changed >= SEEDS, "a leader changed under way in {changed} of {SEEDS} seeds");
}

#[test]
fn the_same_faults_lose_records_that_only_the_leader_acknowledged() {
    let runs = run_all(&family(&["service.shop.acks=1"]), 0..SEEDS);
    println!("acks=1: lost in {} of {SEEDS} seeds", losing(&runs));
    assert!(20 * losing(&runs) >= SEEDS, "acks=1 loses in {} of {SEEDS} seeds", losing(&runs));
    let broken = runs.iter().filter(|run| !run.outcome.invariant_violations.is_empty()).count();
    assert_eq!(broken, 0, "acks=1 breaks no rule of the queue; it promises less");
}

#[test]
fn without_waiting_for_followers_an_acknowledged_record_is_lost_and_the_loss_is_seen() {
    let mut family = family(&[]);
    family.switch_off(&[Guard::AckAfterReplication]);
    let runs = run_all(&family, 0..SEEDS);
    println!("without P11: lost in {} of {SEEDS} seeds", losing(&runs));
    assert!(20 * losing(&runs) >= SEEDS, "without P11 only {} of {SEEDS} seeds lose", losing(&runs));
    for run in runs.iter().filter(|run| lost(&run.outcome) > 0) {
        assert_eq!(run.outcome.verdict, Verdict::Violated, "seed {}", run.seed.0);
    }
}

/// The witness is the caller: what it was told was accepted is in the log of the last leader, whoever judges.
#[test]
fn the_callers_ok_is_what_is_counted() {
    let plan = family(&["duration=4s"]).cells[0].plan(Seed(7));
    let mut accepted = 0;
    let (outcome, _) = run_seed(&plan, WaitOptions::default(), |event| {
        if let Happening::Note(Note::CallerSettled { outcome: CallerOutcome::Accepted, .. }) = event.what {
            accepted += 1;
        }
    });
    assert!(accepted > 1000, "{accepted} accepted");
    assert_eq!(outcome.counters.accepted, accepted);
    assert_eq!(outcome.places[0].expected, accepted);
}

/// Broker 1 hears nothing while the others commit; then broker 3 is away, and something happens to the disk of broker 2, the
/// only one left that knows.
fn only_one_voter_knows(disk_of_broker_2: &str) -> Family {
    let text = format!(
        r#"
format   = 1
about    = "What only one voter has left: does the quorum remember it?"
duration = "40s"
[cluster]
brokers                    = 3
default-replication-factor = 3
min-insync-replicas        = 2
[topic.orders]
partitions = 2
[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish orders", "respond ok"]
[fault]
apart = "at 2s for 24s isolate broker(1)"
gone  = "at 20s for 20s crash broker(3)"
disk  = "at 22s for 2s {disk_of_broker_2} broker(2)"
[expect]
orders = {{ loss = "any", duplicates = "any", pending = "any" }}
"#
    );
    parse("quorum", &text)
}

/// Whether a committed state of a partition ever went back, and what the checks say of the run.
fn forgets(family: &Family, seed: u64) -> (bool, RunOutcome) {
    let (mut newest, mut went_back) = (BTreeMap::new(), false);
    let (outcome, _) = run_seed(&family.cells[0].plan(Seed(seed)), WaitOptions::default(), |event| {
        if let Happening::Note(Note::PartitionChanged { partition, state, .. }) = &event.what {
            let known = newest.entry(*partition).or_insert(state.partition_epoch);
            went_back |= state.partition_epoch < *known;
            *known = state.partition_epoch;
        }
    });
    (went_back, outcome)
}

#[test]
fn a_quorum_forgets_with_a_wiped_disk_and_no_rule_of_the_queue_is_broken_by_that() {
    let wiped = only_one_voter_knows("wipe");
    for seed in 0..3 {
        let (went_back, outcome) = forgets(&wiped, seed);
        assert!(went_back, "seed {seed}: nothing was forgotten");
        assert_eq!(outcome.invariant_violations, [], "seed {seed}");
    }
}

#[test]
fn a_quorum_that_flushes_survives_a_power_loss_and_one_that_does_not_is_found() {
    let mut family = only_one_voter_knows("lose-power");
    for seed in 0..3 {
        let (went_back, outcome) = forgets(&family, seed);
        assert!(!went_back, "seed {seed}");
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {seed}: {:?}", outcome.reasons);
    }
    family.switch_off(&[Guard::QuorumFlush]);
    for seed in 0..3 {
        let (went_back, outcome) = forgets(&family, seed);
        let found = outcome.invariant_violations.iter().any(|found| found.invariant == Invariant::FencedIsOut);
        assert!(went_back && found, "seed {seed}: R21 is not seen");
    }
}

/// Two of three voters begin anew while the third is down, and give epochs out a second time: its log is of both quorums.
const TWO_QUORUMS: &str = r#"
format   = 1
about    = "Two of three voters begin anew: what becomes of the third?"
duration = "30s"
[cluster]
brokers                    = 3
default-replication-factor = 3
min-insync-replicas        = 2
[topic.orders]
partitions = 2
[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish orders", "respond ok"]
[fault]
gone  = "at 3s for 10s crash broker(1)"
two   = "at 5s for 1s wipe broker(2)"
three = "at 5s for 1.3s wipe broker(3)"
late  = "at 17s for 2s pause broker(3)"
again = "at 18s for 3s restart broker(2)"
[expect]
orders = { loss = "any", duplicates = "any", pending = "any" }
"#;

#[test]
fn a_voter_whose_log_is_of_two_quorums_ends_and_breaks_nothing() {
    let family = parse("two-quorums", TWO_QUORUMS);
    let mut ended = 0;
    for seed in 0..4 {
        let (outcome, report) = run_seed(&family.cells[0].plan(Seed(seed)), WaitOptions::default(), |event| {
            ended += u64::from(matches!(event.what, Happening::Stopped { why: StopReason::Own }));
        });
        assert_eq!(report.panic, None, "seed {seed}");
        assert_eq!(outcome.invariant_violations, [], "seed {seed}");
    }
    assert!(ended > 0, "no voter had such a log");
}

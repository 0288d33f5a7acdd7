//! Groups keep their promises while members come, go and freeze and coordinators move, by either protocol; and each guard that
//! keeps them is needed: without it the invariant that it stands for is broken, on the same seeds.

use hikyaku::checks::{Invariant, RunOutcome, Verdict};
use hikyaku::explore::{SeedRun, run_seed};
use hikyaku::history::Happening;
use hikyaku::scenario::Family;
use hikyaku::types::note::{GroupState, Note};
use hikyaku::types::{Duration, Guard, Seed, Time};

use crate::common::{broken, load, lost, parse, pending, repeated, run_all, sum};

const SEEDS: u64 = 6;

fn family() -> Family {
    load("tests/data/groups_hold.toml", &[])
}

/// One protocol without a guard.
fn without(guard: Guard, protocol: &str) -> Vec<SeedRun> {
    let mut family = family();
    family.cells.retain(|cell| cell.id == format!("protocol={protocol}"));
    assert_eq!(family.cells.len(), 1, "a protocol of the scenario");
    family.switch_off(&[guard]);
    run_all(&family, 0..SEEDS)
}

#[test]
fn every_partition_has_one_owner_whatever_fails() {
    let runs = run_all(&family(), 0..SEEDS);
    for run in &runs {
        let outcome = &run.outcome;
        assert_eq!(outcome.invariant_violations, [], "{} seed {}", outcome.cell, run.seed.0);
        assert_eq!(outcome.verdict, Verdict::Holds, "{} seed {}: {:?}", outcome.cell, run.seed.0, outcome.reasons);
    }
    let applied = sum(&runs, |outcome| outcome.counters.applied);
    let rebalances = sum(&runs, |outcome| outcome.counters.rebalances);
    println!("{} runs: {applied} applied, {rebalances} rebalances", runs.len());
    assert!(applied > runs.len() as u64 * 350, "{applied} effects are too few to prove anything");
    assert!(rebalances >= 4 * runs.len() as u64, "{rebalances} rebalances");
}

#[test]
fn without_fencing_the_commit_of_a_zombie_is_taken() {
    for protocol in ["eager", "consumer"] {
        let runs = without(Guard::GenerationFencing, protocol);
        assert!(broken(&runs, Invariant::CommitsAreCurrent) > 0, "G1 is not seen by {protocol}");
    }
}

/// KAFKA-14639: what is asked for and what is given cross each other.
#[test]
fn what_moves_within_a_round_gets_a_second_owner() {
    assert!(broken(&without(Guard::RevokeBeforeAssign, "cooperative"), Invariant::OneOwner) > 0, "G9 is not seen");
}

/// KAFKA-16147.
#[test]
fn a_partition_whose_epoch_is_lost_gets_a_second_owner() {
    assert!(broken(&without(Guard::PartitionEpochKept, "consumer"), Invariant::OneOwner) > 0, "G10 is not seen");
}

#[test]
fn a_partition_that_was_only_asked_for_gets_a_second_owner() {
    assert!(broken(&without(Guard::RevocationAcknowledged, "consumer"), Invariant::OneOwner) > 0, "G11 is not seen");
}

/// zio-kafka #469: the application's buffer is thrown away in a round, and the position stays behind it.
#[test]
fn records_that_are_thrown_away_in_a_round_are_lost() {
    let runs = without(Guard::KeptRecords, "cooperative");
    assert!(sum(&runs, lost) > 0, "G21 is not seen");
}

/// As in Kafka: a commit of a member of the generation is taken, however late. No invariant of the queue is broken.
#[test]
fn a_commit_on_a_connection_that_was_given_up_takes_the_group_back() {
    let family = load("tests/data/a_late_commit_takes_the_group_back.toml", &[]);
    let runs = run_all(&family, family.seeds.clone());
    assert!(sum(&runs, repeated) > 0 && sum(&runs, lost) == 0);
    assert_eq!(runs[0].outcome.invariant_violations, []);
}

/// As in Kafka: how old an offset is says the coordinator's own clock. It is the group's promise, and no invariant of the queue.
#[test]
fn a_coordinator_whose_clock_runs_ahead_expires_offsets() {
    let family = load("tests/data/a_clock_that_runs_ahead_expires_offsets.toml", &[]);
    let runs = run_all(&family, family.seeds.clone());
    assert!(sum(&runs, repeated) > 0 && sum(&runs, lost) == 0);
    for run in &runs {
        assert_eq!((run.outcome.verdict, &run.outcome.invariant_violations[..]), (Verdict::Holds, &[][..]));
    }
}

/// With the guard nothing of the kind happens, without it something does.
fn harm(name: &str, text: &str, guard: Guard, count: impl Fn(&RunOutcome) -> u64) {
    let family = parse(name, text);
    let runs = run_all(&family, 0..4);
    for run in &runs {
        assert_eq!(run.outcome.invariant_violations, [], "{name} seed {}", run.seed.0);
    }
    assert_eq!(sum(&runs, &count), 0, "{name}: harm though {guard} stands");
    let mut mutant = family;
    mutant.switch_off(&[guard]);
    assert!(sum(&run_all(&mutant, 0..4), &count) > 0, "{name}: {guard} is not seen");
}

const AUTO_COMMIT: &str = r#"
format   = 1
about    = "A consumer that commits automatically dies in the middle of a batch: is anything lost?"
duration = "30s"

[cluster]
brokers = 1

[topic.orders]
partitions = 2

[store.db]
tables = ["bookings"]

[service.shop]
on    = "requests"
rate  = "10/s"
steps = ["publish orders", "respond ok"]

[service.billing]
on                   = "consume orders"
auto-offset-reset    = "earliest"
enable-auto-commit   = true
auto-commit-interval = "200ms"
session-timeout      = "6s"
steps                = ["work 60ms..100ms", "insert-if-absent db.bookings"]

[fault]
first  = "at 5s for 1s crash billing"
second = "at 15s for 1s crash billing"

[expect]
db.bookings = "may-lose"
"#;

/// KAFKA-18641, and librdkafka's default: the clock commits what the application still has in hand.
#[test]
fn auto_commit_by_the_clock_loses_what_is_in_hand() {
    harm("auto_commit", AUTO_COMMIT, Guard::AutoCommitInPoll, lost);
}

/// The clock commits what the application still has in hand because the library does so, not because a guard is off.
#[test]
fn librdkafka_loses_what_is_in_hand_by_default() {
    let java = run_all(&parse("in_poll", AUTO_COMMIT), 0..4);
    assert_eq!(sum(&java, lost), 0);
    let text = AUTO_COMMIT.replace("auto-offset-reset ", "library = \"librdkafka\"\nauto-offset-reset ");
    assert!(sum(&run_all(&parse("by_clock", &text), 0..4), lost) > 0);
}

const RETENTION: &str = r#"
format   = 1
about    = "A quiet topic and offsets that are kept for five seconds: is a record skipped?"
duration = "60s"

[cluster]
brokers                          = 1
offsets-retention                = "5s"
offsets-retention-check-interval = "1s"

[topic.orders]
partitions = 1

[store.db]
tables = ["bookings"]

[service.shop]
on       = "requests"
rate     = "6/min"
arrivals = "constant"
steps    = ["publish orders", "respond ok"]

[service.billing]
on                = "consume orders"
auto-offset-reset = "latest"
session-timeout   = "6s"
steps             = ["insert-if-absent db.bookings", "commit"]

[fault]
away = "at 29s for 3s restart billing"

[expect]
db.bookings = "may-lose"
"#;

/// KAFKA-13636.
#[test]
fn offsets_of_a_group_that_reads_do_not_expire() {
    harm("retention", RETENTION, Guard::RetentionOfEmptyGroups, lost);
}

const SESSIONS: &str = r#"
format   = 1
about    = "A member and its coordinator die together: who reads its partitions?"
duration = "60s"
drain    = "60s"

[cluster]
brokers                        = 3
default-replication-factor     = 3
min-insync-replicas            = 2
group-consumer-session-timeout = "6s"

[topic.orders]
partitions = 4

[store.db]
tables = ["bookings"]

[service.shop]
on    = "requests"
rate  = "10/s"
steps = ["publish orders", "respond ok"]

[service.billing]
on                = "consume orders"
instances         = 2
auto-offset-reset = "earliest"
group-protocol    = "consumer"
steps             = ["insert-if-absent db.bookings", "commit"]

[fault]
coordinator = "at 10s for 5s crash coordinator(billing)"
member      = "at 10s for 45s crash instance(billing, 1)"

[expect]
db.bookings = { delivery = "exactly-once", pending = "any" }
"#;

#[test]
fn a_new_coordinator_waits_for_nobody_for_ever() {
    harm("sessions", SESSIONS, Guard::SessionsAfterLoad, pending);
}

/// The only broker that coordinates is down when an operator asks.
const ASKED: &str = r#"
format   = 1
about    = "An operator asks a coordinator that is down: is it done when somebody coordinates again?"
duration = "30s"

[cluster]
brokers                          = 3
offsets-topic-replication-factor = 1
broker-session-timeout           = "3s"
broker-heartbeat-interval        = "1s"

[topic.orders]
partitions  = 2
replication = 3

[store.db]
tables = ["bookings"]

[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish orders", "respond ok"]

[service.booking]
on                = "consume orders"
auto-offset-reset = "earliest"
session-timeout   = "6s"
steps             = ["insert-if-absent db.bookings", "commit"]

[fault]
gone  = "at 8s for 6s crash coordinator(booking)"

[expect]
db.bookings = "exactly-once"
"#;

#[test]
fn what_an_operator_asks_for_waits_for_a_coordinator() {
    let expired = |note: &Note| matches!(note, Note::OffsetExpired { .. });
    let rebalanced = |note: &Note| matches!(note, Note::GroupChanged { state: GroupState::PreparingRebalance, .. });
    let away = "away = \"at 5s for 17s crash booking\"\nasked = \"at 13s expire offsets(booking)\"";
    let asked: [(&str, fn(&Note) -> bool); 2] = [(away, expired), ("asked = \"at 9s rebalance booking\"", rebalanced)];
    for (fault, is_done) in asked {
        // The broker is back six seconds later; what was asked for is done at once, or when the group is empty.
        let done = |fault: &str| {
            let text = ASKED.replace("[fault]\n", &format!("[fault]\n{fault}\n"));
            let plan = parse("asked", &text).cells[0].plan(Seed(0));
            let mut done = 0;
            let (outcome, _) = run_seed(&plan, Default::default(), |event| {
                let since = Time::LOAD_START + Duration::from_secs(8);
                done +=
                    usize::from(since < event.time && matches!(&event.what, Happening::Note(note) if is_done(note)));
            });
            assert_eq!(outcome.verdict, Verdict::Holds, "{fault}: {:?}", outcome.reasons);
            done
        };
        let without = fault.split_once("asked = ").expect("it is asked").0;
        assert!(done(without) < done(fault), "{fault}: {} and {}", done(without), done(fault));
    }
}

#[test]
fn an_instance_that_cannot_stop_in_order_is_started_again() {
    let family = load("tests/data/who_cannot_stop_is_started_again.toml", &[]);
    let runs = run_all(&family, family.seeds.clone());
    assert_eq!(sum(&runs, |outcome| outcome.counters.crashes), 1, "it was ended, and not by a fault");
    assert_eq!(runs[0].outcome.verdict, Verdict::Holds, "{:?}", runs[0].outcome.reasons);
}

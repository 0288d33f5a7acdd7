//! Idempotent producers keep their promises when answers are lost, batches expire or are too large, and leaders die, and each
//! guard that keeps them is needed: without it the checks see what breaks, on the same seeds.

use hikyaku::checks::{Invariant, Verdict};
use hikyaku::explore::SeedRun;
use hikyaku::types::Guard;

use crate::common::{broken, load, lost, parse, repeated, run_all, sum};

const HOLD: &str = "tests/data/producers_hold.toml";
const ATTACKED: &str = "tests/data/producers_attacked.toml";
const FLAP: &str = "tests/data/producers_flap.toml";
const SEEDS: u64 = 6;
/// The first of them, in which each mutant shows itself.
const FEW_SEEDS: u64 = 3;

fn without(guard: Guard, scenario: &str, sets: &[&str]) -> Vec<SeedRun> {
    let mut family = load(scenario, sets);
    family.switch_off(&[guard]);
    run_all(&family, 0..FEW_SEEDS)
}

#[test]
fn what_is_sent_is_there_once_and_in_order() {
    for (scenario, least) in [(HOLD, 500), (ATTACKED, 1_000), (FLAP, 80)] {
        let runs = run_all(&load(scenario, &[]), 0..SEEDS);
        for run in &runs {
            let outcome = &run.outcome;
            assert_eq!(outcome.invariant_violations, [], "{scenario} {} seed {}", run.outcome.cell, run.seed.0);
            assert_eq!(outcome.verdict, Verdict::Holds, "{scenario} seed {}: {:?}", run.seed.0, outcome.reasons);
        }
        let applied = sum(&runs, |outcome| outcome.counters.applied);
        let again = sum(&runs, |outcome| outcome.counters.batches_deduplicated);
        println!("{scenario}: {applied} applied, {again} batches recognised");
        assert!(applied >= least * runs.len() as u64, "{scenario}: {applied} effects are too few to prove anything");
        assert!(scenario != HOLD || again > SEEDS, "{again} batches came again");
    }
}

/// KAFKA-5494.
#[test]
fn a_leader_that_remembers_too_little_repeats() {
    assert!(broken(&without(Guard::RetainedBatches, HOLD, &[]), Invariant::SendsLandOnce) > 0, "P3 is not seen");
}

/// KIP-360: what the log has lost by retention is sent again under the same epoch.
#[test]
fn a_producer_that_is_forgotten_with_its_records_repeats() {
    assert!(
        sum(&without(Guard::ProducerOutlivesRecords, ATTACKED, &["attack=retention"]), repeated) > 0,
        "P6 is not seen"
    );
}

/// KAFKA-14034.
#[test]
fn a_new_epoch_at_once_repeats_what_is_in_the_log() {
    let runs = without(Guard::EpochAfterDrain, HOLD, &[]);
    assert!(broken(&runs, Invariant::SendsLandOnce) > 0, "P7 is not seen");
}

/// KAFKA-12152.
#[test]
fn partitions_that_go_on_in_a_new_epoch_ask_for_the_next() {
    let runs = without(Guard::EverySequenceRestarts, HOLD, &[]);
    assert!(broken(&runs, Invariant::EpochsHaveReasons) > 0, "P8 is not seen");
}

/// KAFKA-19012.
#[test]
fn a_batch_whose_place_is_given_away_too_early_goes_astray() {
    let runs = without(Guard::BatchOutlivesRequest, HOLD, &[]);
    assert!(broken(&runs, Invariant::RecordsAreWhereTheyWereSent) > 0, "P14 is not seen");
}

/// KAFKA-9312.
#[test]
fn a_flush_that_forgets_the_parts_of_a_batch_loses_them() {
    assert!(sum(&without(Guard::FlushWaitsForSplits, ATTACKED, &["attack=too-large"]), lost) > 0, "P15 is not seen");
}

/// librdkafka issue 3712.
#[test]
fn sequences_that_begin_again_are_taken_for_repetitions() {
    let runs = without(Guard::SequencesOutliveMetadata, FLAP, &[]);
    assert!(broken(&runs, Invariant::SendsAreToldTruly) > 0, "P18 is not seen");
}

/// KAFKA-14034, which is open: what Kafka's producer does, ours does too, and it is seen. Found by a mix of faults.
#[test]
fn a_batch_whose_first_request_comes_late_is_there_twice() {
    let family = load("tests/data/an_unanswered_request_may_come_late.toml", &[]);
    let runs = run_all(&family, family.seeds.clone());
    assert_eq!(broken(&runs, Invariant::SendsLandOnce), runs.len());
    assert!(sum(&runs, repeated) > 0);
}

/// As in Kafka: a leader that has never seen a record of a producer takes whatever comes first (KIP-360). Found by a mix of faults.
#[test]
fn a_batch_that_is_sent_again_behind_retention_is_there_twice() {
    let family = load("tests/data/what_has_expired_is_not_recognised.toml", &[]);
    let runs = run_all(&family, family.seeds.clone());
    assert!(sum(&runs, repeated) > 0);
    assert_eq!(runs[0].outcome.invariant_violations, []);
}

/// Answers get lost one by one, with their connections: the outcome that nobody can tell, without any crash.
const LOST_ANSWERS: &str = r#"
format   = 1
about    = "Answers of brokers get lost: is a record in the log twice?"
duration = "20s"
seeds    = 5
[cluster]
brokers                    = 3
default-replication-factor = 3
min-insync-replicas        = 2
[topic.orders]
partitions = 2
[service.shop]
on                 = "requests"
rate               = "50/s"
enable-idempotence = false
steps              = ["publish orders", "respond ok"]
[fault]
flaky = "at 2s for 15s reset brokers -> shop rate 10% kind produce"
[expect]
orders = "exactly-once"
"#;

#[test]
fn answers_that_get_lost_repeat_unless_the_producer_is_idempotent() {
    let runs = run_all(&parse("lost-answers", LOST_ANSWERS), 0..FEW_SEEDS);
    assert!(20 * FEW_SEEDS < sum(&runs, repeated), "{} are there twice", sum(&runs, repeated));
    assert_eq!(sum(&runs, lost), 0, "what is sent again is not lost");
    let safe = LOST_ANSWERS.replace("enable-idempotence = false", "enable-idempotence = true");
    let safe = run_all(&parse("lost-answers", &safe), 0..FEW_SEEDS);
    assert!(safe.iter().all(|run| run.outcome.verdict == Verdict::Holds), "a broker knows what it has");
    assert!(20 * FEW_SEEDS < sum(&safe, |outcome| outcome.counters.batches_deduplicated));
}

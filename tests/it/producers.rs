//! Idempotent producers keep their promises when answers are lost, batches expire and leaders die, and each guard that keeps
//! them is needed: without it the checks see what breaks, on the same seeds.

use hikyaku::checks::{Invariant, RunOutcome, Verdict};
use hikyaku::explore::SeedRun;
use hikyaku::types::Guard;

use crate::common::{load, run_all};

const SCENARIO: &str = "tests/data/producers_hold.toml";
const SEEDS: u64 = 8;
/// The first of them, in which each mutant shows itself.
const FEW_SEEDS: u64 = 2;

fn without(guard: Guard) -> Vec<SeedRun> {
    let mut family = load(SCENARIO, &[]);
    family.switch_off(&[guard]);
    run_all(&family, 0..FEW_SEEDS)
}

fn sum(runs: &[SeedRun], count: impl Fn(&RunOutcome) -> u64) -> u64 {
    runs.iter().map(|run| count(&run.outcome)).sum()
}

fn broken(runs: &[SeedRun], invariant: Invariant) -> usize {
    let breaks = |run: &&SeedRun| run.outcome.invariant_violations.iter().any(|found| found.invariant == invariant);
    runs.iter().filter(breaks).count()
}

#[test]
fn what_is_sent_is_there_once_and_in_order() {
    let runs = run_all(&load(SCENARIO, &[]), 0..SEEDS);
    for run in &runs {
        let outcome = &run.outcome;
        assert_eq!(outcome.invariant_violations, [], "seed {}", run.seed.0);
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {}: {:?}", run.seed.0, outcome.reasons);
    }
    let (applied, again) =
        (sum(&runs, |outcome| outcome.counters.applied), sum(&runs, |outcome| outcome.counters.batches_deduplicated));
    println!("{SEEDS} seeds: {applied} applied, {again} batches recognised");
    assert!(applied > SEEDS * 500, "{applied} effects are too few to prove anything");
    assert!(again > SEEDS, "{again} batches came again");
}

/// KAFKA-14034.
#[test]
fn a_new_epoch_at_once_repeats_what_is_in_the_log() {
    let runs = without(Guard::EpochAfterDrain);
    assert!(broken(&runs, Invariant::SendsLandOnce) > 0, "P7 is not seen");
    let repeated = sum(&runs, |outcome| outcome.places.iter().map(|place| place.repeated_harmful).sum());
    assert!(repeated > 0, "nothing is repeated");
}

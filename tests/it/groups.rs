//! Groups keep their promises while members come, go and freeze and coordinators move, by either protocol; and each guard that
//! keeps them is needed: without it the invariant that it stands for is broken, on the same seeds.

use hikyaku::checks::{Invariant, RunOutcome, Verdict};
use hikyaku::explore::SeedRun;
use hikyaku::scenario::Family;
use hikyaku::types::Guard;

use crate::common::{load, run_all};

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

fn sum(runs: &[SeedRun], count: impl Fn(&RunOutcome) -> u64) -> u64 {
    runs.iter().map(|run| count(&run.outcome)).sum()
}

fn broken(runs: &[SeedRun], invariant: Invariant) -> usize {
    let breaks = |run: &&SeedRun| run.outcome.invariant_violations.iter().any(|found| found.invariant == invariant);
    runs.iter().filter(breaks).count()
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
    assert!(rebalances >= 8 * runs.len() as u64, "{rebalances} rebalances");
}

#[test]
fn without_fencing_the_commit_of_a_zombie_is_taken() {
    for protocol in ["eager", "cooperative", "consumer"] {
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
    assert!(sum(&runs, |outcome| outcome.places.iter().map(|place| place.lost).sum()) > 0, "G21 is not seen");
}

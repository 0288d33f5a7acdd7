//! Transactions of the queue keep their promises under aborts, zombies, slow markers and failovers, and each guard that
//! keeps them is needed: without it the checks see what breaks, on the same seeds.

use hikyaku::checks::{Invariant, RunOutcome, Verdict};
use hikyaku::explore::SeedRun;
use hikyaku::scenario::Family;
use hikyaku::types::Guard;

use crate::common::{load, run_all};

const SCENARIO: &str = "tests/data/transactions_hold.toml";
const SEEDS: u64 = 12;
/// The first of them, in which each mutant shows itself.
const FEW_SEEDS: u64 = 4;

fn family() -> Family {
    load(SCENARIO, &[])
}

fn without(guards: &[Guard]) -> Vec<SeedRun> {
    let mut family = family();
    family.switch_off(guards);
    run_all(&family, 0..FEW_SEEDS)
}

fn sum(runs: &[SeedRun], count: impl Fn(&RunOutcome) -> u64) -> u64 {
    runs.iter().map(|run| count(&run.outcome)).sum()
}

fn lost(outcome: &RunOutcome) -> u64 {
    outcome.places.iter().map(|place| place.lost).sum()
}

fn pending(outcome: &RunOutcome) -> u64 {
    outcome.places.iter().map(|place| place.pending).sum()
}

fn repeated(outcome: &RunOutcome) -> u64 {
    outcome.places.iter().map(|place| place.repeated_harmful).sum()
}

fn broken(runs: &[SeedRun], invariant: Invariant) -> usize {
    let breaks = |run: &&SeedRun| run.outcome.invariant_violations.iter().any(|found| found.invariant == invariant);
    runs.iter().filter(breaks).count()
}

#[test]
fn what_is_in_a_transaction_happens_once_whatever_fails() {
    let runs = run_all(&family(), 0..SEEDS);
    for run in &runs {
        let outcome = &run.outcome;
        assert_eq!(outcome.invariant_violations, [], "seed {}", run.seed.0);
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {}: {:?}", run.seed.0, outcome.reasons);
    }
    let applied = sum(&runs, |outcome| outcome.counters.applied);
    let crashes = sum(&runs, |outcome| outcome.counters.crashes);
    println!("{SEEDS} seeds: {applied} applied, {crashes} crashes");
    assert!(applied > SEEDS * 900, "{applied} effects are too few to prove anything");
    assert!(crashes >= 3 * SEEDS, "{crashes} crashes");
}

/// A process that was paused for longer than its session comes back and commits what its successor has done, too.
#[test]
fn without_fencing_by_generation_a_zombie_repeats() {
    let runs = without(&[Guard::TransactionalGenerationFencing]);
    assert!(sum(&runs, repeated) > 0, "T6 is not seen");
}

/// The new owner begins in front of what is decided and not yet marked.
#[test]
fn without_stable_offsets_the_next_owner_repeats() {
    let runs = without(&[Guard::StableOffsets]);
    assert!(sum(&runs, repeated) > 0, "T7 is not seen");
}

#[test]
fn without_resuming_what_was_decided_nothing_goes_on() {
    let runs = without(&[Guard::ResumeDecided]);
    assert!(sum(&runs, pending) > 0, "T9 is not seen");
}

#[test]
fn reading_one_offset_too_many_reads_what_is_undecided() {
    let runs = without(&[Guard::StableOffsetIsExclusive]);
    assert!(broken(&runs, Invariant::ReadsAreCommitted) > 0, "T14 is not seen");
}

#[test]
fn believing_a_marker_too_early_reads_what_may_still_go() {
    let runs = without(&[Guard::UnreplicatedMarker]);
    assert!(broken(&runs, Invariant::ReadsAreCommitted) > 0, "T15 is not seen");
}

#[test]
fn a_filter_that_ends_at_the_first_marker_reads_aborted_records_and_drops_committed_ones() {
    let runs = without(&[Guard::AbortedFilter]);
    assert!(broken(&runs, Invariant::ReadsAreCommitted) > 0, "T16 is not seen");
    assert!(sum(&runs, lost) > 0, "nothing is lost");
}

#[test]
fn without_an_epoch_for_each_transaction_two_of_them_are_one() {
    let runs = without(&[Guard::TransactionEpoch]);
    assert!(broken(&runs, Invariant::TransactionsAreAtomic) > 0, "T2 is not seen");
}

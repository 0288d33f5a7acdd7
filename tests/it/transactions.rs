//! Transactions of the queue keep their promises under aborts, zombies, slow markers and failovers, and each guard that
//! keeps them is needed: without it the checks see what breaks, on the same seeds.

use hikyaku::checks::{Invariant, Verdict};
use hikyaku::explore::SeedRun;
use hikyaku::scenario::Family;
use hikyaku::types::Guard;

use crate::common::{broken, load, lost, pending, repeated, run_all, sum};

const SCENARIO: &str = "tests/data/transactions_hold.toml";
const ATTACKED: &str = "tests/data/transactions_attacked.toml";
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

/// One attack of `transactions_attacked`, without the guard it is aimed at.
fn attacked(attack: &str, guard: Guard) -> Vec<SeedRun> {
    let mut family = load(ATTACKED, &[&format!("attack={attack}")]);
    family.switch_off(&[guard]);
    run_all(&family, 0..FEW_SEEDS)
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

#[test]
fn attacks_on_transactions_fail() {
    for run in run_all(&load(ATTACKED, &[]), 0..FEW_SEEDS) {
        let outcome = &run.outcome;
        assert_eq!(outcome.invariant_violations, [], "{} seed {}", outcome.cell, run.seed.0);
        assert_eq!(outcome.verdict, Verdict::Holds, "{} seed {}: {:?}", outcome.cell, run.seed.0, outcome.reasons);
    }
}

/// The older protocol does the same work; what may happen to it no fault here brings about.
#[test]
fn transactions_of_version_1_happen_once_under_the_same_faults() {
    let runs = run_all(&load(SCENARIO, &["cluster.transaction-version=1"]), 0..FEW_SEEDS);
    for run in &runs {
        let outcome = &run.outcome;
        assert_eq!(outcome.invariant_violations, [], "seed {}", run.seed.0);
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {}: {:?}", run.seed.0, outcome.reasons);
    }
    assert!(sum(&runs, |outcome| outcome.counters.applied) > FEW_SEEDS * 900);
}

/// With version 1 a late request to commit ends the next transaction (KAFKA-17754): that is its hazard, not a bug of ours.
#[test]
fn with_version_1_a_late_end_tears_the_next_transaction() {
    let family = load(ATTACKED, &["attack=late-end", "cluster.transaction-version=1"]);
    let runs = run_all(&family, 0..SEEDS);
    assert!(sum(&runs, repeated) + sum(&runs, lost) > 0, "no transaction is torn");
}

#[test]
fn a_late_end_that_is_not_fenced_ends_the_next_transaction() {
    let runs = attacked("late-end", Guard::EndFencing);
    assert!(broken(&runs, Invariant::FencedProducersHaveSuccessors) > 0, "T3 is not seen");
}

#[test]
fn a_producer_that_is_forgotten_within_its_transaction_repeats() {
    assert!(sum(&attacked("lost-answer", Guard::OpenProducerIsKept), repeated) > 0, "P5 is not seen");
}

#[test]
fn a_marker_answered_before_it_is_replicated_is_lost() {
    let runs = attacked("lost-marker", Guard::MarkerAfterReplication);
    assert!(broken(&runs, Invariant::TransactionsEndAsTold) > 0, "T8 is not seen");
}

#[test]
fn an_id_that_is_not_written_down_fences_its_own_producer() {
    let runs = attacked("last-epoch", Guard::RotationIsWritten);
    assert!(broken(&runs, Invariant::FencedProducersHaveSuccessors) > 0, "T12 is not seen");
}

#[test]
fn sequences_of_another_epoch_swallow_records() {
    let runs = without(&[Guard::EpochForgetsBatches]);
    assert!(broken(&runs, Invariant::SendsAreToldTruly) > 0, "T17 is not seen");
}

#[test]
fn a_producer_that_took_too_long_and_is_not_fenced_commits_half() {
    let runs = attacked("slow-process", Guard::ExpiryFences);
    assert!(broken(&runs, Invariant::TransactionsAreAtomic) > 0, "T19 is not seen");
    assert!(sum(&runs, lost) > 0, "nothing is lost");
}

#[test]
fn an_offset_that_expires_within_its_transaction_sends_the_group_back() {
    assert!(sum(&attacked("expiry", Guard::StagedOffsetsStay), repeated) > 0, "T20 is not seen");
}

/// Found by a mix of faults while this guard was missing, as it is in Kafka: two checks see it, each by itself.
#[test]
fn a_coordinator_that_answers_by_what_only_it_has_tears_a_transaction() {
    let mut family = load("tests/data/mutants/witnesses/T22.toml", &[]);
    family.switch_off(&[Guard::LoadedIsReplicated]);
    let runs = run_all(&family, family.seeds.clone());
    assert!(broken(&runs, Invariant::TransactionsEndAsTold) > 0, "T22 is not seen");
    assert!(broken(&runs, Invariant::TransactionsAreAtomic) > 0, "T22 is not seen");
}

/// Found by a mix of faults with every guard standing.
#[test]
fn offsets_that_a_deposed_coordinator_refuses_are_not_passed_over() {
    let family = load("tests/data/a_deposed_coordinator_refuses_offsets.toml", &[]);
    for run in run_all(&family, family.seeds.clone()) {
        assert_eq!(run.outcome.verdict, Verdict::Holds, "{:?}", run.outcome.reasons);
    }
}

/// Found by a mix of faults with every guard standing: offsets whose append was refused stayed staged, and nobody was told a
/// committed offset any more.
#[test]
fn offsets_that_were_refused_do_not_hold_the_group_up() {
    let family = load("tests/data/a_refused_commit_is_not_staged.toml", &[]);
    for run in run_all(&family, family.seeds.clone()) {
        assert_eq!(run.outcome.verdict, Verdict::Holds, "{:?}", run.outcome.reasons);
    }
}

/// Found by a mix of faults with every guard standing: the oldest of three was, and the set never grew again.
#[test]
fn of_several_proposals_the_newest_is_sent_again() {
    let family = load("tests/data/the_newest_proposal_is_sent_again.toml", &[]);
    for run in run_all(&family, family.seeds.clone()) {
        assert_eq!(run.outcome.verdict, Verdict::Holds, "{:?}", run.outcome.reasons);
    }
}

/// Found by a mix of faults with every guard standing: it went on in the epoch in which the fate of a batch was unknown.
#[test]
fn the_transaction_behind_an_expired_batch_has_another_epoch() {
    let family = load("tests/data/the_transaction_behind_an_expired_batch_has_another_epoch.toml", &[]);
    for run in run_all(&family, family.seeds.clone()) {
        assert_eq!(run.outcome.verdict, Verdict::Holds, "seed {}: {:?}", run.seed.0, run.outcome.reasons);
    }
}

/// Reported by a mix of faults with every guard standing, though the older protocol allows it.
#[test]
fn whose_transaction_a_late_request_has_ended_is_not_fenced_without_a_reason() {
    let family = load("tests/data/whose_transaction_a_late_request_has_ended.toml", &[]);
    for run in run_all(&family, family.seeds.clone()) {
        assert_eq!(run.outcome.verdict, Verdict::Holds, "{:?}", run.outcome.reasons);
    }
}

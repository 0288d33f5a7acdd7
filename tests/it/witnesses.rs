//! Witnesses of what a rule is for, as scenarios: each fault is written down, the correct machine holds under all of them, and
//! without the guard the named oracle sees the harm.

use hikyaku::checks::{Invariant, Verdict};
use hikyaku::types::Guard;

use crate::common::{broken, load, run_all};

fn bites(file: &str, guard: Guard, oracles: &[Invariant]) {
    let mut family = load(&format!("tests/data/{file}.toml"), &[]);
    for run in run_all(&family, family.seeds.clone()) {
        assert_eq!(run.outcome.verdict, Verdict::Holds, "{file}, seed {}: {:?}", run.seed.0, run.outcome.reasons);
    }
    family.switch_off(&[guard]);
    let runs = run_all(&family, family.seeds.clone());
    assert!(oracles.iter().any(|oracle| broken(&runs, *oracle) > 0), "{guard} is not seen");
}

#[test]
fn a_leader_of_an_old_epoch_counts_nobody() {
    bites(
        "a_leader_of_an_old_epoch_counts_nobody",
        Guard::FetchEpochFencing,
        &[Invariant::AcknowledgedIsDurable, Invariant::CandidatesComplete],
    );
}

#[test]
fn a_request_from_before_a_loss_admits_nobody() {
    bites("a_request_from_before_a_loss_admits_nobody", Guard::BrokerEpochCheck, &[Invariant::CandidatesComplete]);
}

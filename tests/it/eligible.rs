//! Eligible leader replicas (KIP-966): the last replica in sync loses power. With them, nothing that was acknowledged is lost;
//! without them it is. Each of their guards, taken away, does harm that its own invariant sees.

use hikyaku::checks::{Invariant, RunOutcome, Verdict};
use hikyaku::scenario::Family;
use hikyaku::types::{Guard, Seed};

use crate::common::{load, lost, parse, run, run_all};

/// Brokers 1 and 2 are cut off one after the other; then broker 3, alone in sync, loses power.
const LAST_ONE_STANDING: &str = r#"
format   = 1
about    = "The last replica in sync loses power: is lost what two others hold?"
duration = "42s"

[cluster]
brokers                          = 3
controllers                      = 3
controller-nodes                 = "separate"
default-replication-factor       = 3
min-insync-replicas              = 2
eligible-leader-replicas-version = VERSION

[disk]
write-back = "never"

[topic.orders]
partitions = 1

[service.shop]
on              = "requests"
rate            = "50/s"
workers         = 200
acks            = "ACKS"
linger          = "0s"
request-timeout = "1s"     # an isolated leader is given up soon
steps           = ["publish orders", "respond ok"]

[fault]
first  = "at 5s for 25s isolate broker(1)"
second = "at 16s for 14s isolate broker(2)"
power  = "at POWER lose-power broker(3)"
MORE

[expect]
orders = { loss = "any", duplicates = "any", pending = "any" }
"#;

/// The others are back before it.
const LATE: &str = "28s for 7s";

/// It is back before the others.
const SOON: &str = "20s for 1s";

fn family(version: u16, acks: &str, power: &str, more: &str) -> Family {
    let text = LAST_ONE_STANDING.replace("VERSION", &version.to_string()).replace("ACKS", acks);
    let text = text.replace("POWER", power).replace("MORE", more);
    parse("last-one-standing", &text)
}

fn outcome(family: &Family, seed: u64) -> RunOutcome {
    run(&family.cells[0].plan(Seed(seed))).0
}

fn broken(outcome: &RunOutcome) -> Vec<Invariant> {
    let mut broken: Vec<Invariant> = outcome.invariant_violations.iter().map(|found| found.invariant).collect();
    broken.sort_unstable();
    broken.dedup();
    broken
}

#[test]
fn eligible_replicas_hold_what_the_last_one_standing_lost() {
    for seed in 0..3 {
        let outcome = outcome(&family(1, "all", LATE, ""), seed);
        assert_eq!(lost(&outcome), 0, "seed {seed}: {:?}", outcome.reasons);
        assert_eq!(outcome.invariant_violations, [], "seed {seed}");
        assert_eq!(outcome.verdict, Verdict::Holds, "seed {seed}: {:?}", outcome.reasons);
        assert!(outcome.counters.power_losses == 1 && outcome.counters.leader_changes > 2, "seed {seed}");
    }
}

/// Kafka before 4.1: the loss is seen, and is no bug of the queue.
#[test]
fn without_eligible_replicas_the_last_one_standing_takes_everything_with_it() {
    for seed in 0..3 {
        let outcome = outcome(&family(0, "all", LATE, ""), seed);
        assert!(lost(&outcome) > 0, "seed {seed}");
        assert_eq!(outcome.invariant_violations, [], "seed {seed}");
    }
}

#[test]
fn without_a_guard_of_eligible_replicas_its_invariant_is_broken() {
    // R17 needs a second replica that is not eligible any more.
    let crash = "crash  = \"at 26s for 1s crash broker(2)\"";
    let rows = [
        (Guard::EligibleLeaderReplicas, "all", LATE, "", Invariant::LossyIsOut, true),
        (Guard::UncleanShutdownDetection, "all", SOON, "", Invariant::LossyIsOut, false),
        (Guard::LastKnownLeaderServes, "all", LATE, crash, Invariant::FencedIsOut, false),
        (Guard::SameMinInSyncReplicas, "all", LATE, "", Invariant::CandidatesComplete, true),
        (Guard::StrictMinInSyncReplicas, "1", LATE, "", Invariant::CandidatesComplete, true),
    ];
    for (guard, acks, power, more, invariant, loses) in rows {
        let mut family = family(1, acks, power, more);
        let whole = outcome(&family, 0);
        assert_eq!(whole.invariant_violations, [], "{guard} stands");
        family.switch_off(&[guard]);
        let outcome = outcome(&family, 0);
        println!("without {guard}: {:?}, {} lost", broken(&outcome), lost(&outcome));
        assert!(broken(&outcome).contains(&invariant), "without {guard}: {:?}", outcome.invariant_violations);
        assert!(lost(&outcome) > 0 || !loses, "without {guard} nothing is lost");
    }
}

/// Found by a mix of faults with every guard standing: whoever has applied what the quorum lost with its disks asked on without a
/// pause, and time stood still.
#[test]
fn a_broker_that_knows_more_than_the_quorum_asks_again_later() {
    let family = load("tests/data/the_quorum_has_forgotten_what_a_broker_applied.toml", &[]);
    for run in run_all(&family, family.seeds.clone()) {
        assert_eq!(run.outcome.panicked, None);
        assert_eq!(run.outcome.verdict, Verdict::Holds, "{:?}", run.outcome.reasons);
    }
}

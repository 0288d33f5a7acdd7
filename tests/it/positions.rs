//! A position that is kept beside the effect, and in its transaction, counts each event once whatever strikes; what librdkafka's
//! clock commits is what the program has stored.

use hikyaku::checks::RunOutcome;
use hikyaku::scenario::Family;

use crate::common::{load, lost, parse, repeated, run_all};

fn family(steps: &str, faults: &str) -> Family {
    let text = format!(
        r#"
format   = 1
about    = "The position stands beside the effect: is anything lost or done twice?"
duration = "40s"
[cluster]
brokers = 3
[topic.orders]
partitions          = 3
replication         = 3
min-insync-replicas = 2
[store.db]
tables       = ["effects", "offsets"]
lost-answers = "2%"
timeout      = "500ms"
[service.shop]
on      = "requests"
rate    = "60/s"
workers = 8
steps   = ["publish orders", "respond ok"]
[service.worker]
on                = "consume orders"
auto-offset-reset = "earliest"
instances         = 2
session-timeout   = "6s"
steps             = {steps}
[fault]
{faults}
[expect]
db.effects = "exactly-once"
"#
    );
    parse("positions", &text)
}

/// A process dies at any of its steps, brokers lose power, a paused owner comes back to what is somebody else's, the store is away,
/// and a message comes once more.
const FAULTS: &str = r#"
crash  = "when any 3 step(worker) for 1s crash self"
power  = "at 12s for 3s lose-power leader(orders/0)"
zombie = "when 900th before(worker.effect) for 9s pause self"
store  = "at 25s for 2s crash db"
again  = "when any 4 after(worker.effect) redeliver self"
round  = "at 32s rebalance worker"
"#;

fn all_of(family: &Family, count: impl Fn(&RunOutcome) -> u64) -> u64 {
    let runs = run_all(family, 0..4);
    for run in &runs {
        let outcome = &run.outcome;
        assert_eq!(run.report.panic, None);
        assert_eq!(outcome.invariant_violations, [], "seed {}", run.seed.0);
        assert!(1_000 < outcome.counters.accepted, "{:?}", outcome.counters);
        let bad: u64 = outcome.places.iter().map(|place| place.lost + place.pending).sum();
        assert_eq!(bad, 0, "seed {}: {:?}", run.seed.0, outcome.places);
    }
    runs.iter().map(|run| count(&run.outcome)).sum()
}

#[test]
fn a_position_in_the_transaction_of_the_effect_counts_each_event_once() {
    let inside = family(r#"["work 2ms", { transaction = ["add db.effects", "commit db.offsets"] }]"#, FAULTS);
    assert_eq!(all_of(&inside, repeated), 0);
}

#[test]
fn a_position_beside_the_transaction_of_the_effect_repeats() {
    let beside = family(r#"["work 2ms", "add db.effects", "commit db.offsets"]"#, FAULTS);
    assert!(all_of(&beside, repeated) > 0);
}

#[test]
fn without_a_fault_no_answer_of_the_store_is_worth_a_repetition() {
    let inside = family(r#"["work 2ms", { transaction = ["add db.effects", "commit db.offsets"] }]"#, "");
    assert_eq!(all_of(&inside, repeated), 0, "a second attempt finds its own position");
}

/// The same client, the same clock: behind the effect nothing is lost, and what was only handed out may be.
#[test]
fn a_stored_offset_is_committed_behind_the_effect_and_a_polled_one_before_it() {
    let scenario = "scenarios/commit_place_decides_loss_or_repetition.toml";
    let lost_with = |strategy: &str| -> u64 {
        let family = load(scenario, &[&format!("strategy={strategy}"), "point=inside-commit"]);
        run_all(&family, 0..12).iter().map(|run| lost(&run.outcome)).sum()
    };
    assert!(0 < lost_with("clock"));
    assert_eq!(lost_with("stored"), 0);
}

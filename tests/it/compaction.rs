//! Topics of which only the newest record of each key is kept.

use hikyaku::checks::RunOutcome;
use hikyaku::scenario::plan::Boundary;
use hikyaku::types::Seed;

use crate::common::{lost, parse, run};

/// A reader that is away while prices change. Its segment takes them all, so that nothing is compacted by itself.
const PRICES: &str = r#"
format   = 1
about    = "What does a reader that was away find of a compacted topic?"
duration = "20s"

[cluster]
brokers                    = 3
default-replication-factor = 3
min-insync-replicas        = 2
broker-session-timeout     = "3s"
broker-heartbeat-interval  = "1s"

[topic.prices]
cleanup-policy = "compact"

[store.stats]
tables = ["changes"]

[service.pricing]
on    = "requests"
rate  = "50/s"
keys  = 10
steps = ["publish prices", "respond ok"]

[service.counting]
on                = "consume prices"
auto-offset-reset = "earliest"
session-timeout   = "6s"
steps             = ["insert-if-absent stats.changes", "commit"]

[fault]
away = "at 5s for 10s crash counting"

[expect]
prices        = "exactly-once"
stats.changes = { loss = "any" }
"#;

fn outcome(faults: &str) -> RunOutcome {
    let text = PRICES.replace("[fault]\n", &format!("[fault]\n{faults}\n"));
    let plan = parse("prices", &text).cells[0].plan(Seed(0));
    let outcome = run(&plan).0;
    assert_eq!(outcome.invariant_violations, []);
    outcome
}

#[test]
fn a_segment_that_is_written_is_compacted_on_demand_only() {
    assert_eq!(lost(&outcome("")), 0);
    let compacted = outcome("now = \"at 14s compact prices\"");
    let lost = lost(&compacted);
    assert!((300..500).contains(&lost), "of 450 prices in nine seconds those of ten keys are left, not {lost} lost");
    let blamed: Vec<Boundary> = compacted.places.iter().flat_map(|fates| &fates.blamed).map(|(who, _)| *who).collect();
    assert_eq!(blamed, [Boundary::Queue]);
}

/// What is compacted is on disk: brokers that crash or lose power have it neither back nor twice, and who leads next has compacted too.
#[test]
fn what_is_compacted_stays_so_whatever_becomes_of_brokers() {
    let undisturbed = lost(&outcome("now = \"at 14s compact prices\""));
    for struck in ["crash brokers", "lose-power leader(prices/0)", "crash leader(prices/0)"] {
        let faults = format!("now = \"at 13500ms compact prices\"\nstruck = \"at 14s for 2s {struck}\"");
        let lost = lost(&outcome(&faults));
        assert!(undisturbed - 100 < lost, "{struck}: {lost} and {undisturbed} lost");
    }
}

//! What a scenario may say, and what is answered to one that is wrong.

use super::plan::*;
use super::*;
use crate::types::settings::OffsetReset;
use crate::types::{Duration, NodeId, Spread};

fn no_parent(_: &str, _: &str) -> Result<(String, String), String> {
    Err("there are no files here".into())
}

fn read(text: &str) -> Result<Family, Diagnostics> {
    parse("test.toml", text, &[], &no_parent)
}

fn good(text: &str) -> Family {
    read(text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

const NOTIFIER: &str = r#"
format   = 1
about    = "A notifier dies between mail and commit: is a mail missing, is one sent twice?"
duration = "30s"
[cluster]
brokers = 1
[topic.orders]
partitions = 2
[store.mailer]
tables  = ["sent"]
latency = "20ms"
[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish orders", "respond ok"]
[service.notifier]
on                = "consume orders"
auto-offset-reset = "earliest"
steps             = ["add mailer.sent", "commit"]
[fault]
crash = "when any after(notifier.add) for 2s crash self"
[expect]
mailer.sent = "repeats"
"#;

const RESET: &str = r#"
format = 1
row    = "C3"
about  = "A consumer is away for ten seconds: does the reset policy act when it comes back?"
cluster.brokers = 1
topic.visits    = { partitions = 2 }
store.stats     = { tables = ["count"] }
[service.site]
on    = "requests"
rate  = "50/s"
steps = ["publish visits", "respond ok"]
[service.counter]
on    = "consume visits"
steps = ["add stats.count", "commit"]
[fault]
away = "at 20s for 10s restart counter"
[matrix]
service.counter.auto-offset-reset = ["earliest", "latest"]
offsets                           = ["none", "expired"]
[variant]
expired = { fault.expiry = "when fired(away) +5s expire offsets(counter)" }
[grid.stats.count]
offsets  = ["none",         "expired"]
earliest = ["exactly-once", "repeats"]
latest   = ["exactly-once", "loses"]
"#;

#[test]
fn a_notifier_with_its_fault_is_read() {
    let family = good(NOTIFIER);
    assert_eq!(family.cells.len(), 1);
    assert!(family.warnings.is_empty(), "{}", family.warnings);
    let plan = family.cells[0].plan(Seed(3));
    let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["broker-1", "shop-1", "callers-shop", "notifier-1", "mailer"]);
    assert_eq!(plan.faults[0].duration, Some(Duration::from_secs(2)));
    assert_eq!(plan.faults[0].action, FaultAction::Crash(Target::Oneself));
    let FaultTrigger::When { ordinal: Ordinal::These(drawn), .. } = &plan.faults[0].trigger else { panic!() };
    assert!((1..=540).contains(&drawn[0]), "{drawn:?}");
    assert_eq!(plan, family.cells[0].plan(Seed(3)));
    assert_ne!(plan.faults, family.cells[0].plan(Seed(4)).faults);
}

#[test]
fn a_family_has_a_cell_for_each_pair_of_values() {
    let family = good(RESET);
    let ids: Vec<&str> = family.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "auto-offset-reset=earliest,offsets=none",
            "auto-offset-reset=earliest,offsets=expired",
            "auto-offset-reset=latest,offsets=none",
            "auto-offset-reset=latest,offsets=expired",
        ]
    );
    let plan = family.cells[3].plan(Seed(0));
    assert_eq!(plan.faults.len(), 2);
    let Trigger::Consume(consume) = &plan.services[1].trigger else { panic!() };
    assert_eq!(consume.consumer.auto_offset_reset, OffsetReset::Latest);
    let Expectation::Place(expectation) = &plan.expectations[0] else { panic!() };
    assert_eq!(expectation.loss, Tolerance::Required);
    assert_eq!(expectation.duplicates, Tolerance::None);
}

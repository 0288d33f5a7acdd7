//! The library as its users see it, from inside this package: handlers that hold, handlers with every kind of mistake, and
//! what they may and may not do. `tests/library` is the same from a package of its own.

use std::time::Duration;

use hikyaku::{Context, Report, Result, Scenario, Verdict};

/// Orders come in, are queued, and become rows; the consuming process dies at a step of the seed's choice.
const BILLING: &str = r#"
    format   = 1
    about    = "An order becomes an invoice: what does a crash of its consumer do?"
    duration = "6s"
    cluster.brokers = 1
    topic.orders    = { partitions = 4 }
    store.db        = { tables = ["invoices"] }

    [service.shop]
    on    = "requests"
    rate  = "40/s"
    steps = ["publish orders", "respond ok"]

    [service.billing]
    on                = "consume orders"
    instances         = 2
    auto-offset-reset = "earliest"
    session-timeout   = "6s"
    steps             = ["insert-if-absent db.invoices", "commit"]

    [fault]
    crash = "when any 2 after(billing.insert-if-absent) for 1s crash self"
    deal  = "at 3s rebalance billing"

    [expect]
    db.invoices = "exactly-once"
"#;

fn billing() -> Scenario {
    Scenario::parse(BILLING).seeds(0..6)
}

/// Effect before commit.
async fn careful(context: Context) -> Result {
    let (consumer, db) = (context.consumer(), context.store("db"));
    loop {
        for record in consumer.poll(Duration::from_millis(500)).await? {
            context.sleep(Duration::from_millis(2)).await;
            db.insert_if_absent("invoices", &record).await?;
        }
        consumer.commit_sync().await?;
    }
}

/// Commit before effect.
async fn hasty(context: Context) -> Result {
    let (consumer, db) = (context.consumer(), context.store("db"));
    loop {
        let records = consumer.poll(Duration::from_millis(500)).await?;
        consumer.commit_sync().await?;
        for record in records {
            context.sleep(Duration::from_millis(2)).await;
            db.insert_if_absent("invoices", &record).await?;
        }
    }
}

fn digests(report: &Report) -> Vec<u128> {
    report.digests().map(|(_, _, digest)| digest).collect()
}

#[test]
fn a_careful_handler_holds_over_crashes_and_rebalances_and_one_seed_is_one_run() {
    let report = billing().handler("billing", careful).run();
    report.assert_holds();
    let outcomes: Vec<_> = report.outcomes().collect();
    assert!(outcomes.iter().all(|outcome| outcome.counters.crashes == 2 && 100 < outcome.places[1].once), "{report}");
    assert!(outcomes.iter().any(|outcome| 0 < outcome.counters.redeliveries), "a crash repeats what was not committed");
    let again = billing().handler("billing", careful).jobs(1).run();
    assert_eq!(digests(&report), digests(&again), "on one thread as on many");
}

#[test]
fn a_commit_before_the_effect_is_caught_as_the_same_mistake_in_steps_is() {
    let report = billing().handler("billing", hasty).run();
    assert_eq!(report.verdict(), Verdict::Violated, "{report}");
    let failures = report.failures();
    let told = failures[0].signatures[0].to_string();
    assert_eq!(told, "db.invoices loss · group · crashed", "{report}");
    let text = report.to_string();
    assert!(text.contains("committed before it was processed"), "{text}");
    assert!(text.contains(&format!("HIKYAKU_SEED={} cargo test library::", failures[0].seed)), "{text}");
}

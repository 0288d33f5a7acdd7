//! Logs that begin further on: what retention takes away, and what must come along.

use hikyaku::checks::{Evidence, EvidenceKind, Invariant};
use hikyaku::scenario::plan::Boundary;
use hikyaku::types::{Guard, Seed};

use crate::common::{parse, run};

/// A broker alone deletes nearly all of its log and dies before it has checkpointed its high watermark, which then lies
/// below everything that is left.
const CRASH_AFTER_RETENTION: &str = r#"
format   = 1
about    = "A log begins further on than the last checkpoint: is the high watermark in it?"
duration = "16s"

[cluster]
brokers = 1

[topic.orders]
partitions      = 1
segment-bytes   = "10KiB"
retention-bytes = "20KiB"

[service.shop]
on    = "requests"
rate  = "200/s"
size  = "1KiB"
steps = ["publish orders", "respond ok"]

[fault]
gone  = "at 12s enforce-retention orders"
crash = "at 12.5s for 2s crash broker(1)"

[expect]
orders = { loss = "any", duplicates = "any", pending = "any" }
"#;

#[test]
fn the_high_watermark_is_in_a_log_that_begins_further_on() {
    let mut family = parse("crash-after-retention", CRASH_AFTER_RETENTION);
    let plan = family.cells[0].plan(Seed(0));
    assert_eq!(run(&plan).0.invariant_violations, []);
    family.switch_off(&[Guard::HighWatermarkInLog]);
    let found = run(&family.cells[0].plan(Seed(0))).0.invariant_violations;
    println!("without R22: {found:?}");
    assert!(found.iter().any(|found| found.invariant == Invariant::OffsetsOrdered), "R22 is not seen");
}

/// Whoever is away while an operator deletes has not read what was there.
const AWAY: &str = r#"
format   = 1
about    = "What does a reader that was away find when an operator has deleted the records of its topic?"
duration = "30s"

[cluster]
brokers                    = 3
default-replication-factor = 3
min-insync-replicas        = 2
broker-session-timeout     = "3s"

[topic.orders]

[store.db]
tables = ["invoices"]

[service.shop]
on    = "requests"
rate  = "50/s"
steps = ["publish orders", "respond ok"]

[service.billing]
on                = "consume orders"
auto-offset-reset = "earliest"
session-timeout   = "6s"
steps             = ["insert-if-absent db.invoices", "commit"]

[fault]
away = "at 5s for 10s crash billing"
gone = "at 12s delete-records orders"

[expect]
orders      = "exactly-once"
db.invoices = { loss = "any" }
"#;

#[test]
fn what_an_operator_deletes_is_lost_to_who_was_away_and_stays_deleted() {
    let run_with = |faults: &str| {
        let plan = parse("away", &AWAY.replace("[fault]\n", &format!("[fault]\n{faults}\n"))).cells[0].plan(Seed(0));
        let outcome = run(&plan).0;
        assert_eq!(outcome.invariant_violations, []);
        let lost: Vec<Evidence> = outcome.places.iter().flat_map(|place| place.evidence.clone()).collect();
        let lost: Vec<Evidence> = lost.into_iter().filter(|evidence| evidence.kind == EvidenceKind::Lost).collect();
        let of_the_fault = lost.iter().filter_map(|evidence| evidence.blame.clone()).all(|blame| {
            let cause = blame.cause.and_then(|cause| cause.fault);
            let cause = cause.and_then(|fault| plan.faults.iter().find(|planned| planned.id == fault));
            blame.boundary == Boundary::Queue && cause.is_some_and(|fault| fault.name == "gone")
        });
        assert!(of_the_fault, "{faults}: {lost:?}");
        let said = lost.iter().all(|evidence| evidence.message.contains("an operator deleted it before it was read"));
        assert!(said, "{faults}: {lost:?}");
        outcome.places.iter().map(|place| place.lost).sum::<u64>()
    };
    let undisturbed = run_with("");
    assert!((300..400).contains(&undisturbed), "of seven seconds at 50 a second {undisturbed} are lost");
    // Followers have heard of it by then, and it is on disk.
    for struck in ["crash leader(orders/0)", "lose-power leader(orders/0)", "crash brokers"] {
        let lost = run_with(&format!("struck = \"at 13s for 1s {struck}\""));
        assert!(undisturbed.abs_diff(lost) < 60, "{struck}: {lost} and {undisturbed} lost");
    }
}

//! Logs that begin further on: what retention takes away, and what must come along.

use hikyaku::checks::Invariant;
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

//! On hikyaku: a scenario, whole. Requests arrive, a service publishes each, another service reads and commits.

use hikyaku::checks::WaitOptions;
use hikyaku::explore::run_seed;
use hikyaku::scenario;
use hikyaku::types::Seed;
use hikyaku::world;

use crate::{RECORD_BYTES, RECORDS};

/// Runs it, with every check on when `judged`; the peers check nothing.
pub fn run(brokers: u64, batch: u64, judged: bool) {
    let arrivals = if batch == 1 { "constant".to_string() } else { format!("burst {batch}") };
    // One record in each request, or as many as arrive at once. A record of Kafka has headers of its own.
    let batch_bytes = if batch == 1 { 1 } else { batch as usize * (RECORD_BYTES + 100) };
    let text = format!(
        r#"
format   = 1
about    = "What does a record cost?"
duration = "1h"
[cluster]
brokers                    = {brokers}
default-replication-factor = {brokers}
min-insync-replicas        = {brokers}
[topic.orders]
partitions = 1
[store.db]
tables = ["seen"]
[service.shop]
on         = "requests"
rate       = "500/s"
arrivals   = "{arrivals}"
count      = {RECORDS}
size       = "{RECORD_BYTES}B"
workers    = 1000
batch-size = "{batch_bytes}B"
steps      = ["publish orders async", "respond ok"]
[service.reader]
on                = "consume orders"
auto-offset-reset = "earliest"
steps             = ["work 1us", "commit every batch"]
"#
    );
    let family = scenario::parse("peers", &text, &[], &|_, parent| Err(format!("no parent `{parent}`")))
        .unwrap_or_else(|problems| panic!("{}", problems.short()));
    let plan = family.cells[0].plan(Seed(1));
    let report = match judged {
        true => run_seed(&plan, WaitOptions::default(), |_| {}).1,
        false => world::run(&plan, |_| {}),
    };
    assert_eq!(report.panic, None);
    assert!(report.quiet, "everything was read and committed");
}

//! The same here: an ordinary scenario. Requests arrive faster than one by one can be answered, so that the producer is never idle.

use hikyaku::checks::WaitOptions;
use hikyaku::explore::run_seed;
use hikyaku::history::Happening;
use hikyaku::scenario::plan::Plan;
use hikyaku::types::Seed;
use hikyaku::types::note::Note;

use super::{RECORD_BYTES, RECORDS};

pub fn run(replication: u16, batch: usize, judged: bool) -> usize {
    let plan = plan(replication, batch);
    let mut seen = 0;
    let mut count = |what: &Happening| {
        if let Happening::Note(Note::FlowDone { .. }) = what {
            seen += 1;
        }
    };
    let report = if judged {
        run_seed(&plan, WaitOptions::default(), |event| count(&event.what)).1
    } else {
        hikyaku::world::run(&plan, |event| count(&event.what))
    };
    assert_eq!(report.panic, None);
    // Each record is a flow of the producer's service and one of the consumer's.
    seen / 2
}

fn plan(replication: u16, batch: usize) -> Plan {
    let text = format!(
        r#"
format   = 1
about    = "What does a record cost?"
duration = "{seconds}s"
[cluster]
brokers                    = {replication}
default-replication-factor = {replication}
[topic.records]
partitions = 1
[service.producer]
on          = "requests"
rate        = "10000/s"
arrivals    = "{arrivals}"
count       = {RECORDS}
size        = "{RECORD_BYTES}B"
linger      = "0s"
batch-size  = "{batch_bytes}B"
workers     = 1000
steps       = ["publish records", "respond ok"]
[service.consumer]
on                = "consume records"
auto-offset-reset = "earliest"
steps             = ["commit-async every 5s"]
[expect]
records = "exactly-once"
"#,
        seconds = RECORDS / 10_000 + 10,
        arrivals = if batch == 1 { "constant".to_string() } else { format!("burst {batch}") },
        batch_bytes = batch * RECORD_BYTES,
    );
    let family = hikyaku::scenario::parse("peers.toml", &text, &[], &|_, _| Err("it has no parent".into()));
    family.unwrap_or_else(|problems| panic!("{problems}")).cells[0].plan(Seed(1))
}

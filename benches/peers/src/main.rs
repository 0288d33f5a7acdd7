//! One producer, one broker, one consumer, 100,000 records of 100 bytes, in batches of 1 and of 100: what a record costs
//! here, on madsim-rdkafka and on turmoil, in records per second of CPU.
//!
//! Closest equivalent, not equal: madsim-rdkafka's broker is a vector in memory without replication, acknowledgement levels
//! or groups, and turmoil brings TCP only, so that the log, the framing and the clients are the forty lines of
//! `turmoil_tcp.rs`. hikyaku runs whole brokers with a controller quorum, disks, consumer groups and, as it says in each row,
//! three replicas and the judge. Each peer is pipelined and batched as far as its own interface and examples go.

mod hikyaku_topic;
mod madsim_rdkafka_topic;
mod turmoil_tcp;

use cpu_time::ProcessTime;

/// Records of each run.
const RECORDS: usize = 100_000;
const RECORD_BYTES: usize = 100;
const ROUNDS: usize = 5;

fn main() {
    println!(
        "{RECORDS} records of {RECORD_BYTES} bytes through one broker, thousands of records per second of CPU (median of {ROUNDS})\n"
    );
    println!("{:<44} {:>12} {:>12}", "", "batches of 1", "of 100");
    row("hikyaku, replication 1", |batch| hikyaku_topic::run(1, batch, false));
    row("hikyaku, replication 3", |batch| hikyaku_topic::run(3, batch, false));
    row("hikyaku, replication 3, judged", |batch| hikyaku_topic::run(3, batch, true));
    row("madsim-rdkafka (no replication)", madsim_rdkafka_topic::run);
    row("turmoil, TCP (no replication)", turmoil_tcp::run);
}

/// `body` passes all records through in batches of a size and returns how many the consumer has seen.
fn row(name: &str, body: impl Fn(usize) -> usize) {
    let columns = [1, 100].map(|batch| {
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(|| body(batch))).collect();
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2] / 1000.0
    });
    println!("{name:<44} {:>12.0} {:>12.0}", columns[0], columns[1]);
}

fn rate(body: impl FnOnce() -> usize) -> f64 {
    let before = ProcessTime::now();
    let seen = body();
    assert_eq!(seen, RECORDS, "every record has reached the consumer");
    seen as f64 / before.elapsed().as_secs_f64()
}

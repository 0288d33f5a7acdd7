//! The same work on three simulators, in one process: how many records for each second of CPU?
//!
//! One producer, one broker, one consumer, 100,000 records of 100 bytes in produce requests of 1 and of 100 records. What is
//! compared is the work, not the model: madsim-rdkafka's broker is a list in memory behind a mutex, and ours on turmoil is
//! no more than that. Hikyaku's has logs with epochs, disks, a controller, a replicated offsets topic, idempotent sequences
//! and, on top, callers and services that run steps; with three brokers each record is also fetched by two followers.
//!
//! A row is the median over rounds; the rounds alternate between the simulators, so that all meet the same machine.

mod on_hikyaku;
mod on_madsim_rdkafka;
mod on_turmoil;

pub const RECORDS: u64 = 100_000;
pub const RECORD_BYTES: usize = 100;
const ROUNDS: usize = 5;

type Contender = (&'static str, Box<dyn Fn(u64)>);

fn main() {
    for batch in [1, 100] {
        let contenders: [Contender; 5] = [
            ("madsim-rdkafka 0.4.4", Box::new(on_madsim_rdkafka::run)),
            ("turmoil 0.7.2, TCP", Box::new(on_turmoil::run)),
            ("hikyaku, 1 broker", Box::new(|batch| on_hikyaku::run(1, batch, false))),
            ("hikyaku, replication 3", Box::new(|batch| on_hikyaku::run(3, batch, false))),
            ("hikyaku, 3, every check", Box::new(|batch| on_hikyaku::run(3, batch, true))),
        ];
        println!("\nrecords for each produce request: {batch}");
        let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
        for _ in 0..ROUNDS {
            for (contender, seconds) in contenders.iter().zip(&mut seconds) {
                let before = cpu_seconds();
                contender.1(batch);
                seconds.push(cpu_seconds() - before);
            }
        }
        for (contender, seconds) in contenders.iter().zip(&mut seconds) {
            seconds.sort_by(f64::total_cmp);
            let rate = |seconds: f64| RECORDS as f64 / seconds;
            println!(
                "  {:<24} {:>9.0} records per CPU second   ({:.0} .. {:.0})",
                contender.0,
                rate(seconds[ROUNDS / 2]),
                rate(seconds[ROUNDS - 1]),
                rate(seconds[0]),
            );
        }
    }
}

/// CPU time of this process with all its threads, ended ones too (a run has a thread of its own), in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let after_name = stat.rsplit_once(") ").expect("the name stands in brackets").1;
    let fields: Vec<f64> = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse().expect("ticks")).collect();
    (fields[0] + fields[1]) / 100.0
}

//! What a message costs: the world against a bare loop in the same run, as a ratio.
//!
//! `cargo bench` prints nanoseconds of CPU for each message that a link delivered, and the ratio to the loop. The loop
//! does the least that a simulation of messages can do: an ordered heap, one draw for the latency, one counter for the
//! receiver. The world does it for the smallest machines there are, and for a whole system with brokers and services,
//! which is judged as well. `cargo bench --bench cost_per_message -- whole` measures what has the word in its name, and
//! `valgrind --tool=callgrind BINARY --one-run` counts the instructions of one whole run: they are the same on a busy machine.

mod measure;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hikyaku::checks::WaitOptions;
use hikyaku::explore::run_seed;
use hikyaku::scenario::plan::Plan;
use hikyaku::types::random::combine;
use hikyaku::types::*;
use hikyaku::world::{self, RunReport};
use measure::{cpu_of, median, wanted};

const MESSAGES: u64 = 4_000_000;
const ROUNDS: usize = 5;
/// Judges one whole run and nothing else, for a profiler that counts instructions.
const ONE_RUN: &str = "--one-run";

/// A service publishes to a replicated topic, another keeps what it reads in a store that is away for a minute.
const SYSTEM: &str = r#"
format   = 1
about    = "What does a whole run cost for each message?"
duration = "600s"
[cluster]
brokers = 3
[topic.orders]
partitions          = 4
replication         = 3
min-insync-replicas = 2
[store.db]
tables = ["bookings"]
[service.shop]
on    = "requests"
rate  = "100/s"
steps = ["publish orders", "respond ok"]
[service.stock]
on                = "consume orders"
auto-offset-reset = "earliest"
headroom          = "1.5x"
steps             = ["work exp", "insert-if-absent db.bookings", "commit-async every 5s"]
[fault]
away = "at 120s for 60s pause db"
[expect]
db.bookings = "exactly-once"
"#;

fn main() {
    let plan = plan();
    if std::env::args().any(|word| word == ONE_RUN) {
        let report = judged(&plan);
        println!("{} messages, {} events, digest {:032x}", report.messages, report.events, report.digest);
        return;
    }
    for (in_flight, at_most) in [(1, 4.0), (64, 2.5)] {
        let echo = || world::echo(&plan, in_flight, MESSAGES).messages;
        compare(&format!("echo, {in_flight} in flight"), in_flight, at_most, echo);
    }
    compare("whole run, 64 in flight", 64, 10.0, || judged(&plan).messages);
}

/// Alternates loop and body, so that both meet the same machine.
fn compare(name: &str, in_flight: u64, at_most: f64, mut body: impl FnMut() -> u64) {
    if !wanted(name) {
        return;
    }
    let (mut bare, mut world) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(nanoseconds(|| bare_loop(in_flight, MESSAGES)));
        world.push(nanoseconds(&mut body));
    }
    let (bare, world) = (median(bare), median(world));
    let ratio = world / bare;
    println!("{name:<24} bare loop {bare:6.1} ns  world {world:7.1} ns  ratio {ratio:5.2}x of at most {at_most:.1}x");
}

/// A whole run with machines and checks.
fn judged(plan: &Plan) -> RunReport {
    let (outcome, report): (_, RunReport) = run_seed(plan, WaitOptions::default(), |_| {});
    assert_eq!(report.panic, None);
    assert!(report.quiet, "the system came to rest");
    assert!(outcome.counters.applied > 0, "the checks saw the work");
    report
}

/// Nanoseconds of this process's CPU for each message.
fn nanoseconds(body: impl FnOnce() -> u64) -> f64 {
    let (cpu, messages) = cpu_of(body);
    cpu / messages as f64
}

fn bare_loop(in_flight: u64, messages: u64) -> u64 {
    let draws = Seed(7).keyed("network");
    let latency = Spread::Normal { mean: Duration::from_millis(1), deviation: Duration::from_micros(200) };
    let mut heap: BinaryHeap<Reverse<(u64, u64, u32)>> = BinaryHeap::new();
    let mut received = [0u64; 2];
    for number in 0..in_flight {
        heap.push(Reverse((0, number, 0)));
    }
    let mut number = in_flight;
    while let Some(Reverse((time, _, node))) = heap.pop() {
        received[node as usize] += 1;
        if received[0] + received[1] >= messages {
            break;
        }
        let arrival = time + draws.at(combine(u64::from(node), number)).draw(&latency).0;
        heap.push(Reverse((arrival, number, 1 - node)));
        number += 1;
    }
    received[0] + received[1]
}

fn plan() -> Plan {
    let no_parent = |_: &str, _: &str| Err("this scenario has no parent".into());
    let family = hikyaku::scenario::parse("cost.toml", SYSTEM, &[], &no_parent);
    family.unwrap_or_else(|problems| panic!("{problems}")).cells[0].plan(Seed(1))
}

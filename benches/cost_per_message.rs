//! What a message costs: the world against a bare loop in the same run, as a ratio.
//!
//! `cargo bench` prints nanoseconds of CPU for each delivered message and the ratio to the loop. The loop does the least
//! that a simulation of messages can do: an ordered heap, one draw for the latency, one counter for the receiver.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;

use hikyaku::scenario::plan::*;
use hikyaku::types::random::combine;
use hikyaku::types::*;
use hikyaku::world;

const MESSAGES: u64 = 2_000_000;
const ROUNDS: usize = 5;

fn main() {
    for in_flight in [1, 64] {
        let (mut bare, mut echo) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(nanoseconds(|| bare_loop(in_flight, MESSAGES)));
            echo.push(nanoseconds(|| world::echo(&plan(), in_flight, MESSAGES).messages));
        }
        let (bare, echo) = (median(bare), median(echo));
        println!("{in_flight:>3} in flight: bare loop {bare:6.1} ns, world {echo:6.1} ns, ratio {:.2}x", echo / bare);
    }
}

/// Nanoseconds of this process's CPU for each message.
fn nanoseconds(body: impl FnOnce() -> u64) -> f64 {
    let before = cpu_time();
    let messages = black_box(body());
    (cpu_time() - before) / messages as f64
}

/// CPU time of this process in nanoseconds, from the kernel's accounting.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("the kernel's accounting of this process");
    let main: f64 = stat.split_whitespace().next().and_then(|word| word.parse().ok()).expect("nanoseconds on the CPU");
    main + FINISHED.with(|finished| *finished.borrow())
}

thread_local! {
    static FINISHED: std::cell::RefCell<f64> = const { std::cell::RefCell::new(0.0) };
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn bare_loop(in_flight: u64, messages: u64) -> u64 {
    let draws = Seed(7).keyed("network");
    let latency = Spread::Normal { mean: Duration::from_millis(1), deviation: Duration::from_micros(200) };
    let mut heap: BinaryHeap<Reverse<(u64, u64, u32)>> = BinaryHeap::new();
    let mut received = [0u64; 2];
    let mut number = 0;
    for _ in 0..in_flight {
        heap.push(Reverse((0, number, 0)));
        number += 1;
    }
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
    todo!()
}

//! What differs between processes does not differ between runs: the runtime that a run lives in contains the clock, the
//! entropy and the hash keys. What does differ between two runs is found by their digests. What the runtime cannot see
//! until it is too late, text rules forbid in the source (and `clippy.toml` where the compiler can resolve the name).

#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // Planted here to be caught.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hikyaku::checks::WaitOptions;
use hikyaku::explore::run_seed;
use hikyaku::scenario::plan::{FaultTrigger, Plan};
use hikyaku::types::{Duration, Seed};

use crate::common::{digest, load};
use crate::tidy::{banned_text_in, code_in};

fn plan() -> Plan {
    load("scenarios/quickstart.toml", &["duration=2s", "service.shop.rate=20/s"]).cells[0].plan(Seed(1))
}

/// What an observer sees that reads, at every event of a run, whatever `read` reads.
fn planted<T: Send + PartialEq + Clone>(mut read: impl FnMut() -> T + Send) -> Vec<T> {
    let mut seen = Vec::new();
    let (_, report) = run_seed(&plan(), WaitOptions::default(), |_| seen.push(read()));
    assert_eq!(report.panic, None);
    assert!(seen.len() > 100, "{} events", seen.len());
    seen
}

/// Three runs see the same, though the same reading outside of a run would not.
fn is_contained<T: Send + PartialEq + Clone + std::fmt::Debug>(name: &str, read: fn() -> T) {
    let first = planted(read);
    for _ in 0..2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(planted(read) == first, "{name} leaks into a run: {:?} first", &first[..3]);
    }
}

#[test]
fn a_planted_clock_reads_the_same_in_every_run() {
    is_contained("the time of day", || SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    // An `Instant` can only be compared: with the first of its run.
    let elapsed = || {
        let mut start = None;
        planted(move || Instant::now().duration_since(*start.get_or_insert_with(Instant::now)))
    };
    let first = elapsed();
    for _ in 0..2 {
        assert!(elapsed() == first, "the monotonic clock leaks into a run");
    }
    // Outside of a run both clocks go on.
    let (time, instant) = (SystemTime::now(), Instant::now());
    std::thread::sleep(std::time::Duration::from_millis(2));
    assert!(time < SystemTime::now() && instant < Instant::now());
}

fn order_of_a_hash_map() -> Vec<u32> {
    (0..64).map(|n| (n, ())).collect::<HashMap<u32, ()>>().into_keys().collect()
}

#[test]
fn a_planted_hash_map_has_the_same_order_in_every_run() {
    is_contained("the order of a hash map", order_of_a_hash_map);
    is_contained("the order of a hash set", || (0..64).collect::<HashSet<u32>>().into_iter().collect::<Vec<u32>>());
    // Outside of a run every new thread draws keys of its own, and 64 numbers do not come out alike by chance.
    let orders: BTreeSet<Vec<u32>> = (0..4).map(|_| std::thread::spawn(order_of_a_hash_map).join().unwrap()).collect();
    assert!(orders.len() > 1, "hash maps have one order; the test shows nothing");
}

#[test]
fn planted_entropy_is_the_same_in_every_run() {
    is_contained("a hash key", || RandomState::new().build_hasher().finish());
}

/// A run that a clock, a hash map or a thread has reached is a run of another plan: two of them have two digests.
#[test]
fn a_planted_difference_is_found_by_the_digest() {
    let plan = plan();
    let fault = |at: Duration| {
        let mut plan = plan.clone();
        plan.faults[0].trigger = FaultTrigger::At(at);
        digest(&plan)
    };
    let second = Duration::from_secs(1);
    assert_eq!(fault(second), fault(second));
    // One nanosecond, as a leaking clock would make it; and the order in which a leaking hash map lists two faults.
    assert_ne!(fault(second), fault(Duration::from_nanos(1_000_000_001)));
    let names = |order: [usize; 2]| {
        let mut plan = plan.clone();
        let faults = [500, 900].map(|at| {
            let mut fault = plan.faults[0].clone();
            fault.trigger = FaultTrigger::At(Duration::from_millis(at));
            fault
        });
        plan.faults = order.map(|index| faults[index].clone()).to_vec();
        plan.faults
            .iter_mut()
            .enumerate()
            .for_each(|(number, fault)| fault.id = hikyaku::types::FaultId(number as u16));
        digest(&plan)
    };
    assert_eq!(names([0, 1]), names([0, 1]));
    assert_ne!(names([0, 1]), names([1, 0]));
}

#[test]
fn text_rules_find_what_is_planted_in_a_source() {
    let found = |room: &str, code: &str| banned_text_in(room, Path::new("sim/planted.rs"), &code_in(code));
    for (planted, room) in [
        ("use std::collections::HashMap;", "world"),
        ("let seen: HashSet<u64> = Default::default();", "checks"),
        ("let now = std::time::SystemTime::now();", "history"),
        ("let start = Instant::now();", "world"),
        ("getrandom::fill(&mut bytes)?;", "service"),
        ("let x = rand::random::<u64>();", "scenario"),
        ("let mut rng = rand::rng();", "world"),
        ("std::thread::spawn(move || step());", "world"),
        ("tokio::select! { a = b => {} }", "world"),
        ("if std::env::var(\"X\").is_ok() {}", "theory"),
        ("use std::fs::File;", "kafka"),
        ("let shared = Mutex::new(0);", "kafka"),
        ("pub async fn poll(&mut self) {}", "service"),
        ("println!(\"{x}\");", "types"),
    ] {
        let code = format!("//! A room.\n\nfn step() {{\n    {planted}\n}}\n");
        let problems = found(room, &code);
        assert!(!problems.is_empty(), "`{planted}` is not found");
        assert!(problems.iter().all(|problem| problem.starts_with("sim/planted.rs:4: `")), "{problems:?}");
        // A comment and a unit test may name it.
        assert_eq!(found(room, &format!("//! {planted}\nfn step() {{}}\n// {planted}\n")), Vec::<String>::new());
        assert_eq!(found(room, &format!("fn step() {{}}\n#[cfg(test)]\nmod tests {{ {planted} }}\n")), [""; 0]);
    }
    assert_eq!(found("world", "fn step() { let seen = BTreeMap::new(); }\n"), Vec::<String>::new());
}

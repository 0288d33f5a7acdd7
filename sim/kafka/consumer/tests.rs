//! Transcripts of the consumer against a coordinator without latency, and random runs that must end with every
//! partition read by one owner to its end.

use std::fmt::Write;

use crate::kafka::group::harness::Harness;
use crate::kafka::group::tests::run_transcripts;
use crate::types::{Random, Seed};

#[test]
fn transcripts_of_the_consumer_hold() {
    run_transcripts("sim/kafka/consumer/transcripts");
}

/// Whatever happened before: when everybody polls again, a new record of each partition is polled exactly once.
#[test]
fn a_group_recovers_from_any_history() {
    for seed in 0..60 {
        recovers(seed, "");
    }
}

#[test]
fn a_cooperative_group_recovers_from_any_history() {
    for seed in 0..60 {
        recovers(seed, "cooperative\n");
    }
}

#[test]
fn a_consumer_group_recovers_from_any_history() {
    for seed in 0..60 {
        recovers(seed, "protocol consumer\n");
    }
}

fn recovers(seed: u64, mode: &str) {
    let script = format!("{mode}{}", random_script(Seed(seed)));
    let output = goldenscript::generate(&mut Harness::new(), &script).expect("a script");
    let last = output.rsplit("---").next().expect("a last block");
    for partition in 0..3 {
        let polled = last.matches(&format!("polled {partition} ")).count();
        assert!(polled == 1, "seed {seed}: partition {partition} was polled {polled} times\n{output}");
    }
}

fn random_script(seed: Seed) -> String {
    let mut rng = seed.stream("script");
    let mut script = "topic partitions=3\n".to_string();
    for name in ["c1", "c2", "c3"] {
        let flags = if rng.below(2) == 0 { "auto" } else { "" };
        let max_poll = rng.below(4) + 1;
        writeln!(script, "consumer {name} {flags} max-poll={max_poll} interval=60s\npoll {name} ever").unwrap();
    }
    for _ in 0..rng.below(40) {
        let name = format!("c{}", rng.below(3) + 1);
        let node = rng.below(2) + 1;
        let command = match rng.below(14) {
            0..=2 => format!("append {} {}", rng.below(3), rng.below(5) + 1),
            3 | 4 => format!("advance {}ms", rng.below(3000)),
            5 => format!("advance {}s", rng.below(70)),
            6 => format!("freeze {name}"),
            7 => format!("thaw {name}"),
            8 => format!("move n{node}"),
            9 => format!("disconnect {name} n{}", rng.below(3) + 1),
            10 => format!("crash {name}\nconsumer {name} auto interval=60s\npoll {name} ever"),
            11 => format!("poll {name}"),
            12 => format!("commit {name} 0={}", rng.below(9)),
            _ => {
                ["hold-appends", "fail-appends", "release-appends", "rebalance", "expire"][rng.below(5) as usize].into()
            }
        };
        writeln!(script, "{command}").unwrap();
    }
    script.push_str(
        "release-appends\nthaw c1\nthaw c2\nthaw c3\nadvance 200s\npoll c1 ever\npoll c2 ever\npoll c3 ever\n",
    );
    script.push_str("advance 200s\n---\n\nappend 0 1\nappend 1 1\nappend 2 1\nadvance 400ms\n---\n");
    script
}

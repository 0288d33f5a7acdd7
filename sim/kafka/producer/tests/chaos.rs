//! Random faults against the scripted cluster: what the producer claims about each record is compared with the logs.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use crate::types::*;

/// What may be random in one run.
struct Weather {
    settings: &'static str,
    /// Every record at most once, in the order of its key.
    idempotent: bool,
    /// No two requests of a partition overtake each other.
    ordered: bool,
}

const ERRORS: [&str; 4] = ["NOT_ENOUGH_REPLICAS", "NOT_LEADER_OR_FOLLOWER", "INVALID_REQUEST", "REQUEST_TIMED_OUT"];

/// One run: a few hundred commands, then a calm end in which every record must settle.
fn run(seed: u64, weather: &Weather) {
    let mut rng = Seed(seed).stream("chaos");
    let mut cluster = Cluster::default();
    let mut command = |text: &str| {
        // A command that does not apply now, because there is no request to answer, is skipped.
        let _ = cluster.perform(text);
    };
    command(&format!("new partitions=3 {}", weather.settings));
    for _ in 0..300 {
        let node = 1 + rng.below(2);
        let partition = rng.below(3);
        match rng.below(20) {
            0..6 => command(&format!("send {} key={}", 1 + rng.below(3), rng.below(12))),
            6..11 => command(&format!("answer n{node}")),
            11..14 => command(&format!("tick {}ms", 1 + rng.below(200))),
            14 => command(&format!("execute n{node}")),
            15 => command(&format!("refuse n{node} {}", ERRORS[rng.below(4) as usize])),
            16 => command(&format!("append-but NOT_ENOUGH_REPLICAS_AFTER_APPEND n{node}")),
            17 => command(&format!("disconnect n{node}")),
            18 if rng.below(2) == 0 => command(&format!("late n{node}")),
            18 => command(&format!("down n{node}")),
            _ if rng.below(2) == 0 => command(&format!("lead {partition} n{node}")),
            _ => command(&format!("up n{node}")),
        }
    }
    for _ in 0..400 {
        for text in ["up n1", "up n2", "answer n1", "answer n2", "tick 100ms"] {
            command(text);
        }
    }
    judge(seed, weather, &cluster);
}

fn judge(seed: u64, weather: &Weather, cluster: &Cluster) {
    let logs = cluster.sends_in_logs();
    let mut copies: BTreeMap<SendId, u32> = BTreeMap::new();
    for send in logs.values().flatten() {
        *copies.entry(*send).or_default() += 1;
    }
    assert_eq!(cluster.unsettled(), 0, "seed {seed}: sends without an outcome");
    for (send, certain) in cluster.failed() {
        assert!(!certain || !copies.contains_key(send), "seed {seed}: {send} failed for certain and is in a log");
    }
    for (send, partition, offset) in cluster.acknowledged() {
        let log = &logs[&partition.partition];
        match offset {
            Some(offset) => assert_eq!(log[offset.0 as usize], *send, "seed {seed}: {send} is elsewhere"),
            None => assert!(log.contains(send), "seed {seed}: {send} is acknowledged and not in the log"),
        }
    }
    for log in logs.values() {
        if weather.ordered {
            assert!(log.is_sorted(), "seed {seed}: order is lost: {log:?}");
        }
        if weather.idempotent {
            assert!(log.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: a record is repeated: {log:?}");
        }
    }
}

#[test]
fn an_idempotent_producer_keeps_its_promises_under_random_faults() {
    for (settings, count) in [
        ("batch-size=1kB request-timeout=400ms delivery-timeout=30s", 80),
        ("batch-size=1kB request-timeout=400ms delivery-timeout=900ms", 80),
        ("linger=20ms request-timeout=200ms delivery-timeout=600ms", 80),
        ("linger=5ms max-in-flight=1 delivery-timeout=2s retries=3", 40),
    ] {
        let weather = Weather { settings, idempotent: true, ordered: true };
        (0..count).for_each(|seed| run(seed, &weather));
    }
}

#[test]
fn a_producer_without_idempotence_knows_what_is_certain() {
    for settings in [
        "enable-idempotence=false batch-size=1kB request-timeout=400ms delivery-timeout=30s",
        "enable-idempotence=false linger=20ms request-timeout=200ms delivery-timeout=600ms retries=2",
    ] {
        let weather = Weather { settings, idempotent: false, ordered: false };
        (0..60).for_each(|seed| run(seed, &weather));
    }
}

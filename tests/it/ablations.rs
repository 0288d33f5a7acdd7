//! What a rule is for is seen when it is taken away: acknowledgements come from follower fetches, and how fast a consumer
//! drains a backlog is bounded by what one fetch brings in one round trip.

use std::collections::BTreeMap;

use hikyaku::checks::{RecoveryTime, RunOutcome, WaitOptions};
use hikyaku::explore::run_seed;
use hikyaku::history::Happening;
use hikyaku::scenario::plan::Plan;
use hikyaku::types::note::Note;
use hikyaku::types::request::ErrorCode;
use hikyaku::types::{Duration, Seed, Time};

use crate::common::{parse, run};

const REPLICATED: &str = r#"
format   = 1
about    = "Followers do not fetch: is anything acknowledged?"
duration = "30s"
seeds    = 1

[cluster]
brokers                    = 3
default-replication-factor = 3
min-insync-replicas        = 2
replica-lag-time-max       = "10s"

[topic.orders]
partitions = 1

[service.shop]
on               = "requests"
rate             = "20/s"
workers          = 1000
request-timeout  = "2s"
delivery-timeout = "4s"
linger           = "0s"
ACKS
steps            = ["publish orders", "respond ok"]

FAULT

[expect]
orders = "may-lose may-repeat"
"#;

const BLOCKED: &str = "[fault]\nblocked = \"at 0s for 30s cut brokers | brokers kind fetch\"";

/// When the leader of the topic answered what, from the start of the load to its end.
fn answers(acks: &str, fault: &str) -> (Vec<(Time, ErrorCode)>, BTreeMap<ErrorCode, u64>) {
    let text = REPLICATED.replace("ACKS", &format!("acks = \"{acks}\"")).replace("FAULT", fault);
    let plan: Plan = parse("ablation", &text).cells[0].plan(Seed(0));
    let (mut answers, mut failed) = (Vec::new(), BTreeMap::new());
    let mut load = true;
    let (_, report) = run_seed(&plan, WaitOptions::default(), |event| match &event.what {
        Happening::LoadEnded => load = false,
        Happening::Note(Note::ProduceAnswered { partition, error, .. })
            if load && partition.topic == plan.topics[0].id =>
        {
            answers.push((event.time, *error));
        }
        Happening::Note(Note::SendFailed { error, .. }) if load => *failed.entry(*error).or_default() += 1,
        _ => {}
    });
    assert_eq!(report.panic, None);
    (answers, failed)
}

#[test]
fn without_follower_fetches_nothing_is_acknowledged() {
    let (answers, failed) = answers("all", BLOCKED);
    let good = answers.iter().filter(|(_, error)| *error == ErrorCode::None).count();
    assert_eq!(good, 0, "acknowledged though no follower has it: {:?}", &answers[..answers.len().min(5)]);
    // As long as the followers count as in sync, the leader only waits: the record may still be replicated.
    let shrunk = Time::LOAD_START + Duration::from_secs(10);
    let refused = |(_, error): &&(Time, ErrorCode)| *error == ErrorCode::NotEnoughReplicas;
    let first = answers.iter().find(refused).expect("the in-sync set shrinks").0;
    assert!(shrunk <= first && first < shrunk + Duration::from_secs(7), "refused from {first} on");
    // Then the set is too small, and every batch is refused before it is appended.
    let late: Vec<_> = answers.iter().filter(|(time, _)| first < *time).collect();
    assert!(late.len() > 50 && late.iter().all(refused_or_after_append), "{:?}", &late[..5]);
    assert!(failed.values().sum::<u64>() > 100, "{failed:?}");
}

fn refused_or_after_append((_, error): &&(Time, ErrorCode)) -> bool {
    matches!(error, ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend)
}

#[test]
fn with_follower_fetches_or_without_waiting_for_them_everything_is_acknowledged() {
    for (acks, fault) in [("all", ""), ("1", BLOCKED)] {
        let (answers, failed) = answers(acks, fault);
        assert!(answers.len() > 400, "{} answers", answers.len());
        assert!(answers.iter().all(|(_, error)| *error == ErrorCode::None), "acks={acks} {fault}");
        assert!(failed.is_empty(), "acks={acks} {fault}: {failed:?}");
    }
}

/// 200 records a second, capacity for 400, a database that is away for two seconds, and a consumer 50 ms from its broker.
const DISTANT: &str = r#"
format   = 1
about    = "The capacity is there; can the consumer fetch what it could work on?"
duration = "30s"
seeds    = 1

[cluster]
brokers = 1

[network]
latency = "0.2ms"
between = { "brokers | billing" = { latency = "50ms" } }

[topic.orders]
partitions = 1

[store.db]
tables  = ["bookings"]
latency = "1ms"
timeout = "1m"

[service.shop]
on      = "requests"
rate    = "200/s"
workers = 32
linger  = "0s"
size    = "1000B"
steps   = ["publish orders", "respond ok"]

[service.billing]
on                = "consume orders"
auto-offset-reset = "earliest"
LIMIT
steps             = ["work", "insert-if-absent db.bookings", "commit-async every 1s"]
headroom          = "2x"

[fault]
outage = "at 5s for 2s pause db"

[expect]
db.bookings = "exactly-once"
"#;

/// How many records wait at the end of each second after the outage, to the end of the load; and what became of them.
fn backlog(limit: &str) -> (Vec<u64>, RunOutcome) {
    let plan = parse("distant", &DISTANT.replace("LIMIT", limit)).cells[0].plan(Seed(0));
    let (outcome, report) = run(&plan);
    assert!(report.quiet, "{limit}: {:?}", outcome.reasons);
    let consuming = outcome.services.iter().find_map(|service| service.consuming.as_ref()).expect("a consumer");
    let series = &consuming.backlog;
    let at = |second: u64| {
        let since = (Time::LOAD_START + Duration::from_secs(second)).since(series.start);
        series.unprocessed[(since.0 / series.step.0) as usize - 1]
    };
    ((7..=30).map(at).collect(), outcome)
}

#[test]
fn a_fetch_that_brings_ten_records_a_round_trip_never_recovers() {
    // What is on its way for 100 ms of a round trip and in the batch at hand is no backlog: 200/s for 0.3 s.
    const ON_ITS_WAY: u64 = 60;
    // Kafka's limit of 1 MiB: two seconds of backlog are gone T / (h - 1) = 2 s later, and stay so.
    let (free, _) = backlog("");
    println!("free: {free:?}");
    assert!((350..500).contains(&free[0]), "{free:?}");
    assert!(free[4..].iter().all(|waiting| *waiting <= ON_ITS_WAY), "{free:?}");
    // Ten records of 1,000 bytes in 100 ms are 100 a second, where 200 arrive: the same consumer falls behind for ever.
    let (limited, outcome) = backlog("max-partition-fetch-bytes = \"10000B\"");
    println!("limited: {limited:?}");
    assert!(limited.windows(2).all(|pair| pair[0] < pair[1]), "{limited:?}");
    let growth = (limited[23] - limited[3]) as f64 / 20.0;
    assert!((80.0..120.0).contains(&growth), "grows by {growth} a second");
    let recovery = outcome.services.iter().find_map(|service| service.consuming.as_ref()).unwrap().recovery.after;
    assert!(matches!(recovery, Some(RecoveryTime::Censored(_))), "{recovery:?}");
    assert_eq!(outcome.places.iter().map(|place| place.lost + place.pending).sum::<u64>(), 0, "late, but not lost");
}

//! Small plans from one line of text.

use std::sync::Arc;

use crate::scenario::plan::*;
use crate::types::request::{Cursor, Present, Stands};
use crate::types::settings::*;
use crate::types::*;

pub const BROKER: NodeId = NodeId(1);
pub const INSTANCES: [NodeId; 2] = [NodeId(10), NodeId(11)];
pub const STORE: NodeId = NodeId(20);
pub const CALLERS: NodeId = NodeId(30);
pub const ENDPOINT: NodeId = NodeId(40);
pub const SERVICE: ServiceId = ServiceId(1);
pub const DEAD_LETTERS: TopicId = TopicId(9);

/// One service, one store with three tables, one topic, one endpoint.
pub fn plan(trigger: Trigger, steps: Vec<StepPlan>, ladder: Vec<Rung>, workers: u16) -> Plan {
    let service = ServicePlan {
        id: SERVICE,
        name: "service".into(),
        owner: None,
        instances: INSTANCES.to_vec(),
        workers,
        worker_order: WorkerOrder::Key,
        restart: Duration::from_secs(1),
        headroom_thousandths: None,
        trigger,
        steps,
        ladder,
        producers: vec![ProducerSettings::default()],
        transactional: None,
    };
    let store = StorePlan {
        name: "db".into(),
        node: STORE,
        owner: None,
        latency: Spread::Constant(Duration::from_millis(2)),
        timeout: Duration::from_secs(1),
        errors: Ratio::ZERO,
        lost_requests: Ratio::ZERO,
        lost_answers: Ratio::ZERO,
    };
    let endpoint = EndpointPlan {
        name: "bank".into(),
        node: ENDPOINT,
        owner: None,
        place: PlaceId(7),
        latency: Spread::Constant(Duration::from_millis(2)),
        errors: Ratio::ZERO,
        lost_requests: Ratio::ZERO,
        lost_answers: Ratio::ZERO,
        idempotency_keys: KeysHonoured::Never,
        capacity: None,
    };
    let disk = DiskSettings { write: Spread::ZERO, flush: Spread::ZERO, write_back: None };
    let link = LinkPlan { latency: Spread::ZERO, loss: Ratio::ZERO, bandwidth: None };
    Plan {
        scenario: "test".into(),
        cell: String::new(),
        about: String::new(),
        rows: Vec::new(),
        seed: Seed(7),
        stream_version: STREAM_VERSION,
        duration: Duration::from_secs(60),
        drain: Duration::from_secs(300),
        chart: None,
        chaos: None,
        guards_off: Vec::new(),
        settings_stated: 0,
        cluster: ClusterPlan {
            brokers: 1,
            controllers: vec![BROKER],
            restart: Duration::from_secs(5),
            settings: BrokerSettings::default(),
        },
        network: NetworkPlan { default: link, between: Vec::new(), sequence: 0 },
        disk: DiskPlan { default: disk, on: Vec::new() },
        nodes: (1..)
            .zip(INSTANCES)
            .map(|(number, id)| NodePlan {
                id,
                name: format!("service-{number}"),
                kind: NodeKind::Instance { service: SERVICE, number },
                rack: None,
            })
            .collect(),
        topics: Vec::new(),
        groups: Vec::new(),
        endpoints: vec![endpoint],
        stores: vec![store],
        places: Vec::new(),
        services: vec![service],
        faults: Vec::new(),
        expectations: Vec::new(),
        floors: Vec::new(),
    }
}

pub fn requests(interval: Duration, arrivals: Arrivals, keys: Keys) -> RequestsPlan {
    RequestsPlan {
        callers: CALLERS,
        interval,
        arrivals,
        keys,
        size: ByteCount(100),
        count: None,
        caller_timeout: Duration::from_secs(1),
        caller_attempts: 1,
        caller_backoff: Duration::from_millis(500),
        caller_id: CallerId::Fixed,
    }
}

pub fn consume() -> ConsumePlan {
    ConsumePlan {
        group: GroupId(1),
        topics: vec![TopicId(1)],
        consumer: ConsumerSettings { enable_auto_commit: false, ..ConsumerSettings::default() },
        static_membership: false,
        commit_of: CommitOf::Contiguous,
        on_revoke: OnRevoke::Commit,
    }
}

/// `system on=consume list="insert 0, work 10ms, commit" ladder="retry 2 1s, skip" workers=4 …`
pub fn from_arguments(arguments: &[(String, String)]) -> Arc<Plan> {
    let get = |name: &str| arguments.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let consumes = get("on") != Some("requests");
    let mut consume = consume();
    if get("commit-of") == Some("highest") {
        consume.commit_of = CommitOf::Highest;
    }
    if get("on-revoke") == Some("abandon") {
        consume.on_revoke = OnRevoke::Abandon;
    }
    consume.consumer.enable_auto_commit = get("auto-commit").is_some();
    if get("auto-commit") == Some("stored") {
        consume.consumer.auto_commit = AutoCommit::Stored;
    }
    let interval = Duration::from_millis(100);
    let cursor = match get("cursor") {
        Some("highest-id") => Cursor::HighestId,
        Some("commit-order") => Cursor::CommitOrder,
        _ => Cursor::Unsent,
    };
    let poll = PollPlan { store: 0, table: PlaceId(0), every: Duration::from_millis(10), batch: 2, cursor };
    let trigger = if get("on") == Some("poll") {
        Trigger::Poll(poll)
    } else if consumes {
        Trigger::Consume(consume)
    } else if let Some(most) = get("max-waiting") {
        Trigger::Called(CalledPlan { max_waiting: most.parse().expect("a number") })
    } else {
        Trigger::Requests(requests(interval, Arrivals::Constant, Keys::Unique))
    };
    let default = if consumes { "block 100ms..5s" } else { "refuse" };
    let steps = get("list").unwrap_or("commit").split(',').map(step).collect();
    let ladder = get("ladder").unwrap_or(default).split(',').map(rung).collect();
    let mut plan = plan(trigger, steps, ladder, get("workers").map_or(1, |count| count.parse().expect("a number")));
    let store = &mut plan.stores[0];
    let ratio = |name: &str| get(name).map_or(Ratio::ZERO, |text| text.parse().expect("a ratio"));
    (store.errors, store.lost_requests, store.lost_answers) =
        (ratio("errors"), ratio("lost-requests"), ratio("lost-answers"));
    let endpoint = &mut plan.endpoints[0];
    (endpoint.errors, endpoint.lost_requests, endpoint.lost_answers) =
        (store.errors, store.lost_requests, store.lost_answers);
    if let Some(latency) = get("latency") {
        store.latency = latency.parse().expect("a spread");
        endpoint.latency = store.latency;
    }
    endpoint.capacity = get("capacity").map(|capacity| capacity.parse().expect("a number"));
    endpoint.idempotency_keys = match get("keys") {
        None => KeysHonoured::Never,
        Some("true") => KeysHonoured::Always,
        Some(length) => KeysHonoured::For(length.parse().expect("a duration")),
    };
    Arc::new(plan)
}

fn step(text: &str) -> StepPlan {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let of = words.iter().position(|word| *word == "of").map(|index| {
        let origin = words[index + 1].parse().expect("a service");
        words.truncate(index);
        ServiceId(origin)
    });
    let ratio = |name: &str| {
        let index = words.iter().position(|word| *word == name);
        index.map_or(Ratio::ZERO, |index| words[index + 1].parse().expect("a ratio"))
    };
    let action = match words[..] {
        ["work", time, ..] => {
            Action::Work { time: time.parse().expect("a spread"), errors: ratio("errors"), poison: ratio("poison") }
        }
        ["publish", ..] => {
            Action::Publish { topic: TopicId(2), producer: 0, wait: !words.contains(&"async"), key: PublishKey::Key }
        }
        ["call", ..] => Action::Call(call(&words)),
        ["respond"] => Action::Respond,
        ["store-offset"] => Action::StoreOffset,
        ["begin"] => Action::BeginTransaction,
        ["send-offsets"] => Action::SendOffsets { group_metadata: true },
        ["end"] => Action::EndTransaction,
        ["commit-async", ref retry @ ..] => {
            let retry = match retry {
                [] => CommitRetry::Never,
                ["retry"] => CommitRetry::UnlessNewer,
                ["retry", "always"] => CommitRetry::Always,
                other => panic!("no retry {other:?}"),
            };
            Action::Commit { every: CommitEvery::Record, how: CommitHow::Async { retry } }
        }
        ["commit"] => Action::Commit { every: CommitEvery::Record, how: CommitHow::Sync },
        ["commit", "every", "batch"] => Action::Commit { every: CommitEvery::Batch, how: CommitHow::Sync },
        ["commit", "every", often] => {
            let every = match often.parse() {
                Ok(count) => CommitEvery::Records(count),
                Err(_) => CommitEvery::Interval(often.parse().expect("a duration")),
            };
            Action::Commit { every, how: CommitHow::Sync }
        }
        _ => Action::Store { store: 0, operations: words.join(" ").split('+').map(store_step).collect() },
    };
    StepPlan { text: text.trim().into(), action, of }
}

/// `call 1s attempts 3 backoff 10ms key id breaker 2 optional`
fn call(words: &[&str]) -> CallPlan {
    let after = |name: &str| words.iter().position(|word| *word == name).map(|index| words[index + 1]);
    CallPlan {
        to: Callee::Endpoint(0),
        timeout: words[1].parse().expect("a duration"),
        attempts: after("attempts").map_or(1, |count| count.parse().expect("a number")),
        backoff: after("backoff").map_or(Spread::ZERO, |spread| spread.parse().expect("a spread")),
        idempotency_key: after("key").map(|key| if key == "id" { CallKey::Id } else { CallKey::Attempt }),
        breaker: after("breaker").map(|failures| BreakerPlan {
            failures: failures.parse().expect("a number"),
            reset: Duration::from_secs(5),
        }),
        optional: words.contains(&"optional"),
    }
}

fn store_step(text: &str) -> StoreStep {
    let words: Vec<&str> = text.split_whitespace().collect();
    let table = PlaceId(words[1].parse().expect("a table"));
    let row = if words.contains(&"offset") { RowBy::Offset } else { RowBy::Event };
    let present = match words.last() {
        Some(&"continue") => Present::Continue,
        Some(&"fail") => Present::Fail,
        _ => Present::Skip,
    };
    match words[0] {
        "insert" => StoreStep::Insert { table, row },
        "insert-if-absent" => {
            let length = |name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                Some(words[at + 1].parse().expect("a duration"))
            };
            let lease = length("lease").map(Stands::Lease);
            let stands = lease.or(length("expires").map(Stands::For)).unwrap_or_default();
            StoreStep::InsertIfAbsent { table, row, present, stands }
        }
        "confirm" => StoreStep::Confirm { table, row },
        "check" => StoreStep::Check { table, row, present },
        "upsert" => StoreStep::Upsert { table, version_guard: words.contains(&"version-guard") },
        "add" => StoreStep::Add { table, by: 1 },
        "keep" => StoreStep::Commit { table },
        other => panic!("no step `{other}`"),
    }
}

fn rung(text: &str) -> Rung {
    let words: Vec<&str> = text.split_whitespace().collect();
    let dead_letter = |wait| Rung::DeadLetter { topic: DEAD_LETTERS, producer: 0, wait };
    match words[..] {
        ["retry", times, backoff] => {
            Rung::Retry { times: times.parse().expect("a number"), backoff: backoff.parse().expect("a spread") }
        }
        ["block", backoff] => Rung::Block { backoff: backoff.parse().expect("a spread") },
        ["dead-letter"] => dead_letter(true),
        ["dead-letter", "async"] => dead_letter(false),
        ["skip"] => Rung::Skip,
        ["refuse"] => Rung::Refuse,
        ["crash"] => Rung::Crash,
        ["close"] => Rung::Close,
        _ => panic!("no rung `{text}`"),
    }
}

//! Whole runs of a small system: it starts, works, and comes to rest; equal plans give equal runs.

use super::*;
use crate::history::{Happening, StopReason};
use crate::scenario::plan::*;
use crate::types::note::{CallerOutcome, Note};
use crate::types::request::{Present, Stands};
use crate::types::settings::*;
use crate::types::*;

const SHOP: ServiceId = ServiceId(0);
const STOCK: ServiceId = ServiceId(1);

/// Three brokers, a shop that publishes orders, a stock service that books each once.
pub fn shop() -> Plan {
    let topic = |id: u16, name: &str, place: u16, partitions: u16, min_insync_replicas: u16| TopicPlan {
        id: TopicId(id),
        name: name.into(),
        place: PlaceId(place),
        owner: None,
        settings: TopicSettings { partitions, replication: 3, min_insync_replicas, ..TopicSettings::default() },
    };
    let node = |id: u16, name: &str, kind| NodePlan { id: NodeId(id), name: name.into(), kind, rack: None };
    let place = |id: u16, name: &str, kind| PlacePlan { id: PlaceId(id), name: name.into(), kind };
    let step = |text: &str, action| StepPlan { text: text.into(), action, of: None };
    let booking = StoreStep::InsertIfAbsent {
        table: PlaceId(2),
        row: RowBy::Event,
        present: Present::Skip,
        stands: Stands::ForGood,
    };
    Plan {
        scenario: "shop".into(),
        cell: String::new(),
        about: "Is every order booked?".into(),
        rows: Vec::new(),
        seed: Seed(1),
        stream_version: STREAM_VERSION,
        duration: Duration::from_secs(20),
        drain: Duration::from_secs(120),
        chart: None,
        chaos: None,
        guards_off: Vec::new(),
        settings_stated: 0,
        cluster: ClusterPlan {
            brokers: 3,
            controllers: vec![NodeId(1), NodeId(2), NodeId(3)],
            restart: Duration::from_secs(5),
            settings: BrokerSettings::default(),
        },
        network: NetworkPlan {
            default: LinkPlan { latency: "1ms ±0.2ms".parse().unwrap(), loss: Ratio::ZERO, bandwidth: None },
            between: Vec::new(),
            sequence: 0,
        },
        disk: DiskPlan {
            default: DiskSettings {
                write: "50us".parse().unwrap(),
                flush: "2ms..8ms".parse().unwrap(),
                write_back: Some(Duration::from_secs(30)),
            },
            on: Vec::new(),
        },
        nodes: vec![
            node(1, "broker-1", NodeKind::Broker),
            node(2, "broker-2", NodeKind::Broker),
            node(3, "broker-3", NodeKind::Broker),
            node(4, "shop-1", NodeKind::Instance { service: SHOP, number: 1 }),
            node(5, "callers-shop", NodeKind::Callers { service: SHOP }),
            node(6, "stock-1", NodeKind::Instance { service: STOCK, number: 1 }),
            node(7, "stock-2", NodeKind::Instance { service: STOCK, number: 2 }),
            node(8, "db", NodeKind::Store { store: 0 }),
        ],
        topics: vec![topic(0, "orders", 0, 4, 2), topic(1, "__offsets", 1, 1, 1)],
        groups: vec![GroupPlan { id: GroupId(0), name: "stock".into() }],
        endpoints: Vec::new(),
        stores: vec![StorePlan {
            name: "db".into(),
            node: NodeId(8),
            owner: None,
            latency: Spread::Constant(Duration::from_millis(1)),
            timeout: Duration::from_secs(30),
            errors: Ratio::ZERO,
            lost_requests: Ratio::ZERO,
            lost_answers: Ratio::ZERO,
        }],
        places: vec![
            place(0, "orders", PlaceKind::Topic { topic: TopicId(0) }),
            place(1, "__offsets", PlaceKind::Topic { topic: TopicId(1) }),
            place(2, "db.bookings", PlaceKind::Table { store: 0 }),
        ],
        services: vec![
            ServicePlan {
                id: SHOP,
                name: "shop".into(),
                owner: None,
                instances: vec![NodeId(4)],
                workers: 32,
                worker_order: WorkerOrder::Key,
                restart: Duration::from_secs(1),
                headroom_thousandths: None,
                trigger: Trigger::Requests(RequestsPlan {
                    callers: NodeId(5),
                    interval: Duration::from_millis(10),
                    arrivals: Arrivals::Poisson,
                    keys: Keys::Uniform(1000),
                    size: ByteCount(1024),
                    count: None,
                    caller_timeout: Duration::from_secs(30),
                    caller_attempts: 1,
                    caller_backoff: Duration::from_secs(1),
                    caller_id: CallerId::Fixed,
                }),
                steps: vec![
                    step(
                        "publish orders",
                        Action::Publish { topic: TopicId(0), producer: 0, wait: true, key: PublishKey::Key },
                    ),
                    step("respond ok", Action::Respond),
                ],
                ladder: vec![Rung::Refuse],
                producers: vec![ProducerSettings::default()],
                transactional: None,
            },
            ServicePlan {
                id: STOCK,
                name: "stock".into(),
                owner: None,
                instances: vec![NodeId(6), NodeId(7)],
                workers: 1,
                worker_order: WorkerOrder::Key,
                restart: Duration::from_secs(1),
                headroom_thousandths: None,
                trigger: Trigger::Consume(ConsumePlan {
                    group: GroupId(0),
                    topics: vec![TopicId(0)],
                    consumer: ConsumerSettings {
                        auto_offset_reset: OffsetReset::Earliest,
                        enable_auto_commit: false,
                        ..ConsumerSettings::default()
                    },
                    static_membership: false,
                    commit_of: CommitOf::Contiguous,
                    on_revoke: OnRevoke::Commit,
                }),
                steps: vec![
                    step("insert-if-absent db.bookings", Action::Store { store: 0, operations: vec![booking] }),
                    step("commit", Action::Commit { every: CommitEvery::Record, how: CommitHow::Sync }),
                ],
                ladder: vec![Rung::Block { backoff: "100ms..5s".parse().unwrap() }],
                producers: Vec::new(),
                transactional: None,
            },
        ],
        faults: Vec::new(),
        expectations: Vec::new(),
        floors: Vec::new(),
    }
}

fn fault(plan: &mut Plan, at: u64, length: Option<u64>, action: FaultAction) {
    plan.faults.push(FaultPlan {
        id: FaultId(plan.faults.len() as u16),
        name: format!("fault-{}", plan.faults.len()),
        text: String::new(),
        trigger: FaultTrigger::At(Duration::from_secs(at)),
        action,
        duration: length.map(Duration::from_secs),
        every: None,
        times: None,
    });
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    arrived: u64,
    accepted: u64,
    booked: u64,
    crashes: u64,
}

fn count(plan: &Plan) -> (Counts, RunReport) {
    let mut counts = Counts::default();
    let report = run(plan, |event| match &event.what {
        Happening::Note(Note::Arrived { .. }) => counts.arrived += 1,
        Happening::Note(Note::CallerSettled { outcome: CallerOutcome::Accepted, .. }) => counts.accepted += 1,
        Happening::Note(Note::EffectApplied { .. }) => counts.booked += 1,
        Happening::Stopped { why: StopReason::Crash } => counts.crashes += 1,
        _ => {}
    });
    (counts, report)
}

#[test]
fn a_small_system_starts_works_and_comes_to_rest() {
    let (counts, report) = count(&shop());
    assert_eq!(report.panic, None);
    assert!(report.quiet, "{report:?} {counts:?}");
    assert!((1800..2200).contains(&counts.arrived), "{counts:?}");
    assert_eq!((counts.accepted, counts.booked), (counts.arrived, counts.arrived));
}

#[test]
fn equal_plans_give_equal_runs_and_another_seed_another() {
    let mut plan = shop();
    plan.duration = Duration::from_secs(3);
    let (_, one) = count(&plan);
    let (_, same) = count(&plan);
    assert_eq!(one, same);
    plan.seed = Seed(2);
    let (_, other) = count(&plan);
    assert_ne!(one.digest, other.digest);
}

fn any_orders() -> PartitionSelector {
    PartitionSelector { topic: TopicId(0), partition: Some(0) }
}

/// Whatever struck, every accepted order is booked in the end: the shop asks for acks=all and the stock service commits
/// behind its booking.
fn every_order_is_booked(plan: &Plan) {
    for seed in 1..=3 {
        let mut plan = plan.clone();
        plan.seed = Seed(seed);
        let (counts, report) = count(&plan);
        assert_eq!(report.panic, None, "seed {seed}");
        assert!(report.quiet, "seed {seed}: {report:?} {counts:?}");
        assert!(counts.accepted <= counts.booked, "seed {seed}: {counts:?}");
        assert!(counts.arrived / 2 < counts.accepted, "seed {seed}: {counts:?}");
    }
}

#[test]
fn a_crash_of_the_leader_loses_nothing() {
    let mut plan = shop();
    fault(&mut plan, 3, Some(5), FaultAction::Crash(Target::Leader(any_orders())));
    every_order_is_booked(&plan);
}

#[test]
fn a_power_loss_of_the_leader_loses_nothing() {
    let mut plan = shop();
    fault(&mut plan, 3, Some(5), FaultAction::LosePower(Target::Leader(any_orders())));
    every_order_is_booked(&plan);
}

#[test]
fn an_isolated_leader_loses_nothing() {
    let mut plan = shop();
    fault(&mut plan, 3, Some(12), FaultAction::Isolate(Target::Leader(any_orders())));
    every_order_is_booked(&plan);
}

#[test]
fn an_isolated_controller_loses_nothing() {
    let mut plan = shop();
    fault(&mut plan, 3, Some(12), FaultAction::Isolate(Target::Controller));
    every_order_is_booked(&plan);
}

#[test]
fn crashes_of_instances_lose_nothing() {
    let mut plan = shop();
    fault(&mut plan, 3, None, FaultAction::Crash(Target::Node(NodeId(6))));
    fault(&mut plan, 9, None, FaultAction::Crash(Target::Node(NodeId(7))));
    every_order_is_booked(&plan);
}

#[test]
fn a_paused_store_and_a_crashed_store_lose_nothing() {
    let mut plan = shop();
    fault(&mut plan, 3, Some(3), FaultAction::Pause(Target::Node(NodeId(8))));
    fault(&mut plan, 10, Some(3), FaultAction::Crash(Target::Node(NodeId(8))));
    every_order_is_booked(&plan);
}

#[test]
fn a_rolling_restart_of_the_brokers_loses_nothing() {
    let mut plan = shop();
    plan.duration = Duration::from_secs(60);
    fault(&mut plan, 3, None, FaultAction::Restart { target: Target::Brokers, rolling: true });
    every_order_is_booked(&plan);
}

#[test]
fn a_crash_of_the_coordinator_and_a_stalled_disk_lose_nothing() {
    let mut plan = shop();
    fault(&mut plan, 3, Some(4), FaultAction::Crash(Target::Coordinator(GroupId(0))));
    fault(&mut plan, 12, Some(4), FaultAction::StallDisk(Target::Leader(any_orders())));
    every_order_is_booked(&plan);
}

/// A broker that cannot write ends, is started again and ends again, until there is room (LogManager, all log directories offline).
#[test]
fn a_full_disk_of_the_leader_loses_nothing_and_takes_it_down_until_there_is_room() {
    let mut plan = shop();
    plan.duration = Duration::from_secs(40);
    fault(&mut plan, 3, Some(12), FaultAction::FillDisk(Target::Node(NodeId(1))));
    every_order_is_booked(&plan);
    let mut ends = Vec::new();
    run(&plan, |event| {
        if event.node == NodeId(1) && matches!(event.what, Happening::Stopped { why: StopReason::Own }) {
            ends.push(event.time.since(Time::LOAD_START));
        }
    });
    assert!(2 <= ends.len(), "{ends:?}");
    assert!(ends.iter().all(|end| (Duration::from_secs(3)..Duration::from_secs(15)).contains(end)), "{ends:?}");
}

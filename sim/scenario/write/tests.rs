//! A fault that was written is the fault that is read.

use std::path::Path;

use crate::scenario::lower::reread_faults;
use crate::scenario::plan::*;
use crate::scenario::{load, parse, write_fault};
use crate::types::request::RequestKind;
use crate::types::*;

/// Every kind of process, steps that share verbs, and a group with a name of its own.
const SYSTEM: &str = r#"
format = 1
about = "all kinds of names"
[cluster]
brokers = 3
controller-nodes = "separate"
racks = ["a", "b"]
[topic.orders]
partitions = 4
[topic.done]
cleanup-policy = "compact,delete"
[store.db]
tables = ["rows", "seen"]
[service.shop]
on = "requests"
rate = "50/s"
instances = 2
steps = ["work 1ms", { transaction = ["insert db.rows", "add db.seen"] }, "work 2ms", "publish orders", "respond ok"]
[service.web]
on = "requests"
rate = "5/s"
steps = ["publish orders", "respond ok"]
[service.till]
on = "consume orders"
group-id = "cash"
auto-offset-reset = "earliest"
instances = 3
steps = ["insert-if-absent db.rows", "insert-if-absent db.seen", "publish done", "publish done key id", "commit-async every 5s"]
[service.last]
on = "consume done"
auto-offset-reset = "earliest"
steps = ["upsert db.seen", "commit"]
[fault]
first = "at 5s for 2s crash broker(1)"
second = "at 8s rebalance cash"
[expect]
db.rows = "exactly-once"
"#;

fn system() -> Plan {
    let family =
        parse("test.toml", SYSTEM, &[], &|_, _| Err(String::new())).unwrap_or_else(|problems| panic!("{problems}"));
    family.cells[0].plan(Seed(0))
}

/// Writes all faults of a plan and reads them again.
fn assert_read_back(plan: &Plan) {
    let sentences: Vec<(String, String)> =
        plan.faults.iter().map(|fault| (fault.name.clone(), write_fault(fault, plan))).collect();
    let back = reread_faults(plan, &sentences).unwrap_or_else(|problems| panic!("{problems}"));
    for (fault, back) in plan.faults.iter().zip(&back) {
        let expected = FaultPlan { text: back.text.clone(), ..fault.clone() };
        assert_eq!(*back, expected, "{}", back.text);
    }
    assert_eq!(plan.faults.len(), back.len());
}

#[test]
fn every_fault_of_the_project_reads_back_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        for cell in load(&entry.unwrap().path(), &[]).unwrap().cells {
            let mut plan = cell.plan(Seed(7));
            rename(&mut plan);
            assert_read_back(&plan);
            seen += plan.faults.len();
        }
    }
    assert!(20 < seen, "{seen}");
}

/// What `[chaos]` draws has names with a slash, which no file can have.
fn rename(plan: &mut Plan) {
    plan.faults.iter_mut().for_each(|fault| fault.name = fault.name.replace('/', "-"));
}

#[test]
fn every_fault_that_can_be_planned_reads_back_as_written() {
    let mut plan = system();
    let mut rng = Seed(11).stream("faults");
    for _ in 0..40 {
        plan.faults.clear();
        for id in 0..50 {
            plan.faults.push(any_fault(FaultId(id), 50, &plan, &mut rng));
        }
        assert_read_back(&plan);
    }
}

#[test]
fn pinned_targets_have_words_of_their_own() {
    let plan = system();
    let sentence = |target: Target| {
        let action = FaultAction::Crash(target);
        write_fault(&FaultPlan { action, ..plan.faults[0].clone() }, &plan)
    };
    let of = |name: &str| plan.nodes.iter().find(|node| node.name == name).unwrap().id;
    for (node, word) in [
        ("broker-2", "broker(2)"),
        ("controller-3", "controller(3)"),
        ("till-2", "instance(till, 2)"),
        ("db", "db"),
        ("callers-web", "callers(web)"),
    ] {
        assert_eq!(sentence(Target::Node(of(node))), format!("at 5s for 2s crash {word}"));
    }
    let several = Target::Nodes(vec![of("broker-1"), of("db")]);
    assert_eq!(sentence(several), "at 5s for 2s crash all(broker(1), db)");
    let ordinals = FaultTrigger::When {
        state: FaultState::Step { side: Side::Before, service: ServiceId(0), step: StepSelector::Index(2) },
        ordinal: Ordinal::These(vec![2, 11, 23]),
        delay: Duration::from_secs(2),
    };
    let fault = FaultPlan { trigger: ordinals, ..plan.faults[0].clone() };
    assert_eq!(write_fault(&fault, &plan), "when 2nd,11th,23rd before(shop.3) +2s for 2s crash broker(1)");
}

// --- any fault ---

fn any_fault(id: FaultId, faults: u64, plan: &Plan, rng: &mut Rng) -> FaultPlan {
    let trigger = any_trigger(faults, plan, rng);
    let has_point = matches!(&trigger, FaultTrigger::When { state: FaultState::Step { .. }, .. });
    let action = any_action(has_point, plan, rng);
    let (must, instant) = match &action {
        FaultAction::Pause(_)
        | FaultAction::Slow { .. }
        | FaultAction::StallDisk(_)
        | FaultAction::SlowDisk { .. }
        | FaultAction::FillDisk(_)
        | FaultAction::FailDisk(_)
        | FaultAction::Cut(_)
        | FaultAction::Isolate(_)
        | FaultAction::Delay { .. }
        | FaultAction::Drop { .. }
        | FaultAction::ResetShare { .. }
        | FaultAction::Throttle { .. }
        | FaultAction::Skew { .. }
        | FaultAction::HoldMetadata(_)
        | FaultAction::Fail { .. } => (true, false),
        FaultAction::Crash(_)
        | FaultAction::LosePower(_)
        | FaultAction::Wipe(_)
        | FaultAction::Restart { .. }
        | FaultAction::Set(_) => (false, false),
        FaultAction::Reset(_)
        | FaultAction::Rot(_)
        | FaultAction::ElectPreferred { .. }
        | FaultAction::Reassign { .. }
        | FaultAction::Rebalance(_)
        | FaultAction::ExpireOffsets(_)
        | FaultAction::EnforceRetention(_)
        | FaultAction::Compact(_)
        | FaultAction::DeleteRecords(_)
        | FaultAction::Redeliver(_)
        | FaultAction::Redrive { .. }
        | FaultAction::Jump { .. }
        | FaultAction::Poison { .. }
        | FaultAction::Repair(_) => (false, true),
    };
    let every = (instant && rng.below(2) == 0).then(|| any_length(rng));
    let stays = matches!(action, FaultAction::Set(LiveValue::TopicPartitions { .. }));
    let lasts = must || every.is_some() || (!instant && !stays && rng.below(2) == 0);
    let is_when = matches!(trigger, FaultTrigger::When { .. });
    let counts_events = matches!(action, FaultAction::Poison { .. });
    let times = (!counts_events && (every.is_some() || is_when) && rng.below(3) == 0).then(|| rng.below(9) as u32 + 1);
    FaultPlan {
        id,
        name: format!("f{}", id.0),
        text: String::new(),
        trigger,
        action,
        duration: lasts.then(|| any_length(rng)),
        every,
        times,
    }
}

/// From nanoseconds to minutes.
fn any_length(rng: &mut Rng) -> Duration {
    let unit = [1, 1_000, 1_000_000, 500_000_000, 1_000_000_000][rng.below(5) as usize];
    Duration((rng.below(58) + 1) * unit)
}

fn any_trigger(faults: u64, plan: &Plan, rng: &mut Rng) -> FaultTrigger {
    if rng.below(3) == 0 {
        return FaultTrigger::At(any_length(rng));
    }
    let delay = if rng.below(2) == 0 { Duration::ZERO } else { any_length(rng) };
    let ordinal = match rng.below(4) {
        0 => Ordinal::Each,
        1 => Ordinal::These(vec![1]),
        2 => Ordinal::These(vec![rng.below(1_000_000) + 1]),
        _ => Ordinal::These((1..9).map(|number| number * 7 + rng.below(7)).collect()),
    };
    FaultTrigger::When { state: any_state(faults, plan, rng), ordinal, delay }
}

fn any_state(faults: u64, plan: &Plan, rng: &mut Rng) -> FaultState {
    let fault = FaultId(rng.below(faults) as u16);
    match rng.below(9) {
        0 => FaultState::Rebalance(any_group(plan, rng)),
        1 => FaultState::LeaderChange(any_partition(plan, rng)),
        2 => FaultState::InSyncChange(any_partition(plan, rng)),
        3 => FaultState::UnderMinInSync(any_partition(plan, rng)),
        4 => FaultState::AlterPartition(any_partition(plan, rng)),
        5 => FaultState::Lag { group: any_group(plan, rng), above: rng.below(5_000) },
        6 => FaultState::Fired(fault),
        7 => FaultState::Healed(fault),
        _ => {
            let service = rng.below(plan.services.len() as u64) as usize;
            let is_consumer = matches!(plan.services[service].trigger, Trigger::Consume(_));
            if is_consumer && rng.below(6) == 0 {
                let (service, step) = (plan.services[service].id, StepSelector::MidBatch);
                return FaultState::Step { side: Side::After, service, step };
            }
            let step = match rng.below(if is_consumer { 5 } else { 3 }) {
                0 => StepSelector::Any,
                1 => StepSelector::Effect,
                2 => StepSelector::Index(rng.below(plan.services[service].steps.len() as u64) as u16),
                3 => StepSelector::Commit,
                _ => StepSelector::Poll,
            };
            let side = [Side::Before, Side::After, Side::Inside][rng.below(3) as usize];
            FaultState::Step { side, service: plan.services[service].id, step }
        }
    }
}

fn any_group(plan: &Plan, rng: &mut Rng) -> GroupId {
    plan.groups[rng.below(plan.groups.len() as u64) as usize].id
}

fn any_topic(plan: &Plan, rng: &mut Rng) -> TopicId {
    plan.topics[rng.below(plan.topics.len() as u64 - 1) as usize].id
}

fn any_partition(plan: &Plan, rng: &mut Rng) -> PartitionSelector {
    let topic = any_topic(plan, rng);
    let partitions = u64::from(plan.topics[usize::from(topic.0)].settings.partitions);
    PartitionSelector { topic, partition: (rng.below(3) != 0).then(|| rng.below(partitions) as u16) }
}

fn any_node(plan: &Plan, rng: &mut Rng) -> NodeId {
    plan.nodes[rng.below(plan.nodes.len() as u64) as usize].id
}

fn any_target(depth: u32, has_point: bool, plan: &Plan, rng: &mut Rng) -> Target {
    match rng.below(15) {
        0 => Target::Node(any_node(plan, rng)),
        1 => Target::Nodes((0..=rng.below(4)).map(|_| any_node(plan, rng)).collect()),
        2 => Target::Nodes(plan.services[rng.below(plan.services.len() as u64) as usize].instances.clone()),
        3 => Target::Leader(any_partition(plan, rng)),
        4 => Target::Follower(any_partition(plan, rng)),
        5 => Target::Followers(any_partition(plan, rng)),
        6 => Target::Replicas(any_partition(plan, rng)),
        7 => Target::AnyBroker,
        8 => Target::Brokers,
        9 => Target::Controller,
        10 => Target::Controllers,
        11 => Target::Coordinator(any_group(plan, rng)),
        12 => Target::Owner { partition: any_partition(plan, rng), group: any_group(plan, rng) },
        13 if has_point => Target::Oneself,
        14 if depth < 3 => {
            Target::AnyOf(rng.below(3) as u16 + 1, Box::new(any_target(depth + 1, has_point, plan, rng)))
        }
        _ => Target::Rest,
    }
}

fn any_instances(has_point: bool, plan: &Plan, rng: &mut Rng) -> Target {
    let instances = plan.services[rng.below(plan.services.len() as u64) as usize].instances.clone();
    match rng.below(4) {
        0 => Target::Node(instances[0]),
        1 => Target::Nodes(instances),
        2 if has_point => Target::Oneself,
        _ => Target::AnyOf(1, Box::new(Target::Nodes(instances))),
    }
}

fn any_link(has_point: bool, plan: &Plan, rng: &mut Rng) -> LinkTarget {
    let kind = [None, Some(RequestKind::Fetch), Some(RequestKind::OffsetForLeaderEpoch)][rng.below(3) as usize];
    let (from, to) = (any_target(0, has_point, plan, rng), any_target(0, has_point, plan, rng));
    LinkTarget { from, to, both_ways: rng.below(2) == 0, kind }
}

fn any_spread(rng: &mut Rng) -> Spread {
    let (low, high) = (Duration::from_millis(rng.below(90) + 1), Duration::from_millis(rng.below(900) + 100));
    match rng.below(6) {
        0 => Spread::Constant(low),
        1 => Spread::Uniform { low, high },
        2 => Spread::Normal { mean: high, deviation: low },
        3 => Spread::Exponential { mean: high },
        4 => Spread::LogNormal { median: low, p99: high },
        _ => Spread::TwoPoint { usual: low, ratio: Ratio(rng.below(1_000_000_001) as u32), rare: high },
    }
}

fn any_action(has_point: bool, plan: &Plan, rng: &mut Rng) -> FaultAction {
    let target = any_target(0, has_point, plan, rng);
    let link = any_link(has_point, plan, rng);
    let target_with = |has_it: fn(&Target, &Plan) -> bool, rng: &mut Rng| {
        let targets = std::iter::repeat_with(|| any_target(0, has_point, plan, rng));
        targets.into_iter().find(|target| has_it(target, plan)).expect("sooner or later")
    };
    let with_clock = target_with(Target::reads_a_clock, rng);
    let with_disk = target_with(Target::has_a_disk, rng);
    let with_metadata = target_with(Target::applies_metadata, rng);
    let thousandths = rng.below(99_999) + 1;
    match rng.below(33) {
        31 => FaultAction::Compact(plan.topics.iter().find(|topic| topic.name == "done").expect("it is compacted").id),
        32 => FaultAction::DeleteRecords(any_topic(plan, rng)),
        29 => FaultAction::FillDisk(with_disk),
        30 => FaultAction::Rot(with_disk),
        28 => FaultAction::ResetShare { link, rate: Ratio(rng.below(1_000_000_001) as u32) },
        0 => FaultAction::Crash(target),
        1 => FaultAction::LosePower(target),
        2 => FaultAction::Wipe(with_disk),
        3 => FaultAction::Restart { target, rolling: rng.below(2) == 0 },
        4 => FaultAction::Pause(target),
        5 => FaultAction::Slow { target, thousandths },
        6 => FaultAction::StallDisk(with_disk),
        7 => FaultAction::SlowDisk { target: with_disk, thousandths },
        8 => FaultAction::FailDisk(with_disk),
        9 => FaultAction::Cut(link),
        10 => FaultAction::Isolate(target),
        11 => FaultAction::Delay { link, by: any_spread(rng) },
        12 => FaultAction::Drop { link, rate: Ratio(rng.below(1_000_000_001) as u32) },
        13 => FaultAction::Throttle { link, bytes_per_second: ByteCount(rng.below(1 << 30) + 1) },
        14 => FaultAction::Reset(link),
        15 => FaultAction::Skew { target: with_clock, by: any_length(rng), forwards: rng.below(2) == 0 },
        16 => FaultAction::HoldMetadata(with_metadata),
        17 => {
            let PartitionSelector { topic, partition } = any_partition(plan, rng);
            FaultAction::ElectPreferred { topic, partition }
        }
        18 => FaultAction::Rebalance(any_group(plan, rng)),
        19 => FaultAction::ExpireOffsets(any_group(plan, rng)),
        20 => FaultAction::Redeliver(any_instances(has_point, plan, rng)),
        21 => FaultAction::Jump { target: with_clock, by: any_length(rng), forwards: rng.below(2) == 0 },
        22 => FaultAction::Set(any_live_value(plan, rng)),
        23 => FaultAction::Fail { service: ServiceId(0), rate: Ratio(rng.below(1_000_000_001) as u32) },
        24 => FaultAction::Poison { origin: ServiceId(rng.below(2) as u16), events: rng.below(5) as u32 + 1 },
        25 => FaultAction::Repair(ServiceId(0)),
        26 => {
            let PartitionSelector { topic, partition } = any_partition(plan, rng);
            let partition = TopicPartition::new(topic, partition.unwrap_or(0));
            let first = rng.below(u64::from(plan.cluster.brokers)) as u16;
            let count = rng.below(u64::from(plan.cluster.brokers)) as u16 + 1;
            let to = (first..first + count).map(|number| NodeId(number % plan.cluster.brokers + 1)).collect();
            FaultAction::Reassign { partition, to }
        }
        _ => FaultAction::EnforceRetention(any_topic(plan, rng)),
    }
}

fn any_live_value(plan: &Plan, rng: &mut Rng) -> LiveValue {
    let (store, topic) = (0, any_topic(plan, rng));
    let rate = Ratio(rng.below(1_000_000_001) as u32);
    let size = ByteCount(rng.below(1 << 30) + 1);
    match rng.below(13) {
        0 => LiveValue::Rate { service: ServiceId(rng.below(2) as u16), interval: any_interval(rng) },
        1 => LiveValue::Instances { service: ServiceId(2), count: rng.below(3) as u16 + 1 },
        2 => LiveValue::Work { service: ServiceId(0), step: [0, 2][rng.below(2) as usize], time: any_spread(rng) },
        3 => LiveValue::StoreLatency { store, latency: any_spread(rng) },
        4 => LiveValue::StoreTimeout { store, timeout: any_length(rng) },
        5 => LiveValue::StoreErrors { store, rate },
        6 => LiveValue::StoreLostRequests { store, rate },
        7 => LiveValue::StoreLostAnswers { store, rate },
        8 => LiveValue::NetworkLatency(any_spread(rng)),
        9 => LiveValue::NetworkLoss(rate),
        10 => LiveValue::NetworkBandwidth(size),
        11 => LiveValue::TopicPartitions { topic, count: plan.partitions_ever(topic) + rng.below(9) as u16 + 1 },
        _ if rng.below(2) == 0 => LiveValue::TopicRetentionBytes { topic, size },
        _ => LiveValue::TopicRetention { topic, retention: (rng.below(2) == 0).then(|| any_length(rng)) },
    }
}

/// The mean gap of a rate as people write it.
fn any_interval(rng: &mut Rng) -> Duration {
    let number = rng.below(100_000) + 1;
    let unit = ["s", "min", "h"][rng.below(3) as usize];
    let text = [format!("{number}/{unit}"), format!("{number}.{:03}/{unit}", rng.below(1_000))];
    let rate = crate::scenario::values::parse(crate::scenario::values::Kind::Rate, &text[rng.below(2) as usize]);
    rate.expect("a rate").interval()
}

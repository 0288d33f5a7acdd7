//! A fault of a plan as a sentence of the language, in the plan's own names.
//!
//! The exact inverse of the reader: the sentence, read in the scenario that the plan was made of, is the same fault
//! again. Occurrences that were drawn and targets that were resolved are written as what they are: `3rd,17th` and
//! `broker(2)`. What no sentence of a scenario can mean (a fault at the offsets topic's own partitions, an ordinal
//! without numbers, a name that the plan does not have) is written all the same, and the reader refuses it.

use crate::types::{FaultId, GroupId, NodeId, Ratio, ServiceId, TopicId};

use super::super::plan::*;
use super::super::steps::{names_of, unmistakable_name};
use super::super::values::rate_text;

/// The sentence that means `fault` in the scenario of `plan`.
pub fn write_fault(fault: &FaultPlan, plan: &Plan) -> String {
    let mut words = vec![write_trigger(&fault.trigger, plan)];
    words.extend(fault.duration.map(|length| format!("for {length}")));
    words.extend(fault.every.map(|length| format!("every {length}")));
    words.extend(fault.times.map(|times| format!("times {times}")));
    words.push(write_action(&fault.action, plan));
    words.join(" ")
}

fn write_trigger(trigger: &FaultTrigger, plan: &Plan) -> String {
    let (state, ordinal, delay) = match trigger {
        FaultTrigger::At(time) => return format!("at {time}"),
        FaultTrigger::When { state, ordinal, delay } => (state, ordinal, delay),
    };
    let is_point = matches!(state, FaultState::Step { .. });
    let mut words = vec!["when".to_string()];
    match ordinal {
        Ordinal::Each => words.push("each".into()),
        // The first of a state is what is meant without a word; of a point it is not.
        Ordinal::These(numbers) if numbers[..] == [1] && !is_point => {}
        Ordinal::These(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(|number| format!("{number}{}", suffix(*number))).collect();
            words.push(numbers.join(","));
        }
    }
    words.push(write_state(state, plan));
    if !delay.is_zero() {
        words.push(format!("+{delay}"));
    }
    words.join(" ")
}

/// 1st, 2nd, 3rd, 4th; 11th, 12th, 13th.
fn suffix(number: u64) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        (0 | 4.., _) => "th",
    }
}

pub fn write_state(state: &FaultState, plan: &Plan) -> String {
    let of = |word: &str, selector: &PartitionSelector| format!("{word}({})", write_partition(selector, plan));
    match state {
        FaultState::Step { side: Side::After, service, step: StepSelector::Any } => {
            format!("step({})", service_name(*service, plan))
        }
        FaultState::Step { service, step: StepSelector::MidBatch, .. } => {
            format!("mid-batch({})", service_name(*service, plan))
        }
        FaultState::Step { side, service, step } => {
            let side = match side {
                Side::Before => "before",
                Side::After => "after",
                Side::Inside => "inside",
            };
            format!("{side}({}.{})", service_name(*service, plan), write_step(*service, *step, plan))
        }
        FaultState::Rebalance(group) => format!("rebalance({})", group_name(*group, plan)),
        FaultState::LeaderChange(selector) => of("leader-change", selector),
        FaultState::InSyncChange(selector) => of("isr-change", selector),
        FaultState::UnderMinInSync(selector) => of("under-min-isr", selector),
        FaultState::AlterPartition(selector) => of("alter-partition", selector),
        FaultState::Lag { group, above } => format!("lag({}) > {above}", group_name(*group, plan)),
        FaultState::Fired(fault) => format!("fired({})", fault_name(*fault, plan)),
        FaultState::Healed(fault) => format!("healed({})", fault_name(*fault, plan)),
        FaultState::TransactionOpen(service) => format!("transaction-open({})", service_name(*service, plan)),
        FaultState::TransactionPrepared(service) => format!("transaction-prepared({})", service_name(*service, plan)),
    }
}

fn write_step(service: ServiceId, step: StepSelector, plan: &Plan) -> String {
    match step {
        StepSelector::Any => "any".into(),
        StepSelector::Commit => "commit".into(),
        StepSelector::Poll | StepSelector::MidBatch => "poll".into(),
        StepSelector::Effect => "effect".into(),
        StepSelector::Rung(rung) => {
            let ladder = plan.services.get(usize::from(service.0)).map_or(&[][..], |service| &service.ladder);
            ladder.get(usize::from(rung)).map_or("skip", Rung::verb).into()
        }
        StepSelector::Index(index) => {
            let steps = plan.services.get(usize::from(service.0)).map_or(&[][..], |service| &service.steps);
            let names: Vec<_> = steps.iter().map(|step| names_of(step, plan)).collect();
            unmistakable_name(&names, usize::from(index)).unwrap_or_else(|| (u32::from(index) + 1).to_string())
        }
    }
}

pub fn write_action(action: &FaultAction, plan: &Plan) -> String {
    let at = |verb: &str, target: &Target| format!("{verb} {}", write_target(target, plan));
    let by = |thousandths: u64| format!("by {}", write_factor(thousandths));
    match action {
        FaultAction::Crash(target) => at("crash", target),
        FaultAction::LosePower(target) => at("lose-power", target),
        FaultAction::Wipe(target) => at("wipe", target),
        FaultAction::Restart { target, rolling: false } => at("restart", target),
        FaultAction::Restart { target, rolling: true } => format!("{} rolling", at("restart", target)),
        FaultAction::Pause(target) => at("pause", target),
        FaultAction::Slow { target, thousandths } => format!("{} {}", at("slow", target), by(*thousandths)),
        FaultAction::StallDisk(target) => at("stall-disk", target),
        FaultAction::SlowDisk { target, thousandths } => format!("{} {}", at("slow-disk", target), by(*thousandths)),
        FaultAction::FillDisk(target) => at("fill-disk", target),
        FaultAction::FailDisk(target) => at("fail-disk", target),
        FaultAction::Rot(target) => at("rot", target),
        FaultAction::Cut(link) => write_link("cut", link, None, plan),
        FaultAction::Isolate(target) => at("isolate", target),
        FaultAction::Delay { link, by } => write_link("delay", link, Some(format!("by {by}")), plan),
        FaultAction::Drop { link, rate } => write_link("drop", link, Some(format!("rate {rate}")), plan),
        FaultAction::Throttle { link, bytes_per_second } => {
            write_link("throttle", link, Some(format!("to {bytes_per_second}/s")), plan)
        }
        FaultAction::Reset(link) => write_link("reset", link, None, plan),
        FaultAction::ResetShare { link, rate } => write_link("reset", link, Some(format!("rate {rate}")), plan),
        FaultAction::Skew { target, by, forwards } => {
            format!("{} by {}", at("skew", target), write_shift(by, *forwards))
        }
        FaultAction::Jump { target, by, forwards } => {
            format!("{} by {}", at("jump", target), write_shift(by, *forwards))
        }
        FaultAction::HoldMetadata(target) => at("hold-metadata", target),
        FaultAction::Reassign { partition, to } => {
            let brokers: Vec<String> = to.iter().map(|broker| broker.0.to_string()).collect();
            format!("reassign {}/{} to {}", topic_name(partition.topic, plan), partition.partition, brokers.join(","))
        }
        FaultAction::ElectPreferred { topic, partition: None } => format!("elect {}", topic_name(*topic, plan)),
        FaultAction::ElectPreferred { topic, partition: Some(number) } => {
            format!("elect {}/{number}", topic_name(*topic, plan))
        }
        FaultAction::Rebalance(group) => format!("rebalance {}", group_name(*group, plan)),
        FaultAction::ExpireOffsets(group) => format!("expire offsets({})", group_name(*group, plan)),
        FaultAction::EnforceRetention(topic) => format!("enforce-retention {}", topic_name(*topic, plan)),
        FaultAction::Compact(topic) => format!("compact {}", topic_name(*topic, plan)),
        FaultAction::DeleteRecords(topic) => format!("delete-records {}", topic_name(*topic, plan)),
        FaultAction::Redeliver(target) => at("redeliver", target),
        FaultAction::Set(value) => write_live(value, plan),
        FaultAction::Fail { service, rate } if *rate == Ratio::ONE => {
            format!("fail {}", service_name(*service, plan))
        }
        FaultAction::Fail { service, rate } => format!("fail {} rate {rate}", service_name(*service, plan)),
        FaultAction::Poison { origin, events: 1 } => format!("poison {}", service_name(*origin, plan)),
        FaultAction::Poison { origin, events } => format!("poison {} times {events}", service_name(*origin, plan)),
        FaultAction::Redrive { from, .. } => format!("redrive {}", topic_name(*from, plan)),
        FaultAction::Repair(service) => format!("repair {}", service_name(*service, plan)),
    }
}

fn write_live(value: &LiveValue, plan: &Plan) -> String {
    let of_service =
        |service, key: &str, value: String| format!("set service.{}.{key} to {value}", service_name(service, plan));
    let of_store = |store: u16, key: &str, value: String| {
        let name = plan.stores.get(usize::from(store)).map_or_else(|| store.to_string(), |store| store.name.clone());
        format!("set store.{name}.{key} to {value}")
    };
    let of_endpoint = |endpoint: u16, key: &str, value: String| {
        let endpoint = plan.endpoints.get(usize::from(endpoint)).map_or("", |endpoint| endpoint.name.as_str());
        format!("set endpoint.{endpoint}.{key} to {value}")
    };
    match *value {
        LiveValue::Rate { service, interval } => of_service(service, "rate", rate_text(interval)),
        LiveValue::Instances { service, count } => of_service(service, "instances", count.to_string()),
        LiveValue::Work { service, step, time } => {
            let name = write_step(service, StepSelector::Index(step), plan);
            of_service(service, &name, time.to_string())
        }
        LiveValue::StoreLatency { store, latency } => of_store(store, "latency", latency.to_string()),
        LiveValue::StoreTimeout { store, timeout } => of_store(store, "timeout", timeout.to_string()),
        LiveValue::StoreErrors { store, rate } => of_store(store, "errors", rate.to_string()),
        LiveValue::StoreLostRequests { store, rate } => of_store(store, "lost-requests", rate.to_string()),
        LiveValue::StoreLostAnswers { store, rate } => of_store(store, "lost-answers", rate.to_string()),
        LiveValue::EndpointLatency { endpoint, latency } => of_endpoint(endpoint, "latency", latency.to_string()),
        LiveValue::EndpointErrors { endpoint, rate } => of_endpoint(endpoint, "errors", rate.to_string()),
        LiveValue::EndpointLostRequests { endpoint, rate } => of_endpoint(endpoint, "lost-requests", rate.to_string()),
        LiveValue::EndpointLostAnswers { endpoint, rate } => of_endpoint(endpoint, "lost-answers", rate.to_string()),
        LiveValue::NetworkLatency(latency) => format!("set network.latency to {latency}"),
        LiveValue::NetworkLoss(loss) => format!("set network.loss to {loss}"),
        LiveValue::NetworkBandwidth(bandwidth) => format!("set network.bandwidth to {bandwidth}/s"),
        LiveValue::TopicRetention { topic, retention } => {
            let length = retention.map_or_else(|| "forever".into(), |length| length.to_string());
            format!("set topic.{}.retention to {length}", topic_name(topic, plan))
        }
        LiveValue::TopicRetentionBytes { topic, size } => {
            format!("set topic.{}.retention-bytes to {size}", topic_name(topic, plan))
        }
        LiveValue::TopicPartitions { topic, count } => {
            format!("set topic.{}.partitions to {count}", topic_name(topic, plan))
        }
    }
}

fn write_shift(by: &crate::types::Duration, forwards: bool) -> String {
    format!("{}{by}", if forwards { "" } else { "-" })
}

/// `10x`, `1.5x`.
fn write_factor(thousandths: u64) -> String {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    match rest {
        0 => format!("{whole}x"),
        _ => format!("{whole}.{}x", format!("{rest:03}").trim_end_matches('0')),
    }
}

fn write_link(verb: &str, link: &LinkTarget, keyword: Option<String>, plan: &Plan) -> String {
    let arrow = if link.both_ways { "|" } else { "->" };
    let (from, to) = (write_target(&link.from, plan), write_target(&link.to, plan));
    let mut words = vec![format!("{verb} {from} {arrow} {to}")];
    words.extend(keyword);
    let kind = link.kind.and_then(|kind| serde_json::to_value(kind).ok());
    words.extend(kind.as_ref().and_then(|kind| kind.as_str()).map(|kind| format!("kind {kind}")));
    words.join(" ")
}

fn write_target(target: &Target, plan: &Plan) -> String {
    let of = |word: &str, selector: &PartitionSelector| format!("{word}({})", write_partition(selector, plan));
    match target {
        Target::Node(node) => write_node(*node, plan),
        Target::Nodes(nodes) => write_nodes(nodes, plan),
        Target::Leader(selector) => of("leader", selector),
        Target::Follower(selector) => of("follower", selector),
        Target::Followers(selector) => of("followers", selector),
        Target::Replicas(selector) => of("replicas", selector),
        Target::AnyBroker => "broker(any)".into(),
        Target::Brokers => "brokers".into(),
        Target::Controller => "controller".into(),
        Target::Controllers => "controllers".into(),
        Target::Coordinator(group) => format!("coordinator({})", group_name(*group, plan)),
        Target::TransactionCoordinator(service) => {
            format!("transaction-coordinator({})", service_name(*service, plan))
        }
        Target::Owner { partition, group } => {
            format!("owner({}, {})", write_partition(partition, plan), group_name(*group, plan))
        }
        Target::Oneself => "self".into(),
        Target::AnyOf(count, set) => {
            if let (1, Target::Nodes(nodes)) = (count, &**set)
                && let Some(service) = service_of(nodes, plan)
            {
                return format!("instance({service})");
            }
            format!("any({count}, {})", write_target(set, plan))
        }
        Target::Rest => "rest".into(),
    }
}

/// Every process has a word of its own, so that a role can be pinned to the node that had it.
fn write_node(node: NodeId, plan: &Plan) -> String {
    let Some(found) = plan.nodes.iter().find(|known| known.id == node) else { return node.to_string() };
    match found.kind {
        NodeKind::Broker => format!("broker({})", node.0),
        NodeKind::Controller => {
            let number = plan.cluster.controllers.iter().position(|voter| *voter == node);
            format!("controller({})", number.map_or(0, |number| number + 1))
        }
        NodeKind::Instance { service, number } => format!("instance({}, {number})", service_name(service, plan)),
        NodeKind::Store { store } => {
            plan.stores.get(usize::from(store)).map_or_else(|| node.to_string(), |store| store.name.clone())
        }
        NodeKind::Endpoint { endpoint } => {
            plan.endpoints.get(usize::from(endpoint)).map_or_else(|| node.to_string(), |endpoint| endpoint.name.clone())
        }
        NodeKind::Callers { service } => format!("callers({})", service_name(service, plan)),
    }
}

fn write_nodes(nodes: &[NodeId], plan: &Plan) -> String {
    if let Some(service) = service_of(nodes, plan) {
        return service.to_string();
    }
    let is_callers = |node: &&NodePlan| matches!(node.kind, NodeKind::Callers { .. });
    if nodes.iter().eq(plan.nodes.iter().filter(is_callers).map(|node| &node.id)) {
        return "callers".into();
    }
    let words: Vec<String> = nodes.iter().map(|node| write_node(*node, plan)).collect();
    format!("all({})", words.join(", "))
}

/// The service that has these instances.
fn service_of<'a>(nodes: &[NodeId], plan: &'a Plan) -> Option<&'a str> {
    plan.services.iter().find(|service| service.instances == nodes).map(|service| service.name.as_str())
}

fn write_partition(selector: &PartitionSelector, plan: &Plan) -> String {
    let topic = topic_name(selector.topic, plan);
    selector.partition.map_or_else(|| format!("{topic}/any"), |number| format!("{topic}/{number}"))
}

fn topic_name(topic: TopicId, plan: &Plan) -> String {
    plan.topics.get(usize::from(topic.0)).map_or_else(|| topic.to_string(), |topic| topic.name.clone())
}

fn group_name(group: GroupId, plan: &Plan) -> String {
    plan.groups.get(usize::from(group.0)).map_or_else(|| group.to_string(), |group| group.name.clone())
}

fn service_name(service: ServiceId, plan: &Plan) -> String {
    plan.services.get(usize::from(service.0)).map_or_else(|| service.to_string(), |service| service.name.clone())
}

fn fault_name(fault: FaultId, plan: &Plan) -> String {
    plan.faults.iter().find(|known| known.id == fault).map_or_else(|| fault.to_string(), |fault| fault.name.clone())
}

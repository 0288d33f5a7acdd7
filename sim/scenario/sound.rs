//! Whether a plan that came from a file can be run: every number in it that names something names something that exists.
//!
//! The one idea: a plan that was made from a scenario is sound by construction, and the world relies on that. A plan that
//! was read from a file may have been cut short or edited, so it is looked at once, here, before anything runs. What it
//! deliberately does not do: repeat the rules of the language. An edited plan may describe a system that no scenario would.

use super::plan::*;
use super::values::SHORTEST_PERIOD;
use crate::types::*;

/// More of anything than a run can hold.
const MOST_NODES: usize = 10_000;
const MOST_PARTITIONS: u16 = 10_000;
const MOST_ARRIVALS: u64 = 100_000_000;

/// `Err` says the first thing that is wrong.
pub fn check(plan: &Plan) -> Result<(), String> {
    nodes(plan)?;
    settings(plan)?;
    queue(plan)?;
    places(plan)?;
    for (index, service) in plan.services.iter().enumerate() {
        need(usize::from(service.id.0) == index, || format!("service {index} has the id {}", service.id.0))?;
        self::service(service, plan).map_err(|problem| format!("service `{}`: {problem}", service.name))?;
    }
    for (index, fault) in plan.faults.iter().enumerate() {
        need(usize::from(fault.id.0) == index, || format!("fault {index} has the id {}", fault.id.0))?;
        self::fault(fault, plan).map_err(|problem| format!("fault `{}`: {problem}", fault.name))?;
    }
    for expectation in &plan.expectations {
        match expectation {
            Expectation::Place(expected) => {
                place(expected.place, plan)?;
                expected.of.map_or(Ok(()), |of| place(of, plan))?;
            }
            Expectation::Service { service, .. } => known(plan.services.len(), usize::from(service.0), "service")?,
            Expectation::Delay { place: id, .. } => place(*id, plan)?,
            Expectation::Run { .. } => {}
        }
    }
    Ok(())
}

fn need(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}

fn known(count: usize, index: usize, what: &str) -> Result<(), String> {
    need(index < count, || format!("there is no {what} {index}"))
}

fn node(id: NodeId, plan: &Plan) -> Result<(), String> {
    need(1 <= id.0 && usize::from(id.0) <= plan.nodes.len(), || format!("there is no node {}", id.0))
}

fn place(id: PlaceId, plan: &Plan) -> Result<(), String> {
    known(plan.places.len(), usize::from(id.0), "place")
}

fn topic(id: TopicId, plan: &Plan) -> Result<(), String> {
    known(plan.topics.len(), usize::from(id.0), "topic")
}

fn group(id: GroupId, plan: &Plan) -> Result<(), String> {
    known(plan.groups.len(), usize::from(id.0), "group")
}

fn nodes(plan: &Plan) -> Result<(), String> {
    need(plan.nodes.len() <= MOST_NODES, || format!("it has {} nodes", plan.nodes.len()))?;
    let brokers = usize::from(plan.cluster.brokers);
    need(1 <= brokers && brokers <= plan.nodes.len(), || format!("it has {brokers} brokers"))?;
    for (index, planned) in plan.nodes.iter().enumerate() {
        need(usize::from(planned.id.0) == index + 1, || {
            format!("node {} stands in place {}", planned.id.0, index + 1)
        })?;
        let is_broker = matches!(planned.kind, NodeKind::Broker);
        need(is_broker == (index < brokers), || format!("node {} is not where brokers are", planned.id.0))?;
        match planned.kind {
            NodeKind::Broker | NodeKind::Controller => {}
            NodeKind::Instance { service, .. } | NodeKind::Callers { service } => {
                known(plan.services.len(), usize::from(service.0), "service")?;
            }
            NodeKind::Store { store } => known(plan.stores.len(), usize::from(store), "store")?,
            NodeKind::Endpoint { endpoint } => known(plan.endpoints.len(), usize::from(endpoint), "endpoint")?,
        }
    }
    need(!plan.cluster.controllers.is_empty(), || "it has no controllers".into())?;
    for voter in &plan.cluster.controllers {
        node(*voter, plan)?;
        let kind = plan.nodes[usize::from(voter.0) - 1].kind;
        need(matches!(kind, NodeKind::Broker | NodeKind::Controller), || format!("node {} is no controller", voter.0))?;
    }
    let ends = plan.network.between.iter().flat_map(|link| [link.from, link.to]);
    ends.chain(plan.disk.on.iter().map(|(node, _)| *node)).try_for_each(|id| node(id, plan))
}

fn settings(plan: &Plan) -> Result<(), String> {
    let settings = &plan.cluster.settings;
    let periods = [
        ("replica-lag-time-max", settings.replica_lag_time_max),
        ("broker-heartbeat-interval", settings.broker_heartbeat_interval),
        ("broker-session-timeout", settings.broker_session_timeout),
        ("controller-quorum-election-timeout", settings.controller_quorum_election_timeout),
        ("controller-quorum-fetch-timeout", settings.controller_quorum_fetch_timeout),
        ("controller-quorum-request-timeout", settings.controller_quorum_request_timeout),
        ("leader-imbalance-check-interval", settings.leader_imbalance_check_interval),
        ("offsets-retention-check-interval", settings.offsets_retention_check_interval),
        ("group-consumer-heartbeat-interval", settings.group_consumer_heartbeat_interval),
        ("group-consumer-session-timeout", settings.group_consumer_session_timeout),
        ("log-retention-check-interval", settings.log_retention_check_interval),
    ];
    periods.iter().try_for_each(|(name, period)| {
        need(SHORTEST_PERIOD <= *period, || format!("`{name}` is {period}, less than {SHORTEST_PERIOD}"))
    })
}

fn queue(plan: &Plan) -> Result<(), String> {
    need(!plan.topics.is_empty(), || "it has no topic for offsets".into())?;
    for (index, planned) in plan.topics.iter().enumerate() {
        need(usize::from(planned.id.0) == index, || format!("topic {index} has the id {}", planned.id.0))?;
        place(planned.place, plan)?;
        let settings = &planned.settings;
        let fits = 1 <= settings.replication && settings.replication <= plan.cluster.brokers;
        need(fits, || format!("topic `{}` has {} replicas", planned.name, settings.replication))?;
        let partitions = settings.partitions;
        let fits = (1..=MOST_PARTITIONS).contains(&partitions);
        need(fits, || format!("topic `{}` has {partitions} partitions", planned.name))?;
    }
    for (index, planned) in plan.groups.iter().enumerate() {
        need(usize::from(planned.id.0) == index, || format!("group {index} has the id {}", planned.id.0))?;
    }
    Ok(())
}

fn places(plan: &Plan) -> Result<(), String> {
    for (index, store) in plan.stores.iter().enumerate() {
        node(store.node, plan)?;
        let kind = plan.nodes[usize::from(store.node.0) - 1].kind;
        need(kind == NodeKind::Store { store: index as u16 }, || format!("store `{}` has no node", store.name))?;
    }
    for (index, endpoint) in plan.endpoints.iter().enumerate() {
        node(endpoint.node, plan)?;
        place(endpoint.place, plan)?;
        let number = index as u16;
        let (kind, at) =
            (plan.nodes[usize::from(endpoint.node.0) - 1].kind, plan.places[usize::from(endpoint.place.0)].kind);
        let fits = kind == NodeKind::Endpoint { endpoint: number } && at == PlaceKind::Endpoint { endpoint: number };
        need(fits, || format!("endpoint `{}` has no node or no place", endpoint.name))?;
        need(endpoint.capacity != Some(0), || format!("endpoint `{}` takes no calls", endpoint.name))?;
    }
    for (index, planned) in plan.places.iter().enumerate() {
        need(usize::from(planned.id.0) == index, || format!("place {index} has the id {}", planned.id.0))?;
        match planned.kind {
            PlaceKind::Table { store } => known(plan.stores.len(), usize::from(store), "store")?,
            PlaceKind::Endpoint { endpoint } => known(plan.endpoints.len(), usize::from(endpoint), "endpoint")?,
            PlaceKind::Topic { topic: id } => topic(id, plan)?,
        }
    }
    Ok(())
}

fn service(service: &ServicePlan, plan: &Plan) -> Result<(), String> {
    need(!service.instances.is_empty(), || "it has no instances".into())?;
    need(1 <= service.workers, || "it has no workers".into())?;
    for (index, instance) in service.instances.iter().enumerate() {
        node(*instance, plan)?;
        let kind = plan.nodes[usize::from(instance.0) - 1].kind;
        let expected = NodeKind::Instance { service: service.id, number: index as u16 + 1 };
        need(kind == expected, || format!("node {} is not its instance {}", instance.0, index + 1))?;
    }
    match &service.trigger {
        Trigger::Requests(requests) => {
            node(requests.callers, plan)?;
            let kind = plan.nodes[usize::from(requests.callers.0) - 1].kind;
            let expected = NodeKind::Callers { service: service.id };
            need(kind == expected, || format!("node {} is not its callers", requests.callers.0))?;
            need(!requests.interval.is_zero(), || "events arrive all at once: `interval` is zero".into())?;
            let arrivals = requests.count.unwrap_or(u64::MAX).min(plan.duration.0 / requests.interval.0);
            need(arrivals <= MOST_ARRIVALS, || {
                format!("{arrivals} events arrive, and a run has at most {MOST_ARRIVALS}")
            })?;
            need(1 <= requests.caller_attempts, || "its callers never try".into())?;
            match (requests.keys, requests.arrivals) {
                (Keys::Uniform(0) | Keys::Zipf { of: 0, .. }, _) => return Err("it has no keys".into()),
                (_, Arrivals::Burst(0)) => return Err("its bursts are empty".into()),
                (_, Arrivals::Diurnal { amplitude, period }) if Ratio::ONE < amplitude || period.is_zero() => {
                    return Err("its day has no length, or a rate below zero".into());
                }
                (Keys::Uniform(_) | Keys::Zipf { .. } | Keys::Unique, _) => {}
            }
        }
        Trigger::Called(_) => {}
        Trigger::Poll(poll) => {
            known(plan.stores.len(), usize::from(poll.store), "store")?;
            place(poll.table, plan)?;
            let kind = plan.places[usize::from(poll.table.0)].kind;
            need(kind == PlaceKind::Table { store: poll.store }, || "it polls no table of its store".into())?;
            need(SHORTEST_PERIOD <= poll.every, || format!("it polls every {}", poll.every))?;
            need(1 <= poll.batch, || "its polls find no rows".into())?;
        }
        Trigger::Consume(consume) => {
            group(consume.group, plan)?;
            consume.topics.iter().try_for_each(|id| topic(*id, plan))?;
            let offsets = plan.topics.len() - 1;
            for (index, id) in consume.topics.iter().enumerate() {
                need(usize::from(id.0) != offsets, || "it consumes the topic for offsets".into())?;
                need(!consume.topics[..index].contains(id), || format!("it consumes topic {} twice", id.0))?;
            }
        }
    }
    for step in &service.steps {
        action(&step.action, service, plan)?;
        step.of.map_or(Ok(()), |of| known(plan.services.len(), usize::from(of.0), "service"))?;
    }
    need(!service.ladder.is_empty(), || "its ladder has no rung".into())?;
    for rung in &service.ladder {
        match rung {
            Rung::DeadLetter { topic: id, producer, .. } | Rung::RetryTopic { topic: id, producer, .. } => {
                topic(*id, plan)?;
                known(service.producers.len(), usize::from(*producer), "producer")?;
            }
            Rung::Retry { .. } | Rung::Block { .. } | Rung::Skip | Rung::Refuse | Rung::Crash | Rung::Close => {}
        }
    }
    Ok(())
}

fn action(action: &Action, service: &ServicePlan, plan: &Plan) -> Result<(), String> {
    match action {
        Action::Store { store, operations } => {
            known(plan.stores.len(), usize::from(*store), "store")?;
            operations.iter().try_for_each(|operation| match operation {
                StoreStep::Insert { table, .. }
                | StoreStep::InsertIfAbsent { table, .. }
                | StoreStep::Check { table, .. }
                | StoreStep::Upsert { table, .. }
                | StoreStep::Add { table, .. }
                | StoreStep::Confirm { table, .. }
                | StoreStep::Commit { table } => place(*table, plan),
            })
        }
        Action::Publish { topic: id, producer, .. } => {
            topic(*id, plan)?;
            known(service.producers.len(), usize::from(*producer), "producer")
        }
        Action::Call(call) => {
            need(1 <= call.attempts, || "it calls and never tries".into())?;
            need(!call.timeout.is_zero(), || "it calls and does not wait".into())?;
            match call.to {
                Callee::Endpoint(endpoint) => known(plan.endpoints.len(), usize::from(endpoint), "endpoint"),
                Callee::Service(id) => {
                    known(plan.services.len(), usize::from(id.0), "service")?;
                    let callee = &plan.services[usize::from(id.0)];
                    let is_called = matches!(callee.trigger, Trigger::Called(_)) && !callee.instances.is_empty();
                    need(is_called, || format!("it calls `{}`, which is not called", callee.name))
                }
            }
        }
        Action::Commit { every: CommitEvery::Records(0), .. } => Err("it commits every 0 records".into()),
        Action::Commit { every: CommitEvery::Interval(Duration::ZERO), .. } => Err("it commits without pause".into()),
        Action::BeginTransaction | Action::SendOffsets { .. } | Action::EndTransaction => {
            let number = service.transactional.ok_or("a transaction without a producer for it")?;
            known(service.producers.len(), usize::from(number), "producer")?;
            need(service.workers == 1, || "a transaction with several workers".into())?;
            need(plan.transactions_topic().is_some(), || "transactions without their topic".into())
        }
        Action::Work { .. } | Action::Commit { .. } | Action::StoreOffset | Action::Respond => Ok(()),
    }
}

fn fault(fault: &FaultPlan, plan: &Plan) -> Result<(), String> {
    need(fault.every != Some(Duration::ZERO), || "it repeats without pause".into())?;
    match &fault.trigger {
        FaultTrigger::At(_) => {}
        FaultTrigger::When { state: waited, .. } => state(waited, plan)?,
    }
    match &fault.action {
        FaultAction::Crash(aim)
        | FaultAction::LosePower(aim)
        | FaultAction::Wipe(aim)
        | FaultAction::Restart { target: aim, .. }
        | FaultAction::Pause(aim)
        | FaultAction::Slow { target: aim, .. }
        | FaultAction::StallDisk(aim)
        | FaultAction::SlowDisk { target: aim, .. }
        | FaultAction::FillDisk(aim)
        | FaultAction::FailDisk(aim)
        | FaultAction::Rot(aim)
        | FaultAction::Isolate(aim)
        | FaultAction::Skew { target: aim, .. }
        | FaultAction::Jump { target: aim, .. }
        | FaultAction::HoldMetadata(aim)
        | FaultAction::Redeliver(aim) => target(aim, plan),
        FaultAction::Cut(link)
        | FaultAction::Delay { link, .. }
        | FaultAction::Drop { link, .. }
        | FaultAction::Throttle { link, .. }
        | FaultAction::Reset(link)
        | FaultAction::ResetShare { link, .. } => target(&link.from, plan).and_then(|()| target(&link.to, plan)),
        FaultAction::ElectPreferred { topic: id, .. }
        | FaultAction::EnforceRetention(id)
        | FaultAction::Compact(id)
        | FaultAction::DeleteRecords(id) => topic(*id, plan),
        FaultAction::Reassign { partition, to } => {
            let brokers = 1..=plan.cluster.brokers;
            let is_broker = |replica: &NodeId| brokers.contains(&replica.0);
            need(!to.is_empty() && to.iter().all(is_broker), || "its replicas are no brokers".into())?;
            topic(partition.topic, plan)
        }
        FaultAction::Redrive { service: id, from, to, group: of } => {
            known(plan.services.len(), usize::from(id.0), "service")?;
            topic(*from, plan)?;
            topic(*to, plan)?;
            group(*of, plan)
        }
        FaultAction::Rebalance(id) | FaultAction::ExpireOffsets(id) => group(*id, plan),
        FaultAction::Set(value) => live_value(value, plan),
        FaultAction::Fail { service: id, .. } | FaultAction::Repair(id) => {
            known(plan.services.len(), usize::from(id.0), "service")
        }
        FaultAction::Poison { origin, .. } => {
            need(!callers_of(plan, *origin).is_empty(), || "it has no callers".into())
        }
    }
}

fn live_value(value: &LiveValue, plan: &Plan) -> Result<(), String> {
    match *value {
        LiveValue::Rate { service, interval } => {
            need(!interval.is_zero(), || "it sets an endless rate".into())?;
            need(!callers_of(plan, service).is_empty(), || "it has no callers".into())
        }
        LiveValue::Instances { service, .. } => known(plan.services.len(), usize::from(service.0), "service"),
        LiveValue::Work { service, step, .. } => {
            known(plan.services.len(), usize::from(service.0), "service")?;
            known(plan.services[usize::from(service.0)].steps.len(), usize::from(step), "step")
        }
        LiveValue::StoreLatency { store, .. }
        | LiveValue::StoreTimeout { store, .. }
        | LiveValue::StoreErrors { store, .. }
        | LiveValue::StoreLostRequests { store, .. }
        | LiveValue::StoreLostAnswers { store, .. } => known(plan.stores.len(), usize::from(store), "store"),
        LiveValue::EndpointLatency { endpoint, .. }
        | LiveValue::EndpointErrors { endpoint, .. }
        | LiveValue::EndpointLostRequests { endpoint, .. }
        | LiveValue::EndpointLostAnswers { endpoint, .. } => {
            known(plan.endpoints.len(), usize::from(endpoint), "endpoint")
        }
        LiveValue::NetworkLatency(_) | LiveValue::NetworkLoss(_) | LiveValue::NetworkBandwidth(_) => Ok(()),
        LiveValue::TopicRetention { topic: id, .. } | LiveValue::TopicRetentionBytes { topic: id, .. } => {
            topic(id, plan)
        }
        LiveValue::TopicPartitions { topic: id, count } => {
            topic(id, plan)?;
            let begins_with = plan.topics[usize::from(id.0)].settings.partitions;
            need((begins_with + 1..=MOST_PARTITIONS).contains(&count), || format!("it sets {count} partitions"))
        }
    }
}

fn state(state: &FaultState, plan: &Plan) -> Result<(), String> {
    match state {
        FaultState::Step { service, step, .. } => {
            known(plan.services.len(), usize::from(service.0), "service")?;
            let steps = plan.services[usize::from(service.0)].steps.len();
            match step {
                StepSelector::Index(index) => known(steps, usize::from(*index), "step"),
                StepSelector::Rung(rung) => {
                    let ladder = plan.services[usize::from(service.0)].ladder.len();
                    known(ladder, usize::from(*rung), "rung")
                }
                StepSelector::Any | StepSelector::Commit | StepSelector::Effect => Ok(()),
                StepSelector::Poll | StepSelector::MidBatch => Ok(()),
            }
        }
        FaultState::Rebalance(id) | FaultState::Lag { group: id, .. } => group(*id, plan),
        FaultState::LeaderChange(of)
        | FaultState::InSyncChange(of)
        | FaultState::UnderMinInSync(of)
        | FaultState::AlterPartition(of) => topic(of.topic, plan),
        FaultState::TransactionOpen(id) | FaultState::TransactionPrepared(id) => transactional(*id, plan),
        FaultState::Fired(id) | FaultState::Healed(id) => known(plan.faults.len(), usize::from(id.0), "fault"),
    }
}

fn transactional(id: ServiceId, plan: &Plan) -> Result<(), String> {
    known(plan.services.len(), usize::from(id.0), "service")?;
    let has_some = plan.services[usize::from(id.0)].transactional.is_some() && plan.transactions_topic().is_some();
    need(has_some, || "its service has no transactions".into())
}

fn target(aim: &Target, plan: &Plan) -> Result<(), String> {
    match aim {
        Target::Node(id) => node(*id, plan),
        Target::Nodes(ids) => ids.iter().try_for_each(|id| node(*id, plan)),
        Target::Leader(of) | Target::Follower(of) | Target::Followers(of) | Target::Replicas(of) => {
            topic(of.topic, plan)
        }
        Target::Coordinator(id) => group(*id, plan),
        Target::TransactionCoordinator(id) => transactional(*id, plan),
        Target::Owner { partition, group: id } => topic(partition.topic, plan).and_then(|()| group(*id, plan)),
        Target::AnyOf(_, set) => target(set, plan),
        Target::AnyBroker
        | Target::Brokers
        | Target::Controller
        | Target::Controllers
        | Target::Oneself
        | Target::Rest => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let path = std::path::Path::new("scenarios/acks_1_loses.toml");
        let family = super::super::load(path, &[]).unwrap_or_else(|problems| panic!("{}", problems.short()));
        family.cells[0].plan(Seed(1))
    }

    #[test]
    fn every_shipped_plan_is_sound() {
        for entry in std::fs::read_dir("scenarios").expect("the folder of scenarios") {
            let path = entry.expect("an entry").path();
            let family = super::super::load(&path, &[]).unwrap_or_else(|problems| panic!("{}", problems.short()));
            for cell in &family.cells {
                assert_eq!(check(&cell.plan(Seed(0))), Ok(()), "{} {}", path.display(), cell.id);
            }
        }
    }

    #[test]
    fn what_names_nothing_is_found() {
        let broken = |change: &dyn Fn(&mut Plan)| {
            let mut plan = plan();
            change(&mut plan);
            check(&plan).expect_err("it is broken")
        };
        assert!(broken(&|plan| plan.services[0].instances.clear()).contains("no instances"));
        assert!(broken(&|plan| plan.cluster.controllers = vec![NodeId(99)]).contains("no node 99"));
        assert!(broken(&|plan| drop(plan.nodes.remove(0))).contains("stands in place"));
        assert!(broken(&|plan| plan.faults[0].action = FaultAction::Crash(Target::Node(NodeId(77)))).contains("fault"));
        let reassign = |to: Vec<NodeId>| FaultAction::Reassign { partition: TopicPartition::default(), to };
        assert!(broken(&|plan| plan.faults[0].action = reassign(vec![NodeId(1), NodeId(77)])).contains("no brokers"));
        assert!(broken(&|plan| plan.topics.clear()).contains("no topic"));
        assert!(broken(&|plan| plan.topics[0].settings.replication = 9).contains("9 replicas"));
    }
}

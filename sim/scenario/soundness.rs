//! Whether a plan that was read from a file can be run: each number points at something that is there.
//!
//! The loader makes only sound plans. A plan that was edited by hand, shrunk or damaged is checked here before it reaches
//! the world, whose rooms look numbers up without asking. All problems are told at once, each with its place in the file.
//! What is not asked: whether the plan makes sense as a system. That is the loader's work, on the scenario.

use super::plan::*;
use super::printable;
use crate::types::*;

/// More would overflow a clock that counts nanoseconds, or never end.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Plan {
    /// Everything that makes this plan impossible to run.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut check = Check { plan: self, place: String::new(), problems: Vec::new() };
        check.whole();
        match check.problems.is_empty() {
            true => Ok(()),
            false => Err(check.problems),
        }
    }
}

struct Check<'a> {
    plan: &'a Plan,
    /// Where in the file, as a person would look for it.
    place: String,
    problems: Vec<String>,
}

impl Check<'_> {
    fn whole(&mut self) {
        let plan = self.plan;
        self.place = "plan".into();
        self.at_least("duration", plan.duration.0, 1);
        for (what, length) in [("duration", plan.duration), ("drain", plan.drain)] {
            self.require(length <= LONGEST, || format!("`{what}` is longer than ten years"));
        }
        if plan.stream_version != STREAM_VERSION {
            let other = plan.stream_version;
            self.problem(format!("its random streams are of version {other}, these are of version {STREAM_VERSION}"));
        }
        self.numbered("nodes", plan.nodes.iter().map(|node| usize::from(node.id.0)), 1);
        self.numbered("topics", plan.topics.iter().map(|topic| usize::from(topic.id.0)), 0);
        self.numbered("groups", plan.groups.iter().map(|group| usize::from(group.id.0)), 0);
        self.numbered("services", plan.services.iter().map(|service| usize::from(service.id.0)), 0);
        self.numbered("places", plan.places.iter().map(|place| usize::from(place.id.0)), 0);
        self.numbered("faults", plan.faults.iter().map(|fault| usize::from(fault.id.0)), 0);
        self.cluster();
        self.ground();
        self.things();
        for service in &plan.services {
            self.service(service);
        }
        for fault in &plan.faults {
            self.place = format!("faults, `{}`", printable(&fault.name));
            self.fault(fault);
        }
        self.place = "expectations".into();
        for expectation in &plan.expectations {
            match expectation {
                Expectation::Place(expected) => {
                    self.known_place(expected.place);
                    expected.of.into_iter().for_each(|place| self.known_place(place));
                }
                Expectation::Service { service, .. } => self.known_service(*service),
            }
        }
    }

    fn cluster(&mut self) {
        let plan = self.plan;
        self.place = "cluster".into();
        self.at_least("brokers", plan.cluster.brokers.into(), 1);
        self.at_least("controllers", plan.cluster.controllers.len() as u64, 1);
        for node in &plan.cluster.controllers {
            self.known_node(*node);
            let is_own = plan.nodes.iter().any(|known| known.id == *node && known.kind == NodeKind::Controller);
            self.require(node.0 <= plan.cluster.brokers || is_own, || {
                format!("voter {} is no broker and no controller", node.0)
            });
        }
        let brokers = plan.nodes.iter().take_while(|node| node.kind == NodeKind::Broker).count();
        let all = plan.nodes.iter().filter(|node| node.kind == NodeKind::Broker).count();
        let stated = usize::from(plan.cluster.brokers);
        self.require(brokers == stated && all == stated, || {
            format!("`brokers` is {stated}, but the first {brokers} of the nodes are brokers, and {all} in all")
        });
    }

    /// What lies under the system: nodes, links, disks.
    fn ground(&mut self) {
        let plan = self.plan;
        for node in &plan.nodes {
            self.place = format!("nodes, `{}`", printable(&node.name));
            match node.kind {
                NodeKind::Broker | NodeKind::Controller => {}
                NodeKind::Instance { service, number } => {
                    self.known_service(service);
                    self.at_least("number", number.into(), 1);
                }
                NodeKind::Store { store } => self.known("store", store.into(), plan.stores.len()),
                NodeKind::Callers { service } => self.known_service(service),
            }
        }
        self.place = "network".into();
        self.spread("latency", plan.network.default.latency);
        for link in &plan.network.between {
            self.known_node(link.from);
            self.known_node(link.to);
            self.spread("latency", link.link.latency);
        }
        self.place = "disk".into();
        let disks = plan.disk.on.iter().map(|(_, disk)| disk);
        for disk in std::iter::once(&plan.disk.default).chain(disks) {
            self.spread("write", disk.write);
            self.spread("flush", disk.flush);
            disk.write_back.into_iter().for_each(|every| self.at_least("write-back", every.0, 1));
        }
        plan.disk.on.iter().for_each(|(node, _)| self.known_node(*node));
    }

    fn things(&mut self) {
        let plan = self.plan;
        for topic in &plan.topics {
            self.place = format!("topics, `{}`", printable(&topic.name));
            self.known_place(topic.place);
            let settings = &topic.settings;
            self.at_least("partitions", settings.partitions.into(), 1);
            self.at_least("replication", settings.replication.into(), 1);
            self.at_least("min-insync-replicas", settings.min_insync_replicas.into(), 1);
            self.at_least("segment", settings.segment.0, 1);
            self.at_least("segment-bytes", settings.segment_bytes.0, 1);
            self.require(settings.replication <= plan.cluster.brokers, || {
                format!("`replication` is {}, but there are {} brokers", settings.replication, plan.cluster.brokers)
            });
        }
        for store in &plan.stores {
            self.place = format!("stores, `{}`", printable(&store.name));
            self.known_node(store.node);
            self.spread("latency", store.latency);
        }
        for place in &plan.places {
            self.place = format!("places, `{}`", printable(&place.name));
            match place.kind {
                PlaceKind::Table { store } => self.known("store", store.into(), plan.stores.len()),
                PlaceKind::Topic { topic } => self.known_topic(topic),
            }
        }
    }

    fn service(&mut self, service: &ServicePlan) {
        let name = printable(&service.name);
        self.place = format!("services, `{name}`");
        self.at_least("instances", service.instances.len() as u64, 1);
        self.at_least("workers", service.workers.into(), 1);
        service.instances.iter().for_each(|node| self.known_node(*node));
        match &service.trigger {
            Trigger::Requests(requests) => {
                self.known_node(requests.callers);
                self.at_least("interval", requests.interval.0, 1);
                match requests.arrivals {
                    Arrivals::Constant | Arrivals::Poisson => {}
                    Arrivals::Burst(size) => self.at_least("burst", size.into(), 1),
                }
                match requests.keys {
                    Keys::Uniform(of) | Keys::Zipf { of, .. } => self.at_least("keys", of, 1),
                    Keys::Unique => {}
                }
            }
            Trigger::Consume(consume) => {
                self.known_group(consume.group);
                self.at_least("topics", consume.topics.len() as u64, 1);
                consume.topics.iter().for_each(|topic| self.known_topic(*topic));
            }
        }
        for (number, step) in service.steps.iter().enumerate() {
            self.place = format!("services, `{name}`, step {} (`{}`)", number + 1, printable(&step.text));
            step.of.into_iter().for_each(|origin| self.known_service(origin));
            match &step.action {
                Action::Work { time, .. } => self.spread("time", *time),
                Action::Store { store, operations } => {
                    self.known("store", (*store).into(), self.plan.stores.len());
                    operations.iter().for_each(|operation| self.known_place(table_of(*operation)));
                }
                Action::Publish { topic, producer, .. } => {
                    self.known_topic(*topic);
                    self.known("producer", (*producer).into(), service.producers.len());
                }
                Action::Commit { every, .. } => match every {
                    CommitEvery::Record | CommitEvery::Batch => {}
                    CommitEvery::Records(count) => self.at_least("every", (*count).into(), 1),
                    CommitEvery::Interval(every) => self.at_least("every", every.0, 1),
                },
                Action::Respond => {}
            }
        }
        self.place = format!("services, `{name}`, ladder");
        self.at_least("ladder", service.ladder.len() as u64, 1);
        for rung in &service.ladder {
            match rung {
                Rung::Retry { backoff, .. } | Rung::Block { backoff } => self.spread("backoff", *backoff),
                Rung::DeadLetter { topic, producer, .. } => {
                    self.known_topic(*topic);
                    self.known("producer", (*producer).into(), service.producers.len());
                }
                Rung::Skip | Rung::Refuse | Rung::Crash | Rung::Close => {}
            }
        }
    }

    fn fault(&mut self, fault: &FaultPlan) {
        fault.every.into_iter().for_each(|every| self.at_least("every", every.0, 1));
        match &fault.trigger {
            FaultTrigger::At(_) => {}
            FaultTrigger::When { state, .. } => match state {
                FaultState::Step { service, step, .. } => {
                    self.known_service(*service);
                    let steps = self.plan.services.get(usize::from(service.0)).map_or(0, |service| service.steps.len());
                    match step {
                        StepSelector::Index(index) => self.known("step", (*index).into(), steps),
                        StepSelector::Any | StepSelector::Commit | StepSelector::Poll | StepSelector::Effect => {}
                    }
                }
                FaultState::Rebalance(group) | FaultState::Lag { group, .. } => self.known_group(*group),
                FaultState::LeaderChange(partition)
                | FaultState::InSyncChange(partition)
                | FaultState::UnderMinInSync(partition)
                | FaultState::AlterPartition(partition) => self.known_partition(*partition),
                FaultState::Fired(other) | FaultState::Healed(other) => {
                    self.known("fault", other.0.into(), self.plan.faults.len());
                }
            },
        }
        match &fault.action {
            FaultAction::Crash(target)
            | FaultAction::LosePower(target)
            | FaultAction::Wipe(target)
            | FaultAction::Restart { target, .. }
            | FaultAction::Pause(target)
            | FaultAction::StallDisk(target)
            | FaultAction::FailDisk(target)
            | FaultAction::Isolate(target)
            | FaultAction::Skew { target, .. }
            | FaultAction::HoldMetadata(target) => self.target(target),
            FaultAction::Slow { target, thousandths } | FaultAction::SlowDisk { target, thousandths } => {
                self.target(target);
                self.at_least("thousandths", *thousandths, 1);
            }
            FaultAction::Cut(link) | FaultAction::Reset(link) | FaultAction::Drop { link, .. } => self.link(link),
            FaultAction::Delay { link, by } => {
                self.link(link);
                self.spread("by", *by);
            }
            FaultAction::Throttle { link, bytes_per_second } => {
                self.link(link);
                self.at_least("bytes-per-second", bytes_per_second.0, 1);
            }
            FaultAction::ElectPreferred(topic) | FaultAction::EnforceRetention(topic) => self.known_topic(*topic),
            FaultAction::Rebalance(group) | FaultAction::ExpireOffsets(group) => self.known_group(*group),
        }
    }

    fn link(&mut self, link: &LinkTarget) {
        self.target(&link.from);
        self.target(&link.to);
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Node(node) => self.known_node(*node),
            Target::Nodes(nodes) => nodes.iter().for_each(|node| self.known_node(*node)),
            Target::Leader(partition)
            | Target::Follower(partition)
            | Target::Followers(partition)
            | Target::Replicas(partition) => self.known_partition(*partition),
            Target::Coordinator(group) => self.known_group(*group),
            Target::Owner { partition, group } => {
                self.known_partition(*partition);
                self.known_group(*group);
            }
            Target::AnyOf(_, target) => self.target(target),
            Target::AnyBroker
            | Target::Brokers
            | Target::Controller
            | Target::Controllers
            | Target::Oneself
            | Target::Rest => {}
        }
    }

    // --- what is asked of one number ---

    fn problem(&mut self, what: String) {
        self.problems.push(format!("{}: {what}", self.place));
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.problem(what());
        }
    }

    fn at_least(&mut self, what: &str, value: u64, least: u64) {
        self.require(least <= value, || format!("`{what}` is {value}, and must be at least {least}"));
    }

    /// Lists are looked up by number, so each entry carries its own.
    fn numbered(&mut self, list: &str, ids: impl Iterator<Item = usize>, first: usize) {
        if let Some((place, id)) = ids.enumerate().find(|(place, id)| *id != place + first) {
            let right = place + first;
            self.problem(format!(
                "entry {} of `{list}` has the id {id}; ids count from {first}, so it is {right}",
                place + 1
            ));
        }
    }

    fn known(&mut self, what: &str, index: usize, count: usize) {
        self.require(index < count, || format!("there is no {what} {index}; there are {count}, counted from 0"));
    }

    fn known_node(&mut self, node: NodeId) {
        let count = self.plan.nodes.len();
        let there = 1 <= node.0 && usize::from(node.0) <= count;
        self.require(there, || format!("there is no node {}; there are {count}, counted from 1", node.0));
    }

    fn known_topic(&mut self, topic: TopicId) {
        self.known("topic", topic.0.into(), self.plan.topics.len());
    }

    fn known_group(&mut self, group: GroupId) {
        self.known("group", group.0.into(), self.plan.groups.len());
    }

    fn known_service(&mut self, service: ServiceId) {
        self.known("service", service.0.into(), self.plan.services.len());
    }

    fn known_place(&mut self, place: PlaceId) {
        self.known("place", place.0.into(), self.plan.places.len());
    }

    fn known_partition(&mut self, selector: PartitionSelector) {
        self.known_topic(selector.topic);
        let partitions =
            self.plan.topics.get(usize::from(selector.topic.0)).map_or(0, |topic| topic.settings.partitions);
        if let Some(partition) = selector.partition {
            self.known("partition", partition.into(), partitions.into());
        }
    }

    fn spread(&mut self, what: &str, spread: Spread) {
        if let Spread::Uniform { low, high } = spread {
            self.require(low <= high, || format!("`{what}` goes from {low} down to {high}"));
        }
    }
}

fn table_of(operation: StoreStep) -> PlaceId {
    match operation {
        StoreStep::Insert { table, .. }
        | StoreStep::InsertIfAbsent { table, .. }
        | StoreStep::Check { table, .. }
        | StoreStep::Upsert { table, .. }
        | StoreStep::Add { table, .. } => table,
    }
}

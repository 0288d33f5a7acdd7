//! Who plays which role right now, and what is still to be done: learnt from the notes, as an operator would learn it
//! from metrics. Faults resolve their targets here, and the end of a run is found here.

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::plan::{PartitionSelector, Plan, PollPlan, Rung, ServicePlan, Target, Trigger};
use crate::types::metadata::PartitionState;
use crate::types::note::Note;
use crate::types::request::Cursor;
use crate::types::*;

use super::voters::Voters;

pub struct Roles {
    offsets_topic: TopicId,
    offsets_partitions: u16,
    /// The transactions topic and its partitions.
    transactions: Option<(TopicId, u16)>,
    first_instances: BTreeMap<ServiceId, NodeId>,
    brokers: Vec<NodeId>,
    voters: Vec<NodeId>,
    /// Who became it last.
    pub controller: Option<NodeId>,
    /// It has committed a record of its own since, and has neither resigned nor died.
    controller_leads: bool,
    pub quorum: Voters,
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
    /// Registration of each broker.
    pub broker_epochs: BTreeMap<NodeId, BrokerEpoch>,
    /// High watermark of each partition as its leader last said.
    high_watermarks: PartitionTable<Offset>,
    /// Position and owner of each group in each partition.
    owners: BTreeMap<(GroupId, TopicPartition), NodeId>,
    /// What each instance was assigned and has neither given back nor lost.
    held: BTreeSet<(NodeId, GroupId, TopicPartition)>,
    positions: BTreeMap<(GroupId, TopicPartition), Offset>,
    /// What members gave back or lost and nobody was assigned since: somebody may have to begin there again.
    unassigned: BTreeSet<(GroupId, TopicPartition)>,
    /// Topics of each group.
    subscriptions: BTreeMap<GroupId, Vec<TopicId>>,
    /// Rows that are seen and not done with, for each service that polls a table.
    relays: Vec<RelayWork>,
    /// Unfinished work of each node.
    open: Vec<OpenWork>,
    /// Rungs that end a flow with a refusal.
    refusing: Vec<(ServiceId, u16)>,
    /// Events whose caller has no final answer yet.
    pub unsettled: u64,
}

/// What a relay has still to do. A row that is seen behind its cursor is never found by a poll.
struct RelayWork {
    service: ServiceId,
    poll: PollPlan,
    cursor: RowNumber,
    open: BTreeSet<RowNumber>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OpenWork {
    /// Records polled and calls begun, until their flow is through or given up.
    flows: i64,
    /// Records handed to a producer that has not said what became of them.
    sends: i64,
}

impl Roles {
    pub fn new(plan: &Plan) -> Roles {
        let offsets = plan.topics.last().expect("the offsets topic is always planned");
        let subscriptions = plan.services.iter().filter_map(|service| match &service.trigger {
            Trigger::Consume(consume) => Some((consume.group, consume.topics.clone())),
            Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
        });
        Roles {
            offsets_topic: offsets.id,
            offsets_partitions: offsets.settings.partitions,
            transactions: plan.transactions_topic().and_then(|id| {
                let topic = plan.topics.iter().find(|topic| topic.id == id)?;
                Some((id, topic.settings.partitions))
            }),
            first_instances: plan
                .services
                .iter()
                .filter_map(|service| Some((service.id, *service.instances.first()?)))
                .collect(),
            brokers: (1..=plan.cluster.brokers).map(NodeId).collect(),
            voters: plan.cluster.controllers.clone(),
            controller: None,
            controller_leads: false,
            quorum: Voters::default(),
            partitions: BTreeMap::new(),
            broker_epochs: BTreeMap::new(),
            high_watermarks: PartitionTable::default(),
            owners: BTreeMap::new(),
            held: BTreeSet::new(),
            positions: BTreeMap::new(),
            unassigned: BTreeSet::new(),
            subscriptions: subscriptions.collect(),
            refusing: plan.services.iter().flat_map(refusing_rungs).collect(),
            relays: plan.services.iter().filter_map(RelayWork::of).collect(),
            open: vec![OpenWork::default(); plan.nodes.len() + 1],
            unsettled: 0,
        }
    }

    #[inline]
    pub fn observe(&mut self, node: NodeId, note: &Note) {
        match note {
            // Said for each event or batch, and nobody's role.
            Note::Attempted { .. }
            | Note::StepReached { .. }
            | Note::StepDone { .. }
            | Note::StepExecuted { .. }
            | Note::EffectApplied { .. }
            | Note::BatchSent { .. }
            | Note::BatchAppended { .. }
            | Note::HighWatermark { as_leader: false, .. }
            | Note::ProduceAnswered { .. } => {}
            _ => self.take_in(node, note),
        }
    }

    #[inline(never)]
    fn take_in(&mut self, node: NodeId, note: &Note) {
        let open = &mut self.open[node.0 as usize];
        match note {
            Note::BecameController { .. } => {
                (self.controller, self.controller_leads) = (Some(node), false);
                self.quorum.observe(node, note);
            }
            Note::ResignedController { .. } if self.controller == Some(node) => self.controller_leads = false,
            Note::BecameCandidate { .. }
            | Note::VoteGranted { .. }
            | Note::QuorumAppended { .. }
            | Note::QuorumTruncated { .. } => self.quorum.observe(node, note),
            Note::QuorumHighWatermark { .. } => {
                self.controller_leads |= self.controller == Some(node);
                self.quorum.observe(node, note);
            }
            Note::BrokerChanged { broker, broker_epoch, .. } => {
                self.broker_epochs.insert(*broker, *broker_epoch);
            }
            Note::PartitionChanged { partition, state, .. } => {
                self.partitions.insert(*partition, (**state).clone());
            }
            Note::HighWatermark { partition, offset, as_leader: true, .. } => {
                self.high_watermarks.insert(*partition, *offset);
            }
            Note::Assigned { group, partitions, .. } => {
                for partition in partitions {
                    self.owners.insert((*group, *partition), node);
                    self.unassigned.remove(&(*group, *partition));
                    // Whoever kept a partition over a round goes on where it is.
                    if self.held.insert((node, *group, *partition)) {
                        self.positions.remove(&(*group, *partition));
                    }
                }
            }
            Note::Revoked { group, partitions, .. } | Note::Lost { group, partitions, .. } => {
                for partition in partitions {
                    self.held.remove(&(node, *group, *partition));
                    if self.owners.get(&(*group, *partition)) == Some(&node) {
                        self.unassigned.insert((*group, *partition));
                    }
                }
            }
            Note::PositionSet { group, partition, offset, .. } => {
                self.positions.insert((*group, *partition), *offset);
            }
            Note::Polled { group, partition, to, count, .. } => {
                self.positions.insert((*group, *partition), *to);
                open.flows += i64::from(*count);
            }
            Note::PassedOver { group, partition, to, .. } => {
                self.positions.insert((*group, *partition), *to);
            }
            Note::Abandoned { count, .. } => open.flows -= i64::from(*count),
            // A call says that it started when it comes in.
            Note::FlowStarted { source: None, attempt: 1, .. } | Note::Redelivered { source: Some(_), .. } => {
                open.flows += 1
            }
            Note::RungReached { service, rung, .. } if self.refusing.contains(&(*service, *rung)) => {
                open.flows -= 1;
            }
            Note::RowSeen { .. } | Note::RowsMarked { .. } | Note::CursorMoved { .. } => {
                self.relays.iter_mut().for_each(|relay| relay.observe(note));
            }
            Note::FlowDone { .. } | Note::Redriven { .. } => open.flows -= 1,
            Note::Sent { .. } => open.sends += 1,
            Note::SendSucceeded { .. } | Note::SendFailed { .. } => open.sends -= 1,
            Note::Arrived { .. } => self.unsettled += 1,
            Note::CallerSettled { .. } => self.unsettled -= 1,
            _ => {}
        }
    }

    /// The process is gone with all it had begun; its partitions have no owner until somebody is assigned.
    pub fn process_died(&mut self, node: NodeId) {
        self.open[node.0 as usize] = OpenWork::default();
        self.owners.retain(|_, owner| *owner != node);
        self.held.retain(|(holder, _, _)| *holder != node);
        self.controller_leads &= self.controller != Some(node);
    }

    /// Who leads the quorum and takes requests, as far as it knows itself.
    pub fn active_controller(&self) -> Option<NodeId> {
        self.controller.filter(|_| self.controller_leads)
    }

    /// Whether every group owns and stands at every partition of its topics.
    pub fn groups_ready(&self) -> bool {
        self.group_partitions().all(|(group, partition)| {
            self.owners.contains_key(&(group, partition)) && self.positions.contains_key(&(group, partition))
        }) && self.partitions.values().all(|state| state.leader.is_some())
    }

    /// Whether nothing is left to do anywhere.
    pub fn quiet(&self) -> bool {
        self.unsettled == 0
            && self.open.iter().all(|open| *open == OpenWork::default())
            && self.groups_ready()
            && self.unassigned.is_empty()
            && self.lag_total() == 0
            && self.relays.iter().all(|relay| relay.open.is_empty())
    }

    /// Records polled and calls begun at a node whose flows are not through.
    pub fn unfinished(&self, node: NodeId) -> i64 {
        self.open[usize::from(node.0)].flows
    }

    /// Records of all topics that a group has not been handed yet.
    pub fn lag(&self, group: GroupId) -> u64 {
        let partitions = self.group_partitions().filter(|(other, _)| *other == group);
        partitions.map(|(group, partition)| self.lag_of(group, partition)).sum()
    }

    /// The broker whom the controller has made the coordinator of a group; it may be down.
    pub fn coordinator(&self, group: GroupId) -> Option<NodeId> {
        let partition = TopicPartition::new(self.offsets_topic, group.0 % self.offsets_partitions);
        self.partitions.get(&partition)?.leader
    }

    pub fn resolve(
        &self,
        target: &Target,
        oneself: Option<NodeId>,
        all: &[NodeId],
        draw: &mut impl Random,
    ) -> Vec<NodeId> {
        match target {
            Target::Node(node) => vec![*node],
            Target::Nodes(nodes) => nodes.clone(),
            Target::Leader(selector) => self.of_partition(*selector, draw, |state| state.leader.into_iter().collect()),
            Target::Follower(selector) => {
                let followers = self.of_partition(*selector, draw, followers);
                pick(followers, 1, draw)
            }
            Target::Followers(selector) => self.of_partition(*selector, draw, followers),
            Target::Replicas(selector) => self.of_partition(*selector, draw, |state| state.replicas.clone()),
            Target::AnyBroker => pick(self.brokers.clone(), 1, draw),
            Target::Brokers => self.brokers.clone(),
            Target::Controller => self.controller.into_iter().collect(),
            Target::Controllers => self.voters.clone(),
            Target::Coordinator(group) => self.coordinator(*group).into_iter().collect(),
            Target::TransactionCoordinator(service) => {
                let Some((topic, partitions)) = self.transactions else { return Vec::new() };
                let instance = self.first_instances.get(service).map_or(0, |node| node.0);
                let partition = TopicPartition::new(topic, instance % partitions);
                self.partitions.get(&partition).and_then(|state| state.leader).into_iter().collect()
            }
            Target::Owner { partition, group } => {
                let owners =
                    self.owners.iter().filter(|((other, owned), _)| other == group && selects(*partition, *owned));
                let owners: Vec<NodeId> = owners.map(|(_, owner)| *owner).collect();
                if partition.partition.is_none() { pick(owners, 1, draw) } else { owners }
            }
            Target::Oneself => oneself.into_iter().collect(),
            Target::AnyOf(count, set) => {
                let set = self.resolve(set, oneself, all, draw);
                pick(set, usize::from(*count), draw)
            }
            Target::Rest => all.to_vec(),
        }
    }

    fn of_partition(
        &self,
        selector: PartitionSelector,
        draw: &mut impl Random,
        role: impl Fn(&PartitionState) -> Vec<NodeId>,
    ) -> Vec<NodeId> {
        let matching: Vec<&PartitionState> = self
            .partitions
            .iter()
            .filter(|(partition, _)| selects(selector, **partition))
            .map(|(_, state)| state)
            .collect();
        match matching.len() {
            0 => Vec::new(),
            count => role(matching[draw.below(count as u64) as usize]),
        }
    }

    fn group_partitions(&self) -> impl Iterator<Item = (GroupId, TopicPartition)> + '_ {
        self.subscriptions.iter().flat_map(move |(group, topics)| {
            let partitions = self.partitions.keys().filter(move |partition| topics.contains(&partition.topic));
            partitions.map(move |partition| (*group, *partition))
        })
    }

    fn lag_total(&self) -> u64 {
        self.group_partitions().map(|(group, partition)| self.lag_of(group, partition)).sum()
    }

    fn lag_of(&self, group: GroupId, partition: TopicPartition) -> u64 {
        let end = self.high_watermarks.get(partition).map_or(0, |offset| offset.0);
        let position = self.positions.get(&(group, partition)).map_or(end, |offset| offset.0);
        end.saturating_sub(position)
    }
}

impl RelayWork {
    fn of(service: &ServicePlan) -> Option<RelayWork> {
        match service.trigger {
            Trigger::Poll(poll) => {
                Some(RelayWork { service: service.id, poll, cursor: RowNumber(0), open: BTreeSet::new() })
            }
            Trigger::Requests(_) | Trigger::Consume(_) | Trigger::Called(_) => None,
        }
    }

    fn observe(&mut self, note: &Note) {
        let marks = self.poll.cursor == Cursor::Unsent;
        match note {
            Note::RowSeen { place, number, rank, .. } if *place == self.poll.table => {
                let row = if self.poll.cursor == Cursor::CommitOrder { *rank } else { *number };
                if self.cursor < row {
                    self.open.insert(row);
                }
            }
            Note::RowsMarked { place, rows } if *place == self.poll.table && marks => {
                self.open.retain(|row| !rows.contains(row));
            }
            Note::CursorMoved { service, to, .. } if *service == self.service && !marks => {
                self.cursor = *to;
                self.open.retain(|row| to < row);
            }
            _ => {}
        }
    }
}

fn refusing_rungs(service: &ServicePlan) -> Vec<(ServiceId, u16)> {
    let rungs = service.ladder.iter().enumerate().filter(|(_, rung)| matches!(rung, Rung::Refuse));
    rungs.map(|(index, _)| (service.id, index as u16)).collect()
}

pub fn selects(selector: PartitionSelector, partition: TopicPartition) -> bool {
    selector.topic == partition.topic && selector.partition.is_none_or(|number| number == partition.partition)
}

fn followers(state: &PartitionState) -> Vec<NodeId> {
    state.replicas.iter().copied().filter(|replica| Some(*replica) != state.leader).collect()
}

/// `count` different ones, in their own order.
fn pick(mut set: Vec<NodeId>, count: usize, draw: &mut impl Random) -> Vec<NodeId> {
    while count < set.len() {
        set.remove(draw.below(set.len() as u64) as usize);
    }
    set
}

//! A broker: partitions, the requests that wait on them, and the clients with which it takes part in its cluster.
//!
//! The idea: inputs change partitions, partitions say what they stirred up, and [`Broker::settle`] turns that into
//! answers for whoever waited. Requests of one connection are executed one at a time and in order. Everything a broker
//! believes about the cluster comes from the metadata log it pulls; it may lag, and then it is wrong in Kafka's way.
//!
//! It never flushes what it appends (Kafka's default), and keeps nothing about idle connections. Kafka: KafkaApis,
//! ReplicaManager, BrokerServer, BrokerMetadataPublisher.

mod connections;
mod controller_link;
mod fetchers;
mod groups;
mod lifecycle;
mod metadata;
mod quorum;
mod replication;
mod requests;
#[cfg(test)]
mod tests;
mod transactions;

use std::collections::{BTreeMap, VecDeque};

use crate::kafka::group::{AppendToken, Coordinator, CoordinatorConfig};
use crate::kafka::partition::{
    AckTicket, FinishedAck, FollowerReader, Partition, PartitionSettings, Produced, ReadFrom,
};
use crate::kafka::transaction::{TransactionConfig, TransactionCoordinator, TransactionToken};
use crate::types::metadata::{BrokerRegistration, ClusterImage};
use crate::types::request::*;
use crate::types::settings::{Acks, BrokerSettings, ReplicaSelector, TopicSettings};
use crate::types::storage::{LogImage, StorageImage, StorageOperation};
use crate::types::*;

use connections::{Connections, Parked};
use controller_link::ControllerLink;
use fetchers::Fetchers;
use lifecycle::{Lifecycle, Order};
use quorum::QuorumObserver;
use transactions::TransactionWork;

#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub id: NodeId,
    pub rack: Option<u16>,
    pub voters: Vec<NodeId>,
    pub settings: BrokerSettings,
    /// The offsets topic among them.
    pub topics: BTreeMap<TopicId, TopicSettings>,
    pub offsets_topic: TopicId,
    /// Absent when no producer is transactional.
    pub transactions_topic: Option<TopicId>,
    pub groups: Vec<GroupId>,
    pub guards: Guards,
}

#[derive(Clone, Debug)]
pub struct Broker {
    config: BrokerConfig,
    phase: Phase,
    /// Places never change; `places` finds them.
    slots: Vec<Slot>,
    places: PartitionTable<usize>,
    image: ClusterImage,
    connections: Connections,
    coordinator: Coordinator,
    /// Appends of the coordinator that are not replicated yet, and where.
    coordinator_appends: BTreeMap<AppendToken, usize>,
    coordinator_deadlines: VecDeque<(Time, AppendToken)>,
    transactions: TransactionCoordinator,
    work: TransactionWork,
    quorum: QuorumObserver,
    lifecycle: Lifecycle,
    link: ControllerLink,
    fetchers: Fetchers,
    correlations: Correlation,
    next_in_sync_check: Time,
    next_checkpoint: Time,
    next_retention: Time,
    /// Never before a log has something that may be compacted.
    next_compaction: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// *Meaning:* the process exists, its disk is not read. *Answers:* nothing. *Leaves to:* `Running` at `Started`.
    Created,
    /// *Meaning:* serves. *Leaves to:* `Ended` when the controller lets it go or its disk fails.
    Running,
    /// *Meaning:* it has exited. *Answers:* nothing.
    Ended,
}

/// A partition and the connections whose fetch waits on it. A connection may have stopped waiting meanwhile.
#[derive(Clone, Debug)]
struct Slot {
    partition: Partition,
    followers: Vec<ConnectionId>,
    consumers: Vec<ConnectionId>,
}

/// A request of this broker that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub to: NodeId,
    pub correlation: Correlation,
    pub deadline: Time,
}

impl Ask {
    fn new(to: NodeId, correlations: &mut Correlation, deadline: Time) -> Ask {
        correlations.0 += 1;
        Ask { to, correlation: *correlations, deadline }
    }
}

impl Broker {
    pub fn new(config: BrokerConfig) -> Broker {
        let settings = &config.settings;
        let offsets = config.topics.get(&config.offsets_topic);
        let transactions = config.transactions_topic.and_then(|topic| config.topics.get(&topic));
        let registration =
            BrokerRegistration { broker: config.id, incarnation: Incarnation::default(), rack: config.rack };
        Broker {
            phase: Phase::Created,
            slots: Vec::new(),
            places: PartitionTable::default(),
            image: ClusterImage { topics: config.topics.clone(), ..ClusterImage::default() },
            connections: Connections::default(),
            coordinator: Coordinator::new(CoordinatorConfig {
                node: config.id,
                offsets_topic: config.offsets_topic,
                partitions: offsets.map_or(settings.offsets_topic_num_partitions, |topic| topic.partitions),
                settings: settings.clone(),
                guards: config.guards,
            }),
            coordinator_appends: BTreeMap::new(),
            coordinator_deadlines: VecDeque::new(),
            transactions: TransactionCoordinator::new(TransactionConfig {
                topic: config.transactions_topic,
                partitions: transactions.map_or(1, |topic| topic.partitions.max(1)),
                timeout_max: settings.transaction_max_timeout,
                expiry_interval: settings.transaction_abort_timed_out_transaction_cleanup_interval,
                channel: MARKER_CHANNEL,
                version: settings.transaction_version,
                epoch_last: ProducerEpoch(settings.producer_epoch_last),
                guards: config.guards,
            }),
            work: TransactionWork::default(),
            quorum: QuorumObserver::new(config.id, config.voters.clone(), settings.controller_quorum_request_timeout),
            lifecycle: Lifecycle::new(
                registration,
                None,
                settings.broker_heartbeat_interval,
                settings.broker_session_timeout,
            ),
            link: ControllerLink::default(),
            fetchers: Fetchers::default(),
            correlations: Correlation(0),
            next_in_sync_check: Time::NEVER,
            next_checkpoint: Time::NEVER,
            next_retention: Time::NEVER,
            next_compaction: Time::NEVER,
            config,
        }
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        if let Input::Started { image, incarnation } = input {
            self.start(*image, incarnation, step);
            return;
        }
        if self.phase != Phase::Running {
            return;
        }
        match input {
            Input::Started { .. } => unreachable!("handled above"),
            Input::Request { from, request } => match self.connections.queue_of(from.connection) {
                Some(queue) => queue.push_back((from, request)),
                None => self.execute(from, request, step),
            },
            Input::Response { channel, from, correlation, response } => {
                self.handle_response(channel, from, correlation, response, step);
            }
            Input::Disconnected { channel, peer } => self.handle_disconnected(channel, peer, step),
            Input::StorageFailed => {
                // The only log directory is offline. Kafka: LogDirFailureHandler halts.
                self.phase = Phase::Ended;
                step.effect(Effect::Exit { clean: false });
            }
            Input::Command(command) => self.handle_command(command, step),
            Input::Timeout => self.handle_timeout(step),
        }
        while let Some((from, request)) = self.connections.next_queued() {
            self.execute(from, request, step);
        }
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        if self.phase != Phase::Running {
            return None;
        }
        let controller = self.quorum.leader();
        let mut next = (self.quorum.next_deadline(), "metadata fetch");
        let mut consider = |time: Option<Time>, name: TimerName| {
            if let Some(time) = time
                && time < next.0
            {
                next = (time, name);
            }
        };
        consider(self.connections.next_deadline(), "waiting request");
        consider(self.fetchers.next_deadline(), "replica fetch");
        consider(self.lifecycle.next_deadline(controller), "broker heartbeat");
        consider(self.link.next_deadline(controller), "controller request");
        consider(Some(self.next_in_sync_check), "replica-lag check");
        consider(Some(self.next_checkpoint), "high watermark checkpoint");
        consider(Some(self.next_retention), "retention check");
        consider(Some(self.next_compaction), "log cleaner");
        consider(self.coordinator_deadlines.front().map(|(time, _)| *time), "offset commit timeout");
        if let Some((time, name)) = self.coordinator.next_deadline() {
            consider(Some(time), name);
        }
        consider(self.next_verification_deadline(), "transaction verification timeout");
        if let Some((time, name)) = self.next_transaction_deadline() {
            consider(Some(time), name);
        }
        Some(next)
    }

    /// What this broker believes about the cluster.
    pub fn image(&self) -> &ClusterImage {
        &self.image
    }

    pub fn partition(&self, partition: TopicPartition) -> Option<&Partition> {
        self.places.get(partition).copied().map(|place| &self.slots[place].partition)
    }

    fn start(&mut self, image: StorageImage, incarnation: Incarnation, step: &mut Step) {
        assert!(self.phase == Phase::Created, "a process starts once");
        self.phase = Phase::Running;
        let settings = &self.config.settings;
        self.lifecycle = Lifecycle::new(
            BrokerRegistration { broker: self.config.id, incarnation, rack: self.config.rack },
            image.clean_shutdown,
            settings.broker_heartbeat_interval,
            settings.broker_session_timeout,
        );
        self.next_in_sync_check = step.time() + settings.replica_lag_time_max / 2;
        self.next_checkpoint = step.time() + CHECKPOINT_INTERVAL;
        self.next_retention = step.time() + settings.log_retention_check_interval;
        for (partition, log) in image.partitions {
            self.open(partition, log, step);
        }
        self.advance_clients(step);
    }

    fn handle_response(
        &mut self,
        channel: Channel,
        from: NodeId,
        correlation: Correlation,
        response: Response,
        step: &mut Step,
    ) {
        match response {
            Response::Fetch(fetch) => {
                self.handle_replica_fetched(from, correlation, fetch, step);
                return;
            }
            Response::FetchQuorum(fetch) => {
                self.quorum.handle_response(correlation, fetch, step);
                self.apply_metadata(step);
            }
            Response::AddPartitionsToTxn { error } => self.handle_verified(correlation, error, step),
            Response::WriteTxnMarkers { errors } => self.handle_markers_written(from, correlation, errors, step),
            Response::AlterPartition(answer) => self.handle_alter_partition(correlation, &answer, step),
            Response::AllocateProducerIds { error, first, count } => {
                self.link.handle_producer_ids(correlation, error, first, count, step);
            }
            other if channel == LIFECYCLE_CHANNEL => match self.lifecycle.handle_response(correlation, other, step) {
                Order::GoOn => self.notice_catch_up(step),
                Order::ShutDown => self.shut_down(step),
            },
            // Nothing else was asked for.
            _ => {}
        }
        self.advance_clients(step);
    }

    fn handle_disconnected(&mut self, channel: Channel, peer: NodeId, step: &mut Step) {
        match channel {
            QUORUM_CHANNEL => self.quorum.handle_disconnected(peer, step),
            LIFECYCLE_CHANNEL => self.lifecycle.handle_disconnected(peer, step),
            CONTROLLER_CHANNEL => self.link.handle_disconnected(peer, step),
            FETCH_CHANNEL => self.lose_fetch(peer, step),
            VERIFICATION_CHANNEL => self.lose_verifications(peer, step),
            MARKER_CHANNEL => self.lose_markers(peer, step),
            _ => {}
        }
        self.advance_clients(step);
    }

    fn handle_command(&mut self, command: Command, step: &mut Step) {
        match command {
            Command::ShutDown => {
                if self.config.settings.controlled_shutdown_enable && self.lifecycle.broker_epoch().is_some() {
                    self.lifecycle.begin_shut_down(step.time());
                    self.advance_clients(step);
                } else {
                    self.shut_down(step);
                }
            }
            Command::ExpireOffsets(_) | Command::Rebalance(_) => {
                self.coordinate(step, |coordinator, step| coordinator.handle_command(command, step));
            }
            Command::HoldMetadata(held) => {
                self.quorum.hold(held);
                self.apply_metadata(step);
                self.advance_clients(step);
            }
            Command::EnforceRetention(topic) => {
                self.partitions_of(topic).for_each(|partition| partition.enforce_retention(step));
            }
            Command::Compact(topic) => self.partitions_of(topic).for_each(|partition| partition.compact_at_once(step)),
            Command::DeleteRecords(topic) => {
                self.partitions_of(topic).for_each(|partition| partition.delete_records(step));
            }
            // For the controller, for services and for callers.
            Command::ElectPreferred { .. }
            | Command::Reassign { .. }
            | Command::CreatePartitions { .. }
            | Command::Redeliver
            | Command::Redrive(_)
            | Command::Poison(_)
            | Command::Repair
            | Command::EndLoad => {}
        }
    }

    fn handle_timeout(&mut self, step: &mut Step) {
        let now = step.time();
        while let Some(connection) = self.connections.next_expired(now) {
            self.expire_request(connection, step);
        }
        self.expire_coordinator_appends(step);
        self.handle_transaction_timeout(step);
        if self.coordinator.next_deadline().is_some_and(|(time, _)| time <= now) {
            self.coordinate(step, |coordinator, step| coordinator.handle_timeout(step));
        }
        if self.next_in_sync_check <= now {
            self.next_in_sync_check = now + self.config.settings.replica_lag_time_max / 2;
            for place in 0..self.slots.len() {
                self.slots[place].partition.check_in_sync(&self.image, step);
                self.settle(place, step);
            }
        }
        if self.next_checkpoint <= now {
            self.next_checkpoint = now + CHECKPOINT_INTERVAL;
            self.write_checkpoint(step);
        }
        if self.next_retention <= now {
            self.next_retention = now + self.config.settings.log_retention_check_interval;
            self.slots.iter_mut().for_each(|slot| slot.partition.enforce_retention(step));
        }
        if self.next_compaction <= now {
            self.next_compaction = now + self.config.settings.log_cleaner_backoff;
            self.slots.iter_mut().for_each(|slot| slot.partition.compact_when_dirty(step));
        }
        self.advance_clients(step);
    }

    /// Lets every client of this broker send what is due.
    fn advance_clients(&mut self, step: &mut Step) {
        if self.phase != Phase::Running {
            return;
        }
        self.quorum.advance(&mut self.correlations, step);
        let controller = self.quorum.leader();
        self.lifecycle.advance(controller, self.image.end_offset, &mut self.correlations, step);
        let broker = (self.config.id, self.lifecycle.broker_epoch());
        self.link.advance(controller, broker, &mut self.correlations, step);
        for leader in self.fetchers.due(step.time()) {
            self.advance_fetcher(leader, step);
        }
    }

    /// Every file is on disk before the marker that says so.
    fn shut_down(&mut self, step: &mut Step) {
        for slot in &self.slots {
            step.storage(StorageOperation::Flush { partition: slot.partition.id() });
        }
        self.write_checkpoint(step);
        if let Some(broker_epoch) = self.lifecycle.broker_epoch() {
            step.storage(StorageOperation::WriteCleanShutdown { broker_epoch });
        }
        self.phase = Phase::Ended;
        step.effect(Effect::Exit { clean: true });
    }

    fn write_checkpoint(&mut self, step: &mut Step) {
        let changed = self.slots.iter_mut().filter_map(|slot| slot.partition.take_checkpoint());
        let high_watermarks: Vec<(TopicPartition, Offset)> = changed.collect();
        if !high_watermarks.is_empty() {
            step.storage(StorageOperation::Checkpoint { high_watermarks });
        }
    }

    fn partitions_of(&mut self, topic: TopicId) -> impl Iterator<Item = &mut Partition> {
        self.slots.iter_mut().map(|slot| &mut slot.partition).filter(move |partition| partition.id().topic == topic)
    }

    /// Topics have these settings from now on. Kafka: dynamic topic configuration.
    pub fn reconfigure(&mut self, topics: &BTreeMap<TopicId, TopicSettings>) {
        self.config.topics = topics.clone();
        self.image.topics = topics.clone();
        for place in 0..self.slots.len() {
            let settings = self.settings_of(self.slots[place].partition.id().topic);
            self.slots[place].partition.reconfigure(settings);
        }
    }

    fn settings_of(&self, topic: TopicId) -> PartitionSettings {
        let topic = self.config.topics.get(&topic).cloned().unwrap_or_default();
        PartitionSettings::new(self.config.id, &self.config.settings, &topic, self.config.guards)
    }

    fn open(&mut self, partition: TopicPartition, log: LogImage, step: &mut Step) -> usize {
        let partition = Partition::new(partition, self.settings_of(partition.topic), log, step);
        let place = self.slots.len();
        self.places.insert(partition.id(), place);
        self.slots.push(Slot { partition, followers: Vec::new(), consumers: Vec::new() });
        place
    }

    /// Answers whoever waited for what this partition has just done.
    fn settle(&mut self, place: usize, step: &mut Step) {
        if self.slots[place].partition.is_calm() {
            return;
        }
        self.slots[place].partition.check_invariants();
        if self.next_compaction == Time::NEVER && self.slots[place].partition.may_be_compacted() {
            self.next_compaction = step.time() + self.config.settings.log_cleaner_backoff;
        }
        let stirred = self.slots[place].partition.stirred();
        let (appended, high_watermark, role) = (stirred.appended, stirred.high_watermark, stirred.role);
        (stirred.appended, stirred.high_watermark, stirred.role) = (false, false, false);
        let proposal = stirred.proposal.take();
        if !stirred.acks.is_empty() {
            let mut acks = std::mem::take(&mut stirred.acks);
            for ack in acks.drain(..) {
                self.finish_ack(ack, step);
            }
            let stirred = self.slots[place].partition.stirred();
            if stirred.acks.is_empty() {
                stirred.acks = acks;
            }
        }
        if let Some(proposal) = proposal {
            self.link.propose(proposal);
            let broker = (self.config.id, self.lifecycle.broker_epoch());
            self.link.advance(self.quorum.leader(), broker, &mut self.correlations, step);
        }
        if (appended || role) && !self.slots[place].followers.is_empty() {
            self.wake(place, |slot| &mut slot.followers, step);
        }
        if (high_watermark || role) && !self.slots[place].consumers.is_empty() {
            self.wake(place, |slot| &mut slot.consumers, step);
        }
        if high_watermark && Some(self.slots[place].partition.id().topic) == self.config.transactions_topic {
            self.transactions_replicated(place, step);
        }
    }

    fn finish_ack(&mut self, ack: FinishedAck, step: &mut Step) {
        match ack.ticket {
            AckTicket::Request { connection, index } => self.finish_batch(connection, index, ack, step),
            AckTicket::Coordinator(token) => {
                let result = if ack.error == ErrorCode::None { Ok(ack.base_offset) } else { Err(ack.error) };
                self.finish_coordinator_append(AppendToken(token), result, step);
            }
            AckTicket::Transaction(token) => {
                let result = if ack.error == ErrorCode::None { Ok(ack.base_offset) } else { Err(ack.error) };
                self.finish_transaction_append(TransactionToken(token), result, step);
            }
            AckTicket::Marker { request, index } => self.finish_marker(request, index, ack.error, step),
        }
    }
}

const QUORUM_CHANNEL: Channel = Channel(0);
const LIFECYCLE_CHANNEL: Channel = Channel(1);
const CONTROLLER_CHANNEL: Channel = Channel(2);
const FETCH_CHANNEL: Channel = Channel(3);
/// A verification must not wait behind markers, which wait for replicas.
const VERIFICATION_CHANNEL: Channel = Channel(4);
const MARKER_CHANNEL: Channel = Channel(5);

/// Kafka: `reconnect.backoff.ms` of broker clients.
const CONNECT_BACKOFF: Duration = Duration::from_millis(50);
/// Kafka: `replica.high.watermark.checkpoint.interval.ms`.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

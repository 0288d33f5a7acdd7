//! What every client keeps: the metadata a broker told it, and how long to wait before trying again.
//!
//! Kafka: ClientMetadata, ClusterConnectionStates, ExponentialBackoff.

use std::collections::BTreeMap;

use crate::types::request::{ErrorCode, MetadataRequest, MetadataResponse, Request};
use crate::types::*;

/// Leaders as the last metadata responses told them.
#[derive(Clone, Debug)]
pub struct ClientMetadata {
    /// Where to ask first: the addresses in `bootstrap.servers`.
    bootstrap: Vec<NodeId>,
    brokers: Vec<NodeId>,
    topics: Vec<TopicId>,
    leaders: BTreeMap<TopicPartition, (Option<NodeId>, LeaderEpoch)>,
    partition_counts: BTreeMap<TopicId, u16>,
    max_age: Duration,
    backoff: Duration,
    /// A refresh is wanted as soon as `not_before`.
    wanted: bool,
    not_before: Time,
    refreshed: Time,
    in_flight: Option<(Correlation, NodeId)>,
    asked: u64,
}

impl ClientMetadata {
    pub fn new(bootstrap: Vec<NodeId>, topics: Vec<TopicId>, max_age: Duration, backoff: Duration) -> ClientMetadata {
        assert!(!bootstrap.is_empty(), "a client needs a broker to ask first");
        ClientMetadata {
            brokers: bootstrap.clone(),
            bootstrap,
            topics,
            leaders: BTreeMap::new(),
            partition_counts: BTreeMap::new(),
            max_age,
            backoff,
            wanted: true,
            not_before: Time::ZERO,
            refreshed: Time::ZERO,
            in_flight: None,
            asked: 0,
        }
    }

    /// Ask again soon: a leader moved, a connection broke, a partition is unknown.
    pub fn want_refresh(&mut self) {
        self.wanted = true;
    }

    /// Sends a metadata request when one is due. Brokers are asked in turn.
    pub fn advance(&mut self, channel: Channel, correlation: Correlation, step: &mut Step) -> bool {
        if self.in_flight.is_some() || step.time() < self.due() {
            return false;
        }
        let broker = self.next_broker();
        self.asked += 1;
        self.in_flight = Some((correlation, broker));
        self.not_before = step.time() + self.backoff;
        step.send(channel, broker, correlation, Request::Metadata(MetadataRequest { topics: self.topics.clone() }));
        true
    }

    /// True when the response was the one this cache asked for; the cache is then up to date with it.
    pub fn handle_response(&mut self, correlation: Correlation, response: &MetadataResponse, step: &mut Step) -> bool {
        if self.in_flight.is_none_or(|(expected, _)| expected != correlation) {
            return false;
        }
        self.in_flight = None;
        self.refreshed = step.time();
        self.wanted = false;
        if !response.brokers.is_empty() {
            self.brokers = response.brokers.clone();
        }
        for topic in &response.topics {
            if topic.error != ErrorCode::None {
                self.wanted = true;
                continue;
            }
            self.partition_counts.insert(topic.topic, topic.partitions.len() as u16);
            for (number, partition) in topic.partitions.iter().enumerate() {
                self.update_leader(
                    TopicPartition::new(topic.topic, number as u16),
                    partition.leader,
                    partition.leader_epoch,
                );
            }
        }
        true
    }

    /// The peer is gone; a request that was out to it is lost.
    pub fn handle_disconnected(&mut self, peer: NodeId) {
        self.wanted = true;
        if self.in_flight.is_some_and(|(_, broker)| broker == peer) {
            self.in_flight = None;
        }
    }

    /// The broker whose answer is awaited, so that its lateness can be noticed.
    pub fn asked_broker(&self) -> Option<NodeId> {
        self.in_flight.map(|(_, broker)| broker)
    }

    /// Next instant at which [`ClientMetadata::advance`] will send.
    pub fn next_deadline(&self) -> Option<Time> {
        self.in_flight.is_none().then(|| self.due())
    }

    /// The leader, when one is known. Older leader epochs never replace newer ones. KIP-320.
    pub fn leader(&self, partition: TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        let (leader, epoch) = *self.leaders.get(&partition)?;
        Some((leader?, epoch))
    }

    pub fn partition_count(&self, topic: TopicId) -> Option<u16> {
        self.partition_counts.get(&topic).copied()
    }

    /// A broker to ask for anything that every broker can answer; a different one each time.
    pub fn any_broker(&mut self) -> NodeId {
        self.asked += 1;
        self.next_broker()
    }

    fn due(&self) -> Time {
        if self.wanted { self.not_before } else { (self.refreshed + self.max_age).max(self.not_before) }
    }

    fn next_broker(&self) -> NodeId {
        // Every other question goes to the bootstrap list, so that a list of dead brokers is left again.
        let list = if self.asked % 2 == 0 { &self.brokers } else { &self.bootstrap };
        list[(self.asked / 2) as usize % list.len()]
    }

    fn update_leader(&mut self, partition: TopicPartition, leader: Option<NodeId>, epoch: LeaderEpoch) {
        let known = self.leaders.entry(partition).or_insert((leader, epoch));
        if known.1 <= epoch {
            *known = (leader, epoch);
        }
        if leader.is_none() {
            self.wanted = true;
        }
    }
}

/// Doubles from `initial` to `max` with each failure, with 20 % jitter. Kafka: ExponentialBackoff.
pub fn exponential_backoff(initial: Duration, max: Duration, failures: u32, rng: &mut Rng) -> Duration {
    let doubled = initial * (1u64 << failures.min(20));
    let bounded = Duration(doubled.0.min(max.0).max(1));
    Duration(bounded.0 * 4 / 5 + rng.below(bounded.0 * 2 / 5 + 1))
}

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
    leaders: PartitionTable<(Option<NodeId>, LeaderEpoch)>,
    partition_counts: BTreeMap<TopicId, u16>,
    max_age: Duration,
    backoff: Duration,
    /// A refresh is wanted as soon as `not_before`.
    wanted: bool,
    not_before: Time,
    refreshed: Time,
    in_flight: Option<(Correlation, NodeId)>,
    /// Whose turn it is among the known brokers and then the bootstrap list.
    asked: usize,
}

impl ClientMetadata {
    pub fn new(bootstrap: Vec<NodeId>, topics: Vec<TopicId>, max_age: Duration, backoff: Duration) -> ClientMetadata {
        assert!(!bootstrap.is_empty(), "a client needs a broker to ask first");
        ClientMetadata {
            brokers: bootstrap.clone(),
            bootstrap,
            topics,
            leaders: PartitionTable::default(),
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

    /// Ask again soon: a leader moved, a connection broke, a partition is unknown. An answer that is under way already
    /// may be older than that and does not count.
    pub fn want_refresh(&mut self) {
        self.wanted = true;
    }

    /// Sends a metadata request when one is due. Brokers are asked in turn.
    pub fn advance(&mut self, channel: Channel, correlation: Correlation, step: &mut Step) -> bool {
        if self.in_flight.is_some() || step.time() < self.due() {
            return false;
        }
        let broker = self.any_broker();
        self.in_flight = Some((correlation, broker));
        self.wanted = false;
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
        if !response.brokers.is_empty() {
            self.brokers = response.brokers.clone();
        }
        for topic in &response.topics {
            if topic.error != ErrorCode::None || topic.partitions.is_empty() {
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

    /// The broker that was asked and has not answered.
    pub fn asked_broker(&self) -> Option<NodeId> {
        self.in_flight.map(|(_, broker)| broker)
    }

    /// Next instant at which [`ClientMetadata::advance`] will send.
    pub fn next_deadline(&self) -> Option<Time> {
        self.in_flight.is_none().then(|| self.due())
    }

    /// The leader, when one is known. Older leader epochs never replace newer ones. KIP-320.
    pub fn leader(&self, partition: TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        let (leader, epoch) = *self.leaders.get(partition)?;
        Some((leader?, epoch))
    }

    pub fn partition_count(&self, topic: TopicId) -> Option<u16> {
        self.partition_counts.get(&topic).copied()
    }

    /// A broker to ask for anything that every broker can answer; a different one each time.
    pub fn any_broker(&mut self) -> NodeId {
        // Known brokers in turn, then the bootstrap list in turn, so that a list of dead brokers is left again.
        let turn = self.asked;
        self.asked = (turn + 1) % (self.brokers.len() + self.bootstrap.len());
        match turn.checked_sub(self.brokers.len()) {
            None => self.brokers[turn],
            Some(turn) => self.bootstrap[turn % self.bootstrap.len()],
        }
    }

    fn due(&self) -> Time {
        if self.wanted { self.not_before } else { (self.refreshed + self.max_age).max(self.not_before) }
    }

    fn update_leader(&mut self, partition: TopicPartition, leader: Option<NodeId>, epoch: LeaderEpoch) {
        let known = self.leaders.or_insert_with(partition, || (leader, epoch));
        if known.1 <= epoch {
            *known = (leader, epoch);
        }
        if known.0.is_none() {
            self.wanted = true;
        }
    }
}

/// Doubles from `initial` with each failure, with 20 % jitter, up to `max`. Kafka: ExponentialBackoff.
pub fn exponential_backoff(initial: Duration, max: Duration, failures: u32, rng: &mut Rng) -> Duration {
    let doubled = initial * (1u64 << failures.min(20));
    let bounded = doubled.0.min(max.0).max(1);
    Duration((bounded / 5 * 4 + rng.below(bounded / 5 * 2 + 1)).min(max.0).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::request::{PartitionMetadata, TopicMetadata};

    const TOPIC: TopicId = TopicId(0);
    const FIRST: TopicPartition = TopicPartition { topic: TOPIC, partition: 0 };

    struct Client {
        metadata: ClientMetadata,
        rng: Rng,
        now: Time,
        correlations: u64,
    }

    impl Client {
        fn new() -> Client {
            let bootstrap = vec![NodeId(1), NodeId(2)];
            let (max_age, backoff) = (Duration::from_secs(300), Duration::from_millis(100));
            let metadata = ClientMetadata::new(bootstrap, vec![TOPIC], max_age, backoff);
            Client { metadata, rng: Seed(1).stream("test"), now: Time::ZERO, correlations: 0 }
        }

        fn with_step<T>(&mut self, act: impl FnOnce(&mut ClientMetadata, &mut Step) -> T) -> T {
            let mut out = Outbox::default();
            let now = Now { monotonic: self.now, wall_clock: self.now };
            act(&mut self.metadata, &mut Step { now, rng: &mut self.rng, out: &mut out })
        }

        /// The broker that is asked at this instant, if any.
        fn ask(&mut self, milliseconds: u64) -> Option<NodeId> {
            self.now = Time::ZERO + Duration::from_millis(milliseconds);
            let correlation = Correlation(self.correlations + 1);
            let asked = self.with_step(|metadata, step| metadata.advance(Channel(0), correlation, step));
            asked.then(|| {
                self.correlations += 1;
                self.metadata.asked_broker().unwrap()
            })
        }

        fn answer(&mut self, brokers: &[u16], leaders: &[(Option<u16>, u32)]) -> bool {
            let partition = |(leader, epoch): &(Option<u16>, u32)| PartitionMetadata {
                leader: leader.map(NodeId),
                leader_epoch: LeaderEpoch(*epoch),
            };
            let partitions = leaders.iter().map(partition).collect();
            let response = MetadataResponse {
                brokers: brokers.iter().copied().map(NodeId).collect(),
                topics: vec![TopicMetadata { topic: TOPIC, error: ErrorCode::None, partitions }],
                controller: None,
            };
            let correlation = Correlation(self.correlations);
            self.with_step(|metadata, step| metadata.handle_response(correlation, &response, step))
        }
    }

    #[test]
    fn asks_at_once_and_then_when_the_answer_is_old() {
        let mut client = Client::new();
        assert_eq!(client.metadata.next_deadline(), Some(Time::ZERO));
        assert_eq!(client.ask(0), Some(NodeId(1)));
        assert_eq!(client.metadata.next_deadline(), None);
        assert_eq!(client.ask(50), None);
        assert!(client.answer(&[1, 2], &[(Some(2), 0)]));
        assert_eq!(client.metadata.leader(FIRST), Some((NodeId(2), LeaderEpoch(0))));
        assert_eq!(client.metadata.next_deadline(), Some(client.now + Duration::from_secs(300)));
        assert_eq!(client.ask(100), None);
        assert!(client.ask(300_050).is_some());
    }

    #[test]
    fn a_lost_question_goes_to_another_broker_after_the_back_off() {
        let mut client = Client::new();
        assert_eq!(client.ask(0), Some(NodeId(1)));
        client.metadata.handle_disconnected(NodeId(2));
        assert_eq!(client.ask(150), None, "the question is still out");
        client.metadata.handle_disconnected(NodeId(1));
        assert_eq!(client.ask(99), None);
        assert_eq!(client.ask(100), Some(NodeId(2)));
        assert!(!client.with_step(|metadata, step| {
            let empty = MetadataResponse { brokers: vec![], topics: vec![], controller: None };
            metadata.handle_response(Correlation(1), &empty, step)
        }));
    }

    #[test]
    fn a_list_of_dead_brokers_is_left_for_the_bootstrap_list() {
        let mut client = Client::new();
        assert_eq!(client.ask(0), Some(NodeId(1)));
        assert!(client.answer(&[7], &[(Some(7), 0)]));
        let asked: Vec<u16> = (0..4).map(|_| client.metadata.any_broker().0).collect();
        assert_eq!(asked, [1, 2, 7, 1]);
    }

    #[test]
    fn older_leader_epochs_never_replace_newer_ones() {
        let mut client = Client::new();
        client.ask(0);
        client.answer(&[1, 2], &[(Some(2), 5)]);
        client.metadata.want_refresh();
        client.ask(100);
        client.answer(&[1, 2], &[(Some(1), 4)]);
        assert_eq!(client.metadata.leader(FIRST), Some((NodeId(2), LeaderEpoch(5))));
    }

    #[test]
    fn asks_until_every_partition_has_a_leader() {
        let mut client = Client::new();
        client.ask(0);
        client.answer(&[1, 2], &[(None, 1)]);
        assert_eq!(client.metadata.leader(FIRST), None);
        assert_eq!(client.metadata.partition_count(TOPIC), Some(1));
        assert!(client.ask(100).is_some());
        client.answer(&[1, 2], &[(Some(1), 2)]);
        assert_eq!(client.ask(200), None);
    }

    #[test]
    fn a_topic_without_partitions_is_unknown() {
        let mut client = Client::new();
        client.ask(0);
        client.answer(&[1, 2], &[]);
        assert_eq!(client.metadata.partition_count(TOPIC), None);
        assert!(client.ask(100).is_some());
    }

    #[test]
    fn a_wish_during_a_question_is_not_met_by_its_answer() {
        let mut client = Client::new();
        client.ask(0);
        client.metadata.want_refresh();
        client.answer(&[1, 2], &[(Some(1), 0)]);
        assert!(client.ask(100).is_some());
    }

    #[test]
    fn back_off_doubles_with_jitter_up_to_its_maximum() {
        let mut rng = Seed(1).stream("test");
        let (initial, max) = (Duration::from_millis(100), Duration::from_secs(1));
        for (failures, low, high) in [(0, 80, 120), (1, 160, 240), (3, 640, 960), (4, 800, 1000), (4_000, 800, 1000)] {
            for _ in 0..200 {
                let backoff = exponential_backoff(initial, max, failures, &mut rng);
                let bounds = Duration::from_millis(low)..=Duration::from_millis(high);
                assert!(bounds.contains(&backoff), "{backoff} after {failures} failures");
            }
        }
        assert_eq!(exponential_backoff(Duration::ZERO, Duration::ZERO, 3, &mut rng), Duration(1));
    }
}

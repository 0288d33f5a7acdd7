//! Each decision on an image made by hand: three brokers 1, 2, 3 with epochs 11, 12, 13 and one partition on them.

use super::super::decide::*;
use super::super::decide_partition::*;
use crate::types::metadata::*;
use crate::types::request::*;
use crate::types::settings::{BrokerSettings, TopicSettings};
use crate::types::*;

const PARTITION: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };

fn nodes(ids: &[u16]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn epoch(broker: u16) -> BrokerEpoch {
    BrokerEpoch(u64::from(broker) + 10)
}

fn registration(broker: u16, incarnation: u32) -> BrokerRegistration {
    BrokerRegistration { broker: NodeId(broker), incarnation: Incarnation(incarnation), rack: None }
}

fn image(in_sync_replicas: &[u16]) -> ClusterImage {
    let topic = TopicSettings { replication: 3, min_insync_replicas: 2, ..TopicSettings::default() };
    let mut image = ClusterImage { topics: [(TopicId(0), topic)].into(), ..ClusterImage::default() };
    for broker in 1..=3 {
        let registration = registration(broker, 1);
        image.replay(&MetadataRecord::RegisterBroker { registration, broker_epoch: epoch(broker), fenced: false });
    }
    let state = PartitionState {
        replicas: nodes(&[1, 2, 3]),
        in_sync_replicas: nodes(in_sync_replicas),
        eligible_leader_replicas: Vec::new(),
        reassignment: None,
        last_known_leader: None,
        leader: in_sync_replicas.first().copied().map(NodeId),
        leader_epoch: LeaderEpoch(5),
        partition_epoch: PartitionEpoch(7),
        recovering: false,
    };
    image.replay(&MetadataRecord::Partition { partition: PARTITION, state });
    image
}

struct Cluster {
    settings: BrokerSettings,
    guards: Guards,
    image: ClusterImage,
}

impl Cluster {
    fn new(in_sync_replicas: &[u16]) -> Cluster {
        Cluster { settings: BrokerSettings::default(), guards: Guards::ALL, image: image(in_sync_replicas) }
    }

    fn without_eligible_replicas(mut self) -> Cluster {
        self.settings.eligible_leader_replicas_version = 0;
        self
    }

    fn rules(&self) -> Rules<'_> {
        Rules { settings: &self.settings, guards: self.guards }
    }

    fn apply(&mut self, records: Vec<MetadataRecord>) {
        records.iter().for_each(|record| self.image.replay(record));
    }

    fn fence(&mut self, broker: u16) {
        let records = decide_fencing(&self.image, self.rules(), NodeId(broker));
        self.apply(records);
    }

    fn register(&mut self, broker: u16, incarnation: u32, clean: bool) -> Response {
        let request = BrokerRegistrationRequest {
            registration: registration(broker, incarnation),
            previous_broker_epoch: clean.then_some(epoch(broker)),
        };
        let decision = decide_registration(&self.image, self.rules(), &request, Offset(20), false);
        self.apply(decision.records);
        decision.response
    }

    fn heartbeat(&mut self, broker: u16, change: impl FnOnce(&mut BrokerHeartbeatRequest)) -> Response {
        let mut request = BrokerHeartbeatRequest {
            broker: NodeId(broker),
            broker_epoch: self.image.brokers[&NodeId(broker)].broker_epoch,
            metadata_offset: Offset(100),
            want_fence: false,
            want_shut_down: false,
        };
        change(&mut request);
        let decision = decide_heartbeat(&self.image, self.rules(), &request, true);
        self.apply(decision.records);
        decision.response
    }

    fn alter(&self, change: impl FnOnce(&mut AlterPartitionRequest)) -> ErrorCode {
        let mut request = AlterPartitionRequest {
            broker: NodeId(1),
            broker_epoch: epoch(1),
            partition: PARTITION,
            leader_epoch: LeaderEpoch(5),
            partition_epoch: PartitionEpoch(7),
            in_sync_replicas: [1, 2, 3].map(|id| (NodeId(id), Some(epoch(id)))).to_vec(),
        };
        change(&mut request);
        match decide_alter_partition(&self.image, self.rules(), &request).response {
            Response::AlterPartition(answer) => answer.error,
            other => panic!("{other:?}"),
        }
    }

    fn state(&self) -> &PartitionState {
        &self.image.partitions[&PARTITION]
    }
}

fn heartbeat_answer(is_fenced: bool, should_shut_down: bool) -> Response {
    heartbeat_response(ErrorCode::None, is_fenced, should_shut_down)
}

#[test]
fn a_registration_is_refused_while_another_incarnation_has_a_session() {
    let cluster = Cluster::new(&[1, 2, 3]);
    let request = BrokerRegistrationRequest { registration: registration(2, 2), previous_broker_epoch: Some(epoch(2)) };
    let decide = |has_session| decide_registration(&cluster.image, cluster.rules(), &request, Offset(20), has_session);
    let error = ErrorCode::DuplicateBrokerRegistration;
    assert_eq!(decide(true).response, Response::BrokerRegistration { error, broker_epoch: BrokerEpoch(0) });
    assert!(decide(true).records.is_empty());
    let error = ErrorCode::None;
    assert_eq!(decide(false).response, Response::BrokerRegistration { error, broker_epoch: BrokerEpoch(20) });
}

#[test]
fn a_repeated_registration_keeps_its_epoch() {
    let mut cluster = Cluster::new(&[1, 2, 3]);
    let again = cluster.register(2, 1, true);
    assert_eq!(again, Response::BrokerRegistration { error: ErrorCode::None, broker_epoch: epoch(2) });
    assert_eq!(cluster.image, image(&[1, 2, 3]));
}

#[test]
fn a_new_incarnation_leaves_every_in_sync_set_and_starts_fenced() {
    let mut cluster = Cluster::new(&[1, 2, 3]);
    cluster.register(1, 2, false);
    assert!(!cluster.image.is_active(NodeId(1)));
    assert_eq!(cluster.state().in_sync_replicas, nodes(&[2, 3]));
    assert_eq!(cluster.state().leader, Some(NodeId(2)));
    assert_eq!((cluster.state().leader_epoch, cluster.state().partition_epoch), (LeaderEpoch(6), PartitionEpoch(8)));
}

#[test]
fn only_a_clean_stop_keeps_a_replica_eligible() {
    for (clean, eligible) in [(true, nodes(&[2])), (false, nodes(&[]))] {
        let mut cluster = Cluster::new(&[1, 2]);
        cluster.fence(2);
        assert_eq!(cluster.state().eligible_leader_replicas, nodes(&[2]));
        cluster.register(2, 2, clean);
        assert_eq!(cluster.state().eligible_leader_replicas, eligible);
    }
}

#[test]
fn a_broker_is_unfenced_when_it_has_seen_its_registration() {
    let mut cluster = Cluster::new(&[1, 2, 3]);
    cluster.register(1, 2, true);
    let behind = cluster.heartbeat(1, |request| request.metadata_offset = Offset(20));
    assert_eq!(behind, heartbeat_answer(true, false));
    let caught_up = cluster.heartbeat(1, |request| request.metadata_offset = Offset(21));
    assert_eq!(caught_up, heartbeat_answer(false, false));
    assert!(cluster.image.is_active(NodeId(1)));
}

#[test]
fn a_heartbeat_of_an_older_registration_is_refused() {
    let mut cluster = Cluster::new(&[1, 2, 3]);
    let stale = cluster.heartbeat(1, |request| request.broker_epoch = BrokerEpoch(3));
    assert_eq!(stale, heartbeat_response(ErrorCode::StaleBrokerEpoch, true, false));
}

#[test]
fn a_broker_stops_after_its_leaderships_have_moved() {
    let mut cluster = Cluster::new(&[1, 2, 3]);
    let first = cluster.heartbeat(1, |request| request.want_shut_down = true);
    assert_eq!(first, heartbeat_answer(false, false));
    assert_eq!(cluster.state().leader, Some(NodeId(2)));
    assert!(!cluster.state().in_sync_replicas.contains(&NodeId(1)));
    let second = cluster.heartbeat(1, |request| request.want_shut_down = true);
    assert_eq!(second, heartbeat_answer(true, true));
    assert!(cluster.image.brokers[&NodeId(1)].shutting_down);
    assert!(!cluster.image.is_active(NodeId(1)));
}

#[test]
fn the_first_live_replica_in_sync_leads() {
    let mut cluster = Cluster::new(&[1, 3]);
    cluster.fence(1);
    assert_eq!(cluster.state().leader, Some(NodeId(3)));
    cluster.fence(2);
    assert_eq!(cluster.state().partition_epoch, PartitionEpoch(8), "a replica out of sync changes nothing");
}

#[test]
fn the_last_in_sync_replica_stays_when_eligible_replicas_are_off() {
    let mut cluster = Cluster::new(&[1]).without_eligible_replicas();
    cluster.fence(1);
    assert_eq!(cluster.state().in_sync_replicas, nodes(&[1]));
    assert_eq!(cluster.state().leader, None);
    cluster.heartbeat(1, |_| ());
    assert_eq!(cluster.state().leader, Some(NodeId(1)));
    assert_eq!(cluster.state().leader_epoch, LeaderEpoch(7));
}

#[test]
fn eligible_replicas_are_forgotten_when_enough_are_in_sync() {
    let mut cluster = Cluster::new(&[1, 2]);
    cluster.fence(2);
    assert_eq!(cluster.state().eligible_leader_replicas, nodes(&[2]));
    let request = AlterPartitionRequest {
        broker: NodeId(1),
        broker_epoch: epoch(1),
        partition: PARTITION,
        leader_epoch: LeaderEpoch(5),
        partition_epoch: PartitionEpoch(8),
        in_sync_replicas: [1, 3].map(|id| (NodeId(id), Some(epoch(id)))).to_vec(),
    };
    let records = decide_alter_partition(&cluster.image, cluster.rules(), &request).records;
    cluster.apply(records);
    assert_eq!(cluster.state().in_sync_replicas, nodes(&[1, 3]));
    assert!(cluster.state().eligible_leader_replicas.is_empty());
}

#[test]
fn an_eligible_replica_leads_when_nobody_is_in_sync() {
    let mut cluster = Cluster::new(&[1, 2]);
    cluster.fence(2);
    cluster.fence(1);
    assert_eq!(cluster.state().eligible_leader_replicas, nodes(&[2, 1]));
    assert_eq!(cluster.state().last_known_leader, Some(NodeId(1)));
    cluster.heartbeat(2, |_| ());
    assert_eq!(cluster.state().leader, Some(NodeId(2)));
    assert_eq!(cluster.state().in_sync_replicas, nodes(&[2]));
    assert_eq!(cluster.state().eligible_leader_replicas, nodes(&[1]));
    assert!(!cluster.state().recovering);
}

#[test]
fn the_last_known_leader_leads_when_nobody_is_complete() {
    let mut cluster = Cluster::new(&[1]);
    cluster.fence(1);
    cluster.register(1, 2, false);
    assert!(cluster.state().eligible_leader_replicas.is_empty());
    cluster.heartbeat(1, |_| ());
    assert_eq!(cluster.state().leader, Some(NodeId(1)));
    assert!(cluster.state().recovering);
    assert_eq!(cluster.image.unclean_elections[&PARTITION], cluster.state().leader_epoch);
    // It is elected once more before it has recovered, and holds all that was committed since.
    cluster.fence(1);
    cluster.heartbeat(1, |_| ());
    assert_eq!(cluster.state().leader, Some(NodeId(1)));
    assert!(cluster.state().recovering);
    assert!(cluster.image.unclean_elections[&PARTITION] < cluster.state().leader_epoch);
}

#[test]
fn a_last_known_leader_that_is_not_there_leads_only_without_its_guard() {
    for (guards, leader) in [(Guards::ALL, None), (Guards::ALL.without(Guard::LastKnownLeaderServes), Some(NodeId(1)))]
    {
        let mut cluster = Cluster::new(&[1]);
        cluster.guards = guards;
        cluster.fence(1);
        assert_eq!(cluster.state().leader, None);
        cluster.register(1, 2, false);
        assert!(!cluster.image.is_active(NodeId(1)));
        assert_eq!(cluster.state().leader, leader);
    }
}

#[test]
fn an_unclean_stop_goes_unnoticed_only_without_its_guard() {
    for (guards, eligible) in [(Guards::ALL, ""), (Guards::ALL.without(Guard::UncleanShutdownDetection), "2")] {
        let mut cluster = Cluster::new(&[1, 2]);
        cluster.guards = guards;
        cluster.fence(2);
        cluster.register(2, 2, false);
        let names: Vec<String> =
            cluster.state().eligible_leader_replicas.iter().map(|node| node.0.to_string()).collect();
        assert_eq!(names.join(","), eligible);
    }
}

#[test]
fn the_last_replica_stays_in_sync_only_without_its_guard() {
    for (guards, in_sync) in [(Guards::ALL, &[][..]), (Guards::ALL.without(Guard::EligibleLeaderReplicas), &[1])] {
        let mut cluster = Cluster::new(&[1]);
        cluster.guards = guards;
        cluster.fence(1);
        cluster.register(1, 2, false);
        assert_eq!(cluster.state().in_sync_replicas, nodes(in_sync));
    }
}

#[test]
fn an_incomplete_replica_leads_only_when_the_settings_allow_it() {
    for unclean in [false, true] {
        let mut cluster = Cluster::new(&[1]);
        cluster.settings.unclean_leader_election_enable = unclean;
        cluster.fence(1);
        assert_eq!(cluster.state().leader, unclean.then_some(NodeId(2)));
        assert_eq!(cluster.state().recovering, unclean);
        assert_eq!(cluster.state().eligible_leader_replicas.is_empty(), unclean);
    }
}

#[test]
fn alter_partition_is_checked_in_kafkas_order() {
    let cluster = Cluster::new(&[1, 2]);
    assert_eq!(cluster.alter(|_| ()), ErrorCode::None);
    assert_eq!(cluster.alter(|request| request.broker_epoch = epoch(9)), ErrorCode::StaleBrokerEpoch);
    assert_eq!(cluster.alter(|request| request.partition.partition = 9), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(cluster.alter(|request| request.leader_epoch = LeaderEpoch(6)), ErrorCode::NotController);
    assert_eq!(cluster.alter(|request| request.partition_epoch = PartitionEpoch(8)), ErrorCode::NotController);
    assert_eq!(cluster.alter(|request| request.leader_epoch = LeaderEpoch(4)), ErrorCode::FencedLeaderEpoch);
    let by_another = |request: &mut AlterPartitionRequest| {
        (request.broker, request.broker_epoch) = (NodeId(2), epoch(2));
        request.partition_epoch = PartitionEpoch(6);
    };
    assert_eq!(cluster.alter(by_another), ErrorCode::InvalidRequest);
    assert_eq!(cluster.alter(|request| request.partition_epoch = PartitionEpoch(6)), ErrorCode::InvalidUpdateVersion);
    assert_eq!(cluster.alter(|request| request.in_sync_replicas[0].0 = NodeId(4)), ErrorCode::InvalidRequest);
    assert_eq!(cluster.alter(|request| request.in_sync_replicas.clear()), ErrorCode::InvalidRequest);
    assert_eq!(cluster.alter(|request| request.in_sync_replicas[2].1 = Some(epoch(1))), ErrorCode::IneligibleReplica);
    assert_eq!(cluster.alter(|request| request.in_sync_replicas[2].1 = None), ErrorCode::None);
}

#[test]
fn a_fenced_or_stopping_broker_is_not_admitted_unless_its_guard_is_off() {
    let mut cluster = Cluster::new(&[1, 2]);
    cluster.fence(3);
    assert_eq!(cluster.alter(|_| ()), ErrorCode::IneligibleReplica);
    cluster.heartbeat(3, |_| ());
    assert_eq!(cluster.alter(|_| ()), ErrorCode::None);
    cluster.heartbeat(3, |request| request.want_shut_down = true);
    assert_eq!(cluster.alter(|_| ()), ErrorCode::IneligibleReplica);
    cluster.guards = Guards::ALL.without(Guard::EligibleReplicas);
    assert_eq!(cluster.alter(|_| ()), ErrorCode::None);
}

#[test]
fn blocks_of_producer_ids_never_overlap() {
    let mut cluster = Cluster::new(&[1]);
    for first in [0, 1000] {
        let decision = decide_producer_ids(&cluster.image, NodeId(2), epoch(2));
        let (error, first) = (ErrorCode::None, ProducerId(first));
        assert_eq!(decision.response, Response::AllocateProducerIds { error, first, count: 1000 });
        cluster.apply(decision.records);
    }
}

#[test]
fn topics_wait_for_all_brokers_and_are_spread_over_them() {
    let mut cluster = Cluster::new(&[1, 2, 3]);
    cluster.image.partitions.clear();
    cluster.image.topics.insert(TopicId(1), TopicSettings { partitions: 2, replication: 2, ..Default::default() });
    assert!(decide_topics(&cluster.image, &nodes(&[1, 2, 3, 4])).is_empty());
    let records = decide_topics(&cluster.image, &nodes(&[1, 2, 3]));
    cluster.apply(records);
    let replicas =
        |topic, partition| &cluster.image.partitions[&TopicPartition::new(TopicId(topic), partition)].replicas;
    assert_eq!(*replicas(0, 0), nodes(&[1, 2, 3]));
    assert_eq!(*replicas(1, 0), nodes(&[2, 3]));
    assert_eq!(*replicas(1, 1), nodes(&[3, 1]));
    assert!(decide_topics(&cluster.image, &nodes(&[1, 2, 3])).is_empty());
}

#[test]
fn partitions_are_added_on_live_replicas_and_never_taken_away() {
    let mut cluster = Cluster::new(&[1, 2, 3]);
    let (topic, brokers) = (PARTITION.topic, nodes(&[1, 2, 3]));
    let before = cluster.state().clone();
    for count in [0, 1] {
        assert!(decide_partitions(&cluster.image, &brokers, topic, count).is_empty(), "{count} are there");
    }
    assert!(decide_partitions(&cluster.image, &brokers, TopicId(7), 3).is_empty(), "there is no such topic");
    cluster.fence(2);
    let records = decide_partitions(&cluster.image, &brokers, topic, 3);
    cluster.apply(records);
    let state = |partition| &cluster.image.partitions[&TopicPartition::new(topic, partition)];
    assert_eq!((&state(0).replicas, state(0).leader_epoch), (&before.replicas, before.leader_epoch), "it stays");
    assert_eq!((&state(1).replicas, &state(1).in_sync_replicas), (&nodes(&[2, 3, 1]), &nodes(&[3, 1])));
    assert_eq!((state(1).leader, state(2).leader), (Some(NodeId(3)), Some(NodeId(3))));
    assert_eq!(cluster.image.partitions.len(), 3);
    [1, 3].into_iter().for_each(|broker| cluster.fence(broker));
    assert!(decide_partitions(&cluster.image, &brokers, topic, 4).is_empty(), "nobody could lead a new one");
}

#[test]
fn a_preferred_replica_leads_again_only_when_it_is_in_sync() {
    let mut cluster = Cluster::new(&[2, 3]);
    assert!(decide_preferred(&cluster.image, cluster.rules(), |_| true).is_empty());
    cluster.image.partitions.get_mut(&PARTITION).expect("the partition").in_sync_replicas = nodes(&[2, 3, 1]);
    assert!(decide_preferred(&cluster.image, cluster.rules(), |of| of != PARTITION).is_empty());
    let records = decide_preferred(&cluster.image, cluster.rules(), |of| of == PARTITION);
    cluster.apply(records);
    assert_eq!(cluster.state().leader, Some(NodeId(1)));
}

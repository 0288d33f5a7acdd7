//! What the active controller decides about brokers: registration, heartbeats, fencing, topics, producer ids.
//!
//! Every decision reads an image and answers with records and a response; nothing changes until the records are
//! replayed, and nobody hears the response until they are committed.
//! Source: ClusterControlManager.registerBroker (KIP-631, KIP-966), BrokerHeartbeatManager.calculateNextBrokerState,
//! ReplicationControlManager.createTopic, ProducerIdControlManager.

use super::decide_partition::{Rules, admit_broker, remove_broker};
use crate::types::metadata::{BrokerState, ClusterImage, MetadataRecord, PartitionState};
use crate::types::request::*;
use crate::types::*;

/// Producer ids handed out at once. Kafka: ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE.
const PRODUCER_ID_BLOCK: u64 = 1000;

/// Records to append, and what to answer when they are committed.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub records: Vec<MetadataRecord>,
    pub response: Response,
}

impl Decision {
    fn answer(response: Response) -> Decision {
        Decision { records: Vec::new(), response }
    }
}

/// A broker starts. A new incarnation may have lost what it held: it leaves every in-sync set, and the eligible
/// replicas too unless it says that it stopped cleanly from the registration that is known (KIP-903, KIP-966).
pub(super) fn decide_registration(
    image: &ClusterImage,
    rules: Rules,
    request: &BrokerRegistrationRequest,
    next_offset: Offset,
    has_session: bool,
) -> Decision {
    let broker = request.registration.broker;
    let response = |error, broker_epoch| Response::BrokerRegistration { error, broker_epoch };
    let known = image.brokers.get(&broker);
    if let Some(known) = known {
        if known.registration.incarnation == request.registration.incarnation {
            // The answer was lost; the registration stands.
            return Decision::answer(response(ErrorCode::None, known.broker_epoch));
        }
        if has_session && !known.shutting_down {
            return Decision::answer(response(ErrorCode::DuplicateBrokerRegistration, BrokerEpoch(0)));
        }
    }
    let broker_epoch = BrokerEpoch(next_offset.0);
    let registration = request.registration.clone();
    let mut records = vec![MetadataRecord::RegisterBroker { registration, broker_epoch, fenced: true }];
    if let Some(known) = known {
        let unclean = request.previous_broker_epoch != Some(known.broker_epoch)
            && rules.guards.stand(Guard::UncleanShutdownDetection);
        records.extend(remove_broker(image, rules, broker, unclean));
    }
    Decision { records, response: response(ErrorCode::None, broker_epoch) }
}

/// A broker reports. `shutdown_known`: the others have applied the moves that its shutdown waits for.
pub(super) fn decide_heartbeat(
    image: &ClusterImage,
    rules: Rules,
    request: &BrokerHeartbeatRequest,
    shutdown_known: bool,
) -> Decision {
    let known = match check_broker(image, request.broker, request.broker_epoch) {
        Ok(known) => known,
        Err(error) => return Decision::answer(heartbeat_response(error, true, false)),
    };
    let leads = || image.partitions.values().any(|state| state.leader == Some(request.broker));
    // The broker has seen its own registration. The offset is an end, the epoch is the record's own offset.
    let caught_up = request.metadata_offset.0 > known.broker_epoch.0;
    let next = if request.want_shut_down {
        match known.fenced {
            true => NextState::ShutDown,
            false if request.want_fence => NextState::ShutDown,
            false if !known.shutting_down => NextState::Stopping,
            false if leads() || !shutdown_known => NextState::Stopping,
            false => NextState::ShutDown,
        }
    } else if request.want_fence || (known.fenced && !caught_up) {
        NextState::Fenced
    } else if known.shutting_down && !known.fenced {
        NextState::Stopping
    } else {
        NextState::Unfenced
    };
    let records = match next {
        NextState::Fenced | NextState::ShutDown => decide_fencing(image, rules, request.broker),
        NextState::Unfenced => decide_unfencing(image, rules, known),
        NextState::Stopping => decide_stopping(image, rules, known),
    };
    let is_fenced = matches!(next, NextState::Fenced | NextState::ShutDown);
    let response = heartbeat_response(ErrorCode::None, is_fenced, next == NextState::ShutDown);
    Decision { records, response }
}

/// Kafka: BrokerControlState.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextState {
    Fenced,
    Unfenced,
    /// Leaderships are moved away. Kafka: CONTROLLED_SHUTDOWN.
    Stopping,
    ShutDown,
}

/// A broker is not heard of any more: it leads nothing and holds nothing in sync.
pub(super) fn decide_fencing(image: &ClusterImage, rules: Rules, broker: NodeId) -> Vec<MetadataRecord> {
    match image.brokers.get(&broker) {
        Some(known) if !known.fenced => {
            let mut records = vec![broker_changed(known, true, known.shutting_down)];
            records.extend(remove_broker(image, rules, broker, false));
            records
        }
        Some(_) | None => Vec::new(),
    }
}

fn decide_unfencing(image: &ClusterImage, rules: Rules, known: &BrokerState) -> Vec<MetadataRecord> {
    if !known.fenced {
        return Vec::new();
    }
    let mut records = vec![broker_changed(known, false, false)];
    records.extend(admit_broker(image, rules, known.registration.broker));
    records
}

/// Once, when the broker begins to stop: after that nothing may bring it back (KIP-841, guard R10).
fn decide_stopping(image: &ClusterImage, rules: Rules, known: &BrokerState) -> Vec<MetadataRecord> {
    if known.shutting_down {
        return Vec::new();
    }
    let mut records = vec![broker_changed(known, false, true)];
    records.extend(remove_broker(image, rules, known.registration.broker, false));
    records
}

pub(super) fn decide_producer_ids(image: &ClusterImage, broker: NodeId, broker_epoch: BrokerEpoch) -> Decision {
    let first = image.next_producer_id;
    if let Err(error) = check_broker(image, broker, broker_epoch) {
        return Decision::answer(Response::AllocateProducerIds { error, first: ProducerId(0), count: 0 });
    }
    Decision {
        records: vec![MetadataRecord::ProducerIds { next: ProducerId(first.0 + PRODUCER_ID_BLOCK) }],
        response: Response::AllocateProducerIds { error: ErrorCode::None, first, count: PRODUCER_ID_BLOCK },
    }
}

/// All topics, as an administrator would create them once the cluster is complete. Empty when it is not, or when
/// they are there. Kafka: ReplicationControlManager.createTopics, with a placement that can be foretold.
pub(super) fn decide_topics(image: &ClusterImage, brokers: &[NodeId]) -> Vec<MetadataRecord> {
    let complete = brokers.iter().all(|broker| image.is_active(*broker));
    if !image.partitions.is_empty() || brokers.is_empty() || !complete {
        return Vec::new();
    }
    let mut records = Vec::new();
    for (topic, settings) in &image.topics {
        for number in 0..settings.partitions {
            let replicas = place_replicas(*topic, number, settings.replication, brokers);
            records.push(new_partition(TopicPartition::new(*topic, number), replicas.clone(), replicas));
        }
    }
    records
}

/// What a topic lacks of so many partitions. Those that it has stay as they are, with the records in them: a key may
/// belong to another partition from now on. Nothing when one of the new ones would have no live replica.
/// Kafka: ReplicationControlManager.createPartitions, with the placement of [`decide_topics`].
pub(super) fn decide_partitions(
    image: &ClusterImage,
    brokers: &[NodeId],
    topic: TopicId,
    count: u16,
) -> Vec<MetadataRecord> {
    let Some(settings) = image.topics.get(&topic) else { return Vec::new() };
    let has = image.partitions.keys().filter(|partition| partition.topic == topic).count() as u16;
    // Before the topic is there it is not changed.
    let missing = if has == 0 { 0..0 } else { has..count };
    let create = |number| {
        let replicas = place_replicas(topic, number, settings.replication, brokers);
        let in_sync: Vec<NodeId> = replicas.iter().copied().filter(|replica| image.is_active(*replica)).collect();
        (!in_sync.is_empty()).then(|| new_partition(TopicPartition::new(topic, number), replicas, in_sync))
    };
    missing.map(create).collect::<Option<Vec<MetadataRecord>>>().unwrap_or_default()
}

/// Empty everywhere: every live replica is in sync, and the first of them leads.
fn new_partition(partition: TopicPartition, replicas: Vec<NodeId>, in_sync_replicas: Vec<NodeId>) -> MetadataRecord {
    let state = PartitionState {
        leader: in_sync_replicas.first().copied(),
        in_sync_replicas,
        replicas,
        eligible_leader_replicas: Vec::new(),
        reassignment: None,
        last_known_leader: None,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        recovering: false,
    };
    MetadataRecord::Partition { partition, state }
}

/// Neighbours in the row of brokers, beginning at (topic + partition).
fn place_replicas(topic: TopicId, partition: u16, replication: u16, brokers: &[NodeId]) -> Vec<NodeId> {
    let first = usize::from(topic.0) + usize::from(partition);
    let count = usize::from(replication).min(brokers.len());
    (first..first + count).map(|index| brokers[index % brokers.len()]).collect()
}

/// The registration that a request speaks for. Kafka: ClusterControlManager.checkBrokerEpoch.
pub(super) fn check_broker(
    image: &ClusterImage,
    broker: NodeId,
    broker_epoch: BrokerEpoch,
) -> Result<&BrokerState, ErrorCode> {
    let known = image.brokers.get(&broker).ok_or(ErrorCode::BrokerIdNotRegistered)?;
    if known.broker_epoch == broker_epoch { Ok(known) } else { Err(ErrorCode::StaleBrokerEpoch) }
}

fn broker_changed(known: &BrokerState, fenced: bool, shutting_down: bool) -> MetadataRecord {
    let broker = known.registration.broker;
    MetadataRecord::BrokerChanged { broker, broker_epoch: known.broker_epoch, fenced, shutting_down }
}

pub(super) fn heartbeat_response(error: ErrorCode, is_fenced: bool, should_shut_down: bool) -> Response {
    Response::BrokerHeartbeat(BrokerHeartbeatResponse { error, is_fenced, should_shut_down })
}

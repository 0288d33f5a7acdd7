//! What the active controller decides about partitions: in-sync sets, eligible leader replicas, leaders.
//!
//! All changes go through one place, [`PartitionChange::build`], so that the rules of election and of KIP-966 hold
//! whoever asks: a leader's AlterPartition, a fenced broker, a broker that is back, an operator.
//! Source: PartitionChangeBuilder, ReplicationControlManager.validateAlterPartitionData (KIP-497, KIP-841, KIP-903).

use super::decide::{Decision, check_broker};
use crate::types::metadata::{ClusterImage, MetadataRecord, PartitionState, Reassignment};
use crate::types::request::*;
use crate::types::settings::{BrokerSettings, TopicSettings};
use crate::types::*;

/// Settings and guards that decisions obey.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub settings: &'a BrokerSettings,
    pub guards: Guards,
}

/// A leader asks for another in-sync set.
pub(super) fn decide_alter_partition(image: &ClusterImage, rules: Rules, request: &AlterPartitionRequest) -> Decision {
    if let Err(error) = check_alter_partition(image, rules, request) {
        let state = image.partitions.get(&request.partition);
        let response = alter_partition_response(error, request.partition, state);
        return Decision { records: Vec::new(), response };
    }
    let old = &image.partitions[&request.partition];
    let mut change = PartitionChange::new(image, rules, request.partition, old);
    change.in_sync_replicas = request.in_sync_replicas.iter().map(|(replica, _)| *replica).collect();
    // A leader that alters the set has recovered: Kafka's brokers always send RECOVERED.
    change.recovering = false;
    // The asking leader stays: it is in the new set, and it was checked.
    change.election = Election::Keep;
    let state = change.build();
    let now = state.as_ref().unwrap_or(old);
    // The set may have completed a reassignment that takes the leadership away.
    let error = if now.leader == old.leader { ErrorCode::None } else { ErrorCode::NewLeaderElected };
    let response = alter_partition_response(error, request.partition, Some(now));
    let records = state.map(|state| MetadataRecord::PartitionChanged { partition: request.partition, state });
    Decision { records: records.into_iter().collect(), response }
}

/// The order of the checks is Kafka's: which error a leader sees decides whether it retries.
fn check_alter_partition(image: &ClusterImage, rules: Rules, request: &AlterPartitionRequest) -> Result<(), ErrorCode> {
    check_broker(image, request.broker, request.broker_epoch)?;
    let state = image.partitions.get(&request.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if request.leader_epoch > state.leader_epoch || request.partition_epoch > state.partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if request.leader_epoch < state.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if state.leader != Some(request.broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    if rules.guards.stand(Guard::PartitionEpochCheck) && request.partition_epoch < state.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let proposed = &request.in_sync_replicas;
    let known = proposed.iter().all(|(replica, _)| state.replicas.contains(replica));
    let with_leader = proposed.iter().any(|(replica, _)| *replica == request.broker);
    let mut names: Vec<NodeId> = proposed.iter().map(|(replica, _)| *replica).collect();
    names.sort_unstable();
    let repeated = names.windows(2).any(|pair| pair[0] == pair[1]);
    if !known || !with_leader || repeated {
        return Err(ErrorCode::InvalidRequest);
    }
    let eligible = proposed.iter().all(|(replica, epoch)| is_eligible(image, rules, *replica, *epoch));
    if eligible { Ok(()) } else { Err(ErrorCode::IneligibleReplica) }
}

/// Whether a replica may be in an in-sync set. Kafka: ReplicationControlManager.ineligibleReplicasForIsr.
fn is_eligible(image: &ClusterImage, rules: Rules, replica: NodeId, epoch: Option<BrokerEpoch>) -> bool {
    let Some(broker) = image.brokers.get(&replica) else { return false };
    let serving = !broker.fenced && !broker.shutting_down;
    let same_registration = epoch.is_none_or(|epoch| epoch == broker.broker_epoch);
    (serving || !rules.guards.stand(Guard::EligibleReplicas))
        && (same_registration || !rules.guards.stand(Guard::BrokerEpochCheck))
}

/// Takes a broker out of leadership and in-sync sets; after an unclean stop out of the eligible replicas too.
pub(super) fn remove_broker(
    image: &ClusterImage,
    rules: Rules,
    broker: NodeId,
    unclean_shutdown: bool,
) -> Vec<MetadataRecord> {
    let concerned = |_, state: &PartitionState| {
        state.leader == Some(broker)
            || state.in_sync_replicas.contains(&broker)
            || (unclean_shutdown && state.eligible_leader_replicas.contains(&broker))
    };
    change_partitions(image, rules, concerned, |change| {
        change.in_sync_replicas.retain(|replica| *replica != broker);
        change.leaving = Some(broker);
        change.unclean_shutdown = unclean_shutdown.then_some(broker);
    })
}

/// A broker serves again: partitions without a leader may have one now.
pub(super) fn admit_broker(image: &ClusterImage, rules: Rules, broker: NodeId) -> Vec<MetadataRecord> {
    let concerned = |_, state: &PartitionState| state.leader.is_none() && state.replicas.contains(&broker);
    change_partitions(image, rules, concerned, |change| change.arriving = Some(broker))
}

/// Gives leaderships of these partitions back to preferred replicas. Kafka: maybeBalancePartitionLeaders.
pub(super) fn decide_preferred(
    image: &ClusterImage,
    rules: Rules,
    wanted: impl Fn(TopicPartition) -> bool,
) -> Vec<MetadataRecord> {
    let concerned = |partition: TopicPartition, state: &PartitionState| {
        wanted(partition) && state.leader.is_some() && state.leader != state.replicas.first().copied()
    };
    change_partitions(image, rules, concerned, |change| change.election = Election::Preferred)
}

/// Moves a partition's replicas: those that come are replicas at once, and those that go stay until the new ones are in
/// sync. Kafka: ReplicationControlManager.changePartitionReassignment, PartitionReassignmentReplicas.
pub(super) fn decide_reassignment(
    image: &ClusterImage,
    rules: Rules,
    partition: TopicPartition,
    to: &[NodeId],
) -> Vec<MetadataRecord> {
    let known = !to.is_empty() && to.iter().all(|replica| image.brokers.contains_key(replica));
    change_partitions(
        image,
        rules,
        |of, _| of == partition && known,
        |change| {
            let adding = to.iter().filter(|replica| !change.old.replicas.contains(replica)).copied().collect();
            let removing: Vec<NodeId> =
                change.old.replicas.iter().filter(|replica| !to.contains(replica)).copied().collect();
            change.replicas = to.iter().chain(&removing).copied().collect();
            change.reassignment = Some(Reassignment { adding, removing });
        },
    )
}

fn change_partitions(
    image: &ClusterImage,
    rules: Rules,
    concerned: impl Fn(TopicPartition, &PartitionState) -> bool,
    prepare: impl Fn(&mut PartitionChange),
) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for (partition, old) in image.partitions.iter().filter(|(partition, state)| concerned(**partition, state)) {
        let mut change = PartitionChange::new(image, rules, *partition, old);
        prepare(&mut change);
        if let Some(state) = change.build() {
            records.push(MetadataRecord::PartitionChanged { partition: *partition, state });
        }
    }
    records
}

/// One change of one partition on its way. Kafka: PartitionChangeBuilder.
struct PartitionChange<'a> {
    image: &'a ClusterImage,
    rules: Rules<'a>,
    topic: &'a TopicSettings,
    old: &'a PartitionState,
    replicas: Vec<NodeId>,
    reassignment: Option<Reassignment>,
    /// As wanted. Kafka: targetIsr.
    in_sync_replicas: Vec<NodeId>,
    recovering: bool,
    election: Election,
    /// A broker that the image still believes to serve.
    leaving: Option<NodeId>,
    /// A broker that the image still believes to be fenced.
    arriving: Option<NodeId>,
    /// A broker that may have lost what it held.
    unclean_shutdown: Option<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Election {
    Keep,
    /// Keep a valid leader, find one otherwise. Kafka: Election.ONLINE.
    Online,
    Preferred,
}

/// Who leads from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elected {
    Clean(NodeId),
    /// From the eligible replicas: complete, but outside the in-sync set. KIP-966.
    Eligible(NodeId),
    /// Possibly incomplete.
    Unclean(NodeId),
    Nobody,
}

impl<'a> PartitionChange<'a> {
    fn new(
        image: &'a ClusterImage,
        rules: Rules<'a>,
        partition: TopicPartition,
        old: &'a PartitionState,
    ) -> PartitionChange<'a> {
        PartitionChange {
            image,
            rules,
            topic: image.topics.get(&partition.topic).expect("a partition of a configured topic"),
            old,
            replicas: old.replicas.clone(),
            reassignment: old.reassignment.clone(),
            in_sync_replicas: old.in_sync_replicas.clone(),
            recovering: old.recovering,
            election: Election::Online,
            leaving: None,
            arriving: None,
            unclean_shutdown: None,
        }
    }

    /// The new state; `None` when nothing changes.
    fn build(mut self) -> Option<PartitionState> {
        if self.in_sync_replicas.is_empty() && !self.keeps_eligible_replicas() {
            // Somebody must know what was committed: the last member stays, leading or not.
            self.in_sync_replicas = self.old.in_sync_replicas.clone();
        }
        self.complete_reassignment();
        let mut eligible_leader_replicas = self.eligible_leader_replicas();
        let mut new = self.old.clone();
        match self.elect(&eligible_leader_replicas) {
            Elected::Clean(leader) => new.leader = Some(leader),
            Elected::Eligible(leader) => {
                new.leader = Some(leader);
                eligible_leader_replicas.retain(|replica| *replica != leader);
                self.in_sync_replicas = vec![leader];
            }
            Elected::Unclean(leader) => {
                new.leader = Some(leader);
                eligible_leader_replicas.clear();
                self.in_sync_replicas = vec![leader];
                self.recovering = true;
            }
            Elected::Nobody => new.leader = None,
        }
        // Whoever goes must not be counted any more: followers are known anew in a new term.
        let is_leaving = self.old.replicas.iter().any(|replica| !self.replicas.contains(replica));
        if new.leader != self.old.leader || is_leaving {
            new.leader_epoch = self.old.leader_epoch.next();
        }
        new.replicas = self.replicas;
        new.reassignment = self.reassignment;
        new.in_sync_replicas = self.in_sync_replicas;
        new.eligible_leader_replicas = eligible_leader_replicas;
        new.recovering = self.recovering;
        new.last_known_leader = match new.leader {
            Some(_) => None,
            None if new.in_sync_replicas.is_empty() => self.old.leader.or(self.old.last_known_leader),
            None => self.old.last_known_leader,
        };
        if new == *self.old {
            return None;
        }
        new.partition_epoch = PartitionEpoch(self.old.partition_epoch.0 + 1);
        Some(new)
    }

    /// All that come are in sync: those that go are gone. Kafka: PartitionReassignmentReplicas.maybeCompleteReassignment.
    fn complete_reassignment(&mut self) {
        let Some(Reassignment { adding, removing }) = &self.reassignment else { return };
        let stays = |replica: &NodeId| !removing.contains(replica);
        let remaining: Vec<NodeId> = self.in_sync_replicas.iter().copied().filter(stays).collect();
        if remaining.is_empty() || !adding.iter().all(|replica| remaining.contains(replica)) {
            return;
        }
        // A leader that goes does not keep its place.
        if self.old.leader.is_some_and(|leader| !stays(&leader)) {
            self.election = Election::Online;
        }
        self.replicas = self.replicas.iter().copied().filter(stays).collect();
        self.in_sync_replicas = remaining;
        self.reassignment = None;
    }

    /// Replicas outside the wanted in-sync set that hold everything committed. They are kept only while the set is
    /// too small to commit anything: nothing can be added behind their backs. Kafka: maybePopulateTargetElr.
    fn eligible_leader_replicas(&self) -> Vec<NodeId> {
        let enough = usize::from(self.topic.min_insync_replicas).min(self.replicas.len());
        if !self.keeps_eligible_replicas() || self.in_sync_replicas.len() >= enough {
            return Vec::new();
        }
        let mut eligible = self.old.eligible_leader_replicas.clone();
        for replica in &self.old.in_sync_replicas {
            if !eligible.contains(replica) {
                eligible.push(*replica);
            }
        }
        eligible.retain(|replica| {
            let is_out = !self.in_sync_replicas.contains(replica) && self.unclean_shutdown != Some(*replica);
            is_out && self.replicas.contains(replica)
        });
        eligible
    }

    fn elect(&self, eligible: &[NodeId]) -> Elected {
        let in_sync = &self.in_sync_replicas;
        let candidate = |replica: NodeId| {
            if !self.serves(replica) {
                None
            } else if in_sync.contains(&replica) {
                Some(Elected::Clean(replica))
            } else if in_sync.is_empty() && eligible.contains(&replica) {
                Some(Elected::Eligible(replica))
            } else {
                None
            }
        };
        let first_of = |replicas: &[NodeId]| replicas.iter().find_map(|replica| candidate(*replica));
        let current = self.old.leader.as_slice();
        let clean = match self.election {
            Election::Keep => return self.old.leader.map_or(Elected::Nobody, Elected::Clean),
            Election::Online => first_of(current).or_else(|| first_of(&self.replicas)),
            Election::Preferred => {
                first_of(&self.replicas[..1]).or_else(|| first_of(current)).or_else(|| first_of(&self.replicas))
            }
        };
        clean.unwrap_or_else(|| self.elect_incomplete(eligible))
    }

    /// Nobody who certainly holds everything is there.
    fn elect_incomplete(&self, eligible: &[NodeId]) -> Elected {
        let nobody_complete = self.in_sync_replicas.is_empty() && eligible.is_empty();
        if self.keeps_eligible_replicas()
            && nobody_complete
            && let Some(last) = self.old.last_known_leader
            && (self.serves(last) || !self.rules.guards.stand(Guard::LastKnownLeaderServes))
        {
            return Elected::Unclean(last);
        }
        let unclean = self.rules.settings.unclean_leader_election_enable || self.topic.unclean_leader_election_enable;
        let live = self.replicas.iter().copied().find(|replica| unclean && self.serves(*replica));
        live.map_or(Elected::Nobody, Elected::Unclean)
    }

    /// Whether a broker may lead: unfenced and not about to stop. Kafka: isAcceptableLeader.
    fn serves(&self, broker: NodeId) -> bool {
        if self.leaving == Some(broker) {
            return false;
        }
        let state = self.image.brokers.get(&broker);
        self.arriving == Some(broker) || state.is_some_and(|state| !state.fenced && !state.shutting_down)
    }

    fn keeps_eligible_replicas(&self) -> bool {
        self.rules.settings.eligible_leader_replicas_version >= 1
            && self.rules.guards.stand(Guard::EligibleLeaderReplicas)
    }
}

pub(super) fn alter_partition_response(
    error: ErrorCode,
    partition: TopicPartition,
    state: Option<&PartitionState>,
) -> Response {
    let unknown = AlterPartitionResponse {
        error,
        partition,
        leader: None,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        in_sync_replicas: Vec::new(),
    };
    Response::AlterPartition(match state {
        None => unknown,
        Some(state) => AlterPartitionResponse {
            leader: state.leader,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            in_sync_replicas: state.in_sync_replicas.clone(),
            ..unknown
        },
    })
}

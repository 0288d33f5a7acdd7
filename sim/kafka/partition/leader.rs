//! A leader: appends, counts how far its followers are, and acknowledges what all in-sync replicas have.
//!
//! The high watermark is the smallest log end among the replicas that are in the in-sync set, may be in it by now, or
//! are about to be. It moves only while the committed set is large enough (KAFKA-15583). Kafka: Partition.

use std::collections::{BTreeMap, VecDeque};

use super::*;

#[derive(Clone, Debug)]
pub struct Leader {
    leader_epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    /// Log end when the term began. A follower that has not reached it may miss committed records.
    epoch_start_offset: Offset,
    /// `min.insync.replicas`, but no more than there are replicas.
    min_in_sync_replicas: usize,
    in_sync: InSyncReplicas,
    remotes: Vec<RemoteReplica>,
    /// Ordered by the offset they wait for.
    parked: VecDeque<ParkedAck>,
    pending: Option<Proposal>,
    /// Transactions of producers that a coordinator is asked about, or has said yes to, and that have written nothing
    /// yet.
    verifications: BTreeMap<ProducerId, (ProducerEpoch, VerificationToken)>,
    tokens: u64,
}

/// acks=all waits until the high watermark has reached `end_offset`. Kafka: DelayedProduce.
#[derive(Clone, Copy, Debug)]
struct ParkedAck {
    ticket: AckTicket,
    base_offset: Offset,
    end_offset: Offset,
    to: Option<NodeId>,
}

/// What becomes of a produced batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Produced {
    Answered {
        error: ErrorCode,
        base_offset: Offset,
    },
    /// The answer comes as a [`FinishedAck`].
    Parked,
}

impl Leader {
    /// A term begins. Nothing is known of the followers until they have fetched in it.
    pub fn begin(
        replica: &mut Replica,
        state: &PartitionState,
        previous: Option<Leader>,
        remembered: Vec<RemoteReplica>,
        image: &ClusterImage,
        step: &mut Step,
    ) -> Leader {
        let node = replica.settings.node;
        let unknown =
            |broker: &NodeId| RemoteReplica::unknown(*broker, state.in_sync_replicas.contains(broker), step.time());
        let mut remotes: Vec<RemoteReplica> = state.replicas.iter().filter(|id| **id != node).map(unknown).collect();
        let (parked, known) = match previous {
            Some(leader) => (leader.parked, leader.remotes),
            None => (VecDeque::new(), remembered),
        };
        if !replica.settings.guards.stand(Guard::ResetReplicaState) {
            for remote in &mut remotes {
                *remote = known.iter().find(|old| old.broker == remote.broker).copied().unwrap_or(*remote);
            }
        }
        replica.log.begin_epoch(state.leader_epoch);
        // Nobody may have begun to lead since.
        if let Some(epoch) = image.unclean_elections.get(&replica.id).filter(|_| state.recovering) {
            step.note(Note::ElectedUncleanly { partition: replica.id, leader_epoch: *epoch });
        }
        step.note(Note::BecameLeader {
            partition: replica.id,
            leader_epoch: state.leader_epoch,
            log_end_offset: replica.log.end_offset(),
            high_watermark: replica.high_watermark,
        });
        let mut leader = Leader {
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            epoch_start_offset: replica.log.end_offset(),
            min_in_sync_replicas: replica.settings.enough_in_sync(state.replicas.len()),
            in_sync: InSyncReplicas::Committed(state.in_sync_replicas.clone()),
            remotes,
            parked,
            pending: None,
            verifications: BTreeMap::new(),
            tokens: 0,
        };
        leader.note_committed(replica, step);
        leader.maybe_advance(replica, image, step);
        leader
    }

    #[expect(clippy::too_many_arguments, reason = "the role borrows the replica and the image of its broker")]
    pub fn produce(
        &mut self,
        replica: &mut Replica,
        batch: &RecordBatch,
        acks: Acks,
        ticket: AckTicket,
        to: Option<NodeId>,
        image: &ClusterImage,
        step: &mut Step,
    ) -> Produced {
        let guards = replica.settings.guards;
        if acks == Acks::All && self.is_under_min_in_sync(guards) {
            return self.answer(replica, acks, ErrorCode::NotEnoughReplicas, (Offset::ZERO, Offset::ZERO), to, step);
        }
        let (offsets, waits) = match replica.log.append_as_leader(batch, self.leader_epoch, step.now.wall_clock) {
            Err(error) => return self.answer(replica, acks, error, (Offset::ZERO, Offset::ZERO), to, step),
            Ok(LeaderAppend::New(batch)) => {
                let offsets = (batch.base_offset, batch.end_offset());
                // The transaction is open now, or over: what was verified is used up either way.
                if let Some(stamp) = batch.producer.filter(|stamp| stamp.transactional) {
                    self.forget_verification(stamp, batch.marker().is_some(), guards);
                }
                replica.note_append(AppendRole::Leader, batch, step);
                self.maybe_advance(replica, image, step);
                (offsets, guards.stand(Guard::AckAfterReplication))
            }
            Ok(LeaderAppend::Duplicate { base_offset, end_offset }) => {
                step.note(Note::DuplicateBatch { partition: replica.id, base_offset });
                ((base_offset, end_offset), guards.stand(Guard::DuplicateWaits))
            }
        };
        if acks != Acks::All || !waits {
            return self.answer(replica, acks, ErrorCode::None, offsets, to, step);
        }
        if offsets.1 <= replica.high_watermark {
            return self.answer(replica, acks, self.error_after_append(guards), offsets, to, step);
        }
        let ack = ParkedAck { ticket, base_offset: offsets.0, end_offset: offsets.1, to };
        let place = self.parked.partition_point(|parked| parked.end_offset <= ack.end_offset);
        self.parked.insert(place, ack);
        Produced::Parked
    }

    /// Kafka: ProducerStateManager.maybeCreateVerificationStateEntry. A second question about the same transaction gets
    /// the same token.
    pub fn begin_verification(&mut self, replica: &Replica, stamp: ProducerStamp) -> Option<VerificationToken> {
        if replica.log.transactions().is_open(stamp.id, stamp.epoch) {
            return None;
        }
        if let Some((_, token)) = self.verifications.get(&stamp.id).filter(|(epoch, _)| *epoch == stamp.epoch) {
            return Some(*token);
        }
        self.tokens += 1;
        let token = VerificationToken(self.tokens);
        self.verifications.insert(stamp.id, (stamp.epoch, token));
        Some(token)
    }

    /// Whether the first batch of a transaction in this partition is one that the coordinator knows of. Batches that are
    /// in the log already are for the log to recognise. Kafka: UnifiedLog.batchMissingRequiredVerification.
    pub fn verify(
        &self,
        replica: &Replica,
        batch: &RecordBatch,
        token: Option<VerificationToken>,
    ) -> Result<(), ErrorCode> {
        let guards = replica.settings.guards;
        let Some(stamp) = batch.producer.filter(|stamp| stamp.transactional) else { return Ok(()) };
        let is_open = replica.log.transactions().is_open(stamp.id, stamp.epoch);
        let is_needed = batch.marker().is_none() && !is_open && !replica.log.knows(batch);
        if !is_needed || !guards.stand(Guard::TransactionVerification) {
            return Ok(());
        }
        let known = self.verifications.get(&stamp.id).map(|(_, token)| *token);
        // A mutant only remembers that something was verified.
        let is_good = if guards.stand(Guard::VerificationToken) {
            token.is_some() && known == token
        } else {
            token.is_some() && known.is_some()
        };
        if is_good { Ok(()) } else { Err(ErrorCode::InvalidTxnState) }
    }

    fn forget_verification(&mut self, stamp: ProducerStamp, is_marker: bool, guards: Guards) {
        if !is_marker || guards.stand(Guard::VerificationToken) {
            self.verifications.remove(&stamp.id);
        }
    }

    pub fn abandon(&mut self, replica: &Replica, ticket: AckTicket, step: &mut Step) {
        if let Some(place) = self.parked.iter().position(|ack| ack.ticket == ticket) {
            let ack = self.parked.remove(place).expect("a place just found");
            let offsets = (ack.base_offset, ack.end_offset);
            replica.note_answer(self.leader_epoch, Acks::All, ErrorCode::RequestTimedOut, offsets, ack.to, step);
        }
    }

    /// Counts what a fetch that could be read tells of a follower. The high watermark in its answer is the one before
    /// this, as in Kafka.
    pub fn handle_follower_fetch(
        &mut self,
        replica: &mut Replica,
        question: &FetchPartition,
        from: FetchReplica,
        image: &ClusterImage,
        step: &mut Step,
    ) {
        let leader_end = replica.log.end_offset();
        let remote = self.remotes.iter_mut().find(|remote| remote.broker == from.broker);
        let remote = remote.expect("a fetch was read for an assigned replica");
        let before = remote.log_end_offset;
        remote.handle_fetch(from, question.fetch_offset, leader_end, step.time());
        let remote = *remote;
        self.maybe_expand(replica, remote, image, step);
        if before != remote.log_end_offset {
            self.maybe_advance(replica, image, step);
        }
    }

    /// The follower stands at the end of this log, and its own log is the same up to there.
    pub fn has_nothing_for(&self, replica: &Replica, question: &FetchPartition, from: FollowerReader) -> bool {
        question.fetch_offset == replica.log.end_offset()
            && self.check_follower_fetch(replica, question, from) == Ok(None)
    }

    pub fn read_as_follower(
        &self,
        replica: &Replica,
        question: &FetchPartition,
        from: FollowerReader,
        budget: ByteCount,
    ) -> FetchedPartition {
        match self.check_follower_fetch(replica, question, from) {
            Err(ErrorCode::OffsetOutOfRange) => {
                let diverging = DivergingEpoch { epoch: self.leader_epoch, end_offset: replica.log.end_offset() };
                FetchedPartition { diverging: Some(diverging), ..replica.refuse(question, ErrorCode::OffsetOutOfRange) }
            }
            Err(error) => replica.refuse(question, error),
            Ok(Some(diverging)) => {
                FetchedPartition { diverging: Some(diverging), ..replica.refuse(question, ErrorCode::None) }
            }
            Ok(None) => replica.read(question, replica.log.end_offset(), budget),
        }
    }

    /// The metadata log has a newer state in the same leader epoch: it overrides whatever is pending.
    pub fn handle_committed(
        &mut self,
        replica: &mut Replica,
        state: &PartitionState,
        image: &ClusterImage,
        step: &mut Step,
    ) {
        if state.partition_epoch <= self.partition_epoch {
            return;
        }
        self.follow_assignment(replica, state, step);
        self.commit(replica, state.in_sync_replicas.clone(), state.partition_epoch, image, step);
    }

    /// Replicas that come in the same term are unknown until they fetch; what is known of the others stays. Kafka:
    /// Partition.updateAssignmentAndIsr.
    fn follow_assignment(&mut self, replica: &Replica, state: &PartitionState, step: &Step) {
        let node = replica.settings.node;
        let known = |broker: &NodeId| {
            let old = self.remotes.iter().find(|remote| remote.broker == *broker).copied();
            old.unwrap_or_else(|| RemoteReplica::unknown(*broker, state.in_sync_replicas.contains(broker), step.time()))
        };
        self.remotes = state.replicas.iter().filter(|id| **id != node).map(known).collect();
        self.min_in_sync_replicas = replica.settings.enough_in_sync(state.replicas.len());
    }

    /// Kafka: Partition.handleAlterPartitionUpdate, handleAlterPartitionError.
    pub fn handle_alter_partition(
        &mut self,
        replica: &mut Replica,
        number: u64,
        response: &AlterPartitionResponse,
        image: &ClusterImage,
        step: &mut Step,
    ) {
        if !self.awaits_proposal(number) {
            return;
        }
        match response.error {
            ErrorCode::None => {
                if response.leader_epoch == self.leader_epoch && self.partition_epoch <= response.partition_epoch {
                    let members = response.in_sync_replicas.clone();
                    self.commit(replica, members, response.partition_epoch, image, step);
                }
            }
            ErrorCode::IneligibleReplica => {
                let committed = self.in_sync.committed(Guards::ALL).to_vec();
                self.in_sync = InSyncReplicas::Committed(committed);
                self.pending = None;
                self.maybe_advance(replica, image, step);
            }
            // The set stays pending: the controller knows more, and its metadata will say what.
            ErrorCode::FencedLeaderEpoch
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::InvalidRequest
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NewLeaderElected => {}
            _ => replica.stirred.proposal = self.pending.clone(),
        }
    }

    /// Kafka: Partition.maybeShrinkIsr.
    pub fn maybe_shrink(&mut self, replica: &mut Replica, image: &ClusterImage, step: &mut Step) {
        let InSyncReplicas::Committed(committed) = &self.in_sync else { return };
        let (end, now, lag_max) = (replica.log.end_offset(), step.time(), replica.settings.replica_lag_time_max);
        let is_behind = |remote: &RemoteReplica| !remote.is_caught_up(end, now, lag_max);
        let behind = |node: &NodeId| self.remotes.iter().any(|remote| remote.broker == *node && is_behind(remote));
        if !committed.iter().any(behind) {
            return;
        }
        let remaining: Vec<NodeId> = committed.iter().filter(|node| !behind(node)).copied().collect();
        let committed = committed.clone();
        self.in_sync = InSyncReplicas::PendingShrink { committed, remaining: remaining.clone() };
        self.propose(replica, remaining, image, step);
        if !replica.settings.guards.stand(Guard::ShrinkAfterCommit) {
            self.maybe_advance(replica, image, step);
        }
    }

    /// Leadership is lost: nobody here can tell what becomes of batches that still wait.
    pub fn resign(&mut self, replica: &mut Replica, step: &mut Step) {
        while let Some(ack) = self.parked.pop_front() {
            self.finish(replica, ack, ErrorCode::NotLeaderOrFollower, step);
        }
    }

    pub fn take_remotes(&mut self) -> Vec<RemoteReplica> {
        std::mem::take(&mut self.remotes)
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    pub fn epoch_start_offset(&self) -> Offset {
        self.epoch_start_offset
    }

    pub fn in_sync(&self) -> &InSyncReplicas {
        &self.in_sync
    }

    pub fn awaits_proposal(&self, number: u64) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.number == number)
    }

    pub fn check_epoch(&self, current: Option<LeaderEpoch>, guards: Guards) -> Result<(), ErrorCode> {
        check_epoch(self.leader_epoch, current, guards)
    }

    /// Kafka: RackAwareReplicaSelector.mostCaughtUpReplica, among the replicas that are in sync and have the offset.
    pub fn most_caught_up(&self, offset: Offset, guards: Guards, counts: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let in_sync = self.in_sync.committed(guards);
        let remotes = self.remotes.iter().filter(|remote| in_sync.contains(&remote.broker) && counts(remote.broker));
        let reached = remotes.filter(|remote| Some(offset) <= remote.log_end_offset);
        reached.max_by_key(|remote| remote.caught_up()).map(|remote| remote.broker)
    }

    /// Whether the follower may read, and where its log leaves this one. Kafka: Partition.readRecords.
    fn check_follower_fetch(
        &self,
        replica: &Replica,
        question: &FetchPartition,
        from: FollowerReader,
    ) -> Result<Option<DivergingEpoch>, ErrorCode> {
        let guards = replica.settings.guards;
        self.check_epoch(question.current_leader_epoch, guards)?;
        if !self.remotes.iter().any(|remote| remote.broker == from.broker) {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        if from.is_stale {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let Some(last_fetched) = question.last_fetched_epoch else { return Ok(None) };
        // KAFKA-12996: a log that ends below this one's start cannot be cut to fit.
        if question.fetch_offset < replica.log.start_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if !guards.stand(Guard::DivergenceCheck) && question.fetch_offset <= replica.log.end_offset() {
            return Ok(None);
        }
        let end = replica.log.end_offset_for_epoch(last_fetched).ok_or(ErrorCode::OffsetOutOfRange)?;
        Ok((end.epoch < last_fetched || end.end_offset < question.fetch_offset).then_some(end))
    }

    /// Kafka: Partition.maybeExpandIsr, isFollowerInSync, isReplicaIsrEligible.
    fn maybe_expand(&mut self, replica: &mut Replica, remote: RemoteReplica, image: &ClusterImage, step: &mut Step) {
        let InSyncReplicas::Committed(committed) = &self.in_sync else { return };
        let guards = replica.settings.guards;
        if committed.contains(&remote.broker) || !is_eligible(&remote, image, guards) {
            return;
        }
        let Some(end) = remote.log_end_offset else { return };
        let reached_term = !guards.stand(Guard::LeaderEpochStartOffset) || self.epoch_start_offset <= end;
        if end < replica.high_watermark || !reached_term {
            return;
        }
        let committed = committed.clone();
        let proposed = committed.iter().copied().chain([remote.broker]).collect();
        self.in_sync = InSyncReplicas::PendingExpand { committed, added: remote.broker };
        self.propose(replica, proposed, image, step);
    }

    fn propose(&mut self, replica: &mut Replica, members: Vec<NodeId>, image: &ClusterImage, step: &mut Step) {
        let node = replica.settings.node;
        let own_epoch = image.brokers.get(&node).map(|state| state.broker_epoch);
        let fetched_epoch = |member: &NodeId| {
            self.remotes.iter().find(|remote| remote.broker == *member).and_then(|remote| remote.broker_epoch)
        };
        let stamped = |member: &NodeId| (*member, if *member == node { own_epoch } else { fetched_epoch(member) });
        replica.proposals += 1;
        let proposal = Proposal {
            number: replica.proposals,
            request: AlterPartitionRequest {
                broker: node,
                broker_epoch: own_epoch.unwrap_or_default(),
                partition: replica.id,
                leader_epoch: self.leader_epoch,
                partition_epoch: self.partition_epoch,
                in_sync_replicas: members.iter().map(stamped).collect(),
            },
        };
        step.note(Note::InSyncProposed {
            partition: replica.id,
            leader_epoch: self.leader_epoch,
            in_sync_replicas: members,
        });
        self.pending = Some(proposal.clone());
        replica.stirred.proposal = Some(proposal);
    }

    fn commit(
        &mut self,
        replica: &mut Replica,
        members: Vec<NodeId>,
        partition_epoch: PartitionEpoch,
        image: &ClusterImage,
        step: &mut Step,
    ) {
        self.in_sync = InSyncReplicas::Committed(members);
        self.partition_epoch = partition_epoch;
        self.pending = None;
        replica.stirred.proposal = None;
        self.note_committed(replica, step);
        self.maybe_advance(replica, image, step);
    }

    fn note_committed(&self, replica: &Replica, step: &mut Step) {
        step.note(Note::InSyncCommitted {
            partition: replica.id,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            in_sync_replicas: self.in_sync.committed(Guards::ALL).to_vec(),
        });
    }

    /// Raises the high watermark as far as it goes, never lowers it, and answers what it has passed.
    /// Kafka: Partition.maybeIncrementLeaderHW.
    fn maybe_advance(&mut self, replica: &mut Replica, image: &ClusterImage, step: &mut Step) {
        let guards = replica.settings.guards;
        if guards.stand(Guard::StrictMinInSyncReplicas) && self.is_under_min_in_sync(guards) {
            return;
        }
        let leader_end = replica.log.end_offset();
        let mut offset = leader_end;
        for remote in &self.remotes {
            if Some(offset) <= remote.log_end_offset || !self.waits_for(remote, leader_end, replica, image, step.time())
            {
                continue;
            }
            let Some(end) = remote.log_end_offset else { return };
            offset = end;
        }
        if offset <= replica.high_watermark {
            return;
        }
        replica.set_high_watermark(offset, self.leader_epoch, true, step);
        while self.parked.front().is_some_and(|ack| ack.end_offset <= offset) {
            let ack = self.parked.pop_front().expect("a front just seen");
            self.finish(replica, ack, self.error_after_append(guards), step);
        }
    }

    /// In the largest in-sync set there may be, or about to be proposed for it.
    fn waits_for(
        &self,
        remote: &RemoteReplica,
        leader_end: Offset,
        replica: &Replica,
        image: &ClusterImage,
        now: Time,
    ) -> bool {
        let guards = replica.settings.guards;
        if self.in_sync.maximal_contains(remote.broker, guards) {
            return true;
        }
        if self.in_sync.is_adding(remote.broker) {
            return false;
        }
        remote.is_caught_up(leader_end, now, replica.settings.replica_lag_time_max)
            && is_eligible(remote, image, guards)
    }

    fn finish(&self, replica: &mut Replica, ack: ParkedAck, error: ErrorCode, step: &mut Step) {
        let ParkedAck { ticket, base_offset, end_offset, to } = ack;
        replica.note_answer(self.leader_epoch, Acks::All, error, (base_offset, end_offset), to, step);
        replica.stirred.acks.push(FinishedAck { ticket, error, base_offset });
    }

    fn answer(
        &self,
        replica: &Replica,
        acks: Acks,
        error: ErrorCode,
        offsets: (Offset, Offset),
        to: Option<NodeId>,
        step: &mut Step,
    ) -> Produced {
        replica.note_answer(self.leader_epoch, acks, error, offsets, to, step);
        Produced::Answered { error, base_offset: offsets.0 }
    }

    fn is_under_min_in_sync(&self, guards: Guards) -> bool {
        self.in_sync.committed(guards).len() < self.min_in_sync_replicas
    }

    /// Replicated, but is it on enough replicas? Kafka: Partition.checkEnoughReplicasReachOffset.
    fn error_after_append(&self, guards: Guards) -> ErrorCode {
        if self.in_sync.maximal_len(guards) < self.min_in_sync_replicas {
            ErrorCode::NotEnoughReplicasAfterAppend
        } else {
            ErrorCode::None
        }
    }
}

/// Alive, not stopping, and registered as it was when it fetched. KIP-841, KIP-903.
fn is_eligible(remote: &RemoteReplica, image: &ClusterImage, guards: Guards) -> bool {
    let Some(broker) = image.brokers.get(&remote.broker) else { return false };
    let healthy = !broker.fenced && !broker.shutting_down;
    (healthy || !guards.stand(Guard::EligibleReplicas)) && remote.broker_epoch == Some(broker.broker_epoch)
}

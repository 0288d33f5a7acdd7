//! A partition as one broker holds it: a log, a high watermark, and a role.
//!
//! The idea: the role is the only thing that metadata changes, and it never touches the log by itself. A leader appends
//! and counts who has caught up; a follower copies and, where its log differs from the leader's, cuts by leader epoch
//! (KIP-101, KIP-279, KIP-595). The in-sync set is what the controller committed plus what is on its way (KIP-497).
//!
//! What an input stirred up (records for waiting readers, acknowledgements that are due, a proposal for the controller)
//! is collected in [`Stirred`] and taken away by the broker. It deliberately knows no connections and no requests.
//!
//! Kafka: Partition, Replica, ReplicaFetcherThread, DelayedProduce. Model: Vanlightly's kafka_replication_kip_966.

mod follower;
mod in_sync;
mod leader;
mod remote;
#[cfg(test)]
mod tests;

pub use follower::{Fetched, Follower};
pub use in_sync::InSyncReplicas;
pub use leader::{Leader, Produced};
pub use remote::RemoteReplica;

use crate::kafka::log::{Compaction, LeaderAppend, Log, LogSettings};
use crate::types::metadata::{ClusterImage, PartitionState};
use crate::types::note::{AppendRole, Note};
use crate::types::record::ProducerStamp;
use crate::types::request::*;
use crate::types::settings::{Acks, BrokerSettings, IsolationLevel, TopicSettings};
use crate::types::storage::{LogImage, StorageOperation};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Partition {
    replica: Replica,
    role: Role,
    partition_epoch: Option<PartitionEpoch>,
    /// What this broker knew of its followers when it led last. Kept only by the mutant of R8.
    remembered: Vec<RemoteReplica>,
}

#[derive(Clone, Debug)]
pub enum Role {
    /// *Meaning:* the controller made this replica the leader. *Answers:* produce, fetch, offsets. *Leaves to:*
    /// `Follower` when metadata names another leader or none.
    Leader(Box<Leader>),
    /// *Meaning:* copies from the leader, if there is one. *Answers:* NOT_LEADER_OR_FOLLOWER. *Leaves to:* `Leader`.
    Follower(Follower),
    /// *Meaning:* a log on disk that no metadata has spoken of yet, or no longer. *Answers:* NOT_LEADER_OR_FOLLOWER.
    Offline,
}

/// The local copy: what every role works on.
#[derive(Clone, Debug)]
pub struct Replica {
    pub id: TopicPartition,
    pub settings: PartitionSettings,
    pub log: Log,
    /// First offset not yet on every in-sync replica, as far as known here (exclusive).
    pub high_watermark: Offset,
    checkpointed: Offset,
    /// Numbers proposals to the controller over all terms, so that a late answer finds nothing to change.
    proposals: u64,
    pub stirred: Stirred,
}

#[derive(Clone, Copy, Debug)]
pub struct PartitionSettings {
    pub node: NodeId,
    pub guards: Guards,
    pub min_in_sync_replicas: usize,
    pub replica_lag_time_max: Duration,
    pub replica_fetch_backoff: Duration,
    pub log: LogSettings,
}

/// Whom a waiting acknowledgement is owed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AckTicket {
    /// The produce request that its connection waits for, and the place of the batch in it.
    Request { connection: ConnectionId, index: u16 },
    /// An append of this broker's own group coordinator.
    Coordinator(u64),
    /// An append of this broker's own transaction coordinator.
    Transaction(u64),
    /// A marker: the request of a transaction coordinator, by this broker's number for it, and its place in it.
    Marker { request: u64, index: u16 },
}

/// Names one verification of a transaction in a partition, and is good for that transaction only. Kafka:
/// VerificationGuard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerificationToken(pub u64);

/// An acknowledgement that has become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedAck {
    pub ticket: AckTicket,
    pub error: ErrorCode,
    pub base_offset: Offset,
}

/// A follower as a reader.
#[derive(Clone, Copy, Debug)]
pub struct FollowerReader {
    broker: NodeId,
    /// It has registered anew since it sent this. KIP-903.
    is_stale: bool,
}

/// Which replica may answer a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    Leader,
    /// Followers too, as far as they know what is committed. KIP-392.
    AnyReplica,
}

/// A change of the in-sync set to ask the controller for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub number: u64,
    pub request: AlterPartitionRequest,
}

/// What has happened since the broker last looked.
#[derive(Clone, Debug, Default)]
pub struct Stirred {
    /// Followers may read more.
    pub appended: bool,
    /// Consumers may read more.
    pub high_watermark: bool,
    /// Everybody who waits must be told.
    pub role: bool,
    pub acks: Vec<FinishedAck>,
    pub proposal: Option<Proposal>,
}

impl FollowerReader {
    pub fn new(replica: FetchReplica, image: &ClusterImage) -> FollowerReader {
        let known = image.brokers.get(&replica.broker);
        let is_stale = known.is_some_and(|known| replica.broker_epoch < known.broker_epoch);
        FollowerReader { broker: replica.broker, is_stale }
    }
}

impl Partition {
    /// Recovers the log from its disk, said batch by batch. Where it begins is said first: it may be empty.
    pub fn new(id: TopicPartition, settings: PartitionSettings, image: LogImage, step: &mut Step) -> Partition {
        let checkpointed = image.high_watermark;
        let log = Log::recover(image, settings.log);
        if Offset::ZERO < log.start_offset() {
            step.note(Note::LogStartMoved { partition: id, to: log.start_offset() });
        }
        for batch in log.batches() {
            let batch = batch.clone();
            step.note(Note::BatchAppended { partition: id, role: AppendRole::Recovered, batch });
        }
        let high_watermark = match settings.guards.stand(Guard::HighWatermarkInLog) {
            true => checkpointed.clamp(log.start_offset(), log.end_offset()),
            false => checkpointed.min(log.end_offset()),
        };
        let stirred = Stirred::default();
        let replica = Replica { id, settings, log, high_watermark, checkpointed, proposals: 0, stirred };
        Partition { replica, role: Role::Offline, partition_epoch: None, remembered: Vec::new() }
    }

    /// Takes the role that the latest state of the partition gives to this broker. Older states change nothing.
    pub fn apply_metadata(&mut self, state: &PartitionState, image: &ClusterImage, step: &mut Step) {
        if self.partition_epoch >= Some(state.partition_epoch) {
            return;
        }
        self.partition_epoch = Some(state.partition_epoch);
        let node = self.replica.settings.node;
        if !state.replicas.contains(&node) {
            self.leave_role(step);
            self.replica.delete(step);
        } else if state.leader == Some(node) {
            self.apply_leadership(state, image, step);
        } else if self.leader_epoch() < Some(state.leader_epoch) || self.is_leader() {
            self.become_follower(state, step);
        }
        self.check_invariants();
    }

    /// One batch of a producer, or of a coordinator of this broker.
    pub fn produce(
        &mut self,
        batch: &RecordBatch,
        acks: Acks,
        ticket: AckTicket,
        to: Option<NodeId>,
        image: &ClusterImage,
        step: &mut Step,
    ) -> Produced {
        self.produce_verified(batch, None, acks, ticket, to, image, step)
    }

    /// The same, for a transactional batch that the coordinator knows of.
    #[expect(clippy::too_many_arguments, reason = "a token beside the arguments of every produce")]
    pub fn produce_verified(
        &mut self,
        batch: &RecordBatch,
        token: Option<VerificationToken>,
        acks: Acks,
        ticket: AckTicket,
        to: Option<NodeId>,
        image: &ClusterImage,
        step: &mut Step,
    ) -> Produced {
        match &mut self.role {
            Role::Leader(leader) => {
                if let Err(error) = leader.verify(&self.replica, batch, token) {
                    let (nowhere, epoch) = ((Offset::ZERO, Offset::ZERO), leader.leader_epoch());
                    self.replica.note_answer(epoch, acks, error, nowhere, to, step);
                    return Produced::Answered { error, base_offset: Offset::ZERO };
                }
                leader.produce(&mut self.replica, batch, acks, ticket, to, image, step)
            }
            Role::Follower(follower) if !self.replica.settings.guards.stand(Guard::LeaderCheck) => {
                follower.produce_without_leading(&mut self.replica, batch, acks, to, step)
            }
            Role::Follower(_) | Role::Offline => {
                let error = ErrorCode::NotLeaderOrFollower;
                let epoch = self.leader_epoch().unwrap_or_default();
                self.replica.note_answer(epoch, acks, error, (Offset::ZERO, Offset::ZERO), to, step);
                Produced::Answered { error, base_offset: Offset::ZERO }
            }
        }
    }

    /// The request of a waiting acknowledgement has timed out.
    pub fn abandon(&mut self, ticket: AckTicket, step: &mut Step) {
        if let Role::Leader(leader) = &mut self.role {
            leader.abandon(&self.replica, ticket, step);
        }
    }

    /// A follower's fetch has arrived and was read without an error: counts what it says about the follower.
    pub fn handle_follower_fetch(
        &mut self,
        question: &FetchPartition,
        from: FetchReplica,
        image: &ClusterImage,
        step: &mut Step,
    ) {
        if let Role::Leader(leader) = &mut self.role {
            leader.handle_follower_fetch(&mut self.replica, question, from, image, step);
        }
    }

    /// Whether a fetch would get no record, no error and no divergence. `from` is absent for a consumer.
    pub fn has_nothing_for(
        &self,
        question: &FetchPartition,
        from: Option<FollowerReader>,
        isolation: IsolationLevel,
    ) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let replica = &self.replica;
        match from {
            Some(from) => leader.has_nothing_for(replica, question, from),
            None => {
                replica.holds(question.fetch_offset)
                    && replica.readable_end(isolation) <= question.fetch_offset
                    && leader.check_epoch(question.current_leader_epoch, replica.settings.guards).is_ok()
            }
        }
    }

    /// What a follower gets now.
    pub fn read_as_follower(
        &self,
        question: &FetchPartition,
        from: FollowerReader,
        budget: ByteCount,
    ) -> FetchedPartition {
        match &self.role {
            Role::Leader(leader) => leader.read_as_follower(&self.replica, question, from, budget),
            Role::Follower(_) | Role::Offline => self.replica.refuse(question, ErrorCode::NotLeaderOrFollower),
        }
    }

    /// What a consumer gets: up to the high watermark or, of what is decided, up to the last stable offset. A position
    /// between that and the log end is legal and empty.
    pub fn read_as_consumer(
        &self,
        question: &FetchPartition,
        from: ReadFrom,
        isolation: IsolationLevel,
        budget: ByteCount,
    ) -> FetchedPartition {
        let guards = self.replica.settings.guards;
        let mut end = self.replica.readable_end(isolation);
        match &self.role {
            Role::Leader(leader) => {
                if let Err(error) = leader.check_epoch(question.current_leader_epoch, guards) {
                    return self.replica.refuse(question, error);
                }
            }
            Role::Follower(follower) if from == ReadFrom::AnyReplica => {
                if let Err(error) = check_epoch(follower.leader_epoch(), question.current_leader_epoch, guards) {
                    return self.replica.refuse(question, error);
                }
                if !guards.stand(Guard::FollowerReadsToHighWatermark) {
                    end = self.replica.log.end_offset();
                }
            }
            Role::Follower(_) if !guards.stand(Guard::LeaderCheck) => {}
            Role::Follower(_) | Role::Offline => {
                return self.replica.refuse(question, ErrorCode::NotLeaderOrFollower);
            }
        }
        let mut fetched = self.replica.read(question, end, budget);
        if isolation == IsolationLevel::ReadCommitted
            && let Some(last) = fetched.batches.last()
        {
            fetched.aborted = self.replica.log.transactions().aborted(question.fetch_offset, last.end_offset());
        }
        fetched
    }

    /// Sends a consumer of this leader to a replica that is nearer to it.
    pub fn redirect(&self, question: &FetchPartition, to: NodeId) -> FetchedPartition {
        let checked = match &self.role {
            Role::Leader(leader) => leader.check_epoch(question.current_leader_epoch, self.replica.settings.guards),
            Role::Follower(_) | Role::Offline => Err(ErrorCode::NotLeaderOrFollower),
        };
        let preferred_read_replica = checked.is_ok().then_some(to);
        FetchedPartition { preferred_read_replica, ..self.replica.refuse(question, checked.err().unwrap_or_default()) }
    }

    /// The follower in sync that has come furthest among those that have reached an offset; `None` where none has, or
    /// this replica does not lead.
    pub fn most_caught_up(&self, offset: Offset, counts: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.most_caught_up(offset, self.replica.settings.guards, counts),
            Role::Follower(_) | Role::Offline => None,
        }
    }

    /// A transactional batch is here, and the coordinator may not know of its transaction in this partition: gives the
    /// token with which it can be produced once the coordinator has said yes. `None`: nothing to ask. KIP-890.
    pub fn begin_verification(&mut self, batch: &RecordBatch) -> Option<VerificationToken> {
        let stamp = batch.producer.filter(|stamp| stamp.transactional)?;
        let Role::Leader(leader) = &mut self.role else { return None };
        leader.begin_verification(&self.replica, stamp)
    }

    /// The question this follower would ask next, if it may ask now.
    pub fn next_fetch(&mut self, leader: NodeId, now: Time) -> Option<FetchPartition> {
        match &mut self.role {
            Role::Follower(follower) => follower.next_fetch(&self.replica, leader, now),
            Role::Leader(_) | Role::Offline => None,
        }
    }

    /// When this follower may ask again after an error; `None` when it may at once.
    pub fn fetch_delayed_until(&self) -> Option<Time> {
        match &self.role {
            Role::Follower(follower) => follower.delayed_until(),
            Role::Leader(_) | Role::Offline => None,
        }
    }

    /// An answer of the leader. Anything but the answer to the question last asked in this epoch is dropped.
    pub fn handle_fetched(&mut self, from: NodeId, fetched: FetchedPartition, step: &mut Step) -> Fetched {
        match &mut self.role {
            Role::Follower(follower) => follower.handle_fetched(&mut self.replica, from, fetched, step),
            Role::Leader(_) | Role::Offline => Fetched::Ignored,
        }
    }

    /// The controller's answer to a proposal of this leader.
    pub fn handle_alter_partition(
        &mut self,
        number: u64,
        response: &AlterPartitionResponse,
        image: &ClusterImage,
        step: &mut Step,
    ) {
        if let Role::Leader(leader) = &mut self.role {
            leader.handle_alter_partition(&mut self.replica, number, response, image, step);
            self.partition_epoch = self.partition_epoch.max(Some(leader.partition_epoch()));
            self.check_invariants();
        }
    }

    /// Runs every half `replica.lag.time.max.ms`: who has fallen behind leaves the in-sync set.
    pub fn check_in_sync(&mut self, image: &ClusterImage, step: &mut Step) {
        if let Role::Leader(leader) = &mut self.role {
            leader.maybe_shrink(&mut self.replica, image, step);
        }
    }

    /// Goes by other settings from now on.
    pub fn reconfigure(&mut self, settings: PartitionSettings) {
        self.replica.settings = settings;
        self.replica.log.reconfigure(settings.log);
    }

    /// Deletes what retention no longer keeps.
    pub fn enforce_retention(&mut self, step: &mut Step) {
        if let Some(epoch) = self.leader_epoch() {
            let to = self.replica.log.retained_from(step.now.wall_clock, self.replica.high_watermark);
            self.replica.start_at(to, epoch, step);
        }
    }

    /// Deletes all that is committed; followers hear of it with their next fetch. Kafka: Partition.deleteRecordsOnLeader.
    pub fn delete_records(&mut self, step: &mut Step) {
        let to = self.replica.high_watermark;
        if let Some(epoch) = self.leader_epoch().filter(|_| self.replica.log.start_offset() < to) {
            step.note(Note::RecordsDeleted { partition: self.replica.id, to });
            self.replica.start_at(to, epoch, step);
        }
    }

    /// A segment is closed, so that the log cleaner has to look at it.
    pub fn may_be_compacted(&self) -> bool {
        self.replica.log.is_compacted() && self.replica.log.has_closed_segments()
    }

    /// What the log cleaner does. Kafka: LogCleaner.cleanFilthiestLog, which takes one log at a time.
    pub fn compact_when_dirty(&mut self, step: &mut Step) {
        let log = &self.replica.log;
        let to = log.cleanable_to(step.now.wall_clock, log.last_stable_offset(self.replica.high_watermark));
        if log.is_compacted() && log.is_dirty(to) {
            self.replica.compact(to, step);
        }
    }

    /// As if the active segment had been closed, long ago, and the log cleaner came by.
    pub fn compact_at_once(&mut self, step: &mut Step) {
        let log = &self.replica.log;
        if log.is_compacted() {
            self.replica.compact(log.last_stable_offset(self.replica.high_watermark), step);
        }
    }

    /// The high watermark, if it has changed since it was last taken for a checkpoint.
    pub fn take_checkpoint(&mut self) -> Option<(TopicPartition, Offset)> {
        let changed = self.replica.checkpointed != self.replica.high_watermark;
        self.replica.checkpointed = self.replica.high_watermark;
        changed.then_some((self.replica.id, self.replica.high_watermark))
    }

    pub fn list_offset(&self, earliest: bool, current: Option<LeaderEpoch>, isolation: IsolationLevel) -> ListedOffset {
        let partition = self.replica.id;
        let refuse =
            |error| ListedOffset { partition, error, offset: Offset::ZERO, leader_epoch: LeaderEpoch::default() };
        let guards = self.replica.settings.guards;
        let Role::Leader(leader) = &self.role else {
            return refuse(ErrorCode::NotLeaderOrFollower);
        };
        if let Err(error) = leader.check_epoch(current, guards) {
            return refuse(error);
        }
        let leader_epoch = leader.leader_epoch();
        if earliest {
            return ListedOffset { offset: self.replica.log.start_offset(), leader_epoch, ..refuse(ErrorCode::None) };
        }
        if guards.stand(Guard::OffsetNotAvailable) && self.replica.high_watermark < leader.epoch_start_offset() {
            return refuse(ErrorCode::OffsetNotAvailable);
        }
        ListedOffset { offset: self.replica.readable_end(isolation), leader_epoch, ..refuse(ErrorCode::None) }
    }

    pub fn epoch_end(&self, question: &EpochQuestion) -> EpochEndOffset {
        let checked = match &self.role {
            Role::Leader(leader) => leader.check_epoch(question.current_leader_epoch, self.replica.settings.guards),
            Role::Follower(_) | Role::Offline => Err(ErrorCode::NotLeaderOrFollower),
        };
        let end = checked.is_ok().then(|| self.replica.log.end_offset_for_epoch(question.leader_epoch)).flatten();
        EpochEndOffset { partition: question.partition, error: checked.err().unwrap_or_default(), end }
    }

    /// Whether nothing has happened since the broker last looked.
    pub fn is_calm(&self) -> bool {
        let Stirred { appended, high_watermark, role, acks, proposal } = &self.replica.stirred;
        !appended && !high_watermark && !role && acks.is_empty() && proposal.is_none()
    }

    /// What has happened since this was last called.
    pub fn stirred(&mut self) -> &mut Stirred {
        &mut self.replica.stirred
    }

    /// Whether the controller's answer to this proposal is still of use.
    pub fn awaits_proposal(&self, number: u64) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.awaits_proposal(number))
    }

    pub fn id(&self) -> TopicPartition {
        self.replica.id
    }

    pub fn log(&self) -> &Log {
        &self.replica.log
    }

    pub fn high_watermark(&self) -> Offset {
        self.replica.high_watermark
    }

    pub fn role(&self) -> &Role {
        &self.role
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader this replica follows.
    pub fn following(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader(),
            Role::Leader(_) | Role::Offline => None,
        }
    }

    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        match &self.role {
            Role::Leader(leader) => Some(leader.leader_epoch()),
            Role::Follower(follower) => Some(follower.leader_epoch()),
            Role::Offline => None,
        }
    }

    pub fn check_invariants(&self) {
        let replica = &self.replica;
        let in_log = replica.log.start_offset() <= replica.high_watermark;
        assert!(
            in_log || !replica.settings.guards.stand(Guard::HighWatermarkInLog),
            "high watermark below the log start"
        );
        assert!(replica.high_watermark <= replica.log.end_offset(), "high watermark past the log end");
        replica.log.check_invariants();
    }

    fn apply_leadership(&mut self, state: &PartitionState, image: &ClusterImage, step: &mut Step) {
        match &mut self.role {
            Role::Leader(leader) if leader.leader_epoch() == state.leader_epoch => {
                leader.handle_committed(&mut self.replica, state, image, step);
            }
            Role::Leader(_) | Role::Follower(_) | Role::Offline => {
                let previous = match std::mem::replace(&mut self.role, Role::Offline) {
                    Role::Leader(leader) => Some(*leader),
                    Role::Follower(_) | Role::Offline => None,
                };
                let remembered = std::mem::take(&mut self.remembered);
                let leader = Leader::begin(&mut self.replica, state, previous, remembered, image, step);
                self.role = Role::Leader(Box::new(leader));
                self.replica.stirred.role = true;
            }
        }
    }

    fn become_follower(&mut self, state: &PartitionState, step: &mut Step) {
        self.leave_role(step);
        let partition = self.replica.id;
        step.note(Note::BecameFollower { partition, leader_epoch: state.leader_epoch, leader: state.leader });
        if !self.replica.settings.guards.stand(Guard::TruncateByEpoch) {
            self.replica.truncate_to(self.replica.high_watermark, state.leader_epoch, step);
        }
        self.role = Role::Follower(Follower::new(state.leader, state.leader_epoch));
    }

    fn leave_role(&mut self, step: &mut Step) {
        if let Role::Leader(leader) = &mut self.role {
            leader.resign(&mut self.replica, step);
            if !self.replica.settings.guards.stand(Guard::ResetReplicaState) {
                self.remembered = leader.take_remotes();
            }
        }
        self.role = Role::Offline;
        self.replica.stirred.role = true;
        self.replica.stirred.proposal = None;
    }
}

/// KIP-320: a reader of another term is told so.
fn check_epoch(own: LeaderEpoch, current: Option<LeaderEpoch>, guards: Guards) -> Result<(), ErrorCode> {
    match current {
        Some(epoch) if !guards.stand(Guard::FetchEpochFencing) || epoch == own => Ok(()),
        Some(epoch) if epoch < own => Err(ErrorCode::FencedLeaderEpoch),
        Some(_) => Err(ErrorCode::UnknownLeaderEpoch),
        None => Ok(()),
    }
}

impl PartitionSettings {
    pub fn new(node: NodeId, broker: &BrokerSettings, topic: &TopicSettings, guards: Guards) -> PartitionSettings {
        PartitionSettings {
            node,
            guards,
            min_in_sync_replicas: usize::from(topic.min_insync_replicas),
            replica_lag_time_max: broker.replica_lag_time_max,
            replica_fetch_backoff: broker.replica_fetch_backoff,
            log: LogSettings::new(broker, topic, guards),
        }
    }

    /// How many replicas must be in sync of so many. A mutant goes by the broker's own setting, which is 1 when nobody has
    /// set it.
    fn enough_in_sync(&self, replicas: usize) -> usize {
        match self.guards.stand(Guard::SameMinInSyncReplicas) {
            true => self.min_in_sync_replicas.min(replicas),
            false => 1,
        }
    }
}

impl Replica {
    /// Says and stores a batch that has just been put at the end of the log.
    fn note_append(&mut self, role: AppendRole, batch: RecordBatch, step: &mut Step) {
        step.storage(StorageOperation::Append { partition: self.id, batch: batch.clone() });
        step.note(Note::BatchAppended { partition: self.id, role, batch });
        self.stirred.appended = true;
    }

    fn truncate_to(&mut self, to: Offset, epoch: LeaderEpoch, step: &mut Step) {
        let from = self.log.end_offset();
        let to = self.log.truncate_to(to.max(self.log.start_offset()));
        if to < from {
            step.storage(StorageOperation::Truncate { partition: self.id, to });
            step.note(Note::LogTruncated { partition: self.id, from, to });
        }
        self.set_high_watermark(self.high_watermark.min(to), epoch, false, step);
    }

    fn start_at(&mut self, to: Offset, epoch: LeaderEpoch, step: &mut Step) {
        if to <= self.log.start_offset() {
            return;
        }
        self.log.start_at(to);
        let producers = self.log.producers_below().snapshot();
        step.storage(StorageOperation::StartAt { partition: self.id, to, producers });
        step.note(Note::LogStartMoved { partition: self.id, to });
        // Only a follower that starts anew has its high watermark below the new start.
        if self.settings.guards.stand(Guard::HighWatermarkInLog) {
            self.set_high_watermark(self.high_watermark.clamp(to, self.log.end_offset()), epoch, false, step);
        }
    }

    fn compact(&mut self, to: Offset, step: &mut Step) {
        let Compaction { to, batches, removed } = self.log.compact(to);
        let partition = self.id;
        step.storage(StorageOperation::Compact { partition, to, batches });
        if !removed.is_empty() {
            step.note(Note::LogCompacted { partition, to, removed });
        }
    }

    /// This broker is no replica any more. Kafka: ReplicaManager.stopPartitions.
    fn delete(&mut self, step: &mut Step) {
        let from = self.log.end_offset();
        if from == Offset::ZERO {
            return;
        }
        self.log = Log::recover(LogImage::default(), self.settings.log);
        (self.high_watermark, self.checkpointed) = (Offset::ZERO, Offset::ZERO);
        step.storage(StorageOperation::Delete { partition: self.id });
        step.note(Note::LogTruncated { partition: self.id, from, to: Offset::ZERO });
    }

    fn set_high_watermark(&mut self, offset: Offset, leader_epoch: LeaderEpoch, as_leader: bool, step: &mut Step) {
        if offset == self.high_watermark {
            return;
        }
        self.high_watermark = offset;
        self.stirred.high_watermark = true;
        step.note(Note::HighWatermark { partition: self.id, leader_epoch, offset, as_leader });
    }

    fn note_answer(
        &self,
        leader_epoch: LeaderEpoch,
        acks: Acks,
        error: ErrorCode,
        (base_offset, end_offset): (Offset, Offset),
        to: Option<NodeId>,
        step: &mut Step,
    ) {
        if let Some(to) = to {
            let partition = self.id;
            step.note(Note::ProduceAnswered { partition, leader_epoch, acks, error, base_offset, end_offset, to });
        }
    }

    /// Whether a reader may stand there: at a record of the log, or at its end.
    fn holds(&self, offset: Offset) -> bool {
        self.log.start_offset() <= offset && offset <= self.log.end_offset()
    }

    /// Where a consumer's reading ends (exclusive).
    fn readable_end(&self, isolation: IsolationLevel) -> Offset {
        match isolation {
            IsolationLevel::ReadUncommitted => self.high_watermark,
            IsolationLevel::ReadCommitted => {
                let end = self.log.last_stable_offset(self.high_watermark);
                // A mutant takes the bound for the last offset to read.
                let inclusive = !self.settings.guards.stand(Guard::StableOffsetIsExclusive);
                let batch = self.log.read(end, self.high_watermark, ByteCount(1)).first().filter(|_| inclusive);
                batch.map_or(end, RecordBatch::end_offset)
            }
        }
    }

    fn read(&self, question: &FetchPartition, below: Offset, budget: ByteCount) -> FetchedPartition {
        let from = question.fetch_offset;
        if !self.holds(from) {
            return self.refuse(question, ErrorCode::OffsetOutOfRange);
        }
        let most = ByteCount(budget.0.min(question.max_bytes.0));
        let nothing = most.0 == 0 || below <= from;
        let mut fetched = self.refuse(question, ErrorCode::None);
        if !nothing {
            fetched.batches = self.log.read(from, below, most).to_vec();
        }
        fetched
    }

    fn refuse(&self, question: &FetchPartition, error: ErrorCode) -> FetchedPartition {
        FetchedPartition {
            partition: question.partition,
            error,
            fetch_offset: question.fetch_offset,
            high_watermark: self.high_watermark,
            log_start_offset: self.log.start_offset(),
            diverging: None,
            aborted: Vec::new(),
            preferred_read_replica: None,
            batches: Vec::new(),
        }
    }
}

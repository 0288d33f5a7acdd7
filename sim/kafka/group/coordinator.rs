//! The broker's group coordinator: routes requests to groups, replays partitions of the offsets topic, and answers
//! when records are replicated.
//!
//! Each partition of the offsets topic that this broker leads is a shard: it loads, serves, and is given up as one.
//! Member ids carry node, partition, leader epoch and a counter, so no two coordinators of a run give the same.
//!
//! Kafka differs: a new coordinator here serves everything up to the end of its log, Kafka's only what is below the
//! high watermark; and appends are answered one by one, not in lingering batches (KIP-848's CoordinatorRuntime).
//!
//! Source: GroupCoordinatorService, CoordinatorLoaderImpl, OffsetMetadataManager.

use std::collections::BTreeMap;

use crate::types::note::Note;
use crate::types::request::*;
use crate::types::settings::BrokerSettings;
use crate::types::*;

use super::super::shards::{Shards, coordinator_error};
use super::classic::ClassicGroup;
use super::consumer::reply_error;
use super::managed::{ManagedGroup, Members};
use super::transactions::answer_staged;
use super::turn::{Then, Transaction, Turn, Write, reply_join_error};

#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    pub node: NodeId,
    pub offsets_topic: TopicId,
    /// Partitions of the offsets topic.
    pub partitions: u16,
    pub settings: BrokerSettings,
    pub guards: Guards,
}

/// Records that the broker appends to a partition of the offsets topic as its leader, to be replicated like acks=all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorAppend {
    pub partition: TopicPartition,
    pub token: AppendToken,
    pub records: Vec<Group>,
    /// The transaction of which they are a part.
    pub transaction: Option<Transaction>,
}

/// Pairs [`CoordinatorAppend`] with [`Coordinator::append_finished`]; never used twice by one coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendToken(pub u64);

/// One for each broker, for all partitions of the offsets topic that it leads.
#[derive(Clone, Debug)]
pub struct Coordinator {
    pub(super) config: CoordinatorConfig,
    pub(super) shards: Shards,
    pub(super) groups: BTreeMap<GroupId, ManagedGroup>,
    /// Partitions of every topic, as far as this broker has heard.
    pub(super) topics: BTreeMap<TopicId, u16>,
    /// Appends that are not replicated yet.
    pub(super) pending: BTreeMap<AppendToken, Pending>,
    next_token: u64,
    members_named: u64,
    pub(super) next_expiration_check: Time,
    /// No timer is due before this instant.
    wake: (Time, TimerName),
    pub(super) writes: Vec<Write>,
    /// What an operator has asked for of groups whose log is being read.
    asked: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub group: GroupId,
    pub then: Then,
    /// Heartbeats that changed nothing: what they are told must be replicated first. With what they are told.
    pub followers: Vec<(ReplyTo, ConsumerGroupHeartbeatResponse)>,
}

impl Coordinator {
    pub fn new(config: CoordinatorConfig) -> Coordinator {
        Coordinator {
            shards: Shards::new(config.partitions),
            config,
            groups: BTreeMap::new(),
            topics: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_token: 0,
            members_named: 0,
            next_expiration_check: Time::NEVER,
            wake: (Time::NEVER, ""),
            writes: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// What the broker has read in the metadata log. Consumer groups notice it at the next heartbeat.
    pub fn follow_topics(&mut self, topics: BTreeMap<TopicId, u16>) {
        self.topics = topics;
    }

    /// Replies by `step`, now or later. JoinGroup, SyncGroup, Heartbeat, LeaveGroup, ConsumerGroupHeartbeat, OffsetCommit,
    /// OffsetFetch.
    #[must_use = "the broker appends them"]
    pub fn handle_request(&mut self, from: ReplyTo, request: Request, step: &mut Step) -> Vec<CoordinatorAppend> {
        let group = group_of(&request);
        let leader_epoch = match self.shards.serving(group.0) {
            Ok(leader_epoch) => leader_epoch,
            Err(ErrorCode::CoordinatorLoadInProgress) => {
                self.answer_while_loading(from, &request, step);
                return Vec::new();
            }
            Err(error) => {
                refuse(from, &request, error, step);
                return Vec::new();
            }
        };
        match request {
            Request::JoinGroup(join) => self.handle_join(from, join, leader_epoch, step),
            Request::ConsumerGroupHeartbeat(heartbeat) => self.handle_consumer_heartbeat(from, heartbeat, step),
            Request::SyncGroup(sync) => match self.classic(group, step) {
                Some((group, mut turn)) => group.sync(from, sync, &mut turn),
                None => step.reply(from, unknown_member_sync()),
            },
            Request::Heartbeat { generation, member, instance, .. } => {
                let error = match self.classic(group, step) {
                    Some((group, mut turn)) => group.heartbeat(member, generation, instance, &mut turn),
                    None => ErrorCode::UnknownMemberId,
                };
                step.reply(from, Response::Heartbeat(error));
            }
            Request::LeaveGroup { member, .. } => {
                let error = match self.classic(group, step) {
                    Some((group, mut turn)) => group.leave(member, &mut turn),
                    None => ErrorCode::UnknownMemberId,
                };
                step.reply(from, Response::LeaveGroup(error));
            }
            Request::OffsetCommit(commit) => self.handle_commit(from, commit, step),
            Request::OffsetFetch { partitions, require_stable, .. }
                if require_stable && self.is_unstable(group, &partitions) =>
            {
                let error = ErrorCode::UnstableOffsetCommit;
                step.reply(from, Response::OffsetFetch { error, offsets: Vec::new() });
            }
            Request::OffsetFetch { partitions, .. } => {
                let offsets = self.committed(group, &partitions);
                step.reply(from, Response::OffsetFetch { error: ErrorCode::None, offsets });
            }
            other => panic!("{:?} is not a request for a group coordinator", other.kind()),
        }
        self.finish_turn(group, step)
    }

    /// The append is replicated, or failed. What waited for it is answered.
    #[must_use = "the broker appends them"]
    pub fn append_finished(
        &mut self,
        token: AppendToken,
        result: Result<Offset, ErrorCode>,
        step: &mut Step,
    ) -> Vec<CoordinatorAppend> {
        let Some(Pending { group: id, then, followers }) = self.pending.remove(&token) else {
            return Vec::new();
        };
        let refused = result.err().unwrap_or(ErrorCode::None);
        let written = result.unwrap_or_default();
        let error = result.err().map_or(ErrorCode::None, coordinator_error);
        let is_busy = matches!(then, Then::Expired { .. }) && self.is_writing(id);
        let Some((group, mut turn)) = self.turn(id, step) else {
            return Vec::new();
        };
        match then {
            Then::Assigned { generation, assignments } => {
                if let Some(classic) = group.classic() {
                    classic.finish_assignment(generation, assignments, error, &mut turn);
                }
                group.expire_wanted_offsets(&mut turn);
            }
            Then::Changed { before, answer } => {
                if let Members::Consumer(consumer) = &mut group.members {
                    consumer.finish_change(before, refused, &mut turn);
                }
                if let Some((from, answer)) = answer {
                    answer_heartbeat(from, answer, error, turn.step);
                }
                group.expire_wanted_offsets(&mut turn);
            }
            Then::Replaced { from, member } => match group.classic() {
                Some(classic) => classic.finish_replacement(from, member, error, &mut turn),
                None => reply_join_error(from, ErrorCode::UnknownMemberId, member, &mut turn),
            },
            Then::Emptied => group.expire_wanted_offsets(&mut turn),
            Then::Committed { from, by, member, offsets, at } => {
                if error == ErrorCode::None {
                    for (committed, place) in offsets.iter().zip(0..) {
                        let offset = committed.offset.expect("a commit without an offset was refused");
                        let stored = (offset, committed.leader_epoch);
                        group.offsets.store(committed.partition, stored, at, written.plus(place));
                    }
                }
                if let Some(from) = from {
                    answer_commit(from, id, by, member, &offsets, error, step);
                }
            }
            Then::Expired { partitions } if error == ErrorCode::None => {
                for partition in partitions {
                    if group.offsets.forget(partition) {
                        turn.step.note(Note::OffsetExpired { group: id, partition });
                    }
                }
                if !is_busy && group.die_if_unused(&mut turn) {
                    self.groups.remove(&id);
                }
            }
            Then::Expired { .. } => {}
            Then::Staged { from, member, producer, before } => {
                match result {
                    Ok(written) => group.offsets.staged_at(producer, written),
                    // It is in the log, and a marker will find it there.
                    Err(ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend) => {}
                    Err(_) => group.offsets.unstage(producer, before),
                }
                answer_staged(from, id, member, error, turn.step);
            }
        }
        for (from, answer) in followers {
            answer_heartbeat(from, answer, error, step);
        }
        self.finish_turn(id, step)
    }

    /// ExpireOffsets waits while a round is on, both while the log is being read. Everything else is not for a coordinator.
    #[must_use = "the broker appends them"]
    pub fn handle_command(&mut self, command: Command, step: &mut Step) -> Vec<CoordinatorAppend> {
        match command {
            Command::ExpireOffsets(id) | Command::Rebalance(id)
                if self.shards.serving(id.0) == Err(ErrorCode::CoordinatorLoadInProgress) =>
            {
                self.asked.push(command);
                Vec::new()
            }
            Command::ExpireOffsets(id) => {
                if let Some((group, mut turn)) = self.turn(id, step) {
                    group.want_expiration();
                    group.expire_offsets(&mut turn);
                }
                self.finish_turn(id, step)
            }
            Command::Rebalance(id) => {
                if let Some((group, mut turn)) = self.turn(id, step) {
                    group.rebalance(&mut turn);
                }
                self.finish_turn(id, step)
            }
            Command::ShutDown
            | Command::HoldMetadata(_)
            | Command::EnforceRetention(_)
            | Command::Compact(_)
            | Command::DeleteRecords(_)
            | Command::ElectPreferred { .. }
            | Command::Reassign { .. }
            | Command::CreatePartitions { .. }
            | Command::Redeliver
            | Command::Redrive(_)
            | Command::Poison(_)
            | Command::Repair
            | Command::EndLoad => Vec::new(),
        }
    }

    #[must_use = "the broker appends them"]
    pub fn handle_timeout(&mut self, step: &mut Step) -> Vec<CoordinatorAppend> {
        let now = step.time();
        if now < self.wake.0 {
            return Vec::new();
        }
        self.finish_loads(step);
        let is_check = self.next_expiration_check <= now;
        if is_check {
            self.next_expiration_check = now + self.config.settings.offsets_retention_check_interval;
        }
        let due: Vec<GroupId> =
            self.groups.values().filter(|group| is_check || group.wake().0 <= now).map(|group| group.id).collect();
        let asked = std::mem::take(&mut self.asked).into_iter();
        let mut appends: Vec<CoordinatorAppend> =
            asked.flat_map(|command| self.handle_command(command, step)).collect();
        for id in due {
            let is_busy = self.is_writing(id);
            let Some((group, mut turn)) = self.turn(id, step) else { continue };
            group.handle_timeout(&mut turn);
            if is_check {
                group.expire_offsets(&mut turn);
                if !is_busy && group.die_if_unused(&mut turn) {
                    self.groups.remove(&id);
                }
            }
            appends.append(&mut self.finish_turn(id, step));
        }
        self.recompute_wake();
        appends
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        (self.wake.0 < Time::NEVER).then_some(self.wake)
    }

    pub fn check_invariants(&self) {
        self.groups.values().for_each(ManagedGroup::check_invariants);
    }

    fn handle_join(&mut self, from: ReplyTo, join: JoinGroupRequest, leader_epoch: LeaderEpoch, step: &mut Step) {
        let settings = &self.config.settings;
        let allowed = settings.group_min_session_timeout..=settings.group_max_session_timeout;
        let is_allowed = allowed.contains(&join.session_timeout);
        let id = join.group;
        if join.member.is_none() && is_allowed {
            self.groups.entry(id).or_insert_with(|| ManagedGroup::new(id, self.config.guards));
        }
        let fresh = join.member.is_none().then(|| self.name_member(id, leader_epoch));
        let mut turn = Turn {
            step,
            writes: &mut self.writes,
            settings: &self.config.settings,
            topics: &self.topics,
            guards: self.config.guards,
        };
        let member = join.member.or(fresh).expect("named just now");
        if !is_allowed {
            return reply_join_error(from, ErrorCode::InvalidSessionTimeout, member, &mut turn);
        }
        let group = match self.groups.get_mut(&id).map(ManagedGroup::classic) {
            Some(None) => return reply_join_error(from, ErrorCode::InconsistentGroupProtocol, member, &mut turn),
            Some(group) => group,
            None => None,
        };
        match group {
            Some(group) if fresh.is_some() && join.instance.is_some() => {
                let instance = join.instance.expect("seen just now");
                group.join_static(from, member, instance, join, &mut turn);
            }
            Some(group) if fresh.is_some() => group.give_member_id(from, member, join.session_timeout, &mut turn),
            Some(group) => group.join(from, member, join, &mut turn),
            None => reply_join_error(from, ErrorCode::UnknownMemberId, member, &mut turn),
        }
    }

    fn handle_consumer_heartbeat(&mut self, from: ReplyTo, request: ConsumerGroupHeartbeatRequest, step: &mut Step) {
        let (id, member) = (request.group, request.member);
        if request.epoch == MemberEpoch::Joining {
            self.groups.entry(id).or_insert_with(|| ManagedGroup::new(id, self.config.guards));
        }
        let Some((group, mut turn)) = self.turn(id, step) else {
            return reply_error(from, ErrorCode::UnknownMemberId, member, step);
        };
        match group.consumer() {
            Some(consumer) => consumer.heartbeat(from, request, &mut turn),
            None => reply_error(from, ErrorCode::InconsistentGroupProtocol, member, turn.step),
        }
    }

    fn handle_commit(&mut self, from: ReplyTo, commit: OffsetCommitRequest, step: &mut Step) {
        let id = commit.group;
        let member = commit.membership.map(|(member, _)| member);
        let error = match self.groups.get(&id) {
            Some(_) | None if commit.offsets.iter().any(|committed| committed.offset.is_none()) => {
                ErrorCode::InvalidRequest
            }
            // A mutant forgets who may commit.
            Some(_) | None if !self.config.guards.stand(Guard::GenerationFencing) => ErrorCode::None,
            Some(group) => group.validate_commit(&commit),
            None if commit.membership.is_none() => ErrorCode::None,
            None => ErrorCode::IllegalGeneration,
        };
        if error != ErrorCode::None {
            return answer_commit(from, id, from.peer, member, &commit.offsets, error, step);
        }
        let group = self.groups.entry(id).or_insert_with(|| ManagedGroup::new(id, self.config.guards));
        if let Some(member) = member {
            group.renew_by_commit(member, step.time());
        }
        let at = step.now.wall_clock;
        let records = commit.offsets.iter().map(|committed| Group::Offset {
            group: id,
            partition: committed.partition,
            offset: committed.offset.expect("checked above"),
            leader_epoch: committed.leader_epoch,
            at,
        });
        let records: Vec<Group> = records.collect();
        // Without the guard the commit is answered as done before it is.
        let waits = self.config.guards.stand(Guard::CommitAfterReplication) && !records.is_empty();
        if !waits {
            answer_commit(from, id, from.peer, member, &commit.offsets, ErrorCode::None, step);
        }
        if !records.is_empty() {
            let from_later = waits.then_some(from);
            let then = Then::Committed { from: from_later, by: from.peer, member, offsets: commit.offsets, at };
            self.writes.push(Write { group: id, records, transaction: None, then });
        }
    }

    fn committed(&self, group: GroupId, partitions: &[TopicPartition]) -> Vec<CommittedOffset> {
        let nothing = |partition| CommittedOffset { partition, offset: None, leader_epoch: None };
        let group = self.groups.get(&group);
        partitions
            .iter()
            .map(|partition| group.map_or(nothing(*partition), |group| group.offsets.answer(*partition)))
            .collect()
    }

    /// Node, partition, leader epoch and a counter, readable in decimal.
    fn name_member(&mut self, group: GroupId, leader_epoch: LeaderEpoch) -> MemberId {
        const COUNTERS: u64 = 1_000_000;
        const EPOCHS: u64 = 100_000;
        const PARTITIONS: u64 = 1_000;
        self.members_named += 1;
        let shard = u64::from(self.shards.number_of(group.0));
        let epoch = u64::from(leader_epoch.0);
        assert!(self.members_named < COUNTERS, "member ids of one coordinator are used up");
        assert!(epoch < EPOCHS, "leader epochs beyond what a member id can carry");
        assert!(shard < PARTITIONS, "offsets partitions beyond what a member id can carry");
        let place = u64::from(self.config.node.0) * PARTITIONS + shard;
        MemberId((place * EPOCHS + epoch) * COUNTERS + self.members_named)
    }

    /// An append of the group is not replicated yet; its answer needs the group.
    fn is_writing(&self, group: GroupId) -> bool {
        self.pending.values().any(|pending| pending.group == group)
    }

    /// A group of a shard that serves, with what its step may touch.
    fn turn<'t, 's>(&'t mut self, id: GroupId, step: &'t mut Step<'s>) -> Option<(&'t mut ManagedGroup, Turn<'t, 's>)> {
        self.shards.serving(id.0).ok()?;
        let group = self.groups.get_mut(&id)?;
        let turn = Turn {
            step,
            writes: &mut self.writes,
            settings: &self.config.settings,
            topics: &self.topics,
            guards: self.config.guards,
        };
        Some((group, turn))
    }

    /// The same for a request of the classic protocol.
    fn classic<'t, 's>(
        &'t mut self,
        id: GroupId,
        step: &'t mut Step<'s>,
    ) -> Option<(&'t mut ClassicGroup, Turn<'t, 's>)> {
        let (group, turn) = self.turn(id, step)?;
        Some((group.classic()?, turn))
    }

    /// Gives the writes of a step their tokens and takes over the group's earliest timer.
    pub(super) fn finish_turn(&mut self, id: GroupId, step: &mut Step) -> Vec<CoordinatorAppend> {
        if let Some(group) = self.groups.get(&id) {
            group.check_invariants();
            let (wake, name) = group.wake();
            self.arm(wake, name);
        }
        let topic = self.config.offsets_topic;
        let mut appends = Vec::with_capacity(self.writes.len());
        for write in self.writes.drain(..) {
            if write.records.is_empty() {
                let Then::Changed { answer: Some((from, answer)), .. } = write.then else { continue };
                match self.pending.values_mut().rev().find(|pending| pending.group == write.group) {
                    Some(pending) => pending.followers.push((from, answer)),
                    None => answer_heartbeat(from, answer, ErrorCode::None, step),
                }
                continue;
            }
            let token = AppendToken(self.next_token);
            self.next_token += 1;
            let partition = TopicPartition::new(topic, self.shards.number_of(write.group.0));
            let Write { group, records, transaction, then } = write;
            self.pending.insert(token, Pending { group, then, followers: Vec::new() });
            appends.push(CoordinatorAppend { partition, token, records, transaction });
        }
        appends
    }

    pub(super) fn arm(&mut self, deadline: Time, name: TimerName) {
        if deadline < self.wake.0 {
            self.wake = (deadline, name);
        }
    }

    pub(super) fn recompute_wake(&mut self) {
        self.wake = (Time::NEVER, "");
        self.arm(self.next_expiration_check, "offset expiration check");
        let loading = self.shards.next_load();
        self.arm(loading.unwrap_or(Time::NEVER), "coordinator load");
        let group = self.groups.values().map(ManagedGroup::wake).min_by_key(|(wake, _)| *wake);
        if let Some((wake, name)) = group {
            self.arm(wake, name);
        }
    }
}

fn answer_heartbeat(from: ReplyTo, answer: ConsumerGroupHeartbeatResponse, error: ErrorCode, step: &mut Step) {
    if error == ErrorCode::None {
        step.reply(from, Response::ConsumerGroupHeartbeat(answer));
    } else {
        reply_error(from, error, answer.member, step);
    }
}

pub(super) fn answer_commit(
    from: ReplyTo,
    group: GroupId,
    by: NodeId,
    member: Option<MemberId>,
    offsets: &[CommittedOffset],
    error: ErrorCode,
    step: &mut Step,
) {
    if error == ErrorCode::None {
        for committed in offsets {
            let offset = committed.offset.unwrap_or_default();
            step.note(Note::OffsetCommitted { group, partition: committed.partition, offset, member, by });
        }
    } else {
        step.note(Note::OffsetCommitRefused { group, error, member, by });
    }
    step.reply(from, Response::OffsetCommit { error });
}

fn unknown_member_sync() -> Response {
    Response::SyncGroup { error: ErrorCode::UnknownMemberId, assignment: Vec::new() }
}

fn group_of(request: &Request) -> GroupId {
    match request {
        Request::JoinGroup(join) => join.group,
        Request::SyncGroup(sync) => sync.group,
        Request::ConsumerGroupHeartbeat(heartbeat) => heartbeat.group,
        Request::OffsetCommit(commit) => commit.group,
        Request::TxnOffsetCommit(commit) => commit.commit.group,
        Request::Heartbeat { group, .. } | Request::LeaveGroup { group, .. } | Request::OffsetFetch { group, .. } => {
            *group
        }
        other => panic!("{:?} is not a request for a group coordinator", other.kind()),
    }
}

pub(super) fn refuse(from: ReplyTo, request: &Request, error: ErrorCode, step: &mut Step) {
    let response = match request {
        Request::ConsumerGroupHeartbeat(heartbeat) => return reply_error(from, error, heartbeat.member, step),
        Request::JoinGroup(join) => Response::JoinGroup(JoinGroupResponse {
            error,
            generation: Generation(0),
            member: join.member.unwrap_or_default(),
            leader: MemberId::default(),
            members: Vec::new(),
        }),
        Request::SyncGroup(_) => Response::SyncGroup { error, assignment: Vec::new() },
        Request::Heartbeat { .. } => Response::Heartbeat(error),
        Request::LeaveGroup { .. } => Response::LeaveGroup(error),
        Request::OffsetCommit(commit) => {
            let member = commit.membership.map(|(member, _)| member);
            step.note(Note::OffsetCommitRefused { group: commit.group, error, member, by: from.peer });
            Response::OffsetCommit { error }
        }
        Request::OffsetFetch { .. } => Response::OffsetFetch { error, offsets: Vec::new() },
        other => panic!("{:?} is not a request for a group coordinator", other.kind()),
    };
    step.reply(from, response);
}

//! One classic group: its members, its rounds, its generation.
//!
//! A round collects a JoinGroup of every member (or the patience of the slowest), counts the generation up, lets the
//! leading member assign, and ends when the assignment is durable. Parked requests are fields of the member that sent
//! them; timers are fields too, and `wake` is a lower bound of them all, so that a heartbeat costs one comparison.
//!
//! Source: ClassicGroup and the classic half of GroupMetadataManager.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::note::{GroupState, Note};
use crate::types::record::GroupMember;
use crate::types::request::*;
use crate::types::*;

use super::member::Member;
use super::offsets::Offsets;
use super::turn::{Then, Turn, Write, reply_join_error, reply_sync};

/// How long a member may be parked in its first join. Kafka: CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    pub id: GroupId,
    pub offsets: Offsets,
    state: State,
    generation: Generation,
    leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    /// Ids given out and not yet used, with the instant at which they lapse. KIP-394.
    pending_members: BTreeMap<MemberId, Time>,
    /// Members of this generation that have not sent SyncGroup yet.
    pending_sync: BTreeSet<MemberId>,
    sync_deadline: Time,
    /// Wall clock of the last change of state that is in the log. Offset retention counts from it.
    since: Time,
    /// An operator wants the offsets gone; waits while a round is on.
    expiration_wanted: bool,
    /// No timer of the group is due before this instant.
    wake: (Time, TimerName),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// No members; the group only holds offsets.
    /// Answers: JoinGroup parks; everything of a member is UNKNOWN_MEMBER_ID; commits without a generation are taken.
    /// Leaves to: PreparingRebalance (first member joins), Dead (last offset expired).
    Empty,
    /// A round collects JoinGroup requests until all members are in or `deadline` has passed.
    /// Answers: JoinGroup parks; SyncGroup and Heartbeat REBALANCE_IN_PROGRESS; commits of the old generation are taken.
    /// Leaves to: CompletingRebalance (round complete), Empty (nobody came).
    PreparingRebalance { deadline: Time, initial: Option<InitialDelay> },
    /// Members know the generation and wait for the leader's assignment.
    /// Answers: SyncGroup parks; Heartbeat NONE; commits REBALANCE_IN_PROGRESS.
    /// Leaves to: Stable (assignment durable), PreparingRebalance (a member joins, leaves, or does not sync).
    CompletingRebalance,
    /// Everybody may have the assignment.
    /// Answers: SyncGroup the assignment; Heartbeat and commits NONE; JoinGroup of a follower the current generation.
    /// Leaves to: PreparingRebalance (a member joins, leaves, expires, or the leader joins again).
    Stable,
    /// Without members and offsets; about to be forgotten. Answers nothing, leaves nowhere.
    Dead,
}

/// A group that was empty waits for more members before its first round. KIP-134.
#[derive(Clone, Copy, Debug, PartialEq)]
struct InitialDelay {
    /// What is left of the rebalance timeout after `deadline`.
    remaining: Duration,
    member_added: bool,
}

impl ClassicGroup {
    pub fn new(id: GroupId, guards: Guards) -> ClassicGroup {
        ClassicGroup {
            id,
            offsets: Offsets::new(guards),
            state: State::Empty,
            generation: Generation(0),
            leader: None,
            members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            sync_deadline: Time::NEVER,
            since: Time::ZERO,
            expiration_wanted: false,
            wake: (Time::NEVER, ""),
        }
    }

    /// The last record of a group's metadata wins. Timers stand still until [`ClassicGroup::arm_sessions`].
    pub fn replay_metadata(
        &mut self,
        generation: Generation,
        leader: Option<MemberId>,
        members: &[GroupMember],
        at: Time,
    ) {
        self.generation = generation;
        self.leader = leader;
        self.since = at;
        self.state = if members.is_empty() { State::Empty } else { State::Stable };
        self.members = members
            .iter()
            .map(|member| {
                let kept = Member {
                    session_timeout: member.session_timeout,
                    rebalance_timeout: member.rebalance_timeout,
                    topics: member.topics.clone(),
                    assignment: member.assignment.clone(),
                    session_deadline: Time::NEVER,
                    awaiting_join: None,
                    awaiting_sync: None,
                    is_new: false,
                };
                (member.member, kept)
            })
            .collect();
    }

    /// A new coordinator gives every member a whole session to come back.
    pub fn arm_sessions(&mut self, now: Time) {
        for member in self.members.values_mut() {
            member.session_deadline = now + member.session_timeout;
        }
        self.recompute_wake();
    }

    /// A first join: the member gets an id and comes back with it. KIP-394.
    pub fn give_member_id(&mut self, from: ReplyTo, member: MemberId, session_timeout: Duration, turn: &mut Turn) {
        let lapses = turn.step.time() + session_timeout;
        self.pending_members.insert(member, lapses);
        self.arm(lapses, "pending member lapses");
        reply_join_error(from, ErrorCode::MemberIdRequired, member, turn);
    }

    pub fn join(&mut self, from: ReplyTo, member: MemberId, request: JoinGroupRequest, turn: &mut Turn) {
        if self.pending_members.remove(&member).is_some() {
            return self.add_member(from, member, request, turn);
        }
        let Some(known) = self.members.get_mut(&member) else {
            return reply_join_error(from, ErrorCode::UnknownMemberId, member, turn);
        };
        let is_unchanged = known.topics == request.topics;
        match self.state {
            State::PreparingRebalance { .. } => {
                known.rejoin(from, request, turn);
                self.maybe_complete_join(turn);
            }
            State::CompletingRebalance if is_unchanged => self.reply_current_generation(from, member, turn),
            State::Stable if is_unchanged && self.leader != Some(member) => {
                self.reply_current_generation(from, member, turn);
            }
            State::CompletingRebalance | State::Stable => {
                known.rejoin(from, request, turn);
                self.prepare_rebalance(turn);
            }
            State::Empty | State::Dead => unreachable!("a member of a group without members"),
        }
    }

    pub fn sync(&mut self, from: ReplyTo, request: SyncGroupRequest, turn: &mut Turn) {
        let error = self.validate_membership(request.member, request.generation);
        if error != ErrorCode::None {
            return reply_sync(from, error, Vec::new(), turn);
        }
        let now = turn.step.time();
        let member = self.members.get_mut(&request.member).expect("validated just now");
        match self.state {
            State::PreparingRebalance { .. } => reply_sync(from, ErrorCode::RebalanceInProgress, Vec::new(), turn),
            State::CompletingRebalance => {
                self.pending_sync.remove(&request.member);
                if let Some(older) = member.awaiting_sync.replace(from) {
                    reply_sync(older, ErrorCode::RebalanceInProgress, Vec::new(), turn);
                }
                if self.leader == Some(request.member) {
                    self.write_assignment(request.assignments, turn);
                }
            }
            State::Stable => {
                self.pending_sync.remove(&request.member);
                member.session_deadline = now + member.session_timeout;
                let deadline = member.session_deadline;
                reply_sync(from, ErrorCode::None, member.assignment.clone(), turn);
                self.arm(deadline, "session");
            }
            State::Empty | State::Dead => unreachable!("a member of a group without members"),
        }
    }

    /// The leader's assignment was appended and replicated, or was not.
    pub fn finish_assignment(
        &mut self,
        generation: Generation,
        assignments: Vec<(MemberId, Vec<TopicPartition>)>,
        error: ErrorCode,
        turn: &mut Turn,
    ) {
        if self.generation != generation || self.state != State::CompletingRebalance {
            return;
        }
        if error != ErrorCode::None {
            self.answer_parked_syncs(error, turn);
            return self.prepare_rebalance(turn);
        }
        for member in self.members.values_mut() {
            member.assignment.clear();
        }
        for (member, assignment) in assignments {
            if let Some(known) = self.members.get_mut(&member) {
                known.assignment = assignment;
            }
        }
        self.enter(State::Stable, turn);
        self.answer_parked_syncs(ErrorCode::None, turn);
    }

    pub fn heartbeat(&mut self, member: MemberId, generation: Generation, turn: &mut Turn) -> ErrorCode {
        let error = self.validate_membership(member, generation);
        if error != ErrorCode::None {
            return error;
        }
        self.renew_session(member, turn.step.time());
        match self.state {
            State::PreparingRebalance { .. } => ErrorCode::RebalanceInProgress,
            State::CompletingRebalance | State::Stable => ErrorCode::None,
            State::Empty | State::Dead => unreachable!("a member of a group without members"),
        }
    }

    pub fn leave(&mut self, member: MemberId, turn: &mut Turn) -> ErrorCode {
        if self.pending_members.remove(&member).is_some() {
            self.maybe_complete_join(turn);
            return ErrorCode::None;
        }
        if !self.members.contains_key(&member) {
            return ErrorCode::UnknownMemberId;
        }
        self.remove_members(&[member], turn);
        ErrorCode::None
    }

    /// Whether a commit with this membership is taken. Kafka: ClassicGroup.validateOffsetCommit.
    pub fn validate_commit(&self, membership: Option<(MemberId, Generation)>) -> ErrorCode {
        let Some((member, generation)) = membership else {
            return if self.state == State::Empty { ErrorCode::None } else { ErrorCode::UnknownMemberId };
        };
        let error = self.validate_membership(member, generation);
        if error == ErrorCode::None && self.state == State::CompletingRebalance {
            return ErrorCode::RebalanceInProgress;
        }
        error
    }

    /// The same for offsets that are part of a transaction: without a membership anybody may, and a round that is ending
    /// does not matter. KIP-447; Kafka: ClassicGroup.validateOffsetCommit with isTransactional.
    pub fn validate_transactional_commit(&self, membership: Option<(MemberId, Generation)>) -> ErrorCode {
        membership.map_or(ErrorCode::None, |(member, generation)| self.validate_membership(member, generation))
    }

    /// A commit shows life while the group is stable or collects its members.
    pub fn renew_by_commit(&mut self, member: MemberId, now: Time) {
        if matches!(self.state, State::Stable | State::PreparingRebalance { .. }) {
            self.renew_session(member, now);
        }
    }

    /// An operator begins a new round.
    pub fn rebalance(&mut self, turn: &mut Turn) {
        match self.state {
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(turn),
            State::Empty | State::PreparingRebalance { .. } | State::Dead => {}
        }
    }

    /// Looks at every timer. Late and early calls are both right.
    pub fn handle_timeout(&mut self, turn: &mut Turn) {
        let now = turn.step.time();
        if now < self.wake.0 {
            return;
        }
        let lapsed = self.pending_members.len();
        self.pending_members.retain(|_, lapses| now < *lapses);
        if self.pending_members.len() < lapsed {
            self.maybe_complete_join(turn);
        }
        let expired: Vec<MemberId> =
            self.members.iter().filter(|(_, member)| member.expires() <= now).map(|(id, _)| *id).collect();
        if !expired.is_empty() {
            self.remove_members(&expired, turn);
        }
        if let State::PreparingRebalance { deadline, initial } = self.state
            && deadline <= now
        {
            self.end_of_patience(initial, turn);
        }
        if self.sync_deadline <= now {
            self.sync_deadline = Time::NEVER;
            let silent: Vec<MemberId> = std::mem::take(&mut self.pending_sync).into_iter().collect();
            if !silent.is_empty() {
                self.remove_members(&silent, turn);
            }
        }
        self.recompute_wake();
    }

    /// The coordinator is gone: whoever waits here must look for the new one.
    pub fn resign(&mut self, turn: &mut Turn) {
        for (id, member) in &mut self.members {
            if let Some(from) = member.awaiting_join.take() {
                reply_join_error(from, ErrorCode::NotCoordinator, *id, turn);
            }
            if let Some(from) = member.awaiting_sync.take() {
                reply_sync(from, ErrorCode::NotCoordinator, Vec::new(), turn);
            }
        }
    }

    pub fn want_expiration(&mut self) {
        self.expiration_wanted = true;
    }

    /// A round is over that an operator's wish had to wait for.
    pub fn expire_wanted_offsets(&mut self, turn: &mut Turn) {
        if self.expiration_wanted {
            self.expire_offsets(turn);
        }
    }

    /// Appends tombstones for what may be forgotten now. Never while a round is on. KIP-211, KAFKA-13636.
    pub fn expire_offsets(&mut self, turn: &mut Turn) {
        let now = turn.step.now.wall_clock;
        let retention = turn.settings.offsets_retention;
        let limit = Time(now.0.saturating_sub(retention.0));
        let is_old = retention.0 <= now.0;
        let partitions: Vec<TopicPartition> = match self.state {
            State::PreparingRebalance { .. } | State::CompletingRebalance | State::Dead => return,
            State::Empty | State::Stable if std::mem::take(&mut self.expiration_wanted) => self.offsets.partitions(),
            // Committed without a group round: each offset ages by itself.
            State::Empty if self.generation == Generation(0) && is_old => self.offsets.committed_until(limit).collect(),
            State::Empty if is_old && self.since <= limit => self.offsets.partitions(),
            State::Stable if is_old => {
                let is_read = |partition: &TopicPartition| {
                    self.members.values().any(|member| member.topics.contains(&partition.topic))
                };
                self.offsets.committed_until(limit).filter(|partition| !is_read(partition)).collect()
            }
            State::Empty | State::Stable => return,
        };
        if partitions.is_empty() {
            return;
        }
        let group = self.id;
        let records =
            partitions.iter().map(|partition| Group::OffsetExpired { group, partition: *partition }).collect();
        turn.writes.push(Write { group, records, transaction: None, then: Then::Expired { partitions } });
    }

    /// True when nothing is left to remember; the group is then dead.
    pub fn die_if_unused(&mut self, turn: &mut Turn) -> bool {
        let is_unused = self.state == State::Empty && self.offsets.is_empty() && self.pending_members.is_empty();
        if is_unused {
            self.enter(State::Dead, turn);
        }
        is_unused
    }

    pub fn wake(&self) -> (Time, TimerName) {
        self.wake
    }

    /// Cheap relations that only a bug of ours can break.
    pub fn check_invariants(&self) {
        match self.state {
            State::Empty | State::Dead => assert!(self.members.is_empty(), "{}: members of an empty group", self.id),
            State::CompletingRebalance | State::Stable => {
                assert!(!self.members.is_empty(), "{}: a generation of nobody", self.id);
                assert!(self.leader.is_some_and(|leader| self.members.contains_key(&leader)), "{}: no leader", self.id);
            }
            State::PreparingRebalance { .. } => {}
        }
    }

    fn add_member(&mut self, from: ReplyTo, member: MemberId, request: JoinGroupRequest, turn: &mut Turn) {
        let now = turn.step.time();
        let joined = Member {
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            topics: request.topics,
            assignment: Vec::new(),
            session_deadline: now + NEW_MEMBER_JOIN_TIMEOUT,
            awaiting_join: Some(from),
            awaiting_sync: None,
            is_new: true,
        };
        self.arm(joined.session_deadline, "first join");
        self.members.insert(member, joined);
        self.leader.get_or_insert(member);
        match &mut self.state {
            State::PreparingRebalance { initial, .. } => {
                if let Some(initial) = initial {
                    initial.member_added = true;
                }
                self.maybe_complete_join(turn);
            }
            State::Empty | State::CompletingRebalance | State::Stable => self.prepare_rebalance(turn),
            State::Dead => unreachable!("a dead group is forgotten"),
        }
    }

    fn prepare_rebalance(&mut self, turn: &mut Turn) {
        let now = turn.step.time();
        let patience = self.max_rebalance_timeout();
        self.answer_parked_syncs(ErrorCode::RebalanceInProgress, turn);
        self.pending_sync.clear();
        self.sync_deadline = Time::NEVER;
        let (wait, initial) = if self.state == State::Empty {
            let delay = turn.settings.group_initial_rebalance_delay.min(patience);
            (delay, Some(InitialDelay { remaining: patience - delay, member_added: false }))
        } else {
            (patience, None)
        };
        let deadline = now + wait;
        self.enter(State::PreparingRebalance { deadline, initial }, turn);
        if wait.is_zero() {
            return self.complete_join(turn);
        }
        self.arm(deadline, if initial.is_some() { "initial rebalance delay" } else { "rebalance timeout" });
        self.maybe_complete_join(turn);
    }

    /// The deadline of a round has passed.
    fn end_of_patience(&mut self, initial: Option<InitialDelay>, turn: &mut Turn) {
        match initial {
            Some(InitialDelay { remaining, member_added: true }) if !remaining.is_zero() => {
                let delay = turn.settings.group_initial_rebalance_delay.min(remaining);
                self.state = State::PreparingRebalance {
                    deadline: turn.step.time() + delay,
                    initial: Some(InitialDelay { remaining: remaining - delay, member_added: false }),
                };
            }
            Some(_) | None => self.complete_join(turn),
        }
    }

    fn maybe_complete_join(&mut self, turn: &mut Turn) {
        let State::PreparingRebalance { initial: None, .. } = self.state else { return };
        if self.pending_members.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some()) {
            self.complete_join(turn);
        }
    }

    /// Everybody is here or too late: a new generation begins.
    fn complete_join(&mut self, turn: &mut Turn) {
        let now = turn.step.time();
        self.members.retain(|_, member| member.awaiting_join.is_some());
        self.generation = Generation(self.generation.0 + 1);
        if self.leader.is_none_or(|leader| !self.members.contains_key(&leader)) {
            self.leader = self.members.keys().next().copied();
        }
        if self.members.is_empty() {
            self.since = turn.step.now.wall_clock;
            self.enter(State::Empty, turn);
            let record = self.metadata_record(Vec::new());
            return turn.writes.push(Write {
                group: self.id,
                records: vec![record],
                transaction: None,
                then: Then::Emptied,
            });
        }
        self.enter(State::CompletingRebalance, turn);
        self.pending_sync = self.members.keys().copied().collect();
        self.sync_deadline = now + self.max_rebalance_timeout();
        self.arm(self.sync_deadline, "sync timeout");
        let ids: Vec<MemberId> = self.members.keys().copied().collect();
        for id in ids {
            let member = self.members.get_mut(&id).expect("listed just now");
            let from = member.awaiting_join.take().expect("only joined members are left");
            member.is_new = false;
            member.assignment.clear();
            self.renew_session(id, now);
            self.reply_current_generation(from, id, turn);
        }
    }

    fn write_assignment(&mut self, assignments: Vec<(MemberId, Vec<TopicPartition>)>, turn: &mut Turn) {
        self.since = turn.step.now.wall_clock;
        let assignment_of = |id: MemberId| {
            assignments
                .iter()
                .find(|(member, _)| *member == id)
                .map_or(Vec::new(), |(_, partitions)| partitions.clone())
        };
        let members = self
            .members
            .iter()
            .map(|(id, member)| GroupMember {
                member: *id,
                session_timeout: member.session_timeout,
                rebalance_timeout: member.rebalance_timeout,
                topics: member.topics.clone(),
                assignment: assignment_of(*id),
            })
            .collect();
        let records = vec![self.metadata_record(members)];
        let then = Then::Assigned { generation: self.generation, assignments };
        turn.writes.push(Write { group: self.id, records, transaction: None, then });
    }

    fn remove_members(&mut self, gone: &[MemberId], turn: &mut Turn) {
        for id in gone {
            let member = self.members.remove(id).expect("only known members are removed");
            self.pending_sync.remove(id);
            if let Some(from) = member.awaiting_join {
                reply_join_error(from, ErrorCode::UnknownMemberId, *id, turn);
            }
            if let Some(from) = member.awaiting_sync {
                reply_sync(from, ErrorCode::UnknownMemberId, Vec::new(), turn);
            }
        }
        if self.leader.is_some_and(|leader| gone.contains(&leader)) {
            self.leader = self.members.keys().next().copied();
        }
        match self.state {
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(turn),
            State::PreparingRebalance { .. } => self.maybe_complete_join(turn),
            State::Empty | State::Dead => {}
        }
    }

    fn answer_parked_syncs(&mut self, error: ErrorCode, turn: &mut Turn) {
        let now = turn.step.time();
        let mut earliest = Time::NEVER;
        for member in self.members.values_mut() {
            let Some(from) = member.awaiting_sync.take() else { continue };
            member.session_deadline = now + member.session_timeout;
            earliest = earliest.min(member.session_deadline);
            let assignment = if error == ErrorCode::None { member.assignment.clone() } else { Vec::new() };
            reply_sync(from, error, assignment, turn);
        }
        self.arm(earliest, "session");
    }

    fn reply_current_generation(&self, from: ReplyTo, member: MemberId, turn: &mut Turn) {
        let leader = self.leader.expect("a generation has a leader");
        let members = if leader == member {
            self.members.iter().map(|(id, member)| (*id, member.topics.clone())).collect()
        } else {
            Vec::new()
        };
        let response =
            JoinGroupResponse { error: ErrorCode::None, generation: self.generation, member, leader, members };
        turn.step.reply(from, Response::JoinGroup(response));
    }

    fn validate_membership(&self, member: MemberId, generation: Generation) -> ErrorCode {
        if !self.members.contains_key(&member) {
            ErrorCode::UnknownMemberId
        } else if self.generation != generation {
            ErrorCode::IllegalGeneration
        } else {
            ErrorCode::None
        }
    }

    fn renew_session(&mut self, id: MemberId, now: Time) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.session_deadline = now + member.session_timeout;
        let deadline = member.session_deadline;
        self.arm(deadline, "session");
    }

    fn metadata_record(&self, members: Vec<GroupMember>) -> Group {
        Group::Metadata { group: self.id, generation: self.generation, leader: self.leader, members, at: self.since }
    }

    fn max_rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or(Duration::ZERO)
    }

    fn enter(&mut self, state: State, turn: &mut Turn) {
        self.state = state;
        turn.step.note(Note::GroupChanged {
            group: self.id,
            state: match state {
                State::Empty => GroupState::Empty,
                State::PreparingRebalance { .. } => GroupState::PreparingRebalance,
                State::CompletingRebalance => GroupState::CompletingRebalance,
                State::Stable => GroupState::Stable,
                State::Dead => GroupState::Dead,
            },
            generation: self.generation,
            members: self.members.len() as u16,
        });
    }

    fn arm(&mut self, deadline: Time, name: TimerName) {
        if deadline < self.wake.0 {
            self.wake = (deadline, name);
        }
    }

    fn recompute_wake(&mut self) {
        self.wake = (Time::NEVER, "");
        let lapse = self.pending_members.values().min().copied().unwrap_or(Time::NEVER);
        let session = self.members.values().map(Member::expires).min().unwrap_or(Time::NEVER);
        self.arm(lapse, "pending member lapses");
        self.arm(session, "session");
        self.arm(self.sync_deadline, "sync timeout");
        match self.state {
            State::PreparingRebalance { deadline, initial: Some(_) } => self.arm(deadline, "initial rebalance delay"),
            State::PreparingRebalance { deadline, initial: None } => self.arm(deadline, "rebalance timeout"),
            State::Empty | State::CompletingRebalance | State::Stable | State::Dead => {}
        }
    }
}

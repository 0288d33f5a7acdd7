//! One consumer group: the coordinator assigns, and every member walks to its assignment on its own. KIP-848.
//!
//! The one idea: **nobody waits for everybody**. A change of members, subscriptions or topics counts the group epoch up; a
//! target assignment is made for it at once; each heartbeat moves its sender one step towards the target
//! ([`reconcile`]). A partition changes hands through its epoch: it is free when its owner no longer says that it owns it.
//!
//! Changes are records. Each is applied when it is decided ([`State::replay`]), answered when it is replicated, and taken
//! back when the log has refused it; an answer without a change waits for the changes it is based on.
//!
//! Kafka differs: groups do not go from one protocol to the other while they have members (KIP-848's online migration);
//! subscriptions are lists of topics, not expressions; OffsetFetch says no member.
//!
//! Source: GroupMetadataManager.consumerGroupHeartbeat and what it calls, TargetAssignmentBuilder.

mod reconcile;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::assignor::{Candidate, Strategy, assign};
use crate::types::note::{GroupState, Note};
use crate::types::record::{ConsumerChange, ConsumerMember, CurrentAssignment, MemberState};
use crate::types::request::*;
use crate::types::settings::{BrokerSettings, RemoteAssignor};
use crate::types::*;

use super::turn::{Then, Turn, Write};
use reconcile::{Target, reconcile};

pub(super) use state::State;

/// After a change that the log refused, a timer is tried again. Kafka: CoordinatorRuntime.CoordinatorTimerImpl.
const TIMER_RETRY: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub(super) struct ConsumerGroup {
    id: GroupId,
    state: State,
    timers: BTreeMap<MemberId, Timers>,
    /// The state that was last told.
    told: GroupState,
    /// No timer of the group is due before this instant.
    wake: (Time, TimerName),
}

#[derive(Clone, Copy, Debug)]
struct Timers {
    session: Time,
    /// Until then it must have given back what it is asked for.
    revocation: Time,
}

/// Changes of one step, applied already.
#[derive(Debug, Default)]
struct Draft {
    changes: Vec<ConsumerChange>,
    /// The state before the first of them.
    before: Option<Box<State>>,
}

impl ConsumerGroup {
    pub fn new(id: GroupId) -> ConsumerGroup {
        ConsumerGroup {
            id,
            state: State::default(),
            timers: BTreeMap::new(),
            told: GroupState::Empty,
            wake: (Time::NEVER, ""),
        }
    }

    /// Timers stand still until [`ConsumerGroup::arm_sessions`].
    pub fn replay(&mut self, change: &ConsumerChange, guards: Guards) {
        self.state.replay(change, guards);
        self.told = self.condition();
    }

    /// A new coordinator gives every member a whole session to come back.
    pub fn arm_sessions(&mut self, now: Time, settings: &BrokerSettings) {
        self.timers.clear();
        for (id, member) in &self.state.members {
            let revocation = match member.current.state {
                MemberState::UnrevokedPartitions => now + member.metadata.rebalance_timeout,
                MemberState::Stable | MemberState::UnreleasedPartitions | MemberState::Away => Time::NEVER,
            };
            let session = now + settings.group_consumer_session_timeout;
            self.timers.insert(*id, Timers { session, revocation });
        }
        self.recompute_wake();
    }

    pub fn heartbeat(&mut self, from: ReplyTo, request: ConsumerGroupHeartbeatRequest, turn: &mut Turn) {
        let error = self.validate_heartbeat(&request);
        if error != ErrorCode::None {
            return reply_error(from, error, request.member, turn.step);
        }
        let member = request.member;
        let mut draft = Draft::default();
        let answer = match request.epoch {
            MemberEpoch::Leaving => {
                self.take_out(&[member], &mut draft, turn);
                ConsumerGroupHeartbeatResponse { assignment: None, ..told(member, Generation(0), turn) }
            }
            MemberEpoch::LeavingStatic => {
                self.set_aside(member, &mut draft, turn);
                ConsumerGroupHeartbeatResponse { assignment: None, ..told(member, Generation(0), turn) }
            }
            MemberEpoch::Joining | MemberEpoch::Joined(_) => self.keep_up(&request, &mut draft, turn),
        };
        self.write(draft, Some((from, answer)), turn);
    }

    /// The change was replicated, or refused. `before`: what the group was when it was decided.
    pub fn finish_change(&mut self, before: Option<Box<State>>, error: ErrorCode, turn: &mut Turn) {
        // Only this error says that the log never had it; after any other, a new coordinator may find it there.
        let (ErrorCode::NotEnoughReplicas, Some(before)) = (error, before) else { return };
        self.state = *before;
        self.told = self.condition();
        let retry = turn.step.time() + TIMER_RETRY;
        self.timers.retain(|member, _| self.state.members.contains_key(member));
        for (id, member) in &self.state.members {
            let is_revoking = member.current.state == MemberState::UnrevokedPartitions;
            let fresh = Timers { session: retry, revocation: if is_revoking { retry } else { Time::NEVER } };
            self.timers.entry(*id).or_insert(fresh);
        }
        self.recompute_wake();
    }

    /// Whether a commit with this membership is taken. Kafka: ConsumerGroup.validateOffsetCommit.
    pub fn validate_commit(&self, membership: Option<(MemberId, Generation)>) -> ErrorCode {
        let Some((member, epoch)) = membership else {
            return if self.state.members.is_empty() { ErrorCode::None } else { ErrorCode::UnknownMemberId };
        };
        match self.state.members.get(&member) {
            None => ErrorCode::UnknownMemberId,
            Some(known) if known.current.state == MemberState::Away => ErrorCode::StaleMemberEpoch,
            Some(known) if known.current.epoch != epoch => ErrorCode::StaleMemberEpoch,
            Some(_) => ErrorCode::None,
        }
    }

    /// The same for offsets that are part of a transaction: without a membership anybody may.
    pub fn validate_transactional_commit(&self, membership: Option<(MemberId, Generation)>) -> ErrorCode {
        match membership.map_or(ErrorCode::None, |membership| self.validate_commit(Some(membership))) {
            ErrorCode::StaleMemberEpoch => ErrorCode::IllegalGeneration,
            other => other,
        }
    }

    /// An operator wants the assignment made anew.
    pub fn rebalance(&mut self, turn: &mut Turn) {
        if !self.state.members.is_empty() {
            let mut draft = Draft::default();
            self.count_epoch_up(&mut draft, turn);
            self.write(draft, None, turn);
        }
    }

    /// Looks at every timer. Late and early calls are both right.
    pub fn handle_timeout(&mut self, turn: &mut Turn) {
        let now = turn.step.time();
        if now < self.wake.0 {
            return;
        }
        let is_late = |timers: &Timers| timers.session <= now || timers.revocation <= now;
        let late: Vec<MemberId> =
            self.timers.iter().filter(|(_, timers)| is_late(timers)).map(|(member, _)| *member).collect();
        if !late.is_empty() {
            let mut draft = Draft::default();
            self.take_out(&late, &mut draft, turn);
            self.write(draft, None, turn);
        }
        self.recompute_wake();
    }

    pub fn wake(&self) -> (Time, TimerName) {
        self.wake
    }

    pub fn is_empty(&self) -> bool {
        self.state.members.is_empty()
    }

    pub fn is_reconciled(&self) -> bool {
        self.state.is_reconciled()
    }

    pub fn topics(&self) -> BTreeSet<TopicId> {
        self.state.members.values().flat_map(|member| member.metadata.topics.iter().copied()).collect()
    }

    /// Cheap relations that only a bug of ours can break.
    pub fn check_invariants(&self) {
        let state = &self.state;
        assert!(state.target_epoch <= state.epoch, "{}: a target of an epoch that is not yet", self.id);
        for (id, member) in &state.members {
            assert!(member.current.epoch <= state.epoch, "{}: {id} is ahead of its group", self.id);
        }
        assert!(self.timers.len() <= state.members.len(), "{}: timers of nobody", self.id);
    }

    /// Kafka: throwIfConsumerGroupMemberEpochIsInvalid, getOrMaybeSubscribeStaticConsumerMember.
    fn validate_heartbeat(&self, request: &ConsumerGroupHeartbeatRequest) -> ErrorCode {
        let known = self.state.members.get(&request.member);
        let received = match request.epoch {
            MemberEpoch::Joining => {
                let instance = request.subscription.as_ref().and_then(|subscription| subscription.instance);
                return match self.holder_of(instance) {
                    Some((holder, other)) if holder != request.member && other.current.state != MemberState::Away => {
                        ErrorCode::UnreleasedInstanceId
                    }
                    Some(_) | None if request.subscription.is_none() => ErrorCode::InvalidRequest,
                    Some(_) | None if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) => {
                        ErrorCode::InvalidRequest
                    }
                    Some(_) | None => ErrorCode::None,
                };
            }
            MemberEpoch::Leaving | MemberEpoch::LeavingStatic => {
                return if known.is_some() { ErrorCode::None } else { ErrorCode::UnknownMemberId };
            }
            MemberEpoch::Joined(received) => received,
        };
        let Some(known) = known else { return ErrorCode::UnknownMemberId };
        let CurrentAssignment { epoch, previous_epoch, assigned, state, .. } = &known.current;
        let is_subset = |owned: &Vec<TopicPartition>| owned.iter().all(|partition| assigned.contains(partition));
        // The answer with the newer epoch was lost, perhaps.
        let lost = received == *previous_epoch && request.owned.as_ref().is_some_and(is_subset);
        match received {
            _ if *state == MemberState::Away => ErrorCode::FencedMemberEpoch,
            received if received == *epoch || received < *epoch && lost => ErrorCode::None,
            _ => ErrorCode::FencedMemberEpoch,
        }
    }

    /// A heartbeat of a member that is, or now becomes, one of the group.
    fn keep_up(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        draft: &mut Draft,
        turn: &mut Turn,
    ) -> ConsumerGroupHeartbeatResponse {
        let id = request.member;
        let is_changed = self.subscribe(id, request.subscription.as_ref(), draft, turn);
        if is_changed || self.state.topics != self.subscribed_topics(turn) {
            self.count_epoch_up(draft, turn);
        }
        if self.state.target_epoch < self.state.epoch {
            let assignment = self.make_target(turn);
            self.change(ConsumerChange::Target { epoch: self.state.epoch, assignment }, draft, turn);
        }
        let before = self.state.members[&id].current.clone();
        let target = Target {
            epoch: self.state.target_epoch,
            partitions: self.state.target_of(id),
            partition_epochs: &self.state.partition_epochs,
        };
        let current = reconcile(&before, target, request.owned.as_deref(), turn.guards);
        if current != before {
            self.change(ConsumerChange::Current { member: id, current: current.clone() }, draft, turn);
        }
        self.renew(id, before.state, &current, turn);
        let is_full = request.subscription.is_some() && request.owned.is_some();
        let assignment = (is_full || current.assigned != before.assigned).then_some(current.assigned);
        ConsumerGroupHeartbeatResponse { assignment, ..told(id, current.epoch, turn) }
    }

    /// True when the group has to be assigned anew.
    fn subscribe(
        &mut self,
        id: MemberId,
        subscription: Option<&ConsumerMember>,
        draft: &mut Draft,
        turn: &mut Turn,
    ) -> bool {
        let Some(subscription) = subscription else { return false };
        let metadata = subscription.clone();
        match self.state.members.get(&id).map(|member| member.metadata.clone()) {
            Some(known) if known == metadata => false,
            Some(known) => {
                self.change(ConsumerChange::Member { member: id, metadata }, draft, turn);
                (&known.topics, known.assignor) != (&subscription.topics, subscription.assignor)
            }
            None => match self.holder_of(subscription.instance) {
                // Somebody with this name was here and has left for a while: what was its is this one's.
                Some((holder, predecessor)) => {
                    let current = predecessor.current.clone();
                    let is_same = predecessor.metadata.topics == subscription.topics;
                    self.replace(holder, id, metadata, current, draft, turn);
                    !is_same
                }
                None => {
                    self.change(ConsumerChange::Member { member: id, metadata }, draft, turn);
                    true
                }
            },
        }
    }

    /// Kafka: replaceMember.
    fn replace(
        &mut self,
        old: MemberId,
        new: MemberId,
        metadata: ConsumerMember,
        current: CurrentAssignment,
        draft: &mut Draft,
        turn: &mut Turn,
    ) {
        let renamed = |(member, share): (&MemberId, &Vec<TopicPartition>)| {
            (if *member == old { new } else { *member }, share.clone())
        };
        let assignment = self.state.target.iter().map(renamed).collect();
        let epoch = self.state.target_epoch;
        self.change(ConsumerChange::MemberGone { member: old }, draft, turn);
        self.timers.remove(&old);
        turn.step.note(Note::MemberGone { group: self.id, member: old });
        self.change(ConsumerChange::Member { member: new, metadata }, draft, turn);
        self.change(ConsumerChange::Target { epoch, assignment }, draft, turn);
        let current = CurrentAssignment { state: MemberState::Stable, ..current };
        self.change(ConsumerChange::Current { member: new, current }, draft, turn);
    }

    fn make_target(&self, turn: &Turn) -> Vec<(MemberId, Vec<TopicPartition>)> {
        let members: Vec<Candidate> = self
            .state
            .members
            .iter()
            .map(|(id, member)| Candidate {
                member: *id,
                topics: member.metadata.topics.clone(),
                owned: self.state.target_of(*id).to_vec(),
            })
            .collect();
        let count = |topic| turn.topics.get(&topic).copied().unwrap_or(0);
        let mut target = assign(self.strategy(), &members, count);
        target.iter_mut().for_each(|(_, share)| share.sort());
        target
    }

    /// What most members want. Kafka: ConsumerGroup.computePreferredServerAssignor.
    fn strategy(&self) -> Strategy {
        let wants =
            |assignor| self.state.members.values().filter(|member| member.metadata.assignor == assignor).count();
        if wants(RemoteAssignor::Uniform) < wants(RemoteAssignor::Range) { Strategy::Range } else { Strategy::Sticky }
    }

    /// A static member goes and will come back: what it owns stays its own for as long as its session lasts.
    fn set_aside(&mut self, member: MemberId, draft: &mut Draft, turn: &mut Turn) {
        let known = &self.state.members[&member];
        let current =
            CurrentAssignment { state: MemberState::Away, pending_revocation: Vec::new(), ..known.current.clone() };
        self.change(ConsumerChange::Current { member, current }, draft, turn);
        if let Some(timers) = self.timers.get_mut(&member) {
            timers.revocation = Time::NEVER;
        }
    }

    fn take_out(&mut self, gone: &[MemberId], draft: &mut Draft, turn: &mut Turn) {
        for member in gone {
            self.change(ConsumerChange::MemberGone { member: *member }, draft, turn);
            self.timers.remove(member);
            turn.step.note(Note::MemberGone { group: self.id, member: *member });
        }
        self.count_epoch_up(draft, turn);
    }

    fn count_epoch_up(&mut self, draft: &mut Draft, turn: &mut Turn) {
        let (epoch, topics) = (Generation(self.state.epoch.0 + 1), self.subscribed_topics(turn));
        self.change(ConsumerChange::Epoch { epoch, topics, at: turn.step.now.wall_clock }, draft, turn);
        if !self.state.members.is_empty() {
            self.tell(GroupState::Reconciling, turn);
        }
    }

    fn subscribed_topics(&self, turn: &Turn) -> Vec<(TopicId, u16)> {
        let counted = |topic| (topic, turn.topics.get(&topic).copied().unwrap_or(0));
        self.topics().into_iter().map(counted).collect()
    }

    fn holder_of(&self, instance: Option<InstanceId>) -> Option<(MemberId, &state::Member)> {
        let instance = instance?;
        let mut members = self.state.members.iter();
        members.find(|(_, member)| member.metadata.instance == Some(instance)).map(|(id, member)| (*id, member))
    }

    fn change(&mut self, change: ConsumerChange, draft: &mut Draft, turn: &Turn) {
        draft.before.get_or_insert_with(|| Box::new(self.state.clone()));
        self.state.replay(&change, turn.guards);
        draft.changes.push(change);
    }

    fn write(&mut self, draft: Draft, answer: Option<(ReplyTo, ConsumerGroupHeartbeatResponse)>, turn: &mut Turn) {
        let condition = self.condition();
        if condition != self.told {
            self.tell(condition, turn);
        }
        let group = self.id;
        let records = draft.changes.into_iter().map(|change| Group::Consumer { group, change }).collect();
        let then = Then::Changed { before: draft.before, answer };
        turn.writes.push(Write { group, records, transaction: None, then });
    }

    fn tell(&mut self, state: GroupState, turn: &mut Turn) {
        self.told = state;
        turn.step.note(Note::GroupChanged {
            group: self.id,
            state,
            generation: self.state.epoch,
            members: self.state.members.len() as u16,
        });
    }

    fn condition(&self) -> GroupState {
        if self.state.members.is_empty() {
            GroupState::Empty
        } else if self.state.is_reconciled() {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    fn renew(&mut self, id: MemberId, before: MemberState, current: &CurrentAssignment, turn: &Turn) {
        let now = turn.step.time();
        let session = now + turn.settings.group_consumer_session_timeout;
        let known = self.timers.get(&id).map_or(Time::NEVER, |timers| timers.revocation);
        let revocation = match (before, current.state) {
            (MemberState::UnrevokedPartitions, MemberState::UnrevokedPartitions) => known,
            (_, MemberState::UnrevokedPartitions) => now + self.state.members[&id].metadata.rebalance_timeout,
            (_, MemberState::Stable | MemberState::UnreleasedPartitions | MemberState::Away) => Time::NEVER,
        };
        self.timers.insert(id, Timers { session, revocation });
        self.arm(session, "session");
        self.arm(revocation, "rebalance timeout");
    }

    fn arm(&mut self, deadline: Time, name: TimerName) {
        if deadline < self.wake.0 {
            self.wake = (deadline, name);
        }
    }

    fn recompute_wake(&mut self) {
        self.wake = (Time::NEVER, "");
        let session = self.timers.values().map(|timers| timers.session).min();
        let revocation = self.timers.values().map(|timers| timers.revocation).min();
        self.arm(session.unwrap_or(Time::NEVER), "session");
        self.arm(revocation.unwrap_or(Time::NEVER), "rebalance timeout");
    }
}

/// What every answer carries.
fn told(member: MemberId, epoch: Generation, turn: &Turn) -> ConsumerGroupHeartbeatResponse {
    let heartbeat_interval = turn.settings.group_consumer_heartbeat_interval;
    ConsumerGroupHeartbeatResponse { error: ErrorCode::None, member, epoch, heartbeat_interval, assignment: None }
}

pub(super) fn reply_error(from: ReplyTo, error: ErrorCode, member: MemberId, step: &mut Step) {
    let response = ConsumerGroupHeartbeatResponse {
        error,
        member,
        epoch: Generation(0),
        heartbeat_interval: Duration::ZERO,
        assignment: None,
    };
    step.reply(from, Response::ConsumerGroupHeartbeat(response));
}

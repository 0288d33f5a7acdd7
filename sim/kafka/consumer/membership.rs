//! Membership in the group: finding the coordinator, joining, syncing, staying alive, leaving.
//!
//! Source: AbstractCoordinator, ConsumerCoordinator.onJoinPrepare/onJoinComplete, Heartbeat.

use super::assignor::assign;
use super::*;

#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub stage: Stage,
    /// Kept over rounds; gone when the coordinator does not know it.
    pub member: Option<MemberId>,
    /// The member that was given the partitions now held; the id may be gone before they are.
    pub held_by: Option<MemberId>,
    /// Present iff joined and not thrown out. Kafka: NO_GENERATION otherwise.
    pub generation: Option<Generation>,
    pub coordinator: CoordinatorState,
    pub heartbeat_in_flight: bool,
    heartbeat_due: Time,
    /// Without a heartbeat's answer until then, the coordinator is looked for again.
    session_deadline: Time,
    /// The application must be back in poll() by then; never while it is there.
    pub poll_deadline: Time,
    join_not_before: Time,
    /// What the leader assigned from; a change needs a new round.
    assigned_from: Option<Vec<(TopicId, u16)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// Not in the group, or thrown out of it (then partitions may still be held until the next poll says them lost).
    /// Leaves to: Joining (a poll is open).
    Outside,
    /// Before a new round: the automatic commit is out. Leaves to: Revoking, Joining, Outside (thrown out).
    Committing,
    /// The application commits and gives back. Leaves to: Joining (it is done).
    Revoking,
    /// Holds nothing; JoinGroup goes out or is parked. Leaves to: Syncing (answered with a generation).
    Joining { in_flight: bool },
    /// Knows its generation. Leaves to: Stable (assignment), Joining (another round), Outside (thrown out).
    Syncing,
    /// Has its assignment. Leaves to: Committing or Revoking (in a poll, when a round is on), Outside (thrown out).
    Stable { rejoin: bool },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CoordinatorState {
    Unknown { not_before: Time },
    Asked,
    Known(NodeId),
}

impl Membership {
    pub fn new() -> Membership {
        Membership {
            stage: Stage::Outside,
            member: None,
            held_by: None,
            generation: None,
            coordinator: CoordinatorState::Unknown { not_before: Time::ZERO },
            heartbeat_in_flight: false,
            heartbeat_due: Time::NEVER,
            session_deadline: Time::NEVER,
            poll_deadline: Time::NEVER,
            join_not_before: Time::ZERO,
            assigned_from: None,
        }
    }

    pub fn identity(&self) -> Option<(MemberId, Generation)> {
        self.member.zip(self.generation)
    }
}

impl Consumer {
    pub(super) fn advance_membership(&mut self, step: &mut Step) {
        self.leave_when_poll_is_late(step);
        self.find_coordinator_when_needed(step);
        if self.is_polling {
            self.advance_round(step);
        }
        self.heartbeat_when_due(step);
    }

    /// The coordinator's connection, when it is known and may be used.
    pub(super) fn coordinator(&mut self, now: Time) -> Option<(Channel, NodeId)> {
        let CoordinatorState::Known(node) = self.membership.coordinator else { return None };
        self.usable(self.coordinator_channel, node, now)
    }

    /// The connection, unless it must be left alone for a while.
    pub(super) fn usable(&mut self, channel: Channel, node: NodeId, now: Time) -> Option<(Channel, NodeId)> {
        let not_before = self.requests.not_before(channel, node);
        if now < not_before {
            self.arm(not_before, "reconnect");
            return None;
        }
        Some((channel, node))
    }

    /// Whoever was known is asked no more. `Some(peer)`: that connection is already gone.
    pub(super) fn forget_coordinator(&mut self, gone: Option<NodeId>, step: &mut Step) {
        let CoordinatorState::Known(node) = self.membership.coordinator else { return };
        if gone.is_some_and(|peer| peer != node) {
            return;
        }
        self.membership.coordinator = CoordinatorState::Unknown { not_before: step.time() };
        if gone.is_none() {
            step.close(self.coordinator_channel, node);
            let lost = self.requests.abandon(self.coordinator_channel, node);
            lost.into_iter().for_each(|request| self.lose_request(request.to, request.purpose, step));
        }
    }

    pub(super) fn handle_find_coordinator(&mut self, error: ErrorCode, coordinator: NodeId, step: &mut Step) {
        if error != ErrorCode::None {
            return self.lose_find_coordinator(step);
        }
        self.membership.coordinator = CoordinatorState::Known(coordinator);
        // The session counts from the first word with a new coordinator. Kafka: heartbeat.resetSessionTimeout().
        self.membership.session_deadline = step.time() + self.settings.session_timeout;
    }

    pub(super) fn lose_find_coordinator(&mut self, step: &mut Step) {
        let not_before = step.time() + self.settings.retry_backoff;
        self.membership.coordinator = CoordinatorState::Unknown { not_before };
        self.fail_unretried_commits();
    }

    pub(super) fn handle_join_group(&mut self, join: JoinGroupResponse, step: &mut Step) {
        if self.membership.stage != (Stage::Joining { in_flight: true }) || self.closing != Closing::No {
            return;
        }
        self.membership.stage = Stage::Joining { in_flight: false };
        match join.error {
            ErrorCode::None => self.begin_generation(join, step),
            ErrorCode::MemberIdRequired => self.membership.member = Some(join.member),
            ErrorCode::UnknownMemberId => self.membership.member = None,
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => {}
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.rejoin_at(step.time() + self.settings.retry_backoff);
                self.forget_coordinator(None, step);
            }
            ErrorCode::InvalidSessionTimeout => {
                self.is_polling = false;
                self.events.push_back(ConsumerEvent::Failed(join.error));
            }
            _ => self.rejoin_at(step.time() + self.settings.retry_backoff),
        }
    }

    pub(super) fn handle_sync_group(
        &mut self,
        generation: Generation,
        error: ErrorCode,
        assignment: Vec<TopicPartition>,
        step: &mut Step,
    ) {
        let is_expected = self.membership.stage == Stage::Syncing && self.membership.generation == Some(generation);
        if !is_expected || self.closing != Closing::No {
            return;
        }
        match error {
            ErrorCode::None => self.take_assignment(generation, assignment, step),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => self.reset_generation(error),
            ErrorCode::RebalanceInProgress => self.rejoin_at(step.time()),
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.rejoin_at(step.time() + self.settings.retry_backoff);
                self.forget_coordinator(None, step);
            }
            _ => self.rejoin_at(step.time() + self.settings.retry_backoff),
        }
    }

    pub(super) fn handle_heartbeat(&mut self, sent_as: (MemberId, Generation), error: ErrorCode, step: &mut Step) {
        self.membership.heartbeat_in_flight = false;
        match error {
            ErrorCode::None => self.membership.session_deadline = step.time() + self.settings.session_timeout,
            ErrorCode::RebalanceInProgress => {
                self.membership.session_deadline = step.time() + self.settings.session_timeout;
                if self.membership.identity() == Some(sent_as) {
                    self.want_rejoin();
                }
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration
                if self.membership.identity() == Some(sent_as) =>
            {
                self.reset_generation(error);
            }
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => self.forget_coordinator(None, step),
            _ => {}
        }
    }

    /// A round is on, or has to be: the next poll gives everything back and joins.
    pub(super) fn want_rejoin(&mut self) {
        if let Stage::Stable { rejoin } = &mut self.membership.stage {
            *rejoin = true;
        }
    }

    /// Thrown out: the next poll says the partitions lost. Kafka: resetStateOnResponseError.
    pub(super) fn reset_generation(&mut self, error: ErrorCode) {
        self.membership.generation = None;
        if error == ErrorCode::UnknownMemberId {
            self.membership.member = None;
        }
        match self.membership.stage {
            Stage::Stable { .. } | Stage::Syncing => self.membership.stage = Stage::Outside,
            // The application is told when its callback is over, or by the result of its commit.
            Stage::Committing | Stage::Revoking | Stage::Joining { .. } | Stage::Outside => {}
        }
    }

    /// Begins the round anew, with what is known of ourselves.
    pub(super) fn rejoin_at(&mut self, time: Time) {
        self.membership.join_not_before = time;
        match self.membership.stage {
            Stage::Joining { .. } | Stage::Syncing => self.membership.stage = Stage::Joining { in_flight: false },
            Stage::Outside | Stage::Committing | Stage::Revoking | Stage::Stable { .. } => {}
        }
    }

    /// The leader of the group watches the topics. Kafka: ConsumerCoordinator.rejoinNeededOrPending.
    pub(super) fn rejoin_when_partitions_changed(&mut self) {
        if let Some(assigned_from) = &self.membership.assigned_from
            && assigned_from.iter().any(|(topic, count)| self.metadata.partition_count(*topic) != Some(*count))
        {
            self.want_rejoin();
        }
    }

    /// True when a request went out and its answer is worth waiting for.
    pub(super) fn leave_group(&mut self, step: &mut Step) -> bool {
        let Some(member) = self.membership.member else { return false };
        let Some(to) = self.coordinator(step.time()) else { return false };
        let request = Request::LeaveGroup { group: self.group, member };
        self.requests.send(to, Purpose::LeaveGroup, request, self.settings.request_timeout, step);
        true
    }

    /// As far as a round can go now. In a poll only.
    fn advance_round(&mut self, step: &mut Step) {
        if self.membership.stage == (Stage::Stable { rejoin: true }) {
            let deadline = step.time() + self.settings.max_poll_interval;
            let commits = self.settings.enable_auto_commit && self.commit_positions(true, deadline, step);
            self.membership.stage = if commits { Stage::Committing } else { self.begin_revocation(step) };
        }
        if self.membership.stage == Stage::Committing && !self.commits.is_committing_automatically() {
            self.membership.stage = self.begin_revocation(step);
        }
        if self.membership.stage == Stage::Outside {
            self.say_lost(step);
            self.membership.stage = Stage::Joining { in_flight: false };
        }
        if self.membership.stage == (Stage::Joining { in_flight: false }) {
            self.join(step);
        }
    }

    fn begin_revocation(&mut self, step: &mut Step) -> Stage {
        if self.membership.generation.is_none() {
            return Stage::Outside;
        }
        if self.positions.is_empty() {
            return Stage::Joining { in_flight: false };
        }
        // The application works inside its callback: that counts as being away from poll().
        self.membership.poll_deadline = step.time() + self.settings.max_poll_interval;
        self.arm(self.membership.poll_deadline, "max poll interval");
        self.events.push_back(ConsumerEvent::Revoking(self.positions.keys().copied().collect()));
        Stage::Revoking
    }

    fn say_lost(&mut self, step: &mut Step) {
        let partitions = self.drop_partitions();
        if partitions.is_empty() {
            return;
        }
        let member = self.membership.held_by.unwrap_or_default();
        step.note(Note::Lost { group: self.group, member, partitions: partitions.clone() });
        self.events.push_back(ConsumerEvent::Lost(partitions));
    }

    fn join(&mut self, step: &mut Step) {
        let now = step.time();
        if self.topics.iter().any(|topic| self.metadata.partition_count(*topic).is_none()) {
            return self.metadata.want_refresh();
        }
        if now < self.membership.join_not_before {
            return self.arm(self.membership.join_not_before, "join backoff");
        }
        let Some(to) = self.coordinator(now) else { return };
        let request = Request::JoinGroup(JoinGroupRequest {
            group: self.group,
            member: self.membership.member,
            session_timeout: self.settings.session_timeout,
            rebalance_timeout: self.settings.max_poll_interval,
            topics: self.topics.clone(),
        });
        // Parked for as long as the slowest member may take. Kafka: JOIN_GROUP_TIMEOUT_LAPSE.
        let parked = self.settings.max_poll_interval + Duration::from_secs(5);
        self.requests.send(to, Purpose::JoinGroup, request, parked.max(self.settings.request_timeout), step);
        self.membership.stage = Stage::Joining { in_flight: true };
        self.membership.heartbeat_due = Time::NEVER;
    }

    fn begin_generation(&mut self, join: JoinGroupResponse, step: &mut Step) {
        let JoinGroupResponse { generation, member, leader, members, .. } = join;
        self.membership.member = Some(member);
        self.membership.generation = Some(generation);
        self.membership.stage = Stage::Syncing;
        self.membership.heartbeat_due = step.time() + self.settings.heartbeat_interval;
        self.membership.session_deadline = step.time() + self.settings.session_timeout;
        step.note(Note::Joined { group: self.group, member, generation });
        let assignments = if leader == member { self.assign(&members) } else { Vec::new() };
        if leader != member {
            self.membership.assigned_from = None;
        }
        let Some(to) = self.coordinator(step.time()) else {
            return self.rejoin_at(step.time() + self.settings.retry_backoff);
        };
        let request = Request::SyncGroup(SyncGroupRequest { group: self.group, generation, member, assignments });
        let purpose = Purpose::SyncGroup { generation };
        self.requests.send(to, purpose, request, self.settings.request_timeout, step);
    }

    fn assign(&mut self, members: &[(MemberId, Vec<TopicId>)]) -> Vec<(MemberId, Vec<TopicPartition>)> {
        let count = |topic| self.metadata.partition_count(topic).unwrap_or(0);
        self.membership.assigned_from = Some(self.topics.iter().map(|topic| (*topic, count(*topic))).collect());
        assign(self.settings.partition_assignment_strategy, members, count)
    }

    fn take_assignment(&mut self, generation: Generation, mut assignment: Vec<TopicPartition>, step: &mut Step) {
        let member = self.membership.member.expect("a synced member has an id");
        assert!(self.positions.is_empty(), "an eager member holds nothing when it is assigned");
        assignment.sort();
        for partition in &assignment {
            self.positions.insert(*partition, Position::unknown());
        }
        self.unsettled = self.positions.len();
        self.offset_fetch = match self.offset_fetch {
            OffsetFetchState::Idle { .. } => OffsetFetchState::Idle { not_before: step.time() },
            OffsetFetchState::InFlight => OffsetFetchState::InFlight,
        };
        self.membership.stage = Stage::Stable { rejoin: false };
        self.membership.held_by = Some(member);
        self.begin_auto_commit_interval(step);
        step.note(Note::Assigned { group: self.group, member, generation, partitions: assignment.clone() });
        self.events.push_back(ConsumerEvent::Assigned(assignment));
    }

    fn find_coordinator_when_needed(&mut self, step: &mut Step) {
        let now = step.time();
        let CoordinatorState::Unknown { not_before } = self.membership.coordinator else { return };
        let is_needed = self.is_polling || self.membership.generation.is_some() || !self.commits.is_empty();
        if !is_needed {
            return;
        }
        if now < not_before {
            return self.arm(not_before, "coordinator lookup");
        }
        let broker = self.metadata.any_broker();
        let Some(to) = self.usable(self.coordinator_channel, broker, now) else { return };
        let request = Request::FindCoordinator { key: CoordinatorKey::Group(self.group) };
        self.requests.send(to, Purpose::FindCoordinator, request, self.settings.request_timeout, step);
        self.membership.coordinator = CoordinatorState::Asked;
    }

    fn heartbeat_when_due(&mut self, step: &mut Step) {
        let now = step.time();
        let Some((member, generation)) = self.membership.identity() else { return };
        match self.membership.stage {
            Stage::Outside | Stage::Joining { .. } => return,
            Stage::Committing | Stage::Revoking | Stage::Syncing | Stage::Stable { .. } => {}
        }
        if self.closing != Closing::No {
            return;
        }
        if self.membership.session_deadline <= now {
            self.membership.session_deadline = Time::NEVER;
            self.forget_coordinator(None, step);
            return self.arm(now, "coordinator lookup");
        }
        self.arm(self.membership.session_deadline, "session timeout");
        if now < self.membership.heartbeat_due {
            return self.arm(self.membership.heartbeat_due, "heartbeat");
        }
        if self.membership.heartbeat_in_flight {
            return;
        }
        let Some(to) = self.coordinator(now) else { return };
        let request = Request::Heartbeat { group: self.group, generation, member };
        let purpose = Purpose::Heartbeat { member, generation };
        self.requests.send(to, purpose, request, self.settings.request_timeout, step);
        self.membership.heartbeat_in_flight = true;
        self.membership.heartbeat_due = now + self.settings.heartbeat_interval;
        self.arm(self.membership.heartbeat_due, "heartbeat");
    }

    /// An application that stays away too long loses its membership. KIP-62.
    fn leave_when_poll_is_late(&mut self, step: &mut Step) {
        let deadline = self.membership.poll_deadline;
        if deadline == Time::NEVER || self.membership.generation.is_none() {
            return;
        }
        if step.time() < deadline {
            return self.arm(deadline, "max poll interval");
        }
        self.membership.poll_deadline = Time::NEVER;
        self.leave_group(step);
        self.reset_generation(ErrorCode::UnknownMemberId);
    }
}

//! Membership in the group, as far as both protocols have it in common: finding the coordinator, giving partitions back,
//! being thrown out, leaving. What a round is stands in `classic`, what a heartbeat does in `reconciliation`.
//!
//! Source: AbstractCoordinator, ConsumerCoordinator; CoordinatorRequestManager, AbstractMembershipManager.

use super::classic::Round;
use super::reconciliation::Reconciliation;
use super::*;
use crate::types::settings::GroupProtocol;

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
    pub heartbeat_due: Time,
    /// The application must be back in poll() by then; never while it is there.
    pub poll_deadline: Time,
    /// To be given back: not fetched and not handed out any more.
    pub leaving: Vec<TopicPartition>,
    pub protocol: Protocol,
}

/// What only one of the protocols knows.
#[derive(Clone, Debug)]
pub(super) enum Protocol {
    Classic(Round),
    Consumer(Reconciliation),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// Not in the group, or thrown out of it (then partitions may still be held until the next poll says them lost).
    /// Leaves to: Joining (a poll is open).
    Outside,
    /// Before partitions are given back: the automatic commit is out. Leaves to: Revoking, Joining, Outside (thrown out).
    Committing,
    /// The application commits and gives back. Leaves to: Joining or Stable (it is done).
    Revoking,
    /// Asks to be let in: JoinGroup, or the first heartbeat, goes out or is parked. Leaves to: Syncing or Stable (answered).
    Joining { in_flight: bool },
    /// Classic: knows its generation. Leaves to: Stable (assignment), Joining (another round), Outside (thrown out).
    Syncing,
    /// Has its assignment. Leaves to: Committing or Revoking (in a poll, when something has to be given back), Outside (thrown
    /// out). `rejoin`: a round is on.
    Stable { rejoin: bool },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CoordinatorState {
    Unknown { not_before: Time },
    Asked,
    Known(NodeId),
}

impl Membership {
    pub fn new(protocol: GroupProtocol) -> Membership {
        Membership {
            stage: Stage::Outside,
            member: None,
            held_by: None,
            generation: None,
            coordinator: CoordinatorState::Unknown { not_before: Time::ZERO },
            heartbeat_in_flight: false,
            heartbeat_due: Time::NEVER,
            poll_deadline: Time::NEVER,
            leaving: Vec::new(),
            protocol: match protocol {
                GroupProtocol::Classic => Protocol::Classic(Round::new()),
                GroupProtocol::Consumer => Protocol::Consumer(Reconciliation::new()),
            },
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
        match &self.membership.protocol {
            Protocol::Classic(_) => {
                if self.is_polling {
                    self.advance_round(step);
                }
                self.heartbeat_when_due(step);
            }
            Protocol::Consumer(_) => {
                if self.is_polling {
                    self.advance_reconciliation(step);
                }
                self.say_where_we_are_when_due(step);
            }
        }
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
        let session_deadline = step.time() + self.settings.session_timeout;
        if let Protocol::Classic(round) = &mut self.membership.protocol {
            // The session counts from the first word with a new coordinator. Kafka: heartbeat.resetSessionTimeout().
            round.session_deadline = session_deadline;
        }
    }

    pub(super) fn lose_find_coordinator(&mut self, step: &mut Step) {
        let not_before = step.time() + self.settings.retry_backoff;
        self.membership.coordinator = CoordinatorState::Unknown { not_before };
        self.fail_unretried_commits();
    }

    /// Thrown out: the next poll says the partitions lost. Kafka: resetStateOnResponseError, transitionToFenced.
    pub(super) fn reset_generation(&mut self, error: ErrorCode) {
        self.membership.generation = None;
        if error == ErrorCode::UnknownMemberId && matches!(self.membership.protocol, Protocol::Classic(_)) {
            self.membership.member = None;
        }
        match self.membership.stage {
            Stage::Stable { .. } | Stage::Syncing => self.membership.stage = Stage::Outside,
            // The application is told when its callback is over, or by the result of its commit.
            Stage::Committing | Stage::Revoking | Stage::Joining { .. } | Stage::Outside => {}
        }
    }

    /// True when a request went out and its answer is worth waiting for.
    pub(super) fn leave_group(&mut self, step: &mut Step) -> bool {
        let Some(member) = self.membership.member else { return false };
        // Whoever has a name of its own goes without a word, and is awaited. KIP-345.
        let is_static = self.settings.group_instance_id.is_some();
        if is_static && matches!(self.membership.protocol, Protocol::Classic(_)) {
            return false;
        }
        let Some(to) = self.coordinator(step.time()) else { return false };
        let request = match self.membership.protocol {
            Protocol::Classic(_) => Request::LeaveGroup { group: self.group, member },
            Protocol::Consumer(_) => self.farewell(member),
        };
        self.requests.send(to, Purpose::LeaveGroup, request, self.settings.request_timeout, step);
        true
    }

    /// What has to be given back is neither fetched nor handed out from now on; the application is told when the automatic
    /// commit is over.
    pub(super) fn prepare_revocation(&mut self, leaving: Vec<TopicPartition>, step: &mut Step) {
        self.ask_back(leaving);
        let deadline = step.time() + self.settings.max_poll_interval;
        let commits = self.settings.enable_auto_commit && self.commit_positions(true, deadline, step);
        self.membership.stage = if commits { Stage::Committing } else { self.begin_revocation(step) };
    }

    pub(super) fn ask_back(&mut self, leaving: Vec<TopicPartition>) {
        leaving.iter().for_each(|partition| self.buffers.drop_partition(*partition));
        self.membership.leaving = leaving;
    }

    pub(super) fn begin_revocation(&mut self, step: &mut Step) -> Stage {
        if self.membership.generation.is_none() {
            return Stage::Outside;
        }
        if self.membership.leaving.is_empty() {
            return Stage::Joining { in_flight: false };
        }
        // The application works inside its callback: that counts as being away from poll().
        self.membership.poll_deadline = step.time() + self.settings.max_poll_interval;
        self.arm(self.membership.poll_deadline, "max poll interval");
        self.events.push_back(ConsumerEvent::Revoking(self.membership.leaving.clone()));
        Stage::Revoking
    }

    pub(super) fn say_lost(&mut self, step: &mut Step) {
        let partitions = self.drop_partitions();
        if partitions.is_empty() {
            return;
        }
        let member = self.membership.held_by.unwrap_or_default();
        step.note(Note::Lost { group: self.group, member, partitions: partitions.clone() });
        self.events.push_back(ConsumerEvent::Lost(partitions));
    }

    /// The member owns `assignment` now, and `added` of it is new. Sorted, both.
    pub(super) fn own(&mut self, assignment: Vec<TopicPartition>, added: Vec<TopicPartition>, step: &mut Step) {
        let (member, generation) = self.membership.identity().expect("whoever is assigned is a member");
        for partition in &added {
            let standing =
                if self.is_told_positions { Standing::AwaitingApplication } else { Standing::AwaitingCommitted };
            self.positions.insert(*partition, Position::unknown(standing));
        }
        self.count_unsettled();
        self.offset_fetch = match self.offset_fetch {
            OffsetFetchState::Idle { .. } => OffsetFetchState::Idle { not_before: step.time() },
            OffsetFetchState::InFlight => OffsetFetchState::InFlight,
        };
        self.membership.held_by = Some(member);
        self.begin_auto_commit_interval(step);
        step.note(Note::Assigned { group: self.group, member, generation, partitions: assignment });
        self.events.push_back(ConsumerEvent::Assigned(added));
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

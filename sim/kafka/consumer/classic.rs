//! Rounds of a classic group: JoinGroup, the leader's assignment, SyncGroup, heartbeats between them.
//!
//! Eager members give everything back before a round. Cooperative ones (KIP-429) keep what they have, read on, give back what
//! they were not given again when the round is over, and join once more so that it can be given to others.
//!
//! Kafka differs: StickyAssignor remembers in its user data what this asks the member.
//!
//! Source: AbstractCoordinator, ConsumerCoordinator.onJoinPrepare/onJoinComplete, Heartbeat.

use super::*;
use crate::kafka::assignor::{Candidate, Claim, Strategy, assign, hold_back_what_moves, owners};
use crate::types::settings::Assignor;

#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Without a heartbeat's answer until then, the coordinator is looked for again.
    pub session_deadline: Time,
    join_not_before: Time,
    /// What the last round gave us, and which it was.
    given: Option<(Generation, Vec<TopicPartition>)>,
    /// Cooperative: the answer of a round, until a poll takes it.
    answered: Option<Vec<TopicPartition>>,
    /// What the leader assigned from; a change needs a new round.
    assigned_from: Option<Vec<(TopicId, u16)>>,
}

impl Round {
    pub fn new() -> Round {
        Round {
            session_deadline: Time::NEVER,
            join_not_before: Time::ZERO,
            given: None,
            answered: None,
            assigned_from: None,
        }
    }
}

impl Consumer {
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
            ErrorCode::InvalidSessionTimeout | ErrorCode::FencedInstanceId | ErrorCode::InconsistentGroupProtocol => {
                self.fail(join.error)
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
            ErrorCode::None if self.is_cooperative() => {
                self.round().answered = Some(assignment);
            }
            ErrorCode::None => self.take_assignment(assignment, step),
            ErrorCode::FencedInstanceId => self.fail(error),
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
            ErrorCode::None => self.round().session_deadline = step.time() + self.settings.session_timeout,
            ErrorCode::RebalanceInProgress => {
                self.round().session_deadline = step.time() + self.settings.session_timeout;
                if self.membership.identity() == Some(sent_as) {
                    self.want_rejoin();
                }
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration
                if self.membership.identity() == Some(sent_as) =>
            {
                self.reset_generation(error);
            }
            ErrorCode::FencedInstanceId if self.membership.identity() == Some(sent_as) => self.fail(error),
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

    /// Begins the round anew, with what is known of ourselves.
    pub(super) fn rejoin_at(&mut self, time: Time) {
        self.round().join_not_before = time;
        self.round().answered = None;
        match self.membership.stage {
            Stage::Joining { .. } | Stage::Syncing => self.membership.stage = Stage::Joining { in_flight: false },
            Stage::Outside | Stage::Committing | Stage::Revoking | Stage::Stable { .. } => {}
        }
    }

    /// The leader of the group watches the topics. Kafka: ConsumerCoordinator.rejoinNeededOrPending.
    pub(super) fn rejoin_when_partitions_changed(&mut self) {
        if let Protocol::Classic(Round { assigned_from: Some(assigned_from), .. }) = &self.membership.protocol
            && assigned_from.iter().any(|(topic, count)| self.metadata.partition_count(*topic) != Some(*count))
        {
            self.want_rejoin();
        }
    }

    /// As far as a round can go now. In a poll only.
    pub(super) fn advance_round(&mut self, step: &mut Step) {
        if self.membership.stage == Stage::Syncing
            && let Some(assignment) = self.round().answered.clone()
        {
            self.change_assignment(assignment, step);
        }
        if self.membership.stage == (Stage::Stable { rejoin: true }) {
            let leaving = if self.is_cooperative() { Vec::new() } else { self.positions.keys().copied().collect() };
            self.prepare_revocation(leaving, step);
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

    fn join(&mut self, step: &mut Step) {
        let now = step.time();
        if self.topics.iter().any(|topic| self.metadata.partition_count(*topic).is_none()) {
            return self.metadata.want_refresh();
        }
        let not_before = self.round().join_not_before;
        if now < not_before {
            return self.arm(not_before, "join backoff");
        }
        let Some(to) = self.coordinator(now) else { return };
        let request = Request::JoinGroup(JoinGroupRequest {
            group: self.group,
            member: self.membership.member,
            session_timeout: self.settings.session_timeout,
            rebalance_timeout: self.settings.max_poll_interval,
            instance: self.settings.group_instance_id,
            subscription: self.subscription(),
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
        self.round().answered = None;
        self.membership.heartbeat_due = step.time() + self.settings.heartbeat_interval;
        self.round().session_deadline = step.time() + self.settings.session_timeout;
        step.note(Note::Joined { group: self.group, member, generation });
        let assignments = if leader == member { self.assign(&members) } else { Vec::new() };
        if leader != member {
            self.round().assigned_from = None;
        }
        let Some(to) = self.coordinator(step.time()) else {
            return self.rejoin_at(step.time() + self.settings.retry_backoff);
        };
        let request = Request::SyncGroup(SyncGroupRequest {
            group: self.group,
            generation,
            member,
            instance: self.settings.group_instance_id,
            assignments,
        });
        let purpose = Purpose::SyncGroup { generation };
        self.requests.send(to, purpose, request, self.settings.request_timeout, step);
    }

    /// What whoever assigns has to know of us.
    fn subscription(&mut self) -> Subscription {
        let topics = self.topics.clone();
        let given = self.round().given.clone();
        let is_member = self.membership.identity().is_some();
        let (owned, generation) = match self.settings.partition_assignment_strategy {
            Assignor::Range | Assignor::RoundRobin => (Vec::new(), None),
            Assignor::Sticky => given.map_or((Vec::new(), None), |(generation, owned)| (owned, Some(generation))),
            Assignor::CooperativeSticky => {
                let generation = given.map(|(generation, _)| generation).filter(|_| is_member);
                (self.positions.keys().copied().collect(), generation)
            }
        };
        Subscription { topics, owned, generation }
    }

    fn assign(&mut self, members: &[(MemberId, Subscription)]) -> Vec<(MemberId, Vec<TopicPartition>)> {
        let count = |topic| self.metadata.partition_count(topic).unwrap_or(0);
        let assigned_from = self.topics.iter().map(|topic| (*topic, count(*topic))).collect();
        let mut members: Vec<&(MemberId, Subscription)> = members.iter().collect();
        members.sort_by_key(|(member, _)| *member);
        let claims: Vec<Claim> = members
            .iter()
            .map(|(member, Subscription { owned, generation, .. })| Claim {
                member: *member,
                generation: *generation,
                partitions: owned,
            })
            .collect();
        let owners = owners(&claims, self.guards);
        let candidate = |(member, Subscription { topics, owned, .. }): &&(MemberId, Subscription)| Candidate {
            member: *member,
            topics: topics.clone(),
            owned: owned.iter().copied().filter(|partition| owners.get(partition) == Some(member)).collect(),
        };
        let candidates: Vec<Candidate> = members.iter().map(candidate).collect();
        let strategy = match self.settings.partition_assignment_strategy {
            Assignor::Range => Strategy::Range,
            Assignor::RoundRobin => Strategy::RoundRobin,
            Assignor::Sticky | Assignor::CooperativeSticky => Strategy::Sticky,
        };
        let mut assigned = assign(strategy, &candidates, count);
        // A mutant gives away what its owner still has.
        if self.is_cooperative() && self.guards.stand(Guard::RevokeBeforeAssign) {
            hold_back_what_moves(&mut assigned, &owners);
        }
        self.round().assigned_from = Some(assigned_from);
        assigned
    }

    fn take_assignment(&mut self, mut assignment: Vec<TopicPartition>, step: &mut Step) {
        assert!(self.positions.is_empty(), "an eager member holds nothing when it is assigned");
        assignment.sort();
        self.membership.stage = Stage::Stable { rejoin: false };
        self.remember_given(&assignment);
        self.own(assignment.clone(), assignment, step);
    }

    /// Cooperative: what is not ours any more is given back first.
    fn change_assignment(&mut self, assignment: Vec<TopicPartition>, step: &mut Step) {
        let leaving: Vec<TopicPartition> =
            self.positions.keys().copied().filter(|partition| !assignment.contains(partition)).collect();
        if leaving.is_empty() {
            return self.complete_round(false, step);
        }
        self.ask_back(leaving);
        self.membership.stage = self.begin_revocation(step);
    }

    /// Cooperative: nothing is left to give back. `rejoin`: there was, and others wait for it.
    pub(super) fn complete_round(&mut self, rejoin: bool, step: &mut Step) {
        let Some(mut assignment) = self.round().answered.take() else { return };
        if self.membership.generation.is_none() {
            self.membership.stage = Stage::Outside;
            return;
        }
        assignment.sort();
        self.membership.stage = Stage::Stable { rejoin };
        self.remember_given(&assignment);
        let is_new = |partition: &TopicPartition| !self.positions.contains_key(partition);
        let added = assignment.iter().copied().filter(is_new).collect();
        if !self.guards.stand(Guard::KeptRecords) {
            // A mutant throws away what was fetched for partitions that are kept, and goes on behind it.
            self.skip_kept();
        }
        self.own(assignment, added, step);
    }

    pub(super) fn is_cooperative(&self) -> bool {
        matches!(self.membership.protocol, Protocol::Classic(_))
            && self.settings.partition_assignment_strategy == Assignor::CooperativeSticky
    }

    /// Something of a round waits for a poll: it comes before records.
    pub(super) fn is_round_waiting(&self) -> bool {
        matches!(&self.membership.protocol, Protocol::Classic(round) if round.answered.is_some())
    }

    fn remember_given(&mut self, assignment: &[TopicPartition]) {
        let generation = self.membership.generation.expect("whoever is assigned is a member");
        self.round().given = Some((generation, assignment.to_vec()));
    }

    /// Everything would fail from now on: poll() throws.
    pub(super) fn fail(&mut self, error: ErrorCode) {
        self.is_polling = false;
        self.membership.poll_deadline = Time::NEVER;
        if error == ErrorCode::FencedInstanceId {
            // Somebody else is who we were.
            self.membership.generation = None;
            self.membership.member = None;
            self.membership.stage = Stage::Outside;
        }
        self.events.push_back(ConsumerEvent::Failed(error));
    }

    pub(super) fn heartbeat_when_due(&mut self, step: &mut Step) {
        let now = step.time();
        let Some((member, generation)) = self.membership.identity() else { return };
        match self.membership.stage {
            Stage::Outside | Stage::Joining { .. } => return,
            Stage::Committing | Stage::Revoking | Stage::Syncing | Stage::Stable { .. } => {}
        }
        if self.closing != Closing::No {
            return;
        }
        if self.round().session_deadline <= now {
            self.round().session_deadline = Time::NEVER;
            self.forget_coordinator(None, step);
            return self.arm(now, "coordinator lookup");
        }
        let session_deadline = self.round().session_deadline;
        self.arm(session_deadline, "session timeout");
        if now < self.membership.heartbeat_due {
            return self.arm(self.membership.heartbeat_due, "heartbeat");
        }
        if self.membership.heartbeat_in_flight {
            return;
        }
        let Some(to) = self.coordinator(now) else { return };
        let request =
            Request::Heartbeat { group: self.group, generation, member, instance: self.settings.group_instance_id };
        let purpose = Purpose::Heartbeat { member, generation };
        self.requests.send(to, purpose, request, self.settings.request_timeout, step);
        self.membership.heartbeat_in_flight = true;
        self.membership.heartbeat_due = now + self.settings.heartbeat_interval;
        self.arm(self.membership.heartbeat_due, "heartbeat");
    }

    fn round(&mut self) -> &mut Round {
        match &mut self.membership.protocol {
            Protocol::Classic(round) => round,
            Protocol::Consumer(_) => unreachable!("a member of a consumer group knows no rounds"),
        }
    }
}

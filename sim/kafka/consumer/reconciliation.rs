//! A member of a consumer group: heartbeats, and walking to the assignment that they bring. KIP-848.
//!
//! The coordinator says what the member may own; the member gives back what it may not, takes what is new, and says what it
//! owns with its next heartbeat. Heartbeats go on whatever the application does; giving back and taking happen in a poll,
//! because the application is asked. What is kept is read and handed out all the while.
//!
//! Source: AbstractMembershipManager, ConsumerMembershipManager, ConsumerHeartbeatRequestManager.

use super::*;
use crate::types::record::ConsumerMember;

/// Member ids are drawn by the members; this many bits are readable everywhere. Kafka: a UUID (KIP-1082).
const MEMBER_ID_BITS: u32 = 48;

#[derive(Clone, Debug)]
pub(super) struct Reconciliation {
    /// What the coordinator last said that we may own, until we do.
    wanted: Option<Vec<TopicPartition>>,
    /// As the coordinator wants it.
    heartbeat_interval: Duration,
    /// What it knows of us: nothing before a first answer, or after one was lost.
    told: Option<Vec<TopicPartition>>,
    /// What the heartbeat that is out says that we own.
    telling: Option<Vec<TopicPartition>>,
    /// An assignment was taken since then. Also one that changes nothing must be acknowledged: the coordinator may have told
    /// us of another in between, which it believes that we took. Kafka: `localEpoch` of `LocalAssignment`.
    unacknowledged: bool,
}

impl Reconciliation {
    pub fn new() -> Reconciliation {
        Reconciliation {
            wanted: None,
            heartbeat_interval: Duration::ZERO,
            told: None,
            telling: None,
            unacknowledged: false,
        }
    }
}

impl Consumer {
    /// As far as it can go now. In a poll only.
    pub(super) fn advance_reconciliation(&mut self, step: &mut Step) {
        if self.membership.stage == Stage::Committing && !self.commits.is_committing_automatically() {
            self.membership.stage = self.begin_revocation(step);
        }
        if self.membership.stage == Stage::Outside {
            self.say_lost(step);
            *self.reconciliation() = Reconciliation::new();
            self.membership.stage = Stage::Joining { in_flight: false };
            self.membership.heartbeat_due = step.time();
        }
        let Stage::Stable { .. } = self.membership.stage else { return };
        let Some(wanted) = self.reconciliation().wanted.clone() else { return };
        let leaving: Vec<TopicPartition> =
            self.positions.keys().copied().filter(|partition| !wanted.contains(partition)).collect();
        if leaving.is_empty() {
            self.take_wanted(wanted, step);
        } else {
            self.prepare_revocation(leaving, step);
        }
    }

    /// The application has given back what it was asked for.
    pub(super) fn finish_giving_back(&mut self, step: &mut Step) {
        self.membership.stage =
            if self.membership.generation.is_some() { Stage::Stable { rejoin: false } } else { Stage::Outside };
        self.advance_reconciliation(step);
    }

    pub(super) fn handle_consumer_heartbeat(
        &mut self,
        sent: MemberEpoch,
        answer: ConsumerGroupHeartbeatResponse,
        step: &mut Step,
    ) {
        self.membership.heartbeat_in_flight = false;
        let is_expected = match sent {
            MemberEpoch::Joining => self.membership.stage == Stage::Joining { in_flight: true },
            MemberEpoch::Joined(epoch) => self.membership.generation == Some(epoch),
            MemberEpoch::Leaving | MemberEpoch::LeavingStatic => false,
        };
        if !is_expected || self.closing != Closing::No {
            return;
        }
        let retry_at = step.time() + self.settings.retry_backoff;
        match answer.error {
            ErrorCode::None => self.hear(sent, answer, step),
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => self.be_fenced(step),
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.heartbeat_lost(retry_at);
                self.forget_coordinator(None, step);
            }
            // Somebody else is who we say we are: it is there until it leaves or its session is over.
            ErrorCode::UnreleasedInstanceId | ErrorCode::InconsistentGroupProtocol | ErrorCode::InvalidRequest => {
                self.is_polling = false;
                self.events.push_back(ConsumerEvent::Failed(answer.error));
            }
            _ => self.heartbeat_lost(retry_at),
        }
    }

    /// Nobody knows what the coordinator knows of us: the next heartbeat says everything.
    pub(super) fn heartbeat_lost(&mut self, retry_at: Time) {
        self.membership.heartbeat_in_flight = false;
        self.membership.heartbeat_due = retry_at;
        let reconciliation = self.reconciliation();
        (reconciliation.told, reconciliation.telling) = (None, None);
        if let Stage::Joining { in_flight } = &mut self.membership.stage {
            *in_flight = false;
        }
    }

    /// We own nothing any more, and will not be back.
    pub(super) fn farewell(&self, member: MemberId) -> Request {
        let is_static = self.settings.group_instance_id.is_some();
        let epoch = if is_static { MemberEpoch::LeavingStatic } else { MemberEpoch::Leaving };
        Request::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest {
            group: self.group,
            member,
            epoch,
            subscription: None,
            owned: None,
        })
    }

    pub(super) fn say_where_we_are_when_due(&mut self, step: &mut Step) {
        let now = step.time();
        let epoch = match (self.membership.stage, self.membership.generation) {
            (Stage::Joining { in_flight: false }, _) => MemberEpoch::Joining,
            (Stage::Joining { in_flight: true } | Stage::Outside | Stage::Syncing, _) | (_, None) => return,
            (Stage::Committing | Stage::Revoking | Stage::Stable { .. }, Some(epoch)) => MemberEpoch::Joined(epoch),
        };
        if self.closing != Closing::No || self.membership.heartbeat_in_flight {
            return;
        }
        if now < self.membership.heartbeat_due {
            return self.arm(self.membership.heartbeat_due, "heartbeat");
        }
        let Some(to) = self.coordinator(now) else { return };
        let member = *self.membership.member.get_or_insert_with(|| MemberId(step.rng.below(1 << MEMBER_ID_BITS)));
        let owned: Vec<TopicPartition> = self.positions.keys().copied().collect();
        let is_full = epoch == MemberEpoch::Joining || self.reconciliation().told.is_none();
        let says = is_full || self.must_say(&owned);
        self.reconciliation().unacknowledged = false;
        self.reconciliation().telling = Some(owned.clone());
        let subscription = is_full.then(|| ConsumerMember {
            instance: self.settings.group_instance_id,
            topics: self.topics.clone(),
            assignor: self.settings.group_remote_assignor,
            rebalance_timeout: self.settings.max_poll_interval,
        });
        let request = Request::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest {
            group: self.group,
            member,
            epoch,
            subscription,
            owned: says.then_some(owned),
        });
        self.requests.send(to, Purpose::ConsumerHeartbeat { epoch }, request, self.settings.request_timeout, step);
        if let Stage::Joining { in_flight } = &mut self.membership.stage {
            *in_flight = true;
        }
        self.membership.heartbeat_in_flight = true;
        self.membership.heartbeat_due = now + self.reconciliation().heartbeat_interval;
    }

    fn hear(&mut self, sent: MemberEpoch, answer: ConsumerGroupHeartbeatResponse, step: &mut Step) {
        let reconciliation = self.reconciliation();
        reconciliation.told = reconciliation.telling.take();
        reconciliation.heartbeat_interval = answer.heartbeat_interval;
        if answer.assignment.is_some() {
            reconciliation.wanted = answer.assignment;
        }
        self.membership.generation = Some(answer.epoch);
        if sent == MemberEpoch::Joining {
            self.membership.stage = Stage::Stable { rejoin: false };
            self.membership.heartbeat_due = step.time() + answer.heartbeat_interval;
            step.note(Note::Joined { group: self.group, member: answer.member, generation: answer.epoch });
        }
        self.answer_at_once_when_changed(step);
    }

    /// We own what is wanted when the rest is taken. The coordinator hears of it at once.
    fn take_wanted(&mut self, mut wanted: Vec<TopicPartition>, step: &mut Step) {
        self.reconciliation().wanted = None;
        self.reconciliation().unacknowledged = true;
        wanted.sort();
        let added: Vec<TopicPartition> =
            wanted.iter().copied().filter(|partition| !self.positions.contains_key(partition)).collect();
        let is_first = self.membership.held_by != self.membership.member;
        if !added.is_empty() || is_first {
            self.own(wanted, added, step);
        }
        self.answer_at_once_when_changed(step);
    }

    fn answer_at_once_when_changed(&mut self, step: &mut Step) {
        let is_settled = self.is_settled();
        let owned: Vec<TopicPartition> = self.positions.keys().copied().collect();
        if is_settled && self.must_say(&owned) {
            self.membership.heartbeat_due = step.time();
        }
    }

    fn must_say(&mut self, owned: &Vec<TopicPartition>) -> bool {
        let reconciliation = self.reconciliation();
        reconciliation.unacknowledged || reconciliation.told.as_ref() != Some(owned)
    }

    /// The group goes on without us: everything is lost, and we join anew.
    fn be_fenced(&mut self, step: &mut Step) {
        self.reset_generation(ErrorCode::FencedMemberEpoch);
        if let Stage::Joining { in_flight } = &mut self.membership.stage {
            *in_flight = false;
            self.membership.heartbeat_due = step.time() + self.settings.retry_backoff;
        }
    }

    /// What is wanted and not yet taken comes before records.
    pub(super) fn is_settled(&self) -> bool {
        match &self.membership.protocol {
            Protocol::Consumer(reconciliation) => reconciliation.wanted.is_none(),
            Protocol::Classic(_) => true,
        }
    }

    fn reconciliation(&mut self) -> &mut Reconciliation {
        match &mut self.membership.protocol {
            Protocol::Consumer(reconciliation) => reconciliation,
            Protocol::Classic(_) => unreachable!("a member of a classic group is not told by heartbeats"),
        }
    }
}

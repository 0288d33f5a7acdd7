//! The consumer of a group: it joins, reads, hands out and commits.
//!
//! The one idea: everything that a Java consumer does inside `poll()` happens here only while a poll is **open**
//! ([`Consumer::poll`] until records are handed out): rebalances, positions, automatic commits, new fetches. Between
//! polls only the heartbeat goes on, and an answer that was already asked for is kept. So a slow application pays here
//! what it pays in Kafka, and a poll that finds kept records hands them out in the same step.
//!
//! Not here: follower reads (KIP-392), pause and resume. The
//! Java consumer asks for its coordinator on the connection it fetches on; here the coordinator's channel is used, so
//! that the question does not wait behind a parked fetch.
//!
//! Source: ClassicKafkaConsumer, ConsumerCoordinator, AbstractCoordinator, AbstractFetch, FetchCollector; KIP-62, KIP-320.

mod classic;
mod commits;
mod fetcher;
mod membership;
mod positions;
mod reconciliation;
mod requests;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::kafka::client::ClientMetadata;
use crate::types::note::{Note, PositionReason};
use crate::types::request::*;
use crate::types::settings::{AutoCommit, ConsumerSettings};
use crate::types::*;

use commits::Commits;
use fetcher::Buffers;
use membership::{Membership, Protocol, Stage};
use positions::{Position, Standing};
use requests::{InFlight, Purpose, Requests};

pub use commits::{CommitId, is_retriable};

/// How long close() tries to commit and leave. Kafka: Consumer.DEFAULT_CLOSE_TIMEOUT_MS.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a consumer tells its application, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerEvent {
    /// poll() returns. Never empty, at most `max.poll.records`, positions already advanced.
    Records(Vec<ConsumerRecord>),
    /// These have to be given back: commit what is done, then call [`Consumer::finish_revocation`].
    Revoking(Vec<TopicPartition>),
    /// The member owns these beside what it kept; after an eager round that is all it has, perhaps none.
    Assigned(Vec<TopicPartition>),
    /// The membership is over and the partitions may be somebody else's already: nothing can be committed.
    Lost(Vec<TopicPartition>),
    /// Commits of the application end in the order in which they were made.
    CommitDone { commit: CommitId, result: Result<(), ErrorCode> },
    /// poll() throws; the poll is closed. OFFSET_OUT_OF_RANGE: no position and no reset policy.
    Failed(ErrorCode),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    pub partition: TopicPartition,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub record: Record,
}

#[derive(Clone, Debug)]
pub struct Consumer {
    settings: ConsumerSettings,
    group: GroupId,
    topics: Vec<TopicId>,
    /// Records of these topics are handed out so long after they were made, and not before.
    delays: BTreeMap<TopicId, Duration>,
    channel: Channel,
    coordinator_channel: Channel,
    guards: Guards,
    metadata: ClientMetadata,
    requests: Requests,
    membership: Membership,
    commits: Commits,
    /// Where each assigned partition stands.
    positions: BTreeMap<TopicPartition, Position>,
    /// Partitions that have no valid position yet.
    unsettled: usize,
    offset_fetch: OffsetFetchState,
    buffers: Buffers,
    events: VecDeque<ConsumerEvent>,
    is_polling: bool,
    /// The application keeps the positions of what it is assigned.
    is_told_positions: bool,
    /// The application has stored offsets since the last commit behind a batch.
    is_stored_anew: bool,
    closing: Closing,
    /// Nothing that waits for an instant is due before this one.
    wake: (Time, TimerName),
}

/// The question for committed offsets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OffsetFetchState {
    Idle { not_before: Time },
    InFlight,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Closing {
    /// In use.
    No,
    /// The last commits are on their way.
    Committing { deadline: Time },
    /// LeaveGroup is on its way.
    Leaving { deadline: Time },
    /// Nothing goes out any more.
    Closed,
}

impl Consumer {
    /// `channel` is for metadata and records; the one after it is for the coordinator.
    pub fn new(
        settings: ConsumerSettings,
        group: GroupId,
        topics: Vec<TopicId>,
        channel: Channel,
        bootstrap: Vec<NodeId>,
        guards: Guards,
    ) -> Consumer {
        let metadata =
            ClientMetadata::new(bootstrap, topics.clone(), settings.metadata_max_age, settings.retry_backoff);
        Consumer {
            group,
            topics,
            delays: BTreeMap::new(),
            channel,
            coordinator_channel: Channel(channel.0 + 1),
            guards,
            metadata,
            requests: Requests::new(),
            membership: Membership::new(settings.group_protocol),
            commits: Commits::new(),
            positions: BTreeMap::new(),
            unsettled: 0,
            offset_fetch: OffsetFetchState::Idle { not_before: Time::ZERO },
            buffers: Buffers::new(),
            events: VecDeque::new(),
            is_polling: false,
            is_told_positions: false,
            is_stored_anew: false,
            closing: Closing::No,
            wake: (Time::NEVER, ""),
            settings,
        }
    }

    /// Records of a topic wait so long before they are handed out. A partition whose next record is not due yet is not
    /// fetched, and the others are: what Spring's retry topics do with pause(), seek() and resume().
    pub fn delay(&mut self, topic: TopicId, by: Duration) {
        self.delays.insert(topic, by);
    }

    /// The application keeps positions beside its data, and seeks to them whenever it is assigned something: nobody asks the
    /// group. Nothing is handed out before. Kafka: seek() in onPartitionsAssigned.
    pub fn be_told_positions(&mut self) {
        self.is_told_positions = true;
    }

    /// The application enters poll(); it stays there until records are handed out.
    pub fn poll(&mut self, step: &mut Step) {
        if self.closing != Closing::No {
            return;
        }
        self.is_polling = true;
        self.membership.poll_deadline = Time::NEVER;
        self.commit_automatically_when_due(step);
        // Kept records go out without a look at anything else, unless a round or a commit has to come first.
        if self.may_hand_out() && !self.awaits_commit() && self.hand_out(step) {
            return;
        }
        self.buffers.want_fetch();
        self.advance(step);
    }

    /// poll() returns without records, as when its timeout is over: from here on the application is away.
    pub fn leave_poll(&mut self, step: &mut Step) {
        if std::mem::take(&mut self.is_polling) {
            self.membership.poll_deadline = step.time() + self.settings.max_poll_interval;
            self.arm(self.membership.poll_deadline, "max poll interval");
        }
    }

    pub fn next_event(&mut self) -> Option<ConsumerEvent> {
        self.events.pop_front()
    }

    /// The answer to [`ConsumerEvent::Revoking`], after the application's commits.
    pub fn finish_revocation(&mut self, step: &mut Step) {
        if self.membership.stage == Stage::Revoking {
            let leaving = std::mem::take(&mut self.membership.leaving);
            self.give_back(leaving, step);
            match self.membership.protocol {
                Protocol::Classic(_) if self.is_cooperative() => self.complete_round(true, step),
                Protocol::Classic(_) => self.membership.stage = Stage::Joining { in_flight: false },
                Protocol::Consumer(_) => self.finish_giving_back(step),
            }
        }
        self.membership.poll_deadline = Time::NEVER;
        self.advance(step);
    }

    /// The application sets a position itself: for offsets kept beside its data, or to go back to where it committed last.
    pub fn seek(&mut self, partition: TopicPartition, offset: Offset, step: &mut Step) {
        if self.positions.contains_key(&partition) {
            self.buffers.drop_partition(partition);
            self.set_position(partition, offset, None, PositionReason::Stored, step);
            self.advance(step);
        }
    }

    /// The application keeps no position of the partition: the reset policy finds one.
    pub fn seek_by_policy(&mut self, partition: TopicPartition, step: &mut Step) {
        if self.positions.contains_key(&partition) {
            self.reset_position(partition);
            self.advance(step);
        }
    }

    /// The next automatic commit is of these. What is not assigned is left alone.
    /// librdkafka: rd_kafka_offsets_store; kafkajs: resolveOffset.
    pub fn store_offsets(&mut self, offsets: &[(TopicPartition, Offset)]) {
        self.is_stored_anew |= !offsets.is_empty();
        for (partition, offset) in offsets {
            self.positions.get_mut(partition).into_iter().for_each(|position| position.stored = Some(*offset));
        }
    }

    /// Commits and leaves. Positions count as processed, as in the Java client. Kafka: Consumer.close().
    pub fn close(&mut self, step: &mut Step) {
        if self.closing != Closing::No {
            return;
        }
        self.is_polling = false;
        self.membership.poll_deadline = Time::NEVER;
        let deadline = step.time() + CLOSE_TIMEOUT;
        if self.settings.enable_auto_commit {
            self.commit_positions(true, deadline, step);
        }
        self.closing = Closing::Committing { deadline };
        self.advance(step);
    }

    pub fn handle_response(
        &mut self,
        channel: Channel,
        from: NodeId,
        correlation: Correlation,
        response: Response,
        step: &mut Step,
    ) {
        let Some(request) = self.requests.answered(correlation) else { return };
        assert!(request.channel == channel, "an answer on another channel than its question");
        assert!(request.to == from, "an answer from another broker than was asked");
        self.settle(correlation, request, response, step);
        self.advance(step);
    }

    pub fn handle_disconnected(&mut self, channel: Channel, peer: NodeId, step: &mut Step) {
        self.lose_connection(channel, peer, step);
        self.advance(step);
    }

    pub fn handle_timeout(&mut self, step: &mut Step) {
        while let Some((channel, peer)) = self.requests.overdue(step.time()) {
            step.close(channel, peer);
            self.lose_connection(channel, peer, step);
        }
        self.advance(step);
    }

    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Who this consumer is in its group, for offsets that a transaction commits; `None` outside of a round. KIP-447.
    pub fn group_metadata(&self) -> Option<(MemberId, Generation)> {
        self.membership.identity()
    }

    /// The partition is one of those that this member was given and has not given back.
    pub fn owns(&self, partition: TopicPartition) -> bool {
        self.positions.contains_key(&partition)
    }

    pub fn is_closed(&self) -> bool {
        self.closing == Closing::Closed
    }

    /// A poll is open: the application waits for an event.
    pub fn is_polling(&self) -> bool {
        self.is_polling
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        if self.is_closed() {
            return None;
        }
        let metadata = (self.metadata.next_deadline().unwrap_or(Time::NEVER), "metadata");
        let timeout = (self.requests.earliest_deadline(), "request timeout");
        let next = [self.wake, metadata, timeout].into_iter().min_by_key(|(time, _)| *time)?;
        (next.0 < Time::NEVER).then_some(next)
    }

    /// Cheap relations that only a bug of ours can break.
    pub fn check_invariants(&self) {
        assert!(self.unsettled <= self.positions.len(), "more unsettled partitions than partitions");
        assert!(!self.is_polling || self.closing == Closing::No, "a poll of a closing consumer");
    }

    /// Does whatever can be done now. Whoever has to wait for an instant arms it again.
    fn advance(&mut self, step: &mut Step) {
        if self.is_closed() {
            return;
        }
        if self.wake.0 <= step.time() {
            self.wake = (Time::NEVER, "");
            self.buffers.want_fetch();
        }
        self.ask_metadata(step);
        self.advance_commits(step);
        self.advance_membership(step);
        // A commit may have to fail for what the membership has become.
        self.advance_commits(step);
        match self.closing {
            Closing::No => {}
            Closing::Committing { .. } | Closing::Leaving { .. } => self.advance_closing(step),
            Closing::Closed => return,
        }
        let by_clock = match self.settings.auto_commit {
            AutoCommit::ByClock | AutoCommit::Stored => true,
            AutoCommit::InPoll | AutoCommit::BehindBatch => false,
        };
        if by_clock || !self.guards.stand(Guard::AutoCommitInPoll) {
            // Another library, and a mutant of this one, commit by the clock, whatever the application has in hand.
            self.commit_automatically_when_due(step);
        }
        if self.is_polling && self.may_hand_out() {
            self.commit_automatically_when_due(step);
            self.settle_positions(step);
            if !self.awaits_commit() && !self.hand_out(step) {
                self.fetch(step);
            }
        }
        self.check_invariants();
    }

    fn ask_metadata(&mut self, step: &mut Step) {
        if self.metadata.next_deadline().is_none_or(|due| step.time() < due) {
            return;
        }
        let correlation = self.requests.next_correlation();
        if self.metadata.advance(self.channel, correlation, step) {
            let broker = self.metadata.asked_broker().expect("asked just now");
            let deadline = step.time() + self.settings.request_timeout;
            self.requests.expect(correlation, (self.channel, broker), Purpose::Metadata, deadline);
        }
    }

    fn advance_closing(&mut self, step: &mut Step) {
        if let Closing::Committing { deadline } = self.closing
            && (self.commits.is_empty() || deadline <= step.time())
        {
            let is_leaving = self.leave_group(step);
            self.give_back(self.positions.keys().copied().collect(), step);
            self.closing = if is_leaving { Closing::Leaving { deadline } } else { Closing::Closed };
        }
        match self.closing {
            Closing::Leaving { deadline } if deadline <= step.time() => self.closing = Closing::Closed,
            Closing::Committing { deadline } | Closing::Leaving { deadline } => self.arm(deadline, "close timeout"),
            Closing::No | Closing::Closed => {}
        }
    }

    /// An answer is here for who asked.
    fn settle(&mut self, correlation: Correlation, request: InFlight, response: Response, step: &mut Step) {
        match (request.purpose, response) {
            (Purpose::Metadata, Response::Metadata(metadata)) => {
                if self.metadata.handle_response(correlation, &metadata, step) {
                    self.follow_metadata();
                }
            }
            (Purpose::FindCoordinator, Response::FindCoordinator { error, coordinator }) => {
                self.handle_find_coordinator(error, coordinator, step);
            }
            (Purpose::JoinGroup, Response::JoinGroup(join)) => self.handle_join_group(join, step),
            (Purpose::SyncGroup { generation }, Response::SyncGroup { error, assignment }) => {
                self.handle_sync_group(generation, error, assignment, step);
            }
            (Purpose::Heartbeat { member, generation }, Response::Heartbeat(error)) => {
                self.handle_heartbeat((member, generation), error, step);
            }
            (Purpose::LeaveGroup, Response::LeaveGroup(_) | Response::ConsumerGroupHeartbeat(_)) => {
                self.finish_leaving()
            }
            (Purpose::ConsumerHeartbeat { epoch }, Response::ConsumerGroupHeartbeat(answer)) => {
                self.handle_consumer_heartbeat(epoch, answer, step);
            }
            (Purpose::OffsetFetch, Response::OffsetFetch { error, offsets }) => {
                self.handle_offset_fetch(error, offsets, step);
            }
            (Purpose::Commit { number, membership }, Response::OffsetCommit { error }) => {
                self.handle_commit(number, membership, error, step);
            }
            (Purpose::Fetch, Response::Fetch(fetch)) => self.handle_fetch(request.to, fetch, step),
            (Purpose::ListOffsets { partitions, earliest }, Response::ListOffsets(offsets)) => {
                self.handle_list_offsets(partitions, earliest, offsets, step);
            }
            (Purpose::ValidateOffsets { partitions }, Response::OffsetForLeaderEpoch(ends)) => {
                self.handle_epoch_ends(partitions, ends, step);
            }
            // An answer to another question is no answer.
            (purpose, _) => self.lose_request(request.to, purpose, step),
        }
    }

    /// The connection is gone with everything that was owed on it.
    fn lose_connection(&mut self, channel: Channel, peer: NodeId, step: &mut Step) {
        let lost = self.requests.disconnected(channel, peer, &self.settings, step);
        if channel == self.channel {
            self.metadata.handle_disconnected(peer);
        } else {
            self.forget_coordinator(Some(peer), step);
        }
        lost.into_iter().for_each(|request| self.lose_request(request.to, request.purpose, step));
    }

    /// This answer will never come.
    fn lose_request(&mut self, asked: NodeId, purpose: Purpose, step: &mut Step) {
        let now = step.time();
        let retry = now + self.settings.retry_backoff;
        match purpose {
            Purpose::Metadata => self.metadata.handle_disconnected(asked),
            Purpose::FindCoordinator => self.lose_find_coordinator(step),
            Purpose::JoinGroup | Purpose::SyncGroup { .. } => self.rejoin_at(retry),
            Purpose::Heartbeat { .. } => self.membership.heartbeat_in_flight = false,
            Purpose::ConsumerHeartbeat { .. } => self.heartbeat_lost(retry),
            Purpose::LeaveGroup => self.finish_leaving(),
            Purpose::OffsetFetch => self.offset_fetch = OffsetFetchState::Idle { not_before: retry },
            Purpose::Commit { number, membership } => {
                self.handle_commit(number, membership, ErrorCode::RequestTimedOut, step);
            }
            Purpose::Fetch => self.lose_fetch(asked),
            Purpose::ListOffsets { partitions, .. } | Purpose::ValidateOffsets { partitions } => {
                self.retry_positions(&partitions, retry);
            }
        }
    }

    fn finish_leaving(&mut self) {
        if matches!(self.closing, Closing::Leaving { .. }) {
            self.closing = Closing::Closed;
        }
    }

    /// What a new metadata image changes: leaders to fetch from, epochs to validate, the leader's assignment.
    fn follow_metadata(&mut self) {
        self.buffers.want_fetch();
        for (partition, position) in &mut self.positions {
            let Some((_, leader_epoch)) = self.metadata.leader(*partition) else { continue };
            if position.follow_leader(leader_epoch) {
                // Kept records may be of a log that was cut; they are fetched again if not.
                self.unsettled += 1;
                self.buffers.drop_partition(*partition);
            }
        }
        self.rejoin_when_partitions_changed();
    }

    /// The partitions are not ours any more, in order.
    fn give_back(&mut self, mut partitions: Vec<TopicPartition>, step: &mut Step) {
        partitions.retain(|partition| self.positions.remove(partition).is_some());
        partitions.iter().for_each(|partition| self.buffers.drop_partition(*partition));
        self.count_unsettled();
        let (group, member) = (self.group, self.membership.held_by.unwrap_or_default());
        if partitions.is_empty() {
            return;
        }
        // Thrown out in the meantime: what the application still committed was refused.
        let is_member = self.membership.generation.is_some();
        step.note(if is_member {
            Note::Revoked { group, member, partitions }
        } else {
            Note::Lost { group, member, partitions }
        });
    }

    fn drop_partitions(&mut self) -> Vec<TopicPartition> {
        let partitions: Vec<TopicPartition> = self.positions.keys().copied().collect();
        self.positions.clear();
        self.membership.leaving.clear();
        self.unsettled = 0;
        self.buffers.clear();
        partitions
    }

    fn arm(&mut self, time: Time, name: TimerName) {
        if time < self.wake.0 {
            self.wake = (time, name);
        }
    }
}

//! The Raft part of a controller: who leads the metadata log, and how far it is committed. KIP-595.
//!
//! The one idea: replication is pulled. The leader never pushes entries; a follower's fetch says how far its log
//! reaches, and the offset that a majority has asked for is committed. An epoch, a vote and an append are flushed
//! before anybody hears of them, so a voter never takes back what it said (guard R21). Before an election a voter asks
//! whether it could win at all, so that one who was cut off does not disturb the others when it is back (KIP-996).
//!
//! Elections live here, fetching on both sides in `quorum_fetch.rs`. What the records mean is not known here.
//! Kafka differs: no EndQuorumEpoch, no change of voters (KIP-853), no snapshots (KIP-630).
//! Source: KIP-595, KIP-996, org.apache.kafka.raft.KafkaRaftClient, QuorumState, LeaderState; Ongaro, "Consensus" (2014).

use std::collections::BTreeMap;

use super::quorum_fetch::{Follower, Leader};
use super::quorum_log::{self, QuorumLog};
use crate::types::metadata::MetadataRecord;
use crate::types::note::Note;
use crate::types::request::{ErrorCode, QuorumEntry, Request, Response, VoteRequest};
use crate::types::settings::BrokerSettings;
use crate::types::storage::{QuorumState, StorageOperation};
use crate::types::*;

/// Follower to leader. Of its own, because a fetch is held back by the leader and would hold a vote back too.
pub(super) const FETCH_CHANNEL: Channel = Channel(10);
/// Votes and announcements of a leader.
const ELECTION_CHANNEL: Channel = Channel(11);
/// Kafka: controller.quorum.retry.backoff.ms.
pub(super) const RETRY_BACKOFF: Duration = Duration::from_millis(20);
/// After a broken connection. Kafka's client of the quorum waits from 50 to 500 ms. KafkaRaftManager.buildNetworkClient.
pub(super) const RECONNECT_BACKOFF: Duration = Duration::from_millis(100);
/// First step of the pause between two elections. Kafka: KafkaRaftClient, RETRY_BACKOFF_BASE_MS.
const ELECTION_BACKOFF: Duration = Duration::from_millis(100);

/// One voter of the controller quorum.
#[derive(Clone, Debug)]
pub(super) struct Quorum {
    pub id: NodeId,
    voters: Vec<NodeId>,
    pub settings: BrokerSettings,
    guards: Guards,
    pub log: QuorumLog,
    pub epoch: QuorumEpoch,
    /// In `epoch`. Durable before it is told.
    voted_for: Option<NodeId>,
    /// First offset not known to be committed.
    pub high_watermark: Offset,
    pub role: Role,
    correlation: u64,
    /// Peers that owe an answer on the election channel, and since when.
    unanswered: BTreeMap<NodeId, Time>,
}

/// What a voter is in its epoch. Kafka: EpochState.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// *Meaning*: knows no leader of the epoch. *Answers*: grants its vote once, refuses fetches.
    /// *Leaves to*: Candidate when `election_at` passes, Follower when it hears of a leader.
    Unattached { election_at: Time },
    /// *Meaning*: asks the others, first whether it could win, then, with its own vote, for theirs. *Answers*: says
    /// to others whether they could win, refuses fetches, and votes once as long as it has not voted for itself.
    /// *Leaves to*: Leader with a majority, Follower when another one wins, Candidate again otherwise.
    Candidate(Candidate),
    /// *Meaning*: copies the leader's log. *Answers*: refuses votes of its epoch, refuses fetches with a hint.
    /// *Leaves to*: Candidate when the leader is silent for the fetch timeout.
    Follower(Follower),
    /// *Meaning*: the only one of its epoch that appends. *Answers*: serves fetches.
    /// *Leaves to*: Unattached when a majority is silent or a higher epoch is heard of.
    Leader(Leader),
}

#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Asks for pre-votes, still in the epoch before. Kafka: ProspectiveState.
    pub prospective: bool,
    /// First request of this round: earlier ones are of no interest any more.
    first: Correlation,
    ballots: BTreeMap<NodeId, Ballot>,
    /// Elections in a row that this voter began, this one included.
    elections: u32,
    /// End of the election, or of the pause after a lost one.
    deadline: Time,
    lost: bool,
    /// When to ask those again whose connection broke.
    ask_again: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ballot {
    Asked,
    /// The connection broke before the answer.
    Unheard,
    Granted,
    Rejected,
}

impl Quorum {
    pub fn new(id: NodeId, voters: Vec<NodeId>, settings: BrokerSettings, guards: Guards) -> Quorum {
        assert!(voters.contains(&id), "a controller is a voter");
        Quorum {
            id,
            voters,
            settings,
            guards,
            log: QuorumLog::recover(Vec::new()),
            epoch: QuorumEpoch(0),
            voted_for: None,
            high_watermark: Offset::ZERO,
            role: Role::Unattached { election_at: Time::NEVER },
            correlation: 0,
            unanswered: BTreeMap::new(),
        }
    }

    /// Goes on from what is on disk. How far the log is committed is not on disk: the next leader will tell.
    pub fn start(&mut self, log: Vec<QuorumEntry>, state: QuorumState, step: &mut Step) {
        self.log = QuorumLog::recover(log);
        self.epoch = state.epoch;
        self.voted_for = state.voted_for;
        if self.epoch < self.log.last_epoch() {
            // The state was lost and the log was not: whatever was voted in that epoch is unknown, so it is over.
            self.epoch = self.log.last_epoch();
            self.voted_for = None;
        }
        if self.majority() == 1 {
            self.seek_election(0, step);
        } else {
            self.role = Role::Unattached { election_at: self.election_timeout(step) };
        }
    }

    // --- requests ---

    pub fn handle_vote(&mut self, from: ReplyTo, request: VoteRequest, step: &mut Step) {
        if !self.voters.contains(&request.candidate) || request.candidate == self.id {
            return self.reply_vote(from, false, step);
        }
        if request.epoch > self.epoch {
            self.enter_epoch(request.epoch, None, step);
        }
        let candidate_log = (request.last_epoch, request.end_offset);
        let own_log = (self.log.last_epoch(), self.log.end_offset());
        let free = match &self.role {
            Role::Leader(_) => false,
            Role::Follower(follower) => request.pre_vote && !follower.heard,
            Role::Unattached { .. } | Role::Candidate(_) => {
                request.pre_vote || self.voted_for.is_none_or(|voted| voted == request.candidate)
            }
        };
        let granted = request.epoch == self.epoch && free && candidate_log >= own_log;
        if granted && !request.pre_vote {
            self.voted_for = Some(request.candidate);
            self.persist(step);
            self.role = Role::Unattached { election_at: self.election_timeout(step) };
            step.note(Note::VoteGranted { epoch: self.epoch, to: request.candidate });
        }
        self.reply_vote(from, granted, step);
    }

    pub fn handle_begin_epoch(&mut self, from: ReplyTo, epoch: QuorumEpoch, leader: NodeId, step: &mut Step) {
        let known = self.leader();
        let error = if epoch < self.epoch {
            ErrorCode::FencedQuorumEpoch
        } else if leader == self.id || (epoch == self.epoch && known.is_some_and(|known| known != leader)) {
            // Two leaders in one epoch: a voter has forgotten what it said. The first one is kept.
            ErrorCode::InvalidRequest
        } else {
            if epoch > self.epoch || known.is_none() {
                self.enter_epoch(epoch, Some(leader), step);
            }
            ErrorCode::None
        };
        step.reply(from, Response::BeginQuorumEpoch { error, epoch: self.epoch });
    }

    // --- answers ---

    pub fn handle_response(
        &mut self,
        channel: Channel,
        from: NodeId,
        correlation: Correlation,
        response: Response,
        step: &mut Step,
    ) {
        if channel == ELECTION_CHANNEL {
            self.unanswered.remove(&from);
        }
        match response {
            Response::Vote { epoch, leader, granted } => {
                // Whoever grants a pre-vote has not heard of its leader either: following that one again would make two
                // voters call each other back for as long as the leader is silent.
                let leader = leader.filter(|_| !granted);
                if !self.learn_epoch(epoch, leader, step) && epoch == self.epoch {
                    self.handle_ballot(from, correlation, granted, step);
                }
            }
            Response::BeginQuorumEpoch { epoch, .. } => {
                self.learn_epoch(epoch, None, step);
            }
            Response::FetchQuorum(fetched) => self.handle_fetched(correlation, fetched, step),
            // A controller asks nothing else of anybody.
            Response::Metadata(_)
            | Response::Produce(_)
            | Response::Fetch(_)
            | Response::ListOffsets(_)
            | Response::OffsetForLeaderEpoch(_)
            | Response::InitProducerId { .. }
            | Response::FindCoordinator { .. }
            | Response::JoinGroup(_)
            | Response::SyncGroup { .. }
            | Response::Heartbeat(_)
            | Response::LeaveGroup(_)
            | Response::ConsumerGroupHeartbeat(_)
            | Response::OffsetCommit { .. }
            | Response::OffsetFetch { .. }
            | Response::BrokerRegistration { .. }
            | Response::BrokerHeartbeat(_)
            | Response::AlterPartition(_)
            | Response::AllocateProducerIds { .. }
            | Response::Call(_)
            | Response::Store(_)
            | Response::Endpoint(_)
            | Response::Rows(_)
            | Response::KeptPositions(_)
            | Response::AddPartitionsToTxn { .. }
            | Response::EndTxn { .. }
            | Response::WriteTxnMarkers { .. }
            | Response::TxnOffsetCommit { .. } => {}
        }
    }

    pub fn handle_disconnected(&mut self, channel: Channel, peer: NodeId, step: &mut Step) {
        if channel == FETCH_CHANNEL {
            self.fetch_disconnected(peer, step);
        }
        if channel != ELECTION_CHANNEL {
            return;
        }
        self.unanswered.remove(&peer);
        if let Role::Candidate(candidate) = &mut self.role
            && candidate.ballots.get(&peer) == Some(&Ballot::Asked)
        {
            candidate.ballots.insert(peer, Ballot::Unheard);
            candidate.ask_again.get_or_insert(step.time() + RECONNECT_BACKOFF);
        }
    }

    fn handle_ballot(&mut self, voter: NodeId, correlation: Correlation, granted: bool, step: &mut Step) {
        let majority = self.majority();
        let Role::Candidate(candidate) = &mut self.role else { return };
        if correlation < candidate.first || candidate.lost {
            return;
        }
        candidate.ballots.insert(voter, if granted { Ballot::Granted } else { Ballot::Rejected });
        let count = |wanted: Ballot| candidate.ballots.values().filter(|ballot| **ballot == wanted).count();
        // Its own vote is not among the ballots.
        if count(Ballot::Granted) + 1 >= majority {
            match (candidate.prospective, candidate.elections) {
                (true, elections) => self.start_election(elections, step),
                (false, _) => self.become_leader(step),
            }
        } else if count(Ballot::Rejected) > self.voters.len() - majority {
            self.lose_election(step);
        }
    }

    // --- time ---

    pub fn handle_timeout(&mut self, step: &mut Step) {
        match &self.role {
            Role::Unattached { election_at } => {
                if *election_at <= step.time() {
                    self.seek_election(0, step);
                }
            }
            Role::Candidate(candidate) => {
                let (elections, lost) = (candidate.elections, candidate.lost);
                if candidate.deadline <= step.time() {
                    if lost {
                        self.seek_election(elections, step);
                    } else {
                        self.lose_election(step);
                    }
                } else if candidate.ask_again.is_some_and(|at| at <= step.time()) {
                    self.ask_again(step);
                }
            }
            Role::Follower(_) => self.follower_timeout(step),
            Role::Leader(_) => self.leader_timeout(step),
        }
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let (at, name) = match &self.role {
            Role::Unattached { election_at } => (*election_at, "quorum election"),
            Role::Candidate(candidate) => {
                (candidate.ask_again.unwrap_or(Time::NEVER).min(candidate.deadline), "quorum election")
            }
            Role::Follower(follower) => follower.next_deadline(&self.settings),
            Role::Leader(leader) => leader.next_deadline(self.majority(), &self.settings),
        };
        (at < Time::NEVER).then_some((at, name))
    }

    // --- roles ---

    /// Asks whether an election could be won. `lost` elections in a row lie behind.
    pub fn seek_election(&mut self, lost: u32, step: &mut Step) {
        if self.majority() == 1 {
            return self.start_election(lost, step);
        }
        self.leave_role(step);
        self.ask_all(true, lost + 1, step);
    }

    /// Begins the next epoch as a candidate.
    fn start_election(&mut self, elections: u32, step: &mut Step) {
        self.leave_role(step);
        self.epoch = QuorumEpoch(self.epoch.0 + 1);
        self.voted_for = Some(self.id);
        self.persist(step);
        step.note(Note::BecameCandidate { epoch: self.epoch });
        match self.majority() {
            1 => self.become_leader(step),
            _ => self.ask_all(false, elections, step),
        }
    }

    fn ask_all(&mut self, prospective: bool, elections: u32, step: &mut Step) {
        self.role = Role::Candidate(Candidate {
            prospective,
            first: Correlation(self.correlation + 1),
            ballots: self.others().map(|voter| (voter, Ballot::Unheard)).collect(),
            elections,
            deadline: self.election_timeout(step),
            lost: false,
            ask_again: None,
        });
        self.ask_again(step);
    }

    /// Follows or waits in an epoch that another voter told of.
    pub fn enter_epoch(&mut self, epoch: QuorumEpoch, leader: Option<NodeId>, step: &mut Step) {
        assert!(self.epoch <= epoch, "quorum epoch went back");
        // Only a granted vote puts an own election off, or a voter that cannot win could starve those that can.
        let election_at = match &self.role {
            Role::Unattached { election_at } => *election_at,
            Role::Candidate(candidate) => candidate.deadline,
            Role::Follower(follower) => follower.timeout_at,
            Role::Leader(_) => self.election_timeout(step),
        };
        let former = self.leave_role(step);
        if self.epoch < epoch {
            self.epoch = epoch;
            self.voted_for = None;
            self.persist(step);
        }
        match leader.filter(|leader| *leader != self.id) {
            Some(leader) => self.follow(leader, step),
            None => self.role = Role::Unattached { election_at },
        }
        self.refuse_parked(former, step);
    }

    /// Steps down within the epoch: too few voters are heard of, or the process stops.
    pub fn resign(&mut self, step: &mut Step) {
        let former = self.leave_role(step);
        self.role = Role::Unattached { election_at: self.election_timeout(step) };
        self.refuse_parked(former, step);
    }

    /// Takes note of what an answer says of epoch and leader; true when this voter's role has changed by it.
    pub fn learn_epoch(&mut self, epoch: QuorumEpoch, leader: Option<NodeId>, step: &mut Step) -> bool {
        let leader = leader.filter(|leader| *leader != self.id);
        let news = epoch > self.epoch || (epoch == self.epoch && leader.is_some() && self.leader().is_none());
        if news {
            self.enter_epoch(epoch, leader, step);
        }
        news
    }

    fn become_leader(&mut self, step: &mut Step) {
        let voters = self.others().collect::<Vec<_>>();
        let epoch_start = self.log.end_offset();
        self.role = Role::Leader(Leader::new(epoch_start, &voters, step.time(), &self.settings));
        step.note(Note::BecameController { epoch: self.epoch });
        // Kafka: LeaderChangeMessage. Only an entry of its own epoch can commit those of former epochs.
        self.write(vec![quorum_log::entry(epoch_start, self.epoch, Vec::new())], step);
        for voter in voters {
            self.announce(voter, step);
        }
    }

    fn lose_election(&mut self, step: &mut Step) {
        let Role::Candidate(candidate) = &mut self.role else { return };
        let doubled = ELECTION_BACKOFF * (1 << candidate.elections.min(10));
        let most = doubled.min(self.settings.controller_quorum_election_backoff_max);
        candidate.lost = true;
        candidate.ask_again = None;
        candidate.deadline = step.time() + Duration(1 + step.rng.below(most.0.max(1)));
    }

    /// Says goodbye in the role it has. A leader's parked fetches are handed back to be refused.
    fn leave_role(&mut self, step: &mut Step) -> Option<Leader> {
        match std::mem::replace(&mut self.role, Role::Unattached { election_at: Time::NEVER }) {
            Role::Leader(leader) => {
                step.note(Note::ResignedController { epoch: self.epoch });
                Some(leader)
            }
            Role::Follower(follower) => {
                follower.leave(step);
                None
            }
            Role::Unattached { .. } | Role::Candidate(_) => None,
        }
    }

    // --- sending ---

    fn ask_again(&mut self, step: &mut Step) {
        let Role::Candidate(candidate) = &mut self.role else { return };
        candidate.ask_again = None;
        let pre_vote = candidate.prospective;
        let mut unheard = Vec::new();
        for (voter, ballot) in &mut candidate.ballots {
            if *ballot == Ballot::Unheard {
                *ballot = Ballot::Asked;
                unheard.push(*voter);
            }
        }
        let request = VoteRequest {
            epoch: self.epoch,
            pre_vote,
            candidate: self.id,
            last_epoch: self.log.last_epoch(),
            end_offset: self.log.end_offset(),
        };
        for voter in unheard {
            self.send_election(voter, Request::Vote(request.clone()), step);
        }
    }

    /// Tells a voter who leads.
    pub fn announce(&mut self, voter: NodeId, step: &mut Step) {
        self.send_election(voter, Request::BeginQuorumEpoch { epoch: self.epoch, leader: self.id }, step);
    }

    /// A connection that owes an answer for too long is given up first. Kafka: RequestManager.
    fn send_election(&mut self, to: NodeId, request: Request, step: &mut Step) {
        let timeout = self.settings.controller_quorum_request_timeout;
        if self.unanswered.get(&to).is_some_and(|since| *since + timeout <= step.time()) {
            step.close(ELECTION_CHANNEL, to);
            self.unanswered.remove(&to);
        }
        self.unanswered.entry(to).or_insert(step.time());
        let correlation = self.next_correlation();
        step.send(ELECTION_CHANNEL, to, correlation, request);
    }

    pub fn next_correlation(&mut self) -> Correlation {
        self.correlation += 1;
        Correlation(self.correlation)
    }

    fn reply_vote(&self, from: ReplyTo, granted: bool, step: &mut Step) {
        step.reply(from, Response::Vote { epoch: self.epoch, leader: self.leader(), granted });
    }

    // --- storage ---

    /// Epoch and vote are on disk before anything behind this is said.
    fn persist(&self, step: &mut Step) {
        let state = QuorumState { epoch: self.epoch, voted_for: self.voted_for };
        step.storage(StorageOperation::WriteQuorumState(state));
        self.flush(step);
    }

    /// Adds entries at the end and flushes them, before anybody hears of them.
    pub fn store(&mut self, entries: Vec<QuorumEntry>, step: &mut Step) {
        for entry in entries {
            let said = Note::QuorumAppended { offset: entry.offset, epoch: entry.epoch };
            step.storage(StorageOperation::AppendQuorum { entry: entry.clone() });
            // Not before: a disk that stalls or fails would have it that a voter holds what it does not.
            step.note(said);
            self.log.append(entry);
        }
        self.flush(step);
    }

    fn flush(&self, step: &mut Step) {
        if self.guards.stand(Guard::QuorumFlush) {
            step.storage(StorageOperation::FlushQuorum);
        }
    }

    // --- the leader's log ---

    /// Takes records for the next entry. They are written together with others, after the linger.
    pub fn append(&mut self, records: Vec<MetadataRecord>, step: &mut Step) -> Offset {
        let offset = self.next_offset();
        let linger = self.settings.controller_quorum_append_linger;
        let entry = quorum_log::entry(offset, self.epoch, records);
        let Role::Leader(leader) = &mut self.role else { panic!("append on a voter that does not lead") };
        leader.accumulated.push(entry);
        if linger.is_zero() {
            self.drain(step);
        } else {
            leader.append_at.get_or_insert(step.time() + linger);
        }
        offset
    }

    /// Offset of the next entry that is appended here.
    pub fn next_offset(&self) -> Offset {
        let waiting = match &self.role {
            Role::Leader(leader) => leader.accumulated.len(),
            Role::Unattached { .. } | Role::Candidate(_) | Role::Follower(_) => 0,
        };
        self.log.end_offset().plus(waiting as u64)
    }

    // --- questions ---

    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(_) => Some(self.id),
            Role::Follower(follower) => Some(follower.leader),
            Role::Unattached { .. } | Role::Candidate(_) => None,
        }
    }

    /// The leader whose first entry is committed, and where its epoch starts. Kafka: LeaderState.epochStartOffset.
    pub fn epoch_start(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leader) => Some(leader.epoch_start),
            Role::Unattached { .. } | Role::Candidate(_) | Role::Follower(_) => None,
        }
    }

    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    pub fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.iter().copied().filter(|voter| *voter != self.id)
    }

    /// Between once and twice the election timeout from now, so that two voters seldom begin together.
    fn election_timeout(&self, step: &mut Step) -> Time {
        let timeout = self.settings.controller_quorum_election_timeout;
        step.time() + timeout + Duration(step.rng.below(timeout.0.max(1)))
    }

    pub fn check_invariants(&self) {
        assert!(self.high_watermark <= self.log.end_offset(), "committed past the end of the metadata log");
        assert!(self.log.last_epoch() <= self.epoch, "metadata log ahead of its quorum epoch");
    }
}

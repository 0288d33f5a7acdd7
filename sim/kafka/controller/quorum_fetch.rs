//! Fetching the metadata log: the leader's side, the follower's side, and what is committed.
//!
//! A fetch names the end of the fetcher's log, (epoch, offset). If that point is not in the leader's log, the answer
//! says where the logs part and the follower truncates; otherwise the offset counts as an acknowledgement. A fetch
//! that finds nothing new is parked until there is something to tell or its wait is over. Observers (brokers) see
//! only what is committed, so they never truncate.
//! Source: KIP-595 "Fetch"; KafkaRaftClient.handleFetchRequest, LeaderState.maybeUpdateHighWatermark.

use std::collections::BTreeMap;

use super::quorum::{FETCH_CHANNEL, Quorum, RECONNECT_BACKOFF, RETRY_BACKOFF, Role};
use crate::types::note::Note;
use crate::types::request::*;
use crate::types::settings::BrokerSettings;
use crate::types::storage::StorageOperation;
use crate::types::*;

/// Entries in one answer at most; the rest is fetched at once.
const ENTRIES_MAX: u64 = 500;

/// What a leader knows.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// Where its own epoch begins in the log.
    pub epoch_start: Offset,
    voters: BTreeMap<NodeId, VoterProgress>,
    parked: Vec<ParkedFetch>,
    /// When to tell silent voters again who leads.
    announce_at: Time,
    /// Entries that have an offset and wait for the linger to be written. Kafka: BatchAccumulator.
    pub accumulated: Vec<QuorumEntry>,
    pub append_at: Option<Time>,
}

#[derive(Clone, Debug)]
struct VoterProgress {
    /// Everything below is on the voter's disk.
    fetch_offset: Offset,
    fetched_at: Time,
    /// High watermark of the last answer.
    told: Offset,
}

#[derive(Clone, Debug)]
struct ParkedFetch {
    from: ReplyTo,
    replica: NodeId,
    voter: bool,
    fetch_offset: Offset,
    until: Time,
}

/// What a follower knows.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub leader: NodeId,
    /// Stands for election when this passes without an answer of the leader.
    pub timeout_at: Time,
    /// Has had an answer of this leader: no reason yet to help another one.
    pub heard: bool,
    fetch: FetchState,
}

#[derive(Clone, Debug)]
enum FetchState {
    InFlight { correlation: Correlation, since: Time },
    Due(Time),
}

impl Leader {
    pub fn new(epoch_start: Offset, voters: &[NodeId], now: Time, settings: &BrokerSettings) -> Leader {
        let unknown = VoterProgress { fetch_offset: Offset::ZERO, fetched_at: now, told: Offset::ZERO };
        Leader {
            epoch_start,
            voters: voters.iter().map(|voter| (*voter, unknown.clone())).collect(),
            parked: Vec::new(),
            announce_at: now + settings.controller_quorum_fetch_timeout / 2,
            accumulated: Vec::new(),
            append_at: None,
        }
    }

    pub fn next_deadline(&self, majority: usize, settings: &BrokerSettings) -> (Time, TimerName) {
        let parked = self.parked.iter().map(|parked| parked.until).min().unwrap_or(Time::NEVER);
        let announce = if self.voters.is_empty() { Time::NEVER } else { self.announce_at };
        let deadlines = [
            (self.append_at.unwrap_or(Time::NEVER), "quorum append linger"),
            (parked, "quorum fetch wait"),
            (announce, "quorum announcement"),
            (self.resign_at(majority, settings), "quorum check"),
        ];
        deadlines.into_iter().min().expect("four deadlines")
    }

    /// When a majority, the leader included, will have been silent for too long.
    /// Kafka: LeaderState.CHECK_QUORUM_TIMEOUT_FACTOR is 1.5.
    fn resign_at(&self, majority: usize, settings: &BrokerSettings) -> Time {
        if majority == 1 {
            return Time::NEVER;
        }
        let heard = || self.voters.values().map(|voter| voter.fetched_at);
        let by_enough = |at: &Time| majority - 1 <= heard().filter(|other| at <= other).count();
        let last = heard().filter(by_enough).max().expect("a majority of voters besides the leader");
        last + settings.controller_quorum_fetch_timeout * 3 / 2
    }
}

impl Follower {
    pub fn next_deadline(&self, settings: &BrokerSettings) -> (Time, TimerName) {
        let fetch = match self.fetch {
            FetchState::InFlight { since, .. } => since + settings.controller_quorum_request_timeout,
            FetchState::Due(at) => at,
        };
        (fetch, "quorum fetch").min((self.timeout_at, "quorum fetch timeout"))
    }

    /// Gives the connection up: nobody waits for its answer any more.
    pub fn leave(self, step: &mut Step) {
        if let FetchState::InFlight { .. } = self.fetch {
            step.close(FETCH_CHANNEL, self.leader);
        }
    }
}

/// The leader's side.
impl Quorum {
    pub fn handle_fetch(&mut self, from: ReplyTo, request: FetchQuorumRequest, step: &mut Step) {
        if request.epoch < self.epoch {
            return self.reply_fetch_error(from, ErrorCode::FencedQuorumEpoch, step);
        }
        let known = match &mut self.role {
            Role::Leader(leader) if request.epoch == self.epoch => leader,
            Role::Leader(_) | Role::Unattached { .. } | Role::Candidate(_) | Role::Follower(_) => {
                return self.reply_fetch_error(from, ErrorCode::NotController, step);
            }
        };
        known.parked.retain(|parked| (parked.replica, parked.voter) != (request.replica, request.voter));
        let mut progress = None;
        if request.voter {
            match known.voters.get_mut(&request.replica) {
                Some(voter) => progress = Some(voter),
                None => return self.reply_fetch_error(from, ErrorCode::InvalidRequest, step),
            }
        }
        if let Some(voter) = &mut progress {
            voter.fetched_at = step.time();
        }
        if request.fetch_offset > Offset::ZERO {
            let (epoch, end) = self.log.end_offset_for_epoch(request.last_fetched_epoch);
            if epoch != request.last_fetched_epoch || end < request.fetch_offset {
                return self.reply_fetch(from, Some((epoch, end)), Vec::new(), step);
            }
        }
        if let Some(voter) = progress {
            voter.fetch_offset = request.fetch_offset;
        }
        known.parked.push(ParkedFetch {
            from,
            replica: request.replica,
            voter: request.voter,
            fetch_offset: request.fetch_offset,
            until: step.time() + request.max_wait,
        });
        self.update_high_watermark(step);
        self.answer_parked(step);
    }

    /// Writes what waited for the linger.
    pub fn drain(&mut self, step: &mut Step) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.append_at = None;
        let entries = std::mem::take(&mut leader.accumulated);
        self.write(entries, step);
    }

    /// Writes entries as the leader: they count for it once they are flushed.
    pub fn write(&mut self, entries: Vec<QuorumEntry>, step: &mut Step) {
        self.store(entries, step);
        self.update_high_watermark(step);
        self.answer_parked(step);
    }

    pub fn leader_timeout(&mut self, step: &mut Step) {
        let (majority, now) = (self.majority(), step.time());
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.resign_at(majority, &self.settings) <= now {
            return self.resign(step);
        }
        let period = self.settings.controller_quorum_fetch_timeout / 2;
        let mut silent = Vec::new();
        if leader.announce_at <= now {
            leader.announce_at = now + period;
            let voters = leader.voters.iter().filter(|(_, progress)| progress.fetched_at + period <= now);
            silent.extend(voters.map(|(voter, _)| *voter));
        }
        let append = leader.append_at.is_some_and(|at| at <= now);
        for voter in silent {
            self.announce(voter, step);
        }
        if append {
            self.drain(step);
        }
        self.answer_parked(step);
    }

    /// Committed is what a majority of voters holds, once that includes an entry of this epoch (Raft, figure 8).
    fn update_high_watermark(&mut self, step: &mut Step) {
        let majority = self.majority();
        let Role::Leader(leader) = &self.role else { return };
        let mut ends: Vec<Offset> = leader.voters.values().map(|voter| voter.fetch_offset).collect();
        ends.push(self.log.end_offset());
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let committed = ends[majority - 1];
        if committed > leader.epoch_start && committed > self.high_watermark {
            self.advance_high_watermark(committed, step);
        }
    }

    fn advance_high_watermark(&mut self, to: Offset, step: &mut Step) {
        self.high_watermark = to;
        step.note(Note::QuorumHighWatermark { epoch: self.epoch, offset: to });
    }

    /// Answers every parked fetch that there is something to tell to, or whose wait is over.
    fn answer_parked(&mut self, step: &mut Step) {
        let (now, end, high_watermark) = (step.time(), self.log.end_offset(), self.high_watermark);
        let Role::Leader(leader) = &mut self.role else { return };
        let mut ready = Vec::new();
        let voters = &mut leader.voters;
        leader.parked.retain(|parked| {
            let (news, below) = match voters.get_mut(&parked.replica).filter(|_| parked.voter) {
                Some(voter) => (parked.fetch_offset < end || voter.told < high_watermark, end),
                None => (parked.fetch_offset < high_watermark, high_watermark),
            };
            let answer = news || parked.until <= now;
            if answer {
                ready.push((parked.from, parked.fetch_offset, below));
                if let Some(voter) = voters.get_mut(&parked.replica).filter(|_| parked.voter) {
                    voter.told = high_watermark;
                }
            }
            !answer
        });
        for (from, fetch_offset, below) in ready {
            let below = below.min(fetch_offset.plus(ENTRIES_MAX));
            let entries = self.log.read(fetch_offset, below).to_vec();
            self.reply_fetch(from, None, entries, step);
        }
    }

    /// A former leader sends those away whom it kept waiting.
    pub fn refuse_parked(&self, former: Option<Leader>, step: &mut Step) {
        for parked in former.iter().flat_map(|leader| &leader.parked) {
            self.reply_fetch_error(parked.from, ErrorCode::NotController, step);
        }
    }

    fn reply_fetch_error(&self, from: ReplyTo, error: ErrorCode, step: &mut Step) {
        let response = FetchQuorumResponse {
            error,
            epoch: self.epoch,
            leader: self.leader(),
            high_watermark: self.high_watermark,
            diverging: None,
            entries: Vec::new(),
        };
        step.reply(from, Response::FetchQuorum(response));
    }

    fn reply_fetch(
        &self,
        from: ReplyTo,
        diverging: Option<(QuorumEpoch, Offset)>,
        entries: Vec<QuorumEntry>,
        step: &mut Step,
    ) {
        let response = FetchQuorumResponse {
            error: ErrorCode::None,
            epoch: self.epoch,
            leader: Some(self.id),
            high_watermark: self.high_watermark,
            diverging,
            entries,
        };
        step.reply(from, Response::FetchQuorum(response));
    }
}

/// The follower's side.
impl Quorum {
    pub fn follow(&mut self, leader: NodeId, step: &mut Step) {
        let timeout_at = step.time() + self.settings.controller_quorum_fetch_timeout;
        self.role = Role::Follower(Follower { leader, timeout_at, heard: false, fetch: FetchState::Due(step.time()) });
        self.fetch(step);
    }

    pub fn handle_fetched(&mut self, correlation: Correlation, fetched: FetchQuorumResponse, step: &mut Step) {
        let now = step.time();
        let Role::Follower(follower) = &mut self.role else { return };
        match follower.fetch {
            FetchState::InFlight { correlation: expected, .. } if expected == correlation => {
                follower.fetch = FetchState::Due(now + RETRY_BACKOFF);
            }
            FetchState::InFlight { .. } | FetchState::Due(_) => return,
        }
        if self.learn_epoch(fetched.epoch, fetched.leader, step) {
            return;
        }
        if fetched.error != ErrorCode::None || fetched.epoch != self.epoch {
            return;
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.timeout_at = now + self.settings.controller_quorum_fetch_timeout;
            follower.heard = true;
        }
        match fetched.diverging {
            Some((epoch, end)) => self.truncate_to_common(epoch, end, step),
            None => self.take_entries(fetched.entries, fetched.high_watermark, step),
        }
        self.fetch(step);
    }

    pub fn fetch_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        if let Role::Follower(follower) = &mut self.role
            && follower.leader == peer
            && matches!(follower.fetch, FetchState::InFlight { .. })
        {
            follower.fetch = FetchState::Due(step.time() + RECONNECT_BACKOFF);
        }
    }

    pub fn follower_timeout(&mut self, step: &mut Step) {
        let Role::Follower(follower) = &mut self.role else { return };
        let now = step.time();
        if follower.timeout_at <= now {
            return self.seek_election(0, step);
        }
        match follower.fetch {
            FetchState::Due(at) if at <= now => self.fetch(step),
            FetchState::Due(_) => {}
            FetchState::InFlight { since, .. } => {
                if since + self.settings.controller_quorum_request_timeout <= now {
                    step.close(FETCH_CHANNEL, follower.leader);
                    follower.fetch = FetchState::Due(now + RETRY_BACKOFF);
                }
            }
        }
    }

    fn fetch(&mut self, step: &mut Step) {
        let correlation = self.next_correlation();
        let request = FetchQuorumRequest {
            replica: self.id,
            voter: true,
            epoch: self.epoch,
            fetch_offset: self.log.end_offset(),
            last_fetched_epoch: self.log.last_epoch(),
            max_wait: self.settings.replica_fetch_wait_max,
        };
        let Role::Follower(follower) = &mut self.role else { return };
        follower.fetch = FetchState::InFlight { correlation, since: step.time() };
        step.send(FETCH_CHANNEL, follower.leader, correlation, Request::FetchQuorum(request));
    }

    /// Cuts what the leader does not have. The next fetch may find an earlier fork.
    fn truncate_to_common(&mut self, epoch: QuorumEpoch, end: Offset, step: &mut Step) {
        let (own_epoch, own_end) = self.log.end_offset_for_epoch(epoch);
        let to = if own_epoch == epoch { own_end.min(end) } else { own_end };
        if to >= self.log.end_offset() {
            return;
        }
        self.log.truncate(to);
        // Never below what is committed, unless voters have forgotten what they said: then the log is right.
        self.high_watermark = self.high_watermark.min(to);
        step.note(Note::QuorumTruncated { to });
        step.storage(StorageOperation::TruncateQuorum { to });
    }

    fn take_entries(&mut self, entries: Vec<QuorumEntry>, high_watermark: Offset, step: &mut Step) {
        let mut expected = self.log.end_offset();
        let mut last_epoch = self.log.last_epoch();
        let contiguous = entries.iter().all(|entry| {
            let follows = entry.offset == expected && last_epoch <= entry.epoch && entry.epoch <= self.epoch;
            (expected, last_epoch) = (expected.plus(1), entry.epoch);
            follows
        });
        if !contiguous {
            return;
        }
        if !entries.is_empty() {
            self.store(entries, step);
        }
        let committed = high_watermark.min(self.log.end_offset());
        if committed > self.high_watermark {
            self.advance_high_watermark(committed, step);
        }
    }
}

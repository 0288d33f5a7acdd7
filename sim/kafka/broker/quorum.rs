//! Pulling the metadata log from the controller quorum, as an observer. KIP-595.
//!
//! It also tells the rest of the broker who leads the quorum: whoever answers this fetch. Only entries below the quorum's
//! high watermark are handed out; later ones wait here and may still be taken back. Kafka: KafkaRaftClient in a broker.

use std::collections::VecDeque;

use crate::types::request::*;
use crate::types::*;

use super::{Ask, CONNECT_BACKOFF, QUORUM_CHANNEL};

#[derive(Clone, Debug)]
pub struct QuorumObserver {
    node: NodeId,
    voters: Vec<NodeId>,
    request_timeout: Duration,
    leader: Option<NodeId>,
    epoch: QuorumEpoch,
    /// Voters asked while no leader was known.
    asked: usize,
    in_flight: Option<Ask>,
    not_before: Time,
    /// Fetched, in order, and not handed out yet.
    entries: VecDeque<QuorumEntry>,
    /// End of what was fetched, and the epoch of the last entry.
    end_offset: Offset,
    end_epoch: QuorumEpoch,
    /// End of what was handed out, and the epoch of the last entry.
    applied: (Offset, QuorumEpoch),
    high_watermark: Offset,
    held: bool,
}

impl QuorumObserver {
    pub fn new(node: NodeId, voters: Vec<NodeId>, request_timeout: Duration) -> QuorumObserver {
        assert!(!voters.is_empty(), "a quorum has a voter");
        QuorumObserver {
            node,
            asked: usize::from(node.0),
            voters,
            request_timeout,
            leader: None,
            epoch: QuorumEpoch::default(),
            in_flight: None,
            not_before: Time::ZERO,
            entries: VecDeque::new(),
            end_offset: Offset::ZERO,
            end_epoch: QuorumEpoch::default(),
            applied: (Offset::ZERO, QuorumEpoch::default()),
            high_watermark: Offset::ZERO,
            held: false,
        }
    }

    /// Asks when nothing is out; gives an unanswered question up.
    pub fn advance(&mut self, correlations: &mut Correlation, step: &mut Step) {
        if let Some(ask) = self.in_flight
            && ask.deadline <= step.time()
        {
            step.close(QUORUM_CHANNEL, ask.to);
            self.lose(ask.to, step.time());
        }
        if self.in_flight.is_some() || step.time() < self.not_before {
            return;
        }
        let to = self.leader.unwrap_or(self.voters[self.asked % self.voters.len()]);
        let ask = Ask::new(to, correlations, step.time() + self.request_timeout);
        self.in_flight = Some(ask);
        let request = FetchQuorumRequest {
            replica: self.node,
            voter: false,
            epoch: self.epoch,
            fetch_offset: self.end_offset,
            last_fetched_epoch: self.end_epoch,
            max_wait: FETCH_MAX_WAIT,
        };
        step.send(QUORUM_CHANNEL, to, ask.correlation, Request::FetchQuorum(request));
    }

    pub fn handle_response(&mut self, correlation: Correlation, response: FetchQuorumResponse, step: &mut Step) {
        let Some(ask) = self.in_flight.filter(|ask| ask.correlation == correlation) else { return };
        self.in_flight = None;
        if response.error != ErrorCode::None {
            self.epoch = self.epoch.max(response.epoch);
            self.leader = response.leader.filter(|leader| *leader != ask.to);
            self.asked += usize::from(self.leader.is_none());
            self.not_before = step.time() + RETRY_BACKOFF;
            return;
        }
        self.epoch = self.epoch.max(response.epoch);
        self.leader = Some(ask.to);
        self.not_before = step.time();
        if let Some((_, end)) = response.diverging {
            let before = self.end_offset;
            self.truncate(end);
            if self.end_offset == before {
                // The quorum has lost what it had committed, and what is applied cannot be taken back.
                self.not_before = step.time() + RETRY_BACKOFF;
            }
            return;
        }
        for entry in response.entries {
            if entry.offset == self.end_offset {
                self.end_offset = entry.offset.plus(1);
                self.end_epoch = entry.epoch;
                self.entries.push_back(entry);
            }
        }
        self.high_watermark = self.high_watermark.max(response.high_watermark);
    }

    pub fn handle_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        if self.in_flight.is_some_and(|ask| ask.to == peer) {
            self.lose(peer, step.time());
        }
    }

    /// The next committed entry, unless applying is held back.
    pub fn next_committed(&mut self) -> Option<QuorumEntry> {
        let entry = self.entries.front().filter(|entry| !self.held && entry.offset < self.high_watermark)?;
        self.applied = (entry.offset.plus(1), entry.epoch);
        self.entries.pop_front()
    }

    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Who leads the quorum, as the last answer told.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    pub fn next_deadline(&self) -> Time {
        self.in_flight.map_or(self.not_before, |ask| ask.deadline)
    }

    fn lose(&mut self, peer: NodeId, now: Time) {
        self.in_flight = None;
        self.asked += 1;
        self.not_before = now + CONNECT_BACKOFF;
        if self.leader == Some(peer) {
            self.leader = None;
        }
    }

    /// Entries that were never committed are gone from the leader's log.
    fn truncate(&mut self, end: Offset) {
        while self.entries.back().is_some_and(|last| end <= last.offset) {
            self.entries.pop_back();
        }
        (self.end_offset, self.end_epoch) =
            self.entries.back().map_or(self.applied, |last| (last.offset.plus(1), last.epoch));
    }
}

/// Kafka: KafkaRaftClient's MAX_FETCH_WAIT_MS.
const FETCH_MAX_WAIT: Duration = Duration::from_millis(500);
/// Kafka: `controller.quorum.retry.backoff.ms`.
const RETRY_BACKOFF: Duration = Duration::from_millis(20);

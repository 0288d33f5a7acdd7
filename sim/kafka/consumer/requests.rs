//! Requests that are out, and the connections they went out on.
//!
//! A connection that broke, or whose answer is late, is left alone for a growing while. Kafka: NetworkClient,
//! InFlightRequests, ClusterConnectionStates.

use std::collections::BTreeMap;

use crate::kafka::client::exponential_backoff;
use crate::types::request::{MemberEpoch, Request};
use crate::types::settings::ConsumerSettings;
use crate::types::*;

use super::commits::CommitNumber;

#[derive(Clone, Debug)]
pub(super) struct Requests {
    next: u64,
    in_flight: FewMap<Correlation, InFlight>,
    connections: BTreeMap<(Channel, NodeId), Connection>,
    /// No request times out before this instant.
    earliest: Time,
}

#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub channel: Channel,
    pub to: NodeId,
    pub purpose: Purpose,
    deadline: Time,
}

/// What an answer is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Metadata,
    FindCoordinator,
    JoinGroup,
    SyncGroup { generation: Generation },
    Heartbeat { member: MemberId, generation: Generation },
    LeaveGroup,
    ConsumerHeartbeat { epoch: MemberEpoch },
    OffsetFetch,
    Commit { number: CommitNumber, membership: (MemberId, Generation) },
    Fetch,
    ListOffsets { partitions: Vec<TopicPartition>, earliest: bool },
    ValidateOffsets { partitions: Vec<TopicPartition> },
}

#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    failures: u32,
    not_before: Time,
}

impl Requests {
    pub fn new() -> Requests {
        Requests { next: 0, in_flight: FewMap::new(), connections: BTreeMap::new(), earliest: Time::NEVER }
    }

    pub fn next_correlation(&mut self) -> Correlation {
        self.next += 1;
        Correlation(self.next)
    }

    pub fn send(
        &mut self,
        (channel, to): (Channel, NodeId),
        purpose: Purpose,
        request: Request,
        timeout: Duration,
        step: &mut Step,
    ) {
        let correlation = self.next_correlation();
        self.expect(correlation, (channel, to), purpose, step.time() + timeout);
        step.send(channel, to, correlation, request);
    }

    /// A request that somebody else has put out.
    pub fn expect(
        &mut self,
        correlation: Correlation,
        (channel, to): (Channel, NodeId),
        purpose: Purpose,
        deadline: Time,
    ) {
        self.earliest = self.earliest.min(deadline);
        self.in_flight.insert(correlation, InFlight { channel, to, purpose, deadline });
    }

    /// `None`: nobody waits for it any more.
    pub fn answered(&mut self, correlation: Correlation) -> Option<InFlight> {
        let answered = self.in_flight.remove(&correlation)?;
        if let Some(connection) = self.connections.get_mut(&(answered.channel, answered.to)) {
            connection.failures = 0;
        }
        Some(answered)
    }

    /// The connection is gone: what was owed on it, in the order it was sent.
    pub fn disconnected(
        &mut self,
        channel: Channel,
        peer: NodeId,
        settings: &ConsumerSettings,
        step: &mut Step,
    ) -> Vec<InFlight> {
        let connection = self.connections.entry((channel, peer)).or_default();
        let (initial, max) = (settings.reconnect_backoff, settings.reconnect_backoff_max);
        connection.not_before = step.time() + exponential_backoff(initial, max, connection.failures, step.rng);
        connection.failures += 1;
        self.abandon(channel, peer)
    }

    /// Forgets what is out on a connection that we close ourselves.
    pub fn abandon(&mut self, channel: Channel, peer: NodeId) -> Vec<InFlight> {
        let is_lost = |request: &InFlight| request.channel == channel && request.to == peer;
        let lost: Vec<Correlation> =
            self.in_flight.iter().filter(|(_, request)| is_lost(request)).map(|(number, _)| number).collect();
        lost.iter().filter_map(|number| self.in_flight.remove(number)).collect()
    }

    /// When a request may go out on this connection.
    pub fn not_before(&self, channel: Channel, peer: NodeId) -> Time {
        self.connections.get(&(channel, peer)).map_or(Time::ZERO, |connection| connection.not_before)
    }

    /// A connection on which an answer is overdue.
    pub fn overdue(&mut self, now: Time) -> Option<(Channel, NodeId)> {
        if now < self.earliest {
            return None;
        }
        let first = self.in_flight.values().find(|request| request.deadline <= now);
        if let Some(request) = first {
            return Some((request.channel, request.to));
        }
        self.earliest = self.in_flight.values().map(|request| request.deadline).min().unwrap_or(Time::NEVER);
        None
    }

    pub fn earliest_deadline(&self) -> Time {
        self.earliest
    }
}

//! One connection of a producer: what is out on it, in order, and when a broken one is tried again.
//! Kafka: NetworkClient, InFlightRequests, ClusterConnectionStates.
//!
//! Nothing is produced on a connection before its first answer has come, as Kafka's client waits for the answer to its
//! ApiVersions request: so a batch for a broker that is down stays in the buffer, where its outcome is certain.

use std::collections::VecDeque;

use super::accumulator::BatchId;
use crate::types::record::TransactionOutcome;
use crate::types::request::CoordinatorKey;
use crate::types::*;

/// Kafka: `socket.connection.setup.timeout.ms`.
pub(super) const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub node: NodeId,
    /// An answer has come since it was opened.
    pub open: bool,
    /// Broken connections in a row.
    pub failures: u32,
    pub not_before: Time,
    /// The oldest first: answers come in this order.
    pub in_flight: VecDeque<InFlight>,
    /// Partitions with a batch to send to this broker, in the order in which they became ready.
    pub ready: VecDeque<TopicPartition>,
}

#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub correlation: Correlation,
    pub deadline: Time,
    pub question: Question,
}

#[derive(Clone, Debug)]
pub(super) enum Question {
    Metadata,
    InitProducerId,
    FindCoordinator(CoordinatorKey),
    InitTransaction,
    AddPartitionsToTxn(Vec<TopicPartition>),
    AddOffsetsToTxn,
    TxnOffsetCommit,
    EndTxn(TransactionOutcome),
    /// Only to see that the broker answers.
    Greeting,
    Produce(Vec<(TopicPartition, BatchId)>),
}

/// What the connection allows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Open,
    /// A greeting may be sent.
    Closed,
    /// For an answer or for the back-off to pass.
    Waiting,
}

impl Connection {
    pub fn new(node: NodeId) -> Connection {
        Connection {
            node,
            open: false,
            failures: 0,
            not_before: Time::ZERO,
            in_flight: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    pub fn readiness(&self, now: Time, max_in_flight: usize) -> Readiness {
        if self.open {
            return if self.in_flight.len() < max_in_flight { Readiness::Open } else { Readiness::Waiting };
        }
        if self.in_flight.is_empty() && self.not_before <= now { Readiness::Closed } else { Readiness::Waiting }
    }

    pub fn sent(&mut self, correlation: Correlation, question: Question, request_timeout: Duration, now: Time) {
        let timeout = if self.open { request_timeout } else { request_timeout.min(SETUP_TIMEOUT) };
        self.in_flight.push_back(InFlight { correlation, deadline: now + timeout, question });
    }

    /// The question that is answered. `None` when nobody waits for it any more.
    pub fn answered(&mut self, correlation: Correlation) -> Option<Question> {
        let position = self.in_flight.iter().position(|request| request.correlation == correlation)?;
        self.open = true;
        self.failures = 0;
        let request = if position == 0 { self.in_flight.pop_front() } else { self.in_flight.remove(position) };
        request.map(|request| request.question)
    }

    /// When the oldest request has waited long enough.
    pub fn request_deadline(&self) -> Option<Time> {
        self.in_flight.front().map(|request| request.deadline)
    }

    /// When a partition that waits for this broker may try a new connection.
    pub fn reconnect_deadline(&self) -> Option<Time> {
        let waits = !self.open && self.in_flight.is_empty() && !self.ready.is_empty();
        waits.then_some(self.not_before)
    }
}

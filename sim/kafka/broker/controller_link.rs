//! What a broker asks of the active controller besides heartbeats: changes of in-sync sets, and blocks of producer ids.
//!
//! A proposal is sent again until it is answered or nobody waits for the answer any more. Kafka:
//! DefaultAlterPartitionManager, RPCProducerIdManager, NodeToControllerChannelManager.

use std::collections::BTreeMap;

use crate::kafka::partition::Proposal;
use crate::types::request::*;
use crate::types::*;

use super::{Ask, CONNECT_BACKOFF, CONTROLLER_CHANNEL};

#[derive(Clone, Debug, Default)]
pub struct ControllerLink {
    /// At most one for each partition; a newer one replaces it.
    waiting: BTreeMap<TopicPartition, Proposal>,
    in_flight: BTreeMap<Correlation, (Ask, Proposal)>,
    not_before: Time,
    ids: ProducerIds,
}

/// Producer ids this broker may give out, as a block of the controller's. KIP-730.
#[derive(Clone, Debug, Default)]
struct ProducerIds {
    next: u64,
    end: u64,
    wanted: bool,
    in_flight: Option<Ask>,
}

impl ControllerLink {
    pub fn propose(&mut self, proposal: Proposal) {
        self.waiting.insert(proposal.request.partition, proposal);
    }

    /// Sends what waits, and gives up what was not answered in time.
    pub fn advance(
        &mut self,
        controller: Option<NodeId>,
        broker: (NodeId, Option<BrokerEpoch>),
        correlations: &mut Correlation,
        step: &mut Step,
    ) {
        let expired = self.asks().find(|ask| ask.deadline <= step.time());
        if let Some(ask) = expired {
            step.close(CONTROLLER_CHANNEL, ask.to);
            self.handle_disconnected(ask.to, step);
        }
        let Some(to) = controller else { return };
        if step.time() < self.not_before {
            return;
        }
        while let Some((_, proposal)) = self.waiting.pop_first() {
            let ask = Ask::new(to, correlations, step.time() + REQUEST_TIMEOUT);
            step.send(CONTROLLER_CHANNEL, to, ask.correlation, Request::AlterPartition(proposal.request.clone()));
            self.in_flight.insert(ask.correlation, (ask, proposal));
        }
        if let (true, None, (broker, Some(broker_epoch))) = (self.ids.wanted, self.ids.in_flight, broker) {
            let ask = Ask::new(to, correlations, step.time() + REQUEST_TIMEOUT);
            step.send(CONTROLLER_CHANNEL, to, ask.correlation, Request::AllocateProducerIds { broker, broker_epoch });
            self.ids.in_flight = Some(ask);
        }
    }

    /// The proposal that the controller has answered, if the answer is for its partition to judge.
    pub fn handle_alter_partition(
        &mut self,
        correlation: Correlation,
        response: &AlterPartitionResponse,
        step: &mut Step,
    ) -> Option<Proposal> {
        let (_, proposal) = self.in_flight.remove(&correlation)?;
        if matches!(response.error, ErrorCode::NotController | ErrorCode::StaleBrokerEpoch | ErrorCode::RequestTimedOut)
        {
            self.not_before = step.time() + CONNECT_BACKOFF;
            self.waiting.entry(proposal.request.partition).or_insert(proposal);
            return None;
        }
        if response.error != ErrorCode::None {
            self.not_before = step.time() + CONNECT_BACKOFF;
        }
        Some(proposal)
    }

    pub fn handle_producer_ids(
        &mut self,
        correlation: Correlation,
        error: ErrorCode,
        first: ProducerId,
        count: u64,
        step: &mut Step,
    ) {
        if self.ids.in_flight.is_none_or(|ask| ask.correlation != correlation) {
            return;
        }
        self.ids.in_flight = None;
        if error == ErrorCode::None {
            self.ids = ProducerIds { next: first.0, end: first.0 + count, ..ProducerIds::default() };
        } else {
            self.not_before = step.time() + CONNECT_BACKOFF;
        }
    }

    pub fn handle_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        if !self.asks().any(|ask| ask.to == peer) {
            return;
        }
        self.not_before = step.time() + CONNECT_BACKOFF;
        self.ids.in_flight = self.ids.in_flight.filter(|ask| ask.to != peer);
        for (_, (ask, proposal)) in std::mem::take(&mut self.in_flight) {
            if ask.to == peer {
                self.waiting.entry(proposal.request.partition).or_insert(proposal);
            } else {
                self.in_flight.insert(ask.correlation, (ask, proposal));
            }
        }
    }

    /// Forgets proposals whose answer nobody awaits.
    pub fn retain_waiting(&mut self, mut is_awaited: impl FnMut(&Proposal) -> bool) {
        self.waiting.retain(|_, proposal| is_awaited(proposal));
    }

    /// A new producer id, or `None` until the next block is here.
    pub fn next_producer_id(&mut self) -> Option<ProducerId> {
        if self.ids.next == self.ids.end {
            self.ids.wanted = true;
            return None;
        }
        self.ids.next += 1;
        Some(ProducerId(self.ids.next - 1))
    }

    pub fn next_deadline(&self, controller: Option<NodeId>) -> Option<Time> {
        if self.in_flight.is_empty() && self.waiting.is_empty() && !self.ids.wanted && self.ids.in_flight.is_none() {
            return None;
        }
        let wants = !self.waiting.is_empty() || (self.ids.wanted && self.ids.in_flight.is_none());
        let send = (wants && controller.is_some()).then_some(self.not_before);
        self.asks().map(|ask| ask.deadline).chain(send).min()
    }

    fn asks(&self) -> impl Iterator<Item = Ask> {
        self.in_flight.values().map(|(ask, _)| *ask).chain(self.ids.in_flight)
    }
}

/// Kafka: `controller.socket.timeout.ms`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

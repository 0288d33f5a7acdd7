//! Messages as they leave and come in, beside the history: for who asks what could have known of what.
//!
//! The one idea: a run says nothing of its messages that a check needs, so nothing of this is in a history; a listener can have it
//! all the same, with the place of each message between two events. It changes nothing of the run.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use super::handlers::Handlers;
use super::network::Offered;
use super::pump::{Scheduled, WORLD, World};
use super::{RunReport, drive, on_fresh_thread};
use crate::history::{Event, Happening};
use crate::scenario::plan::{Expectation, Plan, RunMetric};
use crate::types::request::RequestKind;
use crate::types::*;

/// One message at one end of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// It happened in front of the event with this number.
    pub before: u64,
    pub end: End,
    /// Where it happened, and the process at the other end.
    pub at: NodeId,
    pub peer: NodeId,
    /// The same at both ends; `None` for a message that the network made, or kept back and sent later.
    pub message: Option<(ConnectionId, bool, u32)>,
    /// From a client to its server.
    pub request: bool,
}

/// What brokers were asked and what went in and out of them, while requests arrive; for plans that ask for it.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    brokers: NodeId,
    requests: u64,
    bytes: u64,
}

impl Traffic {
    pub fn wanted(plan: &Plan) -> Option<Traffic> {
        let asks = plan.expectations.iter().any(|expectation| match expectation {
            Expectation::Run { metric: RunMetric::BrokerRequests | RunMetric::BrokerBytes, .. } => true,
            Expectation::Run {
                metric: RunMetric::Connections | RunMetric::MovingParts | RunMetric::Unsettled, ..
            } => false,
            Expectation::Place(_) | Expectation::Service { .. } | Expectation::Delay { .. } => false,
        });
        asks.then_some(Traffic { brokers: NodeId(plan.cluster.brokers), requests: 0, bytes: 0 })
    }

    fn is_broker(&self, node: NodeId) -> bool {
        NodeId(1) <= node && node <= self.brokers
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Sent,
    Delivered,
}

/// As [`super::run`], with every message told to `wires` in the order in which they were sent and delivered.
pub fn run_wired(plan: &Plan, wires: Sender<Wire>, observer: impl FnMut(&Event) + Send) -> RunReport {
    let plan = std::sync::Arc::new(plan.clone());
    on_fresh_thread(0, move |runtime| {
        runtime.block_on(async {
            let mut world = World::new(plan, Handlers::default(), observer);
            world.wires = Some(wires);
            drive(world, &AtomicBool::new(false))
        })
    })
}

impl<O: FnMut(&Event)> World<O> {
    /// A client learns that a connection of its is over: by the network, which has nobody's word for it.
    pub(super) fn disconnected(&mut self, client: NodeId, channel: Channel, peer: NodeId) {
        self.wire(End::Delivered, client, peer, None, false);
        self.step(client, Input::Disconnected { channel, peer });
    }

    pub(super) fn retransmit_at(&mut self, at: Time, connection: ConnectionId, to_server: bool) {
        self.schedule(at, Scheduled::Retransmit { connection, to_server });
    }

    /// The word that a connection is over goes to its client.
    pub(super) fn refuse(&mut self, connection: ConnectionId) {
        let offered = self.network.refuse(self.now, connection);
        self.offered(connection, false, offered);
    }

    pub(super) fn dropped(&mut self, to: NodeId, kind: RequestKind, response: bool) {
        self.record(WORLD, Happening::MessageDropped { to, kind, response });
    }

    /// A message is delivered: a request to a broker, or an answer of one.
    #[inline]
    pub(super) fn count(&mut self, to: NodeId, from: NodeId, input: &Input) {
        let now = self.now;
        let Some(traffic) = self.traffic.as_mut().filter(|_| Time::LOAD_START <= now) else { return };
        match input {
            Input::Request { request, .. } if traffic.is_broker(to) && to != from => {
                traffic.requests += 1;
                traffic.bytes += request.size().0;
            }
            Input::Response { response, .. } if traffic.is_broker(from) && to != from => {
                traffic.bytes += response.size().0;
            }
            _ => {}
        }
    }

    /// The load phase is over.
    pub(super) fn tell_traffic(&mut self) {
        if let Some(Traffic { requests, bytes, .. }) = self.traffic.take() {
            self.record(NodeId(0), Happening::BrokerTraffic { requests, bytes });
        }
    }

    #[inline]
    pub(super) fn wire(
        &mut self,
        end: End,
        at: NodeId,
        peer: NodeId,
        message: Option<(ConnectionId, bool, u32)>,
        request: bool,
    ) {
        if let Some(wires) = &self.wires {
            send(wires, Wire { before: self.events, end, at, peer, message, request });
        }
    }
}

#[cold]
fn send(wires: &Sender<Wire>, wire: Wire) {
    // Nobody listens any more only when the run is of no interest.
    let _ = wires.send(wire);
}

/// The message of an offer, where it goes its way at once.
#[inline]
pub fn message(connection: ConnectionId, to_server: bool, offered: &Offered) -> Option<(ConnectionId, bool, u32)> {
    match offered {
        Offered::Arrives(_, transit) => Some((connection, to_server, transit.sequence)),
        Offered::Held(_) | Offered::Dropped(_) => None,
    }
}

//! The smallest process: it answers every call at once, and, where told to, keeps a number of calls going.
//!
//! It exists to measure and test the world itself: what a message costs when the machines cost nothing.

use crate::types::request::{CallResponse, Request, Response};
use crate::types::*;

pub struct Echo {
    peer: Option<NodeId>,
    in_flight: u64,
    sent: u64,
    /// Stop calling after this many calls.
    limit: u64,
}

const CHANNEL: Channel = Channel(0);

impl Echo {
    /// Calls `peer` with this many calls in flight until `limit` calls were made.
    pub fn caller(peer: NodeId, in_flight: u64, limit: u64) -> Echo {
        Echo { peer: Some(peer), in_flight, sent: 0, limit }
    }

    /// Only answers.
    pub fn server() -> Echo {
        Echo { peer: None, in_flight: 0, sent: 0, limit: 0 }
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        match input {
            Input::Started { .. } => (0..self.in_flight).for_each(|_| self.call(step)),
            Input::Request { from, request: Request::Call(message) } => {
                step.reply(from, Response::Call(CallResponse::Accepted(message.event)));
            }
            Input::Response { .. } | Input::Disconnected { .. } => self.call(step),
            Input::Request { .. } | Input::StorageFailed | Input::Command(_) | Input::Timeout => {}
        }
    }

    fn call(&mut self, step: &mut Step) {
        let Some(peer) = self.peer.filter(|_| self.sent < self.limit) else { return };
        let message = Message {
            event: EventId(self.sent),
            origin: ServiceId(0),
            key: Key(0),
            version: 1,
            size: 100,
            poison: false,
            attempt: 0,
            caller_attempt: 0,
        };
        step.send(CHANNEL, peer, Correlation(self.sent), Request::Call(message));
        self.sent += 1;
    }
}

//! Messages as they leave and come in, beside the history: for who asks what could have known of what.
//!
//! The one idea: a run says nothing of its messages that a check needs, so nothing of this is in a history; a listener can have it
//! all the same, with the place of each message between two events. It changes nothing of the run.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use super::handlers::Handlers;
use super::network::Offered;
use super::pump::World;
use super::{RunReport, drive, on_fresh_thread};
use crate::history::Event;
use crate::scenario::plan::Plan;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Sent,
    Delivered,
}

/// As [`super::run`], with every message told to `wires` in the order in which they were sent and delivered.
pub fn run_wired(plan: &Plan, wires: Sender<Wire>, mut observer: impl FnMut(&Event) + Send) -> RunReport {
    let plan = std::sync::Arc::new(plan.clone());
    on_fresh_thread(0, move |runtime| {
        runtime.block_on(async {
            let mut world = World::new(plan, Handlers::default(), &mut observer);
            world.wires = Some(wires);
            drive(world, &AtomicBool::new(false))
        })
    })
}

impl World<'_> {
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

//! Messages that their link takes, holds back, drops or answers itself, and clients that learn that a connection is over.

use super::network::Offered;
use super::pump::{Scheduled, WORLD, World};
use super::wires::End;
use crate::history::Happening;
use crate::types::request::RequestKind;
use crate::types::*;

impl World<'_> {
    pub(super) fn offered(&mut self, connection: ConnectionId, to_server: bool, offered: Offered) {
        match offered {
            Offered::Arrives(at, transit) => {
                self.queue.push(at, self.network.lane_of(&transit), Scheduled::Deliver(transit));
            }
            Offered::Held(Some(at)) => self.retransmit_at(at, connection, to_server),
            Offered::Held(None) => {}
            Offered::Dropped(kind) => self.dropped(WORLD, kind, !to_server),
        }
    }

    /// What the network sends by itself, to the clients of connections.
    pub(super) fn offered_resets(&mut self, resets: Vec<(ConnectionId, Offered)>) {
        for (connection, offered) in resets {
            self.offered(connection, false, offered);
        }
    }

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
}

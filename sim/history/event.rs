//! One line of a history.

use std::hash::{Hash, Hasher};
use std::mem::discriminant;

use crate::types::note::Note;
use crate::types::request::RequestKind;
use crate::types::*;

/// Something happened at a node at an instant. Events of one history are in order; equal times keep their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub time: Time,
    /// Number in the history, from 0.
    pub number: u64,
    /// `NodeId(0)` for the world itself.
    pub node: NodeId,
    pub what: Happening,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// A machine said so.
    Note(Note),
    /// A process starts (or starts again).
    Started {
        incarnation: Incarnation,
    },
    /// A process is gone. `power`: with its unflushed pages; `clean`: it stopped itself in order.
    Stopped {
        why: StopReason,
    },
    Paused,
    Resumed,
    /// `lost` batches or entries of files were not yet on disk.
    PowerLost {
        lost: u64,
    },
    /// A fault fires; the nodes that its roles resolved to. For links: `nodes` are the from side, `peers` the other.
    FaultFired {
        fault: FaultId,
        nodes: Vec<NodeId>,
        peers: Vec<NodeId>,
    },
    FaultHealed {
        fault: FaultId,
    },
    /// The load phase is over; everything is healed.
    LoadEnded,
    /// Nothing is left to do, or the horizon is reached (`quiet` tells which).
    Ended {
        quiet: bool,
    },
    /// A message was dropped or its connection reset; full traces only hold deliveries.
    MessageDropped {
        to: NodeId,
        kind: RequestKind,
        response: bool,
    },
    /// A machine broke one of its own invariants, or a handler panicked. The run ends here.
    Panicked {
        message: String,
    },
    /// A fault did not fire: a drawn one because its budget or window had no room, any because its target cannot suffer it.
    FaultRefused {
        fault: FaultId,
        nodes: Vec<NodeId>,
        why: Refusal,
    },
    /// When the load was to begin, a group had no assignment or a partition no leader. The run ends here: what it would
    /// measure is its start.
    NeverReady,
    /// Requests that brokers were given while requests arrived, of clients and of each other, and bytes of these and of their
    /// answers. Only where a bound asks for it.
    BrokerTraffic {
        requests: u64,
        bytes: u64,
    },
}

impl Happening {
    /// As `hash`. Nearly all are notes, and those are spared the question which of all they are.
    #[inline]
    pub fn digest_into(&self, digest: &mut impl Hasher) {
        match self {
            Happening::Note(note) => {
                discriminant(self).hash(digest);
                note.hash(digest);
            }
            _ => self.hash(digest),
        }
    }
}

/// Which limit a drawn fault would have broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    OutsideWindow,
    BrokersDown,
    ControllersDown,
    InstancesDown,
    /// Too many brokers lost power, an in-sync set is not whole, or the quorum would not survive it.
    Lossy,
    /// A service programmed in Rust: its handler asks for its messages, and none is pressed on it twice; and what it works
    /// on is its own.
    Handler,
}

/// How the message of a panic begins that is a handler's and no machine's.
pub const HANDLER_PANICKED: &str = "the handler of ";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    Crash,
    PowerLoss,
    Clean,
    /// The `crash` rung of its own ladder.
    Own,
}

//! One direction between two nodes: how long a message takes on it, and what faults lay on it.

use super::{Parcel, Payload, RETRANSMISSION_FIRST, RETRANSMISSION_MAX};
use crate::scenario::plan::LinkPlan;
use crate::types::random::{self, combine};
use crate::types::request::RequestKind;
use crate::types::*;

/// Draws of what a link breaks are not those of how long it takes.
const RESET: u64 = 1 << 51;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) plan: LinkPlan,
    pub(super) instant: bool,
    /// How many faults cut it.
    pub(super) cuts: u16,
    /// Requests (and their responses) of these kinds do not get through.
    pub(super) cut_kinds: Vec<RequestKind>,
    pub(super) delays: Vec<Laid<Spread>>,
    pub(super) drops: Vec<Laid<Ratio>>,
    pub(super) throttles: Vec<Laid<Throttle>>,
    pub(super) resets: Vec<Laid<Ratio>>,
    pub(super) busy_until: Time,
    /// Messages sent so far of the kinds that have no identity of their own.
    pub(super) sent: u64,
}

/// What a fault lays on a link: on every message, or on requests (and their responses) of one kind.
#[derive(Debug)]
pub(super) struct Laid<T> {
    pub(super) fault: FaultId,
    pub(super) kind: Option<RequestKind>,
    pub(super) value: T,
}

#[derive(Debug)]
pub(super) struct Throttle {
    pub(super) bytes_per_second: ByteCount,
    /// Messages of one kind queue for themselves; otherwise it is the wire that is busy.
    pub(super) busy_until: Time,
}

impl Link {
    pub(super) fn new(plan: LinkPlan, instant: bool) -> Link {
        Link {
            plan,
            instant,
            cuts: 0,
            cut_kinds: Vec::new(),
            delays: Vec::new(),
            drops: Vec::new(),
            throttles: Vec::new(),
            resets: Vec::new(),
            busy_until: Time::ZERO,
            sent: 0,
        }
    }

    pub(super) fn latency(&self) -> Spread {
        if self.instant { Spread::ZERO } else { self.plan.latency }
    }

    pub(super) fn blocks(&self, kind: RequestKind) -> bool {
        self.cuts > 0 || (!self.cut_kinds.is_empty() && self.cut_kinds.contains(&kind))
    }

    /// Whether this message breaks its connection: drawn by what it is, and anew on each connection that it is sent on.
    #[cold]
    pub(super) fn breaks(&self, kind: RequestKind, ordinal: u32, parcel: &Parcel, draws: Keyed) -> bool {
        let mut draw = draws.at(combine(combine(RESET, u64::from(ordinal)), parcel.identity));
        self.resets.iter().filter(|laid| laid.strikes(kind)).any(|laid| draw.chance(laid.value))
    }

    /// Waiting for the wire and time on it.
    pub(super) fn transmission(&mut self, departure: Time, kind: RequestKind, payload: &Payload) -> Duration {
        if self.throttles.is_empty() && self.plan.bandwidth.is_none() {
            return Duration::ZERO;
        }
        let size = payload.size().0;
        let throttles = self.throttles.iter().filter(|laid| laid.kind.is_none());
        let widths = throttles.map(|laid| laid.value.bytes_per_second).chain(self.plan.bandwidth);
        let mut sent = departure;
        if let Some(width) = widths.min() {
            self.busy_until = self.busy_until.max(departure) + time_on_wire(size, width);
            sent = self.busy_until;
        }
        for laid in self.throttles.iter_mut().filter(|laid| laid.kind == Some(kind)) {
            let throttle = &mut laid.value;
            throttle.busy_until = throttle.busy_until.max(sent) + time_on_wire(size, throttle.bytes_per_second);
            sent = throttle.busy_until;
        }
        sent.since(departure)
    }

    /// Retransmissions of lost packets and the delays that faults add.
    pub(super) fn disturbance(&self, kind: RequestKind, draw: &mut random::Draw) -> Duration {
        let mut extra = Duration::ZERO;
        if self.plan.loss == Ratio::ZERO && self.delays.is_empty() && self.drops.is_empty() {
            return extra;
        }
        for laid in self.delays.iter().filter(|laid| laid.strikes(kind)) {
            extra += draw.draw(&laid.value);
        }
        let dropped = self.drops.iter().filter(|laid| laid.strikes(kind)).map(|laid| laid.value);
        let shares = dropped.chain(std::iter::once(self.plan.loss));
        for share in shares.filter(|share| *share != Ratio::ZERO) {
            let mut wait = RETRANSMISSION_FIRST;
            while draw.chance(share) && extra < Duration::from_secs(120) {
                extra += wait;
                wait = Duration((wait.0 * 2).min(RETRANSMISSION_MAX.0));
            }
        }
        extra
    }
}

impl<T> Laid<T> {
    fn strikes(&self, kind: RequestKind) -> bool {
        self.kind.is_none_or(|only| only == kind)
    }
}

fn time_on_wire(size: u64, bytes_per_second: ByteCount) -> Duration {
    Duration((u128::from(size) * 1_000_000_000 / u128::from(bytes_per_second.0.max(1))) as u64)
}

//! The ledger: what is known of each event, at each place it may come to and in each service that may handle it.
//!
//! The one idea: a few dozen bytes for each event and place, found by the event's number, so that a run of a million
//! events is judged in one pass. What a fate needs is written at the moment it happens; the history is not kept.

use super::routes::Routes;
use crate::scenario::plan::{Plan, ServicePlan, Trigger};
use crate::types::note::CallerOutcome;
use crate::types::*;

/// An event as its caller sees it.
#[derive(Clone, Copy, Debug)]
pub struct EventRow {
    /// [`Time::NEVER`] for a number that was not given out.
    pub arrived: Time,
    pub settled: Time,
    pub key: Key,
    pub version: u32,
    pub outcome: Option<CallerOutcome>,
    pub attempts: u16,
    /// Whom its caller asked first.
    pub instance: NodeId,
    /// Fails in every `work`.
    pub poison: bool,
}

/// What reached a place of one event.
#[derive(Clone, Copy, Debug)]
pub struct PlaceSlot {
    /// First application, or for a topic the last outcome of a send.
    pub time: Time,
    /// Where the first application came from; for a topic the acknowledged offset.
    pub offset: Offset,
    pub partition: TopicPartition,
    pub node: NodeId,
    /// Applications; for a topic, sends.
    pub count: u16,
    pub flags: u16,
}

/// Flags of a [`PlaceSlot`].
pub mod place_flag {
    /// Done again with harm.
    pub const HARMFUL: u16 = 1;
    /// Done again without harm.
    pub const HARMLESS: u16 = 1 << 1;
    /// The offset of the slot is known.
    pub const SOURCE: u16 = 1 << 2;
    // Of a topic only:
    pub const SENT: u16 = 1 << 3;
    pub const ACKNOWLEDGED: u16 = 1 << 4;
    /// acks=0: the producer was never told an offset.
    pub const UNTOLD: u16 = 1 << 5;
    pub const FAILED_CERTAINLY: u16 = 1 << 6;
    pub const FAILED_UNCERTAINLY: u16 = 1 << 7;
    /// Still with the producer when its process died.
    pub const DIED: u16 = 1 << 8;
    /// Still with a living producer.
    pub const OPEN: u16 = 1 << 9;
    /// A leader wrote it, at least once.
    pub const APPENDED: u16 = 1 << 14;
    // Who broke it, of a harmful repetition:
    pub const BY_CALLER: u16 = 1 << 10;
    pub const BY_PRODUCER: u16 = 1 << 11;
    pub const BY_CONSUMER: u16 = 1 << 12;
    pub const BY_DOWNSTREAM: u16 = 1 << 13;
    pub const BY_GROUP: u16 = 1 << 15;
}

/// How far a service came with one event.
#[derive(Clone, Copy, Debug)]
pub struct FlowSlot {
    /// Of the last thing that happened.
    pub time: Time,
    /// Where the event stood, for a consumer.
    pub offset: Offset,
    pub partition: TopicPartition,
    pub node: NodeId,
    /// Last step reached and done in the last attempt; [`NO_STEP`] for none.
    pub reached: u8,
    pub done: u8,
    pub starts: u8,
    pub flags: u8,
}

pub const NO_STEP: u8 = u8::MAX;

/// Flags of a [`FlowSlot`].
pub mod flow_flag {
    /// Through at least once.
    pub const DONE: u8 = 1;
    /// Ended early by a present row, at least once.
    pub const SKIPPED: u8 = 1 << 1;
    /// Given up to a dead-letter topic.
    pub const PARKED: u8 = 1 << 2;
    /// Given up and dropped.
    pub const DROPPED: u8 = 1 << 3;
    /// A step's outcome was unknown to the caller, or its answer was lost.
    pub const ANSWER_LOST: u8 = 1 << 4;
    /// Being handled by a living process.
    pub const OPEN: u8 = 1 << 5;
    /// Given to a retry topic.
    pub const RETRIED: u8 = 1 << 6;
}

const NO_EVENT: EventRow = EventRow {
    arrived: Time::NEVER,
    settled: Time::NEVER,
    key: Key(0),
    version: 0,
    outcome: None,
    attempts: 0,
    instance: NodeId(0),
    poison: false,
};

const NO_PLACE: PlaceSlot = PlaceSlot {
    time: Time::NEVER,
    offset: Offset(0),
    partition: TopicPartition { topic: TopicId(0), partition: 0 },
    node: NodeId(0),
    count: 0,
    flags: 0,
};

const NO_FLOW: FlowSlot = FlowSlot {
    time: Time::NEVER,
    offset: Offset(0),
    partition: TopicPartition { topic: TopicId(0), partition: 0 },
    node: NodeId(0),
    reached: NO_STEP,
    done: NO_STEP,
    starts: 0,
    flags: 0,
};

#[derive(Clone, Debug)]
pub struct Ledger {
    /// By the number of the service; `None` for those at which no events arrive.
    origins: Vec<Option<OriginLedger>>,
}

#[derive(Clone, Debug, Default)]
struct OriginLedger {
    events: Vec<EventRow>,
    places: Vec<PlaceSlot>,
    flows: Vec<FlowSlot>,
    /// Column of each place and service; [`NO_COLUMN`] where its events cannot come.
    place_column: Vec<u8>,
    flow_column: Vec<u8>,
    place_count: usize,
    flow_count: usize,
}

const NO_COLUMN: u8 = u8::MAX;

/// An event id is the origin's number above this many bits of a running number.
const NUMBER_BITS: u32 = 48;

pub fn origin_of(event: EventId) -> ServiceId {
    ServiceId((event.0 >> NUMBER_BITS) as u16)
}

pub fn number_of(event: EventId) -> u64 {
    event.0 & ((1 << NUMBER_BITS) - 1)
}

fn event_id(origin: ServiceId, number: usize) -> EventId {
    EventId(u64::from(origin.0) << NUMBER_BITS | number as u64)
}

/// How many events room is made for ahead: what grows by doubling is written twice.
fn expected_events(service: &ServicePlan, duration: Duration) -> usize {
    const MOST: u64 = 1 << 20;
    let Trigger::Requests(requests) = &service.trigger else { return 0 };
    let mean = (duration.0 / requests.interval.0.max(1)).min(requests.count.unwrap_or(u64::MAX)).min(MOST);
    (mean + mean / 16) as usize
}

impl Ledger {
    pub fn new(plan: &Plan, routes: &Routes) -> Ledger {
        let mut origins = vec![None; plan.services.len()];
        for service in plan.services.iter().filter(|service| super::routes::is_origin(service)) {
            let (place_count, flow_count) = (routes.reachable(service.id).len(), routes.visited(service.id).len());
            let expected = expected_events(service, plan.duration);
            let mut ledger = OriginLedger {
                events: Vec::with_capacity(expected),
                places: Vec::with_capacity(expected * place_count),
                flows: Vec::with_capacity(expected * flow_count),
                place_column: vec![NO_COLUMN; plan.places.len()],
                flow_column: vec![NO_COLUMN; plan.services.len()],
                place_count,
                flow_count,
            };
            for (column, place) in routes.reachable(service.id).iter().enumerate() {
                ledger.place_column[place.0 as usize] = column as u8;
            }
            for (column, visited) in routes.visited(service.id).iter().enumerate() {
                ledger.flow_column[visited.0 as usize] = column as u8;
            }
            origins[service.id.0 as usize] = Some(ledger);
        }
        Ledger { origins }
    }

    /// The row of an event, made when it is new. `None` for an event of no origin of the plan.
    pub fn event_mut(&mut self, event: EventId) -> Option<&mut EventRow> {
        let ledger = self.origin_mut(event)?;
        let number = ledger.make(event);
        Some(&mut ledger.events[number])
    }

    /// The slot of an event at a place, made when it is new. `None` where its steps do not lead.
    pub fn place_mut(&mut self, event: EventId, place: PlaceId) -> Option<&mut PlaceSlot> {
        let ledger = self.origin_mut(event)?;
        let column = *ledger.place_column.get(place.0 as usize)?;
        if column == NO_COLUMN {
            return None;
        }
        let number = ledger.make(event);
        Some(&mut ledger.places[number * ledger.place_count + column as usize])
    }

    pub fn flow_mut(&mut self, event: EventId, service: ServiceId) -> Option<&mut FlowSlot> {
        let ledger = self.origin_mut(event)?;
        let column = *ledger.flow_column.get(service.0 as usize)?;
        if column == NO_COLUMN {
            return None;
        }
        let number = ledger.make(event);
        Some(&mut ledger.flows[number * ledger.flow_count + column as usize])
    }

    pub fn event(&self, event: EventId) -> Option<&EventRow> {
        let row = self.origin(origin_of(event))?.events.get(number_of(event) as usize)?;
        (row.arrived != Time::NEVER).then_some(row)
    }

    pub fn place(&self, event: EventId, place: PlaceId) -> PlaceSlot {
        let slot = || {
            let ledger = self.origin(origin_of(event))?;
            let column = *ledger.place_column.get(place.0 as usize)?;
            let number = number_of(event) as usize;
            if column == NO_COLUMN || number >= ledger.events.len() {
                return None;
            }
            ledger.places.get(number * ledger.place_count + column as usize)
        };
        slot().copied().unwrap_or(NO_PLACE)
    }

    pub fn flow(&self, event: EventId, service: ServiceId) -> FlowSlot {
        let slot = || {
            let ledger = self.origin(origin_of(event))?;
            let column = *ledger.flow_column.get(service.0 as usize)?;
            let number = number_of(event) as usize;
            if column == NO_COLUMN || number >= ledger.events.len() {
                return None;
            }
            ledger.flows.get(number * ledger.flow_count + column as usize)
        };
        slot().copied().unwrap_or(NO_FLOW)
    }

    /// Every event of an origin that arrived, by number.
    pub fn events_of(&self, origin: ServiceId) -> impl Iterator<Item = (EventId, &EventRow)> {
        let rows = self.origin(origin).map_or(&[][..], |ledger| ledger.events.as_slice());
        rows.iter()
            .enumerate()
            .filter(|(_, row)| row.arrived != Time::NEVER)
            .map(move |(number, row)| (event_id(origin, number), row))
    }

    pub fn origins(&self) -> impl Iterator<Item = ServiceId> + '_ {
        let known = self.origins.iter().enumerate().filter(|(_, ledger)| ledger.is_some());
        known.map(|(number, _)| ServiceId(number as u16))
    }

    fn origin(&self, origin: ServiceId) -> Option<&OriginLedger> {
        self.origins.get(origin.0 as usize)?.as_ref()
    }

    fn origin_mut(&mut self, event: EventId) -> Option<&mut OriginLedger> {
        self.origins.get_mut(origin_of(event).0 as usize)?.as_mut()
    }
}

impl OriginLedger {
    #[inline]
    fn make(&mut self, event: EventId) -> usize {
        let number = number_of(event) as usize;
        if self.events.len() <= number {
            self.grow(number);
        }
        number
    }

    #[cold]
    fn grow(&mut self, number: usize) {
        assert!(number < 1 << 32, "events are not numbered in a row");
        self.events.resize(number + 1, NO_EVENT);
        self.places.resize((number + 1) * self.place_count, NO_PLACE);
        self.flows.resize((number + 1) * self.flow_count, NO_FLOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_and_place_cost_few_bytes() {
        assert!(size_of::<EventRow>() <= 40);
        assert!(size_of::<PlaceSlot>() <= 32);
        assert!(size_of::<FlowSlot>() <= 32);
    }
}

//! How far an event has come: for each place that it may reach, where it stands and since when.
//!
//! The one idea: the same trace that tells what became of an effect tells where it is while nothing has become of it yet; an
//! event that is well has an answer too. The hops of its route are walked, and it is in front of the first that does not have it.
//!
//! What it deliberately does not do: say whose promise broke (see [`super::responsibility`]), or what will become of it.

use serde::Serialize;

use super::fate::{Backlogged, Fate, fate_of};
use super::ledger::{NO_STEP, flow_flag, origin_of, place_flag};
use super::responsibility::is_topic;
use super::routes::{Hop, place_of, retry_places};
use super::trace::Trace;
use crate::scenario::plan::*;
use crate::types::note::CallerOutcome;
use crate::types::*;

/// Where an event stands with one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Standing {
    pub place: PlaceId,
    pub stage: Stage,
    /// Since when; [`Time::NEVER`] where nothing of the event was ever seen on its way there.
    pub since: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The effect is there, `times` times. `source`: the record in the topic, or the one whose handling made the effect.
    There {
        times: u16,
        harmful: bool,
        source: Option<(TopicPartition, Offset)>,
    },
    /// In the topic, for a service that is not through with it. `committed` is what its group has committed.
    InQueue {
        service: ServiceId,
        partition: TopicPartition,
        offset: Offset,
        committed: Option<Offset>,
    },
    /// In the table, for the relay that polls it.
    InTable {
        service: ServiceId,
        table: PlaceId,
    },
    /// With a producer that has no answer yet.
    WithProducer {
        partition: TopicPartition,
        node: NodeId,
    },
    /// A service is busy with it; the step that it reached.
    Handled {
        service: ServiceId,
        node: NodeId,
        step: Option<u16>,
    },
    /// Given up: its dead letter waits for somebody.
    Parked {
        service: ServiceId,
    },
    Lost,
    /// Its caller was told no, or nothing: nobody owes the effect, and it is not there.
    NotOwed {
        told: Option<CallerOutcome>,
    },
}

/// For every place that the event's steps lead to, in the order of the plan; dead letters and retries where it went there.
pub fn standings(plan: &Plan, trace: &Trace, backlogged: &Backlogged, event: EventId) -> Vec<Standing> {
    let Some(row) = trace.ledger.event(event) else { return Vec::new() };
    let origin = origin_of(event);
    let of_place = |place: &PlaceId| {
        let slot = trace.ledger.place(event, *place);
        let (since, stage) = if slot.count > 0 {
            let source = (slot.flags & place_flag::SOURCE != 0).then_some((slot.partition, slot.offset));
            (first_there(plan, trace, event, *place), there(slot.count, slot.flags, source))
        } else {
            if !trace.routes.owes(origin, *place) {
                return None;
            }
            match fate_of(plan, trace, backlogged, event, *place) {
                Fate::Pending => waiting(plan, trace, event, *place),
                Fate::Parked => {
                    let service = trace.parked_by(event, *place)?;
                    (trace.ledger.flow(event, service).time, Stage::Parked { service })
                }
                Fate::Lost if row.outcome == Some(CallerOutcome::Accepted) => {
                    (trace.gap(plan, event, *place).slot.time, Stage::Lost)
                }
                Fate::Lost | Fate::Once | Fate::RepeatedHarmless | Fate::RepeatedHarmful => {
                    (row.settled, Stage::NotOwed { told: row.outcome })
                }
            }
        };
        Some(Standing { place: *place, stage, since })
    };
    trace.routes.reachable(origin).iter().filter_map(of_place).collect()
}

fn there(times: u16, flags: u16, source: Option<(TopicPartition, Offset)>) -> Stage {
    Stage::There { times, harmful: flags & place_flag::HARMFUL != 0, source }
}

/// When the first effect came to the place: for a topic, when a leader appended it.
fn first_there(plan: &Plan, trace: &Trace, event: EventId, place: PlaceId) -> Time {
    let slot = trace.ledger.place(event, place);
    if !is_topic(plan, place) {
        return slot.time;
    }
    let log = trace.logs.of(slot.partition);
    log.and_then(|log| log.entry(slot.offset)).map_or(slot.time, |entry| entry.appended)
}

/// In front of the first hop that does not have it.
fn waiting(plan: &Plan, trace: &Trace, event: EventId, place: PlaceId) -> (Time, Stage) {
    let path = trace.routes.path(origin_of(event), place);
    let mut last: Option<Hop> = None;
    for hop in path {
        let slot = trace.ledger.place(event, hop.place);
        if slot.count > 0 {
            last = Some(*hop);
            continue;
        }
        if slot.flags & place_flag::OPEN != 0 {
            return (slot.time, Stage::WithProducer { partition: slot.partition, node: slot.node });
        }
        for service in [hop.service, hop.head] {
            let flow = trace.ledger.flow(event, service);
            if flow.flags & flow_flag::OPEN != 0 {
                let step = (flow.reached != NO_STEP).then_some(u16::from(flow.reached));
                return (flow.time, Stage::Handled { service, node: flow.node, step });
            }
        }
        return behind(plan, trace, event, last, hop.head);
    }
    behind(plan, trace, event, last, path.last().map_or(origin_of(event), |hop| hop.head))
}

/// In what `service` reads: a retry topic if it went there, else the place of the last hop.
fn behind(plan: &Plan, trace: &Trace, event: EventId, last: Option<Hop>, service: ServiceId) -> (Time, Stage) {
    let retried = trace.ledger.flow(event, service).flags & flow_flag::RETRIED != 0;
    let mut retry = retry_places(plan, service).into_iter().filter(|_| retried);
    let in_retry = retry.rfind(|place| trace.ledger.place(event, *place).count > 0);
    let Some(place) = in_retry.or(last.map(|hop| hop.place)) else {
        let row = trace.ledger.event(event).map_or(Time::NEVER, |row| row.arrived);
        return (row, Stage::Handled { service, node: NodeId(0), step: None });
    };
    if !is_topic(plan, place) {
        return (trace.ledger.place(event, place).time, Stage::InTable { service, table: place });
    }
    let slot = trace.ledger.place(event, place);
    let (partition, offset) = (slot.partition, slot.offset);
    let progress = trace.progress.get(usize::from(service.0)).and_then(Option::as_ref);
    let committed = progress.and_then(|progress| progress.partitions.get(partition)).and_then(|of| of.committed());
    (first_there(plan, trace, event, place), Stage::InQueue { service, partition, offset, committed })
}

/// A topic of the queue itself is nobody's place.
pub fn is_shown(plan: &Plan, place: PlaceId) -> bool {
    plan.topics.iter().all(|topic| !topic.name.starts_with("__") || place_of(plan, topic.id) != Some(place))
}

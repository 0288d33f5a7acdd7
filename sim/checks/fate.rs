//! Fates: what became of every event at every place, counted, with the few items that make it believable.
//!
//! The one idea: each owed effect has exactly one fate, and each fate is a question with a yes or no from the trace, in
//! this order: is it there (once, or again and with what harm); still on its way; given up to a dead-letter topic; else
//! lost. What is not owed cannot be lost, and what nobody promised to leave out is no phantom: an event whose caller
//! never learnt its outcome may be there any number of times.
//!
//! Source: Kingsbury, *Jepsen: Kafka* (lost writes, duplicates, unseen) for the separation of lost from unseen.

use super::ledger::{EventRow, PlaceSlot, flow_flag, origin_of, place_flag};
use super::outcome::*;
use super::responsibility::{Gap, GapWhy, boundary_of_flags, is_topic};
use super::trace::Trace;
use crate::scenario::plan::*;
use crate::types::note::CallerOutcome;
use crate::types::*;

/// Events still on their way, with the services that have them in their backlog as a bit set. Sorted by event.
pub struct Backlogged(Vec<(EventId, u64)>);

impl Backlogged {
    /// Every record that is not through and may still be delivered.
    pub fn of(trace: &Trace) -> Backlogged {
        let mut found = Vec::new();
        for (service, progress) in trace.progress.iter().enumerate() {
            let Some(progress) = progress else { continue };
            for (partition, progress) in progress.partitions.iter() {
                let Some(log) = trace.logs.of(partition) else { continue };
                let end = log.high_end().0.max(progress.visible_end);
                for offset in progress.through.holes(end).map(Offset) {
                    let entry = log.entry(offset).filter(|_| log.counting.start <= offset);
                    if let Some(entry) = entry.filter(|_| progress.may_still_come(offset)) {
                        found.push((entry.event, 1 << service));
                    }
                }
            }
            // Partitions of which nothing was read yet.
            for topic in trace.topics_of(ServiceId(service as u16)) {
                for (partition, log) in trace.logs.partitions_of(*topic) {
                    if progress.partitions.get(partition).is_none() {
                        found.extend(log.entries().map(|(_, entry)| (entry.event, 1 << service)));
                    }
                }
            }
        }
        for (service, relay) in trace.relays.iter().enumerate() {
            found.extend(relay.iter().flat_map(|relay| relay.open()).map(|event| (event, 1 << service)));
        }
        found.sort_unstable();
        found.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 |= next.1;
            }
            same
        });
        Backlogged(found)
    }

    fn services(&self, event: EventId) -> u64 {
        self.0.binary_search_by_key(&event, |(event, _)| *event).map_or(0, |index| self.0[index].1)
    }
}

/// One owed effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Once,
    RepeatedHarmless,
    RepeatedHarmful,
    Parked,
    Pending,
    Lost,
}

/// Counts the fates of one place. What is found of the event that was `asked_for` is evidence in any case.
pub fn judge_place(
    plan: &Plan,
    trace: &Trace,
    backlogged: &Backlogged,
    place: PlaceId,
    asked_for: Option<EventId>,
) -> PlaceFates {
    let mut counting = Counting {
        plan,
        trace,
        backlogged,
        place,
        of: of_place(plan, place),
        fates: PlaceFates { place, ..PlaceFates::default() },
        blamed: [0; BOUNDARIES.len()],
        candidates: Vec::new(),
        asked_for,
    };
    for origin in trace.ledger.origins() {
        if !trace.routes.reachable(origin).contains(&place) {
            continue;
        }
        for (event, row) in trace.ledger.events_of(origin) {
            counting.event(event, row);
        }
    }
    counting.finish()
}

const BOUNDARIES: [Boundary; 6] =
    [Boundary::Caller, Boundary::Producer, Boundary::Queue, Boundary::Group, Boundary::Consumer, Boundary::Downstream];

struct Counting<'a> {
    plan: &'a Plan,
    trace: &'a Trace,
    backlogged: &'a Backlogged,
    place: PlaceId,
    of: Option<PlaceId>,
    fates: PlaceFates,
    blamed: [u64; BOUNDARIES.len()],
    /// The first few of each kind and boundary.
    candidates: Vec<(EvidenceKind, EventId, Option<Gap>, Option<Boundary>)>,
    asked_for: Option<EventId>,
}

impl Counting<'_> {
    fn event(&mut self, event: EventId, row: &EventRow) {
        let slot = self.trace.ledger.place(event, self.place);
        if !self.owed(event, row) {
            self.not_owed(event, row, slot);
            return;
        }
        self.fates.expected += 1;
        match fate_of(self.plan, self.trace, self.backlogged, event, self.place) {
            Fate::Once => self.fates.once += 1,
            Fate::RepeatedHarmless => {
                self.fates.repeated_harmless += 1;
                self.keep(EvidenceKind::RepeatedHarmless, event, None, None);
            }
            Fate::RepeatedHarmful => {
                self.fates.repeated_harmful += 1;
                let boundary = boundary_of_flags(slot.flags);
                self.blamed[boundary as usize] += 1;
                self.keep(EvidenceKind::RepeatedHarmful, event, None, Some(boundary));
            }
            Fate::Parked => {
                self.fates.parked += 1;
                self.keep(EvidenceKind::Parked, event, None, None);
            }
            Fate::Pending => {
                self.fates.pending += 1;
                self.keep(EvidenceKind::Pending, event, None, None);
            }
            Fate::Lost => {
                self.fates.lost += 1;
                let gap = self.trace.gap(self.plan, event, self.place);
                self.blamed[gap.boundary as usize] += 1;
                self.keep(EvidenceKind::Lost, event, Some(gap), Some(gap.boundary));
            }
        }
    }

    fn owed(&self, event: EventId, row: &EventRow) -> bool {
        let origin = origin_of(event);
        if let Some(of) = self.of {
            return self.trace.ledger.place(event, of).count > 0;
        }
        if self.trace.routes.owes(origin, self.place) {
            return row.outcome == Some(CallerOutcome::Accepted);
        }
        self.parked_by(event, self.trace.routes.dead_letters(self.place))
    }

    fn not_owed(&mut self, event: EventId, row: &EventRow, slot: PlaceSlot) {
        let owing = self.trace.routes.owes(origin_of(event), self.place);
        match (row.outcome, slot.count > 0) {
            (_, true) if self.of.is_some() => self.phantom(event),
            (Some(CallerOutcome::Refused), true) => self.phantom(event),
            (Some(CallerOutcome::Refused), false) if owing => self.fates.refused += 1,
            (Some(CallerOutcome::Unknown) | None, true) => self.fates.unknown_present += 1,
            (Some(CallerOutcome::Unknown) | None, false) if owing => self.fates.unknown_absent += 1,
            (Some(_) | None, _) => {}
        }
    }

    fn phantom(&mut self, event: EventId) {
        self.fates.phantoms += 1;
        self.blamed[Boundary::Caller as usize] += 1;
        self.keep(EvidenceKind::Phantom, event, None, Some(Boundary::Caller));
    }

    fn parked_by(&self, event: EventId, givers: &[(ServiceId, u16)]) -> bool {
        givers.iter().any(|(service, _)| self.trace.ledger.flow(event, *service).flags & flow_flag::PARKED != 0)
    }

    fn keep(&mut self, kind: EvidenceKind, event: EventId, gap: Option<Gap>, boundary: Option<Boundary>) {
        let alike = self.candidates.iter().filter(|kept| kept.0 == kind && kept.3 == boundary).count();
        if alike < EVIDENCE_KEPT || self.asked_for == Some(event) {
            self.candidates.push((kind, event, gap, boundary));
        }
    }

    fn finish(mut self) -> PlaceFates {
        let traced = &self.trace.places[self.place.0 as usize];
        self.fates.applications = traced.applications;
        self.fates.regressions = traced.regressions;
        self.fates.reordered = traced.reordered;
        self.fates.delay = traced.delay.summary();
        let mut evidence: Vec<Evidence> = self.candidates.iter().map(|kept| self.evidence(kept)).collect();
        for (_, row) in traced.stale() {
            self.fates.stale += 1;
            let blame = self.trace.blame_of_stale(self.plan, &row.newest, &row.current);
            self.blamed[blame.boundary as usize] += 1;
            if self.fates.stale <= EVIDENCE_KEPT as u64 || self.asked_for == Some(row.newest.event) {
                evidence.push(self.stale(&row.newest, &row.current, blame));
            }
        }
        for reversal in &traced.reversals {
            let sightings = vec![
                self.applied(reversal.other_at.0, reversal.other_at.1),
                self.applied(reversal.at.0, reversal.at.1),
            ];
            evidence.push(self.assemble(
                EvidenceKind::Reordered,
                reversal.event,
                Some(reversal.other),
                sightings,
                None,
            ));
        }
        self.fates.evidence = most_telling(evidence, self.asked_for);
        let blamed = BOUNDARIES.iter().zip(self.blamed);
        self.fates.blamed =
            blamed.filter(|(_, count)| *count > 0).map(|(boundary, count)| (*boundary, count)).collect();
        self.fates
    }

    // --- evidence ---

    fn evidence(&self, kept: &(EvidenceKind, EventId, Option<Gap>, Option<Boundary>)) -> Evidence {
        let (kind, event, gap, _) = kept;
        if let Some(gap) = gap {
            let blame = self.trace.blame_of_gap(self.plan, gap);
            let sightings = self.story_of_gap(*event, gap, &blame);
            return self.assemble(*kind, *event, None, sightings, Some(blame));
        }
        let traced = &self.trace.places[self.place.0 as usize];
        if let Some(repetition) = traced.repetitions.iter().find(|repetition| repetition.event == *event)
            && *kind == EvidenceKind::RepeatedHarmful
        {
            let blame = self.trace.blame_of_repetition(self.plan, repetition);
            let (first, again) = (repetition.first, repetition.again);
            let mut sightings = vec![self.seen_at(first), self.seen_at(again)];
            sightings.extend(struck(&blame));
            return self.assemble(*kind, *event, None, sightings, Some(blame));
        }
        let slot = self.trace.ledger.place(*event, self.place);
        let source = (slot.flags & place_flag::SOURCE != 0).then_some((slot.partition, slot.offset));
        let appended = source.filter(|_| is_topic(self.plan, self.place)).and_then(|(partition, offset)| {
            self.trace.record_at(partition, offset).map(|(time, node)| (time, node, source))
        });
        let mut sightings = match appended {
            _ if slot.count == 0 || slot.time == Time::NEVER => Vec::new(),
            Some(appended) => vec![self.seen_at(appended)],
            None => vec![self.applied(slot.time, slot.node)],
        };
        let blame = match kind {
            EvidenceKind::Phantom => Some(self.trace.blame_of_phantom(self.plan, *event, self.place, self.of)),
            EvidenceKind::RepeatedHarmful => Some(self.blame_without_pair(*event, slot.flags)),
            _ => None,
        };
        sightings.extend(blame.as_ref().and_then(struck));
        self.assemble(*kind, *event, None, sightings, blame)
    }

    /// One of so many repetitions that where it came from was not kept.
    fn blame_without_pair(&self, event: EventId, flags: u16) -> Blame {
        let boundary = boundary_of_flags(flags);
        let origin = origin_of(event);
        let writer = self.trace.routes.path(origin, self.place).last().map_or(origin, |hop| hop.service);
        let whose = Party::Service(if boundary == Boundary::Caller { origin } else { writer });
        let message = "it was done more than once, like others of this place".to_string();
        Blame { boundary, whose, between: None, cause: None, message }
    }

    fn stale(&self, newest: &super::trace::Applied, current: &super::trace::Applied, blame: Blame) -> Evidence {
        let mut sightings = vec![self.applied(newest.time, newest.node), self.applied(current.time, current.node)];
        sightings.extend(struck(&blame));
        self.assemble(EvidenceKind::Stale, newest.event, Some(current.event), sightings, Some(blame))
    }

    /// The last thing seen before the gap, what struck, and what shows that it is gone.
    fn story_of_gap(&self, event: EventId, gap: &Gap, blame: &Blame) -> Vec<Sighting> {
        let (slot, mut sightings) = (gap.slot, Vec::new());
        let partition = slot.partition;
        let sent = slot.flags & place_flag::SENT != 0;
        let offset = (slot.flags & place_flag::SOURCE != 0).then_some(slot.offset);
        if sent && slot.time != Time::NEVER {
            let what = if slot.flags & place_flag::ACKNOWLEDGED != 0 {
                Seen::Acknowledged { partition, offset }
            } else if slot.flags & (place_flag::FAILED_CERTAINLY | place_flag::FAILED_UNCERTAINLY) != 0 {
                Seen::SendFailed { partition, certain: slot.flags & place_flag::FAILED_CERTAINLY != 0 }
            } else {
                Seen::Sent { partition }
            };
            sightings.push(Sighting { time: slot.time, node: slot.node, what });
        }
        let is_table = !is_topic(self.plan, gap.at);
        if is_table && slot.count > 0 {
            sightings.push(Sighting { time: slot.time, node: slot.node, what: Seen::Applied { place: gap.at } });
        }
        if gap.why == GapWhy::NotInLog
            && let Some(log) = self.trace.logs.of(partition)
        {
            for (_, offset, entry) in log.written(event).take(1) {
                let node = log.leader_at(entry.appended).unwrap_or(slot.node);
                sightings.push(Sighting { time: entry.appended, node, what: Seen::Appended { partition, offset } });
                if let Some(gone) = self.trace.gone(gap, entry.appended) {
                    let what = Seen::Truncated { partition, offset, leader_epoch: gone.leader_epoch };
                    sightings.push(Sighting { time: gone.time, node: gone.leader, what });
                }
            }
        }
        if let Some((service, flow)) = gap.flow.filter(|(_, flow)| flow.starts > 0) {
            let what = match (flow.done, flow.reached) {
                (super::ledger::NO_STEP, super::ledger::NO_STEP) => Seen::FlowStarted { service },
                (super::ledger::NO_STEP, reached) => Seen::StepReached { service, step: u16::from(reached) },
                (done, _) => Seen::StepDone { service, step: u16::from(done) },
            };
            sightings.push(Sighting { time: flow.time, node: flow.node, what });
        }
        let progress = self.trace.progress[gap.hop.head.0 as usize].as_ref();
        if let Some(progress) = progress
            && let Some(stretch) = progress.partitions.get(partition).and_then(|p| p.passed_over(slot.offset))
        {
            let (group, offset, position) = (progress.group, slot.offset, stretch.to);
            let what = match gap.why {
                GapWhy::ExpiredUnread(by) => Seen::Expired { partition, offset, by },
                GapWhy::Compacted => Seen::Compacted { partition, offset },
                _ => Seen::PassedOver { group, partition, offset, position },
            };
            sightings.push(Sighting { time: stretch.time, node: stretch.node, what });
        }
        sightings.extend(struck(blame));
        sightings
    }

    fn name_of(&self, place: PlaceId) -> &str {
        self.plan.places.iter().find(|known| known.id == place).map_or("?", |place| place.name.as_str())
    }

    fn seen_at(&self, at: (Time, NodeId, Option<(TopicPartition, Offset)>)) -> Sighting {
        match at.2 {
            Some((partition, offset)) if is_topic(self.plan, self.place) => {
                Sighting { time: at.0, node: at.1, what: Seen::Appended { partition, offset } }
            }
            Some(_) | None => self.applied(at.0, at.1),
        }
    }

    fn applied(&self, time: Time, node: NodeId) -> Sighting {
        Sighting { time, node, what: Seen::Applied { place: self.place } }
    }

    fn assemble(
        &self,
        kind: EvidenceKind,
        event: EventId,
        other: Option<EventId>,
        mut sightings: Vec<Sighting>,
        blame: Option<Blame>,
    ) -> Evidence {
        let row = self.trace.ledger.event(event);
        if let Some(row) = row {
            let callers = callers_of(self.plan, origin_of(event)).first().copied().unwrap_or(NodeId(0));
            sightings.push(Sighting { time: row.arrived, node: callers, what: Seen::Arrived });
            let what = match row.outcome {
                Some(CallerOutcome::Accepted) => Some(Seen::Accepted),
                Some(CallerOutcome::Refused) => Some(Seen::Refused),
                Some(CallerOutcome::Unknown) => Some(Seen::GaveUp),
                None => None,
            };
            sightings.extend(what.map(|what| Sighting { time: row.settled, node: callers, what }));
        }
        sightings.sort_by_key(|sighting| sighting.time);
        let place = self.name_of(self.place);
        let what = match kind {
            EvidenceKind::Lost => "lost",
            EvidenceKind::RepeatedHarmful => "applied more than once",
            EvidenceKind::Stale => "overwritten by an older version",
            EvidenceKind::Phantom => "there although it should not be",
            EvidenceKind::Reordered => "applied after a later event of its key",
            EvidenceKind::Pending => "still on its way",
            EvidenceKind::Parked => "given up to a dead-letter topic",
            EvidenceKind::RepeatedHarmless => "done again without harm",
        };
        let why = blame.as_ref().map_or(String::new(), |blame| format!(": {}", blame.message));
        Evidence {
            kind,
            place: self.place,
            event,
            key: row.map_or(Key(0), |row| row.key),
            other,
            sightings,
            blame,
            message: format!("{event} is {what} at {place}{why}"),
        }
    }
}

/// What became of an event that owes an effect at a place.
pub fn fate_of(plan: &Plan, trace: &Trace, backlogged: &Backlogged, event: EventId, place: PlaceId) -> Fate {
    let slot = trace.ledger.place(event, place);
    let has = |flag: u16| slot.flags & flag != 0;
    if slot.count > 0 {
        return if has(place_flag::HARMFUL) {
            Fate::RepeatedHarmful
        } else if has(place_flag::HARMLESS) {
            Fate::RepeatedHarmless
        } else {
            Fate::Once
        };
    }
    if on_its_way(trace, backlogged, event, place) {
        return Fate::Pending;
    }
    let is_kept = trace.parked_by(event, place).is_some() && trace.lost_letter(plan, event, place).is_none();
    if is_kept { Fate::Parked } else { Fate::Lost }
}

/// In a backlog that leads here, in the buffer of a living producer, or in the steps of a living origin or of somebody
/// who is called.
fn on_its_way(trace: &Trace, backlogged: &Backlogged, event: EventId, place: PlaceId) -> bool {
    let origin = origin_of(event);
    let open = |at: PlaceId| trace.ledger.place(event, at).flags & place_flag::OPEN != 0;
    let running = |service: ServiceId| trace.ledger.flow(event, service).flags & flow_flag::OPEN != 0;
    let path = trace.routes.path(origin, place);
    backlogged.services(event) & trace.routes.before(place) != 0
        || path.iter().any(|hop| open(hop.place))
        || open(place)
        || running(origin)
        || path.iter().any(|hop| hop.service != hop.head && running(hop.service))
}

/// Events that only a person could settle: what the caller was told and what stands at the judged places disagree, or
/// something counts twice. Whoever was told nothing may ask; half of it done helps neither who tries again nor who does not.
pub fn unsettled(plan: &Plan, trace: &Trace, backlogged: &Backlogged) -> u64 {
    let judged = plan.expectations.iter().filter_map(|expectation| match expectation {
        Expectation::Place(expected) => {
            ((expected.loss, expected.duplicates) != (Tolerance::Any, Tolerance::Any)).then_some(expected.place)
        }
        Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => None,
    });
    let judged: Vec<PlaceId> = judged.collect();
    let mut count = 0;
    for origin in trace.ledger.origins() {
        let owed: Vec<PlaceId> = judged.iter().copied().filter(|place| trace.routes.owes(origin, *place)).collect();
        for (event, row) in trace.ledger.events_of(origin) {
            let slots: Vec<PlaceSlot> = owed.iter().map(|place| trace.ledger.place(event, *place)).collect();
            let there = slots.iter().filter(|slot| slot.count > 0).count();
            let twice = slots.iter().any(|slot| slot.flags & place_flag::HARMFUL != 0);
            let comes = || owed.iter().any(|place| on_its_way(trace, backlogged, event, *place));
            let disagree = match row.outcome {
                Some(CallerOutcome::Accepted) => {
                    owed.iter().any(|place| fate_of(plan, trace, backlogged, event, *place) == Fate::Lost)
                }
                Some(CallerOutcome::Refused) => there > 0,
                Some(CallerOutcome::Unknown) | None => 0 < there && there < owed.len() && !comes(),
            };
            count += u64::from(twice || disagree);
        }
    }
    count
}

fn struck(blame: &Blame) -> Option<Sighting> {
    let cause = blame.cause?;
    Some(Sighting { time: cause.time, node: cause.node, what: Seen::Struck { incident: cause.kind } })
}

/// At most [`EVIDENCE_KEPT`] of each kind: those with a cause first, then the earliest.
fn most_telling(mut evidence: Vec<Evidence>, asked_for: Option<EventId>) -> Vec<Evidence> {
    evidence.sort_by_key(|item| {
        let cause = item.blame.as_ref().and_then(|blame| blame.cause);
        (item.kind, cause.is_none(), item.sightings.first().map(|sighting| sighting.time), item.event)
    });
    let mut kept: Vec<Evidence> = Vec::new();
    for item in evidence {
        let alike = kept.iter().filter(|other| other.kind == item.kind).count();
        if alike < EVIDENCE_KEPT || asked_for == Some(item.event) {
            kept.push(item);
        }
    }
    kept
}

fn of_place(plan: &Plan, place: PlaceId) -> Option<PlaceId> {
    plan.expectations.iter().find_map(|expectation| match expectation {
        Expectation::Place(expectation) if expectation.place == place => expectation.of,
        Expectation::Place(_) | Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => {
            None
        }
    })
}

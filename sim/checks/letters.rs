//! Dead letters and retries: an event that was given up is parked as long as its letter is there.
//!
//! The one idea: a dead letter is a promise that somebody will look at it. A letter that no log has, or that retention removed
//! before anybody had it, is the event lost in silence, and the boundary is found like that of any other record. So it is with
//! an event that was given to a retry topic and was never read from it.

use super::ledger::{PlaceSlot, flow_flag, origin_of, place_flag};
use super::responsibility::{Gap, GapWhy};
use super::routes::{Hop, place_of, retry_places, sources};
use super::trace::Trace;
use crate::scenario::plan::*;
use crate::types::*;

impl Trace {
    /// The service on the way to a place that gave the event up to a dead-letter topic.
    pub fn parked_by(&self, event: EventId, place: PlaceId) -> Option<ServiceId> {
        let path = self.routes.path(origin_of(event), place);
        let parks = |service: &ServiceId| self.ledger.flow(event, *service).flags & flow_flag::PARKED != 0;
        path.iter().flat_map(|hop| [hop.head, hop.service]).find(parks)
    }

    /// Parked, and the letter is not there for anybody.
    pub fn lost_letter(&self, plan: &Plan, event: EventId, place: PlaceId) -> Option<Gap> {
        let giver = self.parked_by(event, place)?;
        let letters = self.letter_places(plan, giver);
        let mut slots = letters.iter().map(|letter| (*letter, self.ledger.place(event, *letter)));
        let (letter, slot) = slots.rfind(|(_, slot)| slot.flags & place_flag::SENT != 0)?;
        let hop = Hop { head: giver, service: giver, step: self.failing_step(event, giver), place: letter };
        if slot.count == 0 && slot.flags & place_flag::OPEN == 0 {
            let accepted = true;
            return Some(self.missing_record(event, hop, slot, accepted));
        }
        let somebody_had_it = plan
            .services
            .iter()
            .any(|service| sources(plan, service).contains(&letter) && self.ledger.flow(event, service.id).starts > 0);
        if slot.count == 0 || somebody_had_it || !self.has_expired(event, slot) {
            return None;
        }
        let flow = self.ledger.flow(event, giver);
        let (boundary, why) = (Boundary::Queue, GapWhy::LetterExpired);
        Some(Gap { event, boundary, why, hop, flow: Some((giver, flow)), slot, at: letter })
    }

    /// Given to a retry topic, and never read from it.
    pub fn lost_retry(&self, plan: &Plan, event: EventId, next: Hop) -> Option<Gap> {
        let flow = self.ledger.flow(event, next.head);
        if flow.flags & flow_flag::RETRIED == 0 {
            return None;
        }
        let retries = retry_places(plan, next.head);
        let (place, slot) = retries
            .into_iter()
            .map(|place| (place, self.ledger.place(event, place)))
            .rfind(|(_, slot)| slot.flags & place_flag::SENT != 0)?;
        if slot.count == 0 {
            return Some(self.missing_record(event, Hop { place, ..next }, slot, true));
        }
        let progress = self.progress[usize::from(next.head.0)].as_ref()?;
        let passed = progress.partitions.get(slot.partition)?.passed_over(slot.offset).is_some();
        passed.then(|| self.undelivered(event, next, slot))
    }

    fn letter_places(&self, plan: &Plan, giver: ServiceId) -> Vec<PlaceId> {
        let ladder = plan.services.get(usize::from(giver.0)).map_or(&[][..], |service| &service.ladder);
        let topics = ladder.iter().filter_map(|rung| match rung {
            Rung::DeadLetter { topic, .. } => Some(*topic),
            _ => None,
        });
        topics.filter_map(|topic| place_of(plan, topic)).collect()
    }

    fn failing_step(&self, event: EventId, giver: ServiceId) -> u16 {
        u16::from(self.ledger.flow(event, giver).reached)
    }

    /// No copy of it stands at the start of its log or behind it.
    fn has_expired(&self, event: EventId, slot: PlaceSlot) -> bool {
        let Some(log) = self.logs.of(slot.partition) else { return false };
        let start = log.counting.start;
        slot.offset < start && log.written(event).all(|(_, offset, _)| offset < start)
    }
}

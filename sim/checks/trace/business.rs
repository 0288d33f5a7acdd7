//! The business half of the trace: callers, lists of steps, and what stores did.
//!
//! The one idea: the first application of an event at a place decides its delay and its order; every further one is
//! harmless or harmful by what the store says it did, and is laid to a boundary on the spot.

use super::super::ledger::{PlaceSlot, flow_flag, origin_of, place_flag};
use super::super::progress::{SetBack, SetBackBy};
use super::super::routes::called_by;
use super::*;

impl Trace {
    pub(super) fn business(&mut self, note: &Note, event: &Event) {
        let now = event.time;
        match note {
            Note::Arrived { service, message } => {
                self.counters.arrived += 1;
                self.callers[service.0 as usize].arrived += 1;
                if let Some(row) = self.ledger.event_mut(message.event) {
                    (row.arrived, row.key, row.version) = (now, message.key, message.version);
                    row.poison = message.poison;
                }
            }
            Note::Attempted { event: about, instance, .. } => {
                if let Some(row) = self.ledger.event_mut(*about) {
                    if row.attempts == 0 {
                        row.instance = *instance;
                    }
                    row.attempts = row.attempts.saturating_add(1);
                    self.counters.retries += u64::from(row.attempts > 1);
                }
            }
            Note::CallerSettled { event: about, outcome } => self.settled(*about, *outcome, now),
            Note::FlowStarted { service, message, source, attempt } => {
                if let Some(call) = self.calls.get_mut(&(message.event, *service)) {
                    call.retried = *attempt > 1;
                }
                self.flow_started(*service, *message, *source, event);
            }
            Note::StepReached { service, step, event: about } => {
                if let Some(slot) = self.ledger.flow_mut(*about, *service) {
                    (slot.time, slot.node, slot.reached) = (now, event.node, short(*step));
                }
            }
            Note::StepDone { service, step, event: about, outcome } => {
                self.step_done(*service, *step, *about, *outcome, event);
            }
            Note::FlowDone { service, event: about, skipped } => self.flow_done(*service, *about, *skipped, event),
            Note::RungReached { service, rung, event: about } => self.rung_reached(*service, *rung, *about, event.node),
            Note::Abandoned { count, .. } => self.counters.abandoned += u64::from(*count),
            Note::EffectApplied { service, step, place, message, effect, caller } => {
                self.counters.applied += 1;
                let source = self.source_of(*caller, *service, message.event);
                self.effect(*place, *message, *effect, (now, *caller, source), (*service, *step));
            }
            Note::AnswerLost { event: about } => self.answer_lost(*about, event.node),
            Note::CallAttempted { service, event: about, run, attempt, to, .. } => {
                self.counters.retries += u64::from(*attempt > 1);
                let (by, run) = (*service, *run);
                let call = LastCall { by, run, since: now, attempts: 1, retried: false, settled: false };
                self.called(*about, *to, call);
            }
            Note::CallFailed { outcome, .. } => {
                self.counters.unknown_outcomes += u64::from(*outcome == StepOutcome::Unknown);
            }
            Note::Redriven { service, event: about, .. } => {
                self.redriven.insert(*about);
                if let Some(slot) = self.ledger.flow_mut(*about, *service) {
                    slot.flags &= !(flow_flag::PARKED | flow_flag::DONE);
                }
            }
            Note::RowSeen { .. } | Note::RowsPolled { .. } | Note::RowsMarked { .. } | Note::CursorMoved { .. } => {
                self.relays.iter_mut().flatten().for_each(|relay| relay.observe(note));
            }
            _ => {}
        }
    }

    /// A service is called; an endpoint says by itself for whom it acts.
    fn called(&mut self, about: EventId, to: NodeId, call: LastCall) {
        let Some(Some(callee)) = self.service_of_node.get(usize::from(to.0)) else { return };
        match self.calls.get_mut(&(about, *callee)) {
            Some(last) if last.run == call.run => last.attempts = last.attempts.saturating_add(1),
            Some(_) | None => {
                self.callers[usize::from(callee.0)].arrived += 1;
                self.calls.insert((about, *callee), call);
            }
        }
    }

    /// The step that called a service has its result: so its caller sees it.
    fn answered(&mut self, about: EventId, by: ServiceId, callee: ServiceId, outcome: StepOutcome, now: Time) {
        // A breaker may have kept the call back.
        let Some(call) = self.calls.get_mut(&(about, callee)).filter(|call| call.by == by && !call.settled) else {
            return;
        };
        call.settled = true;
        let callers = &mut self.callers[usize::from(callee.0)];
        match outcome {
            StepOutcome::Done | StepOutcome::Skipped => {
                callers.accepted += 1;
                callers.latency.add(now.since(call.since));
            }
            StepOutcome::Failed => callers.refused += 1,
            StepOutcome::Unknown => callers.unknown += 1,
        }
    }

    /// Every running list that waits for this store cannot know. What waits for an endpoint has a run of its own.
    fn answer_lost(&mut self, about: EventId, at: NodeId) {
        for service in &self.services {
            let Some(slot) = self.ledger.flow_mut(about, service.id) else { continue };
            let reached = service.steps.get(slot.reached as usize).map(|step| &step.action);
            if slot.flags & flow_flag::OPEN != 0
                && let Some(Action::Store { store, .. }) = reached
                && self.store_nodes.get(usize::from(*store)) == Some(&at)
            {
                slot.flags |= flow_flag::ANSWER_LOST;
            }
        }
    }

    fn settled(&mut self, about: EventId, outcome: CallerOutcome, now: Time) {
        let Some(row) = self.ledger.event_mut(about) else { return };
        (row.outcome, row.settled) = (Some(outcome), now);
        let latency = now.since(row.arrived);
        let callers = &mut self.callers[origin_of(about).0 as usize];
        if outcome != CallerOutcome::Accepted {
            let step = now.since(Time::LOAD_START).0 / self.answer_step.0;
            callers.answers.fail(self.answer_step, step.min(ANSWER_STEPS - 1) as usize);
        }
        match outcome {
            CallerOutcome::Accepted => {
                self.counters.accepted += 1;
                callers.accepted += 1;
                callers.latency.add(latency);
            }
            CallerOutcome::Refused => {
                self.counters.refused += 1;
                callers.refused += 1;
            }
            CallerOutcome::Unknown => {
                self.counters.unknown_outcomes += 1;
                callers.unknown += 1;
            }
        }
    }

    fn flow_started(&mut self, service: ServiceId, message: Message, source: Source, event: &Event) {
        let again_in_place = self.flows_of(event.node, service, message.event).any(|(_, running)| running == source);
        if !again_in_place {
            self.flows_begun += 1;
            let key = (service, message.event, self.flows_begun);
            cell(&mut self.flows, event.node.0).insert(key, source);
        }
        if let Some(slot) = self.ledger.flow_mut(message.event, service) {
            (slot.time, slot.node, slot.reached, slot.done) = (event.time, event.node, NO_STEP, NO_STEP);
            (slot.starts, slot.flags) = (slot.starts.saturating_add(1), slot.flags | flow_flag::OPEN);
            if let Some((partition, offset)) = source {
                (slot.partition, slot.offset) = (partition, offset);
            }
        }
        if let Some((partition, offset)) = source
            && let Some(progress) = &mut self.progress[service.0 as usize]
        {
            let again = progress.start(partition, offset, event.time);
            self.counters.redeliveries += u64::from(again && !again_in_place);
        }
    }

    fn step_done(&mut self, service: ServiceId, step: u16, about: EventId, outcome: StepOutcome, event: &Event) {
        // Each attempt of a call has said for itself how it ended.
        let action = self.services.get(usize::from(service.0)).and_then(|plan| plan.steps.get(usize::from(step)));
        let is_call = action.is_some_and(|step| matches!(step.action, Action::Call(_)));
        let commits = action.is_some_and(|step| matches!(step.action, Action::Commit { .. }));
        if let Some(callee) = action.and_then(called_by) {
            self.answered(about, service, callee, outcome, event.time);
        }
        self.counters.unknown_outcomes += u64::from(outcome == StepOutcome::Unknown && !is_call);
        if let Some(slot) = self.ledger.flow_mut(about, service) {
            (slot.time, slot.node) = (event.time, event.node);
            match outcome {
                StepOutcome::Done => slot.done = short(step),
                StepOutcome::Skipped => (slot.done, slot.flags) = (short(step), slot.flags | flow_flag::SKIPPED),
                // Whether a row is marked says nothing of its effect.
                StepOutcome::Unknown if !is_call && !commits => slot.flags |= flow_flag::ANSWER_LOST,
                StepOutcome::Failed | StepOutcome::Unknown => {}
            }
        }
        if outcome == StepOutcome::Skipped {
            self.recognised(service, step, about);
        }
    }

    /// A present row ended the list: the repetition was noticed, and did no harm where the row stands.
    fn recognised(&mut self, service: ServiceId, step: u16, about: EventId) {
        let Some(plan) = self.services.get(service.0 as usize) else { return };
        let Some(Action::Store { operations, .. }) = plan.steps.get(step as usize).map(|step| &step.action) else {
            return;
        };
        for operation in operations {
            let table = match *operation {
                StoreStep::Insert { table, .. }
                | StoreStep::InsertIfAbsent { table, .. }
                | StoreStep::Check { table, .. }
                | StoreStep::Upsert { table, .. }
                | StoreStep::Add { table, .. }
                | StoreStep::Confirm { table, .. }
                | StoreStep::Commit { table } => table,
            };
            let slot = self.ledger.place_mut(about, table);
            if let Some(slot) = slot.filter(|slot| slot.count > 0) {
                slot.flags |= place_flag::HARMLESS;
            }
        }
    }

    fn flow_done(&mut self, service: ServiceId, about: EventId, skipped: bool, event: &Event) {
        self.flows_done[service.0 as usize] += 1;
        if self.load_ended.is_none() {
            self.flows_done_under_load[service.0 as usize] += 1;
        }
        let first = self.flows_of(event.node, service, about).next();
        if let Some((key, _)) = first {
            cell(&mut self.flows, event.node.0).remove(&key);
        }
        let source = first.and_then(|(_, source)| source);
        if let Some(slot) = self.ledger.flow_mut(about, service) {
            let skipped = if skipped { flow_flag::SKIPPED } else { 0 };
            (slot.time, slot.node) = (event.time, event.node);
            slot.flags = slot.flags & !flow_flag::OPEN | flow_flag::DONE | skipped;
        }
        if let Some((partition, offset)) = source
            && let Some(progress) = &mut self.progress[service.0 as usize]
        {
            progress.finish(partition, offset, event.time);
        }
    }

    fn rung_reached(&mut self, service: ServiceId, rung: u16, about: EventId, node: NodeId) {
        let Some(plan) = self.services.get(service.0 as usize) else { return };
        let flag = match plan.ladder.get(rung as usize) {
            Some(Rung::Retry { .. } | Rung::Block { .. }) => {
                self.counters.retries += 1;
                return;
            }
            Some(Rung::RetryTopic { .. }) => {
                self.counters.retries += 1;
                flow_flag::RETRIED
            }
            Some(Rung::DeadLetter { .. }) => {
                self.counters.dead_letters += 1;
                flow_flag::PARKED
            }
            Some(Rung::Skip) => {
                self.counters.skipped += 1;
                flow_flag::DROPPED
            }
            Some(Rung::Refuse) => return self.refused(service, about, node),
            Some(Rung::Crash | Rung::Close) | None => return,
        };
        if let Some(slot) = self.ledger.flow_mut(about, service) {
            slot.flags |= flag;
        }
    }

    /// The list ends with a no: nothing runs for the event here any more.
    fn refused(&mut self, service: ServiceId, about: EventId, node: NodeId) {
        let first = self.flows_of(node, service, about).next();
        if let Some((key, _)) = first {
            cell(&mut self.flows, node.0).remove(&key);
        }
        if let Some(slot) = self.ledger.flow_mut(about, service) {
            slot.flags &= !flow_flag::OPEN;
        }
    }

    fn effect(
        &mut self,
        place: PlaceId,
        message: Message,
        effect: StoreEffect,
        at: (Time, NodeId, Source),
        by: (ServiceId, u16),
    ) {
        let Some(slot) = self.ledger.place_mut(message.event, place) else { return };
        let before: PlaceSlot = *slot;
        slot.count = slot.count.saturating_add(1);
        let run_again = match effect {
            StoreEffect::Executed { run } => self.runs.insert((place, message.event), run) == Some(run),
            StoreEffect::Inserted | StoreEffect::Overwrote { .. } | StoreEffect::Unchanged | StoreEffect::Added => {
                false
            }
        };
        if before.count == 0 {
            (slot.time, slot.node) = (at.0, at.1);
            if let Some((partition, offset)) = at.2 {
                (slot.partition, slot.offset, slot.flags) = (partition, offset, slot.flags | place_flag::SOURCE);
            }
            self.first_application(place, message, at);
        } else {
            match effect {
                StoreEffect::Inserted | StoreEffect::Added | StoreEffect::Executed { .. } => {
                    let why = match run_again {
                        true => Again::at(Boundary::Downstream),
                        false => self.why_again(effect, message.event, &before, at.2, by.0),
                    };
                    self.repeated(place, message.event, (&before, at), by, why);
                }
                StoreEffect::Unchanged | StoreEffect::Overwrote { .. } => slot.flags |= place_flag::HARMLESS,
            }
        }
        let trace = &mut self.places[place.0 as usize];
        trace.applications += 1;
        match effect {
            StoreEffect::Overwrote { newer: false } => trace.regressions += 1,
            StoreEffect::Overwrote { newer: true } | StoreEffect::Inserted | StoreEffect::Added => {}
            StoreEffect::Executed { .. } | StoreEffect::Unchanged => return,
        }
        if trace.overwrites {
            let (time, node, source) = at;
            let current = Applied { event: message.event, version: message.version, time, node, source };
            let row = trace.rows.entry(message.key).or_insert(KeyTrace { newest: current, current });
            row.current = current;
            if row.newest.version < message.version {
                row.newest = row.current;
            }
        }
    }

    /// The first application of an event at a place: its delay, and its order among the events of its key.
    pub(super) fn first_application(&mut self, place: PlaceId, message: Message, at: (Time, NodeId, Source)) {
        let Some(row) = self.ledger.event(message.event).copied() else { return };
        let trace = &mut self.places[place.0 as usize];
        trace.delay.add(at.0.since(row.arrived));
        if trace.unique_keys {
            return;
        }
        let at = (at.0, at.1);
        let arrival = LatestArrival { arrived: row.arrived, event: message.event, at };
        let latest = trace.latest_arrivals.or_insert_with(message.key, || arrival);
        if row.outcome == Some(CallerOutcome::Accepted) && row.settled < latest.arrived {
            trace.reordered += 1;
            if trace.reversals.len() < EVIDENCE_KEPT {
                let reversal = Reversal { event: message.event, at, other: latest.event, other_at: latest.at };
                trace.reversals.push(reversal);
            }
        }
        if latest.arrived < row.arrived {
            *latest = arrival;
        }
    }

    /// A second row, a second addition or a second call.
    fn repeated(
        &mut self,
        place: PlaceId,
        event: EventId,
        (before, again): (&PlaceSlot, (Time, NodeId, Source)),
        by: (ServiceId, u16),
        why: Again,
    ) {
        let slot = self.ledger.place_mut(event, place).expect("a slot that was just found");
        slot.flags |= place_flag::HARMFUL | flag_of(why.boundary);
        let source = (before.flags & place_flag::SOURCE != 0).then_some((before.partition, before.offset));
        let first = (before.time, before.node, source);
        let Again { boundary, callee } = why;
        self.keep_repetition(place, Repetition { event, first, again, by: Some(by), callee, boundary });
    }

    /// Whose promise broke is known now, from where both came. A call was executed twice because its step ran twice: its
    /// caller ran it again.
    fn why_again(
        &self,
        effect: StoreEffect,
        event: EventId,
        before: &PlaceSlot,
        again: Source,
        by: ServiceId,
    ) -> Again {
        let first = (before.flags & place_flag::SOURCE != 0).then_some((before.partition, before.offset));
        let is_call = matches!(effect, StoreEffect::Executed { .. });
        if !is_call && self.ledger.flow(event, by).flags & flow_flag::ANSWER_LOST != 0 {
            return Again::at(Boundary::Downstream);
        }
        if let Some(why) = self.why_called_again(event, by, before.time) {
            return why;
        }
        match (first, again) {
            (Some(first), Some(again)) if first != again => Again::at(self.why_two_records(event, first, again)),
            (Some(_) | None, Some(_) | None) => Again::at(self.why_read_again(event, by, before.time)),
        }
    }

    /// A consumer had it once more: its group was set back behind what it had committed, or it took itself back, or the commit
    /// was still to come.
    fn why_read_again(&self, event: EventId, reader: ServiceId, since: Time) -> Boundary {
        match self.set_back_over(event, reader, since, self.last) {
            Some(SetBack { by: SetBackBy::Reset(_), .. }) => Boundary::Group,
            Some(SetBack { by: SetBackBy::Commit, .. }) | None => Boundary::Consumer,
        }
    }

    /// How the group of a service was set back in a stretch of time, so that it was given the event once more.
    pub fn set_back_over(&self, event: EventId, reader: ServiceId, since: Time, until: Time) -> Option<&SetBack> {
        let flow = self.ledger.flow(event, reader);
        let progress = self.progress[usize::from(reader.0)].as_ref()?.partitions.get(flow.partition)?;
        progress.set_back_below(flow.offset, since, until)
    }

    /// The service that consumes, of those through whose calls a service was reached.
    pub fn reader_behind(&self, event: EventId, service: ServiceId) -> Option<ServiceId> {
        let mut service = service;
        loop {
            if self.progress[usize::from(service.0)].is_some() {
                return Some(service);
            }
            service = self.calls.get(&(event, service))?.by;
        }
    }

    /// Why a list ran twice that no record starts: its callers asked again, its own ladder did, or one call of it timed out,
    /// was executed, and was tried again. `None`: a consumer.
    fn why_called_again(&self, event: EventId, by: ServiceId, first: Time) -> Option<Again> {
        if self.is_origin(by) {
            let attempts = self.ledger.event(event).map_or(0, |row| row.attempts);
            return Some(Again::at(if attempts > 1 { Boundary::Caller } else { Boundary::Consumer }));
        }
        let call = self.calls.get(&(event, by))?;
        if call.retried {
            return Some(Again::at(Boundary::Consumer));
        }
        // One attempt is one execution: the second came from an earlier run.
        if call.attempts > 1 && call.since <= first {
            return Some(Again { boundary: Boundary::Downstream, callee: Some(by) });
        }
        let read_again = || Again::at(self.why_read_again(event, call.by, first));
        Some(self.why_called_again(event, call.by, first).unwrap_or_else(read_again))
    }

    /// One event at two places of the queue: in two topics it went round by a retry or a redrive; the same send twice is
    /// its producer's retry; two sends are its application's, which repeated its steps or was called again.
    pub fn why_two_records(
        &self,
        event: EventId,
        first: (TopicPartition, Offset),
        again: (TopicPartition, Offset),
    ) -> Boundary {
        if first.0.topic != again.0.topic || self.redriven.contains(&event) {
            return Boundary::Consumer;
        }
        let content = |(partition, offset): (TopicPartition, Offset)| {
            self.logs.of(partition).and_then(|log| log.entry(offset)).map(|entry| entry.content)
        };
        if first.0 == again.0 && content(first).is_some() && content(first) == content(again) {
            return Boundary::Producer;
        }
        let origin = origin_of(event);
        let attempts = self.ledger.event(event).map_or(0, |row| row.attempts);
        let place = self.place_of(again.0.topic);
        let writer = place.and_then(|place| self.routes.path(origin, place).last().copied());
        match writer {
            // Given up twice, or sent round twice.
            None if self.is_of_a_ladder(again.0.topic) => Boundary::Consumer,
            Some(hop) if hop.service != origin => {
                let answer_lost = self.ledger.flow(event, hop.service).flags & flow_flag::ANSWER_LOST != 0;
                let made = self.record_at(first.0, first.1).map_or(Time::ZERO, |(time, _)| time);
                if answer_lost { Boundary::Producer } else { self.why_read_again(event, hop.head, made) }
            }
            Some(_) if attempts > 1 => Boundary::Caller,
            Some(_) | None => Boundary::Producer,
        }
    }

    /// A topic that ladders write to: dead letters, or retries.
    fn is_of_a_ladder(&self, topic: TopicId) -> bool {
        let letters = self.place_of(topic).is_some_and(|place| !self.routes.dead_letters(place).is_empty());
        letters || self.services.iter().any(|service| service.retry_topics().any(|(retry, _)| retry == topic))
    }
}

/// Why something was done a second time.
#[derive(Clone, Copy)]
pub(super) struct Again {
    boundary: Boundary,
    /// The service that was asked twice for one thing, where it is one.
    callee: Option<ServiceId>,
}

impl Again {
    fn at(boundary: Boundary) -> Again {
        Again { boundary, callee: None }
    }
}

fn short(step: u16) -> u8 {
    step.min(u16::from(NO_STEP) - 1) as u8
}

//! Responsibility: whose promise broke, for each bad fate, from what the history shows.
//!
//! The one idea: an event is followed hop by hop from its caller to the place, and the first hop that does not have it is
//! the boundary. Between two hops there is exactly one promise:
//!
//! | boundary | promise | told by |
//! |---|---|---|
//! | caller | "ok" only after everything promised is durable | accepted, or a row saved, and never handed to a producer |
//! | producer | acknowledged means queued; otherwise retry, or tell the caller | failed, acks=0, or in the buffer of a process that died |
//! | queue | an acknowledged record stays until retention, compaction or an operator, and those wait for its readers | acknowledged at an offset, and not in the log that counts; removed unread |
//! | group | every record at or after the committed offset is delivered, and no other, and every row that a relay has not done with | the position was reset past it, or committed past it before it was through; the position was reset to before what was committed; a row was marked, or a cursor moved past it, unread |
//! | consumer | effect before commit, repetition harmless | its list is through, or began again, and the effect is missing or there twice |
//! | downstream | idempotent, or says so | executed, answer lost, executed again |
//!
//! A producer whose caller was told the truth has kept its promise; what is left then is the dual write of the service,
//! so that losses behind a refused or unanswered caller are laid to `caller`.
//!
//! What it deliberately does not do: guess. A cause is named only if something struck a node of the story between its
//! two sightings; whether a setting would have helped is for counterfactual runs.

use super::ledger::{FlowSlot, NO_STEP, PlaceSlot, flow_flag, origin_of, place_flag};
use super::outcome::{Between, Blame, Incident, IncidentKind, Party, RemovedBy};
use super::progress::{Commit, PartitionProgress, PassedWhy, SetBack, SetBackBy};
use super::relays::RowState;
use super::routes::Hop;
use super::trace::{Applied, Repetition, Trace};
use crate::scenario::plan::*;
use crate::types::note::{CallerOutcome, PositionReason};
use crate::types::request::Present;
use crate::types::*;

/// Where a lost event was last, and where it should have been.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    pub event: EventId,
    pub boundary: Boundary,
    pub why: GapWhy,
    pub hop: Hop,
    /// The service at which it broke, for the consumer side.
    pub flow: Option<(ServiceId, FlowSlot)>,
    pub slot: PlaceSlot,
    /// The place that the slot is of.
    pub at: PlaceId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapWhy {
    NeverSent,
    SendFailed,
    NotWaitedFor,
    BufferDied,
    NotInLog,
    ExpiredUnread(RemovedBy),
    Compacted,
    /// Its dead letter is gone, and nobody had it.
    LetterExpired,
    PositionReset(PositionReason),
    CommittedUnprocessed,
    NeverDelivered,
    /// A row that was seen when the cursor of its relay stood behind it already.
    SkippedByCursor,
    MarkedUnprocessed,
    NotThrough,
    GivenUp,
    /// Given up, and nothing else could be done with it.
    Poison,
    SkippedByRow,
    ThroughWithout,
}

impl GapWhy {
    fn sentence(self) -> &'static str {
        match self {
            GapWhy::NeverSent => "it was never handed to a producer",
            GapWhy::SendFailed => "its producer gave up",
            GapWhy::NotWaitedFor => "its producer did not wait for an acknowledgement (acks=0)",
            GapWhy::BufferDied => "it was with a producer whose process died",
            GapWhy::NotInLog => "it was acknowledged and is not in the log of the current leader",
            GapWhy::LetterExpired => "its dead letter was removed from its topic, and nobody had it",
            GapWhy::ExpiredUnread(RemovedBy::Retention) => "retention removed it before it was read",
            GapWhy::ExpiredUnread(RemovedBy::Operator) => "an operator deleted it before it was read",
            GapWhy::Compacted => {
                "compaction removed it before it was processed: a newer record of its key stood behind it"
            }
            GapWhy::PositionReset(PositionReason::ResetLatest) => "the group was set behind it: reset to latest",
            GapWhy::PositionReset(PositionReason::ResetEarliest) => "the group was set behind it: reset to earliest",
            GapWhy::PositionReset(PositionReason::Truncated) => "the group was set behind it: its log was cut",
            GapWhy::PositionReset(PositionReason::Stored) => "the group was set behind it: stored position",
            GapWhy::PositionReset(PositionReason::Committed) | GapWhy::CommittedUnprocessed => {
                "the offset behind it was committed before it was processed"
            }
            GapWhy::NeverDelivered => "the offset behind it was committed, and it was never delivered",
            GapWhy::SkippedByCursor => {
                "its row was seen late, with a number below those that had been read: the poll never found it"
            }
            GapWhy::MarkedUnprocessed => "its row was marked as done before it was processed",
            GapWhy::NotThrough => "it was delivered, and its steps never came to an end",
            GapWhy::GivenUp => "it failed, and was skipped",
            GapWhy::Poison => "it was poison, failed in every `work`, and was skipped",
            GapWhy::SkippedByRow => "a row that was there already ended its steps before the effect",
            GapWhy::ThroughWithout => "its steps are through without the effect",
        }
    }
}

impl Trace {
    /// Follows a lost event to the hop that does not have it.
    pub fn gap(&self, plan: &Plan, event: EventId, place: PlaceId) -> Gap {
        let origin = origin_of(event);
        let path = self.routes.path(origin, place);
        let accepted = self.ledger.event(event).is_some_and(|row| row.outcome == Some(CallerOutcome::Accepted));
        if let Some(gap) = self.lost_letter(plan, event, place) {
            return gap;
        }
        for (index, hop) in path.iter().enumerate() {
            let slot = self.ledger.place(event, hop.place);
            if is_topic(plan, hop.place) {
                if slot.count == 0 {
                    return self.missing_record(event, *hop, slot, accepted);
                }
                let Some(next) = path.get(index + 1) else { continue };
                if let Some(gap) = self.not_through(event, *next, slot).or_else(|| self.lost_retry(plan, event, *next))
                {
                    return gap;
                }
            } else if slot.count == 0 {
                return self.missing_effect(event, *hop, slot);
            } else if let Some(next) = path.get(index + 1)
                && let Some(gap) = self.not_relayed(event, *next, (hop.place, slot))
            {
                return gap;
            }
        }
        let giver = self.routes.dead_letters(place).first().map_or(origin, |(service, _)| *service);
        let hop = Hop { head: giver, service: giver, step: 0, place };
        self.missing_record(event, hop, self.ledger.place(event, place), accepted)
    }

    pub fn missing_record(&self, event: EventId, hop: Hop, slot: PlaceSlot, accepted: bool) -> Gap {
        let origin = origin_of(event);
        let flow = self.ledger.flow(event, hop.service);
        let has = |flag: u16| slot.flags & flag != 0;
        let (boundary, why) = if has(place_flag::ACKNOWLEDGED) && !has(place_flag::UNTOLD) {
            (Boundary::Queue, GapWhy::NotInLog)
        } else if has(place_flag::ACKNOWLEDGED) {
            (Boundary::Producer, GapWhy::NotWaitedFor)
        } else if has(place_flag::SENT) {
            let died = has(place_flag::DIED);
            let told_the_truth = hop.head == origin && !accepted;
            let boundary = if told_the_truth { Boundary::Caller } else { Boundary::Producer };
            (boundary, if died { GapWhy::BufferDied } else { GapWhy::SendFailed })
        } else if hop.head == origin {
            (Boundary::Caller, GapWhy::NeverSent)
        } else {
            return self.missing_effect(event, hop, slot);
        };
        Gap { event, boundary, why, hop, flow: Some((hop.service, flow)), slot, at: hop.place }
    }

    /// In the log; did the group bring it through the service of the next hop?
    fn not_through(&self, event: EventId, next: Hop, slot: PlaceSlot) -> Option<Gap> {
        let flow = self.ledger.flow(event, next.head);
        if flow.flags & (flow_flag::DONE | flow_flag::DROPPED) != 0 {
            return None;
        }
        Some(self.undelivered(event, next, slot))
    }

    /// In a topic of the service, and not through it.
    pub fn undelivered(&self, event: EventId, next: Hop, slot: PlaceSlot) -> Gap {
        let flow = self.ledger.flow(event, next.head);
        let progress = self.progress[next.head.0 as usize].as_ref();
        let progress = progress.and_then(|progress| progress.partitions.get(slot.partition));
        let passed = progress.and_then(|progress| progress.passed_over(slot.offset)).map(|passed| passed.why);
        let committed = progress.is_some_and(|progress| past(progress, slot.offset));
        let delivered = progress.is_some_and(|progress| progress.delivered.contains(slot.offset));
        let (boundary, why) = match passed {
            Some(PassedWhy::Expired(by)) if flow.starts == 0 => (Boundary::Queue, GapWhy::ExpiredUnread(by)),
            Some(PassedWhy::Compacted) => (Boundary::Queue, GapWhy::Compacted),
            Some(PassedWhy::Position(PositionReason::Committed)) if !delivered => {
                (Boundary::Group, GapWhy::NeverDelivered)
            }
            Some(PassedWhy::Position(reason)) => (Boundary::Group, GapWhy::PositionReset(reason)),
            Some(PassedWhy::Expired(_)) | None if committed => (Boundary::Group, GapWhy::CommittedUnprocessed),
            Some(PassedWhy::Expired(_)) | None => (Boundary::Consumer, GapWhy::NotThrough),
        };
        Gap { event, boundary, why, hop: next, flow: Some((next.head, flow)), slot, at: next.place }
    }

    /// In the table; did the relay bring it through the service of the next hop?
    fn not_relayed(&self, event: EventId, next: Hop, (table, slot): (PlaceId, PlaceSlot)) -> Option<Gap> {
        let flow = self.ledger.flow(event, next.head);
        if flow.flags & (flow_flag::DONE | flow_flag::DROPPED) != 0 {
            return None;
        }
        let state = self.relays[next.head.0 as usize].as_ref()?.state_of(event);
        let (boundary, why) = match state {
            Some(RowState::Skipped) => (Boundary::Group, GapWhy::SkippedByCursor),
            Some(RowState::Done) => (Boundary::Group, GapWhy::MarkedUnprocessed),
            Some(RowState::Open) | None => (Boundary::Consumer, GapWhy::NotThrough),
        };
        Some(Gap { event, boundary, why, hop: next, flow: Some((next.head, flow)), slot, at: table })
    }

    fn missing_effect(&self, event: EventId, hop: Hop, slot: PlaceSlot) -> Gap {
        // Who was never called says nothing; who should have called it does.
        let called = self.ledger.flow(event, hop.service);
        let (service, flow) = match called.starts {
            0 => (hop.head, self.ledger.flow(event, hop.head)),
            _ => (hop.service, called),
        };
        let is_poison = self.ledger.event(event).is_some_and(|row| row.poison);
        let why = if flow.flags & flow_flag::DROPPED != 0 {
            if is_poison { GapWhy::Poison } else { GapWhy::GivenUp }
        } else if flow.flags & flow_flag::SKIPPED != 0 {
            GapWhy::SkippedByRow
        } else if flow.flags & flow_flag::DONE != 0 {
            GapWhy::ThroughWithout
        } else {
            GapWhy::NotThrough
        };
        let boundary = if self.is_origin(hop.head) { Boundary::Caller } else { Boundary::Consumer };
        Gap { event, boundary, why, hop, flow: Some((service, flow)), slot, at: hop.place }
    }

    /// The gap as a blame, with what struck and between which steps.
    pub fn blame_of_gap(&self, plan: &Plan, gap: &Gap) -> Blame {
        let cause = self.cause_of_gap(plan, gap);
        let began = gap.flow.filter(|(_, flow)| breaks_between_steps(gap.why) && flow.starts > 0);
        let between = began.map(|(service, flow)| Between {
            service,
            node: flow.node,
            done: match gap.why {
                // What was done last belongs to the attempt that found the row.
                GapWhy::SkippedByRow => ending_row(plan, service, gap.hop.step).map(|(step, _)| step),
                _ => (flow.done != NO_STEP).then_some(u16::from(flow.done)),
            },
            // The step of another list is none of this one.
            missing: (service == gap.hop.service).then_some(gap.hop.step),
        });
        let whose = self.party_of_gap(gap);
        Blame { boundary: gap.boundary, whose, between, cause, message: sentence(plan, gap.why.sentence(), cause) }
    }

    fn party_of_gap(&self, gap: &Gap) -> Party {
        match gap.boundary {
            Boundary::Caller => Party::Service(origin_of(gap.event)),
            Boundary::Queue => Party::Topic(gap.slot.partition.topic),
            Boundary::Producer => Party::Service(gap.hop.service),
            Boundary::Group => Party::Service(gap.hop.head),
            Boundary::Consumer | Boundary::Downstream => {
                Party::Service(gap.flow.map_or(gap.hop.service, |(service, _)| service))
            }
        }
    }

    /// What struck between two applications of one event.
    pub fn blame_of_repetition(&self, plan: &Plan, repetition: &Repetition) -> Blame {
        let cause = self.cause_of_repetition(plan, repetition);
        let by = repetition.by.filter(|_| repetition.boundary == Boundary::Consumer);
        let between = by.map(|(service, step)| Between {
            service,
            node: repetition.first.1,
            done: Some(step),
            missing: commit_step(plan, service),
        });
        let why = match repetition.boundary {
            Boundary::Caller => "the caller asked again, and it was handled as new",
            Boundary::Producer => "its producer sent it again, and the queue has it twice",
            Boundary::Queue => "the queue delivered it twice",
            Boundary::Group => match self.set_back_of(plan, repetition) {
                Some(SetBack { commit: Commit { expired: Some(_), .. }, .. }) => {
                    "its group was past it, and was set back: its offset had expired"
                }
                Some(SetBack { by: SetBackBy::Reset(PositionReason::Truncated), .. }) => {
                    "its group was past it, and was set back: its log was cut"
                }
                Some(_) | None => {
                    "its group was past it, and was set back by `auto-offset-reset`: its offset was gone, or outside of its log"
                }
            },
            Boundary::Consumer if is_redelivery(plan, cause) => "it was delivered once more, and handled as new",
            Boundary::Consumer => match self.sender_behind(plan, repetition).map(|sender| &sender.trigger) {
                Some(Trigger::Poll(_)) => "it was published again, before its row was marked as done",
                Some(Trigger::Consume(_) | Trigger::Requests(_) | Trigger::Called(_)) => {
                    "it was given up again, before its offset was committed"
                }
                None => match self.set_back_of(plan, repetition) {
                    Some(SetBack { by: SetBackBy::Commit, .. }) => {
                        "it was handled again: an older commit came late and took its group back"
                    }
                    Some(_) | None => "it was handled again after its effect, before its offset was committed",
                },
            },
            Boundary::Downstream => "it was executed, the answer was lost, and it was executed again",
        };
        let whose = self.party_of_repetition(plan, repetition);
        Blame { boundary: repetition.boundary, whose, between, cause, message: sentence(plan, why, cause) }
    }

    /// Whose group it is that was given the event twice.
    pub fn reader_of(&self, plan: &Plan, repetition: &Repetition) -> Option<ServiceId> {
        let event = repetition.event;
        if self.made_twice(repetition).is_some() || repetition.by.is_none() {
            // Two records: whoever wrote them read what made it write.
            let (partition, _) = repetition.again.2?;
            let place = super::routes::place_of(plan, partition.topic)?;
            return self.routes.path(origin_of(event), place).last().map(|hop| hop.head);
        }
        self.reader_behind(event, repetition.by?.0)
    }

    /// How that group was set back between the two.
    pub fn set_back_of(&self, plan: &Plan, repetition: &Repetition) -> Option<&SetBack> {
        let (from, to) = self.made_twice(repetition).unwrap_or((repetition.first.0, repetition.again.0));
        self.set_back_over(repetition.event, self.reader_of(plan, repetition)?, from, to)
    }

    fn party_of_repetition(&self, plan: &Plan, repetition: &Repetition) -> Party {
        let origin = Party::Service(origin_of(repetition.event));
        let acting = repetition.by.map(|(service, _)| Party::Service(service));
        match repetition.boundary {
            Boundary::Caller => origin,
            Boundary::Producer => {
                let sender = self.sender_of(plan, repetition).and_then(|node| self.service_at(node));
                sender.map_or(origin, Party::Service)
            }
            Boundary::Queue => repetition.again.2.map_or(origin, |(partition, _)| Party::Topic(partition.topic)),
            Boundary::Group => self.reader_of(plan, repetition).map_or(origin, Party::Service),
            Boundary::Consumer => {
                let sender = || self.sender_behind(plan, repetition).map(|sender| Party::Service(sender.id));
                let writer = || {
                    let (partition, _) = repetition.again.2?;
                    self.writer_of(plan, repetition.event, partition).map(|writer| Party::Service(writer.id))
                };
                acting.or_else(sender).or_else(writer).unwrap_or(origin)
            }
            Boundary::Downstream => match repetition.callee {
                Some(callee) => Party::Service(callee),
                None => asked_party(plan, repetition.by).or(acting).unwrap_or(origin),
            },
        }
    }

    /// An effect that should not be there.
    pub fn blame_of_phantom(&self, plan: &Plan, event: EventId, place: PlaceId, of: Option<PlaceId>) -> Blame {
        let why = match of.and_then(|of| plan.places.get(usize::from(of.0))) {
            Some(of) => format!("what it is about is not in {}, and the effect is there", of.name),
            None => "the caller was told no, and the effect is there".to_string(),
        };
        let cause = self.cause_of_phantom(plan, event, place, of);
        let whose = Party::Service(origin_of(event));
        Blame { boundary: Boundary::Caller, whose, between: None, cause, message: sentence(plan, &why, cause) }
    }

    /// Who writes the records of an event to a topic: its publisher, or the service whose ladder goes there.
    pub fn writer_of<'a>(&self, plan: &'a Plan, event: EventId, partition: TopicPartition) -> Option<&'a ServicePlan> {
        let place = super::routes::place_of(plan, partition.topic)?;
        let writer = self.routes.path(origin_of(event), place).last().map(|hop| hop.service);
        let giver = self.routes.dead_letters(place).first().map(|(service, _)| *service);
        let retries = || {
            plan.services.iter().find(|of| of.retry_topics().any(|(retry, _)| retry == partition.topic)).map(|s| s.id)
        };
        plan.services.get(usize::from(writer.or(giver).or_else(retries)?.0))
    }

    /// Two records that a relay sent, or two dead letters: what struck it lies behind them, not what struck the brokers that
    /// have them.
    pub fn sender_behind<'a>(&self, plan: &'a Plan, repetition: &Repetition) -> Option<&'a ServicePlan> {
        let (partition, _) = repetition.again.2.filter(|_| repetition.by.is_none())?;
        let place = super::routes::place_of(plan, partition.topic)?;
        let is_published = !self.routes.path(origin_of(repetition.event), place).is_empty();
        let writer = self.writer_of(plan, repetition.event, partition)?;
        (!is_published || matches!(writer.trigger, Trigger::Poll(_))).then_some(writer)
    }

    /// An older version stands where a newer one stood.
    pub fn blame_of_stale(&self, plan: &Plan, newest: &Applied, current: &Applied) -> Blame {
        let reordered = match (newest.source, current.source) {
            (Some((one, newer)), Some((other, older))) => one == other && newer < older,
            (Some(_) | None, Some(_) | None) => false,
        };
        let cause = self.cause_of_stale(plan, current, reordered);
        let origin = origin_of(current.event);
        let (boundary, service, why) = if reordered {
            let place = current.source.and_then(|(partition, _)| super::routes::place_of(plan, partition.topic));
            let sender = place.map(|place| self.ledger.place(current.event, place).node);
            let service = sender.and_then(|node| self.service_at(node));
            (Boundary::Producer, service, "the older version was queued behind the newer one")
        } else {
            let service = self.service_at(current.node);
            (Boundary::Consumer, service, "the older version was handled after the newer one")
        };
        let whose = Party::Service(service.unwrap_or(origin));
        Blame { boundary, whose, between: None, cause, message: sentence(plan, why, cause) }
    }
}

/// The store or endpoint that a step asked to do something.
pub(super) fn asked_party(plan: &Plan, by: Option<(ServiceId, u16)>) -> Option<Party> {
    let (service, step) = by?;
    match &plan.services.get(usize::from(service.0))?.steps.get(usize::from(step))?.action {
        Action::Store { store, .. } => Some(Party::Store(*store)),
        Action::Call(call) => call.endpoint().map(Party::Endpoint),
        Action::Work { .. }
        | Action::Publish { .. }
        | Action::Commit { .. }
        | Action::StoreOffset
        | Action::Respond
        | Action::BeginTransaction
        | Action::SendOffsets { .. }
        | Action::EndTransaction => None,
    }
}

pub fn is_topic(plan: &Plan, place: PlaceId) -> bool {
    plan.places.iter().any(|p| {
        p.id == place
            && match p.kind {
                PlaceKind::Topic { .. } => true,
                PlaceKind::Table { .. } | PlaceKind::Endpoint { .. } => false,
            }
    })
}

/// The boundary written into the flags of a harmful repetition.
pub fn boundary_of_flags(flags: u16) -> Boundary {
    if flags & place_flag::BY_CALLER != 0 {
        Boundary::Caller
    } else if flags & place_flag::BY_PRODUCER != 0 {
        Boundary::Producer
    } else if flags & place_flag::BY_DOWNSTREAM != 0 {
        Boundary::Downstream
    } else if flags & place_flag::BY_GROUP != 0 {
        Boundary::Group
    } else {
        Boundary::Consumer
    }
}

/// A fault gave the message once more: no crash, no missing commit.
fn is_redelivery(plan: &Plan, cause: Option<Incident>) -> bool {
    let fault = cause.as_ref().and_then(|cause| cause.planned(plan));
    fault.is_some_and(|fault| matches!(fault.action, FaultAction::Redeliver(_)))
}

fn past(progress: &PartitionProgress, offset: Offset) -> bool {
    progress.committed().is_some_and(|committed| offset < committed)
}

/// The step before `missing` that ends its list where it finds a row, and where that row is.
pub(super) fn ending_row(plan: &Plan, service: ServiceId, missing: u16) -> Option<(u16, PlaceId)> {
    let ends = |operation: &StoreStep| match operation {
        StoreStep::InsertIfAbsent { present, table, .. } | StoreStep::Check { present, table, .. } => {
            (*present == Present::Skip).then_some(*table)
        }
        StoreStep::Insert { .. } | StoreStep::Upsert { .. } => None,
        StoreStep::Add { .. } | StoreStep::Confirm { .. } | StoreStep::Commit { .. } => None,
    };
    let steps = &plan.services.get(usize::from(service.0))?.steps;
    let before = steps.iter().take(usize::from(missing)).enumerate().rev();
    let place_of = |step: &StepPlan| match &step.action {
        Action::Store { operations, .. } => operations.iter().find_map(ends),
        _ => None,
    };
    before.into_iter().find_map(|(number, step)| Some((number as u16, place_of(step)?)))
}

fn breaks_between_steps(why: GapWhy) -> bool {
    match why {
        GapWhy::NeverSent
        | GapWhy::PositionReset(PositionReason::Committed)
        | GapWhy::CommittedUnprocessed
        | GapWhy::MarkedUnprocessed
        | GapWhy::NotThrough
        | GapWhy::GivenUp
        | GapWhy::Poison
        | GapWhy::SkippedByRow
        | GapWhy::ThroughWithout => true,
        GapWhy::SendFailed
        | GapWhy::NotWaitedFor
        | GapWhy::BufferDied
        | GapWhy::NotInLog
        | GapWhy::ExpiredUnread(_)
        | GapWhy::Compacted
        | GapWhy::LetterExpired
        | GapWhy::NeverDelivered
        | GapWhy::SkippedByCursor
        | GapWhy::PositionReset(_) => false,
    }
}

fn commit_step(plan: &Plan, service: ServiceId) -> Option<u16> {
    let steps = &plan.services.get(service.0 as usize)?.steps;
    let says_done = |step: &StepPlan| step.commits() || step.action == Action::StoreOffset;
    steps.iter().position(says_done).map(|step| step as u16)
}

fn sentence(plan: &Plan, why: &str, cause: Option<Incident>) -> String {
    let Some(cause) = cause else { return why.to_string() };
    let node = plan.nodes.iter().find(|node| node.id == cause.node).map_or("a node", |node| node.name.as_str());
    let what = match cause.kind {
        IncidentKind::Crashed => "crashed",
        IncidentKind::LostPower => "lost power",
        IncidentKind::Stopped => "stopped",
        IncidentKind::Paused => "was paused",
        IncidentKind::LostPartitions => "lost its partitions",
        IncidentKind::Disturbed => "was disturbed",
        IncidentKind::UncleanElection => "was elected from outside the in-sync set",
    };
    let fault = cause.planned(plan).map_or(String::new(), |fault| format!(" ({})", fault.name));
    format!("{why}; {node} {what} at {}{fault}", cause.time)
}

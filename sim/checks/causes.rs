//! Causes: what struck, for each bad fate, between two sightings of its event.
//!
//! The one idea: a cause lies in the story. It struck a process that had the event in hand, or that somebody who had it in hand was
//! waiting for, and it struck while they had it or waited; whatever struck elsewhere, or before, or behind, is innocent, however
//! near it is. Of several, the last one that can have done it counts; what lasted when the waiting began counts if nothing
//! struck during it.
//!
//! What it deliberately does not do: guess. Where nothing struck, there is no cause: a setting alone can break a promise.

use super::ledger::origin_of;
use super::outcome::{Incident, IncidentKind, Party, RemovedBy};
use super::progress::Passed;
use super::responsibility::{Gap, GapWhy, asked_party, ending_row};
use super::trace::{Applied, Repetition, Trace};
use crate::scenario::plan::*;
use crate::types::*;

/// When a record was no longer in the log that counts, and the leader that did not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    pub time: Time,
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
}

impl Trace {
    pub fn cause_of_gap(&self, plan: &Plan, gap: &Gap) -> Option<Incident> {
        let flow = gap.flow.map(|(_, flow)| flow).filter(|flow| flow.starts > 0);
        let arrived = self.arrived(gap.event);
        match gap.why {
            GapWhy::NotInLog => self.cause_of_absence(gap),
            GapWhy::BufferDied => self.incidents.first_of(&[gap.slot.node], gap.slot.time),
            GapWhy::NotWaitedFor if self.was_written(gap) => self.cause_of_absence(gap),
            GapWhy::SendFailed | GapWhy::NotWaitedFor => {
                let service = plan.services.get(gap.hop.service.0 as usize)?;
                let patience = service.producers.iter().map(|producer| producer.delivery_timeout).max()?;
                let since = (gap.slot.time - patience).max(arrived);
                let mut nodes = self.leaders_of(gap.slot.partition, since, gap.slot.time);
                nodes.push(gap.slot.node);
                self.silence(&nodes, since, gap.slot.time)
            }
            GapWhy::ExpiredUnread(RemovedBy::Operator) => {
                let passed = self.passed(gap)?;
                self.incidents.last_where(&[passed.node], Time::ZERO, passed.time, |incident| deletes(plan, incident))
            }
            GapWhy::ExpiredUnread(RemovedBy::Retention)
            | GapWhy::Compacted
            | GapWhy::PositionReset(_)
            | GapWhy::CommittedUnprocessed
            | GapWhy::NeverDelivered => {
                let service = plan.services.get(gap.hop.head.0 as usize)?;
                let passed = self.passed(gap).map_or(self.last, |passed| passed.time);
                let appended = self.record_at(gap.slot.partition, gap.slot.offset).map_or(arrived, |(time, _)| time);
                // Who had it in hand, or else whoever could have had it.
                match flow {
                    Some(flow) => self.incidents.last_of(&[flow.node], appended, passed),
                    None => {
                        let nodes = &service.instances;
                        let last = self.incidents.last_of(nodes, appended, passed);
                        last.or_else(|| self.incidents.in_force(nodes, appended))
                    }
                }
            }
            // Nothing has to strike: transactions take different times.
            GapWhy::SkippedByCursor | GapWhy::LetterExpired => None,
            // Its origin was disturbed when it was made so.
            GapWhy::Poison => {
                let nodes = callers_of(plan, origin_of(gap.event));
                self.incidents.last_of(&nodes, Time::ZERO, arrived)
            }
            GapWhy::GivenUp => {
                let (service, flow) = gap.flow?;
                let asked = self.asked_by(plan, Some((service, u16::from(flow.reached))));
                let nodes: Vec<NodeId> = asked.into_iter().chain([flow.node]).collect();
                self.silence(&nodes, arrived, flow.time)
            }
            // Whoever wrote the row was struck behind it, and before the row was found.
            GapWhy::SkippedByRow => {
                let (service, flow) = gap.flow?;
                let (_, place) = ending_row(plan, service, gap.hop.step)?;
                let row = self.ledger.place(gap.event, place);
                self.incidents.first_of(&[row.node], row.time).filter(|incident| incident.time <= flow.time)
            }
            // A crash follows the last step.
            GapWhy::NeverSent | GapWhy::MarkedUnprocessed | GapWhy::NotThrough | GapWhy::ThroughWithout => {
                let flow = flow?;
                self.incidents.first_of(&[flow.node], flow.time)
            }
        }
    }

    /// What took an acknowledged record. A crash keeps what is on disk: if a leader from outside the in-sync set is the first
    /// one without the record, its election took it.
    fn cause_of_absence(&self, gap: &Gap) -> Option<Incident> {
        let log = self.logs.of(gap.slot.partition)?;
        let holders: Vec<NodeId> = log.holders.iter().copied().collect();
        // An acknowledgement may still be under way when the leader that sent it is gone.
        let written = log.written(gap.event).map(|(_, _, entry)| entry.appended).min();
        let since = written.unwrap_or(gap.slot.time).min(gap.slot.time);
        let gone = self.gone(gap, since);
        let until = gone.map_or(self.last, |gone| gone.time);
        let unclean = gone.and_then(|gone| {
            self.incidents
                .last_where(&[gone.leader], since, until, |incident| incident.kind == IncidentKind::UncleanElection)
        });
        let within = |incident: &Incident| incident.time <= until;
        let lost = || self.incidents.first_loss_of(&holders, since).filter(within);
        unclean.or_else(lost).or_else(|| self.incidents.first_of(&holders, since).filter(within))
    }

    fn was_written(&self, gap: &Gap) -> bool {
        self.logs.of(gap.slot.partition).is_some_and(|log| log.written(gap.event).next().is_some())
    }

    /// The first leader behind the record that does not have it.
    pub fn gone(&self, gap: &Gap, since: Time) -> Option<Gone> {
        let log = self.logs.of(gap.slot.partition)?;
        let (epoch, offset, _) = log.written(gap.event).next()?;
        let later = log.leaderships.iter().filter(|led| since <= led.time && epoch < led.leader_epoch);
        let lacks_it = later.clone().find(|led| led.log_end_offset <= offset);
        let found = lacks_it.or_else(|| later.clone().next_back())?;
        Some(Gone { time: found.time, leader: found.leader, leader_epoch: found.leader_epoch })
    }

    /// What struck between two applications of one event.
    pub fn cause_of_repetition(&self, plan: &Plan, repetition: &Repetition) -> Option<Incident> {
        let (first, again) = (repetition.first, repetition.again);
        let arrived = self.arrived(repetition.event);
        match repetition.boundary {
            Boundary::Consumer => {
                // Two records and an effect of each: it was repeated when the second record was made.
                let made = self.made_twice(repetition);
                let (from, to) = made.unwrap_or((first.0, again.0));
                let nodes = match (self.sender_behind(plan, repetition), made) {
                    (Some(sender), _) => sender.instances.clone(),
                    (None, Some(_)) => {
                        let writer =
                            again.2.and_then(|(partition, _)| self.writer_of(plan, repetition.event, partition));
                        writer.map_or_else(Vec::new, |writer| writer.instances.clone())
                    }
                    (None, None) => vec![first.1, again.1],
                };
                let between = self.incidents.last_of(&nodes, from, to);
                // A zombie has had it in hand since before somebody else did it.
                between.or_else(|| self.incidents.last_of(&[again.1], arrived, from))
            }
            // Somebody ran out of time and tried again. What made the other side silent may have begun long before.
            Boundary::Downstream => {
                let asked = match repetition.callee {
                    Some(_) => None,
                    None => self.asked_by(plan, repetition.by),
                };
                let nodes: Vec<NodeId> = asked.into_iter().chain([first.1, again.1]).collect();
                self.silence(&nodes, first.0, again.0)
            }
            Boundary::Caller => {
                let row = self.ledger.event(repetition.event)?;
                let mut nodes = vec![row.instance];
                nodes.extend(self.hosts(plan, repetition));
                nodes.extend(callers_of(plan, origin_of(repetition.event)));
                self.silence(&nodes, arrived, again.0)
            }
            // What took the offset from the coordinator, or the group from its coordinator until the offset was old.
            Boundary::Group => {
                let set_back = self.set_back_of(plan, repetition)?;
                let reader = plan.services.get(usize::from(self.reader_of(plan, repetition)?.0))?;
                let expired = set_back.commit.expired;
                let taken = expired.and_then(|(time, coordinator)| {
                    self.incidents.last_where(&[coordinator], first.0, time, |incident| expires_offsets(plan, incident))
                });
                let until = expired.map_or(set_back.time, |(time, _)| time);
                let away = || self.incidents.last_of(&reader.instances, first.0, until);
                taken.or_else(away).or_else(|| self.incidents.in_force(&reader.instances, first.0))
            }
            Boundary::Producer | Boundary::Queue => {
                let mut nodes = self.hosts(plan, repetition);
                nodes.extend(self.sender_of(plan, repetition));
                self.silence(&nodes, first.0, again.0)
            }
        }
    }

    /// An effect although the caller was told no: it was silent while it was asked. An effect without what it is about: whoever
    /// was to do the rest was struck.
    pub fn cause_of_phantom(
        &self,
        plan: &Plan,
        event: EventId,
        place: PlaceId,
        of: Option<PlaceId>,
    ) -> Option<Incident> {
        let row = self.ledger.event(event)?;
        let slot = self.ledger.place(event, place);
        if of.is_some() {
            let flow = self.ledger.flow(event, origin_of(event));
            return self.incidents.first_of(&[flow.node], flow.time);
        }
        let mut nodes = vec![slot.node];
        nodes.extend(self.host(plan, place));
        nodes.push(row.instance);
        self.silence(&nodes, row.arrived, row.settled)
    }

    /// Why the older one came later: on its way into the queue, or in the hands of who wrote it.
    pub fn cause_of_stale(&self, plan: &Plan, current: &Applied, is_reordered: bool) -> Option<Incident> {
        let arrived = self.arrived(current.event);
        let Some((partition, offset)) = current.source.filter(|_| is_reordered) else {
            return self.incidents.last_delay_of(&[current.node], arrived, current.time);
        };
        let appended = self.record_at(partition, offset).map_or(current.time, |(time, _)| time);
        let mut nodes = self.leaders_of(partition, arrived, appended);
        let place = super::routes::place_of(plan, partition.topic);
        nodes.extend(place.map(|place| self.ledger.place(current.event, place).node));
        self.silence(&nodes, arrived, appended)
    }

    /// What made somebody wait in vain: it struck while he waited, or lasted when he began.
    fn silence(&self, nodes: &[NodeId], from: Time, until: Time) -> Option<Incident> {
        let during = self.incidents.last_delay_of(nodes, from, until);
        during.or_else(|| self.incidents.in_force(nodes, from))
    }

    fn arrived(&self, event: EventId) -> Time {
        self.ledger.event(event).map_or(Time::ZERO, |row| row.arrived)
    }

    /// When a record of the log that counts was appended, and by whom.
    pub fn record_at(&self, partition: TopicPartition, offset: Offset) -> Option<(Time, NodeId)> {
        let log = self.logs.of(partition)?;
        let time = log.entry(offset)?.appended;
        Some((time, log.leader_at(time)?))
    }

    /// Who led a partition in a stretch of time, the last one first.
    fn leaders_of(&self, partition: TopicPartition, from: Time, until: Time) -> Vec<NodeId> {
        let Some(log) = self.logs.of(partition) else { return Vec::new() };
        let began = log.leaderships.iter().filter(|led| from < led.time && led.time <= until).map(|led| led.leader);
        let mut leaders: Vec<NodeId> = log.leader_at(from).into_iter().chain(began).collect();
        leaders.reverse();
        leaders
    }

    /// Where a step asked for something to be done.
    fn asked_by(&self, plan: &Plan, by: Option<(ServiceId, u16)>) -> Option<NodeId> {
        match asked_party(plan, by)? {
            Party::Store(store) => plan.stores.get(usize::from(store)).map(|store| store.node),
            Party::Endpoint(endpoint) => plan.endpoints.get(usize::from(endpoint)).map(|endpoint| endpoint.node),
            Party::Service(_) | Party::Topic(_) => None,
        }
    }

    /// The store or endpoint that a place is part of.
    fn host(&self, plan: &Plan, place: PlaceId) -> Option<NodeId> {
        match plan.places.get(usize::from(place.0))?.kind {
            PlaceKind::Topic { .. } => None,
            PlaceKind::Table { store } => plan.stores.get(usize::from(store)).map(|store| store.node),
            PlaceKind::Endpoint { endpoint } => plan.endpoints.get(usize::from(endpoint)).map(|endpoint| endpoint.node),
        }
    }

    /// Leaders of the partition that has it twice, or who executed the step.
    fn hosts(&self, plan: &Plan, repetition: &Repetition) -> Vec<NodeId> {
        match (repetition.by, repetition.again.2) {
            (None, Some((partition, _))) => self.leaders_of(partition, repetition.first.0, repetition.again.0),
            (by, _) => self.asked_by(plan, by).into_iter().collect(),
        }
    }

    /// Whose producer made two records of one send.
    pub fn sender_of(&self, plan: &Plan, repetition: &Repetition) -> Option<NodeId> {
        let (partition, _) = repetition.again.2?;
        let place = super::routes::place_of(plan, partition.topic)?;
        let slot = self.ledger.place(repetition.event, place);
        (slot.flags & super::ledger::place_flag::SENT != 0).then_some(slot.node)
    }

    /// When the two records of two effects were appended.
    pub fn made_twice(&self, repetition: &Repetition) -> Option<(Time, Time)> {
        repetition.by?;
        let (first, again) = (repetition.first.2?, repetition.again.2?);
        if first == again {
            return None;
        }
        let appended = |(partition, offset): (TopicPartition, Offset)| self.record_at(partition, offset);
        Some((appended(first)?.0, appended(again)?.0))
    }

    fn passed(&self, gap: &Gap) -> Option<&Passed> {
        let progress = self.progress[gap.hop.head.0 as usize].as_ref()?.partitions.get(gap.slot.partition)?;
        progress.passed_over(gap.slot.offset)
    }
}

fn deletes(plan: &Plan, incident: &Incident) -> bool {
    incident.planned(plan).is_some_and(|fault| matches!(fault.action, FaultAction::DeleteRecords(_)))
}

/// A clock that runs ahead makes an offset old, and an operator may take it away.
fn expires_offsets(plan: &Plan, incident: &Incident) -> bool {
    incident.planned(plan).is_some_and(|fault| match fault.action {
        FaultAction::ExpireOffsets(_) => true,
        FaultAction::Skew { forwards, .. } | FaultAction::Jump { forwards, .. } => forwards,
        _ => false,
    })
}

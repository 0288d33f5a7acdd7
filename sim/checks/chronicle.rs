//! The chronicle of one event: everything that the history tells of it, hop by hop, with what struck the nodes it was on.
//!
//! The one idea: an event is followed by what carries it. Its number names it at callers, services and stores; in the queue it
//! is a copy at an offset, and whatever is said of that offset is said of it: replicated, answered, cut, delivered, committed.
//! What happened elsewhere or at another time is left out, so that what is left can be read by a tired person.
//!
//! What it deliberately does not do: judge. Whose promise broke is said by the judge of the same history.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::outcome::RemovedBy;
use super::standing::Standing;
pub use super::told::{Line, Told};
use crate::history::{Event, Happening};
use crate::scenario::plan::*;
use crate::types::note::{AppendRole, Note};
use crate::types::request::Cursor;
use crate::types::*;

/// Everything told of an event, and how things stood when the run was over.
#[derive(Clone, Debug, PartialEq)]
pub struct Chronicle {
    pub event: EventId,
    /// In order of time.
    pub lines: Vec<Line>,
    /// Every copy of it in the queue.
    pub copies: Vec<CopyAtEnd>,
    /// Every service that consumes a partition it was in, or the topics of one.
    pub consumers: Vec<ConsumerAtEnd>,
    /// How far it has come with each place, as the judge of the same history says.
    pub standings: Vec<Standing>,
}

/// A copy of the event in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyAtEnd {
    pub partition: TopicPartition,
    pub offset: Offset,
    pub leader: Option<NodeId>,
    /// Brokers whose log has it.
    pub holders: Vec<NodeId>,
    /// Removed from the front of the log.
    pub expired: Option<RemovedBy>,
    pub compacted: bool,
}

impl CopyAtEnd {
    /// Whether a reader would find it.
    pub fn is_there(&self) -> bool {
        self.leader.is_some_and(|leader| self.holders.contains(&leader))
    }
}

/// A consuming service and the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerAtEnd {
    pub service: ServiceId,
    pub group: GroupId,
    pub partition: TopicPartition,
    /// Instances that run, of all.
    pub running: usize,
    pub instances: usize,
    pub owner: Option<NodeId>,
    pub committed: Option<Offset>,
    /// High watermark of the partition.
    pub end: Offset,
}

/// Listens to a history for what concerns one event.
#[derive(Clone, Debug)]
pub struct Chronicler {
    event: EventId,
    /// Number in the history of what is being told.
    number: u64,
    lines: Vec<Line>,
    struck: Vec<Line>,
    sends: BTreeSet<(NodeId, SendId)>,
    /// In the order in which leaders appended them.
    copies: Vec<(TopicPartition, Offset)>,
    replicated: BTreeSet<(TopicPartition, Offset)>,
    expired: BTreeMap<(TopicPartition, Offset), RemovedBy>,
    compacted: BTreeSet<(TopicPartition, Offset)>,
    /// Whose log has which copy.
    held: BTreeSet<(NodeId, TopicPartition, Offset)>,
    /// Held before a restart, and not seen since.
    missing: BTreeSet<(NodeId, TopicPartition, Offset)>,
    leaders: BTreeMap<TopicPartition, (LeaderEpoch, NodeId)>,
    ends: BTreeMap<TopicPartition, Offset>,
    owners: BTreeMap<(GroupId, TopicPartition), NodeId>,
    committed: BTreeMap<(GroupId, TopicPartition), Offset>,
    delivered: BTreeSet<(GroupId, TopicPartition, Offset)>,
    /// Of those, what the consumer that was given it last is not through with.
    in_hand: BTreeMap<(GroupId, TopicPartition, Offset), NodeId>,
    down: BTreeSet<NodeId>,
    /// Its rows in polled tables: by number and by rank.
    rows: Vec<(PlaceId, RowNumber, RowNumber)>,
    cursors: BTreeMap<(ServiceId, PlaceId), (Cursor, RowNumber)>,
    /// Polls of these services have returned its row.
    polled: BTreeSet<(ServiceId, PlaceId)>,
}

impl Chronicler {
    pub fn new(event: EventId) -> Chronicler {
        Chronicler {
            event,
            number: 0,
            lines: Vec::new(),
            struck: Vec::new(),
            sends: BTreeSet::new(),
            copies: Vec::new(),
            replicated: BTreeSet::new(),
            expired: BTreeMap::new(),
            compacted: BTreeSet::new(),
            held: BTreeSet::new(),
            missing: BTreeSet::new(),
            leaders: BTreeMap::new(),
            ends: BTreeMap::new(),
            owners: BTreeMap::new(),
            committed: BTreeMap::new(),
            delivered: BTreeSet::new(),
            in_hand: BTreeMap::new(),
            down: BTreeSet::new(),
            rows: Vec::new(),
            cursors: BTreeMap::new(),
            polled: BTreeSet::new(),
        }
    }

    /// The next event of the history.
    pub fn observe(&mut self, event: &Event) {
        let (time, node) = (event.time, event.node);
        self.number = event.number;
        let struck = match &event.what {
            Happening::Note(note) => return self.note(note, time, node),
            Happening::FaultFired { fault, nodes, peers } => {
                Told::FaultFired { fault: *fault, nodes: nodes.clone(), peers: peers.clone() }
            }
            Happening::FaultHealed { fault } => Told::FaultHealed { fault: *fault },
            Happening::Stopped { why } => {
                self.down.insert(node);
                self.owners.retain(|_, owner| *owner != node);
                Told::Stopped { why: *why }
            }
            Happening::PowerLost { lost } => Told::PowerLost { lost: *lost },
            Happening::Started { .. } => {
                self.down.remove(&node);
                let held: Vec<_> = self.held.iter().filter(|held| held.0 == node).copied().collect();
                for copy in held {
                    self.held.remove(&copy);
                    self.missing.insert(copy);
                }
                Told::Started
            }
            Happening::Paused => Told::Paused,
            Happening::Resumed => Told::Resumed,
            Happening::LoadEnded
            | Happening::BrokerTraffic { .. }
            | Happening::Ended { .. }
            | Happening::MessageDropped { .. }
            | Happening::Panicked { .. }
            | Happening::FaultRefused { .. }
            | Happening::NeverReady => return,
        };
        self.struck.push(Line { time, number: event.number, node, what: struck });
    }

    fn tell(&mut self, time: Time, node: NodeId, what: Told) {
        self.lines.push(Line { time, number: self.number, node, what });
    }

    fn note(&mut self, note: &Note, time: Time, node: NodeId) {
        match note {
            Note::BatchAppended { partition, role, batch } => self.appended(*partition, *role, batch, time, node),
            Note::HighWatermark { partition, offset, as_leader: true, .. } => {
                self.ends.insert(*partition, *offset);
                for copy in self.copies_of(*partition) {
                    if copy < *offset
                        && self.held.contains(&(node, *partition, copy))
                        && self.replicated.insert((*partition, copy))
                    {
                        self.tell(time, node, Told::Replicated { partition: *partition, offset: copy });
                    }
                }
            }
            Note::ProduceAnswered { partition, error, base_offset, end_offset, to, .. } => {
                let has = |copy: &Offset| {
                    base_offset <= copy && copy < end_offset && self.held.contains(&(node, *partition, *copy))
                };
                if self.copies_of(*partition).iter().any(has) {
                    self.tell(time, node, Told::Answered { partition: *partition, error: *error, to: *to });
                }
            }
            Note::BecameLeader { partition, leader_epoch, .. } => {
                self.leaders.insert(*partition, (*leader_epoch, node));
                self.tell_missing(*partition, time, node);
                let copies = self.copies_of(*partition);
                if !copies.is_empty() {
                    let holds_it = copies.iter().any(|copy| self.held.contains(&(node, *partition, *copy)));
                    let what = Told::Led { partition: *partition, leader_epoch: *leader_epoch, holds_it };
                    self.tell(time, node, what);
                }
            }
            Note::BecameFollower { partition, .. } => self.tell_missing(*partition, time, node),
            Note::PartitionChanged { partition, state, unclean: true } if !self.copies_of(*partition).is_empty() => {
                self.tell(time, node, Told::ElectedUnclean { partition: *partition, leader: state.leader });
            }
            Note::LogTruncated { partition, to, .. } => {
                for copy in self.copies_of(*partition) {
                    if *to <= copy && self.held.remove(&(node, *partition, copy)) {
                        self.tell(time, node, Told::Truncated { partition: *partition, offset: copy });
                    }
                }
            }
            Note::RecordsDeleted { partition, to } if self.leader_of(*partition) == Some(node) => {
                for copy in self.copies_of(*partition) {
                    if copy < *to {
                        self.expired.entry((*partition, copy)).or_insert(RemovedBy::Operator);
                    }
                }
            }
            Note::LogStartMoved { partition, to } => {
                for copy in self.copies_of(*partition) {
                    if copy < *to && self.held.remove(&(node, *partition, copy)) {
                        let by = *self.expired.entry((*partition, copy)).or_insert(RemovedBy::Retention);
                        self.tell(time, node, Told::Expired { partition: *partition, offset: copy, by });
                    }
                }
            }
            Note::LogCompacted { partition, removed, .. } => {
                for copy in self.copies_of(*partition) {
                    let is_removed = removed.iter().any(|(from, to)| *from <= copy && copy < *to);
                    if is_removed && self.held.remove(&(node, *partition, copy)) {
                        self.compacted.insert((*partition, copy));
                        self.tell(time, node, Told::Compacted { partition: *partition, offset: copy });
                    }
                }
            }
            Note::Assigned { .. }
            | Note::Revoked { .. }
            | Note::Lost { .. }
            | Note::Polled { .. }
            | Note::PassedCompacted { .. }
            | Note::PositionSet { .. }
            | Note::OffsetCommitted { .. }
            | Note::OffsetExpired { .. } => self.group(note, time, node),
            Note::Sent { .. } | Note::SendSucceeded { .. } | Note::SendFailed { .. } => self.producer(note, time, node),
            Note::RowSeen { .. } | Note::RowsPolled { .. } | Note::RowsMarked { .. } | Note::CursorMoved { .. } => {
                self.relay(note, time, node);
            }
            _ => self.business(note, time, node),
        }
    }

    /// What a polled table and its readers say of the event's row.
    fn relay(&mut self, note: &Note, time: Time, node: NodeId) {
        match note {
            Note::RowSeen { place, event, number, rank } if *event == self.event => {
                self.rows.push((*place, *number, *rank));
                self.tell(time, node, Told::RowSeen { place: *place, number: *number, rank: *rank });
                let late = self
                    .cursors
                    .iter()
                    .find(|((_, of), (kind, at))| of == place && *kind == Cursor::HighestId && number <= at);
                if let Some(((service, _), (_, cursor))) = late {
                    let what = Told::SeenTooLate { service: *service, place: *place, cursor: *cursor };
                    self.tell(time, node, what);
                }
            }
            Note::RowsPolled { service, place, cursor, rows }
                if self.row_in(*place, *cursor).is_some_and(|row| rows.contains(&row)) =>
            {
                self.polled.insert((*service, *place));
                self.tell(time, node, Told::RowPolled { service: *service, place: *place });
            }
            Note::RowsMarked { place, rows }
                if self.row_in(*place, Cursor::Unsent).is_some_and(|row| rows.contains(&row)) =>
            {
                self.tell(time, node, Told::RowMarked { place: *place });
            }
            Note::CursorMoved { service, place, cursor, to } => {
                let before = self.cursors.insert((*service, *place), (*cursor, *to)).map_or(RowNumber(0), |(_, at)| at);
                if self.row_in(*place, *cursor).is_some_and(|row| before < row && row <= *to) {
                    let read = self.polled.contains(&(*service, *place));
                    let what = Told::CursorPassed { service: *service, place: *place, to: *to, read };
                    self.tell(time, node, what);
                }
            }
            _ => {}
        }
    }

    /// Where the row of the event stands in a table, as a reader with this cursor counts.
    fn row_in(&self, place: PlaceId, cursor: Cursor) -> Option<RowNumber> {
        let (_, number, rank) = self.rows.iter().rev().find(|row| row.0 == place)?;
        Some(if cursor == Cursor::CommitOrder { *rank } else { *number })
    }

    /// Copies that a reader would find: what is said of the offset of another is said of another record.
    fn readable(&self, partition: TopicPartition) -> Vec<Offset> {
        let Some(leader) = self.leader_of(partition) else { return Vec::new() };
        self.copies_of(partition).into_iter().filter(|copy| self.held.contains(&(leader, partition, *copy))).collect()
    }

    fn leader_of(&self, partition: TopicPartition) -> Option<NodeId> {
        self.leaders.get(&partition).map(|(_, leader)| *leader)
    }

    fn copies_of(&self, partition: TopicPartition) -> Vec<Offset> {
        self.copies.iter().filter(|copy| copy.0 == partition).map(|copy| copy.1).collect()
    }

    fn appended(&mut self, partition: TopicPartition, role: AppendRole, batch: &RecordBatch, time: Time, node: NodeId) {
        for (index, record) in batch.messages().iter().enumerate() {
            if record.message.event != self.event || batch.compacted.has(index) {
                continue;
            }
            let offset = batch.base_offset.plus(index as u64);
            if !self.copies.contains(&(partition, offset)) {
                self.copies.push((partition, offset));
            }
            self.held.insert((node, partition, offset));
            self.missing.remove(&(node, partition, offset));
            let what = match role {
                AppendRole::Leader => Told::Appended { partition, offset },
                AppendRole::Follower => Told::Copied { partition, offset },
                AppendRole::Recovered => Told::Recovered { partition, offset },
            };
            self.tell(time, node, what);
        }
    }

    /// Its log is read, and what is not in it is gone.
    fn tell_missing(&mut self, partition: TopicPartition, time: Time, node: NodeId) {
        let gone: Vec<_> = self.missing.iter().filter(|gone| gone.0 == node && gone.1 == partition).copied().collect();
        for copy in gone {
            self.missing.remove(&copy);
            self.tell(time, node, Told::NotRecovered { partition, offset: copy.2 });
        }
    }

    fn producer(&mut self, note: &Note, time: Time, node: NodeId) {
        let what = match note {
            Note::Sent { send, event, partition } if *event == self.event => {
                self.sends.insert((node, *send));
                Told::Sent { partition: *partition }
            }
            Note::SendSucceeded { send, partition, offset } if self.sends.contains(&(node, *send)) => {
                Told::Acknowledged { partition: *partition, offset: *offset }
            }
            Note::SendFailed { send, error, certain } if self.sends.contains(&(node, *send)) => {
                Told::SendFailed { error: *error, certain: *certain }
            }
            _ => return,
        };
        self.tell(time, node, what);
    }

    fn group(&mut self, note: &Note, time: Time, node: NodeId) {
        match note {
            Note::Assigned { group, partitions, .. } => {
                self.owners.retain(|(of, _), owner| of != group || *owner != node);
                for partition in partitions {
                    self.owners.insert((*group, *partition), node);
                    if !self.copies_of(*partition).is_empty() {
                        self.tell(time, node, Told::Assigned { group: *group, partition: *partition });
                    }
                }
            }
            Note::Revoked { group, partitions, .. } | Note::Lost { group, partitions, .. } => {
                let in_order = matches!(note, Note::Revoked { .. });
                for partition in partitions {
                    if self.owners.get(&(*group, *partition)) == Some(&node) {
                        self.owners.remove(&(*group, *partition));
                    }
                    if !self.copies_of(*partition).is_empty() {
                        self.tell(time, node, Told::TakenAway { group: *group, partition: *partition, in_order });
                    }
                }
            }
            Note::Polled { group, partition, from, to, .. } => {
                for copy in self.readable(*partition) {
                    if *from <= copy && copy < *to {
                        self.delivered.insert((*group, *partition, copy));
                        self.in_hand.insert((*group, *partition, copy), node);
                        self.tell(time, node, Told::Delivered { group: *group, partition: *partition, offset: copy });
                    }
                }
            }
            Note::PassedCompacted { group, partition, from, to } => {
                let passed = self.copies_of(*partition).into_iter().filter(|copy| from <= copy && copy < to);
                for offset in passed.collect::<Vec<_>>() {
                    self.tell(time, node, Told::PassedCompacted { group: *group, partition: *partition, offset });
                }
            }
            Note::PositionSet { group, partition, offset, why } => {
                let (group, partition, position, why) = (*group, *partition, *offset, *why);
                for copy in self.readable(partition) {
                    let delivered = self.delivered.contains(&(group, partition, copy));
                    let in_hand = self.in_hand.contains_key(&(group, partition, copy));
                    if copy < position && (!delivered || in_hand) {
                        self.tell(time, node, Told::PassedOver { group, partition, position, why });
                    } else if position <= copy && delivered {
                        self.tell(time, node, Told::SetBack { group, partition, position, why });
                    }
                }
            }
            Note::OffsetCommitted { group, partition, offset, by, .. } => {
                let before = self.committed.insert((*group, *partition), *offset).unwrap_or(Offset::ZERO);
                let passed = before.min(*offset)..before.max(*offset); // back, too: an older commit may come late
                if self.readable(*partition).iter().any(|copy| passed.contains(copy)) {
                    let (group, partition, offset, by) = (*group, *partition, *offset, *by);
                    self.tell(time, node, Told::Committed { group, partition, offset, by });
                }
            }
            Note::OffsetExpired { group, partition } => {
                let Some(offset) = self.committed.remove(&(*group, *partition)) else { return };
                if self.readable(*partition).iter().any(|copy| *copy < offset) {
                    self.tell(time, node, Told::OffsetForgotten { group: *group, partition: *partition, offset });
                }
            }
            _ => {}
        }
    }

    fn business(&mut self, note: &Note, time: Time, node: NodeId) {
        let own = |event: &EventId| *event == self.event;
        let what = match note {
            Note::Arrived { message, .. } if own(&message.event) => Told::Arrived,
            Note::Attempted { event, attempt, instance } if own(event) => {
                Told::Attempted { instance: *instance, attempt: *attempt }
            }
            Note::CallerSettled { event, outcome } if own(event) => Told::Settled(*outcome),
            Note::FlowStarted { service, message, source, attempt } if own(&message.event) => {
                Told::FlowStarted { service: *service, attempt: *attempt, source: *source }
            }
            Note::StepReached { service, step, event } if own(event) => {
                Told::StepReached { service: *service, step: *step }
            }
            Note::StepDone { service, step, event, outcome } if own(event) => {
                self.forget_reached(*service, *step, node);
                Told::StepDone { service: *service, step: *step, outcome: *outcome }
            }
            Note::FlowDone { service, event, skipped } if own(event) => {
                self.in_hand.retain(|_, holder| *holder != node);
                Told::FlowDone { service: *service, skipped: *skipped }
            }
            Note::RungReached { service, rung, event } if own(event) => {
                Told::RungReached { service: *service, rung: *rung }
            }
            Note::Redelivered { service, message, .. } if own(&message.event) => {
                Told::Redelivered { service: *service }
            }
            Note::EffectApplied { place, message, effect, caller, .. } if own(&message.event) => {
                Told::Applied { place: *place, effect: *effect, caller: *caller }
            }
            Note::AnswerLost { event } if own(event) => Told::AnswerLost,
            Note::CallAttempted { event, attempt, to, .. } if own(event) => Told::Called { to: *to, attempt: *attempt },
            Note::CallFailed { event, attempt, outcome, .. } if own(event) => {
                Told::CallFailed { attempt: *attempt, outcome: *outcome }
            }
            Note::Redriven { event, source, to, .. } if own(event) => Told::Redriven { source: *source, to: *to },
            _ => return,
        };
        self.tell(time, node, what);
    }

    /// A step that is done says so itself.
    fn forget_reached(&mut self, service: ServiceId, step: u16, node: NodeId) {
        let reached = Told::StepReached { service, step };
        if let Some(place) = self.lines.iter().rposition(|line| line.node == node && line.what == reached) {
            self.lines.remove(place);
        }
    }

    /// The end of the history.
    pub fn finish(mut self, plan: &Plan) -> Chronicle {
        let mut lines = std::mem::take(&mut self.lines);
        // What became of the partition when the event was done with is another story.
        let last = lines.iter().rposition(|line| !line.what.is_of_partition()).map_or(0, |last| last + 1);
        lines.truncate(last);
        let nodes: BTreeSet<NodeId> =
            lines.iter().flat_map(|line| [Some(line.node), line.what.peer()]).flatten().collect();
        let ends = lines.first().map(|line| line.time).zip(lines.last().map(|line| line.time));
        let concerns = |line: &Line| match &line.what {
            Told::FaultFired { nodes: aimed, peers, .. } => aimed.iter().chain(peers).any(|node| nodes.contains(node)),
            _ => nodes.contains(&line.node),
        };
        let within = |line: &&Line| ends.is_some_and(|(first, last)| first <= line.time && line.time <= last);
        let mut fired: BTreeSet<FaultId> = BTreeSet::new();
        let mut told: Vec<Line> = Vec::new();
        for line in self.struck.iter().filter(within) {
            let kept = match &line.what {
                Told::FaultHealed { fault } => fired.contains(fault),
                _ => concerns(line),
            };
            if kept {
                if let Told::FaultFired { fault, .. } = line.what {
                    fired.insert(fault);
                }
                told.push(line.clone());
            }
        }
        told.extend(lines);
        told.sort_by_key(|line| line.number);
        let (copies, consumers) = (self.copies_at_end(), self.consumers_at_end(plan));
        Chronicle { event: self.event, lines: told, copies, consumers, standings: Vec::new() }
    }

    fn copies_at_end(&self) -> Vec<CopyAtEnd> {
        let at_end = |(partition, offset): &(TopicPartition, Offset)| CopyAtEnd {
            partition: *partition,
            offset: *offset,
            leader: self.leader_of(*partition),
            holders: self
                .held
                .iter()
                .filter(|held| held.1 == *partition && held.2 == *offset)
                .map(|held| held.0)
                .collect(),
            expired: self.expired.get(&(*partition, *offset)).copied(),
            compacted: self.compacted.contains(&(*partition, *offset)),
        };
        self.copies.iter().map(at_end).collect()
    }

    fn consumers_at_end(&self, plan: &Plan) -> Vec<ConsumerAtEnd> {
        let partitions: BTreeSet<TopicPartition> = self.copies.iter().map(|copy| copy.0).collect();
        let mut consumers = Vec::new();
        for service in &plan.services {
            let Trigger::Consume(consume) = &service.trigger else { continue };
            for partition in partitions.iter().filter(|partition| consume.topics.contains(&partition.topic)) {
                let running = service.instances.iter().filter(|node| !self.down.contains(node)).count();
                consumers.push(ConsumerAtEnd {
                    service: service.id,
                    group: consume.group,
                    partition: *partition,
                    running,
                    instances: service.instances.len(),
                    owner: self.owners.get(&(consume.group, *partition)).copied(),
                    committed: self.committed.get(&(consume.group, *partition)).copied(),
                    end: self.ends.get(partition).copied().unwrap_or(Offset::ZERO),
                });
            }
        }
        consumers
    }
}

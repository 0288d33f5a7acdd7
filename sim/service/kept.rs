//! Positions that a service keeps in a store, beside its data, instead of with its group.
//!
//! The one idea: whoever is assigned a partition asks the store where it had come to, and reads from there; and each
//! transaction sets the position only if it is still the one that was read. So an effect and its position stand or fall
//! together, and of two owners the one that comes second finds another position than it expects: its transaction is refused as
//! a whole, what it has in hand of the partition is dropped, and it reads on from what is kept.
//!
//! It deliberately does not look whether the partition is still assigned: the comparison does that, for zombies too.
//! Source: KafkaConsumer, "Storing Offsets Outside Kafka"; ConsumerRebalanceListener.onPartitionsAssigned with seek().

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::flow::{FlowId, Source};
use super::interpreter::{Ask, Interpreter, STORE_CHANNEL};
use crate::scenario::plan::{ServicePlan, Trigger};
use crate::types::note::StepOutcome;
use crate::types::request::{KeptPositionsRequest, Request, StoreOperation};
use crate::types::*;

/// Before a question that was not answered is asked again.
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Kept {
    store: u16,
    table: PlaceId,
    group: GroupId,
    /// What the store keeps, as far as this process knows; `None`: nothing.
    positions: BTreeMap<TopicPartition, Option<Offset>>,
    /// Assigned, and not known yet.
    wanted: BTreeSet<TopicPartition>,
    /// Where the consumer has to be told to go.
    seeks: VecDeque<(TopicPartition, Option<Offset>)>,
    /// The question that is out, where it is out to, and until when its answer is waited for.
    asked: Option<(Correlation, NodeId, Time)>,
    /// Nothing is asked before.
    due: Time,
    questions: u64,
}

impl Kept {
    /// `None`: the group keeps them.
    pub fn of(service: &ServicePlan) -> Option<Kept> {
        let (store, table) = service.keeps_positions()?;
        let Trigger::Consume(consume) = &service.trigger else { return None };
        Some(Kept {
            store,
            table,
            group: consume.group,
            positions: BTreeMap::new(),
            wanted: BTreeSet::new(),
            seeks: VecDeque::new(),
            asked: None,
            due: Time::ZERO,
            questions: 0,
        })
    }

    pub fn assign(&mut self, partitions: &[TopicPartition]) {
        self.wanted.extend(partitions);
    }

    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.positions.remove(partition);
            self.wanted.remove(partition);
        }
        self.seeks.retain(|(partition, _)| !partitions.contains(partition));
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        match self.asked {
            Some((_, _, until)) => Some((until, "kept positions")),
            None => (!self.wanted.is_empty()).then_some((self.due, "kept positions")),
        }
    }

    /// The transaction that sets the position behind a record.
    pub fn operation(&self, table: PlaceId, source: Source) -> StoreOperation {
        let (partition, next) = (source.partition, source.offset.plus(1));
        let known = self.positions.get(&partition).copied().flatten();
        // What is done already is recognised by the store: it keeps a position behind this one.
        let expected = if known.is_some_and(|known| source.offset < known) { Some(source.offset) } else { known };
        StoreOperation::SetOffset { table, group: self.group, partition, expected, next }
    }

    fn failed(&mut self, now: Time, fits: impl Fn(Correlation, NodeId) -> bool) {
        if self.asked.is_some_and(|(correlation, node, _)| fits(correlation, node)) {
            self.asked = None;
            self.due = now + RETRY_BACKOFF;
        }
    }
}

impl Interpreter {
    /// Where the consumer has to go next; else asks the store, when there is something to ask.
    pub(super) fn kept_duty(&mut self, step: &mut Step) -> Option<Ask> {
        let service = self.id();
        let kept = self.kept.as_mut()?;
        if let Some((partition, offset)) = kept.seeks.pop_front() {
            return Some(Ask::Seek(partition, offset));
        }
        let now = step.time();
        if kept.asked.is_some_and(|(_, _, until)| until <= now) {
            (kept.asked, kept.due) = (None, now + RETRY_BACKOFF);
        }
        if kept.asked.is_some() || kept.wanted.is_empty() || now < kept.due {
            return None;
        }
        kept.questions += 1;
        let (store, questions) = (kept.store, kept.questions);
        let (table, partitions) = (kept.table, kept.wanted.iter().copied().collect());
        let (node, patience) = self.store_of(store);
        let correlation = Correlation(self.next_number());
        let process = u64::from(self.node.0) << 32 | u64::from(self.incarnation.0);
        let attempt = random::combine(process, questions);
        self.kept.as_mut().expect("it asks").asked = Some((correlation, node, now + patience));
        let request = KeptPositionsRequest { table, service, partitions, attempt };
        step.send(STORE_CHANNEL, node, correlation, Request::KeptPositions(request));
        None
    }

    /// The store says where the service had come to.
    pub fn handle_kept_positions(&mut self, correlation: Correlation, found: Vec<(TopicPartition, Option<Offset>)>) {
        let Some(kept) = self.kept.as_mut().filter(|kept| kept.asked.is_some_and(|asked| asked.0 == correlation))
        else {
            return;
        };
        kept.asked = None;
        for (partition, offset) in found {
            if kept.wanted.remove(&partition) {
                kept.positions.insert(partition, offset);
                kept.seeks.push_back((partition, offset));
            }
        }
    }

    /// The store said no to a question, or its connection broke.
    pub(super) fn handle_kept_failed(&mut self, now: Time, fits: impl Fn(Correlation, NodeId) -> bool) {
        if let Some(kept) = &mut self.kept {
            kept.failed(now, fits);
        }
    }

    /// The transaction of a flow is applied, and the position in it.
    pub(super) fn position_kept(&mut self, id: FlowId) {
        let flow = self.flows.get(id);
        let (source, step) = (flow.source, usize::from(flow.step));
        if self.kept.is_none() || !self.service().steps[step].commits() {
            return;
        }
        if let (Some(kept), Some(source)) = (&mut self.kept, source) {
            kept.positions.insert(source.partition, Some(source.offset.plus(1)));
        }
    }

    /// The store keeps another position than the one expected: the event is done, by an attempt whose answer was lost or by
    /// another owner, and nothing of its transaction was applied.
    pub(super) fn superseded(&mut self, id: FlowId, next: Offset, step: &mut Step) {
        let flow = self.flows.get(id);
        let (source, again) = (flow.source, flow.again);
        if let (Some(source), false) = (source, again) {
            self.drop_waiting(&[source.partition], step);
            if let Some(kept) = &mut self.kept {
                kept.positions.insert(source.partition, Some(next));
                kept.seeks.push_back((source.partition, Some(next)));
            }
        }
        self.resolve(id, StepOutcome::Skipped);
    }
}

//! A store: a database process that executes one small transaction for each request.
//!
//! A transaction is optimistic: it is checked and applied as one at a single instant, half of the drawn round trip
//! after the request came in; the answer leaves at its end. So a caller that dies or times out in between cannot know
//! whether it was executed. Requests do not queue behind each other. What goes wrong inside is drawn by the identity of
//! the request: refused before it was executed, lost on the way in, or executed and never answered.
//!
//! A table that somebody polls numbers its rows when their transactions begin, and shows them when these end. Transactions
//! take different times, so rows are not seen in the order of their numbers: as with the sequences of databases.
//!
//! No isolation levels, no locks, no deletes: whoever needs them is not asking a question about messages.

use std::sync::Arc;

use super::mishap::{Fate, Mishaps};
use super::rows::{Holder, RowState, StoreRows};
use crate::scenario::plan::{Plan, StorePlan, Trigger};
use crate::types::note::{Note, StoreEffect};
use crate::types::request::{
    KeptPositionsRequest, PollRowsRequest, Present, Request, Response, Row, Stands, StoreOperation, StoreRequest,
    StoreResponse,
};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Store {
    plan: Arc<Plan>,
    store: u16,
    /// Tables that somebody polls.
    polled: Vec<PlaceId>,
    draws: Keyed,
    rows: StoreRows,
    /// By due time; the number keeps the order of equal times.
    due: FewMap<(Time, u64), Due>,
    number: u64,
}

#[derive(Clone, Debug)]
enum Due {
    Execute { from: ReplyTo, work: Work, answered: Time, fate: Fate },
    Answer { to: ReplyTo, response: Response },
}

#[derive(Clone, Debug)]
enum Work {
    /// With a number for each row that it inserts into a polled table.
    Transaction(Box<StoreRequest>, Vec<RowNumber>),
    Poll(Box<PollRowsRequest>),
    Positions(KeptPositionsRequest),
}

impl Store {
    pub fn new(plan: Arc<Plan>, store: u16) -> Store {
        Store::with_rows(plan, store, StoreRows::default())
    }

    /// A store that starts again with what its disk kept.
    pub fn with_rows(plan: Arc<Plan>, store: u16, rows: StoreRows) -> Store {
        let draws = plan.seed.keyed(&format!("store {}", plan.stores[usize::from(store)].name));
        Store { polled: polled(&plan), plan, store, draws, rows, due: FewMap::new(), number: 0 }
    }

    /// Which of the plan's it is.
    pub fn index(&self) -> u16 {
        self.store
    }

    /// What survives the process. Requests in flight are lost: not executed, or executed and never answered.
    pub fn rows(self) -> StoreRows {
        self.rows
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        match input {
            Input::Request { from, request } => self.handle_request(from, request, step),
            Input::Command(Command::ShutDown) => step.effect(Effect::Exit { clean: true }),
            Input::Started { .. }
            | Input::Timeout
            | Input::Response { .. }
            | Input::Disconnected { .. }
            | Input::StorageFailed
            | Input::Command(_) => {}
        }
        self.perform_due(step);
    }

    /// Goes by another plan from now on. Requests under way keep the times that were drawn for them.
    pub fn reconfigure(&mut self, plan: Arc<Plan>) {
        self.polled = polled(&plan);
        self.plan = plan;
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let ((time, _), due) = self.due.first()?;
        match due {
            Due::Execute { .. } => Some((time, "transaction")),
            Due::Answer { .. } => Some((time, "answer")),
        }
    }

    fn handle_request(&mut self, from: ReplyTo, request: Request, step: &mut Step) {
        let identity = request.identity();
        let work = match request {
            Request::Store(request) => {
                let numbers = self.number_rows(&request);
                Work::Transaction(Box::new(request), numbers)
            }
            Request::PollRows(poll) => Work::Poll(Box::new(poll)),
            Request::KeptPositions(kept) => Work::Positions(kept),
            _ => return,
        };
        let plan = self.store_plan();
        let mishaps =
            Mishaps { errors: plan.errors, lost_requests: plan.lost_requests, lost_answers: plan.lost_answers };
        let mut draw = self.draws.at(identity);
        let fate = mishaps.draw(&mut draw);
        let latency = draw.draw(&plan.latency);
        let Some(fate) = fate else { return };
        let (executed, answered) = (step.time() + latency / 2, step.time() + latency);
        self.push(executed, Due::Execute { from, work, answered, fate });
    }

    /// Databases number rows as they are inserted, whatever becomes of the transaction: what is lost leaves a gap.
    fn number_rows(&mut self, request: &StoreRequest) -> Vec<RowNumber> {
        let tables = request.operations.iter().filter_map(inserted).filter(|table| self.polled.contains(table));
        tables.map(|table| self.rows.next_number(table)).collect()
    }

    fn perform_due(&mut self, step: &mut Step) {
        while self.due.first().is_some_and(|((time, _), _)| time <= step.time())
            && let Some((_, due)) = self.due.pop_first()
        {
            match due {
                Due::Execute { from, work, answered, fate } => {
                    let response = match (fate, &work) {
                        (Fate::Refused, _) => Response::Store(StoreResponse::Refused),
                        (_, Work::Transaction(request, numbers)) => {
                            Response::Store(self.execute(request, numbers, from.peer, step))
                        }
                        (_, Work::Poll(poll)) => Response::Rows(self.rows.poll(poll)),
                        (_, Work::Positions(kept)) => Response::KeptPositions(self.kept_positions(kept)),
                    };
                    match (fate, work) {
                        (Fate::AnswerLost, Work::Transaction(request, _)) => {
                            step.note(Note::AnswerLost { event: request.message.event });
                        }
                        (Fate::AnswerLost, Work::Poll(_) | Work::Positions(_)) => {}
                        (_, _) => self.push(answered, Due::Answer { to: from, response }),
                    }
                }
                Due::Answer { to, response } => step.reply(to, response),
            }
        }
    }

    /// Checks and applies a transaction as one.
    fn execute(
        &mut self,
        request: &StoreRequest,
        numbers: &[RowNumber],
        caller: NodeId,
        step: &mut Step,
    ) -> StoreResponse {
        // A lease, and what stands for a time, run out by the clock of the database.
        let by = ((caller, request.incarnation), step.now.wall_clock);
        for operation in &request.operations {
            match self.check(operation, request.service, by) {
                StoreResponse::Done => {}
                objection => return objection,
            }
        }
        let StoreRequest { message, service, step: number, .. } = *request;
        let mut numbers = numbers.iter();
        for operation in &request.operations {
            let effect = self.apply(operation, &message, by);
            if let Some((place, effect)) = effect {
                step.note(Note::EffectApplied { service, step: number, place, message, effect, caller });
            }
            let number = inserted(operation).filter(|table| self.polled.contains(table));
            if let Some(table) = number
                && let Some(number) = numbers.next().copied()
                && effect == Some((table, StoreEffect::Inserted))
            {
                let rank = self.rows.see(table, number, message);
                step.note(Note::RowSeen { place: table, event: message.event, number, rank });
            }
            self.pass(operation, (service, caller), step);
        }
        step.note(Note::StepExecuted { service, step: number, event: message.event, caller });
        StoreResponse::Done
    }

    /// `Done` when the operation has no objection.
    fn check(&self, operation: &StoreOperation, service: ServiceId, by: (Holder, Time)) -> StoreResponse {
        match *operation {
            StoreOperation::Insert { table, row } => match self.rows.state(table, row, by) {
                RowState::Absent => StoreResponse::Done,
                RowState::Present | RowState::LeasedAway | RowState::Free => StoreResponse::Conflict,
            },
            StoreOperation::InsertIfAbsent { table, row, present, .. }
            | StoreOperation::Check { table, row, present } => match self.rows.state(table, row, by) {
                RowState::Absent | RowState::Free => StoreResponse::Done,
                RowState::LeasedAway => StoreResponse::Conflict,
                RowState::Present => match present {
                    Present::Skip => StoreResponse::Skipped,
                    Present::Continue => StoreResponse::Done,
                    Present::Fail => StoreResponse::Conflict,
                },
            },
            StoreOperation::Confirm { table, row } => match self.rows.may_confirm(table, row, by.0) {
                true => StoreResponse::Done,
                false => StoreResponse::Conflict,
            },
            StoreOperation::SetOffset { table, partition, expected, .. } => {
                match self.rows.position(table, service, partition) {
                    kept if kept == expected => StoreResponse::Done,
                    kept => StoreResponse::Superseded(kept.unwrap_or_default()),
                }
            }
            StoreOperation::Upsert { .. }
            | StoreOperation::Add { .. }
            | StoreOperation::MarkSent { .. }
            | StoreOperation::MoveCursor { .. } => StoreResponse::Done,
        }
    }

    /// A poller says which rows it is done with, or a consumer which records.
    fn pass(&mut self, operation: &StoreOperation, (service, by): (ServiceId, NodeId), step: &mut Step) {
        match operation {
            StoreOperation::MarkSent { table, rows } => {
                self.rows.mark(*table, rows);
                step.note(Note::RowsMarked { place: *table, rows: rows.clone() });
            }
            StoreOperation::MoveCursor { table, cursor, to } => {
                let to = self.rows.move_cursor(*table, service, *to);
                step.note(Note::CursorMoved { service, place: *table, cursor: *cursor, to });
            }
            StoreOperation::SetOffset { table, group, partition, next, .. } => {
                let (group, partition, offset) = (*group, *partition, *next);
                self.rows.set_position(*table, service, partition, offset);
                step.note(Note::OffsetCommitted { group, partition, offset, member: None, by });
            }
            _ => {}
        }
    }

    fn kept_positions(&self, kept: &KeptPositionsRequest) -> Vec<(TopicPartition, Option<Offset>)> {
        let of = |partition: &TopicPartition| (*partition, self.rows.position(kept.table, kept.service, *partition));
        kept.partitions.iter().map(of).collect()
    }

    fn apply(
        &mut self,
        operation: &StoreOperation,
        message: &Message,
        by: (Holder, Time),
    ) -> Option<(PlaceId, StoreEffect)> {
        match *operation {
            StoreOperation::Insert { table, row } => Some((table, self.insert(table, row, Stands::ForGood, by))),
            StoreOperation::InsertIfAbsent { table, row, stands, .. } => {
                // A row that stands is left as it is.
                let stays = self.rows.state(table, row, by) == RowState::Present;
                let effect = if stays { StoreEffect::Unchanged } else { self.insert(table, row, stands, by) };
                Some((table, effect))
            }
            StoreOperation::Confirm { table, row } => {
                self.rows.confirm(table, row, by.0);
                None
            }
            StoreOperation::Check { .. } | StoreOperation::MarkSent { .. } | StoreOperation::MoveCursor { .. } => None,
            StoreOperation::SetOffset { .. } => None,
            StoreOperation::Upsert { table, version_guard } => {
                Some((table, self.upsert(table, message, version_guard)))
            }
            StoreOperation::Add { table, by } => {
                self.rows.add(table, message.key, by);
                Some((table, StoreEffect::Added))
            }
        }
    }

    fn insert(&mut self, table: PlaceId, row: Row, stands: Stands, by: (Holder, Time)) -> StoreEffect {
        if self.rows.insert(table, row, stands, by) { StoreEffect::Inserted } else { StoreEffect::Unchanged }
    }

    fn upsert(&mut self, table: PlaceId, message: &Message, version_guard: bool) -> StoreEffect {
        let before = self.rows.version(table, message.key);
        if version_guard && before.is_some_and(|version| message.version <= version) {
            return StoreEffect::Unchanged;
        }
        self.rows.overwrite(table, message.key, message.version);
        match before {
            None => StoreEffect::Inserted,
            Some(version) if version == message.version => StoreEffect::Unchanged,
            Some(version) => StoreEffect::Overwrote { newer: version < message.version },
        }
    }

    fn push(&mut self, time: Time, due: Due) {
        self.number += 1;
        self.due.insert((time, self.number), due);
    }

    fn store_plan(&self) -> &StorePlan {
        &self.plan.stores[usize::from(self.store)]
    }
}

fn polled(plan: &Plan) -> Vec<PlaceId> {
    let polled = plan.services.iter().filter_map(|service| match &service.trigger {
        Trigger::Poll(poll) => Some(poll.table),
        Trigger::Requests(_) | Trigger::Consume(_) | Trigger::Called(_) => None,
    });
    polled.collect()
}

/// The table that gets a row.
fn inserted(operation: &StoreOperation) -> Option<PlaceId> {
    match operation {
        StoreOperation::Insert { table, .. } | StoreOperation::InsertIfAbsent { table, .. } => Some(*table),
        StoreOperation::Check { .. }
        | StoreOperation::Confirm { .. }
        | StoreOperation::Upsert { .. }
        | StoreOperation::Add { .. }
        | StoreOperation::MarkSent { .. }
        | StoreOperation::MoveCursor { .. }
        | StoreOperation::SetOffset { .. } => None,
    }
}

//! The steps of a list, one after the other, until one has to wait.
//!
//! Each step says that it is reached before it does anything, and that it is done before anything behind it: the world
//! may kill the process at either note.

use std::sync::Arc;

use super::flow::{FlowId, FlowState, Source};
use super::interpreter::{Ask, CommitPurpose, Interpreter, STORE_CHANNEL};
use crate::scenario::plan::{Action, CommitEvery, CommitHow, PublishKey, RowBy, ServicePlan, StepPlan, StoreStep};
use crate::types::note::{Note, StepOutcome};
use crate::types::random::combine;
use crate::types::request::{CallResponse, Request, Response, Row, StoreOperation, StoreRequest};
use crate::types::settings::AutoCommit;
use crate::types::*;

/// What the beginning of a step led to.
pub enum Begun {
    /// The step waits; somebody will wake the flow.
    Waiting,
    Finished(StepOutcome),
    /// There was nothing to do: not even a note.
    NotDue,
    /// To be performed before the flow goes on.
    Ask(Ask),
}

impl Interpreter {
    /// Runs a flow until it waits, asks or ends.
    pub(super) fn run(&mut self, id: FlowId, step: &mut Step) -> Option<Ask> {
        let plan = Arc::clone(&self.plan);
        let service = &plan.services[self.service_index()];
        loop {
            let begun = match self.flows.get(id).state {
                FlowState::Begin => match self.begin(id, service, step) {
                    Some(begun) => begun,
                    None => {
                        return self.end_flow(id, service, step);
                    }
                },
                FlowState::Finish(outcome) => match self.finish(id, outcome, service, step) {
                    Some(climb) => climb,
                    None => continue,
                },
                FlowState::Restart => {
                    self.restart(id, step);
                    continue;
                }
                FlowState::CommitAgain => self.commit_again(id, step),
                FlowState::CallAgain => self.call_again(id, step),
                FlowState::Climb => self.climb(id, service, step),
                FlowState::DeadLetterFailed => self.wait_for_dead_letter(id, step),
                FlowState::JumpToEnd => {
                    jump_to_end(self.flows.get(id), service);
                    continue;
                }
                FlowState::Working { .. }
                | FlowState::Storing { .. }
                | FlowState::Calling { .. }
                | FlowState::CallBackoff(_)
                | FlowState::Publishing { .. }
                | FlowState::Committing(_)
                | FlowState::CommitBackoff(_)
                | FlowState::Backoff(_)
                | FlowState::DeadLettering { .. }
                | FlowState::SendingOffsets
                | FlowState::EndingTransaction
                | FlowState::Aborting
                | FlowState::DeadLetterBackoff(_) => panic!("a flow that waits was run"),
            };
            match begun {
                Begun::Waiting => return None,
                Begun::Ask(ask) => return Some(ask),
                Begun::Finished(outcome) => self.flows.get(id).state = FlowState::Finish(outcome),
                Begun::NotDue => {
                    let flow = self.flows.get(id);
                    flow.step += 1;
                    flow.state = FlowState::Begin;
                }
            }
        }
    }

    /// The producer took the record of a step or a dead letter, now or when there was memory; or it refused.
    pub fn published(&mut self, send: SendId, taken: bool) {
        // Whoever waited for it may be gone.
        let Some(&id) = self.sends.get(&send) else { return };
        let state = self.flows.get(id).state;
        let (FlowState::Publishing { wait, .. } | FlowState::DeadLettering { wait, .. }) = state else {
            panic!("a record of a step that does not publish");
        };
        if taken && wait {
            return;
        }
        self.sends.remove(&send);
        self.resolve(id, if taken { StepOutcome::Done } else { StepOutcome::Failed });
    }

    /// `None`: the list is through.
    fn begin(&mut self, id: FlowId, service: &ServicePlan, step: &mut Step) -> Option<Begun> {
        let flow = self.flows.get(id);
        let plan = service.steps.get(usize::from(flow.step))?;
        if !is_for(plan, &flow.message) {
            return Some(Begun::NotDue);
        }
        if let Action::Commit { every, how } = plan.action {
            return Some(self.begin_commit(id, every, how, step));
        }
        if plan.action == Action::StoreOffset {
            return Some(self.begin_store_offset(id, step));
        }
        if let Action::SendOffsets { group_metadata } = plan.action {
            return Some(self.begin_offsets(id, group_metadata, step));
        }
        step.note(Note::StepReached { service: service.id, step: flow.step, event: flow.message.event });
        Some(match &plan.action {
            Action::Work { time, errors, poison } => self.begin_work(id, time, *errors, *poison, step),
            Action::Store { store, operations } => self.begin_store(id, *store, operations, step),
            Action::Call(call) => self.begin_call(id, call, step),
            Action::Publish { topic, producer, wait, key } => {
                let send = self.next_send();
                let flow = self.flows.get(id);
                flow.state = FlowState::Publishing { send, wait: *wait };
                let message = Message { attempt: 0, ..flow.message };
                self.publish(id, send, (*topic, *producer, *key), message, step)
            }
            Action::Respond => {
                if let Some(caller) = flow.reply.take() {
                    if let Some((service, step_of_caller)) = flow.asked_by {
                        let (event, caller) = (flow.message.event, caller.peer);
                        step.note(Note::StepExecuted { service, step: step_of_caller, event, caller });
                    }
                    step.reply(caller, Response::Call(CallResponse::Accepted(flow.message.event)));
                }
                Begun::Finished(StepOutcome::Done)
            }
            Action::BeginTransaction => self.begin_transaction(id),
            Action::EndTransaction => self.end_transaction(id),
            Action::Commit { .. } | Action::StoreOffset | Action::SendOffsets { .. } => unreachable!("begun above"),
        })
    }

    /// The step has its result. `None`: go on with the state that was set.
    fn finish(&mut self, id: FlowId, outcome: StepOutcome, service: &ServicePlan, step: &mut Step) -> Option<Begun> {
        let flow = self.flows.get(id);
        step.note(Note::StepDone { service: service.id, step: flow.step, event: flow.message.event, outcome });
        let commits = matches!(service.steps[usize::from(flow.step)].action, Action::Commit { .. });
        if commits {
            self.end_row_commit(outcome);
        }
        let flow = self.flows.get(id);
        let goes_on = match &service.steps[usize::from(flow.step)].action {
            // A refused commit takes nothing back; whoever owns the partition now decides.
            Action::Commit { .. } => true,
            Action::Call(call) => call.optional,
            Action::Work { .. }
            | Action::Store { .. }
            | Action::Publish { .. }
            | Action::StoreOffset
            | Action::Respond
            | Action::BeginTransaction
            | Action::SendOffsets { .. }
            | Action::EndTransaction => false,
        };
        match outcome {
            StepOutcome::Skipped => {
                flow.skipped = true;
                jump_to_end(flow, service);
                None
            }
            StepOutcome::Failed | StepOutcome::Unknown if !goes_on => {
                Some(self.abort_first(id).unwrap_or_else(|| self.climb(id, service, step)))
            }
            StepOutcome::Done | StepOutcome::Failed | StepOutcome::Unknown => {
                flow.step += 1;
                flow.state = FlowState::Begin;
                None
            }
        }
    }

    /// A retry starts the list again.
    fn restart(&mut self, id: FlowId, step: &mut Step) {
        let service = self.id();
        let flow = self.flows.get(id);
        flow.attempt += 1;
        flow.step = 0;
        flow.skipped = false;
        flow.state = FlowState::Begin;
        let source = flow.source.map(|source| (source.partition, source.offset));
        step.note(Note::FlowStarted { service, message: flow.message, source, attempt: flow.attempt });
    }

    /// The list is through for this event.
    fn end_flow(&mut self, id: FlowId, service: &ServicePlan, step: &mut Step) -> Option<Ask> {
        let flow = self.remove_flow(id);
        step.note(Note::FlowDone { service: service.id, event: flow.message.event, skipped: flow.skipped });
        let source = flow.source.filter(|_| !flow.counted && self.counts_done())?;
        // No commit step was for this event, or it had passed the commit before it failed: done all the same.
        let complete = self.commits.mark(source);
        if self.auto_commit() == Some(AutoCommit::BehindBatch) {
            let offsets = self.commits.take(step.time());
            return (!offsets.is_empty()).then_some(Ask::StoreOffsets(offsets));
        }
        let every_batch = service.steps.iter().any(|step| {
            matches!(step.action, Action::Commit { every: CommitEvery::Batch, .. }) && self.commits.unsaved()
        });
        if !complete || !every_batch {
            return None;
        }
        let offsets = self.commits.take(step.time());
        if offsets.is_empty() {
            return None;
        }
        let token = self.commit_token(CommitPurpose::Background);
        Some(Ask::Commit { token, offsets, wait: true })
    }

    // --- work, stores, topics ---

    fn begin_work(&mut self, id: FlowId, time: &Spread, errors: Ratio, poison: Ratio, step: &mut Step) -> Begun {
        let process = u64::from(self.node.0) << 32 | u64::from(self.incarnation.0);
        let (draws, repaired) = (self.draws, self.repaired);
        let flow = self.flows.get(id);
        let of_step = combine(flow.message.event.0, u64::from(flow.step));
        let attempt = combine(of_step, u64::from(flow.attempt));
        // An attempt in another process may succeed where this one failed: its errors are drawn anew, its time is not.
        let is_poison = flow.message.poison || (poison != Ratio::ZERO && draws.poison.at(of_step).chance(poison));
        let fails = (is_poison && !repaired)
            || (errors != Ratio::ZERO && draws.errors.at(combine(attempt, process)).chance(errors));
        let length = draws.work.at(attempt).draw(time);
        if length.is_zero() {
            return Begun::Finished(if fails { StepOutcome::Failed } else { StepOutcome::Done });
        }
        let timer = self.set_timer(id, step.time() + length);
        self.flows.get(id).state = FlowState::Working { timer, fails };
        Begun::Waiting
    }

    fn begin_store(&mut self, id: FlowId, store: u16, operations: &[StoreStep], step: &mut Step) -> Begun {
        let service = self.id();
        let flow = self.flows.get(id);
        let (message, source, number, attempt) = (flow.message, flow.source, flow.step, flow.attempt);
        let request = StoreRequest {
            message,
            service,
            step: number,
            attempt: self.store_attempt(number, attempt),
            incarnation: self.incarnation,
            operations: operations.iter().filter_map(|one| self.store_operation(*one, &message, source)).collect(),
        };
        self.ask_store(id, store, request, step);
        Begun::Waiting
    }

    /// Asks a store for a flow's transaction and waits for the answer.
    pub(super) fn ask_store(&mut self, id: FlowId, store: u16, request: StoreRequest, step: &mut Step) {
        let (peer, patience) = self.store_of(store);
        let correlation = Correlation(self.next_number());
        let timer = self.set_timer(id, step.time() + patience);
        self.store_calls.insert(correlation, (id, peer));
        self.flows.get(id).state = FlowState::Storing { correlation, timer };
        step.send(STORE_CHANNEL, peer, correlation, Request::Store(request));
    }

    /// The node of a store, and how long an answer is waited for.
    pub(super) fn store_of(&self, store: u16) -> (NodeId, Duration) {
        let store = &self.plan.stores[usize::from(store)];
        (store.node, store.timeout)
    }

    /// Which attempt of this process at this step it is.
    pub(super) fn store_attempt(&self, number: u16, attempt: u32) -> u64 {
        let process = u64::from(self.node.0) << 32 | u64::from(self.incarnation.0);
        combine(combine(u64::from(self.id().0) << 16 | u64::from(number), u64::from(attempt)), process)
    }

    pub(super) fn publish(
        &mut self,
        id: FlowId,
        send: SendId,
        (topic, producer, key): (TopicId, u16, PublishKey),
        message: Message,
        step: &Step,
    ) -> Begun {
        self.sends.insert(send, id);
        let key = match key {
            PublishKey::Key => Some(message.key),
            PublishKey::Id => Some(Key(message.id().0)),
            PublishKey::None => None,
        };
        let record = Record { send, message, timestamp: step.now.wall_clock };
        Begun::Ask(Ask::Publish { producer, topic, key, record })
    }

    /// `None`: only an event of a topic has a position.
    fn store_operation(&self, step: StoreStep, message: &Message, source: Option<Source>) -> Option<StoreOperation> {
        let named = |row: RowBy| match (row, source) {
            (RowBy::Offset, Some(source)) => Row::Offset(source.partition, source.offset),
            (RowBy::Event, _) | (RowBy::Offset, None) => Row::Event(message.id()),
        };
        Some(match step {
            StoreStep::Insert { table, row } => StoreOperation::Insert { table, row: named(row) },
            StoreStep::InsertIfAbsent { table, row, present, stands } => {
                StoreOperation::InsertIfAbsent { table, row: named(row), present, stands }
            }
            StoreStep::Confirm { table, row } => StoreOperation::Confirm { table, row: named(row) },
            StoreStep::Check { table, row, present } => StoreOperation::Check { table, row: named(row), present },
            StoreStep::Upsert { table, version_guard } => StoreOperation::Upsert { table, version_guard },
            StoreStep::Add { table, by } => StoreOperation::Add { table, by },
            StoreStep::Commit { table } => self.kept.as_ref()?.operation(table, source?),
        })
    }

    // --- commits ---

    /// What is done is stored for the clock, which commits it later.
    fn begin_store_offset(&mut self, id: FlowId, step: &mut Step) -> Begun {
        let service = self.id();
        let flow = self.flows.get(id);
        let Some(source) = flow.source.filter(|_| !flow.again) else { return Begun::NotDue };
        let newly = !std::mem::replace(&mut flow.counted, true);
        let (number, event) = (flow.step, flow.message.event);
        if newly {
            self.commits.mark(source);
        }
        let offsets = self.commits.take(step.time());
        if offsets.is_empty() {
            return Begun::NotDue;
        }
        step.note(Note::StepReached { service, step: number, event });
        self.flows.get(id).state = FlowState::Finish(StepOutcome::Done);
        self.ready.push_front(id);
        Begun::Ask(Ask::StoreOffsets(offsets))
    }

    fn begin_commit(&mut self, id: FlowId, every: CommitEvery, how: CommitHow, step: &mut Step) -> Begun {
        let flow = self.flows.get(id);
        if let Some(row) = flow.row {
            return self.begin_row_commit(id, row, every, step);
        }
        let Some(source) = flow.source.filter(|_| !flow.again) else { return Begun::NotDue };
        let first = flow.step == 0;
        let newly = !std::mem::replace(&mut flow.counted, true);
        if !self.commits.owns(source) {
            return self.begin_commit_of_another(id, source, newly, how, step);
        }
        let batch_first = first && self.uncommitted_batch == Some(source.batch);
        let complete = newly && self.commits.mark(source);
        if batch_first {
            let rest: Vec<Source> = self.held.iter().filter_map(|arrival| arrival.source).collect();
            for source in rest {
                self.commits.mark(source);
            }
        }
        let due = match every {
            CommitEvery::Record => true,
            CommitEvery::Batch => complete || batch_first,
            CommitEvery::Records(count) => self.commits.since() >= u64::from(count),
            CommitEvery::Interval(interval) => self.commits.last() + interval <= step.time(),
        };
        if !due {
            return Begun::NotDue;
        }
        let offsets = self.commits.take(step.time());
        if batch_first && (offsets.is_empty() || !how.waits()) {
            self.release_held();
        }
        if offsets.is_empty() {
            return Begun::NotDue;
        }
        self.ask_commit(id, offsets, how, step)
    }

    /// The partition went to somebody else meanwhile: a zombie commits what it has done, and is refused.
    fn begin_commit_of_another(
        &mut self,
        id: FlowId,
        source: Source,
        newly: bool,
        how: CommitHow,
        step: &mut Step,
    ) -> Begun {
        if newly {
            self.commits.count_down(source.batch);
        }
        // With a new assignment the consumer would sign the commit with its new generation; a pool knows better.
        if self.commits.round_of(source.partition) != source.round {
            return Begun::NotDue;
        }
        self.ask_commit(id, vec![(source.partition, source.offset.plus(1))], how, step)
    }

    fn ask_commit(
        &mut self,
        id: FlowId,
        offsets: Vec<(TopicPartition, Offset)>,
        how: CommitHow,
        step: &mut Step,
    ) -> Begun {
        let service = self.id();
        let flow = self.flows.get(id);
        step.note(Note::StepReached { service, step: flow.step, event: flow.message.event });
        match how {
            CommitHow::Sync => {
                let token = self.commit_token(CommitPurpose::Step(id));
                self.flows.get(id).state = FlowState::Committing(token);
                Begun::Ask(Ask::Commit { token, offsets, wait: true })
            }
            CommitHow::Async { retry } => {
                self.flows.get(id).state = FlowState::Finish(StepOutcome::Done);
                self.ready.push_front(id);
                Begun::Ask(self.commit_async(offsets, retry))
            }
        }
    }

    /// The commit of a step was not answered: asks again, under the same note.
    fn commit_again(&mut self, id: FlowId, step: &mut Step) -> Begun {
        let source = self.flows.get(id).source.expect("only consumed events commit");
        if !self.commits.owns(source) {
            return Begun::Finished(StepOutcome::Failed);
        }
        let offsets = self.commits.take(step.time());
        if offsets.is_empty() {
            return Begun::Finished(StepOutcome::Done);
        }
        let token = self.commit_token(CommitPurpose::Step(id));
        self.flows.get(id).state = FlowState::Committing(token);
        Begun::Ask(Ask::Commit { token, offsets, wait: true })
    }
}

/// The step is for events of this origin.
pub(super) fn is_for(step: &StepPlan, message: &Message) -> bool {
    step.of.is_none_or(|origin| origin == message.origin)
}

/// On to the next `commit` or `respond`, or to the end of the list.
pub(super) fn jump_to_end(flow: &mut super::flow::Flow, service: &ServicePlan) {
    let ends = |step: &StepPlan| match step.action {
        Action::Commit { .. } | Action::StoreOffset | Action::SendOffsets { .. } | Action::Respond => {
            is_for(step, &flow.message)
        }
        Action::Work { .. }
        | Action::Store { .. }
        | Action::Call(_)
        | Action::Publish { .. }
        | Action::BeginTransaction
        | Action::EndTransaction => false,
    };
    let behind = usize::from(flow.step) + 1;
    let found = service.steps.iter().skip(behind).position(ends).map(|index| behind + index);
    flow.step = found.unwrap_or(service.steps.len()) as u16;
    flow.state = FlowState::Begin;
}

//! The flow interpreter of one instance: takes events in, runs the list of steps for each, says when it is done.
//!
//! It knows nothing of Kafka's clients. Whatever it wants of them it asks for, one [`Ask`] at a time, and goes on only
//! when the ask was performed; so notes and effects keep one total order, and the interpreter can be tested against a
//! script. Calls to stores and answers to callers need no client: they leave through the step itself.
//!
//! One worker means one thread that polls, runs the list for each record of the batch in order, and polls again. More
//! workers are a pool: the polling thread hands records over and polls on while the pool keeps up.
//!
//! In other files: the steps (`steps.rs`), what happens when one fails (`ladder.rs`), and everything that takes work
//! away again (`retreat.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::async_commits::AsyncCommits;
use super::calls::{Attempted, Breaker};
use super::commits::{CommitToken, Commits};
use super::flow::{Arrival, Flow, FlowId, FlowState, Flows, Source, TimerKey};
use super::intake::Intake;
use super::kept::Kept;
use super::relay::Relay;
use super::retreat::{Phase, Revoking};
use crate::scenario::plan::{Action, CommitEvery, ConsumePlan, Plan, ServicePlan, Trigger, WorkerOrder};
use crate::types::note::{Note, StepOutcome};
use crate::types::record::TransactionOutcome;
use crate::types::request::{CallResponse, Response, StoreResponse};
use crate::types::settings::AutoCommit;
use crate::types::*;

/// All stores are called on this channel.
pub const STORE_CHANNEL: Channel = Channel(200);
/// Endpoints and other services are called on this one.
pub const CALL_CHANNEL: Channel = Channel(201);

/// What the interpreter wants of the clients beside it. Performed at once and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Enter poll(), until records come.
    Poll,
    /// Hand a record to a producer and say whether it was taken.
    Publish {
        producer: u16,
        topic: TopicId,
        key: Option<Key>,
        record: Record,
    },
    Commit {
        token: CommitToken,
        offsets: Vec<(TopicPartition, Offset)>,
        wait: bool,
    },
    /// The clock commits these from now on.
    StoreOffsets(Vec<(TopicPartition, Offset)>),
    FinishRevocation,
    /// Read this partition from here; `None`: from where the reset policy says.
    Seek(TopicPartition, Option<Offset>),
    /// Offsets become part of the open transaction; say whether they were taken.
    SendOffsets {
        offsets: Vec<(TopicPartition, Offset)>,
        group_metadata: bool,
    },
    /// Say when it is over.
    EndTransaction(TransactionOutcome),
    /// Leave the group, flush what is buffered; say when both are through.
    Close,
    Exit {
        clean: bool,
    },
}

/// A consumed record as the interpreter needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    pub partition: TopicPartition,
    pub offset: Offset,
    pub message: Message,
}

#[derive(Clone, Debug)]
pub struct Interpreter {
    pub(super) plan: Arc<Plan>,
    service: usize,
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) draws: Draws,
    pub(super) flows: Flows,
    /// Flows that can go on now.
    pub(super) ready: VecDeque<FlowId>,
    pub(super) intake: Intake,
    /// Poison does it no harm any more.
    pub(super) repaired: bool,
    /// The message that was taken last, for a queue that repeats it.
    pub(super) latest: Option<Arrival>,
    timers: FewMap<TimerKey, FlowId>,
    /// Running number of timers, correlations and commits.
    number: u64,
    /// Records handed to producers. A number of its own: draws about a record hang on it.
    sent: u64,
    /// Calls to stores that are out.
    pub(super) store_calls: FewMap<Correlation, (FlowId, NodeId)>,
    /// Attempts of calls that are out.
    pub(super) calls: FewMap<Correlation, (FlowId, NodeId)>,
    /// By step; of those that have one.
    pub(super) breakers: BTreeMap<u16, Breaker>,
    /// Records handed to a producer whose outcome somebody waits for.
    pub(super) sends: FewMap<SendId, FlowId>,
    pub(super) commits: Commits,
    pub(super) commits_out: FewMap<CommitToken, CommitPurpose>,
    pub(super) async_commits: AsyncCommits,
    /// The application is inside poll().
    pub(super) polling: bool,
    /// Counts polls that returned records.
    batch: u64,
    /// With `commit every batch` as the first step: the batch that must be committed before any of it is processed.
    pub(super) uncommitted_batch: Option<u64>,
    /// The rest of that batch.
    pub(super) held: VecDeque<Arrival>,
    pub(super) revoking: Option<Revoking>,
    /// Of a service that keeps its positions in a store.
    pub(super) kept: Option<Kept>,
    /// Of a service that polls a table.
    pub(super) relay: Option<Relay>,
    /// Whose transaction is open, or being ended.
    pub(super) transaction: Option<FlowId>,
    /// Where a partition is read again before anything else is asked for.
    pub(super) goes_back_to: Option<(TopicPartition, Offset)>,
    pub(super) phase: Phase,
}

/// Draws of a service, each by the identity of what it is drawn for.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    pub work: Keyed,
    pub errors: Keyed,
    pub poison: Keyed,
    pub backoff: Keyed,
}

/// Who waits for a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitPurpose {
    Step(FlowId),
    Background,
    Revocation,
    Closing,
}

impl Interpreter {
    pub fn new(plan: Arc<Plan>, service: usize, node: NodeId) -> Interpreter {
        let own = &plan.services[service];
        let (by_key, commit_of) = match &own.trigger {
            Trigger::Requests(_) | Trigger::Called(_) => (false, Default::default()),
            Trigger::Poll(_) => (own.workers > 1 && own.worker_order == WorkerOrder::Key, Default::default()),
            Trigger::Consume(consume) => (own.workers > 1 && own.worker_order == WorkerOrder::Key, consume.commit_of),
        };
        let keyed = |concern: &str| plan.seed.keyed(&format!("{concern} {}", own.name));
        // How long something takes is drawn anew in a rerun; what fails stays.
        let lengths = |concern: &str| plan.seed.keyed(&plan.network.stream(&format!("{concern} {}", own.name)));
        let draws = Draws {
            work: lengths("work"),
            errors: keyed("errors"),
            poison: keyed("poison"),
            backoff: lengths("backoff"),
        };
        let relay = matches!(own.trigger, Trigger::Poll(_)).then(Relay::new);
        Interpreter {
            service,
            kept: Kept::of(own),
            relay,
            node,
            incarnation: Incarnation(0),
            draws,
            flows: Flows::default(),
            ready: VecDeque::new(),
            intake: Intake::new(by_key),
            repaired: false,
            latest: None,
            timers: FewMap::new(),
            number: 0,
            sent: 0,
            store_calls: FewMap::new(),
            calls: FewMap::new(),
            breakers: BTreeMap::new(),
            sends: FewMap::new(),
            commits: Commits::new(commit_of),
            commits_out: FewMap::new(),
            async_commits: AsyncCommits::default(),
            polling: false,
            batch: 0,
            uncommitted_batch: None,
            held: VecDeque::new(),
            revoking: None,
            transaction: None,
            goes_back_to: None,
            phase: Phase::Created,
            plan,
        }
    }

    pub fn start(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.phase = Phase::Running;
    }

    /// Goes by another plan from now on. What has begun ends as it began.
    pub fn reconfigure(&mut self, plan: Arc<Plan>) {
        self.plan = plan;
    }

    /// The program is put right.
    pub fn repair(&mut self) {
        self.repaired = true;
    }

    /// A caller asks for an event to be handled.
    pub fn handle_call(
        &mut self,
        message: Message,
        from: ReplyTo,
        asked_by: Option<(ServiceId, u16)>,
        step: &mut Step,
    ) {
        let is_full = match &self.service().trigger {
            Trigger::Called(called) => called.max_waiting as usize <= self.intake.waiting(),
            Trigger::Requests(_) | Trigger::Consume(_) | Trigger::Poll(_) => false,
        };
        if self.phase != Phase::Running || is_full {
            step.reply(from, Response::Call(CallResponse::Refused(message.event)));
            return;
        }
        step.note(Note::FlowStarted { service: self.id(), message, source: None, attempt: 1 });
        self.intake.push(Arrival { message, source: None, row: None, reply: Some(from), asked_by, again: false });
    }

    /// The message that was taken last comes once more, behind what is at hand already. Nobody waits for its answer, and
    /// what it says about its offset has been said. A process that has taken nothing yet has nothing to repeat.
    pub fn redeliver(&mut self, step: &mut Step) {
        let Some(latest) = self.latest.filter(|_| self.phase == Phase::Running) else { return };
        let source = latest.source.map(|source| (source.partition, source.offset));
        step.note(Note::Redelivered { service: self.id(), message: latest.message, source });
        if source.is_none() && latest.row.is_none() {
            step.note(Note::FlowStarted { service: self.id(), message: latest.message, source, attempt: 1 });
        }
        self.intake.push(Arrival { reply: None, asked_by: None, again: true, ..latest });
    }

    /// poll() returned.
    pub fn handle_records(&mut self, records: impl ExactSizeIterator<Item = Polled>, step: &mut Step) {
        self.polling = false;
        let count = records.len() as u32;
        if self.phase != Phase::Running {
            self.abandon(count, step);
            return;
        }
        if count == 0 {
            return;
        }
        self.batch += 1;
        let batch = self.batch;
        let manual = self.counts_done();
        let commit_first = manual && self.commits_batch_first();
        if manual {
            self.commits.begin_batch(batch, count);
        }
        for (index, record) in records.enumerate() {
            let round = self.commits.round_of(record.partition);
            let source = Source { partition: record.partition, offset: record.offset, round, batch };
            if manual {
                self.commits.hand_out(source);
            }
            let (message, source) = (record.message, Some(source));
            let arrival = Arrival { message, source, row: None, reply: None, asked_by: None, again: false };
            if commit_first && index > 0 {
                self.held.push_back(arrival);
            } else {
                self.intake.push(arrival);
            }
        }
        if commit_first {
            self.uncommitted_batch = Some(batch);
        }
    }

    pub fn handle_store_answer(&mut self, correlation: Correlation, response: StoreResponse, step: &mut Step) {
        // An answer behind its timeout is not heard.
        let Some((id, _)) = self.store_calls.remove(&correlation) else {
            self.handle_kept_failed(step.time(), |asked, _| asked == correlation);
            return self.handle_poll_failed(|asked, _| asked == correlation);
        };
        let FlowState::Storing { timer, .. } = self.flows.get(id).state else {
            panic!("a call to a store belongs to a step that waits for it");
        };
        self.timers.remove(&timer);
        match response {
            StoreResponse::Done => {
                self.position_kept(id);
                self.resolve(id, StepOutcome::Done);
            }
            StoreResponse::Skipped => self.resolve(id, StepOutcome::Skipped),
            StoreResponse::Superseded(next) => self.superseded(id, next, step),
            StoreResponse::Conflict | StoreResponse::Refused => self.resolve(id, StepOutcome::Failed),
        }
    }

    /// The connection to a store broke: its answers are lost.
    pub fn handle_store_disconnected(&mut self, peer: NodeId, now: Time) {
        self.handle_kept_failed(now, |_, node| node == peer);
        self.handle_poll_failed(|_, node| node == peer);
        let lost: Vec<Correlation> =
            self.store_calls.iter().filter(|(_, call)| call.1 == peer).map(|(correlation, _)| correlation).collect();
        for correlation in lost {
            let (id, _) = self.store_calls.remove(&correlation).expect("found above");
            if let FlowState::Storing { timer, .. } = self.flows.get(id).state {
                self.timers.remove(&timer);
            }
            self.resolve(id, StepOutcome::Unknown);
        }
    }

    /// The producer's verdict on a record.
    pub fn handle_sent(&mut self, send: SendId, outcome: StepOutcome) {
        // Nobody waits for an asynchronous send.
        if let Some(id) = self.sends.remove(&send) {
            self.resolve(id, outcome);
        }
    }

    pub fn handle_timeout(&mut self, step: &mut Step) {
        let now = step.time();
        while let Some((timer, id)) = self.timers.first()
            && timer.0 <= now
        {
            let id = *id;
            self.timers.pop_first();
            match self.flows.get(id).state {
                FlowState::Working { fails, .. } => {
                    self.resolve(id, if fails { StepOutcome::Failed } else { StepOutcome::Done });
                }
                FlowState::Storing { correlation, .. } => {
                    self.store_calls.remove(&correlation);
                    self.resolve(id, StepOutcome::Unknown);
                }
                FlowState::Calling { correlation, .. } => self.end_attempt(correlation, Attempted::Unknown, step),
                FlowState::CallBackoff(_) => self.make_ready(id, FlowState::CallAgain),
                FlowState::Backoff(_) => self.make_ready(id, FlowState::Restart),
                FlowState::CommitBackoff(_) => self.make_ready(id, FlowState::CommitAgain),
                FlowState::DeadLetterBackoff(_) => self.make_ready(id, FlowState::Climb),
                FlowState::Begin
                | FlowState::Finish(_)
                | FlowState::Restart
                | FlowState::CommitAgain
                | FlowState::Climb
                | FlowState::DeadLetterFailed
                | FlowState::CallAgain
                | FlowState::JumpToEnd
                | FlowState::Publishing { .. }
                | FlowState::Committing(_)
                | FlowState::SendingOffsets
                | FlowState::EndingTransaction
                | FlowState::Aborting
                | FlowState::DeadLettering { .. } => panic!("a timer belongs to a flow that waits for it"),
            }
        }
    }

    /// Goes on as far as possible without a client. `None`: nothing left to do now.
    pub fn next_ask(&mut self, step: &mut Step) -> Option<Ask> {
        loop {
            match self.phase {
                Phase::Created | Phase::Exited => return None,
                Phase::Running
                | Phase::Draining { .. }
                | Phase::Committing { .. }
                | Phase::Committed { .. }
                | Phase::Closing { .. } => {}
            }
            if let Some(id) = self.ready.pop_front() {
                if let Some(ask) = self.run(id, step) {
                    return Some(ask);
                }
            } else if !self.start_next(step) {
                return self.next_duty(step);
            }
        }
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let timer = self.timers.first().map(|((time, _), _)| (time, "step"));
        let commit = self.background_commit_due().map(|time| (time, "commit interval"));
        let end = self.phase.deadline().map(|time| (time, "shutdown"));
        let kept = self.kept.as_ref().and_then(Kept::next_deadline);
        earlier(earlier(timer, commit), earlier(earlier(end, kept), self.relay_deadline()))
    }

    pub fn check_invariants(&self) {
        assert!(self.flows.running() <= usize::from(self.service().workers.max(1)), "one flow for each worker");
        assert!(self.store_calls.len() <= self.flows.running(), "one call for each flow");
        assert!(self.calls.len() <= self.flows.running(), "one attempt of a call for each flow");
        assert!(self.sends.len() <= self.flows.running(), "one awaited send for each flow");
        assert!(self.timers.len() <= self.flows.running(), "one timer for each flow");
    }

    /// Gives a free worker the next event.
    fn start_next(&mut self, step: &mut Step) -> bool {
        if self.phase != Phase::Running || self.flows.running() >= usize::from(self.service().workers.max(1)) {
            return false;
        }
        // A first record that did not commit leaves its part to the next one.
        if self.flows.running() == 0
            && self.intake.waiting() == 0
            && let Some(arrival) = self.held.pop_front()
        {
            self.intake.push(arrival);
        }
        let Some(arrival) = self.intake.pop() else { return false };
        self.latest = Some(arrival);
        if arrival.source.is_some() || arrival.row.is_some() {
            let source = arrival.source.map(|source| (source.partition, source.offset));
            step.note(Note::FlowStarted { service: self.id(), message: arrival.message, source, attempt: 1 });
        }
        let id = self.flows.insert(Flow::new(arrival));
        self.ready.push_back(id);
        true
    }

    /// What is left when no flow can go on.
    fn next_duty(&mut self, step: &mut Step) -> Option<Ask> {
        if let Some((partition, offset)) = self.goes_back_to.take() {
            return Some(Ask::Seek(partition, Some(offset)));
        }
        if let Some(ask) = self.kept_duty(step) {
            return Some(ask);
        }
        if let Some(ask) = self.revocation_duty(step) {
            return Some(ask);
        }
        if let Some(ask) = self.closing_duty(step) {
            return Some(ask);
        }
        if self.background_commit_due().is_some_and(|due| due <= step.time()) {
            let offsets = self.commits.take(step.time());
            if !offsets.is_empty() {
                let token = self.commit_token(CommitPurpose::Background);
                return Some(Ask::Commit { token, offsets, wait: true });
            }
        }
        let wants_records = self.wants_records();
        if (self.polling || wants_records)
            && let Some(ask) = self.repeat_commit()
        {
            return Some(ask);
        }
        if wants_records {
            self.polling = true;
            return Some(Ask::Poll);
        }
        self.relay_duty(step);
        None
    }

    /// One thread polls when its batch is through; a pool polls on while it keeps up.
    fn wants_records(&self) -> bool {
        let Trigger::Consume(consume) = &self.service().trigger else { return false };
        if self.polling || self.phase != Phase::Running || !self.held.is_empty() || self.revoking.is_some() {
            return false;
        }
        if self.is_pool() {
            self.intake.waiting() < consume.consumer.max_poll_records as usize
        } else {
            self.intake.waiting() == 0 && self.flows.running() == 0
        }
    }

    /// With `commit every 1s`, what was done last is committed when its time has come, though no record follows.
    fn background_commit_due(&self) -> Option<Time> {
        let idle = self.polling && self.phase == Phase::Running && self.revoking.is_none();
        if !idle || !self.commits.unsaved() || !self.commits_by_step() {
            return None;
        }
        let interval = self.service().steps.iter().find_map(|step| match step.action {
            Action::Commit { every: CommitEvery::Interval(interval), .. } => Some(interval),
            Action::Commit { .. }
            | Action::Work { .. }
            | Action::Store { .. }
            | Action::Publish { .. }
            | Action::Call(_)
            | Action::StoreOffset
            | Action::Respond
            | Action::BeginTransaction
            | Action::SendOffsets { .. }
            | Action::EndTransaction => None,
        })?;
        // Even a commit that fails at once lets time pass.
        Some(self.commits.last() + interval.max(Duration::from_millis(1)))
    }

    /// Where clients begin to look for the cluster.
    pub fn brokers(&self) -> Vec<NodeId> {
        (1..=self.plan.cluster.brokers).map(NodeId).collect()
    }

    // --- shared by the other files ---

    /// The flow's wait is over.
    pub(super) fn resolve(&mut self, id: FlowId, outcome: StepOutcome) {
        let dead_letter = matches!(self.flows.get(id).state, FlowState::DeadLettering { .. });
        let state = match (dead_letter, outcome) {
            (false, outcome) => FlowState::Finish(outcome),
            (true, StepOutcome::Done | StepOutcome::Skipped) => FlowState::JumpToEnd,
            // Nobody may say that the event is done before its dead letter is out.
            (true, StepOutcome::Failed | StepOutcome::Unknown) => FlowState::DeadLetterFailed,
        };
        self.make_ready(id, state);
    }

    pub(super) fn make_ready(&mut self, id: FlowId, state: FlowState) {
        self.flows.get(id).state = state;
        self.ready.push_back(id);
    }

    pub(super) fn set_timer(&mut self, id: FlowId, time: Time) -> TimerKey {
        let timer = (time, self.next_number());
        self.timers.insert(timer, id);
        timer
    }

    pub(super) fn cancel_timer(&mut self, timer: TimerKey) {
        self.timers.remove(&timer);
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn commit_token(&mut self, purpose: CommitPurpose) -> CommitToken {
        let token = CommitToken(self.next_number());
        self.commits_out.insert(token, purpose);
        self.async_commits.newest = token;
        token
    }

    /// Unique in a run: node, incarnation and a running number.
    pub(super) fn next_send(&mut self) -> SendId {
        self.sent += 1;
        assert!(self.sent < 1 << 40, "a process that never ends");
        SendId(u64::from(self.node.0) << 48 | u64::from(self.incarnation.0 & 0xFF) << 40 | self.sent)
    }

    /// The slot is free again.
    pub(super) fn remove_flow(&mut self, id: FlowId) -> Flow {
        let flow = self.flows.remove(id);
        self.intake.release(flow.message.key);
        if let Some(source) = flow.source
            && self.uncommitted_batch == Some(source.batch)
            && self.held.is_empty()
        {
            self.uncommitted_batch = None;
        }
        flow
    }

    pub(super) fn service(&self) -> &ServicePlan {
        &self.plan.services[self.service]
    }

    pub(super) fn service_index(&self) -> usize {
        self.service
    }

    pub(super) fn id(&self) -> ServiceId {
        self.service().id
    }

    pub(super) fn is_pool(&self) -> bool {
        self.service().workers > 1
    }

    pub(super) fn consume(&self) -> Option<&ConsumePlan> {
        match &self.service().trigger {
            Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
            Trigger::Consume(consume) => Some(consume),
        }
    }

    /// The list commits to the group, not the consumer by itself and not a store.
    pub(super) fn commits_by_step(&self) -> bool {
        self.kept.is_none() && self.consume().is_some_and(|consume| !consume.consumer.enable_auto_commit)
    }

    /// How the client commits by itself, where it does.
    pub(super) fn auto_commit(&self) -> Option<AutoCommit> {
        let consumer = &self.consume()?.consumer;
        consumer.enable_auto_commit.then_some(consumer.auto_commit)
    }

    /// What is done is counted here, for commits or for what the clock commits.
    pub(super) fn counts_done(&self) -> bool {
        self.commits_by_step() || self.auto_commit().is_some_and(AutoCommit::is_told)
    }

    fn commits_batch_first(&self) -> bool {
        let first = self.service().steps.first().map(|step| &step.action);
        matches!(first, Some(Action::Commit { every: CommitEvery::Batch, .. }))
    }
}

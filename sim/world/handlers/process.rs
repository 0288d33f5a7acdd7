//! One instance of a service whose program is a handler in Rust: its clients, and the desk at which the handler asks.
//!
//! As the interpreter's process it is only wiring, and it says the same notes: a flow begins when the handler takes a
//! record out of its batch or a call comes in, and is through when the handler lets go of it; a step is reached when the
//! handler calls for it. Places decide what was done, so the handler may do its steps in any order it likes.
//!
//! What it deliberately does not do: help. Nothing is committed, retried or deduplicated that the handler did not ask for;
//! `on-failure`, `on-revoke`, `workers` and `work` of the scenario are the interpreter's, and mean nothing here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Handler;
use super::context::Context;
use super::desk::{Answer, Ask, By, CallId, Desk, Route, Subject};
use super::error::{Error, Result};
use super::seat::Seat;
use crate::kafka::consumer::{CommitId, Consumer, ConsumerEvent, ConsumerRecord};
use crate::kafka::producer::{Producer, SendOutcome};
use crate::scenario::plan::*;
use crate::types::note::{Note, StepOutcome};
use crate::types::random::combine;
use crate::types::request::*;
use crate::types::*;

/// The consumer has this channel, and the next one for its coordinator.
const CONSUMER_CHANNEL: Channel = Channel(0);
/// The first producer; the others follow.
const FIRST_PRODUCER_CHANNEL: Channel = Channel(2);
const STORE_CHANNEL: Channel = Channel(200);
/// A clean end is forced after this long. Kafka: the default of KafkaConsumer.close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

pub struct HandlerProcess {
    plan: Arc<Plan>,
    service: usize,
    node: NodeId,
    incarnation: Incarnation,
    handler: Handler,
    consumer: Option<Consumer>,
    producers: Vec<Producer>,
    pub desk: Arc<Desk>,
    /// Taken when the process starts.
    pub seat: Option<Seat>,
    phase: Phase,
    /// What the handler came to, until the next step.
    finished: Option<Result>,
    timers: BTreeMap<TimerKey, Timer>,
    /// Running number of timers and correlations.
    number: u64,
    /// Records handed to producers.
    sent: u64,
    /// Calls from the outside that no handler has taken.
    inbox: VecDeque<(Message, ReplyTo)>,
    listening: VecDeque<CallId>,
    polling: Option<(CallId, TimerKey)>,
    /// Behind what polls have returned; true when it was not asked to be committed since.
    positions: BTreeMap<TopicPartition, (Offset, bool)>,
    /// The event that commits are told to be about: the first of a batch, then the one last taken.
    latest: Option<EventId>,
    commits: BTreeMap<CommitId, Commit>,
    stores: BTreeMap<Correlation, StoreCall>,
    sends: BTreeMap<SendId, Publication>,
    /// How often the steps of an event have called a store, until the handler lets go of it.
    tries: BTreeMap<(EventId, u16), u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The handler is through; clients leave the group and flush.
    Closing {
        until: Time,
    },
    Exited,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    Sleep(CallId),
    Poll,
    Store(Correlation),
}

/// When a timer is due, and a number that keeps the order of equal times.
type TimerKey = (Time, u64);

struct Commit {
    call: Option<CallId>,
    about: Option<(u16, EventId)>,
    offsets: Vec<(TopicPartition, Offset)>,
}

struct StoreCall {
    call: CallId,
    peer: NodeId,
    about: (u16, EventId),
    timer: TimerKey,
}

struct Publication {
    call: CallId,
    about: Option<(u16, EventId)>,
}

impl HandlerProcess {
    pub fn new(plan: Arc<Plan>, node: NodeId, handler: Handler, guards: Guards) -> HandlerProcess {
        let service = crate::service::service_of(&plan, node);
        let own = &plan.services[service];
        let bootstrap: Vec<NodeId> = (1..=plan.cluster.brokers).map(NodeId).collect();
        let consumer = match &own.trigger {
            Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
            Trigger::Consume(consume) => Some(Consumer::new(
                consume.settings_of(node),
                consume.group,
                consume.topics.clone(),
                CONSUMER_CHANNEL,
                bootstrap.clone(),
                guards,
            )),
        };
        let producers = own.producers.iter().zip(0u16..).map(|(settings, number)| {
            let channel = Channel(FIRST_PRODUCER_CHANNEL.0 + number as u8);
            let topics = crate::service::topics_of(own, number);
            Producer::new(settings.clone(), channel, bootstrap.clone(), topics, guards)
        });
        HandlerProcess {
            consumer,
            producers: producers.collect(),
            service,
            node,
            incarnation: Incarnation(0),
            handler,
            desk: Arc::default(),
            seat: None,
            phase: Phase::Running,
            finished: None,
            timers: BTreeMap::new(),
            number: 0,
            sent: 0,
            inbox: VecDeque::new(),
            listening: VecDeque::new(),
            polling: None,
            positions: BTreeMap::new(),
            latest: None,
            commits: BTreeMap::new(),
            stores: BTreeMap::new(),
            sends: BTreeMap::new(),
            tries: BTreeMap::new(),
            plan,
        }
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        self.desk.set_now(step.time());
        match input {
            Input::Started { incarnation, .. } => self.start(incarnation),
            Input::Request { from, request: Request::Call(message) } => self.take_call(message, from, step),
            Input::Request { from, request: Request::CallService(call) } => self.take_call(call.message, from, step),
            Input::Request { .. } | Input::StorageFailed => {}
            Input::Response { channel, from, correlation, response } => {
                self.handle_response(channel, from, correlation, response, step);
            }
            Input::Disconnected { channel, peer } => self.handle_disconnected(channel, peer, step),
            Input::Command(Command::ShutDown) => self.stop(step),
            Input::Command(_) => {}
            Input::Timeout => self.handle_timeout(step),
        }
        self.settle(step);
    }

    /// Goes by another plan from now on.
    pub fn reconfigure(&mut self, plan: Arc<Plan>) {
        self.plan = plan;
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let consumer = self.consumer.as_ref().and_then(Consumer::next_deadline);
        let producers = self.producers.iter().filter_map(Producer::next_deadline);
        let timer = self.timers.first_key_value().map(|((time, _), _)| (*time, "handler"));
        let end = match self.phase {
            Phase::Closing { until } => Some((until, "shutdown")),
            Phase::Running | Phase::Exited => None,
        };
        timer.into_iter().chain(end).chain(consumer).chain(producers).min()
    }

    /// As the plan calls the process.
    pub fn name(&self) -> &str {
        self.plan.nodes.iter().find(|node| node.id == self.node).map_or("", |node| &node.name)
    }

    /// The handler has returned; the next step draws the consequence.
    pub fn finish(&mut self, result: Result) {
        self.seat = None;
        self.finished = Some(result);
    }

    fn start(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        let context = Context::new(Arc::clone(&self.plan), self.service, Arc::clone(&self.desk), self.node);
        let handler = Arc::clone(&self.handler);
        self.seat = Some(Seat::new(self.name(), Box::pin(async move { handler(context).await })));
    }

    /// No more records and requests: whoever asks for one is told to stop.
    fn stop(&mut self, step: &mut Step) {
        if self.phase != Phase::Running || self.desk.is_stopping() {
            return;
        }
        self.desk.stop();
        while let Some((message, from)) = self.inbox.pop_front() {
            step.reply(from, Response::Call(CallResponse::Refused(message.event)));
            step.note(Note::Abandoned { service: self.id(), count: 1 });
        }
        for call in std::mem::take(&mut self.listening) {
            self.desk.answer(call, Answer::Failed(Error::Stopping));
        }
        if let Some(call) = self.end_poll(step) {
            self.desk.answer(call, Answer::Failed(Error::Stopping));
        }
    }

    fn take_call(&mut self, message: Message, from: ReplyTo, step: &mut Step) {
        if self.phase != Phase::Running || self.desk.is_stopping() {
            step.reply(from, Response::Call(CallResponse::Refused(message.event)));
            return;
        }
        step.note(Note::FlowStarted { service: self.id(), message, source: None, attempt: 1 });
        self.inbox.push_back((message, from));
        self.hand_over_calls();
    }

    fn hand_over_calls(&mut self) {
        while !self.inbox.is_empty()
            && let Some(call) = self.listening.pop_front()
        {
            let (message, to) = self.inbox.pop_front().expect("seen just now");
            if self.desk.answer(call, Answer::Request { message, to }).is_some() {
                self.inbox.push_front((message, to));
            }
        }
    }

    fn handle_response(
        &mut self,
        channel: Channel,
        from: NodeId,
        correlation: Correlation,
        response: Response,
        step: &mut Step,
    ) {
        if channel == STORE_CHANNEL {
            if let Response::Store(response) = response {
                self.end_store_call(correlation, Some(response), step);
            }
        } else if channel < FIRST_PRODUCER_CHANNEL {
            if let Some(consumer) = &mut self.consumer {
                consumer.handle_response(channel, from, correlation, response, step);
            }
        } else if let Some(producer) = self.producer(channel) {
            producer.handle_response(from, correlation, response, step);
        }
    }

    fn handle_disconnected(&mut self, channel: Channel, peer: NodeId, step: &mut Step) {
        if channel == STORE_CHANNEL {
            let lost = self.stores.iter().filter(|(_, call)| call.peer == peer).map(|(correlation, _)| *correlation);
            for correlation in lost.collect::<Vec<_>>() {
                self.end_store_call(correlation, None, step);
            }
        } else if channel < FIRST_PRODUCER_CHANNEL {
            if let Some(consumer) = &mut self.consumer {
                consumer.handle_disconnected(channel, peer, step);
            }
        } else if let Some(producer) = self.producer(channel) {
            producer.handle_disconnected(peer, step);
        }
    }

    fn handle_timeout(&mut self, step: &mut Step) {
        let now = step.time();
        let due = |deadline: Option<(Time, TimerName)>| deadline.is_some_and(|(time, _)| time <= now);
        if let Some(consumer) = self.consumer.as_mut().filter(|consumer| due(consumer.next_deadline())) {
            consumer.handle_timeout(step);
        }
        for producer in self.producers.iter_mut().filter(|producer| due(producer.next_deadline())) {
            producer.handle_timeout(step);
        }
        // Records that have come just now go out before the poll that waits for them gives up.
        while self.hear_consumer(step) {}
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Timer::Sleep(call) => drop(self.desk.answer(call, Answer::Done)),
                Timer::Poll => {
                    if let Some(call) = self.end_poll(step) {
                        self.desk.answer(call, Answer::Records(Vec::new()));
                    }
                }
                Timer::Store(correlation) => self.end_store_call(correlation, None, step),
            }
        }
    }

    /// Until nobody has anything left to do at this instant.
    fn settle(&mut self, step: &mut Step) {
        if let Some(Err(error)) = &self.finished
            && *error != Error::Stopping
        {
            self.desk.forget_throughs();
        }
        loop {
            if let Some(ask) = self.desk.next_ask() {
                self.perform(ask, step);
            } else if !self.hear_producers(step) && !self.hear_consumer(step) {
                break;
            }
        }
        match self.finished.take() {
            Some(Ok(()) | Err(Error::Stopping)) => self.close(step),
            Some(Err(_)) => self.exit(false, step),
            None => {}
        }
        if let Phase::Closing { until } = self.phase {
            let left = self.consumer.as_ref().is_none_or(Consumer::is_closed);
            if until <= step.time() || (left && self.producers.iter().all(Producer::is_idle)) {
                self.exit(true, step);
            }
        }
    }

    fn close(&mut self, step: &mut Step) {
        self.phase = Phase::Closing { until: step.time() + CLOSE_TIMEOUT };
        self.end_poll(step);
        if let Some(consumer) = &mut self.consumer {
            consumer.close(step);
        }
        for producer in &mut self.producers {
            producer.close(step);
        }
    }

    fn exit(&mut self, clean: bool, step: &mut Step) {
        self.phase = Phase::Exited;
        step.effect(Effect::Exit { clean });
    }

    fn perform(&mut self, ask: Ask, step: &mut Step) {
        let service = self.id();
        match ask {
            Ask::Begin(Subject { message, source }) => {
                self.latest = Some(message.event);
                step.note(Note::FlowStarted { service, message, source, attempt: 1 });
            }
            Ask::Through(Subject { message, .. }) => {
                self.forget_tries(message.event);
                step.note(Note::FlowDone { service, event: message.event, skipped: false });
            }
            Ask::Abandon(count) => step.note(Note::Abandoned { service, count }),
            Ask::Poll { call, timeout } => self.poll(call, timeout, step),
            Ask::NextRequest(call) if self.desk.is_stopping() => {
                self.desk.answer(call, Answer::Failed(Error::Stopping));
            }
            Ask::NextRequest(call) => {
                self.listening.push_back(call);
                self.hand_over_calls();
            }
            Ask::Respond { subject, to, accepted: true } => self.accept(subject.message.event, to, step),
            Ask::Respond { subject, to, accepted: false } => self.refuse(subject.message.event, to, step),
            Ask::Commit { call, only } => self.commit(call, only, step),
            Ask::Store { call, store, step: number, subject, operations } => {
                self.call_store(call, store, number, subject, operations, step);
            }
            Ask::Publish { call, route, subject } => self.publish(call, route, subject, step),
            Ask::Sleep { call, length } => drop(self.set_timer(step.time() + length, Timer::Sleep(call))),
            Ask::Forget(call) => self.forget(call, step),
        }
    }

    fn forget(&mut self, call: CallId, step: &mut Step) {
        self.listening.retain(|other| *other != call);
        self.timers.retain(|_, timer| !matches!(timer, Timer::Sleep(other) if *other == call));
        if self.polling.is_some_and(|(other, _)| other == call) {
            self.end_poll(step);
        }
    }

    // --- requests ---

    fn accept(&mut self, event: EventId, to: ReplyTo, step: &mut Step) {
        let service = self.id();
        let number = self.step_that(|action| matches!(action, Action::Respond));
        if let Some(step_number) = number {
            step.note(Note::StepReached { service, step: step_number, event });
        }
        step.reply(to, Response::Call(CallResponse::Accepted(event)));
        if let Some(step_number) = number {
            step.note(Note::StepDone { service, step: step_number, event, outcome: StepOutcome::Done });
        }
    }

    fn refuse(&mut self, event: EventId, to: ReplyTo, step: &mut Step) {
        let service = self.id();
        let rung = self.own().ladder.iter().position(|rung| matches!(rung, Rung::Refuse));
        step.note(match rung {
            Some(rung) => Note::RungReached { service, rung: rung as u16, event },
            None => Note::Abandoned { service, count: 1 },
        });
        step.reply(to, Response::Call(CallResponse::Refused(event)));
        self.forget_tries(event);
    }

    // --- the consumer ---

    fn poll(&mut self, call: CallId, timeout: Duration, step: &mut Step) {
        if self.desk.is_stopping() {
            self.desk.answer(call, Answer::Failed(Error::Stopping));
        } else if self.polling.is_some() {
            // Kafka: ConcurrentModificationException.
            self.desk.answer(call, Answer::Failed(Error::own("one consumer is polled by two callers at once")));
        } else {
            let timer = self.set_timer(step.time() + timeout, Timer::Poll);
            self.polling = Some((call, timer));
            self.expect_consumer().poll(step);
        }
    }

    /// Who waited for records.
    fn end_poll(&mut self, step: &mut Step) -> Option<CallId> {
        let (call, timer) = self.polling.take()?;
        self.timers.remove(&timer);
        self.expect_consumer().leave_poll(step);
        Some(call)
    }

    fn commit(&mut self, call: Option<CallId>, only: Option<(TopicPartition, Offset)>, step: &mut Step) {
        let offsets: Vec<(TopicPartition, Offset)> = match only {
            Some((partition, offset)) => vec![(partition, offset.plus(1))],
            None => {
                let moved = self.positions.iter_mut().filter(|(_, (_, unsaved))| *unsaved);
                moved.map(|(partition, (offset, unsaved))| (*partition, mark_saved(*offset, unsaved))).collect()
            }
        };
        if offsets.is_empty() {
            call.map(|call| self.desk.answer(call, Answer::Done));
            return;
        }
        let number = self.step_that(|action| matches!(action, Action::Commit { .. }));
        let about = number.zip(self.latest);
        self.note_reached(about, step);
        let commit = self.expect_consumer().commit(offsets.clone(), call.is_some(), step);
        if call.is_none() {
            self.note_done(about, StepOutcome::Done, step);
        }
        self.commits.insert(commit, Commit { call, about, offsets });
    }

    fn end_commit(&mut self, commit: CommitId, result: std::result::Result<(), ErrorCode>, step: &mut Step) {
        let Some(Commit { call, about, offsets }) = self.commits.remove(&commit) else { return };
        if result.is_err() {
            for (partition, _) in offsets {
                if let Some((_, unsaved)) = self.positions.get_mut(&partition) {
                    *unsaved = true;
                }
            }
        }
        let Some(call) = call else { return };
        let (outcome, answer) = match result {
            Ok(()) => (StepOutcome::Done, Answer::Done),
            Err(error @ ErrorCode::RequestTimedOut) => {
                (StepOutcome::Unknown, Answer::Failed(Error::CommitFailed(error)))
            }
            Err(error) => (StepOutcome::Failed, Answer::Failed(Error::CommitFailed(error))),
        };
        self.note_done(about, outcome, step);
        self.desk.answer(call, answer);
    }

    fn hear_consumer(&mut self, step: &mut Step) -> bool {
        let Some(event) = self.consumer.as_mut().and_then(Consumer::next_event) else { return false };
        match event {
            ConsumerEvent::Records(records) => self.hand_over_records(records, step),
            ConsumerEvent::Revoking(partitions) => {
                self.positions.retain(|partition, _| !partitions.contains(partition));
                self.expect_consumer().finish_revocation(step);
            }
            ConsumerEvent::Assigned(added) => {
                let consumer = self.consumer.as_ref().expect("whoever is assigned has a consumer");
                self.positions.retain(|partition, _| consumer.owns(*partition) && !added.contains(partition));
            }
            // A commit of what is somebody else's by now is refused by the coordinator, and the handler learns of it.
            ConsumerEvent::Lost(_) => {}
            ConsumerEvent::CommitDone { commit, result } => self.end_commit(commit, result, step),
            ConsumerEvent::Failed(error) => {
                if let Some(call) = self.end_poll(step) {
                    self.desk.answer(call, Answer::Failed(Error::ConsumerFailed(error)));
                }
            }
        }
        true
    }

    fn hand_over_records(&mut self, records: Vec<ConsumerRecord>, step: &mut Step) {
        for record in &records {
            self.positions.insert(record.partition, (record.offset.plus(1), true));
        }
        self.latest = records.first().map(|record| record.record.message.event).or(self.latest);
        let unheard = match self.polling.take() {
            Some((call, timer)) => {
                self.timers.remove(&timer);
                self.desk.answer(call, Answer::Records(records))
            }
            None => Some(Answer::Records(records)),
        };
        if let Some(Answer::Records(records)) = unheard {
            step.note(Note::Abandoned { service: self.id(), count: records.len() as u32 });
        }
    }

    // --- stores and producers ---

    fn call_store(
        &mut self,
        call: CallId,
        store: u16,
        number: u16,
        subject: Subject,
        operations: Vec<StoreOperation>,
        step: &mut Step,
    ) {
        let (peer, patience) = {
            let store = &self.plan.stores[usize::from(store)];
            (store.node, store.timeout)
        };
        let (service, event) = (self.id(), subject.message.event);
        let tries = self.tries.entry((event, number)).or_default();
        *tries += 1;
        let place = combine(u64::from(service.0) << 16 | u64::from(number), *tries);
        let process = u64::from(self.node.0) << 32 | u64::from(self.incarnation.0);
        let (attempt, incarnation) = (combine(place, process), self.incarnation);
        let request =
            StoreRequest { message: subject.message, service, step: number, attempt, incarnation, operations };
        let correlation = Correlation(self.next_number());
        let timer = self.set_timer(step.time() + patience, Timer::Store(correlation));
        self.stores.insert(correlation, StoreCall { call, peer, about: (number, event), timer });
        self.note_reached(Some((number, event)), step);
        step.send(STORE_CHANNEL, peer, correlation, Request::Store(request));
    }

    /// `None`: no answer will come. An answer behind its timeout is not heard.
    fn end_store_call(&mut self, correlation: Correlation, response: Option<StoreResponse>, step: &mut Step) {
        let Some(StoreCall { call, about, timer, .. }) = self.stores.remove(&correlation) else { return };
        self.timers.remove(&timer);
        let outcome = match response {
            Some(StoreResponse::Done) => StepOutcome::Done,
            Some(StoreResponse::Skipped) => StepOutcome::Skipped,
            Some(StoreResponse::Superseded(_) | StoreResponse::Conflict | StoreResponse::Refused) => {
                StepOutcome::Failed
            }
            None => StepOutcome::Unknown,
        };
        self.note_done(Some(about), outcome, step);
        self.desk.answer(call, response.map_or(Answer::Failed(Error::Unknown), Answer::Store));
    }

    fn publish(&mut self, call: Option<CallId>, route: Route, subject: Subject, step: &mut Step) {
        let (service, message) = (self.id(), subject.message);
        let about = match route.by {
            By::Step(number) => Some((number, message.event)),
            By::Rung(rung) => {
                step.note(Note::RungReached { service, rung, event: message.event });
                None
            }
        };
        self.note_reached(about, step);
        let send = self.next_send();
        let key = match route.key {
            PublishKey::Key => Some(message.key),
            PublishKey::Id => Some(Key(message.event.0)),
            PublishKey::None => None,
        };
        let record = Record { send, message, timestamp: step.now.wall_clock };
        let taken = self.producers[usize::from(route.producer)].send(route.topic, key, record, step).is_ok();
        match (taken, call) {
            (true, Some(call)) => drop(self.sends.insert(send, Publication { call, about })),
            (true, None) => self.note_done(about, StepOutcome::Done, step),
            (false, call) => {
                self.note_done(about, StepOutcome::Failed, step);
                call.map(|call| self.desk.answer(call, Answer::Failed(Error::BufferFull)));
            }
        }
    }

    fn hear_producers(&mut self, step: &mut Step) -> bool {
        let mut outcomes = Vec::new();
        for producer in &mut self.producers {
            // A handler waits for outcomes; that its record has found a place is nothing to it.
            while producer.take_accepted().is_some() {}
            outcomes.extend(std::iter::from_fn(|| producer.take_outcome()));
        }
        let heard = !outcomes.is_empty();
        for (send, outcome) in outcomes {
            // Nobody waits for an asynchronous send.
            let Some(Publication { call, about }) = self.sends.remove(&send) else { continue };
            let (outcome, answer) = match outcome {
                SendOutcome::Acknowledged { .. } => (StepOutcome::Done, Answer::Done),
                SendOutcome::Failed { error, certain: true } => {
                    (StepOutcome::Failed, Answer::Failed(Error::NotQueued(error)))
                }
                SendOutcome::Failed { certain: false, .. } => (StepOutcome::Unknown, Answer::Failed(Error::Unknown)),
            };
            self.note_done(about, outcome, step);
            self.desk.answer(call, answer);
        }
        heard
    }

    // --- small helpers ---

    fn note_reached(&self, about: Option<(u16, EventId)>, step: &mut Step) {
        if let Some((number, event)) = about {
            step.note(Note::StepReached { service: self.id(), step: number, event });
        }
    }

    fn note_done(&self, about: Option<(u16, EventId)>, outcome: StepOutcome, step: &mut Step) {
        if let Some((number, event)) = about {
            step.note(Note::StepDone { service: self.id(), step: number, event, outcome });
        }
    }

    /// The first declared step of this kind.
    fn step_that(&self, is_meant: impl Fn(&Action) -> bool) -> Option<u16> {
        self.own().steps.iter().position(|step| is_meant(&step.action)).map(|number| number as u16)
    }

    fn forget_tries(&mut self, event: EventId) {
        while let Some((key, _)) = self.tries.range((event, 0)..=(event, u16::MAX)).next() {
            let key = *key;
            self.tries.remove(&key);
        }
    }

    fn set_timer(&mut self, time: Time, timer: Timer) -> TimerKey {
        let key = (time, self.next_number());
        self.timers.insert(key, timer);
        key
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Unique in a run: node, incarnation and a running number.
    fn next_send(&mut self) -> SendId {
        self.sent += 1;
        assert!(self.sent < 1 << 40, "a process that never ends");
        SendId(u64::from(self.node.0) << 48 | u64::from(self.incarnation.0 & 0xFF) << 40 | self.sent)
    }

    fn producer(&mut self, channel: Channel) -> Option<&mut Producer> {
        self.producers.get_mut(usize::from(channel.0 - FIRST_PRODUCER_CHANNEL.0))
    }

    fn expect_consumer(&mut self) -> &mut Consumer {
        self.consumer.as_mut().expect("only a consuming service polls and commits")
    }

    fn own(&self) -> &ServicePlan {
        &self.plan.services[self.service]
    }

    fn id(&self) -> ServiceId {
        self.own().id
    }
}

/// Whoever still holds a face of this process asks for nothing any more.
impl Drop for HandlerProcess {
    fn drop(&mut self) {
        self.desk.close();
    }
}

fn mark_saved(offset: Offset, unsaved: &mut bool) -> Offset {
    *unsaved = false;
    offset
}

//! One instance of a service as a process: the flow interpreter, its consumer and its producers.
//!
//! This is only the wiring: inputs go to whom they belong, asks of the interpreter to its clients, and what the clients
//! have to say back to the interpreter, until nobody has anything left to do at this instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commits::CommitToken;
use super::interpreter::{Ask, CALL_CHANNEL, Interpreter, Polled, STORE_CHANNEL};
use super::redrive::{REDRIVE_CHANNEL, Redriver};
use crate::kafka::consumer::{CommitId, Consumer, ConsumerEvent};
use crate::kafka::producer::{Producer, SendOutcome, Taken, TransactionEvent};
use crate::scenario::plan::{Action, NodeKind, Plan, Rung, ServicePlan, Trigger};
use crate::types::note::StepOutcome;
use crate::types::request::{ErrorCode, Request, Response};
use crate::types::*;

/// The consumer has this channel, and the next one for its coordinator.
const CONSUMER_CHANNEL: Channel = Channel(0);
/// The first producer; the others follow.
const FIRST_PRODUCER_CHANNEL: Channel = Channel(2);

#[derive(Clone, Debug)]
pub struct Service {
    interpreter: Interpreter,
    consumer: Option<Consumer>,
    producers: Vec<Producer>,
    /// Which of them has transactions.
    transactional: Option<usize>,
    /// Sends dead letters back, while it is asked to.
    redriver: Option<Redriver>,
    guards: Guards,
    /// Commits of the consumer under the names the interpreter gave them.
    commits: BTreeMap<CommitId, CommitToken>,
}

impl Service {
    pub fn new(plan: Arc<Plan>, instance: NodeId, guards: Guards) -> Service {
        let index = service_of(&plan, instance);
        let own = &plan.services[index];
        let bootstrap: Vec<NodeId> = (1..=plan.cluster.brokers).map(NodeId).collect();
        let consumer = match &own.trigger {
            Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
            Trigger::Consume(consume) => Some(Consumer::new(
                consume.settings_of(instance),
                consume.group,
                consume.topics.clone(),
                CONSUMER_CHANNEL,
                bootstrap.clone(),
                guards,
            )),
        };
        let mut consumer = consumer;
        if let Some(consumer) = &mut consumer {
            own.retry_topics().for_each(|(topic, delay)| consumer.delay(topic, delay));
            if own.keeps_positions().is_some() {
                consumer.be_told_positions();
            }
        }
        let producers = own.producers.iter().zip(0u16..).map(|(settings, number)| {
            let channel = Channel(FIRST_PRODUCER_CHANNEL.0 + number as u8);
            let (settings, bootstrap, topics) = (settings.clone(), bootstrap.clone(), topics_of(own, number));
            match own.transactional {
                // An instance keeps its identity over restarts: whoever comes back fences what it was.
                Some(transactional) if transactional == number => {
                    let id = (TransactionalId(instance.0), plan.cluster.settings.transaction_version);
                    Producer::transactional(settings, channel, bootstrap, topics, guards, id)
                }
                Some(_) | None => Producer::new(settings, channel, bootstrap, topics, guards),
            }
        });
        let producers: Vec<Producer> = producers.collect();
        assert!(
            producers.len() < usize::from(STORE_CHANNEL.0 - FIRST_PRODUCER_CHANNEL.0),
            "a channel for each producer"
        );
        Service {
            interpreter: Interpreter::new(Arc::clone(&plan), index, instance),
            transactional: own.transactional.map(usize::from),
            consumer,
            producers,
            redriver: None,
            guards,
            commits: BTreeMap::new(),
        }
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        match input {
            Input::Started { incarnation, .. } => self.interpreter.start(incarnation),
            Input::Request { from, request: Request::Call(message) } => {
                self.interpreter.handle_call(message, from, None, step);
            }
            Input::Request { from, request: Request::CallService(call) } => {
                self.interpreter.handle_call(call.message, from, Some((call.service, call.step)), step);
            }
            Input::Request { .. } | Input::StorageFailed => {}
            Input::Response { channel, from, correlation, response } => {
                self.handle_response(channel, from, correlation, response, step);
            }
            Input::Disconnected { channel, peer } => self.handle_disconnected(channel, peer, step),
            Input::Command(Command::ShutDown) => self.interpreter.shut_down(step),
            Input::Command(Command::Redeliver) => self.interpreter.redeliver(step),
            Input::Command(Command::Redrive(redrive)) => {
                let guards = self.guards;
                let bootstrap = self.interpreter.brokers();
                self.redriver.get_or_insert_with(|| Redriver::new(redrive, bootstrap, guards, step));
            }
            Input::Command(Command::Repair) => self.interpreter.repair(),
            Input::Command(_) => {}
            Input::Timeout => self.handle_timeout(step),
        }
        self.settle(step);
    }

    /// Goes by another plan from now on.
    pub fn reconfigure(&mut self, plan: Arc<Plan>) {
        self.interpreter.reconfigure(plan);
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let mut next = None;
        for producer in &self.producers {
            next = earlier(next, producer.next_deadline());
        }
        next = earlier(next, self.consumer.as_ref().and_then(Consumer::next_deadline));
        next = earlier(next, self.interpreter.next_deadline());
        earlier(next, self.redriver.as_ref().and_then(Redriver::next_deadline))
    }

    pub fn check_invariants(&self) {
        self.interpreter.check_invariants();
    }

    fn handle_response(
        &mut self,
        channel: Channel,
        from: NodeId,
        correlation: Correlation,
        response: Response,
        step: &mut Step,
    ) {
        if REDRIVE_CHANNEL <= channel {
            if let Some(redriver) = &mut self.redriver {
                redriver.handle_response(channel, from, (correlation, response), step);
            }
        } else if channel == STORE_CHANNEL {
            match response {
                Response::Store(response) => self.interpreter.handle_store_answer(correlation, response, step),
                Response::KeptPositions(found) => self.interpreter.handle_kept_positions(correlation, found),
                Response::Rows(rows) => self.interpreter.handle_rows(correlation, rows, step),
                _ => {}
            }
        } else if channel == CALL_CHANNEL {
            match response {
                Response::Endpoint(response) => {
                    self.interpreter.handle_endpoint_answer(correlation, response, step);
                }
                Response::Call(response) => self.interpreter.handle_service_answer(correlation, response, step),
                _ => {}
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
        if REDRIVE_CHANNEL <= channel {
            if let Some(redriver) = &mut self.redriver {
                redriver.handle_disconnected(channel, peer, step);
            }
        } else if channel == STORE_CHANNEL {
            self.interpreter.handle_store_disconnected(peer, step.time());
        } else if channel == CALL_CHANNEL {
            self.interpreter.handle_call_disconnected(peer, step);
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
        if let Some(redriver) = self.redriver.as_mut().filter(|redriver| due(redriver.next_deadline())) {
            redriver.handle_timeout(step);
        }
        self.interpreter.handle_timeout(step);
    }

    /// Until nobody has anything left to do at this instant.
    fn settle(&mut self, step: &mut Step) {
        loop {
            if let Some(ask) = self.interpreter.next_ask(step) {
                self.perform(ask, step);
            } else if !self.hear_producers()
                && !self.hear_transaction(step)
                && !self.hear_consumer(step)
                && !self.hear_closed(step)
            {
                break;
            }
        }
        if let Some(redriver) = &mut self.redriver {
            redriver.settle(|| self.interpreter.next_send(), step);
            if redriver.is_through() {
                self.redriver = None;
            }
        }
    }

    fn perform(&mut self, ask: Ask, step: &mut Step) {
        match ask {
            Ask::Publish { producer, topic, key, record } => {
                match self.producers[usize::from(producer)].send(topic, key, record, step) {
                    Ok(Taken::Buffered) => self.interpreter.published(record.send, true),
                    Ok(Taken::Waits) => {}
                    Err(_) => self.interpreter.published(record.send, false),
                }
            }
            Ask::Poll => self.expect_consumer().poll(step),
            Ask::Commit { token, offsets, wait } => {
                let commit = self.expect_consumer().commit(offsets, wait, step);
                self.commits.insert(commit, token);
            }
            Ask::SendOffsets { offsets, group_metadata } => {
                let consumer = self.expect_consumer();
                let (group, membership) = (consumer.group(), consumer.group_metadata());
                if group_metadata && membership.is_none() {
                    // The member is in no round of its group: there is nothing to sign with.
                    return self.interpreter.handle_offsets_sent(Err(ErrorCode::UnknownMemberId));
                }
                let membership = membership.filter(|_| group_metadata);
                self.expect_transactional().send_offsets(group, membership, offsets, step);
            }
            Ask::EndTransaction(outcome) => self.expect_transactional().end_transaction(outcome, step),
            Ask::StoreOffsets(offsets) => self.expect_consumer().store_offsets(&offsets),
            Ask::Seek(partition, Some(offset)) => self.expect_consumer().seek(partition, offset, step),
            Ask::Seek(partition, None) => self.expect_consumer().seek_by_policy(partition, step),
            Ask::FinishRevocation => self.expect_consumer().finish_revocation(step),
            Ask::Close => {
                if let Some(consumer) = &mut self.consumer {
                    consumer.close(step);
                }
                for producer in &mut self.producers {
                    producer.close(step);
                }
            }
            Ask::Exit { clean } => step.effect(Effect::Exit { clean }),
        }
    }

    fn hear_producers(&mut self) -> bool {
        let mut heard = false;
        for producer in &mut self.producers {
            while let Some(send) = producer.take_accepted() {
                heard = true;
                self.interpreter.published(send, true);
            }
            while let Some((send, outcome)) = producer.take_outcome() {
                heard = true;
                let outcome = match outcome {
                    SendOutcome::Acknowledged { .. } => StepOutcome::Done,
                    SendOutcome::Failed { certain: true, .. } => StepOutcome::Failed,
                    SendOutcome::Failed { certain: false, .. } => StepOutcome::Unknown,
                };
                self.interpreter.handle_sent(send, outcome);
            }
        }
        heard
    }

    fn hear_transaction(&mut self, step: &mut Step) -> bool {
        let Some(number) = self.transactional else { return false };
        let Some(event) = self.producers[number].take_transaction_event() else { return false };
        match event {
            TransactionEvent::OffsetsSent(result) => self.interpreter.handle_offsets_sent(result),
            TransactionEvent::Ended(result) => self.interpreter.handle_transaction_ended(result.ok(), step),
            TransactionEvent::Fenced => {
                let ask = self.interpreter.handle_fatal();
                self.perform(ask, step);
            }
        }
        true
    }

    fn hear_consumer(&mut self, step: &mut Step) -> bool {
        let Some(event) = self.consumer.as_mut().and_then(Consumer::next_event) else { return false };
        match event {
            ConsumerEvent::Records(records) => {
                let polled = records.iter().map(|polled| Polled {
                    partition: polled.partition,
                    offset: polled.offset,
                    message: polled.record.message,
                });
                self.interpreter.handle_records(polled, step);
            }
            ConsumerEvent::Revoking(partitions) => self.interpreter.handle_revoking(partitions, step),
            ConsumerEvent::Assigned(partitions) => self.interpreter.handle_assigned(&partitions),
            ConsumerEvent::Lost(partitions) => self.interpreter.handle_lost(&partitions, step),
            ConsumerEvent::CommitDone { commit, result } => {
                if let Some(token) = self.commits.remove(&commit) {
                    self.interpreter.handle_commit_done(token, result, step);
                }
            }
            ConsumerEvent::Failed(_) => {
                let ask = self.interpreter.handle_fatal();
                self.perform(ask, step);
            }
        }
        true
    }

    fn hear_closed(&mut self, step: &mut Step) -> bool {
        if !self.interpreter.is_closing() {
            return false;
        }
        let closed = self.consumer.as_ref().is_none_or(Consumer::is_closed);
        if !closed || !self.producers.iter().all(Producer::is_idle) {
            return false;
        }
        let Some(ask) = self.interpreter.closed() else { return false };
        self.perform(ask, step);
        true
    }

    fn producer(&mut self, channel: Channel) -> Option<&mut Producer> {
        self.producers.get_mut(usize::from(channel.0 - FIRST_PRODUCER_CHANNEL.0))
    }

    fn expect_transactional(&mut self) -> &mut Producer {
        let number = self.transactional.expect("only a service with transactions has some to end");
        &mut self.producers[number]
    }

    fn expect_consumer(&mut self) -> &mut Consumer {
        self.consumer.as_mut().expect("only a consuming service polls and commits")
    }
}

/// Index of the service that this process is an instance of, whether it takes part at the moment or not.
pub fn service_of(plan: &Plan, instance: NodeId) -> usize {
    let kind = plan.nodes.iter().find(|node| node.id == instance).map(|node| node.kind);
    let is_own =
        |service: &ServicePlan| matches!(kind, Some(NodeKind::Instance { service: id, .. }) if id == service.id);
    plan.services.iter().position(is_own).expect("an instance of a service of the plan")
}

/// The topics to which a producer of a service publishes.
pub fn topics_of(service: &ServicePlan, number: u16) -> Vec<TopicId> {
    let published = service.steps.iter().filter_map(|step| match step.action {
        Action::Publish { topic, producer, .. } if producer == number => Some(topic),
        Action::Publish { .. }
        | Action::Work { .. }
        | Action::Store { .. }
        | Action::Call(_)
        | Action::Commit { .. }
        | Action::StoreOffset
        | Action::Respond
        | Action::BeginTransaction
        | Action::SendOffsets { .. }
        | Action::EndTransaction => None,
    });
    let dead_letters = service.ladder.iter().filter_map(|rung| match *rung {
        Rung::DeadLetter { topic, producer, .. } | Rung::RetryTopic { topic, producer, .. } if producer == number => {
            Some(topic)
        }
        Rung::DeadLetter { .. }
        | Rung::RetryTopic { .. }
        | Rung::Retry { .. }
        | Rung::Block { .. }
        | Rung::Skip
        | Rung::Refuse
        | Rung::Crash
        | Rung::Close => None,
    });
    let mut topics: Vec<TopicId> = published.chain(dead_letters).collect();
    topics.sort();
    topics.dedup();
    topics
}

//! A redrive: dead letters go back to the topic whence they came, once each and in order.
//!
//! The one idea: it is a small program of its own inside an instance, as an operator would start it there: a consumer in a
//! group of its own, and a producer. It takes what was in the dead-letter topic when it began, publishes one letter after
//! the other, and commits a letter's offset when the letter is out; it ends when a while has passed without another one.
//! What it commits is what a later redrive begins behind. If its process dies between a publish and a commit, a letter
//! goes back twice: nothing here prevents that. A letter that the queue does not take ends it.

use std::collections::{BTreeSet, VecDeque};

use crate::kafka::consumer::{Consumer, ConsumerEvent, ConsumerRecord};
use crate::kafka::producer::{Producer, SendOutcome};
use crate::types::note::Note;
use crate::types::settings::{ConsumerSettings, OffsetReset, ProducerSettings};
use crate::types::*;

/// Its consumer has this channel, and the next one for its coordinator.
pub const REDRIVE_CHANNEL: Channel = Channel(210);
const PRODUCER_CHANNEL: Channel = Channel(212);

/// Without another letter for so long, there is none.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub struct Redriver {
    redrive: Redrive,
    consumer: Consumer,
    producer: Producer,
    /// Letters that were written later are not taken: they may be the ones that have come back.
    began: Time,
    waiting: VecDeque<ConsumerRecord>,
    /// The letter that is with the producer.
    out: Option<(SendId, ConsumerRecord)>,
    /// Partitions in which a letter came that is too new.
    through: BTreeSet<TopicPartition>,
    committing: bool,
    /// When it gives up waiting; not before it has partitions.
    until: Option<Time>,
    leaving: bool,
}

impl Redriver {
    pub fn new(redrive: Redrive, bootstrap: Vec<NodeId>, guards: Guards, step: &mut Step) -> Redriver {
        let settings = ConsumerSettings {
            enable_auto_commit: false,
            auto_offset_reset: OffsetReset::Earliest,
            max_poll_records: 1,
            ..ConsumerSettings::default()
        };
        let topics = vec![redrive.from];
        let consumer = Consumer::new(settings, redrive.group, topics, REDRIVE_CHANNEL, bootstrap.clone(), guards);
        let producer =
            Producer::new(ProducerSettings::default(), PRODUCER_CHANNEL, bootstrap, vec![redrive.to], guards);
        let mut redriver = Redriver {
            redrive,
            consumer,
            producer,
            began: step.now.wall_clock,
            waiting: VecDeque::new(),
            out: None,
            through: BTreeSet::new(),
            committing: false,
            until: None,
            leaving: false,
        };
        redriver.consumer.poll(step);
        redriver
    }

    pub fn handle_response(
        &mut self,
        channel: Channel,
        from: NodeId,
        about: (Correlation, request::Response),
        step: &mut Step,
    ) {
        let (correlation, response) = about;
        if channel == PRODUCER_CHANNEL {
            self.producer.handle_response(from, correlation, response, step);
        } else {
            self.consumer.handle_response(channel, from, correlation, response, step);
        }
    }

    pub fn handle_disconnected(&mut self, channel: Channel, peer: NodeId, step: &mut Step) {
        if channel == PRODUCER_CHANNEL {
            self.producer.handle_disconnected(peer, step);
        } else {
            self.consumer.handle_disconnected(channel, peer, step);
        }
    }

    pub fn handle_timeout(&mut self, step: &mut Step) {
        let now = step.time();
        let due = |deadline: Option<(Time, TimerName)>| deadline.is_some_and(|(time, _)| time <= now);
        if due(self.consumer.next_deadline()) {
            self.consumer.handle_timeout(step);
        }
        if due(self.producer.next_deadline()) {
            self.producer.handle_timeout(step);
        }
        if self.until.is_some_and(|until| until <= now) && !self.leaving {
            self.leaving = true;
            self.until = None;
            self.consumer.close(step);
            self.producer.close(step);
        }
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let until = self.until.map(|until| (until, "redrive"));
        self.consumer.next_deadline().into_iter().chain(self.producer.next_deadline()).chain(until).min()
    }

    /// It has left its group, and nothing is under way.
    pub fn is_through(&self) -> bool {
        self.leaving && self.consumer.is_closed() && self.producer.is_idle()
    }

    /// Goes on until nothing is left to do at this instant. `next_send` names records.
    pub fn settle(&mut self, mut next_send: impl FnMut() -> SendId, step: &mut Step) {
        loop {
            while self.producer.take_accepted().is_some() {}
            if let Some((send, outcome)) = self.producer.take_outcome() {
                self.sent(send, outcome, step);
            } else if let Some(event) = self.consumer.next_event() {
                self.hear(event, step);
            } else if let Some(letter) = self.next_letter() {
                self.send(letter, next_send(), step);
            } else {
                break;
            }
        }
    }

    fn next_letter(&mut self) -> Option<ConsumerRecord> {
        if self.out.is_some() || self.committing || self.leaving {
            return None;
        }
        self.waiting.pop_front()
    }

    fn send(&mut self, letter: ConsumerRecord, send: SendId, step: &mut Step) {
        let message = Message { attempt: 0, ..letter.record.message };
        let record = Record { send, message, timestamp: step.now.wall_clock };
        self.out = Some((send, letter));
        self.until = None;
        if self.producer.send(self.redrive.to, Some(message.key), record, step).is_err() {
            self.give_up(step);
        }
    }

    fn sent(&mut self, send: SendId, outcome: SendOutcome, step: &mut Step) {
        let Some((_, letter)) = self.out.filter(|(out, _)| *out == send) else { return };
        match outcome {
            SendOutcome::Acknowledged { .. } => {
                let Redrive { service, to, .. } = self.redrive;
                let (event, source) = (letter.record.message.event, (letter.partition, letter.offset));
                step.note(Note::Redriven { service, event, source, to });
                self.out = None;
                self.committing = true;
                self.consumer.commit(vec![(letter.partition, letter.offset.plus(1))], true, step);
            }
            SendOutcome::Failed { .. } => self.give_up(step),
        }
    }

    /// The queue does not take the letter, though its producer has tried for as long as it may. It stays where it is, and a
    /// later redrive begins with it.
    fn give_up(&mut self, step: &mut Step) {
        self.out = None;
        self.waiting.clear();
        self.until = Some(step.time());
    }

    fn hear(&mut self, event: ConsumerEvent, step: &mut Step) {
        match event {
            ConsumerEvent::Records(records) => {
                for letter in records {
                    if self.began <= letter.record.timestamp || self.through.contains(&letter.partition) {
                        self.through.insert(letter.partition);
                        step.note(Note::Abandoned { service: self.redrive.service, count: 1 });
                    } else {
                        self.waiting.push_back(letter);
                    }
                }
                if self.waiting.is_empty() {
                    self.poll(step);
                }
            }
            ConsumerEvent::CommitDone { .. } => {
                self.committing = false;
                if self.waiting.is_empty() {
                    self.poll(step);
                }
            }
            ConsumerEvent::Assigned(_) => self.until = Some(step.time() + PATIENCE),
            ConsumerEvent::Revoking(_) => self.consumer.finish_revocation(step),
            // Its group is its own: whatever ends the membership ends the redrive.
            ConsumerEvent::Lost(_) | ConsumerEvent::Failed(_) => self.until = Some(step.time()),
        }
    }

    fn poll(&mut self, step: &mut Step) {
        self.until.get_or_insert(step.time() + PATIENCE);
        self.consumer.poll(step);
    }
}

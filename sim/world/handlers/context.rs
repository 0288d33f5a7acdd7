//! What a handler holds: its consumer, its requests, its producers, its stores and its clock.
//!
//! Everything here is a thin face over the [`Desk`]: names become numbers, a call becomes an ask, an answer becomes a
//! result. Names are those of the scenario. What a handler writes must be declared by a step of its service: the checks
//! read from the declared steps who owes what, and an effect that nobody declared could not be judged.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use super::desk::{Answer, Ask, By, Desk, Route, Subject};
use super::error::{Error, Result};
use super::store::Store;
use crate::scenario::plan::*;
use crate::types::*;

/// The world as one process of a service sees it. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub(super) plan: Arc<Plan>,
    pub(super) service: usize,
    pub(super) desk: Arc<Desk>,
    node: NodeId,
}

/// The consumer of the service: of its group, on its topics, with its settings.
#[derive(Clone)]
pub struct Consumer(Context);

/// One business fact: what a record or a request carries.
#[derive(Debug)]
pub struct Event {
    pub(super) subject: Subject,
}

/// What poll() returned, in order. Records that are never taken out are abandoned.
pub struct Records {
    context: Context,
    records: std::vec::IntoIter<crate::kafka::consumer::ConsumerRecord>,
}

/// A consumed record. The handler is through with it when it lets go of it.
pub struct Record {
    context: Context,
    event: Event,
}

/// A call from the outside. A request that is dropped without an answer leaves its caller waiting.
pub struct Request {
    context: Context,
    event: Event,
    to: ReplyTo,
    /// Accepted, or not.
    answer: Option<bool>,
}

impl Context {
    pub(super) fn new(plan: Arc<Plan>, service: usize, desk: Arc<Desk>, node: NodeId) -> Context {
        Context { plan, service, desk, node }
    }

    /// The service's consumer.
    ///
    /// # Panics
    /// The service is not `on = "consume ..."`.
    #[track_caller]
    pub fn consumer(&self) -> Consumer {
        let service = self.service();
        match service.trigger {
            Trigger::Consume(_) => Consumer(self.clone()),
            Trigger::Requests(_) | Trigger::Called(_) => panic!(
                "service `{0}` has no consumer: others call it; take calls with `context.next_request()`, or \
                 write `on = \"consume TOPIC\"`",
                service.name
            ),
            Trigger::Poll(_) => panic!("service `{}` has no consumer: it is `on = \"poll ...\"`", service.name),
        }
    }

    /// Waits for the next call, from the outside or of another service. `Err(Stopping)` when the process is to stop.
    ///
    /// # Panics
    /// The service consumes a topic.
    #[track_caller]
    pub fn next_request(&self) -> impl Future<Output = Result<Request>> + Send + use<> {
        let service = self.service();
        match service.trigger {
            Trigger::Requests(_) | Trigger::Called(_) => {}
            Trigger::Poll(_) => panic!("nobody calls service `{}`: it polls a table", service.name),
            Trigger::Consume(_) => panic!(
                "nobody calls service `{0}`: it consumes a topic; take records with `context.consumer().poll(..)`, or \
                 write `on = \"requests\"`",
                service.name
            ),
        }
        let context = self.clone();
        async move {
            match context.desk.call(Ask::NextRequest).await {
                Answer::Request { message, to } => {
                    let event = Event { subject: Subject { message, source: None } };
                    Ok(Request { context, event, to, answer: None })
                }
                other => Err(failure(other)),
            }
        }
    }

    /// A store of the scenario.
    ///
    /// # Panics
    /// There is no such store.
    #[track_caller]
    pub fn store(&self, name: &str) -> Store {
        let Some(store) = self.plan.stores.iter().position(|store| store.name == name) else {
            let known = names(self.plan.stores.iter().map(|store| store.name.as_str()));
            panic!("there is no store `{name}` in the scenario; its stores are {known}");
        };
        Store { context: self.clone(), store: store as u16 }
    }

    /// Hands a record to the producer and waits for its acknowledgement. Settings are those of the declared step.
    ///
    /// # Panics
    /// No step of the service publishes to this topic.
    #[track_caller]
    pub fn publish(&self, topic: &str, event: &Event) -> impl Future<Output = Result> + Send + use<> {
        let (desk, route, subject) = (Arc::clone(&self.desk), self.route(topic), event.subject);
        async move {
            match desk.call(|call| Ask::Publish { call: Some(call), route, subject }).await {
                Answer::Done => Ok(()),
                other => Err(failure(other)),
            }
        }
    }

    /// Hands a record to the producer and does not wait: what becomes of it is not heard.
    ///
    /// # Panics
    /// No step of the service publishes to this topic.
    #[track_caller]
    pub fn publish_async(&self, topic: &str, event: &Event) {
        self.desk.tell(Ask::Publish { call: None, route: self.route(topic), subject: event.subject });
    }

    /// Waits for exactly this long by the simulated clock. A fault `slow` makes it longer.
    pub fn sleep(&self, length: StdDuration) -> impl Future<Output = ()> + Send + use<> {
        let (desk, length) = (Arc::clone(&self.desk), simulated(length));
        async move {
            desk.call(|call| Ask::Sleep { call, length }).await;
        }
    }

    /// Time since the start of the run, at the last event of this process. The load begins 20 s into it, when every group
    /// has its partitions.
    pub fn now(&self) -> StdDuration {
        StdDuration::from_nanos(self.desk.now().0)
    }

    /// The process was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.desk.is_stopping()
    }

    /// Which instance of the service this is, from 1.
    pub fn instance(&self) -> usize {
        let instances = &self.service().instances;
        1 + instances.iter().position(|node| *node == self.node).expect("an instance of its service")
    }

    pub(super) fn service(&self) -> &ServicePlan {
        &self.plan.services[self.service]
    }

    #[track_caller]
    fn route(&self, name: &str) -> Route {
        let service = self.service();
        let topic = self.plan.topics.iter().find(|topic| topic.name == name).map(|topic| topic.id);
        let steps = service.steps.iter().zip(0u16..).find_map(|(step, number)| {
            let Action::Publish { topic: other, producer, key, .. } = step.action else { return None };
            (Some(other) == topic).then_some(Route { topic: other, producer, key, by: By::Step(number) })
        });
        let rungs = service.ladder.iter().zip(0u16..).find_map(|(rung, number)| {
            let Rung::DeadLetter { topic: other, producer, .. } = *rung else { return None };
            let key = PublishKey::Key;
            (Some(other) == topic).then_some(Route { topic: other, producer, key, by: By::Rung(number) })
        });
        let Some(route) = steps.or(rungs) else {
            panic!(
                "service `{}` declares no step that publishes to `{name}`; add \"publish {name}\" to its `steps` in the \
                 scenario: the checks read there who owes what",
                service.name
            );
        };
        route
    }
}

impl Consumer {
    /// Waits for records, for at most `timeout`; no records are an empty batch. As in Kafka, the consumer takes part in its
    /// group only inside poll(): a handler that stays away longer than `max-poll-interval` loses its partitions. Partitions
    /// that are revoked go inside poll() too, with what has been committed by then. `Err(Stopping)` when the process is to
    /// stop.
    pub fn poll(&self, timeout: StdDuration) -> impl Future<Output = Result<Records>> + Send + use<> {
        let (context, timeout) = (self.0.clone(), simulated(timeout));
        async move {
            match context.desk.call(|call| Ask::Poll { call, timeout }).await {
                Answer::Records(records) => Ok(Records { context, records: records.into_iter() }),
                other => Err(failure(other)),
            }
        }
    }

    /// Commits everything that polls have returned, handled or not. Kafka: commitSync().
    pub fn commit_sync(&self) -> impl Future<Output = Result> + Send + use<> {
        self.commit(None)
    }

    /// Commits the offset behind this record. Kafka: commitSync(offsets).
    pub fn commit_record(&self, record: &Record) -> impl Future<Output = Result> + Send + use<> {
        self.commit(record.subject.source)
    }

    /// As [`Consumer::commit_sync`], without waiting: nobody hears of a failure, and nobody retries. Kafka: commitAsync().
    pub fn commit_async(&self) {
        self.0.desk.tell(Ask::Commit { call: None, only: None });
    }

    fn commit(&self, only: Option<(TopicPartition, Offset)>) -> impl Future<Output = Result> + Send + use<> {
        let desk = Arc::clone(&self.0.desk);
        async move {
            match desk.call(|call| Ask::Commit { call: Some(call), only }).await {
                Answer::Done => Ok(()),
                other => Err(failure(other)),
            }
        }
    }
}

impl Event {
    /// Unique over hops and retries: what a row or an idempotency key should be named after.
    pub fn id(&self) -> u64 {
        self.subject.message.id().0
    }

    /// The entity that the event is about: partition, order and overwriting hang on it.
    pub fn key(&self) -> u64 {
        self.subject.message.key.0
    }

    /// Rank among the events of its key, from 1.
    pub fn version(&self) -> u32 {
        self.subject.message.version
    }

    /// Bytes.
    pub fn size(&self) -> u32 {
        self.subject.message.size
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let record = self.records.next()?;
        let source = Some((record.partition, record.offset));
        let event = Event { subject: Subject { message: record.record.message, source } };
        self.context.desk.tell(Ask::Begin(event.subject));
        Some(Record { context: self.context.clone(), event })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Records {}

impl Drop for Records {
    fn drop(&mut self) {
        if 0 < self.records.len() {
            self.context.desk.tell(Ask::Abandon(self.records.len() as u32));
        }
    }
}

impl Record {
    /// Name of its topic.
    pub fn topic(&self) -> &str {
        let topic = self.at().0.topic;
        self.context.plan.topics.iter().find(|other| other.id == topic).map_or("", |topic| &topic.name)
    }

    pub fn partition(&self) -> u16 {
        self.at().0.partition
    }

    pub fn offset(&self) -> u64 {
        self.at().1.0
    }

    fn at(&self) -> (TopicPartition, Offset) {
        self.subject.source.expect("a record was consumed somewhere")
    }
}

impl Deref for Record {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.context.desk.tell(Ask::Through(self.event.subject));
    }
}

impl Request {
    /// "Accepted": from here on everything that the service declares is promised to the caller.
    pub fn accept(&mut self) {
        self.respond(true);
    }

    /// Definitely not accepted.
    pub fn refuse(&mut self) {
        self.respond(false);
    }

    /// The first answer is the answer.
    fn respond(&mut self, accepted: bool) {
        if self.answer.is_none() {
            self.answer = Some(accepted);
            self.context.desk.tell(Ask::Respond { subject: self.event.subject, to: self.to, accepted });
        }
    }
}

impl Deref for Request {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        match self.answer {
            Some(true) => self.context.desk.tell(Ask::Through(self.event.subject)),
            // A refusal ends the flow by itself.
            Some(false) => {}
            None => self.context.desk.tell(Ask::Abandon(1)),
        }
    }
}

/// The only answers that are left when the expected one did not come.
pub(super) fn failure(answer: Answer) -> Error {
    match answer {
        Answer::Failed(error) => error,
        Answer::Done | Answer::Records(_) | Answer::Request { .. } | Answer::Store(_) => {
            unreachable!("an answer to another question")
        }
    }
}

pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}

fn simulated(length: StdDuration) -> Duration {
    Duration(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4))
}

//! A cluster that does what its script says, around one producer.
//!
//! Metadata, greetings and producer ids are answered at once; produce requests wait until a command executes, answers,
//! loses or refuses them. Leaders check sequences as Kafka's ProducerAppendInfo does.
//!
//! ```text
//! new [setting=value]..       a new producer; topic t0 with `partitions` on n1 and n2, p0 led by n1, p1 by n2, ..
//! send [count] [key=K] [size=B]
//! tick D                      time passes; deadlines fire in order
//! answer N [count]            N executes its oldest requests and answers them
//! refuse N ERROR              N answers its oldest request with an error, without executing it
//! append-but ERROR N          N executes its oldest request and answers with an error all the same
//! execute N                   N executes its oldest request; the answer is lost, the connection stays
//! disconnect N                requests that N has not executed are lost
//! late N                      the last request lost by a disconnect of N is executed after all
//! lead P N                    the next leader epoch of partition P belongs to N
//! down N, up N                N disconnects, and connections to it cannot be opened
//! topic on|off                metadata knows the topic, or not
//! truncate P OFFSET           an unclean election: the log of P loses its end
//! close, log, wait            `wait` prints the next deadline
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command, Context, Runner};

use crate::kafka::producer::{Producer, SendOutcome, Taken};
use crate::types::note::Note;
use crate::types::record::ProducerStamp;
use crate::types::request::*;
use crate::types::settings::{Acks, ProducerSettings};
use crate::types::*;

const TOPIC: TopicId = TopicId(0);
const CHANNEL: Channel = Channel(3);

#[derive(Default)]
pub struct Cluster {
    producer: Option<Producer>,
    rng: Option<Rng>,
    now: Time,
    sends: u64,
    producer_ids: u64,
    topic_known: bool,
    leaders: Vec<(NodeId, LeaderEpoch)>,
    logs: BTreeMap<u16, Vec<RecordBatch>>,
    down: BTreeSet<NodeId>,
    /// Produce requests not executed yet.
    requests: BTreeMap<NodeId, VecDeque<(Correlation, ProduceRequest)>>,
    lost: BTreeMap<NodeId, ProduceRequest>,
    accepted: u64,
    outcomes: Vec<(SendId, SendOutcome)>,
    text: String,
}

impl Runner for Cluster {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        self.perform(&command.to_string())?;
        Ok(std::mem::take(&mut self.text))
    }
}

impl Cluster {
    /// One line of a script.
    pub fn perform(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        self.text.clear();
        let mut arguments = Arguments(line.split(' ').collect());
        let name = arguments.0.remove(0);
        match name {
            "new" => {
                self.create(|key| arguments.take_key(key))?;
                self.input(Producer::handle_timeout);
            }
            "send" => {
                let count = arguments.next_pos().map_or(Ok(1), str::parse)?;
                let key = arguments.take_key("key").map(str::parse).transpose()?.map(Key);
                let size = arguments.take_key("size").map_or(Ok(1000), str::parse)?;
                for _ in 0..count {
                    self.send(key, size);
                }
            }
            "tick" => self.tick(arguments.next_pos().ok_or("how long?")?.parse()?),
            "answer" => {
                let node = node(arguments.next_pos())?;
                for _ in 0..arguments.next_pos().map_or(Ok(1), str::parse)? {
                    let (correlation, request) = self.oldest(node)?;
                    let results = self.execute(node, &request);
                    self.respond(node, correlation, Response::Produce(results));
                }
            }
            "refuse" => {
                let node = node(arguments.next_pos())?;
                let (correlation, request) = self.oldest(node)?;
                let results = errors(&request, error(arguments.next_pos())?);
                self.respond(node, correlation, Response::Produce(results));
            }
            "append-but" => {
                let error = error(arguments.next_pos())?;
                let node = node(arguments.next_pos())?;
                let (correlation, request) = self.oldest(node)?;
                self.execute(node, &request);
                self.respond(node, correlation, Response::Produce(errors(&request, error)));
            }
            "execute" => {
                let node = node(arguments.next_pos())?;
                let (_, request) = self.oldest(node)?;
                self.execute(node, &request);
            }
            "disconnect" => self.disconnect(node(arguments.next_pos())?),
            "late" => {
                let node = node(arguments.next_pos())?;
                let request = self.lost.remove(&node).ok_or("nothing was lost")?;
                for result in self.execute(node, &request) {
                    writeln!(self.text, "{node} executes late: {:?}", result.error)?;
                }
            }
            "lead" => {
                let partition: usize = arguments.next_pos().ok_or("which partition?")?.parse()?;
                self.leaders[partition] = (node(arguments.next_pos())?, self.leaders[partition].1.next());
            }
            "down" => {
                let node = node(arguments.next_pos())?;
                self.down.insert(node);
                self.disconnect(node);
            }
            "up" => {
                self.down.remove(&node(arguments.next_pos())?);
            }
            "topic" => self.topic_known = arguments.next_pos() == Some("on"),
            "truncate" => {
                let partition = arguments.next_pos().ok_or("which partition?")?.parse()?;
                let to = Offset(arguments.next_pos().ok_or("to where?")?.parse()?);
                self.logs.entry(partition).or_default().retain(|batch| batch.end_offset() <= to);
            }
            "close" => self.input(Producer::close),
            "wait" => {
                let deadline = self.producer.as_ref().and_then(Producer::next_deadline);
                match deadline {
                    Some((at, name)) => writeln!(self.text, "{name} in {}", at.since(self.now))?,
                    None => writeln!(self.text, "no deadline")?,
                }
            }
            "log" => self.print_logs()?,
            name => return Err(format!("unknown command {name}").into()),
        }
        match arguments.0.is_empty() {
            true => Ok(()),
            false => Err(format!("unknown arguments {:?}", arguments.0).into()),
        }
    }

    pub fn sends_in_logs(&self) -> BTreeMap<u16, Vec<SendId>> {
        let sends = |log: &Vec<RecordBatch>| log.iter().flat_map(|batch| batch.messages()).map(|r| r.send).collect();
        self.logs.iter().map(|(partition, log)| (*partition, sends(log))).collect()
    }

    pub fn unsettled(&self) -> u64 {
        self.accepted - self.outcomes.len() as u64
    }

    pub fn failed(&self) -> impl Iterator<Item = (&SendId, bool)> {
        self.outcomes.iter().filter_map(|(send, outcome)| match outcome {
            SendOutcome::Failed { certain, .. } => Some((send, *certain)),
            SendOutcome::Acknowledged { .. } => None,
        })
    }

    pub fn acknowledged(&self) -> impl Iterator<Item = (&SendId, TopicPartition, Option<Offset>)> {
        self.outcomes.iter().filter_map(|(send, outcome)| match outcome {
            SendOutcome::Acknowledged { partition, offset } => Some((send, *partition, *offset)),
            SendOutcome::Failed { .. } => None,
        })
    }

    fn create<'a>(&mut self, mut setting: impl FnMut(&str) -> Option<&'a str>) -> Result<(), Box<dyn Error>> {
        let mut settings = ProducerSettings { linger: Duration::ZERO, ..ProducerSettings::default() };
        let mut guards = Guards::ALL;
        if let Some(acks) = setting("acks") {
            settings.acks = serde_json::from_value::<Acks>(acks.into())?;
        }
        if let Some(idempotence) = setting("enable-idempotence") {
            settings.enable_idempotence = idempotence.parse()?;
        }
        if let Some(retries) = setting("retries") {
            settings.retries = retries.parse()?;
        }
        if let Some(requests) = setting("max-in-flight") {
            settings.max_in_flight_requests_per_connection = requests.parse()?;
        }
        for (key, duration) in [
            ("delivery-timeout", &mut settings.delivery_timeout),
            ("request-timeout", &mut settings.request_timeout),
            ("linger", &mut settings.linger),
            ("max-block", &mut settings.max_block),
        ] {
            if let Some(text) = setting(key) {
                *duration = text.parse()?;
            }
        }
        for (key, size) in [("batch-size", &mut settings.batch_size), ("buffer-memory", &mut settings.buffer_memory)] {
            if let Some(text) = setting(key) {
                *size = text.parse()?;
            }
        }
        if let Some(id) = setting("mutant") {
            guards = guards.without(*Guard::ALL.iter().find(|guard| guard.id() == id).ok_or("no such guard")?);
        }
        let partitions: u16 = setting("partitions").map_or(Ok(1), str::parse)?;
        *self = Cluster {
            producer: Some(Producer::new(settings, CHANNEL, vec![NodeId(1), NodeId(2)], vec![TOPIC], guards)),
            rng: Some(Seed(1).stream("producer")),
            topic_known: setting("topic") != Some("off"),
            leaders: (0..partitions).map(|number| (NodeId(1 + number % 2), LeaderEpoch(0))).collect(),
            ..Cluster::default()
        };
        Ok(())
    }

    fn send(&mut self, key: Option<Key>, size: u32) {
        let send = SendId(self.sends);
        self.sends += 1;
        let event = EventId(send.0);
        let message = Message {
            event,
            origin: ServiceId(0),
            key: key.unwrap_or_default(),
            version: 1,
            size,
            poison: false,
            attempt: 0,
            caller_attempt: 0,
        };
        let record = Record { send, message, timestamp: self.now };
        let mut taken = Ok(Taken::Buffered);
        self.input(|producer, step| taken = producer.send(TOPIC, key, record, step));
        match taken {
            Ok(Taken::Buffered) => {}
            Ok(Taken::Waits) => self.print(&format!("{send} waits")),
            Err(error) => self.text += &format!("{send}: {error}\n"),
        }
        self.accepted += u64::from(taken.is_ok());
    }

    fn tick(&mut self, length: Duration) {
        let end = self.now + length;
        while let Some((at, _)) = self.producer.as_ref().and_then(Producer::next_deadline)
            && at <= end
        {
            assert!(self.now < at || self.now == Time::ZERO, "a deadline did not go away");
            self.now = at;
            self.input(Producer::handle_timeout);
        }
        self.now = end;
    }

    /// One step of the producer, and what it leads to at once.
    fn input(&mut self, act: impl FnOnce(&mut Producer, &mut Step)) {
        let (Some(producer), Some(rng)) = (&mut self.producer, &mut self.rng) else {
            panic!("`new` comes first");
        };
        let mut out = Outbox::default();
        let now = Now { monotonic: self.now, wall_clock: self.now };
        act(producer, &mut Step { now, rng, out: &mut out });
        let mut told = Vec::new();
        for output in out.0 {
            match output {
                Output::Note(note) => {
                    self.print_note(&note);
                    told.push(note);
                }
                Output::Effect(Effect::Send { channel, to, correlation, request }) => {
                    assert_eq!(channel, CHANNEL);
                    self.receive(to, correlation, request);
                }
                Output::Effect(Effect::Close { to, .. }) => {
                    self.print(&format!("close {to}"));
                    self.lose_requests(to);
                }
                Output::Effect(effect) => panic!("a producer does not {effect:?}"),
            }
        }
        self.compare_outcomes(&told);
        while let Some(send) = self.producer.as_mut().and_then(Producer::take_accepted) {
            self.print(&format!("{send} has a place"));
        }
    }

    fn receive(&mut self, to: NodeId, correlation: Correlation, request: Request) {
        if self.down.contains(&to) {
            self.print(&format!("{to} <- {:?}: no connection", request.kind()));
            return self.input(|producer, step| producer.handle_disconnected(to, step));
        }
        match request {
            Request::Metadata(metadata) => {
                let what = if metadata.topics.is_empty() { "greeting" } else { "metadata" };
                self.print(&format!("{to} <- {what}"));
                let response = self.metadata(&metadata);
                self.respond(to, correlation, response);
            }
            Request::InitProducerId { .. } => {
                let id = ProducerId(self.producer_ids);
                self.producer_ids += 1;
                let (error, epoch) = (ErrorCode::None, ProducerEpoch(0));
                self.respond(to, correlation, Response::InitProducerId { error, id, epoch });
            }
            Request::Produce(produce) => {
                let batches: Vec<String> = produce.batches.iter().map(describe).collect();
                self.print(&format!("{to} <- produce {}", batches.join(", ")));
                if produce.acks == Acks::None {
                    self.execute(to, &produce);
                } else {
                    self.requests.entry(to).or_default().push_back((correlation, produce));
                }
            }
            request => panic!("a producer does not ask for {:?}", request.kind()),
        }
    }

    fn metadata(&self, request: &MetadataRequest) -> Response {
        let partition = |(leader, leader_epoch): &(NodeId, LeaderEpoch)| PartitionMetadata {
            leader: Some(*leader),
            leader_epoch: *leader_epoch,
        };
        let (error, partitions) = match self.topic_known {
            true => (ErrorCode::None, self.leaders.iter().map(partition).collect()),
            false => (ErrorCode::UnknownTopicOrPartition, Vec::new()),
        };
        let topics = request.topics.iter().map(|topic| TopicMetadata {
            topic: *topic,
            error,
            partitions: Vec::clone(&partitions),
        });
        Response::Metadata(MetadataResponse {
            brokers: vec![NodeId(1), NodeId(2)],
            topics: topics.collect(),
            controller: None,
        })
    }

    fn respond(&mut self, from: NodeId, correlation: Correlation, response: Response) {
        self.input(|producer, step| producer.handle_response(from, correlation, response, step));
    }

    fn disconnect(&mut self, node: NodeId) {
        self.lose_requests(node);
        self.input(|producer, step| producer.handle_disconnected(node, step));
    }

    fn lose_requests(&mut self, node: NodeId) {
        if let Some((_, request)) = self.requests.remove(&node).and_then(|mut requests| requests.pop_back()) {
            self.lost.insert(node, request);
        }
    }

    fn oldest(&mut self, node: NodeId) -> Result<(Correlation, ProduceRequest), Box<dyn Error>> {
        let request = self.requests.get_mut(&node).and_then(VecDeque::pop_front);
        request.ok_or_else(|| format!("{node} has no request").into())
    }

    fn execute(&mut self, node: NodeId, request: &ProduceRequest) -> Vec<ProducePartitionResponse> {
        let results = request.batches.iter().map(|(partition, batch)| {
            let (error, base_offset) = match self.leaders[usize::from(partition.partition)].0 == node {
                true => append(self.logs.entry(partition.partition).or_default(), batch.clone()),
                false => (ErrorCode::NotLeaderOrFollower, Offset::ZERO),
            };
            ProducePartitionResponse { partition: *partition, error, base_offset }
        });
        results.collect()
    }

    fn print(&mut self, line: &str) {
        self.text += &format!("{:>9} {line}\n", self.now.since(Time::ZERO).to_string());
    }

    fn print_note(&mut self, note: &Note) {
        let line = match note {
            Note::Sent { .. } => return,
            Note::BatchSent { attempt: 1, .. } => return,
            Note::BatchSent { partition, first, count, attempt, to } => {
                format!("attempt {attempt} of {partition} {first} ({count}) at {to}")
            }
            Note::SendSucceeded { send, partition, offset: Some(offset) } => {
                format!("{send} is at {partition} {offset}")
            }
            Note::SendSucceeded { send, partition, offset: None } => {
                format!("{send} is at {partition}, offset unknown")
            }
            Note::SendFailed { send, error, certain } => {
                format!("{send} failed: {error:?}, {}", if *certain { "certain" } else { "uncertain" })
            }
            Note::ProducerStarted { id, epoch } => format!("producer id {id} epoch {epoch}"),
            note => panic!("a producer does not say {note:?}"),
        };
        self.print(&line);
    }

    /// What the application is told is what the notes said.
    fn compare_outcomes(&mut self, told: &[Note]) {
        for note in told {
            let expected = match note {
                Note::SendSucceeded { send, partition, offset } => {
                    (*send, SendOutcome::Acknowledged { partition: *partition, offset: *offset })
                }
                Note::SendFailed { send, error, certain } => {
                    (*send, SendOutcome::Failed { error: *error, certain: *certain })
                }
                _ => continue,
            };
            let outcome = self.producer.as_mut().and_then(Producer::take_outcome);
            assert_eq!(outcome, Some(expected));
            self.outcomes.extend(outcome);
        }
    }

    fn print_logs(&mut self) -> Result<(), Box<dyn Error>> {
        for (partition, log) in &self.logs {
            let records = log.iter().flat_map(|batch| batch.messages());
            let sends: Vec<String> = records.map(|record| record.send.to_string()).collect();
            writeln!(self.text, "p{partition}: {}", sends.join(" "))?;
        }
        if self.producer.as_ref().is_some_and(Producer::is_idle) {
            writeln!(self.text, "idle")?;
        }
        Ok(())
    }
}

/// Words of a command, and `key=value` pairs anywhere among them.
struct Arguments<'a>(Vec<&'a str>);

impl<'a> Arguments<'a> {
    fn next_pos(&mut self) -> Option<&'a str> {
        let position = self.0.iter().position(|word| !word.contains('='))?;
        Some(self.0.remove(position))
    }

    fn take_key(&mut self, key: &str) -> Option<&'a str> {
        let position =
            self.0.iter().position(|word| word.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))?;
        self.0.remove(position).split_once('=').map(|(_, value)| value)
    }
}

/// Kafka: ProducerAppendInfo.maybeValidateDataBatch, ProducerStateEntry.findDuplicateBatch.
fn append(log: &mut Vec<RecordBatch>, mut batch: RecordBatch) -> (ErrorCode, Offset) {
    if let Some(stamp) = batch.producer {
        let own = || log.iter().filter(|known| known.producer.is_some_and(|known| known.id == stamp.id));
        if let Some(known) = own().find(|known| known.producer == Some(stamp)) {
            return (ErrorCode::None, known.base_offset);
        }
        if let Some((last, Some(sequence))) = own().next_back().map(|last| (last.producer, last.last_sequence())) {
            let epoch = last.map(|last| last.epoch).unwrap_or_default();
            let follows = if epoch < stamp.epoch { Sequence(0) } else { sequence.plus(1) };
            if stamp.epoch < epoch {
                return (ErrorCode::InvalidProducerEpoch, Offset::ZERO);
            }
            if stamp.base_sequence != follows {
                return (ErrorCode::OutOfOrderSequenceNumber, Offset::ZERO);
            }
        }
    }
    batch.base_offset = log.last().map_or(Offset::ZERO, RecordBatch::end_offset);
    log.push(batch);
    (ErrorCode::None, log[log.len() - 1].base_offset)
}

fn errors(request: &ProduceRequest, error: ErrorCode) -> Vec<ProducePartitionResponse> {
    let refused = |(partition, _): &(TopicPartition, RecordBatch)| ProducePartitionResponse {
        partition: *partition,
        error,
        base_offset: Offset::ZERO,
    };
    request.batches.iter().map(refused).collect()
}

fn describe((partition, batch): &(TopicPartition, RecordBatch)) -> String {
    let sends: Vec<String> = batch.messages().iter().map(|record| record.send.to_string()).collect();
    let stamp = match batch.producer {
        Some(ProducerStamp { epoch, base_sequence, .. }) => format!(" (epoch {epoch} sequence {base_sequence})"),
        None => String::new(),
    };
    format!("{partition} {}{stamp}", sends.join(" "))
}

fn node(text: Option<&str>) -> Result<NodeId, Box<dyn Error>> {
    let number = text.and_then(|text| text.strip_prefix('n')).ok_or("which node?")?;
    Ok(NodeId(number.parse()?))
}

fn error(text: Option<&str>) -> Result<ErrorCode, Box<dyn Error>> {
    Ok(match text {
        Some("NOT_LEADER_OR_FOLLOWER") => ErrorCode::NotLeaderOrFollower,
        Some("NOT_ENOUGH_REPLICAS") => ErrorCode::NotEnoughReplicas,
        Some("NOT_ENOUGH_REPLICAS_AFTER_APPEND") => ErrorCode::NotEnoughReplicasAfterAppend,
        Some("REQUEST_TIMED_OUT") => ErrorCode::RequestTimedOut,
        Some("MESSAGE_TOO_LARGE") => ErrorCode::MessageTooLarge,
        Some("INVALID_REQUEST") => ErrorCode::InvalidRequest,
        Some("OUT_OF_ORDER_SEQUENCE_NUMBER") => ErrorCode::OutOfOrderSequenceNumber,
        Some("UNKNOWN_PRODUCER_ID") => ErrorCode::UnknownProducerId,
        Some("DUPLICATE_SEQUENCE_NUMBER") => ErrorCode::DuplicateSequenceNumber,
        other => return Err(format!("which error? {other:?}").into()),
    })
}

//! A tiny cluster for transcripts: consumers `c1 c2 …`, two brokers that can coordinate (`n1`, `n2`), one broker that
//! holds topic `t0` (`n3`), and a network without latency. Time moves only by `advance`.
//!
//! Commands: `topic partitions=2`, `guard-off G1`, `consumer c1 [auto] [reset=earliest] [max-poll=1] [interval=300s]
//! [manual] [protocol=consumer] [assignor=range]`, [instance=1], `protocol consumer` or
//! `cooperative` (of all that follow), `poll c1 [ever]`, `finish c1`, `commit c1 0=3 [async]`, `seek c1 0=3`, `close c1`, `append 0 5`,
//! `advance 10s`, `crash c1`, `freeze c1`, `thaw c1`, `hold fetch`, `lose commit`, `release`, `hold-appends`, `fail-appends`,
//! `release-appends`, `move n2`, `disconnect c1 n1`, `lead end=5` (t0/0 is cut and led anew), `retain 3`, `expire`, `rebalance`, `log`.

mod offsets_log;

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::Arc;

use crate::kafka::consumer::{Consumer, ConsumerEvent};
use crate::types::note::Note;
use crate::types::request::*;
use crate::types::settings::*;
use crate::types::*;

use super::{AppendToken, Coordinator, CoordinatorAppend, CoordinatorConfig};

const OFFSETS: TopicPartition = TopicPartition { topic: TopicId(9), partition: 0 };
const GROUP: GroupId = GroupId(0);
const DATA_NODE: NodeId = NodeId(3);

pub(in crate::kafka) struct Harness {
    now: Time,
    rng: Rng,
    guards: Guards,
    coordinators: BTreeMap<NodeId, Coordinator>,
    /// The broker that leads the offsets partition.
    leader: NodeId,
    leader_epoch: LeaderEpoch,
    offsets_log: Vec<RecordBatch>,
    /// Appends wait until released; with an error they then fail.
    holds_appends: Option<Result<(), ErrorCode>>,
    held_appends: VecDeque<(NodeId, CoordinatorAppend)>,
    logs: Vec<Vec<RecordBatch>>,
    log_start: Offset,
    /// Of consumers that do not say.
    protocol: GroupProtocol,
    is_cooperative: bool,
    data_epoch: LeaderEpoch,
    clients: BTreeMap<String, Client>,
    connections: BTreeMap<ConnectionId, Connection>,
    parked: Vec<(ReplyTo, FetchRequest, Time)>,
    held_kind: Option<RequestKind>,
    /// Answers of this kind are lost on their way.
    lost_kind: Option<RequestKind>,
    held: Vec<(ReplyTo, NodeId, Response)>,
    /// Questions by connection and correlation, so that an answer can be held by kind.
    kinds: BTreeMap<(ConnectionId, Correlation), RequestKind>,
    queue: VecDeque<Delivery>,
    members: Vec<MemberId>,
    lines: Vec<String>,
}

struct Client {
    node: NodeId,
    consumer: Consumer,
    finishes_by_itself: bool,
    polls_ever: bool,
    is_frozen: bool,
    inbox: VecDeque<Delivery>,
}

struct Connection {
    client: String,
    channel: Channel,
    to: NodeId,
    is_busy: bool,
    waiting: VecDeque<(Correlation, Request)>,
}

enum Delivery {
    Request(ReplyTo, NodeId, Request),
    Response { client: String, channel: Channel, from: NodeId, correlation: Correlation, response: Response },
    Disconnected { client: String, channel: Channel, peer: NodeId },
}

impl Harness {
    pub fn new() -> Harness {
        let mut harness = Harness {
            now: Time::LOAD_START,
            rng: Seed(1).stream("harness"),
            guards: Guards::ALL,
            coordinators: BTreeMap::new(),
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(0),
            offsets_log: Vec::new(),
            holds_appends: None,
            held_appends: VecDeque::new(),
            logs: vec![Vec::new(); 2],
            log_start: Offset::ZERO,
            protocol: GroupProtocol::Classic,
            is_cooperative: false,
            data_epoch: LeaderEpoch(0),
            clients: BTreeMap::new(),
            connections: BTreeMap::new(),
            parked: Vec::new(),
            held_kind: None,
            lost_kind: None,
            held: Vec::new(),
            kinds: BTreeMap::new(),
            queue: VecDeque::new(),
            members: Vec::new(),
            lines: Vec::new(),
        };
        harness.make_coordinators();
        harness
    }

    pub fn execute(&mut self, command: &goldenscript::Command) -> Result<String, Box<dyn Error>> {
        let mut arguments = command.consume_args();
        match command.name.as_str() {
            "topic" => {
                self.logs = vec![Vec::new(); arguments.take_key("partitions").ok_or("partitions")?.parse()?];
                self.tell_topics();
            }
            "guard-off" => {
                let id = arguments.next_pos().ok_or("guard")?;
                let guard = *Guard::ALL.iter().find(|guard| guard.id() == id).ok_or("no such guard")?;
                self.guards = self.guards.without(guard);
                self.make_coordinators();
            }
            "consumer" => {
                let name = arguments.next_pos().ok_or("name")?.to_string();
                let mut settings = ConsumerSettings { enable_auto_commit: false, ..ConsumerSettings::default() };
                settings.auto_offset_reset = match arguments.take_key("reset") {
                    None | Some("earliest") => OffsetReset::Earliest,
                    Some("latest") => OffsetReset::Latest,
                    Some(_) => OffsetReset::None,
                };
                settings.max_poll_records = arguments.take_key("max-poll").unwrap_or("500").parse()?;
                settings.group_protocol = match arguments.take_key("protocol") {
                    Some("consumer") => GroupProtocol::Consumer,
                    Some(_) => return Err("no such protocol".into()),
                    None => self.protocol,
                };
                settings.group_instance_id =
                    arguments.take_key("instance").map(str::parse).transpose()?.map(InstanceId);
                if self.is_cooperative {
                    settings.partition_assignment_strategy = Assignor::CooperativeSticky;
                }
                if arguments.take_key("assignor") == Some("range") {
                    settings.group_remote_assignor = RemoteAssignor::Range;
                }
                settings.max_poll_interval = arguments.take_key("interval").unwrap_or("300s").parse()?;
                let mut finishes_by_itself = true;
                while let Some(flag) = arguments.next_pos() {
                    match flag {
                        "auto" => settings.enable_auto_commit = true,
                        "manual" => finishes_by_itself = false,
                        _ => return Err(format!("no such flag: {flag}").into()),
                    }
                }
                self.start_consumer(name, settings, finishes_by_itself);
            }
            "protocol" => {
                self.protocol = match arguments.next_pos() {
                    Some("consumer") => GroupProtocol::Consumer,
                    _ => return Err("no such protocol".into()),
                };
            }
            "cooperative" => self.is_cooperative = true,
            "poll" => {
                let name = arguments.next_pos().ok_or("name")?;
                let client = self.clients.get_mut(name).ok_or("no such consumer")?;
                client.polls_ever = arguments.next_pos() == Some("ever");
                self.with_client(name, |consumer, step| consumer.poll(step));
            }
            "finish" => self.with_client(arguments.next_pos().ok_or("name")?, |consumer, step| {
                consumer.finish_revocation(step);
            }),
            "close" => self.with_client(arguments.next_pos().ok_or("name")?, |consumer, step| consumer.close(step)),
            "commit" => {
                let name = arguments.next_pos().ok_or("name")?;
                let mut offsets = Vec::new();
                while let Some((partition, offset)) = arguments.next_key() {
                    offsets.push((data_partition(partition.parse()?), Offset(offset.parse()?)));
                }
                let wait = arguments.next_pos() != Some("async");
                self.with_client(name, |consumer, step| {
                    consumer.commit(offsets, wait, step);
                });
            }
            "seek" => {
                let name = arguments.next_pos().ok_or("name")?;
                let (partition, offset) = arguments.next_key().ok_or("0=3")?;
                let (partition, offset) = (data_partition(partition.parse()?), Offset(offset.parse()?));
                self.with_client(name, |consumer, step| consumer.seek(partition, offset, step));
            }
            "append" => {
                let partition: usize = arguments.next_pos().ok_or("partition")?.parse()?;
                let count: u64 = arguments.next_pos().ok_or("count")?.parse()?;
                self.append(partition, count);
            }
            "advance" => {
                let length: Duration = arguments.next_pos().ok_or("length")?.parse()?;
                self.advance(length);
            }
            "crash" => self.crash(arguments.next_pos().ok_or("name")?),
            "freeze" => self.clients.get_mut(arguments.next_pos().ok_or("name")?).ok_or("name")?.is_frozen = true,
            "thaw" => self.thaw(arguments.next_pos().ok_or("name")?),
            "hold" => {
                self.held_kind = Some(match arguments.next_pos() {
                    Some("fetch") => RequestKind::Fetch,
                    Some("heartbeat") => RequestKind::ConsumerGroupHeartbeat,
                    Some("commit") => RequestKind::OffsetCommit,
                    Some("offset-fetch") => RequestKind::OffsetFetch,
                    _ => return Err("hold what?".into()),
                });
            }
            "lose" => {
                if arguments.next_pos() != Some("commit") {
                    return Err("lose what?".into());
                }
                self.lost_kind = Some(RequestKind::OffsetCommit);
            }
            "release" => {
                self.held_kind = None;
                self.lost_kind = None;
                for (to, node, response) in std::mem::take(&mut self.held) {
                    self.reply(to, node, response);
                }
            }
            "hold-appends" => self.holds_appends = Some(Ok(())),
            "fail-appends" => self.holds_appends = Some(Err(ErrorCode::NotEnoughReplicas)),
            "release-appends" => self.release_appends(),
            "move" => {
                let old = self.leader;
                self.with_coordinator(old, |coordinator, step| {
                    coordinator.resign(OFFSETS, step);
                    Vec::new()
                });
                self.elect(NodeId(arguments.next_pos().ok_or("node")?[1..].parse()?));
            }
            "disconnect" => {
                let name = arguments.next_pos().ok_or("name")?;
                let node = NodeId(arguments.next_pos().ok_or("node")?[1..].parse()?);
                self.disconnect(name, node);
            }
            "lead" => {
                self.data_epoch = self.data_epoch.next();
                let end = Offset(arguments.take_key("end").ok_or("end")?.parse()?);
                self.logs[0].retain(|batch| batch.end_offset() <= end);
            }
            "retain" => self.log_start = Offset(arguments.next_pos().ok_or("offset")?.parse()?),
            "expire" => self.command(Command::ExpireOffsets(GROUP)),
            "rebalance" => self.command(Command::Rebalance(GROUP)),
            "log" => self.describe_log(),
            _ => return Err("no such command".into()),
        }
        arguments.reject_next()?;
        self.run();
        let mut output = std::mem::take(&mut self.lines).join("\n");
        if !output.is_empty() {
            output.push('\n');
        }
        Ok(output)
    }

    fn make_coordinators(&mut self) {
        let coordinator = |node| (node, Coordinator::new(self.config(node)));
        self.coordinators = [NodeId(1), NodeId(2)].map(coordinator).into();
        self.tell_topics();
        self.elect(NodeId(1));
        self.advance(Duration::from_millis(1));
        self.lines.clear();
    }

    fn tell_topics(&mut self) {
        let topics = BTreeMap::from([(TopicId(0), self.logs.len() as u16)]);
        self.coordinators.values_mut().for_each(|coordinator| coordinator.follow_topics(topics.clone()));
    }

    fn start_consumer(&mut self, name: String, settings: ConsumerSettings, finishes_by_itself: bool) {
        let number: u16 = name[1..].parse().expect("consumers are named c1, c2, …");
        let consumer = Consumer::new(settings, GROUP, vec![TopicId(0)], Channel(0), vec![DATA_NODE], self.guards);
        let client = Client {
            node: NodeId(10 + number),
            consumer,
            finishes_by_itself,
            polls_ever: false,
            is_frozen: false,
            inbox: VecDeque::new(),
        };
        self.clients.insert(name, client);
    }

    fn append(&mut self, partition: usize, count: u64) {
        let log = &mut self.logs[partition];
        let base = log.last().map_or(Offset::ZERO, RecordBatch::end_offset);
        let record = |index| {
            let message = Message {
                event: EventId(base.0 + index),
                origin: ServiceId(0),
                key: Key(0),
                version: 1,
                size: 100,
                poison: false,
                attempt: 0,
                caller_attempt: 0,
            };
            Record { send: SendId(base.0 + index), message, timestamp: self.now }
        };
        log.push(RecordBatch {
            base_offset: base,
            leader_epoch: self.data_epoch,
            ..RecordBatch::new(None, Arc::new(Records::Messages((0..count).map(record).collect())))
        });
        for (from, request, _) in std::mem::take(&mut self.parked) {
            self.fetch(from, request, false);
        }
    }

    fn crash(&mut self, name: &str) {
        self.clients.remove(name);
        self.connections.retain(|_, connection| connection.client != name);
        self.lines.push(format!("{name}: gone"));
    }

    fn thaw(&mut self, name: &str) {
        let client = self.clients.get_mut(name).expect("a client");
        client.is_frozen = false;
        let inbox = std::mem::take(&mut client.inbox);
        // What came in meanwhile is read first, as a process woken from a long pause does.
        self.queue.extend(inbox);
    }

    fn disconnect(&mut self, name: &str, node: NodeId) {
        let broken: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.client == name && connection.to == node)
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            let Connection { client, channel, to, .. } = self.connections.remove(&id).expect("listed just now");
            self.queue.push_back(Delivery::Disconnected { client, channel, peer: to });
        }
    }

    fn command(&mut self, command: Command) {
        let leader = self.leader;
        self.with_coordinator(leader, |coordinator, step| coordinator.handle_command(command, step));
    }

    fn elect(&mut self, node: NodeId) {
        self.leader = node;
        self.leader_epoch = self.leader_epoch.next();
        let (epoch, log) = (self.leader_epoch, self.offsets_log.clone());
        assert_eq!(self.loaded(&self.compacted()), self.loaded(&log), "compaction changes what a coordinator finds");
        self.with_coordinator(node, |coordinator, step| {
            coordinator.become_leader(OFFSETS, epoch, &log, step);
            Vec::new()
        });
    }

    fn config(&self, node: NodeId) -> CoordinatorConfig {
        let settings = BrokerSettings::default();
        CoordinatorConfig { node, offsets_topic: OFFSETS.topic, partitions: 1, settings, guards: self.guards }
    }

    fn release_appends(&mut self) {
        let result = self.holds_appends.take().unwrap_or(Ok(()));
        let mut held = Vec::from(std::mem::take(&mut self.held_appends));
        if result.is_err() {
            // Refused, which a real log does at once: what was decided last is taken back first.
            held.reverse();
        }
        for (node, append) in held {
            self.finish_append(node, append, result);
        }
    }

    fn advance(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            self.run();
            let clients = self.clients.values().filter(|client| !client.is_frozen);
            let next = clients
                .filter_map(|client| client.consumer.next_deadline())
                .chain(self.coordinators.values().filter_map(Coordinator::next_deadline))
                .map(|(time, _)| time)
                .chain(self.parked.iter().map(|(_, _, until)| *until))
                .min()
                .unwrap_or(Time::NEVER);
            if end < next {
                break;
            }
            self.now = self.now.max(next);
            self.wake();
        }
        self.now = end;
    }

    fn wake(&mut self) {
        let now = self.now;
        for (from, request, until) in std::mem::take(&mut self.parked) {
            if until <= now { self.fetch(from, request, true) } else { self.parked.push((from, request, until)) }
        }
        for node in [NodeId(1), NodeId(2)] {
            self.with_coordinator(node, |coordinator, step| coordinator.handle_timeout(step));
        }
        let names: Vec<String> = self.clients.keys().cloned().collect();
        for name in names {
            let client = &self.clients[&name];
            let is_due = client.consumer.next_deadline().is_some_and(|(time, _)| time <= now);
            if is_due && !client.is_frozen {
                self.with_client(&name, |consumer, step| consumer.handle_timeout(step));
            }
        }
    }

    fn run(&mut self) {
        // A consumer starts by its first timeout.
        let now = self.now;
        let names: Vec<String> = self.clients.keys().cloned().collect();
        for name in names {
            let client = &self.clients[&name];
            if !client.is_frozen && client.consumer.next_deadline().is_some_and(|(time, _)| time <= now) {
                self.with_client(&name, |consumer, step| consumer.handle_timeout(step));
            }
        }
        let mut count = 0;
        while let Some(delivery) = self.queue.pop_front() {
            count += 1;
            assert!(count < 100_000, "the consumers never come to rest");
            self.deliver(delivery);
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Request(from, node, request) => self.handle_request(from, node, request),
            Delivery::Response { ref client, .. } | Delivery::Disconnected { ref client, .. }
                if self.clients.get(client).is_none_or(|client| client.is_frozen) =>
            {
                if let Some(client) = self.clients.get_mut(&client.clone()) {
                    client.inbox.push_back(delivery);
                }
            }
            Delivery::Response { client, channel, from, correlation, response } => {
                self.with_client(&client, |consumer, step| {
                    consumer.handle_response(channel, from, correlation, response, step);
                });
            }
            Delivery::Disconnected { client, channel, peer } => {
                self.with_client(&client, |consumer, step| consumer.handle_disconnected(channel, peer, step));
            }
        }
    }

    fn handle_request(&mut self, from: ReplyTo, node: NodeId, request: Request) {
        if !self.connections.contains_key(&from.connection) {
            return;
        }
        match request {
            Request::Metadata(_) => {
                let partitions =
                    vec![PartitionMetadata { leader: Some(DATA_NODE), leader_epoch: self.data_epoch }; self.logs.len()];
                let topic = TopicMetadata { topic: TopicId(0), error: ErrorCode::None, partitions };
                let metadata = MetadataResponse { brokers: vec![DATA_NODE], topics: vec![topic], controller: None };
                self.reply(from, node, Response::Metadata(metadata));
            }
            Request::FindCoordinator { .. } => {
                let coordinator = self.leader;
                self.reply(from, node, Response::FindCoordinator { error: ErrorCode::None, coordinator });
            }
            Request::Fetch(fetch) => self.fetch(from, fetch, false),
            Request::ListOffsets(list) => {
                let answers = list.partitions.iter().map(|(partition, _)| ListedOffset {
                    partition: *partition,
                    error: ErrorCode::None,
                    offset: if list.earliest { self.log_start } else { self.log_end(*partition) },
                    leader_epoch: self.data_epoch,
                });
                let answers = answers.collect();
                self.reply(from, node, Response::ListOffsets(answers));
            }
            Request::OffsetForLeaderEpoch(ask) => {
                let answers = ask.partitions.iter().map(|question| EpochEndOffset {
                    partition: question.partition,
                    error: ErrorCode::None,
                    end: Some(DivergingEpoch {
                        epoch: question.leader_epoch,
                        end_offset: self.epoch_end(question.partition, question.leader_epoch),
                    }),
                });
                let answers = answers.collect();
                self.reply(from, node, Response::OffsetForLeaderEpoch(answers));
            }
            other => self.with_coordinator(node, |coordinator, step| coordinator.handle_request(from, other, step)),
        }
    }

    fn log_end(&self, partition: TopicPartition) -> Offset {
        self.logs[usize::from(partition.partition)].last().map_or(Offset::ZERO, RecordBatch::end_offset)
    }

    fn epoch_end(&self, partition: TopicPartition, epoch: LeaderEpoch) -> Offset {
        let log = &self.logs[usize::from(partition.partition)];
        log.iter().rfind(|batch| batch.leader_epoch <= epoch).map_or(Offset::ZERO, RecordBatch::end_offset)
    }

    fn fetch(&mut self, from: ReplyTo, request: FetchRequest, is_late: bool) {
        let answers: Vec<FetchedPartition> = request
            .partitions
            .iter()
            .map(|wanted| {
                let log = &self.logs[usize::from(wanted.partition.partition)];
                let batches = log.iter().filter(|batch| wanted.fetch_offset < batch.end_offset());
                let range = self.log_start..=self.log_end(wanted.partition);
                let error = if wanted.current_leader_epoch.is_some_and(|epoch| epoch < self.data_epoch) {
                    ErrorCode::FencedLeaderEpoch
                } else if !range.contains(&wanted.fetch_offset) {
                    ErrorCode::OffsetOutOfRange
                } else {
                    ErrorCode::None
                };
                let batches = batches.filter(|_| error == ErrorCode::None);
                FetchedPartition {
                    partition: wanted.partition,
                    error,
                    fetch_offset: wanted.fetch_offset,
                    high_watermark: self.log_end(wanted.partition),
                    log_start_offset: Offset::ZERO,
                    diverging: None,
                    aborted: Vec::new(),
                    preferred_read_replica: None,
                    batches: batches.cloned().collect(),
                }
            })
            .collect();
        if !is_late && answers.iter().all(|answer| answer.batches.is_empty() && answer.error == ErrorCode::None) {
            let until = self.now + request.max_wait;
            self.parked.push((from, request, until));
        } else {
            self.reply(from, DATA_NODE, Response::Fetch(FetchResponse { partitions: answers }));
        }
    }

    fn with_client(&mut self, name: &str, act: impl FnOnce(&mut Consumer, &mut Step)) {
        let mut outbox = Outbox::default();
        let now = Now { monotonic: self.now, wall_clock: self.now };
        let Some(client) = self.clients.get_mut(name) else { return };
        let mut step = Step { now, rng: &mut self.rng, out: &mut outbox };
        act(&mut client.consumer, &mut step);
        self.perform_client(name, outbox);
        loop {
            let mut outbox = Outbox::default();
            let Some(client) = self.clients.get_mut(name) else { return };
            let Some(event) = client.consumer.next_event() else { break };
            let mut step = Step { now, rng: &mut self.rng, out: &mut outbox };
            match &event {
                ConsumerEvent::Revoking(_) if client.finishes_by_itself => client.consumer.finish_revocation(&mut step),
                ConsumerEvent::Records(_) if client.polls_ever => client.consumer.poll(&mut step),
                _ => {}
            }
            self.lines.extend(describe_event(&event).map(|line| format!("{name}: {line}")));
            self.perform_client(name, outbox);
        }
    }

    fn perform_client(&mut self, name: &str, outbox: Outbox) {
        let node = self.clients[name].node;
        for output in outbox.0 {
            match output {
                Output::Note(note) => self.note(name, &note),
                Output::Effect(Effect::Send { channel, to, correlation, request }) => {
                    let connection = self.connection(name, channel, to);
                    self.kinds.insert((connection, correlation), request.kind());
                    let state = self.connections.get_mut(&connection).expect("opened just now");
                    if state.is_busy {
                        state.waiting.push_back((correlation, request));
                    } else {
                        state.is_busy = true;
                        self.queue.push_back(Delivery::Request(
                            ReplyTo { connection, correlation, peer: node },
                            to,
                            request,
                        ));
                    }
                }
                Output::Effect(Effect::Close { channel, to }) => {
                    let connection = self.connection(name, channel, to);
                    self.connections.remove(&connection);
                }
                Output::Effect(other) => panic!("a consumer has no {other:?}"),
            }
        }
    }

    fn connection(&mut self, name: &str, channel: Channel, to: NodeId) -> ConnectionId {
        let is_this = |state: &Connection| state.client == name && state.channel == channel && state.to == to;
        if let Some((id, _)) = self.connections.iter().find(|(_, state)| is_this(state)) {
            return *id;
        }
        let id = ConnectionId(self.kinds.len() as u32 + 1);
        let client = name.to_string();
        self.connections.insert(id, Connection { client, channel, to, is_busy: false, waiting: VecDeque::new() });
        id
    }

    fn with_coordinator(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&mut Coordinator, &mut Step) -> Vec<CoordinatorAppend>,
    ) {
        let mut outbox = Outbox::default();
        let now = Now { monotonic: self.now, wall_clock: self.now };
        let coordinator = self.coordinators.get_mut(&node).expect("a coordinating broker");
        let appends = act(coordinator, &mut Step { now, rng: &mut self.rng, out: &mut outbox });
        coordinator.check_invariants();
        for output in outbox.0 {
            match output {
                Output::Note(note) => self.note(&node.to_string(), &note),
                Output::Effect(Effect::Reply { to, response }) => self.reply(to, node, response),
                Output::Effect(other) => panic!("a coordinator has no {other:?}"),
            }
        }
        for append in appends {
            if self.holds_appends.is_some() {
                self.held_appends.push_back((node, append));
            } else {
                self.finish_append(node, append, Ok(()));
            }
        }
    }

    fn finish_append(&mut self, node: NodeId, append: CoordinatorAppend, result: Result<(), ErrorCode>) {
        let CoordinatorAppend { token, records, .. } = append;
        let base_offset = self.offsets_log.last().map_or(Offset::ZERO, RecordBatch::end_offset);
        let result = if node == self.leader { result } else { Err(ErrorCode::NotLeaderOrFollower) };
        if result.is_ok() {
            let unstamped = RecordBatch::new(None, Arc::new(Records::Groups(records)));
            self.offsets_log.push(RecordBatch { base_offset, leader_epoch: self.leader_epoch, ..unstamped });
        }
        self.append_finished(node, token, result.map(|()| base_offset));
    }

    fn append_finished(&mut self, node: NodeId, token: AppendToken, result: Result<Offset, ErrorCode>) {
        self.with_coordinator(node, |coordinator, step| coordinator.append_finished(token, result, step));
    }

    fn reply(&mut self, to: ReplyTo, node: NodeId, response: Response) {
        let kind = self.kinds[&(to.connection, to.correlation)];
        if self.held_kind == Some(kind) {
            return self.held.push((to, node, response));
        }
        let Some(connection) = self.connections.get_mut(&to.connection) else { return };
        if let Response::OffsetFetch { error, .. } = &response
            && *error != ErrorCode::None
        {
            self.lines.push(format!("{:7.3} {node}: offset fetch {error:?}", self.now.as_seconds()));
        }
        if self.lost_kind != Some(kind) {
            self.queue.push_back(Delivery::Response {
                client: connection.client.clone(),
                channel: connection.channel,
                from: node,
                correlation: to.correlation,
                response,
            });
        }
        connection.is_busy = false;
        if let Some((correlation, request)) = connection.waiting.pop_front() {
            connection.is_busy = true;
            self.queue.push_back(Delivery::Request(ReplyTo { correlation, ..to }, node, request));
        }
    }

    fn member(&mut self, id: MemberId) -> String {
        let known = self.members.iter().position(|member| *member == id);
        let number = known.unwrap_or_else(|| {
            self.members.push(id);
            self.members.len() - 1
        });
        format!("m{}", number + 1)
    }

    fn note(&mut self, who: &str, note: &Note) {
        let line = match note {
            Note::GroupChanged { state, generation, members, .. } => {
                format!("group {state:?} generation {generation} members {members}")
            }
            Note::OffsetCommitted { partition, offset, member, .. } => {
                let member = member.map_or(String::new(), |member| format!(" by {}", self.member(member)));
                format!("committed {}={offset}{member}", partition.partition)
            }
            Note::OffsetCommitRefused { error, .. } => format!("commit refused {error:?}"),
            Note::OffsetExpired { partition, .. } => format!("offset of {} expired", partition.partition),
            Note::CoordinatorLoaded { groups } => format!("coordinator loaded, {groups} groups"),
            Note::Joined { member, generation, .. } => {
                format!("joined as {} generation {generation}", self.member(*member))
            }
            Note::Assigned { member, generation, partitions: owned, .. } => {
                format!("assigned {} to {} generation {generation}", partitions(owned), self.member(*member))
            }
            Note::MemberGone { member, .. } => format!("{} is gone", self.member(*member)),
            Note::Revoked { partitions: owned, .. } => format!("revoked {}", partitions(owned)),
            Note::Lost { partitions: owned, .. } => format!("lost {}", partitions(owned)),
            Note::PositionSet { partition, offset, why, .. } => {
                format!("position {}={offset} {why:?}", partition.partition)
            }
            Note::Polled { partition, from, to, .. } => format!("polled {} [{from}, {to})", partition.partition),
            Note::PassedOver { partition, from, to, .. } => {
                format!("passes over {} [{from}, {to})", partition.partition)
            }
            Note::CommitSent { partition, offset, .. } => format!("sends commit {}={offset}", partition.partition),
            Note::CommitAnswered { partition, offset, error, .. } => {
                format!("commit {}={offset} {error:?}", partition.partition)
            }
            other => panic!("a note of another room: {other:?}"),
        };
        let seconds = self.now.as_seconds();
        self.lines.push(format!("{seconds:7.3} {who}: {line}"));
    }
}

impl goldenscript::Runner for Harness {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &Self::Command, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        self.execute(command)
    }
}

/// Only what no note says.
fn describe_event(event: &ConsumerEvent) -> Option<String> {
    match event {
        ConsumerEvent::Records(_) | ConsumerEvent::Assigned(_) | ConsumerEvent::Lost(_) => None,
        ConsumerEvent::Revoking(owned) => Some(format!("→ must give back {}", partitions(owned))),
        ConsumerEvent::CommitDone { commit, result: Ok(()) } => Some(format!("→ commit #{} is done", commit.0)),
        ConsumerEvent::CommitDone { commit, result: Err(error) } => {
            Some(format!("→ commit #{} failed: {error:?}", commit.0))
        }
        ConsumerEvent::Failed(error) => Some(format!("→ poll throws {error:?}")),
    }
}

fn partitions(partitions: &[TopicPartition]) -> String {
    let numbers: Vec<String> = partitions.iter().map(|partition| partition.partition.to_string()).collect();
    format!("[{}]", numbers.join(" "))
}

fn data_partition(number: u16) -> TopicPartition {
    TopicPartition::new(TopicId(0), number)
}

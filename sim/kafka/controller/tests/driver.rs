//! Controllers on an in-memory network with disks that can lose what was not flushed, and brokers that only talk.
//!
//! Controllers are n11, n12, …; brokers are n1, n2, …, and reach every controller. A message takes one millisecond.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command as Line, Context, Runner};

use super::super::{Controller, ControllerConfig};
use crate::types::metadata::{BrokerRegistration, ClusterImage, PartitionState, Reassignment};
use crate::types::note::Note;
use crate::types::request::*;
use crate::types::settings::{BrokerSettings, TopicSettings};
use crate::types::storage::{StorageImage, StorageOperation};
use crate::types::*;

const LATENCY: Duration = Duration::from_millis(1);
const PARTITION: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };

#[derive(Default)]
pub struct Driver {
    config: BTreeMap<NodeId, ControllerConfig>,
    nodes: BTreeMap<NodeId, Process>,
    disks: BTreeMap<NodeId, Disk>,
    brokers: BTreeMap<NodeId, Broker>,
    isolated: BTreeSet<NodeId>,
    connections: BTreeMap<ConnectionId, (NodeId, Channel, NodeId)>,
    next_connection: u32,
    queue: BTreeMap<(Time, u64), Event>,
    number: u64,
    now: Time,
    log: String,
    verbose: bool,
    /// Who won which epoch.
    leaders: BTreeMap<QuorumEpoch, NodeId>,
    pub double_leaders: bool,
    /// Answers to requests of the transcript.
    answers: Vec<(NodeId, Response)>,
}

struct Process {
    machine: Controller,
    rng: Rng,
}

#[derive(Default)]
struct Disk {
    cached: StorageImage,
    durable: StorageImage,
    starts: u32,
}

/// A broker that registers, sends heartbeats, and has always applied all metadata.
#[derive(Clone, Default)]
struct Broker {
    incarnation: u32,
    epoch: Option<BrokerEpoch>,
    clean: Option<BrokerEpoch>,
    silent: bool,
    stopping: bool,
}

enum Event {
    Request { connection: ConnectionId, correlation: Correlation, request: Request },
    Response { connection: ConnectionId, correlation: Correlation, response: Response },
    Disconnected { to: NodeId, channel: Channel, peer: NodeId },
    Brokers,
}

impl Runner for Driver {
    type Command = Line;

    fn run(&mut self, command: &Line, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "start" => {
                let mut settings = BrokerSettings::default();
                let voters: u16 = args.take_key("voters").unwrap_or("3").parse()?;
                let brokers: u16 = args.take_key("brokers").unwrap_or("3").parse()?;
                let guards = args.take_key("without").into_iter().map(guard).collect();
                if let Some(version) = args.take_key("elr") {
                    settings.eligible_leader_replicas_version = version.parse()?;
                }
                let unclean = args.take_key("unclean").is_some();
                *self = Driver::default();
                self.start(voters, brokers, settings, guards, unclean);
            }
            "run" => {
                let length: Duration = args.next_pos().expect("a length").parse().expect("a duration");
                self.run_for(length);
            }
            "verbose" => self.verbose = true,
            "crash" => self.crash(node(args.next_pos())),
            "power" => self.lose_power(node(args.next_pos())),
            "restart" => self.start_again(node(args.next_pos())),
            "isolate" => self.isolate(node(args.next_pos())),
            "heal" => self.heal(),
            "silence" => self.silence(node(args.next_pos())),
            "speak" => self.brokers.get_mut(&node(args.next_pos())).expect("a broker").silent = false,
            "stop" => self.brokers.get_mut(&node(args.next_pos())).expect("a broker").stopping = true,
            "begin" => {
                let clean = args.take_key("clean").is_some();
                self.begin(node(args.next_pos()), clean);
            }
            "vote" => {
                let to = node(args.next_pos());
                let number = |key: Option<&str>| key.expect("a number").parse::<u64>().expect("a number");
                let request = VoteRequest {
                    epoch: QuorumEpoch(number(args.take_key("epoch")) as u32),
                    pre_vote: args.take_key("pre").is_some(),
                    candidate: node(args.take_key("candidate")),
                    last_epoch: QuorumEpoch(number(args.take_key("last_epoch")) as u32),
                    end_offset: Offset(number(args.take_key("end"))),
                };
                self.ask(NodeId(99), to, Request::Vote(request));
            }
            "producer-ids" => {
                let broker = node(args.next_pos());
                let broker_epoch = self.brokers[&broker].epoch.expect("a registered broker");
                let to = args.take_key("to").map_or_else(|| self.active().expect("a controller"), |to| node(Some(to)));
                self.ask(broker, to, Request::AllocateProducerIds { broker, broker_epoch });
            }
            "alter" => self.alter(&mut args),
            "elect-preferred" => {
                let to = self.active().expect("a controller");
                self.step(to, Input::Command(Command::ElectPreferred { topic: PARTITION.topic, partition: None }));
            }
            "reassign" => {
                let to = args.next_pos().expect("brokers").split(',').map(|id| node(Some(id))).collect();
                let controller = self.active().expect("a controller");
                self.step(controller, Input::Command(Command::Reassign { partition: PARTITION, to }));
                self.run_for(Duration::from_millis(100));
            }
            "state" => return Ok(self.state()),
            "partition" => return Ok(self.partition()),
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_next()?;
        Ok(std::mem::take(&mut self.log))
    }
}

impl Driver {
    pub fn start(&mut self, voters: u16, brokers: u16, settings: BrokerSettings, guards: Guards, unclean: bool) {
        let voters: Vec<NodeId> = (11..11 + voters).map(NodeId).collect();
        let topic = TopicSettings {
            replication: brokers.min(3),
            min_insync_replicas: 2,
            unclean_leader_election_enable: unclean,
            ..TopicSettings::default()
        };
        let brokers: Vec<NodeId> = (1..=brokers).map(NodeId).collect();
        for id in &voters {
            let config = ControllerConfig {
                id: *id,
                voters: voters.clone(),
                brokers: brokers.clone(),
                settings: settings.clone(),
                topics: BTreeMap::from([(PARTITION.topic, topic.clone())]),
                guards,
            };
            self.config.insert(*id, config);
            self.disks.insert(*id, Disk::default());
        }
        self.brokers = brokers.iter().map(|id| (*id, Broker::default())).collect();
        self.at(Time::ZERO, Event::Brokers);
        for id in voters {
            self.start_again(id);
        }
    }

    /// Nothing happens to a controller that runs.
    pub fn start_again(&mut self, id: NodeId) {
        if self.nodes.contains_key(&id) {
            return;
        }
        let disk = self.disks.get_mut(&id).expect("a disk");
        disk.starts += 1;
        let (image, incarnation) = (Box::new(disk.cached.clone()), Incarnation(disk.starts));
        let rng = Seed(1).stream(&format!("{id} {incarnation}"));
        let machine = Controller::new(self.config[&id].clone());
        self.nodes.insert(id, Process { machine, rng });
        self.step(id, Input::Started { image, incarnation });
    }

    pub fn crash(&mut self, id: NodeId) {
        self.nodes.remove(&id);
        let broken: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, (from, _, to))| *from == id || *to == id)
            .map(|(connection, _)| *connection)
            .collect();
        for connection in broken {
            self.disconnect(connection, id);
        }
    }

    /// A crash that also takes what was not flushed.
    pub fn lose_power(&mut self, id: NodeId) {
        self.crash(id);
        let disk = self.disks.get_mut(&id).expect("a disk");
        disk.cached = disk.durable.clone();
    }

    pub fn isolate(&mut self, id: NodeId) {
        self.isolated.insert(id);
    }

    pub fn heal(&mut self) {
        self.isolated.clear();
    }

    /// A broker sends nothing any more.
    pub fn silence(&mut self, id: NodeId) {
        self.brokers.get_mut(&id).expect("a broker").silent = true;
    }

    /// The broker's process starts again, with its epoch of a clean shutdown if it had one.
    pub fn begin(&mut self, id: NodeId, clean: bool) {
        let broker = self.brokers.get_mut(&id).expect("a broker");
        let clean = broker.epoch.filter(|_| clean);
        *broker = Broker { incarnation: broker.incarnation + 1, clean, ..Broker::default() };
    }

    /// The end that is not `gone` hears of it.
    fn disconnect(&mut self, connection: ConnectionId, gone: NodeId) {
        if let Some((from, channel, to)) = self.connections.remove(&connection)
            && from != gone
        {
            self.at(self.now + LATENCY, Event::Disconnected { to: from, channel, peer: to });
        }
    }

    pub fn run_for(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            let event = self.queue.keys().next().map_or(Time::NEVER, |(at, _)| *at);
            let timers = self.nodes.iter().filter_map(|(id, node)| Some((node.machine.next_deadline()?.0, *id)));
            let timer = timers.min().unwrap_or((Time::NEVER, NodeId(0)));
            let next = event.min(timer.0);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if event <= timer.0 {
                let (_, event) = self.queue.pop_first().expect("an event");
                self.deliver(event);
            } else {
                self.step(timer.1, Input::Timeout);
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, event: Event) {
        match event {
            Event::Request { connection, correlation, request } => {
                let Some(&(from, _, to)) = self.connections.get(&connection) else { return };
                if self.cut(from, to) {
                    return;
                }
                if !self.nodes.contains_key(&to) {
                    return self.disconnect(connection, to);
                }
                let from = ReplyTo { connection, correlation, peer: from };
                self.step(to, Input::Request { from, request });
            }
            Event::Response { connection, correlation, response } => {
                let Some(&(to, channel, from)) = self.connections.get(&connection) else { return };
                if self.cut(from, to) {
                    return;
                }
                if self.nodes.contains_key(&to) {
                    self.step(to, Input::Response { channel, from, correlation, response });
                } else if channel == Channel(0) {
                    self.broker_heard(to, response);
                } else {
                    self.answers.push((from, response));
                }
            }
            Event::Disconnected { to, channel, peer } => {
                if self.nodes.contains_key(&to) {
                    self.step(to, Input::Disconnected { channel, peer });
                }
            }
            Event::Brokers => self.brokers_speak(),
        }
    }

    fn step(&mut self, id: NodeId, input: Input) {
        let process = self.nodes.get_mut(&id).expect("a running controller");
        let mut out = Outbox::default();
        let now = Now { monotonic: self.now, wall_clock: self.now };
        process.machine.handle(input, &mut Step { now, rng: &mut process.rng, out: &mut out });
        for output in out.0 {
            match output {
                Output::Note(note) => self.note(id, &note),
                Output::Effect(effect) => self.perform(id, effect),
            }
        }
    }

    fn perform(&mut self, id: NodeId, effect: Effect) {
        match effect {
            Effect::Send { channel, to, correlation, request } => self.send(id, channel, to, correlation, request),
            Effect::Reply { to, response } => {
                let (connection, correlation) = (to.connection, to.correlation);
                self.at(self.now + LATENCY, Event::Response { connection, correlation, response });
            }
            Effect::HangUp { .. } => panic!("a controller hangs up on nobody"),
            Effect::Close { channel, to } => self.connections.retain(|_, known| *known != (id, channel, to)),
            Effect::Storage(operation) => self.store(id, operation),
            Effect::Exit { .. } => self.crash(id),
        }
    }

    fn send(&mut self, from: NodeId, channel: Channel, to: NodeId, correlation: Correlation, request: Request) {
        let known = self.connections.iter().find(|(_, known)| **known == (from, channel, to));
        let connection = known.map(|(connection, _)| *connection).unwrap_or_else(|| {
            self.next_connection += 1;
            self.connections.insert(ConnectionId(self.next_connection), (from, channel, to));
            ConnectionId(self.next_connection)
        });
        self.at(self.now + LATENCY, Event::Request { connection, correlation, request });
    }

    fn store(&mut self, id: NodeId, operation: StorageOperation) {
        let disk = self.disks.get_mut(&id).expect("a disk");
        match operation {
            StorageOperation::AppendQuorum { entry } => disk.cached.quorum_log.push(entry),
            StorageOperation::TruncateQuorum { to } => {
                disk.cached.quorum_log.truncate(to.0 as usize);
                disk.durable.quorum_log.truncate(to.0 as usize);
            }
            StorageOperation::WriteQuorumState(state) => disk.cached.quorum_state = state,
            StorageOperation::FlushQuorum => disk.durable = disk.cached.clone(),
            other => panic!("a controller stores no {other:?}"),
        }
    }

    fn at(&mut self, time: Time, event: Event) {
        self.number += 1;
        self.queue.insert((time, self.number), event);
    }

    fn cut(&self, from: NodeId, to: NodeId) -> bool {
        let between_controllers = from.0 > 10 && to.0 > 10 && from.0 < 99;
        between_controllers && (self.isolated.contains(&from) || self.isolated.contains(&to))
    }

    // --- brokers ---

    /// Once a second every broker registers or reports to the controller in charge.
    fn brokers_speak(&mut self) {
        self.at(self.now + Duration::from_secs(1), Event::Brokers);
        let Some(controller) = self.active() else { return };
        let metadata_offset = self.nodes[&controller].machine.image().end_offset;
        for (id, broker) in self.brokers.clone() {
            let registration =
                BrokerRegistration { broker: id, incarnation: Incarnation(broker.incarnation), rack: None };
            let request = match broker.epoch {
                _ if broker.silent => continue,
                None => Request::BrokerRegistration(BrokerRegistrationRequest {
                    registration,
                    previous_broker_epoch: broker.clean,
                }),
                Some(broker_epoch) => Request::BrokerHeartbeat(BrokerHeartbeatRequest {
                    broker: id,
                    broker_epoch,
                    metadata_offset,
                    want_fence: false,
                    want_shut_down: broker.stopping,
                }),
            };
            self.send(id, Channel(0), controller, Correlation(0), request);
        }
    }

    fn broker_heard(&mut self, id: NodeId, response: Response) {
        let broker = self.brokers.get_mut(&id).expect("a broker");
        match response {
            Response::BrokerRegistration { error: ErrorCode::None, broker_epoch } => broker.epoch = Some(broker_epoch),
            Response::BrokerRegistration { error, .. } => self.say(format!("{id} registration refused: {error:?}")),
            Response::BrokerHeartbeat(answer) if answer.should_shut_down => {
                broker.silent = true;
                self.say(format!("{id} may stop"));
            }
            Response::BrokerHeartbeat(answer) if answer.error == ErrorCode::BrokerIdNotRegistered => {
                broker.epoch = None
            }
            Response::BrokerHeartbeat(_) => {}
            other => panic!("nobody asked for {other:?}"),
        }
    }

    /// Sends a request of the transcript and waits for its answer.
    fn ask(&mut self, from: NodeId, to: NodeId, request: Request) {
        self.send(from, Channel(1), to, Correlation(0), request);
        self.run_for(Duration::from_millis(100));
        let answers = std::mem::take(&mut self.answers);
        if answers.is_empty() {
            self.say(format!("{to} gives no answer"));
        }
        for (from, answer) in answers {
            let text = match answer {
                Response::Vote { epoch, granted, .. } => format!("vote epoch={} granted={granted}", epoch.0),
                Response::AllocateProducerIds { error, first, count } => {
                    format!("producer ids {error:?} {}+{count}", first.0)
                }
                Response::AlterPartition(answer) => format!(
                    "alter partition {:?} epoch={}/{} isr={}",
                    answer.error,
                    answer.leader_epoch.0,
                    answer.partition_epoch.0,
                    nodes(&answer.in_sync_replicas)
                ),
                other => format!("{other:?}"),
            };
            self.say(format!("{from} answers: {text}"));
        }
    }

    /// `alter 1 isr=1,2`: the leader n1 proposes an in-sync set, by default with everything up to date.
    fn alter(&mut self, args: &mut goldenscript::ArgumentConsumer) {
        let broker = node(args.next_pos());
        let controller = self.active().expect("a controller");
        let state = self.nodes[&controller].machine.image().partitions[&PARTITION].clone();
        let partition_epoch = args.take_key("partition_epoch").map(|text| text.parse().expect("a number"));
        let member = |text: &str| match text.split_once('@') {
            Some((id, epoch)) => (node(Some(id)), Some(BrokerEpoch(epoch.parse().expect("a broker epoch")))),
            None => (node(Some(text)), self.brokers[&node(Some(text))].epoch),
        };
        let request = AlterPartitionRequest {
            broker,
            broker_epoch: self.brokers[&broker].epoch.expect("a registered broker"),
            partition: PARTITION,
            leader_epoch: state.leader_epoch,
            partition_epoch: partition_epoch.map_or(state.partition_epoch, PartitionEpoch),
            in_sync_replicas: args.take_key("isr").expect("an in-sync set").split(',').map(member).collect(),
        };
        self.ask(broker, controller, Request::AlterPartition(request));
    }

    // --- telling ---

    /// What each running controller knows to be committed.
    pub fn committed(&self) -> impl Iterator<Item = (NodeId, &[QuorumEntry])> {
        let quorums = self.nodes.iter().map(|(id, node)| (*id, &node.machine.quorum));
        quorums.map(|(id, quorum)| (id, quorum.log.read(Offset::ZERO, quorum.high_watermark)))
    }

    /// After healing: one controller, all logs alike, all brokers serving, every partition led.
    pub fn assert_works(&self) {
        let active = self.nodes.values().filter(|node| node.machine.is_active()).count();
        assert!(active == 1, "{active} active controllers after healing");
        let images: Vec<&ClusterImage> = self.nodes.values().map(|node| node.machine.image()).collect();
        assert!(images.windows(2).all(|pair| pair[0] == pair[1]), "controllers differ after healing");
        assert!(self.brokers.keys().all(|broker| images[0].is_active(*broker)), "a broker is fenced after healing");
        assert!(!images[0].partitions.is_empty(), "no topic after healing");
        let led = images[0].partitions.values().all(|state| state.leader.is_some());
        assert!(led, "no leader after healing: {}", self.partition());
    }

    /// The active controller of the highest epoch: an isolated one may still believe to be it.
    fn active(&self) -> Option<NodeId> {
        let active = self.nodes.iter().filter(|(_, node)| node.machine.is_active());
        active.max_by_key(|(_, node)| node.machine.quorum.epoch).map(|(id, _)| *id)
    }

    fn state(&self) -> String {
        let mut text = String::new();
        for (id, disk) in &self.disks {
            let Some(node) = self.nodes.get(id) else {
                writeln!(text, "{id} down, disk epoch={}", disk.cached.quorum_state.epoch.0).expect("memory");
                continue;
            };
            let quorum = &node.machine.quorum;
            let role = match quorum.role {
                super::super::quorum::Role::Unattached { .. } => "unattached",
                super::super::quorum::Role::Candidate(ref candidate) if candidate.prospective => "prospective",
                super::super::quorum::Role::Candidate(_) => "candidate",
                super::super::quorum::Role::Follower(_) => "follower",
                super::super::quorum::Role::Leader(_) => "leader",
            };
            let (end, hw) = (quorum.log.end_offset().0, quorum.high_watermark.0);
            writeln!(text, "{id} {role} epoch={} end={end} hw={hw}", quorum.epoch.0).expect("memory");
        }
        text
    }

    fn partition(&self) -> String {
        let Some(controller) = self.active() else { return "no controller\n".into() };
        let image = self.nodes[&controller].machine.image();
        image.partitions.get(&PARTITION).map_or("no partition\n".into(), |state| partition_text(state) + "\n")
    }

    fn note(&mut self, id: NodeId, note: &Note) {
        if let Note::BecameController { epoch } = note {
            let first = *self.leaders.entry(*epoch).or_insert(id);
            self.double_leaders |= first != id;
        }
        if let Note::QuorumAppended { offset, epoch } = note {
            let last = self.disks[&id].cached.quorum_log.last().map(|entry| (entry.offset, entry.epoch));
            assert_eq!(last, Some((*offset, *epoch)), "{id} says what its disk has not taken");
        }
        let text = match note {
            Note::QuorumAppended { offset, epoch } if self.verbose => {
                format!("appended offset={} epoch={}", offset.0, epoch.0)
            }
            Note::QuorumHighWatermark { offset, .. } if self.verbose => format!("high watermark {}", offset.0),
            Note::QuorumAppended { .. } | Note::QuorumHighWatermark { .. } => return,
            Note::BecameCandidate { epoch } => format!("candidate epoch={}", epoch.0),
            Note::BecameController { epoch } => format!("controller epoch={}", epoch.0),
            Note::ResignedController { epoch } => format!("resigned epoch={}", epoch.0),
            Note::VoteGranted { epoch, to } => format!("votes for {to} epoch={}", epoch.0),
            Note::QuorumTruncated { to } => format!("truncated to {}", to.0),
            Note::BrokerChanged { broker, broker_epoch, fenced, shutting_down } => format!(
                "{broker} epoch={} {}{}",
                broker_epoch.0,
                if *fenced { "fenced" } else { "unfenced" },
                if *shutting_down { " shutting down" } else { "" }
            ),
            Note::PartitionChanged { partition, state, unclean } => {
                format!("{partition} {}{}", partition_text(state), if *unclean { " UNCLEAN" } else { "" })
            }
            other => format!("{other:?}"),
        };
        self.say(format!("{id} {text}"));
    }

    fn say(&mut self, text: String) {
        writeln!(self.log, "[{:.3}] {text}", self.now.0 as f64 / 1e9).expect("memory");
    }
}

fn partition_text(state: &PartitionState) -> String {
    let mut text = format!(
        "leader={} epoch={}/{} isr={}",
        state.leader.map_or("none".into(), |leader| leader.to_string()),
        state.leader_epoch.0,
        state.partition_epoch.0,
        nodes(&state.in_sync_replicas)
    );
    if !state.eligible_leader_replicas.is_empty() {
        write!(text, " elr={}", nodes(&state.eligible_leader_replicas)).expect("memory");
    }
    if let Some(Reassignment { adding, removing }) = &state.reassignment {
        write!(text, " replicas={} adding={} removing={}", nodes(&state.replicas), nodes(adding), nodes(removing))
            .expect("memory");
    }
    if let Some(last) = state.last_known_leader {
        write!(text, " last={last}").expect("memory");
    }
    if state.recovering {
        text += " recovering";
    }
    text
}

fn nodes(list: &[NodeId]) -> String {
    let names: Vec<String> = list.iter().map(|id| id.0.to_string()).collect();
    if names.is_empty() { "none".into() } else { names.join(",") }
}

fn node(text: Option<&str>) -> NodeId {
    let text = text.expect("a node");
    NodeId(text.trim_start_matches('n').parse().expect("a number of a node"))
}

fn guard(id: &str) -> Guard {
    *Guard::ALL.iter().find(|guard| guard.id() == id).expect("a guard")
}

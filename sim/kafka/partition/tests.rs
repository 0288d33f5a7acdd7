//! Transcripts of the partition protocol: replicas of one partition, a controller that does as it is told, and every
//! message delivered, held or lost by a line of the script.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use goldenscript::Command as Line;

use super::*;
use crate::types::metadata::{BrokerRegistration, BrokerState};
use crate::types::record::{Marker, ProducerStamp, Records, TransactionOutcome};

#[test]
fn transcripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sim/kafka/partition/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no transcripts");
    for path in paths {
        goldenscript::run(&mut Cluster::default(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

const PARTITION: TopicPartition = TopicPartition { topic: TopicId(0), partition: 0 };

/// Commands: `cluster`, `produce`, `ask`, `marker`, `read`, `fetch`, `release`, `alter`, `answer`, `fence`, `unfence`,
/// `restart`, `metadata`, `advance`, `check`, `latest`, `show`, `verify`.
#[derive(Default)]
struct Cluster {
    now: Time,
    guards: Guards,
    partitions: BTreeMap<NodeId, Partition>,
    /// What each broker has applied of the controller's image.
    images: BTreeMap<NodeId, ClusterImage>,
    controller: ClusterImage,
    min_in_sync_replicas: u16,
    held_fetches: BTreeMap<NodeId, (NodeId, FetchedPartition)>,
    proposals: BTreeMap<NodeId, Proposal>,
    held_answers: BTreeMap<NodeId, (u64, AlterPartitionResponse)>,
    parked: BTreeMap<AckTicket, Vec<u64>>,
    tickets: u64,
    acknowledged: Vec<u64>,
    tokens: BTreeMap<String, VerificationToken>,
    output: String,
}

impl goldenscript::Runner for Cluster {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut arguments = line.consume_args();
        match line.name.as_str() {
            "cluster" => {
                let number = |value: Option<&str>, default: u16| value.map_or(Ok(default), str::parse);
                let replicas = nodes(arguments.take_key("replicas").unwrap_or("1-2-3"))?;
                let in_sync = nodes(arguments.take_key("isr").unwrap_or("1-2-3"))?;
                self.min_in_sync_replicas = number(arguments.take_key("min_isr"), 2)?;
                let off = arguments.take_key("off").unwrap_or("");
                self.guards =
                    Guard::ALL.iter().filter(|guard| off.split('-').any(|id| id == guard.id())).copied().collect();
                self.build(replicas, in_sync);
            }
            "produce" => {
                let to = node(arguments.next_pos())?;
                let acks = match arguments.take_key("acks") {
                    Some("0") => Acks::None,
                    Some("1") => Acks::Leader,
                    _ => Acks::All,
                };
                let producer = arguments.take_key("producer").map(str::parse).transpose()?.map(ProducerId);
                let sequence = arguments.take_key("sequence").map_or(Ok(0), str::parse)?;
                let epoch = ProducerEpoch(arguments.take_key("epoch").map_or(Ok(0), str::parse)?);
                let transaction = arguments.take_key("transaction");
                let transactional = transaction.is_some();
                let base_sequence = Sequence(sequence);
                let stamp = producer.map(|id| ProducerStamp { id, epoch, base_sequence, transactional });
                let values = positional(arguments).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
                self.produce(to, values, acks, stamp, transaction);
            }
            "marker" => {
                let to = node(arguments.next_pos())?;
                let number = |value: Option<&str>| value.map_or(Ok(0), str::parse);
                let outcome = match arguments.next_pos() {
                    Some("commit") => TransactionOutcome::Commit,
                    Some("abort") => TransactionOutcome::Abort,
                    other => return Err(format!("which outcome? {other:?}").into()),
                };
                let id = ProducerId(arguments.take_key("producer").ok_or("whose?")?.parse()?);
                let epoch = ProducerEpoch(arguments.take_key("epoch").map_or(Ok(1), str::parse)?);
                let coordinator_epoch = LeaderEpoch(number(arguments.take_key("coordinator"))?);
                let stamp = ProducerStamp { id, epoch, base_sequence: Sequence::NONE, transactional: true };
                let records = Records::Marker(Marker { outcome, coordinator_epoch });
                self.produce_batch(to, Vec::new(), records, Acks::All, Some(stamp), None);
            }
            // What a coordinator is asked about, to be used by a later produce with `transaction=NAME`.
            "ask" => {
                let to = node(arguments.next_pos())?;
                let name = arguments.take_key("as").ok_or("as=NAME")?.to_string();
                let id = ProducerId(arguments.take_key("producer").ok_or("whose?")?.parse()?);
                let epoch = ProducerEpoch(arguments.take_key("epoch").map_or(Ok(0), str::parse)?);
                let stamp = ProducerStamp { id, epoch, base_sequence: Sequence(0), transactional: true };
                let batch = self.batch(Vec::new(), Records::Messages(Vec::new()), Some(stamp)).1;
                let token = self.step(to, |partition, _, _| partition.begin_verification(&batch));
                writeln!(self.output, "{to} {}", if token.is_some() { "asks" } else { "has nothing to ask" })?;
                self.tokens.extend(token.map(|token| (name, token)));
            }
            "read" => {
                let from = node(arguments.next_pos())?;
                let offset = Offset(arguments.take_key("offset").map_or(Ok(0), str::parse)?);
                self.read(from, offset);
            }
            "fetch" => {
                let from = node(arguments.next_pos())?;
                let leader = arguments.take_key("from").map(|id| node(Some(id))).transpose()?;
                let holds = arguments.next_pos() == Some("hold");
                self.fetch(from, leader, holds);
            }
            "release" => {
                let to = node(arguments.next_pos())?;
                let (from, fetched) = self.held_fetches.remove(&to).ok_or("nothing is held")?;
                self.deliver_fetched(to, from, fetched);
            }
            "alter" => {
                let from = node(arguments.next_pos())?;
                let holds = arguments.next_pos() == Some("hold");
                let proposal = self.proposals.remove(&from).ok_or("no proposal")?;
                let answer = self.decide(&proposal.request);
                self.held_answers.insert(from, (proposal.number, answer));
                if !holds {
                    self.answer(from)?;
                }
            }
            "answer" => self.answer(node(arguments.next_pos())?)?,
            "fence" => self.fence(node(arguments.next_pos())?, true),
            "unfence" => self.fence(node(arguments.next_pos())?, false),
            "elect" => self.elect(node(arguments.next_pos())?),
            "metadata" => {
                for id in positional(arguments).map(|id| node(Some(id))).collect::<Result<Vec<_>, _>>()? {
                    self.apply(id);
                }
            }
            "restart" => self.restart(node(arguments.next_pos())?),
            "advance" => self.now += arguments.next_pos().unwrap_or("").parse().map_err(|_| "a duration")?,
            "check" => {
                let id = node(arguments.next_pos())?;
                self.step(id, |partition, image, step| partition.check_in_sync(image, step));
            }
            "latest" => {
                let id = node(arguments.next_pos())?;
                let listed = self.partitions[&id].list_offset(false, None, IsolationLevel::ReadUncommitted);
                writeln!(self.output, "{id} {:?} {}", listed.error, listed.offset)?;
            }
            "delete" => {
                let id = node(arguments.next_pos())?;
                self.step(id, |partition, _, step| partition.delete_records(step));
            }
            "show" => self.show(),
            "verify" => self.verify(),
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(std::mem::take(&mut self.output))
    }
}

fn node(text: Option<&str>) -> Result<NodeId, Box<dyn Error>> {
    Ok(NodeId(text.ok_or("which node?")?.trim_start_matches('n').parse()?))
}

fn positional<'a>(mut arguments: goldenscript::ArgumentConsumer<'a>) -> impl Iterator<Item = &'a str> {
    std::iter::from_fn(move || arguments.next_pos())
}

fn nodes(text: &str) -> Result<Vec<NodeId>, Box<dyn Error>> {
    text.split('-').map(|id| node(Some(id))).collect()
}

fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

fn values(batch: &RecordBatch) -> String {
    if let Some(marker) = batch.marker() {
        return format!("{:?}-of-{}", marker.outcome, batch.producer.map_or(0, |stamp| stamp.id.0)).to_lowercase();
    }
    list(batch.messages().iter().map(|record| record.send.0))
}

impl Cluster {
    fn build(&mut self, replicas: Vec<NodeId>, in_sync: Vec<NodeId>) {
        *self = Cluster { guards: self.guards, min_in_sync_replicas: self.min_in_sync_replicas, ..Cluster::default() };
        self.controller.brokers =
            replicas.iter().map(|id| (*id, broker_state(*id, BrokerEpoch(u64::from(id.0))))).collect();
        let state = PartitionState {
            leader: Some(in_sync[0]),
            in_sync_replicas: in_sync,
            eligible_leader_replicas: Vec::new(),
            reassignment: None,
            last_known_leader: None,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            recovering: false,
            replicas: replicas.clone(),
        };
        self.controller.partitions.insert(PARTITION, state);
        for id in &replicas {
            self.images.insert(*id, ClusterImage::default());
            self.open(*id, LogImage::default());
        }
        for id in replicas {
            self.apply(id);
        }
    }

    fn open(&mut self, id: NodeId, image: LogImage) {
        let topic = TopicSettings {
            min_insync_replicas: self.min_in_sync_replicas,
            replication: 3,
            ..TopicSettings::default()
        };
        let settings = PartitionSettings::new(id, &BrokerSettings::default(), &topic, self.guards);
        let (mut outbox, mut rng) = (Outbox::default(), Seed(0).stream("test"));
        let now = Now { monotonic: self.now, wall_clock: self.now };
        let mut step = Step { now, rng: &mut rng, out: &mut outbox };
        self.partitions.insert(id, Partition::new(PARTITION, settings, image, &mut step));
    }

    /// One call on one replica; what it says goes to the transcript, what it asks for is kept.
    fn step<R>(&mut self, id: NodeId, call: impl FnOnce(&mut Partition, &ClusterImage, &mut Step) -> R) -> R {
        let (mut outbox, mut rng) = (Outbox::default(), Seed(0).stream("test"));
        let now = Now { monotonic: self.now, wall_clock: self.now };
        let mut step = Step { now, rng: &mut rng, out: &mut outbox };
        let partition = self.partitions.get_mut(&id).expect("a node of the cluster");
        let result = call(partition, &self.images[&id], &mut step);
        partition.check_invariants();
        let stirred = std::mem::take(partition.stirred());
        for output in outbox.0 {
            if let Output::Note(note) = output {
                self.print_note(id, note);
            }
        }
        for ack in stirred.acks {
            let sends = self.parked.remove(&ack.ticket).expect("a parked produce");
            self.print_answer(ack.error, ack.base_offset, sends);
        }
        if let Some(proposal) = stirred.proposal {
            self.proposals.insert(id, proposal);
        }
        result
    }

    fn print_note(&mut self, id: NodeId, note: Note) {
        let line = match note {
            Note::ElectedUncleanly { leader_epoch, .. } => format!("elected uncleanly epoch={leader_epoch}"),
            Note::BecameLeader { leader_epoch, log_end_offset, high_watermark, .. } => {
                format!("leads epoch={leader_epoch} hw={high_watermark} leo={log_end_offset}")
            }
            Note::BecameFollower { leader_epoch, leader, .. } => match leader {
                Some(leader) => format!("follows {leader} epoch={leader_epoch}"),
                None => format!("follows nobody epoch={leader_epoch}"),
            },
            Note::BatchAppended { batch, .. } => {
                format!("appends {} at {} epoch={}", values(&batch), batch.base_offset, batch.leader_epoch)
            }
            Note::LogTruncated { from, to, .. } => format!("truncates {from} to {to}"),
            Note::RecordsDeleted { to, .. } => format!("deletes below {to}"),
            Note::LogStartMoved { to, .. } => format!("begins at {to}"),
            Note::HighWatermark { offset, .. } => format!("hw={offset}"),
            Note::InSyncProposed { in_sync_replicas, .. } => format!("proposes isr={}", list(in_sync_replicas)),
            Note::InSyncCommitted { in_sync_replicas, .. } => format!("commits isr={}", list(in_sync_replicas)),
            Note::DuplicateBatch { base_offset, .. } => format!("knows the batch at {base_offset}"),
            Note::ProduceAnswered { .. } => return,
            other => format!("{other:?}"),
        };
        writeln!(self.output, "{id} {line}").expect("a string");
    }

    fn print_answer(&mut self, error: ErrorCode, base_offset: Offset, sends: Vec<u64>) {
        if error == ErrorCode::None {
            writeln!(self.output, "-> {} acknowledged at {base_offset}", list(&sends)).expect("a string");
            self.acknowledged.extend(sends);
        } else {
            writeln!(self.output, "-> {} {error:?}", list(&sends)).expect("a string");
        }
    }

    /// `transaction` is `yes` for a batch whose partition the coordinator knows, `no`, or the name of an older question.
    fn produce(
        &mut self,
        to: NodeId,
        sends: Vec<u64>,
        acks: Acks,
        producer: Option<ProducerStamp>,
        transaction: Option<&str>,
    ) {
        let (records, batch) = self.batch(sends.clone(), Records::Messages(Vec::new()), producer);
        let token = match transaction {
            Some("yes") => self.step(to, |partition, _, _| partition.begin_verification(&batch)),
            Some(name) => self.tokens.get(name).copied(),
            None => None,
        };
        self.produce_batch(to, sends, records, acks, producer, token);
    }

    /// Records of these sends, or the given content when there are none.
    fn batch(&self, sends: Vec<u64>, content: Records, producer: Option<ProducerStamp>) -> (Records, RecordBatch) {
        let record = |send: &u64| Record {
            send: SendId(*send),
            message: Message {
                event: EventId(*send),
                origin: ServiceId(0),
                key: Key(0),
                version: 1,
                size: 100,
                poison: false,
                attempt: 0,
                caller_attempt: 0,
            },
            timestamp: self.now,
        };
        let records = match sends.is_empty() {
            true => content,
            false => Records::Messages(sends.iter().map(record).collect()),
        };
        let batch = RecordBatch::new(producer, Arc::new(records.clone()));
        (records, batch)
    }

    fn produce_batch(
        &mut self,
        to: NodeId,
        sends: Vec<u64>,
        records: Records,
        acks: Acks,
        producer: Option<ProducerStamp>,
        token: Option<VerificationToken>,
    ) {
        self.tickets += 1;
        let ticket = AckTicket::Coordinator(self.tickets);
        let batch = self.batch(Vec::new(), records, producer).1;
        let produced = self.step(to, |partition, image, step| {
            partition.produce_verified(&batch, token, acks, ticket, Some(NodeId(9)), image, step)
        });
        match produced {
            Produced::Answered { error, base_offset } => self.print_answer(error, base_offset, sends),
            Produced::Parked => {
                writeln!(self.output, "-> {} waits", list(&sends)).expect("a string");
                self.parked.insert(ticket, sends);
            }
        }
    }

    /// Both kinds of consumers, from an offset to the end.
    fn read(&mut self, from: NodeId, fetch_offset: Offset) {
        let question = FetchPartition {
            partition: PARTITION,
            current_leader_epoch: None,
            fetch_offset,
            last_fetched_epoch: None,
            max_bytes: ByteCount(1 << 20),
        };
        let partition = &self.partitions[&from];
        for isolation in [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted] {
            let fetched = partition.read_as_consumer(&question, ReadFrom::AnyReplica, isolation, ByteCount(1 << 20));
            let batches = list(fetched.batches.iter().map(values));
            let aborted = fetched.aborted.iter().map(|entry| format!("{}@{}", entry.producer, entry.first_offset));
            let end = partition.list_offset(false, None, isolation).offset;
            let aborted = list(aborted);
            writeln!(self.output, "{from} {isolation:?} end={end} [{batches}] aborted=[{aborted}]").expect("a string");
        }
    }

    fn fetch(&mut self, from: NodeId, leader: Option<NodeId>, holds: bool) {
        let now = self.now;
        let Some(leader) = leader.or(self.partitions[&from].following()) else {
            return writeln!(self.output, "{from} has nobody to fetch from").expect("a string");
        };
        let Some(question) = self.partitions.get_mut(&from).and_then(|follower| follower.next_fetch(leader, now))
        else {
            return writeln!(self.output, "{from} may not fetch from {leader}").expect("a string");
        };
        let broker_epoch = self.images[&from].brokers[&from].broker_epoch;
        let replica = FetchReplica { broker: from, broker_epoch };
        let budget = ByteCount(1 << 20);
        let fetched = self.step(leader, |partition, image, step| {
            let fetched = partition.read_as_follower(&question, FollowerReader::new(replica, image), budget);
            if fetched.is_read() {
                partition.handle_follower_fetch(&question, replica, image, step);
            }
            fetched
        });
        if holds {
            self.held_fetches.insert(from, (leader, fetched));
        } else {
            self.deliver_fetched(from, leader, fetched);
        }
    }

    fn deliver_fetched(&mut self, to: NodeId, from: NodeId, fetched: FetchedPartition) {
        if fetched.error != ErrorCode::None {
            writeln!(self.output, "{to} is told {:?}", fetched.error).expect("a string");
        }
        if let Some(diverging) = fetched.diverging {
            writeln!(self.output, "{to} diverges after epoch={} end={}", diverging.epoch, diverging.end_offset)
                .expect("a string");
        }
        self.step(to, |partition, _, step| partition.handle_fetched(from, fetched, step));
    }

    /// The controller's checks as far as these transcripts need them.
    fn decide(&mut self, request: &AlterPartitionRequest) -> AlterPartitionResponse {
        let state = self.controller.partitions.get_mut(&PARTITION).expect("the partition");
        let error = if request.leader_epoch < state.leader_epoch {
            ErrorCode::FencedLeaderEpoch
        } else if request.partition_epoch < state.partition_epoch {
            ErrorCode::InvalidUpdateVersion
        } else {
            state.in_sync_replicas = request.in_sync_replicas.iter().map(|(id, _)| *id).collect();
            state.partition_epoch.0 += 1;
            ErrorCode::None
        };
        AlterPartitionResponse {
            error,
            partition: PARTITION,
            leader: state.leader,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            in_sync_replicas: state.in_sync_replicas.clone(),
        }
    }

    fn answer(&mut self, to: NodeId) -> Result<(), Box<dyn Error>> {
        let (number, response) = self.held_answers.remove(&to).ok_or("no answer is held")?;
        self.step(to, |partition, image, step| partition.handle_alter_partition(number, &response, image, step));
        Ok(())
    }

    fn fence(&mut self, id: NodeId, fenced: bool) {
        self.controller.brokers.get_mut(&id).expect("a broker").fenced = fenced;
        let state = self.controller.partitions.get_mut(&PARTITION).expect("the partition");
        if fenced && state.in_sync_replicas.len() > 1 {
            state.in_sync_replicas.retain(|other| *other != id);
            state.partition_epoch.0 += 1;
        }
        let leader = state
            .replicas
            .iter()
            .copied()
            .find(|other| state.in_sync_replicas.contains(other) && !self.controller.brokers[other].fenced);
        if state.leader.is_none_or(|old| self.controller.brokers[&old].fenced) && state.leader != leader {
            self.elect_or_none(leader);
        }
        self.print_controller();
    }

    fn elect(&mut self, id: NodeId) {
        self.elect_or_none(Some(id));
        self.print_controller();
    }

    fn elect_or_none(&mut self, leader: Option<NodeId>) {
        let state = self.controller.partitions.get_mut(&PARTITION).expect("the partition");
        state.leader = leader;
        state.leader_epoch.0 += 1;
        state.partition_epoch.0 += 1;
    }

    fn print_controller(&mut self) {
        let state = &self.controller.partitions[&PARTITION];
        let leader = state.leader.map_or("none".to_string(), |id| id.to_string());
        let isr = list(&state.in_sync_replicas);
        writeln!(self.output, "controller: leader={leader} epoch={} isr={isr}", state.leader_epoch).expect("a string");
    }

    fn apply(&mut self, id: NodeId) {
        self.images.insert(id, self.controller.clone());
        let state = self.controller.partitions[&PARTITION].clone();
        self.step(id, |partition, image, step| partition.apply_metadata(&state, image, step));
    }

    /// The page cache survives, the high watermark is the last checkpoint: none.
    fn restart(&mut self, id: NodeId) {
        let batches = self.partitions[&id].log().batches().to_vec();
        self.open(id, LogImage { batches, ..LogImage::default() });
    }

    fn show(&mut self) {
        for (id, partition) in &self.partitions {
            let role = match partition.role() {
                Role::Leader(leader) => format!("leader epoch={}", leader.leader_epoch()),
                Role::Follower(follower) => format!("follower epoch={}", follower.leader_epoch()),
                Role::Offline => "offline".to_string(),
            };
            let log =
                list(partition.log().batches().iter().map(|batch| format!("{}@{}", values(batch), batch.leader_epoch)));
            let (hw, leo) = (partition.high_watermark(), partition.log().end_offset());
            writeln!(self.output, "{id} {role} hw={hw} leo={leo} [{log}]").expect("a string");
        }
    }

    /// Whether the controller's leader holds everything acknowledged with acks=all.
    fn verify(&mut self) {
        let leader = self.controller.partitions[&PARTITION].leader.expect("a leader");
        let log = self.partitions[&leader].log();
        let held: Vec<u64> =
            log.batches().iter().flat_map(|batch| batch.messages()).map(|record| record.send.0).collect();
        let lost: Vec<u64> = self.acknowledged.iter().copied().filter(|send| !held.contains(send)).collect();
        let acknowledged = list(&self.acknowledged);
        let verdict = if lost.is_empty() { "nothing lost".to_string() } else { format!("LOST {}", list(lost)) };
        writeln!(self.output, "acknowledged [{acknowledged}], leader {leader}: {verdict}").expect("a string");
    }
}

fn broker_state(broker: NodeId, broker_epoch: BrokerEpoch) -> BrokerState {
    BrokerState {
        registration: BrokerRegistration { broker, incarnation: Incarnation(1), rack: None },
        broker_epoch,
        fenced: false,
        shutting_down: false,
    }
}

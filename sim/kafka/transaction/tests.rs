//! Transcripts of the coordinator: every request, append and answer of a broker is a line of the script.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use goldenscript::Command as Line;

use super::entry::{Decision, Entry, Rules};
use super::*;
use crate::types::note::Note;
use crate::types::record::{TransactionOutcome, TransactionRecord, TransactionState};
use crate::types::request::*;
use crate::types::settings::TransactionVersion;
use crate::types::*;

#[test]
fn transcripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sim/kafka/transaction/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no transcripts");
    for path in paths {
        goldenscript::run(&mut Bench::new(), &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn a_producer_whose_epochs_are_used_up_begins_with_a_new_id() {
    let record = |epoch| TransactionRecord {
        id: ID,
        producer: ProducerId(41),
        epoch,
        timeout: Duration::from_secs(60),
        state: TransactionState::CompleteCommit,
        partitions: Vec::new(),
        started: Time::ZERO,
        next_producer: None,
        replaced: None,
    };
    let rules = Rules { version: TransactionVersion::Two, epoch_last: ProducerEpoch::LAST, guards: Guards::ALL };
    let init = InitTransaction { id: ID, timeout: Duration::from_secs(60), identity: None };
    let given = |epoch, fresh: Option<ProducerId>| match Entry::new(record(epoch)).decide_init(init, || fresh, rules) {
        Decision::Write(next) => Ok((next.producer.0, next.epoch.0)),
        Decision::Answer(error) | Decision::WriteAndRefuse(_, error) => Err(error),
    };
    let last = ProducerEpoch::LAST.0;
    assert_eq!(given(ProducerEpoch(last - 2), None), Ok((41, last - 1)), "the last that may write");
    for used_up in [ProducerEpoch(last - 1), ProducerEpoch::LAST] {
        assert_eq!(given(used_up, Some(ProducerId(42))), Ok((42, 0)));
        assert_eq!(given(used_up, None), Err(ErrorCode::CoordinatorLoadInProgress), "it may come again");
    }
    let ongoing = TransactionRecord { state: TransactionState::Ongoing, ..record(ProducerEpoch(last - 1)) };
    let (producer, epoch, outcome) = (ProducerId(41), ProducerEpoch(last - 1), TransactionOutcome::Commit);
    let request = EndTxnRequest { id: ID, producer, epoch, outcome };
    let end = Entry::new(ongoing.clone()).decide_end(request, || Some(ProducerId(42)), rules);
    let Decision::Write(prepared) = end else { panic!("{end:?}") };
    assert_eq!((prepared.epoch, prepared.next_producer), (ProducerEpoch::LAST, Some(ProducerId(42))));
    let end = Entry::new(ongoing).decide_end(request, || None, rules);
    assert!(matches!(end, Decision::Answer(ErrorCode::CoordinatorLoadInProgress)), "it may come again: {end:?}");
}

const TOPIC: TopicId = TopicId(9);
const SHARD: TopicPartition = TopicPartition { topic: TOPIC, partition: 0 };
const ID: TransactionalId = TransactionalId(7);

/// Commands: `lead`, a new coordinator, of whose log the last `only-here` records are not replicated; `catch-up`, now they are;
/// `resign`, `regain`, the same one leads again; `write`, a record of another coordinator; `lose`, its log is without the last;
/// `init`, `add`, `verify`, `end`, `replicate`, `fail`, `marked`, `refused`, `cut`, `advance`, `show`.
/// Partition t0/N is led by node N.
struct Bench {
    now: Time,
    coordinator: TransactionCoordinator,
    /// The log of the transactions topic, as a successor would find it.
    log: Vec<RecordBatch>,
    appends: VecDeque<TransactionAppend>,
    marking: VecDeque<(NodeId, Correlation, Vec<TransactionMarker>)>,
    fresh: u64,
    requests: u64,
    /// `transaction.version`, and the epoch at which producers get a new id.
    version: u16,
    epoch_last: u16,
    output: String,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            now: Time::ZERO,
            coordinator: coordinator(2, ProducerEpoch::LAST.0, Guards::ALL),
            version: 2,
            epoch_last: ProducerEpoch::LAST.0,
            log: Vec::new(),
            appends: VecDeque::new(),
            marking: VecDeque::new(),
            fresh: 40,
            requests: 0,
            output: String::new(),
        }
    }

    fn step(&mut self, call: impl FnOnce(&mut TransactionCoordinator, &mut Step) -> Vec<TransactionAppend>) {
        let (mut outbox, mut rng) = (Outbox::default(), Seed(0).stream("test"));
        let now = Now { monotonic: self.now, wall_clock: self.now };
        let appends = call(&mut self.coordinator, &mut Step { now, rng: &mut rng, out: &mut outbox });
        for output in outbox.0 {
            self.print(output);
        }
        for append in appends {
            self.say(format!("appends {}", describe(&append.record)));
            self.appends.push_back(append);
        }
    }

    fn print(&mut self, output: Output) {
        let line = match output {
            Output::Note(Note::TransactionChanged { record, .. }) => format!("is {}", describe(&record)),
            Output::Note(Note::TransactionCoordinatorLoaded { transactions }) => format!("loaded {transactions}"),
            Output::Note(_) => return,
            Output::Effect(Effect::Reply { to, response }) => format!("-> {} {response:?}", to.correlation.0),
            Output::Effect(Effect::Send { to, correlation, request: Request::WriteTxnMarkers { markers }, .. }) => {
                let one = |marker: &TransactionMarker| {
                    let partitions: Vec<String> = marker.partitions.iter().map(TopicPartition::to_string).collect();
                    let TransactionMarker { producer, epoch, coordinator_epoch, outcome, .. } = marker;
                    let partitions = partitions.join(",");
                    format!("{outcome:?} of {producer}/{epoch} by {coordinator_epoch} in {partitions}")
                };
                let markers_text: Vec<String> = markers.iter().map(one).collect();
                self.marking.push_back((to, correlation, markers));
                format!("sends {to} {}", markers_text.join("; "))
            }
            Output::Effect(other) => format!("{other:?}"),
        };
        self.say(line);
    }

    fn say(&mut self, line: String) {
        writeln!(self.output, "{line}").expect("a string");
    }

    fn request(&mut self, request: &Request) {
        self.requests += 1;
        let connection = ConnectionId(1);
        let from = ReplyTo { connection, correlation: Correlation(self.requests), peer: NodeId(7) };
        let mut fresh = self.fresh;
        let next = || {
            fresh += 1;
            Some(ProducerId(fresh))
        };
        self.step(|coordinator, step| coordinator.handle_request(from, request, next, step));
        self.fresh = fresh;
    }

    fn finish(&mut self, error: ErrorCode) -> Result<(), Box<dyn Error>> {
        let append = self.appends.pop_front().ok_or("nothing is being appended")?;
        let result = if error == ErrorCode::None { Ok(Offset(0)) } else { Err(error) };
        if error == ErrorCode::None {
            self.write(append.record);
        }
        self.step(|coordinator, step| coordinator.append_finished(append.token, result, leader_of, step));
        Ok(())
    }

    fn write(&mut self, record: TransactionRecord) {
        self.log.push(RecordBatch {
            base_offset: Offset(self.log.len() as u64),
            leader_epoch: LeaderEpoch(0),
            ..RecordBatch::new(None, Arc::new(Records::Transactions(vec![record])))
        });
    }

    fn lead(&mut self, leader_epoch: LeaderEpoch, only_here: u64) {
        let (log, high_watermark) = (self.log.clone(), Offset(self.log.len() as u64 - only_here));
        self.step(|coordinator, step| {
            coordinator.become_leader(SHARD, leader_epoch, &log, high_watermark, step);
            Vec::new()
        });
    }

    fn marked(&mut self, error: ErrorCode) -> Result<(), Box<dyn Error>> {
        let (to, correlation, markers) = self.marking.pop_front().ok_or("no markers are out")?;
        let errors = markers.iter().map(|marker| vec![error; marker.partitions.len()]).collect();
        self.step(|coordinator, step| coordinator.handle_markers_written(to, correlation, errors, leader_of, step));
        Ok(())
    }
}

impl goldenscript::Runner for Bench {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut arguments = line.consume_args();
        let mut number = |key: &str, default: u64| -> Result<u64, Box<dyn Error>> {
            Ok(arguments.take_key(key).map_or(Ok(default), str::parse)?)
        };
        let (producer, epoch) = (ProducerId(number("producer", 41)?), ProducerEpoch(number("epoch", 0)? as u16));
        match line.name.as_str() {
            "lead" => {
                let leader_epoch = LeaderEpoch(epoch.0.into());
                self.version = arguments.take_key("version").map_or(Ok(self.version), |level| level.parse())?;
                self.epoch_last = arguments.take_key("last").map_or(Ok(self.epoch_last), |last| last.parse())?;
                let off = arguments.take_key("off").unwrap_or("");
                let guards = Guard::ALL.iter().filter(|guard| guard.id() == off).copied().collect();
                self.coordinator = coordinator(self.version, self.epoch_last, guards);
                self.appends.clear();
                self.marking.clear();
                let only_here = arguments.take_key("only-here").map_or(Ok(0), str::parse)?;
                self.lead(leader_epoch, only_here);
            }
            "regain" => self.lead(LeaderEpoch(epoch.0.into()), 0),
            "lose" => {
                self.log.pop();
            }
            "catch-up" => {
                let end = Offset(self.log.len() as u64);
                self.step(|coordinator, step| match coordinator.replicated(SHARD, end) {
                    true => coordinator.advance(leader_of, step),
                    false => Vec::new(),
                });
            }
            "write" => {
                let state = match arguments.next_pos() {
                    Some("ongoing") => TransactionState::Ongoing,
                    Some("prepare-abort") => TransactionState::PrepareAbort,
                    Some("complete-abort") => TransactionState::CompleteAbort,
                    other => return Err(format!("which state? {other:?}").into()),
                };
                let mut partitions = Vec::new();
                while let Some(number) = arguments.next_pos() {
                    partitions.push(TopicPartition::new(TopicId(0), number.parse()?));
                }
                let (timeout, started) = (Duration::from_secs(60), self.now);
                let (next_producer, replaced) = (None, None);
                self.write(TransactionRecord {
                    id: ID,
                    producer,
                    epoch,
                    timeout,
                    state,
                    partitions,
                    started,
                    next_producer,
                    replaced,
                });
            }
            "resign" => self.step(|coordinator, step| {
                coordinator.resign(SHARD, step);
                Vec::new()
            }),
            "init" => {
                let identity = arguments.take_key("again").map(|_| (producer, epoch));
                let init = InitTransaction { id: ID, timeout: Duration::from_secs(60), identity };
                self.request(&Request::InitProducerId { transaction: Some(init) });
            }
            "add" | "verify" => {
                let parse = |number: &str| Ok(TopicPartition::new(TopicId(0), number.parse()?));
                let mut partitions: Vec<TopicPartition> = Vec::new();
                while let Some(number) = arguments.next_pos() {
                    partitions.push(parse(number).map_err(|error: std::num::ParseIntError| error)?);
                }
                let verify_only = line.name == "verify";
                let add = AddPartitionsToTxnRequest { id: ID, producer, epoch, partitions, verify_only };
                self.request(&Request::AddPartitionsToTxn(add));
            }
            "end" => {
                let outcome = match arguments.next_pos() {
                    Some("commit") => TransactionOutcome::Commit,
                    Some("abort") => TransactionOutcome::Abort,
                    other => return Err(format!("which outcome? {other:?}").into()),
                };
                self.request(&Request::EndTxn(EndTxnRequest { id: ID, producer, epoch, outcome }));
            }
            "replicate" => self.finish(ErrorCode::None)?,
            "fail" => self.finish(ErrorCode::RequestTimedOut)?,
            "marked" => self.marked(ErrorCode::None)?,
            "refused" => self.marked(ErrorCode::NotLeaderOrFollower)?,
            "cut" => {
                let (to, ..) = self.marking.pop_front().ok_or("no markers are out")?;
                self.step(|coordinator, step| {
                    coordinator.handle_disconnected(to, step);
                    Vec::new()
                });
            }
            "advance" => {
                let length: Duration = arguments.next_pos().unwrap_or("").parse().map_err(|_| "a duration")?;
                let until = self.now + length;
                while let Some((time, _)) = self.coordinator.next_deadline(leader_of).filter(|(time, _)| *time <= until)
                {
                    self.now = self.now.max(time);
                    self.step(|coordinator, step| coordinator.handle_timeout(leader_of, step));
                }
                self.now = until;
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(std::mem::take(&mut self.output))
    }
}

fn coordinator(version: u16, epoch_last: u16, guards: Guards) -> TransactionCoordinator {
    TransactionCoordinator::new(TransactionConfig {
        topic: Some(TOPIC),
        partitions: 1,
        timeout_max: Duration::from_secs(900),
        expiry_interval: Duration::from_secs(10),
        channel: Channel(5),
        version: version.into(),
        epoch_last: ProducerEpoch(epoch_last),
        guards,
    })
}

fn leader_of(partition: TopicPartition) -> Option<NodeId> {
    Some(NodeId(partition.partition))
}

fn describe(record: &TransactionRecord) -> String {
    let partitions: Vec<String> = record.partitions.iter().map(TopicPartition::to_string).collect();
    format!("{:?} {}/{} [{}]", record.state, record.producer, record.epoch, partitions.join(","))
}

//! Histories as files: one JSON object a line, and a flat table for spreadsheets.
//!
//! The one idea: each event is a name and a few named fields, with the names of the plan instead of numbers. The JSON
//! lines hold all of them; the table has a column for each field people filter by and puts the rest into `more`. An event
//! is described once and written to both, as the history goes by; the files are the same, byte for byte, for the same run.
//!
//! A history is large (some 30 events for each business event and queue it passes), so a field that an event does not
//! have is absent from its line, and nothing is padded: `seconds` is a number with as many decimals as it needs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use super::{Event, Happening};
use crate::scenario::plan::{Plan, StepPlan};
use crate::types::note::{Note, StoreEffect};
use crate::types::record::Records;
use crate::types::*;

/// Names of the numbers in a history.
#[derive(Clone, Debug, Default)]
pub struct Names {
    nodes: BTreeMap<NodeId, String>,
    topics: BTreeMap<TopicId, String>,
    groups: BTreeMap<GroupId, String>,
    services: BTreeMap<ServiceId, String>,
    places: BTreeMap<PlaceId, String>,
    faults: BTreeMap<FaultId, String>,
    steps: BTreeMap<(ServiceId, u16), String>,
}

/// Writes each event as a line of JSON and as a row of a table.
pub struct Recorder<L: Write, T: Write> {
    names: Names,
    lines: L,
    table: csv::Writer<T>,
}

/// Columns of the table between `what` and `more`.
const COLUMNS: [&str; 10] =
    ["event", "partition", "offset", "end-offset", "service", "step", "place", "group", "peer", "outcome"];

impl Names {
    pub fn of(plan: &Plan) -> Names {
        let steps = plan.services.iter().flat_map(|service| {
            let steps = service.steps.iter().enumerate();
            steps.map(|(number, step)| ((service.id, number as u16), step_name(&service.steps[..number], &step.text)))
        });
        Names {
            nodes: plan.nodes.iter().map(|node| (node.id, node.name.clone())).collect(),
            topics: plan.topics.iter().map(|topic| (topic.id, topic.name.clone())).collect(),
            groups: plan.groups.iter().map(|group| (group.id, group.name.clone())).collect(),
            services: plan.services.iter().map(|service| (service.id, service.name.clone())).collect(),
            places: plan.places.iter().map(|place| (place.id, place.name.clone())).collect(),
            faults: plan.faults.iter().map(|fault| (fault.id, fault.name.clone())).collect(),
            steps: steps.collect(),
        }
    }

    pub fn node(&self, node: NodeId) -> Cow<'_, str> {
        match node {
            NodeId(0) => Cow::Borrowed("world"),
            _ => known(&self.nodes, node),
        }
    }

    pub fn partition(&self, partition: TopicPartition) -> Cow<'_, str> {
        Cow::Owned(format!("{}/{}", known(&self.topics, partition.topic), partition.partition))
    }

    pub fn topic(&self, topic: TopicId) -> Cow<'_, str> {
        known(&self.topics, topic)
    }

    pub fn place(&self, place: PlaceId) -> Cow<'_, str> {
        known(&self.places, place)
    }

    pub fn group(&self, group: GroupId) -> Cow<'_, str> {
        known(&self.groups, group)
    }

    pub fn service(&self, service: ServiceId) -> Cow<'_, str> {
        known(&self.services, service)
    }

    pub fn fault(&self, fault: FaultId) -> Cow<'_, str> {
        known(&self.faults, fault)
    }

    // The way back, for who reads a history.

    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        if name == "world" {
            Some(NodeId(0))
        } else {
            number_of(&self.nodes, name).or_else(|| unnamed(name).map(NodeId))
        }
    }

    pub fn topic_named(&self, name: &str) -> Option<TopicId> {
        number_of(&self.topics, name).or_else(|| unnamed(name).map(TopicId))
    }

    pub fn group_named(&self, name: &str) -> Option<GroupId> {
        number_of(&self.groups, name).or_else(|| unnamed(name).map(GroupId))
    }

    pub fn service_named(&self, name: &str) -> Option<ServiceId> {
        number_of(&self.services, name)
    }

    pub fn place_named(&self, name: &str) -> Option<PlaceId> {
        number_of(&self.places, name)
    }

    pub fn fault_named(&self, name: &str) -> Option<FaultId> {
        number_of(&self.faults, name)
    }

    pub fn step_named(&self, service: ServiceId, name: &str) -> Option<u16> {
        let of_service = self.steps.range((service, 0)..=(service, u16::MAX));
        let named = of_service.into_iter().find(|(_, text)| *text == name);
        named.map(|((_, step), _)| *step).or_else(|| name.parse().ok())
    }

    pub fn step(&self, service: ServiceId, step: u16) -> Cow<'_, str> {
        match self.steps.get(&(service, step)) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(step.to_string()),
        }
    }
}

fn number_of<Id: Copy>(names: &BTreeMap<Id, String>, name: &str) -> Option<Id> {
    names.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
}

/// What the plan has no name for is written as a letter and its number.
fn unnamed(name: &str) -> Option<u16> {
    name.get(1..).filter(|_| name.starts_with(['n', 't', 'g'])).and_then(|digits| digits.parse().ok())
}

/// A step as it was written; the second one that reads the same says so.
fn step_name(before: &[StepPlan], text: &str) -> String {
    match before.iter().filter(|step| step.text == text).count() {
        0 => text.to_string(),
        same => format!("{text} #{}", same + 1),
    }
}

/// The name of a number, or the number itself when the plan has no name for it.
fn known<Id: Ord + Copy + fmt::Display>(names: &BTreeMap<Id, String>, id: Id) -> Cow<'_, str> {
    match names.get(&id) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(id.to_string()),
    }
}

impl<L: Write, T: Write> Recorder<L, T> {
    /// Writes the head of the table.
    pub fn new(names: Names, lines: L, table: T) -> io::Result<Recorder<L, T>> {
        let mut table = csv::Writer::from_writer(table);
        let head = ["number", "seconds", "node", "what"].into_iter().chain(COLUMNS).chain(["more"]);
        table.write_record(head)?;
        Ok(Recorder { names, lines, table })
    }

    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let Fields { what, fields } = describe(event, &self.names);
        let node = self.names.node(event.node);
        let seconds = seconds(event.time);
        write!(self.lines, "{{\"number\":{},\"seconds\":{seconds},\"node\":", event.number)?;
        serde_json::to_writer(&mut self.lines, &node)?;
        write!(self.lines, ",\"what\":\"{what}\"")?;
        for (name, value) in &fields {
            write!(self.lines, ",\"{name}\":")?;
            serde_json::to_writer(&mut self.lines, value)?;
        }
        self.lines.write_all(b"}\n")?;
        for first in [event.number.to_string().as_str(), &seconds, &node, what] {
            self.table.write_field(first)?;
        }
        for column in COLUMNS {
            let value = fields.iter().find(|(name, _)| *name == column);
            self.table.write_field(value.map_or(Cow::Borrowed(""), |(_, value)| value.text()).as_bytes())?;
        }
        let more = fields.iter().filter(|(name, _)| !COLUMNS.contains(name));
        self.table
            .write_field(more.map(|(name, value)| format!("{name}={}", value.text())).collect::<Vec<_>>().join(" "))?;
        self.table.write_record(None::<&[u8]>)?;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<(L, T)> {
        self.lines.flush()?;
        self.table.flush()?;
        let table = self.table.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        Ok((self.lines, table))
    }
}

struct Fields<'a> {
    what: &'static str,
    fields: Vec<(&'static str, Value<'a>)>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    List(Vec<Cow<'a, str>>),
}

impl Value<'_> {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Value::List(items) => Cow::Owned(items.join("|")),
        }
    }
}

/// Builds the fields of one event.
struct Row<'a> {
    names: &'a Names,
    fields: Fields<'a>,
}

impl<'a> Row<'a> {
    fn new(names: &'a Names, what: &'static str) -> Row<'a> {
        Row { names, fields: Fields { what, fields: Vec::new() } }
    }

    fn put(mut self, name: &'static str, value: Value<'a>) -> Row<'a> {
        self.fields.fields.push((name, value));
        self
    }

    fn text(self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Row<'a> {
        self.put(name, Value::Text(value.into()))
    }

    fn number(self, name: &'static str, value: impl Into<u64>) -> Row<'a> {
        self.put(name, Value::Number(value.into()))
    }

    fn flag(self, name: &'static str, value: bool) -> Row<'a> {
        self.put(name, Value::Flag(value))
    }

    fn debug(self, name: &'static str, value: impl std::fmt::Debug) -> Row<'a> {
        self.text(name, kebab(value))
    }

    fn partition(self, partition: TopicPartition) -> Row<'a> {
        let name = self.names.partition(partition);
        self.text("partition", name)
    }

    fn partitions(self, partitions: &[TopicPartition]) -> Row<'a> {
        let list = partitions.iter().map(|partition| self.names.partition(*partition)).collect();
        self.put("partitions", Value::List(list))
    }

    fn numbers(self, name: &'static str, numbers: &[RowNumber]) -> Row<'a> {
        self.put(name, Value::List(numbers.iter().map(|number| number.to_string().into()).collect()))
    }

    fn nodes(self, name: &'static str, nodes: &[NodeId]) -> Row<'a> {
        let list = nodes.iter().map(|node| self.names.node(*node)).collect();
        self.put(name, Value::List(list))
    }

    fn peer(self, node: NodeId) -> Row<'a> {
        let name = self.names.node(node);
        self.text("peer", name)
    }

    fn offset(self, offset: Offset) -> Row<'a> {
        self.number("offset", offset.0)
    }

    fn end_offset(self, offset: Offset) -> Row<'a> {
        self.number("end-offset", offset.0)
    }

    fn leader_epoch(self, epoch: LeaderEpoch) -> Row<'a> {
        self.number("leader-epoch", epoch.0)
    }

    fn group(self, group: GroupId) -> Row<'a> {
        let name = self.names.group(group);
        self.text("group", name)
    }

    fn service(self, service: ServiceId) -> Row<'a> {
        let name = self.names.service(service);
        self.text("service", name)
    }

    fn step(self, service: ServiceId, step: u16) -> Row<'a> {
        let name = self.names.step(service, step);
        self.service(service).text("step", name)
    }

    fn place(self, place: PlaceId) -> Row<'a> {
        let name = self.names.place(place);
        self.text("place", name)
    }

    fn fault(self, fault: FaultId) -> Row<'a> {
        let name = self.names.fault(fault);
        self.text("fault", name)
    }

    fn event(self, event: EventId) -> Row<'a> {
        self.text("event", event.to_string())
    }

    fn message(self, message: &Message) -> Row<'a> {
        let row = self.event(message.event).number("key", message.key.0).number("version", message.version);
        let row = if message.poison { row.flag("poison", true) } else { row };
        let row = if message.attempt > 0 { row.number("retries", message.attempt) } else { row };
        if message.caller_attempt > 0 { row.number("caller-attempt", message.caller_attempt) } else { row }
    }

    /// What a batch holds: messages as events and the sends that they are, or the end of a transaction. Records of the queue's
    /// own topics are only counted.
    fn contents(self, batch: &RecordBatch) -> Row<'a> {
        let row = match &*batch.records {
            Records::Messages(records) => {
                let events = records.iter().map(|record| Cow::Owned(record.message.event.to_string())).collect();
                let sends = records.iter().map(|record| Cow::Owned(record.send.to_string())).collect();
                self.put("events", Value::List(events)).put("sends", Value::List(sends))
            }
            Records::Marker(marker) => {
                self.debug("marker", marker.outcome).number("coordinator-epoch", marker.coordinator_epoch.0)
            }
            Records::Groups(_) | Records::Metadata(_) | Records::Transactions(_) => self,
        };
        let row = match batch.compacted.is_empty() {
            true => row,
            false => {
                let places = batch.compacted.places().map(|place| Cow::Owned(place.to_string()));
                row.put("compacted", Value::List(places.collect()))
            }
        };
        let Some(stamp) = batch.producer else { return row };
        let row = row.number("producer-id", stamp.id.0).number("producer-epoch", stamp.epoch.0);
        let row = if stamp.transactional { row.flag("transactional", true) } else { row };
        match stamp.base_sequence {
            Sequence::NONE => row,
            sequence => row.number("sequence", sequence.0),
        }
    }

    fn effect(self, effect: StoreEffect) -> Row<'a> {
        match effect {
            StoreEffect::Overwrote { newer } => self.text("outcome", "overwrote").flag("newer", newer),
            StoreEffect::Executed { run } => self.text("outcome", "executed").number("run", run.0),
            StoreEffect::Inserted | StoreEffect::Unchanged | StoreEffect::Added => self.debug("outcome", effect),
        }
    }

    fn send(self, send: SendId) -> Row<'a> {
        self.text("send", send.to_string())
    }

    fn member(self, member: Option<MemberId>) -> Row<'a> {
        match member {
            Some(member) => self.text("member", member.to_string()),
            None => self,
        }
    }
}

fn describe<'a>(event: &'a Event, names: &'a Names) -> Fields<'a> {
    let row = |what| Row::new(names, what);
    let row = match &event.what {
        Happening::Note(note) => return describe_note(note, names),
        Happening::Started { incarnation } => row("started").number("incarnation", incarnation.0),
        Happening::Stopped { why } => row("stopped").debug("outcome", why),
        Happening::Paused => row("paused"),
        Happening::Resumed => row("resumed"),
        Happening::PowerLost { lost } => row("power-lost").number("lost", *lost),
        Happening::FaultFired { fault, nodes, peers } => {
            row("fault-fired").fault(*fault).nodes("nodes", nodes).nodes("peers", peers)
        }
        Happening::FaultHealed { fault } => row("fault-healed").fault(*fault),
        Happening::FaultRefused { fault, nodes, why } => {
            row("fault-refused").fault(*fault).nodes("nodes", nodes).debug("outcome", why)
        }
        Happening::LoadEnded => row("load-ended"),
        Happening::BrokerTraffic { requests, bytes } => {
            row("broker-traffic").number("requests", *requests).number("bytes", *bytes)
        }
        Happening::Ended { quiet } => row("ended").flag("quiet", *quiet),
        Happening::MessageDropped { to, kind, response } => {
            row("message-dropped").peer(*to).debug("kind", kind).flag("response", *response)
        }
        Happening::NeverReady => row("never-ready"),
        Happening::Panicked { message } => row("panicked").text("message", message),
    };
    row.fields
}

fn describe_note<'a>(note: &'a Note, names: &'a Names) -> Fields<'a> {
    let row = |what| Row::new(names, what);
    let row = match note {
        // --- replicas and controllers ---
        Note::ElectedUncleanly { partition, leader_epoch } => {
            row("elected-uncleanly").partition(*partition).leader_epoch(*leader_epoch)
        }
        Note::BecameLeader { partition, leader_epoch, log_end_offset, high_watermark } => row("became-leader")
            .partition(*partition)
            .leader_epoch(*leader_epoch)
            .end_offset(*log_end_offset)
            .number("high-watermark", high_watermark.0),
        Note::BecameFollower { partition, leader_epoch, leader } => {
            let row = row("became-follower").partition(*partition).leader_epoch(*leader_epoch);
            match leader {
                Some(leader) => row.peer(*leader),
                None => row,
            }
        }
        Note::BatchAppended { partition, role, batch } => {
            let row = row("batch-appended")
                .partition(*partition)
                .offset(batch.base_offset)
                .end_offset(batch.end_offset())
                .leader_epoch(batch.leader_epoch)
                .debug("role", role);
            row.contents(batch)
        }
        Note::LogTruncated { partition, from, to } => {
            row("log-truncated").partition(*partition).offset(*to).end_offset(*from)
        }
        Note::LogStartMoved { partition, to } => row("log-start-moved").partition(*partition).offset(*to),
        Note::RecordsDeleted { partition, to } => row("records-deleted").partition(*partition).offset(*to),
        Note::LogCompacted { partition, to, removed } => {
            let stretches = removed.iter().map(|(from, to)| Cow::Owned(format!("{from}..{to}"))).collect();
            row("log-compacted").partition(*partition).offset(*to).put("removed", Value::List(stretches))
        }
        Note::HighWatermark { partition, leader_epoch, offset, as_leader } => row("high-watermark")
            .partition(*partition)
            .offset(*offset)
            .leader_epoch(*leader_epoch)
            .flag("as-leader", *as_leader),
        Note::InSyncProposed { partition, leader_epoch, in_sync_replicas } => row("in-sync-proposed")
            .partition(*partition)
            .leader_epoch(*leader_epoch)
            .nodes("in-sync-replicas", in_sync_replicas),
        Note::InSyncCommitted { partition, leader_epoch, partition_epoch, in_sync_replicas } => {
            row("in-sync-committed")
                .partition(*partition)
                .leader_epoch(*leader_epoch)
                .number("partition-epoch", partition_epoch.0)
                .nodes("in-sync-replicas", in_sync_replicas)
        }
        Note::ProduceAnswered { partition, leader_epoch, acks, error, base_offset, end_offset, to } => {
            row("produce-answered")
                .partition(*partition)
                .offset(*base_offset)
                .end_offset(*end_offset)
                .leader_epoch(*leader_epoch)
                .peer(*to)
                .debug("outcome", error)
                .debug("acks", acks)
        }
        Note::DuplicateBatch { partition, base_offset } => {
            row("duplicate-batch").partition(*partition).offset(*base_offset)
        }
        Note::BecameCandidate { epoch } => row("became-candidate").number("epoch", epoch.0),
        Note::BecameController { epoch } => row("became-controller").number("epoch", epoch.0),
        Note::ResignedController { epoch } => row("resigned-controller").number("epoch", epoch.0),
        Note::VoteGranted { epoch, to } => row("vote-granted").number("epoch", epoch.0).peer(*to),
        Note::QuorumAppended { offset, epoch } => row("quorum-appended").offset(*offset).number("epoch", epoch.0),
        Note::QuorumTruncated { to } => row("quorum-truncated").offset(*to),
        Note::QuorumHighWatermark { epoch, offset } => {
            row("quorum-high-watermark").offset(*offset).number("epoch", epoch.0)
        }
        Note::BrokerChanged { broker, broker_epoch, fenced, shutting_down } => row("broker-changed")
            .peer(*broker)
            .number("broker-epoch", broker_epoch.0)
            .flag("fenced", *fenced)
            .flag("shutting-down", *shutting_down),
        Note::PartitionChanged { partition, state, unclean } => {
            let row = row("partition-changed")
                .partition(*partition)
                .leader_epoch(state.leader_epoch)
                .number("partition-epoch", state.partition_epoch.0)
                .nodes("replicas", &state.replicas)
                .nodes("in-sync-replicas", &state.in_sync_replicas)
                .nodes("eligible-leader-replicas", &state.eligible_leader_replicas)
                .flag("unclean", *unclean);
            let row = if state.recovering { row.flag("recovering", true) } else { row };
            let row = match state.last_known_leader {
                Some(leader) => row.text("last-known-leader", names.node(leader)),
                None => row,
            };
            let row = match &state.reassignment {
                Some(moving) => row.nodes("adding", &moving.adding).nodes("removing", &moving.removing),
                None => row,
            };
            match state.leader {
                Some(leader) => row.peer(leader),
                None => row,
            }
        }
        Note::MetadataApplied { end_offset } => row("metadata-applied").end_offset(*end_offset),
        // --- group coordinators, producers and consumers ---
        Note::GroupChanged { group, state, generation, members } => row("group-changed")
            .group(*group)
            .debug("outcome", state)
            .number("generation", generation.0)
            .number("members", *members),
        Note::OffsetCommitted { group, partition, offset, member, by } => {
            row("offset-committed").group(*group).partition(*partition).offset(*offset).peer(*by).member(*member)
        }
        Note::OffsetCommitRefused { group, error, member, by } => {
            row("offset-commit-refused").group(*group).debug("outcome", error).peer(*by).member(*member)
        }
        Note::OffsetExpired { group, partition } => row("offset-expired").group(*group).partition(*partition),
        Note::CoordinatorLoaded { groups } => row("coordinator-loaded").number("groups", *groups),
        Note::Sent { send, event, partition } => row("sent").send(*send).event(*event).partition(*partition),
        Note::BatchSent { partition, first, count, attempt, to } => row("batch-sent")
            .partition(*partition)
            .send(*first)
            .number("count", *count)
            .number("attempt", *attempt)
            .peer(*to),
        Note::SendSucceeded { send, partition, offset } => {
            let row = row("send-succeeded").send(*send).partition(*partition);
            match offset {
                Some(offset) => row.offset(*offset),
                None => row,
            }
        }
        Note::SendFailed { send, error, certain } => {
            row("send-failed").send(*send).debug("outcome", error).flag("certain", *certain)
        }
        Note::ProducerStarted { id, epoch } => {
            row("producer-started").number("producer-id", id.0).number("producer-epoch", epoch.0)
        }
        Note::Joined { group, member, generation } => {
            row("joined").group(*group).member(Some(*member)).number("generation", generation.0)
        }
        Note::Assigned { group, member, generation, partitions } => row("assigned")
            .group(*group)
            .member(Some(*member))
            .number("generation", generation.0)
            .partitions(partitions),
        Note::Revoked { group, member, partitions } => {
            row("revoked").group(*group).member(Some(*member)).partitions(partitions)
        }
        Note::Lost { group, member, partitions } => {
            row("lost").group(*group).member(Some(*member)).partitions(partitions)
        }
        Note::PositionSet { group, partition, offset, why } => {
            row("position-set").group(*group).partition(*partition).offset(*offset).debug("outcome", why)
        }
        Note::Polled { group, partition, from, to, count } => {
            row("polled").group(*group).partition(*partition).offset(*from).end_offset(*to).number("count", *count)
        }
        Note::CommitSent { group, partition, offset } => {
            row("commit-sent").group(*group).partition(*partition).offset(*offset)
        }
        Note::CommitAnswered { group, partition, offset, error } => {
            row("commit-answered").group(*group).partition(*partition).offset(*offset).debug("outcome", error)
        }
        // --- callers, services and stores ---
        Note::Arrived { service, message } => {
            row("arrived").service(*service).message(message).number("size", message.size)
        }
        Note::Attempted { event, attempt, instance } => {
            row("attempted").event(*event).number("attempt", *attempt).peer(*instance)
        }
        Note::CallerSettled { event, outcome } => row("caller-settled").event(*event).debug("outcome", outcome),
        Note::FlowStarted { service, message, source, attempt } => {
            let row = row("flow-started").service(*service).message(message).number("attempt", *attempt);
            match source {
                Some((partition, offset)) => row.partition(*partition).offset(*offset),
                None => row,
            }
        }
        Note::Redelivered { service, message, source } => {
            let row = row("redelivered").service(*service).message(message);
            match source {
                Some((partition, offset)) => row.partition(*partition).offset(*offset),
                None => row,
            }
        }
        Note::StepReached { service, step, event } => row("step-reached").step(*service, *step).event(*event),
        Note::StepDone { service, step, event, outcome } => {
            row("step-done").step(*service, *step).event(*event).debug("outcome", outcome)
        }
        Note::StepExecuted { service, step, event, caller } => {
            row("step-executed").step(*service, *step).event(*event).peer(*caller)
        }
        Note::FlowDone { service, event, skipped } => {
            row("flow-done").service(*service).event(*event).flag("skipped", *skipped)
        }
        Note::RungReached { service, rung, event } => {
            row("rung-reached").service(*service).event(*event).number("rung", *rung)
        }
        Note::Abandoned { service, count } => row("abandoned").service(*service).number("count", *count),
        Note::EffectApplied { service, step, place, message, effect, caller } => {
            row("effect-applied").step(*service, *step).place(*place).message(message).effect(*effect).peer(*caller)
        }
        Note::AnswerLost { event } => row("answer-lost").event(*event),
        Note::RowSeen { place, event, number, rank } => {
            row("row-seen").place(*place).event(*event).number("row", number.0).number("rank", rank.0)
        }
        Note::RowsPolled { service, place, cursor, rows } => {
            row("rows-polled").service(*service).place(*place).debug("cursor", cursor).numbers("rows", rows)
        }
        Note::RowsMarked { place, rows } => row("rows-marked").place(*place).numbers("rows", rows),
        Note::CursorMoved { service, place, cursor, to } => {
            row("cursor-moved").service(*service).place(*place).debug("cursor", cursor).number("row", to.0)
        }
        Note::Redriven { service, event, source, to } => {
            let row = row("redriven").service(*service).event(*event).partition(source.0).offset(source.1);
            let to = row.names.topic(*to);
            row.text("to", to)
        }
        Note::PassedCompacted { group, partition, from, to } => {
            row("passed-compacted").group(*group).partition(*partition).offset(*from).end_offset(*to)
        }
        Note::PassedOver { group, partition, from, to } => {
            row("passed-over").group(*group).partition(*partition).offset(*from).end_offset(*to)
        }
        Note::TransactionChanged { record, coordinator_epoch } => row("transaction-changed")
            .number("transactional-id", record.id.0)
            .number("producer-id", record.producer.0)
            .number("producer-epoch", record.epoch.0)
            .debug("outcome", record.state)
            .partitions(&record.partitions)
            .number("coordinator-epoch", coordinator_epoch.0),
        Note::TransactionCoordinatorLoaded { transactions } => {
            row("transaction-coordinator-loaded").number("transactions", *transactions)
        }
        Note::ProducerInitialized { transaction, producer, epoch, to } => row("producer-initialized")
            .number("transactional-id", transaction.0)
            .number("producer-id", producer.0)
            .number("producer-epoch", epoch.0)
            .peer(*to),
        Note::TransactionEnded { transaction, producer, epoch, outcome } => row("transaction-ended")
            .number("transactional-id", transaction.0)
            .number("producer-id", producer.0)
            .number("producer-epoch", epoch.0)
            .debug("outcome", outcome),
        Note::ProducerFenced { transaction, producer, epoch } => row("producer-fenced")
            .number("transactional-id", transaction.0)
            .number("producer-id", producer.0)
            .number("producer-epoch", epoch.0),
        Note::CallAttempted { service, step, event, run, attempt, to } => row("call-attempted")
            .step(*service, *step)
            .event(*event)
            .number("attempt", *attempt)
            .number("run", run.0)
            .peer(*to),
        Note::CallFailed { service, step, event, attempt, outcome } => {
            row("call-failed").step(*service, *step).event(*event).number("attempt", *attempt).debug("outcome", outcome)
        }
        Note::BreakerChanged { service, step, open } => {
            row("breaker-changed").step(*service, *step).flag("open", *open)
        }
        Note::MemberGone { group, member } => row("member-gone").group(*group).member(Some(*member)),
    };
    row.fields
}

/// Seconds after the load began, exact in nanoseconds, without zeros at the end.
fn seconds(time: Time) -> String {
    let (sign, nanos) = match time.0.checked_sub(Time::LOAD_START.0) {
        Some(after) => ("", after),
        None => ("-", Time::LOAD_START.0 - time.0),
    };
    let text = format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// `NotLeaderOrFollower` as `not-leader-or-follower`; anything beyond letters stays.
fn kebab(name: impl fmt::Debug) -> String {
    /// Takes what `Debug` prints piece by piece.
    struct Kebab(String);
    impl fmt::Write for Kebab {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            for letter in piece.chars() {
                if letter.is_ascii_uppercase() && !self.0.is_empty() && !self.0.ends_with([' ', '{']) {
                    self.0.push('-');
                }
                self.0.push(letter.to_ascii_lowercase());
            }
            Ok(())
        }
    }
    let mut text = Kebab(String::with_capacity(24));
    fmt::write(&mut text, format_args!("{name:?}")).expect("a string takes everything");
    text.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            nodes: [(NodeId(1), "broker-1".to_string())].into(),
            topics: [(TopicId(0), "orders".to_string())].into(),
            ..Names::default()
        }
    }

    fn high_watermark() -> Event {
        Event {
            time: Time::LOAD_START + Duration::from_micros(1_500),
            number: 42,
            node: NodeId(1),
            what: Happening::Note(Note::HighWatermark {
                partition: TopicPartition::new(TopicId(0), 3),
                leader_epoch: LeaderEpoch(2),
                offset: Offset(17),
                as_leader: true,
            }),
        }
    }

    fn stopped_before_the_load() -> Event {
        let what = Happening::Stopped { why: super::super::event::StopReason::PowerLoss };
        Event { time: Time(0), number: 43, what, ..high_watermark() }
    }

    /// Both files of these events.
    fn recorded(events: &[Event]) -> (String, String) {
        let mut recorder = Recorder::new(names(), Vec::new(), Vec::new()).unwrap();
        for event in events {
            recorder.write(event).unwrap();
        }
        let (lines, table) = recorder.finish().unwrap();
        (String::from_utf8(lines).unwrap(), String::from_utf8(table).unwrap())
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_plans_names() {
        let (lines, _) = recorded(&[high_watermark(), stopped_before_the_load()]);
        let expected = concat!(
            r#"{"number":42,"seconds":0.0015,"node":"broker-1","what":"high-watermark","#,
            r#""partition":"orders/3","offset":17,"leader-epoch":2,"as-leader":true}"#,
            "\n",
            r#"{"number":43,"seconds":-20,"node":"broker-1","what":"stopped","outcome":"power-loss"}"#,
            "\n"
        );
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_row_has_columns_to_filter_by_and_the_rest_at_the_end() {
        let (_, table) = recorded(&[high_watermark(), stopped_before_the_load()]);
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[0].starts_with("number,seconds,node,what,event,partition,offset,"));
        assert_eq!(rows[1], "42,0.0015,broker-1,high-watermark,,orders/3,17,,,,,,,,leader-epoch=2 as-leader=true");
        assert_eq!(rows[2], "43,-20,broker-1,stopped,,,,,,,,,,power-loss,");
    }

    /// A name from outside may hold anything; the line stays one line that every reader of JSON takes.
    #[test]
    fn hostile_text_stays_inside_its_field() {
        let message = "a\"b\\c\n,d\u{1b}[31m".to_string();
        let event = Event { what: Happening::Panicked { message: message.clone() }, ..high_watermark() };
        let (lines, table) = recorded(&[event]);
        assert_eq!(lines.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(line["message"], message.as_str());
        assert_eq!(line["seconds"].as_f64(), Some(0.0015));
        let rows = csv::Reader::from_reader(table.as_bytes()).records().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(rows[0].get(14), Some(format!("message={message}").as_str()));
    }
}

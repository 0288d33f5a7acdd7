//! Histories as files: one JSON object a line, and a flat table for spreadsheets.
//!
//! The one idea: each event is a name and a few named fields, with the names of the plan instead of numbers. The JSON
//! lines hold all of them; the table has a column for each field people filter by and puts the rest into `more`. Both
//! are written as the history goes by and are the same, byte for byte, for the same run.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::note::Note;
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

/// Writes one JSON object for each event.
pub struct JsonLines<W: Write> {
    names: Names,
    out: W,
}

/// Writes one row of a table for each event.
pub struct Table<W: Write> {
    names: Names,
    out: csv::Writer<W>,
}

/// Columns of the table between `what` and `more`.
const COLUMNS: [&str; 14] = [
    "partition",
    "offset",
    "end-offset",
    "leader-epoch",
    "event",
    "key",
    "version",
    "service",
    "step",
    "place",
    "group",
    "send",
    "peer",
    "outcome",
];

impl Names {
    pub fn of(plan: &Plan) -> Names {
        let steps = plan.services.iter().flat_map(|service| {
            let steps = service.steps.iter().enumerate();
            steps.map(|(number, step)| ((service.id, number as u16), step.text.clone()))
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

    pub fn node(&self, node: NodeId) -> String {
        if node == NodeId(0) {
            return "world".to_string();
        }
        self.nodes.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }

    pub fn partition(&self, partition: TopicPartition) -> String {
        let topic = self.topics.get(&partition.topic).cloned().unwrap_or_else(|| partition.topic.to_string());
        format!("{topic}/{}", partition.partition)
    }

    fn group(&self, group: GroupId) -> String {
        self.groups.get(&group).cloned().unwrap_or_else(|| group.to_string())
    }

    fn service(&self, service: ServiceId) -> String {
        self.services.get(&service).cloned().unwrap_or_else(|| service.to_string())
    }

    fn place(&self, place: PlaceId) -> String {
        self.places.get(&place).cloned().unwrap_or_else(|| place.to_string())
    }

    fn fault(&self, fault: FaultId) -> String {
        self.faults.get(&fault).cloned().unwrap_or_else(|| fault.to_string())
    }

    fn step(&self, service: ServiceId, step: u16) -> String {
        self.steps.get(&(service, step)).cloned().unwrap_or_else(|| step.to_string())
    }
}

impl<W: Write> JsonLines<W> {
    pub fn new(names: Names, out: W) -> JsonLines<W> {
        JsonLines { names, out }
    }

    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let line = Line { event, names: &self.names, fields: describe(event, &self.names) };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Table<W> {
    /// Writes the head of the table.
    pub fn new(names: Names, out: W) -> io::Result<Table<W>> {
        let mut out = csv::Writer::from_writer(out);
        let head = ["number", "seconds", "node", "what"].into_iter().chain(COLUMNS).chain(["more"]);
        out.write_record(head)?;
        Ok(Table { names, out })
    }

    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let Fields { what, fields } = describe(event, &self.names);
        let mut row =
            vec![event.number.to_string(), seconds(event.time), self.names.node(event.node), what.to_string()];
        for column in COLUMNS {
            row.push(fields.iter().find(|(name, _)| *name == column).map_or(String::new(), |(_, value)| value.text()));
        }
        let more = fields.iter().filter(|(name, _)| !COLUMNS.contains(name));
        row.push(more.map(|(name, value)| format!("{name}={}", value.text())).collect::<Vec<_>>().join(" "));
        self.out.write_record(&row)?;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        self.out.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }
}

/// An event with its fields, for serialisation.
struct Line<'a> {
    event: &'a Event,
    names: &'a Names,
    fields: Fields,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("number", &self.event.number)?;
        map.serialize_entry("seconds", &seconds(self.event.time))?;
        map.serialize_entry("node", &self.names.node(self.event.node))?;
        map.serialize_entry("what", self.fields.what)?;
        for (name, value) in &self.fields.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Fields {
    what: &'static str,
    fields: Vec<(&'static str, Value)>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<String>),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::List(items) => items.join("|"),
        }
    }
}

/// Builds the fields of one event.
struct Row<'a> {
    names: &'a Names,
    fields: Fields,
}

impl<'a> Row<'a> {
    fn new(names: &'a Names, what: &'static str) -> Row<'a> {
        Row { names, fields: Fields { what, fields: Vec::new() } }
    }

    fn put(mut self, name: &'static str, value: Value) -> Row<'a> {
        self.fields.fields.push((name, value));
        self
    }

    fn number(self, name: &'static str, value: impl Into<u64>) -> Row<'a> {
        self.put(name, Value::Number(value.into()))
    }

    fn flag(self, name: &'static str, value: bool) -> Row<'a> {
        self.put(name, Value::Flag(value))
    }

    fn debug(self, name: &'static str, value: impl std::fmt::Debug) -> Row<'a> {
        let text = kebab(&format!("{value:?}"));
        self.put(name, Value::Text(text))
    }

    fn partition(self, partition: TopicPartition) -> Row<'a> {
        let text = self.names.partition(partition);
        self.put("partition", Value::Text(text))
    }

    fn partitions(self, partitions: &[TopicPartition]) -> Row<'a> {
        let list = partitions.iter().map(|partition| self.names.partition(*partition)).collect();
        self.put("partitions", Value::List(list))
    }

    fn nodes(self, name: &'static str, nodes: &[NodeId]) -> Row<'a> {
        let list = nodes.iter().map(|node| self.names.node(*node)).collect();
        self.put(name, Value::List(list))
    }

    fn peer(self, node: NodeId) -> Row<'a> {
        let text = self.names.node(node);
        self.put("peer", Value::Text(text))
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
        let text = self.names.group(group);
        self.put("group", Value::Text(text))
    }

    fn service(self, service: ServiceId) -> Row<'a> {
        let text = self.names.service(service);
        self.put("service", Value::Text(text))
    }

    fn step(self, service: ServiceId, step: u16) -> Row<'a> {
        let text = self.names.step(service, step);
        self.service(service).put("step", Value::Text(text))
    }

    fn place(self, place: PlaceId) -> Row<'a> {
        let text = self.names.place(place);
        self.put("place", Value::Text(text))
    }

    fn fault(self, fault: FaultId) -> Row<'a> {
        let text = self.names.fault(fault);
        self.put("fault", Value::Text(text))
    }

    fn event(self, event: EventId) -> Row<'a> {
        self.put("event", Value::Text(event.to_string()))
    }

    fn message(self, message: &Message) -> Row<'a> {
        self.event(message.event).number("key", message.key.0).number("version", message.version)
    }

    fn send(self, send: SendId) -> Row<'a> {
        self.put("send", Value::Text(send.to_string()))
    }

    fn member(self, member: Option<MemberId>) -> Row<'a> {
        match member {
            Some(member) => self.put("member", Value::Text(member.to_string())),
            None => self,
        }
    }
}

fn describe(event: &Event, names: &Names) -> Fields {
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
        Happening::Ended { quiet } => row("ended").flag("quiet", *quiet),
        Happening::MessageDropped { to, kind, response } => {
            row("message-dropped").peer(*to).debug("kind", kind).flag("response", *response)
        }
        Happening::Panicked { message } => row("panicked").put("message", Value::Text(message.clone())),
    };
    row.fields
}

fn describe_note(note: &Note, names: &Names) -> Fields {
    let row = |what| Row::new(names, what);
    let row = match note {
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
            let events = batch.messages().iter().map(|record| record.message.event.to_string()).collect();
            row("batch-appended")
                .partition(*partition)
                .offset(batch.base_offset)
                .end_offset(batch.end_offset())
                .leader_epoch(batch.leader_epoch)
                .debug("role", role)
                .put("events", Value::List(events))
        }
        Note::LogTruncated { partition, from, to } => {
            row("log-truncated").partition(*partition).offset(*to).end_offset(*from)
        }
        Note::LogStartMoved { partition, to } => row("log-start-moved").partition(*partition).offset(*to),
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
            match state.leader {
                Some(leader) => row.peer(leader),
                None => row,
            }
        }
        Note::MetadataApplied { end_offset } => row("metadata-applied").end_offset(*end_offset),
        _ => return describe_client_note(note, names),
    };
    row.fields
}

/// Notes of groups, producers and consumers.
fn describe_client_note(note: &Note, names: &Names) -> Fields {
    let row = |what| Row::new(names, what);
    let row = match note {
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
        _ => return describe_business_note(note, names),
    };
    row.fields
}

/// Notes of callers, services and stores.
fn describe_business_note(note: &Note, names: &Names) -> Fields {
    let row = |what| Row::new(names, what);
    let row = match note {
        Note::Arrived { service, message } => row("arrived").service(*service).message(message),
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
        Note::EffectApplied { service, step, place, message, effect, caller } => row("effect-applied")
            .step(*service, *step)
            .place(*place)
            .message(message)
            .debug("outcome", effect)
            .peer(*caller),
        Note::StoreAnswerLost { event } => row("store-answer-lost").event(*event),
        // Whatever is said by nobody yet described is still on its line, as it prints.
        _ => row("note").put("more", Value::Text(format!("{note:?}"))),
    };
    row.fields
}

/// Seconds after the load began, exact in nanoseconds.
fn seconds(time: Time) -> String {
    let (sign, nanos) = match time.0.checked_sub(Time::LOAD_START.0) {
        Some(after) => ("", after),
        None => ("-", Time::LOAD_START.0 - time.0),
    };
    format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// `NotLeaderOrFollower` as `not-leader-or-follower`; anything beyond letters stays.
fn kebab(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 && !text.ends_with([' ', '{']) {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
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

    #[test]
    fn a_line_is_one_flat_object_with_the_plans_names() {
        let mut lines = JsonLines::new(names(), Vec::new());
        lines.write(&high_watermark()).unwrap();
        let expected = concat!(
            r#"{"number":42,"seconds":"0.001500000","node":"broker-1","what":"high-watermark","#,
            r#""partition":"orders/3","offset":17,"leader-epoch":2,"as-leader":true}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(lines.finish().unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_row_has_columns_to_filter_by_and_the_rest_at_the_end() {
        let mut table = Table::new(names(), Vec::new()).unwrap();
        table.write(&high_watermark()).unwrap();
        let before = Event {
            time: Time(0),
            what: Happening::Stopped { why: super::super::event::StopReason::PowerLoss },
            ..high_watermark()
        };
        table.write(&before).unwrap();
        let text = String::from_utf8(table.finish().unwrap()).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[0].starts_with("number,seconds,node,what,partition,offset,"));
        assert_eq!(rows[1], "42,0.001500000,broker-1,high-watermark,orders/3,17,,2,,,,,,,,,,,as-leader=true");
        assert_eq!(rows[2], "42,-20.000000000,broker-1,stopped,,,,,,,,,,,,,,power-loss,");
    }
}

//! Histories read back: one line of `history.jsonl`, or a line that a person wrote, as the event that it tells of.
//!
//! The one idea: what `export` writes, this reads, field by field, so that a saved history is judged and told like a live one. A
//! person writes the same words without the braces: seconds, node, what, then `name=value`.
//!
//! What it deliberately does not do: bring back what was never written. Records of the queue's own topics come back as so many
//! tombstones, and a record's size and time stamp as nothing: fates, responsibility and figures never ask for them, the
//! invariants of the queue do, and are for the run itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::export::Names;
use super::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::metadata::{PartitionState, Reassignment};
use crate::types::note::{Note, StoreEffect};
use crate::types::record::{Compacted, Group, Marker, ProducerStamp, TransactionRecord};
use crate::types::settings::Acks;
use crate::types::*;

/// A line that tells of no event, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Reads the lines of one history, in their order.
pub struct Reader {
    names: Arc<Names>,
    /// What arrived: a record and a written line only say which event they are of.
    arrived: BTreeMap<EventId, Message>,
    next: u64,
}

impl Reader {
    pub fn new(plan: &Plan) -> Reader {
        Reader { names: Arc::new(Names::of(plan)), arrived: BTreeMap::new(), next: 0 }
    }

    /// A line of `history.jsonl`.
    pub fn json(&mut self, line: &str) -> Result<Event, Unreadable> {
        let object: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(line).map_err(|error| Unreadable(format!("no JSON object: {error}")))?;
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let fields = object.into_iter().map(|(name, value)| match value {
            serde_json::Value::Array(items) => (name, items.into_iter().map(text).collect::<Vec<_>>().join(",")),
            other => (name, text(other)),
        });
        self.event(&Fields { names: &Arc::clone(&self.names), fields: fields.collect() })
    }

    /// A line that a person wrote: `1.5 shop-1 sent send=s0 event=e0 partition=orders/0`. Events are numbered as they come.
    pub fn written(&mut self, line: &str) -> Result<Event, Unreadable> {
        let words = words(line)?;
        let [seconds, node, what, rest @ ..] = &words[..] else {
            return Err(Unreadable("a line begins with seconds, node and what happened".to_string()));
        };
        let mut fields = BTreeMap::new();
        for word in rest {
            let Some((name, value)) = word.split_once('=') else {
                return Err(Unreadable(format!("`{word}` is no name=value")));
            };
            fields.insert(name.to_string(), value.to_string());
        }
        for (name, value) in [("seconds", seconds), ("node", node), ("what", what)] {
            fields.insert(name.to_string(), value.clone());
        }
        self.event(&Fields { names: &Arc::clone(&self.names), fields })
    }

    fn event(&mut self, fields: &Fields) -> Result<Event, Unreadable> {
        let number = fields.optional("number")?.unwrap_or(self.next);
        self.next = number + 1;
        let (time, node) = (fields.time()?, fields.node("node")?);
        let what = match fields.text("what")? {
            "started" => Happening::Started { incarnation: Incarnation(fields.number("incarnation")?) },
            "stopped" => Happening::Stopped { why: fields.word("outcome")? },
            "paused" => Happening::Paused,
            "resumed" => Happening::Resumed,
            "power-lost" => Happening::PowerLost { lost: fields.number("lost")? },
            "fault-fired" => Happening::FaultFired {
                fault: fields.fault()?,
                nodes: fields.nodes("nodes")?,
                peers: fields.nodes("peers")?,
            },
            "fault-healed" => Happening::FaultHealed { fault: fields.fault()? },
            "fault-refused" => Happening::FaultRefused {
                fault: fields.fault()?,
                nodes: fields.nodes("nodes")?,
                why: fields.word("outcome")?,
            },
            "load-ended" => Happening::LoadEnded,
            "broker-traffic" => {
                Happening::BrokerTraffic { requests: fields.number("requests")?, bytes: fields.number("bytes")? }
            }
            "ended" => Happening::Ended { quiet: fields.flag("quiet")? },
            "message-dropped" => Happening::MessageDropped {
                to: fields.node("peer")?,
                kind: fields.word("kind")?,
                response: fields.flag("response")?,
            },
            "never-ready" => Happening::NeverReady,
            "panicked" => Happening::Panicked { message: fields.text("message")?.to_string() },
            what => Happening::Note(match self.queue(what, fields)? {
                Some(note) => note,
                None => match clients(what, fields)? {
                    Some(note) => note,
                    None => self.business(what, fields)?,
                },
            }),
        };
        if let Happening::Note(Note::Arrived { message, .. }) = &what {
            self.arrived.insert(message.event, *message);
        }
        Ok(Event { time, number, node, what })
    }

    /// What replicas, controllers and coordinators say.
    fn queue(&self, what: &str, fields: &Fields) -> Result<Option<Note>, Unreadable> {
        let partition = || fields.partition();
        let leader_epoch = || fields.number("leader-epoch").map(LeaderEpoch);
        let (offset, end_offset) = (|| fields.number("offset").map(Offset), || fields.number("end-offset").map(Offset));
        let epoch = || fields.number("epoch").map(QuorumEpoch);
        let in_sync = || fields.nodes("in-sync-replicas");
        Ok(Some(match what {
            "elected-uncleanly" => Note::ElectedUncleanly { partition: partition()?, leader_epoch: leader_epoch()? },
            "became-leader" => Note::BecameLeader {
                partition: partition()?,
                leader_epoch: leader_epoch()?,
                log_end_offset: end_offset()?,
                high_watermark: Offset(fields.number("high-watermark")?),
            },
            "became-follower" => Note::BecameFollower {
                partition: partition()?,
                leader_epoch: leader_epoch()?,
                leader: fields.optional_node("peer")?,
            },
            "batch-appended" => {
                Note::BatchAppended { partition: partition()?, role: fields.word("role")?, batch: self.batch(fields)? }
            }
            "log-truncated" => Note::LogTruncated { partition: partition()?, from: end_offset()?, to: offset()? },
            "log-start-moved" => Note::LogStartMoved { partition: partition()?, to: offset()? },
            "records-deleted" => Note::RecordsDeleted { partition: partition()?, to: offset()? },
            "log-compacted" => {
                Note::LogCompacted { partition: partition()?, to: offset()?, removed: fields.stretches("removed")? }
            }
            "high-watermark" => Note::HighWatermark {
                partition: partition()?,
                leader_epoch: leader_epoch()?,
                offset: offset()?,
                as_leader: fields.flag("as-leader")?,
            },
            "in-sync-proposed" => Note::InSyncProposed {
                partition: partition()?,
                leader_epoch: leader_epoch()?,
                in_sync_replicas: in_sync()?,
            },
            "in-sync-committed" => Note::InSyncCommitted {
                partition: partition()?,
                leader_epoch: leader_epoch()?,
                partition_epoch: PartitionEpoch(fields.number("partition-epoch")?),
                in_sync_replicas: in_sync()?,
            },
            "produce-answered" => Note::ProduceAnswered {
                partition: partition()?,
                leader_epoch: leader_epoch()?,
                acks: fields.acks()?,
                error: fields.word("outcome")?,
                base_offset: offset()?,
                end_offset: end_offset()?,
                to: fields.node("peer")?,
            },
            "duplicate-batch" => Note::DuplicateBatch { partition: partition()?, base_offset: offset()? },
            "became-candidate" => Note::BecameCandidate { epoch: epoch()? },
            "became-controller" => Note::BecameController { epoch: epoch()? },
            "resigned-controller" => Note::ResignedController { epoch: epoch()? },
            "vote-granted" => Note::VoteGranted { epoch: epoch()?, to: fields.node("peer")? },
            "quorum-appended" => Note::QuorumAppended { offset: offset()?, epoch: epoch()? },
            "quorum-truncated" => Note::QuorumTruncated { to: offset()? },
            "quorum-high-watermark" => Note::QuorumHighWatermark { epoch: epoch()?, offset: offset()? },
            "broker-changed" => Note::BrokerChanged {
                broker: fields.node("peer")?,
                broker_epoch: BrokerEpoch(fields.number("broker-epoch")?),
                fenced: fields.flag("fenced")?,
                shutting_down: fields.flag("shutting-down")?,
            },
            "partition-changed" => Note::PartitionChanged {
                partition: partition()?,
                state: Box::new(fields.partition_state()?),
                unclean: fields.flag("unclean")?,
            },
            "metadata-applied" => Note::MetadataApplied { end_offset: end_offset()? },
            "group-changed" => Note::GroupChanged {
                group: fields.group()?,
                state: fields.word("outcome")?,
                generation: fields.generation()?,
                members: fields.number("members")?,
            },
            "offset-committed" => Note::OffsetCommitted {
                group: fields.group()?,
                partition: partition()?,
                offset: offset()?,
                member: fields.optional("member")?.map(MemberId),
                by: fields.node("peer")?,
            },
            "offset-commit-refused" => Note::OffsetCommitRefused {
                group: fields.group()?,
                error: fields.word("outcome")?,
                member: fields.optional("member")?.map(MemberId),
                by: fields.node("peer")?,
            },
            "offset-expired" => Note::OffsetExpired { group: fields.group()?, partition: partition()? },
            "coordinator-loaded" => Note::CoordinatorLoaded { groups: fields.number("groups")? },
            "member-gone" => Note::MemberGone { group: fields.group()?, member: MemberId(fields.number("member")?) },
            "transaction-coordinator-loaded" => {
                Note::TransactionCoordinatorLoaded { transactions: fields.number("transactions")? }
            }
            "transaction-changed" => Note::TransactionChanged {
                record: Box::new(fields.transaction()?),
                coordinator_epoch: LeaderEpoch(fields.number("coordinator-epoch")?),
            },
            _ => return Ok(None),
        }))
    }

    /// What callers, services, stores and endpoints say.
    fn business(&self, what: &str, fields: &Fields) -> Result<Note, Unreadable> {
        let (service, event) = (|| fields.service(), || fields.event("event"));
        let step = || fields.step(fields.service()?);
        let cursor = || fields.word("cursor");
        Ok(match what {
            "arrived" => Note::Arrived { service: service()?, message: self.message(fields)? },
            "attempted" => {
                Note::Attempted { event: event()?, attempt: fields.number("attempt")?, instance: fields.node("peer")? }
            }
            "caller-settled" => Note::CallerSettled { event: event()?, outcome: fields.word("outcome")? },
            "flow-started" => Note::FlowStarted {
                service: service()?,
                message: self.message(fields)?,
                source: fields.source()?,
                attempt: fields.number("attempt")?,
            },
            "redelivered" => {
                Note::Redelivered { service: service()?, message: self.message(fields)?, source: fields.source()? }
            }
            "step-reached" => Note::StepReached { service: service()?, step: step()?, event: event()? },
            "step-done" => {
                Note::StepDone { service: service()?, step: step()?, event: event()?, outcome: fields.word("outcome")? }
            }
            "step-executed" => {
                Note::StepExecuted { service: service()?, step: step()?, event: event()?, caller: fields.node("peer")? }
            }
            "flow-done" => Note::FlowDone { service: service()?, event: event()?, skipped: fields.flag("skipped")? },
            "rung-reached" => Note::RungReached { service: service()?, rung: fields.number("rung")?, event: event()? },
            "abandoned" => Note::Abandoned { service: service()?, count: fields.number("count")? },
            "effect-applied" => Note::EffectApplied {
                service: service()?,
                step: step()?,
                place: fields.place()?,
                message: self.message(fields)?,
                effect: fields.effect()?,
                caller: fields.node("peer")?,
            },
            "answer-lost" => Note::AnswerLost { event: event()? },
            "row-seen" => Note::RowSeen {
                place: fields.place()?,
                event: event()?,
                number: RowNumber(fields.number("row")?),
                rank: RowNumber(fields.number("rank")?),
            },
            "rows-polled" => Note::RowsPolled {
                service: service()?,
                place: fields.place()?,
                cursor: cursor()?,
                rows: fields.rows()?,
            },
            "rows-marked" => Note::RowsMarked { place: fields.place()?, rows: fields.rows()? },
            "cursor-moved" => Note::CursorMoved {
                service: service()?,
                place: fields.place()?,
                cursor: cursor()?,
                to: RowNumber(fields.number("row")?),
            },
            "redriven" => Note::Redriven {
                service: service()?,
                event: event()?,
                source: fields.source()?.ok_or_else(|| Unreadable("`redriven` has no partition".to_string()))?,
                to: fields.topic(fields.text("to")?)?,
            },
            "call-attempted" => Note::CallAttempted {
                service: service()?,
                step: step()?,
                event: event()?,
                run: CallRun(fields.number("run")?),
                attempt: fields.number("attempt")?,
                to: fields.node("peer")?,
            },
            "call-failed" => Note::CallFailed {
                service: service()?,
                step: step()?,
                event: event()?,
                attempt: fields.number("attempt")?,
                outcome: fields.word("outcome")?,
            },
            "breaker-changed" => {
                Note::BreakerChanged { service: service()?, step: step()?, open: fields.flag("open")? }
            }
            _ => return Err(Unreadable(format!("nothing is called `{what}`"))),
        })
    }

    /// What a line does not say of its message is as it was when it arrived.
    fn message(&self, fields: &Fields) -> Result<Message, Unreadable> {
        let event = fields.event("event")?;
        let known = self.known(event);
        Ok(Message {
            key: fields.optional("key")?.map_or(known.key, Key),
            version: fields.optional("version")?.unwrap_or(known.version),
            size: fields.optional("size")?.unwrap_or(known.size),
            poison: fields.optional_flag("poison")?.unwrap_or(known.poison),
            attempt: fields.optional("retries")?.unwrap_or(0),
            caller_attempt: fields.optional("caller-attempt")?.unwrap_or(0),
            ..known
        })
    }

    fn known(&self, event: EventId) -> Message {
        let origin = ServiceId((event.0 >> 48) as u16);
        let unknown =
            Message { event, origin, key: Key(0), version: 0, size: 0, poison: false, attempt: 0, caller_attempt: 0 };
        self.arrived.get(&event).copied().unwrap_or(unknown)
    }

    fn batch(&self, fields: &Fields) -> Result<RecordBatch, Unreadable> {
        let (base_offset, end) = (Offset(fields.number("offset")?), Offset(fields.number("end-offset")?));
        let records = if let Some(events) = fields.fields.get("events") {
            let (events, sends) = (list(events), list(fields.text("sends")?));
            if events.len() != sends.len() {
                return Err(Unreadable("`events` and `sends` are not equally long".to_string()));
            }
            let record = |(event, send): (&&str, &&str)| {
                let message = self.known(EventId(number_in("events", event)?));
                Ok(Record { send: SendId(number_in("sends", send)?), message, timestamp: Time::ZERO })
            };
            Records::Messages(events.iter().zip(&sends).map(record).collect::<Result<_, Unreadable>>()?)
        } else if fields.fields.contains_key("marker") {
            let coordinator_epoch = LeaderEpoch(fields.number("coordinator-epoch")?);
            Records::Marker(Marker { outcome: fields.word("marker")?, coordinator_epoch })
        } else {
            let count = end.0.checked_sub(base_offset.0).filter(|count| *count <= MOST_RECORDS);
            let count = count.ok_or_else(|| Unreadable("no batch goes from `offset` to `end-offset`".to_string()))?;
            let tombstone = Group::OffsetExpired { group: GroupId(0), partition: fields.partition()? };
            Records::Groups(vec![tombstone; count as usize])
        };
        let producer = fields.optional("producer-id")?.map(|id| -> Result<ProducerStamp, Unreadable> {
            Ok(ProducerStamp {
                id: ProducerId(id),
                epoch: ProducerEpoch(fields.number("producer-epoch")?),
                base_sequence: fields.optional("sequence")?.map_or(Sequence::NONE, Sequence),
                transactional: fields.optional_flag("transactional")?.unwrap_or(false),
            })
        });
        let leader_epoch = LeaderEpoch(fields.number("leader-epoch")?);
        let unstamped = RecordBatch::new(producer.transpose()?, Arc::new(records));
        let compacted = match fields.fields.get("compacted") {
            Some(places) => {
                list(places).into_iter().map(|place| number_in("compacted", place)).collect::<Result<_, _>>()?
            }
            None => BTreeSet::new(),
        };
        let batch = RecordBatch { base_offset, leader_epoch, compacted: Compacted::at(compacted), ..unstamped };
        if batch.end_offset() != end {
            return Err(Unreadable("the batch does not end where it says".to_string()));
        }
        Ok(batch)
    }
}

/// A batch of the queue's own topics holds far fewer; what says more is damaged.
const MOST_RECORDS: u64 = 1 << 20;

/// What producers and consumers say.
fn clients(what: &str, fields: &Fields) -> Result<Option<Note>, Unreadable> {
    let (group, partition) = (|| fields.group(), || fields.partition());
    let (offset, end_offset) = (|| fields.number("offset").map(Offset), || fields.number("end-offset").map(Offset));
    let send = || fields.number("send").map(SendId);
    let member = || fields.number("member").map(MemberId);
    let transaction = || fields.number("transactional-id").map(TransactionalId);
    let producer = || fields.number("producer-id").map(ProducerId);
    let producer_epoch = || fields.number("producer-epoch").map(ProducerEpoch);
    Ok(Some(match what {
        "sent" => Note::Sent { send: send()?, event: fields.event("event")?, partition: partition()? },
        "batch-sent" => Note::BatchSent {
            partition: partition()?,
            first: send()?,
            count: fields.number("count")?,
            attempt: fields.number("attempt")?,
            to: fields.node("peer")?,
        },
        "send-succeeded" => Note::SendSucceeded {
            send: send()?,
            partition: partition()?,
            offset: fields.optional("offset")?.map(Offset),
        },
        "send-failed" => {
            Note::SendFailed { send: send()?, error: fields.word("outcome")?, certain: fields.flag("certain")? }
        }
        "producer-started" => Note::ProducerStarted { id: producer()?, epoch: producer_epoch()? },
        "joined" => Note::Joined { group: group()?, member: member()?, generation: fields.generation()? },
        "assigned" => Note::Assigned {
            group: group()?,
            member: member()?,
            generation: fields.generation()?,
            partitions: fields.partitions()?,
        },
        "revoked" => Note::Revoked { group: group()?, member: member()?, partitions: fields.partitions()? },
        "lost" => Note::Lost { group: group()?, member: member()?, partitions: fields.partitions()? },
        "position-set" => Note::PositionSet {
            group: group()?,
            partition: partition()?,
            offset: offset()?,
            why: fields.word("outcome")?,
        },
        "polled" => Note::Polled {
            group: group()?,
            partition: partition()?,
            from: offset()?,
            to: end_offset()?,
            count: fields.number("count")?,
        },
        "passed-compacted" => {
            Note::PassedCompacted { group: group()?, partition: partition()?, from: offset()?, to: end_offset()? }
        }
        "passed-over" => {
            Note::PassedOver { group: group()?, partition: partition()?, from: offset()?, to: end_offset()? }
        }
        "commit-sent" => Note::CommitSent { group: group()?, partition: partition()?, offset: offset()? },
        "commit-answered" => Note::CommitAnswered {
            group: group()?,
            partition: partition()?,
            offset: offset()?,
            error: fields.word("outcome")?,
        },
        "producer-initialized" => Note::ProducerInitialized {
            transaction: transaction()?,
            producer: producer()?,
            epoch: producer_epoch()?,
            to: fields.node("peer")?,
        },
        "transaction-ended" => Note::TransactionEnded {
            transaction: transaction()?,
            producer: producer()?,
            epoch: producer_epoch()?,
            outcome: fields.word("outcome")?,
        },
        "producer-fenced" => {
            Note::ProducerFenced { transaction: transaction()?, producer: producer()?, epoch: producer_epoch()? }
        }
        _ => return Ok(None),
    }))
}

/// The fields of one line as text, lists with commas.
struct Fields<'a> {
    names: &'a Names,
    fields: BTreeMap<String, String>,
}

impl Fields<'_> {
    fn text(&self, name: &str) -> Result<&str, Unreadable> {
        self.fields.get(name).map(String::as_str).ok_or_else(|| Unreadable(format!("there is no `{name}`")))
    }

    fn number<N: TryFrom<u64>>(&self, name: &str) -> Result<N, Unreadable> {
        number_in(name, self.text(name)?)
    }

    fn optional<N: TryFrom<u64>>(&self, name: &str) -> Result<Option<N>, Unreadable> {
        self.fields.get(name).map(|text| number_in(name, text)).transpose()
    }

    fn flag(&self, name: &str) -> Result<bool, Unreadable> {
        self.text(name)?.parse().map_err(|_| Unreadable(format!("`{name}` is neither true nor false")))
    }

    fn optional_flag(&self, name: &str) -> Result<Option<bool>, Unreadable> {
        self.fields.contains_key(name).then(|| self.flag(name)).transpose()
    }

    /// A word of an enumeration.
    fn word<'de, T: Deserialize<'de>>(&'de self, name: &str) -> Result<T, Unreadable> {
        let text = self.text(name)?;
        let deserializer: StrDeserializer<ValueError> = text.into_deserializer();
        T::deserialize(deserializer).map_err(|_| Unreadable(format!("`{name}` cannot be `{text}`")))
    }

    fn acks(&self) -> Result<Acks, Unreadable> {
        match self.text("acks")? {
            "none" => Ok(Acks::None),
            "leader" => Ok(Acks::Leader),
            "all" => Ok(Acks::All),
            other => Err(Unreadable(format!("`acks` cannot be `{other}`"))),
        }
    }

    fn effect(&self) -> Result<StoreEffect, Unreadable> {
        Ok(match self.text("outcome")? {
            "inserted" => StoreEffect::Inserted,
            "unchanged" => StoreEffect::Unchanged,
            "added" => StoreEffect::Added,
            "overwrote" => StoreEffect::Overwrote { newer: self.flag("newer")? },
            "executed" => StoreEffect::Executed { run: CallRun(self.number("run")?) },
            other => return Err(Unreadable(format!("an effect cannot be `{other}`"))),
        })
    }

    /// `seconds` counts from the begin of the load; a clock of 2^53 ns is exact as a floating-point number.
    fn time(&self) -> Result<Time, Unreadable> {
        let text = self.text("seconds")?;
        let seconds: f64 = text.parse().map_err(|_| Unreadable(format!("`{text}` is no number of seconds")))?;
        let nanoseconds = libm::round(seconds * 1e9) + Time::LOAD_START.0 as f64;
        if !(0.0..9e15).contains(&nanoseconds) {
            return Err(Unreadable(format!("no run has the time {text}")));
        }
        Ok(Time(nanoseconds as u64))
    }

    fn node(&self, name: &str) -> Result<NodeId, Unreadable> {
        self.names.node_named(self.text(name)?).ok_or_else(|| self.nobody(name))
    }

    fn optional_node(&self, name: &str) -> Result<Option<NodeId>, Unreadable> {
        self.fields.contains_key(name).then(|| self.node(name)).transpose()
    }

    fn nodes(&self, name: &str) -> Result<Vec<NodeId>, Unreadable> {
        let nodes = list(self.text(name)?).into_iter().map(|node| self.names.node_named(node));
        nodes.collect::<Option<_>>().ok_or_else(|| self.nobody(name))
    }

    /// Stretches of offsets, each without its end.
    fn stretches(&self, name: &str) -> Result<Vec<(Offset, Offset)>, Unreadable> {
        let one = |text: &str| {
            let (from, to) = text.split_once("..")?;
            Some((Offset(from.parse().ok()?), Offset(to.parse().ok()?)))
        };
        let all = list(self.text(name)?)
            .into_iter()
            .map(|text| one(text).ok_or_else(|| Unreadable(format!("`{text}` in `{name}` is no stretch of offsets"))));
        all.collect()
    }

    fn partition(&self) -> Result<TopicPartition, Unreadable> {
        self.partition_named(self.text("partition")?)
    }

    fn partition_named(&self, text: &str) -> Result<TopicPartition, Unreadable> {
        let split = text.rsplit_once('/').and_then(|(topic, number)| Some((topic, number.parse().ok()?)));
        let (topic, number) = split.ok_or_else(|| Unreadable(format!("`{text}` is no partition")))?;
        Ok(TopicPartition::new(self.topic(topic)?, number))
    }

    fn partitions(&self) -> Result<Vec<TopicPartition>, Unreadable> {
        list(self.text("partitions")?).into_iter().map(|partition| self.partition_named(partition)).collect()
    }

    fn topic(&self, text: &str) -> Result<TopicId, Unreadable> {
        self.names.topic_named(text).ok_or_else(|| Unreadable(format!("the plan has no topic `{text}`")))
    }

    fn group(&self) -> Result<GroupId, Unreadable> {
        self.names.group_named(self.text("group")?).ok_or_else(|| self.nobody("group"))
    }

    fn service(&self) -> Result<ServiceId, Unreadable> {
        self.names.service_named(self.text("service")?).ok_or_else(|| self.nobody("service"))
    }

    fn step(&self, service: ServiceId) -> Result<u16, Unreadable> {
        self.names.step_named(service, self.text("step")?).ok_or_else(|| self.nobody("step"))
    }

    fn place(&self) -> Result<PlaceId, Unreadable> {
        self.names.place_named(self.text("place")?).ok_or_else(|| self.nobody("place"))
    }

    fn fault(&self) -> Result<FaultId, Unreadable> {
        self.names.fault_named(self.text("fault")?).ok_or_else(|| self.nobody("fault"))
    }

    fn nobody(&self, name: &str) -> Unreadable {
        Unreadable(format!("the plan has no {name} `{}`", self.fields.get(name).map_or("", String::as_str)))
    }

    fn event(&self, name: &str) -> Result<EventId, Unreadable> {
        self.number(name).map(EventId)
    }

    fn generation(&self) -> Result<Generation, Unreadable> {
        self.number("generation").map(Generation)
    }

    fn source(&self) -> Result<Option<(TopicPartition, Offset)>, Unreadable> {
        if !self.fields.contains_key("partition") {
            return Ok(None);
        }
        Ok(Some((self.partition()?, Offset(self.number("offset")?))))
    }

    fn rows(&self) -> Result<Vec<RowNumber>, Unreadable> {
        list(self.text("rows")?).into_iter().map(|row| number_in("rows", row).map(RowNumber)).collect()
    }

    fn partition_state(&self) -> Result<PartitionState, Unreadable> {
        let moving = |name: &str| self.fields.contains_key(name).then(|| self.nodes(name)).transpose();
        let reassignment = match (moving("adding")?, moving("removing")?) {
            (None, None) => None,
            (adding, removing) => {
                Some(Reassignment { adding: adding.unwrap_or_default(), removing: removing.unwrap_or_default() })
            }
        };
        Ok(PartitionState {
            replicas: self.nodes("replicas")?,
            reassignment,
            in_sync_replicas: self.nodes("in-sync-replicas")?,
            eligible_leader_replicas: self.nodes("eligible-leader-replicas")?,
            last_known_leader: self.optional_node("last-known-leader")?,
            leader: self.optional_node("peer")?,
            leader_epoch: LeaderEpoch(self.number("leader-epoch")?),
            partition_epoch: PartitionEpoch(self.number("partition-epoch")?),
            recovering: self.optional_flag("recovering")?.unwrap_or(false),
        })
    }

    /// As far as it is written.
    fn transaction(&self) -> Result<TransactionRecord, Unreadable> {
        Ok(TransactionRecord {
            id: TransactionalId(self.number("transactional-id")?),
            producer: ProducerId(self.number("producer-id")?),
            epoch: ProducerEpoch(self.number("producer-epoch")?),
            timeout: Duration::ZERO,
            state: self.word("outcome")?,
            partitions: self.partitions()?,
            started: Time::ZERO,
            next_producer: None,
            replaced: None,
        })
    }
}

/// `s7` and `7` are the same number.
fn number_in<N: TryFrom<u64>>(name: &str, text: &str) -> Result<N, Unreadable> {
    let digits = text.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    let number = digits.parse().ok().and_then(|number: u64| N::try_from(number).ok());
    number.ok_or_else(|| Unreadable(format!("`{name}` cannot be `{text}`")))
}

fn list(text: &str) -> Vec<&str> {
    text.split(',').filter(|item| !item.is_empty()).collect()
}

/// Words apart at blanks; quotes hold them together.
fn words(line: &str) -> Result<Vec<String>, Unreadable> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => words.push(String::new()),
            other => words.last_mut().expect("one word at least").push(other),
        }
    }
    if quoted {
        return Err(Unreadable("a quote has no end".to_string()));
    }
    words.retain(|word| !word.is_empty());
    Ok(words)
}

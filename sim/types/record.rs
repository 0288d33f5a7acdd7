//! What travels through the queue: messages, records, batches.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::metadata::MetadataRecord;
use super::*;

/// The business content of a record or a call: one event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub event: EventId,
    /// The `requests` service at which the event arrived.
    pub origin: ServiceId,
    pub key: Key,
    /// Rank of the event among the events of its key, from 1.
    pub version: u32,
    pub size: u32,
    /// Fails in every `work` that was not repaired: what it carries cannot be handled.
    pub poison: bool,
}

/// Few words: digests of histories hash little else.
impl Hash for Message {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.event.0);
        state.write_u64(self.key.0);
        state.write_u64(u64::from(self.version) << 32 | u64::from(self.size));
        state.write_u64(u64::from(self.poison) << 16 | u64::from(self.origin.0));
    }
}

/// One record as its producer made it. The broker never changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The `send` of the application that this record is; the same on every retry of the producer.
    pub send: SendId,
    pub message: Message,
    /// Wall clock of the producer. Kafka: CreateTime.
    pub timestamp: Time,
}

/// A record of the offsets topic. Kafka: OffsetCommitKey/Value and GroupMetadataKey/Value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    Offset {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
        leader_epoch: Option<LeaderEpoch>,
        at: Time,
    },
    /// Tombstone of an expired offset.
    OffsetExpired {
        group: GroupId,
        partition: TopicPartition,
    },
    /// The whole group after a round: enough to take it over.
    Metadata {
        group: GroupId,
        generation: Generation,
        leader: Option<MemberId>,
        members: Vec<GroupMember>,
        at: Time,
    },
}

/// A member of a classic group as its record keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupMember {
    pub member: MemberId,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub topics: Vec<TopicId>,
    pub assignment: Vec<TopicPartition>,
}

/// The content of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Records {
    Messages(Vec<Record>),
    Groups(Vec<Group>),
    Metadata(Vec<MetadataRecord>),
}

impl Records {
    pub fn count(&self) -> u64 {
        match self {
            Records::Messages(records) => records.len() as u64,
            Records::Groups(records) => records.len() as u64,
            Records::Metadata(records) => records.len() as u64,
        }
    }

    /// Bytes on the wire and on disk; a record carries about 70 bytes beside its value.
    pub fn size(&self) -> ByteCount {
        match self {
            Records::Messages(records) => ByteCount(records.iter().map(|r| u64::from(r.message.size)).sum()),
            Records::Groups(records) => ByteCount(70 * records.len() as u64),
            Records::Metadata(records) => ByteCount(70 * records.len() as u64),
        }
    }
}

/// A batch with the header its leader stamped. Content is shared by all replicas and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordBatch {
    /// Zero until a leader appends it.
    pub base_offset: Offset,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Present iff the producer is idempotent.
    pub producer: Option<ProducerStamp>,
    pub records: Arc<Records>,
}

/// Identity and place of a batch in its producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProducerStamp {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub base_sequence: Sequence,
}

impl RecordBatch {
    /// First offset after the batch.
    pub fn end_offset(&self) -> Offset {
        self.base_offset.plus(self.records.count())
    }

    pub fn last_sequence(&self) -> Option<Sequence> {
        self.producer.map(|stamp| stamp.base_sequence.plus(self.records.count() as u32 - 1))
    }

    pub fn messages(&self) -> &[Record] {
        match &*self.records {
            Records::Messages(records) => records,
            Records::Groups(_) | Records::Metadata(_) => &[],
        }
    }
}

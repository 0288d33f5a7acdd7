//! What travels through the queue: messages, records, batches.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use super::metadata::MetadataRecord;
use super::settings::RemoteAssignor;
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
    /// How often a retry topic has taken it, from 0.
    pub attempt: u16,
    /// Which attempt of its caller gave it the id that programs see; 0 when all attempts share one.
    pub caller_attempt: u16,
}

impl Message {
    /// The id that programs see: of rows, of idempotency keys. Checks go by the event itself.
    pub fn id(&self) -> EventId {
        EventId(self.event.0 | u64::from(self.caller_attempt) << CALLER_ATTEMPT_BITS)
    }
}

/// Above the number of an event and below its origin. Callers try at most 1000 times.
const CALLER_ATTEMPT_BITS: u32 = 38;

/// Few words: digests of histories hash little else.
impl Hash for Message {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let size = u64::from(self.version) << 32 | u64::from(self.size);
        let attempts = u64::from(self.caller_attempt) << 48 | u64::from(self.attempt) << 32;
        let rest = attempts | u64::from(self.poison) << 16 | u64::from(self.origin.0);
        state.write(little_endian([self.event.0, self.key.0, size, rest]).as_flattened());
    }
}

/// As `words.map(u64::to_le_bytes)`, which is a call for each word unless the whole program is optimised as one piece.
#[inline]
pub fn little_endian<const N: usize>(words: [u64; N]) -> [[u8; 8]; N] {
    let mut bytes = [[0; 8]; N];
    for (word, place) in words.iter().zip(&mut bytes) {
        *place = word.to_le_bytes();
    }
    bytes
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
    /// A consumer group has changed. KIP-848.
    Consumer {
        group: GroupId,
        change: ConsumerChange,
    },
}

/// What the log says of a consumer group; each variant is a kind of record in Kafka. KIP-848.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConsumerChange {
    /// The group epoch is counted up: members, subscriptions or topics have changed. `topics`: what is subscribed, with the
    /// number of partitions. Kafka: ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataValue.
    Epoch { epoch: Generation, topics: Vec<(TopicId, u16)>, at: Time },
    /// A member is new, or subscribes to something else. Kafka: ConsumerGroupMemberMetadataValue.
    Member { member: MemberId, metadata: ConsumerMember },
    /// Who shall own what, in the end. Kafka: ConsumerGroupTargetAssignmentMetadataValue and -MemberValue.
    Target { epoch: Generation, assignment: Vec<(MemberId, Vec<TopicPartition>)> },
    /// How far a member has come on the way there. Kafka: ConsumerGroupCurrentMemberAssignmentValue.
    Current { member: MemberId, current: CurrentAssignment },
    /// Tombstones of a member: it left, or was fenced.
    MemberGone { member: MemberId },
}

/// A member of a consumer group as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConsumerMember {
    /// Kafka: `group.instance.id`.
    pub instance: Option<InstanceId>,
    pub topics: Vec<TopicId>,
    /// Kafka: `group.remote.assignor`.
    pub assignor: RemoteAssignor,
    /// How long it may take to give back what it is asked for.
    pub rebalance_timeout: Duration,
}

/// What a member of a consumer group owns, and which epoch it has reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CurrentAssignment {
    pub epoch: Generation,
    /// The one before: its answer may have been lost.
    pub previous_epoch: Generation,
    pub state: MemberState,
    /// Sorted.
    pub assigned: Vec<TopicPartition>,
    /// Not to be owned any more, and not given back yet. Sorted.
    pub pending_revocation: Vec<TopicPartition>,
}

/// Kafka: MemberState of a consumer group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// *Meaning:* owns what the target of its epoch says. *Leaves to:* any, when there is a newer target; `Away`.
    #[default]
    Stable,
    /// *Meaning:* was told to give partitions back and stays at its epoch until it says that it has. *Leaves to:* any.
    UnrevokedPartitions,
    /// *Meaning:* is at the epoch of the target and waits for partitions that others have not given back. *Leaves to:* any.
    UnreleasedPartitions,
    /// *Meaning:* a static member that left for a while (-2); what it owned is kept for its instance id. *Leaves to:* gone,
    /// when somebody joins with that id, or when its session is over.
    Away,
}

/// A member of a classic group as its record keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub member: MemberId,
    /// Of a static member. KIP-345.
    pub instance: Option<InstanceId>,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub topics: Vec<TopicId>,
    pub assignment: Vec<TopicPartition>,
}

/// A dynamic member has no instance, and says nothing of it.
impl Hash for GroupMember {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.member.hash(state);
        self.session_timeout.hash(state);
        self.rebalance_timeout.hash(state);
        self.topics.hash(state);
        self.assignment.hash(state);
        if let Some(instance) = self.instance {
            instance.hash(state);
        }
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionOutcome {
    Commit,
    Abort,
}

/// A control record: the end of its producer's transaction in this partition. Kafka: EndTransactionMarker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    pub outcome: TransactionOutcome,
    /// Leader epoch of the partition of the transactions topic whose leader decided.
    pub coordinator_epoch: LeaderEpoch,
}

/// An entry of the index that a `read_committed` fetch carries: records of the producer from here to its next marker
/// are not to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AbortedTransaction {
    pub producer: ProducerId,
    pub first_offset: Offset,
}

/// A record of the transactions topic: the whole state of one transactional id. Kafka: TransactionLogValue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionRecord {
    pub id: TransactionalId,
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub timeout: Duration,
    pub state: TransactionState,
    /// What the transaction has touched, sorted.
    pub partitions: Vec<TopicPartition>,
    /// Wall clock of the coordinator when the transaction began; zero outside of one.
    pub started: Time,
    /// The producer's epochs are used up: when the prepared transaction is over, it goes on under this id. Kafka:
    /// nextProducerId.
    pub next_producer: Option<ProducerId>,
    /// What its producer has exchanged for the identity here, so that it may ask once more. Kafka: prevProducerId and
    /// lastProducerEpoch.
    pub replaced: Option<(ProducerId, ProducerEpoch)>,
}

/// Kafka: TransactionState.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionState {
    /// *Meaning:* the id has a producer and no transaction. *Leaves to:* `Ongoing` when a partition is added.
    Empty,
    /// *Meaning:* partitions are being written. *Leaves to:* a prepared state by EndTxn, its timeout, or a new producer.
    Ongoing,
    /// *Meaning:* decided, for good; markers are on their way. *Leaves to:* `CompleteCommit` when all are written.
    PrepareCommit,
    /// *Meaning:* decided, for good; markers are on their way. *Leaves to:* `CompleteAbort` when all are written.
    PrepareAbort,
    /// *Meaning:* over. *Leaves to:* `Ongoing` or `Empty`.
    CompleteCommit,
    /// *Meaning:* over. *Leaves to:* `Ongoing` or `Empty`.
    CompleteAbort,
}

/// The content of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Records {
    Messages(Vec<Record>),
    Groups(Vec<Group>),
    Metadata(Vec<MetadataRecord>),
    /// A control batch.
    Marker(Marker),
    Transactions(Vec<TransactionRecord>),
}

impl Records {
    pub fn count(&self) -> u64 {
        match self {
            Records::Messages(records) => records.len() as u64,
            Records::Groups(records) => records.len() as u64,
            Records::Metadata(records) => records.len() as u64,
            Records::Marker(_) => 1,
            Records::Transactions(records) => records.len() as u64,
        }
    }

    /// Bytes on the wire and on disk; a record carries about 70 bytes beside its value.
    pub fn size(&self) -> ByteCount {
        match self {
            Records::Messages(records) => ByteCount(records.iter().map(|r| u64::from(r.message.size)).sum()),
            Records::Groups(_) | Records::Metadata(_) | Records::Marker(_) | Records::Transactions(_) => {
                ByteCount(self.count() * self.size_at(0).0)
            }
        }
    }

    /// Of one record.
    fn size_at(&self, place: usize) -> ByteCount {
        ByteCount(match self {
            Records::Messages(records) => u64::from(records[place].message.size),
            Records::Groups(_) | Records::Metadata(_) => 70,
            Records::Marker(_) => 78,
            Records::Transactions(_) => 100,
        })
    }
}

/// A batch with the header its leader stamped. Content is shared by all replicas and never changes; which of its records
/// are still there is each copy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    /// Zero until a leader appends it.
    pub base_offset: Offset,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Present iff the producer is idempotent.
    pub producer: Option<ProducerStamp>,
    pub records: Arc<Records>,
    pub compacted: Compacted,
}

/// A copy that is whole says nothing of compaction.
impl Hash for RecordBatch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.base_offset.hash(state);
        self.leader_epoch.hash(state);
        self.producer.hash(state);
        self.records.hash(state);
        if let Compacted(Some(places)) = &self.compacted {
            places.hash(state);
        }
    }
}

/// The places in a batch whose records compaction has removed from this copy. Offsets stay as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Compacted(Option<Arc<BTreeSet<u32>>>);

impl Compacted {
    pub fn at(places: BTreeSet<u32>) -> Compacted {
        Compacted((!places.is_empty()).then(|| Arc::new(places)))
    }

    /// Whether the record at this place of the batch is gone.
    #[inline]
    pub fn has(&self, place: usize) -> bool {
        self.0.as_ref().is_some_and(|places| places.contains(&(place as u32)))
    }

    /// The first place of these whose record is gone.
    #[inline]
    pub fn first_in(&self, places: Range<usize>) -> Option<usize> {
        let gone = self.0.as_ref()?;
        gone.range(places.start as u32..places.end as u32).next().map(|place| *place as usize)
    }

    /// Ascending.
    pub fn places(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|places| places.iter().copied())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Identity and place of a batch in its producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// [`Sequence::NONE`] for markers and for offsets committed by a transaction.
    pub base_sequence: Sequence,
    /// Part of a transaction.
    pub transactional: bool,
}

/// Epochs end at [`ProducerEpoch::LAST`], so one word says epoch and kind.
impl Hash for ProducerStamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.id.0);
        state.write_u16(self.epoch.0 | u16::from(self.transactional) << 15);
        state.write_u32(self.base_sequence.0);
    }
}

impl RecordBatch {
    /// As its producer made it.
    pub fn new(producer: Option<ProducerStamp>, records: Arc<Records>) -> RecordBatch {
        let (base_offset, leader_epoch, compacted) = (Offset::ZERO, LeaderEpoch(0), Compacted::default());
        RecordBatch { base_offset, leader_epoch, producer, records, compacted }
    }

    /// First offset after the batch.
    pub fn end_offset(&self) -> Offset {
        self.base_offset.plus(self.records.count())
    }

    /// Bytes on the wire and on disk of what is left of it.
    pub fn size(&self) -> ByteCount {
        let whole = self.records.size();
        if self.compacted.is_empty() {
            return whole;
        }
        let gone = |place| self.records.size_at(place as usize).0;
        ByteCount(whole.0 - self.compacted.places().map(gone).sum::<u64>())
    }

    pub fn last_sequence(&self) -> Option<Sequence> {
        let stamp = self.producer.filter(|stamp| stamp.base_sequence != Sequence::NONE)?;
        Some(stamp.base_sequence.plus(self.records.count() as u32 - 1))
    }

    pub fn messages(&self) -> &[Record] {
        match &*self.records {
            Records::Messages(records) => records,
            Records::Groups(_) | Records::Metadata(_) | Records::Marker(_) | Records::Transactions(_) => &[],
        }
    }

    /// The end of a transaction, when this is a control batch.
    pub fn marker(&self) -> Option<Marker> {
        match &*self.records {
            Records::Marker(marker) => Some(*marker),
            Records::Messages(_) | Records::Groups(_) | Records::Metadata(_) | Records::Transactions(_) => None,
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.producer.is_some_and(|stamp| stamp.transactional)
    }
}

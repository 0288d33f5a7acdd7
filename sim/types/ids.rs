//! Small numbers that name things. A plan gives every name its number; reports turn numbers back into names.

use std::fmt;
use std::hash::{Hash, Hasher};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}

id! {
    /// One process of the simulated world: a broker, a controller, a service instance, a store, an endpoint, a body of
    /// callers.
    /// Brokers are 1..=B and separate controllers follow, as Kafka's `node.id`; then the business.
    NodeId(u16), "n";
    TopicId(u16), "t";
    GroupId(u16), "g";
    /// A service of the plan (all its instances).
    ServiceId(u16), "v";
    /// Where an effect lands: a table of a store, an endpoint, a topic.
    PlaceId(u16), "p";
    /// A fault of the plan.
    FaultId(u16), "f";
    /// One business fact, unique over hops and retries of its caller. Numbered by arrival, over all origins.
    EventId(u64), "e";
    /// The entity an event is about: partition, order and overwriting hang on it.
    Key(u64), "k";
    /// One record handed to a producer by its application: an event can be sent more than once.
    SendId(u64), "s";
    /// One run of a `call` step for one event, with all its attempts: a list that begins again calls anew. Unique in a run.
    CallRun(u64), "r";
    /// Where a row stands in a polled table, from 1: by number, given at its insert, or in the order of commits.
    RowNumber(u64), "";
    /// Position of a record in its partition, from 0. Ranges of offsets are half-open.
    Offset(u64), "";
    /// Term of a partition's leader, from 0. Kafka: leader epoch.
    LeaderEpoch(u32), "";
    /// Version of a partition's state on the controller. Kafka: partition epoch.
    PartitionEpoch(u32), "";
    /// Registration of a broker: the metadata offset of its register record. Kafka: broker epoch.
    BrokerEpoch(u64), "";
    /// Term of the controller quorum. Kafka: controller epoch, Raft's term.
    QuorumEpoch(u32), "";
    /// Identity of an idempotent producer session.
    ProducerId(u64), "";
    ProducerEpoch(u16), "";
    /// Running number of a record within (producer id, epoch, partition), from 0, wrapping after `i32::MAX`.
    Sequence(u32), "";
    /// Who a producer is over its restarts: the number of the node it runs on. Kafka: transactional.id.
    TransactionalId(u16), "x";
    /// Round of a classic group; in a consumer group, the epoch of the group, of its target assignment, or of a member.
    /// Kafka: generation id, group epoch, member epoch; a commit carries either in generationIdOrMemberEpoch.
    Generation(u32), "";
    /// Member of a group; given by the coordinator of a classic group, chosen by the member of a consumer group. Unique in a run.
    MemberId(u64), "m";
    /// Who a static member is over its restarts: the number of its node. Kafka: group.instance.id.
    InstanceId(u16), "i";
    /// Incarnation of a process: counts its starts.
    Incarnation(u32), "";
}

impl ProducerEpoch {
    /// The last one of a producer id. Of a transactional producer only markers carry it, and the producer has to initialise
    /// again. Kafka: Short.MAX_VALUE.
    pub const LAST: ProducerEpoch = ProducerEpoch(i16::MAX as u16);
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TopicPartition {
    pub topic: TopicId,
    /// From 0.
    pub partition: u16,
}

impl TopicPartition {
    pub fn new(topic: TopicId, partition: u16) -> TopicPartition {
        TopicPartition { topic, partition }
    }

    /// As one number, for identities and digests.
    pub fn number(self) -> u64 {
        u64::from(self.topic.0) << 16 | u64::from(self.partition)
    }
}

/// One word: digests of histories hash little else.
impl Hash for TopicPartition {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number());
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl Offset {
    pub const ZERO: Offset = Offset(0);

    pub fn plus(self, count: u64) -> Offset {
        Offset(self.0 + count)
    }
}

impl LeaderEpoch {
    pub fn next(self) -> LeaderEpoch {
        LeaderEpoch(self.0 + 1)
    }
}

impl Sequence {
    /// Of a batch that has no place in its producer's sequence. Kafka: RecordBatch.NO_SEQUENCE.
    pub const NONE: Sequence = Sequence(u32::MAX);

    /// The sequence `count` records later; wraps from `i32::MAX` to 0. Kafka: DefaultRecordBatch.incrementSequence.
    pub fn plus(self, count: u32) -> Sequence {
        Sequence((self.0 + count) & 0x7FFF_FFFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_after_the_largest_positive_number() {
        let last = Sequence(i32::MAX as u32);
        assert_eq!(Sequence(0).plus(5), Sequence(5));
        assert_eq!(last.plus(0), last);
        assert_eq!(last.plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX as u32 - 2).plus(5), Sequence(2));
        assert_eq!(last.plus(i32::MAX as u32), Sequence(i32::MAX as u32 - 1));
    }

    #[test]
    fn names_are_short() {
        assert_eq!(NodeId(3).to_string(), "n3");
        assert_eq!(SendId(7).to_string(), "s7");
        assert_eq!(Offset(9).to_string(), "9");
        assert_eq!(TopicPartition::new(TopicId(1), 2).to_string(), "t1/2");
    }

    #[test]
    fn partitions_have_different_numbers() {
        assert_eq!(TopicPartition::new(TopicId(1), 2).number(), 0x1_0002);
        assert_ne!(TopicPartition::new(TopicId(0), 1).number(), TopicPartition::new(TopicId(1), 0).number());
    }
}

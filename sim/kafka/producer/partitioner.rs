//! Which partition a record goes to: by the hash of its key, or the topic's sticky one. Kafka: BuiltInPartitioner.
//!
//! Kafka differs: since KIP-794 a sticky partition is left after `batch.size` bytes; here it is left when a batch of it
//! is drained (KIP-480), so that a topic at a low rate uses all its partitions.

use std::collections::BTreeMap;

use crate::kafka::client::ClientMetadata;
use crate::types::*;

/// Sticky partitions of topics that are sent to without keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Partitioner {
    sticky: BTreeMap<TopicId, u16>,
}

impl Partitioner {
    /// `None` while the topic's number of partitions is unknown.
    pub fn choose(
        &mut self,
        topic: TopicId,
        key: Option<Key>,
        metadata: &ClientMetadata,
        rng: &mut Rng,
    ) -> Option<TopicPartition> {
        let count = metadata.partition_count(topic)?;
        let number = match key {
            Some(key) => partition_of_key(key, count),
            None => *self.sticky.entry(topic).or_insert_with(|| available_partition(topic, None, count, metadata, rng)),
        };
        Some(TopicPartition::new(topic, number))
    }

    /// A batch of this partition is on its way: keyless records go elsewhere from now on.
    pub fn batch_drained(&mut self, partition: TopicPartition, metadata: &ClientMetadata, rng: &mut Rng) {
        let Some(sticky) = self.sticky.get_mut(&partition.topic) else {
            return;
        };
        if *sticky == partition.partition
            && let Some(count) = metadata.partition_count(partition.topic)
        {
            *sticky = available_partition(partition.topic, Some(*sticky), count, metadata, rng);
        }
    }
}

/// Kafka: BuiltInPartitioner.partitionForKey over the eight big-endian bytes of the key, as LongSerializer writes them.
pub fn partition_of_key(key: Key, partitions: u16) -> u16 {
    assert!(partitions > 0, "a topic has partitions");
    let positive = murmur2(&key.0.to_be_bytes()) & 0x7FFF_FFFF;
    (positive % u32::from(partitions)) as u16
}

/// Any partition with a leader other than `left`; any other at all when none has one.
fn available_partition(topic: TopicId, left: Option<u16>, count: u16, metadata: &ClientMetadata, rng: &mut Rng) -> u16 {
    let others = || (0..count).filter(|number| Some(*number) != left);
    let led = |number: &u16| metadata.leader(TopicPartition::new(topic, *number)).is_some();
    match (others().filter(led).count(), others().count()) {
        (0, 0) => 0,
        (0, all) => others().nth(rng.below(all as u64) as usize).unwrap_or(0),
        (available, _) => others().filter(led).nth(rng.below(available as u64) as usize).unwrap_or(0),
    }
}

/// MurmurHash2 with Kafka's seed. Kafka: Utils.murmur2.
fn murmur2(data: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5BD1_E995;
    let mut hash = 0x9747_B28C ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MULTIPLIER);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ word.wrapping_mul(MULTIPLIER);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (position, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * position);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_values_of_kafkas_own_test() {
        let hash = |text: &str| murmur2(text.as_bytes()) as i32;
        assert_eq!(hash("21"), -973_932_308);
        assert_eq!(hash("foobar"), -790_332_482);
        assert_eq!(hash("a-little-bit-long-string"), -985_981_536);
        assert_eq!(hash("a-little-bit-longer-string"), -1_486_304_829);
        assert_eq!(hash("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58_897_971);
        assert_eq!(hash("abc"), 479_470_107);
    }

    #[test]
    fn keys_spread_over_partitions() {
        let mut counts = [0u32; 6];
        for key in 0..6_000 {
            counts[usize::from(partition_of_key(Key(key), 6))] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}

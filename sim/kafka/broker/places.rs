//! Where each partition of this broker stands among its slots. It is asked for every partition of every fetch, so it is
//! a table by topic and number and not a map; both are small numbers that count from 0.

use crate::types::TopicPartition;

#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By topic, then by number of the partition.
    topics: Vec<Vec<Option<usize>>>,
}

impl Places {
    pub fn get(&self, id: TopicPartition) -> Option<usize> {
        *self.topics.get(usize::from(id.topic.0))?.get(usize::from(id.partition))?
    }

    pub fn insert(&mut self, id: TopicPartition, place: usize) {
        let (topic, number) = (usize::from(id.topic.0), usize::from(id.partition));
        if self.topics.len() <= topic {
            self.topics.resize(topic + 1, Vec::new());
        }
        let numbers = &mut self.topics[topic];
        if numbers.len() <= number {
            numbers.resize(number + 1, None);
        }
        numbers[number] = Some(place);
    }
}

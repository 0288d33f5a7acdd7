//! One thing for each partition, found without a search.
//!
//! Topics and their partitions are numbered from 0 by the plan, so that a table by both is small, is walked in the order
//! of a map, and answers several times as fast; brokers ask for a place for every partition of every fetch.

use super::{TopicId, TopicPartition};

#[derive(Clone, Debug)]
pub struct PartitionTable<T> {
    /// By topic, then by number of the partition.
    topics: Vec<Vec<Option<T>>>,
}

impl<T> PartitionTable<T> {
    pub fn get(&self, id: TopicPartition) -> Option<&T> {
        self.topics.get(usize::from(id.topic.0))?.get(usize::from(id.partition))?.as_ref()
    }

    pub fn get_mut(&mut self, id: TopicPartition) -> Option<&mut T> {
        self.topics.get_mut(usize::from(id.topic.0))?.get_mut(usize::from(id.partition))?.as_mut()
    }

    /// What was there before.
    pub fn insert(&mut self, id: TopicPartition, value: T) -> Option<T> {
        self.cell(id).replace(value)
    }

    pub fn or_insert_with(&mut self, id: TopicPartition, value: impl FnOnce() -> T) -> &mut T {
        self.cell(id).get_or_insert_with(value)
    }

    pub fn clear(&mut self) {
        self.topics.clear();
    }

    /// In the order of topics and numbers.
    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, &T)> {
        self.topics.iter().enumerate().flat_map(|(topic, cells)| {
            let named = move |number| TopicPartition::new(TopicId(topic as u16), number as u16);
            cells.iter().enumerate().filter_map(move |(number, cell)| Some((named(number), cell.as_ref()?)))
        })
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (TopicPartition, &mut T)> {
        self.topics.iter_mut().enumerate().flat_map(|(topic, cells)| {
            let named = move |number| TopicPartition::new(TopicId(topic as u16), number as u16);
            cells.iter_mut().enumerate().filter_map(move |(number, cell)| Some((named(number), cell.as_mut()?)))
        })
    }

    fn cell(&mut self, id: TopicPartition) -> &mut Option<T> {
        let (topic, number) = (usize::from(id.topic.0), usize::from(id.partition));
        if self.topics.len() <= topic {
            self.topics.resize_with(topic + 1, Vec::new);
        }
        let cells = &mut self.topics[topic];
        if cells.len() <= number {
            cells.resize_with(number + 1, || None);
        }
        &mut cells[number]
    }
}

impl<T> Default for PartitionTable<T> {
    fn default() -> PartitionTable<T> {
        PartitionTable { topics: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::types::{Random, Seed};

    #[test]
    fn it_answers_and_is_walked_like_a_map() {
        let mut rng = Seed(1).stream("test");
        let (mut table, mut map) = (PartitionTable::default(), BTreeMap::new());
        for round in 0..2000u64 {
            let id = TopicPartition::new(TopicId(rng.below(5) as u16), rng.below(9) as u16);
            assert_eq!(table.get(id), map.get(&id));
            match rng.below(3) {
                0 => assert_eq!(table.insert(id, round), map.insert(id, round)),
                1 => assert_eq!(table.or_insert_with(id, || round), map.entry(id).or_insert(round)),
                _ => table.iter_mut().zip(map.values_mut()).for_each(|((_, one), other)| {
                    *one += 1;
                    *other += 1;
                }),
            }
            assert!(table.iter().map(|(id, value)| (id, *value)).eq(map.iter().map(|(id, value)| (*id, *value))));
        }
        table.clear();
        assert_eq!(table.iter().count(), 0);
    }
}

//! A map of few entries: what is in flight, which timers run.
//!
//! Entries stand in the order of their keys in one ring. What is in flight mostly comes with a key above all others and
//! goes from the front, which costs a step each; a tree would ask the allocator for a node whenever it stops being empty,
//! and machines step from "one thing out" to "nothing out" all day. An entry in the middle moves the shorter side.

use std::collections::VecDeque;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FewMap<K, V>(VecDeque<(K, V)>);

impl<K: Ord + Copy, V> FewMap<K, V> {
    pub fn new() -> FewMap<K, V> {
        FewMap::default()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|place| &mut self.0[place].1)
    }

    /// What stood at the key before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.0.back().is_none_or(|(last, _)| *last < key) {
            self.0.push_back((key, value));
            return None;
        }
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.insert(place, (key, value));
                None
            }
        }
    }

    pub fn or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (key, value()));
                place
            }
        };
        &mut self.0[place].1
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (_, value) =
            if self.0.front()?.0 == *key { self.0.pop_front() } else { self.0.remove(self.place(key).ok()?) }?;
        Some(value)
    }

    pub fn first(&self) -> Option<(K, &V)> {
        self.0.front().map(|(key, value)| (*key, value))
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        self.0.pop_front()
    }

    /// Entries at this key and above, in the order of keys.
    pub fn from(&self, key: K) -> impl Iterator<Item = (K, &V)> {
        let place = self.place(&key).unwrap_or_else(|place| place);
        self.0.range(place..).map(|(key, value)| (*key, value))
    }

    /// In the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Most ask for what stands first or last, or has stood there.
    fn place(&self, key: &K) -> Result<usize, usize> {
        let (Some((first, _)), Some((last, _))) = (self.0.front(), self.0.back()) else { return Err(0) };
        if *key <= *first {
            return if *key == *first { Ok(0) } else { Err(0) };
        }
        if *last <= *key {
            return if *key == *last { Ok(self.0.len() - 1) } else { Err(self.0.len()) };
        }
        self.0.binary_search_by_key(key, |entry| entry.0)
    }
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> FewMap<K, V> {
        FewMap(VecDeque::new())
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
        let (mut few, mut map) = (FewMap::new(), BTreeMap::new());
        for round in 0..5000u64 {
            let key = rng.below(20);
            match rng.below(7) {
                0 | 1 => assert_eq!(few.insert(key, round), map.insert(key, round)),
                2 => assert_eq!(few.remove(&key), map.remove(&key)),
                3 => assert_eq!(few.pop_first(), map.pop_first()),
                4 => assert_eq!(few.get_mut(&key), map.get_mut(&key)),
                5 => assert_eq!(few.or_insert_with(key, || round), map.entry(key).or_insert(round)),
                _ => assert_eq!(few.get(&key), map.get(&key)),
            }
            assert_eq!((few.len(), few.is_empty()), (map.len(), map.is_empty()));
            assert_eq!(few.first(), map.first_key_value().map(|(key, value)| (*key, value)));
            assert!(few.iter().eq(map.iter().map(|(key, value)| (*key, value))));
            assert!(few.from(key).eq(map.range(key..).map(|(key, value)| (*key, value))));
            assert!(few.values().eq(map.values()));
        }
    }
}

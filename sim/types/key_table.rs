//! One thing for each key, found without a search where keys are small numbers.
//!
//! Events draw their keys from `0..n`, and n is a thousand unless a scenario says more. A tree of a thousand keys in random
//! order costs a wrong guess of the processor at each level; a table by number costs none. Large numbers (the ids of
//! events, keys out of millions) stand in a tree as before, so that the table is never larger than what it saves.

use std::collections::BTreeMap;

use super::Key;

#[derive(Clone, Debug)]
pub struct KeyTable<T> {
    /// By number, below [`SMALL`].
    small: Vec<Option<T>>,
    large: BTreeMap<Key, T>,
}

const SMALL: u64 = 1 << 14;

impl<T> KeyTable<T> {
    pub fn or_insert_with(&mut self, key: Key, value: impl FnOnce() -> T) -> &mut T {
        if SMALL <= key.0 {
            return self.large.entry(key).or_insert_with(value);
        }
        let number = key.0 as usize;
        if self.small.len() <= number {
            self.small.resize_with(number + 1, || None);
        }
        self.small[number].get_or_insert_with(value)
    }
}

impl<T> Default for KeyTable<T> {
    fn default() -> KeyTable<T> {
        KeyTable { small: Vec::new(), large: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Random, Seed};

    #[test]
    fn it_answers_like_a_map() {
        let mut rng = Seed(1).stream("test");
        let (mut table, mut map) = (KeyTable::default(), BTreeMap::new());
        for round in 0..5000u64 {
            let key = Key(if rng.below(2) == 0 { rng.below(50) } else { SMALL - 25 + rng.below(50) });
            assert_eq!(table.or_insert_with(key, || round), map.entry(key).or_insert(round));
        }
    }
}

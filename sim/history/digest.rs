//! The digest of a run: every event in order, folded into 128 bits. Two runs are equal when their digests are.

use std::hash::Hasher;

use xxhash_rust::xxh3::Xxh3;

/// Collects the words of many small `Hash` values and hashes them in blocks.
pub struct Digest {
    state: Xxh3,
    buffer: [u8; BLOCK],
    filled: usize,
}

const BLOCK: usize = 1024;

impl Digest {
    pub fn new() -> Digest {
        Digest { state: Xxh3::new(), buffer: [0; BLOCK], filled: 0 }
    }

    /// The digest of everything so far.
    pub fn value(&self) -> u128 {
        let mut state = self.state.clone();
        state.update(&self.buffer[..self.filled]);
        state.digest128()
    }

    pub fn words<const N: usize>(&mut self, words: [u64; N]) {
        for word in words {
            self.put(&word.to_le_bytes());
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.filled + bytes.len() > BLOCK {
            self.state.update(&self.buffer[..self.filled]);
            self.filled = 0;
            if bytes.len() > BLOCK {
                self.state.update(bytes);
                return;
            }
        }
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }
}

impl Default for Digest {
    fn default() -> Digest {
        Digest::new()
    }
}

/// Integers go in little-endian on every platform, so that a digest travels.
impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.value() as u64
    }
    fn write(&mut self, bytes: &[u8]) {
        self.put(bytes);
    }
    fn write_u8(&mut self, value: u8) {
        self.put(&[value]);
    }
    fn write_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }
    fn write_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }
    fn write_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }
    fn write_usize(&mut self, value: usize) {
        self.put(&(value as u64).to_le_bytes());
    }
    fn write_isize(&mut self, value: isize) {
        self.put(&(value as i64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hash;

    use super::*;

    fn digest(values: &[u64]) -> u128 {
        let mut digest = Digest::new();
        values.iter().for_each(|value| value.hash(&mut digest));
        digest.value()
    }

    #[test]
    fn every_word_and_its_place_count() {
        let values: Vec<u64> = (0..1000).collect();
        let reference = digest(&values);
        for changed in [0, 127, 128, 999] {
            let mut other = values.clone();
            other[changed] ^= 1;
            assert_ne!(digest(&other), reference);
        }
        let mut swapped = values.clone();
        swapped.swap(3, 4);
        assert_ne!(digest(&swapped), reference);
        assert_eq!(digest(&values), reference);
    }
}

//! The digest of a run: every event in order, folded into 128 bits. Two runs are equal when their digests are.

use std::hash::Hasher;

use twox_hash::XxHash3_128;

use crate::types::little_endian;

/// Collects many small `Hash` values, each as one word, and hashes them in blocks.
pub struct Digest {
    state: XxHash3_128,
    buffer: Box<[[u8; 8]; BLOCK]>,
    filled: usize,
}

/// Words of a block.
const BLOCK: usize = 128;

impl Digest {
    pub fn new() -> Digest {
        Digest { state: XxHash3_128::new(), buffer: Box::new([[0; 8]; BLOCK]), filled: 0 }
    }

    /// The digest of everything so far.
    pub fn value(&self) -> u128 {
        let mut state = self.state.clone();
        state.write(self.buffer[..self.filled].as_flattened());
        state.finish_128()
    }

    /// Where a block ends changes nothing, so words that belong together stand in one.
    #[inline]
    pub fn words<const N: usize>(&mut self, words: [u64; N]) {
        self.put(&little_endian(words));
    }

    /// No more words than a block has.
    #[inline]
    fn put(&mut self, words: &[[u8; 8]]) {
        let place = match self.filled {
            place if place <= BLOCK - words.len() => place,
            _ => {
                self.take_block();
                0
            }
        };
        self.buffer[place..place + words.len()].copy_from_slice(words);
        self.filled = place + words.len();
    }

    #[cold]
    #[inline(never)]
    fn take_block(&mut self) {
        self.state.write(self.buffer[..self.filled].as_flattened());
        self.filled = 0;
    }
}

impl Default for Digest {
    fn default() -> Digest {
        Digest::new()
    }
}

/// Integers are widened to words in little-endian on every platform, so that a digest travels. Text is as long as its
/// words; `Hash` of a slice or a string says its length or its end beside.
impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.value() as u64
    }
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.chunks(BLOCK).for_each(|words| self.put(words));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.put(&[word]);
        }
    }
    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.words([u64::from(value)]);
    }
    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.words([u64::from(value)]);
    }
    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.words([u64::from(value)]);
    }
    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.words([value]);
    }
    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.words([value as u64]);
    }
    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.words([value as i64 as u64]);
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

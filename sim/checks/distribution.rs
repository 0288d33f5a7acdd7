//! A histogram of lengths of time with a fixed relative error.
//!
//! The one idea: each power of two is cut into 128 equal parts, so that the middle of a part is within 0.4 % of every
//! value in it. Count, sum, minimum and maximum are exact. Memory depends on the range, not on the number of samples.
//!
//! Source: Tene, HdrHistogram.

use super::outcome::Distribution;
use crate::types::Duration;

/// Parts of a power of two, as a power of two.
const PARTS: u32 = 7;

#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Histogram {
    pub fn add(&mut self, length: Duration) {
        let index = index_of(length.0);
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.min = if self.count == 0 { length.0 } else { self.min.min(length.0) };
        self.max = self.max.max(length.0);
        self.count += 1;
        self.sum += u128::from(length.0);
    }

    /// The length that a share `per_mille` of the samples does not exceed (nearest rank).
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let rank = (self.count * per_mille).div_ceil(1000).max(1);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Duration(middle_of(index).clamp(self.min, self.max));
            }
        }
        Duration(self.max)
    }

    pub fn summary(&self) -> Distribution {
        if self.count == 0 {
            return Distribution::default();
        }
        Distribution {
            count: self.count,
            mean_seconds: self.sum as f64 / self.count as f64 / 1e9,
            min: Duration(self.min),
            p50: self.quantile(500),
            p95: self.quantile(950),
            p99: self.quantile(990),
            max: Duration(self.max),
        }
    }
}

fn index_of(value: u64) -> usize {
    let bits = 64 - value.leading_zeros();
    // Below 2^(PARTS + 1) every value has a part of its own.
    let shift = bits.saturating_sub(PARTS + 1);
    ((u64::from(shift) << PARTS) + (value >> shift)) as usize
}

fn middle_of(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 << PARTS {
        return index;
    }
    let shift = (index >> PARTS) - 1;
    let low = (index - (shift << PARTS)) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_half_a_percent() {
        let mut histogram = Histogram::default();
        let mut exact: Vec<u64> = (0..20_000u64).map(|i| i * i * 37 + 5).collect();
        for value in &exact {
            histogram.add(Duration(*value));
        }
        exact.sort_unstable();
        for per_mille in [1, 10, 500, 950, 990, 999, 1000] {
            let expected = exact[((exact.len() as u64 * per_mille).div_ceil(1000) - 1) as usize] as f64;
            let found = histogram.quantile(per_mille).0 as f64;
            assert!((found - expected).abs() <= 0.005 * expected + 0.5, "{per_mille}: {found} for {expected}");
        }
        assert_eq!(histogram.summary().max, Duration(*exact.last().unwrap()));
        assert_eq!(histogram.summary().min, Duration(5));
        assert_eq!(histogram.sum, exact.iter().map(|value| u128::from(*value)).sum());
    }

    #[test]
    fn every_value_has_a_part_near_it() {
        for value in [0, 1, 127, 128, 255, 256, 257, 1 << 20, (1 << 20) + 12_345, u64::MAX / 3] {
            let middle = middle_of(index_of(value));
            assert!(middle.abs_diff(value) as f64 <= 0.004 * value as f64 + 0.5, "{middle} for {value}");
        }
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        assert_eq!(Histogram::default().summary(), Distribution::default());
    }
}

//! Statistics over seeds: intervals for shares, tests of means, the expected maximum of several partitions.
//!
//! Sources: Wilson, *Probable Inference* (1927); David and Nagaraja, *Order Statistics* (2003), section 3.1.

use libm::{erf, exp, pow, sqrt};

/// Two-sided 95 %.
pub const Z95: f64 = 1.959_963_984_540_054;

/// The z within which a mean must agree with a closed form: one false alarm in sixteen thousand comparisons.
pub const Z_OF_THEORY: f64 = 4.0;

/// Wilson's interval for the probability behind `count` of `of`, at `z`. Sound at zero, where the naive one is empty.
pub fn wilson_interval(count: u64, of: u64, z: f64) -> (f64, f64) {
    assert!(count <= of, "more successes than trials");
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (of as f64, count as f64 / of as f64);
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z / scale * sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n));
    let low = if count == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if count == of { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

/// Upper end of the 95 % Wilson interval: "0 of 500, at most 0.8 %".
pub fn wilson_upper_95(count: u64, of: u64) -> f64 {
    wilson_interval(count, of, Z95).1
}

/// How many standard errors the mean of `replicas` samples lies from what was expected.
pub fn z_score(mean: f64, expected: f64, deviation_of_one: f64, replicas: u64) -> f64 {
    (mean - expected) / (deviation_of_one / sqrt(replicas as f64))
}

/// Whether a mean agrees: within `z` standard errors and a known bias.
pub fn agrees(mean: f64, expected: f64, deviation_of_one: f64, replicas: u64, z: f64, bias: f64) -> bool {
    (mean - expected).abs() <= z * deviation_of_one / sqrt(replicas as f64) + bias
}

/// Whether an observed share agrees with a probability, by the normal approximation.
pub fn share_agrees(count: u64, of: u64, probability: f64, z: f64) -> bool {
    let n = of as f64;
    (count as f64 / n - probability).abs() <= z * sqrt(probability * (1.0 - probability) / n)
}

/// Sample mean and standard deviation; the latter needs two samples.
pub fn mean_and_deviation(samples: &[f64]) -> Option<(f64, Option<f64>)> {
    if samples.is_empty() {
        return None;
    }
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let squares: f64 = samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum();
    Some((mean, (samples.len() > 1).then(|| sqrt(squares / (n - 1.0)))))
}

/// Expected maximum of `count` independent standard normals: e_5 = 1.163, e_12 = 1.629, e_16 = 1.766.
pub fn normal_maximum(count: u32) -> f64 {
    assert!(count > 0, "maximum of nothing");
    // E[max] = integral of (1 - F^n) above zero minus the integral of F^n below, by Simpson's rule on [-9, 9].
    let share_below = |x: f64| pow(normal_distribution(x), f64::from(count));
    let above = simpson(0.0, 9.0, |x| 1.0 - share_below(x));
    let below = simpson(-9.0, 0.0, share_below);
    above - below
}

/// Expected maximum of `count` independent draws from a distribution on `points` (ascending) with `probabilities`.
pub fn expected_maximum(points: &[f64], probabilities: &[f64], count: u32) -> f64 {
    assert!(points.len() == probabilities.len(), "a probability for each point");
    let (mut below, mut power_below, mut sum) = (0.0, 0.0, 0.0);
    for (point, probability) in points.iter().zip(probabilities) {
        below += probability;
        let power = pow(below.min(1.0), f64::from(count));
        sum += point * (power - power_below);
        power_below = power;
    }
    sum
}

/// Standard normal distribution function.
pub fn normal_distribution(x: f64) -> f64 {
    0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

/// Standard normal density.
pub fn normal_density(x: f64) -> f64 {
    exp(-x * x / 2.0) / sqrt(std::f64::consts::TAU)
}

fn simpson(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    const INTERVALS: u32 = 1_800;
    let step = (to - from) / f64::from(INTERVALS);
    let inner: f64 = (1..INTERVALS).map(|i| f(from + step * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    (f(from) + inner + f(to)) * step / 3.0
}

/// Relative closeness, for tests of formulas.
#[cfg(test)]
pub fn assert_close(found: f64, expected: f64, relative: f64) {
    let scale = expected.abs().max(1e-300);
    assert!((found - expected).abs() / scale <= relative, "found {found}, expected {expected}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_maxima_of_normals() {
        assert_close(normal_maximum(1) + 1.0, 1.0, 1e-9);
        // Exact: 1/sqrt(pi) and 3/(2 sqrt(pi)).
        assert_close(normal_maximum(2), 0.564_189_583_5, 1e-8);
        assert_close(normal_maximum(3), 0.846_284_375_3, 1e-8);
        assert_close(normal_maximum(5), 1.163, 1e-3);
        assert_close(normal_maximum(12), 1.629, 1e-3);
        assert_close(normal_maximum(16), 1.766, 1e-3);
    }

    #[test]
    fn nothing_seen_in_five_hundred_is_at_most_eight_in_a_thousand() {
        assert_close(wilson_upper_95(0, 500), 0.007_624, 1e-3);
        assert_eq!(wilson_interval(0, 500, Z95).0, 0.0);
        assert_eq!(wilson_interval(5, 5, Z95).1, 1.0);
        assert_eq!(wilson_interval(0, 0, Z95), (0.0, 1.0));
        let (low, high) = wilson_interval(10, 20, Z95);
        assert_close(low, 0.299_298, 1e-4);
        assert_close(high, 0.700_702, 1e-4);
    }

    #[test]
    fn means_agree_within_four_standard_errors() {
        assert!(agrees(121.0, 120.0, 3.79473, 200, Z_OF_THEORY, 0.05));
        assert!(!agrees(121.2, 120.0, 3.79473, 200, Z_OF_THEORY, 0.05));
        assert_close(z_score(121.0, 120.0, 2.0, 16), 2.0, 1e-12);
        assert!(share_agrees(100, 1_000_000, 0.0001, Z_OF_THEORY));
        assert!(!share_agrees(200, 1_000_000, 0.0001, Z_OF_THEORY));
    }

    #[test]
    fn deviation_needs_two_samples() {
        assert_eq!(mean_and_deviation(&[]), None);
        assert_eq!(mean_and_deviation(&[2.0]), Some((2.0, None)));
        assert_eq!(mean_and_deviation(&[1.0, 3.0]), Some((2.0, Some(std::f64::consts::SQRT_2))));
    }
}

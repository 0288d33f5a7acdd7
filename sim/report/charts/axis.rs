//! Axes with explicit ticks: linear, logarithmic, and time at steps that a clock has (1 2 5 10 15 30 60). plotters' own axes know
//! only 1-2-5 steps and label a logarithm at its decades. Mapping uses `libm`, so it is equal on every platform.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged};

use crate::report::numbers;

/// One axis: where it begins and ends, how it is divided, what is written at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub scale: Scale,
    pub ticks: Vec<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Logarithmic,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub value: f64,
    pub label: String,
}

/// Ticks of a logarithmic time axis, in seconds.
const DURATIONS: [f64; 27] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    1_200.0, 1_800.0, 3_600.0, 7_200.0, 18_000.0, 36_000.0, 86_400.0, 172_800.0,
];

/// Steps of a linear time axis, in seconds.
const TIME_STEPS: [f64; 23] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0,
    3_600.0, 7_200.0, 21_600.0, 43_200.0, 86_400.0,
];

impl Axis {
    /// Counts from zero to a round number at or above the highest.
    pub fn counts(highest: f64) -> Axis {
        let step = round_step(highest.max(1.0) / 5.0).max(1.0);
        let steps = libm::ceil(highest.max(1.0) / step) as u64;
        let ticks = (0..=steps).map(|index| index as f64 * step);
        let ticks = ticks.map(|value| Tick { value, label: numbers::count(value as u64) }).collect();
        Axis { low: 0.0, high: steps as f64 * step, scale: Scale::Linear, ticks }
    }

    /// Multiples, as 1.0× 1.25× 1.5×, from one end to the other.
    pub fn multiples(low: f64, high: f64) -> Axis {
        let step = [0.1, 0.25, 0.5, 1.0].into_iter().find(|step| (high - low) / step <= 10.0);
        let step = step.unwrap_or_else(|| round_step((high - low) / 8.0));
        let ticks = multiples_of(step, low, high);
        let ticks = ticks.map(|value| Tick { value, label: numbers::multiple(value) }).collect();
        Axis { low, high, scale: Scale::Linear, ticks }
    }

    /// Seconds on a logarithm; the low end is moved down to a tick.
    pub fn durations(shortest: f64, longest: f64) -> Axis {
        assert!(shortest > 0.0, "a logarithm begins above zero");
        let low = DURATIONS.iter().rev().find(|tick| **tick <= shortest).copied().unwrap_or(shortest);
        let high = if longest > low { longest } else { low * 2.0 };
        let inside: Vec<f64> = DURATIONS.into_iter().filter(|tick| (low..=high).contains(tick)).collect();
        // A very long axis keeps each n-th tick, so that labels do not touch.
        let every = inside.len().div_ceil(12).max(1);
        let kept = inside.into_iter().step_by(every);
        let ticks = kept.map(|value| Tick { value, label: numbers::seconds(value) }).collect();
        Axis { low, high, scale: Scale::Logarithmic, ticks }
    }

    /// Seconds from one end to the other, both kept.
    pub fn time(from: f64, to: f64) -> Axis {
        let to = if to > from { to } else { from + 1.0 };
        let step = TIME_STEPS.into_iter().find(|step| (to - from) / step <= 10.0);
        let step = step.unwrap_or_else(|| round_step((to - from) / 86_400.0 / 8.0) * 86_400.0);
        let ticks =
            multiples_of(step, from, to).map(|value| Tick { value, label: time_label(value, step, to) }).collect();
        Axis { low: from, high: to, scale: Scale::Linear, ticks }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end.
    pub fn fraction(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => libm::log(value / self.low) / libm::log(self.high / self.low),
        }
    }

    /// The reverse of `fraction`.
    pub fn value(&self, fraction: f64) -> f64 {
        match self.scale {
            Scale::Linear => self.low + fraction * (self.high - self.low),
            Scale::Logarithmic => self.low * libm::exp(fraction * libm::log(self.high / self.low)),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + libm::round(self.fraction(*value) * f64::from(limit.1 - limit.0)) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

/// The parts of a line that lie within both axes; it is cut where it leaves them, and at values that are not numbers. plotters would
/// push points from outside onto the edge.
pub fn clipped(points: &[(f64, f64)], x: &Axis, y: &Axis) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut open = false;
    for pair in points.windows(2) {
        let place = |(at, value): (f64, f64)| (x.fraction(at), y.fraction(value));
        let Some((from, to, whole)) = cut(place(pair[0]), place(pair[1])) else {
            open = false;
            continue;
        };
        let back = |(at, value): (f64, f64)| (x.value(at), y.value(value));
        if !open {
            pieces.push(vec![back(from)]);
        }
        pieces.last_mut().expect("a piece is open").push(back(to));
        open = whole;
    }
    pieces
}

/// A place by its fractions of both axes.
type Fractions = (f64, f64);

/// Liang and Barsky on the unit square. The flag tells that the end was kept.
fn cut(from: Fractions, to: Fractions) -> Option<(Fractions, Fractions, bool)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    if !(from.0 + from.1 + dx + dy).is_finite() {
        return None;
    }
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for (slope, room) in [(-dx, from.0), (dx, 1.0 - from.0), (-dy, from.1), (dy, 1.0 - from.1)] {
        if slope == 0.0 {
            if room < 0.0 {
                return None;
            }
        } else if slope < 0.0 {
            enter = enter.max(room / slope);
        } else {
            leave = leave.min(room / slope);
        }
    }
    let at = |share: f64| (from.0 + share * dx, from.1 + share * dy);
    (enter <= leave).then(|| (at(enter), at(leave), leave == 1.0))
}

/// 1, 2 or 5 times a power of ten, at or above.
fn round_step(least: f64) -> f64 {
    let power = libm::exp10(libm::floor(libm::log10(least)));
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * 0.999_999);
    factor.unwrap_or(10.0) * power
}

fn multiples_of(step: f64, low: f64, high: f64) -> impl Iterator<Item = f64> {
    // A little tolerance, so that an end which is a multiple gets its tick.
    let first = libm::ceil(low / step - 1e-6) as i64;
    let last = libm::floor(high / step + 1e-6) as i64;
    (first..=last).map(move |index| index as f64 * step)
}

/// Seconds up to three minutes, then minutes or `1:30`, then hours or `1:30 h`.
fn time_label(value: f64, step: f64, longest: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    let whole = libm::round(size) as u64;
    if whole == 0 && size < step / 2.0 {
        return "0".to_string();
    }
    match longest {
        _ if longest <= 180.0 && step < 1.0 => format!("{sign}{}", numbers::seconds(size)),
        _ if longest <= 180.0 => format!("{sign}{whole} s"),
        _ if longest <= 7_200.0 && step >= 60.0 => format!("{sign}{} min", whole / 60),
        _ if longest <= 7_200.0 => format!("{sign}{}:{:02}", whole / 60, whole % 60),
        _ if step >= 86_400.0 => format!("{sign}{} d", whole / 86_400),
        _ if step >= 3_600.0 => format!("{sign}{} h", whole / 3_600),
        _ => format!("{sign}{}:{:02} h", whole / 3_600, whole % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn time_ticks_are_those_of_a_clock() {
        assert_eq!(
            labels(&Axis::time(0.0, 100.0)),
            ["0", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s", "70 s", "80 s", "90 s", "100 s"]
        );
        assert_eq!(labels(&Axis::time(0.0, 180.0)), ["0", "30 s", "60 s", "90 s", "120 s", "150 s", "180 s"]);
        assert_eq!(
            labels(&Axis::time(0.0, 240.0)),
            ["0", "0:30", "1:00", "1:30", "2:00", "2:30", "3:00", "3:30", "4:00"]
        );
        assert_eq!(labels(&Axis::time(0.0, 660.0)), ["0", "2 min", "4 min", "6 min", "8 min", "10 min"]);
        assert_eq!(labels(&Axis::time(-10.0, 20.0)), ["−10 s", "−5 s", "0", "5 s", "10 s", "15 s", "20 s"]);
    }

    #[test]
    fn a_logarithm_has_the_ticks_of_people() {
        let axis = Axis::durations(12.0, 600.0);
        assert_eq!(labels(&axis), ["10 s", "20 s", "30 s", "60 s", "2 min", "5 min", "10 min"]);
        assert!((axis.value(axis.fraction(77.0)) - 77.0).abs() < 1e-9);
    }

    #[test]
    fn counts_end_at_a_round_number() {
        assert_eq!(labels(&Axis::counts(812_345.0)), ["0", "200,000", "400,000", "600,000", "800,000", "1,000,000"]);
        assert_eq!(labels(&Axis::counts(0.0)), ["0", "1"]);
        assert_eq!(labels(&Axis::multiples(0.9, 2.1)).len(), 5);
    }

    #[test]
    fn lines_are_cut_at_the_edge_and_at_gaps() {
        let (x, y) = (Axis::time(0.0, 10.0), Axis::counts(10.0));
        let outside = clipped(&[(-5.0, 5.0), (5.0, 5.0), (15.0, 5.0)], &x, &y);
        assert_eq!(outside, [vec![(0.0, 5.0), (5.0, 5.0), (10.0, 5.0)]]);
        let gap = clipped(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 1.0)], &x, &y);
        assert_eq!(gap, [vec![(2.0, 1.0), (3.0, 1.0)]]);
        assert!(clipped(&[(0.0, 20.0), (10.0, 20.0)], &x, &y).is_empty());
    }
}

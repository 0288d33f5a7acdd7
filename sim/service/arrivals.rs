//! When events arrive and which key each has.
//!
//! Instants come from one sequence of draws; the key of an event is drawn by the number of the event, so that another
//! kind of arrivals leaves the keys as they were. Zipf: rejection-inversion (Hörmann and Derflinger 1996), exact for
//! every exponent, two or three draws, no table.

use std::f64::consts::TAU;

use crate::scenario::plan::{Arrivals, Keys, RequestsPlan};
use crate::types::*;

/// The instants at which events arrive, in order.
#[derive(Clone, Debug)]
pub struct ArrivalTimes {
    arrivals: Arrivals,
    interval: Duration,
    end: Time,
    count: u64,
    rng: Rng,
    /// Events made so far.
    made: u64,
    next: Time,
    /// Of constant arrivals: an event that has an instant of its own, and this instant. The others follow from it.
    anchor: (u64, Time),
}

impl ArrivalTimes {
    /// `end` is the first instant at which nothing arrives any more.
    pub fn new(plan: &RequestsPlan, end: Time, rng: Rng) -> ArrivalTimes {
        assert!(!plan.interval.is_zero(), "events arrive at a finite rate");
        let count = plan.count.unwrap_or(u64::MAX);
        let (arrivals, interval) = (plan.arrivals, plan.interval);
        let (next, anchor) = (Time::LOAD_START, (0, Time::LOAD_START));
        let mut times = ArrivalTimes { arrivals, interval, end, count, rng, made: 0, next, anchor };
        match arrivals {
            Arrivals::Constant => {}
            Arrivals::Poisson => times.next += times.rng.exponential(interval),
            Arrivals::Burst(size) => times.next += times.rng.exponential(interval * u64::from(size)),
            Arrivals::Diurnal { amplitude, period } => times.next_of_day(amplitude, period),
        }
        times
    }

    /// When the next event arrives, if one does.
    pub fn peek(&self) -> Option<Time> {
        (self.made < self.count && self.next < self.end).then_some(self.next)
    }

    /// Goes on to the event behind the next one; gives back the number of the one that arrived.
    pub fn advance(&mut self) -> u64 {
        let number = self.made;
        self.made += 1;
        match self.arrivals {
            Arrivals::Constant => self.next = self.anchor.1 + self.interval * (self.made - self.anchor.0),
            Arrivals::Poisson => self.next += self.rng.exponential(self.interval),
            Arrivals::Burst(size) if self.made.is_multiple_of(u64::from(size.max(1))) => {
                self.next += self.rng.exponential(self.interval * u64::from(size));
            }
            Arrivals::Burst(_) => {}
            Arrivals::Diurnal { amplitude, period } => self.next_of_day(amplitude, period),
        }
        number
    }

    /// Candidates come at the rate of the busiest hour, and each is taken with the share that the hour has of it (thinning; Lewis and
    /// Shedler 1979).
    fn next_of_day(&mut self, amplitude: Ratio, period: Duration) {
        let amplitude = amplitude.as_f64();
        while self.next < self.end {
            self.next +=
                Duration::from_seconds_f64(self.rng.exponential(self.interval).as_seconds() / (1.0 + amplitude));
            let phase = TAU * self.next.since(Time::LOAD_START).as_seconds() / period.as_seconds();
            if self.rng.unit() * (1.0 + amplitude) <= 1.0 + amplitude * libm::sin(phase) {
                return;
            }
        }
    }

    /// Another mean gap from now on. What is left of the gap under way is stretched: the rest of an exponential gap is one
    /// too, so no draw is made anew, and what is undone leaves the draws as they were.
    pub fn change(&mut self, interval: Duration, now: Time) {
        assert!(!interval.is_zero(), "events arrive at a finite rate");
        if interval == self.interval {
            return;
        }
        let left = u128::from(self.next.since(now).0) * u128::from(interval.0) / u128::from(self.interval.0);
        self.next = now + Duration(u64::try_from(left).unwrap_or(u64::MAX));
        self.anchor = (self.made, self.next);
        self.interval = interval;
    }

    /// Nothing arrives any more.
    pub fn end(&mut self) {
        self.end = Time::ZERO;
    }
}

/// The key of an event by its number.
#[derive(Clone, Debug)]
pub struct KeyChoice {
    keys: Keys,
    draws: Keyed,
    zipf: Option<Zipf>,
}

impl KeyChoice {
    pub fn new(keys: Keys, draws: Keyed) -> KeyChoice {
        let zipf = match keys {
            Keys::Zipf { thousandths, of } => Some(Zipf::new(f64::from(thousandths) / 1000.0, of)),
            Keys::Uniform(_) | Keys::Unique => None,
        };
        KeyChoice { keys, draws, zipf }
    }

    pub fn key(&self, number: u64) -> Key {
        let mut draw = self.draws.at(number);
        match (self.keys, &self.zipf) {
            (Keys::Uniform(of), _) => Key(draw.below(of.max(1))),
            (Keys::Zipf { .. }, Some(zipf)) => Key(zipf.rank(&mut draw) - 1),
            (Keys::Zipf { .. }, None) | (Keys::Unique, _) => Key(number),
        }
    }
}

/// Ranks 1..=of with probability proportional to rank^-exponent.
#[derive(Clone, Debug)]
struct Zipf {
    exponent: f64,
    of: f64,
    integral_of_first: f64,
    integral_of_last: f64,
    shortcut: f64,
}

impl Zipf {
    fn new(exponent: f64, of: u64) -> Zipf {
        assert!(of > 0, "a key among none");
        let mut zipf = Zipf { exponent, of: of as f64, integral_of_first: 0.0, integral_of_last: 0.0, shortcut: 0.0 };
        zipf.integral_of_first = zipf.integral(1.5) - 1.0;
        zipf.integral_of_last = zipf.integral(zipf.of + 0.5);
        zipf.shortcut = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    fn rank(&self, draw: &mut impl Random) -> u64 {
        loop {
            let level = self.integral_of_last + draw.unit() * (self.integral_of_first - self.integral_of_last);
            let point = self.inverse(level);
            let rank = libm::floor(point + 0.5).clamp(1.0, self.of);
            if rank - point <= self.shortcut || level >= self.integral(rank + 0.5) - self.density(rank) {
                return rank as u64;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        libm::exp(-self.exponent * libm::log(x))
    }

    /// Integral of the density, in a form that stays exact around an exponent of 1.
    fn integral(&self, x: f64) -> f64 {
        let logarithm = libm::log(x);
        growth((1.0 - self.exponent) * logarithm) * logarithm
    }

    fn inverse(&self, level: f64) -> f64 {
        let bent = (level * (1.0 - self.exponent)).max(-1.0);
        libm::exp(decay(bent) * level)
    }
}

/// (e^x - 1) / x.
fn growth(x: f64) -> f64 {
    if libm::fabs(x) > 1e-8 { libm::expm1(x) / x } else { 1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0)) }
}

/// ln(1 + x) / x.
fn decay(x: f64) -> f64 {
    if libm::fabs(x) > 1e-8 { libm::log1p(x) / x } else { 1.0 - x * (0.5 - x * (1.0 / 3.0 - 0.25 * x)) }
}

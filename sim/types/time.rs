//! Simulated time in whole nanoseconds. It cannot be obtained from the operating system: only the world hands it out.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// An instant, in nanoseconds since the processes were started. Ordered, printable, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub u64);

impl Time {
    /// The processes start. A run needs some seconds until its cluster is up and its groups have assignments.
    pub const ZERO: Time = Time(0);
    /// "Time 0" of a scenario: the load begins. Instants are printed relative to it.
    pub const LOAD_START: Time = Time(20_000_000_000);
    /// Later than every instant of a run.
    pub const NEVER: Time = Time(u64::MAX);

    /// The length from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// Seconds after the load began (negative before) as a float, for reports and theory only.
    pub fn as_seconds(self) -> f64 {
        (self.0 as f64 - Time::LOAD_START.0 as f64) / 1e9
    }
}

impl Duration {
    pub const ZERO: Duration = Duration(0);
    pub const MAX: Duration = Duration(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Duration {
        Duration(nanos)
    }

    pub const fn from_micros(micros: u64) -> Duration {
        Duration(micros * 1_000)
    }

    pub const fn from_millis(millis: u64) -> Duration {
        Duration(millis * 1_000_000)
    }

    pub const fn from_secs(seconds: u64) -> Duration {
        Duration(seconds * 1_000_000_000)
    }

    /// Rounds to the nearest nanosecond. Negative and not-a-number become zero.
    pub fn from_seconds_f64(seconds: f64) -> Duration {
        Duration((seconds * 1e9 + 0.5) as u64)
    }

    /// Seconds as a float, for reports and theory only.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    pub fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, length: Duration) -> Time {
        Time(self.0.saturating_add(length.0))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, length: Duration) {
        *self = *self + length;
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, length: Duration) -> Time {
        Time(self.0.saturating_sub(length.0))
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Duration {
    fn add_assign(&mut self, other: Duration) {
        *self = *self + other;
    }
}

impl Sub for Duration {
    type Output = Duration;
    fn sub(self, other: Duration) -> Duration {
        Duration(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Duration {
    type Output = Duration;
    fn mul(self, factor: u64) -> Duration {
        Duration(self.0.saturating_mul(factor))
    }
}

impl Div<u64> for Duration {
    type Output = Duration;
    fn div(self, divisor: u64) -> Duration {
        Duration(self.0 / divisor)
    }
}

/// `12.345678s`: seconds after the load began, with microseconds, as in every transcript and history line.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (sign, nanos) = match self.0.checked_sub(Time::LOAD_START.0) {
            Some(after) => ("", after),
            None => ("-", Time::LOAD_START.0 - self.0),
        };
        write!(f, "{sign}{}.{:06}s", nanos / 1_000_000_000, nanos % 1_000_000_000 / 1_000)
    }
}

/// The shortest exact form a scenario file accepts: `250ms`, `1m30s`, `1500us`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const UNITS: [(u64, &str); 6] = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
            (1, "ns"),
        ];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (size, name) in UNITS {
            if rest >= size {
                write!(f, "{}{name}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_print_relative_to_the_load() {
        assert_eq!(Time::LOAD_START.to_string(), "0.000000s");
        assert_eq!((Time::LOAD_START + Duration::from_micros(12_345_678)).to_string(), "12.345678s");
        assert_eq!(Time::ZERO.to_string(), "-20.000000s");
        assert_eq!((Time::LOAD_START - Duration::from_millis(1)).to_string(), "-0.001000s");
        assert_eq!((Time::LOAD_START + Duration::from_millis(1500)).as_seconds(), 1.5);
    }

    #[test]
    fn arithmetic_stays_within_its_ends() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::NEVER + Duration::from_secs(1), Time::NEVER);
        assert_eq!(Time::ZERO.since(Time::LOAD_START), Duration::ZERO);
        assert_eq!(Time::LOAD_START.since(Time::ZERO), Duration::from_secs(20));
        assert_eq!(Duration::MAX * 2, Duration::MAX);
        assert_eq!(Duration::MAX + Duration(1), Duration::MAX);
        assert_eq!(Duration(1) - Duration(2), Duration::ZERO);
        assert_eq!(Duration::from_secs(1) / 3, Duration(333_333_333));
    }

    #[test]
    fn seconds_round_to_the_nearest_nanosecond() {
        assert_eq!(Duration::from_seconds_f64(1.5), Duration::from_millis(1500));
        assert_eq!(Duration::from_seconds_f64(0.000_000_000_6), Duration(1));
        assert_eq!(Duration::from_seconds_f64(-1.0), Duration::ZERO);
        assert_eq!(Duration::from_seconds_f64(f64::NAN), Duration::ZERO);
        assert_eq!(Duration::from_millis(250).as_millis(), 250);
    }

    #[test]
    fn durations_print_in_the_units_of_a_scenario() {
        assert_eq!(Duration::ZERO.to_string(), "0s");
        assert_eq!(Duration::from_secs(90).to_string(), "1m30s");
        assert_eq!(Duration::from_micros(1500).to_string(), "1ms500us");
        assert_eq!(Duration(1).to_string(), "1ns");
        assert_eq!(Duration::from_secs(7 * 86_400).to_string(), "168h");
    }
}

//! Values with units as a scenario writes them: sizes, ratios, spreads of a duration.
//!
//! Every value prints as the shortest exact text that reads back as the same value, and is serialised as that text.
//! Nothing on the way from text to value is a float, so that a value means the same on every platform; what cannot be
//! held exactly is refused, never rounded. The one exception is a rate, which becomes the nearest whole nanosecond.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use parse::{parse_bandwidth, parse_factor, parse_rate, parse_size};

use super::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

/// A probability or share in parts per billion, so that equal inputs draw equally everywhere. At most one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(pub u32);

impl Ratio {
    pub const ZERO: Ratio = Ratio(0);
    pub const ONE: Ratio = Ratio(1_000_000_000);

    /// As a float, for reports and theory only.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e9
    }

    /// This share of a number, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        (u128::from(whole) * u128::from(self.0) / 1_000_000_000) as u64
    }
}

/// A distribution of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spread {
    Constant(Duration),
    /// Both ends included.
    Uniform {
        low: Duration,
        high: Duration,
    },
    /// Cut at zero.
    Normal {
        mean: Duration,
        deviation: Duration,
    },
    Exponential {
        mean: Duration,
    },
    LogNormal {
        median: Duration,
        p99: Duration,
    },
    TwoPoint {
        usual: Duration,
        ratio: Ratio,
        rare: Duration,
    },
}

impl Spread {
    pub const ZERO: Spread = Spread::Constant(Duration::ZERO);

    /// Exact mean of the distribution (for a normal: before the cut at zero).
    pub fn mean(&self) -> Duration {
        match *self {
            Spread::Constant(length) => length,
            Spread::Uniform { low, high } => Duration(low.0 / 2 + high.0 / 2 + (low.0 % 2 + high.0 % 2) / 2),
            Spread::Normal { mean, .. } | Spread::Exponential { mean } => mean,
            Spread::LogNormal { median, p99 } => {
                let sigma = libm::log(p99.0 as f64 / median.0 as f64) / 2.326_347_874_040_840_8;
                Duration((median.0 as f64 * libm::exp(sigma * sigma / 2.0) + 0.5) as u64)
            }
            Spread::TwoPoint { usual, ratio, rare } => {
                let share = ratio.as_f64();
                Duration((usual.0 as f64 * (1.0 - share) + rare.0 as f64 * share + 0.5) as u64)
            }
        }
    }
}

/// Why a value with a unit could not be read, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong with it, a fragment: "`5` has no unit".
    pub problem: String,
    /// What to write instead, when it can be told: "`5ms`".
    pub cure: Option<String>,
}

impl UnitError {
    fn new(problem: impl Into<String>) -> UnitError {
        UnitError { problem: problem.into(), cure: None }
    }

    fn cured_by(self, cure: impl Into<String>) -> UnitError {
        UnitError { cure: Some(cure.into()), ..self }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.cure {
            Some(cure) => write!(f, "{}; write {cure}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for UnitError {}

impl FromStr for Duration {
    type Err = UnitError;
    /// `250ms` · `1.5s` · `1m30s`; ns us µs ms s m h.
    fn from_str(text: &str) -> Result<Duration, UnitError> {
        parse::parse_duration(text)
    }
}

impl FromStr for ByteCount {
    type Err = UnitError;
    /// `16KiB` · `10 MiB` · `1MB`.
    fn from_str(text: &str) -> Result<ByteCount, UnitError> {
        parse_size(text)
    }
}

impl FromStr for Ratio {
    type Err = UnitError;
    /// `0.5%`, or a bare share `0.005`.
    fn from_str(text: &str) -> Result<Ratio, UnitError> {
        parse::parse_ratio(text)
    }
}

impl FromStr for Spread {
    type Err = UnitError;
    /// `5ms` · `2ms..20ms` · `5ms ±2ms` · `exp 5ms` · `lognormal 5ms p99 30ms` · `5ms or 1% 500ms`.
    fn from_str(text: &str) -> Result<Spread, UnitError> {
        parse::parse_spread(text)
    }
}

/// In the largest unit that holds it as a whole number, binary before decimal: `16KiB`, `1MB`, `1000B`.
impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let fits = |(_, size): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*size);
        let (name, size) = parse::SIZES.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / size)
    }
}

/// In percent: `0.5%`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000_000, self.0 % 10_000_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{rest:07}").trim_end_matches('0'))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Spread::Constant(length) => write!(f, "{length}"),
            Spread::Uniform { low, high } => write!(f, "{low}..{high}"),
            Spread::Normal { mean, deviation } => write!(f, "{mean} ±{deviation}"),
            Spread::Exponential { mean } => write!(f, "exp {mean}"),
            Spread::LogNormal { median, p99 } => write!(f, "lognormal {median} p99 {p99}"),
            Spread::TwoPoint { usual, ratio, rare } => write!(f, "{usual} or {ratio} {rare}"),
        }
    }
}

/// Values that a plan writes as the text a scenario would use.
macro_rules! serde_as_text {
    ($($name:ty),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Duration, ByteCount, Ratio, Spread);

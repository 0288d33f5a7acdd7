//! Values with units as a scenario writes them: sizes, ratios, spreads of a duration.

use std::fmt;
use std::str::FromStr;

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

/// Why a value with a unit could not be read; the text reads after "expected".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong with it, a fragment: "`5` has no unit".
    pub problem: String,
    /// What to write instead, when it can be told: "`5ms`".
    pub cure: Option<String>,
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
    fn from_str(text: &str) -> Result<Duration, UnitError> {
        parse_duration(text)
    }
}

/// `250ms` `1.5s` `1m30s`; ns us µs ms s m h. Exact in nanoseconds.
fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    const UNITS: [(&str, u64); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let problem = |problem: String, cure: Option<String>| UnitError { problem, cure };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(problem("an empty duration".into(), Some("`10ms`".into())));
    }
    if rest.starts_with('-') {
        return Err(problem(format!("`{text}` is negative"), None));
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(letters);
        if number.is_empty() {
            return Err(problem(format!("`{text}` is not a duration"), Some("for example `250ms`".into())));
        }
        if unit.is_empty() {
            return Err(problem(format!("`{text}` has no unit"), Some(format!("`{number}ms` or `{number}s`"))));
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(problem(format!("`{unit}` is not a unit of time"), Some("one of ns us ms s m h".into())));
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // Keeps the sum below far from overflow, however often a unit is repeated.
        if number.len() > 24 || text.len() > 400 {
            return Err(problem(format!("`{number}` has too many digits"), None));
        }
        let digits =
            |part: &str| part.parse::<u128>().map_err(|_| problem(format!("`{number}` is not a number"), None));
        let mut value = digits(whole)? * u128::from(*size);
        if !fraction.is_empty() {
            if fraction.len() > 12 {
                return Err(problem(format!("`{number}` has too many digits"), None));
            }
            value += digits(fraction)? * u128::from(*size) / 10u128.pow(fraction.len() as u32);
        }
        total += value;
        rest = tail.trim_start();
    }
    // A hundred years: beyond it the clock of a run could overflow.
    if total > 100 * 365 * 86_400 * 1_000_000_000 {
        return Err(problem(format!("`{text}` is longer than a hundred years"), None));
    }
    Ok(Duration(total as u64))
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1e7)
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

impl FromStr for Ratio {
    type Err = UnitError;
    /// `0.5%`, or a bare share `0.005`.
    fn from_str(text: &str) -> Result<Ratio, UnitError> {
        let trimmed = text.trim();
        let (number, scale) = match trimmed.strip_suffix('%') {
            Some(number) => (number.trim(), 1e7),
            None => (trimmed, 1e9),
        };
        let value: f64 = number.parse().map_err(|_| UnitError {
            problem: format!("`{text}` is not a share"),
            cure: Some("for example `0.5%`".into()),
        })?;
        if !(0.0..=1e9 / scale).contains(&value) {
            return Err(UnitError { problem: format!("`{text}` is not between 0% and 100%"), cure: None });
        }
        Ok(Ratio((value * scale + 0.5) as u32))
    }
}

impl FromStr for Spread {
    type Err = UnitError;
    /// `5ms` · `2ms..20ms` · `5ms ±2ms` · `exp 5ms` · `lognormal 5ms p99 30ms` · `5ms or 1% 500ms`.
    fn from_str(text: &str) -> Result<Spread, UnitError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let duration = |word: &str| word.parse::<Duration>();
        match words[..] {
            ["exp", mean] => Ok(Spread::Exponential { mean: duration(mean)? }),
            ["lognormal", median, "p99", p99] => {
                let (median, p99) = (duration(median)?, duration(p99)?);
                if median.is_zero() || p99 < median {
                    return Err(UnitError {
                        problem: format!("`{text}`: the p99 must not lie below the median"),
                        cure: None,
                    });
                }
                Ok(Spread::LogNormal { median, p99 })
            }
            [usual, "or", ratio, rare] => {
                Ok(Spread::TwoPoint { usual: duration(usual)?, ratio: ratio.parse()?, rare: duration(rare)? })
            }
            [mean, deviation] if deviation.starts_with('±') => {
                Ok(Spread::Normal { mean: duration(mean)?, deviation: duration(&deviation['±'.len_utf8()..])? })
            }
            [one] => match one.split_once("..") {
                Some((low, high)) => {
                    let (low, high) = (duration(low)?, duration(high)?);
                    if high < low {
                        return Err(UnitError {
                            problem: format!("`{text}` ends before it begins"),
                            cure: Some(format!("`{high}..{low}`")),
                        });
                    }
                    Ok(Spread::Uniform { low, high })
                }
                None => Ok(Spread::Constant(duration(one)?)),
            },
            _ => Err(UnitError {
                problem: format!("`{text}` is not a spread of a duration"),
                cure: Some("for example `2ms..20ms`".into()),
            }),
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
serde_as_text!(Duration, Ratio, Spread);

impl serde::Serialize for ByteCount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ByteCount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ByteCount, D::Error> {
        u64::deserialize(deserializer).map(ByteCount)
    }
}

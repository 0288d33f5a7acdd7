//! Readers of values with units: whole-number arithmetic, and messages that say what to write instead.

use super::{ByteCount, Ratio, Spread, UnitError};
use crate::types::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

const TIMES: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
];

/// What people write for a unit of time that is spelled otherwise here.
const TIME_SPELLINGS: [(&str, &[&str]); 5] = [
    ("us", &["usec", "usecs", "micros", "microseconds", "μs"]),
    ("ms", &["msec", "msecs", "mss", "milli", "millis", "milliseconds", "MS"]),
    ("s", &["sec", "secs", "second", "seconds", "S"]),
    ("m", &["min", "mins", "minute", "minutes", "M"]),
    ("h", &["hr", "hrs", "hour", "hours", "H"]),
];

/// Sizes, largest binary first, so that printing finds the largest that fits.
pub(super) const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// `250ms` `1.5s` `1m30s`; ns us µs ms s m h. Exact in nanoseconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::new("an empty duration").cured_by("for example `10ms`"));
    }
    if rest.starts_with('-') {
        return Err(UnitError::new(format!("`{text}` is negative")));
    }
    let mut total: u128 = 0;
    let mut last_size = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let letters = after.find(|letter: char| !letter.is_alphabetic()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(letters);
        if number.is_empty() {
            return Err(UnitError::new(format!("`{text}` is not a duration")).cured_by("for example `250ms`"));
        }
        if unit.is_empty() {
            return Err(missing_time_unit(text, number, after));
        }
        let Some((_, size)) = TIMES.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_time_unit(number, unit));
        };
        if last_size <= *size {
            return Err(UnitError::new(format!("the units of `{text}` do not go down")).cured_by("as in `1m30s`"));
        }
        last_size = *size;
        total += Decimal::parse(number)?
            .times(*size)
            .ok_or_else(|| UnitError::new(format!("`{number}{unit}` is finer than a nanosecond")))?;
        rest = tail;
    }
    // A hundred years: beyond it the clock of a run could overflow.
    if total > 100 * 365 * 86_400 * u128::from(NANOS_PER_SECOND) {
        return Err(UnitError::new(format!("`{text}` is longer than a hundred years")));
    }
    Ok(Duration(total as u64))
}

fn missing_time_unit(text: &str, number: &str, after: &str) -> UnitError {
    let unit = after.trim();
    if TIMES.iter().any(|(name, _)| *name == unit) {
        return UnitError::new(format!("`{text}` has a blank before its unit")).cured_by(format!("`{number}{unit}`"));
    }
    UnitError::new(format!("`{text}` has no unit")).cured_by(format!("`{number}ms` or `{number}s`"))
}

fn unknown_time_unit(number: &str, unit: &str) -> UnitError {
    let problem = UnitError::new(format!("`{unit}` is not a unit of time"));
    if ["d", "day", "days"].contains(&unit) {
        return problem.cured_by("it in hours: `24h` is a day");
    }
    match TIME_SPELLINGS.iter().find(|(_, spellings)| spellings.contains(&unit)) {
        Some((name, _)) => problem.cured_by(format!("`{number}{name}`")),
        None => problem.cured_by("one of ns us ms s m h"),
    }
}

/// `16KiB` `10 MiB` `1MB` `512B`: KiB is 1024 bytes, kB is 1000.
pub fn parse_size(text: &str) -> Result<ByteCount, UnitError> {
    let trimmed = text.trim();
    let (number, unit) = split_number(trimmed);
    let unit = unit.trim_start();
    if trimmed.starts_with('-') {
        return Err(UnitError::new(format!("`{text}` is negative")));
    }
    if number.is_empty() {
        return Err(UnitError::new(format!("`{text}` is not a size")).cured_by("for example `16KiB`"));
    }
    let Some((_, size)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(unknown_size_unit(text, number, unit));
    };
    let bytes = Decimal::parse(number)?
        .times(*size)
        .ok_or_else(|| UnitError::new(format!("`{text}` is not a whole number of bytes")))?;
    // An exbibyte: sums of sizes stay far from overflow.
    if bytes > 1 << 60 {
        return Err(UnitError::new(format!("`{text}` is more than an exbibyte")));
    }
    Ok(ByteCount(bytes as u64))
}

fn unknown_size_unit(text: &str, number: &str, unit: &str) -> UnitError {
    if unit.is_empty() {
        return UnitError::new(format!("`{text}` has no unit")).cured_by(format!("`{number}B` or `{number}KiB`"));
    }
    // "KB", "k", "Mb", "mib": the letter tells the power, but not whether 1024 or 1000 is meant.
    let letter = unit.chars().next().map(|letter| letter.to_ascii_uppercase());
    let problem = UnitError::new(format!("`{unit}` is not a unit of size"));
    match letter.filter(|letter| "KMGT".contains(*letter)) {
        Some('K') => problem.cured_by(format!("`{number}KiB` (1024) or `{number}kB` (1000)")),
        Some(letter) => problem.cured_by(format!("`{number}{letter}iB` (of 1024) or `{number}{letter}B` (of 1000)")),
        None => problem.cured_by("one of B KiB MiB GiB kB MB GB"),
    }
}

/// `100 MiB/s`: bytes per second.
pub fn parse_bandwidth(text: &str) -> Result<ByteCount, UnitError> {
    let Some((size, period)) = text.split_once('/') else {
        return Err(UnitError::new(format!("`{text}` is not a bandwidth")).cured_by("for example `100 MiB/s`"));
    };
    if period.trim() != "s" {
        return Err(UnitError::new(format!("`{text}` is not per second")).cured_by(format!("`{}/s`", size.trim())));
    }
    if size.trim_end().ends_with("bit") {
        return Err(UnitError::new(format!("`{text}` counts bits")).cured_by("it in bytes: `125 MB/s` is 1 Gbit/s"));
    }
    let bytes = parse_size(size)?;
    if bytes.0 == 0 {
        return Err(UnitError::new(format!("`{text}` lets nothing through")));
    }
    Ok(bytes)
}

/// `200/s` `1k/s` `8/min` `5k msg/s`: the mean time between two, to the nearest nanosecond.
pub fn parse_rate(text: &str) -> Result<Duration, UnitError> {
    let not_a_rate = || UnitError::new(format!("`{text}` is not a rate"));
    let Some((count, period)) = text.trim().split_once('/') else {
        let (number, unit) = split_number(text.trim());
        let bare = !number.is_empty() && unit.is_empty();
        return Err(not_a_rate().cured_by(if bare { format!("`{number}/s`") } else { "for example `200/s`".into() }));
    };
    let period = match period.trim() {
        "s" => NANOS_PER_SECOND,
        "min" | "m" => 60 * NANOS_PER_SECOND,
        "h" => 3_600 * NANOS_PER_SECOND,
        other => return Err(UnitError::new(format!("`{other}` is not a period")).cured_by("`/s`, `/min` or `/h`")),
    };
    let (number, after) = split_number(count);
    if number.is_empty() {
        return Err(not_a_rate().cured_by("for example `200/s`"));
    }
    let after = after.trim();
    let multiplier = match after.strip_suffix("msg").unwrap_or(after).trim_end() {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        other => {
            let problem = UnitError::new(format!("`{other}` does not count anything"));
            return Err(problem.cured_by("for example `200/s`, `5k/s` or `5k msg/s`"));
        }
    };
    let Decimal { digits, places } = Decimal::parse(number)?;
    let count = digits * multiplier;
    if count == 0 {
        return Err(UnitError::new(format!("`{text}` never happens")));
    }
    let nanos = (2 * u128::from(period) * 10u128.pow(places) + count) / (2 * count);
    match nanos {
        0 => Err(UnitError::new(format!("`{text}` is more than one each nanosecond"))),
        _ if nanos > 100 * 365 * 86_400 * u128::from(NANOS_PER_SECOND) => {
            Err(UnitError::new(format!("`{text}` is less than one in a hundred years")))
        }
        _ => Ok(Duration(nanos as u64)),
    }
}

/// `1.5x`, in thousandths.
pub fn parse_factor(text: &str) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    let Some(number) = trimmed.strip_suffix('x') else {
        let problem = UnitError::new(format!("`{text}` is not a factor"));
        let (number, rest) = split_number(trimmed);
        let bare = !number.is_empty() && rest.is_empty();
        return Err(problem.cured_by(if bare { format!("`{number}x`") } else { "for example `1.5x`".into() }));
    };
    let value = Decimal::parse(number.trim_end())?
        .times(1_000)
        .ok_or_else(|| UnitError::new(format!("`{text}` is finer than a thousandth")))?;
    match u64::try_from(value) {
        Ok(0) => Err(UnitError::new(format!("`{text}` is zero"))),
        Ok(thousandths) if thousandths <= 1_000_000_000_000 => Ok(thousandths),
        Ok(_) | Err(_) => Err(UnitError::new(format!("`{text}` is more than a billion"))),
    }
}

/// `0.5%`, or a bare share `0.005`.
pub(super) fn parse_ratio(text: &str) -> Result<Ratio, UnitError> {
    let trimmed = text.trim();
    let (number, scale) = match trimmed.strip_suffix('%') {
        Some(number) => (number.trim_end(), 10_000_000),
        None => (trimmed, u64::from(Ratio::ONE.0)),
    };
    let (digits, rest) = split_number(number);
    if rest.starts_with('-') {
        return Err(UnitError::new(format!("`{text}` is negative")));
    }
    if digits.is_empty() || !rest.is_empty() {
        let kind = if rest == "x" { "a factor, not a share" } else { "not a share" };
        return Err(UnitError::new(format!("`{text}` is {kind}")).cured_by("for example `0.5%`"));
    }
    let value = Decimal::parse(number)?
        .times(scale)
        .ok_or_else(|| UnitError::new(format!("`{text}` is finer than one in a billion")))?;
    if value > u128::from(Ratio::ONE.0) {
        let problem = UnitError::new(format!("`{text}` is not between 0% and 100%"));
        let percent = scale != 10_000_000 && value <= 100 * u128::from(scale);
        return Err(if percent { problem.cured_by(format!("`{number}%`")) } else { problem });
    }
    Ok(Ratio(value as u32))
}

/// `5ms` · `2ms..20ms` · `5ms ±2ms` · `exp 5ms` · `lognormal 5ms p99 30ms` · `5ms or 1% 500ms`.
pub(super) fn parse_spread(text: &str) -> Result<Spread, UnitError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["exp", mean] => Ok(Spread::Exponential { mean: parse_duration(mean)? }),
        ["lognormal", median, "p99", p99] => {
            let (median, p99) = (parse_duration(median)?, parse_duration(p99)?);
            if median.is_zero() || p99 < median {
                return Err(UnitError::new(format!("`{text}`: the p99 lies below the median, or the median is zero")));
            }
            Ok(Spread::LogNormal { median, p99 })
        }
        [usual, "or", ratio, rare] => Ok(Spread::TwoPoint {
            usual: parse_duration(usual)?,
            ratio: parse_ratio(ratio)?,
            rare: parse_duration(rare)?,
        }),
        [mean, deviation] if deviation.starts_with('±') => {
            let deviation = parse_duration(&deviation['±'.len_utf8()..])?;
            Ok(Spread::Normal { mean: parse_duration(mean)?, deviation })
        }
        [one] => match one.split_once("..") {
            Some((low, high)) => parse_range(text, low, high),
            None => Ok(Spread::Constant(parse_duration(one)?)),
        },
        _ => Err(unknown_spread(text, &words)),
    }
}

fn parse_range(text: &str, low: &str, high: &str) -> Result<Spread, UnitError> {
    let (low, high) = (parse_duration(low)?, parse_duration(high)?);
    if high < low {
        return Err(UnitError::new(format!("`{text}` ends before it begins")).cured_by(format!("`{high}..{low}`")));
    }
    Ok(Spread::Uniform { low, high })
}

fn unknown_spread(text: &str, words: &[&str]) -> UnitError {
    let problem = UnitError::new(format!("`{text}` is not a spread of a duration"));
    match words {
        [low, "..", high] => problem.cured_by(format!("`{low}..{high}`")),
        [mean, "±" | "+-" | "+/-", deviation] => problem.cured_by(format!("`{mean} ±{deviation}`")),
        [number, unit] if TIMES.iter().any(|(name, _)| name == unit) => problem.cured_by(format!("`{number}{unit}`")),
        _ => problem.cured_by("for example `2ms..20ms`, `5ms ±2ms` or `exp 5ms`"),
    }
}

/// A number as written: `digits` over 10 to the power of `places`.
#[derive(Clone, Copy)]
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    fn parse(number: &str) -> Result<Decimal, UnitError> {
        let not_a_number = || UnitError::new(format!("`{number}` is not a number"));
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(not_a_number()),
            Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
            None => (number, ""),
        };
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(not_a_number());
        }
        // 18 digits times the largest unit stay far below 2^128.
        if whole.len() + fraction.len() > 18 {
            return Err(UnitError::new(format!("`{number}` has too many digits")));
        }
        let digits = format!("{whole}{fraction}").parse().map_err(|_| not_a_number())?;
        Ok(Decimal { digits, places: fraction.len() as u32 })
    }

    /// The product, when it is a whole number.
    fn times(self, size: u64) -> Option<u128> {
        let (product, divisor) = (self.digits * u128::from(size), 10u128.pow(self.places));
        product.is_multiple_of(divisor).then(|| product / divisor)
    }
}

/// The digits and points at the start, and what follows them.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    text.split_at(end)
}

//! Values with a kind: what a key or a keyword takes, read from a TOML value or from the words of a sentence.
//!
//! One table of kinds serves reading, messages and the schema for editors. A value of the wrong unit is told which unit
//! it is: `for = "2 MiB"` is a size where a duration belongs, not "invalid value".

use crate::types::{ByteCount, Duration, Ratio, Spread};

use super::diagnostics::{Diagnostic, Problems, nearest, printable};
use super::tree::{Item, Text, Value};

/// What repeats more often leaves a run no time for anything else. Kafka counts in milliseconds.
pub const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Anything in quotes.
    Text,
    /// The name of a thing.
    Name,
    /// One word of a sentence with a grammar of its own, parentheses included: a place, a target, a link, a topic/partition.
    Argument(&'static str),
    /// Several words with a grammar of its own.
    Phrase(&'static str),
    Boolean,
    /// True, false, or this word for more than true.
    BooleanOr(&'static str),
    /// From, to, both included.
    Integer(u64, u64),
    Duration,
    /// A duration after which something happens again and again: not less than [`SHORTEST_PERIOD`].
    Period,
    /// A duration, or this word for "without end".
    DurationOr(&'static str),
    Size,
    Bandwidth,
    Rate,
    Ratio,
    Factor,
    Spread,
    /// A signed duration.
    Shift,
    Words(&'static [&'static str]),
    /// A table, a list or a sentence that its own reader takes apart.
    Own(&'static str),
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Text(String),
    Boolean(bool),
    Integer(u64),
    Duration(Duration),
    /// The word for "without end".
    Endless,
    Size(ByteCount),
    /// Mean time between two.
    Rate(Duration),
    Ratio(Ratio),
    /// Thousandths.
    Factor(u64),
    Spread(Spread),
    Shift {
        by: Duration,
        forwards: bool,
    },
}

impl Kind {
    /// With its article, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::Name => "one name",
            Kind::Argument(what) | Kind::Phrase(what) | Kind::Own(what) => what,
            Kind::Boolean | Kind::BooleanOr(_) => "true or false",
            Kind::Integer(..) => "a whole number",
            Kind::Duration | Kind::Period | Kind::DurationOr(_) => "a duration",
            Kind::Size => "a size",
            Kind::Bandwidth => "a bandwidth",
            Kind::Rate => "a rate",
            Kind::Ratio => "a share",
            Kind::Factor => "a factor",
            Kind::Spread => "a spread of a duration",
            Kind::Shift => "a duration, or one with a minus",
            Kind::Words(_) => "one of its words",
        }
    }

    /// A value that would be right.
    pub fn example(self) -> String {
        match self {
            Kind::Text => "\"some text\"".into(),
            Kind::Name => "\"orders\"".into(),
            Kind::Argument(what) | Kind::Phrase(what) | Kind::Own(what) => what.into(),
            Kind::Boolean => "true".into(),
            Kind::BooleanOr(word) => format!("true or \"{word}\""),
            Kind::Integer(low, _) => low.max(1).to_string(),
            Kind::Duration | Kind::Period | Kind::Shift => "\"10ms\"".into(),
            Kind::DurationOr(word) => format!("\"10s\" or \"{word}\""),
            Kind::Size => "\"16KiB\"".into(),
            Kind::Bandwidth => "\"100 MiB/s\"".into(),
            Kind::Rate => "\"100/s\"".into(),
            Kind::Ratio => "\"0.5%\"".into(),
            Kind::Factor => "\"1.5x\"".into(),
            Kind::Spread => "\"2ms..20ms\"".into(),
            Kind::Words(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(", ")
            }
        }
    }

    /// Whether a keyword of this kind says true where nothing follows it.
    pub fn is_flag(self) -> bool {
        matches!(self, Kind::Boolean | Kind::BooleanOr(_))
    }

    /// Whether the word can follow a keyword of this kind, where it may also stand alone.
    pub fn takes(self, word: &str) -> bool {
        word == "true" || word == "false" || matches!(self, Kind::BooleanOr(other) if other == word)
    }

    /// Whether two values of a kind may stand in one (blanks belong to the value).
    pub fn is_phrase(self) -> bool {
        matches!(self, Kind::Phrase(_) | Kind::Text | Kind::Spread | Kind::Size | Kind::Bandwidth | Kind::Rate)
    }
}

impl Scalar {
    pub fn boolean(&self) -> bool {
        matches!(self, Scalar::Boolean(true))
    }

    pub fn u64(&self) -> u64 {
        match self {
            Scalar::Integer(number) => *number,
            _ => wrong(self),
        }
    }

    /// Ranges are checked when the value is read; a kind says which.
    pub fn u32(&self) -> u32 {
        self.u64() as u32
    }

    pub fn u16(&self) -> u16 {
        self.u64() as u16
    }

    pub fn duration(&self) -> Duration {
        match self {
            Scalar::Duration(length) => *length,
            _ => wrong(self),
        }
    }

    pub fn duration_or_endless(&self) -> Option<Duration> {
        match self {
            Scalar::Endless => None,
            _ => Some(self.duration()),
        }
    }

    pub fn size(&self) -> ByteCount {
        match self {
            Scalar::Size(size) => *size,
            _ => wrong(self),
        }
    }

    pub fn interval(&self) -> Duration {
        match self {
            Scalar::Rate(interval) => *interval,
            _ => wrong(self),
        }
    }

    pub fn ratio(&self) -> Ratio {
        match self {
            Scalar::Ratio(ratio) => *ratio,
            _ => wrong(self),
        }
    }

    pub fn thousandths(&self) -> u64 {
        match self {
            Scalar::Factor(thousandths) => *thousandths,
            _ => wrong(self),
        }
    }

    pub fn spread(&self) -> Spread {
        match self {
            Scalar::Spread(spread) => *spread,
            _ => wrong(self),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Scalar::Text(text) => text,
            _ => wrong(self),
        }
    }
}

fn wrong<T>(scalar: &Scalar) -> T {
    panic!("the table of keys and its reader disagree about {scalar:?}")
}

/// Reads the value of `key`. A sentence writes numbers as words, a key of a table does not.
pub fn read(kind: Kind, key: &str, item: &Item, in_sentence: bool, problems: &Problems) -> Option<Scalar> {
    match (kind, &item.value) {
        (Kind::Boolean | Kind::BooleanOr(_), Value::Boolean(truth)) => Some(Scalar::Boolean(*truth)),
        (Kind::Integer(low, high), Value::Integer(number)) => {
            let inside = number.and_then(|number| u64::try_from(number).ok()).filter(|n| (low..=high).contains(n));
            if inside.is_none() {
                problems.add(out_of_range(key, item, low, high));
            }
            inside.map(Scalar::Integer)
        }
        (Kind::Words(words), Value::Integer(Some(number))) => {
            let word = number.to_string();
            let known = words.contains(&word.as_str());
            if !known {
                problems.add(wrong_type(kind, key, item));
            }
            known.then_some(Scalar::Text(word))
        }
        (_, Value::Text { .. }) if kind_of_text(kind) || in_sentence => {
            read_text(kind, key, item.text().expect("a text"), problems)
        }
        (_, Value::Integer(_) | Value::Float(_)) if has_unit(kind) => {
            let written = item.written();
            let cure = match kind {
                Kind::Ratio => match written.parse::<f64>().ok().filter(|share| 0.0 < *share && *share <= 1.0) {
                    // A share of one, most likely; rounded, since 0.07 times 100 is not 7.
                    Some(share) => {
                        let hundredths = (share * 1e9).round() / 1e7;
                        format!("\"{hundredths}%\", or \"{written}%\" if it is in per cent already")
                    }
                    None => format!("\"{written}%\" if it is in per cent"),
                },
                Kind::Factor => format!("\"{written}x\""),
                Kind::Rate => format!("\"{written}/s\""),
                Kind::Size => format!("\"{written}B\" or \"{written}KiB\""),
                _ => format!("\"{written}ms\" or \"{written}s\""),
            };
            problems.add(
                Diagnostic::error(
                    "S030",
                    item.place,
                    format!("`{key}` takes {}, and `{written}` has no unit", kind.name()),
                )
                .label("no unit")
                .help(format!("write {cure}")),
            );
            None
        }
        _ => {
            problems.add(wrong_type(kind, key, item));
            None
        }
    }
}

fn kind_of_text(kind: Kind) -> bool {
    !matches!(kind, Kind::Boolean | Kind::Integer(..) | Kind::Own(_))
}

fn has_unit(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Duration
            | Kind::Period
            | Kind::DurationOr(_)
            | Kind::Size
            | Kind::Bandwidth
            | Kind::Rate
            | Kind::Ratio
            | Kind::Factor
            | Kind::Spread
            | Kind::Shift
    )
}

fn wrong_type(kind: Kind, key: &str, item: &Item) -> Diagnostic {
    let title = format!("`{key}` takes {}, found {}", kind.name(), item.value.kind());
    Diagnostic::error("S012", item.place, title)
        .label("wrong type of value")
        .help(format!("for example {}", kind.example()))
}

fn out_of_range(key: &str, item: &Item, low: u64, high: u64) -> Diagnostic {
    let title = format!("`{key}` is {}, and must lie between {low} and {high}", printable(&item.written()));
    Diagnostic::error("S032", item.place, title)
        .label("out of range")
        .help(format!("write a number from {low} to {high}"))
}

fn read_text(kind: Kind, key: &str, text: Text, problems: &Problems) -> Option<Scalar> {
    let text = text.trimmed();
    match parse(kind, text.text) {
        Ok(scalar) => Some(scalar),
        Err(wrong) => {
            let place = match wrong.part {
                Some((start, end)) => text.at(start, end),
                None => text.place,
            };
            let mut diagnostic =
                Diagnostic::error(wrong.code, place, format!("`{key}`: {}", wrong.problem)).label(wrong.label);
            diagnostic.help = Some(wrong.cure.unwrap_or_else(|| format!("for example {}", kind.example())));
            if let Some(replacement) = wrong.replacement {
                diagnostic = diagnostic.did_you_mean(place, Some(&replacement));
            }
            problems.add(diagnostic);
            None
        }
    }
}

/// Why a text is no value of a kind.
#[derive(Debug)]
pub struct Wrong {
    pub code: &'static str,
    pub problem: String,
    pub label: &'static str,
    pub cure: Option<String>,
    pub replacement: Option<String>,
    part: Option<(usize, usize)>,
}

fn wrong_value(problem: String, cure: Option<String>) -> Wrong {
    Wrong { code: "S030", problem, label: "not a value of this kind", cure, replacement: None, part: None }
}

/// Reads one text as a kind.
pub fn parse(kind: Kind, text: &str) -> Result<Scalar, Wrong> {
    let result = match kind {
        Kind::Text | Kind::Argument(_) | Kind::Phrase(_) => Some(Scalar::Text(text.to_string())),
        Kind::Name => {
            return if is_name(text) { Ok(Scalar::Text(text.to_string())) } else { Err(no_name(text)) };
        }
        Kind::BooleanOr(word) if text == word => Some(Scalar::Text(word.to_string())),
        Kind::Boolean | Kind::BooleanOr(_) => match text {
            "true" => Some(Scalar::Boolean(true)),
            "false" => Some(Scalar::Boolean(false)),
            _ => None,
        },
        Kind::Integer(low, high) => match text.parse::<u64>() {
            Ok(number) if (low..=high).contains(&number) => Some(Scalar::Integer(number)),
            Ok(_) => {
                let problem = format!("{} must lie between {low} and {high}", printable(text));
                return Err(Wrong { code: "S032", label: "out of range", ..wrong_value(problem, None) });
            }
            Err(_) => None,
        },
        Kind::Duration => return duration(text).map(Scalar::Duration).map_err(|error| mixed_up(kind, text, error)),
        Kind::Period => match duration(text) {
            Ok(length) if SHORTEST_PERIOD <= length => Some(Scalar::Duration(length)),
            Ok(_) => {
                let problem =
                    format!("`{}` is less than {SHORTEST_PERIOD}, and a run would do nothing else", printable(text));
                return Err(Wrong { code: "S032", label: "out of range", ..wrong_value(problem, None) });
            }
            Err(error) => return Err(mixed_up(kind, text, error)),
        },
        Kind::DurationOr(word) if text == word => Some(Scalar::Endless),
        Kind::DurationOr(_) => {
            return duration(text).map(Scalar::Duration).map_err(|error| mixed_up(kind, text, error));
        }
        Kind::Shift => {
            let forwards = !text.starts_with('-');
            let bare = text.trim_start_matches(['-', '+']);
            return duration(bare)
                .map(|by| Scalar::Shift { by, forwards })
                .map_err(|error| mixed_up(kind, text, error));
        }
        Kind::Size => size(text).map(Scalar::Size),
        Kind::Bandwidth => text.strip_suffix("/s").and_then(|text| size(text.trim_end())).map(Scalar::Size),
        Kind::Rate => rate(text).map(Scalar::Rate),
        Kind::Ratio => ratio(text).map(Scalar::Ratio),
        Kind::Factor => factor(text).map(Scalar::Factor),
        Kind::Spread => return spread(text).map(Scalar::Spread).map_err(|error| mixed_up(kind, text, error)),
        Kind::Words(words) => {
            if words.contains(&text) {
                Some(Scalar::Text(text.to_string()))
            } else {
                let problem = format!("`{}` is not one of {}", printable(text), words.join(", "));
                let replacement = nearest(text, words.iter().copied()).map(str::to_string);
                return Err(Wrong { code: "S033", label: "unknown word", replacement, ..wrong_value(problem, None) });
            }
        }
        Kind::Own(_) => None,
    };
    result.ok_or_else(|| mixed_up(kind, text, (format!("`{}` is not {}", printable(text), kind.name()), None)))
}

/// Says which kind the text is, if it is one.
fn mixed_up(kind: Kind, text: &str, (problem, cure): (String, Option<String>)) -> Wrong {
    let others = [Kind::Duration, Kind::Size, Kind::Bandwidth, Kind::Rate, Kind::Ratio, Kind::Factor];
    let is = |other: Kind| match other {
        Kind::Duration => duration(text).is_ok(),
        Kind::Size => size(text).is_some(),
        Kind::Bandwidth => text.strip_suffix("/s").is_some_and(|text| size(text.trim_end()).is_some()),
        Kind::Rate => rate(text).is_some(),
        Kind::Ratio => ratio(text).is_some(),
        Kind::Factor => factor(text).is_some(),
        _ => false,
    };
    match others.into_iter().find(|&other| other != kind && is(other)) {
        Some(other) => Wrong {
            code: "S031",
            label: "wrong kind of unit",
            ..wrong_value(
                format!("`{}` is {}, and this takes {}", printable(text), other.name(), kind.name()),
                Some(format!("write {}, for example {}", kind.name(), kind.example())),
            )
        },
        None => wrong_value(problem, cure.map(|cure| format!("write {cure}"))),
    }
}

fn no_name(text: &str) -> Wrong {
    let problem = format!("`{}` is not a name", printable(text));
    let cure = "a name has small letters, digits and `-`, begins with a letter, and has at most 63 characters";
    Wrong { code: "S022", label: "not a name", ..wrong_value(problem, Some(cure.into())) }
}

pub fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

type UnitResult<T> = Result<T, (String, Option<String>)>;

pub fn duration(text: &str) -> UnitResult<Duration> {
    text.parse::<Duration>().map_err(|error| {
        let cure = meant(text).map(|meant| format!("`{meant}`"));
        (printable(&error.problem), cure.or(error.cure.map(|cure| printable(&cure))))
    })
}

/// `5 mss` as `5ms`: one number and something like a unit.
fn meant(text: &str) -> Option<String> {
    const UNITS: [(&str, &str); 11] = [
        ("msec", "ms"),
        ("mss", "ms"),
        ("millis", "ms"),
        ("milliseconds", "ms"),
        ("sec", "s"),
        ("secs", "s"),
        ("seconds", "s"),
        ("min", "m"),
        ("mins", "m"),
        ("minutes", "m"),
        ("hours", "h"),
    ];
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let unit = UNITS.iter().find(|(wrong, _)| *wrong == unit).map_or(unit, |(_, right)| right);
    let meant = format!("{number}{unit}");
    (meant != text && meant.parse::<Duration>().is_ok()).then_some(meant)
}

pub fn spread(text: &str) -> UnitResult<Spread> {
    let spaced = text.replace('±', " ±").replace("± ", "±").replace(" ..", "..").replace(".. ", "..");
    spaced.parse::<Spread>().map_err(|error| (printable(&error.problem), error.cure.map(|cure| printable(&cure))))
}

/// A decimal number in units of its last of `places`, exact. At most 15 digits before the point.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || fraction.len() > places as usize || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10u64.pow(places);
    let fraction_value = match fraction.len() {
        0 => 0,
        length => fraction.parse::<u64>().ok()? * 10u64.pow(places - length as u32),
    };
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(fraction_value)
}

fn size(text: &str) -> Option<ByteCount> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let (name, unit) = UNITS.iter().find(|(name, _)| text.ends_with(name))?;
    let thousandths = decimal(text[..text.len() - name.len()].trim_end(), 3)?;
    let bytes = thousandths as u128 * u128::from(*unit) / 1_000;
    // Plans are TOML, whose integers end at 2^63.
    u64::try_from(bytes).ok().filter(|bytes| *bytes < 1 << 60).map(ByteCount)
}

fn rate(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once('/')?;
    let unit_nanos: u128 = match unit.trim() {
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let number = number.trim_end();
    let number = number.strip_suffix("msg").map_or(number, str::trim_end);
    let (number, scale) = match number.strip_suffix('k') {
        Some(number) => (number, 1_000u128),
        None => match number.strip_suffix('M') {
            Some(number) => (number, 1_000_000),
            None => (number, 1),
        },
    };
    let millionths = u128::from(decimal(number.trim_end(), 6)?) * scale;
    let nanos = (unit_nanos * 1_000_000 + millionths / 2).checked_div(millionths)?;
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration)
}

/// A rate as a scenario writes it: in the first unit in which it is exactly this mean gap.
pub fn rate_text(interval: Duration) -> String {
    const UNITS: [(&str, u128); 3] = [("s", 1_000_000_000), ("min", 60_000_000_000), ("h", 3_600_000_000_000)];
    let gap = u128::from(interval.0.max(1));
    let written = |(unit, nanos): (&str, u128)| {
        let millionths = (nanos * 1_000_000 + gap / 2) / gap;
        let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
        let rest = format!(".{rest:06}");
        format!("{whole}{}/{unit}", rest.trim_end_matches('0').trim_end_matches('.'))
    };
    let exact = UNITS.into_iter().map(written).find(|text| rate(text) == Some(interval));
    exact.unwrap_or_else(|| written(UNITS[2]))
}

fn ratio(text: &str) -> Option<Ratio> {
    let billionths = decimal(text.strip_suffix('%')?.trim_end(), 7)?;
    u32::try_from(billionths).ok().filter(|share| *share <= Ratio::ONE.0).map(Ratio)
}

/// `1.5x` in thousandths.
pub fn factor(text: &str) -> Option<u64> {
    decimal(text.strip_suffix('x')?.trim_end(), 3).filter(|thousandths| *thousandths < 1_000_000_000)
}

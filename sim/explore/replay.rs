//! Running a failure again: what a token says, and whether a plan can be trusted.
//!
//! The one idea: a run is (plan, seed), so a failure is replayed by running it, and is the same failure if it has the same
//! digest. A token is the shortest name of a run: scenario, cell, seed, the version of the random streams that the seed
//! means something in, and the beginning of the digest. A plan is the long form, which needs no scenario. Both come from
//! files and command lines of other people: whatever is damaged is said in words. Where a replay parts from what was
//! recorded is told by `difference.rs`.

use std::fmt;
use std::str::FromStr;

use crate::scenario::plan::{Plan, STREAM_VERSION};
use crate::scenario::{printable, sound};
use crate::types::Seed;

/// `acks_1_loses:failure=crash:7:s1:9f2c01aa`. The cell is empty in a scenario without axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// File stem of the scenario.
    pub scenario: String,
    pub cell: String,
    pub seed: Seed,
    pub stream_version: u32,
    /// The first 32 bits of the digest.
    pub digest: u32,
}

impl Token {
    pub fn new(plan: &Plan, digest: u128) -> Token {
        Token {
            scenario: plan.scenario.clone(),
            cell: plan.cell.clone(),
            seed: plan.seed,
            stream_version: plan.stream_version,
            digest: beginning(digest),
        }
    }
}

/// The part of a digest that a token holds.
pub fn beginning(digest: u128) -> u32 {
    (digest >> 96) as u32
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Token { scenario, cell, seed, stream_version, digest } = self;
        write!(f, "{scenario}:{cell}:{}:s{stream_version}:{digest:08x}", seed.0)
    }
}

/// Why something cannot be replayed: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreplayable {
    #[error(
        "`{0}` is no token: {1}; a token is SCENARIO:CELL:SEED:s{STREAM_VERSION}:DIGEST, as `hikyaku run` prints it"
    )]
    Token(String, String),
    #[error(
        "recorded with stream s{0}; this build is s{STREAM_VERSION}: seeds are not comparable. Run the scenario again, or replay with the build that recorded it"
    )]
    OtherStreams(u32),
    #[error(
        "this is no plan: {0}; take the plan.toml that `hikyaku run` or `hikyaku sweep` wrote, or make it anew from the scenario"
    )]
    Plan(String),
}

impl FromStr for Token {
    type Err = Unreplayable;

    fn from_str(text: &str) -> Result<Token, Unreplayable> {
        let shown = printable(&text.chars().take(120).collect::<String>());
        let wrong = |what: &str| Unreplayable::Token(shown.clone(), what.to_string());
        let mut parts = text.rsplitn(5, ':');
        let (Some(digest), Some(stream), Some(seed), Some(cell), Some(scenario)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("it has fewer than five parts"));
        };
        let version = stream.strip_prefix('s').and_then(|digits| number(digits).and_then(|digits| digits.parse().ok()));
        let stream_version: u32 =
            version.ok_or_else(|| wrong("its fourth part is not a stream version such as `s1`"))?;
        // What comes first: digests of other versions may look different.
        if stream_version != STREAM_VERSION {
            return Err(Unreplayable::OtherStreams(stream_version));
        }
        let seed =
            number(seed).and_then(|digits| digits.parse().ok()).ok_or_else(|| wrong("its third part is not a seed"))?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let digest = Some(digest).filter(|digest| digest.len() == 8 && digest.bytes().all(is_hex));
        let digest = digest.and_then(|digest| u32::from_str_radix(digest, 16).ok());
        let digest = digest.ok_or_else(|| wrong("its last part is not the first eight digits of a digest"))?;
        let is_stem = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | ' ' | '+');
        if scenario.is_empty() || !scenario.chars().all(is_stem) {
            return Err(wrong("it does not begin with the name of a scenario"));
        }
        if cell.chars().any(|character| character.is_control() || character.is_whitespace()) {
            return Err(wrong("its second part is not a cell"));
        }
        Ok(Token { scenario: scenario.to_string(), cell: cell.to_string(), seed: Seed(seed), stream_version, digest })
    }
}

/// Digits alone: no sign, no leading zero, so that a run has one token.
fn number(text: &str) -> Option<&str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then_some(text)
}

/// Reads a plan and makes sure that it can be run.
pub fn read_plan(text: &str) -> Result<Plan, Unreplayable> {
    let first_line = |error: &dyn fmt::Display| printable(error.to_string().lines().next().unwrap_or("unreadable"));
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..text.floor_char_boundary(span.start)].matches('\n').count() + 1);
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        Unreplayable::Plan(format!("{line}{}", printable(error.message().lines().next().unwrap_or("not TOML"))))
    })?;
    // What a plan of another version holds is not known here.
    match table.get("stream-version").and_then(toml::Value::as_integer) {
        None => return Err(Unreplayable::Plan("it has no `stream-version`".into())),
        Some(version) if version != i64::from(STREAM_VERSION) => {
            return Err(u32::try_from(version).map_or_else(
                |_| Unreplayable::Plan(format!("`stream-version` is {version}")),
                Unreplayable::OtherStreams,
            ));
        }
        Some(_) => {}
    }
    let plan: Plan = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..text.floor_char_boundary(span.start)].matches('\n').count() + 1);
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        Unreplayable::Plan(format!("{line}{}", first_line(&error.message())))
    })?;
    sound::check(&plan).map_err(Unreplayable::Plan)?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario;

    const TOKEN: &str = "acks_1_loses:failure=crash,size=10KiB:7:s1:9f2c01aa";

    fn plan_text() -> String {
        let path = std::path::Path::new("scenarios/marker_before_work_loses.toml");
        let family = scenario::load(path, &[]).unwrap_or_else(|problems| panic!("{}", problems.short()));
        toml::to_string(&family.cells[0].plan(Seed(3))).expect("a plan can be written")
    }

    #[test]
    fn a_token_reads_back_as_itself() {
        let token: Token = TOKEN.parse().expect("a token");
        assert_eq!((token.scenario.as_str(), token.cell.as_str()), ("acks_1_loses", "failure=crash,size=10KiB"));
        assert_eq!((token.seed, token.digest), (Seed(7), 0x9f2c_01aa));
        assert_eq!(token.to_string(), TOKEN);
        let plain: Token = "quickstart::0:s1:00000001".parse().expect("a token without a cell");
        assert_eq!(plain.to_string(), "quickstart::0:s1:00000001");
    }

    #[test]
    fn a_damaged_token_says_what_is_wrong() {
        let said = |text: &str| text.parse::<Token>().expect_err(text).to_string();
        assert!(said("quickstart").contains("fewer than five parts"));
        assert!(said("q::x:s1:00000001").contains("not a seed"));
        assert!(said("q::1:s1:123").contains("eight digits"));
        assert!(said(":a:1:s1:00000001").contains("name of a scenario"));
        assert!(said("q::1:1:00000001").contains("stream version"));
        assert_eq!(
            said("q::1:s7:00000001").split(". ").next(),
            Some("recorded with stream s7; this build is s1: seeds are not comparable")
        );
    }

    #[test]
    fn a_plan_of_other_streams_is_refused_for_that_reason() {
        let text = plan_text().replace("stream-version = 1", "stream-version = 9");
        assert_eq!(read_plan(&text), Err(Unreplayable::OtherStreams(9)));
        assert!(read_plan(&plan_text()).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_for_the_reader_of_tokens(text in ".{0,80}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }

        #[test]
        fn a_changed_token_is_refused_or_is_another_token(at in 0usize..51, byte in 0x20u8..0x7f) {
            let mut bytes = TOKEN.as_bytes().to_vec();
            bytes[at] = byte;
            let text = String::from_utf8(bytes).expect("ASCII");
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }

        #[test]
        fn no_bytes_are_too_strange_for_the_reader_of_plans(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(read_plan(&String::from_utf8_lossy(&bytes)).is_err());
        }

        #[test]
        fn a_changed_plan_is_refused_or_sound(changes in prop::collection::vec((any::<prop::sample::Index>(), 0x20u8..0x7f), 1..4)) {
            let mut bytes = plan_text().into_bytes();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(plan) = read_plan(&String::from_utf8_lossy(&bytes)) {
                prop_assert_eq!(sound::check(&plan), Ok(()));
            }
        }
    }
}

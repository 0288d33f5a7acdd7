//! `scenarios/NAME.seeds`: seeds that failed once, kept beside their scenario and run before everything else.
//!
//! One line each: `1187 cell=acks=1 stream=1 # 3 acknowledged records lost`. A seed means nothing to another version of the
//! random streams, so a line of another one is not run, and that is said.

use std::path::Path;

use crate::scenario::plan::STREAM_VERSION;
use crate::scenario::printable;
use crate::types::Seed;

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSeed {
    pub seed: Seed,
    pub cell: String,
    pub stream_version: u32,
    pub why: String,
    /// From 1.
    pub line: usize,
}

impl KeptSeed {
    /// Whether this build draws from the seed what was drawn then.
    pub fn is_comparable(&self) -> bool {
        self.stream_version == STREAM_VERSION
    }
}

/// The seeds beside a scenario; none when there is no such file. A problem names file, line and cure.
pub fn kept_seeds(scenario: &Path) -> Result<Vec<KeptSeed>, String> {
    let path = scenario.with_extension("seeds");
    let shown = printable(&path.display().to_string());
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(|(line, why)| format!("{shown}:{line}: {why}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("failed to read {shown}: {error}")),
    }
}

fn parse(text: &str) -> Result<Vec<KeptSeed>, (usize, String)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let kept = lines.filter(|(_, line)| !line.split('#').next().unwrap_or("").trim().is_empty());
    kept.map(|(number, line)| parse_line(number, line).map_err(|why| (number, why))).collect()
}

fn parse_line(line: usize, text: &str) -> Result<KeptSeed, String> {
    let (words, why) = text.split_once('#').unwrap_or((text, ""));
    let mut words = words.split_whitespace();
    let seed = words.next().unwrap_or_default();
    let seed = seed.parse().map_err(|_| format!("`{}` is no seed; a line begins with a number", printable(seed)))?;
    let mut kept = KeptSeed {
        seed: Seed(seed),
        cell: String::new(),
        stream_version: STREAM_VERSION,
        why: why.trim().to_string(),
        line,
    };
    for word in words {
        match word.split_once('=') {
            Some(("cell", cell)) => kept.cell = cell.to_string(),
            Some(("stream", version)) => {
                let version = version.strip_prefix('s').unwrap_or(version);
                kept.stream_version = version.parse().map_err(|_| "`stream` takes a number".to_string())?;
            }
            Some(_) | None => {
                return Err(format!(
                    "`{}` is not known here; a line is `SEED cell=ID stream=1 # why`",
                    printable(word)
                ));
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_a_seed_its_cell_its_streams_and_why() {
        let text = "# kept\n\n1187 cell=acks=1,x=2 stream=s1 # 3 lost\n7\n";
        let kept = parse(text).unwrap();
        assert_eq!(kept.len(), 2);
        assert_eq!((kept[0].seed, kept[0].cell.as_str(), kept[0].why.as_str()), (Seed(1187), "acks=1,x=2", "3 lost"));
        assert_eq!((kept[1].seed, kept[1].line, kept[1].is_comparable()), (Seed(7), 4, true));
        assert!(!parse("7 stream=999").unwrap()[0].is_comparable());
        assert_eq!(parse("7\nx").unwrap_err().0, 2);
        assert!(parse("7 digest=1").unwrap_err().1.contains("`digest=1` is not known here"));
    }

    proptest! {
        #[test]
        fn any_text_is_seeds_or_a_problem_with_a_line_of_it(
            before in "[0-9a-z=,# \\n]{0,30}",
            strange in "\\PC{0,30}",
            cut in any::<prop::sample::Index>(),
        ) {
            let good = "1187 cell=acks=1 stream=s1 # lost\n7\n";
            let at = cut.index(good.len());
            let text = format!("{}{before}{strange}{}", &good[..at], &good[at..]);
            match parse(&text) {
                Ok(kept) => prop_assert!(kept.len() <= text.lines().count()),
                Err((line, why)) => {
                    prop_assert!((1..=text.lines().count()).contains(&line) && !why.is_empty());
                    prop_assert!(!why.chars().any(char::is_control), "{}", why);
                }
            }
        }
    }
}

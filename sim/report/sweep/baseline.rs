//! The difference of a sweep to an earlier one, in words: one sentence, then a table of kinds of failure. Terminal, page and Markdown
//! say the same.

use crate::checks::sweep::{Change, Share, SweepComparison};
use crate::checks::{Verdict, word};
use crate::report::numbers::{count, counted, percent};
use crate::report::results::tone;
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::Tone;

pub fn sentence(comparison: &SweepComparison) -> String {
    let (before, now) = (word(&comparison.verdict_before), word(&comparison.verdict_now));
    let verdict = if before == now { format!("still {now}") } else { format!("{before} before, {now} now") };
    let said = |change: Change, what: &str| match comparison.count(change) {
        0 => None,
        count => Some(format!("{} {what}", counted(count, "kind"))),
    };
    let parts: Vec<String> = [
        said(Change::New, "of failure not met before"),
        said(Change::MoreOften, "met more often"),
        said(Change::LessOften, "met less often"),
        said(Change::AsBefore, "as before"),
        said(Change::Gone, "not met any more"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let parts = if parts.is_empty() { "no failure on either side".to_string() } else { parts.join(", ") };
    let list = if comparison.same_list { "; the same runs were listed" } else { "" };
    format!("{verdict}; {parts}{list}")
}

/// What was swept on one side only.
pub fn remarks(comparison: &SweepComparison) -> Vec<String> {
    let named = |what: &str, names: &[String]| {
        (!names.is_empty())
            .then(|| format!("{} {what}: {}", counted(names.len() as u64, "scenario"), names.join(" · ")))
    };
    let now = named("not in the baseline", &comparison.scenarios_only_now);
    let before = named("of the baseline not swept", &comparison.scenarios_only_before);
    now.into_iter().chain(before).collect()
}

/// `by chance`: how likely it is that a kind is met on one side only, if nothing has changed.
pub fn table(comparison: &SweepComparison) -> Table {
    let mut table = Table::new(&[
        ("scenario", Align::Left),
        ("change", Align::Left),
        ("before", Align::Right),
        ("now", Align::Right),
        ("by chance", Align::Right),
        ("what broke", Align::Left),
    ]);
    for kind in &comparison.kinds {
        let (tone, change) = match kind.change {
            Change::New => (tone(Verdict::Violated), "new"),
            Change::MoreOften => (tone(Verdict::Violated), "more often"),
            Change::LessOften => (Tone::Plain, "less often"),
            Change::AsBefore => (Tone::Plain, "as before"),
            Change::Gone => (tone(Verdict::Holds), "gone"),
        };
        table.push(vec![
            Cell::from(&kind.scenario),
            Cell::new(tone, change),
            Cell::from(share(kind.before)),
            Cell::from(share(kind.now)),
            Cell::from(kind.by_chance().map_or(String::new(), percent)),
            Cell::from(kind.failure.to_string()),
        ]);
    }
    table
}

fn share(share: Share) -> String {
    if share.of == 0 { "not swept".into() } else { format!("{} of {}", count(share.failed), count(share.of)) }
}

//! The difference to an earlier result, in words: one sentence, then a table, most telling first. The terminal, the page and the
//! Markdown say the same.

use super::numbers::{capitalised, counted, percent};
use super::results::{amount, tone};
use super::table::{Align, Cell, Table};
use super::terminal::Tone;
use crate::checks::baseline::{Change, ChangeKind, Comparison, Finding};
use crate::checks::{Subject, Verdict, word};

/// What a reader wants to know first.
pub fn sentence(comparison: &Comparison) -> String {
    let verdict = match comparison.verdict_before == comparison.verdict_now {
        true => format!("still {}", word(&comparison.verdict_now)),
        false => format!("{} before, {} now", word(&comparison.verdict_before), word(&comparison.verdict_now)),
    };
    if comparison.is_same() {
        let runs = counted(comparison.runs_of_both, "run");
        return format!("Nothing changed, {verdict}: {runs} on both sides, and each is the same to its last event");
    }
    let said = |kind: ChangeKind, what: &str| match comparison.count(kind) {
        0 => None,
        count => Some(format!("{} {what}", counted(count, "promise"))),
    };
    let mut parts: Vec<String> = [
        said(ChangeKind::New, "newly broken"),
        said(ChangeKind::Resolved, "no longer broken"),
        said(ChangeKind::Ongoing, "broken as before"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        parts.push("no promise broke or was mended".into());
    }
    let otherwise = comparison.changes.iter().filter(|change| change.is_asked_otherwise()).count();
    if 0 < otherwise {
        parts.push(format!("{} asked otherwise", counted(otherwise as u64, "promise")));
    }
    if !comparison.dropped.is_empty() {
        parts.push(format!("{} not asked for any more", counted(comparison.dropped.len() as u64, "promise")));
    }
    match comparison.count(ChangeKind::Moved) {
        0 => parts.push("no figure moved by more than seeds differ".into()),
        count => parts.push(format!("{} moved", counted(count, "figure"))),
    }
    format!("{}: {}", capitalised(&verdict), parts.join(", "))
}

/// What else must be known to read the comparison, with so many charts that say something else.
pub fn remarks(comparison: &Comparison, charts: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    let differing = comparison.runs_of_both - comparison.runs_equal;
    if 0 < comparison.runs_of_both && 0 < comparison.runs_equal && 0 < differing {
        let (equal, both) = (comparison.runs_equal, counted(comparison.runs_of_both, "run"));
        remarks.push(format!("{equal} of {both} of the same cell and seed are the same to the last event"));
    }
    if comparison.runs_of_both == 0 {
        remarks.push("no cell was run with a seed of the baseline: figures are compared, not runs".into());
    }
    let mut cells = |what: &str, cells: &[String]| {
        const NAMED: usize = 4;
        let Some(first) = cells.first() else { return };
        let named = if cells.len() <= NAMED { cells.join(" · ") } else { format!("{first} and others") };
        remarks.push(format!("{} {what}: {named}", counted(cells.len() as u64, "cell")));
    };
    cells("not in the baseline", &comparison.cells_only_now);
    cells("of the baseline not run", &comparison.cells_only_before);
    for (before, now) in comparison.charts.iter().take(charts) {
        remarks.push(format!("chart {}: “{}” was “{}”", now.chart, now.message, before.message));
    }
    if charts < comparison.charts.len() {
        let more = (comparison.charts.len() - charts) as u64;
        remarks.push(format!("{} that say something else", counted(more, "more chart")));
    }
    remarks
}

/// One row for each expectation that changed or is gone.
pub fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new(&[
        ("cell", Align::Left),
        ("what", Align::Left),
        ("change", Align::Left),
        ("before", Align::Left),
        ("now", Align::Left),
        ("by", Align::Right),
    ]);
    for change in &comparison.changes {
        let (tone, name) = match change.kind {
            ChangeKind::New => (tone(Verdict::Violated), "new"),
            ChangeKind::Ongoing => (tone(Verdict::Violated), "ongoing"),
            ChangeKind::Resolved => (tone(Verdict::Holds), "resolved"),
            ChangeKind::AskedOtherwise => (Tone::Vacuous, ""),
            ChangeKind::Moved => (Tone::Plain, "moved"),
        };
        let remarks = [(change.is_rare(), "rare"), (change.is_asked_otherwise(), "asked otherwise")];
        let words = [name].into_iter().chain(remarks.into_iter().filter_map(|(is_so, word)| is_so.then_some(word)));
        let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
        table.push(vec![
            Cell::from(&change.cell),
            Cell::from(&change.now.name),
            Cell::new(tone, name),
            Cell::from(change.before.as_ref().map_or("not asked".into(), value)),
            Cell::from(value(&change.now)),
            Cell::from(by(change)),
        ]);
    }
    for dropped in &comparison.dropped {
        table.push(vec![
            Cell::from(&dropped.cell),
            Cell::from(&dropped.before.name),
            Cell::new(Tone::Vacuous, "dropped"),
            Cell::from(value(&dropped.before)),
            Cell::from("not asked"),
            Cell::from(""),
        ]);
    }
    table
}

/// `mean 12.3 s`; of fates how many in a run, and in how many of them.
fn value(finding: &Finding) -> String {
    let sample = finding.statistics.as_ref();
    let mean = sample.and_then(|sample| sample.mean);
    match (finding.subject, mean, sample) {
        (Subject::Place { .. }, Some(mean), _) if 0.0 < mean => {
            format!("{mean:.1} a run, in {} of {}", finding.seen_in, finding.of)
        }
        (Subject::Place { .. }, ..) => format!("in {} of {}", finding.seen_in, finding.of),
        (subject, Some(mean), _) => format!("mean {}", amount(subject, mean)),
        (_, None, Some(sample)) if 0 < sample.censored => format!("never in {} of {}", sample.censored, sample.count),
        (_, None, _) => word(&finding.verdict),
    }
}

/// The change of the mean.
fn by(change: &Change) -> String {
    let mean = |finding: &Finding| finding.statistics.and_then(|sample| sample.mean);
    match (change.before.as_ref().and_then(mean), mean(&change.now)) {
        (Some(before), Some(now)) if before != 0.0 && before != now => {
            let share = (now - before) / before;
            format!("{}{}", if 0.0 < share { "+" } else { "−" }, percent(share.abs()))
        }
        _ => String::new(),
    }
}

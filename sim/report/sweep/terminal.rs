//! The summary on a terminal: the verdict first, then what a tired person needs to go on.

use super::{baseline, commands, failed_of, place, reached, reason_of, self_check, share, size, verdict_of};
use crate::checks::Verdict;
use crate::checks::sweep::{SweepComparison, SweepVerdict};
use crate::report::numbers;
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::{Tone, escaped, paint, wrapped};

/// What only this process knows.
pub struct Circumstances {
    /// Runs done by this process, and how long it took. Nothing for a merge.
    pub speed: Option<(u64, f64)>,
    /// What stands below the verdict: a sentence, and the command that it leads to.
    pub notes: Vec<(String, Option<String>)>,
    /// Paths of what was written.
    pub files: Vec<String>,
}

const WIDTH: usize = 120;
/// Cells that hold are counted, not listed, when there are more than this.
const CELLS: usize = 40;
const GROUPS: usize = 10;

pub fn render(sweep: &SweepVerdict, comparison: Option<&SweepComparison>, circumstances: &Circumstances) -> String {
    let mut text = String::new();
    text += &format!("{}  {}", verdict_word(sweep.verdict), paint(Tone::Strong, &size(sweep)));
    if 0 < sweep.failed {
        text += &format!(" · {} failed", numbers::count(sweep.failed));
    }
    text += "\n";
    for (note, command) in &circumstances.notes {
        text += &paragraph(note, 2);
        // A command is copied: it is not folded.
        text += &command.as_ref().map_or(String::new(), |command| format!("    {}\n", escaped(command)));
    }
    if let Some(number) = sweep.stopped_behind {
        text += &paragraph(&format!("stopped behind run {number}: as many failures as were asked for"), 2);
    }
    if !sweep.self_check.differing.is_empty() {
        text += &paragraph(&self_check(sweep), 2);
    }
    if let Some(comparison) = comparison {
        text += &against(comparison);
    }
    text += "\n";
    text += &cells(sweep);
    text += &failures(sweep);
    text += "\n";
    text += &regressions(sweep);
    let (fired, never) = reached(&sweep.fired);
    let (states, missed) = reached(&sweep.states);
    text += &labelled("fired", &fired);
    text += &labelled("never", &never);
    text += &labelled("reached", &states);
    text += &labelled("missed", &missed);
    text += &labelled("twice", &self_check(sweep));
    if let Some((runs, seconds)) = circumstances.speed {
        let rate = if 0.0 < seconds { runs as f64 / seconds } else { 0.0 };
        text += &labelled(
            "speed",
            &format!("{} in {}, {rate:.1} a second", numbers::counted(runs, "run"), numbers::seconds(seconds)),
        );
    }
    text += &labelled("files", &circumstances.files.join(" "));
    text
}

fn against(comparison: &SweepComparison) -> String {
    let mut text = paragraph(&format!("against the baseline: {}", baseline::sentence(comparison)), 2);
    for remark in baseline::remarks(comparison) {
        text += &paragraph(&remark, 2);
    }
    let table = baseline::table(comparison);
    if !table.is_empty() {
        text += &table.first(GROUPS).render(2);
    }
    let more = table.rows().len().saturating_sub(GROUPS);
    if 0 < more {
        text += &format!("  and {more} more in index.html\n");
    }
    text
}

fn verdict_word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Holds => paint(Tone::Holds, "HOLDS"),
        Verdict::Violated => paint(Tone::Violated, "VIOLATED"),
        Verdict::Unknown => paint(Tone::Unknown, "UNKNOWN"),
        Verdict::Vacuous => paint(Tone::Vacuous, "VACUOUS"),
    }
}

fn verdict_cell(verdict: Option<Verdict>) -> Cell {
    match verdict {
        Some(Verdict::Holds) => Cell::new(Tone::Holds, "holds"),
        Some(Verdict::Violated) => Cell::new(Tone::Violated, "violated"),
        Some(Verdict::Unknown) => Cell::new(Tone::Unknown, "unknown"),
        Some(Verdict::Vacuous) => Cell::new(Tone::Vacuous, "vacuous"),
        None => Cell::new(Tone::Muted, "not run"),
    }
}

fn cells(sweep: &SweepVerdict) -> String {
    let mut table = Table::new(&[
        ("scenario", Align::Left),
        ("cell", Align::Left),
        ("failed", Align::Right),
        ("95 % of seeds", Align::Left),
        ("verdict", Align::Left),
        ("", Align::Left),
    ]);
    let all: usize = sweep.scenarios.iter().map(|scenario| scenario.cells.len()).sum();
    let mut left_out = 0;
    for scenario in &sweep.scenarios {
        for cell in &scenario.cells {
            let verdict = verdict_of(cell);
            if CELLS < all && verdict == Some(Verdict::Holds) {
                left_out += 1;
                continue;
            }
            let reason = wrapped(&reason_of(cell), 70);
            let more = if 1 < reason.len() { " …" } else { "" };
            table.push(vec![
                Cell::from(&scenario.name),
                Cell::from(&cell.id),
                Cell::from(failed_of(cell)),
                Cell::from(share(cell)),
                verdict_cell(verdict),
                Cell::new(Tone::Muted, format!("{}{more}", reason[0])),
            ]);
        }
    }
    let mut text = if table.is_empty() { String::new() } else { table.render(2) };
    if 0 < left_out {
        text += &format!("  and {} that hold\n", numbers::counted(left_out, "cell"));
    }
    text
}

fn failures(sweep: &SweepVerdict) -> String {
    let mut text = String::new();
    for group in sweep.failures.iter().take(GROUPS) {
        let runs = numbers::counted(group.runs, "run");
        let heading = paint(Tone::Violated, &escaped(&group.failure.to_string()));
        text += &format!("\n  {heading}  {runs} of {}\n", escaped(&place(&group.scenario, &group.cells.join("; "))));
        text += &paragraph(&format!("seed {}: {}", group.example.seed.0, group.example.reason), 4);
        for command in commands::of_group(sweep, group) {
            text += &format!("    {}\n", escaped(&command));
        }
    }
    let more = sweep.failures.len().saturating_sub(GROUPS);
    if 0 < more {
        text += &format!("\n  and {more} more kinds of failure in sweep.json\n");
    }
    text
}

fn regressions(sweep: &SweepVerdict) -> String {
    if sweep.regressions.is_empty() {
        return String::new();
    }
    let holding = sweep.regressions.iter().filter(|one| one.verdict == Some(Verdict::Holds)).count();
    let mut text = labelled("before", &format!("{holding} of {} regressions hold", sweep.regressions.len()));
    for one in sweep.regressions.iter().filter(|one| one.verdict != Some(Verdict::Holds)) {
        let state = if one.verdict.is_none() { "not run" } else { &one.reason };
        text += &labelled("", &format!("{} seed {}: {state}", place(&one.scenario, &one.cell), one.seed.0));
    }
    text
}

fn labelled(label: &str, text: &str) -> String {
    let text = if text.is_empty() { "none" } else { text };
    let lines = wrapped(&escaped(text), WIDTH - 12);
    let label = paint(Tone::Muted, &format!("{label:<7}"));
    lines
        .iter()
        .enumerate()
        .map(|(n, line)| if n == 0 { format!("  {label}  {line}\n") } else { format!("           {line}\n") })
        .collect()
}

fn paragraph(sentence: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    wrapped(&escaped(sentence), WIDTH - indent).iter().map(|line| format!("{margin}{line}\n")).collect()
}

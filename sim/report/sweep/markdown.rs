//! The summary as Markdown, for the page of a CI job and for a pull request.

use super::{baseline, commands, failed_of, place, reached, reason_of, self_check, share, size, verdict_of};
use crate::checks::sweep::{SweepComparison, SweepVerdict};
use crate::checks::word;
use crate::report::markdown::{in_table, in_text};
use crate::report::numbers;

/// Groups with an example; the rest is in sweep.json. A page of GitHub takes one megabyte.
const GROUPS: usize = 30;

pub fn render(sweep: &SweepVerdict, comparison: Option<&SweepComparison>) -> String {
    let mut text = format!("## {}: {}\n\n", word(&sweep.verdict).to_uppercase(), size(sweep));
    text += &format!("{} failed.", numbers::counted(sweep.failed, "run"));
    if let Some(number) = sweep.stopped_behind {
        text += &format!(" Stopped behind run {number}: the failures that were asked for were found.");
    } else if !sweep.is_complete() {
        text += " **Incomplete**: what follows is about the runs that were done.";
    }
    if let Some(comparison) = comparison {
        text += &against(comparison);
    }
    text += "\n\n| scenario | cell | failed | 95 % of seeds | verdict | why |\n|---|---|---:|---|---|---|\n";
    for scenario in &sweep.scenarios {
        for cell in &scenario.cells {
            let verdict = verdict_of(cell).map_or("not run".to_string(), |verdict| word(&verdict));
            let cells = [&scenario.name, &cell.id, &failed_of(cell), &share(cell), &verdict, &reason_of(cell)]
                .map(|t| in_table(t));
            text += &format!("| {} |\n", cells.join(" | "));
        }
    }
    text += &failures(sweep);
    if !sweep.regressions.is_empty() {
        text += "\n### Regressions\n\n| scenario | seed | verdict | why it is kept | now |\n|---|---:|---|---|---|\n";
        for one in &sweep.regressions {
            let verdict = one.verdict.map_or("not run".to_string(), |verdict| word(&verdict));
            let row = [&place(&one.scenario, &one.cell), &one.seed.0.to_string(), &verdict, &one.why, &one.reason];
            text += &format!("| {} |\n", row.map(|cell| in_table(cell)).join(" | "));
        }
    }
    let (fired, never) = reached(&sweep.fired);
    let (states, missed) = reached(&sweep.states);
    text += "\n### What the runs went through\n\n";
    text += &format!("- faults that fired, in how many runs: {}\n", or_none(&fired));
    text += &format!("- faults that never fired: {}\n", or_none(&never));
    text += &format!("- states reached, in how many runs: {}\n", or_none(&states));
    text += &format!("- states **not** reached: {}\n", or_none(&missed));
    text += &format!("- self-check: {}\n", self_check(sweep));
    for one in &sweep.self_check.differing {
        let digests = format!("{} then {}", one.digests.0, one.digests.1);
        text += &format!("  - {} seed {}: {digests}\n", in_text(&place(&one.path, &one.cell)), one.seed.0);
    }
    let simulated = numbers::seconds(sweep.simulated_seconds);
    text += &format!("- {} simulated, {} messages\n", simulated, numbers::count(sweep.messages));
    text += &format!("\nhikyaku {}, streams s{}, list {}\n", sweep.version, sweep.stream_version, &sweep.hash[..8]);
    text
}

fn against(comparison: &SweepComparison) -> String {
    let mut text = format!("\n\nAgainst the baseline: {}.", in_text(&baseline::sentence(comparison)));
    for remark in baseline::remarks(comparison) {
        text += &format!(" {}.", in_text(&remark));
    }
    let table = baseline::table(comparison);
    if !table.is_empty() {
        text += "\n\n| scenario | change | before | now | by chance | what broke |\n|---|---|---:|---:|---:|---|\n";
    }
    for row in table.rows().iter().take(GROUPS) {
        let cells: Vec<String> = row.iter().map(|cell| in_table(cell.text())).collect();
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text.trim_end().to_string()
}

fn failures(sweep: &SweepVerdict) -> String {
    let mut text = String::new();
    if !sweep.failures.is_empty() {
        text += "\n### Failures, by what broke\n";
    }
    for group in sweep.failures.iter().take(GROUPS) {
        let cells = place(&group.scenario, &group.cells.join("; "));
        text +=
            &format!("\n**{}**, {}: {}\n\n", in_text(&group.failure.to_string()), in_text(&cells), runs(group.runs));
        text += &format!("for example seed {}: {}\n\n```sh\n", group.example.seed.0, in_text(&group.example.reason));
        commands::of_group(sweep, group).iter().for_each(|command| text += &format!("{command}\n"));
        text += "```\n";
    }
    let more = sweep.failures.len().saturating_sub(GROUPS);
    if 0 < more {
        text += &format!("\nand {more} more kinds of failure in `sweep.json`.\n");
    }
    text
}

fn runs(count: u64) -> String {
    numbers::counted(count, "run")
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

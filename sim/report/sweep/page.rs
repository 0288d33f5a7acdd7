//! A sweep as a page: the verdict, the failures grouped by what broke with the commands that go on from each, and every cell. Like the
//! Markdown it is a function of the verdict alone.

use maud::{Markup, html};

use super::{baseline, commands, failed_of, place, reached, reason_of, self_check, share, size, verdict_of};
use crate::checks::sweep::{FailureGroup, SweepComparison, SweepVerdict};
use crate::checks::{Verdict, word};
use crate::report::html::{class_of, page, table};
use crate::report::numbers::{capitalised, count, counted, seconds};
use crate::report::results::tone;
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::Tone;
use crate::scenario::printable;

/// Groups with their commands; the rest is in sweep.json.
const GROUPS: usize = 200;

pub fn render(sweep: &SweepVerdict, comparison: Option<&SweepComparison>) -> String {
    page(&format!("{}: {}", word(&sweep.verdict), size(sweep)), &body(sweep, comparison))
}

fn body(sweep: &SweepVerdict, comparison: Option<&SweepComparison>) -> Markup {
    let (fired, never) = reached(&sweep.fired);
    let (states, missed) = reached(&sweep.states);
    let or_none = |text: String| if text.is_empty() { "none".to_string() } else { text };
    html! {
        a.skip href="#failures" { "Skip to the failures" }
        header {
            p.verdict.(class_of(tone(sweep.verdict))) { (word(&sweep.verdict)) }
            h1 { "Sweep" }
            p.about { (size(sweep)) }
        }
        main {
            section #answer {
                p.answer { (answer(sweep)) }
                @if let Some(number) = sweep.stopped_behind {
                    p { "Stopped behind run " (number) ": the failures that were asked for were found." }
                } @else if !sweep.is_complete() {
                    p.bad { "Incomplete: what follows is about the runs that were done." }
                }
                @if !sweep.self_check.differing.is_empty() { p.bad { (self_check(sweep)) } }
            }
            @if let Some(comparison) = comparison { (against(comparison)) }
            section #failures {
                h2 { "Failures, by what broke" }
                @if sweep.failures.is_empty() { p { "None." } }
                @for (number, group) in sweep.failures.iter().take(GROUPS).enumerate() { (failures(sweep, number, group)) }
                @if GROUPS < sweep.failures.len() {
                    p { "and " (counted((sweep.failures.len() - GROUPS) as u64, "more kind")) " in " code { "sweep.json" } }
                }
            }
            section #cells { h2 { "Cells" } (table("cells", &cells(sweep))) }
            @if !sweep.regressions.is_empty() {
                section #regressions { h2 { "Regressions" } (table("regressions", &regressions(sweep))) }
            }
            section #covered {
                h2 { "What the runs went through" }
                dl {
                    dt { "Faults that fired, in how many runs" } dd { (or_none(fired)) }
                    dt { "Faults that never fired" } dd { (or_none(never)) }
                    dt { "States reached, in how many runs" } dd { (or_none(states)) }
                    dt { "States not reached" } dd { (or_none(missed)) }
                    dt { "Self-check" } dd { (self_check(sweep)) }
                    dt { "Simulated" } dd { (seconds(sweep.simulated_seconds)) ", " (count(sweep.messages)) " messages" }
                }
            }
        }
        footer {
            p {
                "hikyaku " (sweep.version) ", streams s" (sweep.stream_version) ", list " code { (sweep.hash) }
                @for set in &sweep.sets { ", " code { "--set " (printable(set)) } }
                @for guard in &sweep.guards_off { ", " code { "--without-guard " (printable(guard)) } }
            }
        }
    }
}

fn against(comparison: &SweepComparison) -> Markup {
    let kinds = baseline::table(comparison);
    html! {
        section #baseline {
            h2 { "Against the baseline" }
            p { strong { (printable(&capitalised(&baseline::sentence(comparison)))) "." } }
            @for remark in baseline::remarks(comparison) { p { (printable(&remark)) } }
            @if !kinds.is_empty() { (table("kinds", &kinds)) }
        }
    }
}

fn answer(sweep: &SweepVerdict) -> String {
    match (sweep.failed, sweep.failures.len() as u64) {
        (0, _) => format!("No failure in {}", counted(sweep.runs, "run")),
        (failed, kinds) => {
            format!("{} of {} failed, in {}", count(failed), counted(sweep.runs, "run"), counted(kinds, "way"))
        }
    }
}

fn failures(sweep: &SweepVerdict, number: usize, group: &FailureGroup) -> Markup {
    let example = &group.example;
    html! {
        details.story id={ "failure-" (number + 1) } open[number == 0] {
            summary {
                span.tag { (counted(group.runs, "run")) ", " (printable(&group.scenario)) } " "
                (printable(&group.failure.to_string()))
            }
            @if group.cells.iter().any(|cell| !cell.is_empty()) {
                p { "In " (counted(group.cells.len() as u64, "cell")) ": " (printable(&group.cells.join("; "))) }
            }
            p { "For example " (printable(&place(&group.scenario, &example.cell))) ", seed " (example.seed.0) ": "
                (printable(&example.reason)) }
            @for command in commands::of_group(sweep, group) { pre.command { code { (printable(&command)) } } }
        }
    }
}

fn verdict_cell(verdict: Option<Verdict>) -> Cell {
    match verdict {
        Some(verdict) => Cell::new(tone(verdict), word(&verdict)),
        None => Cell::new(Tone::Muted, "not run"),
    }
}

fn cells(sweep: &SweepVerdict) -> Table {
    let mut table = Table::new(&[
        ("scenario", Align::Left),
        ("cell", Align::Left),
        ("failed", Align::Right),
        ("95 % of seeds", Align::Left),
        ("verdict", Align::Left),
        ("why", Align::Left),
    ]);
    for scenario in &sweep.scenarios {
        for cell in &scenario.cells {
            table.push(vec![
                Cell::from(&scenario.name),
                Cell::from(&cell.id),
                Cell::from(failed_of(cell)),
                Cell::from(share(cell)),
                verdict_cell(verdict_of(cell)),
                Cell::from(reason_of(cell)),
            ]);
        }
    }
    table
}

fn regressions(sweep: &SweepVerdict) -> Table {
    let mut table = Table::new(&[
        ("scenario", Align::Left),
        ("seed", Align::Right),
        ("verdict", Align::Left),
        ("why it is kept", Align::Left),
        ("now", Align::Left),
    ]);
    for one in &sweep.regressions {
        table.push(vec![
            Cell::from(place(&one.scenario, &one.cell)),
            Cell::from(one.seed.0.to_string()),
            verdict_cell(one.verdict),
            Cell::from(&one.why),
            Cell::from(&one.reason),
        ]);
    }
    table
}

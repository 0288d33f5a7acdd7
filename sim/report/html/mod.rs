//! The page that people take into a meeting: one file with everything in it, and nothing loaded from anywhere.
//!
//! The one idea: the verdict first, then the answer in a sentence, then whatever a doubter asks for, in the order in which it is asked:
//! the charts, the numbers, whose promise broke for which event, which faults struck, what was not covered, what was assumed, and the
//! command that gives the same again. Every name comes from a file that somebody else wrote; maud escapes each, and the policy of the
//! page lets no script run but ours, known by its digest. The page is whole without scripts; they sort, filter and open.
//!
//! Equal outcomes give equal bytes: there is no clock, no path and no host in it.

pub mod review;
pub mod stories;
#[cfg(test)]
mod tests;
pub mod validation;

use std::fmt::Write;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::answer::{self, Report};
use super::baseline;
use super::charts::Figure;
use super::charts::font::{self, Weight};
use super::charts::palette::{FaultKind, Token};
use super::figures::CellReport;
use super::numbers::{count, counted};
use super::results;
use super::table::{Align, Cell, Table};
use super::terminal::Tone;
use crate::checks::baseline::Comparison;
use crate::checks::word;
use crate::scenario::plan::Plan;
use crate::scenario::printable;
use stories::{Story, anchors, story};

const SCRIPT: &str = include_str!("script.js");
const STYLE: &str = include_str!("style.css");
/// SHA-256 of the script; a test holds them together.
const SCRIPT_DIGEST: &str = "a/5sotbjyWw0MpNFTmd4YGzook4NOHKn6SaNYyGbU40=";

/// Stories with a diagram; it is as long as the rest of a story.
const DIAGRAMS: usize = 8;
/// Cells whose plans are compared with the first.
const DIFFERENCES: usize = 60;

pub fn render(report: &Report) -> String {
    let title = format!("{}: {}", word(&report.verdict), printable(report.scenario));
    page(&title, &body(report))
}

/// A whole document around the content.
pub fn page(title: &str, content: &Markup) -> String {
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_DIGEST}'; font-src data:; \
         base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "hikyaku " (env!("CARGO_PKG_VERSION")) };
                title { (printable(title)) }
                style { (PreEscaped(fonts())) (PreEscaped(colours())) (PreEscaped(STYLE)) }
            }
            body {
                (content)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn body(report: &Report) -> Markup {
    let reasons = answer::reasons(report);
    let gaps = answer::not_covered(report);
    let anchors = anchors(report.stories);
    html! {
        a.skip href="#answer" { "Skip to the answer" }
        header {
            p.verdict.(class_of(results::tone(report.verdict))) { (word(&report.verdict)) }
            h1 { (printable(report.scenario)) }
            p.about { (printable(report.about)) }
        }
        main {
            section #answer {
                p.answer { (printable(&answer::answer(report))) }
                p { (answer::evidence(report)) }
                @for warning in report.warnings { p.bad { (printable(warning)) } }
                @if 1 < reasons.len() {
                    details open[reasons.len() < 6] {
                        summary { (counted(reasons.len() as u64, "reason")) }
                        ul { @for reason in &reasons { li { (printable(reason)) } } }
                    }
                }
                nav aria-label="on this page" {
                    ul {
                        @for (id, name) in SECTIONS {
                            @if is_there(id, report) { li { a href={ "#" (id) } { (name) } } }
                        }
                    }
                }
            }
            @if let Some(comparison) = report.baseline { (difference(comparison)) }
            section #charts {
                h2 { "Charts" }
                @for figure in report.figures { (chart(figure)) }
            }
            section #results {
                h2 { "Results" }
                (table("results", &answer::results(report)))
            }
            (fates(report, &anchors))
            @if !report.stories.is_empty() {
                section #stories {
                    h2 { "Whose promise broke" }
                    p { "What became of single events, from the caller to where the effect should have landed." }
                    @for (number, (one, anchor)) in report.stories.iter().zip(&anchors).enumerate() {
                        (story(one, anchor, number < DIAGRAMS))
                    }
                    @if 0 < report.stories_left {
                        p { (counted(report.stories_left, "more cell")) " with a story to tell; " code { "hikyaku explain" } " tells it." }
                    }
                }
            }
            section #faults {
                h2 { "Faults" }
                (faults(report))
            }
            section #gaps {
                h2 { "What was not covered" }
                ul { @for gap in &gaps { li { (printable(gap)) } } }
            }
            section #assumed {
                h2 { "What was assumed" }
                (assumed(report.cells))
            }
            section #again {
                h2 { "See it again" }
                @for (what, command) in report.commands {
                    p { (what) }
                    pre.command { code { (printable(command)) } }
                }
            }
        }
        footer {
            p {
                "hikyaku " (env!("CARGO_PKG_VERSION")) ", seeds " (report.seeds.start) ".." (report.seeds.end) ", digest of the first run "
                code { (format!("{:032x}", report.digest)) }
                @if !report.rows.is_empty() { ", answers " (printable(&report.rows.join(", "))) }
            }
        }
    }
}

/// Sections that not every report has.
fn is_there(section: &str, report: &Report) -> bool {
    match section {
        "stories" => !report.stories.is_empty(),
        "baseline" => report.baseline.is_some(),
        _ => true,
    }
}

const SECTIONS: [(&str, &str); 9] = [
    ("baseline", "Against the baseline"),
    ("charts", "Charts"),
    ("results", "Results"),
    ("fates", "Fates"),
    ("stories", "Whose promise broke"),
    ("faults", "Faults"),
    ("gaps", "Not covered"),
    ("assumed", "Assumed"),
    ("again", "Again"),
];

/// What differs from an earlier result.
fn difference(comparison: &Comparison) -> Markup {
    let changes = baseline::table(comparison);
    html! {
        section #baseline {
            h2 { "Against the baseline" }
            p { strong { (baseline::sentence(comparison)) "." } }
            @if !changes.rows().is_empty() { (table("baseline", &changes)) }
            ul { @for remark in baseline::remarks(comparison, usize::MAX) { li { (printable(&remark)) } } }
        }
    }
}

/// The picture, with its numbers as sentences below it.
pub fn chart(figure: &Figure) -> Markup {
    html! {
        figure id={ "chart-" (figure.stem) } {
            div.chart tabindex="0" role="group" aria-label=(printable(&figure.title)) { (PreEscaped(&figure.svg)) }
            figcaption {
                details {
                    summary { "The numbers" }
                    p { (figure.description) }
                    p { "All of them: " code { (figure.stem) ".csv" } ", beside this page." }
                }
            }
        }
    }
}

/// A table that the script makes sortable, and filterable when it is long.
pub fn table(name: &str, table: &Table) -> Markup {
    let shown: Vec<usize> = (0..table.columns().count())
        .filter(|column| table.rows().iter().any(|row| !row[*column].text().is_empty()))
        .collect();
    let columns: Vec<(&str, Align)> = table.columns().collect();
    html! {
        div.scroll tabindex="0" role="group" aria-label=(name) {
            table.sortable data-name=(name) {
                thead {
                    tr {
                        @for column in &shown {
                            @let (heading, align) = columns[*column];
                            th.number[align == Align::Right] scope="col" { (heading) }
                        }
                    }
                }
                tbody {
                    @for row in table.rows() {
                        tr { @for column in &shown { (cell(&row[*column], columns[*column].1)) } }
                    }
                }
            }
        }
    }
}

fn cell(cell: &Cell, align: Align) -> Markup {
    let tone = class_of(cell.tone());
    match align {
        Align::Right => html! { td.number.(tone) { (cell.text()) } },
        Align::Left if tone.is_empty() => html! { td { (cell.text()) } },
        Align::Left => html! { td.(tone) { (cell.text()) } },
    }
}

pub fn class_of(tone: Tone) -> &'static str {
    match tone {
        Tone::Holds => "holds",
        Tone::Violated => "violated",
        Tone::Unknown => "unknown",
        Tone::Vacuous => "vacuous",
        Tone::Plain | Tone::Strong | Tone::Muted | Tone::Fault(_) => "",
    }
}

/// What became of what was owed, place by place, with ways to the stories.
fn fates(report: &Report, anchors: &[String]) -> Markup {
    let cells: Vec<(&CellReport, Vec<results::Fates>)> =
        report.cells.iter().map(|cell| (cell, results::fates(cell))).collect();
    let Some(names) =
        cells.iter().flat_map(|(_, places)| places).next().map(|fates| fates.counts.map(|(name, _)| name))
    else {
        return html! {};
    };
    // Fates that no effect had are left out.
    let had = |column: usize| cells.iter().flat_map(|(_, places)| places).any(|fates| 0 < fates.counts[column].1);
    let shown: Vec<usize> = (0..names.len()).filter(|column| *column < 2 || had(*column)).collect();
    let of_cell = |story: &Story, cell: &CellReport, place| {
        story.plan.cell == cell.id && story.evidence.iter().any(|evidence| evidence.place == place)
    };
    html! {
        section #fates {
            h2 { "Fates" }
            p { "What became of the effects that were owed, over all seeds." }
            div.scroll tabindex="0" role="group" aria-label="fates" {
                table.sortable data-name="fates" {
                    thead {
                        tr {
                            th scope="col" { "cell" } th scope="col" { "place" }
                            @for column in &shown { th.number scope="col" { (names[*column]) } }
                            th scope="col" { "promise of" } th scope="col" { "stories" }
                        }
                    }
                    tbody {
                        @for (cell, places) in &cells {
                            @for fates in places {
                                tr {
                                    td { (printable(cell.name())) }
                                    td { (printable(cell.place(fates.place))) }
                                    @for column in &shown {
                                        @let (name, number) = fates.counts[*column];
                                        @let bad = 0 < number && matches!(name, "lost" | "repeated" | "phantom" | "stale");
                                        td.number.bad[bad] { (count(number)) }
                                    }
                                    td { @for (boundary, number) in &fates.blamed { (word(boundary)) " " (count(*number)) " " } }
                                    td {
                                        @for (story, anchor) in report.stories.iter().zip(anchors) {
                                            @if of_cell(story, cell, fates.place) {
                                                a href={ "#" (anchor) } { (story.chronicle.event) } " "
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn faults(report: &Report) -> Markup {
    if report.faults.is_empty() {
        return html! { p { "None: nothing was made to go wrong." } };
    }
    html! {
        div.scroll tabindex="0" role="group" aria-label="faults" {
            table.sortable data-name="faults" {
                thead {
                    tr {
                        th scope="col" { "fault" } th scope="col" { "what" } th.number scope="col" { "fired in" }
                        th.number scope="col" { "of runs" } th.number scope="col" { "times" } th scope="col" { "for example" }
                    }
                }
                tbody {
                    @for fault in report.faults {
                        tr {
                            td { (printable(&fault.name)) } td { (printable(&fault.text)) }
                            td.number.bad[fault.fired_in == 0] { (count(fault.fired_in)) }
                            td.number { (count(fault.of)) } td.number { (count(fault.times)) }
                            td { (printable(&fault.example)) }
                        }
                    }
                }
            }
        }
    }
}

/// The plan of the first cell, whole, and what the others have in its place.
fn assumed(cells: &[CellReport]) -> Markup {
    let Some(first) = cells.first() else { return html! {} };
    let base = flat(first.plan);
    let differs = |cell: &CellReport| {
        let own = flat(cell.plan);
        let changed = own.iter().filter(|line| !base.contains(line));
        let ignored = |line: &&String| ["cell = ", "seed = "].iter().any(|key| line.starts_with(key));
        changed.filter(|line| !ignored(line)).cloned().collect::<Vec<String>>()
    };
    html! {
        p { "Every setting, with what was not written filled in. Lengths of time are in nanoseconds where they have no unit." }
        details {
            summary { "The plan of " (printable(first.name())) ", seed " (first.plan.seed.0) }
            pre.plan tabindex="0" { code { (plan_text(first.plan)) } }
        }
        @if 1 < cells.len() {
            details {
                summary { "What the other cells have in its place" }
                @for cell in cells.iter().skip(1).take(DIFFERENCES) {
                    h3 { (printable(cell.name())) }
                    pre.plan tabindex="0" { code { @for line in differs(cell) { (printable(&line)) "\n" } } }
                }
                @if DIFFERENCES + 1 < cells.len() {
                    p { "and " (counted((cells.len() - DIFFERENCES - 1) as u64, "more cell")) "; their " code { "plan.toml" } " says it." }
                }
            }
        }
    }
}

fn plan_text(plan: &Plan) -> String {
    let text = toml::to_string(plan).expect("a plan can be written");
    text.lines().map(|line| printable(line) + "\n").collect()
}

/// Each setting as one line with its whole path.
fn flat(plan: &Plan) -> Vec<String> {
    fn walk(path: &str, value: &serde_json::Value, lines: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    walk(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, lines);
                }
            }
            serde_json::Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                items.iter().enumerate().for_each(|(index, item)| walk(&format!("{path}.{index}"), item, lines));
            }
            plain => lines.push(format!("{path} = {plain}")),
        }
    }
    let mut lines = Vec::new();
    walk("", &serde_json::to_value(plan).expect("a plan can be written"), &mut lines);
    lines
}

/// The two weights of the charts' typeface.
fn fonts() -> String {
    let face = |weight, number| {
        let data = base64(font::for_the_web(weight));
        format!(
            "@font-face{{font-family:Inter;font-weight:{number};src:url(data:font/woff2;base64,{data}) format('woff2')}}\n"
        )
    };
    face(Weight::Regular, 400) + &face(Weight::Bold, 700)
}

/// The palette of the charts as variables of the page.
fn colours() -> String {
    const USED: [(&str, Token); 9] = [
        ("paper", Token::Paper),
        ("ink", Token::Ink),
        ("muted", Token::Muted),
        ("grid", Token::Grid),
        ("link", Token::Category1),
        ("holds", Token::Category3),
        ("violated", Token::HeadroomNone),
        ("unknown", Token::Fault(FaultKind::Network)),
        ("vacuous", Token::Category4),
    ];
    let mut rules = String::new();
    let list = |colour: fn(Token) -> u32| {
        USED.iter().map(move |(name, token)| format!("--{name}:#{:06x};", colour(*token))).collect::<String>()
    };
    let _ = writeln!(rules, ":root{{{}}}", list(Token::light));
    let _ = writeln!(rules, "@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}", list(Token::dark));
    rules
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            u32::from_be_bytes([0, chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)]);
        for sign in 0..4 {
            match sign <= chunk.len() {
                true => text.push(char::from(SIGNS[(word >> (18 - 6 * sign)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text
}

//! The page of a design review.

use maud::html;

use super::{class_of, page, table};
use crate::report::review::{Mark, Review};
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::Tone;
use crate::scenario::printable;

pub fn render(review: &Review) -> String {
    let tone = if review.count(Mark::No) == 0 { Tone::Holds } else { Tone::Violated };
    let content = html! {
        a.skip href="#answer" { "Skip to the answer" }
        header {
            p.verdict.(class_of(tone)) { "design review" }
            h1 { (printable(&review.scenario)) }
            p.about { (printable(&review.about)) }
        }
        main {
            section #answer {
                p.answer { (printable(&review.answer())) }
                nav aria-label="on this page" {
                    ul {
                        li { a href="#points" { "Checklist" } }
                        li { a href="#probes" { "What was done to the system" } }
                        li { a href="#again" { "Again" } }
                    }
                }
            }
            section #points {
                h2 { "Checklist" }
                @for (number, point) in review.points.iter().enumerate() {
                    section id={ "point-" (printable(&point.id)) } {
                        h3 { (number + 1) ". " (printable(&point.claim)) ": " span.(class_of(point.mark.tone())) { (point.mark.word()) } }
                        p { (printable(&point.evidence)) }
                        @if let Some((change, proof)) = &point.change {
                            p { "What makes it a yes, " (printable(proof)) ":" }
                            pre.command { code { (printable(change)) } }
                        }
                        @if point.mark == Mark::No && point.change.is_none() {
                            p { "No single change that is known here makes it a yes." }
                        }
                        @for command in &point.replay { pre.command { code { (printable(command)) } } }
                    }
                }
            }
            section #probes {
                h2 { "What was done to the system" }
                (table("probes", &probes(review)))
            }
            section #again {
                h2 { "See it again" }
                pre.command { code { (printable(&review.command)) } }
            }
        }
        footer { p { "hikyaku " (env!("CARGO_PKG_VERSION")) } }
    };
    page(&format!("Design review: {}", review.scenario), &content)
}

fn probes(review: &Review) -> Table {
    let mut rows = Table::new(&[
        ("probe", Align::Left),
        ("fault", Align::Left),
        ("struck", Align::Right),
        ("of runs", Align::Right),
        ("what broke", Align::Left),
        ("replay", Align::Left),
    ]);
    for probe in &review.probes {
        let tone = if probe.harms.is_empty() { Tone::Plain } else { Tone::Violated };
        rows.push(vec![
            Cell::from(&probe.name),
            Cell::from(&probe.sentence),
            Cell::from(probe.struck.to_string()),
            Cell::from(probe.runs.to_string()),
            Cell::new(tone, if probe.harms.is_empty() { "nothing".into() } else { probe.harms.join("; ") }),
            Cell::from(&probe.replay),
        ]);
    }
    rows
}

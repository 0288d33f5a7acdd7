//! The page of a comparison with queueing theory.

use maud::html;

use super::{class_of, page, table};
use crate::report::numbers::{count, counted};
use crate::report::terminal::Tone;
use crate::report::validation::{Case, Standing, Validation};
use crate::scenario::printable;

pub fn render(validation: &Validation) -> String {
    let content = html! {
        a.skip href="#answer" { "Skip to the answer" }
        header {
            p.verdict.(class_of(validation.tone())) { "validation" }
            h1 { "The simulation against queueing theory" }
            p.about { "Each case runs through a real topic, real producers and real consumers; what comes out is compared with the closed form." }
        }
        main {
            section #answer {
                p.answer { (validation.answer()) "." }
                nav aria-label="on this page" {
                    ul {
                        li { a href="#metrics" { "Metrics" } }
                        li { a href="#cases" { "Cases" } }
                        li { a href="#again" { "Again" } }
                    }
                }
            }
            section #metrics {
                h2 { "Metrics" }
                p {
                    "A tolerance in percent is of the expected value. “z 4, +b” allows four standard errors of theory and a bias of b; "
                    "z says how many it were."
                }
                (table("metrics", &validation.table()))
            }
            section #cases {
                h2 { "Cases" }
                @for case in &validation.cases { (one(case)) }
            }
            section #again {
                h2 { "See it again" }
                pre.command { code { (printable(&validation.command)) } }
            }
        }
        footer { p { "hikyaku " (env!("CARGO_PKG_VERSION")) } }
    };
    page("The simulation against queueing theory", &content)
}

fn one(case: &Case) -> maud::Markup {
    let (tone, word) = match case.standing() {
        Standing::Passes => (Tone::Holds, "passes"),
        Standing::NotExpressible => (Tone::Vacuous, "not expressible"),
        Standing::Fails => (Tone::Violated, "fails"),
        Standing::Invalid => (Tone::Violated, "could not be run"),
    };
    html! {
        details.story open[case.standing() != Standing::Passes] {
            summary { (printable(&case.id)) " · " (printable(&case.title)) " · " span.(class_of(tone)) { (word) } }
            dl {
                dt { "model" } dd { (printable(&case.model)) }
                @if !case.formula.is_empty() { dt { "formula" } dd { code { (printable(&case.formula)) } } }
                @if !case.source.is_empty() { dt { "source" } dd { (printable(&case.source)) } }
                @if 0 < case.runs { dt { "simulated" } dd { (counted(case.runs, "run")) ", " (count(case.records)) " records" } }
            }
            @if let Some((command, digest)) = &case.again {
                p { "The first run again, with the digest " code { (format!("{digest:032x}")) } ":" }
                pre.command { code { (printable(command)) } }
            }
            @if let Some(scenario) = &case.scenario {
                details {
                    summary { "The scenario" }
                    pre.plan tabindex="0" { code { @for line in scenario.lines() { (printable(line)) "\n" } } }
                }
            }
        }
    }
}

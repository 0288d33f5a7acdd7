//! What `run` prints: the verdict first, why, the numbers, then how to see it again and where everything is.

use std::ops::Range;
use std::path::Path;

use crate::checks::{CellExpectation, CellVerdict, Demand, Subject, Verdict};
use crate::explore::SeedRun;
use crate::report::numbers;
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::{Tone, escaped, paint, wrapped};
use crate::scenario::Family;
use crate::scenario::plan::{Plan, ServiceMetric};
use crate::types::Seed;

use super::run::Written;

pub struct Summary<'a> {
    pub family: &'a Family,
    /// The command line without seeds.
    pub arguments: &'a str,
    pub seeds: &'a Range<u64>,
    pub runs: &'a [SeedRun],
    pub verdicts: &'a [CellVerdict],
    pub verdict: Verdict,
    pub written: &'a Written,
    /// Folder of everything that was written.
    pub out: &'a Path,
}

const WIDTH: usize = 110;
/// Reasons shown; the rest is in verdict.json.
const REASONS: usize = 3;

pub fn print(summary: &Summary) {
    anstream::print!("{}", render(summary));
}

fn render(summary: &Summary) -> String {
    let family = summary.family;
    let mut text = String::new();
    let seeds = summary.seeds.end - summary.seeds.start;
    let size = match family.cells.len() {
        1 => numbers::counted(seeds, "seed"),
        cells => format!("{} × {}", numbers::counted(cells as u64, "cell"), numbers::counted(seeds, "seed")),
    };
    let heading = paint(Tone::Strong, &escaped(&family.name));
    text += &format!("{}  {heading}  {}\n", word(summary.verdict), paint(Tone::Muted, &size));
    text += &paragraph(&family.about);
    for reason in reasons(summary) {
        text += &paragraph(&reason);
    }
    if let Some((cell, seed)) = &summary.written.nondeterministic {
        text += &paragraph(&format!("NOT DETERMINISTIC: cell `{cell}`, seed {} gave another digest when it was run again", seed.0));
    }
    for figure in summary.written.figures.iter().take(1) {
        text += &paragraph(&figure.title);
    }
    text += "\n";
    text += &recovery_table(summary).unwrap_or_else(|| expectation_table(summary));
    text += &footer(summary);
    text
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Holds => paint(Tone::Holds, "HOLDS"),
        Verdict::Violated => paint(Tone::Violated, "VIOLATED"),
        Verdict::Unknown => paint(Tone::Unknown, "UNKNOWN"),
        Verdict::Vacuous => paint(Tone::Vacuous, "VACUOUS"),
    }
}

fn paragraph(sentence: &str) -> String {
    wrapped(&escaped(sentence), WIDTH).iter().map(|line| format!("  {line}\n")).collect()
}

/// The most telling reasons, with their cell when there are several.
fn reasons(summary: &Summary) -> Vec<String> {
    let worst = summary.verdicts.iter().filter(|cell| cell.verdict == summary.verdict && cell.verdict != Verdict::Holds);
    let named = worst.flat_map(|cell| {
        cell.reasons.iter().map(move |reason| match cell.cell.as_str() {
            "" => reason.clone(),
            id => format!("[{id}] {reason}"),
        })
    });
    let mut named: Vec<String> = named.collect();
    let more = named.len().saturating_sub(REASONS);
    named.truncate(REASONS);
    if 0 < more {
        named.push(format!("… and {more} more in verdict.json"));
    }
    named
}

/// Recovery per headroom, when that is what the scenario asks.
fn recovery_table(summary: &Summary) -> Option<String> {
    let judged: Vec<(&CellVerdict, &CellExpectation)> =
        summary.verdicts.iter().filter_map(|cell| Some((cell, cell.expectations.iter().find(|one| is_recovery(one))?))).collect();
    if judged.is_empty() {
        return None;
    }
    let mut table = Table::new(&[
        ("cell", Align::Left),
        ("recovered", Align::Right),
        ("mean", Align::Right),
        ("95 % interval", Align::Right),
        ("theory", Align::Right),
        ("z", Align::Right),
        ("expected", Align::Left),
        ("verdict", Align::Left),
    ]);
    for (cell, expectation) in judged {
        let statistics = expectation.statistics.as_ref();
        let count = statistics.map_or(0, |statistics| statistics.count);
        let censored = statistics.map_or(0, |statistics| statistics.censored);
        let mean = statistics.and_then(|statistics| statistics.mean);
        let deviation = statistics.and_then(|statistics| statistics.deviation);
        let interval = match (mean, deviation) {
            (Some(mean), Some(deviation)) => {
                let half = 1.96 * deviation / (count as f64).sqrt();
                format!("{:.1} .. {:.1} s", mean - half, mean + half)
            }
            _ => String::new(),
        };
        let z = match (mean, expectation.theory, expectation.theory_deviation) {
            (Some(mean), Some(theory), Some(deviation)) if 0.0 < deviation => {
                format!("{:+.2}", (mean - theory) / (deviation / (count as f64).sqrt()))
            }
            _ => String::new(),
        };
        table.push(vec![
            Cell::from(if cell.cell.is_empty() { "this scenario" } else { &cell.cell }),
            Cell::from(format!("{} of {}", count - censored, count)),
            Cell::from(mean.map_or("not recovered".into(), |mean| format!("{mean:.1} s"))),
            Cell::from(interval),
            Cell::from(expectation.theory.map_or("never".into(), |theory| format!("{theory:.1} s"))),
            Cell::from(z),
            Cell::from(demand(&expectation.demand)),
            verdict_cell(expectation.verdict),
        ]);
    }
    Some(table.render(2))
}

fn is_recovery(expectation: &CellExpectation) -> bool {
    matches!(expectation.subject, Subject::Service { metric: ServiceMetric::Recovery, .. })
}

fn expectation_table(summary: &Summary) -> String {
    let mut table = Table::new(&[
        ("cell", Align::Left),
        ("what", Align::Left),
        ("expected", Align::Left),
        ("seen in", Align::Right),
        ("verdict", Align::Left),
    ]);
    for (index, cell) in summary.verdicts.iter().enumerate() {
        let plan = summary.family.cells[index].plan(Seed(summary.seeds.start));
        for expectation in &cell.expectations {
            table.push(vec![
                Cell::from(&cell.cell),
                Cell::from(subject(&plan, &expectation.subject)),
                Cell::from(demand(&expectation.demand)),
                Cell::from(format!("{} of {}", numbers::count(expectation.seen_in), numbers::count(expectation.of))),
                verdict_cell(expectation.verdict),
            ]);
        }
    }
    table.render(2)
}

fn subject(plan: &Plan, subject: &Subject) -> String {
    match subject {
        Subject::Place { place, promise } => format!("{} {}", plan.places[place.0 as usize].name, kebab(promise)),
        Subject::Service { service, metric } => format!("{} {}", plan.services[service.0 as usize].name, kebab(metric)),
    }
}

fn demand(demand: &Demand) -> String {
    match demand {
        Demand::Fate(tolerance) => kebab(tolerance),
        Demand::Order(order) => kebab(order),
        Demand::Blame(boundary) => format!("blame {}", kebab(boundary)),
        Demand::Bounds(bounds) => bounds.iter().map(|bound| bound.text.clone()).collect::<Vec<_>>().join(", "),
    }
}

/// The word of the language for a value of the plan.
fn kebab(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn verdict_cell(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Holds => Cell::new(Tone::Holds, "holds"),
        Verdict::Violated => Cell::new(Tone::Violated, "violated"),
        Verdict::Unknown => Cell::new(Tone::Unknown, "unknown"),
        Verdict::Vacuous => Cell::new(Tone::Vacuous, "vacuous"),
    }
}

fn footer(summary: &Summary) -> String {
    let mut text = String::from("\n");
    let seed = summary.verdicts.iter().find(|cell| cell.verdict == summary.verdict).and_then(|cell| cell.worst_seed);
    let seed = seed.unwrap_or(Seed(summary.seeds.start));
    text += &format!("  {}  {} --seed {}\n", paint(Tone::Muted, "again "), summary.arguments, seed.0);
    let digest = summary.runs.first().map_or(0, |run| run.report.digest);
    text += &format!("  {}  {:032x} (first run)\n", paint(Tone::Muted, "digest"), digest);
    let files = summary.written.figures.iter().map(|figure| figure.stem).collect::<Vec<_>>();
    for path in summary.written.paths.iter().take(REASONS) {
        text += &format!("  {}  {}/history.jsonl .csv plan.toml\n", paint(Tone::Muted, "story "), escaped(&path.display().to_string()));
    }
    let folder = escaped(&summary.out.display().to_string());
    for stem in files {
        text += &format!("  {}  {folder}/{stem}.svg .png .csv\n", paint(Tone::Muted, "chart "));
    }
    text += &format!("  {}  {folder}/verdict.json\n", paint(Tone::Muted, "all   "));
    text
}

//! What `run` prints: the verdict first, why, the numbers, then how to see it again and where everything is.

use std::ops::Range;
use std::path::Path;

use crate::checks::{CellExpectation, CellVerdict, Demand, PlaceFates, Subject, Verdict, word as word_of};
use crate::explore::SeedRun;
use crate::explore::explain::findings;
use crate::explore::replay::Token;
use crate::report::numbers;
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::{Tone, escaped, paint, wrapped};
use crate::scenario::plan::{Expectation, PlaceExpectation, Plan, ServiceMetric};
use crate::scenario::{Family, printable};
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
    out!("{}", render(summary));
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
    if let Some((cell, seed, found)) = &summary.written.nondeterministic {
        let found = found.as_ref().map_or("two more runs were the same".into(), |found| found.to_string());
        text += &paragraph(&format!(
            "NOT DETERMINISTIC: cell `{cell}`, seed {} gave another digest when it was run again; {found}",
            seed.0
        ));
    }
    for figure in summary.written.figures.iter().take(1) {
        text += &paragraph(&figure.title);
    }
    for example in examples(summary) {
        text += &paragraph(&format!("for example {example}"));
    }
    text += "\n";
    text += &recovery_table(summary).unwrap_or_else(|| expectation_table(summary));
    text += &footer(summary);
    text
}

pub fn word(verdict: Verdict) -> String {
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
    let worst =
        summary.verdicts.iter().filter(|cell| cell.verdict == summary.verdict && cell.verdict != Verdict::Holds);
    let named = worst.flat_map(|cell| {
        cell.reasons.iter().map(move |reason| match cell.cell.as_str() {
            "" => reason.clone(),
            id => format!("[{id}] {reason}"),
        })
    });
    let mut named: Vec<String> = named.collect();
    let left_out: u64 = summary.verdicts.iter().map(|cell| cell.reasons_left_out).sum();
    let more = named.len().saturating_sub(REASONS) as u64 + left_out;
    named.truncate(REASONS);
    if 0 < more {
        named.push(format!("… and {more} more; verdict.json has all runs"));
    }
    named
}

/// How many stories of single events stand on the screen.
const EXAMPLES: usize = 2;

/// What happened to single events, with whose promise broke; the rest of their stories is in verdict.json.
fn examples(summary: &Summary) -> Vec<String> {
    let expectations = summary.verdicts.iter().flat_map(|cell| &cell.expectations);
    let blamed = expectations.filter_map(|one| one.example.as_ref().filter(|example| example.blame.is_some()));
    let mut told: Vec<String> = Vec::new();
    for example in blamed {
        let boundary = example.blame.as_ref().map(|blame| word_of(&blame.boundary)).unwrap_or_default();
        let sentence = format!("{} (promise of: {boundary})", example.message);
        if told.len() < EXAMPLES && !told.contains(&sentence) {
            told.push(sentence);
        }
    }
    told
}

/// Recovery per headroom, when that is what the scenario asks.
fn recovery_table(summary: &Summary) -> Option<String> {
    let judged: Vec<(&CellVerdict, &CellExpectation)> = summary
        .verdicts
        .iter()
        .filter_map(|cell| Some((cell, cell.expectations.iter().find(|one| is_recovery(one))?)))
        .collect();
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

/// One row for each judged place of each cell, with what became of its effects over all seeds; then the metrics.
fn expectation_table(summary: &Summary) -> String {
    let mut table = Table::new(&[
        ("cell", Align::Left),
        ("what", Align::Left),
        ("expected", Align::Left),
        ("measured", Align::Left),
        ("seen in", Align::Left),
        ("verdict", Align::Left),
    ]);
    for cell in summary.verdicts {
        let index = index_of(summary, cell);
        let plan = summary.family.cells[index].plan(Seed(summary.seeds.start));
        let runs: Vec<&SeedRun> = summary.runs.iter().filter(|run| run.cell == index).collect();
        for expectation in &plan.expectations {
            let Expectation::Place(expected) = expectation else { continue };
            table.push(place_row(&plan, cell, expected, &runs));
        }
        let metrics = cell.expectations.iter().filter(|one| !matches!(one.subject, Subject::Place { .. }));
        for expectation in metrics {
            let mean = expectation.statistics.as_ref().and_then(|statistics| statistics.mean);
            table.push(vec![
                Cell::from(&cell.cell),
                Cell::from(&expectation.name),
                Cell::from(demand(&expectation.demand)),
                Cell::from(mean.map_or("no value".into(), |mean| format!("mean {mean:.4}"))),
                Cell::from(format!("{} of {} seeds", expectation.seen_in, expectation.of)),
                verdict_cell(expectation.verdict),
            ]);
        }
    }
    table.render(2)
}

fn place_row(plan: &Plan, cell: &CellVerdict, expected: &PlaceExpectation, runs: &[&SeedRun]) -> Vec<Cell> {
    let fates = || runs.iter().filter_map(|run| run.outcome.places.iter().find(|fates| fates.place == expected.place));
    let bad = |fates: &PlaceFates| fates.lost + fates.repeated_harmful + fates.stale + fates.phantoms;
    let counts = [
        ("lost", fates().map(|fates| fates.lost).sum::<u64>()),
        ("repeated", fates().map(|fates| fates.repeated_harmful).sum()),
        ("repeated harmlessly", fates().map(|fates| fates.repeated_harmless).sum()),
        ("stale", fates().map(|fates| fates.stale).sum()),
        ("phantom", fates().map(|fates| fates.phantoms).sum()),
        ("pending", fates().map(|fates| fates.pending).sum()),
        ("parked", fates().map(|fates| fates.parked).sum()),
        ("out of order", fates().map(|fates| fates.reordered).sum()),
    ];
    let owed: u64 = fates().map(|fates| fates.expected).sum();
    let said = counts.iter().filter(|(_, count)| 0 < *count);
    let said: Vec<String> = said.map(|(what, count)| format!("{} {what}", numbers::count(*count))).collect();
    let measured = match said.is_empty() {
        true => format!("all {} applied once", numbers::count(owed)),
        false => format!("{} of {}", said.join(", "), numbers::count(owed)),
    };
    let mut wanted = expected.text.clone();
    if let Some(boundary) = &expected.blame {
        wanted += &format!(", blame {}", word_of(boundary));
    }
    let shown = fates().filter(|fates| 0 < bad(fates)).count();
    let of_place =
        |one: &&CellExpectation| matches!(one.subject, Subject::Place { place, .. } if place == expected.place);
    let verdict = cell.expectations.iter().filter(of_place).map(|one| one.verdict).max().unwrap_or_default();
    vec![
        Cell::from(&cell.cell),
        Cell::from(&plan.places[expected.place.0 as usize].name),
        Cell::from(wanted),
        Cell::from(measured),
        Cell::from(format!("{shown} of {} seeds", runs.len())),
        verdict_cell(verdict),
    ]
}

fn demand(demand: &Demand) -> String {
    match demand {
        Demand::Fate(tolerance) => word_of(tolerance),
        Demand::Order(order) => word_of(order),
        Demand::Blame(boundary) => format!("blame {}", word_of(boundary)),
        Demand::Bounds(bounds) => bounds.iter().map(|bound| bound.text.clone()).collect::<Vec<_>>().join(", "),
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

/// The number of a judged cell in its family.
fn index_of(summary: &Summary, judged: &CellVerdict) -> usize {
    summary.family.cells.iter().position(|cell| cell.id == judged.cell).expect("what is judged is a cell of the family")
}

/// The run that is worth a second look: the worst; where everything holds, the first that shows what is required.
fn most_telling<'a>(summary: &Summary<'a>) -> Option<&'a SeedRun> {
    let judged = || summary.verdicts.iter().filter(|cell| cell.verdict == summary.verdict);
    let worst = judged().find_map(|cell| Some((cell, cell.worst_seed?)));
    let seen = judged().find_map(|cell| {
        let required = cell.expectations.iter().filter(|one| one.demand.is_required());
        Some((cell, required.filter_map(|one| one.first_seen).next()?))
    });
    let (cell, seed) = worst.or(seen)?;
    let index = index_of(summary, cell);
    summary.runs.iter().find(|run| run.cell == index && run.seed == seed)
}

/// A run by its token, and how to make it small when it breaks a promise.
fn replay_lines(summary: &Summary, run: &SeedRun) -> String {
    let seed = run.seed;
    let cell = &summary.family.cells[run.cell];
    let path = printable(&summary.family.path.display().to_string());
    let flags = summary.arguments.strip_prefix(&format!("hikyaku run {path}")).unwrap_or_default();
    let token = Token::new(&cell.plan(seed), run.report.digest);
    let elsewhere =
        if summary.family.path.starts_with("scenarios") { String::new() } else { format!(" --scenario {path}") };
    let token = escaped(&token.to_string());
    let mut text = format!("  {}  hikyaku replay {token}{elsewhere}{flags}\n", paint(Tone::Muted, "replay"));
    if !findings(&run.outcome).is_empty() {
        text += &format!("  {}  hikyaku explain {token}{elsewhere}{flags}\n", paint(Tone::Muted, "why   "));
    }
    if run.outcome.verdict == Verdict::Violated {
        let id = if summary.family.cells.len() == 1 { String::new() } else { format!(" --cell {}", escaped(&cell.id)) };
        text += &format!("  {}  hikyaku shrink {path}{id} --seed {}{flags}\n", paint(Tone::Muted, "small "), seed.0);
    }
    text
}

fn footer(summary: &Summary) -> String {
    let mut text = String::from("\n");
    if let Some(run) = most_telling(summary).or(summary.runs.first()) {
        text += &format!("  {}  {} --seed {}\n", paint(Tone::Muted, "again "), summary.arguments, run.seed.0);
        text += &replay_lines(summary, run);
    }
    let digest = summary.runs.first().map_or(0, |run| run.report.digest);
    text += &format!("  {}  {:032x} (first run)\n", paint(Tone::Muted, "digest"), digest);
    let files = summary.written.figures.iter().map(|figure| figure.stem).collect::<Vec<_>>();
    for path in summary.written.paths.iter().take(REASONS) {
        text += &format!(
            "  {}  {}/history.jsonl .csv plan.toml\n",
            paint(Tone::Muted, "story "),
            escaped(&path.display().to_string())
        );
    }
    if let (histories @ 1.., events) = summary.written.left {
        let (what, them) = if histories == 1 { ("history", "it") } else { ("histories", "them") };
        text += &format!(
            "  {}  {histories} more {what} ({} events): --all-histories writes {them}, --set AXIS=VALUE --seed N only one\n",
            paint(Tone::Muted, "left  "),
            numbers::count(events)
        );
    }
    let folder = escaped(&summary.out.display().to_string());
    for stem in files {
        text += &format!("  {}  {folder}/{stem}.svg .png .csv\n", paint(Tone::Muted, "chart "));
    }
    text += &format!("  {}  {folder}/verdict.json\n", paint(Tone::Muted, "all   "));
    text
}

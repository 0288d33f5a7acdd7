//! The numbers that decide, as tables: recovery at each headroom, or what became of the effects at each judged place. The terminal, the
//! page and the Markdown print the same rows.

use super::figures::CellReport;
use super::numbers;
use super::table::{Align, Cell, Table};
use super::terminal::Tone;
use crate::checks::{CellExpectation, Demand, EvidenceKind, PlaceFates, RunOutcome, Subject, Verdict, word};
use crate::scenario::plan::{Boundary, Expectation, PlaceExpectation, ServiceMetric, Unit};
use crate::types::Seed;

/// Recovery, when that is what the scenario asks about; otherwise every judged place and metric.
pub fn table(cells: &[CellReport]) -> Table {
    recovery(cells).unwrap_or_else(|| expectations(cells))
}

fn recovery(cells: &[CellReport]) -> Option<Table> {
    let is_recovery =
        |one: &&CellExpectation| matches!(one.subject, Subject::Service { metric: ServiceMetric::Recovery, .. });
    let judged: Vec<(&CellReport, &CellExpectation)> =
        cells.iter().filter_map(|cell| Some((cell, cell.verdict.expectations.iter().find(is_recovery)?))).collect();
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
            Cell::from(cell.name()),
            Cell::from(format!("{} of {}", count - censored, count)),
            Cell::from(mean.map_or("not recovered".into(), |mean| format!("{mean:.1} s"))),
            Cell::from(interval),
            Cell::from(expectation.theory.map_or("never".into(), |theory| format!("{theory:.1} s"))),
            Cell::from(z),
            Cell::from(demand(&expectation.demand)),
            verdict_cell(expectation.verdict),
        ]);
    }
    Some(table)
}

/// One row for each judged place of each cell, with what became of its effects over all seeds; then the metrics.
fn expectations(cells: &[CellReport]) -> Table {
    let mut table = Table::new(&[
        ("cell", Align::Left),
        ("what", Align::Left),
        ("expected", Align::Left),
        ("measured", Align::Left),
        ("seen in", Align::Left),
        ("verdict", Align::Left),
    ]);
    for cell in cells {
        for expectation in &cell.plan.expectations {
            let Expectation::Place(expected) = expectation else { continue };
            table.push(place_row(cell, expected));
        }
        let metrics = cell.verdict.expectations.iter().filter(|one| !matches!(one.subject, Subject::Place { .. }));
        for expectation in metrics {
            let mean = expectation.statistics.as_ref().and_then(|statistics| statistics.mean);
            table.push(vec![
                Cell::from(cell.id),
                Cell::from(&expectation.name),
                Cell::from(demand(&expectation.demand)),
                Cell::from(
                    mean.map_or("no value".into(), |mean| format!("mean {}", amount(expectation.subject, mean))),
                ),
                Cell::from(format!("{} of {} seeds", expectation.seen_in, expectation.of)),
                verdict_cell(expectation.verdict),
            ]);
        }
    }
    table
}

/// A metric with its unit.
pub fn amount(subject: Subject, value: f64) -> String {
    match subject {
        Subject::Service { metric, .. } => in_unit(metric.unit(), value),
        Subject::Delay { .. } => in_unit(Unit::Seconds, value),
        Subject::Run { metric } => in_unit(metric.unit(), value),
        Subject::Place { .. } => unreachable!("a place has fates, and a row of its own"),
    }
}

fn in_unit(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Share => format!("{:.2} %", 100.0 * value),
        Unit::Seconds => numbers::seconds(value),
        Unit::Factor => numbers::multiple(value),
        Unit::PerSecond => format!("{value:.1}/s"),
        Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
        Unit::Plain => format!("{value:.1}"),
    }
}

fn place_row(cell: &CellReport, expected: &PlaceExpectation) -> Vec<Cell> {
    let fates = || cell.runs.iter().filter_map(|run| run.places.iter().find(|fates| fates.place == expected.place));
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
        wanted += &format!(", blame {}", word(boundary));
    }
    let shown = fates().filter(|fates| 0 < bad(fates)).count();
    let of_place =
        |one: &&CellExpectation| matches!(one.subject, Subject::Place { place, .. } if place == expected.place);
    let verdict = cell.verdict.expectations.iter().filter(of_place).map(|one| one.verdict).max().unwrap_or_default();
    vec![
        Cell::from(cell.id),
        Cell::from(cell.place(expected.place)),
        Cell::from(wanted),
        Cell::from(measured),
        Cell::from(format!("{shown} of {} seeds", cell.runs.len())),
        verdict_cell(verdict),
    ]
}

fn demand(demand: &Demand) -> String {
    match demand {
        Demand::Fate(tolerance) => word(tolerance),
        Demand::Order(order) => word(order),
        Demand::Blame(boundary) => format!("blame {}", word(boundary)),
        Demand::Bounds(bounds) => bounds.iter().map(|bound| bound.text.clone()).collect::<Vec<_>>().join(", "),
    }
}

fn verdict_cell(verdict: Verdict) -> Cell {
    Cell::new(tone(verdict), word(&verdict))
}

pub fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Holds => Tone::Holds,
        Verdict::Violated => Tone::Violated,
        Verdict::Unknown => Tone::Unknown,
        Verdict::Vacuous => Tone::Vacuous,
    }
}

/// What became of the owed effects of every judged place of a cell, summed over its seeds.
pub struct Fates {
    pub place: crate::types::PlaceId,
    /// Name and count, in the order of a report; those that are owed effects first.
    pub counts: [(&'static str, u64); 12],
    /// Events with a bad fate, by the boundary that broke.
    pub blamed: Vec<(Boundary, u64)>,
}

pub fn fates(cell: &CellReport) -> Vec<Fates> {
    let Some(first) = cell.runs.first() else { return Vec::new() };
    let of_place = |place| {
        let fates =
            || cell.runs.iter().flat_map(move |run| run.places.iter().filter(move |fates| fates.place == place));
        let sum = |count: fn(&PlaceFates) -> u64| fates().map(count).sum::<u64>();
        let mut blamed: Vec<(Boundary, u64)> = Vec::new();
        for (boundary, count) in fates().flat_map(|fates| &fates.blamed) {
            match blamed.iter_mut().find(|(known, _)| known == boundary) {
                Some((_, sum)) => *sum += count,
                None => blamed.push((*boundary, *count)),
            }
        }
        blamed.sort();
        Fates {
            place,
            counts: [
                ("owed", sum(|fates| fates.expected)),
                ("once", sum(|fates| fates.once)),
                ("repeated, harmless", sum(|fates| fates.repeated_harmless)),
                ("repeated", sum(|fates| fates.repeated_harmful)),
                ("lost", sum(|fates| fates.lost)),
                ("pending", sum(|fates| fates.pending)),
                ("parked", sum(|fates| fates.parked)),
                ("refused", sum(|fates| fates.refused)),
                ("phantom", sum(|fates| fates.phantoms)),
                ("stale", sum(|fates| fates.stale)),
                ("out of order", sum(|fates| fates.reordered)),
                ("outcome unknown", sum(|fates| fates.unknown_present + fates.unknown_absent)),
            ],
            blamed,
        }
    };
    first.places.iter().map(|fates| of_place(fates.place)).collect()
}

/// The seed of a cell that is worth a second look: the worst; where it holds, the first that shows what is required, and then the
/// first that shows anything bad.
pub fn telling_seed(cell: &CellReport) -> Option<Seed> {
    let required = || cell.verdict.expectations.iter().filter(|one| one.demand.is_required());
    let bad = |run: &&&RunOutcome| {
        let evidence = run.places.iter().flat_map(|place| &place.evidence);
        evidence.into_iter().any(|evidence| evidence.kind != EvidenceKind::RepeatedHarmless)
    };
    let shows = || cell.runs.iter().find(bad).map(|run| run.seed);
    cell.verdict.worst_seed.or_else(|| required().find_map(|one| one.first_seen)).or_else(shows)
}

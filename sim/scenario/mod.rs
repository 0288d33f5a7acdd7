//! From a scenario file to plans.
//!
//! text -> [`tree`] (values with places) -> [`document`] (parents and `--set` laid over each other) -> [`family`] (axes,
//! variants, grids, cases: one tree for each cell) -> [`lower`] (every name a number, every default a value) -> [`plan`].
//! All problems of a file are reported at once, each with place, cause and cure; after one, there is no plan. Nothing
//! here runs anything: reading is total, quick, and free of panics for every input.

mod chaos;
mod codes;
pub mod diagnostics;
mod document;
mod draft;
mod family;
mod fields;
mod grid;
mod keys;
mod lower;
pub mod plan;
mod print;
mod schema;
mod sentence;
pub mod sound;
mod steps;
mod tree;
mod values;
mod vocabulary;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::types::{Guard, Random, Seed};

pub use codes::{codes, explain_code};
pub use diagnostics::{Diagnostic, Diagnostics, Place, Severity, printable};
pub use document::Loader;
pub use draft::{Draft, drafts, drafts_of};
pub use schema::schema;
pub use write::write_fault;

use chaos::ChaosSpec;
use diagnostics::Problems;
use lower::{Lowered, OrdinalDraw};
use plan::{Expectation, FaultTrigger, Ordinal, PlaceExpectation, Plan, Tolerance};

/// One scenario with all its cells.
#[derive(Clone, Debug)]
pub struct Family {
    /// File stem.
    pub name: String,
    pub about: String,
    pub rows: Vec<String>,
    pub path: PathBuf,
    pub seeds: std::ops::Range<u64>,
    pub cells: Vec<Cell>,
    pub warnings: Diagnostics,
}

/// One system and what is expected of it, for any seed.
#[derive(Clone, Debug)]
pub struct Cell {
    /// `acks=1,style=direct`; empty in a scenario without axes.
    pub id: String,
    /// (axis, value) in the order of the file.
    pub axes: Vec<(String, String)>,
    plan: Plan,
    draws: Vec<OrdinalDraw>,
    chaos: Option<ChaosSpec>,
}

impl Family {
    /// Tells two families apart that would run differently: everything that is run, by which streams, of which version.
    pub fn fingerprint(&self) -> u128 {
        let mut text = format!("{} {} {:?}", env!("CARGO_PKG_VERSION"), plan::STREAM_VERSION, self.seeds);
        for cell in &self.cells {
            text += &cell.fingerprint_text();
        }
        twox_hash::XxHash3_128::oneshot(text.as_bytes())
    }

    /// Makes mutants of all cells: the queue without these guards.
    pub fn switch_off(&mut self, guards: &[Guard]) {
        self.cells.iter_mut().for_each(|cell| cell.plan.guards_off.extend(guards));
    }
}

impl Cell {
    /// Everything that a plan of this cell depends on beside its seed.
    fn fingerprint_text(&self) -> String {
        format!("{:?} {:?} {:?}", self.plan, self.draws, self.chaos)
    }

    /// The plan of one run. Occurrences at `any` are drawn for each fault by its name, so that taking a fault out leaves
    /// the others as they were.
    pub fn plan(&self, seed: Seed) -> Plan {
        let mut plan = self.plan.clone();
        plan.seed = seed;
        let stream = seed.keyed("faults");
        for draw in &self.draws {
            let fault = &mut plan.faults[draw.fault];
            let mut random = stream.at(crate::types::random::hash_text(&fault.name));
            let drawn = draw_ordinals(&mut random, draw.count, draw.expected);
            if let FaultTrigger::When { ordinal, .. } = &mut fault.trigger {
                *ordinal = Ordinal::These(drawn);
            }
        }
        if let Some(chaos) = &self.chaos {
            chaos.draw(&mut plan);
        }
        plan
    }
}

/// `count` different numbers of `1..=expected`, ascending. Floyd's sample (Bentley, "Programming Pearls", 1987).
fn draw_ordinals(random: &mut impl Random, count: u64, expected: u64) -> Vec<u64> {
    const MOST: u64 = 10_000;
    let count = count.min(expected).min(MOST);
    let mut drawn = std::collections::BTreeSet::new();
    for last in expected - count + 1..=expected {
        let number = random.below(last) + 1;
        if !drawn.insert(number) {
            drawn.insert(last);
        }
    }
    drawn.into_iter().collect()
}

/// A scenario is a page written by a person.
const LARGEST: u64 = 1 << 20;

/// Reads a scenario file with its parents; `sets` are `PATH=VALUE`.
pub fn load(path: &Path, sets: &[String]) -> Result<Family, Diagnostics> {
    let name = path.display().to_string();
    let text = read_file(path).map_err(|reason| unreadable(&name, &reason))?;
    let mut family = parse(&name, &text, sets, &load_parent)?;
    family.path = path.to_path_buf();
    Ok(family)
}

/// Reads a scenario from a text that is no file; parents are looked for from the working directory.
pub fn parse_text(name: &str, text: &str, sets: &[String]) -> Result<Family, Diagnostics> {
    parse(name, text, sets, &load_parent)
}

/// The merged scenario with the origin of each value.
pub fn effective(path: &Path, sets: &[String]) -> Result<String, Diagnostics> {
    let name = path.display().to_string();
    let text = read_file(path).map_err(|reason| unreadable(&name, &reason))?;
    let problems = Problems::default();
    let mut document = document::read(&name, &text, sets, &load_parent, &problems);
    document.apply_sets(|_| false, &problems);
    if problems.errors() > 0 {
        return Err(problems.into_diagnostics(document.sources));
    }
    Ok(document::effective(&document))
}

/// Reads a scenario from its text. `loader` finds the texts of parents.
pub fn parse(name: &str, text: &str, sets: &[String], loader: Loader) -> Result<Family, Diagnostics> {
    let problems = Problems::default();
    let mut document = document::read(name, text, sets, loader, &problems);
    // A tree with holes would give a second problem for each hole.
    if problems.errors() > 0 {
        return Err(problems.into_diagnostics(document.sources));
    }
    let (axes, trees) = family::cells(&mut document, &problems);
    let mut cells = Vec::new();
    let mut lowered: Vec<Lowered> = Vec::new();
    for tree in &trees {
        if problems.is_full() {
            break;
        }
        if let Some(cell) = lower::lower(&document.name, tree, &axes, &problems) {
            cells.push(Cell {
                id: tree.id.clone(),
                axes: tree.axes.clone(),
                plan: cell.plan.clone(),
                draws: cell.draws.clone(),
                chaos: cell.chaos.clone(),
            });
            lowered.push(cell);
        }
    }
    check_judged(&lowered, &problems);
    let seeds = lowered.first().map_or(0..1, |cell| cell.seeds.clone());
    warn_few_seeds(&lowered, &seeds, &problems);
    if cells.is_empty() && problems.errors() == 0 {
        let title = "no cell is left to run";
        problems.add(
            Diagnostic::error("S064", Place::default(), title)
                .label("every cell is skipped")
                .help("remove a \"-\" or a `skip`"),
        );
    }
    let failed = problems.errors() > 0;
    let diagnostics = problems.into_diagnostics(document.sources);
    if failed {
        return Err(diagnostics);
    }
    let header = lowered.into_iter().next().map(|cell| cell.header).unwrap_or_default();
    Ok(Family {
        name: document.name,
        about: header.about,
        rows: header.rows,
        path: PathBuf::from(name),
        seeds,
        cells,
        warnings: diagnostics,
    })
}

/// A place that is judged must be written in some cell. Where a step cannot be understood, nobody knows what it would have written.
fn check_judged(cells: &[Lowered], problems: &Problems) {
    if problems.is_of_steps() {
        return;
    }
    let written = |name: &str| cells.iter().any(|cell| cell.judged.iter().any(|(n, _, written)| n == name && *written));
    for (name, place, is_written) in cells.iter().flat_map(|cell| &cell.judged) {
        if !is_written && !written(name) {
            problems.add(
                Diagnostic::error("S081", *place, format!("no step writes `{name}`"))
                    .label("nothing to judge")
                    .help("write it in a step, or remove the expectation"),
            );
        }
    }
}

/// A hazard must be seen in at least one seed; with few of them that is luck.
fn warn_few_seeds(cells: &[Lowered], seeds: &std::ops::Range<u64>, problems: &Problems) {
    if seeds.end - seeds.start >= 10 {
        return;
    }
    let requires = |expectation: &Expectation| match expectation {
        Expectation::Place(PlaceExpectation { loss, duplicates, stale, .. }) => {
            [loss, duplicates, stale].contains(&&Tolerance::Required)
        }
        Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => false,
    };
    let Some(cell) = cells.iter().find(|cell| cell.plan.expectations.iter().any(requires)) else { return };
    let place = cell.judged.first().map_or(Place::default(), |(_, place, _)| *place);
    problems.add(
        Diagnostic::warning("S085", place, format!("a hazard is required of {} seeds", seeds.end - seeds.start))
            .label("must be seen in at least one")
            .help("ten or more seeds make that likely"),
    );
}

fn load_parent(child: &str, path: &str) -> Result<(String, String), String> {
    let folder = Path::new(child).parent().unwrap_or(Path::new(""));
    let joined = normal(&folder.join(path));
    let text = read_file(&joined)?;
    Ok((joined.display().to_string(), text))
}

/// Without `.` and `..` where they can be resolved, so that a file has one name.
fn normal(path: &Path) -> PathBuf {
    let mut output = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if output.file_name().is_some() => {
                output.pop();
            }
            _ => output.push(part),
        }
    }
    output
}

fn read_file(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".into());
    }
    if metadata.len() > LARGEST {
        return Err(format!("it has {} bytes, and a scenario has at most {LARGEST}", metadata.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()))
}

fn unreadable(name: &str, reason: &str) -> Diagnostics {
    let problems = Problems::default();
    problems.add(
        Diagnostic::error("S004", Place::default(), format!("the scenario cannot be read: {reason}"))
            .label("not a scenario")
            .help("give the path of a TOML file"),
    );
    problems.into_diagnostics(vec![diagnostics::Source { name: name.to_string(), text: String::new() }])
}

//! What a test gets back: the verdict first, why, whose promise broke, and the one line that runs it again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{CELL_VARIABLE, HandledRun, SEED_VARIABLE};
use crate::checks::{CellVerdict, RunOutcome, Signature, Verdict, word};
use crate::scenario::Family;
use crate::types::Seed;
use crate::world::handlers::HandlerFailure;

/// Everything a sweep came to. `{report}` prints what [`Report::assert_holds`] panics with.
#[derive(Clone, Debug)]
pub struct Report {
    scenario: String,
    cells: Vec<CellVerdict>,
    /// Ids of the cells by their number in the family.
    cell_ids: Vec<String>,
    runs: Vec<HandledRun>,
    /// The test that ran it, as the test harness names its thread.
    test: Option<String>,
    pub(super) recorded: Vec<PathBuf>,
}

/// One seed that broke something.
#[derive(Clone, Debug)]
pub struct Failure {
    /// `acks=1,style=direct`; empty in a scenario without axes.
    pub cell: String,
    pub seed: u64,
    /// Every way in which it failed, the most telling first.
    pub signatures: Vec<Signature>,
    /// Why, in the scenario's names.
    pub reasons: Vec<String>,
    /// What is known of single events that came to harm: whose promise broke, and what struck.
    pub evidence: Vec<String>,
    /// A command that runs this seed alone and writes down its history.
    pub replay: String,
    /// Errors that handlers returned in this run: their processes were started again.
    pub handler_failures: Vec<HandlerFailure>,
}

/// Reasons and groups of failures that are printed.
const SHOWN: usize = 4;

impl Report {
    pub(super) fn new(family: &Family, cells: Vec<CellVerdict>, runs: Vec<HandledRun>) -> Report {
        Report {
            scenario: family.name.clone(),
            cells,
            cell_ids: family.cells.iter().map(|cell| cell.id.clone()).collect(),
            runs,
            test: std::thread::current().name().filter(|name| *name != "main").map(str::to_string),
            recorded: Vec::new(),
        }
    }

    /// Of all cells together: the worst.
    pub fn verdict(&self) -> Verdict {
        self.cells.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Vacuous)
    }

    /// One for each cell, in the order of the scenario.
    pub fn cells(&self) -> &[CellVerdict] {
        &self.cells
    }

    /// What was found in each run, in the order of cells and seeds.
    pub fn outcomes(&self) -> impl Iterator<Item = &RunOutcome> {
        self.runs.iter().map(|handled| &handled.run.outcome)
    }

    /// (cell, seed, digest) of each run: equal digests are equal histories.
    pub fn digests(&self) -> impl Iterator<Item = (&str, u64, u128)> {
        let runs = self.runs.iter().map(|handled| &handled.run);
        runs.map(|run| (self.cell_ids[run.cell].as_str(), run.seed.0, run.report.digest))
    }

    /// Seeds that broke something, in the order of cells and seeds.
    pub fn failures(&self) -> Vec<Failure> {
        let violated = self.runs.iter().filter(|handled| handled.run.outcome.verdict == Verdict::Violated);
        violated.map(|handled| self.failure(handled)).collect()
    }

    /// Errors that handlers returned, over all runs, with the seed.
    pub fn handler_failures(&self) -> impl Iterator<Item = (u64, &HandlerFailure)> {
        self.runs.iter().flat_map(|handled| handled.failures.iter().map(|failure| (handled.run.seed.0, failure)))
    }

    /// Cell, seed and first difference of runs that came out differently when they were made twice.
    pub fn nondeterministic(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.runs.iter().filter_map(|handled| {
            let difference = handled.first_difference.as_deref()?;
            Some((self.cell_ids[handled.run.cell].as_str(), handled.run.seed.0, difference))
        })
    }

    /// The promise of a test.
    ///
    /// # Panics
    /// The verdict is not "holds", or a run came out differently when it was made twice: with verdict, reasons and the line
    /// that runs it again.
    #[track_caller]
    pub fn assert_holds(&self) {
        if self.verdict() != Verdict::Holds || self.nondeterministic().next().is_some() {
            panic!("{self}");
        }
    }

    fn failure(&self, handled: &HandledRun) -> Failure {
        let run = &handled.run;
        let cell = self.cell_ids[run.cell].clone();
        Failure {
            replay: self.replay(&cell, run.seed),
            cell,
            seed: run.seed.0,
            signatures: Signature::all(&run.outcome),
            reasons: run.outcome.reasons.clone(),
            evidence: evidence(&run.outcome),
            handler_failures: handled.failures.clone(),
        }
    }

    fn replay(&self, cell: &str, seed: Seed) -> String {
        let mut line = format!("{SEED_VARIABLE}={}", seed.0);
        if 1 < self.cell_ids.len() {
            line += &format!(" {CELL_VARIABLE}='{cell}'");
        }
        line += " cargo test";
        match &self.test {
            Some(test) => line + " " + test,
            None => line,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = word(&self.verdict()).to_uppercase();
        let failures = self.failures();
        write!(f, "{name}  {}  {} runs, {} violated", self.scenario, self.runs.len(), failures.len())?;
        for (cell, seed, difference) in self.nondeterministic() {
            write!(
                f,
                "\n\nNOT DETERMINISTIC: seed {seed}{} came out differently when it was run again",
                of_cell(cell)
            )?;
            write!(
                f,
                "\n  {difference}\n  a handler may read nothing that outlives a run or differs between two of them"
            )?;
        }
        for cell in self.cells.iter().filter(|cell| cell.verdict != Verdict::Holds) {
            write!(f, "\n\n{}{}", word(&cell.verdict), of_cell(&cell.cell))?;
            for reason in cell.reasons.iter().take(SHOWN) {
                write!(f, "\n  {reason}")?;
            }
        }
        let mut groups: BTreeMap<Option<&Signature>, Vec<&Failure>> = BTreeMap::new();
        for failure in &failures {
            groups.entry(failure.signatures.first()).or_default().push(failure);
        }
        for (signature, group) in groups.iter().take(SHOWN) {
            let signature = signature.map_or("no signature".to_string(), ToString::to_string);
            write!(f, "\n\n{signature}: {} of {} runs", group.len(), self.runs.len())?;
            let first = group[0];
            write!(f, "\n  seed {}{}", first.seed, of_cell(&first.cell))?;
            for reason in first.reasons.iter().chain(&first.evidence).take(SHOWN) {
                write!(f, "\n    {reason}")?;
            }
            if let Some(HandlerFailure { time, process, error }) = first.handler_failures.first() {
                let more = first.handler_failures.len();
                write!(f, "\n    {process} returned an error at {time}: {error} ({more} such ends in this run)")?;
            }
            write!(f, "\n  again: {}", first.replay)?;
        }
        for path in &self.recorded {
            write!(f, "\n\nevery event of it: {}", path.display())?;
        }
        Ok(())
    }
}

fn evidence(outcome: &RunOutcome) -> Vec<String> {
    let violated = outcome.expectations.iter().filter(|result| result.verdict == Verdict::Violated);
    let told = violated.flat_map(|result| &result.evidence).map(|evidence| match &evidence.blame {
        Some(blame) => format!("{}: {}", evidence.message, blame.message),
        None => evidence.message.clone(),
    });
    told.collect()
}

fn of_cell(cell: &str) -> String {
    if cell.is_empty() { String::new() } else { format!(" of {cell}") }
}

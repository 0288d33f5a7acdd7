//! What a report says in sentences: the verdict, the answer, what it rests on, and what no run went through. Everything is read off
//! outcomes; nothing is decided here.

use std::ops::Range;

use super::charts::Figure;
use super::figures::CellReport;
use super::html::stories::Story;
use super::{numbers, results};
use crate::checks::baseline::Comparison;
use crate::checks::{Counters, Verdict};
use crate::theory::statistics::{Z95, wilson_interval};

/// Everything that a report of a scenario is made from.
pub struct Report<'a> {
    pub scenario: &'a str,
    /// The question.
    pub about: &'a str,
    pub rows: &'a [String],
    pub verdict: Verdict,
    pub seeds: &'a Range<u64>,
    pub cells: &'a [CellReport<'a>],
    /// Of the whole family; those beyond `cells` were not run.
    pub cells_planned: usize,
    /// Front page first.
    pub figures: &'a [Figure],
    pub stories: &'a [Story],
    /// Runs with a bad fate whose story is not among them.
    pub stories_left: u64,
    pub faults: &'a [FaultRow],
    /// What each one does, and the command.
    pub commands: &'a [(&'static str, String)],
    /// Of the first run.
    pub digest: u128,
    /// What differs from an earlier result, if one was named.
    pub baseline: Option<&'a Comparison>,
    /// Whatever else must not be overlooked, such as a run that differs when it is repeated.
    pub warnings: &'a [String],
}

/// A fault of the scenario, or one kind of those that `[chaos]` drew, over all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRow {
    pub name: String,
    /// As written; empty for drawn ones.
    pub text: String,
    /// Runs in which it fired, of those that have it.
    pub fired_in: u64,
    pub of: u64,
    /// All firings.
    pub times: u64,
    /// Where it struck in the first run it fired in.
    pub example: String,
}

/// The answer in one sentence: why it does not hold, or the message of the front page.
pub fn answer(report: &Report) -> String {
    let reason = reasons(report).into_iter().next();
    let message = report.figures.first().map(|figure| figure.title.clone());
    let same = report.cells.iter().filter(|cell| cell.verdict.verdict == report.verdict).count() as u64;
    let reason = reason.map(|reason| match (report.verdict, report.cells.len() as u64) {
        (Verdict::Holds, _) | (_, 1) => reason,
        (verdict, all) => {
            let (same, verdict) = (numbers::count(same), crate::checks::word(&verdict));
            format!("{same} of {} {verdict}; for example {reason}", numbers::counted(all, "cell"))
        }
    });
    match report.verdict {
        Verdict::Holds => message.or(reason),
        Verdict::Violated | Verdict::Unknown | Verdict::Vacuous => reason.or(message),
    }
    .unwrap_or_else(|| "Nothing was measured".to_string())
}

/// Why it does not hold, most telling first, with the cell when there are several.
pub fn reasons(report: &Report) -> Vec<String> {
    let worst = report.cells.iter().filter(|cell| cell.verdict.verdict == report.verdict);
    let named = worst.filter(|cell| cell.verdict.verdict != Verdict::Holds).flat_map(|cell| {
        cell.verdict.reasons.iter().map(move |reason| match cell.id {
            "" => reason.clone(),
            id => format!("[{id}] {reason}"),
        })
    });
    named.collect()
}

/// What the verdict rests on.
pub fn evidence(report: &Report) -> String {
    let runs: u64 = report.cells.iter().map(|cell| cell.verdict.runs).sum();
    let seeds = report.seeds.end - report.seeds.start;
    let size = match report.cells.len() {
        1 => numbers::counted(seeds, "seed"),
        cells => format!("{} × {}", numbers::counted(cells as u64, "cell"), numbers::counted(seeds, "seed")),
    };
    let as_expected = report.cells.iter().filter(|cell| cell.verdict.verdict == Verdict::Holds).count();
    let cells = match (as_expected, report.cells.len()) {
        (1, 1) => "everything is as expected".to_string(),
        (0, 1) => format!("the scenario is {}", crate::checks::word(&report.verdict)),
        (fine, all) => format!("{fine} of {} are as expected", numbers::counted(all as u64, "cell")),
    };
    let violated: u64 = report.cells.iter().map(|cell| cell.verdict.violated).sum();
    let share = match violated {
        0 if 0 < runs => {
            let least = report.cells.iter().map(|cell| cell.verdict.runs).min().unwrap_or(0);
            let (_, high) = wilson_interval(0, least, Z95);
            format!(
                "no run fell outside of what the scenario expects, and of seeds that were not run at most {} would (95 %)",
                numbers::percent(high)
            )
        }
        _ => format!(
            "{} of {} fell outside of what the scenario expects",
            numbers::count(violated),
            numbers::counted(runs, "run")
        ),
    };
    format!("{size}, {} in all: {cells}; {share}.", numbers::counted(runs, "run"))
}

/// What a reader must not take for shown, one sentence each.
pub fn not_covered(report: &Report) -> Vec<String> {
    let mut gaps: Vec<String> = report.warnings.to_vec();
    let missing = report.cells_planned - report.cells.len();
    if 0 < missing {
        gaps.push(format!("{} not run at all", numbers::counted(missing as u64, "cell")));
    }
    for fault in report.faults.iter().filter(|fault| fault.fired_in == 0) {
        gaps.push(format!("fault `{}` never fired: {}", fault.name, fault.text));
    }
    for cell in report.cells {
        let floors = cell.verdict.floors.iter().filter(|floor| floor.measured < floor.at_least);
        for floor in floors {
            let what = crate::checks::word(&floor.what);
            let (measured, least) = (numbers::count(floor.measured), numbers::count(floor.at_least));
            gaps.push(format!("{}: too little happened: {what} {measured}, of at least {least}", cell.name()));
        }
        let plan = cell.plan;
        if let Some(guard) = plan.guards_off.first() {
            gaps.push(format!("{}: run without guard {guard}, which the queue has", cell.name()));
        }
    }
    let counted = |count: fn(&CellReport) -> u64| report.cells.iter().map(count).sum::<u64>();
    let unknown = counted(|cell| cell.verdict.unknown);
    if 0 < unknown {
        gaps.push(format!("{} could not be judged", numbers::counted(unknown, "run")));
    }
    let absent: Vec<&str> = HAPPENINGS
        .iter()
        .filter(|(_, count)| report.cells.iter().all(|cell| count(&cell.verdict.counters) == 0))
        .map(|(name, _)| *name)
        .collect();
    if !absent.is_empty() {
        gaps.push(format!("in no run was there {}", absent.join(", ")));
    }
    gaps.push("simulated are Kafka's rules, not Kafka's code, and brokers have no processor time of their own".into());
    gaps
}

/// What can happen to a system, and how often it did.
const HAPPENINGS: [(&str, fn(&Counters) -> u64); 11] = [
    ("a crash", |counters| counters.crashes),
    ("a loss of power", |counters| counters.power_losses),
    ("a change of leader", |counters| counters.leader_changes),
    ("an unclean election", |counters| counters.unclean_elections),
    ("a change of the controller", |counters| counters.controller_changes),
    ("a rebalance", |counters| counters.rebalances),
    ("a retry", |counters| counters.retries),
    ("a redelivery", |counters| counters.redeliveries),
    ("a caller without an answer", |counters| counters.unknown_outcomes),
    ("a dead letter", |counters| counters.dead_letters),
    ("a refused commit", |counters| counters.commits_refused),
];

/// The table of results, as rows of text.
pub fn results(report: &Report) -> super::table::Table {
    results::table(report.cells)
}

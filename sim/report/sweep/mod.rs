//! The reports of a sweep: terminal, Markdown, a page, JUnit, annotations of GitHub, and a table of all runs.
//!
//! All but the terminal's are a function of the verdict (and of an earlier one, if it is given), without a clock in it, so that shards
//! merged on another machine give the same bytes. Nothing is decided here.

pub mod annotations;
pub mod baseline;
pub mod commands;
pub mod junit;
pub mod markdown;
pub mod page;
pub mod runs;
pub mod terminal;

use crate::checks::sweep::{SweepVerdict, SweptCell};
use crate::checks::{Verdict, word};

use super::numbers;

/// `acks_1_loses [acks=1]`.
pub fn place(scenario: &str, cell: &str) -> String {
    if cell.is_empty() { scenario.to_string() } else { format!("{scenario} [{cell}]") }
}

/// `0 of 200`.
pub fn failed_of(cell: &SweptCell) -> String {
    format!("{} of {}", numbers::count(cell.failed), numbers::count(cell.runs))
}

/// What the seeds that were run say about those that were not: `at most 1.9 %`, `0.4 % .. 5 %`.
pub fn share(cell: &SweptCell) -> String {
    match cell.failed {
        _ if cell.runs == 0 => String::new(),
        0 => format!("at most {}", numbers::percent(cell.share.1)),
        _ => format!("{} .. {}", numbers::percent(cell.share.0), numbers::percent(cell.share.1)),
    }
}

/// The verdict of a cell; one of whose runs did not end is violated.
pub fn verdict_of(cell: &SweptCell) -> Option<Verdict> {
    let judged = cell.judged.as_ref().map(|judged| judged.verdict);
    if 0 < cell.broken { Some(Verdict::Violated) } else { judged }
}

/// Why a cell does not hold, one sentence.
pub fn reason_of(cell: &SweptCell) -> String {
    let reason = cell.judged.as_ref().and_then(|judged| judged.reasons.first());
    match (reason, cell.broken) {
        (_, broken) if 0 < broken => format!("{} did not end", numbers::counted(broken, "run")),
        (Some(reason), _) => reason.clone(),
        (None, _) if cell.runs == 0 => "none of its seeds was run".to_string(),
        (None, _) => String::new(),
    }
}

/// `2 scenarios, 5 cells, 1,000 runs`.
pub fn size(sweep: &SweepVerdict) -> String {
    let cells: usize = sweep.scenarios.iter().map(|scenario| scenario.cells.len()).sum();
    let runs = match sweep.runs == sweep.listed {
        true => numbers::counted(sweep.runs, "run"),
        false => format!("{} of {}", numbers::count(sweep.runs), numbers::counted(sweep.listed, "run")),
    };
    let scenarios = numbers::counted(sweep.scenarios.len() as u64, "scenario");
    format!("{scenarios}, {}, {runs}", numbers::counted(cells as u64, "cell"))
}

/// What the self-check found, one sentence.
pub fn self_check(sweep: &SweepVerdict) -> String {
    let check = &sweep.self_check;
    let same = check.done - check.differing.len() as u64;
    let runs = numbers::counted(check.selected, "run");
    match check.differing.is_empty() {
        true if check.done == 0 => "no run was done twice".to_string(),
        true if check.done == check.selected => format!("{runs} done twice in another process, all the same"),
        true => format!("{same} of {runs} done twice in another process, all the same"),
        false => format!("NOT DETERMINISTIC: {same} of {} gave the same twice", numbers::counted(check.done, "run")),
    }
}

/// Which were reached in how many runs, and which in none: (reached, not reached).
pub fn reached<T: serde::Serialize>(counts: &[(T, u64)]) -> (String, String) {
    let yes = counts.iter().filter(|(_, runs)| 0 < *runs);
    let yes: Vec<String> = yes.map(|(what, runs)| format!("{} {}", word(what), numbers::count(*runs))).collect();
    let no: Vec<String> = counts.iter().filter(|(_, runs)| *runs == 0).map(|(what, _)| word(what)).collect();
    (yes.join(" · "), no.join(" · "))
}

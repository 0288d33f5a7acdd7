//! Runs every cell of a family over its seeds on a few threads.
//!
//! A run is (plan, seed) and nothing else, so it does not matter which thread takes which seed when. Results come back
//! in the order of cells and seeds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::checks::{CellVerdict, Coverage, Judge, RunOutcome, WaitOptions, judge_cell, judge_family};
use crate::history::Event;
use crate::scenario::Family;
use crate::scenario::plan::Plan;
use crate::types::Seed;
use crate::world::{self, RunReport};

/// One run of a cell.
#[derive(Clone, Debug)]
pub struct SeedRun {
    /// Index of the cell in its family.
    pub cell: usize,
    pub seed: Seed,
    pub outcome: RunOutcome,
    pub report: RunReport,
}

/// Runs a plan and judges it. `observer` sees the history as it grows, before the judge does.
pub fn run_seed(plan: &Plan, options: WaitOptions, mut observer: impl FnMut(&Event) + Send) -> (RunOutcome, RunReport) {
    let mut judge = Judge::with_options(plan, options);
    let report = world::run(plan, |event| {
        observer(event);
        judge.observe(event);
    });
    (judge.finish(), report)
}

/// Runs all cells over the seeds. `done` hears of each run as it ends; a raised `stop` ends the whole after the runs
/// under way.
pub fn run_family(
    family: &Family,
    seeds: std::ops::Range<u64>,
    jobs: usize,
    options: WaitOptions,
    stop: &AtomicBool,
    mut done: impl FnMut(&SeedRun),
) -> Vec<SeedRun> {
    let per_cell = (seeds.end - seeds.start) as usize;
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            in_parallel(family.cells.len() * per_cell, jobs, |number| {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (cell, seed) = (number / per_cell, Seed(seeds.start + (number % per_cell) as u64));
                let (outcome, report) = run_seed(&family.cells[cell].plan(seed), options, |_| {});
                // Nobody listens any more only when the whole process ends.
                let _ = sender.send(SeedRun { cell, seed, outcome, report });
            });
        });
        let mut runs: Vec<SeedRun> = receiver.iter().inspect(|run| done(run)).collect();
        runs.sort_by_key(|run| (run.cell, run.seed));
        runs
    })
}

/// Judges the cells that were run, each by its runs and then beside its siblings; in the order of the family.
pub fn judge_runs<'a>(
    family: &Family,
    runs: impl Iterator<Item = &'a SeedRun> + Clone,
    coverage: Coverage,
) -> Vec<CellVerdict> {
    let of_cell = |cell: usize| runs.clone().filter(move |run| run.cell == cell).map(|run| run.outcome.clone());
    let cells = (0..family.cells.len()).map(|cell| of_cell(cell).collect::<Vec<_>>());
    let judged = cells.filter(|outcomes| !outcomes.is_empty()).map(|outcomes| judge_cell(&outcomes, coverage));
    judge_family(judged.collect())
}

/// Does `count` numbered pieces of work on `jobs` threads; the results stand in the order of the numbers.
pub fn in_parallel<T: Send>(count: usize, jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, T)> = std::thread::scope(|scope| {
        let worker = || {
            let numbers =
                std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count));
            numbers.map(|number| (number, work(number))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..jobs.clamp(1, count.max(1))).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().flat_map(|worker| match worker.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

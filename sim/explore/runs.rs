//! Runs every cell of a family over its seeds on a few threads.
//!
//! A run is (plan, seed) and nothing else, so it does not matter which thread takes which seed when. Results come back
//! in the order of cells and seeds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::checks::{Judge, RunOutcome, WaitOptions};
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
    let total = family.cells.len() * per_cell;
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut runs: Vec<SeedRun> = std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, total.max(1)) {
            let (sender, next) = (sender.clone(), &next);
            let seeds = seeds.clone();
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if total <= number {
                        break;
                    }
                    let (cell, seed) = (number / per_cell, Seed(seeds.start + (number % per_cell) as u64));
                    let (outcome, report) = run_seed(&family.cells[cell].plan(seed), options, |_| {});
                    if sender.send(SeedRun { cell, seed, outcome, report }).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        receiver.iter().inspect(|run| done(run)).collect()
    });
    runs.sort_by_key(|run| (run.cell, run.seed));
    runs
}

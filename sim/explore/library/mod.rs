//! hikyaku as a library: an engineer's own `cargo test` sweeps a scenario and asserts its verdict.
//!
//! The one idea: it is the scenario file again, plus a program. The file says what the system is, what goes wrong and what
//! must hold; a handler in Rust takes the place of a service's steps, which stay as the declaration of its effects. So the
//! checks, the faults and the seeds are the same with and without a handler, and the two can be compared.
//!
//! Each first seed of a cell is run twice: a handler that reads a real clock, a static that outlives a run or a hash map's
//! order is named at its first differing event, before anybody believes its verdict.
//!
//! What it does not do: contain what a handler does in memory to others, or stop one that never yields. Runs are threads of
//! the test's process; `hikyaku sweep` has worker processes.

mod report;

use std::future::Future;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::difference::first_difference;
use super::runs::{SeedRun, in_parallel, judge_runs};
use crate::checks::{CellVerdict, Coverage, Judge, RunOutcome, WaitOptions};
use crate::history::{Event, export};
use crate::scenario::plan::{Action, Plan, ServicePlan};
use crate::scenario::{self, Family};
use crate::types::Seed;
use crate::world::handlers::{Context, HandlerFailure, Handlers, Result as Handled};
use crate::world::{self, RunReport};

pub use report::{Failure, Report};

/// A scenario to be run from Rust.
///
/// ```
/// use std::time::Duration;
///
/// let report = hikyaku::Scenario::parse(r#"
///     format   = 1
///     about    = "An invoice is a row by its id, and the offset is committed behind it: what does a crash do?"
///     duration = "4s"
///     cluster.brokers = 1
///     topic.orders    = { partitions = 2 }
///     store.db        = { tables = ["invoices"] }
///
///     [service.shop]
///     on    = "requests"
///     rate  = "20/s"
///     steps = ["publish orders", "respond ok"]
///
///     ## The handler below is its program. The steps say what it owes.
///     [service.billing]
///     on                = "consume orders"
///     auto-offset-reset = "earliest"
///     session-timeout   = "6s"
///     steps             = ["insert-if-absent db.invoices", "commit"]
///
///     [fault]
///     crash = "when any after(billing.insert-if-absent) for 1s crash self"
///
///     [expect]
///     db.invoices = "exactly-once"
/// "#)
/// .handler("billing", |context| async move {
///     let (consumer, db) = (context.consumer(), context.store("db"));
///     loop {
///         for record in consumer.poll(Duration::from_millis(500)).await? {
///             context.sleep(Duration::from_millis(2)).await;
///             db.insert_if_absent("invoices", &record).await?;
///         }
///         consumer.commit_sync().await?;
///     }
/// })
/// .seeds(0..4)
/// .run();
/// report.assert_holds();
/// ```
#[derive(Clone)]
pub struct Scenario {
    source: Source,
    sets: Vec<String>,
    handlers: Handlers,
    seeds: Option<Range<u64>>,
    jobs: usize,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Text(String),
}

/// A seed, and perhaps a cell, to be run alone: `HIKYAKU_SEED=17 HIKYAKU_CELL=acks=1 cargo test the_test`.
const SEED_VARIABLE: &str = "HIKYAKU_SEED";
const CELL_VARIABLE: &str = "HIKYAKU_CELL";
/// Where the history of a replay is written, under the folder in which the test runs.
const REPLAYS: &str = "target/hikyaku";

impl Scenario {
    /// A scenario file. The path is relative to the folder of the package, in which `cargo test` runs.
    pub fn load(path: impl AsRef<Path>) -> Scenario {
        Scenario::of(Source::File(path.as_ref().to_path_buf()))
    }

    /// A scenario from its text. `extends` is relative to the folder of the package.
    pub fn parse(text: impl Into<String>) -> Scenario {
        Scenario::of(Source::Text(text.into()))
    }

    fn of(source: Source) -> Scenario {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        Scenario { source, sets: Vec::new(), handlers: Handlers::default(), seeds: None, jobs }
    }

    /// Lays a value over the scenario, as `--set PATH=VALUE` does: `.set("service.shop.rate", "200/s")`.
    pub fn set(mut self, path: &str, value: impl std::fmt::Display) -> Scenario {
        self.sets.push(format!("{path}={value}"));
        self
    }

    /// The program of a service: called for each of its processes, at each of their starts. It replaces the
    /// interpretation of the service's `steps`; these stay, and declare which effects the service owes. A handler may work
    /// in any order, but points of faults (`any 2 step(billing)`) are drawn from the declared steps: declare what it does,
    /// and no `work`, which is its own.
    ///
    /// A handler that returns `Ok` ends its process in order, one that returns an error ends it as a crash; both start
    /// again after the service's `restart`. A panic ends the run, and is a finding.
    pub fn handler<F>(mut self, service: &str, handler: impl Fn(Context) -> F + Send + Sync + 'static) -> Scenario
    where
        F: Future<Output = Handled> + Send + 'static,
    {
        self.handlers.add(service, handler);
        self
    }

    /// Instead of the seeds that the scenario names.
    pub fn seeds(mut self, seeds: Range<u64>) -> Scenario {
        self.seeds = Some(seeds);
        self
    }

    /// Runs at once; by default one for each core.
    pub fn jobs(mut self, jobs: usize) -> Scenario {
        self.jobs = jobs.max(1);
        self
    }

    /// Runs every cell over the seeds.
    ///
    /// # Panics
    /// The scenario has a mistake, or a handler is for a service that is not in it. [`Scenario::try_run`] gives the text.
    #[track_caller]
    pub fn run(self) -> Report {
        match self.try_run() {
            Ok(report) => report,
            Err(problem) => panic!("{problem}"),
        }
    }

    /// As [`Scenario::run`]; an error is what is wrong with the scenario, for people.
    pub fn try_run(self) -> Result<Report, String> {
        let family = self.family()?;
        let asked = self.seeds.clone().unwrap_or(family.seeds.clone());
        if asked.is_empty() {
            return Err(format!("no seeds to run: {}..{} is empty", asked.start, asked.end));
        }
        let replayed = replay_asked_for()?;
        let seeds = replayed.as_ref().map_or(asked, |(seed, _)| *seed..*seed + 1);
        let only = replayed.as_ref().and_then(|(_, cell)| cell.as_deref());
        let cells: Vec<usize> =
            (0..family.cells.len()).filter(|cell| only.is_none_or(|only| family.cells[*cell].id == only)).collect();
        if cells.is_empty() {
            let known = family.cells.iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>().join("  ");
            return Err(format!("{CELL_VARIABLE} names no cell of {}; its cells are {known}", family.name));
        }
        let per_cell = (seeds.end - seeds.start) as usize;
        let runs = in_parallel(cells.len() * per_cell, self.jobs, |number| {
            let (cell, seed) = (cells[number / per_cell], Seed(seeds.start + (number % per_cell) as u64));
            self.run_one(&family, cell, seed, number % per_cell == 0)
        });
        let mut report = Report::new(&family, judge(&family, &runs, replayed.is_none()), runs);
        if replayed.is_some() {
            report.recorded = self.record(&family, &cells, Seed(seeds.start))?;
        }
        Ok(report)
    }

    fn family(&self) -> Result<Family, String> {
        let family = match &self.source {
            Source::File(path) => scenario::load(path, &self.sets),
            Source::Text(text) => scenario::parse_text("scenario", text, &self.sets),
        };
        let family = family.map_err(|problems| problems.render(false))?;
        for service in self.handlers.services() {
            let plans = family.cells.iter().map(|cell| cell.plan(Seed(0)));
            let known: Vec<String> = plans.flat_map(|plan| plan.services).map(|service| service.name).collect();
            if !known.iter().any(|name| name == service) {
                let nearest = scenario::diagnostics::nearest(service, known.iter().map(String::as_str));
                let cure = nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
                return Err(format!("a handler is for service `{service}`, which {} does not have{cure}", family.name));
            }
            let plans = family.cells.iter().map(|cell| cell.plan(Seed(0)));
            let mut own = plans.flat_map(|plan| plan.services).filter(|other| other.name == *service);
            if let Some(lacking) = own.find_map(|own| lacking(&own)) {
                return Err(format!("a handler is for service `{service}`, whose steps {lacking}"));
            }
        }
        Ok(family)
    }

    fn run_one(&self, family: &Family, cell: usize, seed: Seed, twice: bool) -> HandledRun {
        let plan = family.cells[cell].plan(seed);
        let (outcome, report, failures) = self.run_plan(&plan, |_| {});
        let differs = twice && self.run_plan(&plan, |_| {}).1 != report;
        let first_difference = differs.then(|| {
            let found = first_difference(&plan, |observer| drop(self.run_plan(&plan, observer)));
            found.map_or("two more runs were the same".into(), |found| found.to_string())
        });
        HandledRun { run: SeedRun { cell, seed, outcome, report }, failures, first_difference }
    }

    fn run_plan(
        &self,
        plan: &Plan,
        mut observer: impl FnMut(&Event) + Send,
    ) -> (RunOutcome, RunReport, Vec<HandlerFailure>) {
        let mut judge = Judge::with_options(plan, WaitOptions::default());
        let (report, failures) = world::run_with(plan, &self.handlers, |event| {
            observer(event);
            judge.observe(event);
        });
        (judge.finish(), report, failures)
    }

    fn write_history<W: Write + Send>(&self, plan: &Plan, out: W) -> std::io::Result<W> {
        let mut recorder = export::Recorder::new(export::Names::of(plan), out, std::io::sink())?;
        let mut written = Ok(());
        self.run_plan(plan, |event| {
            if written.is_ok() {
                written = recorder.write(event);
            }
        });
        written?;
        Ok(recorder.finish()?.0)
    }

    /// Writes the histories of a replay, and says where.
    fn record(&self, family: &Family, cells: &[usize], seed: Seed) -> Result<Vec<PathBuf>, String> {
        cells.iter().map(|cell| self.record_cell(family, *cell, seed).map_err(|error| error.to_string())).collect()
    }

    fn record_cell(&self, family: &Family, cell: usize, seed: Seed) -> std::io::Result<PathBuf> {
        let cell = &family.cells[cell];
        let plan = cell.plan(seed);
        let name: String = format!("{}-{}-seed-{}", family.name, cell.id, seed.0);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '=' | '-' | '.' | ',' | '_');
        let name = name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect::<String>();
        let path = Path::new(REPLAYS).join(name + ".jsonl");
        std::fs::create_dir_all(REPLAYS)?;
        std::fs::write(&path, self.write_history(&plan, Vec::new())?)?;
        Ok(path)
    }
}

/// One run with what its handlers came to.
#[derive(Clone, Debug)]
pub struct HandledRun {
    pub run: SeedRun,
    /// Handlers that returned an error, in order.
    pub failures: Vec<HandlerFailure>,
    /// The run was made twice and came out differently: where.
    pub first_difference: Option<String>,
}

fn judge(family: &Family, runs: &[HandledRun], all_seeds: bool) -> Vec<CellVerdict> {
    let coverage = if all_seeds { Coverage::AllSeeds } else { Coverage::SomeSeeds };
    judge_runs(family, runs.iter().map(|handled| &handled.run), coverage)
}

/// Seed and cell of the environment.
fn replay_asked_for() -> Result<Option<(u64, Option<String>)>, String> {
    let Ok(seed) = std::env::var(SEED_VARIABLE) else { return Ok(None) };
    let parsed = seed.trim().parse().ok().filter(|seed| *seed < u64::MAX);
    let seed = parsed.ok_or_else(|| format!("{SEED_VARIABLE} is `{seed}`; give one seed, such as 17"))?;
    Ok(Some((seed, std::env::var(CELL_VARIABLE).ok())))
}

/// What the steps of a service do and its handler could not.
fn lacking(service: &ServicePlan) -> Option<&'static str> {
    if service.transactional.is_some() {
        return Some(
            "are a `kafka-transaction`: handlers have no transactions yet; remove the handler, or write \"publish\" and \
             \"commit\" without a transaction",
        );
    }
    let calls = service.steps.iter().any(|step| matches!(step.action, Action::Call(_)));
    calls.then_some("`call` somebody: handlers cannot call endpoints and services yet; remove the handler, or the step")
}

//! `hikyaku run`: all cells of a scenario over its seeds, judged, with everything written that a person needs to believe it.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::Args;

use crate::checks::{CellVerdict, Coverage, RunOutcome, Verdict, WaitOptions, judge_cell, judge_family};
use crate::explore::difference::{Difference, first_difference};
use crate::explore::sweep::write_whole;
use crate::explore::{SeedRun, in_parallel, run_family, run_seed};
use crate::history::export;
use crate::report::charts::Figure;
use crate::report::figures::{CellReport, figures};
use crate::report::progress::Progress;
use crate::scenario::plan::Plan;
use crate::scenario::{self, Family};
use crate::types::{Guard, Seed};
use crate::world;

use super::{Exit, Format, summary};

#[derive(Debug, Args)]
pub struct RunArguments {
    /// The scenario file.
    scenario: PathBuf,
    /// Run this seed alone.
    #[arg(long, conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(..u64::MAX), env = "HIKYAKU_SEED")]
    seed: Option<u64>,
    /// Run the seeds A up to but not including B.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, env = "HIKYAKU_SEEDS")]
    seeds: Option<std::ops::Range<u64>>,
    /// Lay this key over the file, as `service.shop.acks=1`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Where to write [default: reports/<scenario>].
    #[arg(long, value_name = "DIR", env = "HIKYAKU_OUT")]
    out: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Runs at once [default: one for each core].
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    /// Switch a guard of the queue off, to see that a check bites (P11: acknowledge before replication).
    #[arg(long, value_name = "ID", value_parser = parse_guard)]
    without_guard: Vec<Guard>,
    /// Write the history of the first seed of each cell and of each failing seed, however large they are.
    #[arg(long)]
    all_histories: bool,
}

/// Events that are written down without `--all-histories`: about 300 MB. Most scenarios have some ten thousand events a
/// run and write every history one would ask for; a long one under load has more than a million in each.
const EVENTS_RECORDED: u64 = 2_000_000;

/// Everything a run came to; `verdict.json` is this.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdicts<'a> {
    pub scenario: &'a str,
    pub about: &'a str,
    pub rows: &'a [String],
    pub verdict: Verdict,
    pub seeds: std::ops::Range<u64>,
    pub cells: &'a [CellVerdict],
    pub runs: Vec<RunLine<'a>>,
}

/// One run in `verdict.json`.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunLine<'a> {
    pub cell: &'a str,
    pub seed: Seed,
    pub digest: String,
    pub verdict: Verdict,
    pub reasons: &'a [String],
    /// The whole outcome, for runs that are worth a history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a RunOutcome>,
}

pub fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    if arguments.scenario.is_dir() {
        bail!(
            "`{}` is a folder; `run` takes one scenario file (`hikyaku list {0}` names them)",
            scenario::printable(&arguments.scenario.display().to_string())
        );
    }
    let mut family = match scenario::load(&arguments.scenario, &arguments.sets) {
        Ok(family) => family,
        Err(problems) => {
            anstream::eprintln!("{}", problems.render(true));
            return Ok(Exit::Usage);
        }
    };
    if !family.warnings.is_empty() {
        anstream::eprintln!("{}", family.warnings.render(true));
    }
    family.switch_off(&arguments.without_guard);
    let own_seeds = family.seeds.clone();
    let seeds = match (&arguments.seeds, arguments.seed) {
        (Some(seeds), _) => seeds.clone(),
        (None, Some(seed)) => seed..seed + 1,
        (None, None) => own_seeds.clone(),
    };
    let stop = stop_on_interrupt()?;
    let total = family.cells.len() as u64 * (seeds.end - seeds.start);
    let mut progress = Progress::new(total, "run");
    let mut violated = 0;
    let jobs = arguments.jobs.unwrap_or_else(jobs_default);
    let runs = run_family(&family, seeds.clone(), jobs, WaitOptions::default(), &stop, |run| {
        violated += u64::from(run.outcome.verdict == Verdict::Violated);
        progress.advance(1, &if violated == 0 { String::new() } else { format!("{violated} violated") });
    });
    progress.finish();
    let interrupted = (runs.len() as u64) < total;
    if interrupted {
        anstream::eprintln!(
            "interrupted: {} of {total} runs are done; `{}` runs all of them",
            runs.len(),
            command_line(arguments)
        );
    }
    if runs.is_empty() {
        return Ok(Exit::Interrupted);
    }
    let coverage = if seeds == own_seeds && !interrupted { Coverage::AllSeeds } else { Coverage::SomeSeeds };
    let verdicts = judge(&family, &runs, coverage);
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("reports").join(&family.name));
    let most = if arguments.all_histories { u64::MAX } else { EVENTS_RECORDED };
    let worth = |run: &SeedRun| Worth {
        cell: run.cell,
        failed: run.outcome.verdict == Verdict::Violated,
        events: run.report.events,
    };
    let histories = choose(&runs.iter().map(worth).collect::<Vec<_>>(), most);
    let written = write_all(&family, &runs, &verdicts, &seeds, &out, &histories, jobs)?;
    let verdict = verdicts.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Vacuous);
    match arguments.format {
        Format::Json => {
            let path = out.join("verdict.json");
            out!("{}", fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?);
        }
        Format::Human => summary::print(&summary::Summary {
            family: &family,
            arguments: &command_line(arguments),
            seeds: &seeds,
            runs: &runs,
            verdicts: &verdicts,
            verdict,
            written: &written,
            out: &out,
        }),
    }
    let panicked = runs.iter().any(|run| run.report.panic.is_some());
    let mut exit = Exit::from(verdict);
    if panicked {
        exit = exit.max(Exit::Internal);
    }
    if written.nondeterministic.is_some() {
        exit = exit.max(Exit::Nondeterministic);
    }
    Ok(if interrupted { Exit::Interrupted } else { exit })
}

/// What was written, for the summary.
#[derive(Debug, Default)]
pub struct Written {
    pub figures: Vec<Figure>,
    pub paths: Vec<PathBuf>,
    /// Histories that were too much to write: how many, of how many events.
    pub left: (u64, u64),
    /// A recorded rerun gave another digest: cell, seed, and where two more runs part, if they do.
    pub nondeterministic: Option<(String, Seed, Option<Difference>)>,
}

fn judge(family: &Family, runs: &[SeedRun], coverage: Coverage) -> Vec<CellVerdict> {
    let of_cell = |cell: usize| runs.iter().filter(move |run| run.cell == cell).map(|run| run.outcome.clone());
    let cells =
        (0..family.cells.len()).map(|cell| of_cell(cell).collect::<Vec<_>>()).filter(|outcomes| !outcomes.is_empty());
    judge_family(cells.map(|outcomes| judge_cell(&outcomes, coverage)).collect())
}

/// The runs that are worth a history, by their index.
#[derive(Debug, Default, PartialEq, Eq)]
struct Histories {
    written: Vec<usize>,
    left: Vec<usize>,
}

/// What the choice of histories turns on, for one run.
struct Worth {
    cell: usize,
    failed: bool,
    events: u64,
}

/// A failing seed of each cell, then the first seed of each cell, then the other failing seeds: each is written while all
/// of them together stay within `most` events, and the first one in any case. Runs of one cell stand side by side.
fn choose(runs: &[Worth], most: u64) -> Histories {
    let mut ranked: Vec<(u8, usize)> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let before = || runs[..index].iter().rev().take_while(|before| before.cell == run.cell);
        let first_of_cell = before().next().is_none();
        match (run.failed, first_of_cell) {
            (true, _) if !before().any(|before| before.failed) => ranked.push((0, index)),
            (_, true) => ranked.push((1, index)),
            (true, false) => ranked.push((2, index)),
            (false, false) => {}
        }
    }
    ranked.sort_unstable();
    let mut histories = Histories::default();
    let mut events = 0;
    for (_, index) in ranked {
        let with_this = events + runs[index].events;
        if with_this <= most || histories.written.is_empty() {
            events = with_this;
            histories.written.push(index);
        } else {
            histories.left.push(index);
        }
    }
    histories
}

/// Charts, verdict, and the chosen histories.
fn write_all(
    family: &Family,
    runs: &[SeedRun],
    verdicts: &[CellVerdict],
    seeds: &std::ops::Range<u64>,
    out: &Path,
    histories: &Histories,
    jobs: usize,
) -> anyhow::Result<Written> {
    let left = histories.left.iter().map(|index| runs[*index].report.events);
    let mut written = Written { left: (left.len() as u64, left.sum()), ..Written::default() };
    fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
    let folder_of = |run: &SeedRun| match runs.len() {
        1 => out.to_path_buf(),
        _ => out.join(folder_name(&family.cells[run.cell].id)).join(format!("seed-{}", run.seed.0)),
    };
    let digests = in_parallel(histories.written.len(), jobs, |number| {
        let run = &runs[histories.written[number]];
        record(&family.cells[run.cell].plan(run.seed), &folder_of(run))
    });
    for (index, digest) in histories.written.iter().zip(digests) {
        let run = &runs[*index];
        if digest? != run.report.digest {
            written.nondeterministic.get_or_insert_with(|| {
                let cell = &family.cells[run.cell];
                let plan = cell.plan(run.seed);
                let found = first_difference(&plan, |observer| drop(world::run(&plan, observer)));
                (cell.id.clone(), run.seed, found)
            });
        }
        written.paths.push(folder_of(run));
    }
    let plans: Vec<Plan> = family.cells.iter().map(|cell| cell.plan(Seed(seeds.start))).collect();
    // After an interrupt there may be cells without a run, and those have no verdict.
    let reports = family.cells.iter().enumerate().filter_map(|(index, cell)| {
        Some(CellReport {
            id: &cell.id,
            axes: &cell.axes,
            plan: &plans[index],
            runs: runs.iter().filter(|run| run.cell == index).map(|run| &run.outcome).collect(),
            verdict: verdicts.iter().find(|verdict| verdict.cell == cell.id)?,
        })
    });
    let footer =
        format!("{} · seeds {}..{} · hikyaku {}", family.name, seeds.start, seeds.end, env!("CARGO_PKG_VERSION"));
    written.figures = figures(&reports.collect::<Vec<_>>(), &footer);
    for figure in &written.figures {
        write(&out.join(format!("{}.svg", figure.stem)), figure.svg.as_bytes())?;
        write(&out.join(format!("{}.png", figure.stem)), &figure.png)?;
        write(&out.join(format!("{}.csv", figure.stem)), figure.csv.as_bytes())?;
    }
    let lines = runs.iter().enumerate().map(|(index, run)| RunLine {
        cell: &family.cells[run.cell].id,
        seed: run.seed,
        digest: format!("{:032x}", run.report.digest),
        verdict: run.outcome.verdict,
        reasons: &run.outcome.reasons,
        outcome: (histories.written.contains(&index) || histories.left.contains(&index)).then_some(&run.outcome),
    });
    let verdict = verdicts.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Vacuous);
    let all = Verdicts {
        scenario: &family.name,
        about: &family.about,
        rows: &family.rows,
        verdict,
        seeds: seeds.clone(),
        cells: verdicts,
        runs: lines.collect(),
    };
    let text = serde_json::to_string_pretty(&all).context("failed to write the verdict")?;
    write(&out.join("verdict.json"), format!("{text}\n").as_bytes())?;
    Ok(written)
}

/// Runs once more and writes everything that happens. Returns the digest.
fn record(plan: &Plan, folder: &Path) -> anyhow::Result<u128> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let text = toml::to_string(plan).context("failed to write the plan")?;
    write(&folder.join("plan.toml"), text.as_bytes())?;
    let file = |name: &str| -> anyhow::Result<BufWriter<fs::File>> {
        let path = folder.join(name);
        Ok(BufWriter::new(fs::File::create(&path).with_context(|| format!("failed to write {}", path.display()))?))
    };
    let mut recorder = export::Recorder::new(export::Names::of(plan), file("history.jsonl")?, file("history.csv")?)
        .context("failed to write history.csv")?;
    let mut problem: Option<std::io::Error> = None;
    let (_, report) = run_seed(plan, WaitOptions::default(), |event| {
        if problem.is_none() {
            problem = recorder.write(event).err();
        }
    });
    let finished = problem.map_or(Ok(()), Err).and_then(|()| recorder.finish());
    finished.with_context(|| format!("failed to write the history in {}", folder.display()))?;
    Ok(report.digest)
}

/// Writes a file whole or not at all.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    write_whole(path, |file| file.write_all(content)).with_context(|| format!("failed to write {}", path.display()))
}

/// A cell's id as the name of a folder.
fn folder_name(id: &str) -> String {
    if id.is_empty() {
        return "run".into();
    }
    id.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '=' | '-' | '.' | ',' | '_') { c } else { '-' })
        .collect()
}

/// Raised by Ctrl-C and SIGTERM; the second one ends the process at once.
pub fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping, and writing what is done; once more to stop at once");
    })
    .context("failed to listen for interrupts")?;
    Ok(stop)
}

pub fn jobs_default() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The flags that change what is run, to be repeated in a replay command.
fn command_line(arguments: &RunArguments) -> String {
    let mut text = format!("hikyaku run {}", scenario::printable(&arguments.scenario.display().to_string()));
    for set in &arguments.sets {
        text += &format!(" --set '{}'", scenario::printable(set));
    }
    for guard in &arguments.without_guard {
        text += &format!(" --without-guard {guard}");
    }
    text
}

/// More than a machine runs in a year.
pub const MOST_SEEDS: u64 = 1_000_000_000;

pub fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parsed =
        text.split_once("..").and_then(|(start, end)| Some(start.parse::<u64>().ok()?..end.parse::<u64>().ok()?));
    match parsed {
        Some(range) if range.start < range.end && MOST_SEEDS < range.end - range.start => {
            Err(format!("these are {} seeds, and at most {MOST_SEEDS} are run at once", range.end - range.start))
        }
        Some(range) if range.start < range.end => Ok(range),
        Some(_) => Err("the range is empty; it is half-open: 0..20 are twenty seeds".into()),
        None => Err("write a half-open range such as 0..20".into()),
    }
}

pub fn parse_guard(text: &str) -> Result<Guard, String> {
    let known = || Guard::ALL.iter().map(|guard| guard.id());
    Guard::ALL.iter().copied().find(|guard| guard.id() == text).ok_or_else(|| {
        let distance = |id: &&str| strsim::damerau_levenshtein(&text.to_uppercase(), id);
        let near = known().min_by_key(distance).filter(|id| distance(id) <= 1);
        let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        format!("no guard has this id; {near}there are {}", known().collect::<Vec<_>>().join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of ten events each, by cell; `!` failed.
    fn runs(cells: &[&str]) -> Vec<Worth> {
        let of_cell = |(cell, seeds): (usize, &&str)| {
            seeds.chars().map(move |seed| Worth { cell, failed: seed == '!', events: 10 }).collect::<Vec<_>>()
        };
        cells.iter().enumerate().flat_map(of_cell).collect()
    }

    #[test]
    fn every_cell_has_a_history_and_every_failing_seed() {
        let chosen = choose(&runs(&["..!.!", "..", "!!"]), 60);
        assert_eq!(chosen.written, [2, 7, 0, 5, 4, 8], "failing seed of each cell, first of each cell, other failing");
        assert!(chosen.left.is_empty());
    }

    #[test]
    fn what_is_too_much_is_left_and_counted() {
        let chosen = choose(&runs(&["..!.!", "..", "!!"]), 39);
        assert_eq!((chosen.written, chosen.left), (vec![2, 7, 0], vec![5, 4, 8]));
    }

    #[test]
    fn one_history_is_written_whatever_its_size() {
        let chosen = choose(&runs(&[".", "."]), 0);
        assert_eq!((chosen.written, chosen.left), (vec![0], vec![1]));
    }
}

//! `hikyaku run`: all cells of a scenario over its seeds, judged, with everything written that a person needs to believe it.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::Args;

use crate::checks::{CellVerdict, Coverage, RunOutcome, Verdict, WaitOptions, judge_cell, judge_family};
use crate::explore::{SeedRun, in_parallel, run_family, run_seed};
use crate::history::export;
use crate::report::charts::Figure;
use crate::report::figures::{CellReport, figures};
use crate::report::progress::Progress;
use crate::scenario::plan::Plan;
use crate::scenario::{self, Family};
use crate::types::{Guard, Seed};

use super::{Exit, Format, summary};

#[derive(Debug, Args)]
pub struct RunArguments {
    /// The scenario file.
    scenario: PathBuf,
    /// Run this seed alone.
    #[arg(long, conflicts_with = "seeds", env = "HIKYAKU_SEED")]
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
}

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
    /// The whole outcome, for recorded runs only.
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
    if runs.is_empty() {
        bail!("interrupted before the first run ended");
    }
    let coverage = if seeds == own_seeds && !interrupted { Coverage::AllSeeds } else { Coverage::SomeSeeds };
    let verdicts = judge(&family, &runs, coverage);
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("reports").join(&family.name));
    let written = write_all(&family, &runs, &verdicts, &seeds, &out, jobs)?;
    let verdict = verdicts.iter().map(|cell| cell.verdict).max().unwrap_or(Verdict::Vacuous);
    match arguments.format {
        Format::Json => {
            let path = out.join("verdict.json");
            anstream::print!(
                "{}",
                fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?
            );
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
    /// A recorded rerun gave another digest: (cell, seed).
    pub nondeterministic: Option<(String, Seed)>,
}

fn judge(family: &Family, runs: &[SeedRun], coverage: Coverage) -> Vec<CellVerdict> {
    let of_cell = |cell: usize| runs.iter().filter(move |run| run.cell == cell).map(|run| run.outcome.clone());
    let cells =
        (0..family.cells.len()).map(|cell| of_cell(cell).collect::<Vec<_>>()).filter(|outcomes| !outcomes.is_empty());
    judge_family(cells.map(|outcomes| judge_cell(&outcomes, coverage)).collect())
}

/// Charts, verdict, and the whole history of the first seed of each cell and of each seed that violates something.
fn write_all(
    family: &Family,
    runs: &[SeedRun],
    verdicts: &[CellVerdict],
    seeds: &std::ops::Range<u64>,
    out: &Path,
    jobs: usize,
) -> anyhow::Result<Written> {
    let mut written = Written::default();
    fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
    let recorded: Vec<usize> = (0..runs.len())
        .filter(|index| {
            let first_of_cell = *index == 0 || runs[index - 1].cell != runs[*index].cell;
            first_of_cell || runs[*index].outcome.verdict == Verdict::Violated
        })
        .collect();
    let folder_of = |run: &SeedRun| match runs.len() {
        1 => out.to_path_buf(),
        _ => out.join(folder_name(&family.cells[run.cell].id)).join(format!("seed-{}", run.seed.0)),
    };
    let digests = in_parallel(recorded.len(), jobs, |number| {
        let run = &runs[recorded[number]];
        record(&family.cells[run.cell].plan(run.seed), &folder_of(run))
    });
    for (index, digest) in recorded.iter().zip(digests) {
        let run = &runs[*index];
        if digest? != run.report.digest {
            written.nondeterministic.get_or_insert((family.cells[run.cell].id.clone(), run.seed));
        }
        written.paths.push(folder_of(run));
    }
    let plans: Vec<Plan> = family.cells.iter().map(|cell| cell.plan(Seed(seeds.start))).collect();
    let reports = family.cells.iter().enumerate().map(|(index, cell)| CellReport {
        id: &cell.id,
        axes: &cell.axes,
        plan: &plans[index],
        runs: runs.iter().filter(|run| run.cell == index).map(|run| &run.outcome).collect(),
        verdict: &verdicts[index],
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
        outcome: recorded.contains(&index).then_some(&run.outcome),
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
    let mut lines = export::JsonLines::new(export::Names::of(plan), file("history.jsonl")?);
    let mut rows =
        export::Table::new(export::Names::of(plan), file("history.csv")?).context("failed to write history.csv")?;
    let mut problem: Option<std::io::Error> = None;
    let (_, report) = run_seed(plan, WaitOptions::default(), |event| {
        if problem.is_none() {
            problem = lines.write(event).and_then(|()| rows.write(event)).err();
        }
    });
    let finished =
        problem.map_or(Ok(()), Err).and_then(|()| lines.finish()?.flush()).and_then(|()| rows.finish()?.flush());
    finished.with_context(|| format!("failed to write the history in {}", folder.display()))?;
    Ok(report.digest)
}

/// Writes a file whole or not at all.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("part");
    fs::write(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("failed to write {}", path.display()))
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
fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping after the runs under way; once more to stop at once");
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

fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parsed =
        text.split_once("..").and_then(|(start, end)| Some(start.parse::<u64>().ok()?..end.parse::<u64>().ok()?));
    match parsed {
        Some(range) if range.start < range.end => Ok(range),
        Some(_) => Err("the range is empty; it is half-open: 0..20 are twenty seeds".into()),
        None => Err("write a half-open range such as 0..20".into()),
    }
}

pub fn parse_guard(text: &str) -> Result<Guard, String> {
    let known = || Guard::ALL.iter().map(|guard| guard.id()).collect::<Vec<_>>().join(" ");
    Guard::ALL
        .iter()
        .copied()
        .find(|guard| guard.id() == text)
        .ok_or_else(|| format!("no guard has this id; there are {}", known()))
}

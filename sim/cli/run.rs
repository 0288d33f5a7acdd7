//! `hikyaku run`: all cells of a scenario over its seeds, judged, with everything written that a person needs to believe it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::Args;

use crate::checks::baseline::Earlier;
use crate::checks::{Coverage, Verdict, WaitOptions};
use crate::explore::run_family;
use crate::report::progress::Progress;
use crate::scenario;
use crate::types::Guard;

use super::artefacts::{EVENTS_RECORDED, write_all};
use super::study::Study;
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
    /// Say what differs from an earlier result: the folder of another `run`, or its `verdict.json`.
    #[arg(long, value_name = "DIR")]
    baseline: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Runs at once [default: one for each core].
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    /// Switch a guard of the queue off, to see that a check bites (P11: acknowledge before replication).
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = parse_guard)]
    without_guard: Vec<Guard>,
    /// Write the history of the first seed of each cell and of each failing seed, however large they are.
    #[arg(long)]
    all_histories: bool,
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
    // Before anything is run: the folder may be the one that is written to.
    let earlier = |path: &Path| baseline::<Earlier>(path, "verdict.json", "run");
    let baseline = arguments.baseline.as_deref().map(earlier).transpose()?;
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
    let panicked = runs.iter().any(|run| run.report.panic.is_some());
    let mut study = Study::new(&family, command_line(arguments), seeds, runs, coverage);
    study.baseline = baseline;
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("reports").join(&family.name));
    let most = if arguments.all_histories { u64::MAX } else { EVENTS_RECORDED };
    let written = write_all(&study, &out, most, jobs)?;
    match arguments.format {
        Format::Json => {
            let path = out.join("verdict.json");
            out!("{}", fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?);
        }
        Format::Human => summary::print(&study, &written, &out),
    }
    let mut exit = Exit::from(study.verdict);
    if panicked {
        exit = exit.max(Exit::Internal);
    }
    if written.nondeterministic.is_some() {
        exit = exit.max(Exit::Nondeterministic);
    }
    Ok(if interrupted { Exit::Interrupted } else { exit })
}

/// The earlier result of a command, which it wrote under this name; by its folder or by itself.
pub fn baseline<T: serde::de::DeserializeOwned>(path: &Path, name: &str, command: &str) -> anyhow::Result<T> {
    let file = if path.is_dir() { path.join(name) } else { path.to_path_buf() };
    let shown = scenario::printable(&file.display().to_string());
    let text = fs::read_to_string(&file)
        .with_context(|| format!("failed to read the baseline {shown}; `hikyaku {command} … --out DIR` writes one"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown} is no result of `hikyaku {command}`"))
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

//! `hikyaku shrink`: a failing run as the smallest scenario file that fails in the same way.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::explore::shrink::{self, Bound, Limits, NotShrunk, OTHER_SEEDS, REPETITIONS, Shrunk, Sizes, Without};
use crate::report::numbers;
use crate::report::terminal::{Tone, escaped, paint, wrapped};
use crate::scenario::plan::Plan;
use crate::scenario::{self, Draft, printable};
use crate::types::{Duration, Guard, Seed};

use super::Exit;
use super::artefacts::write;
use super::replay::{find, find_scenario, no_cell, shown};
use super::run::{jobs_default, parse_guard};

#[derive(Debug, Args)]
pub struct ShrinkArguments {
    /// A scenario file (with --seed, and --cell when it has several), a folder with the plan.toml of a failure, or a token.
    target: String,
    /// Cell of the scenario, as `hikyaku list` names it.
    #[arg(long, value_name = "ID")]
    cell: Option<String>,
    /// The failing seed.
    #[arg(long, value_name = "N", env = "HIKYAKU_SEED")]
    seed: Option<u64>,
    /// Lay this key over the file, as `service.shop.acks=1`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Guards that are off, as in the failing run.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = parse_guard)]
    without_guard: Vec<Guard>,
    /// Leave this key as it is, as `cluster.brokers`: where the smaller system fails for a reason you know.
    #[arg(long, value_name = "KEY")]
    keep: Vec<String>,
    /// The scenario of a token or of a plan, when it is not in scenarios/.
    #[arg(long, value_name = "PATH")]
    scenario: Option<PathBuf>,
    /// Where to write the scenario [default: reports/<scenario>-seed-<N>-shrunk.toml].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Runs at once [default: one for each core]. The result does not depend on it.
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    /// Stop after this many runs.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    max_runs: u64,
    /// Stop after this long.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    time: Duration,
}

pub fn shrink(arguments: &ShrinkArguments) -> anyhow::Result<Exit> {
    let (file, draft, plan) = read(arguments)?;
    let started = now();
    let stop = || arguments.time.0 <= u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let jobs = arguments.jobs.unwrap_or_else(jobs_default).max(1);
    let keep: Vec<Vec<String>> =
        arguments.keep.iter().map(|path| path.split('.').map(str::to_string).collect()).collect();
    for (path, written) in keep.iter().zip(&arguments.keep) {
        if draft.get(&path.iter().map(String::as_str).collect::<Vec<_>>()).is_none() {
            bail!("`--keep {}` is not a key of this cell of {}", printable(written), shown(&file));
        }
    }
    let limits = Limits { jobs, runs: arguments.max_runs, keep, stop: &stop };
    let mut last = (u64::MAX, "");
    let result = shrink::shrink(&draft, &plan, &limits, &mut |step| {
        if last != (step.sizes.faults, step.pass) {
            eprintln!("{:>6} runs  {:<12} {}", step.runs, step.pass, size_line(&step.sizes));
            last = (step.sizes.faults, step.pass);
        }
    });
    let shrunk = match result {
        Ok(shrunk) => shrunk,
        Err(NotShrunk::Holds(verdict)) => bail!(
            "seed {} of {} breaks no promise (verdict: {}); there is nothing to shrink. `hikyaku run` names the seeds that \
             fail; where the scenario expects the hazard, state the promise: --set expect.PLACE=exactly-once",
            plan.seed.0,
            shown(&file),
            format!("{verdict:?}").to_lowercase()
        ),
        Err(NotShrunk::NotConcrete(signature, problem)) => bail!(
            "the run fails ({signature}), but no form of it with explicit faults fails in the same way{}; replay it instead: \
             hikyaku run {} --seed {}",
            problem.map_or(String::new(), |problem| format!(" ({problem})")),
            shown(&file),
            plan.seed.0
        ),
    };
    let name = format!("{}-seed-{}-shrunk.toml", plan.scenario, plan.seed.0);
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("reports").join(name));
    if fs::canonicalize(&out).is_ok_and(|out| fs::canonicalize(&file).is_ok_and(|file| file == out)) {
        bail!("{} is the scenario itself; give another --out", shown(&out));
    }
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", shown(folder)))?;
    }
    write(&out, shrunk.failing.draft.text(&header(&shrunk, &draft, &plan, &out, arguments)).as_bytes())?;
    reread(&shrunk, &plan, &out)?;
    print(&shrunk, &plan, &out, started.elapsed().as_secs_f64());
    Ok(if shrunk.bound.is_some() { Exit::Incomplete } else { Exit::Holds })
}

#[expect(clippy::disallowed_methods, reason = "a bound on the time that a person waits")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The cell as a draft, and the plan that fails.
fn read(arguments: &ShrinkArguments) -> anyhow::Result<(PathBuf, Draft, Plan)> {
    let target = Path::new(&arguments.target);
    let is_plan = |text: String| text.starts_with("stream-version = ") || text.contains("\nstream-version = ");
    let is_scenario = target.is_file() && !fs::read_to_string(target).is_ok_and(is_plan);
    let (path, cell, seed, guards, recorded) = if is_scenario {
        let Some(seed) = arguments.seed else {
            bail!("which seed fails? give --seed N (`hikyaku run {}` names one)", shown(target));
        };
        (target.to_path_buf(), arguments.cell.clone(), Seed(seed), arguments.without_guard.clone(), None)
    } else {
        let found = find(&arguments.target, arguments.scenario.as_deref(), &arguments.sets, &arguments.without_guard)?;
        let plan = found.plan;
        let path = match found.path {
            Some(path) => path,
            None => find_scenario(&plan.scenario, arguments.scenario.as_deref())?,
        };
        (path, Some(plan.cell.clone()), plan.seed, plan.guards_off.clone(), Some(plan))
    };
    let explain = |problems: scenario::Diagnostics| anyhow::anyhow!("{}", problems.render(false));
    let mut family = scenario::load(&path, &arguments.sets).map_err(explain)?;
    family.switch_off(&guards);
    let mut drafts = scenario::drafts(&path, &arguments.sets).map_err(explain)?;
    let place = match &cell {
        Some(cell) => family.cells.iter().position(|known| known.id == *cell),
        None if family.cells.len() == 1 => Some(0),
        None => bail!(
            "which cell? give --cell: {}",
            family.cells.iter().map(|cell| format!("\"{}\"", cell.id)).collect::<Vec<_>>().join(" ")
        ),
    };
    let Some(place) = place else {
        bail!("{}", no_cell(&path, &cell.unwrap_or_default(), family.cells.iter().map(|cell| cell.id.as_str())));
    };
    let plan = family.cells[place].plan(seed);
    if recorded.is_some_and(|recorded| recorded != plan) {
        bail!(
            "{} does not give the recorded plan any more: it was changed since, or was run with --set; give the same --set, or \
             shrink a seed that fails now",
            shown(&path)
        );
    }
    let draft = drafts.swap_remove(drafts.iter().position(|draft| draft.cell == plan.cell).unwrap_or(0));
    Ok((path, draft, plan))
}

/// What was written is what was run: the file gives the digest of the last run.
fn reread(shrunk: &Shrunk, plan: &Plan, out: &Path) -> anyhow::Result<()> {
    let family = scenario::load(out, &[]).map_err(|problems| anyhow::anyhow!("{}", problems.render(false)))?;
    let mut family = family;
    family.switch_off(&plan.guards_off);
    let again =
        family.cells.first().map(|cell| crate::explore::run_seed(&cell.plan(plan.seed), Default::default(), |_| {}));
    match again {
        Some((_, report)) if report.digest == shrunk.failing.digest => Ok(()),
        _ => bail!("{} does not run as the scenario that was found: this is a bug of the shrinker", shown(out)),
    }
}

fn size_line(sizes: &Sizes) -> String {
    [
        numbers::counted(sizes.faults, "fault"),
        numbers::counted(sizes.nodes, "node"),
        numbers::counted(sizes.partitions, "partition"),
        numbers::counted(sizes.events, "event"),
        sizes.duration.to_string(),
    ]
    .join(" · ")
}

/// The sentence of the most telling event: what happened, and whose promise it was.
fn story(shrunk: &Shrunk) -> Option<String> {
    let results = shrunk.failing.outcome.expectations.iter();
    let evidence = results.flat_map(|result| &result.evidence).find(|evidence| evidence.blame.is_some())?;
    let told = evidence.message.trim_end_matches('.');
    let blame = evidence.blame.as_ref().map(|blame| blame.message.trim_end_matches('.'));
    Some(match blame.filter(|blame| !told.contains(blame)) {
        Some(blame) => format!("{told}. {blame}."),
        None => format!("{told}."),
    })
}

fn header(shrunk: &Shrunk, draft: &Draft, plan: &Plan, out: &Path, arguments: &ShrinkArguments) -> Vec<String> {
    let cell = if draft.cell.is_empty() { String::new() } else { format!(" [{}]", draft.cell) };
    let mut lines = vec![format!("{}: shrunk from {}{cell}, seed {}.", shrunk.signature, draft.scenario, plan.seed.0)];
    lines.extend(story(shrunk).iter().flat_map(|story| wrapped(story, 110)));
    lines.push(String::new());
    lines.push(format!("was  {}", size_line(&shrunk.before)));
    lines.push(format!("is   {}", size_line(&shrunk.after)));
    lines.extend(arguments.sets.iter().map(|set| format!("with --set {}", printable(set))));
    lines.push(needed(shrunk));
    lines.extend(shrunk.chances.iter().map(|chance| format!("Still left to chance: {chance}.")));
    lines.push("It fails as it stands. Kept where scenarios are run, it holds once what it shows is cured.".into());
    let guards: String = plan.guards_off.iter().map(|guard| format!(" --without-guard {guard}")).collect();
    lines.push(format!("again: hikyaku run {}{guards}   (digest {:032x})", shown(out), shrunk.failing.digest));
    lines
}

/// Whether each fault is needed.
fn needed(shrunk: &Shrunk) -> String {
    let count = |wanted: Without| shrunk.without.iter().filter(|(_, without)| *without == wanted).count();
    let all = shrunk.without.len();
    match (all, count(Without::Fails), count(Without::FailsDifferently)) {
        (0, _, _) => "It needs no fault at all.".into(),
        (1, 0, 0) => "The fault is needed: without it, everything holds.".into(),
        (_, 0, 0) => format!("Each of the {all} faults is needed: without any one of them, everything holds."),
        (_, 0, other) => {
            format!("Each of the {all} faults is needed; without {other} of them it fails in another way.")
        }
        (_, fails, _) => format!("{fails} of the {all} faults may not be needed."),
    }
}

fn print(shrunk: &Shrunk, plan: &Plan, out: &Path, seconds: f64) {
    let muted = |label: &str| paint(Tone::Muted, &format!("{label:<6}"));
    outln!("{}  {}", paint(Tone::Strong, "SHRUNK"), paint(Tone::Violated, &escaped(&shrunk.signature.to_string())));
    if let Some(story) = story(shrunk) {
        wrapped(&escaped(&story), 110).iter().for_each(|line| outln!("  {line}"));
    }
    outln!();
    outln!("  {}  {}", muted("was"), size_line(&shrunk.before));
    outln!("  {}  {}", muted("is"), size_line(&shrunk.after));
    for name in shrunk.failing.draft.keys(&["fault"]) {
        let sentence = shrunk.failing.draft.get(&["fault", &name]).unwrap_or_default();
        outln!("  {}  {}", muted("fault"), escaped(&format!("{name} = \"{sentence}\"")));
    }
    outln!("  {}  {}", muted("needed"), needed(shrunk));
    for chance in &shrunk.chances {
        outln!("  {}  still left to chance: {}", muted("note"), escaped(chance));
    }
    outln!(
        "  {}  fails {} of {REPETITIONS} times with the same digest; under other seeds {} of {OTHER_SEEDS} times",
        muted("proof"),
        shrunk.repeated,
        shrunk.other_seeds
    );
    match shrunk.bound {
        Some(Bound::Runs) => outln!("  {}  stopped by --max-runs; it may get smaller", muted("bound")),
        Some(Bound::Time) => outln!("  {}  stopped by --time; it may get smaller", muted("bound")),
        None => {}
    }
    outln!("  {}  {} runs, {seconds:.1} s", muted("cost"), shrunk.runs);
    let guards: String = plan.guards_off.iter().map(|guard| format!(" --without-guard {guard}")).collect();
    outln!("  {}  hikyaku run {}{guards}", muted("again"), shown(out));
}

//! `hikyaku sweep`: all cells × seeds of many scenarios in worker processes, with a journal that survives everything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use crate::checks::sweep::{
    Listed, ListedCell, ListedScenario, Regression, RunEnd, RunRecord, Slice, SweepComparison, SweepJudge, SweepList,
    SweepVerdict, compare, token,
};
use crate::explore::difference::first_difference;
use crate::explore::sweep::*;
use crate::report::progress::Progress;
use crate::report::sweep::terminal::Circumstances;
use crate::report::sweep::{self as report, commands, runs::RunsTable};
use crate::scenario::plan::STREAM_VERSION;
use crate::scenario::{self, Family, printable};
use crate::types::Guard;
use crate::world;

use super::check::scenario_files;
use super::run::{MOST_SEEDS, baseline, jobs_default, parse_guard, parse_seeds, stop_on_interrupt};
use super::{Exit, SweepFormat};

// Headings of the help.
const WHAT: &str = "What is run";
const WHEN: &str = "When it ends";
const HOW: &str = "How it is run";
const RESULTS: &str = "What comes out";

#[derive(Debug, Args)]
pub struct SweepArguments {
    /// Scenario files or folders; folders are searched with all below them.
    paths: Vec<PathBuf>,

    /// Seeds A up to but not including B, or random:N for N seeds in a row from a drawn one [default: those of each scenario].
    #[arg(long, value_name = "A..B|random:N", value_parser = parse_choice, env = "HIKYAKU_SEEDS", help_heading = WHAT)]
    seeds: Option<SeedChoice>,
    /// Only this cell, as `hikyaku list` names it; again for several.
    #[arg(long, value_name = "ID", env = "HIKYAKU_CELL", value_delimiter = ';', help_heading = WHAT)]
    cell: Vec<String>,
    /// Lay this key over the files, as `service.shop.acks=1`.
    #[arg(
        long = "set",
        value_name = "KEY=VALUE",
        env = "HIKYAKU_SET",
        value_delimiter = ';',
        help_heading = WHAT
    )]
    sets: Vec<String>,
    /// Switch a guard of the queue off, to see that a check bites.
    #[arg(long, value_name = "ID,…", value_parser = parse_guard, env = "HIKYAKU_WITHOUT_GUARD", value_delimiter = ',', help_heading = WHAT)]
    without_guard: Vec<Guard>,
    /// Run every n-th run of the list, the i-th of n shards; `hikyaku merge` joins them.
    #[arg(long, value_name = "slice:i/n", value_parser = parse_slice, env = "HIKYAKU_PARTITION", help_heading = WHAT)]
    partition: Option<Slice>,

    /// Begin no run after this long, as 90s, 10m or 1h. What was run by then is judged.
    #[arg(long, value_name = "D", value_parser = parse_time, env = "HIKYAKU_TIME", help_heading = WHEN)]
    time: Option<Duration>,
    /// Out of time before everything was run is exit code 5, not the verdict of what was run.
    #[arg(long, env = "HIKYAKU_REQUIRE_COMPLETE", help_heading = WHEN)]
    require_complete: bool,
    /// Stop behind the N-th failure in the order of the list. Shards do not stop; `merge` makes the cut.
    #[arg(long, value_name = "N", env = "HIKYAKU_MAX_FAILURES", help_heading = WHEN)]
    max_failures: Option<std::num::NonZeroU64>,
    /// Go on with the sweep in --out where it was interrupted.
    #[arg(long, env = "HIKYAKU_RESUME", help_heading = WHEN)]
    resume: bool,

    /// Worker processes [default: one for each core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096), env = "HIKYAKU_JOBS", help_heading = HOW)]
    jobs: Option<u64>,
    /// Give a run up whose simulated time has stood still for this long.
    #[arg(long, value_name = "D", value_parser = parse_time, default_value = "60s", env = "HIKYAKU_RUN_TIME", help_heading = HOW)]
    run_time: Duration,
    /// Give a run up after so many events at one simulated instant.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5_000_000,
        env = "HIKYAKU_RUN_EVENTS",
        help_heading = HOW
    )]
    run_events: u64,
    /// Give a run up whose worker takes more memory, in MiB. On Linux; other systems do not tell.
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 2048,
        env = "HIKYAKU_RUN_MEMORY",
        help_heading = HOW
    )]
    run_memory: u64,

    /// Where everything is written.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "reports/sweep",
        env = "HIKYAKU_OUT",
        help_heading = RESULTS
    )]
    out: PathBuf,
    /// Write JUnit XML here, one case for each cell.
    #[arg(long, value_name = "FILE", env = "HIKYAKU_JUNIT", help_heading = RESULTS)]
    junit: Option<PathBuf>,
    /// An earlier sweep (its folder or `sweep.json`): which kinds of failure are new, and which are gone.
    #[arg(long, value_name = "DIR", env = "HIKYAKU_BASELINE", help_heading = RESULTS)]
    baseline: Option<PathBuf>,
    /// What standard output gets; `github` is human with annotations.
    #[arg(long, value_enum, env = "HIKYAKU_FORMAT", help_heading = RESULTS)]
    format: Option<SweepFormat>,
}

#[derive(Clone, Debug)]
enum SeedChoice {
    Range(std::ops::Range<u64>),
    Random(u64),
}

pub fn sweep(arguments: &SweepArguments) -> anyhow::Result<Exit> {
    let out = &arguments.out;
    let slice = arguments.partition.unwrap_or(Slice::WHOLE);
    // Before anything is run: the folder may be the one that is written to.
    let baseline = arguments.baseline.as_deref().map(earlier).transpose()?;
    let asked = if arguments.paths.is_empty() { None } else { Some(list_of(arguments)?) };
    let asked = match asked {
        Some(Ok(list)) => Some(list),
        Some(Err(exit)) => return Ok(exit),
        None => None,
    };
    let mut journal = match (arguments.resume, asked) {
        (true, asked) => resumed(out, slice, asked)?,
        (false, Some(list)) => begun(out, slice, list)?,
        (false, None) => bail!("no scenario is given; name files or folders, as in `hikyaku sweep scenarios`"),
    };
    let list = journal.header.list.clone();
    let families = load(&list).map_err(|why| anyhow!(why))?;
    let stop = stop_on_interrupt()?;
    let total = (0..list.len()).filter(|number| slice.contains(*number)).count() as u64;
    let mut observer = Desk::new(&list, &families, out, total);
    observer.progress.advance(journal.recorded, "");
    let before = journal.recorded;
    #[allow(clippy::disallowed_methods)] // The budget is of real time.
    let start = Instant::now();
    let setup = Setup {
        worker: WorkerCommand {
            program: std::env::current_exe().context("failed to find this program")?,
            arguments: vec!["worker".into()],
        },
        jobs: arguments.jobs.map_or_else(jobs_default, |jobs| jobs as usize),
        limits: Limits {
            events_at_an_instant: arguments.run_events,
            without_progress: arguments.run_time,
            memory: arguments.run_memory.saturating_mul(1 << 20),
        },
        until: arguments.time.and_then(|time| start.checked_add(time)),
        stop: &stop,
        out,
    };
    let ended = crate::explore::sweep::sweep(&setup, &mut journal, &mut observer);
    observer.progress.finish();
    let ended = match ended {
        Ok(ended) => ended,
        Err(SweepError::Worker(why)) => bail!("a worker cannot run: {why}"),
        Err(error @ (SweepError::Journal(_) | SweepError::Write(..))) => {
            anstream::eprintln!("error: {error}");
            return Ok(Exit::Incomplete);
        }
    };
    let speed = (journal.recorded - before, start.elapsed().as_secs_f64());
    let result = conclude(arguments, baseline.as_ref(), &mut journal, &families, ended, speed);
    match result {
        Ok(exit) => Ok(exit),
        Err(error) => {
            anstream::eprintln!(
                "error: {error:#}; the journal is whole: `{}` writes the results again",
                resume_command(out, slice)
            );
            Ok(Exit::Incomplete)
        }
    }
}

/// Reads the journal back, writes everything, prints the summary.
fn conclude(
    arguments: &SweepArguments,
    baseline: Option<&SweepVerdict>,
    journal: &mut Journal,
    families: &[Family],
    ended: Ended,
    speed: (u64, f64),
) -> anyhow::Result<Exit> {
    let (out, slice) = (&arguments.out, journal.header.slice);
    if ended == Ended::Done {
        journal.finish()?;
    }
    let list = journal.header.list.clone();
    let mut judge = SweepJudge::new(&list);
    let runs = out.join("runs.csv");
    let mut files: Vec<String> = Vec::new();
    let mut folded = Ok(());
    if slice == Slice::WHOLE {
        write_whole(&runs, |file| {
            let mut table = RunsTable::new(file)?;
            folded = journal.fold(&mut judge, |run, record| table.write(&list, run, record));
            table.finish()
        })
        .with_context(|| format!("failed to write {}", runs.display()))?;
        folded?;
    } else {
        journal.fold(&mut judge, |_, _| Ok(()))?;
        if ended == Ended::Done {
            files.push(write_shard(journal, out)?.display().to_string());
        }
    }
    let verdict = judge.finish();
    let comparison = baseline.filter(|_| slice == Slice::WHOLE).map(|before| compare(before, &verdict));
    write_examples(&verdict, journal, families, out)?;
    if slice == Slice::WHOLE {
        files.extend(write_results(&verdict, comparison.as_ref(), out, arguments.junit.as_deref())?);
    } else {
        if let Some(junit) = &arguments.junit {
            anstream::eprintln!("note: {} is written by `hikyaku merge`, when all shards are there", junit.display());
        }
        if baseline.is_some() {
            anstream::eprintln!("note: one shard is not compared; give --baseline to `hikyaku merge`");
        }
    }
    let mut notes = Vec::new();
    let mut resume = resume_command(out, slice);
    if let Some(junit) = &arguments.junit {
        resume += &format!(" --junit {}", commands::quoted(&shown(junit)));
    }
    match ended {
        Ended::Interrupted => notes.push(("interrupted; go on with".to_string(), Some(resume))),
        Ended::TimeIsUp => notes.push(("incomplete, the time is up; go on with".to_string(), Some(resume))),
        Ended::Done if slice != Slice::WHOLE => {
            let told = format!("shard {} of {}; all together are told by", slice.index, slice.of);
            notes.push((told, Some(format!("hikyaku merge {}", commands::quoted(&shown(out))))));
        }
        Ended::Done => {}
    }
    notes.extend(differences(&verdict, &list, families).into_iter().map(|sentence| (sentence, None)));
    print(&verdict, comparison.as_ref(), arguments.format, &Circumstances { speed: Some(speed), notes, files })?;
    let mut exit = exit_of(&verdict);
    // What a shard cannot prove alone is decided when all are there.
    if slice != Slice::WHOLE && exit == Exit::Vacuous {
        exit = Exit::Holds;
    }
    Ok(match ended {
        Ended::Done => exit,
        // What was not run proved nothing: that is no verdict yet.
        Ended::TimeIsUp if arguments.require_complete || leaves_cells_out(&verdict) => match exit {
            Exit::Vacuous => Exit::Incomplete,
            exit => exit.max(Exit::Incomplete),
        },
        Ended::TimeIsUp => exit,
        Ended::Interrupted => Exit::Interrupted,
    })
}

/// An earlier sweep, by its folder or its file.
pub fn earlier(path: &Path) -> anyhow::Result<SweepVerdict> {
    baseline(path, "sweep.json", "sweep")
}

/// Of some cell no run was done at all.
fn leaves_cells_out(verdict: &SweepVerdict) -> bool {
    verdict.scenarios.iter().flat_map(|scenario| &scenario.cells).any(|cell| cell.runs == 0)
}

pub fn exit_of(verdict: &SweepVerdict) -> Exit {
    let mut exit = Exit::from(verdict.verdict);
    if verdict.is_internal() {
        exit = exit.max(Exit::Internal);
    }
    if !verdict.self_check.differing.is_empty() {
        exit = exit.max(Exit::Nondeterministic);
    }
    exit
}

/// `summary.md`, `index.html`, `sweep.json` and JUnit; the names of what was written.
pub fn write_results(
    verdict: &SweepVerdict,
    comparison: Option<&SweepComparison>,
    out: &Path,
    junit: Option<&Path>,
) -> anyhow::Result<Vec<String>> {
    let write = |path: &Path, text: &str| -> anyhow::Result<String> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        }
        write_whole(path, |file| file.write_all(text.as_bytes()))
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path.display().to_string())
    };
    let summary = report::markdown::render(verdict, comparison);
    let json = serde_json::to_string_pretty(verdict).context("failed to write the verdict")?;
    let mut files = vec![out.join("runs.csv").display().to_string()];
    files.push(write(&out.join("summary.md"), &summary)?);
    files.push(write(&out.join("index.html"), &report::page::render(verdict, comparison))?);
    files.push(write(&out.join("sweep.json"), &format!("{json}\n"))?);
    if let Some(junit) = junit {
        let text = report::junit::render(verdict).map_err(|why| anyhow!("failed to write JUnit: {why}"))?;
        files.push(write(junit, &text)?);
    }
    if let Some(page) = std::env::var_os("GITHUB_STEP_SUMMARY") {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&page)?;
        file.write_all(summary.as_bytes()).with_context(|| format!("failed to write {}", page.display()))?;
    }
    Ok(files)
}

pub fn print(
    verdict: &SweepVerdict,
    comparison: Option<&SweepComparison>,
    format: Option<SweepFormat>,
    circumstances: &Circumstances,
) -> anyhow::Result<()> {
    let on_github = std::env::var_os("GITHUB_ACTIONS").is_some();
    let format = format.unwrap_or(if on_github { SweepFormat::Github } else { SweepFormat::Human });
    match format {
        SweepFormat::Json => outln!("{}", serde_json::to_string_pretty(verdict)?),
        SweepFormat::Human => out!("{}", report::terminal::render(verdict, comparison, circumstances)),
        SweepFormat::Github => {
            out!("{}", report::annotations::render(verdict));
            out!("{}", report::terminal::render(verdict, comparison, circumstances));
        }
    }
    Ok(())
}

/// The examples of the summary are there, even when others like them were written first.
fn write_examples(verdict: &SweepVerdict, journal: &Journal, families: &[Family], out: &Path) -> anyhow::Result<()> {
    let list = &journal.header.list;
    let rounds = list.rounds();
    let wanted: Vec<u64> = verdict.failures.iter().map(|group| group.example.number).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    journal.in_order(|number, _, record| {
        if wanted.contains(&number) {
            let run = rounds.run(number);
            write_failure(out, list, families, run, &record, &commands_of(list, run, &record))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn commands_of(list: &SweepList, run: Listed, record: &RunRecord) -> Vec<String> {
    let token = matches!(record.end, RunEnd::Judged(_)).then(|| token(list, run, record));
    let guards: Vec<String> = list.guards_off.iter().map(|guard| guard.id().to_string()).collect();
    commands::of_run(&list.cell(run).0.path, token.as_deref(), run.seed.0, &list.sets, &guards)
}

/// Of runs that were not the same twice: where two histories part, if they still do.
fn differences(verdict: &SweepVerdict, list: &SweepList, families: &[Family]) -> Vec<String> {
    let rounds = list.rounds();
    let told = verdict.self_check.differing.iter().take(3).map(|one| {
        let run = rounds.run(one.number);
        let plan = families[run.scenario].cells[list.cell(run).1.index].plan(run.seed);
        let place = format!("{} seed {}", report::place(&list.cell(run).0.name, &one.cell), one.seed.0);
        match first_difference(&plan, |observer| drop(world::run(&plan, observer))) {
            Some(found) => format!("{place} is not deterministic; the first that differs is {found}"),
            None => format!(
                "{place} is not deterministic: digest {} then {}; run twice more, it was the same",
                one.digests.0, one.digests.1
            ),
        }
    });
    told.collect()
}

// --- the list ---

/// The list that the arguments mean; problems of scenarios are printed.
fn list_of(arguments: &SweepArguments) -> anyhow::Result<Result<SweepList, Exit>> {
    let mut families = Vec::new();
    let mut invalid = false;
    for file in scenario_files(&arguments.paths)? {
        match scenario::load(&file, &arguments.sets) {
            Ok(family) => {
                if !family.warnings.is_empty() {
                    anstream::eprintln!("{}", family.warnings.render(true));
                }
                families.push(family);
            }
            Err(problems) => {
                anstream::eprintln!("{}", problems.render(true));
                invalid = true;
            }
        }
    }
    if invalid {
        return Ok(Err(Exit::Usage));
    }
    let mut names: BTreeMap<&str, &Path> = BTreeMap::new();
    for family in &families {
        if let Some(other) = names.insert(&family.name, &family.path) {
            bail!(
                "{} and {} have one name, and a sweep tells scenarios apart by name; sweep them one by one",
                shown(other),
                shown(&family.path)
            );
        }
    }
    let range = match &arguments.seeds {
        Some(SeedChoice::Range(range)) => Some(range.clone()),
        Some(SeedChoice::Random(_)) if arguments.partition.is_some() => {
            bail!("each shard would draw seeds of its own; draw a number once and give all shards --seeds A..B");
        }
        Some(SeedChoice::Random(count)) => {
            let base = drawn_base();
            anstream::eprintln!("seeds {base}..{} (drawn; --seeds {base}..{0} runs them again)", base + count);
            Some(base..base + count)
        }
        None => None,
    };
    let scenarios: Vec<ListedScenario> =
        families.iter().map(|family| listed(family, arguments, range.clone())).collect();
    if let Some(unknown) =
        arguments.cell.iter().find(|id| !scenarios.iter().any(|one| one.cells.iter().any(|cell| cell.id == **id)))
    {
        let known = families.iter().flat_map(|family| &family.cells).map(|cell| format!("`{}`", cell.id));
        bail!("no scenario has the cell `{}`; there are {}", printable(unknown), known.collect::<Vec<_>>().join(", "));
    }
    let regressions = regressions(&scenarios, &families, arguments)?;
    let mut flags: Vec<String> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
    flags.extend(range.iter().flat_map(|range| ["--seeds".to_string(), format!("{}..{}", range.start, range.end)]));
    flags.extend(arguments.cell.iter().flat_map(|cell| ["--cell".to_string(), cell.clone()]));
    Ok(Ok(SweepList {
        version: env!("CARGO_PKG_VERSION").to_string(),
        stream_version: STREAM_VERSION,
        sets: arguments.sets.clone(),
        guards_off: arguments.without_guard.clone(),
        max_failures: arguments.max_failures.map(u64::from),
        scenarios,
        regressions,
        flags,
    }))
}

fn listed(family: &Family, arguments: &SweepArguments, range: Option<std::ops::Range<u64>>) -> ListedScenario {
    let cells = family.cells.iter().enumerate();
    let cells = cells.filter(|(_, cell)| arguments.cell.is_empty() || arguments.cell.contains(&cell.id));
    ListedScenario {
        name: family.name.clone(),
        path: family.path.display().to_string(),
        fingerprint: format!("{:032x}", family.fingerprint()),
        seeds: range.unwrap_or(family.seeds.clone()),
        own_seeds: family.seeds.clone(),
        cells: cells.map(|(index, cell)| ListedCell { index, id: cell.id.clone() }).collect(),
    }
}

fn regressions(
    scenarios: &[ListedScenario],
    families: &[Family],
    arguments: &SweepArguments,
) -> anyhow::Result<Vec<Regression>> {
    let mut regressions = Vec::new();
    for (index, (listed, family)) in scenarios.iter().zip(families).enumerate() {
        for kept in kept_seeds(&family.path).map_err(|why| anyhow!(why))? {
            let place = format!("{}:{}", shown(&family.path.with_extension("seeds")), kept.line);
            if !kept.is_comparable() {
                anstream::eprintln!(
                    "warning: {place}: seed {} is of stream s{}, this build draws s{STREAM_VERSION}; it is not run",
                    kept.seed.0,
                    kept.stream_version
                );
                continue;
            }
            let cell = listed.cells.iter().position(|cell| cell.id == kept.cell);
            match cell {
                Some(cell) => regressions.push(Regression { scenario: index, cell, seed: kept.seed, why: kept.why }),
                None if !arguments.cell.is_empty() || !arguments.sets.is_empty() => {}
                None => {
                    bail!("{place}: the scenario has no cell `{}`; correct or remove the line", printable(&kept.cell))
                }
            }
        }
    }
    Ok(regressions)
}

/// From the operating system: the one place where a sweep is not told what to do.
fn drawn_base() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let drawn = std::collections::hash_map::RandomState::new().build_hasher().finish();
    // Short enough to be typed again.
    drawn % 1_000_000_000
}

// --- journals ---

fn begun(out: &Path, slice: Slice, list: SweepList) -> anyhow::Result<Journal> {
    if list.is_empty() {
        bail!("there is nothing to run: no cell is left, or no seed");
    }
    if MOST_SEEDS < list.len() {
        bail!("these are {} runs, and at most {MOST_SEEDS} are one sweep; give fewer seeds or scenarios", list.len());
    }
    fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
    let journal = Journal::create(out, Header { format: FORMAT, hash: list.hash(), slice, list })?;
    // What a former sweep left behind would be mistaken for this one's.
    let stale = match slice {
        Slice::WHOLE => ["failures", "index.html", "runs.csv", "summary.md", "sweep.json"].map(String::from).to_vec(),
        Slice { .. } => vec![shard_name(slice)],
    };
    for name in stale {
        let path = out.join(name);
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .with_context(|| format!("failed to remove {}", path.display()))?;
    }
    Ok(journal)
}

fn resumed(out: &Path, slice: Slice, asked: Option<SweepList>) -> anyhow::Result<Journal> {
    let journal = Journal::open(out, slice)?;
    if asked.is_some_and(|asked| asked != journal.header.list) {
        bail!(
            "the sweep in {} was begun with other scenarios, seeds or flags; `{}` goes on with it as it was, another --out begins a new one",
            shown(out),
            resume_command(out, slice)
        );
    }
    Ok(journal)
}

fn resume_command(out: &Path, slice: Slice) -> String {
    let out = commands::quoted(&shown(out));
    match slice {
        Slice::WHOLE => format!("hikyaku sweep --resume --out {out}"),
        Slice { index, of } => format!("hikyaku sweep --resume --partition slice:{index}/{of} --out {out}"),
    }
}

/// The command that runs one shard of a list.
pub fn shard_command(list: &SweepList, slice: Slice, out: &Path) -> String {
    let mut words: Vec<String> = list.flags.iter().map(|flag| commands::quoted(flag)).collect();
    words.extend(list.sets.iter().map(|set| format!("--set {}", commands::quoted(set))));
    words.extend(list.guards_off.iter().map(|guard| format!("--without-guard {guard}")));
    words.extend(list.max_failures.map(|most| format!("--max-failures {most}")));
    let Slice { index, of } = slice;
    format!("hikyaku sweep {} --partition slice:{index}/{of} --out {}", words.join(" "), commands::quoted(&shown(out)))
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// What happens while the sweep is under way: progress, and failures the moment they occur.
struct Desk<'a> {
    list: &'a SweepList,
    families: &'a [Family],
    out: &'a Path,
    progress: Progress,
    failures: Failures,
    failed: u64,
}

impl<'a> Desk<'a> {
    fn new(list: &'a SweepList, families: &'a [Family], out: &'a Path, total: u64) -> Desk<'a> {
        let progress = Progress::new(total, "run");
        Desk { list, families, out, progress, failures: Failures::default(), failed: 0 }
    }
}

impl Observer for Desk<'_> {
    fn recorded(&mut self, run: Listed, record: &RunRecord) -> std::io::Result<()> {
        if record.failed() {
            self.failed += 1;
            if self.failures.wants(run, record) {
                let commands = commands_of(self.list, run, record);
                write_failure(self.out, self.list, self.families, run, record, &commands)?;
                self.progress.note(&told(self.list, run, record));
            }
        }
        let state = if self.failed == 0 { String::new() } else { format!("{} failed", self.failed) };
        self.progress.advance(1, &state);
        Ok(())
    }

    fn note(&mut self, line: &str) {
        self.progress.note(&format!("note  {}", printable(line)));
    }
}

/// One line on a failure.
fn told(list: &SweepList, run: Listed, record: &RunRecord) -> String {
    let (scenario, cell) = list.cell(run);
    let reason = match &record.end {
        RunEnd::Judged(run) => run.outcome.reasons.first().cloned().unwrap_or_default(),
        RunEnd::Broken(run) => run.message.clone(),
    };
    printable(&format!("FAIL  {}  seed {}  {reason}", report::place(&scenario.name, &cell.id), run.seed.0))
}

fn parse_choice(text: &str) -> Result<SeedChoice, String> {
    match text.strip_prefix("random:") {
        Some(count) => match count.parse() {
            Ok(count) if 0 < count && count <= MOST_SEEDS => Ok(SeedChoice::Random(count)),
            Ok(_) | Err(_) => Err("write how many, as random:5000".into()),
        },
        None => parse_seeds(text).map(SeedChoice::Range),
    }
}

/// Each of them is a job for somebody's machine.
const MOST_SHARDS: u64 = 100_000;

fn parse_slice(text: &str) -> Result<Slice, String> {
    let parts = text.strip_prefix("slice:").and_then(|text| text.split_once('/'));
    let slice = parts.and_then(|(index, of)| Some(Slice { index: index.parse().ok()?, of: of.parse().ok()? }));
    match slice {
        Some(slice) if MOST_SHARDS < slice.of => Err(format!("a sweep has at most {MOST_SHARDS} shards")),
        Some(slice) if slice.is_one() && 2 <= slice.of => Ok(slice),
        Some(slice) if slice.of == 1 => Err("one shard is the whole sweep; leave --partition out".into()),
        Some(slice) => Err(format!("shards count from 1: slice:1/{0} to slice:{0}/{0}", slice.of)),
        None => Err("write which of how many, as slice:2/8".into()),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    parsed.filter(|time| !time.is_zero()).ok_or_else(|| "write a length of time, as 90s, 10m or 1h".to_string())
}

//! `hikyaku replay`: a recorded failure once more, from its plan or its token; the same digest, or where the two part.

use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::checks::{Coverage, RunOutcome, Verdict, WaitOptions, judge_cell};
use crate::explore::difference::{Difference, Lockstep};
use crate::explore::replay::{Token, beginning, read_plan};
use crate::explore::run_seed;
use crate::history::export;
use crate::report::terminal::{Tone, escaped, paint, wrapped};
use crate::scenario::plan::Plan;
use crate::scenario::{self, printable};
use crate::types::Guard;
use crate::world::RunReport;

use super::Exit;
use super::artefacts::{RunLine, Verdicts, write};
use super::run::parse_guard;
use super::summary::word;

#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// A plan.toml, a folder that holds one, or a token such as acks_1_loses:failure=crash:7:s1:9f2c01aa.
    target: String,
    /// The scenario of a token, when it is not in scenarios/.
    #[arg(long, value_name = "PATH")]
    scenario: Option<PathBuf>,
    /// What was laid over the scenario when the token was made.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Guards that were off when the token was made.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = parse_guard)]
    without_guard: Vec<Guard>,
    /// Write plan, history and verdict here.
    #[arg(long, value_name = "DIR", env = "HIKYAKU_OUT")]
    out: Option<PathBuf>,
}

/// A run that was recorded, as far as it is known.
pub struct Recorded {
    pub plan: Plan,
    /// The first 32 bits of its digest.
    pub digest: Option<u32>,
    /// What was said of it, and why.
    pub verdict: Option<Verdict>,
    pub reasons: Vec<String>,
    pub history: Option<PathBuf>,
    /// The scenario file that the plan was made from just now; `None` when the plan itself was read.
    pub path: Option<PathBuf>,
}

pub fn replay(arguments: &ReplayArguments) -> anyhow::Result<Exit> {
    let recorded = find(&arguments.target, arguments.scenario.as_deref(), &arguments.sets, &arguments.without_guard)?;
    if let (Some(out), Some(history)) = (&arguments.out, &recorded.history)
        && fs::canonicalize(out).is_ok_and(|out| {
            history.parent().is_some_and(|folder| fs::canonicalize(folder).is_ok_and(|folder| folder == out))
        })
    {
        bail!("`{}` holds the recording that the replay is compared with; give another --out", shown(out));
    }
    let (outcome, report, difference) = run_again(&recorded, arguments.out.as_deref())?;
    let same = recorded.digest.map(|digest| digest == beginning(report.digest));
    print(&recorded, &outcome, &report, difference.as_ref(), same);
    if let Some(out) = &arguments.out {
        outln!("  {}  {}/plan.toml history.jsonl history.csv verdict.json", paint(Tone::Muted, "files "), shown(out));
    }
    let mut exit = Exit::from(outcome.verdict);
    if report.panic.is_some() {
        exit = exit.max(Exit::Internal);
    }
    if same == Some(false) || difference.is_some() {
        exit = exit.max(Exit::Nondeterministic);
    }
    Ok(exit)
}

/// Finds what is to be run: a file, a folder, or the scenario of a token.
pub fn find(
    target: &str,
    scenario: Option<&Path>,
    sets: &[String],
    without_guard: &[Guard],
) -> anyhow::Result<Recorded> {
    let path = Path::new(target);
    if path.is_dir() || path.is_file() {
        return find_plan(path);
    }
    if !target.contains(':') {
        bail!(
            "`{}` is neither a plan.toml, nor a folder with one, nor a token (SCENARIO:CELL:SEED:s1:DIGEST)",
            printable(target)
        );
    }
    let token: Token = target.parse()?;
    let path = find_scenario(&token.scenario, scenario)?;
    let mut family = scenario::load(&path, sets).map_err(|problems| anyhow::anyhow!("{}", problems.render(false)))?;
    family.switch_off(without_guard);
    let Some(cell) = family.cells.iter().find(|cell| cell.id == token.cell) else {
        bail!("{}", no_cell(&path, &token.cell, family.cells.iter().map(|cell| cell.id.as_str())));
    };
    let digest = Some(token.digest);
    Ok(Recorded {
        plan: cell.plan(token.seed),
        digest,
        verdict: None,
        reasons: Vec::new(),
        history: None,
        path: Some(path),
    })
}

pub fn no_cell<'a>(path: &Path, wanted: &str, cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.map(|cell| format!("`{cell}`")).collect();
    format!("{} has no cell `{}`; it has {}", shown(path), printable(wanted), cells.join(", "))
}

/// The scenario file of a stem: the one that was given, or the one below `scenarios/`.
pub fn find_scenario(stem: &str, given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let name = format!("{stem}.toml");
    let mut folders: Vec<PathBuf> = Vec::new();
    match given {
        Some(file) if file.is_file() => return Ok(file.to_path_buf()),
        Some(folder) => folders.push(folder.to_path_buf()),
        None => {}
    }
    folders.push("scenarios".into());
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|file| file.to_string_lossy() == name) {
                found.push(path);
            }
        }
    }
    found.sort();
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => bail!("no scenario is called `{}` in scenarios/; give its file with --scenario PATH", printable(stem)),
        [first, second, ..] => bail!(
            "two scenarios are called `{}`: {} and {}; say which with --scenario PATH",
            printable(stem),
            shown(first),
            shown(second)
        ),
    }
}

/// A plan file, or the one in a folder, with the digest and the history that were recorded with it.
fn find_plan(path: &Path) -> anyhow::Result<Recorded> {
    const LARGEST: u64 = 64 << 20;
    let file = if path.is_dir() { path.join("plan.toml") } else { path.to_path_buf() };
    if !file.is_file() {
        bail!("{} has no plan.toml; recorded runs lie in folders such as seed-7/ below it", shown(path));
    }
    let size = fs::metadata(&file).map_or(0, |metadata| metadata.len());
    if LARGEST < size {
        bail!("{} has {size} bytes, and a plan has at most {LARGEST}", shown(&file));
    }
    let bytes = fs::read(&file).with_context(|| format!("failed to read {}", shown(&file)))?;
    let text =
        String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{} is not text; give a plan.toml", shown(&file)))?;
    let plan = read_plan(&text).with_context(|| format!("failed to read {}", shown(&file)))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let run = folder.ancestors().take(3).find_map(|folder| recorded_run(&folder.join("verdict.json"), &plan));
    let RecordedRun { digest, verdict, reasons } = run.unwrap_or_default();
    let history = Some(folder.join("history.jsonl")).filter(|history| history.is_file());
    Ok(Recorded { plan, digest, verdict, reasons, history, path: None })
}

/// What a verdict.json says of one run.
#[derive(Default)]
struct RecordedRun {
    /// The beginning of its digest.
    digest: Option<u32>,
    verdict: Option<Verdict>,
    reasons: Vec<String>,
}

fn recorded_run(file: &Path, plan: &Plan) -> Option<RecordedRun> {
    let verdict: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let runs = verdict.get("runs").and_then(serde_json::Value::as_array);
    let of_this = |run: &&serde_json::Value| {
        run.get("seed").and_then(serde_json::Value::as_u64) == Some(plan.seed.0)
            && run.get("cell").and_then(serde_json::Value::as_str) == Some(&plan.cell)
    };
    let run = runs.map_or(Some(&verdict), |runs| runs.iter().find(of_this))?;
    let digest = run.get("digest")?.as_str()?;
    let digest = u32::from_str_radix(digest.get(..8)?, 16).ok()?;
    let read = |name: &str| run.get(name).cloned();
    let verdict = read("verdict").and_then(|verdict| serde_json::from_value(verdict).ok());
    let reasons = read("reasons").and_then(|reasons| serde_json::from_value(reasons).ok()).unwrap_or_default();
    Some(RecordedRun { digest: Some(digest), verdict, reasons })
}

/// Writes to both.
struct Both<A, B>(A, B);

impl<A: Write, B: Write> Write for Both<A, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        self.1.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.1.flush()
    }
}

/// Runs, compares with the recorded history on the way, and writes what was asked for.
fn run_again(recorded: &Recorded, out: Option<&Path>) -> anyhow::Result<(RunOutcome, RunReport, Option<Difference>)> {
    let plan = &recorded.plan;
    let file = |name: &str| -> anyhow::Result<Box<dyn Write + Send>> {
        let Some(out) = out else { return Ok(Box::new(io::sink())) };
        fs::create_dir_all(out).with_context(|| format!("failed to make {}", shown(out)))?;
        let path = out.join(name);
        let file = fs::File::create(&path).with_context(|| format!("failed to write {}", shown(&path)))?;
        Ok(Box::new(BufWriter::new(file)))
    };
    let history: Box<dyn io::BufRead + Send> = match &recorded.history {
        Some(path) => {
            Box::new(BufReader::new(fs::File::open(path).with_context(|| format!("failed to read {}", shown(path)))?))
        }
        None => Box::new(io::empty()),
    };
    let both = Both(file("history.jsonl")?, Lockstep::new(history));
    let mut recorder = export::Recorder::new(export::Names::of(plan), both, file("history.csv")?)
        .context("failed to write the history")?;
    let (compares, writes) = (recorded.history.is_some(), out.is_some());
    let mut problem: Option<io::Error> = None;
    let (outcome, report) = judged(|| {
        run_seed(plan, WaitOptions::default(), |event| {
            if problem.is_none() && (compares || writes) {
                problem = recorder.write(event).err();
            }
        })
    })?;
    problem.map_or(Ok(()), Err).context("failed to write the history")?;
    let (Both(_, lockstep), _) = recorder.finish().context("failed to write the history")?;
    let difference = if compares { lockstep.finish().context("failed to read the recorded history")? } else { None };
    if let Some(out) = out {
        write_verdict(plan, &outcome, &report, out)?;
    }
    Ok((outcome, report, difference))
}

/// A plan from a file may describe what no scenario can, and what the judge never thought of.
pub fn judged<T>(run: impl FnOnce() -> T) -> anyhow::Result<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(hook);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        anyhow::anyhow!(
            "this plan contradicts itself and cannot be judged ({}); take the plan.toml as it was written",
            printable(text.unwrap_or("a panic"))
        )
    })
}

fn write_verdict(plan: &Plan, outcome: &RunOutcome, report: &RunReport, out: &Path) -> anyhow::Result<()> {
    write(&out.join("plan.toml"), toml::to_string(plan).context("failed to write the plan")?.as_bytes())?;
    let cells = [judge_cell(std::slice::from_ref(outcome), Coverage::SomeSeeds)];
    let all = Verdicts {
        scenario: &plan.scenario,
        about: &plan.about,
        rows: &plan.rows,
        verdict: outcome.verdict,
        seeds: plan.seed.0..plan.seed.0.saturating_add(1),
        cells: &cells,
        charts: Vec::new(),
        runs: vec![RunLine {
            cell: &plan.cell,
            seed: plan.seed,
            digest: format!("{:032x}", report.digest),
            verdict: outcome.verdict,
            reasons: &outcome.reasons,
            outcome: Some(outcome),
        }],
    };
    let text = serde_json::to_string_pretty(&all).context("failed to write the verdict")?;
    write(&out.join("verdict.json"), format!("{text}\n").as_bytes())
}

const WIDTH: usize = 110;
const REASONS: usize = 5;

fn print(
    recorded: &Recorded,
    outcome: &RunOutcome,
    report: &RunReport,
    difference: Option<&Difference>,
    same: Option<bool>,
) {
    let plan = &recorded.plan;
    let cell = if plan.cell.is_empty() { String::new() } else { format!("[{}]  ", plan.cell) };
    outln!(
        "{}  {}  {}",
        word(outcome.verdict),
        paint(Tone::Strong, &escaped(&plan.scenario)),
        paint(Tone::Muted, &escaped(&format!("{cell}seed {}", plan.seed.0)))
    );
    let paragraph = |text: &str| wrapped(&escaped(text), WIDTH).iter().for_each(|line| outln!("  {line}"));
    paragraph(&plan.about);
    outcome.reasons.iter().take(REASONS).for_each(|reason| paragraph(reason));
    if !plan.guards_off.is_empty() {
        let ids: Vec<&str> = plan.guards_off.iter().map(|guard| guard.id()).collect();
        paragraph(&format!("guards off: {}", ids.join(", ")));
    }
    outln!();
    let digest = format!("{:032x}", report.digest);
    let (label, says) = (paint(Tone::Muted, "digest"), |text: &str| escaped(text));
    match (same, difference) {
        (Some(true), None) => outln!("  {label}  {digest}: the same run as the recorded one"),
        (None, None) if recorded.history.is_some() => {
            outln!("  {label}  {digest}: event for event the recorded history")
        }
        (None, None) => outln!("  {label}  {digest}: nothing recorded to compare it with"),
        (same, difference) => {
            let other = recorded.digest.map_or(String::new(), |digest| format!(", recorded {digest:08x}…"));
            outln!("  {label}  {}", paint(Tone::Violated, &format!("NOT THE SAME: {digest}{other}")));
            match (difference, recorded.path.as_ref()) {
                (Some(difference), _) => {
                    outln!("  the first difference is line {} of history.jsonl", difference.number + 1);
                    outln!("    recorded  {}", says(Difference::told(&difference.first)));
                    outln!("    replayed  {}", says(Difference::told(&difference.second)));
                }
                (None, Some(path)) => paragraph(&format!(
                    "a token is compared by its digest alone: {} or its --set and --without-guard differ from what was recorded, or this build does",
                    path.display()
                )),
                (None, None) if same == Some(false) && recorded.history.is_some() => {
                    paragraph("the recorded history is the same, event for event: they part in what is not an event")
                }
                (None, None) => {
                    paragraph("no history.jsonl lies beside the plan, so the first difference cannot be named")
                }
            }
        }
    }
    let token = Token::new(plan, report.digest);
    outln!("  {}  hikyaku replay {}", paint(Tone::Muted, "again "), escaped(&token.to_string()));
}

/// A path as a person may see it.
pub fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

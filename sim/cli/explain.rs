//! `hikyaku explain`: the story of one event, whose promise broke, and which one change would have kept it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use crate::checks::chronicle::{Chronicle, ConsumerAtEnd, CopyAtEnd};
use crate::checks::standing::Stage;
use crate::checks::{Evidence, EvidenceKind, RunOutcome, WaitOptions};
use crate::explore::explain::{ENOUGH_BEFORE, Harm, Trial, Verification, cures, findings, follow, is_bad, verify};
use crate::explore::replay::{Token, beginning};
use crate::explore::run_seed;
use crate::explore::shrink::pinned;
use crate::report::blame::{broken, owner, promise};
use crate::report::chronicle::{Words, abridged, diagram, is_gone, seconds};
use crate::report::numbers::counted;
use crate::report::progress::Progress;
use crate::report::standing;
use crate::report::terminal::{Tone, escaped, paint, width, wrapped};
use crate::scenario::plan::{PlaceKind, Plan};
use crate::scenario::{self, printable};
use crate::types::{EventId, Guard};

use super::artefacts::write;
use super::replay::{Recorded, find, judged, shown};
use super::run::{jobs_default, parse_guard, stop_on_interrupt};
use super::saved;
use super::summary::word;
use super::{Exit, Format};

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A folder with the plan.toml of a run, that file, a token such as acks_1_loses:failure=crash:7:s1:9f2c01aa, or a
    /// problem code such as S043.
    target: String,
    /// This event, as the verdict names it [default: the worst one].
    #[arg(long, value_name = "ID", value_parser = parse_event, conflicts_with = "worst")]
    event: Option<EventId>,
    /// So many of the worst events.
    #[arg(long, value_name = "N", default_value_t = 1)]
    worst: usize,
    /// Reruns for each change; with 0 none is tried.
    #[arg(long, value_name = "N", default_value_t = 100)]
    runs: usize,
    /// Runs at once [default: one for each core]. The result does not depend on it.
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    /// The scenario of a token, when it is not in scenarios/.
    #[arg(long, value_name = "PATH")]
    scenario: Option<PathBuf>,
    /// What was laid over the scenario when the token was made.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Guards that were off when the token was made.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', value_parser = parse_guard)]
    without_guard: Vec<Guard>,
    /// Where the stories go, one folder for each event [default: explained/ beside the plan, or below reports/].
    #[arg(long, value_name = "DIR", env = "HIKYAKU_OUT")]
    out: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn parse_event(text: &str) -> Result<EventId, String> {
    let number = text.strip_prefix('e').unwrap_or(text).parse();
    number.map(EventId).map_err(|_| "an event is written as e12".to_string())
}

const WIDTH: usize = 110;

pub fn explain(arguments: &ExplainArguments) -> anyhow::Result<Exit> {
    if let Some(text) = scenario::explain_code(&arguments.target) {
        outln!("{text}");
        return Ok(Exit::Holds);
    }
    let target = &arguments.target;
    if !Path::new(target).exists() && !target.contains(':') {
        bail!(
            "`{}` is neither a folder with the plan.toml of a run, nor a token (SCENARIO:CELL:SEED:s1:DIGEST), nor a problem code \
             such as S043",
            printable(target)
        );
    }
    if arguments.worst == 0 {
        bail!("`--worst 0` asks for nothing; give 1 or more");
    }
    let recorded = find_run(arguments)?;
    let plan = &recorded.plan;
    let mut witness = witness(&recorded);
    let Telling { outcome, token, same } = tell(&recorded, &mut witness)?;
    let events = match arguments.event {
        Some(event) => vec![event],
        None => {
            let mut events: Vec<EventId> = Vec::new();
            for finding in findings(&outcome) {
                if !events.contains(&finding.event) && events.len() < arguments.worst {
                    events.push(finding.event);
                }
            }
            events
        }
    };
    if arguments.format == Format::Human {
        print_head(plan, &outcome, same);
        if events.is_empty() {
            print_nothing(&outcome);
        }
    }
    let stop = stop_on_interrupt()?;
    let out = arguments.out.clone().unwrap_or_else(|| default_out(&arguments.target, plan));
    let mut told: Vec<Explained> = Vec::new();
    for event in events {
        let (outcome, chronicle) = ask(plan, event, &mut witness)?;
        if chronicle.lines.is_empty() {
            bail!(
                "the history of this run never mentions {event}; `hikyaku run` prints the events that it found something of"
            );
        }
        let of_event = outcome.places.iter().flat_map(|place| &place.evidence).filter(|found| found.event == event);
        let mut bad: Vec<Evidence> = of_event.filter(|found| is_bad(found.kind)).cloned().collect();
        // What is missing in a topic is missing behind it as well.
        let is_topic = |found: &Evidence| {
            let place = plan.places.get(usize::from(found.place.0));
            place.is_some_and(|place| matches!(place.kind, PlaceKind::Topic { .. }))
        };
        bad.sort_by_key(|found| (found.kind, !is_topic(found)));
        // What is tried depends on the harm and not on the event: several events of one harm share what came of it.
        let verification = bad.first().filter(|_| 0 < arguments.runs).map(|evidence| {
            let harm = (evidence.place, evidence.kind);
            let known = told.iter().find(|known| known.harm() == Some(harm));
            match known.and_then(|known| known.verification.clone()) {
                Some(verification) => verification,
                None => tried(arguments, plan, &outcome, evidence, &stop),
            }
        });
        let explained = Explained { chronicle, evidence: bad, verification };
        let folder = out.join(event.to_string());
        let files = write_story(&explained, plan, &token, &folder)?;
        if arguments.format == Format::Human {
            print(&explained, plan, &files);
        }
        told.push(explained);
    }
    match arguments.format {
        Format::Json => {
            let events: Vec<EventLine> = told.iter().map(|explained| explained.line(plan)).collect();
            let all =
                Lines { scenario: &plan.scenario, cell: &plan.cell, seed: plan.seed.0, token: &token, same, events };
            outln!("{}", serde_json::to_string_pretty(&all).context("failed to write the explanation")?);
        }
        Format::Human => outln!("  {}  hikyaku replay {}", paint(Tone::Muted, "again"), escaped(&token)),
    }
    let interrupted = stop.load(std::sync::atomic::Ordering::Relaxed);
    Ok(if interrupted {
        Exit::Interrupted
    } else if same {
        Exit::Holds
    } else {
        Exit::Nondeterministic
    })
}

/// Who tells what happened: the history that was saved, or the run, once more.
enum Witness {
    Saved(PathBuf),
    Rerun,
}

struct Telling {
    outcome: RunOutcome,
    token: String,
    /// It is the run that was recorded.
    same: bool,
}

fn witness(recorded: &Recorded) -> Witness {
    let saved = recorded.history.clone().filter(|_| recorded.digest.is_some());
    saved.map_or(Witness::Rerun, Witness::Saved)
}

/// What became of the whole run. A history that cannot be read is no reason to say nothing: it is run again.
fn tell(recorded: &Recorded, witness: &mut Witness) -> anyhow::Result<Telling> {
    if let Witness::Saved(history) = &*witness
        && let Some(token) = saved::token(recorded)
    {
        match saved::outcome(history, recorded) {
            Ok(outcome) => return Ok(Telling { outcome, token: token.to_string(), same: true }),
            Err(why) => run_again_because(&why, witness),
        }
    }
    let plan = &recorded.plan;
    let (outcome, report) = judged(|| run_seed(plan, WaitOptions::default(), |_| {}))?;
    let same = recorded.digest.is_none_or(|digest| digest == beginning(report.digest));
    Ok(Telling { outcome, token: Token::new(plan, report.digest).to_string(), same })
}

/// What became of one event.
fn ask(plan: &Plan, event: EventId, witness: &mut Witness) -> anyhow::Result<(RunOutcome, Chronicle)> {
    if let Witness::Saved(history) = &*witness {
        match saved::follow(history, plan, event) {
            Ok(told) => return Ok(told),
            Err(why) => run_again_because(&why, witness),
        }
    }
    let (outcome, _, chronicle) = follow(plan, event, |_| {});
    Ok((outcome, chronicle))
}

fn run_again_because(why: &anyhow::Error, witness: &mut Witness) {
    eprintln!("{}; the run is run again instead", printable(&format!("{why:#}")));
    *witness = Witness::Rerun;
}

/// A folder above those of runs is answered with their names.
fn find_run(arguments: &ExplainArguments) -> anyhow::Result<Recorded> {
    let target = Path::new(&arguments.target);
    if target.is_dir() && !target.join("plan.toml").is_file() {
        let mut runs = Vec::new();
        collect_runs(target, 3, &mut runs);
        runs.sort();
        match &runs[..] {
            [] => bail!("{} holds no plan.toml, and no folder below it does", shown(target)),
            [one] => return find(&one.display().to_string(), None, &[], &[]),
            some => bail!(
                "{} holds several runs; say which: {}",
                shown(target),
                some.iter().take(8).map(|run| shown(run)).collect::<Vec<_>>().join(", ")
            ),
        }
    }
    find(&arguments.target, arguments.scenario.as_deref(), &arguments.sets, &arguments.without_guard)
}

fn collect_runs(folder: &Path, depth: usize, runs: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if path.join("plan.toml").is_file() {
            runs.push(path);
        } else if 0 < depth {
            collect_runs(&path, depth - 1, runs);
        }
    }
}

fn default_out(target: &str, plan: &Plan) -> PathBuf {
    let path = Path::new(target);
    let folder = if path.is_dir() { Some(path) } else { path.parent().filter(|_| path.is_file()) };
    match folder {
        Some(folder) => folder.join("explained"),
        None => Path::new("reports").join(&plan.scenario).join(format!("explained/seed-{}", plan.seed.0)),
    }
}

/// One event with everything that was found out.
struct Explained {
    chronicle: Chronicle,
    /// Bad fates of the event, the worst first.
    evidence: Vec<Evidence>,
    verification: Option<Verification>,
}

fn tried(
    arguments: &ExplainArguments,
    plan: &Plan,
    outcome: &RunOutcome,
    evidence: &Evidence,
    stop: &std::sync::atomic::AtomicBool,
) -> Verification {
    let mut concrete = plan.clone();
    concrete.faults = pinned(plan, outcome);
    concrete.chaos = None;
    let candidates = cures(&concrete, evidence);
    let trial = Trial {
        plan: &concrete,
        harm: (evidence.place, evidence.kind),
        runs: arguments.runs,
        jobs: arguments.jobs.unwrap_or_else(jobs_default).max(1),
        stop: &|| stop.load(std::sync::atomic::Ordering::Relaxed),
    };
    let rounds = (arguments.runs as u64).div_ceil(10) * (candidates.len() as u64 + 1);
    let mut progress = Progress::new(rounds, "round");
    let verification = verify(&trial, candidates, &mut |change| progress.advance(1, change));
    progress.finish();
    verification
}

// --- what is printed ---

fn print_head(plan: &Plan, outcome: &RunOutcome, same: bool) {
    let cell = if plan.cell.is_empty() { String::new() } else { format!("[{}]  ", plan.cell) };
    outln!(
        "{}  {}  {}",
        word(outcome.verdict),
        paint(Tone::Strong, &escaped(&plan.scenario)),
        paint(Tone::Muted, &escaped(&format!("{cell}seed {}", plan.seed.0)))
    );
    if !same {
        outln!(
            "  {}",
            paint(Tone::Violated, "this is not the recorded run: its digest differs; `hikyaku replay` says where")
        );
    }
}

fn print_nothing(outcome: &RunOutcome) {
    if outcome.reasons.is_empty() {
        outln!("  nothing to explain: no event was lost, repeated with harm, overwritten or left behind");
    } else {
        outln!("  no event has a bad fate; what the run is judged by is not about one:");
    }
    let reasons = outcome.reasons.iter().flat_map(|reason| wrapped(&escaped(reason), WIDTH));
    reasons.for_each(|line| outln!("  {line}"));
}

fn print(explained: &Explained, plan: &Plan, files: &[PathBuf]) {
    let text = story(explained, plan, Length::Abridged);
    outln!();
    text.iter().for_each(|(tone, line)| outln!("{}", paint(*tone, &escaped(line))));
    let names: Vec<String> = files.iter().map(|file| shown(file)).collect();
    outln!("  {}  {}", paint(Tone::Muted, "files"), names.join("  "));
}

#[derive(Clone, Copy, PartialEq)]
enum Length {
    Abridged,
    Whole,
}

/// The explanation as lines.
fn story(explained: &Explained, plan: &Plan, length: Length) -> Vec<(Tone, String)> {
    let Explained { chronicle, evidence, verification } = explained;
    let words = Words::new(plan);
    let mut lines: Vec<(Tone, String)> = Vec::new();
    let paragraph = |lines: &mut Vec<(Tone, String)>, tone: Tone, indent: usize, text: &str| {
        let broken = wrapped(text, WIDTH - indent);
        lines.extend(broken.into_iter().map(|line| (tone, format!("{}{line}", " ".repeat(indent)))));
    };
    match evidence.first() {
        Some(found) => paragraph(&mut lines, Tone::Strong, 2, &found.message),
        None => paragraph(&mut lines, Tone::Strong, 2, &format!("{} has no bad fate", chronicle.event)),
    }
    evidence.iter().skip(1).for_each(|other| paragraph(&mut lines, Tone::Plain, 2, &other.message));
    lines.push((Tone::Plain, String::new()));
    let mut answers = |question: &str, answers: Vec<String>| {
        for (number, answer) in answers.iter().enumerate() {
            let question = if number == 0 { question } else { "" };
            lines.push((Tone::Plain, format!("  {question:<20}{answer}")));
        }
    };
    answers("in the queue?", words.in_the_queue(chronicle));
    answers("consumer running?", chronicle.consumers.iter().map(|consumer| words.consumer(consumer)).collect());
    let standings = standing::lines(&chronicle.standings, plan);
    let places = standings.iter().map(|(place, _)| width(place)).max().unwrap_or(0);
    for (number, (place, what)) in standings.iter().enumerate() {
        let question = if number == 0 { "how far?" } else { "" };
        let gap = " ".repeat(places - width(place));
        lines.push((Tone::Plain, format!("  {question:<20}{place}{gap}  {what}")));
    }
    lines.push((Tone::Plain, String::new()));
    lines.push((Tone::Strong, format!("  the story of {}", chronicle.event)));
    let (shown, left_out) = match length {
        Length::Abridged => abridged(&chronicle.lines),
        Length::Whole => (chronicle.lines.iter().collect(), None),
    };
    let names = shown.iter().map(|line| width(&words.names().node(line.node))).max().unwrap_or(0);
    for (number, line) in shown.into_iter().enumerate() {
        if let Some((before, count)) = left_out
            && before == number
        {
            lines.push((Tone::Muted, format!("    {:>12}  … {count} lines left out; story.txt has them", "")));
        }
        let tone = if line.what.struck() || is_gone(&line.what) { Tone::Violated } else { Tone::Plain };
        let node = words.names().node(line.node);
        let gap = " ".repeat(names - width(&node));
        lines.push((tone, format!("    {:>12}  {node}{gap}  {}", seconds(line.time), words.sentence(line))));
    }
    lines.push((Tone::Plain, String::new()));
    if let Some(found) = evidence.first()
        && let Some(blame) = &found.blame
    {
        lines.push((Tone::Plain, format!("  {:<9}{}", "promise", promise(blame.boundary))));
        let broken = broken(plan, blame);
        for (number, line) in wrapped(&broken, WIDTH - 11).into_iter().enumerate() {
            lines.push((Tone::Plain, format!("  {:<9}{line}", if number == 0 { "broken" } else { "" })));
        }
        let owner = owner(plan, blame);
        lines.push((Tone::Plain, format!("  {:<9}{owner}", "owner")));
        lines.push((Tone::Plain, String::new()));
    }
    if let Some(verification) = verification {
        lines.extend(changes(verification, plan));
    }
    lines
}

fn changes(verification: &Verification, plan: &Plan) -> Vec<(Tone, String)> {
    let words = Words::new(plan);
    let (broken, of) = verification.before;
    let helps: Vec<_> = verification.tried.iter().filter(|tried| verification.is_verified(tried)).collect();
    let column = helps.iter().map(|tried| width(&tried.cure.change)).max().unwrap_or(0).clamp(20, 96);
    let figures = |(broken, of): (u64, u64)| format!("broken in {broken} of {of}");
    let pad = |text: &str| format!("{text}{}", " ".repeat(column.saturating_sub(width(text))));
    let title = "  what one change would do: the same faults, pinned, under other latencies and times of work, up to 50 ms sooner or later";
    let mut lines = vec![
        (Tone::Strong, title.to_string()),
        (Tone::Plain, format!("      {}  {}", pad("as it is"), figures((broken, of)))),
    ];
    if broken < ENOUGH_BEFORE {
        let least = counted(ENOUGH_BEFORE, "broken rerun");
        let text = format!("      fewer than {least}: the others avoid it, and no change can be shown to help");
        lines.push((Tone::Plain, text));
        return lines;
    }
    for tried in &helps {
        lines.push((Tone::Holds, format!("    ✓ {}  {}  verified", pad(&tried.cure.change), figures(tried.after))));
        if let Some(((place, kind), count)) = tried.instead {
            let harm = format!(
                "        but then {} is {} in {count} of {}",
                words.names().place(place),
                harm(kind),
                tried.after.1
            );
            lines.push((Tone::Plain, harm));
        }
    }
    if helps.is_empty() && verification.left == 0 {
        lines.push((Tone::Plain, "    ✗ no single change that is known here keeps the promise".to_string()));
    }
    let idle = verification.tried.iter().filter(|tried| !verification.is_verified(tried));
    let idle: Vec<String> =
        idle.map(|tried| format!("{} ({} of {})", tried.cure.change, tried.after.0, tried.after.1)).collect();
    if !idle.is_empty() {
        let text = format!("still broken with: {}", idle.join("; "));
        lines.extend(wrapped(&text, WIDTH - 6).into_iter().map(|line| (Tone::Muted, format!("      {line}"))));
    }
    if verification.left > 0 {
        lines.push((
            Tone::Plain,
            format!("      interrupted: {} not tried", counted(verification.left as u64, "change")),
        ));
    }
    lines
}

fn harm(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Lost => "without some effects",
        EvidenceKind::RepeatedHarmful => "given some effects twice",
        EvidenceKind::Stale => "left with older versions",
        EvidenceKind::Phantom => "given effects that were refused",
        EvidenceKind::Reordered => "out of order",
        EvidenceKind::Pending => "still waiting at the end",
        EvidenceKind::Parked => "given up to dead letters",
        EvidenceKind::RepeatedHarmless => "repeated without harm",
    }
}

// --- what is written ---

fn write_story(explained: &Explained, plan: &Plan, token: &str, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", shown(folder)))?;
    let text: String =
        story(explained, plan, Length::Whole).iter().map(|(_, line)| format!("{}\n", escaped(line))).collect();
    let title = match explained.evidence.first() {
        Some(found) => found.message.clone(),
        None => format!("{} has no bad fate", explained.chronicle.event),
    };
    let cell = if plan.cell.is_empty() { String::new() } else { format!(", {}", plan.cell) };
    let subtitle = format!("{}{cell}, seed {}. {}", plan.scenario, plan.seed.0, plan.about);
    let footer = format!("hikyaku explain {token} --event {}", explained.chronicle.event);
    let figure =
        diagram(&explained.chronicle, plan, printable(&title), printable(&subtitle), printable(&footer)).draw();
    let files = [
        ("story.txt", text.into_bytes()),
        ("story.svg", figure.svg.into_bytes()),
        ("story.png", figure.png),
        ("story.csv", figure.csv.into_bytes()),
    ];
    let mut written = Vec::new();
    for (name, bytes) in files {
        let path = folder.join(name);
        write(&path, &bytes)?;
        written.push(path);
    }
    Ok(written)
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Lines<'a> {
    scenario: &'a str,
    cell: &'a str,
    seed: u64,
    token: &'a str,
    /// Whether this is the run that was recorded.
    same: bool,
    events: Vec<EventLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct EventLine<'a> {
    event: String,
    findings: &'a [Evidence],
    copies: &'a [CopyAtEnd],
    consumers: &'a [ConsumerAtEnd],
    standings: Vec<StandingLine>,
    story: Vec<StoryLine>,
    changes: Option<ChangesLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StandingLine {
    place: String,
    what: String,
    stage: Stage,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StoryLine {
    seconds: f64,
    node: String,
    what: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ChangesLine<'a> {
    broken_before: u64,
    of: u64,
    changes: Vec<ChangeLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ChangeLine<'a> {
    change: &'a str,
    broken: u64,
    of: u64,
    verified: bool,
}

impl Explained {
    /// What its worst fate is, and where.
    fn harm(&self) -> Option<Harm> {
        self.evidence.first().map(|evidence| (evidence.place, evidence.kind))
    }

    fn line<'a>(&'a self, plan: &Plan) -> EventLine<'a> {
        let words = Words::new(plan);
        let line = |line: &crate::checks::chronicle::Line| StoryLine {
            seconds: line.time.0 as f64 / 1e9 - crate::types::Time::LOAD_START.0 as f64 / 1e9,
            node: words.names().node(line.node).to_string(),
            what: words.sentence(line),
        };
        let changes = self.verification.as_ref().map(|verification| ChangesLine {
            broken_before: verification.before.0,
            of: verification.before.1,
            changes: verification
                .tried
                .iter()
                .map(|tried| ChangeLine {
                    change: &tried.cure.change,
                    broken: tried.after.0,
                    of: tried.after.1,
                    verified: verification.is_verified(tried),
                })
                .collect(),
        });
        EventLine {
            event: self.chronicle.event.to_string(),
            findings: &self.evidence,
            copies: &self.chronicle.copies,
            consumers: &self.chronicle.consumers,
            standings: standing::lines(&self.chronicle.standings, plan)
                .into_iter()
                .zip(&self.chronicle.standings)
                .map(|((place, what), standing)| StandingLine { place, what, stage: standing.stage.clone() })
                .collect(),
            story: self.chronicle.lines.iter().map(line).collect(),
            changes,
        }
    }
}

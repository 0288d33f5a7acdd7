//! `hikyaku review`: the checklist of a design review, each point with evidence from runs, as text, Markdown and a page.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use crate::explore::review::{Answer, Effort, Point, Review, Reviewed, review};
use crate::report::progress::Progress;
use crate::report::review as written;
use crate::report::sweep::commands::quoted;
use crate::report::{html, review::Mark};
use crate::scenario::{self, printable};
use crate::types::Seed;

use super::artefacts::write;
use super::run::{jobs_default, stop_on_interrupt};
use super::{Exit, Format};

#[derive(Debug, Args)]
#[command(after_help = "\
Each point is answered by what happens to the system: consumers are killed at each step and given each message twice, leaders crash,
connections break, other systems fall silent. The faults and bounds of the file are laid aside for that; what it tolerates at a place
counts, a hazard that it demands does not, and a place without an expectation owes one effect for each event.
Exit code 1: some point is a no.")]
pub struct ReviewArguments {
    /// The scenario file.
    scenario: PathBuf,
    /// Lay this key over the file, as `style=pub-sub`; a family of cells has to be pinned to one.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Only these points, as `headroom,owners`.
    #[arg(long = "point", value_name = "ID,…", value_delimiter = ',', value_parser = parse_point)]
    points: Vec<Point>,
    /// Runs of each probe, before and after a change.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    runs: u64,
    /// Where to write [default: reports/<scenario>/review].
    #[arg(long, value_name = "DIR", env = "HIKYAKU_OUT")]
    out: Option<PathBuf>,
    /// Runs at once [default: one for each core].
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn parse_point(text: &str) -> Result<Point, String> {
    let known = || Point::ALL.iter().map(|point| point.id());
    Point::ALL.iter().copied().find(|point| point.id() == text).ok_or_else(|| {
        let near = known()
            .min_by_key(|id| strsim::damerau_levenshtein(text, id))
            .filter(|id| strsim::damerau_levenshtein(text, id) <= 3);
        let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
        format!("no point has this id; {near}there are {}", known().collect::<Vec<_>>().join(", "))
    })
}

pub fn run(arguments: &ReviewArguments) -> anyhow::Result<Exit> {
    let family = match scenario::load(&arguments.scenario, &arguments.sets) {
        Ok(family) => family,
        Err(problems) => {
            anstream::eprintln!("{}", problems.render(true));
            return Ok(Exit::Usage);
        }
    };
    let [cell] = &family.cells[..] else {
        bail!(
            "the scenario is a family of {} cells, from `{}` to `{}`: pin one with --set AXIS=VALUE",
            family.cells.len(),
            family.cells[0].id,
            family.cells[family.cells.len() - 1].id
        );
    };
    let plan = cell.plan(Seed(0));
    let load = |more: &[String]| {
        let all: Vec<String> = arguments.sets.iter().chain(more).cloned().collect();
        let family = scenario::load(&arguments.scenario, &all).ok()?;
        family.cells.first().map(|cell| cell.plan(Seed(0)))
    };
    let stop = stop_on_interrupt()?;
    let effort = Effort { runs: arguments.runs, jobs: arguments.jobs.unwrap_or_else(jobs_default).max(1), stop: &stop };
    let points: Vec<Point> = if arguments.points.is_empty() { Point::ALL.to_vec() } else { arguments.points.clone() };
    let mut progress = Progress::new(points.len() as u64, "point");
    let found = review(plan, &effort, &load, &points, &mut |point| progress.advance(1, point.id()));
    progress.finish();
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("reports").join(&family.name).join("review"));
    let report = report(arguments, &family.about, &family.name, &found, &out);
    write_all(&found, &report, &out)?;
    match arguments.format {
        Format::Human => {
            out!("{}", written::terminal(&report));
            let folder = printable(&out.display().to_string());
            outln!("  report  {folder}/review.html review.md review.json");
        }
        Format::Json => outln!("{}", as_json(&report)?),
    }
    Ok(match report.count(Mark::No) {
        _ if found.interrupted => Exit::Interrupted,
        0 => Exit::Holds,
        _ => Exit::Violated,
    })
}

fn report(arguments: &ReviewArguments, about: &str, name: &str, found: &Review, out: &Path) -> written::Review {
    let replay =
        |probe: &str, seed: u64| format!("hikyaku replay {}", quoted(&folder(out, probe, seed).display().to_string()));
    let of_point = |reviewed: &Reviewed| {
        let shown = |(broken, of): (u64, u64)| format!("{broken} of {of}");
        let change = reviewed.change.as_ref().map(|change| {
            let proof = match (change.before, change.after) {
                (Some(before), Some(after)) => {
                    format!("broken in {} runs before, in {} with it", shown(before), shown(after))
                }
                _ => format!("with it: {}", change.evidence),
            };
            (change.text.clone(), proof)
        });
        written::Point {
            id: reviewed.point.id().into(),
            claim: reviewed.point.claim().into(),
            mark: match reviewed.finding.answer {
                Answer::Yes => Mark::Yes,
                Answer::No => Mark::No,
                Answer::DoesNotApply => Mark::DoesNotApply,
            },
            evidence: reviewed.finding.evidence.clone(),
            change,
            tried: reviewed.tried.clone(),
            replay: reviewed.finding.seen.iter().map(|seen| replay(&seen.probe, seen.seed.0)).collect(),
        }
    };
    let probes = found.probes.iter().map(|probed| {
        let harms = found.harms.iter().find(|(name, _)| *name == probed.probe.name);
        written::ProbeRow {
            name: probed.probe.name.clone(),
            sentence: probed.probe.sentence.clone(),
            runs: probed.runs.len() as u64,
            struck: probed.runs.iter().filter(|run| !run.outcome.faults.is_empty()).count() as u64,
            harms: harms.map_or(Vec::new(), |(_, harms)| harms.clone()),
            replay: replay(&probed.probe.name, told_seed(found, &probed.probe.name)),
        }
    });
    let sets = arguments.sets.iter().map(|set| format!(" --set {}", quoted(set))).collect::<String>();
    let only: Vec<&str> = arguments.points.iter().map(|point| point.id()).collect();
    let only = if only.is_empty() { String::new() } else { format!(" --point {}", only.join(",")) };
    written::Review {
        scenario: name.into(),
        about: about.into(),
        points: found.points.iter().map(of_point).collect(),
        probes: probes.collect(),
        command: format!(
            "hikyaku review {}{sets}{only} --runs {}",
            quoted(&arguments.scenario.display().to_string()),
            arguments.runs
        ),
    }
}

/// The run of a probe that is written down: the first that showed something, or the first of all.
fn told_seed(found: &Review, probe: &str) -> u64 {
    let seen = found.points.iter().flat_map(|reviewed| &reviewed.finding.seen).find(|seen| seen.probe == probe);
    seen.map_or(0, |seen| seen.seed.0)
}

fn folder(out: &Path, probe: &str, seed: u64) -> PathBuf {
    out.join("probes").join(format!("{probe}-seed-{seed}"))
}

fn write_all(found: &Review, report: &written::Review, out: &Path) -> anyhow::Result<()> {
    let mut seeds: Vec<(&str, u64)> = found
        .points
        .iter()
        .flat_map(|reviewed| &reviewed.finding.seen)
        .map(|seen| (seen.probe.as_str(), seen.seed.0))
        .collect();
    seeds.extend(found.probes.iter().map(|probed| (probed.probe.name.as_str(), told_seed(found, &probed.probe.name))));
    seeds.sort();
    seeds.dedup();
    for (probe, seed) in seeds {
        let Some(probed) = found.probes.iter().find(|probed| probed.probe.name == probe) else { continue };
        let Some(run) = probed.runs.iter().find(|run| run.plan.seed.0 == seed) else { continue };
        let folder = folder(out, probe, seed);
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let text = toml::to_string(&run.plan).context("failed to write the plan")?;
        write(&folder.join("plan.toml"), text.as_bytes())?;
    }
    fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
    write(&out.join("review.md"), written::markdown(report).as_bytes())?;
    write(&out.join("review.html"), html::review::render(report).as_bytes())?;
    write(&out.join("review.json"), as_json(report)?.as_bytes())
}

fn as_json(report: &written::Review) -> anyhow::Result<String> {
    let of_point = |point: &written::Point| {
        json!({
            "id": point.id,
            "claim": point.claim,
            "answer": point.mark.word(),
            "evidence": point.evidence,
            "change": point.change.as_ref().map(|(change, _)| change),
            "proof": point.change.as_ref().map(|(_, proof)| proof),
            "tried": point.tried,
            "replay": point.replay,
        })
    };
    let of_probe = |probe: &written::ProbeRow| {
        json!({
            "name": probe.name,
            "fault": probe.sentence,
            "runs": probe.runs,
            "struck": probe.struck,
            "harms": probe.harms,
            "replay": probe.replay,
        })
    };
    let all = json!({
        "scenario": report.scenario,
        "answer": report.answer(),
        "points": report.points.iter().map(of_point).collect::<Vec<_>>(),
        "probes": report.probes.iter().map(of_probe).collect::<Vec<_>>(),
        "command": report.command,
    });
    serde_json::to_string_pretty(&all).context("failed to write the review")
}

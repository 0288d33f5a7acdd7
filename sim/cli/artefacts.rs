//! What `hikyaku run` leaves behind: histories, charts, the page, the Markdown, the verdict.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::study::Study;
use crate::checks::baseline::{ChartMessage, Comparison, compare};
use crate::checks::chronicle::{Chronicle, Chronicler};
use crate::checks::timeline::{Timeline, TimelineKeeper};
use crate::checks::{CellVerdict, RunOutcome, Verdict};
use crate::explore::difference::{Difference, first_difference};
use crate::explore::sweep::write_whole;
use crate::explore::{SeedRun, in_parallel};
use crate::history::export;
use crate::report::answer::Report;
use crate::report::charts::Figure;
use crate::report::figures::{self, figures};
use crate::report::html::stories::Story;
use crate::report::results::telling_seed;
use crate::report::run_figures::Featured;
use crate::report::{html, markdown};
use crate::scenario::plan::Plan;
use crate::types::{EventId, Seed, ServiceId};
use crate::world;

/// Events that are written down without `--all-histories`: about 300 MB. Most scenarios have some ten thousand events a
/// run and write every history one would ask for; a long one under load has more than a million in each.
pub const EVENTS_RECORDED: u64 = 2_000_000;

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
    /// What each chart says, the front page first.
    pub charts: Vec<ChartMessage>,
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

/// What was written, for the summary.
#[derive(Debug, Default)]
pub struct Written {
    pub figures: Vec<Figure>,
    pub paths: Vec<PathBuf>,
    /// Histories that were too much to write: how many, of how many events.
    pub left: (u64, u64),
    /// With the baseline, if there is one.
    pub comparison: Option<Comparison>,
    /// A recorded rerun gave another digest: cell, seed, and where two more runs part, if they do.
    pub nondeterministic: Option<(String, Seed, Option<Difference>)>,
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

/// Charts, pages, verdict, and the chosen histories.
pub fn write_all(study: &Study, out: &Path, most: u64, jobs: usize) -> anyhow::Result<Written> {
    let Study { family, runs, verdicts, .. } = study;
    let worth = |run: &SeedRun| Worth {
        cell: run.cell,
        failed: run.outcome.verdict == Verdict::Violated,
        events: run.report.events,
    };
    let histories = choose(&runs.iter().map(worth).collect::<Vec<_>>(), most);
    fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
    let folder_of = |run: usize| match runs.len() {
        1 => out.to_path_buf(),
        _ => out.join(folder_name(&family.cells[runs[run].cell].id)).join(format!("seed-{}", runs[run].seed.0)),
    };
    let made = make(study, &histories.written, &folder_of, jobs)?;
    for figure in &made.figures {
        write_figure(figure, out, figure.stem)?;
    }
    write(&out.join("index.html"), made.page.as_bytes())?;
    write(&out.join("report.md"), made.markdown.as_bytes())?;
    let recorded = |index: usize| histories.written.contains(&index) || histories.left.contains(&index);
    let lines = runs.iter().enumerate().map(|(index, run)| RunLine {
        cell: &family.cells[run.cell].id,
        seed: run.seed,
        digest: format!("{:032x}", run.report.digest),
        verdict: run.outcome.verdict,
        reasons: &run.outcome.reasons,
        outcome: recorded(index).then_some(&run.outcome),
    });
    let all = Verdicts {
        scenario: &family.name,
        about: &family.about,
        rows: &family.rows,
        verdict: study.verdict,
        seeds: study.seeds.clone(),
        cells: verdicts,
        charts: messages(&made.figures),
        runs: lines.collect(),
    };
    let text = serde_json::to_string_pretty(&all).context("failed to write the verdict")?;
    write(&out.join("verdict.json"), format!("{text}\n").as_bytes())?;
    let left = histories.left.iter().map(|index| runs[*index].report.events);
    Ok(Written {
        left: (left.len() as u64, left.sum()),
        paths: histories.written.iter().map(|run| folder_of(*run)).collect(),
        figures: made.figures,
        comparison: made.comparison,
        nondeterministic: made.nondeterministic,
    })
}

/// Picture, pixels and numbers of a figure.
pub fn write_figure(figure: &Figure, folder: &Path, name: &str) -> anyhow::Result<()> {
    write(&folder.join(format!("{name}.svg")), figure.svg.as_bytes())?;
    write(&folder.join(format!("{name}.png")), &figure.png)?;
    write(&folder.join(format!("{name}.csv")), figure.csv.as_bytes())
}

/// What people read, not written yet.
pub struct Made {
    /// Front page first.
    pub figures: Vec<Figure>,
    pub page: String,
    pub markdown: String,
    pub stories: Vec<Story>,
    comparison: Option<Comparison>,
    nondeterministic: Option<(String, Seed, Option<Difference>)>,
}

/// Runs once more what is recorded, told or looked at, and draws and writes down what came of it. The histories of the runs in
/// `recorded` go to their folders.
pub fn make(
    study: &Study,
    recorded: &[usize],
    folder_of: &(impl Fn(usize) -> PathBuf + Sync),
    jobs: usize,
) -> anyhow::Result<Made> {
    let Study { family, runs, .. } = study;
    let (told, stories_left) = study.to_tell();
    let featured = study.featured();
    let again = reruns(recorded, &told, featured);
    let seen = in_parallel(again.len(), jobs, |number| {
        let rerun = &again[number];
        let timeline = (rerun.run == featured).then(|| study.studied_service(rerun.run));
        let folder = rerun.recorded.then(|| folder_of(rerun.run));
        witness(&study.plan(rerun.run), rerun, timeline, folder.as_deref())
    });
    let mut nondeterministic = None;
    let mut chronicles: Vec<(usize, Vec<Chronicle>)> = Vec::new();
    let mut timeline: Option<Timeline> = None;
    for (rerun, seen) in again.iter().zip(seen) {
        let (run, seen) = (&runs[rerun.run], seen?);
        if seen.digest != run.report.digest && nondeterministic.is_none() {
            let plan = study.plan(rerun.run);
            let found = first_difference(&plan, |observer| drop(world::run(&plan, observer)));
            nondeterministic = Some((family.cells[run.cell].id.clone(), run.seed, found));
        }
        chronicles.push((rerun.run, seen.chronicles));
        timeline = timeline.or(seen.timeline);
    }
    let cells = study.cells();
    let plan = study.plan(featured);
    let with_incidents = cells.iter().find(|cell| telling_seed(cell).is_some());
    let plans: Vec<Plan> = with_incidents.map(|cell| study.plans_of(cell.id)).unwrap_or_default();
    let outcome = &runs[featured].outcome;
    let figures = figures(&figures::Study {
        cells: &cells,
        featured: timeline.as_ref().map(|timeline| Featured { plan: &plan, outcome, timeline }),
        incidents: with_incidents.map(|cell| (cell, &plans[..])),
        footer: &study.footer(),
    });
    let mut stories: Vec<Story> = Vec::new();
    for (run, _) in &told {
        let of_run = chronicles.iter_mut().find(|(other, _)| other == run);
        let followed = of_run.map(|(_, chronicles)| std::mem::take(chronicles)).unwrap_or_default();
        stories.extend(followed.into_iter().map(|chronicle| study.story(*run, chronicle)));
    }
    let mut warnings: Vec<String> = nondeterministic.iter().map(nondeterminism).collect();
    if let Some(wanted) = study.plans.first().and_then(|plan| plan.chart.as_deref())
        && figures.iter().all(|figure| figure.stem != wanted)
    {
        let stems: Vec<&str> = figures.iter().map(|figure| figure.stem).collect();
        warnings.push(format!("the chart `{wanted}` was not drawn; there are {}", stems.join(", ")));
    }
    let comparison = study.baseline.as_ref().map(|earlier| {
        let digests = runs.iter().map(|run| (family.cells[run.cell].id.as_str(), run.seed, run.report.digest));
        compare(earlier, study.verdict, &study.verdicts, digests, &messages(&figures))
    });
    let report = Report {
        scenario: &family.name,
        about: &family.about,
        rows: &family.rows,
        verdict: study.verdict,
        seeds: &study.seeds,
        cells: &cells,
        cells_planned: family.cells.len(),
        figures: &figures,
        stories: &stories,
        stories_left,
        faults: &study.faults(),
        commands: &page_commands(study, study.most_telling().or(runs.first())),
        digest: runs.first().map_or(0, |run| run.report.digest),
        baseline: comparison.as_ref(),
        warnings: &warnings,
    };
    let (page, markdown) = (html::render(&report), markdown::render(&report));
    Ok(Made { page, markdown, figures, stories, comparison, nondeterministic })
}

fn messages(figures: &[Figure]) -> Vec<ChartMessage> {
    figures.iter().map(|figure| ChartMessage { chart: figure.stem.into(), message: figure.title.clone() }).collect()
}

/// The commands of the page, with what each is for: everything again, then the run that is worth a second look.
fn page_commands(study: &Study, run: Option<&SeedRun>) -> Vec<(&'static str, String)> {
    let whole = match study.seeds == study.family.seeds {
        true => study.arguments.clone(),
        false => format!("{} --seeds {}..{}", study.arguments, study.seeds.start, study.seeds.end),
    };
    let of_run = run.map(|run| study.commands(run)).unwrap_or_default();
    let purpose = |what: &str| match what {
        "again" => "the most telling seed alone",
        "replay" => "the same run, or the first event that differs",
        "why" => "whose promise broke, and which change would have kept it",
        _ => "the smallest scenario that still shows it",
    };
    let of_run = of_run.into_iter().map(|(what, command)| (purpose(what), command));
    std::iter::once(("all of it", whole)).chain(of_run).collect()
}

pub fn nondeterminism((cell, seed, found): &(String, Seed, Option<Difference>)) -> String {
    let found = found.as_ref().map_or("two more runs were the same".into(), |found| found.to_string());
    format!("NOT DETERMINISTIC: cell `{cell}`, seed {} gave another digest when it was run again; {found}", seed.0)
}

/// A run that is done once more, to be written down or to follow some of its events.
struct Rerun<'a> {
    run: usize,
    recorded: bool,
    events: &'a [EventId],
}

fn reruns<'a>(recorded: &[usize], told: &'a [(usize, Vec<EventId>)], featured: usize) -> Vec<Rerun<'a>> {
    let mut reruns: Vec<Rerun> = recorded.iter().map(|run| Rerun { run: *run, recorded: true, events: &[] }).collect();
    for (run, events) in told {
        match reruns.iter_mut().find(|rerun| rerun.run == *run) {
            Some(rerun) => rerun.events = events,
            None => reruns.push(Rerun { run: *run, recorded: false, events }),
        }
    }
    if reruns.iter().all(|rerun| rerun.run != featured) {
        reruns.push(Rerun { run: featured, recorded: false, events: &[] });
    }
    reruns
}

/// What was seen in a rerun.
struct Seen {
    digest: u128,
    chronicles: Vec<Chronicle>,
    timeline: Option<Timeline>,
}

/// Runs once more, writes everything that happens into the folder if there is one, and follows events. `timeline`: keeps the run
/// over time, with the consuming service that is watched, if there is any.
fn witness(
    plan: &Plan,
    rerun: &Rerun,
    timeline: Option<Option<ServiceId>>,
    folder: Option<&Path>,
) -> anyhow::Result<Seen> {
    let mut recorder = folder.map(|folder| record(plan, folder)).transpose()?;
    let mut problem: Option<std::io::Error> = None;
    let mut chroniclers: Vec<Chronicler> = rerun.events.iter().map(|event| Chronicler::new(*event)).collect();
    let mut keeper = timeline.map(|service| TimelineKeeper::new(plan, service));
    let report = world::run(plan, |event| {
        if let Some(keeper) = &mut keeper {
            keeper.observe(event);
        }
        if let Some(recorder) = &mut recorder
            && problem.is_none()
        {
            problem = recorder.write(event).err();
        }
        chroniclers.iter_mut().for_each(|chronicler| chronicler.observe(event));
    });
    if let (Some(recorder), Some(folder)) = (recorder, folder) {
        let finished = problem.map_or(Ok(()), Err).and_then(|()| recorder.finish());
        finished.with_context(|| format!("failed to write the history in {}", folder.display()))?;
    }
    let chronicles = chroniclers.into_iter().map(|chronicler| chronicler.finish(plan)).collect();
    Ok(Seen { digest: report.digest, chronicles, timeline: keeper.map(TimelineKeeper::finish) })
}

/// Writes the plan, and opens the history.
fn record(plan: &Plan, folder: &Path) -> anyhow::Result<export::Recorder<BufWriter<fs::File>, BufWriter<fs::File>>> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let text = toml::to_string(plan).context("failed to write the plan")?;
    write(&folder.join("plan.toml"), text.as_bytes())?;
    let file = |name: &str| -> anyhow::Result<BufWriter<fs::File>> {
        let path = folder.join(name);
        Ok(BufWriter::new(fs::File::create(&path).with_context(|| format!("failed to write {}", path.display()))?))
    };
    export::Recorder::new(export::Names::of(plan), file("history.jsonl")?, file("history.csv")?)
        .context("failed to write history.csv")
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

    /// What people would get to see of a scenario.
    fn made(text: &str, seeds: std::ops::Range<u64>) -> Made {
        let family = crate::scenario::parse_text("stress", text, &[]);
        let family = family.unwrap_or_else(|problems| panic!("{}", problems.short()));
        let runs = crate::explore::run_family(
            &family,
            seeds.clone(),
            2,
            crate::checks::WaitOptions::default(),
            &std::sync::atomic::AtomicBool::new(false),
            |_| {},
        );
        let coverage = crate::checks::Coverage::SomeSeeds;
        let study = Study::new(&family, "hikyaku run stress.toml".into(), seeds, runs, coverage);
        make(&study, &[], &|_| PathBuf::new(), 1).expect("nothing is written")
    }

    fn drawn(text: &str, seeds: std::ops::Range<u64>) -> Vec<Figure> {
        made(text, seeds).figures
    }

    #[test]
    fn a_matrix_of_a_thousand_cells_is_a_page_that_can_be_sent() {
        let values = (1..=10).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
        let text = format!(
            "format = 1\nabout = \"A thousand cells\"\nduration = \"1s\"\n[cluster]\nbrokers = 1\n[topic.orders]\npartitions = 1\n\
             [store.db]\ntables = [\"bookings\"]\n[service.shop]\non = \"requests\"\nrate = \"5/s\"\nsteps = [\"publish orders\", \"respond ok\"]\n\
             [service.booking]\non = \"consume orders\"\nauto-offset-reset = \"earliest\"\nmax-poll-records = 500\nworkers = 1\n\
             steps = [\"insert-if-absent db.bookings\", \"commit\"]\n[expect]\ndb.bookings = \"exactly-once\"\n[matrix]\n\
             service.shop.workers = [{values}]\nservice.booking.workers = [{values}]\nservice.booking.max-poll-records = [{values}]\n"
        );
        let made = made(&text, 0..1);
        assert!(made.page.contains("1,000 cells") && made.page.matches("<tr>").count() > 2_000);
        assert!(made.page.len() < 5_000_000, "{} bytes", made.page.len());
        // Without it, a browser lays out every row of every table before it shows the page.
        assert!(made.page.contains("content-visibility:auto"));
    }

    fn assert_clean(what: &str, figures: &[Figure], least: usize) {
        assert!(
            least <= figures.len(),
            "{what}: only {:?}",
            figures.iter().map(|figure| figure.stem).collect::<Vec<_>>()
        );
        let blemishes =
            figures.iter().flat_map(|figure| figure.blemishes.iter().map(|found| format!("{}: {found}", figure.stem)));
        assert_eq!(blemishes.collect::<Vec<_>>(), Vec::<String>::new(), "{what}");
    }

    /// Sixty characters.
    const LONG: &str = "a-thing-whose-name-nobody-wanted-to-shorten-in-sixty-letters";

    fn stressed(partitions: u32, rate: &str, work: &str, rest: &str) -> String {
        format!(
            "format = 1\nabout = \"{LONG}, and what becomes of it: {LONG}\"\nduration = \"10s\"\ndrain = \"5s\"\n\
             [cluster]\nbrokers = 1\n[topic.{LONG}]\npartitions = {partitions}\n[store.{LONG}-s]\ntables = [\"{LONG}\"]\n\
             [service.{LONG}-a]\non = \"requests\"\nrate = \"{rate}\"\nworkers = 64\nsteps = [\"publish {LONG} async\", \"respond ok\"]\n\
             [service.{LONG}-b]\non = \"consume {LONG}\"\nauto-offset-reset = \"earliest\"\n\
             steps = [\"work {work}\", \"add {LONG}-s.{LONG}\", \"commit every batch\"]\n{rest}"
        )
    }

    #[test]
    fn no_label_of_a_real_run_touches_another_or_leaves_the_paper() {
        let place = format!("\"{LONG}-s.{LONG}\" = \"at-least-once\"");
        let lag = format!("\"{LONG}-b.lag-max\" = \"any\"");
        let fault = |from: &str| format!("[fault]\n{LONG} = \"at {from} for 2s pause {LONG}-s\"\n");
        let judged = format!("[expect]\n{place}\n{lag}\n");
        // Six digits of records, two hundred partitions, one seed, no fault.
        let many = stressed(200, "11000/s", "1us", &judged);
        assert_clean("many partitions, six digits, one seed, no fault", &drawn(&many, 0..1), 3);
        // One partition, and a backlog of which nothing is recovered while requests arrive.
        let never = stressed(1, "100/s", "20ms", &format!("{}{judged}", fault("3s")));
        assert_clean("one partition, one seed, nothing recovered", &drawn(&never, 0..1), 4);
        // Two hundred partitions under a fault, in cells with names as long as names may be.
        let names = format!(
            "[matrix]\n{LONG}-x = [\"{LONG}-1\", \"{LONG}-2\"]\n[variant.{LONG}-1]\n[variant.{LONG}-2]\n\
             service.{LONG}-b.steps = [\"work 1ms\", \"add {LONG}-s.{LONG}\", \"commit-async every 10\"]\n"
        );
        let cells = stressed(200, "200/s", "1ms", &format!("{}{names}{judged}", fault("3s")));
        assert_clean("many partitions, long names, two cells", &drawn(&cells, 0..2), 5);
    }
}

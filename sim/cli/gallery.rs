//! `hikyaku gallery`: the charts that the README and a newcomer look at, made anew from the shipped scenarios. They are files of the
//! repository, and equal bytes on every machine: what differs is stale.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use clap::Args;

use super::Exit;
use super::artefacts::{Made, make, write};
use super::run::jobs_default;
use super::study::Study;
use crate::checks::{Coverage, WaitOptions};
use crate::explore::run_family;
use crate::report::charts::Figure;
use crate::report::chronicle::diagram;
use crate::scenario;

#[derive(Debug, Args)]
pub struct GalleryArguments {
    /// Where to write.
    #[arg(long, value_name = "DIR", default_value = "reports/gallery")]
    out: PathBuf,
    /// Only the pictures of these scenarios.
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    only: Vec<String>,
    /// Write nothing; say which files are stale, with exit code 1.
    #[arg(long)]
    check: bool,
    /// Runs at once [default: one for each core]. The result does not depend on it.
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
}

/// Pictures of one scenario.
struct Exhibit {
    scenario: &'static str,
    /// Laid over it, so that it runs in seconds.
    sets: &'static [&'static str],
    seeds: std::ops::Range<u64>,
    /// Stems of its charts.
    charts: &'static [&'static str],
    /// The name of its page, and whether the story of its worst event is told.
    page: Option<&'static str>,
    story: bool,
}

const EXHIBITS: [Exhibit; 6] = [
    Exhibit {
        scenario: "backlog_recovery_versus_headroom",
        sets: &["service.shop.rate=20/s"],
        seeds: 0..5,
        charts: &["recovery-vs-headroom", "backlog", "freshness", "seeds", "sizing", "cumulative"],
        page: None,
        story: false,
    },
    Exhibit {
        scenario: "backlog_recovery_after_consumer_crash",
        sets: &[
            "service.shop.rate=40/s",
            "topic.orders.partitions=6",
            "service.billing.instances=4",
            "fault.outage=at 60s for 60s crash any(1, billing)",
            "duration=240s",
        ],
        seeds: 0..1,
        charts: &["headroom-waterfall", "ownership", "partition-lag", "latency"],
        page: None,
        story: false,
    },
    Exhibit {
        scenario: "commit_place_decides_loss_or_repetition",
        sets: &[],
        seeds: 0..4,
        charts: &["guarantees"],
        page: None,
        story: false,
    },
    Exhibit {
        scenario: "acks_1_loses",
        sets: &[],
        seeds: 0..8,
        charts: &["outcomes", "loss-dup-timeline", "in-sync-replicas"],
        page: None,
        story: false,
    },
    Exhibit {
        scenario: "acks_and_commits_have_a_price",
        sets: &[],
        seeds: 0..3,
        charts: &["cost"],
        page: None,
        story: false,
    },
    Exhibit {
        scenario: "marker_before_work_loses",
        sets: &[],
        seeds: 0..20,
        charts: &[],
        page: Some("report.html"),
        story: true,
    },
];

pub fn gallery(arguments: &GalleryArguments) -> anyhow::Result<Exit> {
    if let Some(unknown) = arguments.only.iter().find(|name| EXHIBITS.iter().all(|one| one.scenario != **name)) {
        let known: Vec<&str> = EXHIBITS.iter().map(|one| one.scenario).collect();
        bail!("`{}` is not in the gallery; there are {}", scenario::printable(unknown), known.join(", "));
    }
    let jobs = arguments.jobs.unwrap_or_else(jobs_default);
    let wanted =
        |exhibit: &&Exhibit| arguments.only.is_empty() || arguments.only.iter().any(|name| name == exhibit.scenario);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut catalogue: Vec<Shown> = Vec::new();
    for exhibit in EXHIBITS.iter().filter(wanted) {
        catalogue.extend(hang(exhibit, &mut files, jobs)?);
    }
    let whole = arguments.only.is_empty();
    if whole {
        files.insert("README.md".into(), index(&catalogue).into_bytes());
    }
    let folder = &arguments.out;
    if !arguments.check {
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        for (name, bytes) in &files {
            write(&folder.join(name), bytes)?;
        }
        outln!("{} files in {}", files.len(), scenario::printable(&folder.display().to_string()));
        return Ok(Exit::Holds);
    }
    let mut stale: Vec<String> = files
        .iter()
        .filter(|(name, bytes)| fs::read(folder.join(name)).ok().as_ref() != Some(bytes))
        .map(|(name, _)| name.clone())
        .collect();
    if whole {
        let entries = fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
        let there = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        stale.extend(there.filter(|name| !files.contains_key(name)));
    }
    stale.sort();
    for name in &stale {
        outln!("stale: {}", scenario::printable(&folder.join(name).display().to_string()));
    }
    Ok(if stale.is_empty() { Exit::Holds } else { Exit::Violated })
}

/// One file of the gallery, for its index.
struct Shown {
    name: String,
    title: String,
    command: String,
}

/// Runs a scenario and gives its pictures.
fn hang(exhibit: &Exhibit, files: &mut BTreeMap<String, Vec<u8>>, jobs: usize) -> anyhow::Result<Vec<Shown>> {
    let path = Path::new("scenarios").join(format!("{}.toml", exhibit.scenario));
    let sets: Vec<String> = exhibit.sets.iter().map(|set| set.to_string()).collect();
    let family = match scenario::load(&path, &sets) {
        Ok(family) => family,
        Err(problems) => bail!("{}", problems.render(false)),
    };
    let runs =
        run_family(&family, exhibit.seeds.clone(), jobs, WaitOptions::default(), &AtomicBool::new(false), |_| {});
    let command =
        sets.iter().fold(format!("hikyaku run {}", path.display()), |text, set| format!("{text} --set '{set}'"));
    let study = Study::new(&family, command, exhibit.seeds.clone(), runs, Coverage::SomeSeeds);
    let made = make(&study, &[], &|_| unreachable!("nothing is recorded"), jobs)?;
    let command = format!("{} --seeds {}..{}", study.arguments, exhibit.seeds.start, exhibit.seeds.end);
    let mut shown = Vec::new();
    for stem in exhibit.charts {
        let figure = made.figures.iter().find(|figure| figure.stem == *stem);
        let figure = figure.with_context(|| format!("{} has no chart `{stem}` any more", exhibit.scenario))?;
        shown.push(frame(figure, stem, &command, files));
    }
    if exhibit.story {
        let figure = story(&made).with_context(|| format!("{} has no story any more", exhibit.scenario))?;
        shown.push(frame(&figure, "story", &command, files));
    }
    if let Some(name) = exhibit.page {
        files.insert(name.into(), made.page.into_bytes());
    }
    Ok(shown)
}

fn frame(figure: &Figure, name: &str, command: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Shown {
    files.insert(format!("{name}.svg"), figure.svg.clone().into_bytes());
    files.insert(format!("{name}.png"), figure.png.clone());
    files.insert(format!("{name}.csv"), figure.csv.clone().into_bytes());
    Shown { name: name.to_string(), title: figure.title.clone(), command: command.to_string() }
}

/// The message-sequence diagram of the first story.
fn story(made: &Made) -> Option<Figure> {
    let story = made.stories.first()?;
    let subtitle = format!("{}. {}", story.place(), story.plan.about);
    Some(diagram(&story.chronicle, &story.plan, story.title(), subtitle, story.command.clone()).draw())
}

fn index(catalogue: &[Shown]) -> String {
    let mut text = String::from(
        "# Gallery\n\nMade by `hikyaku gallery` from the shipped scenarios; `hikyaku gallery --check` says what is stale.\n\
         Each picture is there as SVG, as PNG and as the numbers in it (CSV). [`report.html`](report.html) is a whole report.\n",
    );
    for shown in catalogue {
        text += &format!(
            "\n## {}\n\n![{}]({}.svg)\n\n```sh\n{}\n```\n",
            shown.title, shown.title, shown.name, shown.command
        );
    }
    text
}

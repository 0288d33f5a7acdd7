//! `hikyaku size`: how many instances and partitions a stated objective takes, by theory and by runs.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::explore::size::{Objective, Point, Question, Refusal, Study, Tried, evenness, study};
use crate::report::numbers::{counted, multiple, seconds};
use crate::report::sweep::commands::quoted;
use crate::report::table::{Align, Cell, Table};
use crate::report::terminal::{Tone, escaped, paint, wrapped};
use crate::theory::statistics::{Z95, mean_and_deviation};
use crate::types::Duration;

use super::run::{jobs_default, stop_on_interrupt};
use super::{Exit, Format};
use crate::report::progress::Progress;

const WIDTH: usize = 110;

#[derive(Debug, Args)]
#[command(after_help = "\
At least one objective is needed: --recover, --wait-p99 or --lag-max. The outage is the longest crash or pause of the service, or of a
store or endpoint, that the file states; without one, all instances crash. A point meets an objective if every run does, and if no
promise of the file breaks on the way: a backlog that retention removes is not recovered from.
Exit code 1: no number of instances that is allowed meets the objective.")]
pub struct SizeArguments {
    /// The scenario file.
    scenario: PathBuf,
    /// The consuming service to size [default: the only one].
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// After the outage, the backlog must be gone within this.
    #[arg(long, value_name = "DURATION")]
    recover: Option<Duration>,
    /// Length of the outage [default: as the file states it].
    #[arg(long, value_name = "DURATION", requires = "recover")]
    outage: Option<Duration>,
    /// In steady state, 99 % of the records may wait this long.
    #[arg(long, value_name = "DURATION")]
    wait_p99: Option<Duration>,
    /// In steady state, at most so many records may wait.
    #[arg(long, value_name = "N")]
    lag_max: Option<u64>,
    /// Instances that may be lost meanwhile.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..1000))]
    losing: u32,
    /// Never more instances than this.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..1000))]
    most_instances: u32,
    /// The partitions stay as the file has them.
    #[arg(long)]
    keep_partitions: bool,
    /// Lay this key over the file, as `service.shop.rate=200/s`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Runs at each point.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    runs: u64,
    /// Runs at once [default: one for each core].
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn size(arguments: &SizeArguments) -> anyhow::Result<Exit> {
    let objectives: Vec<Objective> = [
        arguments.recover.map(Objective::Recovery),
        arguments.wait_p99.map(Objective::WaitP99),
        arguments.lag_max.map(Objective::LagMax),
    ]
    .into_iter()
    .flatten()
    .collect();
    if objectives.is_empty() {
        bail!("no objective: say what must hold with --recover DURATION, --wait-p99 DURATION or --lag-max N");
    }
    if [arguments.recover, arguments.outage, arguments.wait_p99].iter().flatten().any(|length| length.is_zero()) {
        bail!("an objective or an outage of no length asks for nothing: write a duration such as 30s");
    }
    if arguments.most_instances <= arguments.losing {
        bail!("--most-instances {} leaves none when {} are lost", arguments.most_instances, arguments.losing);
    }
    let stop = stop_on_interrupt()?;
    let question = Question {
        scenario: arguments.scenario.display().to_string(),
        sets: arguments.sets.clone(),
        service: arguments.service.clone(),
        objectives,
        outage: arguments.outage,
        losing: arguments.losing,
        most_instances: arguments.most_instances,
        keeps_partitions: arguments.keep_partitions,
        runs: arguments.runs,
        jobs: arguments.jobs.unwrap_or_else(jobs_default).max(1),
        stop: &stop,
    };
    // How many points it takes is not known before: each has a bar of its own.
    let of_point = question.runs * question.objectives.len() as u64;
    let mut under_way: Option<(Point, Progress)> = None;
    let result = study(&question, &mut |point| {
        if under_way.as_ref().is_none_or(|(other, _)| *other != point) {
            under_way.take().into_iter().for_each(|(_, progress)| progress.finish());
            under_way = Some((point, Progress::new(of_point, "run")));
        }
        under_way.iter_mut().for_each(|(_, progress)| progress.advance(1, &named(point)));
    });
    under_way.into_iter().for_each(|(_, progress)| progress.finish());
    let study = match result {
        Ok(study) => study,
        Err(Refusal::Invalid(problems)) => {
            anstream::eprintln!("{}", problems.render(true));
            return Ok(Exit::Usage);
        }
        Err(Refusal::Usage(why)) => bail!("{why}"),
    };
    match arguments.format {
        Format::Human => out!("{}", render(&study, &question)),
        Format::Json => outln!("{}", serde_json::to_string_pretty(&as_json(&study, &question))?),
    }
    Ok(match study.answer {
        _ if study.interrupted => Exit::Interrupted,
        Some(_) => Exit::Holds,
        None => Exit::Violated,
    })
}

fn named(point: Point) -> String {
    let instances = counted(u64::from(point.instances), "instance");
    format!("{instances} · {}", counted(u64::from(point.partitions), "partition"))
}

/// The answer in one sentence, or that there is none.
fn answer(study: &Study) -> String {
    let service = &study.site.service;
    let wanted = wanted(study);
    match study.answer {
        Some(index) => {
            let tried = &study.tried[index];
            let busiest = match study.losing {
                _ if (tried.nominal - tried.effective).abs() < 0.005 => String::new(),
                0 => format!(", {} at the busiest", multiple(tried.effective)),
                lost => format!(", {} at the busiest with {lost} lost", multiple(tried.effective)),
            };
            format!(
                "{} of {service} on {}: {} on paper{busiest}; {wanted}",
                counted(u64::from(tried.point.instances), "instance"),
                counted(u64::from(tried.point.partitions), "partition"),
                multiple(tried.nominal),
            )
        }
        None => format!("no number of instances of {service} that is allowed will do: {wanted}"),
    }
}

fn wanted(study: &Study) -> String {
    let trials = study.tried.first().map_or(&[][..], |tried| &tried.trials);
    let each = trials.iter().map(|trial| match (trial.objective, &study.outage) {
        (Objective::Recovery(within), Some(outage)) => {
            format!("recovers from {} within {}", seconds(outage.length.as_seconds()), seconds(within.as_seconds()))
        }
        (objective, _) => asked(objective),
    });
    each.collect::<Vec<_>>().join(", ")
}

fn asked(objective: Objective) -> String {
    match objective {
        Objective::Recovery(within) => format!("recovered within {}", seconds(within.as_seconds())),
        Objective::WaitP99(within) => format!("99 % wait at most {}", seconds(within.as_seconds())),
        Objective::LagMax(most) => format!("at most {} wait", counted(most, "record")),
    }
}

fn render(study: &Study, question: &Question) -> String {
    let mut text = String::new();
    let word = if study.answer.is_some() { paint(Tone::Holds, "SIZED") } else { paint(Tone::Violated, "NOT MET") };
    let heading = paint(Tone::Strong, &escaped(&study.scenario));
    text += &format!("{word}  {heading}  {}\n", paint(Tone::Muted, &counted(question.runs, "run")));
    text += &paragraph(&answer(study));
    if let Some(note) = partitions_note(study) {
        text += &paragraph(&note);
    }
    if study.interrupted {
        text += &paragraph("interrupted: what stands here is not finished");
    }
    text += "\n";
    text += &table(study).render(2);
    text += &format!("\n  {}\n", paint(Tone::Strong, "how many it takes, and why"));
    for step in &study.steps {
        let count = step.instances.map_or("–".to_string(), |count| count.to_string());
        for (number, line) in wrapped(&escaped(&step.why), WIDTH - 12).iter().enumerate() {
            text += &format!("  {:>8}  {line}\n", if number == 0 { count.as_str() } else { "" });
        }
    }
    for broken in study.tried.iter().flat_map(|tried| tried.trials.iter().flat_map(|trial| &trial.broken)).take(3) {
        text += &paragraph(&format!("on the way: {broken}"));
    }
    text += "\n";
    for tried in &study.tried {
        for trial in &tried.trials {
            let mark =
                if study.answer.is_some_and(|index| study.tried[index].point == tried.point) { "→" } else { " " };
            text += &format!("  {mark} {}\n", paint(Tone::Muted, &named(tried.point)));
            text += &format!("    {}\n", escaped(&command(study, question, &trial.sets)));
        }
    }
    text
}

fn paragraph(sentence: &str) -> String {
    wrapped(&escaped(sentence), WIDTH).iter().map(|line| format!("  {line}\n")).collect()
}

/// That the partitions of the file limit the instances, where they do.
fn partitions_note(study: &Study) -> Option<String> {
    let stated = study.site.stated.partitions;
    match study.with_stated_partitions? {
        Some(instances) => Some(format!(
            "with the {} of the file it would take {}",
            counted(u64::from(stated), "partition"),
            counted(u64::from(instances), "instance")
        )),
        None => Some(format!(
            "on the {} of the file no number of instances would do: a partition has one reader, and further instances idle",
            counted(u64::from(stated), "partition")
        )),
    }
}

fn table(study: &Study) -> Table {
    let several = study.tried.first().is_some_and(|tried| 1 < tried.trials.len());
    let mut table = Table::new(&[
        ("", Align::Left),
        ("point", Align::Left),
        ("on paper", Align::Right),
        ("busiest", Align::Right),
        (if several { "objective" } else { "" }, Align::Left),
        ("formula", Align::Right),
        ("theory", Align::Right),
        ("simulated", Align::Right),
        ("95 % interval", Align::Right),
        ("worst", Align::Right),
        ("", Align::Left),
    ]);
    for (index, tried) in study.tried.iter().enumerate() {
        for (number, trial) in tried.trials.iter().enumerate() {
            let first = number == 0;
            let mark = if first && study.answer == Some(index) { "→" } else { "" };
            let only_first = |text: String| if first { text } else { String::new() };
            let value = |value: f64| shown(trial.objective, value);
            let or_never = |found: Option<f64>| match (found, trial.objective) {
                (Some(found), _) => value(found),
                (None, Objective::LagMax(_)) => "–".into(),
                (None, _) => "never".into(),
            };
            let values = trial.values();
            let interval = values.as_ref().and_then(|values| interval(values));
            let never = trial.samples.iter().filter(|sample| sample.is_none()).count();
            let simulated = match &values {
                Some(values) => mean_and_deviation(values).map_or("–".into(), |(mean, _)| value(mean)),
                None => format!("never in {never} of {}", trial.samples.len()),
            };
            let worst = values.as_ref().and_then(|values| values.iter().copied().reduce(f64::max));
            let verdict = match trial.meets() {
                true => Cell::new(Tone::Holds, "meets"),
                false if !trial.broken.is_empty() => Cell::new(Tone::Violated, "breaks a promise"),
                false => Cell::new(Tone::Violated, "misses"),
            };
            table.push(vec![
                Cell::new(Tone::Strong, mark),
                Cell::from(only_first(named(tried.point))),
                Cell::from(only_first(multiple(tried.nominal))),
                Cell::from(only_first(multiple(tried.effective))),
                Cell::from(if several { asked(trial.objective) } else { String::new() }),
                Cell::from(or_never(plain(study, tried, trial.objective))),
                Cell::from(or_never(tried.theory[number])),
                Cell::from(simulated),
                Cell::from(interval.map_or(String::new(), |(low, high)| {
                    format!("{} .. {}", number_of(trial.objective, low), value(high))
                })),
                Cell::from(worst.map_or(String::new(), value)),
                verdict,
            ]);
        }
    }
    table
}

/// What the plain formula says of a point: all instances, evenly loaded, at work from the first instant.
fn plain(study: &Study, tried: &Tried, objective: Objective) -> Option<f64> {
    match objective {
        Objective::Recovery(_) => {
            crate::theory::recovery::recovery_time(study.outage.as_ref()?.length.as_seconds(), tried.nominal)
        }
        Objective::WaitP99(_) => study.site.wait_p99(tried.point.instances, tried.point.instances),
        Objective::LagMax(_) => None,
    }
}

fn interval(values: &[f64]) -> Option<(f64, f64)> {
    let (mean, deviation) = mean_and_deviation(values)?;
    let half = Z95 * deviation? / (values.len() as f64).sqrt();
    Some((mean - half, mean + half))
}

fn number_of(objective: Objective, value: f64) -> String {
    match objective {
        Objective::Recovery(_) => format!("{value:.1}"),
        Objective::WaitP99(_) => format!("{:.0}", value * 1000.0),
        Objective::LagMax(_) => format!("{value:.0}"),
    }
}

fn shown(objective: Objective, value: f64) -> String {
    let unit = match objective {
        Objective::Recovery(_) => " s",
        Objective::WaitP99(_) => " ms",
        Objective::LagMax(_) => "",
    };
    format!("{}{unit}", number_of(objective, value))
}

fn command(study: &Study, question: &Question, sets: &[String]) -> String {
    let sets = question.sets.iter().chain(sets).map(|set| format!(" --set {}", quoted(set)));
    format!("hikyaku run {} --seeds 0..{}{}", quoted(&study.scenario), question.runs, sets.collect::<String>())
}

// --- for programs ---

fn as_json(study: &Study, question: &Question) -> Value {
    let of_trial = |tried: &Tried, number: usize| {
        let trial = &tried.trials[number];
        let values = trial.values();
        let (what, unit) = match trial.objective {
            Objective::Recovery(_) => ("recovery", "seconds"),
            Objective::WaitP99(_) => ("wait-p99", "seconds"),
            Objective::LagMax(_) => ("lag-max", "records"),
        };
        let statistics = values.as_deref().and_then(mean_and_deviation);
        json!({
            "objective": what,
            "unit": unit,
            "limit": trial.objective.limit(),
            "formula": plain(study, tried, trial.objective),
            "theory": tried.theory[number],
            "samples": trial.samples,
            "mean": statistics.map(|(mean, _)| mean),
            "interval-95": values.as_deref().and_then(interval),
            "effective-headroom-seen": trial.effective_seen,
            "broken": trial.broken,
            "meets": trial.meets(),
            "command": command(study, question, &trial.sets),
        })
    };
    let of_tried = |tried: &Tried| {
        json!({
            "instances": tried.point.instances,
            "partitions": tried.point.partitions,
            "headroom": tried.nominal,
            "effective-headroom": tried.effective,
            "evenness": evenness(tried.point, study.site.topics.len() as u32, study.losing),
            "meets": tried.meets(),
            "trials": (0..tried.trials.len()).map(|number| of_trial(tried, number)).collect::<Vec<_>>(),
        })
    };
    let recommended = study.answer.map(|index| &study.tried[index].point);
    json!({
        "scenario": study.scenario,
        "service": study.site.service,
        "answer": answer(study),
        "met": study.answer.is_some(),
        "instances": recommended.map(|point| point.instances),
        "partitions": recommended.map(|point| point.partitions),
        "instances-with-stated-partitions": study.with_stated_partitions.flatten(),
        "losing": study.losing,
        "arrivals-per-second": study.site.rate,
        "headroom-by-formula": study.plain_headroom,
        "headroom-needed": study.needed_headroom,
        "rejoin-seconds": study.rejoin,
        "points": study.tried.iter().map(of_tried).collect::<Vec<_>>(),
        "steps": study.steps.iter().map(|step| json!({ "instances": step.instances, "why": step.why })).collect::<Vec<_>>(),
        "note": partitions_note(study),
        "interrupted": study.interrupted,
    })
}

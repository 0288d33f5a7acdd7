//! `hikyaku validate`: the simulation against queueing theory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::explore::validate::{CASES, Case, CaseFile, CaseResult, CompareResult, file_stem, run_case};
use crate::report::html;
use crate::report::numbers::counted;
use crate::report::progress::Progress;
use crate::report::sweep::commands::quoted;
use crate::report::terminal::{escaped, paint, wrapped};
use crate::report::validation::{self as written, MetricResult, Standing, Validation};

use super::artefacts::write;
use super::{Exit, Format};

const WIDTH: usize = 110;

#[derive(Debug, Args)]
#[command(after_help = "\
A case is a model in Kendall's notation or in words, parameters, and expected metrics with their tolerance; `tests/queueing.json` has them
and says what they mean. Each becomes an ordinary scenario, which --out writes: `hikyaku run DIR/ID.toml` gives the same digest.
Exit code 1: some metric is outside of its tolerance. Exit code 3: all that was simulated passes, and some of it cannot be expressed.")]
pub struct ValidateArguments {
    /// Only cases whose id begins so, as `Q01,Q07d`.
    #[arg(long = "case", value_name = "ID,…", value_delimiter = ',')]
    cases: Vec<String>,
    /// Cases in a file of one's own, in the same form.
    #[arg(long = "cases", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Make every service time this much longer, in percent; the cases must then fail.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT", value_parser = parse_percent)]
    slower: f64,
    /// Runs at once [default: one for each core].
    #[arg(long, value_name = "N", env = "HIKYAKU_JOBS")]
    jobs: Option<usize>,
    /// Write validate.html, validate.json and the scenario of each case into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn validate(arguments: &ValidateArguments) -> anyhow::Result<Exit> {
    let text = match &arguments.file {
        Some(path) => fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?,
        None => CASES.to_string(),
    };
    let file: CaseFile = serde_json::from_str(&text).context("failed to read the cases")?;
    let chosen: Vec<Case> = file.cases.into_iter().filter(|case| is_chosen(&case.id, &arguments.cases)).collect();
    if chosen.is_empty() {
        bail!("no case has an id that begins with {}", arguments.cases.join(" or "));
    }
    let stems: Vec<String> = chosen.iter().map(file_stem).collect();
    if let Some(twice) = stems.iter().enumerate().find(|(index, stem)| stems[..*index].contains(stem)) {
        bail!("two cases have the id `{}`, as the name of a file", twice.1);
    }
    let jobs = arguments.jobs.unwrap_or_else(super::run::jobs_default).max(1);
    let factor = 1.0 + arguments.slower / 100.0;
    let mut report = Validation { cases: Vec::new(), slower: arguments.slower, command: command(arguments) };
    for (number, case) in chosen.iter().enumerate() {
        let heading = format!("{} ({} of {})", case.id, number + 1, chosen.len());
        let result = with_progress(&heading, |done| run_case(case, factor, jobs, done));
        report.cases.push(in_words(case, result, arguments.out.as_deref()));
    }
    if let Some(folder) = &arguments.out {
        write_all(&report, folder)?;
    }
    match arguments.format {
        Format::Human => out!("{}", render(&report, arguments.out.as_deref())),
        Format::Json => outln!("{}", serde_json::to_string_pretty(&as_json(&report))?),
    }
    Ok(match report.cases.iter().map(written::Case::standing).max() {
        None | Some(Standing::Passes) => Exit::Holds,
        Some(Standing::NotExpressible) => Exit::Vacuous,
        Some(Standing::Fails) => Exit::Violated,
        Some(Standing::Invalid) => Exit::Usage,
    })
}

/// Runs come from several threads; how many there will be is known with the first.
fn with_progress(heading: &str, run: impl FnOnce(&(dyn Fn(u64, u64) + Sync)) -> CaseResult) -> CaseResult {
    let progress: Mutex<Option<Progress>> = Mutex::new(None);
    let result = run(&|_, of| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.get_or_insert_with(|| Progress::new(of, "run")).advance(1, heading);
    });
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().for_each(Progress::finish);
    result
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (-50.0..=1000.0).contains(&percent) => Ok(percent),
        Ok(_) | Err(_) => Err("a percentage from -50 to 1000".into()),
    }
}

fn is_chosen(id: &str, prefixes: &[String]) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|prefix| id.starts_with(prefix.trim()))
}

fn command(arguments: &ValidateArguments) -> String {
    let mut text = "hikyaku validate".to_string();
    if !arguments.cases.is_empty() {
        text += &format!(" --case {}", quoted(&arguments.cases.join(",")));
    }
    if let Some(file) = &arguments.file {
        text += &format!(" --cases {}", quoted(&file.display().to_string()));
    }
    if arguments.slower != 0.0 {
        text += &format!(" --slower {}", arguments.slower);
    }
    text
}

fn in_words(case: &Case, result: CaseResult, folder: Option<&Path>) -> written::Case {
    let metrics = result.compared.into_iter().map(|one| written::Metric {
        name: one.metric,
        unit: one.unit,
        expected: one.expected,
        tolerance: one.tolerance,
        result: match one.result {
            CompareResult::Judged { got, passes, z } => MetricResult::Judged { got, passes, z },
            CompareResult::NotExpressible(why) => MetricResult::NotExpressible(why),
            CompareResult::Invalid(why) => MetricResult::Invalid(why),
            CompareResult::Reference => MetricResult::Reference,
        },
    });
    let again = result.first.map(|(seed, digest)| {
        let folder = folder.map_or("DIR".to_string(), |folder| folder.display().to_string());
        let file = quoted(&format!("{folder}/{}.toml", file_stem(case)));
        (format!("hikyaku run {file} --seed {}", seed.0), digest)
    });
    written::Case {
        id: case.id.clone(),
        stem: file_stem(case),
        title: case.title.clone(),
        model: case.model.clone(),
        formula: case.formula.clone(),
        source: case.source.clone(),
        metrics: metrics.collect(),
        runs: result.runs,
        records: result.records,
        again,
        scenario: result.scenario,
    }
}

fn write_all(report: &Validation, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    for case in &report.cases {
        if let Some(scenario) = &case.scenario {
            write(&folder.join(format!("{}.toml", case.stem)), scenario.as_bytes())?;
        }
    }
    write(&folder.join("validate.html"), html::validation::render(report).as_bytes())?;
    let text = serde_json::to_string_pretty(&as_json(report)).context("failed to write the validation")?;
    write(&folder.join("validate.json"), format!("{text}\n").as_bytes())
}

fn render(report: &Validation, folder: Option<&Path>) -> String {
    let mut text = report.table().render(0);
    text.push('\n');
    for line in wrapped(&format!("{}.", report.answer()), WIDTH) {
        text += &format!("{}\n", paint(report.tone(), &line));
    }
    let records: u64 = report.cases.iter().map(|case| case.records).sum();
    let runs: u64 = report.cases.iter().map(|case| case.runs).sum();
    text += &format!("{}, {}\n", counted(runs, "run"), counted(records, "record"));
    match folder.map(|folder| escaped(&folder.display().to_string())) {
        Some(folder) => {
            text += &format!("report  {folder}/validate.html validate.json, and the scenario of each case\n")
        }
        None => text += "--out DIR writes the scenario of each case, for `hikyaku run`, and a page\n",
    }
    text
}

fn as_json(report: &Validation) -> Value {
    let of_metric = |metric: &written::Metric| {
        let (got, z, verdict, why) = match &metric.result {
            MetricResult::Judged { got, passes, z } => (Some(*got), *z, if *passes { "passes" } else { "fails" }, None),
            MetricResult::NotExpressible(why) => (None, None, "not-expressible", Some(why)),
            MetricResult::Invalid(why) => (None, None, "invalid", Some(why)),
            MetricResult::Reference => (None, None, "reference", None),
        };
        json!({
            "metric": metric.name,
            "unit": metric.unit,
            "expected": metric.expected,
            "tolerance": metric.tolerance,
            "got": got,
            "z": z,
            "verdict": verdict,
            "why": why,
        })
    };
    let of_case = |case: &written::Case| {
        json!({
            "id": case.id,
            "title": case.title,
            "model": case.model,
            "runs": case.runs,
            "records": case.records,
            "again": case.again.as_ref().map(|(command, _)| command),
            "digest": case.again.as_ref().map(|(_, digest)| format!("{digest:032x}")),
            "metrics": case.metrics.iter().map(of_metric).collect::<Vec<_>>(),
        })
    };
    json!({
        "answer": report.answer(),
        "slower-percent": report.slower,
        "cases": report.cases.iter().map(of_case).collect::<Vec<_>>(),
        "command": report.command,
    })
}

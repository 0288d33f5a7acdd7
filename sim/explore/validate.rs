//! Validation against queueing theory: a case becomes an ordinary scenario, runs through a real topic and real consumers,
//! and what the judge measured is compared with the closed form.
//!
//! A case is data (`tests/queueing.json` is the vendored set): a model in Kendall's notation, parameters, and expected
//! metrics with their tolerance. Nothing here knows a case by its name. What the simulation cannot express is said, never
//! passed over.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use serde::Deserialize;

use crate::checks::{ConsumingMetrics, RecoveryTime, RunOutcome, WaitOptions};
use crate::scenario;
use crate::types::Duration;

use super::runs::{SeedRun, run_family};

/// The vendored cases.
pub const CASES: &str = include_str!("../../tests/queueing.json");

#[derive(Clone, Debug, Deserialize)]
pub struct CaseFile {
    pub cases: Vec<Case>,
}

/// One case as its file states it. Keys that are not needed to run it are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    pub id: String,
    pub title: String,
    pub model: String,
    pub params: BTreeMap<String, serde_json::Value>,
    pub expected: Vec<ExpectedMetric>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ExpectedMetric {
    pub metric: String,
    pub value: f64,
    pub unit: String,
    pub tol: Tolerance,
    /// `calculator` or `reference`; absent: simulate and compare.
    pub kind: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tolerance {
    Rel { value: f64 },
    Abs { value: f64 },
    Sigma { z: f64, per_replica_sd: f64, bias_abs: f64 },
    BinomialZ4,
    Range { lo: f64, hi: f64 },
}

/// One expected metric with what came out.
#[derive(Clone, Debug)]
pub struct Compared {
    pub case: String,
    pub metric: String,
    pub unit: String,
    pub expected: f64,
    pub tolerance: String,
    pub result: CompareResult,
}

#[derive(Clone, Debug)]
pub enum CompareResult {
    Judged {
        got: f64,
        passes: bool,
        z: Option<f64>,
    },
    NotExpressible(String),
    /// The scenario of this case is not valid, for these reasons.
    Invalid(String),
    /// Printed beside, not judged.
    Reference,
}

/// A case as a scenario file. `service_factor` makes every service time longer: 1.05 is 5 %.
pub fn scenario_of(case: &Case, service_factor: f64) -> Result<String, String> {
    let load = Load::of(case)?;
    let outage = case.number("outage_s").unwrap_or(0.0);
    let headroom = 1.0 / (load.rate * load.service_seconds);
    let duration = match case.number("messages_min") {
        Some(messages) => messages / load.rate,
        // Arrivals go on well past the recovery: twice its mean, and ten standard deviations of a Poisson drain.
        None if outage > 0.0 && 1.0 < headroom => {
            let mean = outage / (headroom - 1.0);
            let deviation = (2.0 * load.rate * outage).sqrt() * load.service_seconds / (1.0 - 1.0 / headroom).powf(1.5);
            outage + mean + 10.0 * deviation * f64::from(load.batch).sqrt() + 10.0
        }
        None if outage > 0.0 => outage + case.number("horizon_s").unwrap_or(600.0),
        None => 600.0,
    };
    let mut text = String::new();
    let seeds = case.number("replicas").unwrap_or(1.0) as u64;
    let about = format!("{} ({}): {}", case.id, case.model, case.title).replace(['"', '\\'], "'");
    let _ = write!(
        text,
        "# Written by `hikyaku validate` from case {id}.\n\
         format   = 1\n\
         about    = \"{about}\"\n\
         duration = \"{duration}\"\n\
         seeds    = {seeds}\n\
         [cluster]\nbrokers = 1\n\
         [network]\nlatency = \"0s\"\n\
         [disk]\nwrite = \"0s\"\nflush = \"0s\"\n\
         [topic.tasks]\npartitions = {partitions}\nretention = \"forever\"\n\
         [store.results]\ntables = [\"done\"]\nlatency = \"0s\"\ntimeout = \"24h\"\n\
         [service.source]\non = \"requests\"\nrate = \"{rate}/s\"\narrivals = \"{arrivals}\"\nkeys = \"unique\"\nlinger = \"0s\"\n\
         steps = [\"publish tasks\", \"respond ok\"]\n\
         [service.worker]\non = \"consume tasks\"\nauto-offset-reset = \"earliest\"\ninstances = {consumers}\n\
         max-poll-interval = \"24h\"\n\
         steps = [\"add results.done\", \"work {work}{service}\", \"commit-async every 5s\"]\n",
        id = case.id,
        duration = Duration::from_seconds_f64(duration.ceil()),
        partitions = case.number("partitions").unwrap_or(1.0),
        consumers = case.number("consumers").unwrap_or(1.0),
        rate = load.rate,
        arrivals = load.arrivals,
        work = load.distribution,
        service = Duration::from_seconds_f64(load.service_seconds * service_factor),
    );
    if outage > 0.0 {
        let _ = write!(text, "[fault]\noutage = \"at 0s for {} pause results\"\n", Duration::from_seconds_f64(outage));
    }
    // The case judges the metrics; the scenario itself only promises what the queue does.
    let _ = write!(text, "[expect]\nresults.done = \"exactly-once\"\n");
    Ok(text)
}

/// Arrivals and service of a single station, read off Kendall's notation and the parameters.
struct Load {
    rate: f64,
    arrivals: String,
    batch: u32,
    /// `exp ` or nothing.
    distribution: &'static str,
    service_seconds: f64,
}

impl Load {
    fn of(case: &Case) -> Result<Load, String> {
        let notation = case.model.split_whitespace().next().unwrap_or_default();
        let (notation, stations) = match notation.split_once('x') {
            Some((count, rest)) => (rest, count.parse::<f64>().map_err(|_| unknown_model(case))?),
            None => (notation, 1.0),
        };
        if 1.0 < stations {
            return Err(format!("{} stations side by side are not built yet", stations));
        }
        let parts: Vec<&str> = if notation == "any" { vec!["M", "M", "1"] } else { notation.split('/').collect() };
        let [arrival, service, "1"] = parts[..] else { return Err(unknown_model(case)) };
        let batch = case.number("batch_size").unwrap_or(1.0);
        let rate = case.number("lambda_per_s").or(case.number("batch_rate_per_s").map(|rate| rate * batch));
        let service_seconds = case.number("service_s").or(case.number("mu_per_s").map(|rate| 1.0 / rate));
        let (rate, service_seconds) = match (rate, service_seconds, case.number("headroom")) {
            (Some(rate), Some(seconds), _) => (rate, seconds),
            (Some(rate), None, Some(headroom)) => (rate, 1.0 / (rate * headroom)),
            // The identity of an empty-to-empty path holds for any station: a busy one shows it best.
            _ if notation == "any" => (80.0, 0.01),
            _ => return Err("the arrival rate or the service time is not stated".into()),
        };
        let arrivals = match arrival {
            "M" => "poisson".to_string(),
            "D" => "constant".to_string(),
            _ if arrival.starts_with("M[") => format!("burst {batch}"),
            _ => return Err(unknown_model(case)),
        };
        let distribution = match service {
            "M" => "exp ",
            "D" => "",
            _ => return Err(unknown_model(case)),
        };
        Ok(Load { rate, arrivals, batch: batch as u32, distribution, service_seconds })
    }
}

fn unknown_model(case: &Case) -> String {
    format!("no scenario is known for the model `{}`", case.model)
}

/// Runs a case and compares every expected metric.
pub fn run_case(case: &Case, service_factor: f64, jobs: usize) -> Vec<Compared> {
    let all = |result: &dyn Fn() -> CompareResult| {
        case.expected.iter().map(|expected| compared(case, expected, result())).collect::<Vec<_>>()
    };
    let text = match scenario_of(case, service_factor) {
        Ok(text) => text,
        Err(why) => return all(&|| CompareResult::NotExpressible(why.clone())),
    };
    let family =
        match scenario::parse(&case.id, &text, &[], &|_, parent| Err(format!("a case has no parent `{parent}`"))) {
            Ok(family) => family,
            // The scenario is written here: that it is refused is a mistake of the case or of this program, no limit.
            Err(problems) => return all(&|| CompareResult::Invalid(problems.short())),
        };
    let options = WaitOptions { warmup_fraction: case.number("warmup_fraction").unwrap_or(0.0) };
    let runs = run_family(&family, family.seeds.clone(), jobs, options, &AtomicBool::new(false), |_| {});
    let compare = |expected: &ExpectedMetric| match expected.kind.as_deref() {
        Some("reference") => CompareResult::Reference,
        Some(kind) => CompareResult::NotExpressible(format!("cases of kind `{kind}` are not built yet")),
        None => match measure(&expected.metric, &runs) {
            Ok(got) => expected.tol.judge(got, expected.value, runs.len()),
            Err(why) => CompareResult::NotExpressible(why),
        },
    };
    case.expected.iter().map(|expected| compared(case, expected, compare(expected))).collect()
}

fn compared(case: &Case, expected: &ExpectedMetric, result: CompareResult) -> Compared {
    Compared {
        case: case.id.clone(),
        metric: expected.metric.clone(),
        unit: expected.unit.clone(),
        expected: expected.value,
        tolerance: expected.tol.text(),
        result,
    }
}

/// The metric over the runs of a case: of one run its value, of several the statistic that the name asks for.
fn measure(metric: &str, runs: &[SeedRun]) -> Result<f64, String> {
    if let Some(bad) = runs.iter().find(|run| run.report.panic.is_some() || !run.report.quiet) {
        return Err(format!("seed {} did not come to an end: {:?}", bad.seed.0, bad.report.panic));
    }
    fn consuming(run: &SeedRun) -> Result<&ConsumingMetrics, String> {
        consuming_of(&run.outcome)
    }
    let recoveries = || -> Result<Vec<f64>, String> {
        runs.iter()
            .map(|run| recovery(consuming(run)?).ok_or_else(|| format!("seed {} never recovered", run.seed.0)))
            .collect()
    };
    let over_runs = |of: fn(&ConsumingMetrics) -> f64| -> Result<f64, String> {
        let values: Result<Vec<f64>, String> = runs.iter().map(|run| consuming(run).map(of)).collect();
        Ok(mean(&values?))
    };
    match metric {
        "mean_wait_in_queue" => over_runs(|metrics| metrics.wait.mean_seconds),
        "p99_wait_in_queue" => over_runs(|metrics| metrics.wait.p99.as_seconds()),
        "mean_in_system" => over_runs(|metrics| metrics.mean_in_system),
        "abs(integral_of_backlog_dt - sum_of_sojourn_times)" => {
            over_runs(|metrics| metrics.message_nanoseconds.abs_diff(metrics.sojourn_nanoseconds) as f64 / 1e9)
        }
        "peak_backlog" => over_runs(|metrics| metrics.peak_backlog as f64),
        "message_seconds_of_backlog" => over_runs(|metrics| metrics.message_nanoseconds as f64 / 1e9),
        "messages_delayed" => over_runs(|metrics| metrics.delayed as f64),
        "recovered" => over_runs(|metrics| if recovery(metrics).is_some() { 1.0 } else { 0.0 }),
        "recovery_time_from_restart" | "mean_recovery_time" => Ok(mean(&recoveries()?)),
        "sd_recovery_time" => Ok(deviation(&recoveries()?)),
        "cv_recovery_time" => recoveries().map(|values| deviation(&values) / mean(&values)),
        _ => Err(format!("no run measures `{metric}` yet")),
    }
}

fn consuming_of(outcome: &RunOutcome) -> Result<&ConsumingMetrics, String> {
    outcome.services.iter().find_map(|service| service.consuming.as_ref()).ok_or_else(|| "nothing was consumed".into())
}

fn recovery(metrics: &ConsumingMetrics) -> Option<f64> {
    match metrics.recovery.after? {
        RecoveryTime::Recovered(length) => Some(length.as_seconds()),
        RecoveryTime::Censored(_) => None,
    }
}

impl Tolerance {
    fn judge(self, got: f64, expected: f64, runs: usize) -> CompareResult {
        let error = (got - expected).abs();
        let (passes, z) = match self {
            Tolerance::Rel { value } => (error <= value * expected.abs(), None),
            Tolerance::Abs { value } => (error <= value, None),
            Tolerance::Sigma { z, per_replica_sd, bias_abs } => {
                let standard_error = per_replica_sd / (runs as f64).sqrt();
                (error <= z * standard_error + bias_abs, Some((got - expected) / standard_error))
            }
            Tolerance::BinomialZ4 => {
                let standard_error = (expected * (1.0 - expected) / runs as f64).sqrt();
                (error <= 4.0 * standard_error, Some((got - expected) / standard_error))
            }
            Tolerance::Range { lo, hi } => (lo <= got && got <= hi, None),
        };
        CompareResult::Judged { got, passes, z }
    }

    fn text(self) -> String {
        match self {
            Tolerance::Rel { value } => format!("±{}%", value * 100.0),
            Tolerance::Abs { value } => format!("±{value}"),
            Tolerance::Sigma { z, bias_abs, .. } => format!("z {z}, +{bias_abs}"),
            Tolerance::BinomialZ4 => "z 4".into(),
            Tolerance::Range { lo, hi } => format!("{lo}..{hi}"),
        }
    }
}

impl Case {
    fn number(&self, key: &str) -> Option<f64> {
        self.params.get(key).and_then(serde_json::Value::as_f64)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let center = mean(values);
    let squares: f64 = values.iter().map(|value| (value - center) * (value - center)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

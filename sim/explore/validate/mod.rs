//! Validation against queueing theory: a case becomes an ordinary scenario, runs through a real topic, producers and consumers,
//! and what was measured is compared with the closed form.
//!
//! A case is data (`tests/queueing.json` is the vendored set): a model in Kendall's notation or in words, parameters, and expected
//! metrics with their tolerance. Nothing here knows a case by its name: `station.rs` reads model and parameters, `scene.rs` writes the
//! scenario, `gauge.rs` and `metrics.rs` measure, `search.rs` turns a requirement round. What the simulation cannot express is said,
//! never passed over.

mod gauge;
mod metrics;
mod scene;
mod search;
mod station;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use crate::checks::{RunOutcome, WaitOptions};
use crate::scenario::{self, Family};
use crate::types::Seed;
use crate::world::RunReport;

use super::runs::{in_parallel, run_seed};
use gauge::Gauge;
use metrics::{Value, measure};
use station::Station;

/// The vendored cases.
pub const CASES: &str = include_str!("../../../tests/queueing.json");

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
    /// For people.
    #[serde(default)]
    pub formula: String,
    #[serde(default)]
    pub source: String,
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
    /// The scenario of this case is not valid, or a run of it did not come to its end, for these reasons.
    Invalid(String),
    /// Printed beside, not judged.
    Reference,
}

/// A case, run and compared.
#[derive(Clone, Debug)]
pub struct CaseResult {
    pub id: String,
    pub title: String,
    pub model: String,
    /// One for each expected metric.
    pub compared: Vec<Compared>,
    /// The file that was run, where there is one.
    pub scenario: Option<String>,
    /// Of its first run: `hikyaku run FILE --seed N` gives the same.
    pub first: Option<(Seed, u128)>,
    pub runs: u64,
    pub records: u64,
}

/// One run of a case.
struct Ran {
    seed: Seed,
    outcome: RunOutcome,
    report: RunReport,
    gauge: Gauge,
    /// Capacity of all consumers over what arrives, of the work as it was.
    headroom: f64,
}

/// A case as a scenario file. `service_factor` makes every service time longer: 1.05 is 5 %.
pub fn scenario_of(case: &Case, service_factor: f64) -> Result<String, String> {
    Ok(scene::text_of(case, &Station::of(case)?, service_factor))
}

/// The stem of the file of a case: also the name of its scenario.
pub fn file_stem(case: &Case) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    case.id.chars().map(safe).collect()
}

/// Runs a case and compares every expected metric. `done` hears of each run, with the number of those that are known to come.
pub fn run_case(case: &Case, service_factor: f64, jobs: usize, done: &(dyn Fn(u64, u64) + Sync)) -> CaseResult {
    let mut result = CaseResult {
        id: case.id.clone(),
        title: case.title.clone(),
        model: case.model.clone(),
        compared: Vec::new(),
        scenario: None,
        first: None,
        runs: 0,
        records: 0,
    };
    let judged = |expected: &ExpectedMetric| expected.kind.is_none();
    let all = |why: &dyn Fn(&ExpectedMetric) -> CompareResult| {
        let of_one = |expected: &ExpectedMetric| match expected.kind.as_deref() {
            Some("reference") => compared(case, expected, CompareResult::Reference),
            Some(_) | None => compared(case, expected, why(expected)),
        };
        case.expected.iter().map(of_one).collect::<Vec<_>>()
    };
    // What is sought is no metric of one run: the case is a question of how much it takes.
    if case.expected.iter().any(|expected| judged(expected) && search::is_sought(&expected.metric)) {
        match search::required_headroom(case, service_factor, done) {
            Ok(found) => {
                result.compared = all(&|expected| match search::is_sought(&expected.metric) {
                    true => expected.tol.judge(
                        Value { value: found.headroom, samples: found.runs },
                        expected.value,
                        found.runs,
                    ),
                    false => CompareResult::NotExpressible(format!("nothing here measures `{}`", expected.metric)),
                });
                (result.scenario, result.runs, result.records) = (Some(found.text), found.runs, found.records);
                result.first = Some((Seed(0), found.digest));
            }
            Err(why) => result.compared = all(&|_| why.clone()),
        }
        return result;
    }
    let station = match Station::of(case) {
        Ok(station) => station,
        Err(why) => {
            result.compared = all(&|_| CompareResult::NotExpressible(why.clone()));
            return result;
        }
    };
    let text = scene::text_of(case, &station, service_factor);
    let ran = family_of(case, &text).and_then(|family| {
        let options = WaitOptions { warmup_fraction: case.number("warmup_fraction").unwrap_or(0.0) };
        let count = family.seeds.end - family.seeds.start;
        let finished = AtomicU64::new(0);
        let runs = in_parallel(count as usize, jobs, |number| {
            let seed = Seed(family.seeds.start + number as u64);
            let ran = run_one(&family, seed, &station, service_factor, options);
            done(finished.fetch_add(1, Ordering::Relaxed) + 1, count);
            ran
        });
        runs.into_iter().collect::<Result<Vec<Ran>, String>>()
    });
    result.scenario = Some(text);
    match ran {
        Ok(runs) => {
            result.compared = all(&|expected| match measure(&expected.metric, &expected.unit, &station, &runs) {
                Ok(value) => expected.tol.judge(value, expected.value, runs.len() as u64),
                Err(why) => CompareResult::NotExpressible(why),
            });
            result.first = runs.first().map(|run| (run.seed, run.report.digest));
            result.runs = runs.len() as u64;
            result.records = runs.iter().map(|run| run.gauge.whole().appended).sum();
        }
        // The scenario is written here: that it is refused is a mistake of the case or of this program, no limit.
        Err(why) => result.compared = all(&|_| CompareResult::Invalid(why.clone())),
    }
    result
}

fn family_of(case: &Case, text: &str) -> Result<Family, String> {
    let stem = file_stem(case);
    scenario::parse(&stem, text, &[], &|_, parent| Err(format!("a case has no parent `{parent}`")))
        .map_err(|problems| problems.short().lines().next().unwrap_or_default().to_string())
}

fn run_one(
    family: &Family,
    seed: Seed,
    station: &Station,
    service_factor: f64,
    options: WaitOptions,
) -> Result<Ran, String> {
    let plan = family.cells[0].plan(seed);
    let mut gauge = Gauge::new(&plan, station);
    let (outcome, report) = run_seed(&plan, options, |event| gauge.observe(event));
    // A station whose work fails always has more to do than it can: it is looked at for a time, not to its end.
    match &report.panic {
        Some(panic) => Err(format!("seed {}: {panic}", seed.0)),
        None if !report.quiet && station.failures.is_none() => Err(format!("seed {} did not come to an end", seed.0)),
        None => Ok(Ran { seed, outcome, report, gauge, headroom: station.headroom() / service_factor }),
    }
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

impl Tolerance {
    fn judge(self, got: Value, expected: f64, runs: u64) -> CompareResult {
        let Value { value: got, samples } = got;
        let error = (got - expected).abs();
        let (passes, z) = match self {
            Tolerance::Rel { value } => (error <= value * expected.abs(), None),
            Tolerance::Abs { value } => (error <= value, None),
            Tolerance::Sigma { z, per_replica_sd, bias_abs } => {
                let standard_error = per_replica_sd / (runs as f64).sqrt();
                (error <= z * standard_error + bias_abs, Some((got - expected) / standard_error))
            }
            Tolerance::BinomialZ4 => {
                let standard_error = (expected * (1.0 - expected) / samples as f64).sqrt();
                let z = (0.0 < standard_error).then(|| (got - expected) / standard_error);
                (error <= 4.0 * standard_error, z)
            }
            Tolerance::Range { lo, hi } => (lo <= got && got <= hi, None),
        };
        CompareResult::Judged { got, passes, z }
    }

    fn text(self) -> String {
        match self {
            Tolerance::Rel { value } => format!("±{}%", (value * 1e6).round() / 1e4),
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

    fn any_number(&self, keys: &[&str]) -> Option<f64> {
        keys.iter().find_map(|key| self.number(key))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.params.get(key).and_then(serde_json::Value::as_str)
    }
}

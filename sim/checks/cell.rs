//! Cells and families: what the runs of one cell say together, and cells beside each other.
//!
//! The one idea: a promise must hold in every seed, a required hazard must show in one, and a statistic is judged over
//! all of them. Runs that did not recover are never averaged away: with one of them the mean is unknown and they count
//! as infinite in quantiles. "0 of n" is reported with its Wilson bound, because n seeds prove no more than that.
//!
//! [`CellJudge`] is a fold: of thousands of runs it keeps counts, one number for each metric, and the first few reasons.
//!
//! A required hazard that no seed shows is a violation, but only *unknown* when somebody ran a part of the scenario's
//! seeds. Against a closed form the mean must agree within four standard errors, by the variance that theory tells or,
//! failing that, by the scatter of the seeds.

use super::guarantees::bounds::{compare, is_over_seeds};
use super::judge::word;
use super::outcome::*;
use crate::scenario::plan::*;
use crate::theory::statistics::{Z_OF_THEORY, mean_and_deviation, wilson_upper_95, z_score};
use crate::types::Seed;

/// Whether these are all seeds of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    AllSeeds,
    SomeSeeds,
}

/// The runs of one cell, in order of their seeds.
pub fn judge_cell(runs: &[RunOutcome], coverage: Coverage) -> CellVerdict {
    let mut judge = CellJudge::default();
    runs.iter().for_each(|run| judge.add(run));
    judge.finish(coverage).expect("a cell has at least one run")
}

/// Folds the runs of one cell, in order of their seeds. It keeps a few numbers of each run and no run.
#[derive(Clone, Debug, Default)]
pub struct CellJudge {
    /// What the first run says of all of them: names and demands.
    head: Option<(String, String)>,
    runs: u64,
    by_verdict: [u64; 4],
    worst_seed: Option<Seed>,
    counters: Counters,
    expectations: Vec<ExpectationFold>,
    floors: Vec<FloorResult>,
    /// Reasons of runs with their verdict, the first [`REASONS_KEPT`] of each verdict.
    reasons: Vec<(Verdict, String)>,
}

impl CellJudge {
    pub fn add(&mut self, run: &RunOutcome) {
        if self.head.is_none() {
            self.head = Some((run.scenario.clone(), run.cell.clone()));
            self.expectations = run.expectations.iter().map(ExpectationFold::new).collect();
            let over_seeds = run.floors.iter().filter(|floor| floor.over_all_seeds);
            self.floors = over_seeds.map(|floor| FloorResult { measured: 0, ..*floor }).collect();
        }
        self.runs += 1;
        self.by_verdict[run.verdict as usize] += 1;
        self.counters.add(&run.counters);
        assert!(self.expectations.len() == run.expectations.len(), "runs of one cell have one plan");
        for (fold, result) in self.expectations.iter_mut().zip(&run.expectations) {
            fold.add(run.seed, result);
        }
        let over_seeds = run.floors.iter().filter(|floor| floor.over_all_seeds);
        for (sum, floor) in self.floors.iter_mut().zip(over_seeds) {
            sum.measured += floor.measured;
        }
        if run.verdict == Verdict::Violated {
            self.worst_seed.get_or_insert(run.seed);
        }
        if run.verdict != Verdict::Holds && self.by_verdict[run.verdict as usize] <= REASONS_KEPT as u64 {
            let reason = run.reasons.first().map_or("", |reason| reason.as_str());
            self.reasons.push((run.verdict, format!("seed {}: {reason}", run.seed.0)));
        }
    }

    /// Nothing when there was no run.
    pub fn finish(self, coverage: Coverage) -> Option<CellVerdict> {
        let (scenario, cell) = self.head?;
        let count = |verdict: Verdict| self.by_verdict[verdict as usize];
        let runs = self.runs;
        let mut verdict = CellVerdict {
            scenario,
            cell,
            verdict: Verdict::Holds,
            reasons: Vec::new(),
            reasons_left_out: 0,
            runs,
            violated: count(Verdict::Violated),
            unknown: count(Verdict::Unknown),
            vacuous: count(Verdict::Vacuous),
            violated_share_at_most: wilson_upper_95(count(Verdict::Violated), runs),
            worst_seed: self.worst_seed,
            expectations: self.expectations.into_iter().map(|fold| fold.finish(coverage)).collect(),
            floors: self.floors,
            counters: self.counters,
        };
        conclude(&mut verdict, self.reasons, coverage);
        Some(verdict)
    }
}

/// Cells of one family: decides the bounds that compare a cell with a sibling.
pub fn judge_family(mut cells: Vec<CellVerdict>) -> Vec<CellVerdict> {
    let means: Vec<(String, Vec<(Subject, Option<f64>)>)> = cells.iter().map(means_of).collect();
    for cell in &mut cells {
        let CellVerdict { cell: id, expectations, reasons, verdict, .. } = cell;
        for expectation in expectations {
            for (found, why) in sibling_bounds(id, expectation, &means) {
                if expectation.verdict < found {
                    expectation.verdict = found;
                    expectation.why.clone_from(&why);
                }
                *verdict = (*verdict).max(found);
                reasons.push(why);
            }
        }
    }
    cells
}

/// One expectation over the runs so far.
#[derive(Clone, Debug)]
struct ExpectationFold {
    subject: Subject,
    name: String,
    demand: Demand,
    /// The worst verdict of a run, of the first run that has it.
    worst: (Verdict, String, Seed),
    seen_in: u64,
    first_seen: Option<Seed>,
    of: u64,
    values: Values,
    theory: Vec<TheoryValue>,
    before: Vec<f64>,
    example: Option<Evidence>,
}

impl ExpectationFold {
    fn new(first: &ExpectationResult) -> ExpectationFold {
        ExpectationFold {
            subject: first.subject,
            name: first.name.clone(),
            demand: first.demand.clone(),
            worst: (Verdict::Holds, String::new(), Seed(0)),
            seen_in: 0,
            first_seen: None,
            of: 0,
            values: Values::default(),
            theory: Vec::new(),
            before: Vec::new(),
            example: None,
        }
    }

    fn add(&mut self, seed: Seed, result: &ExpectationResult) {
        assert!(result.subject == self.subject, "runs of one cell have one plan");
        if self.worst.0 < result.verdict || self.of == 0 {
            self.worst = (result.verdict, result.why.clone(), seed);
        }
        if is_seen(result) {
            self.seen_in += 1;
            self.first_seen.get_or_insert(seed);
        }
        self.of += 1;
        self.values.add(result.measured);
        self.theory.extend(result.theory);
        self.before.extend(result.before);
        if self.example.is_none() {
            self.example = result.evidence.first().cloned();
        }
    }

    fn finish(self, coverage: Coverage) -> CellExpectation {
        let ExpectationFold { subject, name, demand, worst, seen_in, first_seen, of, values, theory, before, example } =
            self;
        let statistics = values.statistics();
        let mut decided = vec![(worst.0, worst.1)];
        if demand.is_required() && seen_in == 0 {
            decided.push(match coverage {
                Coverage::AllSeeds => (Verdict::Violated, format!("not seen in any of {of} seeds")),
                Coverage::SomeSeeds => (Verdict::Unknown, format!("not seen in the {of} seeds that were run")),
            });
        }
        if let Demand::Bounds(bounds) = &demand {
            let over_seeds = bounds.iter().filter(|bound| is_over_seeds(bound));
            decided.extend(over_seeds.map(|bound| judge_statistic(bound, statistics.as_ref(), &theory, &before)));
        }
        let (verdict, why) = decided.into_iter().rev().max_by_key(|(verdict, _)| *verdict).expect("at least the runs'");
        let told: Vec<f64> = theory.iter().map(|theory| theory.value).collect();
        CellExpectation {
            subject,
            name,
            demand,
            verdict,
            why,
            seen_in,
            of,
            share_at_most: wilson_upper_95(seen_in, of),
            statistics,
            theory: mean_and_deviation(&told).map(|(mean, _)| mean),
            theory_deviation: deviation_told(&theory),
            before: mean_and_deviation(&before).map(|(mean, _)| mean),
            worst_seed: (worst.0 != Verdict::Holds).then_some(worst.2),
            first_seen,
            example,
        }
    }
}

fn is_seen(result: &ExpectationResult) -> bool {
    match result.measured {
        Measured::Count { count, .. } => count > 0,
        Measured::Value(_) => true,
        Measured::Censored(_) | Measured::Nothing => false,
    }
}

/// Measured values over seeds.
#[derive(Clone, Debug, Default)]
struct Values {
    values: Vec<f64>,
    /// How many were censored, and the lowest of them.
    censored: u64,
    lowest_censored: Option<f64>,
}

impl Values {
    fn add(&mut self, measured: Measured) {
        match measured {
            Measured::Count { count, .. } => self.values.push(count as f64),
            Measured::Value(value) => self.values.push(value),
            Measured::Censored(at_least) => {
                self.censored += 1;
                self.lowest_censored = Some(self.lowest_censored.map_or(at_least, |lowest| lowest.min(at_least)));
            }
            Measured::Nothing => {}
        }
    }

    fn statistics(self) -> Option<Statistics> {
        let Values { mut values, censored, lowest_censored } = self;
        let count = values.len() as u64 + censored;
        if count == 0 {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let quantile = |per_cent: u64| {
            let rank = (count * per_cent).div_ceil(100).max(1);
            values.get(rank as usize - 1).copied()
        };
        let moments = mean_and_deviation(&values).filter(|_| censored == 0);
        Some(Statistics {
            count,
            censored,
            mean: moments.map(|(mean, _)| mean),
            deviation: moments.and_then(|(_, deviation)| deviation),
            min: values.first().copied().or(lowest_censored).expect("a value or a censored one"),
            p50: quantile(50),
            p95: quantile(95),
            p99: quantile(99),
            max: quantile(100),
        })
    }
}

fn judge_statistic(
    bound: &Bound,
    statistics: Option<&Statistics>,
    theory: &[TheoryValue],
    before: &[f64],
) -> (Verdict, String) {
    let Some(statistics) = statistics else {
        return (Verdict::Unknown, "there was nothing to measure in any seed".to_string());
    };
    match &bound.limit {
        Limit::Theory { tolerance } => against_theory(statistics, theory, *tolerance),
        Limit::Before { tolerance } => {
            let (Some(mean), Some((expected, _))) = (statistics.mean, mean_and_deviation(before)) else {
                return (Verdict::Unknown, "there was nothing to measure before the first fault".to_string());
            };
            within(mean, expected, *tolerance, "before the first fault")
        }
        Limit::Sibling { .. } => (Verdict::Holds, String::new()),
        Limit::Never => match statistics.censored == statistics.count {
            true => (Verdict::Holds, String::new()),
            false => (Verdict::Violated, "it recovered in some seed and should never".to_string()),
        },
        Limit::Below(_) | Limit::AtMost(_) | Limit::Above(_) | Limit::AtLeast(_) | Limit::Between(..) | Limit::Any => {
            let value = match bound.over {
                Over::Each | Over::Mean => statistics.mean,
                Over::P50 => statistics.p50,
                Over::P95 => statistics.p95,
                Over::P99 => statistics.p99,
            };
            // A statistic that is not there is infinite: some seeds did not recover.
            compare(value.unwrap_or(f64::INFINITY), bound)
        }
    }
}

fn against_theory(statistics: &Statistics, theory: &[TheoryValue], tolerance: Option<f64>) -> (Verdict, String) {
    let values: Vec<f64> = theory.iter().map(|theory| theory.value).collect();
    let Some((expected, _)) = mean_and_deviation(&values) else {
        return (Verdict::Unknown, "theory has no closed form for this".to_string());
    };
    let Some(mean) = statistics.mean else {
        return (Verdict::Violated, format!("some seeds did not recover; theory says {expected:.6}"));
    };
    if let Some(tolerance) = tolerance {
        return within(mean, expected, tolerance, "of theory");
    }
    let Some(deviation) = deviation_told(theory).or(statistics.deviation).filter(|deviation| *deviation > 0.0) else {
        return (Verdict::Unknown, "theory tells no variance and one seed has none".to_string());
    };
    let z = z_score(mean, expected, deviation, statistics.count);
    if z.abs() <= Z_OF_THEORY {
        (Verdict::Holds, String::new())
    } else {
        (Verdict::Violated, format!("mean {mean:.6} lies {z:.1} standard errors from theory's {expected:.6}"))
    }
}

/// Standard deviation of one run, where the closed form tells its variance.
fn deviation_told(theory: &[TheoryValue]) -> Option<f64> {
    let variances: Vec<f64> = theory.iter().filter_map(|theory| theory.variance).collect();
    mean_and_deviation(&variances).map(|(variance, _)| libm::sqrt(variance))
}

fn within(mean: f64, expected: f64, tolerance: f64, what: &str) -> (Verdict, String) {
    if (mean - expected).abs() <= tolerance * expected.abs() {
        (Verdict::Holds, String::new())
    } else {
        let share = tolerance * 100.0;
        (Verdict::Violated, format!("mean {mean:.6} is not within {share}% {what}, {expected:.6}"))
    }
}

fn conclude(cell: &mut CellVerdict, of_runs: Vec<(Verdict, String)>, coverage: Coverage) {
    let failed_runs = cell.violated + cell.unknown + cell.vacuous;
    let unlisted = failed_runs - of_runs.len() as u64;
    let mut found = of_runs;
    let together = cell.expectations.iter().filter(|expectation| expectation.worst_seed.is_none());
    for expectation in together.filter(|expectation| expectation.verdict != Verdict::Holds) {
        found.push((expectation.verdict, format!("{}: {}", expectation.name, expectation.why)));
    }
    for floor in cell.floors.iter().filter(|floor| floor.measured < floor.at_least) {
        let verdict = match coverage {
            Coverage::AllSeeds => Verdict::Vacuous,
            Coverage::SomeSeeds => Verdict::Unknown,
        };
        found.push((
            verdict,
            format!("only {} of {} {} over all seeds", floor.measured, floor.at_least, word(&floor.what)),
        ));
    }
    found.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
    let of_expectations = cell.expectations.iter().map(|expectation| expectation.verdict).max();
    let worst = found.first().map(|(verdict, _)| *verdict);
    cell.verdict = worst.into_iter().chain(of_expectations).max().unwrap_or(Verdict::Holds);
    cell.reasons_left_out = unlisted + found.len().saturating_sub(REASONS_KEPT) as u64;
    cell.reasons = found.into_iter().take(REASONS_KEPT).map(|(_, reason)| reason).collect();
}

// --- families ---

fn means_of(cell: &CellVerdict) -> (String, Vec<(Subject, Option<f64>)>) {
    let means = cell.expectations.iter().map(|expectation| {
        (expectation.subject, expectation.statistics.as_ref().and_then(|statistics| statistics.mean))
    });
    (cell.cell.clone(), means.collect())
}

fn sibling_bounds(
    id: &str,
    expectation: &CellExpectation,
    means: &[(String, Vec<(Subject, Option<f64>)>)],
) -> Vec<(Verdict, String)> {
    let Demand::Bounds(bounds) = &expectation.demand else { return Vec::new() };
    let mine = expectation.statistics.as_ref().and_then(|statistics| statistics.mean);
    let decided = bounds.iter().filter_map(|bound| match &bound.limit {
        Limit::Sibling { below, factor, axis, value } => {
            let sibling = sibling_of(id, axis, value)?;
            let theirs = means.iter().find(|(cell, _)| *cell == sibling);
            let theirs =
                theirs.and_then(|(_, means)| means.iter().find(|(subject, _)| *subject == expectation.subject));
            let (Some(mine), Some(theirs)) = (mine, theirs.and_then(|(_, mean)| *mean)) else {
                return Some((Verdict::Unknown, format!("{id}: no value of {axis}={value} to compare with")));
            };
            let limit = factor * theirs;
            let holds = if *below { mine < limit } else { limit < mine };
            (!holds).then(|| (Verdict::Violated, format!("{id}: mean {mine:.6} is not {}, {limit:.6}", bound.text)))
        }
        Limit::Below(_)
        | Limit::AtMost(_)
        | Limit::Above(_)
        | Limit::AtLeast(_)
        | Limit::Between(..)
        | Limit::Theory { .. }
        | Limit::Before { .. }
        | Limit::Never
        | Limit::Any => None,
    });
    decided.collect()
}

/// The id of the cell with another value on one axis; `None` for the cell itself.
fn sibling_of(id: &str, axis: &str, value: &str) -> Option<String> {
    let mut changed = false;
    let parts: Vec<String> = id
        .split(',')
        .map(|part| match part.split_once('=') {
            Some((name, known)) if name == axis && known != value => {
                changed = true;
                format!("{name}={value}")
            }
            Some(_) | None => part.to_string(),
        })
        .collect();
    changed.then(|| parts.join(","))
}

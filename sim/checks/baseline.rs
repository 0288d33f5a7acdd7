//! What is different from an earlier result: which promises break now and did not, which do no more, and which figures moved by more
//! than seeds differ among themselves.
//!
//! The one idea: a run is (plan, seed) and nothing else, so equal digests are the same runs and nothing is left to compare. Otherwise each
//! expectation of each cell stands beside itself. The verdict is not touched: what is violated is violated, whether it is new or not.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::outcome::{CellExpectation, CellVerdict, Demand, Subject, Verdict};
use crate::types::Seed;

/// An earlier result, as `verdict.json` has it. What a comparison does not need is not read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Earlier {
    pub scenario: String,
    pub verdict: Verdict,
    pub cells: Vec<EarlierCell>,
    pub runs: Vec<EarlierRun>,
    /// Absent in results of older builds.
    #[serde(default)]
    pub charts: Vec<ChartMessage>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EarlierCell {
    pub cell: String,
    pub expectations: Vec<Finding>,
}

/// One expectation of one cell, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    pub name: String,
    pub subject: Subject,
    pub demand: Demand,
    pub verdict: Verdict,
    pub seen_in: u64,
    pub of: u64,
    pub statistics: Option<Sample>,
}

/// Of one value over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sample {
    pub count: u64,
    pub censored: u64,
    pub mean: Option<f64>,
    pub deviation: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EarlierRun {
    pub cell: String,
    pub seed: Seed,
    pub digest: String,
}

/// What a chart says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChartMessage {
    /// Its file stem.
    pub chart: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    pub scenario_before: String,
    pub verdict_before: Verdict,
    pub verdict_now: Verdict,
    /// Runs of the same cell and seed on both sides, and how many of them are the same to the last event.
    pub runs_of_both: u64,
    pub runs_equal: u64,
    /// The most telling first.
    pub changes: Vec<Change>,
    /// Of cells that are on both sides.
    pub dropped: Vec<Dropped>,
    pub cells_only_now: Vec<String>,
    pub cells_only_before: Vec<String>,
    /// What a chart said and says.
    pub charts: Vec<(ChartMessage, ChartMessage)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub cell: String,
    pub kind: ChangeKind,
    pub before: Option<Finding>,
    pub now: Finding,
}

/// A promise that is not asked for any more. It cannot break now, so it must not look as if it were kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    pub cell: String,
    pub before: Finding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Violated now, and was not.
    New,
    /// Violated before and now.
    Ongoing,
    /// Was violated, and is not.
    Resolved,
    /// Never violated, and something else is asked.
    AskedOtherwise,
    /// Never violated, and the figure is another.
    Moved,
}

/// Standard errors by which two means must differ: one false alarm in 370 comparisons.
const STANDARD_ERRORS: f64 = 3.0;

impl Change {
    /// The same figure may be kept by one promise and break another: what was loosened was not mended.
    pub fn is_asked_otherwise(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.demand != self.now.demand)
    }

    /// A bad fate that fewer than a tenth of the seeds show.
    pub fn is_rare(&self) -> bool {
        let is_fate = matches!(self.now.subject, Subject::Place { .. });
        is_fate && self.now.verdict == Verdict::Violated && 0 < self.now.seen_in && self.now.seen_in * 10 < self.now.of
    }
}

impl Comparison {
    pub fn count(&self, kind: ChangeKind) -> u64 {
        self.changes.iter().filter(|change| change.kind == kind).count() as u64
    }

    /// The same runs on both sides, to the last event of each, and the same asked of them.
    pub fn is_same(&self) -> bool {
        0 < self.runs_of_both
            && self.runs_equal == self.runs_of_both
            && self.verdict_before == self.verdict_now
            && self.dropped.is_empty()
            && self.changes.iter().all(|change| change.kind == ChangeKind::Ongoing && !change.is_asked_otherwise())
            && self.cells_only_now.is_empty()
            && self.cells_only_before.is_empty()
    }
}

/// `runs`: cell, seed and digest of each run of now.
pub fn compare<'a>(
    earlier: &Earlier,
    verdict: Verdict,
    cells: &[CellVerdict],
    runs: impl Iterator<Item = (&'a str, Seed, u128)>,
    charts: &[ChartMessage],
) -> Comparison {
    let digests: BTreeMap<(&str, Seed), &str> =
        earlier.runs.iter().map(|run| ((run.cell.as_str(), run.seed), run.digest.as_str())).collect();
    let mut comparison = Comparison {
        scenario_before: earlier.scenario.clone(),
        verdict_before: earlier.verdict,
        verdict_now: verdict,
        ..Comparison::default()
    };
    for (cell, seed, digest) in runs {
        if let Some(before) = digests.get(&(cell, seed)) {
            comparison.runs_of_both += 1;
            comparison.runs_equal += u64::from(**before == format!("{digest:032x}"));
        }
    }
    let before: BTreeMap<&str, &EarlierCell> = earlier.cells.iter().map(|cell| (cell.cell.as_str(), cell)).collect();
    for cell in cells {
        let earlier = before.get(cell.cell.as_str());
        if earlier.is_none() {
            comparison.cells_only_now.push(cell.cell.clone());
        }
        let earlier: &[Finding] = earlier.map_or(&[], |cell| &cell.expectations);
        for expectation in &cell.expectations {
            let now = Finding::from(expectation);
            let before = earlier.iter().find(|one| one.name == now.name);
            if let Some(kind) = kind_of(before, &now) {
                comparison.changes.push(Change { cell: cell.cell.clone(), kind, before: before.cloned(), now });
            }
        }
        let is_asked = |name: &str| cell.expectations.iter().any(|expectation| expectation.name == name);
        let dropped = earlier.iter().filter(|before| !is_asked(&before.name)).cloned();
        comparison.dropped.extend(dropped.map(|before| Dropped { cell: cell.cell.clone(), before }));
    }
    let is_here = |id: &str| cells.iter().any(|cell| cell.cell == id);
    comparison.cells_only_before =
        earlier.cells.iter().map(|cell| cell.cell.clone()).filter(|id| !is_here(id)).collect();
    comparison.changes.sort_by_key(|change| change.kind);
    for now in charts {
        if let Some(before) =
            earlier.charts.iter().find(|before| before.chart == now.chart && before.message != now.message)
        {
            comparison.charts.push((before.clone(), now.clone()));
        }
    }
    comparison
}

fn kind_of(before: Option<&Finding>, now: &Finding) -> Option<ChangeKind> {
    let is_violated = |finding: &Finding| finding.verdict == Verdict::Violated;
    match (before.is_some_and(is_violated), is_violated(now)) {
        (false, true) => Some(ChangeKind::New),
        (true, true) => Some(ChangeKind::Ongoing),
        (true, false) => Some(ChangeKind::Resolved),
        (false, false) => match before? {
            before if before.demand != now.demand => Some(ChangeKind::AskedOtherwise),
            before => has_moved(before, now).then_some(ChangeKind::Moved),
        },
    }
}

fn has_moved(before: &Finding, now: &Finding) -> bool {
    let (Some(one), Some(other)) = (before.statistics, now.statistics) else {
        return before.statistics.is_some() != now.statistics.is_some();
    };
    if one.censored * other.count != other.censored * one.count {
        return true;
    }
    let (Some(first), Some(second)) = (one.mean, other.mean) else { return one.mean.is_some() != other.mean.is_some() };
    let squared =
        |sample: Sample| sample.deviation.map_or(0.0, |deviation| deviation * deviation / sample.count as f64);
    let standard_error = libm::sqrt(squared(one) + squared(other));
    STANDARD_ERRORS * standard_error < (first - second).abs()
}

impl From<&CellExpectation> for Finding {
    fn from(expectation: &CellExpectation) -> Finding {
        let sample = expectation.statistics.as_ref().map(|statistics| Sample {
            count: statistics.count,
            censored: statistics.censored,
            mean: statistics.mean,
            deviation: statistics.deviation,
        });
        Finding {
            name: expectation.name.clone(),
            subject: expectation.subject,
            demand: expectation.demand.clone(),
            verdict: expectation.verdict,
            seen_in: expectation.seen_in,
            of: expectation.of,
            statistics: sample,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::plan::{ServiceMetric, Tolerance};
    use crate::types::ServiceId;

    fn finding(verdict: Verdict, mean: f64, deviation: f64) -> Finding {
        let statistics = Sample { count: 9, censored: 0, mean: Some(mean), deviation: Some(deviation) };
        Finding {
            name: "booking recovery".into(),
            subject: Subject::Service { service: ServiceId(0), metric: ServiceMetric::Recovery },
            demand: Demand::Bounds(Vec::new()),
            verdict,
            seen_in: 9,
            of: 9,
            statistics: Some(statistics),
        }
    }

    #[test]
    fn what_breaks_is_new_ongoing_or_resolved() {
        let (holds, broken) = (finding(Verdict::Holds, 1.0, 0.1), finding(Verdict::Violated, 1.0, 0.1));
        assert_eq!(kind_of(Some(&holds), &broken), Some(ChangeKind::New));
        assert_eq!(kind_of(None, &broken), Some(ChangeKind::New));
        assert_eq!(kind_of(Some(&broken), &broken), Some(ChangeKind::Ongoing));
        assert_eq!(kind_of(Some(&broken), &holds), Some(ChangeKind::Resolved));
        assert_eq!(kind_of(Some(&holds), &holds), None);
        assert_eq!(kind_of(None, &holds), None);
        let loosened = Finding { demand: Demand::Fate(Tolerance::Allowed), ..holds.clone() };
        assert_eq!(kind_of(Some(&holds), &loosened), Some(ChangeKind::AskedOtherwise));
    }

    #[test]
    fn a_figure_moves_when_seeds_do_not_explain_it() {
        let before = finding(Verdict::Holds, 10.0, 1.5);
        // Two standard errors of 0.5 each make one of 0.707 for the difference.
        assert!(!has_moved(&before, &finding(Verdict::Holds, 12.0, 1.5)));
        assert!(has_moved(&before, &finding(Verdict::Holds, 12.2, 1.5)));
        assert!(has_moved(&finding(Verdict::Holds, 10.0, 0.0), &finding(Verdict::Holds, 10.1, 0.0)));
        let mut censored = before.clone();
        censored.statistics = Some(Sample { count: 9, censored: 1, mean: None, deviation: None });
        assert!(has_moved(&before, &censored), "one run never recovers");
    }
}

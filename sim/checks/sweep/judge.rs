//! Folds the records of a sweep, in the order of its list, into one verdict.
//!
//! Regressions are judged one by one and stay out of the statistics of their cell: they were chosen because they failed.
//! A failing run counts in the group of each of its signatures. With `--max-failures` everything behind the n-th failure in
//! the order of the list does not count, whether it was run or not; so the result does not depend on who was quick.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::list::{Listed, SweepList};
use super::record::{Broke, CheckRecord, JudgedRun, RunEnd, RunRecord};
use super::self_check::Selection;
use crate::checks::judge::word;
use crate::checks::{Broken, CellJudge, CellVerdict, Coverage, Signature, State, Verdict, judge_family};
use crate::scenario::plan::FaultFamily;
use crate::theory::statistics::Z95;
use crate::theory::statistics::wilson_interval;
use crate::types::Seed;

/// What a sweep came to; `sweep.json` is this. Nothing in it comes from a clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SweepVerdict {
    pub verdict: Verdict,
    pub version: String,
    pub stream_version: u32,
    /// Of the list.
    pub hash: String,
    pub sets: Vec<String>,
    pub guards_off: Vec<String>,
    pub listed: u64,
    /// Those that count.
    pub runs: u64,
    pub failed: u64,
    /// The number of the run behind which nothing counts any more, because of `--max-failures`.
    pub stopped_behind: Option<u64>,
    pub messages: u64,
    pub simulated_seconds: f64,
    pub scenarios: Vec<SweptScenario>,
    pub regressions: Vec<SweptRegression>,
    /// Of each scenario, the most telling first.
    pub failures: Vec<FailureGroup>,
    /// Kinds of faults, with the number of runs in which one fired.
    pub fired: Vec<(FaultFamily, u64)>,
    /// Interesting states, with the number of runs that reached them.
    pub states: Vec<(State, u64)>,
    pub self_check: SelfCheck,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SweptScenario {
    pub name: String,
    pub path: String,
    pub seeds: std::ops::Range<u64>,
    pub cells: Vec<SweptCell>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SweptCell {
    pub id: String,
    /// Runs that ended, or broke.
    pub runs: u64,
    /// Violated or broken.
    pub failed: u64,
    /// 95 % Wilson interval of the share of seeds that fail.
    pub share: (f64, f64),
    /// Runs that did not end.
    pub broken: u64,
    /// Nothing when no run ended.
    pub judged: Option<CellVerdict>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SweptRegression {
    pub scenario: String,
    pub path: String,
    pub cell: String,
    pub seed: Seed,
    pub why: String,
    /// Nothing when it was not run.
    pub verdict: Option<Verdict>,
    pub reason: String,
}

/// Failing runs of one scenario that broke the same promise in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailureGroup {
    pub scenario: String,
    pub path: String,
    pub failure: Failure,
    pub runs: u64,
    /// Ids of cells, in order of their first failure.
    pub cells: Vec<String>,
    /// The first in the order of the list.
    pub example: Example,
}

/// What a failure has in common with others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    Run(Broke),
    Promise(Signature),
    /// Violated without a signature: only a reason.
    Unsigned,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Example {
    pub number: u64,
    pub cell: String,
    pub seed: Seed,
    /// Names the run with its digest, for `hikyaku replay`; of a run that did not end, without.
    pub token: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SelfCheck {
    pub selected: u64,
    pub done: u64,
    pub differing: Vec<Differing>,
}

/// The same run with two digests or two verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Differing {
    pub path: String,
    pub number: u64,
    pub cell: String,
    pub seed: Seed,
    pub digests: (String, String),
    pub verdicts: (Verdict, Verdict),
}

impl SweepVerdict {
    /// Everything that was to be run has been, or need not be.
    pub fn is_complete(&self) -> bool {
        self.runs == self.listed || self.stopped_behind.is_some()
    }

    /// A machine broke one of its own invariants, or a worker died.
    pub fn is_internal(&self) -> bool {
        self.failures.iter().any(|group| match &group.failure {
            Failure::Run(broke) => *broke == Broke::WorkerDied,
            Failure::Promise(signature) => matches!(signature.broken, Broken::Machine(_)),
            Failure::Unsigned => false,
        })
    }
}

impl Failure {
    /// Every way in which a run failed; empty when it did not.
    pub fn all(record: &RunRecord) -> Vec<Failure> {
        match &record.end {
            RunEnd::Broken(broken) => vec![Failure::Run(broken.what)],
            RunEnd::Judged(run) if run.outcome.verdict != Verdict::Violated => Vec::new(),
            RunEnd::Judged(run) if run.signatures.is_empty() => vec![Failure::Unsigned],
            RunEnd::Judged(run) => run.signatures.iter().cloned().map(Failure::Promise).collect(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Run(Broke::WorkerDied) => write!(f, "the worker process died"),
            Failure::Run(Broke::NoProgress) => write!(f, "simulated time stood still"),
            Failure::Run(Broke::OutOfMemory) => write!(f, "out of memory"),
            Failure::Promise(signature) => write!(f, "{signature}"),
            Failure::Unsigned => write!(f, "violated"),
        }
    }
}

/// Folds records into a [`SweepVerdict`].
#[derive(Clone, Debug)]
pub struct SweepJudge<'a> {
    list: &'a SweepList,
    selection: Selection,
    cells: Vec<Vec<CellFold>>,
    regressions: BTreeMap<usize, (Verdict, String)>,
    groups: BTreeMap<(usize, Failure), FailureGroup>,
    fired: BTreeMap<FaultFamily, u64>,
    states: BTreeMap<State, u64>,
    runs: u64,
    failed: u64,
    stopped_behind: Option<u64>,
    messages: u64,
    simulated_nanoseconds: u128,
    self_check: SelfCheck,
}

#[derive(Clone, Debug, Default)]
struct CellFold {
    judge: CellJudge,
    runs: u64,
    failed: u64,
    broken: u64,
    /// Ended runs among the seeds of the file.
    own: u64,
}

impl<'a> SweepJudge<'a> {
    pub fn new(list: &'a SweepList) -> SweepJudge<'a> {
        let cells = list.scenarios.iter().map(|scenario| vec![CellFold::default(); scenario.cells.len()]);
        SweepJudge {
            list,
            selection: Selection::of(list),
            cells: cells.collect(),
            regressions: BTreeMap::new(),
            groups: BTreeMap::new(),
            fired: BTreeMap::new(),
            states: BTreeMap::new(),
            runs: 0,
            failed: 0,
            stopped_behind: None,
            messages: 0,
            simulated_nanoseconds: 0,
            self_check: SelfCheck::default(),
        }
    }

    /// Nothing that follows counts.
    pub fn is_over(&self) -> bool {
        self.stopped_behind.is_some()
    }

    /// The next record of the list, with the second run of the self-check if there was one.
    pub fn add(&mut self, run: Listed, record: &RunRecord, check: Option<&CheckRecord>) {
        assert!(!self.is_over(), "nothing counts behind the last failure");
        self.runs += 1;
        if let Some(regression) = run.regression {
            self.regressions.insert(regression, conclusion(record));
        } else {
            self.cells[run.scenario][run.cell].add(&self.list.scenarios[run.scenario].own_seeds, run.seed, record);
        }
        if let RunEnd::Judged(judged) = &record.end {
            self.messages += judged.messages;
            self.simulated_nanoseconds += u128::from(judged.outcome.ended.0);
            judged.fired.iter().for_each(|family| *self.fired.entry(*family).or_default() += 1);
            judged.states.iter().for_each(|state| *self.states.entry(*state).or_default() += 1);
            if self.selection.contains(run) {
                self.compare(run, record.number, judged, check);
            }
        }
        self.group(run, record);
        if record.failed() {
            self.failed += 1;
            self.stopped_behind = self.list.max_failures.filter(|most| *most <= self.failed).map(|_| record.number);
        }
    }

    fn compare(&mut self, run: Listed, number: u64, judged: &JudgedRun, check: Option<&CheckRecord>) {
        self.self_check.selected += 1;
        let Some(check) = check else { return };
        self.self_check.done += 1;
        if check.digest != judged.digest || check.verdict != judged.outcome.verdict {
            let (scenario, cell) = self.list.cell(run);
            self.self_check.differing.push(Differing {
                path: scenario.path.clone(),
                number,
                cell: cell.id.clone(),
                seed: run.seed,
                digests: (judged.digest.clone(), check.digest.clone()),
                verdicts: (judged.outcome.verdict, check.verdict),
            });
        }
    }

    fn group(&mut self, run: Listed, record: &RunRecord) {
        let (scenario, cell) = self.list.cell(run);
        for failure in Failure::all(record) {
            let group = self.groups.entry((run.scenario, failure.clone())).or_insert_with(|| FailureGroup {
                scenario: scenario.name.clone(),
                path: scenario.path.clone(),
                failure,
                runs: 0,
                cells: Vec::new(),
                example: Example {
                    number: record.number,
                    cell: cell.id.clone(),
                    seed: run.seed,
                    token: token(self.list, run, record),
                    reason: conclusion(record).1,
                },
            });
            group.runs += 1;
            if !group.cells.contains(&cell.id) {
                group.cells.push(cell.id.clone());
            }
        }
    }

    pub fn finish(self) -> SweepVerdict {
        let list = self.list;
        let scenarios = list.scenarios.iter().zip(self.cells).map(|(listed, cells)| swept_scenario(listed, cells));
        let scenarios: Vec<SweptScenario> = scenarios.collect();
        let regressions = list.regressions.iter().enumerate().map(|(index, regression)| {
            let scenario = &list.scenarios[regression.scenario];
            let found = self.regressions.get(&index);
            SweptRegression {
                scenario: scenario.name.clone(),
                path: scenario.path.clone(),
                cell: scenario.cells[regression.cell].id.clone(),
                seed: regression.seed,
                why: regression.why.clone(),
                verdict: found.map(|(verdict, _)| *verdict),
                reason: found.map_or(String::new(), |(_, reason)| reason.clone()),
            }
        });
        let regressions: Vec<SweptRegression> = regressions.collect();
        let cells = scenarios.iter().flat_map(|scenario| &scenario.cells);
        let judged = cells.filter_map(|cell| cell.judged.as_ref()).map(|cell| cell.verdict);
        let worst = judged.chain(regressions.iter().filter_map(|regression| regression.verdict)).max();
        let verdict = if 0 < self.failed { Verdict::Violated } else { worst.unwrap_or(Verdict::Vacuous) };
        SweepVerdict {
            verdict,
            version: list.version.clone(),
            stream_version: list.stream_version,
            hash: list.hash(),
            sets: list.sets.clone(),
            guards_off: list.guards_off.iter().map(|guard| guard.id().to_string()).collect(),
            listed: list.len(),
            runs: self.runs,
            failed: self.failed,
            stopped_behind: self.stopped_behind,
            messages: self.messages,
            simulated_seconds: self.simulated_nanoseconds as f64 / 1e9,
            scenarios,
            regressions,
            failures: self.groups.into_values().collect(),
            fired: FaultFamily::ALL.iter().map(|one| (*one, self.fired.get(one).copied().unwrap_or(0))).collect(),
            states: State::ALL.iter().map(|one| (*one, self.states.get(one).copied().unwrap_or(0))).collect(),
            self_check: self.self_check,
        }
    }
}

impl CellFold {
    fn add(&mut self, own: &std::ops::Range<u64>, seed: Seed, record: &RunRecord) {
        self.runs += 1;
        self.failed += u64::from(record.failed());
        match &record.end {
            RunEnd::Judged(run) => {
                self.own += u64::from(own.contains(&seed.0));
                self.judge.add(&run.outcome);
            }
            RunEnd::Broken(_) => self.broken += 1,
        }
    }
}

fn swept_scenario(listed: &super::list::ListedScenario, cells: Vec<CellFold>) -> SweptScenario {
    let own = listed.own_seeds.end - listed.own_seeds.start;
    let mut swept = Vec::new();
    let mut judged = Vec::new();
    for (cell, fold) in listed.cells.iter().zip(cells) {
        let coverage = if fold.own == own { Coverage::AllSeeds } else { Coverage::SomeSeeds };
        let verdict = fold.judge.finish(coverage);
        swept.push(SweptCell {
            id: cell.id.clone(),
            runs: fold.runs,
            failed: fold.failed,
            share: wilson_interval(fold.failed, fold.runs, Z95),
            broken: fold.broken,
            judged: None,
        });
        judged.extend(verdict);
    }
    for verdict in judge_family(judged) {
        if let Some(cell) = swept.iter_mut().find(|cell| cell.id == verdict.cell) {
            cell.judged = Some(verdict);
        }
    }
    SweptScenario { name: listed.name.clone(), path: listed.path.clone(), seeds: listed.seeds.clone(), cells: swept }
}

/// The verdict of one run, and its first reason.
fn conclusion(record: &RunRecord) -> (Verdict, String) {
    match &record.end {
        RunEnd::Judged(run) => (run.outcome.verdict, run.outcome.reasons.first().cloned().unwrap_or_default()),
        RunEnd::Broken(broken) => (Verdict::Violated, broken.message.clone()),
    }
}

/// Names a run for `hikyaku replay`: `acks_1_loses:acks=1:1187:s1:9f31c2d0`, scenario, cell, seed, streams, digest.
pub fn token(list: &SweepList, run: Listed, record: &RunRecord) -> String {
    let (scenario, cell) = list.cell(run);
    let place = format!("{}:{}:{}:s{}", scenario.name, cell.id, run.seed.0, list.stream_version);
    match &record.end {
        RunEnd::Judged(judged) => format!("{place}:{}", judged.digest.get(..8).unwrap_or(&judged.digest)),
        RunEnd::Broken(_) => place,
    }
}

/// Verdict of a record in one word, for tables.
pub fn word_of(record: &RunRecord) -> String {
    match &record.end {
        RunEnd::Judged(run) => word(&run.outcome.verdict),
        RunEnd::Broken(broken) => word(&broken.what),
    }
}

//! What a sweep keeps of one run: enough to judge its cell, to group its failure and to find it again.

use serde::{Deserialize, Serialize};

use crate::checks::{RunOutcome, Signature, State, Verdict};
use crate::scenario::plan::FaultFamily;

/// One run of the list, as the journal has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunRecord {
    /// In the list.
    pub number: u64,
    pub end: RunEnd,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    Judged(Box<JudgedRun>),
    /// It did not end, and that is the finding.
    Broken(BrokenRun),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JudgedRun {
    /// In hexadecimal.
    pub digest: String,
    /// Delivered by links between nodes.
    pub messages: u64,
    /// Empty unless it is violated.
    pub signatures: Vec<Signature>,
    /// Kinds of faults that fired.
    pub fired: Vec<FaultFamily>,
    pub states: Vec<State>,
    /// Without what only a report of one run needs; see [`slim`].
    pub outcome: RunOutcome,
}

/// A run that took its worker with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BrokenRun {
    pub what: Broke,
    /// One sentence.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broke {
    /// The process of the worker ended in the middle of the run.
    WorkerDied,
    /// Simulated time stood still.
    NoProgress,
    OutOfMemory,
}

/// A run of the self-check: the same once more, elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckRecord {
    pub number: u64,
    pub digest: String,
    pub verdict: Verdict,
}

impl RunRecord {
    /// A broken promise, a broken machine, or a run that did not end.
    pub fn failed(&self) -> bool {
        match &self.end {
            RunEnd::Judged(run) => run.outcome.verdict == Verdict::Violated,
            RunEnd::Broken(_) => true,
        }
    }
}

/// Leaves out what a sweep does not fold: fates by place, metrics of services, series; of a run that violates nothing
/// also the sightings behind its evidence.
pub fn slim(mut outcome: RunOutcome) -> RunOutcome {
    let violated = outcome.verdict == Verdict::Violated;
    outcome.places.clear();
    outcome.services.clear();
    outcome.faults.clear();
    outcome.invariant_violations.truncate(1);
    outcome.reasons.truncate(if violated { 8 } else { 1 });
    for result in &mut outcome.expectations {
        result.evidence.truncate(1);
        if !violated {
            result.evidence.iter_mut().for_each(|evidence| evidence.sightings.clear());
        }
    }
    outcome
}

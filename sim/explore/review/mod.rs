//! The checklist of a design review, each point with evidence from runs.
//!
//! The one idea: nothing is ticked because a setting looks right. Each point is a question to the bench (`bench.rs`): the consumer
//! is killed at each of its steps, each message is delivered twice, leaders crash, the other side falls silent; what breaks a promise of
//! the file is a "no". Its cure is one change (`changes.rs`), and stands here only if the same question is answered "yes" with it.
//!
//! What it deliberately does not do: weigh points against each other, or look for two changes at once.

mod bench;
mod changes;
mod points;
mod reading;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::scenario::plan::Plan;

pub use bench::{Bench, Effort, Harm, Probe, ProbeRun, Probed};
pub use points::{Answer, Finding, Point, Seen};

/// A change that makes a "no" a "yes".
#[derive(Clone, Debug)]
pub struct Change {
    /// What a person would write.
    pub text: String,
    /// Runs that broke the promise before, of how many; nothing where the point is read off the file.
    pub before: Option<(u64, u64)>,
    pub after: Option<(u64, u64)>,
    /// What is said of the point with the change.
    pub evidence: String,
}

/// One point, answered.
#[derive(Clone, Debug)]
pub struct Reviewed {
    pub point: Point,
    pub finding: Finding,
    /// The first change that was shown to help.
    pub change: Option<Change>,
    /// Changes that were tried and did not.
    pub tried: Vec<String>,
}

/// The whole checklist.
pub struct Review {
    pub points: Vec<Reviewed>,
    /// Everything that was done to the system as it is.
    pub probes: Vec<Arc<Probed>>,
    /// Where the harm of a probe is looked up.
    pub harms: Vec<(String, Vec<String>)>,
    pub interrupted: bool,
}

/// Reviews one system. `load` gives the same cell with more `--set`s laid over the file; `told` hears of each point.
pub fn review(
    plan: Plan,
    effort: &Effort,
    load: &dyn Fn(&[String]) -> Option<Plan>,
    points: &[Point],
    told: &mut dyn FnMut(Point),
) -> Review {
    let mut bench = Bench::new(plan, effort, Some(Vec::new()), load);
    let mut reviewed = Vec::new();
    for point in points {
        if effort.stop.load(Ordering::Relaxed) {
            break;
        }
        let finding = points::judge(*point, &mut bench);
        let (change, tried) = match finding.answer {
            Answer::No => cured(*point, &finding, &mut bench),
            Answer::Yes | Answer::DoesNotApply => (None, Vec::new()),
        };
        reviewed.push(Reviewed { point: *point, finding, change, tried });
        told(*point);
    }
    let harms = bench.all().map(|probed| {
        let mut of_probe: BTreeSet<String> = BTreeSet::new();
        for run in &probed.runs {
            of_probe.extend(bench.harms(&run.outcome).iter().map(|harm| points::harm_text(&bench, harm)));
        }
        (probed.probe.name.clone(), of_probe.into_iter().collect())
    });
    Review {
        harms: harms.collect(),
        points: reviewed,
        probes: bench.all().cloned().collect(),
        interrupted: effort.stop.load(Ordering::Relaxed),
    }
}

/// The first single change with which the point is answered "yes".
fn cured(point: Point, finding: &Finding, bench: &mut Bench) -> (Option<Change>, Vec<String>) {
    let mut tried = Vec::new();
    for (text, mut other) in changes::changes(point, finding, bench) {
        if bench.effort.stop.load(Ordering::Relaxed) {
            break;
        }
        other.telling = finding.seen.iter().map(|seen| seen.probe.clone()).collect();
        let after = points::judge(point, &mut other);
        if after.answer == Answer::Yes {
            let change = Change { text, before: finding.broken, after: after.broken, evidence: after.evidence };
            return (Some(change), tried);
        }
        tried.push(text);
    }
    (None, tried)
}

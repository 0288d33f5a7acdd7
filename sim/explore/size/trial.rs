//! One point, simulated: the scenario with that many instances and partitions, the outage laid over it, judged by the objectives.
//!
//! The one idea: a point is the scenario file and a list of `--set`s, so that whoever doubts it runs it by hand.

use std::path::Path;

use super::site::{Away, Point, Site};
use super::{Objective, Question};
use crate::checks::{ConsumingMetrics, ExpectationResult, Measured, RecoveryTime, Subject, Verdict, WaitOptions};
use crate::explore::{SeedRun, run_family};
use crate::scenario::plan::{FaultAction, FaultPlan, FaultTrigger, NodeKind, Plan, ServicePlan, Target};
use crate::scenario::{self, Diagnostics, write_fault};
use crate::types::{Duration, ServiceId};

/// The outage as a sentence, under the name of the fault whose place it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Outage {
    pub fault: String,
    pub at: Duration,
    pub length: Duration,
    pub who: Away,
    /// Of the fault.
    pub sentence: String,
    /// The file states such a fault, and this one takes its place.
    pub of_file: bool,
}

/// When nothing in the file says so: late enough that the load is there.
const AT: Duration = Duration::from_secs(5);
const OUTAGE: &str = "outage";
const LOST: &str = "one-instance-less";

impl Outage {
    /// The outage that the file has, as long as was asked for; or a crash of all instances.
    pub fn of(plan: &Plan, service: &ServicePlan, length: Option<Duration>) -> Result<Outage, String> {
        let of_file = plan.faults.iter().filter_map(|fault| Some((fault, away(plan, service, fault)?)));
        match of_file.max_by_key(|(fault, _)| fault.duration) {
            Some((fault, who)) => {
                let length = length.or(fault.duration).expect("an outage lasts");
                let at = match fault.trigger {
                    FaultTrigger::At(at) => at,
                    FaultTrigger::When { .. } => AT,
                };
                let fault =
                    FaultPlan { duration: Some(length), trigger: FaultTrigger::At(at), every: None, ..fault.clone() };
                Ok(Outage {
                    fault: fault.name.clone(),
                    at,
                    length,
                    who,
                    sentence: write_fault(&fault, plan),
                    of_file: true,
                })
            }
            None => {
                let Some(length) = length else {
                    return Err("the file has no outage to recover from: say how long one is with --outage".into());
                };
                let sentence = format!("at {AT} for {length} crash {}", service.name);
                Ok(Outage { fault: OUTAGE.into(), at: AT, length, who: Away::Instances, sentence, of_file: false })
            }
        }
    }
}

/// Whether a fault takes the whole service away, or something that its steps need.
fn away(plan: &Plan, service: &ServicePlan, fault: &FaultPlan) -> Option<Away> {
    fault.duration?;
    let (target, paused) = match &fault.action {
        FaultAction::Crash(target) | FaultAction::Restart { target, rolling: false } => (target, false),
        FaultAction::Pause(target) => (target, true),
        _ => return None,
    };
    let nodes = match target {
        Target::Node(node) => vec![*node],
        Target::Nodes(nodes) => nodes.clone(),
        _ => return None,
    };
    if service.instances.iter().all(|instance| nodes.contains(instance)) {
        return Some(if paused { Away::Paused } else { Away::Instances });
    }
    let is_downstream = |kind: NodeKind| matches!(kind, NodeKind::Store { .. } | NodeKind::Endpoint { .. });
    let needed = plan.nodes.iter().any(|node| nodes.contains(&node.id) && is_downstream(node.kind));
    needed.then_some(Away::Downstream)
}

/// What came of an objective at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub objective: Objective,
    /// One for each run; `None` is never.
    pub samples: Vec<Option<f64>>,
    /// Promises of the file that broke on the way, one sentence for each.
    pub broken: Vec<String>,
    /// Headroom of the busiest instance, as the runs saw it, where the file states a headroom.
    pub effective_seen: Option<f64>,
    /// What makes these runs of the scenario.
    pub sets: Vec<String>,
}

impl Trial {
    /// Every run keeps the objective, and nothing else breaks.
    pub fn meets(&self) -> bool {
        let within = |sample: &Option<f64>| sample.is_some_and(|value| value <= self.objective.limit());
        self.broken.is_empty() && self.samples.iter().all(within)
    }

    /// `None` when some run has no value.
    pub fn values(&self) -> Option<Vec<f64>> {
        self.samples.iter().copied().collect()
    }
}

/// Runs one point for one objective. `done` hears of each run.
pub fn run(
    question: &Question,
    site: &Site,
    outage: Option<&Outage>,
    point: Point,
    objective: Objective,
    done: &mut dyn FnMut(),
) -> Result<Trial, Diagnostics> {
    let sets = sets_of(question, site, outage, point, objective);
    let all: Vec<String> = question.sets.iter().chain(&sets).cloned().collect();
    let family = scenario::load(Path::new(&question.scenario), &all)?;
    let runs = run_family(&family, 0..question.runs, question.jobs, WaitOptions::default(), question.stop, |_| done());
    let plan = family.cells[0].plan(crate::types::Seed(0));
    let service = plan.services.iter().find(|service| service.name == site.service).expect("the same file").id;
    let mut broken: Vec<String> = Vec::new();
    for run in &runs {
        for reason in broken_promises(run) {
            if !broken.contains(&reason) {
                broken.push(reason);
            }
        }
    }
    let samples = runs.iter().map(|run| measure(run, service, objective)).collect();
    let effective_seen = runs.iter().filter_map(|run| consuming(run, service)?.effective_headroom).reduce(f64::min);
    Ok(Trial { objective, samples, broken, effective_seen, sets })
}

/// A crash of machinery, and fates that the file does not allow. What it bounds in time is ours to ask here.
fn broken_promises(run: &SeedRun) -> Vec<String> {
    if let Some(panic) = &run.report.panic {
        return vec![format!("seed {}: {panic}", run.seed.0)];
    }
    // A hazard that the file demands is a demonstration, and no tolerance.
    let is_broken = |result: &&ExpectationResult| {
        let seen = matches!(result.measured, Measured::Count { count, .. } if 0 < count);
        matches!(result.subject, Subject::Place { .. })
            && (result.verdict == Verdict::Violated || (seen && result.demand.is_required()))
    };
    let told = |result: &ExpectationResult| match result.why.is_empty() {
        true => format!("{} is seen", result.name),
        false => format!("{}: {}", result.name, result.why),
    };
    run.outcome.expectations.iter().find(is_broken).map(told).into_iter().collect()
}

fn consuming(run: &SeedRun, service: ServiceId) -> Option<&ConsumingMetrics> {
    run.outcome.services.iter().find(|metrics| metrics.service == service)?.consuming.as_ref()
}

fn measure(run: &SeedRun, service: ServiceId, objective: Objective) -> Option<f64> {
    let metrics = consuming(run, service)?;
    match objective {
        Objective::Recovery(_) => match metrics.recovery.after? {
            RecoveryTime::Recovered(after) => Some(after.as_seconds()),
            RecoveryTime::Censored(_) => None,
        },
        Objective::WaitP99(_) => (metrics.wait.count > 0).then(|| metrics.wait.p99.as_seconds()),
        Objective::LagMax(_) => Some(metrics.lag_max as f64),
    }
}

pub fn sets_of(
    question: &Question,
    site: &Site,
    outage: Option<&Outage>,
    point: Point,
    objective: Objective,
) -> Vec<String> {
    let service = &site.service;
    let mut sets = vec![format!("service.{service}.instances={}", point.instances)];
    if let Some(thousandths) = site.headroom_thousandths {
        // As many instances as capacity: the time of `work` stays what it is.
        let scaled = thousandths as f64 * f64::from(point.instances) / f64::from(site.stated.instances);
        sets.push(format!("service.{service}.headroom={}x", scaled.round() / 1000.0));
    }
    sets.extend(site.topics.iter().map(|topic| format!("topic.{topic}.partitions={}", point.partitions)));
    let last = |count: u32| match count {
        1 => format!("instance({service}, {})", point.instances),
        _ => format!("any({count}, {service})"),
    };
    let limit = Duration::from_seconds_f64(objective.limit());
    match (objective, outage) {
        (Objective::Recovery(_), Some(outage)) => {
            // A run that needs longer than twice the objective has missed it.
            let duration = Duration::from_secs((outage.at + outage.length + limit * 2).as_seconds().ceil() as u64 + 5);
            sets.push(format!("duration={duration}"));
            sets.push(format!("fault.{}={}", outage.fault, outage.sentence));
            if 0 < question.losing {
                let sentence = format!("at {} for {duration} crash {}", outage.at, last(question.losing));
                sets.push(format!("fault.{LOST}={sentence}"));
            }
            sets.push(format!("expect.{service}.recovery=< {limit}"));
        }
        (objective, outage) => {
            // In steady state they are gone for good, and in order: what noticing costs belongs to recovery.
            let stays = point.instances.saturating_sub(question.losing);
            let less = match question.losing {
                0 => None,
                _ => Some(format!("at 0s set service.{service}.instances to {stays}")),
            };
            // The file's own outage is no steady state: something that changes nothing stands in its place.
            let instead = || format!("at 0s elect {}", site.topics[0]);
            match (outage.filter(|outage| outage.of_file), less) {
                (Some(outage), less) => sets.push(format!("fault.{}={}", outage.fault, less.unwrap_or_else(instead))),
                (None, Some(less)) => sets.push(format!("fault.{LOST}={less}")),
                (None, None) => {}
            }
            let bound = match objective {
                Objective::LagMax(most) => format!("lag-max=<= {most}"),
                Objective::WaitP99(_) | Objective::Recovery(_) => format!("wait-p99=< {limit}"),
            };
            sets.push(format!("expect.{service}.{bound}"));
        }
    }
    sets
}

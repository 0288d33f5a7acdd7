//! A capacity study: the fewest instances and partitions of a consuming service that meet a stated objective.
//!
//! The one idea: theory says where to look, runs say whether it is true. The closed forms of `theory/` give a first point; the
//! scenario is run there, and one step below, where it must miss. Where the runs want more than the formula, or less, the study
//! follows the runs, and says what the formula does not know.
//!
//! What it deliberately does not do: price anything, or search settings other than instances and partitions.

mod site;
mod trial;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::scenario::plan::{Plan, ServicePlan, Trigger};
use crate::scenario::{self, Diagnostics};
use crate::theory::{recovery, sizing};
use crate::types::{Duration, Seed};

pub use site::{Away, Eaten, Point, Site};
pub use trial::{Outage, Trial};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// After the outage, the backlog is gone within this.
    Recovery(Duration),
    /// In steady state, 99 % of the records wait no longer than this.
    WaitP99(Duration),
    /// In steady state, no more records than this wait.
    LagMax(u64),
}

impl Objective {
    /// Seconds, or records.
    pub fn limit(self) -> f64 {
        match self {
            Objective::Recovery(length) | Objective::WaitP99(length) => length.as_seconds(),
            Objective::LagMax(most) => most as f64,
        }
    }
}

/// What is asked.
pub struct Question<'a> {
    /// Path of the file.
    pub scenario: String,
    /// `PATH=VALUE`, laid over the file at every point.
    pub sets: Vec<String>,
    pub service: Option<String>,
    pub objectives: Vec<Objective>,
    /// Length of the outage; `None` is that of the file.
    pub outage: Option<Duration>,
    /// Instances that are gone while the objectives must hold.
    pub losing: u32,
    pub most_instances: u32,
    /// Only the partitions of the file are thought of.
    pub keeps_partitions: bool,
    /// Seeds 0 up to but not including this are run at each point.
    pub runs: u64,
    pub jobs: usize,
    pub stop: &'a AtomicBool,
}

/// A point that was simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub point: Point,
    /// Of all instances, on paper.
    pub nominal: f64,
    /// Of the busiest of those that are left, by theory.
    pub effective: f64,
    /// One for each objective.
    pub trials: Vec<Trial>,
    /// What theory says of each objective; `None`: never, or nothing.
    pub theory: Vec<Option<f64>>,
}

impl Tried {
    pub fn meets(&self) -> bool {
        self.trials.iter().all(Trial::meets)
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Study {
    pub scenario: String,
    pub site: Site,
    pub outage: Option<Outage>,
    pub losing: u32,
    /// Headroom that the recovery objective asks for, by the plain formula 1 + outage / objective, and with the time that the group
    /// takes to deal its partitions; `None`: no headroom is enough.
    pub plain_headroom: Option<f64>,
    pub needed_headroom: Option<f64>,
    /// Seconds until orphaned partitions have a reader again, behind the end of the outage.
    pub rejoin: f64,
    /// In the order in which they were run.
    pub tried: Vec<Tried>,
    /// Index of the answer among those.
    pub answer: Option<usize>,
    /// How the answer comes from the plain formula, or why there is none: instances after each step, and the reason.
    pub steps: Vec<Step>,
    /// Instances that would do with the partitions of the file, where the answer has others: `None` is no number.
    pub with_stated_partitions: Option<Option<u32>>,
    pub interrupted: bool,
}

/// One thing that changes how many instances it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// `None`: no number that is allowed.
    pub instances: Option<u32>,
    pub why: String,
}

/// Why there is no study.
#[derive(Debug)]
pub enum Refusal {
    Invalid(Diagnostics),
    /// The question does not fit the file.
    Usage(String),
}

impl From<Diagnostics> for Refusal {
    fn from(problems: Diagnostics) -> Refusal {
        Refusal::Invalid(problems)
    }
}

/// Runs the study. `told` hears of each run with the point it belongs to.
pub fn study(question: &Question, told: &mut dyn FnMut(Point)) -> Result<Study, Refusal> {
    let family = scenario::load(std::path::Path::new(&question.scenario), &question.sets)?;
    let cells: Vec<Plan> = family.cells.iter().map(|cell| cell.plan(Seed(0))).collect();
    let plan = &cells[0];
    let service = chosen(plan, question.service.as_deref()).map_err(Refusal::Usage)?;
    let site = Site::of(plan, service).map_err(Refusal::Usage)?;
    let asks_recovery = question.objectives.iter().any(|objective| matches!(objective, Objective::Recovery(_)));
    let outage = match Outage::of(plan, service, question.outage) {
        Ok(outage) => Some(outage),
        Err(problem) if asks_recovery => return Err(Refusal::Usage(problem)),
        Err(_) => None,
    };
    let mut search = Search { question, site: &site, outage: outage.as_ref(), tried: Vec::new() };
    search.refuse_other_cells()?;
    let answer = search.search(told)?;
    let tried = std::mem::take(&mut search.tried);
    let losing = question.losing;
    let with_stated_partitions = answer.map(|index| tried[index].point.partitions).and_then(|partitions| {
        (partitions != site.stated.partitions)
            .then(|| search.fewest(|_| vec![site.stated.partitions]).map(|point| point.instances))
    });
    let steps = search.steps(answer.map(|index| tried[index].point));
    let (plain_headroom, needed_headroom) = (search.needed(false), search.needed(true));
    let rejoin = search.rejoin();
    Ok(Study {
        scenario: question.scenario.clone(),
        outage,
        losing,
        plain_headroom,
        needed_headroom,
        rejoin,
        tried,
        answer,
        steps,
        with_stated_partitions,
        interrupted: question.stop.load(Ordering::Relaxed),
        site,
    })
}

fn chosen<'a>(plan: &'a Plan, name: Option<&str>) -> Result<&'a ServicePlan, String> {
    let consuming = || plan.services.iter().filter(|service| matches!(service.trigger, Trigger::Consume(_)));
    let names = || consuming().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, consuming().count()) {
        (Some(name), _) => consuming().find(|service| service.name == name).ok_or_else(|| {
            format!("`{}` is no consuming service of this scenario; there are: {}", scenario::printable(name), names())
        }),
        (None, 1) => Ok(consuming().next().expect("there is one")),
        (None, 0) => Err("no service of this scenario consumes a topic: there is nothing to size".into()),
        (None, _) => Err(format!("several services consume: say which with --service: {}", names())),
    }
}

struct Search<'a> {
    question: &'a Question<'a>,
    site: &'a Site,
    outage: Option<&'a Outage>,
    tried: Vec<Tried>,
}

/// Points above the one that theory names that are tried before the study gives up.
const MORE: u32 = 6;

impl Search<'_> {
    /// Points set instances and partitions; what is left of a family must be one system.
    fn refuse_other_cells(&self) -> Result<(), Refusal> {
        let objective = self.question.objectives[0];
        let sets = trial::sets_of(self.question, self.site, self.outage, self.site.stated, objective);
        let all: Vec<String> = self.question.sets.iter().chain(&sets).cloned().collect();
        let family = scenario::load(std::path::Path::new(&self.question.scenario), &all)?;
        match &family.cells[..] {
            [_] => Ok(()),
            [first, .., last] => Err(Refusal::Usage(format!(
                "the scenario is a family of {} cells, from `{}` to `{}`: pin one with --set AXIS=VALUE",
                family.cells.len(),
                first.id,
                last.id
            ))),
            [] => unreachable!("a family has a cell"),
        }
    }

    fn recovery(&self) -> Option<(Duration, &Outage)> {
        let objective = self.question.objectives.iter().find_map(|objective| match objective {
            Objective::Recovery(length) => Some(*length),
            Objective::WaitP99(_) | Objective::LagMax(_) => None,
        })?;
        Some((objective, self.outage?))
    }

    fn rejoin(&self) -> f64 {
        let of = |(_, outage): (Duration, &Outage)| {
            self.site.rejoin(outage.length.as_seconds(), outage.who, self.question.losing)
        };
        self.recovery().map_or(0.0, of)
    }

    /// Headroom that the recovery objective asks for.
    fn needed(&self, with_rejoin: bool) -> Option<f64> {
        let (objective, outage) = self.recovery()?;
        let rejoin = if with_rejoin { self.rejoin() } else { 0.0 };
        sizing::headroom_for_recovery(outage.length.as_seconds(), 0.0, objective.as_seconds(), 1.0, rejoin)
    }

    fn left(&self, instances: u32) -> u32 {
        instances.saturating_sub(self.question.losing)
    }

    fn theory(&self, point: Point, objective: Objective) -> Option<f64> {
        let left = self.left(point.instances);
        match objective {
            Objective::Recovery(_) => {
                let outage = self.recovery()?.1.length.as_seconds();
                self.site.recovery(left, point.partitions, outage, self.rejoin())
            }
            Objective::WaitP99(_) => self.site.wait_p99(left, point.partitions),
            // The highest of many counts has no closed form.
            Objective::LagMax(_) => None,
        }
    }

    /// Whether theory expects the point to do. Where it has no number for an objective, it asks for a steady state.
    fn should_meet(&self, point: Point) -> bool {
        let left = self.left(point.instances);
        let stable = 0 < left && 1.0 < self.site.effective_headroom(left, point.partitions, Eaten::ALL);
        stable
            && self.question.objectives.iter().all(|objective| match objective {
                Objective::LagMax(_) => true,
                _ => self.theory(point, *objective).is_some_and(|value| value <= objective.limit()),
            })
    }

    /// Partitions worth a thought for so many instances: those of the file first.
    fn candidates(&self, instances: u32) -> Vec<u32> {
        let left = self.left(instances).max(1);
        let stated = self.site.stated.partitions;
        if self.question.keeps_partitions {
            return vec![stated];
        }
        std::iter::once(stated).chain((left..=4 * left).filter(|count| *count != stated)).collect()
    }

    fn fewest(&self, partitions: impl Fn(u32) -> Vec<u32>) -> Option<Point> {
        (1..=self.question.most_instances).find_map(|instances| {
            let points = partitions(instances).into_iter().map(|partitions| Point { instances, partitions });
            points.into_iter().find(|point| self.should_meet(*point))
        })
    }

    /// The point with the most effective headroom for so many instances; of equals the first candidate.
    fn best(&self, instances: u32, also: u32) -> Point {
        let headroom = |partitions: u32| self.site.effective_headroom(self.left(instances), partitions, Eaten::ALL);
        let candidates = std::iter::once(also).chain(self.candidates(instances));
        let best =
            candidates.reduce(|best, next| if headroom(best) * (1.0 + 1e-9) < headroom(next) { next } else { best });
        Point { instances, partitions: best.expect("there is one candidate") }
    }

    /// The index of the answer.
    fn search(&mut self, told: &mut dyn FnMut(Point)) -> Result<Option<usize>, Refusal> {
        let most = self.question.most_instances;
        let first = self.fewest(|instances| self.candidates(instances)).unwrap_or_else(|| {
            // Theory knows no point: the runs are asked at the best of those that are allowed.
            let all = (1..=most).map(|instances| self.best(instances, self.site.stated.partitions));
            let headroom =
                |point: &Point| self.site.effective_headroom(self.left(point.instances), point.partitions, Eaten::ALL);
            all.reduce(|best, next| if headroom(&best) * (1.0 + 1e-9) < headroom(&next) { next } else { best })
                .expect("at least one instance is allowed")
        });
        let mut at = self.try_point(first, told)?;
        if !self.tried[at].meets() {
            for instances in first.instances + 1..=most.min(first.instances + MORE) {
                let point = self.best(instances, self.tried[at].point.partitions);
                at = self.try_point(point, told)?;
                if self.tried[at].meets() || self.is_stopped() {
                    break;
                }
            }
            return Ok(self.tried[at].meets().then_some(at));
        }
        // One step below must miss; while it does not, it is the answer.
        while !self.is_stopped() {
            let Point { instances, partitions } = self.tried[at].point;
            let fewer = (self.question.losing + 1 < instances).then(|| self.best(instances - 1, partitions));
            let Some(below) = fewer else { break };
            let below = self.try_point(below, told)?;
            if !self.tried[below].meets() {
                break;
            }
            at = below;
        }
        // Partitions that the study chose are as few as do; those of the file stay.
        while !self.is_stopped() {
            let Point { instances, partitions } = self.tried[at].point;
            if partitions == self.site.stated.partitions || partitions < 2 {
                break;
            }
            let below = self.try_point(Point { instances, partitions: partitions - 1 }, told)?;
            if !self.tried[below].meets() {
                break;
            }
            at = below;
        }
        Ok(Some(at))
    }

    fn is_stopped(&self) -> bool {
        self.question.stop.load(Ordering::Relaxed)
    }

    fn try_point(&mut self, point: Point, told: &mut dyn FnMut(Point)) -> Result<usize, Refusal> {
        if let Some(known) = self.tried.iter().position(|tried| tried.point == point) {
            return Ok(known);
        }
        let mut trials = Vec::new();
        for objective in &self.question.objectives {
            let mut done = || told(point);
            trials.push(trial::run(self.question, self.site, self.outage, point, *objective, &mut done)?);
        }
        self.tried.push(Tried {
            point,
            nominal: self.site.nominal_headroom(point.instances),
            effective: self.site.effective_headroom(self.left(point.instances), point.partitions, Eaten::ALL),
            theory: self.question.objectives.iter().map(|objective| self.theory(point, *objective)).collect(),
            trials,
        });
        Ok(self.tried.len() - 1)
    }

    // --- from the plain formula to the answer ---

    /// Fewest instances whose busiest has that headroom, of evenly dealt partitions.
    fn with_headroom(&self, needed: f64, eaten: Eaten) -> Option<u32> {
        let has =
            |instances: &u32| needed <= self.site.effective_headroom(*instances, *instances, eaten) * (1.0 + 1e-9);
        (1..=self.question.most_instances).find(has)
    }

    fn steps(&self, answer: Option<Point>) -> Vec<Step> {
        let site = self.site;
        let nothing = Eaten { attempts: false, keys: false };
        let mut steps: Vec<Step> = Vec::new();
        let mut step = |instances: Option<u32>, why: String| {
            if steps.last().is_none_or(|last: &Step| last.instances != instances) {
                steps.push(Step { instances, why });
            }
        };
        let (plain, needed) = match self.recovery() {
            Some(_) => (self.needed(false), self.needed(true)),
            None => (Some(1.0), Some(1.0)),
        };
        let one = site.instance_rate(nothing);
        let count = |needed: Option<f64>, eaten: Eaten| needed.and_then(|needed| self.with_headroom(needed, eaten));
        let formula = match self.recovery() {
            Some((objective, outage)) => format!(
                "the plain formula: 1 + {} / {objective} = {:.2}× of {:.1}/s, at {one:.1}/s each",
                outage.length,
                plain.unwrap_or(f64::INFINITY),
                site.rate
            ),
            None => format!("to serve {:.1}/s at all, at {one:.1}/s each", site.rate),
        };
        step(count(plain, nothing), formula);
        let rejoin = self.rejoin();
        let why = match needed {
            Some(needed) => format!(
                "orphaned partitions have no reader for {rejoin:.1} s behind the outage (session timeout, join): {needed:.2}×"
            ),
            None => format!(
                "orphaned partitions have no reader for {rejoin:.1} s behind the outage (session timeout, join), longer than \
                 the objective: no headroom is enough; shorten `session-timeout`"
            ),
        };
        step(count(needed, nothing), why);
        let attempts = Eaten { attempts: true, keys: false };
        step(
            count(needed, attempts),
            format!("failures are tried again: {:.2} attempts for each event", site.attempts),
        );
        let why = match site.top_key() {
            0.0 => "the hash deals keys unevenly: the busiest has more than its share".to_string(),
            top => format!(
                "the busiest key is {:.0} % of all, and a key has one reader, who does {:.1}/s",
                top * 100.0,
                site.instance_rate(attempts)
            ),
        };
        step(count(needed, Eaten::ALL), why);
        let before = steps.last().and_then(|step| step.instances).map(|count| count + self.question.losing);
        if 0 < self.question.losing {
            let word = if self.question.losing == 1 { "one instance" } else { "the instances" };
            steps.push(Step { instances: before, why: format!("{word} more, that may be lost") });
        }
        let theory = self.fewest(|instances| self.candidates(instances)).map(|point| point.instances);
        if theory != before {
            let why = match (self.uneven(before), self.recovery()) {
                (Some(uneven), _) => uneven,
                (None, Some(_)) => "the slowest of several readers decides, and theirs are not equally slow".into(),
                (None, None) => "waits, not only capacity: 99 % have to be fast enough".into(),
            };
            steps.push(Step { instances: theory, why });
        }
        let simulated = answer.map(|point| point.instances);
        if simulated != theory {
            steps.push(Step { instances: simulated, why: self.what_runs_say() });
        }
        steps
    }

    /// That the partitions of the file cannot be dealt evenly to those that are left of so many.
    fn uneven(&self, instances: Option<u32>) -> Option<String> {
        let left = self.left(instances?);
        let partitions = self.site.stated.partitions * self.site.topics.len() as u32;
        let uneven = self.question.keeps_partitions && 0 < left && !partitions.is_multiple_of(left);
        uneven.then(|| {
            let most = recovery::partitions_of_most_loaded(partitions, left);
            format!("{partitions} partitions cannot be dealt evenly to {left}: the busiest has {most} of them")
        })
    }

    fn what_runs_say(&self) -> String {
        let left_out = match &self.site.left_out[..] {
            [] => String::new(),
            some => format!("; theory leaves out {}", some.join(", ")),
        };
        format!("the runs: every one has to meet the objective, theory speaks of the mean{left_out}")
    }
}

/// Headroom of instances that do not divide the partitions, over that of those that do: 1 is even.
pub fn evenness(point: Point, topics: u32, losing: u32) -> f64 {
    let left = point.instances.saturating_sub(losing);
    if left == 0 { 0.0 } else { recovery::effective_headroom(1.0, point.partitions * topics, left) }
}

//! The bench: the system without its own faults, and one thing at a time that is done to it.
//!
//! The one idea: what a design review asks is answered by runs, each of which is a whole plan that can be replayed. The file's own faults
//! and bounds are laid aside; what it tolerates at a place stays, a hazard that it demands is no tolerance, and a place that it says
//! nothing of owes exactly one effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::checks::{Evidence, EvidenceKind, PlaceFates, RunOutcome, WaitOptions, arriving, places_of_step};
use crate::explore::{in_parallel, run_seed};
use crate::scenario::plan::*;
use crate::scenario::write_fault;
use crate::types::*;

/// Load phase of a probe: enough for so many events.
const EVENTS: f64 = 200.0;
const SHORTEST: Duration = Duration::from_secs(6);
const LONGEST: Duration = Duration::from_secs(20);

/// How hard a review tries.
pub struct Effort<'a> {
    /// Seeds 0 up to but not including this, for each thing that is done.
    pub runs: u64,
    pub jobs: usize,
    pub stop: &'a AtomicBool,
}

/// One thing that is done to the system.
#[derive(Clone, Debug)]
pub struct Probe {
    /// As the name of a folder.
    pub name: String,
    /// The fault as a sentence of the language.
    pub sentence: String,
    faults: Vec<FaultPlan>,
}

/// A run of it.
#[derive(Clone, Debug)]
pub struct ProbeRun {
    pub plan: Plan,
    pub outcome: RunOutcome,
}

#[derive(Debug)]
pub struct Probed {
    pub probe: Probe,
    pub runs: Vec<ProbeRun>,
}

/// A fate that the place does not allow.
#[derive(Clone, Debug)]
pub struct Harm {
    pub place: PlaceId,
    pub kind: EvidenceKind,
    pub count: u64,
    pub evidence: Option<Evidence>,
}

/// A system on the bench.
pub struct Bench<'a> {
    /// As the file has it.
    pub stated: Plan,
    /// Without its faults; judged place by place.
    pub plan: Plan,
    pub effort: &'a Effort<'a>,
    /// `--set`s that made this system of the file; unknown of a system that was changed as a plan.
    pub sets: Option<Vec<String>>,
    pub load: &'a dyn Fn(&[String]) -> Option<Plan>,
    /// Probes that are tried first, because they showed something before a change.
    pub telling: BTreeSet<String>,
    done: BTreeMap<String, Arc<Probed>>,
}

impl<'a> Bench<'a> {
    pub fn new(
        stated: Plan,
        effort: &'a Effort<'a>,
        sets: Option<Vec<String>>,
        load: &'a dyn Fn(&[String]) -> Option<Plan>,
    ) -> Bench<'a> {
        let mut plan = stated.clone();
        (plan.faults, plan.chaos, plan.floors) = (Vec::new(), None, Vec::new());
        plan.expectations = judged(&stated);
        let rate: f64 = plan.services.iter().filter_map(interval).map(|interval| 1.0 / interval.as_seconds()).sum();
        let wanted = Duration::from_seconds_f64((EVENTS / rate.max(1e-9)).ceil().min(1e6));
        plan.duration = wanted.max(SHORTEST).min(LONGEST).min(plan.duration.max(SHORTEST));
        Bench { stated, plan, effort, sets, load, telling: BTreeSet::new(), done: BTreeMap::new() }
    }

    /// The same file with more laid over it.
    pub fn with(&self, more: &[String]) -> Option<Bench<'a>> {
        let all: Vec<String> = self.sets.as_ref()?.iter().chain(more).cloned().collect();
        Some(Bench::new((self.load)(&all)?, self.effort, Some(all), self.load))
    }

    /// Runs the probe, once.
    pub fn probed(&mut self, probe: &Probe) -> Arc<Probed> {
        if let Some(done) = self.done.get(&probe.name) {
            return done.clone();
        }
        let mut plan = self.plan.clone();
        plan.faults = probe.faults.clone();
        let runs = in_parallel(self.effort.runs as usize, self.effort.jobs, |seed| {
            let plan = Plan { seed: Seed(seed as u64), ..plan.clone() };
            let (outcome, _) = run_seed(&plan, WaitOptions::default(), |_| {});
            ProbeRun { plan, outcome }
        });
        let done = Arc::new(Probed { probe: probe.clone(), runs });
        self.done.insert(probe.name.clone(), done.clone());
        done
    }

    /// Everything that was done, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Probed>> {
        self.done.values()
    }

    pub fn place(&self, place: PlaceId) -> &str {
        &self.plan.places[usize::from(place.0)].name
    }

    pub fn service(&self, id: ServiceId) -> &ServicePlan {
        &self.plan.services[usize::from(id.0)]
    }

    /// Services that take what they do from a queue or an outbox.
    pub fn consumers(&self) -> Vec<ServiceId> {
        let is_consumer = |service: &&ServicePlan| matches!(service.trigger, Trigger::Consume(_) | Trigger::Poll(_));
        self.plan.services.iter().filter(is_consumer).map(|service| service.id).collect()
    }

    pub fn origins(&self) -> Vec<ServiceId> {
        let is_origin = |service: &&ServicePlan| matches!(service.trigger, Trigger::Requests(_));
        self.plan.services.iter().filter(is_origin).map(|service| service.id).collect()
    }

    /// What the places do not allow.
    pub fn harms(&self, outcome: &RunOutcome) -> Vec<Harm> {
        let mut harms = Vec::new();
        for expectation in &self.plan.expectations {
            let Expectation::Place(expected) = expectation else { continue };
            let Some(fates) = outcome.places.iter().find(|fates| fates.place == expected.place) else { continue };
            let counts = [
                (EvidenceKind::Lost, fates.lost, expected.loss),
                (EvidenceKind::RepeatedHarmful, fates.repeated_harmful, expected.duplicates),
                (EvidenceKind::Stale, fates.stale, expected.stale),
                (EvidenceKind::Phantom, fates.phantoms, expected.phantoms),
                (EvidenceKind::Parked, fates.parked, expected.parked),
                (EvidenceKind::Pending, fates.pending, expected.pending),
            ];
            let bad = counts.into_iter().filter(|(_, count, tolerance)| exceeds(*count, fates, *tolerance));
            let order = (expected.order != OrderExpectation::Any && 0 < fates.reordered).then_some((
                EvidenceKind::Reordered,
                fates.reordered,
                Tolerance::None,
            ));
            for (kind, count, _) in bad.chain(order) {
                let evidence = fates.evidence.iter().find(|evidence| evidence.kind == kind).cloned();
                harms.push(Harm { place: expected.place, kind, count, evidence });
            }
        }
        harms
    }

    /// Events that are expected at a service.
    fn events(&self, service: &ServicePlan) -> u64 {
        let of_origins =
            || self.plan.services.iter().filter_map(interval).map(|interval| 1.0 / interval.as_seconds()).sum();
        let rate: f64 = match interval(service) {
            Some(interval) => 1.0 / interval.as_seconds(),
            None => arriving(&self.plan, service).map_or_else(of_origins, |arriving| arriving.arrival_rate()),
        };
        (rate * self.plan.duration.as_seconds()) as u64
    }

    // --- what can be done ---

    /// Nothing.
    pub fn quiet(&self) -> Probe {
        Probe { name: "quiet".into(), sentence: "nothing".into(), faults: Vec::new() }
    }

    /// A kill in front of each step of the service, inside each that somebody answers, and behind the last.
    pub fn kills(&self, id: ServiceId) -> Vec<Probe> {
        let service = self.service(id);
        let events = self.events(service);
        let mut probes = Vec::new();
        for (number, step) in service.steps.iter().enumerate() {
            let answered = match &step.action {
                Action::Store { .. } | Action::Call(_) => true,
                Action::Publish { wait, .. } => *wait,
                Action::Commit { how, .. } => how.waits(),
                _ => false,
            };
            let last = number + 1 == service.steps.len();
            // Late enough that each partition has a committed offset: what a group does without one is another question.
            let (second, first) = match step.action {
                Action::Commit { .. } => (14, 6),
                _ => (47, 21),
            };
            let numbers = [first.min(events * 3 / 10).max(1), second.min(events * 6 / 10).max(2)];
            let sides =
                [(Side::Before, "before", true), (Side::Inside, "inside", answered), (Side::After, "after", last)];
            for (side, word, _) in sides.into_iter().filter(|(_, _, wanted)| *wanted) {
                let state = FaultState::Step { side, service: id, step: StepSelector::Index(number as u16) };
                let name = format!("kill-{}-{word}-step-{}", service.name, number + 1);
                let down = Some(Duration::from_secs(1));
                probes.push(
                    self.probe(name, vec![self.when(state, &numbers, FaultAction::Crash(Target::Oneself), down)]),
                );
            }
        }
        probes
    }

    /// Each instance is given its last message once more, again and again.
    pub fn redelivery(&self, id: ServiceId) -> Option<Probe> {
        let service = self.service(id);
        if !matches!(service.trigger, Trigger::Consume(_)) {
            return None;
        }
        let mut fault =
            self.at(0.2, FaultAction::Redeliver(Target::Nodes(service.instances.clone())), Some(self.share(0.6)));
        fault.every = Some(Duration::from_millis(150));
        Some(self.probe(format!("redeliver-{}", service.name), vec![fault]))
    }

    /// The leader crashes behind a publication, three times.
    pub fn leader_crashes(&self, id: ServiceId) -> Vec<Probe> {
        let of_step = |(number, step): (usize, &StepPlan)| {
            let Action::Publish { topic, .. } = step.action else { return None };
            let state = FaultState::Step { side: Side::After, service: id, step: StepSelector::Index(number as u16) };
            let leader = Target::Leader(PartitionSelector { topic, partition: None });
            let fault = self.when(state, &[10, 40, 70], FaultAction::Crash(leader), Some(Duration::from_secs(2)));
            let name = format!("crash-leader-{}-step-{}", self.service(id).name, number + 1);
            Some(self.probe(name, vec![fault]))
        };
        self.service(id).steps.iter().enumerate().filter_map(of_step).collect()
    }

    /// The connections of a producer break while the answer to a publication is on its way.
    pub fn resets(&self, id: ServiceId) -> Vec<Probe> {
        let service = self.service(id);
        let of_step = |(number, step): (usize, &StepPlan)| {
            let Action::Publish { .. } = step.action else { return None };
            let state = FaultState::Step { side: Side::Inside, service: id, step: StepSelector::Index(number as u16) };
            let from = Target::Nodes(service.instances.clone());
            let link = LinkTarget { from, to: Target::Brokers, both_ways: true, kind: None };
            let fault = self.when(state, &[3, 6, 10, 15, 21, 28], FaultAction::Reset(link), None);
            Some(self.probe(format!("reset-{}-step-{}", service.name, number + 1), vec![fault]))
        };
        service.steps.iter().enumerate().filter_map(of_step).collect()
    }

    /// These services are down for a good part of the run.
    pub fn away(&self, name: &str, services: &[ServiceId]) -> Probe {
        let nodes = services.iter().flat_map(|id| self.service(*id).instances.clone()).collect();
        self.probe(name.into(), vec![self.at(0.2, FaultAction::Crash(Target::Nodes(nodes)), Some(self.share(0.4)))])
    }

    /// A system that somebody needs keeps everybody waiting.
    pub fn silence(&self, node: NodeId) -> Probe {
        let name = self.plan.nodes.iter().find(|other| other.id == node).map_or("node", |node| node.name.as_str());
        self.probe(
            format!("silent-{name}"),
            vec![self.at(0.2, FaultAction::Pause(Target::Node(node)), Some(self.silent_for()))],
        )
    }

    pub fn silent_for(&self) -> Duration {
        self.share(0.3)
    }

    /// One event that always fails.
    pub fn poison(&self, origin: ServiceId) -> Probe {
        let name = format!("poison-{}", self.service(origin).name);
        self.probe(name, vec![self.at(0.2, FaultAction::Poison { origin, events: 1 }, None)])
    }

    /// Twenty times as many events of one origin: a campaign.
    pub fn crowd(&self, origin: ServiceId) -> Option<Probe> {
        let interval = interval(self.service(origin))?;
        let value = LiveValue::Rate { service: origin, interval: Duration(interval.0 / 20) };
        let name = format!("crowd-{}", self.service(origin).name);
        Some(self.probe(name, vec![self.at(0.2, FaultAction::Set(value), Some(self.share(0.4)))]))
    }

    /// The service starts anew, and its group has forgotten where it was.
    pub fn forgotten(&self, id: ServiceId) -> Option<Probe> {
        let service = self.service(id);
        let Trigger::Consume(consume) = &service.trigger else { return None };
        let restart = FaultAction::Restart { target: Target::Nodes(service.instances.clone()), rolling: false };
        let down = self.at(0.3, restart, Some(Duration::from_secs(2)));
        let mut expiry = self.at(0.3, FaultAction::ExpireOffsets(consume.group), None);
        if let FaultTrigger::At(at) = &mut expiry.trigger {
            *at += Duration::from_secs(1);
        }
        Some(self.probe(format!("forgotten-{}", service.name), vec![down, expiry]))
    }

    /// The service stands still for so long; its sessions last.
    pub fn standstill(&mut self, id: ServiceId, length: Duration) -> Probe {
        let nodes = self.service(id).instances.clone();
        let name = format!("standstill-{}", self.service(id).name);
        let mut fault = self.at(0.0, FaultAction::Pause(Target::Nodes(nodes)), Some(length));
        fault.trigger = FaultTrigger::At(Duration::from_secs(1));
        self.probe(name, vec![fault])
    }

    fn probe(&self, name: String, faults: Vec<FaultPlan>) -> Probe {
        let number = |(number, fault): (usize, FaultPlan)| {
            let fault = FaultPlan { id: FaultId(number as u16), name: format!("probe-{}", number + 1), ..fault };
            FaultPlan { text: write_fault(&fault, &self.plan), ..fault }
        };
        let faults: Vec<FaultPlan> = faults.into_iter().enumerate().map(number).collect();
        let sentence = faults.iter().map(|fault| fault.text.as_str()).collect::<Vec<_>>().join(", ");
        Probe { name, sentence, faults }
    }

    fn when(&self, state: FaultState, numbers: &[u64], action: FaultAction, duration: Option<Duration>) -> FaultPlan {
        let ordinal = Ordinal::These(numbers.to_vec());
        fault(FaultTrigger::When { state, ordinal, delay: Duration::ZERO }, action, duration)
    }

    fn at(&self, share: f64, action: FaultAction, duration: Option<Duration>) -> FaultPlan {
        fault(FaultTrigger::At(self.share(share)), action, duration)
    }

    /// Of the load phase, in whole tenths of a second.
    fn share(&self, share: f64) -> Duration {
        Duration::from_seconds_f64((self.plan.duration.as_seconds() * share * 10.0).round() / 10.0)
    }
}

fn fault(trigger: FaultTrigger, action: FaultAction, duration: Option<Duration>) -> FaultPlan {
    let (id, name, text) = (FaultId(0), String::new(), String::new());
    FaultPlan { id, name, text, trigger, action, duration, every: None, times: None }
}

/// Mean time between two arrivals, of services that the outside world asks.
fn interval(service: &ServicePlan) -> Option<Duration> {
    match &service.trigger {
        Trigger::Requests(requests) => Some(requests.interval),
        Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
    }
}

fn exceeds(count: u64, fates: &PlaceFates, tolerance: Tolerance) -> bool {
    match tolerance {
        Tolerance::None | Tolerance::Required => 0 < count,
        Tolerance::Allowed | Tolerance::Any => false,
        Tolerance::AtMost(most) => (count as f64) > most.as_f64() * fates.expected as f64,
    }
}

/// What is owed at every place where the business sees an effect: as the file says, or one effect for each event.
fn judged(plan: &Plan) -> Vec<Expectation> {
    let stated = plan.expectations.iter().filter_map(|expectation| match expectation {
        Expectation::Place(expected) => Some(PlaceExpectation { blame: None, ..expected.clone() }),
        Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => None,
    });
    let demonstration = |tolerance: &mut Tolerance| {
        if *tolerance == Tolerance::Required {
            *tolerance = Tolerance::None;
        }
    };
    let mut places: Vec<PlaceExpectation> = stated.collect();
    for expected in &mut places {
        let fates = [&mut expected.loss, &mut expected.duplicates, &mut expected.stale, &mut expected.phantoms];
        fates.into_iter().chain([&mut expected.pending]).for_each(demonstration);
        // What is put aside is where it was meant to go.
        if expected.parked == Tolerance::Required {
            expected.parked = Tolerance::Allowed;
        }
        if expected.order == OrderExpectation::Broken {
            expected.order = OrderExpectation::PerKey;
        }
    }
    for place in written(plan) {
        if places.iter().all(|expected| expected.place != place) {
            places.push(owed_once(place, plan));
        }
    }
    let unsettled = Bound { text: "any".into(), over: Over::Each, limit: Limit::Any };
    let whole = Expectation::Run { metric: RunMetric::Unsettled, bounds: vec![unsettled] };
    places.into_iter().map(Expectation::Place).chain([whole]).collect()
}

/// Tables and endpoints that steps write, without an outbox: what the business sees. Records are seen by whoever reads them.
fn written(plan: &Plan) -> BTreeSet<PlaceId> {
    let is_effect = |place: &PlaceId| {
        let is_topic = matches!(plan.places[usize::from(place.0)].kind, PlaceKind::Topic { .. });
        !is_topic && plan.pollers(*place).next().is_none()
    };
    let checked = |step: &StepPlan| match &step.action {
        Action::Store { operations, .. } => operations.iter().all(|one| matches!(one, StoreStep::Check { .. })),
        _ => false,
    };
    let steps = plan.services.iter().flat_map(|service| &service.steps).filter(|step| !checked(step));
    steps.flat_map(|step| places_of_step(plan, step)).filter(is_effect).collect()
}

fn owed_once(place: PlaceId, plan: &Plan) -> PlaceExpectation {
    let parks =
        plan.services.iter().flat_map(|service| &service.ladder).any(|rung| matches!(rung, Rung::DeadLetter { .. }));
    PlaceExpectation {
        place,
        text: "exactly-once".into(),
        loss: Tolerance::None,
        duplicates: Tolerance::None,
        stale: Tolerance::None,
        phantoms: Tolerance::Allowed,
        parked: if parks { Tolerance::Allowed } else { Tolerance::None },
        pending: Tolerance::None,
        order: OrderExpectation::Any,
        of: None,
        blame: None,
    }
}

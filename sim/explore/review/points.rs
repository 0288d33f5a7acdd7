//! The points of the checklist, and how each is answered.
//!
//! The one idea: a point reads the file only to know whether it applies; where something can be done to the system, the answer is what
//! happened. Each kind of harm belongs to one point, so that one fault of a design is one "no".
//!
//! Sources: Kleppmann 2017 chapter 11 (idempotence), Nygard 2007 (bulkheads), Newell 1971 (headroom).

use super::bench::{Bench, Harm, Probe, ProbeRun};
use super::reading::*;
use crate::checks::{Evidence, EvidenceKind, Measured, RecoveryTime, Seen as Sighted, Subject, WaitOptions};
use crate::explore::size::{Eaten, Site};
use crate::explore::{in_parallel, run_seed};
use crate::scenario::plan::*;
use crate::types::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    ProducerSuccess,
    ConsumerFailure,
    IdempotentConsumers,
    DeadLetters,
    OneDuty,
    Traced,
    Headroom,
    OwnQueue,
    PartitionCount,
    ResetPolicy,
    Deduplicated,
    ManualCommits,
    ThirdParties,
    DividesPartitions,
    Owners,
    Semantics,
    QueueBuys,
}

impl Point {
    pub const ALL: [Point; 17] = [
        Point::ProducerSuccess,
        Point::ConsumerFailure,
        Point::IdempotentConsumers,
        Point::DeadLetters,
        Point::OneDuty,
        Point::Traced,
        Point::Headroom,
        Point::OwnQueue,
        Point::PartitionCount,
        Point::ResetPolicy,
        Point::Deduplicated,
        Point::ManualCommits,
        Point::ThirdParties,
        Point::DividesPartitions,
        Point::Owners,
        Point::Semantics,
        Point::QueueBuys,
    ];

    /// For programs and for `--point`.
    pub fn id(self) -> &'static str {
        match self {
            Point::ProducerSuccess => "producer-success",
            Point::ConsumerFailure => "consumer-failure",
            Point::IdempotentConsumers => "idempotent-consumers",
            Point::DeadLetters => "dead-letters",
            Point::OneDuty => "one-duty",
            Point::Traced => "traced",
            Point::Headroom => "headroom",
            Point::OwnQueue => "own-queue",
            Point::PartitionCount => "partition-count",
            Point::ResetPolicy => "reset-policy",
            Point::Deduplicated => "deduplicated",
            Point::ManualCommits => "manual-commits",
            Point::ThirdParties => "third-parties",
            Point::DividesPartitions => "divides-partitions",
            Point::Owners => "owners",
            Point::Semantics => "semantics",
            Point::QueueBuys => "queue-buys",
        }
    }

    pub fn claim(self) -> &'static str {
        match self {
            Point::ProducerSuccess => "the producer's success is defined: what was answered \"ok\" is kept",
            Point::ConsumerFailure => "a failing consumer does not touch the producer",
            Point::IdempotentConsumers => "consumers are idempotent: killed at any step, or given a message twice",
            Point::DeadLetters => "a message that always fails is handled",
            Point::OneDuty => "one duty for each consumer",
            Point::Traced => "progress can be traced, event by event",
            Point::Headroom => "headroom of 1.5× or more, or the stated recovery objective is met",
            Point::OwnQueue => "important data has its own queue",
            Point::PartitionCount => "the partitions leave room to scale out",
            Point::ResetPolicy => "the reset policy is chosen: a group without offsets loses nothing",
            Point::Deduplicated => "what is sent at least once is deduplicated",
            Point::ManualCommits => "commits are made by the program",
            Point::ThirdParties => "third parties are asked idempotently",
            Point::DividesPartitions => "the number of consumers divides the partitions",
            Point::Owners => "who handles each failure is named",
            Point::Semantics => {
                "the delivery semantics fits the tolerance: a kill at any step loses nothing that matters"
            }
            Point::QueueBuys => "the queue buys something",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    DoesNotApply,
}

/// A probe that showed what the evidence says.
#[derive(Clone, Debug)]
pub struct Seen {
    pub probe: String,
    pub seed: Seed,
    pub sentence: String,
    pub evidence: Option<Evidence>,
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub answer: Answer,
    /// Sentences.
    pub evidence: String,
    /// Runs that showed it, of how many.
    pub broken: Option<(u64, u64)>,
    /// The first of each probe.
    pub seen: Vec<Seen>,
    /// Services that it is about.
    pub about: Vec<ServiceId>,
}

impl Finding {
    fn new(answer: Answer, evidence: impl Into<String>) -> Finding {
        Finding { answer, evidence: evidence.into(), broken: None, seen: Vec::new(), about: Vec::new() }
    }

    fn read(is_well: bool, evidence: impl Into<String>) -> Finding {
        Finding::new(if is_well { Answer::Yes } else { Answer::No }, evidence)
    }

    fn none(why: impl Into<String>) -> Finding {
        Finding::new(Answer::DoesNotApply, why)
    }
}

pub fn judge(point: Point, bench: &mut Bench) -> Finding {
    match point {
        Point::ProducerSuccess => producer_success(bench),
        Point::ConsumerFailure => consumer_failure(bench),
        Point::IdempotentConsumers => idempotent_consumers(bench),
        Point::DeadLetters => dead_letters(bench),
        Point::OneDuty => one_duty(bench),
        Point::Traced => traced(bench),
        Point::Headroom => headroom(bench),
        Point::OwnQueue => own_queue(bench),
        Point::PartitionCount => partition_count(bench),
        Point::ResetPolicy => reset_policy(bench),
        Point::Deduplicated => deduplicated(bench),
        Point::ManualCommits => manual_commits(bench),
        Point::ThirdParties => third_parties(bench),
        Point::DividesPartitions => divides_partitions(bench),
        Point::Owners => owners(bench),
        Point::Semantics => semantics(bench),
        Point::QueueBuys => queue_buys(bench),
    }
}

/// What a run has to do with a point: words for what went wrong, and the event that shows it.
type Wrong = Option<(String, Option<Evidence>)>;

/// Runs probes and asks each run. With a change, what showed the harm before it is asked first, and the first that shows it again ends it.
fn ask(bench: &mut Bench, mut probes: Vec<Probe>, well: &str, wrong: impl Fn(&Bench, &ProbeRun) -> Wrong) -> Finding {
    let hurries = !bench.telling.is_empty();
    probes.sort_by_key(|probe| !bench.telling.contains(&probe.name));
    let mut finding = Finding::new(Answer::Yes, "");
    let (mut broken, mut of, mut struck) = (0, 0, 0);
    for probe in &probes {
        let probed = bench.probed(probe);
        let mut first = true;
        struck += u64::from(probed.runs.iter().any(|run| !run.outcome.faults.is_empty()));
        for run in &probed.runs {
            of += 1;
            // A machine that broke an invariant of its own has not shown that anything is well.
            let panicked =
                run.outcome.panicked.as_ref().map(|panic| (format!("the simulation stopped: {panic}"), None));
            let Some((sentence, evidence)) = panicked.or_else(|| wrong(bench, run)) else { continue };
            broken += 1;
            if std::mem::take(&mut first) {
                let sentence = format!("{sentence} ({})", probe.sentence);
                finding.seen.push(Seen { probe: probe.name.clone(), seed: run.plan.seed, sentence, evidence });
            }
        }
        if hurries && 0 < broken {
            break;
        }
    }
    finding.broken = Some((broken, of));
    finding.answer = match (broken, struck) {
        (0, 0) => Answer::DoesNotApply,
        (0, _) => Answer::Yes,
        _ => Answer::No,
    };
    finding.evidence = match finding.seen.first() {
        None if struck == 0 => "nothing that was tried could strike: too few events pass here".into(),
        None if struck < probes.len() as u64 => {
            format!("{well} ({of} runs; {struck} of {} probes struck)", probes.len())
        }
        None => format!("{well} ({of} runs)"),
        Some(seen) => format!("{broken} of {of} runs: {}", seen.sentence),
    };
    finding
}

pub fn harm_text(bench: &Bench, harm: &Harm) -> String {
    let what = match harm.kind {
        EvidenceKind::Lost => "lost",
        EvidenceKind::RepeatedHarmful => "done twice",
        EvidenceKind::Stale => "overwritten by an older version",
        EvidenceKind::Phantom => "done though refused",
        EvidenceKind::Reordered => "out of order",
        EvidenceKind::Pending => "never done",
        EvidenceKind::Parked => "given up",
        EvidenceKind::RepeatedHarmless => "repeated without harm",
    };
    format!("{}: {} {what}", bench.place(harm.place), harm.count)
}

/// The first harm of these kinds at places of this sort.
fn harmed(bench: &Bench, run: &ProbeRun, kinds: &[EvidenceKind], fits: impl Fn(PlaceKind) -> bool) -> Wrong {
    let harms = bench.harms(&run.outcome);
    let kind = |place: PlaceId| bench.plan.places[usize::from(place.0)].kind;
    let found = harms.into_iter().find(|harm| kinds.contains(&harm.kind) && fits(kind(harm.place)))?;
    Some((harm_text(bench, &found), found.evidence))
}

/// Whether a loss comes from where a group began to read without a committed offset, and not from what it had committed.
fn is_of_reset(evidence: &Option<Evidence>) -> bool {
    evidence.iter().any(|evidence| {
        let passed_over = evidence.sightings.iter().any(|sighting| matches!(sighting.what, Sighted::PassedOver { .. }));
        passed_over && evidence.blame.as_ref().is_none_or(|blame| blame.between.is_none())
    })
}

const MISSING: &[EvidenceKind] = &[EvidenceKind::Lost, EvidenceKind::Phantom];
const REPEATED: &[EvidenceKind] = &[EvidenceKind::RepeatedHarmful, EvidenceKind::Stale, EvidenceKind::Reordered];

fn is_endpoint(kind: PlaceKind) -> bool {
    matches!(kind, PlaceKind::Endpoint { .. })
}

// --- the producer's side ---

fn producer_success(bench: &mut Bench) -> Finding {
    let origins = bench.origins();
    let mut probes: Vec<Probe> = origins.iter().flat_map(|id| bench.kills(*id)).collect();
    probes.extend(origins.iter().flat_map(|id| bench.leader_crashes(*id)));
    let relays: Vec<ServiceId> =
        bench.consumers().into_iter().filter(|id| matches!(bench.service(*id).trigger, Trigger::Poll(_))).collect();
    probes.extend(relays.iter().flat_map(|id| bench.leader_crashes(*id)));
    ask(
        bench,
        probes,
        "killed at each step, and with the leader gone behind a publication, nothing accepted was lost",
        |bench, run| {
            let unsettled =
                run.outcome.expectations.iter().find_map(|result| match (result.subject, result.measured) {
                    (Subject::Run { metric: RunMetric::Unsettled }, Measured::Value(count)) => Some(count),
                    (Subject::Run { metric: RunMetric::Unsettled }, Measured::Count { count, .. }) => {
                        Some(count as f64)
                    }
                    _ => None,
                });
            let twice = harmed(bench, run, REPEATED, |_| true).is_some();
            harmed(bench, run, MISSING, |_| true).or_else(|| {
                let half_done = unsettled.filter(|count| 0.0 < *count && !twice)?;
                Some((format!("{half_done} events half done, which only a person can settle"), None))
            })
        },
    )
}

fn consumer_failure(bench: &mut Bench) -> Finding {
    let asked: Vec<ServiceId> =
        bench.plan.services.iter().filter(|service| !is_origin(service)).map(|s| s.id).collect();
    if asked.is_empty() || bench.origins().is_empty() {
        return Finding::none("no service stands behind another");
    }
    let quiet = bench.quiet();
    let undisturbed = bench.probed(&quiet);
    let away = bench.away("all-consumers-away", &asked);
    let well = "with every consumer down, the producer was as available and as fast as before";
    ask(bench, vec![away], well, |bench, run| {
        let before = undisturbed.runs.iter().find(|other| other.plan.seed == run.plan.seed)?;
        bench.origins().into_iter().find_map(|id| {
            let of = |run: &ProbeRun| {
                let metrics = run.outcome.services.iter().find(|metrics| metrics.service == id);
                metrics.map(|metrics| {
                    (metrics.callers.availability.unwrap_or(1.0), metrics.callers.latency.p99.as_seconds())
                })
            };
            let ((available, fast), (was_available, was_fast)) = (of(run)?, of(before)?);
            let hurt = available < was_available - 0.005 || 2.0 * was_fast + 0.02 < fast;
            let name = &bench.service(id).name;
            hurt.then(|| {
                let text = format!(
                    "{name} answered {:.1} % instead of {:.1} %, p99 {:.0} ms instead of {:.0} ms",
                    available * 100.0,
                    was_available * 100.0,
                    fast * 1e3,
                    was_fast * 1e3
                );
                (text, None)
            })
        })
    })
}

fn deduplicated(bench: &mut Bench) -> Finding {
    let publishers: Vec<ServiceId> =
        bench.plan.services.iter().filter(|service| publishes(service)).map(|s| s.id).collect();
    if publishers.is_empty() {
        return Finding::none("nothing is published");
    }
    let mut probes: Vec<Probe> = publishers.iter().flat_map(|id| bench.resets(*id)).collect();
    probes.extend(publishers.iter().flat_map(|id| bench.leader_crashes(*id)));
    let well = "connections broke and leaders crashed while records were sent again, and none counted twice";
    ask(bench, probes, well, |bench, run| harmed(bench, run, REPEATED, |kind| !is_endpoint(kind)))
}

// --- the consumer's side ---

fn idempotent_consumers(bench: &mut Bench) -> Finding {
    let consumers = bench.consumers();
    if consumers.is_empty() {
        return Finding::none("nobody consumes");
    }
    let mut probes: Vec<Probe> = consumers.iter().filter_map(|id| bench.redelivery(*id)).collect();
    probes.extend(consumers.iter().flat_map(|id| bench.kills(*id)));
    let well = "killed at each step, and given each message twice, nothing counted twice";
    ask(bench, probes, well, |bench, run| harmed(bench, run, REPEATED, |kind| !is_endpoint(kind)))
}

fn semantics(bench: &mut Bench) -> Finding {
    let consumers = bench.consumers();
    if consumers.is_empty() {
        return Finding::none("nobody consumes");
    }
    let probes: Vec<Probe> = consumers.iter().flat_map(|id| bench.kills(*id)).collect();
    let kinds = [EvidenceKind::Lost, EvidenceKind::Pending, EvidenceKind::Phantom];
    let well = "killed at each step, nothing was lost";
    ask(bench, probes, well, move |bench, run| {
        harmed(bench, run, &kinds, |_| true).filter(|(_, found)| !is_of_reset(found))
    })
}

fn third_parties(bench: &mut Bench) -> Finding {
    let calls = |service: &&ServicePlan| service.steps.iter().any(|step| endpoint_of(step).is_some());
    let callers: Vec<ServiceId> = bench.plan.services.iter().filter(calls).map(|service| service.id).collect();
    if callers.is_empty() {
        return Finding::none("no other system is called");
    }
    let mut probes: Vec<Probe> = callers.iter().filter_map(|id| bench.redelivery(*id)).collect();
    probes.extend(callers.iter().flat_map(|id| bench.kills(*id)));
    let well = "killed in and around each call, and asked again, the other side did everything once";
    ask(bench, probes, well, |bench, run| harmed(bench, run, REPEATED, is_endpoint))
}

fn reset_policy(bench: &mut Bench) -> Finding {
    let consumers = bench.consumers();
    let probes: Vec<Probe> = consumers.iter().filter_map(|id| bench.forgotten(*id)).collect();
    if probes.is_empty() {
        return Finding::none("nobody reads a topic");
    }
    let policies: Vec<String> = consumers
        .iter()
        .filter_map(|id| {
            let service = bench.service(*id);
            let Trigger::Consume(consume) = &service.trigger else { return None };
            Some(format!("{} {}", service.name, reset_word(consume.consumer.auto_offset_reset)))
        })
        .collect();
    let well = format!("{}: with its offsets forgotten, a group skipped nothing", policies.join(", "));
    ask(bench, probes, &well, |bench, run| {
        harmed(bench, run, &[EvidenceKind::Lost, EvidenceKind::Pending], |_| true)
            .filter(|(_, found)| is_of_reset(found))
    })
}

fn dead_letters(bench: &mut Bench) -> Finding {
    let works = |service: &&ServicePlan| service.steps.iter().any(|step| matches!(step.action, Action::Work { .. }));
    let consuming = |service: &&ServicePlan| matches!(service.trigger, Trigger::Consume(_) | Trigger::Poll(_));
    let about: Vec<ServiceId> = bench.plan.services.iter().filter(consuming).filter(works).map(|s| s.id).collect();
    if about.is_empty() {
        return Finding::none("no consumer has work that could fail for one message and not for others");
    }
    let probes = bench.origins().into_iter().map(|origin| bench.poison(origin)).collect();
    let kinds = [EvidenceKind::Lost, EvidenceKind::Pending, EvidenceKind::Parked];
    let well = "one message that always fails was put aside, and the others went on";
    let mut finding = ask(bench, probes, well, move |bench, run| {
        let (text, evidence) = harmed(bench, run, &kinds, |_| true)?;
        Some((text, evidence))
    });
    finding.about = about;
    finding
}

fn one_duty(bench: &mut Bench) -> Finding {
    let consumers: Vec<ServiceId> =
        bench.consumers().into_iter().filter(|id| matches!(bench.service(*id).trigger, Trigger::Consume(_))).collect();
    if consumers.is_empty() {
        return Finding::none("nobody consumes");
    }
    let quiet = bench.quiet();
    let undisturbed = bench.probed(&quiet);
    let mut probes = Vec::new();
    for id in &consumers {
        let systems = systems_of(&bench.plan, bench.service(*id));
        if 1 < systems.len() {
            probes.extend(systems.iter().map(|(_, node)| bench.silence(*node)));
        }
    }
    // Of a change that takes consumers apart, what showed the harm before it is asked again.
    if probes.is_empty() {
        let systems = consumers.iter().flat_map(|id| systems_of(&bench.plan, bench.service(*id)));
        let silences = systems.map(|(_, node)| bench.silence(node));
        probes = silences.filter(|probe| bench.telling.contains(&probe.name)).collect();
    }
    if probes.is_empty() {
        return Finding::read(true, "each consumer writes to one other system at most");
    }
    let half = bench.silent_for().as_seconds() / 2.0;
    let well = "with one system silent, what goes to the others was as fast as before";
    ask(bench, probes, well, |bench, run| {
        let silent = run.outcome.faults.first()?.nodes.first().copied()?;
        let before = undisturbed.runs.iter().find(|other| other.plan.seed == run.plan.seed)?;
        run.outcome.places.iter().find_map(|fates| {
            let node = node_of(&bench.plan, fates.place)?;
            let slowest = |run: &ProbeRun| {
                let fates = run.outcome.places.iter().find(|other| other.place == fates.place);
                fates.map_or(0.0, |fates| fates.delay.max.as_seconds())
            };
            let (now, then) = (slowest(run), slowest(before));
            (node != silent && then + half < now).then(|| {
                let name = &bench.plan.nodes.iter().find(|node| node.id == silent).expect("of the plan").name;
                (format!("{} waited {now:.1} s, instead of {then:.1} s, for {name}", bench.place(fates.place)), None)
            })
        })
    })
}

fn traced(bench: &mut Bench) -> Finding {
    let consumers = bench.consumers();
    if consumers.is_empty() {
        return Finding::none("nobody consumes");
    }
    let untraced: Vec<&str> = consumers
        .iter()
        .map(|id| bench.service(*id))
        .filter(|service| !leaves_a_trace(service))
        .map(|service| service.name.as_str())
        .collect();
    match untraced.is_empty() {
        true => Finding::read(true, "each consumer leaves a row, a record or a keyed call by the id of its event"),
        false => {
            Finding::read(false, format!("nothing tells afterwards which events {} has done", untraced.join(", ")))
        }
    }
}

fn manual_commits(bench: &mut Bench) -> Finding {
    let consuming: Vec<ServiceId> = bench.consumers();
    let (auto, reads): (Vec<&str>, bool) = {
        let services = || consuming.iter().map(|id| bench.service(*id));
        let auto =
            services().filter(|service| commits_by_itself(service)).map(|service| service.name.as_str()).collect();
        (auto, services().any(|service| matches!(service.trigger, Trigger::Consume(_))))
    };
    if !reads {
        return Finding::none("nobody reads a topic");
    }
    match auto.is_empty() {
        true => Finding::read(true, "every consumer says itself when it is done"),
        false => Finding::read(false, format!("a timer says when {} is done", auto.join(", "))),
    }
}

// --- capacity ---

/// How long the service stands still.
const STANDSTILL: f64 = 4.0;
/// What the queue takes is not declared: measured headroom is a little less than what stands on paper.
const SLACK: f64 = 1.2;

fn sites(bench: &Bench) -> Vec<(ServiceId, Site)> {
    let of = |id: ServiceId| Some((id, Site::of(&bench.plan, bench.service(id)).ok()?));
    bench.consumers().into_iter().filter_map(of).collect()
}

/// Mean recovery from a standstill; `None` is not within five times its length.
fn recovery(bench: &mut Bench, id: ServiceId) -> (Option<f64>, Vec<Option<f64>>, String) {
    let length = Duration::from_seconds_f64(STANDSTILL);
    let duration = std::mem::replace(&mut bench.plan.duration, Duration::from_seconds_f64(1.0 + 6.0 * STANDSTILL));
    let probe = bench.standstill(id, length);
    let probed = bench.probed(&probe);
    bench.plan.duration = duration;
    let samples: Vec<Option<f64>> = probed
        .runs
        .iter()
        .map(|run| {
            let metrics = run.outcome.services.iter().find(|metrics| metrics.service == id)?;
            match metrics.consuming.as_ref()?.recovery.after? {
                RecoveryTime::Recovered(after) => Some(after.as_seconds()),
                RecoveryTime::Censored(_) => None,
            }
        })
        .collect();
    let all: Option<Vec<f64>> = samples.iter().copied().collect();
    (all.map(|all| all.iter().sum::<f64>() / all.len().max(1) as f64), samples, probe.name)
}

fn headroom(bench: &mut Bench) -> Finding {
    if let Some(finding) = stated_objective(bench) {
        return finding;
    }
    let sites = sites(bench);
    if sites.is_empty() {
        return Finding::none("no consumer whose steps take a declared time and whose arrivals are stated");
    }
    within(bench, &sites, 1.5)
}

/// Whether each service works off a standstill as fast as a headroom of so much does.
fn within(bench: &mut Bench, sites: &[(ServiceId, Site)], wanted: f64) -> Finding {
    let most = STANDSTILL / (wanted - 1.0);
    let mut finding = Finding::new(Answer::Yes, "");
    let (mut broken, mut of, mut told) = (0, 0, Vec::new());
    for (id, site) in sites {
        let (mean, samples, probe) = recovery(bench, *id);
        let on_paper = site.effective_headroom(site.stated.instances, site.stated.partitions, Eaten::ALL);
        let within = |sample: &Option<f64>| sample.is_some_and(|after| after <= most * SLACK);
        let slow = samples.iter().filter(|sample| !within(sample)).count() as u64;
        (broken, of) = (broken + slow, of + samples.len() as u64);
        let took = mean.map_or("is not worked off within 20 s".into(), |mean| format!("is worked off in {mean:.1} s"));
        let text = format!("{}: {on_paper:.2}× at the busiest instance; a standstill of 4 s {took}", site.service);
        // The mean counts: one run may have more arrivals than another.
        if mean.is_none_or(|mean| most * SLACK < mean) {
            finding.answer = Answer::No;
            finding.about.push(*id);
            let seed = Seed(samples.iter().position(|sample| !within(sample)).unwrap_or(0) as u64);
            finding.seen.push(Seen { probe, seed, sentence: text.clone(), evidence: None });
        }
        told.push(text);
    }
    finding.broken = Some((broken, of));
    finding.evidence = format!("{}; {wanted}× takes {most:.0} s", told.join("; "));
    finding
}

/// A bound on the recovery in the file is the objective: its own faults, its own seeds.
fn stated_objective(bench: &mut Bench) -> Option<Finding> {
    let absolute = |bound: &Bound| matches!(bound.limit, Limit::Below(_) | Limit::AtMost(_) | Limit::Between(..));
    let is_objective = |expectation: &&Expectation| match expectation {
        Expectation::Service { metric: ServiceMetric::Recovery, bounds, .. } => bounds.iter().any(absolute),
        _ => false,
    };
    bench.stated.expectations.iter().find(is_objective)?;
    let (stated, effort) = (&bench.stated, bench.effort);
    let outcomes = in_parallel(effort.runs as usize, effort.jobs, |seed| {
        run_seed(&Plan { seed: Seed(seed as u64), ..stated.clone() }, WaitOptions::default(), |_| {}).0
    });
    let is_recovery = |subject: Subject| matches!(subject, Subject::Service { metric: ServiceMetric::Recovery, .. });
    let bound = |value: f64, bound: &Bound| match bound.limit {
        Limit::Below(most) => value < most,
        Limit::AtMost(most) | Limit::Between(_, most) => value <= most,
        _ => true,
    };
    let results =
        || outcomes.iter().flat_map(|outcome| &outcome.expectations).filter(|result| is_recovery(result.subject));
    let keeps = |result: &&crate::checks::ExpectationResult| match (&result.demand, result.measured) {
        (crate::checks::Demand::Bounds(bounds), Measured::Value(value)) => bounds.iter().all(|one| bound(value, one)),
        _ => false,
    };
    let (of, kept) = (results().count() as u64, results().filter(keeps).count() as u64);
    let mut finding =
        Finding::read(kept == of && 0 < of, format!("the recovery that the file states is met in {kept} of {of} runs"));
    finding.broken = Some((of - kept, of));
    Some(finding)
}

fn partition_count(bench: &mut Bench) -> Finding {
    const ROOM: f64 = 2.0;
    let sites = sites(bench);
    if sites.is_empty() {
        return Finding::none("no consumer whose steps take a declared time and whose arrivals are stated");
    }
    let mut told = Vec::new();
    let mut is_well = true;
    for (_, site) in &sites {
        let partitions = site.stated.partitions;
        let most = site.effective_headroom(partitions * site.topics.len() as u32, partitions, Eaten::ALL);
        is_well &= ROOM <= most * (1.0 + 1e-9);
        told.push(format!("{}: {most:.2}× with an instance for each of {partitions} partitions", site.service));
    }
    let mut finding = Finding::read(
        is_well,
        format!("{}; less than {ROOM}× leaves no room to grow without a new count", told.join("; ")),
    );
    // The same in runs, where the file can be asked with as many instances as partitions.
    let full: Vec<String> = sites
        .iter()
        .flat_map(|(_, site)| {
            let (name, partitions) = (&site.service, site.stated.partitions);
            let scaled = |of: u64| of as f64 * f64::from(partitions) / f64::from(site.stated.instances) / 1000.0;
            let headroom = site.headroom_thousandths.map(|of| format!("service.{name}.headroom={}x", scaled(of)));
            [Some(format!("service.{name}.instances={partitions}")), headroom]
        })
        .flatten()
        .collect();
    if let Some(mut other) = bench.with(&full) {
        let ran = within(&mut other, &sites, ROOM);
        finding.broken = ran.broken;
    }
    finding
}

fn divides_partitions(bench: &mut Bench) -> Finding {
    let mut told = Vec::new();
    let mut uneven = Vec::new();
    for service in &bench.plan.services {
        let (partitions, instances) = (partitions_of(&bench.plan, service), service.instances.len() as u32);
        if partitions == 0 {
            continue;
        }
        let most = partitions.div_ceil(instances);
        let parts = counted(partitions as usize, "partition");
        let many = counted(instances as usize, "instance");
        told.push(format!("{}: {parts}, {many}, at most {most} each", service.name));
        if !partitions.is_multiple_of(instances) {
            uneven.push(service.id);
        }
    }
    if told.is_empty() {
        return Finding::none("nobody reads a topic");
    }
    let mut finding = Finding::read(uneven.is_empty(), told.join("; "));
    finding.about = uneven;
    finding
}

fn own_queue(bench: &mut Bench) -> Finding {
    let shared: Vec<(TopicId, Vec<ServiceId>)> = bench
        .plan
        .own_topics()
        .iter()
        .map(|topic| (topic.id, publishers(&bench.plan, topic.id)))
        .filter(|(topic, origins)| 1 < origins.len() && !readers(&bench.plan, *topic).is_empty())
        .collect();
    if shared.is_empty() {
        let count = bench.plan.own_topics().len();
        return match count {
            0 => Finding::none("there is no queue"),
            _ => Finding::read(true, "every topic carries the events of one service"),
        };
    }
    let quiet = bench.quiet();
    let undisturbed = bench.probed(&quiet);
    let probes: Vec<Probe> =
        shared.iter().flat_map(|(_, origins)| origins.clone()).filter_map(|id| bench.crowd(id)).collect();
    let well = "a topic is shared, and twenty times as many events of one origin delayed nobody";
    ask(bench, probes, well, |bench, run| {
        let before = undisturbed.runs.iter().find(|other| other.plan.seed == run.plan.seed)?;
        shared.iter().flat_map(|(topic, _)| readers(&bench.plan, *topic)).find_map(|id| {
            let wait = |run: &ProbeRun| {
                let metrics = run.outcome.services.iter().find(|metrics| metrics.service == id);
                metrics.and_then(|metrics| metrics.consuming.as_ref()).map(|metrics| metrics.wait.p99.as_seconds())
            };
            let (now, then) = (wait(run)?, wait(before)?);
            let name = &bench.service(id).name;
            (2.0 * then + 0.05 < now).then(|| {
                (
                    format!(
                        "records of all origins wait {:.0} ms at {name} (p99), instead of {:.0} ms",
                        now * 1e3,
                        then * 1e3
                    ),
                    None,
                )
            })
        })
    })
}

// --- the whole ---

fn owners(bench: &mut Bench) -> Finding {
    let nobody = without_owner(&bench.plan);
    match nobody.is_empty() {
        true => Finding::read(true, "every service, store, endpoint and topic has an owner"),
        false => {
            let names: Vec<String> = nobody.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
            Finding::read(false, format!("nobody owns {}", names.join(", ")))
        }
    }
}

fn queue_buys(bench: &mut Bench) -> Finding {
    if bench.plan.own_topics().is_empty() {
        return Finding::none("there is no queue");
    }
    let mut unread = Vec::new();
    let mut told = Vec::new();
    for topic in bench.plan.own_topics() {
        let (writers, readers) = (publishers(&bench.plan, topic.id), readers(&bench.plan, topic.id));
        if writers.is_empty() {
            continue;
        }
        if readers.is_empty() && !is_demanded(&bench.stated, topic.place) {
            unread.push(topic.name.clone());
        } else if !readers.is_empty() {
            told.push(format!(
                "{} decouples {} from {}",
                topic.name,
                counted(writers.len(), "writer"),
                counted(readers.len(), "reader")
            ));
        }
    }
    match unread.is_empty() {
        true => Finding::read(true, told.join("; ")),
        false => Finding::read(false, format!("nobody reads {}", unread.join(", "))),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

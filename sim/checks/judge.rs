//! The judge: reads a history once, event by event, and says what became of every promise of the plan.
//!
//! The one idea: checks never see a machine. A run is judged by what was written down while it ran, so that a saved
//! history is judged like a live one. Memory grows with events and records by some dozens of bytes each, never with the
//! length of the history.
//!
//! What it deliberately does not do: print, draw, rerun, or compare seeds (see [`super::cell`]).

use super::closed_form::closed_form;
use super::fate::{Backlogged, judge_place, unsettled};
use super::guarantees::{self, Judged};
use super::invariants::Invariants;
use super::metrics::{delay, measure, moving_parts, service_metrics};
use super::outcome::*;
use super::progress::WaitOptions;
use super::standing::{Standing, is_shown, standings};
use super::trace::Trace;
use crate::history::event::HANDLER_PANICKED;
use crate::history::{Event, Happening};
use crate::scenario::plan::*;
use crate::types::note::{Controllers, Note};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Judge {
    plan: Plan,
    trace: Trace,
    /// Of a live run: a saved history does not hold all that they look at.
    invariants: Option<Invariants>,
    controllers: Controllers,
    /// What is measured, as it stood at the first fault, in the order of the plan.
    before: Option<Vec<Option<f64>>>,
    /// Whose findings are kept, however many there are.
    asked_for: Option<EventId>,
}

impl Judge {
    pub fn new(plan: &Plan) -> Judge {
        Judge::with_options(plan, WaitOptions::default())
    }

    pub fn with_options(plan: &Plan, options: WaitOptions) -> Judge {
        for (index, service) in plan.services.iter().enumerate() {
            assert!(service.id.0 as usize == index, "services are numbered in the order of the plan");
        }
        for (index, place) in plan.places.iter().enumerate() {
            assert!(place.id.0 as usize == index, "places are numbered in the order of the plan");
        }
        Judge {
            trace: Trace::new(plan, options),
            invariants: Some(Invariants::new(plan)),
            controllers: Controllers::default(),
            before: None,
            asked_for: None,
            plan: plan.clone(),
        }
    }

    /// A judge of a history that was read back: of fates, responsibility and figures, and not of the queue's invariants.
    pub fn of_saved(plan: &Plan) -> Judge {
        Judge { invariants: None, ..Judge::new(plan) }
    }

    /// Whatever is found of this event will stand among the evidence.
    pub fn ask_for(&mut self, event: EventId) {
        self.asked_for = Some(event);
        self.trace.asked_for = Some(event);
    }

    /// The next event of the history.
    pub fn observe(&mut self, event: &Event) {
        if let Happening::Note(note) = &event.what {
            // Most events are of interest to few invariants of the queue, or to none.
            if note.is_of_business() {
                return self.trace.observe_business(note, event);
            }
            if note.is_of_clients() {
                self.trace.observe(event);
                if let Some(invariants) = &mut self.invariants {
                    invariants.of_client(event, note, &self.trace.logs, &self.trace.incidents);
                }
                return;
            }
            if let Note::BatchAppended { .. } | Note::HighWatermark { .. } | Note::ProduceAnswered { .. } = note {
                self.trace.observe(event);
                let Trace { logs, incidents, mismatch, .. } = &self.trace;
                if let Some(invariants) = &mut self.invariants {
                    invariants.of_replication(event, note, logs, incidents, *mismatch);
                }
                return;
            }
            if self.controllers.is_late(event.node, note) {
                return;
            }
        }
        if let Happening::FaultFired { .. } = event.what
            && self.before.is_none()
        {
            self.before = Some(self.service_values());
        }
        if let Some(invariants) = &mut self.invariants {
            invariants.before(event, &self.trace.logs, &self.trace.incidents);
        }
        self.trace.observe(event);
        if let Some(invariants) = &mut self.invariants {
            invariants.after(event, &self.trace.logs, &self.trace.incidents);
        }
    }

    /// Violations of invariants so far: a run can be stopped at the first.
    pub fn violations(&self) -> &[InvariantViolation] {
        self.invariants.as_ref().map_or(&[], Invariants::violations)
    }

    /// The end of the history.
    pub fn finish(self) -> RunOutcome {
        self.finish_with_standings().0
    }

    /// The end of the history, and how far the event that was asked for has come.
    pub fn finish_with_standings(mut self) -> (RunOutcome, Vec<Standing>) {
        let complete = self.trace.ended.is_some() && self.trace.panicked.is_none();
        if self.trace.ended.is_none() {
            let last = self.trace.last;
            self.trace.progress.iter_mut().flatten().for_each(|progress| progress.end(last));
        }
        self.trace.count_records();
        let backlogged = Backlogged::of(&self.trace);
        let judged = self.plan.places.iter().filter(|place| !self.is_internal(place));
        let places: Vec<PlaceFates> =
            judged.map(|place| judge_place(&self.plan, &self.trace, &backlogged, place.id, self.asked_for)).collect();
        let services: Vec<ServiceMetrics> =
            self.plan.services.iter().map(|service| service_metrics(&self.plan, &self.trace, service)).collect();
        for consuming in services.iter().filter_map(|service| service.consuming.as_ref()) {
            assert!(consuming.message_nanoseconds == consuming.sojourn_nanoseconds, "Little's law is an identity");
        }
        let expectations = self.expectations(&places, &services, &backlogged, complete);
        let outcome = RunOutcome {
            scenario: self.plan.scenario.clone(),
            cell: self.plan.cell.clone(),
            seed: self.plan.seed,
            verdict: Verdict::Holds,
            reasons: Vec::new(),
            expectations,
            stuck: self.stuck(&places),
            places,
            services,
            counters: self.trace.counters,
            floors: self.floors(),
            invariant_violations: self.violations().to_vec(),
            never_fired: self.never_fired(),
            faults: self.trace.incidents.faults.clone(),
            panicked: self.trace.panicked.clone(),
            load_ended: self.trace.load_ended,
            ended: self.trace.last,
            quiet: self.trace.ended.is_some_and(|(_, quiet)| quiet),
        };
        let mut standings =
            self.asked_for.map_or(Vec::new(), |event| standings(&self.plan, &self.trace, &backlogged, event));
        standings.retain(|standing| is_shown(&self.plan, standing.place));
        (self.conclude(outcome, complete), standings)
    }

    fn expectations(
        &self,
        places: &[PlaceFates],
        services: &[ServiceMetrics],
        backlogged: &Backlogged,
        complete: bool,
    ) -> Vec<ExpectationResult> {
        let mut results = Vec::new();
        let mut bounds_before = self.before.clone().unwrap_or_default().into_iter();
        for expectation in &self.plan.expectations {
            match expectation {
                Expectation::Place(expectation) => {
                    let Some(fates) = places.iter().find(|fates| fates.place == expectation.place) else { continue };
                    let never_recovers = self.never_recovers(expectation.place);
                    let judged = Judged { expectation, fates, complete, never_recovers };
                    results.extend(guarantees::judge_place(judged));
                }
                Expectation::Service { service, metric, bounds } => {
                    let plan = &self.plan.services[service.0 as usize];
                    let measured = measure(&services[service.0 as usize], *metric);
                    let faults = &self.trace.incidents.faults;
                    let theory = closed_form(&self.plan, &self.trace.routes, plan, *metric, faults);
                    let before = bounds_before.next().flatten();
                    let subject = Subject::Service { service: *service, metric: *metric };
                    results.push(guarantees::bounds::judge(subject, bounds, measured, theory, before));
                }
                Expectation::Delay { place, metric, bounds } => {
                    let before = bounds_before.next().flatten();
                    let Some(fates) = places.iter().find(|fates| fates.place == *place) else { continue };
                    let subject = Subject::Delay { place: *place, metric: *metric };
                    let measured = delay(&fates.delay, *metric);
                    results.push(guarantees::bounds::judge(subject, bounds, measured, None, before));
                }
                Expectation::Run { metric, bounds } => {
                    let value = match metric {
                        RunMetric::Connections => Some(self.trace.connections()),
                        RunMetric::MovingParts => Some(moving_parts(&self.plan)),
                        RunMetric::Unsettled => Some(unsettled(&self.plan, &self.trace, backlogged)),
                        RunMetric::BrokerRequests => self.trace.broker_traffic.map(|(requests, _)| requests),
                        RunMetric::BrokerBytes => self.trace.broker_traffic.map(|(_, bytes)| bytes),
                    };
                    let measured = value.map_or(Measured::Nothing, |value| Measured::Value(value as f64));
                    let subject = Subject::Run { metric: *metric };
                    results.push(guarantees::bounds::judge(subject, bounds, measured, None, None));
                }
            }
        }
        results
    }

    /// Values of all that is measured of services and places up to now, in the order of the plan.
    fn service_values(&self) -> Vec<Option<f64>> {
        let value = |measured: Measured| match measured {
            Measured::Value(value) => Some(value),
            Measured::Count { .. } | Measured::Censored(_) | Measured::Nothing => None,
        };
        let values = self.plan.expectations.iter().filter_map(|expectation| match expectation {
            // What the run comes to as a whole is not known before its end.
            Expectation::Place(_) | Expectation::Run { .. } => None,
            Expectation::Service { service, metric, .. } => {
                let metrics = service_metrics(&self.plan, &self.trace, &self.plan.services[service.0 as usize]);
                Some(value(measure(&metrics, *metric)))
            }
            Expectation::Delay { place, metric, .. } => {
                Some(value(delay(&self.trace.places[usize::from(place.0)].delay.summary(), *metric)))
            }
        });
        values.collect()
    }

    /// Whether the plan expects a service before this place never to recover.
    fn never_recovers(&self, place: PlaceId) -> bool {
        self.plan.expectations.iter().any(|expectation| match expectation {
            Expectation::Place(_) | Expectation::Delay { .. } | Expectation::Run { .. } => false,
            Expectation::Service { service, metric, bounds } => {
                *metric == ServiceMetric::Recovery
                    && bounds.iter().any(|bound| bound.limit == Limit::Never)
                    && self.trace.routes.before(place) & (1 << service.0) != 0
            }
        })
    }

    fn stuck(&self, places: &[PlaceFates]) -> Option<Stuck> {
        let (_, quiet) = self.trace.ended?;
        let pending = places.iter().map(|fates| fates.pending).sum();
        if quiet || pending == 0 {
            return None;
        }
        let waiting = self.trace.progress.iter().enumerate().filter_map(|(service, progress)| {
            let unprocessed = progress.as_ref()?.unprocessed;
            (unprocessed > 0).then_some((ServiceId(service as u16), unprocessed))
        });
        let finding = places.iter().filter(|fates| fates.pending > 0).any(|fates| {
            !self.never_recovers(fates.place)
                && self.plan.expectations.iter().any(|expectation| match expectation {
                    Expectation::Place(expectation) => {
                        expectation.place == fates.place && expectation.pending == Tolerance::None
                    }
                    Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => false,
                })
        });
        Some(Stuck { pending, unprocessed: waiting.collect(), finding })
    }

    fn floors(&self) -> Vec<FloorResult> {
        let floors = self.plan.floors.iter().map(|floor| FloorResult {
            what: floor.what,
            at_least: floor.at_least,
            over_all_seeds: floor.over_all_seeds,
            measured: self.trace.counters.of(floor.what),
        });
        floors.collect()
    }

    /// Named faults that never fired. What `[chaos]` drew has a slash in its name, which no name in a file can have.
    fn never_fired(&self) -> Vec<FaultId> {
        let named = self.plan.faults.iter().filter(|fault| !fault.name.contains('/'));
        let fired = |fault: &FaultPlan| self.trace.incidents.faults.iter().any(|span| span.fault == fault.id);
        named.filter(|fault| !fired(fault)).map(|fault| fault.id).collect()
    }

    /// A topic of the queue itself.
    fn is_internal(&self, place: &PlacePlan) -> bool {
        let mut topics = self.plan.topics.iter().filter(|topic| topic.name.starts_with("__"));
        topics.any(|topic| topic.place == place.id)
    }

    /// The verdict of the whole run, with its reasons.
    fn conclude(&self, mut outcome: RunOutcome, complete: bool) -> RunOutcome {
        outcome.expectations.iter_mut().for_each(|result| result.name = self.name(result.subject));
        let mut found: Vec<(Verdict, String)> = Vec::new();
        if let Some(message) = &outcome.panicked {
            let whose =
                if message.starts_with(HANDLER_PANICKED) { "" } else { "a machine broke one of its own invariants: " };
            found.push((Verdict::Violated, format!("{whose}{message}")));
        } else if self.trace.never_ready {
            found.push((Verdict::Unknown, NEVER_READY.to_string()));
        } else if !complete {
            found.push((Verdict::Unknown, "the history stops before the end of the run".to_string()));
        }
        for violation in &outcome.invariant_violations {
            let place =
                violation.partition.map_or(String::new(), |partition| format!(" in {}", self.partition(partition)));
            let message = format!("{}{place} at {}: {}", word(&violation.invariant), violation.time, violation.message);
            found.push((Verdict::Violated, message));
        }
        for result in outcome.expectations.iter().filter(|result| result.verdict != Verdict::Holds) {
            found.push((result.verdict, format!("{}: {}", result.name, result.why)));
        }
        for fault in &outcome.never_fired {
            let fault = self.plan.faults.iter().find(|plan| plan.id == *fault);
            found.push((Verdict::Vacuous, format!("fault {} never fired", fault.map_or("?", |f| f.name.as_str()))));
        }
        for floor in outcome.floors.iter().filter(|floor| !floor.over_all_seeds && floor.measured < floor.at_least) {
            let message = format!("only {} of at least {} {}", floor.measured, floor.at_least, word(&floor.what));
            found.push((Verdict::Vacuous, message));
        }
        if self.nothing_expected(&outcome) {
            found.push((Verdict::Vacuous, "no event owed anything to any judged place".to_string()));
        }
        found.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
        outcome.verdict = found.first().map_or(Verdict::Holds, |(verdict, _)| *verdict);
        outcome.reasons = found.into_iter().map(|(_, reason)| reason).collect();
        outcome
    }

    /// A run that judges places and in which none of them was owed anything proved nothing.
    fn nothing_expected(&self, outcome: &RunOutcome) -> bool {
        let judged: Vec<PlaceId> = self
            .plan
            .expectations
            .iter()
            .filter_map(|expectation| match expectation {
                Expectation::Place(expectation) => Some(expectation.place),
                Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => None,
            })
            .collect();
        let owed = outcome.places.iter().filter(|fates| judged.contains(&fates.place)).any(|fates| fates.expected > 0);
        self.plan.expectations.is_empty() || outcome.counters.arrived == 0 || (!judged.is_empty() && !owed)
    }

    fn partition(&self, partition: TopicPartition) -> String {
        let topic = self.plan.topics.get(usize::from(partition.topic.0)).map_or("?", |topic| topic.name.as_str());
        format!("{topic}/{}", partition.partition)
    }

    fn name(&self, subject: Subject) -> String {
        match subject {
            Subject::Place { place, promise } => {
                let place = self.plan.places.get(place.0 as usize).map_or("?", |place| place.name.as_str());
                format!("{place} {}", word(&promise))
            }
            Subject::Service { service, metric } => {
                let service = self.plan.services.get(service.0 as usize).map_or("?", |service| service.name.as_str());
                format!("{service} {}", word(&metric))
            }
            Subject::Delay { place, metric } => {
                let place = self.plan.places.get(place.0 as usize).map_or("?", |place| place.name.as_str());
                format!("{place} {}", word(&metric))
            }
            Subject::Run { metric } => word(&metric),
        }
    }
}

const NEVER_READY: &str = "the cluster was not ready when the load was to begin, 20 s after the start: a group had no assignment \
     or a partition no leader; look at `network` and at the timeouts (a handler must have polled its consumer by then)";

/// The word of the language for a value of the plan or of an outcome: `per-key`, `recovery`.
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

impl Counters {
    /// The count that a floor is about.
    pub fn of(&self, what: FloorMetric) -> u64 {
        match what {
            FloorMetric::Accepted => self.accepted,
            FloorMetric::Applied => self.applied,
            FloorMetric::Faults => self.faults,
            FloorMetric::LeaderChanges => self.leader_changes,
            FloorMetric::ControllerChanges => self.controller_changes,
            FloorMetric::Rebalances => self.rebalances,
            FloorMetric::Crashes => self.crashes,
            FloorMetric::PowerLosses => self.power_losses,
            FloorMetric::Retries => self.retries,
            FloorMetric::Redeliveries => self.redeliveries,
            FloorMetric::DeadLetters => self.dead_letters,
            FloorMetric::UnknownOutcomes => self.unknown_outcomes,
        }
    }

    /// Sums over runs.
    pub fn add(&mut self, other: &Counters) {
        let Counters {
            arrived,
            accepted,
            refused,
            unknown_outcomes,
            applied,
            faults,
            leader_changes,
            unclean_elections,
            controller_changes,
            rebalances,
            crashes,
            power_losses,
            retries,
            redeliveries,
            dead_letters,
            skipped,
            abandoned,
            commits_refused,
            commit_regressions,
            batches_deduplicated,
            history_events,
        } = other;
        self.arrived += arrived;
        self.accepted += accepted;
        self.refused += refused;
        self.unknown_outcomes += unknown_outcomes;
        self.applied += applied;
        self.faults += faults;
        self.leader_changes += leader_changes;
        self.unclean_elections += unclean_elections;
        self.controller_changes += controller_changes;
        self.rebalances += rebalances;
        self.crashes += crashes;
        self.power_losses += power_losses;
        self.retries += retries;
        self.redeliveries += redeliveries;
        self.dead_letters += dead_letters;
        self.skipped += skipped;
        self.abandoned += abandoned;
        self.commits_refused += commits_refused;
        self.commit_regressions += commit_regressions;
        self.batches_deduplicated += batches_deduplicated;
        self.history_events += history_events;
    }
}

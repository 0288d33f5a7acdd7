//! One run over time, for pictures: who owned what, which replicas were in sync, how many events had passed each stage, how long they
//! took and where they waited.
//!
//! The one idea: the judge keeps what a verdict needs, for every run; this keeps what a picture needs, for the one run that is
//! looked at. It reads the same history and judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::distribution::Histogram;
use crate::history::{Event, Happening};
use crate::scenario::plan::{Plan, Trigger};
use crate::types::note::{AppendRole, Note};
use crate::types::*;

/// Stretches of the load phase that things are counted in.
pub const STRETCHES: usize = 240;

/// A length of time in which something was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<T> {
    pub what: T,
    pub from: Time,
    pub to: Time,
}

/// What the controller said of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSync {
    pub leader: Option<NodeId>,
    pub in_sync: usize,
    pub replicas: usize,
}

/// Events that arrived in one stretch and were processed at some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub events: u64,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// How many had reached each stage by the end of each stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    pub arrived: Vec<u64>,
    pub queued: Vec<u64>,
    pub processed: Vec<u64>,
    pub committed: Vec<u64>,
}

/// A run over time. Spans end with the load phase at the latest.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The consuming service that was watched.
    pub service: Option<ServiceId>,
    /// Length of a stretch.
    pub step: Duration,
    /// Of each partition that the service consumes; owners may overlap while one does not know yet that it has lost it.
    pub owners: Vec<(TopicPartition, Vec<Span<NodeId>>)>,
    /// Of each partition of the scenario's own topics.
    pub replicas: Vec<(TopicPartition, Vec<Span<InSync>>)>,
    pub stages: Stages,
    /// By the stretch of arrival; nothing where none arrived.
    pub taken: Vec<Option<Taken>>,
    /// Readable records behind the newest that was processed, at most in each stretch.
    pub behind: Vec<(TopicPartition, Vec<u64>)>,
}

/// Listens to a history.
pub struct TimelineKeeper {
    service: Option<ServiceId>,
    group: Option<GroupId>,
    watched: BTreeSet<TopicPartition>,
    own: BTreeSet<TopicPartition>,
    end: Time,
    step: Duration,
    owning: BTreeMap<(TopicPartition, NodeId), Time>,
    owners: BTreeMap<TopicPartition, Vec<Span<NodeId>>>,
    replicas: BTreeMap<TopicPartition, Vec<(Time, InSync)>>,
    arrived: Vec<u64>,
    queued: Vec<u64>,
    processed: Vec<u64>,
    committed: Vec<u64>,
    arrivals: BTreeMap<EventId, Time>,
    done: BTreeSet<EventId>,
    sources: BTreeMap<EventId, (TopicPartition, Offset)>,
    commits: BTreeMap<TopicPartition, u64>,
    taken: Vec<Histogram>,
    lags: BTreeMap<TopicPartition, Lag>,
}

#[derive(Default)]
struct Lag {
    end: u64,
    processed: u64,
    most: Vec<u64>,
}

impl Lag {
    /// Carries the count up to this stretch, and into it.
    fn at(&mut self, stretch: usize) {
        let now = self.end.saturating_sub(self.processed);
        while self.most.len() <= stretch {
            self.most.push(now);
        }
        self.most[stretch] = self.most[stretch].max(now);
    }
}

impl TimelineKeeper {
    /// `service`: the consuming service whose partitions, stages and times are kept.
    pub fn new(plan: &Plan, service: Option<ServiceId>) -> TimelineKeeper {
        let partitions = |topic: TopicId| {
            let count = plan.partitions_ever(topic);
            (0..count).map(move |partition| TopicPartition { topic, partition })
        };
        let consume = service.and_then(|service| match &plan.services[usize::from(service.0)].trigger {
            Trigger::Consume(consume) => Some(consume),
            _ => None,
        });
        TimelineKeeper {
            service,
            group: consume.map(|consume| consume.group),
            watched: consume.iter().flat_map(|consume| &consume.topics).flat_map(|topic| partitions(*topic)).collect(),
            own: plan.own_topics().iter().flat_map(|topic| partitions(topic.id)).collect(),
            end: Time::LOAD_START + plan.duration,
            step: Duration((plan.duration.0 / STRETCHES as u64).max(1)),
            owning: BTreeMap::new(),
            owners: BTreeMap::new(),
            replicas: BTreeMap::new(),
            arrived: vec![0; STRETCHES],
            queued: vec![0; STRETCHES],
            processed: vec![0; STRETCHES],
            committed: vec![0; STRETCHES],
            arrivals: BTreeMap::new(),
            done: BTreeSet::new(),
            sources: BTreeMap::new(),
            commits: BTreeMap::new(),
            taken: (0..STRETCHES).map(|_| Histogram::default()).collect(),
            lags: BTreeMap::new(),
        }
    }

    /// The stretch of an instant; nothing outside the load phase.
    fn stretch(&self, time: Time) -> Option<usize> {
        let inside = Time::LOAD_START <= time && time < self.end;
        inside.then(|| ((time.since(Time::LOAD_START).0 / self.step.0) as usize).min(STRETCHES - 1))
    }

    /// The stretch that a change at this instant counts in: what was before the load counts as there from its begin.
    fn stretch_or_first(&self, time: Time) -> Option<usize> {
        if time < Time::LOAD_START { Some(0) } else { self.stretch(time) }
    }

    pub fn observe(&mut self, event: &Event) {
        let (time, node) = (event.time, event.node);
        match &event.what {
            Happening::Note(note) => self.note(note, time, node),
            Happening::Stopped { .. } => {
                let lost: Vec<TopicPartition> =
                    self.owning.keys().filter(|(_, owner)| *owner == node).map(|(partition, _)| *partition).collect();
                lost.into_iter().for_each(|partition| self.disown(partition, node, time));
            }
            _ => {}
        }
    }

    fn disown(&mut self, partition: TopicPartition, node: NodeId, time: Time) {
        if let Some(from) = self.owning.remove(&(partition, node)) {
            self.owners.entry(partition).or_default().push(Span { what: node, from, to: time });
        }
    }

    fn note(&mut self, note: &Note, time: Time, node: NodeId) {
        match note {
            Note::Assigned { group, partitions, .. } if Some(*group) == self.group => {
                let held: Vec<TopicPartition> =
                    self.owning.keys().filter(|(_, owner)| *owner == node).map(|(partition, _)| *partition).collect();
                for partition in held.into_iter().filter(|held| !partitions.contains(held)) {
                    self.disown(partition, node, time);
                }
                for partition in partitions {
                    self.owning.entry((*partition, node)).or_insert(time);
                }
            }
            Note::Revoked { group, partitions, .. } | Note::Lost { group, partitions, .. }
                if Some(*group) == self.group =>
            {
                partitions.iter().for_each(|partition| self.disown(*partition, node, time));
            }
            Note::PartitionChanged { partition, state, .. } if self.own.contains(partition) => {
                let now = InSync {
                    leader: state.leader,
                    in_sync: state.in_sync_replicas.len(),
                    replicas: state.replicas.len(),
                };
                let known = self.replicas.entry(*partition).or_default();
                if known.last().is_none_or(|(_, last)| *last != now) {
                    known.push((time, now));
                }
            }
            Note::Arrived { message, .. } => {
                self.arrivals.insert(message.event, time);
                self.count(time, 1, |keeper| &mut keeper.arrived);
            }
            Note::BatchAppended { partition, role: AppendRole::Leader, batch } if self.watched.contains(partition) => {
                self.count(time, batch.messages().len() as u64, |keeper| &mut keeper.queued);
            }
            Note::HighWatermark { partition, offset, as_leader: true, .. } if self.watched.contains(partition) => {
                self.lag(*partition, time, |lag| lag.end = lag.end.max(offset.0));
            }
            Note::PositionSet { group, partition, offset, .. } if Some(*group) == self.group => {
                self.lag(*partition, time, |lag| lag.processed = lag.processed.max(offset.0));
            }
            Note::OffsetCommitted { group, partition, offset, .. } if Some(*group) == self.group => {
                let before = self.commits.insert(*partition, offset.0).unwrap_or(0).min(offset.0);
                self.count(time, offset.0 - before, |keeper| &mut keeper.committed);
            }
            Note::FlowStarted { service, message, source: Some(source), .. } if Some(*service) == self.service => {
                self.sources.insert(message.event, *source);
            }
            Note::FlowDone { service, event, .. } if Some(*service) == self.service => {
                if let Some((partition, offset)) = self.sources.get(event).copied() {
                    self.lag(partition, time, |lag| lag.processed = lag.processed.max(offset.0 + 1));
                }
                if self.done.insert(*event) {
                    self.count(time, 1, |keeper| &mut keeper.processed);
                    let arrived = self.arrivals.get(event).copied();
                    if let Some((arrived, stretch)) = arrived.and_then(|at| Some((at, self.stretch(at)?))) {
                        self.taken[stretch].add(time.since(arrived));
                    }
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, time: Time, number: u64, stage: fn(&mut TimelineKeeper) -> &mut Vec<u64>) {
        if let Some(stretch) = self.stretch_or_first(time) {
            stage(self)[stretch] += number;
        }
    }

    fn lag(&mut self, partition: TopicPartition, time: Time, change: impl FnOnce(&mut Lag)) {
        let Some(stretch) = self.stretch_or_first(time) else { return };
        let lag = self.lags.entry(partition).or_default();
        lag.at(stretch);
        change(lag);
        if Time::LOAD_START <= time {
            lag.at(stretch);
        } else {
            // What was before the load is not counted.
            lag.most.clear();
        }
    }

    pub fn finish(mut self) -> Timeline {
        let (begin, end) = (Time::LOAD_START, self.end);
        for (partition, node) in self.owning.keys().copied().collect::<Vec<_>>() {
            self.disown(partition, node, end);
        }
        let clipped = |spans: Vec<Span<NodeId>>| {
            let inside = spans.into_iter().filter(|span| begin < span.to && span.from < end);
            let mut spans: Vec<Span<NodeId>> =
                inside.map(|span| Span { from: span.from.max(begin), to: span.to.min(end), ..span }).collect();
            spans.sort_by_key(|span| (span.from, span.to));
            spans
        };
        let owners = std::mem::take(&mut self.owners);
        let mut owners: BTreeMap<TopicPartition, Vec<Span<NodeId>>> =
            owners.into_iter().map(|(partition, spans)| (partition, clipped(spans))).collect();
        let replicas = std::mem::take(&mut self.replicas).into_iter().map(|(partition, changes)| {
            let ends = changes.iter().skip(1).map(|(time, _)| *time).chain([end]).collect::<Vec<_>>();
            let spans = changes.into_iter().zip(ends).filter(|((from, _), to)| begin < *to && *from < end && from < to);
            let span =
                |((from, what), to): ((Time, InSync), Time)| Span { what, from: from.max(begin), to: to.min(end) };
            (partition, spans.map(span).collect())
        });
        let running = |counts: &[u64]| {
            let mut sum = 0;
            counts
                .iter()
                .map(|count| {
                    sum += count;
                    sum
                })
                .collect::<Vec<u64>>()
        };
        let taken = self.taken.iter().map(|histogram| {
            let all = histogram.summary();
            (0 < all.count).then_some(Taken { events: all.count, p50: all.p50, p99: all.p99, max: all.max })
        });
        let behind = self.watched.iter().map(|partition| {
            let mut lag = self.lags.remove(partition).unwrap_or_default();
            lag.at(STRETCHES - 1);
            (*partition, lag.most)
        });
        Timeline {
            service: self.service,
            step: self.step,
            replicas: replicas.collect(),
            stages: Stages {
                arrived: running(&self.arrived),
                queued: running(&self.queued),
                processed: running(&self.processed),
                committed: running(&self.committed),
            },
            taken: taken.collect(),
            behind: behind.collect(),
            owners: self
                .watched
                .iter()
                .map(|partition| (*partition, owners.remove(partition).unwrap_or_default()))
                .collect(),
        }
    }
}

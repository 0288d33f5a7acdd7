//! What the judge says about one run, and about the runs of one cell: plain data that can be written down and read back.
//!
//! The one idea: a report decides nothing. Every number, verdict and piece of evidence that anybody prints or draws is a
//! field here. Names are left as the numbers of the plan; whoever prints has the plan.

use serde::{Deserialize, Serialize};

use crate::scenario::plan::{
    Bound, Boundary, DelayMetric, FaultPlan, FloorMetric, OrderExpectation, Plan, RunMetric, ServiceMetric, Tolerance,
};
use crate::types::*;

/// From good to bad: `max()` of two verdicts is the one that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    #[default]
    Holds,
    /// The run cannot tell, and says why.
    Unknown,
    /// Too little happened: a floor was missed, a named fault never fired, or nothing was expected.
    Vacuous,
    Violated,
}

/// Everything the judge found in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunOutcome {
    pub scenario: String,
    pub cell: String,
    pub seed: Seed,
    pub verdict: Verdict,
    /// Why the verdict is not `holds`, most telling first; one sentence each, in the plan's names.
    pub reasons: Vec<String>,
    /// One for each judged attribute, in the order of the plan.
    pub expectations: Vec<ExpectationResult>,
    pub places: Vec<PlaceFates>,
    pub services: Vec<ServiceMetrics>,
    pub counters: Counters,
    pub floors: Vec<FloorResult>,
    pub invariant_violations: Vec<InvariantViolation>,
    pub faults: Vec<FaultSpan>,
    /// Named faults that never fired.
    pub never_fired: Vec<FaultId>,
    /// The system did not become quiet after everything was healed.
    pub stuck: Option<Stuck>,
    /// A machine broke one of its own invariants; everything else then only describes the run up to there.
    pub panicked: Option<String>,
    /// When the load phase ended, if it did.
    pub load_ended: Option<Time>,
    pub ended: Time,
    /// Nothing was left to do at the end.
    pub quiet: bool,
}

// --- expectations ---

/// What an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    Place { place: PlaceId, promise: Promise },
    Service { service: ServiceId, metric: ServiceMetric },
    Delay { place: PlaceId, metric: DelayMetric },
    Run { metric: RunMetric },
}

/// An attribute of a place that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    Loss,
    Duplicates,
    Stale,
    Phantoms,
    Parked,
    Pending,
    Order,
    Blame,
}

/// What the plan demands of the subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    Fate(Tolerance),
    Order(OrderExpectation),
    /// Every bad fate must be laid to this boundary.
    Blame(Boundary),
    /// All must hold.
    Bounds(Vec<Bound>),
}

impl Demand {
    /// A hazard that must show in at least one seed.
    pub fn is_required(&self) -> bool {
        match self {
            Demand::Fate(tolerance) => *tolerance == Tolerance::Required,
            Demand::Order(order) => *order == OrderExpectation::Broken,
            Demand::Blame(_) | Demand::Bounds(_) => false,
        }
    }
}

/// One attribute of one place or service, or of the whole, in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExpectationResult {
    pub subject: Subject,
    /// The subject in the plan's names: `db.orders loss`.
    pub name: String,
    pub demand: Demand,
    pub measured: Measured,
    /// Of this run alone. A required hazard that this run does not show, and a bound over seeds, hold here and are
    /// decided over the seeds.
    pub verdict: Verdict,
    /// One sentence in the plan's names; empty when it simply holds.
    pub why: String,
    /// At most [`EVIDENCE_KEPT`], most telling first.
    pub evidence: Vec<Evidence>,
    /// The closed form for this metric with the variance of one run, where there is one. Metrics only.
    pub theory: Option<TheoryValue>,
    /// The same metric of the same run up to its first fault. Metrics only.
    pub before: Option<f64>,
}

/// Evidence items kept for each kind and place.
pub const EVIDENCE_KEPT: usize = 8;

/// A measured value. Durations are seconds, shares are 0..=1, the rest plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// So many of so many.
    Count {
        count: u64,
        of: u64,
    },
    Value(f64),
    /// At least this: what was waited for did not come while it could be observed (recovery while requests arrived).
    Censored(f64),
    /// Nothing to measure: no sample, or no fault to recover from.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TheoryValue {
    pub value: f64,
    /// Of one run's measured value, where the theory tells it.
    pub variance: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FloorResult {
    pub what: FloorMetric,
    pub at_least: u64,
    pub over_all_seeds: bool,
    pub measured: u64,
}

// --- fates ---

/// What became of the events that owed an effect to one place.
///
/// `expected = once + repeated_harmless + repeated_harmful + lost + pending + parked`: each owed event has one of these
/// fates. The other counts are beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlaceFates {
    pub place: PlaceId,
    /// Owed effects: accepted events whose steps lead here (or rows of the `of` place).
    pub expected: u64,
    pub once: u64,
    /// Done again, and it did not matter: the same row, the same version.
    pub repeated_harmless: u64,
    /// Done again, and it shows: a second row, a second addition, a second record.
    pub repeated_harmful: u64,
    pub lost: u64,
    pub pending: u64,
    pub parked: u64,
    /// The caller was told no, and there is no effect.
    pub refused: u64,
    /// Effects of refused events, or without their `of` row.
    pub phantoms: u64,
    /// Nobody told the caller what became of it; with and without an effect. Neither is a finding.
    pub unknown_present: u64,
    pub unknown_absent: u64,
    /// Keys whose row ends with an older version than it once had.
    pub stale: u64,
    /// An older version overwrote a newer one, for good or until a later one came.
    pub regressions: u64,
    /// Events applied after a later event of their key that arrived when they had been accepted already.
    pub reordered: u64,
    /// Applications in all, repetitions included.
    pub applications: u64,
    /// Events with any bad fate, by the boundary that broke. Bad: lost, repeated harmfully, stale, phantom.
    pub blamed: Vec<(Boundary, u64)>,
    /// At most [`EVIDENCE_KEPT`] of each kind, most telling first.
    pub evidence: Vec<Evidence>,
    /// Arrival to first effect.
    pub delay: Distribution,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    Lost,
    RepeatedHarmful,
    Stale,
    Phantom,
    Reordered,
    Pending,
    Parked,
    RepeatedHarmless,
}

/// One event's story at one place, as far as it is needed to believe the finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    pub kind: EvidenceKind,
    pub place: PlaceId,
    pub event: EventId,
    pub key: Key,
    /// The other event of the pair, for order and overwriting.
    pub other: Option<EventId>,
    /// In order of time.
    pub sightings: Vec<Sighting>,
    /// For bad fates.
    pub blame: Option<Blame>,
    /// One sentence in the plan's names.
    pub message: String,
}

/// Something seen of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sighting {
    pub time: Time,
    pub node: NodeId,
    pub what: Seen,
}

/// Who moved the start of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemovedBy {
    Retention,
    /// `delete-records`.
    Operator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    Arrived,
    Accepted,
    Refused,
    /// The caller never learnt.
    GaveUp,
    /// Handed to a producer.
    Sent {
        partition: TopicPartition,
    },
    /// The producer was told that it is queued.
    Acknowledged {
        partition: TopicPartition,
        offset: Option<Offset>,
    },
    SendFailed {
        partition: TopicPartition,
        certain: bool,
    },
    /// A leader appended it.
    Appended {
        partition: TopicPartition,
        offset: Offset,
    },
    /// It was cut from the log that counts: a later leader did not have it.
    Truncated {
        partition: TopicPartition,
        offset: Offset,
        leader_epoch: LeaderEpoch,
    },
    /// It was removed from the front of its log.
    Expired {
        partition: TopicPartition,
        offset: Offset,
        by: RemovedBy,
    },
    /// Compaction removed it, and a consumer of the group went on behind it.
    Compacted {
        partition: TopicPartition,
        offset: Offset,
    },
    /// A consumer of the group was set behind it.
    PassedOver {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
        position: Offset,
    },
    /// The group's committed offset went past it.
    Committed {
        group: GroupId,
        partition: TopicPartition,
        offset: Offset,
    },
    FlowStarted {
        service: ServiceId,
    },
    StepReached {
        service: ServiceId,
        step: u16,
    },
    StepDone {
        service: ServiceId,
        step: u16,
    },
    /// The other side executed it, and the answer never came.
    AnswerLost {
        service: ServiceId,
        step: u16,
    },
    FlowDone {
        service: ServiceId,
        skipped: bool,
    },
    Applied {
        place: PlaceId,
    },
    GivenUp {
        service: ServiceId,
        rung: u16,
    },
    /// Something that happened to the node.
    Struck {
        incident: IncidentKind,
    },
}

/// The boundary that broke, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Blame {
    pub boundary: Boundary,
    /// Who made the promise.
    pub whose: Party,
    /// For the consumer: the steps between which it broke.
    pub between: Option<Between>,
    /// What struck, where something did.
    pub cause: Option<Incident>,
    /// Why this boundary, one sentence.
    pub message: String,
}

/// Somebody who makes a promise, and has an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    Service(ServiceId),
    Topic(TopicId),
    /// By their numbers in the plan.
    Store(u16),
    Endpoint(u16),
}

/// The gap in a list of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Between {
    pub service: ServiceId,
    pub node: NodeId,
    /// The last step that was done; `None` before the first.
    pub done: Option<u16>,
    /// The step that was never done; `None` behind the last.
    pub missing: Option<u16>,
}

/// Something that happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Incident {
    pub time: Time,
    /// Number in the history.
    pub number: u64,
    pub node: NodeId,
    pub kind: IncidentKind,
    /// The fault of the plan that did it, where one was aimed at the node at that time.
    pub fault: Option<FaultId>,
}

impl Incident {
    /// The fault that did it, as it was planned.
    pub fn planned<'a>(&self, plan: &'a Plan) -> Option<&'a FaultPlan> {
        plan.faults.iter().find(|fault| Some(fault.id) == self.fault)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    Crashed,
    LostPower,
    /// In order, or by its own ladder.
    Stopped,
    Paused,
    /// Its group took partitions away from it.
    LostPartitions,
    /// A fault that neither stops nor pauses: a link, a disk, a clock.
    Disturbed,
    UncleanElection,
}

/// A fault as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FaultSpan {
    pub fault: FaultId,
    pub fired: Time,
    pub healed: Option<Time>,
    pub nodes: Vec<NodeId>,
    pub peers: Vec<NodeId>,
}

/// The run reached its horizon with owed effects still on their way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stuck {
    /// Owed effects that are pending, over all places.
    pub pending: u64,
    pub unprocessed: Vec<(ServiceId, u64)>,
    /// Whether it is a finding: some place does not allow pending effects.
    pub finding: bool,
}

// --- metrics ---

/// A distribution of lengths of time. Quantiles within 0.4 % of the exact ones; count, mean, minimum and maximum exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distribution {
    pub count: u64,
    pub mean_seconds: f64,
    pub min: Duration,
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// What can be measured of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceMetrics {
    pub service: ServiceId,
    /// Of a service that is asked, by the outside world or by other services: what its callers see.
    pub callers: CallerMetrics,
    /// Of a consuming service.
    pub consuming: Option<ConsumingMetrics>,
    /// Flows through per second of the load phase.
    pub throughput_per_second: f64,
    pub flows_done: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallerMetrics {
    pub arrived: u64,
    pub accepted: u64,
    pub refused: u64,
    pub unknown: u64,
    /// Arrival to final answer, of accepted events.
    pub latency: Distribution,
    /// Of callers from outside: final answers over the load phase.
    #[serde(default, skip_serializing_if = "AnswerSeries::is_empty")]
    pub answers: AnswerSeries,
    /// Accepted over arrived; nothing when nothing arrived.
    pub availability: Option<f64>,
}

/// Final answers over time, at a fixed step from the begin of the load; those behind its end stand in the last step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnswerSeries {
    pub step: Duration,
    /// Requests that got no "ok": refused, or without an answer.
    pub failed: Vec<u64>,
}

impl AnswerSeries {
    /// One more in a step.
    pub fn fail(&mut self, length: Duration, step: usize) {
        if self.failed.len() <= step {
            self.failed.resize(step + 1, 0);
        }
        self.step = length;
        self.failed[step] += 1;
    }

    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConsumingMetrics {
    pub group: GroupId,
    /// Visible to consumers until its first flow starts.
    pub wait: Distribution,
    /// Visible to consumers until its first flow is through.
    pub sojourn: Distribution,
    pub recovery: Recovery,
    pub backlog: BacklogSeries,
    pub peak_backlog: u64,
    pub backlog_at_end: u64,
    /// Integral of the number of unprocessed records over the whole run, in message-nanoseconds.
    pub message_nanoseconds: u128,
    /// Sum over records of the time they spent unprocessed. Little's law: equal to the integral, exactly.
    pub sojourn_nanoseconds: u128,
    /// Mean number of unprocessed records between the end of warm-up and the end of the load phase.
    pub mean_in_system: f64,
    /// Records that waited longer than [`DELAYED_FROM`] for their flow to start.
    pub delayed: u64,
    /// Highest count of unprocessed records of the group. Kafka: records-lag-max, by processed position.
    pub lag_max: u64,
    /// Greatest age of the oldest unprocessed record.
    pub age_max: Duration,
    pub rebalances: u64,
    /// Capacity of the most loaded member over its share of the arrivals, as stated by the plan and seen in the group.
    pub effective_headroom: Option<f64>,
}

/// A record that waited longer than this from visible to the start of its flow counts as delayed: more than a fetch.
pub const DELAYED_FROM: Duration = Duration::from_millis(10);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recovery {
    /// The last heal, when there was a fault.
    pub healed: Option<Time>,
    /// From the last heal to nothing unprocessed, of the slowest partition.
    pub after: Option<RecoveryTime>,
    /// The same, partition by partition.
    pub partitions: Vec<(TopicPartition, RecoveryTime)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryTime {
    Recovered(Duration),
    /// Not while requests arrived; observed for this long.
    Censored(Duration),
}

/// Unprocessed records over time, at a fixed step: the highest count within each step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BacklogSeries {
    /// Start of the first step.
    pub start: Time,
    pub step: Duration,
    pub unprocessed: Vec<u64>,
    /// Age of the oldest unprocessed record at the end of each step.
    pub oldest_age: Vec<Duration>,
}

/// What happened, counted; the floors are compared with these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    pub arrived: u64,
    pub accepted: u64,
    pub refused: u64,
    pub unknown_outcomes: u64,
    /// Effects applied, over all places, repetitions included.
    pub applied: u64,
    pub faults: u64,
    pub leader_changes: u64,
    pub unclean_elections: u64,
    pub controller_changes: u64,
    pub rebalances: u64,
    pub crashes: u64,
    pub power_losses: u64,
    /// Flows begun again in place, and second attempts of callers.
    pub retries: u64,
    /// Records whose flow began again after a rebalance or a restart.
    pub redeliveries: u64,
    pub dead_letters: u64,
    pub skipped: u64,
    pub abandoned: u64,
    /// Commits refused by a coordinator.
    pub commits_refused: u64,
    /// Committed offsets that went back.
    pub commit_regressions: u64,
    pub batches_deduplicated: u64,
    pub history_events: u64,
}

// --- invariants of the queue ---

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// Log start ≤ high watermark ≤ log end on every replica; a leader's high watermark never goes back in its term.
    OffsetsOrdered,
    /// What was acknowledged with acks=all is in the log of every later leader.
    AcknowledgedIsDurable,
    /// Every running member of the in-sync set and of the eligible replicas holds everything committed.
    CandidatesComplete,
    /// The same epoch at the same offset is the same record, in every log.
    LogsMatch,
    /// At most one leader in each leader epoch.
    OneLeaderPerEpoch,
    /// A fenced or stopping broker is not in the in-sync set and is not elected; epochs only go up.
    FencedIsOut,
    /// A voter votes once in an epoch, an epoch has one controller, and what is committed is never cut.
    QuorumRemembers,
    /// With eligible leader replicas: a replica that may have lost records is no candidate until it has caught up, and no
    /// other is given up while too few are in sync.
    LossyIsOut,
    /// What a consumer was given at an offset stays there.
    ReadsAreConsistent,
    /// A consumer is given the records of a partition one behind the other, and commits no further.
    ReadsAreContiguous,
    /// What compaction removes is superseded by a newer record of its key that stays, or was aborted.
    CompactionKeepsTheNewest,
    /// Sends of an idempotent producer stand in a log in their order, each once.
    SendsLandOnce,
    /// What was acknowledged is where it is said to be, what failed for certain nowhere.
    SendsAreToldTruly,
    /// A producer begins a new epoch when a batch failed or may be lost, and not otherwise.
    EpochsHaveReasons,
    /// A record is only in the partition that its producer sent it to.
    RecordsAreWhereTheyWereSent,
    /// `read_committed` returns all of what is committed and nothing else.
    ReadsAreCommitted,
    /// All partitions and the producer are told the same end of a transaction.
    TransactionsAreAtomic,
    /// What a producer was told of the end of its transaction is what became of its records.
    TransactionsEndAsTold,
    /// A producer that was fenced has a successor, or its transaction was aborted without it.
    FencedProducersHaveSuccessors,
    /// A producer that has a successor writes nothing, and no identity is given out twice.
    FencedProducersAreSilent,
    /// No partition is owned by two members of a group.
    OneOwner,
    /// A commit was taken from a member.
    CommitsAreCurrent,
    /// A group goes on where it committed last.
    CommittedOffsetsSurvive,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InvariantViolation {
    pub invariant: Invariant,
    pub time: Time,
    /// Number in the history.
    pub number: u64,
    pub node: NodeId,
    /// The other replica, where two are compared.
    pub other: Option<NodeId>,
    pub partition: Option<TopicPartition>,
    pub leader_epoch: Option<LeaderEpoch>,
    pub offset: Option<Offset>,
    pub message: String,
}

/// Violations of one invariant kept in a run; the rest is only counted.
pub const VIOLATIONS_KEPT: usize = 8;

// --- cells: the runs of one cell over its seeds ---

/// Reasons kept of a cell.
pub const REASONS_KEPT: usize = 16;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CellVerdict {
    pub scenario: String,
    pub cell: String,
    pub verdict: Verdict,
    /// The most telling, at most [`REASONS_KEPT`]; comparisons with a sibling stand behind them.
    pub reasons: Vec<String>,
    /// So many more were found.
    pub reasons_left_out: u64,
    pub runs: u64,
    pub violated: u64,
    pub unknown: u64,
    pub vacuous: u64,
    /// Upper end of the 95 % Wilson interval of the share of seeds that violate something.
    pub violated_share_at_most: f64,
    /// The first seed that violates, if any.
    pub worst_seed: Option<Seed>,
    pub expectations: Vec<CellExpectation>,
    /// Floors over all seeds, with the sums.
    pub floors: Vec<FloorResult>,
    pub counters: Counters,
}

/// One expectation over all seeds of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CellExpectation {
    pub subject: Subject,
    /// The subject in the plan's names: `db.orders loss`.
    pub name: String,
    pub demand: Demand,
    pub verdict: Verdict,
    pub why: String,
    /// Seeds in which a hazard showed (fates), or in which a value could be measured (metrics).
    pub seen_in: u64,
    pub of: u64,
    /// Upper end of the 95 % Wilson interval for `seen_in` of `of`.
    pub share_at_most: f64,
    /// Over seeds; of fates: of the counts.
    pub statistics: Option<Statistics>,
    /// Mean over seeds of the closed form.
    pub theory: Option<f64>,
    /// Standard deviation of one run by the closed form, where it tells one.
    pub theory_deviation: Option<f64>,
    /// Mean over seeds of the value before the first fault.
    pub before: Option<f64>,
    pub worst_seed: Option<Seed>,
    /// The first seed of those in `seen_in`.
    pub first_seen: Option<Seed>,
    pub example: Option<Evidence>,
}

/// Of one value over seeds. Censored runs count as infinite in quantiles and make the mean unknown (`None`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Statistics {
    pub count: u64,
    pub censored: u64,
    pub mean: Option<f64>,
    /// Sample standard deviation.
    pub deviation: Option<f64>,
    pub min: f64,
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

//! The plan: a scenario as meant, for one cell and one seed. Total: no option that means "default", no string left to
//! parse, every unit in its type. (plan, seed) is the whole input of a run.

use serde::{Deserialize, Serialize};

use crate::types::request::Cursor;
use crate::types::settings::*;
use crate::types::*;

mod calls;
mod faults;
mod live;
mod steps;

pub use calls::*;
pub use faults::*;
pub use live::*;
pub use steps::*;

/// Version of the random streams. Seeds of different versions are not comparable.
pub const STREAM_VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// File stem of the scenario.
    pub scenario: String,
    /// Which cell of the matrix: `acks=1,style=direct`, or empty.
    pub cell: String,
    pub about: String,
    pub rows: Vec<String>,
    pub seed: Seed,
    pub stream_version: u32,
    /// Requests arrive and faults act in `[0, duration)`.
    pub duration: Duration,
    /// Horizon of the quiet phase after it.
    pub drain: Duration,
    /// Front-page chart, a file stem.
    pub chart: Option<String>,
    pub guards_off: Vec<Guard>,
    /// Settings of the cluster, of clients and of topics that the file states.
    #[serde(default)]
    pub settings_stated: u32,
    pub cluster: ClusterPlan,
    pub network: NetworkPlan,
    pub disk: DiskPlan,
    pub nodes: Vec<NodePlan>,
    pub topics: Vec<TopicPlan>,
    pub groups: Vec<GroupPlan>,
    pub stores: Vec<StorePlan>,
    /// Systems of other people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointPlan>,
    pub places: Vec<PlacePlan>,
    pub services: Vec<ServicePlan>,
    pub faults: Vec<FaultPlan>,
    /// What `[chaos]` has drawn for this seed. Its faults stand among the others, under names with a slash.
    pub chaos: Option<ChaosPlan>,
    pub expectations: Vec<Expectation>,
    pub floors: Vec<FloorPlan>,
}

/// Name of the topic that transaction coordinators keep their states in. Kafka: __transaction_state.
pub const TRANSACTIONS: &str = "__transactions";

impl Plan {
    /// Topics of the file, without those of the queue itself, which come last.
    pub fn own_topics(&self) -> &[TopicPlan] {
        let own = self.topics.iter().take_while(|topic| !topic.name.starts_with("__")).count();
        &self.topics[..own]
    }

    /// Partitions that a topic of the plan may have in the course of a run: it begins with those of its settings.
    pub fn partitions_ever(&self, topic: TopicId) -> u16 {
        let added = self.faults.iter().filter_map(|fault| match fault.action {
            FaultAction::Set(LiveValue::TopicPartitions { topic: of, count }) if of == topic => Some(count),
            _ => None,
        });
        added.fold(self.topics[usize::from(topic.0)].settings.partitions, u16::max)
    }

    /// Services that poll a table.
    pub fn pollers(&self, table: PlaceId) -> impl Iterator<Item = (&ServicePlan, &PollPlan)> {
        self.services.iter().filter_map(move |service| match &service.trigger {
            Trigger::Poll(poll) if poll.table == table => Some((service, poll)),
            Trigger::Poll(_) | Trigger::Requests(_) | Trigger::Consume(_) | Trigger::Called(_) => None,
        })
    }

    /// Absent when no service has transactions of the queue.
    pub fn transactions_topic(&self) -> Option<TopicId> {
        self.topics.iter().rev().find(|topic| topic.name == TRANSACTIONS).map(|topic| topic.id)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClusterPlan {
    /// Brokers are nodes 1..=brokers.
    pub brokers: u16,
    /// Voters of the controller quorum: the first brokers (combined), or nodes of their own.
    pub controllers: Vec<NodeId>,
    /// Time down after a crash without `for`.
    pub restart: Duration,
    pub settings: BrokerSettings,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodePlan {
    pub id: NodeId,
    /// For people: `broker-1`, `billing-2`, `db`, `callers-shop`.
    pub name: String,
    pub kind: NodeKind,
    /// Racks are numbered in the order of the file.
    pub rack: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// Also a controller when its id is among the voters.
    Broker,
    Controller,
    /// One instance, numbered from 1.
    Instance {
        service: ServiceId,
        number: u16,
    },
    /// Index into `stores`.
    Store {
        store: u16,
    },
    /// Index into `endpoints`.
    Endpoint {
        endpoint: u16,
    },
    /// The outside world of a `requests` service.
    Callers {
        service: ServiceId,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkPlan {
    pub default: LinkPlan,
    /// Directed pairs that differ; the last entry for a pair wins. Stores and endpoints have no link latency: theirs is the
    /// round trip.
    pub between: Vec<LinkOverride>,
    /// Which of the seed's sequences latencies of links and disks are drawn from, and the times that services work and wait.
    /// 0 is the one that a scenario has; a run that is to differ from another in how long things take alone has another.
    #[serde(default)]
    pub sequence: u32,
}

impl NetworkPlan {
    /// Name of the stream from which `concern` draws its latencies.
    pub fn stream(&self, concern: &str) -> String {
        match self.sequence {
            0 => concern.to_string(),
            sequence => format!("{concern} in sequence {sequence}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinkPlan {
    /// One way.
    pub latency: Spread,
    /// Share of messages that are retransmitted.
    pub loss: Ratio,
    /// Bytes per second.
    pub bandwidth: Option<ByteCount>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinkOverride {
    pub from: NodeId,
    pub to: NodeId,
    pub link: LinkPlan,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiskPlan {
    pub default: DiskSettings,
    pub on: Vec<(NodeId, DiskSettings)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiskSettings {
    pub write: Spread,
    pub flush: Spread,
    /// When the page cache reaches the disk unasked; `None` is never.
    pub write_back: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TopicPlan {
    pub id: TopicId,
    /// `__offsets` for the offsets topic, which always is the last topic; before it `__transactions`, if there are any.
    pub name: String,
    pub place: PlaceId,
    pub owner: Option<String>,
    pub settings: TopicSettings,
}

/// A consumer group: by default one for each consuming service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroupPlan {
    pub id: GroupId,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StorePlan {
    pub name: String,
    pub node: NodeId,
    pub owner: Option<String>,
    /// Round trip as the caller sees it.
    pub latency: Spread,
    pub timeout: Duration,
    pub errors: Ratio,
    pub lost_requests: Ratio,
    pub lost_answers: Ratio,
}

/// Where effects land and expectations point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlacePlan {
    pub id: PlaceId,
    /// `db.orders`, or the name of an endpoint or a topic.
    pub name: String,
    pub kind: PlaceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// Index into `stores`.
    Table {
        store: u16,
    },
    /// Index into `endpoints`.
    Endpoint {
        endpoint: u16,
    },
    Topic {
        topic: TopicId,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServicePlan {
    pub id: ServiceId,
    pub name: String,
    pub owner: Option<String>,
    /// Nodes of its instances, in order.
    pub instances: Vec<NodeId>,
    /// Events at once in one instance.
    pub workers: u16,
    pub worker_order: WorkerOrder,
    /// Time down after a crash without `for`.
    pub restart: Duration,
    /// Nominal headroom as stated, for reports: capacity of all instances over peak arrival rate, in thousandths.
    pub headroom_thousandths: Option<u64>,
    pub trigger: Trigger,
    pub steps: Vec<StepPlan>,
    /// The last rung is final.
    pub ladder: Vec<Rung>,
    /// Settings of each producer; steps refer to them by index. All publish steps with equal settings share one.
    pub producers: Vec<ProducerSettings>,
    /// Which of the producers is the one with transactions, if the steps have some.
    pub transactional: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerOrder {
    /// Events of one key one after the other.
    #[default]
    Key,
    Any,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    Requests(RequestsPlan),
    Consume(ConsumePlan),
    Called(CalledPlan),
    Poll(PollPlan),
}

/// The outside world of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RequestsPlan {
    /// Node of the callers.
    pub callers: NodeId,
    /// Mean time between two arrivals of events, in nanoseconds as a duration: 1/rate.
    pub interval: Duration,
    pub arrivals: Arrivals,
    pub keys: Keys,
    pub size: ByteCount,
    /// At most this many events.
    pub count: Option<u64>,
    pub caller_timeout: Duration,
    pub caller_attempts: u16,
    pub caller_backoff: Duration,
    #[serde(default)]
    pub caller_id: CallerId,
}

/// Who gives an event the id that programs see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerId {
    /// It is there before the first attempt, and every attempt has it.
    #[default]
    Fixed,
    /// Each attempt gets one of its own: another try looks like another event.
    PerAttempt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// At 0, interval, 2·interval …
    Constant,
    Poisson,
    /// Batches of this many at once, as a Poisson process of batches; the mean rate stays.
    Burst(u32),
    /// A Poisson process whose rate follows the hours: `rate · (1 + amplitude · sin(2π · t / period))`, with t since the load began.
    Diurnal {
        amplitude: Ratio,
        period: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// Uniform among this many.
    Uniform(u64),
    /// Zipf with this exponent in thousandths among `of`.
    Zipf { thousandths: u32, of: u64 },
    /// Every event has a key of its own.
    Unique,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConsumePlan {
    pub group: GroupId,
    pub topics: Vec<TopicId>,
    pub consumer: ConsumerSettings,
    /// Each instance keeps its place in the group over restarts, under a name of its own. KIP-345.
    pub static_membership: bool,
    /// What a commit covers when several workers finish out of order.
    pub commit_of: CommitOf,
    pub on_revoke: OnRevoke,
}

impl ServicePlan {
    /// Topics from which the service reads again what failed, with the time until it does.
    pub fn retry_topics(&self) -> impl Iterator<Item = (TopicId, Duration)> {
        self.ladder.iter().filter_map(|rung| match *rung {
            Rung::RetryTopic { topic, delay, .. } => Some((topic, delay)),
            Rung::Retry { .. } | Rung::Block { .. } | Rung::DeadLetter { .. } => None,
            Rung::Skip | Rung::Refuse | Rung::Crash | Rung::Close => None,
        })
    }

    /// The store and the table that keep the positions of its group, where the group itself does not.
    pub fn keeps_positions(&self) -> Option<(u16, PlaceId)> {
        self.steps.iter().find_map(|step| {
            let Action::Store { store, operations } = &step.action else { return None };
            operations.iter().find_map(|operation| match operation {
                StoreStep::Commit { table } => Some((*store, *table)),
                StoreStep::Insert { .. } | StoreStep::InsertIfAbsent { .. } | StoreStep::Check { .. } => None,
                StoreStep::Confirm { .. } => None,
                StoreStep::Upsert { .. } | StoreStep::Add { .. } => None,
            })
        })
    }
}

impl ConsumePlan {
    /// The settings of the consumer of one instance.
    pub fn settings_of(&self, instance: NodeId) -> ConsumerSettings {
        let group_instance_id = self.static_membership.then_some(InstanceId(instance.0));
        ConsumerSettings { group_instance_id, ..self.consumer.clone() }
    }
}

/// Rows of a table are events: the relay of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PollPlan {
    pub store: u16,
    pub table: PlaceId,
    /// From one poll to the next; not before the rows of the last one are done with.
    pub every: Duration,
    /// Most rows of one poll.
    pub batch: u32,
    pub cursor: Cursor,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitOf {
    #[default]
    Contiguous,
    Highest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRevoke {
    /// Commit what is done, then give the partitions back.
    #[default]
    Commit,
    Abandon,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// In place, the list starts again. A uniform backoff `a..b` doubles from a to b, with jitter.
    Retry {
        times: u32,
        backoff: Spread,
    },
    /// Into another topic of the same group, which reads it again later.
    RetryTopic {
        topic: TopicId,
        producer: u16,
        /// Attempts of an event behind which the next rung acts: those of this rung and of the retry topics before it.
        up_to: u16,
        delay: Duration,
    },
    /// For ever.
    Block {
        backoff: Spread,
    },
    DeadLetter {
        topic: TopicId,
        producer: u16,
        wait: bool,
    },
    Skip,
    Refuse,
    Crash,
    Close,
}

impl Rung {
    /// As the language calls it.
    pub fn verb(&self) -> &'static str {
        match self {
            Rung::Retry { .. } => "retry",
            Rung::RetryTopic { .. } => "retry-topic",
            Rung::Block { .. } => "block",
            Rung::DeadLetter { .. } => "dead-letter",
            Rung::Skip => "skip",
            Rung::Refuse => "refuse",
            Rung::Crash => "crash",
            Rung::Close => "close",
        }
    }
}

// --- expectations ---

/// What must hold of one place, service or of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    Place(PlaceExpectation),
    Service {
        service: ServiceId,
        metric: ServiceMetric,
        bounds: Vec<Bound>,
    },
    /// From arrival to effect.
    Delay {
        place: PlaceId,
        metric: DelayMetric,
        bounds: Vec<Bound>,
    },
    Run {
        metric: RunMetric,
        bounds: Vec<Bound>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlaceExpectation {
    pub place: PlaceId,
    /// As written: the words of delivery, and what is said beside them.
    pub text: String,
    pub loss: Tolerance,
    pub duplicates: Tolerance,
    pub stale: Tolerance,
    pub phantoms: Tolerance,
    pub parked: Tolerance,
    pub pending: Tolerance,
    pub order: OrderExpectation,
    /// Owed by every row of this place instead of every accepted event.
    pub of: Option<PlaceId>,
    pub blame: Option<Boundary>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tolerance {
    None,
    Allowed,
    /// Must be seen in at least one seed.
    Required,
    /// Not judged.
    Any,
    AtMost(Ratio),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderExpectation {
    PerKey,
    /// Must be seen broken in at least one seed.
    Broken,
    #[default]
    Any,
}

/// Whose promise. From the caller to the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    Caller,
    Producer,
    Queue,
    Group,
    Consumer,
    Downstream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceMetric {
    Availability,
    LatencyMean,
    LatencyP50,
    LatencyP95,
    LatencyP99,
    LatencyMax,
    WaitMean,
    WaitP50,
    WaitP95,
    WaitP99,
    WaitMax,
    Recovery,
    EffectiveHeadroom,
    Throughput,
    LagMax,
    AgeMax,
    Rebalances,
}

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Share,
    Seconds,
    Factor,
    PerSecond,
    Bytes,
    Plain,
}

impl ServiceMetric {
    pub fn unit(self) -> Unit {
        match self {
            ServiceMetric::Availability => Unit::Share,
            ServiceMetric::LatencyMean
            | ServiceMetric::LatencyP50
            | ServiceMetric::LatencyP95
            | ServiceMetric::LatencyP99
            | ServiceMetric::LatencyMax
            | ServiceMetric::WaitMean
            | ServiceMetric::WaitP50
            | ServiceMetric::WaitP95
            | ServiceMetric::WaitP99
            | ServiceMetric::WaitMax
            | ServiceMetric::Recovery
            | ServiceMetric::AgeMax => Unit::Seconds,
            ServiceMetric::EffectiveHeadroom => Unit::Factor,
            ServiceMetric::Throughput => Unit::PerSecond,
            ServiceMetric::LagMax | ServiceMetric::Rebalances => Unit::Plain,
        }
    }
}

/// Arrival to first effect, over the events of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DelayMetric {
    DelayMean,
    DelayP50,
    DelayP95,
    DelayP99,
    DelayMax,
}

/// What the system as a whole is, or comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunMetric {
    /// Pairs of an instance and a process that it has asked something: a broker, a store, an endpoint, another instance.
    Connections,
    /// Processes of our own, topics, and settings that somebody wrote down.
    MovingParts,
    /// Events of which what the caller was told and what was done disagree, so that only a person can put it right.
    Unsettled,
    /// Requests that brokers are given while requests arrive: by clients, and by each other.
    BrokerRequests,
    /// Bytes of these and of the answers.
    BrokerBytes,
}

impl RunMetric {
    pub fn unit(self) -> Unit {
        match self {
            RunMetric::BrokerBytes => Unit::Bytes,
            RunMetric::Connections | RunMetric::MovingParts | RunMetric::Unsettled | RunMetric::BrokerRequests => {
                Unit::Plain
            }
        }
    }
}

/// One bound on a measured value. Durations are seconds, shares are 0..=1, the rest plain numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bound {
    /// As written.
    pub text: String,
    pub over: Over,
    pub limit: Limit,
}

/// In every seed, or a statistic over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    Each,
    Mean,
    P50,
    P95,
    P99,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    Below(f64),
    AtMost(f64),
    Above(f64),
    AtLeast(f64),
    Between(f64, f64),
    /// The closed form; without a tolerance (a share) within z = 4.
    Theory {
        tolerance: Option<f64>,
    },
    /// The same runs before their first fault.
    Before {
        tolerance: f64,
    },
    /// Times the value of a sibling cell, given by the value it has on an axis.
    Sibling {
        below: bool,
        factor: f64,
        axis: String,
        value: String,
    },
    /// Not while requests arrived.
    Never,
    Any,
}

/// What must at least have happened, or the run proved nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FloorPlan {
    pub what: FloorMetric,
    pub at_least: u64,
    /// Summed over all seeds rather than in each run.
    pub over_all_seeds: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FloorMetric {
    Accepted,
    Applied,
    Faults,
    LeaderChanges,
    ControllerChanges,
    Rebalances,
    Crashes,
    PowerLosses,
    Retries,
    Redeliveries,
    DeadLetters,
    UnknownOutcomes,
}

//! Faults of a plan: when, at whom, what, for how long; and what `[chaos]` has drawn.

use serde::{Deserialize, Serialize};

use super::{LiveValue, NodeKind, Plan};
use crate::types::request::RequestKind;
use crate::types::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FaultPlan {
    pub id: FaultId,
    pub name: String,
    /// As written, for people.
    pub text: String,
    pub trigger: FaultTrigger,
    pub action: FaultAction,
    /// Heals after this long. A process that is down without it comes back after its own `restart`.
    pub duration: Option<Duration>,
    /// Repeats while the fault lasts.
    pub every: Option<Duration>,
    /// At most this many firings.
    pub times: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultTrigger {
    At(Time0),
    When { state: FaultState, ordinal: Ordinal, delay: Duration },
}

/// An instant of the run, written as a duration.
pub type Time0 = Duration;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ordinal {
    /// These occurrences, counted from 1. `any` has been drawn already.
    These(Vec<u64>),
    Each,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultState {
    /// A step of a service; `side` says where between and inside steps.
    Step {
        side: Side,
        service: ServiceId,
        step: StepSelector,
    },
    Rebalance(GroupId),
    LeaderChange(PartitionSelector),
    InSyncChange(PartitionSelector),
    UnderMinInSync(PartitionSelector),
    AlterPartition(PartitionSelector),
    Lag {
        group: GroupId,
        above: u64,
    },
    Fired(FaultId),
    Healed(FaultId),
    /// An instance of the service has written the first record of a transaction.
    TransactionOpen(ServiceId),
    /// A transaction is decided, and no partition knows yet.
    TransactionPrepared(ServiceId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    Before,
    After,
    Inside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepSelector {
    Index(u16),
    /// Any boundary of the list.
    Any,
    /// Any commit, automatic too.
    Commit,
    /// poll() returned records.
    Poll,
    /// An event of a batch is through, and others of what the instance has polled are not.
    MidBatch,
    /// Any step with an effect on a judged place.
    Effect,
    /// A rung of the ladder.
    Rung(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionSelector {
    pub topic: TopicId,
    /// `None` is any.
    pub partition: Option<u16>,
}

/// Who a fault is aimed at: a role, resolved when the fault fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    Node(NodeId),
    Nodes(Vec<NodeId>),
    Leader(PartitionSelector),
    /// One follower.
    Follower(PartitionSelector),
    Followers(PartitionSelector),
    Replicas(PartitionSelector),
    AnyBroker,
    Brokers,
    Controller,
    Controllers,
    Coordinator(GroupId),
    /// Of the transactions of the service's first instance.
    TransactionCoordinator(ServiceId),
    Owner {
        partition: PartitionSelector,
        group: GroupId,
    },
    /// Where the point was reached.
    Oneself,
    AnyOf(u16, Box<Target>),
    /// Every process that no other target of the fault names.
    Rest,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LinkTarget {
    pub from: Target,
    pub to: Target,
    pub both_ways: bool,
    /// Only requests of this kind, with their responses.
    pub kind: Option<RequestKind>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultAction {
    Crash(Target),
    LosePower(Target),
    Wipe(Target),
    Restart {
        target: Target,
        rolling: bool,
    },
    Pause(Target),
    /// Times as slow, in thousandths.
    Slow {
        target: Target,
        thousandths: u64,
    },
    StallDisk(Target),
    SlowDisk {
        target: Target,
        thousandths: u64,
    },
    /// No space is left: what needs room fails, what gives room back does not.
    FillDisk(Target),
    FailDisk(Target),
    /// A batch on the medium has changed. The page cache hides it until power is lost; then recovery cuts the log there.
    Rot(Target),
    Cut(LinkTarget),
    Isolate(Target),
    Delay {
        link: LinkTarget,
        by: Spread,
    },
    Drop {
        link: LinkTarget,
        rate: Ratio,
    },
    Throttle {
        link: LinkTarget,
        bytes_per_second: ByteCount,
    },
    Reset(LinkTarget),
    /// While it lasts, each message breaks its connection with this chance, and is lost with it.
    ResetShare {
        link: LinkTarget,
        rate: Ratio,
    },
    /// Wall clock; `false` is backwards.
    Skew {
        target: Target,
        by: Duration,
        forwards: bool,
    },
    /// Wall clock, for good: what a clock does when it is set.
    Jump {
        target: Target,
        by: Duration,
        forwards: bool,
    },
    HoldMetadata(Target),
    /// `None`: every partition.
    ElectPreferred {
        topic: TopicId,
        partition: Option<u16>,
    },
    /// The replicas of a partition move to these brokers, the preferred leader first.
    Reassign {
        partition: TopicPartition,
        to: Vec<NodeId>,
    },
    Rebalance(GroupId),
    ExpireOffsets(GroupId),
    EnforceRetention(TopicId),
    Compact(TopicId),
    DeleteRecords(TopicId),
    /// The message that each of these instances took last is given to it once more.
    Redeliver(Target),
    /// Dead letters of a service go back whence they came.
    Redrive {
        service: ServiceId,
        from: TopicId,
        to: TopicId,
        group: GroupId,
    },
    /// A key has another value.
    Set(LiveValue),
    /// At least this share of the attempts in every `work` of a service fails.
    Fail {
        service: ServiceId,
        rate: Ratio,
    },
    /// The next so many events that arrive at a `requests` service fail in every `work`, always.
    Poison {
        origin: ServiceId,
        events: u32,
    },
    /// From now on poison does this service no harm, whether it came from a fault or stands in its `work`.
    Repair(ServiceId),
}

impl FaultPlan {
    /// Drawn by `[chaos]`: no name in a file has a slash. The budget binds these faults and no others.
    pub fn is_drawn(&self) -> bool {
        self.name.contains('/')
    }

    /// By what is done and by what kind of process it is done to.
    pub fn family(&self, plan: &Plan) -> FaultFamily {
        match &self.action {
            FaultAction::Crash(target) | FaultAction::Pause(target) | FaultAction::Slow { target, .. } => {
                if target.is_store(plan) {
                    FaultFamily::Store
                } else if target.is_endpoint(plan) {
                    FaultFamily::Endpoint
                } else {
                    FaultFamily::Process
                }
            }
            FaultAction::Restart { target, .. } if target.is_store(plan) => FaultFamily::Store,
            FaultAction::Restart { target, .. } if target.is_endpoint(plan) => FaultFamily::Endpoint,
            FaultAction::Restart { target, .. } if target.is_instance(plan) => FaultFamily::Group,
            FaultAction::Restart { .. } => FaultFamily::Process,
            FaultAction::LosePower(_) | FaultAction::Wipe(_) => FaultFamily::Power,
            FaultAction::StallDisk(_)
            | FaultAction::SlowDisk { .. }
            | FaultAction::FillDisk(_)
            | FaultAction::FailDisk(_)
            | FaultAction::Rot(_) => FaultFamily::Disk,
            FaultAction::Cut(_)
            | FaultAction::Isolate(_)
            | FaultAction::Delay { .. }
            | FaultAction::Drop { .. }
            | FaultAction::Throttle { .. }
            | FaultAction::Reset(_)
            | FaultAction::ResetShare { .. } => FaultFamily::Network,
            FaultAction::Skew { .. } | FaultAction::Jump { .. } => FaultFamily::Clock,
            FaultAction::HoldMetadata(_)
            | FaultAction::ElectPreferred { .. }
            | FaultAction::Reassign { .. }
            | FaultAction::EnforceRetention(_)
            | FaultAction::Compact(_)
            | FaultAction::DeleteRecords(_) => FaultFamily::Cluster,
            FaultAction::Rebalance(_) | FaultAction::ExpireOffsets(_) => FaultFamily::Group,
            FaultAction::Redeliver(_) | FaultAction::Redrive { .. } => FaultFamily::Redelivery,
            FaultAction::Set(value) => value.family(),
            FaultAction::Fail { .. } | FaultAction::Poison { .. } | FaultAction::Repair(_) => FaultFamily::Poison,
        }
    }
}

impl Target {
    fn is_store(&self, plan: &Plan) -> bool {
        self.all_are(plan, |kind| matches!(kind, NodeKind::Store { .. }))
    }

    fn is_endpoint(&self, plan: &Plan) -> bool {
        self.all_are(plan, |kind| matches!(kind, NodeKind::Endpoint { .. }))
    }

    /// Whether only instances of services can be meant.
    pub fn is_instance(&self, plan: &Plan) -> bool {
        matches!(self, Target::Owner { .. } | Target::Oneself)
            || self.all_are(plan, |kind| matches!(kind, NodeKind::Instance { .. }))
    }

    /// Whether a wrong clock means something to somebody who can be meant.
    pub fn reads_a_clock(&self, plan: &Plan) -> bool {
        !self.all_are(plan, |kind| matches!(kind, NodeKind::Endpoint { .. } | NodeKind::Callers { .. }))
    }

    /// Whether only processes of the queue can be meant: nobody else has a disk.
    pub fn has_a_disk(&self, plan: &Plan) -> bool {
        self.all_are(plan, |kind| matches!(kind, NodeKind::Broker | NodeKind::Controller))
    }

    /// Whether only brokers can be meant: nobody else applies metadata.
    pub fn applies_metadata(&self, plan: &Plan) -> bool {
        self.all_are(plan, |kind| matches!(kind, NodeKind::Broker))
    }

    /// Whether whoever can be meant is of this kind.
    fn all_are(&self, plan: &Plan, fits: fn(NodeKind) -> bool) -> bool {
        let is = |id: &NodeId| plan.nodes.iter().any(|node| node.id == *id && fits(node.kind));
        match self {
            Target::Node(node) => is(node),
            Target::Nodes(nodes) => !nodes.is_empty() && nodes.iter().all(is),
            Target::AnyOf(_, set) => set.all_are(plan, fits),
            Target::Leader(_)
            | Target::Follower(_)
            | Target::Followers(_)
            | Target::Replicas(_)
            | Target::AnyBroker
            | Target::Brokers
            | Target::Coordinator(_)
            | Target::TransactionCoordinator(_) => fits(NodeKind::Broker),
            Target::Controller | Target::Controllers => plan.cluster.controllers.iter().all(is),
            Target::Owner { .. } | Target::Oneself | Target::Rest => false,
        }
    }
}

/// What `[chaos]` has drawn for one seed: every knob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ChaosPlan {
    pub profile: ChaosProfile,
    /// Its faults fire in `[from, until)` of the load phase; what its trigger asks for outside is refused.
    pub from: Time0,
    pub until: Time0,
    /// `None` is no limit at all.
    pub budget: Option<Budget>,
    /// The families that are on, with the intensities of this seed.
    pub families: Vec<ChaosFamily>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChaosProfile {
    #[default]
    Light,
    Heavy,
    /// Each family on or off for each seed, intensities redrawn.
    Swarm,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ChaosFamily {
    pub family: FaultFamily,
    /// Mean time between two incidents.
    pub interval: Duration,
    pub length: Spread,
}

/// What may be wrong at once. Kept by the world when a drawn fault fires, for only the world knows who has which role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Budget {
    /// Brokers crashed, paused, cut off or without a disk, and those that lost power until their in-sync sets are whole.
    pub brokers_down: u16,
    /// Brokers that lost power or their disk and are not yet back in all their in-sync sets.
    pub lossy: u16,
    pub controllers_down: u16,
    /// For each service, in the order of the plan.
    pub instances_down: Vec<u16>,
    pub longest: Duration,
}

/// What kind of thing goes wrong: what `[chaos]` switches on and off, and what a sweep reports as reached or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultFamily {
    Process,
    Power,
    Disk,
    Network,
    Clock,
    Cluster,
    Group,
    Store,
    Endpoint,
    Load,
    Poison,
    Redelivery,
}

impl FaultFamily {
    /// As a file writes it.
    pub fn name(self) -> &'static str {
        match self {
            FaultFamily::Process => "process",
            FaultFamily::Power => "power",
            FaultFamily::Disk => "disk",
            FaultFamily::Network => "network",
            FaultFamily::Clock => "clock",
            FaultFamily::Cluster => "cluster",
            FaultFamily::Group => "group",
            FaultFamily::Store => "store",
            FaultFamily::Endpoint => "endpoint",
            FaultFamily::Load => "load",
            FaultFamily::Poison => "poison",
            FaultFamily::Redelivery => "redelivery",
        }
    }

    pub const ALL: [FaultFamily; 12] = [
        FaultFamily::Process,
        FaultFamily::Power,
        FaultFamily::Disk,
        FaultFamily::Network,
        FaultFamily::Clock,
        FaultFamily::Cluster,
        FaultFamily::Group,
        FaultFamily::Store,
        FaultFamily::Endpoint,
        FaultFamily::Load,
        FaultFamily::Poison,
        FaultFamily::Redelivery,
    ];
}

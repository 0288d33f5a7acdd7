//! When a fault fires, how often, and for how long. What it does to the world is `World::apply`, its only door.

use crate::scenario::plan::*;
use crate::types::note::{GroupState, Note};
use crate::types::record::TransactionState;
use crate::types::*;

use super::roles::{Roles, selects};

/// A fault of the plan with what has happened to it so far.
pub struct Armed {
    pub plan: FaultPlan,
    occurrences: u64,
    pub fired: u32,
    /// Was the watched condition true at the last look (for conditions that last, such as lag)?
    held: bool,
}

/// A fault that is in force.
pub struct Active {
    pub fault: FaultId,
    pub nodes: Vec<NodeId>,
    pub peers: Vec<NodeId>,
    /// Until when it repeats and lasts; `None` when a process comes back by itself.
    pub until: Option<Time>,
    pub healed: bool,
}

/// A trigger that was met.
pub struct Met {
    pub fault: FaultId,
    pub delay: Duration,
    pub oneself: Option<NodeId>,
}

impl Armed {
    pub fn new(plan: FaultPlan) -> Armed {
        Armed { plan, occurrences: 0, fired: 0, held: false }
    }

    pub fn at(&self) -> Option<Time> {
        match &self.plan.trigger {
            FaultTrigger::At(instant) => Some(Time::LOAD_START + *instant),
            FaultTrigger::When { .. } => None,
        }
    }

    /// Whether a note can still meet its trigger.
    pub fn watches_notes(&self) -> bool {
        match &self.plan.trigger {
            FaultTrigger::At(_) | FaultTrigger::When { state: FaultState::Fired(_) | FaultState::Healed(_), .. } => {
                false
            }
            FaultTrigger::When { ordinal: Ordinal::Each, .. } => true,
            FaultTrigger::When { ordinal: Ordinal::These(numbers), .. } => {
                numbers.iter().any(|number| self.occurrences < *number)
            }
        }
    }

    /// Looks at one note. `node` said it.
    pub fn observe(&mut self, node: NodeId, note: &Note, plan: &Plan, roles: &Roles) -> Option<Met> {
        let FaultTrigger::When { state, ordinal, delay } = &self.plan.trigger else { return None };
        let oneself = match state {
            FaultState::Step { service, step: StepSelector::MidBatch, .. } => match note {
                Note::FlowDone { service: other, .. } if other == service && 1 < roles.unfinished(node) => Some(node),
                _ => return None,
            },
            FaultState::Step { side, service, step } => Some(at_step(*side, *service, *step, node, note, plan)?),
            FaultState::Rebalance(group) => match note {
                Note::GroupChanged {
                    group: other,
                    state: GroupState::PreparingRebalance | GroupState::Reconciling,
                    ..
                } if other == group => None,
                _ => return None,
            },
            FaultState::LeaderChange(selector) => match note {
                Note::PartitionChanged { partition, state, .. } if selects(*selector, *partition) => {
                    let before = roles.partitions.get(partition).and_then(|before| before.leader);
                    if state.leader.is_none() || state.leader == before {
                        return None;
                    }
                    None
                }
                _ => return None,
            },
            FaultState::InSyncChange(selector) => match note {
                Note::PartitionChanged { partition, state, .. } if selects(*selector, *partition) => {
                    let before = roles.partitions.get(partition)?;
                    if before.in_sync_replicas == state.in_sync_replicas {
                        return None;
                    }
                    None
                }
                _ => return None,
            },
            FaultState::UnderMinInSync(selector) => match note {
                Note::PartitionChanged { partition, state, .. } if selects(*selector, *partition) => {
                    let minimum = plan.topics[partition.topic.0 as usize].settings.min_insync_replicas as usize;
                    let before = roles.partitions.get(partition)?;
                    if before.in_sync_replicas.len() < minimum || minimum <= state.in_sync_replicas.len() {
                        return None;
                    }
                    None
                }
                _ => return None,
            },
            FaultState::AlterPartition(selector) => match note {
                Note::InSyncProposed { partition, .. } if selects(*selector, *partition) => None,
                _ => return None,
            },
            FaultState::Lag { group, above } => {
                if !matches!(note, Note::HighWatermark { as_leader: true, .. } | Note::Polled { .. }) {
                    return None;
                }
                let holds = *above < roles.lag(*group);
                let begins = holds && !self.held;
                self.held = holds;
                if !begins {
                    return None;
                }
                None
            }
            FaultState::TransactionOpen(service) | FaultState::TransactionPrepared(service) => {
                let Note::TransactionChanged { record, .. } = note else { return None };
                let instance = NodeId(record.id.0);
                let is_open = matches!(state, FaultState::TransactionOpen(_));
                let meant = match record.state {
                    TransactionState::Ongoing => is_open,
                    TransactionState::PrepareCommit | TransactionState::PrepareAbort => !is_open,
                    TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                        false
                    }
                };
                if !meant || !plan.services[service.0 as usize].instances.contains(&instance) {
                    return None;
                }
                Some(instance)
            }
            FaultState::Fired(_) | FaultState::Healed(_) => return None,
        };
        self.occurrences += 1;
        counts(ordinal, self.occurrences).then_some(Met { fault: self.plan.id, delay: *delay, oneself })
    }

    /// Looks at another fault's firing or healing.
    pub fn observe_fault(&mut self, other: FaultId, healed: bool) -> Option<Met> {
        let FaultTrigger::When { state, ordinal, delay } = &self.plan.trigger else { return None };
        let meant = match state {
            FaultState::Fired(fault) => *fault == other && !healed,
            FaultState::Healed(fault) => *fault == other && healed,
            _ => false,
        };
        if !meant {
            return None;
        }
        self.occurrences += 1;
        counts(ordinal, self.occurrences).then_some(Met { fault: self.plan.id, delay: *delay, oneself: None })
    }
}

fn counts(ordinal: &Ordinal, occurrence: u64) -> bool {
    match ordinal {
        Ordinal::These(numbers) => numbers.contains(&occurrence),
        Ordinal::Each => true,
    }
}

/// The instance that stands at the point, when the note says that one does.
fn at_step(
    side: Side,
    service: ServiceId,
    selector: StepSelector,
    node: NodeId,
    note: &Note,
    plan: &Plan,
) -> Option<NodeId> {
    let steps = &plan.services[service.0 as usize].steps;
    let chosen = |step: u16| match selector {
        StepSelector::Index(index) => index == step,
        StepSelector::Any => true,
        StepSelector::Commit => steps[step as usize].commits(),
        StepSelector::Poll | StepSelector::MidBatch | StepSelector::Rung(_) => false,
        StepSelector::Effect => has_judged_effect(&steps[step as usize].action, plan),
    };
    let by_consumer =
        |kind: StepSelector| selector == kind && plan.services[service.0 as usize].instances.contains(&node);
    let rung_topic = |rung: u16| match plan.services[service.0 as usize].ladder.get(usize::from(rung)) {
        Some(Rung::DeadLetter { topic, .. } | Rung::RetryTopic { topic, .. }) => Some(*topic),
        _ => None,
    };
    match (side, note) {
        (Side::Before, Note::RungReached { service: other, rung, .. })
            if *other == service && selector == StepSelector::Rung(*rung) =>
        {
            Some(node)
        }
        (Side::Before, Note::StepReached { service: other, step, .. }) if *other == service && chosen(*step) => {
            Some(node)
        }
        (Side::After, Note::StepDone { service: other, step, .. }) if *other == service && chosen(*step) => Some(node),
        (Side::Inside, Note::StepExecuted { service: other, step, caller, .. })
            // A commit to a store has said so already.
            if *other == service && chosen(*step) && selector != StepSelector::Commit =>
        {
            Some(*caller)
        }
        (Side::After, Note::Polled { .. } | Note::RowsPolled { .. }) if by_consumer(StepSelector::Poll) => Some(node),
        // Automatic commits are no step of the list.
        (Side::Before, Note::CommitSent { .. }) if by_consumer(StepSelector::Commit) && !commits_by_step(steps) => {
            Some(node)
        }
        (Side::After, Note::CommitAnswered { .. }) if by_consumer(StepSelector::Commit) && !commits_by_step(steps) => {
            Some(node)
        }
        (Side::Inside, Note::OffsetCommitted { by, .. })
            if plan.services[service.0 as usize].instances.contains(by) =>
        {
            let commits = |(index, step): (usize, &StepPlan)| {
                matches!(step.action, Action::Commit { .. }) && chosen(index as u16)
            };
            let meant = selector == StepSelector::Commit || steps.iter().enumerate().any(commits);
            meant.then_some(*by)
        }
        // Decided: the producer of the instance is not told yet.
        (Side::Inside, Note::TransactionChanged { record, .. })
            if record.state == TransactionState::PrepareCommit
                && plan.services[service.0 as usize].instances.contains(&NodeId(record.id.0)) =>
        {
            let ends = |(index, step): (usize, &StepPlan)| {
                matches!(step.action, Action::EndTransaction) && chosen(index as u16)
            };
            let meant = selector == StepSelector::Commit || steps.iter().enumerate().any(ends);
            meant.then_some(NodeId(record.id.0))
        }
        (Side::Inside, Note::ProduceAnswered { partition, to, .. })
            if plan.services[service.0 as usize].instances.contains(to) =>
        {
            let publishes = |(index, step): (usize, &StepPlan)| {
                matches!(step.action, Action::Publish { topic, .. } if topic == partition.topic) && chosen(index as u16)
            };
            let meant = match selector {
                StepSelector::Rung(rung) => rung_topic(rung) == Some(partition.topic),
                _ => steps.iter().enumerate().any(publishes),
            };
            meant.then_some(*to)
        }
        _ => None,
    }
}

fn commits_by_step(steps: &[StepPlan]) -> bool {
    steps.iter().any(StepPlan::commits)
}

fn has_judged_effect(action: &Action, plan: &Plan) -> bool {
    // A place that may lose and repeat at will, such as a table of markers, is a means.
    let judged = |place: PlaceId| {
        plan.expectations.iter().any(|expectation| match expectation {
            Expectation::Place(expected) => {
                expected.place == place && (expected.loss, expected.duplicates) != (Tolerance::Any, Tolerance::Any)
            }
            Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => false,
        })
    };
    match action {
        Action::Store { operations, .. } => operations.iter().any(|operation| match operation {
            StoreStep::Insert { table, .. }
            | StoreStep::InsertIfAbsent { table, .. }
            | StoreStep::Upsert { table, .. }
            | StoreStep::Add { table, .. } => judged(*table),
            StoreStep::Check { .. } | StoreStep::Confirm { .. } | StoreStep::Commit { .. } => false,
        }),
        Action::Publish { topic, .. } => judged(plan.topics[topic.0 as usize].place),
        Action::Call(call) => match call.to {
            Callee::Endpoint(endpoint) => judged(plan.endpoints[usize::from(endpoint)].place),
            Callee::Service(_) => false,
        },
        Action::Work { .. } | Action::Commit { .. } | Action::StoreOffset | Action::Respond => false,
        Action::BeginTransaction | Action::SendOffsets { .. } | Action::EndTransaction => false,
    }
}

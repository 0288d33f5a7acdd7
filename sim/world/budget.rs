//! What may be wrong at once: a fault that `[chaos]` drew is refused when its scenario's budget has no room for it.
//!
//! Only here it can be decided, when the roles of its target are known and what is down already, whoever took it down:
//! faults of the file count, and so does the time in which a process starts again. A refusal is an event of the
//! history. A broker that lost power or its disk counts as down until it has registered anew and is in every in-sync set of
//! its partitions: what it may have lost is nowhere else to be missed before that. A set that it is in under its old
//! registration says nothing, since a change that was under way may still admit it. And it may lose power only while its
//! in-sync sets are whole and no other broker is still known under a registration that ended in a crash: nothing tells the
//! controller that the other's pages survived, so that it may prefer the one that lost them (KIP-966, unclean shutdown). A
//! voter loses its disk only while the quorum survives it (`voters.rs`); its pages it may lose, since it flushes before it answers.

use std::collections::BTreeMap;

use crate::history::Refusal;
use crate::scenario::plan::*;
use crate::types::*;

use super::pump::World;

/// Brokers that stopped without order and are not back yet under a new registration.
#[derive(Default)]
pub struct Unclean(BTreeMap<NodeId, UncleanStop>);

#[derive(Clone, Copy)]
struct UncleanStop {
    /// Under which it ran.
    registration: Option<BrokerEpoch>,
    /// It lost its pages or its disk too.
    is_lossy: bool,
}

impl World<'_> {
    /// Why the budget does not let this fault happen now.
    pub(super) fn refusal(&mut self, plan: &FaultPlan, nodes: &[NodeId], peers: &[NodeId]) -> Option<Refusal> {
        let chaos = self.plan.chaos.as_ref().filter(|_| plan.is_drawn())?;
        let load_time = self.now.since(Time::LOAD_START);
        if load_time < chaos.from || chaos.until <= load_time {
            return Some(Refusal::OutsideWindow);
        }
        let budget = chaos.budget.clone()?;
        self.forget_who_is_back();
        let hit = silenced(&plan.action, nodes, peers);
        let is_lossy = matches!(plan.action, FaultAction::LosePower(_) | FaultAction::Wipe(_));
        let counted = |is_of_kind: &dyn Fn(NodeId) -> bool| {
            let all = self.plan.nodes.iter().map(|node| node.id).filter(|node| is_of_kind(*node));
            all.filter(|node| hit.contains(node) || self.is_out(*node)).count()
        };
        let exceeds = |is_of_kind: &dyn Fn(NodeId) -> bool, most: u16| {
            hit.iter().any(|node| is_of_kind(*node)) && usize::from(most) < counted(is_of_kind)
        };
        if exceeds(&|node| self.is_broker(node), budget.brokers_down) {
            return Some(Refusal::BrokersDown);
        }
        if exceeds(&|node| self.plan.cluster.controllers.contains(&node), budget.controllers_down) {
            return Some(Refusal::ControllersDown);
        }
        for (service, most) in self.plan.services.iter().zip(&budget.instances_down) {
            if exceeds(&|node| service.instances.contains(&node), *most) {
                return Some(Refusal::InstancesDown);
            }
        }
        if is_lossy {
            let losing = hit.iter().filter(|node| self.is_broker(**node) && !self.has_lost(**node)).count();
            let lost = self.unclean.0.values().filter(|stop| stop.is_lossy).count();
            let others = self.unclean.0.iter().filter(|(node, stop)| !stop.is_lossy && !hit.contains(node));
            let whole = self.roles.partitions.values().all(|state| {
                let is_hit = state.replicas.iter().any(|replica| hit.contains(replica));
                let lacks = |replica: &&NodeId| !state.in_sync_replicas.contains(replica) && !self.has_lost(**replica);
                !is_hit || !state.replicas.iter().any(|replica| lacks(&replica))
            });
            if usize::from(budget.lossy) < losing + lost || !whole || 0 < others.count() {
                return Some(Refusal::Lossy);
            }
        }
        let is_wipe = matches!(plan.action, FaultAction::Wipe(_));
        if is_wipe && !self.roles.quorum.survive_without(&self.plan.cluster.controllers, hit) {
            return Some(Refusal::Lossy);
        }
        None
    }

    /// A process is gone without order; `is_lossy`: with what only its page cache or its disk had.
    pub(super) fn note_unclean_stop(&mut self, node: NodeId, is_lossy: bool) {
        if is_lossy {
            self.roles.quorum.forget(node);
        }
        if self.is_broker(node) {
            let registration = self.roles.broker_epochs.get(&node).copied();
            let is_lossy = is_lossy || self.has_lost(node);
            self.unclean.0.insert(node, UncleanStop { registration, is_lossy });
        }
    }

    fn has_lost(&self, node: NodeId) -> bool {
        self.unclean.0.get(&node).is_some_and(|stop| stop.is_lossy)
    }

    fn forget_who_is_back(&mut self) {
        let roles = &self.roles;
        self.unclean.0.retain(|node, stop| {
            let is_anew = stop.registration < roles.broker_epochs.get(node).copied();
            let mut states = roles.partitions.values().filter(|state| state.replicas.contains(node));
            !is_anew || !states.all(|state| state.in_sync_replicas.contains(node))
        });
    }

    fn is_broker(&self, node: NodeId) -> bool {
        1 <= node.0 && node.0 <= self.plan.cluster.brokers
    }

    /// Down, paused, cut off, without its disk, or not yet whole again.
    fn is_out(&self, node: NodeId) -> bool {
        let own = &self.nodes[usize::from(node.0)];
        own.process.is_none()
            || 0 < own.paused
            || own.stopping.is_some()
            || self.has_lost(node)
            || self.active.iter().filter(|active| !active.healed).any(|active| {
                let action = &self.armed[usize::from(active.fault.0)].plan.action;
                silenced(action, &active.nodes, &active.peers).contains(&node)
            })
    }
}

/// Whom a fault takes out of the system while it lasts. Of a broken link it is one side: the smaller one, the first of two
/// that are equal.
fn silenced<'a>(action: &FaultAction, nodes: &'a [NodeId], peers: &'a [NodeId]) -> &'a [NodeId] {
    match action {
        FaultAction::Crash(_)
        | FaultAction::LosePower(_)
        | FaultAction::Wipe(_)
        | FaultAction::Restart { .. }
        | FaultAction::Pause(_)
        | FaultAction::Slow { .. }
        | FaultAction::StallDisk(_)
        | FaultAction::FillDisk(_)
        | FaultAction::FailDisk(_)
        | FaultAction::HoldMetadata(_)
        | FaultAction::Isolate(_)
        | FaultAction::Set(LiveValue::Instances { .. }) => nodes,
        FaultAction::Cut(_) | FaultAction::Drop { .. } | FaultAction::Throttle { .. } => {
            if peers.len() < nodes.len() {
                peers
            } else {
                nodes
            }
        }
        FaultAction::SlowDisk { .. }
        | FaultAction::Delay { .. }
        | FaultAction::Reset(_)
        | FaultAction::ResetShare { .. }
        | FaultAction::Skew { .. }
        | FaultAction::Rot(_)
        | FaultAction::ElectPreferred { .. }
        | FaultAction::Reassign { .. }
        | FaultAction::Rebalance(_)
        | FaultAction::ExpireOffsets(_)
        | FaultAction::EnforceRetention(_)
        | FaultAction::Compact(_)
        | FaultAction::DeleteRecords(_)
        | FaultAction::Redeliver(_)
        | FaultAction::Redrive { .. }
        | FaultAction::Jump { .. }
        | FaultAction::Set(_)
        | FaultAction::Fail { .. }
        | FaultAction::Poison { .. }
        | FaultAction::Repair(_) => &[],
    }
}

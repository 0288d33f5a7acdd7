//! The one door through which anything goes wrong. Every fault that passes is an event of the history, with the nodes
//! that its roles resolved to; every fault that lasts is healed, at its own end or at the end of the load.

use std::sync::Arc;

use crate::history::{Happening, Refusal, StopReason};
use crate::scenario::plan::*;
use crate::types::random::combine;
use crate::types::*;

use super::faults::Active;
use super::pump::{Scheduled, World};

/// Between two restarts of a rolling restart, so that the first is back in its in-sync sets.
pub const ROLLING_PAUSE: Duration = Duration::from_secs(10);
/// `retry.backoff.ms` of Kafka's admin client.
const ADMIN_RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// Whether a fault begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Begin,
    End,
}

impl World<'_> {
    pub(super) fn fire(&mut self, fault: FaultId, oneself: Option<NodeId>) {
        if self.load_ended {
            return;
        }
        let armed = &self.armed[fault.0 as usize];
        if armed.plan.times.is_some_and(|times| times <= armed.fired) {
            return;
        }
        let (plan, firing) = (armed.plan.clone(), armed.fired + 1);
        let (nodes, peers) = self.resolve(&plan, firing, oneself);
        if let Some(why) = self.refusal(&plan, &nodes, &peers).or_else(|| self.refusal_of_handlers(&plan, &nodes)) {
            self.record(NodeId(0), Happening::FaultRefused { fault, nodes, why });
            return;
        }
        self.armed[fault.0 as usize].fired = firing;
        self.record(NodeId(0), Happening::FaultFired { fault, nodes: nodes.clone(), peers: peers.clone() });
        let until = plan.duration.map(|length| self.now + length);
        let index = self.active.len();
        self.active.push(Active { fault, nodes, peers, until, healed: false });
        if let Some(until) = until {
            self.schedule(until, Scheduled::Heal { active: index });
        }
        if let Some(every) = plan.every {
            self.schedule(self.now + every, Scheduled::Repeat { active: index });
        }
        self.apply(index, Turn::Begin);
        let met = self.armed.iter_mut().filter_map(|armed| armed.observe_fault(fault, false)).collect();
        self.trigger(met);
    }

    /// What cannot be done to a service that is programmed in Rust is said, and not left undone in silence.
    fn refusal_of_handlers(&self, plan: &FaultPlan, nodes: &[NodeId]) -> Option<Refusal> {
        let is_handled = |node: &NodeId| match self.nodes[usize::from(node.0)].kind {
            Some(NodeKind::Instance { service, .. }) => self.handlers.of(&self.plan, service).is_some(),
            Some(
                NodeKind::Broker
                | NodeKind::Controller
                | NodeKind::Store { .. }
                | NodeKind::Endpoint { .. }
                | NodeKind::Callers { .. },
            )
            | None => false,
        };
        let is_of_the_program = matches!(
            plan.action,
            FaultAction::Redeliver(_)
                | FaultAction::Redrive { .. }
                | FaultAction::Fail { .. }
                | FaultAction::Repair(_)
                | FaultAction::Set(LiveValue::Work { .. })
        );
        (is_of_the_program && nodes.iter().any(is_handled)).then_some(Refusal::Handler)
    }

    pub(super) fn heal(&mut self, index: usize) {
        if std::mem::replace(&mut self.active[index].healed, true) {
            return;
        }
        let fault = self.active[index].fault;
        self.apply(index, Turn::End);
        if self.active[index].until.is_some() {
            self.record(NodeId(0), Happening::FaultHealed { fault });
            let met = self.armed.iter_mut().filter_map(|armed| armed.observe_fault(fault, true)).collect();
            if !self.load_ended {
                self.trigger(met);
            }
        }
    }

    /// An instantaneous fault that repeats while it lasts.
    pub(super) fn repeat(&mut self, index: usize) {
        let active = &self.active[index];
        let (fault, until) = (active.fault, active.until);
        let over = active.healed || until.is_some_and(|until| until <= self.now) || self.load_ended;
        let armed = &mut self.armed[fault.0 as usize];
        if over || armed.plan.times.is_some_and(|times| times <= armed.fired) {
            return;
        }
        armed.fired += 1;
        let (plan, firing) = (armed.plan.clone(), armed.fired);
        let (nodes, peers) = self.resolve(&plan, firing, None);
        self.record(NodeId(0), Happening::FaultFired { fault, nodes: nodes.clone(), peers: peers.clone() });
        self.active[index].nodes = nodes;
        self.active[index].peers = peers;
        self.apply(index, Turn::Begin);
        if let Some(every) = plan.every {
            self.schedule(self.now + every, Scheduled::Repeat { active: index });
        }
    }

    /// Restarts the next node of a rolling restart.
    pub(super) fn roll(&mut self, index: usize, next: usize) {
        let Some(node) = self.active[index].nodes.get(next).copied() else { return };
        if self.load_ended {
            return;
        }
        let stay_down = self.plan_of(index).duration.unwrap_or_else(|| self.restart_time(node));
        self.schedule(self.now, Scheduled::Stop { node, stay_down });
        self.schedule(self.now + stay_down + ROLLING_PAUSE, Scheduled::Roll { active: index, next: next + 1 });
    }

    fn resolve(&mut self, plan: &FaultPlan, firing: u32, oneself: Option<NodeId>) -> (Vec<NodeId>, Vec<NodeId>) {
        let all: Vec<NodeId> = self.plan.nodes.iter().map(|node| node.id).collect();
        let mut draw = self.fault_draws.at(combine(u64::from(plan.id.0), u64::from(firing)));
        match &plan.action {
            FaultAction::Crash(target)
            | FaultAction::LosePower(target)
            | FaultAction::Wipe(target)
            | FaultAction::Restart { target, .. }
            | FaultAction::Pause(target)
            | FaultAction::Slow { target, .. }
            | FaultAction::StallDisk(target)
            | FaultAction::SlowDisk { target, .. }
            | FaultAction::FillDisk(target)
            | FaultAction::FailDisk(target)
            | FaultAction::Rot(target)
            | FaultAction::Skew { target, .. }
            | FaultAction::Jump { target, .. }
            | FaultAction::HoldMetadata(target)
            | FaultAction::Redeliver(target) => (self.roles.resolve(target, oneself, &all, &mut draw), Vec::new()),
            FaultAction::Isolate(target) => {
                let nodes = self.roles.resolve(target, oneself, &all, &mut draw);
                let peers = all.into_iter().filter(|node| !nodes.contains(node)).collect();
                (nodes, peers)
            }
            FaultAction::Cut(link)
            | FaultAction::Reset(link)
            | FaultAction::ResetShare { link, .. }
            | FaultAction::Delay { link, .. }
            | FaultAction::Drop { link, .. }
            | FaultAction::Throttle { link, .. } => {
                let mut from = self.roles.resolve(&link.from, oneself, &all, &mut draw);
                let mut to = self.roles.resolve(&link.to, oneself, &all, &mut draw);
                if link.from == Target::Rest {
                    from.retain(|node| !to.contains(node));
                }
                if link.to == Target::Rest {
                    to.retain(|node| !from.contains(node));
                }
                (from, to)
            }
            FaultAction::ElectPreferred { .. }
            | FaultAction::Reassign { .. }
            | FaultAction::Set(LiveValue::TopicPartitions { .. }) => {
                (self.roles.controller.into_iter().collect(), Vec::new())
            }
            FaultAction::Rebalance(group) | FaultAction::ExpireOffsets(group) => {
                (self.roles.resolve(&Target::Coordinator(*group), oneself, &all, &mut draw), Vec::new())
            }
            FaultAction::EnforceRetention(_) | FaultAction::Compact(_) | FaultAction::DeleteRecords(_) => {
                (self.roles.resolve(&Target::Brokers, oneself, &all, &mut draw), Vec::new())
            }
            FaultAction::Redrive { service, .. } => {
                let instances = &self.plan.services[usize::from(service.0)].instances;
                let runs = |node: &&NodeId| self.nodes[usize::from(node.0)].process.is_some();
                let one = instances.iter().find(runs).or(instances.first());
                (one.copied().into_iter().collect(), Vec::new())
            }
            FaultAction::Set(value) => (value.nodes(&self.plan), Vec::new()),
            FaultAction::Poison { origin, .. } => (callers_of(&self.plan, *origin), Vec::new()),
            FaultAction::Fail { service, .. } | FaultAction::Repair(service) => {
                (self.plan.services[usize::from(service.0)].instances.clone(), Vec::new())
            }
        }
    }

    fn plan_of(&self, index: usize) -> FaultPlan {
        self.armed[self.active[index].fault.0 as usize].plan.clone()
    }

    fn apply(&mut self, index: usize, turn: Turn) {
        let plan = self.plan_of(index);
        let (nodes, peers) = (self.active[index].nodes.clone(), self.active[index].peers.clone());
        let fault = plan.id;
        match &plan.action {
            FaultAction::Crash(_) => self.take_down(&plan, &nodes, StopReason::Crash, turn),
            FaultAction::LosePower(_) => self.take_down(&plan, &nodes, StopReason::PowerLoss, turn),
            FaultAction::Wipe(_) => {
                self.take_down(&plan, &nodes, StopReason::PowerLoss, turn);
                if turn == Turn::Begin {
                    nodes.iter().for_each(|node| self.nodes[node.0 as usize].disk.wipe());
                }
            }
            FaultAction::Restart { rolling, .. } => match (turn, rolling) {
                (Turn::Begin, true) => self.roll(index, 0),
                (Turn::Begin, false) => {
                    for node in nodes {
                        let stay_down = plan.duration.unwrap_or_else(|| self.restart_time(node));
                        self.schedule(self.now, Scheduled::Stop { node, stay_down });
                    }
                }
                (Turn::End, _) => {}
            },
            FaultAction::Pause(_) => nodes.iter().for_each(|node| self.pause(*node, turn)),
            // Faults of one kind may overlap: what holds is what is left of them.
            FaultAction::Slow { .. } => {
                for node in nodes {
                    self.nodes[node.0 as usize].slowness = self.slowest(node, |action| match action {
                        FaultAction::Slow { thousandths, .. } => Some(*thousandths),
                        _ => None,
                    });
                }
            }
            FaultAction::StallDisk(_) => {
                for node in nodes {
                    let stalled = self.is_under(node, |action| matches!(action, FaultAction::StallDisk(_)));
                    self.nodes[node.0 as usize].disk.stalled = stalled;
                    self.drain(node);
                }
            }
            FaultAction::SlowDisk { .. } => {
                for node in nodes {
                    self.nodes[node.0 as usize].disk.slowness = self.slowest(node, |action| match action {
                        FaultAction::SlowDisk { thousandths, .. } => Some(*thousandths),
                        _ => None,
                    });
                }
            }
            FaultAction::FillDisk(_) => {
                for node in nodes {
                    let full = self.is_under(node, |action| matches!(action, FaultAction::FillDisk(_)));
                    self.nodes[node.0 as usize].disk.full = full;
                }
            }
            FaultAction::FailDisk(_) => {
                for node in nodes {
                    let failing = self.is_under(node, |action| matches!(action, FaultAction::FailDisk(_)));
                    self.nodes[node.0 as usize].disk.failing = failing;
                }
            }
            FaultAction::Rot(_) if turn == Turn::Begin => {
                for node in nodes {
                    let firing = self.armed[usize::from(fault.0)].fired;
                    self.nodes[node.0 as usize].disk.rot(combine(u64::from(fault.0), u64::from(firing)));
                }
            }
            FaultAction::Cut(link) => self.cut(&nodes, &peers, link.both_ways, link.kind, turn),
            FaultAction::Isolate(_) => self.cut(&nodes, &peers, true, None, turn),
            FaultAction::Delay { link, .. }
            | FaultAction::Drop { link, .. }
            | FaultAction::Throttle { link, .. }
            | FaultAction::ResetShare { link, .. }
                if turn == Turn::End =>
            {
                self.on_links(&nodes, &peers, link.both_ways, |network, from, to| network.lift(from, to, fault));
            }
            FaultAction::Delay { link, by } => {
                self.on_links(&nodes, &peers, link.both_ways, |network, from, to| {
                    network.delay(from, to, fault, link.kind, *by)
                });
            }
            FaultAction::Drop { link, rate } => {
                self.on_links(&nodes, &peers, link.both_ways, |network, from, to| {
                    network.drop_share(from, to, fault, link.kind, *rate)
                });
            }
            FaultAction::ResetShare { link, rate } => {
                self.on_links(&nodes, &peers, link.both_ways, |network, from, to| {
                    network.reset_share(from, to, fault, link.kind, *rate)
                });
            }
            FaultAction::Throttle { link, bytes_per_second } => {
                self.on_links(&nodes, &peers, link.both_ways, |network, from, to| {
                    network.throttle(from, to, fault, link.kind, *bytes_per_second)
                });
            }
            FaultAction::Reset(link) if turn == Turn::Begin => self.reset(&nodes, &peers, link),
            FaultAction::Reset(_) => {}
            FaultAction::Skew { by, forwards, .. } => {
                self.shift_clocks(&nodes, *by, *forwards == (turn == Turn::Begin));
            }
            FaultAction::Jump { by, forwards, .. } if turn == Turn::Begin => self.shift_clocks(&nodes, *by, *forwards),
            FaultAction::HoldMetadata(_) => {
                for node in nodes {
                    let held = self.is_under(node, |action| matches!(action, FaultAction::HoldMetadata(_)));
                    self.command(&[node], Command::HoldMetadata(held));
                }
            }
            FaultAction::ElectPreferred { topic, partition } if turn == Turn::Begin => {
                self.ask(Command::ElectPreferred { topic: *topic, partition: *partition });
            }
            FaultAction::Reassign { partition, to } if turn == Turn::Begin => {
                self.ask(Command::Reassign { partition: *partition, to: to.clone() });
            }
            FaultAction::Rebalance(group) if turn == Turn::Begin => self.ask(Command::Rebalance(*group)),
            FaultAction::ExpireOffsets(group) if turn == Turn::Begin => self.ask(Command::ExpireOffsets(*group)),
            FaultAction::EnforceRetention(topic) if turn == Turn::Begin => {
                self.command(&nodes, Command::EnforceRetention(*topic))
            }
            FaultAction::Compact(topic) if turn == Turn::Begin => self.command(&nodes, Command::Compact(*topic)),
            FaultAction::DeleteRecords(topic) if turn == Turn::Begin => {
                self.command(&nodes, Command::DeleteRecords(*topic))
            }
            FaultAction::Redrive { service, from, to, group } if turn == Turn::Begin => {
                let redrive = Redrive { service: *service, from: *from, to: *to, group: *group };
                self.command(&nodes, Command::Redrive(redrive));
            }
            FaultAction::Redeliver(_) if turn == Turn::Begin => self.command(&nodes, Command::Redeliver),
            FaultAction::Poison { events, .. } if turn == Turn::Begin => {
                self.command(&nodes, Command::Poison(*events));
            }
            FaultAction::Repair(_) if turn == Turn::Begin => self.command(&nodes, Command::Repair),
            FaultAction::Set(value) => {
                self.lay_plan();
                match (value, turn) {
                    (LiveValue::Instances { .. }, Turn::Begin) => {
                        let left = (Time::LOAD_START + self.plan.duration).since(self.now);
                        let stay_down = plan.duration.unwrap_or(left);
                        for node in nodes {
                            self.schedule(self.now, Scheduled::Stop { node, stay_down });
                        }
                    }
                    (LiveValue::TopicPartitions { topic, count }, Turn::Begin) => {
                        self.ask(Command::CreatePartitions { topic: *topic, count: *count });
                    }
                    _ => {}
                }
            }
            FaultAction::Fail { .. } => self.lay_plan(),
            FaultAction::Rot(_)
            | FaultAction::Jump { .. }
            | FaultAction::Poison { .. }
            | FaultAction::Repair(_)
            | FaultAction::ElectPreferred { .. }
            | FaultAction::Reassign { .. }
            | FaultAction::Rebalance(_)
            | FaultAction::ExpireOffsets(_)
            | FaultAction::EnforceRetention(_)
            | FaultAction::Compact(_)
            | FaultAction::DeleteRecords(_)
            | FaultAction::Redrive { .. }
            | FaultAction::Redeliver(_) => {}
        }
    }

    /// The plan of the scenario with everything that is set at the moment, in the order in which it was set.
    fn lay_plan(&mut self) {
        let mut live = Plan::clone(&self.plan);
        for active in self.active.iter().filter(|active| !active.healed) {
            match &self.armed[usize::from(active.fault.0)].plan.action {
                FaultAction::Set(value) => value.lay_over(&mut live),
                FaultAction::Fail { service, rate } => lay_failures_over(&mut live, *service, *rate),
                _ => {}
            }
        }
        self.live = Arc::new(live);
        self.reconfigure();
    }

    /// Whether the service of this process was put right.
    pub(super) fn is_repaired(&self, node: NodeId) -> bool {
        self.active.iter().any(|active| {
            let action = &self.armed[usize::from(active.fault.0)].plan.action;
            matches!(action, FaultAction::Repair(_)) && active.nodes.contains(&node)
        })
    }

    fn shift_clocks(&mut self, nodes: &[NodeId], by: Duration, forwards: bool) {
        let by = i64::try_from(by.0).unwrap_or(i64::MAX);
        let signed = if forwards { by } else { -by };
        for node in nodes {
            let skew = &mut self.nodes[usize::from(node.0)].skew;
            *skew = skew.saturating_add(signed);
        }
    }

    /// Whether a fault of this kind is in force at a node.
    fn is_under(&self, node: NodeId, is_kind: impl Fn(&FaultAction) -> bool) -> bool {
        self.in_force(node).any(is_kind)
    }

    /// The largest factor that is in force at a node, in thousandths.
    fn slowest(&self, node: NodeId, factor: impl Fn(&FaultAction) -> Option<u64>) -> u64 {
        self.in_force(node).filter_map(factor).max().unwrap_or(1000)
    }

    fn in_force(&self, node: NodeId) -> impl Iterator<Item = &FaultAction> {
        let here = move |active: &&Active| !active.healed && active.nodes.contains(&node);
        self.active.iter().filter(here).map(|active| &self.armed[active.fault.0 as usize].plan.action)
    }

    fn take_down(&mut self, plan: &FaultPlan, nodes: &[NodeId], why: StopReason, turn: Turn) {
        // Coming back is an event of its own: each reason to be down ends at its own time.
        if turn == Turn::End {
            return;
        }
        for node in nodes {
            let stay_down = plan.duration.unwrap_or_else(|| self.restart_time(*node));
            self.kill(*node, why);
            self.keep_down(*node, stay_down);
        }
    }

    fn pause(&mut self, node: NodeId, turn: Turn) {
        let paused = &mut self.nodes[node.0 as usize].paused;
        match turn {
            Turn::Begin => {
                *paused += 1;
                if *paused == 1 {
                    self.record(node, Happening::Paused);
                }
            }
            Turn::End => {
                *paused -= 1;
                if *paused == 0 {
                    self.resume(node);
                }
            }
        }
    }

    fn cut(
        &mut self,
        nodes: &[NodeId],
        peers: &[NodeId],
        both_ways: bool,
        kind: Option<request::RequestKind>,
        turn: Turn,
    ) {
        self.on_links(nodes, peers, both_ways, |network, from, to| match turn {
            Turn::Begin => network.cut(from, to, kind),
            Turn::End => network.heal(from, to, kind),
        });
    }

    fn reset(&mut self, nodes: &[NodeId], peers: &[NodeId], link: &LinkTarget) {
        for from in nodes {
            for to in peers {
                for (client, channel, server) in self.network.reset(self.now, *from, *to, link.kind) {
                    self.schedule(self.now, Scheduled::Disconnect { client, channel, server });
                }
            }
        }
    }

    fn on_links(
        &mut self,
        nodes: &[NodeId],
        peers: &[NodeId],
        both_ways: bool,
        mut change: impl FnMut(&mut super::network::Network, NodeId, NodeId),
    ) {
        for from in nodes {
            for to in peers.iter().filter(|to| *to != from) {
                change(&mut self.network, *from, *to);
                if both_ways {
                    change(&mut self.network, *to, *from);
                }
            }
        }
    }

    /// What an operator asks for; while nobody leads the quorum, or coordinates the group, the admin client tries again.
    pub(super) fn ask(&mut self, command: Command) {
        let whom = match &command {
            Command::Rebalance(group) | Command::ExpireOffsets(group) => {
                self.roles.coordinator(*group).filter(|node| self.nodes[usize::from(node.0)].process.is_some())
            }
            _ => self.roles.active_controller(),
        };
        match whom {
            Some(node) => self.schedule(self.now, Scheduled::Command { node, command }),
            None if self.load_ended => {}
            None => self.schedule(self.now + ADMIN_RETRY_BACKOFF, Scheduled::Ask { command }),
        }
    }

    fn command(&mut self, nodes: &[NodeId], command: Command) {
        for node in nodes {
            self.schedule(self.now, Scheduled::Command { node: *node, command: command.clone() });
        }
    }
}

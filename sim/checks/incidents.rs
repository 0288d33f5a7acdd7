//! Incidents: what struck which node and when, kept in order, so that a bad fate can be laid to what came before it.
//!
//! The one idea: a cause is the nearest incident of the node between two sightings of the event, never a coincidence
//! elsewhere. An incident of a node is joined with the fault of the plan that was aimed at it at the same instant. A fault
//! that only makes things slow takes nothing away: it is a cause where somebody ran out of time under it, and nowhere else.

use std::collections::BTreeMap;

use super::outcome::{FaultSpan, Incident, IncidentKind};
use crate::history::event::StopReason;
use crate::history::{Event, Happening};
use crate::scenario::plan::{FaultAction, LiveValue, Plan};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct Incidents {
    by_node: BTreeMap<NodeId, Vec<Incident>>,
    pub faults: Vec<FaultSpan>,
    /// Losses of unflushed data: power losses that lost something and wipes.
    pub lossy: Vec<(Time, NodeId)>,
    wipes: Vec<FaultId>,
    /// Faults that stop or pause processes.
    stopping: Vec<FaultId>,
    /// Faults that are over when they fire.
    instantaneous: Vec<FaultId>,
    /// Faults that delay, and do nothing else.
    slowing: Vec<FaultId>,
}

impl Incidents {
    pub fn new(plan: &Plan) -> Incidents {
        let mut incidents = Incidents::default();
        for fault in &plan.faults {
            if matches!(fault.action, FaultAction::Wipe(_)) {
                incidents.wipes.push(fault.id);
            }
            if only_slows(&fault.action) {
                incidents.slowing.push(fault.id);
            }
            if stops(&fault.action) {
                incidents.stopping.push(fault.id);
            } else if fault.duration.is_none() && !matches!(fault.action, FaultAction::Set(_)) {
                incidents.instantaneous.push(fault.id);
            }
        }
        incidents
    }

    /// Says whether something is healed by this event.
    #[inline]
    pub fn observe(&mut self, event: &Event) -> bool {
        match &event.what {
            Happening::Note(Note::Lost { .. } | Note::PartitionChanged { .. }) => self.note_or_heal(event),
            Happening::Note(_) => false,
            _ => self.note_or_heal(event),
        }
    }

    fn note_or_heal(&mut self, event: &Event) -> bool {
        match &event.what {
            Happening::Stopped { why } => {
                let kind = match why {
                    StopReason::Crash | StopReason::Own => IncidentKind::Crashed,
                    StopReason::PowerLoss => IncidentKind::LostPower,
                    StopReason::Clean => IncidentKind::Stopped,
                };
                self.strike(event, event.node, kind, None);
            }
            Happening::Paused => self.strike(event, event.node, IncidentKind::Paused, None),
            Happening::PowerLost { lost } if *lost > 0 => self.lose(event.time, event.node),
            Happening::FaultFired { fault, nodes, peers } => {
                self.faults.push(FaultSpan {
                    fault: *fault,
                    fired: event.time,
                    healed: None,
                    nodes: nodes.clone(),
                    peers: peers.clone(),
                });
                if self.instantaneous.contains(fault) {
                    self.faults.last_mut().expect("just pushed").healed = Some(event.time);
                }
                if self.wipes.contains(fault) {
                    nodes.iter().for_each(|node| self.lose(event.time, *node));
                }
                // A fault that stops or pauses shows as that incident a moment later.
                if !self.stopping.contains(fault) {
                    for node in nodes.iter().chain(peers) {
                        self.strike(event, *node, IncidentKind::Disturbed, Some(*fault));
                    }
                }
            }
            Happening::FaultHealed { fault } => {
                let last = self.faults.iter_mut().rev().find(|span| span.fault == *fault);
                if let Some(span) = last {
                    span.healed = Some(event.time);
                }
                return true;
            }
            Happening::Started { .. } => return self.back(event),
            Happening::Note(Note::Lost { .. }) => self.strike(event, event.node, IncidentKind::LostPartitions, None),
            Happening::Note(Note::PartitionChanged { state, unclean: true, .. }) => {
                if let Some(leader) = state.leader {
                    self.strike(event, leader, IncidentKind::UncleanElection, None);
                }
            }
            Happening::Note(_)
            | Happening::Resumed
            | Happening::PowerLost { .. }
            | Happening::LoadEnded
            | Happening::BrokerTraffic { .. }
            | Happening::Ended { .. }
            | Happening::MessageDropped { .. }
            | Happening::FaultRefused { .. }
            | Happening::NeverReady
            | Happening::Panicked { .. } => {}
        }
        match &event.what {
            Happening::FaultFired { fault, .. } => self.instantaneous.contains(fault),
            _ => false,
        }
    }

    /// A process is up again: what had stopped it and says nothing of its own heal is healed.
    fn back(&mut self, event: &Event) -> bool {
        let stopping = &self.stopping;
        let mut open = self.faults.iter_mut().filter(|span| span.healed.is_none() && stopping.contains(&span.fault));
        let Some(span) = open.find(|span| span.nodes.contains(&event.node)) else { return false };
        span.healed = Some(event.time);
        true
    }

    /// The nearest incident of any of the nodes in `(after, until]` that took something away.
    pub fn last_of(&self, nodes: &[NodeId], after: Time, until: Time) -> Option<Incident> {
        self.last(nodes, after, until, |incident| !self.only_slowed(incident))
    }

    /// The same where time ran out at `until`: a fault that only slowed counts as well, if it lasted until then.
    pub fn last_delay_of(&self, nodes: &[NodeId], after: Time, until: Time) -> Option<Incident> {
        self.last(nodes, after, until, |incident| !self.only_slowed(incident) || self.lasts(incident, until))
    }

    /// The nearest incident that counts.
    pub fn last_where(
        &self,
        nodes: &[NodeId],
        after: Time,
        until: Time,
        counts: impl Fn(&Incident) -> bool,
    ) -> Option<Incident> {
        self.last(nodes, after, until, counts)
    }

    /// The last fault that was aimed at any of the nodes and lasted at `at`.
    pub fn in_force(&self, nodes: &[NodeId], at: Time) -> Option<Incident> {
        let aimed = |span: &&FaultSpan| nodes.iter().any(|node| is_aimed(span, *node, at));
        let span = self.faults.iter().rev().find(aimed)?;
        let of_span = |incident: &&Incident| incident.fault == Some(span.fault) && incident.time == span.fired;
        nodes
            .iter()
            .filter_map(|node| self.by_node.get(node)?.iter().find(of_span))
            .min_by_key(|found| found.number)
            .copied()
    }

    /// The first incident of any of the nodes at or after `from` that took something away.
    pub fn first_of(&self, nodes: &[NodeId], from: Time) -> Option<Incident> {
        self.first(nodes, from, |incident| !self.only_slowed(incident))
    }

    /// The first one that can take a record from a log.
    pub fn first_loss_of(&self, nodes: &[NodeId], from: Time) -> Option<Incident> {
        self.first(nodes, from, |incident| match incident.kind {
            IncidentKind::Crashed | IncidentKind::LostPower | IncidentKind::UncleanElection => true,
            IncidentKind::Stopped | IncidentKind::Paused | IncidentKind::LostPartitions | IncidentKind::Disturbed => {
                false
            }
        })
    }

    fn last(&self, nodes: &[NodeId], after: Time, until: Time, counts: impl Fn(&Incident) -> bool) -> Option<Incident> {
        let found = nodes.iter().enumerate().filter_map(|(place, node)| {
            let incidents = self.by_node.get(node)?;
            let end = incidents.partition_point(|incident| incident.time <= until);
            let within = incidents[..end].iter().rev().take_while(|incident| after < incident.time);
            Some((place, *within.into_iter().find(|incident| counts(incident))?))
        });
        // A cut strikes both its ends at once: the one that is named first counts.
        found.max_by_key(|(place, incident)| (incident.number, std::cmp::Reverse(*place))).map(|(_, incident)| incident)
    }

    fn first(&self, nodes: &[NodeId], from: Time, counts: impl Fn(&Incident) -> bool) -> Option<Incident> {
        let found = nodes.iter().filter_map(|node| {
            let incidents = self.by_node.get(node)?;
            let start = incidents.partition_point(|incident| incident.time < from);
            incidents[start..].iter().copied().find(|incident| counts(incident))
        });
        found.min_by_key(|incident| incident.number)
    }

    fn only_slowed(&self, incident: &Incident) -> bool {
        incident.kind == IncidentKind::Disturbed && incident.fault.is_some_and(|fault| self.slowing.contains(&fault))
    }

    fn lasts(&self, incident: &Incident, until: Time) -> bool {
        let span = self.faults.iter().find(|span| Some(span.fault) == incident.fault && span.fired == incident.time);
        span.is_some_and(|span| span.healed.is_none_or(|healed| until <= healed))
    }

    fn strike(&mut self, event: &Event, node: NodeId, kind: IncidentKind, fault: Option<FaultId>) {
        let aimed = || self.faults.iter().rev().find(|span| is_aimed(span, node, event.time)).map(|span| span.fault);
        let fault = fault.or_else(aimed);
        let incident = Incident { time: event.time, number: event.number, node, kind, fault };
        self.by_node.entry(node).or_default().push(incident);
    }

    /// One loss for each node and instant, however many ways it is told.
    fn lose(&mut self, time: Time, node: NodeId) {
        if !self.lossy.contains(&(time, node)) {
            self.lossy.push((time, node));
        }
    }
}

fn is_aimed(span: &FaultSpan, node: NodeId, at: Time) -> bool {
    let lasts = span.fired <= at && span.healed.is_none_or(|healed| at <= healed);
    lasts && (span.nodes.contains(&node) || span.peers.contains(&node))
}

fn only_slows(action: &FaultAction) -> bool {
    match action {
        FaultAction::Slow { .. }
        | FaultAction::StallDisk(_)
        | FaultAction::SlowDisk { .. }
        | FaultAction::Delay { .. }
        | FaultAction::Throttle { .. }
        | FaultAction::Set(
            LiveValue::Rate { .. }
            | LiveValue::Work { .. }
            | LiveValue::StoreLatency { .. }
            | LiveValue::EndpointLatency { .. }
            | LiveValue::NetworkLatency(_)
            | LiveValue::NetworkBandwidth(_),
        ) => true,
        FaultAction::Crash(_)
        | FaultAction::LosePower(_)
        | FaultAction::Wipe(_)
        | FaultAction::Restart { .. }
        | FaultAction::Pause(_)
        | FaultAction::FillDisk(_)
        | FaultAction::FailDisk(_)
        | FaultAction::Rot(_)
        | FaultAction::Cut(_)
        | FaultAction::Isolate(_)
        | FaultAction::Drop { .. }
        | FaultAction::Reset(_)
        | FaultAction::ResetShare { .. }
        | FaultAction::Skew { .. }
        | FaultAction::Jump { .. }
        | FaultAction::Set(_)
        | FaultAction::Fail { .. }
        | FaultAction::Poison { .. }
        | FaultAction::Repair(_)
        | FaultAction::HoldMetadata(_)
        | FaultAction::ElectPreferred { .. }
        | FaultAction::Reassign { .. }
        | FaultAction::Rebalance(_)
        | FaultAction::ExpireOffsets(_)
        | FaultAction::EnforceRetention(_)
        | FaultAction::Compact(_)
        | FaultAction::DeleteRecords(_)
        | FaultAction::Redeliver(_)
        | FaultAction::Redrive { .. } => false,
    }
}

fn stops(action: &FaultAction) -> bool {
    match action {
        FaultAction::Crash(_)
        | FaultAction::LosePower(_)
        | FaultAction::Wipe(_)
        | FaultAction::Restart { .. }
        | FaultAction::Pause(_)
        | FaultAction::Set(LiveValue::Instances { .. }) => true,
        FaultAction::Slow { .. }
        | FaultAction::StallDisk(_)
        | FaultAction::SlowDisk { .. }
        | FaultAction::FillDisk(_)
        | FaultAction::FailDisk(_)
        | FaultAction::Rot(_)
        | FaultAction::Cut(_)
        | FaultAction::Isolate(_)
        | FaultAction::Delay { .. }
        | FaultAction::Drop { .. }
        | FaultAction::Throttle { .. }
        | FaultAction::Reset(_)
        | FaultAction::ResetShare { .. }
        | FaultAction::Skew { .. }
        | FaultAction::HoldMetadata(_)
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
        | FaultAction::Repair(_) => false,
    }
}

//! What was promised of a partition's log, and whether a new leader keeps it.
//!
//! The one idea: a promise is an end, everything below it stays. When a replica begins to lead, its log is compared with the
//! one that counted, epoch range by epoch range; where they part before the end, the promise is broken. It ends with an
//! unclean election, and with more losses of unflushed data since it was given than the partition must survive.
//!
//! That an election was unclean is the leader's own word: a controller that hangs behind its commit says so when the leader
//! has long begun.

use std::ops::Range;

use super::Durability;
use crate::checks::incidents::Incidents;
use crate::checks::logs::PartitionLog;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub(super) struct Promised {
    /// Ends of what was promised, with the number of lossy failures of the run until then. Both ascend.
    ends: Vec<(usize, Offset)>,
    replicas: Vec<NodeId>,
    /// The last epoch for which somebody was elected uncleanly. Whoever leads first in it or behind it may lack what was promised.
    unclean: Option<LeaderEpoch>,
}

/// A replica as it begins to lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewLeader {
    pub node: NodeId,
    pub epoch: LeaderEpoch,
    pub log_end_offset: Offset,
}

impl Promised {
    pub fn assign(&mut self, replicas: &[NodeId]) {
        self.replicas = replicas.to_vec();
    }

    pub fn give_up(&mut self, epoch: LeaderEpoch) {
        self.unclean = self.unclean.max(Some(epoch));
    }

    /// Whether somebody was elected uncleanly behind the leader of this epoch, who may not have heard of it.
    pub fn is_given_up_since(&self, epoch: LeaderEpoch) -> bool {
        self.unclean.is_some_and(|unclean| epoch < unclean)
    }

    /// `lossy`: losses of the run that had surely happened before the promise was given.
    pub fn give(&mut self, end: Offset, lossy: usize) {
        match self.ends.last_mut() {
            Some((_, known)) if end <= *known => {}
            Some((then, known)) if *then == lossy => *known = end,
            Some(_) | None => self.ends.push((lossy, end)),
        }
    }

    /// With the logs as they were before: the offsets that were promised and that the new leader lacks.
    pub fn lead(
        &mut self,
        leader: NewLeader,
        log: &PartitionLog,
        incidents: &Incidents,
        durability: &Durability,
        topic: TopicId,
    ) -> Option<Range<Offset>> {
        let before = log.leader.map(|(known, _)| known);
        if before.is_some_and(|known| leader.epoch < known) {
            return None;
        }
        let given_up = before < self.unclean;
        if self.ends.is_empty() {
            return None;
        }
        let empty = Default::default();
        let replica = log.replicas.get(&leader.node).unwrap_or(&empty);
        let common = replica.common_end(&log.counting).min(leader.log_end_offset.max(log.counting.start));
        let replicas = if self.replicas.is_empty() { usize::MAX } else { self.replicas.len() };
        let survives = durability.survives(topic, replicas);
        let lost = self.ends.iter().find(|(lossy, end)| {
            let since = incidents.lossy[*lossy..].iter();
            let here = since.filter(|(_, node)| self.replicas.is_empty() || self.replicas.contains(node));
            common < *end && here.count() <= survives
        });
        let lost = lost.filter(|_| !given_up).map(|(_, end)| common..*end);
        for (_, end) in &mut self.ends {
            *end = (*end).min(common);
        }
        self.ends.dedup_by_key(|(_, end)| *end);
        lost
    }
}

//! Committed offsets survive: where a member begins with a partition is what its group committed last.
//!
//! Why it matters: a group that is told an older offset repeats what it has done; one that is told none begins where its reset
//! policy says, and skips everything or repeats everything.
//!
//! How it is decided: by the first position of each assignment. Commits count in the order in which the leader that counts
//! appended them; those of another count when a leader begins whose log holds them. Those that were acknowledged before the
//! assignment must not be forgotten: the position is the last of them, or one that was appended after it; and with such a
//! commit, no reset. An expired offset is none. Who is still told of a round that is over is not judged: its coordinator was deposed,
//! and answers from memory until it hears of it. Judged as long as no broker has lost a page or its disk, and no offsets
//! partition was led from outside its in-sync set: the offsets topic promises no more with its default of one replica in sync.
//!
//! Source: GroupMetadataManager.loadGroup, OffsetMetadataManager; what KIP-848's coordinator calls replay equivalence.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Found, Where};
use crate::checks::logs::{Logs, PartitionLog};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::{FaultAction, Plan};
use crate::types::note::{AppendRole, Note, PositionReason};
use crate::types::record::Records;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct CommittedOffsetsSurvive {
    topic: TopicId,
    wipes: Vec<FaultId>,
    /// Something was lost that nobody promised to keep.
    gone: bool,
    commits: BTreeMap<(GroupId, TopicPartition), Commits>,
    /// What leaders wrote that did not count then.
    aside: Vec<Aside>,
    /// The round of each group that was written last.
    rounds: BTreeMap<GroupId, Generation>,
    /// Assignments without a position yet, with what was acknowledged by then.
    beginning: BTreeMap<(NodeId, GroupId, TopicPartition), u64>,
}

#[derive(Clone, Debug)]
struct Aside {
    shard: TopicPartition,
    leader_epoch: LeaderEpoch,
    offset: Offset,
    records: Arc<Records>,
}

/// What a group has committed for a partition.
#[derive(Clone, Debug, Default)]
struct Commits {
    /// From the last acknowledged one on, in the order of the log, numbered from `first`.
    offsets: Vec<Offset>,
    /// Number of the first one here. Those before are forgotten by right.
    first: u64,
    /// Number of the last acknowledged one plus one; 0 when there is none.
    acknowledged: u64,
}

impl CommittedOffsetsSurvive {
    pub fn new(plan: &Plan) -> CommittedOffsetsSurvive {
        let wipes = plan.faults.iter().filter(|fault| matches!(fault.action, FaultAction::Wipe(_)));
        CommittedOffsetsSurvive {
            topic: plan.topics.last().expect("the offsets topic").id,
            wipes: wipes.map(|fault| fault.id).collect(),
            gone: false,
            commits: BTreeMap::new(),
            aside: Vec::new(),
            rounds: BTreeMap::new(),
            beginning: BTreeMap::new(),
        }
    }

    /// With the logs as the event left them.
    pub fn after(&mut self, event: &Event, logs: &Logs, found: &mut Found) {
        match &event.what {
            Happening::PowerLost { lost } => self.gone |= 0 < *lost,
            Happening::FaultFired { fault, .. } => self.gone |= self.wipes.contains(fault),
            Happening::Stopped { .. } => self.beginning.retain(|(node, _, _), _| *node != event.node),
            Happening::Note(note) if !self.gone => self.note(note, event, logs, found),
            _ => {}
        }
    }

    fn note(&mut self, note: &Note, event: &Event, logs: &Logs, found: &mut Found) {
        match note {
            Note::ElectedUncleanly { partition, .. } => self.gone |= partition.topic == self.topic,
            Note::BatchAppended { partition, role: AppendRole::Leader, batch } if partition.topic == self.topic => {
                if logs.of(*partition).and_then(|log| log.leader) == Some((batch.leader_epoch, event.node)) {
                    self.append(&batch.records);
                } else {
                    let (leader_epoch, offset) = (batch.leader_epoch, batch.base_offset);
                    self.aside.push(Aside { shard: *partition, leader_epoch, offset, records: batch.records.clone() });
                }
            }
            Note::BecameLeader { partition, .. } if partition.topic == self.topic => {
                let Some(log) = logs.of(*partition) else { return };
                let holds = |one: &mut Aside| {
                    one.shard == *partition && log.counting.epoch_at(one.offset) == Some(one.leader_epoch)
                };
                for one in self.aside.extract_if(.., holds).collect::<Vec<_>>() {
                    self.append(&one.records);
                }
            }
            Note::OffsetCommitted { group, partition, offset, .. } => {
                let leads = |(_, log): (TopicPartition, &PartitionLog)| {
                    log.leader.is_some_and(|(_, leader)| leader == event.node)
                };
                let is_deposed = !logs.partitions_of(self.topic).any(leads);
                self.commits.entry((*group, *partition)).or_default().acknowledge(*offset, is_deposed);
            }
            Note::OffsetExpired { group, partition } => self.forget(*group, *partition),
            Note::Assigned { group, partitions, generation, .. } => {
                self.beginning.retain(|(node, other, _), _| (*node, other) != (event.node, group));
                // A deposed coordinator that does not know it tells its members what it remembers.
                if self.rounds.get(group).is_some_and(|round| generation < round) {
                    return;
                }
                for partition in partitions {
                    let acknowledged =
                        self.commits.get(&(*group, *partition)).map_or(0, |commits| commits.acknowledged);
                    self.beginning.insert((event.node, *group, *partition), acknowledged);
                }
            }
            Note::PositionSet { group, partition, offset, why } => {
                let Some(acknowledged) = self.beginning.remove(&(event.node, *group, *partition)) else { return };
                let Some(commits) = self.commits.get(&(*group, *partition)) else { return };
                let is_right = match why {
                    PositionReason::Committed => commits.may_be(*offset, acknowledged),
                    PositionReason::ResetEarliest | PositionReason::ResetLatest => acknowledged == 0,
                    PositionReason::Truncated | PositionReason::Stored => true,
                };
                if !is_right {
                    let place = Where { offset: Some(*offset), ..Where::at(*partition) };
                    let message = format!("{group} begins by {why:?} at {offset}, and had committed something else");
                    found.report(Invariant::CommittedOffsetsSurvive, event, place, message);
                }
            }
            _ => {}
        }
    }

    fn append(&mut self, records: &Records) {
        let Records::Groups(records) = records else { return };
        for record in records {
            match record {
                Group::Offset { group, partition, offset, .. } => {
                    self.commits.entry((*group, *partition)).or_default().offsets.push(*offset);
                }
                Group::OffsetExpired { group, partition } => self.forget(*group, *partition),
                Group::Metadata { group, generation, .. } => drop(self.rounds.insert(*group, *generation)),
                Group::Consumer { .. } => {}
            }
        }
    }

    fn forget(&mut self, group: GroupId, partition: TopicPartition) {
        self.commits.entry((group, partition)).or_default().forget();
        self.beginning.retain(|(_, other, at), _| (*other, *at) != (group, partition));
    }
}

impl Commits {
    fn acknowledge(&mut self, offset: Offset, is_deposed: bool) {
        let since = (self.acknowledged.max(self.first) - self.first) as usize;
        let index = match self.offsets.iter().skip(since).position(|appended| *appended == offset) {
            Some(index) => index + since,
            // A deposed coordinator says late what its successor's log holds, and has long gone past.
            None if is_deposed && self.offsets.iter().take(since).any(|appended| *appended == offset) => return,
            // Answered before it was appended, or behind an older answer.
            None => {
                self.offsets.push(offset);
                self.offsets.len() - 1
            }
        };
        self.acknowledged = self.first + index as u64 + 1;
        // Assignments that are still beginning may be older by one acknowledgement or two, not by many.
        const KEPT: usize = 256;
        if KEPT < index {
            self.offsets.drain(..index - KEPT / 2);
            self.first += (index - KEPT / 2) as u64;
        }
    }

    /// Expired.
    fn forget(&mut self) {
        self.first += self.offsets.len() as u64;
        self.offsets.clear();
        self.acknowledged = 0;
    }

    /// Whether the offset was the last one acknowledged then, or was appended after that.
    fn may_be(&self, offset: Offset, acknowledged: u64) -> bool {
        let from = acknowledged.saturating_sub(1).max(self.first) - self.first;
        self.offsets.iter().skip(from as usize).any(|appended| *appended == offset)
    }
}

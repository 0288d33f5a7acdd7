//! Who is in each group, and who may own what, as the log of the offsets topic says it: once as far as it is replicated, once
//! as far as its leader has appended it.
//!
//! A coordinator answers when what it answers is replicated; so what a member was told stands in the first of the two. What
//! a coordinator decides from is the second. Offsets are left out: commits are frequent, and say nothing of members.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checks::logs::Logs;
use crate::history::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::note::{AppendRole, Note};
use crate::types::record::{ConsumerChange, Records};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct GroupLog {
    topic: TopicId,
    shards: BTreeMap<u16, Shard>,
}

/// One partition of the offsets topic.
#[derive(Clone, Debug, Default)]
struct Shard {
    /// What the leader that counts has appended, with the offset of its batch.
    appended: Vec<(Offset, Group)>,
    /// Everything below is replicated.
    end: Offset,
    /// How many of them have been taken as replicated.
    count: usize,
    replicated: Groups,
    latest: Groups,
}

pub type Groups = BTreeMap<GroupId, Members>;

#[derive(Clone, Debug, Default)]
pub struct Members {
    /// Of a consumer group.
    pub epoch: Generation,
    pub topics: Vec<(TopicId, u16)>,
    /// What each may own, or has still to give back.
    pub shares: BTreeMap<MemberId, Vec<TopicPartition>>,
    /// Where each member of a consumer group stands.
    pub epochs: BTreeMap<MemberId, Generation>,
    /// Their ids, shared by all who ask before they change.
    pub ids: Arc<[MemberId]>,
}

impl GroupLog {
    pub fn new(plan: &Plan) -> GroupLog {
        GroupLog { topic: plan.topics.last().expect("the offsets topic").id, shards: BTreeMap::new() }
    }

    /// With the logs as the event left them. True when more may be replicated than before: see [`GroupLog::next_replicated`].
    pub fn after(&mut self, event: &Event, logs: &Logs) -> bool {
        let Happening::Note(note) = &event.what else { return false };
        let (partition, leader_epoch) = match note {
            Note::BatchAppended { partition, role: AppendRole::Leader, batch } => (partition, batch.leader_epoch),
            Note::BecameLeader { partition, leader_epoch, .. }
            | Note::HighWatermark { partition, leader_epoch, as_leader: true, .. } => (partition, *leader_epoch),
            _ => return false,
        };
        let counts = || logs.of(*partition).is_some_and(|log| log.leader == Some((leader_epoch, event.node)));
        if partition.topic != self.topic || !counts() {
            return false;
        }
        let shard = self.shards.entry(partition.partition).or_default();
        match note {
            Note::BatchAppended { batch, .. } => {
                if let Records::Groups(records) = &*batch.records {
                    shard.append(batch.base_offset, records);
                }
                false
            }
            Note::HighWatermark { offset, .. } => {
                shard.end = *offset;
                true
            }
            Note::BecameLeader { log_end_offset, .. } => {
                shard.cut(*log_end_offset);
                false
            }
            _ => false,
        }
    }

    /// Takes one record more as replicated.
    pub fn next_replicated(&mut self) -> Option<Group> {
        self.shards.values_mut().find_map(Shard::next_replicated)
    }

    /// As far as it is replicated.
    pub fn replicated(&self, group: GroupId) -> Option<&Members> {
        self.shards.values().find_map(|shard| shard.replicated.get(&group))
    }

    /// As far as it is appended.
    pub fn latest(&self, group: GroupId) -> Option<&Members> {
        self.shards.values().find_map(|shard| shard.latest.get(&group))
    }
}

impl Shard {
    fn append(&mut self, offset: Offset, records: &[Group]) {
        for record in records.iter().filter(|record| is_of_members(record)) {
            apply(&mut self.latest, record);
            self.appended.push((offset, record.clone()));
        }
    }

    fn next_replicated(&mut self) -> Option<Group> {
        let (offset, record) = self.appended.get(self.count)?;
        if self.end <= *offset {
            return None;
        }
        apply(&mut self.replicated, record);
        self.count += 1;
        Some(record.clone())
    }

    /// The new leader's log ends here: what lay beyond was never answered, or is lost with more than was promised.
    fn cut(&mut self, end: Offset) {
        self.appended.retain(|(offset, _)| *offset < end);
        self.count = self.count.min(self.appended.len());
        self.end = self.end.min(end);
        (self.replicated, self.latest) = (Groups::new(), Groups::new());
        for (index, (_, record)) in self.appended.iter().enumerate() {
            apply(&mut self.latest, record);
            if index < self.count {
                apply(&mut self.replicated, record);
            }
        }
    }
}

fn is_of_members(record: &Group) -> bool {
    matches!(record, Group::Metadata { .. } | Group::Consumer { .. })
}

fn apply(groups: &mut Groups, record: &Group) {
    match record {
        Group::Offset { .. } | Group::OffsetExpired { .. } => {}
        Group::Metadata { group, generation, members, .. } => {
            let known = groups.entry(*group).or_default();
            known.epoch = *generation;
            known.shares = members.iter().map(|member| (member.member, member.assignment.clone())).collect();
            known.ids = known.shares.keys().copied().collect();
        }
        Group::Consumer { group, change } => {
            let known = groups.entry(*group).or_default();
            match change {
                ConsumerChange::Epoch { epoch, topics, .. } => (known.epoch, known.topics) = (*epoch, topics.clone()),
                ConsumerChange::Member { member, .. } => drop(known.shares.entry(*member).or_default()),
                ConsumerChange::Target { .. } => {}
                ConsumerChange::Current { member, current } => {
                    let owned = current.assigned.iter().chain(&current.pending_revocation);
                    known.shares.insert(*member, owned.copied().collect());
                    known.epochs.insert(*member, current.epoch);
                }
                ConsumerChange::MemberGone { member } => {
                    known.shares.remove(member);
                    known.epochs.remove(member);
                }
            }
            if known.ids.len() != known.shares.len() || !known.ids.iter().eq(known.shares.keys()) {
                known.ids = known.shares.keys().copied().collect();
            }
        }
    }
}

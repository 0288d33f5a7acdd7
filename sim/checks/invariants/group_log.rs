//! Who is in each group, and who may own what, as the log of the offsets topic says it: once as far as it is replicated, once
//! as far as its leader has appended it.
//!
//! A coordinator answers when what it answers is replicated; so what a member was told stands in the first of the two. What
//! a coordinator decides from is the second. Offsets are left out: commits are frequent, and say nothing of members.
//!
//! A new leader's log need not be a beginning of its predecessor's: it may hold what a leader before that one wrote and the
//! predecessor never had. So whatever any leader writes is kept, and a new leader's log is read anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checks::logs::{EpochRange, Logs, ReplicaLog};
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
    /// What any leader has written, by its epoch and the offset of its batch.
    written: BTreeMap<Place, Vec<Group>>,
    /// What of that stands in the log that counts, in its order.
    appended: Vec<(Place, Group)>,
    /// Everything below is replicated.
    end: Offset,
    /// How many of them have been taken as replicated.
    count: usize,
    replicated: Groups,
    latest: Groups,
}

/// By log matching it names one batch.
type Place = (LeaderEpoch, Offset);

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
        if partition.topic != self.topic {
            return false;
        }
        let Some(log) = logs.of(*partition) else { return false };
        let counts = log.leader == Some((leader_epoch, event.node));
        let shard = self.shards.entry(partition.partition).or_default();
        match note {
            Note::BatchAppended { batch, .. } => {
                if let Records::Groups(records) = &*batch.records {
                    shard.append((leader_epoch, batch.base_offset), records, counts);
                }
                false
            }
            Note::HighWatermark { offset, .. } if counts => {
                shard.end = *offset;
                true
            }
            // A predecessor that hears of its successor late goes on by the fetches of before, and answers: what both logs have
            // is replicated.
            Note::HighWatermark { offset, .. } => {
                let Some(replica) = log.replicas.get(&event.node) else { return false };
                shard.end = shard.end.max((*offset).min(replica.common_end(&log.counting)));
                true
            }
            Note::BecameLeader { .. } if counts => {
                shard.read(&log.counting);
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
    fn append(&mut self, place: Place, records: &[Group], counts: bool) {
        let of_members: Vec<Group> = records.iter().filter(|record| is_of_members(record)).cloned().collect();
        if of_members.is_empty() {
            return;
        }
        if counts {
            of_members.iter().for_each(|record| apply(&mut self.latest, record));
            self.appended.extend(of_members.iter().map(|record| (place, record.clone())));
        }
        self.written.insert(place, of_members);
    }

    fn next_replicated(&mut self) -> Option<Group> {
        let ((_, offset), record) = self.appended.get(self.count)?;
        if self.end <= *offset {
            return None;
        }
        apply(&mut self.replicated, record);
        self.count += 1;
        Some(record.clone())
    }

    /// A new leader's log. What it lacks was never answered, or is lost with more than was promised.
    fn read(&mut self, log: &ReplicaLog) {
        let of_leader = |range: &EpochRange| self.written.range((range.epoch, range.start)..(range.epoch, range.end));
        let batches = log.ranges.iter().flat_map(of_leader);
        let appended: Vec<(Place, Group)> =
            batches.flat_map(|(place, records)| records.iter().map(|record| (*place, record.clone()))).collect();
        let same = |((one, _), (other, _)): &(&(Place, Group), &(Place, Group))| one == other;
        self.count = self.count.min(self.appended.iter().zip(&appended).take_while(same).count());
        self.appended = appended;
        self.end = self.end.min(log.end());
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

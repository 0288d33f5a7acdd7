//! One owner: no partition is owned by two members of a group at once.
//!
//! Why it matters: two owners process everything twice, and each commits over the other.
//!
//! How it is decided: twice. In the log of the offsets topic no partition may stand with two members of a group, a target must
//! give every partition once, and no member is ahead of its group. And a member that is assigned a partition must be the only
//! one that holds it, among those who are members by the log: whoever was taken out and does not know it yet is a zombie, and
//! legal. A member holds from the moment it is assigned until it has given back, lost, or died.
//!
//! Legal too, with KIP-848, is a member that takes from an older answer what the log has given away since: its heartbeat said
//! what it held, without what it had been sent and not taken yet, and that counts as given back. It learns so with the next
//! answer. The protocol promises one owner for each epoch, and this one is at an older: as long as it was not told of the newer.
//!
//! Source: NoDoubleClientAssignment and ValidStableGroupState of the TLA+ model of KIP-848; KAFKA-12984, KAFKA-14639,
//! KAFKA-16147.

use std::collections::{BTreeMap, BTreeSet};

use super::group_log::GroupLog;
use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::record::ConsumerChange;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct OneOwner {
    /// What members hold, as they say themselves; without what they took behind their time.
    holders: BTreeMap<(GroupId, TopicPartition), BTreeMap<MemberId, NodeId>>,
}

impl OneOwner {
    /// With the log as the event left it.
    pub fn after(&mut self, event: &Event, log: &GroupLog, found: &mut Found) {
        match &event.what {
            Happening::Note(Note::Assigned { group, member, generation, partitions }) => {
                let in_time =
                    |partition: &&TopicPartition| !was_given_away(log, *group, *member, *generation, **partition);
                let partitions: Vec<TopicPartition> = partitions.iter().filter(in_time).copied().collect();
                self.hold(event.node, *group, *member, &partitions);
                self.judge_holders(event, *group, *member, &partitions, log, found);
            }
            Happening::Note(Note::Revoked { group, member, partitions } | Note::Lost { group, member, partitions }) => {
                for partition in partitions {
                    if let Some(holders) = self.holders.get_mut(&(*group, *partition)) {
                        holders.remove(member);
                    }
                }
            }
            Happening::Stopped { .. } => {
                self.holders.values_mut().for_each(|holders| holders.retain(|_, node| *node != event.node));
            }
            _ => {}
        }
    }

    fn hold(&mut self, node: NodeId, group: GroupId, member: MemberId, partitions: &[TopicPartition]) {
        for ((other, _), holders) in &mut self.holders {
            if *other == group {
                holders.retain(|id, at| *id != member && *at != node);
            }
        }
        for partition in partitions {
            self.holders.entry((group, *partition)).or_default().insert(member, node);
        }
    }

    fn judge_holders(
        &self,
        event: &Event,
        group: GroupId,
        member: MemberId,
        partitions: &[TopicPartition],
        log: &GroupLog,
        found: &mut Found,
    ) {
        let Some(members) = log.replicated(group) else { return };
        let is_member = |id: &MemberId| members.shares.contains_key(id);
        if !is_member(&member) {
            return;
        }
        for partition in partitions {
            let holders = &self.holders[&(group, *partition)];
            let other = holders.iter().find(|(id, _)| **id != member && is_member(id));
            if let Some((other, node)) = other {
                let place = Where { other: Some(*node), ..Where::at(*partition) };
                let message = format!("{member} was assigned what {other} still owns, and both are members");
                found.report(Invariant::OneOwner, event, place, message);
            }
        }
    }
}

/// The log has the member at a newer epoch than it knows of, without the partition.
fn was_given_away(
    log: &GroupLog,
    group: GroupId,
    member: MemberId,
    generation: Generation,
    partition: TopicPartition,
) -> bool {
    log.latest(group).is_some_and(|members| {
        members.epochs.get(&member).is_some_and(|epoch| generation < *epoch)
            && members.shares.get(&member).is_some_and(|share| !share.contains(&partition))
    })
}

/// With the log as this record left it.
pub fn judge_record(event: &Event, log: &GroupLog, record: &Group, found: &mut Found) {
    match record {
        Group::Metadata { group, members, .. } => {
            let mut seen = BTreeSet::new();
            for partition in members.iter().flat_map(|member| &member.assignment) {
                if !seen.insert(*partition) {
                    let message = format!("a generation of {group} gives a partition to two members");
                    found.report(Invariant::OneOwner, event, Where::at(*partition), message);
                }
            }
        }
        Group::Consumer { group, change: ConsumerChange::Target { epoch, assignment } } => {
            let Some(members) = log.replicated(*group) else { return };
            // The share of a static member goes to its new id also in an older target, of which others may be gone.
            if *epoch != members.epoch {
                return;
            }
            let mut given: Vec<TopicPartition> =
                assignment.iter().flat_map(|(_, share)| share.iter().copied()).collect();
            given.sort();
            let all = members.topics.iter().flat_map(|(topic, count)| {
                let topic = *topic;
                (0..*count).map(move |number| TopicPartition::new(topic, number))
            });
            if !given.iter().copied().eq(all) {
                let message = format!("a target of {group} does not give every partition once");
                found.report(Invariant::OneOwner, event, Where::default(), message);
            }
        }
        Group::Consumer { group, change: ConsumerChange::Current { member, current } } => {
            let Some(members) = log.replicated(*group) else { return };
            if members.epoch < current.epoch {
                let message =
                    format!("{member} is at epoch {} of {group}, which is at {}", current.epoch, members.epoch);
                found.report(Invariant::OneOwner, event, Where::default(), message);
            }
            for (other, share) in members.shares.iter().filter(|(other, _)| *other != member) {
                if let Some(partition) = current.assigned.iter().find(|partition| share.contains(partition)) {
                    let message = format!("{member} and {other} of {group} own a partition at once, says the log");
                    found.report(Invariant::OneOwner, event, Where::at(*partition), message);
                }
            }
        }
        Group::Offset { .. } | Group::OffsetExpired { .. } | Group::Consumer { .. } => {}
    }
}

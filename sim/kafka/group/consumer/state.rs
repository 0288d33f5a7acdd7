//! What the log says of a consumer group. Changed by [`State::replay`] and nowhere else, so that a new coordinator that
//! reads the log knows what the old one knew.
//!
//! Source: ConsumerGroup, GroupMetadataManager.replay.

use std::collections::BTreeMap;

use crate::types::record::{ConsumerChange, ConsumerMember, CurrentAssignment, MemberState};
use crate::types::*;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Counts changes of members, subscriptions and topics.
    pub epoch: Generation,
    /// What was subscribed when the epoch began, with the number of partitions.
    pub topics: Vec<(TopicId, u16)>,
    /// The group epoch from which the target was made.
    pub target_epoch: Generation,
    pub target: BTreeMap<MemberId, Vec<TopicPartition>>,
    pub members: BTreeMap<MemberId, Member>,
    /// At which epoch of its owner each partition is owned or pending revocation. Kafka: -1 for those that are not here.
    pub partition_epochs: BTreeMap<TopicPartition, Generation>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    pub metadata: ConsumerMember,
    pub current: CurrentAssignment,
}

impl State {
    pub fn replay(&mut self, change: &ConsumerChange, guards: Guards) {
        match change {
            ConsumerChange::Epoch { epoch, topics, .. } => {
                self.epoch = *epoch;
                self.topics = topics.clone();
            }
            ConsumerChange::Member { member, metadata } => {
                let metadata = metadata.clone();
                match self.members.get_mut(member) {
                    Some(known) => known.metadata = metadata,
                    None => {
                        self.members.insert(*member, Member { metadata, current: CurrentAssignment::default() });
                    }
                }
            }
            ConsumerChange::Target { epoch, assignment } => {
                self.target_epoch = *epoch;
                self.target = assignment.iter().cloned().collect();
            }
            ConsumerChange::Current { member, current } => {
                // Compaction may leave what a member owns in front of what it says of itself. Kafka: getOrMaybeCreateMember.
                let known = self.members.entry(*member).or_default();
                let old = std::mem::replace(&mut known.current, current.clone());
                self.move_partition_epochs(&old, current, guards);
            }
            ConsumerChange::MemberGone { member } => {
                self.target.remove(member);
                if let Some(gone) = self.members.remove(member) {
                    self.move_partition_epochs(&gone.current, &CurrentAssignment::default(), Guards::ALL);
                }
            }
        }
    }

    /// Everybody owns what the target says.
    pub fn is_reconciled(&self) -> bool {
        self.epoch == self.target_epoch
            && self.members.values().all(|member| match member.current.state {
                MemberState::Stable => member.current.epoch == self.target_epoch,
                MemberState::Away => true,
                MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => false,
            })
    }

    pub fn target_of(&self, member: MemberId) -> &[TopicPartition] {
        self.target.get(&member).map_or(&[], Vec::as_slice)
    }

    /// A member owns other partitions than before.
    fn move_partition_epochs(&mut self, old: &CurrentAssignment, new: &CurrentAssignment, guards: Guards) {
        self.release(&old.assigned);
        if guards.stand(Guard::PartitionEpochKept) {
            self.release(&old.pending_revocation);
            self.hold(&new.assigned, new.epoch);
        } else {
            // A mutant keeps two sets of books: what goes from one to the other is written out of both.
            self.hold(&new.assigned, new.epoch);
            self.release(&old.pending_revocation);
        }
        self.hold(&new.pending_revocation, new.epoch);
    }

    fn hold(&mut self, partitions: &[TopicPartition], epoch: Generation) {
        self.partition_epochs.extend(partitions.iter().map(|partition| (*partition, epoch)));
    }

    fn release(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.partition_epochs.remove(partition);
        }
    }
}

//! A group as the coordinator keeps it: what it has committed, and who is in it by one of the two protocols.
//!
//! Offsets and their expiry are the same for both; what differs is how long a group may be thought to come back for them.
//!
//! Source: the interface Group of Kafka's coordinator; OffsetExpirationCondition, KIP-211, KAFKA-13636.

use std::collections::BTreeSet;

use crate::types::record::ConsumerChange;
use crate::types::request::{ErrorCode, OffsetCommitRequest};
use crate::types::settings::BrokerSettings;
use crate::types::*;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::offsets::Offsets;
use super::turn::{Then, Turn, Write};

#[derive(Clone, Debug)]
pub(super) struct ManagedGroup {
    pub id: GroupId,
    pub offsets: Offsets,
    pub members: Members,
    /// An operator wants the offsets gone; waits while members are being moved.
    expiration_wanted: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Members {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

/// Which offsets may be forgotten when they are old.
pub(super) enum Retention {
    /// None: members are being moved.
    Nothing,
    /// All of them, together: the group is empty since this instant.
    Since(Time),
    /// Each by itself, except those of topics that are read.
    Unread(BTreeSet<TopicId>),
}

impl ManagedGroup {
    /// Until members say otherwise, a classic one: it may only hold offsets.
    pub fn new(id: GroupId, guards: Guards) -> ManagedGroup {
        ManagedGroup {
            id,
            offsets: Offsets::new(guards),
            members: Members::Classic(ClassicGroup::new(id)),
            expiration_wanted: false,
        }
    }

    pub fn classic(&mut self) -> Option<&mut ClassicGroup> {
        match &mut self.members {
            Members::Classic(group) => Some(group),
            Members::Consumer(_) => None,
        }
    }

    /// The same group by the newer protocol; `None` while it has members by the older one.
    pub fn consumer(&mut self) -> Option<&mut ConsumerGroup> {
        if matches!(&self.members, Members::Classic(group) if group.is_empty()) {
            self.members = Members::Consumer(ConsumerGroup::new(self.id));
        }
        match &mut self.members {
            Members::Consumer(group) => Some(group),
            Members::Classic(_) => None,
        }
    }

    pub fn replay_consumer(&mut self, change: &ConsumerChange, guards: Guards) {
        self.consumer().expect("the log of a group knows one protocol").replay(change, guards);
    }

    pub fn arm_sessions(&mut self, now: Time, settings: &BrokerSettings) {
        match &mut self.members {
            Members::Classic(group) => group.arm_sessions(now),
            Members::Consumer(group) => group.arm_sessions(now, settings),
        }
    }

    pub fn validate_commit(&self, commit: &OffsetCommitRequest) -> ErrorCode {
        let membership = commit.membership;
        match &self.members {
            Members::Classic(group) => group.validate_commit(membership, commit.instance),
            Members::Consumer(group) => group.validate_commit(membership),
        }
    }

    pub fn validate_transactional_commit(&self, membership: Option<(MemberId, Generation)>) -> ErrorCode {
        match &self.members {
            Members::Classic(group) => group.validate_transactional_commit(membership),
            Members::Consumer(group) => group.validate_transactional_commit(membership),
        }
    }

    /// A commit shows life in a classic group. A consumer group counts heartbeats only.
    pub fn renew_by_commit(&mut self, member: MemberId, now: Time) {
        if let Some(group) = self.classic() {
            group.renew_by_commit(member, now);
        }
    }

    pub fn rebalance(&mut self, turn: &mut Turn) {
        match &mut self.members {
            Members::Classic(group) => group.rebalance(turn),
            Members::Consumer(group) => group.rebalance(turn),
        }
    }

    pub fn handle_timeout(&mut self, turn: &mut Turn) {
        match &mut self.members {
            Members::Classic(group) => group.handle_timeout(turn),
            Members::Consumer(group) => group.handle_timeout(turn),
        }
    }

    /// The coordinator is gone: whoever waits here must look for the new one.
    pub fn resign(&mut self, turn: &mut Turn) {
        if let Some(group) = self.classic() {
            group.resign(turn);
        }
    }

    pub fn want_expiration(&mut self) {
        self.expiration_wanted = true;
    }

    /// Members have settled; an operator's wish had to wait for that.
    pub fn expire_wanted_offsets(&mut self, turn: &mut Turn) {
        if self.expiration_wanted {
            self.expire_offsets(turn);
        }
    }

    /// Appends tombstones for what may be forgotten now. Never while members are being moved. KIP-211, KAFKA-13636.
    pub fn expire_offsets(&mut self, turn: &mut Turn) {
        let now = turn.step.now.wall_clock;
        let age = turn.settings.offsets_retention;
        let limit = Time(now.0.saturating_sub(age.0));
        let is_old = age.0 <= now.0;
        let retention = match turn.guards.stand(Guard::RetentionOfEmptyGroups) {
            true => self.retention(),
            // A mutant looks at the age alone.
            false => Retention::Unread(BTreeSet::new()),
        };
        let partitions: Vec<TopicPartition> = match retention {
            Retention::Nothing => return,
            Retention::Since(_) | Retention::Unread(_) if std::mem::take(&mut self.expiration_wanted) => {
                self.offsets.partitions()
            }
            Retention::Since(since) if is_old && since <= limit => self.offsets.partitions(),
            Retention::Unread(read) if is_old => {
                self.offsets.committed_until(limit).filter(|partition| !read.contains(&partition.topic)).collect()
            }
            Retention::Since(_) | Retention::Unread(_) => return,
        };
        if partitions.is_empty() {
            return;
        }
        let group = self.id;
        let records =
            partitions.iter().map(|partition| Group::OffsetExpired { group, partition: *partition }).collect();
        turn.writes.push(Write { group, records, transaction: None, then: Then::Expired { partitions } });
    }

    /// True when nothing is left to remember; the group is then dead.
    pub fn die_if_unused(&mut self, turn: &mut Turn) -> bool {
        if !self.offsets.is_empty() {
            return false;
        }
        match &mut self.members {
            Members::Classic(group) => group.die_if_unused(turn),
            // Its epoch must outlive it: a member that was away may still come with an old one.
            Members::Consumer(_) => false,
        }
    }

    pub fn wake(&self) -> (Time, TimerName) {
        match &self.members {
            Members::Classic(group) => group.wake(),
            Members::Consumer(group) => group.wake(),
        }
    }

    pub fn check_invariants(&self) {
        match &self.members {
            Members::Classic(group) => group.check_invariants(),
            Members::Consumer(group) => group.check_invariants(),
        }
    }

    fn retention(&self) -> Retention {
        match &self.members {
            Members::Classic(group) => group.retention(),
            Members::Consumer(group) if group.is_empty() || group.is_reconciled() => Retention::Unread(group.topics()),
            Members::Consumer(_) => Retention::Nothing,
        }
    }
}

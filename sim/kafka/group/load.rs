//! Taking over a partition of the offsets topic, and giving it up: the log is read, the groups are what it says.
//!
//! Source: CoordinatorLoaderImpl, GroupMetadataManager.replay, OffsetMetadataManager.replay.

use crate::types::note::Note;
use crate::types::request::*;
use crate::types::*;

use super::consumer::reply_error;
use super::coordinator::{AppendToken, Coordinator, Pending, answer_commit, refuse};
use super::managed::ManagedGroup;
use super::transactions::answer_staged;
use super::turn::{Then, Turn};

impl Coordinator {
    /// Replays the log of a partition up to its end. Answers begin when the reading would be done.
    pub fn become_leader(
        &mut self,
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
        batches: &[RecordBatch],
        step: &mut Step,
    ) {
        assert!(partition.topic == self.config.offsets_topic, "coordinator of a partition of another topic");
        self.unload(partition.partition, step);
        let mut count = 0;
        for batch in batches {
            match &*batch.records {
                Records::Groups(records) => {
                    let transaction = batch.producer.filter(|stamp| stamp.transactional).map(|stamp| stamp.id);
                    for (place, record) in records.iter().enumerate() {
                        if !batch.compacted.has(place) {
                            count += 1;
                            self.replay(record, transaction, batch.base_offset.plus(place as u64));
                        }
                    }
                }
                Records::Marker(marker) => self.replay_marker(partition.partition, batch, marker.outcome),
                Records::Messages(_) | Records::Metadata(_) | Records::Transactions(_) => {}
            }
        }
        let ready = self.shards.begin(partition.partition, leader_epoch, count, step.time());
        self.arm(ready, "coordinator load");
        if self.next_expiration_check == Time::NEVER {
            self.next_expiration_check = step.time() + self.config.settings.offsets_retention_check_interval;
        }
        self.arm(self.next_expiration_check, "offset expiration check");
    }

    /// The broker does not lead the partition any more: everything of it is forgotten and whoever waits is told.
    pub fn resign(&mut self, partition: TopicPartition, step: &mut Step) {
        if self.config.guards.stand(Guard::CoordinatorUnload) {
            self.unload(partition.partition, step);
        }
    }

    /// The log is not read yet, so nothing is known; a heartbeat is answered blindly, as Kafka does.
    pub(super) fn answer_while_loading(&self, from: ReplyTo, request: &Request, step: &mut Step) {
        match request {
            Request::Heartbeat { .. } => step.reply(from, Response::Heartbeat(ErrorCode::None)),
            // A mutant takes "not read yet" for "nothing committed".
            Request::OffsetFetch { partitions, .. } if !self.config.guards.stand(Guard::CoordinatorLoading) => {
                let nothing = |partition: &TopicPartition| CommittedOffset {
                    partition: *partition,
                    offset: None,
                    leader_epoch: None,
                };
                let offsets = partitions.iter().map(nothing).collect();
                step.reply(from, Response::OffsetFetch { error: ErrorCode::None, offsets });
            }
            _ => refuse(from, request, ErrorCode::CoordinatorLoadInProgress, step),
        }
    }

    /// The only place where a record changes a group without a request. Kafka: OffsetMetadataManager.replay.
    fn replay(&mut self, record: &Group, transaction: Option<ProducerId>, written: Offset) {
        let id = match record {
            Group::Offset { group, .. }
            | Group::OffsetExpired { group, .. }
            | Group::Metadata { group, .. }
            | Group::Consumer { group, .. } => *group,
        };
        let group = self.groups.entry(id).or_insert_with(|| ManagedGroup::new(id, self.config.guards));
        match record {
            Group::Offset { partition, offset, leader_epoch, at, .. } => match transaction {
                Some(producer) => {
                    group.offsets.stage(producer, *partition, (*offset, *leader_epoch), *at, Some(written));
                }
                None => group.offsets.store(*partition, (*offset, *leader_epoch), *at, written),
            },
            Group::OffsetExpired { partition, .. } => {
                group.offsets.forget(*partition);
            }
            Group::Metadata { generation, leader, members, at, .. } => {
                let classic = group.classic().expect("the log of a group knows one protocol");
                classic.replay_metadata(*generation, *leader, members, *at);
            }
            Group::Consumer { change, .. } => group.replay_consumer(change, self.config.guards),
        }
    }

    pub(super) fn finish_loads(&mut self, step: &mut Step) {
        let now = step.time();
        for number in self.shards.finish_loads(now) {
            let mut count = 0;
            for group in self.groups.values_mut().filter(|group| self.shards.number_of(group.id.0) == number) {
                // A mutant waits for all of them for ever.
                if self.config.guards.stand(Guard::SessionsAfterLoad) {
                    group.arm_sessions(now, &self.config.settings);
                }
                count += 1;
            }
            step.note(Note::CoordinatorLoaded { groups: count });
        }
    }

    fn unload(&mut self, number: u16, step: &mut Step) {
        if !self.shards.give_up(number) {
            return;
        }
        let shards = &self.shards;
        let is_here = |id: GroupId| shards.number_of(id.0) == number;
        let orphaned: Vec<AppendToken> =
            self.pending.iter().filter(|(_, pending)| is_here(pending.group)).map(|(token, _)| *token).collect();
        for token in orphaned {
            let Pending { group, then, followers } = self.pending.remove(&token).expect("listed just now");
            for (from, answer) in followers {
                reply_error(from, ErrorCode::NotCoordinator, answer.member, step);
            }
            match then {
                Then::Committed { from: Some(from), by, member, offsets, .. } => {
                    answer_commit(from, group, by, member, &offsets, ErrorCode::NotCoordinator, step);
                }
                Then::Staged { from, member, .. } => {
                    answer_staged(from, group, member, ErrorCode::NotCoordinator, step);
                }
                Then::Changed { answer: Some((from, answer)), .. } => {
                    reply_error(from, ErrorCode::NotCoordinator, answer.member, step);
                }
                Then::Changed { answer: None, .. } => {}
                Then::Replaced { from, member } => {
                    let response = JoinGroupResponse {
                        error: ErrorCode::NotCoordinator,
                        generation: Generation(0),
                        member,
                        leader: MemberId::default(),
                        members: Vec::new(),
                    };
                    step.reply(from, Response::JoinGroup(response));
                }
                Then::Assigned { .. } | Then::Emptied | Then::Committed { .. } | Then::Expired { .. } => {}
            }
        }
        let gone: Vec<GroupId> = self.groups.keys().copied().filter(|id| is_here(*id)).collect();
        for id in gone {
            let mut group = self.groups.remove(&id).expect("listed just now");
            group.resign(&mut Turn {
                step,
                writes: &mut self.writes,
                settings: &self.config.settings,
                topics: &self.topics,
                guards: self.config.guards,
            });
        }
        if self.shards.is_empty() {
            self.next_expiration_check = Time::NEVER;
        }
        self.recompute_wake();
    }
}

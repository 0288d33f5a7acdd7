//! Applying the metadata log: the image first, then each changed partition once, with its latest state.
//!
//! A broker that has just started takes no role before it has read the log up to its own registration: what it reads
//! before that is history, in which it may still have led. Kafka: MetadataLoader, BrokerMetadataPublisher.

use std::collections::BTreeSet;

use super::*;
use crate::types::metadata::MetadataRecord;
use crate::types::note::Note;

impl Broker {
    pub(super) fn apply_metadata(&mut self, step: &mut Step) {
        let before = self.image.end_offset;
        let (mut changed, mut is_topic_new) = (BTreeSet::new(), false);
        while let Some(entry) = self.quorum.next_committed() {
            for record in &entry.records {
                if !self.image.is_continued_by(record) {
                    return self.give_up_image(step);
                }
                self.image.replay(record);
                is_topic_new |= matches!(record, MetadataRecord::Partition { .. });
                match record {
                    MetadataRecord::Partition { partition, .. }
                    | MetadataRecord::PartitionChanged { partition, .. } => {
                        changed.insert(*partition);
                    }
                    MetadataRecord::RegisterBroker { .. }
                    | MetadataRecord::BrokerChanged { .. }
                    | MetadataRecord::ProducerIds { .. } => {}
                }
            }
            self.image.end_offset = entry.offset.plus(1);
        }
        if self.image.end_offset == before {
            return;
        }
        step.note(Note::MetadataApplied { end_offset: self.image.end_offset });
        if is_topic_new {
            let mut topics = BTreeMap::new();
            for partition in self.image.partitions.keys() {
                *topics.entry(partition.topic).or_default() += 1;
            }
            self.coordinator.follow_topics(topics);
        }
        if self.lifecycle.is_caught_up() {
            for partition in changed {
                self.take_role(partition, step);
            }
            self.drop_stale_proposals();
        }
        self.notice_catch_up(step);
        // Markers may have found their leaders.
        self.advance_transactions(step);
    }

    /// The quorum has forgotten what it had committed, after a disk was wiped, and has gone another way. What this broker
    /// believes cannot be put right: it ends and reads everything anew.
    ///
    /// Kafka differs: MetadataLoader says so and goes on with an image that is wrong.
    fn give_up_image(&mut self, step: &mut Step) {
        self.phase = Phase::Ended;
        step.effect(Effect::Exit { clean: false });
    }

    /// The first roles are taken when the log has been read up to the registration.
    pub(super) fn notice_catch_up(&mut self, step: &mut Step) {
        if self.lifecycle.notice_metadata(self.image.end_offset, step.time()) {
            let all: Vec<TopicPartition> = self.image.partitions.keys().copied().collect();
            for partition in all {
                self.take_role(partition, step);
            }
        }
    }

    fn take_role(&mut self, id: TopicPartition, step: &mut Step) {
        let state = &self.image.partitions[&id];
        let place = match self.places.get(id).copied() {
            Some(place) => place,
            None if state.replicas.contains(&self.config.id) => self.open(id, LogImage::default(), step),
            None => return,
        };
        let partition = &mut self.slots[place].partition;
        let led = partition.is_leader().then(|| partition.leader_epoch()).flatten();
        let followed = partition.following();
        let epoch = partition.leader_epoch();
        partition.apply_metadata(&self.image.partitions[&id], &self.image, step);
        let leads = partition.is_leader().then(|| partition.leader_epoch()).flatten();
        let follows = partition.following();
        let is_new_term = epoch != partition.leader_epoch();
        if followed != follows {
            if let Some(leader) = followed {
                self.fetchers.unfollow(place, leader);
            }
            if let Some(leader) = follows {
                self.fetchers.follow(place, leader);
            }
        }
        // A new term may be asked about at once.
        if let Some(fetcher) = follows.and_then(|leader| self.fetchers.get_mut(leader))
            && is_new_term
        {
            fetcher.not_before = fetcher.not_before.min(step.time());
        }
        if id.topic == self.config.offsets_topic && led != leads {
            self.hand_over_groups(id, place, leads, step);
        }
        if Some(id.topic) == self.config.transactions_topic && led != leads {
            self.hand_over_transactions(id, place, leads, step);
        }
        self.settle(place, step);
    }

    /// The coordinator of a group is the leader of its offsets partition.
    fn hand_over_groups(&mut self, id: TopicPartition, place: usize, leads: Option<LeaderEpoch>, step: &mut Step) {
        let said = step.out.0.len();
        match leads {
            Some(epoch) => {
                let batches = self.slots[place].partition.log().batches();
                self.coordinator.become_leader(id, epoch, batches, step);
            }
            None => self.coordinator.resign(id, step),
        }
        self.release_answered(said, step);
    }

    fn drop_stale_proposals(&mut self) {
        let (slots, places) = (&self.slots, &self.places);
        self.link.retain_waiting(|proposal| {
            let place = places.get(proposal.request.partition).copied();
            place.is_some_and(|place| slots[place].partition.awaits_proposal(proposal.number))
        });
    }
}

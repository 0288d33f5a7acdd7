//! Replica fetchers: for every broker that leads something followed here, one fetch in flight, over all its partitions.
//!
//! The next fetch leaves when the answer to the last one has been applied, so what a leader knows of a follower is
//! never ahead of the follower's log. Kafka: ReplicaFetcherManager with one fetcher per broker.

use crate::types::*;

use super::Ask;

#[derive(Clone, Debug, Default)]
pub struct Fetchers {
    /// In the order of the leaders. They are few and looked at after every step.
    by_leader: Vec<(NodeId, Fetcher)>,
}

#[derive(Clone, Debug, Default)]
pub struct Fetcher {
    /// Places of the followed partitions, in order of their joining.
    pub slots: Vec<usize>,
    pub in_flight: Option<Ask>,
    pub not_before: Time,
    /// Counts the fetches to this leader since the process started.
    pub session_epoch: u32,
}

impl Fetchers {
    pub fn follow(&mut self, slot: usize, leader: NodeId) {
        let place = self.by_leader.partition_point(|(other, _)| *other < leader);
        if self.by_leader.get(place).is_none_or(|(other, _)| *other != leader) {
            self.by_leader.insert(place, (leader, Fetcher::default()));
        }
        let slots = &mut self.by_leader[place].1.slots;
        assert!(!slots.contains(&slot), "a partition is followed twice from {leader}");
        slots.push(slot);
    }

    pub fn unfollow(&mut self, slot: usize, leader: NodeId) {
        if let Some(fetcher) = self.get_mut(leader) {
            fetcher.slots.retain(|other| *other != slot);
        }
    }

    pub fn get_mut(&mut self, leader: NodeId) -> Option<&mut Fetcher> {
        self.by_leader.iter_mut().find(|(other, _)| *other == leader).map(|(_, fetcher)| fetcher)
    }

    /// Leaders whose fetcher has something to do now.
    pub fn due(&self, now: Time) -> Vec<NodeId> {
        let due = |fetcher: &Fetcher| fetcher.next_deadline().is_some_and(|time| time <= now);
        self.by_leader.iter().filter(|(_, fetcher)| due(fetcher)).map(|(leader, _)| *leader).collect()
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.by_leader.iter().filter_map(|(_, fetcher)| fetcher.next_deadline()).min()
    }
}

impl Fetcher {
    fn next_deadline(&self) -> Option<Time> {
        match self.in_flight {
            Some(ask) => Some(ask.deadline),
            None => (!self.slots.is_empty()).then_some(self.not_before),
        }
    }
}

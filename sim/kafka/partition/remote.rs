//! What a leader knows of one follower: how far it has fetched, and when it had last caught up. Kafka: Replica.

use crate::types::request::FetchReplica;
use crate::types::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteReplica {
    pub broker: NodeId,
    /// `None` until it has fetched in this leader epoch.
    pub log_end_offset: Option<Offset>,
    /// Registration its last fetch carried. KIP-903.
    pub broker_epoch: Option<BrokerEpoch>,
    last_caught_up: Option<Time>,
    /// Time of its last fetch and the leader's log end then.
    last_fetch: Option<(Time, Offset)>,
}

impl RemoteReplica {
    /// An in-sync follower is taken to have caught up when the term begins.
    pub fn unknown(broker: NodeId, in_sync: bool, now: Time) -> RemoteReplica {
        RemoteReplica {
            broker,
            log_end_offset: None,
            broker_epoch: None,
            last_caught_up: in_sync.then_some(now),
            last_fetch: None,
        }
    }

    /// Counts a fetch. `leader_end` was taken before the read. Kafka: Replica.updateFetchStateOrThrow.
    pub fn handle_fetch(&mut self, from: FetchReplica, fetch_offset: Offset, leader_end: Offset, now: Time) {
        if leader_end <= fetch_offset {
            self.last_caught_up = Some(now);
        } else if let Some((time, end)) = self.last_fetch
            && end <= fetch_offset
        {
            self.last_caught_up = self.last_caught_up.max(Some(time));
        }
        self.log_end_offset = Some(fetch_offset);
        self.broker_epoch = Some(from.broker_epoch);
        self.last_fetch = Some((now, leader_end));
    }

    /// How far it has come: ordered from behind to caught up.
    pub fn caught_up(&self) -> (Option<Offset>, Option<Time>, NodeId) {
        (self.log_end_offset, self.last_caught_up, self.broker)
    }

    pub fn is_caught_up(&self, leader_end: Offset, now: Time, lag_max: Duration) -> bool {
        self.log_end_offset == Some(leader_end) || self.last_caught_up.is_some_and(|time| now.since(time) <= lag_max)
    }
}

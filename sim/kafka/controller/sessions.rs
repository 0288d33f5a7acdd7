//! When each broker was last heard of. In memory of the active controller only: a new one gives everybody a full
//! session, because it cannot know. Kafka: BrokerHeartbeatManager, BrokerHeartbeatTracker.

use std::collections::BTreeMap;

use crate::types::metadata::ClusterImage;
use crate::types::*;

#[derive(Clone, Debug)]
pub(super) struct Sessions {
    timeout: Duration,
    brokers: BTreeMap<NodeId, Session>,
}

#[derive(Clone, Debug)]
struct Session {
    /// `None` when the session has ended.
    heard_at: Option<Time>,
    /// End of the metadata log as applied by the broker.
    metadata_offset: Offset,
    /// Others must have applied the metadata log up to here before the broker may stop.
    shutdown_offset: Option<Offset>,
}

impl Sessions {
    /// Re-arms the session of every registered broker.
    pub fn new(timeout: Duration, image: &ClusterImage, now: Time) -> Sessions {
        let mut sessions = Sessions { timeout, brokers: BTreeMap::new() };
        for (broker, state) in &image.brokers {
            let shutdown_offset = state.shutting_down.then_some(image.end_offset);
            let session = Session { heard_at: Some(now), metadata_offset: Offset::ZERO, shutdown_offset };
            sessions.brokers.insert(*broker, session);
        }
        sessions
    }

    /// A registration begins a session.
    pub fn begin(&mut self, broker: NodeId, now: Time) {
        let session = Session { heard_at: Some(now), metadata_offset: Offset::ZERO, shutdown_offset: None };
        self.brokers.insert(broker, session);
    }

    pub fn renew(&mut self, broker: NodeId, metadata_offset: Offset, now: Time) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.heard_at = Some(now);
            session.metadata_offset = metadata_offset;
        }
    }

    /// The broker's leaderships were moved by records that end at `end`.
    pub fn begin_shutdown(&mut self, broker: NodeId, end: Offset) {
        if let Some(session) = self.brokers.get_mut(&broker) {
            session.shutdown_offset = Some(end);
        }
    }

    /// Ends the sessions that are over and names their brokers.
    pub fn expire(&mut self, now: Time) -> Vec<NodeId> {
        let mut expired = Vec::new();
        for (broker, session) in &mut self.brokers {
            if session.heard_at.is_some_and(|heard_at| heard_at + self.timeout <= now) {
                session.heard_at = None;
                expired.push(*broker);
            }
        }
        expired
    }

    pub fn is_valid(&self, broker: NodeId, now: Time) -> bool {
        let heard_at = self.brokers.get(&broker).and_then(|session| session.heard_at);
        heard_at.is_some_and(|heard_at| now < heard_at + self.timeout)
    }

    /// Whether all brokers that go on know of the moves that the stopping broker waits for.
    pub fn shutdown_is_known(&self, broker: NodeId, image: &ClusterImage) -> bool {
        let Some(wanted) = self.brokers.get(&broker).and_then(|session| session.shutdown_offset) else {
            return false;
        };
        image
            .brokers
            .iter()
            .filter(|(_, state)| !state.fenced && !state.shutting_down)
            .all(|(other, _)| self.brokers.get(other).is_some_and(|session| session.metadata_offset >= wanted))
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.brokers.values().filter_map(|session| session.heard_at).min().map(|heard_at| heard_at + self.timeout)
    }
}

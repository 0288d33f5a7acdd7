//! One leader per epoch: no two brokers lead a partition in the same leader epoch.
//!
//! Why it matters: everything that fences (fetches, truncation, appends) compares epochs. Two leaders of one epoch cannot
//! be told apart, and both would be believed.
//!
//! How it is decided: the first broker that begins to lead in an epoch owns it; the same broker may say so again after a
//! restart. Never unknown. Source: KIP-101; ElectionSafety of Raft.

use std::collections::BTreeMap;

use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct OneLeaderPerEpoch {
    leaders: BTreeMap<(TopicPartition, LeaderEpoch), NodeId>,
}

impl OneLeaderPerEpoch {
    pub fn after(&mut self, event: &Event, found: &mut Found) {
        let Happening::Note(Note::BecameLeader { partition, leader_epoch, .. }) = &event.what else { return };
        let leader = *self.leaders.entry((*partition, *leader_epoch)).or_insert(event.node);
        if leader != event.node {
            let place = Where { other: Some(leader), leader_epoch: Some(*leader_epoch), ..Where::at(*partition) };
            let message = format!("a second leader in leader epoch {leader_epoch}");
            found.report(Invariant::OneLeaderPerEpoch, event, place, message);
        }
    }
}

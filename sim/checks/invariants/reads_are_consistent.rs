//! Reads are consistent: what a consumer was given at an offset stays there.
//!
//! Why it matters: a consumer acts on what it reads. A record that is gone afterwards, or that is another one for the next
//! reader, has had effects that nobody can account for. It is why nothing above the high watermark is handed out, by a leader
//! or by a follower (KIP-392).
//!
//! How it is decided: for each partition the end of what was handed out is kept. When a replica begins to lead and its log
//! leaves the one that counted before that end, records are gone that somebody has read.
//!
//! When it does not judge: after an unclean election, and after more losses of unflushed data than the partition must
//! survive. All losses of the run count: what is handed out now may have been fetched before any of them. What retention
//! removed is not compared.
//!
//! Source: ConsistentRead of kafka_replication_kip_966; KIP-392.

use super::promised::{NewLeader, Promised};
use super::{Durability, Found, Where};
use crate::checks::incidents::Incidents;
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct ReadsAreConsistent {
    durability: Durability,
    partitions: PartitionTable<Promised>,
}

impl ReadsAreConsistent {
    pub fn new(durability: Durability) -> ReadsAreConsistent {
        ReadsAreConsistent { durability, partitions: PartitionTable::default() }
    }

    pub fn before(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        match &event.what {
            Happening::Note(Note::BecameLeader { partition, leader_epoch, log_end_offset, .. }) => {
                let (Some(log), Some(read)) = (logs.of(*partition), self.partitions.get_mut(*partition)) else {
                    return;
                };
                let leader = NewLeader { node: event.node, epoch: *leader_epoch, log_end_offset: *log_end_offset };
                let Some(gone) = read.lead(leader, log, incidents, &self.durability, partition.topic) else { return };
                let place = Where {
                    other: log.leader.map(|(_, leader)| leader),
                    leader_epoch: Some(*leader_epoch),
                    offset: Some(gone.start),
                    ..Where::at(*partition)
                };
                let message = format!("offsets {}..{} were read, and the new leader lacks them", gone.start, gone.end);
                found.report(Invariant::ReadsAreConsistent, event, place, message);
            }
            Happening::Note(Note::ElectedUncleanly { partition, leader_epoch }) => {
                self.partitions.or_insert_with(*partition, Promised::default).give_up(*leader_epoch);
            }
            Happening::Note(Note::PartitionChanged { partition, state, .. }) => {
                self.partitions.or_insert_with(*partition, Promised::default).assign(&state.replicas);
            }
            _ => {}
        }
    }

    /// What lies beyond the log that counts was gone before it was handed out, and its loss judged then.
    pub fn of_client(&mut self, event: &Event, logs: &Logs) {
        if let Happening::Note(Note::Polled { partition, to, .. }) = &event.what
            && let Some(log) = logs.of(*partition)
        {
            let read = self.partitions.or_insert_with(*partition, Promised::default);
            read.give((*to).min(log.counting.end()), 0);
        }
    }
}

//! Offsets ordered: log start ≤ high watermark ≤ log end on every replica, and a leader's high watermark never goes back
//! within its term.
//!
//! Why it matters: consumers read up to the high watermark. One that lies beyond the log promises records that are not
//! there, and one that goes back takes records away that were read.
//!
//! How it is decided: at each note of a high watermark, against the end of that replica's log as its appends and
//! truncations tell; and when a replica begins to lead, with what it knows then. Log start is compared on leaders only: a
//! follower hears of it on its own time.
//!
//! Never unknown. Kafka: Partition.maybeIncrementLeaderHW, UnifiedLog.updateHighWatermark.

use super::{Found, Where};
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct OffsetsOrdered {
    terms: PartitionTable<(LeaderEpoch, NodeId, Offset)>,
}

impl OffsetsOrdered {
    pub fn after(&mut self, event: &Event, logs: &Logs, found: &mut Found) {
        // A log that is empty but for its start says nothing of itself when it is recovered.
        let (partition, leader_epoch, offset, as_leader, said_end) = match &event.what {
            Happening::Note(Note::HighWatermark { partition, leader_epoch, offset, as_leader }) => {
                (partition, leader_epoch, offset, *as_leader, Offset::ZERO)
            }
            Happening::Note(Note::BecameLeader { partition, leader_epoch, high_watermark, log_end_offset }) => {
                (partition, leader_epoch, high_watermark, true, *log_end_offset)
            }
            _ => return,
        };
        let place = Where { leader_epoch: Some(*leader_epoch), offset: Some(*offset), ..Where::at(*partition) };
        let replica = logs.of(*partition).and_then(|log| log.replicas.get(&event.node));
        let (start, end) = replica.map_or((Offset::ZERO, Offset::ZERO), |replica| (replica.start, replica.end()));
        let end = end.max(said_end);
        if end < *offset {
            let message = format!("high watermark {offset} lies beyond the log, which ends at {end}");
            found.report(Invariant::OffsetsOrdered, event, place, message);
        }
        if !as_leader {
            return;
        }
        if *offset < start {
            let message = format!("high watermark {offset} lies before the log, which starts at {start}");
            found.report(Invariant::OffsetsOrdered, event, place, message);
        }
        let term = self.terms.or_insert_with(*partition, || (*leader_epoch, event.node, *offset));
        if (term.0, term.1) == (*leader_epoch, event.node) {
            if *offset < term.2 {
                let message = format!("the leader's high watermark went back from {} to {offset}", term.2);
                found.report(Invariant::OffsetsOrdered, event, place, message);
            }
            term.2 = *offset;
        } else if term.0 < *leader_epoch {
            *term = (*leader_epoch, event.node, *offset);
        }
    }
}

//! Reads are contiguous: a consumer is handed the records of a partition one behind the other, and commits no further.
//!
//! Why it matters: what a consumer skips in its own memory nobody delivers again, since its next commit covers it; and what it
//! goes back to without being told is repeated for no reason that anybody could find.
//!
//! How it is decided: for each process the place in each partition is kept. A position that is set moves it, and says why; a poll
//! begins there and moves it to its end, and so does what is passed over because it holds nothing (markers, aborted records,
//! what compaction has removed). A commit is of a place that was reached by then: the queue does not check it.
//!
//! When it does not judge: the first poll of a partition whose position nobody has told.
//!
//! Source: I13 and I24 of the rule book; Jepsen's poll-skip and nonmonotonic-poll; Kafka: SubscriptionState.position.

use std::collections::BTreeMap;

use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct ReadsAreContiguous {
    /// By process, and by group: a redrive runs beside what its service reads.
    places: BTreeMap<(NodeId, GroupId), PartitionTable<Place>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    position: Option<Offset>,
    /// The furthest that the process has ever been.
    reached: Offset,
}

impl ReadsAreContiguous {
    pub fn after(&mut self, event: &Event) {
        match &event.what {
            Happening::Note(Note::PositionSet { group, partition, offset, .. }) => {
                self.place(event.node, *group, *partition).set(*offset);
            }
            Happening::Stopped { .. } => self.places.retain(|(node, _), _| *node != event.node),
            _ => {}
        }
    }

    /// What a client says of its own reading.
    pub fn of_client(&mut self, event: &Event, note: &Note, found: &mut Found) {
        match note {
            Note::Polled { group, partition, from, to, .. }
            | Note::PassedOver { group, partition, from, to }
            | Note::PassedCompacted { group, partition, from, to } => {
                let place = self.place(event.node, *group, *partition);
                let expected = place.position.replace(*to);
                place.reached = place.reached.max(*to);
                if let Some(expected) = expected.filter(|expected| expected != from) {
                    let place = Where { offset: Some(expected.min(*from)), ..Where::at(*partition) };
                    let message = format!("a consumer at offset {expected} went on at {from}");
                    found.report(Invariant::ReadsAreContiguous, event, place, message);
                }
            }
            Note::CommitSent { group, partition, offset } => {
                let reached = self.place(event.node, *group, *partition);
                if reached.position.is_some() && reached.reached < *offset {
                    let place = Where { offset: Some(*offset), ..Where::at(*partition) };
                    let message = format!("a consumer that had come to offset {} committed {offset}", reached.reached);
                    found.report(Invariant::ReadsAreContiguous, event, place, message);
                }
            }
            _ => {}
        }
    }

    fn place(&mut self, node: NodeId, group: GroupId, partition: TopicPartition) -> &mut Place {
        self.places.entry((node, group)).or_default().or_insert_with(partition, Place::default)
    }
}

impl Place {
    fn set(&mut self, offset: Offset) {
        self.position = Some(offset);
        self.reached = self.reached.max(offset);
    }
}

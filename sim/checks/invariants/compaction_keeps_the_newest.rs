//! Compaction keeps the newest: what it removes is superseded by a newer record of its key that stays, or was aborted.
//!
//! Why it matters: a compacted topic is read as a table. If the newest row of a key goes, the table is wrong for everybody who
//! reads it from then on, and nothing is left that could tell.
//!
//! How it is decided: the copies of compacted topics are kept beside, batch for batch. When one is compacted, every record that
//! it removes must have a newer one of its key below the end of what was compacted, which is not removed by then and does not
//! hang on a transaction that was aborted or is not decided. Records of aborted transactions may go.
//!
//! When it does not judge: the queue's own topics. What is read of those is judged where it is used (`committed-offsets-survive`,
//! `commits-are-current`, `one-owner`).
//!
//! Source: LogCleaner (buildOffsetMap, shouldRetainRecord), CleanedTransactionMetadata.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::note::Note;
use crate::types::record::TransactionOutcome;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct CompactionKeepsTheNewest {
    compacted: BTreeSet<TopicId>,
    copies: BTreeMap<(NodeId, TopicPartition), Copy>,
}

/// What a replica has, and what it has removed.
#[derive(Clone, Debug, Default)]
struct Copy {
    batches: Vec<RecordBatch>,
    removed: BTreeSet<Offset>,
}

impl CompactionKeepsTheNewest {
    pub fn new(plan: &Plan) -> CompactionKeepsTheNewest {
        let compacted = plan.own_topics().iter().filter(|topic| topic.settings.cleanup_policy.compacts());
        CompactionKeepsTheNewest { compacted: compacted.map(|topic| topic.id).collect(), copies: BTreeMap::new() }
    }

    pub fn after(&mut self, event: &Event, found: &mut Found) {
        if self.compacted.is_empty() {
            return;
        }
        let Happening::Note(note) = &event.what else { return };
        match note {
            Note::BatchAppended { partition, batch, .. } if self.compacted.contains(&partition.topic) => {
                let copy = self.copies.entry((event.node, *partition)).or_default();
                // Also of a log that is read again from the disk.
                copy.cut(batch.base_offset);
                let places = batch.compacted.places().map(|place| batch.base_offset.plus(u64::from(place)));
                copy.removed.extend(places);
                copy.batches.push(batch.clone());
            }
            Note::LogTruncated { partition, to, .. } => {
                if let Some(copy) = self.copies.get_mut(&(event.node, *partition)) {
                    copy.cut(*to);
                }
            }
            Note::LogStartMoved { partition, to } => {
                if let Some(copy) = self.copies.get_mut(&(event.node, *partition)) {
                    copy.batches.retain(|batch| *to < batch.end_offset());
                }
            }
            Note::LogCompacted { partition, to, removed } => {
                let Some(copy) = self.copies.get_mut(&(event.node, *partition)) else { return };
                for (offset, key) in copy.compact(*to, removed) {
                    let place = Where { offset: Some(offset), ..Where::at(*partition) };
                    let message =
                        format!("compaction removed offset {offset}, and nothing newer of key {} is left", key.0);
                    found.report(Invariant::CompactionKeepsTheNewest, event, place, message);
                }
            }
            _ => {}
        }
    }
}

impl Copy {
    fn cut(&mut self, to: Offset) {
        let kept = self.batches.partition_point(|batch| batch.end_offset() <= to);
        self.batches.truncate(kept);
        self.removed.split_off(&to);
    }

    /// Removes what a compaction removes. Returns what it should have left.
    fn compact(&mut self, to: Offset, removed: &[(Offset, Offset)]) -> Vec<(Offset, Key)> {
        let now: BTreeSet<Offset> = removed.iter().flat_map(|(from, to)| (from.0..to.0).map(Offset)).collect();
        self.removed.extend(now.iter().copied());
        let (mut newer, mut ends) = (BTreeSet::new(), BTreeMap::new());
        let mut wrong = Vec::new();
        // From the end on, so that every record meets what came behind it.
        for batch in self.batches.iter().rev() {
            let stamp = batch.producer.filter(|stamp| stamp.transactional);
            if let Some((stamp, marker)) = stamp.zip(batch.marker()) {
                ends.insert(stamp.id, marker.outcome);
                continue;
            }
            let end = stamp.map(|stamp| ends.get(&stamp.id).copied());
            let is_committed = end.is_none_or(|end| end == Some(TransactionOutcome::Commit));
            let is_aborted = end == Some(Some(TransactionOutcome::Abort));
            for (place, record) in batch.messages().iter().enumerate().rev() {
                let (offset, key) = (batch.base_offset.plus(place as u64), record.message.key);
                if to <= offset {
                    continue;
                }
                if now.contains(&offset) && !is_aborted && !newer.contains(&key) {
                    wrong.push((offset, key));
                } else if is_committed && !self.removed.contains(&offset) {
                    newer.insert(key);
                }
            }
        }
        wrong.reverse();
        wrong
    }
}

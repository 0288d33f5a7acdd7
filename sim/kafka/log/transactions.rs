//! The transactions of a log: which are open and where they began, which have ended and how.
//!
//! The idea: like what is known of producers, this is a function of the batches. The first transactional batch of a
//! producer opens its transaction, a marker ends it. A follower and a recovering log come to the same by appending, and a
//! truncation takes back what it cut off, also the end of a transaction whose marker it removed.
//!
//! One list serves both of Kafka's questions: its tail says which ended transactions are not replicated yet (they bound
//! the last stable offset), its aborted entries are the index that a fetch of `read_committed` carries.
//!
//! Source: KIP-98; Kafka: ProducerStateManager (ongoingTxns, unreplicatedTxns), TransactionIndex.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::record::{AbortedTransaction, TransactionOutcome};
use crate::types::*;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// First offset of the open transaction of each producer, with the epoch it was opened in.
    open: BTreeMap<ProducerId, (Offset, ProducerEpoch)>,
    /// In the order of their markers.
    ended: Vec<EndedTransaction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EndedTransaction {
    producer: ProducerId,
    epoch: ProducerEpoch,
    first_offset: Offset,
    marker: Offset,
    outcome: TransactionOutcome,
}

impl Transactions {
    /// A batch is in the log.
    pub fn append(&mut self, batch: &RecordBatch) {
        let Some(stamp) = batch.producer.filter(|stamp| stamp.transactional) else { return };
        let Some(marker) = batch.marker() else {
            self.open.entry(stamp.id).or_insert((batch.base_offset, stamp.epoch));
            return;
        };
        // A marker that came twice, or that found no record here, ends nothing.
        if let Some((first_offset, epoch)) = self.open.remove(&stamp.id) {
            let (producer, outcome) = (stamp.id, marker.outcome);
            self.ended.push(EndedTransaction { producer, epoch, first_offset, marker: batch.base_offset, outcome });
        }
    }

    /// The log ends at `end` now: `removed` is what it had behind that.
    pub fn truncate(&mut self, end: Offset, removed: &[RecordBatch]) {
        let touched: BTreeSet<ProducerId> = removed.iter().filter_map(|batch| Some(batch.producer?.id)).collect();
        self.open.retain(|producer, (first, _)| !touched.contains(producer) || *first < end);
        while let Some(last) = self.ended.last().filter(|last| end <= last.marker).copied() {
            self.ended.pop();
            // What a removed marker had ended is open again, unless all of it is gone. The earliest wins: later ones
            // of the same producer began behind a marker that is gone too.
            if last.first_offset < end {
                self.open.insert(last.producer, (last.first_offset, last.epoch));
            }
        }
    }

    /// Retention removed what lies below `start`.
    pub fn start_at(&mut self, start: Offset, is_empty: bool) {
        self.ended.retain(|ended| start <= ended.marker);
        if is_empty {
            self.open.clear();
        }
    }

    /// Everything below is decided and will stay so: the end of what `read_committed` may read.
    ///
    /// With `unreplicated` false a marker counts before it is replicated, which is the bug of KAFKA-5121.
    pub fn last_stable_offset(&self, high_watermark: Offset, unreplicated: bool) -> Offset {
        let open = self.open.values().map(|(first, _)| *first).min();
        let behind = self.ended.iter().rev().take_while(|ended| high_watermark <= ended.marker);
        let ended = behind.filter(|_| unreplicated).map(|ended| ended.first_offset).min();
        open.into_iter().chain(ended).fold(high_watermark, Offset::min)
    }

    /// Aborted transactions with a record or their marker in `[from, to)`, by their first offset.
    pub fn aborted(&self, from: Offset, to: Offset) -> Vec<AbortedTransaction> {
        let first = self.ended.partition_point(|ended| ended.marker < from);
        let within = self.ended[first..]
            .iter()
            .filter(|ended| ended.outcome == TransactionOutcome::Abort && ended.first_offset < to);
        let mut aborted: Vec<AbortedTransaction> = within
            .map(|ended| AbortedTransaction { producer: ended.producer, first_offset: ended.first_offset })
            .collect();
        aborted.sort_by_key(|aborted| aborted.first_offset);
        aborted
    }

    /// Whether what this producer wrote at `offset` belongs to an aborted transaction.
    pub fn is_aborted(&self, producer: ProducerId, offset: Offset) -> bool {
        let behind = self.ended.partition_point(|ended| ended.marker <= offset);
        let its_end = self.ended[behind..].iter().find(|ended| ended.producer == producer);
        its_end.is_some_and(|ended| ended.outcome == TransactionOutcome::Abort && ended.first_offset <= offset)
    }

    /// Whether this producer has a transaction open that it began in this epoch.
    pub fn is_open(&self, producer: ProducerId, epoch: ProducerEpoch) -> bool {
        self.open.get(&producer).is_some_and(|(_, opened)| *opened == epoch)
    }

    /// Producers with an open transaction.
    pub fn open(&self) -> impl Iterator<Item = ProducerId> + '_ {
        self.open.keys().copied()
    }
}

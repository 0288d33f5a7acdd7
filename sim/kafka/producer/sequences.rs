//! Sequences of an idempotent producer: which batches may be sent, and when a new epoch is needed. KIP-98, KIP-360.
//!
//! The one idea: a batch keeps its (producer id, epoch, sequence) for as long as the log may hold it. It gets another
//! identity only after a leader has said that the log lacks it, and only when nothing of the partition is in flight any
//! more.
//!
//! Kafka differs: TransactionManager rewrites in-flight batches at once when it raises the epoch, which can append a
//! record twice (KAFKA-14034).

use std::collections::VecDeque;

use super::accumulator::BatchId;
use crate::types::record::ProducerStamp;
use crate::types::*;

/// The producer's identity at the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The producer is not idempotent.
    NotNeeded,
    /// To be asked for as soon as this instant has come.
    Wanted(Time),
    Asked,
    Known(ProducerId, ProducerEpoch),
}

impl Identity {
    /// A new epoch under which every partition begins again at sequence 0; a new id when the epochs are used up.
    pub fn raise_epoch(&mut self, now: Time) {
        if let Identity::Known(id, epoch) = *self {
            *self = match epoch < ProducerEpoch::LAST {
                true => Identity::Known(id, ProducerEpoch(epoch.0 + 1)),
                false => Identity::Wanted(now),
            };
        }
    }
}

/// Sequences of one partition. Kafka: TxnPartitionEntry.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequences {
    /// Under which identity `next` counts.
    identity: Option<(ProducerId, ProducerEpoch)>,
    next: Sequence,
    /// Batches with a sequence whose outcome is open, in order: in flight or waiting for another attempt.
    open: VecDeque<BatchId>,
    /// The last batch known to be in the log.
    succeeded: Option<BatchId>,
    /// The last batch given up although it had a sequence: a later success shows that it was appended.
    unresolved: Option<BatchId>,
    /// The log lacks what comes before the first open batch: under this identity nothing can be appended any more.
    gap: bool,
}

/// What an epoch change leaves to do with the batches that were open.
pub(super) struct Restart {
    pub open: VecDeque<BatchId>,
    pub identity: Option<(ProducerId, ProducerEpoch)>,
}

impl Sequences {
    /// Whether order allows this batch, the first of its queue, to be sent now.
    pub fn may_send(&self, id: BatchId, has_sequence: bool, identity: Identity) -> bool {
        match identity {
            Identity::NotNeeded => true,
            Identity::Wanted(_) | Identity::Asked => false,
            // While a retry is pending, only the first open sequence may be sent.
            Identity::Known(..) if has_sequence => !self.gap && self.open.front() == Some(&id),
            // A new batch would carry a sequence after those that nobody knows about, or another epoch than they. Kafka
            // differs: it sends several at once from the start. But a leader that knows nothing of a producer takes any
            // sequence, so the second would pass when the first is refused, and the first could not follow any more.
            Identity::Known(id, epoch) => {
                let current = self.identity == Some((id, epoch)) && self.succeeded.is_some() || self.open.is_empty();
                current && !self.gap && self.unresolved.is_none()
            }
        }
    }

    /// Gives a new batch of `count` records its place.
    pub fn assign(&mut self, batch: BatchId, count: u32, identity: Identity, guards: Guards) -> Option<ProducerStamp> {
        let Identity::Known(id, epoch) = identity else {
            return None;
        };
        if self.identity != Some((id, epoch)) {
            assert!(self.open.is_empty(), "sequences of two epochs are open at once");
            // In a mutant only the partition that needed the new epoch begins it as it must.
            if self.identity.is_none() || guards.stand(Guard::EverySequenceRestarts) {
                self.next = Sequence(0);
            }
            self.identity = Some((id, epoch));
            self.succeeded = None;
        }
        let stamp = ProducerStamp { id, epoch, base_sequence: self.next, transactional: false };
        self.next = self.next.plus(count);
        self.open.push_back(batch);
        Some(stamp)
    }

    /// A batch became two; the second follows the first.
    pub fn split(&mut self, first: BatchId, second: BatchId) {
        if let Some(place) = self.open.iter().position(|open| *open == first) {
            self.open.insert(place + 1, second);
        }
    }

    /// An answer says that the batch is in the log, and so everything before it.
    pub fn succeeded(&mut self, id: BatchId) {
        self.open.retain(|open| *open != id);
        self.succeeded = self.succeeded.max(Some(id));
        if self.unresolved <= self.succeeded {
            self.unresolved = None;
        }
    }

    /// The batch is given up; whether its sequences are in the log must show before new ones are used. True when nobody knows yet.
    pub fn given_up(&mut self, id: BatchId) -> bool {
        let count = self.open.len();
        self.open.retain(|open| *open != id);
        let is_unresolved = self.open.len() < count && self.succeeded < Some(id);
        if is_unresolved {
            self.unresolved = self.unresolved.max(Some(id));
        }
        is_unresolved
    }

    /// A leader said that the sequence of this batch does not follow. With an open batch before it, that one may still
    /// come. With a later one in the log, its place is taken: it is tried until it expires, as Kafka does, because
    /// under another identity it would end up behind its successors.
    pub fn out_of_order(&mut self, id: BatchId) {
        if self.open.front() == Some(&id) && self.succeeded < Some(id) {
            self.gap = true;
        }
    }

    /// A mutant begins again at 0 with all that is open, in the same epoch.
    pub fn restart_in_epoch(&mut self) -> VecDeque<BatchId> {
        self.next = Sequence(0);
        std::mem::take(&mut self.open)
    }

    /// A mutant takes a topic that is missing from one answer for one that is gone, and begins anew.
    pub fn forget_next(&mut self) {
        if self.open.is_empty() {
            self.next = Sequence(0);
        }
    }

    /// `Some` when only a new epoch lets the partition go on. Whoever asks `patiently` asks with nothing in flight, and gives
    /// every open batch the chance to show that what is before it was appended.
    pub fn restart(&mut self, patiently: bool) -> Option<Restart> {
        let hole = self.unresolved.is_some() && (self.open.is_empty() || !patiently);
        if !self.gap && !hole {
            return None;
        }
        self.gap = false;
        self.unresolved = None;
        Some(Restart { open: std::mem::take(&mut self.open), identity: self.identity.take() })
    }
}

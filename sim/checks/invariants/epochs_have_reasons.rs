//! Epochs have reasons: an idempotent producer begins a new epoch only when a batch of the epoch before failed, or a leader may
//! have lost one.
//!
//! Why it matters: a producer that raises its epoch for nothing loses its place in every partition, and may do so for ever:
//! each new epoch breaks what the last one had mended (KAFKA-12152). Nothing is lost by it but time, so that no fate shows it.
//!
//! How it is decided: a gap in the sequences of an epoch comes of a send that was given up in it, or of a log that lost what
//! was in it, and a log loses something only when somebody begins to lead. One of both must have happened since the epoch
//! began.
//!
//! When it does not judge: transactional producers, whose epochs are their coordinator's.
//!
//! Source: KIP-360, KAFKA-12152; Kafka: TransactionManager.bumpIdempotentEpochAndResetIdIfNeeded.

use std::collections::BTreeMap;

use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct EpochsHaveReasons {
    producers: BTreeMap<ProducerId, Epoch>,
    /// When a process last gave up a send, and when anybody last began to lead, by event number.
    given_up: BTreeMap<NodeId, u64>,
    led: u64,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    epoch: ProducerEpoch,
    began: u64,
    is_transactional: bool,
}

impl EpochsHaveReasons {
    pub fn after(&mut self, event: &Event, found: &mut Found) {
        let Happening::Note(note) = &event.what else { return };
        match note {
            Note::SendFailed { .. } => {
                self.given_up.insert(event.node, event.number);
            }
            Note::BecameLeader { .. } => self.led = event.number,
            Note::ProducerInitialized { producer, epoch, .. } => {
                let began = event.number;
                self.producers.insert(*producer, Epoch { epoch: *epoch, began, is_transactional: true });
            }
            Note::ProducerStarted { id, epoch } => self.begin(event, *id, *epoch, found),
            _ => {}
        }
    }

    fn begin(&mut self, event: &Event, id: ProducerId, epoch: ProducerEpoch, found: &mut Found) {
        let next = Epoch { epoch, began: event.number, is_transactional: false };
        let Some(last) = self.producers.insert(id, next) else { return };
        if last.is_transactional {
            self.producers.insert(id, last);
            return;
        }
        let given_up = self.given_up.get(&event.node).copied().unwrap_or_default();
        if last.epoch < epoch && given_up.max(self.led) < last.began {
            let message = format!(
                "producer {id} began epoch {epoch} although nothing of epoch {} was given up and no leader had changed",
                last.epoch
            );
            found.report(Invariant::EpochsHaveReasons, event, Where::default(), message);
        }
    }
}

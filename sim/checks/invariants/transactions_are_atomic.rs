//! Transactions are atomic: every partition is told the same end of a transaction, the one that its coordinator decided,
//! and the producer is told that one too.
//!
//! Why it matters: a transaction that is committed here and aborted there is worse than none, because everybody trusts it.
//!
//! How it is decided: a producer and the epoch that its markers carry name one end of one transaction (KIP-890: each end
//! raises the epoch). The first that says how it ended is believed: the coordinator, when its decision is replicated, or
//! after a failover the first marker. Whoever says otherwise later breaks it.
//!
//! When it does not judge: with `transaction.version` 1, whose transactions share an epoch.
//!
//! Source: KIP-98, KIP-890.

use std::collections::BTreeMap;

use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::note::{AppendRole, Note};
use crate::types::record::{TransactionOutcome, TransactionState};
use crate::types::settings::TransactionVersion;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct TransactionsAreAtomic {
    judges: bool,
    ends: BTreeMap<(ProducerId, ProducerEpoch), TransactionOutcome>,
}

impl TransactionsAreAtomic {
    pub fn new(plan: &Plan) -> TransactionsAreAtomic {
        let judges = plan.cluster.settings.transaction_version == TransactionVersion::Two;
        TransactionsAreAtomic { judges, ends: BTreeMap::new() }
    }

    pub fn after(&mut self, event: &Event, found: &mut Found) {
        let Happening::Note(note) = &event.what else { return };
        if !self.judges {
            return;
        }
        match note {
            Note::TransactionChanged { record, .. } => {
                let outcome = match record.state {
                    TransactionState::PrepareCommit => TransactionOutcome::Commit,
                    TransactionState::PrepareAbort => TransactionOutcome::Abort,
                    TransactionState::Empty
                    | TransactionState::Ongoing
                    | TransactionState::CompleteCommit
                    | TransactionState::CompleteAbort => return,
                };
                self.says(event, (record.producer, record.epoch), outcome, Where::default(), found);
            }
            Note::BatchAppended { partition, role: AppendRole::Leader, batch } => {
                if let (Some(stamp), Some(marker)) = (batch.producer, batch.marker()) {
                    let place = Where { offset: Some(batch.base_offset), ..Where::at(*partition) };
                    self.says(event, (stamp.id, stamp.epoch), marker.outcome, place, found);
                }
            }
            Note::TransactionEnded { producer, epoch, outcome: TransactionOutcome::Commit, .. } => {
                let end = (*producer, ProducerEpoch(epoch.0 + 1));
                self.says(event, end, TransactionOutcome::Commit, Where::default(), found);
            }
            _ => {}
        }
    }

    fn says(
        &mut self,
        event: &Event,
        end: (ProducerId, ProducerEpoch),
        outcome: TransactionOutcome,
        place: Where,
        found: &mut Found,
    ) {
        let known = *self.ends.entry(end).or_insert(outcome);
        if known != outcome {
            let (producer, epoch) = end;
            let message = format!(
                "the transaction of producer {producer} that ends with epoch {epoch} is a {known:?} and a {outcome:?}"
            );
            found.report(Invariant::TransactionsAreAtomic, event, place, message);
        }
    }
}

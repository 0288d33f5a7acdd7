//! Transactions are atomic: every partition is told the same end of a transaction, the one that its coordinator decided,
//! and the producer is told that one too; and what belongs to it is written before it has ended.
//!
//! Why it matters: a transaction that is committed here and aborted there is worse than none, because everybody trusts it.
//!
//! How it is decided: a producer and the epoch that its markers carry name one end of one transaction (KIP-890: each end
//! raises the epoch). The first that says how it ended is believed: the coordinator, when its decision is replicated, or
//! after a failover the first marker. Whoever says otherwise later breaks it. A record of an ended transaction breaks it too
//! when a leader appends it behind the marker, or in a partition that will get none: it falls into a later transaction,
//! or into one that nobody will ever end.
//!
//! When it does not judge: with `transaction.version` 1, whose transactions share an epoch.
//!
//! Source: KIP-98, KIP-890.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Found, Where};
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::note::{AppendRole, Note};
use crate::types::record::{ProducerStamp, TransactionOutcome, TransactionState};
use crate::types::settings::TransactionVersion;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct TransactionsAreAtomic {
    judges: bool,
    ends: BTreeMap<(ProducerId, ProducerEpoch), TransactionOutcome>,
    /// The last transaction of each producer that was decided.
    decided: BTreeMap<ProducerId, Decided>,
}

#[derive(Clone, Debug)]
struct Decided {
    /// That its markers carry.
    epoch: ProducerEpoch,
    /// Partitions that still have to get their marker.
    unmarked: Vec<TopicPartition>,
}

impl TransactionsAreAtomic {
    pub fn new(plan: &Plan) -> TransactionsAreAtomic {
        let judges = plan.cluster.settings.transaction_version == TransactionVersion::Two;
        TransactionsAreAtomic { judges, ends: BTreeMap::new(), decided: BTreeMap::new() }
    }

    pub fn after(&mut self, event: &Event, logs: &Logs, found: &mut Found) {
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
                let decided = Decided { epoch: record.epoch, unmarked: record.partitions.clone() };
                let known = self.decided.entry(record.producer).or_insert_with(|| decided.clone());
                if known.epoch < decided.epoch {
                    *known = decided;
                }
            }
            Note::BatchAppended { partition, role: AppendRole::Leader, batch } => {
                let place = Where { offset: Some(batch.base_offset), ..Where::at(*partition) };
                let counts =
                    || logs.of(*partition).is_some_and(|log| log.leader == Some((batch.leader_epoch, event.node)));
                match (batch.producer, batch.marker()) {
                    (Some(stamp), Some(marker)) => {
                        self.says(event, (stamp.id, stamp.epoch), marker.outcome, place, found);
                        if let Some(decided) = self.decided.get_mut(&stamp.id)
                            && decided.epoch == stamp.epoch
                        {
                            decided.unmarked.retain(|unmarked| unmarked != partition);
                        }
                    }
                    (Some(stamp), None) if stamp.transactional && self.is_late(stamp, *partition) && counts() => {
                        let message = format!(
                            "producer {} wrote with epoch {} after that transaction had ended here",
                            stamp.id, stamp.epoch
                        );
                        found.report(Invariant::TransactionsAreAtomic, event, place, message);
                    }
                    (_, _) => {}
                }
            }
            Note::TransactionEnded { producer, epoch, outcome: TransactionOutcome::Commit, .. } => {
                let end = (*producer, ProducerEpoch(epoch.0 + 1));
                self.says(event, end, TransactionOutcome::Commit, Where::default(), found);
            }
            _ => {}
        }
    }

    /// Whether the transaction of a record has ended in this partition.
    fn is_late(&self, stamp: ProducerStamp, partition: TopicPartition) -> bool {
        let Some(decided) = self.decided.get(&stamp.id) else { return false };
        match (stamp.epoch.0 + 1).cmp(&decided.epoch.0) {
            Ordering::Less => true,
            Ordering::Equal => !decided.unmarked.contains(&partition),
            Ordering::Greater => false,
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

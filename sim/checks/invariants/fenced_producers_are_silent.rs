//! Fenced producers are silent: once a producer has begun under a transactional id, nothing of an earlier one with that id
//! gets into a log, and no two producers are ever given the same identity. And only those are fenced that have a successor.
//!
//! Why it matters: it is what keeps a process that was only slow, and comes back, from writing beside its successor.
//!
//! How it is decided: by the epoch that the coordinator gave, from the moment it answered. A leader whose log counts must
//! not append a record with a lower one; markers are the coordinator's, and are not judged. A producer that says it was
//! fenced needs a reason: since its identity was given, the coordinator began another one or aborted a transaction. Whether a
//! reason is missing is not judged once a process lost unflushed data, and perhaps with it what a coordinator knew; nor while
//! a coordinator has been deposed and does not know it, since the identity was given: to it a producer that went on with its
//! successor has an epoch that was never given, and Kafka answers PRODUCER_FENCED to that one too
//! (TransactionCoordinator.endTransaction compares for equality). Such a producer ends without harm to any record. Nor, with
//! `transaction.version` 1, while a commit is decided that the producer has not been told: a late request of its last transaction may
//! have ended this one (KIP-890, motivation), and who then asks to abort it is answered INVALID_TXN_STATE, which is fatal.
//!
//! Source: KIP-98, KIP-588.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Where};
use crate::checks::incidents::Incidents;
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::note::{AppendRole, Note};
use crate::types::record::{TransactionRecord, TransactionState};
use crate::types::settings::TransactionVersion;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct FencedProducersAreSilent {
    topic: Option<TopicId>,
    current: BTreeMap<ProducerId, ProducerEpoch>,
    given: BTreeSet<(ProducerId, ProducerEpoch)>,
    /// When an identity came up, and the last time that a coordinator had a reason to fence somebody, by event number.
    known: BTreeMap<(ProducerId, ProducerEpoch), u64>,
    reasons: BTreeMap<TransactionalId, u64>,
    /// The partitions of the transactions topic, with those who take themselves for their leader.
    shards: BTreeMap<TopicPartition, BTreeSet<NodeId>>,
    /// The last time that one of them was deposed without knowing it, or came to know it, by event number.
    last_deposed: u64,
    /// Whether a late request may end a transaction that it was not meant for.
    late_ends: bool,
    /// Whose commit is decided and who has not been told.
    untold: BTreeSet<TransactionalId>,
}

impl FencedProducersAreSilent {
    pub fn new(plan: &Plan) -> FencedProducersAreSilent {
        FencedProducersAreSilent {
            topic: plan.transactions_topic(),
            current: BTreeMap::new(),
            given: BTreeSet::new(),
            known: BTreeMap::new(),
            reasons: BTreeMap::new(),
            shards: BTreeMap::new(),
            last_deposed: 0,
            late_ends: plan.cluster.settings.transaction_version == TransactionVersion::One,
            untold: BTreeSet::new(),
        }
    }

    pub fn after(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        let note = match &event.what {
            Happening::Note(note) => note,
            Happening::Stopped { .. } => return self.stopped(event),
            _ => return,
        };
        match note {
            Note::BecameLeader { partition, .. } if Some(partition.topic) == self.topic => {
                let leaders = self.shards.entry(*partition).or_default();
                leaders.insert(event.node);
                if leaders.len() > 1 {
                    self.last_deposed = event.number;
                }
            }
            Note::BecameFollower { partition, .. } => {
                let leaders = self.shards.get_mut(partition);
                let is_news = leaders.is_some_and(|leaders| leaders.remove(&event.node) && !leaders.is_empty());
                if is_news {
                    self.last_deposed = event.number;
                }
            }
            Note::ProducerInitialized { producer, epoch, .. } => {
                if !self.given.insert((*producer, *epoch)) {
                    let message = format!("producer {producer} with epoch {epoch} was given out twice");
                    found.report(Invariant::FencedProducersAreSilent, event, Where::default(), message);
                }
                let current = self.current.entry(*producer).or_default();
                *current = (*current).max(*epoch);
            }
            Note::TransactionEnded { transaction, .. } => {
                self.untold.remove(transaction);
            }
            Note::ProducerFenced { transaction, producer, epoch } if incidents.lossy.is_empty() => {
                let known = self.known.get(&(*producer, *epoch)).copied();
                let is_deposed = self.shards.values().any(|leaders| leaders.len() > 1);
                let may_be_deposed = is_deposed || known < Some(self.last_deposed);
                let may_be_ended = self.late_ends && self.untold.contains(transaction);
                if self.reasons.get(transaction).copied() <= known && !may_be_deposed && !may_be_ended {
                    let message = format!("producer {producer} with epoch {epoch} was fenced and has no successor");
                    found.report(Invariant::FencedProducersHaveSuccessors, event, Where::default(), message);
                }
            }
            Note::BatchAppended { partition, role: AppendRole::Leader, batch } if batch.marker().is_none() => {
                if let Records::Transactions(records) = &*batch.records {
                    records.iter().for_each(|record| self.learn(record, event.number));
                }
                let Some(stamp) = batch.producer.filter(|stamp| stamp.transactional) else { return };
                let counts =
                    logs.of(*partition).is_some_and(|log| log.leader == Some((batch.leader_epoch, event.node)));
                let Some(current) = self.current.get(&stamp.id).filter(|current| stamp.epoch < **current) else {
                    return;
                };
                if counts {
                    let place = Where { offset: Some(batch.base_offset), ..Where::at(*partition) };
                    let message = format!(
                        "producer {} wrote with epoch {} after epoch {current} was given out",
                        stamp.id, stamp.epoch
                    );
                    found.report(Invariant::FencedProducersAreSilent, event, place, message);
                }
            }
            _ => {}
        }
    }

    fn stopped(&mut self, event: &Event) {
        for leaders in self.shards.values_mut() {
            if leaders.remove(&event.node) && !leaders.is_empty() {
                self.last_deposed = event.number;
            }
        }
    }

    /// A coordinator wrote it down: a successor may go by it, also if nobody was told.
    fn learn(&mut self, record: &TransactionRecord, number: u64) {
        let next = record.next_producer.map(|next| (next, ProducerEpoch(0)));
        self.known.entry(next.unwrap_or((record.producer, record.epoch))).or_insert(number);
        if record.state == TransactionState::PrepareCommit {
            self.untold.insert(record.id);
        }
        if matches!(record.state, TransactionState::Empty | TransactionState::PrepareAbort) {
            self.reasons.insert(record.id, number);
        }
    }
}

//! Transactions end as told: what a producer was told is committed is committed wherever it wrote, and nothing is of what it
//! was told is aborted.
//!
//! Why it matters: an application goes on by what it is told. A transaction that is torn, or that somebody else's late request
//! has ended, is seen by nobody: each partition and each log of a coordinator is consistent for itself.
//!
//! How it is decided: the acknowledged records of a process are kept until it hears how its transaction ended. Each of them
//! stands in a stretch of the log that counts which a marker decides, before or after the producer hears of it; whichever
//! comes second is compared with the first.
//!
//! When it does not judge: with `transaction.version` 1, where a late request may fall into the next transaction and nothing
//! tells the two apart (KIP-890, motivation); a partition after an unclean election, and everything once a process lost
//! unflushed data.
//!
//! Source: KIP-98, KIP-890; KAFKA-17754.

use std::collections::BTreeMap;
use std::mem::take;

use super::{Found, Where};
use crate::checks::incidents::Incidents;
use crate::checks::logs::{Logs, TransactionalBatch};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::scenario::plan::Plan;
use crate::types::note::{AppendRole, Note};
use crate::types::record::TransactionOutcome;
use crate::types::settings::TransactionVersion;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct TransactionsEndAsTold {
    judges: bool,
    /// What a process has been acknowledged in its transaction.
    acknowledged: BTreeMap<NodeId, Vec<(TopicPartition, Offset)>>,
    partitions: BTreeMap<TopicPartition, Stretches>,
}

/// The transactional records of the log that counts.
#[derive(Clone, Debug, Default)]
struct Stretches {
    /// By first offset, with the end; without an outcome while they are undecided.
    all: BTreeMap<Offset, (Offset, Option<TransactionOutcome>)>,
    /// First offsets of those undecided.
    open: BTreeMap<ProducerId, Vec<Offset>>,
    /// What producers were told of their records; kept, because a failover may take the marker that says so too.
    told: BTreeMap<Offset, TransactionOutcome>,
    unclean: bool,
}

/// A record that ended otherwise than its producer was told.
type Contradiction = (Offset, TransactionOutcome, TransactionOutcome);

impl TransactionsEndAsTold {
    pub fn new(plan: &Plan) -> TransactionsEndAsTold {
        TransactionsEndAsTold {
            judges: plan.cluster.settings.transaction_version == TransactionVersion::Two,
            acknowledged: BTreeMap::new(),
            partitions: BTreeMap::new(),
        }
    }

    pub fn after(&mut self, event: &Event, logs: &Logs, incidents: &Incidents, found: &mut Found) {
        if !self.judges || !incidents.lossy.is_empty() {
            return;
        }
        match &event.what {
            Happening::Stopped { .. } | Happening::Note(Note::ProducerFenced { .. }) => {
                self.acknowledged.remove(&event.node);
            }
            Happening::Note(Note::SendSucceeded { partition, offset: Some(offset), .. })
                if self.partitions.contains_key(partition) =>
            {
                self.acknowledged.entry(event.node).or_default().push((*partition, *offset));
            }
            Happening::Note(Note::TransactionEnded { outcome, .. }) => {
                for (partition, offset) in self.acknowledged.remove(&event.node).unwrap_or_default() {
                    let stretches = self.partitions.entry(partition).or_default();
                    report(event, partition, stretches.tell(offset, *outcome), found);
                }
            }
            Happening::Note(Note::BatchAppended { partition, role: AppendRole::Leader, batch }) => {
                let Some(stamp) = batch.producer.filter(|stamp| stamp.transactional) else { return };
                let counts = logs.of(*partition).and_then(|log| log.leader) == Some((batch.leader_epoch, event.node));
                if counts {
                    let (producer, epoch, end) = (stamp.id, stamp.epoch, batch.end_offset());
                    let batch_of = TransactionalBatch { producer, epoch, end, marker: batch.marker() };
                    let stretches = self.partitions.entry(*partition).or_default();
                    for contradiction in stretches.append(batch.base_offset, &batch_of) {
                        report(event, *partition, Some(contradiction), found);
                    }
                }
            }
            Happening::Note(Note::BecameLeader { partition, .. }) => {
                let (Some(stretches), Some(log)) = (self.partitions.get_mut(partition), logs.of(*partition)) else {
                    return;
                };
                *stretches =
                    Stretches { told: take(&mut stretches.told), unclean: stretches.unclean, ..Default::default() };
                for (offset, batch) in log.transactional() {
                    for contradiction in stretches.append(offset, batch) {
                        report(event, *partition, Some(contradiction), found);
                    }
                }
            }
            Happening::Note(Note::ElectedUncleanly { partition, .. }) => {
                self.partitions.entry(*partition).or_default().unclean = true;
            }
            _ => {}
        }
    }
}

impl Stretches {
    /// A batch or a marker is in the log. A marker decides all that its producer has open.
    fn append(&mut self, offset: Offset, batch: &TransactionalBatch) -> Vec<Contradiction> {
        let Some(marker) = batch.marker else {
            self.all.insert(offset, (batch.end, None));
            self.open.entry(batch.producer).or_default().push(offset);
            return Vec::new();
        };
        let mut contradictions = Vec::new();
        for first in self.open.remove(&batch.producer).unwrap_or_default() {
            let Some((end, outcome)) = self.all.get_mut(&first) else { continue };
            *outcome = Some(marker.outcome);
            let told = self.told.range(first..*end);
            let differs = told.filter(|(_, told)| **told != marker.outcome && !self.unclean);
            contradictions.extend(differs.map(|(offset, told)| (*offset, *told, marker.outcome)));
        }
        contradictions
    }

    /// The producer of the record hears how its transaction ended. What is not transactional has no stretch.
    fn tell(&mut self, offset: Offset, told: TransactionOutcome) -> Option<Contradiction> {
        let (_, (end, outcome)) = self.all.range(..=offset).next_back()?;
        if *end <= offset {
            return None;
        }
        self.told.insert(offset, told);
        let outcome = outcome.filter(|outcome| *outcome != told && !self.unclean)?;
        Some((offset, told, outcome))
    }
}

fn report(event: &Event, partition: TopicPartition, contradiction: Option<Contradiction>, found: &mut Found) {
    if let Some((offset, told, outcome)) = contradiction {
        let place = Where { offset: Some(offset), ..Where::at(partition) };
        let message = format!("offset {offset} ends with a {outcome:?}, and its producer was told of a {told:?}");
        found.report(Invariant::TransactionsEndAsTold, event, place, message);
    }
}

//! Invariants of the queue: what must hold at every instant of every run, whatever the scenario expects.
//!
//! The one idea: each invariant is a fold over notes with a state of its own, constant work for each note, and no look
//! into a machine. They see the logs as they were before the note ([`Invariants::before`]), because what a new leader
//! lacks can only be seen beside what counted until then, and once after it.
//!
//! Source: the TLA+ models of KIP-966 (kafka_replication_kip_966) and of Kafka replication by Jason Gustafson
//! (hachikuji/kafka-specification); the names of invariants are theirs where they have one.

mod acknowledged_is_durable;
mod candidates_complete;
mod commits_are_current;
mod committed_offsets_survive;
mod compaction_keeps_the_newest;
mod epochs_have_reasons;
mod fenced_is_out;
mod fenced_producers_are_silent;
mod group_log;
mod logs_match;
mod lossy_is_out;
mod offsets_ordered;
mod one_leader_per_epoch;
mod one_owner;
mod premise;
mod promised;
mod quorum_remembers;
mod reads_are_committed;
mod reads_are_consistent;
mod reads_are_contiguous;
mod sends_are_told_truly;
mod sends_land_once;
mod transactions_are_atomic;
mod transactions_end_as_told;

use std::collections::BTreeMap;

use super::incidents::Incidents;
use super::logs::{Logs, Mismatch};
use super::outcome::{Invariant, InvariantViolation, VIOLATIONS_KEPT};
use crate::history::Event;
use crate::scenario::plan::Plan;
use crate::types::note::{AppendRole, Note};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Invariants {
    premise: premise::Premise,
    offsets_ordered: offsets_ordered::OffsetsOrdered,
    acknowledged_is_durable: acknowledged_is_durable::AcknowledgedIsDurable,
    candidates_complete: candidates_complete::CandidatesComplete,
    one_leader_per_epoch: one_leader_per_epoch::OneLeaderPerEpoch,
    fenced_is_out: fenced_is_out::FencedIsOut,
    groups: GroupInvariants,
    lossy_is_out: lossy_is_out::LossyIsOut,
    reads_are_consistent: reads_are_consistent::ReadsAreConsistent,
    reads_are_contiguous: reads_are_contiguous::ReadsAreContiguous,
    compaction_keeps_the_newest: compaction_keeps_the_newest::CompactionKeepsTheNewest,
    sends_land_once: sends_land_once::SendsLandOnce,
    sends_are_told_truly: sends_are_told_truly::SendsAreToldTruly,
    epochs_have_reasons: epochs_have_reasons::EpochsHaveReasons,
    quorum_remembers: quorum_remembers::QuorumRemembers,
    /// Of the queue's transactions; `None` where there are none.
    transactions: Option<TransactionInvariants>,
    found: Found,
}

#[derive(Clone, Debug)]
struct GroupInvariants {
    log: group_log::GroupLog,
    one_owner: one_owner::OneOwner,
    commits_are_current: commits_are_current::CommitsAreCurrent,
    committed_offsets_survive: committed_offsets_survive::CommittedOffsetsSurvive,
}

#[derive(Clone, Debug)]
struct TransactionInvariants {
    reads_are_committed: reads_are_committed::ReadsAreCommitted,
    transactions_are_atomic: transactions_are_atomic::TransactionsAreAtomic,
    transactions_end_as_told: transactions_end_as_told::TransactionsEndAsTold,
    fenced_producers_are_silent: fenced_producers_are_silent::FencedProducersAreSilent,
}

/// Violations found so far.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub violations: Vec<InvariantViolation>,
    counts: BTreeMap<Invariant, usize>,
}

/// How much unflushed data a partition may lose before a promise ends.
#[derive(Clone, Debug)]
struct Durability {
    min_in_sync: BTreeMap<TopicId, usize>,
    eligible_leader_replicas: bool,
}

impl Invariants {
    pub fn new(plan: &Plan) -> Invariants {
        let durability = Durability {
            min_in_sync: plan
                .topics
                .iter()
                .map(|topic| (topic.id, topic.settings.min_insync_replicas.min(topic.settings.replication) as usize))
                .collect(),
            eligible_leader_replicas: plan.cluster.settings.eligible_leader_replicas_version > 0,
        };
        Invariants {
            premise: premise::Premise::new(plan),
            offsets_ordered: Default::default(),
            acknowledged_is_durable: acknowledged_is_durable::AcknowledgedIsDurable::new(durability.clone()),
            candidates_complete: candidates_complete::CandidatesComplete::new(durability.clone()),
            one_leader_per_epoch: Default::default(),
            fenced_is_out: Default::default(),
            groups: GroupInvariants {
                log: group_log::GroupLog::new(plan),
                one_owner: Default::default(),
                commits_are_current: Default::default(),
                committed_offsets_survive: committed_offsets_survive::CommittedOffsetsSurvive::new(plan),
            },
            lossy_is_out: lossy_is_out::LossyIsOut::new(durability.clone()),
            reads_are_consistent: reads_are_consistent::ReadsAreConsistent::new(durability),
            reads_are_contiguous: Default::default(),
            compaction_keeps_the_newest: compaction_keeps_the_newest::CompactionKeepsTheNewest::new(plan),
            sends_land_once: sends_land_once::SendsLandOnce::new(plan),
            sends_are_told_truly: Default::default(),
            epochs_have_reasons: Default::default(),
            quorum_remembers: Default::default(),
            transactions: plan.transactions_topic().map(|_| TransactionInvariants {
                reads_are_committed: reads_are_committed::ReadsAreCommitted::new(plan),
                transactions_are_atomic: transactions_are_atomic::TransactionsAreAtomic::new(plan),
                transactions_end_as_told: transactions_end_as_told::TransactionsEndAsTold::new(plan),
                fenced_producers_are_silent: fenced_producers_are_silent::FencedProducersAreSilent::new(plan),
            }),
            found: Found::default(),
        }
    }

    /// With the logs as they were before the event. Words of clients and of replication go their own ways below.
    pub fn before(&mut self, event: &Event, logs: &Logs, incidents: &Incidents) {
        self.premise.observe(event);
        if self.premise.stands() {
            self.acknowledged_is_durable.before(event, logs, incidents, &mut self.found);
            self.reads_are_consistent.before(event, logs, incidents, &mut self.found);
            self.sends_land_once.before(event, logs);
        }
    }

    /// With the logs as the event left them.
    pub fn after(&mut self, event: &Event, logs: &Logs, incidents: &Incidents) {
        self.reads_are_contiguous.after(event);
        if !self.premise.stands() {
            return;
        }
        self.of_transactions(event, logs, incidents);
        self.offsets_ordered.after(event, logs, &mut self.found);
        self.candidates_complete.after(event, logs, incidents, &mut self.found);
        self.one_leader_per_epoch.after(event, &mut self.found);
        self.fenced_is_out.after(event, &mut self.found);
        let GroupInvariants { log, one_owner, commits_are_current, committed_offsets_survive } = &mut self.groups;
        committed_offsets_survive.after(event, logs, &mut self.found);
        commits_are_current.after(event, log, logs, &mut self.found);
        log.after(event, logs);
        one_owner.after(event, log, &mut self.found);
        self.lossy_is_out.after(event, incidents, &mut self.found);
        self.compaction_keeps_the_newest.after(event, &mut self.found);
        self.sends_are_told_truly.after(event, logs, &mut self.found);
        self.epochs_have_reasons.after(event, &mut self.found);
        self.quorum_remembers.after(event, self.premise.wiped_by(event), &mut self.found);
    }

    /// What replicas say all day: an append, a high watermark, an answer to a producer. With the logs as it left them.
    pub fn of_replication(
        &mut self,
        event: &Event,
        note: &Note,
        logs: &Logs,
        incidents: &Incidents,
        mismatch: Option<(TopicPartition, Mismatch)>,
    ) {
        if !self.premise.stands() {
            return;
        }
        self.of_transactions(event, logs, incidents);
        let GroupInvariants { log, commits_are_current, committed_offsets_survive, .. } = &mut self.groups;
        match note {
            Note::BatchAppended { role, .. } => {
                logs_match::after(event, mismatch, &mut self.found);
                self.compaction_keeps_the_newest.after(event, &mut self.found);
                if *role == AppendRole::Leader {
                    committed_offsets_survive.after(event, logs, &mut self.found);
                    commits_are_current.after(event, log, logs, &mut self.found);
                    log.after(event, logs);
                    self.sends_land_once.after(event, logs, &mut self.found);
                    self.sends_are_told_truly.after(event, logs, &mut self.found);
                }
            }
            Note::HighWatermark { as_leader, .. } => {
                self.offsets_ordered.after(event, logs, &mut self.found);
                if *as_leader {
                    self.acknowledged_is_durable.before(event, logs, incidents, &mut self.found);
                    self.candidates_complete.after(event, logs, incidents, &mut self.found);
                    if log.after(event, logs) {
                        while let Some(record) = log.next_replicated() {
                            one_owner::judge_record(event, log, &record, &mut self.found);
                        }
                    }
                }
            }
            _ => self.acknowledged_is_durable.after(event, logs, incidents, &mut self.found),
        }
    }

    /// A word of a client about the queue. With the logs as the event left them.
    pub fn of_client(&mut self, event: &Event, note: &Note, logs: &Logs, incidents: &Incidents) {
        self.reads_are_contiguous.of_client(event, note, &mut self.found);
        if !self.premise.stands() {
            return;
        }
        match note {
            Note::Polled { .. } => self.reads_are_consistent.of_client(event, logs),
            Note::Sent { .. } | Note::SendSucceeded { .. } => {
                self.sends_are_told_truly.after(event, logs, &mut self.found);
            }
            Note::SendFailed { .. } => {
                self.sends_are_told_truly.after(event, logs, &mut self.found);
                self.epochs_have_reasons.after(event, &mut self.found);
            }
            _ => {}
        }
        self.of_transactions(event, logs, incidents);
    }

    pub fn violations(&self) -> &[InvariantViolation] {
        &self.found.violations
    }

    #[inline]
    fn of_transactions(&mut self, event: &Event, logs: &Logs, incidents: &Incidents) {
        if let Some(transactions) = &mut self.transactions {
            transactions.reads_are_committed.after(event, logs, incidents, &mut self.found);
            transactions.transactions_are_atomic.after(event, logs, &mut self.found);
            transactions.transactions_end_as_told.after(event, logs, incidents, &mut self.found);
            transactions.fenced_producers_are_silent.after(event, logs, incidents, &mut self.found);
        }
    }
}

impl Found {
    fn report(&mut self, invariant: Invariant, event: &Event, place: Where, message: String) {
        let count = self.counts.entry(invariant).or_default();
        *count += 1;
        if *count > VIOLATIONS_KEPT {
            return;
        }
        self.violations.push(InvariantViolation {
            invariant,
            time: event.time,
            number: event.number,
            node: event.node,
            other: place.other,
            partition: place.partition,
            leader_epoch: place.leader_epoch,
            offset: place.offset,
            message,
        });
    }
}

/// Where a violation was seen, as far as it has a place.
#[derive(Clone, Copy, Debug, Default)]
struct Where {
    other: Option<NodeId>,
    partition: Option<TopicPartition>,
    leader_epoch: Option<LeaderEpoch>,
    offset: Option<Offset>,
}

impl Where {
    fn at(partition: TopicPartition) -> Where {
        Where { partition: Some(partition), ..Where::default() }
    }
}

impl Durability {
    /// Lossy failures that what was acknowledged must survive. Without eligible leader replicas the last replica
    /// standing is elected again after it lost its pages, so that one is too many (KIP-966, motivation).
    fn survives(&self, topic: TopicId, replicas: usize) -> usize {
        if !self.eligible_leader_replicas {
            return 0;
        }
        self.min_in_sync(topic).min(replicas).saturating_sub(1)
    }

    fn min_in_sync(&self, topic: TopicId) -> usize {
        self.min_in_sync.get(&topic).copied().unwrap_or(1)
    }
}

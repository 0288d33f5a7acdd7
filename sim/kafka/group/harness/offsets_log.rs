//! The log of the offsets topic: what a transcript shows of it, and what a coordinator finds in it when only the newest record of
//! each key is left.

use super::*;
use crate::kafka::log::{Log, LogSettings};
use crate::types::record::{ConsumerChange, CurrentAssignment};
use crate::types::storage::LogImage;

impl Harness {
    /// The groups that a new coordinator finds in a log.
    pub(super) fn loaded(&self, log: &[RecordBatch]) -> String {
        let mut coordinator = Coordinator::new(self.config(self.leader));
        let now = Now { monotonic: self.now, wall_clock: self.now };
        let mut step = Step { now, rng: &mut self.rng.clone(), out: &mut Outbox::default() };
        coordinator.become_leader(OFFSETS, self.leader_epoch, log, &mut step);
        format!("{:#?}", coordinator.groups)
    }

    /// The log of groups with the newest record of each of their keys, and nothing else.
    pub(super) fn compacted(&self) -> Vec<RecordBatch> {
        let topic = TopicSettings { cleanup_policy: CleanupPolicy::Compact, ..TopicSettings::default() };
        let settings = LogSettings::new(&BrokerSettings::default(), &topic, self.guards);
        let image = LogImage { batches: self.offsets_log.clone(), ..LogImage::default() };
        let mut log = Log::recover(image, settings);
        log.compact(log.end_offset());
        log.batches().to_vec()
    }

    pub(super) fn describe_log(&mut self) {
        let batches = self.offsets_log.clone();
        for batch in &batches {
            let Records::Groups(records) = &*batch.records else { continue };
            for record in records {
                let line = match record {
                    Group::Offset { partition, offset, .. } => format!("commit {}={offset}", partition.partition),
                    Group::OffsetExpired { partition, .. } => format!("expired {}", partition.partition),
                    Group::Metadata { generation, members, .. } => {
                        let members: Vec<String> = members
                            .iter()
                            .map(|member| format!("{} {}", self.member(member.member), partitions(&member.assignment)))
                            .collect();
                        format!("generation {generation} {}", members.join(", "))
                    }
                    Group::Consumer { change, .. } => self.describe_change(change),
                };
                self.lines.push(line.trim_end().to_string());
            }
        }
    }

    fn describe_change(&mut self, change: &ConsumerChange) -> String {
        match change {
            ConsumerChange::Epoch { epoch, .. } => format!("group epoch {epoch}"),
            ConsumerChange::Member { member, .. } => format!("{} subscribes", self.member(*member)),
            ConsumerChange::Target { epoch, assignment } => {
                let shares: Vec<String> = assignment
                    .iter()
                    .map(|(member, share)| format!("{} {}", self.member(*member), partitions(share)))
                    .collect();
                format!("target of epoch {epoch}: {}", shares.join(", "))
            }
            ConsumerChange::Current { member, current } => {
                let CurrentAssignment { epoch, state, assigned, pending_revocation, .. } = current;
                let pending = match pending_revocation.is_empty() {
                    true => String::new(),
                    false => format!(", has to give back {}", partitions(pending_revocation)),
                };
                format!("{} at epoch {epoch} {state:?} {}{pending}", self.member(*member), partitions(assigned))
            }
            ConsumerChange::MemberGone { member } => format!("{} is gone", self.member(*member)),
        }
    }
}

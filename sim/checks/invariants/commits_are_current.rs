//! Commits are current: a commit that was taken came from somebody who was a member when it was appended.
//!
//! Why it matters: a member that was taken out does not know what its successor has committed. Its commit takes the group back
//! (repetition), or past what nobody has processed (loss).
//!
//! How it is decided: at the append of a commit its group's members are noted as the log has them; when the coordinator says
//! that it took the commit, and from whom, that member must be among them. A member is judged, not its epoch: histories do
//! not say with which epoch a commit was sent. Commits from outside of group management, and of transactions, are not judged.
//!
//! Source: ClassicGroup.validateOffsetCommit, ConsumerGroup.validateOffsetCommit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::group_log::GroupLog;
use super::{Found, Where};
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::{AppendRole, Note};
use crate::types::record::Records;
use crate::types::*;

/// Commits of one partition that are appended and not answered yet; more of them are failed ones.
const REMEMBERED: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct CommitsAreCurrent {
    appended: BTreeMap<(GroupId, TopicPartition), VecDeque<Appended>>,
}

/// A commit in the log of its coordinator.
#[derive(Clone, Debug)]
struct Appended {
    by: NodeId,
    offset: Offset,
    /// Who was in the group.
    members: Arc<[MemberId]>,
}

impl CommitsAreCurrent {
    /// With the logs as the event left them.
    pub fn after(&mut self, event: &Event, log: &GroupLog, logs: &Logs, found: &mut Found) {
        match &event.what {
            Happening::Note(Note::BatchAppended { partition, role: AppendRole::Leader, batch }) => {
                let Records::Groups(records) = &*batch.records else { return };
                if batch.is_transactional()
                    || logs.of(*partition).and_then(|log| log.leader) != Some((batch.leader_epoch, event.node))
                {
                    return;
                }
                for record in records {
                    let Group::Offset { group, partition, offset, .. } = record else { continue };
                    let members = log.latest(*group).map_or_else(|| Arc::from([]), |members| members.ids.clone());
                    let waiting = self.appended.entry((*group, *partition)).or_default();
                    waiting.push_back(Appended { by: event.node, offset: *offset, members });
                    if REMEMBERED < waiting.len() {
                        waiting.pop_front();
                    }
                }
            }
            Happening::Note(Note::OffsetCommitted { group, partition, offset, member: Some(member), by }) => {
                let Some(waiting) = self.appended.get_mut(&(*group, *partition)) else { return };
                // The same offset may wait twice: one of them timed out, and somebody has committed it once more.
                let same = |(_, appended): &(usize, &Appended)| (appended.by, appended.offset) == (event.node, *offset);
                let mut waiting_for_it = waiting.iter().enumerate().filter(same).peekable();
                if waiting_for_it.peek().is_none() {
                    return;
                }
                if let Some((index, _)) = waiting_for_it.find(|(_, appended)| appended.members.contains(member)) {
                    waiting.drain(..=index);
                } else {
                    let place = Where { other: Some(*by), offset: Some(*offset), ..Where::at(*partition) };
                    let message = format!("the commit of {member} was taken, and it was no member of {group}");
                    found.report(Invariant::CommitsAreCurrent, event, place, message);
                }
            }
            _ => {}
        }
    }
}

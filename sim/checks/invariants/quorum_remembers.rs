//! The quorum remembers: a voter gives one vote in each epoch, an epoch has one controller, and nothing that was committed is
//! ever cut from a voter's log.
//!
//! Why it matters: everything else stands on the metadata log. Leaders are numbered by it, and in-sync sets are what it says;
//! two controllers of one epoch give out the same leader epochs twice.
//!
//! How it is decided: by the votes and the terms that voters tell, and by what their logs hold: an entry is its offset and its
//! epoch. What a controller says is committed is remembered; a voter that cuts such an entry, and a controller that commits
//! another one in its place, have forgotten it. A voter that votes twice is reported at its second vote, whoever wins.
//!
//! Never unknown while the premise stands (a wiped voter may make the quorum forget). A wiped voter has lost its vote with
//! its disk, so what it votes next is compared with nothing, even while the others hold everything that is committed.
//!
//! Source: Raft's ElectionSafety and LeaderCompleteness; KIP-595.

use std::collections::BTreeMap;

use super::{Found, Where};
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct QuorumRemembers {
    votes: BTreeMap<NodeId, (QuorumEpoch, NodeId)>,
    controller: Option<(QuorumEpoch, NodeId)>,
    /// Epochs of the entries of each voter's log, by offset; `None` where they were never told.
    logs: BTreeMap<NodeId, Vec<Option<QuorumEpoch>>>,
    committed: Vec<Option<QuorumEpoch>>,
}

impl QuorumRemembers {
    /// `wiped`: whose disks this event wipes.
    pub fn after(&mut self, event: &Event, wiped: &[NodeId], found: &mut Found) {
        for node in wiped {
            self.votes.remove(node);
        }
        let note = match &event.what {
            Happening::Note(note) => note,
            // What it still holds is for it to tell.
            Happening::Started { .. } => {
                self.logs.entry(event.node).or_default().fill(None);
                return;
            }
            _ => return,
        };
        match note {
            Note::VoteGranted { epoch, to } => self.vote(event, *epoch, *to, found),
            Note::BecameController { epoch } => {
                if let Some((known, before)) = self.controller
                    && known == *epoch
                    && before != event.node
                {
                    let place = Where { other: Some(before), ..Where::default() };
                    let message = format!("a second controller in quorum epoch {epoch}");
                    found.report(Invariant::QuorumRemembers, event, place, message);
                }
                self.controller = self.controller.max(Some((*epoch, event.node)));
            }
            Note::QuorumAppended { offset, epoch } => {
                let log = self.logs.entry(event.node).or_default();
                log.resize(offset.0 as usize, None);
                log.push(Some(*epoch));
            }
            Note::QuorumTruncated { to } => self.cut(event, *to, found),
            Note::QuorumHighWatermark { offset, .. } => self.commit(event, *offset, found),
            _ => {}
        }
    }

    fn vote(&mut self, event: &Event, epoch: QuorumEpoch, to: NodeId, found: &mut Found) {
        let before = self.votes.insert(event.node, (epoch, to));
        if let Some((known, before)) = before
            && known == epoch
            && before != to
        {
            let place = Where { other: Some(to), ..Where::default() };
            let message = format!("voted for {before} and for {to} in quorum epoch {epoch}");
            found.report(Invariant::QuorumRemembers, event, place, message);
        }
    }

    fn cut(&mut self, event: &Event, to: Offset, found: &mut Found) {
        let log = self.logs.entry(event.node).or_default();
        let pairs = log.iter().zip(&self.committed).skip(to.0 as usize);
        if pairs.into_iter().any(|(held, committed)| held.is_some() && held == committed) {
            let place = Where { offset: Some(to), ..Where::default() };
            let message = format!("cut the metadata log at {to}, and what stood there was committed");
            found.report(Invariant::QuorumRemembers, event, place, message);
        }
        log.truncate(to.0 as usize);
    }

    /// Logs match up to an entry that they share, so that the last one is compared for all.
    fn commit(&mut self, event: &Event, end: Offset, found: &mut Found) {
        let log = self.logs.entry(event.node).or_default();
        let Some(last) = (end.0 as usize).checked_sub(1) else { return };
        if let (Some(Some(held)), Some(Some(committed))) = (log.get(last), self.committed.get(last))
            && held != committed
        {
            let place = Where { offset: Some(Offset(last as u64)), ..Where::default() };
            let message = format!("committed epoch {held} at {last}, where epoch {committed} was committed before");
            found.report(Invariant::QuorumRemembers, event, place, message);
        }
        for offset in self.committed.len()..end.0 as usize {
            self.committed.push(log.get(offset).copied().flatten());
        }
    }
}

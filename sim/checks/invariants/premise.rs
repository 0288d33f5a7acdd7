//! The premise of all invariants: that the controllers' quorum remembers what it has committed.
//!
//! Raft assumes stable storage. A voter whose disk is wiped comes back under its old name without its log and its vote; where
//! too few others hold a committed entry, the next election may forget it, and epochs are given out a second time. Nothing
//! that stands on the metadata log is promised from there on (KIP-853: a voter is removed before its disk is replaced).
//!
//! How it is decided: a wipe puts the quorum at risk when fewer voters than a majority are known to hold everything that is
//! committed. The next commit ends the risk, because a majority has flushed all of it; an election before that ends the
//! premise. Losing power counts as holding nothing until the next append, which only errs towards judging less. A wiped voter
//! has lost its vote, too: until the next commit it may help a second controller into an epoch that has one.

use std::collections::BTreeMap;

use crate::history::{Event, Happening};
use crate::scenario::plan::{FaultAction, Plan};
use crate::types::note::Note;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Premise {
    /// First offset that each voter is not known to hold.
    ends: BTreeMap<NodeId, Offset>,
    high_watermark: Offset,
    wipes: Vec<FaultId>,
    at_risk: bool,
    /// A voter was wiped since the last commit.
    votes_at_risk: bool,
    controller: Option<QuorumEpoch>,
    gone: bool,
}

impl Premise {
    pub fn new(plan: &Plan) -> Premise {
        let wipes = plan.faults.iter().filter(|fault| matches!(fault.action, FaultAction::Wipe(_)));
        Premise {
            ends: plan.cluster.controllers.iter().map(|voter| (*voter, Offset(0))).collect(),
            high_watermark: Offset(0),
            wipes: wipes.map(|fault| fault.id).collect(),
            at_risk: false,
            votes_at_risk: false,
            controller: None,
            gone: false,
        }
    }

    pub fn observe(&mut self, event: &Event) {
        match &event.what {
            Happening::Note(Note::QuorumAppended { offset, .. }) => self.set_end(event.node, offset.plus(1)),
            Happening::Note(Note::QuorumHighWatermark { offset, .. }) if self.high_watermark < *offset => {
                self.high_watermark = *offset;
                (self.at_risk, self.votes_at_risk) = (false, false);
            }
            Happening::Note(Note::BecameController { epoch }) => {
                self.gone |= self.at_risk || self.votes_at_risk && Some(*epoch) <= self.controller;
                self.controller = self.controller.max(Some(*epoch));
            }
            Happening::PowerLost { .. } => self.set_end(event.node, Offset(0)),
            Happening::FaultFired { .. } => {
                for voter in self.wiped_by(event).to_vec() {
                    if !self.ends.contains_key(&voter) {
                        continue;
                    }
                    self.votes_at_risk = true;
                    self.set_end(voter, Offset(0));
                    let holding = self.ends.values().filter(|end| self.high_watermark <= **end).count();
                    self.at_risk |= 2 * holding <= self.ends.len();
                }
            }
            _ => {}
        }
    }

    /// The processes whose disks this event wipes.
    pub fn wiped_by<'e>(&self, event: &'e Event) -> &'e [NodeId] {
        match &event.what {
            Happening::FaultFired { fault, nodes, .. } if self.wipes.contains(fault) => nodes,
            _ => &[],
        }
    }

    pub fn stands(&self) -> bool {
        !self.gone
    }

    fn set_end(&mut self, node: NodeId, end: Offset) {
        if let Some(known) = self.ends.get_mut(&node) {
            *known = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn premise() -> Premise {
        Premise {
            ends: [1, 2, 3].map(|voter| (NodeId(voter), Offset(0))).into(),
            high_watermark: Offset(0),
            wipes: vec![FaultId(7)],
            at_risk: false,
            votes_at_risk: false,
            controller: None,
            gone: false,
        }
    }

    fn tell(premise: &mut Premise, node: u16, what: Happening) -> bool {
        premise.observe(&Event { time: Time::ZERO, number: 0, node: NodeId(node), what });
        premise.stands()
    }

    fn append(premise: &mut Premise, node: u16) {
        let note = Note::QuorumAppended { offset: Offset(4), epoch: QuorumEpoch(1) };
        assert!(tell(premise, node, Happening::Note(note)));
    }

    fn commit(premise: &mut Premise, to: u64) {
        let note = Note::QuorumHighWatermark { epoch: QuorumEpoch(1), offset: Offset(to) };
        assert!(tell(premise, 1, Happening::Note(note)));
    }

    fn wipe(premise: &mut Premise, node: u16) {
        let fired = Happening::FaultFired { fault: FaultId(7), nodes: vec![NodeId(node)], peers: vec![] };
        assert!(tell(premise, 0, fired), "a wipe alone forgets nothing");
    }

    fn elect(premise: &mut Premise) -> bool {
        tell(premise, 3, Happening::Note(Note::BecameController { epoch: QuorumEpoch(2) }))
    }

    #[test]
    fn a_wiped_voter_and_one_that_lags_may_forget() {
        let mut premise = premise();
        append(&mut premise, 1);
        append(&mut premise, 2);
        commit(&mut premise, 5);
        wipe(&mut premise, 2);
        assert!(!elect(&mut premise), "only broker 1 is left with what was committed");
    }

    #[test]
    fn a_majority_that_holds_everything_forgets_nothing() {
        let mut premise = premise();
        for node in [1, 2, 3] {
            append(&mut premise, node);
        }
        commit(&mut premise, 5);
        wipe(&mut premise, 2);
        assert!(elect(&mut premise));
    }

    #[test]
    fn a_wiped_voter_may_vote_a_second_controller_into_an_epoch() {
        let told = |premise: &mut Premise, epoch| {
            tell(premise, 3, Happening::Note(Note::BecameController { epoch: QuorumEpoch(epoch) }))
        };
        let mut premise = premise();
        (1..=3).for_each(|node| append(&mut premise, node));
        commit(&mut premise, 5);
        assert!(told(&mut premise, 2));
        wipe(&mut premise, 2);
        assert!(told(&mut premise, 3), "in a new epoch it votes for the first time");
        assert!(!told(&mut premise, 3), "it may have voted twice");
    }

    #[test]
    fn the_next_commit_ends_the_risk() {
        let mut premise = premise();
        append(&mut premise, 1);
        append(&mut premise, 2);
        commit(&mut premise, 5);
        wipe(&mut premise, 2);
        commit(&mut premise, 6);
        assert!(elect(&mut premise));
    }
}

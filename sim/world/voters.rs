//! What each voter of the quorum holds, as its notes say: whether one of them may lose its disk.
//!
//! The one idea: a voter keeps its identity when its disk is gone (a static quorum, `kraft.version=0`; KIP-853 names
//! directories so that it does not), and with an empty log it votes for anybody. That breaks the quorum in two ways. It and
//! a voter that lags behind are a majority, and elect who lacks a committed record; and the vote that it has forgotten
//! is given twice in one epoch. Neither can be while every other voter holds what is committed and has a record
//! of the newest epoch, since nobody asks for a vote in that epoch any more.

use std::collections::BTreeMap;

use crate::types::note::Note;
use crate::types::*;

#[derive(Default)]
pub struct Voters {
    /// Log of each voter; none of one that lost pages or its disk, until it appends again.
    logs: BTreeMap<NodeId, VoterLog>,
    /// In which anybody has voted, stood or led.
    newest: QuorumEpoch,
    high_watermark: Offset,
}

#[derive(Clone, Copy)]
struct VoterLog {
    end: Offset,
    /// Of its last record; none when that was cut off and nothing has come since.
    last_epoch: Option<QuorumEpoch>,
}

impl Voters {
    pub fn observe(&mut self, node: NodeId, note: &Note) {
        match note {
            Note::BecameCandidate { epoch } | Note::VoteGranted { epoch, .. } | Note::BecameController { epoch } => {
                self.newest = self.newest.max(*epoch);
            }
            Note::QuorumAppended { offset, epoch } => {
                self.newest = self.newest.max(*epoch);
                self.logs.insert(node, VoterLog { end: Offset(offset.0 + 1), last_epoch: Some(*epoch) });
            }
            Note::QuorumTruncated { to } => {
                self.logs.insert(node, VoterLog { end: *to, last_epoch: None });
            }
            Note::QuorumHighWatermark { offset, .. } => self.high_watermark = self.high_watermark.max(*offset),
            _ => {}
        }
    }

    /// Its pages or its disk are gone.
    pub fn forget(&mut self, node: NodeId) {
        self.logs.remove(&node);
    }

    /// Whether the quorum keeps what is committed, and its word, when the disks of `hit` are gone.
    pub fn survive_without(&self, voters: &[NodeId], hit: &[NodeId]) -> bool {
        let holds_all = |voter: &NodeId| {
            let log = self.logs.get(voter);
            log.is_some_and(|log| log.last_epoch == Some(self.newest) && self.high_watermark <= log.end)
        };
        let is_hit = |voter: &NodeId| hit.contains(voter);
        !voters.iter().any(is_hit) || voters.iter().filter(|voter| !is_hit(voter)).all(holds_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOTERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    /// A leader of epoch 1 whose first record all three have.
    fn settled() -> Voters {
        let mut voters = Voters::default();
        voters.observe(VOTERS[0], &Note::BecameCandidate { epoch: QuorumEpoch(1) });
        for voter in VOTERS {
            voters.observe(voter, &Note::QuorumAppended { offset: Offset(0), epoch: QuorumEpoch(1) });
        }
        voters.observe(VOTERS[0], &Note::QuorumHighWatermark { epoch: QuorumEpoch(1), offset: Offset(1) });
        voters
    }

    #[test]
    fn a_voter_may_lose_its_disk_while_the_others_hold_everything() {
        let mut voters = settled();
        assert!(voters.survive_without(&VOTERS, &[VOTERS[2]]));
        voters.forget(VOTERS[2]);
        assert!(!voters.survive_without(&VOTERS, &[VOTERS[1]]), "the third is empty still");
        assert!(voters.survive_without(&VOTERS, &[NodeId(9)]), "not one of them");
    }

    #[test]
    fn it_may_not_while_another_lags_behind() {
        let mut voters = settled();
        for voter in [VOTERS[0], VOTERS[2]] {
            voters.observe(voter, &Note::QuorumAppended { offset: Offset(1), epoch: QuorumEpoch(1) });
        }
        voters.observe(VOTERS[0], &Note::QuorumHighWatermark { epoch: QuorumEpoch(1), offset: Offset(2) });
        assert!(!voters.survive_without(&VOTERS, &[VOTERS[2]]));
        assert!(voters.survive_without(&VOTERS, &[VOTERS[1]]), "who lags is no loss");
    }

    #[test]
    fn it_may_not_while_its_vote_counts_or_another_log_was_cut() {
        let mut voters = settled();
        voters.observe(VOTERS[2], &Note::VoteGranted { epoch: QuorumEpoch(2), to: VOTERS[1] });
        assert!(!voters.survive_without(&VOTERS, &[VOTERS[2]]));
        let mut voters = settled();
        voters.observe(VOTERS[1], &Note::QuorumTruncated { to: Offset(1) });
        assert!(!voters.survive_without(&VOTERS, &[VOTERS[2]]));
    }
}

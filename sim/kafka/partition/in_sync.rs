//! The in-sync set as a leader sees it: what the controller committed, and what was asked for. KIP-497.

use crate::types::*;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InSyncReplicas {
    /// *Meaning:* nothing is in flight. *Leaves to:* a pending state when a follower catches up or falls behind.
    Committed(Vec<NodeId>),
    /// *Meaning:* the controller was asked to admit `added`; it may have done so already. *Leaves to:* `Committed` by its
    /// answer or by newer metadata.
    PendingExpand { committed: Vec<NodeId>, added: NodeId },
    /// *Meaning:* the controller was asked to keep only `remaining`. *Leaves to:* `Committed`, as above.
    PendingShrink { committed: Vec<NodeId>, remaining: Vec<NodeId> },
}

impl InSyncReplicas {
    /// What counts against `min.insync.replicas`. Without ShrinkAfterCommit a shrink counts before it is accepted.
    pub fn committed(&self, guards: Guards) -> &[NodeId] {
        match self {
            InSyncReplicas::PendingShrink { remaining, .. } if !guards.stand(Guard::ShrinkAfterCommit) => remaining,
            InSyncReplicas::Committed(committed)
            | InSyncReplicas::PendingExpand { committed, .. }
            | InSyncReplicas::PendingShrink { committed, .. } => committed,
        }
    }

    /// Whether the high watermark must wait for this replica: it is in the set, or may be by now.
    pub fn maximal_contains(&self, node: NodeId, guards: Guards) -> bool {
        self.committed(guards).contains(&node) || (guards.stand(Guard::MaximalInSyncReplicas) && self.is_adding(node))
    }

    /// Size of the largest set that may be the true one.
    pub fn maximal_len(&self, guards: Guards) -> usize {
        let added = matches!(self, InSyncReplicas::PendingExpand { .. }) && guards.stand(Guard::MaximalInSyncReplicas);
        self.committed(guards).len() + usize::from(added)
    }

    pub fn is_adding(&self, node: NodeId) -> bool {
        matches!(self, InSyncReplicas::PendingExpand { added, .. } if *added == node)
    }

    pub fn is_pending(&self) -> bool {
        !matches!(self, InSyncReplicas::Committed(_))
    }
}

//! One step of a member on its way to the target assignment. A function of what is known, and nothing else.
//!
//! A member that has to give something back is told so and stays at its epoch until it no longer says that it owns it; then
//! it goes to the epoch of the target and gets what is free. What others have not given back yet it waits for.
//!
//! Source: CurrentAssignmentBuilder as of Kafka 4.2 (KAFKA-19449: what the member itself was to give back is not somebody
//! else's; KAFKA-19974: no epoch of its own for a member that has to give back once more).

use std::collections::BTreeMap;

use crate::types::record::{CurrentAssignment, MemberState};
use crate::types::*;

/// What a member is moved towards.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    pub epoch: Generation,
    /// Sorted.
    pub partitions: &'t [TopicPartition],
    /// At which epoch of its owner each partition is owned, or still to be given back; free when it is not there.
    pub partition_epochs: &'t BTreeMap<TopicPartition, Generation>,
}

/// `owned`: what the member says that it owns; `None` when it does not say.
pub fn reconcile(
    current: &CurrentAssignment,
    target: Target,
    owned: Option<&[TopicPartition]>,
    guards: Guards,
) -> CurrentAssignment {
    let holds = |partitions: &[TopicPartition]| {
        // A mutant takes it for done when it has been asked for.
        guards.stand(Guard::RevocationAcknowledged)
            && owned.is_none_or(|owned| partitions.iter().any(|partition| owned.contains(partition)))
    };
    match current.state {
        MemberState::Stable if current.epoch == target.epoch => return current.clone(),
        MemberState::UnrevokedPartitions if holds(&current.pending_revocation) => return current.clone(),
        MemberState::Away => return current.clone(),
        MemberState::Stable | MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {}
    }
    let is_wanted = |partition: &TopicPartition| target.partitions.binary_search(partition).is_ok();
    let (mut assigned, revoked): (Vec<TopicPartition>, Vec<TopicPartition>) =
        current.assigned.iter().copied().partition(is_wanted);
    if !revoked.is_empty() && holds(&revoked) {
        return CurrentAssignment {
            state: MemberState::UnrevokedPartitions,
            assigned,
            pending_revocation: revoked,
            ..current.clone()
        };
    }
    let is_free = |partition: &TopicPartition| {
        !target.partition_epochs.contains_key(partition) || current.pending_revocation.contains(partition)
    };
    let missing = target.partitions.iter().copied().filter(|partition| !current.assigned.contains(partition));
    let (free, unreleased): (Vec<TopicPartition>, Vec<TopicPartition>) = missing.partition(is_free);
    assigned.extend(free);
    assigned.sort();
    let epochs = if current.epoch == target.epoch {
        (current.epoch, current.previous_epoch)
    } else {
        (target.epoch, current.epoch)
    };
    CurrentAssignment {
        epoch: epochs.0,
        previous_epoch: epochs.1,
        state: if unreleased.is_empty() { MemberState::Stable } else { MemberState::UnreleasedPartitions },
        assigned,
        pending_revocation: Vec::new(),
    }
}

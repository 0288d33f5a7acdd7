//! Logs match: the same leader epoch at the same offset is the same record, in every log.
//!
//! Why it matters: truncation compares epochs and offsets only (KIP-101). If two records could carry the same pair, two
//! logs would differ for ever and no protocol would notice; consumers would read one or the other.
//!
//! How it is decided: contents are kept once for each (epoch, offset), as the leader of the epoch first wrote them; every
//! append of any replica is compared with them. A batch is compared at its ends and its length: batches are never taken
//! apart.
//!
//! Never unknown. Source: Raft's Log Matching; KIP-101, KIP-279.

use super::{Found, Where};
use crate::checks::logs::Mismatch;
use crate::checks::outcome::Invariant;
use crate::history::Event;
use crate::types::*;

pub fn after(event: &Event, mismatch: Option<(TopicPartition, Mismatch)>, found: &mut Found) {
    let Some((partition, Mismatch { epoch, offset })) = mismatch else { return };
    let place = Where { leader_epoch: Some(epoch), offset: Some(offset), ..Where::at(partition) };
    let message = format!("two records at offset {offset} of leader epoch {epoch}");
    found.report(Invariant::LogsMatch, event, place, message);
}

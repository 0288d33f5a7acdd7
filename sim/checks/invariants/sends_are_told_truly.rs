//! Sends are told truly: what is said to be acknowledged stands where it is said to stand; what is said to have failed for
//! certain is in no log; and a record is only where its producer sent it.
//!
//! Why it matters: applications act on what they are told. One that sends again what has "failed" repeats it if it was not
//! true, one that crosses off what was "acknowledged" loses it, and a record in a topic of others is both.
//!
//! How it is decided: each send is kept from the moment it has its partition until its outcome. Every append by a leader is
//! compared with that, whether its log counts or not; what failed for certain is kept for good, and there is little of it.
//! An acknowledged offset is looked up among what the leaders of any epoch wrote there: another log may count by then.
//!
//! When it does not judge: what is appended after its process has died, or was acknowledged without an offset (acks=0).
//!
//! Source: KIP-91, KIP-98, KAFKA-19012; ConsistentOffset and "definite failure" of the models behind KIP-98.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Where};
use crate::checks::logs::Logs;
use crate::checks::outcome::Invariant;
use crate::history::{Event, Happening};
use crate::types::note::{AppendRole, Note};
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct SendsAreToldTruly {
    open: BTreeMap<SendId, Open>,
    denied: BTreeSet<SendId>,
}

/// A send without an outcome.
#[derive(Clone, Copy, Debug)]
struct Open {
    by: NodeId,
    partition: TopicPartition,
    /// Where a leader has written it last.
    written: Option<Offset>,
}

impl SendsAreToldTruly {
    /// With the logs as the event left them.
    pub fn after(&mut self, event: &Event, logs: &Logs, found: &mut Found) {
        match &event.what {
            Happening::Stopped { .. } => {
                self.open.retain(|_, open| open.by != event.node);
            }
            Happening::Note(Note::Sent { send, partition, .. }) => {
                self.open.insert(*send, Open { by: event.node, partition: *partition, written: None });
            }
            Happening::Note(Note::SendSucceeded { send, partition, offset }) => {
                self.open.remove(send);
                let Some(offset) = offset else { return };
                if !logs.of(*partition).is_some_and(|log| log.was_written(*offset, *send)) {
                    let place = Where { offset: Some(*offset), ..Where::at(*partition) };
                    let message = format!("{send} was acknowledged at offset {offset}, where no leader wrote it");
                    found.report(Invariant::SendsAreToldTruly, event, place, message);
                }
            }
            Happening::Note(Note::SendFailed { send, error, certain }) => {
                let open = self.open.remove(send);
                if !certain {
                    return;
                }
                self.denied.insert(*send);
                if let Some(Open { partition, written: Some(offset), .. }) = open {
                    let place = Where { offset: Some(offset), ..Where::at(partition) };
                    let message = format!("{send} failed for certain ({error:?}) and was written at offset {offset}");
                    found.report(Invariant::SendsAreToldTruly, event, place, message);
                }
            }
            Happening::Note(Note::BatchAppended { partition, role: AppendRole::Leader, batch }) => {
                for (record, number) in batch.messages().iter().zip(0..) {
                    self.written(event, record.send, *partition, batch.base_offset.plus(number), found);
                }
            }
            _ => {}
        }
    }

    fn written(&mut self, event: &Event, send: SendId, partition: TopicPartition, offset: Offset, found: &mut Found) {
        let place = Where { offset: Some(offset), ..Where::at(partition) };
        if let Some(open) = self.open.get_mut(&send) {
            open.written = Some(offset);
            if open.partition != partition {
                let message = format!("{send} was sent to {} and is at offset {offset} of {partition}", open.partition);
                found.report(Invariant::RecordsAreWhereTheyWereSent, event, place, message);
            }
        } else if !self.denied.is_empty() && self.denied.contains(&send) {
            let message = format!("{send} is written at offset {offset}, after it had failed for certain");
            found.report(Invariant::SendsAreToldTruly, event, place, message);
        }
    }
}

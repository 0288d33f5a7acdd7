//! `on = "poll STORE.TABLE"`: the relay of an outbox, and what its table and its `commit` must be.

use crate::types::request::Cursor;
use crate::types::{Duration, PlaceId};

use super::super::diagnostics::{Diagnostic, Place};
use super::super::fields::Fields;
use super::super::plan::*;
use super::super::sentence::split;
use super::Builder;
use super::flow::inserted;

/// The table of a relay until it is read; it stays where the file names none, and no other problem follows from that.
pub const NOWHERE: PlaceId = PlaceId(u16::MAX);

impl Builder<'_> {
    /// The table behind `poll`, in either form of a trigger.
    fn read_polled(&self, fields: &Fields) -> Option<(PlaceId, u16)> {
        let item = fields.item("on")?;
        let text = match item.table() {
            Some(table) => table.get("poll")?.text()?,
            None => {
                let given = item.text()?;
                let words = split(given.text);
                let word = words.get(1)?;
                given.part(word.start, word.end)
            }
        };
        self.read_table(text)
    }

    pub(super) fn read_poll(&self, fields: &Fields, poll: PollPlan) -> PollPlan {
        let every = fields.require("every", "\"100ms\"").map_or(Duration::from_secs(1), |every| every.duration());
        let cursor = match fields.text("cursor").as_deref() {
            Some("highest-id") => Cursor::HighestId,
            Some("commit-order") => Cursor::CommitOrder,
            _ => Cursor::Unsent,
        };
        let (table, store) = self.read_polled(fields).unwrap_or((poll.table, poll.store));
        PollPlan { store, table, every, batch: fields.integer("batch", 100) as u32, cursor }
    }

    /// A relay says of each row that it is done with, or of each batch behind it.
    pub(super) fn check_row_commit(&self, service: usize, place: Place) {
        let steps = &self.plan.services[service].steps;
        let commit = steps.iter().zip(0..).find_map(|(step, number)| match step.action {
            Action::Commit { every, how } => Some((number, every, how, step.of)),
            _ => None,
        });
        let Some((number, every, how, of)) = commit else { return };
        let problem = match every {
            _ if !how.waits() => Some(("`commit-async` of rows", "write \"commit\"")),
            _ if of.is_some() => Some(("a commit of some rows only", "remove `of`")),
            CommitEvery::Records(_) | CommitEvery::Interval(_) => Some((
                "rows that are done with and not committed would be polled again",
                "write \"commit\" or \"commit every batch\"",
            )),
            CommitEvery::Batch if number == 0 => {
                Some(("a batch of rows is committed behind it", "move it to the end, or write \"commit\""))
            }
            CommitEvery::Record | CommitEvery::Batch => None,
        };
        if let Some((title, help)) = problem {
            self.problems.add(Diagnostic::error("S052", place, title.to_string()).label("not in a relay").help(help));
        }
    }

    /// A polled table has rows that somebody inserts.
    pub(super) fn check_polled_tables(&self) {
        for service in &self.plan.services {
            let Trigger::Poll(poll) = &service.trigger else { continue };
            let Some(table) = self.plan.places.get(usize::from(poll.table.0)) else { continue };
            let inserts = |step: &StepPlan| match &step.action {
                Action::Store { operations, .. } => {
                    operations.iter().filter_map(inserted).any(|table| table == poll.table)
                }
                _ => false,
            };
            if self.plan.services.iter().any(|service| service.steps.iter().any(inserts)) {
                continue;
            }
            let (name, place) = (&table.name, self.service_places[usize::from(service.id.0)]);
            self.problems.add(
                Diagnostic::error("S051", place, format!("nothing inserts rows into `{name}`"))
                    .label("there is nothing to poll")
                    .help(format!("add \"insert {name}\" to the transaction of a service")),
            );
        }
    }
}

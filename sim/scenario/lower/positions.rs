//! Positions that are not simply committed: stored for the client's clock (`store-offset`), or kept in a table
//! (`commit store.table`). What each needs of its service. And what the client of a library cannot do.

use std::collections::BTreeSet;

use crate::types::settings::{AutoCommit, ClientLibrary, ConsumerSettings, GroupProtocol};

use super::super::diagnostics::{Diagnostic, Place};
use super::super::fields::Fields;
use super::super::plan::*;
use super::super::sentence::report_not_built;
use super::Builder;
use super::steps::Seen;

impl Builder<'_> {
    /// `store-offset` says what librdkafka's clock commits.
    pub(super) fn check_stored(&mut self, service: usize, library: ClientLibrary, fields: &Fields, seen: &Seen) {
        let Some(place) = seen.stores_offset.first().copied() else { return };
        let name = self.plan.services[service].name.clone();
        let report = |code, place: Place, title: String, label: &str, help: &str| {
            self.problems.add(Diagnostic::error(code, place, title).label(label).help(help));
        };
        let Trigger::Consume(consume) = &mut self.plan.services[service].trigger else {
            let title = format!("`store-offset` in `{name}`, which consumes nothing");
            return report("S050", place, title, "no offset to store", "remove it");
        };
        if library != ClientLibrary::Librdkafka {
            let title = "`store-offset` is a call of librdkafka".to_string();
            return report(
                "S059",
                place,
                title,
                "this client has none",
                "write `library = \"librdkafka\"`, or `commit`",
            );
        }
        if !consume.consumer.enable_auto_commit {
            let place = fields.item("enable-auto-commit").map_or(place, |item| item.place);
            let title = format!("nothing commits what `{name}` stores");
            let help = "write `enable-auto-commit = true`: the clock commits what is stored";
            return report("S052", place, title, "auto-commit is off", help);
        }
        if let Some(second) = seen.stores_offset.get(1) {
            let title = format!("service `{name}` stores its offset twice");
            return report("S052", *second, title, "a second `store-offset`", "keep the one whose place you mean");
        }
        consume.consumer.auto_commit = AutoCommit::Stored;
    }

    /// Who keeps positions in a table reads a topic, one record after the other.
    pub(super) fn check_kept(&self, service: usize, seen: &Seen) {
        let service = &self.plan.services[service];
        let (Some(_), Some(place)) = (service.keeps_positions(), seen.commits.first()) else { return };
        let (name, of) = (&service.name, service.steps.iter().any(|step| step.commits() && step.of.is_some()));
        let problem = match &service.trigger {
            // Already said.
            Trigger::Requests(_) | Trigger::Called(_) => return,
            Trigger::Poll(_) => ("S052", "a relay keeps no position of a topic", "write \"commit\""),
            Trigger::Consume(_) if service.workers > 1 => {
                ("S057", "positions are set one after the other", "remove `workers`, or have more `instances`")
            }
            Trigger::Consume(_) if service.transactional.is_some() => {
                ("S057", "no transaction of the queue spans a store", "keep one of the two kinds of transactions")
            }
            Trigger::Consume(_) if of => ("S057", "positions of some events only", "remove `of`"),
            Trigger::Consume(_) => return,
        };
        let (code, label, help) = problem;
        let title = format!("`{name}` cannot keep its position in a table");
        self.problems.add(Diagnostic::error(code, *place, title).label(label).help(help));
    }

    /// What kafkajs has no word for.
    pub(super) fn refuse_of_kafkajs(
        &self,
        given: &BTreeSet<&'static str>,
        consumer: &ConsumerSettings,
        place: impl Fn(&str) -> Place,
    ) {
        if given.contains("auto-commit-interval") && consumer.enable_auto_commit {
            report_not_built("auto-commit-interval of kafkajs", place("auto-commit-interval"), self.problems);
        }
        if consumer.group_protocol == GroupProtocol::Consumer {
            let title = "kafkajs knows the classic group protocol only";
            let diagnostic = Diagnostic::error("S059", place("group-protocol"), title);
            self.problems.add(diagnostic.label("KIP-848 is not in it").help("remove `group-protocol`, or `library`"));
        }
        if given.contains("partition-assignment-strategy") {
            let title = "kafkajs has assignors of its own";
            let diagnostic = Diagnostic::error("S059", place("partition-assignment-strategy"), title);
            self.problems.add(diagnostic.label("not one of them").help("remove it, or `library`"));
        }
    }
}

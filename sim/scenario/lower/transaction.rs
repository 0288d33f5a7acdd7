//! `{ kafka-transaction = [steps] }`: what its list becomes in a plan.
//!
//! The plan has no list within a list: the transaction is a step that begins it, its own steps, and a step that ends it,
//! so that a fault may strike between and inside any two of them. What it publishes goes through one producer of its
//! own; `commit` in it means the offset of the event, as part of the transaction.

use crate::types::settings::{Acks, ClientLibrary};

use super::super::diagnostics::{Diagnostic, Place, printable};
use super::super::keys::PRODUCER_SETTINGS;
use super::super::plan::*;
use super::super::tree::Item;
use super::super::values::{self, Kind, Scalar};
use super::super::vocabulary::STEPS;
use super::Builder;
use super::service::GivenProducer;
use super::steps::Seen;

impl Builder<'_> {
    pub(super) fn read_kafka_transaction(
        &mut self,
        service: usize,
        (item, list): (&Item, &Item),
        producer: &GivenProducer,
        seen: &mut Seen,
    ) {
        let table = item.table().expect("it has a key");
        // kafkajs sends TxnOffsetCommit in versions that know neither member nor generation.
        let mut group_metadata = producer.library != ClientLibrary::Kafkajs;
        for (key, item) in table.iter().filter(|(key, _)| *key != "kafka-transaction") {
            if key == "group-metadata" {
                let read = values::read(Kind::Boolean, "group-metadata", item, false, self.problems);
                group_metadata = read.as_ref().is_none_or(Scalar::boolean);
            } else {
                let title = format!("`{}` is not a keyword of `kafka-transaction`", printable(key));
                let diagnostic = Diagnostic::error("S043", item.key, title).label("unexpected");
                self.problems.add(diagnostic.help("it has steps, and `group-metadata`"));
            }
        }
        if list.elements().is_empty() {
            let diagnostic = Diagnostic::error("S057", list.place, "a transaction is empty").label("no steps");
            self.problems.add(diagnostic.help("add \"publish TOPIC\" and \"commit\""));
            return;
        }
        if self.plan.services[service].workers > 1 {
            let diagnostic = Diagnostic::error("S057", list.key, "a transaction with several workers")
                .label("a producer has one transaction at a time")
                .help("remove `workers`, or have more `instances`");
            self.problems.add(diagnostic);
            return;
        }
        let Some(transactional) = self.transactional_producer(service, producer, list.key) else { return };
        let place = |action, text: &str| StepPlan { text: text.into(), action, of: None };
        let begin = place(Action::BeginTransaction, "begin-transaction");
        self.plan.services[service].steps.push(begin);
        for element in list.elements() {
            let Some(mut step) = self.read_inner_step(service, element, producer, seen) else { continue };
            match &mut step.action {
                Action::Publish { producer, .. } => *producer = transactional,
                Action::Commit { .. } => step.action = Action::SendOffsets { group_metadata },
                Action::Work { .. }
                | Action::Store { .. }
                | Action::Call(_)
                | Action::Respond
                | Action::BeginTransaction
                | Action::StoreOffset
                | Action::SendOffsets { .. }
                | Action::EndTransaction => {}
            }
            self.plan.services[service].steps.push(step);
        }
        let end = place(Action::EndTransaction, "end-transaction");
        self.plan.services[service].steps.push(end);
    }

    fn read_inner_step(
        &mut self,
        service: usize,
        element: &Item,
        producer: &GivenProducer,
        seen: &mut Seen,
    ) -> Option<StepPlan> {
        if let Some(nested) = element.table().and_then(|table| table.get("kafka-transaction")) {
            let diagnostic = Diagnostic::error("S057", nested.key, "a transaction in a transaction");
            self.problems.add(diagnostic.label("it is one already").help("put its steps into the outer one"));
            return None;
        }
        if element.table().is_none_or(|table| table.get("transaction").is_none()) {
            let phrase = STEPS.read(element, self.problems)?;
            let settings = PRODUCER_SETTINGS.iter().find(|setting| phrase.scalar(setting.key.name).is_some());
            let is_relay = matches!(self.plan.services[service].trigger, Trigger::Poll(_));
            let wrong = match phrase.verb.name {
                "commit" if is_relay => Some((
                    "rows are no offsets: no transaction of the queue spans a store",
                    "put it behind the transaction",
                )),
                "respond" => Some(("`respond` in a transaction", "put it behind the transaction")),
                "commit-async" => Some(("`commit-async` in a transaction", "write \"commit\"")),
                "commit" if phrase.get("every").is_some() => {
                    Some(("`commit` in a transaction is about its event", "remove `every`"))
                }
                "commit" if phrase.value().is_some() => {
                    Some(("no transaction of the queue spans a store", "put it into a `transaction` of its store"))
                }
                "store-offset" => Some(("`store-offset` in a transaction", "write \"commit\"")),
                "publish" if settings.is_some() => {
                    Some(("one producer publishes all of a transaction", "give its settings to the service"))
                }
                _ => None,
            };
            if let Some((title, help)) = wrong {
                let diagnostic = Diagnostic::error("S057", phrase.verb_place, title).label("cannot stand here");
                self.problems.add(diagnostic.help(help));
                return None;
            }
        }
        let publishers = self.plan.services[service].producers.len();
        let step = self.read_step(service, element, producer, seen)?;
        // What it publishes goes through the transactional producer: another one is not needed for it.
        self.plan.services[service].producers.truncate(publishers);
        Some(step)
    }

    /// The one producer of all transactions of a service.
    fn transactional_producer(&mut self, service: usize, producer: &GivenProducer, place: Place) -> Option<u16> {
        if let Some(known) = self.plan.services[service].transactional {
            return Some(known);
        }
        let mut producer = producer.clone();
        if !producer.given.contains("enable-idempotence") {
            // Also where it is off by default: whoever has transactions has it.
            producer.settings.enable_idempotence = true;
        }
        let settings = self.settle_producer(&producer, place);
        if settings.acks != Acks::All || !settings.enable_idempotence {
            let diagnostic = Diagnostic::error("S059", place, "a transaction needs acks=all and idempotence")
                .label("this producer has other settings")
                .help("remove `acks` and `enable-idempotence`, or what contradicts them");
            self.problems.add(diagnostic);
            return None;
        }
        let producers = &mut self.plan.services[service].producers;
        producers.push(settings);
        let number = producers.len() as u16 - 1;
        self.plan.services[service].transactional = Some(number);
        Some(number)
    }
}

//! Where a failed event goes: retry topics of the ladder, and dead letters that are sent back.

use crate::types::{GroupId, TopicId};

use super::super::diagnostics::Diagnostic;
use super::super::fields::Fields;
use super::super::plan::*;
use super::super::sentence::{Phrase, split};
use super::super::tree::{Item, Text};
use super::Builder;
use super::service::GivenProducer;

impl Builder<'_> {
    /// `retry-topic T attempts N delay D`: the same group reads T.
    pub(super) fn read_retry_topic(
        &mut self,
        service: usize,
        phrase: &Phrase,
        producer: &GivenProducer,
    ) -> Option<Rung> {
        let attempts = phrase.require("attempts", "3", self.problems).map(|given| given.scalar.u32());
        let delay = phrase.require("delay", "5s", self.problems).map(|given| given.scalar.duration());
        let given = phrase.value()?;
        let topic = self.read_topic_name(given.text())?;
        let number = self.add_producer(service, producer, phrase.place);
        let name = self.plan.services[service].name.clone();
        let Trigger::Consume(consume) = &mut self.plan.services[service].trigger else {
            self.problems.add(
                Diagnostic::error("S054", phrase.verb_place, "`retry-topic` is a rung of consumers")
                    .label("does not fit the trigger")
                    .help("only a group can read an event again; use `retry N`"),
            );
            return None;
        };
        if consume.topics.contains(&topic) {
            self.problems.add(
                Diagnostic::error("S054", given.place, format!("`{name}` reads this topic already"))
                    .label("not a topic for retries alone")
                    .help("define one: [topic.retries]"),
            );
            return None;
        }
        consume.topics.push(topic);
        let up_to = u16::try_from(attempts?).unwrap_or(u16::MAX);
        self.retry_topics.push((service, topic, given.place));
        Some(Rung::RetryTopic { topic, producer: number, up_to, delay: delay? })
    }

    /// A retry topic belongs to one group: what another one wrote to it or read from it would be somebody else's failure.
    pub(super) fn check_retry_topics(&self) {
        for (owner, topic, place) in &self.retry_topics {
            let place_of_topic = self.plan.topics[usize::from(topic.0)].place;
            let is_other = |service: &&ServicePlan| {
                let number = usize::from(service.id.0);
                let reads = number != *owner && self.reads(number, place_of_topic);
                reads || self.sent(number).contains(&place_of_topic)
            };
            if let Some(other) = self.plan.services.iter().find(is_other) {
                let (topic, owner) = (&self.plan.topics[usize::from(topic.0)].name, &self.plan.services[*owner].name);
                let title =
                    format!("`{topic}` is the retry topic of `{owner}`, and `{}` has to do with it", other.name);
                self.problems.add(
                    Diagnostic::error("S054", *place, title)
                        .label("not a topic for retries alone")
                        .help("define one for each service: [topic.retries]"),
                );
            }
        }
    }

    /// The first rung of a ladder that goes by this verb.
    pub(super) fn rung_called(&self, service: usize, verb: &str) -> Option<u16> {
        let ladder = &self.plan.services[service].ladder;
        ladder.iter().position(|rung| rung.verb() == verb).map(|rung| rung as u16)
    }

    /// A rung is reached; one that publishes is also done at the other side while its answer is on the way.
    pub(super) fn check_rung_point(&self, side: Side, wanted: Text) -> Option<()> {
        let publishes = ["dead-letter", "retry-topic"].contains(&wanted.text);
        let good = match side {
            Side::Before => true,
            Side::Inside => publishes,
            Side::After => false,
        };
        if good {
            return Some(());
        }
        let title = format!("`{}` is a rung, and nothing says when it is over", wanted.text);
        let help = if publishes { "wait for `inside(…)`: the record is written" } else { "wait for `before(…)`" };
        self.report_fault("S074", wanted.place, title, "no such point", help);
        None
    }

    /// `redrive T`: dead letters of one service, which come from one topic.
    pub(super) fn read_redrive(&self, text: Text) -> Option<FaultAction> {
        let from = self.read_topic_name(text)?;
        let parks = |service: &&ServicePlan| {
            service.ladder.iter().any(|rung| matches!(rung, Rung::DeadLetter { topic, .. } if *topic == from))
        };
        let givers: Vec<&ServicePlan> = self.plan.services.iter().filter(parks).collect();
        let (title, help) = match givers[..] {
            [giver] => {
                let retries: Vec<TopicId> = giver.retry_topics().map(|(topic, _)| topic).collect();
                let sources = match &giver.trigger {
                    Trigger::Consume(consume) => consume.topics.clone(),
                    Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => Vec::new(),
                };
                let sources: Vec<TopicId> = sources.into_iter().filter(|topic| !retries.contains(topic)).collect();
                match sources[..] {
                    [to] => {
                        let group = self.redrive_group(from)?;
                        return Some(FaultAction::Redrive { service: giver.id, from, to, group });
                    }
                    [] => (
                        format!("dead letters of `{}` came from no topic", giver.name),
                        "name dead letters of a consumer",
                    ),
                    _ => (
                        format!("dead letters of `{}` came from several topics", giver.name),
                        "have one service for each topic",
                    ),
                }
            }
            [] => (format!("`{}` has no dead letters", text.text), "name the topic of a rung `dead-letter TOPIC`"),
            _ => (
                format!("`{}` has the dead letters of several services", text.text),
                "give each its own dead-letter topic",
            ),
        };
        self.report_fault("S071", text.place, title, "nowhere to go back to", help);
        None
    }

    /// The group that remembers which letters have gone back.
    fn redrive_group(&self, from: TopicId) -> Option<GroupId> {
        let name = redrive_group_name(&self.plan.topics[usize::from(from.0)].name);
        self.plan.groups.iter().find(|group| group.name == name).map(|group| group.id)
    }

    /// Each topic that a fault redrives has a group for it, numbered before the offsets topic is sized.
    pub(super) fn number_redrive_groups(&mut self, top: &Fields) {
        let faults = top.item("fault").and_then(Item::table);
        let topic_of = |fault: &Item| match fault.table() {
            Some(table) => table.get("redrive")?.text().map(|text| text.text.to_string()),
            None => {
                let given = fault.text()?;
                let words = split(given.text);
                let verb = words.iter().position(|word| word.text == "redrive")?;
                words.get(verb + 1).map(|word| word.text.to_string())
            }
        };
        for topic in faults.into_iter().flat_map(|faults| faults.iter().filter_map(|(_, fault)| topic_of(fault))) {
            let name = redrive_group_name(&topic);
            if self.topic(&topic).is_some() && self.plan.groups.iter().all(|group| group.name != name) {
                self.plan.groups.push(GroupPlan { id: GroupId(self.plan.groups.len() as u16), name });
            }
        }
    }
}

/// No service has such a name: a slash is in none.
fn redrive_group_name(topic: &str) -> String {
    format!("redrive/{topic}")
}

//! What a service does: its list of steps, and the ladder for steps that fail.

use crate::types::request::Present;
use crate::types::{Duration, PlaceId, Ratio, ServiceId, Spread};

use super::super::diagnostics::{Diagnostic, Place, nearest, printable};
use super::super::fields::Fields;
use super::super::keys::PRODUCER_SETTINGS;
use super::super::plan::*;
use super::super::sentence::{Given, Phrase};
use super::super::tree::{Item, Text};
use super::super::values::{self, Kind, Scalar};
use super::super::vocabulary::{RUNGS, STEPS};
use super::service::GivenProducer;
use super::{Builder, Thing};

/// What a list of steps has said so far.
#[derive(Default)]
pub(super) struct Seen {
    pub commits: Vec<Place>,
    pub responds: Vec<Place>,
    pub bare_work: Vec<Place>,
    pub stores_offset: Vec<Place>,
    pub leases: Vec<(PlaceId, Place)>,
    pub confirms: Vec<(PlaceId, Place)>,
}

impl Builder<'_> {
    pub fn read_steps(&mut self, service: usize, thing: &Thing, fields: &Fields, producer: &GivenProducer) {
        let mut seen = Seen::default();
        let Some(list) = fields.require_item("steps", "[\"work 10ms\", \"commit\"]") else { return };
        if list.elements().is_empty() {
            self.problems.add(
                Diagnostic::error("S050", list.place, format!("service `{}` does nothing", thing.name))
                    .label("no steps")
                    .help("add steps, such as \"work 10ms\""),
            );
            return;
        }
        let before = self.problems.errors();
        for item in list.elements() {
            if let Some(transaction) = item.table().and_then(|table| table.get("kafka-transaction")) {
                self.read_kafka_transaction(service, (item, transaction), producer, &mut seen);
            } else if let Some(step) = self.read_step(service, item, producer, &mut seen) {
                self.plan.services[service].steps.push(step);
            }
        }
        // A step that could not be read may have been the one that is missed below.
        if self.problems.errors() == before {
            self.check_done(service, thing, fields, &seen);
            self.check_stored(service, producer.library, fields, &seen);
            self.check_kept(service, &seen);
            self.check_leases(&seen);
            self.check_headroom(service, fields, &seen);
        }
    }

    pub(super) fn read_step(
        &mut self,
        service: usize,
        item: &Item,
        producer: &GivenProducer,
        seen: &mut Seen,
    ) -> Option<StepPlan> {
        if let Some(transaction) = item.table().and_then(|table| table.get("transaction")) {
            return self.read_transaction(item, transaction, seen);
        }
        let phrase = STEPS.read(item, self.problems)?;
        let of = self.read_origin(&phrase);
        if let Some((store, operation)) = self.read_store_step(&phrase, seen) {
            let operation = operation?;
            let action = Action::Store { store: store?, operations: vec![operation] };
            return Some(StepPlan { text: phrase.text, action, of: of? });
        }
        let action = match phrase.verb.name {
            "work" => self.read_work(service, &phrase, seen)?,
            "publish" => self.read_publish(service, &phrase, producer)?,
            "call" => self.read_call(&phrase)?,
            "commit" => self.read_commit(&phrase, CommitHow::Sync, seen)?,
            "commit-async" => {
                let retry = match phrase.scalar("retry") {
                    Some(Scalar::Text(_)) => CommitRetry::Always,
                    Some(Scalar::Boolean(true)) => CommitRetry::UnlessNewer,
                    Some(_) | None => CommitRetry::Never,
                };
                self.read_commit(&phrase, CommitHow::Async { retry }, seen)?
            }
            "store-offset" => {
                seen.stores_offset.push(phrase.verb_place);
                Action::StoreOffset
            }
            _ => {
                seen.responds.push(phrase.verb_place);
                Action::Respond
            }
        };
        Some(StepPlan { text: phrase.text, action, of: of? })
    }

    /// The outer `None` is a problem; the inner one is no origin.
    #[expect(clippy::option_option, reason = "a step without `of` is not a step with a wrong one")]
    fn read_origin(&self, phrase: &Phrase) -> Option<Option<ServiceId>> {
        let Some(given) = phrase.get("of") else { return Some(None) };
        let text = given.text();
        let origin = self.service(text.text);
        let is_origin =
            origin.is_some_and(|origin| matches!(self.plan.services[origin.0 as usize].trigger, Trigger::Requests(_)));
        if origin.is_none() {
            self.report_unknown(text.text, text.place, "an origin", &self.service_names());
        } else if !is_origin {
            let title = format!("`{}` is not an origin of events", text.text);
            self.problems.add(
                Diagnostic::error("S050", text.place, title)
                    .label("not a `requests` service")
                    .help("events come from services that are triggered by requests"),
            );
        }
        origin.filter(|_| is_origin).map(Some)
    }

    fn read_transaction(&self, item: &Item, transaction: &Item, seen: &mut Seen) -> Option<StepPlan> {
        let table = item.table().expect("it has a key");
        for (key, item) in table.iter().filter(|(key, _)| !["transaction", "of"].contains(key)) {
            let title = format!("`{}` is not a keyword of `transaction`", printable(key));
            self.problems.add(
                Diagnostic::error("S043", item.key, title)
                    .label("unexpected")
                    .help("a transaction has steps, and `of`"),
            );
        }
        let (mut operations, mut texts) = (Vec::new(), Vec::new());
        let mut first_store: Option<(u16, Place)> = None;
        let mut good = true;
        for element in transaction.elements() {
            let Some(phrase) = STEPS.read(element, self.problems) else {
                good = false;
                continue;
            };
            let Some((store, operation)) = self.read_store_step(&phrase, seen) else {
                self.report_not_in_transaction(&phrase);
                good = false;
                continue;
            };
            let (Some(store), Some(operation)) = (store, operation) else {
                good = false;
                continue;
            };
            match first_store {
                Some((first, place)) if first != store => {
                    self.problems.add(
                        Diagnostic::error("S057", phrase.place, "a transaction is about one store")
                            .label("another store")
                            .other(place, "the first one")
                            .help("no transaction spans two stores: that is the problem an outbox solves"),
                    );
                    good = false;
                }
                _ => first_store = Some((store, phrase.place)),
            }
            operations.push(operation);
            texts.push(phrase.text);
        }
        if transaction.elements().is_empty() {
            self.problems.add(
                Diagnostic::error("S057", transaction.place, "a transaction is empty")
                    .label("no steps")
                    .help("add steps"),
            );
        }
        let of = match table.get("of") {
            None => None,
            Some(item) => {
                let scalar = values::read(Kind::Name, "of", item, false, self.problems)?;
                let origin = self.service(scalar.text());
                if origin.is_none() {
                    self.report_unknown(scalar.text(), item.place, "an origin", &self.service_names());
                    good = false;
                }
                origin
            }
        };
        let (store, _) = first_store.filter(|_| good)?;
        let text = format!("transaction {}", texts.join(", "));
        Some(StepPlan { text, action: Action::Store { store, operations }, of })
    }

    fn report_not_in_transaction(&self, phrase: &Phrase) {
        let name = phrase.verb.name;
        let help = match name {
            "commit" | "commit-async" => {
                "commit the offset behind the transaction, or keep the position in it: `commit store.table`"
            }
            _ => "put it in front of the transaction or behind it",
        };
        self.problems.add(
            Diagnostic::error("S057", phrase.verb_place, format!("`{name}` cannot stand in a transaction"))
                .label("not a store step")
                .help(help),
        );
    }

    /// `None` when the verb is no store step; inside, `None` when something is wrong with it.
    fn read_store_step(&self, phrase: &Phrase, seen: &mut Seen) -> Option<(Option<u16>, Option<StoreStep>)> {
        if !["insert", "insert-if-absent", "confirm", "check", "upsert", "add", "commit"].contains(&phrase.verb.name) {
            return None;
        }
        let given = phrase.value()?;
        if phrase.verb.name == "commit" {
            seen.commits.push(phrase.verb_place);
            if let Some(every) = phrase.get("every") {
                let diagnostic = Diagnostic::error("S057", every.place, "a position is kept with each event");
                self.problems.add(diagnostic.label("`every` of a commit to a table").help("remove `every`"));
                return Some((None, None));
            }
        }
        let Some((table, store)) = self.read_table(given.text()) else { return Some((None, None)) };
        let row = match phrase.scalar("key").map(Scalar::text) {
            Some("offset") => RowBy::Offset,
            _ => RowBy::Event,
        };
        let present = match phrase.scalar("present").map(Scalar::text) {
            Some("continue") => Present::Continue,
            Some("fail") => Present::Fail,
            _ => Present::Skip,
        };
        let operation = match phrase.verb.name {
            "insert" => StoreStep::Insert { table, row },
            "insert-if-absent" => {
                let stands = self.read_stands(phrase, table, seen);
                StoreStep::InsertIfAbsent { table, row, present, stands }
            }
            "confirm" => {
                seen.confirms.push((table, phrase.verb_place));
                StoreStep::Confirm { table, row }
            }
            "check" => StoreStep::Check { table, row, present },
            "commit" => StoreStep::Commit { table },
            "upsert" => StoreStep::Upsert { table, version_guard: phrase.flag("version-guard") },
            _ => StoreStep::Add { table, by: phrase.scalar("by").map_or(1, Scalar::u64) as i64 },
        };
        Some((Some(store), Some(operation)))
    }

    pub(super) fn read_table(&self, text: Text) -> Option<(PlaceId, u16)> {
        let place = self.place(text.text).map(|id| &self.plan.places[id.0 as usize]);
        if let Some(PlacePlan { id, kind: PlaceKind::Table { store }, .. }) = place {
            return Some((*id, *store));
        }
        let tables = self.table_names();
        let store = text.text.split('.').next().unwrap_or("");
        if self.absent.iter().any(|absent| absent == store) {
            self.report_unknown(store, text.place, "a store", &[]);
            return None;
        }
        let near = nearest(text.text, tables.iter().copied());
        let title = format!("`{}` is not a table of a store", printable(text.text));
        let mut diagnostic =
            Diagnostic::error("S051", text.place, title).label("no such place").did_you_mean(text.place, near);
        if near.is_none() {
            diagnostic.help = Some(match tables[..] {
                [] => "define a store: [store.db] with tables = [\"orders\"]".into(),
                _ => format!("tables are {}", tables.join(", ")),
            });
        }
        self.problems.add(diagnostic);
        None
    }

    fn read_work(&mut self, service: usize, phrase: &Phrase, seen: &mut Seen) -> Option<Action> {
        let given = phrase.value().map(|given| given.text());
        let exponential = given.is_some_and(|text| text.text == "exp");
        let bare = given.is_none() || exponential;
        let time = match given {
            Some(text) if !exponential => match values::spread(text.text) {
                Ok(spread) => spread,
                Err((problem, cure)) => {
                    // A wrong word behind a good time is a keyword that was misspelt.
                    let first_end = text.text.find(' ').unwrap_or(text.text.len());
                    let extra = text.part((first_end + 1).min(text.text.len()), text.text.len());
                    let word = extra.text.split(' ').next().unwrap_or("");
                    let near = nearest(word, ["errors", "poison", "of"]);
                    let starts_well = values::duration(&text.text[..first_end]).is_ok() && !word.is_empty();
                    let diagnostic = if let (true, Some(near)) = (starts_well, near) {
                        let place = extra.part(0, word.len()).place;
                        Diagnostic::error(
                            "S043",
                            place,
                            format!("`work` takes one time, found `{}`", printable(text.text)),
                        )
                        .label("not a keyword of `work`")
                        .did_you_mean(place, Some(near))
                    } else {
                        Diagnostic::error("S030", text.place, format!("`work`: {problem}"))
                            .label("not a spread of a duration")
                            .help(cure.map_or("for example `work 2ms..20ms`".into(), |cure| format!("write {cure}")))
                    };
                    self.problems.add(diagnostic);
                    return None;
                }
            },
            _ => Spread::ZERO,
        };
        if bare {
            seen.bare_work.push(phrase.place);
            let step = self.plan.services[service].steps.len();
            self.bare_work.push((service, step, exponential, phrase.place));
        }
        let ratio = |key: &str| phrase.scalar(key).map_or(Ratio::ZERO, Scalar::ratio);
        Some(Action::Work { time, errors: ratio("errors"), poison: ratio("poison") })
    }

    fn read_publish(&mut self, service: usize, phrase: &Phrase, producer: &GivenProducer) -> Option<Action> {
        let topic = self.read_topic(phrase.value()?)?;
        let mut own = producer.clone();
        for setting in PRODUCER_SETTINGS {
            if let Some(scalar) = phrase.scalar(setting.key.name) {
                (setting.set)(&mut own.settings, scalar);
                own.given.insert(setting.key.name);
            }
        }
        let producer = self.add_producer(service, &own, phrase.place);
        let key = match phrase.scalar("key").map(Scalar::text) {
            Some("id") => PublishKey::Id,
            Some("none") => PublishKey::None,
            _ => PublishKey::Key,
        };
        Some(Action::Publish { topic, producer, wait: !phrase.flag("async"), key })
    }

    fn read_topic(&self, given: &Given) -> Option<crate::types::TopicId> {
        let text = given.text();
        let topic = self.topic(text.text);
        if topic.is_none() {
            self.report_unknown(text.text, text.place, "a topic", &self.topic_names());
        }
        topic
    }

    fn read_commit(&self, phrase: &Phrase, how: CommitHow, seen: &mut Seen) -> Option<Action> {
        seen.commits.push(phrase.verb_place);
        let Some(given) = phrase.get("every") else {
            return Some(Action::Commit { every: CommitEvery::Record, how });
        };
        let text = given.text();
        let every = match text.text {
            "record" => CommitEvery::Record,
            "batch" => CommitEvery::Batch,
            other => match (values::parse(Kind::Integer(1, 1_000_000_000), other), values::duration(other)) {
                (Ok(Scalar::Integer(count)), _) => CommitEvery::Records(count as u32),
                (_, Ok(interval)) if !interval.is_zero() => CommitEvery::Interval(interval),
                _ => {
                    let title = format!("`every` is `{}`", printable(other));
                    self.problems.add(
                        Diagnostic::error("S044", text.place, title)
                            .label("not how often")
                            .help("one of record, batch, a number such as 100, a duration such as 5s")
                            .did_you_mean(text.place, nearest(other, ["record", "batch"])),
                    );
                    return None;
                }
            },
        };
        Some(Action::Commit { every, how })
    }

    fn check_done(&self, service: usize, thing: &Thing, fields: &Fields, seen: &Seen) {
        let report = |code, place: Place, title: String, label: &str, help: &str| {
            self.problems.add(Diagnostic::error(code, place, title).label(label).help(help));
        };
        match &self.plan.services[service].trigger {
            Trigger::Requests(_) | Trigger::Called(_) => {
                if let Some(place) = seen.commits.first() {
                    report(
                        "S050",
                        *place,
                        format!("`commit` in `{}`, which consumes nothing", thing.name),
                        "nothing to commit",
                        "remove it",
                    );
                }
                match seen.responds[..] {
                    [_] => {}
                    [] => report(
                        "S055",
                        thing.place,
                        format!("service `{}` never answers its callers", thing.name),
                        "no `respond` among its steps",
                        "add \"respond ok\": it is the promise to the caller, so its place in the list matters",
                    ),
                    [_, second, ..] => report(
                        "S055",
                        second,
                        format!("`{}` answers twice", thing.name),
                        "a second answer",
                        "remove one",
                    ),
                }
            }
            Trigger::Poll(_) => {
                if let Some(place) = seen.responds.first() {
                    report(
                        "S055",
                        *place,
                        format!("nobody waits for an answer of `{}`", thing.name),
                        "no caller",
                        "remove it; a relay says `commit`",
                    );
                }
                match seen.commits[..] {
                    [place] => self.check_row_commit(service, place),
                    [] => report(
                        "S052",
                        thing.place,
                        format!("service `{}` never says that it is done", thing.name),
                        "no `commit` among its steps",
                        "end `steps` with \"commit\": it marks the row, or moves the cursor",
                    ),
                    [_, second, ..] => report(
                        "S052",
                        second,
                        format!("service `{}` commits twice", thing.name),
                        "a second `commit`",
                        "keep the one whose place you mean",
                    ),
                }
            }
            Trigger::Consume(consume) => {
                if let Some(place) = seen.responds.first() {
                    report(
                        "S055",
                        *place,
                        format!("nobody waits for an answer of `{}`", thing.name),
                        "no caller",
                        "remove it; a consumer says `commit`",
                    );
                }
                let auto = consume.consumer.enable_auto_commit;
                let auto_place = fields.item("enable-auto-commit").map_or(thing.place, |item| item.place);
                match (seen.commits.first(), auto) {
                    (None, false) => report(
                        "S052",
                        thing.place,
                        format!("service `{}` never says that it is done", thing.name),
                        "no `commit` among its steps, and auto-commit is off",
                        "end `steps` with \"commit\" (a crash repeats, nothing is lost)",
                    ),
                    (Some(_), true) => report(
                        "S052",
                        auto_place,
                        format!("service `{}` commits twice", thing.name),
                        "auto-commit is on, and a `commit` stands among its steps",
                        "remove one of them",
                    ),
                    (Some(_), false) | (None, true) => {}
                }
                if let Some(second) = seen.commits.get(1) {
                    report(
                        "S052",
                        *second,
                        format!("service `{}` commits twice", thing.name),
                        "a second `commit`",
                        "keep the one whose place you mean",
                    );
                }
            }
        }
    }

    fn check_headroom(&self, service: usize, fields: &Fields, seen: &Seen) {
        let name = &self.plan.services[service].name;
        let headroom = fields.item("headroom");
        match (headroom, &seen.bare_work[..]) {
            (None, []) | (Some(_), [_]) => {}
            (Some(item), []) => self.problems.add(
                Diagnostic::error("S056", item.key, format!("`headroom` of `{name}` has no work to give time to"))
                    .label("no bare `work` among its steps")
                    .help("write one \"work\" or \"work exp\" without a time"),
            ),
            (None, [place, ..]) => self.problems.add(
                Diagnostic::error("S056", *place, format!("`work` of `{name}` has no time"))
                    .label("neither a time nor `headroom`")
                    .help("write \"work 10ms\", or give the service `headroom = \"1.5x\"`"),
            ),
            (Some(_), [_, second, ..]) => self.problems.add(
                Diagnostic::error("S056", *second, format!("`{name}` has more than one bare `work`"))
                    .label("a second one")
                    .help("give all but one a time"),
            ),
        }
    }

    // --- the ladder ---

    pub fn read_ladder(&mut self, service: usize, fields: &Fields, producer: &GivenProducer) {
        let is_consumer = !matches!(self.plan.services[service].trigger, Trigger::Requests(_));
        let Some(list) = fields.item("on-failure") else {
            let backoff = Spread::Uniform { low: Duration::from_millis(100), high: Duration::from_secs(5) };
            self.plan.services[service].ladder = vec![if is_consumer { Rung::Block { backoff } } else { Rung::Refuse }];
            return;
        };
        let before = self.problems.errors();
        let mut rungs: Vec<(Rung, Place)> = Vec::new();
        let mut attempts = 0u16;
        for item in list.elements() {
            let Some(phrase) = RUNGS.read(item, self.problems) else { continue };
            if let Some(mut rung) = self.read_rung(service, &phrase, is_consumer, producer) {
                // Attempts are counted over all retry topics of the ladder.
                if let Rung::RetryTopic { up_to, .. } = &mut rung {
                    attempts = attempts.saturating_add(*up_to);
                    *up_to = attempts;
                }
                rungs.push((rung, phrase.place));
            }
        }
        if self.problems.errors() > before {
            return;
        }
        let last = rungs.len().saturating_sub(1);
        for (number, (rung, place)) in rungs.iter().enumerate() {
            let is_final = !is_passing(rung);
            if is_final && number < last {
                self.problems.add(
                    Diagnostic::error("S053", *place, "a final rung stands in the middle of the ladder")
                        .label("nothing behind it is ever reached")
                        .help("put it last, or remove what follows"),
                );
            }
        }
        if rungs.last().is_none_or(|(rung, _)| is_passing(rung)) {
            self.problems.add(
                Diagnostic::error("S053", list.place, "the ladder ends in no final rung")
                    .label("what when all of this has failed?")
                    .help("end it with one of block, dead-letter TOPIC, skip, refuse, crash, close"),
            );
        }
        self.plan.services[service].ladder = rungs.into_iter().map(|(rung, _)| rung).collect();
    }

    fn read_rung(
        &mut self,
        service: usize,
        phrase: &Phrase,
        is_consumer: bool,
        producer: &GivenProducer,
    ) -> Option<Rung> {
        let misplaced = |what: &str| {
            let title = format!("`{}` is a rung of {what}", phrase.verb.name);
            self.problems.add(
                Diagnostic::error("S054", phrase.verb_place, title)
                    .label("does not fit the trigger")
                    .help("use block, dead-letter TOPIC, skip or crash"),
            );
            None
        };
        let doubling = Spread::Uniform { low: Duration::from_millis(100), high: Duration::from_secs(5) };
        let backoff = |default: Spread| phrase.scalar("backoff").map_or(default, Scalar::spread);
        match phrase.verb.name {
            "retry" => Some(Rung::Retry { times: phrase.value()?.scalar.u32(), backoff: backoff(Spread::ZERO) }),
            "block" => Some(Rung::Block { backoff: backoff(doubling) }),
            "dead-letter" => {
                let topic = self.read_topic(phrase.value()?)?;
                let producer = self.add_producer(service, producer, phrase.place);
                Some(Rung::DeadLetter { topic, producer, wait: !phrase.flag("async") })
            }
            "retry-topic" => self.read_retry_topic(service, phrase, producer),
            "skip" => Some(Rung::Skip),
            "refuse" if is_consumer => misplaced("services with callers"),
            "refuse" => Some(Rung::Refuse),
            "close" if !is_consumer => misplaced("consumers"),
            "close" => Some(Rung::Close),
            _ => Some(Rung::Crash),
        }
    }
}

/// The rungs behind it are reached.
fn is_passing(rung: &Rung) -> bool {
    matches!(rung, Rung::Retry { .. } | Rung::RetryTopic { .. })
}

//! Services: what starts them, how many there are, what their clients are set to.

use std::collections::BTreeSet;

use crate::types::request::Cursor;
use crate::types::settings::{
    Acks, ClientLibrary, ConsumerSettings, GroupProtocol, OffsetReset, ProducerSettings, ReplicaSelector,
};
use crate::types::{ByteCount, Duration, GroupId, NodeId, Ratio, ServiceId, TopicId};

use super::super::diagnostics::{Diagnostic, Place, nearest, printable};
use super::super::family::report_type;
use super::super::fields::Fields;
use super::super::keys::*;
use super::super::plan::*;
use super::super::sentence::split;
use super::super::tree::{Table, Text, Value};
use super::super::values::{self, Kind};
use super::poll::NOWHERE;
use super::{Builder, Thing};

/// Producer settings, and which of them somebody wrote down.
#[derive(Clone, Debug, Default)]
pub struct GivenProducer {
    pub settings: ProducerSettings,
    pub given: BTreeSet<&'static str>,
    /// Where defaults that depend on each other come from.
    pub library: ClientLibrary,
}

/// What the trigger of a service says.
enum On {
    Requests,
    Called,
    Consume(Vec<TopicId>),
    /// Tables have no numbers yet.
    Poll,
}

fn service_keys() -> impl Iterator<Item = Key> {
    let settings = PRODUCER_SETTINGS.iter().map(|setting| setting.key);
    let consumer = CONSUMER_SETTINGS.iter().map(|setting| setting.key);
    SERVICE
        .iter()
        .chain(REQUESTS)
        .chain(CALLED)
        .chain(CONSUME)
        .chain(POLL)
        .chain(LATER_TRIGGERS)
        .copied()
        .chain(settings)
        .chain(consumer)
}

pub fn service_fields<'a>(service: &Thing<'a>, problems: &'a super::Problems) -> Fields<'a> {
    Fields::new(service.table, format!("[service.{}]", service.name), service.place, service_keys(), problems)
}

impl Builder<'_> {
    /// Gives every service, instance and body of callers its number, so that steps and faults can name them.
    pub fn number_services(&mut self, services: &[Thing]) {
        for (number, service) in services.iter().enumerate() {
            let fields = service_fields(service, self.problems);
            let id = ServiceId(number as u16);
            let mut count = fields.integer("instances", 1) as u16;
            if self.plan.nodes.len() + usize::from(count) > 5_000 {
                let title = "more than 5000 processes";
                let cure = "lower `instances`";
                self.problems.add(Diagnostic::error("S032", service.place, title).label("too many").help(cure));
                count = 1;
            }
            let mut instances = Vec::new();
            for number in 1..=count {
                let name = format!("{}-{number}", service.name);
                instances.push(self.add_node(name, NodeKind::Instance { service: id, number }));
            }
            let trigger = self.number_trigger(id, service, &fields);
            let asks_order = fields.text("worker-order");
            let workers = fields.integer("workers", if asks_order.is_some() { 32 } else { 1 }) as u16;
            let worker_order =
                if asks_order.is_some_and(|word| word == "any") { WorkerOrder::Any } else { WorkerOrder::Key };
            self.service_places.push(service.place);
            self.plan.services.push(ServicePlan {
                id,
                name: service.name.to_string(),
                owner: fields.text("owner"),
                instances,
                workers,
                worker_order,
                restart: fields.duration("restart", Duration::from_secs(1)),
                headroom_thousandths: fields.scalar("headroom").map(|scalar| scalar.thousandths()),
                trigger,
                steps: Vec::new(),
                ladder: Vec::new(),
                producers: Vec::new(),
                transactional: None,
            });
        }
    }

    fn number_trigger(&mut self, id: ServiceId, service: &Thing, fields: &Fields) -> Trigger {
        match self.read_on(fields) {
            Some(On::Consume(topics)) => {
                let name = fields.text("group-id").unwrap_or_else(|| service.name.to_string());
                let known = self.plan.groups.iter().find(|group| group.name == name).map(|group| group.id);
                let group = known.unwrap_or_else(|| {
                    let group = GroupId(self.plan.groups.len() as u16);
                    self.plan.groups.push(GroupPlan { id: group, name });
                    group
                });
                Trigger::Consume(ConsumePlan {
                    group,
                    topics,
                    consumer: ConsumerSettings { enable_auto_commit: false, ..ConsumerSettings::default() },
                    static_membership: false,
                    commit_of: CommitOf::Contiguous,
                    on_revoke: OnRevoke::Commit,
                })
            }
            Some(On::Called) => {
                Trigger::Called(CalledPlan { max_waiting: fields.integer("max-waiting", 1_000) as u32 })
            }
            Some(On::Poll) => {
                let (table, every) = (NOWHERE, Duration::from_secs(1));
                Trigger::Poll(PollPlan { store: 0, table, every, batch: 100, cursor: Cursor::Unsent })
            }
            // A broken trigger is read as requests; its problem has been reported.
            Some(On::Requests) | None => {
                let callers = self.add_node(format!("callers-{}", service.name), NodeKind::Callers { service: id });
                Trigger::Requests(empty_requests(callers))
            }
        }
    }

    fn read_on(&self, fields: &Fields) -> Option<On> {
        let item = fields.require_item("on", "\"requests\"` or `on = \"consume orders\"")?;
        let given = match (&item.value, item.text()) {
            (_, Some(text)) => text,
            // The table form: { consume = "orders" }.
            (Value::Table(table), _) => match table.iter().next() {
                Some(("consume", item)) => return self.read_topics_of(item),
                Some(("called", _)) => return Some(On::Called),
                Some(("poll", item)) => return item.text().map(|_| On::Poll),
                _ => {
                    report_type(item, "on", "a trigger", self.problems);
                    return None;
                }
            },
            _ => {
                report_type(item, "on", "a trigger", self.problems);
                return None;
            }
        };
        let words = split(given.text);
        let first = words.first().map_or("", |word| word.text);
        let report = |title: String, help: &str, near: Option<&str>| {
            self.problems.add(
                Diagnostic::error("S050", given.place, title)
                    .label("not a trigger")
                    .maybe_help(Some(near.map_or(help.to_string(), |near| format!("did you mean `{near}`?")))),
            );
        };
        match first {
            "requests" if words.len() == 1 => Some(On::Requests),
            "consume" if words.len() > 1 => {
                let list = given.part(words[1].start, given.text.len());
                self.read_topic_list(list).map(On::Consume)
            }
            "consume" => {
                report("`consume` names no topic".into(), "write \"consume orders\"", None);
                None
            }
            "called" if words.len() == 1 => Some(On::Called),
            "poll" if words.len() == 2 => Some(On::Poll),
            "poll" => {
                report("`poll` names no table".into(), "write \"poll db.outbox\"", None);
                None
            }
            _ => {
                let title = format!("`{}` is not a trigger", printable(given.text));
                let near = nearest(first, ["requests", "called", "consume", "poll"]);
                report(title, "write \"requests\", \"called\", \"consume TOPIC\" or \"poll STORE.TABLE\"", near);
                None
            }
        }
    }

    fn read_topics_of(&self, item: &super::Item) -> Option<On> {
        let texts: Vec<Text> = item.elements().iter().filter_map(|element| element.text()).collect();
        let topics: Vec<TopicId> = texts.iter().filter_map(|text| self.read_topic_list(*text)).flatten().collect();
        (!topics.is_empty()).then_some(On::Consume(topics))
    }

    fn read_topic_list(&self, list: Text) -> Option<Vec<TopicId>> {
        let mut topics = Vec::new();
        let mut start = 0;
        for part in list.text.split(',') {
            let name = list.part(start, start + part.len()).trimmed();
            start += part.len() + 1;
            match self.topic(name.text) {
                Some(topic) if topics.contains(&topic) => {}
                Some(topic) => topics.push(topic),
                None => self.report_unknown(name.text, name.place, "a topic", &self.topic_names()),
            }
        }
        (!topics.is_empty()).then_some(topics)
    }

    /// Everything else about the services.
    pub fn read_services(&mut self, top: &Fields, services: &[Thing]) {
        let empty = Table::default();
        let (client, place) = match top.item("client") {
            Some(item) => match item.table() {
                Some(table) => (table, item.key),
                None => {
                    report_type(item, "client", "a table", self.problems);
                    (&empty, item.place)
                }
            },
            None => (&empty, Place::default()),
        };
        let settings = PRODUCER_SETTINGS.iter().map(|setting| setting.key);
        let consumer = CONSUMER_SETTINGS.iter().map(|setting| setting.key);
        let keys = settings.chain(consumer).chain([CLIENT_RACK, LIBRARY]);
        let client = Fields::new(client, "[client]".into(), place, keys, self.problems);
        for (number, service) in services.iter().enumerate() {
            let fields = service_fields(service, self.problems);
            let library = self.read_library(&client, &fields);
            let settings = ProducerSettings::of(library);
            let mut producer = GivenProducer { settings, given: BTreeSet::new(), library };
            producer.given.extend(client.settings(PRODUCER_SETTINGS, &mut producer.settings));
            producer.given.extend(fields.settings(PRODUCER_SETTINGS, &mut producer.settings));
            match self.plan.services[number].trigger.clone() {
                Trigger::Requests(requests) => {
                    let requests = self.read_requests(&fields, requests);
                    self.plan.services[number].trigger = Trigger::Requests(requests);
                    self.refuse_keys(&fields, &keys_of_consumers(), "consume");
                    self.refuse_keys(&fields, &names(CALLED), "called");
                    self.refuse_keys(&fields, &names(POLL), "poll");
                }
                Trigger::Called(_) => {
                    self.refuse_keys(&fields, &keys_of_consumers(), "consume");
                    self.refuse_keys(&fields, &names(REQUESTS), "requests");
                    self.refuse_keys(&fields, &names(POLL), "poll");
                }
                Trigger::Poll(poll) => {
                    let poll = self.read_poll(&fields, poll);
                    self.plan.services[number].trigger = Trigger::Poll(poll);
                    self.refuse_keys(&fields, &keys_of_consumers(), "consume");
                    self.refuse_keys(&fields, &names(REQUESTS), "requests");
                    self.refuse_keys(&fields, &names(CALLED), "called");
                }
                Trigger::Consume(consume) => {
                    let consume = self.read_consume(&client, &fields, library, consume);
                    self.refuse_mixed_protocols(number, &consume, &fields);
                    self.plan.services[number].trigger = Trigger::Consume(consume);
                    self.refuse_keys(&fields, &names(REQUESTS), "requests");
                    self.refuse_keys(&fields, &names(CALLED), "called");
                    self.refuse_keys(&fields, &names(POLL), "poll");
                }
            }
            self.read_steps(number, service, &fields, &producer);
            self.read_ladder(number, &fields, &producer);
            if self.plan.services[number].producers.is_empty() {
                self.refuse_producer_settings(&fields);
                self.refuse_library(number, &fields);
            }
        }
    }

    /// Keys of another trigger say something that does not happen.
    fn refuse_keys(&self, fields: &Fields, keys: &[&str], trigger: &str) {
        if fields.item("on").and_then(|item| item.text()).is_none() {
            return;
        }
        for key in keys {
            if let Some(item) = fields.item(key) {
                let title = format!("`{key}` belongs to a service that is triggered by `{trigger}`");
                self.problems
                    .add(Diagnostic::error("S050", item.key, title).label("has no meaning here").help("remove it"));
            }
        }
    }

    /// A service that publishes nothing has no producer.
    fn refuse_producer_settings(&self, fields: &Fields) {
        let is_consumers = |name: &str| CONSUMER_SETTINGS.iter().any(|setting| setting.key.name == name);
        let stated = PRODUCER_SETTINGS.iter().map(|setting| setting.key.name).filter(|name| !is_consumers(name));
        for key in stated {
            // A step that could not be read may have been the one that publishes.
            let Some(item) = fields.item(key).filter(|_| self.problems.errors() == 0) else { continue };
            let title = format!("`{key}` is a setting of a producer, and {} publishes nothing", fields.header);
            self.problems
                .add(Diagnostic::error("S050", item.key, title).label("has no meaning here").help("remove it"));
        }
    }

    /// The service's own word counts before the one for all clients.
    fn read_library(&self, client: &Fields, fields: &Fields) -> ClientLibrary {
        match fields.text("library").or_else(|| client.text("library")).as_deref() {
            Some("kafkajs") => ClientLibrary::Kafkajs,
            Some("librdkafka") => ClientLibrary::Librdkafka,
            Some(_) | None => ClientLibrary::Java,
        }
    }

    /// A service that neither publishes nor consumes has no client that could be another one.
    fn refuse_library(&self, number: usize, fields: &Fields) {
        let consumes = matches!(self.plan.services[number].trigger, Trigger::Consume(_));
        if let Some(item) = fields.item("library").filter(|_| !consumes && self.problems.errors() == 0) {
            let title = format!("`library` chooses a client of the queue, and {} has none", fields.header);
            self.problems
                .add(Diagnostic::error("S050", item.key, title).label("has no meaning here").help("remove it"));
        }
    }

    fn read_requests(&self, fields: &Fields, requests: RequestsPlan) -> RequestsPlan {
        // Only a service that really has this trigger needs a rate.
        let broken = fields.item("on").and_then(|item| item.text()).is_none_or(|text| text.text.trim() != "requests");
        let rate = if broken { fields.scalar("rate") } else { fields.require("rate", "\"100/s\"") };
        RequestsPlan {
            interval: rate.map_or(requests.interval, |rate| rate.interval()),
            arrivals: self.read_arrivals(fields),
            keys: self.read_keys(fields),
            size: fields.size("size", ByteCount(1 << 10)),
            count: fields.scalar("count").map(|scalar| scalar.u64()),
            caller_timeout: fields.duration("caller-timeout", Duration::from_secs(30)),
            caller_attempts: fields.integer("caller-attempts", 1) as u16,
            caller_backoff: fields.duration("caller-backoff", Duration::from_secs(1)),
            caller_id: match fields.text("caller-id").as_deref() {
                Some("per-attempt") => CallerId::PerAttempt,
                _ => CallerId::Fixed,
            },
            ..requests
        }
    }

    fn read_arrivals(&self, fields: &Fields) -> Arrivals {
        let Some(text) = fields.item("arrivals").and_then(|item| item.text()) else {
            fields.scalar("arrivals");
            return Arrivals::Poisson;
        };
        let words: Vec<&str> = text.text.split_whitespace().collect();
        match words[..] {
            ["constant"] => return Arrivals::Constant,
            ["poisson"] => return Arrivals::Poisson,
            ["burst", count] => {
                if let Ok(values::Scalar::Integer(count)) = values::parse(Kind::Integer(1, 1_000_000), count) {
                    return Arrivals::Burst(count as u32);
                }
            }
            ["diurnal", amplitude, "over", period] => {
                let amplitude = values::parse(Kind::Ratio, amplitude).map(|scalar| scalar.ratio());
                let period = values::parse(Kind::Duration, period).map(|scalar| scalar.duration());
                if let (Ok(amplitude), Ok(period)) = (amplitude, period)
                    && amplitude <= Ratio::ONE
                    && !period.is_zero()
                {
                    return Arrivals::Diurnal { amplitude, period };
                }
            }
            _ => {}
        }
        let title = format!("`arrivals` is `{}`", printable(text.text));
        const WAYS: [&str; 4] = ["constant", "poisson", "burst 10", "diurnal 50% over 24h"];
        let word = |way: &'static str| way.split(' ').next().unwrap_or(way);
        let near = nearest(words.first().copied().unwrap_or(""), WAYS.map(word));
        let near = near.and_then(|near| WAYS.into_iter().find(|way| word(way) == near));
        self.problems.add(
            Diagnostic::error("S033", text.place, title)
                .label("not a way to arrive")
                .help("one of \"constant\", \"poisson\", \"burst 10\", \"diurnal 50% over 24h\"")
                .did_you_mean(text.place, near.map(|near| format!("\"{near}\"")).as_deref()),
        );
        Arrivals::Poisson
    }

    fn read_keys(&self, fields: &Fields) -> Keys {
        const MOST: u64 = 1_000_000_000;
        let default = Keys::Uniform(1_000);
        let Some(item) = fields.item("keys") else { return default };
        if let Value::Integer(Some(count)) = item.value
            && (1..=MOST as i64).contains(&count)
        {
            return Keys::Uniform(count as u64);
        }
        let written = item.written();
        let words: Vec<&str> = written.split_whitespace().collect();
        match words[..] {
            ["unique"] => return Keys::Unique,
            ["zipf", exponent, "of", count] => {
                let exponent = values::factor(&format!("{exponent}x")).filter(|e| (1..=10_000).contains(e));
                let count = count.parse::<u64>().ok().filter(|count| (1..=MOST).contains(count));
                if let (Some(exponent), Some(of)) = (exponent, count) {
                    return Keys::Zipf { thousandths: exponent as u32, of };
                }
            }
            _ => {}
        }
        self.problems.add(
            Diagnostic::error("S033", item.place, format!("`keys` is `{}`", printable(&written)))
                .label("not a number of keys")
                .help("one of 1000, \"zipf 1.1 of 1000\", \"unique\""),
        );
        default
    }

    fn read_consume(
        &self,
        client: &Fields,
        fields: &Fields,
        library: ClientLibrary,
        consume: ConsumePlan,
    ) -> ConsumePlan {
        let mut consumer = ConsumerSettings { enable_auto_commit: false, ..ConsumerSettings::of(library) };
        let mut given = BTreeSet::new();
        for source in [client, fields] {
            given.extend(source.settings(CONSUMER_SETTINGS, &mut consumer));
        }
        consumer.client_rack = self.read_client_rack(fields).or_else(|| self.read_client_rack(client));
        if !given.contains("auto-offset-reset") && client.item("auto-offset-reset").is_none() {
            fields.require_item("auto-offset-reset", "\"earliest\"");
            consumer.auto_offset_reset = OffsetReset::Earliest;
        }
        let place = |key: &str| fields.item(key).or_else(|| client.item(key)).map_or(fields.place, |item| item.place);
        let (protocol, others) = match consumer.group_protocol {
            GroupProtocol::Classic => ("consumer", &["group-remote-assignor"][..]),
            GroupProtocol::Consumer => {
                ("classic", &["session-timeout", "heartbeat-interval", "partition-assignment-strategy"][..])
            }
        };
        for key in others.iter().filter(|key| given.contains(**key)) {
            let title = format!("`{key}` is a setting of the {protocol} group protocol");
            let cure = match *key {
                "session-timeout" => "remove it; in a consumer group `cluster.group-consumer-session-timeout` decides",
                "heartbeat-interval" => {
                    "remove it; in a consumer group `cluster.group-consumer-heartbeat-interval` decides"
                }
                "partition-assignment-strategy" => "remove it; in a consumer group `group-remote-assignor` decides",
                _ => "remove it, or write `group-protocol = \"consumer\"`",
            };
            self.problems
                .add(Diagnostic::error("S059", place(key), title).label("means nothing to this group").help(cure));
        }
        if library == ClientLibrary::Kafkajs {
            self.refuse_of_kafkajs(&given, &consumer, place);
        }
        if consumer.session_timeout < self.plan.cluster.settings.group_min_session_timeout {
            let minimum = self.plan.cluster.settings.group_min_session_timeout;
            self.problems.add(
                Diagnostic::error(
                    "S059",
                    place("session-timeout"),
                    format!("`session-timeout` is {}", consumer.session_timeout),
                )
                .label(format!("brokers accept {minimum} and more"))
                .help("raise it, or lower `cluster.group-min-session-timeout`"),
            );
        }
        if consumer.heartbeat_interval >= consumer.session_timeout {
            let (interval, timeout) = (consumer.heartbeat_interval, consumer.session_timeout);
            self.problems.add(
                Diagnostic::error("S059", place("heartbeat-interval"), format!("`heartbeat-interval` is {interval}"))
                    .label(format!("not below the session timeout of {timeout}"))
                    .help("a third of the session timeout is usual"),
            );
        }
        ConsumePlan {
            consumer,
            static_membership: fields.scalar("static-membership").is_some_and(|scalar| scalar.boolean()),
            commit_of: match fields.text("commit-of").as_deref() {
                Some("highest") => CommitOf::Highest,
                _ => CommitOf::Contiguous,
            },
            on_revoke: match fields.text("on-revoke").as_deref() {
                Some("abandon") => OnRevoke::Abandon,
                _ => OnRevoke::Commit,
            },
            ..consume
        }
    }

    fn read_client_rack(&self, fields: &Fields) -> Option<u16> {
        let text = fields.item(CLIENT_RACK.name)?.text()?;
        let rack = self.rack(text)?;
        if self.plan.cluster.settings.replica_selector_class == ReplicaSelector::LeaderSelector {
            let title = "`client-rack` changes nothing: brokers send every consumer to the leader";
            let cure = "write `replica-selector-class = \"RackAwareReplicaSelector\"` in `[cluster]`, or remove it";
            self.problems
                .add(Diagnostic::warning("S059", text.place, title.to_string()).label("not asked for").help(cure));
        }
        Some(rack)
    }

    /// All members of a group speak one protocol.
    fn refuse_mixed_protocols(&self, number: usize, consume: &ConsumePlan, fields: &Fields) {
        let others = self.plan.services[..number].iter().filter_map(|service| match &service.trigger {
            Trigger::Consume(other) if other.group == consume.group => Some((&service.name, other)),
            Trigger::Consume(_) | Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
        });
        for (name, other) in others {
            let of = |consume: &ConsumePlan| {
                (consume.consumer.group_protocol, consume.consumer.partition_assignment_strategy)
            };
            if of(other) != of(consume) {
                let key = match other.consumer.group_protocol == consume.consumer.group_protocol {
                    true => "partition-assignment-strategy",
                    false => "group-protocol",
                };
                let place = fields.item(key).map_or(fields.place, |item| item.place);
                let title = format!("the group of this service and of `{name}` would have two of `{key}`");
                self.problems.add(
                    Diagnostic::error("S059", place, title)
                        .label("all members of a group have the same")
                        .help("write the same in both, or in [client]"),
                );
            }
        }
    }

    /// The number of a producer with these settings; equal settings share one.
    pub fn add_producer(&mut self, service: usize, producer: &GivenProducer, place: Place) -> u16 {
        let settings = self.settle_producer(producer, place);
        let transactional = self.plan.services[service].transactional;
        let producers = &mut self.plan.services[service].producers;
        let transactional = transactional.map(usize::from);
        let known = (0..producers.len()).find(|at| producers[*at] == settings && Some(*at) != transactional);
        known.unwrap_or_else(|| {
            producers.push(settings);
            producers.len() - 1
        }) as u16
    }

    /// What the client does with settings that depend on each other. Kafka: ProducerConfig.postProcessParsedConfig.
    pub(super) fn settle_producer(&self, producer: &GivenProducer, place: Place) -> ProducerSettings {
        let mut settings = producer.settings.clone();
        let stated = |key: &str| producer.given.contains(key);
        let in_flight = "max-in-flight-requests-per-connection";
        if producer.library != ClientLibrary::Java && settings.enable_idempotence && !stated(in_flight) {
            // librdkafka: rd_kafka_conf_finalize adjusts what was not set by hand; kafkajs keeps idempotent batches in order.
            settings.max_in_flight_requests_per_connection = 5;
        }
        let impossible =
            settings.acks != Acks::All || settings.retries == 0 || settings.max_in_flight_requests_per_connection > 5;
        if settings.enable_idempotence && impossible {
            if stated("enable-idempotence") {
                self.problems.add(
                    Diagnostic::error(
                        "S059",
                        place,
                        "idempotence needs acks=all, retries, and at most 5 requests in flight",
                    )
                    .label("this producer has other settings")
                    .help("remove `enable-idempotence`, or what contradicts it"),
                );
            }
            settings.enable_idempotence = false;
        }
        if settings.buffer_memory < settings.batch_size {
            let title = format!("`buffer-memory` is {}", settings.buffer_memory);
            self.problems.add(
                Diagnostic::error("S059", place, title)
                    .label(format!("less than one batch of {}", settings.batch_size))
                    .help("raise it, or lower `batch-size`"),
            );
        }
        let least = settings.linger + settings.request_timeout;
        if settings.delivery_timeout < least {
            if stated("delivery-timeout") {
                let title = format!("`delivery-timeout` is {}", settings.delivery_timeout);
                self.problems.add(
                    Diagnostic::error("S059", place, title)
                        .label(format!("less than linger + request-timeout, {least}"))
                        .help("raise it, or lower `request-timeout`"),
                );
            }
            settings.delivery_timeout = least;
        }
        settings
    }
}

fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// What only a consumer has.
fn keys_of_consumers() -> Vec<&'static str> {
    let is_producers = |name: &str| PRODUCER_SETTINGS.iter().any(|setting| setting.key.name == name);
    let own = CONSUMER_SETTINGS.iter().map(|setting| setting.key.name).filter(|name| !is_producers(name));
    names(CONSUME).into_iter().chain(own).collect()
}

fn empty_requests(callers: NodeId) -> RequestsPlan {
    RequestsPlan {
        callers,
        interval: Duration::from_secs(1),
        arrivals: Arrivals::Poisson,
        keys: Keys::Uniform(1_000),
        size: ByteCount(1 << 10),
        count: None,
        caller_timeout: Duration::from_secs(30),
        caller_attempts: 1,
        caller_backoff: Duration::from_secs(1),
        caller_id: CallerId::Fixed,
    }
}

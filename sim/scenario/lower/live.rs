//! `set PATH to VALUE`: which keys can have another value while the system runs, and faults about `work`.
//!
//! A path is the address of the key in the file: `service.shop.rate`. The value is read as the key itself reads it. The time
//! of a step has no key; it goes by the name that points have for it: `service.billing.work`.

use crate::types::{ServiceId, TopicId};

use super::super::diagnostics::{Diagnostic, nearest, printable};
use super::super::keys::{self, Key};
use super::super::plan::*;
use super::super::sentence::{Given, Phrase};
use super::super::tree::{Item, Text, Value};
use super::super::values::{self, Kind, Scalar};
use super::Builder;

/// What can be set, by the kind of thing.
const LIVE: [(&str, &[&str]); 5] = [
    ("service", &["rate", "instances", "work"]),
    ("store", &["latency", "timeout", "errors", "lost-requests", "lost-answers"]),
    ("network", &["latency", "loss", "bandwidth"]),
    ("topic", &["partitions", "retention", "retention-bytes"]),
    ("endpoint", &["latency", "errors", "lost-requests", "lost-answers"]),
];

impl Builder<'_> {
    pub fn read_set(&self, phrase: &Phrase, path: Text) -> Option<LiveValue> {
        let to = phrase.require("to", "VALUE", self.problems)?;
        let parts = parts_of(path);
        match parts[..] {
            [kind, name, key] => match kind.text {
                "service" => self.read_service_value(name, key, path, to),
                "store" => self.read_store_value(name, key, path, to),
                "endpoint" => self.read_endpoint_value(name, key, path, to),
                "topic" => self.read_topic_value(name, key, path, phrase, to),
                _ => self.not_live(path),
            },
            [kind, key] if kind.text == "network" => self.read_network_value(key, path, to),
            _ => self.not_live(path),
        }
    }

    fn read_service_value(&self, name: Text, key: Text, path: Text, to: &Given) -> Option<LiveValue> {
        let service = self.read_service(name)?;
        let plan = &self.plan.services[usize::from(service.0)];
        match key.text {
            "rate" => {
                if !matches!(plan.trigger, Trigger::Requests(_)) {
                    let why =
                        if plan.has_callers() { "others of our own call it" } else { "it consumes what others send" };
                    let title = format!("`{}` has no `rate`: {why}", name.text);
                    self.report_fault("S077", path.place, title, "not a key of this service", &self.origins_help());
                    return None;
                }
                let interval = self.value_of(keys::REQUESTS, key.text, to)?.interval();
                Some(LiveValue::Rate { service, interval })
            }
            "instances" => {
                let count = self.value_of(keys::SERVICE, key.text, to)?.u16();
                let all = plan.instances.len();
                if all < usize::from(count) {
                    let title = format!("`{}` has {all} instances, and {count} are to run", name.text);
                    let help = format!("write `instances = {count}` in [service.{}], and set fewer before", name.text);
                    self.report_fault("S077", to.place, title, "more than there are", &help);
                    return None;
                }
                Some(LiveValue::Instances { service, count })
            }
            step if step == "work" || step.parse::<u16>().is_ok() => {
                let step = self.read_step_name(service, key)?;
                if !matches!(plan.steps[usize::from(step)].action, Action::Work { .. }) {
                    let title = format!("step {} of `{}` is no `work`", step + 1, name.text);
                    self.report_fault("S077", key.place, title, "takes no time of its own", "name a `work` step");
                    return None;
                }
                let time = self.scalar_of(Kind::Spread, key.text, to)?.spread();
                Some(LiveValue::Work { service, step, time })
            }
            _ => self.not_live(path),
        }
    }

    fn read_store_value(&self, name: Text, key: Text, path: Text, to: &Given) -> Option<LiveValue> {
        let Some(store) = self.plan.stores.iter().position(|store| store.name == name.text) else {
            let known: Vec<&str> = self.plan.stores.iter().map(|store| store.name.as_str()).collect();
            self.report_unknown(name.text, name.place, "a store", &known);
            return None;
        };
        let store = store as u16;
        let value = || self.value_of(keys::STORE, key.text, to);
        Some(match key.text {
            "latency" => LiveValue::StoreLatency { store, latency: value()?.spread() },
            "timeout" => LiveValue::StoreTimeout { store, timeout: value()?.duration() },
            "errors" => LiveValue::StoreErrors { store, rate: value()?.ratio() },
            "lost-requests" => LiveValue::StoreLostRequests { store, rate: value()?.ratio() },
            "lost-answers" => LiveValue::StoreLostAnswers { store, rate: value()?.ratio() },
            _ => return self.not_live(path),
        })
    }

    fn read_endpoint_value(&self, name: Text, key: Text, path: Text, to: &Given) -> Option<LiveValue> {
        let Some(endpoint) = self.plan.endpoints.iter().position(|endpoint| endpoint.name == name.text) else {
            self.report_unknown(name.text, name.place, "an endpoint", &self.endpoint_names());
            return None;
        };
        let endpoint = endpoint as u16;
        let value = || self.value_of(keys::ENDPOINT, key.text, to);
        Some(match key.text {
            "latency" => LiveValue::EndpointLatency { endpoint, latency: value()?.spread() },
            "errors" => LiveValue::EndpointErrors { endpoint, rate: value()?.ratio() },
            "lost-requests" => LiveValue::EndpointLostRequests { endpoint, rate: value()?.ratio() },
            "lost-answers" => LiveValue::EndpointLostAnswers { endpoint, rate: value()?.ratio() },
            _ => return self.not_live(path),
        })
    }

    fn read_network_value(&self, key: Text, path: Text, to: &Given) -> Option<LiveValue> {
        let value = || self.value_of(keys::NETWORK, key.text, to);
        Some(match key.text {
            "latency" => LiveValue::NetworkLatency(value()?.spread()),
            "loss" => LiveValue::NetworkLoss(value()?.ratio()),
            "bandwidth" => LiveValue::NetworkBandwidth(value()?.size()),
            _ => return self.not_live(path),
        })
    }

    fn read_topic_value(&self, name: Text, key: Text, path: Text, phrase: &Phrase, to: &Given) -> Option<LiveValue> {
        let topic: TopicId = self.read_topic_name(name)?;
        Some(match key.text {
            "partitions" => LiveValue::TopicPartitions { topic, count: self.read_more_partitions(topic, phrase, to)? },
            "retention" => {
                let kind = keys::TOPIC_SETTINGS.iter().find(|setting| setting.key.name == key.text)?.key.kind;
                let retention = self.scalar_of(kind, key.text, to)?.duration_or_endless();
                LiveValue::TopicRetention { topic, retention }
            }
            "retention-bytes" => {
                let size = self.value_of(keys::TOPIC, key.text, to)?.size();
                LiveValue::TopicRetentionBytes { topic, size }
            }
            _ => return self.not_live(path),
        })
    }

    /// Partitions are added and never taken away, for they hold records.
    fn read_more_partitions(&self, topic: TopicId, phrase: &Phrase, to: &Given) -> Option<u16> {
        let kind = keys::TOPIC_SETTINGS.iter().find(|setting| setting.key.name == "partitions")?.key.kind;
        let count = self.scalar_of(kind, "partitions", to)?.u16();
        let planned = &self.plan.topics[usize::from(topic.0)];
        let (name, has) = (&planned.name, planned.settings.partitions);
        if let Some(length) = phrase.get("for") {
            let title = format!("the partitions of `{name}` would be taken away again");
            self.report_fault("S077", length.place, title, "a partition stays, with its records", "remove `for`");
            return None;
        }
        if count <= has {
            let title = format!("`topic.{name}.partitions` is {has} from the start");
            let help = format!(
                "partitions can only be added: write {} or more, or begin with fewer in [topic.{name}]",
                has + 1
            );
            self.report_fault("S077", to.place, title, "none would be added", &help);
            return None;
        }
        Some(count)
    }

    /// A value of a key of this table.
    fn value_of(&self, table: &[Key], key: &str, to: &Given) -> Option<Scalar> {
        let kind = table.iter().find(|known| known.name == key)?.kind;
        self.scalar_of(kind, key, to)
    }

    fn scalar_of(&self, kind: Kind, key: &str, to: &Given) -> Option<Scalar> {
        let text = to.text();
        let value = Value::Text { text: text.text.into(), inside: text.inside };
        values::read(kind, key, &Item { value, place: text.place, key: text.place }, true, self.problems)
    }

    /// The key is not one of those that can be set, or there is no such key.
    fn not_live(&self, path: Text) -> Option<LiveValue> {
        let parts = parts_of(path);
        let last = parts.last().map_or("", |part| part.text);
        let kind = parts.first().map_or("", |part| part.text);
        let known = self.live_paths();
        let near = nearest(path.text, known.iter().map(String::as_str));
        let title = match self.is_key(kind, last) {
            true => {
                format!("`{}` is read when the system starts, and cannot be set while it runs", printable(path.text))
            }
            false => format!("`{}` is no key of this scenario that can be set", printable(path.text)),
        };
        let keys = LIVE.iter().find(|(known, _)| *known == kind);
        let help = match keys {
            Some((kind, keys)) => format!("of a {kind} can be set: {}; anything else is for [matrix]", keys.join(", ")),
            None => format!("for example `{}`", known.first().map_or("network.latency", String::as_str)),
        };
        self.problems.add(
            Diagnostic::error("S077", path.place, title)
                .label("not a live key")
                .help(help)
                .did_you_mean(path.place, near),
        );
        None
    }

    fn is_key(&self, kind: &str, key: &str) -> bool {
        let in_table = |table: &[Key]| table.iter().any(|known| known.name == key);
        match kind {
            "service" => {
                in_table(keys::SERVICE)
                    || in_table(keys::REQUESTS)
                    || in_table(keys::CONSUME)
                    || keys::CONSUMER_SETTINGS.iter().any(|setting| setting.key.name == key)
                    || keys::PRODUCER_SETTINGS.iter().any(|setting| setting.key.name == key)
            }
            "store" => in_table(keys::STORE),
            "endpoint" => in_table(keys::ENDPOINT),
            "network" => in_table(keys::NETWORK),
            "topic" => in_table(keys::TOPIC) || keys::TOPIC_SETTINGS.iter().any(|setting| setting.key.name == key),
            "cluster" => in_table(keys::CLUSTER) || keys::BROKER_SETTINGS.iter().any(|setting| setting.key.name == key),
            _ => false,
        }
    }

    /// Every path that can be set here.
    fn live_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for service in &self.plan.services {
            let is_origin = matches!(service.trigger, Trigger::Requests(_));
            let works = service.steps.iter().any(|step| matches!(step.action, Action::Work { .. }));
            let keys = LIVE[0].1.iter().filter(|key| match **key {
                "rate" => is_origin,
                "work" => works,
                _ => true,
            });
            paths.extend(keys.map(|key| format!("service.{}.{key}", service.name)));
        }
        let stores = self.plan.stores.iter();
        paths.extend(stores.flat_map(|store| LIVE[1].1.iter().map(move |key| format!("store.{}.{key}", store.name))));
        let endpoints = self.endpoint_names().into_iter();
        paths.extend(endpoints.flat_map(|name| LIVE[4].1.iter().map(move |key| format!("endpoint.{name}.{key}"))));
        paths.extend(LIVE[2].1.iter().map(|key| format!("network.{key}")));
        let topics = self.topic_names().into_iter();
        paths.extend(topics.flat_map(|topic| LIVE[3].1.iter().map(move |key| format!("topic.{topic}.{key}"))));
        paths
    }

    fn origins_help(&self) -> String {
        let origins = self.plan.services.iter().filter(|service| matches!(service.trigger, Trigger::Requests(_)));
        let paths: Vec<String> = origins.map(|service| format!("`service.{}.rate`", service.name)).collect();
        if paths.is_empty() { "no service takes requests".into() } else { format!("write {}", paths.join(" or ")) }
    }

    /// A service that has something to fail at.
    pub fn read_worker(&self, verb: &str, name: Text) -> Option<ServiceId> {
        let service = self.read_service(name)?;
        if !self.works(&self.plan.services[usize::from(service.0)]) {
            let title = format!("`{verb} {}`: no step of `{}` is `work`", name.text, name.text);
            self.report_fault("S071", name.place, title, "nothing here can fail", &self.workers_help());
            return None;
        }
        Some(service)
    }

    /// A service at which events arrive, in a system where somebody works on them.
    pub fn read_poisoned(&self, name: Text) -> Option<ServiceId> {
        let origin = self.read_service(name)?;
        if callers_of(&self.plan, origin).is_empty() {
            let title = format!("`poison {}`: it is not an origin of events", name.text);
            let help = "events come from services that are triggered by requests";
            self.report_fault("S071", name.place, title, "not a `requests` service", help);
            return None;
        }
        if !self.plan.services.iter().any(|service| self.works(service)) {
            let title = format!("`poison {}`: nobody would notice", name.text);
            self.report_fault("S071", name.place, title, "poison fails in `work`", &self.workers_help());
            return None;
        }
        Some(origin)
    }

    fn works(&self, service: &ServicePlan) -> bool {
        service.steps.iter().any(|step| matches!(step.action, Action::Work { .. }))
    }

    fn workers_help(&self) -> String {
        let workers = self.plan.services.iter().filter(|service| self.works(service));
        let names: Vec<&str> = workers.map(|service| service.name.as_str()).collect();
        match names[..] {
            [] => "add a step such as \"work 5ms\"".into(),
            _ => format!("services that work: {}", names.join(", ")),
        }
    }
}

/// The parts of a path between its dots.
fn parts_of(path: Text) -> Vec<Text> {
    let mut parts = Vec::new();
    let mut start = 0;
    for part in path.text.split('.') {
        parts.push(path.part(start, start + part.len()));
        start += part.len() + 1;
    }
    parts
}

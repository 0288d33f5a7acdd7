//! The JSON Schema (draft 2020-12) of the language, for completion and underlining in editors.
//!
//! Assembled from the tables that the reader itself uses, so that a key cannot be in one and not in the other. The schema
//! is closed where the reader is; sentences are strings with a description, or tables of their words.

use serde_json::{Map, Value, json};

use super::chaos::{STATES, verbs_of};
use super::keys::*;
use super::lower::{FLOORS, METRICS, RUN_METRICS};
use super::plan::FaultFamily;
use super::sentence::{Argument, Grammar, Verb};
use super::values::Kind;
use super::vocabulary::{FAULTS, RUNGS, STEPS};

/// The whole schema.
pub fn schema() -> Value {
    let mut top = properties(TOP.iter().copied());
    top.insert("row".into(), one_or_many(json!({ "type": "string" })));
    top.insert(
        "without".into(),
        json!({ "type": "array", "items": { "type": "string" }, "description": "What is not inherited." }),
    );
    top.insert("seeds".into(), json!({ "type": ["integer", "string"], "minimum": 1, "pattern": r"^\d+\.\.\d+$", "description": "Seeds 0..N, or \"A..B\"." }));
    let cluster_topics = CLUSTER_TOPIC_SETTINGS.iter().map(|setting| setting.key);
    let brokers = BROKER_SETTINGS.iter().map(|setting| setting.key);
    let mut cluster = properties(CLUSTER.iter().copied().chain(brokers).chain(cluster_topics));
    cluster.insert("racks".into(), json!({ "type": "array", "items": name() }));
    top.insert("cluster".into(), closed(cluster));
    let mut network = properties(NETWORK.iter().copied());
    network.insert(
        "between".into(),
        json!({ "type": "object", "additionalProperties": closed(properties(LINK.iter().copied())) }),
    );
    top.insert("network".into(), closed(network));
    let mut disk = properties(DISK.iter().copied());
    disk.insert(
        "on".into(),
        json!({ "type": "object", "additionalProperties": closed(properties(DISK_ON.iter().copied())) }),
    );
    top.insert("disk".into(), closed(disk));
    top.insert("client".into(), closed(properties(client_keys().chain([CLIENT_RACK, LIBRARY]))));
    top.insert("topic".into(), named(topic()));
    top.insert("store".into(), named(store()));
    top.insert("endpoint".into(), named(endpoint()));
    top.insert("service".into(), named(service()));
    top.insert("fault".into(), named(fault()));
    top.insert("chaos".into(), chaos());
    top.insert("expect".into(), expect());
    top.insert("floor".into(), floor());
    top.insert(
        "matrix".into(),
        json!({ "type": "object", "description": "Axes: a path or a free name, with a list of values." }),
    );
    top.insert("variant".into(), json!({ "type": "object", "additionalProperties": { "type": "object" } }));
    top.insert("grid".into(), json!({ "type": "object" }));
    top.insert("case".into(), case());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hikyaku scenario, format 1",
        "type": "object",
        "required": ["format"],
        "properties": top,
        "additionalProperties": false,
    })
}

fn client_keys() -> impl Iterator<Item = Key> {
    let producer = PRODUCER_SETTINGS.iter().map(|setting| setting.key);
    producer.chain(CONSUMER_SETTINGS.iter().map(|setting| setting.key))
}

fn topic() -> Value {
    let settings = TOPIC_SETTINGS.iter().map(|setting| setting.key);
    let mut keys = properties(TOPIC.iter().copied().chain(settings));
    keys.insert("only".into(), one_or_many(name()));
    closed(keys)
}

fn store() -> Value {
    let mut keys = properties(STORE.iter().copied());
    keys.insert(
        "tables".into(),
        json!({ "type": "array", "items": name(), "minItems": 1, "description": "Tables of the store." }),
    );
    keys.insert("only".into(), one_or_many(name()));
    closed(keys)
}

fn endpoint() -> Value {
    let mut keys = properties(ENDPOINT.iter().copied());
    keys.insert(
        "idempotency-keys".into(),
        json!({ "type": ["boolean", "string"], "description": "Whether a repeated key is known again, or for how long: true, false, \"24h\"." }),
    );
    keys.insert("only".into(), one_or_many(name()));
    closed(keys)
}

fn service() -> Value {
    let own = SERVICE.iter().chain(REQUESTS).chain(CALLED).chain(CONSUME).chain(POLL).copied();
    let mut keys = properties(own.chain(client_keys()));
    keys.insert(
        "on".into(),
        json!({ "type": ["string", "object"], "description": "\"requests\", \"called\", or \"consume TOPIC\"." }),
    );
    keys.insert("keys".into(), json!({ "type": ["integer", "string"], "minimum": 1, "description": "1000, \"zipf 1.1 of 1000\", \"unique\"." }));
    keys.insert("only".into(), one_or_many(name()));
    let mut step = sentence(&STEPS);
    if let Some(Value::Object(properties)) = step.get_mut("properties") {
        let inner = sentence(&STEPS);
        let transaction = json!({ "type": ["array", "object", "string"], "items": inner, "description": "One store, all or nothing." });
        properties.insert("transaction".into(), transaction.clone());
        let mut inner = sentence(&STEPS);
        if let Some(Value::Object(properties)) = inner.get_mut("properties") {
            properties.insert("transaction".into(), transaction);
        }
        properties.insert("kafka-transaction".into(), json!({ "type": ["array", "object", "string"], "items": inner, "description": "What is published, and with `commit` the offset, all or nothing." }));
        properties.insert("group-metadata".into(), json!({ "type": "boolean", "default": true, "description": "Of a kafka-transaction: the group refuses offsets of who is no member any more." }));
    }
    keys.insert("steps".into(), many("What is done for each event.", step));
    keys.insert("on-failure".into(), many("What happens when a step fails; the last rung is final.", sentence(&RUNGS)));
    closed(keys)
}

fn fault() -> Value {
    let mut fault = sentence(&FAULTS);
    if let Some(Value::Object(properties)) = fault.get_mut("properties") {
        properties.insert("only".into(), one_or_many(name()));
    }
    fault
}

fn chaos() -> Value {
    let families: Vec<&str> = FaultFamily::ALL.map(FaultFamily::name).to_vec();
    let about = |name: &str| FAMILY.iter().find(|key| key.name == name).map(|key| key.about);
    let mut keys = properties(CHAOS.iter().copied());
    let share = |family: FaultFamily| {
        let mut keys = properties(FAMILY.iter().copied());
        for (key, words) in [("verbs", verbs_of(family)), ("states", STATES)] {
            keys[key] = json!({ "type": ["array", "string"], "items": { "enum": words }, "description": about(key) });
        }
        keys["kinds"] =
            json!({ "type": ["array", "string"], "items": { "type": "string" }, "description": about("kinds") });
        json!({ "type": ["integer", "object"], "minimum": 1, "maximum": 100, "properties": keys, "additionalProperties": false })
    };
    let weights: Map<String, Value> =
        FaultFamily::ALL.into_iter().map(|family| (family.name().to_string(), share(family))).collect();
    keys.insert(
        "families".into(),
        json!({ "type": ["array", "string", "object"], "items": { "enum": families }, "properties": weights, "additionalProperties": false, "description": "Kinds of faults; as a table, the part of the rate that each has, and how long its faults last." }),
    );
    let budget = properties(BUDGET.iter().copied());
    keys.insert(
        "budget".into(),
        json!({ "type": ["object", "string"], "properties": budget, "additionalProperties": false, "description": "What may be wrong at once, or \"none\"." }),
    );
    closed(keys)
}

/// A sentence, or the table of its words.
fn sentence(grammar: &Grammar) -> Value {
    let mut words = Map::new();
    let mut examples: Vec<String> = Vec::new();
    for verb in grammar.verbs {
        words.insert(verb.name.into(), verb_value(verb));
        examples.push(format!("{}: {}", verb.name, verb.about));
        for key in verb.keywords.iter().filter(|key| key.built) {
            words.entry(key.name).or_insert_with(|| value(*key));
        }
        if verb.name == "publish" {
            for setting in PRODUCER_SETTINGS {
                words.entry(setting.key.name).or_insert_with(|| value(setting.key));
            }
        }
    }
    for key in grammar.common {
        words.insert(key.name.into(), value(*key));
    }
    json!({
        "type": ["string", "object"],
        "description": format!("{}, as a sentence or as a table of its words. {}", grammar.what, examples.join(" ")),
        "properties": words,
        "additionalProperties": false,
    })
}

fn verb_value(verb: &Verb) -> Value {
    match verb.value {
        Argument::None => json!({ "const": true, "description": verb.about }),
        Argument::Optional(_) => json!({ "type": ["boolean", "string"], "description": verb.about }),
        Argument::Required(kind) => value(key(verb.name, kind, verb.about)),
    }
}

fn expect() -> Value {
    let place = properties(PLACE.iter().copied());
    let metrics: Map<String, Value> = METRICS
        .iter()
        .map(|(name, _)| {
            (
                (*name).to_string(),
                one_or_many(json!({ "type": "string", "examples": ["< 60s", ">= 99%", "theory ±10%"] })),
            )
        })
        .collect();
    let mut both = place;
    both.extend(metrics);
    for (name, item) in both.iter_mut().filter(|(name, _)| name.starts_with("delay-")) {
        let about = format!("Arrival to effect: {}.", name.trim_start_matches("delay-"));
        *item = one_or_many(json!({ "type": "string", "examples": ["< 1s"] }));
        item["description"] = json!(about);
    }
    let of_run: Map<String, Value> = RUN_METRICS
        .iter()
        .map(|(name, _)| ((*name).to_string(), one_or_many(json!({ "type": "string", "examples": ["<= 20"] }))))
        .collect();
    json!({
        "type": "object",
        "properties": of_run,
        "description": "What must hold of a place (store.table, an endpoint, a topic), of a service, or of the run.",
        "additionalProperties": { "type": ["string", "object"], "properties": both },
    })
}

fn floor() -> Value {
    let floors: Map<String, Value> = FLOORS
        .iter()
        .map(|(name, _)| {
            (
                (*name).to_string(),
                json!({ "type": ["integer", "string"], "minimum": 0, "pattern": r"^\d+( over all seeds)?$" }),
            )
        })
        .collect();
    closed(floors)
}

fn case() -> Value {
    let keys = json!({
        "when": { "type": "object", "description": "Axes and values." },
        "expect": expect(),
        "floor": floor(),
        "skip": { "type": "string", "description": "Why these cells are not run." },
    });
    json!({
        "type": "array",
        "items": { "type": "object", "required": ["when"], "properties": keys, "additionalProperties": false },
    })
}

fn properties(keys: impl Iterator<Item = Key>) -> Map<String, Value> {
    keys.filter(|key| key.built).map(|key| (key.name.to_string(), value(key))).collect()
}

fn closed(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn named(thing: Value) -> Value {
    json!({ "type": "object", "propertyNames": name(), "additionalProperties": thing })
}

fn many(about: &str, item: Value) -> Value {
    json!({ "type": ["array", "object", "string"], "items": item, "description": about })
}

fn one_or_many(item: Value) -> Value {
    json!({ "type": ["array", "string"], "items": item })
}

fn name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$" })
}

/// Types and patterns of one value. No `anyOf`: editors explain a failed one poorly.
fn value(key: Key) -> Value {
    const DURATION: &str = r"(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+";
    let unit =
        |pattern: String, examples: &[&str]| json!({ "type": "string", "pattern": pattern, "examples": examples });
    let mut value = match key.kind {
        Kind::Text | Kind::Argument(_) | Kind::Phrase(_) => json!({ "type": "string" }),
        Kind::Name => name(),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::BooleanOr(word) => json!({ "enum": [true, false, word] }),
        Kind::Integer(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::Duration | Kind::Period => unit(format!("^{DURATION}$"), &["250ms", "1.5s", "1m30s"]),
        Kind::DurationOr(word) => unit(format!("^({DURATION}|{word})$"), &["1h", word]),
        Kind::Size => unit(r"^\d+(\.\d+)? ?(B|KiB|MiB|GiB|KB|MB|GB)$".into(), &["16KiB", "1MiB"]),
        Kind::Bandwidth => unit(r"^\d+(\.\d+)? ?(B|KiB|MiB|GiB|KB|MB|GB)/s$".into(), &["100 MiB/s"]),
        Kind::Rate => unit(r"^\d+(\.\d+)?[kM]? ?(msg)?/(s|min|h)$".into(), &["200/s", "1k/s", "8/min"]),
        Kind::Ratio => unit(r"^\d+(\.\d+)?%$".into(), &["0.5%"]),
        Kind::Factor => unit(r"^\d+(\.\d+)?x$".into(), &["1.5x"]),
        Kind::Spread => unit(r"^.*\d.*$".into(), &["5ms", "2ms..20ms", "5ms ±2ms", "exp 5ms"]),
        Kind::Shift => unit(format!("^[-+]?{DURATION}$"), &["5s", "-5s"]),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Own(_) => json!({}),
    };
    if let Value::Object(map) = &mut value {
        map.insert("description".into(), json!(key.about));
    }
    value
}

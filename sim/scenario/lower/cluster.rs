//! The queue and what lies under it: brokers, topics, stores, links, disks.

use crate::types::settings::{BrokerSettings, CleanupPolicy, TopicSettings};
use crate::types::{ByteCount, Duration, NodeId, PlaceId, Ratio, Spread, TopicId};

use super::super::diagnostics::{Diagnostic, Place};
use super::super::family::report_type;
use super::super::fields::Fields;
use super::super::keys::*;
use super::super::plan::*;
use super::super::tree::{Item, Table, Text};
use super::super::values::Scalar;
use super::{Builder, OFFSETS, Thing};

static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::default);

/// The table under a key of the top level; an empty one when there is none.
fn section<'a>(top: &Fields<'a>, key: &'static str) -> (&'a Table, Place) {
    match top.item(key) {
        None => (&EMPTY, top.place),
        Some(item) => match item.table() {
            Some(table) => (table, item.key),
            None => {
                report_type(item, key, "a table", top.problems);
                (&EMPTY, item.place)
            }
        },
    }
}

fn cluster_fields<'a>(top: &Fields<'a>) -> Fields<'a> {
    let (table, place) = section(top, "cluster");
    let keys = CLUSTER.iter().copied();
    let broker = BROKER_SETTINGS.iter().map(|setting| setting.key);
    let topic = CLUSTER_TOPIC_SETTINGS.iter().map(|setting| setting.key);
    Fields::new(table, "[cluster]".into(), place, keys.chain(broker).chain(topic), top.problems)
}

pub fn read(top: &Fields) -> ClusterPlan {
    let fields = cluster_fields(top);
    let brokers = fields.require("brokers", "3").map_or(1, |scalar| scalar.u16());
    let mut settings = BrokerSettings::default();
    fields.settings(BROKER_SETTINGS, &mut settings);
    let (interval, timeout) = (settings.broker_heartbeat_interval, settings.broker_session_timeout);
    if timeout <= interval {
        let item = fields.item("broker-session-timeout").or_else(|| fields.item("broker-heartbeat-interval"));
        fields.problems.add(
            Diagnostic::error(
                "S059",
                item.map_or(fields.place, |item| item.place),
                format!("`broker-session-timeout` is {timeout}, and a broker sends a heartbeat every {interval}"),
            )
            .label("every broker would be fenced before its next heartbeat, and the cluster never ready")
            .help(
                "three heartbeats or more fit into the usual timeout; raise it, or lower `broker-heartbeat-interval`",
            ),
        );
    }
    let controllers = read_controllers(&fields, brokers);
    ClusterPlan { brokers, controllers, restart: fields.duration("restart", Duration::from_secs(5)), settings }
}

/// Voters: the largest odd number that is at most 3 and at most the brokers, unless stated.
fn read_controllers(fields: &Fields, brokers: u16) -> Vec<NodeId> {
    let default = if brokers >= 3 { 3 } else { 1 };
    let count = fields.integer("controllers", default) as u16;
    let separate = fields.text("controller-nodes").is_some_and(|word| word == "separate");
    let place = fields.item("controllers").map_or(fields.place, |item| item.place);
    if count.is_multiple_of(2) {
        fields.problems.add(
            Diagnostic::error("S035", place, format!("`controllers` is {count}, an even number"))
                .label("a quorum of an even number survives no more than one less")
                .help(format!("write {}", count + 1)),
        );
    }
    if !separate && count > brokers {
        fields.problems.add(
            Diagnostic::error("S035", place, format!("`controllers = {count}` but there are {brokers} brokers"))
                .label("combined voters live on brokers")
                .help("add brokers, or write `controller-nodes = \"separate\"`"),
        );
    }
    let first = if separate { brokers + 1 } else { 1 };
    (first..first + count).map(NodeId).collect()
}

pub fn empty_network() -> NetworkPlan {
    let latency = Spread::Normal { mean: Duration::from_millis(1), deviation: Duration::from_micros(200) };
    NetworkPlan { default: LinkPlan { latency, loss: Ratio::ZERO, bandwidth: None }, between: Vec::new(), sequence: 0 }
}

pub fn empty_disk() -> DiskPlan {
    let default = DiskSettings {
        write: Spread::Constant(Duration::from_micros(50)),
        flush: Spread::Uniform { low: Duration::from_millis(2), high: Duration::from_millis(8) },
        write_back: Some(Duration::from_secs(30)),
    };
    DiskPlan { default, on: Vec::new() }
}

impl Builder<'_> {
    /// Brokers, then controllers of their own.
    pub fn read_brokers(&mut self, top: &Fields) {
        let racks = cluster_fields(top).names("racks");
        self.racks = racks.into_iter().map(|(name, _)| name).collect();
        let brokers = self.plan.cluster.brokers;
        for number in 1..=brokers {
            self.add_node(format!("broker-{number}"), NodeKind::Broker);
        }
        let separate = self.plan.cluster.controllers.iter().filter(|id| id.0 > brokers).count();
        for number in 1..=separate {
            self.add_node(format!("controller-{number}"), NodeKind::Controller);
        }
        if !self.racks.is_empty() {
            let racks = self.racks.len();
            for (number, node) in self.plan.nodes.iter_mut().enumerate() {
                node.rack = Some((number % racks) as u16);
            }
        }
    }

    /// Topics in the order of the file.
    pub fn read_topics(&mut self, top: &Fields, topics: &[Thing]) {
        let default = self.topic_defaults(top);
        for topic in topics {
            let keys = TOPIC.iter().copied().chain(TOPIC_SETTINGS.iter().map(|setting| setting.key));
            let fields = Fields::new(topic.table, format!("[topic.{}]", topic.name), topic.place, keys, self.problems);
            let mut settings = default.clone();
            fields.settings(TOPIC_SETTINGS, &mut settings);
            if let Some(bytes) = fields.scalar("retention-bytes") {
                settings.retention_bytes = Some(bytes.size());
            }
            self.check_replication(&fields, &settings);
            let id = TopicId(self.plan.topics.len() as u16);
            let (name, owner) = (topic.name.to_string(), fields.text("owner"));
            self.plan.topics.push(TopicPlan { id, name, place: PlaceId(0), owner, settings });
        }
    }

    /// What the brokers are configured with, for a topic that says nothing of its own.
    fn topic_defaults(&self, top: &Fields) -> TopicSettings {
        let cluster = cluster_fields(top);
        let mut default = TopicSettings {
            unclean_leader_election_enable: self.plan.cluster.settings.unclean_leader_election_enable,
            ..TopicSettings::default()
        };
        cluster.settings(CLUSTER_TOPIC_SETTINGS, &mut default);
        default.retention_bytes = cluster.scalar("log-retention-bytes").map(|scalar| scalar.size());
        default
    }

    fn check_replication(&self, fields: &Fields, settings: &TopicSettings) {
        let brokers = self.plan.cluster.brokers;
        let place = |key: &str| fields.item(key).map_or(fields.place, |item| item.place);
        if settings.replication > brokers {
            let title = format!("`replication = {}` but there are {brokers} brokers", settings.replication);
            self.problems.add(
                Diagnostic::error("S035", place("replication"), title)
                    .label("each replica needs a broker of its own")
                    .help("add brokers or lower it"),
            );
        }
        if settings.min_insync_replicas > settings.replication {
            let (minimum, replication) = (settings.min_insync_replicas, settings.replication);
            let title = format!("`min-insync-replicas = {minimum}` but `replication = {replication}`");
            self.problems.add(
                Diagnostic::error("S035", place("min-insync-replicas"), title)
                    .label("acks=all could never succeed")
                    .help("lower it, or raise `replication`"),
            );
        }
    }

    /// The offsets topic is the last one. It has one partition for each group unless the cluster says otherwise, and what it
    /// has no setting of its own for is as the brokers are configured (Kafka: GroupCoordinatorConfig, groupMetadataTopicConfigs).
    pub fn size_offsets_topic(&mut self, top: &Fields) {
        let cluster = cluster_fields(top);
        let default = self.topic_defaults(top);
        let brokers = self.plan.cluster.brokers;
        let settings = &mut self.plan.cluster.settings;
        if cluster.item("offsets-topic-num-partitions").is_none() {
            settings.offsets_topic_num_partitions = self.plan.groups.len().max(1) as u16;
        }
        if cluster.item("offsets-topic-replication-factor").is_none() {
            settings.offsets_topic_replication_factor = settings.offsets_topic_replication_factor.min(brokers);
        }
        let (partitions, replication) =
            (settings.offsets_topic_num_partitions, settings.offsets_topic_replication_factor);
        if replication > brokers {
            let item = cluster.item("offsets-topic-replication-factor").expect("lowered above when not given");
            self.problems.add(
                Diagnostic::error("S035", item.place, format!("`{replication}` replicas but {brokers} brokers"))
                    .label("each replica needs a broker of its own")
                    .help("add brokers or lower it"),
            );
        }
        let offsets = self.plan.topics.last_mut().expect("placed with the other topics");
        let min_insync_replicas = default.min_insync_replicas.min(replication);
        offsets.settings = TopicSettings {
            partitions,
            replication,
            min_insync_replicas,
            cleanup_policy: CleanupPolicy::Compact,
            retention: None,
            retention_bytes: None,
            segment_bytes: settings.offsets_topic_segment_bytes,
            ..default
        };
    }

    /// The transactions topic, when there is one. Fewer brokers than Kafka's defaults ask for have fewer replicas.
    pub fn size_transactions_topic(&mut self, top: &Fields) {
        let cluster = cluster_fields(top);
        let brokers = self.plan.cluster.brokers;
        let settings = &mut self.plan.cluster.settings;
        if cluster.item("transaction-state-log-replication-factor").is_none() {
            settings.transaction_state_log_replication_factor =
                settings.transaction_state_log_replication_factor.min(brokers);
        }
        let replication = settings.transaction_state_log_replication_factor;
        if cluster.item("transaction-state-log-min-isr").is_none() {
            settings.transaction_state_log_min_isr = settings.transaction_state_log_min_isr.min(replication);
        }
        let (partitions, min_insync_replicas) =
            (settings.transaction_state_log_num_partitions, settings.transaction_state_log_min_isr);
        for (key, given, most, of) in [
            ("transaction-state-log-replication-factor", replication, brokers, "brokers"),
            ("transaction-state-log-min-isr", min_insync_replicas, replication, "replicas of the transactions topic"),
        ] {
            if let Some(item) = cluster.item(key).filter(|_| most < given) {
                let title = format!("`{key} = {given}` but there are {most} {of}");
                let diagnostic = Diagnostic::error("S035", item.place, title).label("too many");
                self.problems.add(diagnostic.help("lower it, or add brokers"));
            }
        }
        if let Some(topic) = self.plan.topics.iter_mut().find(|topic| topic.name == TRANSACTIONS) {
            topic.settings = TopicSettings {
                partitions,
                replication,
                min_insync_replicas,
                cleanup_policy: CleanupPolicy::Compact,
                retention: None,
                segment_bytes: settings.transaction_state_log_segment_bytes,
                ..TopicSettings::default()
            };
        }
    }

    pub fn read_stores(&mut self, stores: &[Thing]) {
        for (number, store) in stores.iter().enumerate() {
            let keys = STORE.iter().copied();
            let fields = Fields::new(store.table, format!("[store.{}]", store.name), store.place, keys, self.problems);
            fields.require_item("tables", "[\"orders\"]");
            let node = self.add_node(store.name.to_string(), NodeKind::Store { store: number as u16 });
            self.plan.stores.push(StorePlan {
                name: store.name.to_string(),
                node,
                owner: fields.text("owner"),
                latency: fields.spread("latency", Spread::Constant(Duration::from_millis(1))),
                timeout: fields.duration("timeout", Duration::from_secs(30)),
                errors: fields.ratio("errors", Ratio::ZERO),
                lost_requests: fields.ratio("lost-requests", Ratio::ZERO),
                lost_answers: fields.ratio("lost-answers", Ratio::ZERO),
            });
        }
    }

    /// Tables first, then endpoints, then topics, the offsets topic last.
    pub fn number_places(&mut self, stores: &[Thing], services: &[Thing]) {
        for (number, store) in stores.iter().enumerate() {
            let fields = Fields::new(store.table, String::new(), store.place, STORE.iter().copied(), self.problems);
            let mut seen: Vec<String> = Vec::new();
            for (table, place) in fields.names("tables") {
                if seen.contains(&table) {
                    self.problems.add(
                        Diagnostic::error("S021", place, format!("table `{table}` stands twice"))
                            .label("taken")
                            .help("remove one of them"),
                    );
                    continue;
                }
                let name = format!("{}.{table}", store.name);
                self.add_place(name, PlaceKind::Table { store: number as u16 });
                seen.push(table);
                if self.plan.places.len() > 5_000 {
                    let title = "more than 5000 tables";
                    self.problems.add(Diagnostic::error("S032", place, title).label("too many").help("remove some"));
                    break;
                }
            }
        }
        for number in 0..self.plan.endpoints.len() {
            let name = self.plan.endpoints[number].name.clone();
            self.plan.endpoints[number].place = self.add_place(name, PlaceKind::Endpoint { endpoint: number as u16 });
        }
        let transactions = services.iter().any(has_transactions).then_some(TRANSACTIONS);
        for name in transactions.into_iter().chain([OFFSETS]) {
            let id = TopicId(self.plan.topics.len() as u16);
            let settings = TopicSettings::default();
            self.plan.topics.push(TopicPlan { id, name: name.into(), place: PlaceId(0), owner: None, settings });
        }
        for at in 0..self.plan.topics.len() {
            let (name, topic) = (self.plan.topics[at].name.clone(), self.plan.topics[at].id);
            self.plan.topics[at].place = self.add_place(name, PlaceKind::Topic { topic });
        }
    }

    fn add_place(&mut self, name: String, kind: PlaceKind) -> PlaceId {
        let id = PlaceId(self.plan.places.len() as u16);
        self.plan.places.push(PlacePlan { id, name, kind });
        id
    }

    pub fn read_network(&mut self, top: &Fields) {
        let (table, place) = section(top, "network");
        let fields = Fields::new(table, "[network]".into(), place, NETWORK.iter().copied(), self.problems);
        let default = read_link(&fields, self.plan.network.default);
        self.plan.network.default = default;
        for (ends, item) in self.overrides(&fields, "between") {
            let text = Text { text: ends, place: item.key, inside: None };
            let Some((from, to, both_ways)) = self.read_ends(text) else { continue };
            let Some(table) = item.table() else {
                report_type(item, "between", "a table for each link", self.problems);
                continue;
            };
            let fields =
                Fields::new(table, "a link of [network]".into(), item.key, LINK.iter().copied(), self.problems);
            let link = read_link(&fields, default);
            let mut pairs: Vec<(NodeId, NodeId)> = Vec::new();
            for &from in &from {
                pairs.extend(to.iter().map(|&to| (from, to)).filter(|(from, to)| from != to));
            }
            if both_ways {
                let back: Vec<(NodeId, NodeId)> = pairs.iter().map(|&(from, to)| (to, from)).collect();
                pairs.extend(back);
            }
            let links = pairs.into_iter().map(|(from, to)| LinkOverride { from, to, link });
            self.plan.network.between.extend(links);
        }
    }

    fn overrides<'a>(&self, fields: &Fields<'a>, key: &str) -> Vec<(&'a str, &'a Item)> {
        match fields.item(key) {
            None => Vec::new(),
            Some(item) => match item.table() {
                Some(table) => table.iter().collect(),
                None => {
                    report_type(item, key, "a table", self.problems);
                    Vec::new()
                }
            },
        }
    }

    pub fn read_disk(&mut self, top: &Fields) {
        let (table, place) = section(top, "disk");
        let fields = Fields::new(table, "[disk]".into(), place, DISK.iter().copied(), self.problems);
        let default = read_disk_settings(&fields, self.plan.disk.default);
        self.plan.disk.default = default;
        for (target, item) in self.overrides(&fields, "on") {
            let text = Text { text: target, place: item.key, inside: None };
            let Some(nodes) = self.read_fixed_nodes(text) else { continue };
            let Some(table) = item.table() else {
                report_type(item, "on", "a table for each disk", self.problems);
                continue;
            };
            let keys = DISK_ON.iter().copied();
            let fields = Fields::new(table, "a disk of [disk]".into(), item.key, keys, self.problems);
            let settings = read_disk_settings(&fields, default);
            self.plan.disk.on.extend(nodes.into_iter().map(|node| (node, settings)));
        }
    }
}

fn read_link(fields: &Fields, default: LinkPlan) -> LinkPlan {
    LinkPlan {
        latency: fields.spread("latency", default.latency),
        loss: fields.ratio("loss", default.loss),
        bandwidth: fields
            .scalar("bandwidth")
            .map(|scalar| scalar.size())
            .or(default.bandwidth)
            .filter(|b| *b > ByteCount(0)),
    }
}

fn read_disk_settings(fields: &Fields, default: DiskSettings) -> DiskSettings {
    DiskSettings {
        write: fields.spread("write", default.write),
        flush: fields.spread("flush", default.flush),
        write_back: match fields.scalar("write-back") {
            Some(Scalar::Endless) => None,
            Some(scalar) => Some(scalar.duration()),
            None => default.write_back,
        },
    }
}

/// Whether some step of the service is a transaction of the queue, as it is written.
fn has_transactions(service: &Thing) -> bool {
    let is_one = |step: &Item| step.table().is_some_and(|table| table.get("kafka-transaction").is_some());
    service.table.get("steps").is_some_and(|steps| steps.elements().iter().any(is_one))
}

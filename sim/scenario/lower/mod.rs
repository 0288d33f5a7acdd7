//! From the tree of one cell to its plan: every name becomes a number, every default a value.
//!
//! The passes follow what depends on what: the queue and the places, then services (who needs places and topics), then
//! the flow of events through them (who needs all services), then faults and expectations. No pass stops at a problem.

mod calls;
mod chaos;
mod cluster;
mod expect;
mod fault;
mod flow;
mod leases;
mod letters;
mod live;
mod poll;
mod positions;
mod service;
mod steps;
mod target;
mod transaction;

pub use expect::{FLOORS, METRICS, RUN_METRICS};

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Duration, GroupId, NodeId, PlaceId, Seed, ServiceId, TopicId};

use super::chaos::ChaosSpec;
use super::diagnostics::{Diagnostic, Place, Problems, nearest, printable};
use super::family::{ABSENT, Axis, CellTree, report_type};
use super::fields::Fields;
use super::keys::{CONSUMER_SETTINGS, PRODUCER_SETTINGS, TOP};
use super::plan::*;
use super::tree::{Item, Table, Value};
use super::values::{Kind, is_name};
use super::vocabulary::{FAULTS, RUNGS, STEPS};

/// A cell that was read.
pub struct Lowered {
    pub plan: Plan,
    /// Ordinals that each seed draws for itself.
    pub draws: Vec<OrdinalDraw>,
    pub chaos: Option<ChaosSpec>,
    pub seeds: std::ops::Range<u64>,
    pub header: Header,
    /// Places that are judged, and whether a step of this cell writes them.
    pub judged: Vec<(String, Place, bool)>,
}

/// What is the same in all cells.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub about: String,
    pub rows: Vec<String>,
}

/// `any 5 after(…)`: five of the occurrences expected, drawn for each seed.
#[derive(Clone, Debug, PartialEq)]
pub struct OrdinalDraw {
    /// Index into the faults of the plan.
    pub fault: usize,
    pub count: u64,
    pub expected: u64,
}

/// The plan as far as it is known, with the names behind its numbers.
pub struct Builder<'a> {
    pub problems: &'a Problems,
    pub plan: Plan,
    pub axes: &'a [Axis],
    /// Rack names in the order of the file.
    pub racks: Vec<String>,
    pub absent: Vec<String>,
    /// Where each service is defined, by its number.
    pub service_places: Vec<Place>,
    /// Services whose bare `work` waits for its time: (service, step, exponential, place).
    pub bare_work: Vec<(usize, usize, bool, Place)>,
    pub draws: Vec<OrdinalDraw>,
    pub chaos: Option<ChaosSpec>,
    pub judged: Vec<(String, Place, bool)>,
    /// Services with their retry topics, and where each stands in the file.
    pub retry_topics: Vec<(usize, TopicId, Place)>,
    /// Events a second that reach each service, by origin; filled by the flow pass.
    pub rates: Vec<BTreeMap<ServiceId, f64>>,
    /// Services that read what each service sends; filled by the flow pass.
    pub next: Vec<BTreeSet<usize>>,
}

/// Reads one cell. `None` when the frame itself is broken; other problems leave a plan that must not be used.
pub fn lower(name: &str, cell: &CellTree, axes: &[Axis], problems: &Problems) -> Option<Lowered> {
    let tree = &cell.tree;
    let known = TOP.iter().copied().chain([super::keys::key(ABSENT, Kind::Own("a table"), "")]);
    let top = Fields::new(tree, "the top level".into(), Place::default(), known, problems);
    let header = read_header(&top);
    let duration = top.duration("duration", Duration::from_secs(60));
    let drain = top.duration("drain", Duration::from_secs(300));
    let seeds = read_seeds(&top);
    check_namespace(tree, problems);
    let absent = tree.table(ABSENT).map_or(Vec::new(), |table| table.keys().map(str::to_string).collect());
    if duration.is_zero() {
        report_zero(&top, "duration");
    }
    let plan = Plan {
        scenario: name.to_string(),
        cell: cell.id.clone(),
        about: header.about.clone(),
        rows: header.rows.clone(),
        seed: Seed(0),
        stream_version: STREAM_VERSION,
        duration,
        drain,
        chart: top.text("chart"),
        guards_off: Vec::new(),
        settings_stated: settings_stated(tree),
        cluster: cluster::read(&top),
        network: cluster::empty_network(),
        disk: cluster::empty_disk(),
        nodes: Vec::new(),
        topics: Vec::new(),
        groups: Vec::new(),
        stores: Vec::new(),
        endpoints: Vec::new(),
        places: Vec::new(),
        services: Vec::new(),
        faults: Vec::new(),
        chaos: None,
        expectations: Vec::new(),
        floors: Vec::new(),
    };
    let mut builder = Builder::new(plan, axes, problems);
    builder.absent = absent;
    builder.build(&top);
    let Builder { plan, draws, chaos, judged, .. } = builder;
    Some(Lowered { plan, draws, chaos, seeds, header, judged })
}

impl<'a> Builder<'a> {
    fn new(plan: Plan, axes: &'a [Axis], problems: &'a Problems) -> Builder<'a> {
        Builder {
            problems,
            plan,
            axes,
            racks: Vec::new(),
            absent: Vec::new(),
            service_places: Vec::new(),
            bare_work: Vec::new(),
            draws: Vec::new(),
            chaos: None,
            judged: Vec::new(),
            retry_topics: Vec::new(),
            rates: Vec::new(),
            next: Vec::new(),
        }
    }
}

impl Builder<'_> {
    fn build(&mut self, top: &Fields) {
        self.read_brokers(top);
        let stores = things(top, "store");
        let endpoints = things(top, "endpoint");
        let topics = things(top, "topic");
        let services = things(top, "service");
        self.read_topics(top, &topics);
        self.number_services(&services);
        self.number_redrive_groups(top);
        self.read_stores(&stores);
        self.read_endpoints(&endpoints);
        self.number_places(&stores, &services);
        self.read_services(top, &services);
        self.size_offsets_topic(top);
        self.size_transactions_topic(top);
        self.follow_events();
        self.read_network(top);
        self.read_disk(top);
        self.read_faults(top);
        self.read_expectations(top);
        self.read_chaos(top);
        self.read_floors(top);
    }

    pub fn add_node(&mut self, name: String, kind: NodeKind) -> NodeId {
        let id = NodeId(self.plan.nodes.len() as u16 + 1);
        self.plan.nodes.push(NodePlan { id, name, kind, rack: None });
        id
    }

    pub fn topic(&self, name: &str) -> Option<TopicId> {
        self.plan.topics.iter().find(|topic| topic.name == name && !is_internal(name)).map(|topic| topic.id)
    }

    pub fn place(&self, name: &str) -> Option<PlaceId> {
        self.plan.places.iter().find(|place| place.name == name && !is_internal(name)).map(|place| place.id)
    }

    pub fn service(&self, name: &str) -> Option<ServiceId> {
        self.plan.services.iter().find(|service| service.name == name).map(|service| service.id)
    }

    /// A group by its id, or by the name of its one service.
    pub fn group(&self, name: &str) -> Option<GroupId> {
        let by_service = || {
            let service = self.plan.services.iter().find(|service| service.name == name)?;
            match &service.trigger {
                Trigger::Consume(consume) => Some(consume.group),
                Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
            }
        };
        self.plan.groups.iter().find(|group| group.name == name).map(|group| group.id).or_else(by_service)
    }

    /// Reports a name that nothing defines. `kind` with its article: "a topic".
    pub fn report_unknown(&self, name: &str, place: Place, kind: &str, known: &[&str]) {
        let near = nearest(name, known.iter().copied());
        if self.absent.iter().any(|absent| absent == name) {
            let title = format!("`{}` does not exist in cell `{}`", printable(name), self.plan.cell);
            self.problems.add(
                Diagnostic::error("S020", place, title)
                    .label("its `only` keeps it for other cells")
                    .help("give both the same `only`"),
            );
            return;
        }
        let mut diagnostic = Diagnostic::error("S020", place, format!("nothing defines {kind} `{}`", printable(name)))
            .label("unknown name")
            .did_you_mean(place, near);
        if near.is_none() {
            diagnostic.help = Some(match known {
                [] => format!("there is no such thing in this scenario; define {kind}"),
                known => format!("defined are: {}", known.join(", ")),
            });
        }
        self.problems.add(diagnostic);
    }

    pub fn topic_names(&self) -> Vec<&str> {
        self.plan.topics.iter().map(|topic| topic.name.as_str()).filter(|name| !is_internal(name)).collect()
    }

    pub fn table_names(&self) -> Vec<&str> {
        let is_table = |place: &&PlacePlan| matches!(place.kind, PlaceKind::Table { .. });
        self.plan.places.iter().filter(is_table).map(|place| place.name.as_str()).collect()
    }

    pub fn endpoint_names(&self) -> Vec<&str> {
        self.plan.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect()
    }

    pub fn service_names(&self) -> Vec<&str> {
        self.plan.services.iter().map(|service| service.name.as_str()).collect()
    }
}

/// Name of the offsets topic in plans.
pub const OFFSETS: &str = "__offsets";

/// A topic of the queue itself.
pub fn is_internal(topic: &str) -> bool {
    topic.starts_with("__")
}

/// One named table: its name, its keys, and where it is defined.
pub struct Thing<'a> {
    pub name: &'a str,
    pub table: &'a Table,
    pub place: Place,
}

/// The named tables under `topic`, `store`, `endpoint`, `service`.
fn things<'a>(top: &Fields<'a>, kind: &'static str) -> Vec<Thing<'a>> {
    let Some(item) = top.item(kind) else { return Vec::new() };
    let Some(table) = item.table() else {
        report_type(item, kind, "a table of tables", top.problems);
        return Vec::new();
    };
    const MOST: usize = 500;
    if let Some((_, item)) = table.iter().nth(MOST) {
        let title = format!("more than {MOST} things of one kind");
        top.problems
            .add(Diagnostic::error("S032", item.key, title).label("too many").help("nobody could read the report"));
    }
    let mut output = Vec::new();
    for (name, item) in table.iter().take(MOST) {
        if !is_name(name) {
            report_name(name, item.key, top.problems);
            continue;
        }
        match item.table() {
            Some(table) => output.push(Thing { name, table, place: item.key }),
            None => report_type(item, &format!("{kind}.{name}"), "a table", top.problems),
        }
    }
    output
}

fn report_name(name: &str, place: Place, problems: &Problems) {
    problems.add(
        Diagnostic::error("S022", place, format!("`{}` is not a name", printable(name)))
            .label("not a name")
            .help("a name has small letters, digits and `-`, begins with a letter, and has at most 63 characters"),
    );
}

fn report_zero(top: &Fields, key: &str) {
    let place = top.item(key).map_or(top.place, |item| item.place);
    top.problems.add(
        Diagnostic::error("S032", place, format!("`{key}` is zero")).label("out of range").help("for example \"60s\""),
    );
}

/// Settings that somebody wrote down, and that somebody must know: of the cluster, of clients, of topics.
fn settings_stated(tree: &Table) -> u32 {
    let is_client = |key: &&str| {
        PRODUCER_SETTINGS.iter().any(|setting| setting.key.name == *key)
            || CONSUMER_SETTINGS.iter().any(|setting| setting.key.name == *key)
    };
    let in_table = |name: &str| tree.table(name).map_or(0, |table| table.keys().count());
    let things = |kind: &str| tree.table(kind).into_iter().flat_map(Table::iter).filter_map(|(_, item)| item.table());
    let of_topics = things("topic").flat_map(Table::keys).filter(|key| !["only", "owner"].contains(key)).count();
    let of_services = things("service").flat_map(Table::keys).filter(is_client).count();
    // Where nothing is in the queue, nobody has to know it.
    let has_topics = things("topic").next().is_some();
    let of_queue = if has_topics { in_table("cluster") + in_table("client") } else { 0 };
    (of_queue + of_topics + of_services) as u32
}

fn read_header(top: &Fields) -> Header {
    let about = top.require("about", "\"the question that this scenario answers\"");
    let rows = top.item("row").map_or(Vec::new(), |item| {
        let read = |element: &Item| match element.text() {
            Some(text) => Some(text.text.to_string()),
            None => {
                report_type(element, "row", "a string or a list of strings", top.problems);
                None
            }
        };
        item.elements().iter().filter_map(read).collect()
    });
    Header { about: about.map_or(String::new(), |about| about.text().to_string()), rows }
}

/// `N` is `0..N`; `"A..B"` is half-open.
fn read_seeds(top: &Fields) -> std::ops::Range<u64> {
    // Plans are TOML, whose integers end at 2^63.
    const MOST: u64 = i64::MAX as u64;
    let Some(item) = top.item("seeds") else { return 0..20 };
    let read = || match &item.value {
        Value::Integer(Some(count)) if *count > 0 => Some(0..*count as u64),
        Value::Text { text, .. } => {
            let (low, high) = text.split_once("..")?;
            let range = low.trim().parse().ok()?..high.trim().parse().ok()?;
            (range.start < range.end && range.end <= MOST).then_some(range)
        }
        _ => None,
    };
    read().unwrap_or_else(|| {
        let title = format!("`seeds` is `{}`", printable(&item.written()));
        top.problems.add(
            Diagnostic::error("S032", item.place, title)
                .label("neither a number of seeds nor a range")
                .help("write `seeds = 20`, or `seeds = \"100..200\"`"),
        );
        0..20
    })
}

/// One namespace for services, topics, stores and endpoints, apart from the words of the language.
fn check_namespace(tree: &Table, problems: &Problems) {
    let mut taken: BTreeMap<&str, (&str, Place)> = BTreeMap::new();
    for kind in ["topic", "store", "endpoint", "service"] {
        for (name, item) in tree.table(kind).into_iter().flat_map(Table::iter) {
            if let Some((other, place)) = taken.insert(name, (kind, item.key)) {
                let title = format!("`{}` is the name of a {other} and of a {kind}", printable(name));
                problems.add(
                    Diagnostic::error("S021", item.key, title).label("taken").other(place, "taken here").help(
                        "services, topics, stores and endpoints share one namespace; give one of them another name",
                    ),
                );
            }
            if is_reserved(name) {
                let title = format!("`{name}` is a word of the language and cannot name a {kind}");
                problems.add(
                    Diagnostic::error("S022", item.key, title)
                        .label("reserved")
                        .help(format!("for example `{name}-1`")),
                );
            }
        }
    }
}

fn is_reserved(name: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "none",
        "before",
        "after",
        "inside",
        "step",
        "mid-batch",
        "poll",
        "effect",
        "transaction",
        "kafka-transaction",
        "requests",
        "consume",
        "called",
        "unsent",
        "expect",
        "theory",
        "never",
    ];
    let words = [&STEPS, &RUNGS, &FAULTS];
    target::ROLES.contains(&name)
        || KEYWORDS.contains(&name)
        || RUN_METRICS.iter().any(|(metric, _)| *metric == name)
        || words.iter().any(|grammar| grammar.verb(name).is_some())
        || words.iter().flat_map(|grammar| grammar.verbs).any(|verb| verb.keywords.iter().any(|key| key.name == name))
        || FAULTS.common.iter().any(|key| key.name == name)
}

/// Reads these sentences as the faults of a plan that exists.
#[cfg(test)]
pub fn reread_faults(plan: &Plan, faults: &[(String, String)]) -> Result<Vec<FaultPlan>, super::Diagnostics> {
    let problems = Problems::default();
    let lines: Vec<String> = faults.iter().map(|(name, sentence)| format!("{name} = {sentence:?}")).collect();
    let text = format!("[fault]\n{}\n", lines.join("\n"));
    let tree = super::tree::parse(0, &text, &problems);
    let top = Fields::new(&tree, "the top level".into(), Place::default(), TOP.iter().copied(), &problems);
    let plan = Plan { faults: Vec::new(), ..plan.clone() };
    let mut builder = Builder::new(plan, &[], &problems);
    builder.follow_events();
    builder.read_faults(&top);
    let faults = builder.plan.faults;
    let source = super::diagnostics::Source { name: "faults".into(), text };
    if problems.errors() > 0 { Err(problems.into_diagnostics(vec![source])) } else { Ok(faults) }
}

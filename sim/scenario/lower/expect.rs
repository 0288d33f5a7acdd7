//! What must hold, and what must at least have happened.

use crate::types::{Ratio, ServiceId};

use super::super::diagnostics::{Diagnostic, Place, nearest, printable};
use super::super::family::report_type;
use super::super::fields::Fields;
use super::super::keys::PLACE;
use super::super::plan::*;
use super::super::tree::{Item, Table, Text, Value};
use super::super::values::{self, Kind, Scalar};
use super::Builder;

pub const METRICS: &[(&str, ServiceMetric)] = &[
    ("availability", ServiceMetric::Availability),
    ("latency-mean", ServiceMetric::LatencyMean),
    ("latency-p50", ServiceMetric::LatencyP50),
    ("latency-p95", ServiceMetric::LatencyP95),
    ("latency-p99", ServiceMetric::LatencyP99),
    ("latency-max", ServiceMetric::LatencyMax),
    ("wait-mean", ServiceMetric::WaitMean),
    ("wait-p50", ServiceMetric::WaitP50),
    ("wait-p95", ServiceMetric::WaitP95),
    ("wait-p99", ServiceMetric::WaitP99),
    ("wait-max", ServiceMetric::WaitMax),
    ("recovery", ServiceMetric::Recovery),
    ("effective-headroom", ServiceMetric::EffectiveHeadroom),
    ("throughput", ServiceMetric::Throughput),
    ("lag-max", ServiceMetric::LagMax),
    ("age-max", ServiceMetric::AgeMax),
    ("rebalances", ServiceMetric::Rebalances),
];

/// Lengths of time from arrival to effect, of a place.
const DELAYS: &[(&str, DelayMetric)] = &[
    ("delay-mean", DelayMetric::DelayMean),
    ("delay-p50", DelayMetric::DelayP50),
    ("delay-p95", DelayMetric::DelayP95),
    ("delay-p99", DelayMetric::DelayP99),
    ("delay-max", DelayMetric::DelayMax),
];

pub const RUN_METRICS: &[(&str, RunMetric)] = &[
    ("connections", RunMetric::Connections),
    ("moving-parts", RunMetric::MovingParts),
    ("unsettled", RunMetric::Unsettled),
    ("broker-requests", RunMetric::BrokerRequests),
    ("broker-bytes", RunMetric::BrokerBytes),
];

pub const FLOORS: &[(&str, FloorMetric)] = &[
    ("accepted", FloorMetric::Accepted),
    ("applied", FloorMetric::Applied),
    ("faults", FloorMetric::Faults),
    ("leader-changes", FloorMetric::LeaderChanges),
    ("controller-changes", FloorMetric::ControllerChanges),
    ("rebalances", FloorMetric::Rebalances),
    ("crashes", FloorMetric::Crashes),
    ("power-losses", FloorMetric::PowerLosses),
    ("retries", FloorMetric::Retries),
    ("redeliveries", FloorMetric::Redeliveries),
    ("dead-letters", FloorMetric::DeadLetters),
    ("unknown-outcomes", FloorMetric::UnknownOutcomes),
];

/// Words of a promise, and which fate each says what about.
pub const WORDS: &[&str] = &[
    "exactly-once",
    "at-least-once",
    "at-most-once",
    "best-effort",
    "loses",
    "repeats",
    "goes-stale",
    "may-lose",
    "may-repeat",
    "may-go-stale",
];

/// What to expect instead of a metric that a service with this trigger does not have.
fn instead(metric: ServiceMetric, trigger: &Trigger) -> Option<&'static str> {
    let of_callers = match metric {
        ServiceMetric::Throughput => return None,
        ServiceMetric::Availability
        | ServiceMetric::LatencyMean
        | ServiceMetric::LatencyP50
        | ServiceMetric::LatencyP95
        | ServiceMetric::LatencyP99
        | ServiceMetric::LatencyMax => true,
        ServiceMetric::WaitMean
        | ServiceMetric::WaitP50
        | ServiceMetric::WaitP95
        | ServiceMetric::WaitP99
        | ServiceMetric::WaitMax
        | ServiceMetric::Recovery
        | ServiceMetric::EffectiveHeadroom
        | ServiceMetric::LagMax
        | ServiceMetric::AgeMax
        | ServiceMetric::Rebalances => false,
    };
    match trigger {
        Trigger::Requests(_) | Trigger::Called(_) if !of_callers => {
            Some("it consumes nothing; availability and latency-… are what its callers see")
        }
        Trigger::Consume(_) if of_callers => {
            Some("nobody waits for its answer; wait-…, recovery and lag-max are about a backlog")
        }
        Trigger::Poll(_) => Some("of a relay, `throughput`, and the delay-… of the place that it publishes to"),
        Trigger::Requests(_) | Trigger::Called(_) | Trigger::Consume(_) => None,
    }
}

impl Unit {
    fn read(self, text: &str) -> Option<f64> {
        match self {
            Unit::Share => match values::parse(Kind::Ratio, text) {
                Ok(Scalar::Ratio(ratio)) => Some(ratio.as_f64()),
                _ => None,
            },
            Unit::Seconds => values::duration(text).ok().map(|length| length.as_seconds()),
            Unit::Factor => values::factor(text).map(|thousandths| thousandths as f64 / 1_000.0),
            Unit::PerSecond => match values::parse(Kind::Rate, text) {
                Ok(Scalar::Rate(interval)) => Some(1.0 / interval.as_seconds()),
                _ => None,
            },
            Unit::Bytes => match values::parse(Kind::Size, text) {
                Ok(Scalar::Size(size)) => Some(size.0 as f64),
                _ => None,
            },
            Unit::Plain => text.parse::<u64>().ok().map(|number| number as f64),
        }
    }

    fn example(self) -> &'static str {
        match self {
            Unit::Share => ">= 99%",
            Unit::Seconds => "< 60s",
            Unit::Factor => ">= 1.5x",
            Unit::PerSecond => ">= 100/s",
            Unit::Bytes => "<= 10MiB",
            Unit::Plain => "<= 1000",
        }
    }
}

impl Builder<'_> {
    pub fn read_expectations(&mut self, top: &Fields) {
        let Some(item) = top.item("expect") else { return };
        let Some(table) = item.table() else {
            report_type(item, "expect", "a table", self.problems);
            return;
        };
        for (name, item) in table.iter() {
            if let Some((_, metric)) = RUN_METRICS.iter().find(|(known, _)| *known == name) {
                if let Some(bounds) = self.read_bounds(name, metric.unit(), item) {
                    self.plan.expectations.push(Expectation::Run { metric: *metric, bounds });
                }
            } else if self.absent.iter().any(|absent| absent == name) {
                self.judged.push((name.to_string(), item.key, true));
            } else if let Some(service) = self.service(name) {
                self.read_service_expectation(service, item);
            } else if self.topic(name).is_some() || self.plan.endpoints.iter().any(|known| known.name == name) {
                self.read_place_expectation(name.to_string(), item);
            } else if self.plan.stores.iter().any(|store| store.name == name) {
                self.read_store_expectations(name, item);
            } else {
                self.report_unknown_subject(name, item);
            }
        }
        self.warn_unjudged(item.key);
    }

    fn report_unknown_subject(&self, name: &str, item: &Item) {
        let known: Vec<&str> = self
            .plan
            .services
            .iter()
            .map(|service| service.name.as_str())
            .chain(self.plan.stores.iter().map(|store| store.name.as_str()))
            .chain(self.endpoint_names())
            .chain(self.topic_names())
            .collect();
        let title = format!("`{}` is neither a place nor a service", printable(name));
        self.problems.add(
            Diagnostic::error("S080", item.key, title)
                .label("nothing to expect of")
                .help(format!("places and services are {}", known.join(", ")))
                .did_you_mean(item.key, nearest(name, known.iter().copied())),
        );
    }

    fn read_store_expectations(&mut self, store: &str, item: &Item) {
        let Some(table) = item.table() else {
            let known: Vec<&str> = self.table_names().into_iter().filter(|name| name.starts_with(store)).collect();
            let title = format!("`{store}` is a store, and promises are about its tables");
            self.problems.add(
                Diagnostic::error("S080", item.key, title)
                    .label("not a place")
                    .help(format!("expect of {}", known.join(", "))),
            );
            return;
        };
        for (name, item) in table.iter() {
            let place = format!("{store}.{name}");
            if self.place(&place).is_some() {
                self.read_place_expectation(place, item);
                continue;
            }
            let known = self.table_names();
            let near = nearest(&place, known.iter().copied());
            let title = format!("`{}` is not a table of a store", printable(&place));
            self.problems.add(Diagnostic::error("S080", item.key, title).label("no such place").help(
                near.map_or(format!("tables are {}", known.join(", ")), |near| format!("did you mean `{near}`?")),
            ));
        }
    }

    // --- places ---

    fn read_place_expectation(&mut self, name: String, item: &Item) {
        let place = self.place(&name).expect("looked up before");
        let is_written = !self.writers(place).is_empty();
        self.judged.push((name.clone(), item.key, is_written));
        let mut short = Table::default();
        let table = match &item.value {
            Value::Table(table) => table,
            _ => {
                short.insert("delivery", item.clone());
                &short
            }
        };
        let keys = PLACE.iter().copied();
        let fields = Fields::new(table, format!("the expectation of `{name}`"), item.key, keys, self.problems);
        let parked = if self.can_park(place) { Tolerance::Allowed } else { Tolerance::None };
        let mut expectation = PlaceExpectation {
            place,
            text: String::new(),
            loss: Tolerance::None,
            duplicates: Tolerance::None,
            stale: Tolerance::None,
            phantoms: Tolerance::Allowed,
            parked,
            pending: Tolerance::None,
            order: OrderExpectation::Any,
            of: None,
            blame: None,
        };
        if let Some(text) = fields.scalar("delivery").and_then(|_| fields.item("delivery")?.text()) {
            self.read_words(text, &mut expectation);
        }
        let mut read = |key: &str, into: fn(&mut PlaceExpectation) -> &mut Tolerance| {
            if let Some(tolerance) = self.read_tolerance(&fields, key) {
                *into(&mut expectation) = tolerance;
            }
        };
        read("loss", |expectation| &mut expectation.loss);
        read("duplicates", |expectation| &mut expectation.duplicates);
        read("stale", |expectation| &mut expectation.stale);
        read("phantoms", |expectation| &mut expectation.phantoms);
        read("parked", |expectation| &mut expectation.parked);
        read("pending", |expectation| &mut expectation.pending);
        expectation.order = match fields.text("order").as_deref() {
            Some("per-key") => OrderExpectation::PerKey,
            Some("broken") => OrderExpectation::Broken,
            _ => OrderExpectation::Any,
        };
        let beside = ["loss", "duplicates", "stale", "phantoms", "parked", "pending", "order"];
        for (key, item) in beside.iter().filter_map(|key| Some((key, fields.item(key)?))) {
            let Some(text) = item.text() else { continue };
            let comma = if expectation.text.is_empty() { "" } else { ", " };
            expectation.text += &format!("{comma}{key} {}", text.text.trim());
        }
        expectation.of = fields.item("of").and_then(|item| self.read_of(item));
        expectation.blame = fields.text("blame").and_then(|word| boundary(&word));
        let delays: Vec<(DelayMetric, Vec<Bound>)> = DELAYS
            .iter()
            .filter_map(|(key, metric)| Some((*metric, self.read_bounds(key, Unit::Seconds, fields.item(key)?)?)))
            .collect();
        if is_written {
            self.plan.expectations.push(Expectation::Place(expectation));
            let delays = delays.into_iter().map(|(metric, bounds)| Expectation::Delay { place, metric, bounds });
            self.plan.expectations.extend(delays);
        }
    }

    fn read_of(&self, item: &Item) -> Option<crate::types::PlaceId> {
        let text = item.text()?;
        let place = self.place(text.text);
        if place.is_none() {
            let known: Vec<&str> = self
                .plan
                .places
                .iter()
                .map(|place| place.name.as_str())
                .filter(|name| *name != super::OFFSETS)
                .collect();
            let store = text.text.split('.').next().unwrap_or("");
            let absent = self.absent.iter().any(|absent| absent == store || absent == text.text);
            if !absent {
                self.report_unknown(text.text, text.place, "a place", &known);
            }
        }
        place
    }

    fn read_words(&self, text: Text, expectation: &mut PlaceExpectation) {
        let mut start = 0;
        let mut any = false;
        for word in text.text.split_whitespace() {
            let at = start + text.text[start..].find(word).expect("a word of the text");
            start = at + word.len();
            any = true;
            match word {
                "exactly-once" => {}
                "at-least-once" | "may-repeat" => allow(&mut expectation.duplicates),
                "at-most-once" | "may-lose" => allow(&mut expectation.loss),
                "best-effort" => {
                    allow(&mut expectation.loss);
                    allow(&mut expectation.duplicates);
                }
                "loses" => expectation.loss = Tolerance::Required,
                "repeats" => expectation.duplicates = Tolerance::Required,
                "goes-stale" => expectation.stale = Tolerance::Required,
                "may-go-stale" => allow(&mut expectation.stale),
                _ => {
                    let place = text.at(at, start);
                    let title = format!("`{}` is not a word of a promise", printable(word));
                    self.problems.add(
                        Diagnostic::error("S082", place, title)
                            .label("unknown word")
                            .help(format!("words are {}", WORDS.join(", ")))
                            .did_you_mean(place, nearest(word, WORDS.iter().copied())),
                    );
                }
            }
        }
        if !any {
            self.problems.add(
                Diagnostic::error("S082", text.place, "the promise is empty")
                    .label("no words")
                    .help("for example \"exactly-once\""),
            );
        }
        expectation.text = text.text.split_whitespace().collect::<Vec<_>>().join(" ");
    }

    fn read_tolerance(&self, fields: &Fields, key: &str) -> Option<Tolerance> {
        fields.scalar(key)?;
        let text = fields.item(key)?.text()?;
        let share = || {
            let bound = text.text.trim().strip_prefix("<=")?;
            match values::parse(Kind::Ratio, bound.trim()) {
                Ok(Scalar::Ratio(ratio)) => Some(ratio),
                _ => None,
            }
        };
        match text.text.trim() {
            "none" => Some(Tolerance::None),
            "allowed" => Some(Tolerance::Allowed),
            "required" => Some(Tolerance::Required),
            "any" => Some(Tolerance::Any),
            other => {
                let share: Option<Ratio> = share();
                if share.is_none() {
                    let title = format!("`{key}` is `{}`", printable(other));
                    self.problems.add(
                        Diagnostic::error("S082", text.place, title)
                            .label("not a tolerance")
                            .help("one of none, allowed, required, any, or \"<= 1%\"")
                            .maybe_help(
                                nearest(other, ["none", "allowed", "required", "any"])
                                    .map(|near| format!("did you mean `{near}`?")),
                            ),
                    );
                }
                share.map(Tolerance::AtMost)
            }
        }
    }

    /// A table or an endpoint that is written and of which nothing is expected: easily forgotten.
    fn warn_unjudged(&self, place: Place) {
        for written in &self.plan.places {
            match written.kind {
                PlaceKind::Table { .. } | PlaceKind::Endpoint { .. } => {}
                PlaceKind::Topic { .. } => continue,
            }
            let judged = self.judged.iter().any(|(name, ..)| *name == written.name);
            if !judged && !self.writers(written.id).is_empty() {
                let title = format!("nothing is expected of `{}`", written.name);
                self.problems.add(
                    Diagnostic::warning("S086", place, title)
                        .label("an effect without expectation")
                        .help(format!("add `{} = \"exactly-once\"`, or another promise", written.name)),
                );
            }
        }
    }

    // --- services ---

    fn read_service_expectation(&mut self, service: ServiceId, item: &Item) {
        let name = self.plan.services[service.0 as usize].name.clone();
        let Some(table) = item.table() else {
            let title = format!("`{name}` is a service, and promises of delivery are about places");
            self.problems.add(
                Diagnostic::error("S080", item.key, title)
                    .label("not a place")
                    .help(format!("expect of a service: {name}.recovery = \"< 60s\"")),
            );
            return;
        };
        for (key, item) in table.iter() {
            let Some((_, metric)) = METRICS.iter().find(|(known, _)| *known == key) else {
                let near = nearest(key, METRICS.iter().map(|(known, _)| *known));
                let title = format!("`{}` is nothing that a service is measured by", printable(key));
                let all: Vec<&str> = METRICS.iter().map(|(known, _)| *known).collect();
                self.problems.add(
                    Diagnostic::error("S082", item.key, title)
                        .label("unknown attribute")
                        .help(format!("one of {}", all.join(", ")))
                        .did_you_mean(item.key, near),
                );
                continue;
            };
            if let Some(instead) = instead(*metric, &self.plan.services[service.0 as usize].trigger) {
                self.problems.add(
                    Diagnostic::error("S087", item.key, format!("`{name}` has no `{key}`"))
                        .label("nothing of the kind is measured here")
                        .help(instead),
                );
                continue;
            }
            if let Some(bounds) = self.read_bounds(key, metric.unit(), item) {
                self.plan.expectations.push(Expectation::Service { service, metric: *metric, bounds });
            }
        }
    }

    /// One bound, or a list of which all must hold.
    fn read_bounds(&self, key: &str, unit: Unit, item: &Item) -> Option<Vec<Bound>> {
        let bounds: Vec<Option<Bound>> = item.elements().iter().map(|item| self.read_bound(key, unit, item)).collect();
        bounds.into_iter().collect()
    }

    fn read_bound(&self, key: &str, unit: Unit, item: &Item) -> Option<Bound> {
        let report = |place: Place, title: String, help: String| {
            self.problems.add(Diagnostic::error("S083", place, title).label("not a bound").help(help));
        };
        let help = || format!("for example \"{}\"", unit.example());
        let Some(text) = item.text() else {
            report(item.place, format!("`{key}` takes a bound, found {}", item.value.kind()), help());
            return None;
        };
        let text = text.trimmed();
        let words: Vec<&str> = text.text.split_whitespace().collect();
        let (over, rest) = match words[..] {
            ["mean", ref rest @ ..] => (Over::Mean, rest),
            ["p50", ref rest @ ..] => (Over::P50, rest),
            ["p95", ref rest @ ..] => (Over::P95, rest),
            ["p99", ref rest @ ..] => (Over::P99, rest),
            ref rest => (Over::Each, rest),
        };
        let bound = |over, limit| Some(Bound { text: text.text.to_string(), over, limit });
        let tolerance = |word: &str| match values::parse(Kind::Ratio, word.strip_prefix('±')?) {
            Ok(Scalar::Ratio(ratio)) => Some(ratio.as_f64()),
            _ => None,
        };
        match rest {
            ["never"] if key == "recovery" => return bound(Over::Each, Limit::Never),
            ["any"] => return bound(Over::Each, Limit::Any),
            ["theory"] => return bound(Over::Mean, Limit::Theory { tolerance: None }),
            ["theory", word] => {
                if let Some(tolerance) = tolerance(word) {
                    return bound(Over::Mean, Limit::Theory { tolerance: Some(tolerance) });
                }
            }
            ["before", word] => {
                if let Some(tolerance) = tolerance(word) {
                    return bound(Over::Mean, Limit::Before { tolerance });
                }
            }
            ["before"] => {
                report(text.place, format!("`{key}`: `before` needs how near"), "write \"before ±10%\"".into());
                return None;
            }
            [sign @ (">" | "<"), factor, sibling] if sibling.contains('=') => {
                let (axis, value) = sibling.split_once('=')?;
                return self.read_sibling(text, *sign == "<", factor, axis, value);
            }
            [middle, word] if word.starts_with('±') => {
                if let (Some(middle), Some(share)) = (unit.read(middle), tolerance(word)) {
                    return bound(over, Limit::Between(middle * (1.0 - share), middle * (1.0 + share)));
                }
            }
            [range] if range.contains("..") => {
                let (low, high) = range.split_once("..")?;
                if let (Some(low), Some(high)) = (unit.read(low), unit.read(high))
                    && low <= high
                {
                    return bound(over, Limit::Between(low, high));
                }
            }
            _ => {}
        }
        let joined = rest.join(" ");
        let signs: [(&str, fn(f64) -> Limit); 4] =
            [("<=", Limit::AtMost), (">=", Limit::AtLeast), ("<", Limit::Below), (">", Limit::Above)];
        for (sign, limit) in signs {
            if let Some(value) = joined.strip_prefix(sign).and_then(|value| unit.read(value.trim())) {
                return bound(over, limit(value));
            }
        }
        report(text.place, format!("`{key}` cannot be `{}`", printable(text.text)), help());
        None
    }

    fn read_sibling(&self, text: Text, below: bool, factor: &str, axis: &str, value: &str) -> Option<Bound> {
        let found = self.axes.iter().find(|known| known.label == axis || known.path.join(".") == axis);
        let Some(known) = found.filter(|axis| axis.value_names().iter().any(|name| name == value)) else {
            let labels: Vec<String> = self
                .axes
                .iter()
                .flat_map(|axis| {
                    axis.value_names().into_iter().map(|value| format!("{}={value}", axis.label)).collect::<Vec<_>>()
                })
                .collect();
            let title = format!("`{}={}` is no cell beside this one", printable(axis), printable(value));
            let near = nearest(&format!("{axis}={value}"), labels.iter().map(String::as_str)).map(str::to_string);
            self.problems.add(
                Diagnostic::error("S083", text.place, title).label("no such sibling").help(
                    near.map_or(format!("one of {}", labels.join(", ")), |near| format!("did you mean `{near}`?")),
                ),
            );
            return None;
        };
        let Some(thousandths) = values::factor(factor) else {
            self.problems.add(
                Diagnostic::error("S083", text.place, format!("`{}` is not a factor", printable(factor)))
                    .label("not a bound")
                    .help("for example \"> 10x style=direct\""),
            );
            return None;
        };
        let limit = Limit::Sibling {
            below,
            factor: thousandths as f64 / 1_000.0,
            axis: known.label.clone(),
            value: value.to_string(),
        };
        Some(Bound { text: text.text.to_string(), over: Over::Mean, limit })
    }

    // --- floors ---

    pub fn read_floors(&mut self, top: &Fields) {
        let mut floors = vec![FloorPlan { what: FloorMetric::Accepted, at_least: 1, over_all_seeds: false }];
        if let Some(item) = top.item("floor") {
            let Some(table) = item.table() else {
                report_type(item, "floor", "a table", self.problems);
                return;
            };
            for (key, item) in table.iter() {
                if let Some(floor) = self.read_floor(key, item) {
                    floors.retain(|known| known.what != floor.what);
                    floors.push(floor);
                }
            }
        }
        self.plan.floors = floors;
    }

    fn read_floor(&self, key: &str, item: &Item) -> Option<FloorPlan> {
        let Some((_, what)) = FLOORS.iter().find(|(known, _)| *known == key) else {
            let all: Vec<&str> = FLOORS.iter().map(|(known, _)| *known).collect();
            self.problems.add(
                Diagnostic::error("S084", item.key, format!("`{}` is nothing that is counted", printable(key)))
                    .label("unknown floor")
                    .help(format!("one of {}", all.join(", ")))
                    .did_you_mean(item.key, nearest(key, all.iter().copied())),
            );
            return None;
        };
        let per_run = |at_least| Some(FloorPlan { what: *what, at_least, over_all_seeds: false });
        match &item.value {
            Value::Integer(Some(number)) if *number >= 0 => return per_run(*number as u64),
            Value::Text { text, .. } => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let number = words.first().and_then(|word| word.parse::<u64>().ok()).filter(|n| *n <= i64::MAX as u64);
                match (number, &words[1.min(words.len())..]) {
                    (Some(at_least), ["over", "all", "seeds"]) => {
                        return Some(FloorPlan { what: *what, at_least, over_all_seeds: true });
                    }
                    (Some(at_least), []) => return per_run(at_least),
                    _ => {}
                }
            }
            _ => {}
        }
        self.problems.add(
            Diagnostic::error("S084", item.place, format!("`{key}` is `{}`", printable(&item.written())))
                .label("not a floor")
                .help("write a number, or \"50 over all seeds\""),
        );
        None
    }
}

/// A hazard that is required stays required.
fn allow(tolerance: &mut Tolerance) {
    if *tolerance == Tolerance::None {
        *tolerance = Tolerance::Allowed;
    }
}

fn boundary(word: &str) -> Option<Boundary> {
    match word {
        "caller" => Some(Boundary::Caller),
        "producer" => Some(Boundary::Producer),
        "queue" => Some(Boundary::Queue),
        "group" => Some(Boundary::Group),
        "consumer" => Some(Boundary::Consumer),
        "downstream" => Some(Boundary::Downstream),
        _ => None,
    }
}

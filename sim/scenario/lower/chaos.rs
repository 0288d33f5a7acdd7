//! `[chaos]`: what is drawn from each seed, and what it must not exceed.

use crate::types::{Duration, Spread};

use super::super::chaos::{ChaosSpec, FamilyShare, STATES, UNLISTED, WAITING, verbs_of, workers};
use super::super::diagnostics::{Diagnostic, Place, nearest, printable};
use super::super::family::report_type;
use super::super::fields::Fields;
use super::super::keys::{BUDGET, CHAOS, FAMILY};
use super::super::plan::*;
use super::super::tree::{Item, Text, Value};
use super::super::values::{self, Kind, parse};
use super::Builder;

impl Builder<'_> {
    pub fn read_chaos(&mut self, top: &Fields) {
        let Some(item) = top.item("chaos") else { return };
        let Some(table) = item.table() else {
            report_type(item, "chaos", "a table", self.problems);
            return;
        };
        let fields = Fields::new(table, "[chaos]".into(), item.key, CHAOS.iter().copied(), self.problems);
        let profile = match fields.text("profile").as_deref() {
            Some("heavy") => ChaosProfile::Heavy,
            Some("swarm") => ChaosProfile::Swarm,
            Some(_) | None => ChaosProfile::Light,
        };
        let (from, until) = self.read_window(&fields);
        let interval = fields.scalar("rate").map_or(Duration::from_secs(10), |scalar| scalar.interval());
        let length = fields.spread("length", Spread::Exponential { mean: Duration::from_secs(4) });
        let budget = self.read_budget(&fields);
        let families = self.read_families(&fields, budget.as_ref(), length);
        let listed = families.iter().map(|share| share.weight).sum::<u64>().max(1);
        let shares = if fields.item("families").is_some() { listed } else { UNLISTED };
        if self.plan.services.is_empty() {
            let title = "`[chaos]` in a system without services".to_string();
            self.report_chaos(item.key, title, "nobody to notice", "add a service");
            return;
        }
        let expected = |service: usize| (self.expected_events(service) * 0.75) as u64;
        let expected_events = (0..self.plan.services.len()).map(expected).collect();
        self.chaos =
            Some(ChaosSpec { profile, from, until, interval, length, families, shares, budget, expected_events });
    }

    /// `10%..80%` of the duration, or `5s..25s`.
    fn read_window(&self, fields: &Fields) -> (Duration, Duration) {
        let duration = self.plan.duration;
        let default = (duration / 10, duration / 10 * 8);
        let Some(item) = fields.item("window") else { return default };
        let Some(scalar) = fields.scalar("window") else { return default };
        let instant = |text: &str| {
            if let Ok(share) = parse(Kind::Ratio, text) {
                return Some(Duration((u128::from(duration.0) * u128::from(share.ratio().0) / 1_000_000_000) as u64));
            }
            parse(Kind::Duration, text).ok().map(|length| length.duration())
        };
        let ends = scalar.text().split_once("..");
        let ends = ends.and_then(|(from, until)| Some((instant(from.trim())?, instant(until.trim())?)));
        match ends {
            Some((from, until)) if from < until && until <= duration => (from, until),
            Some(_) => {
                let title = format!("`window` is `{}`, and the load lasts {duration}", printable(scalar.text()));
                self.report_chaos(item.place, title, "no part of it", "for example \"10%..80%\"");
                default
            }
            None => {
                let title = format!("`window` is `{}`", printable(scalar.text()));
                self.report_chaos(
                    item.place,
                    title,
                    "not a part of the duration",
                    "for example \"10%..80%\" or \"5s..25s\"",
                );
                default
            }
        }
    }

    /// A list of names, or a table of weights.
    fn read_families(&self, fields: &Fields, budget: Option<&Budget>, length: Spread) -> Vec<FamilyShare> {
        let equal = |family: FaultFamily| FamilyShare {
            family,
            weight: 1,
            length,
            verbs: Vec::new(),
            kinds: Vec::new(),
            waiting: WAITING,
            states: Vec::new(),
        };
        let Some(item) = fields.item("families") else {
            let possible = FaultFamily::ALL.into_iter().filter(|family| self.missing(*family, budget).is_none());
            return possible.map(equal).collect();
        };
        let mut families: Vec<FamilyShare> = Vec::new();
        let mut nothing = item.elements().is_empty();
        if let Some(table) = item.table() {
            nothing = table.is_empty();
            for (name, value) in table.iter() {
                let text = Text { text: name, place: value.key, inside: None };
                let family = self.read_family(text, budget);
                families.extend(family.and_then(|family| self.read_share(equal(family), value)));
            }
        } else {
            for element in item.elements() {
                let Some(text) = element.text() else {
                    report_type(element, "families", "a list of names, or a table of weights", self.problems);
                    continue;
                };
                let family = self.read_family(text, budget);
                families
                    .extend(family.filter(|family| !families.iter().any(|share| share.family == *family)).map(equal));
            }
        }
        if nothing {
            let title = "`families` is empty".to_string();
            self.report_chaos(item.place, title, "nothing could go wrong", "name one, or remove `[chaos]`");
        }
        families
    }

    /// `3`, or `{ weight = 3, length = "exp 8s" }`.
    fn read_share(&self, mut share: FamilyShare, item: &Item) -> Option<FamilyShare> {
        let Some(table) = item.table() else {
            let weight = values::read(FAMILY[0].kind, share.family.name(), item, false, self.problems)?;
            return Some(FamilyShare { weight: weight.u64(), ..share });
        };
        let header = format!("family {} of [chaos]", share.family.name());
        let own = Fields::new(table, header, item.key, FAMILY.iter().copied(), self.problems);
        share.weight = own.integer("weight", share.weight);
        share.length = own.spread("length", share.length);
        share.waiting = own.ratio("waiting", share.waiting);
        share.verbs = self.read_some_of(&own, "verbs", verbs_of(share.family));
        share.states = self.read_some_of(&own, "states", STATES);
        if let Some(item) = own.item("kinds") {
            let texts = item.elements().iter().filter_map(Item::text);
            share.kinds = texts.filter_map(|text| self.read_request_kind(text)).collect();
            if share.family != FaultFamily::Network {
                let title = format!("`kinds` of family `{}`", share.family.name());
                self.report_chaos(item.key, title, "only links are narrowed", "remove it, or give it to `network`");
            }
        }
        Some(share)
    }

    /// A list of some of the known words.
    fn read_some_of(&self, fields: &Fields, key: &str, known: &[&'static str]) -> Vec<&'static str> {
        let mut words = Vec::new();
        for text in fields.item(key).map_or(&[][..], Item::elements).iter().map(Item::text) {
            match text.and_then(|text| known.iter().find(|word| **word == text.text)) {
                Some(word) => words.push(*word),
                None => {
                    let place = text.map_or(fields.place, |text| text.place);
                    let title = match text {
                        Some(text) => format!("`{}` is not one of its `{key}`", printable(text.text)),
                        None => format!("`{key}` is a list of words"),
                    };
                    self.problems.add(
                        Diagnostic::error("S076", place, title)
                            .label("never drawn")
                            .help(format!("known are {}", known.join(", ")))
                            .did_you_mean(place, text.and_then(|text| nearest(text.text, known.iter().copied()))),
                    );
                }
            }
        }
        words
    }

    fn read_family(&self, text: Text, budget: Option<&Budget>) -> Option<FaultFamily> {
        let names = FaultFamily::ALL.map(FaultFamily::name);
        let Some(family) = FaultFamily::ALL.into_iter().find(|family| family.name() == text.text) else {
            let near = nearest(text.text, names);
            let title = format!("`{}` is not a family of faults", printable(text.text));
            self.problems.add(
                Diagnostic::error("S076", text.place, title)
                    .label("unknown family")
                    .help(format!("families are {}", names.join(", ")))
                    .did_you_mean(text.place, near),
            );
            return None;
        };
        if let Some(why) = self.missing(family, budget) {
            let title = format!("family `{}` can do nothing here: {why}", family.name());
            self.report_chaos(text.place, title, "never drawn", "remove it");
            return None;
        }
        Some(family)
    }

    /// Why nothing of a family can happen in this system.
    fn missing(&self, family: FaultFamily, budget: Option<&Budget>) -> Option<&'static str> {
        let lossy = budget.is_none_or(|budget| budget.lossy > 0 && budget.brokers_down > 0);
        match family {
            FaultFamily::Power => (!lossy).then_some("the budget allows no power loss"),
            FaultFamily::Group => self.plan.groups.is_empty().then_some("nobody consumes"),
            FaultFamily::Store => self.plan.stores.is_empty().then_some("there is no store"),
            FaultFamily::Endpoint => self.plan.endpoints.is_empty().then_some("there is no endpoint"),
            FaultFamily::Poison => self.missing_poison(budget),
            FaultFamily::Load => {
                let arrives = |service: &ServicePlan| matches!(service.trigger, Trigger::Requests(_));
                (!self.plan.services.iter().any(arrives)).then_some("no service takes requests")
            }
            FaultFamily::Process
            | FaultFamily::Disk
            | FaultFamily::Network
            | FaultFamily::Clock
            | FaultFamily::Cluster
            | FaultFamily::Redelivery => None,
        }
    }

    fn missing_poison(&self, budget: Option<&Budget>) -> Option<&'static str> {
        let (all, fit) = (workers(&self.plan, false).len(), workers(&self.plan, budget.is_some()).len());
        match (all, fit) {
            (0, _) => Some("no step is `work`"),
            // What one service skips is lost for all behind it.
            _ if budget.is_some() && self.nothing_may_be_parked() => {
                Some("`parked` is not allowed, and poison is parked")
            }
            _ if fit < all => Some("a ladder skips, crashes or closes, which no promise survives"),
            _ => None,
        }
    }

    /// A ladder ends in dead letters, and a place that is owed the event does not take them for an answer.
    fn nothing_may_be_parked(&self) -> bool {
        self.plan.expectations.iter().any(|expectation| match expectation {
            Expectation::Place(place) => place.parked == Tolerance::None && self.can_park(place.place),
            Expectation::Service { .. } | Expectation::Delay { .. } | Expectation::Run { .. } => false,
        })
    }

    fn read_budget(&self, fields: &Fields) -> Option<Budget> {
        let default = self.survivable();
        let Some(item) = fields.item("budget") else { return Some(default) };
        match &item.value {
            Value::Text { text, .. } if text == "none" => None,
            Value::Table(table) => {
                let own =
                    Fields::new(table, "the budget of [chaos]".into(), item.key, BUDGET.iter().copied(), self.problems);
                let count = |key: &str, default: u16| own.scalar(key).map_or(default, |scalar| scalar.u16());
                let instances_down = match own.scalar("instances-down") {
                    Some(scalar) => vec![scalar.u16(); default.instances_down.len()],
                    None => default.instances_down.clone(),
                };
                let longest = own.duration("longest", default.longest);
                if longest.is_zero() {
                    let place = own.item("longest").map_or(item.place, |item| item.place);
                    self.report_chaos(place, "`longest` is zero".into(), "no time at all", "for example \"20s\"");
                }
                let budget = Budget {
                    brokers_down: count("brokers-down", default.brokers_down),
                    lossy: count("lossy", default.lossy),
                    controllers_down: count("controllers-down", default.controllers_down),
                    instances_down,
                    longest,
                };
                self.warn_beyond(&budget, &default, item);
                Some(budget)
            }
            Value::Text { .. }
            | Value::Boolean(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Date => {
                let title = format!("`budget` is `{}`", printable(&item.written()));
                self.report_chaos(
                    item.place,
                    title,
                    "neither a table of limits nor \"none\"",
                    "for example { brokers-down = 1, lossy = 0, longest = \"10s\" }",
                );
                Some(default)
            }
        }
    }

    /// More than the promises survive is allowed, and said.
    fn warn_beyond(&self, budget: &Budget, default: &Budget, item: &Item) {
        for (what, given, survived) in [
            ("brokers-down", budget.brokers_down, default.brokers_down),
            ("lossy", budget.lossy, default.lossy),
            ("controllers-down", budget.controllers_down, default.controllers_down),
        ] {
            if survived < given {
                let title = format!("`{what} = {given}`, and the promises of this system survive {survived}");
                self.problems.add(
                    Diagnostic::warning("S076", item.key, title)
                        .label("beyond what is survived")
                        .help("expect a hazard, or lower it"),
                );
            }
        }
    }

    /// What the promises of the system survive.
    fn survivable(&self) -> Budget {
        // What the topics of the coordinators lose is repeated: it costs a promise where a transaction says that it was done.
        let topics = match self.plan.transactions_topic() {
            Some(_) => &self.plan.topics[..],
            None => self.plan.own_topics(),
        };
        let spare =
            topics.iter().map(|topic| topic.settings.replication.saturating_sub(topic.settings.min_insync_replicas));
        let lossy = topics.iter().map(|topic| topic.settings.min_insync_replicas.saturating_sub(1));
        Budget {
            brokers_down: spare.min().unwrap_or(0),
            lossy: lossy.min().unwrap_or(0),
            controllers_down: (self.plan.cluster.controllers.len() as u16).saturating_sub(1) / 2,
            instances_down: self.plan.services.iter().map(|service| service.instances.len() as u16).collect(),
            longest: Duration::from_secs(20),
        }
    }

    fn report_chaos(&self, place: Place, title: String, label: &str, help: &str) {
        self.report_fault("S076", place, title, label, help);
    }
}

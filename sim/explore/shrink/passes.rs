//! Passes: each looks at a failing scenario and proposes smaller ones, boldest first.
//!
//! The one idea: a pass needs no judgement. Whatever it proposes is read and run; what is no scenario, or fails in another
//! way, or not at all, is dropped. So passes may be simple and bold. What each of them must do is go down: every accepted
//! proposal is smaller in the pass's own measure, and no pass undoes another, so that the search ends.

use super::chance;
use super::sentence::{Sentence, ordinal};
use super::trial::Failing;
use crate::scenario::Draft;
use crate::scenario::plan::{FaultAction, LiveValue, Plan, Trigger};
use crate::types::{Duration, Time};

pub type Pass = fn(&Failing) -> Vec<Draft>;

/// In the order in which they make the next candidates cheapest.
pub const PASSES: &[(&str, Pass)] = &[
    ("time", time),
    ("expectations", expectations),
    ("chances", chance::proposals),
    ("events", events),
    ("nodes", nodes),
    ("steps", steps),
    ("settings", settings),
    ("weaken", weaken),
    ("timing", timing),
    ("names", names),
];
/// Delta debugging of faults comes behind this pass.
pub const BEFORE_FAULTS: &str = "expectations";

const SECOND: u64 = 1_000_000_000;

/// A shorter load phase; faults that would come later go with it.
fn time(failing: &Failing) -> Vec<Draft> {
    let now = failing.plan.duration.0;
    let last = failing.outcome.faults.iter().map(|span| span.fired.0.saturating_sub(Time::LOAD_START.0)).max();
    let behind = last.map_or(SECOND, |last| last.saturating_add(SECOND));
    let wanted = [now / 8, now / 4, now / 2, now / 4 * 3, behind, behind.saturating_add(9 * SECOND)];
    let mut lengths: Vec<u64> = wanted.iter().map(|length| length.div_ceil(SECOND).max(1) * SECOND).collect();
    lengths.retain(|length| *length < now);
    lengths.sort_unstable();
    lengths.dedup();
    lengths.into_iter().map(|length| within(&failing.draft, Duration(length))).collect()
}

fn within(draft: &Draft, length: Duration) -> Draft {
    let mut shorter = draft.clone();
    shorter.set_text(&["duration"], length.to_string());
    for (name, fault) in faults(draft) {
        if fault.duration("at").is_some_and(|at| length <= at) {
            shorter.remove(&["fault", &name]);
        }
    }
    shorter
}

/// One expectation is enough: any of those that stand.
fn expectations(failing: &Failing) -> Vec<Draft> {
    let subjects = leaves(&failing.draft, &["expect"]);
    if subjects.len() < 2 {
        return Vec::new();
    }
    let only = |kept: &Vec<String>| {
        let mut draft = failing.draft.clone();
        for path in subjects.iter().filter(|path| *path != kept) {
            remove(&mut draft, path);
        }
        draft
    };
    let without = |path: &Vec<String>| {
        let mut draft = failing.draft.clone();
        remove(&mut draft, path);
        draft
    };
    subjects.iter().map(only).chain(subjects.iter().map(without)).collect()
}

/// Fewer events: a count, a lower rate.
fn events(failing: &Failing) -> Vec<Draft> {
    const COUNTS: [u64; 14] = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
    let mut drafts = Vec::new();
    let arrived = failing.outcome.counters.arrived;
    for service in failing.draft.keys(&["service"]) {
        let Some(rate) = failing.draft.get(&["service", &service, "rate"]) else { continue };
        let count = failing.draft.get(&["service", &service, "count"]).and_then(|count| count.parse().ok());
        for fewer in COUNTS.into_iter().filter(|fewer| *fewer < count.unwrap_or(arrived)) {
            let mut draft = failing.draft.clone();
            draft.set_number(&["service", &service, "count"], fewer);
            drafts.push(sooner(&draft, fewer));
            drafts.push(draft);
        }
        let Some(interval) = interval(&failing.plan, &service) else { continue };
        for per_second in COUNTS.into_iter().take(10) {
            let slower = format!("{per_second}/s");
            if interval.0 < SECOND / per_second && rate != slower {
                let mut draft = failing.draft.clone();
                draft.set_text(&["service", &service, "rate"], slower);
                drafts.push(draft);
            }
        }
    }
    for (name, fault) in faults(&failing.draft) {
        let Some(number) = fault.ordinal() else { continue };
        let smaller = [1, 2, 3, 5, number / 4, number / 2, number.saturating_sub(1)];
        for earlier in smaller.into_iter().filter(|earlier| 0 < *earlier && *earlier < number) {
            drafts.push(with_fault(&failing.draft, &name, &fault.with_state_at(earlier)));
        }
    }
    drafts
}

/// With every fault at an occurrence that so few events still reach.
fn sooner(draft: &Draft, events: u64) -> Draft {
    let mut sooner = draft.clone();
    for (name, fault) in faults(draft) {
        if fault.ordinal().is_some_and(|number| events < number) {
            sooner = with_fault(&sooner, &name, &fault.with_state_at(events));
        }
    }
    sooner
}

fn interval(plan: &Plan, service: &str) -> Option<Duration> {
    let service = plan.services.iter().find(|known| known.name == service)?;
    match &service.trigger {
        Trigger::Requests(requests) => Some(requests.interval),
        Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
    }
}

/// Fewer services, topics, stores, endpoints, brokers, controllers, replicas, partitions, instances.
fn nodes(failing: &Failing) -> Vec<Draft> {
    let (draft, plan) = (&failing.draft, &failing.plan);
    let mut drafts = Vec::new();
    for kind in ["service", "topic", "store", "endpoint"] {
        for name in draft.keys(&[kind]) {
            drafts.push(without_thing(draft, kind, &name));
        }
    }
    for store in draft.keys(&["store"]) {
        let path = ["store", &store, "tables"];
        let tables = draft.list(&path);
        for (number, table) in tables.iter().enumerate().filter(|_| 1 < tables.len()) {
            let mut smaller =
                without_steps(draft, |words| words.iter().any(|word| *word == format!("{store}.{table}")));
            smaller.remove_element(&path, number);
            drafts.push(smaller);
        }
    }
    let brokers = u64::from(plan.cluster.brokers);
    for fewer in fewer_than(brokers) {
        let smaller = with_brokers(draft, plan, fewer);
        drafts.push(renumbered(&smaller, fewer));
        drafts.push(smaller);
    }
    let controllers = plan.cluster.controllers.len() as u64;
    for fewer in [1, 3, 5].into_iter().filter(|fewer| *fewer < controllers) {
        drafts.push(with_number(draft, &["cluster", "controllers"], fewer));
    }
    for topic in draft.keys(&["topic"]) {
        let Some(planned) = plan.topics.iter().find(|planned| planned.name == topic) else { continue };
        for fewer in fewer_than(u64::from(planned.settings.partitions)) {
            drafts.push(with_number(draft, &["topic", &topic, "partitions"], fewer));
        }
        for fewer in fewer_than(u64::from(planned.settings.replication)) {
            let mut smaller = with_number(draft, &["topic", &topic, "replication"], fewer);
            if fewer < u64::from(planned.settings.min_insync_replicas) {
                smaller.set_number(&["topic", &topic, "min-insync-replicas"], fewer);
            }
            drafts.push(smaller);
        }
    }
    for service in draft.keys(&["service"]) {
        for key in ["instances", "workers"] {
            let path = ["service", &service, key];
            let now = draft.get(&path).and_then(|number| number.parse().ok()).unwrap_or(1);
            for fewer in fewer_than(now) {
                let smaller = with_number(draft, &path, fewer);
                drafts.push(as_first_instance(&smaller, &service));
                drafts.push(smaller);
            }
        }
    }
    drafts
}

/// 1, the half, one less.
fn fewer_than(now: u64) -> Vec<u64> {
    let mut fewer = vec![1, now / 2, now.saturating_sub(1)];
    fewer.retain(|number| 0 < *number && *number < now);
    fewer.sort_unstable();
    fewer.dedup();
    fewer
}

fn with_number(draft: &Draft, path: &[&str], number: u64) -> Draft {
    let mut changed = draft.clone();
    changed.set_number(path, number);
    changed
}

/// A smaller cluster; what cannot be larger than it comes down with it.
fn with_brokers(draft: &Draft, plan: &Plan, brokers: u64) -> Draft {
    let mut smaller = with_number(draft, &["cluster", "brokers"], brokers);
    for key in ["default-replication-factor", "min-insync-replicas", "offsets-topic-replication-factor", "controllers"]
    {
        let path = ["cluster", key];
        if draft.get(&path).and_then(|number| number.parse().ok()).is_some_and(|number: u64| brokers < number) {
            smaller.set_number(&path, brokers - (1 - brokers % 2) * u64::from(key == "controllers"));
        }
    }
    for topic in draft.keys(&["topic"]) {
        let Some(planned) = plan.topics.iter().find(|planned| planned.name == topic) else { continue };
        let settings = &planned.settings;
        let now = [("replication", settings.replication), ("min-insync-replicas", settings.min_insync_replicas)];
        for (key, _) in now.into_iter().filter(|(_, now)| brokers < u64::from(*now)) {
            smaller.set_number(&["topic", &topic, key], brokers);
        }
    }
    smaller
}

/// Faults at brokers that are gone are aimed at one that is left.
fn renumbered(draft: &Draft, brokers: u64) -> Draft {
    let mut changed = draft.clone();
    for (name, fault) in faults(draft) {
        let mut text = fault.text();
        for number in (brokers + 1..=100).rev() {
            text = text.replace(&format!("broker({number})"), &format!("broker({})", (number - 1) % brokers + 1));
        }
        changed.set_text(&["fault", &name], text);
    }
    changed
}

fn as_first_instance(draft: &Draft, service: &str) -> Draft {
    let mut changed = draft.clone();
    for (name, fault) in faults(draft) {
        let mut text = fault.text();
        for number in (2..=100).rev() {
            text = text.replace(&format!("instance({service}, {number})"), &format!("instance({service}, 1)"));
        }
        changed.set_text(&["fault", &name], text);
    }
    changed
}

/// Without a service, topic, store or endpoint, and without the steps and expectations that need it.
fn without_thing(draft: &Draft, kind: &str, name: &str) -> Draft {
    let inside = format!("{name}.");
    let mut smaller =
        without_steps(draft, |words| words.iter().skip(1).any(|word| *word == name || word.starts_with(&inside)));
    smaller.remove(&[kind, name]);
    smaller.remove(&["expect", name]);
    smaller
}

fn without_steps(draft: &Draft, gone: impl Fn(&[&str]) -> bool) -> Draft {
    let mut smaller = draft.clone();
    for service in draft.keys(&["service"]) {
        let path = ["service", &service, "steps"];
        for (number, step) in draft.list(&path).iter().enumerate().rev() {
            if gone(&step.split_whitespace().collect::<Vec<_>>()) {
                smaller.remove_element(&path, number);
            }
        }
    }
    smaller
}

/// One step less.
fn steps(failing: &Failing) -> Vec<Draft> {
    let draft = &failing.draft;
    let mut drafts = Vec::new();
    for service in draft.keys(&["service"]) {
        for key in ["steps", "on-failure"] {
            let path = ["service", &service, key];
            for number in 0..draft.list(&path).len() {
                let mut smaller = draft.clone();
                smaller.remove_element(&path, number);
                drafts.push(smaller);
            }
        }
    }
    drafts
}

/// A setting less: first all of a table, then one by one. What the reader demands it keeps by refusing.
fn settings(failing: &Failing) -> Vec<Draft> {
    const NEEDED: [&str; 6] = ["brokers", "tables", "on", "steps", "rate", "count"];
    let draft = &failing.draft;
    let mut tables: Vec<Vec<String>> = ["cluster", "network", "disk", "client"].map(|name| vec![name.into()]).into();
    for kind in ["topic", "store", "endpoint", "service"] {
        tables.extend(draft.keys(&[kind]).into_iter().map(|name| vec![kind.to_string(), name]));
    }
    let mut drafts = Vec::new();
    for table in &tables {
        let path: Vec<&str> = table.iter().map(String::as_str).collect();
        let optional: Vec<String> =
            draft.keys(&path).into_iter().filter(|key| !NEEDED.contains(&key.as_str())).collect();
        let without = |keys: &[String]| {
            let mut smaller = draft.clone();
            keys.iter().for_each(|key| smaller.remove(&[&path[..], &[key.as_str()]].concat()));
            smaller
        };
        if 1 < optional.len() {
            drafts.push(without(&optional));
        }
        drafts.extend(optional.iter().map(|key| without(std::slice::from_ref(key))));
    }
    drafts
}

/// Milder faults: fewer nodes, a milder verb, a shorter time.
fn weaken(failing: &Failing) -> Vec<Draft> {
    const MILDER: [(&str, &[&str]); 3] =
        [("wipe", &["pause", "crash", "lose-power"]), ("lose-power", &["pause", "crash"]), ("crash", &["pause"])];
    let mut drafts = Vec::new();
    for (name, fault) in faults(&failing.draft) {
        drafts.extend(fault.with_one_of_all().iter().map(|one| with_fault(&failing.draft, &name, one)));
        for (verb, milder) in MILDER {
            if fault.has(verb) {
                drafts.extend(milder.iter().map(|word| with_fault(&failing.draft, &name, &fault.replace(verb, word))));
            }
        }
        if let Some(planned) = failing.plan.faults.iter().find(|planned| planned.name == name) {
            let fewer = fewer_events(&fault, &planned.action);
            drafts.extend(fewer.iter().map(|fewer| with_fault(&failing.draft, &name, fewer)));
        }
        if let Some(length) = fault.duration("for").filter(|length| 2 * SECOND <= length.0) {
            let mut shorter = [1, length.0 / SECOND / 8, length.0 / SECOND / 2];
            shorter.sort_unstable();
            for seconds in shorter.into_iter().filter(|seconds| 0 < *seconds && seconds * SECOND < length.0) {
                let text = Duration(seconds * SECOND).to_string();
                drafts.push(with_fault(&failing.draft, &name, &fault.with("for", text)));
            }
        }
    }
    drafts
}

/// A lower rate, or fewer poisoned events.
fn fewer_events(fault: &Sentence, planned: &FaultAction) -> Vec<Sentence> {
    const RATES: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
    match planned {
        FaultAction::Poison { events, .. } => {
            let fewer = fewer_than(u64::from(*events)).into_iter();
            fewer.map(|events| fault.with("times", events.to_string())).collect()
        }
        FaultAction::Set(LiveValue::Rate { interval, .. }) => {
            let lower = RATES.into_iter().filter(|rate| interval.0 < SECOND / rate);
            lower.map(|rate| fault.with("to", format!("{rate}/s"))).collect()
        }
        _ => Vec::new(),
    }
}

/// Rounder and earlier times.
fn timing(failing: &Failing) -> Vec<Draft> {
    const UNITS: [u64; 6] = [SECOND, SECOND / 2, SECOND / 10, SECOND / 100, SECOND / 1_000, SECOND / 1_000_000];
    let draft = &failing.draft;
    let all = faults(draft);
    let mut drafts = Vec::new();
    let delayed = all.iter().filter(|(_, fault)| fault.delay().is_some());
    drafts.extend(delayed.map(|(name, fault)| with_fault(draft, name, &fault.with_delay(Duration::ZERO))));
    // All at once first, then one by one.
    for unit in UNITS {
        for up in [0, 1] {
            let round = |fault: &Sentence| {
                let rounded = |length: Duration| {
                    Duration((length.0 / unit + up * u64::from(!length.0.is_multiple_of(unit))) * unit)
                };
                let fault = match fault.delay().map(rounded) {
                    Some(delay) if !delay.is_zero() => fault.with_delay(delay),
                    Some(_) | None => fault.clone(),
                };
                ["at", "for"].iter().fold(fault, |fault, key| match fault.duration(key) {
                    Some(length) if length.0 % unit != 0 && (*key == "at" || 0 < rounded(length).0) => {
                        fault.with(key, rounded(length).to_string())
                    }
                    Some(_) | None => fault,
                })
            };
            let mut together = draft.clone();
            all.iter().for_each(|(name, fault)| together.set_text(&["fault", name], round(fault).text()));
            drafts.push(together);
            drafts.extend(all.iter().map(|(name, fault)| with_fault(draft, name, &round(fault))));
        }
    }
    let first = all.iter().filter_map(|(_, fault)| fault.duration("at")).min();
    let earlier = first.map_or(0, |first| (first.0 / SECOND).saturating_sub(1));
    for seconds in [earlier, earlier / 2, 1].into_iter().filter(|seconds| 0 < *seconds && *seconds <= earlier) {
        let back = |length: Duration| Duration(length.0.saturating_sub(seconds * SECOND));
        let mut sooner = draft.clone();
        for (name, fault) in &all {
            if let Some(at) = fault.duration("at") {
                sooner.set_text(&["fault", name], fault.with("at", back(at).to_string()).text());
            }
        }
        sooner.set_text(&["duration"], back(failing.plan.duration).to_string());
        drafts.push(sooner);
    }
    for (name, fault) in &all {
        let seconds = fault.duration("at").map_or(0, |at| at.0 / SECOND);
        for earlier in [1, seconds / 4, seconds / 2, seconds.saturating_sub(1)] {
            if 0 < earlier && earlier < seconds {
                drafts.push(with_fault(draft, name, &fault.with("at", Duration(earlier * SECOND).to_string())));
            }
        }
    }
    let text = failing.text();
    drafts.retain(|draft| draft.text(&[]) != text);
    drafts
}

/// Faults named after what they do.
fn names(failing: &Failing) -> Vec<Draft> {
    let all = faults(&failing.draft);
    let verb = |fault: &Sentence| VERBS.iter().copied().find(|verb| fault.has(verb));
    let mut renamed = failing.draft.clone();
    renamed.remove(&["fault"]);
    for (number, (name, fault)) in all.iter().enumerate() {
        let new = match verb(fault) {
            None => name.clone(),
            Some(word) => {
                let same = |(_, other): &&(String, Sentence)| verb(other) == Some(word);
                let before = all[..number].iter().filter(same).count();
                let alone = all.iter().filter(same).count() == 1;
                if alone { word.to_string() } else { format!("{word}-{}", before + 1) }
            }
        };
        renamed.set_text(&["fault", &new], fault.text());
    }
    if renamed.keys(&["fault"]) == failing.draft.keys(&["fault"]) { Vec::new() } else { vec![renamed] }
}

const VERBS: [&str; 31] = [
    "crash",
    "lose-power",
    "wipe",
    "restart",
    "pause",
    "slow",
    "stall-disk",
    "slow-disk",
    "fill-disk",
    "fail-disk",
    "rot",
    "isolate",
    "cut",
    "delay",
    "drop",
    "throttle",
    "reset",
    "skew",
    "hold-metadata",
    "elect",
    "rebalance",
    "expire",
    "enforce-retention",
    "compact",
    "delete-records",
    "redeliver",
    "jump",
    "set",
    "fail",
    "poison",
    "repair",
];

// --- what passes share ---

/// The faults of a concrete scenario.
pub fn faults(draft: &Draft) -> Vec<(String, Sentence)> {
    let names = draft.keys(&["fault"]).into_iter();
    names.filter_map(|name| Some((name.clone(), Sentence::of(&draft.get(&["fault", &name])?)))).collect()
}

pub fn with_fault(draft: &Draft, name: &str, fault: &Sentence) -> Draft {
    let mut changed = draft.clone();
    changed.set_text(&["fault", name], fault.text());
    changed
}

/// Paths of the expectations: of a place, of one metric of a service.
fn leaves(draft: &Draft, path: &[&str]) -> Vec<Vec<String>> {
    let keys = draft.keys(path);
    if keys.is_empty() || keys.iter().any(|key| key == "delivery") {
        return vec![path.iter().map(|key| key.to_string()).collect()];
    }
    keys.iter().flat_map(|key| leaves(draft, &[path, &[key.as_str()]].concat())).collect()
}

fn remove(draft: &mut Draft, path: &[String]) {
    draft.remove(&path.iter().map(String::as_str).collect::<Vec<_>>());
}

impl Sentence {
    fn with_state_at(&self, number: u64) -> Sentence {
        self.with("when", ordinal(number))
    }
}

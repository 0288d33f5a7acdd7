//! Faults: when, at whom, what, for how long.
//!
//! A fault is written either as one sentence or as a table of the same words. Occurrences at `any` are only counted here;
//! each seed draws its own when its plan is made.

use crate::types::{Duration, FaultId, NodeId, Ratio, ServiceId, Spread, TopicPartition};

use super::super::diagnostics::{Diagnostic, Place, nearest, printable};
use super::super::family::report_type;
use super::super::fields::Fields;
use super::super::plan::*;
use super::super::sentence::{Phrase, split};
use super::super::steps::{StepName, names_of, steps_called, unmistakable_name};
use super::super::tree::{Item, Text, Value};
use super::super::values::{Scalar, is_name};
use super::super::vocabulary::{FAULTS, RUNGS};
use super::target::take_apart;
use super::{Builder, OrdinalDraw};

/// What must be known of a trigger besides its plan.
struct ReadTrigger {
    trigger: FaultTrigger,
    /// There is a `self`.
    has_point: bool,
    /// Occurrences to draw: how many of how many.
    draw: Option<(u64, u64)>,
}

/// How a fault may last.
#[derive(PartialEq)]
enum Lasting {
    /// `for` is required.
    Must,
    May,
    /// An instant: `for` only with `every`.
    Instant,
}

/// What a fault does something to, and not everybody has.
#[derive(Clone, Copy)]
enum Needed {
    Disk,
    Metadata,
    Clock,
}

fn lasting(verb: &str) -> Lasting {
    match verb {
        "pause" | "slow" | "stall-disk" | "slow-disk" | "fill-disk" | "fail-disk" | "cut" | "isolate" | "delay"
        | "drop" | "throttle" | "skew" | "hold-metadata" | "fail" => Lasting::Must,
        "jump" | "rot" | "poison" | "repair" | "reset" | "elect" | "reassign" | "rebalance" | "expire"
        | "enforce-retention" | "compact" | "delete-records" | "redeliver" | "redrive" => Lasting::Instant,
        _ => Lasting::May,
    }
}

impl Builder<'_> {
    pub fn read_faults(&mut self, top: &Fields) {
        let Some(item) = top.item("fault") else { return };
        let Some(table) = item.table() else {
            report_type(item, "fault", "a table of faults", self.problems);
            return;
        };
        // All names first, so that a fault can refer to a later one.
        let names: Vec<&str> = table.keys().collect();
        let mut rotten = None;
        for (name, item) in table.iter() {
            if !is_name(name) {
                super::report_name(name, item.key, self.problems);
                continue;
            }
            if let Some((fault, draw)) = self.read_fault(name, item, &names) {
                if let Some((count, expected)) = draw {
                    self.draws.push(OrdinalDraw { fault: self.plan.faults.len(), count, expected });
                }
                rotten = rotten.or(matches!(fault.action, FaultAction::Rot(_)).then_some(item.key));
                self.plan.faults.push(fault);
            }
        }
        let loses_power = self.plan.faults.iter().any(|fault| matches!(fault.action, FaultAction::LosePower(_)));
        if let Some(place) = rotten.filter(|_| !loses_power && top.item("chaos").is_none()) {
            self.problems.add(
                Diagnostic::warning("S078", place, "`rot` is seen only by who loses power")
                    .label("nothing reads the disk again")
                    .help("add a fault like `at 30s for 1s lose-power broker(1)`"),
            );
        }
    }

    fn read_fault(&self, name: &str, item: &Item, names: &[&str]) -> Option<(FaultPlan, Option<(u64, u64)>)> {
        let id = FaultId(names.iter().position(|other| *other == name)? as u16);
        let phrase = match self.without_only(item) {
            Some(item) => FAULTS.read(&item, self.problems),
            None => FAULTS.read(item, self.problems),
        }?;
        let trigger = self.read_trigger(&phrase, names);
        let has_point = trigger.as_ref().is_none_or(|trigger| trigger.has_point);
        let action = self.read_action(&phrase, has_point);
        let length = |key: &str| phrase.scalar(key).map(Scalar::duration);
        let (duration, every) = (length("for"), length("every"));
        // How many events are poisoned is no limit of firings.
        let times = phrase.scalar("times").filter(|_| phrase.verb.name != "poison").map(Scalar::u32);
        self.check_length(&phrase, duration, every, times);
        let (trigger, action) = (trigger?, action?);
        let text = phrase.text.clone();
        Some((
            FaultPlan { id, name: name.into(), text, trigger: trigger.trigger, action, duration, every, times },
            trigger.draw,
        ))
    }

    /// `only` is a key of the table and no word of the sentence.
    fn without_only(&self, item: &Item) -> Option<Item> {
        let mut copy = item.clone();
        match &mut copy.value {
            Value::Table(table) => table.remove("only").map(|_| copy),
            _ => None,
        }
    }

    fn check_length(&self, phrase: &Phrase, duration: Option<Duration>, every: Option<Duration>, times: Option<u32>) {
        let name = phrase.verb.name;
        let report =
            |place: Place, title: String, label: &str, help: &str| self.report_fault("S073", place, title, label, help);
        let place = |key: &str| phrase.get(key).map_or(phrase.verb_place, |given| given.place);
        // Connections break at an instant, or each with a chance for a time.
        let is_share = name == "reset" && phrase.get("rate").is_some();
        let with = if is_share { " with `rate`" } else { "" };
        match (if is_share { Lasting::Must } else { lasting(name) }, duration, every) {
            (Lasting::Must, None, _) => report(
                phrase.verb_place,
                format!("`{name}`{with} needs `for`"),
                "how long?",
                "add `for 10s`; at its end it heals",
            ),
            (Lasting::Instant, Some(_), None) => report(
                place("for"),
                format!("`{name}` is done in an instant"),
                "`for` without `every` says nothing",
                match name {
                    "reset" => "remove `for`, or add `every 1s`, or a share of messages: `rate 5%`",
                    _ => "remove `for`, or add `every 1s`",
                },
            ),
            (Lasting::Must | Lasting::May, _, Some(_)) => report(
                place("every"),
                format!("`{name}`{with} does not repeat"),
                "`every` is for instants",
                "remove it, or write `when each …`",
            ),
            (Lasting::Instant, None, Some(_)) => {
                report(place("every"), "`every` needs `for`".into(), "until when?", "add `for 10s`")
            }
            (Lasting::Must | Lasting::May | Lasting::Instant, _, _) => {}
        }
        if duration.is_some_and(Duration::is_zero) || every.is_some_and(Duration::is_zero) {
            let key = if every.is_some_and(Duration::is_zero) { "every" } else { "for" };
            report(place(key), format!("`{key}` is zero"), "no time at all", "for example 10s");
        }
        if times.is_some() && every.is_none() && phrase.get("when").is_none() {
            report(
                place("times"),
                "`times` has nothing to limit".into(),
                "fires once anyway",
                "add `every 1s`, or remove it",
            );
        }
    }

    // --- triggers ---

    fn read_trigger(&self, phrase: &Phrase, names: &[&str]) -> Option<ReadTrigger> {
        match (phrase.get("at"), phrase.get("when")) {
            (Some(at), None) => {
                let time = at.scalar.duration();
                if time >= self.plan.duration {
                    let title = format!("the fault fires at {time}, and the load ends at {}", self.plan.duration);
                    self.report_fault("S072", at.place, title, "too late", "fire earlier, or raise `duration`");
                }
                Some(ReadTrigger { trigger: FaultTrigger::At(time), has_point: false, draw: None })
            }
            (None, Some(when)) => self.read_when(when.text(), names),
            (Some(_), Some(when)) => {
                let title = "a fault has one trigger, `at` or `when`".to_string();
                self.report_fault("S070", when.place, title, "a second one", "remove one of them");
                None
            }
            (None, None) => {
                let title = "the fault has no trigger".to_string();
                self.report_fault(
                    "S070",
                    phrase.place,
                    title,
                    "when?",
                    "begin with `at 20s` or `when after(SERVICE.STEP)`",
                );
                None
            }
        }
    }

    /// `[ORDINAL] STATE [+D]`.
    fn read_when(&self, text: Text, names: &[&str]) -> Option<ReadTrigger> {
        let words = split(text.text);
        let mut from = 0;
        let (mut ordinal, mut count) = (None, None);
        if let Some(first) = words.first() {
            match first.text {
                "each" => (ordinal, from) = (Some(Ordinal::Each), 1),
                "any" => {
                    let many = words.get(1).and_then(|word| word.text.parse::<u64>().ok());
                    count = Some(many.unwrap_or(1));
                    from = if many.is_some() { 2 } else { 1 };
                }
                other => {
                    if let Some(numbers) = read_ordinals(other) {
                        (ordinal, from) = (Some(Ordinal::These(numbers)), 1);
                    }
                }
            }
        }
        let mut to = words.len();
        let mut delay = Duration::ZERO;
        if let Some(last) = words[from.min(to)..].last()
            && let Some(length) = last.text.strip_prefix('+')
        {
            to -= 1;
            match super::super::values::duration(length) {
                Ok(length) => delay = length,
                Err((problem, _)) => {
                    let place = text.at(last.start, last.end);
                    self.report_fault("S030", place, problem, "not a delay", "for example `+5s`");
                    return None;
                }
            }
        }
        if from >= to || count == Some(0) || matches!(&ordinal, Some(Ordinal::These(list)) if list.contains(&0)) {
            let title = format!("`when` is `{}`", printable(text.text));
            self.report_fault(
                "S074",
                text.place,
                title,
                "names no state",
                "for example `when 3rd after(billing.commit) +1s`",
            );
            return None;
        }
        let part = text.part(words[from].start, words[to - 1].end);
        let (state, expected) = self.read_state(part, names)?;
        let is_point = matches!(state, FaultState::Step { .. });
        let draw = match (count, is_point) {
            (None, _) => None,
            (Some(count), true) => Some((count, expected.max(1))),
            (Some(_), false) => {
                let title = "how often this state comes cannot be told before the run".to_string();
                self.report_fault("S074", text.place, title, "`any` is for points", "write `1st`, `2nd` or `each`");
                return None;
            }
        };
        // A point without an ordinal is any of its occurrences; a state is its first.
        let draw = draw.or_else(|| (is_point && ordinal.is_none()).then_some((1, expected.max(1))));
        let ordinal = ordinal.unwrap_or(Ordinal::These(vec![1]));
        Some(ReadTrigger { trigger: FaultTrigger::When { state, ordinal, delay }, has_point: is_point, draw })
    }

    fn read_state(&self, text: Text, names: &[&str]) -> Option<(FaultState, u64)> {
        const STATES: [&str; 15] = [
            "before",
            "after",
            "inside",
            "step",
            "rebalance",
            "leader-change",
            "isr-change",
            "under-min-isr",
            "alter-partition",
            "transaction-open",
            "transaction-prepared",
            "lag",
            "fired",
            "healed",
            "mid-batch",
        ];
        let words = split(text.text);
        let head = words.first()?;
        let argument = take_apart(text.part(head.start, head.end));
        let Some((name, [argument])) =
            argument.as_ref().and_then(|call| Some((call.name, &call.arguments.as_ref()?[..])))
        else {
            let near = nearest(head.text.split('(').next().unwrap_or(""), STATES);
            let title = format!("`{}` is not a point or a state", printable(text.text));
            self.problems.add(Diagnostic::error("S074", text.place, title).label("cannot be waited for").help(
                near.map_or("for example `after(billing.commit)` or `leader-change(orders/0)`".into(), |near| {
                    format!("did you mean `{near}(…)`?")
                }),
            ));
            return None;
        };
        if words.len() > 1 && name.text != "lag" {
            let stray = &words[1];
            let place = text.at(stray.start, stray.end);
            let near = nearest(stray.text, FAULTS.verbs.iter().map(|verb| verb.name).chain(["for", "every", "times"]));
            self.problems.add(
                Diagnostic::error("S043", place, format!("`{}` does not belong to `when`", printable(stray.text)))
                    .label("unexpected word")
                    .help("a delay is written `+5s`")
                    .did_you_mean(place, near),
            );
            return None;
        }
        let point = |side| self.read_point(*argument, side);
        let state = match name.text {
            "before" => return point(Side::Before),
            "after" => return point(Side::After),
            "inside" => return point(Side::Inside),
            "step" => {
                let service = self.read_service(*argument)?;
                let steps = self.plan.services[service.0 as usize].steps.len() as f64;
                let state = FaultState::Step { side: Side::After, service, step: StepSelector::Any };
                return Some((state, self.expected(service, steps)));
            }
            "rebalance" => FaultState::Rebalance(self.read_group(*argument)?),
            "leader-change" => FaultState::LeaderChange(self.read_partition(*argument)?),
            "isr-change" => FaultState::InSyncChange(self.read_partition(*argument)?),
            "under-min-isr" => FaultState::UnderMinInSync(self.read_partition(*argument)?),
            "alter-partition" => FaultState::AlterPartition(self.read_partition(*argument)?),
            "lag" => FaultState::Lag { group: self.read_group(*argument)?, above: self.read_lag(text, &words)? },
            "fired" => FaultState::Fired(self.read_fault_name(*argument, names)?),
            "healed" => FaultState::Healed(self.read_fault_name(*argument, names)?),
            "transaction-open" => FaultState::TransactionOpen(self.read_transactional(*argument)?),
            "transaction-prepared" => FaultState::TransactionPrepared(self.read_transactional(*argument)?),
            "mid-batch" => {
                let service = self.read_service(*argument)?;
                if !matches!(self.plan.services[usize::from(service.0)].trigger, Trigger::Consume(_)) {
                    let title = format!("`{}` polls no batches of records", argument.text);
                    self.report_fault("S074", argument.place, title, "never happens", "name a service that consumes");
                    return None;
                }
                // How many batches have more than one record cannot be told before the run.
                let state = FaultState::Step { side: Side::After, service, step: StepSelector::MidBatch };
                return Some((state, self.expected(service, self.batches() / 2.0)));
            }
            other => {
                let title = format!("`{}` is not a point or a state", printable(other));
                self.problems.add(
                    Diagnostic::error("S074", name.place, title)
                        .label("cannot be waited for")
                        .help(format!("one of {}", STATES.join(", ")))
                        .did_you_mean(name.place, nearest(other, STATES)),
                );
                return None;
            }
        };
        Some((state, 1))
    }

    /// `lag(G) > N`.
    fn read_lag(&self, text: Text, words: &[super::super::sentence::Word]) -> Option<u64> {
        let above = match words {
            [_, more, number] if more.text == ">" => number.text.parse().ok(),
            _ => None,
        };
        if above.is_none() {
            let title = format!("`{}` has no bound", printable(text.text));
            self.report_fault("S074", text.place, title, "how much lag?", "write `lag(billing) > 1000`");
        }
        above.filter(|above| *above <= i64::MAX as u64)
    }

    fn read_fault_name(&self, name: Text, names: &[&str]) -> Option<FaultId> {
        let at = names.iter().position(|other| *other == name.text);
        if at.is_none() {
            self.report_unknown(name.text, name.place, "a fault", names);
        }
        at.map(|at| FaultId(at as u16))
    }

    pub fn read_service(&self, name: Text) -> Option<ServiceId> {
        let service = self.service(name.text);
        if service.is_none() {
            self.report_unknown(name.text, name.place, "a service", &self.service_names());
        }
        service
    }

    /// `SERVICE.STEP`, where STEP is a verb, `verb place`, or poll, commit, effect.
    fn read_point(&self, text: Text, side: Side) -> Option<(FaultState, u64)> {
        let Some(dot) = text.text.find('.') else {
            let title = format!("`{}` names no step", printable(text.text));
            self.report_fault("S074", text.place, title, "SERVICE.STEP", "for example `after(billing.commit)`");
            return None;
        };
        let service = self.read_service(text.part(0, dot).trimmed())?;
        let wanted = text.part(dot + 1, text.text.len()).trimmed();
        let number = service.0 as usize;
        let (step, share) = match wanted.text {
            "commit" => (StepSelector::Commit, None),
            "poll" => (StepSelector::Poll, Some(self.batches())),
            "effect" => (StepSelector::Effect, Some(1.0)),
            "any" => (StepSelector::Any, Some(self.plan.services[number].steps.len() as f64)),
            _ if self.rung_called(number, wanted.text).is_some() => {
                let rung = self.rung_called(number, wanted.text)?;
                self.check_rung_point(side, wanted)?;
                // How many events fail cannot be told before the run.
                let state = FaultState::Step { side, service, step: StepSelector::Rung(rung) };
                return Some((state, 1));
            }
            _ => (StepSelector::Index(self.read_step_name(service, wanted)?), Some(1.0)),
        };
        let is_consumer = !matches!(self.plan.services[number].trigger, Trigger::Requests(_));
        if matches!(step, StepSelector::Commit | StepSelector::Poll) && !is_consumer {
            let title = format!("`{}` consumes nothing", self.plan.services[number].name);
            self.report_fault("S074", wanted.place, title, "never happens", "name one of its steps");
            return None;
        }
        let expected = match share {
            Some(share) => self.expected(service, share),
            None => self.expected_commits(number),
        };
        Some((FaultState::Step { side, service, step }, expected))
    }

    fn step_names(&self, service: ServiceId) -> Vec<Vec<StepName>> {
        self.plan.services[service.0 as usize].steps.iter().map(|step| names_of(step, &self.plan)).collect()
    }

    /// A verb, a verb and a place, or the number of a step from 1.
    pub fn read_step_name(&self, service: ServiceId, wanted: Text) -> Option<u16> {
        let names = self.step_names(service);
        let by_number = wanted.text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        if let Some(step) = by_number.filter(|step| *step < names.len()) {
            return Some(step as u16);
        }
        match steps_called(&names, wanted.text)[..] {
            [step] => Some(step as u16),
            [] => {
                self.report_no_step(service, wanted);
                None
            }
            ref several => {
                let title = format!(
                    "`{}` means several steps of `{}`",
                    wanted.text, self.plan.services[service.0 as usize].name
                );
                let words = several
                    .iter()
                    .map(|step| unmistakable_name(&names, *step).unwrap_or_else(|| (step + 1).to_string()));
                let words: Vec<String> = words.collect();
                self.report_fault("S074", wanted.place, title, "which one?", &format!("one of {}", words.join(", ")));
                None
            }
        }
    }

    fn report_no_step(&self, service: ServiceId, wanted: Text) {
        let names = self.step_names(service);
        let name = &self.plan.services[service.0 as usize].name;
        if RUNGS.verb(wanted.text).is_some() {
            let title = format!("the ladder of `{name}` has no rung `{}`", wanted.text);
            self.report_fault("S074", wanted.place, title, "never happens", "name one of its rungs or steps");
            return;
        }
        let known: Vec<&str> =
            names.iter().flatten().map(|(verb, _)| *verb).chain(["poll", "commit", "effect"]).collect();
        let near = nearest(wanted.text, known.iter().copied());
        self.problems.add(
            Diagnostic::error("S074", wanted.place, format!("`{name}` has no step `{}`", printable(wanted.text)))
                .label("never happens")
                .help(format!("steps of `{name}`: {}", known.join(", ")))
                .did_you_mean(wanted.place, near),
        );
    }

    /// Batches for each event, from below: under load a batch has a few records.
    fn batches(&self) -> f64 {
        0.25
    }

    /// Occurrences to draw from: three quarters of the mean, so that a seed with few arrivals or an outage reaches the
    /// last one too.
    fn expected(&self, service: ServiceId, share: f64) -> u64 {
        (self.expected_events(service.0 as usize) * share * 0.75) as u64
    }

    fn expected_commits(&self, number: usize) -> u64 {
        let service = &self.plan.services[number];
        let duration = self.plan.duration;
        let every = service.steps.iter().find_map(|step| match &step.action {
            Action::Commit { every, .. } => Some(*every),
            Action::SendOffsets { .. } => Some(CommitEvery::Record),
            Action::Store { .. } if step.commits() => Some(CommitEvery::Record),
            Action::StoreOffset => None,
            Action::Work { .. } | Action::Store { .. } | Action::Publish { .. } | Action::Respond => None,
            Action::Call(_) | Action::BeginTransaction | Action::EndTransaction => None,
        });
        let by_time = |interval: Duration| (duration.0 / interval.0.max(1)).saturating_sub(1);
        match (every, &service.trigger) {
            (Some(CommitEvery::Record), _) => self.expected(service.id, 1.0),
            (Some(CommitEvery::Batch), _) => self.expected(service.id, self.batches()),
            (Some(CommitEvery::Records(count)), _) => self.expected(service.id, 1.0 / f64::from(count)),
            (Some(CommitEvery::Interval(interval)), _) => by_time(interval),
            (None, Trigger::Consume(consume)) => by_time(consume.consumer.auto_commit_interval),
            (None, Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_)) => 1,
        }
    }

    // --- actions ---

    fn read_action(&self, phrase: &Phrase, has_point: bool) -> Option<FaultAction> {
        let value = phrase.value()?;
        let text = value.text();
        let target = || self.read_target(text, has_point);
        let disk = || self.read_target_with(Needed::Disk, text, has_point);
        let link = || self.read_link(value, phrase.get("kind"), has_point);
        let need =
            |key: &str, example: &str| phrase.require(key, example, self.problems).map(|given| given.scalar.clone());
        Some(match phrase.verb.name {
            "crash" => FaultAction::Crash(target()?),
            "lose-power" => FaultAction::LosePower(target()?),
            "wipe" => FaultAction::Wipe(disk()?),
            "restart" => FaultAction::Restart { target: target()?, rolling: phrase.flag("rolling") },
            "pause" => FaultAction::Pause(target()?),
            "slow" => {
                let by = need("by", "10x");
                FaultAction::Slow { target: target()?, thousandths: by?.thousandths() }
            }
            "stall-disk" => FaultAction::StallDisk(disk()?),
            "slow-disk" => {
                let by = need("by", "10x");
                FaultAction::SlowDisk { target: disk()?, thousandths: by?.thousandths() }
            }
            "fill-disk" => FaultAction::FillDisk(disk()?),
            "fail-disk" => FaultAction::FailDisk(disk()?),
            "rot" => FaultAction::Rot(disk()?),
            "cut" => FaultAction::Cut(link()?),
            "isolate" => FaultAction::Isolate(target()?),
            "delay" => {
                let by: Option<Spread> = need("by", "100ms").map(|by| by.spread());
                FaultAction::Delay { link: link()?, by: by? }
            }
            "drop" => {
                let rate = need("rate", "5%");
                FaultAction::Drop { link: link()?, rate: rate?.ratio() }
            }
            "throttle" => {
                let to = need("to", "1MiB/s");
                FaultAction::Throttle { link: link()?, bytes_per_second: to?.size() }
            }
            "reset" => match phrase.scalar("rate") {
                Some(rate) => FaultAction::ResetShare { link: link()?, rate: rate.ratio() },
                None => FaultAction::Reset(link()?),
            },
            "skew" => {
                let by = need("by", "5s");
                let target = self.read_target_with(Needed::Clock, text, has_point)?;
                let Scalar::Shift { by, forwards } = by? else { return None };
                FaultAction::Skew { target, by, forwards }
            }
            "jump" => {
                let by = need("by", "-5s");
                let target = self.read_target_with(Needed::Clock, text, has_point)?;
                let Scalar::Shift { by, forwards } = by? else { return None };
                FaultAction::Jump { target, by, forwards }
            }
            "hold-metadata" => FaultAction::HoldMetadata(self.read_target_with(Needed::Metadata, text, has_point)?),
            "elect" if text.text.contains('/') => {
                let PartitionSelector { topic, partition } = self.read_partition(text)?;
                if partition.is_none() {
                    let help = "name a partition, or the topic alone for all of them";
                    self.report_target(text, "which partition?", help);
                }
                FaultAction::ElectPreferred { topic, partition: Some(partition?) }
            }
            "elect" => FaultAction::ElectPreferred { topic: self.read_topic_name(text)?, partition: None },
            "reassign" => {
                let to = need("to", "2,3,1");
                let PartitionSelector { topic, partition } = self.read_partition(text)?;
                if partition.is_none() {
                    self.report_target(text, "which partition?", "name one: `orders/0`");
                }
                let to = self.read_replicas(&to?, phrase)?;
                FaultAction::Reassign { partition: TopicPartition::new(topic, partition?), to }
            }
            "rebalance" => FaultAction::Rebalance(self.read_group(text)?),
            "expire" => {
                let call = take_apart(text);
                let group = match call.as_ref().map(|call| (call.name.text, call.arguments.as_deref())) {
                    Some(("offsets", Some([group]))) => self.read_group(*group)?,
                    _ => {
                        self.report_target(text, "`expire` takes `offsets(GROUP)`", "write `expire offsets(billing)`");
                        return None;
                    }
                };
                FaultAction::ExpireOffsets(group)
            }
            "redeliver" => {
                let target = target()?;
                if !target.is_instance(&self.plan) {
                    let help = "name a service, `instance(billing)`, `owner(orders/0, billing)` or `self`";
                    self.report_target(text, "only an instance of a service takes messages", help);
                    return None;
                }
                FaultAction::Redeliver(target)
            }
            "redrive" => self.read_redrive(text)?,
            "set" => FaultAction::Set(self.read_set(phrase, text)?),
            "fail" => {
                let rate = phrase.scalar("rate").map_or(Ratio::ONE, Scalar::ratio);
                FaultAction::Fail { service: self.read_worker("fail", text)?, rate }
            }
            "poison" => {
                let events = phrase.scalar("times").map_or(1, Scalar::u32);
                FaultAction::Poison { origin: self.read_poisoned(text)?, events }
            }
            "repair" => FaultAction::Repair(self.read_worker("repair", text)?),
            verb => self.read_clean_up(verb, text)?,
        })
    }

    /// What is done to a topic that is not cleaned up in this way would do nothing, and be called survived.
    fn read_clean_up(&self, verb: &str, text: Text) -> Option<FaultAction> {
        let topic = self.read_topic_name(text)?;
        let TopicPlan { name, settings, .. } = &self.plan.topics[usize::from(topic.0)];
        let policy = settings.cleanup_policy;
        let (action, is_done, is_not, cure) = match verb {
            "compact" => (FaultAction::Compact(topic), policy.compacts(), "the topic is not compacted", "compact"),
            "delete-records" => {
                let is_not = "brokers delete nothing of a topic that is only compacted (POLICY_VIOLATION)";
                (FaultAction::DeleteRecords(topic), policy.deletes(), is_not, "compact,delete")
            }
            _ => {
                let is_not = "the topic is compacted, and nothing in it is too old";
                (FaultAction::EnforceRetention(topic), policy.deletes(), is_not, "compact,delete")
            }
        };
        if !is_done {
            let help = format!("add `cleanup-policy = \"{cure}\"` to [topic.{name}]");
            self.report_target(text, is_not, &help);
            return None;
        }
        Some(action)
    }

    /// What is done to somebody who has nothing of the kind would strike nobody, and be called survived.
    fn read_target_with(&self, needed: Needed, text: Text, has_point: bool) -> Option<Target> {
        let target = self.read_target(text, has_point)?;
        let (has_it, what, help) = match needed {
            Needed::Disk => (
                target.has_a_disk(&self.plan),
                "only brokers and controllers have a disk",
                "name `broker(1)`, `leader(orders/0)`, `replicas(orders/0)`, `coordinator(billing)` or `controller`; \
                 anybody else can be crashed, paused or slowed, and a store's `latency` can be set",
            ),
            Needed::Metadata => (
                target.applies_metadata(&self.plan),
                "only brokers have a view of the metadata",
                "name `broker(1)`, `leader(orders/0)`, `follower(orders/0)` or `coordinator(billing)`",
            ),
            Needed::Clock => (
                target.reads_a_clock(&self.plan),
                "nobody there reads a clock",
                "brokers expire by their clocks, instances stamp their records, stores end leases; name one of these",
            ),
        };
        if !has_it {
            self.report_target(text, what, help);
            return None;
        }
        Some(target)
    }

    /// `2,3,1` as brokers, each once.
    fn read_replicas(&self, written: &Scalar, phrase: &Phrase) -> Option<Vec<NodeId>> {
        let brokers = self.plan.cluster.brokers;
        let mut replicas = Vec::new();
        for word in written.text().split(',') {
            let number = word.parse::<u16>().ok().filter(|number| (1..=brokers).contains(number));
            match number.map(NodeId).filter(|node| !replicas.contains(node)) {
                Some(node) => replicas.push(node),
                None => {
                    let place = phrase.get("to").map_or(phrase.verb_place, |given| given.place);
                    let title = format!("`to` is `{}`", printable(written.text()));
                    let label = "not a list of brokers, each once";
                    let help = format!("write their numbers, the preferred leader first, from 1 to {brokers}: `2,3,1`");
                    self.problems.add(Diagnostic::error("S071", place, title).label(label).help(help));
                    return None;
                }
            }
        }
        Some(replicas)
    }

    pub fn read_topic_name(&self, text: Text) -> Option<crate::types::TopicId> {
        let topic = self.topic(text.text);
        if topic.is_none() {
            self.report_unknown(text.text, text.place, "a topic", &self.topic_names());
        }
        topic
    }
}

/// `3rd` as 3; `3rd,17th` as both.
fn read_ordinals(word: &str) -> Option<Vec<u64>> {
    word.split(',').map(read_ordinal).collect()
}

fn read_ordinal(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &word[digits.len()..];
    let number: u64 = digits.parse().ok()?;
    (["st", "nd", "rd", "th"].contains(&suffix) && number <= i64::MAX as u64).then_some(number)
}

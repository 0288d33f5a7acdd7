//! `[chaos]`: from a seed to explicit faults.
//!
//! The one idea: everything is drawn before the run and printed in its plan; nothing is left to be decided by chance while
//! it runs. Each family draws from a stream of its own, and each of its incidents from the number of the incident: whether
//! another family is on, or exists at all, moves none of its draws. How often it strikes is a share of a dense sequence of
//! instants, of which each is kept or left out by its own number: a larger share adds incidents between those that a
//! smaller one has. Whether a fault fits into the budget is another matter: that depends on who has which role when it fires
//! and on what is down already, which only the world knows. So the budget stands in the plan, the world keeps it, and a
//! fault that would break it is refused, as an event of the history.
//!
//! An incident is one fault; or, under `heavy` and `swarm`, sometimes a burst (several at once) or a swizzle (several
//! stopped in one order and started in another: Zhou et al., "FoundationDB", 2021; swarm: Groce et al., "Swarm
//! Testing", 2012). Lengths are exponential: many short, few long. What no system survives with its promises intact
//! (expired offsets, retention now) is only drawn with `budget = "none"`.

use crate::types::random::{Draw, hash_text};
use crate::types::request::RequestKind;
use crate::types::*;

use super::plan::*;
use super::values::{Kind, parse, rate_text};
use super::write::{write_action, write_fault, write_state};

/// `[chaos]` as stated, for every seed.
#[derive(Clone, Debug, PartialEq)]
pub struct ChaosSpec {
    pub profile: ChaosProfile,
    pub from: Duration,
    pub until: Duration,
    /// Mean time between two incidents of all families together, before the profile's factor.
    pub interval: Duration,
    pub length: Spread,
    pub families: Vec<FamilyShare>,
    /// The rate is divided into so many parts: the weights of the families that the file lists, or [`UNLISTED`].
    pub shares: u64,
    pub budget: Option<Budget>,
    /// Events that each service will at least see, by its number: points are drawn from them.
    pub expected_events: Vec<u64>,
}

/// One family as `[chaos]` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyShare {
    pub family: FaultFamily,
    /// Parts of the rate.
    pub weight: u64,
    pub length: Spread,
    /// What it may do, by the words of the language; all that it can where there are none.
    pub verbs: Vec<&'static str>,
    /// What its faults of links are narrowed to; now and then one of [`KINDS`] where there are none.
    pub kinds: Vec<RequestKind>,
    /// How many of its incidents wait for a point or a state instead of an instant.
    pub waiting: Ratio,
    /// What these wait for, by the words of the language; anything where there are none.
    pub states: Vec<&'static str>,
}

/// Of ten incidents four wait for something.
pub const WAITING: Ratio = Ratio(400_000_000);
/// What a state or a point of `[chaos]` may be.
pub const STATES: &[&str] = &[
    "rebalance",
    "lag",
    "leader-change",
    "isr-change",
    "alter-partition",
    "transaction-open",
    "transaction-prepared",
    "before",
    "after",
    "inside",
    "step",
];
/// What a fault of a link is narrowed to, one time in four.
const KINDS: [RequestKind; 4] =
    [RequestKind::Fetch, RequestKind::Produce, RequestKind::AlterPartition, RequestKind::BrokerHeartbeat];
/// Draws until one is found that the file allows. What a system lacks altogether is never found.
const REDRAWS: usize = 1_000;

/// What a family can do, drawn from a seed.
pub fn verbs_of(family: FaultFamily) -> &'static [&'static str] {
    match family {
        FaultFamily::Process => &["crash", "pause", "restart", "slow"],
        FaultFamily::Power => &["lose-power", "wipe"],
        FaultFamily::Disk => &["stall-disk", "slow-disk", "fail-disk"],
        FaultFamily::Network => &["cut", "isolate", "delay", "drop", "throttle", "reset"],
        FaultFamily::Clock => &["skew", "jump"],
        FaultFamily::Cluster => &["hold-metadata", "elect"],
        FaultFamily::Group => &["rebalance", "restart", "expire"],
        FaultFamily::Store => &["crash", "pause"],
        FaultFamily::Load => &["set"],
        FaultFamily::Poison => &["fail"],
        FaultFamily::Redelivery => &["redeliver"],
        FaultFamily::Endpoint => &["crash", "pause", "set"],
    }
}

/// Rate of `heavy` against that of `light`; `swarm` lies around it.
const HEAVY: u64 = 10;
/// What a file that lists no families divides the rate by. Not the number of those that a system has: a store more, or a
/// family that is built later, must leave the others alone.
pub const UNLISTED: u64 = 10;
/// The most that any family strikes: all families together under `swarm` at its densest.
const DENSEST: u64 = 2 * HEAVY;
/// Instants that are looked at for one family.
const INSTANTS: u64 = 100_000;
/// Shorter faults are hard to tell from none.
const SHORTEST: Duration = Duration::from_millis(50);
/// Between two faults of one burst.
const BURST_SPREAD: Duration = Duration::from_millis(500);
/// Incidents of one family in one plan.
const MOST: u64 = 200;

impl ChaosSpec {
    /// Adds this seed's faults to its plan, with every knob that was drawn.
    pub fn draw(&self, plan: &mut Plan) {
        let families = self.draw_families(plan.seed);
        let mut faults = Vec::new();
        for family in &families {
            faults.extend(Incidents::new(self, family, plan).all());
        }
        // In the order of the clock; what waits for a state comes behind.
        faults.sort_by_key(|fault| match &fault.trigger {
            FaultTrigger::At(time) => *time,
            FaultTrigger::When { .. } => Duration::MAX,
        });
        let chaos = ChaosPlan {
            profile: self.profile,
            from: self.from,
            until: self.until,
            budget: self.budget.clone(),
            families,
        };
        plan.chaos = Some(chaos);
        for fault in &mut faults {
            fault.id = FaultId(plan.faults.len() as u16);
            fault.text = write_fault(fault, plan);
            plan.faults.push(fault.clone());
        }
    }

    fn draw_families(&self, seed: Seed) -> Vec<ChaosFamily> {
        let stream = seed.keyed("chaos");
        // Whether it is on, how often it strikes and how long its faults last.
        let draw = |family: FaultFamily| {
            let mut random = stream.at(hash_text(family.name()));
            (random.next_u64(), random.unit(), random.unit())
        };
        let share = self.interval * self.shares;
        let regular = |factor: u64| {
            let interval = share / factor;
            let of = |share: &FamilyShare| ChaosFamily {
                family: share.family,
                interval: interval / share.weight,
                length: share.length,
            };
            self.families.iter().map(of).collect()
        };
        match self.profile {
            ChaosProfile::Light => regular(1),
            ChaosProfile::Heavy => regular(HEAVY),
            ChaosProfile::Swarm => {
                let is_on = |share: &&FamilyShare| draw(share.family).0.is_multiple_of(2);
                let mut on: Vec<&FamilyShare> = self.families.iter().filter(is_on).collect();
                // A seed without any family would prove nothing.
                if on.is_empty() {
                    on.extend(self.families.iter().max_by_key(|share| draw(share.family).0));
                }
                // Those that are on share the whole rate.
                let whole = self.interval * on.iter().map(|share| share.weight).sum::<u64>();
                let drawn = on.into_iter().map(|share| {
                    let (_, rate, length) = draw(share.family);
                    // From a half to twice of heavy, and lengths from a quarter to four times, both even on a logarithmic scale.
                    let factor = libm::pow(4.0, rate) * HEAVY as f64 / 2.0;
                    let interval = whole.as_seconds() / factor / share.weight as f64;
                    ChaosFamily {
                        family: share.family,
                        interval: Duration::from_seconds_f64(interval),
                        length: scale(share.length, libm::pow(16.0, length) / 4.0),
                    }
                });
                drawn.collect()
            }
        }
    }
}

/// The first word of a sentence.
fn word_of(sentence: &str) -> &str {
    sentence.split([' ', '(']).next().unwrap_or_default()
}

/// The same shape, stretched.
fn scale(spread: Spread, factor: f64) -> Spread {
    let by = |length: Duration| Duration::from_seconds_f64(length.as_seconds() * factor).max(Duration(1));
    match spread {
        Spread::Constant(length) => Spread::Constant(by(length)),
        Spread::Uniform { low, high } => Spread::Uniform { low: by(low), high: by(high) },
        Spread::Normal { mean, deviation } => Spread::Normal { mean: by(mean), deviation: by(deviation) },
        Spread::Exponential { mean } => Spread::Exponential { mean: by(mean) },
        Spread::LogNormal { median, p99 } => Spread::LogNormal { median: by(median), p99: by(p99) },
        Spread::TwoPoint { usual, ratio, rare } => Spread::TwoPoint { usual: by(usual), ratio, rare: by(rare) },
    }
}

/// The incidents of one family in one plan.
struct Incidents<'a> {
    spec: &'a ChaosSpec,
    share: &'a FamilyShare,
    family: &'a ChaosFamily,
    plan: &'a Plan,
    stream: Keyed,
}

/// What a fault does and how.
struct Drawn {
    action: FaultAction,
    /// No `for`.
    is_instant: bool,
}

fn lasting(action: FaultAction) -> Drawn {
    Drawn { action, is_instant: false }
}

fn instant(action: FaultAction) -> Drawn {
    Drawn { action, is_instant: true }
}

impl<'a> Incidents<'a> {
    fn new(spec: &'a ChaosSpec, family: &'a ChaosFamily, plan: &'a Plan) -> Incidents<'a> {
        let stream = plan.seed.keyed(&format!("chaos {}", family.family.name()));
        let share = spec.families.iter().find(|share| share.family == family.family);
        Incidents { spec, share: share.expect("only listed families are drawn"), family, plan, stream }
    }

    fn all(&self) -> Vec<FaultPlan> {
        let mut faults = Vec::new();
        let mut time = self.spec.from;
        let mut incidents = 0;
        let gap = (self.spec.interval / DENSEST).max(Duration(1));
        for number in 1..=INSTANTS {
            let mut random = self.stream.at(number);
            time += random.exponential(gap);
            if self.spec.until <= time || MOST <= incidents {
                break;
            }
            if gap.as_seconds() < random.unit() * self.family.interval.as_seconds() {
                continue;
            }
            incidents += 1;
            let parts = self.incident(time, &mut random);
            for (part, (trigger, drawn, length)) in parts.into_iter().enumerate() {
                let suffix = if part == 0 { String::new() } else { format!("-{}", part + 1) };
                faults.push(FaultPlan {
                    id: FaultId(0),
                    name: format!("chaos/{}-{number}{suffix}", self.family.family.name()),
                    text: String::new(),
                    trigger,
                    duration: (!drawn.is_instant).then_some(length),
                    action: drawn.action,
                    every: None,
                    times: None,
                });
            }
        }
        faults
    }

    /// One fault, a burst, or a swizzle.
    fn incident(&self, time: Duration, random: &mut Draw) -> Vec<(FaultTrigger, Drawn, Duration)> {
        let kind = if self.spec.profile == ChaosProfile::Light { 0 } else { random.below(10) };
        if self.family.family == FaultFamily::Poison && self.share.verbs.is_empty() && random.below(2) == 0 {
            return self.poison(time, random);
        }
        if kind == 9
            && let Some(swizzle) = self.swizzle(time, random)
        {
            return swizzle;
        }
        let is_timed = self.share.waiting.0 as f64 / 1e9 <= 1.0 - random.unit();
        let awaited = if is_timed { None } else { self.allowed_state(random) };
        let trigger = awaited.unwrap_or(FaultTrigger::At(time));
        let count = if kind == 8 { 2 + random.below(3) } else { 1 };
        let mut parts = Vec::new();
        for part in 0..count {
            let Some(drawn) = self.allowed_action(&trigger, random) else { continue };
            let later = if part == 0 { Duration::ZERO } else { random.exponential(BURST_SPREAD) };
            let trigger = match &trigger {
                FaultTrigger::At(time) => {
                    FaultTrigger::At((*time + later).min(self.spec.until.max(Duration(1)) - Duration(1)))
                }
                FaultTrigger::When { state, ordinal, delay } => {
                    FaultTrigger::When { state: state.clone(), ordinal: ordinal.clone(), delay: *delay + later }
                }
            };
            parts.push((trigger, drawn, self.length(random)));
        }
        parts
    }

    fn length(&self, random: &mut Draw) -> Duration {
        let longest = self.spec.budget.as_ref().map_or(Duration::MAX, |budget| budget.longest);
        random.draw(&self.family.length).min(longest).max(SHORTEST)
    }

    /// Stops each of a set in one order and starts them in another.
    fn swizzle(&self, time: Duration, random: &mut Draw) -> Option<Vec<(FaultTrigger, Drawn, Duration)>> {
        let most = self.spec.budget.as_ref().map_or(u16::MAX, |budget| budget.brokers_down);
        let mut sets: Vec<Vec<NodeId>> = self
            .plan
            .services
            .iter()
            .map(|service| service.instances.clone())
            .filter(|instances| 1 < instances.len())
            .collect();
        if 1 < most && 2 < self.plan.cluster.brokers {
            let brokers = (1..=self.plan.cluster.brokers).map(NodeId);
            sets.push(brokers.take(usize::from(most)).collect());
        }
        if sets.is_empty() {
            return None;
        }
        let mut set = sets.swap_remove(random.below(sets.len() as u64) as usize);
        let isolates = match self.family.family {
            FaultFamily::Process => false,
            FaultFamily::Network => true,
            FaultFamily::Power
            | FaultFamily::Disk
            | FaultFamily::Clock
            | FaultFamily::Cluster
            | FaultFamily::Group
            | FaultFamily::Store
            | FaultFamily::Endpoint
            | FaultFamily::Load
            | FaultFamily::Poison
            | FaultFamily::Redelivery => return None,
        };
        if !self.allows(if isolates { "isolate" } else { "crash" }) {
            return None;
        }
        shuffle(&mut set, random);
        let gap = random.exponential(BURST_SPREAD);
        let whole = self.length(random);
        let mut starts: Vec<u64> = (0..set.len() as u64).collect();
        shuffle(&mut starts, random);
        let part = |(stop, node): (u64, &NodeId)| {
            let target = Target::Node(*node);
            let action = if isolates { FaultAction::Isolate(target) } else { FaultAction::Crash(target) };
            let begin = (time + gap * stop).min(self.spec.until.max(Duration(1)) - Duration(1));
            // The first to stop is down for the whole; each comes back one gap after the one before it.
            let end = time + gap * (set.len() as u64 - 1) + whole + gap * starts[stop as usize];
            let longest = self.spec.budget.as_ref().map_or(Duration::MAX, |budget| budget.longest);
            (FaultTrigger::At(begin), lasting(action), (end - Duration(begin.0)).min(longest).max(SHORTEST))
        };
        Some((0..).zip(&set).map(part).collect())
    }

    // --- when ---

    fn allowed_state(&self, random: &mut Draw) -> Option<FaultTrigger> {
        let allowed = |trigger: &FaultTrigger| match trigger {
            FaultTrigger::When { state, .. } => self.share.states.contains(&word_of(&write_state(state, self.plan))),
            FaultTrigger::At(_) => false,
        };
        let mut draws = std::iter::repeat_with(|| self.state(random)).take(REDRAWS);
        draws.find(|trigger| self.share.states.is_empty() || allowed(trigger))
    }

    fn state(&self, random: &mut Draw) -> FaultTrigger {
        let early = 1 + random.below(4);
        let delay = if random.below(2) == 0 { Duration::ZERO } else { self.delay(random) };
        let (state, occurrence) = match random.below(7) {
            0 if !self.plan.groups.is_empty() => (FaultState::Rebalance(self.group(random)), early),
            1 if !self.plan.groups.is_empty() => {
                let above = [20, 100, 400][random.below(3) as usize];
                (FaultState::Lag { group: self.group(random), above }, early)
            }
            2 if self.has_topics() => (FaultState::LeaderChange(self.any_partition(random)), early),
            3 if self.has_topics() => (FaultState::InSyncChange(self.any_partition(random)), early),
            4 if self.has_topics() => (FaultState::AlterPartition(self.any_partition(random)), early),
            5 => match self.transactional(random) {
                Some(service) if random.below(2) == 0 => (FaultState::TransactionOpen(service), early),
                Some(service) => (FaultState::TransactionPrepared(service), early),
                None => self.point(random),
            },
            _ => self.point(random),
        };
        FaultTrigger::When { state, ordinal: Ordinal::These(vec![occurrence]), delay }
    }

    fn delay(&self, random: &mut Draw) -> Duration {
        random.exponential(Duration::from_secs(1)).min(Duration::from_secs(5))
    }

    /// Before, inside or behind some step, at an occurrence that lies within the window if events come evenly.
    fn point(&self, random: &mut Draw) -> (FaultState, u64) {
        let service = &self.plan.services[random.below(self.plan.services.len() as u64) as usize];
        let steps = service.steps.len().max(1) as u64;
        let (step, share) = match random.below(3) {
            0 => (StepSelector::Any, steps),
            _ => (StepSelector::Index(random.below(steps) as u16), 1),
        };
        let side = [Side::Before, Side::After, Side::Inside][random.below(3) as usize];
        let events = self.spec.expected_events.get(usize::from(service.id.0)).copied().unwrap_or(0) * share;
        let at =
            |time: Duration| (events as u128 * u128::from(time.0) / u128::from(self.plan.duration.0.max(1))) as u64;
        let (first, last) = (at(self.spec.from) + 1, at(self.spec.until).max(1));
        let occurrence = first + random.below(last.saturating_sub(first) + 1);
        (FaultState::Step { side, service: service.id, step }, occurrence)
    }

    // --- what ---

    fn allows(&self, verb: &str) -> bool {
        self.share.verbs.is_empty() || self.share.verbs.contains(&verb)
    }

    fn allowed_action(&self, trigger: &FaultTrigger, random: &mut Draw) -> Option<Drawn> {
        let draws = std::iter::repeat_with(|| self.action(trigger, random)).take(REDRAWS);
        draws.map_while(|drawn| drawn).find(|drawn| self.allows(word_of(&write_action(&drawn.action, self.plan))))
    }

    fn action(&self, trigger: &FaultTrigger, random: &mut Draw) -> Option<Drawn> {
        let has_point = matches!(trigger, FaultTrigger::When { state: FaultState::Step { .. }, .. });
        let drawn = match self.family.family {
            FaultFamily::Process => self.process(has_point, random),
            FaultFamily::Power => {
                let target = self.broker(random);
                if random.below(5) == 0 {
                    lasting(FaultAction::Wipe(target))
                } else {
                    lasting(FaultAction::LosePower(target))
                }
            }
            FaultFamily::Disk => {
                let target = self.broker(random);
                match random.below(4) {
                    0 => lasting(FaultAction::StallDisk(target)),
                    1 => lasting(FaultAction::FailDisk(target)),
                    _ => lasting(FaultAction::SlowDisk { target, thousandths: self.factor(random) }),
                }
            }
            FaultFamily::Network => self.network(has_point, random),
            FaultFamily::Clock => {
                let target = if random.below(2) == 0 { self.broker(random) } else { self.instance(has_point, random) };
                let (by, forwards) = (random.exponential(Duration::from_secs(30)), random.below(2) == 0);
                match random.below(4) {
                    0 => instant(FaultAction::Jump { target, by, forwards }),
                    _ => lasting(FaultAction::Skew { target, by, forwards }),
                }
            }
            FaultFamily::Cluster => {
                if !self.has_topics() || random.below(2) == 0 {
                    // A controller of its own has no view of the metadata to hold.
                    let target = self.broker(random);
                    let is_seen = target.applies_metadata(self.plan);
                    lasting(FaultAction::HoldMetadata(if is_seen { target } else { Target::AnyBroker }))
                } else {
                    instant(FaultAction::ElectPreferred { topic: self.topic(random), partition: None })
                }
            }
            FaultFamily::Group => self.group_change(random),
            FaultFamily::Store => {
                let store = &self.plan.stores[random.below(self.plan.stores.len().max(1) as u64) as usize];
                let target = Target::Node(store.node);
                match random.below(2) {
                    0 => lasting(FaultAction::Crash(target)),
                    _ => lasting(FaultAction::Pause(target)),
                }
            }
            FaultFamily::Redelivery => instant(FaultAction::Redeliver(self.instance(has_point, random))),
            FaultFamily::Load => self.load(random),
            FaultFamily::Poison => {
                let workers = workers(self.plan, self.spec.budget.is_some());
                let service = workers[random.below(workers.len() as u64) as usize].id;
                lasting(FaultAction::Fail { service, rate: Ratio((1 + random.below(100) as u32) * 10_000_000) })
            }
            FaultFamily::Endpoint => self.endpoint(random),
        };
        Some(drawn)
    }

    /// It is away, silent, slow, or says no; or it does what it is asked and does not say so.
    fn endpoint(&self, random: &mut Draw) -> Drawn {
        let index = random.below(self.plan.endpoints.len().max(1) as u64) as u16;
        let endpoint = &self.plan.endpoints[usize::from(index)];
        let (kind, rate) = (random.below(6), Ratio((1 + random.below(50) as u32) * 10_000_000));
        let slower = scale(endpoint.latency, libm::pow(20.0, random.unit()));
        lasting(match kind {
            0 => FaultAction::Crash(Target::Node(endpoint.node)),
            1 => FaultAction::Pause(Target::Node(endpoint.node)),
            2 => FaultAction::Set(LiveValue::EndpointLatency { endpoint: index, latency: slower }),
            3 => FaultAction::Set(LiveValue::EndpointErrors { endpoint: index, rate }),
            4 => FaultAction::Set(LiveValue::EndpointLostRequests { endpoint: index, rate }),
            _ => FaultAction::Set(LiveValue::EndpointLostAnswers { endpoint: index, rate }),
        })
    }

    /// More comes in, or less can be done: a spike, a slower step, fewer instances.
    fn load(&self, random: &mut Draw) -> Drawn {
        let slowed: Vec<LiveValue> = self.plan.services.iter().flat_map(works_of).collect();
        let many: Vec<&ServicePlan> = self.plan.services.iter().filter(|service| 1 < service.instances.len()).collect();
        let kind = random.below(4);
        // What the promises survive they must also catch up with before the run ends.
        let most = if self.spec.budget.is_some() { 4.0 } else { 10.0 };
        let factor = libm::pow(most, random.unit());
        let value = match (kind, &slowed[..], &many[..]) {
            (0, _, [_, ..]) => {
                let service = many[random.below(many.len() as u64) as usize];
                let count = 1 + random.below(service.instances.len() as u64 - 1) as u16;
                LiveValue::Instances { service: service.id, count }
            }
            (1, [_, ..], _) => match slowed[random.below(slowed.len() as u64) as usize] {
                LiveValue::Work { service, step, time } => LiveValue::Work { service, step, time: scale(time, factor) },
                value => value,
            },
            _ => {
                let origins: Vec<(ServiceId, Duration)> = self.plan.services.iter().filter_map(rate_of).collect();
                let (service, interval) = origins[random.below(origins.len() as u64) as usize];
                let interval = Duration::from_seconds_f64(interval.as_seconds() / factor);
                LiveValue::Rate { service, interval: as_written(interval) }
            }
        };
        lasting(FaultAction::Set(value))
    }

    /// Some events are poison. Where they would block what stands behind them for ever, the program is put right after a
    /// while, as people would do it.
    fn poison(&self, time: Duration, random: &mut Draw) -> Vec<(FaultTrigger, Drawn, Duration)> {
        let origins: Vec<ServiceId> = self.plan.services.iter().filter_map(rate_of).map(|(origin, _)| origin).collect();
        let origin = origins[random.below(origins.len() as u64) as usize];
        let poison = FaultAction::Poison { origin, events: 1 + random.below(5) as u32 };
        let length = self.length(random);
        let repaired = FaultTrigger::At((time + length).min(self.spec.until.max(Duration(1)) - Duration(1)));
        let blocking = self.plan.services.iter().filter(|service| {
            !works_of(service).is_empty() && matches!(service.ladder.last(), Some(Rung::Block { .. }))
        });
        let repairs = blocking.map(|service| (repaired.clone(), instant(FaultAction::Repair(service.id)), length));
        std::iter::once((FaultTrigger::At(time), instant(poison), length)).chain(repairs).collect()
    }

    fn process(&self, has_point: bool, random: &mut Draw) -> Drawn {
        let target = if random.below(2) == 0 { self.broker(random) } else { self.instance(has_point, random) };
        match random.below(10) {
            0..5 => lasting(FaultAction::Crash(target)),
            5..8 => lasting(FaultAction::Pause(target)),
            8 => lasting(FaultAction::Restart { target: self.broker(random), rolling: false }),
            _ => lasting(FaultAction::Slow { target, thousandths: self.factor(random) }),
        }
    }

    fn network(&self, has_point: bool, random: &mut Draw) -> Drawn {
        if random.below(4) == 0 {
            let target = if random.below(2) == 0 { self.broker(random) } else { self.instance(has_point, random) };
            return lasting(FaultAction::Isolate(target));
        }
        let from = if random.below(2) == 0 { self.broker(random) } else { self.instance(has_point, random) };
        let to = match random.below(4) {
            0 => Target::Rest,
            1 => Target::Brokers,
            _ => self.broker(random),
        };
        let kind = match &self.share.kinds[..] {
            [] => (random.below(4) == 0).then(|| KINDS[random.below(4) as usize]),
            kinds => Some(kinds[random.below(kinds.len() as u64) as usize]),
        };
        let link = LinkTarget { from, to, both_ways: random.below(2) == 0, kind };
        match random.below(6) {
            0 | 1 => lasting(FaultAction::Cut(link)),
            2 => {
                let by = Spread::Exponential { mean: Duration::from_millis(10 + random.below(490)) };
                lasting(FaultAction::Delay { link, by })
            }
            3 => lasting(FaultAction::Drop { link, rate: Ratio((1 + random.below(50) as u32) * 10_000_000) }),
            4 => lasting(FaultAction::Throttle { link, bytes_per_second: ByteCount((1 + random.below(64)) << 10) }),
            _ => instant(FaultAction::Reset(link)),
        }
    }

    fn group_change(&self, random: &mut Draw) -> Drawn {
        let group = self.group(random);
        let is_member = |service: &&ServicePlan| match &service.trigger {
            Trigger::Consume(consume) => consume.group == group,
            Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => false,
        };
        let members: Vec<&ServicePlan> = self.plan.services.iter().filter(is_member).collect();
        if self.spec.budget.is_none() && random.below(4) == 0 {
            return instant(FaultAction::ExpireOffsets(group));
        }
        match members[..] {
            [first, ..] if random.below(2) == 0 => {
                let target = Target::AnyOf(1, Box::new(Target::Nodes(first.instances.clone())));
                lasting(FaultAction::Restart { target, rolling: false })
            }
            [..] => instant(FaultAction::Rebalance(group)),
        }
    }

    /// Two to twenty times as slow, even on a logarithmic scale.
    fn factor(&self, random: &mut Draw) -> u64 {
        (2_000.0 * libm::pow(10.0, random.unit())) as u64 / 100 * 100
    }

    // --- whom ---

    /// One broker, by a role that it has or by its number.
    fn broker(&self, random: &mut Draw) -> Target {
        match random.below(8) {
            0..3 if self.has_topics() => Target::Leader(self.partition(random)),
            3 if self.has_topics() => Target::Follower(self.partition(random)),
            4 => Target::Controller,
            5 if !self.plan.groups.is_empty() => match self.transactional(random) {
                Some(service) if random.below(2) == 0 => Target::TransactionCoordinator(service),
                Some(_) | None => Target::Coordinator(self.group(random)),
            },
            6 => Target::Node(NodeId(1 + random.below(u64::from(self.plan.cluster.brokers)) as u16)),
            _ => Target::AnyBroker,
        }
    }

    fn instance(&self, has_point: bool, random: &mut Draw) -> Target {
        let kind = random.below(4);
        let service = &self.plan.services[random.below(self.plan.services.len() as u64) as usize];
        match kind {
            0 | 1 if has_point => Target::Oneself,
            2 if !self.plan.groups.is_empty() => self.owner(random),
            _ => Target::AnyOf(1, Box::new(Target::Nodes(service.instances.clone()))),
        }
    }

    fn owner(&self, random: &mut Draw) -> Target {
        let group = self.group(random);
        let topics: Vec<TopicId> = self
            .plan
            .services
            .iter()
            .filter_map(|service| match &service.trigger {
                Trigger::Consume(consume) if consume.group == group => Some(consume.topics.clone()),
                Trigger::Consume(_) | Trigger::Requests(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
            })
            .flatten()
            .collect();
        let topic = topics[random.below(topics.len() as u64) as usize];
        Target::Owner { partition: PartitionSelector { topic, partition: None }, group }
    }

    fn has_topics(&self) -> bool {
        !self.plan.own_topics().is_empty()
    }

    /// Not a topic of the queue itself.
    fn topic(&self, random: &mut Draw) -> TopicId {
        let topics = self.plan.own_topics();
        topics[random.below(topics.len() as u64) as usize].id
    }

    /// A service with transactions of the queue. Plans without one draw nothing for it.
    fn transactional(&self, random: &mut Draw) -> Option<ServiceId> {
        let services: Vec<ServiceId> = self
            .plan
            .services
            .iter()
            .filter(|service| service.transactional.is_some())
            .map(|service| service.id)
            .collect();
        if services.is_empty() {
            return None;
        }
        Some(services[random.below(services.len() as u64) as usize])
    }

    fn partition(&self, random: &mut Draw) -> PartitionSelector {
        let topic = self.topic(random);
        let partitions = u64::from(self.plan.topics[usize::from(topic.0)].settings.partitions);
        PartitionSelector { topic, partition: Some(random.below(partitions) as u16) }
    }

    fn any_partition(&self, random: &mut Draw) -> PartitionSelector {
        PartitionSelector { topic: self.topic(random), partition: None }
    }

    /// One that a service reads in; a redrive's own is nobody's to disturb.
    fn group(&self, random: &mut Draw) -> GroupId {
        let consumed = |group: &&GroupPlan| {
            self.plan.services.iter().any(|service| match &service.trigger {
                Trigger::Consume(consume) => consume.group == group.id,
                _ => false,
            })
        };
        let groups: Vec<&GroupPlan> = self.plan.groups.iter().filter(consumed).collect();
        groups[random.below(groups.len() as u64) as usize].id
    }
}

/// Services whose `work` can fail. Within a budget only if their ladders bring every event to an end that they owe nobody an
/// effect for: what is skipped is lost, and who crashes or leaves does so beyond the budget.
pub fn workers(plan: &Plan, within_budget: bool) -> Vec<&ServicePlan> {
    let survives = |service: &&ServicePlan| match service.ladder.last() {
        Some(Rung::Block { .. } | Rung::DeadLetter { .. } | Rung::Refuse) => true,
        Some(Rung::Skip | Rung::Crash | Rung::Close | Rung::Retry { .. } | Rung::RetryTopic { .. }) | None => {
            !within_budget
        }
    };
    let works = plan.services.iter().filter(|service| !works_of(service).is_empty());
    works.filter(survives).collect()
}

/// Each `work` of a service with its time.
fn works_of(service: &ServicePlan) -> Vec<LiveValue> {
    let work = |(step, plan): (usize, &StepPlan)| match plan.action {
        Action::Work { time, .. } => Some(LiveValue::Work { service: service.id, step: step as u16, time }),
        Action::Store { .. }
        | Action::Call(_)
        | Action::Publish { .. }
        | Action::Commit { .. }
        | Action::StoreOffset
        | Action::BeginTransaction
        | Action::SendOffsets { .. }
        | Action::EndTransaction
        | Action::Respond => None,
    };
    service.steps.iter().enumerate().filter_map(work).collect()
}

/// The mean time between two arrivals at an origin of events.
fn rate_of(service: &ServicePlan) -> Option<(ServiceId, Duration)> {
    match &service.trigger {
        Trigger::Requests(requests) => Some((service.id, requests.interval)),
        Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => None,
    }
}

/// The nearest mean gap that a scenario can write as a rate.
fn as_written(interval: Duration) -> Duration {
    parse(Kind::Rate, &rate_text(interval)).map_or(interval, |rate| rate.interval())
}

/// Fisher and Yates (1938), as Durstenfeld has it.
fn shuffle<T>(list: &mut [T], random: &mut Draw) {
    for last in (1..list.len()).rev() {
        list.swap(last, random.below(last as u64 + 1) as usize);
    }
}

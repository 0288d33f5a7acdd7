//! `[chaos]`: everything that goes wrong stands in the plan, and never more at once than the budget says.

use std::collections::{BTreeMap, BTreeSet};

use hikyaku::checks::Verdict;
use hikyaku::history::Happening;
use hikyaku::scenario::plan::{Budget, FaultAction, FaultFamily, FaultTrigger, Plan};
use hikyaku::types::{Duration, NodeId, Seed, Spread};

use crate::common::{load, run};

const SCENARIO: &str = "scenarios/orders_survive_chaos.toml";

fn plans(sets: &[&str]) -> Vec<Plan> {
    let family = load(SCENARIO, sets);
    (0..40).map(|seed| family.cells[0].plan(Seed(seed))).collect()
}

#[test]
fn a_plan_says_all_that_was_drawn_and_stays_within_its_window() {
    let plans = plans(&[]);
    let mut reached = BTreeSet::new();
    let mut faults = 0;
    for plan in &plans {
        let chaos = plan.chaos.as_ref().expect("every knob is printed");
        let budget = chaos.budget.as_ref().expect("the default is a budget");
        assert_eq!((budget.brokers_down, budget.lossy, budget.controllers_down), (1, 1, 1));
        let names: BTreeSet<&str> = plan.faults.iter().map(|fault| fault.name.as_str()).collect();
        assert_eq!(names.len(), plan.faults.len(), "every fault has a name of its own");
        for fault in &plan.faults {
            assert!(fault.is_drawn());
            reached.insert(fault.family(plan));
            assert!(fault.duration.is_none_or(|length| length <= budget.longest), "{}", fault.text);
            if let FaultTrigger::At(time) = fault.trigger {
                assert!(chaos.from <= time && time < chaos.until, "{}", fault.text);
            }
            assert!(!matches!(fault.action, FaultAction::ExpireOffsets(_) | FaultAction::EnforceRetention(_)));
        }
        faults += plan.faults.len();
    }
    assert!(20 * plans.len() <= faults, "{faults} faults in {} plans", plans.len());
    let expected = [
        FaultFamily::Process,
        FaultFamily::Power,
        FaultFamily::Disk,
        FaultFamily::Network,
        FaultFamily::Clock,
        FaultFamily::Cluster,
        FaultFamily::Group,
        FaultFamily::Store,
        FaultFamily::Load,
        FaultFamily::Poison,
        FaultFamily::Redelivery,
    ];
    assert_eq!(reached, BTreeSet::from(expected));
}

/// What a file may not say chaos does not draw: it would strike nobody, and could not be shrunk to a file.
#[test]
fn nobody_is_struck_in_what_he_does_not_have() {
    let mut held = 0;
    for plan in plans(&[]).iter().chain(&plans(&["cluster.controller-nodes=separate"])) {
        for fault in &plan.faults {
            let has_it = match &fault.action {
                FaultAction::HoldMetadata(target) => {
                    held += 1;
                    target.applies_metadata(plan)
                }
                FaultAction::Wipe(target)
                | FaultAction::StallDisk(target)
                | FaultAction::SlowDisk { target, .. }
                | FaultAction::FailDisk(target) => target.has_a_disk(plan),
                FaultAction::Skew { target, .. } | FaultAction::Jump { target, .. } => target.reads_a_clock(plan),
                _ => true,
            };
            assert!(has_it, "{}", fault.text);
        }
    }
    assert!(50 < held, "{held}");
}

#[test]
fn a_swarm_switches_families_on_and_off() {
    let mut on: BTreeMap<FaultFamily, usize> = BTreeMap::new();
    let plans = plans(&["chaos.profile=swarm"]);
    for plan in &plans {
        let families = &plan.chaos.as_ref().expect("drawn").families;
        assert!(!families.is_empty());
        families.iter().for_each(|family| *on.entry(family.family).or_default() += 1);
    }
    assert_eq!(on.len(), 11);
    assert!(on.values().all(|count| (8..=32).contains(count)), "{on:?}");
}

/// Everything that a family has drawn, as it stands in the plan.
fn drawn(plan: &Plan, but: &str) -> Vec<String> {
    let others = plan.faults.iter().filter(|fault| !fault.name.starts_with(&format!("chaos/{but}-")));
    others.map(|fault| format!("{} = {}", fault.name, fault.text)).collect()
}

#[test]
fn a_family_more_leaves_alone_what_the_others_drew() {
    let all = plans(&[]);
    let others = FaultFamily::ALL.map(FaultFamily::name);
    let others = others.iter().filter(|name| !["endpoint", "clock"].contains(name));
    let others: Vec<String> = others.map(|name| format!("\"{name}\"")).collect();
    assert_eq!(others.len(), 10, "as many as a file that lists none shares its rate among");
    let without = plans(&[&format!("chaos.families=[{}]", others.join(","))]);
    for (plan, without) in all.iter().zip(&without) {
        assert_eq!(drawn(plan, "clock"), drawn(without, "clock"));
        assert!(drawn(plan, "clock").len() < plan.faults.len() || plan.seed != Seed(0));
    }
}

#[test]
fn a_share_that_grows_adds_incidents_and_moves_none() {
    let often = plans(&["chaos.families=[\"process\"]", "chaos.profile=heavy"]);
    let seldom = plans(&["chaos.families=[\"process\", \"clock\"]", "chaos.profile=heavy"]);
    for (often, seldom) in often.iter().zip(&seldom) {
        let (often, seldom) = (drawn(often, "clock"), drawn(seldom, "clock"));
        assert!(seldom.iter().all(|fault| often.contains(fault)), "{seldom:?} in {often:?}");
        assert!(seldom.len() < often.len());
    }
}

#[test]
fn weights_divide_the_rate_and_a_family_may_have_its_own_length() {
    let weighted = "chaos.families={ process = 3, clock = { weight = 1, length = \"9s\" } }";
    for profile in ["chaos.profile=heavy", "chaos.profile=swarm"] {
        for plan in plans(&[weighted, "chaos.length=2s", profile]) {
            let families = &plan.chaos.as_ref().expect("drawn").families;
            let of = |wanted| families.iter().find(|family| family.family == wanted);
            let (process, clock) = (of(FaultFamily::Process), of(FaultFamily::Clock));
            if let (Some(process), Some(clock), "chaos.profile=heavy") = (process, clock, profile) {
                // One a second, six a minute times ten: a quarter of it here, three quarters there.
                assert_eq!(clock.interval, Duration::from_secs(4));
                assert_eq!(process.interval, clock.interval / 3);
                assert_eq!(process.length, Spread::Constant(Duration::from_secs(2)));
                assert_eq!(clock.length, Spread::Constant(Duration::from_secs(9)));
            }
            let together: f64 = families.iter().map(|family| 1.0 / family.interval.as_seconds()).sum();
            assert!((0.49..2.01).contains(&together), "seed {}: {together} incidents a second", plan.seed.0);
        }
    }
}

#[test]
fn a_swarm_shares_the_rate_so_that_no_seed_is_empty() {
    let plans = plans(&["chaos.profile=swarm"]);
    let mut intervals = Vec::new();
    for plan in &plans {
        let families = &plan.chaos.as_ref().expect("drawn").families;
        let together: f64 = families.iter().map(|family| 1.0 / family.interval.as_seconds()).sum();
        // Every family alone lies between a half and twice of heavy, and so do all that are on together.
        assert!((0.49..2.01).contains(&together), "seed {}: {together} incidents a second", plan.seed.0);
        intervals.push(together);
    }
    intervals.sort_by(f64::total_cmp);
    assert!(intervals[0] * 1.5 < intervals[intervals.len() - 1], "intensities vary: {intervals:?}");
    let fired = |plan: &Plan| run(plan).0.faults.len();
    let few = plans.iter().filter(|plan| fired(plan) < 5).count();
    assert!(few <= 2, "{few} of {} seeds are nearly empty", plans.len());
}

/// Brokers that are down at each moment, whoever took them down, as the history tells it.
#[test]
fn no_more_brokers_are_down_than_the_budget_says() {
    let family = load(SCENARIO, &["chaos.families=[\"process\", \"power\"]", "chaos.rate=20/min"]);
    let (mut refused, mut crashed) = (0, 0);
    for seed in 0..6 {
        let plan = family.cells[0].plan(Seed(seed));
        let Budget { brokers_down, .. } = plan.chaos.as_ref().and_then(|chaos| chaos.budget.clone()).expect("a budget");
        let mut down: BTreeSet<NodeId> = BTreeSet::new();
        hikyaku::world::run(&plan, |event| {
            if event.node == NodeId(0) {
                refused += u64::from(matches!(event.what, Happening::FaultRefused { .. }));
            } else if event.node.0 <= plan.cluster.brokers {
                match event.what {
                    Happening::Stopped { .. } => {
                        crashed += 1;
                        down.insert(event.node);
                    }
                    Happening::Started { .. } => {
                        down.remove(&event.node);
                    }
                    _ => {}
                }
            }
            assert!(down.len() <= usize::from(brokers_down), "seed {seed}: {down:?} at {}", event.time);
        });
    }
    assert!(10 < refused && 10 < crashed, "{refused} refused, {crashed} stops");
}

#[test]
fn without_a_budget_nothing_is_refused_inside_the_window() {
    let family = load(SCENARIO, &["chaos.budget=none", "chaos.window=0%..100%"]);
    let plan = family.cells[0].plan(Seed(1));
    assert_eq!(plan.chaos.as_ref().map(|chaos| chaos.budget.is_none()), Some(true));
    let mut refused = 0;
    hikyaku::world::run(&plan, |event| refused += u64::from(matches!(event.what, Happening::FaultRefused { .. })));
    assert_eq!(refused, 0);
    assert!(run(&plan).1.panic.is_none());
}

/// Two instances book what one producer says; every half a second the last message of each comes once more.
fn repeating(step: &str) -> hikyaku::scenario::Family {
    crate::common::parse(
        "repeating",
        &format!(
            r#"
format   = 1
about    = "What does a message that comes once more do?"
duration = "10s"
[cluster]
brokers = 3
[topic.orders]
partitions = 2
[store.db]
tables = ["bookings"]
[service.shop]
on    = "requests"
rate  = "50/s"
steps = ["publish orders", "respond ok"]
[service.booking]
on                = "consume orders"
auto-offset-reset = "earliest"
instances         = 2
steps             = ["{step} db.bookings", "commit every batch"]
[fault]
again = "at 2s for 5s every 500ms redeliver booking"
[expect]
db.bookings = "exactly-once"
"#
        ),
    )
}

#[test]
fn a_message_that_comes_once_more_harms_whoever_does_not_recognise_it() {
    let careful = repeating("insert-if-absent");
    let (outcome, _) = run(&careful.cells[0].plan(Seed(1)));
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    assert!(15 <= outcome.counters.redeliveries, "{}", outcome.counters.redeliveries);

    let naive = repeating("add");
    let (outcome, _) = run(&naive.cells[0].plan(Seed(1)));
    assert_eq!(outcome.verdict, Verdict::Violated);
    let said = format!("{:?}", outcome.places);
    assert!(said.contains("delivered once more, and handled as new") && said.contains("(again)"), "{said}");
}

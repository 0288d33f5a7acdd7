//! Load and poison: keys that change while the system runs, work that fails, events that nothing can handle.

use std::collections::BTreeMap;

use hikyaku::checks::{RunOutcome, Verdict};
use hikyaku::history::{Event, Happening};
use hikyaku::scenario::plan::Plan;
use hikyaku::types::note::{Note, StepOutcome};
use hikyaku::types::{Seed, Time};

use crate::common::{parse, run};

/// Orders arrive at a steady 20/s and are booked by two instances.
fn plan(faults: &str, ladder: &str) -> Plan {
    let text = format!(
        r#"
format   = 1
about    = "What changes while the system runs?"
duration = "20s"
[cluster]
brokers = 1
[topic.orders]
partitions = 2
segment    = "500ms"
[topic.dead]
[store.db]
tables = ["bookings"]
[service.shop]
on       = "requests"
rate     = "20/s"
arrivals = "constant"
steps    = ["publish orders", "respond ok"]
[service.booking]
on                = "consume orders"
auto-offset-reset = "earliest"
session-timeout   = "6s"
instances         = 2
steps             = ["work 2ms", "insert-if-absent db.bookings", "commit"]
on-failure        = {ladder}
[fault]
{faults}
[expect]
db.bookings = "exactly-once"
"#
    );
    parse("live", &text).cells[0].plan(Seed(1))
}

const BLOCK: &str = r#"["block backoff 100ms"]"#;
const DEAD_LETTER: &str = r#"["retry 2 backoff 10ms", "dead-letter dead"]"#;

/// Seconds of the load phase in which something was noted, with how often.
fn by_second(plan: &Plan, counts: impl Fn(&Event) -> bool + Sync) -> BTreeMap<u64, u64> {
    let mut seconds = BTreeMap::new();
    hikyaku::world::run(plan, |event| {
        if Time::LOAD_START <= event.time && counts(event) {
            *seconds.entry(event.time.since(Time::LOAD_START).0 / 1_000_000_000).or_default() += 1;
        }
    });
    seconds
}

fn outcome(plan: &Plan) -> RunOutcome {
    let (outcome, report) = run(plan);
    assert_eq!(report.panic, None);
    outcome
}

#[test]
fn a_rate_is_set_for_a_while_and_is_as_before_afterwards() {
    let plan = plan(r#"spike = "at 5s for 5s set service.shop.rate to 200/s""#, BLOCK);
    let arrived = by_second(&plan, |event| matches!(event.what, Happening::Note(Note::Arrived { .. })));
    for second in [0, 1, 2, 3, 4, 10, 11, 15, 19] {
        assert!((19..=21).contains(&arrived[&second]), "{arrived:?}");
    }
    for second in 5..10 {
        assert!((198..=201).contains(&arrived[&second]), "{arrived:?}");
    }
    assert_eq!(outcome(&plan).verdict, Verdict::Holds);
}

#[test]
fn of_two_spikes_that_overlap_the_later_one_holds_and_then_what_is_left() {
    let faults = r#"
long  = "at 2s for 10s set service.shop.rate to 100/s"
short = "at 5s for 2s set service.shop.rate to 300/s"
"#;
    let arrived = by_second(&plan(faults, BLOCK), |event| matches!(event.what, Happening::Note(Note::Arrived { .. })));
    for (second, rate) in [(1, 20), (3, 100), (6, 300), (8, 100), (11, 100), (14, 20)] {
        assert!(arrived[&second].abs_diff(rate) <= 2, "second {second}: {arrived:?}");
    }
}

#[test]
fn work_takes_as_long_as_it_is_set_to_also_in_a_process_that_starts_meanwhile() {
    let faults = r#"
slow  = "at 2s for 10s set service.booking.work to 400ms"
crash = "at 3s for 1s crash booking"
"#;
    let done = by_second(&plan(faults, BLOCK), |event| match event.what {
        Happening::Note(Note::StepDone { step: 0, outcome: StepOutcome::Done, service, .. }) => service.0 == 1,
        _ => false,
    });
    // Two instances at 400 ms each.
    assert!((3..10).all(|second| done.get(&second).copied().unwrap_or(0) <= 6), "{done:?}");
    assert!((13..16).any(|second| 20 <= done[&second]), "{done:?}");
}

#[test]
fn keys_of_stores_links_and_topics_are_live() {
    let refused = outcome(&plan(r#"down = "at 5s for 5s set store.db.errors to 100%""#, BLOCK));
    assert_eq!(refused.verdict, Verdict::Holds, "{:?}", refused.reasons);
    let applied = by_second(&plan(r#"down = "at 5s for 5s set store.db.errors to 100%""#, BLOCK), |event| {
        matches!(event.what, Happening::Note(Note::EffectApplied { .. }))
    });
    assert!((6..10).all(|second| !applied.contains_key(&second)), "{applied:?}");
    assert!(applied[&12] >= 15, "{applied:?}");
    let lost = outcome(&plan(
        r#"
away = "at 3s for 12s pause booking"
gone = "at 5s for 5s set topic.orders.retention to 1s"
now  = "at 9s enforce-retention orders"
"#,
        BLOCK,
    ));
    assert_eq!(lost.verdict, Verdict::Violated);
    let said = format!("{:?}", lost.places);
    assert!(said.contains("retention removed it before it was read"), "{said}");
}

#[test]
fn a_service_runs_with_fewer_instances_for_a_while() {
    let plan = plan(r#"fewer = "at 4s for 6s set service.booking.instances to 1""#, BLOCK);
    let stopped = by_second(&plan, |event| matches!(event.what, Happening::Stopped { .. }));
    let started = by_second(&plan, |event| matches!(event.what, Happening::Started { .. }));
    assert_eq!((stopped.values().sum::<u64>(), started.values().sum::<u64>()), (1, 1));
    assert!(stopped.contains_key(&4) && started.contains_key(&10), "{stopped:?} {started:?}");
    assert_eq!(outcome(&plan).verdict, Verdict::Holds);
}

#[test]
fn callers_go_to_the_instances_that_are_left() {
    let text = r#"
format   = 1
about    = "Who answers when there are fewer?"
duration = "10s"
[cluster]
brokers = 1
[topic.orders]
partitions = 1
[service.shop]
on        = "requests"
rate      = "50/s"
instances = 3
steps     = ["publish orders", "respond ok"]
[fault]
fewer = "at 2s for 4s set service.shop.instances to 2"
[expect]
orders            = "exactly-once"
shop.availability = ">= 99%"
"#;
    let plan = parse("fewer", text).cells[0].plan(Seed(1));
    let outcome = outcome(&plan);
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    let mut asked = BTreeMap::new();
    hikyaku::world::run(&plan, |event| {
        let middle = Time::LOAD_START.since(Time::ZERO).0 / 1_000_000_000 + 4;
        if let Happening::Note(Note::Attempted { instance, .. }) = event.what
            && event.time.0 / 1_000_000_000 == middle
        {
            *asked.entry(instance).or_insert(0) += 1;
        }
    });
    assert_eq!(asked.len(), 2, "{asked:?}");
}

#[test]
fn work_fails_for_a_while_and_the_ladder_brings_everything_through() {
    let plan = plan(r#"bug = "at 5s for 5s fail booking rate 50%""#, BLOCK);
    let failed = by_second(&plan, |event| {
        matches!(event.what, Happening::Note(Note::StepDone { outcome: StepOutcome::Failed, .. }))
    });
    assert!(failed.keys().all(|second| (5..=10).contains(second)), "{failed:?}");
    assert!(failed.values().sum::<u64>() > 20, "{failed:?}");
    assert_eq!(outcome(&plan).verdict, Verdict::Holds);
}

#[test]
fn poison_goes_to_the_dead_letters_and_nothing_else_does() {
    let outcome = outcome(&plan(r#"bad = "at 5s poison shop times 3""#, DEAD_LETTER));
    assert_eq!(outcome.verdict, Verdict::Holds, "{:?}", outcome.reasons);
    assert_eq!(outcome.counters.dead_letters, 3);
}

#[test]
fn poison_blocks_what_stands_behind_it_until_the_program_is_put_right() {
    let blocked = outcome(&plan(r#"bad = "at 5s poison shop""#, BLOCK));
    assert_eq!(blocked.verdict, Verdict::Violated);
    let repaired = outcome(&plan(
        r#"
bad    = "at 5s poison shop times 2"
deploy = "at 10s repair booking"
crash  = "at 12s for 1s crash booking"
worse  = "at 14s poison shop times 5"
"#,
        BLOCK,
    ));
    assert_eq!(repaired.verdict, Verdict::Holds, "{:?}", repaired.reasons);
}

#[test]
fn what_is_lost_to_poison_is_laid_to_it() {
    let outcome = outcome(&plan(r#"bad = "at 5s poison shop times 2""#, r#"["skip"]"#));
    assert_eq!(outcome.verdict, Verdict::Violated);
    let said = format!("{:?}", outcome.places);
    assert!(said.contains("it was poison, failed in every `work`, and was skipped"), "{said}");
    assert!(said.contains("(bad)"), "{said}");
}

#[test]
fn a_clock_that_jumps_stays_where_it_is() {
    // The broker's clock is far ahead: everything that is written before the jump looks old to it for good.
    let plan = plan(
        r#"
away = "at 3s for 14s pause booking"
jump = "at 8s jump broker(1) by 200h"
gone = "at 12s enforce-retention orders"
"#,
        BLOCK,
    );
    let outcome = outcome(&plan);
    assert_eq!(outcome.verdict, Verdict::Violated);
    assert!(format!("{:?}", outcome.places).contains("retention removed it before it was read"));
}

//! Ordinary and nasty data for the charts of single runs and of headroom, and what their titles say of it.

use super::Figure;
use super::cumulative::{self, CumulativeChart, Stage};
use super::fault_band::FaultBand;
use super::freshness::{self, FreshnessChart, FreshnessSeries};
use super::in_sync::{self, InSyncChart, InSyncSpan, ReplicatedPartition};
use super::incidents::{self, Incident, IncidentKind, IncidentRow, IncidentsChart};
use super::latency::{self, LatencyChart, LatencyPoint};
use super::ownership::{self, OwnedPartition, OwnershipChart};
use super::palette::FaultKind;
use super::partition_lag::{self, LaggingPartition, PartitionLagChart};
use super::seeds::{self, SeedsChart};
use super::sizing::{self, SizingChart};
use super::waterfall::{self, WaterfallChart, WaterfallStep};

const FOOTER: &str = "run orders-k1-0042 · plan 8f3a61c2 · seeds 0–19 · hikyaku 0.1.0";
const LONG: &str = "a-service-whose-name-nobody-wanted-to-shorten-in-sixty-signs";

fn band(name: &str, kind: FaultKind, from: f64, to: f64) -> FaultBand {
    FaultBand { name: name.to_string(), kind, from, to }
}

fn pause() -> Vec<FaultBand> {
    vec![band("pause of every instance", FaultKind::Pause, 30.0, 90.0)]
}

fn waterfall(nominal: f64, steps: &[(&str, f64)]) -> WaterfallChart {
    let step = |(name, share): &(&str, f64)| WaterfallStep { name: name.to_string(), share: *share };
    WaterfallChart {
        subject: "billing, 12 partitions, 8 consumers".to_string(),
        nominal,
        steps: steps.iter().map(step).collect(),
        footer: FOOTER.to_string(),
    }
}

fn ownership(partitions: usize, owners: usize, gap: bool) -> OwnershipChart {
    let row = |number: usize| {
        let owner = |after: usize| format!("billing-{}", (number + after) % owners + 1);
        let spans = match gap {
            true => {
                vec![(owner(0), 0.0, 28.0), (owner(1), 31.0 + (number % 5) as f64 * 0.5, 90.0), (owner(0), 90.2, 240.0)]
            }
            false => vec![(owner(0), 0.0, 240.0)],
        };
        OwnedPartition { partition: format!("orders/{number}"), spans }
    };
    OwnershipChart {
        subject: "billing, group of its own".to_string(),
        rows: (0..partitions).map(row).collect(),
        faults: if gap { vec![band("crash of billing-1", FaultKind::Crash, 25.0, 90.0)] } else { Vec::new() },
        horizon: 240.0,
        footer: FOOTER.to_string(),
    }
}

fn in_sync(partitions: usize, fewest: usize) -> InSyncChart {
    let row = |number: usize| {
        let span = |in_sync, leader: &str, from, to| InSyncSpan { in_sync, leader: leader.to_string(), from, to };
        let spans = match number.is_multiple_of(2) && fewest < 3 {
            true => vec![
                span(3, "broker-1", 0.0, 20.0),
                span(2, "broker-2", 20.0, 35.0),
                span(fewest, "broker-2", 35.0, 50.0),
                span(3, "broker-1", 50.0, 120.0),
            ],
            false => vec![span(3, "broker-3", 0.0, 120.0)],
        };
        ReplicatedPartition { partition: format!("orders/{number}"), replicas: 3, least: 2, spans }
    };
    InSyncChart {
        subject: "three brokers".to_string(),
        rows: (0..partitions).map(row).collect(),
        faults: vec![band("crash of broker-1", FaultKind::Crash, 20.0, 50.0)],
        horizon: 120.0,
        footer: FOOTER.to_string(),
    }
}

fn incidents(runs: usize, of_each: usize, distance: f64) -> IncidentsChart {
    let kinds = [IncidentKind::Lost, IncidentKind::Repeated, IncidentKind::Reordered, IncidentKind::Stale];
    let row = |number: usize| IncidentRow {
        label: format!("seed {number}"),
        faults: vec![band("crash of the leader", FaultKind::Crash, 20.0 + number as f64, 30.0 + number as f64)],
        incidents: (0..of_each)
            .map(|event| Incident {
                at: 20.0 + number as f64 - distance * (event + 1) as f64 / of_each as f64,
                kind: kinds[(number + event) % 4],
                event: format!("e{}", number * 100 + event),
            })
            .collect(),
    };
    IncidentsChart {
        subject: "What does a crash of the leader cost?".to_string(),
        rows: (0..runs).map(row).collect(),
        runs: 20.max(runs as u64),
        unmarked: 0,
        horizon: 60.0,
        footer: FOOTER.to_string(),
    }
}

/// As in the fluid limit, for an outage of a minute.
fn age(headroom: f64, label: &str) -> FreshnessSeries {
    let at = |time: f64| match time {
        _ if time < 30.0 => 0.02,
        _ if time < 90.0 => time - 30.0,
        _ => (60.0 - (headroom - 1.0) * (time - 90.0)).max(0.02),
    };
    FreshnessSeries {
        label: label.to_string(),
        headroom: label.is_empty().then_some(headroom),
        points: (0..600).map(|half| f64::from(half) / 2.0).map(|time| (time, at(time))).collect(),
        delayed: 123_456,
    }
}

fn freshness(series: Vec<FreshnessSeries>, objective: Option<f64>) -> FreshnessChart {
    let subject = "billing, 12 partitions, 12 consumers".to_string();
    FreshnessChart { subject, series, objective, faults: pause(), horizon: 300.0, footer: FOOTER.to_string() }
}

fn latency(slow: f64, faults: Vec<FaultBand>) -> LatencyChart {
    let point = |second: u32| {
        let at = f64::from(second) + 0.5;
        let factor = if (30.0..100.0).contains(&at) { slow } else { 1.0 };
        LatencyPoint { at, events: 100, p50: 0.004 * factor, p99: 0.02 * factor, max: 0.05 * factor }
    };
    LatencyChart {
        subject: "shop and billing".to_string(),
        timed: "from arrival to done by billing".to_string(),
        points: (0..240).map(point).collect(),
        faults,
        horizon: 240.0,
        footer: FOOTER.to_string(),
    }
}

fn cumulative(rate: f64, outage: f64) -> CumulativeChart {
    let times: Vec<f64> = (0..480).map(|half| f64::from(half) / 2.0).collect();
    let done = |time: f64, behind: f64| match time {
        _ if time < 30.0 => rate * (time - behind).max(0.0),
        _ if time < 30.0 + outage => rate * (30.0 - behind),
        _ => (rate * (30.0 - behind) + rate * 1.5 * (time - 30.0 - outage)).min(rate * (time - behind)),
    };
    let stage = |name: &str, count: &dyn Fn(f64) -> f64| Stage {
        name: name.to_string(),
        points: times.iter().map(|time| (*time, libm::floor(count(*time)))).collect(),
    };
    CumulativeChart {
        subject: "billing, 12 partitions".to_string(),
        stages: vec![
            stage("arrived", &|time| rate * time),
            stage("queued", &|time| rate * (time - 0.1).max(0.0)),
            stage("processed", &|time| done(time, 0.2)),
            stage("committed", &|time| done(time, 1.0)),
        ],
        faults: pause(),
        horizon: 240.0,
        footer: FOOTER.to_string(),
    }
}

fn partition_lag(partitions: usize, most: f64, recovers: bool) -> PartitionLagChart {
    let row = |number: usize| {
        let share = 0.3 + 0.7 * ((number * 7 + 3) % 10) as f64 / 10.0;
        let at = |time: f64| match time {
            _ if time < 30.0 => 0.0,
            _ if time < 90.0 => (time - 30.0) / 60.0,
            _ if recovers => (1.0 - (time - 90.0) / (100.0 * share)).max(0.0),
            _ => 1.0,
        };
        LaggingPartition {
            partition: format!("orders/{number}"),
            unprocessed: (0..400).map(|step| (at(f64::from(step) * 0.6) * most * share) as u64).collect(),
            recovered: recovers.then_some(100.0 * share),
        }
    };
    PartitionLagChart {
        subject: "billing".to_string(),
        rows: (0..partitions).map(row).collect(),
        faults: pause(),
        horizon: 240.0,
        footer: FOOTER.to_string(),
    }
}

fn seeds(runs: u64, model: Option<(f64, f64)>, lasting: bool) -> SeedsChart {
    let sample = |seed: u64| match lasting && seed % 7 == 3 {
        true => (seed, None),
        false => (seed, Some(120.0 + ((seed * 7_919) % 41) as f64 - 20.0)),
    };
    let subject = "billing at 1.5×".to_string();
    SeedsChart { subject, samples: (0..runs).map(sample).collect(), model, footer: FOOTER.to_string() }
}

fn sizing(outage: f64, objective: f64, stated: bool) -> SizingChart {
    SizingChart { subject: LONG.to_string(), outage, objective, stated, footer: FOOTER.to_string() }
}

pub fn all() -> Vec<(String, Figure)> {
    let long_steps = [
        (LONG, 0.75),
        ("keys not evenly spread", 0.85),
        ("retries", 0.9),
        ("repeats", 0.98),
        (LONG, 0.8),
        ("more", 1.1),
    ];
    let mut crowded = incidents(40, 60, 15.0);
    (crowded.subject, crowded.unmarked) = (LONG.to_string(), 123_456);
    crowded.rows.iter_mut().for_each(|row| row.label = LONG.to_string());
    let mut owned = ownership(2, 2, true);
    owned.rows.iter_mut().for_each(|row| row.partition = format!("{LONG}/0"));
    let mut none = latency(1.0, Vec::new());
    none.points.clear();
    let many: Vec<FreshnessSeries> = (0..12)
        .map(|number| age(1.05 + f64::from(number) * 0.3, if number % 2 == 0 { LONG } else { "short" }))
        .collect();
    let drawn = [
        ("waterfall-one", waterfall(2.0, &[("12 partitions over 8 consumers", 0.75)]).draw()),
        ("waterfall-none", waterfall(1.5, &[]).draw()),
        ("waterfall-many", waterfall(3.0, &long_steps).draw()),
        ("waterfall-below", waterfall(1.2, &[("keys not evenly spread", 0.6)]).draw()),
        ("ownership-one", ownership(1, 1, false).draw()),
        ("ownership-gaps", ownership(8, 3, true).draw()),
        ("ownership-many", ownership(200, 12, true).draw()),
        ("ownership-long", owned.draw()),
        ("in-sync-under", in_sync(4, 1).draw()),
        ("in-sync-reduced", in_sync(4, 2).draw()),
        ("in-sync-many", in_sync(200, 1).draw()),
        ("in-sync-whole", in_sync(1, 3).draw()),
        ("incidents-few", incidents(6, 1, 0.9).draw()),
        ("incidents-one", incidents(1, 8, 12.0).draw()),
        ("incidents-crowded", crowded.draw()),
        ("incidents-none", incidents(0, 0, 0.0).draw()),
        ("freshness-three", freshness([1.0, 1.5, 2.0].map(|headroom| age(headroom, "")).into(), Some(30.0)).draw()),
        ("freshness-one", freshness(vec![age(1.5, "")], None).draw()),
        ("freshness-many", freshness(many, Some(5.0)).draw()),
        ("freshness-none", freshness(Vec::new(), None).draw()),
        ("latency-slow", latency(900.0, pause()).draw()),
        ("latency-plain", latency(1.0, Vec::new()).draw()),
        ("latency-none", none.draw()),
        ("cumulative-outage", cumulative(100.0, 60.0).draw()),
        ("cumulative-six-digits", cumulative(4_000.0, 5.0).draw()),
        ("partition-lag-twelve", partition_lag(12, 4_000.0, true).draw()),
        ("partition-lag-one", partition_lag(1, 123_456.0, false).draw()),
        ("partition-lag-many", partition_lag(200, 123_456.0, true).draw()),
        ("seeds-twenty", seeds(20, Some((120.0, 11.0)), false).draw()),
        ("seeds-one", seeds(1, None, false).draw()),
        ("seeds-lasting", seeds(20, None, true).draw()),
        ("seeds-none", seeds(0, None, false).draw()),
        ("sizing-stated", sizing(600.0, 900.0, true).draw()),
        ("sizing-short", sizing(2.0, 2.0, false).draw()),
        ("sizing-long", sizing(28_800.0, 3_600.0, true).draw()),
    ];
    drawn.into_iter().map(|(name, figure)| (name.to_string(), figure)).collect()
}

#[test]
fn the_title_of_a_waterfall_names_what_costs_most() {
    let title = |steps: &[(&str, f64)]| waterfall::title(&waterfall(2.0, steps));
    assert_eq!(
        title(&[("12 partitions over 8 consumers", 0.75), ("retries", 0.9)]),
        "2.0× on paper is 1.35× in effect; biggest cost: 12 partitions over 8 consumers"
    );
    assert_eq!(title(&[]), "2.0× on paper is 2.0× in effect: nothing takes from it");
}

#[test]
fn the_title_of_ownership_tells_one_partition_from_the_whole_group() {
    let title = |partitions, gap| ownership::title(&ownership(partitions, 3, gap));
    assert_eq!(
        title(8, true),
        "All 8 partitions had no owner for up to 5 s; the whole group stood still for 3.2 s in all"
    );
    assert_eq!(title(8, false), "All 8 partitions had an owner all the time");
    assert_eq!(title(1, true), "The partition had no owner for up to 3 s");
    let mut some = ownership(8, 3, false);
    some.rows[5].spans = vec![("billing-1".to_string(), 0.0, 100.0), ("billing-2".to_string(), 100.1, 240.0)];
    some.rows[3].spans = vec![("billing-1".to_string(), 0.0, 100.0), ("billing-2".to_string(), 145.0, 240.0)];
    assert_eq!(
        ownership::title(&some),
        "1 of 8 partitions had no owner for up to 45 s; the group never stood still as a whole"
    );
}

#[test]
fn the_title_of_replicas_says_when_none_could_be_written() {
    let title = |fewest| in_sync::title(&in_sync(4, fewest));
    assert_eq!(title(1), "2 of 4 partitions had too few replicas in sync, or no leader, for up to 15 s");
    assert_eq!(title(2), "2 of 4 partitions ran on fewer replicas for up to 30 s, never on too few");
    assert_eq!(title(3), "All 4 partitions kept every replica in sync");
}

#[test]
fn the_title_of_incidents_says_how_near_to_a_fault_they_are() {
    assert_eq!(incidents::title(&incidents(6, 1, 0.9)), "6 bad events in 6 of 20 runs, all within 900 ms of a fault");
    let mut during = incidents(2, 3, 0.0);
    during.unmarked = 10;
    assert_eq!(incidents::title(&during), "16 bad events in 2 of 20 runs, all while a fault lasted");
    during.rows[1].faults.clear();
    assert_eq!(incidents::title(&during), "16 bad events in 2 of 20 runs, some of them in runs without a fault");
    assert_eq!(incidents::title(&incidents(1, 1, 0.5)), "1 event lost in 1 of 20 runs, all within 500 ms of a fault");
    assert_eq!(incidents::title(&incidents(0, 0, 0.0)), "Nothing is lost, repeated or out of order");
}

#[test]
fn the_title_of_freshness_compares_with_the_objective() {
    let title = |headroom, objective| freshness::title(&freshness(vec![age(headroom, "")], objective));
    // 30 s to become that old, then 60 s at half a second a second.
    assert_eq!(title(1.5, Some(30.0)), "Data is older than 30 s for 90 s; 123,456 messages late, at most 60 s");
    assert_eq!(title(1.5, Some(70.0)), "Nothing waits longer than 60 s; the objective is 70 s");
    let several = freshness(vec![age(1.5, ""), age(1.0, "")], Some(30.0));
    assert!(
        freshness::title(&several).starts_with("At 1.0×, data is older than 30 s for "),
        "{}",
        freshness::title(&several)
    );
}

#[test]
fn the_title_of_latencies_compares_with_before() {
    assert_eq!(
        latency::title(&latency(900.0, pause())),
        "99 % of the events take up to 20 ms before the fault, then up to 18 s, and that stays high until 9.5 s after the last fault"
    );
    // What arrives before a fault and is done after it is not what was usual before.
    let mut at_once = latency(900.0, vec![band("crash", FaultKind::Crash, 0.2, 0.4)]);
    at_once.points[0].max = 0.8;
    assert_eq!(latency::title(&at_once), "99 % of the events take at most 18 s");
    assert_eq!(latency::title(&latency(1.0, pause())), "Faults do not slow events down: 99 % take at most 20 ms");
    assert_eq!(latency::title(&latency(1.0, Vec::new())), "99 % of the events take at most 20 ms");
}

#[test]
fn the_other_titles_are_read_off_the_data() {
    assert_eq!(
        cumulative::title(&cumulative(100.0, 60.0)),
        "Worst delay: what arrives at 30 s is processed 60 s later"
    );
    assert_eq!(
        partition_lag::title(&partition_lag(12, 4_000.0, true)),
        "orders/8 recovers last, after 93 s: 1.6× as long as the middle partition"
    );
    assert_eq!(
        partition_lag::title(&partition_lag(1, 4_000.0, false)),
        "orders/0 has most waiting: at most 2,040 messages"
    );
    assert_eq!(seeds::title(&seeds(20, None, false)), "The worst of 20 runs recovers in 2 min 17 s (seed 13)");
    assert!(
        seeds::title(&seeds(20, Some((120.0, 11.0)), false))
            .contains("; by theory, 99 % of all runs take less than 2 min 2")
    );
    assert_eq!(seeds::title(&seeds(20, None, true)), "3 of 20 runs did not recover");
    assert_eq!(
        sizing::title(&sizing(600.0, 900.0, true)),
        "To recover from an outage of 10 min within 15 min takes 1.67× effective headroom"
    );
}

//! The charts together: whole, equal on every draw, without texts that touch, for ordinary and for nasty data. To look at them:
//! `HIKYAKU_CHARTS=1 cargo test --lib charts`, then open `target/charts/`.

use std::sync::OnceLock;

use super::Figure;
use super::backlog::{self, BacklogChart, BacklogSeries};
use super::fault_band::FaultBand;
use super::outcomes::{self, Counts, OutcomeCell, OutcomeRow, OutcomesChart};
use super::palette::FaultKind;
use super::recovery::{self, RecoveryChart, RecoveryPoint};
use super::sequence::{SequenceChart, SequenceMark, SequenceRow};
use crate::types::Duration;

const FOOTER: &str = "run orders-k1-0042 · plan 8f3a61c2 · seeds 0–19 · hikyaku 0.1.0";
const LONG: &str = "a-service-whose-name-nobody-wanted-to-shorten-in-sixty-signs";

fn point(headroom: f64, share: f64, runs: usize, horizon: f64) -> RecoveryPoint {
    let effective = headroom * share;
    let fluid = 60.0 / (effective - 1.0);
    let noise = |run: usize| 1.0 + 0.02 * ((run * 7_919 % 13) as f64 - 5.0);
    let sample = |run| Some(fluid * noise(run)).filter(|length| (0.0..=horizon).contains(length));
    RecoveryPoint {
        headroom,
        effective,
        samples: (0..runs).map(sample).collect(),
        theory: (fluid > 0.0).then_some(fluid),
    }
}

fn recovery(headrooms: &[f64], share: f64, runs: usize) -> RecoveryChart {
    let points = headrooms.iter().map(|headroom| point(*headroom, share, runs, 600.0)).collect();
    RecoveryChart {
        subject: "billing, 12 partitions, 8 consumers".to_string(),
        outage: Duration::from_secs(60),
        horizon: Duration::from_secs(600),
        points,
        footer: FOOTER.to_string(),
    }
}

/// 100 messages a second; an outage from 30 s to 90 s.
fn line(headroom: f64, rate: f64, horizon: f64) -> BacklogSeries {
    let mut points = Vec::new();
    let mut cleared_at = None;
    for half in 0..=(horizon * 2.0) as u32 {
        let time = f64::from(half) / 2.0;
        let noise = f64::from(half * 37 % 11) * rate / 100.0;
        let backlog = match time {
            _ if time < 30.0 => 0.0,
            _ if time < 90.0 => rate * (time - 30.0),
            _ => rate * (60.0 - (headroom - 1.0) * (time - 90.0)),
        };
        if backlog <= 0.0 && time > 90.0 && cleared_at.is_none() {
            cleared_at = Some(time);
        }
        points.push((time, backlog.max(0.0) + noise));
    }
    BacklogSeries { label: String::new(), headroom: Some(headroom), points, cleared_at }
}

fn band(name: &str, kind: FaultKind, from: f64, to: f64) -> FaultBand {
    FaultBand { name: name.to_string(), kind, from, to }
}

fn backlog(headrooms: &[f64], rate: f64, horizon: f64) -> BacklogChart {
    BacklogChart {
        subject: "billing, 12 partitions, 12 consumers".to_string(),
        series: headrooms.iter().map(|headroom| line(*headroom, rate, horizon)).collect(),
        faults: vec![band("pause of every billing instance", FaultKind::Pause, 30.0, 90.0)],
        horizon,
        footer: FOOTER.to_string(),
    }
}

fn counted(of: u64, lost: u64, repeated: u64) -> OutcomeCell {
    OutcomeCell::Counted(Counts { of, lost, repeated, ..Counts::default() })
}

fn outcomes(columns: &[&str], rows: &[(&str, &[OutcomeCell])]) -> OutcomesChart {
    OutcomesChart {
        subject: "leader crash with power loss, 20 seeds".to_string(),
        stem: "outcomes",
        rows_are: "acks".to_string(),
        columns_are: "where the effect lands".to_string(),
        unit: "orders".to_string(),
        columns: columns.iter().map(|name| name.to_string()).collect(),
        rows: rows
            .iter()
            .map(|(label, cells)| OutcomeRow { label: label.to_string(), cells: cells.to_vec() })
            .collect(),
        footer: FOOTER.to_string(),
    }
}

const HEADROOMS: [f64; 12] = [0.9, 1.0, 1.05, 1.1, 1.2, 1.25, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0];

fn recoveries() -> Vec<(&'static str, RecoveryChart)> {
    let mut partial = recovery(&[1.0, 1.2, 1.5], 1.0, 20);
    partial.points[1].samples[3] = None;
    partial.subject = LONG.to_string();
    partial.footer = LONG.repeat(5);
    let mut close = recovery(&[1.5, 1.51, 1.52, 1.53, 1.54, 1.55, 1.56, 1.57, 1.58, 1.59, 1.6, 1.61], 1.0, 3);
    close.outage = Duration::from_secs(7_200);
    close.horizon = Duration::from_secs(86_400);
    vec![
        ("twelve", recovery(&HEADROOMS, 1.0, 20)),
        ("effective", recovery(&HEADROOMS, 0.75, 20)),
        ("one", recovery(&[1.5], 1.0, 1)),
        ("none", recovery(&[0.8, 0.9, 1.0], 1.0, 5)),
        ("nothing", recovery(&[], 1.0, 0)),
        ("partial", partial),
        ("close", close),
        ("far", recovery(&[1.0, 2.0, 5.0, 10.0, 13.333], 1.0, 5)),
    ]
}

fn backlogs() -> Vec<(&'static str, BacklogChart)> {
    let mut many_faults = backlog(&[1.0, 1.2, 1.5, 2.0, 3.0], 100.0, 420.0);
    many_faults.faults.extend([
        band("crash of b2", FaultKind::Crash, 100.0, 130.0),
        band("crash of b3", FaultKind::Crash, 135.0, 150.0),
        band(LONG, FaultKind::Crash, 170.0, 180.0),
        band("cut b1–b2", FaultKind::Network, 120.0, 260.0),
        band("rebalance of billing", FaultKind::Cluster, 200.0, 200.0),
        band("stall of b1's disk", FaultKind::Disk, 300.0, 340.0),
    ]);
    let mut unnamed = backlog(&[1.3, 1.4, 1.6], 20_000.0, 400.0);
    for (series, label) in unnamed.series.iter_mut().zip([LONG, "one duty each", "many duties <&> \u{1b}[31m"]) {
        (series.label, series.headroom) = (label.to_string(), None);
    }
    unnamed.faults.clear();
    unnamed.subject = LONG.repeat(3);
    let mut nothing = backlog(&[], 1.0, 60.0);
    nothing.faults.clear();
    vec![
        ("five", backlog(&[1.0, 1.2, 1.5, 2.0, 3.0], 100.0, 420.0)),
        ("faults", many_faults),
        ("six-digits", backlog(&[0.9, 1.0, 1.05], 15_000.0, 600.0)),
        ("together", backlog(&[1.5, 1.51, 1.52, 1.53, 1.54, 1.55], 100.0, 240.0)),
        ("unnamed", unnamed),
        ("one", backlog(&[1.5], 3.0, 230.0)),
        ("nothing", nothing),
    ]
}

fn matrices() -> Vec<(&'static str, OutcomesChart)> {
    let wide: Vec<OutcomeCell> = (0..6).map(|index| counted(123_456, index * 20_000, (index % 2) * 123_456)).collect();
    let rows = vec![(LONG, &wide[..]); 12];
    vec![
        (
            "acks",
            outcomes(
                &["orders (topic)", "stock (table)", "mail (endpoint)"],
                &[
                    ("0", &[counted(500, 41, 0), counted(500, 41, 0), counted(500, 44, 12)]),
                    ("1", &[counted(500, 7, 0), counted(500, 7, 3), counted(500, 7, 5)]),
                    ("all", &[counted(500, 0, 0), counted(500, 0, 0), counted(500, 0, 9)]),
                    ("all, idempotent", &[counted(500, 0, 0), counted(500, 0, 0), OutcomeCell::NotRun]),
                ],
            ),
        ),
        ("one", outcomes(&["stock"], &[("all", &[counted(12_000, 0, 0)])])),
        ("twelve", outcomes(&[LONG, "stock", LONG, "mail", "payment", "audit"], &rows)),
        ("nothing", outcomes(&["stock"], &[])),
    ]
}

/// All of them, drawn once for all tests.
fn figures() -> &'static [(String, Figure)] {
    static FIGURES: OnceLock<Vec<(String, Figure)>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let recoveries = recoveries().into_iter().map(|(name, chart)| (format!("recovery-{name}"), chart.draw()));
        let backlogs = backlogs().into_iter().map(|(name, chart)| (format!("backlog-{name}"), chart.draw()));
        let matrices = matrices().into_iter().map(|(name, chart)| (format!("outcomes-{name}"), chart.draw()));
        recoveries.chain(backlogs).chain(matrices).chain(super::fixtures::all()).collect()
    })
}

#[test]
fn no_text_touches_another_or_leaves_the_paper() {
    let mut ugly = Vec::new();
    for (name, figure) in figures() {
        if std::env::var_os("HIKYAKU_CHARTS").is_some() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/charts");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{name}.svg")), &figure.svg).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), &figure.png).unwrap();
            std::fs::write(folder.join(format!("{name}.csv")), &figure.csv).unwrap();
        }
        ugly.extend(figure.blemishes.iter().map(|blemish| format!("{name}: {blemish}")));
    }
    assert!(ugly.is_empty(), "{}", ugly.join("\n"));
}

#[test]
fn equal_data_gives_equal_bytes() {
    for again in [recoveries()[1].1.draw(), backlogs()[1].1.draw(), matrices()[0].1.draw()] {
        assert!(figures().iter().any(|(_, first)| *first == again), "`{}` is drawn differently again", again.title);
    }
}

/// The SVG of three charts, digested. When a change of the look is meant, look at the pictures and take the new digests.
#[test]
fn the_look_changes_only_on_purpose() {
    let digest = |figure: Figure| format!("{:016x}", twox_hash::XxHash3_64::oneshot(figure.svg.as_bytes()));
    let digests = [recoveries()[1].1.draw(), backlogs()[1].1.draw(), matrices()[0].1.draw()].map(digest);
    assert_eq!(digests, ["1c910ac0ce6cc91e", "bc25165d8af1a08e", "b75f542a9e853d32"]);
}

/// The picture in pixels as well. Equal in debug and release; other processors may round single pixels differently.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_pixels_change_only_on_purpose() {
    let digest = format!("{:016x}", twox_hash::XxHash3_64::oneshot(&backlogs()[1].1.draw().png));
    assert_eq!(digest, "5fd3b9e7c2092360");
}

#[test]
fn a_picture_needs_nothing_from_outside_and_speaks_to_everyone() {
    for (name, figure) in figures() {
        let svg = figure.svg.replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http", "href", "url(", "@import", "<script", "\u{1b}"] {
            assert!(!svg.contains(foreign), "{name} has {foreign}");
        }
        assert!(svg.contains("role=\"img\"") && svg.contains("prefers-color-scheme: dark"), "{name}");
        assert!(svg.contains("<title id=") && svg.contains("<desc id="), "{name}");
        assert_eq!(&figure.png[..4], b"\x89PNG");
    }
}

#[test]
fn different_charts_have_different_identifiers() {
    let identifier = |svg: &str| svg.split(" id=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    let identifiers: Vec<String> = figures().iter().map(|(_, figure)| identifier(&figure.svg)).collect();
    let unique: std::collections::BTreeSet<&String> = identifiers.iter().collect();
    assert_eq!(unique.len(), identifiers.len());
}

#[test]
fn tables_are_tidy() {
    for (name, figure) in figures() {
        let mut reader = csv::Reader::from_reader(figure.csv.as_bytes());
        let width = reader.headers().unwrap().len();
        assert!(reader.records().all(|record| record.unwrap().len() == width), "{name}");
    }
    let mut chart = recovery(&[1.5], 0.8, 2);
    chart.points[0].samples = vec![Some(12.5), None];
    assert_eq!(
        chart.draw().csv,
        "headroom,effective_headroom,run,recovered,recovery_seconds,theory_seconds,horizon_seconds\n\
         1.5,1.2000000000000002,0,true,12.5,299.9999999999997,600\n\
         1.5,1.2000000000000002,1,false,,299.9999999999997,600\n"
    );
    let matrix = outcomes(&["stock", "mail"], &[("0", &[counted(500, 7, 1), OutcomeCell::NotRun])]);
    assert_eq!(matrix.draw().csv, "row,place,of,lost,repeated\n0,stock,500,7,1\n0,mail,0,,\n");
    let shuffled = OutcomeCell::Counted(Counts { of: 500, repeated: 1, reordered: 3, ..Counts::default() });
    let matrix = outcomes(&["stock", "mail"], &[("0", &[shuffled, OutcomeCell::NotRun])]);
    assert_eq!(matrix.draw().csv, "row,place,of,lost,repeated,out_of_order\n0,stock,500,0,1,3\n0,mail,0,,,\n");
    let phantoms = OutcomeCell::Counted(Counts { of: 500, phantoms: 4, ..Counts::default() });
    let matrix = outcomes(&["stock"], &[("0", &[phantoms])]).draw();
    assert_eq!(matrix.csv, "row,place,of,lost,repeated,phantoms\n0,stock,500,0,0,4\n");
    assert!(matrix.description.contains("0 lost and 0 repeated of 500, 4 phantoms"), "{}", matrix.description);
}

#[test]
fn the_title_of_a_recovery_names_the_advised_headroom() {
    let title = |headrooms: &[f64], share, runs| recovery::title(&recovery(headrooms, share, runs));
    assert_eq!(title(&HEADROOMS, 1.0, 20), "1.5× headroom recovers from an outage of 60 s in 2 min 2 s (2.0× as long)");
    assert_eq!(
        title(&[1.0, 1.25, 3.0], 0.5, 20),
        "3.0× headroom recovers from an outage of 60 s in 2 min 2 s (2.0× as long); effective headroom is only 1.5×"
    );
    assert_eq!(
        title(&[1.0, 1.25], 1.0, 20),
        "1.25× headroom recovers from an outage of 60 s in 4 min 5 s (4.1× as long)"
    );
    assert_eq!(
        title(&[0.8, 1.0], 1.0, 5),
        "Not even 1.0× headroom always recovers from an outage of 60 s within 10 min"
    );
    assert_eq!(title(&[], 1.0, 0), "No run shows how an outage of 60 s is recovered from");
}

#[test]
fn a_run_that_did_not_recover_is_not_averaged_away() {
    let mut chart = recovery(&[1.5, 2.0], 1.0, 20);
    chart.points[0].samples[7] = None;
    assert!(recovery::title(&chart).starts_with("2.0× headroom recovers"));
    assert!(recovery::description(&chart).starts_with("1.5× (effective 1.5×): 19 of 20 runs recovered."));
}

#[test]
fn the_title_of_a_backlog_says_when_it_clears() {
    let title = |headrooms: &[f64]| backlog::title(&backlog(headrooms, 100.0, 420.0));
    assert_eq!(
        title(&[1.0, 1.2, 1.5, 2.0]),
        "At 1.5× the backlog clears 2 min after the fault; at 1.0× it does not clear in 7 min"
    );
    assert_eq!(title(&[2.0]), "At 2.0× the backlog clears 60 s after the fault");
    assert_eq!(title(&[0.9, 1.0]), "No backlog clears in 7 min");
    assert_eq!(title(&[1.0]), "At 1.0× the backlog does not clear in 7 min");
    assert_eq!(title(&[]), "No backlog was measured");
    let mut calm = backlog(&[1.0], 100.0, 420.0);
    calm.faults.clear();
    let of_calm = backlog::title(&calm);
    assert!(of_calm.starts_with("At 1.0× the backlog is ") && of_calm.ends_with(" at the end"), "{of_calm}");
    let mut during = backlog(&[1.5], 100.0, 420.0);
    during.faults.push(band("crash of b2", FaultKind::Crash, 100.0, 300.0));
    assert_eq!(backlog::title(&during), "At 1.5× the backlog clears at 3 min 30 s");
    let mut at_once = backlog(&[1.5], 100.0, 420.0);
    at_once.series[0].cleared_at = Some(at_once.faults[0].to + 0.007);
    assert_eq!(backlog::title(&at_once), "At 1.5× the fault leaves no backlog");
    let mut plain = backlog(&[1.5], 100.0, 420.0);
    (plain.series[0].headroom, plain.faults) = (None, vec![]);
    assert_eq!(backlog::title(&plain), "The backlog clears at 3 min 30 s");
}

#[test]
fn the_title_of_outcomes_names_who_survives_and_who_loses_most() {
    let (fine, lossy, repeating) = (counted(500, 0, 0), counted(500, 7, 0), counted(500, 0, 9));
    let title = |columns: &[&str], rows: &[(&str, &[OutcomeCell])]| outcomes::title(&outcomes(columns, rows));
    assert_eq!(
        title(&["stock", "mail"], &[("0", &[fine, lossy]), ("all", &[fine, fine])]),
        "acks = all is exact everywhere; acks = 0 loses 7 of 500 orders at mail"
    );
    assert_eq!(
        title(&["stock"], &[("0", &[lossy]), ("all", &[repeating])]),
        "acks = all loses nothing but repeats; acks = 0 loses 7 of 500 orders"
    );
    assert_eq!(
        title(&["stock"], &[("0", &[lossy]), ("all", &[OutcomeCell::NotRun])]),
        "acks = 0 loses 7 of 500 orders"
    );
    assert_eq!(title(&["stock"], &[("all", &[repeating])]), "Nothing is lost; acks = all repeats 9 of 500 orders");
    assert_eq!(
        title(&["a", "b"], &[("all", &[fine, fine])]),
        "Nothing is lost and nothing repeated at any of 2 places"
    );
    assert_eq!(
        title(&["stock"], &[("0", &[fine]), ("all", &[fine]), ("1", &[OutcomeCell::NotRun])]),
        "Nothing is lost and nothing repeated in any of 2 cells"
    );
    assert_eq!(
        title(&["a", "b", "c"], &[("0", &[fine, fine, fine]), ("all", &[fine, fine, fine])]),
        "Nothing is lost and nothing repeated in any of 2 cells at any of 3 places"
    );
    assert_eq!(title(&["stock"], &[("all", &[OutcomeCell::NotRun])]), "Nothing was run");
    let shuffled =
        |lost, repeated| OutcomeCell::Counted(Counts { of: 500, lost, repeated, reordered: 3, ..Counts::default() });
    assert_eq!(
        title(&["stock"], &[("0", &[shuffled(0, 0)]), ("all", &[fine])]),
        "acks = all is exact everywhere; acks = 0 reorders 3 of 500 orders"
    );
    assert_eq!(
        title(&["stock"], &[("0", &[shuffled(0, 9)]), ("all", &[fine])]),
        "Nothing is lost; acks = 0 repeats 9 and reorders 3 of 500 orders"
    );
    assert_eq!(
        title(&["a", "b"], &[("all", &[fine, fine]), ("0", &[lossy, shuffled(0, 0)])]),
        "acks = all is exact everywhere; acks = 0 loses 7 of 500 orders at a and reorders 3 at b"
    );
    // Neither lost nor repeated is not exact.
    let stale = OutcomeCell::Counted(Counts { of: 500, stale: 2, ..Counts::default() });
    assert_eq!(
        title(&["stock"], &[("0", &[stale]), ("all", &[fine])]),
        "acks = all is exact everywhere; acks = 0 leaves 2 of 500 orders stale"
    );
    assert_eq!(
        title(&["stock"], &[("0", &[lossy]), ("1", &[stale])]),
        "acks = 1 loses nothing; acks = 0 loses 7 of 500 orders"
    );
    // Of too many rows, one that goes stale is worse than one where nothing is wrong.
    let mut rows = vec![("fine", [fine]); 60];
    rows.push(("stale", [stale]));
    let rows: Vec<(&str, &[OutcomeCell])> = rows.iter().map(|(label, cells)| (*label, cells.as_slice())).collect();
    assert!(
        outcomes(&["stock"], &rows)
            .draw()
            .description
            .contains("stale at stock: 0 lost and 0 repeated of 500, 2 stale")
    );
    // What everybody repeats tells nobody apart.
    let often = counted(500, 0, 99);
    assert_eq!(
        title(&["a", "b"], &[("0", &[repeating, often]), ("all", &[fine, often])]),
        "acks = all is exact at a; acks = 0 repeats 9 of 500 orders at a"
    );
}

#[test]
fn decimation_keeps_the_spike_and_both_ends() {
    let mut points: Vec<(f64, f64)> = (0..100_000).map(|index| (f64::from(index), 1.0)).collect();
    points[54_321].1 = 9_000.0;
    points[54_400].1 = 0.0;
    let kept = backlog::decimated(&points, 2_000);
    assert!(kept.len() <= 2_000);
    for wanted in [points[0], points[54_321], points[54_400], points[99_999]] {
        assert!(kept.contains(&wanted), "{wanted:?} is gone");
    }
    assert!(kept.is_sorted_by(|one, other| one.0 < other.0));
}

fn story(lanes: usize, label: &str) -> SequenceChart {
    let marks = (0..lanes).flat_map(|lane| {
        let other = (lane + 1) % lanes;
        [
            SequenceMark::Arrow { from: lane, to: other },
            SequenceMark::Point { lane },
            SequenceMark::Strike { lane, down: lane % 2 == 0 },
            SequenceMark::Back { lane },
            SequenceMark::Gone { lane },
        ]
    });
    let row = |mark| SequenceRow { time: "1234.5678 s".to_string(), label: label.to_string(), mark };
    SequenceChart {
        title: "e57 is lost at orders: it was acknowledged and is not in the log of the current leader".to_string(),
        subtitle: "acks_1_loses, seed 7".to_string(),
        lanes: (1..=lanes).map(|lane| format!("broker-with-a-name-{lane}")).collect(),
        rows: marks.map(row).collect(),
        left_out: Some((2, 40)),
        footer: "hikyaku explain acks_1_loses:failure=crash:7:s1:9f2c01aa".to_string(),
    }
}

#[test]
fn a_story_stays_on_its_paper_with_any_number_of_processes() {
    for lanes in 1..=9 {
        for label in [
            "arrives",
            "appends it as leader: a-topic-with-a-long-name/12 offset 1234567, for a caller far away, and more",
            "",
        ] {
            let figure = story(lanes, label).draw();
            assert_eq!(figure.blemishes, Vec::<String>::new(), "{lanes} lanes, {label}");
            assert_eq!(figure, story(lanes, label).draw());
            assert_eq!(figure.csv.lines().count(), 1 + 5 * lanes);
        }
    }
}

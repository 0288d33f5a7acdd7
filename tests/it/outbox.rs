//! When the producer's duty is done: a row and a message in one request, and the relay of an outbox. Each way differs from
//! the others in one thing, and that thing decides.

use hikyaku::checks::{EvidenceKind, Verdict};
use hikyaku::explore::SeedRun;
use hikyaku::scenario::plan::Boundary;
use hikyaku::types::PlaceId;

use crate::common::{load, run_all};

const SCENARIO: &str = "scenarios/outbox_makes_the_dual_write_one.toml";

/// Runs of one way, and the place of the topic.
fn runs(way: &str, more: &[&str]) -> (Vec<SeedRun>, PlaceId) {
    let way = format!("way={way}");
    let sets: Vec<&str> = [way.as_str()].into_iter().chain(more.iter().copied()).collect();
    let family = load(SCENARIO, &sets);
    let topic = family.cells[0].plan(hikyaku::types::Seed(0)).topics[0].place;
    (run_all(&family, 0..3), topic)
}

/// Lost, repeated and phantom, over all seeds.
fn bad(way: &str, more: &[&str]) -> (u64, u64, u64) {
    let (runs, topic) = runs(way, more);
    let fates = runs.iter().flat_map(|run| run.outcome.places.iter().filter(|place| place.place == topic));
    fates.fold((0, 0, 0), |sum, place| (sum.0 + place.lost, sum.1 + place.repeated_harmful, sum.2 + place.phantoms))
}

#[test]
fn only_one_transaction_keeps_the_row_and_the_message_together() {
    let (lost, _, phantoms) = bad("row-first", &[]);
    assert!(0 < lost, "a crash behind the row");
    assert_eq!(phantoms, 0);
    let (lost, _, phantoms) = bad("message-first", &[]);
    assert!(0 < phantoms, "a crash behind the message");
    assert_eq!(lost, 0);
    for way in ["outbox", "commit-order"] {
        let (lost, repeated, phantoms) = bad(way, &[]);
        assert_eq!((lost, phantoms), (0, 0), "{way}");
        assert!(0 < repeated, "{way}: a relay that dies behind its publish repeats it");
    }
}

#[test]
fn a_reader_of_the_highest_number_skips_rows_without_any_fault() {
    let (runs, topic) = runs("highest-id", &[]);
    let mut skipped = 0;
    for run in &runs {
        assert_ne!(run.outcome.verdict, Verdict::Violated, "seed {}: {:?}", run.seed.0, run.outcome.reasons);
        let places = run.outcome.places.iter().filter(|place| place.place == topic);
        for evidence in places.flat_map(|place| &place.evidence).filter(|item| item.kind == EvidenceKind::Lost) {
            let blame = evidence.blame.as_ref().expect("every loss has a boundary");
            assert_eq!((blame.boundary, blame.cause), (Boundary::Group, None), "{}", evidence.message);
            assert!(evidence.message.contains("seen late"), "{}", evidence.message);
            skipped += 1;
        }
    }
    assert!(0 < skipped);
    // Where all transactions take the same time, rows are seen in the order of their numbers.
    assert_eq!(bad("highest-id", &["store.db.latency=4ms"]).0, 0);
}

#[test]
fn a_relay_that_marks_before_it_publishes_loses() {
    let (lost, repeated, _) = bad(
        "outbox",
        &[
            "service.relay.steps=[\"commit\", \"publish orders\"]",
            "fault.relay-dies.when=\"any 3 after(relay.commit)\"",
        ],
    );
    assert!(0 < lost);
    assert_eq!(repeated, 0);
}

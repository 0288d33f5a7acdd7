//! Partitions that are added while a topic is written: who learns of them when, and what is between.

use hikyaku::checks::Verdict;
use hikyaku::history::Happening;
use hikyaku::scenario::Family;
use hikyaku::scenario::plan::Boundary;
use hikyaku::types::note::Note;
use hikyaku::types::{Seed, Time};

use crate::common::{lost, parse, run_all, sum};

/// Orders of thirty customers arrive at a steady rate, and two of three partitions come late. Clients ask for metadata every second,
/// but `consumer` may ask less often.
fn family(reset: &str, protocol: &str, age: &str, others: &str) -> Family {
    let text = format!(
        r#"
format   = 1
about    = "Partitions are added: is an order skipped?"
duration = "20s"
[cluster]
brokers                    = 3
default-replication-factor = 3
min-insync-replicas        = 2
[topic.orders]
partitions = 1
[store.db]
tables = ["bookings"]
[service.shop]
on               = "requests"
rate             = "50/s"
keys             = 30
metadata-max-age = "1s"
steps            = ["publish orders", "respond ok"]
[service.booking]
on                = "consume orders"
instances         = 2
auto-offset-reset = "{reset}"
group-protocol    = "{protocol}"
metadata-max-age  = "{age}"
steps             = ["insert-if-absent db.bookings", "commit"]
[fault]
add = "at 5s set topic.orders.partitions to 3"
{others}
[expect]
db.bookings = "may-lose"
"#
    );
    parse("partitions", &text)
}

/// KAFKA-20539, KIP-1327: what was written to a new partition before the group knew of it is behind the end at which it begins.
#[test]
fn with_latest_what_was_written_before_the_group_knew_is_skipped() {
    let latest = run_all(&family("latest", "classic", "8s", ""), 0..3);
    assert!(sum(&latest, lost) > 50, "{} lost", sum(&latest, lost));
    for run in &latest {
        let blamed = run.outcome.places.iter().flat_map(|place| &place.blamed);
        assert!(blamed.clone().count() > 0);
        assert!(blamed.clone().all(|(boundary, _)| *boundary == Boundary::Group), "{:?}", run.outcome.places);
    }
    let earliest = run_all(&family("earliest", "classic", "8s", ""), 0..3);
    assert_eq!(sum(&earliest, lost), 0);
    assert!(earliest.iter().all(|run| run.outcome.verdict == Verdict::Holds));
}

/// In a consumer group the coordinator sees the topic grow, and members need not ask for metadata first. KIP-848.
#[test]
fn a_coordinator_that_assigns_gives_new_partitions_out_at_the_next_heartbeat() {
    let seconds = |protocol| {
        let plan = family("earliest", protocol, "8s", "").cells[0].plan(Seed(0));
        let mut assigned = None;
        hikyaku::world::run(&plan, |event| {
            if let Happening::Note(Note::Assigned { partitions, .. }) = &event.what
                && partitions.iter().any(|partition| 0 < partition.partition)
            {
                assigned = assigned.or(Some(event.time));
            }
        });
        assigned.expect("somebody reads the new partitions").since(Time::LOAD_START).as_seconds()
    };
    let (classic, consumer) = (seconds("classic"), seconds("consumer"));
    assert!(5.0 < consumer && consumer < 11.0 && consumer < classic, "{consumer} and {classic}");
}

/// Partitions outlive whoever was asked for them: brokers and controllers that start later know them from the metadata log.
#[test]
fn new_partitions_are_there_after_every_broker_was_restarted() {
    for run in run_all(&family("earliest", "classic", "1s", r#"down = "at 8s for 2s crash brokers""#), 0..3) {
        assert_eq!(run.outcome.verdict, Verdict::Holds, "{:?}", run.outcome.reasons);
        assert_eq!(run.outcome.invariant_violations, []);
    }
}

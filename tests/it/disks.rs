//! Disks that are full, and disks that rot: what a single replica loses and three do not.

use std::ops::Range;

use hikyaku::checks::RunOutcome;
use hikyaku::explore::SeedRun;
use hikyaku::scenario::plan::Boundary;

use crate::common::{lost, parse, run_all, sum};

const SEEDS: Range<u64> = 0..6;

/// Everything is on the medium a second after it was written, so that a power loss alone takes little.
fn runs(brokers: u16, faults: &str) -> Vec<SeedRun> {
    let text = format!(
        r#"
format   = 1
about    = "A disk is full, or its bits change: is an order lost?"
duration = "40s"
seeds    = 6

[cluster]
brokers                    = {brokers}
default-replication-factor = {brokers}
min-insync-replicas        = {}

[disk]
write-back = "1s"

[topic.orders]

[service.shop]
on               = "requests"
rate             = "50/s"
workers          = 1000
request-timeout  = "1s"
delivery-timeout = "3s"
steps            = ["publish orders", "respond ok"]

[fault]
{faults}

[expect]
orders = {{ delivery = "best-effort", phantoms = "any" }}
"#,
        brokers.min(2)
    );
    let runs = run_all(&parse("disks", &text), SEEDS);
    for run in &runs {
        assert_eq!(run.outcome.invariant_violations, [], "seed {}", run.seed.0);
    }
    runs
}

#[test]
fn bits_that_rot_are_found_when_power_was_lost_and_cost_what_only_one_replica_had() {
    let (rot, power) = ("rot = \"at 20s rot broker(1)\"\n", "power = \"at 25s for 3s lose-power broker(1)\"");
    assert_eq!(sum(&runs(1, rot), lost), 0, "the page cache hides them");
    let with_power_alone = sum(&runs(1, power), lost);
    let both = runs(1, &format!("{rot}{power}"));
    assert!(10 * with_power_alone < sum(&both, lost), "{with_power_alone} of {}", sum(&both, lost));
    let blamed =
        |outcome: &RunOutcome| outcome.places.iter().flat_map(|place| place.blamed.clone()).collect::<Vec<_>>();
    assert!(both.iter().flat_map(|run| blamed(&run.outcome)).all(|(boundary, _)| boundary == Boundary::Queue));
    assert_eq!(sum(&runs(3, &format!("{rot}{power}")), lost), 0, "the others have it");
}

#[test]
fn a_full_disk_refuses_where_it_is_the_only_one_and_loses_nothing() {
    let full = "full = \"at 20s for 10s fill-disk broker(1)\"";
    let (alone, three) = (runs(1, full), runs(3, full));
    assert_eq!((sum(&alone, lost), sum(&three, lost)), (0, 0));
    let accepted = |outcome: &RunOutcome| outcome.places[0].expected;
    let (alone, three) = (sum(&alone, accepted), sum(&three, accepted));
    assert!(10 * alone < 9 * three, "{alone} of {three}");
}

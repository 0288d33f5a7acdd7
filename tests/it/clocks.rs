//! Clocks that are wrong, where somebody reads them: a lease runs out by the clock of its database.

use crate::common::{lost, parse, repeated, run_all, sum};

/// A worker freezes with a row on lease for eight of its ten seconds, and another one waits for the row meanwhile.
fn worker(faults: &str) -> String {
    format!(
        r#"
format   = 1
about    = "A lease outlasts a pause: does one take over who should not?"
duration = "40s"
seeds    = 6

[cluster]
brokers = 1

[topic.jobs]
partitions = 2

[store.db]
tables = ["seen", "effects"]

[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish jobs", "respond ok"]

[service.worker]
on                = "consume jobs"
instances         = 2
auto-offset-reset = "earliest"
session-timeout   = "6s"
steps             = ["insert-if-absent db.seen lease 10s", "work 2ms", "add db.effects", "work 2ms", "confirm db.seen", "commit every batch"]

[fault]
pause = "when 50th before(worker.add) for 8s pause self"
{faults}

[expect]
db.effects = "exactly-once"
"#
    )
}

#[test]
fn a_lease_runs_out_when_the_clock_of_its_database_jumps() {
    let runs = |faults: &str| run_all(&parse("lease", &worker(faults)), 0..6);
    let (steady, jumped) = (runs(""), runs("jump = \"when fired(pause) +1s jump db by 20s\""));
    assert_eq!((sum(&steady, lost), sum(&steady, repeated)), (0, 0));
    assert_eq!(sum(&jumped, lost), 0);
    assert!(sum(&jumped, repeated) > 0, "nobody took over who should have waited");
}

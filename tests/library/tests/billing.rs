//! What a team asserts about its own program.

use hikyaku::{Scenario, Verdict};

fn scenario() -> Scenario {
    Scenario::load("scenarios/billing.toml")
}

#[test]
fn billing_never_charges_twice_and_forgets_nobody() {
    let report = scenario().handler("billing", billing::bill).run();
    report.assert_holds();
    let redelivered: u64 = report.outcomes().map(|outcome| outcome.counters.redeliveries).sum();
    assert!(0 < redelivered, "the crashes did not make it repeat anything: this proved little");
}

#[test]
fn a_commit_before_the_invoice_is_caught() {
    let report = scenario().handler("billing", billing::bill_hastily).seeds(0..10).run();
    assert_eq!(report.verdict(), Verdict::Violated, "{report}");
    let failure = &report.failures()[0];
    // A record behind the committed offset is never delivered again: the promise between queue and group.
    assert_eq!(failure.signatures[0].to_string(), "db.invoices loss · group · crashed");
    assert_eq!(
        failure.replay,
        format!("HIKYAKU_SEED={} cargo test a_commit_before_the_invoice_is_caught", failure.seed)
    );
}

#[test]
fn one_seed_is_one_run() {
    let sweep = |jobs| {
        let report = scenario().handler("billing", billing::bill).seeds(3..6).jobs(jobs).run();
        report.digests().map(|(_, seed, digest)| (seed, digest)).collect::<Vec<_>>()
    };
    assert_eq!(sweep(1), sweep(2));
}

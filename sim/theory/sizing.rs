//! Sizing: the recovery formulas turned round, and what eats headroom before it counts.
//!
//! Sources: Young (1974) and Daly (2006) for the useful share of a process that crashes and repeats; the rest is
//! [`super::recovery`] solved for the headroom.

use libm::{exp, pow};

/// Headroom needed to recover within `objective` from an outage that takes `detection` to notice, with `pauses`
/// rebalances of `length` on the way. `None`: no headroom does it.
pub fn headroom_for_recovery(outage: f64, detection: f64, objective: f64, pauses: f64, length: f64) -> Option<f64> {
    let useful = objective - pauses * length;
    (useful > 0.0).then(|| (objective + outage + detection) / useful)
}

/// Headroom needed to keep a share `target` of a `period` fresher than `objective` through `outages` of one length.
/// `None`: no headroom does it.
pub fn headroom_for_freshness(period: f64, target: f64, outages: f64, outage: f64, objective: f64) -> Option<f64> {
    let budget = (1.0 - target) * period / (outages * (outage - objective));
    (budget > 1.0).then(|| budget / (budget - 1.0))
}

/// Attempts for each message when a share `failing` of attempts fails and each is retried at most `retries` times.
pub fn attempts_per_message(failing: f64, retries: u32) -> f64 {
    (1.0 - pow(failing, f64::from(retries) + 1.0)) / (1.0 - failing)
}

/// Share of messages that fail all attempts.
pub fn exhausted_share(failing: f64, retries: u32) -> f64 {
    pow(failing, f64::from(retries) + 1.0)
}

/// Share of a process's time that counts when it crashes on average every `between_crashes`, stays `down`, and repeats
/// what it did since its last commit, `commit_interval` apart.
pub fn useful_share(between_crashes: f64, commit_interval: f64, down: f64) -> f64 {
    let crashes_per_interval = commit_interval / between_crashes;
    crashes_per_interval / (exp(crashes_per_interval) - 1.0) / (1.0 + down / between_crashes)
}

/// What becomes of a record whose producer retries without idempotence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryingProducer {
    pub appends_per_message: f64,
    pub never_appended: f64,
    pub reported_failed: f64,
    /// Ambiguous: reported as failed, and stored.
    pub failed_but_stored: f64,
}

/// `request_lost` and `answer_lost` are probabilities of each attempt.
pub fn retrying_producer(request_lost: f64, answer_lost: f64, retries: u32) -> RetryingProducer {
    let attempts = f64::from(retries) + 1.0;
    let fails = 1.0 - (1.0 - request_lost) * (1.0 - answer_lost);
    let (never_appended, reported_failed) = (pow(request_lost, attempts), pow(fails, attempts));
    RetryingProducer {
        appends_per_message: (1.0 - request_lost) * (1.0 - reported_failed) / (1.0 - fails),
        never_appended,
        reported_failed,
        failed_but_stored: reported_failed - never_appended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::statistics::assert_close;

    #[test]
    fn headroom_for_objectives() {
        assert_close(headroom_for_recovery(600.0, 45.0, 900.0, 2.0, 30.0).unwrap(), 1.839_285_7, 1e-7);
        assert_close(headroom_for_freshness(2_592_000.0, 0.999, 1.0, 900.0, 60.0).unwrap(), 1.479_452_1, 1e-7);
        assert_close(headroom_for_freshness(2_592_000.0, 0.999, 2.0, 900.0, 60.0).unwrap(), 2.842, 1e-3);
        assert_eq!(headroom_for_freshness(2_592_000.0, 0.999, 4.0, 900.0, 60.0), None);
        assert_eq!(headroom_for_recovery(600.0, 45.0, 60.0, 2.0, 30.0), None);
    }

    #[test]
    fn what_eats_headroom() {
        assert_close(attempts_per_message(0.2, 3), 1.248, 1e-9);
        assert_close(exhausted_share(0.2, 3), 0.0016, 1e-9);
        assert_close(useful_share(60.0, 30.0, 10.0), 0.660_640_32, 1e-7);
        assert_close(1.5 / attempts_per_message(0.2, 3), 1.201_923_1, 1e-7);
    }

    #[test]
    fn a_retrying_producer_stores_what_it_reports_as_failed() {
        let acks_lost = retrying_producer(0.0, 0.1, 3);
        assert_close(acks_lost.appends_per_message, 1.111, 1e-9);
        assert_eq!(acks_lost.never_appended, 0.0);
        assert_close(acks_lost.failed_but_stored, 0.0001, 1e-9);
        let both_lost = retrying_producer(0.05, 0.1, 3);
        assert_close(both_lost.appends_per_message, 1.110_619_9, 1e-7);
        assert_close(both_lost.never_appended, 6.25e-6, 1e-9);
        assert_close(both_lost.reported_failed, 0.000_442_050_63, 1e-7);
        assert_close(both_lost.failed_but_stored, 0.000_435_800_63, 1e-7);
    }
}

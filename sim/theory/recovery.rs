//! Draining a backlog: how long, how much, and how much it scatters.
//!
//! The one idea: a backlog of `outage` seconds drains at `headroom - 1` seconds per second, whatever the rate. Noise
//! leaves the mean as it is (a drain is a compound Poisson sum of busy periods), and the group recovers with its
//! slowest partition. At or below a headroom of one nothing ever drains: the answer is `None`, never a number.
//!
//! Sources: Newell (1971) chapter 2 for the fluid limit; Kleinrock vol. 1 section 5.8 and Takacs (1962) for busy
//! periods; Kendall (1957) and Takacs for the generalised Borel-Tanner distribution.

use libm::{exp, lgamma, log, sqrt};

use super::statistics::{expected_maximum, normal_maximum};

// --- fluid limit ---

/// Messages waiting when processing can begin again.
pub fn peak_backlog(arrival_rate: f64, outage: f64) -> f64 {
    arrival_rate * outage
}

/// From the instant processing can begin again until nothing is left. Also the exact mean under Poisson arrivals.
pub fn recovery_time(outage: f64, headroom: f64) -> Option<f64> {
    (headroom > 1.0).then(|| outage / (headroom - 1.0))
}

/// The same with `pauses` stop-the-world pauses of `length` during recovery.
pub fn recovery_time_with_pauses(outage: f64, headroom: f64, pauses: f64, length: f64) -> Option<f64> {
    (headroom > 1.0).then(|| (outage + headroom * pauses * length) / (headroom - 1.0))
}

/// After a queue was unavailable: producers catch up at `burst` times the rate, consumers at `headroom` times.
pub fn failover_recovery_time(unavailable: f64, burst: f64, headroom: f64) -> Option<f64> {
    recovery_time(unavailable, burst.min(headroom))
}

/// Integral of the backlog over outage and recovery.
pub fn message_seconds(arrival_rate: f64, outage: f64, headroom: f64) -> Option<f64> {
    (headroom > 1.0).then(|| arrival_rate * outage * outage * headroom / (2.0 * (headroom - 1.0)))
}

/// Messages that wait at all.
pub fn messages_delayed(arrival_rate: f64, outage: f64, headroom: f64) -> Option<f64> {
    messages_later_than(arrival_rate, outage, headroom, 0.0)
}

/// Messages that wait longer than `objective`.
pub fn messages_later_than(arrival_rate: f64, outage: f64, headroom: f64, objective: f64) -> Option<f64> {
    (headroom > 1.0).then(|| arrival_rate * (outage - objective).max(0.0) * headroom / (headroom - 1.0))
}

/// From the end of the outage until the message being processed is no older than `objective`.
pub fn time_to_freshness(outage: f64, headroom: f64, objective: f64) -> Option<f64> {
    recovery_time((outage - objective).max(0.0), headroom)
}

/// Age of the message being processed, `after` the end of the outage.
pub fn age(outage: f64, headroom: f64, after: f64) -> f64 {
    (outage - (headroom - 1.0) * after).max(0.0)
}

/// Most and least that retention removes unread during an outage; whole closed segments go at checks.
pub fn lost_to_retention(arrival_rate: f64, outage: f64, retention: f64, segment: f64, check: f64) -> (f64, f64) {
    let most = arrival_rate * (outage - retention).max(0.0);
    let least = arrival_rate * (outage - retention - segment - check).max(0.0);
    (least, most)
}

// --- variability ---

/// Variance of the drain time from empty, Poisson arrivals, by the second moment of the service time.
pub fn recovery_variance(arrival_rate: f64, outage: f64, headroom: f64, service_second_moment: f64) -> Option<f64> {
    let idle = idle_share(headroom)?;
    Some(arrival_rate * outage * service_second_moment / (idle * idle * idle))
}

/// Coefficient of variation of the drain time by those (squared) of arrivals and service.
pub fn recovery_variation(
    arrival_rate: f64,
    outage: f64,
    headroom: f64,
    arrivals_squared: f64,
    service_squared: f64,
) -> Option<f64> {
    idle_share(headroom)?;
    Some(sqrt((arrivals_squared + service_squared) * headroom / ((headroom - 1.0) * arrival_rate * outage)))
}

/// Mean drain time of an outage that begins in the steady state of M/M/1 instead of empty.
pub fn recovery_time_from_steady_state(arrival_rate: f64, service_rate: f64, outage: f64) -> Option<f64> {
    let load = arrival_rate / service_rate;
    (load < 1.0).then(|| (arrival_rate * outage + load / (1.0 - load)) / (service_rate - arrival_rate))
}

/// Mean recovery of a group: the slowest of `partitions` equal ones, by the normal approximation.
pub fn group_recovery_time(partition_mean: f64, partition_deviation: f64, partitions: u32) -> f64 {
    partition_mean + partition_deviation * normal_maximum(partitions)
}

/// Drain time of M/D/1 from empty, as points (seconds) and probabilities: N messages with P(N = n) =
/// outage/(outage + n·service) · Poisson(n; arrival rate·(outage + n·service)), and the time is N·service.
pub fn md1_recovery_distribution(arrival_rate: f64, service: f64, outage: f64) -> (Vec<f64>, Vec<f64>) {
    let load = arrival_rate * service;
    assert!(load < 1.0, "an overloaded queue has no drain time");
    let mean = arrival_rate * outage / (1.0 - load);
    let deviation = sqrt(arrival_rate * outage / (1.0 - load).powi(3));
    let last = (mean + 12.0 * deviation + 20.0) as u64;
    let probability = |n: u64| {
        let span = outage + n as f64 * service;
        let expected = arrival_rate * span;
        outage / span * exp(n as f64 * log(expected) - expected - lgamma(n as f64 + 1.0))
    };
    (0..=last).map(|n| (n as f64 * service, probability(n))).unzip()
}

/// Exact mean recovery of a group of equal M/D/1 partitions.
pub fn md1_group_recovery_time(arrival_rate: f64, service: f64, outage: f64, partitions: u32) -> f64 {
    let (points, probabilities) = md1_recovery_distribution(arrival_rate, service, outage);
    expected_maximum(&points, &probabilities, partitions)
}

// --- headroom that counts ---

/// Partitions of the most loaded of `consumers`, dealt as evenly as possible.
pub fn partitions_of_most_loaded(partitions: u32, consumers: u32) -> u32 {
    assert!(consumers > 0, "a group without consumers");
    partitions.div_ceil(consumers)
}

/// Headroom of the most loaded consumer: h·P/(C·⌈P/C⌉); surplus consumers idle.
pub fn effective_headroom(headroom: f64, partitions: u32, consumers: u32) -> f64 {
    let most = partitions_of_most_loaded(partitions, consumers);
    headroom * f64::from(partitions) / (f64::from(consumers) * f64::from(most))
}

/// Headroom of a consumer that carries `share` of the arrivals with the capacity `consumer_rate`.
pub fn headroom_of_share(consumer_rate: f64, arrival_rate: f64, share: f64) -> f64 {
    consumer_rate / (arrival_rate * share)
}

/// Headroom left by stop-the-world pauses of `length` at a long-run `rate`.
pub fn headroom_with_pauses(headroom: f64, rate: f64, length: f64) -> f64 {
    headroom * (1.0 - rate * length)
}

fn idle_share(headroom: f64) -> Option<f64> {
    (headroom > 1.0).then(|| 1.0 - 1.0 / headroom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::statistics::assert_close;

    #[test]
    fn a_fluid_backlog_drains_in_outage_over_headroom_less_one() {
        assert_close(peak_backlog(1000.0, 60.0), 60_000.0, 1e-12);
        assert_close(recovery_time(60.0, 1.5).unwrap(), 120.0, 1e-12);
        assert_close(recovery_time(30.0, 1.1).unwrap(), 300.0, 1e-9);
        assert_close(message_seconds(1000.0, 60.0, 1.5).unwrap(), 5_400_000.0, 1e-12);
        assert_close(message_seconds(500.0, 30.0, 1.1).unwrap(), 2_475_000.0, 1e-9);
        assert_close(messages_delayed(1000.0, 60.0, 2.0).unwrap(), 120_000.0, 1e-12);
        assert_close(recovery_time_with_pauses(300.0, 1.5, 3.0, 20.0).unwrap(), 780.0, 1e-12);
        assert_close(failover_recovery_time(60.0, 4.0, 1.5).unwrap(), 120.0, 1e-12);
    }

    #[test]
    fn at_or_below_one_nothing_drains() {
        assert_eq!(recovery_time(60.0, 1.0), None);
        assert_eq!(message_seconds(10.0, 60.0, 0.9), None);
        assert_eq!(recovery_variance(10.0, 60.0, 1.0, 0.1), None);
        assert_eq!(recovery_time_from_steady_state(10.0, 10.0, 60.0), None);
    }

    #[test]
    fn freshness_comes_back_before_the_backlog_is_gone() {
        assert_close(time_to_freshness(300.0, 1.5, 30.0).unwrap(), 540.0, 1e-12);
        assert_close(messages_later_than(500.0, 300.0, 1.5, 30.0).unwrap(), 405_000.0, 1e-12);
        assert_close(age(300.0, 1.5, 100.0), 250.0, 1e-12);
    }

    #[test]
    fn drain_times_scatter_as_compound_poisson() {
        // Exponential service: second moment 2/rate². Deterministic: 1/rate².
        let deviation = |rate, headroom: f64, outage, second: f64| {
            sqrt(recovery_variance(rate, outage, headroom, second / (rate * headroom).powi(2)).unwrap())
        };
        assert_close(deviation(100.0, 1.5, 60.0, 2.0), 3.794_733_2, 1e-7);
        assert_close(deviation(100.0, 1.25, 60.0, 2.0), 9.797_959, 1e-7);
        assert_close(deviation(20.0, 1.2, 30.0, 2.0), 21.213_203, 1e-7);
        assert_close(deviation(100.0, 1.5, 60.0, 1.0), 2.683_281_6, 1e-7);
        assert_close(recovery_variation(100.0, 60.0, 1.5, 1.0, 1.0).unwrap(), 0.031_622_777, 1e-7);
        assert_close(recovery_variation(10.0, 60.0, 1.1, 1.0, 1.0).unwrap(), 0.192, 3e-3);
    }

    #[test]
    fn the_group_recovers_with_its_slowest_partition() {
        assert_close(md1_group_recovery_time(10.0, 1.0 / 15.0, 60.0, 12), 134.278_14, 1e-6);
        assert_close(group_recovery_time(120.0, 8.485_28, 12), 133.8, 1e-3);
        assert_close(group_recovery_time(120.0, 12.0, 12), 139.6, 1e-3);
        let (_, probabilities) = md1_recovery_distribution(10.0, 1.0 / 15.0, 60.0);
        assert_close(probabilities.iter().sum::<f64>(), 1.0, 1e-9);
    }

    #[test]
    fn consumers_that_do_not_divide_the_partitions_waste_headroom() {
        let shares = [(3, 1.0), (5, 0.8), (7, 0.857), (8, 0.75), (9, 0.667), (10, 0.6), (11, 0.545), (12, 1.0)];
        for (consumers, share) in shares {
            assert_close(effective_headroom(1.0, 12, consumers), share, 1e-3);
        }
        assert_close(effective_headroom(1.0, 12, 14), 0.857, 1e-3);
        assert_close(effective_headroom(1.5, 12, 5), 1.2, 1e-9);
        assert_close(effective_headroom(1.75, 12, 8), 1.3125, 1e-9);
        assert_eq!(partitions_of_most_loaded(12, 5), 3);
        assert_close(headroom_of_share(30.0, 120.0, 0.2), 1.25, 1e-12);
        assert_close(headroom_with_pauses(1.5, 0.01, 20.0), 1.2, 1e-12);
    }

    #[test]
    fn retention_shorter_than_the_outage_loses() {
        let (least, most) = lost_to_retention(100.0, 120.0, 60.0, 1.0, 1.0);
        assert_close(most, 6000.0, 1e-12);
        assert_close(least, 5800.0, 1e-12);
    }

    #[test]
    fn an_outage_in_steady_state_starts_with_a_few_messages() {
        assert_close(recovery_time_from_steady_state(100.0, 150.0, 60.0).unwrap(), 120.04, 1e-9);
    }
}

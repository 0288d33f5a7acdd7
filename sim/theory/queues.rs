//! Waiting in steady state: one queue, one server, Poisson arrivals; and the pooled queue that Kafka does not have.
//!
//! Every wait is from the instant a message can be taken to the instant its processing begins. A load of one or more
//! has no steady state; the answer is then `None`, never a number.
//!
//! Source: Kleinrock vol. 1, chapters 3 (M/M/1, M/M/c) and 5 (M/G/1, Pollaczek and Khinchine); Allen, *Probability, Statistics and
//! Queueing Theory* (1990), for general queues.

use libm::{log, sqrt};

/// Mean wait in M/M/1.
pub fn mm1_wait(arrival_rate: f64, service_rate: f64) -> Option<f64> {
    let load = stable_load(arrival_rate, service_rate)?;
    Some(load / (service_rate - arrival_rate))
}

/// Wait in M/M/1 that a share `quantile` of messages does not exceed; zero while that share does not wait at all.
pub fn mm1_wait_quantile(arrival_rate: f64, service_rate: f64, quantile: f64) -> Option<f64> {
    let load = stable_load(arrival_rate, service_rate)?;
    let wait = log(load / (1.0 - quantile)) / (service_rate - arrival_rate);
    Some(wait.max(0.0))
}

/// Mean number of messages in M/M/1, the one in service included.
pub fn mm1_in_system(arrival_rate: f64, service_rate: f64) -> Option<f64> {
    let load = stable_load(arrival_rate, service_rate)?;
    Some(load / (1.0 - load))
}

/// Mean wait in M/D/1: half of M/M/1.
pub fn md1_wait(arrival_rate: f64, service_rate: f64) -> Option<f64> {
    mm1_wait(arrival_rate, service_rate).map(|wait| wait / 2.0)
}

/// Mean wait in M/G/1 by the first two moments of the service time (Pollaczek and Khinchine).
pub fn mg1_wait(arrival_rate: f64, service_mean: f64, service_second_moment: f64) -> Option<f64> {
    let load = arrival_rate * service_mean;
    if load >= 1.0 {
        return None;
    }
    Some(arrival_rate * service_second_moment / (2.0 * (1.0 - load)))
}

/// Mean wait in G/G/1 by the squared coefficients of variation of arrivals and service (Allen and Cunneen): exact for M/G/1.
pub fn general_wait(arrival_rate: f64, service_rate: f64, arrivals: f64, service: f64) -> Option<f64> {
    let load = stable_load(arrival_rate, service_rate)?;
    Some(load / (1.0 - load) * (arrivals + service) / 2.0 / service_rate)
}

/// Wait in G/G/1 that a share `quantile` does not exceed, for an exponential tail with that mean: exact for M/M/1.
pub fn general_wait_quantile(
    arrival_rate: f64,
    service_rate: f64,
    arrivals: f64,
    service: f64,
    quantile: f64,
) -> Option<f64> {
    let load = stable_load(arrival_rate, service_rate)?;
    let mean = general_wait(arrival_rate, service_rate, arrivals, service)?;
    Some((mean / load * log(load / (1.0 - quantile))).max(0.0))
}

/// Variance of the wait in M/G/1 by the first three moments of the service time (Takacs' recursion).
pub fn mg1_wait_variance(arrival_rate: f64, mean: f64, second: f64, third: f64) -> Option<f64> {
    let wait = mg1_wait(arrival_rate, mean, second)?;
    Some(wait * wait + arrival_rate * third / (3.0 * (1.0 - arrival_rate * mean)))
}

/// Mean wait in M/M/c: one queue for all servers, which a partitioned topic is not.
pub fn mmc_wait(arrival_rate: f64, service_rate: f64, servers: u32) -> Option<f64> {
    let capacity = service_rate * f64::from(servers);
    stable_load(arrival_rate, capacity)?;
    Some(erlang_c(arrival_rate / service_rate, servers) / (capacity - arrival_rate))
}

/// After several of these the start of a run has been forgotten.
pub fn relaxation_time(arrival_rate: f64, service_rate: f64) -> Option<f64> {
    stable_load(arrival_rate, service_rate)?;
    let gap = sqrt(service_rate) - sqrt(arrival_rate);
    Some(1.0 / (gap * gap))
}

/// Probability of having to wait for one of `servers` under an offered load (in servers).
fn erlang_c(offered: f64, servers: u32) -> f64 {
    // Erlang B by its recursion, which neither overflows nor cancels; C follows from it.
    let blocked = (1..=servers).fold(1.0, |blocked, n| offered * blocked / (f64::from(n) + offered * blocked));
    let servers = f64::from(servers);
    servers * blocked / (servers - offered * (1.0 - blocked))
}

fn stable_load(arrival_rate: f64, service_rate: f64) -> Option<f64> {
    let load = arrival_rate / service_rate;
    (load < 1.0).then_some(load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::statistics::assert_close;

    #[test]
    fn mm1_at_headroom_one_and_a_quarter() {
        assert_close(mm1_wait(80.0, 100.0).unwrap(), 0.04, 1e-9);
        assert_close(mm1_wait_quantile(80.0, 100.0, 0.99).unwrap(), 0.219_101_33, 1e-7);
        assert_close(mm1_in_system(80.0, 100.0).unwrap(), 4.0, 1e-9);
    }

    #[test]
    fn mm1_at_headroom_one_and_a_half() {
        assert_close(mm1_wait(66.666667, 100.0).unwrap(), 0.02, 1e-7);
        assert_close(mm1_wait_quantile(66.666667, 100.0, 0.99).unwrap(), 0.125_991_15, 1e-6);
        assert_close(mm1_in_system(66.666667, 100.0).unwrap(), 2.0, 1e-7);
    }

    #[test]
    fn deterministic_service_halves_the_wait() {
        assert_close(md1_wait(66.666667, 100.0).unwrap(), 0.01, 1e-7);
        assert_close(mg1_wait(66.666667, 0.01, 0.0001).unwrap(), 0.01, 1e-7);
        assert_close(mg1_wait(80.0, 0.01, 0.0002).unwrap(), mm1_wait(80.0, 100.0).unwrap(), 1e-12);
    }

    #[test]
    fn the_general_queue_is_exact_where_the_others_are() {
        assert_close(general_wait(80.0, 100.0, 1.0, 1.0).unwrap(), mm1_wait(80.0, 100.0).unwrap(), 1e-12);
        assert_close(general_wait(80.0, 100.0, 1.0, 0.0).unwrap(), md1_wait(80.0, 100.0).unwrap(), 1e-12);
        assert_eq!(general_wait(80.0, 100.0, 0.0, 0.0), Some(0.0));
        let quantile = general_wait_quantile(80.0, 100.0, 1.0, 1.0, 0.99).unwrap();
        assert_close(quantile, mm1_wait_quantile(80.0, 100.0, 0.99).unwrap(), 1e-12);
        assert_eq!(general_wait_quantile(100.0, 100.0, 1.0, 1.0, 0.99), None);
    }

    #[test]
    fn the_variance_of_an_exponential_queue_is_its_closed_form() {
        // M/M/1: Var[Wq] = load (2 - load) / (service rate - arrival rate)^2.
        let closed = 0.8 * 1.2 / 400.0;
        assert_close(mg1_wait_variance(80.0, 0.01, 2e-4, 6e-6).unwrap(), closed, 1e-9);
    }

    #[test]
    fn partitioning_gives_up_pooling() {
        assert_close(mm1_wait(16.0, 20.0).unwrap(), 0.2, 1e-9);
        assert_close(mmc_wait(80.0, 20.0, 5).unwrap(), 0.027_705_628, 1e-7);
    }

    #[test]
    fn a_full_load_has_no_steady_state() {
        assert_eq!(mm1_wait(100.0, 100.0), None);
        assert_eq!(mg1_wait(100.0, 0.02, 0.1), None);
        assert_eq!(mmc_wait(100.0, 20.0, 5), None);
        assert_eq!(relaxation_time(100.0, 99.0), None);
    }
}

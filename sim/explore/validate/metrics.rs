//! The metrics that a case may name, and how each is measured over its runs.
//!
//! Times are seconds of the simulation, turned into those of the case at the end. A name may carry a remark in brackets.

use super::Ran;
use super::gauge::Gauge;
use super::station::{Failures, Station};
use crate::checks::{ConsumingMetrics, RecoveryTime};
use crate::theory::statistics::mean_and_deviation;
use crate::types::{Duration, Time};

/// A measured value, with the number of independent samples of yes or no behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub value: f64,
    pub samples: u64,
}

/// The metric over the runs of a case: of one run its value, of several the statistic that the name asks for.
pub fn measure(metric: &str, unit: &str, station: &Station, runs: &[Ran]) -> Result<Value, String> {
    let name = metric.split(" (").next().unwrap_or(metric).trim();
    let in_unit = station.time_scale / if unit == "h" { 3600.0 } else { 1.0 };
    let over_runs = |of: &dyn Fn(&Ran) -> Result<f64, String>| -> Result<f64, String> {
        let values: Result<Vec<f64>, String> = runs.iter().map(of).collect();
        mean(&values?)
    };
    let consuming = |of: fn(&ConsumingMetrics) -> f64| over_runs(&|run| Ok(of(consuming_of(run)?)));
    let gauged = |of: &dyn Fn(&Gauge) -> f64| over_runs(&|run| Ok(of(&run.gauge)));
    let group = || -> Result<Vec<f64>, String> { runs.iter().map(recovery).collect() };
    let partitions = || -> Result<Vec<f64>, String> {
        Ok(runs.iter().map(recoveries).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    // Redone at most once in a run, each record counts once.
    let redone = || -> Vec<f64> {
        runs.iter().map(|run| (run.gauge.whole().flows - run.gauge.whole().records) as f64).collect()
    };
    let value = match name {
        "mean_wait_in_queue" => consuming(|metrics| metrics.wait.mean_seconds)? * in_unit,
        "p50_wait_in_queue" => consuming(|metrics| metrics.wait.p50.as_seconds())? * in_unit,
        "p95_wait_in_queue" => consuming(|metrics| metrics.wait.p95.as_seconds())? * in_unit,
        "p99_wait_in_queue" => consuming(|metrics| metrics.wait.p99.as_seconds())? * in_unit,
        "mean_in_system" => consuming(|metrics| metrics.mean_in_system)?,
        "abs(integral_of_backlog_dt - sum_of_sojourn_times)" => {
            consuming(|metrics| metrics.message_nanoseconds.abs_diff(metrics.sojourn_nanoseconds) as f64 / 1e9)?
        }
        "peak_backlog" => consuming(|metrics| metrics.peak_backlog as f64)?,
        "message_seconds_of_backlog" => consuming(|metrics| metrics.message_nanoseconds as f64 / 1e9)? * in_unit,
        "messages_delayed" => consuming(|metrics| metrics.delayed as f64)?,
        "messages_later_than_slo" => {
            station.freshness.ok_or("no objective of freshness is stated")?;
            gauged(&|gauge| gauge.whole().late as f64)?
        }
        "messages_lost" => over_runs(&|run| Ok(run.outcome.places.iter().map(|place| place.lost).sum::<u64>() as f64))?,

        "recovered" => over_runs(&|run| {
            restart(run)?;
            Ok(if recovery(run).is_ok() { 1.0 } else { 0.0 })
        })?,
        "recovery_time_from_restart" | "mean_recovery_time" | "group_recovery_time" | "group_mean_recovery" => {
            mean(&group()?)? * in_unit
        }
        "sd_recovery_time" | "group_sd_recovery" => deviation(&group()?)? * in_unit,
        "cv_recovery_time" => deviation(&group()?)? / mean(&group()?)?,
        "partition_mean_recovery" => mean(&partitions()?)? * in_unit,
        "partition_sd_recovery" => deviation(&partitions()?)? * in_unit,
        "partition_p05" => quantile(partitions()?, 0.05)? * in_unit,
        "partition_p50" => quantile(partitions()?, 0.50)? * in_unit,
        "partition_p95" => quantile(partitions()?, 0.95)? * in_unit,
        "recovery_time_hot_partition" => over_runs(&|run| Ok(recoveries(run)?[hottest(station)]))? * in_unit,
        "recovery_time_other_partitions" => {
            let others = |run: &Ran| {
                let mut others = recoveries(run)?;
                others.remove(hottest(station));
                mean(&others)
            };
            over_runs(&others)? * in_unit
        }
        "end_to_end_recovery_time" => over_runs(&|run| end_to_end(run))? * in_unit,

        "backlog_at_horizon" => gauged(&|gauge| (gauge.at_end.appended - gauge.at_end.records) as f64)?,
        "backlog_slope_after_rebalance" => over_runs(&|run| slope_of_backlog(station, run))? / in_unit,
        "age_slope_during_drain" => over_runs(&|run| slope_of_age(station, run))?,
        "time_to_freshness_slo" => over_runs(&|run| time_to_freshness(station, run))? * in_unit,

        "max_partitions_per_consumer" => gauged(&|gauge| most(gauge, |load| load.0) as f64)?,
        "effective_headroom" | "effective_headroom_after" => match station.failures {
            Some(_) => station.nominal * useful_share(station, runs)?,
            None => over_runs(&|run| busiest_headroom(station, run))?,
        },
        "useful_capacity_fraction" => useful_share(station, runs)?,
        "mean_reprocessed_seconds_per_crash" => {
            let seconds = |gauge: &Gauge| (gauge.at_end.flows - gauge.at_end.records) as f64 * station.service;
            let crashes: u64 = runs.iter().map(|run| run.gauge.at_end.crashes).sum();
            runs.iter().map(|run| seconds(&run.gauge)).sum::<f64>() / crashes as f64 * in_unit
        }
        "mean_attempts" => gauged(&|gauge| gauge.at_end.attempts as f64 / gauge.at_end.records as f64)?,
        "fraction_exhausted" => gauged(&|gauge| gauge.at_end.given_up as f64 / gauge.at_end.records as f64)?,

        "mean_duplicates" => mean(&redone())?,
        "sd_duplicates" => deviation(&redone())?,
        "max_duplicates" => redone().into_iter().fold(0.0, f64::max),
        _ => return Err(format!("nothing here measures `{metric}`")),
    };
    let is_share = name.starts_with("fraction_") || name.starts_with("p_");
    let records: u64 = runs.iter().map(|run| run.gauge.at_end.records).sum();
    match value.is_finite() {
        true => Ok(Value { value, samples: if is_share { records } else { runs.len() as u64 } }),
        false => Err(format!("there is nothing to measure `{metric}` by")),
    }
}

fn consuming_of(run: &Ran) -> Result<&ConsumingMetrics, String> {
    let services = &run.outcome.services;
    services.iter().find_map(|service| service.consuming.as_ref()).ok_or_else(|| "nothing was consumed".into())
}

/// Since the end of the outage; what was healed later (a pause during recovery) is part of the recovery.
fn since_restart(run: &Ran, recovered: Duration) -> Result<f64, String> {
    let metrics = consuming_of(run)?;
    let healed = metrics.recovery.healed.ok_or("nothing was healed")?;
    Ok((healed + recovered).since(restart(run)?).as_seconds())
}

fn restart(run: &Ran) -> Result<Time, String> {
    run.gauge.restart.ok_or_else(|| format!("seed {} has no outage to recover from", run.seed.0))
}

fn recovery(run: &Ran) -> Result<f64, String> {
    match consuming_of(run)?.recovery.after {
        Some(RecoveryTime::Recovered(after)) => since_restart(run, after),
        Some(RecoveryTime::Censored(_)) | None => Err(format!("seed {} never recovered", run.seed.0)),
    }
}

/// Of each partition, in their order.
fn recoveries(run: &Ran) -> Result<Vec<f64>, String> {
    let of_one = |time: &RecoveryTime| match *time {
        RecoveryTime::Recovered(after) => since_restart(run, after),
        RecoveryTime::Censored(_) => Err(format!("a partition of seed {} never recovered", run.seed.0)),
    };
    consuming_of(run)?.recovery.partitions.iter().map(|(_, time)| of_one(time)).collect()
}

/// From the end of the outage to the first instant at which nothing that has arrived waits.
fn end_to_end(run: &Ran) -> Result<f64, String> {
    let (restart, caught_up) = (restart(run)?, run.gauge.caught_up);
    let caught_up = caught_up.ok_or_else(|| format!("seed {} never caught up", run.seed.0))?;
    Ok(caught_up.since(restart).as_seconds())
}

fn hottest(station: &Station) -> usize {
    let shares = station.shares.iter().enumerate();
    shares.max_by(|one, other| one.1.total_cmp(other.1)).map_or(0, |(index, _)| index)
}

fn most(gauge: &Gauge, of: fn(&(u64, u64)) -> u64) -> u64 {
    gauge.at_end.loads.iter().map(of).max().unwrap_or(0)
}

/// Capacity of the consumer that has the most to do over what comes in on its partitions.
fn busiest_headroom(station: &Station, run: &Ran) -> Result<f64, String> {
    let all = run.gauge.at_end.appended;
    let most = most(&run.gauge, |load| load.1);
    if most == 0 {
        return Err("no consumer had a partition when the load ended".into());
    }
    Ok(run.headroom / f64::from(station.consumers) * all as f64 / most as f64)
}

/// Of the capacity of a station that always has something to do: what went into records that are done for the first time.
fn useful_share(station: &Station, runs: &[Ran]) -> Result<f64, String> {
    match station.failures {
        Some(Failures::Crash { .. } | Failures::Retry { .. }) => {
            let capacity = f64::from(station.consumers) / station.service * station.duration();
            let done: Vec<f64> = runs.iter().map(|run| run.gauge.at_end.records as f64 / capacity).collect();
            mean(&done)
        }
        None => Err("nothing takes a part of the capacity".into()),
    }
}

// --- over time ---

fn slope_of_backlog(station: &Station, run: &Ran) -> Result<f64, String> {
    let kill = station.kill.ok_or("no consumer is lost")?;
    let backlog = &consuming_of(run)?.backlog;
    let from = kill.at + kill.detected * 1.5;
    let points = backlog.unprocessed.iter().enumerate().map(|(number, count)| {
        let at = (backlog.start + backlog.step * number as u64).as_seconds();
        (at, *count as f64)
    });
    slope(points.filter(|(at, _)| from <= *at && *at < station.duration()))
}

/// Age of the oldest record, at the end of each step behind the outage.
fn ages(run: &Ran) -> Result<Vec<(f64, f64)>, String> {
    let backlog = &consuming_of(run)?.backlog;
    let restart = restart(run)?.as_seconds();
    let points = backlog.oldest_age.iter().enumerate().map(|(number, age)| {
        let at = (backlog.start + backlog.step * (number as u64 + 1)).as_seconds();
        (at - restart, age.as_seconds())
    });
    Ok(points.filter(|(at, _)| 0.0 <= *at).collect())
}

fn slope_of_age(station: &Station, run: &Ran) -> Result<f64, String> {
    // The last tenth is left out: behind it, there is nothing old.
    slope(ages(run)?.into_iter().take_while(|(_, age)| station.outage / 10.0 < *age))
}

fn time_to_freshness(station: &Station, run: &Ran) -> Result<f64, String> {
    let objective = station.freshness.ok_or("no objective of freshness is stated")?;
    let ages = ages(run)?;
    let crossing = ages.windows(2).find(|pair| objective < pair[0].1 && pair[1].1 <= objective);
    let [before, after] = crossing.ok_or("what is processed never became fresh")? else {
        unreachable!("windows of two")
    };
    Ok(before.0 + (before.1 - objective) / (before.1 - after.1) * (after.0 - before.0))
}

/// Least squares.
fn slope(points: impl Iterator<Item = (f64, f64)>) -> Result<f64, String> {
    let points: Vec<(f64, f64)> = points.collect();
    if points.len() < 3 {
        return Err("too short to see a slope".into());
    }
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let (middle, level) = (mean(&x)?, mean(&y)?);
    let rise: f64 = points.iter().map(|(x, y)| (x - middle) * (y - level)).sum();
    let run: f64 = x.iter().map(|x| (x - middle) * (x - middle)).sum();
    Ok(rise / run)
}

// --- over runs ---

fn mean(values: &[f64]) -> Result<f64, String> {
    mean_and_deviation(values).map(|(mean, _)| mean).ok_or_else(|| "nothing was run".into())
}

fn deviation(values: &[f64]) -> Result<f64, String> {
    let deviation = mean_and_deviation(values).and_then(|(_, deviation)| deviation);
    deviation.ok_or_else(|| "one sample does not scatter".into())
}

fn quantile(mut values: Vec<f64>, share: f64) -> Result<f64, String> {
    values.sort_by(f64::total_cmp);
    let index = (share * values.len() as f64).ceil().max(1.0) as usize - 1;
    values.get(index).copied().ok_or_else(|| "nothing was run".into())
}

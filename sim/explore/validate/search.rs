//! How much headroom an objective takes, found by runs alone: half the bracket again and again, until theory's digits are there.
//!
//! Arrivals and service are constant, so that a point meets an objective or misses it, and one run tells which.

use super::station::Station;
use super::{Case, CompareResult, family_of, run_one, scene};
use crate::checks::{RecoveryTime, WaitOptions};
use crate::types::Seed;

pub struct Found {
    /// The least that meets the objective, within [`WIDTH`].
    pub headroom: f64,
    /// The scenario at that point, and the digest of its run.
    pub text: String,
    pub digest: u128,
    pub runs: u64,
    pub records: u64,
}

/// Of the bracket, when it is small enough.
const WIDTH: f64 = 1e-4;
/// About how many runs it takes, for those who wait.
const RUNS: u64 = 16;
/// More than this is no answer.
const MOST: f64 = 1_000.0;

enum Objective {
    /// From the end of the outage to no backlog.
    Recovery(f64),
    /// So many seconds of arrivals may be late in each outage.
    Freshness { late: f64 },
}

pub fn is_sought(metric: &str) -> bool {
    metric == "required_headroom"
}

pub fn required_headroom(
    case: &Case,
    service_factor: f64,
    done: &(dyn Fn(u64, u64) + Sync),
) -> Result<Found, CompareResult> {
    let station = Station::of(case).map_err(CompareResult::NotExpressible)?;
    let objective = objective(case, &station).map_err(CompareResult::NotExpressible)?;
    let (mut runs, mut records) = (0, 0);
    let mut meets = |headroom: f64| -> Result<(bool, String, u128), CompareResult> {
        let station = at(&station, &objective, headroom);
        let text = scene::text_of(case, &station, service_factor);
        let family = family_of(case, &text).map_err(CompareResult::Invalid)?;
        let ran = run_one(&family, Seed(0), &station, service_factor, WaitOptions::default());
        let ran = ran.map_err(CompareResult::Invalid)?;
        runs += 1;
        records += ran.gauge.whole().appended;
        done(runs, RUNS);
        let service = ran.outcome.services.iter().find_map(|service| service.consuming.as_ref());
        let met = match objective {
            Objective::Recovery(within) => {
                let recovered = service.and_then(|consuming| match consuming.recovery.after? {
                    RecoveryTime::Recovered(after) => Some(consuming.recovery.healed? + after),
                    RecoveryTime::Censored(_) => None,
                });
                let restart = ran.gauge.restart;
                recovered.zip(restart).is_some_and(|(at, restart)| at.since(restart).as_seconds() <= within)
            }
            Objective::Freshness { late } => ran.gauge.whole().late as f64 <= late * station.rate,
        };
        Ok((met, text, ran.report.digest))
    };
    let (mut low, mut high) = (1.0, 2.0);
    let mut best = meets(high)?;
    while !best.0 {
        (low, high) = (high, high * 2.0);
        if MOST < high {
            let why = format!("no headroom up to {low} meets the objective");
            return Err(CompareResult::NotExpressible(why));
        }
        best = meets(high)?;
    }
    while WIDTH < high - low {
        let middle = (low + high) / 2.0;
        let tried = meets(middle)?;
        match tried.0 {
            true => (high, best) = (middle, tried),
            false => low = middle,
        }
    }
    let (_, text, digest) = best;
    Ok(Found { headroom: high, text, digest, runs, records })
}

fn objective(case: &Case, station: &Station) -> Result<Objective, String> {
    if station.outage <= 0.0 {
        return Err("there is no outage to be sized for".into());
    }
    if let Some(within) = case.number("recovery_objective_s") {
        return Ok(Objective::Recovery(within));
    }
    match (case.number("period_s"), case.number("target"), case.number("outages")) {
        (Some(period), Some(target), outages) if station.freshness.is_some() => {
            Ok(Objective::Freshness { late: (1.0 - target) * period / outages.unwrap_or(1.0) })
        }
        _ => Err("no objective is stated".into()),
    }
}

/// The station with another headroom, watched for as long as the objective asks.
fn at(station: &Station, objective: &Objective, headroom: f64) -> Station {
    /// Records a second: enough for the digits that are asked for.
    const RATE: f64 = 5.0;
    let horizon = match objective {
        Objective::Recovery(within) => *within,
        Objective::Freshness { late } => *late,
    };
    let service = f64::from(station.consumers) / (RATE * headroom);
    Station { rate: RATE, service, nominal: headroom, horizon: Some(horizon + 10.0), ..station.clone() }
}

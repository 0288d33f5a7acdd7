//! A case as a station: what arrives, who works on it, and what happens to them, read off the model and the parameters.
//!
//! The one idea: a parameter means the same in every case. What a model does not state and the closed form does not depend on (the
//! rate of a fluid, say) gets a value here; what the simulation has no counterpart for is an error that says so.

use std::f64::consts::TAU;

use super::Case;
use crate::theory::recovery;

/// Rates are per simulated second, times are simulated seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Of all partitions together.
    pub rate: f64,
    pub arrivals: Arrivals,
    pub exponential: bool,
    /// Of the arrivals, for each partition.
    pub shares: Vec<f64>,
    pub consumers: u32,
    /// Of one record at one consumer.
    pub service: f64,
    /// As stated, over what arrives: a station whose work fails is given more, to see what it can do.
    pub nominal: f64,
    pub outage: f64,
    pub away: Away,
    /// The group stands still for so long, after the outage.
    pub pauses: Vec<f64>,
    pub kill: Option<Kill>,
    pub commit_interval: Option<f64>,
    /// One crash, at an instant that each run draws anew.
    pub crashes_once: bool,
    pub failures: Option<Failures>,
    pub loss: Option<Loss>,
    pub retention: Option<Retention>,
    /// What the producers can do while they catch up, over the arrival rate.
    pub burst: Option<f64>,
    pub day: Option<Day>,
    /// A record that waits longer is late.
    pub freshness: Option<f64>,
    pub horizon: Option<f64>,
    pub messages: Option<f64>,
    pub replicas: u64,
    /// Seconds of the case in one simulated second.
    pub time_scale: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    Constant,
    Poisson,
    Burst(u32),
}

/// Who is away during the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// What the consumers need: they keep what they have fetched.
    Store,
    /// The consumers themselves, so that retention takes what they have not fetched.
    Consumers,
    /// The queue, for its producers.
    Producers,
}

/// One consumer goes and does not come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kill {
    pub at: f64,
    /// Until the group knows.
    pub detected: f64,
    pub cooperative: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failures {
    /// The process dies after on average so much work, and is down for so long.
    Crash { between: f64, down: f64, crashes: f64 },
    /// A share of attempts fails, and each record is tried again so often at most.
    Retry { share: f64, retries: u32 },
}

/// A request, or its answer, is lost with its connection; then the producer tries again, so often at most. There is nobody behind
/// the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    pub requests: f64,
    pub answers: f64,
    pub retries: u32,
    pub idempotent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retention {
    pub retention: f64,
    pub segment: f64,
    pub check: f64,
}

/// Arrivals that follow the hours: rate·(1 + amplitude·sin(2π·t/period)), seen from `start` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    pub amplitude: f64,
    pub period: f64,
    pub start: f64,
}

/// Where a fluid has no rate of its own.
const RATE: f64 = 100.0;
/// What is not said to be short has this much to spare.
const PLENTY: f64 = 10.0;
/// A case that is told in hours is run at this many seconds an hour.
const SECONDS_OF_AN_HOUR: f64 = 60.0;

impl Station {
    pub fn of(case: &Case) -> Result<Station, String> {
        let model = Model::of(case)?;
        let hours = case.params.keys().any(|key| key.ends_with("_h"));
        let time_scale = if hours { 3600.0 / SECONDS_OF_AN_HOUR } else { 1.0 };
        let partitions = case.number("partitions").unwrap_or(f64::from(model.stations)).max(1.0) as usize;
        let consumers = case.number("consumers").unwrap_or(f64::from(model.stations)).max(1.0) as u32;
        let batch = case.number("batch_size").unwrap_or(1.0);
        let rate = case
            .any_number(&["lambda_per_s", "lambda_total", "rate_per_s"])
            .or(case.number("lambda_per_partition").map(|rate| rate * partitions as f64))
            .or(case.number("batch_rate_per_s").map(|rate| rate * batch));
        let headroom = case.any_number(&["headroom", "nominal_headroom", "consumer_headroom", "headroom_vs_mean"]);
        let service = case
            .number("service_s")
            .or(case.any_number(&["mu_per_s", "mu_per_consumer", "mu_per_partition"]).map(|rate| 1.0 / rate));
        let (rate, service) = match (rate, service, headroom) {
            (Some(rate), Some(service), _) => (rate, service),
            (Some(rate), None, headroom) if model.is_free || headroom.is_some() => {
                (rate, f64::from(consumers) / (rate * headroom.unwrap_or(PLENTY)))
            }
            (None, Some(service), Some(headroom)) => (f64::from(consumers) / (service * headroom), service),
            (None, None, Some(headroom)) if model.is_free => (RATE, f64::from(consumers) / (RATE * headroom)),
            // The identity of an empty-to-empty path holds for any station: a busy one shows it best.
            (None, None, None) if model.is_free => (RATE, 0.8 * f64::from(consumers) / RATE),
            _ => return Err("the arrival rate or the service time is not stated".into()),
        };
        let in_run = |key: &str| case.number(key).map(|seconds| seconds / time_scale);
        let of_hours = |key: &str| case.number(key).map(|hours| hours * SECONDS_OF_AN_HOUR);
        let detection = in_run("detect_s").unwrap_or(0.0);
        let outage = in_run("outage_s").or(of_hours("outage_h")).or(in_run("unavailable_s"));
        let retention = in_run("retention_s").map(|retention| Retention {
            retention,
            segment: in_run("segment_s").unwrap_or(1.0),
            check: in_run("check_interval_s").unwrap_or(1.0),
        });
        let failures = match (case.number("mttf_s"), case.number("p_fail")) {
            (Some(_), Some(_)) => return Err("either a process dies or its work fails, not both".into()),
            (Some(between), None) => Some(Failures::Crash {
                between,
                down: case.number("down_s").unwrap_or(0.0),
                crashes: case.number("crashes_min").unwrap_or(1000.0),
            }),
            (None, Some(share)) => {
                Some(Failures::Retry { share, retries: case.number("max_retries").unwrap_or(0.0) as u32 })
            }
            (None, None) => None,
        };
        let crashes_once = case.params.contains_key("crash_phase");
        let commit_interval = in_run("commit_interval_s");
        if crashes_once && commit_interval.is_none() {
            return Err("a crash in a commit interval, and no interval is stated".into());
        }
        // The longer the work, the fewer records there are; a hundredth of what lies between two crashes is fine enough.
        let service = match failures {
            Some(Failures::Crash { between, .. }) if case.number("service_s").is_none() => between / 600.0,
            _ => service,
        };
        let rate = match failures {
            // What is useful of the capacity is seen when there is always something to do.
            Some(_) => f64::from(consumers) / service,
            None => rate,
        };
        let station = Station {
            rate,
            nominal: headroom.unwrap_or(f64::from(consumers) / (rate * service)),
            arrivals: match model.arrivals {
                "M" if 1.0 < batch => Arrivals::Burst(batch as u32),
                "M" => Arrivals::Poisson,
                _ => Arrivals::Constant,
            },
            exponential: model.service == "M",
            shares: shares(case, partitions)?,
            consumers,
            service,
            outage: outage.unwrap_or(0.0) + detection,
            away: match retention {
                Some(_) => Away::Consumers,
                None if case.params.contains_key("unavailable_s") => Away::Producers,
                None => Away::Store,
            },
            pauses: pauses(case),
            kill: in_run("kill_one_at_s").map(|at| Kill {
                at,
                detected: in_run("detect_plus_rebalance_s").unwrap_or(10.0),
                cooperative: case.text("rebalance").is_some_and(|text| text.contains("cooperative")),
            }),
            commit_interval,
            crashes_once,
            failures,
            loss: loss(case)?,
            retention,
            burst: case.number("producer_burst_headroom"),
            day: case
                .text("lambda_of_t")
                .map(|text| day(text, of_hours("outage_start_h").unwrap_or(0.0)))
                .transpose()?,
            freshness: in_run("freshness_slo_s"),
            horizon: in_run("horizon_s"),
            messages: case.number("messages_min"),
            replicas: case.number("replicas").unwrap_or(1.0) as u64,
            time_scale,
        };
        Ok(station)
    }

    /// Capacity of all consumers over all arrivals.
    pub fn headroom(&self) -> f64 {
        f64::from(self.consumers) / (self.rate * self.service)
    }

    /// Of the consumer with the most to do, when partitions are dealt evenly by number.
    pub fn effective_headroom(&self) -> f64 {
        let most = recovery::partitions_of_most_loaded(self.shares.len() as u32, self.consumers) as usize;
        let mut shares = self.shares.clone();
        shares.sort_by(|one, other| other.total_cmp(one));
        let busiest: f64 = shares.iter().take(most).sum();
        1.0 / (self.service * self.rate * busiest)
    }

    /// Several partitions are topics of their own, each with a source: what comes in on one is then its own process, as theory has it.
    /// The hash of a key deals more evenly than independent draws do.
    pub fn is_split(&self) -> bool {
        1 < self.shares.len()
    }

    /// Since when somebody is away. Consumers that go must have been there.
    pub fn begins(&self) -> f64 {
        if self.away == Away::Consumers { 1.0 } else { 0.0 }
    }

    /// How long requests arrive.
    pub fn duration(&self) -> f64 {
        let needed = self.needed();
        // Whole seconds are easier to read; a drawn instant needs its interval.
        if self.crashes_once { needed } else { needed.ceil() }
    }

    fn needed(&self) -> f64 {
        let effective = self.effective_headroom();
        if let Some(Failures::Crash { between, down, crashes }) = self.failures {
            return crashes * (between + down);
        }
        if let Some(day) = self.day {
            return day.period;
        }
        if let Some(messages) = self.messages {
            return messages / self.rate;
        }
        match (self.outage, self.horizon) {
            (0.0, Some(horizon)) => horizon,
            // `any` draws among the first three quarters of what is expected: that is one whole interval.
            (0.0, None) if self.crashes_once => self.commit_interval.unwrap_or(5.0) / 0.75,
            (0.0, None) => 600.0,
            (outage, Some(horizon)) => outage + horizon,
            // Arrivals go on well past the recovery: its mean, and ten standard deviations of a Poisson drain.
            (outage, None) if 1.0 < effective => {
                let paused: f64 = self.pauses.iter().sum();
                let mean = (outage + effective * paused) / (effective - 1.0);
                let busiest = 1.0 / (self.service * effective);
                let deviation = (2.0 * busiest * outage).sqrt() * self.service / libm::pow(1.0 - 1.0 / effective, 1.5);
                let batch = if let Arrivals::Burst(batch) = self.arrivals { f64::from(batch) } else { 1.0 };
                let noise = if self.arrivals == Arrivals::Constant && !self.exponential { 1.0 } else { 10.0 };
                outage + mean + noise * deviation * batch.sqrt() + 10.0
            }
            (outage, None) => outage + 600.0,
        }
    }

    /// Arrival rates over the hours: until when, and how much on average.
    pub fn hours(&self) -> Vec<(f64, f64)> {
        let Some(day) = self.day else { return Vec::new() };
        const STEPS: u32 = 96;
        let step = day.period / f64::from(STEPS);
        let phase = |time: f64| TAU * (day.start + time) / day.period;
        let of_step = |number: u32| {
            let (from, to) = (f64::from(number) * step, f64::from(number + 1) * step);
            let mean = 1.0
                + day.amplitude * (libm::cos(phase(from)) - libm::cos(phase(to))) * day.period / (TAU * (to - from));
            (to, self.rate * mean)
        };
        (0..STEPS).map(of_step).collect()
    }
}

/// Kendall's letters, where a model has them.
struct Model<'a> {
    stations: u32,
    arrivals: &'a str,
    service: &'a str,
    /// Its closed form holds at any rate.
    is_free: bool,
}

impl Model<'_> {
    fn of(case: &Case) -> Result<Model<'_>, String> {
        let text = case.model.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (stations, rest) = match text[digits..].trim_start().strip_prefix('x') {
            Some(rest) if 0 < digits => (text[..digits].parse().map_err(|_| unknown(case))?, rest.trim_start()),
            Some(_) | None => (1, text),
        };
        let words: Vec<&str> = rest.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let notation = words.first().copied().unwrap_or_default();
        let (arrivals, service, is_free) = match notation {
            "any" => ("M", "M", true),
            "tandem" | "checkpoint" | "closed" | "fluid" | "renewal" | "geometric" => ("D", "D", true),
            _ => match notation.split('/').collect::<Vec<_>>()[..] {
                [arrivals, service] | [arrivals, service, "1"] => {
                    (arrivals.split('[').next().unwrap_or_default(), service, false)
                }
                _ => return Err(unknown(case)),
            },
        };
        if !["M", "D"].contains(&arrivals) || !["M", "D"].contains(&service) || stations == 0 {
            return Err(unknown(case));
        }
        Ok(Model { stations, arrivals, service, is_free })
    }
}

fn unknown(case: &Case) -> String {
    format!("no scenario is known for the model `{}`", case.model)
}

/// `p0=0.20, others 0.80/11`; equal shares where nothing is said.
fn shares(case: &Case, partitions: usize) -> Result<Vec<f64>, String> {
    let equal = vec![1.0 / partitions as f64; partitions];
    let Some(text) = case.text("weights") else { return Ok(equal) };
    let unread = || format!("the weights `{text}` are not of the form `p0=0.2, others 0.8/11`");
    let number = |text: &str| match text.split_once('/') {
        Some((above, below)) => Some(above.trim().parse::<f64>().ok()? / below.trim().parse::<f64>().ok()?),
        None => text.trim().parse().ok(),
    };
    let mut shares: Vec<Option<f64>> = vec![None; partitions];
    for part in text.split(',').map(str::trim) {
        if let Some(rest) = part.strip_prefix("others") {
            let share = number(rest).ok_or_else(unread)?;
            shares.iter_mut().filter(|known| known.is_none()).for_each(|known| *known = Some(share));
        } else {
            let (name, share) = part.split_once('=').ok_or_else(unread)?;
            let index: usize = name.trim().trim_start_matches('p').parse().map_err(|_| unread())?;
            *shares.get_mut(index).ok_or_else(unread)? = Some(number(share).ok_or_else(unread)?);
        }
    }
    let shares: Vec<f64> = shares.into_iter().collect::<Option<_>>().ok_or_else(unread)?;
    match (shares.iter().sum::<f64>() - 1.0).abs() < 1e-6 && shares.iter().all(|share| 0.0 < *share) {
        true => Ok(shares),
        false => Err(format!("the weights `{text}` do not add up to 1")),
    }
}

fn loss(case: &Case) -> Result<Option<Loss>, String> {
    let (requests, answers) = (case.number("p_request_lost"), case.number("p_ack_lost"));
    if requests.is_none() && answers.is_none() {
        return Ok(None);
    }
    let (requests, answers) = (requests.unwrap_or(0.0), answers.unwrap_or(0.0));
    if ![requests, answers].iter().all(|share| (0.0..1.0).contains(share)) {
        return Err("a share that is lost is not from 0 to less than 1".into());
    }
    let idempotent = case.params.get("idempotent").and_then(serde_json::Value::as_bool).unwrap_or(false);
    Ok(Some(Loss { requests, answers, retries: case.number("retries").unwrap_or(0.0) as u32, idempotent }))
}

fn pauses(case: &Case) -> Vec<f64> {
    let listed = case.params.get("rebalance_pauses_s").and_then(serde_json::Value::as_array);
    match listed {
        Some(listed) => listed.iter().filter_map(serde_json::Value::as_f64).collect(),
        None => {
            let count = case.number("rebalances_in_recovery").unwrap_or(0.0) as usize;
            vec![case.number("rebalance_s").unwrap_or(0.0); count]
        }
    }
}

/// `lambda0*(1+0.5*sin(2*pi*t/24h))`.
fn day(text: &str, start: f64) -> Result<Day, String> {
    let read = || {
        let (amplitude, rest) = text.strip_prefix("lambda0*(1+")?.split_once("*sin(2*pi*t/")?;
        let hours = rest.strip_suffix("h))")?;
        Some((amplitude.parse::<f64>().ok()?, hours.parse::<f64>().ok()?))
    };
    match read() {
        Some((amplitude, hours)) if (0.0..1.0).contains(&amplitude) && 0.0 < hours => {
            Ok(Day { amplitude, period: hours * SECONDS_OF_AN_HOUR, start })
        }
        Some(_) | None => Err(format!("no arrivals are known for `{text}`")),
    }
}

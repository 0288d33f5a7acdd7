//! The closed form of a metric for a plan, where queueing theory has one.
//!
//! The one idea: theory speaks only where its assumptions hold. A service has a closed form when it consumes with one
//! worker an instance and its steps take independent times; waits also need Poisson arrivals and partitions that divide
//! evenly. Everything else has none, and a bound against it is then *unknown*.
//!
//! Source: [`crate::theory`].

use super::outcome::{FaultSpan, TheoryValue};
use super::routes::{Routes, consumed, place_of};
use crate::scenario::plan::*;
use crate::theory::{queues, recovery};
use crate::types::*;

/// What a service is to the theory.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Station {
    /// Of all instances, per second.
    arrival_rate: f64,
    poisson: bool,
    /// Of the time one flow takes.
    moments: Moments,
    exponential: bool,
    partitions: u32,
    instances: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Seconds.
    pub mean: f64,
    pub variance: f64,
}

pub fn closed_form(
    plan: &Plan,
    routes: &Routes,
    service: &ServicePlan,
    metric: ServiceMetric,
    faults: &[FaultSpan],
) -> Option<TheoryValue> {
    if faults.iter().any(|span| changes_the_station(plan, span)) {
        return None;
    }
    let station = station(plan, routes, service)?;
    let exactly = |value: f64| Some(TheoryValue { value, variance: None });
    match metric {
        ServiceMetric::WaitMean => exactly(station.wait()?),
        ServiceMetric::WaitP50 => exactly(station.wait_quantile(0.5)?),
        ServiceMetric::WaitP95 => exactly(station.wait_quantile(0.95)?),
        ServiceMetric::WaitP99 => exactly(station.wait_quantile(0.99)?),
        ServiceMetric::Recovery => station.recovery(outage(faults)?),
        ServiceMetric::EffectiveHeadroom => exactly(station.effective_headroom()),
        ServiceMetric::Throughput => exactly(station.arrival_rate.min(station.capacity())),
        ServiceMetric::Availability
        | ServiceMetric::LatencyMean
        | ServiceMetric::LatencyP50
        | ServiceMetric::LatencyP95
        | ServiceMetric::LatencyP99
        | ServiceMetric::LatencyMax
        | ServiceMetric::WaitMax
        | ServiceMetric::LagMax
        | ServiceMetric::AgeMax
        | ServiceMetric::Rebalances => None,
    }
}

impl Station {
    fn capacity(&self) -> f64 {
        f64::from(self.instances) / self.moments.mean
    }

    fn effective_headroom(&self) -> f64 {
        recovery::effective_headroom(self.capacity() / self.arrival_rate, self.partitions, self.instances)
    }

    /// One server's arrivals, when all servers are alike.
    fn even_share(&self) -> Option<f64> {
        let even = self.partitions.is_multiple_of(self.instances) && self.poisson;
        even.then(|| self.arrival_rate / f64::from(self.instances))
    }

    fn second_moment(&self) -> f64 {
        self.moments.variance + self.moments.mean * self.moments.mean
    }

    fn wait(&self) -> Option<f64> {
        queues::mg1_wait(self.even_share()?, self.moments.mean, self.second_moment())
    }

    fn wait_quantile(&self, quantile: f64) -> Option<f64> {
        if !self.exponential {
            return None;
        }
        queues::mm1_wait_quantile(self.even_share()?, 1.0 / self.moments.mean, quantile)
    }

    /// The slowest of the servers that share the arrivals; the partitions of one server are empty together or later.
    fn recovery(&self, outage: f64) -> Option<TheoryValue> {
        let headroom = self.effective_headroom();
        // Work times are whole nanoseconds, so that a headroom of one comes back as a hair above it.
        let headroom = if headroom < 1.0 + 1e-6 { 1.0 } else { headroom };
        let mean = recovery::recovery_time(outage, headroom)?;
        let busiest = 1.0 / (self.moments.mean * headroom);
        // Constant arrivals contribute nothing to the variance of the work that comes in.
        let squared = if self.poisson { self.second_moment() } else { self.moments.variance };
        let variance = recovery::recovery_variance(busiest, outage, headroom, squared)?;
        let servers = self.instances.min(self.partitions);
        let value = recovery::group_recovery_time(mean, libm::sqrt(variance), servers);
        Some(TheoryValue { value, variance: Some(variance) })
    }
}

/// Theory knows one arrival rate and one distribution of times.
fn changes_the_station(plan: &Plan, span: &FaultSpan) -> bool {
    let fault = plan.faults.iter().find(|fault| fault.id == span.fault);
    fault.is_some_and(|fault| {
        matches!(fault.action, FaultAction::Set(_) | FaultAction::Fail { .. } | FaultAction::Poison { .. })
    })
}

/// The length of the only fault that was healed; several have no closed form.
fn outage(faults: &[FaultSpan]) -> Option<f64> {
    match faults {
        [one] => Some(one.healed?.since(one.fired).as_seconds()),
        _ => None,
    }
}

fn station(plan: &Plan, routes: &Routes, service: &ServicePlan) -> Option<Station> {
    let topics = consumed(service);
    if topics.is_empty() || service.workers != 1 || service.instances.is_empty() {
        return None;
    }
    let (mut moments, mut waits, mut exponential) = (Moments::default(), 0, true);
    for step in &service.steps {
        let spread = match &step.action {
            Action::Work { time, .. } => *time,
            Action::Store { store, .. } => plan.stores.get(*store as usize)?.latency,
            Action::Commit { .. } | Action::StoreOffset | Action::Respond => continue,
            // How long one waits for others has no closed form.
            Action::Call(_) => return None,
            // What the queue takes is not declared.
            Action::Publish { .. } | Action::BeginTransaction | Action::SendOffsets { .. } | Action::EndTransaction => {
                return None;
            }
        };
        let of_step = moments_of(&spread)?;
        moments.mean += of_step.mean;
        moments.variance += of_step.variance;
        waits += u32::from(of_step.mean > 0.0);
        exponential &= of_step.mean == 0.0 || matches!(spread, Spread::Exponential { .. });
    }
    if moments.mean <= 0.0 {
        return None;
    }
    let arriving = arriving_of(plan, routes, service)?;
    // What batches and the hours do to a wait has no closed form here.
    let has_one = |source: &Source| matches!(source.arrivals, Arrivals::Constant | Arrivals::Poisson);
    if !arriving.sources.iter().all(has_one) {
        return None;
    }
    let poisson = arriving.sources.iter().all(|source| source.arrivals == Arrivals::Poisson);
    let (arrival_rate, partitions) = (arriving.arrival_rate(), arriving.partitions);
    let exponential = exponential && waits == 1;
    let instances = service.instances.len() as u32;
    (arrival_rate > 0.0).then_some(Station { arrival_rate, poisson, moments, exponential, partitions, instances })
}

/// What arrives at a consuming service.
#[derive(Clone, Debug, PartialEq)]
pub struct Arriving {
    /// One for each origin and topic.
    pub sources: Vec<Source>,
    /// Of all topics together.
    pub partitions: u32,
}

/// Events of one origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// Per second.
    pub rate: f64,
    pub arrivals: Arrivals,
    pub keys: Keys,
}

impl Arriving {
    /// Of all partitions together, per second.
    pub fn arrival_rate(&self) -> f64 {
        self.sources.iter().map(|source| source.rate).sum()
    }
}

/// What the file declares to arrive at a service; `None` when it consumes nothing, or nobody says how much.
pub fn arriving(plan: &Plan, service: &ServicePlan) -> Option<Arriving> {
    arriving_of(plan, &Routes::new(plan), service)
}

fn arriving_of(plan: &Plan, routes: &Routes, service: &ServicePlan) -> Option<Arriving> {
    let mut arriving = Arriving { sources: Vec::new(), partitions: 0 };
    for topic in consumed(service) {
        arriving.partitions += u32::from(plan.topics.iter().find(|t| t.id == *topic)?.settings.partitions);
        for origin in routes.owing(place_of(plan, *topic)?) {
            let origin = plan.services.iter().find(|service| service.id == *origin)?;
            let Trigger::Requests(requests) = &origin.trigger else { return None };
            let rate = 1.0 / requests.interval.as_seconds();
            arriving.sources.push(Source { rate, arrivals: requests.arrivals, keys: requests.keys });
        }
    }
    (!arriving.sources.is_empty()).then_some(arriving)
}

/// `None` for the normal, which is cut at zero.
pub fn moments_of(spread: &Spread) -> Option<Moments> {
    let mean = spread.mean().as_seconds();
    match *spread {
        Spread::Constant(_) => Some(Moments { mean, variance: 0.0 }),
        Spread::Uniform { low, high } => {
            let width = high.as_seconds() - low.as_seconds();
            Some(Moments { mean, variance: width * width / 12.0 })
        }
        Spread::Exponential { .. } => Some(Moments { mean, variance: mean * mean }),
        Spread::TwoPoint { usual, ratio, rare } => {
            let (share, gap) = (ratio.as_f64(), rare.as_seconds() - usual.as_seconds());
            Some(Moments { mean, variance: share * (1.0 - share) * gap * gap })
        }
        Spread::LogNormal { median, p99 } => {
            let sigma = libm::log(p99.0 as f64 / median.0 as f64) / 2.326_347_874_040_840_8;
            Some(Moments { mean, variance: mean * mean * (libm::exp(sigma * sigma) - 1.0) })
        }
        Spread::Normal { .. } => None,
    }
}

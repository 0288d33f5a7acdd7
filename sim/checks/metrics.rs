//! Metrics of services, places and of the whole: what a run measured, in the units that bounds are written in.
//!
//! The one idea: a metric is a number, a censored number, or nothing; it is never made up. Durations are seconds, shares
//! are 0..=1. Waits leave out the warm-up that [`super::WaitOptions`] states.

use super::outcome::*;
use super::progress::ServiceProgress;
use super::trace::Trace;
use crate::scenario::plan::{DelayMetric, NodeKind, NodePlan, Plan, ServiceMetric, ServicePlan};
use crate::types::*;

pub fn service_metrics(plan: &Plan, trace: &Trace, service: &ServicePlan) -> ServiceMetrics {
    let index = service.id.0 as usize;
    let callers = &trace.callers[index];
    let seconds = trace.load_ended.unwrap_or(trace.last).since(Time::LOAD_START).as_seconds();
    let done = trace.flows_done_under_load[index];
    ServiceMetrics {
        service: service.id,
        callers: CallerMetrics {
            arrived: callers.arrived,
            accepted: callers.accepted,
            refused: callers.refused,
            unknown: callers.unknown,
            latency: callers.latency.summary(),
            answers: callers.answers.clone(),
            availability: (callers.arrived > 0).then(|| callers.accepted as f64 / callers.arrived as f64),
        },
        consuming: trace.progress[index].as_ref().map(|progress| consuming(plan, trace, service, progress)),
        throughput_per_second: if seconds > 0.0 { done as f64 / seconds } else { 0.0 },
        flows_done: trace.flows_done[index],
    }
}

fn consuming(plan: &Plan, trace: &Trace, service: &ServicePlan, progress: &ServiceProgress) -> ConsumingMetrics {
    ConsumingMetrics {
        group: progress.group,
        wait: progress.waits.summary(),
        sojourn: progress.sojourns.summary(),
        recovery: progress.recovery(trace.last),
        backlog: progress.series.clone(),
        peak_backlog: progress.peak,
        backlog_at_end: progress.unprocessed,
        message_nanoseconds: progress.area,
        sojourn_nanoseconds: progress.sojourn,
        mean_in_system: progress.mean_in_system(trace.last),
        delayed: progress.delayed,
        lag_max: progress.peak,
        age_max: progress.age_max,
        rebalances: trace.rebalances.get(&progress.group).copied().unwrap_or(0),
        effective_headroom: effective_headroom(plan, service, progress),
    }
}

/// Capacity of one instance over the arrivals of the partitions it holds, at the most loaded instance.
fn effective_headroom(plan: &Plan, service: &ServicePlan, progress: &ServiceProgress) -> Option<f64> {
    assert!(plan.services.contains(service), "a service of the plan");
    let nominal = service.headroom_thousandths? as f64 / 1000.0;
    let all: u64 = progress.partitions.iter().map(|(_, partition)| partition.arrivals).sum();
    let loads = progress.assigned.values().map(|assigned| {
        assigned.iter().filter_map(|partition| progress.partitions.get(*partition)).map(|p| p.arrivals).sum::<u64>()
    });
    let most = loads.max().filter(|most| *most > 0)?;
    Some(nominal / service.instances.len() as f64 * all as f64 / most as f64)
}

/// One metric as a bound sees it.
pub fn measure(metrics: &ServiceMetrics, metric: ServiceMetric) -> Measured {
    let latency = &metrics.callers.latency;
    let consuming = metrics.consuming.as_ref();
    let wait = consuming.map(|consuming| &consuming.wait);
    let number = |value: Option<f64>| value.map_or(Measured::Nothing, Measured::Value);
    match metric {
        ServiceMetric::Availability => number(metrics.callers.availability),
        ServiceMetric::LatencyMean => number(sampled(latency).map(|d| d.mean_seconds)),
        ServiceMetric::LatencyP50 => number(sampled(latency).map(|d| d.p50.as_seconds())),
        ServiceMetric::LatencyP95 => number(sampled(latency).map(|d| d.p95.as_seconds())),
        ServiceMetric::LatencyP99 => number(sampled(latency).map(|d| d.p99.as_seconds())),
        ServiceMetric::LatencyMax => number(sampled(latency).map(|d| d.max.as_seconds())),
        ServiceMetric::WaitMean => number(wait.and_then(sampled).map(|d| d.mean_seconds)),
        ServiceMetric::WaitP50 => number(wait.and_then(sampled).map(|d| d.p50.as_seconds())),
        ServiceMetric::WaitP95 => number(wait.and_then(sampled).map(|d| d.p95.as_seconds())),
        ServiceMetric::WaitP99 => number(wait.and_then(sampled).map(|d| d.p99.as_seconds())),
        ServiceMetric::WaitMax => number(wait.and_then(sampled).map(|d| d.max.as_seconds())),
        ServiceMetric::Recovery => match consuming.and_then(|consuming| consuming.recovery.after) {
            Some(RecoveryTime::Recovered(after)) => Measured::Value(after.as_seconds()),
            Some(RecoveryTime::Censored(after)) => Measured::Censored(after.as_seconds()),
            None => Measured::Nothing,
        },
        ServiceMetric::EffectiveHeadroom => number(consuming.and_then(|consuming| consuming.effective_headroom)),
        ServiceMetric::Throughput => Measured::Value(metrics.throughput_per_second),
        ServiceMetric::LagMax => number(consuming.map(|consuming| consuming.lag_max as f64)),
        ServiceMetric::AgeMax => number(consuming.map(|consuming| consuming.age_max.as_seconds())),
        ServiceMetric::Rebalances => number(consuming.map(|consuming| consuming.rebalances as f64)),
    }
}

/// Arrival to first effect at a place.
pub fn delay(distribution: &Distribution, metric: DelayMetric) -> Measured {
    let Some(sampled) = sampled(distribution) else { return Measured::Nothing };
    Measured::Value(match metric {
        DelayMetric::DelayMean => sampled.mean_seconds,
        DelayMetric::DelayP50 => sampled.p50.as_seconds(),
        DelayMetric::DelayP95 => sampled.p95.as_seconds(),
        DelayMetric::DelayP99 => sampled.p99.as_seconds(),
        DelayMetric::DelayMax => sampled.max.as_seconds(),
    })
}

/// Processes of our own, topics, and settings that somebody wrote down. Callers and other people's systems are none of them,
/// and a queue in which nothing is need not be run.
pub fn moving_parts(plan: &Plan) -> u64 {
    let is_ours = |node: &&NodePlan| match node.kind {
        NodeKind::Broker | NodeKind::Controller => !plan.own_topics().is_empty(),
        NodeKind::Instance { .. } | NodeKind::Store { .. } => true,
        NodeKind::Endpoint { .. } | NodeKind::Callers { .. } => false,
    };
    (plan.nodes.iter().filter(is_ours).count() + plan.own_topics().len()) as u64 + u64::from(plan.settings_stated)
}

fn sampled(distribution: &Distribution) -> Option<&Distribution> {
    (distribution.count > 0).then_some(distribution)
}

//! Keys that are read while the system runs, with the value that a fault gives them.
//!
//! The one idea: a changed key makes another plan, the one in force now, and every process goes by that plan from then on,
//! those that start later too. So nobody has to know which keys can change, and what is undone is as it was.

use serde::{Deserialize, Serialize};

use super::{Action, FaultFamily, Plan, Trigger};
use crate::types::*;

/// One key and its value for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiveValue {
    /// Mean time between two arrivals at a `requests` service: 1/rate.
    Rate {
        service: ServiceId,
        interval: Duration,
    },
    /// Instances that run, of those that the service has: the first so many.
    Instances {
        service: ServiceId,
        count: u16,
    },
    /// Processing time of a `work` step.
    Work {
        service: ServiceId,
        step: u16,
        time: Spread,
    },
    StoreLatency {
        store: u16,
        latency: Spread,
    },
    StoreTimeout {
        store: u16,
        timeout: Duration,
    },
    StoreErrors {
        store: u16,
        rate: Ratio,
    },
    StoreLostRequests {
        store: u16,
        rate: Ratio,
    },
    StoreLostAnswers {
        store: u16,
        rate: Ratio,
    },
    EndpointLatency {
        endpoint: u16,
        latency: Spread,
    },
    EndpointErrors {
        endpoint: u16,
        rate: Ratio,
    },
    EndpointLostRequests {
        endpoint: u16,
        rate: Ratio,
    },
    EndpointLostAnswers {
        endpoint: u16,
        rate: Ratio,
    },
    /// One way, of every link that `network.between` does not name. So are the next two.
    NetworkLatency(Spread),
    NetworkLoss(Ratio),
    /// Bytes per second.
    NetworkBandwidth(ByteCount),
    /// `None` keeps records for ever.
    TopicRetention {
        topic: TopicId,
        retention: Option<Duration>,
    },
    TopicRetentionBytes {
        topic: TopicId,
        size: ByteCount,
    },
    /// The controller adds what is missing, and nothing takes a partition away again. Kafka: CreatePartitions.
    TopicPartitions {
        topic: TopicId,
        count: u16,
    },
}

impl LiveValue {
    /// What kind of thing goes wrong: too much of it is load, whether more comes in or less can be done.
    pub fn family(&self) -> FaultFamily {
        match self {
            LiveValue::Rate { .. } | LiveValue::Instances { .. } | LiveValue::Work { .. } => FaultFamily::Load,
            LiveValue::StoreLatency { .. }
            | LiveValue::StoreTimeout { .. }
            | LiveValue::StoreErrors { .. }
            | LiveValue::StoreLostRequests { .. }
            | LiveValue::StoreLostAnswers { .. } => FaultFamily::Store,
            LiveValue::EndpointLatency { .. }
            | LiveValue::EndpointErrors { .. }
            | LiveValue::EndpointLostRequests { .. }
            | LiveValue::EndpointLostAnswers { .. } => FaultFamily::Endpoint,
            LiveValue::NetworkLatency(_) | LiveValue::NetworkLoss(_) | LiveValue::NetworkBandwidth(_) => {
                FaultFamily::Network
            }
            LiveValue::TopicRetention { .. }
            | LiveValue::TopicRetentionBytes { .. }
            | LiveValue::TopicPartitions { .. } => FaultFamily::Cluster,
        }
    }

    /// The processes that go by the key; of a key of links, none in particular. Partitions are asked of whoever is the
    /// controller, which no plan knows.
    pub fn nodes(&self, plan: &Plan) -> Vec<NodeId> {
        let of_service = |service: ServiceId| plan.services.get(usize::from(service.0));
        match *self {
            LiveValue::Rate { service, .. } => callers_of(plan, service),
            LiveValue::Instances { service, count } => {
                let all = of_service(service).map_or(&[][..], |service| &service.instances);
                all.iter().skip(usize::from(count)).copied().collect()
            }
            LiveValue::Work { service, .. } => {
                of_service(service).map_or(Vec::new(), |service| service.instances.clone())
            }
            LiveValue::StoreLatency { store, .. }
            | LiveValue::StoreTimeout { store, .. }
            | LiveValue::StoreErrors { store, .. }
            | LiveValue::StoreLostRequests { store, .. }
            | LiveValue::StoreLostAnswers { store, .. } => {
                plan.stores.get(usize::from(store)).map(|store| store.node).into_iter().collect()
            }
            LiveValue::EndpointLatency { endpoint, .. }
            | LiveValue::EndpointErrors { endpoint, .. }
            | LiveValue::EndpointLostRequests { endpoint, .. }
            | LiveValue::EndpointLostAnswers { endpoint, .. } => {
                plan.endpoints.get(usize::from(endpoint)).map(|endpoint| endpoint.node).into_iter().collect()
            }
            LiveValue::NetworkLatency(_)
            | LiveValue::NetworkLoss(_)
            | LiveValue::NetworkBandwidth(_)
            | LiveValue::TopicPartitions { .. } => Vec::new(),
            LiveValue::TopicRetention { .. } | LiveValue::TopicRetentionBytes { .. } => {
                (1..=plan.cluster.brokers).map(NodeId).collect()
            }
        }
    }

    /// Puts the value into a plan. What the plan does not have stays out.
    pub fn lay_over(&self, plan: &mut Plan) {
        match *self {
            LiveValue::Rate { service, interval } => {
                if let Some(service) = plan.services.get_mut(usize::from(service.0))
                    && let Trigger::Requests(requests) = &mut service.trigger
                {
                    requests.interval = interval;
                }
            }
            LiveValue::Instances { service, count } => {
                if let Some(service) = plan.services.get_mut(usize::from(service.0)) {
                    service.instances.truncate(usize::from(count.max(1)));
                }
            }
            LiveValue::Work { service, step, time: new } => {
                let service = plan.services.get_mut(usize::from(service.0));
                let step = service.and_then(|service| service.steps.get_mut(usize::from(step)));
                if let Some(Action::Work { time, .. }) = step.map(|step| &mut step.action) {
                    *time = new;
                }
            }
            LiveValue::StoreLatency { store, latency } => with_store(plan, store, |store| store.latency = latency),
            LiveValue::StoreTimeout { store, timeout } => with_store(plan, store, |store| store.timeout = timeout),
            LiveValue::StoreErrors { store, rate } => with_store(plan, store, |store| store.errors = rate),
            LiveValue::StoreLostRequests { store, rate } => {
                with_store(plan, store, |store| store.lost_requests = rate);
            }
            LiveValue::StoreLostAnswers { store, rate } => with_store(plan, store, |store| store.lost_answers = rate),
            LiveValue::EndpointLatency { endpoint, latency } => {
                with_endpoint(plan, endpoint, |endpoint| endpoint.latency = latency);
            }
            LiveValue::EndpointErrors { endpoint, rate } => {
                with_endpoint(plan, endpoint, |endpoint| endpoint.errors = rate);
            }
            LiveValue::EndpointLostRequests { endpoint, rate } => {
                with_endpoint(plan, endpoint, |endpoint| endpoint.lost_requests = rate);
            }
            LiveValue::EndpointLostAnswers { endpoint, rate } => {
                with_endpoint(plan, endpoint, |endpoint| endpoint.lost_answers = rate);
            }
            LiveValue::NetworkLatency(latency) => plan.network.default.latency = latency,
            LiveValue::NetworkLoss(loss) => plan.network.default.loss = loss,
            LiveValue::NetworkBandwidth(bandwidth) => plan.network.default.bandwidth = Some(bandwidth),
            LiveValue::TopicRetention { topic, retention } => {
                with_topic(plan, topic, |settings| settings.retention = retention);
            }
            LiveValue::TopicRetentionBytes { topic, size } => {
                with_topic(plan, topic, |settings| settings.retention_bytes = Some(size));
            }
            LiveValue::TopicPartitions { topic, count } => {
                with_topic(plan, topic, |settings| settings.partitions = settings.partitions.max(count));
            }
        }
    }
}

fn with_store(plan: &mut Plan, store: u16, change: impl FnOnce(&mut super::StorePlan)) {
    if let Some(store) = plan.stores.get_mut(usize::from(store)) {
        change(store);
    }
}

fn with_endpoint(plan: &mut Plan, endpoint: u16, change: impl FnOnce(&mut super::EndpointPlan)) {
    if let Some(endpoint) = plan.endpoints.get_mut(usize::from(endpoint)) {
        change(endpoint);
    }
}

fn with_topic(plan: &mut Plan, topic: TopicId, change: impl FnOnce(&mut settings::TopicSettings)) {
    if let Some(topic) = plan.topics.get_mut(usize::from(topic.0)) {
        change(&mut topic.settings);
    }
}

/// At least this share of the attempts in every `work` of a service fails.
pub fn lay_failures_over(plan: &mut Plan, service: ServiceId, rate: Ratio) {
    let service = plan.services.get_mut(usize::from(service.0));
    for step in service.into_iter().flat_map(|service| &mut service.steps) {
        if let Action::Work { errors, .. } = &mut step.action {
            *errors = rate.max(*errors);
        }
    }
}

/// The outside world of a `requests` service.
pub fn callers_of(plan: &Plan, service: ServiceId) -> Vec<NodeId> {
    match plan.services.get(usize::from(service.0)).map(|service| &service.trigger) {
        Some(Trigger::Requests(requests)) => vec![requests.callers],
        Some(Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_)) | None => Vec::new(),
    }
}

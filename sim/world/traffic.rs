//! What brokers are given while requests arrive: for a bound on their work, and told in the history of a plan that has one.

use super::pump::{WORLD, World};
use crate::history::Happening;
use crate::scenario::plan::{Expectation, Plan, RunMetric};
use crate::types::*;

/// What brokers were asked and what went in and out of them, while requests arrive; for plans that ask for it.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    brokers: NodeId,
    requests: u64,
    bytes: u64,
}

impl Traffic {
    pub fn wanted(plan: &Plan) -> Option<Traffic> {
        let asks = plan.expectations.iter().any(|expectation| match expectation {
            Expectation::Run { metric: RunMetric::BrokerRequests | RunMetric::BrokerBytes, .. } => true,
            Expectation::Run {
                metric: RunMetric::Connections | RunMetric::MovingParts | RunMetric::Unsettled, ..
            } => false,
            Expectation::Place(_) | Expectation::Service { .. } | Expectation::Delay { .. } => false,
        });
        asks.then_some(Traffic { brokers: NodeId(plan.cluster.brokers), requests: 0, bytes: 0 })
    }

    fn is_broker(&self, node: NodeId) -> bool {
        NodeId(1) <= node && node <= self.brokers
    }
}

impl World<'_> {
    /// A message is delivered: a request to a broker, or an answer of one.
    #[inline]
    pub(super) fn count_traffic(&mut self, to: NodeId, from: NodeId, input: &Input) {
        let now = self.now;
        let Some(traffic) = self.traffic.as_mut().filter(|_| Time::LOAD_START <= now) else { return };
        match input {
            Input::Request { request, .. } if traffic.is_broker(to) && to != from => {
                traffic.requests += 1;
                traffic.bytes += request.size().0;
            }
            Input::Response { response, .. } if traffic.is_broker(from) && to != from => {
                traffic.bytes += response.size().0;
            }
            _ => {}
        }
    }

    /// The load phase is over.
    pub(super) fn tell_traffic(&mut self) {
        if let Some(Traffic { requests, bytes, .. }) = self.traffic.take() {
            self.record(WORLD, Happening::BrokerTraffic { requests, bytes });
        }
    }
}

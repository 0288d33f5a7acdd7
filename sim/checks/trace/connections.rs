//! Connections: who has asked whom something, as far as the history shows.
//!
//! The one idea: what counts is how many pairs of processes depend on each other, not how many sockets a client opens. A pair
//! is an instance of a service and a process that it has asked: a broker, a store, an endpoint, an instance of another service.
//! Callers from outside and the queue's own connections are left out, and pairs are only kept where a bound asks for them.

use super::*;

/// Whether the plan has a bound on them.
pub fn wanted(plan: &Plan) -> bool {
    let asks =
        |expectation: &Expectation| matches!(expectation, Expectation::Run { metric: RunMetric::Connections, .. });
    plan.expectations.iter().any(asks)
}

impl Trace {
    pub(super) fn connect(&mut self, note: &Note, node: NodeId) {
        let pair = match note {
            Note::BatchSent { to, .. } | Note::CallAttempted { to, .. } => Some((node, *to)),
            Note::EffectApplied { caller, .. } => Some((*caller, node)),
            Note::OffsetCommitted { by, .. } => Some((*by, node)),
            Note::Polled { partition, .. } => {
                let leader = self.logs.of(*partition).and_then(|log| log.leader);
                leader.map(|(_, leader)| (node, leader))
            }
            _ => None,
        };
        if let (Some(asked), Some(pair)) = (&mut self.asked, pair) {
            asked.insert(pair);
        }
    }

    /// Pairs so far; 0 where nobody wanted to know.
    pub fn connections(&self) -> u64 {
        self.asked.as_ref().map_or(0, |asked| asked.len() as u64)
    }
}

//! Calls: to whom, how long, how often; and the systems of other people that are called.

use serde::{Deserialize, Serialize};

use super::{Plan, ServicePlan, Trigger};
use crate::types::*;

/// Somebody else's system: it executes what it is asked for, and may refuse, be slow, or say nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndpointPlan {
    pub name: String,
    pub node: NodeId,
    pub owner: Option<String>,
    /// Where its effects land.
    pub place: PlaceId,
    /// Round trip as the caller sees it, without the wait for one of its `capacity` places.
    pub latency: Spread,
    pub errors: Ratio,
    pub lost_requests: Ratio,
    pub lost_answers: Ratio,
    pub idempotency_keys: KeysHonoured,
    /// Calls at once; the others wait in the order in which they came. `None`: as many as come.
    pub capacity: Option<u16>,
}

/// How long a key is known again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeysHonoured {
    #[default]
    Never,
    Always,
    /// After the call that brought it first.
    For(Duration),
}

/// A request to the outside of a service, with what its caller does about silence and failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CallPlan {
    pub to: Callee,
    /// How long one attempt waits for its answer.
    pub timeout: Duration,
    /// At least 1.
    pub attempts: u16,
    /// Between two attempts. A uniform one `a..b` doubles from a to b, with jitter.
    pub backoff: Spread,
    pub idempotency_key: Option<CallKey>,
    pub breaker: Option<BreakerPlan>,
    /// A failure is swallowed: the list goes on.
    pub optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Callee {
    /// Index into `endpoints`.
    Endpoint(u16),
    /// One of its instances, and the next one at another attempt.
    Service(ServiceId),
}

/// A service that others call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CalledPlan {
    /// Calls that wait for a worker of one instance; who comes when so many wait is refused.
    pub max_waiting: u32,
}

/// What a call says about itself, so that the other side may know a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKey {
    /// The same for every attempt of the event, in whatever process.
    Id,
    /// A new one for every attempt.
    Attempt,
}

/// Fails calls at once when the other side has failed too often. Source: Nygard, "Release It!" (2007).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BreakerPlan {
    /// Attempts that failed in a row, over all events of one process, until it opens.
    pub failures: u32,
    /// How long it stays open; then one call is let through.
    pub reset: Duration,
}

impl CallPlan {
    /// The service that is called.
    pub fn service(&self) -> Option<ServiceId> {
        match self.to {
            Callee::Service(service) => Some(service),
            Callee::Endpoint(_) => None,
        }
    }

    /// The endpoint that is called, by its index.
    pub fn endpoint(&self) -> Option<u16> {
        match self.to {
            Callee::Endpoint(endpoint) => Some(endpoint),
            Callee::Service(_) => None,
        }
    }
}

impl ServicePlan {
    /// Somebody waits for its answer.
    pub fn has_callers(&self) -> bool {
        match self.trigger {
            Trigger::Requests(_) | Trigger::Called(_) => true,
            Trigger::Consume(_) | Trigger::Poll(_) => false,
        }
    }
}

impl Plan {
    /// Who has this place, if it is an endpoint.
    pub fn endpoint_at(&self, place: PlaceId) -> Option<&EndpointPlan> {
        self.endpoints.iter().find(|endpoint| endpoint.place == place)
    }
}

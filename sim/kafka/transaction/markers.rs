//! Markers on their way: for each broker one request at a time, with all it has to write, until it has written them.
//! Kafka: TransactionMarkerChannelManager, TransactionMarkerRequestCompletionHandler.

use std::collections::BTreeMap;

use crate::types::request::*;
use crate::types::*;

/// Before a broker that refused or did not answer is asked again. Kafka: `retry.backoff.ms` of broker clients.
const BACKOFF: Duration = Duration::from_millis(100);
/// Kafka: `request.timeout.ms` of broker clients.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    brokers: BTreeMap<NodeId, Destination>,
}

#[derive(Clone, Debug, Default)]
struct Destination {
    in_flight: Option<InFlight>,
    not_before: Time,
}

#[derive(Clone, Debug)]
struct InFlight {
    correlation: Correlation,
    deadline: Time,
    /// Which ids the markers are for, in the order of the request.
    ids: Vec<TransactionalId>,
    markers: Vec<TransactionMarker>,
}

/// A marker that a broker has answered.
pub(super) struct Answered {
    pub id: TransactionalId,
    pub marker: TransactionMarker,
    /// In the order of the marker's partitions.
    pub errors: Vec<ErrorCode>,
}

impl Markers {
    pub fn may_send(&self, to: NodeId, now: Time) -> bool {
        self.brokers.get(&to).is_none_or(|broker| broker.in_flight.is_none() && broker.not_before <= now)
    }

    pub fn send(
        &mut self,
        (channel, to): (Channel, NodeId),
        correlation: Correlation,
        marked: Vec<(TransactionalId, TransactionMarker)>,
        step: &mut Step,
    ) {
        let (ids, markers): (Vec<TransactionalId>, Vec<TransactionMarker>) = marked.into_iter().unzip();
        step.send(channel, to, correlation, Request::WriteTxnMarkers { markers: markers.clone() });
        let deadline = step.time() + REQUEST_TIMEOUT;
        let broker = self.brokers.entry(to).or_default();
        broker.in_flight = Some(InFlight { correlation, deadline, ids, markers });
    }

    /// `None`: nobody waits for it any more.
    pub fn answered(
        &mut self,
        from: NodeId,
        correlation: Correlation,
        errors: Vec<Vec<ErrorCode>>,
        now: Time,
    ) -> Option<Vec<Answered>> {
        let broker = self.brokers.get_mut(&from)?;
        let in_flight = broker.in_flight.take_if(|ask| ask.correlation == correlation)?;
        let is_refused = errors.iter().flatten().any(|error| *error != ErrorCode::None);
        broker.not_before = if is_refused { now + BACKOFF } else { now };
        let marked = in_flight.ids.into_iter().zip(in_flight.markers).zip(errors);
        Some(marked.map(|((id, marker), errors)| Answered { id, marker, errors }).collect())
    }

    pub fn disconnected(&mut self, peer: NodeId, now: Time) {
        if let Some(broker) = self.brokers.get_mut(&peer)
            && broker.in_flight.take().is_some()
        {
            broker.not_before = now + BACKOFF;
        }
    }

    /// A broker that has been silent for too long.
    pub fn overdue(&self, now: Time) -> Option<NodeId> {
        let late = |broker: &Destination| broker.in_flight.as_ref().is_some_and(|ask| ask.deadline <= now);
        self.brokers.iter().find(|(_, broker)| late(broker)).map(|(node, _)| *node)
    }

    pub fn request_deadline(&self) -> Option<Time> {
        self.brokers.values().filter_map(|broker| Some(broker.in_flight.as_ref()?.deadline)).min()
    }

    /// When something may be sent again to a broker; `None` while an answer is awaited.
    pub fn retry_at(&self, to: NodeId) -> Option<Time> {
        let broker = self.brokers.get(&to).filter(|broker| broker.in_flight.is_none())?;
        Some(broker.not_before)
    }
}

//! How a broker joins, stays in and leaves the cluster: registration, heartbeats, controlled shutdown.
//!
//! A broker starts fenced. It asks to be unfenced when it has applied the metadata log up to its own registration, and it
//! leaves only when the controller says that it leads nothing any more. Kafka: BrokerLifecycleManager; KIP-631.

use crate::kafka::client::exponential_backoff;
use crate::types::metadata::BrokerRegistration;
use crate::types::request::*;
use crate::types::*;

use super::{Ask, LIFECYCLE_CHANNEL};

#[derive(Clone, Debug)]
pub struct Lifecycle {
    registration: BrokerRegistration,
    previous_broker_epoch: Option<BrokerEpoch>,
    heartbeat_interval: Duration,
    session_timeout: Duration,
    broker_epoch: Option<BrokerEpoch>,
    /// The metadata log is applied up to the registration.
    caught_up: bool,
    want_shut_down: bool,
    in_flight: Option<Ask>,
    next: Time,
    /// The next heartbeat has news and does not wait for its turn.
    hurry: bool,
    failures: u32,
}

/// What an answer of the controller asks of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    GoOn,
    ShutDown,
}

impl Lifecycle {
    pub fn new(
        registration: BrokerRegistration,
        previous_broker_epoch: Option<BrokerEpoch>,
        heartbeat_interval: Duration,
        session_timeout: Duration,
    ) -> Lifecycle {
        Lifecycle {
            registration,
            previous_broker_epoch,
            heartbeat_interval,
            session_timeout,
            broker_epoch: None,
            caught_up: false,
            want_shut_down: false,
            in_flight: None,
            next: Time::ZERO,
            hurry: false,
            failures: 0,
        }
    }

    /// Registers, or sends the next heartbeat, when that is due and a controller is known.
    pub fn advance(
        &mut self,
        controller: Option<NodeId>,
        metadata_offset: Offset,
        correlations: &mut Correlation,
        step: &mut Step,
    ) {
        if let Some(ask) = self.in_flight
            && ask.deadline <= step.time()
        {
            step.close(LIFECYCLE_CHANNEL, ask.to);
            self.fail(step);
        }
        let Some(to) = controller else { return };
        if self.in_flight.is_some() || step.time() < self.next {
            return;
        }
        let request = match self.broker_epoch {
            None => Request::BrokerRegistration(BrokerRegistrationRequest {
                registration: self.registration.clone(),
                previous_broker_epoch: self.previous_broker_epoch,
            }),
            Some(broker_epoch) => Request::BrokerHeartbeat(BrokerHeartbeatRequest {
                broker: self.registration.broker,
                broker_epoch,
                metadata_offset,
                want_fence: !self.caught_up,
                want_shut_down: self.want_shut_down,
            }),
        };
        let ask = Ask::new(to, correlations, step.time() + self.session_timeout / 2);
        self.in_flight = Some(ask);
        self.hurry = false;
        step.send(LIFECYCLE_CHANNEL, to, ask.correlation, request);
    }

    pub fn handle_response(&mut self, correlation: Correlation, response: Response, step: &mut Step) -> Order {
        if self.in_flight.is_none_or(|ask| ask.correlation != correlation) {
            return Order::GoOn;
        }
        self.in_flight = None;
        match response {
            Response::BrokerRegistration { error: ErrorCode::None, broker_epoch } if self.broker_epoch.is_none() => {
                self.broker_epoch = Some(broker_epoch);
                self.succeed(step.time(), Duration::ZERO);
                Order::GoOn
            }
            Response::BrokerHeartbeat(BrokerHeartbeatResponse { error: ErrorCode::None, should_shut_down, .. }) => {
                self.succeed(step.time(), self.heartbeat_interval);
                if should_shut_down && self.want_shut_down { Order::ShutDown } else { Order::GoOn }
            }
            _ => {
                self.fail(step);
                Order::GoOn
            }
        }
    }

    pub fn handle_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        if self.in_flight.is_some_and(|ask| ask.to == peer) {
            self.fail(step);
        }
    }

    /// True once, when the log has been applied up to the registration.
    pub fn notice_metadata(&mut self, end_offset: Offset, now: Time) -> bool {
        let reached = self.broker_epoch.is_some_and(|epoch| epoch.0 < end_offset.0);
        if self.caught_up || !reached {
            return false;
        }
        self.caught_up = true;
        self.hurry(now);
        true
    }

    /// Asks the controller to take every leadership away first.
    pub fn begin_shut_down(&mut self, now: Time) {
        self.want_shut_down = true;
        self.hurry(now);
    }

    pub fn broker_epoch(&self) -> Option<BrokerEpoch> {
        self.broker_epoch
    }

    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Without a controller there is nothing to do; becoming known wakes the broker anyway.
    pub fn next_deadline(&self, controller: Option<NodeId>) -> Option<Time> {
        match self.in_flight {
            Some(ask) => Some(ask.deadline),
            None => controller.map(|_| self.next),
        }
    }

    fn hurry(&mut self, now: Time) {
        self.hurry = true;
        self.next = now;
    }

    fn succeed(&mut self, now: Time, pause: Duration) {
        self.failures = 0;
        self.next = if self.hurry { now } else { now + pause };
    }

    fn fail(&mut self, step: &mut Step) {
        self.in_flight = None;
        self.next =
            step.time() + exponential_backoff(RESEND_BACKOFF, self.session_timeout / 2, self.failures, step.rng);
        self.failures += 1;
    }
}

/// Kafka: BrokerLifecycleManager's resendExponentialBackoff.
const RESEND_BACKOFF: Duration = Duration::from_millis(100);

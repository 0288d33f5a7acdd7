//! `call`: a request to another system, with what its caller does about silence and failure.
//!
//! An attempt ends with an answer, a broken connection, or its timeout. Only an answer tells: after a silence or a broken
//! connection nobody here knows whether it was executed, and another attempt may be a repetition. A run of the step whose
//! attempts were all refused has failed; with a single one in doubt, its outcome is unknown.
//!
//! A breaker counts the attempts of this process that came to nothing in a row. While it is open nothing is sent and the
//! step fails at once; when its time is over one call is let through, and its result decides. Source: Nygard, "Release It!"
//! (2007), the circuit breaker.

use super::flow::{CallProgress, FlowId, FlowState};
use super::interpreter::{CALL_CHANNEL, Interpreter};
use super::steps::Begun;
use crate::scenario::plan::{Action, BreakerPlan, CallKey, CallPlan, Callee};
use crate::types::note::{Note, StepOutcome};
use crate::types::random::combine;
use crate::types::request::{CallResponse, EndpointRequest, EndpointResponse, IdempotencyKey, Request, ServiceRequest};
use crate::types::*;

/// What a process knows of the other side of one of its steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaker {
    /// In a row.
    failures: u32,
    /// Open until then, at the least.
    open: Option<Time>,
    /// One call is out to see whether the other side is back.
    probing: bool,
}

/// How one attempt of a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempted {
    Done,
    Refused,
    /// Silence, or a broken connection.
    Unknown,
}

impl Interpreter {
    pub(super) fn begin_call(&mut self, id: FlowId, call: &CallPlan, step: &mut Step) -> Begun {
        let run = CallRun(
            u64::from(self.node.0) << 48
                | u64::from(self.incarnation.0 & 0xFFFF) << 32
                | self.next_number() & 0xFFFF_FFFF,
        );
        self.flows.get(id).call = CallProgress { run, attempt: 0, unknown: false };
        self.attempt_call(id, call, step)
    }

    /// The pause between two attempts is over.
    pub(super) fn call_again(&mut self, id: FlowId, step: &mut Step) -> Begun {
        let call = self.call_of(id);
        self.attempt_call(id, &call, step)
    }

    fn attempt_call(&mut self, id: FlowId, call: &CallPlan, step: &mut Step) -> Begun {
        let (service, now) = (self.id(), step.time());
        let number = self.flows.get(id).step;
        if call.breaker.is_some() && !self.breakers.entry(number).or_default().lets_through(now) {
            let unknown = self.flows.get(id).call.unknown;
            return Begun::Finished(if unknown { StepOutcome::Unknown } else { StepOutcome::Failed });
        }
        let process = u64::from(self.node.0) << 32 | u64::from(self.incarnation.0);
        let flow = self.flows.get(id);
        flow.call.attempt += 1;
        let (message, tried, CallProgress { run, attempt, .. }) = (flow.message, flow.attempt, flow.call);
        let of_step = combine(u64::from(service.0) << 16 | u64::from(number), u64::from(flow.attempt));
        let identity = combine(message.event.0, combine(combine(of_step, process), u64::from(attempt)));
        let key = call.idempotency_key.map(|key| match key {
            CallKey::Id => IdempotencyKey(message.id().0),
            CallKey::Attempt => IdempotencyKey(combine(run.0, u64::from(attempt))),
        });
        let (to, request) = match call.to {
            Callee::Endpoint(endpoint) => (
                self.plan.endpoints[usize::from(endpoint)].node,
                Request::Endpoint(EndpointRequest { message, service, step: number, run, identity, key }),
            ),
            Callee::Service(callee) => {
                // Any of them, by the event; another attempt goes to the next.
                let instances = &self.plan.services[usize::from(callee.0)].instances;
                let first = combine(message.event.0, u64::from(service.0) << 16 | u64::from(number));
                let turn = first.wrapping_add(u64::from(attempt) + u64::from(tried));
                let request = ServiceRequest { message, service, step: number, identity };
                (instances[(turn % instances.len() as u64) as usize], Request::CallService(request))
            }
        };
        let correlation = Correlation(self.next_number());
        let timer = self.set_timer(id, now + call.timeout);
        self.calls.insert(correlation, (id, to));
        self.flows.get(id).state = FlowState::Calling { correlation, timer };
        step.note(Note::CallAttempted { service, step: number, event: message.event, run, attempt, to });
        step.send(CALL_CHANNEL, to, correlation, request);
        Begun::Waiting
    }

    pub fn handle_endpoint_answer(&mut self, correlation: Correlation, response: EndpointResponse, step: &mut Step) {
        let attempted = match response {
            EndpointResponse::Done => Attempted::Done,
            EndpointResponse::Refused => Attempted::Refused,
        };
        self.end_attempt(correlation, attempted, step);
    }

    pub fn handle_service_answer(&mut self, correlation: Correlation, response: CallResponse, step: &mut Step) {
        let attempted = match response {
            CallResponse::Accepted(_) => Attempted::Done,
            CallResponse::Refused(_) => Attempted::Refused,
        };
        self.end_attempt(correlation, attempted, step);
    }

    /// The connection broke, or could not be opened: what was asked on it will not be answered.
    pub fn handle_call_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        let lost: Vec<Correlation> =
            self.calls.iter().filter(|(_, call)| call.1 == peer).map(|(correlation, _)| correlation).collect();
        for correlation in lost {
            self.end_attempt(correlation, Attempted::Unknown, step);
        }
    }

    /// An answer behind its timeout is not heard.
    pub(super) fn end_attempt(&mut self, correlation: Correlation, attempted: Attempted, step: &mut Step) {
        let Some((id, _)) = self.calls.remove(&correlation) else { return };
        let FlowState::Calling { timer, .. } = self.flows.get(id).state else {
            panic!("a call belongs to a step that waits for it");
        };
        self.cancel_timer(timer);
        let call = self.call_of(id);
        let (service, now) = (self.id(), step.time());
        let flow = self.flows.get(id);
        let (number, event) = (flow.step, flow.message.event);
        let outcome = match attempted {
            Attempted::Done => StepOutcome::Done,
            Attempted::Refused => StepOutcome::Failed,
            Attempted::Unknown => StepOutcome::Unknown,
        };
        if outcome != StepOutcome::Done {
            flow.call.unknown |= outcome == StepOutcome::Unknown;
            step.note(Note::CallFailed { service, step: number, event, attempt: flow.call.attempt, outcome });
        }
        if let Some(breaker) = call.breaker {
            let changed = self.breakers.entry(number).or_default().learn(outcome == StepOutcome::Done, breaker, now);
            if let Some(open) = changed {
                step.note(Note::BreakerChanged { service, step: number, open });
            }
        }
        let CallProgress { attempt, unknown, .. } = self.flows.get(id).call;
        if outcome == StepOutcome::Done {
            self.resolve(id, StepOutcome::Done);
        } else if attempt < call.attempts {
            let length = self.backoff_of_call(id, &call);
            let timer = self.set_timer(id, now + length);
            self.flows.get(id).state = FlowState::CallBackoff(timer);
        } else {
            self.resolve(id, if unknown { StepOutcome::Unknown } else { StepOutcome::Failed });
        }
    }

    fn backoff_of_call(&mut self, id: FlowId, call: &CallPlan) -> Duration {
        let draws = self.draws.backoff;
        let flow = self.flows.get(id);
        let of_step = combine(u64::from(flow.step) + 1, u64::from(flow.attempt));
        let mut draw = draws.at(combine(combine(flow.message.event.0, of_step), u64::from(flow.call.attempt)));
        super::ladder::doubling(&call.backoff, u32::from(flow.call.attempt), &mut draw)
    }

    fn call_of(&mut self, id: FlowId) -> CallPlan {
        let number = self.flows.get(id).step;
        match &self.service().steps[usize::from(number)].action {
            Action::Call(call) => call.clone(),
            action => panic!("{action:?} is no call"),
        }
    }
}

impl Breaker {
    fn lets_through(&mut self, now: Time) -> bool {
        match self.open {
            None => true,
            Some(until) if until <= now && !self.probing => {
                self.probing = true;
                true
            }
            Some(_) => false,
        }
    }

    /// The new state, if it is another one.
    fn learn(&mut self, came_through: bool, plan: BreakerPlan, now: Time) -> Option<bool> {
        let was_open = self.open.is_some();
        self.probing = false;
        if came_through {
            (self.failures, self.open) = (0, None);
        } else {
            self.failures = self.failures.saturating_add(1);
            if plan.failures <= self.failures {
                self.open = Some(now + plan.reset);
            }
        }
        (was_open != self.open.is_some()).then_some(self.open.is_some())
    }
}

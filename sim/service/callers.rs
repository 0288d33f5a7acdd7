//! The outside world of one `requests` service: events arrive, and their callers call until they have an answer.
//!
//! An attempt ends with an answer, a broken connection, or the caller's patience. The caller of an event knows that it
//! was refused only if every attempt was; after a silence or a broken connection nobody outside can tell, and the event
//! is unsettled unless a later attempt is accepted. A connection that was refused looks like one that broke.
//! Settled events are forgotten.

use std::sync::Arc;

use super::arrivals::{ArrivalTimes, KeyChoice};
use crate::scenario::plan::{CallerId, Keys, Plan, RequestsPlan, ServicePlan, Trigger};
use crate::types::note::{CallerOutcome, Note};
use crate::types::request::{CallResponse, Request, Response};
use crate::types::*;

const CHANNEL: Channel = Channel(0);

#[derive(Clone, Debug)]
pub struct Callers {
    plan: Arc<Plan>,
    service: usize,
    arrivals: ArrivalTimes,
    keys: KeyChoice,
    /// Events seen of each key; not kept when every event has a key of its own.
    versions: KeyTable<u32>,
    /// Unsettled events by number.
    calls: FewMap<u64, Call>,
    /// One for each unsettled event: patience or backoff.
    timers: FewMap<(Time, u64), ()>,
    /// So many of the next events are poison.
    poisoned: u64,
}

#[derive(Clone, Debug)]
struct Call {
    message: Message,
    /// From 1.
    attempt: u16,
    /// Where the attempt is out to; `None` while the caller waits before the next one.
    instance: Option<NodeId>,
    /// Every attempt so far was definitely refused.
    refused: bool,
    timer: Time,
}

/// How one attempt ended without being accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setback {
    Refused,
    Unknown,
}

impl Callers {
    pub fn new(plan: Arc<Plan>, service: ServiceId) -> Callers {
        let index = plan.services.iter().position(|candidate| candidate.id == service);
        let index = index.expect("a service of the plan");
        let name = &plan.services[index].name;
        let requests = requests(&plan.services[index]);
        let rng = plan.seed.stream(&format!("arrivals {name}"));
        let arrivals = ArrivalTimes::new(requests, Time::LOAD_START + plan.duration, rng);
        let keys = KeyChoice::new(requests.keys, plan.seed.keyed(&format!("keys {name}")));
        Callers {
            service: index,
            arrivals,
            keys,
            versions: KeyTable::default(),
            calls: FewMap::new(),
            timers: FewMap::new(),
            poisoned: 0,
            plan,
        }
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        match input {
            Input::Response { correlation, response: Response::Call(response), .. } => {
                self.handle_answer(correlation, response, step);
            }
            Input::Disconnected { peer, .. } => self.handle_disconnected(peer, step),
            Input::Command(Command::EndLoad) => self.arrivals.end(),
            Input::Command(Command::Poison(events)) => self.poisoned += u64::from(events),
            Input::Command(Command::ShutDown) => step.effect(Effect::Exit { clean: true }),
            Input::Started { .. }
            | Input::Request { .. }
            | Input::Response { .. }
            | Input::StorageFailed
            | Input::Command(_)
            | Input::Timeout => {}
        }
        self.handle_due(step);
    }

    /// Goes by another plan from now on: another rate, other instances.
    pub fn reconfigure(&mut self, plan: Arc<Plan>, now: Time) {
        self.arrivals.change(requests(&plan.services[self.service]).interval, now);
        self.plan = plan;
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let arrival = self.arrivals.peek().map(|time| (time, "arrival"));
        let timer = self.timers.first().map(|((time, _), _)| (time, "caller"));
        earlier(arrival, timer)
    }

    /// Events whose callers still wait or will try again.
    pub fn unsettled(&self) -> usize {
        self.calls.len()
    }

    pub fn check_invariants(&self) {
        assert!(self.calls.len() == self.timers.len(), "every unsettled event has one timer");
    }

    fn handle_due(&mut self, step: &mut Step) {
        while let Some(((_, number), ())) = self.timers.first().filter(|((time, _), _)| *time <= step.time()) {
            if self.calls.get(&number).expect("an unsettled event").instance.is_some() {
                self.set_back(number, Setback::Unknown, step);
            } else {
                self.attempt(number, step);
            }
        }
        while self.arrivals.peek().is_some_and(|time| time <= step.time()) {
            self.arrive(step);
        }
    }

    fn arrive(&mut self, step: &mut Step) {
        let number = self.arrivals.advance();
        let key = self.keys.key(number);
        let service = &self.plan.services[self.service];
        let requests = requests(service);
        let version = match requests.keys {
            Keys::Unique => 1,
            Keys::Uniform(_) | Keys::Zipf { .. } => {
                let version = self.versions.or_insert_with(key, || 0);
                *version += 1;
                *version
            }
        };
        let event = EventId(u64::from(service.id.0) << 48 | number);
        let size = requests.size.0.min(u64::from(u32::MAX)) as u32;
        let poison = 0 < self.poisoned;
        self.poisoned -= u64::from(poison);
        let message = Message { event, origin: service.id, key, version, size, poison, attempt: 0, caller_attempt: 0 };
        step.note(Note::Arrived { service: service.id, message });
        let call = Call { message, attempt: 0, instance: None, refused: true, timer: step.time() };
        self.calls.insert(number, call);
        self.attempt(number, step);
    }

    fn attempt(&mut self, number: u64, step: &mut Step) {
        let service = &self.plan.services[self.service];
        let RequestsPlan { caller_timeout: patience, caller_id, .. } = *requests(service);
        let call = self.calls.get_mut(&number).expect("an unsettled event");
        let turn = number + u64::from(call.attempt);
        let instance = service.instances[(turn % service.instances.len() as u64) as usize];
        call.attempt += 1;
        call.instance = Some(instance);
        if caller_id == CallerId::PerAttempt {
            call.message.caller_attempt = call.attempt;
        }
        let correlation = Correlation(number << 16 | u64::from(call.attempt));
        step.note(Note::Attempted { event: call.message.event, attempt: call.attempt, instance });
        step.send(CHANNEL, instance, correlation, Request::Call(call.message));
        self.set_timer(number, step.time() + patience);
    }

    fn handle_answer(&mut self, correlation: Correlation, response: CallResponse, step: &mut Step) {
        let (number, attempt) = (correlation.0 >> 16, correlation.0 as u16);
        // The answer to an attempt that the caller gave up is not heard.
        let heard = self.calls.get(&number).is_some_and(|call| call.attempt == attempt && call.instance.is_some());
        match response {
            _ if !heard => {}
            CallResponse::Accepted(_) => self.settle(number, CallerOutcome::Accepted, step),
            CallResponse::Refused(_) => self.set_back(number, Setback::Refused, step),
        }
    }

    fn handle_disconnected(&mut self, peer: NodeId, step: &mut Step) {
        let out = self.calls.iter().filter(|(_, call)| call.instance == Some(peer));
        let numbers: Vec<u64> = out.map(|(number, _)| number).collect();
        for number in numbers {
            self.set_back(number, Setback::Unknown, step);
        }
    }

    /// An attempt ended without being accepted: waits for the next one, or settles.
    fn set_back(&mut self, number: u64, setback: Setback, step: &mut Step) {
        let requests = requests(&self.plan.services[self.service]);
        let call = self.calls.get_mut(&number).expect("an unsettled event");
        call.instance = None;
        call.refused &= setback == Setback::Refused;
        if call.attempt < requests.caller_attempts {
            let backoff = requests.caller_backoff;
            self.set_timer(number, step.time() + backoff);
        } else {
            let outcome = if call.refused { CallerOutcome::Refused } else { CallerOutcome::Unknown };
            self.settle(number, outcome, step);
        }
    }

    fn settle(&mut self, number: u64, outcome: CallerOutcome, step: &mut Step) {
        let call = self.calls.remove(&number).expect("an unsettled event");
        self.timers.remove(&(call.timer, number));
        step.note(Note::CallerSettled { event: call.message.event, outcome });
    }

    fn set_timer(&mut self, number: u64, time: Time) {
        let call = self.calls.get_mut(&number).expect("an unsettled event");
        self.timers.remove(&(call.timer, number));
        call.timer = time;
        self.timers.insert((time, number), ());
    }
}

fn requests(service: &ServicePlan) -> &RequestsPlan {
    match &service.trigger {
        Trigger::Requests(requests) => requests,
        Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => {
            panic!("callers of a service that takes no requests")
        }
    }
}

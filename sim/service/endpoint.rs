//! An endpoint: somebody else's system, which does one thing for each request.
//!
//! A request takes one of the endpoint's places, or waits for one in the order in which it came. Half of the drawn round
//! trip later it is executed at a single instant; the answer leaves at its end. So a caller that dies or times out in
//! between cannot know whether it was executed. What goes wrong inside is drawn by the identity of the request: refused
//! before it was executed, lost on the way in, or executed and never answered. A key that is honoured makes a repetition
//! harmless: it is answered as the first time, and nothing is done.
//!
//! It forgets nothing when its process dies but the requests that were under way. It does not say how a call that timed out
//! ended: there is nothing to ask but the call itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::mishap::{Fate, Mishaps};
use crate::scenario::plan::{EndpointPlan, KeysHonoured, Plan};
use crate::types::note::{Note, StoreEffect};
use crate::types::random::combine;
use crate::types::request::{EndpointRequest, EndpointResponse, IdempotencyKey, Request, Response};
use crate::types::*;

#[derive(Clone, Debug)]
pub struct Endpoint {
    plan: Arc<Plan>,
    endpoint: u16,
    draws: Keyed,
    memory: EndpointMemory,
    /// Requests that have one of its places, until they are answered or will not be.
    busy: u16,
    waiting: VecDeque<(ReplyTo, EndpointRequest)>,
    /// By due time; the number keeps the order of equal times.
    due: FewMap<(Time, u64), Due>,
    number: u64,
}

/// What an endpoint remembers. It outlives its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointMemory {
    /// Keys that it has seen, with when each counted first.
    keys: BTreeMap<IdempotencyKey, Time>,
    /// How often a request of the same identity has come: whoever asks again is not answered as before by necessity.
    asked: BTreeMap<u64, u32>,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Execute {
        from: ReplyTo,
        request: EndpointRequest,
        answered: Time,
        fate: Fate,
    },
    /// Its place is free again; `None` is silence.
    Answer(Option<(ReplyTo, EndpointResponse)>),
}

impl Endpoint {
    pub fn new(plan: Arc<Plan>, endpoint: u16) -> Endpoint {
        Endpoint::with_memory(plan, endpoint, EndpointMemory::default())
    }

    /// An endpoint that starts again.
    pub fn with_memory(plan: Arc<Plan>, endpoint: u16, memory: EndpointMemory) -> Endpoint {
        let draws = plan.seed.keyed(&format!("endpoint {}", plan.endpoints[usize::from(endpoint)].name));
        Endpoint { plan, endpoint, draws, memory, busy: 0, waiting: VecDeque::new(), due: FewMap::new(), number: 0 }
    }

    /// Which of the plan's it is.
    pub fn index(&self) -> u16 {
        self.endpoint
    }

    /// What survives the process. Requests under way are lost: not executed, or executed and never answered.
    pub fn memory(self) -> EndpointMemory {
        self.memory
    }

    pub fn handle(&mut self, input: Input, step: &mut Step) {
        match input {
            Input::Request { from, request: Request::Endpoint(request) } => self.waiting.push_back((from, request)),
            Input::Command(Command::ShutDown) => step.effect(Effect::Exit { clean: true }),
            Input::Request { .. }
            | Input::Started { .. }
            | Input::Timeout
            | Input::Response { .. }
            | Input::Disconnected { .. }
            | Input::StorageFailed
            | Input::Command(_) => {}
        }
        self.perform_due(step);
        self.begin_waiting(step);
    }

    /// Goes by another plan from now on. Requests under way keep the times that were drawn for them.
    pub fn reconfigure(&mut self, plan: Arc<Plan>) {
        self.plan = plan;
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        let ((time, _), due) = self.due.first()?;
        match due {
            Due::Execute { .. } => Some((time, "call")),
            Due::Answer(_) => Some((time, "answer")),
        }
    }

    /// Every request that waits and finds a place begins.
    fn begin_waiting(&mut self, step: &Step) {
        while self.own_plan().capacity.is_none_or(|capacity| self.busy < capacity)
            && let Some((from, request)) = self.waiting.pop_front()
        {
            self.begin(from, request, step.time());
        }
    }

    fn begin(&mut self, from: ReplyTo, request: EndpointRequest, now: Time) {
        let before = self.memory.asked.entry(request.identity).or_default();
        let identity = combine(request.identity, u64::from(*before));
        *before += 1;
        let plan = self.own_plan();
        let mishaps =
            Mishaps { errors: plan.errors, lost_requests: plan.lost_requests, lost_answers: plan.lost_answers };
        let mut draw = self.draws.at(identity);
        let fate = mishaps.draw(&mut draw);
        let latency = draw.draw(&plan.latency);
        let Some(fate) = fate else { return };
        self.busy += 1;
        self.push(now + latency / 2, Due::Execute { from, request, answered: now + latency, fate });
    }

    fn perform_due(&mut self, step: &mut Step) {
        while self.due.first().is_some_and(|((time, _), _)| time <= step.time())
            && let Some((_, due)) = self.due.pop_first()
        {
            match due {
                Due::Execute { from, answered, fate: Fate::Refused, .. } => {
                    self.push(answered, Due::Answer(Some((from, EndpointResponse::Refused))));
                }
                Due::Execute { from, request, answered, fate } => {
                    self.execute(&request, from.peer, step);
                    if fate == Fate::AnswerLost {
                        step.note(Note::AnswerLost { event: request.message.event });
                    }
                    let answer = (fate == Fate::Answered).then_some((from, EndpointResponse::Done));
                    self.push(answered, Due::Answer(answer));
                }
                Due::Answer(answer) => {
                    self.busy -= 1;
                    if let Some((to, response)) = answer {
                        step.reply(to, Response::Endpoint(response));
                    }
                }
            }
        }
    }

    fn execute(&mut self, request: &EndpointRequest, caller: NodeId, step: &mut Step) {
        let (place, honoured) = (self.own_plan().place, self.own_plan().idempotency_keys);
        let known = request.key.is_some_and(|key| self.memory.meet(key, honoured, step.time()));
        let effect = if known { StoreEffect::Unchanged } else { StoreEffect::Executed { run: request.run } };
        let EndpointRequest { message, service, step: number, .. } = *request;
        step.note(Note::EffectApplied { service, step: number, place, message, effect, caller });
        step.note(Note::StepExecuted { service, step: number, event: message.event, caller });
    }

    fn push(&mut self, time: Time, due: Due) {
        self.number += 1;
        self.due.insert((time, self.number), due);
    }

    fn own_plan(&self) -> &EndpointPlan {
        &self.plan.endpoints[usize::from(self.endpoint)]
    }
}

impl EndpointMemory {
    /// Whether the key is known and honoured; from now on it is.
    fn meet(&mut self, key: IdempotencyKey, honoured: KeysHonoured, now: Time) -> bool {
        let first = self.keys.get(&key).copied();
        let known = first.is_some_and(|first| match honoured {
            KeysHonoured::Never => false,
            KeysHonoured::Always => true,
            KeysHonoured::For(length) => now < first + length,
        });
        if !known && honoured != KeysHonoured::Never {
            self.keys.insert(key, now);
        }
        known
    }
}

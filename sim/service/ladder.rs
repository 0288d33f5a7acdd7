//! What happens when a step fails: the rungs of `on-failure`, the last one final.
//!
//! An unknown outcome climbs like a failure: a handler that cannot tell has to do something, and that is where
//! repetitions come from.

use super::flow::{FlowId, FlowState, TimerKey};
use super::interpreter::{Ask, Interpreter};
use super::retreat::Phase;
use super::steps::Begun;
use crate::scenario::plan::{PublishKey, Rung, ServicePlan};
use crate::types::note::Note;
use crate::types::random::combine;
use crate::types::request::{CallResponse, Response};
use crate::types::*;

/// Between two attempts to publish a dead letter: the default of `block`.
const DEAD_LETTER_BACKOFF: Spread =
    Spread::Uniform { low: Duration::from_millis(100), high: Duration::from_millis(5_000) };

impl Interpreter {
    /// The event's step failed, or its dead letter is published again: the current rung acts, or the next one.
    pub(super) fn climb(&mut self, id: FlowId, service: &ServicePlan, step: &mut Step) -> Begun {
        let flow = self.flows.get(id);
        let rung = loop {
            let rung = service.ladder.get(usize::from(flow.rung)).expect("the last rung of a ladder is final");
            match rung {
                Rung::Retry { times, .. } if flow.tries >= *times => {
                    flow.rung += 1;
                    flow.tries = 0;
                }
                Rung::RetryTopic { up_to, .. } if flow.message.attempt >= *up_to => {
                    flow.rung += 1;
                    flow.tries = 0;
                }
                Rung::Retry { .. }
                | Rung::RetryTopic { .. }
                | Rung::Block { .. }
                | Rung::DeadLetter { .. }
                | Rung::Skip
                | Rung::Refuse
                | Rung::Crash
                | Rung::Close => break *rung,
            }
        };
        flow.tries += 1;
        step.note(Note::RungReached { service: service.id, rung: flow.rung, event: flow.message.event });
        match rung {
            Rung::Retry { backoff, .. } | Rung::Block { backoff } => {
                let length = self.backoff(id, &backoff);
                self.wait_or_give_up(id, FlowState::Backoff, length, step)
            }
            Rung::DeadLetter { topic, producer, wait } => {
                let send = self.next_send();
                let flow = self.flows.get(id);
                flow.state = FlowState::DeadLettering { send, wait };
                let message = flow.message;
                self.publish(id, send, (topic, producer, PublishKey::Key), message, step)
            }
            Rung::RetryTopic { topic, producer, .. } => {
                let send = self.next_send();
                let flow = self.flows.get(id);
                flow.state = FlowState::DeadLettering { send, wait: true };
                let message = Message { attempt: flow.message.attempt + 1, ..flow.message };
                self.publish(id, send, (topic, producer, PublishKey::Key), message, step)
            }
            Rung::Skip => {
                self.make_ready(id, FlowState::JumpToEnd);
                Begun::Waiting
            }
            Rung::Refuse => {
                self.refuse_flow(id, step);
                Begun::Waiting
            }
            Rung::Crash => self.exit(false),
            Rung::Close => {
                self.give_up(id, step);
                self.shut_down(step);
                Begun::Waiting
            }
        }
    }

    /// The dead letter was not taken: another one follows after a while.
    pub(super) fn wait_for_dead_letter(&mut self, id: FlowId, step: &mut Step) -> Begun {
        let length = self.backoff(id, &DEAD_LETTER_BACKOFF);
        self.wait_or_give_up(id, FlowState::DeadLetterBackoff, length, step)
    }

    /// Waits for the next attempt, unless there will be none here.
    fn wait_or_give_up(
        &mut self,
        id: FlowId,
        state: fn(TimerKey) -> FlowState,
        length: Duration,
        step: &mut Step,
    ) -> Begun {
        let flow = self.flows.get(id).clone();
        if self.is_retreating(&flow) {
            self.give_up(id, step);
        } else {
            let timer = self.set_timer(id, step.time() + length);
            self.flows.get(id).state = state(timer);
        }
        Begun::Waiting
    }

    pub(super) fn exit(&mut self, clean: bool) -> Begun {
        self.phase = Phase::Exited;
        Begun::Ask(Ask::Exit { clean })
    }

    /// Ends a flow with a definite no, when its caller still waits for an answer.
    pub(super) fn refuse_flow(&mut self, id: FlowId, step: &mut Step) {
        let flow = self.remove_flow(id);
        if let Some(caller) = flow.reply {
            step.reply(caller, Response::Call(CallResponse::Refused(flow.message.event)));
        }
    }

    pub(super) fn backoff(&mut self, id: FlowId, spread: &Spread) -> Duration {
        let draws = self.draws.backoff;
        let flow = self.flows.get(id);
        let tries = combine(u64::from(flow.rung), u64::from(flow.tries));
        let mut draw = draws.at(combine(flow.message.event.0, tries));
        doubling(spread, flow.tries, &mut draw)
    }
}

/// The pause behind this many tries. A uniform backoff doubles from its low to its high end with each try, with a jitter of
/// 20 %, as Kafka's ExponentialBackoff; every other spread is drawn as it is.
pub(super) fn doubling(spread: &Spread, tries: u32, draw: &mut impl Random) -> Duration {
    match *spread {
        Spread::Uniform { low, high } => {
            let doubled = low * (1u64 << tries.saturating_sub(1).min(20));
            let bounded = doubled.0.min(high.0);
            Duration(bounded * 4 / 5 + draw.below(bounded * 2 / 5 + 1))
        }
        Spread::Constant(_)
        | Spread::Normal { .. }
        | Spread::Exponential { .. }
        | Spread::LogNormal { .. }
        | Spread::TwoPoint { .. } => draw.draw(spread),
    }
}

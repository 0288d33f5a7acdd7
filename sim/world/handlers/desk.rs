//! The desk between a handler and its process: what the handler asks for lies here in order, and so do the answers.
//!
//! The one idea: a call of the handler is an [`Ask`] that the process performs in its next step, and a slot that waits for
//! the [`Answer`]. The async side never touches a machine; the machines never see a future.
//!
//! A call that is dropped before its answer, as by a `select!`, takes its wish back where that is possible.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::error::Error;
use super::seat::{Bell, lock};
use crate::kafka::consumer::ConsumerRecord;
use crate::scenario::plan::PublishKey;
use crate::types::request::{StoreOperation, StoreResponse};
use crate::types::*;

/// The event that a handler is at work on, and where it stood when it was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub message: Message,
    pub source: Option<(TopicPartition, Offset)>,
}

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(u64);

/// What a handler wants of its process.
#[derive(Clone, Debug)]
pub enum Ask {
    /// It takes a record out of its batch.
    Begin(Subject),
    /// It lets go of the event.
    Through(Subject),
    /// It lets go of records that it never took.
    Abandon(u32),
    Poll {
        call: CallId,
        timeout: Duration,
    },
    NextRequest(CallId),
    Respond {
        subject: Subject,
        to: ReplyTo,
        accepted: bool,
    },
    /// `only`: the offset behind one record; otherwise everything that polls have returned.
    Commit {
        call: Option<CallId>,
        only: Option<(TopicPartition, Offset)>,
    },
    Store {
        call: CallId,
        store: u16,
        step: u16,
        subject: Subject,
        operations: Vec<StoreOperation>,
    },
    Publish {
        call: Option<CallId>,
        route: Route,
        subject: Subject,
    },
    Sleep {
        call: CallId,
        length: Duration,
    },
    /// Nobody waits for this call any more.
    Forget(CallId),
}

/// How a record leaves: by a step of the list, or by the rung that dead-letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub topic: TopicId,
    pub producer: u16,
    pub key: PublishKey,
    pub by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Step(u16),
    Rung(u16),
}

#[derive(Clone, Debug)]
pub enum Answer {
    Done,
    Failed(Error),
    Records(Vec<ConsumerRecord>),
    Request { message: Message, to: ReplyTo },
    Store(StoreResponse),
}

#[derive(Default)]
pub struct Desk(Mutex<State>);

#[derive(Default)]
struct State {
    now: Time,
    asks: VecDeque<Ask>,
    slots: BTreeMap<CallId, Slot>,
    calls: u64,
    is_stopping: bool,
    /// The process is gone.
    is_closed: bool,
}

#[derive(Default)]
struct Slot {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

impl Desk {
    // --- the handler's side ---

    /// Asks for something that is answered.
    pub fn call(self: &Arc<Self>, ask: impl FnOnce(CallId) -> Ask) -> Call {
        let mut state = lock(&self.0);
        state.calls += 1;
        let id = CallId(state.calls);
        if !state.is_closed {
            state.slots.insert(id, Slot::default());
            let ask = ask(id);
            state.asks.push_back(ask);
        }
        Call { desk: Arc::clone(self), id, is_answered: false }
    }

    /// Asks for something that nobody waits for.
    pub fn tell(&self, ask: Ask) {
        let mut state = lock(&self.0);
        if !state.is_closed {
            state.asks.push_back(ask);
        }
    }

    pub fn now(&self) -> Time {
        lock(&self.0).now
    }

    pub fn is_stopping(&self) -> bool {
        lock(&self.0).is_stopping
    }

    // --- the process's side ---

    pub fn set_now(&self, now: Time) {
        lock(&self.0).now = now;
    }

    pub fn next_ask(&self) -> Option<Ask> {
        lock(&self.0).asks.pop_front()
    }

    /// A handler that fails has not brought to its end what it lets go of in failing.
    pub fn forget_throughs(&self) {
        lock(&self.0).asks.retain(|ask| !matches!(ask, Ask::Through(_)));
    }

    /// The answer, unless nobody waits for it: then it comes back.
    pub fn answer(&self, call: CallId, answer: Answer) -> Option<Answer> {
        let mut state = lock(&self.0);
        let Some(slot) = state.slots.get_mut(&call) else { return Some(answer) };
        slot.answer = Some(answer);
        let waker = slot.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }

    pub fn stop(&self) {
        lock(&self.0).is_stopping = true;
    }

    pub fn close(&self) {
        let mut state = lock(&self.0);
        state.is_closed = true;
        state.asks.clear();
        let slots = std::mem::take(&mut state.slots);
        drop(state);
        drop(slots);
    }

    /// Wakers of the handler itself that lie here.
    pub fn wakers_of(&self, bell: &Arc<Bell>) -> usize {
        let own = Waker::from(Arc::clone(bell));
        let state = lock(&self.0);
        state.slots.values().filter(|slot| slot.waker.as_ref().is_some_and(|waker| waker.will_wake(&own))).count()
    }
}

/// A call under way.
pub struct Call {
    desk: Arc<Desk>,
    id: CallId,
    is_answered: bool,
}

impl Future for Call {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Answer> {
        let mut state = lock(&self.desk.0);
        // Of a process that is gone nothing ever comes.
        let Some(slot) = state.slots.get_mut(&self.id) else { return Poll::Pending };
        let Some(answer) = slot.answer.take() else {
            slot.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        state.slots.remove(&self.id);
        drop(state);
        self.is_answered = true;
        Poll::Ready(answer)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut state = lock(&self.desk.0);
        let Some(slot) = state.slots.remove(&self.id) else { return };
        match slot.answer {
            // The consumer stands behind them already: they are gone, as with any client whose poll is dropped.
            Some(Answer::Records(records)) => state.asks.push_back(Ask::Abandon(records.len() as u32)),
            // Its caller hears nothing and asks again.
            Some(Answer::Request { .. }) => state.asks.push_back(Ask::Abandon(1)),
            Some(Answer::Done | Answer::Failed(_) | Answer::Store(_)) => {}
            None => state.asks.push_back(Ask::Forget(self.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(desk: &Arc<Desk>) -> Call {
        desk.call(|call| Ask::Poll { call, timeout: Duration::ZERO })
    }

    fn asked(desk: &Desk) -> CallId {
        match desk.next_ask() {
            Some(Ask::Poll { call, .. } | Ask::Forget(call)) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_that_is_dropped_takes_its_wish_back_and_its_answer_finds_nobody() {
        let desk = Arc::new(Desk::default());
        let call = poll(&desk);
        let id = asked(&desk);
        drop(call);
        assert_eq!(asked(&desk), id, "forgotten");
        assert!(matches!(desk.answer(id, Answer::Done), Some(Answer::Done)));
    }

    #[test]
    fn records_that_nobody_reads_are_abandoned() {
        let desk = Arc::new(Desk::default());
        let call = poll(&desk);
        let record = ConsumerRecord {
            partition: TopicPartition::default(),
            offset: Offset(7),
            leader_epoch: LeaderEpoch(0),
            record: Record {
                send: SendId(1),
                message: Message {
                    event: EventId(1),
                    origin: ServiceId(0),
                    key: Key(1),
                    version: 1,
                    size: 1,
                    poison: false,
                    attempt: 0,
                    caller_attempt: 0,
                },
                timestamp: Time::ZERO,
            },
        };
        assert!(desk.answer(asked(&desk), Answer::Records(vec![record])).is_none());
        drop(call);
        assert!(matches!(desk.next_ask(), Some(Ask::Abandon(1))));
    }

    #[test]
    fn nobody_asks_anything_of_a_process_that_is_gone() {
        let desk = Arc::new(Desk::default());
        let early = poll(&desk);
        desk.close();
        desk.tell(Ask::Abandon(1));
        let late = poll(&desk);
        drop((early, late));
        assert!(desk.next_ask().is_none());
    }
}

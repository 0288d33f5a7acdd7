//! The handler door: services whose program is an engineer's own async Rust instead of a list of steps.
//!
//! The one idea: the pump stays the only scheduler. A handler's future lives in a task on a madsim node of its own
//! (`seat.rs`), so that it sleeps on madsim's clock, and is paused and killed with its process together with whatever it
//! spawned. But that task polls it only when the pump gives it the turn: right behind the event that woke it, at that
//! event's time, in the order of nodes. madsim by itself would pick among ready tasks at random and let its clock drift
//! with every poll. What the handler calls are the ordinary machines, in the ordinary process (`process.rs`); between the
//! two lies a desk (`desk.rs`).
//!
//! madsim's clock follows ours. It is awaited only while it can matter: while somebody but the desk holds a waker of a
//! handler, as a timer of madsim does, or while a handler has spawned tasks. Otherwise it is moved before each turn.
//! A timer of madsim is late by its own drift, 50 to 150 ns here, and has its floor of one millisecond;
//! [`Context::sleep`] is exact.
//!
//! What it does not do: stop a handler that never yields. Nothing in this process can; a sweep in worker processes has a
//! watchdog for that. Nor does it notice reads of real files or sockets that block: a run with them is no simulation. Real
//! threads and runtimes other than madsim's panic, and a panic is a finding with its place.

mod context;
mod desk;
mod error;
mod process;
mod seat;
mod store;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use madsim::runtime::Handle;
use madsim::time::TimeHandle;

use super::process::Process;
use super::pump::World;
use crate::history::event::HANDLER_PANICKED;
use crate::scenario::plan::Plan;
use crate::types::*;
use seat::{End, Seat, Work, give_turn};

pub use context::{Consumer, Context, Event, Record, Records, Request};
pub use error::{Error, Result};
pub use process::HandlerProcess;
pub use store::{Store, Transaction};

/// Makes the future of one process.
pub type Handler = Arc<dyn Fn(Context) -> Work + Send + Sync>;

/// Handlers by the name of their service, and what became of their processes.
#[derive(Clone, Default)]
pub struct Handlers {
    by_service: BTreeMap<String, Handler>,
    /// Handlers that came back with an error, in order.
    failures: Vec<HandlerFailure>,
    turns_this_instant: (Time, u64),
    /// madsim's clock has to be awaited.
    is_clock_watched: bool,
}

/// A handler that returned an error: its process ended as a crash and was started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerFailure {
    pub time: Time,
    /// As the plan calls the process: `billing-1`.
    pub process: String,
    pub error: Error,
}

/// More turns of handlers at one instant than any honest program takes.
const TURNS_PER_INSTANT_MAX: u64 = 100_000;

impl Handlers {
    pub fn add<F>(&mut self, service: &str, handler: impl Fn(Context) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result> + Send + 'static,
    {
        self.by_service.insert(service.to_string(), Arc::new(move |context| Box::pin(handler(context))));
    }

    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.by_service.keys().map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.by_service.is_empty()
    }

    pub(super) fn of(&self, plan: &Plan, service: ServiceId) -> Option<&Handler> {
        let service = plan.services.iter().find(|other| other.id == service)?;
        self.by_service.get(&service.name)
    }

    pub(super) fn into_failures(self) -> Vec<HandlerFailure> {
        self.failures
    }
}

impl World<'_> {
    /// [`World::run_to_the_end`] for worlds in which handlers live. Runs inside madsim's runtime.
    pub(super) async fn run_handlers_to_the_end(&mut self) {
        let clock = TimeHandle::current();
        self.start_all();
        loop {
            self.attend(&clock).await;
            let next = self.next_time();
            if self.ended || next == Time::NEVER {
                break;
            }
            if self.handlers.is_clock_watched && !self.reach(&clock, next).await {
                // A waker that is none of ours was first.
                self.move_to(elapsed(&clock).min(next));
                continue;
            }
            self.contained(|world| {
                world.happen_next();
            });
        }
        // A task that is not dropped inside the runtime is never dropped at all.
        for node in &mut self.nodes {
            if let Some(Process::Handler(_)) = node.process {
                node.process = None;
            }
        }
        clock.sleep(std::time::Duration::ZERO).await;
    }

    /// Lets every handler run that can go on.
    async fn attend(&mut self, clock: &TimeHandle) {
        self.pause_seats();
        while let Some(id) = self.next_ready() {
            if self.handlers.turns_this_instant.0 != self.now {
                self.handlers.turns_this_instant = (self.now, 0);
            }
            self.handlers.turns_this_instant.1 += 1;
            if TURNS_PER_INSTANT_MAX < self.handlers.turns_this_instant.1 {
                let name = self.seated(id).map(|process| process.name().to_string()).unwrap_or_default();
                self.give_up(format!("{HANDLER_PANICKED}{name} goes on and on without letting time pass"));
                return;
            }
            clock.advance(std::time::Duration::from_nanos(self.now.since(elapsed(clock)).0));
            let process = self.seated(id).expect("a process whose bell was rung");
            process.desk.set_now(self.now);
            let seat = process.seat.as_ref().expect("a bell belongs to a seat");
            let (chair, bell) = (seat.chair(), Arc::clone(&seat.bell));
            give_turn(&chair, &bell).await;
            drop((chair, bell));
            self.handle_turn(id);
            if self.ended {
                return;
            }
            self.handlers.is_clock_watched = self.must_watch_clock();
        }
    }

    /// The handler waits again, or is through.
    fn handle_turn(&mut self, id: NodeId) {
        let now = self.now;
        let Some(process) = self.seated_mut(id) else { return };
        match process.seat.as_ref().and_then(Seat::take_end) {
            None => {}
            Some(End::Returned(result)) => {
                let name = process.name().to_string();
                process.finish(result.clone());
                if let Err(error) = result
                    && error != Error::Stopping
                {
                    self.handlers.failures.push(HandlerFailure { time: now, process: name, error });
                }
            }
            Some(End::Panicked) => {
                let name = process.name().to_string();
                let message = super::take_panic();
                self.give_up(format!("{HANDLER_PANICKED}{name} panicked: {message}"));
                return;
            }
        }
        // What it asked for lies on the desk.
        self.contained(|world| world.step(id, Input::Timeout));
    }

    /// A machine's panic ends the run here: madsim would have its own say about it.
    fn contained(&mut self, act: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| act(self))).is_err() {
            let message = super::take_panic();
            self.give_up(message);
        }
    }

    fn give_up(&mut self, message: String) {
        self.record_panic(message.replace('\n', " "));
        self.ended = true;
    }

    /// Waits for madsim's clock to come to `until`. False when a handler can go on before that.
    async fn reach(&self, clock: &TimeHandle, until: Time) -> bool {
        let ahead = until.since(elapsed(clock));
        if ahead.is_zero() {
            return true;
        }
        let mut sleep = pin!(clock.sleep(std::time::Duration::ZERO));
        // Setting a deadline anew goes around the floor of one millisecond.
        sleep.as_mut().reset(clock.now_instant() + std::time::Duration::from_nanos(ahead.0));
        poll_fn(|context| {
            for bell in self.seats().map(|(_, seat)| &seat.bell) {
                if bell.is_rung() {
                    return Poll::Ready(false);
                }
                bell.wake_when_rung(context.waker());
            }
            sleep.as_mut().poll(context).map(|()| true)
        })
        .await
    }

    /// Processes are paused by faults, their nodes of madsim here.
    fn pause_seats(&mut self) {
        for node in &mut self.nodes {
            if let Some(Process::Handler(process)) = &mut node.process
                && let Some(seat) = &mut process.seat
            {
                seat.set_paused(0 < node.paused);
            }
        }
    }

    fn next_ready(&self) -> Option<NodeId> {
        self.seats().find(|(_, seat)| seat.bell.is_rung()).map(|(id, _)| id)
    }

    /// Paused handlers count: their timers run on.
    fn must_watch_clock(&self) -> bool {
        let mut seated = 0;
        for node in &self.nodes {
            if let Some(Process::Handler(process)) = &node.process
                && let Some(seat) = &process.seat
            {
                seated += 1;
                if seat.has_foreign_wakers(process.desk.wakers_of(&seat.bell)) {
                    return true;
                }
            }
        }
        seated < Handle::current().metrics().num_tasks()
    }

    /// Seats of processes that are not paused, in the order of nodes.
    fn seats(&self) -> impl Iterator<Item = (NodeId, &Seat)> {
        self.nodes.iter().zip(0u16..).filter(|(node, _)| node.paused == 0).filter_map(|(node, number)| {
            let seat = seat_of(node.process.as_ref())?;
            Some((NodeId(number), seat))
        })
    }

    fn seated(&self, id: NodeId) -> Option<&HandlerProcess> {
        if let Some(Process::Handler(process)) = &self.nodes[id.0 as usize].process { Some(process) } else { None }
    }

    fn seated_mut(&mut self, id: NodeId) -> Option<&mut HandlerProcess> {
        if let Some(Process::Handler(process)) = &mut self.nodes[id.0 as usize].process { Some(process) } else { None }
    }
}

fn seat_of(process: Option<&Process>) -> Option<&Seat> {
    if let Some(Process::Handler(process)) = process { process.seat.as_ref() } else { None }
}

fn elapsed(clock: &TimeHandle) -> Time {
    Time(u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

//! The simulated world: the only room that knows madsim, and the only one that makes anything go wrong.
//!
//! [`run`] takes a plan and gives every event of the run to an observer, in order. One loop steps machines without
//! I/O from one ordered heap; links and disks are pure models; a fault comes through one door. Each run lives in a
//! madsim runtime on a fresh thread, so that nothing in the process can see the operating system's time or entropy.

mod alarms;
mod budget;
mod disk;
mod door;
mod echo;
mod faults;
pub mod handlers;
mod messages;
mod network;
mod process;
mod pump;
mod queue;
mod roles;
mod traffic;
mod voters;
pub mod wires;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use madsim::runtime::Runtime;

use crate::history::Event;
use crate::scenario::plan::Plan;
use crate::types::Time;

pub use door::ROLLING_PAUSE;
use handlers::{HandlerFailure, Handlers};
use pump::{Observer, World};

/// What a run says of itself beside its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// Folds every send, delivery, drop, disk operation, deadline and note, with its time.
    pub digest: u128,
    /// Messages that links between different nodes delivered.
    pub messages: u64,
    /// Steps of machines.
    pub steps: u64,
    /// Events of the history.
    pub events: u64,
    pub ended: Time,
    /// Nothing was left to do when it ended.
    pub quiet: bool,
    /// A machine broke one of its own invariants.
    pub panic: Option<String>,
}

/// Runs the plan to its end on a fresh thread. The observer sees the history as it grows.
pub fn run(plan: &Plan, mut observer: impl FnMut(&Event) + Send) -> RunReport {
    observed(plan, &AtomicBool::new(false), &mut observer)
}

/// As [`run`], but ends behind the event at which the observer raises `stop`.
pub fn run_until(plan: &Plan, stop: &AtomicBool, mut observer: impl FnMut(&Event) + Send) -> RunReport {
    observed(plan, stop, &mut observer)
}

fn observed(plan: &Plan, stop: &AtomicBool, observer: &mut Observer) -> RunReport {
    let plan = Arc::new(plan.clone());
    on_fresh_thread(0, move |runtime| {
        runtime.block_on(async { drive(World::new(plan, Handlers::default(), observer), stop) })
    })
}

/// As [`run`], with services whose program is Rust. What those returned errors comes beside the report.
pub fn run_with(
    plan: &Plan,
    handlers: &Handlers,
    mut observer: impl FnMut(&Event) + Send,
) -> (RunReport, Vec<HandlerFailure>) {
    if handlers.is_empty() {
        return (run(plan, observer), Vec::new());
    }
    let (plan, handlers) = (Arc::new(plan.clone()), handlers.clone());
    // Draws that handlers make of madsim differ from seed to seed, and are the same for each.
    on_fresh_thread(plan.seed.0, move |runtime| {
        let mut world = World::new(plan, handlers, &mut observer);
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(world.run_handlers_to_the_end())));
        conclude(outcome, &mut world);
        let failures = std::mem::take(&mut world.handlers).into_failures();
        (world.report(), failures)
    })
}

/// Sends `messages` calls from one smallest process to another and back, `in_flight` at a time: what the world itself
/// costs. Returns how many messages links delivered.
pub fn echo(plan: &Plan, in_flight: u64, messages: u64) -> RunReport {
    let plan = Arc::new(plan.clone());
    on_fresh_thread(0, move |runtime| {
        runtime.block_on(async {
            drive(World::of_echoes(plan, in_flight, messages / 2, &mut |_: &Event| {}), &AtomicBool::new(false))
        })
    })
}

fn drive(mut world: World, stop: &AtomicBool) -> RunReport {
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run_to_the_end(stop)));
    conclude(outcome, &mut world);
    world.report()
}

fn conclude(outcome: std::thread::Result<()>, world: &mut World) {
    if outcome.is_err() {
        world.record_panic(take_panic());
    }
}

/// What the last panic of this thread's run said.
fn take_panic() -> String {
    PANIC.with_borrow_mut(Option::take).unwrap_or_else(|| "a machine panicked".into())
}

thread_local! {
    /// The message of a panic of this thread's run; `Some` of an empty text while a run is on.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static RUNNING: RefCell<bool> = const { RefCell::new(false) };
}

/// One thread for each run: statics of a thread (hash keys, madsim's context) start anew.
fn on_fresh_thread<T: Send>(seed: u64, body: impl FnOnce(&Runtime) -> T + Send) -> T {
    keep_panics_quiet();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("run".into()).stack_size(8 << 20);
        let handle = thread.spawn_scoped(scope, || {
            RUNNING.set(true);
            body(&Runtime::with_seed_and_config(seed, madsim::Config::default()))
        });
        match handle.expect("failed to start the thread of a run").join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A panic inside a run is a finding with a place, not a stack trace on somebody's terminal.
fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if RUNNING.try_with(|running| *running.borrow()).unwrap_or(false) {
                let place = info.location().map(|location| format!(" ({}:{})", location.file(), location.line()));
                let text = info.payload_as_str().unwrap_or("panic");
                PANIC.set(Some(format!("{text}{}", place.unwrap_or_default())));
            } else {
                previous(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests;

//! The seat of one running handler: a node of madsim, and the turn that the pump gives it.
//!
//! The one idea: the handler's future belongs to a task on a madsim node of its own, so that whatever it spawns is paused
//! and killed with it; but that task polls the future only when the pump has given it the turn. So which handler runs
//! next is never madsim's random choice among ready tasks, and it runs at the time of the event that woke it.
//!
//! What it does not do: order the tasks that a handler spawns itself. Those are madsim's, in an order that its seed gives.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use madsim::runtime::Handle;

use super::error::Result;

/// A handler at work.
pub type Work = Pin<Box<dyn Future<Output = Result> + Send>>;

pub struct Seat {
    node: madsim::task::NodeId,
    pub bell: Arc<Bell>,
    chair: Arc<Chair>,
    is_paused: bool,
}

/// Rung when the handler can go on. Its wakers are handed out to whatever the handler waits for.
#[derive(Default)]
pub struct Bell {
    rung: AtomicBool,
    pump: Mutex<Option<Waker>>,
}

/// What the pump and the task on the node share.
#[derive(Default)]
pub struct Chair {
    turn: AtomicBool,
    work: Mutex<Option<Work>>,
    end: Mutex<Option<End>>,
    task: Mutex<Option<Waker>>,
    pump: Mutex<Option<Waker>>,
}

/// How a handler came to its end.
pub enum End {
    Returned(Result),
    Panicked,
}

impl Seat {
    /// Must be called inside madsim's runtime.
    pub fn new(name: &str, work: Work) -> Seat {
        let chair = Arc::new(Chair { work: Mutex::new(Some(work)), ..Chair::default() });
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), pump: Mutex::default() });
        let node = Handle::current().create_node().name(name).build();
        node.spawn(occupy(Arc::clone(&chair), Arc::clone(&bell)));
        Seat { node: node.id(), bell, chair, is_paused: false }
    }

    pub fn chair(&self) -> Arc<Chair> {
        Arc::clone(&self.chair)
    }

    pub fn take_end(&self) -> Option<End> {
        lock(&self.chair.end).take()
    }

    /// The future may be waiting for something that is none of ours, as for a timer of madsim.
    pub fn has_foreign_wakers(&self, own: usize) -> bool {
        // One for the seat, one for the task.
        2 + own < Arc::strong_count(&self.bell)
    }

    pub fn set_paused(&mut self, paused: bool) {
        if std::mem::replace(&mut self.is_paused, paused) != paused {
            let handle = Handle::current();
            if paused { handle.pause(self.node) } else { handle.resume(self.node) }
        }
    }
}

/// The process is gone: nothing of the handler may ever run again.
impl Drop for Seat {
    fn drop(&mut self) {
        let work = lock(&self.chair.work).take();
        drop(work);
        if let Ok(handle) = Handle::try_current() {
            handle.kill(self.node);
        }
    }
}

impl Bell {
    pub fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }

    /// Who waits for any bell hears this one.
    pub fn wake_when_rung(&self, pump: &Waker) {
        *lock(&self.pump) = Some(pump.clone());
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Relaxed);
        if let Some(pump) = lock(&self.pump).take() {
            pump.wake();
        }
    }
}

/// Lets the handler run until it waits or ends.
pub async fn give_turn(chair: &Chair, bell: &Bell) {
    bell.rung.store(false, Ordering::Relaxed);
    chair.turn.store(true, Ordering::Relaxed);
    if let Some(task) = lock(&chair.task).take() {
        task.wake();
    }
    poll_fn(|context| {
        if chair.turn.load(Ordering::Relaxed) {
            *lock(&chair.pump) = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// The task on the node.
async fn occupy(chair: Arc<Chair>, bell: Arc<Bell>) {
    poll_fn(|context| {
        let mut ended = false;
        if chair.turn.load(Ordering::Relaxed) {
            ended = run(&chair, &bell);
            chair.turn.store(false, Ordering::Relaxed);
            if let Some(pump) = lock(&chair.pump).take() {
                pump.wake();
            }
        }
        if ended {
            return Poll::Ready(());
        }
        *lock(&chair.task) = Some(context.waker().clone());
        Poll::Pending
    })
    .await;
}

/// True when the handler has come to its end.
fn run(chair: &Chair, bell: &Arc<Bell>) -> bool {
    let Some(mut work) = lock(&chair.work).take() else { return true };
    let waker = Waker::from(Arc::clone(bell));
    let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(&waker))));
    let end = match polled {
        Ok(Poll::Pending) => {
            *lock(&chair.work) = Some(work);
            return false;
        }
        Ok(Poll::Ready(result)) => End::Returned(result),
        Err(_) => End::Panicked,
    };
    *lock(&chair.end) = Some(end);
    true
}

/// Everything here lives on one thread, and a panic of a handler leaves nothing half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

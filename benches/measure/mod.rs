//! What both benchmarks measure with: CPU time of this process, and medians over rounds, so that a busy machine and one
//! unlucky round do not count.

use std::hint::black_box;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// Nanoseconds of this process's CPU that `body` takes, and what it returns.
pub fn cpu_of<T>(body: impl FnOnce() -> T) -> (f64, T) {
    let before = cpu_time();
    let value = black_box(body());
    (cpu_time() - before, value)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whether the command line asks for this measurement: by a part of its name, or by no name at all.
pub fn wanted(name: &str) -> bool {
    let mut asked = std::env::args().skip(1).filter(|word| !word.starts_with("--")).peekable();
    asked.peek().is_none() || asked.any(|word| name.contains(&word))
}

/// CPU time of all threads of this process, also of those that have ended, in nanoseconds.
fn cpu_time() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel's accounting of this process");
    let nanoseconds = |time: TimeVal| time.tv_sec() as f64 * 1e9 + time.tv_usec() as f64 * 1e3;
    nanoseconds(usage.user_time()) + nanoseconds(usage.system_time())
}

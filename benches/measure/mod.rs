//! What both benchmarks measure with: CPU time of this process, and medians over rounds, so that a busy machine and one
//! unlucky round do not count.

use std::hint::black_box;

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

/// CPU time of all threads of this process, also of those that have ended, in nanoseconds. The kernel gives it in ticks
/// of 10 ms.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the kernel's accounting of this process");
    let (_, behind_name) = stat.rsplit_once(')').expect("a name in parentheses");
    // Fields 14 and 15 of proc(5), utime and stime; the text begins with field 3.
    let ticks =
        behind_name.split_whitespace().skip(11).take(2).map(|word| word.parse::<u64>().expect("a number of ticks"));
    ticks.sum::<u64>() as f64 * 1e7
}

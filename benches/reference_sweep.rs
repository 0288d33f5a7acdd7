//! What a seed costs: the reference system with faults of each family and all checks on, and the growth of a long run.
//!
//! `cargo bench --bench reference_sweep` prints seeds for each second of CPU, of at least 25, and what a seed consists of.
//! `valgrind --tool=callgrind BINARY --one-seed` counts the instructions of one of them.
//! A long run is compared with a short one by what a record costs in time and in memory, each in a process of its own.

mod measure;

use hikyaku::checks::WaitOptions;
use hikyaku::explore::run_seed;
use hikyaku::scenario::Family;
use hikyaku::types::{Seed, Time};
use hikyaku::world;
use measure::{cpu_of, median, wanted};

const SEEDS_PER_ROUND: u64 = 10;
const ROUNDS: u64 = 5;
const REFERENCE: &str = include_str!("reference.toml");
const START_UPS: u64 = 300;
/// The name under which this program calls itself for one long run.
const LONG_RUN: &str = "--long-run";
/// Runs one seed and nothing else, for a profiler that counts instructions: they are the same on a busy machine.
const ONE_SEED: &str = "--one-seed";

fn main() {
    let mut arguments = std::env::args().skip_while(|word| word != LONG_RUN).skip(1);
    if let Some(duration) = arguments.next() {
        long_run(&duration);
        return;
    }
    if std::env::args().any(|word| word == ONE_SEED) {
        let (_, report) = run_seed(&family(REFERENCE, &[]).cells[0].plan(Seed(1)), WaitOptions::default(), |_| {});
        println!("{} messages, {} events, digest {:032x}", report.messages, report.events, report.digest);
        return;
    }
    if wanted("seeds") {
        seeds();
    }
    if wanted("start-up") {
        start_up();
    }
    if wanted("records") {
        records();
    }
}

fn seeds() {
    let family = family(REFERENCE, &[]);
    let (mut per_second, mut simulated_per_second) = (Vec::new(), Vec::new());
    let (mut messages, mut events) = (0, 0);
    for round in 0..ROUNDS {
        let mut simulated = 0.0;
        let (cpu, ()) = cpu_of(|| {
            for seed in round * SEEDS_PER_ROUND..(round + 1) * SEEDS_PER_ROUND {
                let (outcome, report) = run_seed(&family.cells[0].plan(Seed(seed)), WaitOptions::default(), |_| {});
                assert_eq!(report.panic, None);
                assert!(outcome.invariant_violations.is_empty(), "seed {seed} breaks an invariant");
                messages += report.messages;
                events += report.events;
                simulated += report.ended.since(Time::ZERO).0 as f64 / 1e9;
            }
        });
        per_second.push(SEEDS_PER_ROUND as f64 / cpu * 1e9);
        simulated_per_second.push(simulated / cpu * 1e9);
    }
    let runs = SEEDS_PER_ROUND * ROUNDS;
    println!("seeds for each CPU second             {:8.1} of at least 25, aim 50", median(per_second));
    println!("simulated seconds for each CPU second {:8.0}", median(simulated_per_second));
    println!("messages for each seed                {:8}", messages / runs);
    println!("events for each seed                  {:8}", events / runs);
}

/// A plan is drawn, a thread with its runtime comes and goes, a handful of messages pass.
fn start_up() {
    let family = family(REFERENCE, &[]);
    let (cpu, ()) = cpu_of(|| {
        for seed in 0..START_UPS {
            assert!(world::echo(&family.cells[0].plan(Seed(seed)), 1, 4).messages > 0);
        }
    });
    println!("start-up for each seed                {:8.3} ms of at most 1", cpu / START_UPS as f64 / 1e6);
}

/// Both runs without faults; the longer one has ten times the records.
fn records() {
    let run = |duration: &str| {
        let program = std::env::current_exe().expect("the path of this program");
        let output = std::process::Command::new(program).args([LONG_RUN, duration]).output().expect("a second process");
        let text = String::from_utf8(output.stdout).expect("figures");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let figures: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a figure")).collect();
        println!(
            "{:>9.0} records: {:6.2} µs of CPU for each record, {:6.0} MiB at its peak",
            figures[0], figures[1], figures[2]
        );
        figures[1]
    };
    let (short, long) = (run("200s"), run("2000s"));
    let ratio = long / short;
    println!("a record of the long run costs        {ratio:8.2}x of at most 1.2x");
}

fn long_run(duration: &str) {
    let sets = [
        format!("duration={duration}"),
        "service.shop.rate=500/s".to_string(),
        "service.shop.workers=64".to_string(),
        r#"service.booking.steps=["insert-if-absent db.bookings", "commit-async every 1s"]"#.to_string(),
    ];
    let (system, rest) = REFERENCE.split_once("[chaos]").expect("the reference has faults");
    let (_, expectations) = rest.split_once("[expect]").expect("the reference expects something");
    let family = family(&format!("{system}[expect]{expectations}"), &sets);
    let (cpu, (outcome, report)) = cpu_of(|| run_seed(&family.cells[0].plan(Seed(1)), WaitOptions::default(), |_| {}));
    assert_eq!(report.panic, None);
    assert!(report.quiet, "the system came to rest");
    let records = outcome.counters.accepted;
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel's accounting of this process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak of the memory");
    let kibibytes: f64 = peak.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    println!("{records} {} {}", cpu / records as f64 / 1e3, kibibytes / 1024.0);
}

fn family(text: &str, sets: &[String]) -> Family {
    let no_parent = |_: &str, _: &str| Err("this scenario has no parent".into());
    hikyaku::scenario::parse("reference.toml", text, sets, &no_parent).unwrap_or_else(|problems| panic!("{problems}"))
}

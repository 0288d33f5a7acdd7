//! The command line: one file for each command, exit codes in one place.

/// Writes to standard output, as `anstream::print!` does, and without a panic when that cannot be done.
macro_rules! out {
    ($($argument:tt)*) => { $crate::cli::say(format_args!($($argument)*)) };
}
macro_rules! outln {
    () => { out!("\n") };
    ($($argument:tt)*) => { out!("{}\n", format_args!($($argument)*)) };
}

mod artefacts;
mod check;
mod exit;
mod explain;
mod gallery;
mod guarantees;
mod merge;
mod mutants;
mod replay;
mod review;
mod run;
mod saved;
mod shards;
mod shrink;
mod size;
mod study;
mod summary;
mod sweep;
mod validate;
mod worker;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

pub use exit::Exit;

use crate::explore::sweep::JournalError;

/// Deterministic simulation and chaos testing for message-driven systems.
#[derive(Debug, Parser)]
#[command(name = "hikyaku", version, after_help = exit::TABLE, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario over its cells and seeds, judge it, and write what happened.
    Run(run::RunArguments),
    /// Print a sweep as an array job of Slurm, an Indexed Job of Kubernetes or a workflow of GitHub.
    Shards(shards::ShardsArguments),
    /// Run all cells and seeds of many scenarios in worker processes; failures are grouped, written at once, and can be replayed.
    Sweep(sweep::SweepArguments),
    /// Join the shards of a sweep into the files of the whole.
    Merge(merge::MergeArguments),
    /// A process of a sweep.
    #[command(hide = true)]
    Worker,
    /// Run a recorded failure again, from its plan or its token, and compare.
    Replay(replay::ReplayArguments),
    /// Make a failing run into the smallest scenario that fails in the same way.
    Shrink(shrink::ShrinkArguments),
    /// List what each guard of the queue is for, or prove that a check notices when it is gone.
    Mutants(mutants::MutantsArguments),
    /// Run the tables of guarantees: what each place of a commit, each idempotence, each way to publish and each reset policy is
    /// worth, one crash point or cause at a time.
    Guarantees(guarantees::GuaranteesArguments),
    /// Find the fewest instances and partitions that meet an objective: by theory first, then by runs, which must miss one step below.
    Size(size::SizeArguments),
    /// Answer the checklist of a design review, each point by what happens to the system, with the change that makes a no a yes.
    Review(review::ReviewArguments),
    /// Look at scenario files without running them; every problem at once.
    Check(check::CheckArguments),
    /// Compare the simulation with the closed forms of queueing theory.
    Validate(validate::ValidateArguments),
    /// List scenarios with their cells and seeds.
    List {
        /// Scenario files or folders.
        #[arg(default_value = "scenarios")]
        paths: Vec<PathBuf>,
    },
    /// Make the pictures of reports/gallery anew, or say which of them are stale.
    Gallery(gallery::GalleryArguments),
    /// Print the JSON Schema of scenario files, for editors.
    Schema,
    /// Tell the story of an event, whose promise broke, and which change would have kept it; or what a problem code means.
    Explain(explain::ExplainArguments),
    /// Print the completion script of a shell.
    Completions { shell: clap_complete::Shell },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Human,
    Json,
}

/// Of sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SweepFormat {
    Human,
    Json,
    Github,
}

/// Runs the command line and returns its exit code.
pub fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A pipe that is closed early is no reason to panic.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Holds.into() };
        }
    };
    let result = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Shards(arguments) => shards::shards(&arguments),
        Command::Sweep(arguments) => sweep::sweep(&arguments),
        Command::Merge(arguments) => merge::merge(&arguments),
        Command::Worker => worker::worker(),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Shrink(arguments) => shrink::shrink(&arguments),
        Command::Mutants(arguments) => mutants::mutants(&arguments),
        Command::Guarantees(arguments) => guarantees::guarantees(&arguments),
        Command::Size(arguments) => size::size(&arguments),
        Command::Review(arguments) => review::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Validate(arguments) => validate::validate(&arguments),
        Command::List { paths } => check::list(&paths),
        Command::Gallery(arguments) => gallery::gallery(&arguments),
        Command::Schema => check::schema(),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "hikyaku", &mut script);
            out!("{}", String::from_utf8_lossy(&script));
            Ok(Exit::Holds)
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            if is_of_disk(&error) { Exit::Incomplete.into() } else { Exit::Usage.into() }
        }
    }
}

/// Nobody's usage was wrong: there was no room for the results.
fn is_of_disk(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match (cause.downcast_ref(), cause.downcast_ref()) {
        (Some(error), _) => is_full(error),
        (None, Some(JournalError::Write(_, error, _))) => is_full(error),
        (None, Some(_) | None) => false,
    })
}

fn is_full(error: &std::io::Error) -> bool {
    let of_table = error.get_ref().and_then(|inner| inner.downcast_ref::<csv::Error>()).map(csv::Error::kind);
    match (error.kind(), of_table) {
        (ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded, _) => true,
        (_, Some(csv::ErrorKind::Io(error))) => is_full(error),
        (_, Some(_) | None) => false,
    }
}

/// A reader that has gone away wants no more. Anything else that keeps the results from getting out ends the process.
fn say(text: std::fmt::Arguments) {
    let mut output = anstream::stdout().lock();
    match output.write_fmt(text).and_then(|()| output.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => {
            anstream::eprintln!("error: failed to write to standard output: {error}");
            std::process::exit(5);
        }
    }
}

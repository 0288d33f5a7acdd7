//! hikyaku: a deterministic simulation and chaos-testing harness for message-driven systems.
//!
//! As a library: [`Scenario`] runs a scenario from your own tests, with your own handlers in Rust, and gives a [`Report`].
//! A handler gets a [`Context`] for each of its processes. Everything else here is the inside, and may change.
//!
//! Modules in reading order. `sim/README.md` is the map.

#[cfg(not(madsim))]
compile_error!(
    "hikyaku must be built with `--cfg madsim`. The repository sets it in .cargo/config.toml; setting RUSTFLAGS in the \
     environment, or building from outside the repository, replaces those flags. Unset RUSTFLAGS, or append `--cfg madsim` to it. \
     A package that depends on hikyaku needs a .cargo/config.toml of its own: copy tests/library/.cargo/config.toml."
);

pub mod checks;
pub mod cli;
pub mod explore;
pub mod history;
pub mod kafka;
pub mod report;
pub mod scenario;
pub mod service;
pub mod theory;
pub mod types;
pub mod world;

pub use checks::{CellVerdict, RunOutcome, Signature, Verdict};
pub use explore::library::{Failure, Report, Scenario};
pub use world::handlers::{
    Consumer, Context, Error, Event, HandlerFailure, Record, Records, Request, Result, Store, Transaction,
};

/// The runtime that runs live in, in the version they need: for `hikyaku::madsim::time::sleep`, `task::spawn` and `rand`.
pub use madsim;

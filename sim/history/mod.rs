//! What happened: append-only, typed, compact. The only witness that checks and reports may read.

pub mod digest;
pub mod event;
pub mod export;
pub mod import;

pub use digest::Digest;
pub use event::{Event, Happening, Refusal, StopReason};

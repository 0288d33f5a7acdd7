//! From plans back to the language: what was drawn, resolved or taken out, as a person would have written it.

mod fault;
#[cfg(test)]
mod tests;

pub use fault::{write_action, write_fault, write_state};

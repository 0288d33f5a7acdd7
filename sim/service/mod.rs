//! Machines of the business: service instances that run their lists of steps, stores, endpoints, and the callers
//! outside.
//!
//! A service does exactly what its list says, in order, once per event; whether that is right is what a scenario asks.
//! There is no cleverness here that a scenario has not written down: no deduplication, no fencing, no hidden retry.
//! The machines are as sans-IO as the queue's: an input and the time go in, effects and notes come out in order.

mod arrivals;
mod async_commits;
mod callers;
mod calls;
mod commits;
mod endpoint;
mod flow;
mod instance;
mod intake;
mod interpreter;
mod kept;
mod ladder;
mod mishap;
mod redrive;
mod relay;
mod retreat;
mod rows;
mod steps;
mod store;
#[cfg(test)]
mod tests;
mod transactions;

pub use callers::Callers;
pub use endpoint::{Endpoint, EndpointMemory};
pub use instance::{Service, service_of, topics_of};
pub use rows::StoreRows;
pub use store::Store;

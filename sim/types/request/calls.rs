//! Calls of a service: to the systems of other people, and to services of our own.

use super::super::*;

/// One attempt of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointRequest {
    pub message: Message,
    /// Who asks, for the record.
    pub service: ServiceId,
    pub step: u16,
    /// Which run of the step; its attempts have the same one.
    pub run: CallRun,
    /// Which attempt of this process at this step this is, over all events: an identity for draws.
    pub identity: u64,
    pub key: Option<IdempotencyKey>,
}

/// One attempt of a call to another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRequest {
    pub message: Message,
    /// Who asks, for the record.
    pub service: ServiceId,
    pub step: u16,
    /// As of an [`EndpointRequest`].
    pub identity: u64,
}

/// By which the other side knows that it has done something already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointResponse {
    Done,
    /// Not executed.
    Refused,
}

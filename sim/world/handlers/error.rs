//! What can go wrong between a handler and the world it calls, as its author has to tell it apart: nothing happened,
//! it may have happened, or the process has to end.

use crate::types::request::ErrorCode;

/// Why a call of a handler failed. A handler that returns one ends its process as a crash; it starts again after its
/// service's `restart`. [`Error::Stopping`] is the exception: it ends the process in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process was told to stop: no more records and requests. Returning it is the right thing to do.
    #[error("the process was told to stop")]
    Stopping,
    /// The transaction was not applied: a row was there already.
    #[error("a row was there already")]
    Conflict,
    /// The store said no before it did anything.
    #[error("the store refused")]
    Refused,
    /// No answer came: nobody here can tell whether it was done.
    #[error("no answer came: it may have been done or not")]
    Unknown,
    /// The record is in no log and never will be.
    #[error("the record was not queued ({0:?})")]
    NotQueued(ErrorCode),
    /// `buffer.memory` is used up: the producer did not take the record.
    #[error("the buffer of the producer is full")]
    BufferFull,
    /// The coordinator did not take the commit. Kafka: CommitFailedException, when the group has gone on without us.
    #[error("the commit failed ({0:?})")]
    CommitFailed(ErrorCode),
    /// poll() cannot go on. OffsetOutOfRange: no position, and no reset policy.
    #[error("the consumer failed ({0:?})")]
    ConsumerFailed(ErrorCode),
    /// The handler's own reason.
    #[error("{0}")]
    Own(String),
}

impl Error {
    /// An error of the handler itself.
    pub fn own(reason: impl std::fmt::Display) -> Error {
        Error::Own(reason.to_string())
    }
}

/// What a handler comes to.
pub type Result<T = ()> = std::result::Result<T, Error>;

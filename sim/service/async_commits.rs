//! Commits that no step waits for, and what the program does when one fails.
//!
//! The one idea: a program hears of such a failure when it polls, and puts it aside until then. A commit that might succeed
//! the next time is then made again, if the program says so: unless a newer one was made meanwhile, or all the same. The
//! second takes the group back behind what was committed after it, and a crash repeats from there.
//!
//! Kafka differs: the Java client also runs callbacks in front of the next commit, so that a callback that commits again itself
//! seldom comes too late; that of librdkafka is served in a poll only.
//!
//! Source: KafkaConsumer.commitAsync, RetriableCommitFailedException; Shapira et al., "Kafka: The Definitive Guide", 2nd edition
//! (2021), chapter 4, "Retrying Async Commits".

use std::collections::{BTreeMap, VecDeque};

use super::commits::CommitToken;
use super::interpreter::{Ask, Interpreter};
use crate::kafka::consumer::is_retriable;
use crate::scenario::plan::CommitRetry;
use crate::types::request::ErrorCode;
use crate::types::*;

#[derive(Clone, Debug, Default)]
pub struct AsyncCommits {
    out: BTreeMap<CommitToken, AsyncCommit>,
    /// Failed, and to be made again in a poll; in the order in which they were made.
    failed: VecDeque<(CommitToken, AsyncCommit)>,
    /// The commit that was made last, whoever waits for it.
    pub newest: CommitToken,
}

#[derive(Clone, Debug)]
struct AsyncCommit {
    offsets: Vec<(TopicPartition, Offset)>,
    retry: CommitRetry,
}

impl Interpreter {
    pub(super) fn commit_async(&mut self, offsets: Vec<(TopicPartition, Offset)>, retry: CommitRetry) -> Ask {
        let token = CommitToken(self.next_number());
        self.commits.not_waited_for(&offsets);
        self.async_commits.newest = token;
        self.async_commits.out.insert(token, AsyncCommit { offsets: offsets.clone(), retry });
        Ask::Commit { token, offsets, wait: false }
    }

    pub(super) fn end_async_commit(&mut self, token: CommitToken, result: Result<(), ErrorCode>) {
        let Some(commit) = self.async_commits.out.remove(&token) else { return };
        match result {
            Ok(()) => self.commits.heard(&commit.offsets),
            Err(error) => {
                self.commits.failed();
                if is_retriable(error) && commit.retry != CommitRetry::Never {
                    self.async_commits.failed.push_back((token, commit));
                }
            }
        }
    }

    /// The oldest failure that the program does something about, now that it polls.
    pub(super) fn repeat_commit(&mut self) -> Option<Ask> {
        while let Some((token, mut commit)) = self.async_commits.failed.pop_front() {
            if commit.retry == CommitRetry::UnlessNewer {
                if token != self.async_commits.newest {
                    continue;
                }
                commit.offsets.retain(|(partition, _)| self.commits.has(*partition));
            }
            if !commit.offsets.is_empty() {
                return Some(self.commit_async(commit.offsets, commit.retry));
            }
        }
        None
    }
}

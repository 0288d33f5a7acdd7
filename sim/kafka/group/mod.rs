//! Placeholder of the group coordinator: leads no group.

use crate::types::request::{ErrorCode, Request, Response};
use crate::types::settings::BrokerSettings;
use crate::types::*;

#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    pub node: NodeId,
    pub offsets_topic: TopicId,
    pub partitions: u16,
    pub settings: BrokerSettings,
    pub guards: Guards,
}

#[derive(Clone, Debug)]
pub struct CoordinatorAppend {
    pub partition: TopicPartition,
    pub token: AppendToken,
    pub records: Vec<Group>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppendToken(pub u64);

#[derive(Clone, Debug)]
pub struct Coordinator;

impl Coordinator {
    pub fn new(_: CoordinatorConfig) -> Coordinator {
        Coordinator
    }

    pub fn become_leader(&mut self, _: TopicPartition, _: LeaderEpoch, _: &[RecordBatch], _: &mut Step) {}

    pub fn resign(&mut self, _: TopicPartition, _: &mut Step) {}

    pub fn handle_request(&mut self, from: ReplyTo, _: Request, step: &mut Step) -> Vec<CoordinatorAppend> {
        step.reply(from, Response::Heartbeat(ErrorCode::NotCoordinator));
        Vec::new()
    }

    pub fn append_finished(
        &mut self,
        _: AppendToken,
        _: Result<Offset, ErrorCode>,
        _: &mut Step,
    ) -> Vec<CoordinatorAppend> {
        Vec::new()
    }

    pub fn handle_command(&mut self, _: Command, _: &mut Step) -> Vec<CoordinatorAppend> {
        Vec::new()
    }

    pub fn handle_timeout(&mut self, _: &mut Step) -> Vec<CoordinatorAppend> {
        Vec::new()
    }

    pub fn next_deadline(&self) -> Option<(Time, TimerName)> {
        None
    }
}

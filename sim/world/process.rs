//! What runs on a node: the machines of one process, and the routing between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kafka::broker::{Broker, BrokerConfig};
use crate::kafka::controller::{Controller, ControllerConfig};
use crate::scenario::plan::{NodeKind, Plan};
use crate::service::{Callers, Endpoint, EndpointMemory, Service, Store, StoreRows};
use crate::types::request::RequestKind;
use crate::types::settings::TopicSettings;
use crate::types::storage::StorageImage;
use crate::types::*;

use super::echo::Echo;
use super::handlers::{HandlerProcess, Handlers};

/// The machines of one process. Killing it is dropping this.
pub enum Process {
    /// A broker, a controller, or both in one process.
    Kafka {
        broker: Option<Box<Broker>>,
        controller: Option<Box<Controller>>,
    },
    Service(Box<Service>),
    /// An instance of a service whose program is Rust.
    Handler(Box<HandlerProcess>),
    Store(Box<Store>),
    Endpoint(Box<Endpoint>),
    Callers(Box<Callers>),
    Echo(Echo),
}

/// What a process leaves behind beside its disk, for the one that comes after it.
pub enum Kept {
    Store { store: u16, rows: StoreRows },
    Endpoint { endpoint: u16, memory: EndpointMemory },
}

/// Whose round trip is their own: their links take no time.
pub fn is_instant(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Store { .. } | NodeKind::Endpoint { .. })
}

/// Who has nothing to do before a clean stop.
pub fn stops_at_once(kind: NodeKind) -> bool {
    is_instant(kind) || matches!(kind, NodeKind::Callers { .. })
}

/// Channels below this belong to the broker of a process, the others to its controller.
const FIRST_CONTROLLER_CHANNEL: u8 = 10;

impl Process {
    pub fn new(plan: &Arc<Plan>, node: NodeId, kind: NodeKind, guards: Guards, handlers: &Handlers) -> Process {
        match kind {
            NodeKind::Broker => Process::Kafka {
                broker: Some(Box::new(Broker::new(broker_config(plan, node, guards)))),
                controller: plan
                    .cluster
                    .controllers
                    .contains(&node)
                    .then(|| Box::new(Controller::new(controller_config(plan, node, guards)))),
            },
            NodeKind::Controller => Process::Kafka {
                broker: None,
                controller: Some(Box::new(Controller::new(controller_config(plan, node, guards)))),
            },
            NodeKind::Instance { service, .. } => match handlers.of(plan, service) {
                Some(handler) => {
                    Process::Handler(Box::new(HandlerProcess::new(plan.clone(), node, handler.clone(), guards)))
                }
                None => Process::Service(Box::new(Service::new(plan.clone(), node, guards))),
            },
            NodeKind::Store { store } => Process::Store(Box::new(Store::new(plan.clone(), store))),
            NodeKind::Endpoint { endpoint } => Process::Endpoint(Box::new(Endpoint::new(plan.clone(), endpoint))),
            NodeKind::Callers { service } => Process::Callers(Box::new(Callers::new(plan.clone(), service))),
        }
    }

    /// The next process on the node of one that is gone.
    pub fn again(plan: &Arc<Plan>, kept: Kept) -> Process {
        match kept {
            Kept::Store { store, rows } => Process::Store(Box::new(Store::with_rows(plan.clone(), store, rows))),
            Kept::Endpoint { endpoint, memory } => {
                Process::Endpoint(Box::new(Endpoint::with_memory(plan.clone(), endpoint, memory)))
            }
        }
    }

    pub fn keep(self) -> Option<Kept> {
        match self {
            Process::Store(store) => Some(Kept::Store { store: store.index(), rows: store.rows() }),
            Process::Endpoint(endpoint) => {
                Some(Kept::Endpoint { endpoint: endpoint.index(), memory: endpoint.memory() })
            }
            Process::Kafka { .. }
            | Process::Service(_)
            | Process::Handler(_)
            | Process::Callers(_)
            | Process::Echo(_) => None,
        }
    }

    /// Gives back when the process wants to look at its deadlines next; what for, its machines tell.
    pub fn handle(&mut self, input: Input, step: &mut Step) -> Time {
        let time = |deadline: Option<(Time, TimerName)>| deadline.map_or(Time::NEVER, |(time, _)| time);
        match self {
            Process::Kafka { broker, controller } => {
                handle_kafka(broker, controller, input, step);
                let broker = broker.as_ref().and_then(|broker| broker.next_deadline());
                let controller = controller.as_ref().and_then(|controller| controller.next_deadline());
                time(broker).min(time(controller))
            }
            Process::Service(service) => {
                service.handle(input, step);
                time(service.next_deadline())
            }
            Process::Handler(handler) => {
                handler.handle(input, step);
                time(handler.next_deadline())
            }
            Process::Store(store) => {
                store.handle(input, step);
                time(store.next_deadline())
            }
            Process::Endpoint(endpoint) => {
                endpoint.handle(input, step);
                time(endpoint.next_deadline())
            }
            Process::Callers(callers) => {
                callers.handle(input, step);
                time(callers.next_deadline())
            }
            Process::Echo(echo) => {
                echo.handle(input, step);
                Time::NEVER
            }
        }
    }

    /// Goes by another plan from now on. The next look at its deadlines finds what that changes.
    pub fn reconfigure(&mut self, plan: &Arc<Plan>, now: Time) {
        match self {
            Process::Kafka { broker, .. } => {
                if let Some(broker) = broker {
                    broker.reconfigure(&topic_settings(plan));
                }
            }
            Process::Service(service) => service.reconfigure(plan.clone()),
            Process::Handler(handler) => handler.reconfigure(plan.clone()),
            Process::Store(store) => store.reconfigure(plan.clone()),
            Process::Endpoint(endpoint) => endpoint.reconfigure(plan.clone()),
            Process::Callers(callers) => callers.reconfigure(plan.clone(), now),
            Process::Echo(_) => {}
        }
    }
}

fn handle_kafka(
    broker: &mut Option<Box<Broker>>,
    controller: &mut Option<Box<Controller>>,
    input: Input,
    step: &mut Step,
) {
    let for_controller = match &input {
        Input::Started { image, incarnation } => {
            if let Some(controller) = controller {
                // The logs of partitions are long, and the controller has no use for them.
                let quorum_log = image.quorum_log.clone();
                let image = StorageImage { quorum_log, quorum_state: image.quorum_state, ..StorageImage::default() };
                controller.handle(Input::Started { image: Box::new(image), incarnation: *incarnation }, step);
            }
            false
        }
        Input::Timeout => {
            if let Some(controller) = controller {
                controller.handle(Input::Timeout, step);
            }
            false
        }
        Input::StorageFailed => {
            if let Some(controller) = controller {
                controller.handle(Input::StorageFailed, step);
            }
            false
        }
        Input::Request { request, .. } => is_for_controller(request.kind()),
        Input::Response { channel, .. } | Input::Disconnected { channel, .. } => FIRST_CONTROLLER_CHANNEL <= channel.0,
        Input::Command(
            Command::ElectPreferred { .. } | Command::Reassign { .. } | Command::CreatePartitions { .. },
        ) => true,
        Input::Command(Command::ShutDown) => {
            if broker.is_none() {
                step.effect(Effect::Exit { clean: true });
            }
            false
        }
        Input::Command(_) => false,
    };
    if for_controller {
        if let Some(controller) = controller {
            controller.handle(input, step);
        }
    } else if let Some(broker) = broker {
        broker.handle(input, step);
    }
}

fn is_for_controller(kind: RequestKind) -> bool {
    match kind {
        RequestKind::BrokerRegistration
        | RequestKind::BrokerHeartbeat
        | RequestKind::AlterPartition
        | RequestKind::AllocateProducerIds
        | RequestKind::Vote
        | RequestKind::BeginQuorumEpoch
        | RequestKind::FetchQuorum => true,
        RequestKind::Metadata
        | RequestKind::Produce
        | RequestKind::Fetch
        | RequestKind::ListOffsets
        | RequestKind::OffsetForLeaderEpoch
        | RequestKind::InitProducerId
        | RequestKind::FindCoordinator
        | RequestKind::JoinGroup
        | RequestKind::SyncGroup
        | RequestKind::Heartbeat
        | RequestKind::LeaveGroup
        | RequestKind::ConsumerGroupHeartbeat
        | RequestKind::OffsetCommit
        | RequestKind::OffsetFetch
        | RequestKind::AddPartitionsToTxn
        | RequestKind::AddOffsetsToTxn
        | RequestKind::EndTxn
        | RequestKind::WriteTxnMarkers
        | RequestKind::TxnOffsetCommit
        | RequestKind::Call
        | RequestKind::Store
        | RequestKind::Endpoint => false,
    }
}

fn broker_config(plan: &Plan, node: NodeId, guards: Guards) -> BrokerConfig {
    BrokerConfig {
        id: node,
        rack: plan.nodes.iter().find(|other| other.id == node).and_then(|found| found.rack),
        voters: plan.cluster.controllers.clone(),
        settings: plan.cluster.settings.clone(),
        topics: topic_settings(plan),
        offsets_topic: plan.topics.last().expect("the offsets topic is always planned").id,
        transactions_topic: plan.transactions_topic(),
        groups: plan.groups.iter().map(|group| group.id).collect(),
        guards,
    }
}

fn controller_config(plan: &Plan, node: NodeId, guards: Guards) -> ControllerConfig {
    ControllerConfig {
        id: node,
        voters: plan.cluster.controllers.clone(),
        brokers: (1..=plan.cluster.brokers).map(NodeId).collect(),
        settings: plan.cluster.settings.clone(),
        topics: topic_settings(plan),
        guards,
    }
}

fn topic_settings(plan: &Plan) -> BTreeMap<TopicId, TopicSettings> {
    plan.topics.iter().map(|topic| (topic.id, topic.settings.clone())).collect()
}

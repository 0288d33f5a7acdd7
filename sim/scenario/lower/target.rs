//! Who a fault is aimed at, and between whom a link lies: `leader(orders/0)`, `rack(a) | rack(b)`.

use crate::types::request::RequestKind;
use crate::types::{NodeId, ServiceId};

use super::super::diagnostics::{Diagnostic, Place, nearest, printable};
use super::super::plan::*;
use super::super::sentence::Given;
use super::super::tree::Text;
use super::Builder;

/// `name(argument, argument)`, taken apart.
pub struct Call<'a> {
    pub name: Text<'a>,
    /// `None` without parentheses.
    pub arguments: Option<Vec<Text<'a>>>,
}

/// Takes `name(…)` apart. Commas inside inner parentheses belong to the argument.
pub fn take_apart(text: Text) -> Option<Call> {
    let text = text.trimmed();
    let Some(open) = text.text.find('(') else {
        return (!text.text.contains(')')).then_some(Call { name: text, arguments: None });
    };
    let inner = text.text.strip_suffix(')')?;
    let mut arguments = Vec::new();
    let (mut depth, mut start) = (0i32, open + 1);
    for (at, character) in inner.char_indices().skip_while(|(at, _)| *at <= open) {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(text.part(start, at).trimmed());
                start = at + 1;
            }
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    if depth != 0 {
        return None;
    }
    arguments.push(text.part(start, inner.len()).trimmed());
    Some(Call { name: text.part(0, open).trimmed(), arguments: Some(arguments) })
}

/// Words that name a target of a fault; no thing of a scenario may be called so.
pub const ROLES: [&str; 19] = [
    "leader",
    "follower",
    "followers",
    "replicas",
    "broker",
    "brokers",
    "rack",
    "controller",
    "controllers",
    "coordinator",
    "transaction-coordinator",
    "instance",
    "owner",
    "self",
    "callers",
    "rest",
    "any",
    "all",
    "each",
];

impl Builder<'_> {
    /// `has_point`: the trigger is a point, so that there is a `self`.
    pub fn read_target(&self, text: Text, has_point: bool) -> Option<Target> {
        self.read_target_at(text, has_point, 0)
    }

    fn read_target_at(&self, text: Text, has_point: bool, depth: u32) -> Option<Target> {
        let text = text.trimmed();
        let Some(call) = take_apart(text).filter(|_| depth < 4) else {
            self.report_target(text, "parentheses do not match", "for example `leader(orders/0)`");
            return None;
        };
        let Some(arguments) = &call.arguments else { return self.read_bare(call.name, has_point) };
        let one = || match arguments[..] {
            [one] => Some(one),
            _ => {
                let title = format!("`{}` takes one argument, found {}", call.name.text, arguments.len());
                self.report_target(text, &title, "for example `leader(orders/0)`");
                None
            }
        };
        match call.name.text {
            "leader" => Some(Target::Leader(self.read_partition(one()?)?)),
            "follower" => Some(Target::Follower(self.read_partition(one()?)?)),
            "followers" => Some(Target::Followers(self.read_partition(one()?)?)),
            "replicas" => Some(Target::Replicas(self.read_partition(one()?)?)),
            "broker" => self.read_broker(one()?),
            "rack" => self.read_rack(one()?).map(Target::Nodes),
            "controller" => self.read_controller(one()?).map(Target::Node),
            "callers" => self.read_callers(one()?).map(Target::Node),
            "all" => self.read_all(arguments).map(Target::Nodes),
            "coordinator" => Some(Target::Coordinator(self.read_group(one()?)?)),
            "transaction-coordinator" => self.read_transactional(one()?).map(Target::TransactionCoordinator),
            "instance" => self.read_instance(text, arguments),
            "owner" => match arguments[..] {
                [partition, group] => {
                    Some(Target::Owner { partition: self.read_partition(partition)?, group: self.read_group(group)? })
                }
                _ => {
                    self.report_target(
                        text,
                        "`owner` takes a partition and a group",
                        "write `owner(orders/0, billing)`",
                    );
                    None
                }
            },
            "any" => match arguments[..] {
                [count, set] => {
                    let Some(count) = count.text.parse::<u16>().ok().filter(|count| *count > 0) else {
                        self.report_target(count, "not a number of processes", "write `any(2, brokers)`");
                        return None;
                    };
                    Some(Target::AnyOf(count, Box::new(self.read_target_at(set, has_point, depth + 1)?)))
                }
                _ => {
                    self.report_target(text, "`any` takes a number and a set", "write `any(2, brokers)`");
                    None
                }
            },
            _ => {
                self.report_role(call.name);
                None
            }
        }
    }

    fn read_bare(&self, name: Text, has_point: bool) -> Option<Target> {
        match name.text {
            "brokers" => return Some(Target::Brokers),
            "controller" => return Some(Target::Controller),
            "controllers" => return Some(Target::Controllers),
            "rest" => return Some(Target::Rest),
            "callers" => {
                let is_callers = |node: &&NodePlan| matches!(node.kind, NodeKind::Callers { .. });
                return Some(Target::Nodes(self.plan.nodes.iter().filter(is_callers).map(|node| node.id).collect()));
            }
            "self" if has_point => return Some(Target::Oneself),
            "self" => {
                self.problems.add(
                    Diagnostic::error("S075", name.place, "`self` has no point")
                        .label("nobody")
                        .help("`self` is where `when before|after|inside(SERVICE.STEP)` was reached; name a target"),
                );
                return None;
            }
            _ => {}
        }
        if let Some(service) = self.plan.services.iter().find(|service| service.name == name.text) {
            return Some(Target::Nodes(service.instances.clone()));
        }
        if let Some(store) = self.plan.stores.iter().find(|store| store.name == name.text) {
            return Some(Target::Node(store.node));
        }
        if let Some(endpoint) = self.plan.endpoints.iter().find(|endpoint| endpoint.name == name.text) {
            return Some(Target::Node(endpoint.node));
        }
        if ROLES.contains(&name.text) {
            self.report_target(name, &format!("`{}` needs parentheses", name.text), "for example `leader(orders/0)`");
            return None;
        }
        if self.topic(name.text).is_some() {
            let help = format!("a topic is no process; aim at `leader({}/0)`", name.text);
            self.report_target(name, &format!("`{}` is a topic", name.text), &help);
            return None;
        }
        let known: Vec<&str> = self
            .service_names()
            .into_iter()
            .chain(self.plan.stores.iter().map(|store| store.name.as_str()))
            .chain(self.endpoint_names())
            .chain(["brokers", "controller", "callers", "self"])
            .collect();
        self.report_unknown(name.text, name.place, "a target", &known);
        None
    }

    fn report_role(&self, name: Text) {
        let title = format!("`{}` is not a role", printable(name.text));
        let near = nearest(name.text, ROLES);
        self.problems.add(
            Diagnostic::error("S071", name.place, title)
                .label("unknown role")
                .help("roles are leader, follower, replicas, broker, rack, coordinator, instance, owner, any …")
                .did_you_mean(name.place, near),
        );
    }

    pub fn report_target(&self, text: Text, what: &str, help: &str) {
        let title = format!("`{}`: {what}", printable(text.text));
        self.problems.add(Diagnostic::error("S071", text.place, title).label("not a target").help(help));
    }

    fn read_broker(&self, number: Text) -> Option<Target> {
        if number.text == "any" {
            return Some(Target::AnyBroker);
        }
        let brokers = self.plan.cluster.brokers;
        match number.text.parse::<u16>() {
            Ok(id) if (1..=brokers).contains(&id) => Some(Target::Node(NodeId(id))),
            _ => {
                let help = format!("brokers are numbered from 1 to {brokers}; or write `broker(any)`");
                self.report_target(number, "no such broker", &help);
                None
            }
        }
    }

    /// The number of a rack of the cluster.
    pub fn rack(&self, name: Text) -> Option<u16> {
        let rack = self.racks.iter().position(|rack| rack == name.text);
        if rack.is_none() {
            let known: Vec<&str> = self.racks.iter().map(String::as_str).collect();
            self.report_unknown(name.text, name.place, "a rack", &known);
        }
        rack.map(|rack| rack as u16)
    }

    fn read_rack(&self, name: Text) -> Option<Vec<NodeId>> {
        let rack = self.rack(name)?;
        let is_in = |node: &&NodePlan| node.rack == Some(rack);
        Some(self.plan.nodes.iter().filter(is_in).map(|node| node.id).collect())
    }

    /// One voter of the quorum, wherever it lives.
    fn read_controller(&self, number: Text) -> Option<NodeId> {
        let voters = &self.plan.cluster.controllers;
        let index = number.text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let voter = index.and_then(|index| voters.get(index));
        if voter.is_none() {
            let help = format!("controllers are numbered from 1 to {}; the active one is `controller`", voters.len());
            self.report_target(number, "no such controller", &help);
        }
        voter.copied()
    }

    /// The outside world of one service.
    fn read_callers(&self, name: Text) -> Option<NodeId> {
        let Some(service) = self.plan.services.iter().find(|service| service.name == name.text) else {
            self.report_unknown(name.text, name.place, "a service", &self.service_names());
            return None;
        };
        match &service.trigger {
            Trigger::Requests(requests) => Some(requests.callers),
            Trigger::Consume(_) | Trigger::Called(_) | Trigger::Poll(_) => {
                self.report_target(
                    name,
                    "nobody outside calls it",
                    "callers belong to a service with `on = \"requests\"`",
                );
                None
            }
        }
    }

    /// Several that are known before the run, as one.
    fn read_all(&self, arguments: &[Text]) -> Option<Vec<NodeId>> {
        let nodes: Vec<Option<Vec<NodeId>>> = arguments.iter().map(|text| self.read_fixed_nodes(*text)).collect();
        let nodes: Option<Vec<Vec<NodeId>>> = nodes.into_iter().collect();
        nodes.map(|nodes| nodes.concat())
    }

    fn read_instance(&self, text: Text, arguments: &[Text]) -> Option<Target> {
        let name = arguments.first()?;
        let Some(service) = self.plan.services.iter().find(|service| service.name == name.text) else {
            self.report_unknown(name.text, name.place, "a service", &self.service_names());
            return None;
        };
        match arguments[1..] {
            [] => Some(Target::AnyOf(1, Box::new(Target::Nodes(service.instances.clone())))),
            [number] => {
                let index = number.text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                let node = index.and_then(|index| service.instances.get(index));
                if node.is_none() {
                    let help = format!("`{}` has instances 1 to {}", service.name, service.instances.len());
                    self.report_target(number, "no such instance", &help);
                }
                node.map(|node| Target::Node(*node))
            }
            _ => {
                self.report_target(text, "`instance` takes a service and a number", "write `instance(billing, 1)`");
                None
            }
        }
    }

    pub fn read_group(&self, name: Text) -> Option<crate::types::GroupId> {
        let group = self.group(name.text);
        if group.is_none() {
            let known: Vec<&str> = self.plan.groups.iter().map(|group| group.name.as_str()).collect();
            self.report_unknown(name.text, name.place, "a group", &known);
        }
        group
    }

    /// `orders/0`, `orders/any`.
    pub fn read_partition(&self, text: Text) -> Option<PartitionSelector> {
        let (name, partition) = match text.text.find('/') {
            Some(at) => (text.part(0, at), Some(text.part(at + 1, text.text.len()))),
            None => (text, None),
        };
        let Some(topic) = self.topic(name.text) else {
            self.report_unknown(name.text, name.place, "a topic", &self.topic_names());
            return None;
        };
        let partitions = self.plan.topics[topic.0 as usize].settings.partitions;
        let partition = match partition {
            None => {
                let help = format!("write `{0}/0`, or `{0}/any`", name.text);
                self.report_target(text, "which partition?", &help);
                return None;
            }
            Some(word) if word.text == "any" => None,
            Some(word) => match word.text.parse::<u16>() {
                Ok(number) if number < partitions => Some(number),
                _ => {
                    let help = format!("`{}` has partitions 0 to {}; or write `any`", name.text, partitions - 1);
                    self.report_target(word, "no such partition", &help);
                    return None;
                }
            },
        };
        Some(PartitionSelector { topic, partition })
    }

    pub fn read_link(&self, given: &Given, kind: Option<&Given>, has_point: bool) -> Option<LinkTarget> {
        let kind = match kind {
            None => None,
            Some(kind) => Some(self.read_request_kind(kind.text())?),
        };
        let (from, to, both_ways) = self.split_link(given.text())?;
        let (from, to) = (self.read_target(from, has_point), self.read_target(to, has_point));
        Some(LinkTarget { from: from?, to: to?, both_ways, kind })
    }

    pub fn read_request_kind(&self, text: Text) -> Option<RequestKind> {
        let parsed = serde_json::from_value(serde_json::Value::String(text.text.to_string()));
        if parsed.is_err() {
            const KINDS: [&str; 12] = [
                "metadata",
                "produce",
                "fetch",
                "list-offsets",
                "find-coordinator",
                "join-group",
                "sync-group",
                "heartbeat",
                "offset-commit",
                "offset-fetch",
                "alter-partition",
                "broker-heartbeat",
            ];
            let title = format!("`{}` is not a kind of request", printable(text.text));
            self.problems.add(
                Diagnostic::error("S044", text.place, title)
                    .label("unknown kind")
                    .help(format!("for example {}", KINDS.join(", ")))
                    .did_you_mean(text.place, nearest(text.text, KINDS)),
            );
        }
        parsed.ok()
    }

    fn split_link<'t>(&self, text: Text<'t>) -> Option<(Text<'t>, Text<'t>, bool)> {
        let ends =
            |at: usize, width: usize| (text.part(0, at).trimmed(), text.part(at + width, text.text.len()).trimmed());
        if let Some(at) = text.text.find("->") {
            let (from, to) = ends(at, 2);
            return Some((from, to, false));
        }
        if let Some(at) = text.text.find('|') {
            let (from, to) = ends(at, 1);
            return Some((from, to, true));
        }
        self.report_target(text, "a link has two ends", "write `A | B` for both ways, `A -> B` for one");
        None
    }

    /// The two ends of a link that is fixed before the run: racks and nodes.
    pub fn read_ends(&self, text: Text) -> Option<(Vec<NodeId>, Vec<NodeId>, bool)> {
        let (from, to, both_ways) = self.split_link(text)?;
        let (from, to) = (self.read_fixed_nodes(from), self.read_fixed_nodes(to));
        Some((from?, to?, both_ways))
    }

    /// A target that does not depend on the run.
    pub fn read_fixed_nodes(&self, text: Text) -> Option<Vec<NodeId>> {
        let target = self.read_target(text, false)?;
        let fixed = self.fixed_nodes(&target);
        if fixed.is_none() {
            self.report_target(
                text,
                "a role that changes during the run",
                "name racks, `broker(1)`, `brokers` or services",
            );
        }
        fixed
    }

    fn fixed_nodes(&self, target: &Target) -> Option<Vec<NodeId>> {
        match target {
            Target::Node(node) => Some(vec![*node]),
            Target::Nodes(nodes) => Some(nodes.clone()),
            Target::Brokers => Some((1..=self.plan.cluster.brokers).map(NodeId).collect()),
            Target::Controllers => Some(self.plan.cluster.controllers.clone()),
            Target::Leader(_)
            | Target::Follower(_)
            | Target::Followers(_)
            | Target::Replicas(_)
            | Target::AnyBroker
            | Target::Controller
            | Target::Coordinator(_)
            | Target::TransactionCoordinator(_)
            | Target::Owner { .. }
            | Target::Oneself
            | Target::AnyOf(..)
            | Target::Rest => None,
        }
    }

    /// A service with transactions of the queue.
    pub fn read_transactional(&self, name: Text) -> Option<ServiceId> {
        let service = self.read_service(name)?;
        let plan = &self.plan.services[usize::from(service.0)];
        if plan.transactional.is_none() {
            let title = format!("`{}` has no transactions of the queue", printable(name.text));
            self.report_fault(
                "S074",
                name.place,
                title,
                "no `kafka-transaction` among its steps",
                "name another service",
            );
            return None;
        }
        Some(service)
    }

    /// The place of a fault's sentence, for problems of the whole.
    pub fn report_fault(&self, code: &'static str, place: Place, title: String, label: &str, help: &str) {
        self.problems.add(Diagnostic::error(code, place, title).label(label).help(help));
    }
}

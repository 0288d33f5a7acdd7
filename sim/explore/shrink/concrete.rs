//! A failing run as a scenario in which nothing is drawn: each thing that went wrong is one explicit fault.
//!
//! The one idea: the history says what happened, and that is what is written down. Each firing becomes an entry of its own,
//! aimed at the node that its role had resolved to; a fault that struck several nodes becomes one entry for each of them.
//! A fault that waited for a state may go on waiting for it, at the occurrence at which it fired, or may become `at TIME`:
//! the first says more to a reader and stands more change, so it is tried first. Probabilities are left to the passes.

use crate::checks::{FaultSpan, RunOutcome};
use crate::scenario::plan::*;
use crate::scenario::{Draft, write_fault};
use crate::types::{Duration, FaultId, NodeId, Time};
use crate::world::ROLLING_PAUSE;

/// Concrete forms of the run, the most telling first.
pub fn forms(draft: &Draft, plan: &Plan, outcome: &RunOutcome) -> Vec<Draft> {
    let mut forms = Vec::new();
    for aim in [Aim::Each, Aim::Together, Aim::Roles] {
        for wait in [Wait::States, Wait::Times] {
            let base = with_faults(draft, plan, outcome, aim, wait);
            forms.push(judged_alone(&base));
            forms.push(base);
        }
    }
    forms
}

/// The faults of a run as they were, with the nodes that their roles resolved to, numbered anew. A fault that waited for a
/// state goes on waiting for it; one that strikes where its point is reached goes on doing so.
pub fn pinned(plan: &Plan, outcome: &RunOutcome) -> Vec<FaultPlan> {
    let mut fired: Vec<u64> = vec![0; plan.faults.len()];
    let mut pinned: Vec<FaultPlan> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for span in &outcome.faults {
        let Some(fault) = plan.faults.get(usize::from(span.fault.0)) else { continue };
        let number = fired[usize::from(span.fault.0)];
        fired[usize::from(span.fault.0)] += 1;
        let aim = if strikes_where_it_waits(fault) { Aim::Roles } else { Aim::Together };
        for entry in entries(fault, plan, span, number, aim, Wait::States) {
            let name = fresh_name(&entry.name, &names);
            names.push(name.clone());
            pinned.push(FaultPlan { id: FaultId(pinned.len() as u16), name, ..entry });
        }
    }
    pinned
}

fn strikes_where_it_waits(fault: &FaultPlan) -> bool {
    let oneself = match &fault.action {
        FaultAction::Crash(target)
        | FaultAction::LosePower(target)
        | FaultAction::Pause(target)
        | FaultAction::Isolate(target)
        | FaultAction::Redeliver(target) => *target == Target::Oneself,
        _ => false,
    };
    oneself && fault.every.is_none() && matches!(&fault.trigger, FaultTrigger::When { state, .. } if is_own(state))
}

/// Who an entry is aimed at.
#[derive(Clone, Copy, PartialEq)]
enum Aim {
    /// The nodes that were struck, each by an entry of its own.
    Each,
    /// The nodes that were struck, all by one entry.
    Together,
    /// The role as it was written.
    Roles,
}

/// What an entry waits for.
#[derive(Clone, Copy, PartialEq)]
enum Wait {
    /// States stay states.
    States,
    /// Everything has its time.
    Times,
}

fn with_faults(draft: &Draft, plan: &Plan, outcome: &RunOutcome, aim: Aim, wait: Wait) -> Draft {
    let mut concrete = draft.clone();
    for key in ["chaos", "floor", "row", "chart", "fault"] {
        concrete.remove(&[key]);
    }
    concrete.set_text(&["seeds"], format!("{}..{}", plan.seed.0, plan.seed.0.saturating_add(1)));
    let mut fired: Vec<u64> = vec![0; plan.faults.len()];
    let mut names: Vec<String> = Vec::new();
    for span in &outcome.faults {
        let Some(fault) = plan.faults.get(usize::from(span.fault.0)) else { continue };
        let number = fired[usize::from(span.fault.0)];
        fired[usize::from(span.fault.0)] += 1;
        for entry in entries(fault, plan, span, number, aim, wait) {
            let name = fresh_name(&fault.name, &names);
            concrete.set_text(&["fault", &name], write_fault(&entry, plan));
            names.push(name);
        }
    }
    concrete
}

/// Without bounds over sibling cells and statistics over seeds, which one run cannot have.
fn judged_alone(draft: &Draft) -> Draft {
    let mut alone = draft.clone();
    let is_of_many = |bound: &str| {
        ["mean ", "p50 ", "p95 ", "p99 "].iter().any(|word| bound.starts_with(word)) || bound.contains('=')
    };
    for subject in alone.keys(&["expect"]) {
        for metric in alone.keys(&["expect", &subject]) {
            let bounds = alone.list(&["expect", &subject, &metric]);
            if bounds.iter().any(|bound| is_of_many(bound)) {
                alone.remove(&["expect", &subject, &metric]);
            }
        }
    }
    alone
}

/// One firing as explicit faults.
fn entries(fault: &FaultPlan, plan: &Plan, span: &FaultSpan, number: u64, aim: Aim, wait: Wait) -> Vec<FaultPlan> {
    let at = FaultTrigger::At(Duration(span.fired.0.saturating_sub(Time::LOAD_START.0)));
    let trigger = match (&fault.trigger, wait) {
        (FaultTrigger::When { state, ordinal, delay }, Wait::States) if fault.every.is_none() && is_own(state) => {
            let occurrence = match ordinal {
                Ordinal::These(numbers) => numbers.get(number as usize).copied().unwrap_or(1),
                Ordinal::Each => number + 1,
            };
            FaultTrigger::When { state: state.clone(), ordinal: Ordinal::These(vec![occurrence]), delay: *delay }
        }
        _ => at,
    };
    let single = |action: FaultAction| FaultPlan {
        trigger: trigger.clone(),
        action,
        duration: if fault.every.is_some() { None } else { fault.duration },
        every: None,
        times: None,
        ..fault.clone()
    };
    match aim {
        Aim::Roles => vec![single(fault.action.clone())],
        Aim::Together => vec![single(aimed(&fault.action, &all_of(&span.nodes), &all_of(&span.peers)))],
        Aim::Each => match &fault.action {
            FaultAction::Restart { rolling: true, .. } => rolled(fault, plan, span),
            action => one_by_one(action, plan, span).into_iter().map(single).collect(),
        },
    }
}

/// Whether a state is one of the system rather than one of another fault, which may be taken out.
fn is_own(state: &FaultState) -> bool {
    !matches!(state, FaultState::Fired(_) | FaultState::Healed(_))
}

/// A rolling restart as its restarts.
fn rolled(fault: &FaultPlan, plan: &Plan, span: &FaultSpan) -> Vec<FaultPlan> {
    let mut at = Duration(span.fired.0.saturating_sub(Time::LOAD_START.0));
    let mut restarts = Vec::new();
    for node in &span.nodes {
        let service = plan.services.iter().find(|service| service.instances.contains(node));
        let down = fault.duration.unwrap_or(service.map_or(plan.cluster.restart, |service| service.restart));
        restarts.push(FaultPlan {
            trigger: FaultTrigger::At(at),
            action: FaultAction::Restart { target: Target::Node(*node), rolling: false },
            duration: Some(down),
            every: None,
            times: None,
            ..fault.clone()
        });
        at = Duration(at.0.saturating_add(down.0).saturating_add(ROLLING_PAUSE.0));
    }
    restarts
}

/// The action aimed at each of the nodes that it struck.
fn one_by_one(action: &FaultAction, plan: &Plan, span: &FaultSpan) -> Vec<FaultAction> {
    let nodes = || span.nodes.iter().map(|node| Target::Node(*node));
    match action {
        FaultAction::Cut(link)
        | FaultAction::Delay { link, .. }
        | FaultAction::Drop { link, .. }
        | FaultAction::Throttle { link, .. }
        | FaultAction::Reset(link)
        | FaultAction::ResetShare { link, .. } => {
            let pairs = pairs(plan, &span.nodes, &span.peers, link.both_ways).into_iter();
            pairs.map(|(from, to)| aimed(action, &from, &to)).collect()
        }
        FaultAction::Crash(_)
        | FaultAction::LosePower(_)
        | FaultAction::Wipe(_)
        | FaultAction::Restart { .. }
        | FaultAction::Pause(_)
        | FaultAction::Slow { .. }
        | FaultAction::StallDisk(_)
        | FaultAction::SlowDisk { .. }
        | FaultAction::FillDisk(_)
        | FaultAction::FailDisk(_)
        | FaultAction::Rot(_)
        | FaultAction::Isolate(_)
        | FaultAction::Skew { .. }
        | FaultAction::Jump { .. }
        | FaultAction::HoldMetadata(_)
        | FaultAction::Redeliver(_) => nodes().map(|node| aimed(action, &node, &Target::Rest)).collect(),
        FaultAction::ElectPreferred { .. }
        | FaultAction::Reassign { .. }
        | FaultAction::Rebalance(_)
        | FaultAction::ExpireOffsets(_)
        | FaultAction::EnforceRetention(_)
        | FaultAction::Compact(_)
        | FaultAction::DeleteRecords(_)
        | FaultAction::Set(_)
        | FaultAction::Fail { .. }
        | FaultAction::Poison { .. }
        | FaultAction::Redrive { .. }
        | FaultAction::Repair(_) => vec![action.clone()],
    }
}

/// The action with other targets; `to` is the other end of a link.
fn aimed(action: &FaultAction, at: &Target, to: &Target) -> FaultAction {
    let mut action = action.clone();
    match &mut action {
        FaultAction::Crash(target)
        | FaultAction::LosePower(target)
        | FaultAction::Wipe(target)
        | FaultAction::Restart { target, .. }
        | FaultAction::Pause(target)
        | FaultAction::Slow { target, .. }
        | FaultAction::StallDisk(target)
        | FaultAction::SlowDisk { target, .. }
        | FaultAction::FillDisk(target)
        | FaultAction::FailDisk(target)
        | FaultAction::Rot(target)
        | FaultAction::Isolate(target)
        | FaultAction::Skew { target, .. }
        | FaultAction::Jump { target, .. }
        | FaultAction::HoldMetadata(target)
        | FaultAction::Redeliver(target) => *target = at.clone(),
        FaultAction::Cut(link)
        | FaultAction::Delay { link, .. }
        | FaultAction::Drop { link, .. }
        | FaultAction::Throttle { link, .. }
        | FaultAction::Reset(link)
        | FaultAction::ResetShare { link, .. } => (link.from, link.to) = (at.clone(), to.clone()),
        FaultAction::ElectPreferred { .. }
        | FaultAction::Reassign { .. }
        | FaultAction::Rebalance(_)
        | FaultAction::ExpireOffsets(_)
        | FaultAction::EnforceRetention(_)
        | FaultAction::Compact(_)
        | FaultAction::DeleteRecords(_)
        | FaultAction::Set(_)
        | FaultAction::Fail { .. }
        | FaultAction::Poison { .. }
        | FaultAction::Redrive { .. }
        | FaultAction::Repair(_) => {}
    }
    action
}

fn all_of(nodes: &[NodeId]) -> Target {
    match nodes {
        [one] => Target::Node(*one),
        _ => Target::Nodes(nodes.to_vec()),
    }
}

/// Ends of links: each node with each of its peers, or with all others at once when it was cut off from everybody. A
/// link both ways between two nodes stands once, whichever side they are on.
fn pairs(plan: &Plan, nodes: &[NodeId], peers: &[NodeId], both_ways: bool) -> Vec<(Target, Target)> {
    let mut pairs = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let done = |peer: &NodeId| both_ways && peers.contains(node) && nodes[..number].contains(peer);
        let own: Vec<NodeId> = peers.iter().copied().filter(|peer| peer != node && !done(peer)).collect();
        let everybody = plan.nodes.iter().all(|other| other.id == *node || own.contains(&other.id));
        if everybody {
            pairs.push((Target::Node(*node), Target::Rest));
        } else {
            pairs.extend(own.iter().map(|peer| (Target::Node(*node), Target::Node(*peer))));
        }
    }
    pairs
}

/// A legal name that no other entry has: that of the fault, with a number behind it when it is taken.
fn fresh_name(name: &str, taken: &[String]) -> String {
    let name = name.strip_prefix("chaos/").unwrap_or(name);
    let mut plain: String = name
        .chars()
        .map(|character| match character {
            'a'..='z' | '0'..='9' => character,
            'A'..='Z' => character.to_ascii_lowercase(),
            _ => '-',
        })
        .take(48)
        .collect();
    if !plain.starts_with(|character: char| character.is_ascii_lowercase()) {
        plain.insert_str(0, "fault-");
    }
    let numbered = |number: u64| if number == 1 { plain.clone() } else { format!("{plain}-{number}") };
    (1..).map(numbered).find(|name| !taken.contains(name)).unwrap_or(plain.clone())
}

//! No bad fate without a boundary, and no cause that could not have known: for random failing runs, what the judge names is held
//! against the causal past of the event's story. The past is computed here, by vector clocks over every message of the run, and
//! knows nothing of the code that lays the blame.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use hikyaku::checks::chronicle::{Chronicle, Chronicler};
use hikyaku::checks::{Evidence, EvidenceKind, Judge, RunOutcome, Seen, WaitOptions};
use hikyaku::explore::run_seed;
use hikyaku::history::{Event, Happening};
use hikyaku::scenario::plan::Plan;
use hikyaku::types::{ConnectionId, EventId, NodeId, Seed};
use hikyaku::world::wires::{End, Wire, run_wired};

use crate::common::load;

/// Systems that do not keep their promises under heavy chaos, each for a reason of its own.
const HAZARDS: [&str; 10] = [
    "acks_0",
    "acks_1",
    "add_twice",
    "commit_before",
    "highest_offset",
    "latest_reset",
    "marker_first",
    "no_idempotence",
    "one_replica_in_sync",
    "unclean_election",
];

/// How many failing runs are looked at: a slice of the tests, and the whole where somebody asks for it.
const FAILING_RUNS: &str = "HIKYAKU_FAILING_RUNS";
const SLICE: usize = 30;

#[test]
fn what_is_blamed_lies_in_the_causal_past_of_what_was_harmed() {
    let wanted = std::env::var(FAILING_RUNS).map_or(SLICE, |number| number.parse().expect("a number of runs"));
    let each = wanted.div_ceil(HAZARDS.len());
    let half =
        |first: usize| HAZARDS.iter().skip(first).step_by(2).map(|hazard| look(hazard, each)).collect::<Vec<_>>();
    let looked_at: Vec<Looked> = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mut all = half(0);
        all.extend(other.join().unwrap());
        all
    });
    let sum = |count: fn(&Looked) -> usize| looked_at.iter().map(count).sum::<usize>();
    let problems: Vec<String> = looked_at.iter().flat_map(|looked| looked.problems.clone()).collect();
    println!(
        "{} failing runs of {}, {} bad fates in them, {} of {} pieces of evidence with a cause",
        sum(|looked| looked.failing),
        sum(|looked| looked.runs),
        sum(|looked| looked.fates),
        sum(|looked| looked.causes),
        sum(|looked| looked.evidence),
    );
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(wanted <= sum(|looked| looked.failing), "too few failing runs");
    assert!(2 * sum(|looked| looked.causes) > sum(|looked| looked.evidence), "hardly ever a cause");
}

#[derive(Default)]
struct Looked {
    runs: usize,
    failing: usize,
    fates: usize,
    evidence: usize,
    causes: usize,
    problems: Vec<String>,
}

/// The first so many failing runs of a hazard.
fn look(hazard: &str, wanted: usize) -> Looked {
    let sets = ["duration=25s", "service.shop.rate=30/s", "chaos.rate=20/min"];
    let family = load(&format!("tests/data/hazards/{hazard}.toml"), &sets);
    let mut looked = Looked::default();
    while looked.failing < wanted {
        assert!(looked.runs < 100 * wanted, "{hazard}: {} of {} runs fail", looked.failing, looked.runs);
        let plan = family.cells[0].plan(Seed(looked.runs as u64));
        looked.runs += 1;
        let (outcome, report) = run_seed(&plan, WaitOptions::default(), |_| {});
        assert_eq!(report.panic, None, "{hazard} seed {}", plan.seed.0);
        let evidence: Vec<&Evidence> = outcome.places.iter().flat_map(|place| &place.evidence).collect();
        let bad: Vec<&Evidence> = evidence.into_iter().filter(|found| is_laid_to_somebody(found.kind)).collect();
        if bad.is_empty() {
            continue;
        }
        looked.failing += 1;
        looked.fates += count_of_boundaries(&outcome, hazard, &mut looked.problems);
        looked.evidence += bad.len();
        looked.causes += bad.iter().filter(|found| found.blame.as_ref().is_some_and(|b| b.cause.is_some())).count();
        let past = Past::of(&plan, &bad);
        for found in bad {
            let problems = past.problems(found);
            looked
                .problems
                .extend(problems.into_iter().map(|problem| format!("{hazard} seed {}: {problem}", plan.seed.0)));
        }
    }
    looked
}

/// Fates that somebody's broken promise made.
fn is_laid_to_somebody(kind: EvidenceKind) -> bool {
    match kind {
        EvidenceKind::Lost | EvidenceKind::RepeatedHarmful | EvidenceKind::Stale | EvidenceKind::Phantom => true,
        EvidenceKind::Reordered | EvidenceKind::Pending | EvidenceKind::Parked | EvidenceKind::RepeatedHarmless => {
            false
        }
    }
}

/// Every bad fate is counted at some boundary, whether evidence of it was kept or not.
fn count_of_boundaries(outcome: &RunOutcome, hazard: &str, problems: &mut Vec<String>) -> usize {
    let mut all = 0;
    for place in &outcome.places {
        let bad = place.lost + place.repeated_harmful + place.stale + place.phantoms;
        let laid: u64 = place.blamed.iter().map(|(_, count)| count).sum();
        if bad != laid {
            problems.push(format!("{hazard} seed {}: {bad} bad fates, and {laid} boundaries", outcome.seed.0));
        }
        all += bad as usize;
    }
    all
}

/// Numbers of events of each node that something has heard of.
type Clock = Vec<Option<u64>>;

/// What each event's story could have known.
struct Past {
    events: BTreeMap<EventId, Story>,
    /// Where each event of the history happened.
    nodes: Vec<NodeId>,
    names: Vec<String>,
}

struct Story {
    chronicle: Chronicle,
    /// The union of the pasts of all its lines.
    past: Clock,
}

impl Past {
    /// Runs the plan once more, listens to every message, and keeps the pasts of what was harmed.
    fn of(plan: &Plan, bad: &[&Evidence]) -> Past {
        let (sender, wires) = channel();
        let mut judge = Judge::new(plan);
        let mut chroniclers: BTreeMap<EventId, Chronicler> = BTreeMap::new();
        for found in bad {
            for event in [Some(found.event), found.other].into_iter().flatten() {
                chroniclers.entry(event).or_insert_with(|| Chronicler::new(event));
            }
        }
        let mut history: Vec<Event> = Vec::new();
        run_wired(plan, sender, |event| {
            judge.observe(event);
            chroniclers.values_mut().for_each(|chronicler| chronicler.observe(event));
            history.push(event.clone());
        });
        let wires: Vec<Wire> = wires.into_iter().collect();
        let count = plan.nodes.iter().map(|node| usize::from(node.id.0) + 1).max().unwrap_or(1);
        let chronicles: Vec<Chronicle> = chroniclers.into_values().map(|chronicler| chronicler.finish(plan)).collect();
        let mut wanted: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, chronicle) in chronicles.iter().enumerate() {
            chronicle.lines.iter().for_each(|line| wanted.entry(line.number).or_default().push(index));
        }
        let mut pasts: Vec<Clock> = vec![vec![None; count]; chronicles.len()];
        let mut clocks = Clocks::new(count);
        let mut wires = wires.into_iter().peekable();
        for event in &history {
            while let Some(wire) = wires.next_if(|wire| wire.before <= event.number) {
                clocks.message(&wire);
            }
            clocks.event(event);
            for index in wanted.get(&event.number).into_iter().flatten() {
                join(&mut pasts[*index], &clocks.of[usize::from(event.node.0)]);
            }
        }
        let mut names = vec!["world".to_string(); count];
        plan.nodes.iter().for_each(|node| names[usize::from(node.id.0)] = node.name.clone());
        let stories = chronicles.into_iter().zip(pasts);
        let events = stories.map(|(chronicle, past)| (chronicle.event, Story { chronicle, past })).collect();
        Past { events, nodes: history.iter().map(|event| event.node).collect(), names }
    }

    /// What the evidence names and its event could not have known of.
    fn problems(&self, found: &Evidence) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(blame) = &found.blame else { return vec![format!("{} has no boundary", found.message)] };
        let stories: Vec<&Story> = [Some(found.event), found.other]
            .into_iter()
            .flatten()
            .filter_map(|event| self.events.get(&event))
            .collect();
        let in_story = |node: NodeId| {
            let told = |line: &hikyaku::checks::chronicle::Line| line.node == node || line.what.peer() == Some(node);
            stories.iter().any(|story| story.chronicle.lines.iter().any(told))
        };
        // What strikes a process takes what it has in hand, and nobody hears of that.
        let was_there = |node: NodeId, number: u64| {
            let told = |line: &hikyaku::checks::chronicle::Line| {
                line.number <= number && (line.node == node || line.what.peer() == Some(node))
            };
            stories.iter().any(|story| story.chronicle.lines.iter().any(told))
        };
        // A fault is told by the world and felt at the node that it is aimed at.
        let could_know = |number: u64, node: NodeId| {
            let told_at = self.nodes[number as usize];
            let knows =
                |story: &&Story, node: NodeId| story.past[usize::from(node.0)].is_some_and(|known| number <= known);
            stories.iter().any(|story| knows(story, node) || knows(story, told_at))
        };
        if let Some(cause) = blame.cause
            && !could_know(cause.number, cause.node)
            && !was_there(cause.node, cause.number)
        {
            let node = &self.names[usize::from(cause.node.0)];
            problems.push(format!("{}: its story could not know of {node} at {}", found.message, cause.time));
        }
        let own = |what: &Seen| !matches!(what, Seen::Struck { .. });
        for sighting in found.sightings.iter().filter(|sighting| own(&sighting.what) && sighting.node != NodeId(0)) {
            if !in_story(sighting.node) && !self.is_of_the_log(&stories, sighting.node) {
                let node = &self.names[usize::from(sighting.node.0)];
                problems.push(format!("{}: it was never at {node}", found.message));
            }
        }
        if let Some(between) = blame.between
            && !in_story(between.node)
        {
            let node = &self.names[usize::from(between.node.0)];
            problems.push(format!("{}: no step of it ran at {node}", found.message));
        }
        problems
    }

    /// A leader that does not have the record is told of too.
    fn is_of_the_log(&self, stories: &[&Story], node: NodeId) -> bool {
        stories.iter().any(|story| story.chronicle.copies.iter().any(|copy| copy.leader == Some(node)))
    }
}

/// Vector clocks of all processes. Silence tells something as well: who waits for an answer of a process that something
/// struck, or asks it, may run out of time over it.
struct Clocks {
    of: Vec<Clock>,
    sent: BTreeMap<(ConnectionId, bool, u32), Clock>,
    /// Requests without an answer: who asked whom, how often.
    waiting: BTreeMap<(NodeId, NodeId), i64>,
    /// The last thing that struck each process.
    struck: Clock,
}

impl Clocks {
    fn new(count: usize) -> Clocks {
        Clocks {
            of: vec![vec![None; count]; count],
            sent: BTreeMap::new(),
            waiting: BTreeMap::new(),
            struck: vec![None; count],
        }
    }

    fn message(&mut self, wire: &Wire) {
        let (at, peer) = (usize::from(wire.at.0), usize::from(wire.peer.0));
        match wire.end {
            End::Sent => {
                if wire.request {
                    *self.waiting.entry((wire.at, wire.peer)).or_default() += 1;
                    let struck = self.struck[peer];
                    self.of[at][peer] = self.of[at][peer].max(struck);
                }
                if let Some(message) = wire.message {
                    self.sent.insert(message, self.of[at].clone());
                }
            }
            End::Delivered => {
                if !wire.request {
                    self.waiting.remove(&(wire.at, wire.peer));
                }
                // What the network made, or kept back for a while, is as new as its sender at most.
                let known = wire.message.and_then(|message| self.sent.remove(&message));
                let known = known.unwrap_or_else(|| self.of[peer].clone());
                join(&mut self.of[at], &known);
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let at = usize::from(event.node.0);
        self.of[at][at] = Some(event.number);
        let struck: Vec<NodeId> = match &event.what {
            Happening::FaultFired { nodes, peers, .. } => nodes.iter().chain(peers).copied().collect(),
            Happening::Stopped { .. } | Happening::Paused => vec![event.node],
            _ => return,
        };
        for node in struck {
            let index = usize::from(node.0);
            self.struck[index] = Some(event.number);
            self.of[index][index] = Some(event.number);
            for (asking, asked) in self.waiting.keys().copied().collect::<Vec<_>>() {
                if asked == node {
                    let asking = usize::from(asking.0);
                    self.of[asking][index] = Some(event.number);
                }
            }
        }
    }
}

fn join(clock: &mut Clock, other: &Clock) {
    clock.iter_mut().zip(other).for_each(|(known, told)| *known = (*known).max(*told));
}

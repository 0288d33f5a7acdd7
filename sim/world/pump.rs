//! The pump: one loop that takes the next event from the heap and steps the machine it is for.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::history::{Digest, Event, Happening, StopReason};
use crate::scenario::plan::*;
use crate::types::note::{Controllers, Note};
use crate::types::storage::StorageOperation;
use crate::types::*;

use super::RunReport;
use super::alarms::Alarms;
use super::budget::Unclean;
use super::disk::Disk;
use super::echo::Echo;
use super::faults::{Active, Armed, Met};
use super::handlers::Handlers;
use super::network::{Arrival, Network, Offered, Presence, Transit};
use super::process::{Kept, Process, is_instant, stops_at_once};
use super::queue::{EventQueue, Lane};
use super::roles::Roles;
use super::traffic::Traffic;
use super::wires::{End, Wire, message};

/// Sees the history as it grows. Called through a pointer, so that the world is compiled once and not for each observer.
pub type Observer<'o> = dyn FnMut(&Event) + Send + 'o;

pub struct World<'o> {
    pub(super) plan: Arc<Plan>,
    /// The plan with what is set at the moment: what processes go by.
    pub(super) live: Arc<Plan>,
    pub(super) guards: Guards,
    pub(super) now: Time,
    pub(super) queue: EventQueue<Scheduled>,
    /// Disk and timer of each node.
    alarms: Alarms,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) roles: Roles,
    controllers: Controllers,
    pub(super) armed: Vec<Armed>,
    pub(super) active: Vec<Active>,
    pub(super) unclean: Unclean,
    /// Places of the armed faults that a note can still meet.
    watching: Vec<usize>,
    pub(super) load_ended: bool,
    pub(super) ended: bool,
    quiet: bool,
    /// What machines fill; absent while it is being let out.
    outbox: Option<Outbox>,
    digest: Digest,
    observer: &'o mut Observer<'o>,
    steps: u64,
    messages: u64,
    pub(super) events: u64,
    steps_this_instant: u64,
    panic: Option<String>,
    pub(super) fault_draws: Keyed,
    pub(super) handlers: Handlers,
    /// Who wants to hear of messages.
    pub(super) wires: Option<Sender<Wire>>,
    /// What a bound on the work of brokers asks for.
    pub(super) traffic: Option<Traffic>,
}

/// Something that will happen.
pub(super) enum Scheduled {
    Deliver(Transit),
    Retransmit {
        connection: ConnectionId,
        to_server: bool,
    },
    SetupTimeout {
        connection: ConnectionId,
    },
    /// A fault whose time has come.
    Fire {
        fault: FaultId,
        oneself: Option<NodeId>,
    },
    Heal {
        active: usize,
    },
    Repeat {
        active: usize,
    },
    /// One reason for a process to be down is over.
    Up {
        node: NodeId,
    },
    /// An operator's word to a process.
    Command {
        node: NodeId,
        command: Command,
    },
    /// An operator stops a process in order; it stays down for a while.
    Stop {
        node: NodeId,
        stay_down: Duration,
    },
    /// An operator tries again to find who has to do it.
    Ask {
        command: Command,
    },
    /// A client learns that its connection was reset.
    Disconnect {
        client: NodeId,
        channel: Channel,
        server: NodeId,
    },
    /// The next of a rolling restart.
    Roll {
        active: usize,
        next: usize,
    },
    /// A clean stop has taken too long.
    StopNow {
        node: NodeId,
        incarnation: Incarnation,
    },
    LoadStart,
    EndLoad,
    QuietCheck,
}

pub(super) struct Node {
    pub kind: Option<NodeKind>,
    pub process: Option<Process>,
    pub incarnation: Incarnation,
    rng: Rng,
    pub disk: Disk,
    /// What the process asked for and the disk has not let through yet.
    pending: VecDeque<Output>,
    timer: Time,
    /// How many faults pause it.
    pub paused: u16,
    held: VecDeque<Input>,
    /// How many reasons keep it down.
    pub down: u16,
    /// Its machine is off.
    pub silent: bool,
    /// Wall clock minus monotonic clock, nanoseconds.
    pub skew: i64,
    /// Times as slow, in thousandths.
    pub slowness: u64,
    /// What its process keeps over its own restarts beside the disk.
    kept: Option<Kept>,
    /// It was told to stop and this long it stays down.
    pub stopping: Option<Duration>,
}

/// The world itself in the history.
pub(super) const WORLD: NodeId = NodeId(0);
/// A clean stop that takes longer is a crash. Kafka's controlled shutdown gives up after three attempts of 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the world looks whether everything is done.
const QUIET_CHECK: Duration = Duration::from_millis(100);
/// More steps at one instant than any real cascade.
const STEPS_PER_INSTANT_MAX: u64 = 10_000_000;

impl<'o> World<'o> {
    pub fn new(plan: Arc<Plan>, handlers: Handlers, observer: &'o mut Observer<'o>) -> World<'o> {
        let mut world = World::empty(plan.clone(), observer);
        world.handlers = handlers;
        for node in &plan.nodes {
            let process = Process::new(&plan, node.id, node.kind, world.guards, &world.handlers);
            world.nodes[node.id.0 as usize].kind = Some(node.kind);
            world.nodes[node.id.0 as usize].process = Some(process);
        }
        for armed in &world.armed {
            if let Some(at) = armed.at() {
                world.queue.push(at, 0, Scheduled::Fire { fault: armed.plan.id, oneself: None });
            }
        }
        world.queue.push(Time::LOAD_START, 0, Scheduled::LoadStart);
        world.queue.push(Time::LOAD_START + plan.duration, 0, Scheduled::EndLoad);
        world
    }

    pub fn of_echoes(plan: Arc<Plan>, in_flight: u64, calls: u64, observer: &'o mut Observer<'o>) -> World<'o> {
        let mut world = World::empty(plan, observer);
        world.nodes[1].process = Some(Process::Echo(Echo::caller(NodeId(2), in_flight, calls)));
        world.nodes[2].process = Some(Process::Echo(Echo::server()));
        world
    }

    fn empty(plan: Arc<Plan>, observer: &'o mut Observer<'o>) -> World<'o> {
        let count = plan.nodes.iter().map(|node| node.id.0 as usize + 1).max().unwrap_or(1).max(3);
        let instant = |id: NodeId| plan.nodes.iter().any(|node| node.id == id && is_instant(node.kind));
        let network = Network::new(&plan.network, count, instant, plan.seed.keyed(&plan.network.stream("network")));
        let nodes = (0..count).map(|index| Node::new(NodeId(index as u16), &plan)).collect();
        let armed: Vec<Armed> = plan.faults.iter().cloned().map(Armed::new).collect();
        World {
            guards: plan.guards_off.iter().copied().collect(),
            now: Time::ZERO,
            queue: EventQueue::new(),
            alarms: Alarms::new(2 * count),
            nodes,
            network,
            roles: Roles::new(&plan),
            controllers: Controllers::default(),
            watching: (0..armed.len()).filter(|place| armed[*place].watches_notes()).collect(),
            armed,
            active: Vec::new(),
            unclean: Unclean::default(),
            load_ended: false,
            ended: false,
            quiet: false,
            outbox: None,
            digest: Digest::new(),
            observer,
            steps: 0,
            messages: 0,
            events: 0,
            steps_this_instant: 0,
            panic: None,
            fault_draws: plan.seed.keyed("faults"),
            handlers: Handlers::default(),
            wires: None,
            traffic: Traffic::wanted(&plan),
            live: plan.clone(),
            plan,
        }
    }

    /// Or to the event behind which `stop` is raised.
    pub fn run_to_the_end(&mut self, stop: &AtomicBool) {
        self.start_all();
        while !self.ended && !stop.load(Ordering::Relaxed) && self.happen_next() {}
    }

    pub(super) fn start_all(&mut self) {
        for index in 1..self.nodes.len() {
            self.start(NodeId(index as u16));
        }
    }

    /// False when nothing will ever happen again.
    pub(super) fn happen_next(&mut self) -> bool {
        let (alarm, number) = self.alarms.first();
        let event = self.queue.next();
        // At one instant the world goes first, then each node with its alarms, then the links.
        if event.is_none_or(|event| (alarm, (number / 2) as Lane) < event) {
            if alarm == Time::NEVER {
                return false;
            }
            self.move_to(alarm);
            self.ring(number);
        } else if let Some((time, event)) = self.queue.pop() {
            self.move_to(time);
            self.happen(event);
        }
        true
    }

    /// When something happens next.
    pub(super) fn next_time(&self) -> Time {
        self.queue.next().map_or(Time::NEVER, |(time, _)| time).min(self.alarms.first().0)
    }

    pub(super) fn move_to(&mut self, time: Time) {
        if self.now < time {
            self.now = time;
            self.steps_this_instant = 0;
        }
    }

    fn ring(&mut self, number: usize) {
        let id = NodeId((number / 2) as u16);
        if number == disk_alarm(id) {
            self.alarms.set(number, Time::NEVER);
            self.drain(id);
        } else {
            self.timer(id);
        }
    }

    pub fn report(self) -> RunReport {
        RunReport {
            digest: self.digest.value(),
            messages: self.messages,
            steps: self.steps,
            events: self.events,
            ended: self.now,
            quiet: self.quiet,
            panic: self.panic,
        }
    }

    pub fn record_panic(&mut self, message: String) {
        self.record(WORLD, Happening::Panicked { message: message.clone() });
        self.panic = Some(message);
    }

    fn happen(&mut self, event: Scheduled) {
        match event {
            Scheduled::Deliver(transit) => self.deliver(transit),
            Scheduled::Retransmit { connection, to_server } => {
                for offered in self.network.retransmit(self.now, connection, to_server) {
                    self.offered(connection, to_server, offered);
                }
            }
            Scheduled::SetupTimeout { connection } => {
                if let Some((to, channel, peer)) = self.network.setup_timed_out(connection) {
                    self.disconnected(to, channel, peer);
                }
            }
            Scheduled::Fire { fault, oneself } => self.fire(fault, oneself),
            Scheduled::Heal { active } => self.heal(active),
            Scheduled::Repeat { active } => self.repeat(active),
            Scheduled::Up { node } => self.one_reason_less(node),
            Scheduled::Command { node, command } => self.step(node, Input::Command(command)),
            Scheduled::Ask { command } => self.ask(command),
            Scheduled::Stop { node, stay_down } => self.stop_cleanly(node, stay_down),
            Scheduled::Disconnect { client, channel, server } => self.disconnected(client, channel, server),
            Scheduled::Roll { active, next } => self.roll(active, next),
            Scheduled::StopNow { node, incarnation } => {
                let stuck = &self.nodes[node.0 as usize];
                if stuck.incarnation == incarnation && stuck.process.is_some() {
                    let stay_down = stuck.stopping.unwrap_or_else(|| self.restart_time(node));
                    self.kill(node, StopReason::Crash);
                    self.keep_down(node, stay_down);
                }
            }
            Scheduled::LoadStart => {
                if !self.roles.groups_ready() {
                    self.record(WORLD, Happening::NeverReady);
                    self.ended = true;
                }
            }
            Scheduled::EndLoad => self.end_load(),
            Scheduled::QuietCheck => self.check_quiet(),
        }
    }

    // --- messages ---

    fn deliver(&mut self, transit: Transit) {
        let nodes = &self.nodes;
        let (connection, to_server) = (transit.connection, transit.to_server);
        let parcel = (connection, to_server, transit.sequence);
        let mark = if to_server { Mark::DeliverRequest } else { Mark::DeliverResponse };
        self.digest.words([mark.at(self.now), pair(connection.0, transit.sequence)]);
        match self.network.arrive(self.now, transit, |server| nodes[server.0 as usize].presence()) {
            Arrival::Delivered { to, from, input } => {
                self.messages += u64::from(to != from);
                self.wire(End::Delivered, to, from, Some(parcel), to_server);
                self.count_traffic(to, from, &input);
                self.step(to, input);
            }
            Arrival::Disconnected { to, channel, peer } => self.disconnected(to, channel, peer),
            Arrival::Held(Some(at)) => self.retransmit_at(at, connection, to_server),
            Arrival::Held(None) => {}
            Arrival::Refused(connection) => self.refuse(connection),
            Arrival::Dropped { to, kind, response } => self.dropped(to, kind, response),
            Arrival::RequestBroke { connection, to, kind } => {
                self.dropped(to, kind, false);
                self.refuse(connection);
            }
            Arrival::ResponseBroke { to, channel, peer, kind } => {
                self.dropped(to, kind, true);
                self.disconnected(to, channel, peer);
            }
        }
    }

    // --- processes ---

    fn start(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0 as usize];
        if node.process.is_none() {
            let Some(kind) = node.kind else { return };
            node.incarnation.0 += 1;
            node.process = Some(match node.kept.take() {
                Some(kept) => Process::again(&self.live, kept),
                None => Process::new(&self.live, id, kind, self.guards, &self.handlers),
            });
            node.rng = self.plan.seed.stream(&format!("node {id} start {}", node.incarnation.0));
        }
        let incarnation = node.incarnation;
        let image = Box::new(node.disk.image());
        self.record(id, Happening::Started { incarnation });
        self.step(id, Input::Started { image, incarnation });
        if self.is_repaired(id) {
            self.step(id, Input::Command(Command::Repair));
        }
    }

    pub(super) fn step(&mut self, id: NodeId, input: Input) {
        let node = &mut self.nodes[id.0 as usize];
        let Some(process) = &mut node.process else { return };
        if 0 < node.paused {
            node.held.push_back(input);
            return;
        }
        self.steps += 1;
        self.steps_this_instant += 1;
        assert!(self.steps_this_instant < STEPS_PER_INSTANT_MAX, "time stands still: endless steps at one instant");
        let now = Now { monotonic: self.now, wall_clock: Time(self.now.0.saturating_add_signed(node.skew)) };
        let mut outbox = self.outbox.take().unwrap_or_default();
        let deadline = process.handle(input, &mut Step { now, rng: &mut node.rng, out: &mut outbox }).max(self.now);
        let deadline = node.stretch(deadline, self.now);
        if deadline != node.timer {
            node.timer = deadline;
            self.digest.words([Mark::Deadline.at(self.now), u64::from(id.0), deadline.0]);
            self.alarms.set(timer_alarm(id), deadline);
        }
        self.perform(id, outbox);
    }

    /// Every process goes by the live plan from now on. Only callers wait for an instant that it may have moved.
    pub(super) fn reconfigure(&mut self) {
        self.network.reconfigure(&self.live.network);
        for index in 1..self.nodes.len() {
            let node = &mut self.nodes[index];
            let Some(process) = &mut node.process else { continue };
            process.reconfigure(&self.live, self.now);
            if let Some(NodeKind::Callers { .. }) = node.kind {
                node.timer = self.now;
                self.alarms.set(timer_alarm(NodeId(index as u16)), self.now);
            }
        }
    }

    fn timer(&mut self, id: NodeId) {
        self.nodes[id.0 as usize].timer = Time::NEVER;
        self.step(id, Input::Timeout);
        // Most steps have set the next alarm in place of the one that rang.
        self.alarms.set(timer_alarm(id), self.nodes[id.0 as usize].timer);
    }

    /// Lets the outbox out in order. Storage operations take time, and what follows them waits.
    fn perform(&mut self, id: NodeId, mut outbox: Outbox) {
        let incarnation = self.nodes[id.0 as usize].incarnation;
        while let Some(output) = outbox.0.front() {
            let node = &mut self.nodes[id.0 as usize];
            if node.incarnation != incarnation || node.process.is_none() {
                // The process died at one of its own notes: what came behind was never done.
                outbox.0.clear();
                break;
            }
            if !node.pending.is_empty() || 0 < node.paused {
                node.pending.append(&mut outbox.0);
                self.drain(id);
                break;
            }
            if let Some(done) = node.disk.holds_up(output, self.now) {
                std::mem::swap(&mut node.pending, &mut outbox.0);
                self.alarms.set(disk_alarm(id), done);
                break;
            }
            if let Some(output) = outbox.0.pop_front() {
                self.perform_one(id, output);
            }
        }
        self.outbox = Some(outbox);
    }

    /// Goes on with what waits for the disk.
    pub(super) fn drain(&mut self, id: NodeId) {
        let incarnation = self.nodes[id.0 as usize].incarnation;
        loop {
            let node = &mut self.nodes[id.0 as usize];
            if node.incarnation != incarnation || node.process.is_none() || 0 < node.paused {
                return;
            }
            let Some(front) = node.pending.front() else { return };
            if let Some(done) = node.disk.holds_up(front, self.now) {
                self.alarms.set(disk_alarm(id), done);
                return;
            }
            let output = node.pending.pop_front().expect("a front was seen");
            self.perform_one(id, output);
        }
    }

    #[inline(always)]
    fn perform_one(&mut self, id: NodeId, output: Output) {
        match output {
            Output::Note(note) => self.note(id, note),
            Output::Effect(effect) => self.perform_effect(id, effect),
        }
    }

    #[inline(never)]
    fn perform_effect(&mut self, id: NodeId, effect: Effect) {
        match effect {
            Effect::Send { channel, to, correlation, request } => {
                let (connection, offered) = self.network.send_request(self.now, id, channel, to, correlation, request);
                if let Some(deadline) = self.network.setup_deadline(connection) {
                    self.queue.push(deadline, 0, Scheduled::SetupTimeout { connection });
                }
                self.digest_offer(connection, &offered);
                self.wire(End::Sent, id, to, message(connection, true, &offered), true);
                self.offered(connection, true, offered);
            }
            Effect::Reply { to, response } => {
                let offered = self.network.send_response(self.now, to, response);
                self.digest_offer(to.connection, &offered);
                self.wire(End::Sent, id, to.peer, message(to.connection, false, &offered), false);
                self.offered(to.connection, false, offered);
            }
            Effect::HangUp { on } => {
                if let Some(offered) = self.network.hang_up(self.now, on.connection) {
                    self.digest_offer(on.connection, &offered);
                    self.offered(on.connection, false, offered);
                }
            }
            Effect::Close { channel, to } => self.network.close(id, channel, to),
            Effect::Storage(operation) => self.store(id, operation),
            Effect::Exit { clean } => {
                let stay_down = self.nodes[id.0 as usize].stopping.take().unwrap_or_else(|| self.restart_time(id));
                self.kill(id, if clean { StopReason::Clean } else { StopReason::Own });
                self.keep_down(id, stay_down);
            }
        }
    }

    fn digest_offer(&mut self, connection: ConnectionId, offered: &Offered) {
        let (arrival, sequence) = match offered {
            Offered::Arrives(at, transit) => (at.0, transit.sequence),
            Offered::Held(at) => (at.map_or(1, |at| at.0), u32::MAX),
            Offered::Dropped(_) => (0, u32::MAX),
        };
        self.digest.words([Mark::Send.at(self.now), pair(connection.0, sequence), arrival]);
    }

    fn store(&mut self, id: NodeId, operation: StorageOperation) {
        self.digest.words([Mark::Storage.at(self.now), u64::from(id.0)]);
        let node = &mut self.nodes[id.0 as usize];
        if node.disk.refuses(&operation) {
            node.pending.clear();
            self.step(id, Input::StorageFailed);
            return;
        }
        operation.hash(&mut self.digest);
        self.nodes[id.0 as usize].disk.apply(operation, self.now);
    }

    #[inline]
    fn note(&mut self, id: NodeId, note: Note) {
        let is_late = self.controllers.is_late(id, &note);
        let is_watched = !self.watching.is_empty() && !is_late && Time::LOAD_START <= self.now && !self.load_ended;
        let met = if is_watched { self.watch(id, &note) } else { Vec::new() };
        if !is_late {
            self.roles.observe(id, &note);
        }
        self.record(id, Happening::Note(note));
        if !met.is_empty() {
            self.trigger(met);
        }
    }

    /// The triggers that this note meets.
    fn watch(&mut self, id: NodeId, note: &Note) -> Vec<Met> {
        let look = |place: &usize| self.armed[*place].observe(id, note, &self.plan, &self.roles);
        let met: Vec<Met> = self.watching.iter().filter_map(look).collect();
        if !met.is_empty() {
            self.watching.retain(|place| self.armed[*place].watches_notes());
        }
        met
    }

    pub(super) fn trigger(&mut self, met: Vec<Met>) {
        for met in met {
            if met.delay.is_zero() {
                self.fire(met.fault, met.oneself);
            } else {
                self.queue.push(self.now + met.delay, 0, Scheduled::Fire { fault: met.fault, oneself: met.oneself });
            }
        }
    }

    #[inline]
    pub(super) fn record(&mut self, node: NodeId, what: Happening) {
        self.tell(Event { time: self.now, number: self.events, node, what });
    }

    /// The number of an event is its place, which the digest knows.
    #[inline(never)]
    fn tell(&mut self, event: Event) {
        self.events += 1;
        self.digest.words([Mark::Event.at(event.time), u64::from(event.node.0)]);
        event.what.digest_into(&mut self.digest);
        (self.observer)(&event);
    }

    pub(super) fn schedule(&mut self, at: Time, event: Scheduled) {
        self.queue.push(at, 0, event);
    }

    // --- the end of processes and of the run ---

    /// Ends a process at once. It stays down until [`World::keep_down`]'s time is over.
    pub(super) fn kill(&mut self, id: NodeId, why: StopReason) {
        let silent = why == StopReason::PowerLoss;
        let node = &mut self.nodes[id.0 as usize];
        node.silent |= silent;
        match node.process.take() {
            Some(process) => node.kept = process.keep(),
            // A machine without its process still has pages in memory to lose.
            None if silent => {}
            None => return,
        }
        node.pending.clear();
        node.held.clear();
        node.disk.forget_operation();
        node.stopping = None;
        node.timer = Time::NEVER;
        self.alarms.set(timer_alarm(id), Time::NEVER);
        self.alarms.set(disk_alarm(id), Time::NEVER);
        self.roles.process_died(id);
        self.record(id, Happening::Stopped { why });
        if why != StopReason::Clean {
            self.note_unclean_stop(id, silent);
        }
        if silent {
            let incarnation = self.nodes[id.0 as usize].incarnation;
            let lost = self.nodes[id.0 as usize].disk.lose_power(self.now, incarnation);
            self.record(id, Happening::PowerLost { lost });
        }
        let resets = self.network.process_died(self.now, id, silent);
        self.offered_resets(resets);
    }

    /// One more reason to be down, for this long.
    pub(super) fn keep_down(&mut self, id: NodeId, length: Duration) {
        self.nodes[id.0 as usize].down += 1;
        self.queue.push(self.now + length, u32::from(id.0), Scheduled::Up { node: id });
    }

    pub(super) fn one_reason_less(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0 as usize];
        if node.down == 0 {
            // The end of the load has brought everything up already.
            return;
        }
        node.down -= 1;
        if node.down == 0 {
            self.bring_up(id);
        }
    }

    fn bring_up(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0 as usize];
        let was_silent = std::mem::take(&mut node.silent);
        self.start(id);
        if was_silent {
            let resets = self.network.machine_back(self.now, id);
            self.offered_resets(resets);
        }
    }

    pub(super) fn resume(&mut self, id: NodeId) {
        self.record(id, Happening::Resumed);
        self.drain(id);
        let held = std::mem::take(&mut self.nodes[id.0 as usize].held);
        for input in held {
            self.step(id, input);
        }
        // A timer that was due meanwhile was held with the rest; set the next one.
        self.step(id, Input::Timeout);
    }

    pub(super) fn restart_time(&self, id: NodeId) -> Duration {
        match self.nodes[id.0 as usize].kind {
            Some(NodeKind::Instance { service, .. }) => self.plan.services[service.0 as usize].restart,
            Some(_) | None => self.plan.cluster.restart,
        }
    }

    pub(super) fn stop_cleanly(&mut self, id: NodeId, stay_down: Duration) {
        let node = &mut self.nodes[id.0 as usize];
        if node.process.is_none() || node.kind.is_some_and(stops_at_once) {
            self.kill(id, StopReason::Clean);
            self.keep_down(id, stay_down);
            return;
        }
        node.stopping = Some(stay_down);
        let incarnation = node.incarnation;
        self.queue.push(self.now + STOP_TIMEOUT, 0, Scheduled::StopNow { node: id, incarnation });
        self.step(id, Input::Command(Command::ShutDown));
    }

    fn end_load(&mut self) {
        for active in 0..self.active.len() {
            self.heal(active);
        }
        self.load_ended = true;
        self.tell_traffic();
        self.record(WORLD, Happening::LoadEnded);
        for index in 1..self.nodes.len() {
            let id = NodeId(index as u16);
            if 0 < self.nodes[index].down {
                self.nodes[index].down = 0;
                self.bring_up(id);
            }
            self.step(id, Input::Command(Command::EndLoad));
        }
        self.queue.push(self.now + QUIET_CHECK, 0, Scheduled::QuietCheck);
    }

    fn check_quiet(&mut self) {
        self.quiet = self.roles.quiet();
        let horizon = Time::LOAD_START + self.plan.duration + self.plan.drain;
        if self.quiet || horizon <= self.now {
            self.record(WORLD, Happening::Ended { quiet: self.quiet });
            self.ended = true;
            return;
        }
        self.queue.push(self.now + QUIET_CHECK, 0, Scheduled::QuietCheck);
    }
}

/// What the next words of the digest are about.
#[derive(Clone, Copy)]
enum Mark {
    DeliverRequest,
    DeliverResponse,
    Deadline,
    Send,
    Storage,
    Event,
}

impl Mark {
    /// In one word with the time: no run comes near 2^60 ns.
    fn at(self, now: Time) -> u64 {
        (self as u64) << 60 | now.0
    }
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn disk_alarm(node: NodeId) -> usize {
    2 * usize::from(node.0)
}

fn timer_alarm(node: NodeId) -> usize {
    2 * usize::from(node.0) + 1
}

impl Node {
    fn new(id: NodeId, plan: &Plan) -> Node {
        let settings = plan
            .disk
            .on
            .iter()
            .rev()
            .find(|(node, _)| *node == id)
            .map_or(plan.disk.default, |(_, settings)| *settings);
        Node {
            kind: None,
            process: None,
            incarnation: Incarnation(0),
            rng: plan.seed.stream(&format!("node {id}")),
            disk: Disk::new(settings, plan.seed.keyed(&plan.network.stream(&format!("disk {id}")))),
            pending: VecDeque::new(),
            timer: Time::NEVER,
            paused: 0,
            held: VecDeque::new(),
            down: 0,
            silent: false,
            skew: 0,
            slowness: 1000,
            kept: None,
            stopping: None,
        }
    }

    fn presence(&self) -> Presence {
        match (&self.process, self.silent) {
            (Some(_), _) => Presence::Up,
            (None, false) => Presence::Refusing,
            (None, true) => Presence::Silent,
        }
    }

    /// A slow process takes longer until it does what it meant to do.
    fn stretch(&self, deadline: Time, now: Time) -> Time {
        if self.slowness == 1000 || deadline == Time::NEVER {
            return deadline;
        }
        now + Duration(deadline.since(now).0.saturating_mul(self.slowness) / 1000)
    }
}

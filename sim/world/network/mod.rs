//! Links and connections: a pure model of TCP as Kafka sees it. Messages go in with a time, arrivals come out.
//!
//! - Order holds within one connection and nowhere else.
//! - A cut link loses nothing for good: what is on it is retransmitted with doubling delays until it gets through or
//!   its connection ends. Loss is the delay of a retransmission.
//! - When a client closes a connection or dies, what it has sent still arrives and is executed; the answers are lost.
//! - A reset loses an arbitrary suffix of what is on the way to the server, and every answer. A link that resets loses
//!   the message that it breaks a connection with: a request is not executed, an answer is not heard.
//! - A dead process on a live machine refuses and resets; a dead machine is silent.
//!
//! Deliberately absent: congestion, window sizes, packets. RFC 6298 gives the retransmission timer.

mod link;

use std::collections::{BTreeMap, VecDeque};

use crate::scenario::plan::NetworkPlan;
use crate::types::random::combine;
use crate::types::request::{Request, RequestKind, Response};
use crate::types::settings::Acks;
use crate::types::*;
use link::{Laid, Link, Throttle};

/// First retransmission delay of established connections. Linux: TCP_RTO_MIN.
const RETRANSMISSION_FIRST: Duration = Duration::from_millis(200);
/// Linux goes up to two minutes; every client here gives up long before, so a healed link is found sooner.
const RETRANSMISSION_MAX: Duration = Duration::from_secs(5);
/// The place of a parcel that is in its sender's hands.
const NO_PARCEL: u32 = u32::MAX;
/// Kafka: socket.connection.setup.timeout.ms.
pub const CONNECTION_SETUP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Network {
    nodes: usize,
    /// By `from * nodes + to`.
    links: Vec<Link>,
    /// Open connections by client, server and channel: index `client * nodes + server`.
    open: Vec<Vec<(Channel, u32)>>,
    connections: Vec<Connection>,
    /// How many connections each channel of a client has opened to a server.
    opened: BTreeMap<(NodeId, NodeId, Channel), u32>,
    /// What the messages on their way carry; places are used again.
    parcels: Vec<Option<Parcel>>,
    free_parcels: Vec<u32>,
    draws: Keyed,
}

#[derive(Debug)]
struct Connection {
    client: NodeId,
    server: NodeId,
    channel: Channel,
    /// Of those that this channel has opened to this server, from 1.
    ordinal: u32,
    opened: Time,
    /// Handshake done at.
    ready: Time,
    established: bool,
    /// The client closed it, died, or was told that it is gone: answers are dropped.
    client_gone: bool,
    /// The server process died: requests are dropped.
    server_gone: bool,
    /// Its machine has said so, and the word is on its way.
    reset_sent: bool,
    to_server: Direction,
    to_client: Direction,
    /// Identities of the requests that were not answered yet, oldest first.
    unanswered: VecDeque<(Correlation, u64, RequestKind)>,
}

#[derive(Debug, Default)]
struct Direction {
    last_arrival: Time,
    sent: u32,
    delivered: u32,
    /// After a reset: messages from this number on are lost.
    lost_from: Option<u32>,
    /// Waiting for a retransmission, in order.
    stuck: VecDeque<(Transit, Parcel)>,
    retransmission: Duration,
}

/// A message on its way. What it carries stays in one place meanwhile.
#[derive(Debug)]
pub struct Transit {
    pub connection: ConnectionId,
    pub to_server: bool,
    pub sequence: u32,
    pub kind: RequestKind,
    /// Index of the link.
    link: u32,
    parcel: u32,
}

#[derive(Debug)]
struct Parcel {
    identity: u64,
    payload: Payload,
}

#[derive(Debug)]
enum Payload {
    Request(Correlation, Request),
    Response(Correlation, Response),
    /// The server's side is gone.
    Reset,
}

impl Payload {
    /// Bytes on the wire.
    fn size(&self) -> ByteCount {
        match self {
            Payload::Request(_, request) => request.size(),
            Payload::Response(_, response) => response.size(),
            Payload::Reset => ByteCount(60),
        }
    }
}

/// What became of a message that was offered to its link.
#[derive(Debug)]
pub enum Offered {
    Arrives(Time, Transit),
    /// Held back; look again with [`Network::retransmit`] at the time.
    Held(Option<Time>),
    Dropped(RequestKind),
}

/// What to do with a message that arrives.
#[derive(Debug)]
pub enum Arrival {
    /// A request or a response, for its process to handle.
    Delivered {
        to: NodeId,
        from: NodeId,
        input: Input,
    },
    Disconnected {
        to: NodeId,
        channel: Channel,
        peer: NodeId,
    },
    Held(Option<Time>),
    /// Nobody listens: tell the client with [`Network::refuse`].
    Refused(ConnectionId),
    Dropped {
        to: NodeId,
        kind: RequestKind,
        response: bool,
    },
    /// A request broke its connection and is lost: tell the client with [`Network::refuse`].
    RequestBroke {
        connection: ConnectionId,
        to: NodeId,
        kind: RequestKind,
    },
    /// A response did, and its client sees it.
    ResponseBroke {
        to: NodeId,
        channel: Channel,
        peer: NodeId,
        kind: RequestKind,
    },
}

impl Network {
    /// `instant` nodes (stores, endpoints) have links without latency: their round trip is their own.
    pub fn new(plan: &NetworkPlan, nodes: usize, instant: impl Fn(NodeId) -> bool, draws: Keyed) -> Network {
        let mut links = Vec::with_capacity(nodes * nodes);
        for from in 0..nodes {
            for to in 0..nodes {
                let instant = from == to || instant(NodeId(from as u16)) || instant(NodeId(to as u16));
                links.push(Link::new(plan.default, instant));
            }
        }
        let mut network = Network {
            nodes,
            links,
            open: vec![Vec::new(); nodes * nodes],
            connections: Vec::new(),
            opened: BTreeMap::new(),
            parcels: Vec::new(),
            free_parcels: Vec::new(),
            draws,
        };
        network.reconfigure(plan);
        network
    }

    /// Links are like this from now on. What is on its way arrives as it was sent.
    pub fn reconfigure(&mut self, plan: &NetworkPlan) {
        self.links.iter_mut().for_each(|link| link.plan = plan.default);
        for entry in &plan.between {
            self.links[usize::from(entry.from.0) * self.nodes + usize::from(entry.to.0)].plan = entry.link;
        }
    }

    /// The lane of a message on its way: nodes come first, then links.
    pub fn lane_of(&self, transit: &Transit) -> u32 {
        self.nodes as u32 + transit.link
    }

    pub fn send_request(
        &mut self,
        now: Time,
        from: NodeId,
        channel: Channel,
        to: NodeId,
        correlation: Correlation,
        request: Request,
    ) -> (ConnectionId, Offered) {
        let id = self.connection(now, from, channel, to);
        let kind = request.kind();
        let link = self.link_index(from, to);
        let identity = match kind {
            RequestKind::Produce
            | RequestKind::Fetch
            | RequestKind::Call
            | RequestKind::Store
            | RequestKind::OffsetCommit => request.identity(),
            _ => {
                self.links[link].sent += 1;
                combine(kind as u64, self.links[link].sent)
            }
        };
        let connection = &mut self.connections[id.0 as usize];
        let answered = !matches!(&request, Request::Produce(produce) if produce.acks == Acks::None);
        if answered {
            connection.unanswered.push_back((correlation, identity, kind));
        }
        let sequence = connection.to_server.next_sequence();
        let transit = Transit { connection: id, to_server: true, sequence, kind, link: link as u32, parcel: NO_PARCEL };
        let parcel = Parcel { identity, payload: Payload::Request(correlation, request) };
        (id, self.offer(now, transit, parcel))
    }

    /// Sends the answer of a request, or drops it when nobody waits for it any more.
    pub fn send_response(&mut self, now: Time, to: ReplyTo, response: Response) -> Offered {
        let connection = &mut self.connections[to.connection.0 as usize];
        let Some((identity, kind)) = connection.answered(to.correlation) else {
            return Offered::Dropped(RequestKind::Metadata);
        };
        if connection.client_gone {
            return Offered::Dropped(kind);
        }
        let sequence = connection.to_client.next_sequence();
        let link = (usize::from(connection.server.0) * self.nodes + usize::from(connection.client.0)) as u32;
        let transit = Transit { connection: to.connection, to_server: false, sequence, kind, link, parcel: NO_PARCEL };
        let parcel = Parcel { identity: !identity, payload: Payload::Response(to.correlation, response) };
        self.offer(now, transit, parcel)
    }

    /// The server ends a connection. What its client has sent and it has not read is lost. Returns the word of it, unless the
    /// client is gone.
    pub fn hang_up(&mut self, now: Time, id: ConnectionId) -> Option<Offered> {
        let connection = &mut self.connections[id.0 as usize];
        connection.end_for_server();
        let is_news = !connection.client_gone && !connection.reset_sent;
        is_news.then(|| self.reset_towards_client(now, id).1)
    }

    /// The client ends its connection. What is on the way to the server still arrives.
    pub fn close(&mut self, client: NodeId, channel: Channel, server: NodeId) {
        let open = &mut self.open[client.0 as usize * self.nodes + server.0 as usize];
        if let Some(position) = open.iter().position(|(opened, _)| *opened == channel) {
            let (_, index) = open.swap_remove(position);
            self.connections[index as usize].end_for_client();
        }
    }

    /// A message reaches the far end of its link.
    pub fn arrive(&mut self, now: Time, transit: Transit, server_is: impl Fn(NodeId) -> Presence) -> Arrival {
        let connection = &mut self.connections[transit.connection.0 as usize];
        let (client, server, channel) = (connection.client, connection.server, connection.channel);
        let presence = server_is(server);
        // While nobody has answered the handshake yet, it is tried again.
        let unheard =
            transit.to_server && presence == Presence::Silent && !connection.established && !connection.server_gone;
        let direction = connection.direction(transit.to_server);
        if unheard || !direction.stuck.is_empty() || self.links[transit.link as usize].blocks(transit.kind) {
            let parcel = self.take_parcel(transit.parcel);
            return Arrival::Held(self.hold(now, transit, parcel));
        }
        let passage = direction.arrived(transit.sequence);
        let parcel = self.take_parcel(transit.parcel);
        let connection = &mut self.connections[transit.connection.0 as usize];
        let response = !transit.to_server;
        let (to, kind) = (if response { client } else { server }, transit.kind);
        let dropped = Arrival::Dropped { to, kind, response };
        if passage == Passage::Lost {
            return dropped;
        }
        let link = &self.links[transit.link as usize];
        if !link.resets.is_empty()
            && !connection.is_over()
            && link.breaks(kind, connection.ordinal, &parcel, self.draws)
        {
            connection.end_for_server();
            if !response {
                return Arrival::RequestBroke { connection: transit.connection, to, kind };
            }
            connection.reset_sent = true;
            self.end(transit.connection);
            return Arrival::ResponseBroke { to, channel, peer: server, kind };
        }
        match parcel.payload {
            Payload::Request(correlation, request) => {
                if connection.server_gone {
                    let unsaid = !connection.reset_sent && !connection.client_gone && presence != Presence::Silent;
                    return if unsaid { Arrival::Refused(transit.connection) } else { dropped };
                }
                match presence {
                    Presence::Up => {}
                    Presence::Refusing => {
                        connection.server_gone = true;
                        return Arrival::Refused(transit.connection);
                    }
                    Presence::Silent => return dropped,
                }
                connection.established = true;
                let from = ReplyTo { connection: transit.connection, correlation, peer: client };
                Arrival::Delivered { to: server, from: client, input: Input::Request { from, request } }
            }
            Payload::Response(correlation, response) => {
                if connection.client_gone {
                    return dropped;
                }
                let input = Input::Response { channel, from: server, correlation, response };
                Arrival::Delivered { to: client, from: server, input }
            }
            Payload::Reset => match self.end(transit.connection) {
                true => Arrival::Disconnected { to: client, channel, peer: server },
                false => dropped,
            },
        }
    }

    /// Tries what is stuck on a direction again.
    pub fn retransmit(&mut self, now: Time, id: ConnectionId, to_server: bool) -> Vec<Offered> {
        let stuck = std::mem::take(&mut self.connections[id.0 as usize].direction(to_server).stuck);
        let Some(first) = stuck.front() else { return Vec::new() };
        let (from, to) = self.ends(id, to_server);
        if self.links[self.link_index(from, to)].blocks(first.0.kind) {
            let direction = self.connections[id.0 as usize].direction(to_server);
            direction.stuck = stuck;
            direction.retransmission = Duration((direction.retransmission.0 * 2).min(RETRANSMISSION_MAX.0));
            return vec![Offered::Held(Some(now + direction.retransmission))];
        }
        stuck.into_iter().map(|(transit, parcel)| self.offer(now, transit, parcel)).collect()
    }

    /// The process behind `node` died. `silent` when its machine is down too. Returns what must be sent out.
    pub fn process_died(&mut self, now: Time, node: NodeId, silent: bool) -> Vec<(ConnectionId, Offered)> {
        let mut out = Vec::new();
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.server == node && !connection.server_gone {
                connection.end_for_server();
                if !connection.client_gone && !silent {
                    out.push(self.reset_towards_client(now, ConnectionId(index as u32)));
                }
            }
            let connection = &mut self.connections[index];
            if connection.server == node && silent {
                connection.to_client.stuck.clear();
            }
            if connection.client == node && !connection.client_gone {
                connection.end_for_client();
                if silent {
                    connection.to_server.stuck.clear();
                }
            }
        }
        for other in 0..self.nodes {
            self.open[node.0 as usize * self.nodes + other].clear();
        }
        out
    }

    /// The machine of `node` is back: whoever still believes in an old connection learns that it is gone.
    pub fn machine_back(&mut self, now: Time, node: NodeId) -> Vec<(ConnectionId, Offered)> {
        let orphans: Vec<u32> = (0..self.nodes)
            .flat_map(|client| &self.open[client * self.nodes + node.0 as usize])
            .filter(|(_, index)| self.connections[*index as usize].server_gone)
            .map(|(_, index)| *index)
            .collect();
        orphans.into_iter().map(|index| self.reset_towards_client(now, ConnectionId(index))).collect()
    }

    /// Tells the client of a refused connection.
    pub fn refuse(&mut self, now: Time, id: ConnectionId) -> Offered {
        let (_, offered) = self.reset_towards_client(now, id);
        offered
    }

    /// Gives up a connection that was never established. True when the client must be told.
    pub fn setup_timed_out(&mut self, id: ConnectionId) -> Option<(NodeId, Channel, NodeId)> {
        let connection = &self.connections[id.0 as usize];
        if connection.established || connection.client_gone {
            return None;
        }
        let told = (connection.client, connection.channel, connection.server);
        self.connections[id.0 as usize].to_server.stuck.clear();
        self.end(id).then_some(told)
    }

    /// When the handshake of a connection must be over, if it is a new one.
    pub fn setup_deadline(&self, id: ConnectionId) -> Option<Time> {
        let connection = &self.connections[id.0 as usize];
        (!connection.established && connection.to_server.sent == 1)
            .then(|| connection.opened + CONNECTION_SETUP_TIMEOUT)
    }

    /// Breaks every connection between two nodes (either may be the client). Returns whom to tell.
    pub fn reset(
        &mut self,
        now: Time,
        a: NodeId,
        b: NodeId,
        kind: Option<RequestKind>,
    ) -> Vec<(NodeId, Channel, NodeId)> {
        let mut told = Vec::new();
        for (client, server) in [(a, b), (b, a)] {
            let open = self.open[client.0 as usize * self.nodes + server.0 as usize].clone();
            for (channel, index) in open {
                let identity = combine(u64::from(index) << 1 | 1, now.0);
                let connection = &mut self.connections[index as usize];
                let carries = |kind: RequestKind| connection.unanswered.iter().any(|(_, _, waiting)| *waiting == kind);
                if kind.is_some_and(|kind| !carries(kind)) {
                    continue;
                }
                let on_the_way = u64::from(connection.to_server.sent - connection.to_server.delivered);
                let survivors = self.draws.at(identity).below(on_the_way + 1) as u32;
                connection.to_server.lost_from = Some(connection.to_server.delivered + survivors);
                connection.to_server.stuck.clear();
                if self.end(ConnectionId(index)) {
                    told.push((client, channel, server));
                }
            }
        }
        told
    }

    pub fn cut(&mut self, from: NodeId, to: NodeId, kind: Option<RequestKind>) {
        let index = self.link_index(from, to);
        match kind {
            Some(kind) => self.links[index].cut_kinds.push(kind),
            None => self.links[index].cuts += 1,
        }
    }

    pub fn heal(&mut self, from: NodeId, to: NodeId, kind: Option<RequestKind>) {
        let index = self.link_index(from, to);
        let link = &mut self.links[index];
        match kind {
            Some(kind) => {
                let position = link.cut_kinds.iter().position(|cut| *cut == kind).expect("heal of a kind that was cut");
                link.cut_kinds.remove(position);
            }
            None => link.cuts -= 1,
        }
    }

    pub fn delay(&mut self, from: NodeId, to: NodeId, fault: FaultId, kind: Option<RequestKind>, by: Spread) {
        let index = self.link_index(from, to);
        self.links[index].delays.push(Laid { fault, kind, value: by });
    }

    pub fn drop_share(&mut self, from: NodeId, to: NodeId, fault: FaultId, kind: Option<RequestKind>, rate: Ratio) {
        let index = self.link_index(from, to);
        self.links[index].drops.push(Laid { fault, kind, value: rate });
    }

    pub fn throttle(
        &mut self,
        from: NodeId,
        to: NodeId,
        fault: FaultId,
        kind: Option<RequestKind>,
        to_rate: ByteCount,
    ) {
        let index = self.link_index(from, to);
        let value = Throttle { bytes_per_second: to_rate, busy_until: Time::ZERO };
        self.links[index].throttles.push(Laid { fault, kind, value });
    }

    pub fn reset_share(&mut self, from: NodeId, to: NodeId, fault: FaultId, kind: Option<RequestKind>, rate: Ratio) {
        let index = self.link_index(from, to);
        self.links[index].resets.push(Laid { fault, kind, value: rate });
    }

    /// Takes off what a fault laid on a link.
    pub fn lift(&mut self, from: NodeId, to: NodeId, fault: FaultId) {
        let index = self.link_index(from, to);
        let link = &mut self.links[index];
        link.delays.retain(|laid| laid.fault != fault);
        link.drops.retain(|laid| laid.fault != fault);
        link.throttles.retain(|laid| laid.fault != fault);
        link.resets.retain(|laid| laid.fault != fault);
    }

    // --- private ---

    fn connection(&mut self, now: Time, client: NodeId, channel: Channel, server: NodeId) -> ConnectionId {
        let pair = client.0 as usize * self.nodes + server.0 as usize;
        if let Some((_, index)) = self.open[pair].iter().find(|(open, _)| *open == channel) {
            return ConnectionId(*index);
        }
        let index = self.connections.len() as u32;
        let handshake = self.handshake(client, server, u64::from(index));
        let ordinal = self.opened.entry((client, server, channel)).or_default();
        *ordinal += 1;
        self.connections.push(Connection {
            client,
            server,
            channel,
            ordinal: *ordinal,
            opened: now,
            ready: now + handshake,
            established: false,
            client_gone: false,
            server_gone: false,
            reset_sent: false,
            to_server: Direction::default(),
            to_client: Direction::default(),
            unanswered: VecDeque::new(),
        });
        self.open[pair].push((channel, index));
        ConnectionId(index)
    }

    /// SYN and its answer.
    fn handshake(&mut self, client: NodeId, server: NodeId, number: u64) -> Duration {
        let there = self.links[self.link_index(client, server)].latency();
        let back = self.links[self.link_index(server, client)].latency();
        let mut draw = self.draws.at(combine(combine(u64::from(client.0), u64::from(server.0)), number));
        draw.draw(&there) + draw.draw(&back)
    }

    fn offer(&mut self, now: Time, mut transit: Transit, parcel: Parcel) -> Offered {
        let connection = &mut self.connections[transit.connection.0 as usize];
        let departure = now.max(connection.ready);
        let direction = connection.direction(transit.to_server);
        let link = &mut self.links[transit.link as usize];
        if !direction.stuck.is_empty() || link.blocks(transit.kind) {
            return Offered::Held(self.hold(now, transit, parcel));
        }
        let mut arrival = departure;
        if !link.instant {
            let mut draw = self.draws.at(combine(u64::from(transit.link), parcel.identity));
            arrival += link.transmission(departure, transit.kind, &parcel.payload);
            arrival += draw.draw(&link.plan.latency);
            arrival += link.disturbance(transit.kind, &mut draw);
        }
        arrival = arrival.max(direction.last_arrival);
        direction.last_arrival = arrival;
        transit.parcel = self.put_parcel(parcel);
        Offered::Arrives(arrival, transit)
    }

    #[inline]
    fn put_parcel(&mut self, parcel: Parcel) -> u32 {
        match self.free_parcels.pop() {
            Some(place) => {
                self.parcels[place as usize] = Some(parcel);
                place
            }
            None => {
                self.parcels.push(Some(parcel));
                (self.parcels.len() - 1) as u32
            }
        }
    }

    #[inline]
    fn take_parcel(&mut self, place: u32) -> Parcel {
        self.free_parcels.push(place);
        self.parcels[place as usize].take().expect("a parcel for every message on its way")
    }

    /// Puts a message behind what is stuck. Returns when to look again, when nobody looks yet.
    fn hold(&mut self, now: Time, transit: Transit, parcel: Parcel) -> Option<Time> {
        let direction = self.connections[transit.connection.0 as usize].direction(transit.to_server);
        let first = direction.stuck.is_empty();
        let place = direction.stuck.partition_point(|(other, _)| other.sequence < transit.sequence);
        direction.stuck.insert(place, (transit, parcel));
        first.then(|| {
            direction.retransmission = RETRANSMISSION_FIRST;
            now + RETRANSMISSION_FIRST
        })
    }

    /// The kernel of a machine ends the connection for a process that is gone. Behind a cut link it is retransmitted as
    /// any segment is (a FIN, RFC 9293), so that a client that only waits learns of it too.
    fn reset_towards_client(&mut self, now: Time, id: ConnectionId) -> (ConnectionId, Offered) {
        let connection = &mut self.connections[id.0 as usize];
        let link = (usize::from(connection.server.0) * self.nodes + usize::from(connection.client.0)) as u32;
        let kind = RequestKind::Metadata;
        // Answers that wait for a retransmission die with the process that has sent them.
        connection.to_client.stuck.clear();
        connection.reset_sent = true;
        let sequence = connection.to_client.next_sequence();
        let transit = Transit { connection: id, to_server: false, sequence, kind, link, parcel: NO_PARCEL };
        let parcel = Parcel { identity: combine(1 << 50, u64::from(id.0)), payload: Payload::Reset };
        (id, self.offer(now, transit, parcel))
    }

    /// The client will not hear of this connection again. False when it knew already.
    fn end(&mut self, id: ConnectionId) -> bool {
        let connection = &mut self.connections[id.0 as usize];
        if connection.client_gone {
            return false;
        }
        connection.end_for_client();
        let open = &mut self.open[connection.client.0 as usize * self.nodes + connection.server.0 as usize];
        open.retain(|(_, index)| *index != id.0);
        true
    }

    fn ends(&self, id: ConnectionId, to_server: bool) -> (NodeId, NodeId) {
        let connection = &self.connections[id.0 as usize];
        if to_server { (connection.client, connection.server) } else { (connection.server, connection.client) }
    }

    fn link_index(&self, from: NodeId, to: NodeId) -> usize {
        from.0 as usize * self.nodes + to.0 as usize
    }
}

/// Whether a process answers at its machine's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Running or paused: the kernel takes messages for it.
    Up,
    /// The process is down, its machine refuses.
    Refusing,
    /// The machine is down.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passage {
    Through,
    Lost,
}

impl Connection {
    fn direction(&mut self, to_server: bool) -> &mut Direction {
        if to_server { &mut self.to_server } else { &mut self.to_client }
    }

    /// What is known of a request that is answered now; mostly it is the oldest.
    fn answered(&mut self, answered: Correlation) -> Option<(u64, RequestKind)> {
        let is_it = |(correlation, ..): &(Correlation, u64, RequestKind)| *correlation == answered;
        let (_, identity, kind) = match self.unanswered.pop_front_if(|oldest| is_it(oldest)) {
            Some(oldest) => oldest,
            None => self.unanswered.remove(self.unanswered.iter().position(is_it)?)?,
        };
        Some((identity, kind))
    }

    fn is_over(&self) -> bool {
        self.client_gone || self.server_gone
    }

    /// Nothing that comes on it is executed any more, and nothing that was executed is answered.
    fn end_for_server(&mut self) {
        self.server_gone = true;
        self.unanswered.clear();
    }

    fn end_for_client(&mut self) {
        self.client_gone = true;
        self.to_client.stuck.clear();
    }
}

impl Direction {
    fn next_sequence(&mut self) -> u32 {
        self.sent += 1;
        self.sent - 1
    }

    fn arrived(&mut self, sequence: u32) -> Passage {
        self.delivered = sequence + 1;
        match self.lost_from {
            Some(from) if from <= sequence => Passage::Lost,
            Some(_) | None => Passage::Through,
        }
    }
}

#[cfg(test)]
mod tests;

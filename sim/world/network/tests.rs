//! The promises of the link model, one test for each.

use super::*;
use crate::scenario::plan::{LinkOverride, LinkPlan};

const CLIENT: NodeId = NodeId(1);
const SERVER: NodeId = NodeId(2);
const CHANNEL: Channel = Channel(0);

fn network(link: LinkPlan) -> Network {
    let plan = NetworkPlan { default: link, between: Vec::new(), sequence: 0 };
    Network::new(&plan, 4, |_| false, Seed(7).keyed("network"))
}

fn link(latency: &str) -> LinkPlan {
    LinkPlan { latency: latency.parse().expect("a spread"), loss: Ratio::ZERO, bandwidth: None }
}

fn call(number: u64) -> Request {
    Request::Call(Message {
        event: EventId(number),
        origin: ServiceId(0),
        key: Key(0),
        version: 1,
        size: 900,
        poison: false,
        attempt: 0,
        caller_attempt: 0,
    })
}

fn send(network: &mut Network, now: Time, number: u64) -> (ConnectionId, Offered) {
    network.send_request(now, CLIENT, CHANNEL, SERVER, Correlation(number), call(number))
}

fn arrival(offered: Offered) -> (Time, Transit) {
    match offered {
        Offered::Arrives(at, transit) => (at, transit),
        other => panic!("expected an arrival, got {other:?}"),
    }
}

/// Which call a transit carries when it gets through at its time.
fn through(network: &mut Network, (at, transit): (Time, Transit)) -> Option<u64> {
    match network.arrive(at, transit, |_| Presence::Up) {
        Arrival::Delivered { input: Input::Request { request: Request::Call(message), .. }, .. } => {
            Some(message.event.0)
        }
        _ => None,
    }
}

#[test]
fn order_holds_within_a_connection_whatever_the_latencies() {
    let mut network = network(link("1ms..50ms"));
    let arrivals: Vec<Time> = (0..200).map(|n| arrival(send(&mut network, Time(n * 1_000_000), n).1).0).collect();
    assert!(arrivals.is_sorted());
    assert!(arrivals.windows(2).any(|pair| pair[0] == pair[1]), "a slow message holds up those behind it");
}

#[test]
fn order_does_not_hold_across_a_reconnect() {
    let mut overtaken = 0;
    for seed in 0..50 {
        let plan = NetworkPlan { default: link("1ms..50ms"), between: Vec::new(), sequence: 0 };
        let mut network = Network::new(&plan, 4, |_| false, Seed(seed).keyed("network"));
        let first = arrival(send(&mut network, Time(0), 1).1).0;
        network.close(CLIENT, CHANNEL, SERVER);
        let second = arrival(send(&mut network, Time(1), 2).1).0;
        overtaken += u32::from(second < first);
    }
    assert!((1..50).contains(&overtaken), "{overtaken} of 50");
}

#[test]
fn a_request_of_a_closed_connection_is_still_executed_and_its_answer_is_lost() {
    let mut network = network(link("1ms"));
    let (connection, offered) = send(&mut network, Time(0), 1);
    network.close(CLIENT, CHANNEL, SERVER);
    assert_eq!(through(&mut network, arrival(offered)), Some(1));
    let to = ReplyTo { connection, correlation: Correlation(1), peer: CLIENT };
    let answer = Response::Call(request::CallResponse::Accepted(EventId(1)));
    assert!(matches!(network.send_response(Time(5_000_000), to, answer), Offered::Dropped(_)));
}

#[test]
fn a_reset_loses_a_suffix_of_what_is_on_the_way() {
    let mut survivors = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let plan = NetworkPlan { default: link("1ms"), between: Vec::new(), sequence: 0 };
        let mut network = Network::new(&plan, 4, |_| false, Seed(seed).keyed("network"));
        let transits: Vec<_> = (0..4).map(|n| arrival(send(&mut network, Time(n), n).1)).collect();
        let told = network.reset(Time(10), CLIENT, SERVER, None);
        assert_eq!(told, [(CLIENT, CHANNEL, SERVER)]);
        let arrived: Vec<u64> = transits.into_iter().filter_map(|transit| through(&mut network, transit)).collect();
        assert!(arrived.iter().copied().eq(0..arrived.len() as u64), "a prefix arrives: {arrived:?}");
        survivors.insert(arrived.len());
    }
    assert_eq!(survivors.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_cut_holds_messages_back_until_a_retransmission_after_the_heal() {
    let mut network = network(link("1ms"));
    let before = arrival(send(&mut network, Time(0), 0).1);
    let ready = before.0;
    assert_eq!(through(&mut network, before), Some(0));
    network.cut(CLIENT, SERVER, None);
    let (connection, offered) = send(&mut network, ready, 1);
    let Offered::Held(Some(first_try)) = offered else { panic!("held back, got {offered:?}") };
    assert!(matches!(send(&mut network, ready, 2).1, Offered::Held(None)), "behind the first, no timer of its own");
    let second_try = match &network.retransmit(first_try, connection, true)[..] {
        [Offered::Held(Some(at))] => *at,
        other => panic!("still cut, got {other:?}"),
    };
    assert!(first_try.since(ready) < second_try.since(first_try), "delays double");
    network.heal(CLIENT, SERVER, None);
    let sent = network.retransmit(second_try, connection, true);
    let arrived: Vec<_> = sent.into_iter().filter_map(|offered| through(&mut network, arrival(offered))).collect();
    assert_eq!(arrived, [1, 2]);
}

#[test]
fn a_message_under_way_when_the_link_is_cut_is_held_back_too() {
    let mut network = network(link("1ms"));
    let (at, transit) = arrival(send(&mut network, Time(0), 1).1);
    network.cut(CLIENT, SERVER, None);
    assert!(matches!(network.arrive(at, transit, |_| Presence::Up), Arrival::Held(Some(_))));
}

#[test]
fn one_direction_can_be_cut_alone_and_one_kind_of_request_too() {
    let mut network = network(link("1ms"));
    network.cut(SERVER, CLIENT, None);
    assert!(matches!(send(&mut network, Time(0), 1).1, Offered::Arrives(..)));
    network.cut(CLIENT, SERVER, Some(RequestKind::Fetch));
    assert!(matches!(send(&mut network, Time(0), 2).1, Offered::Arrives(..)));
    network.cut(CLIENT, SERVER, Some(RequestKind::Call));
    assert!(matches!(send(&mut network, Time(0), 3).1, Offered::Held(_)));
}

/// `kind` narrows a fault of a link: what is of another kind does not notice.
#[test]
fn what_is_laid_on_one_kind_of_request_strikes_no_other() {
    let (slow, narrow) = ("4s".parse().expect("a delay"), ByteCount(1_000));
    let lays: [&dyn Fn(&mut Network, RequestKind); 3] = [
        &|network, kind| network.delay(CLIENT, SERVER, FaultId(0), Some(kind), slow),
        &|network, kind| network.drop_share(CLIENT, SERVER, FaultId(0), Some(kind), "99%".parse().expect("a share")),
        &|network, kind| network.throttle(CLIENT, SERVER, FaultId(0), Some(kind), narrow),
    ];
    for lay in lays {
        let mut network = network(link("1ms"));
        let (ready, _) = arrival(send(&mut network, Time(0), 0).1);
        lay(&mut network, RequestKind::Fetch);
        let (at, _) = arrival(send(&mut network, ready, 1).1);
        assert_eq!(at, ready + Duration::from_millis(1), "a call is no fetch");
        lay(&mut network, RequestKind::Call);
        let (late, _) = arrival(send(&mut network, at, 2).1);
        assert!(Duration::from_millis(200) < late.since(at), "{late:?}");
        network.lift(CLIENT, SERVER, FaultId(0));
        let (at, _) = arrival(send(&mut network, late, 3).1);
        assert_eq!(at, late + Duration::from_millis(1), "lifted");
    }
}

#[test]
fn loss_is_delay() {
    let lossy = LinkPlan { loss: "50%".parse().expect("a share"), ..link("1ms") };
    let mut network = network(lossy);
    let mut delayed = 0;
    for number in 0..1000u64 {
        network.close(CLIENT, CHANNEL, SERVER);
        let start = Time(number * 1_000_000_000);
        let (at, _) = arrival(send(&mut network, start, number).1);
        delayed += u32::from(Duration::from_millis(100) < at.since(start));
    }
    assert!((450..550).contains(&delayed), "{delayed} of 1000 were retransmitted");
}

#[test]
fn bandwidth_makes_messages_queue_for_the_wire() {
    let narrow = LinkPlan { bandwidth: Some(ByteCount(100_000)), ..link("0s") };
    let mut network = network(narrow);
    let arrivals: Vec<u64> = (0..3).map(|n| arrival(send(&mut network, Time(0), n).1).0.0).collect();
    assert_eq!(arrivals, [10_000_000, 20_000_000, 30_000_000], "1,000 bytes take 10 ms each");
}

#[test]
fn a_dead_process_refuses_and_a_dead_machine_is_silent() {
    let mut network = network(link("1ms"));
    let (at, transit) = arrival(send(&mut network, Time(0), 1).1);
    let Arrival::Refused(connection) = network.arrive(at, transit, |_| Presence::Refusing) else { panic!("refused") };
    let (back, transit) = arrival(network.refuse(at, connection));
    assert!(matches!(network.arrive(back, transit, |_| Presence::Refusing), Arrival::Disconnected { to: CLIENT, .. }));

    let (connection, offered) = send(&mut network, back, 2);
    let (at, transit) = arrival(offered);
    assert!(
        matches!(network.arrive(at, transit, |_| Presence::Silent), Arrival::Held(Some(_))),
        "the handshake is tried again"
    );
    assert_eq!(network.setup_timed_out(connection), Some((CLIENT, CHANNEL, SERVER)));
}

#[test]
fn a_server_that_hangs_up_reads_no_more_and_its_client_learns_of_it() {
    let mut network = network(link("1ms"));
    let (connection, first) = send(&mut network, Time(0), 1);
    assert_eq!(through(&mut network, arrival(first)), Some(1));
    let (at, under_way) = arrival(send(&mut network, Time(1_500_000), 2).1);
    let (told_at, told) = arrival(network.hang_up(Time(2_000_000), connection).expect("the client does not know"));
    assert!(matches!(network.arrive(at, under_way, |_| Presence::Up), Arrival::Dropped { to: SERVER, .. }));
    assert!(matches!(network.arrive(told_at, told, |_| Presence::Up), Arrival::Disconnected { to: CLIENT, .. }));
    assert!(network.hang_up(told_at, connection).is_none(), "once");
    assert_ne!(send(&mut network, told_at, 3).0, connection, "the client connects anew");
}

#[test]
fn a_crashed_server_resets_its_connections() {
    let mut network = network(link("1ms"));
    let sent = arrival(send(&mut network, Time(0), 1).1);
    assert_eq!(through(&mut network, sent), Some(1));
    let mut resets = network.process_died(Time(5_000_000), SERVER, false);
    let (at, transit) = arrival(resets.pop().expect("one connection was open").1);
    assert!(matches!(network.arrive(at, transit, |_| Presence::Refusing), Arrival::Disconnected { to: CLIENT, .. }));
}

#[test]
fn a_draw_belongs_to_its_message_and_not_to_what_was_sent_before() {
    let latency = |others: u64| {
        let mut network = network(link("1ms..50ms"));
        for other in 0..others {
            // Another pair of nodes has a link of its own.
            network.send_request(Time(0), NodeId(3), CHANNEL, SERVER, Correlation(other), call(1000 + other));
        }
        send(&mut network, Time(0), 0);
        let ready = Time(1_000_000_000);
        arrival(send(&mut network, ready, 5).1).0
    };
    assert_eq!(latency(0), latency(17));
}

#[test]
fn an_override_counts_for_its_direction_only() {
    let slow = link("100ms");
    let plan = NetworkPlan {
        default: link("1ms"),
        between: vec![LinkOverride { from: CLIENT, to: SERVER, link: slow }],
        sequence: 0,
    };
    let mut network = Network::new(&plan, 4, |_| false, Seed(7).keyed("network"));
    let there = arrival(send(&mut network, Time(0), 1).1).0;
    let back = arrival(network.send_request(Time(0), SERVER, CHANNEL, CLIENT, Correlation(1), call(1)).1).0;
    // A handshake there and back, and then the message.
    assert_eq!((there, back), (Time(201_000_000), Time(102_000_000)));
}

#[test]
fn a_client_that_only_waits_learns_of_a_death_behind_a_cut_link() {
    let mut network = network(link("1ms"));
    let (id, first) = send(&mut network, Time(0), 1);
    assert_eq!(through(&mut network, arrival(first)), Some(1));
    network.cut(SERVER, CLIENT, None);
    let mut said = network.process_died(Time(5_000_000), SERVER, false);
    let Some((of, Offered::Held(Some(at)))) = said.pop() else {
        panic!("the end of the connection waits for the link")
    };
    assert_eq!(of, id);
    network.heal(SERVER, CLIENT, None);
    let (at, transit) = arrival(network.retransmit(at, id, false).remove(0));
    let told = network.arrive(at, transit, |_| Presence::Up);
    assert!(matches!(told, Arrival::Disconnected { to: CLIENT, peer: SERVER, .. }), "{told:?}");
}

#[test]
fn a_request_to_a_machine_that_has_forgotten_its_connections_is_refused() {
    let mut network = network(link("1ms"));
    let (id, first) = send(&mut network, Time(0), 1);
    assert_eq!(through(&mut network, arrival(first)), Some(1));
    assert!(network.process_died(Time(5_000_000), SERVER, true).is_empty(), "without power nothing is said");
    let (at, transit) = arrival(send(&mut network, Time(9_000_000), 2).1);
    assert!(matches!(network.arrive(at, transit, |_| Presence::Up), Arrival::Refused(refused) if refused == id));
}

#[test]
fn a_link_that_resets_loses_the_message_and_its_connection_and_draws_anew_each_time() {
    let mut network = network(link("1ms"));
    let half = Ratio(500_000_000);
    network.reset_share(CLIENT, SERVER, FaultId(0), None, half);
    let mut tries = Vec::new();
    for number in 0..200 {
        let mut broke = 0;
        loop {
            let now = Time(1_000_000_000 * (number + 1) + broke * 10_000_000);
            let (id, offered) = send(&mut network, now, number);
            let (at, transit) = arrival(offered);
            match network.arrive(at, transit, |_| Presence::Up) {
                Arrival::Delivered { .. } => break,
                Arrival::RequestBroke { connection, to, .. } => {
                    assert_eq!((connection, to), (id, SERVER));
                    let (told, reset) = arrival(network.refuse(at, connection));
                    let arrival = network.arrive(told, reset, |_| Presence::Up);
                    assert!(matches!(arrival, Arrival::Disconnected { to: CLIENT, .. }), "the client learns of it");
                    broke += 1;
                }
                other => panic!("neither here nor broken: {other:?}"),
            }
        }
        tries.push(broke);
    }
    let broken: u64 = tries.iter().sum();
    assert!((150..250).contains(&broken), "{broken} of {} were broken", broken + 200);
    assert!(tries.iter().any(|tries| 2 < *tries), "what is sent again may be broken again");

    // As it was, when the fault is over.
    network.lift(CLIENT, SERVER, FaultId(0));
    let (_, offered) = send(&mut network, Time(1_000_000_000_000), 1000);
    let parcel = arrival(offered);
    assert_eq!(through(&mut network, parcel), Some(1000));
}

#[test]
fn a_response_that_breaks_its_connection_was_executed_and_is_not_heard() {
    let mut network = network(link("1ms"));
    network.reset_share(SERVER, CLIENT, FaultId(0), Some(RequestKind::Call), Ratio::ONE);
    let (id, offered) = send(&mut network, Time(0), 1);
    let first = arrival(offered);
    let behind = arrival(send(&mut network, Time(2_000_000), 2).1);
    let at = first.0;
    assert_eq!(through(&mut network, first), Some(1), "the other direction breaks nothing");
    let to = ReplyTo { connection: id, correlation: Correlation(1), peer: CLIENT };
    let response = Response::Call(request::CallResponse::Accepted(EventId(1)));
    let (at, answer) = arrival(network.send_response(at, to, response));
    let broke = network.arrive(at, answer, |_| Presence::Up);
    assert!(matches!(broke, Arrival::ResponseBroke { to: CLIENT, peer: SERVER, .. }), "{broke:?}");
    let late = network.arrive(behind.0, behind.1, |_| Presence::Up);
    assert!(matches!(late, Arrival::Dropped { .. }), "what comes behind it is not executed: {late:?}");
    let (again, _) = send(&mut network, Time(1_000_000_000), 3);
    assert_ne!(again, id, "the next request opens another connection");
}

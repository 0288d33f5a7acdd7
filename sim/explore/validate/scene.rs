//! A station as a scenario file: a real topic, real producers and consumers, and faults as sentences.
//!
//! Links, disks and stores take no time here, so that what is measured is the station's alone.

use std::fmt::Write as _;

use super::Case;
use super::station::{Arrivals, Away, Failures, Loss, Station};
use crate::types::Duration;

/// The file of a case. `service_factor` makes every service time longer: 1.05 is 5 %.
pub fn text_of(case: &Case, station: &Station, service_factor: f64) -> String {
    let mut text = String::new();
    let about = format!("{} ({}): {}", case.id, case.model, case.title);
    let about: String =
        about.chars().map(|c| if matches!(c, '"' | '\\') || c.is_control() { '\'' } else { c }).collect();
    let id: String = case.id.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let duration = station.duration();
    let saturated = station.failures.is_some();
    let _ = writeln!(text, "# Written by `hikyaku validate` from case {id}.");
    let _ = writeln!(text, "format   = 1\nabout    = \"{about}\"\nduration = \"{}\"", seconds(duration));
    // What a saturated station has not done by then is of no interest.
    let _ = writeln!(text, "drain    = \"{}\"\nseeds    = {}", if saturated { "1ms" } else { "5h" }, station.replicas);
    let _ = writeln!(text, "[cluster]\nbrokers = 1\ngroup-initial-rebalance-delay = \"0s\"");
    if let Some(retention) = station.retention {
        let _ = writeln!(text, "log-retention-check-interval = \"{}\"", seconds(retention.check));
    }
    let _ = writeln!(text, "[network]\nlatency = \"0s\"\n[disk]\nwrite = \"0s\"\nflush = \"0s\"");
    if let Some(loss) = station.loss {
        lossy_producers(&mut text, station, loss, duration);
        return text;
    }
    let topics = topics(station);
    for topic in &topics {
        let kept = match station.retention {
            Some(retention) => {
                format!("\"{}\"\nsegment = \"{}\"", seconds(retention.retention), seconds(retention.segment))
            }
            None => "\"forever\"".into(),
        };
        let _ = writeln!(text, "[topic.{}]\npartitions = {}\nretention = {kept}", topic.name, topic.partitions);
    }
    let _ = writeln!(text, "[store.results]\ntables = [\"done\"]\nlatency = \"0s\"\ntimeout = \"24h\"");
    for topic in &topics {
        source(&mut text, station, topic);
    }
    worker(&mut text, station, &topics, service_factor);
    faults(&mut text, station, duration);
    // The case judges the metrics; the scenario itself only promises what the queue does.
    let promise = match (station.failures, station.retention) {
        (Some(_), _) => "{ delivery = \"best-effort\", pending = \"any\", parked = \"any\" }",
        (None, Some(_)) => "\"at-most-once\"",
        (None, None) if station.kill.is_some() || station.crashes_once => "\"at-least-once\"",
        (None, None) => "\"exactly-once\"",
    };
    let _ = writeln!(text, "[expect]\nresults.done = {promise}");
    text
}

/// What is sent to this topic is sent idempotently, for comparison.
pub const GUARDED: &str = "tasks-idempotent";

/// One attempt is over before the next record comes, so that the fates of records do not hang on each other.
fn lossy_producers(text: &mut String, station: &Station, loss: Loss, duration: f64) {
    let rate = per_second(station.rate);
    for (topic, idempotent) in [("tasks", loss.idempotent), (GUARDED, true)] {
        let _ = writeln!(text, "[topic.{topic}]\npartitions = 1");
        let _ = writeln!(
            text,
            "[service.source-of-{topic}]\non = \"requests\"\nrate = \"{rate}\"\narrivals = \"constant\""
        );
        let _ = writeln!(
            text,
            "keys = \"unique\"\nlinger = \"0s\"\nretries = {}\nenable-idempotence = {idempotent}",
            loss.retries
        );
        let _ = writeln!(
            text,
            "max-in-flight-requests-per-connection = 1\nretry-backoff = \"1ms\"\nretry-backoff-max = \"1ms\""
        );
        let _ = writeln!(text, "reconnect-backoff = \"1ms\"\nreconnect-backoff-max = \"1ms\"");
        let _ = writeln!(text, "steps = [\"publish {topic}\", \"respond ok\"]");
    }
    let _ = writeln!(text, "[fault]");
    for topic in ["tasks", GUARDED] {
        let source = format!("source-of-{topic}");
        let ways = [
            ("requests", format!("{source} -> brokers"), loss.requests),
            ("answers", format!("brokers -> {source}"), loss.answers),
        ];
        for (what, way, share) in ways.into_iter().filter(|(_, _, share)| 0.0 < *share) {
            let _ = writeln!(
                text,
                "{what}-of-{topic} = \"at 0s for {} reset {way} rate {:.7}% kind produce\"",
                seconds(duration),
                share * 100.0
            );
        }
    }
    let _ = writeln!(text, "[expect]");
    for topic in ["tasks", GUARDED] {
        let _ = writeln!(text, "{topic} = {{ delivery = \"best-effort\", pending = \"any\", parked = \"any\" }}");
    }
}

struct Topic {
    name: String,
    source: String,
    partitions: usize,
    share: f64,
}

fn topics(station: &Station) -> Vec<Topic> {
    match station.is_split() {
        true => (0..station.shares.len())
            .map(|number| Topic {
                name: format!("tasks-{number}"),
                source: format!("source-{number}"),
                partitions: 1,
                share: station.shares[number],
            })
            .collect(),
        false => {
            let partitions = station.shares.len();
            vec![Topic { name: "tasks".into(), source: "source".into(), partitions, share: 1.0 }]
        }
    }
}

fn source(text: &mut String, station: &Station, topic: &Topic) {
    let arrivals = match station.arrivals {
        Arrivals::Constant => "constant".to_string(),
        Arrivals::Poisson => "poisson".to_string(),
        Arrivals::Burst(batch) => format!("burst {batch}"),
    };
    let rate = station.hours().first().map_or(station.rate, |(_, rate)| *rate) * topic.share;
    let rate = per_second(rate);
    let _ =
        writeln!(text, "[service.{}]\non = \"requests\"\nrate = \"{rate}\"\narrivals = \"{arrivals}\"", topic.source);
    let _ = writeln!(text, "keys = \"unique\"\nlinger = \"0s\"");
    match station.burst {
        // While it publishes one, the others wait; it does so many in a second.
        Some(burst) => {
            let work = Duration::from_seconds_f64(1.0 / (station.rate * burst));
            let _ = writeln!(
                text,
                "workers = 1\ncaller-timeout = \"24h\"\ndelivery-timeout = \"24h\"\nretry-backoff-max = \"100ms\""
            );
            let _ = writeln!(
                text,
                "reconnect-backoff-max = \"50ms\"\nsteps = [\"work {work}\", \"publish {}\", \"respond ok\"]",
                topic.name
            );
        }
        None => {
            let _ = writeln!(text, "steps = [\"publish {}\", \"respond ok\"]", topic.name);
        }
    }
}

fn worker(text: &mut String, station: &Station, topics: &[Topic], service_factor: f64) {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let _ = writeln!(text, "[service.worker]\non = \"consume {}\"\nauto-offset-reset = \"earliest\"", names.join(","));
    let _ = writeln!(text, "instances = {}\nmax-poll-interval = \"24h\"", station.consumers);
    let cooperative = station.kill.is_some_and(|kill| kill.cooperative);
    if cooperative || station.is_split() {
        let strategy = if cooperative { "cooperative-sticky" } else { "roundrobin" };
        let _ = writeln!(text, "partition-assignment-strategy = \"{strategy}\"");
    }
    if let Some(kill) = station.kill {
        let session = kill.detected;
        let _ = writeln!(text, "session-timeout = \"{}\"\nheartbeat-interval = \"100ms\"", seconds(session));
    }
    if station.crashes_once || matches!(station.failures, Some(Failures::Crash { .. })) {
        // It comes back as who it was, and need not wait until its session is over.
        let _ = writeln!(text, "static-membership = true\nsession-timeout = \"10m\"");
    }
    let service = Duration::from_seconds_f64(station.service * service_factor);
    let exponential = if station.exponential { "exp " } else { "" };
    let mut work = format!("work {exponential}{service}");
    match station.failures {
        Some(Failures::Crash { between, down, .. }) => {
            // A process that fails at each record with this probability lives as long, on average.
            let share = 1.0 - libm::exp(-station.service / between);
            let _ = write!(work, " errors {:.7}%", share * 100.0);
            let _ = writeln!(text, "restart = \"{}\"\non-failure = [\"crash\"]", seconds(down));
        }
        Some(Failures::Retry { share, retries }) => {
            let _ = write!(work, " errors {:.7}%", share * 100.0);
            let retry = if retries == 0 { String::new() } else { format!("\"retry {retries} backoff 0s\", ") };
            let _ = writeln!(text, "on-failure = [{retry}\"skip\"]");
        }
        None => {}
    }
    let commit = match (station.commit_interval, station.kill) {
        (Some(interval), _) => format!("commit-async every {}", seconds(interval)),
        // What is done is committed: nobody does it again.
        (None, Some(_)) => "commit-async".into(),
        (None, None) => "commit-async every 5s".into(),
    };
    // In an outage of the store, nothing is begun; where work fails or is cut short, it leaves no effect.
    let steps = match station.failures.is_some() || station.crashes_once {
        true => format!("\"{work}\", \"add results.done\", \"{commit}\""),
        false => format!("\"add results.done\", \"{work}\", \"{commit}\""),
    };
    let _ = writeln!(text, "steps = [{steps}]");
}

fn faults(text: &mut String, station: &Station, duration: f64) {
    let mut faults: Vec<String> = Vec::new();
    let begins = station.begins();
    if 0.0 < station.outage {
        let who = match station.away {
            Away::Store => "pause results",
            Away::Consumers => "crash worker",
            Away::Producers => "cut source | brokers",
        };
        faults.push(format!("outage = \"at {} for {} {who}\"", seconds(begins), seconds(station.outage)));
    }
    let mut at = begins + station.outage;
    for (number, pause) in station.pauses.iter().enumerate() {
        at += pause;
        faults.push(format!("pause-{number} = \"at {} for {} pause worker\"", seconds(at), seconds(*pause)));
        faults.push(format!("round-{number} = \"at {} rebalance worker\"", seconds(at)));
        at += pause;
    }
    if let Some(kill) = station.kill {
        let (at, rest) = (seconds(kill.at), seconds(duration - kill.at));
        faults.push(format!("kill = \"at {at} for {rest} crash instance(worker, 1)\""));
    }
    if station.crashes_once {
        faults.push("crash = \"when any after(worker.work) for 1s crash self\"".into());
    }
    let mut from = 0.0;
    for (number, (until, rate)) in station.hours().into_iter().enumerate() {
        if 0 < number && from < duration {
            faults.push(format!(
                "load-{number} = \"at {} set service.source.rate to {}\"",
                seconds(from),
                per_second(rate)
            ));
        }
        from = until;
    }
    if !faults.is_empty() {
        let _ = writeln!(text, "[fault]\n{}", faults.join("\n"));
    }
}

/// As many digits as the language takes.
fn per_second(rate: f64) -> String {
    let text = format!("{rate:.6}");
    format!("{}/s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_seconds_f64(seconds)
}

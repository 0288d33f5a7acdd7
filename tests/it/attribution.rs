//! Whose promise broke: forty-four histories written by hand, each with a twin, judged from the history alone. What the files mean
//! and why each answer is what it is stands in `tests/data/attribution/README.md`.

use std::collections::BTreeMap;
use std::fs;

use hikyaku::checks::{Evidence, EvidenceKind, Judge, Seen, Sighting};
use hikyaku::history::Event;
use hikyaku::history::import::Reader;
use hikyaku::report::blame::owner;
use hikyaku::scenario::plan::Plan;
use hikyaku::types::{EventId, NodeId, Seed, Time};

use crate::common::load;

const FOLDER: &str = "tests/data/attribution";

/// One of the two histories of a file, with its answer.
struct Case {
    name: String,
    plan: Plan,
    lines: Vec<String>,
    answer: Answer,
    seen: Vec<String>,
}

#[derive(Debug, PartialEq)]
struct Answer {
    event: String,
    fate: String,
    place: String,
    boundary: String,
    owner: String,
    /// Node, kind, seconds and fault, or `-`.
    cause: String,
}

/// Words of a passage and its lines.
type Passages = BTreeMap<String, (Vec<String>, Vec<String>)>;

#[test]
fn every_broken_promise_is_laid_where_it_broke_and_so_is_its_twin() {
    let cases = cases();
    assert_eq!(cases.len(), 88, "forty-four histories and their twins");
    let mut wrong = Vec::new();
    for case in &cases {
        let found = found(case);
        let problems: Vec<String> = match &found {
            None => vec![format!("no {} of {} at {}", case.answer.fate, case.answer.event, case.answer.place)],
            Some((answer, evidence)) => {
                let missing = missing(case, evidence);
                let other = (*answer != case.answer).then(|| format!("found  {answer:?}\n  answer {:?}", case.answer));
                other.into_iter().chain(missing).collect()
            }
        };
        if !problems.is_empty() {
            wrong.push(format!("{}\n  {}", case.name, problems.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn the_histories_are_of_all_six_boundaries() {
    let mut boundaries: BTreeMap<String, usize> = BTreeMap::new();
    cases().iter().for_each(|case| *boundaries.entry(case.answer.boundary.clone()).or_default() += 1);
    let expected =
        [("caller", 12), ("producer", 14), ("queue", 18), ("group", 18), ("consumer", 16), ("downstream", 10)];
    assert_eq!(boundaries, expected.map(|(boundary, count)| (boundary.to_string(), count)).into());
}

/// What the judge of the history says of the event.
fn found(case: &Case) -> Option<(Answer, Evidence)> {
    let plan = &case.plan;
    let event = EventId(case.answer.event[1..].parse().expect("an event"));
    let mut judge = Judge::of_saved(plan);
    judge.ask_for(event);
    events(case).iter().for_each(|event| judge.observe(event));
    let outcome = judge.finish();
    let place = plan.places.iter().find(|place| place.name == case.answer.place).expect("a place of the plan");
    let fates = outcome.places.iter().find(|fates| fates.place == place.id)?;
    let of_fate = |found: &&Evidence| found.event == event && fate(found.kind) == case.answer.fate;
    let evidence = fates.evidence.iter().find(of_fate)?.clone();
    let blame = evidence.blame.clone()?;
    let cause = blame.cause.map_or("-".to_string(), |cause| {
        let fault = plan.faults.iter().find(|fault| Some(fault.id) == cause.fault).map_or("-", |fault| &fault.name);
        format!("{} {} {} {fault}", name(plan, cause.node), word(&cause.kind), seconds(cause.time))
    });
    let answer = Answer {
        event: case.answer.event.clone(),
        fate: case.answer.fate.clone(),
        place: case.answer.place.clone(),
        boundary: word(&blame.boundary),
        owner: owner(plan, &blame),
        cause,
    };
    Some((answer, evidence))
}

/// Sightings that the evidence should have, and what it says struck and did not.
fn missing(case: &Case, evidence: &Evidence) -> Vec<String> {
    let told: Vec<String> = evidence.sightings.iter().map(|sighting| sighted(&case.plan, sighting)).collect();
    let mut problems = Vec::new();
    for seen in case.seen.iter().filter(|seen| !told.contains(seen)) {
        problems.push(format!("does not show {seen}, but {}", told.join("; ")));
    }
    let cause = evidence.blame.as_ref().and_then(|blame| blame.cause);
    for sighting in evidence.sightings.iter().filter(|sighting| matches!(sighting.what, Seen::Struck { .. })) {
        if cause.is_none_or(|cause| (cause.time, cause.node) != (sighting.time, sighting.node)) {
            problems.push(format!("shows {}, which is not the cause", sighted(&case.plan, sighting)));
        }
    }
    problems
}

fn events(case: &Case) -> Vec<Event> {
    let mut reader = Reader::new(&case.plan);
    let read = |line: &String| reader.written(line).unwrap_or_else(|why| panic!("{}: `{line}`: {why}", case.name));
    case.lines.iter().map(read).collect()
}

fn sighted(plan: &Plan, sighting: &Sighting) -> String {
    format!("{} {} {}", seconds(sighting.time), name(plan, sighting.node), word(&sighting.what))
}

fn fate(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Lost => "lost",
        EvidenceKind::RepeatedHarmful => "repeated",
        EvidenceKind::Stale => "stale",
        EvidenceKind::Phantom => "phantom",
        EvidenceKind::Reordered => "reordered",
        EvidenceKind::Pending => "pending",
        EvidenceKind::Parked => "parked",
        EvidenceKind::RepeatedHarmless => "harmless",
    }
}

fn name(plan: &Plan, node: NodeId) -> &str {
    plan.nodes.iter().find(|known| known.id == node).map_or("world", |node| &node.name)
}

/// The name of a variant, as `verdict.json` has it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value).expect("a plain value") {
        serde_json::Value::String(word) => word,
        serde_json::Value::Object(fields) => fields.keys().next().expect("one variant").clone(),
        other => other.to_string(),
    }
}

fn seconds(time: Time) -> String {
    (time.0 as f64 / 1e9 - Time::LOAD_START.0 as f64 / 1e9).to_string().parse::<f64>().map_or(String::new(), rounded)
}

/// As few decimals as a time of these files has.
fn rounded(seconds: f64) -> String {
    format!("{}", (seconds * 1e6).round() / 1e6)
}

// --- files ---

fn cases() -> Vec<Case> {
    let passages = passages();
    let mut files: Vec<_> = fs::read_dir(format!("{FOLDER}/histories")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| read(&fs::read_to_string(file).unwrap(), &file.display().to_string(), &passages))
        .collect()
}

fn read(text: &str, name: &str, passages: &Passages) -> [Case; 2] {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => section = name,
            None => sections.entry(section).or_default().push(line),
        }
    }
    let system = sections[""].iter().find_map(|line| line.strip_prefix("system ")).expect("a system");
    let plan = load(&format!("{FOLDER}/systems/{system}.toml"), &[]).cells[0].plan(Seed(0));
    ["broken", "twin"].map(|part| {
        let (mut lines, mut answer, mut seen) = (Vec::new(), None, Vec::new());
        for line in sections["both"].iter().chain(&sections[part]) {
            if let Some(text) = line.strip_prefix("answer: ") {
                answer = Some(read_answer(text));
            } else if let Some(text) = line.strip_prefix("seen: ") {
                let sightings = text.split(';').map(str::trim).filter(|text| *text != "-");
                seen = sightings.map(in_plain_seconds).collect();
            } else {
                expand(line, 0.0, passages, &mut lines);
            }
        }
        lines.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let lines = lines.into_iter().map(|(seconds, rest)| format!("{} {rest}", rounded(seconds))).collect();
        Case { name: format!("{name} [{part}]"), plan: plan.clone(), lines, answer: answer.expect("an answer"), seen }
    })
}

fn read_answer(text: &str) -> Answer {
    let parts: Vec<&str> = text.split('|').map(str::trim).collect();
    let words: Vec<&str> = parts[0].split(' ').collect();
    let [event, fate, place] = words[..] else { panic!("`{text}` is no answer") };
    let cause: Vec<String> = parts[3].split(' ').map(|word| word.parse().map_or(word.to_string(), rounded)).collect();
    Answer {
        event: event.to_string(),
        fate: fate.to_string(),
        place: place.to_string(),
        boundary: parts[1].to_string(),
        owner: parts[2].to_string(),
        cause: cause.join(" "),
    }
}

/// `1.500 shop-1 sent` as the judge's sightings are written here.
fn in_plain_seconds(text: &str) -> String {
    let (seconds, rest) = text.split_once(' ').expect("a time");
    format!("{} {rest}", rounded(seconds.parse().expect("seconds")))
}

fn passages() -> Passages {
    let text = fs::read_to_string(format!("{FOLDER}/passages.txt")).unwrap();
    let mut passages: Passages = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix("passage ") {
            let mut words = head.split(' ').map(str::to_string);
            name = words.next().expect("a name");
            passages.insert(name.clone(), (words.collect(), Vec::new()));
        } else {
            passages.get_mut(&name).expect("a passage begins with its name").1.push(line.to_string());
        }
    }
    passages
}

/// Puts a line, or those that it stands for, behind the others.
fn expand(line: &str, from: f64, passages: &Passages, lines: &mut Vec<(f64, String)>) {
    let (seconds, rest) = line.split_once(' ').unwrap_or_else(|| panic!("`{line}` is no line"));
    let at: f64 = from + seconds.parse::<f64>().unwrap_or_else(|_| panic!("`{line}` has no time"));
    let Some(call) = rest.strip_prefix('@') else {
        lines.push((at, rest.to_string()));
        return;
    };
    let words: Vec<&str> = call.split(' ').collect();
    let (parameters, body) = passages.get(words[0]).unwrap_or_else(|| panic!("no passage `{}`", words[0]));
    assert_eq!(parameters.len(), words.len() - 1, "`{line}`");
    for template in body {
        let mut line = template.clone();
        for (parameter, value) in parameters.iter().zip(&words[1..]) {
            if let Ok(number) = value.parse::<u64>() {
                line = line.replace(&format!("{parameter}+1"), &(number + 1).to_string());
            }
            line = line.replace(parameter, value);
        }
        expand(&line, at, passages, lines);
    }
}

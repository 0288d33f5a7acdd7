//! A failing run becomes the smallest scenario that fails in the same way, and a recorded run is the same run again.

use std::fs;

use hikyaku::checks::{Signature, WaitOptions};
use hikyaku::explore::run_seed;
use hikyaku::explore::shrink::{Bound, Limits, NotShrunk, REPETITIONS, Shrunk, Without, shrink};
use hikyaku::scenario;
use hikyaku::types::Seed;

use crate::common::{Scratch, hikyaku, parse, stderr, stdout};

/// A marker in front of the work, and one fault among many that strikes between them.
const MARKER_FIRST: &str = r#"
format   = 1
about    = "The marker stands in front of the work: does every payment count?"
duration = "20s"
seeds    = 1

[cluster]
brokers = 1

[network]
loss = "0.1%"

[topic.payments]
partitions = 3

[store.ledger]
tables = ["seen", "balance", "spare"]

[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish payments", "respond ok"]

[service.accounts]
on                = "consume payments"
auto-offset-reset = "earliest"
session-timeout   = "6s"
steps             = ["insert-if-absent ledger.seen", "work 2ms", "add ledger.balance", "commit"]

[fault]
slow   = "at 1s for 2s slow-disk brokers by 3x"
lossy  = "at 2s for 1s drop brokers | shop rate 20%"
stall  = "at 3s for 500ms pause ledger"
reset  = "at 4s reset callers | shop"
away   = "at 5s for 1s restart accounts"
crash  = "when any after(accounts.insert-if-absent) for 2s crash self"
later  = "when fired(crash) +3s for 1s pause shop"
again  = "at 15s rebalance accounts"

[expect]
ledger.balance = "at-least-once"
ledger.seen    = "exactly-once"
payments       = "at-least-once"
"#;

fn shrunk(name: &str, text: &str, seed: u64, jobs: usize, runs: u64) -> Result<Shrunk, NotShrunk> {
    let plan = parse(name, text).cells[0].plan(Seed(seed));
    let draft =
        scenario::drafts_of(name, text, &[]).unwrap_or_else(|problems| panic!("{}", problems.short())).remove(0);
    shrink(&draft, &plan, &Limits { jobs, runs, keep: Vec::new(), stop: &|| false }, &mut |_| {})
}

#[test]
fn of_many_faults_the_one_that_matters_is_left() {
    let found = shrunk("marker_first", MARKER_FIRST, 1, 2, 2_000).expect("seed 1 loses a payment");
    let text = found.failing.draft.text(&[]);
    println!("{text}\n{:?} -> {:?}, {} runs", found.before, found.after, found.runs);
    assert_eq!(found.bound, None, "it ends by itself");
    assert_eq!(found.after.faults, 1, "{text}");
    assert_eq!(
        found.without,
        [("crash".to_string(), Without::Holds)],
        "the fault is needed, and named after what it does"
    );
    assert!(found.after.events <= 3 && found.after.partitions == 1, "{:?}", found.after);
    assert_eq!(found.repeated, REPETITIONS);
    assert!(
        !text.contains('%') && !text.contains("any") && !text.contains("self"),
        "nothing is drawn any more:\n{text}"
    );
    assert!(text.contains("instance(accounts, 1)"), "the target is pinned:\n{text}");
    assert!(!text.contains("spare") && !text.contains("[network]"), "what does not matter is gone:\n{text}");
    // The page is the run: read by anybody, it fails in the same way with the same digest.
    let plan = parse("again", &text).cells[0].plan(Seed(1));
    let (outcome, report) = run_seed(&plan, WaitOptions::default(), |_| {});
    assert_eq!(report.digest, found.failing.digest);
    assert_eq!(Signature::all(&outcome).first(), Some(&found.signature));
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads_and_a_bound_is_said() {
    let one = shrunk("marker_first", MARKER_FIRST, 1, 1, 60).expect("it fails");
    let four = shrunk("marker_first", MARKER_FIRST, 1, 4, 60).expect("it fails");
    assert_eq!(one.failing.text(), four.failing.text());
    assert_eq!((one.runs, one.bound), (four.runs, four.bound));
    assert_eq!(one.bound, Some(Bound::Runs));
}

#[test]
fn a_lost_answer_becomes_one_cut_at_one_instant() {
    let text = r#"
format   = 1
about    = "An answer of the store is lost and the addition repeated: does it count twice?"
duration = "10s"
seeds    = 1
[cluster]
brokers = 1
[topic.payments]
partitions = 1
[store.ledger]
tables       = ["balance"]
lost-answers = "1%"
timeout      = "1s"
[service.shop]
on    = "requests"
rate  = "20/s"
steps = ["publish payments", "respond ok"]
[service.accounts]
on                = "consume payments"
auto-offset-reset = "earliest"
steps             = ["add ledger.balance", "commit"]
[expect]
ledger.balance = "exactly-once"
"#;
    let found = shrunk("lost_answer", text, 0, 2, 2_000).expect("seed 0 adds twice");
    let page = found.failing.draft.text(&[]);
    println!("{page}\n{}", found.signature);
    assert!(found.chances.is_empty(), "{:?}", found.chances);
    assert!(!page.contains("lost-answers") && page.contains("inside(accounts.add"), "{page}");
    assert_eq!(found.after.faults, 1);
}

#[test]
fn what_holds_is_not_shrunk() {
    let holds = MARKER_FIRST.replace("crash  = \"when any after(accounts.insert-if-absent) for 2s crash self\"\n", "");
    let holds = holds.replace("fired(crash)", "fired(away)");
    assert!(matches!(shrunk("holds", &holds, 1, 1, 10), Err(NotShrunk::Holds(_))));
}

#[test]
fn the_written_scenario_fails_when_it_is_run_and_its_recording_replays() {
    let scratch = Scratch::new("shrink");
    let file = scratch.write("marker_first.toml", MARKER_FIRST);
    let small = scratch.path("small.toml");
    let output = hikyaku(&["shrink", &file, "--seed", "1", "--out", &small]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", stderr(&output));
    for part in ["SHRUNK", "was ", "is ", "fault ", "needed", "10 of 10", "again "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let page = fs::read_to_string(&small).unwrap();
    assert!(page.starts_with("# ledger.balance loss · consumer"), "{page}");
    assert!(page.contains("# The fault is needed: without it, everything holds."), "{page}");

    let out = scratch.path("recorded");
    let run = hikyaku(&["run", &small, "--out", &out]);
    assert_eq!(run.status.code(), Some(1), "{}", stdout(&run));
    let token = stdout(&run).split_whitespace().find(|word| word.starts_with("small::1:s1:")).map(str::to_string);
    let token = token.unwrap_or_else(|| panic!("run prints a token: {}", stdout(&run)));

    // From the folder of the run: digest and history are compared.
    let replayed = scratch.path("replayed");
    let replay = hikyaku(&["replay", &out, "--out", &replayed]);
    assert_eq!(replay.status.code(), Some(1), "{}{}", stdout(&replay), stderr(&replay));
    assert!(stdout(&replay).starts_with("VIOLATED"), "{}", stdout(&replay));
    assert!(stdout(&replay).contains("the same run as the recorded one"), "{}", stdout(&replay));
    for name in ["plan.toml", "history.jsonl", "history.csv"] {
        let both = [&out, &replayed].map(|folder| fs::read(format!("{folder}/{name}")).unwrap());
        assert!(both[0] == both[1], "{name} is the same, byte for byte");
    }
    assert!(fs::read_to_string(format!("{replayed}/verdict.json")).unwrap().contains("\"violated\""));

    // From the token.
    let by_token = hikyaku(&["replay", &token, "--scenario", &small]);
    assert_eq!(by_token.status.code(), Some(1), "{}", stderr(&by_token));
    assert!(stdout(&by_token).contains("the same run as the recorded one"), "{}", stdout(&by_token));
    let other = format!("{}{}", &token[..token.len() - 8], "00000000");
    let by_token = hikyaku(&["replay", &other, "--scenario", &small]);
    assert_eq!(by_token.status.code(), Some(4), "{}", stdout(&by_token));

    // A recorded history that differs is told apart at its first line that does.
    let history = format!("{out}/history.jsonl");
    let lines = fs::read_to_string(&history).unwrap();
    let changed: Vec<String> = lines
        .lines()
        .enumerate()
        .map(|(number, line)| match number {
            41 => line.replacen('{', "{\"tampered\":true,", 1),
            _ => line.to_string(),
        })
        .collect();
    fs::write(&history, changed.join("\n") + "\n").unwrap();
    let differs = hikyaku(&["replay", &out]);
    assert_eq!(differs.status.code(), Some(4), "{}", stdout(&differs));
    assert!(stdout(&differs).contains("line 42 of history.jsonl"), "{}", stdout(&differs));
    assert!(stdout(&differs).contains("tampered"), "{}", stdout(&differs));
}

#[test]
fn what_cannot_be_replayed_or_shrunk_is_said_with_its_cure() {
    let scratch = Scratch::new("not-replayed");
    let plan = parse("quick", MARKER_FIRST).cells[0].plan(Seed(1));
    let text = toml_of(&plan);
    let newer = scratch.write("plan.toml", text.replace("stream-version = 1", "stream-version = 2"));
    let cut = scratch.write("cut.toml", &text[..text.len() / 2]);
    let nothing = scratch.write("nothing.toml", [0xff, 0xfe, 0x00]);
    let cases: [(&[&str], &str); 8] = [
        (
            &["replay", "quickstart::0:s2:00000000"],
            "recorded with stream s2; this build is s1: seeds are not comparable",
        ),
        (&["replay", &newer], "recorded with stream s2; this build is s1: seeds are not comparable"),
        (&["replay", "quickstart::0:s1:xyz"], "eight digits of a digest"),
        (&["replay", "no-such-scenario::0:s1:00000000"], "--scenario PATH"),
        (&["replay", "quickstart:acks=7:0:s1:00000000"], "has no cell `acks=7`"),
        (&["replay", "nowhere"], "neither a plan.toml"),
        (&["replay", &cut], "this is no plan"),
        (&["replay", &nothing], "is not text"),
    ];
    for (arguments, expected) in cases {
        let output = hikyaku(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    let file = scratch.write("marker_first.toml", MARKER_FIRST);
    for (arguments, expected) in [
        (&["shrink", &file][..], "give --seed N"),
        (&["shrink", &file, "--seed", "1", "--cell", "acks=2"], "has no cell `acks=2`"),
        (&["shrink", "scenarios/quickstart.toml", "--seed", "0"], "there is nothing to shrink"),
        (&["shrink", "scenarios/acks_1_loses.toml", "--seed", "0"], "which cell?"),
    ] {
        let output = hikyaku(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}

fn toml_of(plan: &scenario::plan::Plan) -> String {
    toml::to_string(plan).expect("a plan can be written")
}

//! Whatever is given to the command line is answered at once, with a place and a cure, by exit code 2: never with a panic,
//! and never with bytes that drive the reader's terminal.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{Scratch, hikyaku, stderr, stdout};

const QUICKSTART: &str = "scenarios/quickstart.toml";

/// A refusal: exit code 2, one of `problem` on stderr, nothing that looks like a crash. Returns stderr.
#[allow(clippy::disallowed_methods)] // The test measures; no run depends on it.
fn refused(arguments: &[&str]) -> String {
    let start = Instant::now();
    let output = hikyaku(arguments);
    let took = start.elapsed();
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {:?}\n{out}\n{err}", output.status);
    assert!(took < Duration::from_secs(10), "{arguments:?} took {took:?}");
    assert!(!err.is_empty() && out.is_empty(), "{arguments:?}: a refusal goes to stderr:\n{out}\n{err}");
    for text in ["panicked", "RUST_BACKTRACE", "internal error"] {
        assert!(!err.contains(text), "{arguments:?}:\n{err}");
    }
    is_plain(&output.stderr, arguments);
    err
}

/// No control character except the end of a line: what is no terminal gets no colours, and no name is passed through.
fn is_plain(bytes: &[u8], arguments: &[&str]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{arguments:?}: the output is not UTF-8"));
    let control = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "{arguments:?}: {text:?}");
}

/// Both commands that read a scenario refuse it, with `file:line` and a cure.
fn refused_at(file: &str, line: u32, problem: &str) {
    let sets: [&[&str]; 2] = [&["check", file], &["run", file]];
    for arguments in sets {
        let err = refused(arguments);
        assert!(err.contains(problem), "`{problem}` is not said:\n{err}");
        let name = file.rsplit('/').next().unwrap();
        assert!(err.contains(&format!("{name}:{line}:")), "no place {name}:{line}:\n{err}");
        assert!(err.contains("help: "), "no cure:\n{err}");
    }
}

#[test]
fn what_is_no_scenario_is_refused() {
    let scratch = Scratch::new("bad-files");
    refused_at(&scratch.write("empty.toml", ""), 1, "`format` is missing");
    refused_at(&scratch.write("blank.toml", "\n\n  \n"), 1, "`format` is missing");
    refused_at(&scratch.path("missing.toml"), 1, "cannot be read");
    let junk: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    refused_at(&scratch.write("junk.toml", junk), 1, "is not UTF-8");
    refused_at(&scratch.write("nul.toml", [0_u8; 512]), 1, "not TOML");
    let escapes = b"\x1b[2J\x1b]0;owned\x07 = \x1b[31m".to_vec();
    refused_at(&scratch.write("escapes.toml", escapes), 1, "not TOML");
    refused_at(&scratch.write("elf.toml", b"\x7fELF\x02\x01\x01\0\0\0\xff"), 1, "is not UTF-8");
    let json = scratch.write("json.toml", "{\n  \"format\": 1\n}\n");
    refused_at(&json, 1, "not TOML");
}

#[test]
fn a_file_of_a_hundred_megabytes_is_not_read() {
    let scratch = Scratch::new("large");
    let path = scratch.path("large.toml");
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    refused_at(&path, 1, "104857600 bytes");
}

#[test]
fn a_folder_is_no_scenario() {
    let scratch = Scratch::new("folder");
    let folder = scratch.path("");
    assert!(refused(&["run", &folder]).contains("is a folder"));
    assert!(refused(&["check", &folder]).contains("no scenario file in"));
}

#[test]
fn parents_in_a_circle_are_refused() {
    let scratch = Scratch::new("circle");
    let child = |parent: &str| format!("format = 1\nabout = \"x\"\nextends = \"{parent}\"\n");
    scratch.write("b.toml", child("c.toml"));
    scratch.write("c.toml", child("./a.toml"));
    let circle = scratch.write("a.toml", child("b.toml"));
    for command in ["check", "run"] {
        let err = refused(&[command, &circle]);
        assert!(err.contains("c.toml:3:") && err.contains("closes a circle") && err.contains("help: "), "{err}");
    }
    let oneself = scratch.write("self.toml", child("self.toml"));
    refused_at(&oneself, 3, "closes a circle");
    refused_at(&scratch.write("orphan.toml", child("nobody.toml")), 3, "nobody.toml");
}

#[test]
fn hostile_names_reach_neither_the_terminal_nor_a_path() {
    let scratch = Scratch::new("hostile");
    let text = "format = 1\nabout = \"x\"\n[cluster]\nbrokers = 1\n\
                [topic.\"\\u001b]0;owned\\u0007../../../etc/passwd\"]\npartitions = 1\n\
                [service.\"../../evil\"]\non = \"requests\"\nrate = \"1/s\"\nsteps = [\"respond ok\"]\n";
    let file = scratch.write("names.toml", text);
    refused_at(&file, 5, "is not a name");
    refused_at(&file, 7, "is not a name");
    // The name of the file itself, and of its folder.
    let file = scratch.write("\u{1b}[31mred\u{7}.toml", "format = 2\n");
    for command in ["check", "run"] {
        assert!(refused(&[command, &file]).contains("format"));
    }
    let missing = scratch.path("\u{1b}]52;c;x\u{7}\r\u{9b}2J.toml");
    for command in ["check", "run", "list"] {
        assert!(refused(&[command, &missing]).contains("cannot be read"));
    }
    // A scenario that is fine, under a name that is not.
    let good = scratch.write("\u{1b}[31m.toml", fs::read(QUICKSTART).unwrap());
    let out = scratch.path("\u{1b}[2Jout");
    let arguments = ["run", &good, "--seeds", "0..1", "--set", "duration=5s", "--out", &out];
    let output = hikyaku(&arguments);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    is_plain(&output.stdout, &arguments);
    is_plain(&output.stderr, &arguments);
    assert!(fs::metadata(&out).unwrap().is_dir());
}

/// Line, problem. One file, all of them at once.
const MISTAKES: &[(u32, &str)] = &[
    (3, "`ten` is not a duration"),
    (4, "`seeds` is `-3`"),
    (7, "`brokers` is 0"),
    (8, "unknown key `colour`"),
    (19, "`50` is not a rate"),
    (20, "odrers"),
    (24, "bokings"),
    (24, "wrok"),
    (27, "whenever"),
    (30, "exactly-twice"),
];

const MANY_MISTAKES: &str = r#"format   = 1
about    = "Many mistakes at once"
duration = "ten"
seeds    = -3

[cluster]
brokers = 0
colour  = "blue"

[topic.orders]
partitions = 2

[store.db]
tables = ["bookings"]

[service.shop]
on    = "requests"
# without a time
rate  = "50"
steps = ["publish odrers", "respond ok"]

[service.booking]
on    = "consume orders"
steps = ["insert-if-absent db.bokings", "wrok 2ms"]

[fault]
crash = "whenever crash booking"

[expect]
db.bookings = "exactly-twice"
"#;

#[test]
fn all_mistakes_of_a_file_are_said_at_once() {
    let scratch = Scratch::new("mistakes");
    let file = scratch.write("many.toml", MANY_MISTAKES);
    let err = refused(&["check", &file]);
    for (line, problem) in MISTAKES {
        assert!(err.contains(problem), "`{problem}` is not said:\n{err}");
        assert!(err.contains(&format!("many.toml:{line}:")), "line {line} is not named:\n{err}");
    }
    let (errors, cures) = (err.matches("error[S").count(), err.matches("help: ").count());
    assert!(MISTAKES.len() <= errors && errors <= 2 * MISTAKES.len(), "{errors} errors:\n{err}");
    assert!(errors <= cures, "{errors} errors and {cures} cures:\n{err}");
    let output = hikyaku(&["check", &file, "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("problems as JSON");
    let short = hikyaku(&["check", &file, "--format", "short"]);
    assert!(stdout(&short).lines().filter(|line| line.contains("many.toml:")).count() >= MISTAKES.len());
}

#[test]
fn wrong_arguments_are_refused_with_what_is_right() {
    let seeds = |text| refused(&["run", QUICKSTART, "--seeds", text]);
    assert!(seeds("5..5").contains("empty") && seeds("9..3").contains("half-open"));
    for text in ["x", "", "..", "1..", "3,4", "0x0..0x9", "0..99999999999999999999", "0...3", "\u{1b}[31m"] {
        assert!(seeds(text).contains("0..20"), "{text:?}");
    }
    let err = refused(&["run", QUICKSTART, "--without-guard", "Q99"]);
    assert!(err.contains("no guard has this id") && err.contains("P11"), "{err}");
    assert!(refused(&["run", QUICKSTART, "--seed", "1", "--seeds", "0..2"]).contains("cannot be used with"));
    assert!(refused(&["run"]).contains("Usage"));
    assert!(refused(&["fly"]).contains("Usage"));
    assert!(refused(&["explain", "S999"]).contains("S043"));
    assert!(refused(&["explain", "\u{1b}[31m"]).contains("S043"));
}

#[test]
fn nonsense_laid_over_a_file_is_refused_with_its_place() {
    for (set, problem) in [
        ("nonsense", "has no `=`"),
        ("=", "is not a path"),
        ("=1", "is not a path"),
        ("duration=banana", "is not a duration"),
        ("a.b.c=1", "is not a path of this scenario"),
        ("service.nobody.rate=1/s", "nobody"),
        ("service.shop.rate=fast", "is not a rate"),
        ("service.shop=1", "service.shop"),
        ("service..rate=1", "path"),
        ("x=[[[", "is not a path of this scenario"),
        ("\u{1b}[31m=1", "is not a path of this scenario"),
        ("service.shop.rate=\u{1b}[31m", "is not a rate"),
    ] {
        for command in ["check", "run"] {
            let err = refused(&[command, QUICKSTART, "--set", set]);
            assert!(err.contains(problem) && err.contains("help: "), "--set {set:?}:\n{err}");
            assert!(err.contains("--set:1:"), "--set {set:?} has no place:\n{err}");
        }
    }
}

#[test]
fn every_good_scenario_is_fine() {
    let output = hikyaku(&["check", "scenarios", "tests/data"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
}

#[test]
fn the_commands_that_only_print_print() {
    for (arguments, expected) in [
        (&["list"][..], &["scenarios/quickstart.toml", "cells x"][..]),
        (&["list", "tests/data"], &["acked_records_survive"]),
        (&["schema"], &["https://json-schema.org", "auto-offset-reset"]),
        (&["completions", "bash"], &["_hikyaku()", "--without-guard"]),
        (&["completions", "zsh"], &["#compdef hikyaku"]),
        (&["explain", "S043"], &["word"]),
        (&["--version"], &["hikyaku 0.1.0"]),
        (&["--help"], &["Exit codes:", "0  every expectation holds", "2  wrong usage", "70  internal error", "130"]),
        (&["run", "--help"], &["--seeds", "--set", "--without-guard", "--out"]),
    ] {
        let output = hikyaku(arguments);
        let out = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        assert!(output.stderr.is_empty(), "{arguments:?}: {}", stderr(&output));
        for text in expected {
            assert!(out.contains(text), "{arguments:?} does not say `{text}`:\n{out}");
        }
    }
    let schema = hikyaku(&["schema"]);
    serde_json::from_slice::<serde_json::Value>(&schema.stdout).expect("the schema is JSON");
}

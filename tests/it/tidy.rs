//! The rules of the house that a compiler does not know: who may know whom, what must not be called, how long a file
//! and a line may be. See `sim/README.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may know.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("theory", &[]),
    ("kafka", &["types"]),
    ("scenario", &["types"]),
    ("service", &["types", "kafka", "scenario"]),
    ("history", &["types", "scenario"]),
    ("world", &["types", "kafka", "service", "scenario", "history"]),
    ("checks", &["types", "scenario", "history", "theory"]),
    ("report", &["types", "theory", "scenario", "history", "checks"]),
    ("explore", &["types", "theory", "scenario", "history", "world", "checks"]),
    ("cli", &["types", "theory", "scenario", "history", "world", "checks", "explore", "report"]),
];

/// Text that must not stand in simulated rooms, and why.
const BANNED: &[(&str, &str)] = &[
    ("HashMap", "its order is an accident; use BTreeMap"),
    ("HashSet", "its order is an accident; use BTreeSet"),
    ("Instant::now", "time comes from the world"),
    ("SystemTime", "time comes from the world"),
    ("thread_rng", "randomness comes from named streams"),
    ("rand::rng(", "randomness comes from named streams"),
    ("rand::random", "randomness comes from named streams"),
    ("getrandom", "randomness comes from named streams"),
    ("thread::spawn", "only the set-up of a run makes threads"),
    ("thread::sleep", "nothing waits for real time"),
    ("tokio::select!", "its order is random"),
    ("env::var", "a run depends on its plan and seed alone"),
];

/// Text that must not stand in machines at all.
const BANNED_IN_MACHINES: &[(&str, &str)] = &[
    ("madsim", "machines know no world"),
    ("tokio", "machines know no runtime"),
    ("std::time", "time is types::Time"),
    ("std::fs", "machines ask for storage by effects"),
    ("std::thread", "machines know no threads"),
    ("Mutex", "machines are owned data"),
    ("RefCell", "machines are owned data"),
    ("async ", "machines never wait"),
    ("println!", "machines speak in notes"),
];

const FILE_LINES_MAX: usize = 800;
const LINE_WIDTH_MAX: usize = 140;

#[test]
fn rooms_know_only_the_rooms_below_them() {
    let mut problems = Vec::new();
    for (room, allowed) in LAYERS {
        for file in source_files(&Path::new("sim").join(room)) {
            for other in rooms_named_in(&code_of(&file)) {
                if other != *room && !allowed.contains(&other.as_str()) {
                    problems.push(format!("{}: `{room}` may not know `{other}`", file.display()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_room_is_in_the_table_of_layers() {
    let rooms: BTreeSet<String> = fs::read_dir("sim")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<String> = LAYERS.iter().map(|(room, _)| room.to_string()).collect();
    assert_eq!(rooms, known);
}

#[test]
fn simulated_rooms_call_nothing_that_differs_between_runs() {
    let mut problems = Vec::new();
    for room in ["types", "theory", "kafka", "scenario", "service", "history", "world", "checks", "report"] {
        for file in source_files(&Path::new("sim").join(room)) {
            problems.extend(banned_text_in(room, &file, &code_of(&file)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What must not stand in the code of a file of this room: one problem for each text and line.
pub fn banned_text_in(room: &str, file: &Path, code: &str) -> Vec<String> {
    let machines = if matches!(room, "kafka" | "service" | "types") { BANNED_IN_MACHINES } else { &[] };
    let mut problems = Vec::new();
    for (text, why) in BANNED.iter().chain(machines) {
        for (number, line) in code.lines().enumerate() {
            if line.contains(text) && !exempt(file, text) {
                problems.push(format!("{}:{}: `{text}`: {why}", file.display(), number + 1));
            }
        }
    }
    problems
}

/// The progress display of a terminal is the one place of the report that sees real time.
fn exempt(file: &Path, text: &str) -> bool {
    file.ends_with("report/progress.rs") && matches!(text, "Instant::now" | "env::var")
}

#[test]
fn files_and_lines_stay_short() {
    let mut problems = Vec::new();
    for file in source_files(Path::new("sim")).into_iter().chain(source_files(Path::new("tests"))) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        if FILE_LINES_MAX < lines {
            problems.push(format!("{}: {lines} lines; split it by noun", file.display()));
        }
        for (number, line) in text.lines().enumerate() {
            if LINE_WIDTH_MAX < line.chars().count() && !is_text_for_people(line) {
                problems.push(format!(
                    "{}:{}: line of {} characters",
                    file.display(),
                    number + 1,
                    line.chars().count()
                ));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Sentences in quotes are not folded, they are searched for as a whole; a row of a table in a comment has no fold.
fn is_text_for_people(line: &str) -> bool {
    let quoted: usize = line.split('"').skip(1).step_by(2).map(|quoted| quoted.chars().count()).sum();
    40 < quoted || line.trim_start().starts_with("//! |")
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent: Vec<String> = source_files(Path::new("sim"))
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no module documentation: {}", silent.join(", "));
}

#[test]
fn only_the_library_root_asks_for_the_flag() {
    for file in source_files(Path::new("sim")) {
        let asks = code_of(&file).contains("cfg(madsim)") || code_of(&file).contains("cfg(not(madsim))");
        assert!(!asks || file.ends_with("sim/lib.rs"), "{}: cfg(madsim) belongs to sim/lib.rs", file.display());
    }
}

/// The file without its comments and without its unit tests.
fn code_of(file: &Path) -> String {
    if file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("test")) {
        return String::new();
    }
    code_in(&fs::read_to_string(file).unwrap())
}

pub fn code_in(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let code = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    code.collect::<Vec<_>>().join("\n")
}

fn rooms_named_in(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let name: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        rooms.insert(name);
        if let Some(group) = part.strip_prefix('{') {
            let inside = group.split('}').next().unwrap_or_default();
            for item in inside.split(',') {
                rooms.insert(item.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect());
            }
        }
    }
    rooms.retain(|room| LAYERS.iter().any(|(known, _)| known == room));
    rooms
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

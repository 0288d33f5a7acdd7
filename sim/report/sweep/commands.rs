//! The commands that go on from a failure: run it again exactly, explain it, and make it small.

use crate::checks::sweep::{Failure, FailureGroup, SweepVerdict};

/// Of the example of a group: one that replays it, and those that explain and shrink it when it came to an end.
pub fn of_group(sweep: &SweepVerdict, group: &FailureGroup) -> Vec<String> {
    let ended = !matches!(group.failure, Failure::Run(_));
    let token = ended.then_some(group.example.token.as_str());
    of_run(&group.path, token, group.example.seed.0, &sweep.sets, &sweep.guards_off)
}

pub fn of_run(path: &str, token: Option<&str>, seed: u64, sets: &[String], guards: &[String]) -> Vec<String> {
    let mut flags = String::new();
    let scenario = format!(" --scenario {}", quoted(path));
    sets.iter().for_each(|set| flags += &format!(" --set {}", quoted(set)));
    guards.iter().for_each(|guard| flags += &format!(" --without-guard {guard}"));
    match token {
        Some(token) => {
            let scenario = if path.starts_with("scenarios/") { "" } else { &scenario };
            let rest = format!("{}{scenario}{flags}", quoted(token));
            vec![format!("hikyaku replay {rest}"), format!("hikyaku explain {rest}"), format!("hikyaku shrink {rest}")]
        }
        None => vec![format!("hikyaku run {} --seed {seed}{flags}", quoted(path))],
    }
}

/// As one word of a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_a_shell() {
        let commands =
            of_run("my sims/a.toml", Some("a:x=it's:1:s1:00"), 1, &["service.a.rate=5/s".into()], &["P11".into()]);
        assert_eq!(
            commands[0],
            r"hikyaku replay 'a:x=it'\''s:1:s1:00' --scenario 'my sims/a.toml' --set service.a.rate=5/s --without-guard P11"
        );
        assert_eq!(of_run("scenarios/a.toml", Some("a::1:s1:00"), 1, &[], &[])[2], "hikyaku shrink a::1:s1:00");
    }
}

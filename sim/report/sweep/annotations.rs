//! Annotations of GitHub Actions. It shows ten of a step at most, so the most telling nine are written, and how many more
//! there are.

use super::{commands, place};
use crate::checks::sweep::SweepVerdict;

const SHOWN: usize = 9;

pub fn render(sweep: &SweepVerdict) -> String {
    let mut lines: Vec<String> = Vec::new();
    for differing in &sweep.self_check.differing {
        let title = format!("not deterministic: seed {}", differing.seed.0);
        lines.push(line(&differing.path, &title, &format!("{} then {}", differing.digests.0, differing.digests.1)));
    }
    let mut groups: Vec<_> = sweep.failures.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.runs));
    for group in groups {
        let title = format!("{}: {}", place(&group.scenario, &group.cells.join(", ")), group.failure);
        let text = format!(
            "{} runs; seed {}: {}\n{}",
            group.runs,
            group.example.seed.0,
            group.example.reason,
            commands::of_group(sweep, group).join("\n")
        );
        lines.push(line(&group.path, &title, &text));
    }
    for scenario in &sweep.scenarios {
        for cell in scenario.cells.iter().filter(|cell| cell.failed == 0) {
            match super::verdict_of(cell) {
                None | Some(crate::checks::Verdict::Holds) => {}
                Some(verdict) => {
                    let title = format!("{}: {}", place(&scenario.name, &cell.id), crate::checks::word(&verdict));
                    lines.push(line(&scenario.path, &title, &super::reason_of(cell)));
                }
            }
        }
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if 0 < more {
        lines.push(format!("::error title=hikyaku sweep::and {more} more; see the summary of the job"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// One workflow command, with its own escapes.
fn line(path: &str, title: &str, text: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!("::error file={},title={}::{}", property(path), property(title), data(text))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_github_reads_as_syntax_is_escaped() {
        let line = super::line("a,b.toml", "x: 5%", "one\ntwo: 1%");
        assert_eq!(line, "::error file=a%2Cb.toml,title=x%3A 5%25::one%0Atwo: 1%25");
    }
}

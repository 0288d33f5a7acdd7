//! The report of a scenario as Markdown, for a pull request: what the page says, without its pictures.

use super::answer::{Report, answer, evidence, not_covered, reasons, results};
use super::blame::promise;
use super::table::{Align, Table};
use super::{baseline, numbers};
use crate::checks::word;

/// Rows of a table; the page has all of them. GitHub folds long comments and cuts them at 65,536 characters.
const ROWS: usize = 60;
const SENTENCES: usize = 8;

pub fn render(report: &Report) -> String {
    let verdict = word(&report.verdict).to_uppercase();
    let mut text = format!("## {verdict}: {}\n\n", in_text(report.scenario));
    text += &format!("> {}\n\n**{}**\n\n{}\n", in_text(report.about), in_text(&answer(report)), evidence(report));
    let others: Vec<String> = reasons(report).into_iter().skip(1).collect();
    if !others.is_empty() {
        text += "\n";
    }
    for reason in others.iter().take(SENTENCES) {
        text += &format!("- {}\n", in_text(reason));
    }
    if SENTENCES < others.len() {
        text += &format!("- and {} more in `index.html`\n", others.len() - SENTENCES);
    }
    if let Some(comparison) = report.baseline {
        text += &format!("\n### Against the baseline\n\n**{}.**\n\n", in_text(&baseline::sentence(comparison)));
        text += &rows(&baseline::table(comparison));
        for remark in baseline::remarks(comparison, SENTENCES) {
            text += &format!("- {}\n", in_text(&remark));
        }
    }
    text += "\n### Results\n\n";
    text += &rows(&results(report));
    if !report.stories.is_empty() {
        text += "\n### Whose promise broke\n\n";
    }
    for story in report.stories.iter().take(SENTENCES) {
        let Some(found) = story.evidence.first() else { continue };
        let promise = found.blame.as_ref().map_or(String::new(), |blame| format!(" ({})", promise(blame.boundary)));
        text += &format!("- {}: {}{promise}\n", in_text(&story.place()), in_text(&found.message));
    }
    text += "\n### Not covered\n\n";
    for gap in not_covered(report).iter().take(3 * SENTENCES) {
        text += &format!("- {}\n", in_text(gap));
    }
    text += "\n### Again\n\n```sh\n";
    for (_, command) in report.commands {
        text += &format!("{}\n", command.replace(['`', '\n', '\r'], " "));
    }
    text += "```\n";
    text += &format!("\nhikyaku {}, digest {:032x} (first run)\n", env!("CARGO_PKG_VERSION"), report.digest);
    text
}

/// As many rows as a comment holds; columns in which nothing stands are left out.
fn rows(table: &Table) -> String {
    let mut text = String::new();
    if table.rows().is_empty() {
        return text;
    }
    let shown: Vec<usize> = (0..table.columns().count())
        .filter(|column| table.rows().iter().any(|row| !row[*column].text().is_empty()))
        .collect();
    let columns: Vec<(&str, Align)> = table.columns().collect();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    text += &line(shown.iter().map(|column| columns[*column].0.to_string()).collect());
    let rule = |align: Align| if align == Align::Right { "---:" } else { "---" };
    text += &line(shown.iter().map(|column| rule(columns[*column].1).to_string()).collect());
    for row in table.rows().iter().take(ROWS) {
        text += &line(shown.iter().map(|column| in_table(row[*column].text())).collect());
    }
    if ROWS < table.rows().len() {
        text += &format!("\nand {} more rows in `index.html`.\n", numbers::count((table.rows().len() - ROWS) as u64));
    }
    text
}

/// Text from outside inside of a sentence: nothing in it is markup.
pub fn in_text(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => safe.extend(['\\', c]),
            '<' => safe += "&lt;",
            '&' => safe += "&amp;",
            '\n' | '\r' => safe.push(' '),
            _ => safe.push(c),
        }
    }
    safe
}

pub fn in_table(text: &str) -> String {
    in_text(text).replace('|', "\\|")
}

//! What `run` prints: the verdict first, why, the numbers, then how to see it again and where everything is.

use std::path::Path;

use crate::checks::baseline::Comparison;
use crate::checks::{Verdict, word as word_of};
use crate::report::results;
use crate::report::terminal::{Tone, escaped, paint, wrapped};
use crate::report::{baseline, numbers};

use super::artefacts::{Written, nondeterminism};
use super::study::Study;

const WIDTH: usize = 110;
/// Reasons shown; the rest is in verdict.json.
const REASONS: usize = 3;

/// `out`: the folder of everything that was written.
pub fn print(study: &Study, written: &Written, out: &Path) {
    out!("{}", render(study, written, out));
}

fn render(study: &Study, written: &Written, out: &Path) -> String {
    let family = study.family;
    let mut text = String::new();
    let seeds = study.seeds.end - study.seeds.start;
    let size = match family.cells.len() {
        1 => numbers::counted(seeds, "seed"),
        cells => format!("{} × {}", numbers::counted(cells as u64, "cell"), numbers::counted(seeds, "seed")),
    };
    let heading = paint(Tone::Strong, &escaped(&family.name));
    text += &format!("{}  {heading}  {}\n", word(study.verdict), paint(Tone::Muted, &size));
    text += &paragraph(&family.about);
    for reason in reasons(study) {
        text += &paragraph(&reason);
    }
    if let Some(found) = &written.nondeterministic {
        text += &paragraph(&nondeterminism(found));
    }
    for figure in written.figures.iter().take(1) {
        text += &paragraph(&figure.title);
    }
    for example in examples(study) {
        text += &paragraph(&format!("for example {example}"));
    }
    text += "\n";
    text += &results::table(&study.cells()).render(2);
    if let Some(comparison) = &written.comparison {
        text += &against(comparison);
    }
    text += &footer(study, written, out);
    text
}

pub fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Holds => paint(Tone::Holds, "HOLDS"),
        Verdict::Violated => paint(Tone::Violated, "VIOLATED"),
        Verdict::Unknown => paint(Tone::Unknown, "UNKNOWN"),
        Verdict::Vacuous => paint(Tone::Vacuous, "VACUOUS"),
    }
}

fn paragraph(sentence: &str) -> String {
    wrapped(&escaped(sentence), WIDTH).iter().map(|line| format!("  {line}\n")).collect()
}

/// Rows of a comparison; the page has all of them.
const CHANGES: usize = 12;

fn against(comparison: &Comparison) -> String {
    let mut text = format!("\n  {}\n", paint(Tone::Strong, "against the baseline"));
    text += &paragraph(&baseline::sentence(comparison));
    let table = baseline::table(comparison);
    let more = table.rows().len().saturating_sub(CHANGES);
    if !table.rows().is_empty() {
        text += &table.first(CHANGES).render(2);
    }
    if 0 < more {
        text += &paragraph(&format!("… and {} more in index.html", numbers::count(more as u64)));
    }
    for remark in baseline::remarks(comparison, 1) {
        text += &paragraph(&remark);
    }
    text
}

/// The most telling reasons, with their cell when there are several.
fn reasons(study: &Study) -> Vec<String> {
    let worst = study.verdicts.iter().filter(|cell| cell.verdict == study.verdict && cell.verdict != Verdict::Holds);
    let named = worst.flat_map(|cell| {
        cell.reasons.iter().map(move |reason| match cell.cell.as_str() {
            "" => reason.clone(),
            id => format!("[{id}] {reason}"),
        })
    });
    let mut named: Vec<String> = named.collect();
    let left_out: u64 = study.verdicts.iter().map(|cell| cell.reasons_left_out).sum();
    let more = named.len().saturating_sub(REASONS) as u64 + left_out;
    named.truncate(REASONS);
    if 0 < more {
        named.push(format!("… and {more} more; verdict.json has all runs"));
    }
    named
}

/// How many stories of single events stand on the screen.
const EXAMPLES: usize = 2;

/// What happened to single events, with whose promise broke; the rest of their stories is in verdict.json.
fn examples(study: &Study) -> Vec<String> {
    let expectations = study.verdicts.iter().flat_map(|cell| &cell.expectations);
    let blamed = expectations.filter_map(|one| one.example.as_ref().filter(|example| example.blame.is_some()));
    let mut told: Vec<String> = Vec::new();
    for example in blamed {
        let boundary = example.blame.as_ref().map(|blame| word_of(&blame.boundary)).unwrap_or_default();
        let sentence = format!("{} (promise of: {boundary})", example.message);
        if told.len() < EXAMPLES && !told.contains(&sentence) {
            told.push(sentence);
        }
    }
    told
}

fn footer(study: &Study, written: &Written, out: &Path) -> String {
    let mut text = String::from("\n");
    if let Some(run) = study.most_telling().or(study.runs.first()) {
        for (what, command) in study.commands(run) {
            text += &format!("  {}  {}\n", paint(Tone::Muted, &format!("{what:<6}")), escaped(&command));
        }
    }
    let digest = study.runs.first().map_or(0, |run| run.report.digest);
    text += &format!("  {}  {:032x} (first run)\n", paint(Tone::Muted, "digest"), digest);
    let files = written.figures.iter().map(|figure| figure.stem).collect::<Vec<_>>();
    for path in written.paths.iter().take(REASONS) {
        text += &format!(
            "  {}  {}/history.jsonl .csv plan.toml\n",
            paint(Tone::Muted, "story "),
            escaped(&path.display().to_string())
        );
    }
    if let (histories @ 1.., events) = written.left {
        let (what, them) = if histories == 1 { ("history", "it") } else { ("histories", "them") };
        text += &format!(
            "  {}  {histories} more {what} ({} events): --all-histories writes {them}, --set AXIS=VALUE --seed N only one\n",
            paint(Tone::Muted, "left  "),
            numbers::count(events)
        );
    }
    let folder = escaped(&out.display().to_string());
    for stem in files {
        text += &format!("  {}  {folder}/{stem}.svg .png .csv\n", paint(Tone::Muted, "chart "));
    }
    text += &format!("  {}  {folder}/index.html report.md\n", paint(Tone::Muted, "report"));
    text += &format!("  {}  {folder}/verdict.json\n", paint(Tone::Muted, "all   "));
    text
}

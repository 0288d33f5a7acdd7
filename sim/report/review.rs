//! A design review as text: the same points on a terminal, as Markdown and (in `html/review.rs`) as a page.
//!
//! The one idea: the answer first, then what was seen, then the one change and its proof, then the command that shows it again.

use super::markdown::{in_table, in_text};
use super::numbers::counted;
use super::terminal::{Tone, escaped, paint, wrapped};

const WIDTH: usize = 110;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Yes,
    No,
    DoesNotApply,
}

impl Mark {
    pub fn word(self) -> &'static str {
        match self {
            Mark::Yes => "yes",
            Mark::No => "no",
            Mark::DoesNotApply => "does not apply",
        }
    }

    pub fn tone(self) -> Tone {
        match self {
            Mark::Yes => Tone::Holds,
            Mark::No => Tone::Violated,
            Mark::DoesNotApply => Tone::Muted,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Mark::Yes => "✓",
            Mark::No => "✗",
            Mark::DoesNotApply => "–",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Point {
    pub id: String,
    pub claim: String,
    pub mark: Mark,
    pub evidence: String,
    /// What makes it a yes, with the proof.
    pub change: Option<(String, String)>,
    /// For a no without a change: what was tried.
    pub tried: Vec<String>,
    /// Commands that show what was seen.
    pub replay: Vec<String>,
}

/// One thing that was done to the system.
#[derive(Clone, Debug)]
pub struct ProbeRow {
    pub name: String,
    pub sentence: String,
    pub runs: u64,
    /// Runs in which a fault fired.
    pub struck: u64,
    /// What the places did not allow; empty is well.
    pub harms: Vec<String>,
    pub replay: String,
}

#[derive(Clone, Debug)]
pub struct Review {
    pub scenario: String,
    pub about: String,
    pub points: Vec<Point>,
    pub probes: Vec<ProbeRow>,
    pub command: String,
}

impl Review {
    pub fn count(&self, mark: Mark) -> u64 {
        self.points.iter().filter(|point| point.mark == mark).count() as u64
    }

    /// The message in one sentence.
    pub fn answer(&self) -> String {
        let noes: Vec<&str> =
            self.points.iter().filter(|point| point.mark == Mark::No).map(|point| point.id.as_str()).collect();
        let curable = self.points.iter().filter(|point| point.change.is_some()).count() as u64;
        match noes.len() {
            0 => format!("every point that applies is a yes ({} of {})", self.count(Mark::Yes), self.points.len()),
            count => format!(
                "{} of {} {}: {}; for {} one change was shown to help",
                count,
                counted(self.points.len() as u64, "point"),
                if count == 1 { "is a no" } else { "are a no" },
                noes.join(", "),
                match (curable, count as u64) {
                    (all, of) if all == of => "each".to_string(),
                    (some, _) => some.to_string(),
                }
            ),
        }
    }
}

pub fn terminal(review: &Review) -> String {
    let word = match review.count(Mark::No) {
        0 => paint(Tone::Holds, "REVIEWED"),
        _ => paint(Tone::Violated, "REVIEWED"),
    };
    let counts = format!(
        "{} yes · {} no · {} do not apply",
        review.count(Mark::Yes),
        review.count(Mark::No),
        review.count(Mark::DoesNotApply)
    );
    let mut text =
        format!("{word}  {}  {}\n", paint(Tone::Strong, &escaped(&review.scenario)), paint(Tone::Muted, &counts));
    let mut paragraph = |indent: usize, sentence: &str| {
        for line in wrapped(&escaped(sentence), WIDTH - indent) {
            text += &format!("{}{line}\n", " ".repeat(indent));
        }
    };
    paragraph(2, &review.answer());
    paragraph(0, "");
    for (number, point) in review.points.iter().enumerate() {
        let head = format!("{:>2} {}", number + 1, point.claim);
        let mark = paint(point.mark.tone(), point.mark.sign());
        let (tone, evidence) = match point.mark {
            Mark::DoesNotApply => (Tone::Muted, format!("does not apply: {}", point.evidence)),
            Mark::Yes | Mark::No => (Tone::Plain, point.evidence.clone()),
        };
        text +=
            &format!("  {mark} {}\n", paint(if tone == Tone::Muted { tone } else { Tone::Strong }, &escaped(&head)));
        for line in wrapped(&escaped(&evidence), WIDTH - 7) {
            text += &format!("       {}\n", paint(tone, &line));
        }
        match &point.change {
            Some((change, proof)) => {
                for (number, line) in wrapped(&escaped(change), WIDTH - 16).iter().enumerate() {
                    text += &format!("       {:<7}  {line}\n", if number == 0 { "change" } else { "" });
                }
                text += &format!("       {:<7}  {}\n", "proof", escaped(proof));
            }
            None if point.mark == Mark::No => {
                let what = match point.tried.len() {
                    0 => "none is known here".to_string(),
                    some => format!("none of {} that were tried helps", some),
                };
                text += &format!("       {:<7}  {what}\n", "change");
            }
            None => {}
        }
        for command in point.replay.iter().take(1) {
            text += &format!("       {}   {}\n", paint(Tone::Muted, "replay"), escaped(command));
        }
    }
    let struck = review.probes.iter().filter(|probe| 0 < probe.struck).count();
    text += &format!(
        "\n  {}  {} of what can happen, each in {}; {struck} of them struck\n",
        paint(Tone::Muted, "probes"),
        counted(review.probes.len() as u64, "kind"),
        counted(review.probes.first().map_or(0, |probe| probe.runs), "run"),
    );
    text += &format!("  {}   {}\n", paint(Tone::Muted, "again"), escaped(&review.command));
    text
}

pub fn markdown(review: &Review) -> String {
    let mut text = format!("## Design review: {}\n\n> {}\n\n", in_text(&review.scenario), in_text(&review.about));
    text +=
        &format!("**{}**\n\n| | point | answer | evidence |\n| ---: | --- | --- | --- |\n", in_text(&review.answer()));
    for (number, point) in review.points.iter().enumerate() {
        text += &format!(
            "| {} | {} | {} {} | {} |\n",
            number + 1,
            in_table(&point.claim),
            point.mark.sign(),
            point.mark.word(),
            in_table(&point.evidence)
        );
    }
    let noes = || review.points.iter().filter(|point| point.mark == Mark::No);
    if noes().next().is_some() {
        text += "\n### What would make it a yes\n\n";
    }
    for point in noes() {
        text += &match &point.change {
            Some((change, proof)) => format!("- {}: {} ({})\n", in_text(&point.id), in_text(change), in_text(proof)),
            None => format!("- {}: no single change that is known here\n", in_text(&point.id)),
        };
        for command in &point.replay {
            text += &format!("  - `{}`\n", command.replace(['`', '\n', '\r'], " "));
        }
    }
    text +=
        "\n### What was done to the system\n\n| probe | fault | struck | what broke |\n| --- | --- | ---: | --- |\n";
    for probe in &review.probes {
        let harms = if probe.harms.is_empty() { "nothing".to_string() } else { probe.harms.join("; ") };
        text += &format!(
            "| {} | {} | {} of {} | {} |\n",
            in_table(&probe.name),
            in_table(&probe.sentence),
            probe.struck,
            probe.runs,
            in_table(&harms)
        );
    }
    text += &format!("\n### Again\n\n```sh\n{}\n```\n", review.command.replace(['`', '\n', '\r'], " "));
    text
}

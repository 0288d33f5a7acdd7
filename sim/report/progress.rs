//! How far a sweep is: a bar on a terminal, otherwise a plain line every half minute, so that the log of a CI job shows life
//! without growing. Written to standard error; standard output belongs to the verdict.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::numbers;

/// Seconds between two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

/// Progress of a known number of equal pieces.
pub struct Progress {
    bar: ProgressBar,
    noun: String,
    /// When the next plain line is due; `None` on a terminal.
    plain_due: Option<Duration>,
}

impl Progress {
    /// `noun` is singular: "seed".
    pub fn new(total: u64, noun: &str) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {msg} · {per_sec} · {eta} left")
            .expect("the template is valid")
            .progress_chars("━╸─");
        bar.set_style(style);
        Progress { bar, noun: noun.to_string(), plain_due: (!terminal).then_some(PLAIN_INTERVAL) }
    }

    /// So many pieces more are done; `state` is a word on how it goes ("2 violated").
    pub fn advance(&mut self, pieces: u64, state: &str) {
        self.bar.set_message(format!("{}s{}{state}", self.noun, if state.is_empty() { "" } else { ", " }));
        self.bar.inc(pieces);
        let elapsed = self.bar.elapsed();
        if self.plain_due.is_some_and(|due| elapsed >= due) {
            eprintln!(
                "{}",
                plain_line(self.bar.position(), self.bar.length().unwrap_or(0), &self.noun, state, elapsed)
            );
            self.plain_due = Some(elapsed + PLAIN_INTERVAL);
        }
    }

    /// Prints a line above the bar without tearing it.
    pub fn note(&self, line: &str) {
        match self.plain_due {
            Some(_) => eprintln!("{line}"),
            None => self.bar.println(line),
        }
    }

    /// Removes the bar: the summary is the last thing on the screen.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn plain_line(done: u64, total: u64, noun: &str, state: &str, elapsed: Duration) -> String {
    let state = if state.is_empty() { String::new() } else { format!(", {state}") };
    let after = numbers::seconds(elapsed.as_secs_f64());
    format!("{} of {} after {after}{state}", numbers::count(done), numbers::counted(total, noun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_how_far_and_how_it_goes() {
        let line = plain_line(1_200, 10_000, "seed", "2 violated", Duration::from_secs(90));
        assert_eq!(line, "1,200 of 10,000 seeds after 90 s, 2 violated");
    }
}

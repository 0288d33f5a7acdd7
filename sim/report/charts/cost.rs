//! What a choice costs: one row for each choice of acknowledgement and commit, with how long a caller waits for its "ok", how much is
//! processed in a second, and what it loses or repeats when the fault of the scenario strikes. A safe choice that is as fast as an
//! unsafe one is as plain to see as one that is not.

use super::Figure;
use super::frame::subtitle;
use super::page::{HEIGHT, Lettering, MARGIN, Page, WIDTH, header_lines};
use super::palette::Token;
use super::sheet::Bounds;
use crate::report::numbers::{capitalised, count, counted, multiple, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct CostChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// In the order of the file.
    pub rows: Vec<CostRow>,
    /// Choices beyond those shown.
    pub left_out: u64,
    /// Run, configuration digest, seeds, version.
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CostRow {
    pub choice: String,
    /// Mean time until a caller has its "ok", seconds; nothing where nobody asked.
    pub answer: Option<f64>,
    /// Records that consumers finished in a second of load.
    pub throughput: Option<f64>,
    pub of: u64,
    pub lost: u64,
    pub repeated: u64,
}

/// What the choices are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Answer,
    Throughput,
}

impl Measure {
    /// As something of which less is better.
    fn cost(self, row: &CostRow) -> Option<f64> {
        match self {
            Measure::Answer => row.answer,
            Measure::Throughput => row.throughput.filter(|rate| 0.0 < *rate).map(|rate| 1.0 / rate),
        }
        .filter(|cost| 0.0 < *cost)
    }
}

/// A difference smaller than this is none.
const TELLING: f64 = 1.05;
/// Room of the labels, of each column of bars, and between two columns.
const LABELS: f64 = 236.0;
const COLUMN: f64 = 232.0;
const GAP: f64 = 20.0;
/// Behind a bar, for its number.
const NUMBER: f64 = 74.0;

impl CostRow {
    fn is_exact(&self) -> bool {
        self.lost == 0 && self.repeated == 0
    }

    /// `loses 7 of 500`, or nothing.
    fn harm(&self) -> Option<String> {
        match (self.lost, self.repeated) {
            (0, 0) => None,
            (0, repeated) => Some(format!("repeats {} of {}", count(repeated), count(self.of))),
            (lost, _) => Some(format!("loses {} of {}", count(lost), count(self.of))),
        }
    }

    fn face(&self) -> (String, Token) {
        match (self.lost, self.repeated) {
            (0, 0) => ("✓ exact".into(), Token::Category3),
            (0, repeated) => (format!("● {} again", count(repeated)), Token::Muted),
            (lost, 0) => (format!("✗ {} lost", count(lost)), Token::HeadroomNone),
            (lost, repeated) => (format!("✗ {} lost, {} again", count(lost), count(repeated)), Token::HeadroomNone),
        }
    }
}

impl CostChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("cost", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let shown = match self.left_out {
            0 => String::new(),
            left => format!(", {} left out", counted(left, "choice")),
        };
        let plotted =
            format!("What each choice costs while nothing and while something goes wrong{shown}. Means over seeds");
        let subtitle = subtitle(&self.subject, &plotted);
        let (_, header) = header_lines(&title(self), &subtitle);
        let top = header + 14.0;
        const HEADING: f64 = 26.0;
        let rest = top + HEADING + MARGIN + 30.0;
        let row = ((HEIGHT - rest) / self.rows.len().max(1) as f64).clamp(26.0, 46.0);
        let page = Page::new(rest + row * self.rows.len() as f64);
        page.header(&title(self), &subtitle);
        let left = MARGIN + LABELS + GAP;
        let second = left + COLUMN + GAP;
        let third = second + COLUMN + GAP;
        for (x, heading) in
            [(left, "until the caller has its “ok”"), (second, "processed in a second"), (third, "under the fault")]
        {
            let room = if x == third { WIDTH - MARGIN - third } else { COLUMN };
            page.text((x, top + 8.0), &Lettering::NOTE.fitted(heading, room), Lettering::NOTE);
        }
        let most = |of: fn(&CostRow) -> Option<f64>| self.rows.iter().filter_map(of).fold(0.0, f64::max);
        let (slowest, fastest) = (most(|row| row.answer), most(|row| row.throughput));
        for (index, outcome) in self.rows.iter().enumerate() {
            let (y, height) = (top + HEADING + index as f64 * row, row - 6.0);
            let middle = y + height / 2.0;
            page.text((MARGIN, middle), &Lettering::LABEL.fitted(&outcome.choice, LABELS), Lettering::LABEL);
            let bar = |x: f64, value: Option<f64>, most: f64, text: String, token: Token| {
                let share = value.filter(|_| 0.0 < most).map_or(0.0, |value| value / most);
                let end = x + (share * (COLUMN - NUMBER)).max(1.5);
                page.rectangle(Bounds { left: x, right: end, top: y + 3.0, bottom: y + height - 3.0 }, token, 100);
                page.text(
                    (end + 6.0, middle),
                    &Lettering::NOTE.fitted(&text, NUMBER - 6.0),
                    Lettering::NOTE.token(Token::Ink),
                );
            };
            let answer = outcome.answer.map_or("–".into(), seconds);
            bar(left, outcome.answer, slowest, answer, Token::Category1);
            let rate = outcome.throughput.map_or("–".into(), |rate| format!("{}/s", rounded(rate)));
            bar(second, outcome.throughput, fastest, rate, Token::HeadroomFair);
            let (face, token) = outcome.face();
            let room = WIDTH - MARGIN - third;
            let lettering = Lettering::LABEL.token(token).shrunk(&face, room);
            page.text((third, middle), &lettering.fitted(&face, room), lettering);
        }
        page.footer(&self.footer);
        page
    }

    /// The measure in which the choices differ most, with the dearest and the cheapest, and how many times the one costs the other.
    fn telling(&self) -> Option<(Measure, &CostRow, &CostRow, f64)> {
        let of_measure = |measure: Measure| {
            let known = || self.rows.iter().filter_map(move |row| Some((measure.cost(row)?, row)));
            let (high, dearest) = known().max_by(|one, other| one.0.total_cmp(&other.0))?;
            // Of equally cheap ones the one that does the least harm.
            let (low, cheapest) = known().min_by(|one, other| {
                one.0.total_cmp(&other.0).then((one.1.lost, one.1.repeated).cmp(&(other.1.lost, other.1.repeated)))
            })?;
            Some((measure, dearest, cheapest, high / low))
        };
        let (answer, throughput) = (of_measure(Measure::Answer), of_measure(Measure::Throughput));
        [answer, throughput].into_iter().flatten().reduce(|one, other| if one.3 < other.3 { other } else { one })
    }
}

fn rounded(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count((rate + 0.5) as u64) }
}

/// The message: what the dearest choice costs more than the cheapest, and what that one pays for it.
pub fn title(chart: &CostChart) -> String {
    let Some((measure, dearest, cheapest, times)) = chart.telling() else {
        return "Nothing was measured of any choice".to_string();
    };
    if times < TELLING {
        let exact = chart.rows.iter().find(|row| row.is_exact());
        return match (exact, chart.rows.iter().find(|row| !row.is_exact())) {
            (Some(exact), Some(_)) => capitalised(&format!("{} costs nothing, and is exact", exact.choice)),
            _ => "All choices cost the same".to_string(),
        };
    }
    let times = multiple(times);
    let paid = match (cheapest.harm(), dearest.is_exact()) {
        (None, true) => "and both are exact".to_string(),
        (None, false) => "and is exact besides".to_string(),
        (Some(harm), true) => format!("but {harm}"),
        (Some(harm), false) => format!("and {harm}"),
    };
    capitalised(&match measure {
        Measure::Answer => format!("{} answers {times} as fast as {}, {paid}", cheapest.choice, dearest.choice),
        Measure::Throughput => format!("{} processes {times} as much as {}, {paid}", cheapest.choice, dearest.choice),
    })
}

/// Each choice as a sentence.
pub fn description(chart: &CostChart) -> String {
    let of_row = |row: &CostRow| {
        let answer = row.answer.map(|answer| format!("an ok after {} on average", seconds(answer)));
        let rate = row.throughput.map(|rate| format!("{} processed in a second", rounded(rate)));
        let harm = row.harm().unwrap_or_else(|| format!("all {} exact", count(row.of)));
        let parts: Vec<String> = answer.into_iter().chain(rate).chain([harm]).collect();
        format!("{}: {}.", row.choice, parts.join(", "))
    };
    chart.rows.iter().map(of_row).collect::<Vec<_>>().join(" ")
}

fn table(chart: &CostChart) -> String {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let rows = chart.rows.iter().map(|row| {
        vec![
            row.choice.clone(),
            number(row.answer),
            number(row.throughput),
            row.of.to_string(),
            row.lost.to_string(),
            row.repeated.to_string(),
        ]
    });
    super::csv(&["choice", "answer_mean_seconds", "processed_per_second", "of", "lost", "repeated"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(choice: &str, answer: f64, throughput: f64, lost: u64, repeated: u64) -> CostRow {
        CostRow { choice: choice.into(), answer: Some(answer), throughput: Some(throughput), of: 500, lost, repeated }
    }

    fn chart(rows: Vec<CostRow>) -> CostChart {
        CostChart {
            subject: "What does an acknowledgement cost?".into(),
            rows,
            left_out: 0,
            footer: "run · seeds 0–9".into(),
        }
    }

    #[test]
    fn the_title_names_what_differs_most_and_what_it_is_paid_with() {
        let acks = vec![row("acks 1", 0.002, 99.0, 7, 0), row("acks all", 0.006, 98.0, 0, 0)];
        assert_eq!(title(&chart(acks.clone())), "Acks 1 answers 3.0× as fast as acks all, but loses 7 of 500");
        let commits = vec![row("sync", 0.002, 40.0, 0, 2), row("async", 0.002, 160.0, 0, 50)];
        assert_eq!(title(&chart(commits)), "Async processes 4.0× as much as sync, and repeats 50 of 500");
        let free = vec![row("acks 1", 0.002, 99.0, 7, 0), row("acks all", 0.002, 99.0, 0, 0)];
        assert_eq!(title(&chart(free)), "Acks all costs nothing, and is exact");
        let exact = vec![row("one", 0.002, 99.0, 0, 0), row("three", 0.004, 99.0, 0, 0)];
        assert_eq!(title(&chart(exact)), "One answers 2.0× as fast as three, and both are exact");
        assert_eq!(title(&chart(Vec::new())), "Nothing was measured of any choice");
        let figure = chart(acks).draw();
        assert_eq!(figure.blemishes, Vec::<String>::new());
        assert!(figure.csv.starts_with("choice,answer_mean_seconds,") && figure.csv.lines().count() == 3);
        assert!(
            figure.description.starts_with("acks 1: an ok after 2 ms on average, 99 processed in a second, loses 7")
        );
    }

    #[test]
    fn long_names_large_counts_and_many_rows_stay_on_the_paper() {
        let long = "a-choice-whose-name-nobody-wanted-to-shorten-in-sixty-signs!";
        let mut worst = row(long, 3_599.0, 123_456.7, 999_999, 999_999);
        worst.of = 999_999;
        let unmeasured = CostRow { answer: None, throughput: None, ..worst.clone() };
        let mut all =
            chart((0..40).map(|number| if number % 3 == 0 { unmeasured.clone() } else { worst.clone() }).collect());
        (all.subject, all.left_out, all.footer) = (long.repeat(3), 123_456, long.repeat(4));
        assert_eq!(all.draw().blemishes, Vec::<String>::new());
        assert_eq!(chart(vec![unmeasured]).draw().blemishes, Vec::<String>::new());
        assert_eq!(chart(Vec::new()).draw().blemishes, Vec::<String>::new());
    }
}

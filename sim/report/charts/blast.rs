//! The blast radius of one outage: one row for each design and outage, one column for each duty, and in each cell what the outage did to
//! it: nothing, late by how much, done again, or not done. Glyph, word and colour say the same.

use super::Figure;
use super::frame::subtitle;
use super::page::{HEIGHT, Lettering, MARGIN, Page, WIDTH, header_lines};
use super::palette::Token;
use super::sheet::{Align, Bounds};
use crate::report::numbers::{capitalised, count, seconds};

#[derive(Clone, Debug, PartialEq)]
pub struct BlastChart {
    /// What was studied. May be empty.
    pub subject: String,
    /// Duties: the places where their effects land.
    pub columns: Vec<String>,
    /// Rows of one design stand together.
    pub rows: Vec<BlastRow>,
    /// Run, configuration digest, seeds, version.
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BlastRow {
    pub design: String,
    pub outage: String,
    /// One for each column.
    pub cells: Vec<BlastCell>,
}

/// What became of one duty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlastCell {
    pub of: u64,
    pub lost: u64,
    pub repeated: u64,
    /// From arrival to effect: of 95 in 100.
    pub delay: f64,
    /// The least of all rows: what it takes when nothing is out.
    pub usual: f64,
}

/// A duty is late when it takes a second, and ten times what it usually does.
const LATE: f64 = 1.0;
const TIMES: f64 = 10.0;

impl BlastCell {
    fn is_late(self) -> bool {
        LATE < self.delay && self.usual * TIMES < self.delay
    }

    pub fn is_hit(self) -> bool {
        0 < self.lost || 0 < self.repeated || self.is_late()
    }

    fn face(self) -> (String, String, (Token, Token)) {
        let late = || format!("p95 {}", seconds(self.delay));
        match (self.lost, self.repeated, self.is_late()) {
            (0, 0, false) => ("✓ as ever".to_string(), late(), (Token::CellExact, Token::OnPaleCell)),
            (0, 0, true) => ("● late".to_string(), late(), (Token::CellRepeated, Token::OnPaleCell)),
            (0, repeated, is_late) => {
                let late = if is_late { format!(", {}", late()) } else { String::new() };
                let detail = format!("of {}{late}", count(self.of));
                (format!("● {} again", count(repeated)), detail, (Token::CellRepeated, Token::OnPaleCell))
            }
            (lost, ..) => {
                let detail = format!("of {}", count(self.of));
                (format!("✗ {} lost", count(lost)), detail, (Token::CellLost, Token::OnDarkCell))
            }
        }
    }
}

impl BlastChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("blast-radius", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let plotted =
            "Rows: design and outage; columns: duties. Late: more than a second, and ten times as long as usual";
        let subtitle = subtitle(&self.subject, plotted);
        let (_, header) = header_lines(&title(self), &subtitle);
        let top = header + 12.0;
        const HEADING: f64 = 28.0;
        let rest = top + HEADING + MARGIN + 30.0;
        let row = ((HEIGHT - rest) / self.rows.len().max(1) as f64).clamp(40.0, 60.0);
        let page = Page::new(rest + row * self.rows.len() as f64);
        page.header(&title(self), &subtitle);
        let labels = 230.0;
        let left = MARGIN + labels + 14.0;
        let column = (WIDTH - MARGIN - left) / self.columns.len().max(1) as f64;
        for (index, name) in self.columns.iter().enumerate() {
            let middle = left + (index as f64 + 0.5) * column - 2.0;
            let name = Lettering::LABEL.fitted(name, column - 8.0);
            page.text((middle, top + 8.0), &name, Lettering::LABEL.align(Align::Centre));
        }
        for (index, outcome) in self.rows.iter().enumerate() {
            let y = top + HEADING + index as f64 * row;
            let label = Lettering::LABEL.fitted(&outcome.design, labels);
            page.text((MARGIN, y + row / 2.0 - 10.0), &label, Lettering::LABEL);
            let outage = Lettering::NOTE.fitted(&outcome.outage, labels);
            page.text((MARGIN, y + row / 2.0 + 7.0), &outage, Lettering::NOTE);
            for (place, cell) in outcome.cells.iter().enumerate() {
                let x = left + place as f64 * column;
                let bounds = Bounds { left: x, right: x + column - 4.0, top: y, bottom: y + row - 4.0 };
                draw_cell(&page, bounds, *cell);
            }
        }
        page.footer(&self.footer);
        page
    }

    /// The outage that tells the designs apart most: its rows, the widest radius first.
    fn telling(&self) -> Option<Vec<&BlastRow>> {
        let mut outages: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !outages.contains(&row.outage.as_str()) {
                outages.push(&row.outage);
            }
        }
        let of_outage = |outage: &str| {
            let mut rows: Vec<&BlastRow> = self.rows.iter().filter(|row| row.outage == outage).collect();
            rows.sort_by_key(|row| std::cmp::Reverse(hit(row)));
            rows
        };
        let spread =
            |rows: &[&BlastRow]| rows.first().map_or(0, |row| hit(row)) - rows.last().map_or(0, |row| hit(row));
        let all = outages.iter().map(|outage| of_outage(outage));
        all.reduce(|best, next| if spread(&best) < spread(&next) { next } else { best })
    }
}

fn hit(row: &BlastRow) -> usize {
    row.cells.iter().filter(|cell| cell.is_hit()).count()
}

fn draw_cell(page: &Page, bounds: Bounds, cell: BlastCell) {
    let (word, detail, (fill, text)) = cell.face();
    page.rectangle(bounds, fill, 100);
    let (middle, room) = ((bounds.left + bounds.right) / 2.0, bounds.right - bounds.left - 8.0);
    let y = (bounds.top + bounds.bottom) / 2.0;
    for (line, lettering, at) in [(word, Lettering::LABEL, y - 8.5), (detail, Lettering::NOTE, y + 8.5)] {
        let lettering = lettering.token(text).shrunk(&line, room).align(Align::Centre);
        page.text((middle, at), &lettering.fitted(&line, room), lettering);
    }
}

/// The message: of so many duties, how many one outage hits in each design.
pub fn title(chart: &BlastChart) -> String {
    let rows = chart.telling().unwrap_or_default();
    let (Some(widest), Some(narrowest)) = (rows.first(), rows.last()) else {
        return "Nothing was run".to_string();
    };
    let of = chart.columns.len();
    let said = |row: &BlastRow| format!("{} of {of} duties when they are {}", hit(row), row.design);
    match hit(widest) == hit(narrowest) {
        true => capitalised(&format!("{}: {} of {of} duties are hit in every design", widest.outage, hit(widest))),
        false => capitalised(&format!("{} hits {}, {}", widest.outage, said(widest), said(narrowest))),
    }
}

/// Each cell as a sentence.
pub fn description(chart: &BlastChart) -> String {
    let mut sentences = Vec::new();
    for row in &chart.rows {
        for (duty, cell) in chart.columns.iter().zip(&row.cells) {
            let (word, detail, _) = cell.face();
            sentences.push(format!("{}, {}: {duty} {}, {detail}.", row.design, row.outage, &word[word.len().min(4)..]));
        }
    }
    sentences.join(" ")
}

fn table(chart: &BlastChart) -> String {
    let rows = chart.rows.iter().flat_map(|row| {
        chart.columns.iter().zip(&row.cells).map(|(duty, cell)| {
            vec![
                row.design.clone(),
                row.outage.clone(),
                duty.clone(),
                cell.of.to_string(),
                cell.lost.to_string(),
                cell.repeated.to_string(),
                cell.delay.to_string(),
                cell.is_hit().to_string(),
            ]
        })
    });
    super::csv(&["design", "outage", "duty", "of", "lost", "repeated", "delay_p95_seconds", "hit"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(repeated: u64, lost: u64, delay: f64) -> BlastCell {
        BlastCell { of: 1_234_567, lost, repeated, delay, usual: 0.02 }
    }

    fn chart(rows: &[(&str, &str, [BlastCell; 3])]) -> BlastChart {
        let row = |(design, outage, cells): &(&str, &str, [BlastCell; 3])| BlastRow {
            design: design.to_string(),
            outage: outage.to_string(),
            cells: cells.to_vec(),
        };
        BlastChart {
            subject: "One consumer with many duties, or one for each?".into(),
            columns: vec!["db.reservations".into(), "bank".into(), "a-warehouse-with-a-name-that-nobody-reads".into()],
            rows: rows.iter().map(row).collect(),
            footer: "run · seeds 0–19".into(),
        }
    }

    #[test]
    fn a_duty_is_hit_when_it_is_late_done_again_or_not_done() {
        assert!(!cell(0, 0, 0.15).is_hit(), "under a second");
        assert!(!BlastCell { usual: 5.0, ..cell(0, 0, 20.0) }.is_hit(), "it always takes as long");
        assert!(cell(0, 0, 1.5).is_hit() && cell(1, 0, 0.02).is_hit() && cell(0, 1, 0.02).is_hit());
    }

    #[test]
    fn the_title_counts_the_duties_that_one_outage_hits_in_each_design() {
        let (well, late) = (cell(0, 0, 0.02), cell(0, 0, 18.0));
        let rows = [
            ("together", "mail-away", [late, cell(3, 0, 18.0), late]),
            ("together", "analytics-slow", [late, late, well]),
            ("apart", "mail-away", [well, well, late]),
            ("apart", "analytics-slow", [well, well, late]),
        ];
        let said = title(&chart(&rows));
        assert_eq!(said, "Mail-away hits 3 of 3 duties when they are together, 1 of 3 duties when they are apart");
        assert!(title(&chart(&rows[..1])).contains("are hit in every design"));
        let figure = chart(&rows).draw();
        assert_eq!(figure.blemishes, Vec::<String>::new());
        assert_eq!(figure.csv.lines().count(), 1 + 4 * 3);
        assert_eq!(title(&chart(&[])), "Nothing was run");
    }

    #[test]
    fn large_counts_and_many_rows_stay_on_the_paper() {
        let worst = cell(999_999, 0, 3_600.0);
        let lost = cell(5, 1_000_000, 3_600.0);
        let rows =
            vec![("a-design-with-a-name-that-is-too-long-for-its-column", "an outage", [worst, lost, worst]); 20];
        assert_eq!(chart(&rows).draw().blemishes, Vec::<String>::new());
    }
}

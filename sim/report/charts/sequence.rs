//! What happened to one event, as a message-sequence diagram: a lane for each process, a row for each thing told, time downwards.
//! Rows are as far apart as they need for reading, not as time is: the time stands beside each. What struck a process is a bar
//! across its lane in the colour of faults, with a word, so that it is seen without colour.

use super::Figure;
use super::page::{Lettering, MARGIN, Page, WIDTH, header_lines};
use super::palette::{FaultKind, Token};
use super::sheet::{Align, Bounds, Dash};

#[derive(Clone, Debug, PartialEq)]
pub struct SequenceChart {
    /// What became of the event, a sentence.
    pub title: String,
    /// Which run.
    pub subtitle: String,
    /// Processes, from left to right.
    pub lanes: Vec<String>,
    /// In order of time.
    pub rows: Vec<SequenceRow>,
    /// Lines that were left out in the middle, and the row before which they stood.
    pub left_out: Option<(usize, usize)>,
    /// Run, configuration digest, seeds, version.
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SequenceRow {
    /// As printed: `12.345 s`.
    pub time: String,
    pub label: String,
    pub mark: SequenceMark,
}

/// Lanes by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceMark {
    Arrow {
        from: usize,
        to: usize,
    },
    Point {
        lane: usize,
    },
    /// Something happened to the process; `down`: it does nothing from here until it is back.
    Strike {
        lane: usize,
        down: bool,
    },
    /// The process goes on.
    Back {
        lane: usize,
    },
    /// A copy of the event is gone.
    Gone {
        lane: usize,
    },
}

const ROW: f64 = 26.0;
const HEADING: f64 = 34.0;
const TIMES: f64 = 84.0;

impl SequenceChart {
    pub fn draw(&self) -> Figure {
        let (_, top) = header_lines(&self.title, &self.subtitle);
        let gap = if self.left_out.is_some() { ROW } else { 0.0 };
        let height = top + HEADING + self.rows.len() as f64 * ROW + gap + MARGIN + 34.0;
        let page = Page::new(libm::ceil(height.max(260.0)));
        page.header(&self.title, &self.subtitle);
        let bottom = top + HEADING + self.rows.len() as f64 * ROW + gap + 6.0;
        self.lanes(&page, top, bottom);
        self.times_down(&page, top + HEADING + ROW / 2.0, bottom);
        let mut y = top + HEADING + ROW / 2.0;
        for (number, row) in self.rows.iter().enumerate() {
            if let Some((before, count)) = self.left_out
                && before == number
            {
                let text = format!("… {count} lines left out; the whole story is in story.txt");
                page.text((MARGIN + TIMES, y), &text, Lettering::NOTE.halo());
                y += ROW;
            }
            page.text((MARGIN + TIMES - 14.0, y), &row.time, Lettering::NOTE.align(Align::Right));
            self.row(&page, row, y);
            y += ROW;
        }
        page.footer(&self.footer);
        page.finish("story", self.title.clone(), self.description(), self.table())
    }

    fn x(&self, lane: usize) -> f64 {
        let width = WIDTH - MARGIN - (MARGIN + TIMES);
        MARGIN + TIMES + width * (lane as f64 + 0.5) / self.lanes.len().max(1) as f64
    }

    fn lanes(&self, page: &Page, top: f64, bottom: f64) {
        let room = (WIDTH - 2.0 * MARGIN - TIMES) / self.lanes.len().max(1) as f64 - 8.0;
        for (lane, name) in self.lanes.iter().enumerate() {
            let x = self.x(lane);
            page.line(&[(x, top + HEADING - 8.0), (x, bottom)], Token::Grid, 2.0, Dash::Solid);
            let name = Lettering::LABEL.fitted(name, room);
            page.text((x, top + HEADING / 2.0 - 6.0), &name, Lettering::LABEL.align(Align::Centre));
        }
    }

    /// A lane is broken while its process does nothing.
    fn times_down(&self, page: &Page, first: f64, bottom: f64) {
        let mut y = first;
        let mut since: Vec<Option<f64>> = vec![None; self.lanes.len()];
        let down = |lane: usize, from: f64, to: f64| {
            let x = self.x(lane);
            page.line(&[(x, from), (x, to)], Token::Paper, 4.0, Dash::Solid);
            page.line(&[(x, from), (x, to)], Token::Fault(FaultKind::Crash), 2.0, Dash::Dotted);
        };
        for (number, row) in self.rows.iter().enumerate() {
            if self.left_out.is_some_and(|(before, _)| before == number) {
                y += ROW;
            }
            match row.mark {
                SequenceMark::Strike { lane, down: true } => since[lane] = since[lane].or(Some(y)),
                SequenceMark::Back { lane } => {
                    if let Some(from) = since[lane].take() {
                        down(lane, from, y);
                    }
                }
                _ => {}
            }
            y += ROW;
        }
        for (lane, from) in since.into_iter().enumerate() {
            if let Some(from) = from {
                down(lane, from, bottom);
            }
        }
    }

    fn row(&self, page: &Page, row: &SequenceRow, y: f64) {
        let fault = Token::Fault(FaultKind::Crash);
        match row.mark {
            SequenceMark::Arrow { from, to } if from != to => {
                let (start, end) = (self.x(from), self.x(to));
                let back = if start < end { -1.0 } else { 1.0 };
                let y = y + 6.0;
                page.line(&[(start, y), (end + back * 2.0, y)], Token::Category1, 1.5, Dash::Solid);
                page.area(&[(end, y), (end + back * 8.0, y - 4.0), (end + back * 8.0, y + 4.0)], Token::Category1, 100);
                self.label(page, ((start + end) / 2.0, y - 9.0), &row.label, Align::Centre, Token::Ink);
            }
            SequenceMark::Arrow { from: lane, .. } | SequenceMark::Point { lane } => {
                page.disc((self.x(lane), y), 4.0, Token::Category1);
                self.beside(page, lane, y, &row.label, Token::Ink);
            }
            SequenceMark::Strike { lane, .. } => {
                let x = self.x(lane);
                page.rectangle(Bounds { left: x - 9.0, right: x + 9.0, top: y - 5.0, bottom: y + 5.0 }, fault, 100);
                self.beside(page, lane, y, &row.label, fault);
            }
            SequenceMark::Back { lane } => {
                page.ring((self.x(lane), y), 4.0, fault);
                self.beside(page, lane, y, &row.label, Token::Ink);
            }
            SequenceMark::Gone { lane } => {
                let x = self.x(lane);
                for (from, to) in [((x - 5.0, y - 5.0), (x + 5.0, y + 5.0)), ((x - 5.0, y + 5.0), (x + 5.0, y - 5.0))] {
                    page.line(&[from, to], fault, 3.0, Dash::Solid);
                }
                self.beside(page, lane, y, &row.label, fault);
            }
        }
    }

    /// On the side with more room.
    fn beside(&self, page: &Page, lane: usize, y: f64, text: &str, token: Token) {
        let x = self.x(lane);
        let left_side = (WIDTH + TIMES) / 2.0 < x;
        let (at, align) = if left_side { (x - 14.0, Align::Right) } else { (x + 14.0, Align::Left) };
        self.label(page, (at, y), text, align, token);
    }

    fn label(&self, page: &Page, (x, y): (f64, f64), text: &str, align: Align, token: Token) {
        let lettering = Lettering::NOTE.token(token).halo();
        let (left, right) = (MARGIN + TIMES, WIDTH - MARGIN);
        let room = match align {
            Align::Left => right - x,
            Align::Right => x - left,
            Align::Centre => right - left,
        };
        let text = lettering.fitted(text, room);
        // A centred text near an edge moves inwards.
        let half = lettering.width(&text) * 1.06 / 2.0;
        let x = if align == Align::Centre { x.clamp(left + half, (right - half).max(left + half)) } else { x };
        page.text((x, y), &text, lettering.align(align));
    }

    fn description(&self) -> String {
        let told = self.rows.iter().map(|row| format!("{} {}: {}", row.time, self.lane_of(row), row.label));
        format!("Message-sequence diagram. {}.", told.collect::<Vec<_>>().join("; "))
    }

    fn lane_of(&self, row: &SequenceRow) -> String {
        let name = |lane: usize| self.lanes.get(lane).map_or("?", String::as_str);
        match row.mark {
            SequenceMark::Arrow { from, to } => format!("{} to {}", name(from), name(to)),
            SequenceMark::Point { lane }
            | SequenceMark::Strike { lane, .. }
            | SequenceMark::Back { lane }
            | SequenceMark::Gone { lane } => name(lane).to_string(),
        }
    }

    fn table(&self) -> String {
        let name = |lane: usize| self.lanes.get(lane).cloned().unwrap_or_default();
        let rows = self.rows.iter().map(|row| {
            let (kind, from, to) = match row.mark {
                SequenceMark::Arrow { from, to } => ("message", name(from), name(to)),
                SequenceMark::Point { lane } => ("step", name(lane), String::new()),
                SequenceMark::Strike { lane, .. } => ("fault", name(lane), String::new()),
                SequenceMark::Back { lane } => ("back", name(lane), String::new()),
                SequenceMark::Gone { lane } => ("gone", name(lane), String::new()),
            };
            vec![row.time.clone(), kind.to_string(), from, to, row.label.clone()]
        });
        super::csv(&["time", "kind", "process", "to", "what"], rows)
    }
}

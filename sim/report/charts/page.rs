//! A page of a chart in the house style: the takeaway as its title, what is plotted below it, a frame with a horizontal grid, labels at
//! the things themselves instead of a legend, and a footer that lets a pasted picture be traced. Places are given in pixels.

use std::cell::RefCell;
use std::rc::Rc;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, Drawable, PathElement, PointCollection, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBAColor, ShapeStyle, TextStyle};
use plotters_backend::{BackendColor, BackendCoord};

use super::axis::Axis;
use super::font::{self, Weight};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash, Ink, Mark, Pen, Place, Sheet, UNITS};
use super::{Figure, png, svg};

/// Size of a figure, unless its rows need more height.
pub const WIDTH: f64 = 960.0;
pub const HEIGHT: f64 = 560.0;
/// Free space around everything.
pub const MARGIN: f64 = 24.0;

/// A chart in data coordinates inside its page.
pub type Plot = ChartContext<'static, Pen, Cartesian2d<Axis, Axis>>;

/// How a text looks and which of its points is placed.
#[derive(Clone, Copy, Debug)]
pub struct Lettering {
    pub size: f64,
    pub weight: Weight,
    pub token: Token,
    pub align: Align,
    /// On top of lines: surrounded by paper.
    pub halo: bool,
    pub turned: bool,
}

impl Lettering {
    pub const TITLE: Lettering = Lettering::new(24.0, Weight::Bold, Token::Ink);
    pub const SUBTITLE: Lettering = Lettering::new(15.0, Weight::Regular, Token::Muted);
    pub const LABEL: Lettering = Lettering::new(13.0, Weight::Bold, Token::Ink);
    pub const NOTE: Lettering = Lettering::new(12.0, Weight::Regular, Token::Muted);
    pub const FOOTER: Lettering = Lettering::new(11.0, Weight::Regular, Token::Muted);

    const fn new(size: f64, weight: Weight, token: Token) -> Lettering {
        Lettering { size, weight, token, align: Align::Left, halo: false, turned: false }
    }

    pub const fn align(self, align: Align) -> Lettering {
        Lettering { align, ..self }
    }

    pub const fn token(self, token: Token) -> Lettering {
        Lettering { token, ..self }
    }

    pub const fn halo(self) -> Lettering {
        Lettering { halo: true, ..self }
    }

    pub const fn turned(self) -> Lettering {
        Lettering { turned: true, ..self }
    }

    pub fn width(&self, text: &str) -> f64 {
        font::width(text, self.size, self.weight)
    }

    /// Cut to a width, with 6 % left for a viewer that has to use another typeface.
    pub fn fitted(&self, text: &str, limit: f64) -> String {
        font::fitted(text, self.size, self.weight, limit / 1.06)
    }

    /// As [`Self::fitted`], but what stands behind the last slash stays: it tells the partitions of a topic apart.
    pub fn fitted_partition(&self, text: &str, limit: f64) -> String {
        match text.rfind('/').map(|slash| text.split_at(slash)) {
            Some((topic, number)) if limit < self.width(text) * 1.06 => {
                self.fitted(topic, limit - self.width(number) * 1.06) + number
            }
            Some(_) | None => self.fitted(text, limit),
        }
    }

    /// As large as fits, down to ten pixels.
    pub fn shrunk(self, text: &str, limit: f64) -> Lettering {
        let share = (limit / 1.06 / self.width(text)).min(1.0);
        Lettering { size: (self.size * share * UNITS).floor().max(10.0 * UNITS) / UNITS, ..self }
    }

    pub fn wrapped(&self, text: &str, limit: f64, lines: usize) -> Vec<String> {
        font::wrapped(text, self.size, self.weight, limit / 1.06, lines)
    }
}

pub struct Page {
    root: DrawingArea<Pen, Shift>,
    sheet: Rc<RefCell<Sheet>>,
    height: f64,
    /// Where no text may be put that can do without its place.
    reserved: RefCell<Vec<Bounds>>,
}

impl Page {
    pub fn new(height: f64) -> Page {
        let sheet = Rc::new(RefCell::new(Sheet::new(WIDTH as u32, height as u32)));
        let root = Pen(sheet.clone()).into_drawing_area();
        let page = Page { root, sheet, height, reserved: RefCell::default() };
        page.area(&[(0.0, 0.0), (WIDTH, 0.0), (WIDTH, height), (0.0, height)], Token::Paper, 100);
        page
    }

    /// Title and subtitle; returns where the rest may begin.
    pub fn header(&self, title: &str, subtitle: &str) -> f64 {
        let (lines, bottom) = header_lines(title, subtitle);
        for (y, line, lettering) in lines {
            self.text((MARGIN, y), &line, lettering);
        }
        bottom
    }

    pub fn footer(&self, text: &str) {
        let text = Lettering::FOOTER.fitted(text, WIDTH - 2.0 * MARGIN);
        self.text((MARGIN, self.height - MARGIN + 4.0), &text, Lettering::FOOTER);
    }

    /// A line of text whose capitals are centred on `y`; `x` is the side that its alignment names. Turned text has them the other
    /// way round.
    pub fn text(&self, (x, y): (f64, f64), text: &str, lettering: Lettering) {
        let style = match lettering.weight {
            Weight::Regular => FontStyle::Normal,
            Weight::Bold => FontStyle::Bold,
        };
        let font = FontDesc::new(FontFamily::Name(font::FAMILY), lettering.size * UNITS, style);
        let font = if lettering.turned { font.transform(FontTransform::Rotate270) } else { font };
        let h_pos = match lettering.align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let colour = lettering.token.colour();
        let color = BackendColor { alpha: 1.0, rgb: (colour.0, colour.1, colour.2) };
        self.sheet.borrow_mut().halo = lettering.halo;
        let style = TextStyle { font, color, pos: Pos { h_pos, v_pos: VPos::Center } };
        self.root.draw_text(text, &style, place((x, y))).expect(DRAWN);
    }

    pub fn line(&self, points: &[(f64, f64)], token: Token, width: f64, dash: Dash) {
        self.set_dash(dash);
        let points: Vec<Place> = points.iter().copied().map(place).collect();
        self.draw(&PathElement::new(points, pen(token, width)));
        self.set_dash(Dash::Solid);
    }

    pub fn area(&self, corners: &[(f64, f64)], token: Token, percent: u8) {
        let corners: Vec<Place> = corners.iter().copied().map(place).collect();
        self.draw(&Polygon::new(corners, ink(token, percent)));
    }

    pub fn rectangle(&self, bounds: Bounds, token: Token, percent: u8) {
        let corners = [place((bounds.left, bounds.top)), place((bounds.right, bounds.bottom))];
        self.draw(&Rectangle::new(corners, ink(token, percent)));
    }

    /// Keeps optional texts away from here.
    pub fn reserve(&self, bounds: Bounds) {
        self.reserved.borrow_mut().push(bounds);
    }

    pub fn disc(&self, (x, y): (f64, f64), radius: f64, token: Token) {
        self.reserve(Bounds { left: x - radius, right: x + radius, top: y - radius, bottom: y + radius });
        let centre = (x, y);
        self.draw(&Circle::new(place(centre), (radius * UNITS) as i32, ink(token, 100)));
    }

    /// A hollow marker: a ring on a disc of paper.
    pub fn ring(&self, centre: (f64, f64), radius: f64, token: Token) {
        self.disc(centre, radius, Token::Paper);
        self.draw(&Circle::new(place(centre), (radius * UNITS) as i32, pen(token, 2.0)));
    }

    /// Diagonal lines, so that an area speaks without colour.
    pub fn hatch(&self, bounds: Bounds, token: Token, percent: u8) {
        let (width, height) = (bounds.right - bounds.left, bounds.bottom - bounds.top);
        let mut strokes = Vec::new();
        let mut offset = 4.0;
        while offset < width + height {
            // From the left or lower edge up to the upper or right edge.
            let from = (bounds.left + (offset - height).max(0.0), bounds.top + offset.min(height));
            let to = (bounds.left + offset.min(width), bounds.top + (offset - width).max(0.0));
            strokes.push(vec![place(from), place(to)]);
            offset += 8.0;
        }
        if !strokes.is_empty() {
            let mark = Mark::Lines { strokes, ink: Ink { token, percent }, width: UNITS as i32, dash: Dash::Solid };
            self.sheet.borrow_mut().marks.push(mark);
        }
    }

    /// The dash of lines that plotters draws from now on.
    pub fn set_dash(&self, dash: Dash) {
        self.sheet.borrow_mut().dash = dash;
    }

    /// A chart whose data coordinates fill the bounds exactly.
    pub fn plot(&self, bounds: Bounds, x: Axis, y: Axis) -> Plot {
        let corner = place((bounds.left, bounds.top));
        let size = place((bounds.right - bounds.left, bounds.bottom - bounds.top));
        let area = self.root.clone().shrink(corner, size);
        ChartBuilder::on(&area).build_cartesian_2d(x, y).expect(DRAWN)
    }

    /// Grid lines with their labels left, ticks with their labels below, and what the axis across means.
    pub fn axes(&self, bounds: Bounds, x: &Axis, x_meaning: &str, y: &Axis) {
        for tick in &y.ticks {
            let at = bounds.bottom - y.fraction(tick.value) * (bounds.bottom - bounds.top);
            self.line(&[(bounds.left, at), (bounds.right, at)], Token::Grid, 1.0, Dash::Solid);
            self.text((bounds.left - 8.0, at), &tick.label, Lettering::NOTE.align(Align::Right));
        }
        self.line(&[(bounds.left, bounds.bottom), (bounds.right, bounds.bottom)], Token::Muted, 1.0, Dash::Solid);
        for tick in &x.ticks {
            let at = bounds.left + x.fraction(tick.value) * (bounds.right - bounds.left);
            self.line(&[(at, bounds.bottom), (at, bounds.bottom + 5.0)], Token::Muted, 1.0, Dash::Solid);
            self.text((at, bounds.bottom + 15.0), &tick.label, Lettering::NOTE.align(Align::Centre));
        }
        let middle = (bounds.left + bounds.right) / 2.0;
        self.text((middle, bounds.bottom + 34.0), x_meaning, Lettering::NOTE.align(Align::Centre));
    }

    /// Labels in the right margin at the ends of lines, moved apart; a thin leader joins a label that had to move.
    pub fn end_labels(&self, labels: &[EndLabel], bounds: Bounds) {
        let left = bounds.right + 20.0;
        let lettering = Lettering::LABEL;
        let lines: Vec<Vec<String>> =
            labels.iter().map(|label| lettering.wrapped(&bound(&label.text), WIDTH - MARGIN - left, 2)).collect();
        let heights: Vec<f64> = lines.iter().map(|lines| lines.len() as f64 * 16.0 + 4.0).collect();
        let wanted: Vec<f64> = labels.iter().map(|label| label.at.1).collect();
        let centres = spread(&wanted, &heights, bounds.top, bounds.bottom);
        for ((label, lines), centre) in labels.iter().zip(&lines).zip(centres) {
            let (x, y) = label.at;
            self.reserve(Bounds { left: x, right: left, top: y.min(centre) - 2.0, bottom: y.max(centre) + 2.0 });
            self.line(
                &[(x + 5.0, y), (bounds.right + 8.0, centre), (left - 3.0, centre)],
                label.token,
                1.0,
                Dash::Solid,
            );
            let mut at = centre - (lines.len() as f64 - 1.0) * 8.0;
            for line in lines {
                self.text((left, at), line, lettering.token(label.token));
                at += 16.0;
            }
        }
    }

    /// Writes the text unless it would touch another text or a marker, or leave the paper; tells whether it did.
    pub fn text_if_free(&self, at: (f64, f64), text: &str, lettering: Lettering) -> bool {
        self.text(at, text, lettering);
        let mut sheet = self.sheet.borrow_mut();
        let bounds: Vec<Bounds> = sheet.texts().map(|text| text.bounds()).collect();
        let (new, others) = bounds.split_last().expect("a text was just written");
        let reserved = self.reserved.borrow();
        let free = new.inside(&sheet.bounds()) && !others.iter().chain(&*reserved).any(|other| other.overlaps(new));
        if !free {
            sheet.marks.pop();
        }
        free
    }

    /// The finished sheet, for measuring.
    pub fn sheet(&self) -> Sheet {
        self.sheet.borrow().clone()
    }

    pub fn finish(self, stem: &'static str, title: String, description: String, csv: String) -> Figure {
        let sheet = self.sheet();
        Figure {
            stem,
            svg: svg::print(&sheet, stem, &title, &description),
            png: png::print(&sheet),
            blemishes: sheet.blemishes(),
            csv,
            title,
            description,
        }
    }

    fn draw<'a, E>(&self, element: &'a E)
    where
        &'a E: PointCollection<'a, BackendCoord>,
        E: Drawable<Pen>,
    {
        self.root.draw(element).expect(DRAWN);
    }
}

/// The lines of a header with their heights, and where it ends.
pub fn header_lines(title: &str, subtitle: &str) -> (Vec<(f64, String, Lettering)>, f64) {
    let limit = (WIDTH - 2.0 * MARGIN) / 1.06;
    let mut y = MARGIN;
    let mut lines = Vec::new();
    for (lettering, text, advance) in [(Lettering::TITLE, title, 30.0), (Lettering::SUBTITLE, subtitle, 20.0)] {
        let broken = match lettering.weight {
            Weight::Bold => font::balanced(&bound(text), lettering.size, lettering.weight, limit, 3),
            Weight::Regular => font::wrapped(&bound(text), lettering.size, lettering.weight, limit, 3),
        };
        for line in broken {
            lines.push((y + advance / 2.0, line, lettering));
            y += advance;
        }
        y += 4.0;
    }
    (lines, y + 8.0)
}

/// Keeps a number on the line of its unit, both parts of "2 min 3 s", and both sides of an equals sign together.
fn bound(text: &str) -> String {
    let mut text_bound = String::with_capacity(text.len());
    for (index, character) in text.char_indices() {
        let (before, after) = (&text[..index], text[index..].chars().nth(1));
        let digit_before = before.ends_with(|last: char| last.is_ascii_digit());
        let digit_after = after.is_some_and(|next| next.is_ascii_digit());
        let unit_before = [" min", " h", " d"].iter().any(|unit| before.ends_with(unit));
        let equals = before.ends_with('=') || after == Some('=');
        let glued = character == ' ' && (digit_before || equals || unit_before && digit_after);
        text_bound.push(if glued { '\u{A0}' } else { character });
    }
    text_bound
}

/// Why drawing is not fallible for us.
pub const DRAWN: &str = "drawing into memory cannot fail";

/// A label in the right margin.
pub struct EndLabel {
    /// The end of the line that it names.
    pub at: (f64, f64),
    pub text: String,
    pub token: Token,
}

/// A filled style for plotters.
pub fn ink(token: Token, percent: u8) -> ShapeStyle {
    let color: RGBAColor = token.faint(percent);
    color.filled()
}

/// A stroked style for plotters; the width is in pixels.
pub fn pen(token: Token, width: f64) -> ShapeStyle {
    token.colour().stroke_width((width * UNITS) as u32)
}

fn place((x, y): (f64, f64)) -> Place {
    (libm::round(x * UNITS) as i32, libm::round(y * UNITS) as i32)
}

/// Moves labels of given heights apart along one line, each as little as possible (least squares, by pooling neighbours that
/// touch), and keeps them between the ends as far as they fit. Keeps the order of wanted centres; ties keep the order given.
pub fn spread(wanted: &[f64], sizes: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]));
    // Each block is a run of labels that touch: its begin, its size, and its members.
    let mut blocks: Vec<(f64, f64, Vec<usize>)> = Vec::new();
    for index in order {
        let mut block = (wanted[index] - sizes[index] / 2.0, sizes[index], vec![index]);
        block.0 = block.0.min(high - block.1).max(low);
        while let Some(last) = blocks.pop_if(|last| last.0 + last.1 > block.0) {
            let members: Vec<usize> = last.2.iter().chain(&block.2).copied().collect();
            let size = last.1 + block.1;
            // The begin that each member would like the block to have, averaged.
            let mut before = 0.0;
            let mut sum = 0.0;
            for member in &members {
                sum += wanted[*member] - sizes[*member] / 2.0 - before;
                before += sizes[*member];
            }
            block = ((sum / members.len() as f64).min(high - size).max(low), size, members);
        }
        blocks.push(block);
    }
    let mut centres = vec![0.0; wanted.len()];
    for (mut at, _, members) in blocks {
        for member in members {
            centres[member] = at + sizes[member] / 2.0;
            at += sizes[member];
        }
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_with_their_units() {
        assert_eq!(bound("acks = all in 2 min 3 s"), "acks\u{A0}=\u{A0}all in 2\u{A0}min\u{A0}3\u{A0}s");
    }

    #[test]
    fn labels_that_touch_share_the_way() {
        assert_eq!(spread(&[10.0, 50.0], &[10.0, 10.0], 0.0, 100.0), [10.0, 50.0]);
        assert_eq!(spread(&[50.0, 50.0], &[10.0, 10.0], 0.0, 100.0), [45.0, 55.0]);
        assert_eq!(spread(&[100.0, 99.0, 10.0], &[10.0, 10.0, 10.0], 0.0, 100.0), [95.0, 85.0, 10.0]);
        assert_eq!(spread(&[0.0, 12.0, 14.0], &[10.0, 10.0, 10.0], 0.0, 100.0), [5.0, 15.0, 25.0]);
    }
}

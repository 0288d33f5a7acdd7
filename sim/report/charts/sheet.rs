//! What has been drawn: a list of marks on a sheet of paper. plotters draws on it through a backend of ours; `svg` and `png` print the
//! same list, so both pictures agree to the last mark, and tests can measure it (texts that touch, marks beyond the edge).
//!
//! Coordinates are whole eighths of a pixel: plotters knows whole numbers only, and at whole pixels lines wobble. Colours are
//! tokens, known again by their light colour. A dash and a halo are states of the pen, since plotters' styles do not carry them.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
};

use super::font::{self, Weight};
use super::palette::Token;
use crate::report::terminal::is_harmful;

/// Units in one pixel.
pub const UNITS: f64 = 8.0;

/// A place in eighths of a pixel from the upper left corner.
pub type Place = (i32, i32);

/// One thing drawn. Later marks lie above earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// Strokes of one width; each is a line through its places.
    Lines {
        strokes: Vec<Vec<Place>>,
        ink: Ink,
        width: i32,
        dash: Dash,
    },
    Area {
        corners: Vec<Place>,
        ink: Ink,
    },
    Disc {
        centre: Place,
        radius: i32,
        ink: Ink,
    },
    Ring {
        centre: Place,
        radius: i32,
        ink: Ink,
        width: i32,
    },
    Text(Text),
}

/// A token and its opacity in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink {
    pub token: Token,
    pub percent: u8,
}

/// How a line is interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dash {
    #[default]
    Solid,
    Dashed,
    Dotted,
    Mixed,
}

impl Dash {
    /// Lengths of strokes and gaps in eighths of a pixel.
    pub fn pattern(self) -> &'static [i32] {
        match self {
            Dash::Solid => &[],
            Dash::Dashed => &[56, 40],
            Dash::Dotted => &[16, 32],
            Dash::Mixed => &[72, 32, 16, 32],
        }
    }
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub text: String,
    /// On the baseline, at the side that `align` names.
    pub at: Place,
    /// Font size in eighths of a pixel.
    pub size: i32,
    pub weight: Weight,
    pub align: Align,
    pub ink: Ink,
    /// Surrounded by paper, so that it can be read on top of lines.
    pub halo: bool,
    /// Reads upwards.
    pub turned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Centre,
    Right,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Bounds {
    pub fn overlaps(&self, other: &Bounds) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    pub fn inside(&self, other: &Bounds) -> bool {
        self.left >= other.left && self.right <= other.right && self.top >= other.top && self.bottom <= other.bottom
    }
}

impl Text {
    pub fn bounds(&self) -> Bounds {
        let size = f64::from(self.size) / UNITS;
        let (x, y) = (f64::from(self.at.0) / UNITS, f64::from(self.at.1) / UNITS);
        let width = font::width(&self.text, size, self.weight);
        let before = match self.align {
            Align::Left => 0.0,
            Align::Centre => width / 2.0,
            Align::Right => width,
        };
        let (above, below) = (font::ASCENT * size, font::DESCENT * size);
        match self.turned {
            false => Bounds { left: x - before, top: y - above, right: x - before + width, bottom: y + below },
            true => Bounds { left: x - above, top: y + before - width, right: x + below, bottom: y + before },
        }
    }
}

/// Paper of a size in pixels, and what has been drawn on it.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub width: u32,
    pub height: u32,
    pub marks: Vec<Mark>,
    /// Applies to lines drawn from now on.
    pub dash: Dash,
    /// Applies to texts drawn from now on.
    pub halo: bool,
}

impl Sheet {
    pub fn new(width: u32, height: u32) -> Sheet {
        Sheet { width, height, marks: Vec::new(), dash: Dash::Solid, halo: false }
    }

    pub fn bounds(&self) -> Bounds {
        Bounds { left: 0.0, top: 0.0, right: f64::from(self.width), bottom: f64::from(self.height) }
    }

    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.marks.iter().filter_map(|mark| match mark {
            Mark::Text(text) => Some(text),
            Mark::Lines { .. } | Mark::Area { .. } | Mark::Disc { .. } | Mark::Ring { .. } => None,
        })
    }

    /// What a reader would call ugly, one sentence each: texts that overlap, and texts and other marks that leave the paper.
    pub fn blemishes(&self) -> Vec<String> {
        let texts: Vec<(&Text, Bounds)> = self.texts().map(|text| (text, text.bounds())).collect();
        let paper = self.bounds();
        let mut blemishes = Vec::new();
        for (index, (text, bounds)) in texts.iter().enumerate() {
            if !bounds.inside(&paper) {
                blemishes.push(format!("`{}` leaves the paper: {bounds:?}", text.text));
            }
            for (other, around) in &texts[index + 1..] {
                if bounds.overlaps(around) {
                    blemishes.push(format!("`{}` overlaps `{}`", text.text, other.text));
                }
            }
        }
        let strayed = self.marks.iter().filter_map(|mark| mark.around().map(|around| (mark, around)));
        for (mark, around) in strayed.filter(|(_, around)| !around.inside(&paper)) {
            blemishes.push(format!("{} leaves the paper: {around:?}", mark.noun()));
        }
        blemishes
    }
}

impl Mark {
    /// Everything that is not text.
    fn around(&self) -> Option<Bounds> {
        let at = |(x, y): Place| (f64::from(x) / UNITS, f64::from(y) / UNITS);
        let circle = |centre: Place, radius: i32| {
            let ((x, y), radius) = (at(centre), f64::from(radius) / UNITS);
            vec![(x - radius, y - radius), (x + radius, y + radius)]
        };
        let places: Vec<(f64, f64)> = match self {
            Mark::Lines { strokes, .. } => strokes.iter().flatten().map(|place| at(*place)).collect(),
            Mark::Area { corners, .. } => corners.iter().map(|place| at(*place)).collect(),
            Mark::Disc { centre, radius, .. } | Mark::Ring { centre, radius, .. } => circle(*centre, *radius),
            Mark::Text(_) => return None,
        };
        let (x, y) = *places.first()?;
        let start = Bounds { left: x, right: x, top: y, bottom: y };
        Some(places.iter().fold(start, |around, (x, y)| Bounds {
            left: around.left.min(*x),
            right: around.right.max(*x),
            top: around.top.min(*y),
            bottom: around.bottom.max(*y),
        }))
    }

    fn noun(&self) -> &'static str {
        match self {
            Mark::Lines { .. } => "a line",
            Mark::Area { .. } => "an area",
            Mark::Disc { .. } | Mark::Ring { .. } => "a point",
            Mark::Text(_) => "a text",
        }
    }
}

/// The plotters backend that draws on a shared sheet.
pub struct Pen(pub Rc<RefCell<Sheet>>);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl Pen {
    fn draw(&mut self, mark: Mark) -> Drawn {
        self.0.borrow_mut().marks.push(mark);
        Ok(())
    }

    fn stroke(&mut self, stroke: Vec<Place>, style: &impl BackendStyle) -> Drawn {
        let dash = self.0.borrow().dash;
        self.draw(Mark::Lines {
            strokes: vec![stroke],
            ink: ink(style.color()),
            width: style.stroke_width() as i32,
            dash,
        })
    }
}

fn ink(colour: BackendColor) -> Ink {
    Ink { token: Token::of(colour.rgb), percent: (colour.alpha * 100.0 + 0.5) as u8 }
}

impl DrawingBackend for Pen {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let sheet = self.0.borrow();
        (sheet.width * UNITS as u32, sheet.height * UNITS as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &colour, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.stroke(vec![from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.stroke(path.into_iter().collect(), style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
        match fill {
            true => self.draw(Mark::Area { corners, ink: ink(style.color()) }),
            false => self.stroke([&corners[..], &corners[..1]].concat(), style),
        }
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Drawn {
        self.draw(Mark::Area { corners: corners.into_iter().collect(), ink: ink(style.color()) })
    }

    fn draw_circle<S: BackendStyle>(&mut self, centre: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let (radius, ink) = (radius as i32, ink(style.color()));
        self.draw(match fill {
            true => Mark::Disc { centre, radius, ink },
            false => Mark::Ring { centre, radius, ink, width: style.stroke_width() as i32 },
        })
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let size = style.size();
        let down = match style.anchor().v_pos {
            VPos::Top => font::ASCENT * size,
            VPos::Center => font::CAPITAL / 2.0 * size,
            VPos::Bottom => -font::DESCENT * size,
        } as i32;
        let turned = matches!(style.transform(), FontTransform::Rotate270);
        let at = if turned { (x + down, y) } else { (x, y + down) };
        let align = match style.anchor().h_pos {
            HPos::Left => Align::Left,
            HPos::Center => Align::Centre,
            HPos::Right => Align::Right,
        };
        let halo = self.0.borrow().halo;
        // Names come from scenario files; a control character is invalid in XML and has no glyph.
        let text = text.chars().map(|character| if is_harmful(character) { '·' } else { character }).collect();
        let (size, weight) = (size as i32, weight(style.style()));
        self.draw(Mark::Text(Text { text, at, size, weight, align, ink: ink(style.color()), halo, turned }))
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((font::width(text, style.size(), weight(style.style())) as u32, style.size() as u32))
    }
}

fn weight(style: FontStyle) -> Weight {
    match style {
        FontStyle::Bold => Weight::Bold,
        FontStyle::Normal | FontStyle::Oblique | FontStyle::Italic => Weight::Regular,
    }
}

//! Prints a sheet as PNG at twice its size, in the light colours: smooth lines, and letters as outlines at exact positions, so that
//! they neither bounce nor lose their spaces. Equal sheets give equal bytes, in debug and release builds.

use ab_glyph::OutlineCurve;
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, PremultipliedColorU8, Stroke, StrokeDash, Transform,
};

use super::font;
use super::palette::Token;
use super::sheet::{Align, Ink, Mark, Place, Sheet, Text, UNITS};

/// Pixels of the picture per pixel of the sheet.
const RESOLUTION: f32 = 2.0;

pub fn print(sheet: &Sheet) -> Vec<u8> {
    let (width, height) = (sheet.width * RESOLUTION as u32, sheet.height * RESOLUTION as u32);
    let mut pixels = Pixmap::new(width, height).expect("a sheet has a size");
    pixels.fill(Color::WHITE);
    for mark in &sheet.marks {
        draw(&mut pixels, mark);
    }
    assert!(pixels.pixels().iter().all(|pixel: &PremultipliedColorU8| pixel.alpha() == 255), "paper shows through");
    pixels.encode_png().expect("encoding into memory cannot fail")
}

fn draw(pixels: &mut Pixmap, mark: &Mark) {
    match mark {
        Mark::Lines { strokes, ink, width, dash } => {
            let lengths = dash.pattern().iter().map(|length| scaled(*length)).collect::<Vec<f32>>();
            let mut builder = PathBuilder::new();
            for stroke in strokes {
                append(&mut builder, stroke);
            }
            let style = Stroke {
                width: scaled(*width),
                line_join: LineJoin::Round,
                dash: StrokeDash::new(lengths, 0.0),
                ..Stroke::default()
            };
            stroke(pixels, builder.finish(), *ink, &style);
        }
        Mark::Area { corners, ink } => {
            let mut builder = PathBuilder::new();
            append(&mut builder, corners);
            builder.close();
            fill(pixels, builder.finish(), *ink, FillRule::EvenOdd);
        }
        Mark::Disc { centre, radius, ink } => fill(pixels, circle(*centre, *radius), *ink, FillRule::Winding),
        Mark::Ring { centre, radius, ink, width } => {
            let style = Stroke { width: scaled(*width), ..Stroke::default() };
            stroke(pixels, circle(*centre, *radius), *ink, &style);
        }
        Mark::Text(text) => draw_text(pixels, text),
    }
}

fn draw_text(pixels: &mut Pixmap, text: &Text) {
    let size = f64::from(text.size) / UNITS * f64::from(RESOLUTION);
    let width = font::width(&text.text, size, text.weight) as f32;
    let start = match text.align {
        Align::Left => 0.0,
        Align::Centre => -width / 2.0,
        Align::Right => -width,
    };
    let (x, y) = (scaled(text.at.0), scaled(text.at.1));
    let place = |point: ab_glyph::Point| match text.turned {
        false => (x + start + point.x, y + point.y),
        true => (x + point.y, y - start - point.x),
    };
    let mut builder = PathBuilder::new();
    let mut last = None;
    font::outline(&text.text, size, text.weight, |curve| {
        let (from, to) = match curve {
            OutlineCurve::Line(from, to) | OutlineCurve::Quad(from, _, to) | OutlineCurve::Cubic(from, _, _, to) => {
                (from, to)
            }
        };
        if last != Some(from) {
            let (x, y) = place(from);
            builder.move_to(x, y);
        }
        let (to_x, to_y) = place(to);
        match curve {
            OutlineCurve::Line(..) => builder.line_to(to_x, to_y),
            OutlineCurve::Quad(_, bend, _) => {
                let (x, y) = place(bend);
                builder.quad_to(x, y, to_x, to_y);
            }
            OutlineCurve::Cubic(_, one, two, _) => {
                let ((x1, y1), (x2, y2)) = (place(one), place(two));
                builder.cubic_to(x1, y1, x2, y2, to_x, to_y);
            }
        }
        last = Some(to);
    });
    let outline = builder.finish();
    if text.halo {
        let style = Stroke { width: 3.0 * RESOLUTION, line_join: LineJoin::Round, ..Stroke::default() };
        stroke(pixels, outline.clone(), Ink { token: Token::Paper, percent: 100 }, &style);
    }
    fill(pixels, outline, text.ink, FillRule::Winding);
}

/// A path is missing when it would be empty or has no extent; then there is nothing to draw.
fn fill(pixels: &mut Pixmap, path: Option<Path>, ink: Ink, rule: FillRule) {
    if let Some(path) = path {
        pixels.fill_path(&path, &paint(ink), rule, Transform::identity(), None);
    }
}

fn stroke(pixels: &mut Pixmap, path: Option<Path>, ink: Ink, style: &Stroke) {
    if let Some(path) = path {
        pixels.stroke_path(&path, &paint(ink), style, Transform::identity(), None);
    }
}

fn paint(ink: Ink) -> Paint<'static> {
    let [_, red, green, blue] = ink.token.light().to_be_bytes();
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, (f32::from(ink.percent) * 2.55 + 0.5) as u8);
    paint
}

fn append(builder: &mut PathBuilder, places: &[Place]) {
    for (index, (x, y)) in places.iter().enumerate() {
        match index {
            0 => builder.move_to(scaled(*x), scaled(*y)),
            _ => builder.line_to(scaled(*x), scaled(*y)),
        }
    }
}

fn circle(centre: Place, radius: i32) -> Option<Path> {
    PathBuilder::from_circle(scaled(centre.0), scaled(centre.1), scaled(radius))
}

fn scaled(eighths: i32) -> f32 {
    eighths as f32 * (RESOLUTION / UNITS as f32)
}

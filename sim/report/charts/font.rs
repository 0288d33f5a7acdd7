//! The bundled typeface: how wide a text is, and its outlines. The faces are parsed once. Widths are plain sums of advances, and the
//! outlines are placed at exact positions, so that the picture for the web and the picture in pixels break lines alike.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, OutlineCurve};

/// For SVG: substitutes of a similar width follow. Layouts leave some slack for them.
pub const FAMILY: &str = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";

/// From the baseline to the top of a line of text, as a share of the font size; letters themselves end lower.
pub const ASCENT: f64 = 0.78;
/// From the baseline down.
pub const DESCENT: f64 = 0.22;
/// Height of capitals.
pub const CAPITAL: f64 = 0.727;

static REGULAR: &[u8] = include_bytes!("../fonts/Inter-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../fonts/Inter-Bold.ttf");

/// One weight of the typeface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Regular,
    Bold,
}

/// The face as WOFF2, for pages that embed it.
pub fn for_the_web(weight: Weight) -> &'static [u8] {
    match weight {
        Weight::Regular => include_bytes!("../fonts/Inter-Regular.woff2"),
        Weight::Bold => include_bytes!("../fonts/Inter-Bold.woff2"),
    }
}

fn face(weight: Weight) -> &'static FontRef<'static> {
    static FACES: OnceLock<[FontRef<'static>; 2]> = OnceLock::new();
    let parse = |bytes| FontRef::try_from_slice(bytes).expect("the bundled font is a font");
    let faces = FACES.get_or_init(|| [parse(REGULAR), parse(BOLD)]);
    match weight {
        Weight::Regular => &faces[0],
        Weight::Bold => &faces[1],
    }
}

/// Width at a font size, both in the same unit.
pub fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let face = face(weight);
    let advances: f64 =
        text.chars().map(|character| f64::from(face.h_advance_unscaled(face.glyph_id(character)))).sum();
    advances * size / units(face)
}

/// Calls with each curve of the text, set from the origin along the baseline to the right; y points down.
pub fn outline(text: &str, size: f64, weight: Weight, mut curve: impl FnMut(OutlineCurve)) {
    let face = face(weight);
    let scale = size / units(face);
    let mut advance = 0.0;
    for character in text.chars() {
        let glyph = face.glyph_id(character);
        let place = |point: ab_glyph::Point| {
            ab_glyph::point(((f64::from(point.x) + advance) * scale) as f32, (-f64::from(point.y) * scale) as f32)
        };
        for piece in face.outline(glyph).map(|outline| outline.curves).unwrap_or_default() {
            curve(match piece {
                OutlineCurve::Line(from, to) => OutlineCurve::Line(place(from), place(to)),
                OutlineCurve::Quad(from, bend, to) => OutlineCurve::Quad(place(from), place(bend), place(to)),
                OutlineCurve::Cubic(from, one, two, to) => {
                    OutlineCurve::Cubic(place(from), place(one), place(two), place(to))
                }
            });
        }
        advance += f64::from(face.h_advance_unscaled(glyph));
    }
}

fn units(face: &FontRef) -> f64 {
    f64::from(face.units_per_em().expect("the bundled font names its units"))
}

/// Lines no wider than the limit, broken at spaces; words wider than a line are broken too, after a sign if there is one. At most
/// `lines`, the last one then ends in "…". A space that must not break is U+00A0.
pub fn wrapped(text: &str, size: f64, weight: Weight, limit: f64, lines: usize) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut line = String::new();
    let words = text.split([' ', '\n', '\t']).filter(|word| !word.is_empty());
    let mut pieces = words.flat_map(|word| broken(word, size, weight, limit)).peekable();
    while let Some((glue, piece)) = pieces.next() {
        let longer = if line.is_empty() { piece.clone() } else { format!("{line}{glue}{piece}") };
        if line.is_empty() || width(&longer, size, weight) <= limit {
            line = longer;
        } else if done.len() + 1 == lines {
            let rest: String = pieces.map(|(glue, piece)| format!("{glue}{piece}")).collect();
            done.push(fitted(&format!("{longer}{rest}"), size, weight, limit));
            return done;
        } else {
            done.push(std::mem::replace(&mut line, piece));
        }
    }
    done.push(line);
    done
}

/// As `wrapped`, with lines of about equal width: no last line of one word.
pub fn balanced(text: &str, size: f64, weight: Weight, limit: f64, lines: usize) -> Vec<String> {
    let mut best = wrapped(text, size, weight, limit, lines);
    if best.last().is_some_and(|last| last.ends_with('…')) {
        return best;
    }
    for step in 1..20 {
        let narrower = wrapped(text, size, weight, limit * (1.0 - f64::from(step) / 20.0), lines + 1);
        if narrower.len() > best.len() {
            break;
        }
        best = narrower;
    }
    best
}

/// A word as pieces that each fit into a line, with what stands before each: a space, or nothing within the word.
fn broken(word: &str, size: f64, weight: Weight, limit: f64) -> Vec<(&'static str, String)> {
    let mut pieces = vec![(" ", String::new())];
    for character in word.chars() {
        let (_, piece) = pieces.last_mut().expect("there is always a piece");
        piece.push(character);
        if width(piece, size, weight) > limit && piece.chars().count() > 1 {
            let sign = piece[..piece.len() - character.len_utf8()].rfind(['-', '_', '/', '.', ':']);
            let cut = sign.map_or(piece.len() - character.len_utf8(), |sign| sign + 1);
            let rest = piece.split_off(cut);
            pieces.push(("", rest));
        }
    }
    pieces
}

/// The text, cut with "…" when it is wider than the limit.
pub fn fitted(text: &str, size: f64, weight: Weight, limit: f64) -> String {
    if width(text, size, weight) <= limit {
        return text.to_string();
    }
    let mut kept: String = text.to_string();
    while kept.pop().is_some() {
        let cut = format!("{}…", kept.trim_end());
        if width(&cut, size, weight) <= limit {
            return cut;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subset_has_every_character_that_charts_use() {
        for weight in [Weight::Regular, Weight::Bold] {
            for character in "Az09 ×÷−–—…≤≥≈≠∞±✓✗●○λμρσ→←é½²·“’".chars() {
                assert!(face(weight).glyph_id(character).0 != 0, "no glyph for {character}");
            }
        }
    }

    #[test]
    fn text_is_broken_at_spaces_and_cut_at_the_end() {
        let text = "one two three four five six";
        let limit = width("one two three", 16.0, Weight::Regular) + 0.1;
        assert_eq!(wrapped(text, 16.0, Weight::Regular, limit, 3), ["one two three", "four five six"]);
        assert_eq!(wrapped(text, 16.0, Weight::Regular, limit, 1), ["one two thr…"]);
        assert_eq!(fitted("abc", 16.0, Weight::Bold, 1.0), "");
        let narrow = width("a-long-", 16.0, Weight::Regular) + 0.1;
        assert_eq!(wrapped("a-long-word", 16.0, Weight::Regular, narrow, 3), ["a-long-", "word"]);
    }

    #[test]
    fn titles_have_no_lonely_last_word() {
        let text = "one two three four five six seven";
        let limit = width("one two three four five six", 16.0, Weight::Bold) + 0.1;
        assert_eq!(balanced(text, 16.0, Weight::Bold, limit, 3), ["one two three four", "five six seven"]);
    }
}

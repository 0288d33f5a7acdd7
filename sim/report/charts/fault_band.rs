//! When faults lasted: a pale band behind the data over the full height, and above the plot one lane per family with a bar in the
//! family's colour, so that faults which overlap stay legible. A fault without length is a dashed rule. After Jepsen's `perf`.

use super::axis::Axis;
use super::page::{Lettering, Page};
use super::palette::{FaultKind, Token};
use super::sheet::{Align, Bounds, Dash};

/// One fault, in seconds after the load began.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultBand {
    /// As a person says it: "crash of b2".
    pub name: String,
    pub kind: FaultKind,
    pub from: f64,
    /// Equal to `from` when it has no length.
    pub to: f64,
}

const LANE: f64 = 16.0;

/// Height of the lanes that these faults need above a plot.
pub fn lanes_height(faults: &[FaultBand]) -> f64 {
    match kinds(faults).len() {
        0 => 0.0,
        lanes => lanes as f64 * LANE + 6.0,
    }
}

/// Draws bands in the plot and lanes that end at its top. To be called before the data is drawn.
pub fn draw(page: &Page, faults: &[FaultBand], x: &Axis, plot: Bounds) {
    let kinds = kinds(faults);
    let top = plot.top - lanes_height(faults);
    let at = |seconds: f64| plot.left + x.fraction(seconds).clamp(0.0, 1.0) * (plot.right - plot.left);
    for (index, kind) in kinds.iter().enumerate() {
        let middle = top + (index as f64 + 0.5) * LANE;
        let name = Lettering::FOOTER.align(Align::Right).token(Token::Fault(*kind));
        page.text((plot.left - 8.0, middle), kind.word(), name);
        let mut sorted: Vec<&FaultBand> = faults.iter().filter(|fault| fault.kind == *kind).collect();
        sorted.sort_by(|one, other| one.from.total_cmp(&other.from).then_with(|| one.name.cmp(&other.name)));
        for (position, fault) in sorted.iter().enumerate() {
            let (left, right) = (at(fault.from), at(fault.to));
            if right - left < 1.0 {
                page.line(&[(left, middle - 5.0), (left, plot.bottom)], Token::Fault(*kind), 1.0, Dash::Dashed);
                page.disc((left, middle), 4.0, Token::Fault(*kind));
            } else {
                let band = Bounds { left, right, top: plot.top, bottom: plot.bottom };
                page.rectangle(band, Token::FaultBand, 20);
                let bar = Bounds { left, right, top: middle - 4.0, bottom: middle + 4.0 };
                page.rectangle(bar, Token::Fault(*kind), 100);
            }
            let room = sorted.get(position + 1).map_or(plot.right, |next| at(next.from) - 4.0) - right - 7.0;
            let text = Lettering::FOOTER.fitted(&fault.name, room);
            // A name of three letters and dots tells nothing.
            if text == fault.name || text.chars().count() > 12 {
                page.text_if_free((right + 7.0, middle), &text, Lettering::FOOTER);
            }
        }
    }
}

/// The faults as a sentence, for the description.
pub fn described(faults: &[FaultBand]) -> String {
    let names: Vec<String> = faults
        .iter()
        .map(|fault| match fault.to > fault.from {
            true => format!("{} from {:.1} s to {:.1} s", fault.name, fault.from, fault.to),
            false => format!("{} at {:.1} s", fault.name, fault.from),
        })
        .collect();
    if names.is_empty() { "No faults.".to_string() } else { format!("Faults: {}.", names.join("; ")) }
}

fn kinds(faults: &[FaultBand]) -> Vec<FaultKind> {
    FaultKind::ALL.into_iter().filter(|kind| faults.iter().any(|fault| fault.kind == *kind)).collect()
}

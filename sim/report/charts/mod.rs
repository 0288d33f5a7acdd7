//! Charts for a design review, as pure functions of plain data: equal input gives equal bytes. plotters maps data to places; it
//! draws through our backend onto a `sheet`, which is printed as SVG and as PNG.
//!
//! The title of each chart is its message, a sentence computed from the data. A chart decides nothing and knows neither plans nor
//! verdicts; whoever calls it turns outcomes into its numbers. House style: 960×560, labels at the things themselves, horizontal
//! grid, colour never alone, a footer that leads back to the run.

pub mod axis;
pub mod backlog;
pub mod blast;
pub mod cascade;
pub mod cost;
pub mod cumulative;
pub mod fault_band;
#[cfg(test)]
mod fixtures;
pub mod font;
pub mod frame;
pub mod freshness;
pub mod in_sync;
pub mod incidents;
pub mod latency;
pub mod outcomes;
pub mod ownership;
pub mod page;
pub mod palette;
pub mod partition_lag;
mod png;
pub mod recovery;
pub mod seeds;
pub mod sequence;
pub mod sheet;
pub mod sizing;
pub mod statistics;
mod svg;
#[cfg(test)]
mod tests;
pub mod waterfall;

/// A finished chart with everything that belongs beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Name of its files, without an ending.
    pub stem: &'static str,
    pub svg: String,
    pub png: Vec<u8>,
    /// The data, tidy: one observation per row.
    pub csv: String,
    /// The message.
    pub title: String,
    /// The numbers as sentences, for readers who cannot see the picture.
    pub description: String,
    /// Texts that touch or leave the paper; empty for every figure that may be shown.
    pub blemishes: Vec<String>,
}

/// Rows of text as CSV.
fn csv(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).expect(WRITTEN);
    for row in rows {
        writer.write_record(&row).expect(WRITTEN);
    }
    String::from_utf8(writer.into_inner().expect(WRITTEN)).expect("text in, text out")
}

const WRITTEN: &str = "writing rows of equal length into memory cannot fail";

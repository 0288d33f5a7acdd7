//! What a person gets to see: charts, tables, words on a terminal. It decides nothing: it is handed verdicts and numbers.

pub mod answer;
pub mod baseline;
pub mod blame;
pub mod charts;
pub mod chronicle;
pub mod designs;
pub mod figures;
pub mod html;
pub mod markdown;
pub mod numbers;
pub mod progress;
pub mod results;
pub mod review;
pub mod run_figures;
pub mod standing;
pub mod sweep;
pub mod table;
pub mod terminal;
pub mod validation;

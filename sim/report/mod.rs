//! What a person gets to see: charts, tables, words on a terminal. It decides nothing: it is handed verdicts and numbers.

pub mod charts;
pub mod chronicle;
pub mod figures;
pub mod numbers;
pub mod progress;
pub mod sweep;
pub mod table;
pub mod terminal;

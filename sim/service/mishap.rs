//! What goes wrong with a request inside a store or an endpoint, by the ratios that the scenario gives.

use crate::types::random::{Draw, Random};
use crate::types::*;

/// What becomes of a request that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// Before anything was done.
    Refused,
    /// Executed, silent.
    AnswerLost,
}

/// Shares of requests that go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Mishaps {
    pub errors: Ratio,
    pub lost_requests: Ratio,
    pub lost_answers: Ratio,
}

impl Mishaps {
    /// `None`: the request is lost on its way in. All draws are made every time, so that one ratio does not move another's.
    pub fn draw(&self, draw: &mut Draw) -> Option<Fate> {
        let (refused, lost) = (draw.chance(self.errors), draw.chance(self.lost_requests));
        let answer_lost = draw.chance(self.lost_answers);
        let fate = match (refused, answer_lost) {
            (true, _) => Fate::Refused,
            (false, true) => Fate::AnswerLost,
            (false, false) => Fate::Answered,
        };
        (!lost).then_some(fate)
    }
}

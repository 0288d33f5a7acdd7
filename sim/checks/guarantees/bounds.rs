//! Bounds: a metric of a service, of a place or of the run lies where the scenario says.
//!
//! Why it matters: "recovers" without "within a minute" is not a promise, and "it never recovers" is one too.
//!
//! How it is decided: a bound on each run is compared here. A run that did not recover while requests arrived has no
//! recovery time, only a lower bound of one: `never` then holds, and an upper bound below what was observed is violated.
//! Bounds over seeds, against the closed form, against the time before the first fault and against a sibling cell are
//! decided over the runs (see [`crate::checks::cell`]); here they hold.
//!
//! Unknown: when there is nothing to measure (no sample, or no fault to recover from), or when the run was observed too
//! briefly to tell.

use crate::checks::outcome::*;
use crate::scenario::plan::*;

pub fn judge(
    subject: Subject,
    bounds: &[Bound],
    measured: Measured,
    theory: Option<TheoryValue>,
    before: Option<f64>,
) -> ExpectationResult {
    let decided = bounds.iter().map(|bound| judge_bound(bound, measured));
    let (verdict, why) =
        decided.fold((Verdict::Holds, String::new()), |worst, next| if worst.0 < next.0 { next } else { worst });
    ExpectationResult {
        name: String::new(),
        subject,
        demand: Demand::Bounds(bounds.to_vec()),
        measured,
        verdict,
        why,
        evidence: Vec::new(),
        theory,
        before,
    }
}

/// Whether the bound is decided over the runs of a cell, or beside other cells.
pub fn is_over_seeds(bound: &Bound) -> bool {
    let each = match bound.over {
        Over::Each => true,
        Over::Mean | Over::P50 | Over::P95 | Over::P99 => false,
    };
    !each
        || match bound.limit {
            Limit::Theory { .. } | Limit::Before { .. } | Limit::Sibling { .. } => true,
            Limit::Below(_)
            | Limit::AtMost(_)
            | Limit::Above(_)
            | Limit::AtLeast(_)
            | Limit::Between(_, _)
            | Limit::Never
            | Limit::Any => false,
        }
}

fn judge_bound(bound: &Bound, measured: Measured) -> (Verdict, String) {
    if is_over_seeds(bound) || bound.limit == Limit::Any {
        return (Verdict::Holds, String::new());
    }
    let never = bound.limit == Limit::Never;
    match measured {
        Measured::Nothing => (Verdict::Unknown, "there was nothing to measure".to_string()),
        Measured::Censored(_) if never => (Verdict::Holds, String::new()),
        Measured::Value(value) if never => {
            (Verdict::Violated, format!("it recovered after {value:.3} s and should never"))
        }
        Measured::Value(value) => compare(value, bound),
        Measured::Count { count, .. } => compare(count as f64, bound),
        Measured::Censored(at_least) => compare_censored(at_least, bound),
    }
}

/// A number with a plain limit.
pub fn compare(value: f64, bound: &Bound) -> (Verdict, String) {
    let holds = match bound.limit {
        Limit::Below(limit) => value < limit,
        Limit::AtMost(limit) => value <= limit,
        Limit::Above(limit) => limit < value,
        Limit::AtLeast(limit) => limit <= value,
        Limit::Between(low, high) => low <= value && value <= high,
        Limit::Theory { .. } | Limit::Before { .. } | Limit::Sibling { .. } | Limit::Never | Limit::Any => true,
    };
    if holds { (Verdict::Holds, String::new()) } else { (Verdict::Violated, missed(value, bound)) }
}

/// A number of which only a lower bound is known.
fn compare_censored(at_least: f64, bound: &Bound) -> (Verdict, String) {
    let violated = match bound.limit {
        Limit::Below(limit) => limit <= at_least,
        Limit::AtMost(limit) | Limit::Between(_, limit) => limit < at_least,
        Limit::Above(limit) if limit < at_least => return (Verdict::Holds, String::new()),
        Limit::AtLeast(limit) if limit <= at_least => return (Verdict::Holds, String::new()),
        Limit::Above(_) | Limit::AtLeast(_) => false,
        Limit::Theory { .. } | Limit::Before { .. } | Limit::Sibling { .. } | Limit::Never | Limit::Any => false,
    };
    if violated {
        (
            Verdict::Violated,
            format!("not within {at_least:.3} s, for as long as requests arrived; expected {}", bound.text),
        )
    } else {
        (Verdict::Unknown, format!("requests ended {at_least:.3} s after the heal, too early for {}", bound.text))
    }
}

fn missed(value: f64, bound: &Bound) -> String {
    format!("{value:.6} is not {}", bound.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(limit: Limit) -> Bound {
        Bound { text: "the bound".to_string(), over: Over::Each, limit }
    }

    fn verdict(limit: Limit, measured: Measured) -> Verdict {
        judge_bound(&bound(limit), measured).0
    }

    #[test]
    fn a_value_lies_within_its_bounds_or_not() {
        assert_eq!(verdict(Limit::Below(60.0), Measured::Value(59.0)), Verdict::Holds);
        assert_eq!(verdict(Limit::Below(60.0), Measured::Value(60.0)), Verdict::Violated);
        assert_eq!(verdict(Limit::AtLeast(0.99), Measured::Value(0.99)), Verdict::Holds);
        assert_eq!(verdict(Limit::Between(1.0, 2.0), Measured::Value(2.5)), Verdict::Violated);
        assert_eq!(verdict(Limit::Below(60.0), Measured::Nothing), Verdict::Unknown);
    }

    #[test]
    fn what_did_not_recover_is_never_a_number() {
        assert_eq!(verdict(Limit::Never, Measured::Censored(30.0)), Verdict::Holds);
        assert_eq!(verdict(Limit::Never, Measured::Value(30.0)), Verdict::Violated);
        assert_eq!(verdict(Limit::Below(20.0), Measured::Censored(30.0)), Verdict::Violated);
        assert_eq!(verdict(Limit::Below(60.0), Measured::Censored(30.0)), Verdict::Unknown);
        assert_eq!(verdict(Limit::AtLeast(20.0), Measured::Censored(30.0)), Verdict::Holds);
        assert_eq!(verdict(Limit::Never, Measured::Nothing), Verdict::Unknown);
    }
}

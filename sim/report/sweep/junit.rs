//! JUnit XML: one suite for each scenario, one case for each of its cells and each of its regressions. Never one for each
//! seed: a million of them would be 37 MB that no CI server shows.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::{commands, failed_of, reason_of, share, verdict_of};
use crate::checks::sweep::{SweepVerdict, SweptCell, SweptScenario};
use crate::checks::{Verdict, word};

pub fn render(sweep: &SweepVerdict) -> Result<String, String> {
    let mut report = Report::new("hikyaku sweep");
    for scenario in &sweep.scenarios {
        let mut suite = TestSuite::new(scenario.name.as_str());
        for cell in &scenario.cells {
            let name = if cell.id.is_empty() { "all" } else { cell.id.as_str() };
            let mut case = TestCase::new(name, status(verdict_of(cell), || told(sweep, scenario, cell)));
            case.set_classname(scenario.name.as_str());
            suite.add_test_case(case);
        }
        for regression in sweep.regressions.iter().filter(|regression| regression.path == scenario.path) {
            let name = format!("regression {} seed {}", regression.cell, regression.seed.0);
            let message = || (regression.reason.clone(), regression.why.clone());
            let mut case = TestCase::new(name, status(regression.verdict, message));
            case.set_classname(scenario.name.as_str());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    if !sweep.self_check.differing.is_empty() {
        let mut suite = TestSuite::new("self-check");
        let mut failed = TestCaseStatus::non_success(NonSuccessKind::Error);
        failed.set_message(super::self_check(sweep));
        suite.add_test_case(TestCase::new("every run is the same twice", failed));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

/// (message, text).
fn told(sweep: &SweepVerdict, scenario: &SweptScenario, cell: &SweptCell) -> (String, String) {
    let mut text = format!("{} seeds failed ({})\n", failed_of(cell), share(cell));
    let groups = sweep.failures.iter().filter(|group| group.path == scenario.path && group.cells.contains(&cell.id));
    for group in groups {
        text += &format!("\n{} in {} runs\n", group.failure, group.runs);
        text += &format!("for example seed {}: {}\n", group.example.seed.0, group.example.reason);
        commands::of_group(sweep, group).iter().for_each(|command| text += &format!("{command}\n"));
    }
    (reason_of(cell), text)
}

fn status(verdict: Option<Verdict>, told: impl FnOnce() -> (String, String)) -> TestCaseStatus {
    let kind = match verdict {
        Some(Verdict::Holds) => return TestCaseStatus::success(),
        None => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message("not run");
            return skipped;
        }
        Some(Verdict::Violated) => NonSuccessKind::Failure,
        Some(Verdict::Unknown | Verdict::Vacuous) => NonSuccessKind::Error,
    };
    let (message, text) = told();
    let mut failed = TestCaseStatus::non_success(kind);
    failed.set_type(word(&verdict)).set_message(XmlString::new(message)).set_description(XmlString::new(text));
    failed
}

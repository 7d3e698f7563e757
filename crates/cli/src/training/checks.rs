//! The table of checks, as `verify` and the end of a training show it.

use metal_candle::verify::{Check, Outcome, Report};

/// One line for each check.
pub fn lines(report: &Report) -> Vec<String> {
    let line = |check: &Check| format!("{:<11}{:<9}{}", check.name, outcome(check), check.text);
    report.checks.iter().map(line).collect()
}

/// What the checks come to.
pub fn summary(report: &Report) -> String {
    let (n, seconds) = (report.checks.len(), report.seconds);
    let failed: Vec<&str> = report.failed().map(|check| check.name).collect();
    let skipped = report.checks.iter();
    let skipped = skipped
        .filter(|check| check.outcome == Outcome::Skipped)
        .count();
    if !failed.is_empty() {
        let names = failed.join(", ");
        return format!(
            "{} of {n} checks failed in {seconds:.2} s: {names}",
            failed.len()
        );
    }
    match skipped {
        0 => format!("All {n} checks passed in {seconds:.2} s"),
        skipped => format!(
            "{} checks passed in {seconds:.2} s, {skipped} left out",
            n - skipped
        ),
    }
}

fn outcome(check: &Check) -> &'static str {
    match check.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "-",
    }
}

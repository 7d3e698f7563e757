use serde::Serialize;
use serde_json::Value;

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All is as it should be.
    Passed,
    /// Something is not as it should be.
    Failed,
    /// Nothing was measured.
    Skipped,
}

/// A check that was made, or left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Its result.
    pub outcome: Outcome,
    /// Measurements in words, or why there are none.
    pub text: String,
    /// Measurements.
    pub figures: Value,
}

/// Measurements of a check.
pub trait Figures: Serialize {
    /// Name of the check.
    const NAME: &'static str;

    /// Whether they are as they should be.
    fn passed(&self) -> bool;

    /// What they say, in words.
    fn text(&self) -> String;

    /// The check with its result.
    fn check(&self) -> Check {
        Check {
            name: Self::NAME,
            outcome: match self.passed() {
                true => Outcome::Passed,
                false => Outcome::Failed,
            },
            text: self.text(),
            figures: serde_json::to_value(self).unwrap_or_default(),
        }
    }
}

impl Check {
    /// A check that was left out, and why.
    pub(super) fn skipped(name: &'static str, reason: &str) -> Self {
        Self {
            name,
            outcome: Outcome::Skipped,
            text: reason.into(),
            figures: Value::Null,
        }
    }
}

/// The first names of a list, and how many are left.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let first = names.iter().take(SHOWN).cloned();
    let first = Vec::from_iter(first).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

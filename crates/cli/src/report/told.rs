use metal_candle::fine_tune::{MemoryPlan, Sample};
use metal_candle::train::{Best, Ending, Summary};
use metal_candle::verify;
use serde::{Deserialize, Serialize};

/// Account of a run, beside its settings and metrics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Name that the run was given.
    pub name: Option<String>,
    /// What was trained, on what and with what.
    pub header: Vec<Line>,
    /// Memory that it was expected to take, where that is known.
    pub memory: Option<Memory>,
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// Answers to rows that were not trained on.
    pub samples: Vec<Sample>,
    /// Checks of what was trained.
    pub checks: Vec<Check>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Commands that come next.
    pub next: Vec<String>,
}

/// Memory of tensors at the peak of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// What was expected before the first step, by part.
    #[serde(flatten)]
    pub plan: MemoryPlan,
    /// All parts.
    pub total_bytes: usize,
    /// What it was, by the program's own count.
    pub measured_bytes: Option<usize>,
}

/// Name and text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// Name.
    pub name: String,
    /// Text.
    pub text: String,
}

/// Check of what was trained.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// What was measured, or why nothing was.
    pub text: String,
}

/// End of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// `finished`, `stopped_early` by its validation loss, or `stopped` by a signal.
    pub ending: String,
    /// Steps taken, those of the runs that it went on from included.
    pub steps: usize,
    /// What `steps` would be at the planned end.
    pub planned_steps: usize,
    /// Tokens trained.
    pub trained_tokens: usize,
    /// Duration of the training, evaluations included.
    pub seconds: f64,
    /// Validation loss before the first step.
    pub first_val_loss: Option<f64>,
    /// Validation loss after the last step.
    pub last_val_loss: Option<f64>,
    /// The lowest validation loss.
    pub best: Option<Best>,
    /// Steps that led to what the folder holds.
    pub kept_step: usize,
}

impl Outcome {
    /// What `summary` says, of a run that took so many seconds.
    pub fn of(summary: &Summary, seconds: f64) -> Self {
        let ending = match summary.ending {
            Ending::StoppedEarly => "stopped_early",
            Ending::Stopped => "stopped",
            _ => "finished",
        };
        Self {
            ending: ending.into(),
            steps: summary.steps,
            planned_steps: summary.planned_steps,
            trained_tokens: summary.trained_tokens,
            seconds,
            first_val_loss: summary.first_val_loss,
            last_val_loss: summary.last_val_loss,
            best: summary.best,
            kept_step: summary.kept_step,
        }
    }
}

impl From<&verify::Check> for Check {
    fn from(check: &verify::Check) -> Self {
        let outcome = match check.outcome {
            verify::Outcome::Passed => "passed",
            verify::Outcome::Failed => "failed",
            verify::Outcome::Skipped => "skipped",
        };
        Self {
            name: check.name.into(),
            outcome: outcome.into(),
            text: check.text.clone(),
        }
    }
}

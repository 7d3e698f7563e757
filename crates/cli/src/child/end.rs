use serde::{Deserialize, Serialize};
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

/// Most characters that are kept of what a child says.
const MOST_CHARS: usize = 1000;

/// End of a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum End {
    /// Success.
    Passed,
    /// An error that it told itself.
    Failed {
        /// Its words.
        reason: String,
    },
    /// Killed at its deadline.
    TimedOut {
        /// Seconds that it had.
        limit_secs: f64,
        /// Whether it went when it was killed: one that waits for a driver may not.
        has_gone: bool,
    },
    /// A signal, or an exit status that is no error's.
    Crashed {
        /// The status, and what the child said last.
        how: String,
    },
}

impl End {
    /// End with `status`, after the text `stderr`.
    pub(super) fn of(status: ExitStatus, stderr: &str) -> Self {
        match (status.code(), reason(stderr)) {
            (Some(0), _) => Self::Passed,
            (Some(1 | 2), Some(reason)) => Self::Failed {
                reason: bounded(reason),
            },
            _ => Self::Crashed {
                how: how(status, stderr),
            },
        }
    }

    pub(super) fn timed_out(limit: Duration, has_gone: bool) -> Self {
        Self::TimedOut {
            limit_secs: limit.as_secs_f64(),
            has_gone,
        }
    }

    /// Whether it is success.
    pub fn is_passed(&self) -> bool {
        *self == Self::Passed
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
            Self::TimedOut {
                limit_secs,
                has_gone,
            } => {
                let still = match has_gone {
                    true => "",
                    false => ", and is still there",
                };
                write!(f, "timed out: killed after {limit_secs} s{still}")
            }
            Self::Crashed { how } => write!(f, "crashed: {how}"),
        }
    }
}

/// The error that a program of ours told last, without its advice.
fn reason(stderr: &str) -> Option<&str> {
    let (_, reason) = stderr.rsplit_once("error: ")?;
    let (reason, _) = reason.split_once("\nhelp: ").unwrap_or((reason, ""));
    Some(reason.trim()).filter(|reason| !reason.is_empty())
}

fn how(status: ExitStatus, stderr: &str) -> String {
    let mut lines = stderr.lines().map(str::trim);
    match lines.rfind(|line| !line.is_empty()) {
        Some(last) => format!("{status}; last words: {}", bounded(last)),
        None => status.to_string(),
    }
}

/// The beginning of a text.
fn bounded(text: &str) -> String {
    text.chars().take(MOST_CHARS).collect()
}

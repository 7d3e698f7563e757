//! An option of mlx-lm's that is none of ours.

use crate::error::Error;
use std::fmt;

/// Option of one of mlx-lm's programs.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Long name.
    pub name: &'static str,
    /// Most values that it takes; 0 for a switch.
    pub values: usize,
    /// What it comes to.
    pub verdict: Verdict,
}

/// Fate of such an option.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing changes, and why.
    NoEffect(&'static str),
    /// There is no such ability.
    Refused {
        /// Values that ask for nothing.
        except: &'static [&'static str],
        /// What there is.
        reason: &'static str,
        /// What to do.
        instead: &'static str,
    },
}

impl Foreign {
    /// Switch that changes nothing.
    pub const fn idle_switch(name: &'static str, why: &'static str) -> Self {
        let verdict = Verdict::NoEffect(why);
        Self::new(name, 0, verdict)
    }

    /// Option with a value that changes nothing.
    pub const fn idle(name: &'static str, why: &'static str) -> Self {
        let verdict = Verdict::NoEffect(why);
        Self::new(name, 1, verdict)
    }

    /// Option with so many values that is refused.
    pub const fn refused(
        name: &'static str,
        values: usize,
        reason: &'static str,
        instead: &'static str,
    ) -> Self {
        let verdict = Verdict::Refused {
            except: &[],
            reason,
            instead,
        };
        Self::new(name, values, verdict)
    }

    const fn new(name: &'static str, values: usize, verdict: Verdict) -> Self {
        Self {
            name,
            values,
            verdict,
        }
    }

    /// The option, which `values` ask nothing of.
    pub const fn except(mut self, values: &'static [&'static str]) -> Self {
        if let Verdict::Refused { except, .. } = &mut self.verdict {
            *except = values;
        }
        self
    }

    /// Checks a value.
    ///
    /// # Errors
    /// When it asks for what there is not.
    pub fn check(&'static self, value: &str) -> Result<(), Refusal> {
        match &self.verdict {
            Verdict::Refused { except, .. } if !except.contains(&value) => Err(Refusal(self)),
            _ => Ok(()),
        }
    }

    /// Tells that it changes nothing, under the name that it was given by.
    pub fn tell(&self, name: &str) {
        let why = match self.verdict {
            Verdict::NoEffect(why) => why,
            Verdict::Refused { .. } => "this value asks for nothing",
        };
        tracing::warn!("{name} changes nothing: {why}");
    }
}

/// Refusal of an option.
#[derive(Clone, Copy, Debug)]
pub struct Refusal(&'static Foreign);

impl Refusal {
    /// What there is, and what to do.
    fn words(self) -> (&'static str, &'static str) {
        match self.0.verdict {
            Verdict::Refused {
                reason, instead, ..
            } => (reason, instead),
            Verdict::NoEffect(why) => (why, ""),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, instead) = self.words();
        write!(f, "is not built: {reason}; {instead}")
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let (reason, instead) = refusal.words();
        let name = refusal.0.name;
        Self::input(format!("--{name} is not built: {reason}")).with_advice(instead)
    }
}

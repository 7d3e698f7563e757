use std::fmt;

/// Most problems that a message lists.
const LISTED: usize = 20;

/// Problems of a checkpoint: the first twenty problems in words, and how many more
/// there are.
#[derive(Debug, Default)]
pub struct Problems {
    listed: Vec<String>,
    more: usize,
}

impl Problems {
    pub(super) fn push(&mut self, problem: impl Into<String>) {
        match self.listed.len() < LISTED {
            true => self.listed.push(problem.into()),
            false => self.more += 1,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}

impl<S: Into<String>> Extend<S> for Problems {
    fn extend<I: IntoIterator<Item = S>>(&mut self, problems: I) {
        for problem in problems {
            self.push(problem);
        }
    }
}

impl<S: Into<String>> FromIterator<S> for Problems {
    fn from_iter<I: IntoIterator<Item = S>>(problems: I) -> Self {
        let mut all = Self::default();
        all.extend(problems);
        all
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.listed.join("\n  "))?;
        match self.more {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

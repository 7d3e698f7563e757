use crate::numbers::{MAX_COUNT, count};

/// Distance between two evaluations, or two saves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Every {
    /// So many iterations.
    Count(usize),
    /// A share of all iterations, above 0 and below 1.
    Share(f64),
}

impl Every {
    /// The number of iterations; that of a share is not known before the rows are, and 0 here.
    pub fn count(self) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Share(_) => 0,
        }
    }

    /// The share.
    pub fn share(self) -> Option<f64> {
        match self {
            Self::Count(_) => None,
            Self::Share(share) => Some(share),
        }
    }
}

/// A number of iterations, or a share of them.
///
/// # Errors
/// For anything else.
pub fn every(text: &str) -> Result<Every, String> {
    if let Ok(count) = count(text) {
        return Ok(Every::Count(count));
    }
    let share = text.parse().ok().filter(|x| *x > 0.0 && *x < 1.0);
    share.map(Every::Share).ok_or(format!(
        "must be a whole number from 0 to {MAX_COUNT}, or a share of all steps between 0 and 1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_and_shares_are_not() {
        for (text, expected) in [
            ("0", Every::Count(0)),
            ("25", Every::Count(25)),
            ("0.1", Every::Share(0.1)),
            ("1e-3", Every::Share(1e-3)),
        ] {
            assert_eq!(every(text), Ok(expected), "{text}");
        }
        for wrong in [
            "",
            "-1",
            "1.5",
            "1.0",
            "0.0",
            "nan",
            "inf",
            "1000000001",
            "-0.5",
        ] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }
}

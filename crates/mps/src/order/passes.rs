//! After how many passes candle commits its command buffer.

use super::Refusal;

/// candle's own environment variable, read once when an Apple device is first used.
///
/// It changes no number: it says how often candle commits, and so how many requests for an encoder
/// make it commit.
pub const PASSES_VARIABLE: &str = "CANDLE_METAL_COMPUTE_PER_BUFFER";

/// Over this, making candle commit would take longer than the work that it is done for.
pub const MAX_PASSES_PER_BUFFER: usize = 4096;

/// candle's number if the variable is not set, or is no number (`metal/commands.rs`).
const DEFAULT: usize = 50;

/// Number of times that candle hands out an encoder before it commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassesPerBuffer(usize);

impl PassesPerBuffer {
    /// What candle makes of the value of [`PASSES_VARIABLE`]; `None` if that is not set or not
    /// Unicode.
    ///
    /// # Errors
    ///
    /// [`Refusal::Passes`] over [`MAX_PASSES_PER_BUFFER`].
    pub fn parse(value: Option<&str>) -> Result<Self, Refusal> {
        let passes = value.map_or(DEFAULT, |value| value.parse().unwrap_or(DEFAULT));
        if passes > MAX_PASSES_PER_BUFFER {
            let limit = MAX_PASSES_PER_BUFFER;
            return Err(Refusal::Passes { passes, limit });
        }
        Ok(Self(passes))
    }

    /// Requests for an encoder, after a first one, of which candle commits at one at the latest.
    ///
    /// candle counts requests, the first one included, and commits at one that finds the count
    /// reached; 0 commits at each.
    pub(crate) fn requests(self) -> usize {
        self.0.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_candle_reads_them() {
        let candle = |text: &str| text.parse().unwrap_or(50usize);
        for text in [
            "0", "1", "50", "4096", "", "-1", "1e3", " 7", "fifty", "007",
        ] {
            assert_eq!(
                PassesPerBuffer::parse(Some(text)),
                Ok(PassesPerBuffer(candle(text)))
            );
        }
        assert_eq!(PassesPerBuffer::parse(None), Ok(PassesPerBuffer(50)));
    }

    #[test]
    fn a_number_that_would_take_forever_is_refused() {
        let refusal = |passes| {
            Err(Refusal::Passes {
                passes,
                limit: 4096,
            })
        };
        assert_eq!(PassesPerBuffer::parse(Some("4097")), refusal(4097));
        let most = usize::MAX.to_string();
        assert_eq!(PassesPerBuffer::parse(Some(&most)), refusal(usize::MAX));
    }
}

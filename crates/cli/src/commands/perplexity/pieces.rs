//! Pieces of one length, as `mlx_lm.perplexity` cuts them of a data set (`load_data` in `mlx_lm/perplexity.py`): rows in the
//! order that numpy draws lie behind each other, and what fills no piece at the end is left out.

use crate::error::{Error, Result};
use crate::numbers::at_least_one;
use metal_candle::data::{Dataset, Example, Examples, permutation};

/// Options of `mlx_lm.perplexity`, each of which asks for pieces.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Pieces, as mlx_lm.perplexity measures them")]
pub struct Pieces {
    /// Lay rows behind each other and measure pieces of so many tokens [default: 512]
    #[arg(long, value_name = "N", value_parser = at_least_two, conflicts_with_all = ["max_seq_length", "mask_prompt"])]
    sequence_length: Option<usize>,
    /// Number of pieces, -1 for all [default: 256]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, conflicts_with_all = ["max_seq_length", "mask_prompt"])]
    num_samples: Option<Count>,
    /// Seed of the order of rows that pieces are cut of [default: 123]
    #[arg(long, value_name = "N", value_parser = seed, conflicts_with_all = ["max_seq_length", "mask_prompt"])]
    seed: Option<u32>,
}

/// Number of pieces at most; `None` for all.
#[derive(Clone, Copy, Debug)]
struct Count(Option<usize>);

fn count(text: &str) -> std::result::Result<Count, String> {
    match text {
        "-1" => Ok(Count(None)),
        text => at_least_one(text)
            .map(|n| Count(Some(n)))
            .map_err(|error| format!("{error}, or -1 for all")),
    }
}

/// A seed of numpy's.
fn seed(text: &str) -> std::result::Result<u32, String> {
    let parsed = text.parse().ok();
    parsed.ok_or(format!("must be a whole number from 0 to {}", u32::MAX))
}

/// A piece of one token has nothing to predict.
fn at_least_two(text: &str) -> std::result::Result<usize, String> {
    let parsed = at_least_one(text).ok().filter(|n| *n > 1);
    parsed.ok_or("must be at least 2: the first token of a piece is not predicted".into())
}

impl Pieces {
    /// Whether pieces are asked for.
    pub fn are_asked_for(&self) -> bool {
        self.sequence_length.is_some() || self.num_samples.is_some() || self.seed.is_some()
    }

    fn length(&self) -> usize {
        self.sequence_length.unwrap_or(512)
    }

    fn most(&self) -> usize {
        let Count(most) = self.num_samples.unwrap_or(Count(Some(256)));
        most.unwrap_or(usize::MAX)
    }

    /// Cuts the rows of a data set; gives the pieces and the number of rows that they are of. Tells where there are fewer
    /// pieces than were asked for.
    ///
    /// # Errors
    /// When the model does not take a piece, or the rows make none.
    pub fn cut(&self, dataset: &Dataset, limit: usize) -> Result<(Examples, usize)> {
        let length = self.length();
        if length > limit {
            let error = format!(
                "--sequence-length {length} is over the limit of the model: {limit} tokens"
            );
            return Err(
                Error::input(error).with_advice(format!("use --sequence-length {limit} or less"))
            );
        }
        let n_tokens = length.saturating_mul(self.most());
        let (tokens, n_rows) = self.tokens(&dataset.examples, n_tokens)?;
        let pieces = tokens.chunks_exact(length).take(self.most());
        let pieces: Examples = pieces.map(piece).collect();
        self.check(pieces.len(), tokens.len())?;
        Ok((pieces, n_rows))
    }

    /// Tokens of rows behind each other, `n_tokens` of them or all there are, and the number of rows.
    fn tokens(&self, rows: &Examples, n_tokens: usize) -> Result<(Vec<u32>, usize)> {
        let (mut tokens, mut n_rows) = (vec![], 0);
        for index in permutation(self.seed.unwrap_or(123), rows.len()) {
            if tokens.len() >= n_tokens {
                break;
            }
            tokens.extend(rows.get(index)?.tokens);
            n_rows += 1;
        }
        Ok((tokens, n_rows))
    }

    fn check(&self, n_pieces: usize, n_tokens: usize) -> Result<()> {
        let length = self.length();
        if n_pieces == 0 {
            let error =
                format!("--sequence-length {length}: the rows have {n_tokens} tokens in all");
            return Err(Error::input(error).with_advice("give a smaller one, or more rows"));
        }
        if n_pieces < self.most() && self.most() < usize::MAX {
            tracing::warn!(
                "the rows make {n_pieces} pieces of {length} tokens, not {} (--num-samples)",
                self.most()
            );
        }
        Ok(())
    }
}

/// All tokens but the first are predicted.
fn piece(tokens: &[u32]) -> Example {
    let trained = (0..tokens.len()).map(|at| at > 0);
    Example {
        tokens: tokens.to_vec(),
        trained: trained.collect(),
        line: 1,
        pair: None,
    }
}

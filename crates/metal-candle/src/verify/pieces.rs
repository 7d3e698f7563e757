//! Few tokens to go through a model.

use super::Effort;
use crate::data::{Batch, Example};
use crate::layout::Arrangement;
use crate::models::Decoder;
use crate::random::uniform;

/// The first rows of which something is trained, each around what is: a prompt may be longer than a piece.
pub(super) fn of_rows(rows: &[Example], effort: &Effort) -> Batch {
    let trained = rows.iter().filter(|row| row.trained.contains(&true));
    let pieces = trained.take(effort.n_rows);
    let pieces: Vec<Example> = pieces.map(|row| piece(row, effort.n_tokens)).collect();
    laid_out(&pieces)
}

/// Tokens of `row` with the first that are trained in the second half.
fn piece(row: &Example, n_tokens: usize) -> Example {
    let first = row.trained.iter().position(|trained| *trained);
    let latest = row.tokens.len().saturating_sub(n_tokens);
    let start = first.unwrap_or(0).saturating_sub(n_tokens / 2).min(latest);
    let end = row.tokens.len().min(start + n_tokens);
    let mut trained = row.trained[start..end].to_vec();
    if let Some(first) = trained.first_mut() {
        *first = false;
    }
    Example {
        tokens: row.tokens[start..end].to_vec(),
        trained,
        pair: None,
        line: row.line,
    }
}

/// Tokens from all of the vocabulary of `decoder`, every one trained. Rows begin with one of `wanted` each, where there
/// are any.
pub(super) fn made_up(decoder: &Decoder, wanted: &[u32], effort: &Effort) -> Batch {
    let vocab_size = decoder.vocab_size();
    let n_tokens = effort.n_tokens.min(decoder.max_tokens()).min(32);
    let row = |line: usize| {
        let shares = uniform(0, &format!("row {line}"), n_tokens, 1.0).into_iter();
        let ids = shares.map(|share| ((share + 1.0) / 2.0 * vocab_size as f32) as u32);
        let mut tokens: Vec<u32> = ids.map(|id| id.min(vocab_size as u32 - 1)).collect();
        if let (Some(first), Some(id)) = (tokens.first_mut(), wanted.iter().cycle().nth(line)) {
            *first = *id;
        }
        Example {
            tokens,
            trained: (0..n_tokens).map(|i| i > 0).collect(),
            pair: None,
            line,
        }
    };
    let rows: Vec<Example> = (1..=effort.n_rows.min(4)).map(row).collect();
    laid_out(&rows)
}

fn laid_out(pieces: &[Example]) -> Batch {
    Batch::new(Arrangement::Padded, &pieces.iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_holds_the_first_trained_tokens() {
        for (len, first, n_tokens) in [(9, 8, 4), (100, 70, 16), (100, 1, 16), (5, 2, 16)] {
            let row = Example {
                tokens: (0..len as u32).collect(),
                trained: (0..len).map(|i| i >= first).collect(),
                pair: None,
                line: 1,
            };
            let piece = piece(&row, n_tokens);
            assert_eq!(piece.tokens.len(), len.min(n_tokens));
            assert!(piece.trained_tokens() > 0 && !piece.trained[0]);
            let trained = piece.trained.iter().position(|t| *t).unwrap();
            assert_eq!(piece.tokens[trained] as usize, first);
        }
    }
}

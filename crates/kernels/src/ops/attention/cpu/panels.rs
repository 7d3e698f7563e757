//! Keys or values transposed for products with queries: a token is a column.

use super::heads::Wide;
use super::inputs::Inputs;
use super::spans::{Keys, Which};
use super::tile::{Right, WIDEST_PANEL};
use metal_candle_cpu::threads::for_each_task;

/// Panels of 32 tokens, `(G, ceil(n / 32), D, 32)` of every piece, the last filled up with zeros.
pub(super) struct Panels {
    data: Vec<f32>,
    pieces: Vec<Place>,
    /// Elements of a panel.
    size: usize,
}

/// Panels of a piece.
#[derive(Clone, Copy, Default)]
struct Place {
    first: usize,
    per_head: usize,
}

impl Panels {
    /// The tokens of `sources` that some spans read, times `factor`.
    pub(super) fn new(
        inputs: &Inputs<'_>,
        sources: &[Wide<'_>],
        factor: f32,
        spans: Which,
    ) -> Self {
        let size = inputs.sizes.width * WIDEST_PANEL;
        let mut pieces = vec![Place::default(); inputs.spans.pieces.len()];
        let mut tasks = vec![];
        for number in inputs.spans.pieces_of(spans) {
            let piece = &inputs.spans.pieces[number];
            let per_head = piece.len.div_ceil(WIDEST_PANEL);
            let first = tasks.len();
            pieces[number] = Place { first, per_head };
            for head in 0..inputs.sizes.kv_heads {
                let firsts = (0..piece.len).step_by(WIDEST_PANEL);
                tasks.extend(firsts.map(|first| (piece, head, first)));
            }
        }
        let mut data = vec![0.0; tasks.len() * size];
        let elements = data.len();
        let tasks = tasks.into_iter().zip(data.chunks_mut(size.max(1)));
        for_each_task(tasks.collect(), elements, |_: &mut (), (task, to)| {
            let (piece, head, first) = task;
            let from = sources[piece.source].tokens(piece.row, head, piece.first + first);
            transpose(from, WIDEST_PANEL.min(piece.len - first), factor, to);
        });
        Self { data, pieces, size }
    }

    /// Panels of one head from the one that begins with the first of `keys` on.
    pub(super) fn from(&self, head: usize, keys: Keys) -> &[f32] {
        let Place { first, per_head } = self.pieces[keys.piece];
        let panel = first + head * per_head + keys.first / WIDEST_PANEL;
        &self.data[panel * self.size..]
    }
}

/// `to[d][token] = factor * from[token][d]`.
fn transpose(from: Right<'_>, tokens: usize, factor: f32, to: &mut [f32]) {
    for (d, to) in to.chunks_exact_mut(WIDEST_PANEL).enumerate() {
        for (token, to) in to[..tokens].iter_mut().enumerate() {
            *to = factor * from.data[token * from.step + d];
        }
    }
}

//! Keys or values transposed for products with queries: a token is a column.

use super::heads::Wide;
use super::sizes::Sizes;
use super::tile::{Right, WIDEST_PANEL};
use metal_candle_cpu::threads::for_each_task;

/// `(B, G, ceil(Tk / 32), D, 32)`: panels of 32 tokens, the last filled up with zeros.
pub(super) struct Panels {
    data: Vec<f32>,
    sizes: Sizes,
}

impl Panels {
    /// The tokens of `heads`, `(B, G, Tk, D)`, times `factor`.
    pub(super) fn new(heads: &Wide<'_>, factor: f32, sizes: Sizes) -> Self {
        let per_head = sizes.keys.div_ceil(WIDEST_PANEL);
        let panel = (sizes.width * WIDEST_PANEL).max(1);
        let mut data = vec![0.0; sizes.batch * sizes.kv_heads * per_head * panel];
        let elements = data.len();
        let tasks = data.chunks_mut(panel).enumerate().collect();
        for_each_task(tasks, elements, |_: &mut (), (i, to)| {
            let (head, first) = (i / per_head, i % per_head * WIDEST_PANEL);
            let (batch, head) = (head / sizes.kv_heads, head % sizes.kv_heads);
            let tokens = WIDEST_PANEL.min(sizes.keys - first);
            transpose(heads.tokens(batch, head, first), tokens, factor, to);
        });
        Self { data, sizes }
    }

    /// Panels of one head from the one that begins with `key` on.
    pub(super) fn from(&self, batch: usize, head: usize, key: usize) -> &[f32] {
        let per_head = self.sizes.keys.div_ceil(WIDEST_PANEL);
        let head = batch * self.sizes.kv_heads + head;
        let panel = head * per_head + key / WIDEST_PANEL;
        &self.data[panel * self.sizes.width * WIDEST_PANEL..]
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

/// Products of weights and tokens that take about a second on two cores, forward and backward.
const PRODUCTS: usize = 1 << 34;

/// Bounds of what the checks compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Rows that go through the model.
    pub n_rows: usize,
    /// Tokens of each of them.
    pub n_tokens: usize,
    /// Numbers of the weights that adapters are merged into; one layer is always looked at.
    pub n_merged: usize,
    /// Trained values that are read from their file again.
    pub n_read: usize,
    /// Rows whose mask is looked at.
    pub n_masked: usize,
}

impl Effort {
    /// Every layer, and whole rows of usual length.
    pub const WHOLE: Self = Self {
        n_rows: 8,
        n_tokens: 512,
        n_merged: usize::MAX,
        n_read: usize::MAX,
        n_masked: 4096,
    };

    /// About a second of work with a small model; with one of many parameters a few tokens and a few layers.
    #[must_use]
    pub fn quick(n_parameters: usize) -> Self {
        let n_tokens = (PRODUCTS / n_parameters.max(1)).clamp(16, 128);
        Self {
            n_rows: n_tokens.div_ceil(32),
            n_tokens: n_tokens.min(32),
            n_merged: 1 << 24,
            n_read: 1 << 26,
            n_masked: 64,
        }
    }
}

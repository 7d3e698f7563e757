//! Placeholder until the module lands.
/// A batch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Rows.
    pub n_rows: usize,
    /// Length.
    pub n_tokens: usize,
    /// Inputs.
    pub inputs: Vec<u32>,
    /// Targets.
    pub targets: Vec<i64>,
    /// Lines.
    pub lines: Vec<usize>,
    /// Number of targets.
    pub trained_tokens: usize,
}

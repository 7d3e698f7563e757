//! Cases that the published table has of a GPU alone, where each dtype is another kernel.

use candle_core::DType;
use metal_candle_kernels::case::{Case, TRAINED_TOKENS, of_table};
use metal_candle_kernels::ops::linear::cases::{CaseShape, Storage};

/// Inputs and outputs of layers with a weight in bf16: gate and up of Qwen2.5-0.5B, and a square.
const LAYERS: [[usize; 2]; 2] = [[896, 4864], [2048, 2048]];

/// The cases of the table in f32, in f16 and bf16.
pub fn in_16_bits<S: Clone>(table: &[Case<S>]) -> Vec<Case<S>> {
    let wide = table.iter().filter(|case| case.dtype == DType::F32);
    let shapes = wide.map(|case| case.shape.clone());
    of_table(shapes, &[DType::F16, DType::BF16])
}

/// Products of f32 with a weight in bf16, as training and generation have them: of a token, and of a training row.
pub fn mixed_products() -> Vec<Case<CaseShape>> {
    let rows = [1, TRAINED_TOKENS].into_iter();
    let shapes = rows.flat_map(|rows| LAYERS.map(|layer| mixed(rows, layer)));
    of_table(shapes, &[DType::F32])
}

fn mixed(rows: usize, [inputs, outputs]: [usize; 2]) -> CaseShape {
    CaseShape {
        lead: vec![rows],
        inputs,
        outputs,
        bias: false,
        storage: Storage::Dense(DType::BF16),
    }
}

//! Products with matrices in blocks of GGUF files, beside candle's with the same bytes.

use super::operation::{Implementation, Operation};
use super::subjects::linear;
use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Module, Tensor};
use metal_candle_cli::error::Result;
use metal_candle_kernels::case::{Case, Cost, MODELS, TRAINED_TOKENS, View};
use metal_candle_kernels::ops::linear::cases::{CaseShape, Storage};
use metal_candle_kernels::weight::gguf::{BlockType, Gguf};
use metal_candle_kernels::weight::packing::Packing;
use std::cell::OnceCell;

/// Types that are measured, as either side has them.
const TYPES: [(BlockType, GgmlDType); 6] = [
    (BlockType::Q4_0, GgmlDType::Q4_0),
    (BlockType::Q4_1, GgmlDType::Q4_1),
    (BlockType::Q5_0, GgmlDType::Q5_0),
    (BlockType::Q8_0, GgmlDType::Q8_0),
    (BlockType::Q4_K, GgmlDType::Q4K),
    (BlockType::Q6_K, GgmlDType::Q6K),
];

/// The feed-forward layers of the first model for one token and for a training row, where whole blocks fit into a row.
pub fn all() -> Vec<Operation> {
    let model = &MODELS[0];
    let layers = [
        (model.hidden, model.intermediate),
        (model.intermediate, model.hidden),
    ];
    let mut all = vec![];
    for rows in [1, TRAINED_TOKENS] {
        for (k, n) in layers {
            let fitting = TYPES
                .into_iter()
                .filter(|(block, _)| k % block.numbers() == 0);
            all.extend(fitting.map(|types| product(types, [rows, k, n])));
        }
    }
    all
}

/// The product of rows with a matrix `(N, K)`; candle's has no gradient, so that the result alone is compared.
pub fn product((block, dtype): (BlockType, GgmlDType), [rows, k, n]: [usize; 3]) -> Operation {
    let shape = CaseShape {
        lead: vec![rows],
        inputs: k,
        outputs: n,
        bias: false,
        storage: Storage::Packed(Packing::Gguf(block)),
    };
    let case = Case {
        name: MODELS[0].name.into(),
        shape,
        view: View::Contiguous,
        dtype: DType::F32,
    };
    Operation {
        backward: Cost::default(),
        candle: candle(block, dtype),
        ..linear(&case)
    }
}

/// candle's product, which rounds rows to eight bits a number.
fn candle(block: BlockType, dtype: GgmlDType) -> Implementation {
    let kept = OnceCell::new();
    Box::new(move |x| {
        if kept.get().is_none() {
            let _ = kept.set(matrix(&x[1], block, dtype)?);
        }
        match kept.get() {
            Some(matrix) => Ok(vec![matrix.forward(&x[0])?]),
            None => Ok(vec![]),
        }
    })
}

/// The bytes of our blocks as a matrix of candle's.
fn matrix(dense: &Tensor, block: BlockType, dtype: GgmlDType) -> Result<QMatMul> {
    let packed = Gguf::quantize(&dense.to_device(&candle_core::Device::Cpu)?, block)?;
    let bytes = packed.as_bytes().flatten_all()?.to_vec1::<u8>()?;
    let storage = QStorage::from_data(bytes.into(), dense.device(), dtype)?;
    Ok(QMatMul::from_qtensor(QTensor::new(storage, dense.dims())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn norm(x: &Tensor) -> f32 {
        x.sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
            .sqrt()
    }

    /// Eight bits of a number are half a hundredth of it; other bytes, or another order, would be wrong as a whole.
    #[test]
    fn candle_multiplies_with_the_same_bytes() {
        for types in TYPES {
            let operation = product(types, [3, 512, 40]);
            let x = Tensor::randn(0.0_f32, 1.0, (3, 512), &Device::Cpu).unwrap();
            let w = Tensor::randn(0.0_f32, 1.0, (40, 512), &Device::Cpu).unwrap();
            let inputs = [x, w];
            let ours = (operation.run)(&inputs).unwrap().remove(0);
            let theirs = (operation.candle)(&inputs).unwrap().remove(0);
            let off = norm(&(&ours - theirs).unwrap()) / norm(&ours);
            assert!(off > 0.0 && off < 0.02, "{}: {off}", operation.case);
        }
    }

    #[test]
    fn blocks_of_256_numbers_need_a_row_of_them() {
        let cases: Vec<_> = all().into_iter().map(|o| o.case).collect();
        assert!(cases.contains(&"1x4864x896 Q4_K".to_owned()), "{cases:?}");
        let of_256 = TYPES.iter().filter(|(block, _)| block.numbers() == 256);
        let n_cases = 2 * (2 * TYPES.len() - of_256.count());
        assert_eq!(cases.len(), n_cases, "{cases:?}");
    }
}

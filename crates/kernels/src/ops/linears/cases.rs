//! Shapes of products that share a launch.

use crate::case::{self, Case, View};
use crate::ops::glu::Activation;
use crate::ops::linear::cases::Storage;
use crate::weight::packing::Packing;
use candle_core::DType;

/// Sizes, how the weights are stored, and what follows the products.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseShape {
    /// Leading dimensions of `x`.
    pub lead: Vec<usize>,
    /// `K`.
    pub inputs: usize,
    /// `N` of each layer.
    pub outputs: Vec<usize>,
    /// Whether there are biases; the second layer of three has none.
    pub bias: bool,
    /// How the weights are stored.
    pub storage: Storage,
    /// Computation that follows.
    pub then: Then,
    /// Ranks of the layers' adapters; none where absent, or zero.
    pub ranks: Vec<usize>,
}

/// Computation that follows the products.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    /// [`linears`](super::linears).
    Nothing,
    /// [`gated_linear`](super::gated_linear).
    Gate(Activation),
    /// [`linear_onto`](super::linear_onto).
    Add,
}

/// Every number of rows that has a kernel and one more, every dtype, and sizes that are no multiple of any block.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let (f32, f16, bf16) = (DType::F32, DType::F16, DType::BF16);
    let affine = |bits, factors| {
        Storage::Packed(Packing::Affine {
            bits,
            group: 32,
            factors,
        })
    };
    let (silu, gelu) = (
        Then::Gate(Activation::Silu),
        Then::Gate(Activation::GeluTanh),
    );
    let (nothing, nf4) = (Then::Nothing, Storage::Packed(Packing::Nf4));
    let by_columns = Storage::Packed(Packing::ZeroPoint);
    case::small([
        shape(&[1], 64, &[24, 8, 8], true, Storage::Dense(bf16), nothing),
        shape(&[2], 37, &[5, 9, 17], false, Storage::Dense(f16), nothing),
        shape(&[1, 3], 260, &[33, 1], true, Storage::Dense(f32), nothing),
        shape(&[2, 4], 64, &[9, 3, 7], true, affine(4, bf16), nothing),
        shape(&[9], 32, &[5, 9, 17], true, Storage::Dense(bf16), nothing),
        shape(&[2], 128, &[9, 3, 7], false, by_columns, nothing),
        shape(&[1], 64, &[21, 21], false, Storage::Dense(bf16), silu),
        shape(&[1, 2], 33, &[9, 9], true, Storage::Dense(f32), gelu),
        shape(&[4], 96, &[18, 18], true, affine(8, f16), silu),
        shape(&[5], 40, &[7, 7], true, Storage::Dense(f16), gelu),
        shape(&[1], 33, &[9, 9], false, Storage::Dense(f16), gelu),
        shape(&[2], 64, &[9, 9], true, Storage::Dense(bf16), silu),
        shape(&[4], 40, &[7, 7], false, Storage::Dense(f32), gelu),
        shape(&[7], 96, &[5, 5], true, affine(4, bf16), silu),
        shape(&[3], 64, &[9, 9], true, by_columns, silu),
        shape(&[10], 40, &[7, 7], true, Storage::Dense(bf16), silu),
        shape(&[1], 64, &[21], false, Storage::Dense(bf16), Then::Add),
        shape(&[1, 5], 37, &[6], false, nf4, Then::Add),
        shape(&[9], 37, &[6], true, Storage::Dense(f32), Then::Add),
    ])
}

/// Adapters on all layers and on some, of ranks that are no multiple of a SIMD group; in a launch of the weights, and where
/// there is none: for nine rows. Each in float32, and in another layout.
#[must_use]
pub fn with_adapters() -> Vec<Case<CaseShape>> {
    let dense = [DType::F32, DType::F16, DType::BF16].map(Storage::Dense);
    let ([f32, f16, bf16], nf4) = (dense, Storage::Packed(Packing::Nf4));
    let (silu, gelu) = (
        Then::Gate(Activation::Silu),
        Then::Gate(Activation::GeluTanh),
    );
    let shapes: [(&[usize], CaseShape); 8] = [
        (
            &[8, 3, 40],
            shape(&[1], 64, &[24, 8, 8], true, bf16, Then::Nothing),
        ),
        (
            &[0, 5],
            shape(&[1, 3], 64, &[33, 1], true, nf4, Then::Nothing),
        ),
        (&[4], shape(&[2], 37, &[9], true, f32, Then::Nothing)),
        (
            &[2, 2, 2],
            shape(&[9], 32, &[5, 9, 17], true, bf16, Then::Nothing),
        ),
        (&[8, 33], shape(&[1], 64, &[21, 21], true, bf16, silu)),
        (&[0, 6], shape(&[5], 40, &[7, 7], false, f16, gelu)),
        (&[8], shape(&[1], 64, &[21], false, bf16, Then::Add)),
        (&[3], shape(&[1, 5], 64, &[6], false, nf4, Then::Add)),
    ];
    let cases = shapes.into_iter().zip(View::ALL.into_iter().cycle());
    let cases = cases.map(|((ranks, shape), view)| {
        let ranks = ranks.to_vec();
        Case {
            view,
            ..case::plain(CaseShape { ranks, ..shape })
        }
    });
    cases.collect()
}

fn shape(
    lead: &[usize],
    inputs: usize,
    outputs: &[usize],
    bias: bool,
    storage: Storage,
    then: Then,
) -> CaseShape {
    CaseShape {
        lead: lead.to_vec(),
        inputs,
        outputs: outputs.to_vec(),
        bias,
        storage,
        then,
        ranks: vec![],
    }
}

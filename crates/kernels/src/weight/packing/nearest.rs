//! Matrices in formats that have no quantizer here, with factors that suit numbers about one: cases do
//! not ask how well a format fits its numbers.

use crate::Result;
use crate::weight::bnb_int8::BnbInt8;
use crate::weight::codes::{E2M1, E4M3};
use crate::weight::fp8::Fp8;
use crate::weight::gguf::{BlockType, Gguf, IQ4_NL};
use crate::weight::microscaling::{Kind, Microscaled};
use crate::weight::zero_point::{Layout, Parts, Sizes, ZeroPoint};
use candle_core::{Device, Tensor};
use half::f16;

/// Columns that share a scale and a zero point.
pub(super) const GROUP: usize = 32;

/// A quarter, as e8m0 and as e4m3.
const QUARTERS: [u8; 2] = [125, 0x28];

/// Small floats under scales of a quarter.
pub(super) fn microscaled(matrix: &Tensor, kind: Kind) -> Result<Microscaled> {
    let (n, k) = matrix.dims2()?;
    let table = match kind.bits() {
        4 => &E2M1[..],
        _ => &E4M3[..],
    };
    let codes = codes(&(matrix * 4.0)?, table)?;
    let words = codes.chunks(32 / kind.bits()).map(|codes| {
        let codes = codes.iter().rev();
        codes.fold(0, |word, code| word << kind.bits() | u32::from(*code))
    });
    let words = Tensor::from_vec(words.collect::<Vec<u32>>(), (n, ()), matrix.device())?;
    let scale = QUARTERS[usize::from(kind == Kind::Nvfp4)];
    let scales = Tensor::full(scale, (n, k / kind.group()), matrix.device())?;
    Microscaled::new(kind, [words, scales])
}

/// e4m3 under scales that differ from block to block.
pub(super) fn fp8(matrix: &Tensor, block: (usize, usize)) -> Result<Fp8> {
    let (n, k) = matrix.dims2()?;
    let bytes = Tensor::from_vec(codes(matrix, &E4M3)?, (n, k), matrix.device())?;
    let blocks = (n.div_ceil(block.0), k.div_ceil(block.1));
    let scales = (0..blocks.0 * blocks.1).map(|i| 0.75 + 0.125 * (i % 5) as f32);
    let scales = Tensor::from_vec(scales.collect::<Vec<f32>>(), blocks, matrix.device())?;
    Fp8::new([bytes, scales], block)
}

/// Signed numbers under the largest magnitudes of rows.
pub(super) fn int8(matrix: &Tensor) -> Result<BnbInt8> {
    let (device, matrix) = (matrix.device(), matrix.to_device(&Device::Cpu)?);
    let largest = matrix.abs()?.max_keepdim(1)?;
    let steps = (matrix.broadcast_div(&largest)? * 127.0)?.round()?;
    let steps = steps.flatten_all()?.to_vec1::<f32>()?.into_iter();
    let bytes = steps.map(|step| (step as i8).cast_unsigned());
    let bytes = Tensor::from_vec(bytes.collect::<Vec<u8>>(), matrix.dims2()?, device)?;
    BnbInt8::new([bytes, largest.to_device(device)?])
}

/// GPTQ's four bits under scales of a quarter to a half, zero points about the middle: column `k` is in group `k % groups`.
pub(super) fn zero_point(matrix: &Tensor) -> Result<ZeroPoint> {
    let ((n, k), device) = (matrix.dims2()?, matrix.device());
    let groups = k / GROUP;
    let scale = |row: usize, group: usize| 0.25 + ((row + group) % 5) as f32 / 16.0;
    let zero = |row: usize, group: usize| 6 + (row + 2 * group) % 4;
    let numbers = matrix.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
    let number = |row: usize, column: usize| {
        let group = column % groups;
        let steps = (numbers[row][column] / scale(row, group)).round();
        (steps + zero(row, group) as f32).clamp(0.0, 15.0) as u32
    };
    let together =
        |number: &dyn Fn(usize) -> u32| -> u32 { (0..8).map(|i| number(i) << (4 * i)).sum() };
    let of_columns = |at: usize| together(&|i| number(at % n, at / n * 8 + i));
    let words = (0..k / 8 * n).map(of_columns).collect::<Vec<u32>>();
    let across = n.div_ceil(8);
    // They are one less than they stand for; behind the last row there is none.
    let stored = |row: usize, group: usize| match row < n {
        true => zero(row, group) as u32 - 1,
        false => 0,
    };
    let of_groups = |at: usize| together(&|i| stored(at % across * 8 + i, at / across));
    let zeros = (0..groups * across).map(of_groups).collect::<Vec<u32>>();
    let scales = (0..groups * n).map(|at| scale(at % n, at / n));
    let columns = (0..k).map(|column| (column % groups) as u32);
    let sizes = Sizes {
        dims: (n, k),
        bits: 4,
        group: GROUP,
    };
    let parts = Parts {
        words: Tensor::from_vec(words, (k / 8, n), device)?,
        zeros: Some(Tensor::from_vec(zeros, (groups, across), device)?),
        scales: Tensor::from_vec(scales.collect::<Vec<f32>>(), (groups, n), device)?,
        groups: Some(Tensor::from_vec(columns.collect::<Vec<u32>>(), k, device)?),
    };
    ZeroPoint::new(Layout::Gptq, sizes, &parts)
}

/// Values of a table under a scale of a 64th.
pub(super) fn iq4_nl(matrix: &Tensor) -> Result<Gguf> {
    let d = f16::from_f32(1.0 / 64.0).to_le_bytes();
    let codes = codes(&(matrix * 64.0)?, &IQ4_NL.map(f32::from))?;
    let blocks = codes.chunks_exact(32).flat_map(|codes| {
        let (low, high) = codes.split_at(16);
        let pairs = low.iter().zip(high).map(|(low, high)| low | high << 4);
        d.into_iter().chain(pairs)
    });
    let rows = (matrix.dims2()?.0, ());
    let bytes = Tensor::from_vec(blocks.collect::<Vec<u8>>(), rows, matrix.device())?;
    Gguf::new(bytes, BlockType::IQ4_NL)
}

/// The code of the nearest value of every number.
fn codes(matrix: &Tensor, table: &[f32]) -> Result<Vec<u8>> {
    let numbers = matrix.flatten_all()?.to_vec1::<f32>()?.into_iter();
    let nearest = |x: f32| {
        let mut best = 0;
        for (code, value) in table.iter().enumerate() {
            if (value - x).abs() < (table[best] - x).abs() {
                best = code;
            }
        }
        best as u8
    };
    Ok(numbers.map(nearest).collect())
}

//! Groups of whole numbers of a few bits with a scale and a zero point each: `w = (q - zero) * scale`, as GPTQ
//! (arXiv:2210.17323), AWQ (arXiv:2306.00978) and compressed-tensors store them.
//!
//! Their files pack along columns, along rows in an order of their own, or along rows ([`Layout`]), and the columns of a
//! group may lie anywhere in a row (`g_idx`). What is read here is put into rows of the affine format, column after column
//! of each group, with the bias `-zero * scale` in float32: the same numbers, since products of so few bits with a factor
//! of 16 bits are exact. These are the numbers that the tools have in float32; in float16 they round them.

mod cpu;
mod layout;
mod metal;
mod order;
mod reference;
mod rows;
#[cfg(test)]
mod tests;

pub use layout::Layout;

use super::affine::{Affine, GROUPS};
use super::{Blocks, Msl, Packed, check};
use crate::Result;
use candle_core::{DType, Device, Result as CandleResult, Tensor};
use order::Order;
use rows::Rows;

/// The name in errors.
const NAME: &str = "zero_point";

/// Dtypes of scales.
const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Sizes of a matrix and of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `(N, K)`.
    pub dims: (usize, usize),
    /// Bits of a number.
    pub bits: usize,
    /// Columns that share a scale.
    pub group: usize,
}

/// The tensors of a file.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Numbers, u32 in any shape.
    pub words: Tensor,
    /// Zero points, u32 in any shape; without them each is the middle one.
    pub zeros: Option<Tensor>,
    /// Scales: `(K / group, N)`, or `(N, K / group)`, as the layout has them.
    pub scales: Tensor,
    /// Group of every column, u32 `(K)`; without it columns of a group lie side by side.
    pub groups: Option<Tensor>,
}

/// A matrix `(N, K)` of numbers with zero points.
#[derive(Clone, Debug)]
pub struct ZeroPoint {
    layout: Layout,
    sizes: Sizes,
    /// The matrix, its columns in the order of their groups.
    rows: Affine,
    /// Words of the rows, behind the column of every place where there is an order.
    stored: Tensor,
    /// The order, where it is not that of the matrix.
    order: Option<Order>,
}

impl Parts {
    fn in_host_memory(&self) -> CandleResult<Self> {
        let on_host = |part: &Tensor| part.to_device(&Device::Cpu);
        Ok(Self {
            words: on_host(&self.words)?,
            zeros: self.zeros.as_ref().map(on_host).transpose()?,
            scales: on_host(&self.scales)?,
            groups: self.groups.as_ref().map(on_host).transpose()?,
        })
    }
}

impl ZeroPoint {
    /// Takes the tensors of a file. The host arranges them, wherever they lie; the matrix lies where the words did.
    ///
    /// # Errors
    /// When a size is none that the layout has, a shape or dtype does not fit, a group has more or fewer columns than
    /// others, or the device has no kernels.
    pub fn new(layout: Layout, sizes: Sizes, parts: &Parts) -> Result<Self> {
        check_sizes(layout, sizes)?;
        check_parts(layout, sizes, parts)?;
        let host = parts.in_host_memory()?;
        let groups = host.groups.as_ref();
        let order = groups
            .map(|groups| Order::new(groups, sizes))
            .transpose()?
            .flatten();
        let rows = Rows::new(layout, sizes, &host, order.as_ref())?;
        let (rows, stored) = rows.on(parts.words.device())?;
        Ok(Self {
            layout,
            sizes,
            rows,
            stored,
            order,
        })
    }
}

fn check_sizes(layout: Layout, sizes: Sizes) -> Result<()> {
    let Sizes { dims, bits, group } = sizes;
    check::one_of(NAME, "bits", layout.bits(), bits)?;
    if dims.0 == 0 || dims.1 == 0 || group == 0 || !dims.1.is_multiple_of(group) {
        let expected = format!("one of whole groups of {group} columns");
        let got = format!("({}, {})", dims.0, dims.1);
        return Err(check::value(NAME, "shape", expected, got));
    }
    if layout == Layout::Awq && !dims.0.is_multiple_of(8) {
        return Err(check::value(NAME, "rows", "a multiple of 8", dims.0));
    }
    match group.is_multiple_of(GROUPS[0]) {
        true => Ok(()),
        false => {
            let expected = format!("a multiple of {}", GROUPS[0]);
            Err(check::value(NAME, "group", expected, group))
        }
    }
}

fn check_parts(layout: Layout, sizes: Sizes, parts: &Parts) -> Result<()> {
    let Sizes { dims, bits, group } = sizes;
    let n_groups = dims.1 / group;
    let words = dims.0 * dims.1 * bits / 32;
    check::numbers(NAME, "weight", words, &parts.words, DType::U32)?;
    if let Some(zeros) = &parts.zeros {
        let words = n_groups * (dims.0 * bits).div_ceil(32);
        check::numbers(NAME, "zeros", words, zeros, DType::U32)?;
    }
    if let Some(groups) = &parts.groups {
        check::numbers(NAME, "g_idx", dims.1, groups, DType::U32)?;
    }
    let of_scales = layout.of_scales(dims.0, n_groups);
    check::rows(NAME, "scales", of_scales, &parts.scales, &FLOATS)
}

impl Packed for ZeroPoint {
    fn kind(&self) -> String {
        let Sizes { bits, group, .. } = self.sizes;
        let order = match self.order {
            None => "",
            Some(_) => ", columns by activation",
        };
        format!(
            "{}, {bits} bits in groups of {group}{order}",
            self.layout.name()
        )
    }

    fn dims(&self) -> (usize, usize) {
        self.sizes.dims
    }

    fn device(&self) -> &Device {
        self.rows.device()
    }

    /// Parts of the rows: those of the file are packed in another way.
    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        self.rows.tensors()
    }

    fn dense(&self) -> Result<Tensor> {
        reference::dense(self)
    }

    fn on_host(&self) -> CandleResult<Box<dyn Blocks + '_>> {
        match &self.order {
            None => self.rows.on_host(),
            Some(order) => Ok(Box::new(cpu::OnHost::new(self, order)?)),
        }
    }

    fn msl(&self) -> Option<Msl<'_>> {
        metal::msl(self)
    }
}

//! `mps_matmul`.

use candle_core::backend::BackendDevice;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Shape, Tensor};

use super::backend::Backend;
use super::held::{Request, Room};
use super::layouts::Layouts;
use super::{Error, Result};
use crate::plan::{Engine, Slot};

/// Options of [`MpsMatMul::mps_matmul_with`], which computes `alpha * op(left) op(right) + beta * addend`.
#[derive(Debug, Clone, Copy)]
pub struct MatMulOptions<'a> {
    /// The left factor is stored as `(.., K, M)`.
    pub transpose_left: bool,
    /// The right factor is stored as `(.., N, K)`.
    pub transpose_right: bool,
    /// Factor of the product, which kernels take as a float32.
    pub alpha: f64,
    /// Factor of the addend; with 0, or without an addend, nothing is added and nothing read.
    pub beta: f64,
    /// What is added; it broadcasts to `(.., M, N)`.
    pub addend: Option<&'a Tensor>,
    /// The engine, instead of the one that the policy chooses.
    pub engine: Option<Engine>,
}

impl Default for MatMulOptions<'_> {
    /// The plain product.
    fn default() -> Self {
        Self {
            transpose_left: false,
            transpose_right: false,
            alpha: 1.0,
            beta: 1.0,
            addend: None,
            engine: None,
        }
    }
}

/// Products of tensors by the engines of this crate.
///
/// `left` is `(.., M, K)` and `right` `(.., K, N)`, at least two dimensions each; the dimensions in
/// front broadcast as in PyTorch's `matmul`. Tensors are f32, f16 or bf16, all of one type and on
/// one device, and may be views of any layout: what no engine takes as it lies is copied. Sums are
/// accumulated in at least float32. A product without elements is empty, and one over nothing is 0.
///
/// Backward: `dleft = alpha dy op(right)^T`, `dright = alpha op(left)^T dy`, `daddend = beta dy`,
/// each summed over what was broadcast, and only for what is tracked.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use metal_candle_mps::tensor::MpsMatMul;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let left = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu)?;
/// let right = Tensor::new(&[[7f32, 8.], [9., 10.], [11., 12.]], &Device::Cpu)?;
/// let product = left.mps_matmul(&right)?;
/// assert_eq!(product.to_vec2::<f32>()?, [[58., 64.], [139., 154.]]);
/// # Ok(())
/// # }
/// ```
pub trait MpsMatMul {
    /// The product.
    ///
    /// # Errors
    ///
    /// An [`Error`] that says which dimensions, type, device or limit does not fit.
    fn mps_matmul(&self, right: &Tensor) -> Result<Tensor>;

    /// The product, transposed, scaled and added to as the options say.
    ///
    /// # Errors
    ///
    /// The same; [`Error::Limit`] if the engine that was asked for cannot.
    fn mps_matmul_with(&self, right: &Tensor, options: &MatMulOptions<'_>) -> Result<Tensor>;
}

impl MpsMatMul for Tensor {
    fn mps_matmul(&self, right: &Tensor) -> Result<Tensor> {
        self.mps_matmul_with(right, &MatMulOptions::default())
    }

    fn mps_matmul_with(&self, right: &Tensor, options: &MatMulOptions<'_>) -> Result<Tensor> {
        check_operand(self, self, Slot::Left)?;
        check_operand(self, right, Slot::Right)?;
        let op = Product {
            transposed: [options.transpose_left, options.transpose_right],
            alpha: options.alpha,
            beta: options.beta,
            engine: options.engine,
        };
        Ok(match options.addend {
            Some(addend) if options.beta != 0.0 => {
                check_operand(self, addend, Slot::Addend)?;
                self.apply_op3(right, addend, op)?
            }
            _ => self.apply_op2(right, op)?,
        })
    }
}

/// Checks an operand against the first one.
fn check_operand(first: &Tensor, tensor: &Tensor, operand: Slot) -> Result<()> {
    let (dtype, got) = (first.dtype(), tensor.dtype());
    if !matches!(got, DType::F32 | DType::F16 | DType::BF16) {
        return Err(Error::DType {
            operand,
            expected: "F32, F16 or BF16".into(),
            got,
        });
    }
    if got != dtype {
        return Err(Error::DType {
            operand,
            expected: format!("{dtype:?}"),
            got,
        });
    }
    let (device, got) = (first.device(), tensor.device().location());
    if device.is_cuda() {
        return Err(Error::Device {
            operand,
            expected: "the CPU or an Apple GPU".into(),
            got,
        });
    }
    if !device.same_device(tensor.device()) {
        let expected = format!("{:?}", device.location());
        return Err(Error::Device {
            operand,
            expected,
            got,
        });
    }
    Ok(())
}

/// The operation of the graph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub transposed: [bool; 2],
    pub alpha: f64,
    pub beta: f64,
    pub engine: Option<Engine>,
}

type Stored<'a, S> = (&'a S, &'a Layout);

impl Product {
    pub fn forward<S: Backend>(
        &self,
        left: Stored<'_, S>,
        right: Stored<'_, S>,
        addend: Option<Stored<'_, S>>,
        room: Room,
    ) -> Result<(S, Shape)> {
        let layouts = Layouts::new(left.1, right.1, self.transposed)?;
        let added = |(storage, layout)| Ok::<_, Error>((storage, layouts.addend(layout)?));
        let addend = addend.map(added).transpose()?;
        let shape = layouts.shape.clone();
        if shape.elem_count() == 0 || layouts.inner == 0 {
            return Ok((self.of_nothing(left.0, addend, &shape)?, shape));
        }
        let request = Request {
            left: (left.0, layouts.left),
            right: (right.0, layouts.right),
            beta: if addend.is_some() { self.beta } else { 0.0 },
            addend,
            alpha: self.alpha,
            engine: self.engine,
        };
        Ok((request.run(&shape, room)?, shape))
    }

    /// The product with `result` as the addend, in its own memory if that is long enough.
    #[cfg(any(target_vendor = "apple", soft_metal, test))]
    pub fn forward_onto<S: Backend>(
        &self,
        result: S,
        left: Stored<'_, S>,
        right: Stored<'_, S>,
    ) -> Result<S> {
        let layouts = Layouts::new(left.1, right.1, self.transposed)?;
        if layouts.shape.elem_count() == 0 || layouts.inner == 0 {
            return Ok(result.affine(&Layout::contiguous(layouts.shape), self.beta, 0.0)?);
        }
        let request = Request {
            left: (left.0, layouts.left),
            right: (right.0, layouts.right),
            addend: None,
            alpha: self.alpha,
            beta: self.beta,
            engine: self.engine,
        };
        request.run_into(result, &layouts.shape)
    }

    /// A sum without terms, and what is added to it.
    fn of_nothing<S: Backend>(
        &self,
        left: &S,
        addend: Option<(&S, Layout)>,
        shape: &Shape,
    ) -> Result<S> {
        Ok(match addend {
            Some((storage, layout)) if shape.elem_count() > 0 => {
                storage.affine(&layout, self.beta, 0.0)?
            }
            _ => left.device().zeros_impl(shape, left.dtype())?,
        })
    }
}

type CandleResult<T> = candle_core::Result<T>;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "mps_matmul"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        Ok(self.forward((s1, l1), (s2, l2), None, Room::None)?)
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        s1: &candle_core::MetalStorage,
        l1: &Layout,
        s2: &candle_core::MetalStorage,
        l2: &Layout,
    ) -> CandleResult<(candle_core::MetalStorage, Shape)> {
        Ok(self.forward((s1, l1), (s2, l2), None, Room::None)?)
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let [d_left, d_right] = self.gradients(left, right, dy)?;
        Ok((d_left, d_right))
    }
}

impl CustomOp3 for Product {
    fn name(&self) -> &'static str {
        "mps_matmul"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        Ok(self.forward((s1, l1), (s2, l2), Some((s3, l3)), Room::None)?)
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        s1: &candle_core::MetalStorage,
        l1: &Layout,
        s2: &candle_core::MetalStorage,
        l2: &Layout,
        s3: &candle_core::MetalStorage,
        l3: &Layout,
    ) -> CandleResult<(candle_core::MetalStorage, Shape)> {
        Ok(self.forward((s1, l1), (s2, l2), Some((s3, l3)), Room::None)?)
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        addend: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [d_left, d_right] = self.gradients(left, right, dy)?;
        Ok((d_left, d_right, self.d_addend(addend, dy)?))
    }
}

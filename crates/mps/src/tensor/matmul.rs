//! `mps_matmul`.

#[cfg(any(target_vendor = "apple", soft_metal))]
use candle_core::MetalStorage as Metal;
use candle_core::backend::BackendDevice;
use candle_core::{CpuStorage as Cpu, CustomOp2, CustomOp3, DType, Layout, Shape, Tensor};

use super::operand::{Backend, Operand};
use super::run::{Room, Run};
use super::shapes::{broadcast, broadcast_addend};
use super::{Error, Result};
use crate::plan::{Engine, Slot};
#[cfg(any(target_vendor = "apple", soft_metal))]
use crate::{
    plan::{Gemm, View},
    policy::Policy,
};

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
    let is_taken = matches!(got, DType::F32 | DType::F16 | DType::BF16);
    if !is_taken || got != dtype {
        let expected = match is_taken {
            true => format!("{dtype:?}"),
            false => "F32, F16 or BF16".into(),
        };
        return Err(Error::DType {
            operand,
            expected,
            got,
        });
    }
    let (device, got) = (first.device(), tensor.device().location());
    if device.is_cuda() || !device.same_device(tensor.device()) {
        let expected = match device.is_cuda() {
            true => "the CPU or an Apple GPU".into(),
            false => format!("{:?}", device.location()),
        };
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
        let (factors, shape) = self.factors(left, right)?;
        let added = |(storage, layout)| {
            let layout = broadcast_addend(layout, &shape)?;
            Ok::<_, Error>(Operand::Given(storage, layout))
        };
        let addend = addend.map(added).transpose()?;
        if is_of_nothing(factors[0].layout(), &shape) {
            return Ok((self.of_nothing(left.0, addend, &shape)?, shape));
        }
        let (count, dtype) = (shape.elem_count(), left.0.dtype());
        let result = left.0.allocate(count, room.elements(&shape), dtype)?;
        let product = Self {
            beta: if addend.is_some() { self.beta } else { 0.0 },
            ..*self
        };
        let mut run = Run::new(product, factors, result, &shape);
        run.addend = addend;
        Ok((run.run()?, shape))
    }

    /// The product with `result` as the addend, in its own memory if that is long enough.
    #[cfg(any(target_vendor = "apple", soft_metal, test))]
    pub fn forward_onto<S: Backend>(
        &self,
        result: S,
        left: Stored<'_, S>,
        right: Stored<'_, S>,
    ) -> Result<S> {
        let (factors, shape) = self.factors(left, right)?;
        if is_of_nothing(factors[0].layout(), &shape) {
            return Ok(result.affine(&Layout::contiguous(shape), self.beta, 0.0)?);
        }
        Run::new(*self, factors, result, &shape).run()
    }

    /// The engine that `policy` has for the product alone; `None` where nothing is multiplied, or no engine takes the factors as
    /// they lie.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    pub fn engine_of<S: Backend>(
        &self,
        policy: &Policy,
        left: Stored<'_, S>,
        right: Stored<'_, S>,
    ) -> Result<Option<Engine>> {
        let ([left, right], shape) = self.factors(left, right)?;
        if is_of_nothing(left.layout(), &shape) {
            return Ok(None);
        }
        let dtype = left.storage().dtype();
        let bytes = shape.elem_count() * dtype.size_in_bytes();
        let result = View::of(dtype, &Layout::contiguous(&shape), bytes)?;
        let (left, right) = (left.view()?, right.view()?);
        let gemm = Gemm::new(&left, &right, &result);
        let planned = policy.plan(&gemm, None);
        Ok(planned.ok().map(|(_, choice)| choice.engine))
    }

    /// The factors with all dimensions in place, and the shape of the product.
    fn factors<'a, S: Backend>(
        &self,
        left: Stored<'a, S>,
        right: Stored<'a, S>,
    ) -> Result<([Operand<'a, S>; 2], Shape)> {
        let ([left_at, right_at], shape) = broadcast([left.1, right.1], self.transposed)?;
        let left = Operand::Given(left.0, left_at);
        Ok(([left, Operand::Given(right.0, right_at)], shape))
    }

    /// A sum without terms, and what is added to it.
    fn of_nothing<S: Backend>(
        &self,
        left: &S,
        addend: Option<Operand<'_, S>>,
        shape: &Shape,
    ) -> Result<S> {
        Ok(match addend {
            Some(addend) if shape.elem_count() > 0 => {
                let storage = addend.storage();
                storage.affine(addend.layout(), self.beta, 0.0)?
            }
            _ => left.device().zeros_impl(shape, left.dtype())?,
        })
    }
}

/// Whether there is nothing to multiply: no element, or sums without terms.
fn is_of_nothing(left: &Layout, shape: &Shape) -> bool {
    shape.elem_count() == 0 || left.dims().ends_with(&[0])
}

/// Outcome of an operation of the graph, as candle wants it.
type Forward<S> = candle_core::Result<(S, Shape)>;
type Gradient = Option<Tensor>;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "mps_matmul"
    }

    fn cpu_fwd(&self, a: &Cpu, a_at: &Layout, b: &Cpu, b_at: &Layout) -> Forward<Cpu> {
        Ok(self.forward((a, a_at), (b, b_at), None, Room::None)?)
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(&self, a: &Metal, a_at: &Layout, b: &Metal, b_at: &Layout) -> Forward<Metal> {
        Ok(self.forward((a, a_at), (b, b_at), None, Room::None)?)
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Gradient, Gradient)> {
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
        a: &Cpu,
        a_at: &Layout,
        b: &Cpu,
        b_at: &Layout,
        c: &Cpu,
        c_at: &Layout,
    ) -> Forward<Cpu> {
        Ok(self.forward((a, a_at), (b, b_at), Some((c, c_at)), Room::None)?)
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        a: &Metal,
        a_at: &Layout,
        b: &Metal,
        b_at: &Layout,
        c: &Metal,
        c_at: &Layout,
    ) -> Forward<Metal> {
        Ok(self.forward((a, a_at), (b, b_at), Some((c, c_at)), Room::None)?)
    }

    fn bwd(
        &self,
        left: &Tensor,
        right: &Tensor,
        addend: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Gradient, Gradient, Gradient)> {
        let [d_left, d_right] = self.gradients(left, right, dy)?;
        Ok((d_left, d_right, self.d_addend(addend, dy)?))
    }
}

use super::{Array, Failure};
use crate::case::View;
use crate::random;
use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Tensor, Var};

/// One float input of a [`super::Problem`].
#[derive(Clone, Debug)]
pub struct Input {
    pub(super) name: &'static str,
    pub(super) values: Array,
    pub(super) dtype: Option<DType>,
    pub(super) differentiable: bool,
    pub(super) view: View,
}

impl Input {
    /// Numbers in `[-1, 1)` that depend on the name.
    #[must_use]
    pub fn new(name: &'static str, dims: &[usize]) -> Self {
        let seed = name.bytes().fold(0, |h, b| random::mix_seed(h, b.into()));
        let mut element = 0..;
        let values = Array::from_fn(dims, |_| {
            let i = element.next().unwrap_or_default();
            2.0 * random::uniform(seed, i) - 1.0
        });
        Self {
            name,
            values,
            dtype: None,
            differentiable: true,
            view: View::Contiguous,
        }
    }

    /// With every number replaced by `f` of it.
    #[must_use]
    pub fn map(mut self, f: impl FnMut(f64) -> f64) -> Self {
        self.values.data = self.values.data.into_iter().map(f).collect();
        self
    }

    /// In a dtype of its own, whatever the check's.
    #[must_use]
    pub fn in_dtype(mut self, dtype: Option<DType>) -> Self {
        self.dtype = dtype;
        self
    }

    /// Without a gradient by the operation's definition, tracked or not.
    #[must_use]
    pub fn constant(mut self) -> Self {
        self.differentiable = false;
        self
    }

    /// In another layout.
    #[must_use]
    pub fn viewed(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// The numbers as `dtype` holds them.
    ///
    /// # Errors
    /// When candle does not know the dtype.
    pub fn rounded(&self, dtype: DType) -> Result<Array, Failure> {
        self.values.rounded(dtype)
    }

    pub(super) fn dtype_or(&self, dtype: DType) -> DType {
        self.dtype.unwrap_or(dtype)
    }

    /// `values` in this input's layout on `device`.
    pub(super) fn place(
        &self,
        values: &Array,
        dtype: DType,
        device: &Device,
        tracked: bool,
    ) -> Result<Placed, Failure> {
        let view = Placement::of(self.view, &values.dims);
        let memory = view.memory(&values.to_tensor(dtype)?)?.to_device(device)?;
        let variable = tracked.then(|| Var::from_tensor(&memory)).transpose()?;
        let memory = variable.as_ref().map_or(&memory, Var::as_tensor);
        Ok(Placed {
            tensor: view.apply(memory)?,
            view,
            variable,
        })
    }
}

/// An input on a device.
pub(super) struct Placed {
    pub(super) tensor: Tensor,
    view: Placement,
    variable: Option<Var>,
}

impl Placed {
    pub(super) fn is_tracked(&self) -> bool {
        self.variable.is_some()
    }

    pub(super) fn gradient(&self, grads: &GradStore) -> Result<Option<Tensor>, Failure> {
        let memory = self.variable.as_ref().and_then(|v| grads.get(v));
        memory.map(|memory| self.view.apply(memory)).transpose()
    }
}

/// Place of an input in its memory.
#[derive(Clone, Copy, Debug)]
enum Placement {
    Whole,
    Transposed,
    /// One row and one column in, with two columns behind.
    Inside {
        rows: Option<usize>,
        columns: usize,
    },
}

impl Placement {
    fn of(view: View, dims: &[usize]) -> Self {
        match (view, dims) {
            (View::Transposed, [.., _, _]) => Self::Transposed,
            (View::Narrowed, [rows, .., columns]) => Self::Inside {
                rows: Some(*rows),
                columns: *columns,
            },
            (View::Narrowed, [columns]) => Self::Inside {
                rows: None,
                columns: *columns,
            },
            _ => Self::Whole,
        }
    }

    /// The memory that a view of it shows `t`; NaN around it.
    fn memory(self, t: &Tensor) -> Result<Tensor, Failure> {
        Ok(match self {
            Self::Whole => t.clone(),
            Self::Transposed => t.transpose(D::Minus2, D::Minus1)?.contiguous()?,
            Self::Inside { rows, .. } => {
                let last = t.rank() - 1;
                let wide = Tensor::cat(&[nan(t, last, 1)?, t.clone(), nan(t, last, 2)?], last)?;
                match rows {
                    Some(_) => Tensor::cat(&[nan(&wide, 0, 1)?, wide], 0)?,
                    None => wide,
                }
            }
        })
    }

    fn apply(self, memory: &Tensor) -> Result<Tensor, Failure> {
        Ok(match self {
            Self::Whole => memory.clone(),
            Self::Transposed => memory.transpose(D::Minus2, D::Minus1)?,
            Self::Inside { rows, columns } => {
                let inside = memory.narrow(D::Minus1, 1, columns)?;
                match rows {
                    Some(rows) => inside.narrow(0, 1, rows)?,
                    None => inside,
                }
            }
        })
    }
}

/// NaN in the shape of `t`, but for `size` in dimension `dim`.
fn nan(t: &Tensor, dim: usize, size: usize) -> Result<Tensor, Failure> {
    let mut dims = t.dims().to_vec();
    dims[dim] = size;
    let nan = Tensor::full(f32::NAN, dims, t.device())?;
    Ok(nan.to_dtype(t.dtype())?)
}

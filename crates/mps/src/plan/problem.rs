//! A product as axes.

use candle_core::DType;

use super::axis::{self, Axis, LEFT, RESULT, RIGHT};
use super::{Access, Binding, Gemm, Reject, Slot, View, ZERO_BYTES};

/// A [`Gemm`] as axes that all four operands walk in step: two of the result's matrix, the inner
/// one, and those of the batch, as few as possible.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub dtype: DType,
    pub rows: Axis,
    pub columns: Axis,
    pub inner: Axis,
    pub batch: Vec<Axis>,
    pub addend: Option<Addend>,
    /// First elements of left, right and result.
    pub offsets_bytes: [usize; 3],
    pub alpha: f32,
    pub beta: f32,
}

/// Addend that the kernel reads, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addend {
    pub slot: Slot,
    pub offset_bytes: usize,
    pub buffer_len_bytes: usize,
}

/// A stored matrix: elements between its rows, and whether these are the columns asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub ld: usize,
    pub transposed: bool,
}

impl Problem {
    /// `gemm` for the kernel called `kernel`, which multiplies numbers of `types`.
    pub fn new(gemm: &Gemm<'_>, kernel: &'static str, types: &[DType]) -> Result<Self, Reject> {
        let dtype = gemm.check_types(kernel, types)?;
        gemm.check_dims()?;
        gemm.result.check_writable()?;
        let dims = gemm.result.dims();
        let zero = View::new(dtype, 0, dims, &vec![0; dims.len()], ZERO_BYTES)?;
        let source = source(gemm);
        let added = match (source, gemm.addend) {
            (Some(Slot::Zero), _) => &zero,
            (Some(Slot::Addend), Some(addend)) => addend,
            _ => gemm.result,
        };
        let (left, right, result) = (gemm.left, gemm.right, gemm.result);
        let [[m, k], [l_m, l_k]] = left.last_two();
        let [[_, n], [r_k, r_n]] = right.last_two();
        let [_, [c_m, c_n]] = added.last_two();
        let [_, [d_m, d_n]] = result.last_two();
        let axis = |len, strides| Axis { len, strides };
        Ok(Self {
            dtype,
            rows: axis(m, [l_m, 0, d_m, c_m]),
            columns: axis(n, [0, r_n, d_n, c_n]),
            inner: axis(k, [l_k, r_k, 0, 0]),
            batch: axis::of([left, right, result, added], 2),
            addend: source.map(|slot| Addend {
                slot,
                offset_bytes: added.offset_bytes(),
                buffer_len_bytes: added.buffer_len_bytes(),
            }),
            offsets_bytes: [left, right, result].map(View::offset_bytes),
            alpha: gemm.alpha as f32,
            beta: if gemm.beta == 0.0 {
                0.0
            } else {
                gemm.beta as f32
            },
        })
    }

    /// Turns batch axes into rows where the right factor stays put, that is the same memory and the
    /// outcome `fits`: one large product beats many small ones. The others are ordered by the
    /// result's strides, the coarsest first, so that neighbours may become one.
    pub fn fold_rows(&mut self, fits: impl Fn(&Self) -> bool) {
        let folded = |problem: &Self| {
            let mut indices = (0..problem.batch.len()).rev();
            indices.find_map(|index| problem.folded(index).filter(&fits))
        };
        while let Some(folded) = folded(self) {
            *self = folded;
        }
        let mut axes = std::mem::take(&mut self.batch);
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.strides[RESULT]));
        for axis in axes {
            axis::push(&mut self.batch, axis);
        }
    }

    /// This problem with a batch axis as a part of the rows, if that is the same memory.
    fn folded(&self, index: usize) -> Option<Self> {
        let axis = self.batch[index];
        let rows = match self.rows.len {
            1 => (axis.strides[RIGHT] == 0).then_some(axis),
            _ => axis.merge(&self.rows),
        };
        let mut folded = Self {
            rows: rows?,
            ..self.clone()
        };
        folded.batch.remove(index);
        Some(folded)
    }

    /// [`Problem::fold_rows`] for kernels of candle, which take any stride.
    pub fn fold_rows_of_any_stride(&mut self) {
        self.fold_rows(|folded| folded.stored(LEFT, &folded.rows, &folded.inner).is_some());
    }

    /// How `operand` stores the matrix of these axes.
    pub fn stored(&self, operand: usize, rows: &Axis, columns: &Axis) -> Option<Stored> {
        let [row_stride, column_stride] = [rows, columns].map(|axis| axis.strides[operand]);
        let (ld, transposed) = if columns.len == 1 || column_stride == 1 {
            let single = rows.len == 1;
            (if single { columns.len } else { row_stride }, false)
        } else if rows.len == 1 || row_stride == 1 {
            (column_stride, true)
        } else {
            return None;
        };
        Some(Stored { ld, transposed })
    }

    /// A stored matrix, or an error that names `slot`.
    pub fn stored_or_reject(
        &self,
        (slot, operand): (Slot, usize),
        rows: &Axis,
        columns: &Axis,
    ) -> Result<Stored, Reject> {
        let stored = self.stored(operand, rows, columns);
        stored.ok_or_else(|| strided(slot, [rows, columns].map(|axis| axis.strides[operand])))
    }

    /// Elements from matrix to matrix of the result, which has one step for all of the batch.
    ///
    /// `alone` is the step of a batch of one.
    pub fn result_step(&self, alone: usize) -> Result<usize, Reject> {
        let regular = self
            .batch
            .windows(2)
            .all(|pair| pair[0].strides[RESULT] == pair[1].len * pair[1].strides[RESULT]);
        if !regular {
            let (slot, axes) = (Slot::Result, self.batch.iter());
            let strides = axes.map(|axis| axis.strides[RESULT]).collect();
            return Err(Reject::Uneven { slot, strides });
        }
        let finest = self.batch.last();
        Ok(finest.map_or(alone, |axis| axis.strides[RESULT]))
    }

    /// Number of matrices.
    pub fn count(&self) -> usize {
        axis::count(&self.batch)
    }

    /// Bindings for a kernel of candle, which has left and right at these indices, an addend at 2
    /// and its result at 3.
    pub fn bindings(&self, [left, right]: [usize; 2]) -> Vec<Binding> {
        let bind = |index, slot, offset_bytes, access| Binding {
            index,
            slot,
            offset_bytes,
            access,
        };
        let offsets = self.offsets_bytes;
        let mut bindings = vec![
            bind(left, Slot::Left, offsets[LEFT], Access::Read),
            bind(right, Slot::Right, offsets[RIGHT], Access::Read),
        ];
        let addend = self.addend.iter();
        bindings.extend(addend.map(|c| bind(2, c.slot, c.offset_bytes, Access::Read)));
        bindings.push(bind(3, Slot::Result, offsets[RESULT], Access::Write));
        bindings
    }
}

/// Refusal of a matrix in which neither rows nor columns are contiguous.
pub(crate) fn strided(slot: Slot, [row_stride, column_stride]: [usize; 2]) -> Reject {
    Reject::Strided {
        slot,
        row_stride,
        column_stride,
    }
}

/// Operand that a kernel adds. Zeros where there is only alpha: kernels know it only together with an
/// addend, and what the result holds before may be NaN, which times 0 is not 0.
fn source(gemm: &Gemm<'_>) -> Option<Slot> {
    match gemm.addend {
        _ if gemm.beta == 0.0 && gemm.alpha == 1.0 => None,
        _ if gemm.beta == 0.0 => Some(Slot::Zero),
        None => Some(Slot::Result),
        Some(_) => Some(Slot::Addend),
    }
}

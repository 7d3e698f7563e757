//! A product as axes, for the kernels of candle, which take strides.

use super::batch::{self, Axis};
use super::{DataType, Gemm, Reject, Slot, View, ZERO_BYTES, shape};

/// Places of the operands in the strides of an [`Axis`].
pub(crate) const LEFT: usize = 0;
pub(crate) const RIGHT: usize = 1;
pub(crate) const ADDEND: usize = 2;
pub(crate) const RESULT: usize = 3;

/// A [`Gemm`] as axes that all four operands walk in step: two of the result's matrix, the inner
/// one, and those of the batch, as few as possible and in the order of the result.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub dtype: DataType,
    pub rows: Axis<4>,
    pub columns: Axis<4>,
    pub inner: Axis<4>,
    pub batch: Vec<Axis<4>>,
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

/// What kernels of candle multiply.
const TYPES: [DataType; 3] = [DataType::Float32, DataType::Float16, DataType::BFloat16];

impl Problem {
    /// `gemm` for the kernel called `kernel`, with batch dimensions folded into the rows where the
    /// right factor stays put.
    pub fn new(gemm: &Gemm<'_>, kernel: &'static str) -> Result<Self, Reject> {
        let dtype = check_types(gemm, kernel)?;
        shape::check(gemm.left, gemm.right, gemm.result)?;
        gemm.result.check_writable()?;
        if let Some(addend) = gemm.addend {
            shape::check_dims(Slot::Addend, addend, gemm.result.dims())?;
        }
        let zero = View::new(
            dtype,
            0,
            gemm.result.dims(),
            &vec![0; gemm.result.rank()],
            ZERO_BYTES,
        )?;
        let source = Source::of(gemm);
        let addend = match source {
            Source::Zero => &zero,
            Source::View(view) => view,
            Source::None | Source::Result => gemm.result,
        };
        let mut problem = Self {
            addend: source.slot().map(|slot| Addend::new(slot, addend)),
            beta: if source.slot() == Some(Slot::Zero) {
                0.0
            } else {
                gemm.beta as f32
            },
            ..Self::of_views(gemm, addend)
        };
        problem.fold_rows();
        problem.order_batch();
        Ok(problem)
    }

    fn of_views(gemm: &Gemm<'_>, addend: &View) -> Self {
        let (left, right, result) = (gemm.left, gemm.right, gemm.result);
        let [[m, k], [l_m, l_k]] = left.last_two();
        let [[_, n], [r_k, r_n]] = right.last_two();
        let [_, [c_m, c_n]] = addend.last_two();
        let [_, [d_m, d_n]] = result.last_two();
        let axis = |len, strides| Axis { len, strides };
        Self {
            dtype: left.dtype(),
            rows: axis(m, [l_m, 0, c_m, d_m]),
            columns: axis(n, [0, r_n, c_n, d_n]),
            inner: axis(k, [l_k, r_k, 0, 0]),
            batch: batch::axes([left, right, addend, result], 2),
            addend: None,
            offsets_bytes: [left, right, result].map(View::offset_bytes),
            alpha: gemm.alpha as f32,
            beta: gemm.beta as f32,
        }
    }

    /// Turns batch axes into rows where that is the same memory: one large product beats many
    /// small ones.
    fn fold_rows(&mut self) {
        let can_be_stored = |rows: &Axis<4>| self.stored(LEFT, rows, &self.inner).is_some();
        let folded = |rows: &Axis<4>, axis: &Axis<4>| {
            let merged = if rows.len == 1 {
                (axis.strides[RIGHT] == 0).then_some(*axis)
            } else {
                axis.merge(rows)
            };
            merged.filter(can_be_stored)
        };
        let (mut rows, mut batch) = (self.rows, self.batch.clone());
        while let Some((i, merged)) = batch
            .iter()
            .enumerate()
            .rev()
            .find_map(|(i, axis)| Some((i, folded(&rows, axis)?)))
        {
            batch.remove(i);
            rows = merged;
        }
        (self.rows, self.batch) = (rows, batch);
    }

    /// The result's coarsest axis first, so that neighbours may become one.
    fn order_batch(&mut self) {
        self.batch
            .sort_by_key(|axis| std::cmp::Reverse(axis.strides[RESULT]));
        let mut ordered = Vec::new();
        for axis in self.batch.drain(..) {
            batch::push(&mut ordered, axis);
        }
        self.batch = ordered;
    }

    /// How `operand` stores the matrix of these axes.
    pub fn stored(&self, operand: usize, rows: &Axis<4>, columns: &Axis<4>) -> Option<Stored> {
        let [row_stride, column_stride] = [rows, columns].map(|axis| axis.strides[operand]);
        if columns.len == 1 || column_stride == 1 {
            let ld = if rows.len == 1 {
                columns.len
            } else {
                row_stride
            };
            Some(Stored {
                ld,
                transposed: false,
            })
        } else if rows.len == 1 || row_stride == 1 {
            Some(Stored {
                ld: column_stride,
                transposed: true,
            })
        } else {
            None
        }
    }

    /// A stored matrix, or an error that names `slot`.
    pub fn stored_or_reject(
        &self,
        (slot, operand): (Slot, usize),
        rows: &Axis<4>,
        columns: &Axis<4>,
    ) -> Result<Stored, Reject> {
        self.stored(operand, rows, columns).ok_or(Reject::Strided {
            slot,
            row_stride: rows.strides[operand],
            column_stride: columns.strides[operand],
        })
    }

    /// Elements from matrix to matrix of the result, which has one step for all of the batch.
    ///
    /// `alone` is the step of a batch of one.
    pub fn result_step(&self, alone: usize) -> Result<usize, Reject> {
        let strides = || self.batch.iter().map(|axis| axis.strides[RESULT]).collect();
        let regular = self
            .batch
            .windows(2)
            .all(|pair| pair[0].strides[RESULT] == pair[1].len * pair[1].strides[RESULT]);
        match self.batch.last() {
            _ if !regular => Err(Reject::ResultBatch { strides: strides() }),
            None => Ok(alone),
            Some(finest) => Ok(finest.strides[RESULT]),
        }
    }

    /// Number of matrices.
    pub fn count(&self) -> usize {
        batch::count(&self.batch)
    }
}

/// A stored matrix: elements between its rows, and whether these are the columns asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub ld: usize,
    pub transposed: bool,
}

impl Addend {
    fn new(slot: Slot, view: &View) -> Self {
        Self {
            slot,
            offset_bytes: view.offset_bytes(),
            buffer_len_bytes: view.buffer_len_bytes(),
        }
    }
}

/// Source of what a kernel adds.
enum Source<'a> {
    None,
    /// Zeros: kernels know alpha only together with an addend, and what the result holds before
    /// may be NaN, which times 0 is not 0.
    Zero,
    Result,
    View(&'a View),
}

impl<'a> Source<'a> {
    fn of(gemm: &Gemm<'a>) -> Self {
        match gemm.addend {
            _ if gemm.beta == 0.0 && gemm.alpha == 1.0 => Self::None,
            _ if gemm.beta == 0.0 => Self::Zero,
            None => Self::Result,
            Some(view) => Self::View(view),
        }
    }

    fn slot(&self) -> Option<Slot> {
        match self {
            Self::None => None,
            Self::Zero => Some(Slot::Zero),
            Self::Result => Some(Slot::Result),
            Self::View(_) => Some(Slot::Addend),
        }
    }
}

fn check_types(gemm: &Gemm<'_>, kernel: &'static str) -> Result<DataType, Reject> {
    let read = [Some(gemm.left), Some(gemm.right), gemm.addend];
    let operands: Vec<DataType> = read.iter().flatten().map(|view| view.dtype()).collect();
    let result = gemm.result.dtype();
    if TYPES.contains(&result) && operands.iter().all(|&dtype| dtype == result) {
        return Ok(result);
    }
    Err(Reject::Types {
        kernel,
        operands,
        result,
    })
}

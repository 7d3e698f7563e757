//! The product itself, on any backend: candle's gemm on operands widened to the accumulator.

use crate::graph::{Function, Gradients, Kernel, Operation, Trace, Value};
use crate::storage::{Widened, accumulator, on_any_device, sum_to_shape};
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{D, DType, DeviceLocation, Layout, Result, Shape, Tensor};

/// `A B` with broadcast batches; the gradient of an operand that is not tracked is not computed.
pub(super) struct BroadcastMatMul;

impl Operation for BroadcastMatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }
}

/// Any device, through candle.
pub(super) struct Candle;

impl Function<BroadcastMatMul, 2> for Candle {
    type Saved = ();

    fn forward(_: &BroadcastMatMul, [a, b]: [&Tensor; 2]) -> crate::Result<(Value, ())> {
        let (batch, a_layout, b_layout) = broadcast_batches(a.layout(), b.layout())?;
        let shape = [&batch[..], &[a.dim(D::Minus2)?, b.dim(D::Minus1)?]].concat();
        let (a, b) = (a.storage_and_layout().0, b.storage_and_layout().0);
        let y = on_any_device!(&*a, &*b, |a, b| product((a, &a_layout), (b, &b_layout)))?;
        Ok((Value::new(y, shape), ()))
    }

    fn backward(_: &BroadcastMatMul, (): &(), trace: Trace<'_, 2>) -> crate::Result<Gradients<2>> {
        let Trace {
            inputs: [a, b], dy, ..
        } = trace;
        let transposed = |t: &Tensor| t.detach().transpose(D::Minus2, D::Minus1);
        let da = a.track_op().then(|| {
            let [da] = Self::run(BroadcastMatMul, [dy, &transposed(b)?])?;
            sum_to_shape(&da, a)
        });
        let db = b.track_op().then(|| {
            let [db] = Self::run(BroadcastMatMul, [&transposed(a)?, dy])?;
            sum_to_shape(&db, b)
        });
        Ok([da.transpose()?, db.transpose()?])
    }
}

/// The products of all matrices of a batch.
fn product<S: BackendStorage>(
    (a, a_layout): (&S, &Layout),
    (b, b_layout): (&S, &Layout),
) -> Result<S> {
    let dtype = wider(accumulator(a.dtype()), accumulator(b.dtype()));
    let a_wide = Widened::new(a, a_layout, dtype)?;
    let b_wide = Widened::new(b, b_layout, dtype)?;
    let b_wide = Matrices::new(&b_wide, Order::Any)?;
    // candle's CPU product stacks the rows of all of A's matrices when B is one matrix for
    // the whole batch, as if A were row-major, which a transposed A is not.
    let order = if b_wide.is_repeated() {
        Order::RowMajor
    } else {
        Order::Any
    };
    let a_wide = Matrices::new(&a_wide, order)?;
    let size = (a_wide.count, a_wide.rows, b_wide.columns, a_wide.columns);
    let product = a_wide.storage.get().0.matmul(
        b_wide.storage.get().0,
        size,
        &a_wide.layout,
        &b_wide.layout,
    )?;
    narrowed(product, a.dtype(), (size.0, size.1, size.2))
}

fn wider(a: DType, b: DType) -> DType {
    if a == DType::F64 { a } else { b }
}

fn narrowed<S: BackendStorage>(
    product: S,
    dtype: DType,
    shape: (usize, usize, usize),
) -> Result<S> {
    match product.dtype() == dtype {
        true => Ok(product),
        false => product.to_dtype(&Layout::contiguous(shape), dtype),
    }
}

fn broadcast_batches(a: &Layout, b: &Layout) -> Result<(Vec<usize>, Layout, Layout)> {
    let (a_lead, a_matrix) = a.dims().split_at(a.dims().len() - 2);
    let (b_lead, b_matrix) = b.dims().split_at(b.dims().len() - 2);
    let batch = Shape::from(a_lead)
        .broadcast_shape_binary_op(&Shape::from(b_lead), "matmul")?
        .into_dims();
    let a = a.broadcast_as([&batch[..], a_matrix].concat())?;
    let b = b.broadcast_as([&batch[..], b_matrix].concat())?;
    Ok((batch, a, b))
}

/// An operand as `count` matrices a fixed distance apart, which is what every gemm takes.
struct Matrices<'a, S> {
    storage: Widened<'a, S>,
    layout: Layout,
    count: usize,
    rows: usize,
    columns: usize,
}

/// Layouts that a product takes as they are; others are packed first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Any,
    RowMajor,
}

impl<'a, S: BackendStorage> Matrices<'a, S> {
    fn new(operand: &'a Widened<'a, S>, order: Order) -> Result<Self> {
        let (storage, layout) = operand.get();
        if order == Order::RowMajor && layout.is_contiguous() {
            // Dimensions of size 1 may have any stride; here they get the one they would have.
            let layout = Layout::contiguous_with_offset(layout.shape(), layout.start_offset());
            return Ok(Self::borrowed(storage, layout));
        }
        if order == Order::Any && batch_stride(layout).is_some() && takes_rows(storage, layout) {
            return Ok(Self::borrowed(storage, layout.clone()));
        }
        let packed = Layout::contiguous(layout.shape());
        let storage = storage.affine(layout, 1.0, 0.0)?;
        Ok(Self::flattened(
            Widened::Owned(storage, packed.clone()),
            &packed,
        ))
    }

    fn borrowed(storage: &'a S, layout: Layout) -> Self {
        Self::flattened(Widened::Borrowed(storage, layout.clone()), &layout)
    }

    /// Whether one matrix stands for the whole batch.
    fn is_repeated(&self) -> bool {
        self.count > 1 && self.layout.stride()[0] == 0
    }

    fn flattened(storage: Widened<'a, S>, layout: &Layout) -> Self {
        let rank = layout.dims().len();
        let (batch, matrix) = layout.dims().split_at(rank - 2);
        let count = batch.iter().product();
        let stride = batch_stride(layout).unwrap_or(0);
        let strides = [&[stride], &layout.stride()[rank - 2..]].concat();
        let shape = Shape::from((count, matrix[0], matrix[1]));
        Self {
            storage,
            layout: Layout::new(shape, strides, layout.start_offset()),
            count,
            rows: matrix[0],
            columns: matrix[1],
        }
    }
}

/// Whether the device's product takes the rows of a matrix as far apart as they are. candle's takes any strides on the CPU,
/// and on GPUs those of a matrix that is dense, transposed or not.
fn takes_rows<S: BackendStorage>(storage: &S, layout: &Layout) -> bool {
    let rank = layout.dims().len();
    let (dims, strides) = (&layout.dims()[rank - 2..], &layout.stride()[rank - 2..]);
    let dense = |inner: usize, outer: usize| {
        (strides[inner] == 1 || dims[inner] == 1)
            && (strides[outer] == dims[inner] || dims[outer] == 1)
    };
    storage.device().location() == DeviceLocation::Cpu || dense(1, 0) || dense(0, 1)
}

/// The distance between consecutive matrices, where one number can say it.
fn batch_stride(layout: &Layout) -> Option<usize> {
    let batch_rank = layout.dims().len() - 2;
    let mut dims = layout.dims()[..batch_rank]
        .iter()
        .zip(layout.stride())
        .filter(|&(&size, _)| size != 1)
        .rev();
    let Some((&size, &innermost)) = dims.next() else {
        return Some(0);
    };
    let mut span = size * innermost;
    for (&size, &stride) in dims {
        if stride != span {
            return None;
        }
        span *= size;
    }
    Some(innermost)
}

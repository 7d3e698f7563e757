//! The product itself, on any backend: candle's gemm on operands widened to the accumulator.

use crate::storage::{Widened, accumulator, forward2_on_every_backend, sum_to_shape};
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CustomOp2, D, DType, DeviceLocation, Layout, Result, Shape, Tensor};

/// `A B` with broadcast batches; the gradient of an operand that is not tracked is not computed.
pub(super) struct Product;

impl Product {
    fn forward<S: BackendStorage>(
        &self,
        a: &S,
        a_layout: &Layout,
        b: &S,
        b_layout: &Layout,
    ) -> Result<(S, Shape)> {
        let dtype = wider(accumulator(a.dtype()), accumulator(b.dtype()));
        let (batch, a_layout, b_layout) = broadcast_batches(a_layout, b_layout)?;
        let a_wide = Widened::new(a, &a_layout, dtype)?;
        let b_wide = Widened::new(b, &b_layout, dtype)?;
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
        let shape = Shape::from([batch, vec![size.1, size.2]].concat());
        Ok((narrowed(product, a.dtype(), &shape)?, shape))
    }
}

fn wider(a: DType, b: DType) -> DType {
    if a == DType::F64 { a } else { b }
}

fn narrowed<S: BackendStorage>(product: S, dtype: DType, shape: &Shape) -> Result<S> {
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

/// Which layouts a product takes as they are; others are packed first.
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

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "matmul"
    }

    forward2_on_every_backend!(forward);

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let da = a.track_op().then(|| {
            let da = grad.apply_op2(&b.detach().transpose(D::Minus2, D::Minus1)?, Product)?;
            sum_to_shape(&da, a)
        });
        let db = b.track_op().then(|| {
            let a_t = a.detach().transpose(D::Minus2, D::Minus1)?;
            sum_to_shape(&a_t.apply_op2(grad, Product)?, b)
        });
        Ok((da.transpose()?, db.transpose()?))
    }
}

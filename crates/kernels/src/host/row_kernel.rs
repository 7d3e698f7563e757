//! Kernels that compute rows from rows, and what runs them: dtypes, layouts, threads and the
//! instruction set are settled here, a kernel is arithmetic.
#![allow(unsafe_code)]

use crate::host::rows::{Input, Unwritten, Writable};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Result, Shape};
use half::{bf16, f16};
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::{TASK_ELEMENTS, for_each_task};
use metal_candle_cpu::vector::{each, map, streaming};
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

/// Arithmetic of a row of each of `M` results from a row of each of `N` inputs.
pub(crate) trait RowKernel<const N: usize, const M: usize>: Sync {
    /// Sums that the rows of one block add to: a gradient that is summed over rows, for instance.
    type Sums: Send;

    /// Writes the rows `y` and gives them back.
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        x: [&[f32]; N],
        y: [Unwritten<'y>; M],
        sums: &mut Self::Sums,
    ) -> [&'y mut [f32]; M];
}

/// The results of a kernel whose rows have nothing to do with each other.
pub(crate) fn rows<const N: usize, const M: usize>(
    kernel: &impl RowKernel<N, M, Sums = ()>,
    x: &[Input<'_>; N],
    shape: &Shape,
    dtype: DType,
) -> Result<[CpuStorage; M]> {
    let width = shape.dims().last().copied().unwrap_or(1).max(1);
    let n_rows = shape.elem_count() / width;
    // No block without a row.
    let blocks = shape.elem_count().div_ceil(TASK_ELEMENTS).min(n_rows);
    rows_in_blocks(kernel, x, shape, dtype, &mut vec![(); blocks])
}

/// The numbers of a storage in another dtype, in order.
pub(crate) fn converted(storage: &CpuStorage, layout: &Layout, dtype: DType) -> Result<CpuStorage> {
    let is_known = |dtype| matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
    if !is_known(storage.dtype()) || !is_known(dtype) {
        return storage.to_dtype(layout, dtype);
    }
    let layout = in_even_rows(layout);
    let x = Input::new(storage, &layout)?;
    let [y] = rows(&Same, &[x], layout.shape(), dtype)?;
    Ok(y)
}

/// Numbers that lie one after the other as rows of which no thread has too many or too short ones,
/// where their count allows it.
fn in_even_rows(layout: &Layout) -> Layout {
    let elements = layout.shape().elem_count();
    let width = TASK_ELEMENTS.min(1 << elements.trailing_zeros().min(12));
    match layout.contiguous_offsets() {
        Some((start, end)) if start < end && width >= 64 => {
            Layout::contiguous_with_offset((elements / width, width), start)
        }
        _ => layout.clone(),
    }
}

struct Same;

impl RowKernel<1, 1> for Same {
    type Sums = ();

    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        x: [&[f32]; 1],
        y: [Unwritten<'y>; 1],
        (): &mut (),
    ) -> [&'y mut [f32]; 1] {
        map(
            simd,
            x,
            y,
            #[inline(always)]
            |x| x,
        )
    }
}

/// The results of a kernel, each of `shape` and `dtype`. Rows are split evenly among `blocks`;
/// a block is the work of one thread.
pub(crate) fn rows_in_blocks<K: RowKernel<N, M>, const N: usize, const M: usize>(
    kernel: &K,
    x: &[Input<'_>; N],
    shape: &Shape,
    dtype: DType,
    blocks: &mut [K::Sums],
) -> Result<[CpuStorage; M]> {
    Ok(match dtype {
        DType::F32 => rows_as::<f32, K, N, M>(kernel, x, shape, blocks),
        DType::F16 => rows_as::<f16, K, N, M>(kernel, x, shape, blocks),
        DType::BF16 => rows_as::<bf16, K, N, M>(kernel, x, shape, blocks),
        other => candle_core::bail!("the CPU kernel was asked for {other:?}"),
    })
}

fn rows_as<T: Writable, K: RowKernel<N, M>, const N: usize, const M: usize>(
    kernel: &K,
    x: &[Input<'_>; N],
    shape: &Shape,
    blocks: &mut [K::Sums],
) -> [CpuStorage; M] {
    let elements = shape.elem_count();
    let width = shape.dims().last().copied().unwrap_or(1).max(1);
    let block_rows = (elements / width).div_ceil(blocks.len().max(1));
    let mut y: [Vec<T>; M] = std::array::from_fn(|_| Vec::with_capacity(elements));
    let mut rest = y
        .each_mut()
        .map(|y| &mut y.spare_capacity_mut()[..elements]);
    let mut tasks = Vec::with_capacity(blocks.len());
    for (i, sums) in blocks.iter_mut().enumerate() {
        tasks.push(Task {
            kernel,
            x,
            first_row: i * block_rows,
            width,
            y: rest.each_mut().map(|rest| first(rest, block_rows * width)),
            sums,
        });
    }
    assert!(
        rest.iter().all(|rest| rest.is_empty()),
        "rows without a block"
    );
    for_each_task(tasks, elements * M, |_: &mut (), task| dispatch(task));
    y.map(|mut y| {
        // SAFETY: the tasks have all of the rows, and `Output::finish` checks that each is written.
        unsafe { y.set_len(elements) };
        T::storage(y)
    })
}

/// Takes up to `len` elements from the start of `rest`.
pub(crate) fn first<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let len = len.min(rest.len());
    rest.split_off_mut(..len).unwrap_or_default()
}

/// The rows of one block.
struct Task<'a, T, K: RowKernel<N, M>, const N: usize, const M: usize> {
    kernel: &'a K,
    x: &'a [Input<'a>; N],
    first_row: usize,
    width: usize,
    y: [&'a mut [MaybeUninit<T>]; M],
    sums: &'a mut K::Sums,
}

impl<T: Writable, K: RowKernel<N, M>, const N: usize, const M: usize> WithSimd
    for Task<'_, T, K, N, M>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut x = self.x.each_ref().map(|x| x.rows_from(self.first_row));
        let rows = self.y.first().map_or(0, |y| y.len() / self.width);
        let mut y = self.y.map(|y| Output::new(y, self.width));
        for _ in 0..rows {
            let x = each(
                x.each_mut(),
                #[inline(always)]
                |x| x.next(),
            );
            let memory = each(
                y.each_mut(),
                #[inline(always)]
                |y| y.memory(),
            );
            let written = self.kernel.row(simd, x, memory, self.sums);
            let written = each(
                written,
                #[inline(always)]
                |y| &raw const *y,
            );
            for (y, written) in y.iter_mut().zip(written) {
                y.finish(written);
            }
        }
        streaming::end();
    }
}

/// The rows of a result that are still to be written.
struct Output<'a, T> {
    rest: &'a mut [MaybeUninit<T>],
    width: usize,
    buffer: Vec<MaybeUninit<f32>>,
}

impl<'a, T: Writable> Output<'a, T> {
    fn new(rest: &'a mut [MaybeUninit<T>], width: usize) -> Self {
        let buffer = vec![];
        Self {
            rest,
            width,
            buffer,
        }
    }

    /// Where the next row is to be written.
    #[inline(always)]
    fn memory(&mut self) -> Unwritten<'_> {
        T::memory(&mut self.rest[..self.width], &mut self.buffer)
    }

    /// Goes on to the row after `written`, which has to be that of [`Self::memory`].
    #[inline(always)]
    fn finish(&mut self, written: *const [f32]) {
        let memory = &raw const *self.memory();
        assert!(
            std::ptr::eq(memory as *const [f32], written),
            "another row was written"
        );
        let row = first(&mut self.rest, self.width);
        // SAFETY: a kernel had the memory as a slice of floats, so all of it is written.
        unsafe { T::store(&mut self.buffer, row) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tensor;
    use candle_core::{Device, Tensor};

    /// Twice the input, and the input plus one; counts its rows.
    struct Twice;

    impl RowKernel<1, 2> for Twice {
        type Sums = usize;

        #[inline(always)]
        fn row<'y, S: Simd>(
            &self,
            simd: S,
            x: [&[f32]; 1],
            y: [Unwritten<'y>; 2],
            rows: &mut usize,
        ) -> [&'y mut [f32]; 2] {
            *rows += 1;
            let one = simd.splat_f32s(1.0);
            map(
                simd,
                x,
                y,
                #[inline(always)]
                |[x]| [simd.add_f32s(x, x), simd.add_f32s(x, one)],
            )
        }
    }

    #[test]
    fn every_row_is_written_once_in_every_dtype() {
        for (n_rows, width) in [(1, 1), (5, 19), (13, 33), (3, 0), (0, 3)] {
            let numbers = (0..n_rows * width).map(|i| (i % 100) as f32);
            let numbers: Vec<f32> = numbers.collect();
            let x = Tensor::from_vec(numbers, (n_rows, width), &Device::Cpu).unwrap();
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                let x = x.to_dtype(dtype).unwrap();
                for blocks in [1, 2, 4, 20] {
                    check(&x, blocks);
                }
            }
        }
    }

    fn check(x: &Tensor, n_blocks: usize) {
        let mut blocks = vec![0; n_blocks];
        let (storage, layout) = x.storage_and_layout();
        let input = [Input::of(&storage, layout).unwrap()];
        let results = rows_in_blocks(&Twice, &input, x.shape(), x.dtype(), &mut blocks).unwrap();
        let [twice, more] = results.map(|storage| tensor(storage, x.shape()));
        let numbers = |t: &Tensor| {
            let t = t.to_dtype(DType::F32).unwrap();
            t.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(numbers(&twice), numbers(&(x * 2.0).unwrap()));
        assert_eq!(numbers(&more), numbers(&(x + 1.0).unwrap()));
        let n_rows = if x.elem_count() == 0 { 0 } else { x.dims()[0] };
        assert_eq!(blocks.iter().sum::<usize>(), n_rows);
    }

    #[test]
    fn conversions_are_those_of_candle() {
        let numbers: Vec<f32> = (0..6400).map(|i| i as f32 / 7.0 - 300.0).collect();
        let storage = CpuStorage::F32(numbers);
        let layout = |shape: &[usize], stride: &[usize], start| {
            Layout::new(shape.into(), stride.to_vec(), start)
        };
        let layouts = [
            layout(&[], &[], 3),
            layout(&[0, 3], &[3, 1], 0),
            layout(&[3, 0], &[0, 1], 0),
            layout(&[6400], &[1], 0),
            layout(&[99, 64], &[64, 1], 64),
            layout(&[7, 9], &[9, 1], 5),
            layout(&[64, 100], &[1, 64], 0),
            layout(&[5, 128], &[0, 1], 1),
        ];
        for layout in &layouts {
            for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
                let got = converted(&storage, layout, dtype).unwrap();
                let want = storage.to_dtype(layout, dtype).unwrap();
                assert_eq!(format!("{got:?}"), format!("{want:?}"), "{layout:?}");
                let shape = Layout::contiguous(layout.shape());
                let back = converted(&got, &shape, DType::F32).unwrap();
                let want = want.to_dtype(&shape, DType::F32).unwrap();
                assert_eq!(format!("{back:?}"), format!("{want:?}"), "{layout:?}");
            }
        }
    }

    /// A kernel that gives back other memory than it was given.
    struct Elsewhere;

    impl RowKernel<1, 1> for Elsewhere {
        type Sums = ();

        #[inline(always)]
        fn row<'y, S: Simd>(
            &self,
            _: S,
            _: [&[f32]; 1],
            _: [Unwritten<'y>; 1],
            (): &mut (),
        ) -> [&'y mut [f32]; 1] {
            [&mut []]
        }
    }

    #[test]
    #[should_panic(expected = "another row")]
    fn a_row_that_is_not_written_is_a_bug() {
        let storage = CpuStorage::F32(vec![1.0; 3]);
        let shape = Shape::from((1, 3));
        let input = Input::new(&storage, &candle_core::Layout::contiguous(&shape)).unwrap();
        let _ = rows(&Elsewhere, &[input], &shape, DType::F32);
    }
}

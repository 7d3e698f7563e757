//! Elements by their indices, of every dtype of numbers and of indices that candle has kernels for.

use crate::compare::*;
use candle_core::{DType, IndexOp, Result, Tensor};
use soft_metal::Guard;

fn ids(dtype: DType, x: &Tensor) -> Result<Tensor> {
    Tensor::new(&[1u8, 0, 3, 5, 2, 4], x.device())?.to_dtype(dtype)
}

/// For every pair of dtypes; `possible` says which of them candle has.
fn for_all(possible: fn(DType, DType) -> bool, f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<()> {
    for (&index, &dtype) in INTEGERS.iter().flat_map(|index| ALL.iter().map(move |dtype| (index, dtype))) {
        if possible(index, dtype) {
            compare_on(coarse, 1e-4, &[dtype], |x| f(x, &ids(index, x)?))?;
        }
    }
    Ok(())
}

#[test]
fn selections() -> Result<()> {
    let _guard = Guard::comparing();
    let possible = |index, dtype| index != DType::I64 || !matches!(dtype, DType::U8 | DType::U32);
    for_all(possible, |x, ids| x.index_select(ids, 1))
}

#[test]
fn gathers() -> Result<()> {
    let _guard = Guard::comparing();
    let possible = |index, dtype| dtype != DType::U8 || index == DType::U8;
    for_all(possible, |x, ids| x.i(0)?.gather(&ids.reshape((6, 1))?.broadcast_as((6, 7))?.contiguous()?, 0))
}

#[test]
fn additions() -> Result<()> {
    let _guard = Guard::comparing();
    for_all(|_, _| true, |x, ids| x.index_add(ids, x, 1))
}

#[test]
fn scatters() -> Result<()> {
    let _guard = Guard::comparing();
    let possible = |index, dtype: DType| dtype.is_float() || (index, dtype) == (DType::U32, DType::U32);
    for_all(possible, |x, ids| {
        let ids = ids.reshape((6, 1))?.broadcast_as((6, 7))?.contiguous()?;
        let (a, b) = (x.i(0)?.contiguous()?, x.i(1)?.contiguous()?);
        a.scatter_add(&ids, &b, 0)? + a.scatter(&ids, &b, 0)?
    })
}

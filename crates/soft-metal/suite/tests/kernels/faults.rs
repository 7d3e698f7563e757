//! Where candle's own kernels break rules: each is excepted from a comparison, and here is why.

use crate::compare::*;
use candle_core::quantized::{GgmlDType, QMatMul};
use candle_core::{DType, Module, Result, Tensor};
use soft_metal::{Rule, Violation, drain, take_violations};

/// What `f` breaks on software Metal.
fn broken(f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Violation>> {
    let x = Tensor::zeros(1, DType::F32, &metal()?)?;
    drain();
    take_violations();
    f(&x)?.to_device(&candle_core::Device::Cpu).ok(); // the command buffer has an error
    drain();
    Ok(take_violations())
}

/// It takes eight rows a threadgroup, and candle starts one for every four.
#[test]
fn q2_k_is_read_past_its_end() -> Result<()> {
    let found = broken(|x| {
        let weight = crate::products::quantized(GgmlDType::Q2K, x.device())?;
        QMatMul::from_qtensor(weight)?.forward(&wave(&[1, 256], 0.007, x)?)
    })?;
    assert!(found.iter().all(|v| v.rule == Rule::KernelOutOfBounds), "{found:?}");
    assert!(found[0].message.contains("kernel_mul_mv_q2_K_f32: reads"), "{found:?}");
    Ok(())
}

/// A row times a matrix: where the last of the blocks of 32 columns leaves a thread without any of its four, that thread is not
/// in the loop that has a barrier. `has_a_barrier_in_divergent_flow` in `crates/kernels/tests/metal.rs` is this condition.
#[test]
fn gemv_t_has_a_barrier_in_divergent_flow() -> Result<()> {
    for (inner, columns) in [(31, 20), (32, 20), (40, 28), (40, 29), (40, 32), (40, 33), (40, 64), (100, 3), (100, 100)]
    {
        let found = broken(|x| wave(&[1, inner], 0.3, x)?.matmul(&wave(&[inner, columns], 0.7, x)?))?;
        let divergent = inner >= 32 && !columns.next_multiple_of(4).is_multiple_of(32);
        assert_eq!(found.len(), divergent as usize, "{inner}x{columns}: {found:?}");
        assert!(found.iter().all(|v| v.rule == Rule::DifferentBarriers && v.message.contains("gemv_t_")), "{found:?}");
    }
    Ok(())
}

/// The kernel is given the size of the indexed dimension where it wants the number of dimensions.
#[test]
fn index_select_of_a_view_reads_past_its_sizes() -> Result<()> {
    let select =
        |size: usize| broken(|x| wave(&[2, size], 0.3, x)?.t()?.index_select(&Tensor::new(&[1u32, 0], x.device())?, 0));
    assert_eq!(select(2)?.len(), 0, "as many rows as dimensions");
    let found = select(3)?;
    assert!(found.iter().all(|v| v.rule == Rule::KernelOutOfBounds), "{found:?}");
    assert!(found[0].message.contains("past the end of the bytes of argument"), "{found:?}");
    Ok(())
}

/// Asked for by name, and in no library.
#[test]
fn kernels_that_candle_asks_for_in_vain() -> Result<()> {
    let x = coarse(DType::I64)?.to_device(&metal()?)?;
    let ids = Tensor::new(&[1i64], x.device())?;
    for missing in
        [x.sign(), x.to_dtype(DType::U8)?.index_select(&ids, 0), x.to_dtype(DType::U32)?.index_select(&ids, 0)]
    {
        let message = missing.expect_err("it is there now").to_string();
        assert!(message.contains("Error while loading function"), "{message}");
    }
    Ok(())
}

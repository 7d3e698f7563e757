//! What products turn into for candle's kernels.

use candle_core::DType;
use metal_candle_mps::plan::steel::{GemmAddMmParams, GpuSize, constant, index};
use metal_candle_mps::plan::{Access, Binding, Gemm, GemvPlan, Reject, Slot, SteelPlan, View};

use crate::layouts::Layout;

pub const F32: DType = DType::F32;

pub fn strided(offset_bytes: usize, dims: &[usize], strides: &[usize]) -> View {
    View::new(F32, offset_bytes, dims, strides, 1 << 24).expect("in bounds")
}

pub fn contiguous(dims: &[usize]) -> View {
    Layout::contiguous(dims.len()).view(F32, dims)
}

/// `left` times `right` into a contiguous result, with factors and what they need.
pub struct Operands {
    pub left: View,
    pub right: View,
    addend: Option<View>,
    pub result: View,
    scalars: (f64, f64),
}

impl Operands {
    pub fn new(left: View, right: View) -> Self {
        let dims = [
            &left.dims()[..left.rank() - 1],
            &right.dims()[right.rank() - 1..],
        ]
        .concat();
        let result = contiguous(&dims);
        Self {
            left,
            right,
            addend: None,
            result,
            scalars: (1.0, 0.0),
        }
    }

    pub fn with(self, addend: Option<View>, scalars: (f64, f64)) -> Self {
        Self {
            addend,
            scalars,
            ..self
        }
    }

    fn gemm(&self) -> Gemm<'_> {
        Gemm {
            left: &self.left,
            right: &self.right,
            addend: self.addend.as_ref(),
            result: &self.result,
            alpha: self.scalars.0,
            beta: self.scalars.1,
        }
    }

    pub fn steel(&self) -> Result<SteelPlan, Reject> {
        SteelPlan::plan(&self.gemm(), GpuSize::Large)
    }

    pub fn gemv(&self) -> Result<GemvPlan, Reject> {
        GemvPlan::plan(&self.gemm())
    }
}

pub fn product(left: &[usize], right: &[usize]) -> Operands {
    Operands::new(contiguous(left), contiguous(right))
}

fn is_set(plan: &SteelPlan, index: usize) -> bool {
    plan.constants.contains(&(index, true))
}

#[test]
fn tokens_times_a_weight_by_rows_of_outputs() {
    // (B, T, K) times W stored as (N, K), shared by the batch.
    let weight = strided(64, &[4, 896, 5], &[0, 1, 896]);
    let plan = Operands::new(contiguous(&[4, 32, 896]), weight)
        .steel()
        .expect("a linear layer");
    assert_eq!(plan.kernel, "gemm_nt_f32_f32_32_64_16_1_2");
    let params = plan.params;
    assert_eq!([params.m, params.n, params.k], [128, 5, 896]);
    assert_eq!([params.lda, params.ldb, params.ldd], [896, 896, 5]);
    assert_eq!([params.tiles_n, params.tiles_m], [1, 4]);
    assert_eq!((plan.grid, plan.group), ([1, 4, 1], [32, 2, 1]));
    assert_eq!(
        (plan.batch_shape, plan.batch_strides),
        (vec![1], vec![0, 0])
    );
    let read = |index, slot, offset_bytes| Binding {
        index,
        slot,
        offset_bytes,
        access: Access::Read,
    };
    let result = Binding {
        access: Access::Write,
        ..read(index::RESULT, Slot::Result, 0)
    };
    let expected = [
        read(index::LEFT, Slot::Left, 0),
        read(index::RIGHT, Slot::Right, 64),
        result,
    ];
    assert_eq!(plan.bindings, expected);
}

#[test]
fn alignment_is_told_by_constants() {
    let aligned = |m, n, k| {
        let plan = product(&[m, k], &[k, n]).steel().expect("contiguous");
        assert_eq!(plan.kernel, "gemm_nn_f32_f32_64_32_32_2_2");
        let constants = [constant::ALIGN_M, constant::ALIGN_N, constant::ALIGN_K];
        (
            constants.map(|index| is_set(&plan, index)),
            plan.params.gemm_k_iterations_aligned,
        )
    };
    assert_eq!(aligned(64, 32, 32), ([true, true, true], 1));
    assert_eq!(aligned(63, 33, 95), ([false, false, false], 2));
}

#[test]
fn a_bias_is_an_addend_with_one_stride() {
    let bias = strided(16, &[4, 32, 5], &[0, 0, 1]);
    let operands = product(&[4, 32, 8], &[4, 8, 5]).with(Some(bias), (1.0, 1.0));
    let plan = operands.steel().expect("a bias");
    let expected = GemmAddMmParams {
        ldc: 0,
        fdc: 1,
        batch_stride_c: 0,
        alpha: 1.0,
        beta: 1.0,
    };
    assert_eq!(plan.addend, Some(expected));
    assert!(is_set(&plan, constant::USE_OUT_SOURCE) && !is_set(&plan, constant::DO_AXPBY));
    let bound = plan.bindings[2];
    assert_eq!(
        (bound.index, bound.slot, bound.offset_bytes),
        (2, Slot::Addend, 16)
    );
    assert_eq!(plan.batch_strides, [256, 40, 0]);
}

#[test]
fn alpha_alone_comes_with_zeros() {
    let plan = product(&[4, 8], &[8, 5])
        .with(None, (0.5, 0.0))
        .steel()
        .expect("scaled");
    let expected = GemmAddMmParams {
        ldc: 0,
        fdc: 0,
        batch_stride_c: 0,
        alpha: 0.5,
        beta: 0.0,
    };
    assert_eq!(plan.addend, Some(expected));
    assert!(is_set(&plan, constant::DO_AXPBY));
    assert_eq!(
        (plan.bindings[2].slot, plan.bindings[2].access),
        (Slot::Zero, Access::Read)
    );
    let vector = product(&[1, 8], &[8, 64])
        .with(None, (0.5, 0.0))
        .gemv()
        .expect("scaled");
    assert_eq!(
        (vector.alpha, vector.beta, vector.addend_stride),
        (0.5, 0.0, 0)
    );
    assert_eq!(vector.bindings[2].slot, Slot::Zero);
    assert!(vector.kernel.ends_with("axpby1"));
}

#[test]
fn without_a_factor_nothing_is_added() {
    let nan = contiguous(&[4, 5]);
    let plan = product(&[4, 8], &[8, 5])
        .with(Some(nan), (1.0, 0.0))
        .steel()
        .expect("a product");
    assert_eq!((plan.addend, plan.bindings.len()), (None, 3));
    assert!(!is_set(&plan, constant::USE_OUT_SOURCE) && !is_set(&plan, constant::DO_AXPBY));
}

#[test]
fn the_result_is_bound_twice_to_be_added_to() {
    let plan = product(&[64, 8], &[8, 5])
        .with(None, (2.0, 1.0))
        .steel()
        .expect("accumulates");
    let bound = |access| {
        plan.bindings
            .iter()
            .find(|b| b.slot == Slot::Result && b.access == access)
    };
    assert_eq!(bound(Access::Read).map(|b| b.index), Some(2));
    assert_eq!(bound(Access::Write).map(|b| b.index), Some(3));
    assert_eq!(
        plan.addend.map(|addend| (addend.ldc, addend.fdc)),
        Some((5, 1))
    );
}

#[test]
fn batches_that_broadcast_are_walked() {
    // (B, H, T, D) times (B, 1, D, S), and a mask of (H, 1, S).
    let left = contiguous(&[2, 3, 4, 8]);
    let right = strided(0, &[2, 3, 8, 5], &[40, 0, 5, 1]);
    let mask = strided(0, &[2, 3, 4, 5], &[0, 5, 0, 1]);
    let operands = Operands::new(left, right).with(Some(mask), (1.0, 1.0));
    let plan = operands.steel().expect("two batch dimensions");
    assert!(is_set(&plan, constant::HAS_BATCH));
    assert_eq!(
        (plan.params.batch_ndim, plan.params.batch_stride_d),
        (2, 20)
    );
    assert_eq!(plan.batch_shape, [2, 3]);
    assert_eq!(plan.batch_strides, [96, 32, 40, 0, 0, 5]);
    assert_eq!(plan.grid[2], 6);
}

#[test]
fn heads_inside_rows_need_no_copy() {
    // (B, H, T, D) of a (B, T, H, D) tensor.
    let left = strided(0, &[2, 3, 5, 8], &[120, 8, 24, 1]);
    let plan = Operands::new(left, contiguous(&[2, 3, 8, 4]))
        .steel()
        .expect("strided rows");
    assert_eq!((plan.params.lda, plan.batch_shape), (24, vec![2, 3]));
    assert_eq!(plan.batch_strides, [120, 8, 96, 32]);
}

#[test]
fn the_last_tile_reads_past_the_addend() {
    let addend = |len_bytes| View::new(F32, 0, &[5, 3], &[3, 1], len_bytes).expect("in bounds");
    let plan = |len_bytes| {
        let operands = product(&[5, 4], &[4, 3]).with(Some(addend(len_bytes)), (1.0, 1.0));
        operands.steel()
    };
    // Few rows: tiles of 32 in lanes of 16, so rows 0 to 4 and 16 to 20 of 3 elements.
    assert!(plan(21 * 3 * 4).is_ok());
    let (slot, end_bytes, buffer_len_bytes) = (Slot::Addend, 21 * 3 * 4, 21 * 3 * 4 - 1);
    assert_eq!(
        plan(buffer_len_bytes),
        Err(Reject::AddendReach {
            slot,
            end_bytes,
            buffer_len_bytes
        })
    );
    // A full tile, or a single row, reads what is there.
    let full = contiguous(&[32, 3]);
    assert!(
        product(&[32, 4], &[4, 3])
            .with(Some(full), (1.0, 1.0))
            .steel()
            .is_ok()
    );
    let row = contiguous(&[1, 3]);
    assert!(
        product(&[1, 4], &[4, 3])
            .with(Some(row), (1.0, 1.0))
            .steel()
            .is_ok()
    );
}

#[test]
fn a_smaller_tile_reaches_less() {
    let roomy = |rows: usize| View::new(F32, 0, &[40, 3], &[3, 1], rows * 12).expect("in bounds");
    let kernel = |rows| {
        let operands = product(&[40, 4], &[4, 3]).with(Some(roomy(rows)), (1.0, 1.0));
        operands.steel().map(|plan| plan.kernel)
    };
    // Rows 0 to 63 of the tile of 64, and 0 to 55 of two of 32.
    assert_eq!(kernel(64).as_deref(), Ok("gemm_nn_f32_f32_64_32_32_2_2"));
    assert_eq!(kernel(63).as_deref(), Ok("gemm_nn_f32_f32_32_32_16_2_2"));
    assert_eq!(kernel(56).as_deref(), Ok("gemm_nn_f32_f32_32_32_16_2_2"));
    assert!(kernel(55).is_err());
}

#[test]
fn results_by_columns_or_uneven_are_rejected() {
    let mut operands = product(&[2, 4, 3], &[2, 3, 5]);
    operands.result = strided(0, &[2, 4, 5], &[20, 1, 4]);
    assert_eq!(
        operands.steel(),
        Err(Reject::ResultByColumns { strides: [1, 4] })
    );
    let mut operands = product(&[2, 3, 4, 3], &[2, 3, 3, 5]);
    operands.result = strided(0, &[2, 3, 4, 5], &[100, 20, 5, 1]);
    assert_eq!(
        operands.steel(),
        Err(Reject::Uneven {
            slot: Slot::Result,
            strides: vec![100, 20]
        })
    );
}

#[test]
fn both_strides_over_one_are_rejected() {
    let operands = Operands::new(strided(0, &[4, 3], &[6, 2]), contiguous(&[3, 5]));
    let (slot, row_stride, column_stride) = (Slot::Left, 6, 2);
    let reject = Reject::Strided {
        slot,
        row_stride,
        column_stride,
    };
    assert_eq!(operands.steel(), Err(reject.clone()));
    assert_eq!(reject.operand(), Some(Slot::Left));
}

#[test]
fn strides_that_the_kernel_cannot_multiply_are_rejected() {
    let limit = metal_candle_mps::plan::limits::MAX_STEP;
    let plan = |stride| {
        let left = View::new(F32, 0, &[2, 3], &[stride, 1], usize::MAX).expect("in bounds");
        Operands::new(left, contiguous(&[3, 5])).steel()
    };
    assert!(plan(limit).is_ok());
    let (name, value) = ("row stride of the left factor", limit + 1);
    assert_eq!(plan(limit + 1), Err(Reject::Over { name, value, limit }));
}

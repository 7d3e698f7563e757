//! Products by candle's own kernels, in candle's own encoder, which orders them.

use candle_core::MetalDevice;
use candle_metal_kernels::metal::{
    Buffer, ComputeCommandEncoder, ComputePipeline, ConstantValues, Value,
};
use candle_metal_kernels::source::Source;
use objc2_metal::MTLSize;

use super::context;
use super::objects::buffer;
use super::{Buffers, Error, charge};
use crate::plan::{Access, Binding, GemvPlan, Slot, SteelPlan, gemv, steel};

/// One dispatch of candle's GEMM.
pub fn steel(device: &MetalDevice, plan: &SteelPlan, buffers: &Buffers<'_>) -> Result<(), Error> {
    let params = &plan.params;
    let sizes = [params.m, params.n, params.k].map(|size| size as usize);
    charge(device, flops(sizes, plan.grid[2]))?;
    let constants = plan
        .constants
        .map(|(index, value)| (index, Value::Bool(value)));
    let constants = Some(ConstantValues::new(constants.into()));
    let (kernels, name) = (device.kernels(), plan.kernel.clone());
    let raw = device.device();
    let pipeline = kernels.load_pipeline_with_constants(raw, Source::Gemm, name, constants)?;
    let set_values = |encoder: &ComputeCommandEncoder| {
        encoder.set_bytes(steel::index::PARAMS, &plan.params);
        if let Some(addend) = &plan.addend {
            encoder.set_bytes(steel::index::ADDEND_PARAMS, addend);
        }
        set_slice(encoder, steel::index::BATCH_SHAPE, &plan.batch_shape);
        set_slice(encoder, steel::index::BATCH_STRIDES, &plan.batch_strides);
    };
    let threads = [plan.grid, plan.group];
    dispatch(
        device,
        &pipeline,
        &plan.bindings,
        buffers,
        threads,
        set_values,
    )
}

/// One dispatch of candle's matrix-vector product.
pub fn gemv(device: &MetalDevice, plan: &GemvPlan, buffers: &Buffers<'_>) -> Result<(), Error> {
    use gemv::index;
    let sizes = [1, plan.out_vec_size as usize, plan.in_vec_size as usize];
    charge(device, flops(sizes, plan.grid[2]))?;
    let (kernels, name) = (device.kernels(), plan.kernel.clone());
    let pipeline = kernels.load_pipeline(device.device(), Source::Gemv, name)?;
    let set_values = |encoder: &ComputeCommandEncoder| {
        let ndim = plan.batch_shape.len() as i32;
        encoder.set_bytes(index::IN_VEC_SIZE, &plan.in_vec_size);
        encoder.set_bytes(index::OUT_VEC_SIZE, &plan.out_vec_size);
        encoder.set_bytes(index::MATRIX_LD, &plan.matrix_ld);
        encoder.set_bytes(index::ALPHA, &plan.alpha);
        encoder.set_bytes(index::BETA, &plan.beta);
        encoder.set_bytes(index::BATCH_NDIM, &ndim);
        set_slice(encoder, index::BATCH_SHAPE, &plan.batch_shape);
        for (index, strides) in [
            (index::VECTOR_BATCH_STRIDES, &plan.vector_batch_strides),
            (index::MATRIX_BATCH_STRIDES, &plan.matrix_batch_strides),
            (index::ADDEND_BATCH_STRIDES, &plan.addend_batch_strides),
        ] {
            set_slice(encoder, index, strides);
        }
        encoder.set_bytes(index::ADDEND_STRIDE, &plan.addend_stride);
    };
    let threads = [plan.grid, plan.group];
    dispatch(
        device,
        &pipeline,
        &plan.bindings,
        buffers,
        threads,
        set_values,
    )
}

/// A multiplication and an addition for each element of the sums.
fn flops(sizes: [usize; 3], matrices: usize) -> u64 {
    let sizes = sizes.map(|size| size as u64).into_iter();
    sizes.fold(2 * matrices as u64, u64::saturating_mul)
}

/// Looks everything up, and only then takes candle's lock.
fn dispatch(
    device: &MetalDevice,
    pipeline: &ComputePipeline,
    bindings: &[Binding],
    buffers: &Buffers<'_>,
    [grid, group]: [[usize; 3]; 2],
    set_values: impl FnOnce(&ComputeCommandEncoder),
) -> Result<(), Error> {
    let is_zero = |binding: &Binding| binding.slot == Slot::Zero;
    let context = bindings.iter().any(is_zero).then(|| context::of(device));
    let context = context.transpose()?;
    let buffer = |binding: &Binding| match (binding.slot, &context) {
        (Slot::Zero, Some(context)) => Ok(&*context.zeros),
        (slot, _) => self::buffer(buffers, slot),
    };
    bindings.iter().try_for_each(|b| buffer(b).map(drop))?;
    let guard = device.command_encoder()?;
    let encoder: &ComputeCommandEncoder = guard.as_ref();
    encoder.set_compute_pipeline_state(pipeline);
    for binding in bindings {
        bind(encoder, binding, buffer(binding)?);
    }
    set_values(encoder);
    encoder.dispatch_thread_groups(size(grid), size(group));
    Ok(())
}

/// candle's barriers and fences go by what is said here.
fn bind(encoder: &ComputeCommandEncoder, binding: &Binding, buffer: &Buffer) {
    let (index, offset) = (binding.index, binding.offset_bytes);
    match binding.access {
        Access::Read => encoder.set_input_buffer(index, Some(buffer), offset),
        Access::Write => encoder.set_output_buffer(index, Some(buffer), offset),
    }
}

fn set_slice<T>(encoder: &ComputeCommandEncoder, index: usize, values: &[T]) {
    encoder.set_bytes_directly(index, size_of_val(values), values.as_ptr().cast());
}

fn size([width, height, depth]: [usize; 3]) -> MTLSize {
    MTLSize {
        width,
        height,
        depth,
    }
}

//! Calls of `MPSMatrixSoftMax`.

use candle_core::MetalDevice;
use objc2::AnyThread;
use objc2_metal_performance_shaders::MPSMatrixSoftMax;

use super::context::{Context, Kernel};
use super::objects::{matrix, origin};
use super::work::Work;
use super::{Buffers, Error};
use crate::order::Call;
use crate::plan::MatrixSoftMax;

/// Makes every object that the plan needs.
pub fn prepare<'a>(
    device: &MetalDevice,
    context: &'a Context,
    plan: &'a MatrixSoftMax,
    buffers: &Buffers<'_>,
) -> Result<Work<'a>, Error> {
    let source = matrix(&plan.source, buffers)?;
    let result = matrix(&plan.result, buffers)?;
    let dtype = plan.result.dtype;
    let kernel = context.softmaxes.take(dtype, || make(device));
    let encode = move |_, target: super::work::Target<'_>| {
        let kernel = &kernel.0;
        // SAFETY: both matrices have these sizes; properties are copied when the kernel encodes, and
        // no other thread has it.
        unsafe {
            kernel.setSourceRows(plan.source.rows);
            kernel.setSourceColumns(plan.source.columns);
            kernel.setSourceMatrixOrigin(origin(&plan.source));
            kernel.setResultMatrixOrigin(origin(&plan.result));
            kernel.setBatchStart(0);
            kernel.setBatchSize(plan.source.matrices);
            kernel.encodeToCommandBuffer_inputMatrix_resultMatrix(
                target.commands,
                &source,
                &result,
            );
        }
    };
    Ok(Work {
        call: Call::InItsOwn,
        calls: 1,
        encode: Box::new(encode),
    })
}

fn make(device: &MetalDevice) -> Kernel<MPSMatrixSoftMax> {
    let alloc = MPSMatrixSoftMax::alloc();
    // SAFETY: MPS supports the device.
    Kernel(unsafe { MPSMatrixSoftMax::initWithDevice(alloc, device.device().as_ref()) })
}

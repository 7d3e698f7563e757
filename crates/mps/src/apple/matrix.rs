//! Calls of `MPSMatrixMultiplication`.

use candle_core::MetalDevice;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_metal_performance_shaders::{MPSMatrix, MPSMatrixMultiplication};

use super::context::{Context, Kernel};
use super::objects::{all, matrix, origin};
use super::work::{Target, Work};
use super::{Buffers, Error};
use crate::order::Call;
use crate::plan::{Matrix, MatrixKernel, MatrixMultiplication};

/// Makes every object that the plan needs.
pub fn prepare<'a>(
    device: &MetalDevice,
    context: &'a Context,
    plan: &'a MatrixMultiplication,
    buffers: &Buffers<'_>,
) -> Result<Work<'a>, Error> {
    let operands = plan.calls.iter().map(|call| all(matrix, call, buffers));
    let operands = operands.collect::<Result<Vec<_>, Error>>()?;
    let kernel = plan.kernel;
    let kernel = context.matrices.take(kernel, || make(device, &kernel));
    Ok(Work {
        call: Call::InItsOwn,
        calls: plan.calls.len(),
        encode: Box::new(move |i, target| encode(&kernel.0, &plan.calls[i], &operands[i], target)),
    })
}

fn make(device: &MetalDevice, kernel: &MatrixKernel) -> Kernel<MPSMatrixMultiplication> {
    let alloc = MPSMatrixMultiplication::alloc();
    // SAFETY: MPS supports the device, and a plan's sizes are above 0.
    Kernel(unsafe {
        MPSMatrixMultiplication::initWithDevice_transposeLeft_transposeRight_resultRows_resultColumns_interiorColumns_alpha_beta(
            alloc,
            device.device().as_ref(),
            kernel.transpose_left,
            kernel.transpose_right,
            kernel.rows,
            kernel.columns,
            kernel.interior,
            kernel.alpha.value(),
            kernel.beta.value(),
        )
    })
}

fn encode(
    kernel: &MPSMatrixMultiplication,
    call: &[Matrix; 3],
    [left, right, result]: &[Retained<MPSMatrix>; 3],
    target: Target<'_>,
) {
    // SAFETY: the kernel was made for these sizes, which the matrices have; its properties are copied
    // when it encodes, and no other thread has it.
    unsafe {
        kernel.setLeftMatrixOrigin(origin(&call[0]));
        kernel.setRightMatrixOrigin(origin(&call[1]));
        kernel.setResultMatrixOrigin(origin(&call[2]));
        kernel.setBatchStart(0);
        kernel.setBatchSize(call[2].matrices);
        kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(
            target.commands,
            left,
            right,
            result,
        );
    }
}

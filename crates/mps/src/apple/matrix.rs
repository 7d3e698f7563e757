//! Calls of `MPSMatrixMultiplication`.

use candle_core::MetalDevice;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_metal_performance_shaders::{MPSMatrix, MPSMatrixMultiplication};

use super::context::{Context, Kernel};
use super::objects::{matrix, origin};
use super::work::{Target, Work};
use super::{Buffers, Error};
use crate::order::{Call, Checkout};
use crate::plan::{Engine, MatrixMultiplication, MatrixMultiplicationCall};

struct Prepared<'a> {
    kernel: Checkout<'a, Kernel<MPSMatrixMultiplication>>,
    calls: Vec<(&'a MatrixMultiplicationCall, [Retained<MPSMatrix>; 3])>,
}

/// Makes every object that the plan needs.
pub fn prepare<'a>(
    device: &MetalDevice,
    context: &'a Context,
    plan: &'a MatrixMultiplication,
    buffers: &Buffers<'_>,
) -> Result<Box<dyn Work + 'a>, Error> {
    if !context.caps.mps {
        return Err(Error::Unsupported {
            engine: Engine::Matrix,
        });
    }
    let calls = plan
        .calls
        .iter()
        .map(|call| Ok((call, operands(call, buffers)?)));
    let calls = calls.collect::<Result<_, Error>>()?;
    let kernel = context
        .matrices
        .take(plan.key(context.registry_id), || make(device, plan));
    Ok(Box::new(Prepared { kernel, calls }))
}

fn operands(
    call: &MatrixMultiplicationCall,
    buffers: &Buffers<'_>,
) -> Result<[Retained<MPSMatrix>; 3], Error> {
    Ok([
        matrix(&call.left, buffers)?,
        matrix(&call.right, buffers)?,
        matrix(&call.result, buffers)?,
    ])
}

fn make(device: &MetalDevice, plan: &MatrixMultiplication) -> Kernel<MPSMatrixMultiplication> {
    let alloc = MPSMatrixMultiplication::alloc();
    // SAFETY: MPS supports the device, and a plan's sizes are above 0.
    Kernel(unsafe {
        MPSMatrixMultiplication::initWithDevice_transposeLeft_transposeRight_resultRows_resultColumns_interiorColumns_alpha_beta(
            alloc,
            device.device().as_ref(),
            plan.transpose_left,
            plan.transpose_right,
            plan.result_rows,
            plan.result_columns,
            plan.interior_columns,
            plan.alpha,
            plan.beta,
        )
    })
}

impl Work for Prepared<'_> {
    fn call(&self) -> Call {
        Call::InItsOwn
    }

    fn calls(&self) -> usize {
        self.calls.len()
    }

    fn encode(&self, call: usize, target: Target<'_>) {
        let kernel = &self.kernel.0;
        let (call, [left, right, result]) = &self.calls[call];
        // SAFETY: the kernel was made for these sizes, which the matrices have; its properties
        // are copied when it encodes, and no other thread has it.
        unsafe {
            kernel.setLeftMatrixOrigin(origin(call.left_origin));
            kernel.setRightMatrixOrigin(origin(call.right_origin));
            kernel.setResultMatrixOrigin(origin(call.result_origin));
            kernel.setBatchStart(call.batch_start);
            kernel.setBatchSize(call.batch_size);
            kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(
                target.commands,
                left,
                right,
                result,
            );
        }
    }
}

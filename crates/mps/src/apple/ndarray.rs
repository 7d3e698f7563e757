//! Calls of `MPSNDArrayMatrixMultiplication`.

use candle_core::MetalDevice;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_foundation::NSArray;
use objc2_metal_performance_shaders::{MPSNDArray, MPSNDArrayMatrixMultiplication};

use super::context::{Context, Kernel};
use super::objects::array;
use super::work::{Target, Work};
use super::{Buffers, Error};
use crate::order::{Call, Checkout};
use crate::plan::{Engine, NdArrayMatrixMultiplication, NdArrayMatrixMultiplicationCall};

struct Prepared<'a> {
    kernel: Checkout<'a, Kernel<MPSNDArrayMatrixMultiplication>>,
    alpha: f64,
    calls: Vec<Operands>,
}

/// Makes every object that the plan needs.
pub fn prepare<'a>(
    device: &MetalDevice,
    context: &'a Context,
    plan: &NdArrayMatrixMultiplication,
    buffers: &Buffers<'_>,
) -> Result<Box<dyn Work + 'a>, Error> {
    if !context.caps.ndarray {
        return Err(Error::Unsupported {
            engine: Engine::NdArray,
        });
    }
    let calls = plan
        .calls
        .iter()
        .map(|call| operands(call, buffers))
        .collect::<Result<_, Error>>()?;
    let kernel = context
        .arrays
        .take(plan.key(context.registry_id), || make(device, plan));
    Ok(Box::new(Prepared {
        kernel,
        alpha: plan.alpha,
        calls,
    }))
}

type Operands = (Retained<NSArray<MPSNDArray>>, Retained<MPSNDArray>);

fn operands(
    call: &NdArrayMatrixMultiplicationCall,
    buffers: &Buffers<'_>,
) -> Result<Operands, Error> {
    let sources = [array(&call.left, buffers)?, array(&call.right, buffers)?];
    let result = array(&call.result, buffers)?;
    Ok((NSArray::from_retained_slice(&sources), result))
}

fn make(
    device: &MetalDevice,
    plan: &NdArrayMatrixMultiplication,
) -> Kernel<MPSNDArrayMatrixMultiplication> {
    let alloc = MPSNDArrayMatrixMultiplication::alloc();
    // SAFETY: MPS supports the device, and the kernel takes two sources or three.
    Kernel(unsafe {
        MPSNDArrayMatrixMultiplication::initWithDevice_sourceCount(
            alloc,
            device.device().as_ref(),
            plan.source_count,
        )
    })
}

impl Work for Prepared<'_> {
    fn call(&self) -> Call {
        Call::InOurEncoder
    }

    fn calls(&self) -> usize {
        self.calls.len()
    }

    fn encode(&self, call: usize, target: Target<'_>) {
        let kernel = &self.kernel.0;
        let (sources, result) = &self.calls[call];
        // SAFETY: the arrays are those of a plan, which fit each other; the encoder is of the
        // command buffer; properties are copied when the kernel encodes, and no other thread has it.
        unsafe {
            kernel.setAlpha(self.alpha);
            kernel.encodeToCommandEncoder_commandBuffer_sourceArrays_destinationArray(
                target.encoder,
                target.commands,
                sources,
                result,
            );
        }
    }
}

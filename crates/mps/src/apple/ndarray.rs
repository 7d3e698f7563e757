//! Calls of `MPSNDArrayMatrixMultiplication`.

use candle_core::MetalDevice;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_foundation::NSArray;
use objc2_metal_performance_shaders::{MPSNDArray, MPSNDArrayMatrixMultiplication};

use super::context::{Context, Kernel};
use super::objects::{all, array};
use super::work::{Target, Work};
use super::{Buffers, Error};
use crate::order::Call;
use crate::plan::{Matrix, NdArrayMultiplication};

/// `initWithDevice:sourceCount:`: left and right.
const SOURCES: usize = 2;

/// Makes every object that the plan needs.
pub fn prepare<'a>(
    device: &MetalDevice,
    context: &'a Context,
    plan: &'a NdArrayMultiplication,
    buffers: &Buffers<'_>,
) -> Result<Work<'a>, Error> {
    let calls = plan.calls.iter().map(|call| operands(call, buffers));
    let calls = calls.collect::<Result<Vec<_>, Error>>()?;
    let kernel = context.arrays.take(plan.dtype, || make(device));
    Ok(Work {
        call: Call::InOurEncoder,
        calls: plan.calls.len(),
        encode: Box::new(move |i, target| encode(&kernel.0, plan.alpha, &calls[i], target)),
    })
}

type Operands = (Retained<NSArray<MPSNDArray>>, Retained<MPSNDArray>);

fn operands(call: &[Matrix; 3], buffers: &Buffers<'_>) -> Result<Operands, Error> {
    let [left, right, result] = all(array, call, buffers)?;
    Ok((NSArray::from_retained_slice(&[left, right]), result))
}

fn make(device: &MetalDevice) -> Kernel<MPSNDArrayMatrixMultiplication> {
    let (alloc, device) = (MPSNDArrayMatrixMultiplication::alloc(), device.device());
    // SAFETY: MPS supports the device, and the kernel takes two sources or three.
    Kernel(unsafe {
        MPSNDArrayMatrixMultiplication::initWithDevice_sourceCount(alloc, device.as_ref(), SOURCES)
    })
}

fn encode(
    kernel: &MPSNDArrayMatrixMultiplication,
    alpha: f64,
    (sources, result): &Operands,
    target: Target<'_>,
) {
    // SAFETY: the arrays are those of a plan, which fit each other; the encoder is of the command
    // buffer; properties are copied when the kernel encodes, and no other thread has it.
    unsafe {
        kernel.setAlpha(alpha);
        kernel.encodeToCommandEncoder_commandBuffer_sourceArrays_destinationArray(
            target.encoder,
            target.commands,
            sources,
            result,
        );
    }
}

//! Calls of `MPSMatrixSoftMax` and `MPSMatrixLogSoftMax`.

use candle_core::MetalDevice;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_metal_performance_shaders::{MPSMatrix, MPSMatrixLogSoftMax, MPSMatrixSoftMax};

use super::context::{Context, Kernel};
use super::objects::{matrix, origin};
use super::work::{Target, Work};
use super::{Buffers, Error};
use crate::order::{Call, Checkout};
use crate::plan::{Engine, MatrixSoftMax, MatrixSoftMaxCall, SoftMaxKind};

struct Prepared<'a> {
    kernel: Checkout<'a, Kernel<MPSMatrixSoftMax>>,
    calls: Vec<(&'a MatrixSoftMaxCall, [Retained<MPSMatrix>; 2])>,
}

/// Makes every object that the plan needs.
pub fn prepare<'a>(
    device: &MetalDevice,
    context: &'a Context,
    plan: &'a MatrixSoftMax,
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
        .softmaxes
        .take(plan.key(context.registry_id), || make(device, plan.kind));
    Ok(Box::new(Prepared { kernel, calls }))
}

fn operands(
    call: &MatrixSoftMaxCall,
    buffers: &Buffers<'_>,
) -> Result<[Retained<MPSMatrix>; 2], Error> {
    Ok([
        matrix(&call.source, buffers)?,
        matrix(&call.result, buffers)?,
    ])
}

fn make(device: &MetalDevice, kind: SoftMaxKind) -> Kernel<MPSMatrixSoftMax> {
    let device = device.device().as_ref();
    // SAFETY: MPS supports the device.
    Kernel(unsafe {
        match kind {
            SoftMaxKind::SoftMax => {
                MPSMatrixSoftMax::initWithDevice(MPSMatrixSoftMax::alloc(), device)
            }
            SoftMaxKind::LogSoftMax => {
                MPSMatrixLogSoftMax::initWithDevice(MPSMatrixLogSoftMax::alloc(), device)
                    .into_super()
            }
        }
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
        let (call, [source, result]) = &self.calls[call];
        // SAFETY: the region is inside of both matrices; properties are copied when the kernel
        // encodes, and no other thread has it.
        unsafe {
            kernel.setSourceRows(call.source_rows);
            kernel.setSourceColumns(call.source_columns);
            kernel.setSourceMatrixOrigin(origin(call.source_origin));
            kernel.setResultMatrixOrigin(origin(call.result_origin));
            kernel.setBatchStart(call.batch_start);
            kernel.setBatchSize(call.batch_size);
            kernel.encodeToCommandBuffer_inputMatrix_resultMatrix(target.commands, source, result);
        }
    }
}

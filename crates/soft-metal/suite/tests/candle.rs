//! candle's own Metal backend, unmodified, beside an MPS kernel on a queue of its own.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, MetalStorage, Result, Shape, Tensor};
use objc2::AnyThread;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::ProtocolObject;
use objc2_metal::{MTLBuffer, MTLCommandBuffer, MTLCommandQueue, MTLDevice};
use objc2_metal_performance_shaders::*;
use soft_metal::{Guard, Rule, drain, take_violations};

/// A matrix product on another queue than candle's; right only if it waits on both sides.
struct SecondQueue {
    /// For candle's queue, before.
    flush: bool,
    /// For its own queue, after.
    wait: bool,
}

fn matrix(
    buffer: &ProtocolObject<dyn MTLBuffer>,
    start: usize,
    (rows, columns): (usize, usize),
) -> Retained<MPSMatrix> {
    unsafe {
        let f32s = MPSDataType::Float32;
        let d =
            MPSMatrixDescriptor::matrixDescriptorWithRows_columns_rowBytes_dataType(rows, columns, columns * 4, f32s);
        MPSMatrix::initWithBuffer_offset_descriptor(MPSMatrix::alloc(), buffer, start * 4, &d)
    }
}

impl CustomOp2 for SecondQueue {
    fn name(&self) -> &'static str {
        "matmul on a second queue"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("for Metal only")
    }

    fn metal_fwd(&self, a: &MetalStorage, la: &Layout, b: &MetalStorage, lb: &Layout) -> Result<(MetalStorage, Shape)> {
        let candle = a.device().clone();
        let ((m, k), (_, n)) = (la.shape().dims2()?, lb.shape().dims2()?);
        let out = candle.new_buffer_builder().with_size_for(m * n, DType::F32).build()?;
        if self.flush {
            candle.flush_and_wait_current()?;
        }
        autoreleasepool(|_| unsafe {
            let device: &ProtocolObject<dyn MTLDevice> = candle.device().as_ref();
            let x = matrix(a.buffer().as_ref(), la.start_offset(), (m, k));
            let y = matrix(b.buffer().as_ref(), lb.start_offset(), (k, n));
            let z = matrix((*out).as_ref(), 0, (m, n));
            let kernel = MPSMatrixMultiplication::initWithDevice_resultRows_resultColumns_interiorColumns(
                MPSMatrixMultiplication::alloc(),
                device,
                m,
                n,
                k,
            );
            let commands = device.newCommandQueue().expect("a queue").commandBuffer().expect("a command buffer");
            kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(&commands, &x, &y, &z);
            commands.commit();
            if self.wait {
                commands.waitUntilCompleted();
            }
        });
        Ok((MetalStorage::new(out, candle, m * n, DType::F32), (m, n).into()))
    }
}

#[test]
fn tensors_go_to_the_device_and_back() -> Result<()> {
    let _guard = Guard::new();
    let device = Device::new_metal(0)?;
    let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    assert_eq!(Tensor::from_vec(values.clone(), 1000, &device)?.to_vec1::<f32>()?, values);
    assert_eq!(Tensor::zeros(12, DType::F32, &device)?.to_vec1::<f32>()?, [0f32; 12]);
    Ok(())
}

#[test]
fn an_mps_product_reads_a_view_of_candles_memory() -> Result<()> {
    let _guard = Guard::new();
    let device = Device::new_metal(0)?;
    let a = Tensor::arange(0f32, 7., &device)?.narrow(0, 1, 6)?.reshape((2, 3))?; // begins at element 1
    let b = Tensor::arange(7f32, 13., &device)?.reshape((3, 2))?;
    let c = a.apply_op2_no_bwd(&b, &SecondQueue { flush: true, wait: true })?;
    assert_eq!(c.to_vec2::<f32>()?, [[58., 64.], [139., 154.]]);
    Ok(())
}

/// A deliberate bug: `zeros` is filled by a blit that is still in candle's open command buffer, and candle does not know
/// of the other queue. Only the checker sees it when the numbers happen to be right.
#[test]
fn an_unordered_second_queue_is_caught() -> Result<()> {
    let device = Device::new_metal(0)?;
    let b = Tensor::arange(7f32, 13., &device)?.reshape((3, 2))?;
    let rules = |flush, wait| -> Result<Vec<Rule>> {
        drain();
        take_violations();
        let a = Tensor::zeros((2, 3), DType::F32, &device)?;
        a.apply_op2_no_bwd(&b, &SecondQueue { flush, wait })?.to_vec2::<f32>()?;
        drain();
        Ok(take_violations().iter().map(|v| v.rule).collect())
    };
    assert_eq!(rules(true, true)?, []);
    assert!(rules(false, true)?.contains(&Rule::EncodedLater));
    // Which of the two queues is first is chance.
    let broken = rules(true, false)?;
    assert!(broken.iter().any(|r| [Rule::ReadAfterWrite, Rule::WriteAfterRead].contains(r)), "{broken:?}");
    Ok(())
}

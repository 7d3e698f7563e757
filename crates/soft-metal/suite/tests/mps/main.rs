//! MPS kernels against plain loops, and what is left after many of them.

#[path = "../common/mod.rs"]
mod common;

mod arrays;
mod matrices;

use common::*;
use objc2::AnyThread;
use objc2::rc::autoreleasepool;
use objc2_metal::*;
use objc2_metal_performance_shaders::*;
use soft_metal::Guard;

#[test]
fn nothing_is_left_after_a_thousand_of_each() {
    let guard = Guard::new();
    autoreleasepool(|_| {
        let gpu = Gpu::new();
        for _ in 0..1000 {
            autoreleasepool(|_| {
                let out = gpu.buffer(&[0f32; 4]);
                let (x, z) = (matrix(&gpu.buffer(&ramp(4, 1.0)), 2, 2), matrix(&out, 2, 2));
                let kernel = multiplication(&gpu, false, false, [2, 2, 2], 1.0, 0.0);
                let softmax = unsafe { MPSMatrixSoftMax::initWithDevice(MPSMatrixSoftMax::alloc(), &gpu.device) };
                gpu.run(|cb| unsafe {
                    kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(cb, &x, &x, &z);
                    softmax.encodeToCommandBuffer_inputMatrix_resultMatrix(cb, &z, &z);
                });
            });
        }
    });
    assert_eq!(guard.problems(), Vec::<String>::new());
    let left: Vec<_> = soft_metal::live().into_iter().filter(|(class, _)| class != "SoftDevice").collect();
    assert_eq!(left, [], "the census of every class");
    assert!(soft_metal::census()["MPSMatrixSoftMax"].total >= 1000);
}

#[test]
fn an_mps_command_buffer_commits_and_continues() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let out = gpu.buffer(&[0f32; 4]);
    let (x, z) = (matrix(&gpu.buffer(&[1f32, 2., 3., 4.]), 2, 2), matrix(&out, 2, 2));
    let kernel = multiplication(&gpu, false, false, [2, 2, 2], 1.0, 0.0);
    unsafe {
        let cb = MPSCommandBuffer::commandBufferFromCommandQueue(&gpu.queue);
        let protocol = objc2::runtime::ProtocolObject::from_ref(&*cb);
        kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(protocol, &x, &x, &z);
        cb.commitAndContinue();
        kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(protocol, &x, &x, &z);
        cb.commit();
        cb.waitUntilCompleted();
    }
    assert_eq!(read::<f32>(&out, 4), [7., 10., 15., 22.]);
}

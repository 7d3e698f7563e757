//! What runs before what.

use crate::common::*;
use crate::{COPY, recorded};
use objc2::runtime::{NSObjectProtocol, ProtocolObject};
use objc2_metal::*;
use soft_metal::{Guard, Rule};

/// Two passes on untracked buffers `(from, to)` without a fence between them.
fn two_passes(gpu: &Gpu, first: (&Buffer, &Buffer), second: (&Buffer, &Buffer)) -> String {
    let pipeline = gpu.pipeline(COPY, "copy");
    gpu.run(|cb| {
        dispatch(cb, &pipeline, &[first.0, first.1], 4, 4);
        dispatch(cb, &pipeline, &[second.0, second.1], 4, 4);
    });
    recorded()
}

rules! {
    a_missing_fence breaks ReadAfterWrite: |gpu| {
        let [a, b, c] = [0; 3].map(|_| gpu.untracked(&[1f32; 4]));
        two_passes(gpu, (&a, &b), (&b, &c))
    };
    a_missing_fence_before_a_write breaks WriteAfterRead: |gpu| {
        let [a, b, c] = [0; 3].map(|_| gpu.untracked(&[1f32; 4]));
        two_passes(gpu, (&a, &b), (&c, &a))
    };
    a_missing_fence_between_writes breaks WriteAfterWrite: |gpu| {
        let [a, b, c] = [0; 3].map(|_| gpu.untracked(&[1f32; 4]));
        two_passes(gpu, (&a, &b), (&c, &b))
    };
    a_buffer_committed_out_of_order breaks EncodedLater: |gpu| {
        let pipeline = gpu.pipeline(COPY, "copy");
        let [a, b, c] = [0; 3].map(|_| gpu.buffer(&[1f32; 4]));
        let (first, second) = (gpu.commands(), gpu.commands());
        dispatch(&first, &pipeline, &[&a, &b], 4, 4);
        dispatch(&second, &pipeline, &[&b, &c], 4, 4);
        second.commit();
        first.commit();
        first.waitUntilCompleted();
        recorded()
    };
    a_missing_memory_barrier breaks MissingBarrier: |gpu| {
        let pipeline = gpu.pipeline(COPY, "copy");
        let [a, b, c] = [0; 3].map(|_| gpu.buffer(&[1f32; 4]));
        gpu.run(|cb| {
            let e = cb.computeCommandEncoderWithDispatchType(MTLDispatchType::Concurrent).expect("an encoder");
            dispatch_in(&e, &pipeline, &[&a, &b], 4, 4);
            dispatch_in(&e, &pipeline, &[&b, &c], 4, 4);
            e.endEncoding();
        });
        recorded()
    };
    contents_before_completion breaks HostAccess: |gpu| {
        let pipeline = gpu.pipeline(COPY, "copy");
        let [a, b] = [0; 2].map(|_| gpu.buffer(&[1f32; 4]));
        let commands = gpu.commands();
        dispatch(&commands, &pipeline, &[&a, &b], 4, 4);
        commands.commit();
        let _too_early = b.contents();
        recorded()
    };
}

/// Fences order what was unordered above, and the checker knows it.
#[test]
fn fences_and_barriers_are_understood() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let pipeline = gpu.pipeline(COPY, "copy");
    let [a, b, c] = [1f32, 2.0, 3.0].map(|x| gpu.untracked(&[x; 4]));
    let fence = gpu.device.newFence().expect("a fence");
    gpu.run(|cb| {
        let e = cb.computeCommandEncoder().expect("an encoder");
        dispatch_in(&e, &pipeline, &[&a, &b], 4, 4);
        e.updateFence(&fence);
        e.endEncoding();
        let e = cb.computeCommandEncoderWithDispatchType(MTLDispatchType::Concurrent).expect("an encoder");
        e.waitForFence(&fence);
        dispatch_in(&e, &pipeline, &[&b, &c], 4, 4);
        e.memoryBarrierWithScope(MTLBarrierScope::Buffers);
        dispatch_in(&e, &pipeline, &[&c, &a], 4, 4);
        e.endEncoding();
    });
    assert_eq!(read::<f32>(&c, 4), [1.0; 4]);
}

/// A program that asks until it hears of the end needs no wait, even while the queue's thread still has to call handlers.
#[test]
fn a_status_tells_of_the_end() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let pipeline = gpu.pipeline(COPY, "copy");
    let [a, b] = [1f32, 2.0].map(|x| gpu.untracked(&[x; 4]));
    for _ in 0..3000 {
        let commands = gpu.commands();
        dispatch(&commands, &pipeline, &[&a, &b], 4, 4);
        commands.commit();
        while commands.status() != MTLCommandBufferStatus::Completed {
            std::hint::spin_loop();
        }
        assert_eq!(read::<f32>(&b, 4), [1.0; 4]);
    }
}

/// A buffer that is bound from an earlier dispatch counts only where the kernel, specialised as it is, has a parameter.
#[test]
fn a_parameter_that_is_switched_off_touches_nothing() {
    let source = "constant bool on [[function_constant(0)]]; kernel void k(device const float* x [[buffer(0)]], \
        device float* y [[buffer(1)]], device const float* z [[buffer(2), function_constant(on)]]) { y[0] = x[0]; }";
    let gpu = Gpu::new();
    let copy = gpu.pipeline(COPY, "copy");
    let [a, b, c] = [0; 3].map(|_| gpu.buffer(&[1f32; 4]));
    let run = |on: bool| {
        let pipeline = gpu.specialised(source, "k", &[on]);
        gpu.run(|cb| {
            let e = cb.computeCommandEncoderWithDispatchType(MTLDispatchType::Concurrent).expect("an encoder");
            dispatch_in(&e, &copy, &[&a, &b], 4, 4);
            unsafe { e.setBuffer_offset_atIndex(Some(&b), 0, 2) };
            dispatch_in(&e, &pipeline, &[&a, &c], 1, 1);
            e.endEncoding();
        });
        recorded()
    };
    assert_eq!(run(false), "");
    assert!(run(true).contains(Rule::MissingBarrier.text()));
}

/// A buffer that another pipeline's dispatch left bound does not count as touched; one bound for this dispatch does.
#[test]
fn what_another_pipeline_left_bound_is_not_touched() {
    let source = "kernel void k(device const float* x [[buffer(0)]], device float* y [[buffer(1)]], \
        device const float* z [[buffer(2)]]) { y[0] = x[0]; }";
    let gpu = Gpu::new();
    let (copy, three) = (gpu.pipeline(COPY, "copy"), gpu.pipeline(source, "k"));
    let [a, b, c] = [0; 3].map(|_| gpu.buffer(&[1f32; 4]));
    let run = |again: bool| {
        gpu.run(|cb| {
            let e = cb.computeCommandEncoderWithDispatchType(MTLDispatchType::Concurrent).expect("an encoder");
            unsafe { e.setBuffer_offset_atIndex(Some(&b), 0, 2) };
            dispatch_in(&e, &copy, &[&a, &b], 4, 4);
            if again {
                unsafe { e.setBuffer_offset_atIndex(Some(&b), 0, 2) };
            }
            dispatch_in(&e, &three, &[&a, &c], 1, 1);
            e.endEncoding();
        });
        recorded()
    };
    assert_eq!(run(false), "");
    assert!(run(true).contains(Rule::MissingBarrier.text()));
}

/// A shared event orders two queues; the host sees its value.
#[test]
fn shared_events_order_queues() {
    let _guard = Guard::new();
    let gpu = Gpu::new();
    let pipeline = gpu.pipeline(COPY, "copy");
    let [a, b, c] = [1f32, 2.0, 3.0].map(|x| gpu.untracked(&[x; 4]));
    let event = gpu.device.newSharedEvent().expect("an event");
    let other = gpu.device.newCommandQueue().expect("a queue");
    let (first, second) = (gpu.commands(), other.commandBuffer().expect("a command buffer"));
    dispatch(&first, &pipeline, &[&a, &b], 4, 4);
    first.encodeSignalEvent_value(ProtocolObject::from_ref(&*event), 1);
    second.encodeWaitForEvent_value(ProtocolObject::from_ref(&*event), 1);
    dispatch(&second, &pipeline, &[&b, &c], 4, 4);
    second.commit();
    first.commit();
    second.waitUntilCompleted();
    assert_eq!((event.signaledValue(), read::<f32>(&c, 4)), (1, vec![1.0; 4]));
    assert!(gpu.device.isKindOfClass(objc2::class!(NSObject)));
}

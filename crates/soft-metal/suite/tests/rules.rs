//! Every rule, broken once: by a call that panics, or by work whose violation is recorded.

mod common;

use common::*;
use objc2::AnyThread;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{AnyObject, NSObject, NSObjectProtocol, ProtocolObject};
use objc2_foundation::NSRange;
use objc2_metal::*;
use objc2_metal_performance_shaders::*;
use soft_metal::{Guard, Rule, drain, take_violations};
use std::ptr::NonNull;

macro_rules! rules {
    ($($name:ident breaks $rule:ident: $test:expr;)*) => {
        const BROKEN: &[Rule] = &[$(Rule::$rule),*];

        $(
            #[test]
            fn $name() {
                let test: fn(&Gpu) -> String = $test;
                drain();
                take_violations();
                let text = Rule::$rule.text();
                let message = autoreleasepool(|_| test(&Gpu::new()));
                assert!(message.contains(&format!("Metal rule broken ({text})")), "{text}: {message}");
            }
        )*
    };
}

#[test]
fn every_rule_has_a_test_that_breaks_it() {
    let missing: Vec<_> = Rule::ALL.iter().filter(|rule| !BROKEN.contains(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What was recorded, once everything has run.
fn recorded() -> String {
    drain();
    take_violations().iter().map(|v| format!("{v}\n")).collect()
}

fn blit(commands: &Commands) -> Retained<ProtocolObject<dyn MTLBlitCommandEncoder>> {
    commands.blitCommandEncoder().expect("an encoder")
}

fn compute(commands: &Commands) -> Retained<ProtocolObject<dyn MTLComputeCommandEncoder>> {
    commands.computeCommandEncoder().expect("an encoder")
}

/// A closed encoder, so that dropping the rest of a test breaks nothing more.
fn with_open_encoder(gpu: &Gpu, f: impl FnOnce(&Commands)) -> String {
    let commands = gpu.commands();
    let encoder = blit(&commands);
    let message = message(|| f(&commands));
    encoder.endEncoding();
    message
}

fn in_compute_encoder(gpu: &Gpu, f: impl FnOnce(&ProtocolObject<dyn MTLComputeCommandEncoder>)) -> String {
    let commands = gpu.commands();
    let encoder = compute(&commands);
    let message = message(|| f(&encoder));
    encoder.endEncoding();
    message
}

fn matrix_descriptor(rows: usize, columns: usize, row_bytes: usize, dtype: MPSDataType) -> String {
    message(|| unsafe {
        MPSMatrixDescriptor::matrixDescriptorWithRows_columns_rowBytes_dataType(rows, columns, row_bytes, dtype);
    })
}

const COPY: &str = "kernel void copy(device const float* x [[buffer(0)]], device float* y [[buffer(1)]], \
    uint i [[thread_position_in_grid]]) { y[i] = x[i]; }";

/// Two passes on untracked buffers `(from, to)` without a fence between them.
fn two_passes(gpu: &Gpu, first: (&Buffer, &Buffer), second: (&Buffer, &Buffer)) -> String {
    let pipeline = gpu.pipeline(COPY, "copy");
    gpu.run(|cb| {
        dispatch(cb, &pipeline, &[first.0, first.1], 4, 4);
        dispatch(cb, &pipeline, &[second.0, second.1], 4, 4);
    });
    recorded()
}

fn run_kernel(gpu: &Gpu, source: &str, threads: usize) -> String {
    let pipeline = gpu.pipeline(source, "k");
    let (x, y) = (gpu.buffer(&[1f32; 4]), gpu.buffer(&[0f32; 4]));
    gpu.run(|cb| dispatch(cb, &pipeline, &[&x, &y], threads, threads));
    recorded()
}

rules! {
    encoding_after_commit breaks EncodeAfterCommit: |gpu| {
        let commands = gpu.commands();
        commands.commit();
        commands.waitUntilCompleted();
        message(|| drop(blit(&commands)))
    };
    commit_twice breaks CommitTwice: |gpu| {
        let commands = gpu.commands();
        commands.commit();
        message(|| commands.commit())
    };
    two_open_encoders breaks TwoOpenEncoders: |gpu| with_open_encoder(gpu, |c| drop(compute(c)));
    commit_with_an_open_encoder breaks CommitWithOpenEncoder: |gpu| with_open_encoder(gpu, |c| c.commit());
    event_with_an_open_encoder breaks EventWithOpenEncoder: |gpu| {
        let event = gpu.device.newEvent().expect("an event");
        with_open_encoder(gpu, |c| c.encodeSignalEvent_value(&event, 1))
    };
    an_encoder_released_while_open breaks EncoderReleasedOpen: |gpu| {
        autoreleasepool(|_| drop(blit(&gpu.commands())));
        recorded()
    };
    ending_twice breaks EndEncodingTwice: |gpu| {
        let commands = gpu.commands();
        let encoder = blit(&commands);
        encoder.endEncoding();
        message(|| encoder.endEncoding())
    };
    a_command_after_the_end breaks CommandAfterEnd: |gpu| {
        let (commands, b) = (gpu.commands(), gpu.buffer(&[0f32]));
        let encoder = blit(&commands);
        encoder.endEncoding();
        message(|| encoder.fillBuffer_range_value(&b, NSRange::new(0, 4), 0))
    };
    waiting_before_commit breaks WaitBeforeCommit: |gpu| message(|| gpu.commands().waitUntilCompleted());
    a_handler_after_commit breaks HandlerAfterCommit: |gpu| {
        let commands = gpu.commands();
        commands.commit();
        let block = block2::RcBlock::new(|_: NonNull<ProtocolObject<dyn MTLCommandBuffer>>| ());
        message(|| unsafe { commands.addCompletedHandler(block2::RcBlock::as_ptr(&block)) })
    };
    contents_of_private_memory breaks PrivateContents: |gpu| {
        let b = gpu.device.newBufferWithLength_options(16, MTLResourceOptions::StorageModePrivate).expect("a buffer");
        message(|| _ = b.contents())
    };
    a_fill_outside_a_buffer breaks BufferRange: |gpu| {
        let (commands, b) = (gpu.commands(), gpu.buffer(&[0f32]));
        let encoder = blit(&commands);
        let message = message(|| encoder.fillBuffer_range_value(&b, NSRange::new(2, 4), 0));
        encoder.endEncoding();
        message
    };
    long_set_bytes breaks SetBytesLimit: |gpu| in_compute_encoder(gpu, |e| {
        let bytes = [0u8; 4097];
        unsafe { e.setBytes_length_atIndex(NonNull::from(&bytes).cast(), bytes.len(), 0) };
    });
    an_index_past_the_table breaks ArgumentIndex: |gpu| {
        let b = gpu.buffer(&[0f32]);
        in_compute_encoder(gpu, |e| unsafe { e.setBuffer_offset_atIndex(Some(&b), 0, 31) })
    };
    a_large_threadgroup breaks ThreadgroupSize: |gpu| {
        let p = gpu.pipeline(COPY, "copy");
        in_compute_encoder(gpu, |e| dispatch_in(e, &p, &[], 2048, 1025))
    };
    much_threadgroup_memory breaks ThreadgroupMemory: |gpu| {
        let p = gpu.pipeline(COPY, "copy");
        in_compute_encoder(gpu, |e| {
            unsafe { e.setThreadgroupMemoryLength_atIndex((32 << 10) + 16, 0) };
            dispatch_in(e, &p, &[], 4, 4);
        })
    };
    no_threads breaks EmptyGrid: |gpu| {
        let p = gpu.pipeline(COPY, "copy");
        in_compute_encoder(gpu, |e| dispatch_in(e, &p, &[], 0, 4))
    };
    no_pipeline breaks NoPipeline: |gpu| {
        in_compute_encoder(gpu, |e| e.dispatchThreads_threadsPerThreadgroup(size(1), size(1)))
    };
    a_string_for_a_buffer breaks WrongClass: |gpu| {
        let o = NSObject::new();
        let wrong: &ProtocolObject<dyn MTLBuffer> = unsafe { &*(&*o as *const NSObject).cast() };
        in_compute_encoder(gpu, |e| unsafe { e.setBuffer_offset_atIndex(Some(wrong), 0, 0) })
    };
    removing_what_is_not_resident breaks NotResident: |gpu| {
        let d = MTLResidencySetDescriptor::new();
        let set = gpu.device.newResidencySetWithDescriptor_error(&d).expect("a residency set");
        let b = gpu.buffer(&[0f32]);
        let allocation: &ProtocolObject<dyn MTLAllocation> = ProtocolObject::from_ref(&*b);
        message(|| set.removeAllocation(allocation))
    };
    use_after_release breaks UseAfterRelease: |_| {
        let o = NSObject::new();
        let p = Retained::as_ptr(&o) as *mut AnyObject;
        drop(o);
        message(|| drop(unsafe { Retained::retain(p) }))
    };
    a_doubled_retain breaks Leak: |gpu| {
        let guard = Guard::new();
        let b = Retained::into_raw(gpu.buffer(&[0f32])); // nobody releases this
        let problems = guard.problems().join("\n");
        drop(unsafe { Retained::from_raw(b) });
        problems
    };
    an_empty_matrix breaks EmptyMatrix: |_| matrix_descriptor(0, 4, 16, MPSDataType::Float32);
    short_rows breaks RowBytes: |_| matrix_descriptor(2, 4, 12, MPSDataType::Float32);
    a_type_that_is_no_float breaks DataType: |_| matrix_descriptor(2, 4, 16, MPSDataType::Int8);
    matrices_that_overlap breaks MatrixBytes: |_| message(|| unsafe {
        let f = MPSDataType::Float32;
        MPSMatrixDescriptor::matrixDescriptorWithRows_columns_matrices_rowBytes_matrixBytes_dataType(2, 4, 3, 16, 16, f);
    });
    a_matrix_past_its_buffer breaks MatrixRange: |gpu| {
        let b = gpu.buffer(&[0f32; 3]);
        message(|| drop(matrix(&b, 2, 2)))
    };
    a_product_of_other_sizes breaks OperandShape: |gpu| {
        let m = matrix(&gpu.buffer(&[0f32; 4]), 2, 2);
        let kernel = multiplication(gpu, false, false, [2, 2, 3], 1.0, 0.0);
        let c = gpu.commands();
        message(|| unsafe { kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(&c, &m, &m, &m) })
    };
    an_array_past_its_buffer breaks ArrayRange: |gpu| {
        let (b, sizes) = (gpu.buffer(&[0f32; 6]), [3usize, 2]);
        message(|| unsafe {
            let sizes = NonNull::from(&sizes).cast();
            let d = MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(MPSDataType::Float32, 2, sizes);
            MPSNDArray::initWithBuffer_offset_descriptor(MPSNDArray::alloc(), &b, 0, &d); // rows of 16 bytes
        })
    };
    a_slice_past_its_dimension breaks ArrayDimension: |_| {
        let sizes = [3usize, 2];
        message(|| unsafe {
            let sizes = NonNull::from(&sizes).cast();
            let d = MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(MPSDataType::Float32, 2, sizes);
            d.sliceDimension_withSubrange(0, MPSDimensionSlice { start: 1, length: 3 });
        })
    };
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
    a_read_of_new_memory breaks UnwrittenRead: |gpu| {
        let pipeline = gpu.pipeline(COPY, "copy");
        let new = gpu.device.newBufferWithLength_options(16, MTLResourceOptions::StorageModePrivate).expect("a buffer");
        let out = gpu.buffer(&[0f32; 4]);
        gpu.run(|cb| dispatch(cb, &pipeline, &[&new, &out], 4, 4));
        let nan = read::<f32>(&out, 4).iter().all(|x| x.is_nan());
        assert!(nan, "new memory is poisoned");
        recorded()
    };
    a_read_one_element_past_a_buffer breaks KernelOutOfBounds: |gpu| {
        let message = run_kernel(gpu, "kernel void k(device const float* x [[buffer(0)]], device float* y [[buffer(1)]], \
            uint i [[thread_position_in_grid]]) { y[i] = x[i + 1]; }", 4);
        assert!(message.contains("reads 0 bytes past the end of buffer"), "{message}");
        message
    };
    a_vector_at_an_odd_address breaks Misaligned: |gpu| {
        run_kernel(gpu, "kernel void k(device const float* x [[buffer(0)]], device float* y [[buffer(1)]]) { \
            *(device float4*)(y + 1) = *(device const float4*)x; }", 1)
    };
    threads_at_different_barriers breaks DifferentBarriers: |gpu| {
        run_kernel(gpu, "kernel void k(device float* y [[buffer(1)]], uint i [[thread_position_in_grid]]) { \
            if (i < 2) { threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = 1; } \
            else { y[i] = 2; threadgroup_barrier(mem_flags::mem_threadgroup); } }", 4)
    };
}

/// A message names the rule, the object by its label, and the place.
#[test]
fn messages_name_objects_and_places() {
    let gpu = Gpu::new();
    let b = gpu.buffer(&[0f32; 3]);
    b.setLabel(Some(&objc2_foundation::NSString::from_str("weights")));
    let text = message(|| drop(matrix(&b, 2, 2)));
    assert!(text.contains("(matrix outside its buffer): buffer ") && text.contains("\"weights\""), "{text}");
    assert!(text.contains("16 bytes are needed, it has 12"), "{text}");
}

/// A write into the slack between the end of a buffer and its guard page is found when the buffer goes.
#[test]
fn a_write_just_past_an_odd_buffer_is_caught() {
    let gpu = Gpu::new();
    take_violations();
    autoreleasepool(|_| {
        let (b, p) =
            (gpu.buffer(&[0u8; 5]), gpu.pipeline("kernel void k(device uchar* y [[buffer(0)]]) { y[5] = 1; }", "k"));
        gpu.run(|cb| dispatch(cb, &p, &[&b], 1, 1));
    });
    let message = recorded();
    assert!(message.contains("written past its end"), "{message}");
}

/// A sum over a threadgroup; without the barrier, a thread reads what another has not written yet in some order.
#[test]
fn a_missing_threadgroup_barrier_shows_in_the_numbers() {
    let kernel = |barrier: &str| {
        format!(
            "kernel void k(device const float* x [[buffer(0)]], device float* y [[buffer(1)]], \
             uint i [[thread_position_in_grid]]) {{ threadgroup float s[64]; s[i] = x[i]; {barrier} y[i] = s[63 - i]; \
             threadgroup_barrier(mem_flags::mem_threadgroup); }}"
        )
    };
    let gpu = Gpu::new();
    let x: Vec<f32> = ramp(64, 1.0);
    let reversed: Vec<f32> = x.iter().rev().copied().collect();
    let run = |source: &str| {
        let (input, out) = (gpu.buffer(&x), gpu.buffer(&[0f32; 64]));
        gpu.run(|cb| dispatch(cb, &gpu.pipeline(source, "k"), &[&input, &out], 64, 64));
        read::<f32>(&out, 64)
    };
    assert_eq!(run(&kernel("threadgroup_barrier(mem_flags::mem_threadgroup);")), reversed);
    assert_ne!(run(&kernel("")), reversed);
}

/// Memory that one SIMD group writes again while another has yet to read it: seen only where one goes ahead of the other.
#[test]
fn a_missing_barrier_between_simd_groups_shows_in_the_numbers() {
    let kernel = |barrier: &str| {
        format!(
            "kernel void k(device const float* x [[buffer(0)]], device float* y [[buffer(1)]], \
             uint i [[thread_position_in_threadgroup]], uint at [[thread_position_in_grid]]) {{ threadgroup float s[64]; \
             s[i] = x[i]; threadgroup_barrier(mem_flags::mem_threadgroup); simdgroup_barrier(mem_flags::mem_none); \
             y[at] = s[63 - i]; simdgroup_barrier(mem_flags::mem_none); {barrier} s[i] = 0; }}"
        )
    };
    let gpu = Gpu::new();
    let x: Vec<f32> = ramp(64, 1.0);
    let reversed: Vec<f32> = x.iter().rev().copied().cycle().take(64 * 16).collect();
    let run = |source: &str| {
        let (input, out) = (gpu.buffer(&x), gpu.buffer(&[0f32; 64 * 16]));
        gpu.run(|cb| dispatch(cb, &gpu.pipeline(source, "k"), &[&input, &out], 64 * 16, 64));
        read::<f32>(&out, 64 * 16)
    };
    assert_eq!(run(&kernel("threadgroup_barrier(mem_flags::mem_threadgroup);")), reversed);
    assert_ne!(run(&kernel("")), reversed);
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

/// Every threadgroup finds the arrays that its kernel declares unwritten.
#[test]
fn threadgroup_arrays_are_new_to_every_threadgroup() {
    let gpu = Gpu::new();
    let out = gpu.buffer(&[0f32; 3]);
    let source = "kernel void k(device float* y [[buffer(0)]], uint g [[threadgroup_position_in_grid]]) { \
        threadgroup float s[4]; y[g] = s[g]; for (int i = 0; i < 4; i++) s[i] = 1; }";
    gpu.run(|cb| dispatch(cb, &gpu.pipeline(source, "k"), &[&out], 3, 1));
    let got = read::<f32>(&out, 3);
    assert!(got.iter().all(|x| x.is_nan()), "{got:?}");
}

/// Small buffers end at their guard page to the byte, where their length is a power of two.
#[test]
fn a_read_past_a_single_number_is_caught() {
    let gpu = Gpu::new();
    take_violations();
    let (one, out) = (gpu.buffer(&[1f32]), gpu.buffer(&[0f32]));
    let source = "kernel void k(device const float* x [[buffer(0)]], device float* y [[buffer(1)]]) { y[0] = x[1]; }";
    gpu.run(|cb| dispatch(cb, &gpu.pipeline(source, "k"), &[&one, &out], 1, 1));
    assert!(recorded().contains("reads 0 bytes past the end of buffer"));
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

//! What a kernel does with memory and with the other threads of its group.

use crate::common::*;
use crate::{COPY, recorded, run_kernel};
use objc2_metal::*;
use soft_metal::{Rule, take_violations};
use std::ptr::NonNull;

rules! {
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
            *(device float4*)(y - 1) = *(device const float4*)x; }", 1)
    };
    a_division_by_zero breaks DivisionByZero: |gpu| {
        run_kernel(gpu, "kernel void k(device float* y [[buffer(1)]], uint i [[thread_position_in_grid]]) { \
            y[0] = 7 / i; }", 1)
    };
    threads_at_different_barriers breaks DifferentBarriers: |gpu| {
        run_kernel(gpu, "kernel void k(device float* y [[buffer(1)]], uint i [[thread_position_in_grid]]) { \
            if (i < 2) { threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = 1; } \
            else { y[i] = 2; threadgroup_barrier(mem_flags::mem_threadgroup); } }", 4)
    };
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

/// Whether a kernel that does `access` to its first element, and to the one behind its last, is caught doing the latter.
fn caught(bytes: usize, of: &str, access: &str) -> String {
    let gpu = Gpu::new();
    let (odd, out) = (gpu.buffer(&vec![1u8; bytes]), gpu.buffer(&[0u8; 16]));
    let source = format!(
        "kernel void k(device {of}* x [[buffer(0)]], device {of}* y [[buffer(1)]], constant uint& i [[buffer(2)]]) \
         {{ {access} }}"
    );
    let pipeline = gpu.pipeline(&source, "k");
    let run = |i: u32| {
        gpu.run(|cb| {
            let e = crate::compute(cb);
            unsafe { e.setBytes_length_atIndex(NonNull::from(&i).cast(), 4, 2) };
            dispatch_in(&e, &pipeline, &[&odd, &out], 1, 1);
            e.endEncoding();
        });
        recorded()
    };
    assert_eq!(run(0), "");
    run(bytes as u32)
}

/// Between a buffer of any size and its guard page.
#[test]
fn an_access_of_one_byte_past_a_buffer_is_caught() {
    take_violations();
    for bytes in 1..=33 {
        let read = caught(bytes, "uchar", "y[0] = x[i];");
        assert!(read.contains("reads 0 bytes past the end of buffer"), "{bytes}: {read}");
        let write = caught(bytes, "uchar", "x[i] = y[0];");
        assert!(write.contains("writes 0 bytes past the end of buffer"), "{bytes}: {write}");
    }
}

/// A vector that only ends outside.
#[test]
fn a_vector_across_the_end_of_a_buffer_is_caught() {
    let source = "kernel void k(device const float4* x [[buffer(0)]], device float4* y [[buffer(1)]], \
        uint i [[thread_position_in_grid]]) { y[i] = x[i]; }";
    let gpu = Gpu::new();
    take_violations();
    let (seven, eight) = (gpu.buffer(&[1f32; 7]), gpu.buffer(&[0f32; 8]));
    gpu.run(|cb| dispatch(cb, &gpu.pipeline(source, "k"), &[&seven, &eight], 2, 2));
    assert!(recorded().contains("reads 0 bytes past the end of buffer"));
}

/// What `setBytes:` gives is no longer than it is.
#[test]
fn a_read_past_the_bytes_of_an_argument_is_caught() {
    let source = "kernel void k(constant uint* n [[buffer(0)]], device uint* y [[buffer(1)]]) { y[0] = n[3]; }";
    let gpu = Gpu::new();
    take_violations();
    let (out, pipeline) = (gpu.buffer(&[0u32]), gpu.pipeline(source, "k"));
    gpu.run(|cb| {
        let e = crate::compute(cb);
        unsafe { e.setBytes_length_atIndex(NonNull::from(&[1u32, 2, 3]).cast(), 12, 0) };
        unsafe { e.setBuffer_offset_atIndex(Some(&out), 0, 1) };
        e.setComputePipelineState(&pipeline);
        e.dispatchThreads_threadsPerThreadgroup(size(1), size(1));
        e.endEncoding();
    });
    let message = recorded();
    assert!(message.contains("reads 0 bytes past the end of the bytes of argument 0"), "{message}");
}

//! What a command is given.

use crate::common::*;
use crate::{COPY, blit, compute};
use objc2::runtime::{NSObject, ProtocolObject};
use objc2_foundation::NSRange;
use objc2_metal::*;
use soft_metal::Rule;
use std::ptr::NonNull;

fn in_compute_encoder(gpu: &Gpu, f: impl FnOnce(&ProtocolObject<dyn MTLComputeCommandEncoder>)) -> String {
    let commands = gpu.commands();
    let encoder = compute(&commands);
    let message = message(|| f(&encoder));
    encoder.endEncoding();
    message
}

rules! {
    a_fill_outside_a_buffer breaks BufferRange: |gpu| {
        let (commands, b) = (gpu.commands(), gpu.buffer(&[0f32]));
        let encoder = blit(&commands);
        let message = message(|| encoder.fillBuffer_range_value(&b, NSRange::new(2, 4), 0));
        encoder.endEncoding();
        message
    };
    a_copy_onto_itself breaks BlitOverlap: |gpu| {
        let (commands, b) = (gpu.commands(), gpu.buffer(&[1f32, 2., 3.]));
        let encoder = blit(&commands);
        let copy = |from, to, n| unsafe {
            encoder.copyFromBuffer_sourceOffset_toBuffer_destinationOffset_size(&b, from, &b, to, n);
        };
        copy(0, 8, 4); // beside each other
        copy(4, 4, 0); // nothing
        let message = message(|| copy(0, 4, 8));
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
}

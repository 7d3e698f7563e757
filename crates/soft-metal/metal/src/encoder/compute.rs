//! `MTLComputeCommandEncoder`.

use super::arguments::{Argument, check_index};
use super::skip::{is_skipped, skips_launch};
use super::{Encoder, encoder_class};
use crate::buffer::SoftBuffer;
use crate::counts;
use crate::device::{MAX_THREADGROUP_MEMORY, MAX_THREADS};
use crate::event::SoftFence;
use crate::gpu::{Command, lock};
use crate::launches;
use crate::library::SoftPipeline;
use crate::msl::{self, Launch};
use crate::object::soft;
use crate::record;
use crate::rules::{Rule, broken};
use objc2::runtime::ProtocolObject;
use objc2::{DefinedClass, Message};
use objc2_foundation::NSObjectProtocol;
use objc2_metal::{
    MTLBarrierScope, MTLBuffer, MTLCommandEncoder, MTLComputeCommandEncoder, MTLComputePipelineState, MTLFence, MTLSize,
};
use std::ffi::c_void;
use std::ptr::NonNull;

/// `setBytes:` copies into the command buffer; larger data needs a buffer.
const MAX_BYTES: usize = 4096;

encoder_class!(SoftCompute, MTLComputeCommandEncoder, {
    #[unsafe(method(setComputePipelineState:))]
    fn setComputePipelineState(&self, pipeline: &ProtocolObject<dyn MTLComputePipelineState>) {
        if is_skipped() {
            return;
        }
        lock(&self.ivars().arguments).pipeline = Some(soft::<SoftPipeline, _>(pipeline).retain());
    }

    #[unsafe(method(setBuffer:offset:atIndex:))]
    unsafe fn setBuffer_offset_atIndex(
        &self,
        buffer: Option<&ProtocolObject<dyn MTLBuffer>>,
        offset: usize,
        index: usize,
    ) {
        if is_skipped() {
            return;
        }
        check_index(&self.ivars().name, index, "setBuffer:");
        let mut arguments = lock(&self.ivars().arguments);
        match buffer {
            Some(buffer) => {
                let buffer = soft::<SoftBuffer, _>(buffer).retain();
                buffer.ivars().check_range(offset, 0, "setBuffer:offset:atIndex:");
                arguments.set(index, Argument::Buffer(buffer, offset));
            }
            None => arguments.remove(index),
        }
    }

    #[unsafe(method(setBytes:length:atIndex:))]
    unsafe fn setBytes_length_atIndex(&self, bytes: NonNull<c_void>, n: usize, index: usize) {
        if is_skipped() {
            return;
        }
        check_index(&self.ivars().name, index, "setBytes:");
        if n > MAX_BYTES {
            broken(Rule::SetBytesLimit, &self.ivars().name, format!("{n} bytes at {index}"));
        }
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr() as *const u8, n) }.to_vec();
        lock(&self.ivars().arguments).set(index, Argument::Bytes(bytes));
    }

    #[unsafe(method(setThreadgroupMemoryLength:atIndex:))]
    unsafe fn setThreadgroupMemoryLength_atIndex(&self, n: usize, index: usize) {
        check_index(&self.ivars().name, index, "setThreadgroupMemoryLength:");
        if !n.is_multiple_of(16) {
            broken(Rule::ThreadgroupMemory, &self.ivars().name, format!("{n} bytes, which is no multiple of 16"));
        }
        lock(&self.ivars().arguments).threadgroup.insert(index, n);
    }

    #[unsafe(method(memoryBarrierWithScope:))]
    fn memoryBarrierWithScope(&self, _scope: MTLBarrierScope) {
        if is_skipped() {
            return;
        }
        self.ivars().push("memoryBarrierWithScope:", Command::Barrier);
    }

    #[unsafe(method(dispatchThreadgroups:threadsPerThreadgroup:))]
    fn dispatchThreadgroups_threadsPerThreadgroup(&self, groups: MTLSize, threads: MTLSize) {
        let (g, t) = (size(groups), size(threads));
        dispatch(self.ivars(), [g[0] * t[0], g[1] * t[1], g[2] * t[2]], t);
    }

    #[unsafe(method(dispatchThreads:threadsPerThreadgroup:))]
    fn dispatchThreads_threadsPerThreadgroup(&self, grid: MTLSize, threads: MTLSize) {
        dispatch(self.ivars(), size(grid), size(threads));
    }
});

fn size(s: MTLSize) -> [usize; 3] {
    [s.width, s.height, s.depth]
}

fn dispatch(encoder: &Encoder, threads: [usize; 3], group: [usize; 3]) {
    if skips_launch() {
        return;
    }
    let mut arguments = lock(&encoder.arguments);
    let Some(pipeline) = arguments.pipeline.clone() else {
        drop(arguments);
        broken(Rule::NoPipeline, &encoder.name, "dispatch");
    };
    let name = pipeline.function().name.clone();
    record::dispatched(&name);
    let bound = arguments.dispatch(&pipeline);
    counts::dispatched(&name, &bound.accesses);
    let mut threadgroup = [0u32; 32];
    for (&i, &n) in &arguments.threadgroup {
        threadgroup[i] = n as u32;
    }
    drop(arguments);
    check_sizes(encoder, &name, threads, group, &threadgroup);
    let launch = Launch {
        entry: pipeline.entry(),
        threads: threads.map(|n| n as u32),
        group: group.map(|n| n as u32),
        threadgroup,
    };
    let (buffers, copies) = (bound.buffers, bound.copies);
    let work = Box::new(move || {
        let _kept = (&copies, &pipeline);
        let written = launches::begin(&pipeline, &launch, &buffers);
        let result = msl::launch(&launch, buffers);
        if let Some(written) = written {
            written.end();
        }
        result
    });
    encoder.push(&name.clone(), Command::Run { what: name, accesses: bound.accesses, work });
}

fn check_sizes(encoder: &Encoder, kernel: &str, threads: [usize; 3], group: [usize; 3], memory: &[u32; 32]) {
    if group.iter().product::<usize>() > MAX_THREADS || group.contains(&0) {
        broken(Rule::ThreadgroupSize, &encoder.name, format!("{kernel}: {group:?} threads, at most {MAX_THREADS}"));
    }
    if threads.contains(&0) {
        broken(Rule::EmptyGrid, &encoder.name, format!("{kernel}: {threads:?} threads"));
    }
    let bytes = memory.iter().map(|n| *n as usize).sum::<usize>();
    if bytes > MAX_THREADGROUP_MEMORY {
        broken(
            Rule::ThreadgroupMemory,
            &encoder.name,
            format!("{kernel}: {bytes} bytes, at most {MAX_THREADGROUP_MEMORY}"),
        );
    }
}

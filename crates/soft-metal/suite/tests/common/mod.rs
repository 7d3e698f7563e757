//! A device with a queue, buffers of numbers, matrices on them, and the message of a broken rule.
#![allow(dead_code)]

use objc2::AnyThread;
use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2_foundation::NSString;
use objc2_metal::*;
use objc2_metal_performance_shaders::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

pub type Buffer = Retained<ProtocolObject<dyn MTLBuffer>>;
pub type Commands = Retained<ProtocolObject<dyn MTLCommandBuffer>>;
pub type Pipeline = Retained<ProtocolObject<dyn MTLComputePipelineState>>;

pub struct Gpu {
    pub device: Retained<ProtocolObject<dyn MTLDevice>>,
    pub queue: Retained<ProtocolObject<dyn MTLCommandQueue>>,
}

impl Gpu {
    pub fn new() -> Self {
        let device = MTLCreateSystemDefaultDevice().expect("a device");
        let queue = device.newCommandQueue().expect("a queue");
        Self { device, queue }
    }

    /// Shared and tracked.
    pub fn buffer<T>(&self, values: &[T]) -> Buffer {
        self.buffer_with(values, MTLResourceOptions::StorageModeShared)
    }

    /// Shared and untracked: nothing orders its uses but the program.
    pub fn untracked<T>(&self, values: &[T]) -> Buffer {
        self.buffer_with(
            values,
            MTLResourceOptions::StorageModeShared | MTLResourceOptions::HazardTrackingModeUntracked,
        )
    }

    fn buffer_with<T>(&self, values: &[T], options: MTLResourceOptions) -> Buffer {
        let (bytes, n) = (NonNull::from(values).cast(), size_of_val(values));
        unsafe { self.device.newBufferWithBytes_length_options(bytes, n, options) }.expect("a buffer")
    }

    pub fn commands(&self) -> Commands {
        self.queue.commandBuffer().expect("a command buffer")
    }

    /// Encodes, commits and waits.
    pub fn run(&self, encode: impl FnOnce(&ProtocolObject<dyn MTLCommandBuffer>)) {
        let commands = self.commands();
        encode(&commands);
        commands.commit();
        commands.waitUntilCompleted();
    }

    pub fn pipeline(&self, source: &str, function: &str) -> Pipeline {
        self.specialised(source, function, &[])
    }

    /// With function constants from index 0 on.
    pub fn specialised(&self, source: &str, function: &str, constants: &[bool]) -> Pipeline {
        let source = format!("#include <metal_stdlib>\nusing namespace metal;\n{source}");
        let library = self.device.newLibraryWithSource_options_error(&NSString::from_str(&source), None);
        let library = library.unwrap_or_else(|e| panic!("{e:?}"));
        let values = MTLFunctionConstantValues::new();
        for (i, value) in constants.iter().enumerate() {
            unsafe { values.setConstantValue_type_atIndex(NonNull::from(value).cast(), MTLDataType::Bool, i) };
        }
        let function = library.newFunctionWithName_constantValues_error(&NSString::from_str(function), &values);
        let function = function.unwrap_or_else(|e| panic!("{e:?}"));
        self.device.newComputePipelineStateWithFunction_error(&function).unwrap_or_else(|e| panic!("{e:?}"))
    }
}

/// `threads` threads in groups of `group`, with buffers from index 0 on.
pub fn dispatch(
    commands: &ProtocolObject<dyn MTLCommandBuffer>,
    pipeline: &Pipeline,
    buffers: &[&Buffer],
    threads: usize,
    group: usize,
) {
    let encoder = commands.computeCommandEncoder().expect("an encoder");
    dispatch_in(&encoder, pipeline, buffers, threads, group);
    encoder.endEncoding();
}

pub fn dispatch_in(
    encoder: &ProtocolObject<dyn MTLComputeCommandEncoder>,
    pipeline: &Pipeline,
    buffers: &[&Buffer],
    threads: usize,
    group: usize,
) {
    encoder.setComputePipelineState(pipeline);
    for (i, b) in buffers.iter().enumerate() {
        unsafe { encoder.setBuffer_offset_atIndex(Some(b), 0, i) };
    }
    encoder.dispatchThreads_threadsPerThreadgroup(size(threads), size(group));
}

pub fn size(n: usize) -> MTLSize {
    MTLSize { width: n, height: 1, depth: 1 }
}

pub fn read<T: Clone>(buffer: &Buffer, n: usize) -> Vec<T> {
    unsafe { std::slice::from_raw_parts(buffer.contents().as_ptr() as *const T, n).to_vec() }
}

/// Different numbers.
pub fn ramp(n: usize, step: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * step).sin()).collect()
}

pub fn typed_matrix(
    buffer: &Buffer,
    rows: usize,
    columns: usize,
    dtype: MPSDataType,
    width: usize,
) -> Retained<MPSMatrix> {
    unsafe {
        let d = MPSMatrixDescriptor::matrixDescriptorWithRows_columns_rowBytes_dataType(
            rows,
            columns,
            columns * width,
            dtype,
        );
        MPSMatrix::initWithBuffer_descriptor(MPSMatrix::alloc(), buffer, &d)
    }
}

pub fn matrix(buffer: &Buffer, rows: usize, columns: usize) -> Retained<MPSMatrix> {
    typed_matrix(buffer, rows, columns, MPSDataType::Float32, 4)
}

/// Several matrices of f32, one after another.
pub fn batch(buffer: &Buffer, rows: usize, columns: usize, n: usize) -> Retained<MPSMatrix> {
    unsafe {
        let d = MPSMatrixDescriptor::matrixDescriptorWithRows_columns_matrices_rowBytes_matrixBytes_dataType(
            rows,
            columns,
            n,
            columns * 4,
            rows * columns * 4,
            MPSDataType::Float32,
        );
        MPSMatrix::initWithBuffer_descriptor(MPSMatrix::alloc(), buffer, &d)
    }
}

/// Rows, columns and interior columns.
pub fn multiplication(
    gpu: &Gpu,
    left: bool,
    right: bool,
    [m, n, k]: [usize; 3],
    alpha: f64,
    beta: f64,
) -> Retained<MPSMatrixMultiplication> {
    unsafe {
        MPSMatrixMultiplication::initWithDevice_transposeLeft_transposeRight_resultRows_resultColumns_interiorColumns_alpha_beta(
            MPSMatrixMultiplication::alloc(),
            &gpu.device,
            left,
            right,
            m,
            n,
            k,
            alpha,
            beta,
        )
    }
}

/// What a call that breaks a rule panics with.
pub fn message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("no rule was broken");
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string()))
        .unwrap_or_default()
}

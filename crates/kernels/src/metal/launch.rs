//! One launch of a kernel: what is bound to it, in the order of its parameters.

use super::library::{self, Program, Source, Types};
use super::rows::{Rows, RowsLayout};
use super::strided::Strided;
use super::tensor::DeviceTensor;
use super::{FOUR, FOURS_A_THREAD};
use crate::value::Value;
use candle_core::{DType, MetalDevice, MetalStorage, Result, Shape, Storage, Tensor};
use candle_metal_kernels::metal::{Buffer, ComputeCommandEncoder, ComputePipeline};
use metal_candle_mps::apple::{charge, memory};
use objc2_metal::MTLSize;
use std::sync::Arc;

/// Threads of a threadgroup at most: enough to hide memory behind arithmetic, few enough that
/// several threadgroups share a core.
const THREADS: usize = 256;

/// Threads that run in step on every Apple GPU.
pub(crate) const SIMD: usize = 32;

/// Fours of elements that a thread keeps of a row, as in `fours.metal`.
const KEPT: usize = 4;

/// Memory that a kernel writes.
pub(crate) struct Output {
    buffer: Arc<Buffer>,
    device: MetalDevice,
    elements: usize,
    dtype: DType,
}

impl Output {
    /// New memory, not written yet.
    pub(crate) fn new(device: &MetalDevice, elements: usize, dtype: DType) -> Result<Self> {
        Self::with_room(device, elements, 0, dtype)
    }

    /// New memory with at least `room` more elements behind it.
    pub(crate) fn with_room(
        device: &MetalDevice,
        elements: usize,
        room: usize,
        dtype: DType,
    ) -> Result<Self> {
        let bytes = (elements + room) * dtype.size_in_bytes();
        let buffer = memory::result(device, bytes).map_err(candle_core::Error::wrap)?;
        Ok(Self {
            buffer,
            device: device.clone(),
            elements,
            dtype,
        })
    }

    /// The memory as a matrix with rows of this width.
    pub(crate) fn matrix(&self, width: usize) -> DeviceTensor {
        let (buffer, device) = (self.buffer.clone(), self.device.clone());
        let storage = MetalStorage::new(buffer, device, self.elements, self.dtype);
        DeviceTensor::packed(storage, (self.elements / width.max(1), width))
    }

    /// The memory from its start on, to be written or changed.
    pub(crate) fn place(&self) -> (&Buffer, usize) {
        (&self.buffer, 0)
    }

    pub(crate) fn into_storage(self) -> MetalStorage {
        MetalStorage::new(self.buffer, self.device, self.elements, self.dtype)
    }

    /// The memory as an operation's result.
    pub(crate) fn into_value(self, shape: &Shape) -> Value {
        Value::new(Storage::Metal(self.into_storage()), shape)
    }

    /// The memory as a tensor that is not tracked.
    pub(crate) fn into_tensor(self, shape: &Shape) -> Tensor {
        self.into_value(shape).into_tensor()
    }
}

/// Value that is bound to one parameter.
enum Argument<'a> {
    Input(&'a Buffer, usize),
    Output(&'a Buffer, usize),
    Rows(RowsLayout),
    Strides([u64; 4]),
    Float(f32),
    Int(u32),
    Long(u64),
    Constants(&'a dyn Constants),
}

/// Parameters of most kernels at most.
const PARAMETERS: usize = 16;

/// A `#[repr(C)]` value that a kernel reads as `constant C&`.
trait Constants {
    fn bind(&self, encoder: &ComputeCommandEncoder, index: usize);
}

impl<C: Copy> Constants for C {
    fn bind(&self, encoder: &ComputeCommandEncoder, index: usize) {
        encoder.set_bytes(index, self);
    }
}

/// A kernel with its arguments.
pub(crate) struct Launch<'a> {
    device: &'a MetalDevice,
    pipeline: ComputePipeline,
    arguments: Vec<Argument<'a>>,
    flops: u64,
}

impl<'a> Launch<'a> {
    pub(crate) fn new(
        device: &'a MetalDevice,
        source: &Source,
        types: &Types,
        kernel: &'static str,
    ) -> Result<Self> {
        let program = Program {
            sources: &[source],
            types,
            number: None,
        };
        Self::of(device, program, kernel)
    }

    pub(crate) fn of(
        device: &'a MetalDevice,
        program: Program<'_>,
        kernel: &'static str,
    ) -> Result<Self> {
        Ok(Self {
            device,
            pipeline: library::pipeline(device, program, kernel)?,
            arguments: Vec::with_capacity(PARAMETERS),
            flops: 0,
        })
    }

    /// Floating-point operations of a kernel that computes much for each element, the product of
    /// `factors`. candle's command buffer is committed before it holds too many.
    pub(crate) fn flops(mut self, factors: &[usize]) -> Self {
        let factors = factors.iter().map(|&factor| factor as u64);
        self.flops = factors.fold(1, u64::saturating_mul);
        self
    }

    /// Two parameters: `device const T*` and `constant Rows&`.
    pub(crate) fn rows(mut self, rows: &Rows<'a>) -> Self {
        self.arguments
            .push(Argument::Input(rows.buffer, rows.offset_bytes));
        self.arguments.push(Argument::Rows(rows.layout));
        self
    }

    /// `device const T*` alone, whose rows lie as those of a tensor that is bound, too.
    pub(crate) fn more_rows(mut self, rows: &Rows<'a>) -> Self {
        self.arguments
            .push(Argument::Input(rows.buffer, rows.offset_bytes));
        self
    }

    /// Two parameters: `device const T*` and its strides, a struct of four `ulong`.
    pub(crate) fn strided(mut self, tensor: &Strided<'a>) -> Self {
        self.arguments
            .push(Argument::Input(tensor.buffer, tensor.offset_bytes));
        self.arguments.push(Argument::Strides(tensor.strides));
        self
    }

    /// `device const T*`, from its first element on.
    pub(crate) fn tensor(self, tensor: &'a DeviceTensor) -> Self {
        self.buffer(tensor.place())
    }

    /// `constant C&`, a struct that has the same fields there.
    pub(crate) fn constants<C: Copy>(mut self, value: &'a C) -> Self {
        self.arguments.push(Argument::Constants(value));
        self
    }

    /// `device const T*`, what an earlier launch wrote.
    pub(crate) fn input(mut self, written: &'a Output) -> Self {
        self.arguments.push(Argument::Input(&written.buffer, 0));
        self
    }

    /// `device T*`.
    pub(crate) fn output(mut self, output: &'a Output) -> Self {
        self.arguments.push(Argument::Output(&output.buffer, 0));
        self
    }

    /// `device const T*`, from so many bytes on.
    pub(crate) fn buffer(mut self, (buffer, offset_bytes): (&'a Buffer, usize)) -> Self {
        self.arguments.push(Argument::Input(buffer, offset_bytes));
        self
    }

    /// `device T*`, read and written, from so many bytes on.
    pub(crate) fn in_place(mut self, (buffer, offset_bytes): (&'a Buffer, usize)) -> Self {
        self.arguments.push(Argument::Output(buffer, offset_bytes));
        self
    }

    /// `constant float&`.
    pub(crate) fn float(mut self, value: f32) -> Self {
        self.arguments.push(Argument::Float(value));
        self
    }

    /// `constant uint&`.
    pub(crate) fn int(mut self, value: usize) -> Result<Self> {
        let value = u32::try_from(value).map_err(candle_core::Error::wrap)?;
        self.arguments.push(Argument::Int(value));
        Ok(self)
    }

    /// `constant ulong&`.
    pub(crate) fn long(mut self, value: u64) -> Self {
        self.arguments.push(Argument::Long(value));
        self
    }

    /// A threadgroup for every row, of which each thread keeps a part, as in `fours.metal`.
    pub(crate) fn over_kept_rows(self, rows: usize, width: usize) -> Result<()> {
        let most = self.pipeline.max_total_threads_per_threadgroup();
        let threads = width.div_ceil(FOUR * KEPT).next_multiple_of(SIMD);
        self.over_groups([rows, 1, 1], [threads.min(most / SIMD * SIMD), 1, 1])
    }

    /// A thread for every few fours of elements, `FOURS_A_THREAD` of `fours.metal`: `x` within a row, `y` the row.
    pub(crate) fn over_fours(self, rows: usize, width: usize) -> Result<()> {
        self.over_elements(rows, width.div_ceil(FOUR * FOURS_A_THREAD))
    }

    /// A threadgroup for every row, as wide as there is work.
    pub(crate) fn over_rows(self, rows: usize, width: usize) -> Result<()> {
        let threads = width.next_multiple_of(SIMD).min(THREADS);
        self.over_groups([rows, 1, 1], [threads, 1, 1])
    }

    /// A threadgroup for every row, of which there are few.
    pub(crate) fn over_long_rows(self, rows: usize, width: usize) -> Result<()> {
        let threads = self.most_threads(width.next_multiple_of(SIMD).min(SIMD * SIMD));
        self.over_groups([rows, 1, 1], [threads, 1, 1])
    }

    /// A thread for every element: `x` within a row, `y` the row. Narrow rows share a threadgroup.
    pub(crate) fn over_elements(self, rows: usize, width: usize) -> Result<()> {
        let most = self.pipeline.max_total_threads_per_threadgroup();
        let most = THREADS.min(most);
        let across = width.clamp(1, most);
        let down = rows.clamp(1, most / across);
        self.run([width, rows, 1], |encoder, grid| {
            encoder.dispatch_threads(grid, size([across, down, 1]));
        })
    }

    /// Whole SIMD groups of a threadgroup: so many threads, or fewer where the kernel takes fewer.
    pub(crate) fn most_threads(&self, wanted: usize) -> usize {
        let most = self.pipeline.max_total_threads_per_threadgroup();
        wanted.min(most / SIMD * SIMD)
    }

    /// This many threadgroups of this many threads.
    pub(crate) fn over_groups(self, groups: [usize; 3], threads: [usize; 3]) -> Result<()> {
        let most = self.pipeline.max_total_threads_per_threadgroup();
        let wanted: usize = threads.iter().product();
        if wanted > most {
            candle_core::bail!(
                "a kernel with {most} threads in a threadgroup was asked for {wanted}"
            );
        }
        self.run(groups, |encoder, grid| {
            encoder.dispatch_thread_groups(grid, size(threads));
        })
    }

    /// Everything else that can fail has happened: candle's lock is held from its encoder on.
    fn run(
        self,
        grid: [usize; 3],
        dispatch: impl FnOnce(&ComputeCommandEncoder, MTLSize),
    ) -> Result<()> {
        if grid.contains(&0) {
            return Ok(());
        }
        charge(self.device, self.flops)?;
        let guard = self.device.command_encoder()?;
        let encoder: &ComputeCommandEncoder = guard.as_ref();
        encoder.set_compute_pipeline_state(&self.pipeline);
        for (index, argument) in self.arguments.iter().enumerate() {
            argument.bind(encoder, index);
        }
        dispatch(encoder, size(grid));
        Ok(())
    }
}

impl Argument<'_> {
    fn bind(&self, encoder: &ComputeCommandEncoder, index: usize) {
        match self {
            Self::Input(buffer, offset) => encoder.set_input_buffer(index, Some(buffer), *offset),
            Self::Output(buffer, offset) => encoder.set_output_buffer(index, Some(buffer), *offset),
            Self::Rows(rows) => encoder.set_bytes(index, rows),
            Self::Strides(strides) => encoder.set_bytes(index, strides),
            Self::Float(value) => encoder.set_bytes(index, value),
            Self::Int(value) => encoder.set_bytes(index, value),
            Self::Long(value) => encoder.set_bytes(index, value),
            // Named in full: the reference to it would be such a value, too.
            Self::Constants(value) => <dyn Constants>::bind(*value, encoder, index),
        }
    }
}

fn size([width, height, depth]: [usize; 3]) -> MTLSize {
    MTLSize {
        width,
        height,
        depth,
    }
}

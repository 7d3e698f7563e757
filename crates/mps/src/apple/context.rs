//! State that is kept for a device between calls.

use std::sync::{Arc, PoisonError, RwLock};

use candle_core::metal_backend::DeviceId;
use candle_core::{DType, MetalDevice};
use candle_metal_kernels::metal::{Buffer, CommandQueue, ComputePipeline};
use objc2::rc::Retained;
use objc2_metal_performance_shaders::{
    MPSKernel, MPSMatrixMultiplication, MPSMatrixSoftMax, MPSNDArrayMatrixMultiplication,
};

use super::memory::Memory;
use super::{Error, caps};
use crate::order::{Key, Ledger, PASSES_VARIABLE, PassesPerBuffer, Pool, Refusal, Strategy};
use crate::plan::{MatrixKernel, ZERO_BYTES};
use crate::policy::Caps;

/// A kernel object that goes from thread to thread.
#[derive(Debug)]
pub struct Kernel<K>(pub Retained<K>);

// SAFETY: MPS kernels may be used by any thread, one at a time (`MPSKernel.h`). Kernels are made for
// a `Pool`, which hands them out one at a time, and nothing else refers to them.
unsafe impl<K: AsRef<MPSKernel>> Send for Kernel<K> {}

/// Everything that outlives a call. It keeps no part of candle's device alive.
#[derive(Debug)]
pub struct Context {
    device: DeviceId,
    /// [`ZERO_BYTES`] of zeros. candle's pool has it too, for as long as any clone of the device lives.
    pub zeros: Arc<Buffer>,
    pub caps: Arc<Caps>,
    machine: Key,
    /// What candle makes of its own variable, which it has read when the device was made.
    pub passes: Result<PassesPerBuffer, Refusal>,
    /// Our own queue.
    pub queue: CommandQueue,
    /// A kernel that does nothing.
    pub nop: ComputePipeline,
    pub ledger: Arc<Ledger>,
    pub memory: Memory,
    pub matrices: Pool<MatrixKernel, Kernel<MPSMatrixMultiplication>>,
    pub arrays: Pool<DType, Kernel<MPSNDArrayMatrixMultiplication>>,
    pub softmaxes: Pool<DType, Kernel<MPSMatrixSoftMax>>,
}

const NOP: &str = "kernel void metal_candle_nop() {}";

/// Calls read it, any number of them at a time.
static CONTEXTS: RwLock<Vec<Arc<Context>>> = RwLock::new(Vec::new());

/// The context of a device, made at its first use, when those of devices that are gone go.
pub fn of(device: &MetalDevice) -> Result<Arc<Context>, Error> {
    if let Some(context) = existing(device) {
        return Ok(context);
    }
    let mut contexts = CONTEXTS.write().unwrap_or_else(PoisonError::into_inner);
    contexts.retain(|context| context.is_used());
    if let Some(context) = find(&contexts, device) {
        return Ok(context);
    }
    let context = Arc::new(Context::new(device)?);
    contexts.push(context.clone());
    Ok(context)
}

/// The context of a device, if it has been used.
pub fn existing(device: &MetalDevice) -> Option<Arc<Context>> {
    let contexts = CONTEXTS.read().unwrap_or_else(PoisonError::into_inner);
    find(&contexts, device)
}

/// Lets go of what is kept for devices that have been dropped. The first call for a new device does
/// that too.
pub fn release_unused() {
    let mut contexts = CONTEXTS.write().unwrap_or_else(PoisonError::into_inner);
    contexts.retain(|context| context.is_used());
}

fn find(contexts: &[Arc<Context>], device: &MetalDevice) -> Option<Arc<Context>> {
    let mut contexts = contexts.iter();
    contexts
        .find(|context| context.device == device.id())
        .cloned()
}

impl Context {
    fn new(device: &MetalDevice) -> Result<Self, Error> {
        let nop = device
            .new_library_with_source(NOP, None)?
            .get_function("metal_candle_nop", None)?;
        Ok(Self {
            device: device.id(),
            zeros: device
                .new_buffer_builder()
                .with_data(&[0u8; ZERO_BYTES])
                .build()?,
            caps: Arc::new(caps::caps(device)),
            machine: caps::key(device, Strategy::Blocking),
            passes: PassesPerBuffer::parse(std::env::var(PASSES_VARIABLE).ok().as_deref()),
            queue: device.new_command_queue()?,
            nop: device.new_compute_pipeline_state_with_function(&nop)?,
            ledger: Arc::default(),
            memory: Memory::default(),
            matrices: Pool::default(),
            arrays: Pool::default(),
            softmaxes: Pool::default(),
        })
    }

    /// What measurements and litmus tests of a strategy are found by.
    pub fn key(&self, strategy: Strategy) -> Key {
        Key {
            strategy,
            ..self.machine.clone()
        }
    }

    fn is_used(&self) -> bool {
        Arc::strong_count(&self.zeros) > 1
    }

    /// The error of an earlier call, once.
    pub fn take_error(&self) -> Result<(), Error> {
        match self.ledger.take_error() {
            Some(message) => Err(Error::Gpu { message }),
            None => Ok(()),
        }
    }
}

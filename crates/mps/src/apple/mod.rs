//! Plans on an Apple GPU, beside candle's own work.
//!
//! The engines of candle's kernels go into candle's encoder, which orders them. Those of MPS are
//! put in order by a [`script`](crate::order::script), which [`bridge`] walks. Nothing here chooses
//! or computes: plans and scripts say everything, and are tested without a GPU.
//!
//! # What is unsafe, and why it is sound
//!
//! - Calls of MPS through objc2's typed bindings. What they ask for is what plans are made of:
//!   extents inside buffers, types that a kernel takes, sizes above 0. [`objects`] checks the
//!   buffers that a plan is given against the bytes that it needs.
//! - MPS kernels travel between threads inside of a [`Pool`](crate::order::Pool), which gives each
//!   to one thread at a time.
//! - The host reads and writes memory that the GPU is done with ([`memory`]).
//! - A completion handler reads the command buffer that it is called with.

#![allow(unsafe_code, reason = "calls of Apple's frameworks; see above")]

mod bridge;
mod budget;
mod caps;
mod completion;
mod context;
mod dispatch;
mod error;
mod gpus;
mod litmus;
mod matrix;
pub(crate) mod measurements;
pub mod memory;
mod ndarray;
mod objects;
mod softmax;
mod work;

use std::sync::Arc;

use candle_core::MetalDevice;
use candle_metal_kernels::metal::Buffer;
use objc2::rc::autoreleasepool;

use crate::order::{Key, Litmus, Refusal, Rounds, Strategy, script};
use crate::plan::{MatrixSoftMax, Plan, Slot};
use crate::policy::Caps;

pub use budget::charge;
pub use context::release_unused;
pub use error::Error;
pub use gpus::{gpus, obstacle};
pub use litmus::{Effort, litmus};

use context::Context;
use work::Mps;

/// One buffer for every operand that a plan names, but [`Slot::Zero`], which is made where it is
/// needed.
pub type Buffers<'a> = [(Slot, &'a Buffer)];

/// Order in which an MPS call is put with candle's work.
#[derive(Debug, Clone)]
pub struct Order {
    /// The strategy.
    pub strategy: Strategy,
    /// What this machine showed, for a strategy that has to be shown first.
    pub litmus: Option<Litmus>,
}

impl Order {
    /// [`Strategy::Blocking`], which needs no proof.
    pub const BLOCKING: Self = Order {
        strategy: Strategy::Blocking,
        litmus: None,
    };
}

/// Encodes a product; the result is there for whatever candle encodes after the return.
///
/// The buffers are those whose lengths the plan's views were made with. The result shares no memory
/// with a factor. `order` is of no concern to the engines of candle's kernels.
///
/// # Errors
///
/// [`Error::Missing`] and [`Error::Short`] for buffers that the plan does not fit,
/// [`Error::Refused`] for a strategy that may not be used here, [`Error::Unsupported`] where the
/// system has no such kernel, and [`Error::Gpu`] for an earlier call that failed on the GPU.
pub fn encode(
    device: &MetalDevice,
    plan: &Plan,
    buffers: &Buffers<'_>,
    order: &Order,
) -> Result<(), Error> {
    match plan {
        Plan::Steel(plan) => dispatch::steel(device, plan, buffers),
        Plan::Gemv(plan) => dispatch::gemv(device, plan, buffers),
        Plan::NdArray(plan) => encode_mps(device, Mps::NdArray(plan), buffers, order),
        Plan::Matrix(plan) => encode_mps(device, Mps::Matrix(plan), buffers, order),
    }
}

/// Encodes a softmax, as [`encode`] does a product.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_softmax(
    device: &MetalDevice,
    plan: &MatrixSoftMax,
    buffers: &Buffers<'_>,
    order: &Order,
) -> Result<(), Error> {
    encode_mps(device, Mps::SoftMax(plan), buffers, order)
}

/// Waits until everything that was encoded before has completed, and tells what failed.
///
/// Not by `Device::synchronize`, which forgets what other threads encode while it waits.
///
/// # Errors
///
/// [`Error::Gpu`] for a call that failed on the GPU since the last error, and what candle reports.
pub fn sync(device: &MetalDevice) -> Result<(), Error> {
    memory::wait(device)?;
    let Some(context) = context::existing(device) else {
        return Ok(());
    };
    context.ledger.drain();
    context.take_error()
}

static ROUNDS: Rounds = Rounds::new();

/// Runs `f` with an autorelease pool of its own. Threads of Rust have none, and without one what Apple's
/// frameworks autorelease, for candle's calls too, is not freed before the thread ends.
pub fn pooled<T>(f: impl FnOnce() -> T) -> T {
    autoreleasepool(|_| f())
}

/// Runs `f`, a round of a loop, [`pooled`]; [`check`] knows that this thread encodes.
pub fn round<T>(f: impl FnOnce() -> T) -> T {
    ROUNDS.round(|| pooled(f))
}

/// Tells what failed in any of candle's command buffers, of those that have been waited for.
///
/// Where candle reads something back, or [`sync`] waits, it looks at the last command buffer alone;
/// it keeps others that failed, which `wait_until_completed` finds. That forgets the fences of what
/// other threads encode meanwhile, so nothing is asked while one of them is in a [`round`]: the
/// first call after it tells.
///
/// # Errors
///
/// What candle reports.
pub fn check(device: &MetalDevice) -> Result<(), Error> {
    let outcome = ROUNDS.alone(|| device.wait_until_completed());
    Ok(outcome.unwrap_or(Ok(()))?)
}

/// What the GPU and the system can do.
///
/// # Errors
///
/// What candle reports when it makes the objects that are kept for the device.
pub fn caps(device: &MetalDevice) -> Result<Arc<Caps>, Error> {
    Ok(context::of(device)?.caps.clone())
}

/// What measurements and litmus tests of `strategy` are found by on this machine.
///
/// # Errors
///
/// As [`caps`].
pub fn key(device: &MetalDevice, strategy: Strategy) -> Result<Key, Error> {
    Ok(context::of(device)?.key(strategy))
}

fn encode_mps(
    device: &MetalDevice,
    plan: Mps<'_>,
    buffers: &Buffers<'_>,
    order: &Order,
) -> Result<(), Error> {
    let context = context::of(device)?;
    context.take_error()?;
    let here = context.key(order.strategy);
    order.strategy.check(&here, order.litmus.as_ref())?;
    run(device, &context, plan, buffers, order.strategy)
}

/// A run by a strategy that may be unproven: the litmus test is the proof.
fn run(
    device: &MetalDevice,
    context: &Context,
    plan: Mps<'_>,
    buffers: &Buffers<'_>,
    strategy: Strategy,
) -> Result<(), Error> {
    if strategy == Strategy::SameBuffer && !cfg!(metal_candle_same_buffer) {
        return Err(Refusal::NotBuilt.into());
    }
    let passes = context.passes.clone()?;
    let result = objects::buffer(buffers, Slot::Result)?;
    // MPS autoreleases much, and threads of Rust have no pool.
    autoreleasepool(|_| {
        // Everything is made before a lock of candle's is taken, which a panic would poison.
        let work = plan.prepare(device, context, buffers)?;
        let steps = script(strategy, work.call, work.calls, passes);
        bridge::walk(device, context, &steps, result, &work)
    })
}

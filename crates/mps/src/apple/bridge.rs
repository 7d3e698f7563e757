//! Walks a script of order, one step after the other.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::MetalDevice;
use candle_metal_kernels::metal::{
    Buffer, CommandsGuard, ComputeCommandEncoder, Fence as CandleFence,
};
use objc2::rc::Retained;
use objc2::runtime::ProtocolObject;
use objc2_metal::{
    MTLCommandBuffer, MTLCommandEncoder, MTLCommandQueue, MTLComputeCommandEncoder, MTLDevice,
    MTLEvent, MTLFence, MTLSize,
};

use super::budget::force_commit;
use super::context::Context;
use super::work::{Commands, Encoder, Target, Work};
use super::{Error, completion};
use crate::order::{Fence, Step};

/// One thread encodes MPS work at a time, in the whole process: crashes are reported of distinct
/// objects that encode at once. Taken before candle's lock, always in this order.
static ENCODING: Mutex<()> = Mutex::new(());

/// Walks `steps`; what is left open after an error or a panic is closed.
pub fn walk(
    device: &MetalDevice,
    context: &Context,
    steps: &[Step],
    result: &Buffer,
    work: &Work<'_>,
) -> Result<(), Error> {
    let _one_at_a_time = ENCODING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut walk = Walk::new(device, context, result, work)?;
    #[cfg(metal_candle_same_buffer)]
    if let [Step::EnterCandlesBuffer, steps @ ..] = steps {
        return walk.in_candles_buffer(steps);
    }
    for step in steps {
        walk.step(*step)?;
    }
    walk.committed = None;
    Ok(())
}

struct Walk<'a> {
    device: &'a MetalDevice,
    context: &'a Context,
    result: &'a Buffer,
    work: &'a Work<'a>,
    before: CandleFence,
    after: CandleFence,
    event: Retained<ProtocolObject<dyn MTLEvent>>,
    // Dropped in this order: an encoder is ended before its buffer goes.
    encoder: Option<Open>,
    commands: Option<Retained<Commands>>,
    candle: Option<CommandsGuard<'a>>,
    /// In candle's own buffer: its passes' fences, and that of the result.
    candles: Vec<Arc<CandleFence>>,
    published: Option<Retained<ProtocolObject<dyn MTLFence>>>,
    /// Work that candle has not been told of yet.
    committed: Option<Retained<Commands>>,
}

/// An encoder that is ended when it goes.
struct Open(Retained<Encoder>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.endEncoding();
    }
}

impl Drop for Walk<'_> {
    /// Without the steps that were to follow nothing orders candle after this work but a wait.
    fn drop(&mut self) {
        if let Some(committed) = &self.committed {
            committed.waitUntilCompleted();
        }
    }
}

impl<'a> Walk<'a> {
    fn new(
        device: &'a MetalDevice,
        context: &'a Context,
        result: &'a Buffer,
        work: &'a Work<'a>,
    ) -> Result<Self, Error> {
        let raw: &ProtocolObject<dyn MTLDevice> = device.device().as_ref();
        Ok(Self {
            device,
            context,
            result,
            work,
            before: CandleFence::new(device.device()),
            after: CandleFence::new(device.device()),
            event: raw.newEvent().ok_or(Error::Resource { what: "event" })?,
            encoder: None,
            commands: None,
            candle: None,
            candles: vec![],
            published: None,
            committed: None,
        })
    }

    fn step(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::FlushAndWait => self.device.flush_and_wait_current()?,
            Step::EnterCandle => self.candle = Some(self.device.command_encoder()?),
            Step::LeaveCandle => self.candle = None,
            Step::ForceCommit { requests } => force_commit(self.device, requests)?,
            Step::OpenBuffer => self.commands = Some(self.new_commands()?),
            Step::EndEncoder => self.encoder = None,
            Step::WaitCompleted => self.wait_completed()?,
            step => self.encode(step).ok_or(Error::Script { step })?,
        }
        Ok(())
    }

    /// Steps inside of what is open; `None` if that is not open.
    fn encode(&mut self, step: Step) -> Option<()> {
        match step {
            Step::RegisterResult => {
                let encoder = self.candles_encoder()?;
                encoder.set_output_buffer(0, Some(self.result), 0)
            }
            Step::OpenEncoder => self.encoder = Some(Open(self.ours()?.computeCommandEncoder()?)),
            Step::Wait(fence) => self.wait(fence)?,
            Step::Update(fence) => self.update(fence)?,
            Step::Nop => self.nop()?,
            Step::Signal(n) => self.ours()?.encodeSignalEvent_value(&self.event, n),
            Step::Await(n) => self.ours()?.encodeWaitForEvent_value(&self.event, n),
            Step::EncodeCall(call) => (self.work.encode)(call, self.target()?),
            Step::Commit => self.commit()?,
            _ => return None,
        }
        Some(())
    }

    fn candles_encoder(&self) -> Option<&ComputeCommandEncoder> {
        self.candle.as_ref().map(|guard| guard.as_ref())
    }

    /// Our command buffer.
    fn ours(&self) -> Option<&Commands> {
        self.commands.as_deref()
    }

    fn our_encoder(&self) -> Option<&Encoder> {
        self.encoder.as_ref().map(|open| &*open.0)
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target {
            commands: self.ours()?,
            encoder: self.our_encoder(),
        })
    }

    fn new_commands(&self) -> Result<Retained<Commands>, Error> {
        self.context.queue.commandBuffer().ok_or(Error::Resource {
            what: "command buffer",
        })
    }

    fn wait(&self, fence: Fence) -> Option<()> {
        match self.candles_encoder() {
            Some(encoder) => encoder.wait_for_fence(self.bridges(fence)?),
            None => {
                let encoder = self.our_encoder()?;
                let fences = self.raw(fence).into_iter();
                fences.for_each(|raw| encoder.waitForFence(raw));
            }
        }
        Some(())
    }

    fn update(&self, fence: Fence) -> Option<()> {
        match self.candles_encoder() {
            Some(encoder) => encoder.update_fence(self.bridges(fence)?),
            None => {
                let encoder = self.our_encoder()?;
                let fences = self.raw(fence).into_iter();
                fences.for_each(|raw| encoder.updateFence(raw));
            }
        }
        Some(())
    }

    /// The fences that are this walk's own.
    fn bridges(&self, fence: Fence) -> Option<&CandleFence> {
        match fence {
            Fence::Before => Some(&self.before),
            Fence::After => Some(&self.after),
            Fence::Candles | Fence::Published => None,
        }
    }

    fn raw(&self, fence: Fence) -> Vec<&ProtocolObject<dyn MTLFence>> {
        match fence {
            Fence::Before => vec![self.before.raw()],
            Fence::After => vec![self.after.raw()],
            Fence::Candles => self.candles.iter().map(|fence| fence.raw()).collect(),
            Fence::Published => self.published.iter().map(|fence| &**fence).collect(),
        }
    }

    fn nop(&self) -> Option<()> {
        let nop = &self.context.nop;
        match self.candles_encoder() {
            Some(encoder) => {
                encoder.set_compute_pipeline_state(nop);
                encoder.dispatch_thread_groups(ONE, ONE);
            }
            None => {
                let encoder = self.our_encoder()?;
                encoder.setComputePipelineState(nop.as_ref());
                encoder.dispatchThreadgroups_threadsPerThreadgroup(ONE, ONE);
            }
        }
        Some(())
    }

    fn commit(&mut self) -> Option<()> {
        let commands = self.commands.take()?;
        completion::watch(&commands, &self.context.ledger);
        commands.commit();
        self.committed = Some(commands);
        Some(())
    }

    fn wait_completed(&mut self) -> Result<(), Error> {
        let step = Step::WaitCompleted;
        self.committed
            .take()
            .ok_or(Error::Script { step })?
            .waitUntilCompleted();
        self.context.ledger.drain();
        self.context.take_error()
    }

    /// Ends candle's encoder, and walks the other steps in its command buffer.
    #[cfg(metal_candle_same_buffer)]
    fn in_candles_buffer(&mut self, steps: &[Step]) -> Result<(), Error> {
        use objc2::Message;
        let (registered, steps) =
            steps.split_at(usize::from(steps.starts_with(&[Step::RegisterResult])));
        let outputs = vec![self.result; registered.len()];
        self.device
            .command_encoder()?
            .encode_external(&outputs, |commands, waits, done| {
                self.commands = Some(commands.retain());
                self.candles = waits.to_vec();
                self.published = Some(done.raw().retain());
                steps.iter().try_for_each(|step| self.step(*step))
            })
    }
}

const ONE: MTLSize = MTLSize {
    width: 1,
    height: 1,
    depth: 1,
};

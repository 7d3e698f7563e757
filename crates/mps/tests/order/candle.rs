//! candle 0.11's `Commands` and pool of buffers (`metal/commands.rs`, `metal/encoder.rs`,
//! `metal_backend/device.rs`).

use std::collections::BTreeMap;
use std::mem;
use std::rc::Rc;

use crate::gpu::{CommandBuffer, FenceId, Gpu, Item, Memory, PassId, Passes, Queue};

/// A tensor's memory. The pool hands it out again when it alone holds it.
pub type Tensor = Rc<Memory>;

/// The encoder that all threads share.
#[derive(Debug, Clone)]
pub struct Encoder {
    pub pass: PassId,
    fence: FenceId,
    outputs: Vec<Memory>,
}

type Ticket = (Queue, usize);

#[derive(Debug)]
pub struct Candle {
    passes_per_buffer: usize,
    /// Requests for encoders since the last commit.
    count: usize,
    current: CommandBuffer,
    encoder: Option<Encoder>,
    last: Option<Ticket>,
    /// `prev_ce_outputs`: which fence stands for the last pass that wrote some memory.
    outputs: BTreeMap<Memory, (FenceId, PassId)>,
    pool: Vec<Tensor>,
}

impl Candle {
    pub fn new(passes_per_buffer: usize) -> Self {
        Self {
            passes_per_buffer,
            count: 0,
            current: buffer(),
            encoder: None,
            last: None,
            outputs: BTreeMap::new(),
            pool: vec![],
        }
    }

    /// `new_buffer`.
    pub fn allocate(&mut self) -> Tensor {
        let free = self
            .pool
            .iter()
            .find(|tensor| Rc::strong_count(tensor) == 1);
        if let Some(tensor) = free {
            return tensor.clone();
        }
        self.pool.push(Rc::new(self.pool.len()));
        self.pool[self.pool.len() - 1].clone()
    }

    /// `command_encoder`, up to the return of the guard.
    pub fn encoder(&mut self, gpu: &mut Gpu) -> &mut Encoder {
        self.request(gpu);
        if self.encoder.is_none() {
            let pass = self.open(gpu);
            self.encoder = Some(pass);
        }
        self.encoder.as_mut().expect("it was made")
    }

    /// The encoder of the guard that a thread holds.
    pub fn encoder_now(&mut self) -> &mut Encoder {
        self.encoder.as_mut().expect("a guard is held")
    }

    fn request(&mut self, gpu: &mut Gpu) {
        self.count += 1;
        if self.count > self.passes_per_buffer {
            self.commit(gpu, 1);
        }
    }

    /// A pass that waits for every fence that may be unfinished.
    fn open(&mut self, gpu: &mut Gpu) -> Encoder {
        let (pass, fence) = (gpu.pass(), gpu.fence());
        gpu.passes[pass].waits = self.fences();
        self.current.items.push(Item::Pass(pass));
        Encoder {
            pass,
            fence,
            outputs: vec![],
        }
    }

    pub fn fences(&self) -> Vec<FenceId> {
        let mut fences: Vec<_> = self.outputs.values().map(|(fence, _)| *fence).collect();
        fences.sort_unstable();
        fences.dedup();
        fences
    }

    /// `end_encoding`.
    fn end(&mut self, gpu: &mut Gpu, encoder: Encoder) {
        gpu.passes[encoder.pass].updates.push(encoder.fence);
        for memory in encoder.outputs {
            self.outputs.insert(memory, (encoder.fence, encoder.pass));
        }
    }

    fn end_current(&mut self, gpu: &mut Gpu) {
        if let Some(encoder) = self.encoder.take() {
            self.end(gpu, encoder);
        }
    }

    /// `commit_swap_locked`.
    pub fn commit(&mut self, gpu: &mut Gpu, count: usize) -> Ticket {
        self.end_current(gpu);
        let ticket = gpu.commit(mem::replace(&mut self.current, buffer()));
        self.last = Some(ticket);
        self.count = count;
        ticket
    }

    /// The end of a wait: handlers take finished passes out of the map.
    pub fn completed(&mut self, done: Passes) {
        self.outputs.retain(|_, (_, pass)| done >> *pass & 1 == 0);
    }

    /// `flush_and_wait` (`Device::synchronize`), up to the wait.
    pub fn flush(&mut self, gpu: &mut Gpu) -> Option<Ticket> {
        if self.count > 0 {
            self.commit(gpu, 0);
        }
        self.last.take()
    }

    /// What `flush_and_wait` does after its wait, outside of the lock.
    pub fn forget_outputs(&mut self) {
        self.outputs.clear();
    }

    /// An operation: one dispatch.
    pub fn dispatch(&mut self, gpu: &mut Gpu, reads: &[&Tensor], write: &Tensor, operation: usize) {
        let encoder = self.encoder(gpu);
        reads
            .iter()
            .for_each(|read| gpu.access(encoder.pass, ***read, false, operation));
        gpu.access(encoder.pass, **write, true, operation);
        encoder.outputs.push(**write);
    }

    /// `blit_command_encoder`, a copy, and the guard's end.
    pub fn copy(&mut self, gpu: &mut Gpu, read: &Tensor, write: &Tensor, operation: usize) {
        self.request(gpu);
        self.end_current(gpu);
        let mut blit = self.open(gpu);
        gpu.access(blit.pass, **read, false, operation);
        gpu.access(blit.pass, **write, true, operation);
        blit.outputs.push(**write);
        self.end(gpu, blit);
    }

    /// `encode_external` of a candle that has it: its encoder is ended, its buffer handed out.
    pub fn external(&mut self, gpu: &mut Gpu) -> &mut CommandBuffer {
        self.request(gpu);
        self.end_current(gpu);
        &mut self.current
    }

    pub fn buffer(&mut self) -> &mut CommandBuffer {
        &mut self.current
    }

    /// What `encode_external` registers for the work encoded.
    pub fn publish(&mut self, memory: Memory, fence: FenceId, pass: PassId) {
        self.outputs.insert(memory, (fence, pass));
    }
}

impl Encoder {
    pub fn register(&mut self, memory: Memory) {
        self.outputs.push(memory);
    }
}

fn buffer() -> CommandBuffer {
    CommandBuffer {
        queue: Queue::Candles,
        items: vec![],
    }
}

//! A thread's way through a script.

use crate::gpu::{CommandBuffer, EventId, FenceId, Gpu, Item, Memory, PassId, Queue, Violation};
use crate::host::World;
use metal_candle_mps::order::{Call, Fence, Step};

/// What a thread holds of candle.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    Nothing,
    Encoder,
    Buffer,
}

#[derive(Debug, PartialEq)]
pub enum Progress {
    /// The next step is one that other threads can tell.
    Paused,
    Over,
}

pub struct Walk {
    at: usize,
    /// Requests of a forced commit that were made.
    requests: usize,
    flushed: Option<(Queue, usize)>,
    held: Held,
    own: Option<CommandBuffer>,
    encoder: Option<PassId>,
    /// The pass that published results wait for.
    last: PassId,
    committed: Option<(Queue, usize)>,
    before: FenceId,
    after: FenceId,
    event: EventId,
    registered: bool,
    encoded: usize,
}

impl Walk {
    pub fn new(gpu: &mut Gpu) -> Self {
        let (before, after, event) = (gpu.fence(), gpu.fence(), gpu.event());
        Self {
            at: 0,
            requests: 0,
            flushed: None,
            held: Held::Nothing,
            own: None,
            encoder: None,
            last: 0,
            committed: None,
            before,
            after,
            event,
            registered: false,
            encoded: 0,
        }
    }

    /// Does one visible step, and what follows it up to the next.
    pub fn advance(
        &mut self,
        world: &mut World<'_>,
        inputs: [Memory; 2],
        result: Memory,
        operation: usize,
    ) -> Progress {
        let script = &world.rules.script;
        loop {
            let Some(step) = script.get(self.at) else {
                return self.end(world);
            };
            let done = self.step(*step, world, inputs, result, operation);
            self.at += usize::from(done);
            if !done || script.get(self.at).is_some_and(is_visible) {
                return Progress::Paused;
            }
        }
    }

    fn end(&mut self, world: &mut World<'_>) -> Progress {
        let closed = self.held == Held::Nothing && self.own.is_none() && self.encoder.is_none();
        if !closed || self.encoded != world.rules.calls {
            wrong(world, "end of the script");
        }
        Progress::Over
    }

    /// Whether the step is over.
    fn step(
        &mut self,
        step: Step,
        world: &mut World<'_>,
        inputs: [Memory; 2],
        result: Memory,
        operation: usize,
    ) -> bool {
        match step {
            Step::FlushAndWait => return self.flush_and_wait(world),
            Step::ForceCommit { requests } => return self.force_commit(world, requests),
            Step::EnterCandle => self.enter(world, Held::Encoder),
            Step::EnterCandlesBuffer => self.enter(world, Held::Buffer),
            Step::LeaveCandle => self.leave(world, result),
            Step::RegisterResult => self.register(world, result),
            Step::OpenBuffer => self.open_buffer(world),
            Step::OpenEncoder => self.open_encoder(world),
            Step::EndEncoder => self.end_encoder(world),
            Step::Wait(fence) => self.wait_for(world, fence),
            Step::Update(fence) => self.update(world, fence),
            Step::Nop => self.nop(world),
            Step::Signal(value) => self.push(world, Item::Signal(self.event, value)),
            Step::Await(value) => self.push(world, Item::Await(self.event, value)),
            Step::EncodeCall(call) if call == self.encoded => {
                self.encode(world, inputs, result, operation)
            }
            Step::EncodeCall(_) => wrong(world, "calls out of order"),
            Step::Commit => self.commit(world),
            Step::WaitCompleted => match self.committed {
                Some(ticket) => world.wait(Some(ticket)),
                None => wrong(world, "wait before commit"),
            },
        }
        true
    }

    fn flush_and_wait(&mut self, world: &mut World<'_>) -> bool {
        self.not_locked(world);
        match self.flushed.take() {
            None => {
                self.flushed = Some(world.candle.commit(&mut world.gpu, 0));
                false
            }
            ticket => {
                world.wait(ticket);
                true
            }
        }
    }

    fn force_commit(&mut self, world: &mut World<'_>, requests: usize) -> bool {
        self.not_locked(world);
        if self.requests < requests {
            world.candle.encoder(&mut world.gpu);
            self.requests += 1;
        }
        self.requests >= requests
    }

    fn not_locked(&self, world: &mut World<'_>) {
        if self.held != Held::Nothing {
            world.gpu.violations.push(Violation::NestedLock);
        }
    }

    fn enter(&mut self, world: &mut World<'_>, held: Held) {
        self.not_locked(world);
        self.held = held;
        match held {
            Held::Buffer => drop(world.candle.external(&mut world.gpu)),
            _ => self.last = world.candle.encoder(&mut world.gpu).pass,
        }
    }

    fn leave(&mut self, world: &mut World<'_>, result: Memory) {
        if self.held == Held::Nothing || self.encoder.is_some() {
            wrong(world, "leave");
        }
        if self.held == Held::Buffer && self.registered {
            world.candle.publish(result, self.after, self.last);
        }
        self.held = Held::Nothing;
    }

    fn register(&mut self, world: &mut World<'_>, result: Memory) {
        match self.held {
            Held::Encoder => world.candle.encoder_now().register(result),
            Held::Buffer => self.registered = true,
            Held::Nothing => wrong(world, "register"),
        }
    }

    fn open_buffer(&mut self, world: &mut World<'_>) {
        if self.own.is_some() || self.held != Held::Nothing {
            wrong(world, "open a buffer");
        }
        self.own = Some(CommandBuffer {
            queue: Queue::Ours,
            items: vec![],
        });
    }

    /// Adds to the command buffer, which must have no open encoder.
    fn push(&mut self, world: &mut World<'_>, item: Item) {
        let open = self.encoder.is_none();
        match (&mut self.own, self.held) {
            (Some(own), Held::Nothing) if open => own.items.push(item),
            (None, Held::Buffer) if open => world.candle.buffer().items.push(item),
            _ => wrong(world, "no command buffer, or an open encoder"),
        }
    }

    fn open_encoder(&mut self, world: &mut World<'_>) {
        let pass = world.gpu.pass();
        self.push(world, Item::Pass(pass));
        self.encoder = Some(pass);
        self.last = pass;
    }

    fn end_encoder(&mut self, world: &mut World<'_>) {
        if self.encoder.take().is_none() {
            wrong(world, "end an encoder");
        }
    }

    /// The pass that steps go to: ours, or candle's while its lock is held.
    fn pass(&mut self, world: &mut World<'_>) -> Option<PassId> {
        let pass = match self.held {
            Held::Encoder => Some(world.candle.encoder_now().pass),
            _ => self.encoder,
        };
        if pass.is_none() {
            wrong(world, "no encoder");
        }
        pass
    }

    fn fences(&self, world: &World<'_>, fence: Fence) -> Vec<FenceId> {
        match fence {
            Fence::Before => vec![self.before],
            Fence::After | Fence::Published => vec![self.after],
            Fence::Candles => world.candle.fences(),
        }
    }

    fn wait_for(&mut self, world: &mut World<'_>, fence: Fence) {
        let Some(pass) = self.pass(world) else { return };
        let fences = self.fences(world, fence);
        world.gpu.passes[pass].waits.extend(fences);
        world.gpu.passes[pass].bridges = true;
    }

    fn update(&mut self, world: &mut World<'_>, fence: Fence) {
        let Some(pass) = self.pass(world) else { return };
        let fences = self.fences(world, fence);
        world.gpu.passes[pass].updates.extend(fences);
        world.gpu.passes[pass].bridges = true;
    }

    fn nop(&mut self, world: &mut World<'_>) {
        if let Some(pass) = self.pass(world) {
            world.gpu.passes[pass].dispatches += 1;
        }
    }

    fn encode(
        &mut self,
        world: &mut World<'_>,
        inputs: [Memory; 2],
        result: Memory,
        operation: usize,
    ) {
        let pass = match (world.rules.call, self.encoder) {
            (Call::InOurEncoder, Some(pass)) => pass,
            (Call::InItsOwn, None) => {
                let pass = world.gpu.pass();
                self.push(world, Item::Pass(pass));
                pass
            }
            _ => return wrong(world, "encode"),
        };
        inputs
            .iter()
            .for_each(|&memory| world.gpu.access(pass, memory, false, operation));
        world.gpu.access(pass, result, true, operation);
        self.encoded += 1;
    }

    fn commit(&mut self, world: &mut World<'_>) {
        match self.own.take() {
            Some(own) if self.encoder.is_none() => self.committed = Some(world.gpu.commit(own)),
            _ => wrong(world, "commit"),
        }
    }
}

/// Steps before which another thread may act.
fn is_visible(step: &Step) -> bool {
    matches!(
        step,
        Step::FlushAndWait
            | Step::EnterCandle
            | Step::EnterCandlesBuffer
            | Step::ForceCommit { .. }
            | Step::OpenBuffer
            | Step::WaitCompleted
    )
}

fn wrong(world: &mut World<'_>, what: &'static str) {
    world.gpu.violations.push(Violation::OutOfPlace(what));
}

//! What Metal orders: a graph of passes, grown when command buffers are committed.
//!
//! Nothing orders two passes, of one command buffer or of several, but fences, events and waits of
//! the host: the memory is untracked. That candle's queue finishes command buffers in the order in
//! which they were committed is assumed, as candle does.

use std::collections::HashMap;

/// Passes as bits of a number.
pub type Passes = u128;

pub type PassId = usize;
pub type FenceId = usize;
pub type EventId = usize;
pub type Memory = usize;

/// Whose queue a command buffer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    Candles,
    Ours,
}

/// A pass reads or writes memory on behalf of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    pub pass: PassId,
    pub memory: Memory,
    pub write: bool,
    pub operation: usize,
}

#[derive(Debug, Default)]
pub struct Pass {
    pub waits: Vec<FenceId>,
    pub updates: Vec<FenceId>,
    pub dispatches: usize,
    /// Has a fence that a script put there, and so must not be empty.
    pub bridges: bool,
    /// Passes that have finished when this one begins.
    before: Passes,
}

#[derive(Debug, Clone, Copy)]
pub enum Item {
    Pass(PassId),
    Signal(EventId, u64),
    Await(EventId, u64),
}

#[derive(Debug)]
pub struct CommandBuffer {
    pub queue: Queue,
    pub items: Vec<Item>,
}

/// What must not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two accesses of the same memory, one of them a write, in the wrong order or in none.
    Unordered {
        memory: Memory,
        first: usize,
        second: usize,
    },
    /// The host reads what may not be there yet.
    HostTooEarly { memory: Memory },
    /// A fence that nothing committed before has updated.
    WaitForNothing,
    /// An event that nothing before signals.
    WaitForever,
    /// A pass with a bridge's fences and without a dispatch.
    EmptyPass,
    /// candle's lock taken by the thread that has it.
    NestedLock,
    /// A step that cannot be done now.
    OutOfPlace(&'static str),
    /// Threads that wait for each other.
    Deadlock,
}

#[derive(Debug, Default)]
pub struct Gpu {
    pub passes: Vec<Pass>,
    pub accesses: Vec<Access>,
    fences: Vec<Option<PassId>>,
    events: HashMap<(EventId, u64), Passes>,
    next_event: EventId,
    committed: HashMap<Queue, Vec<Passes>>,
    /// What the host has seen finish.
    pub finished: Passes,
    pub violations: Vec<Violation>,
}

impl Gpu {
    pub fn pass(&mut self) -> PassId {
        self.passes.push(Pass::default());
        assert!(self.passes.len() <= 128, "more passes than bits");
        self.passes.len() - 1
    }

    pub fn fence(&mut self) -> FenceId {
        self.fences.push(None);
        self.fences.len() - 1
    }

    pub fn event(&mut self) -> EventId {
        self.next_event += 1;
        self.next_event
    }

    pub fn access(&mut self, pass: PassId, memory: Memory, write: bool, operation: usize) {
        self.passes[pass].dispatches += 1;
        self.accesses.push(Access {
            pass,
            memory,
            write,
            operation,
        });
    }

    /// Returns a ticket for [`Gpu::finish`].
    pub fn commit(&mut self, buffer: CommandBuffer) -> (Queue, usize) {
        let (mut awaited, mut mine): (Passes, Passes) = (self.finished, 0);
        for item in buffer.items {
            match item {
                Item::Pass(pass) => {
                    self.begin(pass, awaited);
                    mine |= self.passes[pass].before | 1 << pass;
                }
                Item::Signal(event, value) => {
                    self.events.insert((event, value), mine | awaited);
                }
                Item::Await(event, value) => match self.events.get(&(event, value)) {
                    Some(signaled) => awaited |= signaled,
                    None => self.violations.push(Violation::WaitForever),
                },
            }
        }
        let queue = self.committed.entry(buffer.queue).or_default();
        queue.push(mine);
        (buffer.queue, queue.len() - 1)
    }

    /// Fences take effect at the beginning of a pass, and are updated at its end.
    fn begin(&mut self, id: PassId, mut before: Passes) {
        let pass = &self.passes[id];
        if pass.bridges && pass.dispatches == 0 {
            self.violations.push(Violation::EmptyPass);
        }
        for &fence in &pass.waits {
            match self.fences[fence] {
                Some(other) => before |= self.passes[other].before | 1 << other,
                None => self.violations.push(Violation::WaitForNothing),
            }
        }
        for &fence in &pass.updates {
            self.fences[fence] = Some(id);
        }
        self.passes[id].before = before;
    }

    /// The host learns that a command buffer has completed, and so all that the queue had before.
    pub fn finish(&mut self, (queue, ticket): (Queue, usize)) -> Passes {
        let done = self.committed[&queue][..=ticket]
            .iter()
            .fold(0, |all, passes| all | passes);
        self.finished |= done;
        done
    }

    pub fn host_reads(&mut self, memory: Memory) {
        let writes = self
            .accesses
            .iter()
            .filter(|access| access.write && access.memory == memory);
        let early = writes
            .into_iter()
            .any(|access| self.finished >> access.pass & 1 == 0);
        if early {
            self.violations.push(Violation::HostTooEarly { memory });
        }
    }

    /// Every conflict of two operations, of which the first has ended before the second began, or of
    /// two passes of one.
    pub fn check_order(&mut self) {
        for (i, a) in self.accesses.iter().enumerate() {
            for b in &self.accesses[i + 1..] {
                let conflict = a.memory == b.memory && (a.write || b.write);
                let (first, second) = if a.operation <= b.operation {
                    (a, b)
                } else {
                    (b, a)
                };
                // candle puts barriers between the dispatches of one encoder.
                let ordered =
                    a.pass == b.pass || self.passes[second.pass].before >> first.pass & 1 == 1;
                if conflict && !ordered {
                    let (first, second) = (first.operation, second.operation);
                    self.violations.push(Violation::Unordered {
                        memory: a.memory,
                        first,
                        second,
                    });
                }
            }
        }
    }
}

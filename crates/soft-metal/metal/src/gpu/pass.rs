//! Encoded work: passes made of commands, and what each command touches.

use crate::buffer::SoftBuffer;
use crate::event::{Signal, SoftFence};
use crate::object::Name;
use crate::rules::Rule;
use objc2::rc::Retained;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A range of a buffer that a command reads or writes.
pub struct Access {
    pub buffer: Retained<SoftBuffer>,
    pub offset: usize,
    pub len: usize,
    pub write: bool,
    /// Place in the host's order of encoding.
    pub encoded: u64,
}

impl Access {
    pub fn new(buffer: Retained<SoftBuffer>, offset: usize, len: usize, write: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { buffer, offset, len, write, encoded: NEXT.fetch_add(1, SeqCst) }
    }

    pub fn read(buffer: &Retained<SoftBuffer>, offset: usize, len: usize) -> Self {
        Self::new(buffer.clone(), offset, len, false)
    }

    pub fn write(buffer: &Retained<SoftBuffer>, offset: usize, len: usize) -> Self {
        Self::new(buffer.clone(), offset, len, true)
    }
}

/// What a command does; the rule that a kernel breaks while it runs.
pub type Work = Box<dyn FnOnce() -> Result<(), Failure>>;

pub struct Failure {
    pub rule: Rule,
    pub text: String,
}

pub enum Command {
    Run {
        /// What messages call it: a kernel's name, or what a blit does.
        what: String,
        accesses: Vec<Access>,
        work: Work,
    },
    /// With the number of updates that were committed before; known at commit.
    WaitFence(Retained<SoftFence>, u64),
    UpdateFence(Retained<SoftFence>),
    Barrier,
}

pub struct Pass {
    /// Given at commit.
    pub number: u64,
    pub kind: &'static str,
    pub concurrent: bool,
    pub commands: Vec<Command>,
    command_buffer: String,
}

impl Pass {
    pub fn new(kind: &'static str, concurrent: bool, command_buffer: &Name) -> Self {
        Self { number: 0, kind, concurrent, commands: vec![], command_buffer: command_buffer.to_string() }
    }

    /// What messages call it.
    pub fn name(&self) -> Arc<str> {
        format!("{} pass {} of {}", self.kind, self.number, self.command_buffer).into()
    }
}

/// What a command buffer is made of.
pub enum Op {
    Pass(Pass),
    Signal(Arc<Signal>, u64),
    Wait(Arc<Signal>, u64),
}

//! The argument table of a compute encoder, and what a dispatch takes from it.

use crate::buffer::SoftBuffer;
use crate::gpu::Access;
use crate::library::SoftPipeline;
use crate::memory;
use crate::msl::{Buffers, Kind, Param};
use crate::object::Name;
use crate::rules::{Rule, broken, warn};
use objc2::DefinedClass;
use objc2::rc::Retained;
use std::collections::BTreeMap;

/// Entries of a table, of buffers and of threadgroup memory alike.
pub const TABLE: usize = 31;

pub enum Argument {
    Buffer(Retained<SoftBuffer>, usize),
    Bytes(Vec<u8>),
}

#[derive(Default)]
pub struct Arguments {
    pub pipeline: Option<Retained<SoftPipeline>>,
    /// Each with the number of dispatches before it was bound.
    buffers: BTreeMap<usize, (Argument, usize)>,
    pub threadgroup: BTreeMap<usize, usize>,
    dispatches: usize,
    /// The pipeline of the last dispatch, and the number of dispatches before it was first taken.
    last: Option<(Retained<SoftPipeline>, usize)>,
}

/// What a kernel is called with.
#[derive(Default)]
pub struct Bound {
    pub buffers: Buffers,
    pub accesses: Vec<Access>,
    /// Bytes given with `setBytes:`, kept until the kernel has run.
    pub copies: Vec<memory::Argument>,
}

/// What a kernel reads where nothing is bound, or where it has no parameter: kernels read some of these for values that
/// they then do not use, which a compiler for GPUs leaves out.
#[repr(align(64))]
struct Zeros([u8; 4096]);
static ZEROS: Zeros = Zeros([0; 4096]);

impl Arguments {
    pub fn set(&mut self, index: usize, argument: Argument) {
        self.buffers.insert(index, (argument, self.dispatches));
    }

    pub fn remove(&mut self, index: usize) {
        self.buffers.remove(&index);
    }

    /// What a dispatch of `pipeline` is called with.
    pub fn dispatch(&mut self, pipeline: &Retained<SoftPipeline>) -> Bound {
        if self.last.as_ref().is_none_or(|(last, _)| !std::ptr::eq(&**last, &**pipeline)) {
            self.last = Some((pipeline.clone(), self.dispatches));
        }
        let bound = self.bind(&pipeline.function().name, pipeline.params());
        self.dispatches += 1;
        bound
    }

    /// The arguments that `kernel` has parameters for. What another pipeline left bound is taken to be one that this kernel
    /// does not use: it is given, but does not count as touched.
    fn bind(&self, kernel: &str, parameters: &[Param]) -> Bound {
        let first = self.last.as_ref().map_or(0, |(_, first)| *first);
        let mut bound = Bound::default();
        for p in parameters.iter().filter(|p| matches!(p.kind, Kind::Buffer | Kind::Absent)) {
            let argument = self.buffers.get(&p.index).filter(|_| p.kind == Kind::Buffer);
            bound.buffers.pointers[p.index] = match argument {
                Some((Argument::Buffer(buffer, offset), bound_at)) => {
                    if *bound_at >= first {
                        let len = buffer.ivars().len - offset;
                        bound.accesses.push(Access::new(buffer.clone(), *offset, len, p.writes));
                    }
                    bound.buffers.ends[p.index] = buffer.ivars().address() + buffer.ivars().len;
                    buffer.ivars().address() + offset
                }
                Some((Argument::Bytes(bytes), _)) => bound.copy(bytes, p.index),
                None => {
                    if p.switch.is_none() {
                        // Without the validation layer, the GPU only faults if the kernel reads the argument.
                        warn(format!("{kernel}: nothing is bound to buffer {}", p.index));
                    }
                    ZEROS.0.as_ptr() as usize
                }
            };
        }
        bound
    }
}

impl Bound {
    fn copy(&mut self, bytes: &[u8], index: usize) -> usize {
        let copy = memory::Argument::new(bytes, format!("the bytes of argument {index}"));
        let pointer = copy.memory().pointer() as usize;
        self.buffers.ends[index] = copy.memory().end();
        self.copies.push(copy);
        pointer
    }
}

pub fn check_index(name: &Name, index: usize, what: &str) {
    if index >= TABLE {
        broken(Rule::ArgumentIndex, name, format!("{what} at {index}, the last is {}", TABLE - 1));
    }
}

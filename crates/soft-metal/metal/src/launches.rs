//! Launches as files, so that another GPU can repeat them: `SOFT_METAL_LAUNCHES` names a folder. There, `<hash>.cu` is a library
//! in CUDA C++, and `<hash>.launch` a launch of it: lines that say what it is, an empty line, then the bytes of every buffer
//! before, and behind those of what the kernel may write, its bytes after. A buffer that is bound in several places is one, so
//! that what is written through one of them is read through another. Launches of more bytes are `<hash>.sizes`, in which
//! only constants have bytes.

use crate::gpu::lock;
use crate::library::SoftPipeline;
use crate::msl::{Buffers, Kind, Launch, Param, cuda, hash, put};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

/// Bytes of a launch that is written whole, at most: the folder is carried to another machine.
const MOST_BYTES: usize = 1 << 20;

/// Launches of one kernel of one library, each with another grid or other constants.
const MOST_LAUNCHES: usize = 12;

/// Launches that were written, by library and kernel: their grids and constants, hashed.
static WRITTEN: LazyLock<Mutex<HashMap<String, Vec<u64>>>> = LazyLock::new(Mutex::default);

fn folder() -> Option<PathBuf> {
    std::env::var_os("SOFT_METAL_LAUNCHES").map(PathBuf::from)
}

/// Writes a library whose text begins as `SOFT_METAL_LAUNCHES_OF` says; its file's name.
pub fn library(source: &str, expanded: &str) -> Option<String> {
    let folder = folder()?;
    let beginning = std::env::var("SOFT_METAL_LAUNCHES_OF").unwrap_or_default();
    if !source.starts_with(&beginning) {
        return None;
    }
    let name = format!("{:016x}.cu", hash(source));
    let written = fs::create_dir_all(&folder).and_then(|()| put(&folder.join(&name), cuda(expanded).as_bytes()));
    written.expect("SOFT_METAL_LAUNCHES can be written");
    Some(name)
}

/// A launch that is about to run.
pub struct Written {
    header: String,
    bytes: Vec<u8>,
    bound: Vec<Bound>,
    is_whole: bool,
}

/// Memory that a launch binds, from the first of its arguments there to its end.
struct Bound {
    address: usize,
    end: usize,
    is_written: bool,
    is_constant: bool,
}

/// What a launch begins with, if it is to be written.
pub fn begin(pipeline: &SoftPipeline, launch: &Launch, buffers: &Buffers) -> Option<Written> {
    let (function, library) = (pipeline.function(), pipeline.function().cuda()?);
    let params: Vec<&Param> = pipeline.params().iter().filter(|p| is_bound(p, buffers)).collect();
    let bound = bound(&params, buffers);
    let is_whole = bound.iter().map(Bound::len).sum::<usize>() <= MOST_BYTES;
    let constants: Vec<&[u8]> = bound.iter().filter(|memory| memory.is_constant).map(Bound::bytes).collect();
    let kernel = format!("{library} {} {is_whole}", function.name);
    if !is_new(kernel, hash((launch.threads, launch.group, constants))) {
        return None;
    }
    let mut header = format!("library {library}\nkernel {}\n", function.name);
    let _ = writeln!(header, "threads {:?}\ngroup {:?}", launch.threads, launch.group);
    let mut bytes = vec![];
    for memory in &bound {
        let _ = writeln!(header, "buffer {} {}", memory.len(), memory.address % 16);
        if is_whole || memory.is_constant {
            bytes.extend_from_slice(memory.bytes());
        }
    }
    for param in params {
        header.push_str(&line(param, &bound, buffers));
    }
    Some(Written { header, bytes, bound, is_whole })
}

fn is_new(kernel: String, launch: u64) -> bool {
    let mut written = lock(&WRITTEN);
    let launches = written.entry(kernel).or_default();
    let new = launches.len() < MOST_LAUNCHES && !launches.contains(&launch);
    if new {
        launches.push(launch);
    }
    new
}

fn is_bound(param: &Param, buffers: &Buffers) -> bool {
    param.kind == Kind::Buffer && buffers.ends[param.index] > buffers.pointers[param.index]
}

/// Memory of the parameters: what ends at one address is one buffer, since between two there is a page of none.
fn bound(params: &[&Param], buffers: &Buffers) -> Vec<Bound> {
    let mut all: Vec<Bound> = vec![];
    for param in params {
        let (address, end) = (buffers.pointers[param.index], buffers.ends[param.index]);
        let own = Bound { address, end, is_written: param.writes, is_constant: param.element.is_none() };
        match all.iter_mut().find(|other| other.end == end) {
            Some(known) => known.join(&own),
            None => all.push(own),
        }
    }
    all
}

/// An argument: its place in the table, its buffer, where in the buffer it begins, whether it may be written, and of what type it
/// is, which a constant does not have.
fn line(param: &Param, bound: &[Bound], buffers: &Buffers) -> String {
    let (address, end) = (buffers.pointers[param.index], buffers.ends[param.index]);
    let which = bound.iter().position(|memory| memory.end == end).unwrap_or_default();
    let offset = address - bound[which].address;
    let (writes, element) = (u8::from(param.writes), param.element.as_deref().unwrap_or("-"));
    format!("argument {} {which} {offset} {writes} {element}\n", param.index)
}

impl Bound {
    fn len(&self) -> usize {
        self.end - self.address
    }

    fn join(&mut self, other: &Self) {
        self.address = self.address.min(other.address);
        self.is_written |= other.is_written;
        self.is_constant &= other.is_constant;
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: what is bound to a launch is there until it has run, and no other thread writes while it runs: the ordering
        // checker asks for it.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.len()) }
    }
}

impl Written {
    /// Adds what the launch wrote, and writes the file.
    pub fn end(mut self) {
        let Some(folder) = folder() else { return };
        for memory in self.bound.iter().filter(|memory| self.is_whole && memory.is_written) {
            self.bytes.extend_from_slice(memory.bytes());
        }
        let mut file = self.header.into_bytes();
        file.push(b'\n');
        file.extend(self.bytes);
        let kind = if self.is_whole { "launch" } else { "sizes" };
        let name = format!("{:016x}.{kind}", hash(&file));
        put(&folder.join(name), &file).expect("SOFT_METAL_LAUNCHES can be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(index: usize, writes: bool, element: Option<&str>) -> Param {
        Param { kind: Kind::Buffer, index, writes, element: element.map(str::to_owned), switch: None }
    }

    #[test]
    fn places_of_one_buffer_are_one() {
        let params =
            [param(0, false, Some("T")), param(1, true, Some("T")), param(2, true, Some("T")), param(3, false, None)];
        let mut buffers = Buffers::default();
        buffers.pointers[..4].copy_from_slice(&[0x1040, 0x1000, 0x3000, 0x5000]);
        buffers.ends[..4].copy_from_slice(&[0x2000, 0x2000, 0x4000, 0x5010]);
        let params: Vec<&Param> = params.iter().filter(|p| is_bound(p, &buffers)).collect();
        let all = bound(&params, &buffers);
        let lens: Vec<usize> = all.iter().map(Bound::len).collect();
        assert_eq!(lens, [0x1000, 0x1000, 0x10]);
        assert_eq!([all[0].is_written, all[0].is_constant, all[2].is_constant], [true, false, true]);
        let lines: String = params.iter().map(|p| line(p, &all, &buffers)).collect();
        assert_eq!(lines, "argument 0 0 64 0 T\nargument 1 0 0 1 T\nargument 2 1 0 1 T\nargument 3 2 0 0 -\n");
    }
}

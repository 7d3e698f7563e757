//! Launches as files, so that another GPU can repeat them: `SOFT_METAL_LAUNCHES` names a folder. There, `<hash>.cu` is a library
//! in CUDA C++, and `<number>.launch` a launch of it: lines that say what it is, an empty line, then the bytes of every argument
//! before, and behind those of what the kernel may write, its bytes after.

use crate::gpu::lock;
use crate::library::SoftPipeline;
use crate::msl::{Buffers, Kind, Launch, Param, cuda, hash, put};
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

/// Bytes of a launch at most: the folder is carried to another machine.
const MOST_BYTES: usize = 1 << 18;

/// Launches of one kernel of one library, each with another grid.
const MOST_GRIDS: usize = 8;

/// Grids that were written, by library and kernel.
static WRITTEN: LazyLock<Mutex<HashMap<String, Vec<[[u32; 3]; 2]>>>> = LazyLock::new(Mutex::default);

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
    arguments: Vec<(Param, usize, usize)>,
}

/// What a launch begins with, if it is to be written.
pub fn begin(pipeline: &SoftPipeline, launch: &Launch, buffers: &Buffers) -> Option<Written> {
    let (function, library) = (pipeline.function(), pipeline.function().cuda()?);
    let arguments: Vec<_> = pipeline.params().iter().filter_map(|p| place(p, buffers)).collect();
    let total: usize = arguments.iter().map(|(_, _, len)| len).sum();
    if total > MOST_BYTES || !is_new(&format!("{library} {}", function.name), [launch.threads, launch.group]) {
        return None;
    }
    let mut header = format!("library {library}\nkernel {}\n", function.name);
    let _ = writeln!(header, "threads {:?}\ngroup {:?}", launch.threads, launch.group);
    let mut bytes = vec![];
    for (param, address, len) in &arguments {
        let (writes, element) = (u8::from(param.writes), param.element.as_deref().unwrap_or("-"));
        let _ = writeln!(header, "argument {} {len} {writes} {element}", param.index);
        bytes.extend_from_slice(memory(*address, *len));
    }
    Some(Written { header, bytes, arguments })
}

fn is_new(kernel: &str, grid: [[u32; 3]; 2]) -> bool {
    let mut written = lock(&WRITTEN);
    let grids = written.entry(kernel.into()).or_default();
    let new = grids.len() < MOST_GRIDS && !grids.contains(&grid);
    if new {
        grids.push(grid);
    }
    new
}

/// A buffer with its address and its length.
fn place(param: &Param, buffers: &Buffers) -> Option<(Param, usize, usize)> {
    let (address, end) = (buffers.pointers[param.index], buffers.ends[param.index]);
    (param.kind == Kind::Buffer && end > address).then(|| (param.clone(), address, end - address))
}

fn memory<'a>(address: usize, len: usize) -> &'a [u8] {
    // SAFETY: what is bound to a launch is there until it has run, and no other thread writes while it runs: the ordering
    // checker asks for it.
    unsafe { std::slice::from_raw_parts(address as *const u8, len) }
}

impl Written {
    /// Adds what the launch wrote, and writes the file.
    pub fn end(mut self) {
        let Some(folder) = folder() else { return };
        for (param, address, len) in &self.arguments {
            if param.writes {
                self.bytes.extend_from_slice(memory(*address, *len));
            }
        }
        let mut file = self.header.into_bytes();
        file.push(b'\n');
        file.extend(self.bytes);
        let name = format!("{:016x}.launch", hash(&file));
        put(&folder.join(name), &file).expect("SOFT_METAL_LAUNCHES can be written");
    }
}

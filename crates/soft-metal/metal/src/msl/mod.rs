//! MSL on the CPU: the preprocessor expands macros, [`rewrite`] turns what is left into C++, the system's C++ compiler
//! makes a shared object of it, and [`launch`] runs a kernel with one fiber per GPU thread.

mod build;
mod fault;
mod launch;
mod lex;
mod load;
mod params;
mod rewrite;
mod texts;
mod tokens;

pub use build::{build, hash, put};
pub use launch::{Buffers, Launch, launch};
pub use load::load;
pub use params::{Kind, Param};
pub use rewrite::{Kernel, Unit, cuda, translate};

use crate::gpu::lock;
use crate::launches;
use crate::record::{self, Mark};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// Preprocesses and rewrites a library, once in the process; the C++ compiler has only run as a preprocessor.
pub fn parse(source: &str) -> Result<Arc<Unit>, String> {
    static PARSED: LazyLock<Mutex<HashMap<String, Arc<Unit>>>> = LazyLock::new(Mutex::default);
    let mut parsed = lock(&PARSED);
    if let Some(unit) = parsed.get(source) {
        return Ok(unit.clone());
    }
    texts::keep(source);
    let expanded = build::preprocess(source)?;
    let unit = Arc::new(Unit { cuda: launches::library(source, &expanded), ..translate(&expanded) });
    record::mark(Mark::Offered, unit.kernels.keys());
    parsed.insert(source.into(), unit.clone());
    Ok(unit)
}

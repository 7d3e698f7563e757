//! MSL on the CPU: the preprocessor expands macros, [`rewrite`] turns what is left into C++, the system's C++ compiler
//! makes a shared object of it, and [`launch`] runs a kernel with one fiber per GPU thread.

mod build;
mod fault;
mod launch;
mod lex;
mod load;
mod params;
mod rewrite;
mod tokens;

pub use build::build;
pub use launch::{Launch, launch};
pub use load::load;
pub use params::{Kind, Param};
pub use rewrite::{Kernel, Unit, translate};

/// Preprocesses and rewrites a library; the C++ compiler has only run as a preprocessor.
pub fn parse(source: &str) -> Result<Unit, String> {
    Ok(translate(&build::preprocess(source)?))
}

//! Has the compiler of this system's GPU take texts of MSL, a file each, as those of kernels are compiled:
//!
//! ```text
//! cargo run --package metal-candle-kernels --features testkit --example compile_msl -- a.metal b.metal ..
//! ```
//!
//! Needs no GPU that could run them: that of a virtual machine will do.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[cfg(soft_metal)]
use soft_metal as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let refused: Vec<_> = files.iter().filter_map(|file| refusal(file)).collect();
    refused.iter().for_each(|refusal| eprintln!("{refusal}"));
    let taken = files.len() - refused.len();
    println!("{taken} of {} texts were taken", files.len());
    match refused.is_empty() && taken > 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What the compiler says against a file; nothing where it takes it.
fn refusal(file: &str) -> Option<String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return Some(format!("{file}: {error}")),
    };
    let error = compile(&text).err()?;
    Some(format!("{file}: {error}"))
}

#[cfg(any(target_vendor = "apple", soft_metal))]
fn compile(text: &str) -> Result<(), String> {
    metal_candle_kernels::compile_msl(text).map_err(|error| error.to_string())
}

#[cfg(not(any(target_vendor = "apple", soft_metal)))]
fn compile(_: &str) -> Result<(), String> {
    Err("this system has no Metal".into())
}

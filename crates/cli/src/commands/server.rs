use super::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use std::ffi::OsString;

/// Name of `mlx_lm.server`, which is refused with what to use instead
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Options of `mlx_lm.server`
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Refuses.
///
/// # Errors
/// Always: there is no server.
pub fn run(_: Args, _: &Context) -> Result<Exit> {
    Err(Error::input("server is not built: no command answers over HTTP").with_advice(
        "give llama.cpp's llama-server the GGUF file that `fuse` or `convert --save-path NAME.gguf` writes, or mlx_lm.server the \
         folder that `fuse` writes",
    ))
}

use super::Context;
use crate::error::Result;
use crate::exit::Exit;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  metal-candle completions bash > ~/.local/share/bash-completion/completions/metal-candle
  metal-candle completions zsh > \"${fpath[1]}/_metal-candle\"
  metal-candle completions fish > ~/.config/fish/completions/metal-candle.fish";

/// Print the completions of a shell
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints.
///
/// # Errors
/// When standard output does not take it.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let mut script = vec![];
    clap_complete::generate(
        args.shell,
        &mut (context.command_line)(),
        "metal-candle",
        &mut script,
    );
    context.terminal.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

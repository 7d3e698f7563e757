//! The command line as a whole; each command's options are in its own module.

use crate::commands::{Command, train};
use crate::error::Result;
use crate::exit;
use clap::Parser;
use std::ffi::OsString;
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  metal-candle quickstart
  metal-candle train --model Qwen/Qwen3-0.6B --data data --mask-prompt --iters 300
  metal-candle generate --model Qwen/Qwen3-0.6B --adapter-path adapters -p \"Hello\"
  metal-candle perplexity --model Qwen/Qwen3-0.6B --adapter-path adapters --data data/test.jsonl
  metal-candle fuse --model Qwen/Qwen3-0.6B --adapter-path adapters --save-path fused

A model is a folder with config.json, tokenizer.json and safetensors, or a Hugging Face id, which
is downloaded once (HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are honoured).";

/// Fine-tune language models with LoRA and use the adapters, on candle
#[derive(Parser, Debug)]
#[command(name = "metal-candle", version, args_override_self = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::TABLE))]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Tell more on standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Cli {
    /// Reads the command line. Ends the process when it cannot be read, or when help was asked
    /// for.
    pub fn from_command_line() -> Self {
        Self::parse()
    }

    /// Adds what the configuration file says that the command line names.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn with_config(self) -> Result<Self> {
        match &self.command {
            Command::Train(train::Args {
                config: Some(path), ..
            }) => {
                let words = std::env::args_os().collect();
                Ok(Self::parse_from(with_config(words, path)?))
            }
            _ => Ok(self),
        }
    }
}

/// Puts the options of a configuration file before those of the command line, which so win.
fn with_config(mut words: Vec<OsString>, path: &Path) -> Result<Vec<OsString>> {
    let options = train::config_file::read(path)?;
    // No option before the command takes a value: the first such word is the command.
    let command = words.iter().position(|word| word == "train").unwrap_or(0);
    words.splice(
        command + 1..command + 1,
        options.into_iter().map(OsString::from),
    );
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_options_are_consistent() {
        Cli::command().debug_assert();
    }
}

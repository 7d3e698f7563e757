//! The command line as a whole; each command's options are in its own module.

use crate::command_line::{message, parse, words};
use crate::commands::train::Compat;
use crate::commands::train::config_file::ConfigFile;
use crate::commands::{Command, train};
use crate::error::{Error, Result};
use crate::exit;
use crate::mlx;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  metal-candle quickstart
  metal-candle train --model Qwen/Qwen3-0.6B --data data --mask-prompt --iters 300
  metal-candle verify --model Qwen/Qwen3-0.6B --adapter-path adapters --data data/valid.jsonl
  metal-candle generate --model Qwen/Qwen3-0.6B --adapter-path adapters -p \"Hello\"
  metal-candle perplexity --model Qwen/Qwen3-0.6B --adapter-path adapters --data data/test.jsonl
  metal-candle fuse --model Qwen/Qwen3-0.6B --adapter-path adapters --save-path fused

A model is a folder with config.json, tokenizer.json and safetensors, a GGUF file, or a Hugging
Face id, which is downloaded once (HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are honoured).";

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
    /// Tell results, warnings and errors only: no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

impl Cli {
    /// Adds what the configuration file says that the command line names, and mlx-lm's defaults where they are to hold.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn with_config(self) -> Result<Self> {
        let Command::Train(args) = &self.command else {
            return Ok(self);
        };
        let file = match &args.config {
            Some(path) => read_alone(path)?,
            None => ConfigFile::default(),
        };
        let words = words::<Self>();
        let cli: Self = parse(with_options(words.clone(), file.options.clone()))?;
        let Command::Train(args) = &cli.command else {
            return Ok(cli);
        };
        file.tell(args);
        if args.wanted_compat(file.is_mlx) != Compat::Mlx {
            return Ok(cli);
        }
        let mut options = mlx::default_options();
        options.push("--compat=mlx".into());
        parse(with_options(words, [options, file.options].concat()))
    }
}

/// Reads a configuration file whose options are right without the command line.
fn read_alone(path: &Path) -> Result<ConfigFile> {
    let file = train::config_file::read(path)?;
    check_alone(&file.options, path)?;
    Ok(file)
}

/// Checks the options that a configuration file stands for before the command line covers them: its mistakes are told
/// with its name.
fn check_alone(options: &[String], path: &Path) -> Result<()> {
    let command = ["metal-candle", "train", "--config=FILE"].map(String::from);
    match Cli::try_parse_from(command.iter().chain(options)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::input(format!(
            "{}: {}",
            path.display(),
            message(&error)
        ))),
    }
}

/// Puts `options` before those of the command line, which so win.
fn with_options(mut words: Vec<OsString>, options: Vec<String>) -> Vec<OsString> {
    // No option before the command takes a value: the first such word is the command.
    let commands = Cli::command();
    let is_command = |word: &OsString| commands.find_subcommand(word).is_some();
    let command = words.iter().skip(1).position(is_command).unwrap_or(0) + 1;
    words.splice(
        command + 1..command + 1,
        options.into_iter().map(OsString::from),
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::dashes;
    use clap::error::ErrorKind;

    #[test]
    fn the_options_are_consistent() {
        Cli::command().debug_assert();
    }

    fn joined(words: &str) -> Vec<String> {
        let words = words.split(' ').map(OsString::from);
        let joined = dashes::joined(words, Cli::command()).into_iter();
        joined.map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn values_may_begin_with_a_dash() {
        let cases = [
            (
                "m train --learning-rate -1 --rank -inf",
                "m train --learning-rate=-1 --rank=-inf",
            ),
            ("m train -c -5.yaml --seed 1", "m train -c=-5.yaml --seed 1"),
            ("m generate -p - --stop ---", "m generate -p=- --stop=---"),
            // A value that was forgotten is told.
            ("m train --model --data x", "m train --model --data x"),
            ("m train --model -c x", "m train --model -c x"),
            ("m generate --model -vv -p x", "m generate --model -vv -p x"),
            // A name of a command is a value.
            (
                "m train --model generate --rank -1",
                "m train --model generate --rank=-1",
            ),
            ("m train --mask-prompt -1", "m train --mask-prompt -1"),
        ];
        for (words, expected) in cases {
            assert_eq!(joined(words).join(" "), expected);
        }
    }

    /// Every command with its path.
    fn commands(command: &clap::Command, path: Vec<String>) -> Vec<(Vec<String>, clap::Command)> {
        let deeper = command.get_subcommands().flat_map(|sub| {
            let path = path.iter().cloned().chain([sub.get_name().to_string()]);
            commands(sub, path.collect())
        });
        let deeper: Vec<_> = deeper.collect();
        deeper
            .into_iter()
            .chain([(path, command.clone())])
            .collect()
    }

    #[test]
    fn every_option_says_what_is_wrong_with_a_value_that_begins_with_a_dash() {
        let mut command = Cli::command();
        command.build();
        let mut n_options = 0;
        for (path, command) in commands(&command, vec!["metal-candle".into()]) {
            let valued = command.get_arguments().filter(|arg| {
                arg.get_num_args()
                    .is_some_and(|range| range.min_values() > 0)
            });
            for (long, value) in valued.filter_map(clap::Arg::get_long).flat_map(|long| {
                ["-1", "-0.5", "-nan", "-1e39", "- text"].map(|value| (long, value))
            }) {
                let option = format!("--{long}");
                let words = path.iter().cloned().chain([option.clone(), value.into()]);
                let words = dashes::joined(words.map(OsString::from), Cli::command());
                let Err(error) = Cli::try_parse_from(words) else {
                    continue;
                };
                n_options += 1;
                // The value was taken, and something else is missing.
                let is_taken = matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                );
                assert!(
                    is_taken
                        || (error.kind() != ErrorKind::UnknownArgument
                            && message(&error).contains(&option)),
                    "{path:?} {option} {value}: {error}"
                );
            }
        }
        assert!(n_options > 100, "{n_options}");
    }

    #[test]
    fn numbers_are_checked_where_they_are_read() {
        let says = |words: &str, expected: &str| {
            let words = format!("m train --model m --data d {words}");
            let words = dashes::joined(words.split(' ').map(OsString::from), Cli::command());
            let error = Cli::try_parse_from(words).err();
            let message = error.map(|error| message(&error)).unwrap_or_default();
            let option = expected.split(' ').next().unwrap_or_default();
            assert!(
                message.contains(option) && message.contains("must be")
                    || message.contains("expected"),
                "{words:?}: {message}",
                words = expected
            );
        };
        for wrong in ["-1", "nan", "inf", "x"] {
            for option in [
                "--learning-rate",
                "--min-lr",
                "--weight-decay",
                "--eps",
                "--max-grad-norm",
            ] {
                says(&format!("{option} {wrong}"), option);
            }
        }
        for wrong in ["1e39", "1e308", "1e-320"] {
            says(&format!("--max-grad-norm {wrong}"), "--max-grad-norm");
        }
        says("--eps 0", "--eps");
        for wrong in ["-0.5", "1", "1.0", "nan", "inf", "0.99999999999"] {
            says(&format!("--dropout {wrong}"), "--dropout");
        }
        for wrong in ["-1", "18446744073709551615", "18446744073709551616", "1.5"] {
            for option in [
                "--warmup-steps",
                "--lr-decay-steps",
                "--iters",
                "--steps-per-report",
                "--steps-per-eval",
                "--save-every",
                "--batch-size",
                "--grad-accumulation-steps",
                "--max-seq-length",
                "--rank",
            ] {
                says(&format!("{option} {wrong}"), option);
            }
        }
        for wrong in [
            "1,1",
            "nan,0",
            "0.9",
            "0.9,-1",
            "0.9,0.999999999999",
            "a,b",
            "",
        ] {
            says(&format!("--betas {wrong}"), "--betas");
        }
        says("--val-batches -2", "--val-batches");
        says("--val-batches 18446744073709551615", "--val-batches");
        says("--seed -1", "--seed");
    }
}

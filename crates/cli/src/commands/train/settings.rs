//! From the command's options to the library's.

use super::args::{Args, Count, FineTuneType};
use crate::error::{Error, Result};
use metal_candle::lora::Method;
use metal_candle::models::Config;
use metal_candle::train::Options;
use std::path::Path;

/// Rows are cut here where nothing is said and the model has room, as mlx-lm does.
pub const DEFAULT_MAX_SEQ_LENGTH: usize = 2048;

impl Args {
    /// Refuses what is not built, and what makes no sense together.
    ///
    /// # Errors
    /// With the option.
    pub fn check(&self) -> Result<()> {
        self.optimizer.rule()?;
        if !self.trains() && !self.test {
            return Err(
                Error::input("there is nothing to do: neither to train nor to test").with_advice(
                    "leave --train=false (train: false) out, or add --test (test: true)",
                ),
            );
        }
        match self.fine_tune_type {
            FineTuneType::Full => self.check_full(),
            _ => Ok(()),
        }
    }

    fn check_full(&self) -> Result<()> {
        let full = "--fine-tune-type full trains all weights";
        if self.resume_adapter_file.is_some() {
            return Err(Error::input(format!("--resume-adapter-file: {full}"))
                .with_advice("to go on with a checkpoint, name its folder with --model"));
        }
        match self.adapter.given().first() {
            Some(option) if self.adapter.num_layers != Some(-1) => {
                Err(Error::input(format!("{option}: {full}"))
                    .with_advice("leave the options of adapters out"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a model is trained, and not only tested.
    pub fn trains(&self) -> bool {
        self.train.unwrap_or(!self.test)
    }

    /// The model's name.
    ///
    /// # Errors
    /// When neither the command line nor the configuration file gives it.
    pub fn model(&self) -> Result<&str> {
        self.model.as_deref().ok_or_else(|| missing("model"))
    }

    /// The folder of the data.
    ///
    /// # Errors
    /// When it is not given, or is no folder.
    pub fn data(&self) -> Result<&Path> {
        let path = self.data.as_deref().ok_or_else(|| missing("data"))?;
        match path.is_dir() {
            true => Ok(path),
            false => Err(Error::input(format!(
                "--data {}: this folder does not exist",
                path.display()
            ))
            .with_advice(
                "name a folder with train.jsonl and, if wanted, valid.jsonl and test.jsonl",
            )),
        }
    }

    /// Whether the loss on other rows is watched.
    pub fn validates(&self) -> bool {
        self.reports.val_batches != Count::UpTo(0)
    }

    /// Settings of the run, which goes on after `done` steps.
    ///
    /// # Errors
    /// When the optimizer has no such setting.
    pub fn options(&self, done: usize) -> Result<Options> {
        Ok(Options {
            iters: self.optimizer.iters,
            batch_size: self.rows.batch_size.get(),
            grad_accumulation_steps: self.rows.grad_accumulation_steps.get(),
            schedule: self.optimizer.schedule(done),
            rule: self.optimizer.rule()?,
            max_grad_norm: self.optimizer.max_grad_norm,
            grad_checkpoint: self.rows.grad_checkpoint,
            steps_per_report: self.reports.steps_per_report,
            steps_per_eval: self.reports.steps_per_eval,
            val_batches: self.reports.val_batches.limit(),
            save_every: self.reports.save_every,
            seed: self.seed,
        })
    }
}

impl FineTuneType {
    /// What a fresh adapter does.
    pub fn method(self) -> Method {
        match self {
            Self::Dora => Method::Dora,
            Self::Lora | Self::Full => Method::Lora,
        }
    }
}

impl Count {
    /// `None` for all.
    pub fn limit(self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::UpTo(n) => Some(n),
        }
    }
}

/// The longest row: what was asked for, or a length that the model can take.
///
/// # Errors
/// When more was asked for than the model can take.
pub fn max_seq_length(asked: Option<usize>, config: &Config) -> Result<usize> {
    let limit = config.max_position_embeddings;
    match asked {
        None => Ok(DEFAULT_MAX_SEQ_LENGTH.min(limit)),
        Some(asked) if asked <= limit => Ok(asked),
        Some(asked) => Err(Error::input(format!(
            "--max-seq-length {asked} is over the model's max_position_embeddings of {limit}"
        ))
        .with_advice(format!("use --max-seq-length {limit} or less"))),
    }
}

fn missing(name: &str) -> Error {
    Error::input(format!("--{name} is missing")).with_advice(format!(
        "give --{name}, or {name}: in the configuration file"
    ))
}

//! The library's options from the command's.

use super::args::{Args, Count, FineTuneType};
use crate::error::{Error, Result};
use crate::loading;
use metal_candle::fine_tune::{RowSettings, Settings, Subject};
use metal_candle::lora::Method;
use metal_candle::train::Options;
use std::path::Path;

impl Args {
    /// Refuses what is not built, and what makes no sense together.
    ///
    /// # Errors
    /// With the option.
    pub fn check(&self) -> Result<()> {
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
        if self.optimizer.loraplus_lr_ratio.is_some() {
            return Err(
                Error::input(format!("--loraplus-lr-ratio: {full}")).with_advice("leave it out")
            );
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

    /// Settings of the run.
    ///
    /// # Errors
    /// When the data or an adapter to go on with is not there.
    pub fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            model: self.model()?.into(),
            on_load: self.weights.on_load(),
            rows: RowSettings {
                folder: self.data()?.into(),
                mask_prompt: self.rows.mask_prompt,
                max_seq_length: self.rows.max_seq_length,
                arrangement: self.rows.arrangement(),
            },
            output: self.adapter_path.clone(),
            overwrite: self.overwrite,
            subject: self.subject()?,
            tests: self.test,
            lr_decay_steps: self.optimizer.lr_decay_steps,
            warmup_ratio: self.optimizer.warmup_ratio,
            loraplus_lr_ratio: self.optimizer.loraplus_lr_ratio,
            options: self.options()?,
        })
    }

    fn subject(&self) -> Result<Subject> {
        let method = self.fine_tune_type.method();
        Ok(match (method, &self.resume_adapter_file) {
            (None, _) => Subject::AllWeights,
            (Some(method), None) => {
                let mut config = self.adapter.config();
                config.method = method;
                let blocks = self.adapter.blocks();
                Subject::Fresh { config, blocks }
            }
            (Some(method), Some(path)) => {
                loading::check_adapter(path)?;
                Subject::Resumed {
                    path: path.clone(),
                    // LoRA is what is trained where nothing is said.
                    method: (method != Method::Lora).then_some(method),
                    dropout: self.adapter.dropout,
                }
            }
        })
    }

    fn options(&self) -> Result<Options> {
        Ok(Options {
            iters: self.optimizer.iters,
            batch_size: self.rows.batch_size.get(),
            grad_accumulation_steps: self.rows.grad_accumulation_steps.get(),
            schedule: self.optimizer.schedule(),
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
    /// Method of the adapters; `None` where all weights are trained.
    fn method(self) -> Option<Method> {
        match self {
            Self::Lora => Some(Method::Lora),
            Self::Dora => Some(Method::Dora),
            Self::Full => None,
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

fn missing(name: &str) -> Error {
    Error::input(format!("--{name} is missing")).with_advice(format!(
        "give --{name}, or {name}: in the configuration file"
    ))
}

//! The library's options from the command's.

use super::args::{Args, Count, FineTuneType, ReportOptions};
use crate::error::{Error, Result};
use crate::numbers::MAX_COUNT;
use crate::terminal::Terminal;
use crate::{loading, rows};
use metal_candle::data::{Source, Splits};
use metal_candle::fine_tune::{RowSettings, Settings, Subject};
use metal_candle::lora::Method;
use metal_candle::train::{EarlyStopping, Options};

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
        if self.trains() && self.optimizer.num_epochs.is_none() {
            self.check_iters()?;
        }
        self.check_preference()?;
        self.adapter.check()?;
        match self.fine_tune_type {
            FineTuneType::Full => self.check_full(),
            FineTuneType::Adapter(_) => Ok(()),
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
        if !self.add_tokens.is_empty() {
            return Err(Error::input(format!("--add-tokens: {full}")).with_advice(
                "train an adapter, with --fine-tune-type lora, or give the model more tokens before",
            ));
        }
        if self.is_mlx() {
            self.tell_unused();
            return Ok(());
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

    /// Rows of the run.
    ///
    /// # Errors
    /// When they are not given, are not there, or cannot be downloaded.
    pub fn source(&self, terminal: &Terminal) -> Result<Source> {
        let path = self.data.as_deref().ok_or_else(|| missing("data"))?;
        rows::find(path, &self.keys, terminal)
    }

    /// Takes `--iters` from `--num-epochs`, where it is given.
    ///
    /// # Errors
    /// When that is too much.
    pub fn count_steps(&mut self, splits: &Splits) -> Result<()> {
        let Some(epochs) = self.optimizer.num_epochs else {
            return Ok(());
        };
        let (size, times) = (self.rows.batch_size, self.rows.grad_accumulation_steps);
        let iters = match self.is_mlx() {
            true => splits.mlx_batches(epochs, size).max(times.get()),
            false => splits.steps(epochs, size.get().saturating_mul(times.get())),
        };
        if iters > MAX_COUNT {
            return Err(Error::input(format!(
                "--num-epochs {epochs}: {iters} steps are over the limit of {MAX_COUNT}"
            )));
        }
        self.optimizer.iters = iters;
        self.check_iters()
    }

    /// Settings of the run.
    ///
    /// # Errors
    /// When an adapter to go on with is not there.
    pub fn settings(&self, source: Source) -> Result<Settings> {
        Ok(Settings {
            model: self.model()?.into(),
            on_load: self.weights.on_load(),
            activations: self.weights.activations.dtype(),
            rows: RowSettings {
                source,
                valid_split: self.rows.valid_split,
                mask_prompt: self.rows.mask_prompt || self.preference.masks_prompt(),
                convention: self.preference.convention(self.convention()),
                max_seq_length: self.rows.max_seq_length,
                arrangement: self.arrangement().0,
            },
            output: self.adapter_path.clone(),
            overwrite: self.overwrite,
            subject: self.subject()?,
            tests: self.test,
            lr_decay_steps: self.optimizer.lr_decay_steps,
            warmup_ratio: self.optimizer.warmup_ratio,
            loraplus_lr_ratio: self.optimizer.loraplus_lr_ratio,
            all_decay: self.is_mlx(),
            eval_share: self.reports.steps_per_eval.share(),
            save_share: self.reports.save_every.share(),
            options: self.options()?,
        })
    }

    fn subject(&self) -> Result<Subject> {
        let method = self.fine_tune_type.method();
        Ok(match (method, &self.resume_adapter_file) {
            (None, _) if self.is_mlx() => Subject::Blocks(self.fresh_adapter().blocks()),
            (None, _) => Subject::AllWeights,
            (Some(method), None) => {
                let adapter = self.fresh_adapter();
                let mut config = adapter.config();
                config.method = method;
                let blocks = adapter.blocks();
                Subject::Fresh {
                    config: Box::new(config),
                    blocks,
                    add_tokens: self.add_tokens.clone(),
                }
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

    /// Settings of the steps.
    ///
    /// # Errors
    /// When those of the optimizer cannot be used.
    pub fn options(&self) -> Result<Options> {
        Ok(Options {
            iters: self.steps(),
            batch_size: self.rows.batch_size.get(),
            grad_accumulation_steps: self.rows.grad_accumulation_steps.get(),
            schedule: self.schedule(),
            objective: self.preference.objective(),
            weighting: self.weighting(),
            rule: self.rule()?,
            max_grad_norm: self.optimizer.max_grad_norm,
            neftune_noise_alpha: self.rows.neftune_noise_alpha,
            grad_checkpoint: self.rows.grad_checkpoint,
            steps_per_report: self.steps_between(self.reports.steps_per_report),
            steps_per_eval: self.steps_between(self.reports.steps_per_eval.count()),
            val_batches: self.reports.val_batches.limit(),
            save_every: self.steps_between(self.reports.save_every.count()),
            save_total_limit: self.reports.save_total_limit,
            keep_best: self.reports.load_best_model_at_end,
            early_stopping: self.reports.early_stopping(),
            seed: self.seed,
        })
    }
}

impl ReportOptions {
    /// Refuses to follow a validation loss that nothing measures.
    ///
    /// # Errors
    /// With the option that asks for it.
    pub(super) fn check_followed(&self, has_rows: bool) -> Result<()> {
        let asked = [
            (
                "--early-stopping-patience",
                self.early_stopping_patience.is_some(),
            ),
            ("--load-best-model-at-end", self.load_best_model_at_end),
        ];
        let Some((option, _)) = asked.into_iter().find(|(_, is_given)| *is_given) else {
            return Ok(());
        };
        let (what, advice) = match self.val_batches.limit() {
            Some(0) => ("evaluations", "leave --val-batches 0 out"),
            _ if !has_rows => (
                "rows to watch the loss on",
                "add valid.jsonl to the data, or hold some rows out with --valid-split 0.05",
            ),
            _ => return Ok(()),
        };
        Err(Error::input(format!("{option}: there are no {what}")).with_advice(advice))
    }

    fn early_stopping(&self) -> Option<EarlyStopping> {
        let threshold = self.early_stopping_threshold;
        let patience = self.early_stopping_patience?;
        Some(EarlyStopping {
            patience,
            threshold,
        })
    }
}

impl FineTuneType {
    /// Method of the adapters; `None` where all weights are trained.
    fn method(self) -> Option<Method> {
        match self {
            Self::Adapter(method) => Some(method),
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

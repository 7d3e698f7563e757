use super::{RowSettings, Subject};
use crate::data::{Convention, Dataset, Split, Splits};
use crate::layout::Arrangement;
use crate::lora::Init;
use crate::models::OnLoad;
use crate::train::{Decay, Options, Output, Preference, Warmup};
use candle_core::DType;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Settings that may differ from part to part of a run without changing what is trained.
const FREE: [&str; 4] = ["iters", "version", "grad_checkpoint", "add_tokens"];

/// Settings of a fine-tuning.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the model, as the adapter's files and `run.json` have it.
    pub model: String,
    /// Packing of its dense matrices while they are read.
    pub on_load: Option<OnLoad>,
    /// Dtype of activations ([`Decoder::set_activations`](crate::models::Decoder::set_activations)).
    pub activations: DType,
    /// The rows.
    pub rows: RowSettings,
    /// Folder of the run.
    pub output: PathBuf,
    /// Whether what another run saved in that folder is replaced.
    pub overwrite: bool,
    /// The part of the model that is trained.
    pub subject: Subject,
    /// Whether `test.jsonl` is read as well.
    pub tests: bool,
    /// Steps of a schedule with an end, after the warm-up; `None`: all that the run has left. The step behind them is the
    /// first with the rate of the end, as in transformers.
    pub lr_decay_steps: Option<usize>,
    /// Share of all steps that the warm-up takes; `None`: what `options` says.
    pub warmup_ratio: Option<f64>,
    /// Factor of the learning rate of every adapter's `B`, and of DoRA's magnitudes (LoRA+).
    pub loraplus_lr_ratio: Option<f64>,
    /// Whether biases and the weights of norms decay as all others do, as in mlx-lm; in transformers they do not.
    pub all_decay: bool,
    /// Share of the run's steps between evaluations; `None`: what `options` says.
    pub eval_share: Option<f64>,
    /// Share of the run's steps between saves; `None`: what `options` says.
    pub save_share: Option<f64>,
    /// Settings of the steps, but for the schedule's end.
    pub options: Options,
}

impl Settings {
    /// The splits that a run reads.
    pub(super) fn wanted(&self) -> Vec<Split> {
        let validates = self.options.val_batches != Some(0);
        let mut wanted = vec![Split::Train];
        wanted.extend(validates.then_some(Split::Valid));
        wanted.extend(self.tests.then_some(Split::Test));
        wanted
    }

    /// Settings of the steps of a run that goes on after `done` of them.
    pub(super) fn options_after(&self, done: usize) -> Options {
        let mut options = self.options.clone();
        let steps = |share: f64| share_of(options.iters, share);
        let (eval, save) = (self.eval_share.map(steps), self.save_share.map(steps));
        options.steps_per_eval = eval.unwrap_or(options.steps_per_eval);
        options.save_every = save.unwrap_or(options.save_every);
        let (total, schedule) = (done + options.iters, &mut options.schedule);
        if let Some(ratio) = self.warmup_ratio {
            let steps = (ratio * total as f64).round() as usize;
            schedule.warmup = Warmup::over(steps, schedule.peak);
        }
        let rest = total.saturating_sub(schedule.warmup.steps).max(1);
        schedule.decay = schedule.decay.over(self.lr_decay_steps.unwrap_or(rest));
        options
    }

    /// Everything that decides what is trained, in mlx-lm's names, as `run.json` keeps it beside every
    /// checkpoint. The adapter's other settings are in `adapter_config.json`. `before` is what the run that is gone on with
    /// has kept.
    pub(super) fn record(&self, splits: &Splits, output: &Output, before: Option<&Value>) -> Value {
        let (rows, options) = (&self.rows, &self.options);
        let train = splits.train.as_ref();
        let (fine_tune_type, dropout, num_layers) = match output {
            Output::Adapter { config, .. } => {
                let (name, layers) = (config.method.name(), config.layers_to_transform.as_ref());
                (name, Some(config.dropout), layers.map(Vec::len))
            }
            Output::Checkpoint { .. } => ("full", None, self.subject.n_blocks()),
        };
        // In mlx-lm's words -1 is all.
        let num_layers = num_layers.map_or(json!(-1), |n| json!(n));
        let (init, eva_rho) = beginning(output, before);
        let preference = options.objective.preference();
        let dpo = match preference {
            Some(Preference::Dpo(dpo)) => Some(dpo),
            _ => None,
        };
        let mut record = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": self.model,
            "load_in_4bit": self.on_load.map(OnLoad::name),
            "activations": (self.activations != DType::F32).then(|| self.activations.as_str()),
            "data": rows.source.name(),
            "valid_split": rows.valid_split,
            "train_rows": train.map(|train| train.examples.len()),
            "train_tokens": train.map(Dataset::trained_tokens),
            "fine_tune_type": fine_tune_type,
            "num_layers": num_layers,
            "train_mode": preference.map_or("sft", Preference::name),
            "beta": preference.map(Preference::beta),
            "loss_type": dpo.map(|dpo| dpo.loss_type.name()),
            "label_smoothing": dpo.map(|dpo| dpo.label_smoothing),
            "seed": options.seed,
            "compat": (rows.convention == Convention::MlxLm).then_some("mlx"),
            "mask_prompt": rows.mask_prompt,
            "max_seq_length": rows.max_seq_length,
            "batch_size": options.batch_size,
            "grad_accumulation_steps": options.grad_accumulation_steps,
            "packing": rows.arrangement == Arrangement::Packed,
            "grad_checkpoint": options.grad_checkpoint,
            "iters": options.iters,
            "max_grad_norm": options.max_grad_norm,
            "dropout": dropout,
            "init_lora_weights": init,
            "eva_rho": eva_rho,
            "add_tokens": self.subject.added_tokens(),
            "neftune_noise_alpha": options.neftune_noise_alpha,
        });
        if let (Value::Object(record), Value::Object(rates)) = (&mut record, self.rates()) {
            record.extend(rates);
        }
        record
    }

    /// The part of the record that decides how far a step goes.
    fn rates(&self) -> Value {
        let options = &self.options;
        let (min_lr, decay_rate, step_size) = match options.schedule.decay {
            Decay::Constant => (None, None, None),
            Decay::Linear { end, .. } | Decay::Cosine { end, .. } => (Some(end), None, None),
            Decay::Exponential { factor } => (None, Some(factor), None),
            Decay::Steps { factor, every } => (None, Some(factor), Some(every)),
        };
        json!({
            "optimizer": options.rule.name(),
            "optimizer_config": options.rule,
            "loraplus_lr_ratio": self.loraplus_lr_ratio,
            "all_decay": self.all_decay,
            "learning_rate": options.schedule.peak,
            "lr_schedule": options.schedule.decay.name(),
            "warmup_steps": options.schedule.warmup.rise,
            "warmup_ratio": self.warmup_ratio,
            "warmup_init": options.schedule.warmup.from,
            "min_lr": min_lr,
            "lr_decay_rate": decay_rate,
            "lr_step_size": step_size,
            "lr_decay_steps": self.lr_decay_steps,
        })
    }
}

/// Name of how the factors began, and EVA's `rho`. The files of an adapter that began by EVA do not tell.
fn beginning(output: &Output, before: Option<&Value>) -> (Value, Value) {
    let Output::Adapter { config, .. } = output else {
        return (Value::Null, Value::Null);
    };
    let name = config.init.name();
    match before.filter(|before| before["init_lora_weights"] == Init::Eva.name()) {
        _ if config.init == Init::Eva => (json!(name), json!(config.eva.rho)),
        Some(before) => (
            before["init_lora_weights"].clone(),
            before["eva_rho"].clone(),
        ),
        None => (json!(name), Value::Null),
    }
}

/// Steps of a share of `iters`, of which part of one counts as one, as in transformers.
fn share_of(iters: usize, share: f64) -> usize {
    // A product that rounding leaves a little above a whole number is that number.
    ((share * iters as f64 - 1e-9).ceil() as usize).max(1)
}

/// Settings in `now` that are others than `before`, each as `name old -> new`.
pub(super) fn differences(before: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let differing = now.iter().filter_map(|(name, value)| {
        let old = before.get(name)?;
        let is_told = old != value && !FREE.contains(&name.as_str());
        is_told.then(|| format!("{name} {old} -> {value}"))
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole numbers are those of transformers' `math.ceil(max_steps * eval_steps)`, but for 100 * 0.07, which is
    /// 7.000000000000001 there.
    #[test]
    fn shares_are_of_all_steps() {
        for (share, iters, expected) in [
            (0.1, 100, 10),
            (0.07, 100, 7),
            (0.25, 10, 3),
            (0.001, 10, 1),
            (1e-3, 5000, 5),
        ] {
            assert_eq!(share_of(iters, share), expected, "{share} of {iters}");
        }
    }

    #[test]
    fn differences_that_change_the_run_are_named() {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let before = object(json!({"seed": 0, "iters": 4, "learning_rate": 1e-4}));
        let now = object(json!({"seed": 1, "iters": 8, "learning_rate": 1e-4, "new": true}));
        assert_eq!(differences(&before, &now), ["seed 0 -> 1"]);
    }
}

//! Updates of parameters, and how fast they go.

use crate::error::{Error, Result};
use crate::numbers::{
    at_least_one, count, epochs, not_negative, rate, rate_above_zero, share_below_one,
};
use clap::ValueEnum;
use metal_candle::train::{Adafactor, Adam, Adam8bit, Decay, Muon, Rule, Schedule, Sgd, Warmup};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Updates of parameters.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Optimizer")]
pub struct OptimizerOptions {
    /// Optimizer steps (not batches: a step takes --grad-accumulation-steps of them)
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one, overrides_with = "num_epochs")]
    pub iters: usize,
    /// Passes over the rows to train on, in place of --iters; of the two the last one counts
    #[arg(long, value_name = "X", value_parser = epochs, overrides_with = "iters")]
    pub num_epochs: Option<f64>,
    /// Learning rate after the warm-up; ten times mlx-lm's 1e-5, which is low for adapters
    #[arg(long, value_name = "X", default_value = "1e-4", value_parser = rate)]
    pub learning_rate: f64,
    /// How the learning rate goes on after the warm-up
    #[arg(long, value_name = "SCHEDULE", default_value = "constant")]
    pub lr_schedule: LrSchedule,
    /// Steps over which the learning rate rises
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count)]
    pub warmup_steps: usize,
    /// Steps over which the learning rate rises as a share of all steps
    #[arg(long, value_name = "P", conflicts_with = "warmup_steps", value_parser = share_below_one)]
    pub warmup_ratio: Option<f64>,
    /// Learning rate of the first step of a warm-up [default: its share of the rise]
    #[arg(long, value_name = "X", value_parser = rate)]
    pub warmup_init: Option<f64>,
    /// Learning rate of a linear or cosine schedule behind its last step
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = rate)]
    pub min_lr: f64,
    /// Steps of a linear or cosine schedule after the warm-up [default: all; the step behind the last would have --min-lr]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub lr_decay_steps: Option<usize>,
    /// Factor of an exponential or step schedule
    #[arg(long, value_name = "X", default_value_t = 0.9, value_parser = rate)]
    pub lr_decay_rate: f64,
    /// Steps between the factors of a step schedule
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    pub lr_step_size: usize,
    /// Rule by which parameters follow their gradients; adamw_8bit keeps what adamw does in a quarter of the memory
    #[arg(long, value_name = "NAME", default_value = "adamw")]
    pub optimizer: OptimizerName,
    /// Settings by optimizer as JSON, with mlx-lm's keys: {"sgd": {"momentum": 0.9}}; given again, it adds to them
    #[arg(long, value_name = "JSON", value_parser = parse_settings)]
    pub optimizer_config: Vec<Map<String, Value>>,
    /// Weight decay [default: 0.01 of adamw, adamw_8bit and muon, else 0]
    #[arg(long, value_name = "X", value_parser = rate)]
    pub weight_decay: Option<f64>,
    /// Decay rates of Adam's first and second moment [default: 0.9,0.999]
    #[arg(long, value_name = "B1,B2", value_parser = parse_betas)]
    pub betas: Option<Betas>,
    /// Added to the root of Adam's second moment [default: 1e-8]
    #[arg(long, value_name = "X", value_parser = rate_above_zero)]
    pub eps: Option<f64>,
    /// B of every adapter on a linear layer, and DoRA's magnitudes, learn so many times as fast as A (LoRA+; 16 is usual)
    #[arg(long, value_name = "X", value_parser = rate_above_zero)]
    pub loraplus_lr_ratio: Option<f64>,
    /// Gradients are scaled down to this global norm; 0 for never
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = not_negative)]
    pub max_grad_norm: f64,
}

/// The two decay rates of Adam.
type Betas = (f64, f64);

/// The optimizers that mlx-lm knows, and one of bitsandbytes by the name that transformers has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    Adamw,
    #[value(name = "adamw_8bit", alias = "adamw8bit")]
    Adamw8bit,
    Adam,
    Muon,
    Sgd,
    Adafactor,
}

/// Course of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LrSchedule {
    Constant,
    Linear,
    Cosine,
    Exponential,
    Step,
}

impl OptimizerName {
    /// Its name, as --optimizer takes it.
    fn name(self) -> String {
        let named = self.to_possible_value();
        named.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl OptimizerOptions {
    /// The rule with its settings. Those of other rules, between which a file may be switched, are checked as well.
    ///
    /// # Errors
    /// When a rule has no such setting, or one has another kind of value.
    pub fn rule(&self) -> Result<Rule> {
        for optimizer in OptimizerName::value_variants() {
            self.rule_of(*optimizer)?;
        }
        self.rule_of(self.optimizer)
    }

    fn rule_of(&self, optimizer: OptimizerName) -> Result<Rule> {
        let plain_adam = Adam {
            weight_decay: 0.0,
            ..Adam::default()
        };
        Ok(match optimizer {
            OptimizerName::Adamw => Rule::Adam(self.settings(optimizer, Adam::default())?),
            OptimizerName::Adamw8bit => {
                Rule::Adam8bit(Adam8bit(self.settings(optimizer, Adam::default())?))
            }
            OptimizerName::Adam => Rule::Adam(self.settings(optimizer, plain_adam)?),
            OptimizerName::Muon => Rule::Muon(self.settings(optimizer, Muon::default())?),
            OptimizerName::Sgd => Rule::Sgd(self.settings(optimizer, Sgd::default())?),
            OptimizerName::Adafactor => {
                Rule::Adafactor(self.settings(optimizer, Adafactor::default())?)
            }
        })
    }

    /// Settings of a rule: defaults, those of --optimizer-config, and those that have an option.
    fn settings<T: Serialize + DeserializeOwned>(
        &self,
        optimizer: OptimizerName,
        defaults: T,
    ) -> Result<T> {
        let name = optimizer.name();
        let wrong = |reason: String| Error::input(format!("--optimizer {name}: {reason}"));
        let mut settings = match serde_json::to_value(defaults) {
            Ok(Value::Object(settings)) => settings,
            _ => Map::new(),
        };
        let known = settings.keys().cloned().collect::<Vec<_>>().join(", ");
        for (key, value) in self.given(optimizer)? {
            match settings.get_mut(&key) {
                Some(place) => *place = value,
                None => return Err(wrong(format!("no setting {key}, only {known}"))),
            }
        }
        serde_json::from_value(Value::Object(settings)).map_err(|error| wrong(error.to_string()))
    }

    /// What was said of an optimizer; options speak of the chosen one.
    fn given(&self, optimizer: OptimizerName) -> Result<Vec<(String, Value)>> {
        let name = optimizer.name();
        let mut from_config = Map::new();
        for config in &self.optimizer_config {
            match config.get(&name) {
                None | Some(Value::Null) => {}
                Some(Value::Object(settings)) => from_config.extend(settings.clone()),
                Some(other) => {
                    return Err(Error::input(format!(
                        "--optimizer-config: {name}: expected keys and values, got {other}"
                    )));
                }
            }
        }
        let options = [
            ("weight_decay", self.weight_decay.map(|x| json!(x))),
            ("betas", self.betas.map(|betas| json!(betas))),
            ("eps", self.eps.map(|x| json!(x))),
        ];
        let options = options.into_iter().filter(|_| optimizer == self.optimizer);
        let options = options.filter_map(|(key, value)| Some((key.to_string(), value?)));
        Ok(from_config.into_iter().chain(options).collect())
    }

    /// The learning rate; its end depends on where a run begins.
    pub fn schedule(&self) -> Schedule {
        let (peak, warmup) = (self.learning_rate, self.warmup_steps);
        let (end, steps) = (self.min_lr, self.iters);
        let factor = self.lr_decay_rate;
        Schedule {
            peak,
            warmup: Warmup {
                from: self.warmup_init.unwrap_or(peak / (warmup + 1) as f64),
                ..Warmup::over(warmup, peak)
            },
            decay: match self.lr_schedule {
                LrSchedule::Constant => Decay::Constant,
                LrSchedule::Linear => Decay::Linear { end, steps },
                LrSchedule::Cosine => Decay::Cosine { end, steps },
                LrSchedule::Exponential => Decay::Exponential { factor },
                LrSchedule::Step => Decay::Steps {
                    factor,
                    every: self.lr_step_size,
                },
            },
        }
    }
}

fn parse_settings(text: &str) -> std::result::Result<Map<String, Value>, String> {
    let settings: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let known = OptimizerName::value_variants();
    let is_known = |key: &str| known.iter().any(|optimizer| optimizer.name() == key);
    match settings.keys().find(|key| !is_known(key)) {
        None => Ok(settings),
        Some(key) => Err(format!("no optimizer {key}")),
    }
}

fn parse_betas(text: &str) -> std::result::Result<Betas, String> {
    let parsed = text.split_once(',').and_then(|(first, second)| {
        let rate = |text: &str| share_below_one(text.trim()).ok();
        Some((rate(first)?, rate(second)?))
    });
    parsed.ok_or("expected two numbers in [0, 1) with a comma between".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: OptimizerOptions,
    }

    fn options(words: &[&str]) -> OptimizerOptions {
        let words = [&["train"], words].concat();
        Line::try_parse_from(words).unwrap().options
    }

    #[test]
    fn a_rule_takes_its_own_settings() {
        let config =
            r#"{"sgd": {"momentum": 0.9, "nesterov": true}, "adam": {"bias_correction": false}}"#;
        let of = |name| options(&["--optimizer", name, "--optimizer-config", config]).rule();
        let sgd = Sgd {
            momentum: 0.9,
            nesterov: true,
            ..Sgd::default()
        };
        assert_eq!(of("sgd").unwrap(), Rule::Sgd(sgd));
        let adam = Adam {
            weight_decay: 0.0,
            bias_correction: false,
            ..Adam::default()
        };
        assert_eq!(of("adam").unwrap(), Rule::Adam(adam));
        assert_eq!(of("adamw").unwrap(), Rule::default());
        for name in ["adamw_8bit", "adamw8bit"] {
            let expected = Rule::Adam8bit(Adam8bit::default());
            assert_eq!(of(name).unwrap(), expected, "{name}");
        }
        assert_eq!(of("muon").unwrap(), Rule::Muon(Muon::default()));
    }

    #[test]
    fn options_win_over_the_configuration() {
        let config = r#"{"adamw": {"betas": [0.8, 0.9], "weight_decay": 0.3}}"#;
        let rule = options(&["--optimizer-config", config, "--betas", "0.7,0.8"]).rule();
        let expected = Adam {
            betas: (0.7, 0.8),
            weight_decay: 0.3,
            ..Adam::default()
        };
        assert_eq!(rule.unwrap(), Rule::Adam(expected));
    }

    #[test]
    fn settings_of_no_rule_are_refused() {
        let said = |words: &[&str]| {
            let error = options(words).rule().unwrap_err();
            error.message().to_string()
        };
        let unknown = said(&["--optimizer-config", r#"{"adamw": {"momentum": 0.9}}"#]);
        assert!(
            unknown.contains("no setting momentum") && unknown.contains("betas"),
            "{unknown}"
        );
        let eps = said(&["--optimizer", "sgd", "--eps", "1e-6"]);
        assert!(
            eps.contains("--optimizer sgd") && eps.contains("eps"),
            "{eps}"
        );
        let kind = said(&["--optimizer-config", r#"{"adamw": {"eps": "small"}}"#]);
        assert!(kind.contains("small"), "{kind}");
        for config in ["{", r#"{"lion": {}}"#, "[]"] {
            let words = ["train", "--optimizer-config", config];
            assert!(Line::try_parse_from(words).is_err(), "{config}");
        }
    }
}

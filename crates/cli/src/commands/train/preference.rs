//! Options of learning from preferences. The names are those of mlx-lm-lora (`--train-mode`) and TRL.

use super::args::{Args, FineTuneType};
use crate::error::{Error, Result};
use crate::numbers::{positive, share_below_one};
use crate::terminal::Terminal;
use clap::ValueEnum;
use metal_candle::data::Convention;
use metal_candle::fine_tune::Prepared;
use metal_candle::train::{Dpo, DpoLoss, Objective, Orpo, Preference};

/// Factor of log ratios or odds where nothing is said, as in TRL.
const BETA: f64 = 0.1;

/// Options of what is learnt, and how.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Preferences")]
pub struct PreferenceOptions {
    /// What is learnt: rows as they are (sft), or which of two completions is the better one (dpo, orpo), from rows with
    /// "prompt", "chosen" and "rejected"
    #[arg(long, value_name = "MODE", default_value = "sft")]
    pub train_mode: TrainMode,
    /// Strength of dpo's tie to the model without its adapter; weight of orpo's preference beside the likelihood
    /// [default: 0.1]
    #[arg(long, value_name = "X", value_parser = positive)]
    pub beta: Option<f64>,
    /// Loss of dpo, by TRL's names [default: sigmoid]
    #[arg(long, value_name = "LOSS")]
    pub loss_type: Option<LossType>,
    /// Probability that the two completions of a row are swapped, below 0.5; of dpo's losses sigmoid and robust
    #[arg(long, value_name = "P", value_parser = share_below_one)]
    pub label_smoothing: Option<f64>,
}

/// Mode of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TrainMode {
    Sft,
    Dpo,
    Orpo,
}

/// Loss of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LossType {
    Sigmoid,
    Robust,
    Hinge,
    Ipo,
}

impl PreferenceOptions {
    /// Loss that the run makes small.
    pub fn objective(&self) -> Objective {
        let beta = self.beta.unwrap_or(BETA);
        Objective::Preference(match self.train_mode {
            TrainMode::Sft => return Objective::Likelihood,
            TrainMode::Orpo => Preference::Orpo(Orpo { beta }),
            TrainMode::Dpo => Preference::Dpo(Dpo {
                beta,
                label_smoothing: self.label_smoothing.unwrap_or(0.0),
                loss_type: self.loss_type.map(LossType::loss).unwrap_or_default(),
            }),
        })
    }

    /// Rule by which tokens are trained, which is `of_rows` where rows are no pairs.
    pub fn convention(&self, of_rows: Convention) -> Convention {
        match self.train_mode {
            TrainMode::Sft => of_rows,
            TrainMode::Dpo | TrainMode::Orpo => Convention::Pairs,
        }
    }

    /// Whether no prompt is trained, whatever was asked for.
    pub fn masks_prompt(&self) -> bool {
        self.train_mode == TrainMode::Dpo
    }

    /// Refuses values that the library refuses, before anything is read.
    fn check(&self) -> Result<()> {
        let objective = self.objective();
        let checked = objective.preference().map(Preference::check_settings);
        let checked = checked
            .transpose()
            .map_err(|error| Error::input(error.to_string()));
        checked.map(|_| ())
    }

    fn name(&self) -> &'static str {
        match self.train_mode {
            TrainMode::Sft => "sft",
            TrainMode::Dpo => "dpo",
            TrainMode::Orpo => "orpo",
        }
    }

    /// Options that were given, and the modes that have them.
    fn given(&self) -> impl Iterator<Item = (&'static str, &'static [TrainMode])> {
        use TrainMode::{Dpo, Orpo};
        let options: [(_, _, &'static [TrainMode]); 3] = [
            ("--beta", self.beta.is_some(), &[Dpo, Orpo]),
            ("--loss-type", self.loss_type.is_some(), &[Dpo]),
            ("--label-smoothing", self.label_smoothing.is_some(), &[Dpo]),
        ];
        let given = options.into_iter().filter(|(_, is_given, _)| *is_given);
        given.map(|(name, _, modes)| (name, modes))
    }
}

impl Args {
    /// Refuses options of preferences that the mode does not have, and modes that others exclude.
    ///
    /// # Errors
    /// With the option.
    pub fn check_preference(&self) -> Result<()> {
        let (options, name) = (&self.preference, self.preference.name());
        let mut given = options.given();
        let foreign = given.find(|(_, modes)| !modes.contains(&options.train_mode));
        if let Some((option, modes)) = foreign {
            let modes = match modes.contains(&TrainMode::Orpo) {
                true => "dpo or orpo",
                false => "dpo",
            };
            return Err(
                Error::input(format!("{option}: --train-mode {name} has none"))
                    .with_advice(format!("leave it out, or choose --train-mode {modes}")),
            );
        }
        let is_full = self.fine_tune_type == FineTuneType::Full;
        match options.train_mode {
            TrainMode::Dpo if is_full => Err(Error::input(
                "--train-mode dpo: the model is compared with itself without its adapter, and --fine-tune-type full has none",
            )
            .with_advice("train an adapter, or choose --train-mode orpo, which compares with nothing")),
            TrainMode::Dpo | TrainMode::Orpo if self.is_mlx() => Err(Error::input(format!(
                "--train-mode {name}: --compat mlx is for what mlx-lm trains, and it has no preferences"
            ))
            .with_advice("add --compat none")),
            _ => options.check(),
        }
    }
}

impl LossType {
    fn loss(self) -> DpoLoss {
        match self {
            Self::Sigmoid => DpoLoss::Sigmoid,
            Self::Robust => DpoLoss::Robust,
            Self::Hinge => DpoLoss::Hinge,
            Self::Ipo => DpoLoss::Ipo,
        }
    }
}

/// Tells that an adapter of another training is not what the model is compared with.
pub fn tell_reference(prepared: &Prepared, args: &Args, terminal: &Terminal) {
    let Some(resume) = prepared.resumed() else {
        return;
    };
    let settings = resume.settings.as_ref();
    let was_dpo = settings.is_some_and(|settings| settings["train_mode"] == "dpo");
    if args.preference.train_mode == TrainMode::Dpo && !was_dpo {
        terminal.say(
            "warning: the model is compared with itself without any adapter, and not with the adapter that is gone on \
             with; to compare with that, fuse it first (metal-candle fuse) and train a fresh one",
        );
    }
}

//! The options that say what an adapter is, shared by `train` and `inspect`.

use crate::error::{Error, Result};
use crate::numbers::{at_least_one, finite, share_below_one};
use clap::ValueEnum;
use metal_candle::lora::{Eva, Init, LastBlocks, LoraConfig, Targets};

/// Rank where none is given, PEFT's and mlx-lm's.
const DEFAULT_RANK: usize = 8;

/// mlx-lm trains this many blocks where nothing is said; all, if the model has fewer.
const DEFAULT_LAYERS: usize = 16;

/// Options of an adapter. None has a default here, so that it is known which were given.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Adapter")]
pub struct AdapterOptions {
    /// Rank of the update [default: 8]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub rank: Option<usize>,
    /// The update is multiplied by alpha / rank [default: 16]
    #[arg(long, value_name = "X", overrides_with = "scale", value_parser = finite)]
    pub alpha: Option<f64>,
    /// The update is multiplied by this, whatever the rank; instead of --alpha, as in mlx-lm
    #[arg(long, value_name = "X", overrides_with = "alpha", value_parser = finite)]
    pub scale: Option<f64>,
    /// Share of an adapter's inputs that is dropped while training [default: 0]
    #[arg(long, value_name = "P", value_parser = share_below_one)]
    pub dropout: Option<f64>,
    /// Multiply by alpha / sqrt(rank) instead of alpha / rank
    #[arg(long)]
    pub rslora: bool,
    /// How the factors of LoRA begin: lora, which is at random, eva, with what the inputs of each layer vary in over some
    /// of the rows, or as a part of each weight: pissa, of its largest singular values (pissa_niter_4: found in so many
    /// rounds), or olora, of its QR decomposition [default: lora]
    #[arg(long, value_name = "NAME", value_parser = parse_init)]
    pub init_lora_weights: Option<Init>,
    /// With eva, the highest rank of a layer as a multiple of --rank: ranks move to the layers where they explain most; 1
    /// leaves them as they are [default: 2]
    #[arg(long, value_name = "X", value_parser = finite)]
    pub eva_rho: Option<f64>,
    /// Layers that carry adapters: all-linear (of the blocks), ends of names (q_proj,v_proj, also
    /// embed_tokens and lm_head), or regex:PATTERN for whole names [default: all-linear]
    #[arg(long, value_name = "TARGETS", value_parser = parse_targets)]
    pub targets: Option<Targets>,
    /// Layers of which the whole weight is trained: lm_head, embed_tokens, or both with a comma
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub modules_to_save: Vec<Module>,
    /// Number of blocks that carry adapters, counted from the last; -1 for all [default: 16]
    #[arg(long, value_name = "N")]
    pub num_layers: Option<i64>,
}

/// A layer outside the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Module {
    /// The output head.
    LmHead,
    /// The token embedding.
    EmbedTokens,
}

impl Module {
    fn name(self) -> &'static str {
        match self {
            Self::LmHead => "lm_head",
            Self::EmbedTokens => "embed_tokens",
        }
    }
}

impl AdapterOptions {
    /// Settings of an adapter, on all blocks.
    pub fn config(&self) -> LoraConfig {
        let r = self.rank.unwrap_or(DEFAULT_RANK);
        let defaults = LoraConfig::default();
        let mut config = LoraConfig {
            r,
            alpha: self.alpha.unwrap_or(defaults.alpha),
            dropout: self.dropout.unwrap_or(defaults.dropout),
            use_rslora: self.rslora,
            init: self.init_lora_weights.unwrap_or_default(),
            eva: Eva {
                rho: self.eva_rho.unwrap_or(defaults.eva.rho),
                ..defaults.eva
            },
            targets: self.targets.clone().unwrap_or(defaults.targets.clone()),
            modules_to_save: self
                .modules_to_save
                .iter()
                .map(|m| m.name().into())
                .collect(),
            ..defaults
        };
        if let Some(scale) = self.scale {
            // The alpha whose factor is `scale`.
            config.alpha = scale / config.scale(1.0, r);
        }
        config
    }

    /// These options, and those of `defaults` for what was not given.
    pub fn or(&self, defaults: &Self) -> Self {
        let has_strength = self.alpha.is_some() || self.scale.is_some();
        let strength = if has_strength { self } else { defaults };
        let given = self.clone();
        Self {
            rank: self.rank.or(defaults.rank),
            alpha: strength.alpha,
            scale: strength.scale,
            dropout: self.dropout.or(defaults.dropout),
            targets: given.targets.or(defaults.targets.clone()),
            num_layers: self.num_layers.or(defaults.num_layers),
            ..given
        }
    }

    /// Blocks that carry adapters.
    pub fn blocks(&self) -> LastBlocks {
        match self.num_layers {
            None => LastBlocks::AtMost(DEFAULT_LAYERS),
            Some(-1) => LastBlocks::All,
            Some(n) => LastBlocks::Exactly(usize::try_from(n).unwrap_or(0)),
        }
    }

    /// Refuses an option that nothing would follow.
    ///
    /// # Errors
    /// With the option.
    pub fn check(&self) -> Result<()> {
        match self.eva_rho {
            Some(rho) if self.init_lora_weights != Some(Init::Eva) => Err(Error::input(format!(
                "--eva-rho {rho}: the factors do not begin with eva"
            ))
            .with_advice("add --init-lora-weights eva, or leave it out")),
            _ => Ok(()),
        }
    }

    /// Names of the options that were given.
    pub fn given(&self) -> Vec<&'static str> {
        let options = [
            ("--rank", self.rank.is_some()),
            ("--alpha", self.alpha.is_some()),
            ("--scale", self.scale.is_some()),
            ("--dropout", self.dropout.is_some()),
            ("--rslora", self.rslora),
            ("--init-lora-weights", self.init_lora_weights.is_some()),
            ("--eva-rho", self.eva_rho.is_some()),
            ("--targets", self.targets.is_some()),
            ("--modules-to-save", !self.modules_to_save.is_empty()),
            ("--num-layers", self.num_layers.is_some()),
        ];
        let given = options.into_iter().filter(|(_, given)| *given);
        given.map(|(name, _)| name).collect()
    }
}

/// Initialisations of PEFT that are not built, and what to do instead.
const NOT_BUILT: &[(&str, &str)] = &[
    (
        "loftq",
        "loftq needs the weights as they were before they were packed; over packed weights pissa or olora begin with the most of them",
    ),
    (
        "corda",
        "corda weighs the weights by the rows' covariance; eva begins with the rows alone, pissa with the weights alone",
    ),
    (
        "lora_ga",
        "lora_ga needs a gradient of the whole weights before the training; eva needs the inputs of the layers alone",
    ),
];

fn parse_init(text: &str) -> std::result::Result<Init, String> {
    if let Some((_, instead)) = NOT_BUILT.iter().find(|(name, _)| *name == text) {
        return Err(format!("not built: {instead}"));
    }
    Init::of_name(text).ok_or_else(|| "expected lora, eva, pissa, pissa_niter_N or olora".into())
}

fn parse_targets(text: &str) -> std::result::Result<Targets, String> {
    if text == "all-linear" {
        return Ok(Targets::AllLinear);
    }
    if let Some(pattern) = text.strip_prefix("regex:") {
        return Ok(Targets::Regex(pattern.into()));
    }
    let names: Vec<String> = text
        .split(',')
        .map(|name| name.trim().to_string())
        .collect();
    match names.iter().any(String::is_empty) {
        true => Err("expected all-linear, names with commas between, or regex:PATTERN".into()),
        false => Ok(Targets::Names(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_a_direct_factor() {
        for rslora in [false, true] {
            let options = AdapterOptions {
                rank: Some(4),
                scale: Some(20.0),
                rslora,
                ..AdapterOptions::default()
            };
            let config = options.config();
            assert!((config.scale(config.alpha, 4) - 20.0).abs() < 1e-12);
        }
    }

    #[test]
    fn layers_count_from_the_last() {
        let blocks = |num_layers, n_blocks| {
            let options = AdapterOptions {
                num_layers,
                ..AdapterOptions::default()
            };
            options.blocks().of(n_blocks)
        };
        assert_eq!(blocks(None, 4).unwrap(), None);
        assert_eq!(blocks(None, 18).unwrap().unwrap()[0], 2);
        assert_eq!(blocks(Some(-1), 18).unwrap(), None);
        assert_eq!(blocks(Some(1), 3).unwrap(), Some(vec![2]));
        for wrong in [0, -2, 5] {
            assert!(blocks(Some(wrong), 4).is_err(), "{wrong}");
        }
    }

    #[test]
    fn initialisations_that_are_not_built_say_what_to_do() {
        assert_eq!(parse_init("pissa_niter_4"), Ok(Init::PissaNiter(4)));
        assert!(parse_init("loftq").unwrap_err().contains("pissa"));
        assert!(parse_init("gaussian").unwrap_err().contains("olora"));
    }

    #[test]
    fn targets_have_three_forms() {
        assert_eq!(parse_targets("all-linear"), Ok(Targets::AllLinear));
        let names = vec!["q_proj".into(), "mlp.up_proj".into()];
        assert_eq!(
            parse_targets("q_proj, mlp.up_proj"),
            Ok(Targets::Names(names))
        );
        assert_eq!(parse_targets("regex:.*q"), Ok(Targets::Regex(".*q".into())));
        assert!(parse_targets("q_proj,").is_err());
        assert!(parse_targets("").is_err());
    }
}

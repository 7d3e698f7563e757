//! Targets as PEFT writes them: it replaces "all-linear" by names, and refuses a text beside
//! `layers_to_transform`.

use super::keys;
use crate::lora::{LoraConfig, Targets};
use candle_core::Var;
use std::collections::BTreeSet;

/// `config` with targets that PEFT accepts in a file, found from the adapters that exist.
pub(super) fn for_disk(config: &LoraConfig, parameters: &[(String, Var)]) -> LoraConfig {
    let mut config = config.clone();
    match &config.targets {
        Targets::AllLinear => config.targets = names(parameters, last_name),
        Targets::Regex(_) if config.layers_to_transform.is_some() => {
            // A path says its block: nothing is left for the list of blocks to choose.
            config.targets = names(parameters, str::to_string);
            config.layers_to_transform = None;
        }
        Targets::Regex(_) | Targets::Names(_) => {}
    }
    config
}

fn names(parameters: &[(String, Var)], name: fn(&str) -> String) -> Targets {
    let paths = keys::paths(parameters);
    let names: BTreeSet<String> = paths.iter().map(|path| name(path)).collect();
    Targets::Names(names.into_iter().collect())
}

fn last_name(path: &str) -> String {
    path.rsplit('.').next().unwrap_or(path).to_string()
}

//! Targets as PEFT writes them: it replaces "all-linear" by names, and refuses a text beside
//! `layers_to_transform`.

use crate::lora::format::names::split;
use crate::lora::methods::tokens;
use crate::lora::plan::last_name;
use crate::lora::{LoraConfig, Targets};
use std::collections::BTreeSet;

/// `config` with targets that PEFT accepts in a file, found from the adapters that exist.
pub(super) fn for_disk(config: &LoraConfig, parameters: &[&str]) -> LoraConfig {
    let mut config = config.clone();
    match &config.targets {
        Targets::AllLinear => config.targets = names(parameters, |path| last_name(path).into()),
        Targets::Regex(_) if config.layers_to_transform.is_some() => {
            // A path says its block: nothing is left for the list of blocks to choose.
            config.targets = names(parameters, str::to_string);
            config.layers_to_transform = None;
        }
        Targets::Regex(_) | Targets::Names(_) => {}
    }
    config
}

fn names(parameters: &[&str], name: fn(&str) -> String) -> Targets {
    let paths = parameters.iter().filter_map(|name| split(name));
    // Rows of tokens are named by a setting of their own.
    let paths = paths.filter(|(_, part)| *part != tokens::ROWS);
    let names: BTreeSet<String> = paths.map(|(path, _)| name(path)).collect();
    Targets::Names(names.into_iter().collect())
}

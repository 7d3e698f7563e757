//! Files of a repository that make a model.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Without these there is no model.
pub const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];

/// Fetched where they exist.
const OPTIONAL: [&str; 16] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
    "LICENCE",
    "NOTICE",
    "NOTICE.txt",
    "USE_POLICY.md",
];

/// Folder of named chat templates.
const NAMED_TEMPLATES: &str = "additional_chat_templates/";

/// All weights in one file; taken where there is an index as well.
pub const SINGLE: &str = "model.safetensors";

/// The list of files that the weights are spread over.
pub const INDEX: &str = "model.safetensors.index.json";

/// Whether a file that a model can do without is fetched.
pub fn is_companion(name: &str) -> bool {
    let template = name.strip_prefix(NAMED_TEMPLATES);
    OPTIONAL.contains(&name)
        || template.is_some_and(|name| name.ends_with(".jinja") && is_file_name(name))
}

/// Whether `name`, which comes from outside, is a file in a folder on every system, and in an address: nothing that
/// leads elsewhere, and no device.
pub fn is_file_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-+,=@".contains(c);
    let stem = name.split('.').next().unwrap_or(name).to_ascii_uppercase();
    let numbered = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"));
    let is_device = ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str())
        || numbered.is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_digit()));
    let is_ordinary =
        !name.starts_with('.') && !name.ends_with('.') && (1..=200).contains(&name.len());
    is_ordinary && !is_device && name.chars().all(is_allowed)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index names, all of them in its folder.
///
/// # Errors
/// When it cannot be read, or names something else.
pub fn shards(index: &Path) -> Result<BTreeSet<String>> {
    let wrong = |reason: String| Error::input(format!("{}: {reason}", index.display()));
    let text = metal_candle::files::read_text(index)?;
    let parsed: Index = serde_json::from_str(&text).map_err(|source| wrong(source.to_string()))?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    match names
        .iter()
        .find(|name| !is_file_name(name) || !name.ends_with(".safetensors"))
    {
        Some(name) => Err(wrong(format!(
            "names no safetensors file of its folder: {name:?}"
        ))),
        None => Ok(names),
    }
}

/// Test of whether a name is that of a file of some kind.
type IsKind<'a> = &'a dyn Fn(&str) -> bool;

/// What a repository without safetensors of a model holds instead, in one sentence, and what to do.
pub fn other_kind(has: impl Fn(IsKind<'_>) -> bool) -> Option<(&'static str, &'static str)> {
    let kinds: [(IsKind<'_>, &str, &str); 5] = [
        (
            &|name| name == "adapter_config.json",
            "is an adapter, not a model",
            "fetch it into a folder for --adapter-path, and name its base model (base_model_name_or_path in its \
             adapter_config.json) with --model",
        ),
        (
            &|name| name.ends_with(".gguf"),
            "holds GGUF files, the format of llama.cpp",
            "choose the repository that they were converted from, with safetensors",
        ),
        (
            &|name| name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth"),
            "holds its weights as PyTorch pickles only (.bin)",
            "choose a model whose weights are in safetensors, or save this one anew with transformers",
        ),
        (
            &|name| name.ends_with(".npz"),
            "holds its weights in an old format of MLX (.npz)",
            "choose the repository that it was converted from, with safetensors",
        ),
        (
            &|name| name.ends_with(".safetensors"),
            "has safetensors, but none of the name model.safetensors",
            "choose a model in the layout of transformers",
        ),
    ];
    let found = kinds.into_iter().find(|(is_one, _, _)| has(is_one));
    found.map(|(_, what, advice)| (what, advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_stay_in_their_folder() {
        for good in [
            "model-00001-of-00002.safetensors",
            "a",
            "con-1.safetensors",
            "command.safetensors",
        ] {
            assert!(is_file_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "../a",
            "/a",
            "a/b",
            "a\\b",
            "C:a",
            "a\0b",
            "a\nb",
            "a b",
            ".hidden",
            "a.",
            "a%2fb",
            "a?b",
            "a#b",
            "CON",
            "nul.safetensors",
            "com1.safetensors",
            "LPT9",
            "é",
            "a\u{202e}b",
            &"a".repeat(201),
        ] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_index_names_files_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(INDEX);
        let shards = |name: &str| {
            std::fs::write(
                &path,
                serde_json::json!({"weight_map": {"a": name}}).to_string(),
            )
            .unwrap();
            shards(&path).map_err(|error| error.message().to_string())
        };
        assert!(shards("model-1.safetensors").is_ok());
        for bad in [
            "../model.safetensors",
            "/etc/passwd",
            "model.bin",
            "sub/model.safetensors",
        ] {
            assert!(
                shards(bad).unwrap_err().contains(&format!("{bad:?}")),
                "{bad}"
            );
        }
    }

    #[test]
    fn named_templates_are_companions() {
        assert!(
            is_companion("LICENSE") && is_companion("additional_chat_templates/tool_use.jinja")
        );
        for other in [
            "README.md",
            "additional_chat_templates/../x.jinja",
            "additional_chat_templates/x",
            "a.jinja",
        ] {
            assert!(!is_companion(other), "{other}");
        }
    }
}

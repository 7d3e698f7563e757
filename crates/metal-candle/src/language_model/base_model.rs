//! The model that an adapter was trained on, as its author named it, beside the one in use.

use serde_json::Value;
use std::path::Path;

/// Warns when `trained_on` names another model than the one in `folder`. A path of some machine
/// says nothing, and names are compared without their owner.
pub(super) fn tell_other(trained_on: &str, folder: &Path, raw_config: &Value) {
    if let Some(used) = other(trained_on, folder, raw_config) {
        tracing::warn!(
            "the adapter was trained on {trained_on}, this model is {used}: on another model it computes something else"
        );
    }
}

/// Name of the model in use, where it differs.
fn other(trained_on: &str, folder: &Path, raw_config: &Value) -> Option<String> {
    // A link is the model by its own name and by that of what it leads to.
    let named = folder.to_string_lossy();
    let folder = folder.canonicalize().unwrap_or(folder.to_path_buf());
    let folder = folder.to_string_lossy();
    let original = raw_config["_name_or_path"].as_str().unwrap_or("");
    let trained = short_name(trained_on);
    let is_same = |name: &&str| short_name(name).eq_ignore_ascii_case(trained);
    let is_known = trained.is_empty() || [&folder, &named, original].iter().any(is_same);
    (!is_known && !is_path(trained_on)).then(|| short_name(&folder).to_string())
}

/// A path rather than an id of Hugging Face, which is a name or an owner and a name, of a folder.
fn is_path(name: &str) -> bool {
    let is_marked = name.starts_with(['/', '.', '~']) || name.contains(['\\', ':']);
    let is_file = name.ends_with(".gguf");
    is_marked || is_file || name.matches('/').count() > 1 || Path::new(name).exists()
}

/// The last part of a path or id; of Hugging Face's cache the name of the repository.
fn short_name(name: &str) -> &str {
    let mut parts = name.split(['/', '\\']).filter(|part| !part.is_empty());
    let cached = parts.clone().find_map(|part| part.strip_prefix("models--"));
    match cached {
        Some(repository) => repository.rsplit("--").next().unwrap_or(repository),
        None => parts.next_back().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_names_that_differ_are_told() {
        let cases = [
            ("org/Qwen3-0.6B", "/models/Qwen3-0.6B", None),
            ("org/qwen3-0.6b", "Qwen3-0.6B/", None),
            (
                "org/base",
                "/hub/models--other--base/snapshots/8a1b2c",
                None,
            ),
            (
                "/x/models--org--base/snapshots/1",
                "/hub/models--org--base/snapshots/2",
                None,
            ),
            (
                "org/base",
                "/hub/models--org--chat/snapshots/8a1b2c",
                Some("chat"),
            ),
            ("org/base", "/models/chat", Some("chat")),
            ("base", "/models/chat", Some("chat")),
            ("/data/out/checkpoint-500", "/models/chat", None),
            ("./out", "/models/chat", None),
            ("base.gguf", "/models/chat.gguf", None),
            ("C:\\models\\x", "/models/chat", None),
            ("", "/models/chat", None),
        ];
        for (trained_on, folder, expected) in cases {
            let told = other(trained_on, Path::new(folder), &json!({}));
            assert_eq!(told.as_deref(), expected, "{trained_on} in {folder}");
        }
        let named = json!({"_name_or_path": "org/base"});
        assert_eq!(other("org/base", Path::new("/models/chat"), &named), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_has_its_own_name_as_well() {
        let place = tempfile::tempdir().unwrap();
        let [model, link] = ["chat", "base"].map(|name| place.path().join(name));
        std::fs::create_dir(&model).unwrap();
        std::os::unix::fs::symlink(&model, &link).unwrap();
        for trained_on in ["org/base", "org/chat"] {
            assert_eq!(other(trained_on, &link, &json!({})), None, "{trained_on}");
        }
        assert!(other("org/other", &link, &json!({})).is_some());
    }
}

use super::fields::Fields;
use crate::models::json::shown_name;
use crate::models::{Error, Result};

const REASON: &str = "attention over a window is not built";

/// Blocks at the bottom that see every token, where a configuration of Qwen does not say.
const DEFAULT_MAX_WINDOW_LAYERS: usize = 28;

/// Checks that every block sees every token before it: attention over a window is not built. A
/// window as wide as the longest sequence changes nothing.
///
/// In Qwen2 and Qwen3 `sliding_window` acts with `use_sliding_window` only, and in the blocks that
/// `layer_types` says, or else from `max_window_layers` on (`Qwen2Config` of transformers). Llama and
/// Mistral have none of them: a window there is meant for all blocks.
pub(super) fn check_full_attention(
    fields: &mut Fields<'_>,
    model_type: &str,
    n_blocks: usize,
    max_tokens: usize,
) -> Result<()> {
    let is_for_all = !model_type.starts_with("qwen");
    let window = fields.size("sliding_window")?;
    let is_switched_on = match fields.peek("use_sliding_window") {
        Some(_) => fields.flag("use_sliding_window")?,
        None => is_for_all,
    };
    let first = max_window_layers(fields)?;
    let kinds = fields.texts("layer_types")?.unwrap_or_default();
    let is_wide = window.is_some_and(|window| window >= max_tokens);
    check_kinds(&kinds, is_wide)?;
    match window {
        _ if is_wide || !is_switched_on => Ok(()),
        Some(window) if is_for_all => Err(Error::unsupported("sliding_window", window, REASON)),
        _ if is_for_all || !kinds.is_empty() || first >= n_blocks => Ok(()),
        _ => Err(Error::unsupported("use_sliding_window", true, REASON)),
    }
}

/// Number of blocks at the bottom without a window, which may be 0.
fn max_window_layers(fields: &mut Fields<'_>) -> Result<usize> {
    const NAME: &str = "max_window_layers";
    if fields.peek(NAME).and_then(serde_json::Value::as_u64) == Some(0) {
        fields.take(NAME);
        return Ok(0);
    }
    Ok(fields.size(NAME)?.unwrap_or(DEFAULT_MAX_WINDOW_LAYERS))
}

fn check_kinds(kinds: &[&str], window_is_wide: bool) -> Result<()> {
    let is_built = |kind: &&str| match *kind {
        "full_attention" => true,
        "sliding_attention" => window_is_wide,
        _ => false,
    };
    match kinds.iter().find(|kind| !is_built(kind)) {
        Some(kind) => Err(Error::unsupported("layer_types", shown_name(kind), REASON)),
        None => Ok(()),
    }
}

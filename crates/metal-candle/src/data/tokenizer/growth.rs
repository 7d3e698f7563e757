//! Growth of a text by a tokenizer: a file of a few lines may ask for gigabytes.

use fancy_regex::Regex;
use serde_json::Value;

/// Most that a normalizer or decoder may lengthen a text. A blank that becomes `▁` is a factor of
/// three; published tokenizers stay below ten.
pub(super) const LIMIT: f64 = 64.0;

/// Most pieces of a post-processor's template, and most ids of one of its special tokens.
const MAX_TEMPLATE: usize = 1000;

/// Bytes that come out for one that goes in, at most.
pub(super) struct Factor(pub(super) f64);

/// Factor of a normalizer or decoder; those of a sequence multiply.
pub(super) fn of_text(part: &Value) -> Factor {
    let list = |key| part.get(key).and_then(Value::as_array);
    let steps = list("normalizers").or_else(|| list("decoders"));
    match (steps, part.get("type").and_then(Value::as_str)) {
        (Some(steps), _) => Factor(steps.iter().map(|step| of_text(step).0).product()),
        (None, Some("Replace")) => Factor(of_replacement(part)),
        _ => Factor(1.0),
    }
}

/// Shortest match against what takes its place. A pattern that matches nothing puts its content
/// beside every character.
fn of_replacement(part: &Value) -> f64 {
    let content = part
        .get("content")
        .and_then(Value::as_str)
        .unwrap_or("")
        .len();
    let pattern = |kind| {
        part.get("pattern")
            .and_then(|p| p.get(kind))
            .and_then(Value::as_str)
    };
    let shortest = match (pattern("String"), pattern("Regex")) {
        (Some(text), _) => text.len(),
        (None, Some(regex)) if never_empty(regex) => 1,
        _ => 0,
    };
    match shortest {
        0 => 1.0 + content as f64,
        bytes => (content as f64 / bytes as f64).max(1.0),
    }
}

fn never_empty(regex: &str) -> bool {
    Regex::new(regex).is_ok_and(|regex| matches!(regex.is_match(""), Ok(false)))
}

/// Checks the lengths in a `TemplateProcessing`, also inside of a sequence.
pub(super) fn check_template(part: &Value) -> Result<(), String> {
    let list = |key| part.get(key).and_then(Value::as_array);
    list("processors")
        .into_iter()
        .flatten()
        .try_for_each(check_template)?;
    let tokens = part.get("special_tokens").and_then(Value::as_object);
    let ids = tokens
        .into_iter()
        .flatten()
        .filter_map(|(_, token)| token.get("ids")?.as_array());
    let longest = ids.chain(list("single")).map(Vec::len).max().unwrap_or(0);
    match longest > MAX_TEMPLATE {
        true => Err(format!(
            "post_processor: a template of {longest} parts, the limit is {MAX_TEMPLATE}"
        )),
        false => Ok(()),
    }
}

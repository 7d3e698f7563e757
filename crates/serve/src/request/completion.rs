use super::fields::Fields;
use super::{Marks, Prompts};
use crate::catalogue::Entry;
use crate::error::{Error, Result};
use serde_json::Value;

const PROMPT: &str = "prompt";

/// Reads the prompt: a text, token ids, or a list of either.
pub fn prompts(fields: &mut Fields, entry: &Entry, vocab_size: usize) -> Result<Prompts> {
    let given = fields.take(PROMPT).unwrap_or(Value::Null);
    let wrong = || {
        let expected =
            format!("a text, a list of token ids below {vocab_size}, or a list of either");
        Error::expected(PROMPT, expected, &given)
    };
    let one = |value: &Value| match value {
        Value::String(text) => encoded(entry, text),
        value => ids(value, vocab_size).ok_or_else(wrong),
    };
    let token_ids = match &given {
        Value::Array(list) if list.is_empty() => return Err(wrong()),
        Value::Array(list) if list.iter().all(|item| !item.is_number()) => {
            list.iter().map(one).collect::<Result<_>>()?
        }
        value => vec![one(value)?],
    };
    Ok(Prompts {
        token_ids,
        field: PROMPT,
        marks: Marks::default(),
    })
}

fn encoded(entry: &Entry, text: &str) -> Result<Vec<u32>> {
    let plain = entry.tokenizer.encode_plain(text);
    let plain = plain.map_err(|error| Error::field(PROMPT, error))?;
    Ok(plain.encoded.ids)
}

fn ids(value: &Value, vocab_size: usize) -> Option<Vec<u32>> {
    let ids = value.as_array()?.iter();
    let ids = ids.map(|id| u32::try_from(id.as_u64()?).ok());
    let ids: Vec<u32> = ids.collect::<Option<_>>()?;
    ids.iter()
        .all(|id| (*id as usize) < vocab_size)
        .then_some(ids)
}

use super::architecture::{Architecture, COMMON, Kind};
use super::rope;
use super::settings::Settings;
use crate::gguf::GgufFile;
use crate::models::Result;
use serde_json::{Map, Value, json};

/// Fields of a configuration.
type Fields = Map<String, Value>;

/// The configuration that a file's metadata describe, as `config.json` would have it.
pub(super) fn object(file: &GgufFile, architecture: &'static Architecture) -> Result<Fields> {
    let settings = Settings::new(file, architecture);
    let mut fields = Fields::new();
    put(&mut fields, "model_type", architecture.model_type);
    for (key, field, kind) in COMMON.iter().chain(architecture.fields) {
        let value = match kind {
            Kind::Size => settings.size(key)?.map(Value::from),
            Kind::Float => settings.float(key)?.map(Value::from),
        };
        fields.extend(value.map(|value| ((*field).into(), value)));
    }
    put(&mut fields, "vocab_size", vocab_size(&settings)?);
    put(&mut fields, "head_dim", head_width(&settings)?);
    put(
        &mut fields,
        "tie_word_embeddings",
        file.info("output.weight").is_none(),
    );
    for (tensor, field) in architecture.switches {
        let is_there = file.info(&format!("blk.0.{tensor}")).is_some();
        put(&mut fields, field, is_there);
    }
    of_family(&settings, &mut fields)?;
    rope::put(&settings, &mut fields)?;
    put_tokens(&settings, &mut fields)?;
    settings.finish()?;
    Ok(fields)
}

fn put(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    fields.insert(name.into(), value.into());
}

/// Rows of the embedding: the list of tokens may be shorter.
fn vocab_size(settings: &Settings<'_>) -> Result<usize> {
    const NAME: &str = "token_embd.weight";
    let info = settings.file.info(NAME);
    let rows = info.map(|info| info.shape.first().copied().unwrap_or(0));
    Ok(settings.metadata().required(NAME, rows)?)
}

pub(super) fn head_width(settings: &Settings<'_>) -> Result<u64> {
    let (key, value) = (
        settings.size("attention.key_length")?,
        settings.size("attention.value_length")?,
    );
    let (hidden, heads) = (
        settings.needed("embedding_length")?,
        settings.needed("attention.head_count")?,
    );
    let divided = hidden
        .checked_div(heads)
        .filter(|width| width * heads == hidden);
    let Some(width) = key.or(divided) else {
        return Err(settings
            .wrong(
                "attention.head_count",
                format!("a divisor of {hidden}"),
                heads,
            )
            .into());
    };
    match value {
        Some(other) if other != width => {
            let expected = format!("{width}, the width of keys");
            Err(settings
                .wrong("attention.value_length", expected, other)
                .into())
        }
        _ => Ok(width),
    }
}

/// What llama.cpp knows of a family without the file.
fn of_family(settings: &Settings<'_>, fields: &mut Fields) -> Result<()> {
    match settings.architecture.name {
        "gemma2" | "gemma3" => {
            put(fields, "hidden_activation", "gelu_pytorch_tanh");
            put(fields, "query_pre_attn_scalar", query_scalar(settings)?);
        }
        // A window of zero is none.
        "phi3" if fields.get("sliding_window") == Some(&json!(0)) => {
            put(fields, "sliding_window", Value::Null)
        }
        _ => {}
    }
    Ok(())
}

/// The largest Gemmas scale scores by the width of the hidden state for a head, the others by that of a head.
fn query_scalar(settings: &Settings<'_>) -> Result<u64> {
    const LARGEST: [(&str, u64); 2] = [("gemma2", 46), ("gemma3", 62)];
    let is_largest =
        LARGEST.contains(&(settings.architecture.name, settings.needed("block_count")?));
    match is_largest {
        true => {
            let heads = settings.needed("attention.head_count")?.max(1);
            Ok(settings.needed("embedding_length")? / heads)
        }
        false => head_width(settings),
    }
}

/// Tokens that begin, end and pad texts.
fn put_tokens(settings: &Settings<'_>, fields: &mut Fields) -> Result<()> {
    let token = |role: &str| {
        settings
            .metadata()
            .size(&format!("tokenizer.ggml.{role}_token_id"))
    };
    let mut ends = vec![];
    for role in ["eos", "eot", "eom"] {
        ends.extend(token(role)?.filter(|id| !ends.contains(id)));
    }
    if !ends.is_empty() {
        put(fields, "eos_token_id", ends);
    }
    for (role, field) in [("bos", "bos_token_id"), ("padding", "pad_token_id")] {
        if let Some(id) = token(role)? {
            put(fields, field, id);
        }
    }
    Ok(())
}

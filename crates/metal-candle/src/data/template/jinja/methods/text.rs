//! Methods of texts.

use super::super::error::{Error, Result};
use super::super::filters::replaced;
use super::super::format::brace;
use super::super::render::{Args, Render};
use super::super::text::{capitalized, folded, is_space, swapped, titled};
use super::super::value::{Text, Value};
use super::{find, int_argument, pad, property, split, text_argument, unsupported};

pub(super) fn call(render: &mut Render<'_>, text: &Text, name: &str, args: Args) -> Result<Value> {
    let source = &*text.text;
    render.budget.text(source.len())?;
    render.budget.look(source.len())?;
    match name {
        "upper" | "lower" | "capitalize" | "title" | "swapcase" | "casefold" => {
            args.none(name)?;
            let changed = match name {
                "upper" => source.to_uppercase(),
                "lower" => source.to_lowercase(),
                "capitalize" => capitalized(source)?,
                "title" => titled(source)?,
                "swapcase" => swapped(source)?,
                _ => folded(source)?,
            };
            Ok(Value::text(changed, text.escaped))
        }
        "strip" | "lstrip" | "rstrip" => strip(text, name, args),
        "removeprefix" | "removesuffix" => {
            let [affix] = args.bind_positional(name)?;
            let affix = text_argument(affix.as_ref(), name)?;
            let rest = match name {
                "removeprefix" => source.strip_prefix(affix),
                _ => source.strip_suffix(affix),
            };
            Ok(Value::text(rest.unwrap_or(source), text.escaped))
        }
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => {
            split::call(render, text, name, args)
        }
        "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith" => {
            find::call(source, name, args)
        }
        "zfill" | "expandtabs" => pad::call(render, text, name, args),
        _ if name.starts_with("is") => {
            args.none(name)?;
            property::holds(source, name).map(Value::Bool)
        }
        // What these put into escaped text Python escapes.
        _ if text.escaped => Err(Error::unsupported(format!("{name}() of escaped text"))),
        "ljust" | "rjust" | "center" => pad::call(render, text, name, args),
        "replace" => replace(render, source, args),
        "join" => join(render, source, args),
        "format" => brace::format(render, source, args),
        "format_map" => {
            let [mapping] = args.bind_positional(name)?;
            let mapping = mapping.unwrap_or(Value::None);
            brace::format_map(render, source, &mapping)
        }
        _ => Err(unsupported(&Value::Str(text.clone()), name)),
    }
}

fn strip(text: &Text, name: &str, args: Args) -> Result<Value> {
    let [chars] = args.bind_positional(name)?;
    let set = match &chars {
        None | Some(Value::None) => None,
        chars => Some(text_argument(chars.as_ref(), name)?),
    };
    let strips = |c: char| set.map_or_else(|| is_space(c), |set| set.contains(c));
    let stripped = match name {
        "strip" => text.text.trim_matches(strips),
        "lstrip" => text.text.trim_start_matches(strips),
        _ => text.text.trim_end_matches(strips),
    };
    Ok(Value::text(stripped, text.escaped))
}

fn replace(render: &Render<'_>, text: &str, args: Args) -> Result<Value> {
    let [old, new, count] = args.bind_positional("replace")?;
    let (old, new) = (
        text_argument(old.as_ref(), "replace")?,
        text_argument(new.as_ref(), "replace")?,
    );
    let count = int_argument(count.as_ref(), "replace", false)?.unwrap_or(-1);
    replaced(render, text, old, new, count).map(Value::str)
}

/// `separator.join(texts)`.
fn join(render: &Render<'_>, separator: &str, args: Args) -> Result<Value> {
    let [items] = args.bind_positional("join")?;
    let items = items.ok_or_else(|| Error::render("join() needs an argument"))?;
    let items = render.iterate(&items)?;
    let mut text = String::new();
    for (i, item) in items.values.iter().enumerate() {
        let part = match item {
            Value::Str(part) if part.escaped => {
                return Err(Error::unsupported("join() of escaped text"));
            }
            part => text_argument(Some(part), "join")?,
        };
        let separator = if i > 0 { separator } else { "" };
        render.budget.text(separator.len() + part.len())?;
        render
            .budget
            .grown(text.len() + separator.len() + part.len())?;
        text.push_str(separator);
        text.push_str(part);
    }
    Ok(Value::str(text))
}

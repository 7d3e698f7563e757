//! Filters that order: `sort`, `dictsort`, `groupby`, `unique`, `min`, `max`.

use std::cmp::Ordering;

use super::super::error::{Error, Result};
use super::super::limits::Budget;
use super::super::render::{Args, Render};
use super::super::value::{Items, Value, check_hashable, compare, equal};
use super::attribute::Path;
use super::sequence::streamed;

/// Key that an item is ordered by, and the item.
type Keyed = (Value, Value);

/// Lower case of a text, unless case counts.
fn folded(render: &Render<'_>, value: Value, case_sensitive: bool) -> Result<Value> {
    match &value {
        Value::Str(text) if !case_sensitive => {
            render.budget.text(text.text.len())?;
            Ok(Value::str(text.text.to_lowercase()))
        }
        _ => Ok(value),
    }
}

fn is_true(value: Option<Value>) -> bool {
    value.is_some_and(|value| value.is_true())
}

/// `sort(reverse=false, case_sensitive=false, attribute=none)`.
pub(super) fn sort(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [reverse, case, attribute] =
        args.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let case = is_true(case);
    let paths = Path::many(attribute.as_ref())?;
    let mut keyed = Vec::new();
    for item in &render.iterate(value)?.values {
        let mut keys = Vec::with_capacity(paths.len());
        for path in &paths {
            let key = path.of(render, item, None)?;
            keys.push(folded(render, key, case)?);
        }
        keyed.push((Value::list(keys, &render.budget)?, item.clone()));
    }
    let sorted = sorted(keyed, is_true(reverse), &render.budget)?;
    Value::list(
        sorted.into_iter().map(|(_, item)| item).collect(),
        &render.budget,
    )
}

/// `dictsort(case_sensitive=false, by="key", reverse=false)`.
pub(super) fn dictsort(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [case, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let by = by.unwrap_or_else(|| Value::str("key"));
    let by_key = match by.as_str() {
        Some("key") => true,
        Some("value") => false,
        _ => {
            return Err(Error::render(
                "You can only sort by either \"key\" or \"value\"",
            ));
        }
    };
    let Value::Dict(dict) = value else {
        return Err(Error::render(format!(
            "'{}' has no items to sort",
            value.type_name()
        )));
    };
    let case = is_true(case);
    let mut keyed = Vec::new();
    for (key, value) in &dict.entries {
        let sort_key = if by_key { key } else { value }.clone();
        let pair = vec![key.clone(), value.clone()];
        let pair = Value::tuple(pair, &render.budget)?;
        keyed.push((folded(render, sort_key, case)?, pair));
    }
    let sorted = sorted(keyed, is_true(reverse), &render.budget)?;
    Value::list(
        sorted.into_iter().map(|(_, pair)| pair).collect(),
        &render.budget,
    )
}

/// `groupby(attribute, default=none, case_sensitive=false)`.
pub(super) fn groupby(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [attribute, default, case] =
        args.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    if attribute.is_none() {
        return Err(Error::render("groupby needs an attribute"));
    }
    let (path, case) = (Path::new(attribute.as_ref()), is_true(case));
    let default = default.filter(|default| !matches!(default, Value::None));
    let mut keyed = Vec::new();
    for item in &render.iterate(value)?.values {
        let key = path.of(render, item, default.as_ref())?;
        keyed.push((folded(render, key, case)?, item.clone()));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in sorted(keyed, false, &render.budget)? {
        match groups.last_mut() {
            Some((last, items)) if equal(last, &key, &render.budget)? => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let mut out = Vec::with_capacity(groups.len());
    for (key, items) in groups {
        // The key as it is written in the first item.
        let key = if case {
            key
        } else {
            path.of(render, &items[0], default.as_ref())?
        };
        let items = Value::list(items, &render.budget)?;
        out.push(Value::Tuple(Items::group(key, items, &render.budget)?));
    }
    Value::list(out, &render.budget)
}

/// `unique(case_sensitive=false, attribute=none)`.
pub(super) fn unique(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [case, attribute] = args.bind("unique", ["case_sensitive", "attribute"])?;
    let (path, case) = (Path::new(attribute.as_ref()), is_true(case));
    let mut seen: Vec<Value> = Vec::new();
    let mut unique = Vec::new();
    for item in &render.iterate(value)?.values {
        let key = path.of(render, item, None)?;
        let key = folded(render, key, case)?;
        check_hashable(&key, &render.budget)?;
        let mut is_new = true;
        for other in &seen {
            if equal(other, &key, &render.budget)? {
                is_new = false;
                break;
            }
        }
        if is_new {
            seen.push(key);
            unique.push(item.clone());
        }
    }
    streamed(render, unique)
}

/// `min(case_sensitive=false, attribute=none)`, or `max`: the first of the extreme items.
pub(super) fn extreme(
    render: &mut Render<'_>,
    value: &Value,
    args: Args,
    largest: bool,
) -> Result<Value> {
    let name = if largest { "max" } else { "min" };
    let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"])?;
    let (path, case) = (Path::new(attribute.as_ref()), is_true(case));
    let wanted = if largest {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    let mut best: Option<Keyed> = None;
    for item in &render.iterate(value)?.values {
        let key = path.of(render, item, None)?;
        let key = folded(render, key, case)?;
        let better = match &best {
            Some((best, _)) => compare(&key, best, &render.budget)? == Some(wanted),
            None => true,
        };
        if better {
            best = Some((key, item.clone()));
        }
    }
    Ok(best.map_or_else(|| Value::undefined("extreme of nothing"), |(_, item)| item))
}

/// Python's stable sort; in reverse, equal items keep their order too.
fn sorted(mut items: Vec<Keyed>, reverse: bool, budget: &Budget) -> Result<Vec<Keyed>> {
    budget.items(items.len().saturating_mul(2))?;
    if reverse {
        items.reverse();
    }
    let mut items = merged(items, budget)?;
    if reverse {
        items.reverse();
    }
    Ok(items)
}

/// Merge sort, because a comparison may fail. The recursion is as deep as the length has bits.
fn merged(mut items: Vec<Keyed>, budget: &Budget) -> Result<Vec<Keyed>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let mut left = merged(items, budget)?.into_iter().peekable();
    let mut right = merged(right, budget)?.into_iter().peekable();
    let mut out = Vec::with_capacity(left.len() + right.len());
    while let (Some((a, _)), Some((b, _))) = (left.peek(), right.peek()) {
        let from_right = less(b, a, budget)?;
        out.extend(if from_right {
            right.next()
        } else {
            left.next()
        });
    }
    out.extend(left);
    out.extend(right);
    Ok(out)
}

fn less(a: &Value, b: &Value, budget: &Budget) -> Result<bool> {
    match compare(a, b, budget)? {
        Some(order) => Ok(order.is_lt()),
        None => Err(Error::unsupported("sorting nan")),
    }
}

/// Entries of a dict by their keys, as `json.dumps` sorts them.
pub(in super::super) fn sort_keys(
    entries: Vec<(Value, Value)>,
    budget: &Budget,
) -> Result<Vec<(Value, Value)>> {
    sorted(entries, false, budget)
}

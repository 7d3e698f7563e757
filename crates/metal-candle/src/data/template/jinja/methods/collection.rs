//! Methods of lists, tuples and dicts that change nothing. The sandbox hides the others.

use std::rc::Rc;

use super::super::error::{Error, Result};
use super::super::render::{Args, Render};
use super::super::value::{Dict, Value, View, ViewKind, equal};
use super::{int_argument, unsupported};

pub(super) fn dict(
    render: &mut Render<'_>,
    dict: &Rc<Dict>,
    name: &str,
    args: Args,
) -> Result<Value> {
    let kind = match name {
        "items" => ViewKind::Items,
        "keys" => ViewKind::Keys,
        "values" => ViewKind::Values,
        "copy" => {
            args.none(name)?;
            return Ok(Value::Dict(dict.clone()));
        }
        "get" => {
            let [key, default] = args.bind_positional(name)?;
            let key = key.ok_or_else(|| Error::render("get expected at least 1 argument"))?;
            let found = dict.get(&key, &render.budget)?.cloned();
            return Ok(found.or(default).unwrap_or(Value::None));
        }
        _ => return Err(unsupported(&Value::Dict(dict.clone()), name)),
    };
    args.none(name)?;
    let dict = dict.clone();
    Ok(Value::View(Rc::new(View { dict, kind })))
}

pub(super) fn list(
    render: &mut Render<'_>,
    list: &Value,
    items: &[Value],
    name: &str,
    args: Args,
) -> Result<Value> {
    match name {
        "copy" => {
            args.none(name)?;
            Ok(list.clone())
        }
        "count" => {
            let [wanted] = args.bind_positional(name)?;
            let wanted = wanted.ok_or_else(|| Error::render("count() needs an argument"))?;
            let mut n = 0;
            for item in items {
                n += usize::from(equal(item, &wanted, &render.budget)?);
            }
            Ok(Value::count(n))
        }
        "index" => {
            let [wanted, start, stop] = args.bind_positional(name)?;
            let wanted = wanted.ok_or_else(|| Error::render("index() needs an argument"))?;
            let bound = |value: Option<i128>, default: usize| {
                let bound = value.unwrap_or(default as i128);
                let bound = if bound < 0 {
                    bound + items.len() as i128
                } else {
                    bound
                };
                bound.clamp(0, items.len() as i128) as usize
            };
            let start = bound(int_argument(start.as_ref(), name, false)?, 0);
            let stop = bound(int_argument(stop.as_ref(), name, false)?, items.len());
            for (at, item) in items.iter().enumerate().take(stop).skip(start) {
                if equal(item, &wanted, &render.budget)? {
                    return Ok(Value::count(at));
                }
            }
            Err(Error::render("the value is not in the list"))
        }
        _ => Err(unsupported(list, name)),
    }
}

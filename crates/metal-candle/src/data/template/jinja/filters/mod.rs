//! Filters, by the names and parameters of Jinja2.

mod attribute;
mod number;
mod parse;
mod select;
mod sequence;
mod sort;
mod text;
mod web;

use super::error::{Error, Result};
use super::render::{Args, Render};
use super::tojson;
use super::value::Value;
pub(super) use sort::sort_keys;
pub(super) use text::replaced;

/// Names of all filters of Jinja2, for the test `filter`.
pub(super) const NAMES: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// Applies the filter `name` to `value`.
pub(super) fn apply(
    render: &mut Render<'_>,
    name: &str,
    value: Value,
    args: Args,
) -> Result<Value> {
    match name {
        "abs" => number::abs(&value, args),
        "float" => number::float(&value, args),
        "int" => number::int(&value, args),
        "round" => number::round(&value, args),

        "attr" => attribute::attr(render, &value, args),
        "batch" => sequence::batch(render, &value, args),
        "count" | "length" => sequence::length(render, &value, args),
        "d" | "default" => sequence::default(value, args),
        "first" => sequence::first(render, &value, args),
        "items" => sequence::items(render, &value, args),
        "join" => sequence::join(render, &value, args),
        "last" => sequence::last(render, &value, args),
        "list" => sequence::list(render, &value, args),
        "reverse" => sequence::reverse(render, &value, args),
        "slice" => sequence::slice(render, &value, args),
        "sum" => sequence::sum(render, &value, args),

        "dictsort" => sort::dictsort(render, &value, args),
        "groupby" => sort::groupby(render, &value, args),
        "max" => sort::extreme(render, &value, args, true),
        "min" => sort::extreme(render, &value, args, false),
        "sort" => sort::sort(render, &value, args),
        "unique" => sort::unique(render, &value, args),

        "map" => select::map(render, &value, args),
        "reject" => select::select(render, &value, args, false, false),
        "rejectattr" => select::select(render, &value, args, true, false),
        "select" => select::select(render, &value, args, false, true),
        "selectattr" => select::select(render, &value, args, true, true),

        "tojson" => tojson::tojson(render, &value, args),

        "striptags" => web::striptags(render, &value, args),
        "urlencode" => web::urlencode(render, &value, args),
        "xmlattr" => web::xmlattr(render, &value, args),
        _ if NAMES.contains(&name) => text::apply(render, name, &value, args),
        _ => Err(Error::render(format!("No filter named '{name}'"))),
    }
}

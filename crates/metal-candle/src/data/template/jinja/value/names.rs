//! Names of Python's types, and of what they have as attributes.

use super::Value;

const STR: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const MARKUP: &[&str] = &["escape", "striptags", "unescape"];
/// Less those that change the value: the sandbox hides them.
const DICT: &[&str] = &["copy", "fromkeys", "get", "items", "keys", "values"];
const LIST: &[&str] = &["copy", "count", "index"];
const TUPLE: &[&str] = &["count", "index"];
const RANGE: &[&str] = &["count", "index", "start", "step", "stop"];
const INT: &[&str] = &[
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "denominator",
    "from_bytes",
    "imag",
    "is_integer",
    "numerator",
    "real",
    "to_bytes",
];
const FLOAT: &[&str] = &[
    "as_integer_ratio",
    "conjugate",
    "fromhex",
    "hex",
    "imag",
    "is_integer",
    "real",
];
const CYCLER: &[&str] = &["current", "items", "next", "pos", "reset"];
const LOOP: &[&str] = &[
    "changed",
    "cycle",
    "depth",
    "depth0",
    "first",
    "index",
    "index0",
    "last",
    "length",
    "nextitem",
    "previtem",
    "revindex",
    "revindex0",
];
const MACRO: &[&str] = &[
    "arguments",
    "caller",
    "catch_kwargs",
    "catch_varargs",
    "explicit_caller",
    "name",
];
const VIEW: &[&str] = &["isdisjoint", "mapping"];
const STREAM: &[&str] = &["close", "send", "throw"];

pub(super) fn has_attribute(value: &Value, name: &str) -> bool {
    let names = match value {
        Value::Str(text) if text.escaped && MARKUP.contains(&name) => return true,
        Value::Str(_) => STR,
        Value::Dict(_) => DICT,
        Value::List(_) => LIST,
        Value::Tuple(_) => TUPLE,
        Value::Range(_) => RANGE,
        Value::Bool(_) | Value::Int(_) | Value::Digits(_) => INT,
        Value::Float(_) => FLOAT,
        Value::Cycler(_) => CYCLER,
        Value::Joiner(_) => &["sep", "used"],
        Value::Loop(_) => LOOP,
        Value::Macro(_) => MACRO,
        Value::View(_) => VIEW,
        Value::Stream(_) => STREAM,
        _ => &[],
    };
    names.contains(&name)
}

pub(super) fn of_type(value: &Value) -> &'static str {
    match value {
        Value::Undefined(_) => "Undefined",
        Value::None => "NoneType",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Digits(_) => "int",
        Value::Float(_) => "float",
        Value::Str(text) if text.escaped => "Markup",
        Value::Str(_) => "str",
        Value::List(_) => "list",
        Value::Tuple(_) => "tuple",
        Value::Dict(_) => "dict",
        Value::View(_) => "dict view",
        Value::Range(_) => "range",
        Value::Stream(_) => "generator",
        Value::Namespace(_) => "Namespace",
        Value::Macro(_) => "Macro",
        Value::Loop(_) => "LoopContext",
        Value::Cycler(_) => "Cycler",
        Value::Joiner(_) => "Joiner",
        Value::Method(_) => "method",
        Value::Function(_) => "function",
    }
}

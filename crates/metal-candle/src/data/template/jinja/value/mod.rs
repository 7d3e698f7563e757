//! Values of a rendering: those of Python that a template can reach.
//!
//! Containers know their depth, which is bounded when they are made, and hold no namespace but its
//! number, so that there are no cycles: comparing, writing and dropping a value cannot exhaust the
//! stack.

mod collections;
mod compare;
mod lazy;
mod names;
mod repr;

use std::rc::Rc;
use std::sync::Arc;

use super::ast::Literal;
use super::error::{Error, Result};

pub(super) use collections::{Dict, Items, Range, View, ViewKind, check_hashable};
pub(super) use compare::{compare, contains, equal, key_equal};
pub(super) use lazy::{Cycler, Joiner, Stream};
pub(super) use repr::{float_repr, is_printable, text_repr};

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// What is missing, by the name it was looked for.
    Undefined(Arc<str>),
    None,
    Bool(bool),
    Int(i128),
    /// Integer beyond 128 bits: it can be written, but not computed with.
    Digits(Arc<str>),
    Float(f64),
    Str(Text),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Dict>),
    /// `dict.keys()`, `.values()`, `.items()`.
    View(Rc<View>),
    Range(Range),
    /// Python's generators and iterators, whose items can be taken once.
    Stream(Rc<Stream>),
    /// Number of a namespace of this rendering.
    Namespace(usize),
    /// Number of a macro of this rendering.
    Macro(usize),
    Loop(LoopId),
    Cycler(Rc<Cycler>),
    Joiner(Rc<Joiner>),
    Method(Rc<Method>),
    Function(Function),
}

/// Text, and whether it counts as escaped HTML (Python's `Markup`).
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(super) text: Arc<str>,
    pub(super) escaped: bool,
}

/// A `loop` variable: its place among the running loops, and a number that no other loop has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoopId {
    pub(super) at: usize,
    pub(super) serial: u64,
}

/// Method of a value that has not been called yet.
#[derive(Debug)]
pub(crate) struct Method {
    pub(super) receiver: Value,
    pub(super) name: Arc<str>,
}

/// Function of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Range,
    Dict,
    Namespace,
    Cycler,
    Joiner,
    RaiseException,
    StrftimeNow,
}

impl Value {
    pub(super) fn str(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        Self::Str(Text {
            text,
            escaped: false,
        })
    }

    /// `text`, as escaped HTML if `escaped`.
    pub(super) fn text(text: impl Into<Arc<str>>, escaped: bool) -> Self {
        let text = text.into();
        Self::Str(Text { text, escaped })
    }

    pub(super) fn undefined(name: impl Into<Arc<str>>) -> Self {
        Self::Undefined(name.into())
    }

    pub(super) fn count(n: usize) -> Self {
        Self::Int(n as i128)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(&text.text),
            _ => None,
        }
    }

    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// An integer, which a bool is too.
    pub(super) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    /// A number of arithmetic, as a float.
    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            other => other.as_int().map(|value| value as f64),
        }
    }

    /// Python's truth. What iterates once is true even if nothing is left.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.values.is_empty(),
            Self::Dict(dict) => !dict.entries.is_empty(),
            Self::View(view) => view.len() > 0,
            Self::Range(range) => range.len() > 0,
            _ => true,
        }
    }

    /// Name of the Python type, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        names::of_type(self)
    }

    /// Whether Python's type of the value has a method or property `name`.
    pub(super) fn has_attribute(&self, name: &str) -> bool {
        names::has_attribute(self, name)
    }

    /// Nesting of containers.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::List(items) | Self::Tuple(items) => items.depth,
            Self::Dict(dict) => dict.depth,
            Self::View(view) => view.depth(),
            Self::Stream(stream) => stream.depth,
            Self::Cycler(cycler) => cycler.depth,
            Self::Method(method) => method.receiver.depth() + 1,
            _ => 0,
        }
    }

    /// What arithmetic, calls and access of a missing value fail with.
    pub(super) fn undefined_error(name: &str) -> Error {
        Error::render(format!("'{name}' is undefined"))
    }
}

impl From<&Literal> for Value {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::None => Self::None,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Int(value) => Self::Int(*value),
            Literal::Digits(digits) => Self::Digits(digits.clone()),
            Literal::Float(value) => Self::Float(*value),
            Literal::Str(text) => Self::str(text.clone()),
        }
    }
}

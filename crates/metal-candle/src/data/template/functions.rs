//! Global functions and tests that transformers or Jinja2 have and minijinja lacks or defines
//! otherwise.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, ErrorKind, State};
use minijinja_contrib::filters::datetimeformat;
use minijinja_contrib::globals::{cycler, joiner, now};

/// Marks an error as the template's own refusal, so that it can be told from a failure of the
/// template.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Raised(pub(crate) String);

pub(super) fn add(env: &mut Environment<'static>) {
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", strftime_now);
    env.add_function("cycler", cycler);
    env.add_function("joiner", joiner);
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_test("sequence", is_sequence);
    env.add_test("iterable", is_iterable);
    env.add_test("callable", is_callable);
}

fn raise_exception(message: &Value) -> Result<Value, minijinja::Error> {
    let message = message.to_string();
    Err(
        minijinja::Error::new(ErrorKind::InvalidOperation, message.clone())
            .with_source(Raised(message)),
    )
}

/// The current time in UTC. Python gives local time; the time zone of the machine is none of a
/// library's business.
fn strftime_now(state: &State, format: &str) -> Result<String, minijinja::Error> {
    datetimeformat(
        state,
        now(),
        [("format", Value::from(format))]
            .into_iter()
            .collect::<Kwargs>(),
    )
}

/// Jinja2: what is undefined has the length 0.
fn length(value: &Value) -> Result<usize, minijinja::Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    minijinja::filters::length(value)
}

/// Jinja2: whatever has a length and items, which in Python includes strings and mappings.
fn is_sequence(value: &Value) -> bool {
    value.is_undefined()
        || matches!(
            value.kind(),
            ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String
        )
}

/// Jinja2: whatever can be iterated, which `none` cannot.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

fn is_callable(value: &Value) -> bool {
    // Functions and macros are the only plain objects a template can hold.
    value.kind() == ValueKind::Plain
}

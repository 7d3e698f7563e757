//! Calls.

use super::super::error::{Error, Result};
use super::super::methods;
use super::super::value::Value;
use super::{Args, Render, functions};

impl Render<'_> {
    pub(super) fn call(&mut self, callee: &Value, args: Args) -> Result<Value> {
        match callee {
            Value::Method(method) => self.call_method(&method.receiver, &method.name, args),
            Value::Function(function) => functions::call(self, *function, args),
            Value::Macro(id) => self.call_macro(*id, args),
            Value::Loop(id) => self.loop_again(*id, args),
            Value::Joiner(joiner) => {
                args.none("joiner")?;
                Ok(joiner.next())
            }
            Value::Undefined(name) => Err(Value::undefined_error(name)),
            other => Err(Error::render(format!(
                "'{}' object is not callable",
                other.type_name()
            ))),
        }
    }

    pub(super) fn call_method(
        &mut self,
        receiver: &Value,
        name: &str,
        args: Args,
    ) -> Result<Value> {
        match receiver {
            Value::Loop(id) => self.loop_method(*id, name, args),
            other => methods::call(self, other, name, args),
        }
    }
}

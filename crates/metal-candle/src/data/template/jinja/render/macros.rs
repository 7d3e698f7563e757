//! Macros and call blocks.

use super::super::ast::{self, Expr};
use super::super::error::{Error, Result};
use super::super::value::Value;
use super::{Args, Render};

/// A macro and the scope it was defined in.
#[derive(Clone, Copy)]
pub(super) struct Macro<'t> {
    definition: &'t ast::Macro,
    scope: usize,
}

impl<'t> Render<'t> {
    pub(super) fn define(&mut self, definition: &'t ast::Macro) -> Result<()> {
        let value = self.function(definition)?;
        self.scopes.set(&definition.name, value, &self.budget)
    }

    fn function(&mut self, definition: &'t ast::Macro) -> Result<Value> {
        self.budget.items(1)?;
        let scope = self.scopes.current();
        self.scopes.pin();
        self.macros.push(Macro { definition, scope });
        Ok(Value::Macro(self.macros.len() - 1))
    }

    /// `{% call %}`: the call gets the block as `caller`.
    pub(super) fn call_block(&mut self, caller: &'t ast::Macro, call: &'t Expr) -> Result<()> {
        let caller = self.function(caller)?;
        let Expr::Chain(value, links) = call else {
            return Err(Error::render("expected call"));
        };
        let value = self.value(value)?;
        let value = self.links(value, links, Some(caller))?;
        let text = self.written(&value)?;
        self.emit(&text)
    }

    pub(super) fn macro_name(&self, id: usize) -> &'t str {
        &self.macros[id].definition.name
    }

    pub(super) fn call_macro(&mut self, id: usize, args: Args) -> Result<Value> {
        let Macro { definition, scope } = self.macros[id];
        self.enter()?;
        let line = self.line;
        let mark = self.scopes.push(scope, &self.budget)?;
        self.bind(definition, args)?;
        let (_, text) = self.captured(|render| render.body(&definition.body))?;
        self.scopes.pop(mark);
        self.line = line;
        self.leave();
        Ok(Value::str(text))
    }

    /// Sets the parameters in the macro's scope. A default may read the parameters before it.
    fn bind(&mut self, definition: &'t ast::Macro, args: Args) -> Result<()> {
        let Args {
            positional,
            mut named,
        } = args;
        let mut positional = positional.into_iter();
        for (name, default) in &definition.parameters {
            let given = positional.next().or_else(|| take(&mut named, name));
            let value = match (given, default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.value(default)?,
                (None, None) => Value::Undefined(name.clone()),
            };
            self.scopes.set(name, value, &self.budget)?;
        }
        self.bind_rest(definition, positional.collect(), named)
    }

    /// What no parameter took: `caller`, `varargs`, `kwargs`, where the macro reads them.
    fn bind_rest(
        &mut self,
        definition: &ast::Macro,
        positional: Vec<Value>,
        mut named: Vec<(ast::Name, Value)>,
    ) -> Result<()> {
        let macro_name = &definition.name;
        let has = |name: &str| {
            definition
                .parameters
                .iter()
                .any(|(other, _)| **other == *name)
        };
        if definition.reads.caller && !has("caller") {
            let caller = take(&mut named, "caller");
            let caller = caller.unwrap_or_else(|| Value::undefined("caller"));
            self.scopes.set(&"caller".into(), caller, &self.budget)?;
        }
        if definition.reads.kwargs && !has("kwargs") {
            let kwargs = Value::dict(std::mem::take(&mut named), &self.budget)?;
            self.scopes.set(&"kwargs".into(), kwargs, &self.budget)?;
        }
        if let Some((name, _)) = named.first() {
            let message = format!("macro '{macro_name}' takes no keyword argument '{name}'");
            return Err(Error::render(message));
        }
        if definition.reads.varargs && !has("varargs") {
            let varargs = Value::tuple(positional, &self.budget)?;
            return self.scopes.set(&"varargs".into(), varargs, &self.budget);
        }
        if !positional.is_empty() {
            let n = definition.parameters.len();
            let message = format!("macro '{macro_name}' takes not more than {n} argument(s)");
            return Err(Error::render(message));
        }
        Ok(())
    }
}

fn take(named: &mut Vec<(ast::Name, Value)>, name: &str) -> Option<Value> {
    let at = named.iter().position(|(other, _)| **other == *name)?;
    Some(named.remove(at).1)
}

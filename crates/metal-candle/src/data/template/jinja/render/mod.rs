//! Rendering: a walk over the syntax tree.

mod access;
mod arguments;
mod arithmetic;
mod assign;
mod calls;
mod expressions;
mod functions;
mod iterate;
mod loops;
mod macros;
mod scope;
mod slice;
mod statements;
mod write;

use std::sync::Arc;

use super::ast::{Body, Name};
use super::error::{Error, Result};
use super::limits::{Budget, MAX_RENDER_DEPTH};
use super::value::Value;
pub(super) use arguments::Args;
pub(super) use arithmetic::arithmetic;
use loops::Loop;
use macros::Macro;
use scope::Scopes;

/// Text of `body` with `variables`.
pub(super) fn render(body: &Body, variables: Vec<(Name, Value)>, budget: Budget) -> Result<String> {
    let mut render = Render {
        budget,
        out: String::new(),
        scopes: Scopes::new(variables),
        namespaces: Vec::new(),
        macros: Vec::new(),
        loops: Vec::new(),
        serial: 0,
        depth: 0,
        line: 1,
    };
    match render.body(body) {
        Ok(_) => Ok(render.out),
        Err(error) => Err(error.at(render.line)),
    }
}

/// State of a rendering of a tree that lives for `'t`.
pub(super) struct Render<'t> {
    pub(super) budget: Budget,
    out: String,
    scopes: Scopes,
    namespaces: Vec<Vec<(Arc<str>, Value)>>,
    macros: Vec<Macro<'t>>,
    /// Loops that run, from the outermost.
    loops: Vec<Loop<'t>>,
    /// Loops begun so far.
    serial: u64,
    depth: usize,
    /// Line of what is being rendered.
    line: usize,
}

/// Flow after a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'t> Render<'t> {
    /// Counts one more level of nesting and one more step.
    fn enter(&mut self) -> Result<()> {
        self.budget.spend(1)?;
        if self.depth == MAX_RENDER_DEPTH {
            return Err(Error::render("the template nests its calls too deep"));
        }
        self.depth += 1;
        Ok(())
    }

    /// Ends a level. After an error the rendering is over and levels no longer matter.
    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Appends to the output.
    fn emit(&mut self, text: &str) -> Result<()> {
        self.budget.text(text.len())?;
        self.budget.grown(self.out.len() + text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    /// What `run` would have written, as a text.
    fn captured(&mut self, run: impl FnOnce(&mut Self) -> Result<Flow>) -> Result<(Flow, String)> {
        let outer = std::mem::take(&mut self.out);
        let flow = run(self)?;
        Ok((flow, std::mem::replace(&mut self.out, outer)))
    }

    /// Number of a new namespace.
    fn namespace(&mut self, attributes: Vec<(Arc<str>, Value)>) -> Result<Value> {
        self.budget.items(attributes.len() + 1)?;
        self.namespaces.push(attributes);
        Ok(Value::Namespace(self.namespaces.len() - 1))
    }
}

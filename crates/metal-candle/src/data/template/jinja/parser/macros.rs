//! Blocks that are functions: `{% macro %}`, `{% call %}`, `{% generation %}`.

use super::super::ast::{Body, Expr, LinkKind, Macro, Name, Reads, StatementKind};
use super::super::limits::MAX_ARGUMENTS;
use super::{Parser, Result};

/// Parameters with their defaults.
type Parameters = Vec<(Name, Option<Expr>)>;

impl Parser {
    pub(super) fn macro_tag(&mut self) -> Result<StatementKind> {
        let name = self.assigned_name()?;
        let parameters = self.parameters()?;
        let definition = self.function(name, parameters, "endmacro")?;
        Ok(StatementKind::Macro(Box::new(definition)))
    }

    pub(super) fn call_tag(&mut self) -> Result<StatementKind> {
        let parameters = match self.is_operator("(") {
            true => self.parameters()?,
            false => Vec::new(),
        };
        let call = self.expression()?;
        let is_call = match &call {
            Expr::Chain(_, links) => links
                .last()
                .is_some_and(|link| matches!(link.kind, LinkKind::Call(_))),
            _ => false,
        };
        if !is_call {
            return Err(self.fail("expected call"));
        }
        let caller = self.function("caller".into(), parameters, "endcall")?;
        Ok(StatementKind::Call(Box::new(caller), Box::new(call)))
    }

    pub(super) fn generation_tag(&mut self) -> Result<StatementKind> {
        let body = self.outside_of_loops(|parser| parser.block("endgeneration"))?;
        Ok(StatementKind::Generation(body))
    }

    fn function(&mut self, name: Name, parameters: Parameters, end: &str) -> Result<Macro> {
        let outer = std::mem::take(&mut self.reads);
        let body = self.outside_of_loops(|parser| parser.block(end))?;
        let reads = self.reads;
        self.reads = Reads {
            caller: outer.caller | reads.caller,
            varargs: outer.varargs | reads.varargs,
            kwargs: outer.kwargs | reads.kwargs,
        };
        Ok(Macro {
            name,
            parameters,
            body,
            reads,
        })
    }

    /// A function's body cannot leave a loop around its definition.
    fn outside_of_loops(&mut self, parse: impl FnOnce(&mut Self) -> Result<Body>) -> Result<Body> {
        let loops = std::mem::take(&mut self.loops);
        let body = parse(self)?;
        self.loops = loops;
        Ok(body)
    }

    fn parameters(&mut self) -> Result<Parameters> {
        self.expect_operator("(")?;
        let mut parameters: Parameters = Vec::new();
        while !self.is_operator(")") {
            if !parameters.is_empty() {
                self.expect_operator(",")?;
            }
            parameters.push(self.parameter(&parameters)?);
        }
        self.advance();
        Ok(parameters)
    }

    fn parameter(&mut self, before: &Parameters) -> Result<(Name, Option<Expr>)> {
        let name = self.assigned_name()?;
        if before.len() == MAX_ARGUMENTS {
            return Err(self.fail(format!("more than {MAX_ARGUMENTS} parameters")));
        }
        if before.iter().any(|(other, _)| *other == name) {
            return Err(self.fail(format!("two parameters are named '{name}'")));
        }
        if self.skip_operator("=") {
            return Ok((name, Some(self.expression()?)));
        }
        if &*name == "caller" {
            return Err(self.fail("the argument 'caller' must have a default"));
        }
        match before.last() {
            Some((_, Some(_))) => Err(self.fail("non-default argument follows default argument")),
            _ => Ok((name, None)),
        }
    }
}

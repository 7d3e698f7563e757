//! Statements.

use super::super::ast::{Body, Expr, Link, Statement, StatementKind, Target};
use super::super::error::Result;
use super::super::value::Value;
use super::{Flow, Render};

impl<'t> Render<'t> {
    pub(super) fn body(&mut self, body: &'t Body) -> Result<Flow> {
        self.enter()?;
        for statement in body {
            let flow = self.statement(statement)?;
            if flow != Flow::Next {
                self.leave();
                return Ok(flow);
            }
        }
        self.leave();
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'t Statement) -> Result<Flow> {
        self.budget.spend(1)?;
        self.line = statement.line;
        match &statement.kind {
            StatementKind::Text(text) => self.emit(text)?,
            StatementKind::Print(values) => self.print(values)?,
            StatementKind::If(branches, otherwise) => return self.choose(branches, otherwise),
            StatementKind::For(definition) => self.for_loop(definition)?,
            StatementKind::Set(target, value) => {
                let value = self.value(value)?;
                self.assign(target, value)?;
            }
            StatementKind::SetBlock(target, filters, body) => {
                return self.set_block(target, filters, body);
            }
            StatementKind::With(assignments, body) => return self.with(assignments, body),
            StatementKind::Macro(definition) => self.define(definition)?,
            StatementKind::Call(caller, call) => self.call_block(caller, call)?,
            StatementKind::FilterBlock(filters, body) => return self.filter_block(filters, body),
            StatementKind::Generation(body) => return self.scoped(body),
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, values: &'t [Expr]) -> Result<()> {
        for value in values {
            let value = self.value(value)?;
            self.print_value(&value)?;
        }
        Ok(())
    }

    fn print_value(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::Str(text) => self.emit(&text.text),
            other => {
                let text = self.written(other)?;
                self.emit(&text)
            }
        }
    }

    fn choose(&mut self, branches: &'t [(Expr, Body)], otherwise: &'t Body) -> Result<Flow> {
        for (test, body) in branches {
            if self.value(test)?.is_true() {
                return self.body(body);
            }
        }
        self.body(otherwise)
    }

    /// Runs `body` in a scope of its own.
    fn scoped(&mut self, body: &'t Body) -> Result<Flow> {
        let mark = self.scopes.push(self.scopes.current(), &self.budget)?;
        let flow = self.body(body)?;
        self.scopes.pop(mark);
        Ok(flow)
    }

    fn set_block(
        &mut self,
        target: &'t Target,
        filters: &'t [Link],
        body: &'t Body,
    ) -> Result<Flow> {
        let (flow, text) = self.captured(|render| render.scoped(body))?;
        if flow != Flow::Next {
            return Ok(flow);
        }
        let value = self.links(Value::str(text), filters, None)?;
        self.assign(target, value)?;
        Ok(flow)
    }

    fn filter_block(&mut self, filters: &'t [Link], body: &'t Body) -> Result<Flow> {
        let (flow, text) = self.captured(|render| render.scoped(body))?;
        if flow == Flow::Next {
            let value = self.links(Value::str(text), filters, None)?;
            self.print_value(&value)?;
        }
        Ok(flow)
    }

    /// All values are those of the scope around.
    fn with(&mut self, assignments: &'t [(Target, Expr)], body: &'t Body) -> Result<Flow> {
        let mut values = Vec::with_capacity(assignments.len());
        for (_, value) in assignments {
            values.push(self.value(value)?);
        }
        let mark = self.scopes.push(self.scopes.current(), &self.budget)?;
        for ((target, _), value) in assignments.iter().zip(values) {
            self.assign(target, value)?;
        }
        let flow = self.body(body)?;
        self.scopes.pop(mark);
        Ok(flow)
    }
}

//! Statements: text, `{{ ... }}` and tags.

use super::super::ast::{Body, Expr, Statement, StatementKind};
use super::{Error, Kind, Parser, Result};

impl Parser {
    /// Statements up to a tag that is one of `ends`, which stays; up to the end of the template if
    /// there are none.
    pub(super) fn body(&mut self, ends: &[&str]) -> Result<Body> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.kind().clone() {
                Kind::End if ends.is_empty() => return Ok(body),
                Kind::End => return Err(self.unexpected(&expected(ends))),
                Kind::Data(text) => {
                    self.advance();
                    StatementKind::Text(text)
                }
                Kind::VariableBegin => self.print()?,
                _ => {
                    self.expect(&Kind::BlockBegin)?;
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(body);
                    }
                    let kind = self.nested(Self::tag)?;
                    self.expect(&Kind::BlockEnd)?;
                    kind
                }
            };
            body.push(Statement { line, kind });
        }
    }

    /// Body of a block with one end tag, which is taken as far as its name.
    pub(super) fn block(&mut self, end: &str) -> Result<Body> {
        self.block_start()?;
        let body = self.body(&[end])?;
        self.advance();
        Ok(body)
    }

    pub(super) fn block_start(&mut self) -> Result<()> {
        self.skip_operator(":");
        self.expect(&Kind::BlockEnd)
    }

    fn print(&mut self) -> Result<StatementKind> {
        self.advance();
        let value = self.tuple(Self::expression)?;
        self.expect(&Kind::VariableEnd)?;
        Ok(StatementKind::Print(vec![value]))
    }

    fn tag(&mut self) -> Result<StatementKind> {
        let line = self.line();
        let name = self.expect_name()?;
        match &*name {
            "if" => self.if_tag(),
            "for" => self.for_tag(),
            "set" => self.set_tag(),
            "with" => self.with_tag(),
            "macro" => self.macro_tag(),
            "call" => self.call_tag(),
            "filter" => {
                let filters = self.block_filters(true)?;
                Ok(StatementKind::FilterBlock(
                    filters,
                    self.block("endfilter")?,
                ))
            }
            "generation" => self.generation_tag(),
            "print" => self.print_tag(),
            "break" | "continue" => self.jump(&name),
            "block" | "extends" | "include" | "import" | "from" | "autoescape" => Err(
                Error::syntax(line, format!("the tag '{name}' is not supported")),
            ),
            _ => Err(Error::syntax(line, format!("unknown tag '{name}'"))),
        }
    }

    fn if_tag(&mut self) -> Result<StatementKind> {
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let test = self.tuple(Self::or)?;
            self.block_start()?;
            branches.push((test, self.body(&["elif", "else", "endif"])?));
            if self.skip_name("elif") {
                continue;
            }
            if self.skip_name("else") {
                otherwise = self.block("endif")?;
            } else {
                self.advance();
            }
            return Ok(StatementKind::If(branches, otherwise));
        }
    }

    fn set_tag(&mut self) -> Result<StatementKind> {
        let target = self.target(true)?;
        if self.skip_operator("=") {
            return Ok(StatementKind::Set(target, self.tuple(Self::expression)?));
        }
        let filters = self.block_filters(false)?;
        Ok(StatementKind::SetBlock(
            target,
            filters,
            self.block("endset")?,
        ))
    }

    fn with_tag(&mut self) -> Result<StatementKind> {
        let mut assignments = Vec::new();
        while *self.kind() != Kind::BlockEnd {
            if !assignments.is_empty() {
                self.expect_operator(",")?;
            }
            let target = self.nested(|parser| parser.target(false))?;
            self.expect_operator("=")?;
            assignments.push((target, self.expression()?));
        }
        Ok(StatementKind::With(assignments, self.block("endwith")?))
    }

    fn print_tag(&mut self) -> Result<StatementKind> {
        let mut values: Vec<Expr> = Vec::new();
        while *self.kind() != Kind::BlockEnd {
            if !values.is_empty() {
                self.expect_operator(",")?;
            }
            values.push(self.expression()?);
        }
        Ok(StatementKind::Print(values))
    }

    fn jump(&mut self, name: &str) -> Result<StatementKind> {
        if self.loops == 0 {
            return Err(self.fail(format!("'{name}' outside of a loop")));
        }
        Ok(match name {
            "break" => StatementKind::Break,
            _ => StatementKind::Continue,
        })
    }
}

fn expected(ends: &[&str]) -> String {
    let quoted: Vec<_> = ends.iter().map(|end| format!("'{end}'")).collect();
    quoted.join(" or ")
}

//! Values that stand alone: names, literals and brackets.

use std::sync::Arc;

use super::super::ast::{Expr, Literal, Name};
use super::{Kind, Parser, Result};

impl Parser {
    pub(super) fn primary(&mut self) -> Result<Expr> {
        let literal = match self.kind().clone() {
            Kind::Name(name) => {
                self.advance();
                return Ok(self.named(name));
            }
            Kind::Str(_) => return Ok(Expr::Literal(Literal::Str(self.strings()))),
            Kind::Int(value) => Literal::Int(value),
            Kind::Digits(digits) => Literal::Digits(digits.into()),
            Kind::Float(value) => Literal::Float(value),
            Kind::Operator("(") => return self.parenthesised(),
            Kind::Operator("[") => return self.list(),
            Kind::Operator("{") => return self.dict(),
            _ => return Err(self.unexpected("an expression")),
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    fn named(&mut self, name: Name) -> Expr {
        Expr::Literal(match &*name {
            "true" | "True" => Literal::Bool(true),
            "false" | "False" => Literal::Bool(false),
            "none" | "None" => Literal::None,
            _ => {
                self.reads.caller |= &*name == "caller";
                self.reads.varargs |= &*name == "varargs";
                self.reads.kwargs |= &*name == "kwargs";
                return Expr::Name(name);
            }
        })
    }

    /// Neighbouring strings are one.
    fn strings(&mut self) -> Name {
        let mut text = String::new();
        while let Kind::Str(part) = self.kind() {
            text.push_str(part);
            self.advance();
        }
        Arc::from(text)
    }

    fn parenthesised(&mut self) -> Result<Expr> {
        self.advance();
        if self.skip_operator(")") {
            return Ok(Expr::Tuple(Vec::new()));
        }
        let value = self.tuple(Self::expression)?;
        self.expect_operator(")")?;
        Ok(value)
    }

    /// An expression, or a tuple without parentheses.
    pub(super) fn tuple(&mut self, item: fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        let first = item(self)?;
        if !self.is_operator(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.skip_operator(",") && !self.tuple_ends() {
            items.push(item(self)?);
        }
        Ok(Expr::Tuple(items))
    }

    fn tuple_ends(&self) -> bool {
        match self.kind() {
            Kind::VariableEnd | Kind::BlockEnd | Kind::Operator(")") => true,
            Kind::Name(name) => &**name == "recursive",
            _ => false,
        }
    }

    fn list(&mut self) -> Result<Expr> {
        self.advance();
        let mut items = Vec::new();
        while !self.skip_operator("]") {
            items.push(self.expression()?);
            if !self.is_operator("]") {
                self.expect_operator(",")?;
            }
        }
        Ok(Expr::List(items))
    }

    fn dict(&mut self) -> Result<Expr> {
        self.advance();
        let mut entries = Vec::new();
        while !self.skip_operator("}") {
            let key = self.expression()?;
            self.expect_operator(":")?;
            entries.push((key, self.expression()?));
            if !self.is_operator("}") {
                self.expect_operator(",")?;
            }
        }
        Ok(Expr::Dict(entries))
    }
}

//! Expressions.

use std::cmp::Ordering;

use super::super::ast::{Comparison, Conditional, Expr, Link, LinkKind, Name, Operator};
use super::super::error::{Error, Result};
use super::super::filters;
use super::super::predicates;
use super::super::value::{self, Value, compare, contains, equal};
use super::{Args, Render, arithmetic, functions};

impl<'t> Render<'t> {
    pub(super) fn value(&mut self, expr: &'t Expr) -> Result<Value> {
        self.enter()?;
        let value = match expr {
            Expr::Literal(literal) => literal.into(),
            Expr::Name(name) => self.variable(name)?,
            Expr::List(items) => Value::list(self.values(items)?, &self.budget)?,
            Expr::Tuple(items) => Value::tuple(self.values(items)?, &self.budget)?,
            Expr::Dict(entries) => self.dict(entries)?,
            Expr::Or(operands) => self.either(operands, true)?,
            Expr::And(operands) => self.either(operands, false)?,
            Expr::Not { odd, of } => Value::Bool(self.value(of)?.is_true() != *odd),
            Expr::Compare(first, rest) => self.comparisons(first, rest)?,
            Expr::Arithmetic(first, rest) => self.operations(first, rest)?,
            Expr::Concat(operands) => self.concat(operands)?,
            Expr::Signed(signs, of) => self.signed(signs, of)?,
            Expr::Conditional(conditional) => self.conditional(conditional)?,
            Expr::Chain(first, links) => {
                let first = self.value(first)?;
                self.links(first, links, None)?
            }
        };
        self.leave();
        Ok(value)
    }

    fn variable(&mut self, name: &Name) -> Result<Value> {
        if let Some(value) = self.scopes.get(name, &self.budget)? {
            return Ok(value.clone());
        }
        functions::global(name)
    }

    fn values(&mut self, exprs: &'t [Expr]) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(exprs.len());
        for expr in exprs {
            values.push(self.value(expr)?);
        }
        Ok(values)
    }

    fn dict(&mut self, entries: &'t [(Expr, Expr)]) -> Result<Value> {
        let mut values = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            values.push((self.value(key)?, self.value(value)?));
        }
        Ok(Value::Dict(value::Dict::collect(values, &self.budget)?))
    }

    /// The first operand that is as true as `wanted`, or the last.
    fn either(&mut self, operands: &'t [Expr], wanted: bool) -> Result<Value> {
        let mut value = Value::None;
        for operand in operands {
            value = self.value(operand)?;
            if value.is_true() == wanted {
                break;
            }
        }
        Ok(value)
    }

    fn conditional(&mut self, conditional: &'t Conditional) -> Result<Value> {
        if self.value(&conditional.test)?.is_true() {
            return self.value(&conditional.then);
        }
        match &conditional.otherwise {
            Some(otherwise) => self.value(otherwise),
            None => Ok(Value::undefined("the inline if-expression without else")),
        }
    }

    /// `a < b < c` is `a < b and b < c`.
    fn comparisons(&mut self, first: &'t Expr, rest: &'t [(Comparison, Expr)]) -> Result<Value> {
        let mut left = self.value(first)?;
        for (comparison, right) in rest {
            let right = self.value(right)?;
            if !self.holds(*comparison, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    pub(in super::super) fn holds(
        &self,
        comparison: Comparison,
        left: &Value,
        right: &Value,
    ) -> Result<bool> {
        let budget = &self.budget;
        let order = |accepts: fn(Ordering) -> bool| -> Result<bool> {
            Ok(compare(left, right, budget)?.is_some_and(accepts))
        };
        match comparison {
            Comparison::Equal => equal(left, right, budget),
            Comparison::NotEqual => Ok(!equal(left, right, budget)?),
            Comparison::Less => order(Ordering::is_lt),
            Comparison::LessEqual => order(Ordering::is_le),
            Comparison::Greater => order(Ordering::is_gt),
            Comparison::GreaterEqual => order(Ordering::is_ge),
            Comparison::In => contains(right, left, budget),
            Comparison::NotIn => Ok(!contains(right, left, budget)?),
        }
    }

    fn operations(&mut self, first: &'t Expr, rest: &'t [(Operator, Expr)]) -> Result<Value> {
        let mut left = self.value(first)?;
        for (operator, right) in rest {
            let right = self.value(right)?;
            left = arithmetic(self, *operator, &left, &right)?;
        }
        Ok(left)
    }

    fn concat(&mut self, operands: &'t [Expr]) -> Result<Value> {
        let mut text = String::new();
        for operand in operands {
            let value = self.value(operand)?;
            let part = self.written(&value)?;
            self.budget.text(part.len())?;
            self.budget.grown(text.len() + part.len())?;
            text.push_str(&part);
        }
        Ok(Value::str(text))
    }

    fn signed(&mut self, signs: &[bool], of: &'t Expr) -> Result<Value> {
        let mut value = self.value(of)?;
        for minus in signs.iter().rev() {
            self.budget.spend(1)?;
            value = match &value {
                Value::Undefined(name) => return Err(Value::undefined_error(name)),
                Value::Float(x) => Value::Float(if *minus { -x } else { *x }),
                other => {
                    let Some(x) = other.as_int() else {
                        let got = other.type_name();
                        let message = format!("bad operand type for unary sign: '{got}'");
                        return Err(Error::render(message));
                    };
                    let x = if *minus { x.checked_neg() } else { Some(x) };
                    Value::Int(x.ok_or_else(arithmetic::too_large)?)
                }
            };
        }
        Ok(value)
    }

    /// Value of `first` and the links behind it; `caller` goes to the last link, a call.
    pub(super) fn links(
        &mut self,
        first: Value,
        links: &'t [Link],
        mut caller: Option<Value>,
    ) -> Result<Value> {
        let mut value = first;
        let mut rest = links.iter().peekable();
        while let Some(link) = rest.next() {
            self.budget.spend(1)?;
            self.line = link.line;
            // A method that is called at once needs no value of its own.
            if let (None, LinkKind::Attribute(name), Some(next)) =
                (&caller, &link.kind, rest.peek())
                && let LinkKind::Call(arguments) = &next.kind
                && self.is_method(&value, name)
            {
                let args = self.args(arguments)?;
                value = self.call_method(&value, name, args)?;
                rest.next();
                continue;
            }
            let caller = if rest.peek().is_none() {
                caller.take()
            } else {
                None
            };
            value = self.link(value, link, caller)?;
        }
        Ok(value)
    }

    fn link(&mut self, value: Value, link: &'t Link, caller: Option<Value>) -> Result<Value> {
        match &link.kind {
            LinkKind::Attribute(name) => self.attribute(&value, name),
            LinkKind::Item(key) => {
                let key = self.value(key)?;
                self.item(&value, &key)
            }
            LinkKind::Slice(parts) => self.sliced(&value, parts),
            LinkKind::Call(arguments) => {
                let mut args = self.args(arguments)?;
                args.named
                    .extend(caller.map(|caller| ("caller".into(), caller)));
                self.call(&value, args)
            }
            LinkKind::Filter(name, arguments) => {
                let args = self.args(arguments)?;
                filters::apply(self, name, value, args)
            }
            LinkKind::Test {
                name,
                arguments,
                negated,
            } => self.tested(&value, name, arguments, *negated),
        }
    }

    fn tested(
        &mut self,
        value: &Value,
        name: &str,
        arguments: &'t super::super::ast::Arguments,
        negated: bool,
    ) -> Result<Value> {
        let args: Args = self.args(arguments)?;
        let holds = predicates::holds(self, name, value, args)?;
        Ok(Value::Bool(holds != negated))
    }
}

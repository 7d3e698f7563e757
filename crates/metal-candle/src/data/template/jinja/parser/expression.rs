//! Expressions by precedence, from the loosest: conditional, or, and, not, comparison, sum, `~`,
//! product, power, sign, and what follows a value.

use super::super::ast::{Comparison, Conditional, Expr, Link, LinkKind, Name, Operator};
use super::super::limits::MAX_SOURCE_DEPTH;
use super::{Kind, Parser, Result};

/// Operators of a level of precedence.
type Level = &'static [(&'static str, Operator)];

const SUMS: Level = &[("+", Operator::Add), ("-", Operator::Sub)];
const PRODUCTS: Level = &[
    ("*", Operator::Mul),
    ("/", Operator::Div),
    ("//", Operator::FloorDiv),
    ("%", Operator::Mod),
];
const POWERS: Level = &[("**", Operator::Pow)];

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.nested(Self::conditional)
    }

    /// `a if b else c`; without `else` it is undefined where `b` does not hold.
    fn conditional(&mut self) -> Result<Expr> {
        let mut value = self.or()?;
        let mut n = 0;
        while self.skip_name("if") {
            n += 1;
            if n > MAX_SOURCE_DEPTH {
                return Err(self.fail("too many conditions in one expression"));
            }
            let test = self.or()?;
            let otherwise = match self.skip_name("else") {
                true => Some(self.expression()?),
                false => None,
            };
            value = Expr::Conditional(Box::new(Conditional {
                test,
                then: value,
                otherwise,
            }));
        }
        Ok(value)
    }

    /// An expression that a condition may follow, as the iterable of a loop is.
    pub(super) fn or(&mut self) -> Result<Expr> {
        self.nested(|parser| parser.joined("or", Self::and, Expr::Or))
    }

    fn and(&mut self) -> Result<Expr> {
        self.joined("and", Self::not, Expr::And)
    }

    fn joined(
        &mut self,
        word: &str,
        operand: fn(&mut Self) -> Result<Expr>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr> {
        let first = operand(self)?;
        if !self.is_name(word) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.skip_name(word) {
            operands.push(operand(self)?);
        }
        Ok(join(operands))
    }

    fn not(&mut self) -> Result<Expr> {
        let mut n = 0;
        while self.skip_name("not") {
            n += 1;
        }
        let of = self.comparison()?;
        Ok(match n {
            0 => of,
            _ => Expr::Not {
                odd: n % 2 == 1,
                of: Box::new(of),
            },
        })
    }

    fn comparison(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(comparison) = self.skip_comparison() {
            rest.push((comparison, self.sum()?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Compare(Box::new(first), rest),
        })
    }

    fn skip_comparison(&mut self) -> Option<Comparison> {
        let comparison = match self.kind() {
            Kind::Operator("==") => Comparison::Equal,
            Kind::Operator("!=") => Comparison::NotEqual,
            Kind::Operator("<") => Comparison::Less,
            Kind::Operator("<=") => Comparison::LessEqual,
            Kind::Operator(">") => Comparison::Greater,
            Kind::Operator(">=") => Comparison::GreaterEqual,
            Kind::Name(name) if &**name == "in" => Comparison::In,
            Kind::Name(name) if &**name == "not" => match self.next_kind() {
                Kind::Name(name) if &**name == "in" => {
                    self.advance();
                    Comparison::NotIn
                }
                _ => return None,
            },
            _ => return None,
        };
        self.advance();
        Some(comparison)
    }

    fn sum(&mut self) -> Result<Expr> {
        self.arithmetic(SUMS, Self::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if !self.is_operator("~") {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.skip_operator("~") {
            operands.push(self.product()?);
        }
        Ok(Expr::Concat(operands))
    }

    fn product(&mut self) -> Result<Expr> {
        self.arithmetic(PRODUCTS, Self::power)
    }

    /// Jinja2 reads powers from the left, unlike Python.
    fn power(&mut self) -> Result<Expr> {
        self.arithmetic(POWERS, |parser| parser.unary(true))
    }

    fn arithmetic(&mut self, level: Level, operand: fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.skip_level(level) {
            rest.push((operator, operand(self)?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Arithmetic(Box::new(first), rest),
        })
    }

    fn skip_level(&mut self, level: Level) -> Option<Operator> {
        let found = level.iter().find(|(text, _)| self.is_operator(text));
        let operator = found.map(|(_, operator)| *operator)?;
        self.advance();
        Some(operator)
    }

    /// A sign holds for what follows up to the first filter or test.
    fn unary(&mut self, with_filters: bool) -> Result<Expr> {
        let mut signs = Vec::new();
        while self.is_operator("-") || self.is_operator("+") {
            signs.push(self.is_operator("-"));
            self.advance();
        }
        let mut value = self.primary()?;
        let mut links = Vec::new();
        self.postfix(&mut links)?;
        if !signs.is_empty() {
            value = Expr::Signed(signs, Box::new(chained(value, std::mem::take(&mut links))));
        }
        if with_filters {
            self.filters_and_tests(&mut links)?;
        }
        Ok(chained(value, links))
    }

    /// `.name`, `[...]`, `(...)`, as many as follow.
    pub(super) fn postfix(&mut self, links: &mut Vec<Link>) -> Result<()> {
        loop {
            let line = self.line();
            let kind = if self.skip_operator(".") {
                self.attribute()?
            } else if self.skip_operator("[") {
                self.subscript()?
            } else if self.is_operator("(") {
                LinkKind::Call(self.arguments()?)
            } else {
                return Ok(());
            };
            links.push(Link { line, kind });
        }
    }

    fn filters_and_tests(&mut self, links: &mut Vec<Link>) -> Result<()> {
        loop {
            let line = self.line();
            let kind = if self.skip_operator("|") {
                self.filter()?
            } else if self.skip_name("is") {
                self.test()?
            } else if self.is_operator("(") {
                LinkKind::Call(self.arguments()?)
            } else {
                return Ok(());
            };
            links.push(Link { line, kind });
        }
    }

    /// Filters of a block: `upper | trim`, or with `|` before each.
    pub(super) fn block_filters(&mut self, mut inline: bool) -> Result<Vec<Link>> {
        let mut links = Vec::new();
        while inline || self.skip_operator("|") {
            inline = false;
            let line = self.line();
            let kind = self.filter()?;
            links.push(Link { line, kind });
        }
        Ok(links)
    }

    fn filter(&mut self) -> Result<LinkKind> {
        let name = self.dotted_name()?;
        let arguments = match self.is_operator("(") {
            true => self.arguments()?,
            false => Default::default(),
        };
        Ok(LinkKind::Filter(name, arguments))
    }

    /// `is name`, `is not name(...)`, `is name argument`.
    fn test(&mut self) -> Result<LinkKind> {
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let mut arguments = Default::default();
        if self.is_operator("(") {
            arguments = self.arguments()?;
        } else if self.test_argument_follows()? {
            let value = self.nested(Self::primary)?;
            let mut links = Vec::new();
            self.postfix(&mut links)?;
            arguments.positional.push(chained(value, links));
        }
        Ok(LinkKind::Test {
            name,
            arguments,
            negated,
        })
    }

    fn test_argument_follows(&self) -> Result<bool> {
        Ok(match self.kind() {
            Kind::Name(name) => match &**name {
                "else" | "or" | "and" => false,
                "is" => return Err(self.fail("You cannot chain multiple tests with is")),
                _ => true,
            },
            Kind::Str(_) | Kind::Int(_) | Kind::Digits(_) | Kind::Float(_) => true,
            Kind::Operator(operator) => matches!(*operator, "[" | "{"),
            _ => false,
        })
    }

    fn dotted_name(&mut self) -> Result<Name> {
        let mut name = self.expect_name()?;
        while self.skip_operator(".") {
            name = format!("{name}.{}", self.expect_name()?).into();
        }
        Ok(name)
    }

    fn attribute(&mut self) -> Result<LinkKind> {
        let kind = match self.kind() {
            Kind::Name(name) => LinkKind::Attribute(name.clone()),
            Kind::Int(_) => LinkKind::Item(self.primary()?),
            _ => return Err(self.unexpected("a name or a number")),
        };
        if matches!(kind, LinkKind::Attribute(_)) {
            self.advance();
        }
        Ok(kind)
    }

    /// After `[`: an item, a slice, or a tuple as a key.
    fn subscript(&mut self) -> Result<LinkKind> {
        let mut keys = Vec::new();
        while !self.is_operator("]") {
            if !keys.is_empty() {
                self.expect_operator(",")?;
            }
            match self.subscribed()? {
                LinkKind::Item(key) => keys.push(key),
                slice if keys.is_empty() && self.is_operator("]") => {
                    self.advance();
                    return Ok(slice);
                }
                _ => return Err(self.fail("slices in a tuple are not supported")),
            }
        }
        self.advance();
        Ok(LinkKind::Item(match keys.len() {
            1 => keys.remove(0),
            _ => Expr::Tuple(keys),
        }))
    }

    fn subscribed(&mut self) -> Result<LinkKind> {
        let start = match self.is_operator(":") {
            true => None,
            false => Some(self.expression()?),
        };
        let start = match start {
            Some(key) if !self.is_operator(":") => return Ok(LinkKind::Item(key)),
            start => start,
        };
        self.expect_operator(":")?;
        let stop = self.slice_part()?;
        let step = match self.skip_operator(":") {
            true => self.slice_part()?,
            false => None,
        };
        Ok(LinkKind::Slice(Box::new([start, stop, step])))
    }

    fn slice_part(&mut self) -> Result<Option<Expr>> {
        if [":", "]", ","].iter().any(|end| self.is_operator(end)) {
            return Ok(None);
        }
        self.expression().map(Some)
    }
}

pub(super) fn chained(value: Expr, links: Vec<Link>) -> Expr {
    match links.is_empty() {
        true => value,
        false => Expr::Chain(Box::new(value), links),
    }
}

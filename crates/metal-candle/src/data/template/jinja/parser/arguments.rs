//! Arguments of a call.

use super::super::ast::Arguments;
use super::super::limits::MAX_ARGUMENTS;
use super::{Kind, Parser, Result};

impl Parser {
    /// `(a, b, c=d, *e, **f)`.
    pub(super) fn arguments(&mut self) -> Result<Arguments> {
        self.expect_operator("(")?;
        let mut arguments = Arguments::default();
        while !self.skip_operator(")") {
            self.argument(&mut arguments)?;
            if arguments.positional.len() + arguments.named.len() > MAX_ARGUMENTS {
                return Err(self.fail(format!("more than {MAX_ARGUMENTS} arguments")));
            }
            if !self.is_operator(")") {
                self.expect_operator(",")?;
            }
        }
        Ok(arguments)
    }

    fn argument(&mut self, arguments: &mut Arguments) -> Result<()> {
        let stars = arguments.star.is_some() || arguments.double_star.is_some();
        if self.is_operator("*") {
            self.ensure(!stars)?;
            self.advance();
            arguments.star = Some(Box::new(self.expression()?));
        } else if self.is_operator("**") {
            self.ensure(arguments.double_star.is_none())?;
            self.advance();
            arguments.double_star = Some(Box::new(self.expression()?));
        } else if let Kind::Name(name) = self.kind().clone()
            && *self.next_kind() == Kind::Operator("=")
        {
            self.ensure(arguments.double_star.is_none())?;
            self.ensure(arguments.named.iter().all(|(other, _)| *other != name))?;
            self.advance();
            self.advance();
            arguments.named.push((name, self.expression()?));
        } else {
            self.ensure(!stars && arguments.named.is_empty())?;
            arguments.positional.push(self.expression()?);
        }
        Ok(())
    }

    fn ensure(&self, holds: bool) -> Result<()> {
        match holds {
            true => Ok(()),
            false => Err(self.fail("invalid syntax for function call expression")),
        }
    }
}

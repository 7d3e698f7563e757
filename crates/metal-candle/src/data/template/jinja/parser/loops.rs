//! `{% for %}`.

use super::super::ast::{For, StatementKind};
use super::{Parser, Result};

impl Parser {
    pub(super) fn for_tag(&mut self) -> Result<StatementKind> {
        let target = self.target(false)?;
        self.expect_keyword("in")?;
        let iterable = self.tuple(Self::or)?;
        let filter = match self.skip_name("if") {
            true => Some(self.expression()?),
            false => None,
        };
        let recursive = self.skip_name("recursive");
        self.block_start()?;
        self.loops += 1;
        let body = self.body(&["endfor", "else"])?;
        self.loops -= 1;
        let otherwise = match self.skip_name("else") {
            true => self.block("endfor")?,
            false => {
                self.advance();
                Vec::new()
            }
        };
        Ok(StatementKind::For(Box::new(For {
            target,
            iterable,
            filter,
            recursive,
            body,
            otherwise,
        })))
    }
}

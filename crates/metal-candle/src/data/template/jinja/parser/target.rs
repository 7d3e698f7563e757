//! Targets of assignments: names, attributes of namespaces, and tuples of these.

use super::super::ast::{Name, Target};
use super::{Kind, Parser, Result};

impl Parser {
    /// Target of a loop or an assignment, perhaps a tuple without parentheses.
    pub(super) fn target(&mut self, with_namespace: bool) -> Result<Target> {
        self.nested(|parser| {
            let first = parser.single_target(with_namespace)?;
            if !parser.is_operator(",") {
                return Ok(first);
            }
            let mut targets = vec![first];
            while parser.skip_operator(",") && !parser.target_ends() {
                targets.push(parser.single_target(with_namespace)?);
            }
            if targets.len() == 1 {
                return Err(parser.fail("a single name with a comma cannot be assigned to"));
            }
            Ok(Target::Tuple(targets))
        })
    }

    fn target_ends(&self) -> bool {
        match self.kind() {
            Kind::BlockEnd | Kind::Operator(")" | "=") => true,
            Kind::Name(name) => &**name == "in",
            _ => false,
        }
    }

    fn single_target(&mut self, with_namespace: bool) -> Result<Target> {
        if self.skip_operator("(") {
            let target = self.target(false)?;
            self.expect_operator(")")?;
            return Ok(target);
        }
        let name = self.assigned_name()?;
        if with_namespace && self.skip_operator(".") {
            return Ok(Target::Attribute(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }

    pub(super) fn assigned_name(&mut self) -> Result<Name> {
        let name = self.expect_name()?;
        match &*name {
            "true" | "True" | "false" | "False" | "none" | "None" => {
                Err(self.fail(format!("can't assign to '{name}'")))
            }
            _ => Ok(name),
        }
    }
}

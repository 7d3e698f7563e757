//! Assignment.

use super::super::ast::{Name, Target};
use super::super::error::{Error, Result};
use super::super::value::Value;
use super::Render;

impl Render<'_> {
    pub(super) fn assign(&mut self, target: &Target, value: Value) -> Result<()> {
        match target {
            Target::Name(name) => self.scopes.set(name, value, &self.budget),
            Target::Attribute(namespace, name) => self.assign_attribute(namespace, name, value),
            Target::Tuple(targets) => {
                let items = self.iterate(&value)?;
                if items.values.len() != targets.len() {
                    let (expected, got) = (targets.len(), items.values.len());
                    let message = format!("expected {expected} values to unpack, got {got}");
                    return Err(Error::render(message));
                }
                for (target, value) in targets.iter().zip(&items.values) {
                    self.assign(target, value.clone())?;
                }
                Ok(())
            }
        }
    }

    fn assign_attribute(&mut self, namespace: &Name, name: &Name, value: Value) -> Result<()> {
        let Some(Value::Namespace(id)) = self.scopes.get(namespace, &self.budget)?.cloned() else {
            let message = "cannot assign attribute on non-namespace object";
            return Err(Error::render(message));
        };
        check_attribute(name)?;
        let attributes = &mut self.namespaces[id];
        self.budget.spend(attributes.len() / 8)?;
        match attributes.iter_mut().find(|(other, _)| other == name) {
            Some((_, slot)) => *slot = value,
            None => {
                self.budget.items(2)?;
                attributes.push((name.clone(), value));
            }
        }
        Ok(())
    }
}

/// transformers refuses names with an underscore in front.
pub(super) fn check_attribute(name: &str) -> Result<()> {
    if name.starts_with('_') {
        let message =
            format!("cannot store underscore-prefixed attributes on a namespace, got '{name}'");
        return Err(Error::render(message));
    }
    Ok(())
}

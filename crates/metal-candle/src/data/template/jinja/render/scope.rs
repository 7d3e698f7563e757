//! Scopes of variables.

use super::super::ast::Name;
use super::super::error::Result;
use super::super::limits::Budget;
use super::super::value::Value;

/// All scopes of a rendering. A macro keeps the scope it was defined in by its number, so there
/// are no cycles.
pub(super) struct Scopes {
    scopes: Vec<Scope>,
    current: usize,
    /// Scopes that macros may still refer to: none below this number is removed.
    pinned: usize,
}

struct Scope {
    variables: Vec<(Name, Value)>,
    parent: usize,
}

/// State to return to when a scope ends.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    length: usize,
    current: usize,
}

impl Scopes {
    pub(super) fn new(variables: Vec<(Name, Value)>) -> Self {
        let parent = 0;
        Self {
            scopes: vec![Scope { variables, parent }],
            current: 0,
            pinned: 1,
        }
    }

    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// Begins a scope inside of `parent`.
    pub(super) fn push(&mut self, parent: usize, budget: &Budget) -> Result<Mark> {
        budget.items(2)?;
        let (length, current) = (self.scopes.len(), self.current);
        let variables = Vec::new();
        self.scopes.push(Scope { variables, parent });
        self.current = length;
        Ok(Mark { length, current })
    }

    pub(super) fn pop(&mut self, mark: Mark) {
        self.scopes.truncate(mark.length.max(self.pinned));
        self.current = mark.current;
    }

    /// Keeps all scopes there are, for a macro that was defined in the current one.
    pub(super) fn pin(&mut self) {
        self.pinned = self.scopes.len();
    }

    /// Sets a variable of the current scope.
    pub(super) fn set(&mut self, name: &Name, value: Value, budget: &Budget) -> Result<()> {
        let variables = &mut self.scopes[self.current].variables;
        budget.spend(variables.len() / 8)?;
        match variables.iter_mut().find(|(other, _)| other == name) {
            Some((_, slot)) => *slot = value,
            None => {
                budget.items(2)?;
                variables.push((name.clone(), value));
            }
        }
        Ok(())
    }

    /// Variable of the current scope or of one around it.
    pub(super) fn get(&self, name: &str, budget: &Budget) -> Result<Option<&Value>> {
        let mut at = self.current;
        loop {
            let scope = &self.scopes[at];
            budget.spend(scope.variables.len() / 8)?;
            if let Some((_, value)) = scope.variables.iter().find(|(other, _)| **other == *name) {
                return Ok(Some(value));
            }
            if at == 0 {
                return Ok(None);
            }
            at = scope.parent;
        }
    }
}

//! Lists, tuples, dicts, views of dicts, and ranges.

use std::rc::Rc;
use std::sync::Arc;

use super::super::limits::{Budget, MAX_RANGE, MAX_VALUE_DEPTH};
use super::{Error, Result, Value, key_equal};

/// Items of a list or tuple.
#[derive(Debug)]
pub(crate) struct Items {
    pub(in super::super) values: Vec<Value>,
    pub(super) depth: usize,
    /// A tuple of `groupby`, with the names `grouper` and `list`.
    pub(in super::super) group: bool,
}

/// Entries of a dict in their order. Dicts of templates are small: a key is looked for from the
/// beginning.
#[derive(Debug)]
pub(crate) struct Dict {
    pub(in super::super) entries: Vec<(Value, Value)>,
    pub(super) depth: usize,
}

/// Part of its dict that a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ViewKind {
    Keys,
    Values,
    Items,
}

#[derive(Debug)]
pub(crate) struct View {
    pub(in super::super) dict: Rc<Dict>,
    pub(in super::super) kind: ViewKind,
}

/// Python's `range`; `step` is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(in super::super) start: i128,
    pub(in super::super) stop: i128,
    pub(in super::super) step: i128,
}

impl Items {
    pub(in super::super) fn new(values: Vec<Value>, budget: &Budget) -> Result<Rc<Self>> {
        budget.items(values.len())?;
        let depth = bounded(values.iter().map(Value::depth).max())?;
        Ok(Rc::new(Self {
            values,
            depth,
            group: false,
        }))
    }

    pub(in super::super) fn group(key: Value, list: Value, budget: &Budget) -> Result<Rc<Self>> {
        let items = Self::new(vec![key, list], budget)?;
        Ok(Rc::new(Self {
            values: items.values.clone(),
            depth: items.depth,
            group: true,
        }))
    }
}

impl Dict {
    /// Entries whose keys are known to differ.
    pub(in super::super) fn new(entries: Vec<(Value, Value)>, budget: &Budget) -> Result<Rc<Self>> {
        budget.items(entries.len().saturating_mul(2))?;
        let depths = entries
            .iter()
            .map(|(key, value)| key.depth().max(value.depth()));
        let depth = bounded(depths.max())?;
        Ok(Rc::new(Self { entries, depth }))
    }

    /// Entries of which a later one replaces the value of an earlier one with the same key.
    pub(in super::super) fn collect(
        entries: impl IntoIterator<Item = (Value, Value)>,
        budget: &Budget,
    ) -> Result<Rc<Self>> {
        let mut unique: Vec<(Value, Value)> = Vec::new();
        for (key, value) in entries {
            match position(&unique, &key, budget)? {
                Some(at) => unique[at].1 = value,
                None => unique.push((key, value)),
            }
        }
        Self::new(unique, budget)
    }

    /// Value of a key.
    ///
    /// # Errors
    /// When the key cannot be one (a list).
    pub(in super::super) fn get(&self, key: &Value, budget: &Budget) -> Result<Option<&Value>> {
        let at = position(&self.entries, key, budget)?;
        Ok(at.map(|at| &self.entries[at].1))
    }

    /// Value of a key that is a text.
    pub(in super::super) fn get_str(&self, key: &str, budget: &Budget) -> Result<Option<&Value>> {
        budget.spend(self.entries.len() / 8)?;
        let found = self
            .entries
            .iter()
            .find(|(other, _)| other.as_str() == Some(key));
        Ok(found.map(|(_, value)| value))
    }
}

fn position(entries: &[(Value, Value)], key: &Value, budget: &Budget) -> Result<Option<usize>> {
    budget.spend(entries.len() / 8)?;
    if let Some(key) = key.as_str() {
        return Ok(entries
            .iter()
            .position(|(other, _)| other.as_str() == Some(key)));
    }
    check_hashable(key, budget)?;
    for (at, (other, _)) in entries.iter().enumerate() {
        if key_equal(other, key, budget)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

pub(in super::super) fn check_hashable(key: &Value, budget: &Budget) -> Result<()> {
    budget.spend(1)?;
    match key {
        Value::List(_) | Value::Dict(_) => Err(Error::render(format!(
            "unhashable type: '{}'",
            key.type_name()
        ))),
        Value::Tuple(items) => {
            let mut items = items.values.iter();
            items.try_for_each(|item| check_hashable(item, budget))
        }
        _ => Ok(()),
    }
}

impl View {
    pub(in super::super) fn len(&self) -> usize {
        self.dict.entries.len()
    }

    pub(super) fn depth(&self) -> usize {
        self.dict.depth + 2
    }

    /// What the view shows, as items.
    pub(in super::super) fn items(&self, budget: &Budget) -> Result<Rc<Items>> {
        let entries = self.dict.entries.iter();
        let values = match self.kind {
            ViewKind::Keys => entries.map(|(key, _)| key.clone()).collect(),
            ViewKind::Values => entries.map(|(_, value)| value.clone()).collect(),
            ViewKind::Items => entries
                .map(|(key, value)| {
                    let pair = vec![key.clone(), value.clone()];
                    Ok(Value::Tuple(Items::new(pair, budget)?))
                })
                .collect::<Result<_>>()?,
        };
        Items::new(values, budget)
    }
}

impl Range {
    pub(in super::super) fn new(start: i128, stop: i128, step: i128) -> Result<Self> {
        if step == 0 {
            return Err(Error::render("range() arg 3 must not be zero"));
        }
        let far = |value: i128| value.unsigned_abs() > 1 << 100;
        let range = Self { start, stop, step };
        if far(start) || far(stop) || far(step) || range.count() > MAX_RANGE {
            let message = format!("a range has more than {MAX_RANGE} items");
            return Err(Error::render(message));
        }
        Ok(range)
    }

    fn count(&self) -> i128 {
        let span = match self.step > 0 {
            true => self.stop - self.start,
            false => self.start - self.stop,
        };
        let step = self.step.abs();
        if span <= 0 {
            0
        } else {
            (span + step - 1) / step
        }
    }

    pub(in super::super) fn len(&self) -> usize {
        self.count() as usize
    }

    pub(in super::super) fn get(&self, at: usize) -> Value {
        Value::Int(self.start + at as i128 * self.step)
    }
}

fn bounded(inner: Option<usize>) -> Result<usize> {
    let depth = inner.unwrap_or(0) + 1;
    if depth > MAX_VALUE_DEPTH {
        let message = format!("values are nested more than {MAX_VALUE_DEPTH} levels deep");
        return Err(Error::render(message));
    }
    Ok(depth)
}

impl Value {
    pub(in super::super) fn list(values: Vec<Value>, budget: &Budget) -> Result<Self> {
        Ok(Self::List(Items::new(values, budget)?))
    }

    pub(in super::super) fn tuple(values: Vec<Value>, budget: &Budget) -> Result<Self> {
        Ok(Self::Tuple(Items::new(values, budget)?))
    }

    /// A dict of names.
    pub(in super::super) fn dict(named: Vec<(Arc<str>, Value)>, budget: &Budget) -> Result<Self> {
        let entries = named
            .into_iter()
            .map(|(name, value)| (Self::str(name), value));
        Ok(Self::Dict(Dict::collect(entries, budget)?))
    }
}

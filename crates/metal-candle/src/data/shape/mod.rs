//! Shape of the rows of a data set: which columns are read, and as what. It is told by the columns of the first row,
//! or by a person.

mod ambiguous;
mod chat;
mod detect;
mod pair;
mod path;
mod preference;
#[cfg(test)]
mod tests;

use std::fmt;

use super::error::RowError;
use super::json::{Json, Object};
use super::row::{Row, RowKind, fields};
use pair::Pair;
use preference::Preference;

/// Columns that a person names in place of those that are looked for. A column of objects is entered with dots:
/// `answers.text.0`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Column of what is given.
    pub prompt: Option<String>,
    /// Column of what is to be learnt.
    pub completion: Option<String>,
    /// Column of conversations.
    pub chat: Option<String>,
    /// Column of plain text.
    pub text: Option<String>,
}

impl Keys {
    /// Whether no column is named.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Columns of a data set, and what a row is made of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    name: String,
    /// Columns that are read, in the order in which they are named.
    read: Vec<String>,
    columns: Columns,
    /// A person named columns: nothing else is looked for in a row.
    is_told: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Columns {
    Pair(Pair),
    Chat(String),
    Text(String),
    Preference(Preference),
}

impl Shape {
    /// The shape of the rows whose first is `row`, all of its columns included.
    ///
    /// # Errors
    /// When its columns make no row, or several.
    pub(super) fn of(row: &Object, keys: &Keys) -> Result<Self, RowError> {
        detect::shape(row, keys)
    }

    fn new(name: impl Into<String>, columns: Columns, row: &Object, is_told: bool) -> Self {
        let mut shape = Self {
            name: name.into(),
            read: Vec::new(),
            columns,
            is_told,
        };
        // A column that is null in the first row may be none in others.
        let beside = shape.beside(|key| row.contains_key(key));
        let beside = beside.map(str::to_owned);
        let needed = shape.needed().into_iter().map(str::to_owned);
        shape.read = beside.chain(needed).collect();
        shape
    }

    /// Kind of the rows.
    pub fn kind(&self) -> RowKind {
        match self.columns {
            Columns::Pair(_) => RowKind::Completion,
            Columns::Chat(_) => RowKind::Messages,
            Columns::Text(_) => RowKind::Text,
            Columns::Preference(_) => RowKind::Preference,
        }
    }

    /// Name of the shape, as people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Columns that are read, as far as the first row has them.
    pub fn columns(&self) -> &[String] {
        &self.read
    }

    /// Whether a person named the columns.
    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Columns that every row must have.
    fn needed(&self) -> Vec<&str> {
        match &self.columns {
            Columns::Pair(pair) => vec![&pair.prompt, &pair.completion],
            Columns::Chat(key) | Columns::Text(key) => vec![key],
            Columns::Preference(columns) => columns.needed(),
        }
    }

    /// Columns that are read beside those that a row must have: of each group the first that is there.
    fn beside(&self, is_there: impl Fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
        let (has_system, has_context) = match &self.columns {
            Columns::Pair(pair) => (!pair.is_plain, !pair.is_plain),
            Columns::Chat(_) | Columns::Preference(_) => (true, false),
            Columns::Text(_) => (false, false),
        };
        let needed = self.needed();
        let first = |group: &[&'static str]| {
            let others = group.iter().filter(|key| !needed.contains(key));
            others.copied().find(|key| is_there(key))
        };
        let system = has_system.then(|| first(&pair::SYSTEMS)).flatten();
        let context = has_context.then(|| first(&pair::CONTEXTS)).flatten();
        system.into_iter().chain(context)
    }

    /// Takes the row out of the fields of a line; what is left was not read. `is_chat`: the tokenizer has a chat
    /// template.
    ///
    /// # Errors
    /// When a field is absent or has a value of the wrong type.
    pub(super) fn take(&self, row: &mut Object, is_chat: bool) -> Result<Row, RowError> {
        for key in self.needed() {
            if path::get(row, key).is_none() {
                return Err(self.lacks(row, key));
            }
        }
        let tools = match &self.columns {
            Columns::Text(_) => None,
            Columns::Pair(pair) if !is_chat && !pair.is_plain => None,
            _ => fields::take_tools(row)?,
        };
        let read = match &self.columns {
            Columns::Pair(pair) => pair.row(row, tools, is_chat)?,
            Columns::Chat(key) => Row::Messages {
                messages: chat::with_system(chat::column(row, key)?, pair::system(row)?),
                tools,
            },
            Columns::Text(key) => Row::Text(path::text(row, key)?),
            Columns::Preference(columns) => columns.row(row, tools)?,
        };
        let beside = self.beside(|key| path::get(row, key).is_some());
        let beside: Vec<String> = beside.map(str::to_owned).collect();
        let needed = self
            .needed()
            .into_iter()
            .map(|key| path::column(row, key).to_owned());
        for key in needed.collect::<Vec<_>>().into_iter().chain(beside) {
            row.shift_remove(&key);
        }
        Ok(read)
    }

    /// Column of what the system says, and its text, where the row has one that is read.
    pub(super) fn system(&self, row: &Object) -> Option<(&'static str, String)> {
        let mut beside = self.beside(|key| path::get(row, key).is_some());
        let key = beside.find(|key| pair::SYSTEMS.contains(key))?;
        let text = path::text(row, key).ok()?;
        (!text.trim().is_empty()).then_some((key, text))
    }

    fn lacks(&self, row: &Object, key: &str) -> RowError {
        RowError::OtherKind {
            expected: self.needed().into_iter().map(str::to_owned).collect(),
            key: key.to_owned(),
            got: names(row),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.read.join(", "))
    }
}

/// Names of the columns of a row, as messages show them.
fn names(row: &Object) -> Vec<String> {
    row.iter()
        .map(|(key, value)| match value {
            Json::Null => format!("{key} (null)"),
            _ => key.clone(),
        })
        .collect()
}

//! Records of a file that is opened when the first of them is asked for: a table may lie in more files than a process may
//! hold open.

use super::{Record, Records, RowError};
use crate::data::error::Result;

type Open = Box<dyn FnOnce() -> Result<Records>>;

/// Records that are not there yet.
struct Later {
    open: Option<Open>,
    items: Box<dyn Iterator<Item = Record>>,
}

impl Iterator for Later {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if let Some(open) = self.open.take() {
            match open() {
                Ok(records) => self.items = records.items,
                Err(error) => {
                    return Some(Record {
                        number: 1,
                        value: Err(RowError::Encode(error)),
                    });
                }
            }
        }
        self.items.next()
    }
}

/// Records that `open` gives, whose file is closed until its records are asked for.
///
/// # Errors
/// When it cannot be opened now.
pub(super) fn later(open: impl Fn() -> Result<Records> + 'static) -> Result<Records> {
    let Records { path, unit, items } = open()?;
    drop(items);
    Ok(Records {
        path,
        unit,
        items: Box::new(Later {
            open: Some(Box::new(open)),
            items: Box::new(std::iter::empty()),
        }),
    })
}

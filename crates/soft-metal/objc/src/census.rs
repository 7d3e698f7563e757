//! How many instances of each class live, and how many there have ever been.

use crate::prelude::*;

/// Instances of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Allocated and not yet deallocated.
    pub live: isize,
    /// Allocated since the process began.
    pub total: usize,
}

/// Every class that has ever had an instance.
pub fn census() -> BTreeMap<String, Census> {
    let classes = CLASSES.read().unwrap();
    let all = classes.values().map(|&c| unsafe { &*(c as *const Class) });
    all.map(|c| (c.name.to_string_lossy().into_owned(), count(c))).filter(|(_, n)| n.total > 0).collect()
}

fn count(c: &Class) -> Census {
    Census { live: c.live.load(SeqCst), total: c.total.load(SeqCst) }
}

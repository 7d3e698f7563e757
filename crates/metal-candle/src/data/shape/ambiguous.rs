//! Ways to read columns, as a message lists them.

use super::{Columns, Shape};

/// The options that ask for a shape, and what it is then.
pub(super) fn way(shape: &Shape) -> String {
    let options = match &shape.columns {
        Columns::Pair(pair) => format!(
            "--prompt-key {} --completion-key {}",
            pair.prompt, pair.completion
        ),
        Columns::Chat(key) => format!("--chat-key {key}"),
        Columns::Text(key) => format!("--text-key {key}"),
        Columns::Preference(_) => String::new(),
    };
    format!("{options} for {shape}")
}

//! Words of commands that are shown to be typed.

use std::path::Path;

/// The word as a shell takes it: as it is, or in single quotes where it would be read as something else.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A path as a shell takes it.
pub fn path(path: &Path) -> String {
    word(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_or_expand_them() {
        for plain in ["adapters", "Qwen/Qwen3-0.6B", "./a_b/c-1.gguf", "schön"] {
            assert_eq!(word(plain), plain);
        }
        assert_eq!(word("my adapters"), "'my adapters'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("$HOME*"), "'$HOME*'");
        assert_eq!(word("~x"), "'~x'");
        assert_eq!(word(""), "''");
    }
}

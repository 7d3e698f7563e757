//! Common beginnings of texts, cut where a template's own words end.

/// How much of `expected` `actual` begins with, in bytes: all of it, or as far as the last
/// boundary.
pub(super) fn shared_prefix(actual: &str, expected: &str) -> Option<usize> {
    let common = common_prefix(actual, expected);
    if common == expected.len() {
        return Some(common);
    }
    boundaries(&expected[..common]).find(|&end| is_boundary(expected[..end].chars().next_back()))
}

/// Where `text` may be cut, from its end to its beginning: at its end, and behind every boundary.
pub(super) fn boundaries(text: &str) -> impl Iterator<Item = usize> {
    let inside = text
        .char_indices()
        .rev()
        .filter(|&(_, c)| is_boundary(Some(c)));
    std::iter::once(text.len()).chain(inside.map(|(at, c)| at + c.len_utf8()))
}

/// A common prefix may end inside of a marker (`<|im_end|>` and `<|im_start|>` share `<|im_`): it
/// is safe to cut only behind a blank or a closing bracket.
fn is_boundary(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_whitespace() || matches!(c, '>' | ']' | '}' | ')'))
}

/// Length in bytes of the longest common prefix.
pub(super) fn common_prefix(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_prefix_ends_at_a_boundary() {
        assert_eq!(shared_prefix("<|a|>x", "<|a|>"), Some(5));
        assert_eq!(
            shared_prefix("<|im_end|>\n<|im_start|>", "<|im_end|>\n<|im_end|>"),
            Some(11)
        );
        assert_eq!(shared_prefix("<|end|>", "<|return|>"), None);
        assert_eq!(shared_prefix("x", ""), Some(0));
        assert_eq!(shared_prefix("é中", "é国"), None);
    }

    #[test]
    fn boundaries_come_from_the_end() {
        assert_eq!(boundaries("<a> b").collect::<Vec<_>>(), [5, 4, 3]);
        assert_eq!(boundaries("").collect::<Vec<_>>(), [0]);
    }
}

//! Text in a page.

use crate::terminal;
use std::fmt::Write;

/// `text` as the content of an element or an attribute: never a tag, a reference or the end of an attribute. Control
/// characters and those that turn the direction of writing are spelled out.
pub fn escaped(text: &str) -> String {
    let text = terminal::spelled_out(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No text of HTML may hold it.
            '\u{fffe}' | '\u{ffff}' => {
                // Writing to a string never fails.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_element() {
        let hostile = "</pre><script>alert('x')</script>&lt;\"\u{0}\u{1b}[31m\u{202e}\u{ffff}\n\té";
        let expected = "&lt;/pre&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;lt;&quot;\
                        \\u{0}\\u{1b}[31m\\u{202e}\\u{ffff}\n\té";
        assert_eq!(escaped(hostile), expected);
    }
}

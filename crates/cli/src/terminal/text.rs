//! Text from files, servers and models, made fit for a terminal: what would move the cursor, change colours or turn the
//! order of letters is spelled out, and a message has an end.

use std::borrow::Cow;
use std::fmt::Write;

/// Longest line of a message, in characters.
const LINE_CHARS: usize = 2000;

/// Most lines of a message: a head, twenty of a list, and how many more there are.
const LINES: usize = 24;

/// Longest message, in characters.
const MESSAGE_CHARS: usize = 8000;

/// `text` with control characters as `\u{1b}`, `\r` and so on; line breaks and tabs stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    respelled(text, |c, out| out.extend(c.escape_default()))
}

/// JSON with the characters that JSON itself lets stand.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    respelled(json, |c, out| {
        // Writing to a string never fails.
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    })
}

fn respelled(text: &str, spell: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match is_control(c) {
            true => spell(c, &mut out),
            false => out.push(c),
        }
    }
    out.into()
}

/// Unicode's control characters, and those that turn the direction of writing.
fn is_control(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || turns
}

/// `text`, each of its lines and their number cut to what somebody would read.
pub fn bounded(text: &str) -> Cow<'_, str> {
    // Bytes are no fewer than characters.
    let is_short = text.len() <= MESSAGE_CHARS && text.lines().count() <= LINES;
    if is_short && text.lines().all(|line| line.len() <= LINE_CHARS) {
        return text.into();
    }
    let n_lines = text.lines().count();
    let shown = match n_lines > LINES {
        true => LINES - 1,
        false => n_lines,
    };
    let lines = text.lines().take(shown);
    let mut lines: Vec<Cow<'_, str>> = lines.map(|line| cut(line, LINE_CHARS)).collect();
    if shown < n_lines {
        lines.push(format!("... and {} more lines", n_lines - shown).into());
    }
    let end = if text.ends_with('\n') { "\n" } else { "" };
    format!("{}{end}", cut(&lines.join("\n"), MESSAGE_CHARS)).into()
}

/// Both ends of `text`, where it is longer than `limit` characters.
fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    let n = match text.len() <= limit {
        true => return text.into(),
        false => text.chars().count(),
    };
    if n <= limit {
        return text.into();
    }
    let half = limit / 2;
    let at = |index: usize| {
        text.char_indices()
            .nth(index)
            .map_or(text.len(), |(at, _)| at)
    };
    let (head, tail) = (&text[..at(half)], &text[at(n - half)..]);
    format!("{head} ... {} characters ... {tail}", n - 2 * half).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        let text = "a\u{1b}[31mred\u{7}\r\n\tb\u{9b}1m \u{202e}cba\u{2069} \u{7f}é漢";
        let expected = "a\\u{1b}[31mred\\u{7}\\r\n\tb\\u{9b}1m \\u{202e}cba\\u{2069} \\u{7f}é漢";
        assert_eq!(escaped(text), expected);
        assert!(matches!(escaped("plain\n\té\u{200f}"), Cow::Borrowed(_)));
        assert_eq!(escaped_json("\"\u{9b}\u{202e}\""), "\"\\u009b\\u202e\"");
    }

    #[test]
    fn messages_have_an_end() {
        let short = "error: a\n  b\n";
        assert!(matches!(bounded(short), Cow::Borrowed(_)));
        let line = format!("error: {}end\n", "é".repeat(1_000_000));
        let cut = bounded(&line);
        assert_eq!(
            cut.chars().count(),
            LINE_CHARS + " ... 998010 characters ... \n".chars().count()
        );
        assert!(
            cut.starts_with("error: é") && cut.ends_with("éend\n"),
            "{cut}"
        );
        let list: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        let cut = bounded(&list);
        assert_eq!(cut.lines().count(), LINES);
        assert!(cut.ends_with("line 22\n... and 977 more lines\n"), "{cut}");
        let both: String = (0..1000).map(|_| "x".repeat(5000) + "\n").collect();
        assert!(bounded(&both).chars().count() < MESSAGE_CHARS + 100);
    }
}

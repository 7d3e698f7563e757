//! Tokens of preprocessed MSL.

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Word(String),
    Number(String),
    Text(String),
    Operator(String),
    /// A line that the preprocessor left, as `#pragma`.
    Line(String),
    /// The operator before it and the one after it touch: `>>` is two closing brackets or one shift.
    Glue,
}

use Token::*;

const TWO: &[&str] = &[
    "::", "->", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=", "++", "--", "[[", "]]", "<<", "|=", "&=",
    "^=", "%=",
];

pub fn lex(source: &str) -> Vec<Token> {
    let bytes = source.as_bytes();
    let (mut i, mut tokens, mut line_start) = (0, vec![], true);
    while i < bytes.len() {
        let c = bytes[i];
        if c.is_ascii_whitespace() {
            line_start |= c == b'\n';
            i += 1;
            continue;
        }
        let end = match c {
            b'#' if line_start => source[i..].find('\n').map_or(bytes.len(), |n| i + n),
            _ if is_word(c) && !c.is_ascii_digit() => span(bytes, i, is_word),
            _ if c.is_ascii_digit() || (c == b'.' && bytes.get(i + 1).is_some_and(u8::is_ascii_digit)) => {
                number(bytes, i)
            }
            b'"' | b'\'' => quoted(bytes, i),
            _ => i + operator(&source[i..]),
        };
        let text = source[i..end].to_string();
        tokens.push(match c {
            b'#' if line_start => Line(text),
            b'"' | b'\'' => Text(text),
            _ if is_word(c) && !c.is_ascii_digit() => Word(text),
            _ if c.is_ascii_digit() || (c == b'.' && text.len() > 1 && text != "...") => Number(text),
            _ => Operator(text),
        });
        if &source[i..end] == ">" && matches!(bytes.get(end), Some(b'>' | b'=')) {
            tokens.push(Glue);
        }
        line_start = false;
        i = end;
    }
    tokens
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_'
}

fn span(bytes: &[u8], start: usize, f: fn(u8) -> bool) -> usize {
    (start..bytes.len()).find(|&i| !f(bytes[i])).unwrap_or(bytes.len())
}

fn number(bytes: &[u8], start: usize) -> usize {
    let hex = bytes[start..].starts_with(b"0x");
    let mut i = start;
    while i < bytes.len() {
        let sign = matches!(bytes[i], b'+' | b'-') && i > start && matches!(bytes[i - 1], b'e' | b'E') && !hex;
        if !(bytes[i].is_ascii_alphanumeric() || bytes[i] == b'.' || sign) {
            break;
        }
        i += 1;
    }
    i
}

fn quoted(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() && bytes[i] != bytes[start] {
        i += if bytes[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(bytes.len())
}

fn operator(rest: &str) -> usize {
    if rest.starts_with("...") {
        return 3;
    }
    if TWO.iter().any(|o| rest.starts_with(o)) { 2 } else { rest.chars().next().map_or(1, char::len_utf8) }
}

/// Back to text; statements end lines, so that a compiler's messages and `__builtin_LINE` tell them apart.
pub fn text(tokens: &[Token]) -> String {
    let mut s = String::new();
    for token in tokens {
        match token {
            Glue => drop(s.pop()),
            Line(line) => s.push_str(&format!("\n{line}\n")),
            Word(x) | Number(x) | Text(x) => s.push_str(&format!("{x} ")),
            Operator(x) => {
                s.push_str(x);
                s.push(if matches!(x.as_str(), ";" | "{" | "}") { '\n' } else { ' ' });
            }
        }
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_exponents_and_suffixes() {
        let t = lex("1e-5f + .5h - 0xffe+1");
        assert_eq!(t[0], Number("1e-5f".into()));
        assert_eq!(t[2], Number(".5h".into()));
        assert_eq!(t[4], Number("0xffe".into()));
    }

    #[test]
    fn shifts_and_closing_brackets_survive() {
        assert_eq!(text(&lex("a >> b; vec<vec<T>> c; d >= e;")), "a >> b ;\nvec < vec < T >> c ;\nd >= e ;\n");
    }

    #[test]
    fn texts_and_lines_are_whole() {
        let t = lex("#pragma x [[y]]\nf(\"a\\\"]]\")");
        assert_eq!(t[0], Line("#pragma x [[y]]".into()));
        assert_eq!(t[3], Text("\"a\\\"]]\"".into()));
    }
}

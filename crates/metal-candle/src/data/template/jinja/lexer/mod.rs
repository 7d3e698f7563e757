//! Tokens of a template, split where Jinja2's lexer splits
//! (`trim_blocks`, `lstrip_blocks`, no line statements).

mod literal;
mod tag;

use super::ast::Name;
use super::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Data(Name),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(Name),
    Str(String),
    Int(i128),
    Digits(String),
    Float(f64),
    Operator(&'static str),
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

/// Tokens of `source`, with [`Kind::End`] at the end.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>> {
    let source = normalised(source);
    let mut lexer = Lexer {
        rest: &source,
        line: 1,
        line_starting: true,
        tokens: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.tokens)
}

/// Jinja2 turns CR LF and CR into LF and drops one line break at the end before it looks at
/// anything.
fn normalised(source: &str) -> String {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    source
}

/// Python's white space, which `str.strip` and `\s` know too.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

struct Lexer<'s> {
    rest: &'s str,
    line: usize,
    /// Whether `rest` begins a line, as far as `lstrip_blocks` is concerned.
    line_starting: bool,
    tokens: Vec<Token>,
}

/// Beginning of a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    Variable,
    Block,
    Comment,
}

impl<'s> Lexer<'s> {
    fn run(&mut self) -> Result<()> {
        while let Some((at, opening)) = next_opening(self.rest) {
            let text = self.take(at);
            let line = self.line;
            self.line += newlines(text);
            self.take(2);
            let sign = self.take_sign();
            self.data(stripped(text, sign, opening, self.line_starting), line);
            match opening {
                Opening::Comment => self.comment()?,
                Opening::Block if self.raw_begins() => self.raw()?,
                Opening::Block => self.tag(Kind::BlockBegin)?,
                Opening::Variable => self.tag(Kind::VariableBegin)?,
            }
        }
        let text = self.rest;
        self.data(text, self.line);
        self.line += newlines(text);
        self.push(Kind::End);
        Ok(())
    }

    fn push(&mut self, kind: Kind) {
        let line = self.line;
        self.tokens.push(Token { kind, line });
    }

    fn data(&mut self, text: &str, line: usize) {
        if !text.is_empty() {
            let kind = Kind::Data(text.into());
            self.tokens.push(Token { kind, line });
        }
    }

    fn take(&mut self, n_bytes: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at(n_bytes);
        self.rest = rest;
        taken
    }

    fn take_if(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_spaces(&mut self) {
        let trimmed = self.rest.trim_start_matches(is_space);
        let spaces = self.take(self.rest.len() - trimmed.len());
        self.line += newlines(spaces);
        if !spaces.is_empty() {
            self.line_starting = spaces.ends_with('\n');
        }
    }

    fn take_sign(&mut self) -> Option<char> {
        let sign = self.rest.chars().next().filter(|c| matches!(c, '-' | '+'));
        self.take(usize::from(sign.is_some()));
        sign
    }

    /// What follows the end of a tag: `-` takes all white space, nothing one line break, `+` none.
    fn after_end(&mut self, sign: Option<char>, trim: bool) {
        self.line_starting = false;
        match sign {
            Some('-') => self.take_spaces(),
            None if trim && self.take_if("\n") => {
                self.line += 1;
                self.line_starting = true;
            }
            _ => {}
        }
    }

    fn comment(&mut self) -> Result<()> {
        let Some(at) = self.rest.find("#}") else {
            // Jinja2 takes an opening at the very end for a whole comment.
            if self.rest.is_empty() {
                return Ok(());
            }
            return Err(Error::syntax(self.line, "Missing end of comment tag"));
        };
        let text = self.take(at);
        self.line += newlines(text);
        self.take(2);
        let sign = text.chars().next_back().filter(|c| matches!(c, '-' | '+'));
        self.after_end(sign, true);
        Ok(())
    }

    /// Whether `{% raw %}` stands here; if so it is taken.
    fn raw_begins(&mut self) -> bool {
        let spaces = |text: &'s str| text.trim_start_matches(is_space);
        let Some(rest) = spaces(self.rest).strip_prefix("raw") else {
            return false;
        };
        let rest = spaces(rest);
        let (rest, strip) = match rest.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let Some(rest) = rest.strip_prefix("%}") else {
            return false;
        };
        self.line += newlines(self.take(self.rest.len() - rest.len()));
        self.after_end(strip.then_some('-'), false);
        true
    }

    fn raw(&mut self) -> Result<()> {
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("{%").map(|at| from + at) {
            if let Some((sign, length, end_sign)) = raw_end(&self.rest[at..]) {
                let text = self.take(at);
                let line = self.line;
                self.data(
                    stripped(text, sign, Opening::Block, self.line_starting),
                    line,
                );
                self.line += newlines(text);
                self.line += newlines(self.take(length));
                self.after_end(end_sign, true);
                return Ok(());
            }
            from = at + 2;
        }
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::syntax(self.line, "Missing end of raw directive"))
    }
}

/// Sign before, length, and sign after, of the `{% endraw %}` that `text` begins with.
fn raw_end(text: &str) -> Option<(Option<char>, usize, Option<char>)> {
    let sign_of = |text: &str| text.chars().next().filter(|c| matches!(c, '-' | '+'));
    let rest = &text[2..];
    let sign = sign_of(rest);
    let rest = rest[usize::from(sign.is_some())..].trim_start_matches(is_space);
    let rest = rest.strip_prefix("endraw")?.trim_start_matches(is_space);
    let end_sign = sign_of(rest);
    let rest = rest[usize::from(end_sign.is_some())..].strip_prefix("%}")?;
    Some((sign, text.len() - rest.len(), end_sign))
}

/// Text before a tag: `-` strips it; without a sign a block or comment loses the blanks between the
/// line's beginning and itself.
fn stripped(text: &str, sign: Option<char>, opening: Opening, line_starting: bool) -> &str {
    match sign {
        Some('-') => text.trim_end_matches(is_space),
        None if opening != Opening::Variable => {
            let line = text.rfind('\n').map_or(0, |at| at + 1);
            let blank = text[line..].chars().all(is_space);
            if (line > 0 || line_starting) && blank {
                &text[..line]
            } else {
                text
            }
        }
        _ => text,
    }
}

fn next_opening(text: &str) -> Option<(usize, Opening)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = text[from..].find('{').map(|at| from + at) {
        match bytes.get(at + 1) {
            Some(b'{') => return Some((at, Opening::Variable)),
            Some(b'%') => return Some((at, Opening::Block)),
            Some(b'#') => return Some((at, Opening::Comment)),
            _ => from = at + 1,
        }
    }
    None
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'\n').count()
}

//! The parser. What Python's `json` accepts is accepted, what it refuses is an error with its
//! column.

use indexmap::IndexMap;

use super::{Json, reason};

/// Deepest nesting of lists and objects. No data set comes near; beyond it a stack could end.
const MAX_DEPTH: usize = 200;

/// Reason why a text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at column {column}")]
pub struct JsonError {
    /// What was expected, or what is wrong.
    pub reason: String,
    /// Character of the line, from 1.
    pub column: usize,
}

/// Reason of a string without an end.
const OPEN_STRING: &str = "the text ends inside of a string";

impl JsonError {
    /// Whether the text ends inside of a string.
    pub(in crate::data) fn is_in_string(&self) -> bool {
        self.reason == OPEN_STRING
    }
}

/// A value, and the keys that stand more than once in an object: the last one counts.
pub(in crate::data) type Parsed = (Json, Vec<String>);

/// Reads one value from all of `bytes`.
///
/// # Errors
/// When the bytes are no UTF-8, no JSON, or nested deeper than 200 levels.
pub(in crate::data) fn parse(bytes: &[u8]) -> Result<Parsed, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        duplicates: Vec::new(),
    };
    let value = parser.value()?;
    parser.skip_blanks();
    match parser.peek() {
        None => Ok((value, parser.duplicates)),
        Some(b',') => Err(parser.error(reason::COMMA_BEHIND_VALUE)),
        Some(_) => Err(parser.error(reason::MORE_TEXT)),
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> JsonError {
    let before = String::from_utf8_lossy(&bytes[..at]);
    JsonError {
        reason: format!(
            "the byte 0x{:02X} is no UTF-8",
            bytes.get(at).copied().unwrap_or(0)
        ),
        column: before.chars().count() + 1,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    duplicates: Vec<String>,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Json, JsonError> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(self.string()?.map_or(Json::LoneSurrogate, Json::String)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
            None => Err(self.error("the text ends where a value is expected")),
        }
    }

    /// Python's words for numbers without digits included.
    fn word(&mut self) -> Result<Json, JsonError> {
        let words = [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
            ("NaN", Json::Float(f64::NAN)),
            ("Infinity", Json::Float(f64::INFINITY)),
        ];
        for (word, value) in words {
            if self.take(word) {
                return Ok(value);
            }
        }
        Err(self.error(reason::NO_VALUE))
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Json, JsonError>,
    ) -> Result<Json, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("lists and objects nested more than 200 deep"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.skip_blanks();
        if self.take("]") {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_blanks();
            if self.take("]") {
                return Ok(Json::Array(items));
            }
            self.expect(",", reason::COMMA_OR_END_OF_LIST)?;
            self.refuse_end(b']', reason::COMMA_BEHIND_LAST_ITEM)?;
        }
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut object = IndexMap::new();
        self.skip_blanks();
        if self.take("}") {
            return Ok(Json::Object(object));
        }
        loop {
            let key = self.key()?;
            let value = self.value()?;
            if object.contains_key(&key) {
                self.duplicates.push(key.clone());
            }
            object.insert(key, value);
            self.skip_blanks();
            if self.take("}") {
                return Ok(Json::Object(object));
            }
            self.expect(",", reason::COMMA_OR_END_OF_OBJECT)?;
            self.refuse_end(b'}', reason::COMMA_BEHIND_LAST_ENTRY)?;
        }
    }

    /// A key, and the colon behind it.
    fn key(&mut self) -> Result<String, JsonError> {
        self.skip_blanks();
        if self.peek() != Some(b'"') {
            return Err(self.error(reason::NO_KEY));
        }
        // Nothing is read from a key with half a surrogate pair.
        let key = self.string()?.unwrap_or_else(|| "\u{FFFD}".to_owned());
        self.skip_blanks();
        self.expect(":", reason::NO_COLON)?;
        Ok(key)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        let is_negative = self.take("-");
        if is_negative && self.take("Infinity") {
            return Ok(Json::Float(f64::NEG_INFINITY));
        }
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            self.at -= whole.len() - 1;
            return Err(self.error("a number begins with 0"));
        }
        let mut is_float = false;
        if self.take(".") {
            is_float = true;
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            is_float = true;
            let _ = self.take("+") || self.take("-");
            self.digits()?;
        }
        let number = &self.text[start..self.at];
        Ok(match number.parse() {
            Ok(integer) => Json::Int(integer),
            Err(_) if is_float => Json::Float(number.parse().unwrap_or(f64::NAN)),
            Err(_) => Json::BigInt(number.to_owned()),
        })
    }

    fn digits(&mut self) -> Result<&str, JsonError> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("expected a digit"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    /// A string; `None` when it holds half of a surrogate pair.
    fn string(&mut self) -> Result<Option<String>, JsonError> {
        self.at += 1;
        let mut out = String::new();
        let mut is_whole = true;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .find(|c| c == '"' || c == '\\' || c < ' ')
                .unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(is_whole.then_some(out));
                }
                Some(b'\\') => match self.escape()? {
                    Some(c) => out.push(c),
                    None => is_whole = false,
                },
                Some(_) => {
                    return Err(
                        self.error("a control character inside of a string (write \\n or \\t)")
                    );
                }
                None => return Err(self.error(OPEN_STRING)),
            }
        }
    }

    /// What an escape stands for; `None` for half of a surrogate pair.
    fn escape(&mut self) -> Result<Option<char>, JsonError> {
        self.at += 1;
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => return self.unicode(),
            None => return Err(self.error(OPEN_STRING)),
            Some(_) => return Err(self.error("an unknown escape")),
        };
        self.at += 1;
        Ok(Some(c))
    }

    fn unicode(&mut self) -> Result<Option<char>, JsonError> {
        let high = self.hex()?;
        if !(0xD800..0xDC00).contains(&high) || !self.text[self.at..].starts_with("\\u") {
            return Ok(char::from_u32(high));
        }
        let before = self.at;
        self.at += 1;
        let low = self.hex()?;
        if (0xDC00..0xE000).contains(&low) {
            let pair = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return Ok(char::from_u32(pair));
        }
        self.at = before;
        Ok(None)
    }

    /// The four digits behind a `u`.
    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at + 1..self.at + 5);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(unit) = unit else {
            return Err(self.error("expected four hexadecimal digits behind \\u"));
        };
        self.at += 5;
        Ok(unit)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.text[self.at..].starts_with(word);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn expect(&mut self, word: &str, reason: &str) -> Result<(), JsonError> {
        match self.take(word) {
            true => Ok(()),
            false => Err(self.error(reason)),
        }
    }

    /// Refuses an end behind a comma, which other languages take.
    fn refuse_end(&mut self, end: u8, reason: &str) -> Result<(), JsonError> {
        self.skip_blanks();
        match self.peek() == Some(end) {
            true => Err(self.error(reason)),
            false => Ok(()),
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn error(&self, reason: &str) -> JsonError {
        JsonError {
            reason: reason.to_owned(),
            column: self.text[..self.at].chars().count() + 1,
        }
    }
}

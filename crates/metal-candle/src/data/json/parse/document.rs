//! Documents of rows: every row with the keys that stand more than once in it.

use indexmap::IndexMap;

use super::{JsonError, Parsed, Parser, all};

/// A document of rows.
pub(in crate::data) enum Document {
    /// A list of them.
    List(Vec<Parsed>),
    /// An object that may hold lists of them.
    Object(Lists),
    /// Anything else.
    Other,
}

/// Entries of an object that may hold lists of rows.
pub(in crate::data) type Lists = IndexMap<String, Member>;

/// Entry of an object.
pub(in crate::data) enum Member {
    /// A list, each of its items with the keys that stand more than once in it.
    List(Vec<Parsed>),
    /// Anything else.
    Other,
}

/// Reads a document of rows from all of `bytes`.
///
/// # Errors
/// As [`parse`](super::parse).
pub(in crate::data) fn parse_document(bytes: &[u8]) -> Result<Document, JsonError> {
    all(bytes, |parser| {
        parser.skip_blanks();
        match parser.peek() {
            Some(b'[') => parser.nested(Parser::rows).map(Document::List),
            Some(b'{') => parser
                .nested(|parser| parser.entries(Parser::member))
                .map(Document::Object),
            _ => parser.value().map(|_| Document::Other),
        }
    })
}

impl Parser<'_> {
    /// Items of a list, each with the keys that stand more than once in it.
    fn rows(&mut self) -> Result<Vec<Parsed>, JsonError> {
        self.items(|parser| {
            let value = parser.value()?;
            Ok((value, std::mem::take(&mut parser.duplicates)))
        })
    }

    fn member(&mut self) -> Result<Member, JsonError> {
        self.skip_blanks();
        match self.peek() {
            Some(b'[') => self.nested(Self::rows).map(Member::List),
            _ => {
                self.value()?;
                self.duplicates.clear();
                Ok(Member::Other)
            }
        }
    }
}

//! Reasons that the parser and the stream of a document share.

pub(super) const NO_VALUE: &str = "expected a value";
pub(super) const NO_KEY: &str = "expected a key in double quotes";
pub(super) const NO_COLON: &str = "expected a colon";
pub(super) const COMMA_OR_END_OF_LIST: &str = "expected a comma or the end of the list";
pub(super) const COMMA_OR_END_OF_OBJECT: &str = "expected a comma or the end of the object";
pub(super) const COMMA_BEHIND_LAST_ITEM: &str = "a comma behind the last item of the list";
pub(super) const COMMA_BEHIND_LAST_ENTRY: &str = "a comma behind the last entry of the object";
pub(super) const COMMA_BEHIND_VALUE: &str = "a comma behind the value";
pub(super) const MORE_TEXT: &str = "more text behind the value";

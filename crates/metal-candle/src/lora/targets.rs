use super::Error;
use super::pattern::Pattern;

/// Layers that an adapter goes to, with PEFT's meaning of each form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Layers whose path is a name or ends in `.` and a name.
    Names(Vec<String>),
    /// Layers whose whole path matches a regular expression, in Python's dialect.
    Regex(String),
    /// Every linear layer of the blocks.
    AllLinear,
}

impl Targets {
    /// Compiles the targets; `what` names the setting in errors.
    pub(super) fn matcher(&self, what: &'static str) -> Result<Matcher<'_>, Error> {
        Ok(match self {
            Self::Names(names) => Matcher::Names(names),
            Self::Regex(pattern) => Matcher::Regex(Pattern::whole(what, pattern)?),
            Self::AllLinear => Matcher::All,
        })
    }
}

impl std::fmt::Display for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Names(names) => write!(f, "{names:?}"),
            Self::Regex(pattern) => write!(f, "regular expression {pattern:?}"),
            Self::AllLinear => write!(f, "\"all-linear\""),
        }
    }
}

pub(super) enum Matcher<'a> {
    Names(&'a [String]),
    Regex(Pattern),
    All,
}

impl Matcher<'_> {
    pub(super) fn matches(&self, path: &str) -> Result<bool, Error> {
        match self {
            Self::Names(names) => Ok(names.iter().any(|name| ends_in(path, name))),
            Self::Regex(pattern) => pattern.is_match(path),
            Self::All => Ok(true),
        }
    }

    /// Whether `path` itself is one of the names: a list of blocks does not apply to it then.
    pub(super) fn names_exactly(&self, path: &str) -> bool {
        matches!(self, Self::Names(names) if names.iter().any(|name| name == path))
    }
}

/// `path` is `name`, or ends in `.name`.
pub(super) fn ends_in(path: &str, name: &str) -> bool {
    match path.strip_suffix(name) {
        Some(head) => head.is_empty() || head.ends_with('.'),
        None => false,
    }
}

use super::Error;
use regex::Regex;

/// Which linear layers an adapter goes to, with PEFT's meaning of each form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Layers whose path is a name or ends in `.` and a name.
    Names(Vec<String>),
    /// Layers whose whole path matches a regular expression.
    Regex(String),
    /// Every linear layer but the output head.
    AllLinear,
}

impl Targets {
    /// Compiles the targets.
    pub(super) fn matcher(&self, what: &'static str) -> Result<Matcher<'_>, Error> {
        Ok(match self {
            Self::Names(names) => Matcher::Names(names),
            Self::Regex(pattern) => Matcher::Regex(whole(what, pattern)?),
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
    Regex(Regex),
    All,
}

impl Matcher<'_> {
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| ends_in(path, name)),
            Self::Regex(regex) => regex.is_match(path),
            Self::All => true,
        }
    }
}

/// `path` is `name`, or ends in `.name`.
pub(super) fn ends_in(path: &str, name: &str) -> bool {
    match path.strip_suffix(name) {
        Some(head) => head.is_empty() || head.ends_with('.'),
        None => false,
    }
}

/// The key of a `rank_pattern` or `alpha_pattern`: a regular expression for the end of a path.
pub(super) fn pattern_key(what: &'static str, key: &str) -> Result<Regex, Error> {
    whole(what, &format!(r"(.*\.)?({key})"))
}

fn whole(what: &'static str, pattern: &str) -> Result<Regex, Error> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|source| Error::Regex {
        what,
        source: Box::new(source),
    })
}

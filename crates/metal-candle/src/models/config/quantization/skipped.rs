use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::json::shown_name;
use fancy_regex::Regex;

/// Modules that a configuration leaves as they are, as transformers matches them: a name is the
/// beginning of a path up to a whole part of it, as a regular expression, or the end of a path.
#[derive(Clone, Debug, Default)]
pub struct Skipped {
    names: Vec<(String, Regex)>,
}

impl Skipped {
    /// Takes the list `field`; nothing where it is absent.
    pub(super) fn take(fields: &mut Fields<'_>, field: &str) -> Result<Self> {
        let names = fields.texts(field)?.unwrap_or_default().into_iter();
        let names = names.map(|name| match pattern(name) {
            Some(regex) => Ok((name.to_string(), regex)),
            None => Err(fields.wrong(field, "names, or regular expressions", shown_name(name))),
        });
        Ok(Self {
            names: names.collect::<Result<_>>()?,
        })
    }

    /// The name that leaves out the module at `path`.
    #[must_use]
    pub fn name(&self, path: &str) -> Option<&str> {
        let skips = |(name, regex): &&(String, Regex)| {
            // An expression that gives up matches nothing.
            path.ends_with(name.as_str()) || regex.is_match(path).unwrap_or(false)
        };
        self.names.iter().find(skips).map(|(name, _)| name.as_str())
    }
}

fn pattern(name: &str) -> Option<Regex> {
    Regex::new(&format!(r"^(?:{name})(?:(?<=\.)|(?=\.|$))")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn skipped(names: &[&str]) -> Result<Skipped> {
        let settings = json!({ "names": names });
        let mut fields = Fields::new(settings.as_object().unwrap(), Path::new("config.json"));
        Skipped::take(&mut fields, "names")
    }

    /// Cases of `should_convert_module` of transformers.
    #[test]
    fn a_name_is_a_beginning_an_expression_or_an_end() {
        let is_skipped = |name: &str, path: &str| skipped(&[name]).unwrap().name(path).is_some();
        assert!(is_skipped("layers.1", "layers.1.mlp"));
        assert!(!is_skipped("layers.1", "layers.11.mlp"));
        assert!(is_skipped("layers.*", "layers.11.mlp"));
        assert!(is_skipped("up_proj", "layers.1.mlp.up_proj"));
        assert!(!is_skipped("layers.1.mlp.gate", "layers.1.mlp.gate_proj"));
        assert!(!is_skipped("mlp", "layers.1.mlp.up_proj"));
        assert!(skipped(&["("]).unwrap_err().to_string().contains("got ("));
    }
}

//! Which chat template a tokenizer folder offers: Hugging Face keeps it in one of three places.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{Error, Result};
use super::template::ChatTemplate;
use crate::files;

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// The templates of a folder by name.
#[derive(Default)]
pub(super) struct Templates {
    named: Vec<Named>,
}

struct Named {
    name: String,
    path: PathBuf,
    source: String,
    /// A template that does not compile is an error only for those who use it.
    compiled: std::result::Result<ChatTemplate, String>,
}

impl Templates {
    /// Reads `chat_template.jinja` and `additional_chat_templates/tool_use.jinja`, or else the
    /// `chat_template` of `config`: a template, or a list of `{name, template}`.
    pub(super) fn read(
        folder: &Path,
        config_path: &Path,
        config: &Map<String, Value>,
    ) -> Result<Self> {
        let mut templates = Self::default();
        templates.add_file(DEFAULT, &folder.join("chat_template.jinja"))?;
        let additional = folder.join("additional_chat_templates");
        templates.add_file(TOOL_USE, &additional.join("tool_use.jinja"))?;
        if templates.named.is_empty() {
            templates.add_config(config_path, config.get("chat_template"))?;
        }
        Ok(templates)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The template for a conversation with or without tools, as transformers chooses it.
    ///
    /// # Errors
    /// When it does not compile. `None` when there is none.
    pub(super) fn choose(&self, has_tools: bool) -> Result<Option<&ChatTemplate>> {
        let Some(template) = self.named(has_tools) else {
            return Ok(None);
        };
        match &template.compiled {
            Ok(compiled) => Ok(Some(compiled)),
            Err(reason) => Err(Error::config(&template.path, reason.clone())),
        }
    }

    /// The text of the template that [`choose`](Self::choose) gives.
    pub(super) fn source(&self, has_tools: bool) -> Option<&str> {
        Some(&self.named(has_tools)?.source)
    }

    fn named(&self, has_tools: bool) -> Option<&Named> {
        let find = |name| self.named.iter().find(|template| template.name == name);
        let for_tools = if has_tools { find(TOOL_USE) } else { None };
        for_tools.or_else(|| find(DEFAULT))
    }

    fn add(&mut self, name: &str, path: &Path, source: &str) {
        self.named.push(Named {
            name: name.to_owned(),
            path: path.to_owned(),
            source: source.to_owned(),
            compiled: ChatTemplate::compile(source).map_err(|error| error.to_string()),
        });
    }

    fn add_file(&mut self, name: &str, path: &Path) -> Result<()> {
        if path.is_file() {
            self.add(name, path, &files::read_text(path)?);
        }
        Ok(())
    }

    fn add_config(&mut self, path: &Path, value: Option<&Value>) -> Result<()> {
        match value {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(source)) => {
                self.add(DEFAULT, path, source);
                Ok(())
            }
            Some(Value::Array(entries)) => entries
                .iter()
                .try_for_each(|entry| self.add_entry(path, entry)),
            Some(_) => Err(Error::config(path, LIST_EXPECTED.to_owned())),
        }
    }

    fn add_entry(&mut self, path: &Path, entry: &Value) -> Result<()> {
        let field = |key| entry.get(key).and_then(Value::as_str);
        let (Some(name), Some(source)) = (field("name"), field("template")) else {
            return Err(Error::config(path, LIST_EXPECTED.to_owned()));
        };
        self.add(name, path, source);
        Ok(())
    }
}

const LIST_EXPECTED: &str =
    "chat_template: expected a string or a list of objects with \"name\" and \"template\"";

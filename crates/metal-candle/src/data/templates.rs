//! Chat templates of a tokenizer folder: Hugging Face keeps it in one of four places.

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
    /// Reads `chat_template.jinja` and `additional_chat_templates/*.jinja`, or else the
    /// `chat_template` of `config`, or else that of `chat_template.json`, as older processors have
    /// it: a template, a list of `{name, template}`, or an object of templates by name. `folder` may be a file, which
    /// has them in `config` only.
    pub(super) fn read(
        folder: &Path,
        config_path: &Path,
        config: &Map<String, Value>,
    ) -> Result<Self> {
        let (mut templates, is_folder) = (Self::default(), !folder.is_file());
        if is_folder {
            templates.add_file(DEFAULT, &folder.join("chat_template.jinja"))?;
            templates.add_folder(&folder.join("additional_chat_templates"))?;
        }
        if templates.named.is_empty() {
            templates.add_config(config_path, config.get("chat_template"))?;
        }
        if templates.named.is_empty() && is_folder {
            templates.add_processor(&folder.join("chat_template.json"))?;
        }
        Ok(templates)
    }

    /// One template, which comes from no file.
    ///
    /// # Errors
    /// When it does not compile.
    pub(super) fn one(source: &str) -> Result<Self> {
        let mut templates = Self::default();
        templates.add(DEFAULT, Path::new("the chat template"), source);
        templates.choose(false)?;
        Ok(templates)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The template for a conversation with or without tools, as transformers chooses it.
    ///
    /// # Errors
    /// When it does not compile, or all there are have other names. `None` when there is none.
    pub(super) fn choose(&self, has_tools: bool) -> Result<Option<&ChatTemplate>> {
        let Some(template) = self.named(has_tools) else {
            return self.no_default();
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

    fn no_default(&self) -> Result<Option<&ChatTemplate>> {
        let Some(first) = self.named.first() else {
            return Ok(None);
        };
        let names: Vec<_> = self.named.iter().map(|named| named.name.as_str()).collect();
        let reason = format!("no chat template is named {DEFAULT:?}; got {names:?}");
        Err(Error::config(&first.path, reason))
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
        if files::is_there(path) {
            self.add(name, path, &files::read_text(path)?);
        }
        Ok(())
    }

    /// Adds the templates of `folder`, each under the name of its file.
    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jinja")
        });
        paths.sort();
        for path in paths {
            if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
                self.add_file(name, &path)?;
            }
        }
        Ok(())
    }

    fn add_processor(&mut self, path: &Path) -> Result<()> {
        if !files::is_there(path) {
            return Ok(());
        }
        let text = files::read_text(path)?;
        let json: Value = serde_json::from_str(&text)
            .map_err(|error| Error::config(path, format!("not valid JSON: {error}")))?;
        self.add_config(path, json.get("chat_template"))
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
            Some(Value::Object(named)) => {
                for (name, source) in named {
                    let source = source.as_str().ok_or_else(|| unexpected(path))?;
                    self.add(name, path, source);
                }
                Ok(())
            }
            Some(_) => Err(unexpected(path)),
        }
    }

    fn add_entry(&mut self, path: &Path, entry: &Value) -> Result<()> {
        let field = |key| entry.get(key).and_then(Value::as_str);
        let (Some(name), Some(source)) = (field("name"), field("template")) else {
            return Err(unexpected(path));
        };
        self.add(name, path, source);
        Ok(())
    }
}

fn unexpected(path: &Path) -> Error {
    let expected =
        "a string, a list of objects with \"name\" and \"template\", or an object of strings";
    Error::config(path, format!("chat_template: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::template::Conversation;
    use serde_json::json;

    /// What the templates of a folder with `files` and this `config` render, without and with tools.
    fn rendered(files: &[(&str, &str)], config: Value) -> [std::result::Result<String, String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let Value::Object(config) = config else {
            unreachable!()
        };
        let templates = Templates::read(folder.path(), Path::new("config"), &config);
        [false, true].map(|has_tools| {
            let templates = templates.as_ref().map_err(ToString::to_string)?;
            let chosen = templates
                .choose(has_tools)
                .map_err(|error| error.to_string())?;
            let conversation = Conversation {
                messages: &[super::super::json::Object::new()],
                tools: None,
                add_generation_prompt: false,
            };
            let rendered = chosen.ok_or("none")?.render(conversation, &Map::new());
            rendered.map_err(|error| error.to_string())
        })
    }

    fn both(text: &str) -> [std::result::Result<String, String>; 2] {
        [Ok(text.to_owned()), Ok(text.to_owned())]
    }

    #[test]
    fn a_file_comes_before_the_configuration_and_that_before_a_processors_file() {
        let old = ("chat_template.json", r#"{"chat_template": "old"}"#);
        let config = json!({"chat_template": "config"});
        assert_eq!(
            rendered(&[("chat_template.jinja", "file"), old], config.clone()),
            both("file")
        );
        assert_eq!(rendered(&[old], config), both("config"));
        assert_eq!(rendered(&[old], json!({})), both("old"));
        assert_eq!(
            rendered(&[old], json!({"chat_template": null})),
            both("old")
        );
        assert_eq!(rendered(&[], json!({}))[0], Err("none".to_owned()));
    }

    #[test]
    fn named_templates_are_chosen_by_tools() {
        let list =
            json!([{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]);
        let object = json!({"default": "a", "tool_use": "b", "rag": "{{"});
        let expected = [Ok("a".to_owned()), Ok("b".to_owned())];
        assert_eq!(rendered(&[], json!({"chat_template": list})), expected);
        assert_eq!(rendered(&[], json!({"chat_template": object})), expected);
        let files = [
            ("chat_template.jinja", "a"),
            ("additional_chat_templates/tool_use.jinja", "b"),
            ("additional_chat_templates/rag.jinja", "{{"),
        ];
        assert_eq!(rendered(&files, json!({})), expected);
    }

    #[test]
    fn what_no_default_has_tells_the_names() {
        let files = [("additional_chat_templates/rag.jinja", "a")];
        let [without_tools, _] = rendered(&files, json!({"chat_template": "config"}));
        let error = without_tools.unwrap_err();
        assert!(
            error.contains("rag.jinja: no chat template is named \"default\"; got [\"rag\"]"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_type_is_named() {
        for wrong in [
            json!(5),
            json!([5]),
            json!([{"name": "a"}]),
            json!({"default": 5}),
        ] {
            let [error, _] = rendered(&[], json!({"chat_template": wrong}));
            assert!(
                error
                    .unwrap_err()
                    .starts_with("config: chat_template: expected a string")
            );
        }
        let [error, _] = rendered(&[("chat_template.json", "{")], json!({}));
        assert!(
            error
                .unwrap_err()
                .contains("chat_template.json: not valid JSON")
        );
    }
}

//! Chat templates: Jinja as transformers runs it, on minijinja.
//!
//! transformers renders with `ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)`,
//! the loop-control extension, a `{% generation %}` tag, `raise_exception`, `strftime_now` and a
//! `tojson` that does not escape HTML (`src/transformers/utils/chat_template_utils.py`). The same
//! templates must give the same text here, byte for byte.

mod functions;
mod generation;
mod json;
mod methods;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as JinjaValue};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value};

use super::error::{Error, Result};
use crate::panics;
pub(super) use functions::Raised;

/// One chat message, kept as it was read: templates access arbitrary fields, in their order.
pub type Message = Map<String, Value>;

/// The only template an environment of ours holds.
const NAME: &str = "chat_template";

/// A compiled chat template.
pub struct ChatTemplate {
    env: Environment<'static>,
}

/// What a chat template sees.
#[derive(Clone, Copy)]
pub struct Conversation<'a> {
    /// The messages so far.
    pub messages: &'a [Message],
    /// Function schemas; `None` is Jinja's `none`.
    pub tools: Option<&'a [Value]>,
    /// End with the header of the assistant's turn.
    pub add_generation_prompt: bool,
}

impl ChatTemplate {
    /// Compiles `source`.
    ///
    /// # Errors
    /// [`Error::TemplateSyntax`] with the line when the source is no valid template.
    pub fn compile(source: &str) -> Result<Self> {
        let mut env = environment()?;
        env.add_template_owned(NAME, generation::accept_tags(source))
            .map_err(Error::template_syntax)?;
        Ok(Self { env })
    }

    /// Renders `conversation`; `variables` are further names the template can read (`bos_token`,
    /// `enable_thinking`, ...). A variable never hides one of the conversation's own names.
    ///
    /// # Errors
    /// [`Error::TemplateRaised`] when the template itself refuses the conversation,
    /// [`Error::TemplateRender`] when it fails,
    /// [`Error::NoMessages`] when there is nothing to render.
    pub fn render(
        &self,
        conversation: Conversation<'_>,
        variables: &Map<String, Value>,
    ) -> Result<String> {
        if conversation.messages.is_empty() {
            return Err(Error::NoMessages);
        }
        let template = self
            .env
            .get_template(NAME)
            .map_err(Error::template_render)?;
        // minijinja 3.0 panics on `[][::-1]` and the like: what a template from outside says must
        // not end the process.
        panics::quietly(|| template.render(context(conversation, variables)))
            .map_err(|message| Error::TemplateRender { message })?
            .map_err(Error::template_render)
    }
}

fn environment() -> Result<Environment<'static>> {
    let mut env = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    env.set_syntax(syntax.build().map_err(Error::template_syntax)?);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_unknown_method_callback(methods::call);
    env.add_filter("tojson", json::tojson);
    functions::add(&mut env);
    Ok(env)
}

fn context(conversation: Conversation<'_>, variables: &Map<String, Value>) -> JinjaValue {
    let own = [
        ("messages", JinjaValue::from(Serde(conversation.messages))),
        ("tools", JinjaValue::from(Serde(conversation.tools))),
        ("documents", JinjaValue::from(())),
        (
            "add_generation_prompt",
            JinjaValue::from(conversation.add_generation_prompt),
        ),
    ];
    let variables = variables
        .iter()
        .map(|(name, value)| (name.as_str(), JinjaValue::from(Serde(value))));
    JinjaValue::from(variables.chain(own).collect::<BTreeMap<_, _>>())
}

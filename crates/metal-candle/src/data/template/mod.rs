//! Chat templates: Jinja as transformers runs it
//! (`src/transformers/utils/chat_template_utils.py`). The same templates must give the same text
//! here, byte for byte.

mod jinja;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub(super) use self::jinja::{Error as TemplateError, Kind as TemplateErrorKind};
use self::jinja::{Input, Template};
use super::error::{Error, Result};
use super::json::{Json, Object, with_reasoning};
use crate::panics;

/// One chat message, kept as it was read: templates access arbitrary fields, in their order.
pub type Message = Object;

/// A parsed chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    template: Template,
}

/// Conversation that a chat template sees.
#[derive(Clone, Copy)]
pub struct Conversation<'a> {
    /// The messages so far.
    pub messages: &'a [Message],
    /// Function schemas; `None` is Jinja's `none`.
    pub tools: Option<&'a [Json]>,
    /// End with the header of the assistant's turn.
    pub add_generation_prompt: bool,
}

impl ChatTemplate {
    /// Parses `source`.
    ///
    /// # Errors
    /// [`Error::TemplateSyntax`] with the line when the source is no valid template.
    pub fn compile(source: &str) -> Result<Self> {
        let template = guarded(|| Template::parse(source))?;
        Ok(Self { template })
    }

    /// Renders `conversation`; `variables` are further names the template can read (`bos_token`,
    /// `enable_thinking`, ...). A variable never hides one of the conversation's own names.
    ///
    /// Whatever the template says, rendering ends within about a second, in a few hundred MiB and
    /// 1 MiB of stack: more is an error.
    ///
    /// # Errors
    /// [`Error::TemplateRaised`] when the template itself refuses the conversation,
    /// [`Error::TemplateRender`] when it fails or exceeds its bounds,
    /// [`Error::NoMessages`] when there is nothing to render.
    pub fn render(
        &self,
        conversation: Conversation<'_>,
        variables: &Map<String, Value>,
    ) -> Result<String> {
        if conversation.messages.is_empty() {
            return Err(Error::NoMessages);
        }
        guarded(|| self.template.render(context(conversation, variables)?))
    }
}

/// Runs `f`, whose panic would be a fault of ours: it must not end the process.
fn guarded<T>(f: impl FnOnce() -> std::result::Result<T, TemplateError>) -> Result<T> {
    match panics::quietly(f) {
        Ok(result) => result.map_err(Error::template),
        Err(message) => Err(Error::TemplateRender { message }),
    }
}

fn context(
    conversation: Conversation<'_>,
    variables: &Map<String, Value>,
) -> std::result::Result<Input, TemplateError> {
    let mut input = Input::new();
    for (name, value) in variables {
        input.set(name, &Json::from(value.clone()))?;
    }
    let messages: Vec<Object> = conversation.messages.iter().map(with_reasoning).collect();
    input.set_messages("messages", &messages)?;
    match conversation.tools {
        Some(tools) => input.set_list("tools", tools)?,
        None => input.set("tools", &Json::Null)?,
    }
    input.set("documents", &Json::Null)?;
    let prompt = Json::Bool(conversation.add_generation_prompt);
    input.set("add_generation_prompt", &prompt)?;
    Ok(input)
}

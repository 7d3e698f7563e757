use super::corpus::Exchange;
use crate::error::Result;
use crate::loading::attach_adapter;
use candle_core::Device;
use metal_candle::data::{Message, Tokenizer};
use metal_candle::generate::{Generator, Sampling, Step};
use metal_candle::models::Model;
use std::path::Path;

/// Longest answer in tokens; an ISO date has ten.
const MAX_TOKENS: usize = 24;

/// Questions that no training has seen, with their answers.
pub(super) struct Exam {
    pub(super) questions: Vec<Exchange>,
}

/// What a model answered.
pub(super) struct Score {
    pub(super) answers: Vec<Answer>,
}

pub(super) struct Answer {
    pub(super) prompt: String,
    pub(super) answer: String,
    is_right: bool,
}

impl Score {
    /// Share of the answers that are right to the letter.
    pub(super) fn exact_match(&self) -> f64 {
        let right = self.answers.iter().filter(|answer| answer.is_right).count();
        right as f64 / self.answers.len() as f64
    }
}

impl Exam {
    /// Asks the model in `base`, with the adapter in `adapter` if there is one.
    pub(super) fn take(&self, base: &Path, adapter: Option<&Path>) -> Result<Score> {
        let mut model = Model::load(base, &Device::Cpu)?;
        let tokenizer = Tokenizer::from_folder(base)?;
        if let Some(adapter) = adapter {
            attach_adapter(&mut model, base, adapter)?;
        }
        let answers = self.questions.iter().map(|question| {
            let answer = ask(&model, &tokenizer, &question.prompt)?;
            Ok(Answer {
                prompt: question.prompt.clone(),
                is_right: answer == question.completion,
                answer,
            })
        });
        Ok(Score {
            answers: answers.collect::<Result<_>>()?,
        })
    }
}

fn ask(model: &Model, tokenizer: &Tokenizer, prompt: &str) -> Result<String> {
    let fields = [("role", "user"), ("content", prompt)];
    let messages = [Message::from_iter(
        fields.map(|(name, value)| (name.to_string(), value.into())),
    )];
    let text = tokenizer.apply_chat_template(&messages, None, true)?;
    let ids = tokenizer.encode_raw(&text)?;
    let eos = &model.eos_token_ids;
    let mut generator = Generator::new(&model.decoder, &ids, MAX_TOKENS, eos, Sampling::default())?;
    while let Step::Token(_) = generator.step()? {}
    Ok(tokenizer.decode(generator.generated())?)
}

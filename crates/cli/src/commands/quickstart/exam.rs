use super::corpus::Exchange;
use crate::error::Result;
use crate::loading;
use candle_core::Device;
use metal_candle::data::{Message, Tokenizer};
use metal_candle::generate::{Engine, Request, SequenceId, Step};
use metal_candle::lora::AdapterSet;
use metal_candle::models::Model;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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
        let model = Model::load(base, &Device::Cpu)?;
        let tokenizer = Tokenizer::from_folder(base)?;
        let adapter = adapter.map(|path| loading::adapter(&model, base, path));
        let adapter = adapter.transpose()?;
        let answers = answers(&model, adapter.as_ref(), &tokenizer, &self.questions)?;
        let answers = self.questions.iter().zip(answers);
        let answers = answers.map(|(question, answer)| Answer {
            prompt: question.prompt.clone(),
            is_right: answer == question.completion,
            answer,
        });
        Ok(Score {
            answers: answers.collect(),
        })
    }
}

/// All questions at once.
fn answers(
    model: &Model,
    adapter: Option<&Arc<AdapterSet>>,
    tokenizer: &Tokenizer,
    questions: &[Exchange],
) -> Result<Vec<String>> {
    let mut engine = Engine::new(&model.decoder);
    let mut answers = BTreeMap::new();
    for question in questions {
        let request = Request {
            prompt: prompt(tokenizer, &question.prompt)?,
            max_tokens: MAX_TOKENS,
            eos_token_ids: model.eos_token_ids.clone(),
            adapter: adapter.cloned(),
            ..Request::default()
        };
        answers.insert(engine.insert(request)?, vec![]);
    }
    while !engine.is_empty() {
        for (id, step) in engine.step()? {
            add(&mut answers, id, step?);
        }
    }
    let texts = answers.values().map(|ids| Ok(tokenizer.decode(ids)?));
    texts.collect()
}

fn add(answers: &mut BTreeMap<SequenceId, Vec<u32>>, id: SequenceId, step: Step) {
    if let (Step::Token(token), Some(answer)) = (step, answers.get_mut(&id)) {
        answer.push(token);
    }
}

fn prompt(tokenizer: &Tokenizer, question: &str) -> Result<Vec<u32>> {
    let fields = [("role", "user"), ("content", question)];
    let messages = [Message::from_iter(
        fields.map(|(name, value)| (name.to_string(), value.into())),
    )];
    let text = tokenizer.apply_chat_template(&messages, None, true)?;
    Ok(tokenizer.encode_raw(&text)?)
}

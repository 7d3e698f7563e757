use super::corpus::Exchange;
use crate::error::Result;
use crate::loading;
use candle_core::Device;
use metal_candle::LanguageModel;
use metal_candle::generate::{Engine, Request, SequenceId, Step};
use metal_candle::lora::AdapterSet;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Longest answer in tokens; an ISO date has ten.
const MAX_TOKENS: usize = 24;

/// Questions that no training has seen, with their answers.
pub(super) struct Exam {
    pub(super) questions: Vec<Exchange>,
}

/// Score of a model's answers.
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
        let model = LanguageModel::load(base, &Device::Cpu)?;
        let adapter = adapter.map(|path| loading::adapter(&model.model, base, path));
        let answers = answers(&model, adapter.transpose()?, &self.questions)?;
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
    model: &LanguageModel,
    adapter: Option<Arc<AdapterSet>>,
    questions: &[Exchange],
) -> Result<Vec<String>> {
    let mut engine = Engine::new(&model.model.decoder);
    let mut answers = BTreeMap::new();
    for question in questions {
        let request = Request {
            prompt: model.prompt(&question.prompt)?,
            max_tokens: MAX_TOKENS,
            eos_token_ids: model.model.eos_token_ids.clone(),
            adapter: adapter.clone(),
            ..Request::default()
        };
        answers.insert(engine.insert(request)?, vec![]);
    }
    while !engine.is_empty() {
        for (id, step) in engine.step()? {
            add(&mut answers, id, step?);
        }
    }
    let texts = answers.values().map(|ids| Ok(model.tokenizer.decode(ids)?));
    texts.collect()
}

fn add(answers: &mut BTreeMap<SequenceId, Vec<u32>>, id: SequenceId, step: Step) {
    if let (Step::Token(token), Some(answer)) = (step, answers.get_mut(&id)) {
        answer.push(token.id);
    }
}

//! Answers to rows that were not trained on, without what was trained and with it.

use super::{Prepared, Result};
use crate::data::{self, Question, Split, Tokenizer, longest_row, questions};
use crate::generate::{Engine, Request, SequenceId, Step};
use crate::lora::AdapterSet;
use crate::models::{Config, Model};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers to the prompt of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Line of the row in its file, counted from 1.
    pub line: usize,
    /// Words before the row's last answer, as they stand in the row; `None` where it has none.
    #[serde(default)]
    pub asked: Option<String>,
    /// Text before the row's last answer, special tokens included.
    pub prompt: String,
    /// Answer in the row.
    pub expected: String,
    /// Answer of the model without what was trained; `None` where all weights were.
    pub before: Option<String>,
    /// Answer of the model as it was trained.
    pub after: String,
}

/// Limits of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Most rows that are asked.
    pub rows: usize,
    /// Most tokens of an answer.
    pub max_tokens: usize,
}

impl Prepared {
    /// Greedy answers to the first rows of `valid.jsonl`, or of what is held out instead; none where there are no such
    /// rows. All are generated in one pass a token. Where `should_stop` says so between two tokens, there are none either.
    ///
    /// # Errors
    /// When a row has no answer, as those of plain text, or the device fails.
    pub fn samples(&self, how: Sampler, should_stop: &dyn Fn() -> bool) -> Result<Vec<Sample>> {
        let (tokenizer, config) = self.tuning().vocabulary(self.base())?;
        let mut questions = self.questions(how.rows, &tokenizer, &config)?;
        questions.retain(|question| question.prompt.len() < config.max_position_embeddings);
        let sides = match self.frozen()? {
            Some(adapters) => vec![None, Some(adapters)],
            None => vec![None],
        };
        let mut ends = self.model().eos_token_ids.clone();
        ends.extend(tokenizer.eos_token().map(|(_, id)| id));
        let requests = questions.iter().flat_map(|question| {
            sides.iter().map(|adapter| Request {
                prompt: question.prompt.clone(),
                max_tokens: how.max_tokens,
                eos_token_ids: ends.clone(),
                adapter: adapter.clone(),
                ..Request::default()
            })
        });
        let answers = answers(self.model(), requests, should_stop)?;
        if should_stop() {
            return Ok(vec![]);
        }
        let asked = questions.iter().zip(answers.chunks(sides.len()));
        asked
            .map(|(question, answers)| sample(question, answers, &tokenizer))
            .collect()
    }

    fn questions(&self, n: usize, tokenizer: &Tokenizer, config: &Config) -> Result<Vec<Question>> {
        let rows = &self.tuning().settings.rows;
        let splits = self.splits();
        let valid = splits.valid.as_ref();
        let examples = valid.map_or(Ok(vec![]), |valid| valid.examples.first(n))?;
        let split = match splits.held_out {
            Some(_) => Split::Train,
            None => Split::Valid,
        };
        let options = data::Options {
            max_seq_length: longest_row(rows.max_seq_length, config.max_position_embeddings)?,
            mask_prompt: true,
            convention: rows.convention,
            vocab_size: Some(config.vocab_size),
        };
        Ok(questions(
            &rows.source,
            split,
            &examples,
            tokenizer,
            &options,
        )?)
    }

    /// Adapters as they are now; `None` where weights were trained.
    fn frozen(&self) -> Result<Option<Arc<AdapterSet>>> {
        let adapters = self.parameters().adapters();
        let frozen = adapters.map(|set| set.frozen(&self.model().decoder.adaptable()));
        Ok(frozen.transpose()?.map(Arc::new))
    }
}

/// Answers to a question, that without what was trained first, as text.
fn sample(question: &Question, answers: &[Vec<u32>], tokenizer: &Tokenizer) -> Result<Sample> {
    let texts = answers.iter().map(|answer| tokenizer.decode(answer));
    let mut texts = texts.collect::<data::Result<Vec<String>>>()?;
    Ok(Sample {
        line: question.line,
        asked: question.asked.clone(),
        prompt: tokenizer.decode_all(&question.prompt)?,
        expected: tokenizer.decode(&question.answer)?,
        after: texts.pop().unwrap_or_default(),
        before: texts.pop(),
    })
}

/// Tokens of all answers, in one pass a token.
fn answers(
    model: &Model,
    requests: impl Iterator<Item = Request>,
    should_stop: &dyn Fn() -> bool,
) -> Result<Vec<Vec<u32>>> {
    let mut engine = Engine::new(&model.decoder);
    let mut answers: BTreeMap<SequenceId, Vec<u32>> = BTreeMap::new();
    for request in requests {
        answers.insert(engine.insert(request)?, vec![]);
    }
    while !engine.is_empty() && !should_stop() {
        for (id, step) in engine.step()? {
            if let (Step::Token(token), Some(answer)) = (step?, answers.get_mut(&id)) {
                answer.push(token.id);
            }
        }
    }
    Ok(answers.into_values().collect())
}

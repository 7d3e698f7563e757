use super::{Adapted, Error, LanguageModel, Result};
use crate::data::{Example, Examples, Row, Windows, longest_row};
use crate::layout::Arrangement;
use crate::train::{Error as TrainError, Event, Optimizer, Options, Parameters, Summary, Trainer};
use std::num::NonZeroUsize;

impl LanguageModel {
    /// Trains `adapted` on `rows`, the completion or the assistant's turns of each, and the whole of
    /// a row that is text only. Rows are cut at 2048 tokens or the model's limit. Nothing is written;
    /// `observe` is told every event.
    ///
    /// # Errors
    /// When a row makes no example, a setting is out of range, or a loss is not finite: the last
    /// good values stay.
    pub fn train(
        &self,
        adapted: &Adapted,
        rows: &[Row],
        options: &Options,
        mut observe: impl FnMut(&Event),
    ) -> Result<Summary> {
        let examples = rows.iter().enumerate();
        let examples = examples.map(|(i, row)| self.example(i, row));
        let examples: Examples = examples.collect::<Result<_>>()?;
        let parameters = Parameters::of_adapters(adapted.set.clone(), &self.model.decoder);
        let trainer = Trainer {
            network: &self.model.decoder,
            parameters: &parameters,
            options,
            saves: None,
            data: "rows".into(),
            reduce: None,
        };
        let n = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let (size, accumulation) = (n(options.batch_size), n(options.grad_accumulation_steps));
        let mut steps = Windows::new(
            &examples,
            size,
            accumulation,
            Arrangement::Packed,
            options.seed,
        );
        let mut optimizer = Optimizer::new(options.rule, &parameters)?;
        let mut observe = |event: &Event| -> std::result::Result<(), TrainError> {
            observe(event);
            Ok(())
        };
        Ok(trainer.run(&mut optimizer, &mut steps, None, &mut observe, &|| false)?)
    }

    fn example(&self, i: usize, row: &Row) -> Result<Example> {
        let mask_prompt = !matches!(row, Row::Text(_));
        let example = Example::from_row(row, i, &self.tokenizer, mask_prompt);
        let mut example = example.map_err(|source| Error::Row {
            row: i,
            source: Box::new(source),
        })?;
        example.truncate(longest_row(None, self.model.decoder.max_tokens())?);
        match example.trained_tokens() == 0 || example.is_useless_pair() {
            true => Err(Error::NothingToTrain {
                row: i,
                n_tokens: example.tokens.len(),
            }),
            false => Ok(example),
        }
    }
}

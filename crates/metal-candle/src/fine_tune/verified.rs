use super::{Prepared, Result};
use crate::data::{Dataset, Example};
use crate::verify::{Effort, Report, Saved, Subject, verify};

impl Prepared {
    /// Checks what was trained, and that the folder of the run holds it ([`verify()`]): on rows of `valid.jsonl`, or else
    /// of `train.jsonl`.
    ///
    /// # Errors
    /// When a computation fails; a check that does not pass is no error.
    pub fn verify(&self, effort: &Effort) -> Result<Report> {
        let splits = self.splits();
        let read = || self.read_saved();
        let subject = Subject {
            model: self.model(),
            parameters: self.parameters(),
            rows: examples(splits.valid.as_ref().or(splits.train.as_ref())),
            masked: examples(splits.train.as_ref()),
            tokenizer: None,
            file: Some(Saved {
                path: self.folder(),
                read: &read,
            }),
        };
        Ok(verify(&subject, effort)?)
    }
}

fn examples(dataset: Option<&Dataset>) -> &[Example] {
    dataset.map_or(&[], |dataset| &dataset.examples)
}

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
        let n = effort.n_rows.max(effort.n_masked);
        let rows = first(splits.valid.as_ref().or(splits.train.as_ref()), n)?;
        let masked = first(splits.train.as_ref(), n)?;
        let subject = Subject {
            model: self.model(),
            parameters: self.parameters(),
            rows: &rows,
            masked: &masked,
            tokenizer: None,
            file: Some(Saved {
                path: self.folder(),
                read: &read,
            }),
        };
        Ok(verify(&subject, effort)?)
    }
}

fn first(dataset: Option<&Dataset>, n: usize) -> Result<Vec<Example>> {
    Ok(dataset.map_or(Ok(vec![]), |dataset| dataset.examples.first(n))?)
}

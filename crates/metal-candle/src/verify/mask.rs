use super::check::Figures;
use crate::data::{Batch, Example, IGNORED, Tokenizer, mask_spans};
use crate::layout::Span;
use serde::Serialize;

/// Tokens that the loss counts, of rows as training lays them out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mask {
    /// Rows that were looked at.
    pub rows: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Tokens that the loss counts.
    pub trained: usize,
    /// Lines of rows of which it counts none.
    pub untrained: Vec<usize>,
    /// Lines of rows whose targets are not their trained tokens.
    pub misplaced: Vec<usize>,
    /// Line of the row that is shown.
    pub shown: Option<usize>,
    /// Its text that is trained, where a tokenizer was there to make it.
    pub text: Option<String>,
}

/// Compares the targets of `batch` with the masks of the rows it was made of.
#[must_use]
pub fn mask(rows: &[Example], batch: &Batch, tokenizer: Option<&Tokenizer>) -> Mask {
    let lines = |chosen: &dyn Fn(&Example, usize) -> bool| -> Vec<usize> {
        let rows = rows.iter().enumerate();
        let rows = rows.filter(|(i, row)| chosen(row, *i));
        rows.map(|(_, row)| row.line).collect()
    };
    let shown = rows.iter().find(|row| row.trained_tokens() > 0);
    // Rows are sequences in their order.
    let spans: Vec<(usize, Span)> = batch.layout.spans().collect();
    Mask {
        rows: rows.len(),
        tokens: rows.iter().map(|row| row.tokens.len()).sum(),
        trained: batch.targets.iter().filter(|t| **t != IGNORED).count(),
        untrained: lines(&|row, _| row.trained_tokens() == 0),
        misplaced: lines(&|row, i| !is_placed(row, batch, spans.get(i))),
        shown: shown.map(|row| row.line),
        text: shown.and_then(|row| trained_text(row, tokenizer?)),
    }
}

/// Whether every trained token of a row is the target of the place before it, and no other is one.
fn is_placed(row: &Example, batch: &Batch, span: Option<&(usize, Span)>) -> bool {
    let Some(&(place, span)) = span else {
        return row.trained_tokens() == 0;
    };
    let targets = &batch.targets[place..place + span.len];
    let expected = row.tokens.iter().zip(&row.trained).skip(1);
    let expected = expected.map(|(&id, &trained)| if trained { i64::from(id) } else { IGNORED });
    let mut rest = row.trained.iter().skip(span.len + 1);
    expected.take(span.len).eq(targets.iter().copied()) && !rest.any(|trained| *trained)
}

fn trained_text(row: &Example, tokenizer: &Tokenizer) -> Option<String> {
    let spans = mask_spans(row, tokenizer).ok()?.into_iter();
    let texts = spans.filter(|span| span.trained).map(|span| span.text);
    Some(Vec::from_iter(texts).join(" ... "))
}

impl Figures for Mask {
    const NAME: &'static str = "mask";

    fn passed(&self) -> bool {
        self.trained > 0 && self.untrained.is_empty() && self.misplaced.is_empty()
    }

    fn text(&self) -> String {
        let share = 100.0 * self.trained as f64 / self.tokens.max(1) as f64;
        let mut text = format!(
            "the loss counts {} of {} tokens ({share:.0} %) in {} rows",
            self.trained, self.tokens, self.rows
        );
        if let (Some(line), Some(shown)) = (self.shown, &self.text) {
            text += &format!("; of line {line}: {}", shortened(shown));
        }
        for (lines, what) in [
            (&self.untrained, "nothing is trained"),
            (&self.misplaced, "the targets are not the trained tokens"),
        ] {
            if let Some(first) = lines.first() {
                let n = lines.len();
                text += &format!("; {what} of {n} rows, line {first} the first");
            }
        }
        text
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let quoted: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().count() > SHOWN {
        "..."
    } else {
        ""
    };
    format!("{quoted:?}{more}")
}

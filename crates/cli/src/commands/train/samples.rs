//! A few answers, of the model alone and with what was trained, beside each other.

use super::Args;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::terminal::Terminal;
use metal_candle::fine_tune::{self, Prepared, Sample, Sampler};

/// Most tokens of an answer: with three rows all answers together cost about what a step or two of training do.
const MAX_TOKENS: usize = 48;

/// Generates answers and tells them. Rows without answers, as those of plain text, have none.
///
/// # Errors
/// When the device fails.
pub fn tell(
    prepared: &Prepared,
    args: &Args,
    interrupt: &Interrupt,
    terminal: &Terminal,
) -> Result<Vec<Sample>> {
    let how = Sampler {
        rows: args.reports.sample_prompts,
        max_tokens: MAX_TOKENS,
    };
    if how.rows == 0 {
        return Ok(vec![]);
    }
    let samples = interrupt.awaited_by(|| prepared.samples(how, &|| interrupt.is_asked()));
    let samples = match samples {
        Err(fine_tune::Error::Data(error)) => {
            tracing::info!("no answers beside each other: {error}");
            vec![]
        }
        samples => samples?,
    };
    for sample in &samples {
        for line in lines(sample) {
            terminal.report(line);
        }
    }
    Ok(samples)
}

/// A sample as lines, each of them cut.
fn lines(sample: &Sample) -> Vec<String> {
    let before = sample.before.as_ref().map(|text| ("model alone", text));
    let named = [("in the row", &sample.expected)].into_iter().chain(before);
    let after = match sample.before {
        Some(_) => "with adapter",
        None => "as trained",
    };
    let answers = named.chain([(after, &sample.after)]);
    let answers = answers.map(|(name, text)| format!("  {name:<14}{}", line(text, Side::Begin)));
    let asked = sample.asked.as_ref().unwrap_or(&sample.prompt);
    let prompt = format!("Prompt of line {}: {}", sample.line, line(asked, Side::End));
    [prompt].into_iter().chain(answers).collect()
}

/// Side of a long text that is shown.
#[derive(Clone, Copy)]
enum Side {
    Begin,
    End,
}

/// Longest text of a line, in characters.
const CHARS: usize = 200;

/// `text` as one line.
fn line(text: &str, side: Side) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let n = text.chars().count();
    match side {
        _ if n <= CHARS => text,
        Side::Begin => text.chars().take(CHARS).collect::<String>() + " ...",
        Side::End => "... ".to_string() + &text.chars().skip(n - CHARS).collect::<String>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_with_an_end() {
        assert_eq!(line(" a\n\tb ", Side::Begin), "a b");
        let long = "é".repeat(300);
        assert_eq!(line(&long, Side::Begin), "é".repeat(200) + " ...");
        assert_eq!(
            line(&format!("{long}x"), Side::End),
            format!("... {}x", "é".repeat(199))
        );
    }
}

//! Answers beside each other.

use crate::report::html::escaped;
use crate::report::run::Run;
use metal_candle::fine_tune::Sample;

/// All answers.
pub fn all(run: &Run) -> String {
    let samples = &run.told.samples;
    if samples.is_empty() {
        return String::new();
    }
    let samples: String = samples.iter().map(sample).collect();
    format!(
        "<h2>Answers side by side</h2><p class=\"note\">Greedy answers to rows that were not trained on, cut where they \
         are long.</p>{samples}"
    )
}

fn sample(sample: &Sample) -> String {
    let is_as_expected =
        |text: &str| !text.trim().is_empty() && text.trim() == sample.expected.trim();
    let mut answers = answer("In the row", &sample.expected, false);
    if let Some(before) = &sample.before {
        answers += &answer("Model alone", before, is_as_expected(before));
    }
    let after = match sample.before {
        Some(_) => "With the adapter",
        None => "As trained",
    };
    answers += &answer(after, &sample.after, is_as_expected(&sample.after));
    format!(
        "<article class=\"card sample\"><div class=\"prompt\"><h3>Prompt · line {}</h3><pre>{}</pre></div>\
         <div class=\"answers\">{answers}</div></article>",
        sample.line,
        escaped(sample.prompt.trim())
    )
}

fn answer(title: &str, text: &str, is_as_expected: bool) -> String {
    let mark = match is_as_expected {
        true => "<span class=\"chip good\">as in the row</span>",
        false => "",
    };
    let text = match text.trim() {
        "" => "<p class=\"empty\">nothing</p>".into(),
        text => format!("<pre>{}</pre>", escaped(text)),
    };
    format!("<div><h3>{title}{mark}</h3>{text}</div>")
}

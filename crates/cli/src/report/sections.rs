//! Sections of the page; one that has nothing to show is not there.

pub mod curves;
pub mod outcome;
pub mod samples;

use super::html::escaped;
use super::told::{Check, Line};
use serde_json::{Map, Value};

/// Warnings of the run.
pub fn warnings(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let items = warnings
        .iter()
        .map(|text| format!("<li>{}</li>", escaped(text)));
    let items: String = items.collect();
    format!("<h2>Warnings</h2><ul class=\"card warn warnings\">{items}</ul>")
}

/// Checks of what was trained.
pub fn checks(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let class = match check.outcome.as_str() {
            "passed" => "good",
            "failed" => "bad",
            _ => "",
        };
        let [name, outcome, text] =
            [&check.name, &check.outcome, &check.text].map(|text| escaped(text));
        format!(
            "<tr><th>{name}</th><td class=\"state\"><span class=\"chip {class}\">{outcome}</span></td><td>{text}</td></tr>"
        )
    };
    let note = "<p class=\"note\">Of the adapter in the folder, on its model: what metal-candle verify looks at.</p>";
    table("Checks", note, checks.iter().map(row).collect())
}

/// What was trained, on what and with what.
pub fn header(lines: &[Line]) -> String {
    let row = |line: &Line| {
        format!(
            "<tr><th>{}</th><td>{}</td></tr>",
            escaped(&line.name),
            escaped(&line.text)
        )
    };
    table("Run", "", lines.iter().map(row).collect())
}

fn table(title: &str, note: &str, rows: String) -> String {
    match rows.is_empty() {
        true => String::new(),
        false => {
            format!("<h2>{title}</h2>{note}<div class=\"card table\"><table>{rows}</table></div>")
        }
    }
}

/// Settings, as `run.json` has them; what is null holds nowhere and is left out.
pub fn settings(settings: &Map<String, Value>) -> String {
    let row = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!(
            "<tr><th>{}</th><td><code>{}</code></td></tr>",
            escaped(name),
            escaped(&text)
        )
    };
    let set = settings.iter().filter(|(_, value)| !value.is_null());
    let rows: String = set.map(row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!(
            "<h2>Settings</h2><details class=\"card\"><summary>All settings (run.json)</summary>\
             <div class=\"table\"><table>{rows}</table></div></details>"
        ),
    }
}

/// Commands that come next.
pub fn next(commands: &[String]) -> String {
    if commands.is_empty() {
        return String::new();
    }
    let lines = commands
        .iter()
        .map(|command| format!("<code>metal-candle {}</code>", escaped(command)));
    let lines: String = lines.collect();
    format!("<h2>Next</h2><div class=\"card next\">{lines}</div>")
}

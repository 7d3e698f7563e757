//! The page: a template, and what stands in it.

use super::html::escaped;
use super::run::Run;
use super::{curves, sections};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// Page of a run.
pub fn of(run: &Run) -> String {
    filled(&[
        ("title", escaped(&title(run))),
        ("style", STYLE.into()),
        ("lead", escaped(&lead(run))),
        ("chips", sections::outcome::chips(run)),
        ("figures", sections::outcome::figures(run)),
        ("warnings", sections::warnings(&run.told.warnings)),
        ("curves", sections::curves::all(&curves::of(run))),
        ("samples", sections::samples::all(run)),
        ("checks", sections::checks(&run.told.checks)),
        ("header", sections::header(&run.told.header)),
        ("settings", sections::settings(&run.settings)),
        ("next", sections::next(&run.told.next)),
    ])
}

/// The template, filled in one pass: what stands in a value is text, whatever it looks like.
fn filled(values: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(before);
        page.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    page + rest
}

/// Name of the run: the one that it was given, or else those of its model and data.
fn title(run: &Run) -> String {
    let last = |text: String| {
        let parts = text.trim_end_matches('/').rsplit('/');
        parts.map(String::from).next().unwrap_or_default()
    };
    let parts = [run.setting("model"), run.setting("data")];
    let names: Vec<String> = parts.into_iter().flatten().map(last).collect();
    match (&run.told.name, names.is_empty()) {
        (Some(name), _) => name.clone(),
        (None, false) => names.join(" on "),
        (None, true) => run.folder.display().to_string(),
    }
}

fn lead(run: &Run) -> String {
    let setting = |name| run.setting(name);
    let version = setting("version").map(|version| format!("metal-candle {version}"));
    let parts = [
        setting("fine_tune_type"),
        setting("train_mode").filter(|mode| mode != "sft"),
        Some(run.folder.display().to_string()),
        version,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_no_template() {
        let page = filled(&[("title", "{{style}}".into()), ("style", "css".into())]);
        assert!(page.contains("<title>{{style}}</title>") && page.contains("<style>\ncss</style>"));
        assert!(!page.contains("{{lead}}"), "{page}");
    }

    #[test]
    fn every_place_of_the_template_is_filled() {
        let page = of(&Run::default());
        assert!(!page.contains("{{"), "{page}");
    }
}

//! Every case of `tests/golden/templates/expressions.json`.

use std::path::Path;

use serde::Deserialize;

use super::super::jinja::{Input, Template};
use super::*;

#[derive(Deserialize)]
struct Golden {
    variables: Map<String, Value>,
    cases: Vec<Case>,
}

/// A template with the text that Jinja2 renders. Without one there is to be an error: Jinja2
/// refuses, or its text is not ours to match.
#[derive(Deserialize)]
struct Case {
    template: String,
    text: Option<String>,
}

fn render(template: &str, variables: &Map<String, Value>) -> std::result::Result<String, String> {
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    let mut input = Input::new();
    for (name, value) in variables {
        input.set(name, &Json::from(value.clone())).unwrap();
    }
    template.render(input).map_err(|error| error.to_string())
}

#[test]
fn expressions_give_what_jinja_gives() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/templates/expressions.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(golden.cases.len() > 1500);
    let mut failures = Vec::new();
    for case in &golden.cases {
        let got = render(&case.template, &golden.variables);
        let same = match &case.text {
            Some(text) => got.as_ref() == Ok(text),
            None => got.is_err(),
        };
        if !same {
            let (template, text) = (&case.template, &case.text);
            failures.push(format!(
                "{template:?}\n  expected {text:?}\n  got      {got:?}"
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

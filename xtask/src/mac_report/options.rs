//! Words of the command line.

use super::steps::STEPS;

/// A real model that is small, without a licence to accept; 270 MB.
const MODEL: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// On software Metal, with short limits; what it cannot do is told as not run.
    pub dry_run: bool,
    /// Steps of these names, and those that they need; all where it is empty.
    pub only: Vec<String>,
    /// Folder or Hugging Face id of the model that is used.
    pub model: String,
}

impl Options {
    /// The options in `words`; `None` where there is another.
    pub fn parse(words: &[String]) -> Option<Self> {
        let mut options = Self {
            dry_run: false,
            only: vec![],
            model: MODEL.into(),
        };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--dry-run" => options.dry_run = true,
                "--only" => options.only = names(words.next()?)?,
                "--model" => options.model = words.next()?.into(),
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Names of steps, separated by commas; `None` where one is no step's.
fn names(list: &str) -> Option<Vec<String>> {
    let is_known = |name: &str| STEPS.iter().any(|step| step.name == name);
    let unknown = list.split(',').find(|name| !is_known(name));
    if let Some(name) = unknown {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        eprintln!("xtask: --only {name}: expected some of {}", known.join(","));
        return None;
    }
    Some(list.split(',').map(str::to_owned).collect())
}

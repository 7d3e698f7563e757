//! What may never come of an input, and whether it did.

use crate::child::Ended;
use crate::input::Verdict;
use candle_core::{DType, Device};
use std::path::{Path, PathBuf};

/// Most that the program may say, in bytes.
const MOST_SAID: usize = 16 * 1024;

/// The first fault of a command that ended; `None` when it did what is right.
pub fn of(ended: &Ended, verdict: &Verdict, folder: &Path) -> Option<String> {
    let said = String::from_utf8_lossy(&ended.stderr);
    of_ending(ended, &said)
        .or_else(|| of_message(ended, &said))
        .or_else(|| of_verdict(ended, verdict, &said))
        .or_else(|| of_figures(ended))
        .or_else(|| of_files(folder))
}

fn of_ending(ended: &Ended, said: &str) -> Option<String> {
    match (ended.code, ended.signal) {
        _ if ended.timed_out => Some("hang".into()),
        _ if said.contains("panicked at") => Some(format!("panic: {}", panic_line(said))),
        (_, Some(signal)) => Some(format!("abort: signal {signal}")),
        (Some(0..=2), _) => None,
        (code, _) => Some(format!("exit code: {code:?}")),
    }
}

fn panic_line(said: &str) -> String {
    let mut lines = said
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    let text: String = lines.by_ref().take(2).collect::<Vec<_>>().join(" ");
    text.chars().take(200).collect()
}

fn of_message(ended: &Ended, said: &str) -> Option<String> {
    if ended.code != Some(0) && said.trim().is_empty() {
        return Some("silent: nothing on standard error".into());
    }
    if std::str::from_utf8(&ended.stderr).is_err() {
        return Some("raw text: standard error is no UTF-8".into());
    }
    if let Some(c) = said.chars().find(|c| is_unsafe_on_a_terminal(*c)) {
        return Some(format!("raw text: {c:?} on standard error"));
    }
    let length = said.len();
    (length > MOST_SAID).then(|| format!("too long: {length} bytes on standard error"))
}

/// What moves the cursor, changes colours, or turns the direction of the text around it.
fn is_unsafe_on_a_terminal(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns
}

fn of_verdict(ended: &Ended, verdict: &Verdict, said: &str) -> Option<String> {
    let is_refused = ended.code != Some(0);
    match verdict {
        Verdict::Refused(_) if !is_refused => Some("accepted".into()),
        Verdict::Accepted if is_refused => Some(format!("refused: {}", said.trim())),
        Verdict::Refused(mentions) | Verdict::Told(mentions) => {
            let absent = mentions.iter().find(|words| !said.contains(**words))?;
            Some(format!("untold: no {absent:?} in {:?}", said.trim()))
        }
        _ => None,
    }
}

/// A result that is no number is no result.
fn of_figures(ended: &Ended) -> Option<String> {
    let told = String::from_utf8_lossy(&ended.stdout);
    let labels = ["Loss ", "loss ", "Perplexity ", "ppl "];
    let is_figure = |line: &str| labels.iter().any(|label| line.contains(label));
    let line = told
        .lines()
        .find(|line| is_figure(line) && line.contains("NaN"))?;
    (ended.code == Some(0)).then(|| format!("accepted: {}", line.trim()))
}

/// What was written under a final name must be whole, and finite.
fn of_files(folder: &Path) -> Option<String> {
    let written = ["out", "fused"].map(|name| below(&folder.join(name)));
    let beside = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut all = written.into_iter().flatten().chain(beside);
    all.find_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match name.ends_with(".safetensors") {
            _ if name.starts_with(".tmp") || name.starts_with(".fuse") => {
                Some(format!("litter: {name}"))
            }
            true => spoiled(&path).map(|reason| format!("spoiled: {name}: {reason}")),
            false => None,
        }
    })
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() && !path.is_symlink() {
            true => [vec![path.clone()], below(&path)].concat(),
            false => vec![path],
        })
        .collect()
}

fn spoiled(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let tensors = match candle_core::safetensors::load(path, &Device::Cpu) {
        Ok(tensors) => tensors,
        Err(error) => return Some(error.to_string()),
    };
    let is_finite = |tensor: &candle_core::Tensor| {
        let values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        let values = values.to_vec1::<f32>().unwrap();
        values.iter().all(|value| value.is_finite())
    };
    let (name, _) = tensors.iter().find(|(_, tensor)| !is_finite(tensor))?;
    Some(format!("{name} is not finite"))
}

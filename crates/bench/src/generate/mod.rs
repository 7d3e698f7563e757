//! `generate`: greedy decoding of a model of half a billion random weights, the twin of
//! `scripts/bench/generate_transformers.py`, or of a model in a file, that of `generate_llama_cpp.py`. Every turn is a
//! process of its own.

mod steps;
mod subject;

use crate::answer::Answer;
use crate::options::{Options, Rival};
use crate::peer::ask_process;
use crate::record::{Pass, Row};
use crate::rows::Measured;
use crate::sitting::Sitting;
use crate::train::{DTYPES, this_program};
use candle_core::Device;
use metal_candle::gguf::GgufFile;
use metal_candle_cli::error::{Error, Result};
use metal_candle_cli::numbers::at_least_one;
use metal_candle_cli::terminal::Terminal;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use subject::{Subject, Twin};

/// Greedy decoding of a model with the sizes of Qwen2.5-0.5B, or of a model in a file
#[derive(clap::Args, Debug)]
pub struct Args {
    /// GGUF file or folder of a model that generates as it is stored, instead of random weights of every dtype
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value = "128", value_parser = at_least_one)]
    pub prompt: usize,
    /// Tokens that are generated in each round
    #[arg(long, value_name = "N", default_value = "32", value_parser = at_least_one)]
    pub tokens: usize,
    /// Texts that are generated at once, each a token shorter than the one before
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub texts: usize,
    /// Measure random weights of a dtype, or the model, in this process and print the answer
    #[arg(long, value_name = "DTYPE", hide = true, num_args = 0..=1, value_parser = DTYPES)]
    pub one: Option<Option<String>>,
    #[command(flatten)]
    pub options: Options,
}

impl Args {
    /// Tokens of each prompt.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        (0..self.texts).map(|i| self.prompt.saturating_sub(i).max(1))
    }

    /// Models that `--filter` takes.
    fn subjects(&self, device: &Device) -> Result<Vec<Subject>> {
        let mut subjects = match &self.model {
            None => DTYPES.map(Subject::random).into(),
            Some(path) => vec![Subject::of_file(path, device)?],
        };
        let takes = |it: &Subject| format!("generate {} {}", it.name, it.dtype);
        subjects.retain(|it| self.options.takes(&takes(it)));
        match subjects.is_empty() {
            true => Err(Error::input("no case has all words of --filter")),
            false => Ok(subjects),
        }
    }

    /// Rivals that do not generate this, and why.
    fn impossible(&self) -> Vec<(Rival, &'static str)> {
        let mut impossible = vec![
            (Rival::Candle, "candle has no generation to compare with"),
            (Rival::Engines, "an engine is a product's, not a token's"),
            (Rival::Mlx, "there is no script for its generation"),
        ];
        impossible.push(match &self.model {
            None => (Rival::LlamaCpp, "it reads a GGUF file: --model names one"),
            Some(_) => (Rival::Pytorch, "its script has random weights, no --model"),
        });
        if self
            .model
            .as_ref()
            .is_some_and(|path| !GgufFile::is_at(path))
        {
            impossible.push((
                Rival::LlamaCpp,
                "--model is no GGUF file, which is all it reads",
            ));
        }
        if self.texts > 1 {
            impossible.push((Rival::LlamaCpp, "its script generates one text"));
        }
        impossible
    }
}

/// Measures generation.
///
/// # Errors
/// When a process fails.
pub fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let device = args.options.device.open()?;
    if let Some(dtype) = &args.one {
        let model = subject::open(args.model.as_deref(), dtype.as_deref(), &device)?;
        let secs = steps::measure(&model, args.lengths(), args.tokens)?;
        let secs = if args.model.is_some() {
            secs.by_text()
        } else {
            secs
        };
        return terminal.print_json(&secs.answer(&device));
    }
    let subjects = args.subjects(&device)?;
    args.options.check_rivals(&device, &args.impossible())?;
    let mut sitting = Sitting::begin(&args.options, &device, terminal)?;
    for subject in subjects {
        let measured = measure(&subject, args, &device)?;
        sitting.add(rows(&measured, &subject, args), measured.versions())?;
    }
    sitting.finish()
}

/// Takes turns with a rival, every turn in a fresh process. The rival begins: one that is not installed is known at
/// once.
fn measure(subject: &Subject, args: &Args, device: &Device) -> Result<Measured> {
    let (mut ours, mut theirs) = (Answer::default(), BTreeMap::<_, Answer>::new());
    let twin = subject
        .twin()
        .filter(|twin| args.options.has(twin.rival) && args.texts == 1);
    for _ in 0..args.options.rounds {
        if let Some(twin) = &twin {
            let answer = ask_twin(twin, args, device)?;
            theirs.entry(twin.rival.name()).or_default().merge(answer);
        }
        ours.merge(ask_process(&mut own_process(subject, args)?)?);
    }
    Ok(Measured {
        op: "generate".into(),
        case: match args.texts {
            1 => format!("{} {} tokens", subject.name, args.prompt),
            n => format!("{} {} tokens x{n}", subject.name, args.prompt),
        },
        dtype: subject.dtype.clone(),
        source: subject.source.into(),
        ours,
        rivals: theirs,
    })
}

fn own_process(subject: &Subject, args: &Args) -> Result<Command> {
    let mut own = this_program()?;
    own.arg("generate").args(subject.words());
    own.args(["--texts", &args.texts.to_string()])
        .args(lengths(args));
    own.args(["--device", &args.options.device.device.to_string()]);
    Ok(own)
}

fn ask_twin(twin: &Twin, args: &Args, device: &Device) -> Result<Answer> {
    let mut python = args.options.python(twin.rival, twin.script, device)?;
    let answer = ask_process(python.args(lengths(args)).args(&twin.words));
    answer
        .map_err(|error| error.with_advice(format!("the Python of --python needs {}", twin.needs)))
}

fn lengths(args: &Args) -> [String; 4] {
    let (prompt, tokens) = (args.prompt.to_string(), args.tokens.to_string());
    ["--prompt".into(), prompt, "--tokens".into(), tokens]
}

fn rows(measured: &Measured, subject: &Subject, args: &Args) -> Vec<Row> {
    let passes = [
        (Pass::Prefill, args.lengths().sum()),
        (Pass::Decode, args.texts),
    ];
    let row = |(pass, tokens)| measured.row(pass, subject.cost(tokens, args.texts), Some(tokens));
    passes.into_iter().filter_map(row).collect()
}

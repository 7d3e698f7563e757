//! Options that all measurements have, and whom they compare with.

use crate::bars;
use crate::peer;
use candle_core::Device;
use metal_candle_cli::device::DeviceArgs;
use metal_candle_cli::error::{Error, Result};
use metal_candle_cli::numbers::at_least_one;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Options of everything that is measured.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Only cases whose line has all of these words: an operation, sizes, a dtype, a model
    #[arg(long, value_name = "WORDS")]
    pub filter: Option<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Measure others on the same cases, in turns [default of operations on an Apple GPU: candle,engines]
    #[arg(long, value_name = "RIVALS", value_enum, value_delimiter = ',')]
    pub vs: Vec<Rival>,
    /// Python that has scripts/bench/requirements.txt, for --vs pytorch, requirements-mlx.txt, for --vs mlx, or
    /// requirements-llama-cpp.txt, for --vs llama.cpp
    #[arg(long, value_name = "PATH", default_value = "python")]
    pub python: PathBuf,
    /// How often this program and another process take turns
    #[arg(long, value_name = "N", default_value = "3", value_parser = at_least_one)]
    pub rounds: usize,
    /// Add the figures to the machine's record of the day and commit [default folder: bench-records]
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = "bench-records")]
    pub record: Option<PathBuf>,
}

/// Whom to compare with.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// candle's own operations
    Candle,
    /// Each engine for products on an Apple GPU: candle's GEMM as this program plans it, and both kernels of MPS
    Engines,
    /// llama.cpp, generation of a GGUF file on the CPU
    #[value(name = "llama.cpp")]
    LlamaCpp,
    /// MLX, on the same device
    Mlx,
    /// PyTorch, its best of eager and torch.compile; for training with PEFT, for generation with transformers
    Pytorch,
}

impl Rival {
    /// Name in records; the engines have names of their own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candle => "candle",
            Self::Engines => "engines",
            Self::LlamaCpp => bars::LLAMA_CPP,
            Self::Mlx => "mlx",
            Self::Pytorch => bars::RIVAL,
        }
    }

    /// The columns of tables.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Candle => &["candle"],
            Self::Engines => &ENGINES,
            Self::LlamaCpp => &[bars::LLAMA_CPP],
            Self::Mlx => &["mlx"],
            Self::Pytorch => &[bars::RIVAL],
        }
    }
}

/// The engines for products on an Apple GPU, and that for softmax, as records and tables have them.
pub const ENGINES: [&str; 4] = ["steel", "mps-ndarray", "mps-matrix", "mps-softmax"];

/// Rivals that are measured on the CPU only.
const ON_CPU: [(Rival, &str); 2] = [
    (Rival::LlamaCpp, "llama.cpp is measured on the CPU only"),
    (Rival::Pytorch, "PyTorch is measured on the CPU only"),
];

impl Options {
    /// Whether a case with this line is to be measured.
    pub fn takes(&self, line: &str) -> bool {
        let words = self.filter.as_deref().unwrap_or_default();
        let has = |word: &str| {
            line.split_whitespace()
                .any(|of_line| of_line.contains(word))
        };
        words.split_whitespace().all(has)
    }

    /// A rival's script in this machine's Python, with as many threads as the kernels use; MLX on
    /// the same kind of device.
    pub fn python(&self, rival: Rival, script: &str, device: &Device) -> Result<Command> {
        let mut command = Command::new(&self.python);
        command.arg(peer::script(script)?);
        match (rival, device.is_cpu()) {
            (Rival::Mlx, true) => command.args(["--device", "cpu"]),
            (Rival::Mlx, false) => command.args(["--device", "gpu"]),
            _ => command.args(["--threads", &rayon::current_num_threads().to_string()]),
        };
        Ok(command)
    }

    /// Whether all rivals can be compared with: each is possible by itself or not.
    ///
    /// # Errors
    /// When one of `impossible` is among them, or beside a GPU one that computes on the CPU.
    pub fn check_rivals(&self, device: &Device, impossible: &[(Rival, &str)]) -> Result<()> {
        let on_gpu = if device.is_cpu() { &[][..] } else { &ON_CPU };
        match impossible
            .iter()
            .chain(on_gpu)
            .find(|(rival, _)| self.has(*rival))
        {
            None => Ok(()),
            Some((rival, reason)) => Err(Error::input(format!("--vs {}: {reason}", rival.name()))
                .with_advice("leave it out, or choose another --device")),
        }
    }

    pub fn has(&self, rival: Rival) -> bool {
        self.vs.contains(&rival)
    }
}

/// Seconds on the command line.
///
/// # Errors
/// For what is no number, or a negative one.
pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(secs).map_err(|error| error.to_string())
}

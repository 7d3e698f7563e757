//! The machine and the versions with which a record was made.

use candle_core::Device;
use metal_candle_cli::machine::{output, processor, system};
use metal_candle_kernels::simd::Level;
use serde::{Deserialize, Serialize};
use std::process::Command;

/// The machine that runs a benchmark.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Architecture of the Apple GPU that computed, as Metal names it; `None` of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Logical processors.
    pub cores: usize,
    /// Threads that the kernels use.
    pub threads: usize,
    /// Widest vector instructions that the kernels use.
    pub simd: String,
    /// Operating system and architecture.
    pub system: String,
    /// Compiler that is installed where the record was made.
    pub rustc: Option<String>,
    /// Commit of the working folder, with `-dirty` where files differ from it.
    pub commit: Option<String>,
    /// Day, UTC.
    pub date: String,
}

impl Machine {
    /// The one that this process runs on, with the device that computes.
    pub fn here(device: &Device) -> Self {
        use std::env::consts::ARCH;
        Self {
            processor: processor().unwrap_or_else(|| ARCH.to_owned()),
            gpu: gpu_architecture(device),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            // A level that the processor lacks is refused before.
            simd: Level::chosen().map_or_else(|_| String::new(), |level| level.to_string()),
            system: system(),
            rustc: output("rustc", &["--version"]),
            commit: commit(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }

    /// A name for a folder: lower case, words joined by hyphens.
    pub fn folder_name(&self) -> String {
        let words = format!("{} {} cores", self.processor, self.cores);
        hyphenated(&words.replace("(R)", " ").replace("(TM)", " "))
    }

    /// The GPU, for the name of a file.
    pub fn gpu_name(&self) -> Option<String> {
        self.gpu.as_deref().map(hyphenated)
    }

    /// What computed, in a line.
    pub fn summary(&self) -> String {
        match &self.gpu {
            Some(gpu) => format!("{}, GPU {gpu}", self.processor),
            None => {
                let Self {
                    processor,
                    threads,
                    simd,
                    ..
                } = self;
                format!("{processor}, {threads} threads, {simd}")
            }
        }
    }
}

fn hyphenated(words: &str) -> String {
    let words = words.to_lowercase();
    let words = words.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn gpu_architecture(device: &Device) -> Option<String> {
    match device {
        #[cfg(any(target_vendor = "apple", soft_metal))]
        Device::Metal(metal) => Some(metal.architecture_name()),
        _ => None,
    }
}

fn commit() -> Option<String> {
    let commit = output("git", &["rev-parse", "--short=10", "HEAD"])?;
    match Command::new("git")
        .args(["diff", "--quiet", "HEAD"])
        .status()
    {
        Ok(status) if status.success() => Some(commit),
        _ => Some(commit + "-dirty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_processor_and_cores() {
        let machine = Machine {
            processor: "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz".into(),
            cores: 2,
            ..Machine::here(&Device::Cpu)
        };
        let expected = "intel-xeon-platinum-8481c-cpu-2-70ghz-2-cores";
        assert_eq!(machine.folder_name(), expected);
    }

    #[test]
    fn this_machine_is_described() {
        let here = Machine::here(&Device::Cpu);
        assert!(!here.processor.is_empty() && !here.simd.is_empty());
        assert_eq!(here.date.len(), 10, "{}", here.date);
    }
}

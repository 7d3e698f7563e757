//! The steps, in their order.

use super::tool::Tool::{self, Bench, Cargo, Mlx, Program, Python, Shell, Soak};
use crate::Env;
use std::time::Duration;

/// A child process with a deadline. In words `{report}`, `{work}`, `{model}` and `{mlx}` stand for paths, and `+` for a space.
pub struct Step {
    pub name: &'static str,
    /// What it is to show.
    pub what: &'static str,
    pub tool: Tool,
    pub words: &'static str,
    pub limit: Duration,
    /// Words and deadline of the dry run; `None` where a Mac is needed.
    pub dry: Option<(&'static str, Duration)>,
    /// Steps without whose success this one says nothing.
    pub needs: &'static [&'static str],
    /// A step that makes this one needless if it passes.
    pub unless: Option<&'static str>,
    pub env: Env,
}

impl Step {
    const fn new(
        name: &'static str,
        what: &'static str,
        tool: Tool,
        words: &'static str,
        limit: Duration,
    ) -> Self {
        Self {
            name,
            what,
            tool,
            words,
            limit,
            dry: None,
            needs: &[],
            unless: None,
            env: &[],
        }
    }

    const fn dry(self, words: &'static str, limit: Duration) -> Self {
        Self {
            dry: Some((words, limit)),
            ..self
        }
    }

    const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    const fn unless(self, unless: &'static str) -> Self {
        Self {
            unless: Some(unless),
            ..self
        }
    }

    const fn env(self, env: Env) -> Self {
        Self { env, ..self }
    }
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// Apple's checks of calls, and of what kernels read and write (`man MetalValidation`).
const API_VALIDATION: Env = &[("METAL_DEVICE_WRAPPER_TYPE", "1"), ("MTL_DEBUG_LAYER", "1")];
const SHADER_VALIDATION: Env = &[("MTL_SHADER_VALIDATION", "1")];

const SYSTEM: &str = "sw_vers;+uname+-srm;+sysctl+-n+machdep.cpu.brand_string+hw.ncpu+hw.memsize;\
                      +system_profiler+-detailLevel+mini+SPDisplaysDataType;+cargo+--version";

/// The tests that use a GPU: every operation, and so every text of MSL; golden models and training; MPS and its order.
const GPU_TESTS: &str = "test --workspace --no-fail-fast --test metal --test gpu";

const DRY_BUILD: &str = "build --locked --package soft-metal-product --bins --example soak";
const DRY_BUILD_TESTS: &str =
    "test --no-run --locked --package soft-metal-product --test operations";

/// All of them. What later steps need comes first; what takes longest, last of its kind.
pub const STEPS: &[Step] = &[
    Step::new("system", "the machine", Shell, SYSTEM, minutes(2)).dry("uname+-srm;+cargo+--version", minutes(1)),
    Step::new("build", "the programs are compiled", Cargo, "build --release --workspace --bins --examples", minutes(40))
        .dry(DRY_BUILD, minutes(20)),
    Step::new("doctor", "what the program sees of the GPU", Program, "doctor", minutes(2))
        .dry("doctor", minutes(2))
        .needs(&["build"]),
    Step::new("check", "what `--device auto` asks for: operations, training and order, each in a process", Program, CHECK, minutes(60))
        .dry("doctor --check --device metal --only softmax,litmus", minutes(5))
        .needs(&["build"]),
    Step::new("build-tests", "the tests are compiled", Cargo, "test --workspace --no-run", minutes(60))
        .dry(DRY_BUILD_TESTS, minutes(20)),
    Step::new("gpu-tests", "all MSL is compiled; operations, models, training and MPS are right", Cargo, GPU_TESTS, minutes(40))
        .dry("test --locked --package soft-metal-product --test operations -- --test-threads=1 softmax", minutes(5))
        .needs(&["build-tests"]),
    Step::new("api-validation", "the same, with Apple's checks of every call", Cargo, GPU_TESTS, minutes(40))
        .needs(&["build-tests"])
        .env(API_VALIDATION),
    Step::new("shader-validation", "the same, with Apple's checks of what kernels touch", Cargo, GPU_TESTS, minutes(60))
        .needs(&["build-tests"])
        .env(SHADER_VALIDATION),
    Step::new("tests", "every test of the project", Cargo, "test --workspace --no-fail-fast", minutes(90)).needs(&["build-tests"]),
    Step::new("soak-1000", "mixed work again and again; memory must not grow", Soak, "metal 1000", minutes(10))
        .dry("metal 20", minutes(2))
        .needs(&["build"]),
    Step::new("calibrate", "the litmus test; what MPS is faster at", Program, "calibrate --device metal", minutes(15))
        .dry(
            "calibrate --device metal --litmus-rounds 2 --litmus-width 8 --sizes 16x32x16 --softmax-sizes 16x32",
            minutes(2),
        )
        .needs(&["build"]),
    Step::new("calibrated", "what is chosen after that", Program, "doctor --json", minutes(2))
        .dry("doctor --json", minutes(2))
        .needs(&["calibrate"]),
    Step::new("python", "an environment of Python, 3.11 or later", Python, "-m venv {work}/python", minutes(5)),
    Step::new("mlx", "MLX is installed there", Mlx, "-m pip install -r scripts/bench/requirements-mlx.txt", minutes(20))
        .needs(&["python"]),
    Step::new(
        "bench-ops",
        "operations, beside candle, MPS and MLX",
        Bench,
        "ops --device metal --table --vs candle,engines,mlx --python {mlx} --record {report}/bench-records",
        minutes(60),
    )
    .needs(&["build", "mlx"]),
    Step::new(
        "bench-ops-alone",
        "operations, beside candle and MPS",
        Bench,
        "ops --device metal --table --vs candle,engines --record {report}/bench-records",
        minutes(60),
    )
    .needs(&["build"])
    .unless("bench-ops"),
    Step::new(
        "bench-train",
        "steps of training, beside MLX",
        Bench,
        "train --device metal --vs mlx --python {mlx} --record {report}/bench-records",
        minutes(30),
    )
    .needs(&["build", "mlx"]),
    Step::new(
        "bench-train-alone",
        "steps of training",
        Bench,
        "train --device metal --record {report}/bench-records",
        minutes(30),
    )
    .dry("train --device metal --dtype f32 --steps 1 --one 16+1+2+1+24+32+8+2", minutes(2))
    .needs(&["build"])
    .unless("bench-train"),
    Step::new(
        "bench-generate",
        "tokens of a model with random weights",
        Bench,
        "generate --device metal --record {report}/bench-records",
        minutes(30),
    )
    .needs(&["build"]),
    Step::new("quickstart", "rows to train on, by the CPU", Program, "quickstart --output {work}/quickstart --overwrite", minutes(20))
        .dry("quickstart --output {work}/quickstart --overwrite --base-iters 1 --iters 1", minutes(3))
        .needs(&["build"]),
    Step::new("generate-cpu", "a real model, downloaded, by the CPU", Program, GENERATE_CPU, minutes(30))
        .dry(GENERATE_CPU, minutes(2))
        .needs(&["quickstart"]),
    Step::new("generate-metal", "the same tokens by the GPU", Program, GENERATE_METAL, minutes(10))
        .dry(GENERATE_METAL, minutes(3))
        .needs(&["generate-cpu"]),
    Step::new("train-cpu", "a real model is trained by the CPU", Program, TRAIN_CPU, minutes(30))
        .dry(DRY_TRAIN_CPU, minutes(2))
        .needs(&["generate-cpu"]),
    Step::new("train-metal", "the same losses by the GPU", Program, TRAIN_METAL, minutes(30))
        .dry(DRY_TRAIN_METAL, minutes(3))
        .needs(&["generate-cpu"]),
    Step::new("generate-adapted", "tokens of what the GPU trained", Program, GENERATE_ADAPTED, minutes(10))
        .dry(GENERATE_ADAPTED, minutes(3))
        .needs(&["train-metal"]),
    Step::new("soak-100000", "the same for long", Soak, "metal 100000", minutes(120)).needs(&["soak-1000"]),
];

const CHECK: &str = "doctor --check --device metal";
const GENERATE_CPU: &str = "generate --model {model} --device cpu --temp 0 --max-tokens 32 --json --prompt Why+is+the+sky+blue?";
const GENERATE_METAL: &str = "generate --model {model} --device metal --temp 0 --max-tokens 32 --json --prompt Why+is+the+sky+blue?";
const GENERATE_ADAPTED: &str = "generate --model {model} --adapter-path {work}/adapter-metal --device metal --temp 0 \
                                --max-tokens 12 --json --prompt 3+March+2021";
const TRAIN_CPU: &str = "train --model {model} --data {work}/quickstart/data --mask-prompt --iters 20 --steps-per-report 1 \
                         --overwrite --adapter-path {work}/adapter-cpu --device cpu";
const TRAIN_METAL: &str = "train --model {model} --data {work}/quickstart/data --mask-prompt --iters 20 --steps-per-report 1 \
                           --overwrite --adapter-path {work}/adapter-metal --device metal";
const DRY_TRAIN_CPU: &str = "train --model {model} --data {work}/quickstart/data --mask-prompt --iters 1 --steps-per-report 1 --batch-size 1 --sample-prompts 0 \
                             --val-batches 1 --overwrite --adapter-path {work}/adapter-cpu --device cpu";
const DRY_TRAIN_METAL: &str = "train --model {model} --data {work}/quickstart/data --mask-prompt --iters 1 --steps-per-report 1 --batch-size 1 --sample-prompts 0 \
                               --val-batches 1 --overwrite --adapter-path {work}/adapter-metal --device metal";

//! Options of mlx-lm's programs that are none of ours, a table for each program. `tests/cli/mlx` compares them with what
//! mlx-lm's own parsers know.

use super::accepted::Program;
use super::foreign::Foreign;

const TRUST: Foreign = Foreign::idle_switch(
    "trust-remote-code",
    "no code of a model's repository is ever run",
);
const UPLOAD: Foreign = Foreign::idle(
    "upload-repo",
    "uploading what is written is left to `hf upload REPOSITORY FOLDER`",
);

/// Names of services that mlx-lm reports to, but for what `train --report-to` writes.
pub static REPORT_TO: Foreign = Foreign::refused(
    "report-to",
    1,
    "nothing is sent to a service",
    "give tensorboard, whose files `wandb sync` and others take up, or leave it out: report.html and metrics.jsonl in \
     --adapter-path have every figure",
)
.except(&["tensorboard", "none"]);

/// `mlx_lm.lora`.
#[derive(Debug)]
pub struct Lora;

impl Program for Lora {
    const FOREIGN: &'static [Foreign] = &[
        TRUST,
        Foreign::idle(
            "clear-cache-threshold",
            "no cache of MLX's is kept between steps",
        ),
    ];
}

/// `mlx_lm.generate`.
#[derive(Debug)]
pub struct Generate;

const USE_DEFAULT_TEMPLATE: Foreign = Foreign::idle_switch(
    "use-default-chat-template",
    "a chat template is used wherever there is one, and no tokenizer has another beside it",
);
const NO_PROMPT_CACHE: &str = "every prompt is read whole";
const WHOLE_CACHE: &str =
    "keys and values are kept as they are, which is nearer to the model than a quantized cache";
const DRAFT: &str =
    "there is no speculative decoding, and a draft model does not change what is generated";
const PREFILL: Foreign = Foreign::idle(
    "prefill-step-size",
    "the engine chooses how much of a prompt it reads at once",
);

impl Program for Generate {
    const FOREIGN: &'static [Foreign] = &[
        TRUST,
        Foreign::refused(
            "image",
            usize::MAX,
            "models read text only",
            "leave it out, and describe the image in the prompt",
        ),
        USE_DEFAULT_TEMPLATE,
        Foreign::idle(
            super::words::VERBOSE,
            "--verbose of mlx-lm shows the speed, which is always told on standard error",
        ),
        PREFILL,
        Foreign::idle_switch(
            "quantize-activations",
            "activations are not quantized, which is nearer to the model",
        ),
        Foreign::idle("kv-bits", WHOLE_CACHE),
        Foreign::idle("kv-group-size", WHOLE_CACHE),
        Foreign::idle("quantized-kv-start", WHOLE_CACHE),
        Foreign::idle("draft-model", DRAFT),
        Foreign::idle("num-draft-tokens", DRAFT),
    ];
}

/// `mlx_lm.cache_prompt`.
#[derive(Debug)]
pub struct CachePrompt;

impl Program for CachePrompt {
    const FOREIGN: &'static [Foreign] = &[
        TRUST,
        Foreign::idle("kv-bits", WHOLE_CACHE),
        Foreign::idle("kv-group-size", WHOLE_CACHE),
        Foreign::idle("quantized-kv-start", WHOLE_CACHE),
    ];
}

/// `mlx_lm.chat`.
#[derive(Debug)]
pub struct Chat;

impl Program for Chat {
    const FOREIGN: &'static [Foreign] = &[
        TRUST,
        PREFILL,
        Foreign::idle_switch("pipeline", "one device computes the whole model"),
    ];
}

/// `mlx_lm.server`.
#[derive(Debug)]
pub struct Server;

impl Program for Server {
    const FOREIGN: &'static [Foreign] = &[
        TRUST,
        Foreign::idle("draft-model", DRAFT),
        Foreign::idle("num-draft-tokens", DRAFT),
        Foreign::idle(
            "log-level",
            "-v tells more on standard error, -vv everything, and -q results only",
        ),
        USE_DEFAULT_TEMPLATE,
        Foreign::idle(
            "prompt-concurrency",
            "all prompts that have come share the tokens of --prefill-step-size",
        ),
        Foreign::idle("prompt-cache-size", NO_PROMPT_CACHE),
        Foreign::idle("prompt-cache-bytes", NO_PROMPT_CACHE),
        Foreign::idle("kv-bits", WHOLE_CACHE),
        Foreign::idle("kv-group-size", WHOLE_CACHE),
        Foreign::idle("quantized-kv-start", WHOLE_CACHE),
        Foreign::idle_switch("pipeline", "one device computes the whole model"),
    ];
}

/// `mlx_lm.fuse`.
#[derive(Debug)]
pub struct Fuse;

impl Program for Fuse {
    const FOREIGN: &'static [Foreign] = &[TRUST, UPLOAD];
}

/// `mlx_lm.perplexity`.
#[derive(Debug)]
pub struct Perplexity;

impl Program for Perplexity {
    const FOREIGN: &'static [Foreign] = &[TRUST];
}

/// `mlx_lm.convert`.
#[derive(Debug)]
pub struct Convert;

impl Program for Convert {
    const FOREIGN: &'static [Foreign] = &[TRUST, UPLOAD];
}

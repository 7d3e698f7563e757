//! The configuration file of `train`.

use crate::input::Input;
use crate::{mutate, odd_file};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const FILE: &str = "lora.yaml";
const RUN: &str = "train -c lora.yaml --adapter-path out";
const VALID: &str = "\
model: model
train: true
data: data
iters: 1
batch_size: 2
max_seq_length: 48
val_batches: 1
learning_rate: 1e-3
resume_adapter_file: null
lora_parameters:
  keys: [self_attn.q_proj, mlp.down_proj]
  rank: 2
  scale: 5.0
  dropout: 0.0
";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, RUN);
    inputs.extend(refused());
    inputs.extend(accepted());
    inputs.extend(uncertain());
    inputs.extend((0..30).map(|seed| {
        let input = Input::new(format!("bytes {seed}"), RUN);
        // The number of steps last: what is damaged must not run for ever.
        let input = input.arg("--iters").arg("1").first(FILE, VALID);
        input.bytes(FILE, move |old| {
            mutate::damaged(&mut ChaCha8Rng::seed_from_u64(seed), old)
        })
    }));
    inputs
}

fn with(text: &str) -> Input {
    let shown: String = text.trim_end().chars().take(90).collect();
    Input::new(shown, RUN).file(FILE, format!("{VALID}{text}"))
}

fn file(name: &str, text: impl Into<Vec<u8>>) -> Input {
    Input::new(name, RUN).file(FILE, text.into())
}

fn refused() -> Vec<Input> {
    let added = [
        "batchsize: 4\n",
        "  rnk: 4\n",
        "batch_size: 2\n",
        "grad_accumulation_steps: 0\n",
        "seed: -1\n",
        "seed: 1.5\n",
        "weight_decay: .nan\n",
        "weight_decay: .inf\n",
        "weight_decay: -1\n",
        "eps: 0\n",
        "eps: -1e-8\n",
        "betas: 5\n",
        "betas: [1, 1]\n",
        "betas: []\n",
        "betas: [[0.9], 0.9]\n",
        "max_grad_norm: -1\n",
        "config: lora.yaml\n",
        "report_to: neptune\n",
        "report_to: [neptune]\n",
        "hf_dataset: OWNER/NAME\n",
        "lr_schedule: {name: step}\n",
        "lr_schedule: {name: cosine_decay, arguments: [.nan]}\n",
        "lr_schedule: {name: cosine_decay, arguments: [1, 2, 3, 4, 5]}\n",
        "lr_schedule: 5\n",
        "optimizer: lion\n",
        "optimizer_config: {adamw: {betas: x}}\n",
        "fine_tune_type: adalora\n",
        "x: [1\n",
        "\"\\e[31mred\": 1\n",
        "? [a, b]\n: 1\n",
        "num_layers: 0\n",
        "save_every: often\n",
        "{}: 1\n",
        "steps_per_report: 0\n",
        "max_seq_length: 1e18\n",
        "\t\n\tx: 1\n",
        "grad_checkpoint: {a: b}\n",
        "a_key: !!python/object/apply:os.system [ls]\n",
        "mask_prompt: maybe\n",
    ];
    let mut inputs: Vec<Input> = added.map(|text| with(text).refused(&[])).into();
    let laughs: String = (1..12)
        .map(|i| {
            format!(
                "a{i}: &a{i} [{}]\n",
                vec![format!("*a{}", i - 1); 10].join(",")
            )
        })
        .collect();
    let files = [
        file("a list", "[]"),
        file("a number", "5"),
        file("a text", "hello"),
        file("100,000 lists deep", mutate::extreme("DEEP")),
        file(
            "100,000 maps deep",
            mutate::nested("{a: ", "1", "}", 100_000),
        ),
        file("a billion laughs", format!("a0: &a0 [x]\n{laughs}")),
        file("an alias to itself", "model: &a [*a]\n"),
        file(
            "a name that is a path of nothing",
            "model: nowhere\ndata: data\n",
        ),
        file("no data", "model: model\n"),
        file("two documents", format!("{VALID}---\n{VALID}")),
        file("a zero byte", format!("{VALID}\0")),
    ];
    inputs.extend(files.map(|input| input.refused(&[])));
    let lora = |field: &str| {
        let text = VALID.replace("  dropout: 0.0", &format!("  dropout: 0.0\n  {field}"));
        Input::new(format!("lora_parameters {field}"), RUN)
            .file(FILE, text)
            .refused(&[])
    };
    inputs.extend(
        [
            "rank: 0",
            "alpha: .nan",
            "rslora: 5",
            "unknown: 1",
            "alpha: {a: 1}",
        ]
        .map(lora),
    );
    inputs
}

fn accepted() -> Vec<Input> {
    vec![
        file("nothing is wrong", VALID).accepted(),
        file("CR LF", VALID.replace('\n', "\r\n")).accepted(),
        file("a comment and a marker", format!("# mine\n---\n{VALID}")).accepted(),
        with("save_every: 1000000000\n").accepted(),
        with("warmup_steps: 1000000000\n").accepted(),
        with("clear_cache_threshold: 5\n").accepted(),
        with("hf_dataset: false\n").accepted(),
        with("report_to: wandb\n").accepted(),
        with("report_to: [wandb]\n").accepted(),
        with("test: false\n").accepted(),
    ]
}

fn uncertain() -> Vec<Input> {
    vec![
        file("a byte order mark", format!("\u{feff}{VALID}")),
        file(
            "1 MB of a name",
            VALID.replace("model: model", &format!("model: {}", "x".repeat(1 << 20))),
        ),
        file("values that begin with a dash", "model: --help\ndata: -h\n"),
        file(
            "a name of a colour",
            "model: \"\\e[31mred\\a\\u202e\"\ndata: data\n",
        ),
        file(
            "100,000 keys",
            (0..100_000)
                .map(|i| format!("k{i}: 1\n"))
                .collect::<String>(),
        ),
        file(
            "300,000 targets",
            format!(
                "{}  keys: [{}x]\n",
                VALID.replace("  keys: [self_attn.q_proj, mlp.down_proj]\n", ""),
                "q_proj, ".repeat(300_000)
            ),
        ),
        with(
            "lr_schedule: {name: cosine_decay, warmup: 18446744073709551615, arguments: [1e-3, 18446744073709551615, 0]}\n",
        ),
        with("<<: {seed: 1}\n"),
        with("seed: 0x10\n"),
        with("train: false\n"),
        with("learning_rate_: 1\n"),
    ]
}

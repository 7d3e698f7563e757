use crate::fixture::Fixture;

const YAML: &str = "\
model: model
train: true
data: data
iters: 3
batch_size: 4
learning_rate: 1e-3
steps_per_report: 1
resume_adapter_file: null
test: false
lora_parameters:
  keys: [self_attn.q_proj, mlp.down_proj]
  rank: 6
  scale: 5.0
  dropout: 0.0
";

fn with(text: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("lora.yaml", text);
    fixture
}

#[test]
fn a_file_of_mlx_lm_is_understood() {
    let fixture = with(YAML);
    let ended = fixture.ok("train -c lora.yaml");
    assert!(
        ended.stdout.contains("Learning Rate 1.000e-3"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("Trained 3 steps"), "{}", ended.stdout);
    let config = fixture.json("adapters/adapter_config.json");
    assert_eq!(config["r"], 6);
    // The scale is a direct factor, alpha is divided by the rank.
    assert_eq!(config["lora_alpha"], 30);
    assert_eq!(
        config["target_modules"],
        serde_json::json!(["self_attn.q_proj", "mlp.down_proj"])
    );
}

#[test]
fn a_file_asks_for_dora() {
    let fixture = with(&format!("{YAML}fine_tune_type: dora\n"));
    fixture.ok("train -c lora.yaml");
    assert_eq!(
        fixture.json("adapters/adapter_config.json")["use_dora"],
        true
    );
}

#[test]
fn the_command_line_wins_over_the_file() {
    let fixture = with(YAML);
    let ended = fixture.ok("train -c lora.yaml --iters 1 --rank 2 --learning-rate 5e-4");
    assert!(ended.stdout.contains("Trained 1 step,"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("Learning Rate 5.000e-4"),
        "{}",
        ended.stdout
    );
    let config = fixture.json("adapters/adapter_config.json");
    assert_eq!(
        (config["r"].clone(), config["lora_alpha"].clone()),
        (2.into(), 10.into())
    );
    fixture.ok("train --config lora.yaml --iters 1 --alpha 3 --overwrite");
    assert_eq!(
        fixture.json("adapters/adapter_config.json")["lora_alpha"],
        3
    );
}

#[test]
fn a_schedule_has_its_own_learning_rate() {
    let schedule = "lr_schedule: {name: cosine_decay, warmup: 1, arguments: [2e-2, 2, 1e-3]}\n";
    let fixture = with(&format!("{schedule}{YAML}"));
    let stdout = fixture.ok("train -c lora.yaml --iters 4").stdout;
    // mlx-lm's warm-up begins at 0, and its peak lasts a step longer.
    for rate in ["0.000e0", "2.000e-2", "1.050e-2"] {
        assert!(
            stdout.contains(&format!("Learning Rate {rate}")),
            "{rate}\n{stdout}"
        );
    }
}

#[test]
fn unknown_keys_and_bad_values_are_refused() {
    let fails = |text: &str, expected: &[&str]| {
        let fixture = with(&format!("{YAML}{text}"));
        fixture.fails("train -c lora.yaml", 2, expected);
        fixture.assert_nothing_half_written("adapters");
    };
    fails(
        "batchsize: 4\n",
        &["lora.yaml", "unknown key batchsize", "batch_size"],
    );
    fails("  rnk: 4\n", &["lora_parameters: unknown key rnk", "rank"]);
    fails(
        "grad_accumulation_steps: 0\n",
        &["--grad-accumulation-steps"],
    );
    fails("save_every: often\n", &["--save-every", "often"]);
    fails(
        "report_to: neptune\n",
        &["lora.yaml", "--report-to", "is not built"],
    );
    fails("batch_size: 2\n", &["lora.yaml", "batch_size"]);
    fails("x: [1\n", &["lora.yaml"]);
}

#[test]
fn what_the_file_lacks_is_asked_for() {
    let fixture = with("iters: 1\n");
    fixture.fails("train -c lora.yaml", 2, &["--model is missing", "model:"]);
    fixture.fails(
        "train -c lora.yaml --model model",
        2,
        &["--data is missing"],
    );
    fixture.ok("train -c lora.yaml --model model --data data");
    fixture.fails(
        "train -c nowhere.yaml",
        2,
        &["nowhere.yaml", "check the path"],
    );
}

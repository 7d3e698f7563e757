//! Keys of mlx-lm's files for what there is in another way.

use crate::fixture::Fixture;

fn with(text: &str) -> Fixture {
    let fixture = Fixture::new();
    let yaml = format!("model: model\niters: 1\nlora_parameters: {{rank: 4}}\n{text}");
    fixture.write("lora.yaml", &yaml);
    fixture
}

#[test]
fn a_service_stops_no_run_and_is_told() {
    for text in [
        "report_to: wandb",
        "report_to: wandb, SwanLab",
        "report_to: [wandb]",
        "wandb: project",
    ] {
        let fixture = with(&format!("data: data\n{text}\n"));
        let ended = fixture.ok("lora -c lora.yaml");
        for told in ["reports nothing", "report_to: tensorboard", "report.html"] {
            assert!(ended.stderr.contains(told), "{text}: {}", ended.stderr);
        }
        assert!(!fixture.path("adapters/tensorboard").exists());
    }
    let fixture = with("data: data\nreport_to: tensorboard\n");
    let ended = fixture.ok("lora -c lora.yaml");
    assert!(!ended.stderr.contains("reports nothing"));
    assert!(fixture.path("adapters/tensorboard").exists());
    for names in ["wandb,tensorboard", "[tensorboard, swanlab]"] {
        let fixture = with(&format!("data: data\nreport_to: {names}\n"));
        let ended = fixture.ok("lora -c lora.yaml");
        assert!(ended.stderr.contains("reports nothing"), "{}", ended.stderr);
        assert!(fixture.path("adapters/tensorboard").exists());
    }
    let words = "lora --model model --data data --report-to wandb";
    fixture.fails(words, 2, &["--report-to is not built"]);
}

/// A folder stands for a data set of the hub.
#[test]
fn a_data_set_with_its_columns_is_taken() {
    let rows = "{\"zz\": \"say 1\", \"yy\": \"1 it is\"}\n".repeat(4);
    for text in [
        "hf_dataset: {path: own, prompt_feature: zz, completion_feature: yy, config: null}",
        "hf_dataset: [{path: own, prompt_feature: zz, completion_feature: yy}]\ndata: nowhere",
    ] {
        let fixture = with(&format!("{text}\nmask_prompt: true\n"));
        fixture.write("own/train.jsonl", &rows);
        let ended = fixture.ok("lora -c lora.yaml");
        let told = "mlx-lm takes the first 80 %";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        assert_eq!(fixture.json("adapters/run.json")["compat"], "mlx");
        let other = "lora -c lora.yaml --data data --prompt-key prompt --completion-key completion --overwrite";
        let ended = fixture.ok(other);
        assert!(!ended.stderr.contains(told), "{}", ended.stderr);
    }
}

#[test]
fn what_a_data_set_cannot_be_is_refused_by_name() {
    for (text, expected) in [
        (
            "{path: a/b, train_split: \"train[:80%]\"}",
            "hf_dataset: train_split: expected path, prompt_feature",
        ),
        ("{path: a/b, config: {name: en}}", "hf_dataset: config"),
        ("{prompt_feature: q}", "hf_dataset: path is missing"),
        ("[{path: a/b}, {path: c/d}]", "expected one data set, got 2"),
        ("a/b", "hf_dataset: expected keys and values"),
    ] {
        let fixture = with(&format!("hf_dataset: {text}\n"));
        fixture.fails("lora -c lora.yaml", 2, &["lora.yaml", expected]);
    }
}

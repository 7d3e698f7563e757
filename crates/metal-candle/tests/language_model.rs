//! The library as a stranger uses it: a model in a folder, rows in memory, a few lines.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../examples/dates.rs"]
mod dates;
#[allow(dead_code)]
#[path = "../examples/own_model.rs"]
mod own_model;

use candle_core::{DType, Device};
use metal_candle::data::{Convention, Row, Source, train_bpe, write_tokenizer};
use metal_candle::fine_tune::{self, FineTuning, RowSettings, Settings, Subject, fine_tune};
use metal_candle::language_model::{Adapted, Error, Generation, LanguageModel};
use metal_candle::layout::Arrangement;
use metal_candle::lora::{LastBlocks, LoraConfig, Method};
use metal_candle::models::{Model, save_checkpoint};
use metal_candle::train::{Decay, Dpo, Event, Objective, Options, Preference, Schedule};
use serde_json::json;
use std::path::Path;

const EOS: &str = "<|end|>";
const TEMPLATE: &str = "{% for m in messages %}{{ m.role + ': ' + m.content + '<|end|>' }}{% endfor %}\
{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/// A tiny model with random weights.
fn write_model(folder: &Path) {
    let texts = ["user: assistant: 3 March 2021-03-03 12 May 1987-05-12 9 June 2004".to_string()];
    let tokenizer = train_bpe(&texts, 320, &[EOS]).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    write_tokenizer(folder, &tokenizer, EOS, Some(TEMPLATE)).unwrap();
    let config = json!({
        "model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-6,
        "vocab_size": 320, "max_position_embeddings": 128, "tie_word_embeddings": true,
        "initializer_range": 0.2,
    });
    let model = Model::random(config.clone(), 5, &Device::Cpu).unwrap();
    save_checkpoint(folder, &config, model.decoder.tensors()).unwrap();
}

fn options(iters: usize) -> Options {
    let schedule = Schedule::constant(1e-2);
    Options {
        iters,
        schedule,
        ..Options::default()
    }
}

#[test]
fn an_adapter_learns_rows_and_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    write_model(&folder.path().join("model"));
    let model = LanguageModel::load(folder.path().join("model"), &Device::Cpu).unwrap();
    let adapter = model.adapt(LoraConfig::default(), 0).unwrap();
    let rows = [("3 March", "2021"), ("12 May", "1987")];
    let rows = rows.map(|(date, year)| Row::completion(date, year));
    let mut losses = vec![];
    let summary = model.train(&adapter, &rows, &options(60), |event| {
        if let Event::Step { loss, .. } = event {
            losses.push(*loss);
        }
    });
    assert_eq!((summary.unwrap().steps, losses.len()), (60, 60));
    assert!(losses[59] < 0.05 * losses[0], "{losses:?}");
    let how = Generation {
        max_tokens: 12,
        ..Generation::default()
    };
    let answer = |adapter: Option<&Adapted>, model: &LanguageModel| {
        let mut shown = String::new();
        let adapters = adapter.map(|adapter| adapter.frozen(&model.model).unwrap());
        let answer = model.generate(adapters, "12 May", &how, |piece| shown.push_str(piece));
        assert_eq!(*answer.as_ref().unwrap(), shown);
        shown
    };
    assert_eq!(answer(Some(&adapter), &model), "1987");
    assert_ne!(answer(None, &model), "1987");
    let saved = folder.path().join("adapter");
    model.save_adapter(&adapter, &saved).unwrap();
    let read = model.load_adapter(&saved).unwrap();
    assert_eq!(answer(Some(&read), &model), "1987");
}

#[test]
fn an_adapter_learns_preferences() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    let model = LanguageModel::load(folder.path(), &Device::Cpu).unwrap();
    let adapter = model.adapt(LoraConfig::default(), 0).unwrap();
    let rows = [("3 March", "2021", "1987"), ("12 May", "1987", "2021")];
    let rows = rows.map(|(date, better, worse)| Row::preference(date, better, worse));
    let objective = Objective::Preference(Preference::Dpo(Dpo::default()));
    let options = Options {
        objective,
        ..options(40)
    };
    let mut reports = vec![];
    let summary = model.train(&adapter, &rows, &options, |event| {
        if let Event::Report(report) = event {
            reports.push(report.preference.unwrap());
        }
    });
    assert!(summary.unwrap().last_loss < 0.2);
    let last = reports.last().unwrap();
    assert!(last.accuracy == 1.0 && last.margin > 1.0, "{last:?}");
    let same = [Row::preference("12 May", "1987", "1987")];
    let error = model.train(&adapter, &same, &options, |_| {});
    assert!(matches!(error, Err(Error::NothingToTrain { row: 0, .. })));
}

#[test]
fn rows_that_train_nothing_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    let model = LanguageModel::load(folder.path(), &Device::Cpu).unwrap();
    let adapter = model.adapt(LoraConfig::default(), 0).unwrap();
    let rows = [
        Row::completion("a", "b"),
        Row::completion("x".repeat(500), "b"),
    ];
    let error = model.train(&adapter, &rows, &options(1), |_| {});
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        Error::NothingToTrain {
            row: 1,
            n_tokens: 128
        }
    ));
}

/// Settings of a run from folder to folder.
fn fine_tuning(folder: &Path, iters: usize, subject: Subject) -> Settings {
    let schedule = Schedule {
        decay: Decay::Cosine {
            end: 1e-3,
            steps: iters,
        },
        ..options(iters).schedule
    };
    Settings {
        model: "tiny".into(),
        on_load: None,
        activations: DType::F32,
        rows: RowSettings {
            source: Source::at(folder).unwrap(),
            valid_split: None,
            mask_prompt: true,
            convention: Convention::Standard,
            max_seq_length: None,
            arrangement: Arrangement::Packed,
        },
        output: folder.join("run"),
        overwrite: false,
        subject,
        tests: true,
        lr_decay_steps: Some(7),
        warmup_ratio: None,
        loraplus_lr_ratio: None,
        all_decay: false,
        eval_share: None,
        save_share: None,
        options: Options {
            schedule,
            batch_size: 2,
            ..options(iters)
        },
    }
}

fn fresh() -> Subject {
    let config = LoraConfig {
        dropout: 0.1,
        ..LoraConfig::default()
    };
    Subject::Fresh {
        config: Box::new(config),
        blocks: LastBlocks::Exactly(1),
        add_tokens: vec![],
    }
}

/// Two folders with a model and rows.
fn folders() -> [tempfile::TempDir; 2] {
    [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        write_model(&folder.path().join("model"));
        let row = |i: usize| json!({"prompt": format!("{i} March"), "completion": "2021"});
        for (split, n) in [("train", 5), ("valid", 2), ("test", 3)] {
            let rows: String = (0..n).map(|i| format!("{}\n", row(i))).collect();
            std::fs::write(folder.path().join(format!("{split}.jsonl")), rows).unwrap();
        }
        folder
    })
}

#[test]
fn a_run_from_folder_to_folder_goes_on_to_the_bit() {
    let [whole, parts] = folders();
    let run = |folder: &Path, iters, subject| {
        let mut losses = vec![];
        let settings = fine_tuning(folder, iters, subject);
        let observe = |event: &Event| {
            if let Event::Step { loss, .. } = event {
                losses.push(*loss);
            }
        };
        let base = folder.join("model");
        let summary = fine_tune(settings, &base, &Device::Cpu, observe).unwrap();
        (summary.steps, losses)
    };
    let (steps, losses) = run(whole.path(), 8, fresh());
    assert_eq!(steps, 8);
    assert!(losses[7] < losses[0], "{losses:?}");
    let (_, first) = run(parts.path(), 3, fresh());
    let resumed = Subject::Resumed {
        path: parts.path().join("run"),
        method: Some(Method::Lora),
        dropout: None,
    };
    let (steps, second) = run(parts.path(), 5, resumed);
    assert_eq!((steps, [first, second].concat()), (8, losses));
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let read = |folder: &Path| std::fs::read(folder.join("run").join(file)).unwrap();
        assert_eq!(read(whole.path()), read(parts.path()), "{file}");
    }
}

#[test]
fn rows_that_do_not_stay_in_memory_train_to_the_same_bits() {
    let [whole, spilled] = folders();
    let run = |folder: &Path, memory: Option<usize>| {
        let mut losses = vec![];
        let mut settings = fine_tuning(folder, 9, fresh());
        if let Some(bytes) = memory {
            settings.rows.source = settings.rows.source.with_memory(bytes);
        }
        let observe = |event: &Event| match event {
            Event::Step { loss, .. } => losses.push(*loss),
            Event::Validation(validation) => losses.push(validation.val_loss),
            _ => {}
        };
        fine_tune(settings, &folder.join("model"), &Device::Cpu, observe).unwrap();
        let adapter = std::fs::read(folder.join("run/adapter_model.safetensors"));
        (losses, adapter.unwrap())
    };
    assert_eq!(run(whole.path(), None), run(spilled.path(), Some(0)));
}

#[test]
fn what_a_run_goes_on_with_is_told() {
    let [folder, _] = folders();
    let base = folder.path().join("model");
    let prepare = |settings| {
        let tuning = FineTuning::claim(settings)?;
        let splits = tuning.splits(&base)?;
        tuning.load(&base, splits, &Device::Cpu)
    };
    let mut first = prepare(fine_tuning(folder.path(), 2, fresh())).unwrap();
    assert!(first.resumed().is_none() && first.differences().is_empty());
    first.train(&mut |_| {}, &|| false).unwrap();
    let loss = first.test(None).unwrap().loss();
    drop(first);
    let resumed = |method| Subject::Resumed {
        path: folder.path().join("run"),
        method,
        dropout: Some(0.25),
    };
    let mut settings = fine_tuning(folder.path(), 2, resumed(None));
    settings.options.seed = 3;
    let second = prepare(settings).unwrap();
    assert_eq!((second.steps(), second.n_rows()), (2, 5));
    assert_eq!(second.differences(), ["seed 0 -> 3", "dropout 0.1 -> 0.25"]);
    assert_eq!(second.test(None).unwrap().loss(), loss);
    drop(second);
    let other = fine_tuning(folder.path(), 2, resumed(Some(Method::Dora)));
    assert!(matches!(
        prepare(other),
        Err(fine_tune::Error::OtherMethod { .. })
    ));
    let full = Settings {
        output: base.clone(),
        overwrite: true,
        ..fine_tuning(folder.path(), 2, Subject::AllWeights)
    };
    assert!(matches!(
        prepare(full),
        Err(fine_tune::Error::OwnFolder { .. })
    ));
}

/// The lines of the README are those of an example that runs here.
#[test]
fn the_example_of_the_readme_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = std::fs::read_to_string(root.join("examples/dates.rs")).unwrap();
    let readme = std::fs::read_to_string(root.join("../../README.md")).unwrap();
    let (_, code) = code.split_once("\nuse ").unwrap();
    let shown = format!(
        "use {}",
        code.replace("#[rustfmt::skip]\npub fn main", "fn main")
    );
    assert!(
        readme.contains(&shown),
        "the README does not show examples/dates.rs"
    );
    let folder = tempfile::tempdir().unwrap();
    write_model(&folder.path().join("Qwen3-0.6B"));
    std::env::set_current_dir(folder.path()).unwrap();
    dates::main().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        assert!(
            folder.path().join("adapters").join(file).is_file(),
            "{file}"
        );
    }
}

#[test]
fn a_model_of_ones_own_is_trained() {
    let losses = own_model::losses().unwrap();
    let chance = (11f64).ln();
    assert!((losses[0] - chance).abs() < 0.5, "{losses:?}");
    assert!(losses[149] < 0.1 * chance, "{losses:?}");
}

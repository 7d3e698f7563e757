//! The course of a run: reports, evaluations, saves, and the order of things.

use super::*;

#[test]
fn a_run_reports_evaluates_saves_and_learns() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let run = run(
        &model,
        &parameters,
        &options(5),
        folder.path(),
        endless(4),
        usize::MAX,
    );
    let summary = run.result.unwrap();
    assert_eq!((summary.ending, summary.steps), (Ending::Finished, 5));
    assert_eq!(summary.trained_tokens, 5 * 24);
    let mut metrics = MetricsFile::create(&folder.path().join("metrics.jsonl")).unwrap();
    run.events
        .iter()
        .for_each(|event| metrics.write(event).unwrap());
    let lines = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let steps = |key: &str| -> Vec<u64> {
        let with = lines.iter().filter(|line| line[key].is_f64());
        with.map(|line| line["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("train_loss"), [2, 4, 5]);
    assert_eq!(steps("val_loss"), [0, 5]);
    for key in [
        "learning_rate",
        "tokens_per_sec",
        "trained_tokens",
        "peak_memory_bytes",
    ] {
        assert!(lines.iter().all(|line| line[key].is_number()), "{key}");
    }
    for saved in ["checkpoint-2", "checkpoint-4", "checkpoint-5", "."] {
        format::read(&folder.path().join(saved)).unwrap();
    }
}

#[test]
fn the_same_seed_trains_the_same_adapter_to_the_bit() {
    let device = device();
    let lora = LoraConfig {
        dropout: 0.2,
        ..LoraConfig::default()
    };
    let train = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let (model, parameters) = model_with(&lora, &device);
        let options = Options { seed, ..options(4) };
        run(
            &model,
            &parameters,
            &options,
            folder.path(),
            endless(4),
            usize::MAX,
        )
        .result
        .unwrap();
        values(&parameters)
    };
    assert_eq!(train(0), train(0));
    assert_ne!(train(0), train(1));
}

/// Dropout, a warm-up and a falling learning rate all depend on the number of the step.
#[test]
fn a_run_in_two_parts_trains_the_same_adapter_to_the_bit() {
    let device = device();
    let lora = LoraConfig {
        dropout: 0.2,
        ..LoraConfig::default()
    };
    let options = |iters| Options {
        schedule: Schedule {
            peak: 1e-2,
            warmup: Warmup::over(4, 1e-2),
            decay: Decay::Cosine {
                end: 1e-4,
                steps: 3,
            },
        },
        ..options(iters)
    };
    let folder = tempfile::tempdir().unwrap();
    let (model, whole) = model_with(&lora, &device);
    let run = run(&model, &whole, &options(7), folder.path(), endless(4), 99);
    assert_eq!(run.result.unwrap().steps, 7);

    let (model, parts) = model_with(&lora, &device);
    let mut optimizer = Optimizer::new(Rule::default(), &parts).unwrap();
    let first = options(7);
    let first = (&model, &parts, &first, folder.path());
    let first = run_with(&mut optimizer, first, endless(4), 3, None);
    assert_eq!(first.result.unwrap().ending, Ending::Stopped);
    let path = folder.path().join("checkpoint-3/optimizer.safetensors");
    let mut optimizer = Optimizer::load(Rule::default(), &path, &parts, &device).unwrap();
    let rest = options(4);
    let rest = (&model, &parts, &rest, folder.path());
    let rest = run_with(&mut optimizer, rest, endless(4).skip(3), 99, None);
    let rest = rest.result.unwrap();
    assert_eq!((rest.ending, rest.steps), (Ending::Finished, 7));
    assert_eq!(values(&whole), values(&parts));
}

#[test]
fn every_split_of_a_batch_trains_the_same_adapter() {
    let device = device();
    let train = |rows: usize| {
        let folder = tempfile::tempdir().unwrap();
        let (model, parameters) = model_with(&LoraConfig::default(), &device);
        let whole = (0..4).map(|i| batch(8, i));
        let split = whole.map(|batch| rows_of(&batch, rows));
        let split: Vec<Vec<Batch>> = split.collect();
        let options = options(4);
        run(
            &model,
            &parameters,
            &options,
            folder.path(),
            split.into_iter(),
            usize::MAX,
        )
        .result
        .unwrap();
        values(&parameters)
    };
    let whole = train(8);
    for rows in [1, 4] {
        for (a, b) in whole.iter().flatten().zip(train(rows).iter().flatten()) {
            assert!((a - b).abs() < 2e-4, "{rows}: {a} {b}");
        }
    }
}

/// `batch` in micro-batches of `rows` rows.
fn rows_of(batch: &Batch, rows: usize) -> Vec<Batch> {
    let parts = batch
        .inputs
        .chunks(rows * 9)
        .zip(batch.targets.chunks(rows * 9));
    parts
        .map(|(inputs, targets)| Batch {
            layout: Layout::new(Arrangement::Padded, &vec![9; rows]),
            inputs: inputs.to_vec(),
            targets: targets.to_vec(),
            lines: vec![],
            trained_tokens: targets.iter().filter(|&&t| t >= 0).count(),
            ..Batch::default()
        })
        .collect()
}

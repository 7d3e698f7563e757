//! Runs that end early, and what they leave.

use super::*;

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_adapter() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let start = values(&parameters);
    let mut options = options(5);
    options.schedule.peak = 1e38;
    let run = run(
        &model,
        &parameters,
        &options,
        folder.path(),
        endless(2),
        usize::MAX,
    );
    let error = run.result.unwrap_err().to_string();
    assert!(
        error.contains("step 2") && error.contains("train.jsonl: [1, 2]"),
        "{error}"
    );
    assert_eq!(
        values(&parameters),
        start,
        "the first step made the model useless"
    );
    let saved = folder.path().join("adapter_model.safetensors");
    let saved = candle_core::safetensors::load(saved, &Device::Cpu).unwrap();
    let saved = parameters.to_vec().into_iter().map(|(name, _)| {
        let saved = saved[&format!("base_model.model.{name}")].flatten_all();
        saved.unwrap().to_vec1::<f32>().unwrap()
    });
    assert_eq!(saved.collect::<Vec<_>>(), start);
}

#[test]
fn a_run_that_is_stopped_is_saved() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let run = run(
        &model,
        &parameters,
        &options(50),
        folder.path(),
        endless(2),
        3,
    );
    let summary = run.result.unwrap();
    assert_eq!((summary.ending, summary.steps), (Ending::Stopped, 3));
    format::read(folder.path()).unwrap();
}

#[test]
fn the_optimizer_goes_on_from_its_saved_state() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    run(
        &model,
        &parameters,
        &options(2),
        folder.path(),
        endless(2),
        usize::MAX,
    )
    .result
    .unwrap();
    let path = folder.path().join("checkpoint-2/optimizer.safetensors");
    let optimizer = Optimizer::load(Rule::default(), &path, &parameters, &device).unwrap();
    assert_eq!(optimizer.steps(), 2);
    let again = folder.path().join("again.safetensors");
    optimizer.save(&again, &parameters).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(&again).unwrap()
    );
    let fewer = LoraConfig {
        r: 4,
        ..LoraConfig::default()
    };
    let (_, fewer) = model_with(&fewer, &device);
    let error = Optimizer::load(Rule::default(), &path, &fewer, &device)
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected [4, 24], got [8, 24]"), "{error}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let refused = [
        Options {
            iters: 0,
            ..options(1)
        },
        Options {
            batch_size: 0,
            ..options(1)
        },
        Options {
            max_grad_norm: -1.0,
            ..options(1)
        },
        Options {
            max_grad_norm: f64::NAN,
            ..options(1)
        },
    ];
    let noises = [-1.0, f64::NAN, f64::INFINITY].map(|neftune_noise_alpha| Options {
        neftune_noise_alpha,
        ..options(1)
    });
    for options in refused.into_iter().chain(noises) {
        let run = run(
            &model,
            &parameters,
            &options,
            folder.path(),
            endless(2),
            usize::MAX,
        );
        assert!(matches!(run.result, Err(Error::Setting { .. })));
    }
}

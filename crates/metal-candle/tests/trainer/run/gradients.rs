//! Gradients: where they are, and where none is.

use super::*;

#[test]
fn no_gradient_is_computed_for_a_frozen_weight() {
    let device = device();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let adapters: HashSet<TensorId> = parameters
        .as_slice()
        .iter()
        .filter(|parameter| parameter.name.starts_with("model.layers.1."))
        .map(|parameter| parameter.var.id())
        .collect();
    assert_eq!(adapters.len(), 14);
    let x = Var::from_tensor(&Tensor::ones((2, 5, 16), candle_core::DType::F32, &device).unwrap());
    let x = x.unwrap();
    let layout = Layout::new(Arrangement::Padded, &[5, 5]);
    let context = parameters.context(Mode::training(0));
    let pass = model.decoder.pass(&layout, &context).unwrap();
    let y = model.decoder.block(1, &x, &pass).unwrap();
    let store = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let reached: HashSet<TensorId> = store.get_ids().copied().collect();
    let expected = adapters.into_iter().chain([x.id()]).collect();
    assert_eq!(
        reached, expected,
        "what has a gradient is what is trained, and the input"
    );
}

#[test]
fn blocks_below_the_first_adapter_have_none_and_all_others_learn() {
    let device = device();
    let lora = LoraConfig {
        targets: Targets::Names(vec!["q_proj".into()]),
        layers_to_transform: LastBlocks::Exactly(2).of(3).unwrap(),
        ..LoraConfig::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&lora, &device);
    let names: Vec<&str> = parameters
        .as_slice()
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names.len(), 4);
    assert!(
        names.iter().all(|name| !name.contains("layers.0.")),
        "{names:?}"
    );
    let before = values(&parameters);
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
    for (before, after) in before.iter().zip(values(&parameters)) {
        assert_ne!(*before, after);
    }
}

#[test]
fn a_parameter_that_no_gradient_reaches_is_an_error() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = model_with(&LoraConfig::default(), &device);
    let mut deeper = config();
    deeper["num_hidden_layers"] = 4.into();
    let deeper = Model::random(deeper, 1, &device).unwrap();
    // The last block's have no layer in `model`.
    let parameters = adapters(&deeper, &LoraConfig::default());
    let error = run(
        &model,
        &parameters,
        &options(2),
        folder.path(),
        endless(2),
        usize::MAX,
    )
    .result
    .unwrap_err();
    assert!(
        matches!(error, Error::NoGradient { ref names } if names.len() == 14),
        "{error}"
    );
}

/// Noise scale of a step of two micro-batches as their gradients give it in float64.
fn noise_scale(model: &Model, parameters: &Parameters, parts: &[Batch; 2]) -> f64 {
    let sums = parts.each_ref().map(|part| {
        let mode = Mode::training(0);
        let result = metal_candle::train::step::step(&model.decoder, parameters, part, mode, false);
        let gradients = result.unwrap().gradients;
        let flat = gradients.as_slice().iter().flatten().flat_map(|g| {
            let numbers = g.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            numbers.into_iter().map(f64::from)
        });
        flat.collect::<Vec<f64>>()
    });
    let squares = |numbers: Vec<f64>| numbers.iter().map(|x| x * x).sum::<f64>();
    let mean = |x: &f64, tokens: usize| x / tokens as f64;
    let [b, rest] = parts.each_ref().map(|part| part.lines.len() as f64);
    let (n, tokens) = (b + rest, parts[0].trained_tokens + parts[1].trained_tokens);
    let some = sums[0].iter().map(|x| mean(x, parts[0].trained_tokens));
    let some = squares(some.collect());
    let all = sums[0].iter().zip(&sums[1]);
    let all = squares(all.map(|(x, y)| mean(&(x + y), tokens)).collect());
    let signal = (n * all - b * some) / (n - b);
    (some - all) / (1.0 / b - 1.0 / n) / signal
}

#[test]
fn steps_of_several_micro_batches_tell_the_noise_of_their_gradients() {
    let device = device();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let parts = [batch(1, 3), batch(3, 3)];
    let want = noise_scale(&model, &parameters, &parts);
    assert!(want > 0.1, "{want}");
    let told = |micro_batches: Vec<Batch>| {
        let folder = tempfile::tempdir().unwrap();
        let batches = std::iter::once(micro_batches);
        let options = options(1);
        let run = run(&model, &parameters, &options, folder.path(), batches, 9);
        let scale = run.result.unwrap().gradient_noise_scale;
        let reported = run.events.iter().find_map(|event| match event {
            Event::Report(report) => Some(serde_json::to_value(report).unwrap()),
            _ => None,
        });
        let reported = reported.unwrap().get("gradient_noise_scale").cloned();
        assert_eq!(reported.map(|x| x.as_f64()), scale.map(Some));
        scale
    };
    let got = told(parts.to_vec()).unwrap();
    assert!((got - want).abs() < 1e-3 * want, "{got}, {want}");
    assert_eq!(told(vec![batch(4, 3)]), None);
}

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

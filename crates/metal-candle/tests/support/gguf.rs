//! GGUF files of packed matrices, on any device.

use super::models::{forward, greedy_with_cache};
use super::training::losses;
use super::{golden, max_difference};
use candle_core::{Device, Tensor};
use metal_candle::gguf::Writer;
use metal_candle::lora::{AdapterSet, LoraConfig, Plan, Targets};
use metal_candle::models::Model;
use metal_candle::train::Parameters;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// A file whose rows divide into blocks of 256, of random weights.
fn write(file_type: &str, path: &Path) {
    let config = std::fs::read_to_string(golden("qwen2").join("model/config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    for field in ["hidden_size", "intermediate_size"] {
        config[field] = json!(256);
    }
    config["num_hidden_layers"] = json!(1);
    config["layer_types"] = json!(["full_attention"]);
    let model = Model::random(config, 3, &Device::Cpu).unwrap();
    let mut writer = Writer::default();
    let file_type = file_type.parse().unwrap();
    model.add_to_gguf(&mut writer, file_type).unwrap();
    writer.write(path).unwrap();
}

fn adapter(model: &Model) -> Arc<AdapterSet> {
    let targets = ["q_proj", "v_proj", "down_proj"].map(String::from);
    let config = LoraConfig {
        r: 4,
        targets: Targets::Names(targets.to_vec()),
        ..LoraConfig::default()
    };
    let plan = Plan::new(&config, &model.decoder.layer_infos().unwrap()).unwrap();
    Arc::new(AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0).unwrap())
}

/// Ten losses of the model on each device, from the same adapter.
fn ten_losses(models: &[Model; 2], devices: [&Device; 2]) -> [Vec<f64>; 2] {
    let [first, second] = models.each_ref().map(adapter);
    for ((_, from), (_, to)) in first.parameters().iter().zip(second.parameters()) {
        to.set(&from.to_device(devices[1]).unwrap()).unwrap();
    }
    let ids = (0..10 * 2 * 9).map(|i| (i * i + 3 * i) % 93);
    let ids = Tensor::from_vec(ids.collect::<Vec<i64>>(), (10, 2, 9), &Device::Cpu).unwrap();
    let [first, second] = [(&models[0], first), (&models[1], second)].map(|(model, set)| {
        let parameters = Parameters::of_adapters(set, &model.decoder);
        losses(model, &parameters, &ids, &ids)
    });
    [first, second]
}

/// A file of `file_type`, whose layers have these kinds among them, is the same model on `device` as on a CPU.
pub fn generates_and_trains_as_on_the_cpu(file_type: &str, kinds: &[&str], device: &Device) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write(file_type, &path);
    let devices = [&Device::Cpu, device];
    let models = devices.map(|device| Model::load(&path, device).unwrap());
    let layers = models[1].decoder.adaptable();
    let of_layers: Vec<String> = layers.iter().map(|layer| layer.weight().kind()).collect();
    for kind in kinds {
        assert!(of_layers.iter().any(|of| of == kind), "{of_layers:?}");
    }
    let prompt = [3, 1, 4, 1, 5, 9, 2, 6, 5];
    let [want, got] = models.each_ref().map(|model| forward(model, &prompt, 1));
    let difference = max_difference(&got, &want);
    assert!(difference < 1e-4, "{file_type}: {difference}");
    let [want, got] = models
        .each_ref()
        .map(|model| greedy_with_cache(model, &prompt, 6));
    assert_eq!(got, want, "{file_type}");
    let [want, got] = ten_losses(&models, devices);
    assert!(want[9] < want[0], "{want:?}");
    let are_near = got
        .iter()
        .zip(&want)
        .all(|(got, want)| (got - want).abs() < 1e-4 * want);
    assert!(are_near && got.len() == 10, "{file_type}: {got:?} {want:?}");
}

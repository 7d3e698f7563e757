use super::Args;
use crate::error::Result;
use crate::loading;
use crate::terminal::Terminal;
use metal_candle::lora::{LayerInfo, Placement, Plan};
use metal_candle::models::Model;
use serde::Serialize;

/// Answer that `--json` prints.
#[derive(Serialize)]
struct Answer {
    model_type: String,
    blocks: usize,
    vocab_size: usize,
    parameters: usize,
    trainable_parameters: usize,
    layers: Vec<Layer>,
}

/// A layer, and the adapter that it would carry.
#[derive(Serialize)]
struct Layer {
    path: String,
    /// `null`: the token embedding or the output head.
    block: Option<usize>,
    in_features: usize,
    out_features: usize,
    /// Storage of the weight's numbers.
    stored: String,
    targeted: bool,
    method: Option<&'static str>,
    rank: Option<usize>,
    scale: Option<f64>,
    trainable_parameters: usize,
}

impl Layer {
    fn new(info: &LayerInfo, stored: String, place: Option<&Placement>) -> Self {
        Self {
            path: info.path.clone(),
            block: info.block,
            in_features: info.in_features,
            out_features: info.out_features,
            stored,
            targeted: place.is_some(),
            method: place.map(|place| place.method.name()),
            rank: place.map(|place| place.r),
            scale: place.map(|place| place.scale),
            trainable_parameters: place.map_or(0, Placement::n_parameters),
        }
    }
}

/// Shows the layers of a model, and which of them the options, or an adapter, reach.
pub fn show(args: &Args, terminal: &Terminal) -> Result<()> {
    let loaded = loading::load_for(
        (&args.model, args.adapter_path.as_deref()),
        args.weights,
        &args.device.open()?,
        terminal,
    )?;
    let mut model = loaded.model;
    let infos = model.decoder.layer_infos()?;
    let plan = match &args.adapter_path {
        Some(path) => loading::read_adapter(&model, &loaded.folder, path)?.plan,
        None => {
            let mut config = args.adapter.config();
            config.layers_to_transform = args.adapter.blocks().of(model.decoder.n_blocks())?;
            Plan::new(&config, &infos)?
        }
    };
    let answer = answer(&mut model, &infos, &plan);
    match args.json {
        true => terminal.print_json(&answer),
        false => tell(&answer, terminal),
    }
}

fn answer(model: &mut Model, infos: &[LayerInfo], plan: &Plan) -> Answer {
    let place = |info: &LayerInfo| plan.placements.iter().find(|place| place.path == info.path);
    Answer {
        parameters: model.decoder.n_parameters(),
        model_type: model.config.model_type.clone(),
        blocks: model.decoder.n_blocks(),
        vocab_size: model.config.vocab_size,
        trainable_parameters: plan.n_parameters(),
        // The plan's layers are the model's, in its order.
        layers: infos
            .iter()
            .zip(model.decoder.adaptable())
            .map(|(info, layer)| Layer::new(info, layer.weight().kind(), place(info)))
            .collect(),
    }
}

fn tell(answer: &Answer, terminal: &Terminal) -> Result<()> {
    let widest = |text: fn(&Layer) -> &str| {
        let widths = answer.layers.iter().map(|layer| text(layer).len());
        widths.max().unwrap_or(0)
    };
    let (width, stored) = (widest(|layer| &layer.path), widest(|layer| &layer.stored));
    for layer in &answer.layers {
        let shape = format!("{} -> {}", layer.in_features, layer.out_features);
        let n = layer.trainable_parameters;
        let adapter = match (layer.method, layer.rank, layer.scale) {
            (Some("whole"), ..) => format!("whole, {n} parameters"),
            (Some(method), Some(rank), Some(scale)) => {
                format!("{method}, rank {rank}, scale {scale}, {n} parameters")
            }
            _ => "-".into(),
        };
        terminal.print_line(format_args!(
            "{:<width$}  {shape:<16}  {:<stored$}  {adapter}",
            layer.path, layer.stored
        ))?;
    }
    let Answer {
        model_type,
        blocks,
        parameters,
        trainable_parameters,
        ..
    } = answer;
    let reached = answer.layers.iter().filter(|layer| layer.targeted).count();
    let share = 100.0 * *trainable_parameters as f64 / *parameters as f64;
    terminal.print_line(format_args!(
        "{model_type}, {blocks} blocks, {parameters} parameters; adapters on {reached} of {} layers \
         train {trainable_parameters} parameters ({share:.3} %)",
        answer.layers.len()
    ))
}

use super::Context;
use crate::device::DeviceArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::load_options::LoadOptions;
use crate::loading;
use crate::output_folder;
use crate::terminal::Terminal;
use clap::ValueEnum;
use metal_candle::files::NewFolder;
use metal_candle::lora::Placement;
use metal_candle::lora::format::{self, Portable, gguf, mlx, peft};
use metal_candle::models::Model;
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  metal-candle adapter show adapters
  metal-candle adapter convert adapters adapters-mlx --to mlx
  metal-candle adapter convert adapters-mlx adapters-peft --to peft --model Qwen/Qwen3-0.6B
  metal-candle adapter convert adapters adapter.gguf --to gguf --model Qwen/Qwen3-0.6B";

/// Show what an adapter is, or write it for another tool
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// Work on an adapter.
#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Show the layers of an adapter, their ranks and scales; its model is not needed
    Show(ShowArgs),
    /// Write an adapter for another tool: every tensor goes along, or the adapter is refused
    Convert(ConvertArgs),
}

/// Options of `adapter show`.
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(value_name = "ADAPTER")]
    pub adapter: PathBuf,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of `adapter convert`.
#[derive(clap::Args, Debug)]
pub struct ConvertArgs {
    /// Folder of an adapter of PEFT or mlx-lm
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// Where the adapter is written: a new or empty folder, or a new file
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// Tool that the adapter is written for
    #[arg(long = "to", value_name = "FORMAT")]
    pub format: Target,
    /// Folder or Hugging Face id of the model, against which every tensor is checked; needed where the
    /// token embedding is adapted, and for GGUF
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Fill lower ranks up with zeros where the tool has one rank for all layers
    #[arg(long)]
    pub pad_ranks: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// A tool's way to keep adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Folder of PEFT: adapter_config.json, adapter_model.safetensors
    Peft,
    /// Folder of mlx-lm: adapter_config.json, adapters.safetensors
    Mlx,
    /// File of llama.cpp, for a GGUF file of the model
    Gguf,
}

/// Shows or converts.
///
/// # Errors
/// When the adapter cannot be used, or the other tool has no way to say what it is.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    match args.action {
        Action::Show(args) => show(&args, &context.terminal)?,
        Action::Convert(args) => convert(&args, &context.terminal)?,
    }
    Ok(Exit::Done)
}

fn convert(args: &ConvertArgs, terminal: &Terminal) -> Result<()> {
    output_folder::check_new(
        "TO",
        &args.to,
        "choose another name, or remove what is there first",
    )?;
    output_folder::check_writable("TO", &args.to)?;
    let source = Source::read(args, terminal)?;
    match args.format {
        Target::Gguf => gguf::write(&args.to, &source.adapter, source.model()?)?,
        format => write_folder(args, &source.adapter, format == Target::Mlx)?,
    }
    let n = source.adapter.plan.placements.len();
    terminal.print_line(format_args!("Saved {n} layers in {}", args.to.display()))
}

/// Writes a folder, which appears whole or not at all.
fn write_folder(args: &ConvertArgs, adapter: &Portable, is_mlx: bool) -> Result<()> {
    let new = NewFolder::begin(&args.to)?;
    if is_mlx {
        mlx::write(new.path(), adapter, args.pad_ranks)?;
    } else {
        peft::write_portable(new.path(), adapter)?;
    }
    // The adapter was trained with the tokenizer that lies beside it, if one does.
    loading::copy_tokenizer(&args.from, new.path())?;
    output_folder::finish(new, &args.to)
}

/// An adapter, and its model where that was named.
struct Source {
    adapter: Portable,
    model: Option<Model>,
}

impl Source {
    fn read(args: &ConvertArgs, terminal: &Terminal) -> Result<Self> {
        loading::check_adapter(&args.from)?;
        let file = format::read(&args.from)?;
        let Some(name) = &args.model else {
            let (adapter, model) = (file.portable()?, None);
            return Ok(Self { adapter, model });
        };
        let with_adapter = (name.as_str(), Some(args.from.as_path()));
        let loaded = loading::load_for(
            with_adapter,
            LoadOptions::default(),
            &args.device.open()?,
            terminal,
        )?;
        let adapted = loading::read_adapter(&loaded.model, &loaded.folder, &args.from)?;
        let base_model = file.base_model.as_deref().unwrap_or(name);
        Ok(Self {
            adapter: adapted.portable(&loaded.model, base_model)?,
            model: Some(loaded.model),
        })
    }

    fn model(&self) -> Result<&Model> {
        self.model.as_ref().ok_or_else(|| {
            Error::input("--to gguf: llama.cpp has the names and the order of rows of the model")
                .with_advice("name the model with --model")
        })
    }
}

/// Answer that `adapter show --json` prints.
#[derive(Serialize)]
struct Answer {
    format: &'static str,
    path: String,
    base_model: Option<String>,
    dropout: f64,
    parameters: usize,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    path: String,
    method: &'static str,
    rank: Option<usize>,
    scale: Option<f64>,
    in_features: usize,
    out_features: usize,
    parameters: usize,
}

impl From<&Placement> for Layer {
    fn from(place: &Placement) -> Self {
        let has_rank = place.method.has_rank();
        Self {
            path: place.path.clone(),
            method: place.method.name(),
            rank: has_rank.then_some(place.r),
            scale: has_rank.then_some(place.scale),
            in_features: place.in_features,
            out_features: place.out_features,
            parameters: place.n_parameters(),
        }
    }
}

fn show(args: &ShowArgs, terminal: &Terminal) -> Result<()> {
    loading::check_adapter(&args.adapter)?;
    let file = format::read(&args.adapter)?;
    let layers = file.layers()?;
    let config = file.config(&layers)?;
    let plan = file.plan(&config, &layers)?;
    let answer = Answer {
        format: file.format.tool(),
        path: file.path.display().to_string(),
        base_model: file.base_model.clone(),
        dropout: config.dropout,
        parameters: plan.n_parameters(),
        layers: plan.placements.iter().map(Layer::from).collect(),
    };
    match args.json {
        true => terminal.print_json(&answer),
        false => tell(&answer, terminal),
    }
}

fn tell(answer: &Answer, terminal: &Terminal) -> Result<()> {
    let widths = answer.layers.iter().map(|layer| layer.path.len());
    let width = widths.max().unwrap_or(0);
    for layer in &answer.layers {
        let shape = format!("{} -> {}", layer.in_features, layer.out_features);
        let adapter = match (layer.rank, layer.scale) {
            (Some(rank), Some(scale)) => format!("{}, rank {rank}, scale {scale}", layer.method),
            _ => layer.method.to_string(),
        };
        let (path, n) = (&layer.path, layer.parameters);
        terminal.print_line(format_args!(
            "{path:<width$}  {shape:<16}  {adapter}, {n} parameters"
        ))?;
    }
    let base = answer
        .base_model
        .as_deref()
        .unwrap_or("a model that it does not name");
    terminal.print_line(format_args!(
        "An adapter of {} for {base}, {} layers, {} parameters, dropout {}",
        answer.format,
        answer.layers.len(),
        answer.parameters,
        answer.dropout
    ))
}

//! What of a model is trained, and what becomes of it.

use super::args::{Args, FineTuneType};
use crate::error::{Error, Result};
use crate::loading;
use crate::terminal::Terminal;
use candle_core::Device;
use metal_candle::language_model::Adapted;
use metal_candle::lora::{LoraConfig, Method};
use metal_candle::models::Model;
use metal_candle::train::{Optimizer, Output, Parameters, Resume, Rule};
use std::path::Path;

/// What is trained, and how it is written.
pub struct Trained {
    /// The trained tensors.
    pub parameters: Parameters,
    /// What a save writes.
    pub output: Output,
}

impl Trained {
    /// Makes all weights of `model` trainable, or makes an adapter for it. `folder` is the
    /// model's.
    ///
    /// # Errors
    /// When the adapter does not fit.
    pub fn choose(
        args: &Args,
        model: &mut Model,
        folder: &Path,
        resume: Option<&Resume>,
        terminal: &Terminal,
    ) -> Result<Self> {
        match args.fine_tune_type {
            FineTuneType::Full => all_weights(args, model, folder),
            _ => adapter(args, model, folder, resume, terminal),
        }
    }

    /// A fresh optimizer, or the state that was saved with the adapter to go on with.
    ///
    /// # Errors
    /// When that state does not fit.
    pub fn optimizer(
        &self,
        rule: Rule,
        resume: Option<&Resume>,
        device: &Device,
        terminal: &Terminal,
    ) -> Result<Optimizer> {
        let Some(resume) = resume else {
            return Ok(Optimizer::new(rule, &self.parameters)?);
        };
        let optimizer = Optimizer::resumed(rule, resume, &self.parameters, device)?;
        match &resume.optimizer {
            Some(path) => terminal.say(format_args!(
                "Resuming the optimizer after {} steps: {}",
                resume.step,
                path.display()
            )),
            None => terminal.say("No optimizer state of this adapter: starting with a fresh one"),
        }
        Ok(optimizer)
    }
}

fn all_weights(args: &Args, model: &mut Model, folder: &Path) -> Result<Trained> {
    if is_same(&args.adapter_path, folder) {
        return Err(Error::input("--adapter-path is the model's own folder")
            .with_advice("choose another folder: the model would be overwritten"));
    }
    let output = Output::Checkpoint {
        raw_config: model.raw_config.clone(),
        base_folder: folder.to_path_buf(),
    };
    if args.optimizer.loraplus_lr_ratio.is_some() {
        return Err(
            Error::input("--loraplus-lr-ratio: all weights are trained, no adapter")
                .with_advice("leave it out"),
        );
    }
    let parameters = Parameters::all_weights(model)?;
    Ok(Trained { parameters, output })
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn adapter(
    args: &Args,
    model: &Model,
    folder: &Path,
    resume: Option<&Resume>,
    terminal: &Terminal,
) -> Result<Trained> {
    let adapted = match resume {
        Some(resume) => go_on(args, model, folder, &resume.adapter, terminal)?,
        None => fresh(args, model)?,
    };
    let output = Output::Adapter {
        config: adapted.config,
        base_model: args.model()?.into(),
        tokenizer: resume
            .and_then(|resume| loading::own_tokenizer(&resume.adapter))
            .map(Path::to_path_buf),
    };
    let parameters = Parameters::of_adapters(adapted.set, &model.decoder);
    let ratio = args.optimizer.loraplus_lr_ratio.unwrap_or(1.0);
    let parameters = parameters.lora_plus(ratio);
    Ok(Trained { parameters, output })
}

fn fresh(args: &Args, model: &Model) -> Result<Adapted> {
    let mut config = args.adapter.config(model.decoder.n_blocks())?;
    config.method = args.fine_tune_type.method();
    Ok(Adapted::fresh(model, config, args.seed)?)
}

fn go_on(
    args: &Args,
    model: &Model,
    folder: &Path,
    path: &Path,
    terminal: &Terminal,
) -> Result<Adapted> {
    let adapted = loading::read_adapter(model, folder, path, |config| {
        config.dropout = args.adapter.dropout.unwrap_or(config.dropout);
    })?;
    let LoraConfig {
        method,
        r,
        alpha,
        targets,
        ..
    } = &adapted.config;
    let (shown, name) = (path.display(), method.name());
    if args.fine_tune_type == FineTuneType::Dora && *method != Method::Dora {
        return Err(Error::input(format!(
            "--fine-tune-type dora: the adapter in {shown} is a {name} adapter"
        ))
        .with_advice("leave --fine-tune-type out to go on with it"));
    }
    terminal.say(format_args!(
        "Resuming {shown}: {name}, rank {r}, alpha {alpha}, targets {targets}"
    ));
    let mut unused = args.adapter.given();
    unused.retain(|option| *option != "--dropout");
    if !unused.is_empty() {
        terminal.say(format_args!(
            "Not used, the adapter has its own: {}",
            unused.join(", ")
        ));
    }
    Ok(adapted)
}

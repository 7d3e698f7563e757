use super::{Error, EvaReport, FineTuning, Result, Settings, Subject, eva};
use crate::data::Splits;
use crate::language_model::{Adapted, own_tokenizer};
use crate::lora::{Init, LoraConfig, Method, last_name};
use crate::models::{self, Model, Part, Segment};
use crate::train::{self, EvaProgress, Optimizer, Output, OwnTokenizer, Parameters, Resume, Rule};
use candle_core::Device;
use std::collections::BTreeMap;
use std::path::Path;

/// The parameters that are trained, and how they are written.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) parameters: Parameters,
    pub(super) output: Output,
    /// How the adapter's beginning was found in the rows.
    pub(super) eva: Option<EvaReport>,
}

impl Trained {
    /// Makes all weights of `model`, read from `base`, trainable, or makes or reads an adapter for it. One that begins with
    /// rows has `splits`, and tells `observe` what it looks at.
    pub(super) fn choose(
        tuning: &FineTuning,
        model: &mut Model,
        base: &Path,
        (splits, observe): (&Splits, &mut dyn FnMut(EvaProgress)),
    ) -> Result<Self> {
        let settings = &tuning.settings;
        match &settings.subject {
            Subject::AllWeights => weights(settings, model, base, |_| true),
            Subject::Blocks(blocks) => {
                let chosen = blocks.of(model.decoder.n_blocks())?;
                let is_chosen = |i: &usize| chosen.as_ref().is_none_or(|c| c.contains(i));
                weights(
                    settings,
                    model,
                    base,
                    |segment| matches!(segment, Segment::Block(i) if is_chosen(&i)),
                )
            }
            Subject::Fresh {
                config,
                blocks,
                add_tokens,
            } => {
                let mut config = LoraConfig::clone(config);
                config.layers_to_transform = blocks.of(model.decoder.n_blocks())?;
                let tokenizer = match add_tokens.is_empty() {
                    true => None,
                    false => Some(with_tokens(tuning, &mut config, model, base)?),
                };
                let (adapted, eva) = match config.init {
                    Init::Eva => {
                        let (adapted, report) =
                            eva::begin(settings, model, config, splits, observe)?;
                        (adapted, Some(report))
                    }
                    _ => (Adapted::fresh(model, config, settings.options.seed)?, None),
                };
                let trained = Self::of_adapters(tuning, adapted, tokenizer, model)?;
                Ok(Self { eva, ..trained })
            }
            Subject::Resumed {
                path,
                method,
                dropout,
            } => {
                let path = tuning.adapter().unwrap_or(path);
                let adapted = Adapted::read(path, model, base, |config| {
                    config.dropout = dropout.unwrap_or(config.dropout);
                })?;
                check_method(path, *method, adapted.config.method)?;
                let own = tuning.adapter().and_then(own_tokenizer);
                let tokenizer = own.map(|folder| OwnTokenizer {
                    folder: folder.to_path_buf(),
                    files: vec![],
                });
                Self::of_adapters(tuning, adapted, tokenizer, model)
            }
        }
    }

    fn of_adapters(
        tuning: &FineTuning,
        adapted: Adapted,
        tokenizer: Option<OwnTokenizer>,
        model: &Model,
    ) -> Result<Self> {
        let (ratio, method) = (tuning.settings.loraplus_lr_ratio, adapted.config.method);
        if ratio.is_some() && !method.has_lora() {
            return Err(Error::from(train::Error::Setting {
                what: "loraplus_lr_ratio",
                expected: "left out with adapters that have no B",
                got: method.name().into(),
            }));
        }
        let output = Output::Adapter {
            config: Box::new(adapted.config),
            base_model: tuning.settings.model.clone(),
            tokenizer,
        };
        let parameters = Parameters::of_adapters(adapted.set, &model.decoder);
        Ok(Self {
            parameters: parameters.lora_plus(ratio.unwrap_or(1.0)),
            output,
            eva: None,
        })
    }

    /// A fresh optimizer, or the state that was saved with the adapter to go on with.
    pub(super) fn optimizer(
        &self,
        rule: Rule,
        resume: Option<&Resume>,
        device: &Device,
    ) -> Result<Optimizer> {
        Ok(match resume {
            None => Optimizer::new(rule, &self.parameters)?,
            Some(resume) => Optimizer::resumed(rule, resume, &self.parameters, device)?,
        })
    }
}

/// Gives `model`, read from `base`, rows for the tokens that the run adds and it lacks, and has `config` train those of
/// all of these tokens. The tokenizer is for the adapter's folder.
fn with_tokens(
    tuning: &FineTuning,
    config: &mut LoraConfig,
    model: &mut Model,
    base: &Path,
) -> Result<OwnTokenizer> {
    let (tokenizer, needed) = tuning.vocabulary(base)?;
    model.grow_vocabulary(needed.vocab_size, &BTreeMap::new())?;
    let added = tuning.settings.subject.added_tokens().iter();
    let mut ids: Vec<u32> = added
        .filter_map(|token| tokenizer.token_to_id(token))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let ends = model.decoder.layer_infos()?.into_iter();
    let ends = ends.filter(|layer| layer.block.is_none() && layer.tied_to.is_none());
    config.trainable_token_indices = ends
        .map(|layer| (last_name(&layer.path).into(), ids.clone()))
        .collect();
    Ok(OwnTokenizer {
        folder: tokenizer.folder().to_path_buf(),
        files: tokenizer.to_files()?,
    })
}

/// Makes the weights of some segments trainable.
fn weights(
    settings: &Settings,
    model: &mut Model,
    base: &Path,
    is_trained: impl Fn(Segment) -> bool,
) -> Result<Trained> {
    let to = &settings.output;
    if matches!((to.canonicalize(), base.canonicalize()), (Ok(to), Ok(base)) if to == base) {
        return Err(Error::OwnFolder { folder: to.clone() });
    }
    check_sinks(model, &is_trained)?;
    let output = Output::Checkpoint {
        raw_config: model.raw_config.clone(),
        base_folder: base.to_path_buf(),
    };
    let parameters = Parameters::weights(model, is_trained)?;
    let parameters = match settings.all_decay {
        true => parameters.all_decaying(),
        false => parameters,
    };
    Ok(Trained {
        parameters,
        output,
        eva: None,
    })
}

fn check_method(path: &Path, expected: Option<Method>, got: Method) -> Result<()> {
    match expected.filter(|expected| *expected != got) {
        None => Ok(()),
        Some(expected) => Err(Error::OtherMethod {
            path: path.to_path_buf(),
            expected,
            got,
        }),
    }
}

/// Refuses to train sinks of attention, which have no gradient.
fn check_sinks(model: &Model, is_trained: impl Fn(Segment) -> bool) -> Result<()> {
    let mut parts = model.decoder.parts().into_iter();
    match parts.any(|(segment, part)| is_trained(segment) && matches!(part, Part::Sinks(_))) {
        true => Err(models::Error::unsupported(
            "model_type",
            &model.config.model_type,
            "sinks of attention have no gradient here: train an adapter",
        )
        .into()),
        false => Ok(()),
    }
}

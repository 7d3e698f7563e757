use super::prepared::Prepared;
use super::trained::Trained;
use super::{Result, Settings};
use crate::data::{Splits, Tokenizer};
use crate::language_model::{config_for, model_for, tokenizer_for};
use crate::models::Config;
use crate::train::{EvaProgress, Options, Resume, RunFolder, Start};
use candle_core::Device;
use std::path::Path;

/// A fine-tuning whose folder is claimed, before the model is read.
#[derive(Debug)]
pub struct FineTuning {
    pub(super) settings: Settings,
    pub(super) resume: Option<Resume>,
    pub(super) folder: RunFolder,
}

impl FineTuning {
    /// Claims the folder of the run, and finds what it goes on from. Nothing is written.
    ///
    /// # Errors
    /// When another process runs in the folder, it holds what must not be replaced, or the state to go on
    /// with is damaged.
    pub fn claim(settings: Settings) -> Result<Self> {
        let folder = RunFolder::claim(&settings.output)?;
        let resume = settings.subject.resumed().map(Resume::find).transpose()?;
        let start = start(&settings, resume.as_ref());
        Ok(Self {
            folder: folder.begin(start)?,
            settings,
            resume,
        })
    }

    /// Adapter to go on with: a folder or a tensor file.
    #[must_use]
    pub fn adapter(&self) -> Option<&Path> {
        self.resume.as_ref().map(|resume| &*resume.adapter)
    }

    /// Rows of the run, with the tokenizer of the model in the folder `base`. They are read faster than
    /// weights, and hold more mistakes.
    ///
    /// # Errors
    /// Those of [`super::RowSettings::read`].
    pub fn splits(&self, base: &Path) -> Result<Splits> {
        let (tokenizer, config) = self.vocabulary(base)?;
        let rows = &self.settings.rows;
        rows.read_with(&tokenizer, &config, &self.settings.wanted())
    }

    /// Tokenizer of the run with the tokens that it adds, and the configuration of the model in the folder `base` with as
    /// many tokens as that needs.
    pub(super) fn vocabulary(&self, base: &Path) -> Result<(Tokenizer, Config)> {
        let mut config = config_for(base, self.adapter())?;
        let mut tokenizer = tokenizer_for(base, self.adapter(), &config)?;
        let added = tokenizer.add_special_tokens(self.settings.subject.added_tokens())?;
        let needed = added.into_iter().max().map_or(0, |id| id as usize + 1);
        config.vocab_size = config.vocab_size.max(needed);
        Ok((tokenizer, config))
    }

    /// Takes other settings of the steps, where these depend on the rows.
    pub fn set_options(&mut self, options: Options) {
        self.settings.options = options;
    }

    /// Reads the model in the folder `base`, and makes what is trained in it.
    ///
    /// # Errors
    /// When a file cannot be read, or the adapter does not fit the model.
    pub fn load(self, base: &Path, splits: Splits, device: &Device) -> Result<Prepared> {
        self.load_telling(base, splits, device, &mut |_| {})
    }

    /// [`Self::load`], where `observe` is told every batch that the adapter's beginning is sought in
    /// ([`crate::lora::Init::Eva`]).
    ///
    /// # Errors
    /// Those of [`Self::load`], and of [`crate::language_model::Adapted::eva`].
    pub fn load_telling(
        self,
        base: &Path,
        splits: Splits,
        device: &Device,
        observe: &mut dyn FnMut(EvaProgress),
    ) -> Result<Prepared> {
        let mut model = model_for(base, self.adapter(), self.settings.on_load, device)?;
        model.decoder.set_activations(self.settings.activations);
        let trained = Trained::choose(&self, &mut model, base, (&splits, observe))?;
        let rule = self.settings.options.rule;
        let optimizer = trained.optimizer(rule, self.resume.as_ref(), device)?;
        Ok(Prepared::new(self, model, trained, splits, optimizer, base))
    }
}

/// Start of the run in its folder: going on with an adapter that lies in the folder, it is the same run.
fn start(settings: &Settings, resume: Option<&Resume>) -> Start {
    let is_inside = |resume: &&Resume| {
        let paths = (
            resume.adapter.canonicalize(),
            settings.output.canonicalize(),
        );
        matches!(&paths, (Ok(adapter), Ok(folder)) if adapter.starts_with(folder))
    };
    match resume.filter(is_inside) {
        Some(resume) => Start::Resume { step: resume.step },
        None if settings.overwrite => Start::Overwrite,
        None => Start::New,
    }
}

use super::targets::ends_in;
use super::{Error, Eva, Init, LayerInfo, Method, Targets};
use std::collections::BTreeSet;

/// Highest rank: no layer is so wide that a higher one could be of use.
const MAX_RANK: usize = 1 << 16;

/// Settings of an adapter, in PEFT's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// What the adapters do.
    pub method: Method,
    /// How the factors of LoRA begin.
    pub init: Init,
    /// Search of the beginning where `init` is [`Init::Eva`].
    pub eva: Eva,
    /// Rank of the update.
    pub r: usize,
    /// Numerator of the update's factor.
    pub alpha: f64,
    /// Probability of dropping an element of the adapter's input while training.
    pub dropout: f64,
    /// Factor `alpha / sqrt(r)` instead of `alpha / r` (Kalajdzievski 2023, arXiv 2312.03732).
    pub use_rslora: bool,
    /// Which layers carry an adapter.
    pub targets: Targets,
    /// Layers that carry none although they are targets.
    pub exclude: Option<Targets>,
    /// Ends of the paths of layers whose whole weight is trained.
    pub modules_to_save: Vec<String>,
    /// Ends of the paths of layers of which only the rows of these tokens are trained: of the token embedding or
    /// the output head.
    pub trainable_token_indices: Vec<(String, Vec<u32>)>,
    /// Rank of the layers whose path ends in a pattern; the first match counts.
    pub rank_pattern: Vec<(String, usize)>,
    /// Alpha of the layers whose path ends in a pattern; the first match counts.
    pub alpha_pattern: Vec<(String, f64)>,
    /// Indices of the blocks that carry adapters; `None` is all of them.
    pub layers_to_transform: Option<Vec<usize>>,
    /// Whether a token embedding that is the output head stays it: where one of the two is adapted, one
    /// adapter acts on both.
    pub ensure_weight_tying: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            init: Init::Lora,
            eva: Eva::default(),
            r: 8,
            alpha: 16.0,
            dropout: 0.0,
            use_rslora: false,
            targets: Targets::AllLinear,
            exclude: None,
            modules_to_save: vec![],
            trainable_token_indices: vec![],
            rank_pattern: vec![],
            alpha_pattern: vec![],
            layers_to_transform: None,
            ensure_weight_tying: false,
        }
    }
}

/// Blocks of a model that carry adapters, counted from the last, as in mlx-lm's `--num-layers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastBlocks {
    /// All blocks.
    #[default]
    All,
    /// So many, or all if the model has fewer.
    AtMost(usize),
    /// So many.
    Exactly(usize),
}

impl LastBlocks {
    /// Indices of the blocks in a model of `n_blocks`; `None` is all of them.
    ///
    /// # Errors
    /// When the model has fewer than asked for, or none was.
    pub fn of(self, n_blocks: usize) -> Result<Option<Vec<usize>>, Error> {
        let n = match self {
            Self::All => n_blocks,
            Self::AtMost(n) => n.min(n_blocks),
            Self::Exactly(n) => n,
        };
        match n {
            n if n == n_blocks => Ok(None),
            n if (1..n_blocks).contains(&n) => Ok(Some((n_blocks - n..n_blocks).collect())),
            n => Err(Error::Setting {
                what: "the number of layers",
                expected: "at least 1 and at most the model's number of blocks, or all",
                got: format!("{n} of {n_blocks}"),
            }),
        }
    }
}

impl LoraConfig {
    /// The factor of an update of rank `r`.
    #[must_use]
    pub fn scale(&self, alpha: f64, r: usize) -> f64 {
        match self.use_rslora {
            true => alpha / (r as f64).sqrt(),
            false => alpha / r as f64,
        }
    }

    /// Name of what the adapters are: of the method, or of how they begin where that is what sets them apart.
    #[must_use]
    pub fn name(&self) -> String {
        match self.init.is_of_weight() {
            true => self.init.name(),
            false => self.method.name().into(),
        }
    }

    /// The settings with `scale` as the factor of the update, to the last bit where alpha can give it:
    /// by `alpha / r`, or else by `alpha / sqrt(r)`.
    #[must_use]
    pub fn with_scale(self, scale: f64) -> Self {
        let by = |use_rslora| {
            let mut config = Self {
                use_rslora,
                ..self.clone()
            };
            config.alpha = config.alpha_for(scale);
            config
        };
        let exact = |config: &Self| config.scale(config.alpha, config.r) == scale;
        let both = [false, true].map(by);
        both.into_iter().find(exact).unwrap_or_else(|| by(false))
    }

    fn alpha_for(&self, scale: f64) -> f64 {
        let alpha = scale / self.scale(1.0, self.r);
        // What a person wrote is a whole number more often than not.
        let candidates = [alpha.round(), alpha, alpha.next_up(), alpha.next_down()];
        let mut candidates = candidates.into_iter();
        let exact = candidates.find(|alpha| self.scale(*alpha, self.r) == scale);
        exact.unwrap_or(alpha)
    }

    /// Settings of the plain LoRA that the adapters are on a model as it is: where factors began as a part of its
    /// weights, of twice the rank, which is what files hold.
    #[must_use]
    pub fn plain(&self) -> Self {
        if !self.init.is_of_weight() {
            return self.clone();
        }
        let mut plain = Self {
            init: Init::Lora,
            ..self.clone()
        };
        let twice = |(key, r): &(String, usize)| (key.clone(), 2 * r);
        plain.r = 2 * self.r;
        plain.rank_pattern = self.rank_pattern.iter().map(twice).collect();
        if self.use_rslora {
            return plain.with_scale(self.scale(self.alpha, self.r));
        }
        plain.alpha = 2.0 * self.alpha;
        let twice = |(key, alpha): &(String, f64)| (key.clone(), 2.0 * alpha);
        plain.alpha_pattern = self.alpha_pattern.iter().map(twice).collect();
        plain
    }

    /// Settings whose [`Self::plain`] these are.
    ///
    /// # Errors
    /// When a rank is odd.
    pub(crate) fn with_init(&self, init: Init) -> Result<Self, Error> {
        let mut ranks = std::iter::once(&self.r).chain(self.rank_pattern.iter().map(|(_, r)| r));
        if let Some(r) = ranks.find(|r| *r % 2 == 1) {
            return Err(setting("the rank of a file of two halves", "even", r));
        }
        let half = |(key, r): &(String, usize)| (key.clone(), r / 2);
        let mut config = Self {
            init,
            r: self.r / 2,
            rank_pattern: self.rank_pattern.iter().map(half).collect(),
            ..self.clone()
        };
        if self.use_rslora {
            return Ok(config.with_scale(self.scale(self.alpha, self.r)));
        }
        config.alpha = self.alpha / 2.0;
        let half = |(key, alpha): &(String, f64)| (key.clone(), alpha / 2.0);
        config.alpha_pattern = self.alpha_pattern.iter().map(half).collect();
        Ok(config)
    }

    /// The error where factors cannot begin as `init` says.
    pub(super) fn beside_init(&self, expected: &'static str, got: &str) -> Error {
        Error::Setting {
            what: "init_lora_weights",
            expected,
            got: format!("{} with {got}", self.init.name()),
        }
    }

    /// Refuses a beginning that rows are needed for.
    pub(crate) fn check_without_rows(&self) -> Result<(), Error> {
        match self.init {
            Init::Eva => Err(setting(
                "init_lora_weights",
                "another where no rows are given",
                "eva",
            )),
            _ => Ok(()),
        }
    }

    fn check_init(&self) -> Result<(), Error> {
        if self.init == Init::Eva {
            return match self.method.has_lora() {
                true => self.eva.check(),
                false => {
                    Err(self.beside_init("lora, or the method be lora or dora", self.method.name()))
                }
            };
        }
        if !self.init.is_of_weight() {
            return Ok(());
        }
        let mut alphas =
            std::iter::once(&self.alpha).chain(self.alpha_pattern.iter().map(|(_, a)| a));
        let has_patterns = !self.rank_pattern.is_empty() || !self.alpha_pattern.is_empty();
        match alphas.find(|alpha| **alpha < 0.0) {
            Some(alpha) => Err(self.beside_init("lora where alpha is below 0", &alpha.to_string())),
            None if self.method != Method::Lora => {
                Err(self.beside_init("lora, or the method be lora", self.method.name()))
            }
            None if self.use_rslora && has_patterns => {
                Err(self.beside_init("lora beside patterns with rslora", "both"))
            }
            None => Ok(()),
        }
    }

    /// Refuses what LoRA alone has.
    fn check_method(&self) -> Result<(), Error> {
        let expected = "left out with a method that has none";
        match self.method.has_lora() {
            false if self.dropout != 0.0 => Err(setting("dropout", expected, self.dropout)),
            false if self.use_rslora => Err(setting("rslora", expected, self.use_rslora)),
            false if !self.trainable_token_indices.is_empty() => Err(setting(
                "trainable_token_indices",
                expected,
                self.method.name(),
            )),
            _ => Ok(()),
        }
    }

    /// The settings that take effect on a model with these `layers`: ends that are two matrices are not
    /// kept one.
    pub(crate) fn for_layers(mut self, layers: &[LayerInfo]) -> Self {
        self.ensure_weight_tying &= layers.iter().any(|layer| layer.tied_to.is_some());
        self
    }

    /// Whether the whole weight of the layer at `path` is trained.
    pub(super) fn is_saved(&self, path: &str) -> bool {
        let mut saved = self.modules_to_save.iter();
        saved.any(|name| ends_in(path, name))
    }

    /// Tokens whose rows of the layer at `path` are trained, as far as they are named for it.
    pub(super) fn tokens_at(&self, path: &str) -> Option<&[u32]> {
        let mut named = self.trainable_token_indices.iter();
        let named = named.find(|(name, _)| ends_in(path, name));
        named.map(|(_, tokens)| tokens.as_slice())
    }

    /// Tokens whose rows of `layer` are trained: as PEFT has it, those of the embedding count for a head that is the
    /// embedding, where no others are named.
    pub(super) fn tokens_of(&self, layer: &LayerInfo) -> Option<&[u32]> {
        let tied = layer.tied_to.as_ref();
        let own = self.tokens_at(&layer.path);
        own.or_else(|| self.tokens_at(tied?))
    }

    fn check_tokens(&self) -> Result<(), Error> {
        for (name, tokens) in &self.trainable_token_indices {
            let mut seen = BTreeSet::new();
            if let Some(twice) = tokens.iter().find(|token| !seen.insert(**token)) {
                let got = format!("{twice} twice for {name}");
                return Err(setting(
                    "trainable_token_indices",
                    "tokens that differ",
                    got,
                ));
            }
        }
        Ok(())
    }

    /// [`Self::scale`], if float32 can hold it.
    pub(super) fn checked_scale(&self, alpha: f64, r: usize) -> Result<f64, Error> {
        let scale = self.scale(alpha, r);
        match (scale as f32).is_normal() {
            true => Ok(scale),
            false => Err(setting("alpha", "of use as a float32 factor", alpha)),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_init()?;
        self.check_method()?;
        self.check_tokens()?;
        let mut ranks = std::iter::once(&self.r).chain(self.rank_pattern.iter().map(|(_, r)| r));
        if let Some(r) = ranks.find(|r| !(1..=MAX_RANK).contains(*r)) {
            return Err(setting("rank", "from 1 to 65536", r));
        }
        let alphas = self.alpha_pattern.iter().map(|(_, alpha)| alpha);
        if let Some(alpha) = std::iter::once(&self.alpha)
            .chain(alphas)
            .find(|alpha| !alpha.is_finite() || **alpha == 0.0)
        {
            return Err(setting("alpha", "a finite number other than 0", alpha));
        }
        match (0.0..1.0).contains(&self.dropout) {
            true => Ok(()),
            false => Err(setting("dropout", "in [0, 1)", self.dropout)),
        }
    }
}

fn setting(what: &'static str, expected: &'static str, got: impl ToString) -> Error {
    Error::Setting {
        what,
        expected,
        got: got.to_string(),
    }
}

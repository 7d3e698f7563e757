use crate::experts;
use crate::lora::choice::Unmatched;
use crate::lora::format::json::{Fields, refusal};
use crate::lora::format::layers::inside;
use crate::lora::{Error, Kind, LastBlocks, LayerInfo, LoraConfig, Method, Targets, shortened};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Settings that the loader of mlx-lm reads of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lora::format) struct Settings {
    pub(super) method: Method,
    /// Number of blocks that carry adapters, counted from the last; all, if it is not above 0 or the
    /// model has fewer.
    pub(super) num_layers: i64,
    pub(super) rank: usize,
    /// Factor of the update.
    pub(super) scale: f64,
    pub(super) dropout: f64,
    /// Paths of layers inside of their blocks, or in the model; `None` is every linear layer of the
    /// blocks.
    pub(super) keys: Option<Vec<String>>,
}

/// Fields of `lora_parameters`. mlx-lm takes no notice of an `alpha` beside `scale`.
const PARAMETERS: [&str; 5] = ["alpha", "dropout", "keys", "rank", "scale"];

/// Refuses what is no adapter beside a model, and what is not known to change nothing.
pub(super) fn check(path: &Path, all: &Map<String, Value>) -> Result<(), Error> {
    let mut refused = vec![];
    if let Some(kind) = all.get("fine_tune_type") {
        let why = match kind.as_str() {
            Some("lora" | "dora") => None,
            Some("full") => Some("the file holds whole weights of a model, which are no adapter"),
            _ => Some("mlx-lm has lora, dora and full"),
        };
        refused.extend(why.map(|why| refusal("fine_tune_type", kind, why)));
    }
    let parameters = all.get("lora_parameters").and_then(Value::as_object);
    for (name, value) in parameters.into_iter().flatten() {
        if !PARAMETERS.contains(&name.as_str()) {
            let name = format!("lora_parameters.{name}");
            refused.push(refusal(&name, value, "mlx-lm has no such parameter"));
        }
    }
    if !refused.is_empty() {
        let path = path.to_path_buf();
        return Err(Error::Unsupported { path, refused });
    }
    if parameters.is_some_and(|p| p.contains_key("alpha") && p.contains_key("scale")) {
        let path = path.display();
        tracing::warn!("{path}: mlx-lm takes no notice of alpha beside scale");
    }
    Ok(())
}

pub(super) fn read(fields: &Fields<'_>) -> Result<Settings, Error> {
    let method = match fields.optional::<String>("fine_tune_type")?.as_deref() {
        Some("dora") => Method::Dora,
        _ => Method::Lora,
    };
    let parameters: Map<String, Value> = fields.required("lora_parameters")?;
    let inner = Fields {
        path: fields.path,
        all: &parameters,
    };
    let scale: f64 = inner.required("scale")?;
    if !(scale as f32).is_normal() {
        return Err(inner.wrong("scale", format!("{scale} is of no use as a float32 factor")));
    }
    Ok(Settings {
        method,
        num_layers: fields.required("num_layers")?,
        rank: inner.required("rank")?,
        scale,
        dropout: inner.required("dropout")?,
        keys: inner.optional("keys")?,
    })
}

impl Settings {
    /// The settings in PEFT's terms, and keys that name no layer of the model.
    pub(super) fn for_layers(
        &self,
        layers: &[LayerInfo],
    ) -> Result<(LoraConfig, Vec<Unmatched>), Error> {
        let (targets, unmatched) = self.targets(layers);
        let named = |layer: &&LayerInfo| matches!(&targets, Targets::Names(names) if names.contains(&layer.path));
        let embedding = layers
            .iter()
            .filter(named)
            .find(|layer| layer.kind == Kind::Embedding);
        if let (Some(layer), Method::Dora) = (embedding, self.method) {
            return Err(Error::NotBuilt {
                path: layer.path.clone(),
                what: "DoRA of an embedding by rows, as mlx-lm has it,",
            });
        }
        let config = LoraConfig {
            method: self.method,
            r: self.rank,
            dropout: self.dropout,
            layers_to_transform: self.blocks(layers)?,
            ensure_weight_tying: embedding.is_some(),
            targets,
            ..LoraConfig::default()
        };
        Ok((config.with_scale(self.scale), unmatched))
    }

    /// Names match as the end of a path in PEFT and as a whole in mlx-lm.
    fn targets(&self, layers: &[LayerInfo]) -> (Targets, Vec<Unmatched>) {
        let Some(keys) = &self.keys else {
            return (Targets::AllLinear, vec![]);
        };
        // A head that is the embedding is no layer of mlx-lm.
        let layers = layers.iter().filter(|layer| layer.tied_to.is_none());
        let paths: Vec<&str> = layers.map(|layer| layer.path.as_str()).collect();
        let (mut names, mut unmatched) = (vec![], vec![]);
        for key in keys {
            let named = named(key, &paths);
            if named.is_empty() {
                let (what, pattern) = ("keys", shortened(key));
                unmatched.push(Unmatched { what, pattern });
            }
            names.extend(named);
        }
        (Targets::Names(names), unmatched)
    }

    /// The last blocks, where these are not all.
    fn blocks(&self, layers: &[LayerInfo]) -> Result<Option<Vec<usize>>, Error> {
        let Some(last) = layers.iter().filter_map(|layer| layer.block).max() else {
            return Ok(None);
        };
        let blocks = match usize::try_from(self.num_layers) {
            Ok(0) | Err(_) => LastBlocks::All,
            Ok(n) => LastBlocks::AtMost(n),
        };
        blocks.of(last + 1)
    }
}

/// Names by which PEFT chooses the layers that `key` means: itself, or those of experts that have it together.
fn named(key: &str, paths: &[&str]) -> BTreeSet<String> {
    let is = |path: &str| path == key || inside(path) == Some(key);
    let names = paths.iter().filter_map(|path| {
        let of_all = experts::switches(path).find(|path| is(path));
        match of_all {
            _ if is(path) => Some(key.to_string()),
            Some(all) if all == key => Some(path.to_string()),
            Some(_) => inside(path).map(String::from),
            None => None,
        }
    });
    names.collect()
}

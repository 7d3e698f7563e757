//! Names of experts: each layer of an expert has a path of its own, and tools have one for the same layer of all experts.

/// Name of all experts in mlx-lm.
const SWITCH: &str = "switch_mlp";

/// Mixtral's names, and mlx-lm's for them.
const MIXTRAL: [(&str, &str); 3] = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")];

const MIXTRAL_MIXTURE: &str = "block_sparse_moe";

/// Path of one layer of the expert `number`.
pub(crate) fn path(mixture: &str, number: usize, layer: &str) -> String {
    format!("{mixture}.experts.{number}.{layer}")
}

/// Path of a mixture, and a layer of its experts in the family's words, where `path` is mlx-lm's of all of them.
pub(crate) fn of_switch(path: &str) -> Option<(&str, &str)> {
    let (mixture, layer) = path.split_once(&format!(".{SWITCH}."))?;
    Some((mixture, of_family(mixture, layer)))
}

/// Name of a layer in the family's words.
fn of_family<'a>(mixture: &str, layer: &'a str) -> &'a str {
    let mut names = MIXTRAL.into_iter();
    match names.find(|(_, name)| mixture.ends_with(MIXTRAL_MIXTURE) && *name == layer) {
        Some((name, _)) => name,
        None => layer,
    }
}

/// Number of the expert that a layer is a part of.
pub(crate) fn number(path: &str) -> Option<usize> {
    let (_, rest) = path.split_once(".experts.")?;
    rest.split('.').next()?.parse().ok()
}

/// mlx-lm's path of all experts of which a layer is one: `mlp.experts.3.up_proj` is a part of `mlp.switch_mlp.up_proj`.
pub(crate) fn switch(path: &str) -> Option<String> {
    let (mixture, rest) = path.split_once(".experts.")?;
    let (_, layer) = rest.split_once('.')?;
    let mut names = MIXTRAL.into_iter();
    let named = names.find(|(name, _)| mixture.ends_with(MIXTRAL_MIXTURE) && *name == layer);
    let layer = named.map_or(layer, |(_, name)| name);
    Some(format!("{mixture}.{SWITCH}.{layer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_one_and_of_all_belong_together() {
        for (mixture, one, all) in [
            ("m.mlp", "up_proj", "m.mlp.switch_mlp.up_proj"),
            (
                "m.block_sparse_moe",
                "w3",
                "m.block_sparse_moe.switch_mlp.up_proj",
            ),
        ] {
            assert_eq!(switch(&path(mixture, 3, one)).as_deref(), Some(all));
            assert_eq!(of_switch(all), Some((mixture, one)));
        }
        assert_eq!(switch("m.mlp.up_proj"), None);
        assert_eq!(of_switch("m.mlp.experts.0.up_proj"), None);
    }
}

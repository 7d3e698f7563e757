use super::FolderType;
use std::fmt;
use std::str::FromStr;

/// Recipe of mlx-lm for matrices of two widths (`mixed_quant_predicate_builder` in `mlx_lm/convert.py`): more bits for the
/// head, and for the values and the MLP's output of the first and the last eighth of the blocks and of every third between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    low_bits: usize,
    high_bits: usize,
}

const ALL: [Recipe; 4] = [
    Recipe::new(2, 6),
    Recipe::new(3, 4),
    Recipe::new(3, 6),
    Recipe::new(4, 6),
];

impl Recipe {
    const fn new(low_bits: usize, high_bits: usize) -> Self {
        Self {
            low_bits,
            high_bits,
        }
    }

    /// Names of all.
    pub fn names() -> impl Iterator<Item = String> {
        ALL.iter().map(Self::to_string)
    }

    /// Form of the matrix at `path`, of a model of `n_blocks` blocks.
    pub(super) fn of(self, path: &str, n_blocks: usize, group: usize) -> FolderType {
        let is_named = |names: &[&str]| names.iter().any(|name| path.contains(name));
        let has_more = is_named(&["v_proj", "v_a_proj", "v_b_proj", "down_proj"])
            && is_favoured(block(path), n_blocks);
        let bits = match has_more || is_named(&["lm_head"]) {
            true => self.high_bits,
            false => self.low_bits,
        };
        FolderType::Affine { bits, group }
    }
}

/// Index of the block that a path is of; 0 where it is of none.
fn block(path: &str) -> usize {
    let mut parts = path.split('.');
    parts.find_map(|part| part.parse().ok()).unwrap_or(0)
}

fn is_favoured(block: usize, n_blocks: usize) -> bool {
    let eighth = n_blocks / 8;
    // A negative number has the remainder of Python there: only blocks before the first eighth have one, which are favoured.
    let is_third = block.checked_sub(eighth).is_some_and(|n| n % 3 == 2);
    block < eighth || block >= 7 * n_blocks / 8 || is_third
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mixed_{}_{}", self.low_bits, self.high_bits)
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = ALL.into_iter().find(|recipe| recipe.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::names().collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

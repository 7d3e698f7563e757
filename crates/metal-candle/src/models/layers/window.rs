//! Blocks that see a window of the tokens before them only.

use crate::models::config::Sizes;
use crate::models::config::fields::Fields;
use crate::models::json::shown_name;
use crate::models::{Error, Result};
use std::fmt;

/// Window of a model, and the blocks in which it acts.
#[derive(Clone)]
pub(in crate::models) struct Windows {
    n_blocks: usize,
    /// `None` where it is as wide as the longest sequence.
    width: Option<usize>,
    sliding: Blocks,
}

/// List of what each block has, however the configuration says it.
impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries((0..self.n_blocks).map(|block| self.of(block)))
            .finish()
    }
}

/// Some of the blocks of a model.
#[derive(Clone, Debug)]
pub(in crate::models) enum Blocks {
    /// All of them.
    All,
    /// Every n-th.
    Every(usize),
    /// All but every n-th.
    NotEvery(usize),
    /// Blocks from one on.
    From(usize),
    /// Blocks that a list says.
    Listed(Vec<bool>),
}

impl Blocks {
    /// Blocks of a list; by a rule, where it says the same.
    pub(in crate::models) fn listed(kinds: Vec<bool>, rule: Self) -> Self {
        let mut blocks = kinds.iter().enumerate();
        match blocks.all(|(block, is)| rule.has(block) == *is) {
            true => rule,
            false => Self::Listed(kinds),
        }
    }

    /// Whether a block is one of them.
    pub(in crate::models) fn has(&self, block: usize) -> bool {
        match self {
            Self::All => true,
            Self::Every(n) => (block + 1).is_multiple_of(*n),
            Self::NotEvery(n) => !(block + 1).is_multiple_of(*n),
            Self::From(first) => block >= *first,
            Self::Listed(kinds) => kinds[block],
        }
    }
}

impl Windows {
    /// Takes `sliding_window` (where it is absent, `width`; none where it is null) and `layer_types`
    /// (where they are absent, `sliding`).
    pub(in crate::models) fn take(
        fields: &mut Fields<'_>,
        sizes: Sizes,
        width: Option<usize>,
        sliding: Blocks,
    ) -> Result<Self> {
        let width = take_width(fields, width)?;
        Self::of_blocks(fields, sizes, width, sliding)
    }

    /// [`Self::take`] of a family in which `use_sliding_window` switches it on.
    pub(in crate::models) fn take_switched(
        fields: &mut Fields<'_>,
        sizes: Sizes,
        width: Option<usize>,
        sliding: Blocks,
    ) -> Result<Self> {
        let width = take_width(fields, width)?;
        let is_on = fields.flag("use_sliding_window")?;
        Self::of_blocks(fields, sizes, width.filter(|_| is_on), sliding)
    }

    /// Takes the fields of Qwen, in which a window acts from `max_window_layers` on.
    pub(in crate::models) fn take_of_qwen(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Self> {
        const NAME: &str = "max_window_layers";
        // It may be 0, which is no size.
        let is_zero = fields.peek(NAME).and_then(serde_json::Value::as_u64) == Some(0);
        let first = match is_zero {
            true => fields.take(NAME).and(Some(0)),
            false => fields.size(NAME)?,
        };
        Self::take_switched(fields, sizes, Some(4096), Blocks::From(first.unwrap_or(28)))
    }

    /// Takes the fields in a family whose blocks all see every token. A window that would act is an
    /// error.
    pub(in crate::models) fn take_none(fields: &mut Fields<'_>, sizes: Sizes) -> Result<()> {
        let width = fields.size("sliding_window")?;
        let is_on = fields.flag_or("use_sliding_window", true)?;
        let windows = Self::of_blocks(fields, sizes, width.filter(|_| is_on), Blocks::All)?;
        let acts = |_: &usize| (0..sizes.n_blocks).any(|block| windows.sliding.has(block));
        match windows.width.filter(acts) {
            None => Ok(()),
            Some(width) => Err(Error::unsupported(
                "sliding_window",
                width,
                "models of this type see every token",
            )),
        }
    }

    fn of_blocks(
        fields: &mut Fields<'_>,
        sizes: Sizes,
        width: Option<usize>,
        sliding: Blocks,
    ) -> Result<Self> {
        let listed = listed(fields, sizes.n_blocks)?;
        if let (Some(true), None) = (listed.as_ref().map(|kinds| kinds.contains(&true)), width) {
            let reason = "there is no sliding_window";
            return Err(Error::unsupported("layer_types", SLIDING, reason));
        }
        Ok(Self {
            n_blocks: sizes.n_blocks,
            width: width.filter(|width| *width < sizes.max_tokens),
            sliding: match listed {
                None => sliding,
                Some(kinds) => Blocks::listed(kinds, sliding),
            },
        })
    }

    /// Blocks with a window, be it as wide as it may.
    pub(in crate::models) fn sliding(&self) -> &Blocks {
        &self.sliding
    }

    /// Window of a block: number of tokens that a query sees, its own included.
    pub(in crate::models) fn of(&self, block: usize) -> Option<usize> {
        self.width.filter(|_| self.sliding.has(block))
    }
}

/// Takes `sliding_window`, which is `default` where it is absent, and none where it is null.
fn take_width(fields: &mut Fields<'_>, default: Option<usize>) -> Result<Option<usize>> {
    const NAME: &str = "sliding_window";
    let given = fields.size(NAME)?;
    Ok(fields.or(NAME, given, default))
}

const SLIDING: &str = "sliding_attention";

/// Which blocks `layer_types` says to have a window.
fn listed(fields: &mut Fields<'_>, n_blocks: usize) -> Result<Option<Vec<bool>>> {
    const NAME: &str = "layer_types";
    let Some(kinds) = fields.texts(NAME)? else {
        return Ok(None);
    };
    if kinds.len() != n_blocks {
        let expected = format!("a list of {n_blocks}, one for each block");
        return Err(fields.wrong(NAME, expected, format!("{} of them", kinds.len())));
    }
    let is_sliding = |kind: &str| match kind {
        "full_attention" => Ok(false),
        SLIDING => Ok(true),
        other => Err(Error::unsupported(
            NAME,
            shown_name(other),
            "kinds that are built: full_attention, sliding_attention",
        )),
    };
    kinds
        .into_iter()
        .map(is_sliding)
        .collect::<Result<_>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    const SIZES: Sizes = Sizes {
        hidden: 32,
        n_blocks: 4,
        max_tokens: 64,
    };

    /// Windows of the four blocks.
    fn windows(
        config: &Value,
        take: impl FnOnce(&mut Fields<'_>, Sizes) -> Result<Windows>,
    ) -> [Option<usize>; 4] {
        let mut fields = Fields::new(config.as_object().unwrap(), Path::new("config.json"));
        let windows = take(&mut fields, SIZES).unwrap();
        assert_eq!(fields.untaken().count(), 0, "{config}");
        [0, 1, 2, 3].map(|block| windows.of(block))
    }

    /// Values of `Qwen2Config` and `Qwen2Model` in transformers 5.24.
    #[test]
    fn windows_of_qwen_are_switched_on_and_begin_at_a_block() {
        let of = |config| windows(&config, Windows::take_of_qwen);
        let (all, none) = ([Some(16); 4], [None; 4]);
        assert_eq!(of(json!({"sliding_window": 16})), none);
        let on = |first: usize| json!({"sliding_window": 16, "use_sliding_window": true, "max_window_layers": first});
        assert_eq!(of(on(0)), all);
        assert_eq!(of(on(1)), [None, Some(16), Some(16), Some(16)]);
        assert_eq!(of(on(4)), none);
        let mut wide = on(0);
        wide["sliding_window"] = 64.into();
        assert_eq!(of(wide), none);
        let (full, sliding) = ("full_attention", "sliding_attention");
        let mut listed = on(0);
        listed["layer_types"] = json!([full, sliding, full, full]);
        assert_eq!(of(listed), [None, Some(16), None, None]);
    }

    #[test]
    fn a_window_that_is_absent_is_the_familys_and_one_that_is_null_is_none() {
        let of = |config| {
            windows(&config, |fields, sizes| {
                Windows::take(fields, sizes, Some(8), Blocks::NotEvery(2))
            })
        };
        assert_eq!(of(json!({})), [Some(8), None, Some(8), None]);
        assert_eq!(
            of(json!({"sliding_window": 5})),
            [Some(5), None, Some(5), None]
        );
        assert_eq!(of(json!({"sliding_window": null})), [None; 4]);
    }
}

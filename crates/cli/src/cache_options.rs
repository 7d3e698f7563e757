//! `--max-kv-size`: a bound of the keys and values of a text.

use metal_candle::models::CacheForm;

/// The option, to be flattened into those of a command.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Keep keys and values of the first 4 tokens and of the last ones alone, so many in all, at least 5: for texts longer than
    /// memory
    #[arg(long, value_name = "N", value_parser = bound)]
    pub max_kv_size: Option<usize>,
}

fn bound(text: &str) -> Result<usize, String> {
    let least = CacheForm::MIN_BOUND;
    let parsed = text.parse().ok().filter(|n| *n >= least);
    parsed.ok_or(format!("must be a whole number, at least {least}"))
}

impl CacheOptions {
    /// Form of the caches.
    pub fn form(self) -> CacheForm {
        self.max_kv_size
            .map_or_else(CacheForm::default, CacheForm::Bounded)
    }
}

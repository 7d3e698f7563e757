use super::fields::Fields;
use crate::files;
use crate::models::Result;
use crate::models::json::{CONFIG_LIMIT_BYTES, read_object};
use std::path::Path;

/// `generation_config.json`, as far as it is used.
#[derive(Clone, Debug, Default)]
pub struct GenerationConfig {
    /// Tokens that end a text; none where the file does not say.
    pub eos_token_ids: Vec<u32>,
}

impl GenerationConfig {
    /// Reads `generation_config.json` in the folder `path`; defaults where there is none, as of one file.
    ///
    /// # Errors
    /// When the file exists and is malformed.
    pub fn read(path: &Path) -> Result<Self> {
        let file = path.join("generation_config.json");
        if path.is_file() || !files::is_there(&file) {
            return Ok(Self::default());
        }
        let object = read_object(&file, CONFIG_LIMIT_BYTES)?;
        Ok(Self {
            eos_token_ids: Fields::new(&object, &file).token_ids("eos_token_id")?,
        })
    }
}

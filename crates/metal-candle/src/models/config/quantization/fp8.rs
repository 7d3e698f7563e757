use super::Skipped;
use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::json::shown;

/// Floats of 8 bits, as transformers writes it (`FineGrainedFP8Config`).
#[derive(Clone, Debug)]
pub struct Fp8 {
    /// Rows and columns that share a scale; `None`: all of a matrix, or of a row.
    pub block: Option<(usize, usize)>,
    /// Linear layers that are not packed.
    pub skipped: Skipped,
}

/// Block that transformers takes where none is said.
const BLOCK: (usize, usize) = (128, 128);

impl Fp8 {
    pub(super) fn take(settings: &mut Fields<'_>) -> Result<Self> {
        let format = settings.text("fmt")?.unwrap_or("e4m3");
        if format != "e4m3" {
            return Err(settings.wrong("fmt", "e4m3", format));
        }
        // How activations are rounded, which is not done here, and how scales were: they are numbers.
        for name in ["activation_scheme", "scale_fmt", "dequantize"] {
            settings.take(name);
        }
        let named = ["modules_to_not_convert", "ignored_layers"];
        let field = named.into_iter().find(|name| settings.peek(name).is_some());
        Ok(Self {
            block: block(settings)?,
            skipped: Skipped::take(settings, field.unwrap_or(named[0]))?,
        })
    }
}

/// Null tells a scale for each matrix from blocks of the usual size.
fn block(settings: &mut Fields<'_>) -> Result<Option<(usize, usize)>> {
    const NAME: &str = "weight_block_size";
    let value = settings.take(NAME);
    let Some(value) = value else {
        return Ok(settings.or(NAME, None, Some(BLOCK)));
    };
    let sizes = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let size = |i: usize| {
        let size = sizes.get(i)?.as_u64().filter(|size| *size > 0)?;
        usize::try_from(size).ok()
    };
    match (size(0), size(1), sizes.len()) {
        (Some(rows), Some(columns), 2) => Ok(Some((rows, columns))),
        _ => Err(settings.wrong(NAME, "two whole numbers from 1", shown(value))),
    }
}

use super::Skipped;
use crate::models::Result;
use crate::models::config::fields::Fields;

/// Packing of a checkpoint by bitsandbytes, as transformers writes it (`BitsAndBytesConfig`). Blocks and
/// tables are said with each matrix.
#[derive(Clone, Debug)]
pub struct BitsAndBytes {
    /// Bits of a number.
    pub bits: Bits,
    /// Linear layers that are not packed.
    pub skipped: Skipped,
}

/// Bits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// nf4 or fp4.
    Four,
    /// int8.
    Eight,
}

/// Settings of how others compute and quantize: what is computed here is in float32, with the
/// numbers that are in the file.
const OF_COMPUTING: [&str; 7] = [
    "bnb_4bit_compute_dtype",
    "bnb_4bit_quant_storage",
    "bnb_4bit_quant_type",
    "bnb_4bit_use_double_quant",
    "llm_int8_enable_fp32_cpu_offload",
    "llm_int8_has_fp16_weight",
    "llm_int8_threshold",
];

impl BitsAndBytes {
    pub(super) fn take(settings: &mut Fields<'_>) -> Result<Self> {
        let bits = match [
            flag(settings, "load_in_4bit")?,
            flag(settings, "load_in_8bit")?,
        ] {
            [true, false] => Bits::Four,
            [false, true] => Bits::Eight,
            [four, eight] => {
                let expected = "true, or load_in_8bit, but not both";
                let got = format!("{four} beside load_in_8bit = {eight}");
                return Err(settings.wrong("load_in_4bit", expected, got));
            }
        };
        for name in OF_COMPUTING {
            settings.take(name);
        }
        Ok(Self {
            bits,
            skipped: Skipped::take(settings, "llm_int8_skip_modules")?,
        })
    }
}

/// A flag that transformers writes under two names.
fn flag(settings: &mut Fields<'_>, name: &str) -> Result<bool> {
    let second = format!("_{name}");
    settings.take(&second);
    settings.flag(name)
}

use super::{Skipped, ZeroPoint, absent, bits, group};
use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::json::shown_name;
use metal_candle_kernels::weight::zero_point::Layout;

/// Settings of how numbers were found, and of how others compute with them: the numbers themselves, their zero points
/// and the order of columns are in the files.
const OF_OTHERS: [&str; 27] = [
    "backend",
    "batch_size",
    "block_name_to_quantize",
    "cache_block_outputs",
    "damp_percent",
    "dataset",
    "desc_act",
    "disable_exllama",
    "exllama_config",
    "format",
    "hyb_act",
    "is_marlin_format",
    "lm_head",
    "max_input_length",
    "meta",
    "model_file_base_name",
    "model_name_or_path",
    "model_seqlen",
    "module_name_preceding_first_block",
    "modules_in_block_to_quantize",
    "pad_token_id",
    "static_groups",
    "sym",
    "tokenizer",
    "true_sequential",
    "use_cuda_fp16",
    "use_exllama",
];

/// `GPTQConfig` of transformers, and the `quantize_config.json` of AutoGPTQ and GPTQModel. Which layers are packed, the
/// tensors say.
pub(super) fn take(settings: &mut Fields<'_>) -> Result<ZeroPoint> {
    let layout = match settings.text("checkpoint_format")?.unwrap_or("gptq") {
        "gptq" => Layout::Gptq,
        "gptq_v2" => Layout::GptqV2,
        other => {
            return Err(settings.wrong("checkpoint_format", "gptq or gptq_v2", shown_name(other)));
        }
    };
    let pack = settings.text("pack_dtype")?.unwrap_or("int32");
    if pack != "int32" {
        return Err(settings.wrong("pack_dtype", "int32", shown_name(pack)));
    }
    // Bits and groups of single layers.
    absent(settings, "dynamic")?;
    for name in OF_OTHERS {
        settings.take(name);
    }
    Ok(ZeroPoint {
        layout,
        bits: bits(settings, "bits", layout)?,
        group: group(settings)?,
        is_symmetric: false,
        skipped: Skipped::default(),
    })
}

use super::{Skipped, ZeroPoint, bits, group};
use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::json::shown_name;
use metal_candle_kernels::weight::zero_point::Layout;

/// Settings of how others compute. Zero points are in the files in any case.
const OF_OTHERS: [&str; 6] = [
    "backend",
    "do_fuse",
    "exllama_config",
    "fuse_max_seq_len",
    "modules_to_fuse",
    "zero_point",
];

/// `AwqConfig` of transformers.
pub(super) fn take(settings: &mut Fields<'_>) -> Result<ZeroPoint> {
    let version = settings.text("version")?.unwrap_or("gemm");
    if !version.eq_ignore_ascii_case("gemm") {
        return Err(settings.wrong("version", "gemm", shown_name(version)));
    }
    for name in OF_OTHERS {
        settings.take(name);
    }
    Ok(ZeroPoint {
        layout: Layout::Awq,
        bits: bits(settings, "bits", Layout::Awq)?,
        group: group(settings)?,
        is_symmetric: false,
        skipped: Skipped::take(settings, "modules_to_not_convert")?,
    })
}

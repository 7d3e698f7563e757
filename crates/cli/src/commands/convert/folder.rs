//! Options of `mlx_lm.convert`.

use super::plan::{Matrices, Plan};
use crate::error::{Error, Result};
use crate::numbers::at_least_one;
use crate::output_folder;
use candle_core::DType;
use clap::ValueEnum;
use metal_candle::models::{FolderType, Recipe};
use metal_candle_kernels::weight::affine::{BITS, GROUPS};
use metal_candle_kernels::weight::microscaling::Kind;
use std::path::PathBuf;

/// Options of `mlx_lm.convert`.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Options of mlx_lm.convert, in place of --save-path and --type")]
pub struct MlxFolder {
    /// Folder that is written, new or empty
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "mlx_model",
        conflicts_with = "save_path"
    )]
    pub mlx_path: PathBuf,
    /// Pack the matrices; without --save-path, -q behind `convert` is short for it
    #[arg(long, conflicts_with_all = ["save_path", "dequantize"])]
    quantize: bool,
    /// Packing [default: affine]
    #[arg(long, value_name = "MODE", conflicts_with = "save_path")]
    q_mode: Option<Mode>,
    /// Bits of a number: 2, 3, 4, 5, 6 or 8 [default: 4, of mxfp8 8]
    #[arg(long, value_name = "N", value_parser = at_least_one, conflicts_with = "save_path")]
    q_bits: Option<usize>,
    /// Numbers of a group: 32, 64 or 128 [default: 64, of mxfp4 and mxfp8 32, of nvfp4 16]
    #[arg(long, value_name = "N", value_parser = at_least_one, conflicts_with = "save_path")]
    q_group_size: Option<usize>,
    /// Recipe for bits, in place of --q-bits: mixed_2_6, mixed_3_4, mixed_3_6 or mixed_4_6, more for the head and for values and
    /// outputs of MLPs in some blocks
    #[arg(long, value_name = "RECIPE", conflicts_with_all = ["q_bits", "save_path"])]
    quant_predicate: Option<Recipe>,
    /// Type of what is not packed [default: that of the configuration]
    #[arg(long, value_name = "TYPE", conflicts_with = "save_path")]
    dtype: Option<Float>,
    /// Unpack the matrices
    #[arg(short, long, conflicts_with = "save_path")]
    dequantize: bool,
}

/// Mode of a packing.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Affine,
    Mxfp4,
    Nvfp4,
    Mxfp8,
}

/// Type of floats.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Float {
    Float16,
    Bfloat16,
    Float32,
}

impl MlxFolder {
    /// What the options ask for; tells those that ask for nothing.
    ///
    /// # Errors
    /// When there is no such packing, or the folder has the name of a file.
    pub(super) fn plan(&self) -> Result<Plan> {
        if output_folder::is_gguf_file(&self.mlx_path) {
            let error = format!(
                "--mlx-path {} names a file: expected a folder",
                self.mlx_path.display()
            );
            return Err(Error::input(error).with_advice("--save-path writes GGUF files"));
        }
        let form = self.form()?;
        if !self.quantize {
            self.tell_idle();
        }
        Ok(Plan {
            matrices: match (self.quantize, self.dequantize) {
                (true, _) => self.packed(form)?,
                (false, true) => Matrices::Dense,
                (false, false) => Matrices::Kept,
            },
            dtype: self.dtype.map(Float::dtype),
        })
    }

    fn packed(&self, form: FolderType) -> Result<Matrices> {
        match (self.quant_predicate, form) {
            (None, _) => Ok(Matrices::Packed(form)),
            (Some(recipe), FolderType::Affine { group, .. }) => Ok(Matrices::Mixed(recipe, group)),
            (Some(recipe), _) => {
                let error =
                    format!("--quant-predicate {recipe}: expected --q-mode affine, got {form}");
                Err(Error::input(error).with_advice("leave --q-mode out"))
            }
        }
    }

    fn form(&self) -> Result<FolderType> {
        let (bits, group) = (self.q_bits, self.q_group_size);
        let mode = self.q_mode.unwrap_or(Mode::Affine);
        if let Some(kind) = mode.kind() {
            check("--q-bits", mode, bits, &[kind.bits()])?;
            check("--q-group-size", mode, group, &[kind.group()])?;
            return Ok(FolderType::Floats(kind));
        }
        check("--q-bits", mode, bits, &BITS)?;
        check("--q-group-size", mode, group, &GROUPS)?;
        Ok(FolderType::Affine {
            bits: bits.unwrap_or(4),
            group: group.unwrap_or(64),
        })
    }

    fn tell_idle(&self) {
        let given = [
            ("--q-mode", self.q_mode.is_some()),
            ("--q-bits", self.q_bits.is_some()),
            ("--q-group-size", self.q_group_size.is_some()),
            ("--quant-predicate", self.quant_predicate.is_some()),
        ];
        for (option, _) in given.iter().filter(|(_, is_given)| *is_given) {
            tracing::warn!("{option} changes nothing without --quantize");
        }
    }
}

/// Checks that a mode has what was asked for.
fn check(option: &str, mode: Mode, asked: Option<usize>, there: &[usize]) -> Result<()> {
    let Some(wrong) = asked.filter(|asked| !there.contains(asked)) else {
        return Ok(());
    };
    let there: Vec<_> = there.iter().map(usize::to_string).collect();
    let error = format!("{option}: expected {}, got {wrong}", there.join(", "));
    let advice = format!("--q-mode {} has no other; leave {option} out", mode.name());
    Err(Error::input(error).with_advice(advice))
}

impl Mode {
    fn name(self) -> &'static str {
        self.kind().map_or("affine", Kind::name)
    }

    /// Small floats that it has.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Affine => None,
            Self::Mxfp4 => Some(Kind::Mxfp4),
            Self::Nvfp4 => Some(Kind::Nvfp4),
            Self::Mxfp8 => Some(Kind::Mxfp8),
        }
    }
}

impl Float {
    fn dtype(self) -> DType {
        match self {
            Self::Float16 => DType::F16,
            Self::Bfloat16 => DType::BF16,
            Self::Float32 => DType::F32,
        }
    }
}

use super::{MLX, Skipped, TRANSFORMERS, is_empty, nothing_is_left};
use crate::experts;
use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::json::{shown, shown_name};
use metal_candle_kernels::weight::affine::{BITS, GROUPS};
use metal_candle_kernels::weight::microscaling::Kind;
use serde_json::Value;
use std::collections::BTreeMap;

/// Packing of the matrices in a checkpoint of mlx-lm: the field `quantization`. Which ones are packed
/// its tensors say, those that have `scales`.
#[derive(Clone, Debug)]
pub struct Mlx {
    default: Packing,
    /// Packings by path, where it is another one; `None` for a matrix that is not packed.
    overrides: BTreeMap<String, Option<Packing>>,
    /// Linear layers that transformers leaves as they are.
    skipped: Skipped,
    /// Last part of the names of biases.
    biases: &'static str,
    /// Whose files they are.
    owner: Owner,
}

/// Tool that names tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    MlxLm,
    Transformers,
}

/// Last part of the names of biases, as mlx-lm has it.
pub(super) const BIASES: &str = "biases";

/// Packing of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Kind of a number.
    pub mode: Mode,
    /// Bits of a number.
    pub bits: usize,
    /// Numbers that share a scale.
    pub group: usize,
}

/// Kind of the numbers of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whole numbers, with a scale and a bias.
    Affine,
    /// Small floats, with a small float as scale.
    Floats(Kind),
}

impl Mode {
    fn find(name: &str) -> Option<Self> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        match name {
            "affine" => Some(Self::Affine),
            _ => kind.map(Self::Floats),
        }
    }
}

impl Mlx {
    /// Takes `quantization`, and `quantization_config` where mlx-lm has repeated it.
    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Option<Self>> {
        let Some(value) = fields.peek(MLX).filter(|value| !is_empty(value)) else {
            return Ok(None);
        };
        match fields.take(TRANSFORMERS) {
            Some(repeated) if repeated != value => {
                let expected = format!("{MLX}'s value");
                return Err(fields.wrong(TRANSFORMERS, expected, shown(repeated)));
            }
            _ => {}
        }
        let Some(mut settings) = fields.object(MLX)? else {
            return Ok(None);
        };
        let default = Packing::take(&mut settings)?;
        let paths: Vec<&str> = settings.untaken().map(|(path, _)| path).collect();
        let mut overrides = BTreeMap::new();
        for path in paths {
            overrides.insert(path.to_string(), one(&mut settings, path)?);
        }
        Ok(Some(Self {
            default,
            overrides,
            skipped: Skipped::default(),
            biases: BIASES,
            owner: Owner::MlxLm,
        }))
    }

    /// Takes the settings of transformers' method `metal`, which has MLX's layout.
    pub(super) fn take_metal(settings: &mut Fields<'_>) -> Result<Self> {
        settings.take("dequantize");
        Ok(Self {
            default: Packing {
                mode: Mode::Affine,
                bits: one_of(settings, "bits", &[2, 4, 8])?,
                group: one_of(settings, "group_size", &GROUPS)?,
            },
            overrides: BTreeMap::new(),
            skipped: Skipped::take(settings, "modules_to_not_convert")?,
            biases: "qbiases",
            owner: Owner::Transformers,
        })
    }

    /// Takes the settings of transformers' method `mxfp4` (`Mxfp4Config`), whose numbers are MLX's.
    pub(super) fn take_mxfp4(settings: &mut Fields<'_>) -> Result<Self> {
        // Whether transformers unpacks them: the numbers are the same.
        settings.flag("dequantize")?;
        let kind = Kind::Mxfp4;
        Ok(Self {
            default: Packing {
                mode: Mode::Floats(kind),
                bits: kind.bits(),
                group: kind.group(),
            },
            overrides: BTreeMap::new(),
            skipped: Skipped::take(settings, "modules_to_not_convert")?,
            biases: BIASES,
            owner: Owner::Transformers,
        })
    }

    /// Whether they are transformers' mxfp4.
    pub(in crate::models) fn is_of_transformers_mxfp4(&self) -> bool {
        let mxfp4 = Mode::Floats(Kind::Mxfp4);
        self.owner == Owner::Transformers && self.default.mode == mxfp4
    }

    /// Whether a folder is written under these names.
    pub(super) fn is_written(&self) -> bool {
        self.owner == Owner::MlxLm
    }

    /// The packing of the matrix at `path`, if it is packed.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<Packing> {
        let default = Some(self.default).filter(|_| self.skipped.name(path).is_none());
        let of_all = || experts::switches(path).find_map(|all| self.overrides.get(&all));
        let packing = self.overrides.get(path).or_else(of_all);
        packing.copied().unwrap_or(default)
    }

    /// Last part of the names of biases.
    pub(in crate::models) fn biases(&self) -> &'static str {
        self.biases
    }

    /// Paths of which the configuration says how they are packed.
    pub(in crate::models) fn named(&self) -> impl Iterator<Item = &str> {
        let packed = self
            .overrides
            .iter()
            .filter(|(_, packing)| packing.is_some());
        packed.map(|(path, _)| path.as_str())
    }
}

/// The field of one matrix: `false`, or its packing.
fn one(settings: &mut Fields<'_>, path: &str) -> Result<Option<Packing>> {
    match settings.peek(path) {
        Some(Value::Bool(false)) => {
            settings.take(path);
            Ok(None)
        }
        Some(Value::Object(_)) => match settings.object(path)? {
            Some(mut fields) => Packing::take_all(&mut fields).map(Some),
            None => Ok(None),
        },
        other => {
            let got = other.map(shown).unwrap_or_default();
            Err(settings.wrong(&shown_name(path), "false or an object", got))
        }
    }
}

impl Packing {
    /// A packing, and nothing else.
    fn take_all(fields: &mut Fields<'_>) -> Result<Self> {
        let packing = Self::take(fields)?;
        nothing_is_left(fields)?;
        Ok(packing)
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self> {
        let name = fields.text("mode")?.unwrap_or("affine");
        let Some(mode) = Mode::find(name) else {
            let kinds = Kind::ALL.map(Kind::name).join(", ");
            return Err(fields.wrong("mode", format!("affine, {kinds}"), shown_name(name)));
        };
        let (bits, groups) = match mode {
            Mode::Affine => (BITS.to_vec(), GROUPS.to_vec()),
            Mode::Floats(kind) => (vec![kind.bits()], vec![kind.group()]),
        };
        Ok(Self {
            mode,
            bits: one_of(fields, "bits", &bits)?,
            group: one_of(fields, "group_size", &groups)?,
        })
    }
}

fn one_of(fields: &mut Fields<'_>, name: &str, expected: &[usize]) -> Result<usize> {
    let size = fields.size(name)?;
    let size = fields.required(name, size)?;
    match expected.contains(&size) {
        true => Ok(size),
        false => Err(fields.wrong(name, format!("one of {expected:?}"), size)),
    }
}

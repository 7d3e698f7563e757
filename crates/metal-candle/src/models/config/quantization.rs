use super::fields::Fields;
use crate::models::Result;
use crate::models::json::{shown, shown_name};
use metal_candle_kernels::weight::affine::{BITS, GROUPS};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The field.
const NAME: &str = "quantization";

/// Name under which mlx-lm writes it too, for the hub.
const REPEATED: &str = "quantization_config";

/// Packing of the matrices in a checkpoint of mlx-lm: the field `quantization`. Which ones are packed
/// its tensors say, those that have `scales`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantization {
    default: Packing,
    /// Packings by path, where it is another one; `None` for a matrix that is not packed.
    overrides: BTreeMap<String, Option<Packing>>,
}

/// Numbers of `bits` bits, `group` of them with one scale and one bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Bits of a number.
    pub bits: usize,
    /// Numbers of a group.
    pub group: usize,
}

impl Quantization {
    /// Takes `quantization`, and `quantization_config` where mlx-lm has repeated it.
    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Option<Self>> {
        let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        let Some(value) = fields.peek(NAME).filter(|value| !is_empty(value)) else {
            return Ok(None);
        };
        match fields.take(REPEATED) {
            Some(repeated) if repeated != value => {
                return Err(fields.wrong(REPEATED, format!("{NAME}'s value"), shown(repeated)));
            }
            _ => {}
        }
        let Some(mut settings) = fields.object(NAME)? else {
            return Ok(None);
        };
        let default = Packing::take(&mut settings)?;
        let paths: Vec<&str> = settings.untaken().map(|(path, _)| path).collect();
        let mut overrides = BTreeMap::new();
        for path in paths {
            overrides.insert(path.to_string(), one(&mut settings, path)?);
        }
        Ok(Some(Self { default, overrides }))
    }

    /// The packing of the matrix at `path`, if it is packed.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<Packing> {
        self.overrides
            .get(path)
            .copied()
            .unwrap_or(Some(self.default))
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
        match fields.untaken().next() {
            None => Ok(packing),
            Some((name, value)) => Err(fields.wrong(&shown_name(name), "absent", shown(value))),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self> {
        let mode = fields.text("mode")?.unwrap_or("affine");
        if mode != "affine" {
            let mode = shown_name(mode);
            return Err(fields.wrong("mode", "affine", mode));
        }
        Ok(Self {
            bits: one_of(fields, "bits", &BITS)?,
            group: one_of(fields, "group_size", &GROUPS)?,
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

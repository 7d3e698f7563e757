//! Measurements, and the work that they are for.

use candle_core::DType;
use serde::{Deserialize, Serialize};

use crate::plan::{Engine, Gemm};

/// Storage of the factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Both by rows.
    Nn,
    /// The right one by columns, as a weight.
    Nt,
    /// The left one by columns, as in the gradient of a weight.
    Tn,
    /// Both by columns.
    Tt,
}

/// Products that one measurement speaks for: element type, storage, and sizes up to a factor of 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bucket {
    /// Element type, by its short name.
    #[serde(with = "dtype_name")]
    pub dtype: DType,
    /// Element type of the right factor where it is another: it is cast to `dtype` for MPS.
    #[serde(with = "other_dtype", default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<DType>,
    /// How the factors are stored.
    pub storage: Storage,
    /// Whole part of the binary logarithms of M, N and K, the batch counted into M.
    pub log2: [u32; 3],
}

/// One engine of MPS beside candle's GEMM, or beside our own kernel for factors of two element types.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The engine of MPS.
    pub engine: Engine,
    /// What was multiplied.
    #[serde(flatten)]
    pub bucket: Bucket,
    /// M, N and K of a model's layer; the smallest of the bucket if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<[usize; 3]>,
    /// What computes the product without MPS, and MPS.
    pub micros: Micros,
}

impl Cell {
    /// Multiplications that were measured.
    pub(crate) fn work(&self) -> f64 {
        match self.sizes {
            Some(sizes) => sizes.iter().map(|&size| size as f64).product(),
            None => smallest(&self.bucket.log2),
        }
    }

    /// Whether these very rows and columns of a weight were measured.
    pub(crate) fn has_weight_of(&self, [_, n, k]: [usize; 3]) -> bool {
        self.sizes
            .is_some_and(|[_, n_measured, k_measured]| (n_measured, k_measured) == (n, k))
    }
}

/// Softmax by MPS beside our own kernel, for so many rows and columns, up to a factor of 2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsCell {
    /// Element type, by its short name.
    #[serde(with = "dtype_name")]
    pub dtype: DType,
    /// Whole part of the binary logarithms of the number of rows, and of their length.
    pub log2: [u32; 2],
    /// Our kernel and MPS.
    pub micros: Micros,
}

/// Microseconds without MPS, of MPS, and the median absolute deviation of the difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub [f64; 3]);

impl Micros {
    /// Seconds without MPS.
    pub(crate) fn secs(self) -> f64 {
        self.0[0] * 1e-6
    }

    /// The part of that time that MPS saves; negative where it is slower.
    pub(crate) fn gain(self) -> f64 {
        1.0 - self.0[1] / self.0[0]
    }

    /// Part of that time that is noise, by the deviation.
    pub(crate) fn noise(self) -> f64 {
        self.0[2] / self.0[0]
    }
}

impl Bucket {
    /// Bucket of a product; none for one that no bucket describes.
    pub fn of(gemm: &Gemm<'_>) -> Option<Self> {
        let [m, n, k] = gemm.sizes();
        let batch: usize = gemm.left.dims().iter().rev().skip(2).product();
        let by_rows = [gemm.left, gemm.right].map(|view| view.last_two()[1][1] == 1);
        let storage = match by_rows {
            [true, true] => Storage::Nn,
            [true, false] => Storage::Nt,
            [false, true] => Storage::Tn,
            [false, false] => Storage::Tt,
        };
        Some(Self {
            dtype: gemm.left.dtype(),
            weight: None,
            storage,
            log2: logarithms([m.checked_mul(batch)?, n, k])?,
        })
    }
}

/// Whole parts of binary logarithms; none of 0.
pub(crate) fn logarithms<const N: usize>(sizes: [usize; N]) -> Option<[u32; N]> {
    let logarithms = sizes.map(|size| size.checked_ilog2());
    let all = logarithms.iter().all(Option::is_some);
    all.then(|| logarithms.map(Option::unwrap_or_default))
}

/// Multiplications, or elements, of the smallest sizes that have these logarithms.
pub(crate) fn smallest(log2: &[u32]) -> f64 {
    log2.iter().map(|&log2| 2f64.powi(log2 as i32)).product()
}

mod other_dtype {
    use super::dtype_name;
    use candle_core::DType;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(dtype: &Option<DType>, to: S) -> Result<S::Ok, S::Error> {
        match dtype {
            Some(dtype) => dtype_name::serialize(dtype, to),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DType>, D::Error> {
        dtype_name::deserialize(from).map(Some)
    }
}

pub(super) mod dtype_name {
    use candle_core::DType;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(dtype: &DType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(dtype.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DType, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(D::Error::custom)
    }
}

//! Measurements, and the products that they are for.

use serde::{Deserialize, Serialize};

use crate::plan::{DataType, Engine, Gemm};

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
    pub dtype: DataType,
    /// How the factors are stored.
    pub storage: Storage,
    /// Whole part of the binary logarithms of M, N and K, the batch counted into M.
    pub log2: [u32; 3],
}

/// One engine of MPS beside candle's GEMM, at the smallest sizes of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The engine of MPS.
    #[serde(with = "engine_name")]
    pub engine: Engine,
    /// What was multiplied.
    #[serde(flatten)]
    pub bucket: Bucket,
    /// Microseconds of candle's GEMM, of MPS, and the median absolute deviation of the difference.
    pub micros: [f64; 3],
}

impl Bucket {
    /// Bucket of a product; none for one that no bucket describes.
    pub fn of(gemm: &Gemm<'_>) -> Option<Self> {
        let [[m, k], left] = gemm.left.last_two();
        let [[_, n], right] = gemm.right.last_two();
        let batch: usize = gemm.left.dims().iter().rev().skip(2).product();
        let by_rows = |strides: [usize; 2]| strides[1] == 1;
        let storage = match (by_rows(left), by_rows(right)) {
            (true, true) => Storage::Nn,
            (true, false) => Storage::Nt,
            (false, true) => Storage::Tn,
            (false, false) => Storage::Tt,
        };
        let log2 = [
            m.checked_mul(batch)?.checked_ilog2()?,
            n.checked_ilog2()?,
            k.checked_ilog2()?,
        ];
        Some(Self {
            dtype: gemm.left.dtype(),
            storage,
            log2,
        })
    }

    /// Multiplications in the smallest product of the bucket.
    fn products(&self) -> f64 {
        self.log2
            .iter()
            .map(|&log2| 2f64.powi(log2 as i32))
            .product()
    }
}

impl Cell {
    /// Seconds that candle's GEMM would take for `products` multiplications.
    pub(crate) fn steel_secs(&self, products: f64) -> f64 {
        self.micros[0] * 1e-6 * products / self.bucket.products()
    }

    /// The part of candle's time that MPS saves; negative where it is slower.
    pub(crate) fn gain(&self) -> f64 {
        1.0 - self.micros[1] / self.micros[0]
    }

    /// Part of the time that is noise, by the deviation.
    pub(crate) fn noise(&self) -> f64 {
        self.micros[2] / self.micros[0]
    }
}

mod dtype_name {
    use crate::plan::DataType;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const NAMES: [(DataType, &str); 3] = [
        (DataType::Float32, "f32"),
        (DataType::Float16, "f16"),
        (DataType::BFloat16, "bf16"),
    ];

    pub fn serialize<S: Serializer>(dtype: &DataType, to: S) -> Result<S::Ok, S::Error> {
        let name = NAMES.iter().find(|(known, _)| known == dtype);
        to.serialize_str(name.map_or("other", |(_, name)| name))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DataType, D::Error> {
        let name = String::deserialize(from)?;
        let dtype = NAMES.iter().find(|(_, known)| *known == name);
        dtype
            .map(|(dtype, _)| *dtype)
            .ok_or_else(|| D::Error::custom(name))
    }
}

mod engine_name {
    use crate::plan::Engine;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(engine: &Engine, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(engine)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Engine, D::Error> {
        let name = String::deserialize(from)?;
        let mut engines = [Engine::NdArray, Engine::Matrix].into_iter();
        engines
            .find(|engine| engine.to_string() == name)
            .ok_or_else(|| D::Error::custom(name))
    }
}

//! Plans on the CPU, in the interpreter.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType};
use half::{bf16, f16};

use super::operand::Backend;
use super::{Error, Result};
use crate::interp::Host;
use crate::plan::{MatrixSoftMax, Plan, Slot, ZERO_BYTES};
use crate::policy::{Caps, Policy};

impl Backend for CpuStorage {
    fn policy(&self) -> Result<Policy> {
        Ok(Policy::uncalibrated(Caps::interpreter()))
    }

    fn buffer_len_bytes(&self) -> usize {
        let elements = match self {
            CpuStorage::F32(values) => values.len(),
            CpuStorage::F16(values) => values.len(),
            CpuStorage::BF16(values) => values.len(),
            // No product is made of these.
            _ => 0,
        };
        elements * self.dtype().size_in_bytes()
    }

    fn allocate(&self, count: usize, room: usize, dtype: DType) -> Result<Self> {
        from_bytes(dtype, &vec![0; (count + room) * dtype.size_in_bytes()])
    }

    fn run(plan: &Plan, operands: &[(Slot, &Self)], result: Self) -> Result<Self> {
        let mut host = Host::default();
        for &(slot, storage) in operands.iter().chain([&(Slot::Result, &result)]) {
            host.insert(slot, to_bytes(storage)?);
        }
        host.insert(Slot::Zero, vec![0; ZERO_BYTES]);
        host.run(plan)?;
        let bytes = host.remove(Slot::Result);
        from_bytes(result.dtype(), &bytes.unwrap_or_default())
    }

    fn soft_max(plan: &MatrixSoftMax, source: &Self, result: Self) -> Result<Self> {
        let mut host = Host::default();
        host.insert(Slot::Source, to_bytes(source)?);
        host.insert(Slot::Result, to_bytes(&result)?);
        host.soft_max(plan)?;
        let bytes = host.remove(Slot::Result);
        from_bytes(result.dtype(), &bytes.unwrap_or_default())
    }
}

fn to_bytes(storage: &CpuStorage) -> Result<Vec<u8>> {
    Ok(match storage {
        CpuStorage::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        CpuStorage::F16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        CpuStorage::BF16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        other => return Err(not_a_float(other.dtype())),
    })
}

fn from_bytes(dtype: DType, bytes: &[u8]) -> Result<CpuStorage> {
    Ok(match dtype {
        DType::F32 => CpuStorage::F32(values(bytes, f32::from_le_bytes)),
        DType::F16 => CpuStorage::F16(values(bytes, f16::from_le_bytes)),
        DType::BF16 => CpuStorage::BF16(values(bytes, bf16::from_le_bytes)),
        other => return Err(not_a_float(other)),
    })
}

fn values<T, const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().copied().map(value).collect()
}

fn not_a_float(got: DType) -> Error {
    let (operand, expected) = (Slot::Source, "F32, F16 or BF16".into());
    Error::DType {
        operand,
        expected,
        got,
    }
}

use super::Factors;
use super::basis::orthonormal;
use candle_core::{Device, Tensor};
use metal_candle_kernels::{Result, matmul};

/// `B = Q[:, :r]`, `A = R[:r]` of `weight = Q R`, which is `(N, K)`. The first columns of `Q` span those of the weight:
/// nothing else of the decomposition is computed.
pub(super) fn factors(weight: &Tensor, r: usize) -> Result<Factors> {
    let mut columns = weight.narrow(1, 0, r)?.t()?.to_vec2::<f64>()?;
    orthonormal(&mut columns);
    let q = Tensor::new(columns, &Device::Cpu)?;
    Ok(Factors {
        a: matmul(&q, weight)?,
        b: q.t()?.contiguous()?,
        is_exact: true,
    })
}

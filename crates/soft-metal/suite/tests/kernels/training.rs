//! Operations together.

use crate::compare::metal;
use candle_core::{Device, Result, Tensor, Var};
use soft_metal::Guard;

/// Three steps of training, backward pass and all.
#[test]
fn training() -> Result<()> {
    let _guard = Guard::comparing();
    let losses = |device: &Device| -> Result<Vec<f32>> {
        let w = Tensor::arange(0f32, 12., &Device::Cpu)?.affine(0.1, -0.5)?.reshape((3, 4))?;
        let w = Var::from_tensor(&w.to_device(device)?)?;
        let x = Tensor::arange(0f32, 15., &Device::Cpu)?.affine(0.05, 0.)?.reshape((5, 3))?.to_device(device)?;
        let y = Tensor::new(&[0u32, 3, 1, 2, 0], device)?;
        let mut losses = vec![];
        for _ in 0..3 {
            let loss = candle_nn::loss::cross_entropy(&x.matmul(w.as_tensor())?.gelu()?, &y)?;
            let gradients = loss.backward()?;
            w.set(&(w.as_tensor() - (gradients.get(w.as_tensor()).expect("a gradient") * 0.5)?)?)?;
            losses.push(loss.to_scalar()?);
        }
        Ok(losses)
    };
    let (got, expected) = (losses(&metal()?)?, losses(&Device::Cpu)?);
    assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?} {expected:?}");
    assert!(got[2] < got[0], "{got:?}");
    Ok(())
}

//! Numbers of a formula, for weights and tokens that no file has to hold.

use candle_core::{Device, Result, Tensor};

/// Highest bytes of a linear congruential generator (Knuth, MMIX).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn byte(&mut self) -> u8 {
        let Self(state) = *self;
        self.0 = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    /// Whole numbers of -128 to 127, divided by a power of two.
    pub fn matrix(&mut self, dims: &[usize], divisor: f32) -> Result<Tensor> {
        self.tensor(dims, |byte| (f32::from(byte) - 128.0) / divisor)
    }

    /// Near one, in steps of 1/64.
    pub fn norm(&mut self, dims: &[usize]) -> Result<Tensor> {
        self.tensor(dims, |byte| 1.0 + (f32::from(byte / 16) - 8.0) / 64.0)
    }

    /// Below `n`, small ones more often: there is something to learn in ten steps.
    pub fn token(&mut self, n: usize) -> u32 {
        let product = usize::from(self.byte()) * usize::from(self.byte());
        ((product * n) >> 16) as u32
    }

    fn tensor(&mut self, dims: &[usize], number: impl Fn(u8) -> f32) -> Result<Tensor> {
        let n = dims.iter().product();
        let numbers: Vec<f32> = (0..n).map(|_| number(self.byte())).collect();
        Tensor::from_vec(numbers, dims, &Device::Cpu)
    }
}

//! The settings and corrections of one step, as kernels use them.

use super::AdamW;
use pulp::Simd;

/// Factors as float32, or in every lane of a register. The order is that of `Factors` in `adamw.metal`.
pub(super) struct Factors<T = f32> {
    pub(super) gradient: T,
    pub(super) beta1: T,
    pub(super) beta2: T,
    pub(super) one_minus_beta1: T,
    pub(super) one_minus_beta2: T,
    pub(super) decay: T,
    pub(super) rate: T,
    pub(super) second_correction: T,
    pub(super) eps: T,
}

impl Factors {
    pub(super) fn new(settings: &AdamW, step: usize) -> Self {
        let AdamW {
            beta1, beta2, lr, ..
        } = *settings;
        let correction = |beta: f64| 1.0 / settings.correction(beta, step);
        Self {
            gradient: settings.gradient_scale as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            decay: (1.0 - lr * settings.weight_decay) as f32,
            rate: (lr * correction(beta1)) as f32,
            second_correction: correction(beta2) as f32,
            eps: settings.eps as f32,
        }
    }

    #[inline(always)]
    pub(super) fn each<S: Simd>(&self, simd: S) -> Factors<S::f32s> {
        Factors {
            gradient: simd.splat_f32s(self.gradient),
            beta1: simd.splat_f32s(self.beta1),
            beta2: simd.splat_f32s(self.beta2),
            one_minus_beta1: simd.splat_f32s(self.one_minus_beta1),
            one_minus_beta2: simd.splat_f32s(self.one_minus_beta2),
            decay: simd.splat_f32s(self.decay),
            rate: simd.splat_f32s(self.rate),
            second_correction: simd.splat_f32s(self.second_correction),
            eps: simd.splat_f32s(self.eps),
        }
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    pub(super) fn in_order(&self) -> [f32; 9] {
        [
            self.gradient,
            self.beta1,
            self.beta2,
            self.one_minus_beta1,
            self.one_minus_beta2,
            self.decay,
            self.rate,
            self.second_correction,
            self.eps,
        ]
    }
}

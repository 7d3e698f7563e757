//! Noise in embeddings while training (NEFTune: Jain et al. 2023, <https://arxiv.org/abs/2310.05914>).

use super::Result;
use crate::layout::{Layout, Span};
use crate::lora::Mode;
use crate::random::name_stream;
use candle_core::Tensor;
use metal_candle_kernels::{mix_seed, tape, uniform};

/// `embedded`, `(B, T, D)`, with the noise of `mode`: every element is uniform within `alpha / sqrt(L D)`, where `L` is the
/// number of tokens of its own sequence, as transformers has it where no row is padded. The noise of a token is a function of
/// seed, sequence and position: padded and packed rows have the same.
pub(super) fn noisy(embedded: Tensor, layout: &Layout, mode: Mode) -> Result<Tensor> {
    let Some((alpha, seed)) = mode.neftune() else {
        return Ok(embedded);
    };
    let (_, _, width) = embedded.dims3()?;
    let seed = mix_seed(seed, name_stream("neftune"));
    let mut noise = vec![0f32; embedded.elem_count()];
    for (place, span) in layout.spans() {
        let part = &mut noise[place * width..(place + span.len) * width];
        fill(part, width, span, (alpha, seed));
    }
    let noise = Tensor::from_vec(noise, embedded.shape(), embedded.device())?;
    let noise = noise.to_dtype(embedded.dtype())?;
    Ok(tape::add(&embedded, &noise)?)
}

fn fill(noise: &mut [f32], width: usize, span: Span, (alpha, seed): (f64, u64)) {
    // The last token of a sequence is a target alone.
    let bound = alpha / (((span.end() + 1) * width) as f64).sqrt();
    let seed = mix_seed(seed, span.sequence as u64);
    let first = (span.start * width) as u64;
    for (element, x) in (first..).zip(noise) {
        *x = ((2.0 * uniform(seed, element) - 1.0) * bound) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::noisy;
    use crate::layout::{Arrangement, Layout};
    use crate::lora::Mode;
    use candle_core::{DType, Device, Tensor};

    const WIDTH: usize = 64;

    fn noise(arrangement: Arrangement, mode: Mode) -> Vec<Vec<f32>> {
        let layout = Layout::new(arrangement, &[49, 24]);
        let (rows, tokens) = layout.dims();
        let zeros = Tensor::zeros((rows, tokens, WIDTH), DType::F32, &Device::Cpu).unwrap();
        let noise = noisy(zeros, &layout, mode).unwrap();
        noise.flatten_to(1).unwrap().to_vec2().unwrap()
    }

    fn mode(seed: u64) -> Mode {
        Mode::training(seed).with_neftune(5.0)
    }

    /// `(x, limit)` of transformers' `uniform_(-limit, limit)`: `alpha / sqrt(L * D)`.
    #[test]
    fn noise_is_uniform_within_the_limit_of_its_sequence() {
        let rows = noise(Arrangement::Padded, mode(1));
        let (first, second) = (rows[..49].concat(), rows[49..73].concat());
        for (values, n_tokens) in [(first, 50.0), (second, 25.0)] {
            let limit = 5.0 / f64::sqrt(n_tokens * 64.0);
            let values = values.into_iter().map(|x| f64::from(x) / limit);
            let values = Vec::from_iter(values);
            assert!(values.iter().all(|x| x.abs() < 1.0));
            assert!(values.iter().any(|x| *x > 0.99) && values.iter().any(|x| *x < -0.99));
            let mean =
                |f: fn(f64) -> f64| values.iter().map(|x| f(*x)).sum::<f64>() / values.len() as f64;
            assert!(mean(|x| x).abs() < 0.05 && (mean(|x| x * x) - 1.0 / 3.0).abs() < 0.03);
        }
        assert!(rows[73..].concat().iter().all(|x| *x == 0.0), "of padding");
    }

    #[test]
    fn noise_is_that_of_its_seed_however_rows_lie() {
        let padded = noise(Arrangement::Padded, mode(1));
        let packed = noise(Arrangement::Packed, mode(1));
        assert_eq!(packed[..49], padded[..49]);
        assert_eq!(packed[49..], padded[49..73]);
        assert_eq!(padded, noise(Arrangement::Padded, mode(1)));
        assert_ne!(padded, noise(Arrangement::Padded, mode(2)));
        assert_ne!(padded[0], padded[1]);
        assert_ne!(padded[0], padded[49]);
    }

    #[test]
    fn there_is_none_without_it_and_outside_of_training() {
        for mode in [Mode::INFERENCE.with_neftune(5.0), Mode::training(1)] {
            let noise = noise(Arrangement::Packed, mode).concat();
            assert!(noise.iter().all(|x| *x == 0.0));
        }
    }
}

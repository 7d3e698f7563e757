use super::super::Result;
use super::adam::Adam;
use super::blockwise::{BLOCK, SIGNED, UNSIGNED};
use super::lend::{codes, numbers, read};
use super::rule::{Now, Slot, Steps, Update};
use candle_core::Var;
use metal_candle_kernels::threads::for_each_task;
use serde::Serialize;

/// Parameters of fewer elements keep their moments in float32, as in bitsandbytes.
const SMALLEST: usize = 4096;

/// Blocks that a thread takes at a time.
const BLOCKS_PER_TASK: usize = 16;

/// Numbers that an element-wise operation works on in the time of one element of a step, about: two searches are in it.
const MOVED: usize = 16;

/// AdamW that keeps both moments of a parameter in eight bits (bitsandbytes' `AdamW8bit`): two bytes a value and two
/// scales for each 256 of them, in place of eight bytes a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Adam8bit(pub Adam);

impl Steps for Adam8bit {
    fn name(&self) -> &'static str {
        "adamw_8bit"
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn slots(&self, dims: &[usize]) -> Vec<Slot> {
        let n: usize = dims.iter().product();
        if n < SMALLEST {
            return self.0.slots(dims);
        }
        let scales = [n.div_ceil(BLOCK)];
        vec![
            Slot::codes("first", &[n]),
            Slot::squares("first_absmax", &scales),
            Slot::codes("second", &[n]),
            Slot::squares("second_absmax", &scales),
        ]
    }

    fn step(&self, now: &Now, updates: &[Update<'_>]) -> Result<()> {
        let is_small = |update: &&Update<'_>| update.state.len() == 2;
        let (small, large): (Vec<_>, Vec<_>) = updates.iter().partition(is_small);
        let small: Vec<Update<'_>> = small.into_iter().copied().collect();
        self.0.step(now, &small)?;
        large
            .into_iter()
            .try_for_each(|update| match update.parameter.device().is_cpu() {
                true => self.step_in_memory(now, update),
                false => self.step_of_tensors(now, update),
            })
    }
}

impl Adam8bit {
    /// Step with moments that are float32 tensors for as long as it takes, on any device.
    fn step_of_tensors(&self, now: &Now, update: &Update<'_>) -> Result<()> {
        let [first, first_scales, second, second_scales] = update.state else {
            return self.0.step(now, &[*update]);
        };
        let dims = update.parameter.dims();
        let moments = [
            Var::from_tensor(&SIGNED.numbers(first, first_scales)?.reshape(dims)?)?,
            Var::from_tensor(&UNSIGNED.numbers(second, second_scales)?.reshape(dims)?)?,
        ];
        let state = &moments;
        self.0.step(now, &[Update { state, ..*update }])?;
        let [m, v] = moments.map(|moment| moment.as_detached_tensor().flatten_all());
        let ((m, m_scales), (v, v_scales)) = (SIGNED.codes(&m?)?, UNSIGNED.codes(&v?)?);
        first.set(&m)?;
        first_scales.set(&m_scales)?;
        second.set(&v)?;
        Ok(second_scales.set(&v_scales)?)
    }

    /// Step block by block in the memory of the tensors.
    fn step_in_memory(&self, now: &Now, update: &Update<'_>) -> Result<()> {
        let [first, first_scales, second, second_scales] = update.state else {
            return self.0.step(now, &[*update]);
        };
        let factors = Factors::new(&self.0, now);
        numbers(update.parameter, |parameter| {
            codes(first, |first| {
                numbers(first_scales, |first_scales| {
                    codes(second, |second| {
                        numbers(second_scales, |second_scales| {
                            read(update.gradient, |gradient| {
                                let state = (first, first_scales, second, second_scales);
                                factors.step(parameter, state, gradient);
                                Ok(())
                            })
                        })
                    })
                })
            })
        })?;
        Ok(())
    }
}

/// Codes and scales of the first moment, and of the second.
type State<'a> = (&'a mut [u8], &'a mut [f32], &'a mut [u8], &'a mut [f32]);

/// Factors of one step.
struct Factors {
    gradient: f32,
    betas: [f32; 2],
    /// What the moments take of a gradient, and of its square.
    shares: [f32; 2],
    decay: f32,
    rate: f32,
    /// Divisor of the root of the second moment.
    correction: f32,
    eps: f32,
}

impl Factors {
    fn new(adam: &Adam, now: &Now) -> Self {
        let (beta1, beta2) = adam.betas;
        let correction = |beta: f64| match adam.bias_correction {
            true => 1.0 - beta.powf(now.step as f64),
            false => 1.0,
        };
        Self {
            gradient: now.gradient_scale as f32,
            betas: [beta1 as f32, beta2 as f32],
            shares: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            decay: (1.0 - now.learning_rate * adam.weight_decay * now.decay) as f32,
            rate: (now.learning_rate / correction(beta1)) as f32,
            correction: correction(beta2).sqrt() as f32,
            eps: adam.eps as f32,
        }
    }

    /// Updates a parameter and its state, the blocks shared among threads.
    fn step(&self, parameter: &mut [f32], state: State<'_>, gradient: &[f32]) {
        let (first, first_scales, second, second_scales) = state;
        let n = parameter.len();
        let (numbers, blocks) = (BLOCK * BLOCKS_PER_TASK, BLOCKS_PER_TASK);
        let first = first
            .chunks_mut(numbers)
            .zip(first_scales.chunks_mut(blocks));
        let second = second
            .chunks_mut(numbers)
            .zip(second_scales.chunks_mut(blocks));
        let parts = parameter.chunks_mut(numbers).zip(gradient.chunks(numbers));
        let tasks = parts.zip(first.zip(second)).collect();
        for_each_task(
            tasks,
            n * MOVED,
            |_: &mut (), ((parameter, gradient), state)| {
                let ((first, first_scales), (second, second_scales)) = state;
                let first = first.chunks_mut(BLOCK).zip(first_scales);
                let second = second.chunks_mut(BLOCK).zip(second_scales);
                let parts = parameter.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK));
                for ((parameter, gradient), ((m, m_scale), (v, v_scale))) in
                    parts.zip(first.zip(second))
                {
                    self.step_of_block(parameter, (m, m_scale, v, v_scale), gradient);
                }
            },
        );
    }

    /// Updates one block.
    fn step_of_block(
        &self,
        parameter: &mut [f32],
        (first, first_scale, second, second_scale): (&mut [u8], &mut f32, &mut [u8], &mut f32),
        gradient: &[f32],
    ) {
        let (mut m, mut v) = ([0f32; BLOCK], [0f32; BLOCK]);
        for (i, p) in parameter.iter_mut().enumerate() {
            let g = gradient[i] * self.gradient;
            let (m_was, v_was) = (SIGNED.value(first[i]), UNSIGNED.value(second[i]));
            m[i] = m_was * *first_scale * self.betas[0] + g * self.shares[0];
            v[i] = v_was * *second_scale * self.betas[1] + g * g * self.shares[1];
            let root = v[i].sqrt() / self.correction + self.eps;
            *p = *p * self.decay - self.rate * m[i] / root;
        }
        let n = parameter.len();
        *first_scale = SIGNED.quantise(&m[..n], first);
        *second_scale = UNSIGNED.quantise(&v[..n], second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor};

    fn values(n: usize, phase: f32) -> Vec<f32> {
        (1..=n).map(|i| (i as f32 * phase).sin()).collect()
    }

    fn tensor(n: usize, phase: f32) -> Tensor {
        Tensor::new(values(n, phase), &Device::Cpu).unwrap()
    }

    /// What a parameter of `n` elements and its state come to in some steps.
    fn after(n: usize, step: fn(&Adam8bit, &Now, &Update<'_>) -> Result<()>) -> Vec<Tensor> {
        let rule = Adam8bit::default();
        let parameter = Var::from_tensor(&tensor(n, 0.7)).unwrap();
        let slots = rule.slots(&[n]).into_iter();
        let zeros = |slot: Slot| Var::zeros(slot.dims, slot.dtype, &Device::Cpu).unwrap();
        let state: Vec<Var> = slots.map(zeros).collect();
        for number in 1..=4 {
            let now = Now {
                step: number,
                learning_rate: 0.01,
                decay: 1.0,
                gradient_scale: 0.5,
            };
            let gradient = tensor(n, 0.3 + number as f32);
            let update = Update {
                parameter: &parameter,
                gradient: &gradient,
                state: &state,
            };
            step(&rule, &now, &update).unwrap();
        }
        let all = std::iter::once(&parameter).chain(&state);
        all.map(|var| var.as_detached_tensor()).collect()
    }

    #[test]
    fn tensors_and_memory_come_to_the_same() {
        let n = 5000;
        let memory = after(n, Adam8bit::step_in_memory);
        let tensors = after(n, Adam8bit::step_of_tensors);
        assert_eq!(memory.len(), 5);
        for (a, b) in memory.iter().zip(&tensors) {
            let numbers = |t: &Tensor| t.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
            let off = numbers(a)
                .into_iter()
                .zip(numbers(b))
                .map(|(a, b)| (a - b).abs());
            let off: Vec<f32> = off.collect();
            let most = off.iter().copied().fold(0f32, f32::max);
            match a.dtype() {
                // What lies between two codes goes either way.
                DType::U8 => assert!(most <= 1.0 && off.iter().sum::<f32>() < 3.0, "{off:?}"),
                _ => assert!(most < 1e-4, "{most}"),
            }
        }
        assert!(memory[1].max_all().unwrap().to_scalar::<u8>().unwrap() > 200);
    }

    #[test]
    fn two_bytes_a_value_and_two_scales_a_block() {
        let bytes = |n: usize| {
            let slots = Adam8bit::default().slots(&[n]).into_iter();
            let of = |slot: Slot| slot.dims[0] * slot.dtype.size_in_bytes();
            slots.map(of).sum::<usize>()
        };
        assert_eq!(bytes(4095), 4095 * 8);
        assert_eq!(bytes(4096), 4096 * 2 + 16 * 8);
        assert_eq!(bytes(4097), 4097 * 2 + 17 * 8);
    }
}

//! The formula over f64, and what steps are checked on.

use super::{AdamW, Moments, Update, cases, reference, step};
use crate::testkit::{Array, Failure, Input, tolerance};
use candle_core::{DType, Device, Tensor, Var};

const STEPS: usize = 10;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let plain = AdamW::default();
    let scaled = AdamW {
        lr: 0.05,
        beta1: 0.7,
        beta2: 0.9,
        eps: 1e-3,
        weight_decay: 0.3,
        gradient_scale: 0.25,
        bias_correction: true,
    };
    let uncorrected = AdamW {
        bias_correction: false,
        ..plain
    };
    for case in cases::small() {
        for settings in [plain, scaled, uncorrected] {
            for (name, step) in [("adamw", step as Step), ("reference", reference_step)] {
                let steps = ten_steps(&case.shape.dims, &settings, step, device);
                steps.map_err(|failure| failure.of(format!("{name}, {case}, {settings:?}")))?;
            }
        }
    }
    Ok(())
}

type Step = fn(&AdamW, usize, &mut [Update<'_>]) -> crate::Result<()>;

fn reference_step(settings: &AdamW, t: usize, updates: &mut [Update<'_>]) -> crate::Result<()> {
    let mut updates = updates.iter_mut();
    updates.try_for_each(|update| reference::update(settings, t, update))
}

/// Ten steps of a parameter, and of a shorter one in the same call.
fn ten_steps(dims: &[usize], settings: &AdamW, step: Step, device: &Device) -> Result<(), Failure> {
    let mut courses = [Course::begin(dims, device)?, Course::begin(&[3], device)?];
    for t in 1..=STEPS {
        let gradients = courses
            .iter_mut()
            .map(|course| course.gradient(settings, t, device));
        let gradients = gradients.collect::<Result<Vec<_>, _>>()?;
        let updates = courses.iter_mut().zip(&gradients);
        let mut updates: Vec<Update<'_>> = updates
            .map(|(course, gradient)| course.update(gradient))
            .collect();
        step(settings, t, &mut updates)?;
        for Course {
            parameter,
            moments,
            truth,
        } in &courses
        {
            truth.compare(t, parameter, moments)?;
        }
    }
    Ok(())
}

/// A parameter on its way, and where it should be.
struct Course {
    parameter: Var,
    moments: Moments,
    truth: Truth,
}

impl Course {
    fn begin(dims: &[usize], device: &Device) -> Result<Self, Failure> {
        let start = Input::new("parameter", dims).rounded(DType::F32)?;
        let parameter = Var::from_tensor(&start.to_tensor(DType::F32)?.to_device(device)?)?;
        Ok(Self {
            moments: Moments::zeros_like(&parameter)?,
            truth: Truth::new(start),
            parameter,
        })
    }

    /// The gradient of step `t`, which the truth has taken.
    fn gradient(&mut self, settings: &AdamW, t: usize, device: &Device) -> Result<Tensor, Failure> {
        let gradient = gradient(&self.truth.parameter.dims, t)?;
        self.truth.step(settings, t, &gradient);
        let gradient = gradient.to_tensor(DType::F32)?.to_device(device)?;
        Ok(if t.is_multiple_of(2) {
            inside(&gradient)?
        } else {
            gradient
        })
    }

    fn update<'a>(&'a mut self, gradient: &'a Tensor) -> Update<'a> {
        Update {
            parameter: &self.parameter,
            gradient,
            moments: &mut self.moments,
        }
    }
}

/// A tensor as a part of a longer one, behind its first number.
fn inside(t: &Tensor) -> candle_core::Result<Tensor> {
    let flat = t.flatten_all()?;
    let longer = Tensor::cat(&[&flat.narrow(0, 0, 1)?, &flat], 0)?;
    longer.narrow(0, 1, t.elem_count())?.reshape(t.shape())
}

/// Another one in every step, of another size in every element.
fn gradient(dims: &[usize], t: usize) -> Result<Array, Failure> {
    let mut element = 0;
    let gradient = Input::new("gradient", dims).map(|g| {
        element += 1;
        g * ((element * t) as f64).sin() * 10f64.powf((element % 5) as f64 - 3.0)
    });
    gradient.rounded(DType::F32)
}

/// The formula, element by element.
struct Truth {
    parameter: Array,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Truth {
    fn new(parameter: Array) -> Self {
        let zeros = vec![0.0; parameter.data.len()];
        Self {
            parameter,
            first: zeros.clone(),
            second: zeros,
        }
    }

    fn step(&mut self, settings: &AdamW, t: usize, gradient: &Array) {
        let AdamW { beta1, beta2, .. } = *settings;
        for (i, g) in gradient.data.iter().enumerate() {
            let g = settings.gradient_scale * g;
            self.first[i] = beta1 * self.first[i] + (1.0 - beta1) * g;
            self.second[i] = beta2 * self.second[i] + (1.0 - beta2) * g * g;
            let correction = |beta: f64| match settings.bias_correction {
                true => 1.0 - beta.powi(t as i32),
                false => 1.0,
            };
            let m = self.first[i] / correction(beta1);
            let v = self.second[i] / correction(beta2);
            let p = &mut self.parameter.data[i];
            *p -= settings.lr * settings.weight_decay * *p;
            *p -= settings.lr * m / (v.sqrt() + settings.eps);
        }
    }

    fn compare(&self, t: usize, parameter: &Var, moments: &Moments) -> Result<(), Failure> {
        let compare = |what: &str, got, want: &[f64]| {
            let what = format!("{what} after step {t}");
            let dims = self.parameter.dims.clone();
            let data = want.to_vec();
            let got = Array::from_tensor(got)?;
            tolerance(DType::F32).compare(&what, &got, &Array { dims, data })
        };
        compare("parameter", parameter, &self.parameter.data)?;
        compare("first moment", &moments.first, &self.first)?;
        compare("second moment", &moments.second, &self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_gradient_of_another_shape_changes_nothing() {
        let parameter = Var::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
        let mut moments = Moments::zeros_like(&parameter).unwrap();
        let gradient = Tensor::ones((3, 2), DType::F32, &Device::Cpu).unwrap();
        let update = Update {
            parameter: &parameter,
            gradient: &gradient,
            moments: &mut moments,
        };
        let error = step(&AdamW::default(), 1, &mut [update]).unwrap_err();
        let expected = "adamw: gradient must have shape [2, 3], got [3, 2]";
        assert_eq!(error.to_string(), expected);
        assert_eq!(parameter.to_vec2::<f32>().unwrap(), [[1.0; 3]; 2]);
    }

    #[test]
    fn memory_that_is_written_and_shared_is_refused() {
        let ones = || Var::ones(3, DType::F32, &Device::Cpu).unwrap();
        let (parameter, own, other) = (ones(), ones(), ones());
        for (gradient, first, second) in [
            (&parameter, &own, &other),
            (&own, &own, &other),
            (&other, &parameter, &own),
            (&other, &own, &parameter),
            (&other, &own, &own),
        ] {
            let mut moments = Moments {
                first: first.clone(),
                second: second.clone(),
            };
            let update = Update {
                parameter: &parameter,
                gradient,
                moments: &mut moments,
            };
            assert!(step(&AdamW::default(), 1, &mut [update]).is_err());
            for unchanged in [&parameter, &own, &other] {
                assert_eq!(unchanged.to_vec1::<f32>().unwrap(), [1.0; 3]);
            }
        }
    }

    #[test]
    fn one_parameter_twice_is_refused() {
        let parameter = Var::ones(3, DType::F32, &Device::Cpu).unwrap();
        let gradient = parameter.zeros_like().unwrap();
        let mut moments = [0; 2].map(|_| Moments::zeros_like(&parameter).unwrap());
        let mut updates = moments.each_mut().map(|moments| Update {
            parameter: &parameter,
            gradient: &gradient,
            moments,
        });
        let error = step(&AdamW::default(), 1, &mut updates).unwrap_err();
        assert!(error.to_string().contains("parameter"), "{error}");
    }

    /// More than one pass takes, of every size around a task's.
    #[test]
    fn many_parameters_are_updated_as_one_by_one() {
        let sizes = (0..150).map(|i| 3 + i * 211);
        let tensor = |n: usize, phase: f64| {
            let numbers: Vec<f32> = (0..n).map(|i| (i as f64 + phase).sin() as f32).collect();
            Tensor::new(numbers, &Device::Cpu).unwrap()
        };
        let run = |together: bool| {
            let gradients: Vec<Tensor> = sizes.clone().map(|n| tensor(n, 0.5)).collect();
            let parameters = sizes
                .clone()
                .map(|n| Var::from_tensor(&tensor(n, 0.0)).unwrap());
            let parameters: Vec<Var> = parameters.collect();
            let zeros = parameters.iter().map(|p| Moments::zeros_like(p).unwrap());
            let mut moments: Vec<Moments> = zeros.collect();
            let updates = parameters.iter().zip(&gradients).zip(&mut moments);
            let updates = updates.map(|((parameter, gradient), moments)| Update {
                parameter,
                gradient,
                moments,
            });
            let mut updates: Vec<Update<'_>> = updates.collect();
            let size = if together { updates.len() } else { 1 };
            for updates in updates.chunks_mut(size) {
                step(&AdamW::default(), 1, updates).unwrap();
            }
            let numbers = parameters.iter().map(|p| p.to_vec1::<f32>().unwrap());
            numbers.collect::<Vec<_>>()
        };
        assert_eq!(run(true), run(false));
    }
}

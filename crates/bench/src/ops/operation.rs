//! One operation on one set of sizes: what is run, how it is checked, and how long it takes.

use crate::clock::{Clock, Once};
use crate::record::Pass;
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use metal_candle_cli::device::peak_bytes;
use metal_candle_cli::error::{Error, Result};
use metal_candle_kernels::case::Cost;
use metal_candle_kernels::tape::Tape;
use metal_candle_kernels::testkit::{Array, tolerance};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// An implementation: inputs in, results out. Only the first result has gradients.
pub type Implementation = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>>;

/// An operation on one set of sizes.
pub struct Operation {
    /// Its name.
    pub op: &'static str,
    /// Its sizes, as tables show them.
    pub case: String,
    /// Where the sizes come from.
    pub source: String,
    /// Dtype of all inputs.
    pub dtype: DType,
    /// Its sizes, as other processes are told.
    pub sizes: Value,
    /// Cost of the result.
    pub forward: Cost,
    /// Cost of the gradients; nothing where there are none.
    pub backward: Cost,
    /// Its inputs.
    pub inputs: Vec<InputSpec>,
    /// The kernel.
    pub run: Implementation,
    /// The definition, for inputs in float64; the kernel's own where it takes them, because float64
    /// is computed by the reference.
    pub truth: Option<Implementation>,
    /// What candle offers.
    pub candle: Implementation,
    /// Implementations by each engine that this program could choose on the device, by name.
    pub engines: Vec<(&'static str, Implementation)>,
}

/// Results and gradients, named.
pub type Outcome = Vec<(String, Tensor)>;

/// One input.
pub struct InputSpec {
    /// Its name.
    pub name: &'static str,
    /// Its shape.
    pub dims: Vec<usize>,
    /// Numbers are in `[-size, size)`.
    pub size: f32,
    /// Whether a gradient is asked for.
    pub has_gradient: bool,
}

/// Inputs in memory.
pub struct InputTensors {
    /// Without gradients.
    plain: Vec<Tensor>,
    /// Tensors of the same numbers; those that have a gradient are variables.
    tracked: Vec<Tensor>,
    /// Gradient of the result, where there are gradients.
    upstream: Option<Tensor>,
}

impl Operation {
    /// What can be timed.
    pub fn passes(&self) -> &'static [Pass] {
        match self.backward == Cost::default() {
            true => &[Pass::Forward],
            false => &[Pass::Forward, Pass::Backward, Pass::Both],
        }
    }

    /// Cost of a pass.
    pub fn cost(&self, pass: Pass) -> Cost {
        match pass {
            Pass::Forward => self.forward,
            Pass::Backward => self.backward,
            _ => Cost {
                flops: self.forward.flops + self.backward.flops,
                bytes: self.forward.bytes + self.backward.bytes,
            },
        }
    }

    /// Dtype as tables have it.
    pub fn dtype_name(&self) -> &'static str {
        self.dtype.as_str()
    }

    /// What a filter looks at.
    pub fn line(&self) -> String {
        let (op, case, source) = (self.op, &self.case, &self.source);
        format!("{op} {case} {} {source}", self.dtype_name())
    }

    /// Random inputs on `device`, the same in every run of the program.
    pub fn tensors(&self, device: &Device) -> Result<InputTensors> {
        let inputs = self.inputs.iter();
        let plain: Vec<Tensor> = inputs
            .map(|spec| spec.tensor(self.dtype, device))
            .collect::<Result<_>>()?;
        let track = |(spec, t): (&InputSpec, &Tensor)| match spec.has_gradient {
            true => Ok(Var::from_tensor(t)?.into_inner()),
            false => Ok(t.clone()),
        };
        let tracked = self.inputs.iter().zip(&plain).map(track);
        Ok(InputTensors {
            tracked: tracked.collect::<Result<_>>()?,
            upstream: self.upstream(&plain)?,
            plain,
        })
    }

    fn upstream(&self, inputs: &[Tensor]) -> Result<Option<Tensor>> {
        if self.passes().len() == 1 {
            return Ok(None);
        }
        let result = first((self.run)(inputs)?)?;
        let numbers = uniform("upstream", result.elem_count(), 1.0);
        let upstream = Tensor::from_vec(numbers, result.shape(), &Device::Cpu)?;
        let upstream = upstream.to_dtype(result.dtype())?;
        Ok(Some(upstream.to_device(result.device())?))
    }

    /// What the definition gives in float64, on the CPU.
    pub fn true_outcome(&self, inputs: &InputTensors) -> Result<Outcome> {
        self.outcome(self.truth.as_ref().unwrap_or(&self.run), &inputs.in_f64()?)
    }

    /// Compares results and gradients of `run` with the true ones. Gives the most memory that was
    /// held beyond the inputs, results and gradients included, where the device tells.
    ///
    /// # Errors
    /// When they differ by more than the dtype's tolerance: such a kernel is not worth timing.
    pub fn check(
        &self,
        run: &Implementation,
        inputs: &InputTensors,
        want: &Outcome,
    ) -> Result<Option<u64>> {
        let (got, peak) = peak_bytes(inputs.device(), || self.outcome(run, inputs))?;
        for ((what, got), (_, want)) in got.iter().zip(want) {
            self.compare(what, got, want)?;
        }
        Ok(peak)
    }

    fn compare(&self, what: &str, got: &Tensor, want: &Tensor) -> Result<()> {
        let wrong = |failure| {
            Error::failed(format!(
                "{} is wrong and is not timed: {failure}",
                self.line()
            ))
        };
        let got_array = Array::from_tensor(got).map_err(wrong)?;
        let want = Array::from_tensor(want).map_err(wrong)?;
        let tolerance = tolerance(got.dtype()).of_long_sums();
        tolerance.compare(what, &got_array, &want).map_err(wrong)
    }

    fn outcome(&self, run: &Implementation, inputs: &InputTensors) -> Result<Outcome> {
        let (results, tape) = Tape::record(|| run(&inputs.tracked))?;
        let mut named: Vec<_> = results
            .iter()
            .map(|y| ("result".into(), y.clone()))
            .collect();
        if let Some(upstream) = &inputs.upstream {
            let grads = backward(&results[0], &tape, upstream)?;
            for (spec, x) in self.inputs.iter().zip(&inputs.tracked) {
                if spec.has_gradient {
                    let what = format!("gradient of {}", spec.name);
                    let missing = || Error::failed(format!("{}: no {what}", self.line()));
                    named.push((what.clone(), grads.get(x).ok_or_else(missing)?.clone()));
                }
            }
        }
        Ok(named)
    }
}

/// A contender of [`crate::clock::alternate`].
pub fn once<'a>(
    run: &'a Implementation,
    pass: Pass,
    inputs: &'a InputTensors,
    clock: &'a Clock,
) -> Once<'a> {
    let result = || Tape::record(|| first(run(&inputs.tracked)?));
    let upstream = inputs.upstream.as_ref();
    match (pass, upstream) {
        (Pass::Backward, Some(upstream)) => Box::new(move || {
            let (y, tape) = result()?;
            clock.timed(|| backward(&y, &tape, upstream))
        }),
        (Pass::Both, Some(upstream)) => Box::new(move || {
            clock.timed(|| {
                let (y, tape) = result()?;
                backward(&y, &tape, upstream)
            })
        }),
        _ => Box::new(|| clock.timed(|| run(&inputs.plain))),
    }
}

/// Gradients as the trainer computes them; those of candle's operations, which are on no tape, by candle's own
/// backward.
fn backward(y: &Tensor, tape: &Tape, upstream: &Tensor) -> Result<GradStore> {
    Ok(tape.backward(y, &upstream.to_dtype(y.dtype())?)?)
}

fn first(results: Vec<Tensor>) -> Result<Tensor> {
    let mut results = results.into_iter();
    results
        .next()
        .ok_or_else(|| Error::failed("an operation without a result"))
}

impl InputTensors {
    fn device(&self) -> &Device {
        self.plain.first().map_or(&Device::Cpu, Tensor::device)
    }

    /// No GPU of Apple's has float64.
    fn in_f64(&self) -> Result<Self> {
        let wide = |t: &Tensor| t.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64);
        let plain: Vec<Tensor> = self
            .plain
            .iter()
            .map(wide)
            .collect::<candle_core::Result<_>>()?;
        let track = |(t, wide): (&Tensor, &Tensor)| match t.is_variable() {
            true => Ok(Var::from_tensor(wide)?.into_inner()),
            false => Ok(wide.clone()),
        };
        let tracked = self.tracked.iter().zip(&plain).map(track);
        Ok(Self {
            tracked: tracked.collect::<Result<_>>()?,
            upstream: self.upstream.as_ref().map(wide).transpose()?,
            plain,
        })
    }
}

impl InputSpec {
    /// An input with a gradient, of numbers in `[-1, 1)`.
    pub fn new(name: &'static str, dims: &[usize]) -> Self {
        Self {
            name,
            dims: dims.to_vec(),
            size: 1.0,
            has_gradient: true,
        }
    }

    /// Without a gradient.
    pub fn frozen(mut self) -> Self {
        self.has_gradient = false;
        self
    }

    /// An input of numbers in `[-size, size)`.
    pub fn of_size(mut self, size: f32) -> Self {
        self.size = size;
        self
    }

    fn tensor(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let n = self.dims.iter().product();
        let numbers = uniform(self.name, n, self.size);
        let t = Tensor::from_vec(numbers, &self.dims[..], &Device::Cpu)?;
        Ok(t.to_dtype(dtype)?.to_device(device)?)
    }
}

fn uniform(name: &str, n: usize, size: f32) -> Vec<f32> {
    let seed = name
        .bytes()
        .fold(0, |seed, byte| 31 * seed + u64::from(byte));
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    (0..n)
        .map(|_| (2.0 * generator.random::<f32>() - 1.0) * size)
        .collect()
}

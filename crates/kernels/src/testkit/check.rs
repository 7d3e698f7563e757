use super::differences::{Gradient, gradients};
use super::graph::{Outcome, Setting};
use super::tolerance::coarser;
use super::{Array, Failure, Input};
use candle_core::{DType, Device, Tensor};
use std::rc::Rc;

/// One implementation: tensors in, result out.
pub type Implementation = Box<dyn Fn(&[Tensor]) -> crate::Result<Tensor> + Send + Sync>;

/// The formula, over f64.
pub type Truth = Box<dyn Fn(&[Array]) -> Array + Send + Sync>;

/// One operation on one set of inputs.
pub struct Problem {
    pub(super) inputs: Vec<Input>,
    pub(super) truth: Truth,
    implementations: Vec<(&'static str, Implementation)>,
    result_dtype: Option<DType>,
}

impl Problem {
    /// An operation without an implementation yet.
    pub fn new(
        inputs: Vec<Input>,
        truth: impl Fn(&[Array]) -> Array + Send + Sync + 'static,
    ) -> Self {
        Self {
            inputs,
            truth: Box::new(truth),
            implementations: vec![],
            result_dtype: None,
        }
    }

    /// Adds an implementation.
    #[must_use]
    pub fn run(
        mut self,
        name: &'static str,
        run: impl Fn(&[Tensor]) -> crate::Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        self.implementations.push((name, Box::new(run)));
        self
    }

    /// With a result that has always this dtype, instead of that of the first input.
    #[must_use]
    pub fn giving(mut self, dtype: DType) -> Self {
        self.result_dtype = Some(dtype);
        self
    }

    /// The inputs of a run on `device`, none of them tracked: for benchmarks.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn tensors(&self, dtype: DType, device: &Device) -> Result<Vec<Tensor>, Failure> {
        let place = |input: &Input| {
            let placed = input.place(&input.values, input.dtype_or(dtype), device, false)?;
            Ok(placed.tensor)
        };
        self.inputs.iter().map(place).collect()
    }

    /// The numbers of all inputs, as their dtypes hold them.
    pub(super) fn values(&self, dtype: DType) -> Result<Vec<Array>, Failure> {
        let rounded = |i: &Input| i.values.rounded(i.dtype_or(dtype));
        self.inputs.iter().map(rounded).collect()
    }

    /// The implementations by name, the operation itself first.
    #[must_use]
    pub fn implementations(&self) -> &[(&'static str, Implementation)] {
        &self.implementations
    }
}

/// Checks every implementation of `problem` in `dtype` on `device`.
///
/// # Errors
/// The first failure.
pub fn check(problem: &Problem, dtype: DType, device: &Device) -> Result<(), Failure> {
    let truths = Rc::new(Truths::of(problem, dtype)?);
    check_against(truths, problem, dtype, device)
}

pub(super) fn check_against(
    truths: Rc<Truths>,
    problem: &Problem,
    dtype: DType,
    device: &Device,
) -> Result<(), Failure> {
    let check = Check::new(truths, problem, dtype, device)?;
    for (name, run) in &problem.implementations {
        check.with_all_tracked(name, run)?;
        check.with_one_tracked(name, run)?;
        check.with_none_tracked(name, run)?;
    }
    Ok(())
}

/// Results of the formula, whatever the layout of the inputs and the device.
pub(super) struct Truths {
    /// Numbers of the inputs, rounded to their dtypes.
    pub(super) values: Vec<Array>,
    want: Array,
    /// The gradient of the result, rounded to its dtype.
    upstream: Array,
    result_dtype: DType,
    /// Gradient of each input that has one.
    gradients: Vec<Option<Gradient>>,
}

impl Truths {
    pub(super) fn of(problem: &Problem, dtype: DType) -> Result<Self, Failure> {
        let values = problem.values(dtype)?;
        let first = problem.inputs.first().map_or(dtype, |i| i.dtype_or(dtype));
        let result_dtype = problem.result_dtype.unwrap_or(first);
        let want = (problem.truth)(&values);
        let upstream = Input::new("upstream", &want.dims).values;
        let upstream = upstream.rounded(result_dtype)?;
        let gradients = gradients(problem, &values, &upstream);
        Ok(Self {
            values,
            want,
            upstream,
            result_dtype,
            gradients,
        })
    }
}

/// One implementation's side of a comparison with the truth.
struct Check<'a> {
    problem: &'a Problem,
    setting: Setting<'a>,
    truths: Rc<Truths>,
    dtype: DType,
}

impl<'a> Check<'a> {
    fn new(
        truths: Rc<Truths>,
        problem: &'a Problem,
        dtype: DType,
        device: &'a Device,
    ) -> Result<Self, Failure> {
        let upstream = truths.upstream.to_tensor(truths.result_dtype)?;
        let setting = Setting {
            inputs: &problem.inputs,
            values: truths.values.clone(),
            upstream: upstream.to_device(device)?,
            dtype,
            device,
        };
        Ok(Self {
            problem,
            setting,
            truths,
            dtype,
        })
    }

    fn with_all_tracked(&self, name: &str, run: &Implementation) -> Result<(), Failure> {
        let outcome = self.setting.run(run, |_| true)?;
        self.result(name, &outcome)?;
        self.no_strays(name, &outcome)?;
        (0..self.truths.gradients.len()).try_for_each(|i| self.gradient(name, i, &outcome))
    }

    fn with_one_tracked(&self, name: &str, run: &Implementation) -> Result<(), Failure> {
        for i in 0..self.truths.gradients.len() {
            if self.truths.gradients[i].is_some() {
                let name = format!("{name} with {} tracked", self.problem.inputs[i].name);
                let outcome = self.setting.run(run, |j| i == j)?;
                self.result(&name, &outcome)?;
                self.no_strays(&name, &outcome)?;
                self.gradient(&name, i, &outcome)?;
            }
        }
        Ok(())
    }

    fn with_none_tracked(&self, name: &str, run: &Implementation) -> Result<(), Failure> {
        let name = format!("{name} with nothing tracked");
        let outcome = self.setting.run(run, |_| false)?;
        self.result(&name, &outcome)?;
        self.no_strays(&name, &outcome)
    }

    fn result(&self, name: &str, outcome: &Outcome) -> Result<(), Failure> {
        let what = format!("{name}: result");
        let got = &outcome.result;
        same_shape(&what, got, &self.truths.want.dims, self.truths.result_dtype)?;
        let tolerance = coarser(self.dtype, self.truths.result_dtype);
        tolerance.compare(&what, &Array::from_tensor(got)?, &self.truths.want)
    }

    fn gradient(&self, name: &str, i: usize, outcome: &Outcome) -> Result<(), Failure> {
        let Some(want) = &self.truths.gradients[i] else {
            return Ok(());
        };
        let input = &self.problem.inputs[i];
        let what = format!("{name}: gradient of {}", input.name);
        let Some(got) = &outcome.gradients[i] else {
            return Err(Failure::Detached { what });
        };
        let dtype = input.dtype_or(self.dtype);
        same_shape(&what, got, &input.values.dims, dtype)?;
        want.compare(coarser(self.dtype, dtype), &what, &Array::from_tensor(got)?)
    }

    fn no_strays(&self, name: &str, outcome: &Outcome) -> Result<(), Failure> {
        match outcome.strays {
            0 => Ok(()),
            count => Err(Failure::Untracked {
                what: name.to_owned(),
                count,
            }),
        }
    }
}

fn same_shape(what: &str, got: &Tensor, dims: &[usize], dtype: DType) -> Result<(), Failure> {
    if got.dims() == dims && got.dtype() == dtype {
        return Ok(());
    }
    Err(Failure::Shape {
        what: what.to_owned(),
        got: got.dims().to_vec(),
        got_dtype: got.dtype(),
        want: dims.to_vec(),
        want_dtype: dtype,
    })
}

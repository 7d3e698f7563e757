//! Many cases of one operation.

use super::check::{Truths, check_against};
use super::{Failure, Problem};
use crate::case::Case;
use candle_core::{DType, Device};
use std::rc::Rc;

/// Checks the problem of every case; on Metal in software, of some of every shape.
///
/// # Errors
/// The first failure, with its case.
pub fn check_cases<S: std::fmt::Debug>(
    cases: &[Case<S>],
    problem: impl Fn(&Case<S>) -> Problem,
    device: &Device,
) -> Result<(), Failure> {
    let is_slow = cfg!(soft_metal) && device.is_metal();
    let chosen = cases.iter().step_by(if is_slow { EVERY } else { 1 });
    check_each(chosen, problem, device)
}

/// Checks the problem of every case, on every device.
///
/// # Errors
/// The first failure, with its case.
pub fn check_all_cases<S: std::fmt::Debug>(
    cases: &[Case<S>],
    problem: impl Fn(&Case<S>) -> Problem,
    device: &Device,
) -> Result<(), Failure> {
    check_each(cases, problem, device)
}

/// Checks cases of which neighbours differ in layout alone, for the most part: one truth is enough for these.
fn check_each<'a, S: std::fmt::Debug + 'a>(
    cases: impl IntoIterator<Item = &'a Case<S>>,
    problem: impl Fn(&Case<S>) -> Problem,
    device: &Device,
) -> Result<(), Failure> {
    let mut known = Known::default();
    let mut check = |case: &Case<S>| {
        let problem = problem(case);
        let truths = known.truths(&format!("{:?}", case.shape), &problem, case.dtype)?;
        check_against(truths, &problem, case.dtype, device)
    };
    cases
        .into_iter()
        .try_for_each(|case| check(case).map_err(|failure| failure.of(case)))
}

/// Truths of one shape, by dtype.
#[derive(Default)]
struct Known {
    shape: String,
    truths: Vec<(DType, Rc<Truths>)>,
}

impl Known {
    /// Truths of `problem`, computed where no problem of this shape and dtype had the same numbers.
    fn truths(
        &mut self,
        shape: &str,
        problem: &Problem,
        dtype: DType,
    ) -> Result<Rc<Truths>, Failure> {
        if self.shape != shape {
            (self.shape, self.truths) = (shape.to_owned(), vec![]);
        }
        let values = problem.values(dtype)?;
        let is_same = |(of, truths): &&(DType, Rc<Truths>)| *of == dtype && truths.values == values;
        if let Some((_, truths)) = self.truths.iter().find(is_same) {
            return Ok(truths.clone());
        }
        let truths = Rc::new(Truths::of(problem, dtype)?);
        self.truths.push((dtype, truths.clone()));
        Ok(truths)
    }
}

/// One less than the layouts and dtypes of a shape: every shape comes, each time in another.
const EVERY: usize = 8;

use candle_core::DType;

/// Failure that a check found.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A number is too far from the truth.
    #[error(
        "{what}: {got} instead of {want} at element {element}, off by {error:.2e}, allowed is {allowed:.2e}"
    )]
    Element {
        /// The result, or whose gradient.
        what: String,
        /// Index into the flattened tensor.
        element: usize,
        /// Number of the implementation.
        got: f64,
        /// Number of the truth.
        want: f64,
        /// Distance.
        error: f64,
        /// Largest accepted distance.
        allowed: f64,
    },
    /// All numbers together are too far from the truth: a factor that is off, for instance.
    #[error("{what}: relative distance {error:.2e}, allowed is {allowed:.2e}")]
    Norm {
        /// The result, or whose gradient.
        what: String,
        /// Length of the difference over that of the truth.
        error: f64,
        /// Largest accepted distance.
        allowed: f64,
    },
    /// A tensor has another shape or dtype than it should.
    #[error("{what}: shape {got:?} {got_dtype:?} instead of {want:?} {want_dtype:?}")]
    Shape {
        /// The result, or whose gradient.
        what: String,
        /// Shape of the implementation.
        got: Vec<usize>,
        /// Dtype of the implementation.
        got_dtype: DType,
        /// Shape of the truth.
        want: Vec<usize>,
        /// Dtype of the truth.
        want_dtype: DType,
    },
    /// A tracked input got no gradient.
    #[error("{what}: no gradient arrives")]
    Detached {
        /// Whose gradient.
        what: String,
    },
    /// Gradients were computed that nobody asked for.
    #[error("{what}: {count} gradients of untracked tensors were computed")]
    Untracked {
        /// The implementation and what was tracked.
        what: String,
        /// How many.
        count: usize,
    },
    /// The operation refused.
    #[error(transparent)]
    Operation(#[from] crate::Error),
    /// Which case a failure belongs to.
    #[error("{case}: {failure}")]
    Case {
        /// Name, sizes, layout and dtype.
        case: String,
        /// What failed.
        failure: Box<Failure>,
    },
}

impl Failure {
    /// This failure, with the case it belongs to.
    #[must_use]
    pub fn of(self, case: impl ToString) -> Self {
        Self::Case {
            case: case.to_string(),
            failure: Box::new(self),
        }
    }
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        Self::Operation(error.into())
    }
}

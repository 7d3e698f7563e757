use candle_core::{DType, Shape};

/// Refusal of an operation, with the values it saw.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input does not have the shape that the operation needs.
    #[error("{op}: {what} must have shape {expected}, got {got:?}")]
    Shape {
        /// Name of the operation.
        op: &'static str,
        /// Name of the input.
        what: &'static str,
        /// The shape in letters or numbers.
        expected: String,
        /// The shape of the input.
        got: Shape,
    },
    /// An input has a dtype that the operation does not compute with.
    #[error("{op}: {what} must be {expected}, got {got:?}")]
    DType {
        /// Name of the operation.
        op: &'static str,
        /// Name of the input.
        what: &'static str,
        /// The dtypes that are accepted.
        expected: &'static str,
        /// The dtype of the input.
        got: DType,
    },
    /// A number is outside the range that the operation is defined on.
    #[error("{op}: {what} must be {expected}, got {got}")]
    Value {
        /// Name of the operation.
        op: &'static str,
        /// Name of the number.
        what: &'static str,
        /// The accepted range.
        expected: String,
        /// The number that was given.
        got: String,
    },
    /// candle refused or failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn shape(
        op: &'static str,
        what: &'static str,
        expected: impl Into<String>,
        got: &candle_core::Tensor,
    ) -> Self {
        Self::Shape {
            op,
            what,
            expected: expected.into(),
            got: got.shape().clone(),
        }
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            other => candle_core::Error::wrap(other),
        }
    }
}

/// Result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

//! One point at which an operation is tested and measured.

use candle_core::DType;
use std::fmt;

/// Layout of operands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Row after row.
    Contiguous,
    /// The last two dimensions are swapped in memory.
    Transposed,
    /// A part of a larger tensor: it starts inside, and its rows are further apart than wide.
    Narrowed,
}

impl View {
    /// Every layout.
    pub const ALL: [Self; 3] = [Self::Contiguous, Self::Transposed, Self::Narrowed];
}

/// The dtypes that every operation accepts.
pub const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// The work that no implementation can avoid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a multiplication with an addition counts as two.
    pub flops: u64,
    /// Bytes read and written when every operand moves once.
    pub bytes: u64,
}

impl Cost {
    /// The cost of `flops` operations on `elements` that move once.
    #[must_use]
    pub fn new(flops: usize, elements: usize, dtype: DType) -> Self {
        Self {
            flops: flops as u64,
            bytes: (elements * dtype.size_in_bytes()) as u64,
        }
    }
}

/// The sizes and options of one operation, and what they cost.
pub trait Costed {
    /// Cost of the result.
    fn forward(&self, dtype: DType) -> Cost;
    /// Cost of the gradients of all inputs that an operation can differentiate.
    fn backward(&self, dtype: DType) -> Cost;
}

/// Sizes, layout and dtype of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Case<S> {
    /// Where the sizes come from.
    pub name: String,
    /// Sizes and options.
    pub shape: S,
    /// Layout of the float inputs.
    pub view: View,
    /// Dtype of the inputs that have none of their own.
    pub dtype: DType,
}

impl<S: Costed> Case<S> {
    /// Cost of the result.
    #[must_use]
    pub fn forward(&self) -> Cost {
        self.shape.forward(self.dtype)
    }

    /// Cost of the gradients.
    #[must_use]
    pub fn backward(&self) -> Cost {
        self.shape.backward(self.dtype)
    }
}

impl<S: fmt::Debug> fmt::Display for Case<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape, .. } = self;
        write!(f, "{name}: {shape:?}, {:?}, {:?}", self.view, self.dtype)
    }
}

/// Small shapes, each in every layout and dtype, for tests.
pub fn small<S: Clone>(shapes: impl IntoIterator<Item = S>) -> Vec<Case<S>> {
    let mut cases = vec![];
    for shape in shapes {
        for view in View::ALL {
            cases.extend(DTYPES.map(|dtype| case("small", shape.clone(), view, dtype)));
        }
    }
    cases
}

/// Contiguous shapes in every dtype, for kernels that read several elements at once where they may.
pub fn contiguous<S: Clone>(shapes: impl IntoIterator<Item = S>) -> Vec<Case<S>> {
    in_each_dtype("contiguous", View::Contiguous, shapes)
}

/// Shapes in every dtype whose last two dimensions are swapped in memory.
pub fn transposed<S: Clone>(shapes: impl IntoIterator<Item = S>) -> Vec<Case<S>> {
    in_each_dtype("transposed", View::Transposed, shapes)
}

fn in_each_dtype<S: Clone>(
    name: &str,
    view: View,
    shapes: impl IntoIterator<Item = S>,
) -> Vec<Case<S>> {
    let shapes = shapes.into_iter();
    let in_each = |shape: S| DTYPES.map(|dtype| case(name, shape.clone(), view, dtype));
    shapes.flat_map(in_each).collect()
}

/// One contiguous float32 shape, for what depends on the size alone.
pub fn plain<S>(shape: S) -> Case<S> {
    case("small", shape, View::Contiguous, DType::F32)
}

/// Contiguous float32 shapes of every model, for benchmarks.
pub fn of_models<S>(shapes: impl Fn(&Model) -> Vec<S>) -> Vec<Case<S>> {
    let mut cases = vec![];
    for model in &MODELS {
        let shapes = shapes(model).into_iter();
        cases.extend(shapes.map(|s| case(model.name, s, View::Contiguous, DType::F32)));
    }
    cases
}

/// [`Case::name`] where a case belongs to the table of benchmarks that is published.
pub const TABLE: &str = "table";

/// Contiguous shapes of the published table, each in every one of `dtypes`.
pub fn of_table<S: Clone>(shapes: impl IntoIterator<Item = S>, dtypes: &[DType]) -> Vec<Case<S>> {
    let mut cases = vec![];
    for shape in shapes {
        let in_dtype = |&dtype| case(TABLE, shape.clone(), View::Contiguous, dtype);
        cases.extend(dtypes.iter().map(in_dtype));
    }
    cases
}

fn case<S>(name: &str, shape: S, view: View, dtype: DType) -> Case<S> {
    Case {
        name: name.to_owned(),
        shape,
        view,
        dtype,
    }
}

/// The sizes of a published checkpoint: benchmarks measure what is run, not round numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Name of the checkpoint.
    pub name: &'static str,
    /// Width of the hidden state.
    pub hidden: usize,
    /// Width inside the feed-forward layer.
    pub intermediate: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Size of the vocabulary.
    pub vocabulary: usize,
}

/// Three sizes between half a billion and four billion parameters.
pub const MODELS: [Model; 3] = [
    Model {
        name: "Qwen2.5-0.5B",
        hidden: 896,
        intermediate: 4864,
        heads: 14,
        kv_heads: 2,
        head_width: 64,
        vocabulary: 151_936,
    },
    Model {
        name: "Llama-3.2-1B",
        hidden: 2048,
        intermediate: 8192,
        heads: 32,
        kv_heads: 8,
        head_width: 64,
        vocabulary: 128_256,
    },
    Model {
        name: "Qwen3-4B",
        hidden: 2560,
        intermediate: 9728,
        heads: 32,
        kv_heads: 8,
        head_width: 128,
        vocabulary: 151_936,
    },
];

/// Tokens of one training row in benchmarks.
pub const TRAINED_TOKENS: usize = 512;

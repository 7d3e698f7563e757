//! Matrices in any storage, as kernels read them: in runs of numbers.

use super::library::{MOST_TYPES, Program, Source};
use super::{DeviceTensor, Launch, Output};
use candle_core::{DType, MetalDevice, Result};

/// Numbers that a format unpacks at once, `RUN` of `matrix.metal`.
const RUN: usize = 8;

/// Numbers that are read from a dense matrix at once, where every run begins at a multiple of so many.
const AT_ONCE: usize = 4;

/// A matrix `(N, K)` on an Apple GPU, and the MSL that unpacks it.
#[derive(Debug)]
pub(crate) struct DeviceMatrix {
    format: Source,
    /// Bits of a number, or what else tells a format's libraries apart.
    number: Option<(&'static str, u32)>,
    first: DeviceTensor,
    /// Parts behind the first; none where it is read in their places.
    others: Option<[DeviceTensor; 2]>,
    layout: MatrixLayout,
}

/// `Layout` of `matrix.metal`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct MatrixLayout {
    row: u64,
    column: u64,
    rows: u32,
    columns: u32,
    options: [u32; 4],
}

/// What all formats stand on.
static MATRIX: Source = Source {
    name: "matrix",
    text: concat!(include_str!("strides.metal"), include_str!("matrix.metal")),
};
const DENSE: Source = Source {
    name: "dense",
    text: include_str!("dense.metal"),
};
static GATHER: Source = Source {
    name: "gather",
    text: include_str!("gather.metal"),
};

impl DeviceMatrix {
    /// A matrix of floats, in any layout.
    pub(crate) fn dense(matrix: DeviceTensor) -> Result<Self> {
        let [row, column] = matrix.strides()?;
        let bytes = AT_ONCE * matrix.dtype().size_in_bytes();
        let (_, offset) = matrix.place();
        let at_once = column == 1 && row.is_multiple_of(AT_ONCE) && offset.is_multiple_of(bytes);
        let dims = (matrix.dims()[0], matrix.dims()[1]);
        let this = Self::of(DENSE, matrix, None, dims)?;
        Ok(Self {
            layout: MatrixLayout {
                row: row as u64,
                column: column as u64,
                options: [at_once.into(), 0, 0, 0],
                ..this.layout
            },
            ..this
        })
    }

    /// `(N, K)` of a format, of which the text defines `unpack`, that consists of these parts; one that it
    /// does not have is the first once more.
    pub(crate) fn new(
        format: Source,
        [first, second, third]: [DeviceTensor; 3],
        dims: (usize, usize),
    ) -> Result<Self> {
        Self::of(format, first, Some([second, third]), dims)
    }

    fn of(
        format: Source,
        first: DeviceTensor,
        others: Option<[DeviceTensor; 2]>,
        (n, k): (usize, usize),
    ) -> Result<Self> {
        let size = |size: usize| u32::try_from(size).map_err(candle_core::Error::wrap);
        Ok(Self {
            format,
            number: None,
            first,
            others,
            layout: MatrixLayout {
                row: 0,
                column: 0,
                rows: size(n)?,
                columns: size(k)?,
                options: [0; 4],
            },
        })
    }

    /// The matrix with a number that is compiled in, and those that the kernel is told.
    pub(crate) fn with(self, number: Option<(&'static str, u32)>, options: [u32; 4]) -> Self {
        Self {
            number,
            layout: MatrixLayout {
                options,
                ..self.layout
            },
            ..self
        }
    }

    /// `(N, K)`.
    pub(crate) fn dims(&self) -> (usize, usize) {
        (self.layout.rows as usize, self.layout.columns as usize)
    }

    pub(crate) fn device(&self) -> &MetalDevice {
        self.first.device()
    }

    /// The rows `ids`, `(ids)` u32, in float32; NaN where there is no such row.
    pub(crate) fn gather(&self, ids: &DeviceTensor) -> Result<DeviceTensor> {
        let (count, (_, k)) = (ids.dims()[0], self.dims());
        let y = Output::new(self.device(), count * k, DType::F32)?;
        self.launch(&GATHER, &[], "gather")?
            .tensor(ids)
            .output(&y)
            .over_elements(count, k.div_ceil(RUN))?;
        Ok(y.matrix(k))
    }

    /// Whether one library reads both.
    pub(super) fn is_stored_as(&self, other: &Self) -> bool {
        let storage = |matrix: &Self| {
            let dtypes = matrix.each_part().map(DeviceTensor::dtype);
            (matrix.format.name, matrix.number, dtypes)
        };
        storage(self) == storage(other)
    }

    /// What it consists of, and how it lies, for kernels that read several.
    pub(super) fn parts(&self) -> ([&DeviceTensor; 3], MatrixLayout) {
        (self.each_part(), self.layout)
    }

    fn each_part(&self) -> [&DeviceTensor; 3] {
        match &self.others {
            Some([second, third]) => [&self.first, second, third],
            None => [&self.first; 3],
        }
    }

    /// A kernel with its first four parameters.
    pub(super) fn launch(
        &self,
        source: &Source,
        types: &[(&'static str, DType)],
        kernel: &'static str,
    ) -> Result<Launch<'_>> {
        let [first, second, third] = self.each_part();
        let launch = self.bare(source, types, kernel)?;
        let launch = launch.tensor(first).tensor(second).tensor(third);
        Ok(launch.constants(&self.layout))
    }

    /// A kernel without its parameters.
    pub(super) fn bare(
        &self,
        source: &Source,
        types: &[(&'static str, DType)],
        kernel: &'static str,
    ) -> Result<Launch<'_>> {
        let own = ["PART_0", "PART_1", "PART_2"].into_iter();
        let own = own.zip(self.each_part().map(DeviceTensor::dtype));
        let all = own.chain(types.iter().copied());
        let mut table = [("", DType::F32); MOST_TYPES];
        table.iter_mut().zip(all).for_each(|(to, of)| *to = of);
        let count = 3 + types.len();
        let Some(types) = table.get(..count) else {
            candle_core::bail!("a matrix's library of {count} types, at most {MOST_TYPES}");
        };
        let program = Program {
            sources: &[&MATRIX, &self.format, source],
            types,
            number: self.number,
        };
        Launch::of(self.device(), program, kernel)
    }
}

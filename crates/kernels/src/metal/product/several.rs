//! Products of one left factor of few rows with several matrices of one storage, in one launch.

use super::unpacked::{OUTPUTS, SIMDS, Sum, few};
use crate::metal::library::Source;
use crate::metal::matrix::MatrixLayout;
use crate::metal::{DeviceMatrix, DeviceTensor, Launch, Output, SIMD};
use candle_core::{DType, Result};
use candle_metal_kernels::metal::Buffer;

static SEVERAL: Source = Source {
    name: "several",
    text: concat!(
        include_str!("sum.metal"),
        include_str!("rows.metal"),
        include_str!("../../ops/glu/activation.metal"),
        include_str!("several.metal")
    ),
};

/// Matrices of a launch at most.
const MOST: usize = 3;

/// Kernels by how many rows they take at most.
pub(crate) type Kernels = [(usize, &'static str); 4];

const PRODUCTS: Kernels = [
    (1, "products_of_1_row"),
    (2, "products_of_2_rows"),
    (4, "products_of_4_rows"),
    (8, "products_of_8_rows"),
];

/// A matrix `(N, K)`, and what is added to its product.
pub(crate) struct Layer {
    pub(crate) matrix: DeviceMatrix,
    /// `(N)`, or `(M, N)`.
    pub(crate) addend: Option<DeviceTensor>,
    pub(crate) update: Option<Update>,
}

/// An adapter's `scale * h U^T`, all in float32.
pub(crate) struct Update {
    /// `(M, R)`, packed.
    pub(crate) h: DeviceTensor,
    /// `(N, R)`.
    pub(crate) u: DeviceTensor,
    pub(crate) scale: f64,
}

/// `Update` of `several.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct UpdateLayout {
    strides: [u64; 4],
    rank: u32,
    scale: f32,
}

/// `Several` of `several.metal`; those that are missing are the first once more.
#[repr(C)]
#[derive(Clone, Copy)]
struct Several {
    layouts: [MatrixLayout; MOST],
    addends: [[u64; 4]; MOST],
    sums: [Sum; MOST],
    starts: [u32; MOST],
    updates: [UpdateLayout; MOST],
}

/// The left factor `(M, K)` with the matrices.
pub(crate) struct FewRows<'a> {
    x: &'a DeviceTensor,
    layers: &'a [Layer],
    /// Addends, broadcast to the products.
    addends: Vec<Option<DeviceTensor>>,
}

impl<'a> FewRows<'a> {
    /// None where one launch cannot compute them: `x` has many rows, or there are several storages.
    pub(crate) fn new(x: &'a DeviceTensor, layers: &'a [Layer]) -> Result<Option<Self>> {
        let Some(Layer { matrix: first, .. }) = layers.first() else {
            return Ok(None);
        };
        let addends = layers.iter().flat_map(|layer| &layer.addend);
        let mut dtypes = addends.map(DeviceTensor::dtype);
        let dtype = dtypes.next();
        let is_one = layers.iter().all(|other| first.is_stored_as(&other.matrix))
            && dtypes.all(|other| Some(other) == dtype);
        let rows = x.dims()[0];
        if !is_one || layers.len() > MOST || rows == 0 || few(&PRODUCTS, rows).is_none() {
            return Ok(None);
        }
        let addends = layers.iter().map(|layer| {
            let broadcast = |c: &DeviceTensor| c.broadcast(&[rows, layer.matrix.dims().0]);
            layer.addend.as_ref().map(broadcast).transpose()
        });
        Ok(Some(Self {
            x,
            layers,
            addends: addends.collect::<Result<_>>()?,
        }))
    }

    /// `x W^T` of each, and what is added to it, in the dtype of `x`.
    pub(crate) fn products(&self) -> Result<Vec<DeviceTensor>> {
        let results = self.layers.iter().map(|layer| self.result(layer));
        let results = results.collect::<Result<Vec<_>>>()?;
        let (several, x) = (self.several()?, self.x.strided()?);
        let mut launch = self.launch(few(&PRODUCTS, self.x.dims()[0]))?;
        for i in 0..MOST {
            launch = self.matrix(launch, i);
        }
        for i in 0..MOST {
            launch = launch.buffer(self.addend(i));
        }
        launch = launch.constants(&several).strided(&x);
        for i in 0..MOST {
            launch = launch.output(results.get(i).unwrap_or(&results[0]));
        }
        launch = self.updates(launch, MOST);
        let groups: u32 = self.layers.iter().map(|layer| groups(&layer.matrix)).sum();
        self.over(launch, groups)?;
        let widths = self.layers.iter().map(|layer| layer.matrix.dims().0);
        let results = results.iter().zip(widths);
        Ok(results.map(|(y, width)| y.matrix(width)).collect())
    }

    /// `activation(x A^T) * (x B^T)` for two matrices of one size, by the kernels of the activation.
    pub(crate) fn gated(&self, kernels: &Kernels) -> Result<DeviceTensor> {
        let (several, x) = (self.several()?, self.x.strided()?);
        let y = self.result(&self.layers[0])?;
        let launch = self.launch(few(kernels, self.x.dims()[0]))?;
        let launch = self.matrix(self.matrix(launch, 0), 1);
        let launch = launch
            .buffer(self.addend(0))
            .buffer(self.addend(1))
            .constants(&several)
            .strided(&x)
            .output(&y);
        let gate = &self.layers[0].matrix;
        self.over(self.updates(launch, 2), groups(gate))?;
        Ok(y.matrix(gate.dims().0))
    }

    /// Memory of a product.
    fn result(&self, Layer { matrix, .. }: &Layer) -> Result<Output> {
        let elements = self.x.dims()[0] * matrix.dims().0;
        Output::new(matrix.device(), elements, self.x.dtype())
    }

    fn launch(&self, kernel: Option<&'static str>) -> Result<Launch<'_>> {
        let (x, c) = (self.x.dtype(), self.dtype());
        let kernel = kernel.unwrap_or_default();
        self.layers[0]
            .matrix
            .bare(&SEVERAL, &[("X", x), ("C", c), ("Y", x)], kernel)
    }

    /// Dtype of what is added.
    fn dtype(&self) -> DType {
        let mut addends = self.layers.iter().flat_map(|layer| &layer.addend);
        addends.next().unwrap_or(self.x).dtype()
    }

    fn layer(&self, i: usize) -> &Layer {
        self.layers.get(i).unwrap_or(&self.layers[0])
    }

    /// Memory of an addend, or some that is not read.
    fn addend(&self, i: usize) -> (&Buffer, usize) {
        match self.addends.get(i) {
            Some(Some(c)) => c.place(),
            _ => (self.x.place().0, 0),
        }
    }

    fn matrix<'b>(&'b self, launch: Launch<'b>, i: usize) -> Launch<'b> {
        let (parts, _) = self.layer(i).matrix.parts();
        parts.into_iter().fold(launch, Launch::tensor)
    }

    /// What is added by the adapters of so many layers, or memory that is not read.
    fn updates<'b>(&'b self, launch: Launch<'b>, layers: usize) -> Launch<'b> {
        let of = |i: usize| self.layers.get(i).and_then(|layer| layer.update.as_ref());
        let unread = (self.x.place().0, 0);
        let place = |t: Option<&'b DeviceTensor>| t.map_or(unread, DeviceTensor::place);
        let h = (0..layers).map(|i| place(of(i).map(|update| &update.h)));
        let u = (0..layers).map(|i| place(of(i).map(|update| &update.u)));
        h.chain(u).fold(launch, Launch::buffer)
    }

    fn several(&self) -> Result<Several> {
        let mut starts = [u32::MAX; MOST];
        let mut end = 0;
        for (start, layer) in starts.iter_mut().zip(self.layers) {
            (*start, end) = (end, end + groups(&layer.matrix));
        }
        let mut updates = [UpdateLayout::NONE; MOST];
        let mut sums = [self.sum(0)?; MOST];
        let mut addends = [[0; 4]; MOST];
        for i in 0..self.layers.len() {
            sums[i] = self.sum(i)?;
            if let Some(c) = &self.addends[i] {
                addends[i] = c.strided()?.strides;
            }
            if let Some(update) = &self.layers[i].update {
                updates[i] = update.layout()?;
            }
        }
        Ok(Several {
            layouts: std::array::from_fn(|i| self.layer(i).matrix.parts().1),
            addends,
            sums,
            starts,
            updates,
        })
    }

    fn sum(&self, i: usize) -> Result<Sum> {
        let Layer { matrix, addend, .. } = &self.layers[i];
        Sum::few(self.x.dims(), matrix.dims().0, addend.is_some())
    }

    fn over(&self, launch: Launch<'_>, groups: u32) -> Result<()> {
        let flops = self.layers.iter().map(|layer| layer.matrix.dims().0);
        let [rows, inner] = [self.x.dims()[0], self.x.dims()[1]];
        launch
            .flops(&[2, rows, inner, flops.sum()])
            .over_groups([groups as usize, 1, 1], [SIMDS * SIMD, 1, 1])
    }
}

impl Update {
    fn layout(&self) -> Result<UpdateLayout> {
        Ok(UpdateLayout {
            strides: self.u.strided()?.strides,
            rank: u32::try_from(self.u.dims()[1]).map_err(candle_core::Error::wrap)?,
            scale: self.scale as f32,
        })
    }
}

impl UpdateLayout {
    /// Nothing to be added.
    const NONE: Self = Self {
        strides: [0; 4],
        rank: 0,
        scale: 0.0,
    };
}

/// Threadgroups of a matrix, whose rows are fewer than 2^32.
fn groups(matrix: &DeviceMatrix) -> u32 {
    matrix.dims().0.div_ceil(SIMDS * OUTPUTS) as u32
}
